"""`col2im` and `overlap_count`: the way back, against plain loops and torch, exactly over integers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from im2col import col2im, im2col, overlap_count
from im2col.engine import host
from im2col.engine.scatter import Axis
from im2col.errors import (
    ArgumentError,
    DTypeError,
    GeometryError,
    LayoutError,
    MemoryBudgetError,
    OutputError,
    ShapeError,
)
from im2col.matrix.regions import regions

from .kit import oracles
from .kit.outcomes import raises_exactly, require, unknown_mode
from .kit.strategies import (
    DTYPES,
    MEMORY_ORDERS,
    PADDING_MODES,
    Case,
    cases,
    dtypes,
    geometry,
    memory_orders,
    numbers,
    seeds,
    windows,
)

if TYPE_CHECKING:
    from collections.abc import Callable

Array = np.ndarray[Any, Any]

INTEGERS = np.dtype(np.int64)
integers = st.just(INTEGERS)


def columns_of(case: Case, seed: int, dtype: np.dtype[Any] | None = None) -> Array:
    """Return a column matrix of small integers for `case`, which is no image's."""
    shape = oracles.im2col(np.zeros(case.shape, np.int8), case.layout, case.window, **case.order).shape
    return numbers(shape, case.x.dtype.newbyteorder("=") if dtype is None else dtype, seed)


def expected_fold(columns: Array, case: Case, reduce: str) -> Array:
    """Return what plain loops make of `columns`, in Python numbers."""
    return oracles.col2im(columns, case.shape, case.layout, case.window, reduce=reduce, **case.order)


@pytest.mark.usefixtures("every_path")
@given(cases(), memory_orders(), seeds())
def test_the_sum_is_the_definition(case: Case, memory: str, seed: int) -> None:
    """Any window, layout, dtype and memory order: each pixel is the sum of its copies, in np.sum's dtype."""
    columns = columns_of(case, seed)
    result = col2im(MEMORY_ORDERS[memory](columns), case.shape, **case.arguments)
    dtype = columns.dtype if columns.dtype.kind in "fcV" else np.sum(columns).dtype
    assert result.dtype == dtype
    assert result.dtype.isnative
    np.testing.assert_array_equal(result, expected_fold(columns, case, "sum").astype(dtype))


@pytest.mark.usefixtures("every_path")
@given(cases(), memory_orders(), seeds())
def test_the_mean_is_the_definition(case: Case, memory: str, seed: int) -> None:
    """Each pixel is the mean of its copies in their own dtype, rounded down for integers."""
    columns = columns_of(case, seed)
    result = col2im(MEMORY_ORDERS[memory](columns), case.shape, **case.arguments, reduce="mean")
    expected = expected_fold(columns, case, "mean").astype(columns.dtype)
    assert result.dtype == columns.dtype
    assert result.dtype.isnative
    if columns.dtype.kind == "c":  # NumPy divides complex numbers through a reciprocal: two roundings
        np.testing.assert_allclose(result, expected, rtol=2 * float(np.finfo(columns.dtype).eps))
    else:
        np.testing.assert_array_equal(result, expected)


@pytest.mark.usefixtures("every_path")
@given(cases(dtype=integers), seeds())
def test_col2im_is_the_adjoint(case: Case, seed: int) -> None:
    """``<im2col(x), y> == <x, col2im(y)>`` over integers, exactly."""
    matrix = im2col(case.x, **case.arguments)
    y = numbers(matrix.shape, INTEGERS, seed)
    assert int((matrix * y).sum()) == int((case.x * col2im(y, case.shape, **case.arguments)).sum())


@given(cases())
def test_the_mean_gives_back_every_covered_pixel(case: Case) -> None:
    """``col2im(im2col(x), reduce="mean")`` is x where a window covers it, and 0 elsewhere."""
    result = col2im(im2col(case.x, **case.arguments), case.shape, **case.arguments, reduce="mean")
    spatial = {axis: i for i, axis in enumerate(a for a in case.layout if a not in "NC")}
    covered = oracles.overlap_count(case.window, case.mode) > 0
    here = covered[tuple(slice(None) if a in spatial else None for a in sorted(case.layout, key=case.layout.index))]
    expected = np.where(here, case.x, np.zeros((), case.x.dtype))
    if case.x.dtype.kind == "c":
        np.testing.assert_allclose(result, expected, rtol=2 * float(np.finfo(result.dtype).eps))
    else:
        np.testing.assert_array_equal(result, expected)


@pytest.mark.usefixtures("every_path")
@given(cases(dtypes().filter(lambda dtype: dtype.char not in "gG")), st.integers(1, 5), seeds())
def test_threads_change_nothing(case: Case, threads: int, seed: int) -> None:
    """The same bits with any number of threads; long doubles are left out, six bytes of which mean nothing."""
    columns = columns_of(case, seed)
    one = col2im(columns, case.shape, **case.arguments, threads=1)
    assert col2im(columns, case.shape, **case.arguments, threads=threads).tobytes() == one.tobytes()


@pytest.mark.usefixtures("every_path")
@given(cases(), memory_orders().filter(lambda order: order not in {"read-only", "swapped"}), seeds())
@pytest.mark.parametrize("reduce", ["sum", "mean"])
def test_col2im_writes_to_out(reduce: Any, case: Case, memory: str, seed: int) -> None:
    """`out` of any strides holds the result and is returned; what it held before does not matter."""
    columns = columns_of(case, seed)
    expected = col2im(columns, case.shape, **case.arguments, reduce=reduce)
    out = MEMORY_ORDERS[memory](np.full(case.shape, True, expected.dtype))
    assert col2im(columns, case.shape, **case.arguments, reduce=reduce, out=out) is out
    np.testing.assert_array_equal(out, expected)


@given(cases(dtype=integers))
def test_overlap_count_counts(case: Case) -> None:
    """As often as plain loops read each pixel, which is also the fold of a matrix of ones."""
    window = {k: v for k, v in case.arguments.items() if k not in {"orientation", "tap_order"}}
    result = overlap_count(case.shape, **window)
    assert result.dtype == np.int64
    np.testing.assert_array_equal(result, oracles.overlap_count(case.window, case.mode))


def test_overlap_count_of_the_textbook() -> None:
    """A 3×3 window over 4×4 pixels; gaps between distant windows; pixels that no window reaches."""
    assert overlap_count((4, 4), 3).tolist() == [[1, 2, 2, 1], [2, 4, 4, 2], [2, 4, 4, 2], [1, 2, 2, 1]]
    assert overlap_count((7,), (2,), stride=3).tolist() == [1, 1, 0, 1, 1, 0, 0]
    assert overlap_count((3,), (2,), padding=((4, 0),), padding_mode="edge").tolist() == [9, 2, 1]


@given(windows())
def test_regions_are_the_pixels_on_the_image(window: oracles.Window) -> None:
    """All regions together visit each entry of the matrix that lies on the image once, with its pixel, tap by tap."""
    g = geometry(window)
    pixels = np.arange(math.prod(g.spatial_shape)).reshape(1, 1, *g.spatial_shape)
    entries = np.arange(g.taps * g.positions).reshape(1, 1, *g.kernel_size, *g.output_shape)
    axes = [Axis(*axis) for axis in zip(g.stride, g.dilation, [before for before, _ in g.padding], strict=True)]
    seen: dict[int, list[int]] = {}
    count = 0
    for region in regions(pixels.shape, entries, axes):
        assert region.entries.shape == pixels[region.pixels].shape
        count += 1
        for entry, pixel in zip(region.entries.flat, pixels[region.pixels].flat, strict=True):
            seen.setdefault(int(pixel), []).append(int(entry))
    expected: dict[int, list[tuple[Any, int]]] = {}
    for tap, position in np.ndindex(g.taps, g.positions):
        pixel = g.pixel(position, tap)
        if all(0 <= i < n for i, n in zip(pixel, g.spatial_shape, strict=True)):
            place = np.unravel_index(tap, g.kernel_size)
            order = (place[-1], *place[:-1])
            number = int(np.ravel_multi_index(pixel, g.spatial_shape))
            expected.setdefault(number, []).append((order, tap * g.positions + position))
    assert seen == {pixel: [entry for _, entry in sorted(each)] for pixel, each in expected.items()}
    assert count <= math.prod(map(min, g.kernel_size, g.output_shape))


# Numbers


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_result_dtypes(dtype: np.dtype[Any]) -> None:
    """Sums have np.sum's dtype (bfloat16 keeps its own), means the columns'."""
    columns = numbers((4, 4), dtype, seed=0)
    assert col2im(columns, (3, 3), 2).dtype == (dtype if dtype.kind in "fcV" else np.sum(columns).dtype)
    assert col2im(columns, (3, 3), 2, reduce="mean").dtype == dtype


@pytest.mark.parametrize("mode", PADDING_MODES)
@pytest.mark.parametrize(
    ("dtype", "value"),
    [("int64", 2**63 - 1), ("int64", -(2**63)), ("uint64", 2**64 - 1), ("int8", -128), ("uint32", 2**32 - 1)],
)
def test_means_of_integers_do_not_overflow(mode: Any, dtype: str, value: int) -> None:
    """The ends of the integers come back from a mean of many copies."""
    x = np.full((3, 4), value, dtype)
    x[1, 2] = 5
    padding = ((2, 4), (3, 1))
    matrix = im2col(x, 3, padding=padding, padding_mode=mode)
    result = col2im(matrix, x.shape, 3, padding=padding, padding_mode=mode, reduce="mean")
    np.testing.assert_array_equal(result, x)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=4, max_size=4))
def test_means_of_large_integers_are_exact(copies: list[int]) -> None:
    """Four copies of one pixel that differ: the mean of the unbounded integers, rounded down."""
    columns = np.zeros((4, 4), np.int64)
    columns[range(4), [3, 2, 1, 0]] = copies  # the middle pixel of 3×3 is tap 3 of position 0, tap 2 of position 1…
    assert col2im(columns, (3, 3), 2, reduce="mean")[1, 1] == sum(copies) // 4


def test_sums_of_integers_wrap() -> None:
    """Like NumPy's sums, silently."""
    columns = np.full((4, 4), 2**62, np.int64)
    assert col2im(columns, (3, 3), 2)[1, 1] == 0
    assert col2im(np.full((4, 4), 200, np.uint8), (3, 3), 2)[1, 1] == 800


def test_means_of_booleans() -> None:
    """True where all copies are, as integers rounded down."""
    columns = np.ones((4, 4), bool)
    columns[3, 0] = False
    assert col2im(columns, (3, 3), 2, reduce="mean").tolist() == [[True] * 3, [True, False, True], [True] * 3]


@pytest.mark.parametrize("dtype", ["<f2", ">f2", "bfloat16"])
def test_small_floats_accumulate_in_float32(dtype: str) -> None:
    """A sum of 3000 ones is 3000, where float16 itself would stop at 2048 and bfloat16 at 256."""
    columns = np.ones((3000, 3000), dtype)
    middle = col2im(columns, (1, 5999), (1, 3000))[0, 2999]
    assert middle == np.array(3000).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("reduce", ["sum", "mean"])
def test_infinity_stays_infinity(dtype: str, reduce: Any) -> None:
    """An infinite pixel comes back infinite, without a NaN in it or beside it."""
    x = np.ones((5, 5), dtype)
    x[2, 2] = np.inf
    result = col2im(im2col(x, 3), x.shape, 3, reduce=reduce)
    expected = col2im(im2col(np.ones((5, 5), dtype), 3), x.shape, 3, reduce=reduce)
    expected[2, 2] = np.inf
    np.testing.assert_array_equal(result, expected)


def test_a_bad_copy_stays_in_its_pixel() -> None:
    """A NaN in the matrix reaches one pixel."""
    columns = np.ones((9, 9))
    columns[4, 0] = np.nan
    assert np.argwhere(np.isnan(col2im(columns, (5, 5), 3))).tolist() == [[1, 1]]


@pytest.mark.parametrize("shape", [(0, 3, 5, 5), (2, 0, 5, 5)])
@pytest.mark.parametrize("reduce", ["sum", "mean"])
def test_nothing_in_nothing_out(shape: tuple[int, ...], reduce: Any) -> None:
    """No images or no channels make an empty image, into `out` too."""
    columns = np.zeros((shape[0], 9, 9 * shape[1]))
    out = np.empty(shape)
    assert col2im(columns, shape, 3, reduce=reduce).shape == shape
    assert col2im(columns, shape, 3, reduce=reduce, out=out) is out


# Other libraries. Each check runs twice: as it is, and with a bug planted in our code, which it must notice.


def check_plain_loops() -> None:
    """Compare a fold that uses everything with the plain loops."""
    window = oracles.Window((6, 7), (2, 3), (2, 1), ((1, 0), (2, 3)), (3, 2))
    columns = numbers((2, 16, 18), INTEGERS, seed=4)
    arguments: dict[str, Any] = {"stride": (2, 1), "padding": window.padding, "dilation": (3, 2), "layout": "NHWC"}
    result = col2im(columns, (2, 6, 7, 3), (2, 3), **arguments)
    np.testing.assert_array_equal(result, oracles.col2im(columns, (2, 6, 7, 3), "NHWC", window).astype(int))


def check_counting() -> None:
    """Compare the overlap with counting."""
    window = oracles.Window((6, 7), (2, 3), (2, 1), ((1, 0), (2, 3)), (3, 2))
    result = overlap_count((6, 7), (2, 3), stride=(2, 1), padding=((1, 0), (2, 3)), dilation=(3, 2))
    np.testing.assert_array_equal(result, oracles.overlap_count(window))


def check_torch_fold() -> None:
    """Compare with ``torch.nn.functional.fold``, as the docstring maps it."""
    torch = require("torch")
    window: dict[str, Any] = {"stride": (2, 3), "padding": (1, 2), "dilation": (3, 2)}
    columns = numbers((2, 3 * 6, 4 * 3), np.dtype(np.float32), seed=5)
    expected = torch.nn.functional.fold(torch.from_numpy(columns), (8, 9), (2, 3), **window).numpy()
    result = col2im(columns, (2, 3, 8, 9), (2, 3), orientation="columns", **window)
    np.testing.assert_array_equal(result, expected)


def check_matlab() -> None:
    """Compare with MATLAB's distinct col2im, as the docstring maps it: it undoes im2col."""
    image = numbers((6, 8), INTEGERS, seed=6)
    m, n = 3, 2
    b = oracles.matlab_im2col(image, (m, n), "distinct")
    back = col2im(b, image.shape[::-1], (n, m), stride=(n, m), orientation="columns").T
    np.testing.assert_array_equal(back, image)


def backwards(columns: Array, image_shape: Any, kernel_size: Any, **arguments: Any) -> Array:
    """Plant a bug in col2im: the taps of each patch are taken backwards."""
    taps = -2 if arguments.get("orientation") == "columns" else -1
    return original_col2im(np.flip(columns, taps), image_shape, kernel_size, **arguments)


def one_more(*arguments: Any, **keywords: Any) -> Array:
    """Plant a bug in overlap_count: each pixel is counted once too often."""
    return original_overlap_count(*arguments, **keywords) + 1


original_col2im, original_overlap_count = col2im, overlap_count
CHECKS = [check_plain_loops, check_counting, pytest.param(check_torch_fold, marks=pytest.mark.wide), check_matlab]


@pytest.mark.parametrize("check", CHECKS)
def test_other_libraries_agree(check: Callable[[], None]) -> None:
    """Every oracle gives our image."""
    check()


@pytest.mark.parametrize("check", CHECKS)
def test_every_oracle_notices_a_planted_bug(check: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every oracle fails when taps are folded backwards, or pixels are counted wrongly."""
    monkeypatch.setitem(globals(), "col2im", backwards)
    monkeypatch.setitem(globals(), "overlap_count", one_more)
    with pytest.raises(AssertionError, match="Arrays are not equal"):
        check()


# What is refused

COLUMNS = np.zeros((9, 9))
WRONG: list[tuple[type[Exception], Any, Any, dict[str, Any], str]] = [
    (
        GeometryError,
        (5, 2),
        3,
        {},
        "the kernel spans 3 pixels (size 3, dilation 1) but axis W of the padded image has 2; pad by at least 1 on "
        "each side or use a smaller kernel",
    ),
    (GeometryError, (5, 5), 3, {"stride": 0}, "stride must be at least 1, got 0"),
    (GeometryError, (5, 5), 3, {"dilation": -1}, "dilation must be at least 1, got -1"),
    (GeometryError, (5, 5), (3, 0), {}, "kernel_size must be at least 1, got 0"),
    (
        GeometryError,
        (5, 5),
        3,
        {"padding": (1, (1, 2, 3))},
        "an entry of padding must be an integer or a (before, after) pair, got (1, 2, 3)",
    ),
    (
        ArgumentError,
        (5, 5),
        3,
        {"padding_mode": "mirror"},
        unknown_mode("mirror"),
    ),
    (ArgumentError, 25, 3, {}, "image_shape must be a tuple of integers, got 25"),
    (GeometryError, (5, -5), 3, {}, "an entry of image_shape must be at least 0, got -5"),
    (LayoutError, (5, 5), 3, {"layout": "HWC"}, "layout 'HWC' names 3 axes but the image has 2; name each axis once"),
    (
        LayoutError,
        (5, 5, 5, 5, 5),
        3,
        {},
        "kernel_size=3 means two spatial axes, of an image of 2, 3 (with channels) or 4 (with a batch) axes, got an "
        "array of 5; give one size an axis, as in kernel_size=(3, 3, 3), or name the axes with layout=",
    ),
]


@pytest.mark.parametrize(("error", "shape", "kernel", "arguments", "message"), WRONG)
def test_overlap_count_refuses(
    error: type[Exception], shape: Any, kernel: Any, arguments: dict[str, Any], message: str
) -> None:
    """Wrong shapes and windows, in the name of overlap_count."""
    with raises_exactly(error, f"overlap_count: {message}"):
        overlap_count(shape, kernel, **arguments)


@pytest.mark.parametrize(
    ("error", "shape", "kernel", "arguments", "message"),
    [row for row in WRONG if "padding_mode" not in row[3]],  # col2im checks the columns first
)
def test_col2im_refuses(
    error: type[Exception], shape: Any, kernel: Any, arguments: dict[str, Any], message: str
) -> None:
    """Wrong shapes and windows, in the name of col2im."""
    with raises_exactly(error, f"col2im: {message}"):
        col2im(COLUMNS, shape, kernel, **arguments)


@pytest.mark.parametrize(
    ("error", "columns", "arguments", "message"),
    [
        (
            ShapeError,
            np.zeros((9, 8)),
            {},
            "columns has shape (9, 8) but an image (5, 5) with these windows has the column matrix (9, 9) (rows, "
            "channel-first); check image_shape, orientation and the window",
        ),
        (
            ShapeError,
            COLUMNS,
            {"stride": 2, "orientation": "columns", "tap_order": "channel-last"},
            "columns has shape (9, 9) but an image (5, 5) with these windows has the column matrix (9, 4) (columns, "
            "channel-last); check image_shape, orientation and the window",
        ),
        (
            DTypeError,
            np.full((9, 9), "a"),
            {},
            "columns has dtype <U1, which is not a number; convert it first, as in np.asarray(columns, float)",
        ),
        (
            DTypeError,
            np.ma.masked_array(COLUMNS),
            {},
            "columns is a masked array, whose mask would be lost; fill it first, as in columns.filled(0)",
        ),
        (ArgumentError, COLUMNS, {"reduce": "max"}, "reduce must be 'sum' or 'mean', got 'max'"),
        (ArgumentError, COLUMNS, {"orientation": "cols"}, "orientation must be 'rows' or 'columns', got 'cols'"),
        (
            ArgumentError,
            COLUMNS,
            {"tap_order": "channels"},
            "tap_order must be 'channel-first' or 'channel-last', got 'channels'",
        ),
        (
            ArgumentError,
            COLUMNS,
            {"padding_mode": "nearest"},
            unknown_mode("nearest"),
        ),
        (ArgumentError, COLUMNS, {"threads": 0}, "threads must be a positive integer or None, got 0"),
        (
            OutputError,
            COLUMNS,
            {"out": np.empty((5, 4))},
            "out has shape (5, 4) but the result has (5, 5); pass np.empty((5, 5), 'float64')",
        ),
        (
            OutputError,
            COLUMNS.astype(np.int8),
            {"out": np.empty((5, 5), np.int8)},
            "out has dtype int8 but the result has int64; pass np.empty((5, 5), 'int64')",
        ),
        (
            OutputError,
            COLUMNS,
            {"out": COLUMNS.ravel()[:25].reshape(5, 5)},
            "out shares memory with an input, which would be overwritten while it is read; pass another array",
        ),
        (
            OutputError,
            COLUMNS,
            {"out": np.lib.stride_tricks.as_strided(np.empty(9), (5, 5), (8, 8))},
            "out has elements that share memory; pass np.empty of the result's shape",
        ),
    ],
)
def test_col2im_refuses_columns_and_options(
    error: type[Exception], columns: Any, arguments: dict[str, Any], message: str
) -> None:
    """Wrong columns, options and outputs."""
    with raises_exactly(error, f"col2im: {message}"):
        col2im(columns, (5, 5), 3, **arguments)


def test_results_that_would_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is allocated, with the size and the way out."""
    monkeypatch.setattr(host, "available_memory", lambda: 60 << 20)
    columns = np.broadcast_to(np.int8(1), (9000 * 9000, 1))
    message = (
        "col2im: the image (9000, 9000) of int64 would take 618.0 MiB but 60.0 MiB are available; fold it in parts"
    )
    with raises_exactly(MemoryBudgetError, message):
        col2im(columns, (9000, 9000), 1)
    message = (
        "overlap_count: the counts (9000, 9000) of int64 would take 618.0 MiB, and 140.6 KiB more beside it, but "
        "60.0 MiB are available; ask for one axis at a time"
    )
    with raises_exactly(MemoryBudgetError, message):
        overlap_count((9000, 9000), 3)
    message = (
        "overlap_count: the counts along the padded axes (20000002, 3) of int64 would take 152.6 MiB, and 48 B more "
        "beside it, but 60.0 MiB are available; use less padding"
    )
    with raises_exactly(MemoryBudgetError, message):
        overlap_count((2, 3), 1, padding=(10_000_000, 0))
