"""Which pixels of an image, or chunks of it, each part of a result needs, axis by axis: plain numbers."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from .padded import shown_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    T = TypeVar("T", int, NDArray[np.int64])

Index = Any
"""A slice, or an array of numbers."""


class Part(NamedTuple):
    """What a chunk of the image gives to a block, along one axis.

    Parameters
    ----------
    chunk : int
        Its number.
    taken : slice or None
        What of the chunk is handed on; None if it is all.
    index : slice or ndarray
        Which of that, and in which order: padding mirrors, or repeats.
    place : slice or ndarray
        Where it lies in the block.
    """

    chunk: int
    taken: slice | None
    index: Index
    place: Index


class Cut(NamedTuple):
    """A chunk of the result along one axis, and the block of the image that it is made of.

    Parameters
    ----------
    length : int
    size : int
        Of the block.
    parts : tuple of Part
    first : int
        Where the block begins in the image: before it, with padding of the image's own pixels.
    pads : (int, int)
        Of windows: what pads the block before and behind it. Of a transpose: what is cut from its result; less than 0
        behind it, if pixels follow that no tap reaches.
    """

    length: int
    size: int
    parts: tuple[Part, ...]
    first: int = 0
    pads: tuple[int, int] = (0, 0)


def seen(first: T, stop: T, span: int, stride: int, before: int) -> tuple[T, T]:
    """Return which places of an axis some positions see: the first window's first one, and that behind the last one.

    Parameters
    ----------
    first, stop : int or ndarray of int64
        The positions.
    span : int
        From a window's first pixel to its last one.
    stride, before : int
        Pixels between positions, and the padding before the axis.

    Returns
    -------
    (int, int) or two arrays
        Coordinates of the axis without padding: `padded.shown_at` tells what is there.

    Examples
    --------
    >>> seen(10, 12, 3, 2, 1)
    (19, 24)
    """
    return first * stride - before, (stop - 1) * stride - before + span


def whole_cuts(chunks: Sequence[int]) -> list[Cut]:
    """Return the cuts of an axis whose chunks are computed each by itself: that of a batch."""
    edges = _edges(chunks)
    return [_cut(chunks, np.arange(first, stop), stop - first) for first, stop in pairwise(edges)]


def channel_cuts(chunks: Sequence[int], filters: int, *, apart: bool) -> list[Cut]:
    """Return the cuts of the channels of a layer: one, as a sum is over all of them, unless they are `apart`.

    Then each has one filter, and a cut has two channels or more: the fastest order of sums is another one for one.
    """
    total = sum(chunks)
    if not apart:
        return [_cut(chunks, np.arange(total), filters)]
    bounds = [0]
    for edge in _edges(chunks)[1:-1]:
        if bounds[-1] + 2 <= edge <= total - 2:
            bounds.append(edge)
    return [
        _cut(chunks, np.arange(first, stop), stop - first)._replace(first=first)
        for first, stop in pairwise([*bounds, total])
    ]


def window_cuts(chunks: Sequence[int], span: int, stride: int, before: int, count: int, mode: str) -> list[Cut]:
    """Return the cuts of an axis with windows.

    A position belongs to the chunk that the middle of its window lies in, so that chunks of the result lie on those of
    the image; every block has some pixel of the image.

    Parameters
    ----------
    chunks : sequence of int
        Of the image.
    span : int
        From a window's first pixel to its last one.
    stride, before, count : int
        Pixels between positions, the padding before the axis, the positions.
    mode : str
        The padding mode; what pads with a constant is left to the function that gets the block.
    """
    n, middle = sum(chunks), (span - 1) // 2
    ends = [-(-(edge + before - middle) // stride) for edge in _edges(chunks)[1:-1]]
    bounds = sorted({0, *(min(max(end, 0), count) for end in ends), count})
    kept = [0]
    for stop in bounds[1:]:
        # Positions that see nothing but padding go with those behind them, or before them at the end.
        if kept[-1] * stride - before < n and (stop - 1) * stride - before + span > 0:
            kept.append(stop)
    kept = [*kept[: max(1, len(kept) - 1)], count]
    found = []
    for first, stop in pairwise(kept):
        low, high = seen(first, stop, span, stride, before)
        inside = (low, high) if mode != "constant" else (max(low, 0), max(1, min(high, n)))
        pixels = shown_at(np.arange(*inside), n, mode)
        pads = inside[0] - low, max(0, high - inside[1])
        found.append(_cut(chunks, pixels, stop - first)._replace(first=inside[0], pads=pads))
    return found


def spread_cuts(chunks: Sequence[int], span: int, stride: int, before: int, count: int) -> list[Cut]:
    """Return the cuts of an axis of a transpose, whose elements each reach `span` pixels of the result.

    Parameters
    ----------
    chunks : sequence of int
        Of the operand.
    span : int
        Pixels of the result from the first that an element reaches to the last.
    stride, before, count : int
        Pixels between elements, those that are cut before the result, those of the result.
    """
    n = sum(chunks)
    bounds = sorted({0, *(min(max(edge * stride - before, 0), count) for edge in _edges(chunks)[1:-1]), count})
    found = []
    for low, high in pairwise(bounds):
        # As if nothing were cut before the result.
        start, end = low + before, high + before
        stop = min(n, (end - 1) // stride + 1)
        first = min(max(0, -(-(start - span + 1) // stride)), stop - 1, start // stride)
        pads = start - first * stride, (stop - 1) * stride + span - end
        found.append(_cut(chunks, np.arange(first, stop), high - low)._replace(first=first, pads=pads))
    return found


def _edges(chunks: Sequence[int]) -> list[int]:
    """Return where chunks begin, and the end."""
    return [0, *np.cumsum(chunks).tolist()]


def _cut(chunks: Sequence[int], pixels: NDArray[np.int64], length: int) -> Cut:
    """Return a cut whose block shows these pixels of the axis."""
    return Cut(length, len(pixels), tuple(_parts(chunks, pixels)))


def _parts(chunks: Sequence[int], pixels: NDArray[np.int64]) -> Iterator[Part]:
    """Yield what the chunks give to a block that shows these pixels: in one piece what lies in one piece."""
    edges = np.array(_edges(chunks))
    numbers = np.searchsorted(edges[1:], pixels, side="right")
    # Most are the image's own and follow one another; what pads them is short, and may have any order.
    runs = [0, *(np.flatnonzero(np.diff(pixels) != 1) + 1).tolist(), len(pixels)]
    first, stop = max(pairwise(runs), key=lambda run: run[1] - run[0])
    apart = np.zeros(len(pixels), np.int64)
    apart[:first], apart[stop:] = 1, 2
    for kind, number in np.unique(np.stack([apart, numbers], axis=1), axis=0).tolist():
        place = np.flatnonzero((numbers == number) & (apart == kind))
        local = pixels[place] - edges[number]
        first, stop = int(local.min()), int(local.max()) + 1
        taken = None if (first, stop) == (0, chunks[number]) else slice(first, stop)
        yield Part(number, taken, _index(local - first), _index(place))


def _index(numbers: NDArray[np.int64]) -> Index:
    """Return numbers as a slice, where they follow one another."""
    if (np.diff(numbers) == 1).all():
        return slice(int(numbers[0]), int(numbers[-1]) + 1)
    return numbers
