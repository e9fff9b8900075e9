"""The end of every algorithm: bias, activation, rounding, and the one store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..spec.activation import Activation


def finish(
    sums: NDArray[Any],
    bias: NDArray[Any] | None,
    activation: Activation | None,
    out: NDArray[Any],
    scales: NDArray[Any] | None = None,
    zero_point: int = 0,
) -> None:
    """Add the bias, apply the activation, round, and store.

    Parameters
    ----------
    sums : ndarray, (filters, ...)
        In the accumulator's dtype; overwritten.
    bias : ndarray, (filters,), or None
        In the same dtype.
    activation : Activation or None
    out : ndarray
        The shape of `sums`; any strides, the result's dtype.
    scales : ndarray of float32, (filters,), or None
        With them the sums are requantised: multiplied, rounded to integers with ties to even, moved by `zero_point`,
        and held within the result's range.
    zero_point : int
    """
    if bias is not None:
        sums += _each(bias, sums)
    if scales is not None:
        sums = sums.astype(np.float32) * _each(scales, sums)
    if activation is not None:
        sums = activation(sums)
    if scales is not None:
        info = np.iinfo(out.dtype)
        sums = np.clip(np.rint(sums), int(info.min) - zero_point, int(info.max) - zero_point) + np.float32(zero_point)
    np.copyto(out, sums, casting="unsafe")


def _each(values: NDArray[Any], sums: NDArray[Any]) -> NDArray[Any]:
    return values.reshape(-1, *[1] * (sums.ndim - 1))
