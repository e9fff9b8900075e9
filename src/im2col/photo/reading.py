"""Photographs read from image files."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine.host import require_memory
from ..errors import PhotoError, named
from ..files import reading
from .decoding import decoding, quiet
from .libraries import imagecodecs, pillow
from .metadata import exif_of, metadata_of, orientation_of, png_chunks, turned
from .photograph import Photo
from .png_rows import PngHeader, PngRows
from .tiff import check_16_bits, is_tiff, read_tiff

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from typing import BinaryIO

    from numpy.typing import NDArray
    from PIL.ImageFile import ImageFile

    from .photograph import Rows

_GREY = ("1", "L", "LA", "La")
_SIXTEEN_BITS = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_COLOUR = ("P", "PA", "RGB", "RGBA", "RGBa")
_AT_ONCE = 1 << 20
"""Bytes of rows that are read at once."""
_STRIP = 1 << 17
"""Pixels that are copied out of Pillow's memory at once: as a whole, they would be there three times more."""


@named
def read_photo(path: str | os.PathLike[str], *, large: bool = False) -> Photo:
    """Read an image file, upright.

    Parameters
    ----------
    path : path-like
        Any format that Pillow reads; the first frame of several. The EXIF orientation is applied. ``-`` is standard
        input.
    large : bool
        Read an image of more than ``PIL.Image.MAX_IMAGE_PIXELS`` too, which could be a decompression bomb.

    Returns
    -------
    Photo
        Grey or RGB, with alpha where the image has any transparency: 8 or 16 bits from PNG and TIFF, floating point
        from TIFF, 8 bits from all other formats (and 16-bit grey). Bilevel images become grey; palettes, CMYK, YCbCr,
        LAB and HSV become RGB. `Photo.notes` says what was lost.

    Raises
    ------
    PhotoError
        If the file cannot be read, is no image, is truncated, or has samples that no photograph has.
    MemoryBudgetError
        If the image would not fit the available memory.
    MissingExtraError
        If Pillow is not installed; tifffile or imagecodecs, for a file that needs them.

    Examples
    --------
    >>> from importlib.resources import files
    >>> photo = read_photo(files("im2col") / "data/chelsea.jpg")
    >>> print(photo)
    451 × 300 RGB
    """
    with decoding(path), reading(path) as file, quiet(large=large):
        rows = _tiff(file, path)
        if isinstance(rows, Photo):
            return rows
        if rows is not None:
            return _whole(rows, path)
        with pillow().Image.open(file) as image:
            return _read_with_pillow(image, file, path)


@contextmanager
def opened_photo(path: str | os.PathLike[str], *, large: bool = False) -> Iterator[Rows]:
    """Open an image file whose rows are read as they are asked for: TIFF and PNG; others, and some of these, are whole.

    Parameters
    ----------
    path, large
        As for `read_photo`.

    Yields
    ------
    Rows
        A `Photo` where the file was read as a whole. What is broken in a file may show when a row is asked for.

    Raises
    ------
    PhotoError, MemoryBudgetError, MissingExtraError
        As `read_photo`.
    """
    with _open(path) as file:
        with decoding(path), quiet(large=large):
            rows = _tiff(file, path)
            if rows is None:
                with pillow().Image.open(file) as image:
                    rows = _png(image, file, path) or _read_with_pillow(image, file, path)
        yield rows


@contextmanager
def _open(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file: what goes wrong while it is open is told by others."""
    with ExitStack() as stack:
        with decoding(path):
            file = stack.enter_context(reading(path))
        yield file


def _tiff(file: BinaryIO, path: str | os.PathLike[str]) -> Rows | None:
    return read_tiff(file, path, pillow().Image.MAX_IMAGE_PIXELS) if is_tiff(file) else None


def _png(image: ImageFile, file: BinaryIO, path: str | os.PathLike[str]) -> PngRows | None:
    """Return the rows of a PNG file; None for what must be read as a whole, and for all other formats."""
    if image.format != "PNG" or getattr(image, "n_frames", 1) > 1:
        return None
    chunks: dict[bytes, bytes] = {}
    for name, data in png_chunks(file):
        chunks.setdefault(name, data)
    header = PngHeader(chunks)
    if not header.in_rows:
        return None
    metadata, lost = metadata_of(image, file, plain=True)
    if orientation_of(exif_of(image)) != 1:
        return None
    return PngRows(file, path, header, metadata, tuple(f"{path}: {note}" for note in lost))


def _whole(rows: Rows, path: str | os.PathLike[str]) -> Photo:
    """Return a photograph in memory, read a few rows at a time."""
    (height, width, _), row = rows.shape, rows.shape[1] * rows.planes * rows.dtype.itemsize
    at_once = max(1, _AT_ONCE // row)
    size = height * row + rows.nbytes_open + 2 * min(at_once, height) * row
    require_memory(size, "scale it down first", "the image {} of {} × {} pixels", path, width, height)
    pixels = np.empty(rows.shape, rows.dtype)
    for top in range(0, height, at_once):
        pixels[top : top + at_once] = rows.pixels(slice(top, top + at_once))
    return Photo.of(pixels, rows.metadata, rows.notes)


def _read_with_pillow(image: ImageFile, file: BinaryIO, path: str | os.PathLike[str]) -> Photo:
    if image.mode == "F":
        raise PhotoError(
            f"{path} has floating-point samples, which only TIFF files are read with; save it as TIFF first, or use "
            "im2col.conv2d on the array"
        )
    width, height = image.size
    deep = image.format == "PNG" and ";16" in _raw_mode(image)
    # Pillow's own pixels, of 1 or 4 bytes, or the file, which may be as large as the array; and the array.
    own = 8 if deep else 4 if image.mode in _SIXTEEN_BITS or len(image.getbands()) > 1 else 1
    size = width * height * (own + (2 if deep else 1) * 4)
    require_memory(size, "scale it down first", "the image {} of {} × {} pixels", path, width, height)
    notes = list(_losses(image, file, deep=deep))
    if deep:
        file.seek(0)
        pixels = imagecodecs().png_decode(file.read()).reshape(height, width, -1)
    else:
        few = {"L;2": 85, "L;4": 17}.get(_raw_mode(image))
        image.load()
        if few and image.format == "PNG" and isinstance(image.info.get("transparency"), int):
            image.info["transparency"] *= few  # which Pillow would compare with grey that it has scaled to 8 bits
        pixels = _pixels(image, path)
    metadata, lost = metadata_of(image, file, plain=image.mode in {*_GREY, *_SIXTEEN_BITS, *_COLOUR})
    pixels = turned(pixels, orientation_of(exif_of(image)))
    return Photo.of(pixels, metadata, tuple(f"{path}: {note}" for note in (*notes, *lost)))


def _pixels(image: ImageFile, path: str | os.PathLike[str]) -> NDArray[Any]:
    """Return a loaded image as an array, strip by strip."""
    width, height = image.size  # a TIFF file has been turned while it was loaded
    if image.mode in _SIXTEEN_BITS:
        grey = np.asarray(image)
        check_16_bits(grey, path)
        return grey.astype(np.uint16)[:, :, None]
    mode = ("L" if image.mode in _GREY else "RGB") + "A" * image.has_transparency_data
    pixels = np.empty((height, width, len(mode)), np.uint8)
    rows = max(1, _STRIP // width)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        strip.info = image.info  # where the transparent colour of a palette is
        part = np.asarray(strip if strip.mode == mode else strip.convert(mode))
        pixels[top : top + rows] = part.reshape(-1, width, len(mode))
    return pixels


def _raw_mode(image: ImageFile) -> str:
    """Return how the samples lie in the file, in Pillow's words."""
    return str(image.tile[0][3]) if image.tile else ""


def _losses(image: ImageFile, file: BinaryIO, *, deep: bool) -> Iterator[str]:
    """Yield what of a file, opened but not yet loaded, its pixels cannot hold."""
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        yield f"the first of {frames} frames was read"
    bits = 8 if deep or image.mode in _SIXTEEN_BITS else _depth(image, file)
    if bits > 8:
        yield f"{bits}-bit colour was read as 8-bit, which is all that Pillow holds"
    if image.mode == "RGBX":
        yield "a fourth sample of no known meaning was left out"
    elif image.mode not in (*_GREY, *_COLOUR, *_SIXTEEN_BITS):
        yield f"{image.mode} was converted to RGB"


def _depth(image: ImageFile, file: BinaryIO) -> int:
    """Return how many bits a sample has in the file, where Pillow holds 8."""
    tile = image.tile[0] if image.tile else None
    if tile is not None and (";16" in str(tile[3]) or tile[0] == "SGI16"):
        return 16
    if image.format == "PPM" and tile is not None and isinstance(tile[3], tuple) and int(tile[3][-1]) > 255:
        return int(tile[3][-1]).bit_length()
    file.seek(0)
    head = file.read(1 << 12)
    if image.format == "JPEG2000":
        at = head.find(b"\xff\x4f\xff\x51")  # the code stream: marker, size (38 bytes), then the depth less one
        return (head[at + 42] & 127) + 1 if 0 <= at < len(head) - 42 else 8
    if image.format == "AVIF":
        at = head.find(b"av1C")
        flags = head[at + 6] if 0 <= at < len(head) - 6 else 0
        return 8 if not flags & 64 else 12 if flags & 32 else 10
    return 8
