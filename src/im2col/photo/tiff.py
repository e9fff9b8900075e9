"""TIFF files: most are read by tifffile, row by row where they can be, or whole; the rest is left to Pillow."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine.host import require_memory
from ..errors import PhotoError
from .libraries import imagecodecs, pillow, tifffile
from .metadata import exif_of_tags, orientation_of, resolution, tiff_exif, turned, upright, upright_xmp
from .photograph import Metadata, Photo
from .tiff_rows import LOSSLESS, TiffRows, as_colours, ends_early, in_rows, left_out, strips

if TYPE_CHECKING:
    import os
    from typing import BinaryIO

    from numpy.typing import NDArray

    from .photograph import Rows

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_OWN = {_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB}
_UNSIGNED = 1
_INTEGERS = {8: np.uint8, 16: np.uint16}
_XMP, _ICC = 700, 34675


def is_tiff(file: BinaryIO) -> bool:
    """Say whether an open file begins as TIFF does, and go back to where it begins."""
    magic = file.read(4)
    file.seek(0)
    return magic in _MAGIC


def read_tiff(file: BinaryIO, path: str | os.PathLike[str], limit: int | None) -> Rows | None:
    """Read a TIFF file, or return None where Pillow reads it rightly and as a whole.

    Parameters
    ----------
    file : binary file
        Whose rows are read as they are asked for, where samples and compression allow it: it must stay open.
    path : path-like
        Its name.
    limit : int or None
        Pixels beyond which the file is suspected of being a decompression bomb.

    Raises
    ------
    PhotoError
        If its samples are none of a photograph's.
    MemoryBudgetError
        If it would not fit the available memory.
    """
    with tifffile().TiffFile(file) as tiff:
        page = tiff.pages.first
        bits = page.bitspersample
        plain = (bits if isinstance(bits, int) else max(bits)) <= 8 and page.sampleformat == _UNSIGNED
        opened = not (tiff.is_bigtiff and tiff.byteorder == ">")  # by Pillow, which is blind to this one kind
        streams = in_rows(page, tiff.filehandle.size)
        usual = page.photometric not in _OWN or (not page.extrasamples and page.planarconfig == 1)
        # What ends within its pixels Pillow's library would tell standard error, too.
        early = page.photometric in _OWN and page.compression in LOSSLESS and ends_early(page, tiff.filehandle.size)
        if plain and opened and usual and not streams and not early:
            file.seek(0)
            return None
        if not (isinstance(page.imagewidth, int) and isinstance(page.imagelength, int)):
            raise TypeError(f"its size is {page.imagewidth} × {page.imagelength}")
        if limit is not None and page.imagewidth * page.imagelength > limit:
            raise pillow().Image.DecompressionBombError
        _check(page, path)
        if page.compression != 1:
            imagecodecs()  # tifffile's own error names no extra
        notes = [f"the first of {len(tiff.pages)} frames was read"] if len(tiff.pages) > 1 else []
        metadata, orientation, lost = _metadata(tiff, page, file, opened=opened)
        if streams and orientation <= 4:
            notes = [f"{path}: {note}" for note in (*notes, *left_out(page), *lost)]
            return TiffRows(file, path, page, orientation, metadata, tuple(notes))
        # The file's samples, and what becomes of them; a broken file may have tiles beyond all measure. What is
        # compressed, or lies in another order, is there as it lies in the file, too.
        size = 2 * page.nbytes + max(page.nbytes, math.prod(page.chunks) * page.dtype.itemsize)
        size += 0 if page.is_contiguous else min(sum(page.databytecounts), tiff.filehandle.size)
        require_memory(size, "scale it down first", "the image {} of {} × {} pixels", path, *page.shape[1::-1])
        pixels = page.asarray().reshape(page.shape)
        if page.axes[0] == "S":
            pixels = np.moveaxis(pixels, 0, -1)
        pixels, scaled = _in_depth(pixels.reshape(page.imagelength, page.imagewidth, -1), page, path)
        pixels = turned(as_colours(pixels, page), orientation)
        notes = [f"{path}: {note}" for note in (*notes, *scaled, *left_out(page), *lost)]
        return Photo.of(pixels, metadata, tuple(notes))


def _metadata(tiff: Any, page: Any, file: BinaryIO, *, opened: bool) -> tuple[Metadata, int, list[str]]:
    """Return what a page says beside its pixels, how it is turned, and notes of what is lost."""
    notes: list[str] = []
    if opened:
        exif = tiff_exif(file, page.offset, byte_order=tiff.byteorder, big=tiff.is_bigtiff)
    else:
        exif, notes = exif_of_tags({tag.code: tag.value for tag in page.tags})
    kept, lost = upright(exif, tiff=True)
    xmp, profile = (page.tags.valueof(tag) for tag in (_XMP, _ICC))
    metadata = Metadata(
        icc_profile=bytes(profile) if profile else None,
        exif=kept,
        xmp=upright_xmp(xmp),
        dpi=_dpi(page),
    )
    return metadata, orientation_of(exif), [*notes, *lost]


def _check(page: Any, path: str | os.PathLike[str]) -> None:
    """Refuse what has no samples of a photograph."""
    kind = getattr(page.photometric, "name", page.photometric)
    dtype = page.dtype
    if page.photometric not in _OWN or dtype is None:
        problem = f"is {kind} in {page.bitspersample} bits"
    elif dtype.kind not in "uif":
        problem = f"has samples of {dtype}"
    elif page.samplesperpixel - len(page.extrasamples) not in {1, 3} or page.imagedepth > 1:
        problem = f"has {page.samplesperpixel} samples a pixel and {page.imagedepth} layers"
    elif page.photometric == _WHITE_IS_ZERO and page.sampleformat != _UNSIGNED:
        problem = f"has {dtype} samples of which 0 is white"
    else:
        return
    raise PhotoError(f"{path} {problem}, which is not read; convert it to grey or RGB of 8 or 16 bits first")


def check_16_bits(pixels: NDArray[Any], path: str | os.PathLike[str]) -> None:
    """Raise `PhotoError` where integers of a file are beyond those of 16 bits."""
    least, greatest = int(pixels.min()), int(pixels.max())
    if least < 0 or greatest > 65535:
        raise PhotoError(f"{path} has samples from {least} to {greatest} but 16 bits hold 0 to 65535; scale it first")


def _in_depth(pixels: NDArray[Any], page: Any, path: str | os.PathLike[str]) -> tuple[NDArray[Any], list[str]]:
    """Return samples in one of the dtypes of a photograph, and what that changed."""
    dtype, bits = pixels.dtype.newbyteorder("="), page.bitspersample
    if dtype.kind == "f":
        if dtype.itemsize > 8:
            raise PhotoError(f"{path} has samples of {dtype}, which is not read; convert it to float64 first")
        return pixels.astype(dtype, copy=False), []
    if dtype.kind == "u" and bits in _INTEGERS:
        return pixels.astype(dtype, copy=False), []
    check_16_bits(pixels, path)
    if dtype.kind == "u" and bits < 16:
        depth, full = (np.uint8, 255) if bits < 8 else (np.uint16, 65535)
        scaled = np.empty(pixels.shape, depth)
        for rows in strips(pixels):
            scaled[rows] = (pixels[rows] * np.float64(full / (2**bits - 1))).round()
        return scaled, [f"{bits}-bit samples were scaled to {8 * scaled.itemsize} bits"]
    narrow = np.uint8 if dtype.itemsize == 1 else np.uint16
    kept = pixels.astype(narrow)
    return kept, [f"samples of {dtype} were read as {kept.dtype}, which holds all of their values"]


def _dpi(page: Any) -> tuple[float, float] | None:
    unit = page.tags.valueof(296, 2)
    return resolution(*page.get_resolution(unit="INCH")) if unit in {2, 3} and 282 in page.tags else None
