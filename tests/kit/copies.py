"""Strided copies in plain numbers, for every kernel by name, and what judges them."""

from __future__ import annotations

import inspect
import itertools
import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from im2col.engine import gather, gather_plan

from .memory import PAGE, UNWRITTEN, Array, Room, heap, is_fenced, pairs_of_rooms

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet
    from types import ModuleType

THRESHOLDS = ("_WORTH_A_CALL", "_WORTH_LOADING", "_WORTH_A_THREAD")

PATTERN = np.random.default_rng(7).integers(0, 256, 1 << 19, np.uint8)

DTYPES = {1: "u1", 2: "u2", 4: "u4", 8: "u8", 16: "c16"}

SIDES = {1: (4, 8, 16), 2: (4, 8, 16), 4: (4, 8), 8: (4,)}
"""The sides of tiles, by element size; elements of 16 bytes have none."""

PLANE = 64
"""Bytes from one run to the next from which each is a plane."""

EDGES = (4, 5, 7, 8, 9, 11, 15, 16, 17, 23, 31, 32, 33, 37)
"""For each side: side - 1, side, side + 1, twice the side and its neighbours, and primes."""

LONG = tuple(sorted({n + d for n in (96, 128, 160, 192, 256, 288, 384, 512) for d in (-1, 0, 1)} | {65, 66, 641}))
"""Bytes of long runs: around whole vectors and blocks of four."""


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
        side, far = side_of(itemsize, entries, across), (across + 2) * itemsize
        if far >= PLANE and entries >= 2 * side:
            continue  # below
        cases = matrix.setdefault(f"copy_tiles_{itemsize}_{side}", [])
        cases.append(Copy(itemsize, (across, entries), (itemsize, far), dense(itemsize, (across, entries))))
        if (across + entries) % 3 == 0:
            steps = dense(itemsize, (across, entries), gap=itemsize + 1)
            cases.append(Copy(itemsize, (across, entries), (itemsize, -far - 1), steps))
        if (
            entries <= 6 and entries * itemsize <= 32 and across >= 2 * entries
        ):  # windows that overlap, each a row: contiguous along both axes
            cases.append(Copy(itemsize, (across, entries), (itemsize,) * 2, dense(itemsize, (across, entries))))
    return matrix


def planes() -> dict[str, list[Copy]]:
    """Return transposes of planes that lie apart, at least two tiles of them, the same way."""
    matrix: dict[str, list[Copy]] = {}
    for itemsize, across, entries in itertools.product(SIDES, EDGES, EDGES):
        side, far = side_of(itemsize, entries, across), max(PLANE, (across + 2) * itemsize)
        if entries < 2 * side:
            continue
        cases = matrix.setdefault(f"copy_planes_{itemsize}_{side}", [])
        cases.append(Copy(itemsize, (across, entries), (itemsize, far), dense(itemsize, (across, entries))))
        if (across + entries) % 3 == 0:
            steps = dense(itemsize, (across, entries), gap=itemsize + 1)
            cases.append(Copy(itemsize, (across, entries), (itemsize, -far - 1), steps))
    return matrix


def spread_tiles() -> dict[str, list[Copy]]:
    """Return transposes of two axes that are one to the source, where no number of tiles fills the last."""
    matrix: dict[str, list[Copy]] = {}
    for itemsize, across, beyond, entries in itertools.product(
        SIDES, (4, 5, 7, 9, 15, 17, 25), (2, 3, 7), (16, 17, 24)
    ):
        side = max(SIDES[itemsize])
        if across % side == 0 or across * beyond < side:
            continue
        cases = matrix.setdefault(f"copy_spread_tiles_{itemsize}_{side}", [])
        shape, far = (across, beyond, entries), (across * beyond + 2) * itemsize
        for gap in (0, itemsize + 1):
            steps = (itemsize, across * itemsize, far + gap)
            cases.append(Copy(itemsize, shape, steps, dense(itemsize, shape, gap)))
    return matrix


FAMILIES = {
    "short_runs": short_runs(),
    "long_runs": long_runs(),
    "strided_runs": strided_runs(),
    "tiles": tiles(),
    "planes": planes(),
    "spread_tiles": spread_tiles(),
}

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
    "spread tiles and their rest": (Copy(4, (9, 40, 8), (4, 36, 1448), (1280, 32, 4)), ["copy_spread_tiles_4_8"] * 2),
    "spread tiles, and too few elements": (
        Copy(4, (9, 2, 770), (4, 36, 80), (6160, 3080, 4)),
        ["copy_spread_tiles_4_8", "copy_short_runs_4"],
    ),
    "spread tiles, and too few across": (
        Copy(1, (5, 33, 16), (1, 5, 167), (528, 16, 1)),
        ["copy_spread_tiles_1_16", "copy_short_runs_1"],
    ),
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


def copy_against_forbidden_pages(kernels: AbstractSet[str] = MATRIX.keys(), first: int = 0, step: int = 1) -> None:
    """Make copies where a byte too much is the end of the process; what is being copied stands on stdout."""
    for threshold in THRESHOLDS:
        setattr(gather, threshold, 1)
    every = [(name, case, [name]) for name in kernels for case in MATRIX[name]]
    every += [(name, case, names) for name, (case, names) in NESTS.items() if kernels >= set(names)]
    for rooms in pairs_of_rooms(16 * PAGE):
        for name, case, names in every[first::step]:
            sys.stdout.write(f"{name} {case}\n")
            sys.stdout.flush()
            assert_copies(case, names, rooms=rooms, judge=by_numpy)
    sys.stdout.write("every byte in its place\n")
