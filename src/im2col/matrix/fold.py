"""The way back: patches summed into the image that they came from."""

from __future__ import annotations

import itertools
import math
from functools import reduce as reduce_pairs
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from ..engine import scatter
from ..spec.arrays import is_registered, native
from ..spec.padding import fold_padding, modes_along, pad_image, source_index

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ..spec.geometry import Geometry
    from ..spec.padding import Mode


def fold(
    out: NDArray[Any],
    columns: NDArray[Any],
    geometry: Geometry,
    mode: Mode,
    reduce: Literal["sum", "mean"],
    threads: int,
) -> None:
    """Overwrite `out` with the sum or the mean of each pixel's copies.

    Parameters
    ----------
    out : ndarray, (N, C, *spatial)
        Any strides.
    columns : ndarray, (N, C, *kernel, *output)
        Any strides.
    geometry : Geometry
    mode : str or tuple of str
        The padding mode.
    reduce : {"sum", "mean"}
    threads : int
    """
    dtype = native(columns.dtype)
    if reduce == "mean" and dtype.kind in "iu" and dtype.itemsize == 8:
        _mean_without_overflow(out, columns, geometry, mode)
        return
    accumulator = _accumulator(dtype)
    direct = out.dtype == accumulator and (mode == "constant" or not geometry.is_padded)
    total = out if direct else np.empty(out.shape, accumulator)
    _sum(total, columns, geometry, mode, threads)
    if reduce == "mean":
        count = np.maximum(overlap(geometry, mode), 1)
        if accumulator.kind in "iu":
            np.floor_divide(total, count.astype(total.dtype), out=total)
        else:
            # A real divisor of the accumulator's own precision: no wider temporary, and complex stays complex.
            divisor = count.astype(total.real.dtype)
            for part in (total.real, total.imag) if accumulator.kind == "c" else (total,):
                np.divide(part, divisor, out=part)
    if total is not out:
        np.copyto(out, total, casting="unsafe")


def workspace_bytes(planes: int, geometry: Geometry, dtype: np.dtype[Any], mode: Mode, reduce: str) -> int:
    """Return the bytes that `fold` allocates beyond its result.

    Parameters
    ----------
    planes : int
        Channels of all images.
    geometry : Geometry
    dtype : dtype
        Of the columns.
    mode, reduce
        As for `fold`.
    """
    accumulator = _accumulator(dtype)
    pixels, padded = planes * math.prod(geometry.spatial_shape), planes * math.prod(geometry.padded_shape)
    folded = mode != "constant" and geometry.is_padded
    if reduce == "mean" and dtype.kind in "iu" and dtype.itemsize == 8:
        # Quotients and remainders, those of one tap, the counts, and one temporary of the end.
        return 6 * dtype.itemsize * (padded if folded else pixels)
    same = accumulator == (dtype if reduce == "mean" else sum_dtype(dtype))
    return accumulator.itemsize * (pixels * (folded or not same) + padded * folded)


def overlap(geometry: Geometry, mode: Mode) -> NDArray[np.int64]:
    """Return how often each pixel is read, over the spatial axes: an outer product of counts along each axis."""
    counts, modes = [], modes_along(mode, geometry.ndim)
    for i, (n, (before, after)) in enumerate(zip(geometry.spatial_shape, geometry.padding, strict=True)):
        stops = np.arange(geometry.output_shape[i]) * geometry.stride[i]
        taps = np.arange(geometry.kernel_size[i]) * geometry.dilation[i]
        pixels = source_index(n, before, after, modes[i])[stops[:, None] + taps]
        counts.append(np.bincount(pixels[pixels >= 0], minlength=n))
    return reduce_pairs(np.multiply.outer, counts)


def sum_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of ``np.sum`` over an array of `dtype`: small integers grow."""
    return np.asarray(np.add.reduce(np.empty(0, dtype))).dtype


def _accumulator(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype that sums are kept in: np.sum's for integers, at least float32 for floats."""
    if dtype == np.float16 or is_registered(dtype):
        return np.dtype(np.float32)
    return sum_dtype(dtype)


def _sum(total: NDArray[Any], columns: NDArray[Any], geometry: Geometry, mode: Mode, threads: int) -> None:
    if mode == "constant" or not geometry.is_padded:
        axes = [
            scatter.Axis(stride, dilation, before)
            for stride, dilation, (before, _) in zip(geometry.stride, geometry.dilation, geometry.padding, strict=True)
        ]
        if not scatter.sum_windows(total, columns, axes, threads):
            total[...] = 0
            for region in tap_regions(geometry):
                pixels = total[region.image]
                np.add(pixels, columns[region.matrix], out=pixels, casting="unsafe", dtype=total.dtype)
        return
    padded = np.empty((*total.shape[:2], *geometry.padded_shape), total.dtype)
    _sum(padded, columns, geometry.unpadded(), "constant", threads)
    total[...] = fold_padding(padded, 2, geometry, mode)


class Region(NamedTuple):
    """One tap, and the positions at which it lies on the image: two indices that select arrays of one shape.

    Parameters
    ----------
    image : tuple
        Into (N, C, *spatial).
    matrix : tuple
        Into (N, C, *kernel, *output).
    pixels : tuple of slice
        The spatial part of `image`.
    """

    image: Any
    matrix: Any
    pixels: Any


def tap_regions(geometry: Geometry) -> Iterator[Region]:
    """Yield every tap that meets the image, with the positions where it does.

    Taps of the last axis change slowest: the order in which the engine adds, so that NumPy gives the same bits.

    Parameters
    ----------
    geometry : Geometry

    Yields
    ------
    Region
    """
    axes = []
    for i in range(geometry.ndim):
        stride, before = geometry.stride[i], geometry.padding[i][0]
        taps = []
        for tap, (first, stop) in enumerate(geometry.positions_inside(i)):
            if first < stop:
                shift = tap * geometry.dilation[i] - before
                pixel, last = first * stride + shift, (stop - 1) * stride + shift
                taps.append((tap, slice(first, stop), slice(pixel, last + 1, stride)))
        axes.append(taps)
    every = (slice(None), slice(None))
    for combination in itertools.product(axes[-1], *axes[:-1]):
        kernel, output, pixels = zip(*combination[1:], combination[0], strict=True)
        yield Region((*every, *pixels), (*every, *kernel, *output), pixels)


def _mean_without_overflow(out: NDArray[Any], columns: NDArray[Any], geometry: Geometry, mode: Mode) -> None:
    """Take means of 64-bit integers, whose sums could overflow: quotients and remainders are summed apart.

    With n copies v of a pixel, ``sum(v) // n == sum(v // n) + sum(v % n) // n`` exactly, and neither sum overflows.
    """
    counts = np.maximum(overlap(geometry, mode), 1).astype(out.dtype)
    inside = geometry if mode == "constant" else geometry.unpadded()
    divisors = counts if mode == "constant" else pad_image(counts, geometry.padding, mode, np.ones((), counts.dtype))
    quotients = np.zeros((*out.shape[:2], *inside.spatial_shape), out.dtype)
    remainders = np.zeros_like(quotients)
    for region in tap_regions(inside):
        quotient, remainder = np.divmod(columns[region.matrix], divisors[region.pixels])
        quotients[region.image] += quotient
        remainders[region.image] += remainder
    if mode != "constant":
        quotients = fold_padding(quotients, 2, geometry, mode)
        remainders = fold_padding(remainders, 2, geometry, mode)
    np.add(quotients, remainders // counts, out=out)
