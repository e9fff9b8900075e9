"""What is decided about a gradient that walks rows of the map, both arrays as they lie: its tile and its tables."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...spec.strides import dense_strides, offsets
from ..implicit.numbers import kernel_dtype
from ..implicit.packing import FilterBlocks, PackedAt, vector_blocks
from ..implicit.tables import Tables, TileRun, job_table
from ..implicit.tiles.gradient_rows import JOB, RowTile, gradient_rows
from ..implicit.view import GroupShape, View, memory_order, view_of
from .decide import COPIED_CYCLES, COPY_BYTES, COPY_CYCLES
from .row_shapes import MOST_TERMS, RowShape, bands, candidates, pieces, segments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...engine.target import Target
    from ...spec.geometry import Pairs
    from ...spec.problem import Problem

_MOST_ROWS = 1 << 16
"""Entries of the table of rows, a row of the map for each row of the window; and positions of a row."""
_MOST_LINES = 256
"""Rows of the window."""
_TABLES_BYTES = 16 << 10
"""Of jobs, and of the objects around tables."""


class RowDecision(NamedTuple):
    """Everything that is decided about such a gradient before any table is made.

    Parameters
    ----------
    problem : Problem
    target : Target
        The CPU that kernels are for.
    dtype : dtype
        Of the kernels.
    group : GroupShape
        As the tiles see it: of a depthwise convolution, all channels as those of one group.
    view : View
        Of the image, and of the gradient as its result.
    padded : bool
        Whether the padding is part of a copy; else it is of zeros, and skipped.
    strides, grad_strides : tuple of int
        Bytes between neighbours along (N, C, *spatial) of the images or their copy, and (N, filters, *output).
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
    padded: bool
    strides: tuple[int, ...]
    grad_strides: tuple[int, ...]
    shape: RowShape
    images: int
    cycles: float

    @property
    def reason(self) -> str:
        """Why it was chosen, for people."""
        why = " and ".join(["converted"] * (self.problem.x_dtype != self.dtype) + ["padded"] * self.padded)
        copied = f", from a copy of each image ({why})" if why else ""
        return f"the view: {self.shape}, row by row, {self.cycles:.3g} cycles by the model{copied}"

    @property
    def copied(self) -> bool:
        """Whether images are copied first."""
        return self.padded or self.problem.x_dtype != self.dtype

    @property
    def pads(self) -> Pairs:
        """The padding that is part of the copy."""
        g = self.problem.geometry
        return g.padding if self.padded else ((0, 0),) * g.ndim

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
        """Bytes of sums that are no result yet, of the copy of images, and of a gradient that is converted."""
        p, size = self.problem, self.dtype.itemsize
        plain = self.in_order and not p.flip and p.dtype == self.dtype
        sums = 0 if plain else p.filters * p.group_taps * size
        copies = self.images * _image_bytes(p, self.padded, size) if self.copied else 0
        converted = math.prod(p.output_shape) * size if p.w_dtype != self.dtype else 0
        return sums + copies + converted

    @property
    def table_bytes(self) -> int:
        """Bytes of the tables, with what is needed to make them."""
        g = self.view.geometry
        lines, rows = math.prod(g.kernel_size[:-1]), self.images * math.prod(g.output_shape[:-1])
        cuts = bands(self.view, self.group, self.shape, self.images, self.target) + 1
        return 6 * 8 * rows * lines + 2 * 8 * lines * cuts + 6 * 8 * self.group.channels + _TABLES_BYTES

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
        rows, spans = _rows(view, images, bands(view, group, shape, images, self.target))
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
        for first, count in pieces(g.kernel_size[-1], shape.taps):
            cut = segments(g, shape, first, count)
            counts = np.array([n for n, _ in cut], np.int64)
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
                        segments=tuple(segment for _, segment in cut),
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
                    calls.append((gradient_rows(tile), job, 0))
                runs.append(TileRun(len(tiles), tuple(calls), tables))
        return Tables(blocks, runs, places, group.groups, out_filter, weights_outweigh=True)


def decide_rows(problem: Problem, target: Target) -> RowDecision | None:
    """Return the tile with the fewest cycles for a problem that the engine takes; None where there is none."""
    p, dtype = problem, kernel_dtype(problem)
    if dtype is None:
        return None
    padded = p.geometry.is_padded and not p.pads_zeros
    geometry = p.geometry.unpadded() if padded else p.geometry
    group = GroupShape(p.groups, p.group_channels, p.group_filters)
    if p.groups > 1 and group.channels == group.filters == 1:
        group = GroupShape(1, p.channels, 1)
    size, copied = dtype.itemsize, padded or p.x_dtype != dtype
    strides = p.layout.strides(p.batch, p.channels, geometry.spatial_shape, size)
    if copied:
        strides = dense_strides(memory_order(p), (p.batch, p.channels, *geometry.spatial_shape), size)
    grad_strides = p.layout.strides(p.batch, p.filters, geometry.output_shape, size)
    view = view_of(geometry, size, strides, size, grad_strides)
    if view.geometry.output_shape[-1] > MOST_TERMS:  # rows as they are may be fewer terms
        (image, channel, *pixel), (out_image, out_filter, *position) = strides, grad_strides
        modes = ("constant",) * geometry.ndim
        view = View(geometry, size, image, channel, tuple(pixel), size, out_image, out_filter, tuple(position), modes)
    g = view.geometry
    lines = math.prod(g.kernel_size[:-1])
    entries = lines * math.prod(g.output_shape[:-1])
    if lines > _MOST_LINES or max(entries, g.output_shape[-1]) > _MOST_ROWS:
        return None
    images = max(1, min(p.batch, _MOST_ROWS // entries))
    best = min(candidates(view, group, p.batch, group.groups != p.groups, target), default=None)
    if best is None:
        return None
    cycles, shape = best
    if copied:
        nbytes = _image_bytes(p, padded, size)
        images = max(1, min(images, COPY_BYTES // nbytes))
        cycles += COPY_CYCLES + COPIED_CYCLES * p.batch * nbytes
    if p.w_dtype != dtype:
        cycles += COPY_CYCLES + COPIED_CYCLES * math.prod(p.output_shape) * size
    return RowDecision(p, target, dtype, group, view, padded, strides, grad_strides, shape, images, cycles)


def _image_bytes(p: Problem, padded: bool, size: int) -> int:
    """Return the bytes of the copy of an image."""
    return p.channels * math.prod(p.geometry.padded_shape if padded else p.geometry.spatial_shape) * size


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
