"""One convolution, validated: dtypes, counts, equality, and what each wrong argument is told."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from im2col import ArgumentError, DTypeError, GeometryError, LayoutError, ShapeError, conv, conv2d, cost, plan
from im2col.spec.problem import Problem, make_problem

from .kit.convolutions import ALGORITHMS, W, X, check_refused, conv_by, promotes, result_dtype
from .kit.outcomes import raises_exactly, unknown_mode
from .kit.strategies import BFLOAT16, DTYPES

FLOAT32 = np.dtype(np.float32)


def problem(x_shape: tuple[int, ...], w_shape: tuple[int, ...], **options: Any) -> Problem:
    """Return a float32 problem."""
    return make_problem(x_shape, w_shape, FLOAT32, FLOAT32, **options)


# Dtypes.


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("x_dtype", DTYPES, ids=str)
def test_result_dtypes(x_dtype: np.dtype[Any], algorithm: str) -> None:
    """With every other dtype the result is np.result_type's, or int32 for two operands of 8 bits, or there is none."""
    for w_dtype in DTYPES:
        x, w = np.ones((1, 2, 2), x_dtype), np.ones((1, 1, 2, 2), w_dtype)
        if not promotes(x_dtype, w_dtype):
            names = f"x of {x_dtype} and w of {w_dtype}"
            with raises_exactly(DTypeError, f"conv: {names} have no common dtype; convert one of them"):
                conv_by(algorithm, x, w)
            continue
        result = conv_by(algorithm, x, w)
        assert result.dtype == result_dtype(x_dtype, w_dtype)
        np.testing.assert_array_equal(result, [[[4]]])


@pytest.mark.parametrize(
    ("x_dtype", "w_dtype", "expected"),
    [
        ("bool", "bool", "int32"),
        ("bool", "int8", "int32"),
        ("int8", "uint8", "int32"),
        ("bool", "int16", "int16"),
        ("uint8", "int16", "int16"),
        ("uint16", "int16", "int32"),
        ("int64", "uint64", "float64"),
        ("int8", "float16", "float16"),
        ("int64", "float32", "float64"),
        ("int8", BFLOAT16, BFLOAT16),
        ("float32", BFLOAT16, "float32"),
        (BFLOAT16, BFLOAT16, BFLOAT16),
        ("float64", "complex64", "complex128"),
        (">f4", ">i2", "float32"),
    ],
)
def test_result_dtypes_by_hand(x_dtype: Any, w_dtype: Any, expected: Any) -> None:
    """Some results by name, without asking NumPy; a foreign byte order becomes the machine's."""
    result = conv(np.ones((1, 2, 2), x_dtype), np.ones((1, 1, 2, 2), w_dtype))
    assert result.dtype == np.dtype(expected)
    assert result.dtype.isnative


@pytest.mark.parametrize(
    ("dtype", "sums"),
    [
        ("float16", "float32"),
        (BFLOAT16, "float32"),
        ("float32", "float32"),
        ("int8", "int8"),
        ("complex64", "complex64"),
    ],
)
def test_accumulators(dtype: Any, sums: str) -> None:
    """Sums have the result's dtype, but float32 for the 16-bit floats."""
    natural = np.dtype(np.int8 if np.dtype(dtype).kind == "i" else dtype)
    assert make_problem((1, 3, 3), (1, 1, 2, 2), natural, natural, dtype=dtype).accumulator == np.dtype(sums)


# Counts.


def test_counts() -> None:
    """Sizes of groups, output, work and traffic, by hand."""
    p = problem((2, 5, 7, 6), (4, 3, 2, 3), groups=2, layout="NHWC", padding=1, stride=2)
    assert (p.batch, p.channels, p.filters) == (2, 6, 4)
    assert (p.group_channels, p.group_filters, p.group_taps) == (3, 2, 18)
    assert p.output_shape == (2, 3, 4, 4)
    assert p.flops == 2 * (2 * 3 * 4 * 4) * 18
    assert p.bytes_moved == 4 * (2 * 5 * 7 * 6 + 4 * 3 * 2 * 3 + 2 * 3 * 4 * 4)


def test_counts_do_not_overflow() -> None:
    """Counts are Python integers, for images of any size."""
    p = problem((1, 1, 1 << 40, 1 << 40), (1, 1, 3, 3), padding=1)
    assert p.flops == 18 << 80
    assert p.bytes_moved == 4 * (2 * (1 << 80) + 9)


def test_problems_are_values() -> None:
    """Equal and hashable by what is asked for, whoever asks; spellings do not matter; frozen."""
    one = problem((1, 2, 5, 5), (3, 2, 3, 3), padding="same", stride=1, dtype="f4")
    other = make_problem(
        (1, 2, 5, 5),
        (3, 2, 3, 3),
        FLOAT32,
        np.dtype(">f4"),
        padding=((1, 1), 1),
        stride=(1, 1),
        layout="NCHW",
    )
    assert one == other
    assert hash(one) == hash(other)
    assert one != problem((1, 2, 5, 5), (3, 2, 3, 3), padding=1, flip=True)
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.flip = True  # type: ignore[misc]


def test_problems_with_nan_padding_are_equal() -> None:
    """A NaN as the padding value is a value like any other."""
    one, other = (problem((1, 3, 3), (1, 1, 2, 2), padding=1, padding_value=float("nan")) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)


# Errors.

WRONG: list[tuple[type[Exception], str, dict[str, Any]]] = [
    # The arrays.
    (
        DTypeError,
        "conv2d: x is a masked array, whose mask would be lost; fill it first, as in x.filled(0)",
        {"x": np.ma.masked_array(X)},
    ),
    (
        DTypeError,
        "conv2d: w has dtype object, which is not a number; convert it first, as in np.asarray(w, float)",
        {"w": W.astype(object)},
    ),
    (
        DTypeError,
        "conv2d: bias has dtype <U1, which is not a number; convert it first, as in np.asarray(bias, float)",
        {"bias": ["a", "b", "c"]},
    ),
    (
        DTypeError,
        "conv2d: x of bfloat16 and w of int32 have no common dtype; convert one of them",
        {"x": X.astype(BFLOAT16), "w": W.astype(np.int32)},
    ),
    (
        ShapeError,
        "conv2d: w must be (filters, channels/groups, *kernel), 4 axes, or a plain kernel of 2 axes for a plain image "
        "of 2; got w of shape (3, 3) with an image of shape (1, 2, 5, 5); to filter each of C channels alike, pass "
        "np.stack([w[None]] * C) and groups=C, and layout= for channels last",
        {"w": W[0, 0]},
    ),
    (
        LayoutError,
        "conv2d: an image with 2 spatial axes has 2 (plain), 3 (with channels) or 4 (with a batch) axes, got an array "
        "of 5; pass an image of that many axes, or name its axes with layout=",
        {"x": X[None]},
    ),
    (
        ShapeError,
        "conv2d: the image (1, 2, 5, 5) has 2 channels in layout 'NCHW' but the filters (3, 4, 3, 3) with groups=1 "
        "read 4; pass w of shape (filters, channels/groups, *kernel)",
        {"w": np.ones((3, 4, 3, 3))},
    ),
    (
        ShapeError,
        "conv2d: the image (1, 5, 5, 2) has 5 channels in layout 'NCHW' but the filters (3, 2, 3, 3) with groups=1 "
        "read 2; the last axis would fit: pass layout='NHWC' if the channels come last",
        {"x": np.ones((1, 5, 5, 2))},
    ),
    (
        ShapeError,
        "conv2d: the image (2, 5, 5, 2) has 5 channels in layout 'NCHW' but the filters (3, 2, 2, 2) with groups=1 "
        "read 2; the last axis would fit: pass layout='NHWC' if the channels come last",
        {"x": np.ones((2, 5, 5, 2)), "w": np.ones((3, 2, 2, 2))},
    ),
    (
        ShapeError,
        "conv2d: the image (5, 5, 2) has 5 channels in layout 'CHW' but the filters (3, 2, 3, 3) with groups=1 read 2; "
        "the last axis would fit: pass layout='HWC' if the channels come last",
        {"x": np.ones((5, 5, 2))},
    ),
    (
        ShapeError,
        "conv2d: 3 filters give 3 output maps but layout 'HW' has no channel axis for them; pass the image with a "
        "channel axis, as in x[None]",
        {"x": X[0, 0], "w": W[:, :1]},
    ),
    (
        ShapeError,
        "conv2d: 3 filters give 3 output maps but layout 'NHW' has no channel axis for them; pass the image with a "
        "channel axis, as in x[:, None]",
        {"x": X[0], "w": W[:, :1], "layout": "NHW"},
    ),
    # The window.
    (GeometryError, "conv2d: stride must be at least 1, got 0", {"stride": 0}),
    (GeometryError, "conv2d: stride must be an integer or one integer per axis, got 1.5", {"stride": 1.5}),
    (
        GeometryError,
        "conv2d: stride has 3 values (1, 1, 1) for 2 spatial axes; give one integer, or 2",
        {"stride": (1, 1, 1)},
    ),
    (GeometryError, "conv2d: dilation must be at least 1, got 0", {"dilation": (1, 0)}),
    (GeometryError, "conv2d: padding must be at least 0, got -1", {"padding": -1}),
    (
        GeometryError,
        "conv2d: padding has 3 entries (1, 1, 1) for 2 spatial axes; give one integer, or one entry per axis, each an "
        "integer or a (before, after) pair such as ((1, 2), (1, 2))",
        {"padding": (1, 1, 1)},
    ),
    (
        GeometryError,
        "conv2d: an entry of padding must be an integer or a (before, after) pair, got (1, 2, 3)",
        {"padding": (1, (1, 2, 3))},
    ),
    (
        ArgumentError,
        "conv2d: padding must be an integer, one entry per axis, or one of ('valid', 'same', 'same_lower', 'full', "
        "'causal', 'multiple'); got 'half'",
        {"padding": "half"},
    ),
    (
        GeometryError,
        "conv2d: the kernel spans 7 pixels (size 3, dilation 3) but axis H of the padded image has 5; pad by at least "
        "1 on each side or lower the dilation",
        {"dilation": 3},
    ),
    (
        GeometryError,
        "conv2d: the kernel spans 6 pixels (size 6, dilation 1) but axis W of the padded image has 5; pad by at least "
        "1 on each side or use a smaller kernel",
        {"w": np.ones((3, 2, 1, 6))},
    ),
    (GeometryError, "conv2d: kernel_size must be at least 1, got 0", {"w": np.ones((3, 2, 0, 3))}),
    (
        ArgumentError,
        "conv2d: " + unknown_mode("zeros"),
        {"padding_mode": "zeros"},
    ),
    (
        GeometryError,
        "conv2d: padding_mode 'edge' needs pixels to copy but spatial axis 1 of the image has none; use "
        "padding_mode='constant'",
        {"x": np.ones((1, 2, 5, 0)), "padding": (0, 2), "padding_mode": "edge"},
    ),
    (
        DTypeError,
        "conv2d: padding_value 0.5 is not a value of the image's dtype int8",
        {"x": X.astype(np.int8), "padding_value": 0.5},
    ),
    (
        LayoutError,
        "conv2d: layout must be distinct capital letters, N for the batch, C for the channels and at least one spatial "
        "axis, such as 'NCHW' or 'HW'; got 'nchw'",
        {"layout": "nchw"},
    ),
    (
        LayoutError,
        "conv2d: layout 'CHW' names 3 axes but the image has 4; name each axis once",
        {"layout": "CHW"},
    ),
    (
        LayoutError,
        "conv2d: layout 'CDHW' has 3 spatial axes (DHW) but the kernel has 2; give the kernel one size for each "
        "spatial axis",
        {"layout": "CDHW"},
    ),
    # The other options.
    (GeometryError, "conv2d: groups must be at least 1, got 0", {"groups": 0}),
    (
        ShapeError,
        "conv2d: 3 filters do not divide into groups=2; the filters must be a multiple of groups",
        {"groups": 2},
    ),
    (
        ShapeError,
        "conv2d: the image (1, 2, 5, 5) has 2 channels in layout 'NCHW' but the filters (3, 2, 3, 3) with groups=3 "
        "read 6; pass w of shape (filters, channels/groups, *kernel)",
        {"groups": 3},
    ),
    (
        ArgumentError,
        "conv2d: activation must be None, 'relu', 'relu6', ('leaky_relu', slope), 'sigmoid', 'silu' or 'hardswish', "
        "got 'tanh'",
        {"activation": "tanh"},
    ),
    (DTypeError, "conv2d: dtype='float33' is not a dtype; pass one such as np.float32", {"dtype": "float33"}),
    (DTypeError, "conv2d: dtype=object is not a number; pass one such as np.float32", {"dtype": object}),
    (
        DTypeError,
        "conv2d: x of float64 and w of float64 give float64, which dtype=int32 cannot hold; ask for a "
        "wider dtype and convert the result",
        {"dtype": np.int32},
    ),
    (
        DTypeError,
        "conv2d: x of bool and w of bool give int32, which dtype=bool cannot hold; ask for a wider "
        "dtype and convert the result",
        {"x": X > 0, "w": W > 0, "dtype": bool},
    ),
    (GeometryError, "conv2d: workspace_limit must be at least 1, got 0", {"workspace_limit": 0}),
]


@pytest.mark.parametrize(
    ("error", "message", "wrong"), WRONG, ids=[f"{i} {next(iter(w))}" for i, (*_, w) in enumerate(WRONG)]
)
def test_errors_come_before_anything_is_written(error: type[Exception], message: str, wrong: dict[str, Any]) -> None:
    """Each wrong argument has its whole message, and `out` still holds what it held."""
    check_refused(error, message, wrong)


@pytest.mark.parametrize(
    ("name", "wrong"), [("groups", 1.5), ("groups", True), ("workspace_limit", 2.5), ("workspace_limit", "1 MiB")]
)
def test_single_integers_are_asked_for_as_such(name: str, wrong: Any) -> None:
    """An option that is one integer for the whole call is not said to be one per axis."""
    with raises_exactly(GeometryError, f"conv2d: {name} must be an integer, got {wrong!r}"):
        conv2d(X, W, **{name: wrong})


@pytest.mark.parametrize(
    ("x_shape", "error", "message"),
    [
        (5, ArgumentError, "plan: the shape of x must be a tuple of integers, got 5"),
        ((1, 2, -5, 5), GeometryError, "plan: an entry of the shape of x must be at least 0, got -5"),
    ],
)
def test_shapes_are_checked(x_shape: Any, error: type[Exception], message: str) -> None:
    """Where a shape stands for an image, it must be one."""
    with raises_exactly(error, message):
        plan(x_shape, W)


def test_shapes_of_weights_are_checked() -> None:
    """The cost model takes the weight's shape too."""
    with raises_exactly(ArgumentError, "cost: the shape of w must be a tuple of integers, got 3"):
        cost((1, 2, 5, 5), 3)  # type: ignore[call-overload]
