"""TIFF files: those that Pillow misreads are read by tifffile; all are written here, below Pillow's directory."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine.host import require_memory
from ..errors import PhotoError
from .libraries import imagecodecs, pillow, tifffile
from .metadata import exif_of_tags, orientation_of, resolution, tiff_exif, turned, upright, upright_xmp
from .photograph import Metadata, Photo

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from typing import BinaryIO

    from numpy.typing import NDArray
    from PIL.Image import Exif

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_OWN = {_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB}
_UNSIGNED = 1
_ASSOCIATED_ALPHA, _ALPHA = 1, 2
_INTEGERS = {8: np.uint8, 16: np.uint16}
_STRIP = 1 << 20
"""Bytes of a strip that is written."""
_AT_ONCE = 1 << 16
"""Samples that are calculated with at once: in floating point they take many times their memory."""
_CLASSIC = 4_000_000_000
"""Bytes of pixels that the offsets of a classic TIFF file reach; beyond, it is a BigTIFF."""
_OFFSETS, _XMP, _ICC = 273, 700, 34675


def is_tiff(file: BinaryIO) -> bool:
    """Say whether an open file begins as TIFF does, and go back to where it begins."""
    magic = file.read(4)
    file.seek(0)
    return magic in _MAGIC


def read_tiff(file: BinaryIO, path: str | os.PathLike[str], limit: int | None) -> Photo | None:
    """Read a TIFF file, or return None where Pillow reads it rightly: most of unsigned samples of at most 8 bits.

    Parameters
    ----------
    file : binary file
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
        if plain and opened and (page.photometric not in _OWN or (not page.extrasamples and page.planarconfig == 1)):
            file.seek(0)
            return None
        if not (isinstance(page.imagewidth, int) and isinstance(page.imagelength, int)):
            raise TypeError(f"its size is {page.imagewidth} × {page.imagelength}")
        if limit is not None and page.imagewidth * page.imagelength > limit:
            raise pillow().Image.DecompressionBombError
        _check(page, path)
        # The file's samples, and what becomes of them; a broken file may have tiles beyond all measure. What is
        # compressed, or lies in another order, is there as it lies in the file, too.
        size = 2 * page.nbytes + max(page.nbytes, math.prod(page.chunks) * page.dtype.itemsize)
        size += 0 if page.is_contiguous else min(sum(page.databytecounts), tiff.filehandle.size)
        require_memory(size, "scale it down first", "the image {} of {} × {} pixels", path, *page.shape[1::-1])
        if page.compression != 1:
            imagecodecs()  # tifffile's own error names no extra
        pixels = page.asarray()
        pixels, notes = _as_photo(pixels.reshape(page.shape), page, path)
        if len(tiff.pages) > 1:
            notes.insert(0, f"the first of {len(tiff.pages)} frames was read")
        if opened:
            exif = tiff_exif(file, page.offset, byte_order=tiff.byteorder, big=tiff.is_bigtiff)
        else:
            exif, left_out = exif_of_tags({tag.code: tag.value for tag in page.tags})
            notes += left_out
        kept, lost = upright(exif, tiff=True)
        xmp, profile = (page.tags.valueof(tag) for tag in (_XMP, _ICC))
        metadata = Metadata(
            icc_profile=bytes(profile) if profile else None,
            exif=kept,
            xmp=upright_xmp(xmp),
            dpi=_dpi(page),
        )
        notes = [f"{path}: {note}" for note in (*notes, *lost)]
        return Photo.of(turned(pixels, orientation_of(exif)), metadata, tuple(notes))


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


def _as_photo(pixels: NDArray[Any], page: Any, path: str | os.PathLike[str]) -> tuple[NDArray[Any], list[str]]:
    """Return samples as those of a photograph, (H, W, C), and what they lost."""
    if page.axes[0] == "S":
        pixels = np.moveaxis(pixels, 0, -1)
    height, width = page.imagelength, page.imagewidth
    pixels = pixels.reshape(height, width, -1)
    pixels, notes = _in_depth(pixels, page, path)
    if page.photometric == _WHITE_IS_ZERO:
        pixels = np.concatenate([np.iinfo(pixels.dtype).max - pixels[:, :, :1], pixels[:, :, 1:]], axis=2)
    colours = pixels.shape[2] - len(page.extrasamples)
    extra = list(page.extrasamples)
    opaque = [i for i, meaning in enumerate(extra) if meaning in {_ASSOCIATED_ALPHA, _ALPHA}]
    if len(extra) > len(opaque[:1]):
        notes.append(f"{len(extra) - len(opaque[:1])} further samples a pixel were left out")
    if not opaque:
        return pixels[:, :, :colours], notes
    pixels = np.take(pixels, [*range(colours), colours + opaque[0]], axis=2)
    if extra[opaque[0]] == _ASSOCIATED_ALPHA:
        for rows in _strips(pixels):
            pixels[rows, :, :-1] = _divided(pixels[rows, :, :-1], pixels[rows, :, -1:])
    return pixels, notes


def _strips(pixels: NDArray[Any]) -> Iterator[slice]:
    """Yield the rows of a picture, a few at a time."""
    rows = max(1, _AT_ONCE // pixels[0].size)
    for top in range(0, len(pixels), rows):
        yield slice(top, top + rows)


def check_16_bits(pixels: NDArray[Any], path: str | os.PathLike[str]) -> None:
    """Raise `PhotoError` where integers of a file are beyond those of 16 bits."""
    least, greatest = int(pixels.min()), int(pixels.max())
    if least < 0 or greatest > 65535:
        raise PhotoError(f"{path} has samples from {least} to {greatest} but 16 bits hold 0 to 65535; scale it first")


def _divided(colours: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Return colours from which the alpha that they were multiplied by is taken out."""
    visible = np.where(alpha == 0, 1, alpha).astype(np.float64)
    if colours.dtype.kind == "f":
        return (colours / visible).astype(colours.dtype)
    greatest = np.iinfo(colours.dtype).max
    return np.clip(np.rint(colours * (greatest / visible)), 0, greatest).astype(colours.dtype)


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
        for rows in _strips(pixels):
            scaled[rows] = (pixels[rows] * np.float64(full / (2**bits - 1))).round()
        return scaled, [f"{bits}-bit samples were scaled to {8 * scaled.itemsize} bits"]
    narrow = np.uint8 if dtype.itemsize == 1 else np.uint16
    kept = pixels.astype(narrow)
    return kept, [f"samples of {dtype} were read as {kept.dtype}, which holds all of their values"]


def _dpi(page: Any) -> tuple[float, float] | None:
    unit = page.tags.valueof(296, 2)
    return resolution(*page.get_resolution(unit="INCH")) if unit in {2, 3} and 282 in page.tags else None


def write_tiff(file: BinaryIO, photo: Photo, exif: Exif | None) -> None:
    """Write a photograph into an open file, without compression: Pillow writes the directory, the samples follow.

    Parameters
    ----------
    file : binary file
    photo : Photo
    exif : Exif or None
        Which becomes a part of the directory.
    """
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    metadata, dtype = photo.metadata, photo.samples.dtype
    (height, width), channels = photo.samples.shape[:2], photo.planes
    row = width * channels * dtype.itemsize
    big = height * row > _CLASSIC
    directory = ImageFileDirectory_v2(b"II+\0" + bytes(12) if big else b"II*\0" + bytes(4))
    directory.tagtype[_OFFSETS] = 16 if big else 4  # or Pillow would choose 16 bits for small ones, and add to them
    rows = max(1, _STRIP // row)
    tops = range(0, height, rows)
    entries: dict[int, Any] = {
        256: width,
        257: height,
        258: (8 * dtype.itemsize,) * channels,
        259: 1,
        262: _RGB if channels > 2 else _BLACK_IS_ZERO,
        _OFFSETS: tuple(row * top for top in tops),  # from where the directory ends, as Pillow has it
        277: channels,
        278: rows,
        279: tuple(row * min(rows, height - top) for top in tops),
        284: 1,
        339: (3 if photo.maximum is None else _UNSIGNED,) * channels,
    }
    if photo.alpha is not None:
        entries[338] = _ALPHA
    if metadata.dpi:
        entries |= {282: metadata.dpi[0], 283: metadata.dpi[1], 296: 2}
    if metadata.xmp:
        entries[_XMP] = metadata.xmp
    if metadata.icc_profile:
        entries[_ICC] = metadata.icc_profile
    if exif is not None:
        for tag, value in exif.items():
            directory[tag] = value
    for tag, value in entries.items():
        directory[tag] = value
    directory.save(file)
    for top in tops:
        strip = photo.pixels(slice(top, top + rows))
        file.write(strip.astype(dtype.newbyteorder("<"), copy=False).data)
