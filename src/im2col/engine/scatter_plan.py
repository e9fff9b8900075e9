"""How a strided sum is made: which axis lies along the lanes, and which loops go around it.

A sum is a nest of axes. Along each, position o and tap t meet at one pixel, ``o·stride + t·dilation - before``; an axis
without a window has one tap. Positions and taps play the same part in that, so that either may lie along the lanes of a
vector: positions where they lie side by side in the matrix, taps where a patch is one long row. `scatter_costs` chooses
the cheapest. The order in which the copies of a pixel are added does not depend on it.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

VECTORS, PIXELS = 4, 8
"""Vectors of pixels, or single pixels, that a kernel sums at once where there are so many: whole cache lines of each
piece in turn, and more sums than both adders of a CPU have under way."""
FEW_VECTORS = 2
"""Vectors of positions up to which it sums one vector at a time."""
INTERLEAVED = (2, 3, 4)
"""Strides whose phases a kernel stores together."""
_BLOCK_BYTES = 32 << 10
"""Of the image or the matrix that a block of pixels spans, where phases or planes share its cache lines."""
_BLOCK_PIXELS = 16
"""A block is a multiple of it: a cache has room for so many lines that are a power of two apart."""
KEPT_LINES = 32 << 10
"""Lines of an image of which the tables are remembered: a megabyte."""


class Walk(NamedTuple):
    """One axis: position o and tap t meet at pixel o·stride + t·dilation - before.

    Parameters
    ----------
    n, taps, positions : int
        How many pixels, taps and positions there are; what lies outside the pixels is dropped.
    stride, dilation, before : int
        Of the window.
    pixel, tap, position : int
        Bytes from one to the next: in the image, and in the matrix.
    """

    n: int
    taps: int
    positions: int
    stride: int
    dilation: int
    before: int
    pixel: int
    tap: int
    position: int

    def exchanged(self) -> Walk:
        """Return the same axis with positions called taps, and taps positions."""
        n, taps, positions, stride, dilation, before, pixel, tap, position = self
        return Walk(n, positions, taps, dilation, stride, before, pixel, position, tap)

    def part(self, start: int, stop: int) -> Walk:
        """Return the axis of the pixels start <= i < stop: the others are dropped as if they were padding."""
        return self._replace(n=stop - start, before=self.before + start)

    def positions_met(self) -> range:
        """Return the positions at which any tap may lie on a pixel."""
        first = max(0, -((self.dilation * (self.taps - 1) - self.before) // self.stride))
        return range(first, max(first, min(self.positions, (self.n - 1 + self.before) // self.stride + 1)))

    def over(self, positions: range, tap: int, position: int) -> Walk:
        """Return the axis over a copy of some of its positions, whose entries lie so many bytes apart."""
        before = self.before - positions.start * self.stride
        return self._replace(positions=len(positions), before=before, tap=tap, position=position)

    @property
    def taps_met(self) -> int:
        """How many taps are apart by whole strides, of which a pixel meets those that have a position."""
        return -(-self.taps * math.gcd(self.stride, self.dilation) // self.stride)

    @property
    def most_met(self) -> int:
        """How many taps meet a pixel at most."""
        return min(self.taps_met, self.exchanged().taps_met)

    @property
    def does_nothing(self) -> bool:
        """Whether one pixel is one entry."""
        return self.n == self.taps == self.positions == 1 and self.before == 0

    @property
    def is_plain(self) -> bool:
        """Whether each pixel is a position, as in an axis of channels."""
        return self.taps == 1 and self.n == self.positions and self.stride == 1 and self.before == 0

    @property
    def taps_apart(self) -> int:
        """How many taps it is from one that meets a pixel to the next."""
        return self.stride // math.gcd(self.stride, self.dilation)

    @property
    def positions_apart(self) -> int:
        """How many positions it is between them, the other way."""
        return self.dilation // math.gcd(self.stride, self.dilation)


class SumPlan(NamedTuple):
    """A nest: the axis along the lanes, the one that a kernel loops over, and those in its tables.

    Parameters
    ----------
    lanes : Walk
    backwards : bool
        Whether the taps of `lanes` are walked from the last to the first, since they are the window's positions.
    inside : bool
        Whether the taps of `lanes` are the innermost loop, inside those of all other axes; else they are the outermost.
    planes : Walk
        An axis without a window.
    table : tuple of Walk
        In the order of the image's axes.
    order : tuple of int
        The axes of `table` from the one whose taps change slowest to the fastest.
    dense_values : bool
        Whether neighbouring positions of `lanes` lie side by side in the matrix.
    together : int
        The pixels of `lanes`, if they lie side by side in the image, or 0.
    apart : int
        Where both are so, the stride of `lanes` if a kernel stores all phases together, 1 or one of `INTERLEAVED`;
        else 0.
    """

    lanes: Walk
    backwards: bool
    inside: bool
    planes: Walk
    table: tuple[Walk, ...]
    order: tuple[int, ...]
    dense_values: bool = False
    together: int = 0
    apart: int = 0

    @property
    def axes(self) -> tuple[Walk, ...]:
        """All axes, from the outermost loop to the innermost."""
        return (*self.table, self.planes, self.lanes)

    def block(self, phases: int) -> int:
        """Return how many pixels of each of so many phases are made before those of the next line or plane."""
        lanes, width = self.lanes, -(-self.lanes.n // self.lanes.stride)
        # What lies between the entries, or the pixels, of one line belongs to other lines, planes and phases.
        spanned = max(abs(lanes.position), abs(lanes.pixel * lanes.stride), 1)
        steps = (step for w in self.table for n, step in ((w.taps, w.tap), (w.positions, w.position)) if n > 1)
        shares = self.planes.n > 1 or phases > 1 or any(abs(step) < abs(lanes.position) for step in steps)
        if not shares or self.apart:
            return width
        return min(width, max(1, _BLOCK_BYTES // spanned // _BLOCK_PIXELS) * _BLOCK_PIXELS)

    def with_axes(self, axes: Iterable[Walk]) -> SumPlan:
        """Return the plan with others in the place of `axes`."""
        *table, planes, lanes = axes
        together = lanes.n if self.together else 0
        return self._replace(table=tuple(table), planes=planes, lanes=lanes, together=together)


def nests(walks: Sequence[Walk], total_size: int, value_size: int) -> list[SumPlan]:
    """Return every nest that adds in the one order: taps of the last axis change slowest, then those of the first axis.

    Parameters
    ----------
    walks : sequence of Walk
        In the order of the image's axes.
    total_size, value_size : int
        Bytes of a pixel and of an entry.

    Returns
    -------
    list of SumPlan
    """
    # A window that stops once has its taps where others have their positions: no pixel is met twice.
    every = _merged([_unwound(w.exchanged() if w.positions == 1 else w) for w in walks])
    last = len(every) - 1
    windows = [i for i in (last, *range(last)) if every[i].taps > 1]
    kept = [i for i, walk in enumerate(every) if not walk.does_nothing] or [last]
    plans = []
    for i in kept:
        others = [k for k in kept if k != i]
        if every[i].taps == 1:
            plans.append(_around(every, every[i], others, windows))
        elif i in {windows[0], windows[-1]}:
            plan = _around(every, every[i], others, windows)._replace(inside=i != windows[0])
            plans += [plan, plan._replace(lanes=plan.lanes.exchanged(), backwards=True)]
    return [_laid_out(plan, total_size, value_size) for plan in plans]


def _unwound(walk: Walk) -> Walk:
    """Return an axis whose entries lie in the order of its pixels, one each, as one of as many positions of one tap."""
    for each in (walk, walk.exchanged()):
        n, taps, positions, stride, dilation, before, pixel, tap, position = each
        if dilation == 1 and stride == taps > 1 and position == stride * tap:
            return Walk(n, 1, positions * taps, 1, 1, before, pixel, 0, tap)
    return walk


def _laid_out(plan: SumPlan, total_size: int, value_size: int) -> SumPlan:
    """Return a plan that knows how its lanes lie in memory."""
    lanes = plan.lanes
    dense = lanes.position == value_size
    together = lanes.n if lanes.pixel == total_size else 0
    apart = lanes.stride if dense and together and lanes.stride in (1, *INTERLEAVED) else 0
    return plan._replace(dense_values=dense, together=together, apart=apart)


def _merged(walks: Sequence[Walk]) -> list[Walk]:
    """Return the axes with those that are one in memory as one, and one that does nothing in the place of the other."""
    merged = list(walks)
    pairs = list(itertools.permutations(range(len(merged)), 2))
    while True:
        found = ((i, j, _one(merged[i], merged[j])) for i, j in pairs)
        i, j, one = next((each for each in found if each[2] is not None), (0, 0, None))
        if one is None:
            return merged
        merged[i], merged[j] = one, Walk(1, 1, 1, 1, 1, 0, 0, 0, 0)


def _one(outer: Walk, inner: Walk) -> Walk | None:
    """Return two axes as one, or None where they are not one in memory."""
    if not inner.is_plain or inner.does_nothing:
        return None
    n = inner.n
    if outer.stride == 1 and (outer.pixel, outer.position) == (n * inner.pixel, n * inner.position):
        # Beside the next tap lies the next but n of the smaller pixels.
        sizes = outer.n * n, outer.taps, outer.positions * n, 1, outer.dilation * n, outer.before * n
        return Walk(*sizes, inner.pixel, outer.tap, inner.position)
    if outer.dilation == 1 and (outer.pixel, outer.tap) == (n * inner.pixel, n * inner.position):
        # The same of positions and taps that have changed places: of the smaller pixels, each has a tap.
        sizes = outer.n * n, outer.taps * n, outer.positions, outer.stride * n, 1, outer.before * n
        return Walk(*sizes, inner.pixel, inner.position, outer.position)
    return None


def _around(every: Sequence[Walk], lanes: Walk, others: Sequence[int], windows: Sequence[int]) -> SumPlan:
    """Return the plan with one axis along the lanes; the longest without a window is the kernel's loop of planes."""
    plain = max((i for i in others if every[i].is_plain), key=lambda i: every[i].n, default=None)
    planes = Walk(1, 1, 1, 1, 1, 0, 0, 0, 0) if plain is None else every[plain]
    table = [i for i in others if i != plain]
    # Axes with one tap decide nothing of the order.
    order = sorted(range(len(table)), key=lambda k: windows.index(table[k]) if table[k] in windows else -1)
    return SumPlan(lanes, False, False, planes, tuple(every[i] for i in table), tuple(order))
