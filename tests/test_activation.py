"""Activations against formulas of our own, one number at a time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from im2col import ArgumentError, DTypeError, conv
from im2col.spec.activation import Activation, check_activation

from .kit.convolutions import ALGORITHMS, conv_by
from .kit.outcomes import raises_exactly
from .kit.strategies import BFLOAT16, numbers

if TYPE_CHECKING:
    from collections.abc import Callable

FORMULAS: dict[Any, Callable[[float], float]] = {
    "relu": lambda v: v if v > 0 else 0.0,
    "relu6": lambda v: min(max(v, 0.0), 6.0),
    ("leaky_relu", 0.125): lambda v: v if v > 0 else v / 8,
    ("leaky_relu", 2): lambda v: v if v > 0 else 2 * v,
    "sigmoid": lambda v: 1 / (1 + math.exp(-v)),
    "silu": lambda v: v / (1 + math.exp(-v)),
    "hardswish": lambda v: 0.0 if v <= -3 else v if v >= 3 else v * (v + 3) / 6,
}
VALUES = (-700.0, -90.0, -6.5, -3.0, -2.75, -1.0, -0.0, 0.0, 0.5, 2.75, 3.0, 5.75, 6.0, 6.25, 90.0, 700.0)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("activation", FORMULAS, ids=str)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "longdouble", BFLOAT16], ids=str)
def test_activations_follow_their_formulas(activation: Any, dtype: Any, algorithm: str) -> None:
    """Each activation is applied after the bias, within a few roundings of the sum and one of the result."""
    x = np.array([VALUES], dtype)
    result = conv_by(algorithm, x, np.ones((2, 1, 1), dtype), [0, 1], activation=activation)
    assert result.dtype == np.dtype(dtype)
    sums_in = np.float32 if np.dtype(dtype).itemsize == 2 else np.dtype(dtype)
    rounding = 2.0**-8 if dtype == BFLOAT16 else float(np.finfo(dtype).eps)
    tolerance = rounding + 8 * max(float(np.finfo(sums_in).eps), np.finfo(float).eps)  # the formulas are doubles
    smallest = {"float16": 2.0**-24, BFLOAT16: 2.0**-133}.get(dtype, 2.0**-149)  # where the result has fewer digits
    for bias in (0, 1):
        expected = [FORMULAS[activation](float(v) + bias) for v in x[0].astype(float)]
        np.testing.assert_allclose(result[bias].astype(float), expected, rtol=tolerance, atol=smallest)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(("activation", "top"), [("relu", None), ("relu6", 6)])
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint16"])
def test_integers_have_two_activations(activation: Any, top: int | None, dtype: str, algorithm: str) -> None:
    """Relu and relu6 of integers are exact and keep the result's dtype."""
    x, w = numbers((2, 4, 4), np.dtype(dtype), 0), numbers((3, 2, 2, 2), np.dtype(dtype), 1)
    sums = conv(x, w)
    result = conv_by(algorithm, x, w, activation=activation)
    np.testing.assert_array_equal(result, np.clip(sums, 0, top), strict=True)
    assert sums.max() > 6


@pytest.mark.parametrize("activation", FORMULAS, ids=str)
def test_nan_stays_nan(activation: Any) -> None:
    """No activation hides a NaN."""
    assert np.isnan(conv(np.array([np.nan]), np.ones((1, 1, 1)), activation=activation)).all()


@pytest.mark.parametrize("activation", [a for a in FORMULAS if a != "relu6"], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_values_stay_finite(activation: Any, dtype: str) -> None:
    """A value that the result can hold does not overflow on the way, on either side."""
    large = float(np.finfo(dtype).max) / 4
    result = conv(np.array([large, -large], dtype), np.ones((1, 1, 1), dtype), activation=activation)
    upper = 1.0 if activation == "sigmoid" else large
    lower = -large * activation[1] if isinstance(activation, tuple) else 0.0
    np.testing.assert_array_equal(result, np.array([upper, lower], dtype))


def test_short_floats_are_activated_before_they_are_rounded() -> None:
    """The activation of a float16 result sees the float32 sum: 2049 would be rounded to 2048 first."""
    x, w = np.array([[1024, 1025]], np.float16), np.ones((1, 1, 2), np.float16)
    result = conv(x, w, [-2043], activation="relu6")
    np.testing.assert_array_equal(result, [[6]])


@pytest.mark.parametrize("slope", [0, 1, 0.25, np.float64(0.25), np.float32(0.25), np.int64(2)], ids=repr)
def test_slopes_may_be_any_real_number(slope: Any) -> None:
    """Python's numbers and NumPy's are slopes alike."""
    result = conv(np.array([-4.0, 4.0]), np.ones((1, 1, 1)), activation=("leaky_relu", slope))
    np.testing.assert_array_equal(result, [-4 * float(slope), 4])


def test_a_slope_of_minus_zero_is_zero() -> None:
    """They are equal, so what is remembered for one serves the other: results must not depend on which came first."""
    for algorithm in ("explicit", "reference"):
        for slope in (-0.0, 0.0):
            options: Any = {"activation": ("leaky_relu", slope), "algorithm": algorithm}
            assert np.signbit(conv(np.array([-1.0]), np.ones((1, 1, 1)), **options)).all()


def test_activations_are_values() -> None:
    """The checked activation is equal to every other of the same name and slope."""
    one = check_activation(("leaky_relu", 2), np.dtype(float))
    assert one == Activation("leaky_relu", 2.0)
    assert hash(one) == hash(Activation("leaky_relu", 2.0))
    assert check_activation(None, np.dtype(complex)) is None
    np.testing.assert_array_equal(Activation("relu")(np.array([-1.0, 2.0])), [0, 2])


@pytest.mark.parametrize(
    "wrong",
    [
        "Relu",
        "leaky_relu",
        ("leaky_relu",),
        ("leaky_relu", "0.1"),
        ("leaky_relu", 1j),
        ("relu", 0.1),
        ["relu"],
        3,
    ],
    ids=repr,
)
def test_unknown_activations_are_refused(wrong: Any) -> None:
    """What is no activation is shown beside the list of those there are."""
    message = (
        "conv: activation must be None, 'relu', 'relu6', ('leaky_relu', slope), 'sigmoid', 'silu' or 'hardswish', got "
        f"{wrong!r}"
    )
    with raises_exactly(ArgumentError, message):
        conv(np.ones((1, 3)), np.ones((1, 1, 2)), activation=wrong)


@pytest.mark.parametrize("activation", ["sigmoid", "silu", "hardswish", ("leaky_relu", 0.5)], ids=str)
def test_integers_are_refused_where_they_cannot_hold_the_result(activation: Any) -> None:
    """An activation with fractions is not defined for integers, and the way out works."""
    name = activation if isinstance(activation, str) else activation[0]
    x, w = np.ones((1, 3), np.int8), np.ones((1, 1, 2), np.int8)
    message = (
        f"conv: activation {name!r} is not defined for results of int32; pass dtype=np.float32, or apply a function of "
        "your own to the result"
    )
    with raises_exactly(DTypeError, message):
        conv(x, w, activation=activation)
    expected = FORMULAS[activation](2.0) if activation in FORMULAS else 2.0
    result = conv(x, w, activation=activation, dtype=np.float32)
    np.testing.assert_allclose(result, np.full((1, 2), expected), rtol=1e-6)


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_complex_numbers_have_no_activation(activation: Any) -> None:
    """Complex results are refused, without the advice to ask for a real dtype, which conv refuses too."""
    message = (
        f"conv: activation {activation!r} is not defined for results of complex128; apply a function of your own to "
        "the result"
    )
    with raises_exactly(DTypeError, message):
        conv(np.ones((1, 3)) * 1j, np.ones((1, 1, 2)), activation=activation)
