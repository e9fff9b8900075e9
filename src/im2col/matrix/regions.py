"""The sum of patches in NumPy's words: parts of the matrix that lie on parts of the image, one after another."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from ..memory import recalled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from ..engine.scatter import Axis

_FEW = 128
"""Regions whose indices are worth remembering: those of small images, where to find them takes longer than to add."""


class Region(NamedTuple):
    """Entries of the matrix, and the pixels on which they lie.

    Parameters
    ----------
    pixels : tuple
        Selects them in the image, (N, C, *spatial).
    entries : ndarray, of the shape of these pixels
        A view of the matrix.
    """

    pixels: Any
    entries: NDArray[Any]


def regions(image_shape: Sequence[int], matrix: NDArray[Any], axes: Sequence[Axis]) -> Iterator[Region]:
    """Yield every entry of a matrix that lies on the image, many at a time.

    A pixel's entries come by their tap along the last axis, then along the others: the order in which the engine adds,
    so that NumPy gives the same bits. Along each axis a region is either one tap at all positions, or one position with
    all taps, whichever makes fewer regions; positions are walked from the last to the first, to keep that order.

    Parameters
    ----------
    image_shape : sequence of int
        (N, C, *spatial).
    matrix : ndarray, (N, C, *kernel, *output)
    axes : sequence of Axis
        Where windows lie along each spatial axis.

    Yields
    ------
    Region
    """
    k = len(axes)
    # Each axis's taps and positions side by side, so that an index into both leaves the pixels' order of axes.
    paired = matrix.transpose(0, 1, *(axis for i in range(k) for axis in (2 + i, 2 + k + i)))
    for entries, pixels in _indices(tuple(image_shape[2:]), matrix.shape[2:], tuple(axes)):
        yield Region(pixels, paired[entries])


def _indices(image: tuple[int, ...], matrix: tuple[int, ...], axes: tuple[Axis, ...]) -> Iterable[tuple[Any, Any]]:
    """Return the indices of the entries and of the pixels of every region; where they are few, they are remembered."""
    k = len(axes)
    if math.prod(map(min, matrix[:k], matrix[k:])) > _FEW:
        return _made(image, matrix, axes)
    return recalled((_indices, image, matrix, axes), lambda: tuple(_made(image, matrix, axes)))


def _made(image: tuple[int, ...], matrix: tuple[int, ...], axes: tuple[Axis, ...]) -> Iterator[tuple[Any, Any]]:
    k = len(axes)
    steps: list[list[tuple[tuple[Any, Any], slice]]] = []
    for n, taps, positions, (stride, dilation, before) in zip(image, matrix[:k], matrix[k:], axes, strict=True):
        if taps <= positions:
            walks = _walks(n, taps, positions, stride, dilation, before)
            steps.append([((tap, inside), pixels) for tap, inside, pixels in walks])
        else:
            walks = _walks(n, positions, taps, dilation, stride, before)
            steps.append([((inside, position), pixels) for position, inside, pixels in walks][::-1])
    every = (slice(None), slice(None))
    for last, *others in itertools.product(steps[-1], *steps[:-1]):
        chosen = [*others, last]
        entries = (*every, *(index for pair, _ in chosen for index in pair))
        yield entries, (*every, *(pixels for _, pixels in chosen))


def _walks(
    n: int, taps: int, positions: int, stride: int, dilation: int, before: int
) -> Iterator[tuple[int, slice, slice]]:
    """Yield each tap that meets the pixels of an axis, the positions at which it does, and these pixels."""
    for tap in range(taps):
        shift = tap * dilation - before
        first, stop = max(0, -(shift // stride)), min(positions, -((shift - n) // stride))
        if first < stop:
            yield tap, slice(first, stop), slice(first * stride + shift, (stop - 1) * stride + shift + 1, stride)
