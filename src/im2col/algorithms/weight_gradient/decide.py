"""What is decided about a gradient: which tile it gets, and its tables.

The lanes of a tile are filters; its positions are taps of some channels, as they lie side by side in the result; it
sums over positions of the map. To the microkernel that is one more convolution: what it reads as weights is the
gradient of the result, packed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...engine.boxes import box_steps
from ...spec.layout import BATCH, CHANNEL
from ...spec.strides import dense_strides, offsets
from ..implicit.numbers import kernel_dtype
from ..implicit.packing import FilterBlocks, PackedAt, split_evenly, vector_blocks
from ..implicit.tables import Tables, TileRun, job_table
from ..implicit.tiles import cycles as model
from ..implicit.tiles.epilogue import Epilogue
from ..implicit.tiles.filter_lanes import JOB, FilterTile, filter_lanes
from ..implicit.view import GroupShape, memory_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...engine.target import Target
    from ...spec.problem import Problem

_MOST_PIECES = 8
"""Pieces of a window of many taps, each with a kernel of its own for each kind of blocks of filters; a larger window is
cut along its rows."""
_PANEL_BYTES = 2 << 20
"""Of the packed part of the gradient: it is read once for each block of channels, from the nearer caches."""
_CHANNELS_IN_A_LINE = 4
"""Channels up to which a pixel with all of its channels is read as it lies."""
COPY_BYTES = 1 << 20
"""Of copies of small images that are made at a time."""
_MOST_TERMS = 1 << 16
"""Positions that are summed at most at a time, each an entry of a table that is kept for later calls."""
_FEWEST_TERMS = 512
"""Positions that are summed at least before a tile is written and read again."""
_PIECE_BYTES = 4 << 10
"""Of a piece's jobs and of the objects around its tables."""
COPIED_CYCLES, _TURNED_CYCLES = 0.25, 0.4
"""Of copying a byte, of the image or as a packed gradient, in the order in which it lies or in another."""
COPY_CYCLES = 30_000
"""Of a copy's own: what is called around it."""


class Piece(NamedTuple):
    """Taps of neighbouring channels that a tile computes, and where such tiles stand.

    Parameters
    ----------
    taps : tuple of int
        Flat numbers, in (channel, *kernel), of the tile's elements; neighbours in the result.
    starts : tuple of int
        Flat number of each tile's first element, less that of `taps`.
    """

    taps: tuple[int, ...]
    starts: tuple[int, ...]


class GradientShape(NamedTuple):
    """A tile: VL, NV, and the most taps MR."""

    lanes: int
    vectors: int
    taps: int

    def __str__(self) -> str:
        return f"filters along the lanes, {self.taps} taps × {self.vectors} × {self.lanes} filters"


class GradientDecision(NamedTuple):
    """Everything that is decided about a gradient before any table is made.

    Parameters
    ----------
    problem : Problem
    target : Target
        The CPU that kernels are for.
    dtype : dtype
        Of the kernels.
    group : GroupShape
        As the tiles see it: of a depthwise convolution, all channels as the filters of one group.
    shape : GradientShape
    pieces : tuple of Piece
    blocks : list of FilterBlocks
        Of one group's filters.
    packed : bool
        Whether the gradient of the result is packed, block by block; else it is read where it lies, filters innermost.
    copied : str
        Why each image is copied first; empty where it is read where it lies.
    strides : tuple of int
        Bytes between neighbours along (N, C, *spatial) of the padded images, or of their copy.
    box : tuple of int
        Images, and positions along each axis, that are summed at a time; fewer at the end.
    """

    problem: Problem
    target: Target
    dtype: np.dtype[Any]
    group: GroupShape
    shape: GradientShape
    pieces: tuple[Piece, ...]
    blocks: list[FilterBlocks]
    packed: bool
    copied: str
    strides: tuple[int, ...]
    box: tuple[int, ...]

    @property
    def reason(self) -> str:
        """Why it was chosen, for people."""
        copied = f", from a copy of each image ({self.copied})" if self.copied else ""
        return f"the view: {self.shape}, {math.prod(self.box)} positions at a time{copied}"

    @property
    def cycles(self) -> float:
        """What it costs, copies included, by the model."""
        p, size = self.problem, self.dtype.itemsize
        cycles = self.group.groups * _cycles(p, self.group, self.shape, size, self.target)
        if self.copied:
            per = _TURNED_CYCLES if self.copied.endswith(("first", "last")) else COPIED_CYCLES
            cycles += COPY_CYCLES + per * p.batch * _image_bytes(p, self.dtype)
        if self.packed:
            cycles += COPY_CYCLES + COPIED_CYCLES * p.batch * p.geometry.positions * self.packed_filters * size
        return cycles + model.NEAR_LINE * self._lines_again

    @property
    def _lines_again(self) -> float:
        """How many lines tiles read that hold more than their own, position by position, and again for other tiles."""
        p, size, width = self.problem, self.dtype.itemsize, self.shape.vectors * self.shape.lanes
        positions, lines = p.batch * p.geometry.positions, 0.0
        apart = self.strides[1] == size and p.channels > _CHANNELS_IN_A_LINE and not self.paired
        if apart and positions > model.kept_lines(self.strides[-1] * p.geometry.stride[-1], self.target):
            lines += 1
        if not self.packed and p.filters > width and positions > model.kept_lines(p.filters * size, self.target):
            lines += width * size / model.LINE
        tiles = sum(len(piece.starts) for piece in self.pieces) * sum(each.blocks for each in self.blocks)
        return self.group.groups * tiles * positions * lines

    @property
    def packed_filters(self) -> int:
        """Filters of all groups as they are packed."""
        return self.group.groups * sum(each.blocks * each.packed for each in self.blocks)

    @property
    def paired(self) -> bool:
        """Whether lanes are channels and their filters at once."""
        return self.group.groups != self.problem.groups

    @property
    def image_bytes(self) -> int:
        """Bytes of the copy of the images that are in work at a time."""
        return self.box[0] * _image_bytes(self.problem, self.dtype) if self.copied else 0

    @property
    def workspace_bytes(self) -> int:
        """Bytes of the packed gradient, of the copy of an image, and of sums that are no result yet."""
        p = self.problem
        panel = math.prod(self.box) * self.packed_filters * self.dtype.itemsize if self.packed else 0
        sums = p.filters * p.group_taps * self.dtype.itemsize if p.flip or p.dtype != self.dtype else 0
        return panel + self.image_bytes + sums

    @property
    def table_bytes(self) -> int:
        """Bytes of the tables, with what is needed to make them, for sums that begin and for those that go on."""
        terms, starts = math.prod(self.box), sum(len(piece.starts) for piece in self.pieces)
        pixels = self.group.channels * self.problem.geometry.taps
        return 3 * 8 * terms + 4 * 8 * pixels + 2 * (3 * 3 * 8 * starts + _PIECE_BYTES * len(self.pieces))


def decide_gradient(problem: Problem, target: Target) -> GradientDecision:
    """Return the decision with the fewest cycles for a problem that the engine takes."""
    return min(_decisions(problem, target), key=lambda each: each.cycles)


def _decisions(problem: Problem, target: Target) -> Iterator[GradientDecision]:
    """Yield decisions with the best tile: arrays with channels last are read where they lie, or turned and packed."""
    p, g, dtype = problem, problem.geometry, kernel_dtype(problem)
    if dtype is None:
        raise RuntimeError("the engine was given a problem that it does not take")
    group = GroupShape(p.groups, p.group_channels, p.group_filters)
    if p.groups > 1 and group.channels == group.filters == 1:
        group = GroupShape(1, 1, p.groups)
    paired = group.groups != p.groups
    shape = _best_shape(p, group, dtype, target)
    blocks = vector_blocks(group.filters, shape.lanes, shape.vectors)
    pieces, order = _pieces(p, group, shape), memory_order(p)
    # Vectors of filters that are there, side by side in memory, need no packing.
    whole = group.filters % shape.lanes == 0 and p.w_dtype == dtype
    in_place = whole and p.layout.axes == BATCH * p.layout.has_batch + p.layout.spatial + CHANNEL
    # Lanes that are channels read them side by side. Else neighbouring positions of one channel should share cache
    # lines, which channels innermost take away, and where taps do, too, always.
    apart = order[-1] == 1 and p.channels > _CHANNELS_IN_A_LINE
    for packed in (True, False)[: 1 + in_place]:
        turned = not p.layout.axes.endswith(CHANNEL) if paired else apart and (g.taps > 1 or packed)
        why = "channels last" if paired else "channels first"
        copied = " and ".join(["converted"] * (p.x_dtype != dtype) + ["padded"] * g.is_padded + [why] * turned)
        if copied:
            spatial = tuple(axis for axis in order if axis > 1)
            axes = ((0, *spatial, 1) if paired else (0, 1, *spatial)) if turned else order
            strides = dense_strides(axes, (p.batch, p.channels, *g.padded_shape), dtype.itemsize)
        else:
            strides = p.layout.strides(p.batch, p.channels, g.spatial_shape, dtype.itemsize)
        most = _MOST_TERMS
        if packed:
            position = group.groups * sum(each.blocks * each.packed for each in blocks) * dtype.itemsize
            most = min(max(_FEWEST_TERMS, _PANEL_BYTES // position), max(1, p.workspace_limit // position))
        images, *box = box_steps((p.batch, *g.output_shape), most)
        if copied:
            images = max(1, min(images, COPY_BYTES // _image_bytes(p, dtype)))
        yield GradientDecision(p, target, dtype, group, shape, pieces, blocks, packed, copied, strides, (images, *box))


def _image_bytes(p: Problem, dtype: np.dtype[Any]) -> int:
    return p.channels * math.prod(p.geometry.padded_shape) * dtype.itemsize


def _best_shape(p: Problem, group: GroupShape, dtype: np.dtype[Any], target: Target) -> GradientShape:
    """Return the tile with the fewest cycles."""
    found = []
    for lanes in model.lane_counts(target.vector_bytes // dtype.itemsize):
        needed = -(-group.filters // lanes)
        for vectors in range(1, min(model.MOST_VECTORS, needed) + 1):
            most = min(model.MOST_POSITIONS, (model.registers(target) - vectors) // vectors)
            sizes = {len(piece.taps) for piece in _pieces(p, group, GradientShape(lanes, vectors, most))}
            shape = GradientShape(lanes, vectors, most)
            found.append((_cycles(p, group, shape, dtype.itemsize, target), shape._replace(taps=max(sizes))))
    return min(found)[1]


def _cycles(p: Problem, group: GroupShape, shape: GradientShape, size: int, target: Target) -> float:
    """Return the cycles of a group's gradient, by the model of the forward tile whose lanes are filters."""
    nbytes = shape.lanes * size
    per, load, broadcast = (f(nbytes) for f in (target.vector_cycles, target.load_cycles, target.broadcast_cycles))
    total = 0.0
    for vectors, blocks in split_evenly(-(-group.filters // shape.lanes), shape.vectors):
        for piece in _pieces(p, group, shape):
            taps = len(piece.taps)
            pixels = taps * (vectors * load if group.groups != p.groups else broadcast)
            loads = (vectors * load + pixels) * model.LOADS_TOGETHER
            term = max(model.products(taps * vectors, nbytes, target), loads) + model.TAP_CYCLES
            rounds = math.ceil(taps / shape.lanes) * shape.lanes
            store = vectors * rounds * (math.log2(shape.lanes) + 2) * per
            total += blocks * len(piece.starts) * (p.geometry.positions * term + store + model.TILE_CYCLES)
    return total


def _pieces(p: Problem, group: GroupShape, shape: GradientShape) -> tuple[Piece, ...]:
    """Cut (channels of a group, taps) into runs for tiles of a shape: no tile of a kind differs but in its start.

    Whole windows of several channels where they fit; else parts of one window; else parts of its rows.
    """
    channels, taps, columns, most = group.channels, p.geometry.taps, p.geometry.kernel_size[-1], shape.taps
    kinds = len(vector_blocks(group.filters, shape.lanes, shape.vectors))
    pieces, first = [], 0
    if taps <= most:
        for size, count in split_evenly(channels, most // taps):
            starts = tuple((first + i * size) * taps for i in range(count))
            pieces.append(Piece(tuple(range(size * taps)), starts))
            first += size * count
        return tuple(pieces)
    if taps <= most * (_MOST_PIECES // kinds):
        run, starts = taps, tuple(c * taps for c in range(channels))
    else:
        run, starts = columns, tuple(range(0, channels * taps, columns))
    for size, count in split_evenly(run, most):
        for _ in range(count):
            # Taps that begin in the middle of a window keep their own numbers: they tell where the pixels are.
            pieces.append(Piece(tuple(range(first, first + size)), starts))
            first += size
    return tuple(pieces)


def tables_of(decision: GradientDecision, box: tuple[int, ...], *, adds: bool) -> Tables:
    """Return the tables for sums over a box of positions.

    Parameters
    ----------
    decision : GradientDecision
    box : tuple of int
        Images, and positions along each axis.
    adds : bool
        Whether the sums are added to what the result holds.
    """
    d, p, group, size = decision, decision.problem, decision.group, decision.dtype.itemsize
    g = p.geometry
    image, channel, *pixel = d.strides
    terms = offsets(box, (image, *g.position_strides(pixel)))
    pixels = np.add.outer(np.arange(group.channels) * channel, g.tap_offsets(pixel)).reshape(-1)
    spans = np.array([1, 2, 0, len(terms)], np.int64)
    filters = sum(each.width * each.blocks for each in d.blocks)
    packed = math.prod(box) * size
    sums = f"{d.dtype.kind}{size}"
    out_filter = p.group_taps * size
    places, before = [], 0
    for each in d.blocks:
        places.append(PackedAt(each.filters, (), (), (), before * packed if d.packed else each.first * size, 0))
        before += group.groups * each.blocks * each.packed
    runs = []
    for piece in d.pieces:
        first = piece.taps[0]
        # A tile starts at its first pixel; windows that begin in the middle have it elsewhere.
        at = pixels[np.array(piece.starts) + first]
        rows = np.stack([at, (np.array(piece.starts) + first) * size, np.zeros_like(at)], axis=1)
        rows = np.ascontiguousarray(rows)
        calls = []
        for each in d.blocks:
            vectors, last = each.shape
            tile = FilterTile(
                dtype=sums.replace("u", "i"),
                lanes=d.shape.lanes,
                vectors=vectors,
                last=last,
                pixels=tuple(int(pixels[t] - pixels[first]) for t in piece.taps),
                segments=((1 << len(piece.taps)) - 1,),
                transposed=True,
                spread=1,
                epilogue=Epilogue(sums, sums),
                weight_step=0 if d.packed else p.filters * size,
                paired=d.paired,
                adds=adds,
            )
            job = job_table(
                JOB,
                taps=terms,
                rows=rows,
                spans=spans,
                x_image=0,
                x_group=channel * group.channels,
                x_block=each.width * size if d.paired else 0,
                w_group=each.blocks * each.packed * packed if d.packed else group.filters * size,
                w_block=each.packed * (packed if d.packed else size),
                bias_group=0,
                out_image=0,
                out_group=out_filter * filters,
                out_block=out_filter * each.width,
                block=len(rows),
                tiles=1,
                x_tile=0,
                out_tile=0,
                out_step=out_filter,
                scales=0,
            )
            calls.append((filter_lanes(tile), job, each.first * size if d.paired else 0))
        runs.append(TileRun(len(rows), tuple(calls), (terms, rows, spans)))
    return Tables(d.blocks, runs, places, group.groups, out_filter, weights_outweigh=True)
