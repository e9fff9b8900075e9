"""A photograph's rows as numbers, padded and band by band: each is converted once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine.threads import run_parallel
from ..spec.padded import modes_along, source_index
from .pixel_kernels import as_planes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ..spec.geometry import Geometry
    from ..spec.padded import Mode
    from .photograph import Rows

_AT_ONCE = 1 << 17
"""Samples that a thread converts at once."""
BAND_SAMPLES = 1 << 18
"""Samples of the photograph that are converted for a band, at least, and moved or converted at once, at most: 1 MiB of
float32."""
_TOGETHER = 4
"""Bands of one thread that several threads share, and whose rows of the result are handed on together, at most."""


class Bands:
    """The padded photograph, as planes of floating-point numbers, of which one band is in memory at a time.

    A band is some one and a half times as high as the window, at least, so that the rows that two bands share, which
    are moved and not converted again, are at most two thirds of it.

    Parameters
    ----------
    photo : Rows
        With alpha, the planes are the colours multiplied by it, and alpha itself.
    geometry : Geometry
        Of the window on the photograph.
    mode : str or tuple of str
        The padding mode. What is outside is opaque.
    dtype : dtype
        Of the planes.
    threads : int
        Which convert rows.
    one_height : bool
        Whether bands have one height, whatever the threads: where sums might depend on it.
    """

    def __init__(
        self, photo: Rows, geometry: Geometry, mode: Mode, dtype: np.dtype[Any], threads: int, *, one_height: bool
    ) -> None:
        self._photo, self._geometry, self._dtype, self._threads = photo, geometry, dtype, threads
        self._modes = modes_along(mode, 2)
        self._width = geometry.padded_shape[1]
        rows, step, span = geometry.output_shape[0], geometry.stride[0], geometry.span[0]
        room = BAND_SAMPLES // (self._width * self.planes)
        wanted = max(room, span, step) // step
        bands = _power_of_two(min(_TOGETHER, max(1, _TOGETHER * room // (wanted * step))))
        alone = -(-rows // (bands * -(-rows // (bands * wanted))))
        self.together = bands * alone
        """Rows of the result that are handed on together, whatever the threads: where a file is cut follows them."""
        self.rows = alone * (bands if one_height else min(bands, _power_of_two(threads)))
        """Rows of the result that a band gives; the last may give fewer."""
        self._at_once = max(1, room)
        """Rows that are moved or converted at once."""
        # Those under a band, and those that are shown again beyond the edge.
        mirrored = 0 if self._modes[0] in {"edge", "constant"} else max(geometry.padding[0])
        photo.look_back(self.shape(self.rows)[1] + self._at_once + mirrored)

    @property
    def planes(self) -> int:
        """Colours, and alpha."""
        return self._photo.planes

    def shape(self, rows: int) -> tuple[int, int, int]:
        """Return the shape of a band from which the window makes so many rows."""
        return self.planes, (rows - 1) * self._geometry.stride[0] + self._geometry.span[0], self._width

    @property
    def nbytes(self) -> int:
        """Bytes of a band, of a copy of a part of it, and of what says which row or column each padded one shows."""
        planes, height, width = self.shape(self.rows)
        rows = height + min(height, self._at_once)
        return planes * rows * width * self._dtype.itemsize + 8 * sum(self._geometry.padded_shape)

    def open(self) -> None:
        """Allocate the band."""
        (height, width), (down, across) = self._geometry.spatial_shape, self._geometry.padding
        # Of padding that is a constant: the complement of the row at the edge, which is read in its place.
        outside = source_index(height, *down, self._modes[0]) < 0
        nearest = np.clip(np.arange(len(outside)) - down[0], 0, height - 1)
        self._row_of = np.where(outside, ~nearest, source_index(height, *down, self._modes[0]))
        self._column_of = source_index(width, *across, self._modes[1])
        self._buffer = np.empty(self.shape(self.rows), self._dtype)
        self._start = self._stop = 0
        """The padded rows that are in the buffer."""

    def band(self, first: int, last: int) -> NDArray[Any]:
        """Return the planes from which rows `first` to `last` of the result are made; bands are asked for in order."""
        height = self.shape(last - first)[1]
        start = first * self._geometry.stride[0]
        shared, down = max(0, self._stop - start), start - self._start
        for row in range(0, shared, self._at_once):  # or NumPy, which copies what overlaps, would copy all of it
            stop = min(row + self._at_once, shared)
            self._buffer[:, row:stop] = self._buffer[:, row + down : stop + down]
        for row in range(shared, height, self._at_once):
            stop = min(row + self._at_once, height)
            self._fill(self._buffer[:, row:stop], self._row_of[start + row : start + stop])
        self._start, self._stop = start, start + height
        return self._buffer[:, :height]

    def _fill(self, part: NDArray[Any], rows: NDArray[np.int64]) -> None:
        """Read rows of the photograph, and convert them on all threads."""
        at_once = max(1, _AT_ONCE // part[:, 0].size)
        for first, pixels in _taken(self._photo, rows):
            tops = range(0, len(pixels), at_once)

            def convert(top: int, first: int = first, pixels: NDArray[Any] = pixels) -> None:
                place = slice(first + top, min(first + top + at_once, first + len(pixels)))
                self._convert(part[:, place], pixels[top : top + at_once], rows[place])

            run_parallel([partial(convert, top) for top in tops], self._threads)

    def _convert(self, part: NDArray[Any], pixels: NDArray[Any], rows: NDArray[np.int64]) -> None:
        """Make planes of pixels, multiply them by alpha, and pad them; of rows that are padding nothing remains."""
        photo, opaque = self._photo, self._photo.maximum or 1
        left, width = self._geometry.padding[1][0], self._geometry.spatial_shape[1]
        inside = part[:, :, left : left + width]
        transparent = photo.planes > photo.colours
        with np.errstate(all="ignore"):
            as_planes(pixels, inside)
            colours, alpha = inside[: photo.colours], inside[-1]
            if transparent:
                colours *= alpha
                np.copyto(colours, 0, where=alpha == 0)  # a NaN that nobody sees, too
        constant = np.zeros(len(part), part.dtype)
        if transparent:
            constant[-1] = opaque
        inside[:, rows < 0] = constant[:, None, None]
        for columns in (slice(0, left), slice(left + width, None)):
            source = self._column_of[columns]
            part[:, :, columns] = constant[:, None, None] if self._modes[1] == "constant" else inside[:, :, source]


def _power_of_two(limit: int) -> int:
    """Return the greatest power of two that is at most a positive number."""
    return 1 << limit.bit_length() - 1


def rows_at(photo: Rows, rows: NDArray[np.int64]) -> NDArray[Any]:
    """Return rows of a photograph by their numbers, (n, W, C)."""
    return np.concatenate([pixels for _, pixels in _taken(photo, rows)])


def _taken(photo: Rows, rows: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield rows by their numbers, or complements of them, neighbours together, each with the place of the first."""
    place = 0
    rows = np.where(rows < 0, ~rows, rows)
    for numbers in np.split(rows, np.flatnonzero(np.abs(np.diff(rows)) > 1) + 1):
        first = int(numbers.min())
        pixels = photo.pixels(slice(first, int(numbers.max()) + 1))
        in_order = len(pixels) == len(numbers) and bool((np.diff(numbers) > 0).all())
        yield place, pixels if in_order else pixels[numbers - first]
        place += len(numbers)
