"""Strided copies: every kernel by name, over element sizes, orientations, tap orders and edge sizes.

A copy is made between two blocks of bytes, and judged by a loop over its elements. All bytes around both blocks are
looked at afterwards; in a process of its own the blocks lie against pages that may not even be read.
"""

from __future__ import annotations

import ctypes
import inspect
import itertools
import math
import mmap
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from im2col import im2col, patches
from im2col.engine import compiler, gather, gather_kernels, gather_plan

from .conftest import require

if TYPE_CHECKING:
    from types import ModuleType

    from im2col.engine.compiler import Kernel

Array = np.ndarray[Any, Any]
Room = Callable[[int], Array]
"""Returns so many bytes that lie in the midst of others, all of which are `GUARD`."""

REPOSITORY = Path(__file__).parents[1]
GUARD, UNWRITTEN, MARGIN = 0x5A, 0xA5, 256
THRESHOLDS = ("_WORTH_A_CALL", "_WORTH_LOADING", "_WORTH_A_THREAD")
PATTERN = np.random.default_rng(7).integers(0, 256, 1 << 19, np.uint8)

DTYPES = {1: "u1", 2: "u2", 4: "u4", 8: "u8", 16: "c16"}
SIDES = {1: (4, 8, 16), 2: (4, 8, 16), 4: (4, 8), 8: (4,)}
"""The sides of tiles, by element size; elements of 16 bytes have none."""
EDGES = (4, 5, 7, 8, 9, 11, 15, 16, 17, 23, 31, 32, 33, 37)
"""For each side: side - 1, side, side + 1, twice the side and its neighbours, and primes."""
LONG = tuple(sorted({n + d for n in (96, 128, 160, 192, 256, 288, 384, 512) for d in (-1, 0, 1)} | {65, 66, 641}))
"""Bytes of long runs: around whole vectors and blocks of four."""


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Send arrays of any size through kernels, and see that the engine worked."""
    require("llvmlite")
    for threshold in THRESHOLDS:
        monkeypatch.setattr(gather, threshold, 1)
    yield
    assert compiler.failure() is None


@pytest.fixture
def used(kernels: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the kernels that copies ask for, in turn; arrays of any size go through them."""
    assert kernels is None
    names: list[str] = []

    def recording(kernel: Kernel) -> Any:
        names.append(kernel.name)
        return compiler.load(kernel)

    monkeypatch.setattr(gather, "load", recording)
    return names


@dataclass(frozen=True)
class Copy:
    """A copy, in plain numbers: bytes of an element, lengths of the axes, and steps along them in bytes."""

    itemsize: int
    shape: tuple[int, ...]
    src: tuple[int, ...]
    dst: tuple[int, ...]


def dense(itemsize: int, shape: tuple[int, ...], gap: int = 0) -> tuple[int, ...]:
    """Return the steps of an array in C order; `gap` bytes stay free behind each of its rows."""
    steps = [itemsize]
    for n in reversed(shape[1:]):
        steps.insert(0, steps[0] * n + (gap if len(steps) == 1 else 0))
    return tuple(steps)


@lru_cache(4096)
def _places(shape: tuple[int, ...], steps: tuple[int, ...]) -> list[int]:
    """Return where each element of an array lies, from its lowest byte on, in row-major order."""
    lowest = sum(min(0, (n - 1) * step) for n, step in zip(shape, steps, strict=True))
    axes = [[i * step for i in range(n)] for n, step in zip(shape, steps, strict=True)]
    return [sum(offsets) - lowest for offsets in itertools.product(*axes)]


def heap(size: int) -> Array:
    """Return `size` bytes with a margin around them."""
    return np.full(size + 2 * MARGIN, GUARD, np.uint8)[MARGIN : MARGIN + size]


def sides(block: Array) -> tuple[Array, Array]:
    """Return the bytes before and behind a block, as far as a kernel may be expected to reach."""
    whole = cast("Array", block.base)
    start = block.ctypes.data - whole.ctypes.data
    stop = start + block.size
    return whole[max(0, start - MARGIN) : start], whole[stop : stop + MARGIN]


def is_fenced(block: Array) -> bool:
    """Whether the bytes around a block are what they were."""
    return all((side == GUARD).all() for side in sides(block))


def view(block: Array, itemsize: int, shape: tuple[int, ...], steps: tuple[int, ...]) -> Array:
    """Return the array whose lowest byte is the first of a block."""
    return np.ndarray(shape, DTYPES[itemsize], block, _places(shape, steps)[0], steps)


def planned(dst: Array, src: Array) -> list[str]:
    """Return the names of the kernels that the planner chooses."""
    return [call.kernel.name for call in gather_plan.plan_copy(dst.shape, dst.strides, src.strides, dst.itemsize)]


def by_loop(case: Copy, source: Array, target: Array) -> bytes:
    """Return what `target` should hold after a copy: element by element, in the order of the axes."""
    read, expected = source.tobytes(), bytearray(target.tobytes())
    for origin, to in zip(_places(case.shape, case.src), _places(case.shape, case.dst), strict=True):
        expected[to : to + case.itemsize] = read[origin : origin + case.itemsize]
    return bytes(expected)


def by_numpy(case: Copy, source: Array, target: Array) -> bytes:
    """Return the same, as NumPy copies it."""
    expected = target.copy()
    src = view(source, case.itemsize, case.shape, case.src)
    np.copyto(view(expected, case.itemsize, case.shape, case.dst), src)
    return expected.tobytes()


def assert_copies(
    case: Copy,
    names: list[str] | None = None,
    *,
    threads: int = 1,
    rooms: tuple[Room, Room] = (heap, heap),
    judge: Callable[[Copy, Array, Array], bytes] = by_loop,
) -> None:
    """Assert that a copy uses the kernels `names`, writes what `judge` says, and touches no other byte."""
    sizes = (max(_places(case.shape, steps)) + case.itemsize for steps in (case.src, case.dst))
    source, target = (room(size) for room, size in zip(rooms, sizes, strict=True))
    source[:], target[:] = PATTERN[: source.size], UNWRITTEN
    src, dst = view(source, case.itemsize, case.shape, case.src), view(target, case.itemsize, case.shape, case.dst)
    before, expected = source.tobytes(), judge(case, source, target)
    if names is not None:
        assert planned(dst, src) == names, case
    gather.copy(dst, src, threads)
    assert target.tobytes() == expected, case
    assert source.tobytes() == before, case
    assert is_fenced(source), case
    assert is_fenced(target), case


# The matrix: for each kernel, by its name, the copies that it makes


def short_runs() -> dict[str, list[Copy]]:
    """Return copies of every run of 1 to 64 bytes, in elements of every size that divides it."""
    matrix: dict[str, list[Copy]] = {}
    for run in range(1, 65):
        cases = matrix.setdefault(f"copy_short_runs_{run}", [])
        for itemsize in (size for size in DTYPES if run % size == 0):
            n = run // itemsize
            apart = run + 3 * itemsize
            for rows in (2, 3, 7):
                cases.append(Copy(itemsize, (rows, n), (apart, itemsize), dense(itemsize, (rows, n))))
                if n > 1:
                    cases.append(Copy(itemsize, (rows, n), (-apart, itemsize), dense(itemsize, (rows, n), gap=5)))
            shape = (3, 2, n)  # a loop around a table of two runs
            cases.append(Copy(itemsize, shape, (apart, 7 * apart, itemsize), (2 * run + 1, run, itemsize)))
            if n > 1:
                cases.append(Copy(itemsize, (n,), (itemsize,), (itemsize,)))
    return matrix


def long_runs() -> dict[str, list[Copy]]:
    """Return copies of runs of more than 64 bytes, in elements of every size."""
    cases = []
    for nbytes, itemsize in itertools.product(LONG, DTYPES):
        n = -(-nbytes // itemsize)
        for rows in (1, 3):
            far = n * itemsize + 5 * itemsize
            cases.append(Copy(itemsize, (rows, n), (far, itemsize), dense(itemsize, (rows, n))))
            cases.append(Copy(itemsize, (rows, n), (-far, itemsize), dense(itemsize, (rows, n), gap=3)))
    return {"copy_long_runs": cases}


def strided_runs() -> dict[str, list[Copy]]:
    """Return copies of elements two apart, which have kernels of their own, and at any other step, in bytes."""
    matrix: dict[str, list[Copy]] = {}
    for itemsize in DTYPES:
        twice = 2 * itemsize
        others = (0, 3 * itemsize, -itemsize, -twice, 7 * itemsize, itemsize + 1, twice + 1, -twice - 1)
        for step in (twice, *(step for step in others if step not in {itemsize, twice})):
            name = f"copy_strided_runs_{itemsize}" + ("_by_2" if step == twice else "")
            for n in (16, 17, 23, 31, 32, 33, 63, 64, 65, 127, 131):
                far = n * abs(step) + 11 * itemsize
                for rows, gap in ((1, 0), (3, 0), (2, 7)):
                    steps = dense(itemsize, (rows, n), gap)
                    matrix.setdefault(name, []).append(Copy(itemsize, (rows, n), (far, step), steps))
    return matrix


def side_of(itemsize: int, entries: int, across: int) -> int:
    """Return the largest side of a tile that fits."""
    return max(side for side in SIDES[itemsize] if side <= min(entries, across))


def tiles() -> dict[str, list[Copy]]:
    """Return transposes of every pair of edge sizes, by the largest tile that fits: apart, and with overlap."""
    matrix: dict[str, list[Copy]] = {}
    for itemsize, across, entries in itertools.product(SIDES, EDGES, EDGES):
        cases = matrix.setdefault(f"copy_tiles_{itemsize}_{side_of(itemsize, entries, across)}", [])
        far = (across + 2) * itemsize
        cases.append(Copy(itemsize, (across, entries), (itemsize, far), dense(itemsize, (across, entries))))
        if (across + entries) % 3 == 0:
            steps = dense(itemsize, (across, entries), gap=itemsize + 1)
            cases.append(Copy(itemsize, (across, entries), (itemsize, -far - 1), steps))
        if (
            entries <= 6 and entries * itemsize <= 32 and across >= 2 * entries
        ):  # windows that overlap, each a row: contiguous along both axes
            cases.append(Copy(itemsize, (across, entries), (itemsize,) * 2, dense(itemsize, (across, entries))))
    return matrix


FAMILIES = {"short_runs": short_runs(), "long_runs": long_runs(), "strided_runs": strided_runs(), "tiles": tiles()}
MATRIX = {name: cases for family in FAMILIES.values() for name, cases in family.items()}


def kernel_makers(module: ModuleType) -> set[str]:
    """Return the names of a module's functions that return kernels."""
    functions = {name: inspect.unwrap(value) for name, value in vars(module).items() if callable(value)}
    return {
        name
        for name, function in functions.items()
        if getattr(function, "__module__", None) == module.__name__
        and getattr(function, "__annotations__", {}).get("return") == "Kernel"
    }


def test_the_matrix_names_every_kernel() -> None:
    """Each function that makes kernels has a part of the matrix; the names of all kernels are there, and no others."""
    assert kernel_makers(gather_kernels) == set(FAMILIES)
    every = {gather_kernels.short_runs(run).name for run in range(1, 1 + gather_kernels.SHORT_RUN_BYTES)}
    every |= {gather_kernels.long_runs().name}
    every |= {gather_kernels.strided_runs(size, step * size).name for size in DTYPES for step in (2, 3)}
    every |= {gather_kernels.tiles(size, side).name for size, sides in SIDES.items() for side in sides}
    assert every == set(MATRIX)
    assert all(name.startswith(f"copy_{family}") for family, part in FAMILIES.items() for name in part)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("name", MATRIX)
def test_every_kernel(name: str) -> None:
    """Every case of the matrix is made by the kernel that it is listed under, as a loop makes it."""
    for case in MATRIX[name]:
        assert_copies(case, [name])


# Orientation, tap order, element size: the kernels that column matrices ask for

COLUMN_MATRICES = """
CHW  3,9,23   3 1  rows    channel-first  tiles:16   tiles:16   tiles:8    tiles:4    short:48
CHW  3,9,23   3 1  rows    channel-last   tiles:16   tiles:16   tiles:8    tiles:4    short:16
CHW  3,9,23   3 1  columns channel-first  short:21   short:42   long       long       long
CHW  3,9,23   3 1  columns channel-last   short:21   short:42   long       long       long
CHW  3,9,43   3 2  rows    channel-first  short:3    short:6    short:12   short:24   short:48
CHW  3,9,43   3 2  rows    channel-last   short:1    short:2    short:4    short:8    short:16
CHW  3,9,43   3 2  columns channel-first  by-2       by-2       by-2       by-2       by-2
CHW  3,9,43   3 2  columns channel-last   by-2       by-2       by-2       by-2       by-2
CHW  3,9,64   3 3  rows    channel-first  short:3    short:6    short:12   short:24   short:48
CHW  3,9,64   3 3  rows    channel-last   short:1    short:2    short:4    short:8    short:16
CHW  3,9,64   3 3  columns channel-first  strided    strided    strided    strided    strided
CHW  3,9,64   3 3  columns channel-last   strided    strided    strided    strided    strided
CHW  2,6,5    3 1  rows    channel-first  short:3    short:6    short:12   short:24   short:48
CHW  2,6,5    3 1  rows    channel-last   short:1    short:2    short:4    short:8    short:16
CHW  2,6,5    3 1  columns channel-first  short:3    short:6    short:12   short:24   short:48
CHW  2,6,5    3 1  columns channel-last   short:3    short:6    short:12   short:24   short:48
HWC  9,23,3   3 1  rows    channel-first  tiles:8    tiles:8    tiles:8    tiles:4    short:16
HWC  9,23,3   3 1  rows    channel-last   short:9    short:18   short:36   long       long
HWC  9,23,3   3 1  columns channel-first  strided    strided    strided    strided    strided
HWC  9,23,3   3 1  columns channel-last   tiles:8    tiles:8    tiles:8    tiles:4    strided
HWC  9,23,3   3 2  rows    channel-first  short:1*2  short:2*2  short:4*2  short:8*2  short:16*2
HWC  9,23,3   3 2  rows    channel-last   short:9    short:18   short:36   long       long
HWC  9,23,3   3 2  columns channel-first  short:1    short:2    short:4    short:8    short:16
HWC  9,23,3   3 2  columns channel-last   tiles:8    tiles:8    tiles:8    tiles:4    short:16*2
CHW  70,5,13  3 1  rows    channel-first  tiles:8    tiles:8    tiles:8    tiles:4    short:48*2
CHW  70,5,13  3 1  rows    channel-last   tiles:8    tiles:8    tiles:8    tiles:4    strided
CHW  70,5,13  3 1  columns channel-first  short:11   short:22   short:44   long       long
CHW  70,5,13  3 1  columns channel-last   short:11*2 short:22*2 short:44*2 long       long
CHW  19,5,7   1 1  rows    channel-first  tiles:16   tiles:16   tiles:8    tiles:4    strided
CHW  19,5,7   1 1  rows    channel-last   tiles:16   tiles:16   tiles:8    tiles:4    strided
CHW  19,5,7   1 1  columns channel-first  long       long       long       long       long
CHW  19,5,7   1 1  columns channel-last   long       long       long       long       long
HWC  5,7,19   1 1  rows    channel-first  long       long       long       long       long
HWC  5,7,19   1 1  rows    channel-last   long       long       long       long       long
HWC  5,7,19   1 1  columns channel-first  tiles:16   tiles:16   tiles:8    tiles:4    strided
HWC  5,7,19   1 1  columns channel-last   tiles:16   tiles:16   tiles:8    tiles:4    strided
CHW  5,3,3    3 1  rows    channel-first  short:45   long       long       long       long
CHW  5,3,3    3 1  rows    channel-last   tiles:4    tiles:4    tiles:4    tiles:4    short:16
CHW  5,3,3    3 1  columns channel-first  short:45   long       long       long       long
CHW  5,3,3    3 1  columns channel-last   tiles:4    tiles:4    tiles:4    tiles:4    short:16
CHW  3,9,23   5 1  rows    channel-first  tiles:16   tiles:16   tiles:8    short:40*2 long
CHW  3,9,23   5 1  rows    channel-last   tiles:16   tiles:16   tiles:8    tiles:4    short:16
CHW  3,9,23   5 1  columns channel-first  short:19   short:38   long       long       long
CHW  3,9,23   5 1  columns channel-last   short:19   short:38   long       long       long
NHWC 2,6,9,4  3 1  rows    channel-first  tiles:8    tiles:8    tiles:8    tiles:4    short:16*2
NHWC 2,6,9,4  3 1  rows    channel-last   short:12   short:24   short:48   long       long
NHWC 2,6,9,4  3 1  columns channel-first  tiles:4    tiles:4    tiles:4    tiles:4    short:16
NHWC 2,6,9,4  3 1  columns channel-last   tiles:8    tiles:8    tiles:8    tiles:4    short:16
CDHW 2,4,5,9  2 1  rows    channel-first  tiles:8    tiles:8    tiles:8    tiles:4    short:32
CDHW 2,4,5,9  2 1  rows    channel-last   tiles:8    tiles:8    tiles:8    tiles:4    short:16
CDHW 2,4,5,9  2 1  columns channel-first  short:8    short:16   short:32   short:64   long
CDHW 2,4,5,9  2 1  columns channel-last   short:8    short:16   short:32   short:64   long
CW   2,41     5 1  rows    channel-first  tiles:8    tiles:8    tiles:8    short:40   long
CW   2,41     5 1  rows    channel-last   tiles:8    tiles:8    tiles:8    tiles:4    short:16*2
CW   2,41     5 1  columns channel-first  short:37   long       long       long       long
CW   2,41     5 1  columns channel-last   short:37   long       long       long       long
"""
"""Layout, shape, kernel, stride, orientation, tap order; then the kernel for elements of 1, 2, 4, 8 and 16 bytes."""
WORDS = {"short": "short_runs_{1}", "long": "long_runs", "strided": "strided_runs_{0}", "by-2": "strided_runs_{0}_by_2"}


def kernel_names(word: str, itemsize: int) -> list[str]:
    """Return the names behind a word of the table above; ``*2`` means a call for a table and one for its rest."""
    name, _, calls = word.partition("*")
    family, _, number = name.partition(":")
    return ["copy_" + (WORDS | {"tiles": "tiles_{0}_{1}"})[family].format(itemsize, number)] * int(calls or 1)


@pytest.mark.parametrize("line", COLUMN_MATRICES.strip().splitlines())
def test_the_column_matrix(used: list[str], line: str) -> None:
    """Each element size, orientation and tap order has its kernel, which gives the view's bytes in the view's order."""
    layout, shape, kernel, stride, orientation, tap_order, *words = line.split()
    lengths = tuple(map(int, shape.split(",")))
    window: dict[str, Any] = {
        "kernel_size": (int(kernel),) * sum(axis not in "NC" for axis in layout),
        "stride": int(stride),
        "layout": layout,
        "orientation": orientation,
        "tap_order": tap_order,
    }
    for itemsize, word in zip(DTYPES, words, strict=True):
        x = PATTERN[: np.prod(lengths) * itemsize].view(DTYPES[itemsize]).reshape(lengths)
        used.clear()
        result = im2col(x, **window, threads=1)
        assert used == kernel_names(word, itemsize)
        assert result.tobytes() == patches(x, **window).tobytes()


# Nests: remainders, more loops than a kernel has, threads

NESTS = {
    "a table and its rest": (Copy(1, (500, 3), (5, 1), (3, 1)), ["copy_short_runs_3"] * 2),
    "a table without a rest": (Copy(1, (384, 3), (5, 1), (3, 1)), ["copy_short_runs_3"]),
    "a table of two axes and its rest": (Copy(2, (50, 9, 3), (100, 10, 2), (54, 6, 2)), ["copy_short_runs_6"] * 2),
    "a table too short to be cut": (Copy(1, (10, 60, 3), (301, 5, 1), (180, 3, 1)), ["copy_short_runs_3"]),
    "blocks outside of positions": (Copy(1, (4, 450, 3), (3, 17, 1), (1350, 3, 1)), ["copy_short_runs_3"] * 2),
    "blocks inside of positions": (Copy(1, (4, 450, 3), (9001, -17, 1), (1350, 3, 1)), ["copy_short_runs_3"] * 2),
    "tiles and their rest": (Copy(1, (9, 1000), (1, 11), (1000, 1)), ["copy_tiles_1_8"] * 2),
    "tiles and a rest without one": (Copy(4, (9, 770), (4, 44), (3080, 4)), ["copy_tiles_4_8", "copy_short_runs_4"]),
    "tiles and a smaller one": (Copy(8, (5, 50, 17), (8, 49, 2501), (6800, 136, 8)), ["copy_tiles_8_4"] * 2),
    "tiles of too few elements": (Copy(4, (9, 3), (4, 44), (12, 4)), ["copy_short_runs_4"]),
    "tiles read backwards": (Copy(4, (9, 5), (-4, 44), (20, 4)), ["copy_tiles_4_4"]),
    "tiles and a rest, read backwards": (Copy(1, (9, 1000), (-1, 11), (1000, 1)), ["copy_tiles_1_8"] * 2),
    "too few elements read backwards": (Copy(4, (9, 3), (-4, 44), (12, 4)), ["copy_short_runs_4"]),
    "a strided run with a table": (Copy(2, (300, 20), (121, 6), (40, 2)), ["copy_strided_runs_2"] * 2),
    "more loops of short runs": (
        Copy(1, (2, 3, 2, 2, 3, 2, 2, 5), (941, -6, 37, 1800, 211, 0, 97, 1), (1200, 390, 190, 90, 29, 14, 6, 1)),
        ["copy_short_runs_5"] * 6,
    ),
    "more loops of long runs": (
        Copy(
            4, (2, 2, 2, 2, 2, 2, 2, 17), (8, 941, 20, 36, 1800, 211, 97, 4), (9600, 4800, 2400, 1200, 600, 300, 80, 4)
        ),
        ["copy_long_runs"] * 4,
    ),
    "more loops of tiles": (
        Copy(
            2, (3, 2, 2, 2, 2, 2, 5, 9), (811, 91, 8, 400, 2222, 61, 2, 13), (8200, 4000, 2000, 1000, 490, 240, 22, 2)
        ),
        ["copy_tiles_2_4"] * 3,
    ),
    "no loop": (Copy(16, (3, 1, 1), (40, 1, 1), (16, 5, 5)), ["copy_short_runs_16"]),
    "steps of one loop": (Copy(4, (3, 4, 5), (80, 20, 4), (80, 20, 4)), ["copy_long_runs"]),
    "axes of the destination in another order": (Copy(4, (5, 9), (40, 4), (4, 20)), ["copy_tiles_4_4"]),
}
"""By what is special about them: a copy, and the kernels that it calls in turn."""


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("name", NESTS)
@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_every_nest(name: str, threads: int) -> None:
    """Any nest of loops, whole or cut into parts for threads, is copied as a loop copies it."""
    case, names = NESTS[name]
    assert_copies(case, names, threads=threads)


@st.composite
def copies(draw: st.DrawFn) -> Copy:
    """Draw a copy: axes in any order, gaps, steps backwards and on the spot, and windows that overlap."""
    itemsize = draw(st.sampled_from(sorted(DTYPES)))
    lengths = st.lists(st.sampled_from([1, 2, 3, 4, 5, 8, 13, 17, 41, 200]), min_size=1, max_size=5)
    shape = draw(lengths.filter(lambda ns: math.prod(ns) <= 3000))
    steps: list[list[int]] = []
    for _ in range(2):
        row, step = [0] * len(shape), itemsize
        for axis in draw(st.permutations(range(len(shape)))):
            row[axis], step = step, (step + draw(st.sampled_from([0, 0, 0, 1, itemsize]))) * shape[axis]
        steps.append(row)
    src, dst = steps
    for axis in range(len(shape)):
        src[axis] = draw(st.sampled_from([src[axis]] * 3 + [-src[axis], 0, itemsize, 2 * itemsize]))
    return Copy(itemsize, tuple(shape), tuple(src), tuple(dst))


@pytest.mark.usefixtures("kernels")
@given(copies(), st.integers(1, 3))
def test_any_copy(case: Copy, threads: int) -> None:
    """Whatever kernels are chosen, the copy is what a loop makes."""
    assert_copies(case, threads=1 if math.prod(case.shape) == 1 else threads)


# What is left to NumPy


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(
    "case",
    [
        Copy(4, (1, 1), (4, 4), (4, 4)),
        Copy(4, (5, 6), (24, 4), (48, 8)),
        Copy(4, (5, 6), (24, 4), (24, -4)),
        Copy(2, (5,), (2,), (3,)),
    ],
    ids=["a single element", "not dense", "backwards", "between elements"],
)
def test_destinations_that_are_not_dense_are_left_to_numpy(case: Copy) -> None:
    """Where neighbours of the destination do not lie side by side there is no kernel."""
    assert_copies(case, [])


@pytest.mark.parametrize(("dst", "src"), [("f8", "f4"), ("<i4", ">i4"), ("S3", "S3"), ("V24", "V24"), ("f4", "f8")])
def test_other_dtypes_are_left_to_numpy(used: list[str], dst: str, src: str) -> None:
    """Another dtype is cast as NumPy casts it, and elements of other sizes are NumPy's to copy."""
    x = PATTERN[: 30 * np.dtype(src).itemsize].view(src).reshape(5, 6)
    x = np.arange(30).reshape(5, 6).astype(src) if x.dtype.kind == "f" else x
    result = np.empty(x.shape, dst)
    gather.copy(result, x, 2)
    assert result.tolist() == x.tolist()
    assert used == []


def test_any_cast_is_made(used: list[str]) -> None:
    """Floats are cut to integers, as ``astype`` cuts them."""
    result = np.empty(4, np.int16)
    gather.copy(result, np.array([1.9, -1.9, 0.5, 300.0]), 1)
    assert result.tolist() == [1, -1, 0, 300]
    assert used == []


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("shape", [(0,), (3, 0, 2)])
def test_nothing_is_copied_of_nothing(shape: tuple[int, ...]) -> None:
    """Empty arrays are no error."""
    gather.copy(np.empty(shape), np.empty(shape), 3)


def test_when_kernels_are_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below 16 KiB NumPy copies; below 512 KiB kernels that are loaded already; above, kernels are loaded."""
    asked: list[str] = []
    monkeypatch.setattr(gather, "loaded", lambda kernel: asked.append(f"loaded {kernel.name}"))
    monkeypatch.setattr(gather, "load", lambda kernel: asked.append(f"load {kernel.name}"))
    for n in ((16 << 10) - 100, 16 << 10, (512 << 10) - 100, 512 << 10):
        src, dst = PATTERN[:n].reshape(2, -1)[::-1], np.zeros((2, n // 2), np.uint8)
        gather.copy(dst, src, 1)
        np.testing.assert_array_equal(dst, src)
    assert asked == ["loaded copy_long_runs", "loaded copy_long_runs", "load copy_long_runs"]


def test_when_threads_are_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread for each so many bytes, as far as threads are allowed and the axis has room."""
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(gather, "_WORTH_A_THREAD", 512 << 10)
    monkeypatch.setattr(gather, "run_parallel", lambda tasks, workers: asked.append((len(tasks), workers)))
    for shape, threads in (
        ((1000,), 8),
        ((1 << 20,), 8),
        ((3, 1 << 19), 8),
        ((3, 1 << 19), 2),
        ((1, 2, 1, 1 << 19), 9),
    ):
        gather.copy(np.empty(shape, np.uint16), np.empty(shape, np.uint16), threads)
    assert asked == [(4, 4), (6, 6), (2, 2), (4, 4)]


def test_offsets() -> None:
    """Offsets run through the last axis fastest; no axis at all has one element."""
    assert gather_plan.offsets((2, 3), (100, -1)).tolist() == [0, -1, -2, 100, 99, 98]
    assert gather_plan.offsets((), ()).tolist() == [0]


# Against the edge of memory

PAGE = mmap.PAGESIZE


def against_forbidden_pages(size: int) -> tuple[Room, Room]:
    """Return a room that ends where reading is forbidden, and one that begins there; each is used for one block."""
    memory = mmap.mmap(-1, size + 2 * PAGE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    for page in (address, address + PAGE + size):
        if libc.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(PAGE), 0):
            raise OSError(ctypes.get_errno(), "mprotect")
    whole = np.frombuffer(memory, np.uint8, size, offset=PAGE)

    def room(start: int, stop: int) -> Array:
        assert 0 <= start < stop <= size
        block = whole[start:stop]
        for side in sides(block):
            side[:] = GUARD
        return block

    return lambda n: room(size - n, size), lambda n: room(0, n)


def pairs_of_rooms(size: int) -> Iterator[tuple[Room, Room]]:
    """Yield rooms for a source and a destination: both end, then both begin, at a forbidden page."""
    yield from zip(against_forbidden_pages(size), against_forbidden_pages(size), strict=True)


def copy_against_forbidden_pages(kernels: AbstractSet[str] = MATRIX.keys()) -> None:
    """Make copies where a byte too much is the end of the process; what is being copied stands on stdout."""
    for threshold in THRESHOLDS:
        setattr(gather, threshold, 1)
    every = [(name, case, [name]) for name in kernels for case in MATRIX[name]]
    every += [(name, case, names) for name, (case, names) in NESTS.items() if kernels >= set(names)]
    for rooms in pairs_of_rooms(16 * PAGE):
        for name, case, names in every:
            sys.stdout.write(f"{name} {case}\n")
            sys.stdout.flush()
            assert_copies(case, names, rooms=rooms, judge=by_numpy)
    sys.stdout.write("every byte in its place\n")


def run_alone(module: str, call: str) -> None:
    """Run a function of this folder in a process of its own; its last words must be that it went well."""
    code = f"from tests import {module}; {module}.{call}"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    last = done.stdout.splitlines()[-1:]
    assert (done.returncode, last) == (0, ["every byte in its place"]), done.stderr


@pytest.mark.skipif(os.name != "posix", reason="mprotect is POSIX")
def test_no_page_beside_an_array_is_touched() -> None:
    """No kernel reads or writes a byte beside its arrays, not even one that it then ignores."""
    require("llvmlite")
    run_alone("test_gather", "copy_against_forbidden_pages()")


@pytest.mark.skipif(os.name != "posix", reason="mprotect is POSIX")
def test_forbidden_pages_are_forbidden() -> None:
    """The test above would notice: a byte behind the last one cannot be read."""
    code = (
        "import ctypes; from tests.test_gather import *\n"
        "block = against_forbidden_pages(PAGE)[0](8)\n"
        "print(len(ctypes.string_at(block.ctypes.data, 8)), flush=True)\n"
        "ctypes.string_at(block.ctypes.data, 9)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode < 0, done.stdout) == (True, "8\n"), done.stderr
