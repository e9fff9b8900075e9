"""The model by which tiles are compared: cycles, as products, loads, caches and a tile's own cost add up.

Its numbers were fitted to measurements of one machine (docs/decisions.md); only their order decides.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from .operand import share_inside
from .schedule import split_evenly

if TYPE_CHECKING:
    from ...engine.target import Target
    from .channel_passes import ChannelShape
    from .filter_passes import FilterShape
    from .operand import Layer, Operand
    from .position_passes import PositionShape

_LATENCY = 4
"""Cycles before a sum can be added to again."""
_TILE_CYCLES = 25
"""Of a tile's own: its addresses, its first loads, the mispredicted end of its loop."""
_TAP_CYCLES = 0.5
"""Of a tap's own: its offset, its counter."""
_LINE, _WAYS = 64, 8
"""Bytes of a line of the first-level cache, and lines of a set."""
LOAD_CYCLES = 0.7
"""Of a load, of a vector or of a pixel that is broadcast, where loads set the pace."""
_STREAM = 20.0
"""Bytes a cycle of weights, which lie one behind the other."""
_NEAR_LINE, _FAR_LINE = 5.0, 9.0
"""Cycles for a line of pixels that comes from the second level of cache under pressure, or from the third."""
_FROM_SECOND_LEVEL = 3.0
"""How much longer a vector takes to load from there."""
_NOT_HIDDEN, _UNALIGNED = 0.25, 1.05
"""The share of a window's loads that its products do not hide, and how much longer all of it takes."""


def filter_cycles(op: Operand, layer: Layer, shape: FilterShape, target: Target) -> float:
    """Return the cycles of a layer whose lanes are filters."""
    g = op.geometry
    per = target.vector_cycles(shape.lanes * op.size)
    taps = layer.channels * g.taps * share_inside(g)
    total = 0.0
    for vectors, blocks in split_evenly(-(-layer.filters // shape.lanes), shape.vectors):
        for size, tiles in split_evenly(g.output_shape[-1], shape.positions):
            weights = vectors * shape.lanes * op.size
            tap = max(size * vectors * per, _LATENCY, (vectors + size) * LOAD_CYCLES, weights / _STREAM) + _TAP_CYCLES
            tap += _waiting(op, layer, weights, size, target)
            tap *= _conflicts(op.pixel[-1] * g.stride[-1], size, target)
            if shape.transposed:
                rounds = math.ceil(size / shape.lanes) * shape.lanes
                store = vectors * rounds * (math.log2(shape.lanes) + 2 * op.spread) * per
            else:
                store = size * vectors * 1.5
            total += blocks * tiles * (taps * tap + store + _TILE_CYCLES)
    return total * layer.groups * math.prod(g.output_shape[:-1]) * _narrow(shape.lanes, op, target)


def channel_cycles(op: Operand, layer: Layer, shape: ChannelShape, target: Target) -> float:
    """Return the cycles of a layer whose lanes are channels."""
    g = op.geometry
    per = target.vector_cycles(shape.lanes * op.size)
    lines = g.taps / g.kernel_size[-1] * share_inside(g)
    total = 0.0
    for vectors, blocks in split_evenly(-(-layer.groups // shape.lanes), shape.vectors):
        for size, tiles in split_evenly(g.output_shape[-1], shape.positions):
            pixels = min(size * g.kernel_size[-1], (size - 1) * g.stride[-1] + g.span[-1])
            line = max(size * g.kernel_size[-1] * vectors * per, 2 * pixels * vectors * per) + _TAP_CYCLES
            total += blocks * tiles * (lines * line + size * vectors * 2 * per + _TILE_CYCLES)
    return total * math.prod(g.output_shape[:-1]) * _narrow(shape.lanes, op, target)


def _waiting(op: Operand, layer: Layer, weights: int, positions: int, target: Target) -> float:
    """Return the cycles that a tap waits for its pixels, which a stream of weights has pushed out of near caches."""
    g = op.geometry
    taps = layer.channels * g.taps
    step = abs(op.pixel[-1]) * g.stride[-1]
    lines = positions * step / _LINE + 0.75
    if step >= _LINE:  # each position has a line of its own, which holds the next channels too
        lines = positions * min(_LINE, abs(op.channel)) / _LINE
    row = lines * _LINE * taps / g.kernel_size[-1]
    second = target.caches[1]
    if taps * weights + row <= 0.8 * second:
        return 0.0
    return lines * (_FAR_LINE if row > second / 2 else _NEAR_LINE)


def _conflicts(step: int, positions: int, target: Target) -> float:
    """Return how much longer a tap takes because its pixels compete for the same sets of the first-level cache."""
    sets = target.caches[0] // (_LINE * _WAYS)
    lines = {m * step // _LINE for m in range(positions)}
    in_a_set = max(Counter(line % sets for line in lines).values())
    return 1.0 + 0.02 * max(0, in_a_set - _WAYS // 2) if in_a_set < _WAYS else 4.0


def _narrow(lanes: int, op: Operand, target: Target) -> float:
    """Return how much longer half vectors take than their count says: twice the loads for the same sums."""
    return 1.05 if lanes * op.size < target.vector_bytes else 1.0


def position_cycles(op: Operand, layer: Layer, shape: PositionShape, target: Target) -> float:
    """Return the cycles of a layer whose lanes are positions."""
    g = op.geometry
    per = target.vector_cycles(shape.lanes * op.size)
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
        loads = lines * shape.vectors * per * ((2 if kernel_columns > 1 else 1.5) * stride + shuffles)
    window = kernel_rows * kernel_columns > 1
    held = planes * lines * (shape.lanes * shape.vectors * stride + (_LINE // op.size if window else 0)) * op.size
    if held > target.caches[0] * 0.6 and layer.filters > shape.filters:
        loads *= _FROM_SECOND_LEVEL
    total = 0.0
    for filters, blocks in split_evenly(layer.filters, shape.filters):
        chains = filters * shape.rows * shape.vectors
        weights = kernel_rows * filters
        if shape.rows > 1 and chains + shape.vectors * stride + weights * kernel_columns > target.vector_registers - 4:
            weights *= shape.rows  # there is no register for them: each row reads them anew
        column = max(kernel_rows * max(chains * per, _LATENCY), loads + weights * 0.5)
        column += _NOT_HIDDEN * loads if window else 0.0
        store = chains * 2 * op.spread * per
        total += blocks * tiles * (planes * kernel_columns * column + store + _TILE_CYCLES)
    total *= layer.groups * -(-height // shape.rows) * math.prod(g.output_shape[:-2])
    total *= _UNALIGNED if window else 1.0
    return total * _narrow(shape.lanes, op, target)
