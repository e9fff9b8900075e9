"""Weights and bias as the kernels read them, block by block."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...engine import gather, scratch
from .channel_passes import ChannelShape
from .operand import Layer
from .position_passes import PositionShape

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .choice import Shape
    from .operand import Operand
    from .schedule import Part


class Slot(NamedTuple):
    """Where a part of the filters comes from, and where it is packed.

    Parameters
    ----------
    filters : slice
        Of each group.
    split : tuple of int
        Shape of those weights: (groups, blocks, filters of a block, channels, *kernel).
    order : tuple of int
        Its axes in the order of the packed weights, the filters of a block innermost.
    packed : tuple of int
        Shape of the packed weights; a block of filters may have room for more than there are.
    weights_at, bias_at : int
        Bytes before it.
    """

    filters: slice
    split: tuple[int, ...]
    order: tuple[int, ...]
    packed: tuple[int, ...]
    weights_at: int
    bias_at: int


def packed_layer(layer: Layer, shape: Shape) -> Layer:
    """Return the groups, channels and filters as they are packed: where lanes are channels, as one group's filters."""
    return Layer(1, 1, layer.groups) if isinstance(shape, ChannelShape) else layer


def slots(op: Operand, layer: Layer, shape: Shape, parts: list[Part]) -> list[Slot]:
    """Return the slot of each part, one behind the other."""
    groups, channels, _ = packed_layer(layer, shape)
    kernel = op.geometry.kernel_size
    k = len(kernel)
    taps: tuple[int, ...] = (*range(4, 4 + k), 3)
    if isinstance(shape, PositionShape):
        # The planes (outer axes and channels), then the window's columns, then its rows.
        taps = (*range(4, 2 + k), 3, *((3 + k, 2 + k) if k > 1 else (4,)))
    order = (0, 1, *taps, 2)
    found, filters = [], 0
    for part in parts:
        split = (groups, part.blocks, part.width, channels, *kernel)
        packed = (*(split[axis] for axis in order[:-1]), part.packed)
        taken = slice(part.first, part.first + part.blocks * part.width)
        weights_at = filters * channels * math.prod(kernel) * op.size
        found.append(Slot(taken, split, order, packed, weights_at, filters * op.size))
        filters += groups * part.blocks * part.packed
    return found


class Packed(NamedTuple):
    """Packed weights, and packed bias with the factors of requantisation behind it."""

    weights: NDArray[Any]
    bias: NDArray[Any]


def pack(
    found: list[Slot],
    layer: Layer,
    w: NDArray[Any],
    bias: NDArray[Any] | None,
    dtype: np.dtype[Any],
    threads: int,
    scales: NDArray[np.float32] | None = None,
) -> Packed:
    """Arrange weights, bias and factors as the kernels read them.

    Parameters
    ----------
    found : list of Slot
    layer : Layer
        As it is packed.
    w : ndarray, (filters, channels of a group, *kernel)
    bias : ndarray, (filters,), or None
        In the sums' dtype.
    dtype : dtype
        Of packed weights.
    threads : int
    scales : ndarray of float32, (filters,), or None
        They come with a bias.
    """
    source = w.reshape(layer.groups, layer.filters, *w.shape[1:])
    if source.dtype != dtype:
        with np.errstate(all="ignore"):
            source = source.astype(dtype)
    last = found[-1]
    room = last.weights_at // dtype.itemsize + math.prod(last.packed)
    weights = scratch.empty(room, dtype)
    for slot in found:
        first = slot.weights_at // dtype.itemsize
        whole = weights[first : first + math.prod(slot.packed)].reshape(slot.packed)
        whole[..., slot.split[2] :] = 0
        to = whole[..., : slot.split[2]]
        gather.copy(to, source[:, slot.filters].reshape(slot.split).transpose(slot.order), threads)
    if bias is None:
        return Packed(weights, weights)
    offsets = _by_filter(found, layer, bias)
    if scales is not None:
        offsets = np.concatenate([offsets, _by_filter(found, layer, scales).view(offsets.dtype)])
    return Packed(weights, offsets)


def _by_filter(found: list[Slot], layer: Layer, values: NDArray[Any]) -> NDArray[Any]:
    """Return one value a filter in the order of the packed filters, 0 for filters that are not there."""
    last, size = found[-1], values.itemsize
    packed = np.zeros(last.bias_at // size + math.prod(last.packed[:2]) * last.packed[-1], values.dtype)
    each = values.reshape(layer.groups, layer.filters)
    for slot in found:
        shape = (*slot.packed[:2], slot.packed[-1])
        first = slot.bias_at // size
        to = packed[first : first + math.prod(shape)].reshape(shape)[..., : slot.split[2]]
        to[...] = each[:, slot.filters].reshape(slot.split[:3])
    return packed
