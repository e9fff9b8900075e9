"""Which tile a layer gets: every tile that fits the registers, by a model of the cycles it would take."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from .channel_passes import ChannelShape
from .filter_passes import FilterShape
from .operand import share_inside
from .position_passes import PositionShape
from .schedule import split_evenly

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...engine.target import Target
    from ...geometry import Geometry
    from .operand import Operand

_LATENCY = 4
"""Cycles before a sum can be added to again."""
_TILE_CYCLES = 25
"""Of a tile's own: its addresses, its first loads, the mispredicted end of its loop."""
_TAP_CYCLES = 0.5
"""Of a tap's own: its offset, its counter."""
_LINE, _WAYS = 64, 8
"""Bytes of a line of the first-level cache, and lines of a set."""
_MOST_POSITIONS = 28
_MOST_VECTORS = 4
_SECOND_LEVEL, _THIRD_LEVEL = 12.0, 8.0
"""Bytes a cycle of the caches' outer levels, with all the latency that remains."""
_FROM_SECOND_LEVEL = 3.0
"""How much longer a vector takes to load from there."""
_UNALIGNED = 1.08
"""How much longer a window of more than one pixel takes: its vectors straddle lines."""
_WEIGHTS_KEPT = 8
"""Columns of a window up to which a row of its weights stays in registers."""
_MOST_PRODUCTS = 256
"""Products of an unrolled loop."""
_FILTERS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16)
_ROWS = (1, 2, 3, 4, 5, 6, 7, 8)
_MOST_STRIDE = 3
"""Columns between positions up to which a vector of them is shuffled out of wider loads."""


Shape = FilterShape | PositionShape | ChannelShape


class Layer(NamedTuple):
    """What the choice depends on besides the operand: groups, channels and filters of a group."""

    groups: int
    channels: int
    filters: int


class Choice(NamedTuple):
    """A tile and the cycles that the model gives it, with the best tile of each other kind."""

    shape: Shape
    cycles: float
    others: tuple[tuple[Shape, float], ...] = ()

    def __str__(self) -> str:
        others = "".join(f"; {shape}: {cycles:.3g}" for shape, cycles in self.others)
        return f"{self.shape}: {self.cycles:.3g} cycles by the model{others}"


def choose(op: Operand, layer: Layer, target: Target) -> Choice:
    """Return the tile with the fewest cycles.

    Parameters
    ----------
    op : Operand
    layer : Layer
    target : Target
    """
    kinds = (
        (channel_shapes, _channel_cycles),
        (filter_shapes, _filter_cycles),
        (position_shapes, _position_cycles),
    )
    best = []
    for shapes, cycles in kinds:
        candidates = [(shape, cycles(op, layer, shape, target)) for shape in shapes(op, layer, target)]
        if candidates:
            best.append(min(candidates, key=lambda pair: pair[1]))
    (shape, least), *others = sorted(best, key=lambda pair: pair[1])
    return Choice(shape, least, tuple(others))


def can_walk(shape: Shape, op: Operand) -> bool:
    """Whether what a tile loads or stores as a vector lies side by side in the arrays."""
    if isinstance(shape, PositionShape):
        return op.pixel[-1] == op.size and op.out_position[-1] == op.out_size
    if isinstance(shape, ChannelShape):
        return op.channel == op.size and op.out_filter == op.out_size
    return op.out_size == (op.out_position[-1] if shape.transposed else op.out_filter)


def channel_shapes(op: Operand, layer: Layer, target: Target) -> Iterator[ChannelShape]:
    """Yield the tiles whose lanes are channels that fit the registers and the layer."""
    if not layer.channels == layer.filters == 1 < layer.groups or op.channel != op.size or op.out_filter != op.out_size:
        return
    columns = op.geometry.kernel_size[-1]
    for lanes in _lane_counts(target.vector_bytes // op.size):
        for vectors in range(1, min(_MOST_VECTORS, -(-layer.groups // lanes)) + 1):
            # The sums, a row of weights where they fit, and one pixel.
            weights = columns * vectors if columns <= _WEIGHTS_KEPT else 1
            positions = (target.vector_registers - 1 - vectors - weights) // vectors
            positions = min(positions, _MOST_POSITIONS, _MOST_PRODUCTS // columns)
            if positions >= 1:
                yield ChannelShape(lanes, vectors, positions)


def filter_shapes(op: Operand, layer: Layer, target: Target) -> Iterator[FilterShape]:
    """Yield the tiles whose lanes are filters that fit the registers and the layer."""
    transposed = op.out_filter != op.out_size
    if transposed and op.out_position[-1] != op.out_size:
        return
    for lanes in _lane_counts(target.vector_bytes // op.size):
        for vectors in range(1, min(_MOST_VECTORS, -(-layer.filters // lanes)) + 1):
            # The sums, a tap's weights, and one pixel; a single vector's pixels are broadcast by the product itself.
            positions = min(_MOST_POSITIONS, (target.vector_registers - 1 - vectors) // vectors)
            yield FilterShape(lanes, vectors, positions, transposed)


def position_shapes(op: Operand, layer: Layer, target: Target) -> Iterator[PositionShape]:
    """Yield the tiles whose lanes are positions that fit the registers and the layer."""
    g = op.geometry
    outer = max(0, g.ndim - 2)
    if op.pixel[-1] != op.size or op.out_position[-1] != op.out_size or g.stride[-1] > _MOST_STRIDE:
        return
    if outer > 1 and any(any(pair) for pair in g.padding[:outer]):
        return
    height, kernel_rows = (g.output_shape[-2], g.kernel_size[-2]) if g.ndim > 1 else (1, 1)
    columns = g.output_shape[-1]
    may_shuffle = g.dilation[-1] == 1 < g.kernel_size[-1]
    sizes = sorted({split_evenly(layer.filters, most)[0][0] for most in _FILTERS})
    full = target.vector_bytes // op.size
    for lanes in _lane_counts(full):
        vectors_needed = -(-columns // lanes)
        for vectors in sorted({split_evenly(vectors_needed, most)[0][0] for most in range(1, 9)}):
            for rows in _ROWS:
                if rows > height or (rows > 1 and kernel_rows == 1):
                    break
                for filters in sizes:
                    weights = 1 if rows == 1 else kernel_rows * filters
                    kept = filters * rows * vectors + weights + 1
                    if kept + vectors <= target.vector_registers:
                        yield PositionShape(lanes, vectors, rows, filters, False)
                    # A line's pixels by their remainder of the stride, and those of one column.
                    pixels = g.stride[-1] * (vectors + 1) + vectors
                    unrolled = _products(g, rows, vectors, filters) <= _MOST_PRODUCTS
                    if may_shuffle and unrolled and kept + pixels <= target.vector_registers:
                        yield PositionShape(lanes, vectors, rows, filters, True)


def _products(g: Geometry, rows: int, vectors: int, filters: int) -> int:
    return math.prod(g.kernel_size[-2:]) * rows * vectors * filters


def _lane_counts(full: int) -> tuple[int, ...]:
    """Return a whole vector's lanes, and a half's where half vectors are as fast by the lane."""
    return (full, full // 2) if full >= 8 else (full,)


def _cycles_of_a_vector(lanes: int, op: Operand, target: Target) -> float:
    """Return the cycles that an operation on a vector takes: one for the widest, half for shorter ones."""
    return 1.0 if lanes * op.size == target.vector_bytes >= 64 else 0.5


def _filter_cycles(op: Operand, layer: Layer, shape: FilterShape, target: Target) -> float:
    g = op.geometry
    per = _cycles_of_a_vector(shape.lanes, op, target)
    taps = layer.channels * g.taps * share_inside(g)
    total = 0.0
    for vectors, blocks in split_evenly(-(-layer.filters // shape.lanes), shape.vectors):
        for size, tiles in split_evenly(g.output_shape[-1], shape.positions):
            tap = max(size * vectors * per, _LATENCY, vectors * per + size * 0.5) + _TAP_CYCLES
            tap = max(tap, _waiting(op, layer, vectors * shape.lanes, size, target))
            tap *= _conflicts(op.pixel[-1] * g.stride[-1], size, target)
            if shape.transposed:
                rounds = math.ceil(size / shape.lanes) * shape.lanes
                store = vectors * rounds * (math.log2(shape.lanes) + 2) * per
            else:
                store = size * vectors * 1.5
            total += blocks * tiles * (taps * tap + store + _TILE_CYCLES)
    return total * layer.groups * math.prod(g.output_shape[:-1]) * _narrow(shape.lanes, op, target)


def _channel_cycles(op: Operand, layer: Layer, shape: ChannelShape, target: Target) -> float:
    g = op.geometry
    per = _cycles_of_a_vector(shape.lanes, op, target)
    lines = g.taps / g.kernel_size[-1] * share_inside(g)
    total = 0.0
    for vectors, blocks in split_evenly(-(-layer.groups // shape.lanes), shape.vectors):
        for size, tiles in split_evenly(g.output_shape[-1], shape.positions):
            pixels = min(size * g.kernel_size[-1], (size - 1) * g.stride[-1] + g.span[-1])
            line = max(size * g.kernel_size[-1] * vectors * per, 2 * pixels * vectors * per) + _TAP_CYCLES
            total += blocks * tiles * (lines * line + size * vectors * 2 * per + _TILE_CYCLES)
    return total * math.prod(g.output_shape[:-1]) * _narrow(shape.lanes, op, target)


def _waiting(op: Operand, layer: Layer, filters: int, positions: int, target: Target) -> float:
    """Return the cycles in which a tap's weights and pixels arrive from where they stay between two tiles."""
    g = op.geometry
    taps = layer.channels * g.taps
    weights = filters * op.size
    step = abs(op.pixel[-1]) * g.stride[-1]
    if step >= _LINE:  # each position has a line of its own, which holds the next channels too
        pixels = positions * min(_LINE, abs(op.channel))
    else:
        pixels = (positions * step / _LINE + 0.75) * _LINE
    row = pixels * taps / g.kernel_size[-1]
    first, second = target.caches[:2]
    if taps * weights + row <= first:
        return 0.0
    held = 0.0 if row <= first // 2 else pixels
    return (weights + held) / (_SECOND_LEVEL if taps * weights + row <= second else _THIRD_LEVEL)


def _conflicts(step: int, positions: int, target: Target) -> float:
    """Return how much longer a tap takes because its pixels compete for the same sets of the first-level cache."""
    sets = target.caches[0] // (_LINE * _WAYS)
    lines = {m * step // _LINE for m in range(positions)}
    in_a_set = max(Counter(line % sets for line in lines).values())
    return 1.0 + 0.02 * max(0, in_a_set - _WAYS // 2) if in_a_set < _WAYS else 4.0


def _narrow(lanes: int, op: Operand, target: Target) -> float:
    """Return how much longer half vectors take than their count says: twice the loads for the same sums."""
    return 1.05 if lanes * op.size < target.vector_bytes else 1.0


def _position_cycles(op: Operand, layer: Layer, shape: PositionShape, target: Target) -> float:
    g = op.geometry
    per = _cycles_of_a_vector(shape.lanes, op, target)
    kernel_rows, kernel_columns = (g.kernel_size[-2] if g.ndim > 1 else 1), g.kernel_size[-1]
    height = g.output_shape[-2] if g.ndim > 1 else 1
    stride = g.stride[-1]
    row_stride, row_dilation = (g.stride[-2], g.dilation[-2]) if g.ndim > 1 else (1, 1)
    lines = len({r * row_stride + k * row_dilation for r in range(shape.rows) for k in range(kernel_rows)})
    planes = layer.channels * math.prod(g.kernel_size[:-2])
    tiles = -(-g.output_shape[-1] // (shape.lanes * shape.vectors))
    if shape.shuffled:
        shifts = max(0, kernel_columns - stride)
        wide = shape.vectors + (kernel_columns > stride)
        shuffles = (wide * (stride if stride > 1 else 0) + shape.vectors * shifts) / kernel_columns
        loads = lines * per * (wide * 1.5 * stride / kernel_columns + 0.75 * shuffles)
    else:
        shuffles = 0 if stride == 1 else 2 * stride - 1
        loads = lines * shape.vectors * per * (1.5 * stride + shuffles)
    window = kernel_rows * kernel_columns > 1
    held = planes * lines * (shape.lanes * shape.vectors * stride + (_LINE // op.size if window else 0)) * op.size
    if held > target.caches[0] * 0.6 and layer.filters > shape.filters:
        loads *= _FROM_SECOND_LEVEL
    total = 0.0
    for filters, blocks in split_evenly(layer.filters, shape.filters):
        chains = filters * shape.rows * shape.vectors
        column = max(kernel_rows * max(chains * per, _LATENCY), loads + kernel_rows * filters * 0.5)
        store = chains * 2 * per
        total += blocks * tiles * (planes * kernel_columns * column + store + _TILE_CYCLES)
    total *= layer.groups * -(-height // shape.rows) * math.prod(g.output_shape[:-2])
    total *= _UNALIGNED if window else 1.0
    return total * _narrow(shape.lanes, op, target)
