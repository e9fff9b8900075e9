"""Whatever is passed to whatever argument: a result, or an error of the package that names the call."""

from __future__ import annotations

import itertools
import warnings
from typing import TYPE_CHECKING, Any
from unittest import mock

import ml_dtypes
import numpy as np
import pytest

import im2col
from im2col import Im2colError, LayoutError
from im2col.errors import shown
from im2col.spec.arguments import check_choice, checked_shape, flag, is_sequence

from .kit.calls import PUBLIC, calls, draw_case, every_case, judge_case
from .kit.nasty import POOL, hostile
from .kit.outcomes import raises_exactly
from .kit.selection import one_in

if TYPE_CHECKING:
    from collections.abc import Callable

PHOTOGRAPH = np.ones((32, 32, 3), np.uint8)
RUNS = 1600


def test_every_public_function_is_called() -> None:
    """With every argument that its signature has."""
    assert set(PUBLIC) <= calls().keys()
    assert "options" not in {name for call in calls().values() for name in call.parameters}


@pytest.mark.parametrize("seed", one_in(4, range(4)))
def test_no_other_error_leaves_the_package(seed: int) -> None:
    """Some of the cases that `python -m tests.fuzz --arguments` draws."""
    for number in range(RUNS // 4):
        case = draw_case(np.random.default_rng((2024, seed, number)))
        try:
            judge_case(case)
        except Exception as error:
            raise AssertionError(str(case)) from error


@pytest.mark.wide
@pytest.mark.parametrize("name", calls())
def test_every_argument_with_everything(name: str) -> None:
    """One at a time: some 400 arguments times 600 values, of which every seventh is tried."""
    for case in itertools.islice(every_case(name), 0, None, 7):
        try:
            judge_case(case)
        except Exception as error:
            raise AssertionError(str(case)) from error


def test_the_pool_is_made_anew() -> None:
    """A generator that one case has used up is whole in the next."""
    assert len(POOL) > 450
    with warnings.catch_warnings(action="ignore"):
        generators = [make for make in POOL if type(make()).__name__ == "generator"]
    assert generators
    assert all(list(make()) == list(make()) for make in generators)


@pytest.mark.parametrize("call", [im2col.im2col, im2col.patches])
def test_photographs_get_a_hint(call: Any) -> None:
    """A kernel that does not fit three pixels may fit three channels."""
    message = (
        f"{call.__name__}: the kernel spans 5 pixels (size 5, dilation 1) but axis W of the padded image has 3; pad by "
        "at least 1 on each side or use a smaller kernel; if the channels come last, pass layout='HWC'"
    )
    with raises_exactly(im2col.GeometryError, message):
        call(PHOTOGRAPH, 5)
    assert call(PHOTOGRAPH, 5, layout="HWC").size == 28 * 28 * 75
    with pytest.raises(im2col.GeometryError, match=r"; if the channels come last, pass layout='NHWC'$"):
        call(PHOTOGRAPH[None], 5)
    with pytest.raises(im2col.GeometryError, match=r"smaller kernel$"):
        call(PHOTOGRAPH, 33)


def test_the_gradient_of_a_photograph_gets_a_hint() -> None:
    """Where it fits with the channels last, and only there."""
    grad = np.ones((30, 30, 8))
    message = (
        "conv_weight_gradient: grad has shape (30, 30, 8) but the convolution of an image (32, 32, 3) with kernels "
        "(3, 3) gives (30, 30, 1); the shapes would fit with the channels last: pass layout='HWC'"
    )
    with raises_exactly(im2col.ShapeError, message):
        im2col.conv_weight_gradient(PHOTOGRAPH, grad, 3)
    assert im2col.conv_weight_gradient(PHOTOGRAPH, grad, 3, layout="HWC").shape == (8, 3, 3, 3)
    with pytest.raises(im2col.ShapeError, match=r"; pass the gradient of that result, and what the convolution was"):
        im2col.conv_weight_gradient(PHOTOGRAPH, grad[:7], 3)


def test_a_value_is_what_its_class_is() -> None:
    """Whatever it says: a mock of a list is none, and a list by another name is one."""
    for pretended in (mock.Mock(spec=list), mock.Mock(spec=np.ndarray), mock.Mock(spec=str)):
        assert not is_sequence(pretended)
        with pytest.raises(im2col.GeometryError, match=r"^im2col: stride must be an integer or one integer per axis, "):
            im2col.im2col(PHOTOGRAPH, 2, stride=pretended)
    assert is_sequence(type("Sizes", (list,), {"__class__": property(lambda _: int)})([2, 2]))


def test_messages_are_short_and_one_line_of_text() -> None:
    """What others say is quoted as any file takes it."""

    class Loud:
        def __array__(self, *_: object, **__: object) -> None:
            raise ValueError("a\n  b\ud800" + "x" * 10**6)

    loud: Any = Loud()
    message = (
        "im2col: x of type Loud cannot be used as a NumPy array (a b\\ud800"
        + "x" * 194
        + "..."
        + "x" * 200
        + "); pass an "
        "ndarray in CPU memory"
    )
    with raises_exactly(im2col.DTypeError, message):
        im2col.im2col(loud, 2)


def test_an_out_of_a_class_of_its_own() -> None:
    """It is written as the plain array that it is, and returned itself."""
    odd_array: Any = hostile(np.ndarray, "__array_function__", "__array_ufunc__", "__getitem__")
    x, w = np.arange(18.0).reshape(1, 2, 3, 3), np.ones((2, 2, 2, 2))
    columns, grad = im2col.im2col(x, 2), im2col.conv(x, w)
    every: tuple[Callable[[Any], Any], ...] = (
        lambda out: im2col.im2col(x, 2, out=out),
        lambda out: im2col.col2im(columns, x.shape, 2, out=out),
        lambda out: im2col.col2im(columns, x.shape, 2, reduce="mean", out=out),
        lambda out: im2col.conv(x, w, out=out),
        lambda out: im2col.conv_transpose(grad, w, out=out),
        lambda out: im2col.conv_weight_gradient(x, grad, 2, out=out),
        lambda out: im2col.conv_bias_gradient(grad, out=out),
        lambda out: im2col.plan(x.shape, w)(x, out=out),
    )
    for call in every:
        right = call(None)
        odd = np.full(right.shape, np.nan).view(odd_array)
        assert call(odd) is odd
        np.testing.assert_array_equal(np.asarray(odd), right)


def test_numbers_of_other_packages() -> None:
    """Single numbers may be of ml_dtypes, as padding, slopes, scales, zero points and weights of taps."""
    x, w = np.arange(-8.0, 8).reshape(1, 1, 4, 4), np.ones((1, 1, 2, 2))
    sloped = im2col.conv(x, w, activation=("leaky_relu", 0.5))
    np.testing.assert_array_equal(im2col.conv(x, w, activation=("leaky_relu", ml_dtypes.bfloat16(0.5))), sloped)
    quantized: dict[str, Any] = {"x": (x + 8).astype(np.uint8), "w": w.astype(np.int8)}
    right = im2col.quantized_conv(**quantized, x_scale=0.5, w_scale=2, y_scale=1, x_zero_point=3)
    found = im2col.quantized_conv(
        **quantized,
        x_scale=ml_dtypes.bfloat16(0.5),
        w_scale=np.full(1, 2).astype(ml_dtypes.float8_e5m2),
        y_scale=1,
        x_zero_point=ml_dtypes.uint4(3),
    )
    np.testing.assert_array_equal(found, right)
    columns = np.arange(16).reshape(4, 4)
    weights = np.array([[1, 2], [3, -4]])
    np.testing.assert_array_equal(
        im2col.col2im(columns, (3, 3), 2, tap_weights=weights.astype(ml_dtypes.int4)),
        im2col.col2im(columns, (3, 3), 2, tap_weights=weights),
    )
    message = (
        "col2im: tap_weights has dtype bcomplex32, which is copied but not calculated with; convert it first, as in "
        "tap_weights.astype(np.complex64)"
    )
    with raises_exactly(im2col.DTypeError, message):
        im2col.col2im(columns, (3, 3), 2, tap_weights=weights.astype(ml_dtypes.bcomplex32))
    masked: Any = np.ma.masked
    with raises_exactly(im2col.DTypeError, "im2col: padding_value masked is not a value of the image's dtype float64"):
        im2col.im2col(x, 2, padding=1, padding_value=masked)


@pytest.mark.parametrize(
    ("dtype", "value"),
    [("float4_e2m1fn", np.nan), ("float6_e3m2fn", np.nan), ("float8_e4m3fn", np.inf), ("float8_e4m3fnuz", -np.inf)],
)
def test_padding_that_a_dtype_lacks(dtype: str, value: float) -> None:
    """It is refused, where casting would make another number of it; dtypes that have it take it."""
    x = np.ones((3, 3))
    message = f"im2col: padding_value {value} is not a value of the image's dtype {dtype}"
    with raises_exactly(im2col.DTypeError, message):
        im2col.im2col(x.astype(getattr(ml_dtypes, dtype)), 2, padding=1, padding_value=value)
    found = im2col.im2col(x.astype(ml_dtypes.float8_e5m2), 2, padding=1, padding_value=value)
    np.testing.assert_array_equal(found.astype(float), im2col.im2col(x, 2, padding=1, padding_value=value))


def test_no_axes() -> None:
    """An array of no axes is told which an image has."""
    message = (
        "im2col: an image with 1 spatial axis has 1 (plain), 2 (with channels) or 3 (with a batch) axes, got an array "
        "of 0; pass an image of that many axes, or name its axes with layout="
    )
    with raises_exactly(LayoutError, message):
        im2col.im2col(5, 2)


def test_an_integer_for_a_signal() -> None:
    """An array of one axis has one spatial axis."""
    x = np.arange(6.0)
    np.testing.assert_array_equal(im2col.patches(x, 3), np.lib.stride_tricks.sliding_window_view(x, 3))
    np.testing.assert_array_equal(im2col.im2col(x, 3), im2col.im2col(x, (3,)))
    np.testing.assert_array_equal(im2col.col2im(im2col.im2col(x, 3), x.shape, 3), [0, 2, 6, 9, 8, 5])
    np.testing.assert_array_equal(im2col.overlap_count((6,), 3), [1, 2, 3, 3, 2, 1])
    assert im2col.output_shape((6,), 3) == (4,)
    assert im2col.conv_weight_gradient(x, np.ones(4), 3).tolist() == [[[6, 10, 14]]]


def test_shapes_may_be_arrays() -> None:
    """Of integers."""
    x = np.arange(18.0).reshape(2, 3, 3)
    shape: Any = np.array(x.shape)
    assert im2col.output_shape(shape, 2) == (2, 2)
    assert im2col.col2im(im2col.im2col(x, 2), shape, 2).shape == x.shape
    w = np.ones((2, 2, 2, 2))
    assert im2col.plan(shape, w)(x).shape == (2, 2, 2)
    assert im2col.conv_input_gradient(np.ones((2, 2, 2)), w, shape).shape == x.shape
    w_shape: Any = np.array(w.shape)
    assert im2col.cost(shape, w_shape).output_shape == (2, 2, 2)
    assert im2col.window_geometry(shape[1:], 2).positions == 4
    with raises_exactly(im2col.GeometryError, "output_shape: an entry of image_shape must be an integer, got 2.5"):
        im2col.output_shape(shape + 0.5, 2)


def test_too_many_axes() -> None:
    """There are no more letters."""
    message = (
        "im2col: an image has at most 24 spatial axes, one for each letter but N and C, got 25; work on its slices "
        "along the other axes"
    )
    with raises_exactly(LayoutError, message):
        im2col.im2col(np.ones((1,) * 25), (1,) * 25)
    assert im2col.im2col(np.ones((1,) * 24), (1,) * 24).shape == (1, 1)


def test_values_in_messages() -> None:
    """Short, and whatever the value says of itself."""
    assert shown([1, "a"]) == "[1, 'a']"
    assert shown(2**2000) == "an integer of 2001 bits"
    assert shown(10**5000) == "an integer of 16610 bits"
    assert shown("x" * 1000) == "'" + "x" * 99 + "..." + "x" * 99 + "'"

    class Silent:
        def __repr__(self) -> str:
            raise ValueError

    assert shown(Silent()) == "<Silent>"


@pytest.mark.parametrize(("value", "answer"), [(True, True), (np.False_, False), (1, True), (np.int8(0), False)])
def test_flags(value: Any, answer: bool) -> None:
    """Yes or no, and nothing that merely has a truth."""
    assert flag("flip", value) is answer
    wrongs: list[Any] = ["no", 2, None, 1.0, [], np.ones(2)]
    for wrong in wrongs:
        with raises_exactly(im2col.ArgumentError, f"flip must be True or False, got {shown(wrong)}"):
            flag("flip", wrong)


def test_sequences_and_words() -> None:
    """Lists, tuples and short arrays; strings of any class."""
    assert all(map(is_sequence, ([], (1,), np.array([1]))))
    assert not any(map(is_sequence, (1, "ab", {1}, range(2), np.array(1), np.ones(1000), itertools.count())))
    assert checked_shape("image_shape", [np.int8(3), 4]) == (3, 4)
    assert type(check_choice("reduce", np.str_("sum"), ("sum", "mean"))) is str


def test_lists_without_an_end() -> None:
    """A list that holds itself is no window."""
    loop: Any = [1]
    loop.append(loop)
    with pytest.raises(Im2colError, match=r"^im2col: kernel_size must be an integer, got \[1, \[\.\.\.\]\]"):
        im2col.im2col(np.ones((3, 3)), loop)
