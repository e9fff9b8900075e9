"""The operators of pooling. A maximum's gradient goes where the maximum lay; a mean's is its adjoint."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from ...layers.again import run_again
from ...layers.pooled import Window, first_pooled
from ...layers.pooling_gradients import average_pool_input_gradient, max_pool_input_gradient
from .operators import Operator, checked_stops
from .tensors import array_of, empty_image, has_channels_last, image_of, layout_of, turned, view_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ...layers.again import Look
    from ...spec.pool import Reduction

    Array = NDArray[Any]

_WINDOW = "SymInt[] kernel_size, SymInt[] stride, SymInt[] padding"
_MAXIMA = f"{_WINDOW}, SymInt[] dilation, bool ceil_mode"
_MEANS = f"{_WINDOW}, bool ceil_mode, bool count_include_pad"


def _output(x: Tensor, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> list[Any]:
    """Return the shape of an image that was pooled, of which sizes may be symbols."""
    spatial, stops = len(kernel_size), []
    for n, k, s, p, d in zip(x.shape[-spatial:], kernel_size, stride, padding, dilation, strict=True):
        room = n + 2 * p - d * (k - 1) - 1
        if not ceil_mode:
            stops.append(room // s + 1)
            continue
        count = (room + s - 1) // s + 1
        # The last window begins in the image, or in the padding before it.
        stops.append(count - 1 if (count - 1) * s >= n + p else count)
    return [*x.shape[:-spatial], *checked_stops(stops, x.shape[-spatial:], kernel_size)]


class _Call(NamedTuple):
    """How an operator is one of the library's ways to pool.

    Parameters
    ----------
    reduction : str
    window : callable
        It takes the operator's window, and returns the library's `Window`.
    """

    reduction: Reduction
    window: Callable[..., Window]


def _run(call: _Call, x: Tensor, window: tuple[Any, ...]) -> Tensor:
    """Pool a tensor on the CPU, as calls like it are known to run."""
    last = not x.is_contiguous() and has_channels_last(x, len(window[0]))
    array, threads = array_of(x), torch.get_num_threads()
    kind = call, window, last, threads, array.shape, array.strides, array.dtype
    return image_of(run_again(kind, (array,), None, threads, _first, call, last, threads, window), last)


def _first(
    arrays: tuple[Array], out: None, call: _Call, last: bool, threads: int, window: tuple[Any, ...]
) -> tuple[Array, Look]:
    """Pool a tensor of which nothing is known; see `run_again`."""
    (x,) = arrays
    layout = layout_of(x.ndim, len(window[0]), last)
    return first_pooled((turned(x, last),), out, call.reduction, call.window(*window), layout, threads)


def _of_maxima(kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Window:
    return Window(kernel_size, stride, padding, dilation, ceil_mode)


def _of_means(kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool, counted: bool) -> Window:
    return Window(kernel_size, stride, padding, 1, ceil_mode, counted)


_MAX, _MEAN, _PLACE = _Call("maximum", _of_maxima), _Call("mean", _of_means), _Call("place", _of_maxima)


def _save_image(ctx: Any, tensors: tuple[Tensor], window: tuple[Any, ...], _output: Tensor) -> None:
    ctx.save_for_backward(*tensors)
    ctx.window = window


def _back_through_max(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    (x,) = ctx.saved_tensors
    indices = MAX_POOL_INDICES(x.detach(), ctx.window)
    return (MAX_POOL_GRADIENT(grad, indices, (x.shape, len(ctx.window[0]))),)


MAX_POOL = Operator(
    f"max_pool(Tensor x, {_MAXIMA}) -> Tensor",
    partial(_run, _MAX),
    lambda x, *window: empty_image(x, len(window[0]), _output(x, *window), x.dtype),
    _back_through_max,
    _save_image,
)


MAX_POOL_INDICES = Operator(
    f"max_pool_indices(Tensor x, {_MAXIMA}) -> Tensor",
    partial(_run, _PLACE),
    lambda x, *window: empty_image(x, len(window[0]), _output(x, *window), torch.int64),
    lambda _, __: (None,),
    lambda ctx, _, __, output: ctx.mark_non_differentiable(output),
)


def _run_max_gradient(grad: Tensor, indices: Tensor, window: tuple[Sequence[int], int]) -> Tensor:
    image_shape, spatial = window
    layout = layout_of(grad.ndim, spatial)
    gradient = max_pool_input_gradient(array_of(grad), array_of(indices), tuple(image_shape), layout=layout)
    return image_of(gradient, False)


def _save_places(ctx: Any, tensors: tuple[Tensor, Tensor], window: tuple[Any, ...], _output: Tensor) -> None:
    ctx.save_for_backward(tensors[1])
    ctx.spatial = window[1]


def _gather(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    """Return the numbers that lie where the indices say, and 0 where they say -1."""
    (indices,) = ctx.saved_tensors
    places = indices.flatten(-ctx.spatial)
    numbers = grad.flatten(-ctx.spatial).gather(-1, places.clamp(min=0)).where(places >= 0, 0)
    return numbers.view(indices.shape), None


MAX_POOL_GRADIENT = Operator(
    "max_pool_input_gradient(Tensor grad, Tensor indices, SymInt[] image_shape, int spatial) -> Tensor",
    _run_max_gradient,
    lambda grad, _, image_shape, __: grad.new_empty(image_shape),
    _gather,
    _save_places,
)


def _mean_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype of means."""
    return x.dtype if x.is_floating_point() or x.is_complex() else torch.float64


def _fake_mean(x: Tensor, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool, _: bool) -> Tensor:
    shape = _output(x, kernel_size, stride, padding, (1,) * len(kernel_size), ceil_mode)
    return empty_image(x, len(kernel_size), shape, _mean_dtype(x))


def _save_window(ctx: Any, tensors: tuple[Tensor], window: tuple[Any, ...], _output: Tensor) -> None:
    ctx.shape, ctx.window = tensors[0].shape, window[-5:]


AVERAGE_POOL = Operator(
    f"average_pool(Tensor x, {_MEANS}) -> Tensor",
    partial(_run, _MEAN),
    _fake_mean,
    lambda ctx, grad: (AVERAGE_POOL_GRADIENT(grad, (ctx.shape, *ctx.window)),),
    _save_window,
)


def _run_mean_gradient(grad: Tensor, window: tuple[Any, ...]) -> Tensor:
    image_shape, kernel_size, stride, padding, ceil_mode, counted = window
    last = has_channels_last(grad, len(kernel_size))
    gradient = average_pool_input_gradient(
        view_of(grad, last),
        (image_shape[0], *image_shape[2:], image_shape[1]) if last else tuple(image_shape),
        kernel_size,
        stride=stride,
        padding=padding,
        ceil_mode=ceil_mode,
        count_include_pad=counted,
        layout=layout_of(grad.ndim, len(kernel_size), last),
        threads=torch.get_num_threads(),
    )
    return image_of(gradient, last)


AVERAGE_POOL_GRADIENT: Operator = Operator(
    f"average_pool_input_gradient(Tensor grad, SymInt[] image_shape, {_MEANS}) -> Tensor",
    _run_mean_gradient,
    lambda grad, image_shape, kernel_size, *_: empty_image(grad, len(kernel_size), image_shape, _mean_dtype(grad)),
    lambda ctx, grad: (AVERAGE_POOL(grad, ctx.window),),
    _save_window,
)
