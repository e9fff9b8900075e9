"""The model by which tiles are compared: what products, loads, caches and a tile of its own cost, in cycles.

What differs between CPUs stands in the target's `Pace`; the numbers here were fitted (docs/decisions.md), and
``python -m bench model`` tells how well. Only their order decides. Each kind of tile adds them up for itself.
"""

from __future__ import annotations

import math
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ....engine.target import Target
    from ..view import GroupShape, View

TILE_CYCLES = 25
"""Of a tile's own: its addresses, its first loads, the mispredicted end of its loop."""
TAP_CYCLES = 0.5
"""Of a tap's own: its offset, its counter."""
_AGAIN = 1.2
"""How many times its latency passes before a sum is added to again, where there are few of them."""
LOADS_TOGETHER = 1.4
"""How many times as long as alone a load or a broadcast takes, where loads set the pace."""
LINE = 64
"""Bytes of a line of the caches."""
NEAR_LINE, _FAR_LINE = 5.0, 9.0
"""Cycles for a line of pixels that comes from the second level of cache under pressure, or from the third."""
_SECOND_LINE = 1.0
"""Cycles in which a line enters the first level of cache from the second."""
_COLLISION, _APART = 49.0, 1.3
"""Cycles for each position of a tile whose line enters a set that others enter too, but for so many of them."""
_LOST_CYCLES = 0.5
"""That products wait for lines of pixels from the second level of cache, where the next ones are no neighbours."""
_USED = 0.9
"""Of the first level of cache, from where on lines are lost before they are used again."""
_MUCH = 4.0
"""Times its ways that lines share a set, from where on the second level's sets are crowded too: twice the cycles."""
_KEPT = 0.75
"""Of a cache: what is used again after less than that finds all of its lines there."""

_SHARED = 512
"""Positions that are to share what weights cost that come from afar: memory has a line of them after some 16 cycles (12
GB/s, one core of a Zen 3 EPYC at 3 GHz), and it is multiplied with a position in one."""

FEW_POSITIONS = 4
"""MR of tiles for results whose positions meet in few sets."""
MOST_POSITIONS = 28
"""MR, at most."""
MOST_VECTORS = 4
"""NV of filters or channels, at most."""
MOST_PRODUCTS = 256
"""Products of an unrolled loop."""


def products(count: float, nbytes: int, target: Target) -> float:
    """Return the cycles of so many products of vectors, each with a sum of its own that the next tap needs."""
    return max(count * target.vector_cycles(nbytes), target.pace.latency * _AGAIN)


def arriving(view: View, group: GroupShape, weights: int, positions: int, target: Target) -> float:
    """Return the cycles in which lines that a tap reads enter the first level of cache, which loads cannot use."""
    first, pixels = target.caches[0], _lines(view, positions) * LINE
    # All tiles meet the same weights; neighbouring columns of the window, and tiles, meet pixels after all channels.
    stream = weights * _missed(group.channels * view.geometry.taps * weights / first)
    return (stream + pixels * _missed(group.channels * (pixels + weights) / first)) / LINE * _SECOND_LINE


def lost(view: View, group: GroupShape, weights: int, positions: int, target: Target) -> float:
    """Return the cycles that a tap waits for lines that were there for what is beside it, where channels are planes.

    All channels came between: too many for the cache, or for the few sets of it that planes meet whose sizes have large
    powers of two.
    """
    step, g = abs(view.channel), view.geometry
    if g.kernel_size[-1] * g.stride[-1] == 1 or step < LINE:
        return 0.0
    used = group.channels * (_lines(view, positions) * LINE + weights)
    crowd = _in_a_set(step, group.channels, target.sets) / _ways(target)
    return _LOST_CYCLES * ((used > _USED * target.caches[0] or crowd > 1) + (crowd > _MUCH))


def held_up(view: View, group: GroupShape, target: Target) -> float:
    """Return the cycles that a tap is held up by lines of its plane, which no prefetcher foresees, by its positions.

    Where all that a row of the map reads stays in the first level of cache, they are there.
    """
    g, step = view.geometry, abs(view.pixel[-1]) * view.geometry.stride[-1]
    row = group.channels * math.prod(g.kernel_size[:-1]) * g.spatial_shape[-1] * view.size
    if group.channels == 1 or abs(view.channel) < LINE or step >= LINE or row <= target.caches[0] // 2:
        return 0.0
    return target.pace.plane * step / view.size


def _missed(used: float) -> float:
    """Return the share of lines that a cache has no longer when they are used again, so many times its size later."""
    return min(1.0, max(0.0, used - _KEPT))


def waiting(view: View, weights: int, positions: int, target: Target, taps: int) -> float:
    """Return the cycles that a tap waits for its pixels, which a stream of weights has pushed out of near caches.

    `taps` are those that are multiplied before the next tile's.
    """
    lines = _lines(view, positions)
    row = lines * LINE * taps / view.geometry.kernel_size[-1]
    second = target.caches[1]
    if taps * weights + row <= 0.8 * second:
        return 0.0
    return lines * (_FAR_LINE if row > second / 2 else NEAR_LINE)


def part(taps: int, weights: int, caches: tuple[int, int, int]) -> int:
    """Return how many of the taps are multiplied together, where so many bytes of weights meet each.

    All of them, if their weights stay in the second level of cache beside pixels; else as even parts as do so.
    """
    second = caches[1]
    return taps if taps * weights <= second // 2 else -(-taps // -(-taps * weights // (second // 4)))


def from_afar(weights: int, caches: tuple[int, int, int]) -> bool:
    """Return whether all weights of a layer are more than the second level of cache has, which then keeps none."""
    return weights > caches[1]


def shared(positions: int) -> tuple[int, int]:
    """Return in how many bands the positions of an image share weights from afar, and how many images do so together.

    Examples
    --------
    >>> shared(49), shared(28 * 28)
    ((1, 10), (2, 1))
    """
    return -(-positions // _SHARED), max(1, _SHARED // positions)


def again(view: View, group: GroupShape, positions: int, target: Target) -> float:
    """Return the cycles that a tap waits for its pixels where all tiles take turns with weights from afar.

    Each turn reads them again, once for all columns of the window: the first level of cache has them no longer, as soon
    as a sibling thread on the core wants some of it.
    """
    g = view.geometry
    if not from_afar(group.channels * g.taps * group.filters * view.size, target.caches):
        return 0.0
    return _lines(view, positions) / g.kernel_size[-1] * target.pace.again


def _lines(view: View, positions: int) -> float:
    """Return how many lines of the cache a tap reads."""
    step = abs(view.pixel[-1]) * view.geometry.stride[-1]
    if step >= LINE:  # each position has a line of its own, which holds the next channels too
        return positions * min(LINE, abs(view.channel)) / LINE
    return positions * step / LINE + 0.75


def conflicts(step: int, positions: int, target: Target) -> float:
    """Return how much longer a tap takes because its pixels compete for the same sets of the first-level cache."""
    in_a_set, ways = _in_a_set(step, positions, target.sets), _ways(target)
    return 1.0 + 0.02 * max(0, in_a_set - ways // 2) if in_a_set < ways else 4.0


def crowding(step: int, filters: int, target: Target) -> float:
    """Return how much longer a tile takes to store because its filters' lines compete for the same sets."""
    # Up to twice as many as a set has wait in the store queue until their turn comes.
    return 4.0 if _in_a_set(step, filters, target.sets) > 2 * _ways(target) else 1.0


def colliding(step: int, positions: int, target: Target) -> float:
    """Return the cycles in which a tile's results, `step` bytes from one position to the next, find room in their sets.

    A line enters a set while another one leaves it: those of a few positions do so one after the other.
    """
    return _COLLISION * max(0, _in_a_set(step, positions, target.sets) - _APART)


@lru_cache(256)
def _in_a_set(step: int, count: int, sets: int) -> int:
    """Return the most lines of one of so many sets, of as many lines that lie `step` bytes apart."""
    lines = {i * step // LINE for i in range(count)}
    return max(Counter(line % sets for line in lines).values())


@lru_cache(256)
def rows_in_their_sets(step: int, positions: int, stride: int, taps: int, dilation: int, target: Target) -> int:
    """Return of how many rows of a window, at most, and at least one, the first level of cache keeps a tile's lines.

    `step` are the bytes from row to row of the image, `stride` and `dilation` the rows between neighbouring `positions`
    of the tile and between taps.
    """
    for rows in range(taps, 1, -1):
        seen = {p * stride + t * dilation for p in range(positions) for t in range(rows)}
        if max(Counter(i * step // LINE % target.sets for i in seen).values()) <= _ways(target):
            return rows
    return 1


def kept_lines(step: int, target: Target) -> int:
    """Return how many lines, `step` bytes from one to the next, the first level of cache keeps: fewer in few sets."""
    return _ways(target) * target.sets // math.gcd(target.sets, max(1, step // LINE))


def _ways(target: Target) -> int:
    """Return how many lines a set has."""
    return target.caches[0] // (LINE * target.sets)


def narrow(lanes: int, view: View, target: Target) -> float:
    """Return how much longer half vectors take than their count says: twice the loads for the same sums."""
    return 1.05 if lanes * view.size < target.vector_bytes else 1.0


def registers(target: Target) -> int:
    """Return the vector registers that a tile may fill; the compiler needs some for itself."""
    if target.vector_bytes >= 64:
        return target.vector_registers - 1  # a product can read, and broadcast, its operand from memory
    return target.vector_registers - (2 if target.triple.startswith("x86") else 6)


def fused_registers(target: Target) -> int:
    """Return the vector registers for sums and operands, where products are fused with sums: all but one, an operand's.

    So 4 positions × 3 vectors take the 16 registers of AVX2. Dot products may leave their sum to another instruction.
    """
    return target.vector_registers - 1 if target.has_fma and not target.is_arm else registers(target)


def dot_registers(target: Target, dot: str) -> int:
    """Return the vector registers for sums and operands of dot products, called as `Numbers.dot` does.

    One that is made of several instructions keeps a constant in another.
    """
    return registers(target) - (dot == "u1i7")


def lane_counts(full: int) -> tuple[int, ...]:
    """Return a whole vector's lanes, and a half's where half vectors are as fast by the lane."""
    return (full, full // 2) if full >= 8 else (full,)
