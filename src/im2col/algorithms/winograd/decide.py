"""What is decided about a layer of tiles: how large they are, how many a block has, by which tile it is multiplied."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from ...memory import lazy
from ...spec.strides import dense_strides
from ..implicit.tiles.epilogue import Epilogue
from ..implicit.view import LINE, memory_order, without
from .cook_toom import Transform, transform
from .into_tiles import IntoTiles, into_tiles
from .linear import instructions
from .out_of_tiles import OutOfTiles, out_of_tiles
from .product import Product
from .tiling import Tiling, tiles_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from ...engine.compiler import Kernel
    from ...engine.target import Target
    from ...spec.problem import Problem

SIZES = {3: (2, 3, 4, 5, 6), 5: (2, 3, 4)}
"""m by r."""
_MOST_GROWTH = {"strict": 1.0, "native": 2.0, "fast": 2.0}
"""How many times the rms error of plain sums that of a layer may be."""
_ONE_SIGN, _FEW = 1.2, 3.5
"""How much more rounding grows where pixels are all of one sign, as after a ReLU, and where channels are few: one of so
many. Measured by `python -m bench rounding`."""
_FAST = 230.0
"""Growth times the square root of a sum's terms, up to which errors stay below 2e-5 of the greatest result in float32:
those of plain sums grow with that root. Measured likewise."""
_FEWEST_CHANNELS = 16
"""Of a group, also filters: with fewer, tiles cost more to make than their products save."""
_FEWEST_PRODUCTS = 1 << 20
"""Of a layer: smaller ones take no longer than a few calls."""
_BLOCK_BYTES = 4 << 20
"""Of a thread's tiles and products, at most."""


class Cut(NamedTuple):
    """Tiles of one size, in blocks of at most so many."""

    tiling: Tiling
    most: int


class Decision:
    """Everything that is decided about a problem before any table is made.

    Parameters
    ----------
    problem : Problem
    target : Target
    cut : Cut
    """

    def __init__(self, problem: Problem, target: Target, cut: Cut) -> None:
        p, t = problem, cut.tiling.transforms
        self.target, self.tiling, self.boxes = target, cut.tiling, cut.tiling.boxes(cut.most)
        self.dtype: np.dtype[Any] = p.accumulator
        self.groups, self.channels, self.filters = p.groups, p.group_channels, p.group_filters
        size = self.dtype.itemsize
        self.lanes = target.vector_bytes // size
        self.strides, self.out_strides = strides_of(p)
        self.copies = not p.pads_zeros or self.strides[1] != size
        self.transposed = self.out_strides[1] != size
        self.window_bytes, self.product_bytes = steps_of(p, cut.tiling)
        activation, name = p.activation, f"f{size}"
        self.epilogue = Epilogue(
            name, name, p.has_bias, activation.name if activation else None, activation.slope if activation else 0.0
        )
        self.into = into_tiles(IntoTiles(name, self.lanes, self.channels % self.lanes, tuple(f.image for f in t)))

    @property
    def tiles(self) -> int:
        """How many tiles there are."""
        return math.prod(self.tiling.counts)

    @property
    def zeros_at(self) -> int:
        """Bytes of the bias, behind which as many zeros stand as a group has channels."""
        return self.groups * self.filters * self.dtype.itemsize

    @lazy
    def products(self) -> dict[int, Product]:
        """Return the products of blocks, by their tiles; all read the same packed weights."""
        sizes = sorted({tiles_of(box) for box in self.boxes}, reverse=True)
        return {n: self._product(n) for n in sizes}

    def _product(self, tiles: int) -> Product:
        groups, steps = self.groups * self.tiling.elements, (self.window_bytes, self.product_bytes)
        return Product(tiles, groups, self.channels, self.filters, steps, self.dtype, self.target)

    def out_of(self, kept: tuple[int, ...]) -> Kernel:
        """Return the kernel of tiles of which so many positions are in the map, along each axis."""
        matrices = tuple(t.result[:n] for t, n in zip(self.tiling.transforms, kept, strict=True))
        name, last = f"f{self.dtype.itemsize}", self.filters % self.lanes
        return out_of_tiles(OutOfTiles(name, self.lanes, last, matrices, self.transposed, self.epilogue))

    def writes(self, out_strides: tuple[int, ...]) -> bool:
        """Whether kernels write a result of these strides."""
        size = self.dtype.itemsize
        return (out_strides[-1] if self.transposed else out_strides[1]) == size

    @property
    def reason(self) -> str:
        """Why it was chosen, for people."""
        sizes = "×".join(str(t.m) for t in self.tiling.transforms)
        fewer, most = saved(self.tiling), max(map(tiles_of, self.boxes))
        return f"tiles of {sizes} results, {most} a block: {fewer:.2g} times fewer products"


def saved(tiling: Tiling) -> float:
    """Return how many times fewer products there are than the definition has, tiles over the map's end included."""
    made = math.prod(tiling.counts[1:]) * tiling.elements
    return tiling.geometry.positions * tiling.geometry.taps / made


def strides_of(problem: Problem) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the strides of (N, C, *spatial) and of (N, filters, *output): of dense arrays, or of parts of them."""
    p, order, size = problem, memory_order(problem), problem.dtype.itemsize
    absent = [i for i, axis in enumerate("NC") if axis not in p.layout.axes]
    shapes = (p.batch, p.channels, *p.geometry.spatial_shape), (p.batch, p.filters, *p.geometry.output_shape)
    read, written = (without(absent, dense_strides(order, shape, size)) for shape in shapes)
    return p.strides or read, p.out_strides or written


def steps_of(problem: Problem, tiling: Tiling) -> tuple[int, int]:
    """Return the bytes from one tile to the next, of windows and of products: odd numbers of lines.

    So tiles that are read together lie in different sets of the first level of cache.
    """
    size = tiling.elements * problem.accumulator.itemsize
    windows, products = ((-(-size * n // LINE) | 1) * LINE for n in (problem.channels, problem.filters))
    return windows, products


def obstacle(problem: Problem) -> str | None:
    """Return why there are no tiles for a problem, or None."""
    p, g = problem, problem.geometry
    if 0 in (p.batch, p.filters, p.channels, *g.spatial_shape):
        return "there is nothing to multiply"
    if not p.x_dtype == p.w_dtype == p.dtype == p.accumulator or p.dtype.kind != "f":
        return "tiles are made of float32 or float64 alone, as image, weights and result"
    if set(g.stride) != {1} or set(g.dilation) != {1}:
        return "windows of a stride or a dilation share no products"
    if not set(g.kernel_size) <= {1, *SIZES} or set(g.kernel_size) == {1}:
        return f"kernels of 3 and 5 taps along an axis have transforms, not of {g.kernel_size}"
    _, written = strides_of(p)
    if p.dtype.itemsize not in (written[1], written[-1]):
        return "neither filters nor positions lie side by side in the result"
    return None


def admitted(problem: Problem) -> list[tuple[Transform, ...]]:
    """Return the transforms of each axis that the problem's precision admits, one tuple for each way."""
    kernel = problem.geometry.kernel_size
    taps = sorted(set(kernel))  # axes of as many taps are cut alike
    ways = []
    for sizes in itertools.product(*(SIZES.get(r, (1,)) for r in taps)):
        m = dict(zip(taps, sizes, strict=True))
        ways.append(tuple(transform(m[r], r) for r in kernel))
    return [way for way in ways if _admits(problem, way)]


def _admits(problem: Problem, transforms: tuple[Transform, ...]) -> bool:
    """Whether a problem's precision admits transforms."""
    law = math.prod(t.error for t in transforms)
    growth = law * (_ONE_SIGN + _FEW / problem.group_channels)
    if growth <= _MOST_GROWTH[problem.precision]:
        return problem.precision != "strict" or not any(t.mixes for t in transforms)
    return problem.precision == "fast" and law * math.sqrt(problem.group_taps) <= _FAST


def worthwhile(problem: Problem) -> bool:
    """Whether a problem is so large that fewer products can pay."""
    many = min(problem.group_channels, problem.group_filters) >= _FEWEST_CHANNELS
    return many and problem.flops // 2 >= _FEWEST_PRODUCTS


def decide(problem: Problem, target: Target) -> tuple[Decision, float]:
    """Return the tiles with the fewest cycles, of those that the precision admits, and their cycles."""
    found = min(_cuts(problem, target), key=lambda pair: pair[1])
    decision = Decision(problem, target, found[0])
    return decision, cycles(problem, decision)


def _cuts(problem: Problem, target: Target) -> Iterator[tuple[Cut, float]]:
    """Yield ways to cut a layer, each with its best block, and their cycles but for the products' own tile."""
    for transforms in admitted(problem):
        geometry = problem.geometry if problem.pads_zeros else problem.geometry.unpadded()
        tiling = Tiling(geometry, transforms, problem.batch)
        for most in _blocks(problem, tiling):
            count = math.prod(tiling.counts)
            products = count * tiling.elements * problem.group_channels * problem.filters
            lanes = target.vector_bytes // problem.dtype.itemsize
            peak = products / lanes * target.vector_cycles(target.vector_bytes) * _PRODUCT
            yield Cut(tiling, most), peak + _around(problem, target, tiling, most)


def _blocks(problem: Problem, tiling: Tiling) -> list[int]:
    """Return how many tiles a block may have."""
    most = max(1, min(math.prod(tiling.counts), _BLOCK_BYTES // sum(steps_of(problem, tiling))))
    return sorted({min(most, n) for n in (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)})


_PRODUCT = 1.15
"""How many times as long as products alone a tile of products takes, roughly."""
_FAR, _MEMORY = 0.12, 0.35
"""Cycles for a byte of the third level of cache and of memory: of a dot product of long vectors on Zen 3."""
_SHOWS = 0.5
"""Of the time in which weights arrive, what products do not hide."""
_LOOP = 20
"""Cycles of the loops around the products of an element with a vector of filters."""
_TURNED = 0.2
"""Cycles of a byte that is copied to lie channels last, in a block."""
_TOUCH = 1.5
"""Cycles of an instruction of a transform, its loads and stores included, times those of its arithmetic."""


def _around(problem: Problem, target: Target, tiling: Tiling, most: int) -> float:
    """Return the cycles of all but the products: transforms, tiles that leave the near caches, weights that arrive."""
    p, size, second = problem, problem.dtype.itemsize, target.caches[1]
    lanes, per = target.vector_bytes // size, target.vector_cycles(target.vector_bytes)
    tiles, blocks = math.prod(tiling.counts), len(tiling.boxes(most))
    into, out = _operations(tiling)
    vectors = [p.groups * -(-n // lanes) for n in (p.group_channels, p.group_filters)]
    transforms = tiles * (vectors[0] * into + vectors[1] * out) * per * _TOUCH
    block = sum(steps_of(p, tiling))
    spilt = 2 * tiles * block * _FAR if most * block > second else 0.0
    weights = tiling.elements * p.group_channels * p.filters * size
    level = 0.0 if weights < second // 2 else _FAR if weights < target.caches[2] // 2 else _MEMORY
    calls = blocks * p.groups * tiling.elements * vectors[1] * _LOOP
    turned = 0.0
    if strides_of(p)[0][1] != size:
        turned = math.prod((p.batch, p.channels, *p.geometry.spatial_shape)) * size * _TURNED
    return transforms + spilt + blocks * weights * level * _SHOWS + calls + turned


def _operations(tiling: Tiling) -> tuple[float, float]:
    """Return the instructions of a vector's transforms, into a tile and out of it: arithmetic, loads, stores."""
    found = []
    for name, last in (("image", "size"), ("result", "m")):
        sizes, total = [t.size for t in tiling.transforms], float(tiling.elements)
        for axis in reversed(range(len(sizes))):
            t = tiling.transforms[axis]
            total += math.prod(sizes) / sizes[axis] * instructions(getattr(t, name))
            sizes[axis] = getattr(t, last)
        found.append(total + math.prod(sizes))
    return found[0], found[1]


def cycles(problem: Problem, decision: Decision) -> float:
    """Return the cycles that the model gives a layer."""
    counts: dict[int, int] = {}
    for box in decision.boxes:
        counts[tiles_of(box)] = counts.get(tiles_of(box), 0) + 1
    products = sum(decision.products[n].cycles * count for n, count in counts.items())
    return products + _around(problem, decision.target, decision.tiling, max(counts))
