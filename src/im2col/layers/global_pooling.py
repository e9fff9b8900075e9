"""Pooling over the whole image: `global_max_pool`, `global_average_pool`, `global_lp_pool`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..spec.arrays import as_array, same_kind
from .pooled import Window, pooled
from .pooling import norms

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[Any]

_WHOLE = Window(None)


@same_kind
def global_max_pool(
    x: ArrayLike, *, layout: str | None = None, out: Array | None = None, threads: int | None = None
) -> Array:
    """Return the greatest pixel of each channel.

    Parameters
    ----------
    x : array_like
        The image: (H, W), (C, H, W) or (N, C, H, W), or as `layout` says. Any numeric dtype but complex ones.
    layout : str, optional
        The axes of `x`, such as ``"NHWC"``; needed for other than two spatial axes.
    out : ndarray, optional
        Where to write; the result's shape and dtype, any strides, no memory shared with `x`.
    threads : int, optional
        How many threads may work; see `set_threads`. The result does not depend on it.

    Returns
    -------
    ndarray
        A new array, or `out`, of x's dtype in its layout, with spatial axes of length 1. NaN is greater than any
        number.

    Raises
    ------
    GeometryError, LayoutError, ArgumentError, DTypeError, OutputError
        If an argument does not fit; nothing has been written then.
    MemoryBudgetError
        If the result would not fit the available memory.

    Examples
    --------
    >>> import numpy as np
    >>> from im2col import global_max_pool
    >>> global_max_pool(np.arange(8).reshape(2, 2, 2))
    array([[[3]],
    <BLANKLINE>
           [[7]]])
    """
    image = as_array("x", x)
    return pooled(image, "maximum", _WHOLE, layout, out, threads)


@same_kind
def global_average_pool(
    x: ArrayLike, *, layout: str | None = None, out: Array | None = None, threads: int | None = None
) -> Array:
    """Return the mean of each channel.

    Parameters
    ----------
    x : array_like
        The image: (H, W), (C, H, W) or (N, C, H, W), or as `layout` says. Any numeric dtype.
    layout, out, threads
        As for `global_max_pool`.

    Returns
    -------
    ndarray
        A new array, or `out`, in x's layout, with spatial axes of length 1; of the dtype that `average_pool` gives.

    Raises
    ------
    GeometryError, LayoutError, ArgumentError, DTypeError, OutputError
        If an argument does not fit; nothing has been written then.
    MemoryBudgetError
        If the result would not fit the available memory.

    Examples
    --------
    >>> import numpy as np
    >>> from im2col import global_average_pool
    >>> global_average_pool(np.arange(8.0).reshape(1, 2, 2, 2), layout="NHWC")
    array([[[[3., 4.]]]])
    """
    image = as_array("x", x)
    return pooled(image, "mean", _WHOLE, layout, out, threads)


@same_kind
def global_lp_pool(
    x: ArrayLike, *, p: float = 2, layout: str | None = None, out: Array | None = None, threads: int | None = None
) -> Array:
    """Return the p-norm of each channel.

    Parameters
    ----------
    x : array_like
        The image: (H, W), (C, H, W) or (N, C, H, W), or as `layout` says. Any numeric dtype.
    p : float
        As for `lp_pool`.
    layout, out, threads
        As for `global_max_pool`.

    Returns
    -------
    ndarray
        A new array, or `out`, in x's layout, with spatial axes of length 1; of the dtype that `lp_pool` gives.

    Raises
    ------
    GeometryError, LayoutError, ArgumentError, DTypeError, OutputError
        If an argument does not fit; nothing has been written then.
    MemoryBudgetError
        If the result would not fit the available memory.

    Examples
    --------
    >>> import numpy as np
    >>> from im2col import global_lp_pool
    >>> global_lp_pool(np.array([[3.0, 4.0]]))
    array([[5.]])
    """
    return norms(as_array("x", x), p, _WHOLE, layout, out, threads)
