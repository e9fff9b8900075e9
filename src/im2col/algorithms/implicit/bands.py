"""A copy of an image made band by band, each just before it is read: it never leaves the second level of cache.

A band is what some rows of the map read, so neighbouring bands share the rows that both of their windows reach. Where
channels are planes, a band is what some groups read.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...engine.compiler import EngineError
from ...engine.sequence import Round
from ...importing import importing
from .view import LINE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from ...engine.copies import Move
    from .view import Copy, View

    Rows = tuple[NDArray[np.int64], int]

_KEPT = 1 / 4
"""Of the second level of cache: a band, beside which there is room for weights and results."""
_PLANES_KEPT = 1 / 16
"""The same of planes: the first level of cache."""


class Band(NamedTuple):
    """What is copied and then read.

    Parameters
    ----------
    rows : tuple of (int, int)
        Of each run's table: those that are computed.
    first, stop : int
        Along the first spatial axis of `Source.shape`.
    groups : (int, int)
        Those that are computed.
    """

    rows: tuple[tuple[int, int], ...]
    first: int
    stop: int
    groups: tuple[int, int]


class Source(NamedTuple):
    """An image and its copy with axes (C, *spatial), as few of them as both allow.

    Parameters
    ----------
    shape : tuple of int
    to, origin : tuple of int
        Strides of the copy and of the image, in bytes.
    per : int
        How many steps of the view's first axis one of the first spatial axis here is.
    """

    shape: tuple[int, ...]
    to: tuple[int, ...]
    origin: tuple[int, ...]
    per: int

    @classmethod
    def of(cls, view: View, copy: Copy, strides: tuple[int, ...]) -> Source:
        """Return that of an image with these strides of (C, *spatial)."""
        (channels, *shape), (channel, *to) = copy.shape, copy.strides
        origin = [stride * step for stride, step in zip(strides[1:], copy.step, strict=True)]
        merges = all(outer == n * inner for outer, n, inner in zip(origin, shape[1:], origin[1:], strict=False))
        if (
            view.geometry.ndim == 1 and merges and not copy.pads
        ):  # the copy's merge, too: else the view would have more axes
            shape, to, origin = [math.prod(shape)], to[-1:], origin[-1:]
        per = to[0] // view.pixel[0]
        return cls((channels, *shape), (channel, *to), (strides[0], *origin), per)


class BandedCopy(NamedTuple):
    """A copy of which a band at a time is made, and how the kernels see it: all of it, from its first pixel on."""

    view: View
    copy: Copy
    groups: int
    origin: tuple[int, ...]
    """Strides of the image, (N, C, *spatial)."""

    @property
    def source(self) -> Source:
        """The image and its copy."""
        return Source.of(self.view, self.copy, self.origin[1:])

    @property
    def planes(self) -> bool:
        """Whether channels are planes, and each band is whole planes."""
        return self.copy.strides[-1] == self.copy.dtype.itemsize

    @property
    def group_channels(self) -> int:
        """How many channels a group has, as they are copied."""
        return self.copy.shape[0] // self.groups

    def bands(
        self, runs: Sequence[Rows], limits: Sequence[tuple[int, int]], groups: tuple[int, int], second: int
    ) -> list[Band]:
        """Cut some rows of each run's table and some groups into bands, for a second level of cache of so many bytes.

        Parameters
        ----------
        runs : sequence of (ndarray, int)
            As `TileRun.starts`, of each run.
        limits : sequence of (int, int)
            Of each run, the rows that are cut.
        groups : (int, int)
        second : int
        """
        if self.planes:
            return self._bands_of_planes(limits, groups, second)
        g, per = self.view.geometry, self.source.per
        step, (before, _), span, n = g.stride[0], g.padding[0], g.span[0], g.output_shape[0]
        # What windows of neighbouring bands share is copied twice: at most a third of all.
        most = max(int(_KEPT * second) // (self.view.pixel[0] * step), 2 * (span - step) // step, 1)
        count = -(-n // most)
        along = self.view.out_position[0]
        edges = n * np.arange(count + 1) // count
        low, high, rows = np.full(count, n), np.zeros(count, np.int64), []
        # All bands at once: a great image has a hundred thousand.
        for (starts, length), limit in zip(runs, limits, strict=True):
            cuts = np.clip(np.searchsorted(starts // along, edges), *limit)
            first, stop = cuts[:-1], cuts[1:]
            rows.append(list(zip(first.tolist(), stop.tolist(), strict=True)))
            some = np.flatnonzero(first < stop)
            low[some] = np.minimum(low[some], starts[first[some]] // along)
            last = starts[stop[some] - 1] // along + (length if g.ndim == 1 else 1)
            high[some] = np.maximum(high[some], last)
        top = np.maximum(0, low * step - before)
        bottom = np.maximum(top, np.minimum(g.spatial_shape[0], (high - 1) * step - before + span))
        edges_of = zip((low < high).tolist(), (top // per).tolist(), (-(-bottom // per)).tolist(), strict=True)
        return [
            Band(each, start, end, groups)
            for each, (some_rows, start, end) in zip(zip(*rows, strict=True), edges_of, strict=True)
            if some_rows
        ]

    def _bands_of_planes(self, limits: Sequence[tuple[int, int]], groups: tuple[int, int], second: int) -> list[Band]:
        """Cut some groups into bands."""
        some = max(1, int(_PLANES_KEPT * second) // (self.group_channels * self.copy.strides[0]))
        starts = range(*groups, some)
        return [Band(tuple(limits), 0, self.source.shape[1], (at, min(at + some, groups[1]))) for at in starts]

    def room_bytes(self, bands: Sequence[Band]) -> int:
        """Return the bytes of a band's copy, and of what is written before it, in whole lines of the cache."""
        with importing:
            from .turned import bytes_between

        most = self._largest(bands)
        rows = min(most.stop, self.source.shape[1] - sum(sum(pair) for pair in self.copy.pads[:1]))
        return self._copied_bytes(most) + _lines(bytes_between(self._moves(most, rows)))

    def _largest(self, bands: Sequence[Band]) -> Band:
        """Return a band that has room for any of some."""
        rows = max(band.stop - band.first for band in bands)
        groups = max(last - first for first, last in (band.groups for band in bands))
        return bands[0]._replace(first=0, stop=rows, groups=(0, groups))

    def _copied_bytes(self, band: Band) -> int:
        """Return the bytes of a band's copy; of all channels, where it is not of planes."""
        channels, rows = (band.groups[1] - band.groups[0]) * self.group_channels, band.stop - band.first
        to = self.copy.strides
        return _lines(channels * to[0] if self.planes else rows * self.source.to[1])

    def start(self, band: Band) -> int:
        """Return how many bytes of the whole copy lie before a band's."""
        planes = band.groups[0] * self.group_channels if self.planes else 0
        return planes * self.copy.strides[0] + band.first * self.source.to[1]

    def _moves(self, band: Band, rows: int) -> list[Move]:
        """Return what copies so many rows of the groups of a band."""
        with importing:
            from ...engine.copies import Move  # a layer that is read in place copies nothing
            from .turned import turned

        source, copy = self.source, self.copy
        others = source.shape[2:]
        if copy.pads:
            others = tuple(n - sum(pair) for n, pair in zip(others, copy.pads[1:], strict=True))
        shape = (band.groups[1] - band.groups[0]) * self.group_channels, rows, *others
        return turned(Move(shape, source.to, source.origin, copy.dtype, copy.given, copy.offset))

    def rounds(
        self, bands: Sequence[Band], room: tuple[int, int], x: tuple[int, int], keep: list[Any]
    ) -> Iterator[list[Round]]:
        """Yield what copies each band.

        Parameters
        ----------
        bands : sequence of Band
        room, x : (int, int)
            The numbers of arrays, and bytes before the bands' copies and before the image.
        keep : list
            What is to be kept for them is added.

        Raises
        ------
        EngineError
            If a kernel cannot be compiled, after the engine's warning.
        """
        with importing:
            from ...engine.copies import Copies, filling
            from .turned import add_turned

        source, pads, (number, start) = self.source, self.copy.pads, room
        nbytes = self._copied_bytes(self._largest(bands))
        before, after = pads[0] if pads else (0, 0)
        for band in bands:
            first, stop = max(band.first, before), min(band.stop, source.shape[1] - after)
            channel, copies = band.groups[0] * self.group_channels, Copies()
            rounds: list[Round] = []
            if pads and (band is bands[0] or not self.planes):  # the border of planes stays as it is
                rounds.append(Round(sums=[filling(room, nbytes, self.copy.fill, keep)]))
            if first < stop:
                to = channel * source.to[0] * (not self.planes) + (first - band.first) * source.to[1]
                to += sum(pair[0] * step for pair, step in zip(pads[1:], source.to[2:], strict=False))
                origin = x[1] + channel * source.origin[0] + (first - before) * source.origin[1]
                moves = self._moves(band, stop - first)
                if not add_turned(copies, moves, (number, start + to), (x[0], origin), (number, start + nbytes)):
                    raise EngineError("copy")
                keep.append(copies)
            yield [*rounds, Round(copies.steps)]


def _lines(nbytes: int) -> int:
    """Return so many bytes in whole lines of the cache."""
    return -(-nbytes // LINE) * LINE
