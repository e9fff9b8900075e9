"""Pooling row by row: how images of some strides are cut into tasks, and the calls of `row_kernel` that run them."""

from __future__ import annotations

import math
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...engine.compiler import required
from ...engine.sequence import Round, Step, Steps
from ...spec.strides import offsets, row_major
from ..implicit.view import LINE
from ..implicit.work import OUT, ROOM, WEIGHTS, X, together
from .row_kernel import JOB, MISSING, TASK, PoolRows, pool_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...engine.target import Target
    from ...spec.pool import Pool

    Array = NDArray[Any]
    Strides = tuple[int, ...]
    Range = tuple[int, int]

_ROW_BYTES = 8 << 10
"""Of a row in the room, about: with what is made of it, it stays in the first level of cache."""
_BAND_BYTES = 16 << 10
"""Of all rows of a band, about: they stay in the second level."""
_MOST_READS = 16
"""Rows that are joined as they are read: each has an address in a register, or on the stack."""
_MOST_TERMS = 64
"""Vectors that are joined in one turn of a loop, and one before it."""
_TASKS_A_THREAD = 4
WORTH_A_TASK = 128 << 10
"""Bytes of image and result from which threads are worth the while."""
WORTH_WAKING = 1 << 20
"""Bytes of image and result from which threads are worth waking."""


class Axis(NamedTuple):
    """Windows along one axis, and its strides in image and result."""

    size: int
    taps: int
    stride: int
    dilation: int
    before: int
    positions: int
    x_step: int
    out_step: int

    @property
    def span(self) -> int:
        """Pixels from a window's first tap to its last."""
        return self.dilation * (self.taps - 1) + 1

    def inside(self, positions: Range) -> Range:
        """Return which pixels of the image the windows at some positions reach over."""
        first, stop = positions
        start = first * self.stride - self.before
        return max(0, start), min(self.size, (stop - 1) * self.stride - self.before + self.span)

    def coordinates(self, *, apart: bool) -> NDArray[np.int64]:
        """Return where the taps of each position lie, (positions, taps); or each row of all windows, as one tap."""
        if apart:
            rows = np.arange((self.positions - 1) * self.stride + self.span)
            return (rows - self.before)[:, None]
        positions, taps = np.arange(self.positions), np.arange(self.taps)
        return positions[:, None] * self.stride + taps * self.dilation - self.before


class Images(NamedTuple):
    """Images of a kind, and what is made of them.

    Parameters
    ----------
    batch, channels : int
    element : str
        The name of a pixel's dtype, as `row_kernel` has it.
    strides, out_strides : tuple of int
        In bytes, with axes (N, C, *spatial).
    threads : int
    """

    batch: int
    channels: int
    element: str
    strides: Strides
    out_strides: Strides
    threads: int


class Strip(NamedTuple):
    """A part of each row: channels, and columns of the map."""

    channels: Range
    columns: Range


class Cut(NamedTuple):
    """How images are cut, and the kernel that pools them.

    Parameters
    ----------
    spec : PoolRows
    strips : tuple of Strip
    nothing, region : int
        Bytes of the room's parts: of a row of nothing, and of the rows of a band.
    rows : int
        Of the map, in a band.
    """

    spec: PoolRows
    strips: tuple[Strip, ...]
    nothing: int
    region: int
    rows: int

    @property
    def room_bytes(self) -> int:
        """Bytes of what a thread keeps."""
        return self.nothing + sum(len(ways) for ways in (((),), *self.spec.ways)) * self.region


def cut(pool: Pool, images: Images, target: Target) -> Cut | None:
    """Return how images are pooled row by row; None where the kernel cannot walk them."""
    *outer, down, along = axes_of(pool, images)
    size = int(images.element[1])
    joined, out_size = (8, 8) if pool.reduction == "place" else (size, size)
    channels_last = images.channels > 1 and images.strides[1] == size and images.out_strides[1] == out_size
    if not channels_last and (along.x_step != size or along.out_step != out_size):
        return None
    direct = down.taps < 2 * down.stride
    reads = math.prod(axis.taps for axis in outer) * (down.taps if direct else 1)
    strips = _strips(along, images.channels if channels_last else 1, joined)
    parts = [part_of(pool, images, along, strip, channels_last=channels_last) for strip in strips]
    if reads > _MOST_READS or min(part.run for part in parts) < 1:
        return None
    is_uniform = pool.reduction == "mean" and all(len(set(pool.counts(i))) == 1 for i in range(pool.geometry.ndim))
    is_flat = (
        (is_uniform or pool.reduction != "mean")
        and not channels_last
        and len(strips) == 1
        and down.out_step == along.positions * out_size
    )
    is_flat = is_flat and along.span <= along.stride
    pitch = max(part.pitch for part in parts)
    # A band's rows, those of the image, stay in the nearest cache, or those of many taps in the second.
    step = 1 if direct else down.stride
    span = 1 if direct else down.span
    fitting = (_BAND_BYTES // (pitch * joined) - span) // step + 1
    units = images.batch * (1 if channels_last else images.channels) * math.prod(axis.positions for axis in outer)
    bands = -(-down.positions // max(1, fitting, -(-span // step)))
    if images.threads > 1:
        bands = max(bands, min(down.positions, -(-_TASKS_A_THREAD * images.threads // (units * len(strips)))))
    rows = -(-down.positions // bands)
    last = down.positions - (-(-down.positions // rows) - 1) * rows
    most = target.vector_bytes // joined
    read, write = (
        power(min(most, shortest))
        for shortest in (
            min(part.run for part in parts),
            last * along.positions if is_flat else min(part.run_out for part in parts),
        )
    )
    rows_apart = (1, 1, 1) if direct else (down.taps, down.dilation, down.stride)
    # A window's row is written where rows of windows that follow stand: what is written beyond it must spare those.
    spared = most if direct or down.stride == 1 else power(min(most, down.stride * min(part.pitch for part in parts)))
    across = along.taps, along.dilation, along.stride
    spec = PoolRows(
        *(pool.reduction, images.element, most, read, write, spared, reads, rows_apart, across),
        channels_last=channels_last,
        is_flat=is_flat,
        is_uniform=is_uniform,
    )
    if max(len(terms) for ways in spec.ways for terms in ways) > _MOST_TERMS:
        return None
    vector = most * joined
    kept = (rows - 1) * step + span
    group = max(part.group for part in parts)
    region = -(-(kept * pitch + spec.slack * group + 2 * most) * joined // vector) * vector
    nothing = -(-(pitch + most) * joined // vector) * vector
    return Cut(spec, strips, nothing, region, rows)


def power(count: int) -> int:
    """Return the greatest power of two that is not greater."""
    return 1 << (count.bit_length() - 1)


class Part(NamedTuple):
    """What a strip's rows are: numbers of a column, runs that are read, and written, and where they begin.

    Parameters
    ----------
    group : int
    runs, run : int
        That are read, and the numbers of each.
    left, pitch : int
        Numbers before them in the room, and of a row there.
    out_runs, run_out : int
        That are written, and the numbers of each.
    first : int
        The first column that is read.
    """

    group: int
    runs: int
    run: int
    left: int
    pitch: int
    out_runs: int
    run_out: int
    first: int


def part_of(pool: Pool, images: Images, along: Axis, strip: Strip, *, channels_last: bool) -> Part:
    """Return what the rows of a strip are."""
    size = int(images.element[1])
    (first, stop), (column, last) = along.inside(strip.columns), strip.columns
    group = strip.channels[1] - strip.channels[0] if channels_last else 1
    columns, inside, has_places = last - column, stop - first, pool.reduction == "place"
    runs, run = 1, inside * group
    if channels_last and (along.x_step != group * size or has_places):
        runs, run = inside, group
    out_runs, run_out = 1, columns * group
    out_size = 8 if has_places else size
    is_dense = along.stride == 1 and along.out_step == group * out_size and pool.reduction != "mean"
    if channels_last and not is_dense:
        out_runs, run_out = columns, group
    width = max((columns - 1) * along.stride + along.span, columns * along.stride)
    left = first - (column * along.stride - along.before)
    return Part(group, runs, run, left * group, width * group, out_runs, run_out, first)


def axes_of(pool: Pool, images: Images) -> list[Axis]:
    """Return the spatial axes, two at least: a signal is an image of one row."""
    g = pool.geometry
    before = [pair[0] for pair in g.padding]
    fields = g.spatial_shape, g.kernel_size, g.stride, g.dilation, before, g.output_shape
    axes = [Axis(*each) for each in zip(*fields, images.strides[2:], images.out_strides[2:], strict=True)]
    return [Axis(1, 1, 1, 1, 0, 1, 0, 0), *axes] if len(axes) == 1 else axes


def _strips(along: Axis, channels: int, joined: int) -> tuple[Strip, ...]:
    """Return strips whose rows stay in the nearest cache: of columns, and of channels where those of few fill it."""
    lanes = LINE // joined
    groups = max(1, min(channels // lanes, channels * joined * 3 * along.span // _ROW_BYTES))
    width = -(-channels // groups) * joined
    most = (_ROW_BYTES // width - along.span) // along.stride + 1
    columns = -(-along.positions // max(most, 2 * -(-along.span // along.stride), lanes))
    return tuple(Strip(*each) for each in product(even(channels, groups), even(along.positions, columns)))


def even(count: int, parts: int) -> list[Range]:
    """Cut a count into parts that differ by one at most."""
    return list(pairwise(count * i // parts for i in range(parts + 1)))


class RowCalls:
    """The calls that pool images of a kind, in tasks for threads, each with a room of its own.

    Parameters
    ----------
    pool : Pool
    images : Images
    found : Cut
    target : Target

    Raises
    ------
    EngineError
        If the engine cannot compile the kernel.
    """

    def __init__(self, pool: Pool, images: Images, found: Cut, target: Target) -> None:
        self._keep: list[Array] = []
        spec, function = found.spec, required(pool_rows(found.spec), target)
        along = axes_of(pool, images)[-1]
        job = self._job(pool, images, found)
        units = int(np.prod([job[JOB.index(word)] for word in ("bands", "positions", "channels")])) * images.batch
        job_at = self._kept(np.array(job, np.int64))
        nbytes = images.batch * images.channels * math.prod(pool.geometry.spatial_shape) * int(images.element[1])
        count = images.threads if nbytes >= WORTH_A_TASK else 1
        parts = even(units, min(units, count * (_TASKS_A_THREAD if count > 1 else 1)))
        works = [(strip, part) for part in parts for strip in found.strips]
        count = min(count, len(works))
        self.room_bytes = count * found.room_bytes
        tasks = []
        for i in range(count):
            steps = []
            for strip, part in works[len(works) * i // count : len(works) * (i + 1) // count]:
                words, x, out = self._task(pool, images, spec, along, strip, part)
                where = (X, x), (ROOM, i * found.room_bytes), (WEIGHTS, 0), (OUT, out)
                steps.append(Step(function, where, (job_at, self._kept(np.array(words, np.int64)))))
            tasks.append(Steps([Round(calls=steps)], target, self._keep))
        self._tasks = together(tasks, target, images.threads, worth_waking=nbytes >= WORTH_WAKING)

    def run_ids(self, room: int, x: int, out: int) -> None:
        """Pool, with room, image and result of which the identities are given."""
        self._tasks.run_ids(room, room, room, room, x, out)

    def _kept(self, table: Array) -> int:
        """Keep a table, and return its address."""
        self._keep.append(table)
        return int(table.ctypes.data)

    def _job(self, pool: Pool, images: Images, found: Cut) -> list[int]:
        """Return the words of the job."""
        spec = found.spec
        *outer, down, along = axes_of(pool, images)
        is_apart = spec.down[0] > 1 or down.taps >= 2 * down.stride
        flat = (0, *row_major(pool.geometry.spatial_shape))[-len(outer) - 2 :]
        shifts, places = (np.zeros((1, 1), np.int64) for _ in range(2))
        there = np.ones((1, 1), bool)
        for number, axis in enumerate((*outer, down)):
            at = axis.coordinates(apart=is_apart and axis is down)
            shifts, places = (
                _added(total, at * step) for total, step in ((shifts, axis.x_step), (places, flat[number]))
            )
            there = _added(there, (at >= 0) & (at < axis.size))
        entries = np.where(there, shifts, MISSING)
        if spec.reduction == "place":
            entries = np.concatenate([entries, places], axis=1)
        positions = math.prod(axis.positions for axis in outer)
        starts = offsets([axis.positions for axis in outer], [axis.out_step for axis in outer])
        row_counts, column_counts = np.ones(1), np.ones(1)
        if spec.reduction == "mean":
            *before, column_counts = (pool.counts(i).astype(float) for i in range(pool.geometry.ndim))
            for each in before:
                row_counts = np.multiply.outer(row_counts, each).reshape(-1)
        tables = (
            entries,
            starts,
            *(each.astype(spec.joined if spec.reduction == "mean" else float) for each in (row_counts, column_counts)),
        )
        addresses = [self._kept(np.ascontiguousarray(table)) for table in tables]
        names = "entries", "starts", "row_counts", "column_counts"
        words = {
            "bands": -(-down.positions // found.rows),
            "positions": positions,
            "channels": 1 if spec.channels_last else images.channels,
            "x_image": images.strides[0],
            "x_channel": images.strides[1],
            "x_run": along.x_step,
            "out_image": images.out_strides[0],
            "out_channel": images.out_strides[1],
            "out_row": down.out_step,
            "out_run": along.out_step,
            "rows": found.rows,
            "height": down.positions,
            "tall": len(entries) // positions,
            "nothing": found.nothing,
            "region": found.region,
            **dict(zip(names, addresses, strict=True)),
        }
        return [words[word] for word in JOB]

    def _task(
        self, pool: Pool, images: Images, spec: PoolRows, along: Axis, strip: Strip, units: Range
    ) -> tuple[list[int], int, int]:
        """Return the words of a task, and where its part of image and result begins."""
        size, column, first = int(images.element[1]), strip.columns[0], strip.channels[0]
        part = part_of(pool, images, along, strip, channels_last=spec.channels_last)
        words = {
            **part._asdict(),
            "first": units[0],
            "stop": units[1],
            "place": part.first,
            "count": column,
        }
        out_size = 8 if spec.reduction == "place" else size
        x, out = part.first * along.x_step, column * along.out_step
        if spec.channels_last:
            x, out = x + first * size, out + first * out_size
        return [words[word] for word in TASK], x, out


def _added(total: Array, more: Array) -> Array:
    """Return each row of one table with each of another, and each tap with each: sums, or whether both are there."""
    both = np.logical_and if total.dtype == bool else np.add
    found: Array = both(total[:, None, :, None], more[None, :, None, :])
    return found.reshape(len(total) * len(more), -1)
