"""The public transposed convolution: it checks what the user passes, then runs it once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..engine import compiler
from ..engine.threads import resolve_threads
from ..errors import named
from ..memory import memoized
from ..spec.arguments import flag
from ..spec.arrays import as_array, as_dtype, native, same_kind
from ..spec.problem import WORKSPACE_LIMIT, accumulator, keywords, refuse_unknown
from ..spec.transposed import make_transposed
from .again import run_once
from .operation import Work, checked_bias, own_copy
from .phases import Transpose
from .plan import TransposedPlan

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from ..spec.activation import ActivationArgument
    from ..spec.geometry import Window
    from ..spec.padding import Padding
    from ..spec.problem import Precision


@same_kind
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
    precision: Precision = "native",
    chunked: bool = False,
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
    activation, dtype, precision, chunked, algorithm, workspace_limit, threads
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
    convolution for each phase of the stride, with the taps that reach that phase (`im2col.spec.transposed`); no zeros
    are inserted and no column matrix is made. Many phases each of which has little to do (kernel and stride of 16) are
    one product and a fold instead.

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
    options = locals()  # every argument, by its name
    arrays = options.pop("x"), options.pop("w"), options.pop("bias"), options.pop("out")
    return run_once("conv_transpose", *arrays, options, checked)


@named
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
    MemoryBudgetError
        If its copy of the weights, or the arrays and the workspace of a call, would not fit the available memory.

    Examples
    --------
    >>> import numpy as np
    >>> import im2col
    >>> p = im2col.plan_transpose((1, 8, 14, 14), np.ones((8, 4, 2, 2), np.float32), stride=2)
    >>> p(np.ones((1, 8, 14, 14), np.float32)).shape
    (1, 4, 28, 28)
    """
    refuse_unknown("plan_transpose", options, keywords(conv_transpose) - {"out"})
    weights = own_copy("w", w)
    dtype = weights.dtype if x_dtype is None else as_dtype("x_dtype", x_dtype)
    work = transposition(x_shape, dtype, weights, bias, prepared=True, **options)
    return TransposedPlan(work.operation, work.weights, "plan_transpose")


def checked(
    _: str, x: ArrayLike, w: ArrayLike, bias: ArrayLike | None, options: dict[str, Any]
) -> tuple[Work, tuple[NDArray[Any]]]:
    """Return a transposed convolution with its weights, and its operand."""
    operand, weights = as_array("x", x), as_array("w", w)
    return transposition(operand.shape, operand.dtype, weights, bias, **options), (operand,)


def transposition(
    x_shape: tuple[int, ...],
    x_dtype: np.dtype[Any],
    w: NDArray[Any],
    bias: ArrayLike | None,
    *,
    algorithm: str = "auto",
    threads: int | None = None,
    **options: Any,
) -> Work:
    """Return a transposed convolution and its weights, all arguments checked."""
    weights = w if w.dtype.isnative else w.astype(native(w.dtype))
    workers, has_bias = resolve_threads(threads), bias is not None
    shapes_and_dtypes = x_shape, weights.shape, x_dtype, weights.dtype
    operation = _decided(*shapes_and_dtypes, has_bias, algorithm, workers, compiler.condition(), **options)
    if bias is not None:
        bias = checked_bias(bias, operation.transposed.channels, accumulator(operation.transposed.dtype))
    return Work(operation, (weights, bias), (weights,))


@memoized
def _decided(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    x_dtype: np.dtype[Any],
    w_dtype: np.dtype[Any],
    has_bias: bool,
    algorithm: str,
    threads: int,
    engine_condition: str | None,  # noqa: ARG001 (the choice depends on it, so it is a part of what is remembered)
    flip: bool = False,
    **options: Any,
) -> Transpose:
    """Validate the arguments, all but the arrays' values, and choose the algorithms."""
    transposed = make_transposed(x_shape, w_shape, x_dtype, w_dtype, has_bias=has_bias, **options)
    return Transpose.decided(transposed, None, False, flag("flip", flip), algorithm, threads)
