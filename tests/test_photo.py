"""Photographs: kernels, reading, filtering, writing. The judge of filtering is scipy.ndimage."""

from __future__ import annotations

import errno
import os
import pickle
import struct
import sys
import warnings
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

import im2col.photo.bands
import im2col.photo.filtering
from im2col import (
    ArgumentError,
    DTypeError,
    FileError,
    GeometryError,
    MemoryBudgetError,
    MissingExtraError,
    PhotoError,
    conv2d,
)
from im2col.files import check_target, open_npy, replacing
from im2col.photo.filtering import filter_file, filter_photo
from im2col.photo.image_files import Photo, read_photo, write_photo
from im2col.photo.kernels import KERNELS, ImageKernel, as_kernel, find_kernel, read_kernel
from im2col.photo.writing import format_for

from .kit.outcomes import raises_exactly, require, unknown_mode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

SCIPY_MODES = {
    "constant": "constant",
    "edge": "nearest",
    "reflect": "mirror",
    "symmetric": "reflect",
    "wrap": "grid-wrap",
}
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (7, 9, 1), np.uint8)
COLOUR = RNG.integers(0, 256, (7, 9, 3), np.uint8)
DEEP = RNG.integers(0, 65536, (7, 9, 1), np.uint16)
DEEP_COLOUR = RNG.integers(0, 65536, (7, 9, 3), np.uint16)
ALPHA = RNG.integers(0, 256, (7, 9), np.uint8)
DEEP_ALPHA = RNG.integers(0, 65536, (7, 9), np.uint16)
FLOAT = RNG.normal(size=(7, 9, 3)).astype(np.float32)
PHOTOS = {
    "L": Photo(GREY),
    "LA": Photo(GREY, ALPHA),
    "RGB": Photo(COLOUR),
    "RGBA": Photo(COLOUR, ALPHA),
    "L;16": Photo(DEEP),
    "LA;16": Photo(DEEP, DEEP_ALPHA),
    "RGB;16": Photo(DEEP_COLOUR),
    "RGBA;16": Photo(DEEP_COLOUR, DEEP_ALPHA),
    "L;F16": Photo(FLOAT[:, :, :1].astype(np.float16)),
    "RGB;F32": Photo(FLOAT),
    "LA;F64": Photo(FLOAT[:, :, :1].astype(float), RNG.random((7, 9))),
}


def save(image: Image.Image, path: Path, **options: Any) -> Path:
    """Save an image with Pillow and return where."""
    image.save(path, **options)
    return path


def png(path: Path, depth: int, colour_type: int, samples: NDArray[Any], **chunks: bytes) -> Path:
    """Write a PNG file of a kind that Pillow does not write: big-endian samples, and chunks before the data."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width = samples.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(f">u{depth // 8}").tobytes() for row in samples)
    extra = b"".join(chunk(name.encode(), data) for name, data in chunks.items())
    data = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    return path


def exactly(photo: Photo, kernel: ImageKernel, mode: str = "nearest", offset: int = 0) -> NDArray[Any]:
    """Filter with SciPy, in float64 and with the integer weights, before rounding and clipping."""
    correlate = require("scipy.ndimage").correlate
    colours = list(np.moveaxis(photo.samples, -1, 0).astype(float))
    if photo.alpha is None:
        sums = [correlate(x, kernel.weights, mode=mode) for x in colours]
    else:
        opaque = photo.maximum or 1
        alpha = photo.alpha.astype(float)
        magnitudes = np.abs(kernel.weights)
        known, seen = (correlate(alpha, w, mode=mode, cval=opaque) for w in (kernel.weights, magnitudes))
        sums = []
        for x in colours:
            mean = correlate(x * alpha, magnitudes, mode=mode) / np.where(seen == 0, 1, seen)
            mean = np.where(seen == 0, x, mean)
            whole = kernel.weights.sum() * opaque
            sums.append((correlate(x * alpha, kernel.weights, mode=mode) + mean * (whole - known)) / opaque)
    result: NDArray[Any] = np.stack(sums, -1) / kernel.divisor + offset
    return result


def filtered(photo: Photo, kernel: ImageKernel, mode: str = "nearest", offset: int = 0) -> NDArray[Any]:
    """Return what `filter_photo` must give: rounded and clipped where samples are integers."""
    values = exactly(photo, kernel, mode, offset)
    if photo.maximum is None:
        return values.astype(photo.samples.dtype)
    clipped: NDArray[Any] = np.clip(np.rint(values), 0, photo.maximum)
    return clipped.astype(photo.samples.dtype)


# --- kernels


def test_named_kernels_say_what_they_do() -> None:
    """At least ten kernels, each with its name, one line, and weights that cannot be changed."""
    assert len(KERNELS) >= 10
    for name, kernel in KERNELS.items():
        assert kernel.name == name
        assert kernel.meaning
        assert "\n" not in kernel.meaning
        assert (kernel.weights == np.rint(kernel.weights)).all()
        assert not kernel.weights.flags.writeable
        # Every kernel keeps an even area as it is, or finds nothing in it.
        assert kernel.weights.sum() == (0 if kernel.sums_to_zero else kernel.divisor)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("sharpn", "did you mean 'sharpen' or 'unsharp'?"),
        ("SOBELX", "did you mean 'sobel-x' or 'sobel-y'?"),
        ("", f"the names are {', '.join(KERNELS)}"),
    ],
)
def test_unknown_kernels_are_refused(name: str, hint: str) -> None:
    """An unknown name suggests close ones, or lists all."""
    with raises_exactly(ArgumentError, f"find_kernel: kernel must be a name or a .npy file, got {name!r}; {hint}"):
        find_kernel(name)


@pytest.mark.parametrize("dtype", ["?", "i1", "u8", "f2", ">f4", "f8", "g"])
def test_kernels_from_files(tmp_path: Path, dtype: str) -> None:
    """Any real dtype and byte order becomes float64; the file is the kernel's name."""
    path = tmp_path / "k.npy"
    np.save(path, np.array([[0, 1], [1, 0]], dtype))
    kernel = find_kernel(str(path))
    assert kernel.name == str(path)
    assert kernel.weights.dtype == np.float64
    np.testing.assert_array_equal(kernel.weights, [[0, 1], [1, 0]])


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        (np.ones(3), ArgumentError, "must have 2 axes, (height, width), and at least one weight; got shape (3,)"),
        (
            np.ones((0, 3)),
            ArgumentError,
            "must have 2 axes, (height, width), and at least one weight; got shape (0, 3)",
        ),
        (np.array(1.0), ArgumentError, "must have 2 axes, (height, width), and at least one weight; got shape ()"),
        (
            np.array([[1.0, np.nan]]),
            ArgumentError,
            "must hold finite numbers whose magnitudes sum to at most 1e+30; got values from nan to nan",
        ),
        (
            np.array([[1.0, -np.inf]]),
            ArgumentError,
            "must hold finite numbers whose magnitudes sum to at most 1e+30; got values from -inf to 1.0",
        ),
        (
            np.array([[1e300, 1.0]]),
            ArgumentError,
            "must hold finite numbers whose magnitudes sum to at most 1e+30; got values from 1.0 to 1e+300",
        ),
        (np.array([[1j]]), DTypeError, "has dtype complex128 but a photograph needs real weights; pass its .real"),
        (
            np.array([["a"]]),
            DTypeError,
            "has dtype <U1, which is not a number; convert it first, as in np.asarray({path}, float)",
        ),
    ],
)
def test_arrays_that_are_no_kernels(
    tmp_path: Path, weights: NDArray[Any], error: type[Exception], message: str
) -> None:
    """The whole message, for a file and for an array."""
    path = tmp_path / "k.npy"
    np.save(path, weights)
    with raises_exactly(error, f"read_kernel: {path} {message.format(path=path)}"):
        read_kernel(path)
    with raises_exactly(error, f"filter_photo: kernel {message.format(path='kernel')}"):
        filter_photo(PHOTOS["L"], weights)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    """A pickle, an array of objects, a truncated and an empty file are refused; none of their code runs."""
    way_out = "save one with np.save(path, array, allow_pickle=False)"

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return pytest.fail, ("unpickled",)

    path = tmp_path / "k.npy"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(FileError, match=r"\Aread_kernel: .*k.npy is no .npy file of numbers \(the magic string"):
        read_kernel(path)
    np.save(path, np.array([[Bomb()]]), allow_pickle=True)
    why = "Array can't be memory-mapped: Python objects in dtype."
    with raises_exactly(FileError, f"read_kernel: {path} is no .npy file of numbers ({why}); {way_out}"):
        read_kernel(path)
    np.save(path, np.ones((3, 3)))
    os.truncate(path, path.stat().st_size - 8)
    why = "mmap length is greater than file size"
    with raises_exactly(FileError, f"read_kernel: {path} is no .npy file of numbers ({why}); {way_out}"):
        read_kernel(path)
    path.write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f4',")
    with pytest.raises(FileError, match=r"\Aread_kernel: .*k.npy is no .npy file of numbers \(.*\); save one with"):
        read_kernel(path)
    way_out = "check the path and its permissions"
    with raises_exactly(FileError, f"read_kernel: cannot read '{tmp_path}': Is a directory; {way_out}"):
        read_kernel(tmp_path)
    with raises_exactly(FileError, f"read_kernel: cannot read 'no.npy': No such file or directory; {way_out}"):
        read_kernel("no.npy")


def test_an_array_in_a_file_is_mapped_and_read_only(tmp_path: Path) -> None:
    """Opening reads nothing but the header, and cannot change the file."""
    np.save(tmp_path / "a.npy", np.arange(6.0).reshape(2, 3))
    array = open_npy(tmp_path / "a.npy")
    assert isinstance(array, np.memmap)
    assert not array.flags.writeable


# --- reading


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("1", "L"), ("L", "L"), ("LA", "LA"), ("RGB", "RGB"), ("RGBA", "RGBA"), ("L;16", "L;16")],
)
def test_modes_that_are_read_as_they_are(tmp_path: Path, mode: str, expected: str) -> None:
    """Samples and alpha are the file's own."""
    arrays = {
        "1": (GREY[:, :, 0] > 99),
        "LA": np.dstack([GREY, ALPHA]),
        "RGBA": np.dstack([COLOUR, ALPHA]),
        **{key: PHOTOS[key].samples.squeeze() for key in ("L", "RGB", "L;16")},
    }
    array = arrays[mode]
    photo = read_photo(save(Image.fromarray(array), tmp_path / "a.png"))
    assert photo.mode == expected
    assert photo.notes == ()
    parts = photo.samples if photo.alpha is None else np.dstack([photo.samples, photo.alpha])
    np.testing.assert_array_equal(parts.squeeze(), array * 255 if mode == "1" else array)


@pytest.mark.parametrize(("mode", "ending"), [("CMYK", ".tif"), ("CMYK", ".jpg")])
def test_other_colours_become_rgb_with_a_note(tmp_path: Path, mode: str, ending: str) -> None:
    """Pillow's own conversion; the ICC profile, which no longer fits, is dropped."""
    path = save(Image.fromarray(COLOUR).convert(mode), tmp_path / f"a{ending}", icc_profile=b"profile")
    photo = read_photo(path)
    assert photo.notes == (
        f"{path}: {mode} was converted to RGB",
        f"{path}: the ICC profile of {mode} was left out",
    )
    assert photo.metadata.icc_profile is None
    with Image.open(path) as image:
        np.testing.assert_array_equal(photo.samples, np.asarray(image.convert("RGB")))


def test_palettes_become_rgb(tmp_path: Path) -> None:
    """With the palette's colours, and alpha where a colour is transparent."""
    image = Image.fromarray(COLOUR).quantize(16)
    photo = read_photo(save(image, tmp_path / "a.png"))
    assert photo.mode == "RGB"
    np.testing.assert_array_equal(photo.samples, np.asarray(image.convert("RGB")))
    photo = read_photo(save(image, tmp_path / "b.png", transparency=3))
    assert photo.alpha is not None
    np.testing.assert_array_equal(photo.alpha == 0, np.asarray(image) == 3)
    photo = read_photo(save(image, tmp_path / "c.gif", transparency=3))
    assert photo.mode == "RGBA"


@pytest.mark.parametrize(("kind", "colour"), [("L", 77), ("RGB", (1, 2, 3))])
def test_a_transparent_colour_is_alpha(tmp_path: Path, kind: str, colour: Any) -> None:
    """PNG's tRNS chunk, in grey and in colour."""
    array = PHOTOS[kind].samples.copy()
    array[2, 3] = colour
    image = Image.fromarray(array.squeeze())
    photo = read_photo(save(image, tmp_path / "a.png", transparency=colour))
    assert photo.mode == kind + "A"
    assert photo.alpha is not None
    np.testing.assert_array_equal(photo.alpha == 0, (array == np.array(colour)).all(-1))


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_sixteen_bit_tiff_of_both_byte_orders(tmp_path: Path, order: str) -> None:
    """Samples are uint16 in native byte order."""
    array = DEEP[:, :, 0]
    photo = read_photo(save(Image.fromarray(array.astype(order)), tmp_path / "a.tif"))
    assert photo.samples.dtype == np.dtype(np.uint16)
    np.testing.assert_array_equal(photo.samples[:, :, 0], array)


def test_sixteen_bit_pgm(tmp_path: Path) -> None:
    """Pillow reads it in 32 bits; its samples are 16-bit grey."""
    (tmp_path / "a.pgm").write_bytes(b"P5 9 7 65535\n" + DEEP.astype(">u2").tobytes())
    np.testing.assert_array_equal(read_photo(tmp_path / "a.pgm").samples, DEEP)


@pytest.mark.parametrize(("least", "greatest"), [(-1, 65535), (0, 65536)])
def test_32_bit_samples_must_fit_16_bits(tmp_path: Path, least: int, greatest: int) -> None:
    """Pillow's mode I."""
    array = np.array([[least, greatest]], np.int32)
    path = save(Image.fromarray(array), tmp_path / "a.tif")
    with raises_exactly(
        PhotoError,
        f"read_photo: {path} has samples from {least} to {greatest} but 16 bits hold 0 to 65535; scale it first",
    ):
        read_photo(path)


def test_floating_point_samples_are_read_from_tiff_only(tmp_path: Path) -> None:
    """From other formats they are refused."""
    path = tmp_path / "a.pfm"
    path.write_bytes(b"Pf\n2 2\n-1.0\n" + np.ones((2, 2), "<f4").tobytes())
    with raises_exactly(
        PhotoError,
        f"read_photo: {path} has floating-point samples, which only TIFF files are read with; save it as TIFF first, "
        "or use im2col.conv2d on the array",
    ):
        read_photo(path)


def test_what_pillow_cannot_hold_is_kept_or_said(tmp_path: Path) -> None:
    """16-bit colour, 16-bit grey with a transparent shade, and further frames."""
    deep = np.repeat(DEEP, 3, axis=2)
    photo = read_photo(png(tmp_path / "rgb16.png", 16, 2, deep))
    assert photo.notes == ()
    np.testing.assert_array_equal(photo.samples, deep)
    shade = int(DEEP[0, 0, 0])
    photo = read_photo(png(tmp_path / "grey16.png", 16, 0, DEEP, tRNS=struct.pack(">H", shade)))
    assert photo.notes == ()
    np.testing.assert_array_equal(photo.samples, DEEP)
    assert photo.alpha is not None
    np.testing.assert_array_equal(photo.alpha, np.where(DEEP[:, :, 0] == shade, 0, 65535))
    frames = [Image.new("L", (4, 3), shade) for shade in (10, 20, 30)]
    path = save(frames[0], tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    photo = read_photo(path)
    assert photo.notes == (f"{path}: the first of 3 frames was read",)
    assert (photo.samples == 10).all()


@pytest.mark.parametrize("ending", [".png", ".tif"])
@pytest.mark.parametrize("kind", ["RGB", "L;16"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_turned_upright(tmp_path: Path, ending: str, kind: str, orientation: int) -> None:
    """All eight EXIF orientations, as the standard draws them."""
    array = PHOTOS[kind].samples
    upright = {
        1: array,
        2: array[:, ::-1],
        3: array[::-1, ::-1],
        4: array[::-1],
        5: array.transpose(1, 0, 2),
        6: np.rot90(array, -1),
        7: array[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(array),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(Image.fromarray(array.squeeze()), tmp_path / f"a{ending}", exif=exif)
    np.testing.assert_array_equal(read_photo(path).samples, upright[orientation])


def test_files_that_are_no_photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing, a folder, no image, truncated, undecodable: one clear message each."""
    check = "check the path and its permissions"
    with raises_exactly(PhotoError, f"read_photo: cannot read 'no.png': No such file or directory; {check}"):
        read_photo("no.png")
    with raises_exactly(PhotoError, f"read_photo: cannot read '{tmp_path}': Is a directory; {check}"):
        read_photo(tmp_path)
    text = tmp_path / "text.png"
    text.write_text("no image")
    with raises_exactly(
        PhotoError, f"read_photo: {text} is no image that Pillow can read; convert it to PNG, TIFF or JPEG first"
    ):
        read_photo(text)
    anew = "get a complete copy, or save it anew as PNG"
    cut = save(Image.fromarray(RNG.integers(0, 256, (99, 99, 3), np.uint8)), tmp_path / "cut.png")
    os.truncate(cut, 9000)
    # What stands behind "truncated" differs among Pillow's versions.
    with pytest.raises(PhotoError, match=rf"cut.png cannot be decoded \(image file is truncated.*\); {anew}\Z"):
        read_photo(cut)
    monkeypatch.setattr("im2col.photo.reading.metadata_of", lambda *_, **__: struct.unpack("<H", b""))
    whole = save(Image.fromarray(COLOUR), tmp_path / "whole.png")
    why = "unpack requires a buffer of 2 bytes"
    with raises_exactly(PhotoError, f"read_photo: {whole} cannot be decoded ({why}); {anew}"):
        read_photo(whole)


@pytest.mark.parametrize("limit", [60, 20])
def test_decompression_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """Pillow's warning and its error are one message; `large` reads the file, and the limit comes back."""
    path = save(Image.fromarray(GREY[:, :, 0]), tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with raises_exactly(
        PhotoError,
        f"read_photo: {path} has more than {limit} pixels, where Pillow suspects a decompression bomb; if you trust "
        "the file, pass large=True (--large)",
    ):
        read_photo(path)
    np.testing.assert_array_equal(read_photo(path, large=True).samples, GREY)
    assert limit == Image.MAX_IMAGE_PIXELS


def test_a_photograph_beyond_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The size in the header is enough to refuse it."""
    path = png(tmp_path / "a{}.png", 8, 0, np.zeros((1, 1)))
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", 9000, 9000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    path.write_bytes(data)
    monkeypatch.setattr("im2col.engine.host.available_memory", lambda: 1 << 20)
    with raises_exactly(
        MemoryBudgetError,
        f"read_photo: the image {path} of 9000 × 9000 pixels would take 386.2 MiB but 1.0 MiB are available; scale it "
        "down first",
    ):
        read_photo(path)


def test_pillows_other_warnings_are_kept_quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are of metadata, and users of a command line can do nothing about them."""
    path = save(Image.fromarray(COLOUR), tmp_path / "a.png")
    opened = Image.open

    def open_with_a_warning(file: Any) -> Image.Image:
        warnings.warn("Corrupt EXIF data", UserWarning, stacklevel=1)
        return opened(file)

    monkeypatch.setattr(Image, "open", open_with_a_warning)
    assert read_photo(path).notes == ()


@pytest.mark.parametrize("call", [lambda: read_photo("a.png"), lambda: write_photo(PHOTOS["L"], "no-such-file.jpg")])
def test_without_pillow(monkeypatch: pytest.MonkeyPatch, call: Any) -> None:
    """The error names the extra."""
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(
        MissingExtraError,
        match=r"\A(read|write)_photo: this needs Pillow; install it with pip install 'im2col\[cli\]'\Z",
    ):
        call()


@pytest.mark.parametrize(
    ("samples", "alpha", "message"),
    [
        (GREY[:, :, 0], None, "got (7, 9) of uint8"),
        (COLOUR[:, :, :2], None, "got (7, 9, 2) of uint8"),
        (COLOUR[:0], None, "got (0, 9, 3) of uint8"),
        (COLOUR.astype(np.uint32), None, "got (7, 9, 3) of uint32"),
        (GREY.astype(bool), None, "got (7, 9, 1) of bool"),
        (DEEP.astype(">u2"), None, "got (7, 9, 1) of >u2"),
        (GREY, ALPHA[1:], "alpha must be (7, 9) of uint8, as the samples are; got (6, 9) of uint8"),
        (GREY, ALPHA.astype(int), "alpha must be (7, 9) of uint8, as the samples are; got (7, 9) of int64"),
        (DEEP, ALPHA, "alpha must be (7, 9) of uint16, as the samples are; got (7, 9) of uint8"),
    ],
)
def test_arrays_that_are_no_photographs(samples: NDArray[Any], alpha: Any, message: str) -> None:
    """A photograph says what it is made of."""
    rule = "samples must be (H, W, 1) or (H, W, 3) of one of uint8, uint16, float16, float32, float64; "
    with raises_exactly(PhotoError, f"Photo: {rule if alpha is None else ''}{message}"):
        Photo(samples, alpha)


# --- filtering


@pytest.mark.parametrize("mode", sorted(PHOTOS))
@pytest.mark.parametrize("name", sorted(KERNELS))
def test_every_kernel_against_scipy(mode: str, name: str) -> None:
    """Each channel by itself, rounded half to even and clipped, exactly; alpha and the rest are kept."""
    photo = PHOTOS[mode]
    for signed in (False, True) if photo.maximum else (False,):
        result = filter_photo(photo, name, signed=signed)
        middle = ((photo.maximum or 0) + 1) // 2 if signed else 0
        if photo.maximum is None:
            expected = exactly(photo, KERNELS[name])
            precision = float(np.finfo(photo.samples.dtype).eps)
            np.testing.assert_allclose(result.samples, expected, rtol=precision, atol=16 * precision)
        elif photo.alpha is None:
            np.testing.assert_array_equal(result.samples, filtered(photo, KERNELS[name], offset=middle))
        else:  # rounded to float32 first
            expected = np.clip(exactly(photo, KERNELS[name], offset=middle), 0, photo.maximum)
            np.testing.assert_allclose(result.samples, expected, rtol=0, atol=0.5 + photo.maximum * 2.0**-24)
        assert result.mode == mode
        if photo.alpha is not None:
            np.testing.assert_array_equal(result.alpha, photo.alpha)


@pytest.mark.parametrize("mode", sorted(SCIPY_MODES))
@pytest.mark.parametrize("stride", [1, 2, (3, 2)])
def test_padding_modes_and_strides_against_scipy(mode: Any, stride: Any) -> None:
    """With padding of half a kernel, a stride takes every so-manieth pixel of the filtered photograph."""
    result = filter_photo(PHOTOS["RGBA"], "unsharp", stride=stride, padding=2, padding_mode=mode)
    down, right = stride if isinstance(stride, tuple) else (stride, stride)
    expected = filtered(PHOTOS["RGBA"], KERNELS["unsharp"], SCIPY_MODES[mode])[::down, ::right]
    np.testing.assert_array_equal(result.samples, expected)
    np.testing.assert_array_equal(result.alpha, ALPHA[::down, ::right])


@pytest.mark.parametrize("name", sorted(KERNELS))
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_what_nobody_sees_does_not_bleed(name: str, dtype: Any) -> None:
    """A square of one colour on transparent noise: all that can be seen is what the square alone gives."""
    photo_range = 1 if dtype == np.float32 else np.iinfo(dtype).max
    samples = (RNG.random((40, 40, 3)) * photo_range).astype(dtype)
    if dtype == np.float32:
        samples[0, 0] = np.nan
    alpha = np.zeros((40, 40), dtype)
    alpha[10:30, 10:30] = photo_range
    colour = (np.array([1.0, 0.5, 0.25]) * photo_range).astype(dtype)
    samples[10:30, 10:30] = colour
    result = filter_photo(Photo(samples, alpha), name)
    even = filter_photo(Photo(np.broadcast_to(colour, (9, 9, 3)).copy()), name).samples[4, 4]
    seen = result.samples[10:30, 10:30]
    np.testing.assert_allclose(seen, np.broadcast_to(even, seen.shape), rtol=0, atol=2e-6 if dtype == np.float32 else 0)
    np.testing.assert_array_equal(result.alpha, alpha)


@pytest.mark.parametrize("mode", [mode for mode, photo in PHOTOS.items() if photo.alpha is not None])
def test_identity_keeps_what_nobody_sees(mode: str) -> None:
    """The colours of fully transparent pixels, too; a pixel of whose window nothing is seen keeps its own."""
    photo = PHOTOS[mode]
    assert photo.alpha is not None
    hidden = Photo(
        photo.samples, np.where(photo.alpha < photo.alpha.max() / 2, 0, photo.alpha).astype(photo.alpha.dtype)
    )
    result = filter_photo(hidden, "identity")
    rounding = 1e-15 if photo.maximum is None else 0
    np.testing.assert_allclose(result.samples, hidden.samples, rtol=rounding, atol=0)
    np.testing.assert_array_equal(result.alpha, hidden.alpha)
    nothing = Photo(photo.samples, np.zeros_like(photo.alpha))
    np.testing.assert_array_equal(filter_photo(nothing, "gaussian").samples, photo.samples)


@pytest.mark.parametrize("kernel", ["blur", "gaussian", "motion"])
def test_a_blur_is_the_mean_of_what_is_seen(kernel: str) -> None:
    """The colours multiplied by alpha, filtered, and divided by alpha, filtered: the premultiplied blur of others."""
    correlate = require("scipy.ndimage").correlate
    alpha, weights = ALPHA.astype(float), KERNELS[kernel].weights
    expected = [
        correlate(x * alpha, weights, mode="nearest") / correlate(alpha, weights, mode="nearest")
        for x in np.moveaxis(COLOUR.astype(float), -1, 0)
    ]
    result = filter_photo(PHOTOS["RGBA"], kernel).samples
    np.testing.assert_allclose(result, np.stack(expected, -1), rtol=0, atol=0.5 + 1e-4)


def test_a_kernel_is_not_flipped_and_may_be_even_and_dilated() -> None:
    """The first weight meets the first pixel; valid padding crops the alpha with the colours."""
    weights = [[1, 2], [3, 4]]
    result = filter_photo(Photo(GREY), np.array(weights) / 10, padding="valid", dilation=2)
    x = GREY[:, :, 0].astype(float)
    exact = (x[:-2, :-2] + 2 * x[:-2, 2:] + 3 * x[2:, :-2] + 4 * x[2:, 2:]) / 10
    np.testing.assert_allclose(result.samples[:, :, 0], exact, rtol=0, atol=0.5 + 1e-4)
    result = filter_photo(PHOTOS["LA"], np.array(weights) / 10, padding="valid", dilation=2)
    np.testing.assert_array_equal(result.alpha, ALPHA[1:-1, 1:-1])


def test_alpha_under_an_even_kernel_is_that_of_its_upper_left_middle() -> None:
    """Of the four pixels around the middle."""
    result = filter_photo(PHOTOS["LA"], np.ones((2, 4)) / 8, padding="valid")
    np.testing.assert_array_equal(result.alpha, ALPHA[:-1, 1:-2])


def test_alpha_beyond_the_edge_is_that_of_the_nearest_pixel() -> None:
    """Full padding makes the result larger than the photograph."""
    result = filter_photo(PHOTOS["RGBA"], "blur", padding="full")
    np.testing.assert_array_equal(result.alpha, np.pad(ALPHA, 2, mode="edge"))


def test_results_are_rounded_half_to_even() -> None:
    """0.5 → 0, 1.5 → 2, 2.5 → 2."""
    photo = Photo(np.array([[[1], [3], [5], [7]]], np.uint8))
    np.testing.assert_array_equal(filter_photo(photo, [[0.5]]).samples.ravel(), [0, 2, 2, 4])


@pytest.mark.parametrize("size", [(1, 3), (3, 3), (5, 7)])
def test_sums_of_decimal_weights_are_rounded_as_if_they_were_exact(size: tuple[int, int]) -> None:
    """0.1 + 0.7 + 0.7 is 1.4999999999999998 in float64; a tenth of all sums here are such ties."""
    rng = np.random.default_rng(0)
    photo = Photo(rng.integers(0, 256, (60, 70, 3), np.uint8))
    tenths = rng.integers(-3, 9, size).astype(float)
    expected = filtered(photo, ImageKernel("tenths", "", tenths, 10))
    np.testing.assert_array_equal(filter_photo(photo, tenths / 10).samples, expected)


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_sums_beyond_the_integers_of_float32_are_exact(name: str) -> None:
    """Bright 16-bit samples that differ little, so that little is clipped."""
    photo = Photo(np.random.default_rng(0).integers(60000, 61500, (60, 70, 1), np.uint16))
    expected = filtered(photo, KERNELS[name], offset=32768 * KERNELS[name].sums_to_zero)
    result = filter_photo(photo, name, signed=KERNELS[name].sums_to_zero)
    np.testing.assert_array_equal(result.samples, expected)


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([np.uint8, np.uint16]),
    st.sampled_from([1, 2, 3, (2, 1)]),
    st.sampled_from(["same", "full", "valid", ((0, 3), (2, 0))]),
    st.sampled_from(sorted(SCIPY_MODES)),
    st.integers(1, 2),
    st.sampled_from([1, 40, 90, 200]),
)
def test_bands_do_not_change_the_result(
    seed: int, dtype: Any, stride: Any, padding: Any, mode: Any, dilation: int, band: int
) -> None:
    """A photograph filtered in bands equals the same filtered at once: every sample, weights like 0.1 included."""
    rng = np.random.default_rng(seed)
    photo = Photo(rng.integers(0, np.iinfo(dtype).max, (11, 7, 1), dtype, endpoint=True))
    weights = rng.integers(-30, 30, rng.integers(1, 4, 2)) / rng.choice([1, 2, 10, 7])
    window = {"stride": stride, "padding": padding, "padding_mode": mode, "dilation": dilation, "signed": True}
    whole = filter_photo(photo, weights, **window)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(im2col.photo.bands, "BAND_SAMPLES", band)
        steps: list[tuple[int, int]] = []
        banded = filter_photo(photo, weights, progress=lambda done, total: steps.append((done, total)), **window)
    np.testing.assert_array_equal(banded.samples, whole.samples)
    rows = whole.samples.shape[0]
    assert steps[-1] == (rows, rows)
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})
    # A band is as high as the window, at least, so that no row is converted twice.
    assert band > 1 or len(steps) > 1 or rows <= 2 * (1 + dilation * (len(weights) - 1))


@pytest.mark.parametrize("algorithm", ["explicit", "reference"])
def test_the_algorithm_and_the_threads_are_the_users(algorithm: str) -> None:
    """Every algorithm gives the same photograph."""
    expected = filtered(PHOTOS["RGB"], KERNELS["sharpen"])
    result = filter_photo(PHOTOS["RGB"], KERNELS["sharpen"], algorithm=algorithm, threads=2)
    np.testing.assert_array_equal(result.samples, expected)


def test_filtering_is_a_depthwise_convolution() -> None:
    """The same as `conv2d` with one group a channel."""
    x = COLOUR.transpose(2, 0, 1).astype(np.float32)
    weights = np.tile(KERNELS["gaussian"].weights.astype(np.float32), (3, 1, 1, 1)) / 256
    expected = conv2d(x, weights, padding="valid", groups=3)
    result = filter_photo(PHOTOS["RGB"], "gaussian", padding="valid")
    np.testing.assert_array_equal(result.samples, np.rint(expected).transpose(1, 2, 0))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"padding": "valid", "dilation": 5},
            GeometryError,
            "the kernel spans 11 pixels (size 3, dilation 5) but axis H of the padded image has 7; pad by at least 2 "
            "on each side or lower the dilation",
        ),
        ({"stride": -1}, GeometryError, "stride must be at least 1, got -1"),
        (
            {"padding_mode": "mirror"},
            ArgumentError,
            unknown_mode("mirror"),
        ),
        ({"threads": 0}, ArgumentError, "threads must be a positive integer or None, got 0"),
        (
            {"padding": 10**9},
            MemoryBudgetError,
            "the result of 2000000007 × 2000000005 pixels would take 3.5 EiB but 1.0 GiB are available; use less "
            "padding",
        ),
    ],
)
def test_windows_that_do_not_fit(
    options: dict[str, Any], error: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The errors name this operation."""
    monkeypatch.setattr("im2col.engine.host.available_memory", lambda: 1 << 30)
    with raises_exactly(error, f"filter_photo: {message}"):
        filter_photo(PHOTOS["L"], "sharpen", **options)


def test_an_unknown_algorithm_is_refused() -> None:
    """Before any work."""
    with pytest.raises(ArgumentError, match=r"\Afilter_photo: algorithm must be 'auto' or one of \(.*\), got 'fast'\Z"):
        filter_photo(PHOTOS["L"], "sharpen", algorithm="fast")


# --- writing


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return a folder in which no test may leave a part of a file."""
    yield tmp_path
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".part"]


@pytest.mark.parametrize(
    ("ending", "modes"),
    [
        (".png", "L LA RGB RGBA L;16 LA;16 RGB;16 RGBA;16"),
        (".tif", " ".join(PHOTOS)),
        (".bmp", "L RGB"),
        (".ppm", "RGB"),
        (".pgm", "L L;16"),
        (".pnm", "L RGB L;16"),
    ],
)
def test_lossless_formats_give_back_what_was_written(folder: Path, ending: str, modes: str) -> None:
    """Samples, alpha and depth."""
    for mode in modes.split():
        photo = PHOTOS[mode]
        path = folder / f"{mode.replace(';', '')}{ending}"
        write_photo(photo, path)
        again = read_photo(path)
        assert again.mode == mode
        np.testing.assert_array_equal(again.samples, photo.samples)
        assert again.samples.dtype == photo.samples.dtype
        assert (again.alpha is None) == (photo.alpha is None)
        if photo.alpha is not None:
            np.testing.assert_array_equal(again.alpha, photo.alpha)


@pytest.mark.parametrize(("ending", "mode"), [(".jpg", "L"), (".JPEG", "RGB"), (".webp", "RGB"), (".webp", "LA")])
def test_lossy_formats_come_close(folder: Path, ending: str, mode: str) -> None:
    """An even area comes back within 2."""
    samples = np.full((16, 16, 3 if mode == "RGB" else 1), 100, np.uint8)
    write_photo(Photo(samples, np.full((16, 16), 200, np.uint8) if mode == "LA" else None), folder / f"a{ending}")
    again = read_photo(folder / f"a{ending}")
    assert np.abs(again.samples.astype(int) - 100).max() <= 2
    assert (again.alpha is None) == (mode != "LA")


@pytest.mark.parametrize("ending", [".png", ".jpg", ".tif", ".webp"])
def test_the_colour_profile_is_kept(folder: Path, ending: str) -> None:
    """Without it the same numbers would be other colours."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = save(Image.fromarray(COLOUR), folder / "a.png", icc_profile=profile)
    filter_file(path, "blur", folder / f"b{ending}")
    assert read_photo(folder / f"b{ending}").metadata.icc_profile == profile


@pytest.mark.parametrize(
    ("name", "mode", "message"),
    [
        ("a.jpg", "RGBA", "{path}: JPEG cannot hold RGB with alpha; use one of PNG, TIFF, WEBP, as in {png}"),
        ("a.bmp", "LA", "{path}: BMP cannot hold grey with alpha; use one of PNG, TIFF, WEBP, as in {png}"),
        ("a.jpg", "RGBA;16", "{path}: JPEG cannot hold RGB with alpha; use one of PNG, TIFF, as in {png}"),
        ("a.webp", "LA;F64", "{path}: WEBP cannot hold float64 grey with alpha; use TIFF, as in {tif}"),
        ("a.png", "RGB;F32", "{path}: PNG cannot hold float32 RGB; use TIFF, as in {tif}"),
        ("a.pgm", "RGB", "{path}: a file that ends in .pgm does not hold RGB; use .ppm or .pnm"),
        ("a.ppm", "L", "{path}: a file that ends in .ppm does not hold grey; use .pgm or .pnm"),
        (
            "a.xyz",
            "RGB",
            "the ending '.xyz' of {path} means no format that is written here; use one of PNG, TIFF, WEBP, JPEG, BMP, "
            "PPM, as in {png}",
        ),
        (
            "a",
            "RGBA",
            "the ending '' of {path} means no format that is written here; use one of PNG, TIFF, WEBP, as in {png}",
        ),
        (
            "a.pdf",
            "L;16",
            "the ending '.pdf' of {path} means no format that is written here; use one of PNG, TIFF, PPM, as in {png}",
        ),
    ],
)
def test_formats_that_cannot_hold_the_photograph(folder: Path, name: str, mode: str, message: str) -> None:
    """Nothing is converted without a word."""
    path = folder / name
    message = message.format(path=path, png=folder / "a.png", tif=folder / "a.tif")
    with raises_exactly(PhotoError, f"write_photo: {message}"):
        write_photo(PHOTOS[mode], path)
    assert list(folder.iterdir()) == []


def test_places_where_nothing_can_be_written(folder: Path) -> None:
    """An existing file, a folder, a pipe, a missing folder, a folder that is a file, a loop of links."""
    (folder / "file").write_text("kept")
    os.mkfifo(folder / "pipe")
    (folder / "a").symlink_to(folder / "b")
    (folder / "b").symlink_to(folder / "a")
    for name, force, problem in [
        ("file", False, "it exists already; name another file, or pass force (--force) to replace it"),
        (".", True, "it is a folder; name a file in it"),
        ("pipe", True, "it is not a regular file; name another"),
        ("no/x.png", True, f"there is no folder {folder / 'no'}; make it first"),
        ("file/x.png", True, f"there is no folder {folder / 'file'}; make it first"),
        ("x" * 300, True, "File name too long"),
        ("new/", True, "a name that ends in '/' is a folder's; name a file"),
        ("file/", True, "a name that ends in '/' is a folder's; name a file"),
    ]:
        with raises_exactly(FileError, f"cannot write '{folder}/{name}': {problem}"):
            check_target(f"{folder}/{name}", force=force)
    with pytest.raises(FileError, match=r"\Acannot write '.*/a': .*(Symlink loop|levels of symbolic links)"):
        check_target(folder / "a", force=True)
    assert (folder / "file").read_text() == "kept"


def test_a_file_is_replaced_only_with_force(folder: Path) -> None:
    """And by the whole of the new one."""
    path = folder / "a.png"
    write_photo(PHOTOS["L"], path)
    before = path.read_bytes()
    with pytest.raises(FileError, match="it exists already"):
        write_photo(PHOTOS["RGB"], path)
    assert path.read_bytes() == before
    write_photo(PHOTOS["RGB"], path, force=True)
    assert read_photo(path).mode == "RGB"


def test_a_file_that_appears_meanwhile_stays(folder: Path) -> None:
    """Of two processes that write one name, the second says so; nothing hidden is left."""
    path = folder / "a.bin"
    message = f"cannot write '{path}': it exists already; name another file, or pass force (--force) to replace it"
    with raises_exactly(FileError, message), replacing(path, force=False) as file:
        file.write(b"second")
        path.write_bytes(b"first")
    assert [(entry.name, entry.read_bytes()) for entry in folder.iterdir()] == [("a.bin", b"first")]


def test_links_are_followed(folder: Path) -> None:
    """The file behind a link is replaced, and the link stays."""
    (folder / "link.png").symlink_to(folder / "real.png")
    write_photo(PHOTOS["L"], folder / "link.png")
    assert (folder / "link.png").is_symlink()
    assert (folder / "real.png").is_file()


def test_a_new_file_has_the_permissions_of_any_new_file(folder: Path) -> None:
    """What the umask leaves, and not what a temporary file has."""
    before = os.umask(0o027)
    try:
        write_photo(PHOTOS["L"], folder / "a.png")
    finally:
        os.umask(before)
    assert (folder / "a.png").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("failure", "raised"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), FileError),
        (OSError("encoder error -2 when writing image file"), FileError),
        (ValueError("too wide"), PhotoError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_a_failure_midway_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException, raised: type[BaseException]
) -> None:
    """Neither a part nor a change of the file that was there."""
    path = folder / "a.bmp"
    path.write_text("old")

    def fail(self: Image.Image, file: Any, *_: Any, **__: Any) -> None:
        assert self.size == (9, 7)
        file.write(b"half a picture")
        raise failure

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(raised) as caught:
        write_photo(PHOTOS["RGB"], path, force=True)
    if issubclass(raised, FileError):
        why = getattr(failure, "strerror", None) or failure
        assert str(caught.value) == f"write_photo: cannot write '{path}': {why}"
    assert [entry.name for entry in folder.iterdir()] == ["a.bmp"]
    assert path.read_text() == "old"


def test_a_folder_in_which_no_file_can_be_made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read-only, say: root is not bound by permissions, so the system call is made to fail."""

    def fail(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", fail)
    with (
        raises_exactly(FileError, f"cannot write '{folder / 'a'}': Permission denied; name another folder"),
        replacing(folder / "a", force=False),
    ):
        pytest.fail("the block must not run")


@pytest.mark.parametrize(("ending", "most"), [(".webp", 16383), (".jpg", 65500)])
def test_a_picture_too_large_for_its_format(folder: Path, ending: str, most: int) -> None:
    """It is refused before anything is encoded; a pixel less, and it is written."""
    path = folder / f"a{ending}"
    photo = Photo(np.zeros((1, most + 1, 1), np.uint8))
    png_path = path.with_suffix(".png")
    with raises_exactly(
        PhotoError,
        f"write_photo: {path}: {format_for(path, 'L', (1, 1)).name} holds at most {most} pixels along a side, but the "
        f"result has {most + 1} × 1; use one of PNG, TIFF, {'JPEG, ' * (most < 20000)}BMP, PPM, as in {png_path}",
    ):
        write_photo(photo, path)
    assert list(folder.iterdir()) == []
    write_photo(Photo(photo.samples[:, 1:]), path)


def test_a_picture_too_large_for_every_format() -> None:
    """One line, and no way out but a smaller one."""
    with raises_exactly(
        PhotoError, "a.png: no format holds 5000000000 × 2 pixels of RGB with alpha; make the result smaller"
    ):
        format_for("a.png", "RGBA", (5_000_000_000, 2))


# --- from file to file


def test_filter_file_does_all_three(folder: Path) -> None:
    """Read, filter, write; it returns what was read and written."""
    path = save(Image.fromarray(DEEP[:, :, 0]), folder / "a.png")
    done = filter_file(path, "sobel-x", folder / "b.tif", signed=True)
    assert (done.before, done.after, done.notes) == ("9 × 7 16-bit grey", "9 × 7 16-bit grey", ())
    expected = filtered(PHOTOS["L;16"], KERNELS["sobel-x"], offset=32768)
    np.testing.assert_array_equal(read_photo(folder / "b.tif").samples, expected)


def test_filter_file_can_replace_its_own_source(folder: Path) -> None:
    """The photograph is read whole before the result is written."""
    path = save(Image.fromarray(COLOUR), folder / "a.png")
    filter_file(path, "blur", path, force=True)
    np.testing.assert_array_equal(read_photo(path).samples, filtered(PHOTOS["RGB"], KERNELS["blur"]))


def test_filter_file_tries_what_can_fail_before_the_work(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A result that could not be written is not computed."""
    path = save(Image.fromarray(np.dstack([COLOUR, ALPHA])), folder / "a.png")
    monkeypatch.setattr(im2col.photo.filtering, "filter_photo", lambda *_, **__: pytest.fail("worked in vain"))
    with pytest.raises(FileError, match="it exists already"):
        filter_file(path, "blur", path)
    with pytest.raises(PhotoError, match="JPEG cannot hold RGB with alpha"):
        filter_file(path, "blur", folder / "b.jpg")
    with pytest.raises(ArgumentError, match="kernel must be a name"):
        filter_file(path, "blurr", folder / "b.png")
    with pytest.raises(PhotoError, match="WEBP holds at most 16383 pixels along a side"):
        filter_file(path, "blur", folder / "b.webp", padding=9000)


def test_a_kernel_of_ones_own_has_a_name() -> None:
    """What a plain array is called."""
    kernel = as_kernel([[1, 2]])
    assert (kernel.name, kernel.divisor, kernel.sums_to_zero) == ("kernel", 1, False)
    assert as_kernel([[1, -1]]).sums_to_zero


def test_photographs_print_themselves() -> None:
    """Width, height and kind."""
    assert [str(photo) for photo in PHOTOS.values()] == [
        "9 × 7 grey",
        "9 × 7 grey with alpha",
        "9 × 7 RGB",
        "9 × 7 RGB with alpha",
        "9 × 7 16-bit grey",
        "9 × 7 16-bit grey with alpha",
        "9 × 7 16-bit RGB",
        "9 × 7 16-bit RGB with alpha",
        "9 × 7 float16 grey",
        "9 × 7 float32 RGB",
        "9 × 7 float64 grey with alpha",
    ]
