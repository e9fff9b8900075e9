"""Strided sums: every kernel by name, over element types, memory layouts, widths and windows.

Sums are judged by plain loops that add in the same order, so that floats are compared bit by bit. All bytes around the
image and the matrix are looked at, and in a process of its own they lie against pages that may not even be read.
"""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from im2col.engine import compiler, scatter, scatter_kernels
from im2col.engine.scatter_kernels import Element
from im2col.matrix import fold
from im2col.matrix.frame import patch_view
from im2col.spec.padding import pad_image

from .conftest import require
from .oracles import Window
from .strategies import numbers, seeds, windows
from .test_gather import (
    PAGE,
    THRESHOLDS,
    heap,
    is_fenced,
    kernel_makers,
    pairs_of_rooms,
    run_alone,
)
from .test_geometry import geometry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    from .test_gather import Array, Room

NEVER = sys.maxsize
UNWRITTEN = 0xA5

WIDTHS = (1, 2, 3, 7, 8, 9, 15, 16, 17, 23, 31, 32, 33, 47, 63, 64, 65, 97, 127, 128, 129, 131)
"""Around vectors of 2 to 16 lanes, and blocks of four of them."""

PAIRS = {
    Element("f4", "f4"): ("f4", "f4"),
    Element("f8", "f8"): ("f8", "f8"),
    **{Element("i8", f"i{n}"): ("i8", f"i{n}") for n in (1, 2, 4, 8)},
    **{Element("u8", f"u{n}"): ("u8", f"u{n}") for n in (1, 2, 4, 8)},
    Element("i8", "u1"): ("i8", "?"),
}
"""What kernels add, and the dtypes of image and matrix for it: those of ``np.sum``."""
LAYOUTS = {"dense": True, "strided": False}


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Send arrays of any size through kernels, and see that the engine worked."""
    require("llvmlite")
    for threshold in THRESHOLDS:
        monkeypatch.setattr(scatter, threshold, 1)
    yield
    assert compiler.failure() is None


@dataclass(frozen=True)
class Sum:
    """A sum: a window, the dtypes of image and matrix, and how both lie in memory."""

    window: Window
    total: str
    value: str
    dense_values: bool = True
    dense_pixels: bool = True
    batch: int = 1
    channels: int = 2

    @property
    def axes(self) -> list[scatter.Axis]:
        """The window, as the engine takes it."""
        w = self.window
        return [scatter.Axis(s, d, p[0]) for s, d, p in zip(w.stride, w.dilation, w.padding, strict=True)]

    @property
    def name(self) -> str:
        """The kernel that is to be used: pixels of a row are dense where the stride is 1."""
        value = "u1" if self.value == "?" else self.value
        dense = self.dense_pixels and self.window.stride[-1] == 1
        layout = "_to_".join("dense" if d else "strided" for d in (self.dense_values, dense))
        return f"sum_rows_{value}_{self.total}_{layout}"


def empty(case: Sum, rooms: tuple[Room, Room] = (heap, heap)) -> tuple[Array, Array, list[Array]]:
    """Return the image and the matrix of a case, with canonical axes, and the blocks that they lie in."""
    lead, w = (case.batch, case.channels), case.window
    k = len(w.kernel_size)
    # Values that are not dense: a patch is a row. Pixels that are not dense: every second one, and backwards.
    matrix_shape = (*lead, *w.kernel_size, *w.output_shape)
    order = tuple(range(2 + 2 * k)) if case.dense_values else (0, *range(2 + k, 2 + 2 * k), 1, *range(2, 2 + k))
    total, value = np.dtype(case.total), np.dtype(case.value)
    image_room, matrix_room = rooms
    values = matrix_room(int(np.prod(matrix_shape)) * value.itemsize)
    matrix = values.view(value).reshape([matrix_shape[axis] for axis in order]).transpose(np.argsort(order))
    image_shape = (*lead, *w.spatial_shape)
    step = 1 if case.dense_pixels else 2
    pixels = image_room((int(np.prod(image_shape)) * step - step + 1) * total.itemsize)
    strides = np.array([int(np.prod(image_shape[i + 1 :])) for i in range(2 + k)]) * total.itemsize
    if case.dense_pixels:
        image: Array = np.ndarray(image_shape, total, pixels, 0, tuple(strides))
    else:
        image = np.ndarray(image_shape, total, pixels, pixels.size - total.itemsize, tuple(-2 * strides))
    return image, matrix, [pixels, values]


def by_loops(case: Sum, matrix: Array) -> Array:
    """Return the image, one addition at a time: taps of the last axis change slowest."""
    w = case.window
    lead: tuple[Any, ...] = (slice(None), slice(None))
    total: Array = np.zeros((case.batch, case.channels, *w.spatial_shape), case.total)
    kernel = [range(n) for n in w.kernel_size]
    stops = w.stops
    for last, *others in itertools.product(kernel[-1], *kernel[:-1]):
        tap = (*others, last)
        under_tap = [[stop[t] for stop in axis] for axis, t in zip(stops, tap, strict=True)]
        for position, pixel in zip(np.ndindex(*map(len, stops)), itertools.product(*under_tap), strict=True):
            if all(0 <= i < n for i, n in zip(pixel, w.spatial_shape, strict=True)):
                to, origin = (*lead, *pixel), (*lead, *tap, *position)
                total[to] += matrix[origin]
    return total


def random_values(matrix: Array, seed: int = 3) -> None:
    """Fill a matrix: floats of many sizes, whose sums round; integers from the whole range of their type."""
    rng = np.random.default_rng(seed)
    if matrix.dtype.kind == "f":
        matrix[...] = rng.standard_normal(matrix.shape) * 10.0 ** rng.integers(-3, 4, matrix.shape)
    elif matrix.dtype.kind == "b":
        matrix[...] = rng.integers(0, 2, matrix.shape)
    else:
        limits = np.iinfo(matrix.dtype)
        matrix[...] = rng.integers(limits.min, limits.max, matrix.shape, matrix.dtype, endpoint=True)


def assert_sums(
    case: Sum, *, threads: int = 1, rooms: tuple[Room, Room] = (heap, heap), expected: Array | None = None
) -> None:
    """Assert that the expected kernel sums what loops sum, to the bit, and that no other byte is touched."""
    image, matrix, blocks = empty(case, rooms)
    random_values(matrix)
    blocks[0][:] = UNWRITTEN
    before = matrix.tobytes()
    wanted = by_loops(case, matrix) if expected is None else expected
    chosen = scatter._kernel(image, matrix, case.axes)
    assert chosen is not None
    assert chosen.name == case.name
    assert scatter.sum_windows(image, matrix, case.axes, threads)
    np.testing.assert_array_equal(image, wanted, strict=True)
    assert image.tobytes() == wanted.tobytes(), case
    assert matrix.tobytes() == before, case
    assert all(map(is_fenced, blocks)), case
    if not case.dense_pixels:  # the pixels between are not this image's
        between = blocks[0].view(case.total)[1::2].tobytes()
        assert between == bytes([UNWRITTEN]) * len(between), case


def window(
    spatial_shape: tuple[int, ...],
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...] | int = 1,
    padding: tuple[tuple[int, int], ...] | int = 0,
    dilation: tuple[int, ...] | int = 1,
) -> Window:
    """Return a window; an int stands for all axes."""
    k = len(spatial_shape)
    strides, dilations = ((v,) * k if isinstance(v, int) else v for v in (stride, dilation))
    pairs = ((padding, padding),) * k if isinstance(padding, int) else padding
    return Window(spatial_shape, kernel_size, strides, pairs, dilations)


# The matrix: for each kernel, by its name, the sums that it makes


def sum_rows() -> dict[str, list[Sum]]:
    """Return sums of every width, for every pair of element types, dense or strided on both sides."""
    matrix: dict[str, list[Sum]] = {}
    for (total, value), dense_values, dense_pixels in itertools.product(PAIRS.values(), (True, False), (True, False)):
        for n in WIDTHS:
            case = Sum(
                window((2, n), (2, min(3, n)), padding=((1, 0), (0, 1))), total, value, dense_values, dense_pixels
            )
            matrix.setdefault(case.name, []).append(case)
        if not dense_pixels:  # strided because every third pixel of a line belongs to a row
            by_3 = Sum(window((3, 77), (2, 4), (1, 3), 1), total, value, dense_values, True)
            matrix[by_3.name].append(by_3)
    return matrix


FAMILIES = {"sum_rows": sum_rows()}
MATRIX = {name: cases for family in FAMILIES.values() for name, cases in family.items()}


def test_the_matrix_names_every_kernel() -> None:
    """Each function that makes kernels has a part of the matrix; the names of all kernels are there, and no others."""
    assert kernel_makers(scatter_kernels) == set(FAMILIES)
    flags = [True, False]
    assert set(MATRIX) == {scatter_kernels.sum_rows(*made).name for made in itertools.product(PAIRS, flags, flags)}


@pytest.mark.parametrize("value", "?bhilqBHILQfd")
def test_every_dtype_has_its_kernel(value: str) -> None:
    """Every integer, bool, float32 and float64 is summed by a kernel, in the dtype that `col2im` returns."""
    matrix = np.zeros((1, 1, 2, 9), value)
    kernel = scatter._kernel(np.empty((1, 1, 10), np.sum(matrix).dtype), matrix, [scatter.Axis(1, 1, 0)])
    assert kernel is not None
    assert kernel.name in MATRIX


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("name", MATRIX)
def test_every_kernel(name: str) -> None:
    """Every case of the matrix is made by the kernel that it is listed under, as loops make it."""
    for case in MATRIX[name]:
        assert case.name == name
        assert_sums(case)


# Windows

WINDOWS = {
    "1-d": window((70,), (5,)),
    "1-d, by 2": window((70,), (5,), 2, 1),
    "1-d, only padding beside one pixel": window((1,), (3,), 1, 9),
    "1-d, uncovered pixels": window((71,), (2,), 5),
    "1-d, dilated": window((70,), (4,), 1, 3, 7),
    "1-d, dilated by the stride": window((70,), (4,), 3, 3, 3),
    "1-d, wider than a vector": window((60,), (19,), 1, 12),
    "1-d, one position": window((40,), (40,)),
    "1-d, a last stride that reaches too far": window((65,), (3,), 4, ((0, 2),)),
    "2-d": window((5, 37), (3, 3), 1, 1),
    "2-d, kernel smaller than the stride": window((9, 41), (2, 2), (4, 3)),
    "2-d, kernel as large as the stride": window((9, 40), (3, 2), (3, 2)),
    "2-d, kernel larger than the stride": window((9, 40), (5, 7), (2, 3), ((1, 2), (3, 0))),
    "2-d, dilated": window((9, 40), (3, 3), (2, 1), 2, (2, 3)),
    "2-d, more padding than pixels": window((2, 3), (2, 2), 1, 5),
    "2-d, stride beyond the image": window((3, 17), (2, 2), (9, 33)),
    "2-d, one column": window((33, 1), (3, 1), 1, 1),
    "2-d, one row": window((1, 130), (1, 3), 1, 1),
    "3-d": window((3, 4, 19), (2, 3, 3), (1, 2, 1), ((0, 1), (1, 1), (1, 0)), (2, 1, 2)),
    "3-d, uncovered planes": window((5, 5, 17), (1, 2, 2), (3, 3, 3)),
    "4-d": window((2, 3, 2, 18), (2, 2, 1, 3), (1, 2, 1, 2), 1),
}


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("values", LAYOUTS)
@pytest.mark.parametrize("pixels", LAYOUTS)
def test_every_window(name: str, values: str, pixels: str) -> None:
    """Floats in their order, bytes as integers; pixels that no window covers are 0."""
    for total, value in (("f4", "f4"), ("i8", "i1")):
        assert_sums(Sum(WINDOWS[name], total, value, LAYOUTS[values], LAYOUTS[pixels], batch=2))


def test_uncovered_pixels_are_zero(kernels: None) -> None:
    """With a stride larger than the kernel, pixels between the windows are 0, whatever stood there."""
    assert kernels is None
    image = np.full((1, 1, 5, 40), np.nan)
    assert scatter.sum_windows(image, np.ones((1, 1, 1, 2, 2, 10)), [scatter.Axis(3, 1, 0), scatter.Axis(4, 1, 0)], 2)
    expected = np.zeros((5, 40))
    expected[::3] = [1, 1, 0, 0] * 10
    np.testing.assert_array_equal(image[0, 0], expected)


def numpy_fold(columns: Array, shape: Window, dtype: np.dtype[Any]) -> Array:
    """Return what `fold` makes without the engine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scatter, "_WORTH_A_CALL", NEVER)
        return engine_fold(columns, shape, dtype)


def engine_fold(columns: Array, shape: Window, dtype: np.dtype[Any], threads: int = 1) -> Array:
    """Return what `fold` makes as things are."""
    out = np.full((*columns.shape[:2], *shape.spatial_shape), 77, dtype)
    fold.fold(out, columns, geometry(shape), "constant", "sum", threads)
    return out


@pytest.mark.usefixtures("kernels")
@given(
    windows(), st.sampled_from(["f4", "f8", "c8", "c16", "i2", "u4", "?"]), st.booleans(), st.integers(1, 7), seeds()
)
def test_the_engine_and_numpy_agree_to_the_bit(shape: Window, value: str, rows: bool, threads: int, seed: int) -> None:
    """Random floats, complex numbers and integers, with any number of threads: the bytes that NumPy's path makes."""
    k = len(shape.kernel_size)
    columns = np.empty((2, 3, *shape.kernel_size, *shape.output_shape), value)
    for part in (columns.real, columns.imag) if value[0] == "c" else (columns,):
        random_values(part, seed)
    if rows:
        order = (0, *range(2 + k, 2 + 2 * k), 1, *range(2, 2 + k))
        columns = np.ascontiguousarray(columns.transpose(order)).transpose(np.argsort(order))
    dtype = fold.sum_dtype(columns.dtype)
    assert engine_fold(columns, shape, dtype, threads).tobytes() == numpy_fold(columns, shape, dtype).tobytes()


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
    monkeypatch.setattr(scatter, "_TABLE_PIECES", pieces)
    for shape in (LARGE.window, WINDOWS["3-d"], WINDOWS["4-d"]):
        assert_sums(replace(LARGE, window=shape), threads=2)


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
    """Below 16 KiB of matrix NumPy adds; below 512 KiB kernels that are loaded already; above, they are loaded."""
    asked: list[str] = []
    monkeypatch.setattr(scatter, "loaded", lambda kernel: asked.append(f"loaded {kernel.name}"))
    monkeypatch.setattr(scatter, "load", lambda kernel: asked.append(f"load {kernel.name}"))
    for n in ((8 << 10) - 1, 8 << 10, (256 << 10) - 1, 256 << 10):
        matrix = np.ones((1, 1, 2, n), np.uint8)
        assert not scatter.sum_windows(np.ones((1, 1, n + 1), np.uint64), matrix, [scatter.Axis(1, 1, 0)], 1)
    name = "sum_rows_u1_u8_dense_to_dense"
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


def sum_against_forbidden_pages(kernels: AbstractSet[str] = MATRIX.keys()) -> None:
    """Make sums where a byte too much is the end of the process; what is being summed stands on stdout."""
    for threshold in THRESHOLDS:
        setattr(scatter, threshold, 1)
    flags = (True, False)
    every = [case for name in kernels for case in MATRIX[name]]
    every += [Sum(each, "f4", "f4", v, p, batch=2) for each, v, p in itertools.product(WINDOWS.values(), flags, flags)]
    for rooms in pairs_of_rooms(64 * PAGE):
        for case in every:
            sys.stdout.write(f"{case.name} {case}\n")
            sys.stdout.flush()
            _, matrix, _ = empty(case)
            random_values(matrix)
            expected = numpy_fold(matrix, case.window, np.dtype(case.total))
            assert_sums(case, rooms=rooms, expected=expected)
    sys.stdout.write("every byte in its place\n")


@pytest.mark.skipif(sys.platform == "win32", reason="mprotect is POSIX")
def test_no_page_beside_an_array_is_touched() -> None:
    """Masked lanes have addresses before and behind the matrix and the image, but are neither read nor written."""
    require("llvmlite")
    run_alone("test_scatter", "sum_against_forbidden_pages()")
