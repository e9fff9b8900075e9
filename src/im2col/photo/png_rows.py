"""The rows of a PNG file, decoded as they are asked for."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

from .decoding import decoding
from .photograph import Blank, Rows
from .png_filters import unfiltered

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from typing import Any, BinaryIO

    from numpy.typing import NDArray

    from .photograph import Metadata

_GREY, _RGB, _PALETTE, _GREY_ALPHA, _RGBA = 0, 2, 3, 4, 6
_SAMPLES = {_GREY: 1, _RGB: 3, _PALETTE: 1, _GREY_ALPHA: 2, _RGBA: 4}
_PIECE = 1 << 16
"""Bytes of the file that are decompressed at a time."""
_AT_ONCE = 1 << 20
"""Bytes of rows that are decoded together, at most, unless one row has more."""


class PngHeader:
    """What the chunks before the pixels say of them.

    Parameters
    ----------
    chunks : mapping of bytes to bytes
        IHDR, and PLTE and tRNS where the file has them.
    """

    def __init__(self, chunks: dict[bytes, bytes]) -> None:
        header: tuple[int, ...] = struct.unpack(">IIBBBBB", chunks[b"IHDR"][:13])
        self.width, self.height, self.depth, self.colour, _, _, self.interlace = header
        self.palette, self.transparent = chunks.get(b"PLTE"), chunks.get(b"tRNS")

    @property
    def in_rows(self) -> bool:
        """Whether rows can be had one by one: not of interlaced files, nor of transparent colours of 16 bits."""
        if self.interlace or self.colour not in _SAMPLES or (self.colour == _PALETTE and not self.palette):
            return False
        return not (self.transparent and self.depth == 16)

    @property
    def samples(self) -> int:
        """Samples of a pixel in the file."""
        return _SAMPLES[self.colour]

    @property
    def pixel_bytes(self) -> int:
        """Bytes from a sample to the one that filters predict it from: those of a pixel, or one."""
        return max(1, self.depth * self.samples // 8)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row, without the number of its filter."""
        return -(-self.width * self.samples * self.depth // 8)

    @property
    def planes(self) -> int:
        """Samples of a pixel of the photograph, alpha among them."""
        colours = 3 if self.colour in {_RGB, _PALETTE, _RGBA} else 1
        return colours + (self.colour in {_GREY_ALPHA, _RGBA} or self.transparent is not None)


class PngRows(Blank, Rows):
    """A PNG file whose rows are decoded as they are asked for, from the first: going back starts anew.

    Parameters
    ----------
    file : binary file
    path : path-like
        Its name, for errors.
    header : PngHeader
        Of which `in_rows` is true.
    metadata : Metadata
    notes : tuple of str
        As those of `Photo`.
    """

    def __init__(
        self,
        file: BinaryIO,
        path: str | os.PathLike[str],
        header: PngHeader,
        metadata: Metadata,
        notes: tuple[str, ...],
    ) -> None:
        self._file, self._path, self._header = file, path, header
        dtype = np.dtype(np.uint16 if header.depth == 16 else np.uint8)
        super().__init__((header.height, header.width, header.planes), dtype, metadata, notes)
        self._table = _table(header)
        self._row = header.width * header.planes * dtype.itemsize
        """Bytes of a row of the photograph: few bits of grey, or of a palette, become many."""
        self._keep = 1
        self._start_anew()

    @property
    def nbytes_open(self) -> int:
        """Bytes of the rows that are kept, twice, and of those that are being decoded."""
        return 2 * self._keep * self._row + 4 * max(_AT_ONCE, self._header.row_bytes + self._row)

    def look_back(self, rows: int) -> None:
        """Keep so many rows behind the last one."""
        self._keep = max(self._keep, min(rows, self._header.height))

    def pixels(self, rows: slice = slice(None)) -> NDArray[Any]:
        """Return rows, (n, W, C)."""
        first, stop, _ = rows.indices(self._header.height)
        with decoding(self._path):
            if first < self._first:
                self._start_anew()
            at_once = max(1, _AT_ONCE // self._row)
            while self._stop < stop:
                self._advance(min(at_once, stop - self._stop), needed_from=first)
            return self._kept[first - self._first : stop - self._first]

    def _start_anew(self) -> None:
        self._inflated = _inflated(self._file)
        self._rest = b""
        """What is decompressed and belongs to the rows that follow."""
        self._above = np.zeros(self._header.row_bytes, np.uint8)
        self._kept = np.empty((0, self._header.width, self.planes), self.dtype)
        self._first = self._stop = 0
        """The rows that are kept."""

    def _advance(self, count: int, *, needed_from: int) -> None:
        """Decode rows, and forget those that nobody will ask for."""
        line = 1 + self._header.row_bytes
        parts, have = [self._rest], len(self._rest)
        while have < count * line:
            piece = next(self._inflated, None)
            if piece is None:
                raise EOFError("it ends within its pixels")
            parts.append(piece)
            have += len(piece)
        data = b"".join(parts)
        self._rest = data[count * line :]
        lines = np.frombuffer(data, np.uint8, count * line).reshape(count, line)
        rows = unfiltered(lines, self._above, self._header.pixel_bytes)
        self._above = rows[-1].copy()
        if self._stop + count == self._header.height:
            next(filter(None, self._inflated), None)  # up to the stream's checksum, or whatever follows the pixels
        forget = max(0, min(needed_from, self._stop + count - self._keep) - self._first)
        self._kept = np.concatenate([self._kept[forget:], self._as_samples(rows)])
        self._first, self._stop = min(self._first + forget, self._stop), self._stop + count

    def _as_samples(self, rows: NDArray[np.uint8]) -> NDArray[Any]:
        """Return rows of bytes as samples, (n, W, C)."""
        header = self._header
        if header.depth == 16:
            return rows.view(">u2").astype(np.uint16).reshape(len(rows), header.width, -1)
        if header.depth < 8:
            rows = _unpacked(rows, header.depth)[:, : header.width]
        if self._table is not None:
            return self._table[rows].reshape(len(rows), header.width, -1)
        pixels = rows.reshape(len(rows), header.width, -1)
        if header.transparent is None:
            return pixels
        colour = np.frombuffer(header.transparent, ">u2", header.samples)
        alpha = np.where((pixels == colour).all(axis=2, keepdims=True), np.uint8(0), np.uint8(255))
        return np.concatenate([pixels, alpha], axis=2)


def _table(header: PngHeader) -> NDArray[np.uint8] | None:
    """Return what the numbers of a palette mean, or few bits of grey, (256, C); None where samples mean themselves."""
    if header.colour == _PALETTE:
        table = np.zeros((256, header.planes), np.uint8)
        colours = np.frombuffer(header.palette or b"", np.uint8)[: 3 * 256]
        table[: len(colours) // 3, :3] = colours[: len(colours) // 3 * 3].reshape(-1, 3)
        if header.transparent is not None:
            alpha = np.frombuffer(header.transparent, np.uint8)[:256]
            table[:, 3] = 255
            table[: len(alpha), 3] = alpha
        return table
    if header.depth >= 8:
        return None
    greatest = (1 << header.depth) - 1
    table = np.zeros((256, header.planes), np.uint8)
    table[: greatest + 1, 0] = np.arange(greatest + 1) * (255 // greatest)
    if header.transparent is not None:
        table[:, 1] = 255
        table[int.from_bytes(header.transparent[:2], "big") & 255, 1] = 0
    return table


def _unpacked(rows: NDArray[np.uint8], depth: int) -> NDArray[np.uint8]:
    """Return the samples of less than 8 bits that rows of bytes hold, the first in the highest bits."""
    shifts = np.arange(8 - depth, -1, -depth, dtype=np.uint8)
    return (rows[:, :, None] >> shifts & np.uint8((1 << depth) - 1)).reshape(len(rows), -1)


def _inflated(file: BinaryIO) -> Iterator[bytes]:
    """Yield the decompressed bytes of a file's pixels, piece by piece."""
    stream = zlib.decompressobj()
    for data in _compressed(file):
        rest = data
        while rest and not stream.eof:
            yield stream.decompress(rest, _AT_ONCE)
            rest = stream.unconsumed_tail
    while piece := stream.decompress(stream.unconsumed_tail, _AT_ONCE):
        yield piece


def _compressed(file: BinaryIO) -> Iterator[bytes]:
    """Yield the data of a file's IDAT chunks, piece by piece."""
    at, found = 8, False
    while True:
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            return
        size, name = struct.unpack(">I4s", head)
        at += 12 + size
        if name != b"IDAT":
            if found:
                return
            continue
        found = True
        while size:
            data = file.read(min(size, _PIECE))
            if not data:
                return
            size -= len(data)
            yield data
