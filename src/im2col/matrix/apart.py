"""Windows of which no two share a pixel: nothing is summed, and the image is zeros and a copy of each tap's entries.

Where neighbouring entries or pixels lie apart, the engine loads and stores one number at a time, as NumPy does. NumPy
has less to do around it, and leaves pixels without a window as they come from the system: memory that is zeros
already, of which no page is touched. Two real numbers that lie side by side in both are copied as a complex one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..engine import scatter
from .regions import regions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..engine.scatter import Axis

_PAIRS = {"f4": "c8", "f8": "c16"}
"""Numbers of which two, side by side, are one of the others."""
_MOST_COPIES = 16
"""Each of them walks the image: of more, the engine is faster, which walks it once."""
_START, _COPY, _RUN, _ENTRY, _FILL = 3430.0, 8150.0, 17.0, 0.77, 0.036
"""Cycles, beyond those of a call of the engine: of the call, of a copy, of entries in one run of its innermost loop, of
an entry, and of a byte of the image that is 0 before. Fitted to 200 random images on a Zen 5;
what a run and what is far cost was then corrected by 600 folds of ``python -m bench frames --nests 100``."""
_LONG_RUN = 64
"""Entries side by side, on pixels side by side, from which on the engine's whole vectors are faster in any case."""
_PAIRED = 50_000.0
"""To look at both arrays as pairs."""
_LINE, _FAR_LINE = 0.56, 1.5
"""To go on to another line of cache, in the matrix or in the image; and where both do not fit into the second level."""
_FAR_FILL = 0.08
"""A byte that no window covers costs the engine so much more there: it may be the first to touch its page."""
_LINE_BYTES, _CACHE_BYTES = 64, 1 << 20


def copies_pay(image: NDArray[Any], matrix: NDArray[Any], axes: Sequence[Axis], threads: int) -> bool:
    """Whether `copy_entries` gives the sum, and takes less time than the engine.

    Parameters
    ----------
    image, matrix, axes, threads
        As for `scatter.sum_windows`; arrays of these shapes and strides, which are not read.
    """
    copies = _Part(image, matrix, axes).copies
    if copies > _MOST_COPIES or not matrix.size or (summed := scatter.cycles_apart(image, matrix, axes)) is None:
        return False
    is_far = image.nbytes + matrix.nbytes > _CACHE_BYTES
    copied = _START + _FILL * image.nbytes
    for part in _parts(image, matrix, axes):
        run, pixel, entry = part.innermost()
        if pixel == entry == part.image.itemsize and run >= _LONG_RUN:
            return False
        lines = sum(min(1.0, step / _LINE_BYTES) for step in (pixel, entry)) * (_FAR_LINE if is_far else _LINE)
        copied += _COPY * part.copies + part.matrix.size * (_RUN / run + _ENTRY + lines)
        copied += _PAIRED * (part.image.dtype != image.dtype)
    uncovered = max(0, image.nbytes - matrix.nbytes) if is_far else 0
    engine: float = (summed + _FAR_FILL * uncovered) / scatter.worthy_threads(matrix.nbytes, threads)
    return copied < engine


def copy_entries(image: NDArray[Any], matrix: NDArray[Any], axes: Sequence[Axis]) -> None:
    """Copy a matrix into an image, with the bits of a sum.

    Parameters
    ----------
    image : ndarray, (N, C, *spatial)
        Zeros wherever no entry lies; any strides.
    matrix : ndarray, (N, C, *kernel, *output)
        Of the same dtype; any strides.
    axes : sequence of Axis
        Where windows lie along each spatial axis, such that no two share a pixel.
    """
    with np.errstate(all="ignore"):  # a NaN that signals
        for part in _parts(image, matrix, axes):
            zero = part.image.dtype.type(0)
            for region in regions(part.image.shape, part.matrix, part.axes):
                # 0.0 of -0.0, as a sum is that starts at 0.0.
                np.add(region.entries, zero, out=part.image[region.pixels])


class _Part(NamedTuple):
    """Some taps' entries, perhaps in pairs, and the pixels on which they lie."""

    image: NDArray[Any]
    matrix: NDArray[Any]
    axes: Sequence[Axis]

    @property
    def copies(self) -> int:
        """How many regions they are."""
        k = len(self.axes)
        return math.prod(map(min, self.matrix.shape[2 : 2 + k], self.matrix.shape[2 + k :]))

    def innermost(self) -> tuple[int, int, int]:
        """Return how many entries a copy makes in one loop, and the bytes from pixel to pixel and entry to entry."""
        image, matrix, axes = self
        k = len(axes)
        walked = list(zip(matrix.shape, image.strides, matrix.strides, strict=False))[:2]
        for i, axis in enumerate(axes, 2):
            tap, position = ((matrix.shape[j], matrix.strides[j]) for j in (i, i + k))
            # As in `regions`: one tap at all positions, or one position with all taps.
            (length, source), step = (position, axis.stride) if tap[0] <= position[0] else (tap, axis.dilation)
            walked.append((length, step * image.strides[i], source))
        run, pixel, entry = 1, 0, 0
        for length, to, source in reversed(walked):
            if length > 1 and run == 1:
                run, pixel, entry = length, to, source
            elif length > 1 and (to, source) == (run * pixel, run * entry):
                run *= length
            elif length > 1:
                break
        return run, abs(pixel), abs(entry)


def _parts(image: NDArray[Any], matrix: NDArray[Any], axes: Sequence[Axis]) -> list[_Part]:
    """Return the entries as pairs of taps along the last axis, and those of an odd one out; or as they are.

    They are pairs where neighbouring taps are neighbours in both arrays, and none of them lies outside the image.
    """
    k, (stride, dilation, before), size = len(axes), axes[-1], image.itemsize
    taps, positions, kind = matrix.shape[1 + k], matrix.shape[-1], _PAIRS.get(image.dtype.str[1:])
    beside = image.strides[-1] == matrix.strides[1 + k] == size and dilation == 1
    inside = before <= 0 and (positions - 1) * stride + taps - before <= image.shape[-1]
    if kind is None or not (beside and inside and 2 <= taps <= positions):
        return [_Part(image, matrix, axes)]
    # Every pixel but the last one begins a pair: taps are 2 pixels apart.
    pixels = _pairs(image, image.ndim - 1, image.shape[-1] - 1, 1, kind)
    entries = _pairs(matrix, 1 + k, taps // 2, 2, kind)
    parts = [_Part(pixels, entries, [*axes[:-1], axes[-1]._replace(dilation=2)])]
    if taps % 2:
        last = matrix[(*[slice(None)] * (1 + k), slice(taps - 1, taps))]
        parts.append(_Part(image, last, [*axes[:-1], axes[-1]._replace(before=before - taps + 1)]))
    return parts


def _pairs(array: NDArray[Any], axis: int, count: int, step: int, kind: str) -> NDArray[Any]:
    """Return a view of so many pairs of numbers, so many numbers apart, along an axis that is dense."""
    first = array.swapaxes(axis, -1)[..., :2].view(kind).swapaxes(axis, -1)
    shape, strides = list(array.shape), list(array.strides)
    shape[axis], strides[axis] = count, step * array.itemsize
    return np.lib.stride_tricks.as_strided(first, shape, strides)
