"""TIFF files written strip by strip, behind Pillow's directory of tags."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from .sink import Sink, on_all_threads

if TYPE_CHECKING:
    from typing import BinaryIO

    from numpy.typing import NDArray
    from PIL.Image import Exif

    from .photograph import Pixels

STRIP = 1 << 20
"""Bytes of a strip."""
_CLASSIC = 4_000_000_000
"""Bytes of pixels that the offsets of a classic TIFF file reach; beyond, it is a BigTIFF."""
_BLACK_IS_ZERO, _RGB = 1, 2
_UNSIGNED, _FLOAT = 1, 3
_ALPHA = 2
_DEFLATE, _DIFFERENCES = 8, 2
_OFFSETS, _COUNTS, _XMP, _ICC = 273, 279, 700, 34675


class TiffSink(Sink):
    """A TIFF file that takes rows.

    Strips lie one behind the other, after the directory, which is written again, over itself, when their sizes are
    known.

    Parameters
    ----------
    file : binary file
        Open for writing, and at its start.
    pixels : Pixels
        What is to be written; of its metadata what TIFF holds.
    exif : Exif or None
        Which becomes a part of the directory.
    compression : int
        The level of deflate: 0 is none.
    threads : int
        Which compress strips.
    """

    def __init__(self, file: BinaryIO, pixels: Pixels, exif: Exif | None, compression: int, threads: int) -> None:
        super().__init__(file)
        self._pixels, self._exif = pixels, exif
        self._compression, self._threads = compression, threads
        height, width, planes = pixels.shape
        self._row = row = width * planes * pixels.dtype.itemsize
        self._big = height * row > _CLASSIC
        self._rows = max(1, STRIP // row)
        self._counts = [row * min(self._rows, height - top) for top in range(0, height, self._rows)]
        self._written: list[int] = []
        self._pending: list[NDArray[Any]] = []
        """Rows that make no whole strip."""
        self._write_directory()
        self._start = file.tell()
        """Where pixels begin."""

    @property
    def rows(self) -> int:
        """How many the file has, from which it can be gone on with: those of whole strips, if they are compressed."""
        if self._compression:
            return min(len(self._written) * self._rows, self._pixels.shape[0])
        return (self._file.tell() - self._start) // self._row

    @property
    def state(self) -> list[int]:
        """The bytes of strips that are compressed."""
        return self._written.copy()

    def go_on(self, rows: int, state: list[int]) -> bool:
        """Go on with a file that has so many rows."""
        self._written, self.wanted = state, rows
        if not self._compression:
            return self._cut(self._start + rows * self._row)
        return self.rows == rows and min(state) > 0 and self._cut(self._start + sum(state))

    def write(self, rows: NDArray[Any]) -> None:
        """Write rows; those of a strip that is not whole wait for the others."""
        if not self._compression:
            self._file.write(_as_stored(rows))
            return
        waiting = np.concatenate([*self._pending, rows])
        whole = len(waiting) // self._rows * self._rows
        self._write_strips([waiting[top : top + self._rows] for top in range(0, whole, self._rows)])
        self._pending = [waiting[whole:].copy()]

    def finish(self) -> None:
        """Write what waits, and where everything lies."""
        if not self._compression:
            return
        self._write_strips([rows for rows in self._pending if len(rows)])
        self._counts = self._written
        self._file.seek(0)
        self._write_directory()

    def _write_strips(self, strips: list[NDArray[Any]]) -> None:
        for part in on_all_threads(self._compress, strips, self._threads):
            self._written.append(len(part))
            self._file.write(part)

    def _compress(self, rows: NDArray[Any]) -> bytes:
        if rows.dtype.kind == "u":
            differences = rows.copy()
            differences[:, 1:] -= rows[:, :-1]
            rows = differences
        return zlib.compress(_as_stored(rows), self._compression)

    def _write_directory(self) -> None:
        from PIL.TiffImagePlugin import ImageFileDirectory_v2

        metadata, dtype = self._pixels.metadata, self._pixels.dtype
        height, width, planes = self._pixels.shape
        directory = ImageFileDirectory_v2(b"II+\0" + bytes(12) if self._big else b"II*\0" + bytes(4))
        for tag in (_OFFSETS, _COUNTS):  # or Pillow would choose 16 bits for small ones, and add to them
            directory.tagtype[tag] = 16 if self._big else 4
        tops = np.cumsum([0, *self._counts])[:-1]
        entries: dict[int, Any] = {
            256: width,
            257: height,
            258: (8 * dtype.itemsize,) * planes,
            259: _DEFLATE if self._compression else 1,
            262: _RGB if planes > 2 else _BLACK_IS_ZERO,
            _OFFSETS: tuple(map(int, tops)),  # from where the directory ends, as Pillow has it
            277: planes,
            278: self._rows,
            _COUNTS: tuple(self._counts),
            284: 1,
            339: (_FLOAT if self._pixels.maximum is None else _UNSIGNED,) * planes,
        }
        if self._compression and dtype.kind == "u":
            entries[317] = _DIFFERENCES
        if planes > self._pixels.colours:
            entries[338] = _ALPHA
        if metadata.dpi:
            entries |= {282: metadata.dpi[0], 283: metadata.dpi[1], 296: 2}
        if metadata.xmp:
            entries[_XMP] = metadata.xmp
        if metadata.icc_profile:
            entries[_ICC] = metadata.icc_profile
        if self._exif is not None:
            for tag, value in self._exif.items():
                directory[tag] = value
        for tag, value in entries.items():
            directory[tag] = value
        directory.save(self._file)


def _as_stored(rows: NDArray[Any]) -> memoryview:
    """Return the bytes of rows as they lie in the file."""
    return np.ascontiguousarray(rows, rows.dtype.newbyteorder("<")).data.cast("B")
