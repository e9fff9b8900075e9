"""What is decided about a layer of tiles: how large they are, how many a block has, by which tile it is multiplied."""

from __future__ import annotations

import dataclasses
import math
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...memory import lazy
from ..implicit.tiles.epilogue import Epilogue
from .cycles import CALL, MARGIN, Blocks, around, estimate, possible_blocks, steps_of, strides_of, unevenness
from .into_tiles import IntoTiles, into_tiles
from .out_of_tiles import OutOfTiles, out_of_tiles
from .product import Product
from .tiling import Tiling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...engine.compiler import Kernel
    from ...engine.target import Target
    from ...spec.problem import Problem
    from ..implicit.tiles.filters import FilterShape
    from .tiling import Box
    from .transform import Family, Transform

_MOST_GROWTH = {"strict": 1.0, "native": 2.0, "fast": 2.0}
"""How many times the rms error of plain sums that of a layer may be."""
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_ONE_SIGN = 1.28
"""How much more rounding grows where pixels are all of one sign, as after a ReLU: by `python -m bench rounding`."""
_FEW, _FEW_TWICE, _FEWER = 8.0, 14.0, 2.0
"""How much more where channels are few: one of so many; in float64, where filters are transformed in the precision of
the sums, of so many, as long as that is not more than `_FEWER`. Measured likewise."""
_PARTS = (1, 2)
"""Of sums: two halves round as much less as a sum of half as many terms does."""
_FAST = 230.0
"""Growth times the square root of a sum's terms, up to which errors stay below 2e-5 of the greatest result in float32:
those of plain sums grow with that root. Measured likewise."""
_MOST_UNROLLED = 700
"""Of all kernels of a layer, in units of about 18 lines of LLVM's IR."""
_MOST_SCRATCH = 2048
"""Vectors on a thread's stack: 128 KB where they have 64 bytes."""
_FEWEST_CHANNELS = 2
"""Of a group, also filters: a single one shares nothing."""
_FEWEST_PRODUCTS = 1 << 20
"""Of a layer: smaller ones take no longer than a few calls."""


class Cut(NamedTuple):
    """Tiles of one size, in blocks."""

    tiling: Tiling
    blocks: Blocks


class Decision:
    """Everything that is decided about a problem before any table is made.

    Parameters
    ----------
    problem : Problem
    target : Target
    cut : Cut
    """

    def __init__(self, problem: Problem, target: Target, cut: Cut) -> None:
        p = problem
        self.target, self.tiling, self._most = target, cut.tiling, cut.blocks.tiles
        self.box_sizes = cut.tiling.box_sizes(self._most)
        self.dtype: np.dtype[Any] = p.accumulator
        self.groups, self.channels, self.filters = p.groups, p.group_channels, p.group_filters
        size = self.dtype.itemsize
        self.lanes = target.vector_bytes // size
        self.strides, self.out_strides = strides_of(p)
        self.copies = not p.pads_zeros or self.strides[1] != size
        self.transposed = self.out_strides[1] != size
        piece = cut.blocks.filters
        self.pieces = [(first, min(piece, self.filters - first)) for first in range(0, self.filters, piece)]
        self.window_bytes, self.product_bytes = steps_of(p, cut.tiling, piece)
        self.epilogue = Epilogue.of_floats(p)
        self.into = into_tiles(
            IntoTiles(self.epilogue.result, self.lanes, min(self.lanes, self.channels), cut.tiling.transform)
        )

    @lazy
    def boxes(self) -> list[Box]:
        """Return all blocks of tiles: for those who run them, as there may be more than memory holds."""
        return self.tiling.boxes(self._most)

    @property
    def most_pixels(self) -> int:
        """Pixels of the images that the windows of a block see, at most."""
        return self.tiling.most_pixels(self._most)

    @property
    def tiles(self) -> int:
        """How many tiles there are."""
        return math.prod(self.tiling.counts)

    @property
    def zeros_at(self) -> int:
        """Bytes of the bias, behind which as many zeros stand as a group has channels."""
        return self.groups * self.filters * self.dtype.itemsize

    @lazy
    def products(self) -> dict[tuple[int, int], Product]:
        """Return the products of blocks, by their tiles and filters.

        Those with as many filters read packed weights alike, however many tiles there are.
        """
        most, *fewer = sorted(self.box_sizes, reverse=True)
        found = {}
        for filters in {count for _, count in self.pieces}:
            found[most, filters] = best = self._product(most, filters, None)
            found |= {(n, filters): self._product(n, filters, best.shape) for n in fewer}
        return found

    @property
    def products_cycles(self) -> float:
        """The cycles of all products by the engine's model."""
        sizes = self.box_sizes.items()
        return sum(times * self.products[tiles, count].cycles for tiles, times in sizes for _, count in self.pieces)

    def packed_as(self, filters: int) -> Product:
        """Return a product whose tables say how a piece of so many filters is packed."""
        return next(product for (_, count), product in self.products.items() if count == filters)

    def _product(self, tiles: int, filters: int, shape: FilterShape | None) -> Product:
        parts, steps = self.tiling.parts, (self.window_bytes, self.product_bytes)
        groups, channels = self.groups * self.tiling.transform.elements * parts, self.channels // parts
        return Product(tiles, groups, channels, filters, steps, self.dtype, self.target, shape)

    def out_of(self, kept: tuple[int, ...], filters: int) -> Kernel:
        """Return the kernel of so many filters of tiles of which so many positions are in the map, along each axis."""
        name, count, t = f"f{self.dtype.itemsize}", min(self.lanes, filters), self.tiling
        made_for = t.transform.made_for(kept)
        return out_of_tiles(
            OutOfTiles(name, self.lanes, count, t.transform, made_for, t.parts, self.transposed, self.epilogue)
        )

    def writes(self, out_strides: tuple[int, ...]) -> bool:
        """Whether kernels write a result of these strides."""
        size = self.dtype.itemsize
        return (out_strides[-1] if self.transposed else out_strides[1]) == size

    @property
    def way(self) -> str:
        """How large tiles are."""
        return f"tiles of {'×'.join(map(str, self.tiling.transform.results))} results"

    @property
    def reason(self) -> str:
        """Why it was chosen, for people."""
        fewer, most = saved(self.tiling), max(self.box_sizes)
        return f"{self.way}, {most} a block: {fewer:.2g} times fewer products"


def saved(tiling: Tiling) -> float:
    """Return how many times fewer products there are than the definition has, tiles over the map's end included."""
    made = math.prod(tiling.counts[1:]) * tiling.transform.elements
    return tiling.geometry.positions * tiling.geometry.taps / made


def obstacle(problem: Problem, family: Family) -> str | None:
    """Return why there are no tiles of a family for a problem, or None."""
    g = problem.geometry
    why_not = unsuited(problem)
    if why_not is not None:
        return why_not
    if not family.taps.issuperset(g.kernel_size) or set(g.kernel_size) == {1}:
        return f"kernels of {family.named} taps along an axis have transforms, not of {g.kernel_size}"
    _, written = strides_of(problem)
    if problem.dtype.itemsize not in (written[1], written[-1]):
        return "neither filters nor positions lie side by side in the result"
    return None


def unsuited(problem: Problem) -> str | None:
    """Return why no tiles of any kind are for a problem, or None."""
    p, g = problem, problem.geometry
    if 0 in (p.batch, p.filters, p.channels, *g.spatial_shape):
        return "there is nothing to multiply"
    if not p.x_dtype == p.w_dtype == p.dtype == p.accumulator or p.dtype not in _FLOATS:
        return "tiles are made of float32 or float64 alone, as image, weights and result"
    if set(g.stride) != {1} or set(g.dilation) != {1}:
        return "windows of a stride or a dilation share no products"
    return None


def admitted(problem: Problem, family: Family) -> list[tuple[Transform, int]]:
    """Return the transforms that the problem's precision admits, and in how many parts sums are."""
    counted = [(transform, _parts(problem, transform)) for transform in family.of(problem.geometry.kernel_size)]
    return [(transform, parts) for transform, parts in counted if parts]


def _parts(problem: Problem, transform: Transform) -> int:
    """Return in how many parts sums are to be for the problem's precision, the fewest, or 0 if it admits none."""
    p, law = problem, transform.error
    if p.precision == "strict" and transform.mixes:
        return 0
    if p.precision == "fast" and law * math.sqrt(p.group_taps) <= _FAST:
        return 1
    few = _FEW / p.group_channels
    if p.accumulator.itemsize == 8:
        few = max(few, min(_FEWER, _FEW_TWICE / p.group_channels))
    for parts in _PARTS:
        growth = law * (_ONE_SIGN / math.sqrt(parts) + few)
        if growth <= _MOST_GROWTH[p.precision] and p.group_channels % parts == 0:
            return parts
    return 0


def worthwhile(problem: Problem) -> bool:
    """Whether images are so large that fewer products can pay."""
    many = min(problem.group_channels, problem.group_filters) >= _FEWEST_CHANNELS
    return many and problem.flops // 2 >= _FEWEST_PRODUCTS * problem.batch


def decide(problem: Problem, family: Family, target: Target, threads: int) -> tuple[Decision, float]:
    """Return the tiles with the fewest cycles, of those that the precision admits, and the cycles of one image."""
    return next(decisions(problem, family, target, threads))


def decisions(problem: Problem, family: Family, target: Target, threads: int) -> Iterator[tuple[Decision, float]]:
    """Yield tiles of each size that the precision admits, those with the fewest cycles first.

    How large tiles are decides bits, and so depends on neither the batch nor the threads; blocks may.
    """
    one = dataclasses.replace(problem, batch=1)
    cycles = partial(estimate, one, target)
    cuts = [
        min((Cut(tiling, blocks) for blocks in possible_blocks(one, tiling, 1)), key=lambda cut: cycles(*cut))
        for tiling in possible(one, family)
    ]
    for cut in sorted(cuts, key=lambda cut: cycles(*cut)):
        found = Decision(one, target, cut)
        total = (found.products_cycles + around(one, target, *cut)) * MARGIN + CALL
        if problem.batch > 1 or threads > 1:
            tiling = cut.tiling._replace(batch=problem.batch)
            ways = possible_blocks(problem, tiling, threads)
            blocks = min(ways, key=lambda b: estimate(problem, target, tiling, b) * unevenness(tiling, b, threads))
            found = Decision(problem, target, Cut(tiling, blocks))
        yield found, total


def possible(problem: Problem, family: Family) -> list[Tiling]:
    """Return the ways to cut a problem that its precision admits, of those whose kernels LLVM compiles in a second."""
    geometry = problem.geometry if problem.pads_zeros else problem.geometry.unpadded()
    tilings = [Tiling(geometry, transform, problem.batch, parts) for transform, parts in admitted(problem, family)]
    return [t for t in tilings if _unrolled(t) <= _MOST_UNROLLED and t.transform.scratch <= _MOST_SCRATCH]


def _unrolled(tiling: Tiling) -> int:
    """Return how much code all kernels unroll."""
    into, out = tiling.transform.unrolled
    return into + out * len(set(map(tiling.transform.made_for, tiling.kept())))
