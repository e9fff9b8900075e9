"""Arrays in, arrays out: what is accepted as an image, and what as `out`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, DTypeError, OutputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike, NDArray


_NUMBERS = "biufc"
"""The kinds of NumPy's own dtypes that hold numbers."""


def as_array(name: str, value: Any) -> NDArray[Any]:
    """Return `value` as a NumPy array, without a copy where it holds one.

    Parameters
    ----------
    name : str
        What an error names.
    value : array_like
        An ndarray, or a CPU object that speaks ``__array__`` or DLPack, or nested sequences of numbers.

    Returns
    -------
    ndarray
        Of a boolean, integer, float, complex or registered (bfloat16) dtype; any memory order.

    Raises
    ------
    DTypeError
        For masked arrays, structured, object, string and time dtypes, and what no array can be made of.
    """
    if type(value) is np.ndarray and value.dtype.kind in _NUMBERS:  # all but the rare call
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise DTypeError(f"{name} is a masked array, whose mask would be lost; fill it first, as in {name}.filled(0)")
    try:
        array = _convert(value)
    except Exception as cause:
        raise DTypeError(
            f"{name} of type {type(value).__name__} cannot be used as a NumPy array ({cause}); pass an ndarray in CPU "
            "memory"
        ) from cause
    if not _is_numeric(array.dtype):
        raise DTypeError(
            f"{name} has dtype {array.dtype}, which is not a number; convert it first, as in {name}.astype(float)"
        )
    return array


def _convert(value: Any) -> NDArray[Any]:
    if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
        return np.from_dlpack(value)
    return np.asarray(value)


def as_dtype(name: str, value: DTypeLike) -> np.dtype[Any]:
    """Return `value` as a dtype that arrays may have here.

    Parameters
    ----------
    name : str
        What an error names.
    value : dtype_like
        Such as ``np.float32`` or ``"int8"``.

    Raises
    ------
    DTypeError
        If it is no dtype, or one that `as_array` refuses.
    """
    try:
        dtype = np.dtype(value)
    except TypeError as cause:
        raise DTypeError(f"{name}={value!r} is not a dtype; pass one such as np.float32") from cause
    if not _is_numeric(dtype):
        raise DTypeError(f"{name}={dtype} is not a number; pass one such as np.float32")
    return dtype


def _is_numeric(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in _NUMBERS or is_registered(dtype)


def is_registered(dtype: np.dtype[Any]) -> bool:
    """Whether another package registered the dtype with NumPy, as ml_dtypes does with bfloat16."""
    return dtype.isbuiltin == 2


def is_registered_float(dtype: np.dtype[Any]) -> bool:
    """Whether a registered dtype holds fractions: bfloat16 does, int4 does not."""
    return is_registered(dtype) and bool(np.array(0.5).astype(dtype).astype(np.float64) == 0.5)


def native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in the machine's own byte order."""
    return dtype if dtype.byteorder in "=|" else dtype.newbyteorder("=")


def check_output(
    out: Any, shape: tuple[int, ...], dtype: np.dtype[Any], inputs: Sequence[NDArray[Any]]
) -> NDArray[Any]:
    """Return `out` if the result can be written to it, and say why where it cannot.

    Parameters
    ----------
    out : ndarray
        The user's array; any strides.
    shape, dtype
        The result's.
    inputs : sequence of ndarray
        Arrays that are read while `out` is written.

    Raises
    ------
    OutputError
        If `out` is no ndarray, has another shape or dtype, is read-only, or shares memory with itself or an input.
    """
    problem = _problem_of(out, shape, dtype, inputs)
    if problem is not None:
        raise OutputError(f"out {problem}")
    return out  # type: ignore[no-any-return]  # an ndarray, or there is a problem


def _problem_of(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any], inputs: Sequence[NDArray[Any]]) -> str | None:
    """Return what is wrong with an `out`, and what to pass instead."""
    if type(out) is not np.ndarray and (
        not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray | np.matrix)
    ):
        return f"is a {type(out).__name__}; pass an ndarray"
    if out.shape != shape:
        return f"has shape {out.shape} but the result has {shape}; pass np.empty({shape}, {str(dtype)!r})"
    if out.dtype != dtype:
        return f"has dtype {out.dtype} but the result has {dtype}; pass np.empty({shape}, {str(dtype)!r})"
    flags = out.flags
    if not flags.writeable:
        return "is read-only; pass a writeable array"
    if not flags.c_contiguous and _overlaps_itself(out):
        return "has elements that share memory; pass np.empty of the result's shape"
    for x in inputs:
        if np.may_share_memory(out, x) and _overlap(out, x):  # the first compares ranges of addresses
            return "shares memory with an input, which would be overwritten while it is read; pass another array"
    return None


def _overlaps_itself(out: NDArray[Any]) -> bool:
    """Whether strides do not nest: slices and transposes of an ordinary array always do."""
    reach = out.itemsize
    for stride, n in sorted((abs(s), n) for s, n in zip(out.strides, out.shape, strict=True) if n > 1):
        if stride < reach:
            return True
        reach += stride * (n - 1)
    return False


def _overlap(a: NDArray[Any], b: NDArray[Any]) -> bool:
    try:
        return bool(np.shares_memory(a, b, max_work=10_000))  # type: ignore[arg-type]  # NumPy's stub knows -1 and 0 only
    except np.exceptions.TooHardError:
        return True


def constant(value: object, dtype: np.dtype[Any], channels: int | None = None) -> NDArray[Any]:
    """Return the padding value as an array of the image's dtype.

    Parameters
    ----------
    value : scalar, or sequence of one for each channel
        The user's `padding_value`.
    dtype : dtype
        The image's.
    channels : int, optional
        How many the image has; None if it has no axis for them.

    Returns
    -------
    ndarray, shape (), or (channels,) where they differ

    Raises
    ------
    DTypeError
        If `dtype` cannot hold the value: a NaN or a fraction for integers, a negative number for unsigned ones, a
        complex number for reals.
    ArgumentError
        If there are several, but not one for each channel.
    """
    if type(value) is int and value == 0:  # all but the rare call
        return np.zeros((), dtype)
    if not (isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim)):
        return _constant(value, dtype)
    if channels is None or len(value) != channels:
        axis = "an image without a channel axis" if channels is None else f"{channels} channels"
        raise ArgumentError(f"padding_value has {len(value)} values for {axis}; give one scalar, or one per channel")
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype == dtype:
        values = np.ascontiguousarray(value, dtype)
    else:
        values = np.array([_constant(each, dtype) for each in value], dtype)
    alike = values.tobytes() == values[:1].tobytes() * channels  # the bytes: NaN is itself, -0.0 a value of its own
    return np.array(values[0] if channels else 0, dtype) if alike else values


def _constant(value: object, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return one value as a 0-d array."""
    bits = value.bit_length() if isinstance(value, int) else 0
    shown = repr(value) if bits <= 128 else f"an integer of {bits} bits"
    wrong = DTypeError(f"padding_value {shown} is not a value of the image's dtype {dtype}")
    try:
        scalar = np.asarray(value)
        if isinstance(value, int) and scalar.dtype.hasobject and dtype.kind not in "biu":
            scalar = np.asarray(float(value))  # an integer beyond 64 bits
    except (TypeError, ValueError, OverflowError):
        raise wrong from None
    if is_registered(scalar.dtype):
        scalar = scalar.astype(np.float64)
    if scalar.ndim or scalar.dtype.kind not in "biufc" or (scalar.dtype.kind == "c" and dtype.kind != "c"):
        raise wrong
    with np.errstate(all="ignore"):
        try:
            # From Python's own number: NumPy refuses to wrap those, and rounds them once.
            cast = np.array(scalar.item()).astype(dtype)
            if dtype.kind in "iu" and scalar.dtype.kind in "iu":
                cast = np.array(scalar.item(), dtype)
        except (TypeError, ValueError, OverflowError):
            raise wrong from None
        exact = bool(cast == scalar) if dtype.kind in "biu" else True
        overflow = bool(np.isfinite(scalar)) and not bool(np.isfinite(cast.astype(np.complex128)))
    if overflow or not exact:
        raise wrong
    return cast
