"""PNG files written piece by piece; pieces are compressed on all threads."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .metadata import described, png_chunk
from .png_filters import filtered
from .sink import Sink, on_all_threads

if TYPE_CHECKING:
    from typing import Any, BinaryIO

    from numpy.typing import NDArray
    from PIL.Image import Exif

    from .photograph import Pixels

PIECE = 1 << 18
"""Bytes of rows that are compressed together, at least, unless the file has fewer."""
_COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}
"""PNG's number of a kind of pixel, by its samples."""


class _Piece(NamedTuple):
    """Some rows, and what stands before them.

    Parameters
    ----------
    above : ndarray of uint8, (row,)
        The row above the first.
    rows : ndarray of uint8, (n, row)
    """

    above: NDArray[np.uint8]
    rows: NDArray[np.uint8]


class PngSink(Sink):
    """A PNG file that takes rows.

    Each piece is a raw stream of deflate that ends on a whole byte, as pigz has it: one behind the other they are one
    stream. Where rows are cut into pieces does not depend on the threads.

    Parameters
    ----------
    file : binary file
        Open for writing.
    pixels : Pixels
        What is to be written; of its metadata what PNG holds.
    exif : Exif or None
    compression : int
        The level of deflate, 0 to 9.
    threads : int
        Which filter and compress.
    """

    def __init__(self, file: BinaryIO, pixels: Pixels, exif: Exif | None, compression: int, threads: int) -> None:
        super().__init__(file)
        self._level, self._threads = compression, threads
        height, width, planes = pixels.shape
        self._pixel = planes * pixels.dtype.itemsize
        self._above: NDArray[np.uint8] | None = np.zeros(width * self._pixel, np.uint8)
        """The last row; None where it is wanted."""
        self._rows, self._checksum = 0, 1
        self._head = b"\x78\x01"  # of zlib's stream: deflate with a window of 32 KiB
        header = struct.pack(">IIBBBBB", width, height, 8 * pixels.dtype.itemsize, _COLOURS[planes], 0, 0, 0)
        file.writelines([b"\x89PNG\r\n\x1a\n", png_chunk(b"IHDR", header), *described(pixels.metadata, exif)])

    @property
    def rows(self) -> int:
        """How many the file has."""
        return self._rows

    @property
    def state(self) -> list[int]:
        """The bytes of the file, and the checksum of its rows until then."""
        return [self._file.tell(), self._checksum]

    def go_on(self, rows: int, state: list[int]) -> bool:
        """Go on with a file that has so many rows: from the last one, from which the next one is predicted."""
        size, self._checksum = state if len(state) == 2 else (0, 1)
        self._rows, self._head, self._above, self.wanted = rows, b"", None, rows - 1
        return self._cut(size)

    def write(self, rows: NDArray[Any]) -> None:
        """Filter and compress rows."""
        stored = np.ascontiguousarray(rows, rows.dtype.newbyteorder(">")).view(np.uint8).reshape(len(rows), -1)
        above, stored = (stored[0].copy(), stored[1:]) if self._above is None else (self._above, stored)
        at_once = max(1, PIECE // stored.shape[1])
        pieces = [
            _Piece(stored[top - 1] if top else above, stored[top : top + at_once])
            for top in range(0, len(stored), at_once)
        ]
        self._above = stored[-1].copy() if len(stored) else above
        for lines, data in on_all_threads(self._compressed, pieces, self._threads):
            self._checksum = zlib.adler32(lines.data, self._checksum)
            self._put(data)
        self._rows += len(stored)

    def finish(self) -> None:
        """Write the end of the stream, and of the file."""
        self._put(zlib.compressobj(0, zlib.DEFLATED, -15).flush() + struct.pack(">I", self._checksum))
        self._file.write(png_chunk(b"IEND", b""))

    def _compressed(self, piece: _Piece) -> tuple[NDArray[np.uint8], bytes]:
        """Return the filtered rows of a piece, and what is made of them."""
        lines = filtered(piece.rows, piece.above, self._pixel, choose=self._level > 0)
        stream = zlib.compressobj(self._level, zlib.DEFLATED, -15, 9, zlib.Z_FILTERED)
        return lines, stream.compress(lines.data) + stream.flush(zlib.Z_SYNC_FLUSH)

    def _put(self, data: bytes) -> None:
        self._file.write(png_chunk(b"IDAT", self._head + data))
        self._head = b""
