"""`im2col`, `patches`, `weight_matrix` and `output_shape` against plain loops and against other libraries."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st

from im2col import col2im, conv2d, im2col, output_shape, patches, weight_matrix
from im2col.engine import host
from im2col.errors import (
    ArgumentError,
    DTypeError,
    GeometryError,
    LayoutError,
    MemoryBudgetError,
    OutputError,
    ShapeError,
)

from .kit import oracles
from .kit.outcomes import raises_exactly, require, unknown_mode
from .kit.strategies import (
    DTYPES,
    EVERY_2D_LAYOUT,
    MEMORY_ORDERS,
    ORIENTATIONS,
    PADDING_MODES,
    TAP_ORDERS,
    Case,
    cases,
    memory_orders,
    numbers,
    seeds,
    windows,
)

if TYPE_CHECKING:
    from collections.abc import Callable

INTEGERS = np.dtype(np.int64)
floats = st.just(np.dtype(np.float64))
plain = st.just("C")


def assert_is_the_matrix(result: np.ndarray[Any, Any], case: Case) -> None:
    """Assert that `result` is the column matrix of `case`, in the image's dtype and native byte order."""
    np.testing.assert_array_equal(
        result, oracles.im2col(case.x, case.layout, case.window, value=case.value, **case.order)
    )
    assert result.dtype == case.x.dtype.newbyteorder("=")
    assert result.dtype.isnative


@pytest.mark.usefixtures("every_path")
@given(cases())
def test_im2col_is_the_definition(case: Case) -> None:
    """Any window, layout, dtype, memory order, padding and order of taps gives what plain loops give."""
    assert_is_the_matrix(im2col(case.x, **case.arguments, padding_value=case.value), case)


@given(cases())
def test_patches_flatten_to_the_matrix(case: Case) -> None:
    """The patches, flattened, are the column matrix; they are read-only."""
    view = patches(case.x, **case.arguments, padding_value=case.value)
    expected = oracles.im2col(case.x, case.layout, case.window, value=case.value, **case.order)
    np.testing.assert_array_equal(view.reshape(expected.shape), expected)
    assert not view.flags.writeable
    assert view.dtype.newbyteorder("=") == case.x.dtype.newbyteorder("=")


@given(cases())
def test_patches_have_the_axes_of_the_matrix_unflattened(case: Case) -> None:
    """(N, *output, C, *kernel), in the tap order and orientation asked for, without the axes that x lacks."""
    channels = case.shape[case.layout.index("C") : case.layout.index("C") + 1] if "C" in case.layout else ()
    batch = case.shape[case.layout.index("N") : case.layout.index("N") + 1] if "N" in case.layout else ()
    kernel, output = case.window.kernel_size, case.window.output_shape
    taps = (*channels, *kernel) if case.order["tap_order"] == "channel-first" else (*kernel, *channels)
    expected = (*output, *taps) if case.order["orientation"] == "rows" else (*taps, *output)
    assert patches(case.x, **case.arguments).shape == (*batch, *expected)


@given(cases(padded=False))
def test_patches_are_a_view(case: Case) -> None:
    """Without padding no memory order is copied: the view shows what is written to the image afterwards."""
    view = patches(case.x, **case.arguments, copy=False)
    assert view.dtype == case.x.dtype
    if view.size:
        assert np.shares_memory(view, case.x)
    if case.x.flags.writeable:
        case.x[...] = numbers(case.shape, case.x.dtype, seed=7)
        np.testing.assert_array_equal(
            view.reshape(im2col(case.x, **case.arguments).shape), im2col(case.x, **case.arguments)
        )


def test_patches_match_numpy() -> None:
    """Without stride, dilation and padding they are NumPy's own sliding windows."""
    x = np.arange(2 * 5 * 6).reshape(2, 5, 6)
    np.testing.assert_array_equal(patches(x[0], (2, 3)), np.lib.stride_tricks.sliding_window_view(x[0], (2, 3)))
    whole = patches(x, (2, 2, 3), stride=1, layout="DHW")
    np.testing.assert_array_equal(whole, np.lib.stride_tricks.sliding_window_view(x, (2, 2, 3)))


@pytest.mark.usefixtures("every_path")
@pytest.mark.parametrize("layout", EVERY_2D_LAYOUT)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("tap_order", TAP_ORDERS)
def test_every_layout(layout: str, orientation: Any, tap_order: Any) -> None:
    """Every order of the axes of an image, in both orientations and tap orders, with uneven everything."""
    lengths = {"N": 2, "C": 3, "H": 5, "W": 7}
    x = numbers(tuple(lengths[a] for a in layout), INTEGERS, seed=1)
    order = {a: lengths[a] for a in layout if a in "HW"}
    by_axis = {"H": (2, 1, (0, 1), 2), "W": (3, 2, (2, 0), 1)}
    kernel, stride, padding, dilation = zip(*(by_axis[a] for a in order), strict=True)
    window = oracles.Window(tuple(order.values()), kernel, stride, padding, dilation)
    result = im2col(
        x,
        kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        layout=layout,
        orientation=orientation,
        tap_order=tap_order,
    )
    expected = oracles.im2col(x, layout, window, orientation=orientation, tap_order=tap_order)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.usefixtures("every_path")
@pytest.mark.parametrize("mode", PADDING_MODES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_padding_mode_and_dtype(mode: Any, dtype: np.dtype[Any]) -> None:
    """Padding on one side more than the image is long, in every mode, for every dtype."""
    x = numbers((2, 3, 4), dtype, seed=2)
    window = oracles.Window((3, 4), (2, 3), (1, 2), ((5, 1), (0, 7)), (2, 1))
    result = im2col(
        x,
        (2, 3),
        stride=(1, 2),
        dilation=(2, 1),
        padding=window.padding,
        padding_mode=mode,
        padding_value=1,
        tap_order="channel-last",
    )
    expected = oracles.im2col(x, "CHW", window, mode=mode, value=1, tap_order="channel-last")
    np.testing.assert_array_equal(result, expected)


def test_the_steps_of_the_article() -> None:
    """The smallest example: a patch a row, patches in row-major order, channels side by side."""
    x = np.arange(9).reshape(3, 3)
    rows = [[0, 1, 3, 4], [1, 2, 4, 5], [3, 4, 6, 7], [4, 5, 7, 8]]
    assert im2col(x, 2).tolist() == rows
    assert im2col(x, 2, orientation="columns").tolist() == np.transpose(rows).tolist()
    two = im2col([x, x + 10], 2)
    assert two.tolist() == [row + [v + 10 for v in row] for row in rows]
    last = im2col([x, x + 10], 2, tap_order="channel-last")
    assert last[0].tolist() == [0, 10, 1, 11, 3, 13, 4, 14]


def test_lists_and_tensors_are_images(torch: Any) -> None:
    """What can be an array without a copy is an image too."""
    x = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(im2col(x.tolist(), 2), im2col(x, 2))
    tensor = torch.from_numpy(x)
    np.testing.assert_array_equal(im2col(tensor, 2), im2col(x, 2))
    assert np.shares_memory(patches(tensor, 2), x)


@pytest.mark.usefixtures("every_path")
@given(cases(), memory_orders().filter(lambda order: order not in {"read-only", "swapped"}))
def test_im2col_writes_to_out(case: Case, order: str) -> None:
    """`out` of any strides holds the result and is returned; nothing beside its elements is written."""
    expected = oracles.im2col(case.x, case.layout, case.window, value=case.value, **case.order)
    whole = MEMORY_ORDERS[order](numbers(expected.shape, expected.dtype, seed=3))
    assert im2col(case.x, **case.arguments, padding_value=case.value, out=whole) is whole
    np.testing.assert_array_equal(whole, expected)
    frame_around = np.ones([n + 2 for n in expected.shape], expected.dtype)
    inner = (slice(1, -1),) * expected.ndim
    im2col(case.x, **case.arguments, padding_value=case.value, out=frame_around[inner])
    np.testing.assert_array_equal(frame_around, np.pad(expected, 1, constant_values=1))


@pytest.mark.usefixtures("every_path")
@given(cases(), st.integers(1, 5))
def test_threads_change_nothing(case: Case, threads: int) -> None:
    """Any number of threads gives the same matrix."""
    assert_is_the_matrix(im2col(case.x, **case.arguments, padding_value=case.value, threads=threads), case)


@pytest.mark.parametrize("shape", [(0, 3, 5, 5), (2, 0, 5, 5), (0, 0, 5, 5)])
def test_nothing_in_nothing_out(shape: tuple[int, ...]) -> None:
    """No images or no channels make an empty matrix, into `out` too."""
    images, channels = shape[:2]
    expected = (images, 9, 9 * channels)
    assert im2col(np.zeros(shape), 3).shape == expected
    padded = im2col(np.zeros(shape), 3, padding=((2, 0), (0, 2)), padding_mode="reflect")
    assert padded.shape == (images, 25, 9 * channels)
    out = np.empty(expected)
    assert im2col(np.zeros(shape), 3, out=out) is out


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("padding", [0, 1])
def test_a_bad_pixel_stays_in_its_patches(poison: float, padding: int) -> None:
    """NaN and infinity reach the rows whose window covers them, and no other."""
    x = np.arange(49.0).reshape(7, 7)
    clean = im2col(x, 3, stride=2, padding=padding)
    covered = (im2col(np.arange(49).reshape(7, 7) == 24, 3, stride=2, padding=padding)).any(axis=1)
    x[3, 3] = poison
    result = im2col(x, 3, stride=2, padding=padding)
    assert (~np.isfinite(result)).any(axis=1).tolist() == covered.tolist()
    np.testing.assert_array_equal(result[~covered], clean[~covered])


def test_a_padding_value_of_any_kind() -> None:
    """NaN, infinities and complex numbers can stand in the padding."""
    x = np.ones((1, 1), np.complex64)
    corners = im2col(x, 2, padding=1, padding_value=2 - 3j)
    assert corners[0].tolist() == [2 - 3j, 2 - 3j, 2 - 3j, 1]
    assert np.isnan(im2col(x.real, 2, padding=1, padding_value=np.nan)).sum() == 12
    assert im2col(x.real, 2, padding=1, padding_value=-np.inf)[3].tolist() == [1, -np.inf, -np.inf, -np.inf]


# Other libraries. Each check runs twice: as it is, and with a bug planted in our code, which it must notice.


def check_plain_loops() -> None:
    """Compare a case that uses everything with the plain loops."""
    window = oracles.Window((6, 7), (2, 3), (2, 1), ((1, 0), (2, 3)), (3, 2))
    x = numbers((2, 6, 7, 3), INTEGERS, seed=4)
    result = im2col(x, (2, 3), stride=(2, 1), padding=((1, 0), (2, 3)), dilation=(3, 2), layout="NHWC")
    np.testing.assert_array_equal(result, oracles.im2col(x, "NHWC", window))


def check_torch_unfold() -> None:
    """Compare with ``torch.nn.functional.unfold``, as the docstring maps it."""
    torch = require("torch")
    x = numbers((2, 3, 8, 9), np.dtype(np.float32), seed=5)
    for padding, stride, dilation in itertools.product([0, (1, 2)], [1, (2, 3)], [1, (3, 2)]):
        keywords = {"padding": padding, "stride": stride, "dilation": dilation}
        expected = torch.nn.functional.unfold(torch.from_numpy(x), (2, 3), **keywords).numpy()
        result = im2col(x, (2, 3), orientation="columns", **keywords)  # type: ignore[arg-type]
        np.testing.assert_array_equal(result, expected)


def check_matlab() -> None:
    """Compare with MATLAB's documented function, sliding and distinct, as the docstring maps it."""
    image = numbers((7, 9), INTEGERS, seed=6)
    m, n = 3, 2
    sliding = im2col(image.T, (n, m), orientation="columns")
    np.testing.assert_array_equal(sliding, oracles.matlab_im2col(image, (m, n), "sliding"))
    distinct = im2col(image.T, (n, m), stride=(n, m), padding="multiple", orientation="columns")
    np.testing.assert_array_equal(distinct, oracles.matlab_im2col(image, (m, n), "distinct"))


def check_tensorflow() -> None:
    """Compare with ``tf.image.extract_patches``, as the docstring maps it."""
    x = numbers((2, 7, 8, 3), INTEGERS, seed=7)
    for padding, strides, rates in itertools.product(["VALID", "SAME"], [(1, 1), (2, 3)], [(1, 1), (2, 1)]):
        expected = oracles.extract_patches(x, (3, 2), strides, rates, padding)
        result = im2col(
            x,
            (3, 2),
            stride=strides,
            dilation=rates,
            padding=padding.lower(),  # type: ignore[arg-type]
            layout="NHWC",
            tap_order="channel-last",
        )
        np.testing.assert_array_equal(result.reshape(expected.shape), expected)


def check_scipy() -> None:
    """Compare the matrix product with SciPy's correlation, in every padding mode and fully."""
    x, w = numbers((6, 7), INTEGERS, seed=8), numbers((3, 5), INTEGERS, seed=9)
    names = {"constant": "constant", "edge": "nearest", "reflect": "mirror", "symmetric": "reflect", "wrap": "wrap"}
    for ours, theirs in names.items():
        result = im2col(x, (3, 5), padding="same", padding_mode=ours) @ w.ravel()  # type: ignore[arg-type]
        np.testing.assert_array_equal(result.reshape(x.shape), scipy.ndimage.correlate(x, w, mode=theirs))
    spread = np.zeros((5, 9), np.int64)
    spread[::2, ::2] = w
    dilated = im2col(x, (3, 5), padding="full", dilation=2) @ w.ravel()
    np.testing.assert_array_equal(dilated, scipy.signal.correlate(x, spread, "full", "direct").ravel())


def flipped(axis: int) -> Callable[..., Any]:
    """Plant a bug in im2col: the matrix's rows, or its columns, are in reverse order."""

    def planted(*arguments: Any, **keywords: Any) -> Any:
        return np.flip(original_im2col(*arguments, **keywords), axis)

    return planted


original_im2col = im2col
CHECKS = [
    check_plain_loops,
    pytest.param(check_torch_unfold, marks=pytest.mark.wide),
    check_matlab,
    check_tensorflow,
    check_scipy,
]


@pytest.mark.parametrize("check", CHECKS)
def test_other_libraries_agree(check: Callable[[], None]) -> None:
    """Every oracle gives our matrix."""
    check()


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("axis", [-1, -2])
def test_every_oracle_notices_a_planted_bug(
    check: Callable[[], None], axis: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every oracle fails when taps or positions are in the wrong order."""
    monkeypatch.setitem(globals(), "im2col", flipped(axis))
    with pytest.raises(AssertionError, match="Arrays are not equal"):
        check()


def test_matlab_documented_examples() -> None:
    """The examples and rules of MATLAB's page, in its own numbers."""
    a = np.linspace(0, 1, 16).reshape(4, 4)  # MATLAB: reshape(linspace(0,1,16),[4 4])'
    mean = im2col(a.T, 2, orientation="columns").mean(axis=0).reshape(3, 3).T  # col2im(mean(B), [1 1], [3 3])
    documented = [[0.1667, 0.2333, 0.3], [0.4333, 0.5, 0.5667], [0.7, 0.7667, 0.8333]]
    np.testing.assert_allclose(mean, documented, atol=5e-5)  # four decimals are printed
    blocks = np.array([[11, 12], [21, 22]])
    a = np.kron(blocks, np.ones((2, 3), int))  # A = [A11 A12; A21 A22]
    b = im2col(a.T, (3, 2), stride=(3, 2), orientation="columns")  # B = [A11(:) A21(:) A12(:) A22(:)]
    assert b.tolist() == [[11, 21, 12, 22]] * 6


def test_tensorflow_documented_example() -> None:
    """The numbers 1 to 100 in a square, as on the page of extract_patches: 3×3, stride 5, rates 1 and 2."""
    x = np.arange(1, 101).reshape(1, 10, 10, 1)
    near = im2col(x, 3, stride=5, layout="NHWC", tap_order="channel-last")[0]
    assert near[0].tolist() == [1, 2, 3, 11, 12, 13, 21, 22, 23]
    assert near[3].tolist() == [56, 57, 58, 66, 67, 68, 76, 77, 78]
    far = im2col(x, 3, stride=5, dilation=2, layout="NHWC", tap_order="channel-last")[0]
    assert far[1].tolist() == [6, 8, 10, 26, 28, 30, 46, 48, 50]


# weight_matrix


@given(windows(), st.integers(1, 3), st.integers(1, 2), st.integers(1, 2), seeds(), st.data())
def test_the_product_is_the_layer(
    window: oracles.Window, groups: int, channels: int, filters: int, seed: int, data: st.DataObject
) -> None:
    """``im2col(x) @ weight_matrix(w)`` is the convolution by plain loops, grouped or not, in every order."""
    x = numbers((groups * channels, *window.spatial_shape), INTEGERS, seed)
    w = numbers((groups * filters, channels, *window.kernel_size), INTEGERS, seed + 1)
    tap_order, orientation = data.draw(st.sampled_from(TAP_ORDERS)), data.draw(st.sampled_from(ORIENTATIONS))
    matrix = im2col(
        x,
        window.kernel_size,
        stride=window.stride,
        padding=window.padding,
        dilation=window.dilation,
        tap_order=tap_order,  # type: ignore[arg-type]
        orientation=orientation,  # type: ignore[arg-type]
    )
    weights = weight_matrix(w, tap_order=tap_order, orientation=orientation, groups=groups)  # type: ignore[arg-type]
    assert weights.flags.c_contiguous
    result = matrix @ weights if orientation == "rows" else (weights @ matrix).T
    np.testing.assert_array_equal(result, oracles.conv(x, w, window, groups))


def test_a_group_alone_is_a_slice_of_the_columns() -> None:
    """A group's columns, times the weight matrix of its own filters, are its outputs."""
    x, w = numbers((4, 5, 5), INTEGERS, seed=1), numbers((6, 2, 3, 3), INTEGERS, seed=2)
    whole = im2col(x, 3) @ weight_matrix(w, groups=2)
    np.testing.assert_array_equal(im2col(x, 3)[:, 18:] @ weight_matrix(w[3:]), whole[:, 3:])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("order", MEMORY_ORDERS)
def test_weight_matrix_of_every_dtype_and_memory_order(dtype: np.dtype[Any], order: str) -> None:
    """The filters side by side, as columns, in native byte order; the result owns its memory."""
    w = numbers((3, 2, 2, 4), dtype, seed=5)
    result = weight_matrix(MEMORY_ORDERS[order](w))
    np.testing.assert_array_equal(result, w.reshape(3, 16).T)
    assert result.dtype == dtype
    assert result.dtype.isnative
    assert not np.shares_memory(result, w)


def test_weight_matrix_of_no_filters() -> None:
    """No filters, or no channels, make an empty matrix."""
    assert weight_matrix(np.zeros((0, 2, 3, 3))).shape == (18, 0)
    assert weight_matrix(np.zeros((4, 0, 3))).shape == (0, 4)


# output_shape


@given(st.data())
def test_output_shape_counts_the_stops(data: st.DataObject) -> None:
    """`output_shape` counts the stops of a window over an image's spatial axes, whatever its layout."""
    case = data.draw(cases(dtype=floats, memory=plain))
    arguments = {k: v for k, v in case.arguments.items() if k not in case.order and k != "padding_mode"}
    assert output_shape(case.shape, **arguments) == case.window.output_shape


def test_output_shape_of_huge_images() -> None:
    """Shapes are Python integers: no image is too large."""
    assert output_shape((2**70, 9), 3, stride=2) == (2**69 - 1, 4)


# What is refused. These arguments are refused by every transform that takes them, in the same words.

IMAGE = np.zeros((2, 3, 6, 5))
NAMES = "('valid', 'same', 'same_lower', 'full', 'causal', 'multiple')"
WRONG_WINDOWS: list[tuple[type[Exception], Any, dict[str, Any], str]] = [
    (
        GeometryError,
        7,
        {},
        "the kernel spans 7 pixels (size 7, dilation 1) but axis H of the padded image has 6; pad by at least 1 on "
        "each side or use a smaller kernel",
    ),
    (
        GeometryError,
        3,
        {"dilation": 3},
        "the kernel spans 7 pixels (size 3, dilation 3) but axis H of the padded image has 6; pad by at least 1 on "
        "each side or lower the dilation",
    ),
    (GeometryError, 0, {}, "kernel_size must be at least 1, got 0"),
    (GeometryError, 2.5, {}, "kernel_size must be an integer or one integer per axis, got 2.5"),
    (GeometryError, "3", {}, "kernel_size must be an integer or one integer per axis, got '3'"),
    (GeometryError, None, {}, "kernel_size must be an integer or one integer per axis, got None"),
    (
        LayoutError,
        (3, 3, 3, 3, 3),
        {},
        "an image with 5 spatial axes has 5 (plain), 6 (with channels) or 7 (with a batch) axes, got an array of 4; "
        "pass an image of that many axes, or name its axes with layout=",
    ),
    (GeometryError, 3, {"stride": (1, 0)}, "stride must be at least 1, got 0"),
    (
        GeometryError,
        3,
        {"stride": (1, 2, 3)},
        "stride has 3 values (1, 2, 3) for 2 spatial axes; give one integer, or 2",
    ),
    (GeometryError, 3, {"dilation": "2"}, "dilation must be an integer or one integer per axis, got '2'"),
    (GeometryError, 3, {"padding": -1}, "padding must be at least 0, got -1"),
    (
        ArgumentError,
        3,
        {"padding": "some"},
        f"padding must be an integer, one entry per axis, or one of {NAMES}; got 'some'",
    ),
    (
        LayoutError,
        3,
        {"layout": "nchw"},
        "layout must be distinct capital letters, N for the batch, C for the channels and at least one spatial axis, "
        "such as 'NCHW' or 'HW'; got 'nchw'",
    ),
    (LayoutError, 3, {"layout": "CHW"}, "layout 'CHW' names 3 axes but the image has 4; name each axis once"),
    (
        LayoutError,
        (3,),
        {"layout": "NCHW"},
        "layout 'NCHW' has 2 spatial axes (HW) but the kernel has 1; give the kernel one size for each spatial axis",
    ),
]
WRONG_ORDERS: list[tuple[type[Exception], Any, dict[str, Any], str]] = [
    (ArgumentError, 3, {"orientation": "row"}, "orientation must be 'rows' or 'columns', got 'row'"),
    (ArgumentError, 3, {"tap_order": None}, "tap_order must be 'channel-first' or 'channel-last', got None"),
    (
        ArgumentError,
        3,
        {"padding_mode": "zeros"},
        unknown_mode("zeros"),
    ),
]
WRONG_VALUES: list[tuple[type[Exception], Any, dict[str, Any], str]] = [
    (DTypeError, 3, {"padding_value": 1j}, "padding_value 1j is not a value of the image's dtype float64"),
    (DTypeError, 3, {"padding_value": "0"}, "padding_value '0' is not a value of the image's dtype float64"),
]


@pytest.mark.parametrize("function", [im2col, patches], ids=["im2col", "patches"])
@pytest.mark.parametrize(("error", "kernel", "arguments", "message"), WRONG_WINDOWS + WRONG_ORDERS + WRONG_VALUES)
def test_transforms_refuse(
    function: Any, error: type[Exception], kernel: Any, arguments: dict[str, Any], message: str
) -> None:
    """A wrong argument is refused in the name of the function that was called."""
    with raises_exactly(error, f"{function.__name__}: {message}"):
        function(IMAGE, kernel, **arguments)


@pytest.mark.parametrize(("error", "kernel", "arguments", "message"), WRONG_WINDOWS)
def test_output_shape_refuses(error: type[Exception], kernel: Any, arguments: dict[str, Any], message: str) -> None:
    """The shape rule refuses the windows that the transforms refuse."""
    with raises_exactly(error, f"output_shape: {message}"):
        output_shape(IMAGE.shape, kernel, **arguments)


@pytest.mark.parametrize(
    ("error", "image_shape", "message"),
    [
        (ArgumentError, 5, "image_shape must be a tuple of integers, got 5"),
        (GeometryError, (5, -1), "an entry of image_shape must be at least 0, got -1"),
        (
            LayoutError,
            (1, 1, 8, 8, 8),
            "kernel_size=3 means two spatial axes, of an image of 2, 3 (with channels) or 4 (with a batch) axes, got "
            "an array of 5; give one size an axis, as in kernel_size=(3, 3, 3), or name the axes with layout=",
        ),
    ],
)
def test_output_shape_refuses_shapes(error: type[Exception], image_shape: Any, message: str) -> None:
    """What is no shape of an image is refused."""
    with raises_exactly(error, f"output_shape: {message}"):
        output_shape(image_shape, 3)


@pytest.mark.parametrize("function", [im2col, patches], ids=["im2col", "patches"])
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (
            np.ma.masked_array(IMAGE),
            "x is a masked array, whose mask would be lost; fill it first, as in x.filled(0)",
        ),
        (
            np.zeros((5, 5), "U1"),
            "x has dtype <U1, which is not a number; convert it first, as in np.asarray(x, float)",
        ),
        (
            np.zeros((5, 5), "i1,i1"),
            "x has the structured dtype [('f0', 'i1'), ('f1', 'i1')]; pass one of its fields, as in x['f0']",
        ),
    ],
)
def test_transforms_refuse_arrays(function: Any, x: Any, message: str) -> None:
    """Arrays that hold no plain numbers are refused by name."""
    with raises_exactly(DTypeError, f"{function.__name__}: {message}"):
        function(x, 3)


@pytest.mark.parametrize("function", [im2col, patches], ids=["im2col", "patches"])
def test_a_kernel_size_may_be_an_integer_of_any_kind(function: Any) -> None:
    """A NumPy integer, or an array without axes that holds one, is an integer."""
    expected = function(IMAGE, 3)
    for kernel in (np.int8(3), np.array(3), np.array([3, 3]), [3, 3]):
        assert function(IMAGE, kernel).shape == expected.shape


def test_an_empty_axis_has_no_pixels_to_copy() -> None:
    """Padding from the image's own pixels needs some."""
    message = (
        "im2col: padding_mode 'wrap' needs pixels to copy but spatial axis 1 of the image has none; use "
        "padding_mode='constant'"
    )
    with raises_exactly(GeometryError, message):
        im2col(np.zeros((4, 0)), 1, padding=1, padding_mode="wrap")


X = np.zeros((5, 5))


@pytest.mark.parametrize(
    ("out", "message"),
    [
        (
            np.empty((4, 4)),
            "out has shape (4, 4) but the result has (9, 9); pass np.empty((9, 9), 'float64')",
        ),
        (
            np.empty((9, 9), np.float32),
            "out has dtype float32 but the result has float64; pass np.empty((9, 9), 'float64')",
        ),
        (MEMORY_ORDERS["read-only"](np.empty((9, 9))), "out is read-only; pass a writeable array"),
        (
            np.lib.stride_tricks.as_strided(X, (9, 9), (8, 8)),
            "out has elements that share memory; pass np.empty of the result's shape",
        ),
        ("out", "out is a str; pass an ndarray"),
    ],
)
def test_im2col_refuses_out(out: Any, message: str) -> None:
    """An `out` that cannot take the result is refused."""
    with raises_exactly(OutputError, f"im2col: {message}"):
        im2col(X, 3, out=out)


def test_im2col_refuses_to_overwrite_the_image() -> None:
    """An `out` that shares memory with the image is refused, and the image left alone."""
    memory = np.arange(100)
    message = "im2col: out shares memory with an input, which would be overwritten while it is read; pass another array"
    with raises_exactly(OutputError, message):
        im2col(memory[75:].reshape(5, 5), 3, out=memory[:81].reshape(9, 9))
    assert memory.tolist() == list(range(100))


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "2"])
def test_im2col_refuses_threads(threads: Any) -> None:
    """A number of threads is a positive integer."""
    with raises_exactly(ArgumentError, f"im2col: threads must be a positive integer or None, got {threads!r}"):
        im2col(X, 3, threads=threads)


def test_arrays_of_the_same_bytes_are_told_apart() -> None:
    """What one call was given is not mistaken for what the next one is given, whatever its dtype or shape."""
    shape: Any = output_shape
    assert shape((600, 600), 3, stride=np.array([256, 256], "<u2")) == (3, 3)
    assert shape((600, 600), 3, stride=np.array([1, 1], ">u2")) == (598, 598)
    assert shape((5, 5), 3, padding=np.array([[1, 2], [3, 4]])) == (6, 10)
    with pytest.raises(GeometryError, match=r"\Aoutput_shape: padding has 4 entries \(1, 2, 3, 4\) for 2 spatial axes"):
        shape((5, 5), 3, padding=np.array([1, 2, 3, 4]))
    assert shape((5, 5), 3, stride=np.int8(1)) == (3, 3)
    with raises_exactly(GeometryError, "output_shape: stride must be an integer or one integer per axis, got np.True_"):
        shape((5, 5), 3, stride=np.True_)


@pytest.mark.parametrize("copy", [True, "no", 2])
def test_patches_refuse_copy(copy: Any) -> None:
    """There is no way to ask for a copy that nothing needs."""
    message = f"patches: copy must be None (copy where padding forces it) or False (never), got {copy!r}"
    with raises_exactly(ArgumentError, message):
        patches(X, 3, copy=copy)


def test_patches_refuse_to_copy() -> None:
    """Padding needs a copy, which copy=False refuses; padding that comes to nothing does not."""
    message = (
        "patches: padding ((1, 1), (1, 1)) needs a padded copy of the image but copy=False; pad the image first, or "
        "pass copy=None"
    )
    with raises_exactly(ArgumentError, message):
        patches(X, 3, padding="same", copy=False)
    assert patches(X, 1, padding="same", copy=False).base is not None


@pytest.mark.parametrize("copy", [np.False_, 0])
def test_patches_never_copy_when_told_not_to(copy: Any) -> None:
    """What equals False is either refused or means False; it never copies."""
    with pytest.raises(ArgumentError, match=r"\Apatches: (padding|copy) "):
        patches(X, 3, padding=1, copy=copy)


@pytest.mark.parametrize(
    ("error", "w", "arguments", "message"),
    [
        (
            ShapeError,
            np.zeros((4, 3)),
            {},
            "w must be (filters, channels/groups, *kernel) with filters divisible by groups=1, got shape (4, 3)",
        ),
        (
            ShapeError,
            np.zeros((4, 3, 2, 2)),
            {"groups": 3},
            "w must be (filters, channels/groups, *kernel) with filters divisible by groups=3, got shape (4, 3, 2, 2)",
        ),
        (GeometryError, np.zeros((4, 3, 2)), {"groups": 0}, "groups must be at least 1, got 0"),
        (ArgumentError, np.zeros((4, 3, 2)), {"orientation": 1}, "orientation must be 'rows' or 'columns', got 1"),
        (
            ArgumentError,
            np.zeros((4, 3, 2)),
            {"tap_order": "last"},
            "tap_order must be 'channel-first' or 'channel-last', got 'last'",
        ),
        (
            DTypeError,
            np.zeros((4, 3, 2), "M8[s]"),
            {},
            "w has dtype datetime64[s], which is not a number; convert it first, as in w.astype(np.int64)",
        ),
    ],
)
def test_weight_matrix_refuses(error: type[Exception], w: Any, arguments: dict[str, Any], message: str) -> None:
    """Filters that are none, and wrong arguments."""
    with raises_exactly(error, f"weight_matrix: {message}"):
        weight_matrix(w, **arguments)


# Memory


@pytest.fixture
def sixty_mebibytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave 60 MiB to this process."""
    monkeypatch.setattr(host, "available_memory", lambda: 60 << 20)


@pytest.mark.usefixtures("sixty_mebibytes")
def test_a_matrix_that_would_not_fit_is_refused() -> None:
    """The error says how large it would be, what is available and what to use instead."""
    message = (
        "im2col: the column matrix (1000000, 100) of int8 would take 95.4 MiB but 60.0 MiB are available; use conv, "
        "which never makes it whole, or patches, a view that copies nothing"
    )
    x = np.broadcast_to(np.int8(1), (1009, 1009))
    with raises_exactly(MemoryBudgetError, message):
        im2col(x, 10)
    assert patches(x, 10).shape == (1000, 1000, 10, 10)
    assert im2col(x, 10, stride=2).shape == (250_000, 100)


@pytest.mark.usefixtures("sixty_mebibytes")
def test_a_padded_image_that_would_not_fit_is_refused() -> None:
    """Where padding forces a copy, that copy counts."""
    x = np.broadcast_to(np.int8(1), (9000, 9000))
    message = (
        "patches: the padded image (9002, 9002) of int8 would take 77.3 MiB but 60.0 MiB are available; use less "
        "padding"
    )
    with raises_exactly(MemoryBudgetError, message):
        patches(x, 3, padding=1)
    out = np.empty((9, 9), np.int8)
    with pytest.raises(MemoryBudgetError, match=r"\Aim2col: "):
        im2col(x, 3, stride=4000, padding=1, out=out)


@pytest.mark.parametrize("padding_mode", PADDING_MODES)
@pytest.mark.parametrize("order", ["C", "F"])
def test_numbers_of_python_are_copied(order: Any, padding_mode: Any) -> None:
    """Fractions, integers of any size: whatever an array of objects holds stands in the matrix itself."""
    values = [[Fraction(i, j + 3) for j in range(5)] for i in range(4)]
    x = np.array([values, [[2**80 + i - j for j in range(5)] for i in range(4)]], object, order=order)
    constant = {"constant_values": Fraction(1, 2)} if padding_mode == "constant" else {}
    whole = np.pad(x, ((0, 0), (1, 2), (3, 0)), padding_mode, **constant)
    taps = [whole[:, i : i + 6, j : j + 7] for i in range(2) for j in range(2)]
    expected = np.stack(taps, axis=1).reshape(8, 42).T
    options: dict[str, Any] = {
        "padding": ((1, 2), (3, 0)),
        "padding_mode": padding_mode,
        "padding_value": Fraction(1, 2),
    }
    for _ in range(3):  # a call that comes again is remembered
        matrix = im2col(x, 2, **options)
        assert matrix.dtype == object
        assert (matrix == expected).all()
        out = np.empty_like(matrix)
        assert im2col(x, 2, **options, out=out) is out
        assert (out == expected).all()
    assert (patches(x, 2, **options).reshape(42, 8) == expected).all()
    np.testing.assert_array_equal(im2col(x[0], 2).astype(float), im2col(x[0].astype(float), 2))
    nothing: Any = object()
    with pytest.raises(DTypeError):
        conv2d(x, np.ones((1, 2, 2, 2)))
    with pytest.raises(DTypeError):
        col2im(matrix, x.shape, 2)
    with pytest.raises(DTypeError):
        im2col(nothing, 2)
