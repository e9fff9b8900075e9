"""What is decided about a gradient that walks rows of the map, both arrays as they lie: its tile and its tables."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...spec.strides import dense_strides, offsets
from ..implicit.decide import kernel_dtype
from ..implicit.packing import FilterBlocks, PackedAt, split_evenly, vector_blocks
from ..implicit.tiles import cycles as model
from ..implicit.view import GroupShape, View, memory_order, view_of
from ..implicit.work import Tables, TileRun, job_table
from .row_tile import JOB, RowTile, Segment, row_tile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ...engine.target import Target
    from ...spec.geometry import Geometry
    from ...spec.problem import Problem

_MOST_FILTERS = 8
"""F, at most."""
_MOST_STRIDE = 4
"""Pixels from lane to lane, at most: that many vectors are loaded for one."""
_MOST_EDGES = 32
"""Steps along a row, at most, at which not all taps of a tile meet the image."""
_MOST_LINES = 3000
"""Of the kernels' IR, by a rough count."""
_MOST_TERMS = 4096
"""Of a sum, before it is added to others."""
_MOST_ROWS = 1 << 16
"""Entries of the table of rows, a row of the map for each row of the window."""
_NEAR = 0.75
"""Of a cache, that is filled with rows."""
_ROW_CYCLES = 6
"""Of a row's own: its addresses, and the ends of the loops over its steps."""


class RowShape(NamedTuple):
    """A tile: VL, what its lanes are, F, NV, and the most taps."""

    lanes: int
    summed: bool
    filters: int
    vectors: int
    taps: int

    def __str__(self) -> str:
        if self.summed:
            return f"positions along the lanes, {self.filters} filters × {self.vectors} channels × {self.taps} taps"
        return f"channels along the lanes, {self.filters} filters × {self.taps} taps × {self.vectors} × {self.lanes}"


class RowDecision(NamedTuple):
    """Everything that is decided about such a gradient before any table is made.

    Parameters
    ----------
    problem : Problem
    target : Target
        The CPU that kernels are for.
    dtype : dtype
        Of the kernels, and of both arrays.
    group : GroupShape
        As the tiles see it: of a depthwise convolution, all channels as those of one group.
    view : View
        Of the image, and of the gradient as its result.
    strides, grad_strides : tuple of int
        Bytes between neighbours along (N, C, *spatial) and (N, filters, *output).
    shape : RowShape
    images : int
        That are summed at a time; fewer at the end.
    cycles : float
        By the model.
    """

    problem: Problem
    target: Target
    dtype: np.dtype[np.generic]
    group: GroupShape
    view: View
    strides: tuple[int, ...]
    grad_strides: tuple[int, ...]
    shape: RowShape
    images: int
    cycles: float

    @property
    def reason(self) -> str:
        """Why it was chosen, for people."""
        return f"the view: {self.shape}, row by row, {self.cycles:.3g} cycles by the model"

    @property
    def paired(self) -> bool:
        """Whether each channel has a filter of its own."""
        return self.group.groups != self.problem.groups

    @property
    def in_order(self) -> bool:
        """Whether sums lie as those of the result do; else channels lie innermost."""
        return self.shape.summed or self.problem.geometry.taps == 1

    @property
    def workspace_bytes(self) -> int:
        """Bytes of sums that are no result yet."""
        p = self.problem
        plain = self.in_order and not p.flip and p.dtype == self.dtype
        return 0 if plain else p.filters * p.group_taps * self.dtype.itemsize

    @property
    def table_bytes(self) -> int:
        """Bytes of the tables, with what is needed to make them."""
        g = self.view.geometry
        lines, rows = math.prod(g.kernel_size[:-1]), self.images * math.prod(g.output_shape[:-1])
        tiles = 3 * 8 * self.group.channels
        return (
            6 * 8 * rows * lines
            + 2 * 8 * lines * (_bands(self.view, self.group, self.shape, self.images, self.target) + 1)
            + 2 * tiles
            + (16 << 10)
        )

    def result_of(self, sums: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return sums, as they lie, as (filters, channels of a group, *kernel)."""
        p = self.problem
        shape = (p.filters, p.group_channels, *p.geometry.kernel_size)
        if self.in_order:
            return sums.reshape(shape)
        channels = p.channels if self.paired else p.group_channels
        return sums.reshape(-1, p.geometry.taps, channels).swapaxes(1, 2).reshape(shape)

    def tables(self, images: int, *, adds: bool) -> Tables:
        """Return the tables for sums over some images, which may be added to what the result holds."""
        view, group, shape, size = self.view, self.group, self.shape, self.dtype.itemsize
        g, p = view.geometry, self.problem
        lines = math.prod(g.kernel_size[:-1])
        rows, spans = _rows(view, images, _bands(view, group, shape, images, self.target))
        blocks = [FilterBlocks(0, 1, 1, 1, (1, 1))] if self.paired else vector_blocks(group.filters, 1, shape.filters)
        places = [PackedAt(each.filters, (), (), (), each.first * view.out_filter, 0) for each in blocks]
        number = f"{self.dtype.kind}{size}".replace("u", "i")
        taps = p.geometry.taps
        # Bytes of the sums from one filter, channel and tap to the next.
        if shape.summed:
            out_filter, out_channel, out_tap = p.group_taps * size, taps * size, size
        else:
            out_filter, out_channel, out_tap = (
                p.group_taps * size,
                size,
                (p.channels if self.paired else p.group_channels) * size,
            )
        at_lines = np.arange(lines) * (g.kernel_size[-1] * out_tap)
        runs, lanes = [], 1 if shape.summed else shape.lanes
        step = shape.lanes if shape.summed else 1
        for first, count in _pieces(g.kernel_size[-1], shape.taps):
            cut = _segments(g, shape, first, count)
            counts = np.array([n for n, _ in cut], np.int64)
            segments = tuple(segment for _, segment in cut)
            for kind in vector_blocks(group.channels, lanes, shape.vectors):
                vectors, last = kind.shape
                channels = kind.first + kind.width * np.arange(kind.blocks)
                tiles = np.stack(
                    [
                        channels * view.channel + first * g.dilation[-1] * view.pixel[-1],
                        channels * (view.out_filter if self.paired else 0),
                        channels * out_channel + first * out_tap,
                    ],
                    axis=1,
                )
                tables = tiles, rows, spans, at_lines, counts
                calls = []
                for each in blocks:
                    tile = RowTile(
                        dtype=number,
                        lanes=shape.lanes,
                        summed=shape.summed,
                        filters=each.width,
                        vectors=vectors,
                        last=last,
                        stride=g.stride[-1] if shape.summed else 1,
                        x_vector=lanes * view.channel,
                        x_tap=g.dilation[-1] * view.pixel[-1],
                        w_filter=view.out_filter * (lanes if self.paired else 1),
                        segments=segments,
                        paired=self.paired,
                    )
                    job = job_table(
                        JOB,
                        tiles=tiles,
                        rows=rows,
                        spans=spans,
                        lines=at_lines,
                        counts=counts,
                        bands=len(spans),
                        line_count=lines,
                        adds=int(adds),
                        x_group=group.channels * view.channel,
                        x_step=step * g.stride[-1] * view.pixel[-1],
                        w_group=group.filters * view.out_filter,
                        w_block=each.width * view.out_filter,
                        w_step=step * view.out_position[-1],
                        out_group=group.filters * out_filter,
                        out_block=each.width * out_filter,
                        out_filter=out_filter,
                        out_vector=lanes * out_channel,
                        out_tap=out_tap,
                    )
                    calls.append((row_tile(tile), job, 0))
                runs.append(TileRun(len(tiles), tuple(calls), tables))
        return Tables(blocks, runs, places, group.groups, out_filter, weights_outweigh=True)


def decide_rows(problem: Problem, target: Target) -> RowDecision | None:
    """Return the tile with the fewest cycles for a problem that the engine takes; None where none reads both arrays."""
    p, dtype = problem, kernel_dtype(problem)
    if dtype is None or p.x_dtype != dtype or p.w_dtype != dtype or (p.geometry.is_padded and not p.pads_zeros):
        return None
    group = GroupShape(p.groups, p.group_channels, p.group_filters)
    if p.groups > 1 and group.channels == group.filters == 1:
        group = GroupShape(1, p.channels, 1)
    order, size = memory_order(p), dtype.itemsize
    strides = dense_strides(order, (p.batch, p.channels, *p.geometry.spatial_shape), size)
    grad_strides = dense_strides(order, (p.batch, p.filters, *p.geometry.output_shape), size)
    view = view_of(p.geometry, size, strides, size, grad_strides)
    if view.geometry.output_shape[-1] > _MOST_TERMS:  # rows as they are may be fewer terms
        (image, channel, *pixel), (out_image, out_filter, *position) = strides, grad_strides
        view = View(p.geometry, size, image, channel, tuple(pixel), size, out_image, out_filter, tuple(position))
    g = view.geometry
    if g.output_shape[-1] > _MOST_ROWS:
        return None
    entries = math.prod(g.kernel_size[:-1]) * math.prod(g.output_shape[:-1])
    if entries > _MOST_ROWS:
        return None
    images = max(1, min(p.batch, _MOST_ROWS // entries))
    best = min(candidates(view, group, p.batch, group.groups != p.groups, target), default=None)
    if best is None:
        return None
    cycles, shape = best
    return RowDecision(p, target, dtype, group, view, strides, grad_strides, shape, images, cycles)


def candidates(
    view: View, group: GroupShape, batch: int, paired: bool, target: Target
) -> Iterator[tuple[float, RowShape]]:
    """Yield tiles that fit the registers, with the cycles of all groups."""
    g, size, columns = view.geometry, view.size, view.geometry.kernel_size[-1]
    registers = model.registers(target)
    for lanes, summed in itertools.product(model.lane_counts(target.vector_bytes // size), (True, False)):
        if summed and not (view.pixel[-1] == view.out_position[-1] == size and g.stride[-1] <= _MOST_STRIDE):
            continue
        if not summed and not (view.channel == size and (not paired or view.out_filter == size)):
            continue
        if lanes < target.vector_bytes // size <= (g.output_shape[-1] if summed else group.channels) // 2:
            continue  # half vectors are for what does not fill whole ones
        most = group.channels if summed else -(-group.channels // lanes)
        for filters, taps in itertools.product(_sizes(group.filters, _MOST_FILTERS), _sizes(columns, columns)[:3]):
            free = registers - (1 if paired else filters) - (filters > 1) - (summed and g.stride[-1] > 1)
            for vectors in _sizes(most, free // (filters * taps))[:3]:
                shape = RowShape(lanes, summed, filters, vectors, taps)
                cycles = _cycles(view, group, shape, batch, paired, target)
                if cycles is not None:
                    yield cycles, shape


def _sizes(n: int, most: int) -> list[int]:
    """Return into pieces of which sizes n is cut evenly, the largest first, none above `most`."""
    return sorted({split_evenly(n, size)[0][0] for size in range(1, min(n, most) + 1)}, reverse=True)


def _bands(view: View, group: GroupShape, shape: RowShape, images: int, target: Target) -> int:
    """Return into how many bands the rows of some images are cut: a near cache holds one while all pass over it.

    No sum goes on for too long before it is added to others, either.
    """
    g = view.geometry
    rows, positions = images * math.prod(g.output_shape[:-1]), g.output_shape[-1]
    most = _MOST_TERMS * (shape.lanes if shape.summed else 1) // positions
    if math.prod(g.kernel_size[:-1]) > 1 or shape.filters < group.filters:
        row, beside = _row_bytes(view, shape), _rows_beside(g)
        near = next((cache for cache in target.caches[:2] if 2 * beside + 1 <= cache * _NEAR // row), target.caches[1])
        most = min(most, int(near * _NEAR) // row - beside)
    return -(-rows // max(1, most))


def _row_bytes(view: View, shape: RowShape) -> int:
    """Return the bytes that a tile reads for a row of the map."""
    g = view.geometry
    pixels = math.prod(g.stride[-2:]) * shape.vectors * (1 if shape.summed else shape.lanes)
    return g.output_shape[-1] * (pixels + shape.filters) * view.size


def _rows_beside(g: Geometry) -> int:
    """Return how many rows of the map a window reaches beside its own."""
    return 0 if g.ndim == 1 else (g.span[-2] - 1) // g.stride[-2]


def _cycles(view: View, group: GroupShape, shape: RowShape, batch: int, paired: bool, target: Target) -> float | None:
    """Return the cycles of a tile, or None where its kernels would be too long."""
    g = view.geometry
    nbytes = shape.lanes * view.size
    per = target.vector_cycles(nbytes)
    # Positions lie anywhere, so that a vector of them may reach into the next line.
    load = per * (1 + nbytes / model.LINE) * g.stride[-1] + (per if g.stride[-1] > 1 else 0) if shape.summed else per
    seen = 1
    for axis in range(g.ndim - 1):
        seen *= sum(stop - first for first, stop in g.positions_inside(axis))
    visits, lines = batch * seen, math.prod(g.kernel_size[:-1])
    size, bands = view.size, _bands(view, group, shape, batch, target)
    lanes, total, length = 1 if shape.summed else shape.lanes, 0.0, 0
    filters = [(1, 1)] if paired else split_evenly(group.filters, shape.filters)
    channels = split_evenly(-(-group.channels // lanes), shape.vectors)
    for first, count in _pieces(g.kernel_size[-1], shape.taps):
        cut = _segments(g, shape, first, count)
        if len(cut) > _MOST_EDGES:
            return None
        for (f, blocks), (vectors, tiles) in itertools.product(filters, channels):
            row = float(_ROW_CYCLES)
            for steps, segment in cut:
                pixels = vectors * sum(map(bool, segment.seen))
                step = max(pixels * f * per, pixels * load + (vectors if paired else f) * per, model.LATENCY)
                row += steps * (step + model.TAP_CYCLES)
                length += pixels * (f + 3)
            sums = f * vectors * count
            end = model.TILE_CYCLES + sums * 2 * (1 if shape.summed else per)
            length += sums * 9
            total += blocks * tiles * (visits * row + bands * lines * end)
        # What the first pass reads from far caches, and the others where the nearest one does not hold it.
        pixels = batch * group.channels * math.prod(g.spatial_shape) * size
        total += pixels / model.STREAM
        if _row_bytes(view, shape) * (_rows_beside(g) + 1) > target.caches[0] * _NEAR:
            total += pixels * (lines * -(-group.filters // shape.filters) - 1) / (3 * model.STREAM)
        tiles = 1 if paired else sum(count for _, count in channels)
        total += batch * tiles * (group.channels if paired else group.filters) * g.positions * size / (3 * model.STREAM)
    return None if length > _MOST_LINES else group.groups * total


def _pieces(columns: int, most: int) -> list[tuple[int, int]]:
    """Cut the columns of the window into runs of at most `most`: the first of each, and how many."""
    sizes = [size for size, count in split_evenly(columns, most) for _ in range(count)]
    return list(zip(itertools.accumulate([0, *sizes[:-1]]), sizes, strict=True))


def _segments(g: Geometry, shape: RowShape, first: int, count: int) -> list[tuple[int, Segment]]:
    """Cut a row of the map into segments, for taps `first` to `first + count` of a row of the window.

    Returns
    -------
    list of (int, Segment)
        Each with its steps; one more than `_MOST_EDGES` where there would be too many.
    """
    n, out, s, before = g.spatial_shape[-1], g.output_shape[-1], g.stride[-1], g.padding[-1][0]
    shifts = [(first + i) * g.dilation[-1] - before for i in range(count)]
    step, elements = (shape.lanes, shape.lanes * s) if shape.summed else (1, 1)
    steps, whole = -(-out // step), (1 << elements) - 1
    # Steps low to high read whole vectors for each tap.
    low = max(0, -(shifts[0] // (step * s)))
    high = max(low, min(out // step, (n - elements - shifts[-1]) // (step * s) + 1))
    if low >= high:
        low = high = steps
    if low + steps - high > _MOST_EDGES:
        return [(1, Segment(True, (), 0))] * (_MOST_EDGES + 1)
    found: list[tuple[int, Segment]] = []
    inside = [(high - low, Segment(False, (whole,) * count, step))] if high > low else []
    for i in (*range(low), None, *range(high, steps)):
        if i is None:
            found += inside
            continue
        positions = min(step, out - i * step)
        masks = []
        for shift in shifts:
            start = i * step * s + shift
            if positions == step and start >= 0 and start + elements <= n:
                masks.append(whole)
            else:
                lanes = (lane for lane in range(positions) if 0 <= start + lane * s < n)
                masks.append(sum(1 << lane * s for lane in lanes))
        segment = Segment(False, tuple(masks), positions)
        if found and found[-1][1] == segment:
            found[-1] = found[-1][0] + 1, segment
        else:
            found.append((1, segment))
    return [(n, segment._replace(single=n == 1)) for n, segment in found]


def _rows(view: View, images: int, bands: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of the map that each row of the window meets, and which of them belong to each band.

    Returns
    -------
    rows : ndarray of int64, (entries, 2)
        Bytes to the first position's first tap, and to the gradient there; the rows of each row of the window in order.
    spans : ndarray of int64, (bands, rows of the window, 2)
        Rows first <= i < stop of the former.
    """
    g = view.geometry
    outer, shape = range(g.ndim - 1), (images, *g.output_shape[:-1])
    inside = [g.positions_inside(axis) for axis in outer]
    steps = (view.image, *g.position_strides(view.pixel)[:-1])
    grad = (view.out_image, *view.out_position[:-1])
    numbers = dense_strides(range(len(shape)), shape, 1)
    edges = math.prod(shape) * np.arange(bands + 1) // bands
    rows, spans, before = [], [], 0
    for line in np.ndindex(*g.kernel_size[:-1]):
        ranges = [(0, images), *(inside[axis][tap] for axis, tap in zip(outer, line, strict=True))]
        box = [stop - first for first, stop in ranges]

        def along(
            strides: tuple[int, ...], ranges: list[tuple[int, int]] = ranges, box: list[int] = box
        ) -> NDArray[np.int64]:
            return sum(first * step for (first, _), step in zip(ranges, strides, strict=True)) + offsets(box, strides)

        tap = sum(t * step for t, step in zip(line, g.tap_strides(view.pixel)[:-1], strict=True))
        rows.append(np.stack([along(steps) + tap + g.first_pixel(view.pixel), along(grad)], axis=1))
        spans.append(before + np.searchsorted(along(numbers), edges))
        before += len(rows[-1])
    ends = np.stack(spans, axis=1)
    return np.ascontiguousarray(np.concatenate(rows)), np.ascontiguousarray(np.stack([ends[:-1], ends[1:]], axis=2))
