"""A copy of an image made band by band, each just before it is read: it never leaves the second level of cache.

A band is what some rows of the map read, so neighbouring bands share the rows that both of their windows reach.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...engine.compiler import required
from ...engine.sequence import Step
from ...importing import importing
from .view import LINE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

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
        """Return the bytes of a band's copy, of whole lines of the cache."""
        most = max(band.stop - band.first for band in bands)
        return -(-most * self.source.to[1] // LINE) * LINE

    def steps(self, band: Band, channels: tuple[int, int], room: tuple[int, int], x: tuple[int, int]) -> list[Step]:
        """Return what copies some channels of a band.

        Parameters
        ----------
        band : Band
        channels : (int, int)
            First and stop.
        room, x : (int, int)
            The numbers of arrays, and bytes before the band's copy and before the image.

        Raises
        ------
        EngineError
            If a kernel cannot be compiled, after the engine's warning.
        """
        with importing:
            from ...engine.gather_plan import plan_copy  # a layer that is read in place copies nothing

        source, (first, stop) = self.source, channels
        shape = stop - first, band.stop - band.first, *source.shape[2:]
        to, origin = first * source.to[0], first * source.origin[0] + band.first * source.origin[1]
        return [
            Step(
                required(call.kernel, None),
                ((room[0], room[1] + to + call.dst_offset), (x[0], x[1] + origin + call.src_offset)),
                call.arguments,
            )
            for call in plan_copy(shape, source.to, source.origin, self.copy.dtype.itemsize)
        ]
