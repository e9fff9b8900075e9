"""Weights and bias as the kernels read them, block by block of filters."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...engine import gather, scratch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from .view import GroupShape, View


class FilterBlocks(NamedTuple):
    """Equal blocks of a group's filters.

    Parameters
    ----------
    first : int
        The first filter.
    width : int
        Filters of a block.
    blocks : int
        How many.
    packed : int
        Filters of a block as packed: a tail is filled with zeros.
    shape : tuple of int
        What its kernel is specialised for.
    """

    first: int
    width: int
    blocks: int
    packed: int
    shape: tuple[int, ...]

    @property
    def filters(self) -> slice:
        """Those of the group that are in the blocks."""
        return slice(self.first, self.first + self.blocks * self.width)


class PackedAt(NamedTuple):
    """Where blocks of filters come from, and where they are packed.

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

    def of_blocks(self, first: int, number: int, size: int) -> PackedAt:
        """Return the same of some of the blocks of the only group alone; `size` is that of a number of the bias."""
        groups, _, width, *rest = self.split
        start = self.filters.start + first * width
        filters = slice(start, start + number * width)
        packed = (groups, number, *self.packed[2:])
        bias_at = self.bias_at + first * self.packed[-1] * size
        return self._replace(filters=filters, split=(groups, number, width, *rest), packed=packed, bias_at=bias_at)


def split_evenly(n: int, most: int) -> list[tuple[int, int]]:
    """Cut n into as few pieces of at most `most` as possible, none of them more than one longer than another.

    Returns
    -------
    list of (int, int)
        Sizes and how many there are of each, the longer first.

    Examples
    --------
    >>> split_evenly(55, 14), split_evenly(56, 14)
    ([(14, 3), (13, 1)], [(14, 4)])
    """
    pieces = -(-n // most)
    short, longer = divmod(n, pieces)
    return [(size, count) for size, count in ((short + 1, longer), (short, pieces - longer)) if count]


def vector_blocks(filters: int, lanes: int, most: int) -> list[FilterBlocks]:
    """Return blocks of filters of at most `most` vectors, evenly filled; the last vector may be a tail.

    The shape of blocks is their vectors and the filters of the last one that are there.
    """
    vectors = -(-filters // lanes)
    tail = filters - (vectors - 1) * lanes
    sizes = [size for size, count in split_evenly(vectors, most) for _ in range(count)]
    found: list[FilterBlocks] = []
    first = 0
    for i, size in enumerate(sizes):
        last = tail if i == len(sizes) - 1 else lanes
        width = (size - 1) * lanes + last
        if found and found[-1].shape == (size, last):
            found[-1] = found[-1]._replace(blocks=found[-1].blocks + 1)
        else:
            found.append(FilterBlocks(first, width, 1, size * lanes, (size, last)))
        first += width
    return found


def packed_at(view: View, group: GroupShape, tap_order: tuple[int, ...], blocks: list[FilterBlocks]) -> list[PackedAt]:
    """Return where each of the blocks is packed, one behind the other; `group` is as it is packed."""
    kernel = view.geometry.kernel_size
    order = (0, 1, *tap_order, 2)
    found, filters = [], 0
    for each in blocks:
        split = (group.groups, each.blocks, each.width, group.channels, *kernel)
        packed = (*(split[axis] for axis in order[:-1]), each.packed)
        weights_at = filters * group.channels * math.prod(kernel) * view.size
        found.append(PackedAt(each.filters, split, order, packed, weights_at, filters * view.size))
        filters += group.groups * each.blocks * each.packed
    return found


class Parts(NamedTuple):
    """What a packed weight is: neighbouring channels, side by side.

    Parameters
    ----------
    number : int
        How many.
    dtype : dtype
        Of each.
    """

    number: int
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Bytes of a packed weight."""
        return self.number * self.dtype.itemsize


class Packed(NamedTuple):
    """Packed weights, and packed bias with the factors of requantisation behind it."""

    weights: NDArray[Any]
    bias: NDArray[Any]


def pack(
    places: list[PackedAt],
    group: GroupShape,
    w: NDArray[Any],
    bias: NDArray[Any] | None,
    dtype: np.dtype[Any],
    threads: int,
    scales: NDArray[np.float32] | None = None,
) -> Packed:
    """Arrange weights, bias and factors as the kernels read them.

    Parameters
    ----------
    places : list of PackedAt
    group : GroupShape
        As it is packed.
    w : ndarray, (filters, channels of a group, *kernel) or (filters, channels of a group, *kernel, parts)
        Weights, or the parts that each of them has.
    bias : ndarray, (filters,), or None
        In the sums' dtype.
    dtype : dtype
        Of packed weights, or of their parts.
    threads : int
    scales : ndarray of float32, (filters,), or None
        They come with a bias.
    """
    parts = w.size // max(1, len(w) * group.channels * math.prod(places[0].split[4:]))
    count = room_for_weights(places) * parts
    weights = scratch.empty(count, dtype)
    # Numbers of another dtype are packed as they are, and then converted one after another.
    packed = weights if w.dtype == dtype else scratch.empty(count, w.dtype)
    filters = w.reshape(group.groups, group.filters, *w.shape[1:])
    for whole, to, source in weights_by_place(places, packed, filters):
        if whole.shape != to.shape:
            whole.view(np.uint8).fill(0)
        gather.copy(*_together(to, source), threads)
    if packed is not weights:
        _convert(weights, packed)
    if bias is None:
        return Packed(weights, weights)
    return Packed(weights, with_scales(places, group, _by_filter(places, group, bias), scales))


def _convert(to: NDArray[Any], source: NDArray[Any]) -> None:
    """Write numbers as those of another dtype, one after another."""
    if source.dtype.name == "bfloat16" and to.dtype == np.float32:
        np.left_shift(source.view(np.uint16), np.uint32(16), out=to.view(np.uint32), dtype=np.uint32)
        return
    with np.errstate(all="ignore"):
        np.copyto(to, source, casting="unsafe")


def room_for_weights(places: list[PackedAt]) -> int:
    """Return how many weights there are as packed, with those that fill up blocks."""
    return sum(math.prod(each.packed) for each in places)


def room_for_bias(places: list[PackedAt]) -> int:
    """Return how many filters there are as packed, with those that fill up blocks."""
    return sum(math.prod(each.packed[:2]) * each.packed[-1] for each in places)


def weights_by_place(
    places: list[PackedAt], packed: NDArray[Any], filters: NDArray[Any]
) -> Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]:
    """Yield for each of the blocks where it is packed, the filters' part of that, and a view of them in its order.

    All have one axis more than `PackedAt` says: the parts of a weight, mostly one.

    Parameters
    ----------
    places : list of PackedAt
    packed : ndarray, (weights · parts,)
    filters : ndarray, (groups, filters, channels, *kernel) or (groups, filters, channels, *kernel, parts)
        As they are packed; any strides.
    """
    first = 0
    for place in places:
        # The view may have merged axes of one tap.
        source = filters[:, place.filters].reshape(*place.split, -1, copy=False)
        shape = (*place.packed, source.shape[-1])
        whole = packed[first : first + math.prod(shape)].reshape(shape)
        first += whole.size
        yield whole, whole[..., : place.split[2], :], source.transpose(*place.order, len(place.order))


def parts_by_place(
    places: list[PackedAt], packed: NDArray[Any], filters: NDArray[Any], parts: int
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yield where numbers are packed, and views of them, where so many neighbouring channels are parts of a weight.

    Parameters
    ----------
    places : list of PackedAt
    packed : ndarray, (weights · parts,)
    filters : ndarray, (groups, filters, channels, *kernel)
        The last of the channels may lack neighbours, which are not written.
    parts : int
    """
    whole, rest = divmod(filters.shape[2], parts)
    for place, (_, to, source) in zip(
        places, weights_by_place(places, packed, with_parts(filters, parts)), strict=True
    ):
        lead = (slice(None),) * place.order.index(3)
        pieces: list[tuple[Any, ...]] = [(*lead, slice(whole)), (*lead, slice(whole, None), ..., slice(rest))]
        for at in pieces:
            if to[at].size:
                yield _together(to[at], source[at])


def with_parts(filters: NDArray[Any], parts: int) -> NDArray[Any]:
    """Return a view (groups, filters, ceil(channels / parts), *kernel, parts) of weights (…, channels, *kernel).

    Where the last channels lack neighbours, what stands for them is not theirs and must not be read.
    """
    shape = (*filters.shape[:2], -(-filters.shape[2] // parts), *filters.shape[3:], parts)
    group, each, channel, *taps = filters.strides
    strides = (group, each, channel * parts, *taps, channel)
    return np.lib.stride_tricks.as_strided(filters, shape, strides, writeable=False)


def _together(to: NDArray[Any], source: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return two arrays with all parts of a weight as one number, where they lie side by side in both."""
    nbytes = source.shape[-1] * source.itemsize
    if source.strides[-1] != source.itemsize or nbytes not in gather.ITEM_SIZES[1:4] or source.shape[-1] == 1:
        return to, source
    number = np.dtype(f"u{nbytes}")
    return to.view(number), source.view(number)


def values_by_place(
    places: list[PackedAt], group: GroupShape, packed: NDArray[Any], values: NDArray[Any]
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yield for each of the blocks where one value a filter is packed, and a view of those values."""
    each = values.reshape(group.groups, group.filters)
    for place in places:
        shape = (*place.packed[:2], place.packed[-1])
        first = place.bias_at // packed.itemsize
        whole = packed[first : first + math.prod(shape)].reshape(shape)
        yield whole[..., : place.split[2]], each[:, place.filters].reshape(place.split[:3])


def with_scales(
    places: list[PackedAt], group: GroupShape, offsets: NDArray[Any], scales: NDArray[np.float32] | None
) -> NDArray[Any]:
    """Return a packed bias with the factors of requantisation behind it, if there are any."""
    if scales is None:
        return offsets
    return np.concatenate([offsets, _by_filter(places, group, scales).view(offsets.dtype)])


def _by_filter(places: list[PackedAt], group: GroupShape, values: NDArray[Any]) -> NDArray[Any]:
    """Return one value a filter in the order of the packed filters, 0 for filters that are not there."""
    packed = np.zeros(room_for_bias(places), values.dtype)
    for to, source in values_by_place(places, group, packed, values):
        to[...] = source
    return packed
