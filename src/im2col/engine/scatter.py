"""Strided sums: matrix → image. What the engine sums, in how many threads; `scatter_plan` says how."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..importing import importing
from ..memory import recalled
from . import gather, scratch
from .boxes import boxes
from .compiler import load, loaded
from .scatter_plan import TURNED_BYTES, Walk, plan_sum
from .scatter_tables import address, calls
from .threads import run_parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from .compiler import Kernel
    from .scatter_plan import SumPlan

    _Meeting = Callable[[NDArray[np.intp]], tuple[NDArray[np.int64], NDArray[np.bool_]]]

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
    if matrix.nbytes < max(1, _WORTH_A_CALL):
        return False
    element = _element(image.dtype, matrix.dtype)
    if element is None:
        return False
    workers = min(threads, max(1, matrix.nbytes // _WORTH_A_THREAD))
    arguments = image.shape, image.strides, matrix.shape, matrix.strides, *axes
    key = _prepared, arguments, element, image.dtype.kind, workers
    sums, kernel = recalled(key, lambda: _prepared(_walks(image, matrix, axes), *element, workers))
    function = loaded(kernel) if matrix.nbytes < _WORTH_LOADING else load(kernel)
    if function is None:
        return False
    if image.dtype.kind == "c":
        image, matrix = image.real, matrix.real  # where they lie; `walks` has the way to the imaginary parts
    first = address(image)
    if len(sums) == 1:
        sums[0].run(function, first, matrix)
    else:
        run_parallel([partial(part.run, function, first, matrix) for part in sums], workers)
    return True


def _element(total: np.dtype[Any], value: np.dtype[Any]) -> tuple[str, str] | None:
    """Return the names of the numbers in image and matrix, or None where there is no kernel that adds them.

    Of complex numbers these are the parts.
    """
    if total.kind == value.kind == "c":
        total, value = (np.dtype(f"{d.byteorder}f{d.itemsize // 2}") for d in (total, value))
    floats = total == value and total.kind == "f" and total.itemsize in (4, 8)
    integers = total.kind in "iu" and total.itemsize == 8 and value.kind in "biu"
    if not ((floats or integers) and value.isnative):
        return None
    sums, values = ("u" + str(d.itemsize) if d.kind == "b" else d.kind + str(d.itemsize) for d in (total, value))
    return sums, values


def _walks(image: NDArray[Any], matrix: NDArray[Any], axes: Sequence[Axis]) -> tuple[Walk, ...]:
    """Return every axis of an image: batch, channels, the parts of complex numbers, space."""
    k, parts = len(axes), []
    if image.dtype.kind == "c":
        half = image.itemsize // 2
        parts.append(Walk(2, 1, 2, 1, 1, 0, half, 0, half))
    windows = [Axis(1, 1, 0)] * 2 + list(axes)
    taps, positions = (1, 1, *matrix.shape[2 : 2 + k]), (*matrix.shape[:2], *matrix.shape[2 + k :])
    tap_steps, position_steps = (0, 0, *matrix.strides[2 : 2 + k]), (*matrix.strides[:2], *matrix.strides[2 + k :])
    planes = [image.shape, taps, positions, *zip(*windows, strict=True), image.strides, tap_steps, position_steps]
    walks = list(map(Walk, *planes))
    return *walks[:2], *parts, *walks[2:]


def _prepared(walks: tuple[Walk, ...], total: str, value: str, workers: int) -> tuple[tuple[_Sum, ...], Kernel]:
    """Return how a sum is made, in parts, and its kernel."""
    plan = plan_sum(walks, int(total[1]), int(value[1]))
    return tuple(parts(plan, workers)), _kernel(plan, total, value)


def _kernel(plan: SumPlan, total: str, value: str) -> Kernel:
    """Return a plan's kernel for numbers by their names."""
    with importing:
        from .scatter_kernels import (  # it loads what kernels are written with, which small sums never need
            Element,
            sum_lines,
        )

    return sum_lines(Element(total, value), plan.dense_values, plan.apart, plan.inside)


def parts(plan: SumPlan, workers: int) -> Iterator[_Sum]:
    """Yield sums of disjoint parts of the image, cut along the outermost axis that is long enough."""
    axes = plan.axes
    cut = next((i for i, axis in enumerate(axes) if axis.n >= 4 * workers), int(np.argmax([a.n for a in axes])))
    n = axes[cut].n
    count = min(workers, n)
    for i in range(count):
        start, stop = n * i // count, n * (i + 1) // count
        part = plan.with_axes([axis.part(start, stop) if k == cut else axis for k, axis in enumerate(axes)])
        kept = tuple(calls(part)) if math.prod(axis.n for axis in part.table) <= _KEPT_LINES else ()
        yield _Sum(part, start * axes[cut].pixel, kept)

_KEPT_LINES = 32 << 10

class _Sum(NamedTuple):
    """A part of a sum: its plan, and the offset of its first pixel, and its calls, if they are few enough to be kept."""

    plan: SumPlan
    image: int
    calls: tuple[Any, ...]

    def run(self, function: Callable[..., None], image: int, matrix: NDArray[Any]) -> None:
        """Compute the image."""
        if not self.plan.sides:
            first, origin = image + self.image, address(matrix)
            for call in self.calls or calls(self.plan):
                call.make(function, first, origin)
            return
        axes = self.plan.axes
        shape = (*(axis.taps for axis in axes), *(axis.positions for axis in axes))
        strides = (*(axis.tap for axis in axes), *(axis.position for axis in axes))
        entries = np.lib.stride_tricks.as_strided(matrix, shape, strides, writeable=False)
        every_tap = (slice(None),) * len(axes)
        room = scratch.empty(TURNED_BYTES // matrix.itemsize, matrix.dtype)
        known: dict[SumPlan, list[Any]] = {}  # boxes inside the image are all alike
        for box in boxes(tuple(axis.n for axis in axes), self.plan.sides):
            parts = [axis.part(pixels.start, pixels.stop) for axis, pixels in zip(axes, box, strict=True)]
            met = [part.positions_met() for part in parts]
            block = entries[(*every_tap, *(slice(m.start, m.stop) for m in met))]
            turned = room[: block.size].reshape(block.shape)
            gather.turn(turned, block)
            taps, positions = turned.strides[: len(axes)], turned.strides[len(axes) :]
            plan = self.plan.with_axes(map(Walk.over, parts, met, taps, positions))
            if plan not in known:
                known[plan] = list(calls(plan))
            first = sum(pixels.start * axis.pixel for axis, pixels in zip(axes, box, strict=True))
            for call in known[plan]:
                call.make(function, image + self.image + first, address(room))
