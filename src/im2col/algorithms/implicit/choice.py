"""Which tile a layer gets: of those that fit the registers and the layer, the one that the model finds fastest."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .channel_passes import ChannelShape
from .cycles import channel_cycles, filter_cycles, position_cycles
from .filter_passes import FilterShape
from .position_passes import PositionShape
from .schedule import split_evenly

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...engine.target import Target
    from ...spec.geometry import Geometry
    from .operand import Layer, Operand

_MOST_POSITIONS = 28
_MOST_VECTORS = 4
_WEIGHTS_KEPT = 8
"""Columns of a window up to which a row of its weights stays in registers."""
_MOST_PRODUCTS = 256
"""Products of an unrolled loop."""
_FILTERS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16)
_ROWS = (1, 2, 3, 4, 5, 6, 7, 8)
_MOST_STRIDE = 3
"""Columns between positions up to which a vector of them is shuffled out of wider loads."""


Shape = FilterShape | PositionShape | ChannelShape


class Choice(NamedTuple):
    """A tile and the cycles that the model gives it, with the best tile of each other kind."""

    shape: Shape
    cycles: float
    others: tuple[tuple[Shape, float], ...] = ()

    def __str__(self) -> str:
        others = "".join(f"; {shape}: {cycles:.3g}" for shape, cycles in self.others)
        return f"{self.shape}: {self.cycles:.3g} cycles by the model{others}"


def choose(op: Operand, layer: Layer, target: Target, dot: bool = False) -> Choice | None:
    """Return the tile with the fewest cycles, or None if there is none.

    Parameters
    ----------
    op : Operand
    layer : Layer
    target : Target
    dot : bool
        Whether each lane holds several channels: filters are along the lanes then.
    """
    kinds: list[list[tuple[Shape, float]]] = [
        [(shape, channel_cycles(op, layer, shape, target)) for shape in channel_shapes(op, layer, target)],
        [(shape, filter_cycles(op, layer, shape, target)) for shape in filter_shapes(op, layer, target)],
        [(shape, position_cycles(op, layer, shape, target)) for shape in position_shapes(op, layer, target)],
    ]
    best = [min(kind, key=lambda pair: pair[1]) for kind in (kinds[1:2] if dot else kinds) if kind]
    if not best:
        return None
    (shape, least), *others = sorted(best, key=lambda pair: pair[1])
    return Choice(shape, least, tuple(others))


def can_walk(shape: Shape, op: Operand) -> bool:
    """Whether what a tile loads or stores as a vector lies side by side in the arrays."""
    if isinstance(shape, PositionShape):
        return op.pixel[-1] == op.size and op.spread > 0
    if isinstance(shape, ChannelShape):
        return op.channel == op.size and op.out_filter == op.out_size
    return op.spread > 0 if shape.transposed else op.out_filter == op.out_size


def channel_shapes(op: Operand, layer: Layer, target: Target) -> Iterator[ChannelShape]:
    """Yield the tiles whose lanes are channels that fit the registers and the layer."""
    if not layer.channels == layer.filters == 1 < layer.groups or op.channel != op.size or op.out_filter != op.out_size:
        return
    columns = op.geometry.kernel_size[-1]
    for lanes in lane_counts(target.vector_bytes // op.size):
        for vectors in range(1, min(_MOST_VECTORS, -(-layer.groups // lanes)) + 1):
            # The sums, a row of weights where they fit, and one pixel.
            weights = columns * vectors if columns <= _WEIGHTS_KEPT else 1
            positions = (registers(target) - vectors - weights) // vectors
            positions = min(positions, _MOST_POSITIONS, _MOST_PRODUCTS // columns)
            if positions >= 1:
                yield ChannelShape(lanes, vectors, positions)


def filter_shapes(op: Operand, layer: Layer, target: Target) -> Iterator[FilterShape]:
    """Yield the tiles whose lanes are filters that fit the registers and the layer."""
    transposed = op.out_filter != op.out_size
    if transposed and not op.spread:
        return
    for lanes in lane_counts(target.vector_bytes // op.size):
        for vectors in range(1, min(_MOST_VECTORS, -(-layer.filters // lanes)) + 1):
            # The sums, a tap's weights, and one pixel; a single vector's pixels are broadcast by the product itself.
            positions = min(_MOST_POSITIONS, (registers(target) - vectors) // vectors)
            yield FilterShape(lanes, vectors, positions, transposed)


def position_shapes(op: Operand, layer: Layer, target: Target) -> Iterator[PositionShape]:
    """Yield the tiles whose lanes are positions that fit the registers and the layer."""
    g = op.geometry
    outer = max(0, g.ndim - 2)
    if op.pixel[-1] != op.size or not op.spread or g.stride[-1] > _MOST_STRIDE:
        return
    if outer > 1 and any(any(pair) for pair in g.padding[:outer]):
        return
    height, kernel_rows = (g.output_shape[-2], g.kernel_size[-2]) if g.ndim > 1 else (1, 1)
    columns = g.output_shape[-1]
    may_shuffle = g.dilation[-1] == 1 < g.kernel_size[-1]
    sizes = sorted({split_evenly(layer.filters, most)[0][0] for most in _FILTERS})
    full = target.vector_bytes // op.size
    for lanes in lane_counts(full):
        vectors_needed = -(-columns // lanes)
        for vectors in sorted({split_evenly(vectors_needed, most)[0][0] for most in range(1, 9)}):
            for rows in _ROWS:
                if rows > height or (rows > 1 and kernel_rows == 1):
                    break
                for filters in sizes:
                    for shuffled in (False, True)[: 1 + may_shuffle]:
                        shape = PositionShape(lanes, vectors, rows, filters, shuffled)
                        if _fits(g, shape, target):
                            yield shape


def registers(target: Target) -> int:
    """Return the vector registers that a tile may fill; the compiler needs some for itself."""
    if target.vector_bytes >= 64:
        return target.vector_registers - 1  # a product can read, and broadcast, its operand from memory
    return target.vector_registers - (2 if target.triple.startswith("x86") else 6)


def _fits(g: Geometry, shape: PositionShape, target: Target) -> bool:
    """Whether a tile's sums stay in registers, with the pixels of a line, its masks, and a weight."""
    rows, columns, stride = (g.kernel_size[-2] if g.ndim > 1 else 1), g.kernel_size[-1], g.stride[-1]
    sums = shape.filters * shape.rows * shape.vectors
    pixels = shape.vectors + stride - 1
    if shape.shuffled:
        if rows * columns * sums > _MOST_PRODUCTS or (columns - 1) // stride > shape.lanes:
            return False
        pixels += stride * (shape.vectors + 1) + 3
    if target.vector_bytes < 64:  # masks are vectors too
        pixels += shape.vectors * stride
    # Where several rows and filters meet, each line would need too many weights to read them anew.
    weights = rows * columns * shape.filters if shape.rows > 1 < shape.filters else 1
    return sums + pixels + weights <= registers(target)


def lane_counts(full: int) -> tuple[int, ...]:
    """Return a whole vector's lanes, and a half's where half vectors are as fast by the lane."""
    return (full, full // 2) if full >= 8 else (full,)
