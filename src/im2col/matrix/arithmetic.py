"""What sums of a fold are kept in, and what is done to entries and sums on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..spec.arrays import is_registered, sum_dtype

if TYPE_CHECKING:
    from numpy.typing import NDArray


def accumulator(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype that sums are kept in: np.sum's for integers, at least float32 for floats."""
    if dtype == np.float16 or is_registered(dtype):
        return np.dtype(np.float32)
    return sum_dtype(dtype)


def weighed(entries: NDArray[Any], weights: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return entries (N, C, *kernel, *output) times weights (1 or C, *kernel), in the dtype of sums."""
    values = np.empty_like(entries, dtype)
    every = weights[(..., *[np.newaxis] * (weights.ndim - 1))]
    for product, part in zip(parts_of(values), parts_of(entries), strict=True):
        np.multiply(part, every, out=product, dtype=product.dtype, casting="unsafe")
    return values


def divide(total: NDArray[Any], divisor: NDArray[Any]) -> None:
    """Divide sums, real or complex, by a real divisor over their last axes."""
    for part in parts_of(total):
        np.divide(part, divisor, out=part)


def parts_of(array: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """Return the real arrays that an array consists of: two views of a complex one."""
    return (array.real, array.imag) if array.dtype.kind == "c" else (array,)
