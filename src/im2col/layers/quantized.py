"""The quantised convolution: bytes in, bytes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, DTypeError, named, shown
from ..spec.arguments import check_choice, is_a, word
from ..spec.arrays import as_array, as_dtype, same_kind
from ..spec.problem import WORKSPACE_LIMIT, keywords, refuse_unknown
from ..spec.quantization import check_bytes, factors, fixed_factors, is_byte, tflite_bounds, zero_point
from .again import run_once
from .convolution import convolution
from .fixed_point import FixedPoint
from .operation import Work, own_copy
from .plan import Plan

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from ..spec.geometry import Window
    from ..spec.padding import Padding, PaddingMode


@same_kind
def quantized_conv(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    x_scale: ArrayLike,
    w_scale: ArrayLike,
    y_scale: ArrayLike,
    x_zero_point: int = 0,
    w_zero_point: ArrayLike = 0,
    y_zero_point: int = 0,
    stride: Window = 1,
    padding: Padding = 0,
    dilation: Window = 1,
    groups: int = 1,
    padding_mode: PaddingMode = "constant",
    padding_value: int | NDArray[Any] | None = None,
    layout: str | None = None,
    activation: str | None = None,
    flip: bool = False,
    dtype: DTypeLike | None = None,
    rounding: str = "onnx",
    algorithm: str = "auto",
    workspace_limit: int = WORKSPACE_LIMIT,
    out: NDArray[Any] | None = None,
    threads: int | None = None,
) -> NDArray[Any]:
    """Convolve quantised numbers, and quantise the result: int8 or uint8 all the way.

    A byte q stands for the real number ``scale · (q - zero_point)``.

    Parameters
    ----------
    x : array_like of int8 or uint8
        The image, as for `conv`.
    w : array_like of int8 or uint8, (n, C/groups, *kernel)
        The filters.
    bias : array_like of integers, (n,), optional
        In units of ``x_scale · w_scale``, added to the int32 sums.
    x_scale, y_scale : float
        Of the image and of the result.
    w_scale : float or array_like, (n,)
        Of the filters.
    x_zero_point, y_zero_point : int
        Of the image and of the result, within the range of their dtypes. Padding is made of ``x_zero_point``.
    w_zero_point : int or array_like, (n,)
        Of the filters.
    stride, padding, dilation, groups, padding_mode, layout, flip, algorithm, workspace_limit, threads
        As for `conv`.
    padding_value : int, or ndarray of shape (C,), optional
        Another byte that pads, or one for each channel.
    activation : {None, "relu", "relu6"}
        ``"relu"``: nothing less than `y_zero_point`, which stands for 0. ``"relu6"``, which goes with TFLite's rounding
        only: nor more than what stands for 6.
    dtype : dtype, optional
        Of the result: int8 or uint8; that of `x` if left out.
    rounding : {"onnx", "tflite"}
        How sums become bytes: in float32, as below; or in integers, with the bits of TFLite's reference kernels.
    out : ndarray, optional
        Where to write; the result's shape and dtype, any strides, no memory shared with `x` or `w`.

    Returns
    -------
    ndarray of int8 or uint8
        A new array, or `out`, in the layout of `x`.

    Raises
    ------
    ShapeError, LayoutError, GeometryError, ArgumentError, DTypeError, OutputError
        If an argument does not fit; nothing has been written then.
    MemoryBudgetError
        If the result would not fit the available memory.

    See Also
    --------
    conv : with zero points it returns the int32 sums.
    plan_quantized : the same, prepared once and run many times.

    Notes
    -----
    ``saturate(round(sums · (x_scale · w_scale / y_scale)) + y_zero_point)`` with sums in int32, the factor and the
    product in float32, ties rounded to even: ONNX's QLinearConv, and XNNPACK's kernels, which TFLite runs by default.

    TFLite's reference kernels multiply in integers: the factor, computed in float64, is a number of 31 bits times a
    power of two; the upper half of the product is rounded, and what the power shifts out of it once more, halves away
    from 0 both times [1]_.

    References
    ----------
    .. [1] B. Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
       Inference", arXiv:1712.05877, section 2.2.

    Examples
    --------
    >>> import numpy as np
    >>> from im2col import quantized_conv
    >>> x = np.array([[130, 140], [150, 160]], np.uint8)
    >>> w = np.full((1, 1, 2, 2), 64, np.int8)
    >>> quantized_conv(x, w, x_scale=0.1, w_scale=1 / 64, y_scale=0.1, x_zero_point=128, y_zero_point=128)
    array([[196]], dtype=uint8)
    """
    return _convolve(**locals())  # every argument, by its name


@named
def plan_quantized(
    x_shape: tuple[int, ...],
    w: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    x_scale: ArrayLike,
    w_scale: ArrayLike,
    y_scale: ArrayLike,
    x_dtype: DTypeLike = np.uint8,
    **options: Any,
) -> Plan:
    """Prepare a quantised convolution once, to run it many times.

    Parameters
    ----------
    x_shape : tuple of int
        Shape of the image, in `layout`.
    w, bias, x_scale, w_scale, y_scale
        As for `quantized_conv`; the plan keeps copies of its own.
    x_dtype : dtype
        Of the image: uint8 or int8.
    **options
        Every other keyword of `quantized_conv` but `out`.

    Returns
    -------
    Plan
        Call it as ``plan(x, out=None)``.

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
    >>> w = np.ones((4, 3, 3, 3), np.int8)
    >>> p = im2col.plan_quantized((1, 3, 8, 8), w, x_scale=0.5, w_scale=0.5, y_scale=1, x_zero_point=128)
    >>> p(np.full((1, 3, 8, 8), 130, np.uint8))[0, 0, 0, 0]
    np.uint8(14)
    """
    refuse_unknown("plan_quantized", options, keywords(quantized_conv) - {"out"})
    filters, dtype = own_copy("w", w), as_dtype("x_dtype", x_dtype)
    work = _work(x_shape, dtype, filters, bias, x_scale, w_scale, y_scale, **options)
    return Plan(work.operation, work.weights, "plan_quantized")


def _convolve(
    x: ArrayLike, w: ArrayLike, bias: ArrayLike | None, out: NDArray[Any] | None, **options: Any
) -> NDArray[Any]:
    for name in ("x_scale", "w_scale", "y_scale"):
        if is_a(options[name], np.floating):  # plain numbers are told apart from call to call
            options[name] = options[name].item()
    return run_once("quantized_conv", x, w, bias, out, options, _checked)


def _checked(
    _: str, x: ArrayLike, w: ArrayLike, bias: ArrayLike | None, options: dict[str, Any]
) -> tuple[Work, tuple[NDArray[Any]]]:
    """Return a quantised convolution with its weights, and its image."""
    image = as_array("x", x)
    return _work(image.shape, image.dtype, as_array("w", w), bias, **options), (image,)


def _work(
    x_shape: tuple[int, ...],
    x_dtype: np.dtype[Any],
    w: NDArray[Any],
    bias: ArrayLike | None,
    x_scale: ArrayLike,
    w_scale: ArrayLike,
    y_scale: ArrayLike,
    *,
    y_zero_point: object = 0,
    dtype: DTypeLike | None = None,
    activation: object = None,
    rounding: str = "onnx",
    **options: Any,
) -> Work:
    """Return a quantised convolution and its weights, all arguments checked."""
    check_bytes("a quantised convolution takes", x_dtype, w.dtype)
    result = x_dtype if dtype is None else as_dtype("dtype", dtype)
    if not is_byte(result):
        raise DTypeError(f"dtype must be int8 or uint8, got {result}; conv returns the int32 sums")
    is_fixed = check_choice("rounding", rounding, ("onnx", "tflite")) == "tflite"
    allowed = ("relu", "relu6") if is_fixed else ("relu",)
    if activation is not None and word(activation) not in allowed:
        more = "; 'relu6' goes with rounding='tflite'" if word(activation) == "relu6" else ""
        names = " or ".join(map(repr, allowed))
        raise ArgumentError(f"activation must be None or {names}, got {shown(activation)}{more}")
    point = zero_point("y_zero_point", y_zero_point, result)
    filters = len(w) if w.ndim else 0
    if not is_fixed:
        return convolution(
            x_shape,
            x_dtype,
            w,
            bias,
            scales=factors(filters, x_scale, w_scale, y_scale),
            zero_point=point,
            dtype=result,
            activation=activation,
            **options,
        )
    given = fixed_factors(filters, x_scale, w_scale, y_scale)
    # Sums of bytes are int32, and so is the bias.
    sums = convolution(x_shape, x_dtype, w, bias, dtype=np.dtype(np.int32), **options)
    bounds = tflite_bounds(word(activation), point, y_scale, result)
    operation = FixedPoint.decided(sums.operation.spec, result, point, *bounds)
    return Work(operation, (*sums.weights[:2], *given), sums.given)
