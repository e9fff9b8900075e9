"""The model by which sizes of tiles and blocks are compared, in cycles: what is around the products of tiles.

The products themselves are weighed by the engine's own model. The numbers were measured on a Zen 3 (docs/decisions.md).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from ..implicit.view import LINE
from .tiling import shared, tiles_of

if TYPE_CHECKING:
    from ...engine.target import Target
    from ...spec.problem import Problem
    from .tiling import Tiling

_BLOCK_BYTES = 4 << 20
"""Of a thread's tiles and products, at most."""
_TILES = (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_PIECES = (32, 48, 64, 96, 128)
"""Filters of a piece: whole vectors of every CPU, and blocks of two and of three of AVX2's."""


class Blocks(NamedTuple):
    """At most how many tiles a block has, and with how many filters of a group they are multiplied at a time."""

    tiles: int
    filters: int


_PRODUCT = 1.15
"""How many times as long as products alone a tile of products takes, roughly."""
FAR, _MEMORY = 0.08, 0.26
"""Cycles for a byte of the third level of cache and of memory: of a dot product of long vectors on Zen 3."""
_APART = 8
"""Cycles of a line of the first level that others, as far apart as elements are, drive out while a tile is made."""
_SHARE, _KEPT = 4, 2 << 20
"""Of the third level, which others use too, one of so many parts is a core's. A network's other layers pass through it
between two calls: at most so many bytes are found there again by the next one."""
MARGIN = 1.15
"""Times the model's cycles: what rounds more and takes more memory is to be faster beyond the model's doubt."""
CALL = 60_000.0
"""Cycles that Python takes for a call beside one of the view's: arrays are looked at, and flags."""
_SHOWS = 0.5
"""Of the time in which weights and tiles arrive from the third level, what products do not hide."""
_LOOP = 20
"""Cycles of the loops around the products of an element with a vector of filters."""
_TURNED = 0.2
"""Cycles of a byte that is copied to lie channels last, in a block."""
TOUCH = 1.5
"""Cycles of an instruction of a transform, its loads and stores included, times those of its arithmetic."""
_MANY = 16
"""Blocks of a thread: one more or less is not felt."""


def estimate(problem: Problem, target: Target, tiling: Tiling, blocks: Blocks) -> float:
    """Return about how many cycles a layer takes in such blocks."""
    products = math.prod(tiling.counts) * tiling.transform.elements * problem.group_channels * problem.filters
    lanes = target.vector_bytes // problem.dtype.itemsize
    per = target.vector_cycles(target.vector_bytes) * _PRODUCT
    return products / lanes * per + around(problem, target, tiling, blocks)


def possible_blocks(problem: Problem, tiling: Tiling, threads: int) -> list[Blocks]:
    """Return blocks that there is room for; every thread is to have one."""
    filters = problem.group_filters
    share = _share(tiling.counts, threads)
    some = [n for n in _PIECES if n < filters] if problem.groups == 1 else []
    found = []
    for piece in (filters, *some):
        room = _BLOCK_BYTES // sum(steps_of(problem, tiling, piece))
        most = max(1, min(share, room))
        found += [Blocks(n, piece) for n in sorted({min(most, n) for n in _TILES})]
    return found


def _share(counts: tuple[int, ...], threads: int) -> int:
    """Return the tiles of a thread: whole rows of them, of which boxes can be alike."""
    even, row = -(-math.prod(counts) // threads), 1
    for n in reversed(counts):
        if row * n > even:
            break
        row *= n
    return -(-even // row) * row


def unevenness(tiling: Tiling, blocks: Blocks, threads: int) -> float:
    """Return how many times as many tiles as on average the busiest of some threads has; of many blocks, once."""
    if threads == 1 or tiling.box_sizes(blocks.tiles).total() > _MANY * threads:
        return 1.0
    tasks = shared(tiling.boxes(blocks.tiles), threads)
    return max(sum(map(tiles_of, boxes)) for boxes in tasks) * threads / math.prod(tiling.counts)


def around(problem: Problem, target: Target, tiling: Tiling, blocks: Blocks) -> float:
    """Return the cycles of all but the products: transforms, tiles that leave the near caches, weights that arrive."""
    p, size, second = problem, problem.dtype.itemsize, target.caches[1]
    lanes, per = target.vector_bytes // size, target.vector_cycles(target.vector_bytes)
    tiles, count = math.prod(tiling.counts), tiling.box_sizes(blocks.tiles).total()
    into, out = tiling.transform.instructions
    vectors = [p.groups * -(-n // lanes) for n in (p.group_channels, p.group_filters)]
    transforms = tiles * (vectors[0] * into + vectors[1] * out) * per * TOUCH
    elements = tiling.transform.elements
    for each, side in zip(vectors, (p.group_channels, blocks.filters * tiling.parts), strict=True):
        transforms += tiles * each * max(0.0, elements - target.caches[0] / (side * size)) * _APART
    windows, products = steps_of(p, tiling, blocks.filters)
    pieces = -(-p.group_filters // blocks.filters)
    weights = elements * p.group_channels * p.filters * size
    block = blocks.tiles * (windows + products)
    near = weights + block < target.caches[2] // _SHARE
    byte = FAR if near else _MEMORY
    spilt = tiles * windows * (1 + pieces * _SHOWS) * byte if block > second else 0.0
    if blocks.tiles * products > second:  # their lines are fetched, written back and read again
        spilt += 3 * tiles * products * pieces * byte
    level = 0.0 if weights < second // 2 else FAR * _SHOWS if near else _MEMORY
    arriving = weights * ((count - 1) * level + (level if weights < _KEPT else _MEMORY))
    calls = count * p.groups * elements * vectors[1] * _LOOP
    turned = 0.0
    if strides_of(p)[0][1] != size:
        turned = math.prod((p.batch, p.channels, *p.geometry.spatial_shape)) * size * _TURNED
    return transforms + spilt + arriving + calls + turned


def strides_of(problem: Problem) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the strides of (N, C, *spatial) and of (N, filters, *output): of dense arrays, or of parts of them."""
    p, size, g = problem, problem.dtype.itemsize, problem.geometry
    read = p.strides or p.layout.strides(p.batch, p.channels, g.spatial_shape, size)
    return read, p.out_strides or p.layout.strides(p.batch, p.filters, g.output_shape, size)


def steps_of(problem: Problem, tiling: Tiling, filters: int) -> tuple[int, int]:
    """Return the bytes from one tile to the next, of windows and of products with so many filters of a group.

    They are odd numbers of lines.

    So tiles that are read together lie in different sets of the first level of cache.
    """
    size, sums = tiling.transform.elements * problem.accumulator.itemsize, problem.groups * filters * tiling.parts
    windows, products = ((-(-size * n // LINE) | 1) * LINE for n in (problem.channels, sums))
    return windows, products
