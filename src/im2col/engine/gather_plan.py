"""How a strided copy is made: the kernels it calls, and their arguments.

A copy is a nest of loops over the axes of two arrays that have one shape. The planner drops and merges axes, chooses
the innermost run, and puts the loops around it into an order that the caches like. The kernels know runs and tables:

- a *run* is what lies side by side in both arrays, or at one step in the source;
- a *table* holds the source offsets of the runs that follow each other in the destination without a gap. For a column
  matrix it is the tap offsets: im2col, as addresses.
"""

from __future__ import annotations

import math
from functools import partial, reduce
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..memory import recalled
from .gather_kernels import (
    OUTER_LOOPS,
    SHORT_RUN_BYTES,
    long_runs,
    planes,
    short_runs,
    spread_tiles,
    strided_runs,
    tiles,
)
from .number_kernels import number_runs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from .compiler import Kernel

_TABLE_RUNS = 192
"""Runs of a table at most: each may touch a cache line of its own, and all of them should stay in the first level."""
_TABLE_ELEMENTS = 768
"""The same for tiles, whose runs are elements: neighbouring taps share cache lines."""
_WORTH_CUTTING = 4
"""How many times longer a table must get to be worth a remainder, which is walked by itself."""
_STRIDED_RUN = 16
"""Elements from which an innermost axis is a run although the source steps; a shorter one goes into the table."""
_TILE_BYTES = 32
"""Bytes of a tile's rows: wider vectors move no more bytes a cycle through shuffles on the machines measured."""
_NUMBERS_BYTES, _CONVERTED_RUN = 64, 64
"""Of numbers that are converted: what is written at a time, and the longest run, in numbers, with its own kernel."""
_SMALLEST_TILE, _GREATEST_TILE = 4, 16
_PLANE_BYTES = 64
"""Bytes from a run to the next from which each has lines of the caches to itself."""
_TILED_RUN = 6
"""Elements up to which a run is copied tile by tile, if there are twice as many positions across."""


class _Axis(NamedTuple):
    """One loop: its length, and its steps through both arrays in bytes."""

    n: int
    dst: int
    src: int

    def split(self, inner: int) -> tuple[_Axis, _Axis]:
        """Return the two loops that walk this one in blocks of `inner`, which divides its length."""
        return _Axis(self.n // inner, self.dst * inner, self.src * inner), _Axis(inner, self.dst, self.src)


class Call(NamedTuple):
    """One call of a kernel, all but the addresses of the two arrays."""

    kernel: Kernel
    dst_offset: int
    src_offset: int
    arguments: tuple[int, ...]
    tables: tuple[NDArray[np.int64], ...]
    """What some arguments are the addresses of, kept alive."""


def plan_copy(
    shape: tuple[int, ...], dst_strides: tuple[int, ...], src_strides: tuple[int, ...], itemsize: int
) -> tuple[Call, ...]:
    """Return the kernel calls that make a copy; none where `dst` is not dense, which is left to NumPy.

    Parameters
    ----------
    shape : tuple of int
        Of both arrays.
    dst_strides, src_strides : tuple of int
        In bytes.
    itemsize : int
        Bytes of an element.

    Returns
    -------
    tuple of Call
    """
    arguments = shape, dst_strides, src_strides, itemsize
    return recalled((_planned, arguments), partial(_planned, *arguments))


def _planned(
    shape: tuple[int, ...], dst_strides: tuple[int, ...], src_strides: tuple[int, ...], itemsize: int
) -> tuple[Call, ...]:
    axes = [_Axis(*a) for a in zip(shape, dst_strides, src_strides, strict=True) if a[0] > 1]
    axes = _merged(sorted(axes, key=lambda a: -a.dst))
    if not axes or axes[-1].dst != itemsize:
        return ()
    innermost = axes[-1]
    contiguous = innermost.src == itemsize
    across = _across(axes, itemsize)
    if across is not None and not (contiguous and _is_worth_a_run(innermost, across, itemsize)):
        return _tiles(axes, across, itemsize)
    if contiguous:
        run = innermost.n * itemsize
        return _runs(axes[:-1], _Inner(short_runs(run) if run <= SHORT_RUN_BYTES else long_runs(), run))
    if innermost.n >= _STRIDED_RUN:
        return _runs(axes[:-1], _Inner(strided_runs(itemsize, innermost.src), innermost.n * itemsize, innermost.src))
    return _runs(axes, _Inner(short_runs(itemsize), itemsize))


def plan_conversion(
    shape: tuple[int, ...],
    dst_strides: tuple[int, ...],
    src_strides: tuple[int, ...],
    names: tuple[str, str],
    offset: int = 0,
) -> tuple[Call, ...]:
    """Return the kernel calls that write numbers as those of another dtype, which are quick where both have runs.

    Parameters
    ----------
    shape, dst_strides, src_strides : tuple of int
        As for `plan_copy`.
    names : (str, str)
        What the numbers are and what they become; see `number_kernels.number_runs`.
    offset : int
        What is added to each.
    """
    arguments = shape, dst_strides, src_strides, names, offset
    return recalled((_conversion, arguments), partial(_conversion, *arguments))


def _conversion(
    shape: tuple[int, ...],
    dst_strides: tuple[int, ...],
    src_strides: tuple[int, ...],
    names: tuple[str, str],
    offset: int,
) -> tuple[Call, ...]:
    read, written = (int(name[1]) for name in names)
    axes = [_Axis(*a) for a in zip(shape, dst_strides, src_strides, strict=True) if a[0] > 1]
    axes = _merged(sorted(axes, key=lambda a: -a.dst))
    runs = axes and (axes[-1].dst, axes[-1].src) == (written, read)
    length = axes.pop().n if runs else 1
    lanes = min(_NUMBERS_BYTES // written, 1 << length.bit_length() - 1)
    kernel = number_runs(*names, offset, length if length <= _CONVERTED_RUN else 0, lanes)
    return tuple(_calls(axes, [], (0, 0), _Inner(kernel, length * written)))


class _Inner(NamedTuple):
    """What a kernel does inside its loops, and the arguments that say how far.

    Parameters
    ----------
    kernel : Kernel
    run : int
        Bytes that lie side by side in the destination for one entry of the table.
    step, across, apart : int
        Of strided runs and tiles; see `gather_kernels`.
    """

    kernel: Kernel
    run: int
    step: int = 0
    across: int = 0
    apart: int = 0


def _runs(axes: list[_Axis], inner: _Inner) -> tuple[Call, ...]:
    """Return the calls that copy runs: the axes around one are loops, the innermost of them a table."""
    return tuple(call for nest in _nests(axes, inner.run) for call in _calls(*nest, inner))


def _is_worth_a_run(innermost: _Axis, across: _Axis, itemsize: int) -> bool:
    """Whether what is contiguous in both arrays is long enough to be copied as it is, and not tile by tile."""
    return innermost.n > _TILED_RUN or innermost.n * itemsize > _TILE_BYTES or across.n < 2 * innermost.n


def _tiles(axes: list[_Axis], across: _Axis, itemsize: int) -> tuple[Call, ...]:
    """Return the calls that copy tile by tile: every element of a row of the destination is an entry of a table."""
    calls: list[Call] = []
    around = [axis for axis in axes if axis is not across]
    beyond = _beyond(axes, across, itemsize)
    if beyond is not None:
        return _spread(axes, beyond, across, itemsize)
    # An axis that the source walks backwards is walked from its other end.
    end = (across.n - 1) * (across.src < 0)
    across = across._replace(dst=-across.dst, src=-across.src) if end else across
    for outer, table, (to, origin) in _nests(around, itemsize, across):
        start = (to - end * across.dst, origin - end * across.src)
        entries = math.prod(axis.n for axis in table)
        side = min(entries, across.n, _widest_tile(itemsize))
        if side < _SMALLEST_TILE:
            calls += _calls([*outer, across], table, start, _Inner(short_runs(itemsize), itemsize))
            continue
        side = 1 << (side.bit_length() - 1)
        in_planes = len(table) == 1 and abs(table[0].src) >= _PLANE_BYTES and entries >= 2 * side
        kernel = planes(itemsize, side) if in_planes else tiles(itemsize, side)
        calls += _calls(outer, table, start, _Inner(kernel, itemsize, 0, across.n, across.dst))
    return tuple(calls)


def _spread(axes: list[_Axis], beyond: _Axis, across: _Axis, itemsize: int) -> tuple[Call, ...]:
    """Return the calls that copy tile by tile over two axes that are one to the source."""
    calls: list[Call] = []
    around = [axis for axis in axes if axis is not beyond and axis is not across]
    block = min(beyond.n, max(1, _TABLE_RUNS // across.n // _GREATEST_TILE) * _GREATEST_TILE)
    blocks, rest = divmod(beyond.n, block)
    for count, inner, first in ((blocks, block, 0), (1, rest, blocks * block))[: 1 + bool(rest)]:
        loops = sorted([*around, _Axis(count, inner * beyond.dst, inner * beyond.src)], key=lambda a: -a.dst)
        places = offsets([inner, across.n], [beyond.dst, across.dst])
        for outer, table, (to, origin) in _nests(loops, itemsize, across):
            start = (to + first * beyond.dst, origin + first * beyond.src)
            if min(len(places), math.prod(axis.n for axis in table)) < _widest_tile(itemsize):
                loops = [*outer, _Axis(inner, beyond.dst, beyond.src), across]
                calls += _calls(loops, table, start, _Inner(short_runs(itemsize), itemsize))
                continue
            tile = _Inner(spread_tiles(itemsize, _widest_tile(itemsize)), itemsize, 0, len(places), places.ctypes.data)
            calls += [call._replace(tables=(*call.tables, places)) for call in _calls(outer, table, start, tile)]
    return tuple(calls)


def _beyond(axes: list[_Axis], across: _Axis, itemsize: int) -> _Axis | None:
    """Return the axis along which the source goes on where `across` ends, if no number of tiles fills that one.

    As the channels do behind the taps of a filter.
    """
    side = _widest_tile(itemsize)
    if across.n % side == 0 or axes[-1].n < side or across.src != itemsize:
        return None
    return next((a for a in axes[:-1] if a.src == across.n * itemsize and a.n * across.n >= side), None)


def _widest_tile(itemsize: int) -> int:
    """Return the side of the largest tiles."""
    return min(_TILE_BYTES // itemsize, _GREATEST_TILE)


def _across(axes: list[_Axis], itemsize: int) -> _Axis | None:
    """Return the longest axis along which the source alone is contiguous, either way, if it is worth a tile."""
    if itemsize * _SMALLEST_TILE > _TILE_BYTES:
        return None
    candidates = [a for a in axes if abs(a.src) == itemsize != a.dst and a.n >= _SMALLEST_TILE]
    return max(candidates, key=lambda a: a.n, default=None)


def _merged(axes: list[_Axis]) -> list[_Axis]:
    """Merge neighbouring loops that walk both arrays as one would."""
    merged: list[_Axis] = []
    for axis in axes:
        if merged and merged[-1].dst == axis.n * axis.dst and merged[-1].src == axis.n * axis.src:
            merged[-1] = _Axis(merged[-1].n * axis.n, axis.dst, axis.src)
        else:
            merged.append(axis)
    return merged


def _nests(
    axes: list[_Axis], run: int, across: _Axis | None = None
) -> Iterator[tuple[list[_Axis], list[_Axis], tuple[int, int]]]:
    """Divide the loops around a run into outer ones and a table.

    Yields outer loops, the loops that the table unrolls, and the offsets at which both arrays start. An axis that is
    cut to fill the table leaves a remainder, which is a nest of its own.
    """
    most = _TABLE_RUNS if across is None else _TABLE_ELEMENTS
    outer, runs = list(axes), 1
    table: list[_Axis] = []
    while outer and outer[-1].dst == run * runs and runs * outer[-1].n <= most:
        table.insert(0, outer.pop())
        runs *= table[0].n
    block = most // runs
    if not outer or outer[-1].dst != run * runs or block < _WORTH_CUTTING or run > SHORT_RUN_BYTES:
        yield outer, table, (0, 0)
        return
    cut = outer.pop()
    whole = cut.n - cut.n % block
    blocks, inside = _Axis(whole, cut.dst, cut.src).split(block)
    # All positions of a row read one block of channels before the next block's lines replace it; tiles do so anyway.
    reused = across is None and bool(outer) and abs(outer[-1].src) < abs(cut.src)
    yield [*outer[:-1], blocks, outer[-1]] if reused else [*outer, blocks], [inside, *table], (0, 0)
    if cut.n > whole:
        rest = _Axis(cut.n - whole, cut.dst, cut.src)
        yield outer, [rest, *table], (whole * cut.dst, whole * cut.src)


def _calls(outer: list[_Axis], table: list[_Axis], start: tuple[int, int], inner: _Inner) -> Iterator[Call]:
    """Yield the calls of one nest: one, unless it has more loops than a kernel."""
    spare = max(0, len(outer) - OUTER_LOOPS)
    loops = [_Axis(1, 0, 0)] * (OUTER_LOOPS - len(outer)) + outer[spare:]
    steps = np.array([[a.dst for a in loops], [a.src for a in loops]], np.int64)
    sources = offsets([a.n for a in table], [a.src for a in table])
    where = (steps.ctypes.data, len(sources), sources.ctypes.data)
    arguments = (*(a.n for a in loops), *where, inner.run, inner.step, inner.across, inner.apart)
    lengths = [a.n for a in outer[:spare]]
    for to, origin in zip(
        offsets(lengths, [a.dst for a in outer[:spare]]), offsets(lengths, [a.src for a in outer[:spare]]), strict=True
    ):
        yield Call(inner.kernel, start[0] + int(to), start[1] + int(origin), arguments, (steps, sources))


def offsets(shape: Sequence[int], strides: Sequence[int]) -> NDArray[np.int64]:
    """Return the offset of every element of a strided array, in row-major order and in the unit of `strides`."""
    steps = [np.arange(n) * stride for n, stride in zip(shape, strides, strict=True)]
    return reduce(np.add.outer, steps, np.zeros(1, np.int64)).reshape(-1)
