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
    walks = _walks(image, matrix, axes)
    plan, kernel = recalled((_planned, walks, element), partial(_planned, walks, *element))
    function = loaded(kernel) if matrix.nbytes < _WORTH_LOADING else load(kernel)
    if function is None:
        return False
    if plan.has_gaps:
        image[...] = 0
    if image.dtype.kind == "c":
        image, matrix = image.real, matrix.real  # where they lie; `walks` has the way to the imaginary parts
    workers = min(threads, max(1, matrix.nbytes // _WORTH_A_THREAD))
    sums = [partial(part.run, function) for part in _Sum(plan, address(image), matrix).parts(workers)]
    run_parallel(sums, workers)
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


def _planned(walks: tuple[Walk, ...], total: str, value: str) -> tuple[SumPlan, Kernel]:
    """Return how a sum is made, and its kernel."""
    plan = plan_sum(walks, int(total[1]), int(value[1]))
    return plan, _kernel(plan, total, value)


def _kernel(plan: SumPlan, total: str, value: str) -> Kernel:
    """Return a plan's kernel for numbers by their names."""
    with importing:
        from .scatter_kernels import (  # it loads what kernels are written with, which small sums never need
            Element,
            sum_rows,
        )

    dense_values = plan.lanes.position == int(value[1]) or plan.sides != ()
    dense_pixels = plan.lanes.pixel * plan.lanes.stride == int(total[1])
    return sum_rows(Element(total, value), dense_values, dense_pixels, plan.inside)


class _Sum(NamedTuple):
    """A plan, the address of its first pixel, and the matrix."""

    plan: SumPlan
    image: int
    matrix: NDArray[Any]

    def parts(self, workers: int) -> Iterator[_Sum]:
        """Yield sums of disjoint parts of the image, cut along the outermost axis that is long enough."""
        axes = self.plan.axes
        cut = next((i for i, axis in enumerate(axes) if axis.n >= 4 * workers), int(np.argmax([a.n for a in axes])))
        n = axes[cut].n
        count = min(workers, n)
        for i in range(count):
            start, stop = n * i // count, n * (i + 1) // count
            part = self.plan.with_axes([axis.part(start, stop) if k == cut else axis for k, axis in enumerate(axes)])
            yield _Sum(part, self.image + start * axes[cut].pixel, self.matrix)

    def run(self, function: Callable[..., None]) -> None:
        """Compute the image, from copies of the matrix's blocks if the plan says so."""
        if not self.plan.sides:
            for call in _calls(self.plan):
                call.make(function, self.image, address(self.matrix))
            return
        axes = self.plan.axes
        shape = (*(axis.taps for axis in axes), *(axis.positions for axis in axes))
        strides = (*(axis.tap for axis in axes), *(axis.position for axis in axes))
        entries = np.lib.stride_tricks.as_strided(self.matrix, shape, strides, writeable=False)
        every_tap = (slice(None),) * len(axes)
        room = scratch.empty(TURNED_BYTES // self.matrix.itemsize, self.matrix.dtype)
        known: dict[SumPlan, list[Call]] = {}  # boxes inside the image are all alike
        for box in boxes(tuple(axis.n for axis in axes), self.plan.sides):
            parts = [axis.part(pixels.start, pixels.stop) for axis, pixels in zip(axes, box, strict=True)]
            met = [part.positions_met() for part in parts]
            block = entries[(*every_tap, *(slice(m.start, m.stop) for m in met))]
            turned = room[: block.size].reshape(block.shape)
            gather.turn(turned, block)
            taps, positions = turned.strides[: len(axes)], turned.strides[len(axes) :]
            plan = self.plan.with_axes(map(Walk.over, parts, met, taps, positions))
            if plan not in known:
                known[plan] = list(_calls(plan))
            first = sum(pixels.start * axis.pixel for axis, pixels in zip(axes, box, strict=True))
            for call in known[plan]:
                call.make(function, self.image + first, address(room))


class Call(NamedTuple):
    """One call of a kernel, all but the addresses of the image and the matrix."""

    image_offset: int
    matrix_offset: int
    arguments: tuple[int, ...]
    tables: Tables
    """What some arguments are the addresses of, kept alive."""

    def make(self, function: Callable[..., None], image: int, matrix: int) -> None:
        """Call the kernel."""
        function(image + self.image_offset, matrix + self.matrix_offset, *self.arguments)


class Tables(NamedTuple):
    """The tables of a kernel: rows of the image, and pieces of the matrix."""

    rows: NDArray[np.int64]
    pieces: NDArray[np.int64]


def address(array: NDArray[Any]) -> int:
    """Return where an array starts; ``array.ctypes`` takes ten times as long."""
    return int(array.__array_interface__["data"][0])


def _calls(plan: SumPlan) -> Iterator[Call]:
    """Yield the calls that make a sum: one for every phase of every table."""
    lanes, planes = plan.lanes, plan.planes
    phases = [phase for phase in lanes.phases() if phase.taps or not plan.has_gaps]
    for tables in _tables(plan):
        for phase in phases:
            arguments = (
                *(planes.n, planes.pixel, planes.position),
                *(len(tables.rows), address(tables.rows), address(tables.pieces)),
                *(phase.taps, phase.tap_step * lanes.tap, phase.shift, phase.shift_step, int(plan.backwards)),
                *(phase.width, lanes.positions, lanes.pixel * lanes.stride, lanes.position),
            )
            # The kernel walks planes without looking for those that lie outside.
            first = planes.before * planes.position + phase.first_tap * lanes.tap
            yield Call(phase.first_pixel * lanes.pixel, first, arguments, tables)


def _tables(plan: SumPlan) -> Iterator[Tables]:
    """Yield the tables for all rows, a block at a time."""
    rows = math.prod(walk.n for walk in plan.table)
    step = max(1, _TABLE_PIECES // max(1, math.prod(walk.most_met for walk in plan.table)))
    meetings = [_meeting(walk) for walk in plan.table]
    for start in range(0, rows, step):
        yield _table(plan, meetings, np.arange(start, min(start + step, rows)))


def _table(plan: SumPlan, meetings: Sequence[_Meeting], rows: NDArray[np.int64]) -> Tables:
    """Return the tables for rows by their numbers; every row has its pieces in the order of their taps."""
    walks = plan.table
    origin = np.zeros(len(rows), np.int64)
    offset, meet = np.zeros((len(rows), 1), np.int64), np.ones((len(rows), 1), bool)
    places = np.unravel_index(rows, [walk.n for walk in walks]) if walks else ()
    for i in plan.order:
        steps, meets = meetings[i](places[i])
        # Taps of this axis are inside those of the axes before it.
        offset = (offset[:, :, None] + steps[:, None]).reshape(len(rows), -1)
        meet = (meet[:, :, None] & meets[:, None]).reshape(len(rows), -1)
        origin += places[i] * walks[i].pixel
    counts = meet.sum(axis=1)
    stops = np.cumsum(counts)
    table = np.stack([origin, stops - counts, stops], axis=-1)
    return Tables(table[counts > 0] if plan.has_gaps else table, offset[meet])


def _meeting(walk: Walk) -> _Meeting:
    """Return what finds the entries that meet pixels of an axis, which many tables ask.

    Of each pixel it returns the bytes to the entries that may meet it, in the order of their taps, and which do.
    """
    exchanged = walk.exchanged()
    backwards = exchanged.taps_met < walk.taps_met  # from the last position, whose tap is the first, to the first
    if backwards:
        walk = exchanged
    in_order = slice(None, None, -1 if backwards else 1)
    common = math.gcd(walk.stride, walk.dilation)
    step = walk.stride // common
    inverse = pow(walk.dilation // common, -1, step)
    others = step * np.arange(walk.taps_met)

    def met(pixels: NDArray[np.intp]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        place = pixels[:, None] + walk.before
        taps = place // common % step * inverse % step + others
        position = (place - taps * walk.dilation) // walk.stride
        meets = (place % common == 0) & (taps < walk.taps) & (position >= 0) & (position < walk.positions)
        return (position * walk.position + taps * walk.tap)[:, in_order], meets[:, in_order]

    return met
