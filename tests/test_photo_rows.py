"""Photographs row by row: TIFF and PNG files give, and take, the very pixels that whole ones have."""

from __future__ import annotations

import contextlib
import io
import itertools
import re
import resource
import struct
import subprocess
import sys
import textwrap
import zlib
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

import im2col.photo.bands
from im2col import ArgumentError, Im2colError, MemoryBudgetError, PhotoError
from im2col.photo import png_filters, png_writing, tiff_writing
from im2col.photo.filtering import filter_file, filter_photo
from im2col.photo.image_files import Photo, read_photo, write_photo
from im2col.photo.kernels import as_kernel, find_kernel
from im2col.photo.reading import opened_photo
from im2col.photo.row_filter import RowFilter, exact_dtype

from .kit.outcomes import raises_exactly, require
from .kit.photographs import RNG, smooth, tiff

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray

    from im2col.photo.photograph import Rows

TIFF_WAYS: dict[str, dict[str, Any]] = {
    "strips": {"rowsperstrip": 5},
    "one strip": {"rowsperstrip": 1 << 20},
    "tiles": {"tile": (16, 32)},
    "planar": {"planarconfig": "separate", "rowsperstrip": 7},
    "planar tiles": {"tile": (32, 16), "planarconfig": "separate"},
    "big": {"bigtiff": True, "rowsperstrip": 3},
    "big-endian": {"byteorder": ">", "rowsperstrip": 3},
    "big and big-endian tiles": {"bigtiff": True, "byteorder": ">", "tile": (16, 16)},
    "lzw": {"compression": "lzw", "rowsperstrip": 8},
    "deflate": {"compression": "zlib", "predictor": True, "rowsperstrip": 8},
    "planar deflate tiles": {"compression": "zlib", "tile": (16, 16), "planarconfig": "separate"},
    "big-endian deflate": {"compression": "zlib", "predictor": True, "byteorder": ">"},
    "zstd": {"compression": "zstd"},
    "packbits": {"compression": "packbits"},
}


def in_pieces(rows: Rows) -> NDArray[Any]:
    """Return a photograph's pixels, of which each row was asked for in some piece, and some before others."""
    height = rows.shape[0]
    found = np.empty(rows.shape, rows.dtype)
    cuts = [0, *sorted(RNG.choice(np.arange(1, height), 4, replace=False)), height]
    pieces = list(itertools.pairwise(cuts))
    for first, stop in [*pieces, *RNG.permutation(pieces).tolist()]:
        found[first:stop] = rows.pixels(slice(first, stop))
    return found


def check_rows(path: Path, expected: NDArray[Any], *, whole: bool = False) -> None:
    """Assert that a file gives the expected pixels row by row, and as a whole; and is filtered as they are."""
    with opened_photo(path) as rows:
        assert isinstance(rows, Photo) is whole
        found = in_pieces(rows)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    photo = read_photo(path)
    np.testing.assert_array_equal(photo.pixels(), expected)
    colours = 1 if expected.shape[2] < 3 else 3
    alpha = expected[:, :, -1] if expected.shape[2] != colours else None
    filtered = filter_photo(Photo(expected[:, :, :colours], alpha), "sharpen").pixels()
    for ending in (".tif", ".png") if expected.dtype.kind == "u" else (".tif",):
        filter_file(path, "sharpen", path.with_name(f"out{ending}"), force=True)
        np.testing.assert_array_equal(read_photo(path.with_name(f"out{ending}")).pixels(), filtered)


@pytest.mark.parametrize("way", TIFF_WAYS)
@pytest.mark.parametrize("dtype", ["u1", "u2", "f2", "f4", "f8"])
@pytest.mark.parametrize("channels", [1, 3])
def test_rows_of_tiff(tmp_path: Path, way: str, dtype: str, channels: int) -> None:
    """Strips and tiles, planes, byte orders, compressions and depths."""
    options = dict(TIFF_WAYS[way])
    if np.dtype(dtype).kind == "f" and "predictor" in options:
        options["predictor"] = 3
    samples = smooth(dtype, channels)
    check_rows(tiff(tmp_path / "a.tif", samples, "rgb" if channels == 3 else "minisblack", **options), samples)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("way", ["strips", "planar", "tiles", "lzw"])
def test_rows_of_tiff_with_alpha(tmp_path: Path, dtype: str, channels: int, way: str) -> None:
    """The last sample is opacity."""
    samples = smooth(dtype, channels)
    path = tmp_path / "a.tif"
    photometric = "rgb" if channels == 4 else "minisblack"
    tiff(path, samples, photometric, extrasamples=["unassalpha"], **{"planarconfig": "contig"} | TIFF_WAYS[way])
    check_rows(path, samples)


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("way", ["strips", "tiles", "deflate"])
def test_rows_of_which_0_is_white(tmp_path: Path, dtype: str, way: str) -> None:
    """They are turned around."""
    samples = smooth(dtype, 1)
    tiff(tmp_path / "a.tif", np.iinfo(dtype).max - samples, "miniswhite", **TIFF_WAYS[way])
    check_rows(tmp_path / "a.tif", samples)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("way", ["strips", "tiles"])
def test_rows_are_upright(tmp_path: Path, orientation: int, way: str) -> None:
    """Mirrored, or from the last to the first; what lies on its side is read as a whole. Pillow is the judge."""
    extra = [(274, "H", 1, orientation, True)]
    path = tiff(tmp_path / "a.tif", smooth("u1"), "rgb", extratags=extra, **TIFF_WAYS[way])
    with Image.open(path) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    check_rows(path, upright, whole=orientation > 4)


# --- PNG


def filtered(rows: NDArray[np.uint8], kinds: list[int], pixel: int) -> bytes:
    """Return rows of bytes predicted by filters, as the standard says it, in whole numbers."""
    lines, above = [], np.zeros(rows.shape[1], int)
    for row, kind in zip(rows.astype(int), kinds, strict=True):
        a, c = (np.concatenate([np.zeros(pixel, int), line])[: len(row)] for line in (row, above))
        p = a + above - c
        far = np.abs(np.stack([p - a, p - above, p - c]))
        paeth = np.choose(far.argmin(axis=0), [a, above, c])
        guess = [0 * row, a, above, (a + above) // 2, paeth][kind]
        lines.append(np.concatenate([[kind], (row - guess) % 256]))
        above = row
    return np.array(lines, np.uint8).tobytes()


def write_png(
    path: Path,
    header: tuple[int, int, int, int],
    rows: NDArray[np.uint8],
    kinds: list[int],
    *chunks: tuple[bytes, bytes],
) -> Path:
    """Write a PNG file of width, height, depth and colour, with chunks before its pixels, in several parts."""
    width, height, depth, colour = header
    pixel = max(1, depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour] // 8)
    data = zlib.compress(filtered(rows, kinds, pixel))
    cuts = [0, 1, 2, len(data) // 2, len(data)]
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)), *chunks]
    parts += [(b"IDAT", data[first:stop]) for first, stop in itertools.pairwise(cuts)]
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for name, body in [*parts, (b"IEND", b"")]:
            file.write(struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)))
    return path


KINDS = {
    (depth, colour)
    for colour, depths in {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}.items()
    for depth in depths
}


@pytest.mark.parametrize("engine", [True, False])
@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize(("depth", "colour"), sorted(KINDS))
def test_rows_of_png(
    tmp_path: Path, depth: int, colour: int, transparent: bool, engine: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every depth, kind of pixel and filter, with a transparent colour and without; the judge is Pillow, or libpng."""
    if not engine:
        monkeypatch.setattr(png_filters, "load", lambda _: None)
    width, height, samples = 13, 60, {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    rows = RNG.integers(0, 256, (height, -(-width * samples * depth // 8)), np.uint8)
    rows[:, :: 2 if colour == 0 else 1][20:40] = 85  # the transparent colour, too
    chunks = []
    if colour == 3:
        chunks.append((b"PLTE", RNG.integers(0, 256, 3 << depth, np.uint8).tobytes()))
    if transparent and colour in {0, 2, 3}:
        few = RNG.integers(0, 256, (1 << depth) - 1, np.uint8).tobytes()
        one = 85 & ((1 << min(depth, 8)) - 1)
        chunks.append((b"tRNS", few if colour == 3 else struct.pack(">H", one) * samples))
    kinds = [*range(5), *RNG.integers(0, 5, height - 5).tolist()]
    path = write_png(tmp_path / "a.png", (width, height, depth, colour), rows, kinds, *chunks)
    expected = read_photo(path).pixels()
    if transparent and colour == 0 and depth < 8:
        np.testing.assert_array_equal(expected[:, :, 1] == 0, expected[:, :, 0] == one * 255 // ((1 << depth) - 1))
    if not chunks and depth >= 8:
        np.testing.assert_array_equal(expected, rows.view(f">u{depth // 8}").reshape(height, width, -1))
    check_rows(path, expected, whole=depth == 16 and transparent and colour in {0, 2})


@pytest.mark.parametrize("pixel", [1, 2, 3, 4, 6, 8])
def test_filters_are_undone(pixel: int) -> None:
    """By kernels and by loops, with a row above the first."""
    rows = RNG.integers(0, 256, (80, 7 * pixel), np.uint8)
    kinds = [4, *RNG.integers(0, 5, len(rows) - 1).tolist()]
    lines = np.frombuffer(filtered(rows, kinds, pixel), np.uint8).reshape(len(rows), -1)
    np.testing.assert_array_equal(png_filters.unfiltered(lines, np.zeros_like(rows[0]), pixel), rows)
    np.testing.assert_array_equal(png_filters.unfiltered(lines[9:], rows[8], pixel), rows[9:])


@pytest.mark.parametrize("pixel", [1, 3, 8])
@pytest.mark.parametrize("width", [1, 5, 700])
def test_filters_are_those_of_the_least_differences(pixel: int, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row by row, by what the standard says of each filter; many rows are tried at once, or one."""
    rows = np.cumsum(RNG.integers(-3, 4, (23, width * pixel)), axis=1).astype(np.uint8)
    rows[5:9], rows[15] = RNG.integers(0, 256, (4, width * pixel)), 0
    expected = []
    for number, row in enumerate(rows):
        pair = np.stack([rows[number - 1] if number else np.zeros_like(row), row])
        tried = [filtered(pair, [0, kind], pixel)[1 + row.size :] for kind in (0, 1, 2)]
        expected.append(min(tried, key=lambda line: sum(min(byte, 256 - byte) for byte in line[1:])))
    for at_once in (1, 3 * rows.shape[1], 1 << 16):
        monkeypatch.setattr(png_filters, "_AT_ONCE", at_once)
        lines = png_filters.filtered(rows, np.zeros_like(rows[0]), pixel, choose=True)
        assert lines.tobytes() == b"".join(expected)


def test_a_pixel_that_is_damaged_is_not_shown(tmp_path: Path) -> None:
    """The checksum is read, too, though it lies behind all that the rows need, in a chunk of its own."""
    samples = smooth("u1", 1)
    height, width, _ = samples.shape
    data = bytearray(zlib.compress(b"".join(b"\0" + row.tobytes() for row in samples), 0))
    data[50] ^= 1
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", bytes(data[:-4])), (b"IDAT", bytes(data[-4:])), (b"IEND", b"")]
    path = tmp_path / "a.png"
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for name, content in chunks:
            file.write(struct.pack(">I", len(content)) + name + content)
            file.write(struct.pack(">I", zlib.crc32(name + content)))
    with pytest.raises(PhotoError, match=r"a\.png cannot be decoded \(.*incorrect data check\)"):
        filter_file(path, "blur", tmp_path / "b.png")
    assert not (tmp_path / "b.png").exists()


def test_what_cannot_fit_is_refused_before_it_is_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file may say that it has billions of columns: a plan for them takes a minute."""
    filtering = RowFilter(Photo(smooth("u1", 1)), as_kernel(np.ones((3, 3))))
    monkeypatch.setattr(RowFilter, "_decided", None)
    with pytest.raises(MemoryBudgetError, match=r"^filtering .* would take .* are available; use a smaller"):
        filtering.require_memory(1 << 60)


def test_interlaced_files_are_read_as_a_whole(tmp_path: Path) -> None:
    """Their rows come in seven passes."""
    data = bytearray(write_png(tmp_path / "a.png", (1, 1, 8, 0), np.array([[7]], np.uint8), [0]).read_bytes())
    data[28] = 1  # of a single pixel, all but the first pass are empty
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    (tmp_path / "a.png").write_bytes(data)
    with opened_photo(tmp_path / "a.png") as rows:
        assert isinstance(rows, Photo)
        assert rows.pixels().tolist() == [[[7]]]


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("level", [0, 1, 4, 9])
def test_png_is_written_in_pieces(
    tmp_path: Path, dtype: str, channels: int, level: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However rows are cut; libpng is the judge, and threads change no byte."""
    samples = smooth(dtype, channels)
    samples[10:20] = RNG.integers(0, np.iinfo(dtype).max, samples[10:20].shape)
    photo = Photo.of(samples, Photo(smooth("u1")).metadata, ())
    for piece, at_once in ((1, 1), (1000, 3000), (1 << 20, 1 << 20)):
        monkeypatch.setattr(png_writing, "PIECE", piece)
        monkeypatch.setattr("im2col.photo.writing._AT_ONCE", at_once)
        found = []
        for threads in (1, 3):
            write_photo(photo, tmp_path / "a.png", force=True, compression=level, threads=threads)
            found.append((tmp_path / "a.png").read_bytes())
        assert found[0] == found[1]
        decoded = imagecodecs.png_decode(found[0])
        np.testing.assert_array_equal(decoded.reshape(samples.shape), samples)
    with Image.open(io.BytesIO(found[0])) as image:
        image.load()


def test_compression_makes_files_smaller(tmp_path: Path) -> None:
    """PNG by its filters, too, and TIFF by differences."""
    photo = Photo(np.add.outer(np.arange(200), np.arange(300)).astype(np.uint8)[:, :, None])
    for ending in (".png", ".tif"):
        sizes = []
        for level in (0, 1, 9):
            write_photo(photo, tmp_path / f"{level}{ending}", compression=level)
            sizes.append((tmp_path / f"{level}{ending}").stat().st_size)
        assert sizes[0] >= 60_000 > 20 * sizes[1] >= 20 * sizes[2]


@pytest.mark.parametrize("dtype", ["u1", "u2", "f2", "f4", "f8"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("big", [False, True])
def test_tiff_is_written_compressed(
    tmp_path: Path, dtype: str, channels: int, big: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In many strips, cut otherwise than the rows that come; tifffile is the judge, and Pillow where it can be."""
    monkeypatch.setattr(tiff_writing, "STRIP", 300)
    monkeypatch.setattr("im2col.photo.writing._AT_ONCE", 2000)
    if big:
        monkeypatch.setattr(tiff_writing, "_CLASSIC", 1)
    samples = smooth(dtype, channels)
    path = tmp_path / "a.tif"
    write_photo(Photo.of(samples, Photo(smooth("u1")).metadata, ()), path, compression=6)
    with tifffile.TiffFile(path) as file:
        assert file.is_bigtiff == big
        assert file.pages.first.compression == 8
        assert len(file.pages.first.dataoffsets) >= 3
        np.testing.assert_array_equal(file.asarray().reshape(samples.shape), samples)
    if dtype == "u1":
        with Image.open(path) as image:
            np.testing.assert_array_equal(np.asarray(image).reshape(samples.shape), samples)
    check_rows(path, samples)


@pytest.mark.parametrize(
    ("target", "level", "message"),
    [
        ("b.jpg", 5, "compression is for PNG and TIFF, but JPEG is written; leave it out"),
        ("b.png", 10, "compression must be 0 (none) to 9 (the smallest files), got 10"),
    ],
)
def test_levels_that_there_are_not(tmp_path: Path, target: str, level: int, message: str) -> None:
    """They are refused before the work."""
    with raises_exactly(ArgumentError, f"write_photo: {message}"):
        write_photo(Photo(smooth("u1")), tmp_path / target, compression=level)
    write_photo(Photo(smooth("u1")), tmp_path / "a.png")
    with raises_exactly(ArgumentError, f"filter_file: {message}"):
        filter_file(tmp_path / "a.png", "blur", tmp_path / target, compression=level)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


# --- filters


@pytest.mark.parametrize("mode", ["edge", "constant", "reflect", "symmetric", "wrap"])
@pytest.mark.parametrize(
    ("kind", "source"), [("RGB", ".png"), ("RGB", ".tif"), ("LA;16", ".png"), ("LA;16", ".tif"), ("RGB;F32", ".tif")]
)
@pytest.mark.parametrize("band", [1, 1 << 20])
def test_padding_of_files_is_that_of_arrays(
    tmp_path: Path, mode: Any, kind: str, source: str, band: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that are shown again, from the other end, too; strides and dilations; windows higher than bands."""
    dtype = {"RGB": "u1", "LA;16": "u2", "RGB;F32": "f4"}[kind]
    photo = Photo.of(smooth(dtype, 2 if "LA" in kind else 3), Photo(smooth("u1")).metadata, ())
    write_photo(photo, tmp_path / f"a{source}", compression=1)
    monkeypatch.setattr(im2col.photo.bands, "BAND_SAMPLES", band)
    np.save(tmp_path / "k.npy", RNG.integers(-3, 4, (5, 3)) / 7)
    options: Any
    for options in ({}, {"stride": (3, 2)}, {"dilation": (4, 1)}, {"padding": ((30, 33), (2, 0))}, {"padding": 0}):
        options["padding_mode"] = mode
        filter_file(tmp_path / f"a{source}", str(tmp_path / "k.npy"), tmp_path / "b.tif", force=True, **options)
        expected = filter_photo(photo, np.load(tmp_path / "k.npy"), **options).pixels()
        result = read_photo(tmp_path / "b.tif").pixels()
        if band == 1:  # the whole in one band
            with monkeypatch.context() as patch:
                patch.setattr(im2col.photo.bands, "BAND_SAMPLES", 1 << 20)
                np.testing.assert_array_equal(
                    filter_photo(photo, np.load(tmp_path / "k.npy"), **options).pixels(), expected
                )
        np.testing.assert_array_equal(result, expected)


def test_a_png_file_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No band asks for what was forgotten, unless the photograph is shown again from its other end."""
    from im2col.photo import png_rows

    write_photo(Photo.of(smooth("u1", 4), Photo(smooth("u1")).metadata, ()), tmp_path / "a.png")
    starts: list[int] = []
    inflated = png_rows._inflated

    def counted(file: BinaryIO) -> Iterator[bytes]:
        starts.append(1)
        return inflated(file)

    monkeypatch.setattr(png_rows, "_inflated", counted)
    monkeypatch.setattr(im2col.photo.bands, "BAND_SAMPLES", 1)
    for mode, count in (("edge", 1), ("reflect", 1), ("symmetric", 1), ("constant", 1), ("wrap", 3)):
        starts.clear()
        filter_file(tmp_path / "a.png", "gaussian", tmp_path / "b.png", force=True, padding_mode=mode, dilation=3)
        assert len(starts) == count, mode


@pytest.mark.parametrize(
    ("weights", "maximum", "dtype"),
    [
        (np.full((3, 3), 1 / 16), 255, "f4"),  # 9 · 255 in sixteenths
        (np.full((1, 1), 0.1), 255, "f8"),
        (np.array([[1.0, 2.0**-16]]), 255, "f4"),  # 2^16 + 1 units, times 255, fit 2^24
        (np.array([[1.0, 2.0**-17]]), 255, "f8"),
        (np.array([[256.0, 0.0]]), 65535, "f4"),
        (np.array([[256.0, 1.0]]), 65535, "f8"),
        (np.array([[2.0**-40, -(2.0**-30)]]), 255, "f4"),
        (np.zeros((2, 2)), 65535, "f4"),
    ],
)
def test_sums_are_exact_in_float32_where_they_fit_its_24_bits(weights: Any, maximum: int, dtype: str) -> None:
    """In units of the last bit of any weight, which need not be 1."""
    photo = Photo(np.zeros((1, 1, 1), np.uint8 if maximum == 255 else np.uint16))
    assert exact_dtype(as_kernel(weights), photo) == np.dtype(dtype)


@pytest.mark.parametrize("kind", ["u1", "f4", "f8"])
@pytest.mark.parametrize("alpha", [False, True])
def test_large_kernels_give_what_the_plain_sum_gives(kind: str, alpha: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever algorithm is chosen, and where bands are cut: nothing of what is not seen, either."""
    samples = RNG.random((170, 190, 3)) * (255 if kind == "u1" else 1)
    opaque = RNG.random((170, 190)) * (255 if kind == "u1" else 1)
    opaque[20:120, 30:150] = 0
    if kind != "u1":
        samples[:80] *= 1e12  # beside which the rest is dark
    photo = Photo(samples.astype(kind), opaque.astype(kind) if alpha else None)
    for weights in (RNG.random((17, 17)) / 140, np.outer(np.hanning(33), np.hanning(33)) / 256):
        plain = filter_photo(photo, weights, algorithm="implicit").pixels()
        found = []
        for band in (1, 1 << 22):
            monkeypatch.setattr(im2col.photo.bands, "BAND_SAMPLES", band)
            found.append(filter_photo(photo, weights).pixels())
        np.testing.assert_array_equal(found[0], found[1])
        # All are positive: two passes differ from one sum by the roundings of each window, however bright others are.
        rtol = 0.0 if kind == "u1" else weights.size * float(np.finfo(kind).eps)
        np.testing.assert_allclose(found[0], plain, rtol=rtol, atol=0)


@pytest.mark.parametrize("kind", ["u1", "f4"])
@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("samples", [1, 200, 700])
def test_threads_share_a_band(kind: str, channels: int, samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In parts of few rows or one, which no pixel depends on."""
    photo = Photo.of(smooth(kind, channels), Photo(smooth("u1")).metadata, ())
    expected = filter_photo(photo, "sharpen", padding="full", threads=1).pixels()
    for module in ("bands", "row_filter"):
        monkeypatch.setattr(f"im2col.photo.{module}._AT_ONCE", samples)
    for threads in (1, 3):
        found = filter_photo(photo, "sharpen", padding="full", threads=threads).pixels()
        np.testing.assert_array_equal(found, expected)


# --- what is broken


def broken(tmp_path: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield files that end too early, or are wrong within, and the whole ones' bytes."""
    samples = RNG.integers(0, 256, (90, 80, 3), np.uint8)
    for name, options in (("png", 4), ("tif", 0), ("deflate.tif", 6)):
        path = tmp_path / f"a.{name}"
        write_photo(Photo(samples), path, compression=options)
        yield path, path.read_bytes()


def test_a_file_that_ends_early_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, whatever was written by then, and no target."""
    monkeypatch.setattr(im2col.photo.bands, "BAND_SAMPLES", 1)
    monkeypatch.setattr(tiff_writing, "STRIP", 2000)
    for path, whole in broken(tmp_path):
        for left in (len(whole) // 8, len(whole) // 2, len(whole) - 5000):
            path.write_bytes(whole[:left])
            with pytest.raises(PhotoError, match=rf"\Aread_photo: {re.escape(str(path))} [^\n]+\Z"):
                filter_file(path, "blur", tmp_path / "out.tif")
        path.unlink()
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seed", range(12))
def test_a_file_of_noise_within_is_right_or_refused(tmp_path: Path, seed: int) -> None:
    """No other error, and nothing half-written."""
    rng = np.random.default_rng(seed)
    for path, whole in broken(tmp_path):
        data = bytearray(whole)
        for _ in range(int(rng.integers(1, 6))):
            data[int(rng.integers(8, len(data) if seed % 2 else 400))] = int(rng.integers(256))
        path.write_bytes(data)
        target = tmp_path / "out.png"
        with contextlib.suppress(Im2colError):
            filter_file(path, "blur", target)
            read_photo(target)
            target.unlink()
        path.unlink()
        assert list(tmp_path.iterdir()) == []


def run(script: str, *arguments: object, limit: int | None = None) -> str:
    """Return what a script prints in a process of its own, which may write files of so many bytes."""
    set_limit = None if limit is None else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    code = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    done = subprocess.run(code, capture_output=True, text=True, check=False, preexec_fn=set_limit)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("ending", "level"), [(".tif", 0), (".tif", 1), (".png", 1)])
def test_a_full_disk(tmp_path: Path, ending: str, level: int) -> None:
    """One line, and nothing of the target; a file that was to be replaced is as it was."""
    target = tmp_path / f"b{ending}"
    samples = RNG.integers(0, 256, (400, 500, 3), np.uint8)
    write_photo(Photo(samples), tmp_path / "a.png", compression=0)
    target.write_bytes(b"before")
    told = run(
        """
        import signal, sys
        from im2col import FileError
        from im2col.photo.filtering import filter_file

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            filter_file(sys.argv[1], "identity", sys.argv[2], force=True, compression=int(sys.argv[3]))
        except FileError as error:
            print(error)
        """,
        tmp_path / "a.png",
        target,
        level,
        limit=200_000,
    )
    assert told == f"write_photo: cannot write '{target}': File too large\n"
    assert target.read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", target.name]


@pytest.mark.parametrize("kind", [".tif", pytest.param(".png", marks=pytest.mark.wide)])
def test_little_memory_is_taken(tmp_path: Path, kind: str) -> None:
    """Of 10,000 × 10,000 pixels, from file to file: a quarter of what the two take in memory, beside the libraries."""
    row = (np.arange(10_000) // 7 % 256).astype(np.uint8)
    told = run(
        """
        import sys
        import numpy as np
        from im2col.photo.filtering import filter_file
        from im2col.photo.image_files import Photo, write_photo
        from im2col.photo.photograph import Blank, Metadata
        from im2col.photo.writing import photo_sink

        def peak():
            return int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))

        small, source, target = sys.argv[1:]
        write_photo(Photo(np.zeros((300, 300, 1), np.uint8)), small)
        filter_file(small, "gaussian", target, force=True)  # the libraries, and a kernel that is compiled
        row = (np.arange(10_000) // 7 % 256).astype(np.uint8)[None, :, None]
        with photo_sink(Blank((10_000, 10_000, 1), row.dtype, Metadata()), source, force=False) as (sink, _):
            for _ in range(0, 10_000, 50):
                sink.write(np.repeat(row, 50, axis=0))
        before = peak()
        filter_file(source, "gaussian", target, large=True, force=True, compression=1)
        print(peak() - before, peak())
        """,
        tmp_path / f"small{kind}",
        tmp_path / f"a{kind}",
        tmp_path / f"b{kind}",
    )
    more, peak = map(int, told.split())
    assert more * 1024 < 50e6
    assert peak * 1024 < 200e6
    with opened_photo(tmp_path / f"b{kind}", large=True) as rows:
        # Every row is alike: so is that of the result, the row filtered along itself.
        weights = np.array([1, 4, 6, 4, 1])
        expected = np.rint(np.convolve(np.pad(row.astype(float), 2, mode="edge"), weights, mode="valid") / 16)
        for top in (0, 5000, 9999):
            np.testing.assert_array_equal(rows.pixels(slice(top, top + 1))[0, :, 0], expected)


def test_a_source_is_replaced_by_what_is_made_of_it(tmp_path: Path) -> None:
    """It is read to its end before it is."""
    for ending in (".tif", ".png"):
        path = tmp_path / f"a{ending}"
        write_photo(Photo(smooth("u1")), path)
        expected = filter_photo(read_photo(path), "blur").pixels()
        filter_file(path, "blur", path, force=True)
        np.testing.assert_array_equal(read_photo(path).pixels(), expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "a.tif"]


@pytest.mark.parametrize(("planes", "dtype"), [(3, np.float32), (4, np.float32), (1, np.float64)])
def test_floats_with_a_large_kernel_take_two_passes(
    planes: int, dtype: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the bands are cut, samples have the same bits: those of plain sums in float64, almost."""
    correlate = require("scipy.ndimage").correlate
    kernel = np.outer(np.hanning(19), np.hanning(19))[1:-1, 1:-1]
    np.save(tmp_path / "k.npy", kernel / kernel.sum())
    picture = np.tile(smooth(dtype, planes), (4, 3, 1)) + 2  # alpha, too, is more than 0
    source = tiff(
        tmp_path / "x.tif",
        picture,
        "rgb" if planes > 1 else "minisblack",
        **{"extrasamples": ["unassalpha"]} if planes == 4 else {},
    )
    found = []
    for band in (1, 1 << 20):
        monkeypatch.setattr(im2col.photo.bands, "BAND_SAMPLES", band)
        filter_file(source, str(tmp_path / "k.npy"), tmp_path / "y.tif", force=True)
        found.append(read_photo(tmp_path / "y.tif").pixels())
        with opened_photo(source) as rows:
            decided = RowFilter(rows, find_kernel(str(tmp_path / "k.npy")))._decided(20)
        assert decided.operation.choices[0].algorithm == "separable"
    assert found[0].tobytes() == found[1].tobytes()
    if planes < 4:  # alpha is judged above
        sums = [correlate(picture[:, :, i].astype(float), kernel / kernel.sum(), mode="nearest") for i in range(planes)]
        np.testing.assert_allclose(found[0], np.stack(sums, -1), rtol=1e-6 if dtype is np.float32 else 1e-13)
