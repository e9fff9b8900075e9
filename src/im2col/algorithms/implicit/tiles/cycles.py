"""The model by which tiles are compared: what products, loads, caches and a tile of its own cost, in cycles.

Its numbers were fitted to measurements of one machine (docs/decisions.md); only their order decides. Each kind of tile
adds them up for itself.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ....engine.target import Target
    from ..view import GroupShape, View

LATENCY = 4
"""Cycles before a sum can be added to again."""
TILE_CYCLES = 25
"""Of a tile's own: its addresses, its first loads, the mispredicted end of its loop."""
TAP_CYCLES = 0.5
"""Of a tap's own: its offset, its counter."""
LOAD_CYCLES = 0.7
"""Of a load, of a vector or of a pixel that is broadcast, where loads set the pace."""
STREAM = 20.0
"""Bytes a cycle of weights, which lie one behind the other."""
LINE, _WAYS = 64, 8
"""Bytes of a line of the first-level cache, and lines of a set."""
_NEAR_LINE, _FAR_LINE = 5.0, 9.0
"""Cycles for a line of pixels that comes from the second level of cache under pressure, or from the third."""

MOST_POSITIONS = 28
"""MR, at most."""
MOST_VECTORS = 4
"""NV of filters or channels, at most."""
MOST_PRODUCTS = 256
"""Products of an unrolled loop."""


def waiting(view: View, group: GroupShape, weights: int, positions: int, target: Target) -> float:
    """Return the cycles that a tap waits for its pixels, which a stream of weights has pushed out of near caches."""
    g = view.geometry
    taps = group.channels * g.taps
    step = abs(view.pixel[-1]) * g.stride[-1]
    lines = positions * step / LINE + 0.75
    if step >= LINE:  # each position has a line of its own, which holds the next channels too
        lines = positions * min(LINE, abs(view.channel)) / LINE
    row = lines * LINE * taps / g.kernel_size[-1]
    second = target.caches[1]
    if taps * weights + row <= 0.8 * second:
        return 0.0
    return lines * (_FAR_LINE if row > second / 2 else _NEAR_LINE)


def conflicts(step: int, positions: int, target: Target) -> float:
    """Return how much longer a tap takes because its pixels compete for the same sets of the first-level cache."""
    sets = target.caches[0] // (LINE * _WAYS)
    lines = {m * step // LINE for m in range(positions)}
    in_a_set = max(Counter(line % sets for line in lines).values())
    return 1.0 + 0.02 * max(0, in_a_set - _WAYS // 2) if in_a_set < _WAYS else 4.0


def narrow(lanes: int, view: View, target: Target) -> float:
    """Return how much longer half vectors take than their count says: twice the loads for the same sums."""
    return 1.05 if lanes * view.size < target.vector_bytes else 1.0


def registers(target: Target) -> int:
    """Return the vector registers that a tile may fill; the compiler needs some for itself."""
    if target.vector_bytes >= 64:
        return target.vector_registers - 1  # a product can read, and broadcast, its operand from memory
    return target.vector_registers - (2 if target.triple.startswith("x86") else 6)


def lane_counts(full: int) -> tuple[int, ...]:
    """Return a whole vector's lanes, and a half's where half vectors are as fast by the lane."""
    return (full, full // 2) if full >= 8 else (full,)
