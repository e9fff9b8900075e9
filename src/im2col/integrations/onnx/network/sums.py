"""The operators of ONNX that sum: products of matrices, what reduces axes, and what normalises by such sums."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ....errors import ArgumentError, ShapeError
from .arrays import axes_of, axis_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ..node import Node

    Array = NDArray[Any]


def _precise(x: Array) -> Array:
    """Return floats of 16 bits as those of 32."""
    return x.astype(np.float32) if x.dtype.itemsize < 4 and x.dtype.kind not in "iub" else x


def multiply(_: Node, a: Array, b: Array) -> Array:
    """MatMul."""
    if not a.ndim or not b.ndim or a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise ShapeError(f"inputs of shapes {a.shape} and {b.shape} have no matrix product")
    return np.asarray(np.matmul(_precise(a), _precise(b))).astype(a.dtype, copy=False)


def product(
    _: Node,
    a: Array,
    b: Array,
    c: Array | None = None,
    *,
    alpha: float,
    beta: float,
    transA: int,  # noqa: N803 (ONNX's name)
    transB: int,  # noqa: N803 (so is this)
) -> Array:
    """Gemm."""
    if a.ndim != 2 or b.ndim != 2:
        raise ShapeError(f"inputs of shapes {a.shape} and {b.shape} must be matrices")
    left, right = (a.T if transA else a), (b.T if transB else b)
    if left.shape[1] != right.shape[0]:
        raise ShapeError(f"matrices of shapes {left.shape} and {right.shape} have no product")
    result: Array = np.matmul(_precise(left), _precise(right))
    if alpha != 1:
        result = result * alpha
    if c is not None and beta:
        if np.broadcast_shapes(result.shape, c.shape) != result.shape:
            raise ShapeError(f"C of shape {c.shape} cannot be added to a product of shape {result.shape}")
        result += c if beta == 1 else c * beta
    return result.astype(a.dtype, copy=False)


def _reduction(function: Callable[..., Any]) -> Callable[..., Array]:
    """Return the operator that reduces axes: told as an input from opset 18 on (ReduceSum: 13), or as an attribute."""

    def compute(
        _: Node, x: Array, axes: Array | Sequence[int] | None = None, *, keepdims: int, noop_with_empty_axes: int = 0
    ) -> Array:
        if axes is None or not len(axes):
            if noop_with_empty_axes:
                chosen: tuple[int, ...] = ()
            else:
                chosen = tuple(range(x.ndim))
        else:
            chosen = axes_of(axes, x.ndim)
        result = np.asarray(function(_precise(x), axis=chosen, keepdims=bool(keepdims)))
        return result.astype(x.dtype, copy=False)

    return compute


def _sum(x: Array, **axes: Any) -> Any:
    return np.sum(x, dtype=x.dtype, **axes)


def _mean(x: Array, **axes: Any) -> Any:
    if x.dtype.kind in "iu":
        return np.trunc(np.mean(x, **axes))
    return np.mean(x, **axes)


def _greatest(x: Array, **axes: Any) -> Any:
    least = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min if x.dtype.kind in "iu" else False
    return np.max(x, initial=least, **axes)


def _least(x: Array, **axes: Any) -> Any:
    most = np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).max if x.dtype.kind in "iu" else True
    return np.min(x, initial=most, **axes)


def _log_sum_exp(x: Array, **axes: Any) -> Any:
    x = x.astype(np.result_type(x.dtype, np.float32), copy=False)
    if not x.size:
        return np.log(np.sum(x, **axes))
    top = np.max(x, axis=axes["axis"], keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    rest = np.log(np.sum(np.exp(x - top), **axes))
    return rest + (top if axes["keepdims"] else top.squeeze(axes["axis"]))


def place(function: Callable[..., Any]) -> Callable[..., Array]:
    """Return ArgMax or ArgMin."""

    def compute(_: Node, x: Array, *, axis: int, keepdims: int, select_last_index: int = 0) -> Array:
        axis = axis_of(axis, x.ndim)
        if not x.ndim or not x.shape[axis]:
            raise ShapeError(f"axis {axis} of an input of shape {x.shape} has no elements")
        if select_last_index:
            found = x.shape[axis] - 1 - function(np.flip(x, axis), axis=axis)
        else:
            found = function(x, axis=axis)
        result = np.asarray(found, np.int64)
        return np.expand_dims(result, axis) if keepdims else result

    return compute


def normalize_layer(
    node: Node, x: Array, scale: Array, bias: Array | None = None, *, axis: int, epsilon: float, stash_type: int
) -> tuple[Array, ...]:
    """LayerNormalization."""
    if stash_type not in (1, 11):
        raise ArgumentError(f"stash_type must be 1 (float32) or 11 (float64), got {stash_type}")
    axes = tuple(range(axis_of(axis, x.ndim), x.ndim))
    wide = x.astype(np.float32 if stash_type == 1 else np.float64, copy=False)
    mean = wide.mean(axes, keepdims=True)
    centred = wide - mean
    inverse = 1 / np.sqrt(np.mean(centred * centred, axes, keepdims=True) + epsilon)
    centred *= inverse
    result = centred.astype(x.dtype, copy=False) * scale
    if bias is not None:
        result += bias
    return (result, mean, inverse)[: node.outputs]


def normalize_instance(_: Node, x: Array, scale: Array, bias: Array, *, epsilon: float) -> Array:
    """InstanceNormalization."""
    if x.ndim < 3 or scale.shape != x.shape[1:2] or bias.shape != x.shape[1:2]:
        raise ShapeError(f"scale {scale.shape} and B {bias.shape} must have a number for each channel of {x.shape}")
    axes, broadcast = tuple(range(2, x.ndim)), (-1, *[1] * (x.ndim - 2))
    wide = _precise(x)
    centred: Array = wide - wide.mean(axes, keepdims=True)
    centred /= np.sqrt(np.mean(centred * centred, axes, keepdims=True) + epsilon)
    centred *= scale.reshape(broadcast)
    centred += bias.reshape(broadcast)
    return centred.astype(x.dtype, copy=False)


def normalize_groups(
    node: Node, x: Array, scale: Array, bias: Array, *, num_groups: int, epsilon: float, stash_type: int = 1
) -> Array:
    """GroupNormalization: before opset 21 with a scale and a bias for each group, not each channel."""
    count = num_groups if node.version < 21 or x.ndim < 2 else x.shape[1]
    if x.ndim < 3 or num_groups < 1 or x.shape[1] % num_groups or scale.shape != (count,) or bias.shape != (count,):
        raise ShapeError(
            f"x of shape {x.shape} with num_groups {num_groups} needs scale and bias of shape ({count},), got "
            f"{scale.shape} and {bias.shape}"
        )
    wide = x.astype(np.result_type(x.dtype, np.float64 if stash_type == 11 else np.float32), copy=False)
    groups = wide.reshape(x.shape[0], num_groups, -1)
    centred = groups - groups.mean(2, keepdims=True)
    centred /= np.sqrt(np.mean(centred * centred, 2, keepdims=True) + epsilon)
    result: Array = centred.reshape(x.shape).astype(x.dtype, copy=False)
    broadcast = (-1, *[1] * (x.ndim - 2))
    each = x.shape[1] // count
    result = result * np.repeat(scale, each).reshape(broadcast)
    result += np.repeat(bias, each).reshape(broadcast)
    return result


def normalize_response(_: Node, x: Array, *, size: int, alpha: float, beta: float, bias: float) -> Array:
    """LRN: by the squares of the channels around each."""
    if x.ndim < 2 or size < 1:
        raise ShapeError(f"an input of shape {x.shape} has no {size} channels around each")
    wide = _precise(x)
    squares = wide * wide
    sums = np.zeros_like(wide)
    before, after, channels = (size - 1) // 2, size - 1 - (size - 1) // 2, x.shape[1]
    for shift in range(-min(before, channels), min(after, channels) + 1):
        low, high = max(0, -shift), channels - max(0, shift)
        if low < high:
            sums[:, low:high] += squares[:, low + shift : high + shift]
    sums *= alpha / size
    sums += bias
    if beta == 0.75:
        root = np.sqrt(sums)
        sums = root * np.sqrt(root)
    else:
        sums = sums**beta
    return (wide / sums).astype(x.dtype, copy=False)


PRODUCTS = {"GRU", "Gemm", "LSTM", "MatMul", "RNN"}
"""Operators that ask BLAS for products of matrices."""

SUMS: dict[str, Callable[..., Any]] = {
    "ArgMax": place(np.argmax),
    "ArgMin": place(np.argmin),
    "Gemm": product,
    "GroupNormalization": normalize_groups,
    "InstanceNormalization": normalize_instance,
    "LRN": normalize_response,
    "LayerNormalization": normalize_layer,
    "MatMul": multiply,
    "ReduceL1": _reduction(lambda x, **axes: np.sum(np.abs(x), dtype=x.dtype, **axes)),
    "ReduceL2": _reduction(lambda x, **axes: np.sqrt(np.sum(np.square(x, dtype=np.result_type(x, "f4")), **axes))),
    "ReduceLogSum": _reduction(lambda x, **axes: np.log(np.sum(x, **axes))),
    "ReduceLogSumExp": _reduction(_log_sum_exp),
    "ReduceMax": _reduction(_greatest),
    "ReduceMean": _reduction(_mean),
    "ReduceMin": _reduction(_least),
    "ReduceProd": _reduction(lambda x, **axes: np.prod(x, dtype=x.dtype, **axes)),
    "ReduceSum": _reduction(_sum),
    "ReduceSumSquare": _reduction(lambda x, **axes: np.sum(np.square(x), dtype=x.dtype, **axes)),
}
