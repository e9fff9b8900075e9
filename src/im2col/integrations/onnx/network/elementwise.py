"""The operators of ONNX that work element by element: each writes where it is told, and may write over an input."""

from __future__ import annotations

import math
from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ....errors import ShapeError
from ..order import order_of
from .affine import AFFINE, scale_and_shift
from .errorfunction import erf

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

_BLOCK = 1 << 14
"""Elements of an expression that are computed at once: what is made on the way stays in the cache."""


class Elementwise(NamedTuple):
    """An operator of this kind.

    Parameters
    ----------
    compute : callable
        Of the inputs, None for those left out, ``out``, and the attributes by name.
    bools : bool
        Whether its results are; else they have the dtype of the input `like`.
    like : int
    over : bool
        Whether ``out`` may be an input.
    """

    compute: Callable[..., object]
    bools: bool = False
    like: int = 0
    over: bool = True


def _expression(function: Callable[..., Array]) -> Elementwise:
    """Return the operator of an expression of one input, which is computed block by block."""

    def compute(x: Array, *, out: Array, **attributes: Any) -> None:
        wide = np.float32 if x.dtype.itemsize < 4 else x.dtype
        order = order_of(x)
        if order is not None:
            x, out = x.transpose(order), out.transpose(order)
        if x.size <= _BLOCK or not (x.flags.c_contiguous and out.flags.c_contiguous):
            out[...] = function(x.astype(wide, copy=False), **attributes)
            return
        flat, result = x.reshape(-1), out.reshape(-1)
        for first in range(0, x.size, _BLOCK):
            block = slice(first, first + _BLOCK)
            result[block] = function(flat[block].astype(wide, copy=False), **attributes)

    return Elementwise(compute)


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x))."""
    result = np.negative(x)
    np.exp(result, out=result)
    result += 1
    return np.reciprocal(result, out=result)


def _hard_sigmoid(x: Array, *, alpha: float, beta: float) -> Array:
    result: Array = x * alpha
    result += beta
    np.clip(result, 0, 1, out=result)
    return result


def _hard_swish(x: Array) -> Array:
    result = _hard_sigmoid(x, alpha=1 / 6, beta=0.5)
    result *= x
    return result


def _swish(x: Array, *, alpha: float = 1.0) -> Array:
    result = sigmoid(x if alpha == 1 else x * alpha)
    result *= x
    return result


def _leaky_relu(x: Array, *, alpha: float) -> Array:
    return np.where(x >= 0, x, x * alpha)


def _elu(x: Array, *, alpha: float) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _celu(x: Array, *, alpha: float) -> Array:
    return np.maximum(x, 0) + np.minimum(alpha * np.expm1(x / alpha), 0)


def _selu(x: Array, *, alpha: float, gamma: float) -> Array:
    return gamma * _elu(x, alpha=alpha)


def softplus(x: Array) -> Array:
    """Return log(1 + exp(x))."""
    return np.logaddexp(x, 0)


def _softsign(x: Array) -> Array:
    result: Array = x / (1 + np.abs(x))
    return result


def _thresholded(x: Array, *, alpha: float) -> Array:
    return np.where(x > alpha, x, 0)


def _mish(x: Array) -> Array:
    return x * np.tanh(softplus(x))


def _gelu(x: Array, *, approximate: str) -> Array:
    if approximate == "tanh":
        inner: Array = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))
    else:
        inner = erf(x * math.sqrt(0.5))
    result: Array = 0.5 * x * (1 + inner)
    return result


def _ufunc(ufunc: Any, **rest: Any) -> Elementwise:
    """Return the operator that is one of NumPy's."""
    return Elementwise(lambda *inputs, out: ufunc(*inputs, out=out), **rest)


def _of_all(ufunc: Any) -> Elementwise:
    """Return the operator that joins any number of inputs."""

    def compute(*inputs: Array, out: Array) -> None:
        if len(inputs) == 1:
            np.copyto(out, inputs[0])
        else:
            ufunc(*inputs[:2], out=out)
            reduce(lambda _, other: ufunc(out, other, out=out), inputs[2:], out)

    return Elementwise(compute, over=False)  # an input that comes later must still be there


def _mean(*inputs: Array, out: Array) -> None:
    _of_all(np.add).compute(*inputs, out=out)
    np.divide(out, len(inputs), out=out)


def _divide(a: Array, b: Array, *, out: Array) -> None:
    """Div: integers are cut towards zero."""
    if a.dtype.kind not in "iu":
        np.divide(a, b, out=out)
        return
    quotient = np.floor_divide(a, b)
    if a.dtype.kind == "i":
        quotient += (quotient < 0) & (quotient * b != a)
    out[...] = quotient


def _modulo(a: Array, b: Array, *, out: Array, fmod: int = 0) -> None:
    (np.fmod if fmod else np.mod)(a, b, out=out)


def _power(a: Array, b: Array, *, out: Array) -> None:
    """Pow: in the dtype of its base."""
    if b.size == 1 and a.dtype.kind == "f":
        exponent = b.item()
        simple = {2: np.square, 0.5: np.sqrt, 1: np.positive, -1: np.reciprocal}.get(exponent)
        if simple is not None:
            simple(a, out=out)
        else:
            np.power(a, exponent, out=out)
    elif a.dtype.kind in "iu":
        out[...] = np.power(a.astype(np.float64), b)
    else:
        np.power(a, b, out=out, casting="unsafe")


def _clip(x: Array, least: Array | None = None, most: Array | None = None, *, out: Array, **bounds: float) -> None:
    """Clip: its bounds were attributes before opset 11."""
    low: Any = bounds.get("min") if least is None else least
    high: Any = bounds.get("max") if most is None else most
    if low is None and high is None:
        np.copyto(out, x)
    else:
        np.clip(x, low, high, out=out)  # at once: a bound may be what is written over


def _slopes(x: Array, slope: Array, *, out: Array) -> None:
    """PRelu."""
    out[...] = np.where(x >= 0, x, x * slope)


def _choose(condition: Array, yes: Array, no: Array, *, out: Array) -> None:
    """Where."""
    out[...] = np.where(condition, yes, no)


def _shift(a: Array, b: Array, *, out: Array, direction: str) -> None:
    (np.left_shift if direction == "LEFT" else np.right_shift)(a, b, out=out)


def _infinite(x: Array, *, out: Array, detect_negative: int, detect_positive: int) -> None:
    """IsInf."""
    out[...] = ((x == np.inf) & bool(detect_positive)) | ((x == -np.inf) & bool(detect_negative))


def _relu(x: Array, *, out: Array) -> None:
    np.maximum(x, 0, out=out)


_EXPRESSIONS: dict[str, Callable[..., Array]] = {
    "Celu": _celu,
    "Elu": _elu,
    "Erf": erf,
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "LeakyRelu": _leaky_relu,
    "Mish": _mish,
    "Selu": _selu,
    "Sigmoid": sigmoid,
    "Softplus": softplus,
    "Softsign": _softsign,
    "Swish": _swish,
    "ThresholdedRelu": _thresholded,
}

ELEMENTWISE: dict[str, Elementwise] = {
    **{
        name: _ufunc(ufunc)
        for name, ufunc in {
            "Abs": np.absolute,
            "Acos": np.arccos,
            "Acosh": np.arccosh,
            "Add": np.add,
            "And": np.logical_and,
            "Asin": np.arcsin,
            "Asinh": np.arcsinh,
            "Atan": np.arctan,
            "Atanh": np.arctanh,
            "BitwiseAnd": np.bitwise_and,
            "BitwiseNot": np.invert,
            "BitwiseOr": np.bitwise_or,
            "BitwiseXor": np.bitwise_xor,
            "Ceil": np.ceil,
            "Cos": np.cos,
            "Cosh": np.cosh,
            "Exp": np.exp,
            "Floor": np.floor,
            "Log": np.log,
            "Mul": np.multiply,
            "Neg": np.negative,
            "Not": np.logical_not,
            "Or": np.logical_or,
            "Reciprocal": np.reciprocal,
            "Round": np.rint,
            "Sign": np.sign,
            "Sin": np.sin,
            "Sinh": np.sinh,
            "Sqrt": np.sqrt,
            "Sub": np.subtract,
            "Tan": np.tan,
            "Tanh": np.tanh,
            "Xor": np.logical_xor,
        }.items()
    },
    **{
        name: _ufunc(ufunc, bools=True, over=False)
        for name, ufunc in {
            "Equal": np.equal,
            "Greater": np.greater,
            "GreaterOrEqual": np.greater_equal,
            "IsNaN": np.isnan,
            "Less": np.less,
            "LessOrEqual": np.less_equal,
        }.items()
    },
    **{name: _expression(function) for name, function in _EXPRESSIONS.items()},
    AFFINE: Elementwise(scale_and_shift),
    "BitShift": Elementwise(_shift),
    "Clip": Elementwise(_clip),
    "Div": Elementwise(_divide),
    "IsInf": Elementwise(_infinite, bools=True, over=False),
    "Max": _of_all(np.maximum),
    "Mean": Elementwise(_mean, over=False),
    "Min": _of_all(np.minimum),
    "Mod": Elementwise(_modulo),
    "PRelu": Elementwise(_slopes),
    "Pow": Elementwise(_power),
    "Relu": Elementwise(_relu),
    "Sum": _of_all(np.add),
    "Where": Elementwise(_choose, like=1),
}


def result_shape(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Return the shape of inputs that are broadcast.

    Raises
    ------
    ShapeError
        If they do not go together.
    """
    first = shapes[0]
    if all(shape == first or not shape for shape in shapes):
        return first
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ShapeError(f"inputs of shapes {' and '.join(map(str, shapes))} do not go together") from None
