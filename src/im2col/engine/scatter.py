"""Strided sums: matrix → image."""

from __future__ import annotations

import itertools
import math
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .compiler import load, loaded
from .threads import run_parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from .compiler import Kernel

_WORTH_A_CALL = 16 << 10
"""Bytes of matrix below which NumPy is as fast."""
_WORTH_LOADING = 512 << 10
"""Bytes of matrix below which a kernel that is not loaded yet is not worth loading."""
_WORTH_A_THREAD = 2 << 20
"""Bytes of matrix that each thread sums at least: for fewer, waking it costs more than it brings."""
_TABLE_PIECES = 8192
"""Pieces of a table, about: 128 KiB, which the second level of cache holds beside the rows."""


class Axis(NamedTuple):
    """Where windows lie along one spatial axis: position o and tap t meet at pixel o·stride + t·dilation - before.

    Parameters
    ----------
    stride, dilation, before : int
    """

    stride: int
    dilation: int
    before: int


def sum_windows(image: NDArray[Any], matrix: NDArray[Any], axes: Sequence[Axis], threads: int) -> bool:
    """Set every pixel of an image to the sum of its copies in a matrix, if the engine can.

    Parameters
    ----------
    image : ndarray, (N, C, *spatial)
        Overwritten; any strides.
    matrix : ndarray, (N, C, *kernel, *output)
        Any strides; shares no memory with `image`.
    axes : sequence of Axis
        One for each spatial axis. Entries that lie outside the image are dropped.
    threads : int
        How many threads may work. A pixel's copies are added in one order, however many there are:
        by their tap along the last axis, then along the others.

    Returns
    -------
    bool
        False, and nothing is written, where there is no kernel for the arrays, or they are too small to be worth one.
    """
    if image.dtype.kind == "c" and image.dtype == matrix.dtype:
        real = sum_windows(image.real, matrix.real, axes, threads)
        return real and sum_windows(image.imag, matrix.imag, axes, threads)
    if matrix.nbytes < max(1, _WORTH_A_CALL):
        return False
    kernel = _kernel(image, matrix, axes)
    if kernel is None:
        return False
    function = loaded(kernel) if matrix.nbytes < _WORTH_LOADING else load(kernel)
    if function is None:
        return False
    workers = min(threads, max(1, matrix.nbytes // _WORTH_A_THREAD))
    job = _Job(image, matrix, tuple(axes))
    run_parallel([partial(job.run, function, *part) for part in job.parts(workers)], workers)
    return True


def _kernel(image: NDArray[Any], matrix: NDArray[Any], axes: Sequence[Axis]) -> Kernel | None:
    """Return the kernel for these arrays, or None where there is none."""
    from .scatter_kernels import (
        Element,
        sum_rows,
    )  # it loads what kernels are written with, which small sums never need

    total, value = image.dtype, matrix.dtype
    floats = total == value and total.kind == "f" and total.itemsize in (4, 8)
    integers = total.kind in "iu" and total.itemsize == 8 and value.kind in "biu"
    if not ((floats or integers) and value.isnative):
        return None
    names = ("u" + str(d.itemsize) if d.kind == "b" else d.kind + str(d.itemsize) for d in (total, value))
    dense_pixels = image.strides[-1] * axes[-1].stride == total.itemsize
    return sum_rows(Element(*names), matrix.strides[-1] == value.itemsize, dense_pixels)


class _Job(NamedTuple):
    """An image to be computed from a matrix, row by row."""

    image: NDArray[Any]
    matrix: NDArray[Any]
    axes: tuple[Axis, ...]

    def parts(self, workers: int) -> Iterator[tuple[slice, slice, slice]]:
        """Yield disjoint parts of the image: images of the batch, some of their planes, a range of their first axis."""
        lengths = self.image.shape[:3] if len(self.axes) > 1 else self.image.shape[:2]
        cut = next((i for i, n in enumerate(lengths) if n >= 2 * workers), int(np.argmax(lengths)))
        whole = [slice(0, n) for n in self.image.shape[:3]]
        for i in range(workers):
            start, stop = (lengths[cut] * edge // workers for edge in (i, i + 1))
            batch, planes, rows = (slice(start, stop) if axis == cut else s for axis, s in enumerate(whole))
            yield batch, planes, rows

    def run(self, function: Callable[..., None], batch: slice, planes: slice, rows: slice) -> None:
        """Compute one part of the image."""
        image, matrix = self.image[batch, planes], self.matrix[batch, planes]
        phases = min(self.axes[-1].stride, image.shape[-1])
        columns = [self._taps(phase) for phase in range(phases)]
        for table, pieces in self._tables(rows):
            for n, (phase, taps) in itertools.product(range(len(image)), enumerate(columns)):
                function(
                    image.ctypes.data + n * image.strides[0] + phase * image.strides[-1],
                    matrix.ctypes.data + n * matrix.strides[0],
                    *(image.shape[1], image.strides[1], matrix.strides[1]),
                    *(len(table), table.ctypes.data, pieces.ctypes.data, len(taps), taps.ctypes.data),
                    *(-(-(image.shape[-1] - phase) // self.axes[-1].stride), matrix.shape[-1]),
                    *(self.axes[-1].stride * image.strides[-1], matrix.strides[-1]),
                )

    def _taps(self, phase: int) -> NDArray[np.int64]:
        """Return the table ``taps`` for the pixels phase, phase + stride, … of a line."""
        k, axis = len(self.axes), self.axes[-1]
        taps = np.arange(self.matrix.shape[1 + k])
        first, beside = np.divmod(phase + axis.before - taps * axis.dilation, axis.stride)
        table: NDArray[np.int64] = np.stack([taps * self.matrix.strides[1 + k], -first], axis=-1)[beside == 0]
        return table

    def _tables(self, rows: slice) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Yield the tables ``rows`` and ``pieces`` for the rows of a range of the first axis, a block at a time."""
        k = len(self.axes)
        if k == 1:
            yield np.array([[0, 0, 1]]), np.zeros(1, np.int64)
            return
        per_slice = math.prod(self.image.shape[3:-1])
        step = max(1, _TABLE_PIECES // max(1, math.prod(self.matrix.shape[2 : 1 + k])))
        for start in range(rows.start * per_slice, rows.stop * per_slice, step):
            yield self._table(np.arange(start, min(start + step, rows.stop * per_slice)))

    def _table(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return both tables for rows by their numbers; every row has its pieces in the order of their taps."""
        k = len(self.axes)
        origin = np.zeros(len(rows), np.int64)
        offset, meet = np.zeros((len(rows), 1), np.int64), np.ones((len(rows), 1), bool)
        for i, pixels in enumerate(np.unravel_index(rows, self.image.shape[2:-1])):
            axis, taps = self.axes[i], np.arange(self.matrix.shape[2 + i])
            position, beside = np.divmod(pixels[:, None] + axis.before - taps * axis.dilation, axis.stride)
            meets = (beside == 0) & (position >= 0) & (position < self.matrix.shape[2 + k + i])
            steps = position * self.matrix.strides[2 + k + i] + taps * self.matrix.strides[2 + i]
            # Taps of this axis are inside those of the axes before it.
            offset = (offset[:, :, None] + steps[:, None]).reshape(len(rows), -1)
            meet = (meet[:, :, None] & meets[:, None]).reshape(len(rows), -1)
            origin += pixels * self.image.strides[2 + i]
        stops = np.cumsum(meet.sum(axis=1))
        return np.stack([origin, np.append(0, stops[:-1]), stops], axis=-1), offset[meet]
