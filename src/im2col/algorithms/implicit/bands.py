"""A copy of an image made band by band, each just before it is read: it never leaves the second level of cache.

A band is what some rows of the map read, so neighbouring bands share the rows that both of their windows reach.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...engine.compiler import EngineError
from ...importing import importing
from .view import LINE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ...engine.copies import Move
    from ...engine.sequence import Step
    from .view import Copy, View

    Rows = tuple[NDArray[np.int64], int]

_KEPT = 1 / 4
"""Of the second level of cache: a band, beside which there is room for weights and results."""


class Band(NamedTuple):
    """What is copied and then read.

    Parameters
    ----------
    rows : tuple of (int, int)
        Of each run's table: those that are computed.
    first, stop : int
        Along the first spatial axis of `Source.shape`.
    """

    rows: tuple[tuple[int, int], ...]
    first: int
    stop: int


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
        if view.geometry.ndim == 1 and merges:  # the copy's merge, too: else the view would have more axes
            shape, to, origin = [math.prod(shape)], to[-1:], origin[-1:]
        per = to[0] // view.pixel[0]
        return cls((channels, *shape), (channel, *to), (strides[0], *origin), per)


class BandedCopy(NamedTuple):
    """A copy of which a band at a time is made, and how the kernels see it: all of it, from its first pixel on."""

    view: View
    copy: Copy
    origin: tuple[int, ...]
    """Strides of the image, (N, C, *spatial)."""

    @property
    def source(self) -> Source:
        """The image and its copy."""
        return Source.of(self.view, self.copy, self.origin[1:])

    def bands(self, runs: Sequence[Rows], limits: Sequence[tuple[int, int]], second: int) -> list[Band]:
        """Cut some rows of each run's table into bands, for a second level of cache of so many bytes.

        Parameters
        ----------
        runs : sequence of (ndarray, int)
            As `TileRun.starts`, of each run.
        limits : sequence of (int, int)
            Of each run, the rows that are cut.
        second : int
        """
        g, per = self.view.geometry, self.source.per
        step, (before, _), span, n = g.stride[0], g.padding[0], g.span[0], g.output_shape[0]
        # What windows of neighbouring bands share is copied twice: at most a third of all.
        most = max(int(_KEPT * second) // (self.view.pixel[0] * step), 2 * (span - step) // step, 1)
        count = -(-n // most)
        along = self.view.out_position[0]
        places = [(starts // along, length if g.ndim == 1 else 1) for starts, length in runs]
        bands = []
        for i in range(count):
            edges = [n * i // count, n * (i + 1) // count]
            rows, low, high = [], n, 0
            for (starts, length), limit in zip(places, limits, strict=True):
                first, stop = np.clip(np.searchsorted(starts, edges), *limit).tolist()
                rows.append((first, stop))
                if first < stop:
                    low, high = min(low, int(starts[first])), max(high, int(starts[stop - 1]) + length)
            if low < high:
                top, bottom = max(0, low * step - before), min(g.spatial_shape[0], (high - 1) * step - before + span)
                bands.append(Band(tuple(rows), top // per, -(-max(top, bottom) // per)))
        return bands

    def room_bytes(self, bands: Sequence[Band]) -> int:
        """Return the bytes of a band's copy and of what is turned before it is converted, of whole lines of the cache."""
        most = max(band.stop - band.first for band in bands)
        return self._copied_bytes(most) + sum(_lines(each.nbytes) for each in self._moves(self.source.shape[0], most)[1:])

    def _copied_bytes(self, rows: int) -> int:
        return _lines(rows * self.source.to[1])

    def _moves(self, channels: int, rows: int) -> list[Move]:
        """Return what copies so many channels and rows."""
        with importing:
            from ...engine.copies import Move, turned  # a layer that is read in place copies nothing

        source, copy = self.source, self.copy
        shape = channels, rows, *source.shape[2:]
        return turned(Move(shape, source.to, source.origin, copy.dtype, copy.given, copy.offset))

    def steps(
        self, band: Band, channels: tuple[int, int], room: tuple[int, int], x: tuple[int, int], most: int
    ) -> list[Step]:
        """Return what copies some channels of a band.

        Parameters
        ----------
        band : Band
        channels : (int, int)
            First and stop.
        room, x : (int, int)
            The numbers of arrays, and bytes before the band's copy and before the image.
        most : int
            Rows of the largest band, behind whose copy there is room.

        Raises
        ------
        EngineError
            If a kernel cannot be compiled, after the engine's warning.
        """
        with importing:
            from ...engine.copies import Copies

        source, (first, stop) = self.source, channels
        copies, (number, start) = Copies(), room
        to, origin = first * source.to[0], first * source.origin[0] + band.first * source.origin[1]
        moves = self._moves(stop - first, band.stop - band.first)
        between = number, start + self._copied_bytes(most)
        if not copies.moves(moves, (number, start + to), (x[0], x[1] + origin), between):
            raise EngineError("copy")
        return copies.steps


def _lines(nbytes: int) -> int:
    """Return so many bytes in whole lines of the cache."""
    return -(-nbytes // LINE) * LINE
