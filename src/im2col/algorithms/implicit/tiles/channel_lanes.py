"""The microkernel whose lanes are channels: each filter reads one channel, and channels lie side by side in memory.

A tile is MR neighbouring positions × NV vectors of channels, kept in registers while the loop over the window's rows
runs. A vector of pixels is loaded once and serves every position whose window covers it.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from ....engine.compiler import Kernel
from ....importing import importing
from ....spec.strides import offsets
from ..borders import Segment, row_tables
from ..packing import FilterBlocks, split_evenly, vector_blocks
from ..ragged import cut_rows, maps_windows, ragged_positions, ragged_runs
from ..table_sizes import ragged_bytes, row_tables_bytes
from ..tables import TileRun, job_table
from ..view import GroupShape, share_seen
from . import cycles as model
from .epilogue import Epilogue, finish, narrow, scale_vectors
from .filters import FilterShape
from .mapped import shown_pixels
from .nest import ARGUMENTS, Nest
from .tile_shape import order_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ....engine.builder import Builder
    from ....engine.numbers import Value
    from ....engine.target import Target
    from ....spec.geometry import Geometry
    from ..borders import Run
    from ..view import View
    from .tile_shape import Order, Tiling

_WEIGHTS_KEPT = 8
"""Columns of a window up to which a row of its weights stays in registers."""


class ChannelShape(NamedTuple):
    """The tile that a layer was given, see `TileShape`: VL, NV and the most positions MR."""

    lanes: int
    vectors: int
    positions: int

    def __str__(self) -> str:
        return f"channels along the lanes, {self.positions} positions × {self.vectors} × {self.lanes} channels"

    @classmethod
    def candidates(cls, view: View, group: GroupShape, target: Target, dot: str | None) -> Iterator[ChannelShape]:
        """Yield the tiles that fit the registers and the layer: a depthwise one whose channels lie side by side."""
        depthwise = group.channels == group.filters == 1 < group.groups
        if dot or not depthwise or view.channel != view.size or view.out_filter != view.out_size:
            return
        columns = view.geometry.kernel_size[-1]
        for lanes in model.lane_counts(target.vector_bytes // view.size):
            for vectors in range(1, min(model.MOST_VECTORS, -(-group.groups // lanes)) + 1):
                # The sums, a row of weights where they fit, and one pixel.
                weights = columns * vectors if columns <= _WEIGHTS_KEPT else 1
                positions = (model.registers(target) - vectors - weights) // vectors
                positions = min(positions, model.MOST_POSITIONS, model.MOST_PRODUCTS // columns)
                blocks = [width for width, _ in split_evenly(-(-group.groups // lanes), vectors)]
                instructions = partial(_instructions, view.geometry, vectors=blocks)
                if positions >= 1 and (not view.maps or maps_windows(view, positions, instructions)):
                    yield cls(lanes, vectors, positions)

    def cycles(self, view: View, group: GroupShape, target: Target) -> float:
        """Return the cycles of a layer: a line's products, or its loads, then the store."""
        g = view.geometry
        per = target.vector_cycles(self.lanes * view.size)
        lines = g.taps / g.kernel_size[-1] * share_seen(view)
        total = 0.0
        for vectors, blocks in split_evenly(-(-group.groups // self.lanes), self.vectors):
            for size, tiles in split_evenly(g.output_shape[-1], self.positions):
                pixels = min(size * g.kernel_size[-1], (size - 1) * g.stride[-1] + g.span[-1])
                line = max(size * g.kernel_size[-1] * vectors * per, 2 * pixels * vectors * per) + model.TAP_CYCLES
                total += blocks * tiles * (lines * line + size * vectors * 2 * per + model.TILE_CYCLES)
        return total * math.prod(g.output_shape[:-1]) * model.narrow(self.lanes, view, target)

    def order(self, view: View, group: GroupShape, target: Target) -> Order:  # noqa: ARG002 (the contract's arguments)
        """Return the window's axes."""
        return order_of(view, group.channels, range(1, 1 + view.geometry.ndim))

    def walks(self, view: View) -> bool:
        """Whether channels lie side by side in the image and in the result."""
        return view.channel == view.size and view.out_filter == view.out_size

    def as_packed(self, group: GroupShape) -> GroupShape:
        """Return all channels as the filters of one group."""
        return GroupShape(1, 1, group.groups)

    def blocks(self, filters: int) -> list[FilterBlocks]:
        """Return whole vectors of channels, and a tail."""
        return vector_blocks(filters, self.lanes, self.vectors)

    def tap_order(self, k: int) -> tuple[int, ...]:
        """Return the window's axes, then the one channel."""
        return (*range(4, 4 + k), 3)

    def runs(self, tiling: Tiling) -> list[TileRun]:
        """Return what covers the map: tiles of a row that see the padding alike."""
        view, g = tiling.view, tiling.view.geometry
        lines = offsets(g.kernel_size[:-1], g.tap_strides(view.pixel)[:-1])
        plain, borders, size = self._cut(tiling)
        found = [
            self._run(tiling, lines, run, *tables)
            for run in plain
            for tables in row_tables(view, run._replace(segments=(Segment(1, (0,)),)), (*g.kernel_size[:-1], 1), 1)
        ]
        if borders:
            # As a layer whose lanes are filters, each of which has a pixel of its own.
            alike, taps = FilterShape(self.lanes, self.vectors, size, False), g.tap_offsets(view.pixel)
            found += [alike.ragged_run(tiling, taps, run, paired=True) for run in ragged_runs(view, borders, size, 1)]
        return found

    def table_bytes(self, tiling: Tiling) -> int:
        """Return the bytes of the tables, and of what is needed to make them."""
        g = tiling.view.geometry
        plain, borders, size = self._cut(tiling)
        return 3 * 8 * g.taps + row_tables_bytes(tiling.view, plain) + ragged_bytes(g, borders, size)

    def _cut(self, tiling: Tiling) -> tuple[list[Run], tuple[tuple[int, int], ...], int]:
        """Return what `cut_rows` does, and the positions of a tile at a ragged border."""
        g, vectors = tiling.view.geometry, [each.shape[0] for each in tiling.blocks]
        return *cut_rows(tiling.view, self.positions, partial(_instructions, g, vectors=vectors)), ragged_positions(
            max(vectors)
        )

    def _run(
        self,
        tiling: Tiling,
        lines: NDArray[np.int64],
        run: Run,
        rows: NDArray[np.int64],
        spans: NDArray[np.int64],
        tiles: int,
    ) -> TileRun:
        view, g = tiling.view, tiling.view.geometry
        first, stop = _pixels_inside(g, run)
        shown: tuple[int, ...] = ()
        if view.modes[-1] != "constant":
            start, pixels = (
                run.column * g.stride[-1] - g.padding[-1][0],
                (run.positions - 1) * g.stride[-1] + g.span[-1],
            )
            shown = shown_pixels(view, start, pixels) if (first, stop) != (0, pixels) else ()
            first, stop = 0, pixels
        row_bytes = view.size * self.lanes * self.vectors * run.positions * tiles * math.prod(g.stride)
        calls = []
        for each in tiling.blocks:
            vectors, last = each.shape
            tile = ChannelTile(
                dtype=tiling.dtype,
                lanes=self.lanes,
                vectors=vectors,
                last=last,
                positions=run.positions,
                columns=g.kernel_size[-1],
                stride=g.stride[-1],
                dilation=g.dilation[-1],
                pixel_step=view.pixel[-1],
                first=first,
                stop=stop,
                epilogue=tiling.epilogue,
                shown=shown,
                moves=view.maps,
            )
            job = job_table(
                JOB,
                lines=lines,
                rows=rows,
                spans=spans,
                x_image=view.image,
                w_block=each.packed * g.taps * view.size,
                out_image=view.out_image,
                out_block=view.out_filter * each.width,
                block=max(1, tiling.caches[1] // 4 // row_bytes),
                tiles=tiles,
                x_tile=view.pixel[-1] * g.stride[-1] * run.positions,
                out_tile=view.out_position[-1] * run.positions,
                out_step=view.out_position[-1],
                scales=tiling.scales_at,
            )
            calls.append((channel_lanes(tile), job, each.first * view.channel))
        return TileRun(len(rows), tuple(calls), (lines, rows, spans))


def _pixels_inside(g: Geometry, run: Run) -> tuple[int, int]:
    """Return which pixels of a row of tiles that are alike lie in the image, counted from the first tap of each."""
    start = run.column * g.stride[-1] - g.padding[-1][0]
    pixels = (run.positions - 1) * g.stride[-1] + g.span[-1]
    return max(0, -start), min(pixels, g.spatial_shape[-1] - start)


def _instructions(g: Geometry, runs: Iterable[Run], vectors: Sequence[int]) -> int:
    """Return about how many instructions the kernels of tiles have."""
    patterns = {(run.positions, *_pixels_inside(g, run)) for run in runs}
    each = (150 + positions * v * (12 + 5 * g.kernel_size[-1] // 2) for positions, *_ in patterns for v in vectors)
    return sum(each)


class ChannelTile(NamedTuple):
    """What a kernel is specialised for.

    Parameters
    ----------
    dtype : str
        Of pixels and weights, as `Builder.number` calls it.
    lanes, vectors, last : int
        VL, NV, and channels of the last vector that are there.
    positions : int
        MR: neighbouring positions.
    columns, stride, dilation : int
        Of the window, along its last axis.
    pixel_step : int
        Bytes between neighbouring pixels.
    first, stop : int
        Pixels of the tile, counted from its first tap, that lie in the image: first <= j < stop. The others are
        padding, and are skipped.
    epilogue : Epilogue
        What happens to the sums on their way out.
    shown : tuple of int
        As in `WindowPart`.
    moves : bool
        Whether spans say by how many bytes the pixels of their lines lie elsewhere.
    """

    dtype: str
    lanes: int
    vectors: int
    last: int
    positions: int
    columns: int
    stride: int
    dilation: int
    pixel_step: int
    first: int
    stop: int
    epilogue: Epilogue
    shown: tuple[int, ...] = ()
    moves: bool = False


JOB = [
    "lines",
    "rows",
    "spans",
    "x_image",
    "w_block",
    "out_image",
    "out_block",
    "block",
    "tiles",
    "x_tile",
    "out_tile",
    "out_step",
    "scales",
]


def channel_lanes(tile: ChannelTile) -> Kernel:
    """Return the kernel of a tile, with the loops around it."""
    return Kernel("channel_lanes", _build, (tile,), 6, speed_level=1)


def _build(name: str, target: Target, tile: ChannelTile) -> str:
    with importing:
        from ....engine.builder import Builder  # a kernel that is kept is not written again

    b = Builder(name, ARGUMENTS, target)
    nest = Nest(b, JOB)
    job = nest.job
    lines, rows, spans = (b.address(job[word]) for word in JOB[:3])
    block_bytes = tile.vectors * tile.lanes * b.bytes_of(tile.dtype)
    with (
        nest.over("image", order="x out") as layer,
        nest.rows(rows, layer, order="w bias x out", bias=block_bytes, x=block_bytes) as (at, ranges),
        b.loop(job["tiles"]) as number,
    ):
        pixels = b.at(at["x"], b.mul(number, job["x_tile"]))
        sums = _sums(b, target, tile, pixels, at["w"], at["bias"], lines, spans, ranges)
        to, scales = b.at(at["out"], b.mul(number, job["out_tile"])), b.at(at["bias"], job["scales"])
        _store(b, target, tile, sums, to, job["out_step"], scales)
    return b.finish()


def _sums(
    b: Builder,
    target: Target,
    tile: ChannelTile,
    pixels: Value,
    weights: Value,
    bias: Value,
    lines: Value,
    spans: Value,
    ranges: Value,
) -> list[Value]:
    """Return the accumulators of a tile, position by position, after all rows of the window."""
    kind = b.vector(b.number(tile.dtype), tile.lanes)
    nbytes = tile.lanes * b.bytes_of(tile.dtype)
    initial = [b.zero(kind)] * tile.vectors
    if tile.epilogue.bias:
        initial = [b.load(b.at(bias, b.constant(v * nbytes)), kind) for v in range(tile.vectors)]
    widths = [tile.lanes] * (tile.vectors - 1) + [tile.last]
    pairs: dict[int, list[tuple[int, int]]] = {}
    for m in range(tile.positions):
        for kx in range(tile.columns):
            pairs.setdefault(m * tile.stride + kx * tile.dilation, []).append((m, kx))
    sums: list[Value] = initial * tile.positions
    first, last = b.entry(spans, ranges), b.entry(spans, b.add(ranges, b.constant(1)))
    with b.accumulate(first, last, sums) as around:
        span = b.mul(around.index, 3 if tile.moves else 2)
        start, stop = b.entry(spans, span), b.entry(spans, b.add(span, b.constant(1)))
        if tile.moves:
            pixels = b.at(pixels, b.entry(spans, b.add(span, b.constant(2))))
        with b.accumulate(start, stop, around.values) as state:
            line = b.at(pixels, b.entry(lines, state.index))
            row = b.at(weights, b.mul(state.index, tile.columns * tile.vectors * nbytes))
            for j in sorted(pairs):
                if not tile.first <= j < tile.stop:
                    continue
                here = b.at(line, b.constant((tile.shown[j] if tile.shown else j) * tile.pixel_step))
                xs = [b.load_first(b.at(here, b.constant(v * nbytes)), kind, n) for v, n in enumerate(widths)]
                for m, kx in pairs[j]:
                    for v in range(tile.vectors):
                        w = b.load(b.at(row, b.constant((kx * tile.vectors + v) * nbytes)), kind)
                        i = m * tile.vectors + v
                        state.values[i] = b.multiply_add(xs[v], w, state.values[i], target.has_fma)
        around.values[:] = state.values
    return around.values


def _store(
    b: Builder, target: Target, tile: ChannelTile, sums: list[Value], out: Value, step: Value, scales: Value
) -> None:
    """Finish the sums and write them, once."""
    size = b.bytes_of(tile.epilogue.result)
    factors = scale_vectors(b, tile.epilogue, scales, tile.lanes, tile.vectors)
    for i, value in enumerate(sums):
        m, v = divmod(i, tile.vectors)
        at = b.at(b.at(out, b.mul(step, m)), b.constant(v * tile.lanes * size))
        count = tile.last if v == tile.vectors - 1 else tile.lanes
        done = narrow(b, tile.epilogue, finish(b, target, tile.epilogue, value, factors[v]))
        b.store_first(done, at, count)
