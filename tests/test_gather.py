"""Strided copies: every kernel by name, over element sizes, orientations, tap orders and edge sizes.

A copy is made between two blocks of bytes, and judged by a loop over its elements. All bytes around both blocks are
looked at afterwards; in a process of its own the blocks lie against pages that may not even be read.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from im2col import im2col, patches
from im2col.engine import compiler, gather, gather_kernels, gather_plan

from .kit.copies import DTYPES, FAMILIES, MATRIX, NESTS, PATTERN, SIDES, THRESHOLDS, Copy, assert_copies, kernel_makers
from .kit.outcomes import require
from .kit.processes import REPOSITORY, run_alone
from .kit.selection import one_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from im2col.engine.compiler import Kernel


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


# The matrix: for each kernel, by its name, the copies that it makes


def test_the_matrix_names_every_kernel() -> None:
    """Each function that makes kernels has a part of the matrix; the names of all kernels are there, and no others."""
    assert kernel_makers(gather_kernels) == set(FAMILIES)
    every = {gather_kernels.short_runs(run).name for run in range(1, 1 + gather_kernels.SHORT_RUN_BYTES)}
    every |= {gather_kernels.long_runs().name}
    every |= {gather_kernels.strided_runs(size, step * size).name for size in DTYPES for step in (2, 3)}
    every |= {gather_kernels.tiles(size, side).name for size, sides in SIDES.items() for side in sides}
    every |= {gather_kernels.planes(size, side).name for size, sides in SIDES.items() for side in sides}
    every |= {gather_kernels.spread_tiles(size, max(sides)).name for size, sides in SIDES.items()}
    assert every == set(MATRIX)
    assert all(name.startswith(f"copy_{family}") for family, part in FAMILIES.items() for name in part)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("name", one_in(2, MATRIX))
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
CHW  19,5,7   1 1  rows    channel-first  tiles:16   tiles:16   planes:8   planes:4   strided
CHW  19,5,7   1 1  rows    channel-last   tiles:16   tiles:16   planes:8   planes:4   strided
CHW  19,5,7   1 1  columns channel-first  long       long       long       long       long
CHW  19,5,7   1 1  columns channel-last   long       long       long       long       long
HWC  5,7,19   1 1  rows    channel-first  long       long       long       long       long
HWC  5,7,19   1 1  rows    channel-last   long       long       long       long       long
HWC  5,7,19   1 1  columns channel-first  tiles:16   tiles:16   planes:8   planes:4   strided
HWC  5,7,19   1 1  columns channel-last   tiles:16   tiles:16   planes:8   planes:4   strided
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
    return [
        "copy_" + (WORDS | {"tiles": "tiles_{0}_{1}", "planes": "planes_{0}_{1}"})[family].format(itemsize, number)
    ] * int(calls or 1)


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


@pytest.mark.skipif(os.name != "posix", reason="mprotect is POSIX")
@pytest.mark.parametrize("first", one_in(3, range(3)))
def test_no_page_beside_an_array_is_touched(first: int) -> None:
    """No kernel reads or writes a byte beside its arrays, not even one that it then ignores."""
    require("llvmlite")
    run_alone("kit.copies", f"copy_against_forbidden_pages(first={first}, step=3)")


@pytest.mark.skipif(os.name != "posix", reason="mprotect is POSIX")
def test_forbidden_pages_are_forbidden() -> None:
    """The test above would notice: a byte behind the last one cannot be read."""
    code = (
        "import ctypes; from tests.kit.memory import *\n"
        "block = against_forbidden_pages(PAGE)[0](8)\n"
        "print(len(ctypes.string_at(block.ctypes.data, 8)), flush=True)\n"
        "ctypes.string_at(block.ctypes.data, 9)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode < 0, done.stdout) == (True, "8\n"), done.stderr
