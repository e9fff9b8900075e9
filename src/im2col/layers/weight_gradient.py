"""The gradients of a convolution's weights and bias: its adjoint in `w`."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine import compiler
from ..engine.host import require_memory
from ..engine.threads import resolve_threads
from ..errors import DTypeError, Im2colError, ShapeError, named
from ..memory import memoized
from ..spec import layout as layouts
from ..spec.arguments import checked_shape, integer, per_axis
from ..spec.arrays import as_array, as_dtype, check_numbers, check_output, check_result, native, same_kind
from ..spec.problem import WORKSPACE_LIMIT, accumulator, keywords, make_problem, refuse_unknown
from .again import run_once
from .operation import Work
from .plan import WeightGradientPlan
from .stages import WeightGradient

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from ..spec.geometry import Window
    from ..spec.padding import Padding, PaddingMode

_TERMS = 4096
"""Terms of a float32 sum before it goes on in float64."""


@same_kind
def conv_weight_gradient(
    x: ArrayLike,
    grad: ArrayLike,
    kernel_size: Window,
    *,
    stride: Window = 1,
    padding: Padding = 0,
    dilation: Window = 1,
    groups: int = 1,
    padding_mode: PaddingMode = "constant",
    padding_value: complex | NDArray[Any] = 0,
    layout: str | None = None,
    flip: bool = False,
    dtype: DTypeLike | None = None,
    algorithm: str = "auto",
    workspace_limit: int = WORKSPACE_LIMIT,
    out: NDArray[Any] | None = None,
    threads: int | None = None,
) -> NDArray[Any]:
    """Return the gradient of a convolution's weights: the adjoint of `conv` in `w`.

    Parameters
    ----------
    x : array_like
        The image that the convolution read. A complex image is conjugated.
    grad : array_like
        The gradient of the convolution's result: of that result's shape, (N, n, *output) for (N, C, *spatial).
    kernel_size : int or tuple of int
        Taps along each spatial axis; an int means two axes, or the spatial axes of `layout`.
    stride, padding, dilation, groups, padding_mode, padding_value, layout, flip
        What the convolution used.
    dtype, algorithm, workspace_limit, threads
        As for `conv`.
    out : ndarray, optional
        Where to write; the result's shape and dtype, any strides, no memory shared with `x` or `grad`.

    Returns
    -------
    ndarray, (n, C/groups, *kernel)
        A new array, or `out`: the sum over all images of the batch.

    Raises
    ------
    ShapeError, LayoutError, GeometryError, ArgumentError, DTypeError, OutputError
        If an argument does not fit; nothing has been written then.
    MemoryBudgetError
        If the result would not fit the available memory.

    See Also
    --------
    conv_bias_gradient : the gradient of the bias.
    plan_weight_gradient : the same, prepared once and run many times.

    Notes
    -----
    ``vdot(grad, conv(x, w)) == vdot(conv_weight_gradient(x, grad, k), w)`` for every w. In matrices it is the gradient
    times the column matrix, ``G · Xᴴ``; here the second factor is read through the view.

    Examples
    --------
    >>> import numpy as np
    >>> from im2col import conv_weight_gradient
    >>> conv_weight_gradient(np.arange(9).reshape(3, 3), np.ones((2, 2), int), 2)
    array([[[[ 8, 12],
             [20, 24]]]])
    """
    options = locals()  # every argument, by its name
    arrays = options.pop("x"), options.pop("grad"), None, options.pop("out")
    return run_once("conv_weight_gradient", *arrays, options, checked)


@same_kind
def conv_bias_gradient(
    grad: ArrayLike, *, layout: str | None = None, dtype: DTypeLike | None = None, out: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Return the gradient of a convolution's bias: the sum over images and positions.

    Parameters
    ----------
    grad : array_like
        The gradient of the convolution's result: (N, n, H, W) or (n, H, W), or as `layout` says.
    layout : str, optional
        The axes of `grad`, such as ``"NHWC"``; needed for other than two spatial axes.
    dtype : dtype, optional
        Of the result; grad's own, or int32 for 8-bit integers, if left out.
    out : ndarray, optional
        Where to write; no memory shared with `grad`.

    Returns
    -------
    ndarray, (n,)
        A new array, or `out`. float16 and bfloat16 are summed in float32; integers wrap as NumPy's do.

    Raises
    ------
    LayoutError, DTypeError, OutputError
        If an argument does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from im2col import conv_bias_gradient
    >>> conv_bias_gradient(np.ones((2, 3, 4, 4)))
    array([32., 32., 32.])
    """
    gradient = as_array("grad", grad)
    axes = layouts.resolve(layout, gradient.ndim, 2 if layout is None else len(layouts.parse(layout).spatial))
    check_numbers("grad", gradient.dtype)
    natural = np.dtype(np.int32) if gradient.dtype.kind in "biu" and gradient.itemsize == 1 else native(gradient.dtype)
    result = natural if dtype is None else native(as_dtype("dtype", dtype))
    both_integers = natural.kind in "iu" and result.kind in "iu"
    if not (both_integers or np.can_cast(natural, result, "same_kind")):
        raise DTypeError(
            f"grad of {gradient.dtype} gives {natural}, which dtype={result} cannot hold; ask for a wider dtype and "
            "convert the result"
        )
    check_result(result)
    view = axes.to_canonical(gradient)
    target = None if out is None else check_output(out, (view.shape[1],), result, [gradient])
    with np.errstate(all="ignore"):
        sums = _sums(view, accumulator(result)).astype(result)
    if out is None or target is None:
        return sums
    target[...] = sums
    return out


def _sums(view: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the sum of each channel of an array (N, C, *spatial).

    NumPy sums a contiguous axis in pairs, and any other one term by term, which loses digits of long float sums. So a
    few thousand terms are summed at a time where channels lie innermost, and their sums in float64.
    """
    others = (0, *range(2, view.ndim))
    if dtype.kind != "f" or dtype.itemsize > 4:
        return np.asarray(view.sum(axis=others, dtype=dtype))
    rows = np.moveaxis(view, 1, -1)
    if not rows.flags.c_contiguous:
        maps = view.reshape(*view.shape[:2], math.prod(view.shape[2:]))
        return np.asarray(maps.sum(axis=2, dtype=dtype).sum(axis=0, dtype=np.float64))
    flat = rows.reshape(math.prod(rows.shape[:-1]), rows.shape[-1])
    total = np.zeros(flat.shape[1])
    for first in range(0, len(flat), _TERMS):
        total += flat[first : first + _TERMS].sum(axis=0, dtype=dtype)
    return total


@named
def plan_weight_gradient(
    x_shape: tuple[int, ...],
    filters: int,
    kernel_size: Window,
    *,
    x_dtype: DTypeLike = np.float32,
    grad_dtype: DTypeLike | None = None,
    **options: Any,
) -> WeightGradientPlan:
    """Prepare the gradient of a convolution's weights once, to run it many times.

    Parameters
    ----------
    x_shape : tuple of int
        Shape of the image, in `layout`.
    filters : int
        How many filters the convolution has.
    kernel_size : int or tuple of int
        Taps along each spatial axis; an int means two axes, or the spatial axes of `layout`.
    x_dtype, grad_dtype : dtype, optional
        Of the image, float32 if left out, and of the gradient of the convolution's result, the image's if left out.
    **options
        Every other keyword of `conv_weight_gradient` but `out`.

    Returns
    -------
    WeightGradientPlan
        Call it as ``plan(x, grad, out=None)``; ``print`` tells what was chosen and why.

    Raises
    ------
    ShapeError, LayoutError, GeometryError, ArgumentError, DTypeError
        If an argument does not fit.
    MemoryBudgetError
        If the arrays or the workspace of a call would not fit the available memory.

    Examples
    --------
    >>> import numpy as np
    >>> import im2col
    >>> p = im2col.plan_weight_gradient((1, 3, 8, 8), 4, 3, padding=1)
    >>> p(np.ones((1, 3, 8, 8), np.float32), np.ones((1, 4, 8, 8), np.float32)).shape
    (4, 3, 3, 3)
    """
    refuse_unknown("plan_weight_gradient", options, keywords(conv_weight_gradient) - {"out"})
    image = as_dtype("x_dtype", x_dtype)
    gradient = image if grad_dtype is None else as_dtype("grad_dtype", grad_dtype)
    shape = checked_shape("x_shape", x_shape)
    work = _work(shape, None, image, gradient, kernel_size=kernel_size, filters=filters, **options)
    return WeightGradientPlan(work.operation, work.weights, "plan_weight_gradient")


def checked(
    _: str, x: ArrayLike, grad: ArrayLike, _bias: None, options: dict[str, Any]
) -> tuple[Work, tuple[NDArray[Any], NDArray[Any]]]:
    """Return the gradient of the weights, and its operands."""
    image, gradient = as_array("x", x), as_array("grad", grad)
    shapes_and_dtypes = image.shape, gradient.shape, image.dtype, gradient.dtype
    return _work(*shapes_and_dtypes, **options), (image, gradient)


def _work(
    x_shape: tuple[int, ...],
    grad_shape: tuple[int, ...] | None,
    x_dtype: np.dtype[Any],
    grad_dtype: np.dtype[Any],
    *,
    kernel_size: Window,
    algorithm: str = "auto",
    threads: int | None = None,
    **options: Any,
) -> Work:
    """Return the gradient of the weights, all arguments checked."""
    workers = resolve_threads(threads)
    given = (x_shape, grad_shape, kernel_size, x_dtype, grad_dtype, algorithm, workers, compiler.condition())
    return Work(_decided(*given, **options))


@memoized
def _decided(
    x_shape: tuple[int, ...],
    grad_shape: tuple[int, ...] | None,
    kernel_size: object,
    x_dtype: np.dtype[Any],
    grad_dtype: np.dtype[Any],
    algorithm: str,
    threads: int,
    engine_condition: str | None,  # noqa: ARG001 (the choice depends on it, so it is a part of what is remembered)
    layout: str | None = None,
    groups: int = 1,
    filters: int = 0,
    **options: Any,
) -> WeightGradient:
    """Validate the arguments, all but the arrays' values, and choose the algorithm."""
    k = layouts.spatial_ndim(kernel_size, layout, len(x_shape))
    kernel = per_axis("kernel_size", kernel_size, k, minimum=1)
    axes = layouts.resolve(layout, len(x_shape), k)
    if grad_shape is not None:
        if len(grad_shape) != len(x_shape):
            raise ShapeError(f"grad has shape {grad_shape} but x has shape {x_shape}; both need the axes {axes.axes!r}")
        filters = axes.size(layouts.CHANNEL, grad_shape)
    channels = axes.size(layouts.CHANNEL, x_shape)
    groups = integer("groups", groups, minimum=1)
    if channels % groups:
        raise ShapeError(
            f"the image {x_shape} has {channels} channels, which do not divide into groups={groups}; the "
            "channels must be a multiple of groups"
        )
    w_shape = (integer("filters", filters, minimum=0), channels // groups, *kernel)
    names = ("x", "grad")
    p = make_problem(x_shape, w_shape, x_dtype, grad_dtype, layout=layout, groups=groups, names=names, **options)
    if grad_shape is not None and p.output_shape != grad_shape:
        way_out = "pass the gradient of that result, and what the convolution was given"
        last = axes.channels_last if layout is None else None
        if last is not None:
            with suppress(Im2colError):
                shape = (grad_shape[-1], x_shape[-1] // groups, *kernel)
                q = make_problem(x_shape, shape, x_dtype, grad_dtype, layout=last.axes, groups=groups, **options)
                if q.output_shape == grad_shape:
                    way_out = f"the shapes would fit with the channels last: pass layout={last.axes!r}"
        raise ShapeError(
            f"grad has shape {grad_shape} but the convolution of an image {x_shape} with kernels {kernel} gives "
            f"{p.output_shape}; {way_out}"
        )
    # Before anything is decided, which takes its time for tiles of more filters than memory holds.
    size = math.prod(w_shape) * p.dtype.itemsize
    require_memory(size, "pass fewer filters", "the gradient {} of {}", w_shape, p.dtype)
    return WeightGradient.decided(p, algorithm, threads)
