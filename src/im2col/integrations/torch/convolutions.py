"""The operators of convolution: each is linear in its tensors, and their gradients are one another."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from ...layers.convolution import conv
from ...layers.convolution import conv1d as core_conv1d
from ...layers.convolution import conv2d as core_conv2d
from ...layers.convolution import conv3d as core_conv3d
from ...layers.input_gradient import conv_input_gradient
from ...layers.transpose import conv_transpose
from ...layers.weight_gradient import conv_bias_gradient, conv_weight_gradient
from ...spec.problem import result_dtype
from .operators import Operator, core_form, core_padding, stops_of
from .tensors import (
    array_of,
    empty_image,
    has_channels_last,
    image_of,
    layout_of,
    numpy_dtype,
    tensor_of,
    torch_dtype,
    view_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""torch's names of padding modes, and the library's."""
_WINDOW = "SymInt[] stride, SymInt[] padding, SymInt[] dilation, SymInt groups, str padding_mode"
_DEFAULTS = (
    *(("stride", 1), ("padding", 0), ("dilation", 1), ("groups", 1)),
    *(("padding_mode", "constant"), ("layout", False)),
)
_CONVOLUTIONS = {1: core_conv1d, 2: core_conv2d, 3: core_conv3d}


@lru_cache
def _options(
    layout: str | Literal[False],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
    padding_mode: str,
) -> dict[str, Any]:
    """Return an operator's window as the library's functions take it, without what they take by default.

    The fewer arguments a call has, the sooner it is known.
    """
    given = core_form(stride), core_padding(padding), core_form(dilation), groups, MODES[padding_mode], layout
    return {name: value for (name, default), value in zip(_DEFAULTS, given, strict=True) if value != default}


def run_conv(x: Tensor, w: Tensor, bias: Tensor | None, *window: Any) -> Tensor:
    """Convolve tensors on the CPU."""
    last = not x.is_contiguous() and has_channels_last(x)
    function = _CONVOLUTIONS.get(w.ndim - 2, conv)
    options = _options(last and layout_of(x.ndim, w.ndim - 2, last), *window)
    offset = None if bias is None else array_of(bias)
    if last:
        result = function(view_of(x, last), array_of(w), offset, threads=torch.get_num_threads(), **options)
        return image_of(result, last)
    return tensor_of(function(array_of(x), array_of(w), offset, threads=torch.get_num_threads(), **options))


def _fake_conv(
    x: Tensor,
    w: Tensor,
    _bias: Tensor | None,
    stride: list[Any],
    padding: list[Any],
    dilation: list[Any],
    _groups: int,
    _mode: str,
) -> Tensor:
    spatial = w.ndim - 2
    output = stops_of(x.shape[-spatial:], w.shape[2:], stride, padding, dilation)
    return empty_image(x, [*x.shape[: -spatial - 1], w.shape[0], *output], _common(x, w))


def _common(x: Tensor, w: Tensor) -> torch.dtype:
    """Return the dtype of a convolution's result."""
    return torch_dtype(result_dtype(numpy_dtype(x.dtype), numpy_dtype(w.dtype), None))


def _save_operands(ctx: Any, inputs: tuple[Any, ...], _output: Tensor) -> None:
    """Keep two operands, and what the window is."""
    ctx.save_for_backward(inputs[0], inputs[1])
    ctx.window = inputs[-5:]


def _back_through_conv(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    x, w = ctx.saved_tensors
    needed = ctx.needs_input_grad
    of_x = INPUT_GRADIENT(grad, w, x.shape, *ctx.window) if needed[0] else None
    of_w = WEIGHT_GRADIENT(x, grad, w.shape[2:], *ctx.window) if needed[1] else None
    of_bias = BIAS_GRADIENT(grad, w.ndim - 2) if needed[2] else None
    return of_x, of_w, of_bias, None, None, None, None, None


CONV = Operator(
    f"conv(Tensor x, Tensor w, Tensor? bias, {_WINDOW}) -> Tensor",
    run_conv,
    _fake_conv,
    _back_through_conv,
    _save_operands,
)


def _run_input_gradient(grad: Tensor, w: Tensor, image_shape: Sequence[int], *window: Any) -> Tensor:
    last, spatial = has_channels_last(grad), w.ndim - 2
    shape = (image_shape[0], *image_shape[2:], image_shape[1]) if last else tuple(image_shape)
    options = _options(last and layout_of(grad.ndim, spatial, last), *window)
    result = conv_input_gradient(view_of(grad, last), array_of(w), shape, threads=torch.get_num_threads(), **options)
    return image_of(result, last)


def _back_through_input_gradient(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    g, w = ctx.saved_tensors
    of_g = CONV(grad, w, None, *ctx.window) if ctx.needs_input_grad[0] else None
    of_w = WEIGHT_GRADIENT(grad, g, w.shape[2:], *ctx.window) if ctx.needs_input_grad[1] else None
    return of_g, of_w, None, None, None, None, None, None


INPUT_GRADIENT = Operator(
    f"conv_input_gradient(Tensor grad, Tensor w, SymInt[] image_shape, {_WINDOW}) -> Tensor",
    _run_input_gradient,
    lambda grad, w, image_shape, *_: empty_image(grad, image_shape, _common(grad, w)),
    _back_through_input_gradient,
    _save_operands,
)


def _run_weight_gradient(x: Tensor, grad: Tensor, kernel_size: tuple[int, ...], *window: Any) -> Tensor:
    last, spatial = has_channels_last(x), len(kernel_size)
    options = _options(last and layout_of(x.ndim, spatial, last), *window)
    image, gradient = view_of(x, last), view_of(grad, last)
    return tensor_of(
        conv_weight_gradient(image, gradient, tuple(kernel_size), threads=torch.get_num_threads(), **options)
    )


def _fake_weight_gradient(x: Tensor, grad: Tensor, kernel_size: list[Any], *window: Any) -> Tensor:
    axis, groups = -len(kernel_size) - 1, window[3]
    return x.new_empty([grad.shape[axis], x.shape[axis] // groups, *kernel_size], dtype=_common(x, grad))


def _back_through_weight_gradient(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    x, g = ctx.saved_tensors
    of_x = INPUT_GRADIENT(g, grad, x.shape, *ctx.window) if ctx.needs_input_grad[0] else None
    of_g = CONV(x, grad, None, *ctx.window) if ctx.needs_input_grad[1] else None
    return of_x, of_g, None, None, None, None, None, None


WEIGHT_GRADIENT = Operator(
    f"conv_weight_gradient(Tensor x, Tensor grad, SymInt[] kernel_size, {_WINDOW}) -> Tensor",
    _run_weight_gradient,
    _fake_weight_gradient,
    _back_through_weight_gradient,
    _save_operands,
)


def _run_bias_gradient(grad: Tensor, spatial: int) -> Tensor:
    last = has_channels_last(grad)
    return tensor_of(conv_bias_gradient(view_of(grad, last), layout=layout_of(grad.ndim, spatial, last)))


def _fake_bias_gradient(grad: Tensor, spatial: int) -> Tensor:
    dtype = torch.int32 if grad.dtype in (torch.bool, torch.int8, torch.uint8) else grad.dtype
    return grad.new_empty([grad.shape[-spatial - 1]], dtype=dtype)


def _save_shape(ctx: Any, inputs: tuple[Any, ...], _output: Tensor) -> None:
    ctx.shape, ctx.spatial = inputs[0].shape, inputs[1]


BIAS_GRADIENT = Operator(
    "conv_bias_gradient(Tensor grad, int spatial) -> Tensor",
    _run_bias_gradient,
    _fake_bias_gradient,
    lambda ctx, grad: (grad.view(-1, *(1,) * ctx.spatial).expand(ctx.shape), None),
    _save_shape,
)


def _run_transpose(
    x: Tensor,
    w: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    dilation: Any,
    groups: int,
) -> Tensor:
    last, spatial = has_channels_last(x), w.ndim - 2
    result = conv_transpose(
        view_of(x, last),
        array_of(w),
        None if bias is None else array_of(bias),
        stride=core_form(stride),
        padding=core_form(padding),
        output_padding=core_form(output_padding),
        dilation=core_form(dilation),
        groups=groups,
        layout=layout_of(x.ndim, spatial, last),
        threads=torch.get_num_threads(),
    )
    return image_of(result, last)


def _fake_transpose(
    x: Tensor,
    w: Tensor,
    _bias: Tensor | None,
    stride: list[Any],
    padding: list[Any],
    output_padding: list[Any],
    dilation: list[Any],
    groups: int,
) -> Tensor:
    spatial = w.ndim - 2
    fields = x.shape[-spatial:], w.shape[2:], stride, padding, output_padding, dilation
    output = [(n - 1) * s - 2 * p + d * (k - 1) + 1 + more for n, k, s, p, more, d in zip(*fields, strict=True)]
    return empty_image(x, [*x.shape[: -spatial - 1], w.shape[1] * groups, *output], _common(x, w))


def _save_transpose(ctx: Any, inputs: tuple[Any, ...], _output: Tensor) -> None:
    x, w, _, *ctx.window = inputs
    ctx.save_for_backward(x, w)


def _back_through_transpose(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    """Return gradients by the convolution that was transposed.

    Pixels that output padding of a stride or more adds are so many that windows of their own begin there; what they
    give belongs to no element of x.
    """
    x, w = ctx.saved_tensors
    spatial = w.ndim - 2
    stride, padding, output_padding, dilation, groups = ctx.window
    window = stride, tuple(p for each in padding for p in (each, each)), dilation, groups, "zeros"
    surplus = [more // s for more, s in zip(output_padding, stride, strict=True)]
    of_x = of_w = None
    if ctx.needs_input_grad[0]:
        of_x = CONV(grad, w.conj(), None, *window)
        for axis, more in enumerate(surplus, x.ndim - spatial):
            of_x = of_x.narrow(axis, 0, x.shape[axis]) if more else of_x
    if ctx.needs_input_grad[1]:
        if any(surplus):
            x = torch.nn.functional.pad(x, [end for more in reversed(surplus) for end in (0, more)])
        of_w = WEIGHT_GRADIENT(grad, x, w.shape[2:], *window).conj()
    of_bias = BIAS_GRADIENT(grad, spatial) if ctx.needs_input_grad[2] else None
    return of_x, of_w, of_bias, None, None, None, None, None


TRANSPOSE = Operator(
    "conv_transpose(Tensor x, Tensor w, Tensor? bias, SymInt[] stride, SymInt[] padding, SymInt[] output_padding, "
    "SymInt[] dilation, SymInt groups) -> Tensor",
    _run_transpose,
    _fake_transpose,
    _back_through_transpose,
    _save_transpose,
)
