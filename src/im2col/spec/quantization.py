"""Zero points and scales: what is checked of them, and what they make of weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, DTypeError, ShapeError, shown
from .arrays import as_array, own

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_LEAST, _GREATEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
"""Plain numbers between them are factors without another look, which takes longer than a small layer."""
_SMALL = 64
"""2 · 255 · 64 is less than 2¹⁵."""


def is_byte(dtype: np.dtype[Any]) -> bool:
    """Whether a dtype is one that quantised numbers have: int8 or uint8."""
    return dtype.kind in "iu" and dtype.itemsize == 1


def check_bytes(what: str, x_dtype: np.dtype[Any], w_dtype: np.dtype[Any]) -> None:
    """Refuse operands that are not of int8 or uint8, which is what something takes or belongs to.

    Raises
    ------
    DTypeError
    """
    for name, dtype in (("x", x_dtype), ("w", w_dtype)):
        if not is_byte(dtype):
            raise DTypeError(f"{name} has dtype {dtype} but {what} int8 and uint8; convert {name} first")


def are_zero(filters: int, x_zero_point: object, w_zero_point: object) -> bool:
    """Whether zero points are integers, one or one a filter, and all of them 0: what every dtype has.

    Raises
    ------
    ArgumentError, ShapeError
        If they are no such integers.
    """
    points = [
        _points(name, value, np.dtype(np.int64), shape)
        for name, value, shape in (("x_zero_point", x_zero_point, ()), ("w_zero_point", w_zero_point, (filters,)))
    ]
    return not any(each.any() for each in points)


def zero_point(name: str, value: object, dtype: np.dtype[Any]) -> int:
    """Return a zero point as an int within the range of the dtype whose numbers it belongs to.

    Raises
    ------
    ArgumentError
        If it is no integer, or out of range.
    """
    if type(value) is int:  # the usual one takes no array
        info = np.iinfo(dtype)
        if info.min <= value <= info.max:
            return value
    return int(_points(name, value, dtype, ()).item())


def _points(name: str, value: object, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    points = own(as_array(name, value)) if value is not None else np.array(np.nan)
    if points.dtype.kind not in "iu":
        raise ArgumentError(f"{name} must be an integer, got {shown(value)}")
    if points.shape != ():
        if points.shape == (1,):  # one for all, as ONNX has it
            points = points.reshape(())
        elif points.shape != shape:
            wanted = f"one integer, or one for each filter, {shape}" if shape else "one integer"
            raise ShapeError(f"{name} has shape {points.shape} but must be {wanted}")
    info = np.iinfo(dtype)
    if points.size and not (info.min <= int(points.min()) and int(points.max()) <= info.max):
        raise ArgumentError(f"{name} must lie in the range of {dtype}, {info.min} to {info.max}, got {shown(value)}")
    return points


def centred(w: NDArray[Any], w_zero_point: object) -> NDArray[Any]:
    """Return weights less their zero points, in as few bytes as hold them.

    Parameters
    ----------
    w : ndarray of int8 or uint8, (filters, ...)
    w_zero_point : int or array_like, (filters,)

    Returns
    -------
    ndarray of int8 or int16

    Raises
    ------
    ArgumentError, ShapeError
        If a zero point does not fit.
    """
    if w.dtype == np.int8 and type(w_zero_point) is int and w_zero_point == 0:
        return w
    points = _points("w_zero_point", w_zero_point, w.dtype, w.shape[:1])
    if w.dtype == np.int8 and not points.any():
        return w
    each = points.astype(np.int16).reshape(-1, *[1] * (w.ndim - 1))
    bounds = [np.int16(0)]
    if w.size:
        others = tuple(range(1, w.ndim))
        bounds = [(reduce(w, axis=others, keepdims=True) - each) for reduce in (np.min, np.max)]
    fits = min(map(np.min, bounds)) >= -128 and max(map(np.max, bounds)) <= 127
    moved = np.empty(w.shape, np.int8 if fits else np.int16)
    np.subtract(w, each, out=moved, dtype=np.int16, casting="unsafe")  # in pieces: nothing of the size of w beside
    return moved


def are_small(w: NDArray[Any]) -> bool:
    """Whether weights are bytes of -64 to 64: two products of such with unsigned bytes have a sum of 16 bits."""
    if w.dtype.kind == "b" or w.size == 0:
        return w.dtype.itemsize == 1
    return bool(w.dtype == np.int8 and w.min() >= -_SMALL and w.max() <= _SMALL)


def factors(filters: int, x_scale: ArrayLike, w_scale: ArrayLike, y_scale: ArrayLike) -> NDArray[Any]:
    """Return what the sums of each filter are multiplied with: ``x_scale · w_scale / y_scale``, in float32.

    Returns
    -------
    ndarray of float32, (filters,)

    Raises
    ------
    ArgumentError, ShapeError
        If a scale is not positive and finite, or there is not one for each filter.
    """
    x, w, y = (
        _scale(name, value, shape)
        for name, value, shape in (("x_scale", x_scale, ()), ("w_scale", w_scale, (filters,)), ("y_scale", y_scale, ()))
    )
    found = np.empty(filters, np.float32)
    with np.errstate(all="ignore"):
        found[:] = x * w / y
    return found


def _scale(name: str, value: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    if type(value) in (float, np.float32) and _LEAST <= value <= _GREATEST:
        return np.array(value, np.float32)
    scale = own(as_array(name, value))
    if scale.dtype.kind not in "iuf":
        raise ArgumentError(f"{name} must be a positive number, got {shown(value)}")
    with np.errstate(all="ignore"):
        scale = scale.astype(np.float32)
    if scale.shape == (1,):  # one for all, as ONNX has it
        scale = scale.reshape(())
    if scale.shape not in ((), shape):
        wanted = f"one number, or one for each filter, {shape}" if shape else "one number"
        raise ShapeError(f"{name} has shape {scale.shape} but must be {wanted}")
    if not bool(np.all(np.isfinite(scale) & (scale > 0))):
        raise ArgumentError(f"{name} must be positive and finite in float32, got {shown(value)}")
    return scale


def fixed_factors(
    filters: int, x_scale: ArrayLike, w_scale: ArrayLike, y_scale: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return what the sums of each filter are multiplied with as TFLite has it: ``multiplier · 2**(exponent - 31)``.

    Returns
    -------
    multipliers : ndarray of int64, (filters,)
        0, or 2³⁰ to 2³¹ - 1.
    exponents : ndarray of int64, (filters,)

    Raises
    ------
    ArgumentError, ShapeError
        As `factors`.

    Examples
    --------
    >>> fixed_factors(1, 0.5, 0.25, 1.0)
    (array([1073741824]), array([-2]))
    """
    x, w, y = (
        _scale(name, value, shape).astype(np.float64)
        for name, value, shape in (("x_scale", x_scale, ()), ("w_scale", w_scale, (filters,)), ("y_scale", y_scale, ()))
    )
    parts, exponents = np.frexp(np.broadcast_to(x * w / y, filters))
    multipliers = np.floor(np.ldexp(parts, 31) + 0.5).astype(np.int64)
    is_whole = multipliers == 1 << 31  # rounded up to the next power
    exponents = exponents.astype(np.int64) + is_whole
    multipliers[is_whole] = 1 << 30
    multipliers[exponents < -31] = 0
    return multipliers, np.where(multipliers == 0, 0, exponents)


def tflite_bounds(activation: str | None, point: int, y_scale: ArrayLike, dtype: np.dtype[Any]) -> tuple[int, int]:
    """Return between which integers an activation holds a result, as TFLite computes them.

    Parameters
    ----------
    activation : {None, "relu", "relu6"}
    point : int
        The result's zero point.
    y_scale : float
        Its scale.
    dtype : dtype
        Its own.

    Examples
    --------
    >>> tflite_bounds("relu6", -10, 0.1, np.dtype(np.int8))
    (-10, 50)
    """
    info = np.iinfo(dtype)
    least, greatest = int(info.min), int(info.max)
    if activation is not None:
        least = max(least, point)
    if activation == "relu6":
        with np.errstate(all="ignore"):
            six = np.float32(6) / _scale("y_scale", y_scale, ())
        greatest = min(greatest, point + int(np.floor(min(float(six), 256.0) + 0.5)))
    return least, greatest


def rescaled(
    sums: NDArray[np.int64], multipliers: NDArray[np.int64], exponents: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return sums times their factors, as TFLite's reference kernels round them: twice.

    Parameters
    ----------
    sums : ndarray of int64
        Of 32 bits.
    multipliers, exponents : ndarray of int64
        As of `fixed_factors`; they broadcast against `sums`.

    Notes
    -----
    The upper half of twice the product is rounded to the nearest, halves away from 0; and so are the bits that are
    then shifted out. What a positive exponent takes beyond 32 bits is the least or the greatest integer.
    """
    info = np.iinfo(np.int32)
    wide = np.clip(sums << np.clip(exponents, 0, 31), info.min, info.max) * multipliers
    wide += np.where(wide < 0, 1 - (1 << 30), 1 << 30)
    high = (wide + ((wide >> 63) & ((1 << 31) - 1))) >> 31  # towards 0, as C divides
    right = np.maximum(-exponents, 0)
    mask = (np.int64(1) << right) - 1
    return np.asarray((high >> right) + ((high & mask) > (mask >> 1) + (high < 0)))
