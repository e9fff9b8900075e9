"""TIFF files of every kind: right, or refused in one line. The judge is a convolution by shifted arrays."""

from __future__ import annotations

import struct
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from im2col import MemoryBudgetError, MissingExtraError, PhotoError
from im2col.photo.filtering import filter_file, filter_photo
from im2col.photo.image_files import Photo, read_photo, write_photo

from .kit.budget import SLACK, allocation
from .kit.outcomes import raises_exactly
from .kit.photographs import (
    HEIGHT,
    KERNEL,
    RNG,
    SRGB,
    WIDTH,
    convolved,
    smooth,
    through,
    tiff,
    write_with_everything,
)

if TYPE_CHECKING:
    from pathlib import Path


def refused(path: Path, message: str) -> None:
    """Assert that a file is refused by a message that names it, and that nothing is written."""
    with raises_exactly(PhotoError, f"read_photo: {path} {message}"):
        filter_file(path, KERNEL, path.with_name("out.tif"))
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


TIFF_WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "planar": {"planarconfig": "separate"},
    "tiles": {"tile": (16, 16)},
    "planar tiles": {"tile": (16, 32), "planarconfig": "separate"},
    "strips": {"rowsperstrip": 5},
    "big": {"bigtiff": True},
    "big-endian": {"byteorder": ">"},
    "big and big-endian": {"bigtiff": True, "byteorder": ">"},
    "lzw": {"compression": "lzw"},
    "deflate": {"compression": "zlib", "predictor": True},
    "zstd": {"compression": "zstd"},
    "packbits": {"compression": "packbits"},
}


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


def test_a_big_endian_bigtiff_says_what_travels(tmp_path: Path) -> None:
    """Pillow cannot open one: its pixels, orientation and texts are read all the same, and what is not is named."""
    samples = smooth("u1", 3)
    extra = [(274, "H", 1, 6, True), (315, "s", 0, "Ada", True), (64999, "Q", 1, 8, True)]
    path = tiff(tmp_path / "a.tif", samples, "rgb", bigtiff=True, byteorder=">", extratags=extra)
    # tifffile does not write a directory of EXIF.
    path.write_bytes(path.read_bytes().replace(struct.pack(">HH", 64999, 16), struct.pack(">HH", 34665, 16)))
    photo = read_photo(path)
    np.testing.assert_array_equal(photo.samples, np.rot90(samples, -1))
    assert photo.notes == (f"{path}: EXIF of a big-endian BigTIFF could not be read",)
    write_photo(photo, tmp_path / "b.tif")
    with Image.open(tmp_path / "b.tif") as image:
        assert dict(image.getexif()).get(315) == "Ada"
        assert 274 not in image.getexif()


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


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_what_is_no_number_stays_where_the_window_is(tmp_path: Path, dtype: str) -> None:
    """NaN and infinities reach only the pixels whose window covers them, without a warning."""
    samples = smooth(dtype, 1)
    samples[10, 10], samples[20, 20], samples[20, 21] = np.nan, np.inf, -np.inf
    result, _ = through(tiff(tmp_path / "a.tif", samples, "minisblack"), kernel="blur")
    touched = np.zeros((HEIGHT, WIDTH), bool)
    touched[8:13, 8:13] = touched[18:23, 18:24] = True
    np.testing.assert_array_equal(np.isfinite(result[:, :, 0]), ~touched)


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


@pytest.mark.parametrize("compression", ["zlib", "lzw", "packbits", "zstd", None])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("options", [{"rowsperstrip": 5}, {"tile": (16, 16)}])
def test_a_file_that_ends_early_is_said_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], compression: str | None, dtype: str, options: dict[str, Any]
) -> None:
    """In the error alone: Pillow's library would write to standard error by itself."""
    path = tmp_path / "a.tif"
    # tifffile writes the directory before the pixels: so it is these that end.
    tifffile.imwrite(path, smooth(dtype, 3), photometric="rgb", compression=compression, metadata=None, **options)
    path.write_bytes(path.read_bytes()[:-50])
    for read in (read_photo, lambda source: filter_file(source, KERNEL, tmp_path / "out.tif")):
        with pytest.raises(PhotoError, match=r"\Aread_photo: .*a\.tif cannot be decoded \(.*\); get a complete copy"):
            read(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.tif"]
    assert capfd.readouterr() == ("", "")


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


@pytest.mark.parametrize(
    ("dtype", "options"),
    [
        ("u1", {"extrasamples": ["assocalpha"]}),
        ("u2", {"extrasamples": ["unassalpha"]}),
        ("u2", {"extrasamples": ["unspecified"], "compression": "lzw"}),
        ("f4", {"extrasamples": ["assocalpha"], "tile": (256, 256)}),
        ("u2", {"bitspersample": 12, "photometric": "minisblack"}),
    ],
)
def test_the_budget_is_asked_for_all_that_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, options: dict[str, Any]
) -> None:
    """Alpha that is taken out, samples that are scaled, the file beside its pixels."""
    samples = RNG.random((900, 800, 4)) * (1 if dtype == "f4" else 4095 if "bitspersample" in options else 255)
    array = samples[:, :, 0] if "bitspersample" in options else samples
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array.astype(dtype), **({"photometric": "rgb", "metadata": None} | options))
    asked: list[int] = []
    for module in ("tiff", "reading"):  # as a whole, and row by row
        monkeypatch.setattr(f"im2col.photo.{module}.require_memory", lambda size, *_: asked.append(size))
    assert allocation(lambda: read_photo(path)).peak <= max(asked) + SLACK


@pytest.mark.parametrize(("missing", "options"), [("tifffile", {}), ("imagecodecs", {"compression": "lzw"})])
def test_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str, options: Any) -> None:
    """The error names the extra."""
    path = tiff(tmp_path / "a.tif", smooth("u2", 3), "rgb", **options)
    monkeypatch.setitem(sys.modules, missing, None)
    with raises_exactly(
        MissingExtraError, f"read_photo: this needs {missing}; install it with pip install 'im2col[cli]'"
    ):
        read_photo(path)


@pytest.mark.parametrize("kind", ["u2", "f4"])
def test_more_than_a_classic_tiff_holds_is_a_bigtiff(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same tags."""
    monkeypatch.setattr("im2col.photo.tiff_writing._CLASSIC", 100)
    monkeypatch.setattr("im2col.photo.tiff_writing.STRIP", 1000)
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
