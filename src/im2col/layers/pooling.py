"""Pooling over windows: `max_pool`, `average_pool`, `lp_pool`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from ..engine.host import require_memory
from ..engine.threads import resolve_threads
from ..errors import ArgumentError, shown
from ..spec.arguments import is_a, word
from ..spec.arrays import as_array, same_kind
from .pooled import WAY_OUT, Window, pooled, pooling_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ..spec import geometry
    from ..spec.padding import Padding

    Array = NDArray[Any]

Numbering = Literal["spatial", "tensor"]


@overload
def max_pool(
    x: ArrayLike,
    kernel_size: geometry.Window,
    *,
    stride: geometry.Window | None = None,
    padding: Padding = 0,
    dilation: geometry.Window = 1,
    ceil_mode: bool = False,
    return_indices: Literal[False] = False,
    layout: str | None = None,
    out: Array | None = None,
    threads: int | None = None,
) -> Array: ...


@overload
def max_pool(
    x: ArrayLike,
    kernel_size: geometry.Window,
    *,
    stride: geometry.Window | None = None,
    padding: Padding = 0,
    dilation: geometry.Window = 1,
    ceil_mode: bool = False,
    return_indices: Literal[True] | Numbering,
    layout: str | None = None,
    out: Array | None = None,
    threads: int | None = None,
) -> tuple[Array, NDArray[np.int64]]: ...


@same_kind
def max_pool(
    x: ArrayLike,
    kernel_size: geometry.Window,
    *,
    stride: geometry.Window | None = None,
    padding: Padding = 0,
    dilation: geometry.Window = 1,
    ceil_mode: bool = False,
    return_indices: bool | Numbering = False,
    layout: str | None = None,
    out: Array | None = None,
    threads: int | None = None,
) -> Array | tuple[Array, NDArray[np.int64]]:
    """Return the greatest pixel of each window, channel by channel.

    Parameters
    ----------
    x : array_like
        The image, as for `im2col`: any numeric dtype but complex ones.
    kernel_size : int or tuple of int
        Pixels of a window along each spatial axis; an int means two axes, or the spatial axes of `layout`.
    stride : int or tuple of int, optional
        Pixels between neighbouring windows; `kernel_size` if left out.
    padding : int, tuple or str
        As for `im2col`. What pads is never the greatest.
    dilation : int or tuple of int
        Pixels between neighbouring taps of a window.
    ceil_mode : bool
        Whether a last window may stick out behind the padded image along each axis, so that no pixel is left over, if
        it begins in the image or in the padding before it: torch's rule, and ONNX's.
    return_indices : bool or {"spatial", "tensor"}
        Whether to return where the greatest pixels lie, too. ``"spatial"``, as True: within the spatial axes of one
        channel, in row-major order, as torch counts. ``"tensor"``: within all of `x`, in the order of ``x.ravel()``, as
        ONNX counts (with its ``storage_order=0``).
    layout : str, optional
        The axes of `x`, such as ``"NHWC"``.
    out : ndarray, optional
        Where to write the greatest pixels; the result's shape and dtype, any strides, no memory shared with `x`.
    threads : int, optional
        How many threads may work; see `set_threads`. The result does not depend on it.

    Returns
    -------
    ndarray, or (ndarray, ndarray of int64)
        A new array, or `out`, of x's dtype in its layout; and the indices of its shape, if they are asked for: of the
        first of several greatest pixels. NaN is greater than any number, and of several the last one counts, as in
        torch. A window that lies in the padding alone gives -inf, or the least integer, and the index -1.

    Raises
    ------
    GeometryError, LayoutError, ArgumentError, DTypeError, OutputError
        If an argument does not fit; nothing has been written then.
    MemoryBudgetError
        If the result would not fit the available memory.

    See Also
    --------
    max_pool_input_gradient, max_unpool : what the indices are for.

    Notes
    -----
    Rows are compared before columns: a window of k×k pixels costs 2k comparisons, or fewer, and not k².

    ONNX's ``storage_order=1`` counts columns first: ``np.ravel_multi_index(np.unravel_index(indices, spatial)[::-1],
    spatial[::-1])`` of spatial indices.

    Examples
    --------
    >>> import numpy as np
    >>> from im2col import max_pool
    >>> x = np.arange(16).reshape(4, 4)
    >>> max_pool(x, 2)
    array([[ 5,  7],
           [13, 15]])
    >>> max_pool(x, 3, stride=2, padding=1, return_indices=True)[1]
    array([[ 5,  7],
           [13, 15]])
    """
    image = as_array("x", x)
    numbering = _numbering(return_indices)
    window = Window(kernel_size, stride, padding, dilation, ceil_mode)
    found: Array | tuple[Array, NDArray[np.int64]] = _greatest(image, window, numbering, layout, out, threads)
    return found


def _greatest(
    image: Array, window: Window, numbering: str | None, layout: str | None, out: Array | None, threads: int | None
) -> Any:
    """Return the greatest pixels of windows, and where they lie if they are to be numbered."""
    if numbering is None:
        return pooled(image, "maximum", window, layout, out, threads)
    places = pooling_of(image, "place", window, layout)
    count = math.prod(places.shape)
    beside = count * image.dtype.itemsize if out is None else 0
    if numbering == "tensor":  # and what counts them through: a place on each axis, one product, what lies outside
        beside += ((len(places.axes.spatial) + 1) * 8 + 1) * count
    require_memory(count * 8, WAY_OUT, "the indices {} of int64", places.shape, beside=beside)
    greatest = pooled(image, "maximum", window, layout, out, threads)
    indices = pooled(image, "place", window, layout, None, threads)
    if numbering == "tensor":
        _count_through(indices, image.shape, places.axes)
    return greatest, indices


def _numbering(return_indices: object) -> str | None:
    """Return how indices count, or None where there are none."""
    if is_a(return_indices, (bool, np.bool_)):
        return "spatial" if return_indices else None
    name = word(return_indices)
    if name not in ("spatial", "tensor"):
        raise ArgumentError(
            "return_indices must be True or False, 'spatial' (within a channel) or 'tensor' (within x.ravel()); got "
            f"{shown(return_indices)}"
        )
    return name


def _count_through(indices: Array, shape: tuple[int, ...], axes: Any) -> None:
    """Turn indices within the spatial axes of a channel into those within the whole image."""
    strides = np.cumprod([1, *shape[:0:-1]], dtype=np.int64)[::-1]
    step = dict(zip(axes.axes, strides.tolist(), strict=True))
    spatial = tuple(max(1, n) for n in axes.spatial_shape(shape))  # of an empty axis there are no indices but -1
    outside = indices < 0
    indices[outside] = 0
    places = np.unravel_index(indices, spatial)
    indices[...] = 0
    for place, letter in zip(places, axes.spatial, strict=True):
        indices += place * step[letter]
    for position, letter in enumerate(axes.axes):
        if letter not in axes.spatial:
            along = [1] * indices.ndim
            along[position] = -1
            indices += (np.arange(shape[position]) * step[letter]).reshape(along)
    indices[outside] = -1


@same_kind
def average_pool(
    x: ArrayLike,
    kernel_size: geometry.Window,
    *,
    stride: geometry.Window | None = None,
    padding: Padding = 0,
    dilation: geometry.Window = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    layout: str | None = None,
    out: Array | None = None,
    threads: int | None = None,
) -> Array:
    """Return the mean of each window, channel by channel.

    Parameters
    ----------
    x : array_like
        The image, as for `im2col`: any numeric dtype.
    kernel_size, stride, padding, dilation, ceil_mode, layout, threads
        As for `max_pool`. What pads is 0.
    count_include_pad : bool
        Whether a mean is over the padding, too, as torch has it by default (ONNX does not). What a last window sticks
        out with `ceil_mode` is never counted.
    out : ndarray, optional
        Where to write; the result's shape and dtype, any strides, no memory shared with `x`.

    Returns
    -------
    ndarray
        A new array, or `out`, in x's layout: of x's dtype if that is one of floats or complex numbers (at most 16 bits
        are summed in float32), of float64 for integers, as ``np.mean`` has it; sums are exact below 2**53. A window
        over which nothing is counted gives NaN.

    Raises
    ------
    GeometryError, LayoutError, ArgumentError, DTypeError, OutputError
        If an argument does not fit; nothing has been written then.
    MemoryBudgetError
        If the result would not fit the available memory.

    Examples
    --------
    >>> import numpy as np
    >>> from im2col import average_pool
    >>> average_pool(np.arange(16).reshape(4, 4), 2)
    array([[ 2.5,  4.5],
           [10.5, 12.5]])
    >>> average_pool(np.ones((3, 3)), 3, stride=2, padding=1)
    array([[0.44444444, 0.44444444],
           [0.44444444, 0.44444444]])
    >>> average_pool(np.ones((3, 3)), 3, stride=2, padding=1, count_include_pad=False)
    array([[1., 1.],
           [1., 1.]])
    """
    image = as_array("x", x)
    window = Window(kernel_size, stride, padding, dilation, ceil_mode, count_include_pad)
    return pooled(image, "mean", window, layout, out, threads)


@same_kind
def lp_pool(
    x: ArrayLike,
    kernel_size: geometry.Window,
    *,
    p: float = 2,
    stride: geometry.Window | None = None,
    padding: Padding = 0,
    dilation: geometry.Window = 1,
    ceil_mode: bool = False,
    layout: str | None = None,
    out: Array | None = None,
    threads: int | None = None,
) -> Array:
    """Return the p-norm of each window, channel by channel: the p-th root of the sum of ``abs(x)**p``.

    Parameters
    ----------
    x : array_like
        The image, as for `im2col`: any numeric dtype.
    p : float
        Greater than 0. 1 is the sum of magnitudes, ``inf`` the greatest of them.
    kernel_size, stride, padding, dilation, ceil_mode, layout, threads
        As for `max_pool`. What pads is 0.
    out : ndarray, optional
        Where to write; the result's shape and dtype, any strides, no memory shared with `x`.

    Returns
    -------
    ndarray
        A new array, or `out`, in x's layout: of x's dtype if that is one of floats (at most 16 bits are summed in
        float32), of the real one for complex numbers, of float64 for integers.

    Raises
    ------
    GeometryError, LayoutError, ArgumentError, DTypeError, OutputError
        If an argument does not fit; nothing has been written then.
    MemoryBudgetError
        If the result would not fit the available memory.

    Notes
    -----
    This is ONNX's LpPool. torch's ``lp_pool2d`` leaves out the magnitude: for an odd p and negative pixels it gives
    another number.

    Examples
    --------
    >>> import numpy as np
    >>> from im2col import lp_pool
    >>> lp_pool(np.array([[3.0, 4.0], [0.0, 0.0]]), 2), lp_pool(np.array([[-1.0, 2.0]]), (1, 2), p=1)
    (array([[5.]]), array([[3.]]))
    """
    window = Window(kernel_size, stride, padding, dilation, ceil_mode)
    return norms(as_array("x", x), p, window, layout, out, threads)


def norms(image: Array, p: float, window: Window, layout: str | None, out: Array | None, threads: int | None) -> Array:
    """Return the p-norms of windows."""
    order = _order(p)
    if order == 2 and image.dtype.kind != "c":
        return pooled(image, "root", window, layout, out, threads)
    summed = pooling_of(image, "sum", window, layout)
    real, work = (np.empty(0, dtype).real.dtype for dtype in (summed.dtype, summed.work))
    workers = resolve_threads(threads)
    copies = 2 * image.size * summed.work.itemsize + math.prod(summed.shape) * work.itemsize
    summed = summed._replace(dtype=real, work=work)
    result = summed.result(out, (image,), lambda: copies + summed.workspace_bytes(image, workers))
    with np.errstate(all="ignore"):
        powers = np.abs(image.astype(summed.work if image.dtype.kind != "c" else image.dtype))
        if order == math.inf:
            greatest = summed.pool._replace(reduction="maximum")
            summed._replace(pool=greatest).fill(powers, result, workers)
            np.maximum(result, np.zeros((), result.dtype), out=result)
        else:
            wide = np.empty(summed.shape, work)
            summed._replace(dtype=work).fill(np.power(powers, order, out=powers), wide, workers)
            result[...] = wide if order == 1 else np.power(wide, 1 / order, out=wide)
    return result if out is None else out


def _order(p: object) -> float:
    """Return the order of a norm.

    Raises
    ------
    ArgumentError
        If it is no number, or not positive.
    """
    try:
        order = 0.0 if is_a(p, (str, bytes, bool, np.bool_)) else float(p)  # type: ignore[arg-type]  # that is tried
    except Exception:  # no number, or one that fails
        order = 0.0
    if not order > 0:
        raise ArgumentError(f"p must be a number greater than 0, got {shown(p)}")
    return order
