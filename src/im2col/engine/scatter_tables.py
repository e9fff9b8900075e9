"""The tables that kernels of strided sums are called with: lines of the image, pieces of the matrix, and phases."""

from __future__ import annotations

import math
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from .scatter_plan import SumPlan, Walk

TABLE_LINES = 8192
"""Lines of a table, at most."""
_TABLE_PIECES = 8192
"""Pieces of a table, about: 64 KiB, which the second level of cache holds beside the lines."""
_BLOCK_BYTES = 32 << 10
"""Of the image or the matrix that a block of pixels spans, where phases or planes share its cache lines."""
_BLOCK_PIXELS = 16
"""A block is a multiple of it: a cache has room for so many lines that are a power of two apart."""


class Call(NamedTuple):
    """One call of a kernel, all but the addresses of the image and the matrix.

    Parameters
    ----------
    matrix_offset : int
        In bytes.
    arguments : tuple of int
    tables : tuple of ndarray
        What some arguments are the addresses of, kept alive.
    """

    matrix_offset: int
    arguments: tuple[int, ...]
    tables: tuple[NDArray[np.int64], ...]


def address(array: NDArray[np.generic]) -> int:
    """Return where an array starts; ``array.ctypes`` takes ten times as long."""
    return int(array.__array_interface__["data"][0])


def calls(plan: SumPlan) -> Iterator[Call]:
    """Yield the calls that make a sum: one for each table of lines."""
    lanes, planes = plan.lanes, plan.planes
    every = list(lanes.phases())
    # Pixels without a tap are filled with 0 as they lie, if they can be, and walked one by one only if not.
    filled = plan.together > 0 and plan.apart == 0 and not all(phase.taps for phase in every)
    walked = [phase for phase in every if phase.taps or not filled]
    phases = np.array([phase.row(lanes) for phase in walked], np.int64)
    width = max(phase.width for phase in every)
    # What lies between the entries, or the pixels, of one line belongs to other lines, planes and phases.
    spanned = max(abs(lanes.position), abs(lanes.pixel * lanes.stride), 1)
    steps = (step for w in plan.table for n, step in ((w.taps, w.tap), (w.positions, w.position)) if n > 1)
    shares = planes.n > 1 or len(walked) > 1 or any(abs(step) < abs(lanes.position) for step in steps)
    block = max(1, _BLOCK_BYTES // spanned // _BLOCK_PIXELS) * _BLOCK_PIXELS if shares and not plan.apart else width
    for lines, pieces in line_tables(plan):
        arguments = (
            *(planes.n, planes.pixel, planes.position),
            *(len(lines), address(lines), address(pieces), len(phases), address(phases)),
            *(width, min(width, block), plan.together, int(filled)),
            *(every[0].tap_step * lanes.tap, every[0].shift_step, int(plan.backwards)),
            *(lanes.positions, lanes.pixel * lanes.stride, lanes.position),
        )
        # The kernel walks planes without looking for those that lie outside.
        yield Call(planes.before * planes.position, arguments, (lines, pieces, phases))


def line_tables(plan: SumPlan) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield tables of lines and of their pieces, a block of lines at a time."""
    axes = [_Axis(plan.table[i]) for i in plan.order]
    most = math.prod(axis.kinds[-1] for axis in axes)
    kinds = math.prod(len(axis.kinds) for axis in axes[1:])
    step = TABLE_LINES if kinds * most <= _TABLE_PIECES else max(1, _TABLE_PIECES // max(1, most))
    shape = [walk.n for walk in plan.table]
    total = math.prod(shape)
    for start in range(0, total, step):
        numbers = np.arange(start, min(start + step, total))
        places = np.unravel_index(numbers, shape) if shape else ()
        yield _lines(axes, [places[i] for i in plan.order], len(numbers))


class _Axis:
    """Where the pixels of an axis have their entries: some number of them, a step apart, in the order of their taps."""

    def __init__(self, walk: Walk) -> None:
        common = math.gcd(walk.stride, walk.dilation)
        taps_apart, apart = walk.stride // common, walk.dilation // common
        place = np.arange(walk.n) + walk.before
        # Taps that meet a pixel are `taps_apart` apart, and their positions `apart`, the other way.
        tap = place // common % taps_apart * pow(apart, -1, taps_apart) % taps_apart
        position = (place - tap * walk.dilation) // walk.stride
        first = np.maximum(0, -((walk.positions - 1 - position) // apart))
        stop = np.minimum(-((tap - walk.taps) // taps_apart), position // apart + 1)
        counts = np.where(place % common == 0, np.maximum(0, stop - first), 0)
        self.step = taps_apart * walk.tap - apart * walk.position
        self.entries = position * walk.position + tap * walk.tap + first * self.step
        self.pixels = np.arange(walk.n) * walk.pixel
        found = np.flatnonzero(np.bincount(counts))
        numbers = np.zeros(found[-1] + 1, np.intp)
        numbers[found] = np.arange(len(found))
        self.kind = numbers[counts]
        self.kinds: list[int] = found.tolist()
        """How many entries a pixel may have; and, in `kind`, which of these numbers each has."""


def _lines(
    axes: Sequence[_Axis], places: Sequence[NDArray[np.intp]], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the tables of some lines by their places along each axis: taps of the first one change slowest."""
    lines = np.zeros((count, 4), np.int64)
    if not axes:
        lines[:, 3] = 1
        return lines, np.zeros(1, np.int64)
    kind = np.zeros(count, np.int64)
    pieces = np.ones(count, np.int64)
    for axis, place in zip(axes, places, strict=True):
        lines[:, 0] += axis.pixels[place]
        lines[:, 1] += axis.entries[place]
        pieces *= np.array(axis.kinds)[axis.kind[place]]
        if axis is not axes[0]:
            kind = kind * len(axis.kinds) + axis.kind[place]
    # Lines with as many entries along all axes but the first share the offsets of their pieces.
    inner = [axis.kinds for axis in axes[1:]]
    starts = np.zeros(math.prod(map(len, inner)), np.int64)
    offsets: list[NDArray[np.int64]] = []
    for number in np.flatnonzero(np.bincount(kind)).tolist():
        which = np.unravel_index(number, [len(each) for each in inner]) if inner else ()
        counts = [axes[0].kinds[-1], *(each[i] for each, i in zip(inner, which, strict=True))]
        starts[number] = sum(map(len, offsets))
        offsets.append(_offsets(counts, [axis.step for axis in axes]))
    lines[:, 2] = starts[kind]
    lines[:, 3] = lines[:, 2] + pieces
    return lines, np.concatenate(offsets)


def _offsets(counts: Sequence[int], steps: Sequence[int]) -> NDArray[np.int64]:
    """Return the offset of every combination, the last axis fastest."""
    along = [np.arange(n, dtype=np.int64) * step for n, step in zip(counts, steps, strict=True)]
    return reduce(np.add.outer, along).reshape(-1)
