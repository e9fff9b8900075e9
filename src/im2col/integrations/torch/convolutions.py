"""The operators of convolution: each is linear in its tensors, and their gradients are one another."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from torch import Tensor

from ...errors import ShapeError
from ...layers.again import first_run, kind_of, run_again
from ...layers.convolution import checked as check_conv
from ...layers.input_gradient import checked as check_input_gradient
from ...layers.transpose import checked as check_transpose
from ...layers.weight_gradient import checked as check_weight_gradient
from ...layers.weight_gradient import conv_bias_gradient
from ...spec.foreign import tensor_of
from ...spec.problem import result_dtype
from .operators import Operator, core_form, core_padding, stops_of
from .tensors import (
    array_of,
    empty_image,
    has_channels_last,
    image_of,
    layout_of,
    numpy_dtype,
    torch_dtype,
    turned,
    view_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from numpy.typing import NDArray

    from ...layers.again import Check, Look

    Array = NDArray[Any]

MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""torch's names of padding modes, and the library's."""
_WINDOW = "SymInt[] stride, SymInt[] padding, SymInt[] dilation, SymInt groups, str padding_mode"
_DEFAULTS = (
    *(("stride", 1), ("padding", 0), ("dilation", 1), ("groups", 1)),
    *(("padding_mode", "constant"), ("layout", False)),
)


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


class _Call(NamedTuple):
    """How an operator is one of the library's operations on two arrays.

    Parameters
    ----------
    check : callable
        As `run_once` takes it.
    options : callable
        ``options(x, w, last, *window)`` returns whose call it is, and its arguments by their names.
    of_weights : bool
        Whether both arrays are images, and the result has the axes of weights.
    """

    check: Check
    options: Callable[..., tuple[Hashable, dict[str, Any]]]
    of_weights: bool = False


def _run(call: _Call, x: Tensor, w: Tensor, bias: Tensor | None, window: tuple[Any, ...]) -> Tensor:
    """Run an operation on tensors on the CPU, as calls like it are known to run."""
    last = not x.is_contiguous() and has_channels_last(x, len(window[-5]))
    arrays = array_of(x), array_of(w), None if bias is None else array_of(bias)
    threads = torch.get_num_threads()
    kind = call, window, last, threads, *kind_of(*arrays)
    return image_of(
        run_again(kind, arrays, None, threads, _first, call, last, threads, window), last and not call.of_weights
    )


def _first(
    arrays: tuple[Array, Array, Array | None], out: None, call: _Call, last: bool, threads: int, window: tuple[Any, ...]
) -> tuple[Array, Look]:
    """Run an operation of which nothing is known; see `run_again`."""
    x, w, bias = arrays
    name, options = call.options(x, w, last, *window)
    given = turned(x, last), turned(w, last and call.of_weights), bias
    return first_run(given, out, name, {**options, "threads": threads}, call.check, as_given=not last)


def _conv_options(x: Array, w: Array, last: bool, *window: Any) -> tuple[int, dict[str, Any]]:
    spatial = w.ndim - 2
    return spatial, _options(last and layout_of(x.ndim, spatial, last), *window)


_CONV = _Call(check_conv, _conv_options)


def _fake_conv(
    x: Tensor,
    w: Tensor,
    _bias: Tensor | None,
    stride: list[Any],
    padding: list[Any],
    dilation: list[Any],
    groups: int,
    _mode: str,
) -> Tensor:
    spatial = w.ndim - 2
    _check_channels(x.shape[-spatial - 1], w.shape[1] * groups)
    output = stops_of(x.shape[-spatial:], w.shape[2:], stride, padding, dilation)
    return empty_image(x, spatial, [*x.shape[: -spatial - 1], w.shape[0], *output], _common(x, w))


def _check_channels(channels: Any, read: Any) -> None:
    """Refuse other channels than those that weights are for, of tensors without memory; nothing is asked of symbols."""
    if type(channels) is type(read) is int and channels != read:
        raise ShapeError(f"the image has {channels} channels but the weights take {read}")


def _common(x: Tensor, w: Tensor) -> torch.dtype:
    """Return the dtype of a convolution's result."""
    return torch_dtype(result_dtype(numpy_dtype(x.dtype), numpy_dtype(w.dtype), None))


def _save_operands(ctx: Any, tensors: tuple[Any, ...], window: tuple[Any, ...], _output: Tensor) -> None:
    """Keep two operands, and what the convolution's window is."""
    ctx.save_for_backward(tensors[0], tensors[1])
    ctx.window = window[-5:]


def _back_through_conv(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    x, w = ctx.saved_tensors
    needed = ctx.needs_input_grad
    of_x = INPUT_GRADIENT(grad, w, (x.shape, *ctx.window)) if needed[0] else None
    of_w = WEIGHT_GRADIENT(x, grad, (w.shape[2:], *ctx.window)) if needed[1] else None
    of_bias = BIAS_GRADIENT(grad, (w.ndim - 2,)) if needed[2] else None
    return of_x, of_w, of_bias


CONV = Operator(
    f"conv(Tensor x, Tensor w, Tensor? bias, {_WINDOW}) -> Tensor",
    partial(_run, _CONV),
    _fake_conv,
    _back_through_conv,
    _save_operands,
)


def _input_gradient_options(
    grad: Array, w: Array, last: bool, image_shape: Sequence[int], *window: Any
) -> tuple[str, dict[str, Any]]:
    shape = (image_shape[0], *image_shape[2:], image_shape[1]) if last else tuple(image_shape)
    options = _options(last and layout_of(grad.ndim, w.ndim - 2, last), *window)
    return "conv_input_gradient", {"image_shape": shape, **options}


_INPUT_GRADIENT = _Call(check_input_gradient, _input_gradient_options)


def _back_through_input_gradient(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    g, w = ctx.saved_tensors
    of_g = CONV(grad, w, None, ctx.window) if ctx.needs_input_grad[0] else None
    of_w = WEIGHT_GRADIENT(grad, g, (w.shape[2:], *ctx.window)) if ctx.needs_input_grad[1] else None
    return of_g, of_w


INPUT_GRADIENT = Operator(
    f"conv_input_gradient(Tensor grad, Tensor w, SymInt[] image_shape, {_WINDOW}) -> Tensor",
    lambda grad, w, window: _run(_INPUT_GRADIENT, grad, w, None, window),
    lambda grad, w, image_shape, *_: empty_image(grad, w.ndim - 2, image_shape, _common(grad, w)),
    _back_through_input_gradient,
    _save_operands,
)


def _weight_gradient_options(
    x: Array, _: Array, last: bool, kernel_size: Sequence[int], *window: Any
) -> tuple[str, dict[str, Any]]:
    options = _options(last and layout_of(x.ndim, len(kernel_size), last), *window)
    return "conv_weight_gradient", {"kernel_size": tuple(kernel_size), **options}


_WEIGHT_GRADIENT = _Call(check_weight_gradient, _weight_gradient_options, of_weights=True)


def _fake_weight_gradient(x: Tensor, grad: Tensor, kernel_size: list[Any], *window: Any) -> Tensor:
    axis, groups = -len(kernel_size) - 1, window[3]
    return x.new_empty([grad.shape[axis], x.shape[axis] // groups, *kernel_size], dtype=_common(x, grad))


def _back_through_weight_gradient(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    x, g = ctx.saved_tensors
    of_x = INPUT_GRADIENT(g, grad, (x.shape, *ctx.window)) if ctx.needs_input_grad[0] else None
    of_g = CONV(x, grad, None, ctx.window) if ctx.needs_input_grad[1] else None
    return of_x, of_g


WEIGHT_GRADIENT = Operator(
    f"conv_weight_gradient(Tensor x, Tensor grad, SymInt[] kernel_size, {_WINDOW}) -> Tensor",
    lambda x, grad, window: _run(_WEIGHT_GRADIENT, x, grad, None, window),
    _fake_weight_gradient,
    _back_through_weight_gradient,
    _save_operands,
)


def _run_bias_gradient(grad: Tensor, window: tuple[int]) -> Tensor:
    last = has_channels_last(grad, window[0])
    return tensor_of(conv_bias_gradient(view_of(grad, last), layout=layout_of(grad.ndim, window[0], last)))


def _fake_bias_gradient(grad: Tensor, spatial: int) -> Tensor:
    dtype = torch.int32 if grad.dtype in (torch.bool, torch.int8, torch.uint8) else grad.dtype
    return grad.new_empty([grad.shape[-spatial - 1]], dtype=dtype)


def _save_shape(ctx: Any, tensors: tuple[Tensor], window: tuple[int], _output: Tensor) -> None:
    ctx.shape, ctx.spatial = tensors[0].shape, window[0]


BIAS_GRADIENT = Operator(
    "conv_bias_gradient(Tensor grad, int spatial) -> Tensor",
    _run_bias_gradient,
    _fake_bias_gradient,
    lambda ctx, grad: (grad.view(-1, *(1,) * ctx.spatial).expand(ctx.shape),),
    _save_shape,
)


def _transpose_options(
    x: Array, w: Array, last: bool, stride: Any, padding: Any, output_padding: Any, dilation: Any, groups: int
) -> tuple[str, dict[str, Any]]:
    options = {
        "stride": core_form(stride),
        "padding": core_form(padding),
        "output_padding": core_form(output_padding),
        "dilation": core_form(dilation),
        "groups": groups,
        "layout": layout_of(x.ndim, w.ndim - 2, last),
    }
    return "conv_transpose", options


_TRANSPOSE = _Call(check_transpose, _transpose_options)


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
    _check_channels(x.shape[-spatial - 1], w.shape[0])
    fields = x.shape[-spatial:], w.shape[2:], stride, padding, output_padding, dilation
    output = [(n - 1) * s - 2 * p + d * (k - 1) + 1 + more for n, k, s, p, more, d in zip(*fields, strict=True)]
    return empty_image(x, spatial, [*x.shape[: -spatial - 1], w.shape[1] * groups, *output], _common(x, w))


def _save_transpose(ctx: Any, tensors: tuple[Any, ...], window: tuple[Any, ...], _output: Tensor) -> None:
    ctx.save_for_backward(tensors[0], tensors[1])
    ctx.window = window


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
        of_x = CONV(grad, w.conj(), None, window)
        for axis, more in enumerate(surplus, x.ndim - spatial):
            of_x = of_x.narrow(axis, 0, x.shape[axis]) if more else of_x
    if ctx.needs_input_grad[1]:
        if any(surplus):
            x = torch.nn.functional.pad(x, [end for more in reversed(surplus) for end in (0, more)])
        of_w = WEIGHT_GRADIENT(grad, x, (w.shape[2:], *window)).conj()
    of_bias = BIAS_GRADIENT(grad, (spatial,)) if ctx.needs_input_grad[2] else None
    return of_x, of_w, of_bias


TRANSPOSE = Operator(
    "conv_transpose(Tensor x, Tensor w, Tensor? bias, SymInt[] stride, SymInt[] padding, SymInt[] output_padding, "
    "SymInt[] dilation, SymInt groups) -> Tensor",
    partial(_run, _TRANSPOSE),
    _fake_transpose,
    _back_through_transpose,
    _save_transpose,
)
