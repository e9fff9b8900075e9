"""Strided copies: every kernel by name, over element sizes, orientations, tap orders and edge sizes.

A copy is made between two blocks of bytes, and judged by a loop over its elements. All bytes around both blocks are
looked at afterwards; in a process of its own the blocks lie against pages that may not even be read.
"""

from __future__ import annotations

import ctypes
import inspect
import itertools
import mmap
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from im2col import im2col, patches
from im2col.engine import compiler, gather, gather_kernels

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


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep compiled kernels in a folder of this test session, never in the user's."""
    monkeypatch.setenv("IM2COL_CACHE_DIR", str(tmp_path_factory.getbasetemp()))


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


def is_fenced(block: Array) -> bool:
    """Whether the bytes around a block are what they were."""
    whole = cast("Array", block.base)
    start = block.ctypes.data - whole.ctypes.data
    return bool((whole[:start] == GUARD).all() and (whole[start + block.size :] == GUARD).all())


def view(block: Array, itemsize: int, shape: tuple[int, ...], steps: tuple[int, ...]) -> Array:
    """Return the array whose lowest byte is the first of a block."""
    return np.ndarray(shape, DTYPES[itemsize], block, _places(shape, steps)[0], steps)


def planned(dst: Array, src: Array) -> list[str]:
    """Return the names of the kernels that the planner chooses."""
    return [call.kernel.name for call in gather._plan(dst.shape, dst.strides, src.strides, dst.itemsize)]


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
        if entries * itemsize <= 32:  # windows that overlap, each a row: contiguous along both axes
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
layout shape       kernel stride orientation tap order      1 byte          2 bytes        4 bytes        8 bytes        16 bytes
CHW    3,9,23      3      1      rows        channel-first  tiles_1_16      tiles_2_16     tiles_4_8      tiles_8_4      short_runs_48
CHW    3,9,23      3      1      rows        channel-last   tiles_1_16      tiles_2_16     tiles_4_8      tiles_8_4      short_runs_16
CHW    3,9,23      3      1      columns     channel-first  short_runs_21   short_runs_42  long_runs      long_runs      long_runs
CHW    3,9,23      3      1      columns     channel-last   short_runs_21   short_runs_42  long_runs      long_runs      long_runs
"""
