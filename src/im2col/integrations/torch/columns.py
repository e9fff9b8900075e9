"""The operators of the column matrix and of its way back: each is the other's gradient."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...matrix.transform import col2im, im2col
from ...spec.arrays import is_registered, sum_dtype
from ...spec.foreign import tensor_of
from .operators import Operator, core_form, core_padding, stops_of
from .tensors import array_of, has_channels_last, layout_of, numpy_dtype, torch_dtype, view_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_WINDOW = "SymInt[] kernel_size, SymInt[] stride, SymInt[] padding, SymInt[] dilation"


@lru_cache
def _options(layout: str, kernel_size: Any, stride: Any, padding: Any, dilation: Any) -> dict[str, Any]:
    """Return an operator's window as the library's functions take it."""
    return {
        "kernel_size": core_form(kernel_size),
        "stride": core_form(stride),
        "padding": core_padding(padding),
        "dilation": core_form(dilation),
        "orientation": "columns",
        "layout": layout,
    }


def _run_unfold(x: Tensor, window: tuple[Any, ...]) -> Tensor:
    last = has_channels_last(x, len(window[0]))
    options = _options(layout_of(x.ndim, len(window[0]), last), *window)
    return tensor_of(im2col(view_of(x, last), threads=torch.get_num_threads(), **options))


def _fake_unfold(x: Tensor, kernel_size: Sequence[Any], *window: Any) -> Tensor:
    spatial = len(kernel_size)
    taps = x.shape[-spatial - 1] * math.prod(kernel_size)
    positions = math.prod(stops_of(x.shape[-spatial:], kernel_size, *window))
    return x.new_empty([*x.shape[: -spatial - 1], taps, positions])


def _save_shape(ctx: Any, tensors: tuple[Tensor], window: tuple[Any, ...], _output: Tensor) -> None:
    ctx.shape, ctx.window = tensors[0].shape, window


UNFOLD = Operator(
    f"unfold(Tensor x, {_WINDOW}) -> Tensor",
    _run_unfold,
    _fake_unfold,
    lambda ctx, grad: (FOLD(grad, (ctx.shape, *ctx.window)),),
    _save_shape,
)


def _run_fold(columns: Tensor, window: tuple[Any, ...]) -> Tensor:
    image_shape, *rest = window
    options = _options(layout_of(len(image_shape), len(rest[0])), *rest)
    return tensor_of(col2im(array_of(columns), tuple(image_shape), threads=torch.get_num_threads(), **options))


def _fake_fold(columns: Tensor, image_shape: Sequence[Any], *_: Any) -> Tensor:
    dtype = numpy_dtype(columns.dtype)
    summed = dtype if is_registered(dtype) else sum_dtype(dtype)
    return columns.new_empty(image_shape, dtype=torch_dtype(summed))


def _save_window(ctx: Any, _tensors: tuple[Tensor], window: tuple[Any, ...], _output: Tensor) -> None:
    ctx.window = window[-4:]


FOLD: Operator = Operator(
    f"fold(Tensor columns, SymInt[] image_shape, {_WINDOW}) -> Tensor",
    _run_fold,
    _fake_fold,
    lambda ctx, grad: (UNFOLD(grad, ctx.window),),
    _save_window,
)
