"""The end of every algorithm: bias, activation, rounding, and the one store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..activation import Activation


def finish(sums: NDArray[Any], bias: NDArray[Any] | None, activation: Activation | None, out: NDArray[Any]) -> None:
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
    """
    if bias is not None:
        sums += bias.reshape(-1, *[1] * (sums.ndim - 1))
    if activation is not None:
        sums = activation(sums)
    np.copyto(out, sums, casting="unsafe")
