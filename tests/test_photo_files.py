"""Files of every kind through `im2col filter`: right, or refused in one line; what travels along.

The files are written by tifffile, Pillow and by hand. The judge is a convolution by shifted arrays, of the numbers that
went into the file.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import stat
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, JpegImagePlugin
from PIL.TiffImagePlugin import IFDRational

from im2col import FileError, Im2colError, MemoryBudgetError, MissingExtraError, PhotoError
from im2col.photo.filtering import filter_file, filter_photo
from im2col.photo.image_files import Photo, read_photo, write_photo
from im2col.photo.kernels import KERNELS
from im2col.photo.scaled import photo_image

from .kit.outcomes import raises_exactly

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


def refused(path: Path, message: str) -> None:
    """Assert that a file is refused by a message that names it, and that nothing is written."""
    with raises_exactly(PhotoError, f"read_photo: {path} {message}"):
        filter_file(path, KERNEL, path.with_name("out.tif"))
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


# --- TIFF


TIFF_WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "planar": {"planarconfig": "separate"},
    "tiles": {"tile": (16, 16)},
    "planar tiles": {"tile": (16, 32), "planarconfig": "separate"},
    "strips": {"rowsperstrip": 5},
    "big": {"bigtiff": True},
    "big-endian": {"byteorder": ">"},
    "lzw": {"compression": "lzw"},
    "deflate": {"compression": "zlib", "predictor": True},
    "zstd": {"compression": "zstd"},
    "packbits": {"compression": "packbits"},
}


def tiff(path: Path, array: NDArray[Any], photometric: str, **options: Any) -> Path:
    """Write a TIFF file with tifffile; (H, W, C), or planes first where they are kept apart."""
    if array.shape[2] == 1:
        array = array[:, :, 0]
        options.pop("planarconfig", None)
    elif options.get("planarconfig") == "separate":
        array = np.moveaxis(array, -1, 0)
    tifffile.imwrite(path, array, photometric=photometric, metadata=None, **options)
    return path


def check_tiff(path: Path, dtype: Any, channels: int, way: str) -> None:
    """Filter one file and compare."""
    samples = smooth(dtype, channels)
    options = dict(TIFF_WAYS[way])
    if np.dtype(dtype).kind == "f" and "predictor" in options:
        options["predictor"] = 3
    tiff(path, samples, "rgb" if channels == 3 else "minisblack", **options)
    result, notes = through(path)
    assert notes == ()
    assert result.dtype == samples.dtype
    expected = convolved(samples)
    if result.dtype.kind == "f":
        eps = float(np.finfo(result.dtype).eps)
        np.testing.assert_allclose(result, expected, rtol=eps, atol=4 * eps)
    else:
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("way", TIFF_WAYS)
def test_sixteen_bit_colour_in_every_arrangement(tmp_path: Path, way: str) -> None:
    """Planes, tiles, strips, BigTIFF, both byte orders, compressions: 16 bits in, the same 16 bits out."""
    check_tiff(tmp_path / "a.tif", np.uint16, 3, way)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f2", "f4", "f8"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_depth(tmp_path: Path, dtype: str, channels: int) -> None:
    """Grey and colour; floating point comes out as it went in, neither rounded nor clipped."""
    check_tiff(tmp_path / "a.tif", dtype, channels, "planar")


@pytest.mark.wide
@pytest.mark.parametrize("way", TIFF_WAYS)
@pytest.mark.parametrize("dtype", ["u1", "u2", "f2", "f4", "f8"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_whole_matrix_of_tiff(tmp_path: Path, way: str, dtype: str, channels: int) -> None:
    """Every arrangement of every depth."""
    check_tiff(tmp_path / "a.tif", dtype, channels, way)


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("way", ["plain", "tiles", "lzw", "big-endian"])
def test_white_is_zero(tmp_path: Path, dtype: str, way: str) -> None:
    """It comes out as the picture, and not as its negative."""
    samples = smooth(dtype, 1)
    path = tiff(tmp_path / "a.tif", np.iinfo(samples.dtype).max - samples, "miniswhite", **TIFF_WAYS[way])
    result, _ = through(path)
    np.testing.assert_array_equal(result, convolved(samples))


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("planar", [False, True])
def test_tiff_with_alpha(tmp_path: Path, dtype: str, channels: int, planar: bool) -> None:
    """Alpha that is not multiplied in is alpha, and is not filtered."""
    samples = np.abs(smooth(dtype, channels))
    options: dict[str, Any] = {"planarconfig": "separate" if planar else "contig", "extrasamples": ["unassalpha"]}
    path = tiff(tmp_path / "a.tif", samples, "rgb" if channels == 4 else "minisblack", **options)
    photo = read_photo(path)
    np.testing.assert_array_equal(photo.samples, samples[:, :, :-1])
    np.testing.assert_array_equal(photo.alpha, samples[:, :, -1])
    result, notes = through(path)
    np.testing.assert_array_equal(result[:, :, -1], samples[:, :, -1])
    np.testing.assert_array_equal(result[:, :, :-1], filter_photo(photo, KERNEL).samples)
    assert notes == ()


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_alpha_that_is_multiplied_in_is_taken_out(tmp_path: Path, dtype: str) -> None:
    """TIFF's associated alpha."""
    greatest = 1.0 if dtype == "f4" else float(np.iinfo(dtype).max)
    alpha = np.full((HEIGHT, WIDTH, 1), greatest / 2)
    alpha[:5] = 0
    colours = np.abs(smooth("f8", 3))
    colours /= colours.max()
    samples = np.concatenate([colours * alpha, alpha], axis=2)
    samples = (samples if dtype == "f4" else np.rint(samples)).astype(dtype)
    photo = read_photo(tiff(tmp_path / "a.tif", samples, "rgb", extrasamples=["assocalpha"]))
    # Of half the range, rounding hides as much as one.
    step = 1e-6 if dtype == "f4" else 2
    np.testing.assert_allclose(photo.samples[5:], colours[5:] * greatest, rtol=0, atol=step)
    assert not photo.samples[:5].any()


def test_further_samples_are_left_out_with_a_note(tmp_path: Path) -> None:
    """A fourth of no known meaning, and what stands behind the alpha."""
    samples = smooth(np.uint16, 4)
    path = tiff(tmp_path / "a.tif", samples, "rgb", extrasamples=["unspecified"])
    result, notes = through(path)
    np.testing.assert_array_equal(result, convolved(samples[:, :, :3]))
    assert notes == (f"{path}: 1 further samples a pixel were left out",)
    path = tiff(tmp_path / "b.tif", samples, "minisblack", planarconfig="contig", extrasamples=["unspecified", 2, 0])
    photo = read_photo(path)
    np.testing.assert_array_equal(photo.samples, samples[:, :, :1])
    np.testing.assert_array_equal(photo.alpha, samples[:, :, 2])
    assert photo.notes == (f"{path}: 2 further samples a pixel were left out",)


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "u4", "i8", "u8"])
def test_other_integers_are_read_where_they_fit(tmp_path: Path, dtype: str) -> None:
    """Within 0 to 65535 they are what they are, with a note; beyond, the message has their true range."""
    samples = smooth("i1" if dtype == "i1" else "u2", 1).astype(dtype)
    samples = np.minimum(samples, np.iinfo(dtype).max)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, samples[:, :, 0], metadata=None)
    narrow = np.dtype("u1" if dtype == "i1" else "u2")
    result, notes = through(path)
    np.testing.assert_array_equal(result, convolved(samples.astype(narrow)))
    assert notes == (f"{path}: samples of {np.dtype(dtype)} were read as {narrow}, which holds all of their values",)
    (tmp_path / "out.tif").unlink()
    beyond = samples.copy()
    beyond[3, 4] = -5 if dtype[0] == "i" else 70000
    tifffile.imwrite(path, beyond[:, :, 0], metadata=None)
    least, greatest = int(beyond.min()), int(beyond.max())
    refused(path, f"has samples from {least} to {greatest} but 16 bits hold 0 to 65535; scale it first")


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_odd_depths_are_scaled(tmp_path: Path, bits: int) -> None:
    """Packed samples of scanners: white stays white."""
    samples = (smooth(np.uint16, 1) >> (16 - bits))[:, :, 0]
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, samples, bitspersample=bits, metadata=None, photometric="minisblack")
    photo = read_photo(path)
    expected = np.rint(samples * (65535 / (2**bits - 1)))
    np.testing.assert_array_equal(photo.samples[:, :, 0], expected)
    assert photo.notes == (f"{path}: {bits}-bit samples were scaled to 16 bits",)


def test_what_is_no_photograph_is_refused(tmp_path: Path) -> None:
    """Complex numbers, 16-bit CMYK, negatives of signed samples, volumes."""
    way_out = "which is not read; convert it to grey or RGB of 8 or 16 bits first"
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, smooth("f4", 1)[:, :, 0].astype(np.complex64), metadata=None)
    refused(path, f"has samples of complex64, {way_out}")
    tifffile.imwrite(path, smooth("u2", 4), photometric="separated", metadata=None)
    refused(path, f"is SEPARATED in 16 bits, {way_out}")
    tifffile.imwrite(path, smooth("i2", 1)[:, :, 0], photometric="miniswhite", metadata=None)
    refused(path, f"has int16 samples of which 0 is white, {way_out}")
    tifffile.imwrite(path, np.zeros((16, 32, 32), "u2"), volumetric=True, tile=(16, 16, 16), metadata=None)
    refused(path, f"has 1 samples a pixel and 16 layers, {way_out}")


def test_the_first_of_several_pages(tmp_path: Path) -> None:
    """With a note."""
    path = tmp_path / "a.tif"
    samples = smooth("u2", 3)
    with tifffile.TiffWriter(path) as writer:
        for page in (samples, samples[::-1]):
            writer.write(page, photometric="rgb", metadata=None)
    result, notes = through(path)
    np.testing.assert_array_equal(result, convolved(samples))
    assert notes == (f"{path}: the first of 2 frames was read",)


def test_a_broken_tiff_file_is_one_line(tmp_path: Path) -> None:
    """Truncated in the pixels, and in the directory."""
    path = tiff(tmp_path / "a.tif", smooth("u2", 3), "rgb", compression="zlib")
    whole = path.read_bytes()
    for size in (9, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:size])
        with pytest.raises(PhotoError, match=r"\Aread_photo: .*a\.tif (cannot be decoded \(.*\); get a|is no image)"):
            filter_file(path, KERNEL, tmp_path / "out.tif")
        assert [entry.name for entry in tmp_path.iterdir()] == ["a.tif"]


def test_a_large_tiff_file_is_suspected_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of pixels, and the budget."""
    path = tiff(tmp_path / "a.tif", smooth("u2", 3), "rgb")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 99)
    with pytest.raises(PhotoError, match="has more than 99 pixels, where Pillow suspects a decompression bomb"):
        read_photo(path)
    assert read_photo(path, large=True).mode == "RGB;16"
    monkeypatch.undo()
    monkeypatch.setattr("im2col.engine.host._ALWAYS_FITS", 0)
    monkeypatch.setattr("im2col.engine.host.available_memory", lambda: 1 << 10)
    with raises_exactly(
        MemoryBudgetError,
        f"read_photo: the image {path} of {WIDTH} × {HEIGHT} pixels would take 29.3 KiB but 1.0 KiB are available; "
        "scale it down first",
    ):
        read_photo(path)


@pytest.mark.parametrize(("missing", "options"), [("tifffile", {}), ("imagecodecs", {"compression": "lzw"})])
def test_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str, options: Any) -> None:
    """The error names the extra."""
    path = tiff(tmp_path / "a.tif", smooth("u2", 3), "rgb", **options)
    monkeypatch.setitem(__import__("sys").modules, missing, None)
    with raises_exactly(
        MissingExtraError, f"read_photo: this needs {missing}; install it with pip install 'im2col[cli]'"
    ):
        read_photo(path)


# --- PNG


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


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (4, 2), (2, 3), (6, 4)])
@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_png_of_every_kind(tmp_path: Path, depth: int, colour: int, channels: int, ending: str) -> None:
    """Grey and colour, with alpha and without, of 8 and 16 bits; the depth stays."""
    samples = smooth(f"u{depth // 8}", channels)
    photo = read_photo(png(tmp_path / "a.png", depth, colour, samples, []))
    np.testing.assert_array_equal(photo.pixels(), samples)
    assert photo.notes == ()
    filter_file(tmp_path / "a.png", KERNEL, tmp_path / f"out{ending}")
    result = read_photo(tmp_path / f"out{ending}")
    np.testing.assert_array_equal(result.pixels(), filter_photo(photo, KERNEL).pixels())
    if channels % 2:
        np.testing.assert_array_equal(result.samples, convolved(samples))


def test_what_png_says_of_its_colours_stays(tmp_path: Path) -> None:
    """Gamma, chromaticities, texts: as they are to PNG, with a note to JPEG."""
    gamma = struct.pack(">I", 100000)
    primaries = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
    chunks = [(b"gAMA", gamma), (b"cHRM", primaries), (b"tEXt", b"Title\0cat"), (b"sBIT", b"\5\5\5")]
    for depth in (8, 16):
        path = png(tmp_path / "a.png", depth, 2, smooth(f"u{depth // 8}", 3), chunks)
        assert filter_file(path, "blur", tmp_path / "b.png", force=True).notes == ()
        with Image.open(path) as before, Image.open(tmp_path / "b.png") as after:
            for key in ("gamma", "chromaticity", "Title"):
                assert after.info[key] == before.info[key]
    path = png(tmp_path / "a.png", 8, 2, smooth("u1", 3), chunks)
    notes = filter_file(path, "blur", tmp_path / "b.jpg").notes
    assert notes == (f"{tmp_path / 'b.jpg'}: JPEG has no place for cHRM, gAMA, text",)


def test_exif_of_png_as_imagemagick_writes_it(tmp_path: Path) -> None:
    """As text: it becomes the chunk of the standard, once, and turns the picture."""
    block = exif_block(6).tobytes()
    text = b"Raw profile type exif\0\nexif\n%8d\n%s\n" % (len(block), block.hex().encode())
    for depth in (8, 16):
        samples = smooth(f"u{depth // 8}", 3)
        path = png(tmp_path / "a.png", depth, 2, samples, [(b"tEXt", text), (b"tEXt", b"Raw profile type xmp\0kept")])
        filter_file(path, "identity", tmp_path / "b.png", force=True)
        np.testing.assert_array_equal(read_photo(tmp_path / "b.png").samples, np.rot90(samples, -1))
        data = (tmp_path / "b.png").read_bytes()
        assert (data.count(b"Raw profile type exif"), data.count(b"eXIf"), data.count(b"\0kept")) == (0, 1, 1)


# --- JPEG


def jpeg(path: Path, mode: str, **options: Any) -> Path:
    """Write a JPEG file of a photograph-like picture."""
    noise = RNG.integers(0, 40, (64, 80, 3)) + np.add.outer(np.arange(64) * 2, np.arange(80))[:, :, None]
    Image.fromarray(noise.clip(0, 255).astype(np.uint8)).convert(mode).save(path, "JPEG", **options)
    return path


JPEG_KINDS: list[tuple[str, dict[str, Any]]] = [
    ("RGB", {"quality": 90, "subsampling": "4:4:4"}),
    ("RGB", {"quality": 60, "subsampling": "4:2:2"}),
    ("RGB", {"quality": 97, "subsampling": "4:2:0"}),
    ("RGB", {"quality": 80, "subsampling": "4:2:0", "progressive": True}),
    ("RGB", {"quality": 80, "keep_rgb": True}),
    ("RGB", {"qtables": [[2] * 64, [3] * 64, [5] * 64], "subsampling": "4:4:4"}),
    ("L", {"quality": 30}),
    ("L", {"quality": 95, "progressive": True}),
]


@pytest.mark.parametrize(("mode", "options"), JPEG_KINDS)
def test_jpeg_is_coded_as_its_source(tmp_path: Path, mode: str, options: dict[str, Any]) -> None:
    """Sampling, tables, colour space and progression stay; identity is what Pillow makes of the same pixels."""
    path = jpeg(tmp_path / "a.jpg", mode, **options)
    assert filter_file(path, "identity", tmp_path / "b.jpg").notes == ()
    with Image.open(path) as before, Image.open(tmp_path / "b.jpg") as after:
        assert isinstance(before, JpegImagePlugin.JpegImageFile)
        assert isinstance(after, JpegImagePlugin.JpegImageFile)
        assert after.mode == mode
        assert JpegImagePlugin.get_sampling(after) == JpegImagePlugin.get_sampling(before)
        assert after.quantization == before.quantization
        assert after.info.get("progressive") == before.info.get("progressive")
        assert [layer[:3] for layer in after.layer] == [layer[:3] for layer in before.layer]
        again = io.BytesIO()
        before.save(again, "JPEG", quality="keep", keep_rgb=options.get("keep_rgb", False))
        with Image.open(again) as other:
            np.testing.assert_array_equal(np.asarray(after), np.asarray(other))


def test_other_samplings_become_full_resolution(tmp_path: Path) -> None:
    """4:4:0, which Pillow does not write: nothing of the colours is lost."""
    path = jpeg(tmp_path / "a.jpg", "RGB", quality=90, subsampling="4:2:2")
    data = bytearray(path.read_bytes())
    at = data.index(b"\xff\xc0")  # the frame: for each of its components the sampling across and down
    data[at + 11] = 0x12
    path.write_bytes(data)
    filter_file(path, "identity", tmp_path / "b.jpg")
    with Image.open(tmp_path / "b.jpg") as after:
        assert JpegImagePlugin.get_sampling(after) == 0


def test_a_jpeg_of_what_was_none_has_its_colours_in_full(tmp_path: Path) -> None:
    """From PNG: no chroma is thrown away."""
    Image.fromarray(smooth("u1", 3)).save(tmp_path / "a.png")
    filter_file(tmp_path / "a.png", "identity", tmp_path / "b.jpg")
    with Image.open(tmp_path / "b.jpg") as after:
        assert JpegImagePlugin.get_sampling(after) == 0


def test_cmyk_is_converted_with_notes(tmp_path: Path) -> None:
    """Its tables are not those of RGB, and its profile neither."""
    path = jpeg(tmp_path / "a.jpg", "CMYK", quality=50, icc_profile=b"of CMYK")
    notes = filter_file(path, "blur", tmp_path / "b.jpg").notes
    assert notes == (f"{path}: CMYK was converted to RGB", f"{path}: the ICC profile of CMYK was left out")
    with Image.open(path) as image:
        expected = convolved(np.asarray(image.convert("RGB")), "blur")
    assert np.abs(read_photo(tmp_path / "b.jpg").samples.astype(int) - expected).mean() < 3


# --- formats of 8 bits


def test_what_stays_8_bits_says_so(tmp_path: Path) -> None:
    """16-bit PPM, SGI and JPEG 2000, whose colours Pillow holds in 8 bits."""
    deep = smooth("u2", 3)
    ppm = tmp_path / "a.ppm"
    ppm.write_bytes(f"P6 {WIDTH} {HEIGHT} 65535\n".encode() + deep.astype(">u2").tobytes())
    assert read_photo(ppm).notes == (f"{ppm}: 16-bit colour was read as 8-bit, which is all that Pillow holds",)
    sgi = tmp_path / "a.sgi"
    header = struct.pack(">hBBHHHH", 474, 0, 2, 3, WIDTH, HEIGHT, 3) + struct.pack(">ii", 0, 65535)
    sgi.write_bytes(header.ljust(512, b"\0") + np.moveaxis(deep[::-1], -1, 0).astype(">u2").tobytes())
    photo = read_photo(sgi)
    assert photo.notes == (f"{sgi}: 16-bit colour was read as 8-bit, which is all that Pillow holds",)
    np.testing.assert_array_equal(photo.samples, deep >> 8)
    ppm.write_bytes(f"P6 {WIDTH} {HEIGHT} 255\n".encode() + (deep >> 8).astype("u1").tobytes())
    assert read_photo(ppm).notes == ()


def test_deep_jpeg_2000_and_avif_say_so(tmp_path: Path) -> None:
    """Written by imagecodecs."""
    imagecodecs = pytest.importorskip("imagecodecs")
    for name, data, bits in (
        ("a.jp2", imagecodecs.jpeg2k_encode(smooth("u2", 3), level=0), 16),
        ("b.jp2", imagecodecs.jpeg2k_encode(smooth("u1", 3), level=0), 8),
        ("a.avif", imagecodecs.avif_encode(smooth("u2", 3) >> 6, bitspersample=10), 10),
        ("b.avif", imagecodecs.avif_encode(smooth("u2", 3) >> 4, bitspersample=12), 12),
        ("c.avif", imagecodecs.avif_encode(smooth("u1", 3)), 8),
    ):
        path = tmp_path / name
        path.write_bytes(data)
        note = f"{path}: {bits}-bit colour was read as 8-bit, which is all that Pillow holds"
        assert read_photo(path).notes == ((note,) if bits > 8 else ())


@pytest.mark.parametrize(
    ("mode", "ending"),
    [("1", ".tif"), ("1", ".png"), ("P", ".png"), ("P", ".tif"), ("P", ".gif"), ("L", ".webp"), ("YCbCr", ".tif")],
)
def test_other_kinds_are_what_pillow_makes_of_them(tmp_path: Path, mode: str, ending: str) -> None:
    """One bit, palettes, and colours that are not RGB."""
    path = tmp_path / f"a{ending}"
    Image.fromarray(smooth("u1", 3)).convert(mode).save(path)
    with Image.open(path) as image:
        expected = np.asarray(image.convert("L" if mode in {"1", "L"} and ending != ".webp" else "RGB"))
    result, _ = through(path, ".png")
    np.testing.assert_array_equal(result, convolved(expected.reshape(HEIGHT, WIDTH, -1)))


# --- what travels along


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


@pytest.mark.parametrize("source", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("target", [".jpg", ".png", ".tif", ".webp", ".bmp", ".ppm"])
def test_metadata_travels_or_a_note_says_what_was_lost(tmp_path: Path, source: str, target: str) -> None:
    """From every format to every other."""
    path, out = write_with_everything(tmp_path / f"a{source}"), tmp_path / f"b{target}"
    note = " ".join(filter_file(path, "blur", out).notes)
    with Image.open(path) as before, Image.open(out) as after:
        exif = after.getexif()
        if target in {".jpg", ".png", ".tif", ".webp"}:
            assert (exif[271], exif[306], exif[33432]) == ("Canon", "2024:01:02 03:04:05", "me")
            camera, place = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
            assert camera[36867] == "2024:01:02 03:04:05"
            assert (camera[40962], camera[40963]) == (WIDTH, HEIGHT)
            assert float(camera[33434]) == pytest.approx(0.005)
            assert (place[1], tuple(map(float, place[2]))) == ("N", (52, 30, 0))
            assert after.info["icc_profile"] == SRGB
            xmp = after.info.get("xmp") or after.info["XML:com.adobe.xmp"]
            xmp = xmp.encode() if isinstance(xmp, str) else xmp
            assert b'xmp:Rating="4"' in xmp
            assert b"Orientation" not in xmp
        else:
            for word in ("EXIF", "ICC profile", "XMP"):
                assert word in note
        if "dpi" in before.info:
            assert "DPI" in note or tuple(map(round, after.info["dpi"])) == (240, 240)
    if target in {".jpg", ".png", ".tif"}:
        assert note == ""


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("source", [".jpg", ".png", ".tif", "16.png", "16.tif"])
def test_photographs_come_out_upright(tmp_path: Path, source: str, orientation: int) -> None:
    """All eight orientations: the pixels are turned, and no file says that they must be turned again."""
    path = tmp_path / f"a{source}"
    samples = smooth("u1", 3)
    if source == "16.png":
        data = exif_block(orientation).tobytes().removeprefix(b"Exif\0\0")
        samples = smooth("u2", 3)
        png(path, 16, 2, samples, [(b"eXIf", data)])
    elif source == "16.tif":
        samples = smooth("u2", 3)
        tifffile.imwrite(path, samples, photometric="rgb", metadata=None, extratags=[(274, "H", 1, orientation, True)])
    else:
        Image.fromarray(samples).save(path, exif=exif_block(orientation))
        if source == ".jpg":
            with Image.open(path) as image:
                samples = np.asarray(image)
    upright = {
        1: samples,
        2: samples[:, ::-1],
        3: samples[::-1, ::-1],
        4: samples[::-1],
        5: samples.transpose(1, 0, 2),
        6: np.rot90(samples, -1),
        7: samples[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(samples),
    }[orientation]
    np.testing.assert_array_equal(read_photo(path).samples, upright)
    for ending in (".png", ".tif"):
        out = tmp_path / f"out{ending}"
        filter_file(path, KERNEL, out, force=True)
        np.testing.assert_array_equal(read_photo(out).samples, convolved(upright))
        if source[0] == ".":  # Pillow's view of 16 bits is of no use
            with Image.open(out) as image:
                assert image.getexif().get(274, 1) == 1


@pytest.mark.parametrize("target", [".jpg", ".png", ".tif", ".webp"])
def test_exif_of_a_camera(tmp_path: Path, target: str) -> None:
    """Names in UTF-8, the maker's own bytes, fractions without a value, a directory in a directory."""
    exif = exif_block()
    exif[315], exif[270] = "Zoë".encode(), b"\xe7\x8c\xab"
    camera = exif.get_ifd(0x8769)
    camera.update(
        {37500: b"maker\0\1\2" * 9, 36864: b"0230", 41486: IFDRational(0, 0), 42036: "Objektiv für Fernes".encode()}
    )
    camera[0xA005] = {1: "R98", 2: b"0100"}
    Image.fromarray(smooth("u1", 3)).save(tmp_path / "a.jpg", exif=exif.tobytes())
    assert "Zoë".encode() in (tmp_path / "a.jpg").read_bytes()
    filter_file(tmp_path / "a.jpg", "blur", tmp_path / f"b{target}")
    data = (tmp_path / f"b{target}").read_bytes()
    for text in ("Zoë", "猫", "Objektiv für Fernes"):
        assert text.encode() in data
    with Image.open(tmp_path / f"b{target}") as image:
        found = image.getexif()
        entries = found.get_ifd(0x8769)
        assert (entries[37500], entries[36864]) == (b"maker\0\1\2" * 9, b"0230")
        assert found.get_ifd(0xA005) == {1: "R98", 2: b"0100"}


def test_the_thumbnail_stays_behind(tmp_path: Path) -> None:
    """It would show the picture before."""
    thumbnail = io.BytesIO()
    Image.new("RGB", (8, 8)).save(thumbnail, "JPEG")
    ifd0 = struct.pack("<H", 1) + struct.pack("<HHI4s", 271, 2, 4, b"Me\0\0") + struct.pack("<I", 26)
    ifd1 = (
        struct.pack("<H", 2)
        + struct.pack("<HHII", 513, 4, 1, 56)
        + struct.pack("<HHII", 514, 4, 1, len(thumbnail.getvalue()))
    )
    block = b"Exif\0\0II*\0" + struct.pack("<I", 8) + ifd0 + ifd1 + struct.pack("<I", 0) + thumbnail.getvalue()
    Image.fromarray(smooth("u1", 3)).save(tmp_path / "a.jpg", exif=block)
    assert (tmp_path / "a.jpg").read_bytes().count(b"\xff\xd8") == 2
    filter_file(tmp_path / "a.jpg", "blur", tmp_path / "b.jpg")
    assert (tmp_path / "b.jpg").read_bytes().count(b"\xff\xd8") == 1
    with Image.open(tmp_path / "b.jpg") as image:
        assert image.getexif()[271].rstrip("\0") == "Me"


def test_iptc_and_comments_of_jpeg(tmp_path: Path) -> None:
    """They stay in JPEG, and are named where there is no place for them."""
    resources = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x0c\x1c\x02x\0\x05hello\0\0"
    extra = b"\xff\xed" + struct.pack(">H", 2 + len(resources)) + resources
    Image.fromarray(smooth("u1", 3)).save(tmp_path / "a.jpg", extra=extra, comment=b"mine")
    assert filter_file(tmp_path / "a.jpg", "blur", tmp_path / "b.jpg").notes == ()
    with Image.open(tmp_path / "b.jpg") as image:
        assert image.info["comment"] == b"mine"
        assert resources in dict(image.applist)["APP13"]  # type: ignore[attr-defined]
    notes = filter_file(tmp_path / "a.jpg", "blur", tmp_path / "b.png").notes
    assert notes == (f"{tmp_path / 'b.png'}: PNG has no place for the comment, Photoshop's resources (IPTC)",)


def test_tags_of_tiff_that_cannot_travel_are_named(tmp_path: Path) -> None:
    """Places of a map, say."""
    tags = [(33550, "d", 3, (1.0, 1.0, 0.0), True), (271, "s", 0, "Leica", True)]
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, smooth("u2", 3), photometric="rgb", metadata=None, extratags=tags)
    notes = filter_file(path, "blur", tmp_path / "b.tif").notes
    assert len(notes) == 1
    assert notes[0].startswith(f"{path}: the tags ")
    with tifffile.TiffFile(tmp_path / "b.tif") as result:
        assert result.pages.first.tags["Make"].value == "Leica"


def test_exif_that_is_broken_is_said(tmp_path: Path) -> None:
    """The photograph is read all the same."""
    Image.fromarray(smooth("u1", 3)).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\0\0garbage")
    done = filter_file(tmp_path / "a.jpg", "blur", tmp_path / "b.jpg")
    assert done.after == f"{WIDTH} × {HEIGHT} RGB"


def test_too_much_for_a_jpeg_file_is_left_out_with_a_note(tmp_path: Path) -> None:
    """A segment holds 64 KiB."""
    exif = Image.Exif()
    exif[271] = "x" * 70000
    Image.fromarray(smooth("u1", 3)).save(tmp_path / "a.png", exif=exif)
    notes = filter_file(tmp_path / "a.png", "blur", tmp_path / "b.jpg").notes
    assert notes == (f"{tmp_path / 'b.jpg'}: JPEG has no place for EXIF",)


# --- permissions


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
@pytest.mark.parametrize(("source", "old", "new"), [(0o600, None, 0o600), (0o600, 0o644, 0o600), (0o644, 0o640, 0o640)])
@pytest.mark.parametrize("ending", [".png", ".jpg", ".tif"])
def test_a_private_photograph_stays_private(
    tmp_path: Path, source: int, old: int | None, new: int, ending: str
) -> None:
    """Nobody may read the result who might not read the photograph, or the file that it replaces."""
    path, out = tmp_path / "a.png", tmp_path / f"b{ending}"
    write_photo(Photo(smooth("u1", 3)), path)
    path.chmod(source)
    if old is not None:
        out.touch()
        out.chmod(old)
    before = os.umask(0o022)
    try:
        filter_file(path, "blur", out, force=True)
    finally:
        os.umask(before)
    assert stat.S_IMODE(out.stat().st_mode) == new


# --- memory


@pytest.mark.parametrize(
    ("kernel", "options", "window"),
    [("blur", {"dilation": 1_000_000}, 4_000_001), (np.ones((3_000_001, 1)), {}, 3_000_001)],
)
def test_a_window_beyond_the_memory_is_refused_before_the_work(
    monkeypatch: pytest.MonkeyPatch, kernel: Any, options: Any, window: int
) -> None:
    """The budget is asked for the bands."""
    monkeypatch.setattr("im2col.engine.host.available_memory", lambda: 1 << 24)
    with pytest.raises(
        MemoryBudgetError,
        match=rf"\Afilter_photo: filtering [\d]+ × [\d]+ pixels, padded, with a window of {window} rows would take .* "
        r"but 16\.0 MiB are available; use a smaller kernel or dilation, or scale the photograph down first\Z",
    ):
        filter_photo(Photo(smooth("u1", 3)), kernel, **options)


@pytest.mark.parametrize("span", [1, 2, 9, 31, 60])
def test_a_row_is_converted_once(monkeypatch: pytest.MonkeyPatch, span: int) -> None:
    """However high the window is, and however small the bands: the rows of the padded photograph are filled once."""
    from im2col.photo import bands

    filled = []
    fill = bands.Bands._fill

    def counted(self: Any, part: Any, rows: Any) -> None:
        filled.append(len(rows))
        fill(self, part, rows)

    monkeypatch.setattr(bands, "BAND_SAMPLES", 1)
    monkeypatch.setattr(bands.Bands, "_fill", counted)
    samples = RNG.integers(0, 256, (100, 6, 1), np.uint8)
    filter_photo(Photo(samples), np.ones((span, 1)) / span)
    assert sum(filled) == 100 + span - 1


def test_signed_is_for_integers() -> None:
    """Floating-point samples hold negative results as they are."""
    from im2col import ArgumentError

    with raises_exactly(
        ArgumentError,
        "filter_photo: signed is for integers: floating-point samples hold negative results as they are",
    ):
        filter_photo(Photo(smooth("f4", 3)), "laplacian", signed=True)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_what_is_no_number_stays_where_the_window_is(tmp_path: Path, dtype: str) -> None:
    """NaN and infinities reach only the pixels whose window covers them, without a warning."""
    samples = smooth(dtype, 1)
    samples[10, 10], samples[20, 20], samples[20, 21] = np.nan, np.inf, -np.inf
    result, _ = through(tiff(tmp_path / "a.tif", samples, "minisblack"), kernel="blur")
    touched = np.zeros((HEIGHT, WIDTH), bool)
    touched[8:13, 8:13] = touched[18:23, 18:24] = True
    np.testing.assert_array_equal(np.isfinite(result[:, :, 0]), ~touched)


def test_a_png_file_too_wide_for_its_library(tmp_path: Path) -> None:
    """Refused before the work."""
    with pytest.raises(
        PhotoError, match=r"PNG holds at most 1000000 pixels along a side, .*; use one of TIFF, BMP, PPM"
    ):
        write_photo(Photo(np.zeros((1, 1_000_001, 1), np.uint8)), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("ending", "mode"), [(".webp", "RGBA;16"), (".jpg", "L;16"), (".bmp", "RGB;16"), (".ppm", "RGB;16")]
)
def test_formats_of_8_bits_take_the_nearest_8(tmp_path: Path, ending: str, mode: str) -> None:
    """With a note: 16 bits in, 8 bits out, rounded."""
    channels = {"L": 1, "RGB": 3, "RGBA": 4}[mode.partition(";")[0]]
    samples = smooth("u2", channels)
    colours, alpha = (samples[:, :, :-1], samples[:, :, -1]) if channels == 4 else (samples, None)
    out = tmp_path / f"a{ending}"
    (note,) = write_photo(Photo(colours, alpha), out)
    name = {".webp": "WEBP", ".jpg": "JPEG", ".bmp": "BMP", ".ppm": "PPM"}[ending]
    assert note == f"{out}: {name} holds 8 bits, to which the 16 of each sample were rounded"
    again = read_photo(out)
    assert again.mode == mode.partition(";")[0]
    if ending in {".bmp", ".ppm"}:
        np.testing.assert_array_equal(again.samples, np.rint(colours / 257))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_lossless_webp_stays_lossless(tmp_path: Path, mode: str) -> None:
    """And a lossy one is lossy."""
    samples = RNG.integers(0, 256, (20, 30, len(mode)), np.uint8)
    if mode == "RGBA":
        samples[:, :, 3] = 255
        samples[0, 0, 3] = 254
    Image.fromarray(samples).save(tmp_path / "a.webp", lossless=True, icc_profile=SRGB)
    filter_file(tmp_path / "a.webp", "identity", tmp_path / "b.webp")
    np.testing.assert_array_equal(read_photo(tmp_path / "b.webp").pixels(), samples)
    Image.fromarray(samples).save(tmp_path / "c.webp", quality=50)
    filter_file(tmp_path / "c.webp", "identity", tmp_path / "d.webp")
    assert b"VP8L" not in (tmp_path / "d.webp").read_bytes()


@pytest.mark.parametrize("kind", ["u2", "f4"])
def test_more_than_a_classic_tiff_holds_is_a_bigtiff(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same tags."""
    monkeypatch.setattr("im2col.photo.tiff._CLASSIC", 100)
    monkeypatch.setattr("im2col.photo.tiff._STRIP", 1000)
    samples = smooth(kind, 3)
    path = write_with_everything(tmp_path / "a.tif")
    metadata = read_photo(path).metadata
    write_photo(Photo(samples, None, metadata), tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as result:
        assert result.is_bigtiff
        assert len(result.pages.first.dataoffsets) > 10
        np.testing.assert_array_equal(result.asarray(), samples)
    again = read_photo(tmp_path / "b.tif")
    np.testing.assert_array_equal(again.samples, samples)
    assert (again.metadata.icc_profile, again.metadata.xmp) == (SRGB, metadata.xmp)
    assert again.metadata.dpi == pytest.approx((240, 240))
    exif = Image.Exif()
    exif.load(again.metadata.exif or b"")
    assert (exif[271], exif.get_ifd(0x8769)[40962], exif.get_ifd(0x8825)[1]) == ("Canon", WIDTH, "N")


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_few_bits(tmp_path: Path, bits: int, photometric: str) -> None:
    """Facsimiles and the like, of either polarity."""
    samples = RNG.integers(0, 2**bits, (HEIGHT, WIDTH)).astype(np.uint8)
    options: dict[str, Any] = {} if bits == 1 else {"bitspersample": bits}
    written = samples.astype(bool) if bits == 1 else samples
    tifffile.imwrite(tmp_path / "a.tif", written, photometric=photometric, metadata=None, **options)
    white = samples * (255 // (2**bits - 1))
    expected = (white if photometric == "minisblack" else 255 - white).astype(np.uint8)
    np.testing.assert_array_equal(read_photo(tmp_path / "a.tif").samples[:, :, 0], expected)


def test_a_folder_in_which_nothing_can_be_made_is_found_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The photograph is not even read."""
    write_photo(Photo(smooth("u1", 3)), tmp_path / "a.png")
    monkeypatch.setattr("im2col.photo.filtering.read_photo", lambda *_, **__: pytest.fail("worked in vain"))

    def fail(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", fail)
    with raises_exactly(
        FileError, f"filter_file: cannot write '{tmp_path / 'b.png'}': Permission denied; name another folder"
    ):
        filter_file(tmp_path / "a.png", "blur", tmp_path / "b.png")


@pytest.mark.wide
@pytest.mark.parametrize("seed", range(20))
def test_broken_files_are_errors_of_the_package(tmp_path: Path, seed: int) -> None:
    """Whatever bytes are wrong: the photograph is filtered, or refused by an error that names the file."""
    random = np.random.default_rng(seed)
    sources = [
        tiff(tmp_path / "a.tif", smooth("u2", 3), "rgb", compression="lzw", tile=(16, 16)),
        tiff(tmp_path / "b.tif", smooth("f4", 1), "minisblack", bigtiff=True),
        png(tmp_path / "c.png", 16, 2, smooth("u2", 3), [(b"eXIf", exif_block(6).tobytes()[6:])]),
        *(write_with_everything(tmp_path / f"d{ending}", 6) for ending in (".jpg", ".png", ".tif", ".webp")),
    ]
    for source, target in itertools.product(sources, (".png", ".jpg", ".tif")):
        data = bytearray(source.read_bytes())
        for at in random.integers(0, min(len(data), int(random.choice([64, 400, len(data)]))), random.integers(1, 8)):
            data[at] = random.integers(256)
        path = tmp_path / f"broken{source.suffix}"
        path.write_bytes(data)
        out = tmp_path / f"out{target}"
        out.unlink(missing_ok=True)
        with contextlib.suppress(Im2colError):
            filter_file(path, "blur", out)
            out.unlink()  # it was written whole; where it was not, it is not there
        assert not out.exists()
        assert not list(tmp_path.glob(".im2col-*"))


def test_a_picture_of_a_floating_point_photograph(tmp_path: Path) -> None:
    """Between 0 and 1, as far as it goes; what is no number is black."""
    samples = np.array([[-1.0, 0.0, 0.5, 1.0, 7.0, np.nan]], np.float32)
    tifffile.imwrite(tmp_path / "a.tif", samples, metadata=None)
    np.testing.assert_array_equal(photo_image(tmp_path / "a.tif"), [[[0, 0, 128, 255, 255, 0]]])
