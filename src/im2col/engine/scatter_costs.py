"""What a strided sum costs, in cycles: a model of the loops of its kernel.

The constants were fitted to 340 random sums of float32, of one to three axes in both orientations, on a Zen 5 with
AVX-512; ``python -m bench frames --nests`` measures every way to make a sum beside the one that this model chooses.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .scatter_plan import KEPT_LINES, nests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .scatter_plan import SumPlan, Walk

_VECTOR_BYTES = 64
_VECTORS, _PIXELS = 4, 8
"""Vectors, or single pixels, that a kernel sums at once, where there are so many."""
_FEW_VECTORS = 2
"""Vectors of positions for which it sums one at a time."""
_LINE, _PHASE, _BLOCK, _EDGE, _TAP, _PIECE = 8.2, 33.0, 4.35, 6.0, 1.81, 0.42
"""A turn of each loop, beside what is inside; an edge is a block of single pixels whose taps must be looked for."""
_DIVISION = 17.3
"""To look for taps that are several pixels apart."""
_VECTOR, _MASKED, _PIXEL = 2.84, 2.55, 0.41
"""To add one vector of several, a masked one, a pixel."""
_STORE, _STORE_APART, _FILL = 0.32, 0.52, 0.09
"""To store a pixel by itself; more where it has a cache line of its own; to set one to 0 among others."""
_PAGE = 0.33
"""To read or write on a page of its own."""
_LINE_BYTES, _PAGE_BYTES = 64, 4096
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
    taps = lanes.taps * math.gcd(lanes.stride, lanes.dilation) / lanes.stride * phases / walked  # of a phase
    if plan.dense_values:
        sums = _vectors(plan, width, taps, pieces, per_vector)
    else:
        sums = _one_by_one(plan, width, taps, pieces)
    step = abs(lanes.pixel * lanes.stride)
    stores = 1 / per_vector if plan.apart else _STORE + _STORE_APART * _share(step, _LINE_BYTES) + _paged(step)
    line = _LINE + walked * (_PHASE + sums + width * stores) * (min(1.0, pieces) if fills else 1.0)
    if fills and (walked < phases or pieces < 1):
        line += _FILL * lanes.n
    return lines * (plan.planes.n * line + (_WRITTEN if lines > KEPT_LINES else 0.0))


def _vectors(plan: SumPlan, width: int, taps: float, pieces: float, per_vector: int) -> float:
    """Return what the sums of a phase cost as vectors: a tap is walked for a block if it meets any of it."""
    positions, block = plan.lanes.positions, _VECTORS * per_vector
    whole = max(0, positions - block) / (positions + block)
    blocks, rest = divmod(width, block) if positions > _FEW_VECTORS * per_vector else (0, width)
    each = _VECTORS * (whole * _VECTOR + (1 - whole) * _MASKED)
    start = _BLOCK + (_DIVISION if _apart(plan) > 1 else 0)
    several = blocks * _loops(plan, start, _met(plan, taps, block), pieces, each)
    return several + -(-rest // per_vector) * _loops(plan, start, _met(plan, taps, per_vector), pieces, _MASKED)


def _one_by_one(plan: SumPlan, width: int, taps: float, pieces: float) -> float:
    """Return what the sums of a phase cost pixel by pixel: together where no tap begins or ends among them."""
    apart, value = _apart(plan), _PIXEL + _paged(plan.lanes.position)
    inside = max(0, min(width, plan.lanes.positions - max(0.0, taps - 1) * apart)) // _PIXELS
    together = max(0.0, 1 - (_PIXELS - 1) / apart) ** 2 if taps > 1 else 1.0
    met, start = _met(plan, taps, 1), _EDGE + (_DIVISION if apart > 1 else 0)
    edge = together / _PIXELS * _loops(plan, start, met, pieces, _PIXELS * value)
    edge += (1 - together) * _loops(plan, start, met, pieces, value)
    return inside * _loops(plan, _BLOCK, taps, pieces, _PIXELS * value) + (width - _PIXELS * inside) * edge


def _loops(plan: SumPlan, block: float, taps: float, pieces: float, value: float) -> float:
    """Return what the loops over taps and pieces cost, for what is summed at once."""
    if plan.inside:
        return block + pieces * (_TAP + taps * (_TAP + value))
    return block + taps * (_TAP + pieces * (_PIECE + value))


def _met(plan: SumPlan, taps: float, block: int) -> float:
    """Return how many taps of a phase meet any of so many pixels."""
    return min(taps, (block + plan.lanes.positions) / _apart(plan))


def _apart(plan: SumPlan) -> int:
    """Return how many pixels of a phase are from one tap to the next."""
    return plan.lanes.dilation // math.gcd(plan.lanes.stride, plan.lanes.dilation)


def _paged(step: int) -> float:
    return _PAGE * _share(step, _PAGE_BYTES)


def _share(step: int, nbytes: int) -> float:
    """Return how much of what has so many bytes a step leaves."""
    return min(1.0, abs(step) / nbytes)
