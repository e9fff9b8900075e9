"""The public transposed convolution: it checks what the user passes, then runs a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import layout as layouts
from .activation import check_activation
from .arrays import as_array, as_dtype, native
from .engine import compiler
from .engine.threads import resolve_threads
from .errors import ArgumentError, GeometryError, ShapeError
from .geometry import integer, per_axis
from .memo import memoized
from .padding import explicit_padding
from .planning import checked_bias
from .problem import WORKSPACE_LIMIT, accumulator, refuse_unknown, result_dtype
from .transposed import Transposed
from .transposed_plan import TransposedChoice, TransposedPlan, choose_phases

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from .activation import ActivationArgument
    from .frame import Window
    from .padding import Padding

_PLAN_OPTIONS = (
    *("stride", "padding", "output_padding", "output_size", "dilation", "groups", "layout", "activation", "flip"),
    *("dtype", "algorithm", "workspace_limit", "threads"),
)


def conv_transpose(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Window = 1,
    padding: Padding = 0,
    output_padding: Window = 0,
    output_size: Window | None = None,
    dilation: Window = 1,
    groups: int = 1,
    layout: str | None = None,
    activation: ActivationArgument | None = None,
    flip: bool = False,
    dtype: DTypeLike | None = None,
    algorithm: str = "auto",
    workspace_limit: int = WORKSPACE_LIMIT,
    out: NDArray[Any] | None = None,
    threads: int | None = None,
) -> NDArray[Any]:
    """Apply the transpose of a convolution: each element spreads the kernel, times itself, over the result.

    It is the linear map that `conv` with the same weights would need to be undone in shape (not in values): a stride of
    2 doubles the image. Also called fractionally strided convolution or, wrongly, deconvolution.

    Parameters
    ----------
    x : array_like
        The image: k spatial axes, or (F, *spatial), or (N, F, *spatial), or as `layout` says, with k = w.ndim - 2.
    w : array_like, (F, C/groups, *kernel)
        The weights of the convolution that is transposed: F filters of C/groups channels. torch and ONNX call them
        (in, out/groups, *kernel). Complex weights are not conjugated; `conv_input_gradient` does that.
    bias : array_like, (C,), optional
        Added to each output map.
    stride, dilation : int or tuple of int
        Pixels of the result between neighbouring elements of `x`, and between neighbouring taps.
    padding : int, tuple or str
        Pixels cut from the result: an int; one entry an axis, each an int or a (before, after) pair; ``"valid"``
        (none); ``"same"`` or ``"same_lower"`` (the result has stride times the pixels of `x`, or `output_size`; an odd
        pixel is cut after, or before).
    output_padding : int or tuple of int
        Pixels added after each axis of the result, less than the stride or less than the dilation.
    output_size : int or tuple of int, optional
        The result's spatial axes. With numbers for `padding` it sets `output_padding`; with ``"same"`` or
        ``"same_lower"`` it sets the padding.
    groups : int
        Into how many groups channels and filters are divided.
    layout : str, optional
        The axes of `x` and of the result, such as ``"NHWC"``.
    activation, dtype, algorithm, workspace_limit, threads
        As for `conv`.
    flip : bool
        Flip the kernel along its spatial axes, as ``conv(flip=True)`` does.
    out : ndarray, optional
        Where to write; the result's shape and dtype, any strides, no memory shared with `x` or `w`.

    Returns
    -------
    ndarray
        A new array (or `out`) in the layout of `x`: (N, C, *output) for (N, F, *spatial), with ``output = (in - 1) ·
        stride - before - after + dilation · (k - 1) + 1 + output_padding``.

    Raises
    ------
    ShapeError, LayoutError, GeometryError, ArgumentError, DTypeError, OutputError
        If an argument does not fit; nothing has been written then.
    MemoryBudgetError
        If the result would not fit the available memory.

    See Also
    --------
    conv_input_gradient : the adjoint of `conv`, with every padding mode.
    plan_transpose : the same, prepared once and run many times.

    Notes
    -----
    ``y[n, c, o·stride + t·dilation - before] += x[n, f, o] · w[f, c, t]`` over all f, o and t. It runs as one ordinary
    convolution for each phase of the stride, with the taps that reach that phase (`im2col.transposed`); no zeros are
    inserted and no column matrix is made.

    - torch: ``conv_transpose2d(x, w, bias, stride, padding, output_padding, groups, dilation)`` by the same names;
      ``ConvTranspose2d(…)(x, output_size=s)`` is ``output_size=s``.
    - ONNX ConvTranspose: ``auto_pad="SAME_UPPER"`` is ``padding="same"``, ``"SAME_LOWER"`` is ``"same_lower"``,
      ``"VALID"`` is 0; ``output_shape`` is `output_size` with ``padding="same"`` under SAME_UPPER and with
      ``padding="same_lower"`` otherwise, also under NOTSET.

    Examples
    --------
    >>> import numpy as np
    >>> from im2col import conv_transpose
    >>> conv_transpose(np.array([[1, 2], [3, 4]]), np.ones((1, 1, 2, 2), int), stride=2)
    array([[1, 1, 2, 2],
           [1, 1, 2, 2],
           [3, 3, 4, 4],
           [3, 3, 4, 4]])
    """
    op = "conv_transpose"
    operand, weights = as_array(op, "x", x), as_array(op, "w", w)
    made = _make_plan(
        op,
        operand.shape,
        operand.dtype,
        weights,
        bias,
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        output_size=output_size,
        dilation=dilation,
        groups=groups,
        layout=layout,
        activation=activation,
        flip=flip,
        dtype=dtype,
        algorithm=algorithm,
        workspace_limit=workspace_limit,
        threads=threads,
    )
    return made(operand, out)


def plan_transpose(
    x_shape: tuple[int, ...],
    w: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    x_dtype: DTypeLike | None = None,
    **options: Any,
) -> TransposedPlan:
    """Prepare a transposed convolution once, to run it many times.

    Parameters
    ----------
    x_shape : tuple of int
        Shape of the image, in `layout`.
    w : array_like, (F, C/groups, *kernel)
        The weights; the plan keeps a copy of its own.
    bias : array_like, (C,), optional
        Added to each output map.
    x_dtype : dtype, optional
        Of the image; the weights' dtype if left out.
    **options
        Every other keyword of `conv_transpose` but `out`.

    Returns
    -------
    TransposedPlan
        Call it as ``plan(x, out=None)``; ``print`` tells what each phase of the stride does.

    Raises
    ------
    ShapeError, LayoutError, GeometryError, ArgumentError, DTypeError
        If an argument does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> import im2col
    >>> p = im2col.plan_transpose((1, 8, 14, 14), np.ones((8, 4, 2, 2), np.float32), stride=2)
    >>> p(np.ones((1, 8, 14, 14), np.float32)).shape
    (1, 4, 28, 28)
    """
    op = "plan_transpose"
    refuse_unknown(op, options, _PLAN_OPTIONS)
    weights = np.array(as_array(op, "w", w))
    dtype = weights.dtype if x_dtype is None else as_dtype(op, "x_dtype", x_dtype)
    made = _make_plan(op, x_shape, dtype, weights, bias, **options)
    made.prepare()
    return made


def _make_plan(
    operation: str,
    x_shape: tuple[int, ...],
    x_dtype: np.dtype[Any],
    w: NDArray[Any],
    bias: ArrayLike | None,
    *,
    algorithm: str = "auto",
    threads: int | None = None,
    **options: Any,
) -> TransposedPlan:
    weights = w.astype(native(w.dtype), copy=False)
    choice = _decide(
        operation,
        x_shape,
        weights.shape,
        x_dtype,
        weights.dtype,
        bias is not None,
        algorithm,
        resolve_threads(operation, threads),
        compiler.failure(),
        **options,
    )
    t = choice.transposed
    return TransposedPlan(choice, weights, checked_bias(operation, bias, t.channels, accumulator(t.dtype)))


@memoized
def _decide(
    operation: str,
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    x_dtype: np.dtype[Any],
    w_dtype: np.dtype[Any],
    has_bias: bool,
    algorithm: str,
    threads: int,
    engine_failure: str | None,  # noqa: ARG001 (algorithms may ask for it, so it is a part of what is remembered)
    flip: bool = False,
    **options: Any,
) -> TransposedChoice:
    """Validate the arguments, all but the arrays' values, and choose the algorithms."""
    transposed = make_transposed(operation, x_shape, w_shape, x_dtype, w_dtype, has_bias=has_bias, **options)
    return choose_phases(transposed, None, False, bool(flip), algorithm, threads)


def make_transposed(
    operation: str,
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    x_dtype: np.dtype[Any],
    w_dtype: np.dtype[Any],
    *,
    stride: object = 1,
    padding: object = 0,
    output_padding: object = 0,
    output_size: object = None,
    dilation: object = 1,
    groups: int = 1,
    layout: str | None = None,
    activation: object = None,
    dtype: DTypeLike | None = None,
    workspace_limit: int = WORKSPACE_LIMIT,
    has_bias: bool = False,
) -> Transposed:
    """Validate the arguments of a transposed convolution, all but the arrays' values.

    Parameters
    ----------
    operation : str
        The public function that errors name.
    x_shape, w_shape : tuple of int
        Of the image, in `layout`, and of the weights (F, C/groups, *kernel).
    x_dtype, w_dtype : dtype
    stride, padding, output_padding, output_size, dilation, groups, layout, activation, dtype, workspace_limit
        As for `conv_transpose`.
    has_bias : bool

    Raises
    ------
    ShapeError, LayoutError, GeometryError, ArgumentError, DTypeError
        If an argument does not fit.
    """
    op = operation
    if not isinstance(x_shape, tuple | list):
        raise ArgumentError(f"{op}: the shape of x must be a tuple of integers, got {x_shape!r}")
    x_shape = tuple(integer(op, "an entry of the image's shape", n, minimum=0) for n in x_shape)
    if len(w_shape) < 3:
        raise ShapeError(
            f"{op}: w must be (filters, channels/groups, *kernel), got shape {w_shape}; a plain kernel goes as "
            "w[None, None]"
        )
    k = len(w_shape) - 2
    groups = integer(op, "groups", groups, minimum=1)
    axes = layouts.resolve(op, layout, len(x_shape), k)
    filters, channels = w_shape[0], w_shape[1] * groups
    _check_channels(op, x_shape, w_shape, axes, groups)
    sizes = axes.spatial_shape(x_shape)
    for axis, n in zip(axes.spatial, sizes, strict=True):
        if n == 0:
            raise GeometryError(f"{op}: axis {axis} of x has no elements to spread; pass at least one along each axis")
    kernel = per_axis(op, "kernel_size", w_shape[2:], k, minimum=1)
    strides, dilations = (per_axis(op, n, v, k, minimum=1) for n, v in (("stride", stride), ("dilation", dilation)))
    extra = per_axis(op, "output_padding", output_padding, k, minimum=0)
    for axis, e, s, d in zip(axes.spatial, extra, strides, dilations, strict=True):
        if e >= max(s, d):
            raise GeometryError(
                f"{op}: output_padding {e} along axis {axis} must be less than the stride ({s}) or the dilation ({d}); "
                "pad the result instead"
            )
    wanted = None if output_size is None else per_axis(op, "output_size", output_size, k, minimum=1)
    before, image = _extent(op, axes.spatial, sizes, kernel, strides, dilations, padding, extra, wanted)
    result = result_dtype(op, x_dtype, w_dtype, dtype)
    return Transposed(
        layout=axes,
        spatial_shape=sizes,
        image=image,
        kernel_size=kernel,
        stride=strides,
        dilation=dilations,
        before=before,
        batch=axes.size(layouts.BATCH, x_shape),
        filters=filters,
        channels=channels,
        groups=groups,
        x_dtype=native(x_dtype),
        w_dtype=native(w_dtype),
        dtype=result,
        activation=check_activation(op, activation, result),
        has_bias=has_bias,
        workspace_limit=integer(op, "workspace_limit", workspace_limit, minimum=1),
        operation=op,
    )


def _check_channels(
    operation: str, x_shape: tuple[int, ...], w_shape: tuple[int, ...], axes: layouts.Layout, groups: int
) -> None:
    filters, channels = w_shape[0], axes.size(layouts.CHANNEL, x_shape)
    if filters % groups:
        raise ShapeError(
            f"{operation}: {filters} filters do not divide into groups={groups}; the first axis of w must be a "
            "multiple of groups"
        )
    if channels != filters:
        hint = "pass w of shape (channels of x, channels of the result/groups, *kernel)"
        if axes.axes == axes.canonical and axes.has_channels and x_shape[-1] == filters:
            last = axes.canonical.replace(layouts.CHANNEL, "") + layouts.CHANNEL
            hint = f"the last axis would fit: pass layout={last!r} if the channels come last"
        raise ShapeError(
            f"{operation}: the image {x_shape} has {channels} channels in layout {axes.axes!r} but the weights "
            f"{w_shape} take {filters}; {hint}"
        )
    if not axes.has_channels and w_shape[1] * groups != 1:
        raise ShapeError(
            f"{operation}: the weights {w_shape} give {w_shape[1] * groups} output maps but layout {axes.axes!r} has "
            "no channel axis for them; pass the image with a channel axis"
        )


def _extent(
    operation: str,
    axes: str,
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    padding: object,
    extra: tuple[int, ...],
    wanted: tuple[int, ...] | None,
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the padding before each axis and the pixels of the result along it."""
    k = len(axes)
    whole = [(n - 1) * s + d * (t - 1) + 1 for n, t, s, d in zip(sizes, kernel, stride, dilation, strict=True)]
    if isinstance(padding, str) and padding in ("same", "same_lower"):
        image = wanted or tuple(n * s for n, s in zip(sizes, stride, strict=True))
        total = [max(0, w + e - n) for w, e, n in zip(whole, extra, image, strict=True)]
        return tuple(t // 2 if padding == "same" else t - t // 2 for t in total), image
    if isinstance(padding, str) and padding != "valid":
        raise ArgumentError(
            f"{operation}: padding must be an integer, one entry per axis, 'valid', 'same' or 'same_lower'; got "
            f"{padding!r}"
        )
    pads = ((0, 0),) * k if isinstance(padding, str) else explicit_padding(operation, padding, k)
    least = [w - before - after for w, (before, after) in zip(whole, pads, strict=True)]
    if wanted is None:
        image = tuple(n + e for n, e in zip(least, extra, strict=True))
    else:
        if any(extra):
            raise ArgumentError(
                f"{operation}: output_size {wanted} and output_padding {extra} both say how large the result is; pass "
                "one of them"
            )
        for axis, n, low, s in zip(axes, wanted, least, stride, strict=True):
            if not low <= n < low + s:
                raise GeometryError(
                    f"{operation}: output_size {n} along axis {axis} is out of reach: with this window it is from "
                    f"{low} to {low + s - 1}; change the padding, or pass padding='same' to have it set"
                )
        image = wanted
    for axis, n in zip(axes, image, strict=True):
        if n < 1:
            raise GeometryError(
                f"{operation}: the result would have {n} pixels along axis {axis}; lower the padding {pads}"
            )
    return tuple(before for before, _ in pads), image
