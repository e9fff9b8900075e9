"""PNG, JPEG and the formats of 8 bits: right, or refused in one line. The judge is a convolution by shifted arrays."""

from __future__ import annotations

import contextlib
import errno
import io
import itertools
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, JpegImagePlugin

from im2col import FileError, Im2colError, MemoryBudgetError, PhotoError, convolve_blocks
from im2col.photo.filtering import filter_file, filter_photo
from im2col.photo.image_files import Photo, read_photo, write_photo
from im2col.photo.scaled import photo_image

from .kit.outcomes import raises_exactly, require
from .kit.photographs import (
    HEIGHT,
    KERNEL,
    RNG,
    SRGB,
    WIDTH,
    convolved,
    exif_block,
    png,
    smooth,
    through,
    tiff,
    write_with_everything,
)


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
    imagecodecs = require("imagecodecs")
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


def test_a_png_file_too_wide_for_its_library(tmp_path: Path) -> None:
    """Refused before the work."""
    with pytest.raises(
        PhotoError, match=r"PNG holds at most 1000000 pixels along a side, .*; use one of TIFF, BMP, PPM"
    ):
        write_photo(Photo(np.zeros((1, 1_000_001, 1), np.uint8)), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("ending", "what"),
    [(".png", "writing 50 × 50 pixels would take 36.6 KiB"), (".jpg", "the copy of 50 × 50 pixels would take 9.8 KiB")],
)
def test_a_file_beyond_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, what: str) -> None:
    """What a format needs is asked for before anything is written."""
    monkeypatch.setattr("im2col.engine.host._ALWAYS_FITS", 0)
    monkeypatch.setattr("im2col.engine.host.available_memory", lambda: 1 << 10)
    with raises_exactly(
        MemoryBudgetError,
        f"write_photo: {what} but 1.0 KiB are available; scale it down first",
    ):
        write_photo(Photo(np.zeros((50, 50, 3), np.uint8)), tmp_path / f"a{ending}")
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


def test_a_folder_in_which_nothing_can_be_made_is_found_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The photograph is not even read."""
    write_photo(Photo(smooth("u1", 3)), tmp_path / "a.png")
    monkeypatch.setattr("im2col.photo.filtering.opened_photo", lambda *_, **__: pytest.fail("worked in vain"))

    def fail(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", fail)
    with raises_exactly(
        FileError, f"filter_file: cannot write '{tmp_path / 'b.png'}': Permission denied; name another folder"
    ):
        filter_file(tmp_path / "a.png", "blur", tmp_path / "b.png")


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_a_disk_that_is_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    """Which refuses to make a file, and to remove even one that is not there: what is told is the first."""
    write_photo(Photo(smooth("u1", 3)), tmp_path / "a.png")

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    for call in ("open", "unlink"):
        monkeypatch.setattr(os, call, fail)
    monkeypatch.setattr(Path, "unlink", fail)
    with raises_exactly(
        FileError,
        f"filter_file: cannot write '{tmp_path / 'b'}.{ending}': Read-only file system; name another folder",
    ):
        filter_file(tmp_path / "a.png", "blur", tmp_path / f"b.{ending}")


@pytest.mark.parametrize("ending", ["png", "jpg", "npy"])
def test_a_disk_that_becomes_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    """While a file is put in place: what is told is that, and not that what was written cannot be removed."""
    target = tmp_path / f"b.{ending}"

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    for call in ("replace", "unlink"):
        monkeypatch.setattr(Path, call, fail)
    if ending == "npy":
        with raises_exactly(FileError, f"convolve_blocks: cannot write '{target}': Read-only file system"):
            convolve_blocks(np.ones((5, 5)), np.ones((1, 1, 3, 3)), target)
    else:
        with raises_exactly(FileError, f"write_photo: cannot write '{target}': Read-only file system"):
            write_photo(Photo(smooth("u1", 3)), target)


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
