"""The adjoints of pooling: `max_pool_input_gradient`, `average_pool_input_gradient`, and `max_unpool`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..engine.host import array_bytes, require_memory
from ..engine.threads import resolve_threads
from ..errors import DTypeError, ShapeError
from ..importing import importing
from ..memory import memoized
from ..spec import layout as layouts
from ..spec.arguments import checked_shape
from ..spec.arrays import as_array, check_numbers, check_output, native, same_kind, sum_dtype
from ..spec.geometry import Geometry
from ..spec.pool import Pool, divisors
from ..spec.problem import accumulator
from ..spec.strides import row_major
from .pooled import Window, axes_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ..spec import geometry
    from ..spec.layout import Layout
    from ..spec.padding import Padding

    Array = NDArray[Any]

_WAY_OUT = "work on fewer images at a time"


@same_kind
def max_pool_input_gradient(
    grad: ArrayLike,
    indices: ArrayLike,
    image_shape: tuple[int, ...],
    *,
    layout: str | None = None,
    out: Array | None = None,
) -> Array:
    """Return the gradient of the image that was pooled: each number goes to the pixel that was the greatest.

    Parameters
    ----------
    grad : array_like
        The gradient of the result of `max_pool`, of its shape.
    indices : array_like of integers
        Of the same shape: what ``max_pool(…, return_indices=True)`` gave.
    image_shape : tuple of int
        The image's shape, in `layout`.
    layout : str, optional
        The axes of image and gradient, such as ``"NHWC"``; needed for other than two spatial axes.
    out : ndarray, optional
        Where to write; the result's shape and dtype, any strides, no memory shared with `grad` or `indices`.

    Returns
    -------
    ndarray
        A new array, or `out`, of shape `image_shape`. Numbers for one pixel are added up: floats in their dtype (at
        most 16 bits in float32), integers as ``np.sum`` does. Those whose index is -1 are left out.

    Raises
    ------
    GeometryError, LayoutError, ArgumentError, ShapeError, DTypeError, OutputError
        If an argument does not fit; nothing has been written then.
    MemoryBudgetError
        If the result would not fit the available memory.

    Notes
    -----
    ``(max_pool(x, k) * g).sum() == (x * max_pool_input_gradient(g, indices, x.shape)).sum()`` for the indices of x.

    Examples
    --------
    >>> import numpy as np
    >>> from im2col import max_pool, max_pool_input_gradient
    >>> x = np.array([[1.0, 5.0, 2.0], [0.0, 3.0, 4.0]])
    >>> greatest, indices = max_pool(x, 2, stride=1, return_indices=True)
    >>> max_pool_input_gradient(np.ones((1, 2)), indices, x.shape)
    array([[0., 2., 0.],
           [0., 0., 0.]])
    """
    return _scattered("grad", as_array("grad", grad), indices, image_shape, layout, out, add=True)


@same_kind
def max_unpool(
    x: ArrayLike,
    indices: ArrayLike,
    image_shape: tuple[int, ...],
    *,
    layout: str | None = None,
    out: Array | None = None,
) -> Array:
    """Put the greatest pixels back where they lay, in an image of zeros.

    Parameters
    ----------
    x : array_like
        What `max_pool` gave, or something of its shape.
    indices : array_like of integers
        Of the same shape: what ``max_pool(…, return_indices=True)`` gave.
    image_shape : tuple of int
        The shape of the image that was pooled, in `layout`. torch and ONNX take it for ``(n - 1) * stride - padding +
        kernel`` along each axis where they are not told.
    layout : str, optional
        The axes of both, such as ``"NHWC"``; needed for other than two spatial axes.
    out : ndarray, optional
        Where to write; the result's shape and dtype, any strides, no memory shared with `x` or `indices`.

    Returns
    -------
    ndarray
        A new array, or `out`, of x's dtype and of shape `image_shape`. Of several numbers for one pixel the last one
        stays; those whose index is -1 are left out.

    Raises
    ------
    GeometryError, LayoutError, ArgumentError, ShapeError, DTypeError, OutputError
        If an argument does not fit; nothing has been written then.
    MemoryBudgetError
        If the result would not fit the available memory.

    Examples
    --------
    >>> import numpy as np
    >>> from im2col import max_pool, max_unpool
    >>> x = np.arange(8).reshape(2, 4)
    >>> greatest, indices = max_pool(x, 2, return_indices=True)
    >>> max_unpool(greatest, indices, x.shape)
    array([[0, 0, 0, 0],
           [0, 5, 0, 7]])
    """
    return _scattered("x", as_array("x", x), indices, image_shape, layout, out, add=False)


def _scattered(
    name: str, values: Array, given: ArrayLike, image_shape: Any, layout: str | None, out: Any, *, add: bool
) -> Array:
    """Return numbers in their places, all arguments checked."""
    shape, indices = checked_shape("image_shape", image_shape), as_array("indices", given)
    axes = axes_of(values.shape, layout)
    check_numbers(name, values.dtype)
    if indices.dtype.kind not in "iu":
        raise DTypeError(f"indices has dtype {indices.dtype}; pass integers, as max_pool(…, return_indices=True) gives")
    if indices.shape != values.shape:
        raise ShapeError(f"indices has shape {indices.shape} but {name} has {values.shape}; pass an index for each")
    _check_shape(name, values.shape, axes, shape, None)
    batch, channels = axes.size(layouts.BATCH, shape), axes.size(layouts.CHANNEL, shape)
    pixels, positions = math.prod(axes.spatial_shape(shape)), math.prod(axes.spatial_shape(values.shape))
    if indices.size and not (indices.min() >= -1 and indices.max() < pixels):
        wrong = indices.min() if indices.min() < -1 else indices.max()
        raise ShapeError(
            f"an index is {wrong} but image_shape {shape} has {pixels} pixels a channel; pass the shape of the image "
            "that was pooled, and indices within its spatial axes"
        )
    work, dtype = _dtypes(values.dtype) if add else (native(values.dtype),) * 2
    with importing:
        from ..algorithms.pooling.scatter import scatter, workspace_bytes

    # And copies of the numbers, the indices and the result, if they are made.
    beside = values.size * (8 + work.itemsize) + workspace_bytes(values.size, work, add=add)
    if dtype != work:
        beside += math.prod(shape) * work.itemsize
    result = _result(out, shape, dtype, [values, indices], beside)
    where = np.ascontiguousarray(axes.to_canonical(indices), np.int64).reshape(batch, channels, positions)
    numbers = np.ascontiguousarray(axes.to_canonical(values), work).reshape(where.shape)
    canonical = axes.to_canonical(result)
    direct = canonical.flags.c_contiguous and result.dtype == work and result.dtype.isnative
    image = canonical if direct else np.empty(canonical.shape, work)
    scatter(numbers, where, image.reshape(batch, channels, pixels), add=add)
    if not direct:
        canonical[...] = image
    return result if out is None else out


@same_kind
def average_pool_input_gradient(
    grad: ArrayLike,
    image_shape: tuple[int, ...],
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
    """Return the gradient of the image whose means were taken: the adjoint of `average_pool`.

    Parameters
    ----------
    grad : array_like
        The gradient of the result of `average_pool`, of its shape.
    image_shape : tuple of int
        The image's shape, in `layout`.
    kernel_size, stride, padding, dilation, ceil_mode, count_include_pad, layout, threads
        What `average_pool` used.
    out : ndarray, optional
        Where to write; the result's shape and dtype, any strides, no memory shared with `grad`.

    Returns
    -------
    ndarray
        A new array, or `out`, of shape `image_shape`: of grad's dtype if that is one of floats or complex numbers (at
        most 16 bits are summed in float32), of float64 for integers.

    Raises
    ------
    GeometryError, LayoutError, ArgumentError, ShapeError, DTypeError, OutputError
        If an argument does not fit; nothing has been written then.
    MemoryBudgetError
        If the result would not fit the available memory.

    Notes
    -----
    ``(average_pool(x, …) * g).sum() == (x * average_pool_input_gradient(g, x.shape, …)).sum()`` for every x. Each pixel
    is the sum of the gradients, divided as their windows were, of all windows that have it: a sum over windows again,
    of the gradient with as many zeros between its numbers as the stride skips.

    Examples
    --------
    >>> import numpy as np
    >>> from im2col import average_pool_input_gradient
    >>> average_pool_input_gradient(np.array([[4.0, 8.0]]), (2, 3), 2, stride=1)
    array([[1., 3., 2.],
           [1., 3., 2.]])
    """
    gradient = as_array("grad", grad)
    window = Window(kernel_size, stride, padding, dilation, ceil_mode, count_include_pad)
    workers = resolve_threads(threads)
    way = _way_back(gradient.shape, gradient.dtype, image_shape, layout, workers, *window)
    result = _result(out, way.shape, way.dtype, [gradient], way.nbytes)
    if not result.size:
        return result if out is None else out
    with importing:
        from ..algorithms.pooling import pool

    sums, numbers, places = way.spread
    with np.errstate(all="ignore"):
        spread = np.zeros(way.spread_shape, way.work)
        parts = way.axes.to_canonical(gradient)[(..., *numbers)].astype(way.work)
        spread[(..., *places)] = parts / way.divisors
        direct = result.dtype == way.work and result.dtype.isnative
        image = result if direct else np.empty(result.shape, way.work)
        pool(sums, spread, way.axes.to_canonical(image), workers)
        if not direct:
            result[...] = image
    return result if out is None else out


class _WayBack(NamedTuple):
    """How gradients of one kind of means become those of an image.

    Parameters
    ----------
    axes : Layout
    shape, dtype
        Of the result.
    work : dtype
        That is computed in.
    nbytes : int
        That are taken beside gradient and result.
    spread : _Spread
    spread_shape : tuple of int
        Of the gradient with what is put between its numbers.
    divisors : ndarray
        By which those numbers are divided.
    """

    axes: Layout
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    work: np.dtype[Any]
    nbytes: int
    spread: _Spread
    spread_shape: tuple[int, ...]
    divisors: Array


@memoized
def _way_back(
    grad_shape: tuple[int, ...],
    grad_dtype: np.dtype[Any],
    image_shape: Any,
    layout: str | None,
    workers: int,
    *window: Any,
) -> _WayBack:
    """Return the way back, all arguments checked."""
    shape = checked_shape("image_shape", image_shape)
    axes, what = Window(*window).over(shape, layout, "mean")
    check_numbers("grad", grad_dtype)
    _check_shape("grad", grad_shape, axes, shape, what.geometry.output_shape)
    own = native(grad_dtype)
    dtype = np.dtype(np.float64) if own.kind in "biu" else own
    work = accumulator(dtype)
    batch, channels = axes.size(layouts.BATCH, shape), axes.size(layouts.CHANNEL, shape)
    spread = _spread(what.geometry)
    spread_shape = batch, channels, *spread.sums.geometry.spatial_shape
    nbytes = 0
    if math.prod(shape):
        with importing:
            from ..algorithms.pooling import workspace_bytes

        strides = row_major(spread_shape, work.itemsize)
        out_strides = axes.strides(batch, channels, what.geometry.spatial_shape, work.itemsize)
        nbytes = math.prod(spread_shape) * work.itemsize
        nbytes += workspace_bytes(spread.sums, spread_shape, work, strides, out_strides, workers)
        # And copies of gradient and result, if they are made.
        nbytes += 2 * (math.prod(grad_shape) + math.prod(shape)) * work.itemsize
    shared = divisors(what, work)[spread.numbers]
    return _WayBack(axes, shape, dtype, work, nbytes, spread, spread_shape, shared)


class _Spread(NamedTuple):
    """The gradient with zeros between its numbers, and around them: a window for each pixel of the image.

    Parameters
    ----------
    sums : Pool
        The windows.
    numbers : tuple of slice
        Which of the gradient's numbers have a pixel in their windows.
    places : tuple of slice
        Where they stand among the zeros.
    """

    sums: Pool
    numbers: tuple[Any, ...]
    places: tuple[Any, ...]


def _spread(g: Geometry) -> _Spread:
    """Return how the gradient of windows is spread.

    The last tap of pixel i's window is the gradient of the window that begins at the pixel, and stands behind the first
    pixel's by i; the window of position o begins at pixel o·stride - padding.
    """
    shape = tuple(n + span - 1 for n, span in zip(g.spatial_shape, g.span, strict=True))
    numbers, places = [], []
    for size, count, s, span, (before, _) in zip(shape, g.output_shape, g.stride, g.span, g.padding, strict=True):
        shift = span - 1 - before
        first, stop = max(0, -(shift // s)), min(count, (size - 1 - shift) // s + 1)
        numbers.append(slice(first, max(first, stop)))
        places.append(slice(first * s + shift, max(first, stop) * s + shift, s))
    ones = (1,) * g.ndim
    windows = Geometry(shape, g.kernel_size, ones, ((0, 0),) * g.ndim, g.dilation)
    return _Spread(Pool("sum", windows, shape), tuple(numbers), tuple(places))


def _check_shape(
    name: str, shape: tuple[int, ...], axes: Layout, image_shape: tuple[int, ...], output: tuple[int, ...] | None
) -> None:
    """Refuse an array that does not have the axes of an image that was pooled: `output`, or any spatial shape."""
    if len(image_shape) != len(axes.axes):
        raise ShapeError(
            f"image_shape {image_shape} has {len(image_shape)} entries but {name} has the axes {axes.axes!r}; give one "
            "for each"
        )
    batch, channels = (axes.size(letter, image_shape) for letter in (layouts.BATCH, layouts.CHANNEL))
    spatial = output
    if spatial is None:
        spatial = axes.spatial_shape(shape)
    expected = axes.from_canonical_shape(batch, channels, spatial)
    if shape != expected:
        raise ShapeError(
            f"{name} has shape {shape} but pooling an image of shape {image_shape} gives {expected}; pass the gradient "
            "of its result, and what it used"
        )


def _dtypes(dtype: np.dtype[Any]) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Return in which dtype numbers are added up, and that of the result."""
    own = native(dtype)
    if own.kind in "biu":
        return (sum_dtype(own),) * 2
    return accumulator(own), own


def _result(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any], inputs: list[Array], beside: int) -> Array:
    """Return where the result goes, after a look at the memory that it and what is beside it take."""
    if out is not None:
        checked = check_output(out, shape, dtype, inputs)
        require_memory(beside, _WAY_OUT, "the workspace for {}", shape)
        return checked
    require_memory(array_bytes(shape, dtype.itemsize), _WAY_OUT, "the gradient {} of {}", shape, dtype, beside=beside)
    return np.empty(shape, dtype)
