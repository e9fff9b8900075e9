"""Strided sums: every kernel by name, over element types, memory layouts, widths and windows.

Sums are judged by plain loops that add in the same order, so that floats are compared bit by bit. All bytes around the
image and the matrix are looked at, and in a process of its own they lie against pages that may not even be read.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from im2col.engine import compiler, scatter, scatter_costs, scatter_kernels, scatter_lines, scatter_plan, scatter_tables
from im2col.matrix.frame import patch_view
from im2col.spec.arrays import sum_dtype
from im2col.spec.padded import pad_image

from .kit.copies import THRESHOLDS, kernel_makers
from .kit.outcomes import require
from .kit.processes import run_alone
from .kit.selection import one_in
from .kit.strategies import geometry, numbers, seeds, windows
from .kit.sums import (
    LAYOUTS,
    PAIRS,
    WINDOWS,
    Sum,
    assert_sums,
    cases_of,
    empty,
    engine_fold,
    kernels_of,
    numpy_fold,
    random_values,
    window,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .kit.oracles import Window

NAMED_PAIRS = {pair.name: pair for pair in PAIRS}


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Send arrays of any size through kernels, and see that the engine worked."""
    require("llvmlite")
    for threshold in THRESHOLDS:
        monkeypatch.setattr(scatter, threshold, 1)
    yield
    assert compiler.failure() is None


# Kernels


def test_the_cases_use_every_kernel() -> None:
    """Each kernel that can be made is one that some nest of some case asks for."""
    require("llvmlite")
    assert kernel_makers(scatter_kernels) == {"sum_lines"}
    asked: set[str] = set()
    for total, value in PAIRS.values():
        for case in cases_of(total, value):
            image, matrix, _ = empty(case)
            numbers = scatter._element(image.dtype, matrix.dtype)
            assert numbers is not None
            plans = scatter_plan.nests(scatter._walks(image, matrix, case.axes), image.itemsize, matrix.itemsize)
            asked |= {scatter._kernel(plan, *numbers).name for plan in plans}
    assert asked == {scatter_kernels.sum_lines(*made).name for made in kernels_of(PAIRS)}


@pytest.mark.parametrize("value", "?bhilqBHILQfdFD")
def test_every_dtype_has_its_kernel(value: str) -> None:
    """Integers, bools, float32, float64 and complex numbers of these are summed in the dtype that `col2im` returns."""
    names = scatter._element(np.sum(np.zeros(2, value)).dtype, np.dtype(value))
    assert names is not None
    assert scatter_lines.Element(*names) in PAIRS


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("eighth", one_in(2, range(8)))
@pytest.mark.parametrize("name", one_in(3, NAMED_PAIRS))
def test_every_kernel(name: str, eighth: int) -> None:
    """Every nest of every case sums what loops sum."""
    cases = cases_of(*PAIRS[NAMED_PAIRS[name]])
    for case in cases[len(cases) * eighth // 8 : len(cases) * (eighth + 1) // 8]:
        assert_sums(case)


# Windows


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("values", LAYOUTS)
@pytest.mark.parametrize("pixels", LAYOUTS)
def test_every_window(name: str, values: str, pixels: str) -> None:
    """Floats in their order, bytes as integers; pixels that no window covers are 0."""
    for total, value in (("f4", "f4"), ("i8", "i1")):
        assert_sums(Sum(WINDOWS[name], total, value, LAYOUTS[values], LAYOUTS[pixels], batch=2))


@given(windows(), st.booleans())
def test_phases_are_the_windows(shape: Window, exchanged: bool) -> None:
    """Along every axis the phases visit each pixel once, and meet each tap and position where plain loops do."""
    for i, stops in enumerate(shape.stops):
        walk = scatter_plan.Walk(
            *(shape.spatial_shape[i], shape.kernel_size[i], len(stops), shape.stride[i], shape.dilation[i]),
            *(shape.padding[i][0], 1, 1, 1),
        )
        walk = walk.exchanged() if exchanged else walk
        met = [(x, o, t) for o, stop in enumerate(stops) for t, x in enumerate(stop)]
        expected = {(x, t, o) if exchanged else (x, o, t) for x, o, t in met if 0 <= x < walk.n}
        found: set[tuple[int, int, int]] = set()
        pixels: list[int] = []
        walk = walk._replace(tap=1, pixel=1)
        table = scatter_tables.phase_table(walk, only_met=False).tolist()
        met_alone = scatter_tables.phase_table(walk, only_met=True).tolist()
        assert [phase for phase in table if phase[2]] == [phase for phase in met_alone if phase[2]]
        assert len(met_alone) <= min(walk.taps, walk.stride)
        for first, width, taps, tap, shift in table:
            pixels += range(first, walk.n, walk.stride)
            assert width == len(range(first, walk.n, walk.stride))
            for k in range(taps):
                for o in range(walk.positions):
                    if 0 <= shift + k * walk.positions_apart + o < width:
                        pixel = first + (shift + k * walk.positions_apart + o) * walk.stride
                        found.add((pixel, o, tap + k * walk.taps_apart))
        assert sorted(pixels) == list(range(walk.n))
        assert found == expected


def test_uncovered_pixels_are_zero(kernels: None) -> None:
    """With a stride larger than the kernel, pixels between the windows are 0, whatever stood there."""
    assert kernels is None
    image = np.full((1, 1, 5, 40), np.nan)
    assert scatter.sum_windows(image, np.ones((1, 1, 1, 2, 2, 10)), [scatter.Axis(3, 1, 0), scatter.Axis(4, 1, 0)], 2)
    expected = np.zeros((5, 40))
    expected[::3] = [1, 1, 0, 0] * 10
    np.testing.assert_array_equal(image[0, 0], expected)


@pytest.mark.usefixtures("kernels")
@given(
    windows(), st.sampled_from(["f4", "f8", "c8", "c16", "i2", "u4", "?"]), st.booleans(), st.integers(1, 7), seeds()
)
def test_the_engine_and_numpy_agree_to_the_bit(shape: Window, value: str, rows: bool, threads: int, seed: int) -> None:
    """Random floats, complex numbers and integers, with any number of threads: the bytes that NumPy's path makes."""
    k = len(shape.kernel_size)
    columns = np.empty((2, 3, *shape.kernel_size, *shape.output_shape), value)
    random_values(columns, seed)
    if rows:
        order = (0, *range(2 + k, 2 + 2 * k), 1, *range(2, 2 + k))
        columns = np.ascontiguousarray(columns.transpose(order)).transpose(np.argsort(order))
    dtype = sum_dtype(columns.dtype)
    assert engine_fold(columns, shape, dtype, threads).tobytes() == numpy_fold(columns, shape, dtype).tobytes()


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("rows", [False, True], ids=["columns", "rows"])
def test_complex_numbers_are_summed_as_their_parts(name: str, rows: bool) -> None:
    """The real ones by themselves, and the imaginary ones."""
    over = WINDOWS[name]
    columns = np.empty((2, 3, *over.kernel_size, *over.output_shape), np.complex64)
    random_values(columns)
    if rows:
        k = len(over.kernel_size)
        order = (0, *range(2 + k, 2 + 2 * k), 1, *range(2, 2 + k))
        columns = np.ascontiguousarray(columns.transpose(order)).transpose(np.argsort(order))
    parts = [numpy_fold(part, over, np.dtype(np.float32)) for part in (columns.real, columns.imag)]
    total = engine_fold(columns, over, columns.dtype, 2)
    assert [total.real.tobytes(), total.imag.tobytes()] == [part.tobytes() for part in parts]


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("value", ["f4", "f8"])
def test_special_numbers(value: str) -> None:
    """Infinities, NaNs, negative zeros and denormals reach the pixels that they belong to, and no others."""
    shape = window((4, 37), (2, 3), 1, 1)
    columns = np.ones((1, 1, 2, 3, *shape.output_shape), value)
    columns[0, 0, 1, 1, 2, 5:9] = np.inf, np.nan, -0.0, np.finfo(value).smallest_subnormal
    columns[0, 0, 0, 0, 1, 20] = -np.inf
    ours, numpys = (make(columns, shape, np.dtype(value)) for make in (engine_fold, numpy_fold))
    np.testing.assert_array_equal(ours, numpys)
    assert (~np.isfinite(ours)).sum() == 3
    zeros = np.full_like(columns, -0.0)
    assert engine_fold(zeros, shape, zeros.dtype).tobytes() == numpy_fold(zeros, shape, zeros.dtype).tobytes()


@pytest.mark.usefixtures("kernels")
@given(windows(), seeds())
def test_the_adjoint(shape: Window, seed: int) -> None:
    """``<patches(x), y> == <x, sums(y)>`` over integers, exactly."""
    g = geometry(shape)
    x = numbers((2, 2, *shape.spatial_shape), np.dtype(np.int64), seed)
    padded = pad_image(x, ((0, 0), (0, 0), *g.padding), "constant", np.zeros((), np.int64))
    matrix = patch_view(padded, g)
    y = numbers(matrix.shape, np.dtype(np.int64), seed + 1)
    assert int((matrix * y).sum()) == int((x * engine_fold(y, shape, x.dtype)).sum())


# Tables and threads

LARGE = Sum(window((13, 67), (3, 5), (2, 1), 2, (1, 2)), "f4", "f4", batch=3, channels=5)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize(
    "shape",
    [
        (7, 1, LARGE.window),
        (1, 9, LARGE.window),
        (1, 1, LARGE.window),
        (2, 2, window((2, 19), (2, 2))),
        (3, 5, WINDOWS["1-d, by 2"]),
        (1, 1, WINDOWS["1-d"]),
        (2, 1, WINDOWS["3-d"]),
    ],
    ids=["images", "channels", "rows", "more threads than rows", "lines", "one line", "planes"],
)
@pytest.mark.parametrize("values", LAYOUTS)
def test_threads_change_no_bit(shape: tuple[int, int, Window], threads: int, values: str) -> None:
    """Whatever the image is cut along, every pixel is summed in the same order."""
    batch, channels, over = shape
    assert_sums(Sum(over, "f4", "f4", LAYOUTS[values], batch=batch, channels=channels), threads=threads)


@pytest.mark.parametrize("pieces", [1, 10, 100])
def test_small_tables_change_no_bit(kernels: None, monkeypatch: pytest.MonkeyPatch, pieces: int) -> None:
    """However few pieces a table may hold, at least one range of the first axis fits in."""
    assert kernels is None
    monkeypatch.setattr(scatter_tables, "_TABLE_PIECES", pieces)
    for shape in (LARGE.window, WINDOWS["3-d"], WINDOWS["4-d"]):
        assert_sums(replace(LARGE, window=shape), threads=2)


def walks_of(window: Window, layout: str) -> tuple[scatter_plan.Walk, ...]:
    """Return the axes of a sum of float32 whose patches are columns or rows of the matrix."""
    case = Sum(window, "f4", "f4", dense_values=layout == "columns", channels=1)
    image, matrix, _ = empty(case)
    return scatter._walks(image, matrix, case.axes)


@pytest.mark.parametrize("layout", ["columns", "rows"])
@pytest.mark.parametrize(
    ("shape", "rows"),
    [
        (((400, 400), (300, 300), 50), 400),  # three stops along an axis
        (((16,) * 4, (4,) * 4, 4), 16**3),  # each pixel is met once
    ],
    ids=str,
)
def test_tables_grow_with_what_meets(
    shape: tuple[tuple[int, ...], tuple[int, ...], int], rows: int, layout: str
) -> None:
    """Neither with taps nor with positions that meet no pixel of a row: here all rows have one table."""
    plan = scatter_costs.plan_sum(walks_of(window(*shape), layout), 4, 4)
    tables = list(scatter_tables.line_tables(plan))
    assert [len(lines) for lines, _ in tables] == [rows]


@pytest.mark.parametrize("layout", ["columns", "rows"])
@pytest.mark.parametrize(
    "shape", [((512, 512), (2, 2), 2), ((512, 512), (3, 3), 8), ((256, 256), (16, 16), 16)], ids=str
)
def test_lanes_lie_side_by_side_if_they_can(shape: tuple[tuple[int, ...], tuple[int, ...], int], layout: str) -> None:
    """Of two axes that are alike but for their steps, the one with shorter steps lies along the lanes."""
    plan = scatter_costs.plan_sum(walks_of(window(*shape), layout), 4, 4)
    assert plan.lanes.pixel == 4


@pytest.mark.parametrize(("stride", "filled"), [(3, 0), (8, 1), (50, 1)])
def test_pixels_that_no_tap_reaches_are_not_walked(stride: int, filled: int) -> None:
    """There are no more phases than taps: what lies between them is set to 0 as a whole, in one call."""
    plan = scatter_costs.plan_sum(walks_of(window((2001, 2001), (3, 3), stride), "columns"), 4, 4)
    [call] = scatter_tables.calls(plan)
    found = dict(zip(scatter_kernels.JOB, call.tables[0].tolist(), strict=True))
    assert (found["line_count"], found["phase_count"], found["filled"]) == (2001, 3, filled)


def test_lines_that_are_alike_share_their_pieces() -> None:
    """A table has a list of pieces for each number of taps along the inner axes, however many lines it has."""
    plan = scatter_costs.plan_sum(walks_of(window((90, 80, 70), (3, 3, 3)), "columns"), 4, 4)
    [(lines, pieces)] = scatter_tables.line_tables(plan)
    assert (len(lines), len(pieces)) == (90 * 80, 3 * (1 + 2 + 3))


@given(windows(), st.booleans())
def test_entries_are_the_windows(shape: Window, exchanged: bool) -> None:
    """Along every axis each pixel has the entries that plain loops find, a step apart, in the order of their taps."""
    for i, stops in enumerate(shape.stops):
        walk = scatter_plan.Walk(
            *(shape.spatial_shape[i], shape.kernel_size[i], len(stops), shape.stride[i], shape.dilation[i]),
            *(shape.padding[i][0], 8, 1000, 1),
        )
        expected: list[list[int]] = [[] for _ in range(walk.n)]
        order = sorted((t, o, x) for o, stop in enumerate(stops) for t, x in enumerate(stop))
        for t, o, x in sorted((o, t, x) for t, o, x in order) if exchanged else order:
            if 0 <= x < walk.n:
                expected[x].append(o + 1000 * t if not exchanged else t + 1000 * o)
        if exchanged:
            walk = walk.exchanged()._replace(tap=1, position=1000)
            expected = [sorted(each, key=lambda entry: entry % 1000) for each in expected]
        for longest in (8192, 1):  # looked up, or found anew
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(scatter_tables, "TABLE_LINES", longest)
                axis = scatter_tables._Axis(walk)
            offsets, counts = axis.entries(np.arange(walk.n))
            found = [
                [offset + k * axis.step for k in range(count)]
                for offset, count in zip(offsets.tolist(), counts.tolist(), strict=True)
            ]
            assert found == expected
            assert max(map(len, expected)) <= axis.most


# What is left to NumPy


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(
    ("total", "value"),
    [("f2", "f2"), ("f4", "f2"), ("f8", "f4"), ("g", "g"), (">f4", ">f4"), ("i8", ">i2"), ("i4", "i2"), ("f8", "i8"),
     ("c16", "c8"), ("G", "G"), ("i8", "f8"), ("m8[s]", "m8[s]")],
)  # fmt: skip
def test_other_dtypes_have_no_kernel(total: str, value: str) -> None:
    """Half and long floats, other byte orders and mixed types are summed by NumPy; the image stays as it is."""
    image = np.ones((1, 1, 40), total)
    assert not scatter.sum_windows(image, np.ones((1, 1, 2, 39), value), [scatter.Axis(1, 1, 0)], 1)
    assert (image == np.ones((), total)).all()


def test_when_kernels_are_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below 2 KiB NumPy adds; below 512 KiB kernels that are loaded, if any kernel is; above, they are loaded."""
    asked: list[str] = []
    monkeypatch.setattr(scatter, "loaded", lambda kernel: asked.append(f"loaded {kernel.name}"))
    monkeypatch.setattr(scatter, "load", lambda kernel: asked.append(f"load {kernel.name}"))
    middle = (256 << 10) - 1
    for in_use, n in ((True, 1023), (True, 1 << 10), (True, middle), (False, middle), (False, 256 << 10)):
        monkeypatch.setattr(scatter, "in_use", in_use.__bool__)
        matrix = np.ones((1, 1, 2, n), np.uint8)
        assert not scatter.sum_windows(np.ones((1, 1, n + 1), np.uint64), matrix, [scatter.Axis(1, 1, 0)], 1)
    name = "sum_lines_u1_u8_dense_to_dense"
    assert asked == [f"loaded {name}", f"loaded {name}", f"load {name}"]


def test_when_threads_are_worth_it(kernels: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread for each 512 KiB of matrix, as far as threads are allowed."""
    assert kernels is None
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(scatter, "_WORTH_A_THREAD", 512 << 10)
    monkeypatch.setattr(scatter, "run_parallel", lambda tasks, workers: asked.append((len(tasks), workers)))
    for n, threads in ((256, 8), (512 << 10, 8), (2 << 20, 8), (2 << 20, 3)):
        matrix = np.broadcast_to(np.uint8(1), (1, 4, 1, n // 4))
        assert scatter.sum_windows(np.ones((1, 4, n // 4), np.uint64), matrix, [scatter.Axis(1, 1, 0)], threads)
    assert asked == [(1, 1), (1, 1), (4, 4), (3, 3)]


# Against the edge of memory


@pytest.mark.skipif(sys.platform == "win32", reason="mprotect is POSIX")
@pytest.mark.parametrize("part", one_in(9, range(9)))
def test_no_page_beside_an_array_is_touched(part: int) -> None:
    """Masked lanes have addresses before and behind the matrix and the image, but are neither read nor written."""
    require("llvmlite")
    some = f"list(PAIRS)[{part}::9], list(WINDOWS.values())[{part}::9]"
    run_alone("kit.sums", f"sum_against_forbidden_pages({some})")
