"""Convolutions: with floats, with integers, quantised, transposed, causal; and the way back of columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ArgumentError, ShapeError, shown
from ...layers.convolution import conv
from ...layers.quantized import quantized_conv
from ...layers.transpose import conv_transpose
from ...matrix.transform import col2im
from ...spec.layout import default
from .node import check_filters, window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .node import Node

    Array = NDArray[Any]


def options(
    x: Array, w: Array, *, group: int, kernel_shape: Sequence[int] | None = None, **attributes: Any
) -> dict[str, Any]:
    """Return the attributes of a convolution as keywords of `conv`; image and filters must fit each other."""
    channels = w.shape[1] * group if w.ndim > 1 else 0
    return {"groups": group, **window(check_filters(x, w, channels, group, kernel_shape), **attributes)}


def convolve(_: Node, x: Array, w: Array, bias: Array | None = None, **attributes: Any) -> Array:
    """Conv."""
    return conv(x, w, bias, **options(x, w, **attributes))


def convolve_integers(
    _: Node,
    x: Array,
    w: Array,
    x_zero_point: Array | None = None,
    w_zero_point: Array | None = None,
    **attributes: Any,
) -> Array:
    """ConvInteger: the int32 sums of bytes less their zero points."""
    zeros = {"x_zero_point": _scalar(x_zero_point, 0), "w_zero_point": _scalar(w_zero_point, 0)}
    return conv(x, w, **zeros, **options(x, w, **attributes))


def convolve_quantized(
    _: Node,
    x: Array,
    x_scale: Array,
    x_zero_point: Array,
    w: Array,
    w_scale: Array,
    w_zero_point: Array,
    y_scale: Array,
    y_zero_point: Array,
    bias: Array | None = None,
    **attributes: Any,
) -> Array:
    """QLinearConv."""
    return quantized_conv(
        x,
        w,
        bias,
        x_scale=_scalar(x_scale),
        w_scale=_scalar(w_scale),
        y_scale=_scalar(y_scale),
        x_zero_point=_scalar(x_zero_point),
        w_zero_point=_scalar(w_zero_point),
        y_zero_point=_scalar(y_zero_point),
        dtype=y_zero_point.dtype,
        **options(x, w, **attributes),
    )


def _scalar(value: Array | None, default: Any = None) -> Any:
    """Return one number as such, which is told apart from call to call faster than an array; or more of them."""
    if value is None:
        return default
    return value.item() if value.size == 1 and value.ndim < 2 else value


def transpose(_: Node, x: Array, w: Array, bias: Array | None = None, **attributes: Any) -> Array:
    """ConvTranspose."""
    return conv_transpose(x, w, bias, **transposed_options(x, w, **attributes))


def transposed_options(
    x: Array,
    w: Array,
    *,
    group: int,
    kernel_shape: Sequence[int] | None = None,
    auto_pad: str = "NOTSET",
    pads: Sequence[int] | None = None,
    output_padding: Sequence[int] | None = None,
    output_shape: Sequence[int] | None = None,
    **attributes: Any,
) -> dict[str, Any]:
    """Return the attributes of a transposed convolution as keywords of `conv_transpose`.

    `output_shape` sets the padding, whatever `pads` says.
    """
    axes = check_filters(x, w, w.shape[0] if w.ndim else 0, group, kernel_shape)
    found = window(axes, auto_pad=auto_pad, pads=None if output_shape else pads, **attributes)
    if output_shape:
        found["output_size"] = tuple(output_shape)
        found["padding"] = "same" if auto_pad == "SAME_UPPER" else "same_lower"
    return {"groups": group, "output_padding": tuple(output_padding or [0] * axes), **found}


def convolve_causally(
    _: Node,
    x: Array,
    w: Array,
    bias: Array | None = None,
    past_state: Array | None = None,
    *,
    activation: str,
) -> tuple[Array, Array]:
    """CausalConvWithState: a depthwise one along time, which begins where the last one ended."""
    if x.ndim != 3 or w.ndim != 3 or w.shape[:2] != (x.shape[1], 1):
        raise ShapeError(f"input must be (N, C, length) and weight (C, 1, k), got {x.shape} and {w.shape}")
    if activation not in ("none", "silu", "swish"):
        raise ArgumentError(f"activation must be 'none', 'silu' or 'swish', got {shown(activation)}")
    before = (*x.shape[:2], max(0, w.shape[2] - 1))
    if past_state is None:
        past_state = np.zeros(before, x.dtype)
    elif past_state.shape != before:
        raise ShapeError(f"past_state must have shape {before}, got {past_state.shape}")
    whole = np.concatenate([past_state, x], axis=2)
    result = conv(whole, w, bias, groups=x.shape[1], activation=None if activation == "none" else "silu")
    return result, whole[:, :, whole.shape[2] - before[2] :]


def fold(_: Node, columns: Array, image_shape: Array, block_shape: Array, **attributes: Any) -> Array:
    """Col2Im."""
    axes = block_shape.size
    if columns.ndim != 3 or image_shape.shape != (axes,) or block_shape.shape != (axes,) or axes < 1:
        raise ShapeError(
            "input must be (N, C · product of block_shape, L), image_shape and block_shape one integer for each axis; "
            f"got shapes {columns.shape}, {image_shape.shape} and {block_shape.shape}"
        )
    image, block = tuple(image_shape.tolist()), tuple(block_shape.tolist())
    places = window(axes, **attributes)
    taps = np.prod(block, dtype=object)
    if taps < 1 or columns.shape[1] % taps:
        raise ShapeError(
            f"the {columns.shape[1]} rows of a column matrix are no multiple of the {taps} of a block {block}"
        )
    shape = (columns.shape[0], columns.shape[1] // int(taps), *image)
    places["layout"] = default(len(shape), axes).axes
    return col2im(columns, shape, block, orientation="columns", **places).astype(columns.dtype, copy=False)
