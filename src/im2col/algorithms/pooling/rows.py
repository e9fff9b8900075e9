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
    from .windows import Pool

    Array = NDArray[Any]
    Strides = tuple[int, ...]
    Range = tuple[int, int]

_ROW_BYTES = 16 << 10
"""Of a row in the room, about: with what is made of it, it stays in the first level of cache."""
_BAND_BYTES = 96 << 10
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
        """Return where the taps of each position lie, (positions, taps); or each row of all windows, as its only tap."""
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
    row_bytes : int
        Of a row in the room.
    rows, kept : int
        Rows of the map in a band, and rows of the image that are kept in the room for them.
    """

    spec: PoolRows
    strips: tuple[Strip, ...]
    row_bytes: int
    rows: int
    kept: int

    @property
    def room_bytes(self) -> int:
        """Bytes of what a thread keeps."""
        taps = self.spec.down[0]
        times = 1 if taps == 1 else len(self.spec.passes(taps))
        return (3 + self.kept * times) * self.row_bytes


def cut(pool: Pool, images: Images, target: Target) -> Cut | None:
    """Return how images are pooled row by row; None where the kernel cannot walk them."""
    *outer, down, along = axes_of(pool, images)
    size, joined = int(images.element[1]), 8 if pool.reduction == "place" else int(images.element[1])
    out_size = joined if pool.reduction == "place" else size
    channels_last = images.channels > 1 and images.strides[1] == size and images.out_strides[1] == out_size
    if not channels_last and (along.x_step != size or along.out_step != out_size):
        return None
    direct = down.taps < 2 * down.stride
    reads = math.prod(axis.taps for axis in outer) * (down.taps if direct else 1)
    strips = _strips(along, images.channels, joined, lines=max(1, LINE // joined) if channels_last else 0)
    insides = [along.inside(strip.columns) for strip in strips]
    groups = [stop - first for (first, stop), _ in strips] if channels_last else [1]
    shortest = min(groups) if channels_last else min(stop - first for first, stop in insides)
    if not channels_last:
        shortest = min(shortest, *(stop - first for _, (first, stop) in strips))
    if reads > _MOST_READS or shortest < 1 or min(stop - first for first, stop in insides) < 1:
        return None
    lanes = 1 << (min(shortest, target.vector_bytes // joined).bit_length() - 1)
    rows_apart = (1, 1) if direct else (down.taps, down.dilation)
    across = along.taps, along.dilation, along.stride
    spec = PoolRows(pool.reduction, images.element, lanes, reads, rows_apart, across, channels_last)
    ways = spec.passes(along.taps) + spec.passes(rows_apart[0])
    if max(map(len, ways)) > _MOST_TERMS:
        return None
    width = max(((stop - first - 1) * along.stride + along.span) for _, (first, stop) in strips) * max(groups)
    row_bytes = -(-(width + 2 * lanes) // lanes) * lanes * joined
    kept, rows = 0, down.positions
    if not direct:
        times = len(spec.passes(down.taps))
        fitting = (_BAND_BYTES // (row_bytes * times) - down.span) // down.stride + 1
        rows = min(rows, max(fitting, -(-down.span // down.stride)))
    units = images.batch * (1 if channels_last else images.channels) * math.prod(axis.positions for axis in outer)
    if images.threads > 1:
        bands = -(-_TASKS_A_THREAD * images.threads // (units * len(strips)))
        rows = min(rows, -(-down.positions // bands))
    if not direct:
        kept = (rows - 1) * down.stride + down.span
    return Cut(spec, strips, row_bytes, rows, kept)


def axes_of(pool: Pool, images: Images) -> list[Axis]:
    """Return the spatial axes, two at least: a signal is an image of one row."""
    g = pool.geometry
    before = [pair[0] for pair in g.padding]
    fields = g.spatial_shape, g.kernel_size, g.stride, g.dilation, before, g.output_shape
    axes = [Axis(*each) for each in zip(*fields, images.strides[2:], images.out_strides[2:], strict=True)]
    return [Axis(1, 1, 1, 1, 0, 1, 0, 0), *axes] if len(axes) == 1 else axes


def _strips(along: Axis, channels: int, joined: int, lines: int) -> tuple[Strip, ...]:
    """Return strips whose rows stay in the nearest cache; `lines` is how many channels a line has, 0 for none."""
    most = max(1, (_ROW_BYTES // (joined * max(1, lines)) - along.span) // along.stride + 1)
    columns = list(_even(along.positions, -(-along.positions // max(most, 4 * LINE // joined))))
    if not lines:
        return tuple(Strip((0, channels), each) for each in columns)
    width = (columns[0][1] - columns[0][0] - 1) * along.stride + along.span
    groups = -(-channels * width * joined // _ROW_BYTES)
    return tuple(Strip(*each) for each in product(_even(channels, max(1, min(groups, channels // lines))), columns))


def _even(count: int, parts: int) -> list[Range]:
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
        *_, down, along = axes_of(pool, images)
        job = self._job(pool, images, found)
        units = int(np.prod([job[JOB.index(word)] for word in ("bands", "positions", "channels")])) * images.batch
        job_at = self._kept(np.array(job, np.int64))
        nbytes = images.batch * images.channels * math.prod(pool.geometry.spatial_shape) * int(images.element[1])
        count = images.threads if nbytes >= WORTH_A_TASK else 1
        parts = _even(units, min(units, count * (_TASKS_A_THREAD if count > 1 else 1)))
        works = [(strip, part) for part in parts for strip in found.strips]
        count = min(count, len(works))
        self.room_bytes = count * found.room_bytes
        tasks = []
        for i in range(count):
            steps = []
            for strip, part in works[len(works) * i // count : len(works) * (i + 1) // count]:
                words, x, out = self._task(images, spec, along, strip, part)
                words[TASK.index("row_bytes")] = found.row_bytes
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
        tables = entries, starts, *(each.astype(spec.joined if spec.reduction == "mean" else float) for each in (row_counts, column_counts))
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
            "out_column": along.out_step,
            "rows": found.rows,
            "height": down.positions,
            "step": down.stride if is_apart else 1,
            "tall": len(entries) // positions,
            "kept": found.kept,
            **dict(
                zip(
                    ("entries", "starts", "row_counts", "column_counts"),
                    (self._kept(np.ascontiguousarray(table)) for table in tables),
                    strict=True,
                )
            ),
        }
        return [words[word] for word in JOB]

    def _task(
        self, images: Images, spec: PoolRows, along: Axis, strip: Strip, units: Range
    ) -> tuple[list[int], int, int]:
        """Return the words of a task, and where its part of image and result begins."""
        size = int(images.element[1])
        (first, stop), (column, last) = along.inside(strip.columns), strip.columns
        group = strip.channels[1] - strip.channels[0] if spec.channels_last else 1
        runs, run = 1, (stop - first) * group
        if spec.channels_last and (along.x_step != group * size or spec.reduction == "place"):
            runs, run = stop - first, group
        width = (last - column - 1) * along.stride + along.span
        words = {
            "first": units[0],
            "stop": units[1],
            "group": group,
            "runs": runs,
            "run": run,
            "left": (first - (column * along.stride - along.before)) * group,
            "width": width * group,
            "columns": last - column,
            "row_bytes": 0,
            "place": first,
            "count": column,
        }
        x, out = first * along.x_step, column * along.out_step
        if spec.channels_last:
            out_size = 8 if spec.reduction == "place" else size
            x, out = x + strip.channels[0] * size, out + strip.channels[0] * out_size
        return [words[word] for word in TASK], x, out


def _added(total: Array, more: Array) -> Array:
    """Return each row of one table with each of another, and each tap with each: sums, or whether both are there."""
    both = np.logical_and if total.dtype == bool else np.add
    found: Array = both(total[:, None, :, None], more[None, :, None, :])
    return found.reshape(len(total) * len(more), -1)
