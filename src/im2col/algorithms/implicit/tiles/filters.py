"""Tiles whose lanes are filters: which of them a layer could get, what they would cost, their tables.

`filter_lanes` is their microkernel.
"""

from __future__ import annotations

import itertools
import math
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..borders import row_tables
from ..packing import FilterBlocks, split_evenly, vector_blocks
from ..ragged import cut_rows, maps_windows, ragged_positions, ragged_runs
from ..table_sizes import ragged_bytes, row_tables_bytes
from ..tables import TileRun, job_table
from ..tasks import Far
from ..view import share_seen
from . import cycles as model
from .filter_lanes import FAR_JOB, JOB, FilterTile, filter_lanes, stored_positions
from .tile_shape import order_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from ....engine.target import Target
    from ..borders import Run
    from ..ragged import RaggedRun
    from ..view import GroupShape, View
    from .tile_shape import Order, Tiling

_STORE = 2.0
"""How many times as long as alone a store takes at the end of a tile."""
_VISIT = 3.0
"""Cycles of a position of the result, times the share of a line that a vector is: where its filters start and end,
lines are written in two parts."""
_HIDDEN = 0.5
"""Of a tile's products: what they hide of the time in which lines of the result change places."""


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
    def candidates(cls, view: View, group: GroupShape, target: Target, dot: str | None) -> Iterator[FilterShape]:
        """Yield the tiles that fit the registers and the layer."""
        transposed = view.out_filter != view.out_size
        if transposed and not view.spread:
            return
        for lanes in model.lane_counts(target.vector_bytes // view.size):
            for vectors in range(1, min(model.MOST_VECTORS, -(-group.filters // lanes)) + 1):
                # The sums, a tap's weights, and one pixel, which the product itself broadcasts for a single vector.
                room = model.dot_registers(target, dot) if dot else model.fused_registers(target)
                positions = min(model.MOST_POSITIONS, (room - vectors) // vectors)
                sizes = [positions]
                few = positions > model.FEW_POSITIONS
                if few and not transposed and model.colliding(view.out_position[-1], positions, target):
                    sizes.append(model.FEW_POSITIONS)
                blocks = [width for width, _ in split_evenly(-(-group.filters // lanes), vectors)]
                for size in sizes:
                    if not view.maps or maps_windows(view, size, partial(_instructions, vectors=blocks)):
                        yield cls(lanes, vectors, size, transposed)

    def cycles(self, view: View, group: GroupShape, target: Target) -> float:
        """Return the cycles of a layer: a tap's products, or what keeps them waiting, then the store."""
        g, nbytes = view.geometry, self.lanes * view.size
        taps = group.channels * g.taps * share_seen(view)
        total = 0.0
        for vectors, blocks in split_evenly(-(-group.filters // self.lanes), self.vectors):
            part = self._part(view, group.channels, vectors, target.caches)
            parts = -(-group.channels * g.taps // part)
            for size, tiles in split_evenly(g.output_shape[-1], self.positions):
                weights = vectors * nbytes
                products = model.products(size * vectors, nbytes, target)
                loads = vectors * target.load_cycles(nbytes) + size * target.broadcast_cycles(nbytes)
                loads *= model.LOADS_TOGETHER
                tap = max(products, loads + model.arriving(view, group, weights, size, target)) + model.TAP_CYCLES
                tap += model.waiting(view, weights, size, target, part) + model.lost(view, group, weights, size, target)
                tap += model.held_up(view, group, target) + model.again(view, group, size, target)
                tap *= model.conflicts(view.pixel[-1] * g.stride[-1], size, target)
                store = vectors * self._store_cycles(size, view, target)
                if self.transposed:  # each filter has a line of its own
                    store *= model.crowding(view.out_filter, vectors * self.lanes, target)
                else:  # each position has
                    store += size * _VISIT * nbytes / model.LINE
                    store += max(0.0, model.colliding(view.out_position[-1], size, target) - _HIDDEN * taps * tap)
                # After each part sums are stored, and after all but the first the earlier ones are read.
                total += blocks * tiles * (taps * tap + (2 * parts - 1) * store + parts * model.TILE_CYCLES)
        return total * group.groups * math.prod(g.output_shape[:-1]) * model.narrow(self.lanes, view, target)

    def _store_cycles(self, positions: int, view: View, target: Target) -> float:
        """Return the cycles of storing a tile's sums of one vector of filters."""
        per, lanes = target.vector_cycles(self.lanes * view.size), self.lanes
        if not self.transposed:
            return positions * _STORE * target.store_cycles(lanes * view.size)
        total = 0.0
        for _, width in stored_positions(positions, lanes, target):
            shuffles = width * math.log2(width) * per
            if view.spread == 1:
                total += shuffles + lanes * _STORE * target.store_cycles(width * view.size)
            elif target.has_masks:
                total += shuffles + lanes * view.spread * 2 * per
            else:
                total += shuffles + lanes * width * 2 * per
        return total

    def order(self, view: View, group: GroupShape, target: Target) -> Order:
        """Return the window's axes, then the channels; of parts of the taps where there are some."""
        taps = group.channels * view.geometry.taps
        parts = [self._part(view, group.channels, each.shape[0], target.caches) for each in self.blocks(group.filters)]
        if min(parts) < taps:
            parts += [self.lanes, self.vectors]  # which say where blocks begin
        else:
            parts = []
        return order_of(view, group.channels, (*range(1, 1 + view.geometry.ndim), 0), parts)

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
        view, channels, g = tiling.view, tiling.channels, tiling.view.geometry
        taps = np.add.outer(g.tap_offsets(view.pixel), np.arange(channels) * view.channel).reshape(-1)
        plain, borders, size = self._cut(tiling)
        found = [
            self._run(
                tiling,
                taps,
                (run.positions, tuple(each.mask for each in run.segments)),
                *tables,
                moves=_moves(view, run),
            )
            for run in plain
            for tables in row_tables(view, run, g.kernel_size, channels)
        ]
        return found + [self.ragged_run(tiling, taps, run) for run in ragged_runs(view, borders, size, channels)]

    def _part(self, view: View, channels: int, vectors: int, caches: tuple[int, int, int]) -> int:
        """Return how many taps are multiplied together: all, unless so many weights leave the second level of cache."""
        taps = channels * view.geometry.taps
        if view.out_size != view.size:  # the result cannot hold sums
            return taps
        return model.part(taps, vectors * self.lanes * view.size, caches)

    def far(self, tiling: Tiling) -> Far | None:
        """Return how tiles pass over weights that leave the second level of cache, or None where they stay there."""
        view, channels, blocks = tiling.view, tiling.channels, tiling.blocks
        g = view.geometry
        taps, tap_bytes = channels * g.taps, [each.packed * view.size for each in blocks]
        weights = sum(each.blocks * size for each, size in zip(blocks, tap_bytes, strict=True))
        parts = [self._part(view, channels, each.shape[0], tiling.caches) for each in blocks]
        if min(parts) == taps and not model.from_afar(taps * weights, tiling.caches):
            return None
        bands, images = model.shared(math.prod(g.output_shape))
        return Far(taps, tuple(parts), tuple(tap_bytes), bands, images, (view.image, view.out_image))

    def table_bytes(self, tiling: Tiling) -> int:
        """Return the bytes of the tables, and of what is needed to make them."""
        g = tiling.view.geometry
        plain, borders, size = self._cut(tiling)
        taps = 3 * 8 * g.taps * tiling.channels
        return taps + row_tables_bytes(tiling.view, plain) + ragged_bytes(g, borders, size)

    def _cut(self, tiling: Tiling) -> tuple[list[Run], tuple[tuple[int, int], ...], int]:
        """Return what `cut_rows` does, and the positions of a tile at a ragged border."""
        vectors = [each.shape[0] for each in tiling.blocks]
        size = min(self.positions, ragged_positions(max(vectors)))
        return *cut_rows(tiling.view, self.positions, partial(_instructions, vectors=vectors)), size

    def ragged_run(self, tiling: Tiling, taps: NDArray[np.int64], run: RaggedRun, *, paired: bool = False) -> TileRun:
        """Return tiles at a ragged border; `paired` as in `FilterTile`."""
        pattern = run.positions, run.masks
        return self._run(tiling, taps, pattern, run.rows, run.spans, 1, ragged=True, paired=paired)

    def _run(
        self,
        tiling: Tiling,
        taps: NDArray[np.int64],
        pattern: tuple[int, tuple[int, ...]],
        rows: NDArray[np.int64],
        spans: NDArray[np.int64],
        tiles: int,
        *,
        moves: tuple[tuple[int, ...], ...] = (),
        ragged: bool = False,
        paired: bool = False,
    ) -> TileRun:
        view, channels, blocks = tiling.view, tiling.channels, tiling.blocks
        g, step = view.geometry, view.pixel[-1] * view.geometry.stride[-1]
        positions, masks = pattern
        filters = sum(each.blocks * each.width for each in blocks)
        far = None if paired else self.far(tiling)
        calls, parts = [], far.parts if far else [len(taps)] * len(blocks)
        for each, part in zip(blocks, parts, strict=True):
            vectors, last = each.shape
            seen = channels * view.size * math.prod(g.stride)
            row_bytes = positions * tiles * (seen + filters * view.out_size)
            tile = FilterTile(
                dtype=tiling.dtype,
                lanes=self.lanes,
                vectors=vectors,
                last=last,
                pixels=tuple(m * step for m in range(positions)),
                segments=masks,
                transposed=self.transposed,
                spread=view.spread if self.transposed else 1,
                epilogue=tiling.epilogue,
                dot=tiling.dot,
                paired=paired,
                ragged=ragged,
                moves=moves,
                far=far is not None,
                parted=part < len(taps),
            )
            packed = each.packed * g.taps * channels * view.size
            job = job_table(
                FAR_JOB if far else JOB,
                taps=taps,
                rows=rows,
                spans=spans,
                x_image=view.image,
                x_group=view.channel * channels,
                x_block=each.width * view.size if paired else 0,
                w_group=each.blocks * packed,
                w_block=packed,
                bias_group=each.blocks * each.packed * view.size,
                out_image=view.out_image,
                out_group=view.out_filter * filters,
                out_block=view.out_filter * each.width,
                block=max(1, tiling.caches[1] // 4 // max(1, row_bytes)),
                tiles=tiles,
                x_tile=step * positions,
                out_tile=view.out_position[-1] * positions,
                out_step=view.out_filter if self.transposed else view.out_position[-1],
                scales=tiling.scales_at,
                taps_stop=len(taps),
            )
            calls.append((filter_lanes(tile), job, each.first * view.channel if paired else 0))
        return TileRun(len(rows), tuple(calls), (taps, rows, spans), tiles, positions * tiles)


def _moves(view: View, run: Run) -> tuple[tuple[int, ...], ...]:
    """Return the bytes by which pixels lie elsewhere, as `FilterTile.moves`."""
    if not view.maps:
        return ()
    return tuple(tuple(n * view.pixel[-1] for n in each.moved or (0,) * run.positions) for each in run.segments)


def _instructions(runs: Iterable[Run], vectors: Sequence[int]) -> int:
    """Return about how many instructions the kernels of tiles have; a loop of a few counts as a hundred more."""
    patterns = {(run.positions, tuple((each.mask, each.moved) for each in run.segments)) for run in runs}
    total = 0
    for (positions, segments), v in itertools.product(patterns, vectors):
        masks = [mask for mask, _ in segments]
        # Every sum is carried in and out of both loops of a segment; in the end it is finished and stored.
        products = sum(mask.bit_count() for mask in masks)
        total += 150 + positions * v * (15 + 4 * len(masks)) + products * (4 + v) + 100 * len(masks)
    return total
