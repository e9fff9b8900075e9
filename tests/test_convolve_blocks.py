"""Images block by block: whatever the blocks, the bits that the whole has in memory; a file whole or not at all."""

from __future__ import annotations

import doctest
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import im2col
from im2col import (
    ArgumentError,
    DTypeError,
    FileError,
    GeometryError,
    MemoryBudgetError,
    OutputError,
    ShapeError,
    convolve_blocks,
    plan_blocks,
)
from im2col.blocks.axis import Axis

from .kit.budget import allocation, peak_of
from .kit.outcomes import missing, raises_exactly, require
from .kit.processes import HANG_SECONDS
from .kit.strategies import PADDING_MODES, fewer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

REPOSITORY = Path(__file__).parents[1]
SLACK = 200 << 10
"""Bytes of Python's own objects."""


class Stored:
    """An array in chunks that counts how often each is read, and written, and can fail."""

    def __init__(self, x: Array, chunks: Sequence[int] | None = None, fails_at: int = 1 << 60) -> None:
        self.x, self.shape, self.dtype, self.chunks = x, x.shape, x.dtype, chunks
        self.fails_at, self.reads = fails_at, 0
        counts = [-(-n // c) for n, c in zip(x.shape, chunks or x.shape, strict=True)]
        self.read, self.written = np.zeros(counts, int), np.zeros(counts, int)

    def _touched(self, place: tuple[slice, ...]) -> Any:
        chunks = self.chunks or self.shape
        return tuple(slice(p.start // c, -(-p.stop // c)) for p, c in zip(place, chunks, strict=True))

    def __getitem__(self, place: Any) -> Array:
        self.reads += 1
        if self.reads > self.fails_at:
            raise OSError("the disk is gone")
        self.read[self._touched(place)] += 1
        part: Array = self.x[place]
        assert all(0 <= p.start < p.stop <= n for p, n in zip(place, self.shape, strict=True))
        return part.copy()

    def __setitem__(self, place: Any, value: Any) -> None:
        self.written[self._touched(place)] += 1
        for p, c, n in zip(place, self.chunks or self.shape, self.shape, strict=True):
            assert self.chunks is None or (p.start % c == 0 and (p.stop % c == 0 or p.stop == n)), "a chunk is cut"
        assert value.shape == self.x[place].shape
        self.x[place] = value


@pytest.mark.parametrize("at_once", [2, 1 << 14])
@pytest.mark.parametrize("mode", PADDING_MODES)
def test_blocks_along_an_axis(mode: Any, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is read, moved and padded, a block shows the padded line; by plain loops over a padded copy."""
    monkeypatch.setattr("im2col.blocks.axis._AT_ONCE", at_once)
    rng = np.random.default_rng(7)
    for _ in range(700):
        n, span, stride = int(rng.integers(0 if mode == "constant" else 1, 40)), *map(int, rng.integers(1, [9, 6]))
        before, after = map(int, rng.integers(0, 12, 2))
        if n + before + after < span:
            continue
        positions = (n + before + after - span) // stride + 1
        chunks = [int(v) if rng.random() < 0.6 else 1 for v in rng.integers(1, 9, 2)]
        axis = Axis(n, span, stride, before, positions, mode, max(1, min(chunks[0], n)), min(chunks[1], positions))
        more: Any = {"constant_values": -1} if mode == "constant" else {}
        padded = np.pad(np.arange(n), (before, after), mode=mode, **more)
        units = int(rng.integers(1, axis.units + 1))
        for rolls in (False, True):
            judge_axis(axis, units, padded, rolls=rolls)


def judge_axis(axis: Axis, units: int, padded: Array, *, rolls: bool) -> None:
    """Walk along an axis as a reader does."""
    most, size = axis.extents(units, rolls=rolls)
    line, known, last, reads, count = np.full(size, -7), -(1 << 40), None, 0, 0
    chunk = axis.source_chunk
    for piece in axis.pieces(units, rolls=rolls):
        assert piece.first == (0 if last is None else last.stop)
        assert 0 < piece.stop - piece.first <= most
        assert piece.first % axis.sink_chunk == 0
        assert piece.high <= piece.end <= piece.low + size
        if rolls and last is not None and piece.low < known:
            line[: known - piece.low] = line[piece.low - last.low : known - last.low].copy()
        elif not rolls:
            line[:] = -7
        fill = axis.fill(piece, known)
        for read in fill.reads:
            assert 0 <= read.start < read.stop <= axis.n
            pixels = np.arange(read.start, read.stop)
            line[read.place] = pixels if read.order is None else pixels[read.order]
            reads += min(-(-read.stop // chunk) * chunk, axis.n) - read.start // chunk * chunk
        for to, origin in fill.copies:
            line[to] = line[origin]
        for each in fill.constants:
            line[each] = -1
        shown = padded[piece.first * axis.stride : (piece.stop - 1) * axis.stride + axis.span]
        assert line[: piece.high - piece.low].tolist() == shown.tolist()
        known, last, count = (piece.end if rolls else known), piece, count + 1
    assert last is not None
    assert last.stop == axis.positions
    assert reads == axis.pixels_read(units, rolls=rolls)
    assert count == axis.count(units)
    if rolls and axis.mode == "constant" and axis.stride <= axis.span:
        assert reads <= axis.n


def test_a_plan_of_a_long_line_takes_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many blocks there are; and none is laid out of what does not fit, which would take half a minute."""
    line, w = np.broadcast_to(np.float32(0), (1 << 31,)), np.ones((1, 1, 5), np.float32)
    for padding in (1 << 47, 1 << 62, 1 << 63, 1 << 70):
        for mode in ("constant", "wrap"):
            with pytest.raises(MemoryBudgetError, match=r"which no disk holds; use less padding$"):
                plan_blocks(line, w, padding=padding, padding_mode=mode, layout="W")
    options: Any = {"layout": "W", "threads": 1}
    plan: Any = None

    def planned() -> None:
        nonlocal plan
        plan = plan_blocks(line, w, memory=100_000, **options)

    planned()  # kernels are compiled now
    assert peak_of(planned) < 4 << 20
    assert plan.blocks == -(-((1 << 31) - 4) // plan.block_shape[0]) > 500_000
    assert plan.times_read == 1
    monkeypatch.setattr(Axis, "bounds", None)
    for memory in (1, 5000):
        with pytest.raises(MemoryBudgetError, match=r"^plan_blocks: a block of one position takes"):
            plan_blocks(line, w, memory=memory, **options)


def least(call: Any, memory: int) -> int:
    """Return a memory that is enough: the one given, or the one that the error asks for."""
    try:
        call(memory)
    except MemoryBudgetError as error:
        found = re.search(r"pass memory=(\d+) or more", str(error))
        assert found
        memory = int(found[1])
        call(memory)
    return memory


@st.composite
def layers(draw: Any) -> tuple[Array, Array, Array | None, dict[str, Any], tuple[Any, Any], int]:
    """Draw small images of one to three spatial axes, filters, windows, chunks of both sides, and a memory."""
    k = draw(st.integers(1, 3))
    spatial, seed = "DHW"[-k:], draw(st.integers(0, 1 << 20))
    rng = np.random.default_rng(seed)
    layout = draw(st.sampled_from([f"NC{spatial}", f"N{spatial}C", f"C{spatial}", spatial, f"{spatial}N"]))
    most = (60, 17, 8)[k - 1]
    groups = draw(st.sampled_from([1, 1, 2])) if "C" in layout else 1
    per_group = int(rng.integers(1, 3)) if "C" in layout else 1
    lengths = {a: int(rng.integers(1, most + 1)) for a in spatial} | {
        "N": int(rng.integers(1, 5)),
        "C": groups * per_group,
    }
    x = (rng.standard_normal([lengths[a] for a in layout]) * 50).astype(
        draw(st.sampled_from(["f4", "f8", "u1", ">f4"]))
    )
    if x.dtype.kind == "f" and draw(st.booleans()):
        x.reshape(-1)[rng.integers(x.size, size=2)] = draw(st.sampled_from([np.nan, np.inf]))
    kernel = tuple(int(n) for n in rng.integers(1, (8, 6, 4)[k - 1], k))
    filters = groups * int(rng.integers(1, 4)) if "C" in layout else 1
    w = rng.integers(-9, 9, (filters, per_group, *kernel)).astype("i1" if x.dtype.kind == "u" else "f4")
    bias = rng.integers(-9, 9, filters).astype("i4" if x.dtype.kind == "u" else "f4") if draw(st.booleans()) else None
    options: dict[str, Any] = {
        "stride": tuple(int(n) for n in rng.integers(1, 4, k)),
        "dilation": tuple(int(n) for n in rng.integers(1, 3, k)),
        "padding": tuple(tuple(int(n) for n in rng.integers(0, 7, 2)) for _ in range(k)),
        "padding_mode": draw(st.sampled_from(PADDING_MODES)),
        "groups": groups,
        "layout": layout,
        "flip": draw(st.booleans()),
        "activation": draw(st.sampled_from([None, None, "relu"])),
    }
    cut = tuple(tuple(int(n) for n in rng.integers(1, 6, len(layout))) if draw(st.booleans()) else None for _ in "ab")
    return x, w, bias, options, (cut[0], cut[1]), draw(st.sampled_from([1, 3000, 20000, 1 << 20]))


@fewer(2)
@given(layers())
def test_any_layer(drawn: Any) -> None:
    """The bits of `conv` in chunks, for all windows, layouts and padding modes; chunks of the sink are written once."""
    x, w, bias, options, (read, written), memory = drawn
    try:
        expected = im2col.conv(x, w, bias, chunked=True, **options)
    except GeometryError:
        with pytest.raises(GeometryError):
            plan_blocks(x, w, **options)
        return
    sink = Stored(np.full_like(expected, 77), written)
    source = Stored(x, read)
    memory = least(lambda m: plan_blocks(source, w, sink, bias, memory=m, **options), memory)
    assert source.reads == 0
    told = plan_blocks(source, w, sink, bias, memory=memory, **options)
    steps: list[tuple[int, int]] = []
    done = convolve_blocks(
        source,
        w,
        sink,
        bias,
        memory=memory,
        progress=lambda *step: steps.append(step),
        **options,
    )
    assert sink.x.tobytes() == expected.tobytes()
    assert done == told
    assert told.memory_bytes <= memory
    assert len(steps) == told.blocks
    assert steps[-1] == (expected.nbytes, expected.nbytes) == (told.bytes_written, told.bytes_written)
    assert written is None or (sink.written == 1).all()


SCIPY = {"constant": "constant", "edge": "nearest", "reflect": "mirror", "symmetric": "reflect", "wrap": "wrap"}


@pytest.mark.parametrize("mode", PADDING_MODES)
@pytest.mark.parametrize("memory", [12_000, 40_000])
def test_beside_scipy(mode: Any, memory: int) -> None:
    """An image of prime sizes of small integers, exactly."""
    ndimage = require("scipy.ndimage")
    rng = np.random.default_rng(3)
    x, w = rng.integers(-99, 99, (101, 83)).astype(float), rng.integers(-9, 9, (7, 5)).astype(float)
    y = np.empty_like(x)
    plan = convolve_blocks(x, w[None, None], y, memory=memory, padding="same", padding_mode=mode)
    assert plan.blocks > 5
    np.testing.assert_array_equal(y, ndimage.correlate(x, w, mode=SCIPY[mode]))


def test_a_large_image_of_prime_sizes() -> None:
    """Of several tiles a block, with NaN on both sides of where blocks meet, and several threads."""
    rng = np.random.default_rng(1)
    x, w = rng.standard_normal((997, 1009)).astype(np.float32), rng.standard_normal((1, 1, 31, 17)).astype(np.float32)
    options: Any = {"padding": "same", "padding_mode": "reflect"}
    memory = 1 << 20
    rows = plan_blocks(x, w, memory=memory, **options).block_shape[0]
    x[[rows - 1, rows, 2 * rows + 15, 2 * rows - 16], [299, 300, 600, 700]] = np.nan
    expected = im2col.conv(x, w, chunked=True, **options)
    for threads in (1, 3):
        y = np.empty_like(x)
        plan = convolve_blocks(x, w, y, memory=memory, threads=threads, **options)
        assert y.tobytes() == expected.tobytes()
        assert plan.times_read == 1
    assert np.isnan(expected).sum() == 4 * 31 * 17 - 1 * 0 or np.isnan(expected).any()


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
def test_each_chunk_is_read_once(mode: Any) -> None:
    """Also where chunks are smaller than the halo, where those of the sink lie elsewhere, and with a stride."""
    rng = np.random.default_rng(2)
    x, w = rng.standard_normal((3, 90, 70)).astype(np.float32), np.ones((2, 3, 9, 9), np.float32)
    for chunks, written, stride, memory in (
        ((3, 4, 4), None, 1, 110_000),
        ((3, 16, 70), (2, 10, 70), 1, 110_000),
        ((1, 7, 10), (1, 5, 9), 3, 140_000),
    ):
        options: Any = {"padding": 4, "padding_mode": mode, "stride": stride}
        expected = im2col.conv(x, w, chunked=True, **options)
        source, sink = Stored(x, chunks), Stored(np.zeros_like(expected), written)
        plan = convolve_blocks(source, w, sink, memory=memory, **options)
        assert plan.blocks > 1
        assert sink.x.tobytes() == expected.tobytes()
        assert (source.read == 1).all()
        assert plan.times_read == 1
        assert written is None or (sink.written == 1).all()


@pytest.mark.parametrize("shape", [(20, 30_000), (30_000, 20)])
def test_blocks_roll_along_the_longer_axis(shape: tuple[int, int]) -> None:
    """Where a few lines of it do not fit, those across it do, and every pixel is read once."""
    x, w = np.broadcast_to(np.float32(0), shape), np.ones((1, 1, 9, 9), np.float32)
    assert plan_blocks(x, w, memory=100_000, threads=1).times_read == 1


def test_the_memory_that_is_asked_for_is_enough() -> None:
    """Also where two chunks of the source complete more windows than three."""
    source, w = Stored(np.zeros((7, 8, 11, 2, 1), np.float32), (7, 2, 3, 1, 1)), np.ones((1, 2, 5, 3, 2), np.float32)
    options: Any = {"stride": (2, 4, 3), "dilation": (1, 3, 3), "padding": ((4, 1), (2, 7), (0, 5)), "threads": 2}
    options |= {"layout": "DHWCN", "padding_mode": "symmetric"}
    least(lambda memory: plan_blocks(source, w, memory=memory, **options), 2000)


def test_chunks_at_a_cut_are_read_twice() -> None:
    """Where a row of chunks does not fit: the plan tells how often, and how much memory reads each once."""
    x, w = np.random.default_rng(0).standard_normal((60, 400)).astype(np.float32), np.ones((1, 1, 3, 3), np.float32)
    source = Stored(x, (20, 20))
    plan = plan_blocks(source, w, memory=20_000, padding=1)
    y = np.zeros_like(x)
    convolve_blocks(source, w, y, memory=20_000, padding=1)
    assert y.tobytes() == im2col.conv(x, w, padding=1, chunked=True).tobytes()
    assert source.read.max() == 2
    assert plan.times_read == source.read.mean() > 1
    assert plan_blocks(source, w, memory=200_000, padding=1).times_read == 1


def test_the_plan_prints_itself() -> None:
    """What blocks there are, what they take, and how often the image is read."""
    source = np.broadcast_to(np.float32(0), (40000, 30000))
    w = np.ones((1, 1, 5, 5), np.float32)
    lines = str(plan_blocks(source, w, memory=1 << 24, padding="same", threads=1)).splitlines()
    assert [line.split()[0] for line in lines] == ["blocks", "memory", "read", "written"]
    assert re.fullmatch(r"blocks   \d+, of \(\d+, 30000\) at most", lines[0])
    assert lines[2:] == ["read     4.5 GiB, 1 times the image", "written  4.5 GiB"]


@pytest.mark.parametrize("shape", [(0, 2, 5, 5), (3, 0, 5, 5), (2, 2, 0, 5)])
def test_empty_arrays(shape: tuple[int, ...], tmp_path: Path) -> None:
    """No images, no channels, no pixels: as in memory."""
    x, w = np.zeros(shape), np.ones((4, shape[1], 3, 3))
    options: Any = {"padding": 2, "algorithm": "auto" if shape[2] else "reference"}
    bias = np.arange(4.0)
    expected = im2col.conv(x, w, bias, chunked=True, **options)
    convolve_blocks(x, w, tmp_path / "y.npy", bias, **options)
    y = np.load(tmp_path / "y.npy")
    assert (y.shape, y.tobytes()) == (expected.shape, expected.tobytes())
    no_filters = im2col.conv(np.zeros((1, 2, 5, 5)), np.ones((0, 2, 3, 3)))
    sink = np.empty(no_filters.shape)
    assert convolve_blocks(np.zeros((1, 2, 5, 5)), np.ones((0, 2, 3, 3)), sink).bytes_written == 0


@pytest.mark.parametrize(
    "options", [{"x_zero_point": 7, "padding": 1}, {"padding": 2, "padding_value": np.array((1, 2, 3))}]
)
def test_a_constant_pads(options: Any) -> None:
    """A value of its own for each channel; what stands for 0."""
    rng = np.random.default_rng(2)
    x, w = rng.integers(0, 255, (3, 40, 41)).astype(np.uint8), rng.integers(-99, 99, (5, 3, 3, 3)).astype(np.int8)
    expected = im2col.conv(x, w, **options)
    y = np.empty_like(expected)
    convolve_blocks(x, w, y, memory=20_000, **options)
    assert y.tobytes() == expected.tobytes()


def test_other_algorithms_and_complex_numbers() -> None:
    """Within rounding."""
    rng = np.random.default_rng(2)
    x, w = rng.standard_normal((3, 40, 41)), rng.standard_normal((5, 3, 3, 3))
    more: Any
    for numbers, more in ((x + 1j * x, {}), (x, {"algorithm": "explicit"})):
        expected = im2col.conv(numbers, w)
        y = np.empty_like(expected)
        convolve_blocks(numbers, w, y, memory=1 << 20, **more)
        np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-9)


X = np.random.default_rng(5).standard_normal((2, 61, 53)).astype(np.float32)
W = np.random.default_rng(6).standard_normal((3, 2, 5, 3)).astype(np.float32)
Y = im2col.conv(X, W, padding=2, chunked=True)
SMALL: Any = {"padding": 2, "memory": 40_000}


def test_a_file(tmp_path: Path) -> None:
    """It is what `np.save` would write, with the permissions of any new file; an old one is replaced if asked."""
    path = tmp_path / "y.npy"
    convolve_blocks(X, W, path, **SMALL)
    np.save(tmp_path / "expected.npy", Y)
    assert path.read_bytes() == (tmp_path / "expected.npy").read_bytes()
    assert path.stat().st_mode == (tmp_path / "expected.npy").stat().st_mode
    message = (
        f"convolve_blocks: cannot write {str(path)!r}: it exists already; name another file, or pass force (--force) "
        "to replace it"
    )
    source: Any = Stored(X)
    with raises_exactly(FileError, message):
        convolve_blocks(source, W, path, **SMALL)
    assert source.reads == 0
    path.chmod(0o600)
    convolve_blocks(X, 2 * W, path, force=True, **SMALL)
    np.testing.assert_array_equal(np.load(path), 2 * Y)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_over_its_own_source(tmp_path: Path) -> None:
    """The map shows the old file until it is let go."""
    np.save(tmp_path / "x.npy", X)
    convolve_blocks(np.load(tmp_path / "x.npy", mmap_mode="r"), W, tmp_path / "x.npy", force=True, **SMALL)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), Y)


@pytest.mark.parametrize("layout", ["HWC", "CHW", "CHWN"])
def test_files_of_any_layout(layout: str, tmp_path: Path) -> None:
    """Blocks that lie in many pieces in the file."""
    x = np.random.default_rng(0).standard_normal([{"N": 3, "C": 2, "H": 31, "W": 29}[a] for a in layout])
    for memory in (11_000, 20_000):
        plan = convolve_blocks(x, W, tmp_path / "y.npy", layout=layout, force=True, memory=memory)
        assert plan.blocks > 3
        np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), im2col.conv(x, W, layout=layout, chunked=True))


def test_a_source_that_fails_and_goes_on(tmp_path: Path) -> None:
    """No file is there, with the source's own error; with a journal another run goes on, and reads what is left."""
    path, journal = tmp_path / "y.npy", tmp_path / "y.json"
    broken: Any = Stored(X, fails_at=5)
    with pytest.raises(OSError, match="the disk is gone") as caught:
        convolve_blocks(broken, W, path, **SMALL)
    assert re.fullmatch(r"while im2col read the source at \[\d:\d, \d+:\d+, 0:53\]", caught.value.__notes__[0])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OSError, match="the disk is gone"):
        convolve_blocks(Stored(X, fails_at=5), W, path, journal=journal, **SMALL)
    assert not path.exists()
    assert len(list(tmp_path.iterdir())) == 2
    done = json.loads(journal.read_text())["done"]
    assert 0 < done < plan_blocks(X, W, **SMALL).blocks
    source = Stored(X)
    convolve_blocks(source, W, path, journal=journal, **SMALL)
    assert np.load(path).tobytes() == Y.tobytes()
    assert [each.name for each in tmp_path.iterdir()] == ["y.npy"]
    whole = Stored(X)
    convolve_blocks(whole, W, path, force=True, **SMALL)
    assert source.reads < whole.reads


def test_an_array_goes_on(tmp_path: Path) -> None:
    """It keeps the blocks that were written."""
    sink, journal = np.zeros_like(Y), tmp_path / "run.json"
    for n in range(1, 40):
        source = Stored(X, fails_at=3 * n)
        try:
            convolve_blocks(source, W, sink, journal=journal, **SMALL)
        except OSError:
            continue
        break
    assert n > 2
    assert sink.tobytes() == Y.tobytes()
    assert list(tmp_path.iterdir()) == []


def interrupted(path: Path, journal: Path) -> None:
    """Leave a journal of a run that a user interrupted."""

    def progress(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convolve_blocks(X, W, path, journal=journal, progress=progress, **SMALL)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"padding": 3}, "sink, options, blocks (memory, threads or chunks)"),
        ({"padding_mode": "wrap"}, "options"),
        ({"memory": 60_000}, "blocks (memory, threads or chunks)"),
        ({"w": 2 * W}, "weights"),
        ({"bias": np.ones(3, np.float32)}, "weights"),
        ({"algorithm": "reference"}, "algorithm or CPU, blocks (memory, threads or chunks)"),
        ({"source": X.astype(np.float64)}, "source, sink, options, blocks (memory, threads or chunks)"),
    ],
)
def test_a_journal_of_another_run(change: dict[str, Any], name: str, tmp_path: Path) -> None:
    """It is refused by name before anything is read; the right call goes on afterwards."""
    path, journal = tmp_path / "y.npy", tmp_path / "y.json"
    interrupted(path, journal)
    arguments: Any = {"source": X, "w": W, "sink": path, "journal": journal, **SMALL}
    message = (
        f"convolve_blocks: the journal {str(journal)!r} is that of another run, with other {name}; call it as before, "
        "or remove the journal to begin anew"
    )
    with raises_exactly(ArgumentError, message):
        convolve_blocks(**arguments | change)
    convolve_blocks(**arguments)
    assert np.load(path).tobytes() == Y.tobytes()


def test_journals_that_are_none(tmp_path: Path) -> None:
    """Files of another kind stay as they are; what a journal tells of must be there."""
    path, journal = tmp_path / "y.npy", tmp_path / "y.json"
    with raises_exactly(FileError, "convolve_blocks: the journal is a .json file, got 'y.txt'; name one"):
        convolve_blocks(X, W, path, journal="y.txt", **SMALL)
    for text in ("", "{}", '{"run": 5, "part": null, "done": 0}'):
        journal.write_text(text)
        with raises_exactly(
            FileError,
            f"convolve_blocks: {str(journal)!r} is no journal of im2col; name another file",
        ):
            convolve_blocks(X, W, path, journal=journal, **SMALL)
        assert journal.read_text() == text
    journal.unlink()
    interrupted(path, journal)
    told = json.loads(journal.read_text())
    for wrong in ({"done": -1}, {"done": 1 << 40}, {"done": "1"}, {"done": 1.5}, {"part": None}):
        journal.write_text(json.dumps(told | wrong))
        with raises_exactly(FileError, f"convolve_blocks: {str(journal)!r} is no journal of im2col; name another file"):
            convolve_blocks(X, W, path, journal=journal, **SMALL)
    journal.write_text(json.dumps(told))
    (part,) = [each for each in tmp_path.iterdir() if each.suffix == ".part"]
    content = part.read_bytes()
    part.write_bytes(content[:-1])
    with raises_exactly(
        FileError, f"convolve_blocks: {part} is not what the journal tells of; remove it, and the journal"
    ):
        convolve_blocks(X, W, path, journal=journal, **SMALL)
    part.unlink()
    with raises_exactly(
        FileError,
        f"convolve_blocks: the journal {str(journal)!r} tells of {part}, which is not there any more; remove the "
        "journal to begin anew",
    ):
        convolve_blocks(X, W, path, journal=journal, **SMALL)
    with pytest.raises(FileError, match=r"^convolve_blocks: cannot write .*: there is no folder"):
        convolve_blocks(X, W, path, journal=tmp_path / "nowhere/y.json", **SMALL)
    assert not path.exists()


@pytest.mark.skipif(not hasattr(os, "kill"), reason="this system kills no process")
def test_a_process_that_is_killed(tmp_path: Path) -> None:
    """Without a chance to say anything: what the journal said last is true, and the next run goes on from it."""
    code = (
        "import os, numpy as np, im2col.blocks.journal as journal; from tests.test_convolve_blocks import *;"
        "journal._SECONDS = 0.0\n"
        "def progress(done, total):\n    if done > total // 2: os.kill(os.getpid(), 9)\n"
        f"convolve_blocks(X, W, {str(tmp_path / 'y.npy')!r}, journal={str(tmp_path / 'y.json')!r}, progress=progress,"
        " **SMALL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=HANG_SECONDS, check=False
    )
    assert done.returncode == -9, done.stderr
    assert not (tmp_path / "y.npy").exists()
    assert json.loads((tmp_path / "y.json").read_text())["done"] > 0
    source = Stored(X)
    convolve_blocks(source, W, tmp_path / "y.npy", journal=tmp_path / "y.json", **SMALL)
    assert np.load(tmp_path / "y.npy").tobytes() == Y.tobytes()
    assert [each.name for each in tmp_path.iterdir()] == ["y.npy"]


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle: an error, and no file; with a journal it goes on when there is room again."""
    path, journal = tmp_path / "y.npy", tmp_path / "y.json"
    write, calls = os.write, []

    def full(descriptor: int, content: Any) -> int:
        calls.append(len(content))
        if len(calls) > 30:
            raise OSError(28, "No space left on device")
        return write(descriptor, content[: max(1, len(content) // 2)])  # the system may take less than all

    options: list[dict[str, Any]] = [{}, {"journal": journal}]
    for more in options:
        calls.clear()
        monkeypatch.setattr("im2col.blocks.npy_file.os.write", full)
        with raises_exactly(FileError, f"convolve_blocks: cannot write {str(path)!r}: No space left on device"):
            convolve_blocks(X, W, path, **SMALL, **more)
        monkeypatch.undo()
        assert not path.exists()
        assert len(list(tmp_path.iterdir())) == 2 * len(more)
    convolve_blocks(X, W, path, journal=journal, **SMALL)
    assert np.load(path).tobytes() == Y.tobytes()
    usage = type("Usage", (), {"free": 1 << 10})
    monkeypatch.setattr("im2col.files.shutil.disk_usage", lambda _: usage)
    source: Any = Stored(X)
    with raises_exactly(
        FileError,
        f"convolve_blocks: the result (3, 61, 55) of float32 takes 39.4 KiB but the disk of {tmp_path} has 1.0 KiB "
        "free; write it to another disk",
    ):
        convolve_blocks(source, W, path, force=True, journal=journal, **SMALL)
    assert source.reads == 0
    assert [each.name for each in tmp_path.iterdir()] == ["y.npy"]


@pytest.mark.wide
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """A small one in memory, which another program fills on the way."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount: Any = shutil.which("mount"), "-t", "tmpfs", "-o", "size=1m", "none", disk
    if mount[0] is None or subprocess.run(mount, check=False, capture_output=True).returncode:
        missing("no file system can be mounted here")
    try:
        x = np.random.default_rng(0).standard_normal((300, 700)).astype(np.float32)
        w, journal = np.ones((1, 1, 3, 3), np.float32), tmp_path / "y.json"

        def fill(done: int, total: int) -> None:
            if done < total // 2:
                with suppress(OSError), (disk / "other").open("ab") as file:
                    file.write(b"\0" * 200_000)

        with pytest.raises(FileError, match="No space left on device"):
            convolve_blocks(x, w, disk / "y.npy", memory=200_000, journal=journal, progress=fill)
        assert not (disk / "y.npy").exists()
        (disk / "other").unlink()
        convolve_blocks(x, w, disk / "y.npy", memory=200_000, journal=journal)
        assert np.load(disk / "y.npy").tobytes() == im2col.conv(x, w, chunked=True).tobytes()
    finally:
        subprocess.run([shutil.which("umount"), disk], check=True)  # type: ignore[list-item]  # it is where mount is


def test_a_limit_of_the_size_of_files(tmp_path: Path) -> None:
    """Is told before anything is read."""
    resource = require("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    source: Any = Stored(X)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with raises_exactly(FileError, f"convolve_blocks: cannot write {str(tmp_path / 'y.npy')!r}: File too large"):
            convolve_blocks(source, W, tmp_path / "y.npy", **SMALL)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert source.reads == 0
    assert list(tmp_path.iterdir()) == []


def test_what_is_wrong_is_said_before_anything_is_read(tmp_path: Path) -> None:
    """Sinks of other shapes, dtypes and kinds; sources that are none; too little memory."""
    source: Any = Stored(X)
    read_only = np.empty_like(Y)
    read_only.flags.writeable = False
    np.save(tmp_path / "x.npy", X)
    kept = np.load(tmp_path / "x.npy", mmap_mode="r+")
    again = np.load(tmp_path / "x.npy", mmap_mode="r")
    masked: Any = np.ma.masked_array(X, X > 0)
    same: Any = {"padding": ((2, 2), (1, 1))}
    rows: list[tuple[Any, Any, dict[str, Any], type[Exception], str]] = [
        (
            source,
            np.empty((3, 61, 53), np.float32),
            {},
            OutputError,
            "sink has shape (3, 61, 53) and dtype float32 but the result has (3, 61, 55) and float32; make it so, or "
            "ask for dtype=",
        ),
        (
            source,
            np.empty(Y.shape),
            {},
            OutputError,
            "sink has shape (3, 61, 55) and dtype float64 but the result has (3, 61, 55) and float32; make it so, or "
            "ask for dtype=",
        ),
        (source, read_only, {}, OutputError, "sink is read-only; open it for writing"),
        (
            source,
            np.lib.stride_tricks.as_strided(np.empty(55, np.float32), Y.shape, (0, 0, 4)),
            {},
            OutputError,
            "sink has elements that share memory; pass np.empty of the result's shape",
        ),
        (
            source,
            b"y",
            {},
            ArgumentError,
            "sink must have a shape, a dtype and slices, got b'y'; pass an array of NumPy, Zarr or h5py, or any that "
            "can be sliced",
        ),
        (
            source,
            "y.txt",
            {},
            FileError,
            "the result is written as a .npy file, got 'y.txt'; name one, or pass an array",
        ),
        (
            "x.npy",
            Y,
            {},
            ArgumentError,
            "source must have a shape, a dtype and slices, got 'x.npy'; open it first, as in np.load(path, "
            "mmap_mode='r')",
        ),
        (
            [[1.0]],
            Y,
            {},
            ArgumentError,
            "source must have a shape, a dtype and slices, got [[1.0]]; pass an array of NumPy, Zarr or h5py, or any "
            "that can be sliced",
        ),
        (
            masked,
            Y,
            {},
            DTypeError,
            "source is a masked array, whose mask would be lost; fill it first, as in source.filled(0)",
        ),
        (source, Y, {"progress": 5}, ArgumentError, "progress must be a function of two numbers, got 5"),
        (source, Y, {"memory": 0}, GeometryError, "memory must be at least 1, got 0"),
    ]
    for image, sink, more, error, message in rows:
        with raises_exactly(error, f"convolve_blocks: {message}"):
            convolve_blocks(image, W, sink, **{"padding": ((2, 2), (2, 2)), **more})
    overlap = (
        "convolve_blocks: sink shares memory with the source, which would be overwritten while it is read; pass another"
    )
    twin = np.ones((3, 2, 5, 3), np.float32)[:2]
    for image, sink in ((X, X), (kept, kept), (again, kept), (source, source), (kept[:, ::-1], kept)):
        with raises_exactly(OutputError, overlap):
            convolve_blocks(image, twin, sink, **same)
    with pytest.raises(
        MemoryBudgetError, match=r"^convolve_blocks: a block of one position takes .* but memory is 10 B; pass"
    ):
        convolve_blocks(source, W, Y.copy(), memory=10, padding=2)
    with pytest.raises(MemoryBudgetError, match=r"^plan_blocks: a block of one chunk takes"):
        plan_blocks(Stored(X, (2, 61, 53)), W, memory=1000)
    with pytest.raises(TypeError, match=r"convolve_blocks\(\) got an unexpected keyword argument 'out'"):
        convolve_blocks(source, W, Y, out=None)
    assert source.reads == 0


def test_the_memory_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is read."""
    monkeypatch.setattr("im2col.engine.host.available_memory", lambda: 1 << 24)
    source: Any = np.broadcast_to(np.float32(0), (1 << 15, 1 << 15))
    with pytest.raises(
        MemoryBudgetError, match=r"^convolve_blocks: a block of the image .* 16.0 MiB are available; pass a"
    ):
        convolve_blocks(source, np.ones((1, 1, 3, 3), np.float32), Stored(source), padding=1)


def test_a_source_that_gives_something_else() -> None:
    """Is told, and not broadcast."""

    class Odd(Stored):
        def __getitem__(self, place: Any) -> Array:
            return super().__getitem__(place)[..., :1]

    with pytest.raises(
        ShapeError, match=r"^convolve_blocks: source has shape \(\d, \d+, 1\) at \[\d:\d, 0:\d+, 0:53\], which"
    ):
        convolve_blocks(Odd(X), W, np.empty_like(Y), **SMALL)


def test_maps_of_files(tmp_path: Path) -> None:
    """From one to another; private ones keep what was written to them."""
    np.save(tmp_path / "x.npy", X)
    y = np.lib.format.open_memmap(tmp_path / "y.npy", "w+", np.float32, Y.shape)
    x = np.load(tmp_path / "x.npy", mmap_mode="c")
    x[0] = 0
    convolve_blocks(x, W, y, **SMALL)
    y.flush()
    without = X.copy()
    without[0] = 0
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), im2col.conv(without, W, padding=2, chunked=True))


def test_parts_of_one_file(tmp_path: Path) -> None:
    """An image may lie beside its result in one file, through one map or two; but none over the other."""
    path, w = tmp_path / "both.raw", W[:2, :, :, :1]
    options: Any = {"padding": ((2, 2), (0, 0))}
    np.stack([X, X]).tofile(path)
    result, nbytes = im2col.conv(X, w, chunked=True, **options), X.nbytes
    one = np.memmap(path, np.float32, "r+", 0, (2, *X.shape))
    another = np.memmap(path, np.float32, "r", 0, (2, *X.shape))
    second = np.memmap(path, np.float32, "r+", nbytes, X.shape)
    for source, sink in ((one[0], one[1]), (another[0], one[1]), (another[0], second), (second, one[0])):
        one[0], one[1] = X, X
        convolve_blocks(source, w, sink, memory=40_000, **options)
        np.testing.assert_array_equal(sink, result)
    for source, sink in ((another[1], second), (one[1], second), (one[0], one[0])):
        with pytest.raises(OutputError, match=r"^convolve_blocks: sink shares memory with the source"):
            convolve_blocks(source, w, sink, **options)
    columns = np.concatenate([X, X], axis=2)
    convolve_blocks(columns[..., :53], w, columns[..., 53:], **options)
    np.testing.assert_array_equal(columns[..., 53:], result)


def test_windows_writes_bytes_as_they_are() -> None:
    """Its flag is the one that Python has for it."""
    program = "import os; os.O_BINARY = 1 << 30; from im2col.files import BINARY; assert BINARY == 1 << 30"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("memory", [40_000, 1 << 20])
def test_zarr(tmp_path: Path, memory: int) -> None:
    """Chunks, shards, and both ends in one store; an array is not its own sink, nor is one that is read-only."""
    zarr = require("zarr")
    x = zarr.create_array(tmp_path / "x", shape=X.shape, dtype=X.dtype, chunks=(1, 16, 10))
    x[...] = X
    y = zarr.create_array(tmp_path / "y", shape=Y.shape, dtype=Y.dtype, chunks=(1, 5, 11), shards=(3, 10, 55))
    plan = convolve_blocks(x, W, y, memory=memory, padding=2)
    np.testing.assert_array_equal(y[...], Y)
    assert plan.blocks == 1 or plan.block_shape[1] % 10 == 0
    again = zarr.open(tmp_path / "x", mode="r+")
    w = np.ones((2, 2, 1, 1), np.float32)
    with pytest.raises(OutputError, match="shares memory with the source"):
        convolve_blocks(x, w, again)
    with pytest.raises(OutputError, match="sink is read-only; open it for writing"):
        convolve_blocks(X, w, zarr.open(tmp_path / "x", mode="r"))


def test_h5py(tmp_path: Path) -> None:
    """Datasets with chunks and without; one is not its own sink, nor is one of a file that is read-only."""
    h5py = require("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        x = file.create_dataset("x", data=X, chunks=(1, 16, 10))
        y = file.create_dataset("y", Y.shape, Y.dtype)
        convolve_blocks(x, W, y, journal=tmp_path / "a.json", **SMALL)
        np.testing.assert_array_equal(y[...], Y)
        with pytest.raises(OutputError, match="shares memory with the source"):
            convolve_blocks(x, np.ones((2, 2, 1, 1), np.float32), file["x"])
    with h5py.File(tmp_path / "a.h5", "r") as file:
        with raises_exactly(OutputError, "convolve_blocks: sink is read-only; open it for writing"):
            convolve_blocks(X, W, file["y"], **SMALL)
        convolve_blocks(file["x"], W, tmp_path / "y.npy", **SMALL)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), Y)


def test_lazy_arrays_and_tiles_of_tiff(tmp_path: Path) -> None:
    """Whatever can be sliced: dask, xarray, and a TIFF of tiles through tifffile and Zarr."""
    tifffile, zarr, dask, xarray = map(require, ("tifffile", "zarr", "dask.array", "xarray"))
    require("imagecodecs")
    lazy = dask.from_array(X, chunks=(1, (20, 41), 53))
    photo = np.random.default_rng(1).integers(0, 255, (61, 53), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", photo, tile=(16, 16), compression="zlib")
    with tifffile.imread(tmp_path / "a.tif", aszarr=True) as store:
        compare(((lazy, W), (xarray.DataArray(lazy), W), (zarr.open(store, mode="r"), W[:1, :1])))


def compare(cases: Any) -> None:
    """Assert that blocks of sources give what their arrays give."""
    for source, w in cases:
        y = np.empty(im2col.output_shape(source.shape[-2:], (5, 3), padding=2), np.float32)
        y = np.empty((len(w), *y.shape), np.float32) if source.ndim == 3 else y
        convolve_blocks(source, w, y, padding=2, memory=120_000)
        np.testing.assert_array_equal(y, im2col.conv(np.asarray(source[...]), w, padding=2, chunked=True))


LARGER: dict[str, tuple[tuple[int, ...], tuple[int, ...], str, dict[str, Any]]] = {
    "image": ((1500, 1400), (1, 1, 7, 7), "f4", {"padding": "same", "padding_mode": "wrap"}),
    "colours": ((900, 1000, 3), (4, 3, 3, 3), "f4", {"padding": 1, "layout": "HWC"}),
    "channels": ((32, 400, 410), (48, 32, 3, 3), "f4", {"padding": 1}),
    "batch": ((40, 8, 80, 90), (8, 8, 5, 5), "f8", {"padding": 2, "padding_mode": "reflect"}),
    "strided": ((4, 900, 950), (6, 4, 5, 5), "f4", {"stride": 3, "dilation": 2}),
    "depthwise": ((64, 300, 310), (64, 1, 3, 3), "f4", {"padding": 1, "groups": 64}),
    "bytes": ((3, 1500, 1400), (8, 3, 3, 3), "u1", {"padding": 1}),
    "signal": ((2, 600_000), (2, 2, 101), "f4", {"padding": 50}),
    "volume": ((120, 130, 140), (1, 1, 3, 3, 3), "f4", {"padding": 1, "padding_mode": "edge"}),
    "complex": ((500, 510), (3, 1, 3, 3), "c8", {"layout": "HW"}),
}


@pytest.mark.parametrize("name", LARGER)
def test_it_allocates_what_it_told(name: str) -> None:
    """No more, and no less than half of it."""
    require("llvmlite")
    shape, kernel, dtype, options = LARGER[name]
    rng = np.random.default_rng(0)
    x, w = rng.integers(0, 9, shape).astype(dtype), rng.integers(0, 9, kernel).astype(dtype)
    if name == "complex":
        w = w[:1]
    expected = im2col.conv(x, w, **options)
    source, sink = Stored(x), np.empty_like(expected)
    options["memory"] = 5 << 20
    told = plan_blocks(source, w, sink, **options)
    assert told.blocks > 2
    found = allocation(lambda: convolve_blocks(source, w, sink, **options))
    np.testing.assert_allclose(sink, expected, rtol=1e-4)
    assert found.peak <= told.memory_bytes + SLACK
    assert 2 * found.peak >= told.memory_bytes


@pytest.mark.wide
@pytest.mark.parametrize("kind", ["file", "map"])
def test_it_takes_the_memory_that_it_told(kind: str, tmp_path: Path) -> None:
    """A map of 500 MB, from start to end, as the kernel counts the process's pages: those of files, too."""
    code = f"""
import numpy as np
from bench import memory
from im2col import convolve_blocks
n = 11_200
x = np.lib.format.open_memmap({str(tmp_path / "x.npy")!r}, "w+", np.float32, (n, n))
for i in range(0, n, 100):
    x[i : i + 100] = i
del x
x = np.load({str(tmp_path / "x.npy")!r}, mmap_mode="r")
w, options = np.ones((1, 1, 5, 5), np.float32), dict(padding="same", padding_mode="reflect", memory=64 << 20)
y = {str(tmp_path / "y.npy")!r}
convolve_blocks(x[:3000], w, y, **options)
if {kind!r} == "map":
    y = np.lib.format.open_memmap(y, "w+", np.float32, (n, n))
memory.forget_peak()
before = memory.resident()
plan = convolve_blocks(x, w, y, force=True, **options)
print(plan.memory_bytes, memory.peak() - before)
"""
    from bench import memory

    if not memory.is_told():
        missing("this system does not tell a process's peak")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=HANG_SECONDS, check=True
    )
    told, took = map(int, done.stdout.split())
    assert told <= 64 << 20
    assert took <= 1.25 * told


def test_the_page_runs() -> None:
    """Every example gives what it prints."""
    for name in ("llvmlite", "zarr", "h5py"):
        require(name)
    page = str(REPOSITORY / "docs/larger-than-memory.md")
    failed, tried = doctest.testfile(page, module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0
    assert tried > 20


def test_masks_are_not_lost() -> None:
    """A source may give masked arrays, as netCDF4's variables do; of pixels that are masked nobody knows the sum."""

    class Masked:
        """What gives masked arrays of one that is in memory."""

        def __init__(self, threshold: float) -> None:
            self.shape, self.dtype, self.threshold = (9, 9), np.dtype(float), threshold

        def __getitem__(self, place: Any) -> Any:
            return np.ma.masked_less(np.arange(81.0).reshape(9, 9)[place], self.threshold)

    found = np.zeros((7, 7))
    im2col.convolve_blocks(Masked(-1), np.ones((1, 1, 3, 3)), found)
    np.testing.assert_array_equal(found[0], 9.0 * np.arange(10, 17))
    message = (
        "convolve_blocks: source has masked pixels at [0:9, 0:9], whose mask would be lost; fill them where it is "
        "sliced, as netCDF4 does after set_auto_mask(False)"
    )
    with raises_exactly(DTypeError, message):
        im2col.convolve_blocks(Masked(1), np.ones((1, 1, 3, 3)), found)
