"""From floats to integers of 8 and 16 bits, and back: by one scale and zero point, or one for each channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ....errors import ShapeError
from .arrays import axis_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

INTEGERS = {np.dtype(name) for name in ("i1", "u1", "i2", "u2", "i4")}
"""What NumPy quantises; smaller integers, and floats of 8 bits, are left to onnx's evaluator."""


def quantize(x: Array, scale: Array, zero_point: Array | None, axis: int) -> Array:
    """QuantizeLinear: rounded to even, then moved, then held in the range; uint8 without a zero point."""
    zero = np.zeros((), np.uint8) if zero_point is None else zero_point
    factor, moved = (_along(each, x, axis) for each in (scale, zero))
    info = np.iinfo(zero.dtype)
    result = np.rint(x.astype(np.result_type(x.dtype, np.float32), copy=False) / factor)
    result += moved
    return np.clip(result, info.min, info.max).astype(zero.dtype)


def dequantize(x: Array, scale: Array, zero_point: Array | None, axis: int) -> Array:
    """DequantizeLinear: in the dtype of the scale."""
    result: Array = x.astype(np.float64 if x.dtype.itemsize > 2 else np.float32)
    if zero_point is not None:
        result -= _along(zero_point, x, axis)
    result = result * _along(scale, x, axis)
    return result.astype(scale.dtype, copy=False)


def _along(values: Array, x: Array, axis: int) -> Array:
    """Return one number, or one for each place along an axis, as it goes with an array."""
    if values.size == 1 and values.ndim < 2:
        return values.reshape(())
    axis = axis_of(axis, x.ndim)
    if values.shape != (x.shape[axis],):
        raise ShapeError(
            f"scale and zero point must be one number, or {x.shape[axis]} of axis {axis}, got {values.shape}"
        )
    return values.reshape([-1 if place == axis else 1 for place in range(x.ndim)])
