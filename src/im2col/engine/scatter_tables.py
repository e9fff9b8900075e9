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


class Call(NamedTuple):
    """One call of a kernel, all but the addresses of the image and the matrix.

    Parameters
    ----------
    matrix_offset : int
        In bytes.
    job : int
        The address of its words.
    tables : tuple of ndarray
        These words, and what some of them are the addresses of, kept alive.
    """

    matrix_offset: int
    job: int
    tables: tuple[NDArray[np.int64], ...]


def address(array: NDArray[np.generic]) -> int:
    """Return where an array starts; ``array.ctypes`` takes ten times as long."""
    return int(array.__array_interface__["data"][0])


def calls(plan: SumPlan) -> Iterator[Call]:
    """Yield the calls that make a sum: one for each table of lines."""
    lanes, planes = plan.lanes, plan.planes
    width = -(-lanes.n // lanes.stride)
    # Pixels without a tap are filled with 0 as they lie, if they can be, and walked one by one only if not.
    fills = plan.together > 0 and plan.apart == 0
    phases = phase_table(lanes, only_met=fills)
    filled = fills and len(phases) < min(lanes.stride, lanes.n)
    for lines, pieces in line_tables(plan):
        words = (
            *map(address, (lines, pieces, phases)),
            *(planes.n, planes.pixel, planes.position, len(lines), len(phases)),
            *(width, plan.block(len(phases)), plan.together, int(filled)),
            *(lanes.taps_apart * lanes.tap, lanes.positions_apart, int(plan.backwards)),
            *(lanes.positions, lanes.pixel * lanes.stride, lanes.position),
        )
        job = np.array(words, np.int64)
        # The kernel walks planes without looking for those that lie outside.
        yield Call(planes.before * planes.position, address(job), (job, lines, pieces, phases))


def phase_table(lanes: Walk, *, only_met: bool) -> NDArray[np.int64]:
    """Return the table of the phases of a line: all, or only those that a tap meets."""
    common, step = math.gcd(lanes.stride, lanes.dilation), lanes.taps_apart
    numbers = np.arange(min(lanes.stride, lanes.n))
    if only_met:
        first = np.arange(min(lanes.taps, step))  # the next ones meet the same phases again
        numbers = np.unique((first * lanes.dilation - lanes.before) % lanes.stride)
        numbers = numbers[numbers < lanes.n]
    tap, position = _first_met(lanes, numbers)
    taps = np.where((numbers + lanes.before) % common == 0, np.maximum(0, -((tap - lanes.taps) // step)), 0)
    width = -((numbers - lanes.n) // lanes.stride)
    return np.stack([numbers * lanes.pixel, width, taps, tap * lanes.tap, -position], axis=-1)


def _first_met(walk: Walk, pixels: NDArray[np.intp]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first tap that may meet each pixel of an axis, and the position at which it does, if there is one."""
    common, step = math.gcd(walk.stride, walk.dilation), walk.taps_apart
    place = pixels + walk.before
    tap = place // common % step * pow(walk.positions_apart, -1, step) % step
    return tap, (place - tap * walk.dilation) // walk.stride


def line_tables(plan: SumPlan) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield tables of lines and of their pieces, a block of lines at a time."""
    axes = [_Axis(plan.table[i]) for i in plan.order]
    most = math.prod(axis.most for axis in axes)
    lists = math.prod(1 + axis.most for axis in axes[1:])
    step = TABLE_LINES if lists * most <= _TABLE_PIECES else max(1, _TABLE_PIECES // max(1, most))
    shape = [walk.n for walk in plan.table]
    total = math.prod(shape)
    for start in range(0, total, step):
        numbers = np.arange(start, min(start + step, total))
        places = np.unravel_index(numbers, shape) if shape else ()
        yield _lines(axes, [places[i] for i in plan.order], len(numbers))


class _Axis:
    """Where the pixels of an axis have their entries: some number of them, a step apart, in the order of their taps."""

    def __init__(self, walk: Walk) -> None:
        self.most = walk.most_met
        self.step = walk.taps_apart * walk.tap - walk.positions_apart * walk.position
        self._walk = walk
        # A short axis is looked up, since every line asks it.
        self._known = self._found(np.arange(walk.n)) if walk.n <= TABLE_LINES else None

    def entries(self, pixels: NDArray[np.intp]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the offset of each pixel's first entry, and how many it has."""
        if self._known is None:
            return self._found(pixels)
        offsets, counts = self._known
        return offsets[pixels], counts[pixels]

    def _found(self, pixels: NDArray[np.intp]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        walk, apart = self._walk, self._walk.positions_apart
        tap, position = _first_met(walk, pixels)
        first = np.maximum(0, -((walk.positions - 1 - position) // apart))
        stop = np.minimum(-((tap - walk.taps) // walk.taps_apart), position // apart + 1)
        counts = np.maximum(0, stop - first)
        counts[(pixels + walk.before) % math.gcd(walk.stride, walk.dilation) != 0] = 0
        return position * walk.position + tap * walk.tap + first * self.step, counts

    def pixels(self, pixels: NDArray[np.intp]) -> NDArray[np.int64]:
        """Return the offset of each pixel in the image."""
        return pixels * self._walk.pixel


def _lines(
    axes: Sequence[_Axis], places: Sequence[NDArray[np.intp]], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the tables of some lines by their places along each axis: taps of the first one change slowest."""
    lines = np.zeros((count, 4), np.int64)
    if not axes:
        lines[:, 3] = 1
        return lines, np.zeros(1, np.int64)
    # Lines with as many entries along all axes but the first share the offsets of their pieces.
    kind, pieces = np.zeros(count, np.int64), np.ones(count, np.int64)
    for axis, place in zip(axes, places, strict=True):
        offsets, counts = axis.entries(place)
        lines[:, 0] += axis.pixels(place)
        lines[:, 1] += offsets
        pieces *= counts
        if axis is not axes[0]:
            kind = kind * (1 + axis.most) + counts
    kinds, kind = np.unique(kind, return_inverse=True) if len(axes) > 1 else (np.zeros(1, np.int64), kind)
    found: list[NDArray[np.int64]] = []
    for each in np.stack(np.unravel_index(kinds, [1 + axis.most for axis in axes[1:]] or [1]), -1).tolist():
        inner = each if len(axes) > 1 else []
        found.append(_offsets([axes[0].most, *inner], [axis.step for axis in axes]))
    lines[:, 2] = np.cumsum([0, *map(len, found)])[kind]
    lines[:, 3] = lines[:, 2] + pieces
    return lines, np.concatenate(found)


def _offsets(counts: Sequence[int], steps: Sequence[int]) -> NDArray[np.int64]:
    """Return the offset of every combination, the last axis fastest."""
    along = [np.arange(n, dtype=np.int64) * step for n, step in zip(counts, steps, strict=True)]
    return reduce(np.add.outer, along).reshape(-1)
