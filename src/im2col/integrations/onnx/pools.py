"""Pooling: over windows, over whole channels, and the way back of greatest pixels."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ...engine.host import require_memory
from ...errors import GeometryError, ShapeError, shown
from ...layers.global_pooling import global_average_pool, global_lp_pool, global_max_pool
from ...layers.pooling import average_pool, lp_pool, max_pool
from ...layers.pooling_gradients import max_unpool
from ...spec import layout
from .node import window
from .order import back, channels_last, order_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from .node import Node

    Array = NDArray[Any]


def _options(x: Array, kernel_shape: Sequence[int], *, ceil_mode: int = 0, **attributes: Any) -> dict[str, Any]:
    """Return the attributes of a pooling as this library's arguments; `ceil_mode` rounds where `pads` pad."""
    axes = _spatial_axes(x)
    if len(kernel_shape) != axes or min(kernel_shape) < 1:
        raise GeometryError(
            f"kernel_shape must be {axes} integers of at least 1 for {axes} spatial axes, got {shown(kernel_shape)}"
        )
    explicit = attributes.get("auto_pad", "NOTSET") == "NOTSET"
    options = window(axes, **attributes)
    return {"kernel_size": tuple(kernel_shape), "ceil_mode": bool(ceil_mode) and explicit, **options}


def _spatial_axes(x: Array) -> int:
    if x.ndim < 3:
        raise ShapeError(f"X must be (N, C, *spatial), at least 3 axes; got shape {x.shape}")
    return x.ndim - 2


def pool_greatest(
    node: Node, x: Array, *, kernel_shape: Sequence[int], storage_order: int = 0, **attributes: Any
) -> Array | tuple[Array, Array]:
    """MaxPool, with indices if they are asked for; `storage_order` 1 counts the pixels of a channel columns first."""
    options = _options(x, kernel_shape, **attributes)
    if node.outputs < 2:
        return _as_it_lies(max_pool, x, **options)
    greatest, indices = max_pool(x, return_indices=True, **options)
    inside, spatial = indices >= 0, x.shape[2:]
    if storage_order:
        places = np.unravel_index(indices[inside], spatial)
        indices[inside] = np.ravel_multi_index(places[::-1], spatial[::-1])
    return greatest, np.where(inside, indices + _first_pixels(x.shape), -1)


def _first_pixels(shape: tuple[int, ...]) -> Array:
    """Return the number of each channel's first pixel, counted through a whole image (N, C, *spatial)."""
    channels = np.arange(shape[0] * shape[1]).reshape(*shape[:2], *[1] * (len(shape) - 2))
    return channels * math.prod(shape[2:])


def pool_mean(
    _: Node, x: Array, *, kernel_shape: Sequence[int], count_include_pad: int = 0, **attributes: Any
) -> Array:
    """AveragePool."""
    return _as_it_lies(
        average_pool, x, count_include_pad=bool(count_include_pad), **_options(x, kernel_shape, **attributes)
    )


def pool_norm(_: Node, x: Array, *, kernel_shape: Sequence[int], p: float, **attributes: Any) -> Array:
    """LpPool."""
    return _as_it_lies(lp_pool, x, p=p, **_options(x, kernel_shape, **attributes))


def pool_greatest_of_all(_: Node, x: Array) -> Array:
    """GlobalMaxPool."""
    return _as_it_lies(global_max_pool, x)


def pool_mean_of_all(_: Node, x: Array) -> Array:
    """GlobalAveragePool."""
    return _as_it_lies(global_average_pool, x)


def pool_norm_of_all(_: Node, x: Array, *, p: float) -> Array:
    """GlobalLpPool."""
    return _as_it_lies(global_lp_pool, x, p=p)


def _layout(x: Array) -> str:
    return layout.default(x.ndim, _spatial_axes(x)).axes


def _as_it_lies(function: Callable[..., Array], x: Array, **options: Any) -> Array:
    """Return what a pooling makes of an image, in the layout in which that lies in memory."""
    first, last, there, again = _layouts(x.ndim, _spatial_axes(x))
    if x.flags.c_contiguous or order_of(x) != there:
        return function(x, layout=first, **options)
    return function(x.transpose(there), layout=last, **options).transpose(again)


@cache
def _layouts(ndim: int, axes: int) -> tuple[str, str, tuple[int, ...], list[int]]:
    """Return the layouts with channels first and last, and how axes become those of the second, and back."""
    first, there = layout.default(ndim, axes).axes, channels_last(ndim)
    return first, first.replace("C", "") + "C", there, back(there)


def unpool(
    _: Node,
    x: Array,
    indices: Array,
    output_shape: Array | None = None,
    *,
    kernel_shape: Sequence[int],
    **attributes: Any,
) -> Array:
    """MaxUnpool: indices count through the whole image that window, strides and pads tell; `output_shape` pads it."""
    options = _options(x, kernel_shape, **attributes)
    if indices.shape != x.shape:
        raise ShapeError(f"I has shape {indices.shape} but X has {x.shape}")
    sizes = zip(x.shape[2:], options["kernel_size"], options["stride"], options["padding"], strict=True)
    spatial = tuple((n - 1) * s - sum(pads) + k for n, k, s, pads in sizes)
    if min(spatial) < 1:
        raise GeometryError(f"the image would have the spatial axes {spatial}; lower pads")
    shape = (*x.shape[:2], *spatial)
    wanted = shape if output_shape is None else tuple(output_shape.ravel().tolist())
    if len(wanted) != x.ndim or wanted[:2] != x.shape[:2] or any(a < b for a, b in zip(wanted, shape, strict=True)):
        raise ShapeError(f"output_shape {list(wanted)} must be {list(shape)}, or more along the spatial axes")
    require_memory(math.prod(wanted) * x.itemsize, "unpool to a smaller shape", "the result {} of {}", wanted, x.dtype)
    image = np.zeros(wanted, x.dtype)
    places = np.where(indices == -1, -1, indices - _first_pixels(shape))  # of windows in the padding alone
    max_unpool(x, places, shape, layout=_layout(x), out=image[tuple(map(slice, shape))])
    return image
