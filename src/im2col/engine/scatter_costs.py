"""What a strided sum costs, in cycles: a model of the loops of its kernel.

The constants were fitted to a thousand random sums of float32, of one to three axes in both orientations, on a Zen 5
with AVX-512; ``python -m bench frames --nests`` measures every way to make a sum beside the one that is chosen.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .scatter_plan import FEW_VECTORS, KEPT_LINES, PIXELS, VECTORS, nests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .scatter_plan import SumPlan, Walk

_VECTOR_BYTES = 64
_LINE, _PHASE, _BLOCK, _EDGE, _TAP, _PIECE = 14.05, 21.17, 2.26, 0.19, 1.21, 0.4
"""A turn of each loop, beside what is inside; an edge is a block of single pixels whose taps must be looked for."""
_NEXT = 0.76
"""What share of a line, and of a phase, the next block of their pixels costs."""
_DIVISION = 10.93
"""To look for taps that are several pixels apart."""
_VECTOR, _MASKED, _MASK, _PIXEL = 2.61, 0.87, 6.09, 0.68
"""To add a vector, a masked one; to make its mask, once for all pieces; to add a pixel."""
_STORE, _STORE_APART, _FILL = 0.41, 0.53, 0.07
"""To store a pixel by itself; more where it is far from the one before; to set one to 0 among others."""
_READ_APART = 0.09
"""More to read a value where it is far from the one before."""
_FAR_BYTES = 2048
"""From what step on a pixel or a value is far."""
_WRITTEN = 150.0
"""To write a line of a table that is not kept for the next call."""


def plan_sum(walks: Sequence[Walk], total_size: int, value_size: int) -> SumPlan:
    """Return the cheapest nest for a sum.

    Parameters
    ----------
    walks : sequence of Walk
        In the order of the image's axes.
    total_size, value_size : int
        Bytes of a pixel and of an entry.

    Returns
    -------
    SumPlan
    """
    return min(nests(walks, total_size, value_size), key=lambda plan: cycles(plan, total_size))


def cycles(plan: SumPlan, total_size: int) -> float:
    """Return about how many cycles a plan takes whose pixels have so many bytes."""
    lanes, per_vector = plan.lanes, _VECTOR_BYTES // total_size
    lines = math.prod(walk.n for walk in plan.table)
    pieces = math.prod(min(w.taps, w.taps * w.positions / max(1, w.n)) for w in plan.table)  # of a line, on average
    phases, width = min(lanes.stride, lanes.n), -(-lanes.n // lanes.stride)
    # Of pixels that lie side by side, those without a tap are set to 0 together.
    fills = plan.together > 0 and plan.apart == 0
    walked = min(phases, lanes.taps) if fills else phases
    taps = lanes.taps / lanes.taps_apart * phases / walked  # of a phase
    if plan.dense_values:
        sums = _vectors(plan, width, taps, pieces, per_vector)
    else:
        sums = _one_by_one(plan, width, taps, pieces)
    step = abs(lanes.pixel * lanes.stride)
    stores = 1 / per_vector if plan.apart else _STORE + _STORE_APART * _share(step, _FAR_BYTES)
    turns = 1 + _NEXT * (-(-width // max(1, plan.block(walked))) - 1)
    line = walked * (turns * _PHASE + sums + width * stores)
    if plan.together:  # lines without pieces are set to 0, too
        line = min(1.0, pieces) * line + _FILL * lanes.n * (1.0 if walked < phases else max(0.0, 1 - pieces))
    return lines * (plan.planes.n * (turns * _LINE + line) + (_WRITTEN if lines > KEPT_LINES else 0.0))


def _vectors(plan: SumPlan, width: int, taps: float, pieces: float, per_vector: int) -> float:
    """Return what the sums of a phase cost as vectors: a tap is walked for a block if it meets any of it."""
    positions, block = plan.lanes.positions, VECTORS * per_vector
    start = _BLOCK + (_DIVISION if plan.lanes.positions_apart > 1 else 0)
    one = _loops(plan, start, _met(plan, taps, per_vector), _TAP + _MASK, pieces, _MASKED)
    if positions <= FEW_VECTORS * per_vector:
        return -(-width // per_vector) * one
    met = _met(plan, taps, block)
    partly = min(1.0, 2 * block / (positions + block))  # the share of taps for which some lanes have no position
    add = VECTORS * (partly * _MASKED + (1 - partly) * _VECTOR)
    several = _loops(plan, start, met, _TAP + partly * _MASK, pieces, add)
    blocks, rest = divmod(width, block)
    if rest > per_vector:
        one = _loops(plan, start, met, _TAP + _MASK, pieces, VECTORS * _MASKED)
    return blocks * several + (one if rest else 0.0)


def _one_by_one(plan: SumPlan, width: int, taps: float, pieces: float) -> float:
    """Return what the sums of a phase cost pixel by pixel: together as far as no tap begins or ends."""
    apart, value = plan.lanes.positions_apart, _PIXEL + _READ_APART * _share(plan.lanes.position, _FAR_BYTES)
    start = _EDGE + (_DIVISION if apart > 1 else 0)
    inside = max(0.0, min(width, plan.lanes.positions - max(0.0, taps - 1) * apart))
    parts = max(1.0, min(width - inside, 2 * (taps - 1)))
    total = 0.0
    for count, pixels, met in ((1, inside, taps), (parts, width - inside, _met(plan, taps, 1))):
        if pixels:
            blocks, rest = divmod(pixels / count, PIXELS)
            each = _loops(plan, _BLOCK, met, _TAP, pieces, PIXELS * value)
            total += count * (start + blocks * each + rest * _loops(plan, _BLOCK, met, _TAP, pieces, value))
    return total


def _loops(plan: SumPlan, block: float, taps: float, tap: float, pieces: float, value: float) -> float:
    """Return what the loops over taps and pieces cost, for what is summed at once: a turn of each, and a value."""
    if plan.inside:
        return block + pieces * (_PIECE + taps * (tap + value))
    return block + taps * (tap + pieces * (_PIECE + value))


def _met(plan: SumPlan, taps: float, block: int) -> float:
    """Return how many taps of a phase meet any of so many pixels."""
    apart, positions = plan.lanes.positions_apart, plan.lanes.positions
    if positions == apart and max(block, apart) % min(block, apart) == 0:  # side by side, and blocks begin with them
        return min(taps, max(1.0, block / apart))
    return min(taps, (block + positions) / apart)


def _share(step: int, nbytes: int) -> float:
    """Return how much of what has so many bytes a step leaves."""
    return min(1.0, abs(step) / nbytes)
