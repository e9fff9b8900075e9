"""The rows of a TIFF file, of strips or of tiles, read and decoded as they are asked for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .decoding import decoding
from .metadata import turned
from .photograph import Blank, Rows

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from typing import BinaryIO

    from numpy.typing import NDArray

    from .photograph import Metadata

_WHITE_IS_ZERO, _GREY_AND_RGB = 0, (0, 1, 2)
_ASSOCIATED_ALPHA, _ALPHA = 1, 2
_PLAIN = 1
LOSSLESS = (_PLAIN, 5, 8, 32946, 32773, 50000)
"""Compressions that are decoded strip by strip: none, LZW, deflate by both of its numbers, PackBits, Zstandard."""
_AT_ONCE = 1 << 16
"""Samples that are calculated with at once: in floating point they take many times their memory."""


def in_rows(page: Any, size: int) -> bool:
    """Say whether a page's samples can be read row by row: those that a photograph has, coded without loss.

    Parameters
    ----------
    page : tifffile's TiffPage
    size : int
        Bytes of the file: what would lie behind its end is left to those who read it as a whole.
    """
    dtype, bits = page.dtype, page.bitspersample
    if dtype is None or page.photometric not in _GREY_AND_RGB or page.compression not in LOSSLESS:
        return False
    if not (dtype.kind == "f" and dtype.itemsize <= 8) and not (dtype.kind == "u" and bits in {8, 16}):
        return False
    if page.imagedepth != 1 or page.fillorder != 1 or page.samplesperpixel - len(page.extrasamples) not in {1, 3}:
        return False
    if page.photometric == _WHITE_IS_ZERO and dtype.kind == "f":
        return False
    counts, offsets = page.databytecounts, page.dataoffsets
    if not len(counts) == len(offsets) == math.prod(page.chunked) or any(n <= 0 for n in counts):
        return False
    if page.compression == _PLAIN and any(n < _segment_bytes(page, index) for index, n in enumerate(counts)):
        return False
    return not ends_early(page, size)


def ends_early(page: Any, size: int) -> bool:
    """Say whether some of a page's strips or tiles lie behind the end of a file of so many bytes."""
    return any(at + n > size for at, n in zip(page.dataoffsets, page.databytecounts, strict=False))


def _segment_bytes(page: Any, index: int) -> int:
    """Return the bytes of a strip or a tile that is not compressed."""
    together = 1 if page.planarconfig == 2 else page.samplesperpixel
    if page.is_tiled:
        return int(page.tilelength * page.tilewidth * together * page.dtype.itemsize)
    rows = max(1, min(page.rowsperstrip, page.imagelength))
    top = index % -(-page.imagelength // rows) * rows
    return int(min(rows, page.imagelength - top) * page.imagewidth * together * page.dtype.itemsize)


class TiffRows(Blank, Rows):
    """A TIFF file whose rows are read as they are asked for.

    Strips that are not compressed are read row by row; of others, and of tiles, the last row of them is kept decoded.

    Parameters
    ----------
    file : binary file
    path : path-like
        Its name, for errors.
    page : tifffile's TiffPage
        For which `in_rows` is true.
    orientation : int
        EXIF's, 1 to 4: rows may come from the last to the first, and be mirrored.
    metadata : Metadata
    notes : tuple of str
        As those of `Photo`.
    """

    def __init__(
        self,
        file: BinaryIO,
        path: str | os.PathLike[str],
        page: Any,
        orientation: int,
        metadata: Metadata,
        notes: tuple[str, ...],
    ) -> None:
        self._file, self._path, self._page, self._orientation = file, path, page, orientation
        self._height, self._width = page.imagelength, page.imagewidth
        dtype = page.dtype.newbyteorder("=")
        colours = page.samplesperpixel - len(page.extrasamples)
        planes = colours + any(meaning in {_ASSOCIATED_ALPHA, _ALPHA} for meaning in page.extrasamples)
        super().__init__((self._height, self._width, planes), dtype, metadata, notes)
        self._apart = page.planarconfig == 2 and page.samplesperpixel > 1
        self._down = page.tilelength if page.is_tiled else max(1, min(page.rowsperstrip, self._height))
        self._across = page.tilewidth if page.is_tiled else self._width
        self._plain = page.compression == _PLAIN and page.predictor == 1 and not page.is_tiled
        self._decoded: NDArray[Any] | None = None
        self._number = -1
        """Of the row of strips or tiles that is decoded."""
        row = self._width * page.samplesperpixel * dtype.itemsize
        segment = self._down * self._across * page.samplesperpixel * dtype.itemsize
        self._nbytes = 0 if self._plain else row * self._down + 2 * segment + max(page.databytecounts)

    @property
    def nbytes_open(self) -> int:
        """Bytes of a row of strips or tiles, and of one in the file and as it is decoded."""
        return self._nbytes

    def pixels(self, rows: slice = slice(None)) -> NDArray[Any]:
        """Return rows, (n, W, C), upright."""
        first, stop, _ = rows.indices(self._height)
        if self._orientation in {3, 4}:
            first, stop = self._height - stop, self._height - first
        with decoding(self._path):
            stored = self._stored(first, stop) if self._plain else self._unpacked(first, stop)
            return turned(as_colours(stored, self._page), self._orientation)

    def _stored(self, first: int, stop: int) -> NDArray[Any]:
        """Return rows of strips that lie in the file as they are."""
        page, samples = self._page, self._page.samplesperpixel
        dtype = page.dtype.newbyteorder(page.parent.byteorder)
        found = np.empty(
            (samples, stop - first, self._width) if self._apart else (stop - first, self._width, samples), dtype
        )
        per_plane = -(-self._height // self._down)
        for number, plane in enumerate(found if self._apart else [found]):
            row = first
            while row < stop:
                strip, inside = divmod(row, self._down)
                count = min(stop - row, self._down - inside)
                part = plane[row - first : row - first + count]
                self._file.seek(page.dataoffsets[number * per_plane + strip] + inside * part[0].nbytes)
                _fill(self._file, part)
                row += count
        return (np.moveaxis(found, 0, -1) if self._apart else found).astype(self.dtype, copy=False)

    def _unpacked(self, first: int, stop: int) -> NDArray[Any]:
        """Return rows of strips or tiles that are decoded."""
        found = np.empty((stop - first, self._width, self._page.samplesperpixel), self.dtype)
        for number in range(first // self._down, -(-stop // self._down)):
            top = number * self._down
            start, end = max(first, top), min(stop, top + self._down)
            found[start - first : end - first] = self._row_of_segments(number)[start - top : end - top]
        return found

    def _row_of_segments(self, number: int) -> NDArray[Any]:
        """Return a row of strips or tiles side by side, (height of one, W, samples)."""
        if self._decoded is not None and self._number == number:
            return self._decoded
        page = self._page
        down, across = -(-self._height // self._down), -(-self._width // self._across)
        rows = min(self._down, self._height - number * self._down)
        if self._decoded is None:
            self._decoded = np.empty((min(self._down, self._height), self._width, page.samplesperpixel), self.dtype)
        self._number = -1
        for plane in range(page.samplesperpixel if self._apart else 1):
            samples = slice(plane, plane + 1) if self._apart else slice(None)
            for column in range(across):
                left = column * self._across
                part = self._decoded[:rows, left : left + self._across, samples]
                self._read_segment((plane * down + number) * across + column, part)
        self._number = number
        return self._decoded

    def _read_segment(self, index: int, to: NDArray[Any]) -> None:
        page = self._page
        self._file.seek(page.dataoffsets[index])
        data = self._file.read(page.databytecounts[index])
        decoded, _, _ = page.decode(data, index)
        part = decoded[0, : len(to), : to.shape[1]]
        if part.shape != to.shape:
            raise ValueError(f"strip or tile {index} has {part.shape[0]} rows of {part.shape[1]} pixels")
        to[...] = part


def _fill(file: BinaryIO, part: NDArray[Any]) -> None:
    """Read the bytes of an array in C order."""
    view = part.data.cast("B")
    while view:
        count = file.readinto(view)  # type: ignore[attr-defined]  # of every file that is read here
        if not count:
            raise EOFError("it ends within its pixels")
        view = view[count:]


def left_out(page: Any) -> list[str]:
    """Return a note of samples that are neither colours nor alpha."""
    extra = [meaning for meaning in page.extrasamples if meaning not in {_ASSOCIATED_ALPHA, _ALPHA}]
    more = len(page.extrasamples) - (len(extra) < len(page.extrasamples))
    return [f"{more} further samples a pixel were left out"] if more else []


def as_colours(pixels: NDArray[Any], page: Any) -> NDArray[Any]:
    """Return rows of a page's samples, (n, W, samples), as colours and alpha: a view where that is possible."""
    colours = pixels.shape[2] - len(page.extrasamples)
    if page.photometric == _WHITE_IS_ZERO:
        pixels = np.concatenate([np.iinfo(pixels.dtype).max - pixels[:, :, :1], pixels[:, :, 1:]], axis=2)
    opaque = [i for i, meaning in enumerate(page.extrasamples) if meaning in {_ASSOCIATED_ALPHA, _ALPHA}]
    if not opaque:
        return pixels[:, :, :colours]
    pixels = np.take(pixels, [*range(colours), colours + opaque[0]], axis=2)
    if page.extrasamples[opaque[0]] == _ASSOCIATED_ALPHA:
        for rows in strips(pixels):
            pixels[rows, :, :-1] = _divided(pixels[rows, :, :-1], pixels[rows, :, -1:])
    return pixels


def strips(pixels: NDArray[Any]) -> Iterator[slice]:
    """Yield the rows of a picture, a few at a time."""
    rows = max(1, _AT_ONCE // pixels[0].size)
    for top in range(0, len(pixels), rows):
        yield slice(top, top + rows)


def _divided(colours: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Return colours from which the alpha that they were multiplied by is taken out."""
    visible = np.where(alpha == 0, 1, alpha).astype(np.float64)
    if colours.dtype.kind == "f":
        return (colours / visible).astype(colours.dtype)
    greatest = np.iinfo(colours.dtype).max
    return np.clip(np.rint(colours * (greatest / visible)), 0, greatest).astype(colours.dtype)
