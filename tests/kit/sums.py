"""Strided sums in plain numbers, for every kernel and every nest of loops, and what judges them."""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from im2col.engine import compiler, scatter, scatter_costs, scatter_plan
from im2col.engine.scatter_lines import Element
from im2col.engine.scatter_tables import address
from im2col.matrix import fold
from im2col.spec.strides import dense_strides

from .copies import THRESHOLDS
from .memory import PAGE, UNWRITTEN, Array, Room, heap, is_fenced, pairs_of_rooms
from .oracles import Window
from .strategies import geometry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

NEVER = sys.maxsize
WIDTHS = (1, 2, 3, 7, 8, 9, 15, 16, 17, 23, 31, 32, 33, 47, 63, 64, 65, 97, 127, 128, 129, 131)
"""Around vectors of 2 to 16 lanes, and blocks of four of them."""

PAIRS = {
    Element("f4", "f4"): ("f4", "f4"),
    Element("f8", "f8"): ("f8", "f8"),
    Element("f4", "f4", 2): ("c8", "c8"),
    Element("f8", "f8", 2): ("c16", "c16"),
    **{Element("i8", f"i{n}"): ("i8", f"i{n}") for n in (1, 2, 4, 8)},
    **{Element("u8", f"u{n}"): ("u8", f"u{n}") for n in (1, 2, 4, 8)},
    Element("i8", "u1"): ("i8", "?"),
}
"""What kernels add, and the dtypes of image and matrix for it: those of ``np.sum``."""


def kernels_of(pairs: Iterable[Element]) -> Iterator[tuple[Element, bool, int, bool]]:
    """Yield what the kernels for some pairs are made for."""
    layouts = ((True, 0), (True, 1), *((True, n) for n in scatter_plan.INTERLEAVED), (False, 0))
    for pair, (dense, apart), inside in itertools.product(pairs, layouts, (True, False)):
        yield pair, dense, apart, inside


LAYOUTS = {"dense": True, "strided": False}


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
    first_innermost: bool = False
    """Whether the first spatial axis lies innermost in memory, instead of the last."""

    @property
    def axes(self) -> list[scatter.Axis]:
        """The window, as the engine takes it."""
        w = self.window
        return [scatter.Axis(s, d, p[0]) for s, d, p in zip(w.stride, w.dilation, w.padding, strict=True)]


def empty(case: Sum, rooms: tuple[Room, Room] = (heap, heap)) -> tuple[Array, Array, list[Array]]:
    """Return the image and the matrix of a case, with canonical axes, and the blocks that they lie in."""
    lead, w = (case.batch, case.channels), case.window
    k = len(w.kernel_size)
    spatial = list(range(k))[:: -1 if case.first_innermost else 1]
    kernel, output = ([start + i for i in spatial] for start in (2, 2 + k))
    # Values that are not dense: a patch is a row. Pixels that are not dense: every second one, and backwards.
    matrix_shape = (*lead, *w.kernel_size, *w.output_shape)
    order = (0, 1, *kernel, *output) if case.dense_values else (0, *output, 1, *kernel)
    total, value = np.dtype(case.total), np.dtype(case.value)
    image_room, matrix_room = rooms
    values = matrix_room(int(np.prod(matrix_shape)) * value.itemsize)
    matrix = values.view(value).reshape([matrix_shape[axis] for axis in order]).transpose(np.argsort(order))
    image_shape = (*lead, *w.spatial_shape)
    step = 1 if case.dense_pixels else 2
    pixels = image_room((int(np.prod(image_shape)) * step - step + 1) * total.itemsize)
    inside = dense_strides((0, 1, *kernel), image_shape, total.itemsize)
    if case.dense_pixels:
        image: Array = np.ndarray(image_shape, total, pixels, 0, inside)
    else:
        strides = tuple(-2 * each for each in inside)
        image = np.ndarray(image_shape, total, pixels, pixels.size - total.itemsize, strides)
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
    if matrix.dtype.kind == "c":
        random_values(matrix.real, seed)
        random_values(matrix.imag, seed + 1)
    elif matrix.dtype.kind == "f":
        matrix[...] = rng.standard_normal(matrix.shape) * 10.0 ** rng.integers(-3, 4, matrix.shape)
    elif matrix.dtype.kind == "b":
        matrix[...] = rng.integers(0, 2, matrix.shape)
    else:
        limits = np.iinfo(matrix.dtype)
        matrix[...] = rng.integers(limits.min, limits.max, matrix.shape, matrix.dtype, endpoint=True)


def assert_sums(
    case: Sum, *, threads: int = 1, rooms: tuple[Room, Room] = (heap, heap), expected: Array | None = None
) -> list[str]:
    """Assert that the engine sums what loops sum, to the bit, by every nest that there is, and touches no other byte.

    Returns the names of the kernels that did it.
    """
    image, matrix, blocks = empty(case, rooms)
    random_values(matrix)
    before = matrix.tobytes()
    wanted = by_loops(case, matrix) if expected is None else expected
    numbers = scatter._element(image.dtype, matrix.dtype)
    assert numbers is not None
    walks = scatter._walks(image, matrix, case.axes)
    chosen = scatter_costs.plan_sum(walks, image.itemsize, matrix.itemsize)
    names = []
    for plan in scatter_plan.nests(walks, image.itemsize, matrix.itemsize):
        kernel = scatter._kernel(plan, *numbers)
        function = compiler.load(kernel)
        assert function is not None
        blocks[0][:] = UNWRITTEN
        if plan == chosen:
            assert scatter.sum_windows(image, matrix, case.axes, threads)
        else:
            for part in scatter.parts_of(plan, threads):
                part.run(function, address(image), address(matrix))
        np.testing.assert_array_equal(image, wanted, strict=True, err_msg=str((case, plan)))
        assert image.tobytes() == wanted.tobytes(), (case, plan)
        assert matrix.tobytes() == before, (case, plan)
        assert all(map(is_fenced, blocks)), (case, plan)
        if not case.dense_pixels:  # the pixels between are not this image's
            between = blocks[0].view(case.total)[1::2].tobytes()
            assert between == bytes([UNWRITTEN]) * len(between), (case, plan)
        names.append(kernel.name)
    return names


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


def cases_of(total: str, value: str, widths: Sequence[int] = WIDTHS) -> list[Sum]:
    """Return sums of every width, dense or strided on both sides, for a pair of element types."""
    cases = []
    for dense_values, dense_pixels in itertools.product((True, False), (True, False)):
        for n in widths:
            over = window((2, n), (2, min(3, n)), padding=((1, 0), (0, 1)))
            cases.append(Sum(over, total, value, dense_values, dense_pixels))
        for n in widths[::4]:
            # Here the first axis is wide, whose taps change faster than those of the other axis.
            over = window((n, 2), (min(3, n), 2), padding=((1, 0), (0, 1)))
            cases.append(Sum(over, total, value, dense_values, dense_pixels, first_innermost=True))
    # Two to four phases, which are stored together; and five, of which one has no tap.
    for stride in (2, 3, 4, 5):
        cases += [Sum(window((3, n), (2, 4), (1, stride), 1), total, value) for n in (7, 77, 64 * stride + 5)]
        cases += [Sum(window((n, 3), (4, 2), (stride, 1), 1), total, value, first_innermost=True) for n in (77,)]
    return cases


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
    "frames": window((150,), (32,), 8),
    "frames that do not divide": window((203,), (50,), 16, ((5, 9),)),
    "frames with gaps": window((150,), (20,), 33),
    "frames, dilated": window((150,), (20,), 6, 2, 4),
    "a window wider than its stops": window((70,), (64,), 1, 1),
    "tall": window((90, 3), (5, 2), 1, ((2, 0), (0, 1))),
    "tall, one position across": window((60, 3), (5, 3), (2, 1)),
    "tall, two windows wider than their stops": window((40, 9), (31, 8)),
}


def numpy_fold(columns: Array, shape: Window, dtype: np.dtype[Any]) -> Array:
    """Return what `fold` makes without the engine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scatter, "_WORTH_A_CALL", NEVER)
        return engine_fold(columns, shape, dtype)


def engine_fold(columns: Array, shape: Window, dtype: np.dtype[Any], threads: int = 1) -> Array:
    """Return what `fold` makes as things are."""
    out = np.full((*columns.shape[:2], *shape.spatial_shape), 77, dtype)
    lead = (len(columns), columns.shape[1])
    fold.Fold(lead, geometry(shape), columns.dtype, dtype, "constant", "sum").run(out, columns, threads)
    return out


def sum_against_forbidden_pages(pairs: Iterable[Element], windows: Iterable[Window]) -> None:
    """Make sums where a byte too much is the end of the process; what is being summed stands on stdout."""
    for threshold in THRESHOLDS:
        setattr(scatter, threshold, 1)
    flags = (True, False)
    every = [case for pair in pairs for case in cases_of(*PAIRS[pair], WIDTHS if pair.value == "f4" else WIDTHS[::5])]
    every += [Sum(each, "f4", "f4", v, p, batch=2) for each, v, p in itertools.product(windows, flags, flags)]
    both_ends = list(pairs_of_rooms(64 * PAGE))
    for case in every:
        sys.stdout.write(f"{case}\n")
        sys.stdout.flush()
        _, matrix, _ = empty(case)
        random_values(matrix)
        expected = numpy_fold(matrix, case.window, np.dtype(case.total))
        for rooms in both_ends:
            assert_sums(case, rooms=rooms, expected=expected)
    sys.stdout.write("every byte in its place\n")
