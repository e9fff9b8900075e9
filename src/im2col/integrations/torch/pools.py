"""The operators of pooling. A maximum's gradient goes where the maximum lay; a mean's is its adjoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...layers.pooling import average_pool, max_pool
from ...layers.pooling_gradients import average_pool_input_gradient, max_pool_input_gradient
from .operators import Operator, core_form
from .tensors import array_of, empty_image, has_channels_last, image_of, layout_of, view_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_WINDOW = "SymInt[] kernel_size, SymInt[] stride, SymInt[] padding"
_MAXIMUM = f"{_WINDOW}, SymInt[] dilation, bool ceil_mode"
_MEAN = f"{_WINDOW}, bool ceil_mode, bool count_include_pad"


def _output(x: Tensor, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> list[Any]:
    """Return the shape of an image that was pooled, of which sizes may be symbols."""
    spatial = len(kernel_size)
    shape = list(x.shape[:-spatial])
    for n, k, s, p, d in zip(x.shape[-spatial:], kernel_size, stride, padding, dilation, strict=True):
        room = n + 2 * p - d * (k - 1) - 1
        if not ceil_mode:
            shape.append(room // s + 1)
            continue
        count = (room + s - 1) // s + 1
        # The last window begins in the image, or in the padding before it.
        shape.append(count - 1 if (count - 1) * s >= n + p else count)
    return shape


def _common(kernel_size: Any, stride: Any, padding: Any) -> dict[str, Any]:
    """Return a window as the library's functions take it."""
    return {"kernel_size": kernel_size, "stride": core_form(stride), "padding": core_form(padding)}


def _maximum(x: Tensor, window: tuple[Any, ...], **options: Any) -> Any:
    *common, dilation, ceil_mode = window
    last = has_channels_last(x)
    return max_pool(
        view_of(x, last),
        **_common(*common),
        dilation=core_form(dilation),
        ceil_mode=ceil_mode,
        layout=layout_of(x.ndim, len(common[0]), last),
        threads=torch.get_num_threads(),
        **options,
    )


def _run_max(x: Tensor, *window: Any) -> Tensor:
    return image_of(_maximum(x, window), has_channels_last(x))


def _save_image(ctx: Any, inputs: tuple[Any, ...], _output: Tensor) -> None:
    x, *ctx.window = inputs
    ctx.save_for_backward(x)


def _back_through_max(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    (x,) = ctx.saved_tensors
    with torch.no_grad():
        _, indices = MAX_POOL_WITH_INDICES(x, *ctx.window)
    return MAX_POOL_GRADIENT(grad, indices, x.shape, len(ctx.window[0])), *(None,) * 5


MAX_POOL = Operator(
    f"max_pool(Tensor x, {_MAXIMUM}) -> Tensor",
    _run_max,
    lambda x, *window: empty_image(x, _output(x, *window), x.dtype),
    _back_through_max,
    _save_image,
)


def _run_max_with_indices(x: Tensor, *window: Any) -> tuple[Tensor, Tensor]:
    last = has_channels_last(x)
    greatest, indices = _maximum(x, window, return_indices=True)
    return image_of(greatest, last), image_of(indices, last)


def _fake_max_with_indices(x: Tensor, *window: Any) -> tuple[Tensor, Tensor]:
    shape = _output(x, *window)
    return empty_image(x, shape, x.dtype), empty_image(x, shape, torch.int64)


def _save_indices(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    indices = output[1]
    ctx.mark_non_differentiable(indices)
    ctx.save_for_backward(indices)
    ctx.shape, ctx.spatial = inputs[0].shape, len(inputs[1])


def _back_through_max_with_indices(ctx: Any, grad: Tensor, _: Any) -> tuple[Any, ...]:
    (indices,) = ctx.saved_tensors
    return MAX_POOL_GRADIENT(grad, indices, ctx.shape, ctx.spatial), *(None,) * 5


MAX_POOL_WITH_INDICES = Operator(
    f"max_pool_with_indices(Tensor x, {_MAXIMUM}) -> (Tensor, Tensor)",
    _run_max_with_indices,
    _fake_max_with_indices,
    _back_through_max_with_indices,
    _save_indices,
)


def _run_max_gradient(grad: Tensor, indices: Tensor, image_shape: Sequence[int], spatial: int) -> Tensor:
    layout = layout_of(grad.ndim, spatial)
    gradient = max_pool_input_gradient(array_of(grad), array_of(indices), tuple(image_shape), layout=layout)
    return image_of(gradient, False)


def _save_places(ctx: Any, inputs: tuple[Any, ...], _output: Tensor) -> None:
    _, indices, _, ctx.spatial = inputs
    ctx.save_for_backward(indices)


def _gather(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    """Return the numbers that lie where the indices say, and 0 where they say -1."""
    (indices,) = ctx.saved_tensors
    places = indices.flatten(-ctx.spatial)
    numbers = grad.flatten(-ctx.spatial).gather(-1, places.clamp(min=0)).where(places >= 0, 0)
    return numbers.view(indices.shape), None, None, None


MAX_POOL_GRADIENT = Operator(
    "max_pool_input_gradient(Tensor grad, Tensor indices, SymInt[] image_shape, int spatial) -> Tensor",
    _run_max_gradient,
    lambda grad, _, image_shape, __: grad.new_empty(image_shape),
    _gather,
    _save_places,
)


def _run_mean(x: Tensor, *window: Any) -> Tensor:
    *common, ceil_mode, counted = window
    last = has_channels_last(x)
    means = average_pool(
        view_of(x, last),
        **_common(*common),
        ceil_mode=ceil_mode,
        count_include_pad=counted,
        layout=layout_of(x.ndim, len(common[0]), last),
        threads=torch.get_num_threads(),
    )
    return image_of(means, last)


def _mean_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype of means."""
    return x.dtype if x.is_floating_point() or x.is_complex() else torch.float64


def _fake_mean(x: Tensor, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool, _: bool) -> Tensor:
    shape = _output(x, kernel_size, stride, padding, (1,) * len(kernel_size), ceil_mode)
    return empty_image(x, shape, _mean_dtype(x))


def _save_window(ctx: Any, inputs: tuple[Any, ...], _output: Tensor) -> None:
    ctx.shape, ctx.window = inputs[0].shape, inputs[-5:]


AVERAGE_POOL = Operator(
    f"average_pool(Tensor x, {_MEAN}) -> Tensor",
    _run_mean,
    _fake_mean,
    lambda ctx, grad: (AVERAGE_POOL_GRADIENT(grad, ctx.shape, *ctx.window), *(None,) * 5),
    _save_window,
)


def _run_mean_gradient(grad: Tensor, image_shape: Sequence[int], *window: Any) -> Tensor:
    *common, ceil_mode, counted = window
    last = has_channels_last(grad)
    gradient = average_pool_input_gradient(
        view_of(grad, last),
        (image_shape[0], *image_shape[2:], image_shape[1]) if last else tuple(image_shape),
        **_common(*common),
        ceil_mode=ceil_mode,
        count_include_pad=counted,
        layout=layout_of(grad.ndim, len(common[0]), last),
        threads=torch.get_num_threads(),
    )
    return image_of(gradient, last)


AVERAGE_POOL_GRADIENT: Operator = Operator(
    f"average_pool_input_gradient(Tensor grad, SymInt[] image_shape, {_MEAN}) -> Tensor",
    _run_mean_gradient,
    lambda grad, image_shape, *_: empty_image(grad, image_shape, _mean_dtype(grad)),
    lambda ctx, grad: (AVERAGE_POOL(grad, *ctx.window), None, *(None,) * 5),
    _save_window,
)
