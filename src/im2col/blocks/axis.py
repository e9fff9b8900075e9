"""One axis of an image that is convolved block by block: where blocks end, what they read, what pads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from ..spec.cuts import seen
from ..spec.padded import shown_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]
    T = TypeVar("T", int, Numbers)


_AT_ONCE = 1 << 14
"""Blocks that are laid out at once: of a long line there may be more than there is memory for."""
NOTHING = -(1 << 62)
"""Up to where places of a block are known before anything is read."""


class Piece(NamedTuple):
    """A block along one axis.

    Parameters
    ----------
    first, stop : int
        The positions that it gives.
    low, high : int
        The places that those see, in coordinates of the axis without padding.
    end : int
        Up to where pixels are read: `high`, or the end of the source's chunk, where the next block will need the rest.
    """

    first: int
    stop: int
    low: int
    high: int
    end: int


class Read(NamedTuple):
    """Pixels that are read for a block.

    Parameters
    ----------
    start, stop : int
        Which of the source.
    place : slice or ndarray
        Where they go in the block.
    order : ndarray, optional
        Which of them goes to each place; one after another if left out.
    """

    start: int
    stop: int
    place: slice | Numbers
    order: Numbers | None = None


class Fill(NamedTuple):
    """How a block is filled along one axis, in three steps.

    Parameters
    ----------
    fresh : int
        The first place that is not filled yet.
    reads : tuple of Read
    copies : tuple of (int, int)
        Places that show the same pixel as another one of the block: (to, from).
    constants : tuple of slice
        Places that show the constant.
    """

    fresh: int
    reads: tuple[Read, ...]
    copies: tuple[tuple[int, int], ...]
    constants: tuple[slice, ...]


class Axis(NamedTuple):
    """An axis of an image, with windows over it.

    Parameters
    ----------
    n : int
        Its pixels.
    span : int
        From a window's first pixel to its last one.
    stride, before, positions : int
        Pixels between positions, the padding before the axis, the positions.
    mode : str
        The padding mode.
    source_chunk, sink_chunk : int
        Pixels of a chunk of the source, and positions of one of the sink; 1 where there are none.
    """

    n: int
    span: int
    stride: int
    before: int
    positions: int
    mode: str
    source_chunk: int = 1
    sink_chunk: int = 1

    @property
    def units(self) -> int:
        """How many of the smallest blocks there are: chunks of the sink, or else of the source, or else positions."""
        if self._follows_sink:
            return max(1, -(-self.positions // self.sink_chunk))
        return max(1, min(self.positions, -(-self.n // self.source_chunk)))

    @property
    def _follows_sink(self) -> bool:
        """Whether blocks end where chunks of the sink end, which are not cut, or anywhere, where nobody has any.

        Else they end where chunks of the source end: with the last window that needs no pixel of the next one.
        """
        return self.sink_chunk > 1 or self.source_chunk == 1

    def bounds(self, units: int) -> Iterator[Numbers]:
        """Yield where blocks of so many units begin and end, in positions: of some blocks at a time, none twice."""
        chunk, whole = (self.sink_chunk, self.positions) if self._follows_sink else (self.source_chunk, self.n)
        length, last = units * chunk, 0
        for first in range(length, whole, _AT_ONCE * length):
            edges = np.arange(first, min(first + _AT_ONCE * length, whole), length)
            stops = edges if self._follows_sink else np.clip(self._complete(edges), 0, self.positions)
            found = np.unique(np.append(last, stops))
            last = int(found[-1])
            yield found
        if last < self.positions:
            yield np.array([last, self.positions])

    def count(self, units: int) -> int:
        """Return how many blocks of so many units there are."""
        if self._follows_sink:
            return -(-self.positions // (units * self.sink_chunk))
        return sum(len(bounds) - 1 for bounds in self.bounds(units))

    def lengths(self, units: int) -> set[int]:
        """Return how many positions blocks of so many units have: the longest, and those at both ends; 0 if none."""
        if self._follows_sink:
            step = min(units * self.sink_chunk, self.positions)
            return {step, self.positions - (max(self.positions - 1, 0) // max(step, 1)) * step}
        length = units * self.source_chunk
        edge = self.n - 1 - (self.n - 1) % length
        first, last = min(max(0, self._complete(length)), self.positions), self.positions
        if edge:
            last -= min(max(0, self._complete(edge)), self.positions)
        return {min(max(-(-length // self.stride), first, last), self.positions), *filter(None, (first, last))}

    def extents(self, units: int, *, rolls: bool) -> tuple[int, int]:
        """Return the most positions, and places, that a block of so many units has; `rolls` as for `pieces`."""
        positions, chunk = max(self.lengths(units)), self.source_chunk
        places = (positions - 1) * self.stride + self.span
        if rolls:
            ahead = places + chunk - 1
            if self.sink_chunk == 1 < chunk:
                ahead = units * chunk + max(self.span - 1, self.before)
            places = max(places, min(ahead, self.before + self.n))
        return positions, places

    def _complete(self, edge: T) -> T:
        """Return how many windows need no pixel from `edge` on; less than 1 if there is none."""
        return (edge + self.before - self.span) // self.stride + 1

    def pieces(self, units: int, *, rolls: bool) -> Iterator[Piece]:
        """Yield blocks of so many units; those that roll follow one another, and read what the next ones need, too."""
        for limits in self._limits(units, rolls=rolls):
            for each in zip(*(array.tolist() for array in limits), strict=True):
                yield Piece(*each)

    def _limits(self, units: int, *, rolls: bool) -> Iterator[tuple[Numbers, Numbers, Numbers, Numbers, Numbers]]:
        """Yield what pieces are made of, of some at a time."""
        for bounds in self.bounds(units):
            low, high = seen(bounds[:-1], bounds[1:], self.span, self.stride, self.before)
            yield bounds[:-1], bounds[1:], low, high, self._end(high) if rolls else high

    def _end(self, high: Numbers) -> Numbers:
        """Return up to where pixels are read: the end of a chunk, if that is within the axis."""
        chunk = self.source_chunk
        return np.where((high > 0) & (high < self.n), np.minimum(-(-high // chunk) * chunk, self.n), high)

    def fill(self, piece: Piece, known: int) -> Fill:
        """Return how a block is filled whose places before `known` are."""
        fresh = max(known, piece.low)
        # What is the image's own in the block, and what of that is to be read.
        own_first, own_stop = min(max(piece.low, 0), self.n), max(0, min(piece.end, self.n))
        start = max(own_first, fresh)
        reads = [Read(start, own_stop, slice(start - piece.low, own_stop - piece.low))] if start < own_stop else []
        copies: list[tuple[int, int]] = []
        constants: list[slice] = []
        for first, stop in ((fresh, min(0, piece.end)), (max(self.n, fresh), piece.end)):
            if first >= stop:
                continue
            if self.mode == "constant":
                constants.append(slice(first - piece.low, stop - piece.low))
                continue
            places = np.arange(first, stop)
            pixels = shown_at(places, self.n, self.mode)
            here = (pixels >= own_first) & (pixels < own_stop)
            copies += zip((places[here] - piece.low).tolist(), (pixels[here] - piece.low).tolist(), strict=True)
            if not here.all():
                far, place = pixels[~here], places[~here] - piece.low
                low = int(far.min())
                reads.append(Read(low, int(far.max()) + 1, place, far - low))
        return Fill(fresh - piece.low, tuple(reads), tuple(copies), tuple(constants))

    def pixels_read(self, units: int, *, rolls: bool) -> int:
        """Return how many pixels all blocks read, whole chunks of the source each time."""
        total, last = 0, NOTHING
        for _, _, low, _, end in self._limits(units, rolls=rolls):
            known = np.append(last, end[:-1]) if rolls else np.full(len(low), NOTHING)
            start, stop = np.clip(np.maximum(low, known), 0, self.n), np.clip(end, 0, self.n)
            total += int(self._chunks(start, stop)[start < stop].sum())
            last = int(end[-1]) if len(end) else last
            if self.mode == "constant":
                continue
            for number in np.flatnonzero((low < 0) | (end > self.n)).tolist():  # what pads may come from the other end
                fill = self.fill(Piece(0, 0, int(low[number]), 0, int(end[number])), int(known[number]))
                total += sum(int(self._chunks(read.start, read.stop)) for read in fill.reads if read.order is not None)
        return total

    def _chunks(self, start: T, stop: T) -> T:
        """Return how many pixels the chunks have in which some lie."""
        chunk = self.source_chunk
        found: T = np.minimum(-(-stop // chunk) * chunk, self.n) - start // chunk * chunk
        return found
