"""The microkernel whose lanes are filters: each pixel is broadcast against vectors of weights.

A tile is MR positions × NV vectors of filters, kept in registers while the loop over the taps runs. The left operand is
never made: pixel (position m, tap t) is read at ``row offset + m · pixel step + tap offset``. That is im2col, as
addresses.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ....engine.compiler import Kernel
from ..borders import row_tables, tile_runs
from ..packing import FilterBlocks, split_evenly, vector_blocks
from ..view import share_inside
from ..work import TileRun, job_table
from . import cycles as model
from .epilogue import Epilogue, finish, narrow, scale_vectors
from .nest import ARGUMENTS, Nest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ....engine.builder import Builder
    from ....engine.numbers import Value
    from ....engine.target import Target
    from ..view import GroupShape, View
    from .tile_shape import Tiling


class FilterShape(NamedTuple):
    """The tile that a layer was given; see `TileShape`.

    Parameters
    ----------
    lanes, vectors, positions : int
        VL, NV and the most positions MR.
    transposed : bool
        As in `FilterTile`.
    """

    lanes: int
    vectors: int
    positions: int
    transposed: bool

    def __str__(self) -> str:
        return f"filters along the lanes, {self.positions} positions × {self.vectors} × {self.lanes} filters"

    @classmethod
    def candidates(cls, view: View, group: GroupShape, target: Target, dot: bool) -> Iterator[FilterShape]:  # noqa: ARG003 (a lane is as large as the view says)
        """Yield the tiles that fit the registers and the layer."""
        transposed = view.out_filter != view.out_size
        if transposed and not view.spread:
            return
        for lanes in model.lane_counts(target.vector_bytes // view.size):
            for vectors in range(1, min(model.MOST_VECTORS, -(-group.filters // lanes)) + 1):
                # The sums, a tap's weights, and one pixel, which the product itself broadcasts for a single vector.
                positions = min(model.MOST_POSITIONS, (model.registers(target) - vectors) // vectors)
                yield cls(lanes, vectors, positions, transposed)

    def cycles(self, view: View, group: GroupShape, target: Target) -> float:
        """Return the cycles of a layer: a tap's products, or what keeps them waiting, then the store."""
        g = view.geometry
        per = target.vector_cycles(self.lanes * view.size)
        taps = group.channels * g.taps * share_inside(g)
        total = 0.0
        for vectors, blocks in split_evenly(-(-group.filters // self.lanes), self.vectors):
            for size, tiles in split_evenly(g.output_shape[-1], self.positions):
                weights = vectors * self.lanes * view.size
                pace = max(size * vectors * per, model.LATENCY, (vectors + size) * model.LOAD_CYCLES)
                tap = max(pace, weights / model.STREAM) + model.TAP_CYCLES
                tap += model.waiting(view, group, weights, size, target)
                tap *= model.conflicts(view.pixel[-1] * g.stride[-1], size, target)
                if self.transposed:
                    rounds = math.ceil(size / self.lanes) * self.lanes
                    store = vectors * rounds * (math.log2(self.lanes) + 2 * view.spread) * per
                else:
                    store = size * vectors * 1.5
                total += blocks * tiles * (taps * tap + store + model.TILE_CYCLES)
        return total * group.groups * math.prod(g.output_shape[:-1]) * model.narrow(self.lanes, view, target)

    def walks(self, view: View) -> bool:
        """Whether what is stored as a vector lies side by side in the result."""
        return view.spread > 0 if self.transposed else view.out_filter == view.out_size

    def as_packed(self, group: GroupShape) -> GroupShape:
        """Return the layer as it is."""
        return group

    def blocks(self, filters: int) -> list[FilterBlocks]:
        """Return whole vectors of filters, and a tail."""
        return vector_blocks(filters, self.lanes, self.vectors)

    def tap_order(self, k: int) -> tuple[int, ...]:
        """Return the window's axes, then the channels."""
        return (*range(4, 4 + k), 3)

    def runs(self, tiling: Tiling) -> list[TileRun]:
        """Return what covers the map: tiles of a row that see the padding alike."""
        view, channels, blocks = tiling.view, tiling.channels, tiling.blocks
        g, step = view.geometry, view.pixel[-1] * view.geometry.stride[-1]
        taps = np.add.outer(g.tap_offsets(view.pixel), np.arange(channels) * view.channel).reshape(-1)
        filters = sum(each.blocks * each.width for each in blocks)
        found = []
        for run in tile_runs(g, self.positions):
            for rows, spans, tiles in row_tables(view, run, g.kernel_size, channels):
                pixel_bytes = channels * view.size * math.prod(g.stride) + filters * view.out_size
                row_bytes = run.positions * tiles * pixel_bytes
                calls = []
                for each in blocks:
                    vectors, last = each.shape
                    tile = FilterTile(
                        dtype=tiling.dtype,
                        lanes=self.lanes,
                        vectors=vectors,
                        last=last,
                        pixels=tuple(m * step for m in range(run.positions)),
                        segments=tuple(mask for mask, _ in run.segments),
                        transposed=self.transposed,
                        spread=view.spread if self.transposed else 1,
                        epilogue=tiling.epilogue,
                        dot=tiling.dot,
                    )
                    packed = each.packed * g.taps * channels * view.size
                    job = job_table(
                        JOB,
                        taps=taps,
                        rows=rows,
                        spans=spans,
                        x_image=view.image,
                        x_group=view.channel * channels,
                        x_block=0,
                        w_group=each.blocks * packed,
                        w_block=packed,
                        bias_group=each.blocks * each.packed * view.size,
                        out_image=view.out_image,
                        out_group=view.out_filter * filters,
                        out_block=view.out_filter * each.width,
                        block=max(1, tiling.caches[1] // 4 // max(1, row_bytes)),
                        tiles=tiles,
                        x_tile=step * run.positions,
                        out_tile=view.out_position[-1] * run.positions,
                        out_step=view.out_filter if self.transposed else view.out_position[-1],
                        scales=tiling.scales_at,
                    )
                    calls.append((filter_lanes(tile), job, 0))
                found.append(TileRun(len(rows), tuple(calls), (taps, rows, spans)))
        return found


class FilterTile(NamedTuple):
    """What a kernel is specialised for.

    Parameters
    ----------
    dtype : str
        Of pixels and weights, as `Builder.number` calls it.
    lanes : int
        VL: filters of one vector.
    vectors : int
        NV: vectors of the tile.
    last : int
        Filters of the last vector that are there: `lanes`, unless it is a tail.
    pixels : tuple of int
        Bytes from the tile's first pixel to that of each position: MR of them.
    segments : tuple of int
        Taps fall into segments, by which of the positions see the image there and which see padding; one mask each,
        bit m for position m. A tile away from the border has one segment, of all ones.
    transposed : bool
        A vector of the result holds neighbouring positions, and not neighbouring filters.
    spread : int
        Elements from one position of such a vector to the next.
    epilogue : Epilogue
        What happens to the sums on their way out.
    dot : str or None
        What a lane holds, if it is several neighbouring channels and not one: see `Numbers.dot`. The dtype is i4 then.
    weight_step : int
        Bytes from the weights of one tap to those of the next, where other filters stand between them; 0 where none do.
    paired : bool
        Whether each lane has a pixel of its own, side by side with its neighbours': the lanes are channels, too.
    adds : bool
        Whether they are added to what the result holds; only with a spread of 1, and without an activation.
    """

    dtype: str
    lanes: int
    vectors: int
    last: int
    pixels: tuple[int, ...]
    segments: tuple[int, ...]
    transposed: bool
    spread: int
    epilogue: Epilogue
    dot: str | None = None
    weight_step: int = 0
    paired: bool = False
    adds: bool = False


JOB = [
    "taps",
    "rows",
    "spans",
    "x_image",
    "x_group",
    "x_block",
    "w_group",
    "w_block",
    "bias_group",
    "out_image",
    "out_group",
    "out_block",
    "block",
    "tiles",
    "x_tile",
    "out_tile",
    "out_step",
    "scales",
]


def filter_lanes(tile: FilterTile) -> Kernel:
    """Return the kernel of a tile, with the loops around it."""
    return Kernel("filter_lanes", _build, (tile,), 6, speed_level=1)


def _build(name: str, target: Target, tile: FilterTile) -> str:
    from ....engine.builder import Builder  # a kernel that is kept is not written again

    b = Builder(name, ARGUMENTS)
    nest = Nest(b, JOB)
    job = nest.job
    taps, rows, spans = (b.address(job[word]) for word in JOB[:3])
    bias_bytes = tile.vectors * tile.lanes * b.bytes_of(tile.epilogue.accumulator)
    with (
        nest.over("image", "group", order="x out w bias") as layer,
        nest.rows(rows, layer, order="w bias out x", bias=bias_bytes) as (at, ranges),
        b.loop(job["tiles"]) as number,
    ):
        pixel = b.at(at["x"], b.mul(number, job["x_tile"]))
        to = b.at(at["out"], b.mul(number, job["out_tile"]))
        sums = _sums(b, target, tile, pixel, at["w"], at["bias"], taps, spans, ranges)
        _store(b, target, tile, sums, to, job["out_step"], b.at(at["bias"], job["scales"]))
    return b.finish()


def _sums(
    b: Builder,
    target: Target,
    tile: FilterTile,
    pixel: Value,
    weights: Value,
    bias: Value,
    taps: Value,
    spans: Value,
    ranges: Value,
) -> list[Value]:
    """Return the accumulators of a tile, position by position, after all taps."""
    kind = b.vector(b.number(tile.dtype), tile.lanes)
    nbytes = tile.lanes * b.bytes_of(tile.dtype)
    sum_kind = b.vector(b.number(tile.epilogue.accumulator), tile.lanes)
    initial = [b.zero(sum_kind)] * tile.vectors
    if tile.epilogue.bias:
        initial = [b.load(b.at(bias, b.constant(v * nbytes)), sum_kind) for v in range(tile.vectors)]
    sums: list[Value] = initial * len(tile.pixels)
    for number, mask in enumerate(tile.segments):
        index = b.add(ranges, b.constant(2 * number))
        first, last = b.entry(spans, index), b.entry(spans, b.add(index, b.constant(1)))
        with b.accumulate(first, last, sums) as around:
            span = b.mul(around.index, 2)
            start, stop = b.entry(spans, span), b.entry(spans, b.add(span, b.constant(1)))
            with b.accumulate(start, stop, around.values) as state:
                at = b.at(pixel, b.entry(taps, state.index))
                row = b.at(weights, b.mul(state.index, tile.weight_step or tile.vectors * nbytes))
                ws = [b.load(b.at(row, b.constant(v * nbytes)), kind) for v in range(tile.vectors)]
                for m, offset in enumerate(tile.pixels):
                    if not mask >> m & 1:
                        continue
                    xs = _pixels(b, tile, b.at(at, b.constant(offset)))
                    for v in range(tile.vectors):
                        i = m * tile.vectors + v
                        if tile.dot:
                            state.values[i] = b.dot(tile.dot, xs[v], ws[v], state.values[i])
                        else:
                            state.values[i] = b.multiply_add(xs[v], ws[v], state.values[i], target.has_fma)
            around.values[:] = state.values
        sums = around.values
    return sums


def _pixels(b: Builder, tile: FilterTile, at: Value) -> list[Value]:
    """Return what each vector of weights is multiplied with: one pixel in all lanes, or one for each of them."""
    number = b.number(tile.dtype)
    if not tile.paired:
        return [b.splat(b.load(at, number), tile.lanes)] * tile.vectors
    kind, nbytes = b.vector(number, tile.lanes), tile.lanes * b.bytes_of(tile.dtype)
    counts = [tile.lanes] * (tile.vectors - 1) + [tile.last]
    return [b.load_first(b.at(at, b.constant(v * nbytes)), kind, n) for v, n in enumerate(counts)]


def _store(
    b: Builder, target: Target, tile: FilterTile, sums: list[Value], out: Value, step: Value, scales: Value
) -> None:
    """Finish the sums and write them, once."""
    size = b.bytes_of(tile.epilogue.result)
    factors = scale_vectors(b, tile.epilogue, scales, tile.lanes, tile.vectors)
    done = [finish(b, target, tile.epilogue, value, factors[i % tile.vectors]) for i, value in enumerate(sums)]
    for v in range(tile.vectors):
        filters = tile.last if v == tile.vectors - 1 else tile.lanes
        column = done[v :: tile.vectors]
        if not tile.transposed:
            for m, value in enumerate(column):
                at = b.at(b.at(out, b.mul(step, m)), b.constant(v * tile.lanes * size))
                b.store_first(narrow(b, tile.epilogue, _added(b, tile, value, at, filters)), at, filters)
            continue
        for first in range(0, len(tile.pixels), tile.lanes):
            part = column[first : first + tile.lanes]
            filled = part + [b.undefined(part[0].type)] * (tile.lanes - len(part))
            for f, value in enumerate(b.transpose(filled)[:filters]):
                at = b.at(b.at(out, b.mul(step, v * tile.lanes + f)), b.constant(first * tile.spread * size))
                stored = narrow(b, tile.epilogue, _added(b, tile, value, at, len(part)))
                b.store_apart(stored, at, tile.spread, len(part))


def _added(b: Builder, tile: FilterTile, value: Value, at: Value, count: int) -> Value:
    """Return the first lanes of a vector, added to what the result holds if the tile adds."""
    if not tile.adds:
        return value
    return b.sum(tile.epilogue.result, value, b.load_first(at, value.type, count))
