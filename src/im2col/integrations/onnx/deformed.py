"""The deformable convolution: taps lie where offsets put them, between pixels too.

What a tap reads there, the mean of the pixels around it by their distances, is one entry of a column matrix. With that
matrix, taps × positions, for an image of as many channels, the layer is a convolution of one tap.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...engine.host import require_memory
from ...errors import ShapeError
from ...layers.convolution import conv
from ...matrix.shapes import output_shape
from .node import check_filters, window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .node import Node

    Array = NDArray[Any]


def convolve_deformed(
    _: Node,
    x: Array,
    w: Array,
    offset: Array,
    bias: Array | None = None,
    mask: Array | None = None,
    *,
    group: int,
    offset_group: int,
    kernel_shape: Sequence[int] | None = None,
    **attributes: Any,
) -> Array:
    """DeformConv: over any number of axes."""
    axes = check_filters(x, w, w.shape[1] * group if w.ndim > 1 else 0, group, kernel_shape)
    options, kernel = window(axes, **attributes), w.shape[2:]
    stops = output_shape(x.shape[2:], kernel, **options)
    taps = math.prod(kernel)
    if offset_group < 1 or x.shape[1] % offset_group:
        raise ShapeError(f"the {x.shape[1]} channels of X do not divide into offset_group {offset_group}")
    for name, given, each in (("offset", offset, axes), ("mask", mask, 1)):
        wanted = (len(x), offset_group * taps * each, *stops)
        if given is not None and given.shape != wanted:
            raise ShapeError(f"{name} must have shape {wanted} for X of shape {x.shape}, got {given.shape}")
    precise = np.result_type(x.dtype, np.float32)
    positions = math.prod(stops)
    columns_shape = (x.shape[1] * taps, positions)
    # Beside the matrix: what is read at one corner, twice, for a group of channels; places, weights and indices.
    size = math.prod(columns_shape) * precise.itemsize
    beside = 2 * size // offset_group + 8 * taps * positions * (2 * axes + 6)
    require_memory(size, "use a smaller image", "the samples {} of an image", columns_shape, beside=beside)
    where = _undeformed(kernel, stops, options)
    offsets = offset.reshape(len(x), offset_group, taps, axes, positions)
    masks = None if mask is None else mask.reshape(len(x), offset_group, 1, taps, positions)
    filters = w.reshape(len(w), w.shape[1] * taps, 1).astype(precise, copy=False)
    y = np.empty((len(x), len(w), positions), x.dtype)
    for number, image in enumerate(x):
        groups = image.reshape(offset_group, -1, *image.shape[1:])
        columns = np.empty((offset_group, groups.shape[1], taps, positions), precise)
        for channels, moves, samples in zip(groups, offsets[number], columns, strict=True):
            _sample(channels.astype(precise, copy=False), where + moves.swapaxes(0, 1), samples)
        if masks is not None:
            columns *= masks[number]
        y[number] = conv(columns.reshape(columns_shape), filters, bias, groups=group)
    return y.reshape(len(x), len(w), *stops)


def _undeformed(kernel: Sequence[int], stops: Sequence[int], options: dict[str, Any]) -> Array:
    """Return the place of every tap at every position, along each axis: (axes, taps, positions)."""
    places = []
    for k, n, s, d, (before, _) in zip(
        kernel, stops, options["stride"], options["dilation"], options["padding"], strict=True
    ):
        places.append(np.arange(k)[:, None] * d + np.arange(n) * s - float(before))
    grids = []
    for axis, place in enumerate(places):
        shape = [1] * (2 * len(kernel))
        shape[axis], shape[len(kernel) + axis] = place.shape
        grids.append(np.broadcast_to(place.reshape(shape), (*kernel, *stops)))
    return np.stack(grids).reshape(len(kernel), math.prod(kernel), -1)


def _sample(channels: Array, places: Array, samples: Array) -> None:
    """Write what (channels, *spatial) are at (axes, taps, positions): linear between pixels, 0 outside of the image.

    A pixel whose weight is 0 is not read. Nowhere is NaN.
    """
    spatial = channels.shape[1:]
    flat = channels.reshape(len(channels), -1)
    low = np.floor(places)
    with np.errstate(invalid="ignore"):
        part = places - low
    samples[...] = 0
    for corner in itertools.product((0, 1), repeat=len(spatial)):
        weight = np.ones(places.shape[1:])
        index = np.zeros(places.shape[1:], np.intp)
        for axis, (side, n) in enumerate(zip(corner, spatial, strict=True)):
            pixel = low[axis] + side
            inside = (pixel >= 0) & (pixel < n)
            share = part[axis] if side else 1 - part[axis]
            weight *= np.where(inside, share, 0)
            index = index * n + np.where(inside, pixel, 0).astype(np.intp)
        seen = weight != 0
        samples[:, seen] += flat[:, index[seen]] * weight[seen].astype(samples.dtype)
    samples[:, np.isnan(places).any(0)] = np.nan
