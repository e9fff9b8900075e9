"""Photographs as files: pictures in which every mistake shows, written by tifffile, Pillow and by hand."""

from __future__ import annotations

import itertools
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
from PIL import Image, ImageCms

from im2col.photo.filtering import filter_file
from im2col.photo.kernels import KERNELS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

HEIGHT, WIDTH = 37, 45
RNG = np.random.default_rng(1)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6" xmp:Rating="4"/></x:xmpmeta>'
KERNEL = "sharpen"


def convolved(samples: NDArray[Any], name: str = KERNEL) -> NDArray[Any]:
    """Filter each channel of (H, W, C) by shifted copies, in float64; round and clip integers."""
    kernel = KERNELS[name]
    (down, across), (height, width) = kernel.weights.shape, samples.shape[:2]
    padded = np.pad(samples.astype(float), ((down // 2,) * 2, (across // 2,) * 2, (0, 0)), mode="edge")
    sums = sum(
        kernel.weights[y, x] * padded[y : y + height, x : x + width]
        for y, x in itertools.product(range(down), range(across))
    )
    values: NDArray[Any] = np.asarray(sums / kernel.divisor)
    if samples.dtype.kind == "f":
        return values.astype(samples.dtype)
    clipped: NDArray[Any] = np.clip(np.rint(values), 0, np.iinfo(samples.dtype).max)
    return clipped.astype(samples.dtype)


def smooth(dtype: Any, channels: int = 3) -> NDArray[Any]:
    """Return a picture that every mistake of byte order, sign, plane or polarity shows in."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    planes = [
        (a * x + b * y + 7 * c) / (4 * (WIDTH + HEIGHT)) for c, (a, b) in enumerate([(1, 2), (3, 0), (0, 3), (2, 2)])
    ]
    picture = np.stack(planes[:channels], -1)
    if np.dtype(dtype).kind == "f":
        return (picture * 3 - 1).astype(dtype)
    return (picture * np.iinfo(dtype).max).astype(dtype)


def through(path: Path, ending: str = ".tif", kernel: str = KERNEL) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Filter a file; return the samples of the result as tifffile or Pillow read them, and the notes."""
    target = path.with_name(f"out{ending}")
    target.unlink(missing_ok=True)
    notes = filter_file(path, kernel, target).notes
    if ending == ".tif":
        result = tifffile.imread(target)
    else:
        with Image.open(target) as image:
            result = np.asarray(image)
    return result.reshape(*result.shape[:2], -1), notes


def tiff(path: Path, array: NDArray[Any], photometric: str, **options: Any) -> Path:
    """Write a TIFF file with tifffile; (H, W, C), or planes first where they are kept apart."""
    if array.shape[2] == 1:
        array = array[:, :, 0]
        options.pop("planarconfig", None)
    elif options.get("planarconfig") == "separate":
        array = np.moveaxis(array, -1, 0)
    tifffile.imwrite(path, array, photometric=photometric, metadata=None, **options)
    return path


def png(path: Path, depth: int, colour: int, samples: NDArray[Any], chunks: list[tuple[bytes, bytes]]) -> Path:
    """Write a PNG file by hand, with chunks before the pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(f">u{depth // 8}").tobytes() for row in samples)
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)), *chunks]
    parts += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(itertools.starmap(chunk, parts)))
    return path


def exif_block(orientation: int = 1) -> Image.Exif:
    """Return EXIF with a camera, a date, a place, sizes and a comment."""
    exif = Image.Exif()
    exif[271], exif[306], exif[274], exif[33432] = "Canon", "2024:01:02 03:04:05", orientation, "me"
    exif.get_ifd(0x8769).update({36867: "2024:01:02 03:04:05", 40962: 9999, 40963: 9999, 33434: 0.005})
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 0.0)})
    return exif


def write_with_everything(path: Path, orientation: int = 1) -> Path:
    """Write a file with EXIF, ICC, XMP and DPI."""
    image = Image.fromarray(smooth("u1", 3))
    options: dict[str, Any] = {"exif": exif_block(orientation), "icc_profile": SRGB}
    if path.suffix in {".jpg", ".webp"}:
        options["xmp"] = XMP
    elif path.suffix == ".png":
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        options["pnginfo"] = info
    elif path.suffix == ".tif":
        options["exif"][700] = XMP
        options["exif"] = options["exif"].tobytes()
    image.save(path, dpi=(240, 240), **options)
    return path
