"""Tiles for groups of few channels, which unroll whole windows: which of them a layer takes, and where they start.

`window_lanes` is their microkernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..borders import inside, tile_runs
from ..packing import FilterBlocks, split_evenly
from ..tables import TileRun, job_table
from ..view import GroupShape, share_seen, with_rows
from . import cycles as model
from .mapped import moved_rows, shown_pixels
from .tile_shape import order_of
from .window_lanes import (
    JOB,
    MOVING_JOB,
    ROW,
    WindowPart,
    WindowTile,
    needed,
    packed_filters,
    shifts,
    window_lanes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ....engine.target import Target
    from ....spec.geometry import Geometry
    from ..borders import Run
    from ..view import View
    from .tile_shape import Order, Tiling

_ROWS = (1, 2)
_MOST_UNROLLED = 1000
"""Products of all tiles of a kernel, which is compiled in half a second."""
_FEWEST_ROWS = 16
"""A map with fewer rows has them cut, so that threads find pieces."""
_MOST_SUMS = 14
"""Of a tile: more do not hide more of a product's latency."""
_CHAIN = 2.0
"""Cycles of a product whose sum the next one needs: a second tile fills what is idle."""
_PIXEL, _TILE = 0.1, 1.0
"""Cycles of a vector of pixels, most of which the products hide, and of a tile of one vector of channels."""
_CHANNEL, _PICKED = 1.0, 0.45
"""Cycles of a turn of the loop over a group's channels, one for each line of a tile, and of a vector of its pixels."""
_LOADED, _UNALIGNED = 1.15, 1.6
"""How much longer a tile takes whose weights no register keeps, and single vectors which lie in two lines of the cache
each."""


class WindowShape(NamedTuple):
    """The tile that a layer was given, see `TileShape`: VL, rows R, the most positions MR.

    `keeps` says that the weights of a vector of channels stay in registers, while all of some rows pass; `filters` are
    those of a group.
    """

    lanes: int
    rows: int
    positions: int
    keeps: bool
    filters: int

    def __str__(self) -> str:
        what = "channels" if self.filters == 1 else "filters"
        return (
            f"{what} along the lanes, whole windows, {self.rows} rows × {self.positions} positions × {self.lanes} "
            f"{what}{', weights kept' * self.keeps}"
        )

    @classmethod
    def candidates(cls, view: View, group: GroupShape, target: Target, dot: str | None) -> Iterator[WindowShape]:
        """Yield the tiles that fit the registers and the layer: one of groups, of small windows on one plane."""
        g = view.geometry
        if dot or group.groups == 1 or g.ndim > 2 or view.channel != view.size or view.out_filter != view.out_size:
            return
        g = with_rows(view, tall=False).geometry
        height, width = g.output_shape
        # To round to 16 bits is no instruction of such CPUs, and takes the registers that weights would stay in.
        rounds = view.out_size == 2 and target.vector_bytes < 32
        for lanes in model.lane_counts(target.vector_bytes // _number_bytes(view)):
            if lanes > group.groups * group.filters or not _shared(lanes, view, group, target):
                continue
            for rows in _ROWS[: 2 if min(height, g.kernel_size[0]) > 1 else 1]:
                for most in range(1, min(_MOST_SUMS // rows, width) + 1):
                    positions = split_evenly(width, most)[0][0]
                    alone = group.channels == group.filters == 1 and not rounds
                    for keeps in (False, True)[: 1 + alone] if positions == most else ():
                        shape = cls(lanes, rows, positions, keeps, group.filters)
                        if shape._fits(g, group, target):
                            yield shape

    def _fits(self, g: Geometry, group: GroupShape, target: Target) -> bool:
        """Whether the sums stay in registers, with a pixel and the weights of a line, in a short kernel."""
        if self.keeps and target.vector_registers < 32:
            return False
        sums, (height, columns) = self.rows * self.positions, g.kernel_size
        weights = columns * (height if self.keeps else min(self.rows, height))
        # What is kept for all of a pass meets the constants of an activation, and where each lane's pixel lies.
        spare = 4 if self.keeps else max(4, columns + 1) if group.filters > 1 else 1
        if (
            sums + weights + spare >= target.vector_registers
            or sums > _MOST_SUMS
            or sums * g.taps > model.MOST_PRODUCTS
        ):
            return False
        first, stop = inside(g, 1)
        border = -(-first // self.positions) - (stop - g.output_shape[1]) // self.positions
        parts = min(border + 2, -(-g.output_shape[1] // self.positions))
        return parts * sums * g.taps <= _MOST_UNROLLED

    def cycles(self, view: View, group: GroupShape, target: Target) -> float:
        """Return the cycles of a layer: products, or loads, and what they do not hide."""
        view = with_rows(view, tall=False)
        g = view.geometry
        per = target.vector_cycles(self.lanes * _number_bytes(view))
        lines = needed(self.rows, g.kernel_size[0], g.stride[0], g.dilation[0])
        vectors = -(-group.groups * group.filters // self.lanes)
        far = target.pace.far if abs(view.image) > target.caches[1] else 0.0
        total = 0.0
        for size, tiles in split_evenly(g.output_shape[1], self.positions):
            sums = self.rows * size
            pixels = len(lines) * min(size * g.kernel_size[1], (size - 1) * g.stride[1] + g.span[1])
            pixels *= 3 if view.size == 1 else 1  # they are widened, and become floats
            work = max(per * max(sums * g.taps, pixels), g.taps * _CHAIN) * group.channels
            pixel = _PICKED if group.filters > 1 else 2 * _PIXEL
            tile = work + per * (sums + pixel * pixels * group.channels) + _TILE
            tile += _CHANNEL * len(lines) * group.channels if group.filters > 1 else 0.0
            total += tiles * (tile + far * sums * g.stride[0] * g.stride[1] if self.keeps else tile * _LOADED)
        total *= vectors * -(-g.output_shape[0] // self.rows)
        if self.keeps and vectors > 1 and not shifts(self.lanes, view.size, group.groups, view.pixel[-1]):
            total *= _UNALIGNED
        return total * share_seen(view) * model.narrow(self.lanes, view, target)

    def order(self, view: View, group: GroupShape, target: Target) -> Order:  # noqa: ARG002 (the contract's arguments)
        """Return the rows of the window, then the channels, then its columns."""
        return order_of(with_rows(view, tall=False), group.channels, (1, 0, 2))

    def walks(self, view: View) -> bool:
        """Whether channels lie side by side in the image and in the result."""
        return view.channel == view.size and view.out_filter == view.out_size

    def as_packed(self, group: GroupShape) -> GroupShape:
        """Return all filters as those of one group."""
        return GroupShape(1, group.channels, group.groups * group.filters)

    def blocks(self, filters: int) -> list[FilterBlocks]:
        """Return all filters as one block."""
        return [FilterBlocks(0, filters, 1, packed_filters(filters, self.lanes, self.filters), (filters,))]

    def tap_order(self, k: int) -> tuple[int, ...]:
        """Return the channels of a group, then the window's axes."""
        return (3, *range(4, 4 + k))

    def runs(self, tiling: Tiling) -> list[TileRun]:
        """Return what covers the map: all of its rows, cut into pieces where they are few."""
        view = with_rows(tiling.view, tall=False)
        g = view.geometry
        (block,) = tiling.blocks
        row = tile_runs(g, self.positions, view.modes[1])
        rows = _rows(view, self.rows, row)
        weights = tiling.channels * g.taps * self.lanes * _number_bytes(view)
        vectors = 1 if self.keeps else max(1, tiling.caches[0] // 2 // weights)
        row_bytes = view.size * self.lanes * vectors * g.spatial_shape[1] * self.rows * g.stride[0]
        tile = WindowTile(
            dtype=tiling.dtype,
            offset=tiling.offset,
            lanes=self.lanes,
            filters=block.width,
            group=(tiling.channels, self.filters),
            vectors=vectors,
            keeps=self.keeps,
            rows=self.rows,
            kernel=(g.kernel_size[0], g.kernel_size[1]),
            stride=(g.stride[0], g.stride[1]),
            dilation=(g.dilation[0], g.dilation[1]),
            pixel_step=view.pixel[1],
            out_step=view.out_position[1],
            guarded=_guarded(g, self.rows),
            parts=tuple(_part(view, run) for run in row),
            epilogue=tiling.epilogue,
            moves=view.modes[0] != "constant",
        )
        moved = [moved_rows(view)] if tile.moves else []
        job = job_table(
            MOVING_JOB if tile.moves else JOB,
            rows=rows,
            x_image=view.image,
            x_row=view.pixel[0],
            out_image=view.out_image,
            out_row=view.out_position[0],
            height=g.spatial_shape[0],
            block=max(1, tiling.caches[1] // 4 // row_bytes),
            scales=tiling.scales_at,
            moved=moved[0] if moved else 0,
        )
        return [TileRun(len(rows), ((window_lanes(tile), job, 0),), (rows, *moved))]

    def table_bytes(self, tiling: Tiling) -> int:
        """Return the bytes of the tables, and of what is needed to make them."""
        view = with_rows(tiling.view, tall=False)
        g = view.geometry
        row = tile_runs(g, self.positions, view.modes[1])
        tops, tiles = -(-g.output_shape[0] // self.rows), sum(run.tiles for run in row)
        pieces = min(tiles, -(-_FEWEST_ROWS // tops))
        entries = tops * pieces * (len(ROW) + len(row) + 1) + 4 * tops + 3 * tiles + 5 * g.padded_shape[0] * view.maps
        return 8 * entries + (8 << 10)


def _shared(lanes: int, view: View, group: GroupShape, target: Target) -> bool:
    """Whether every lane of a vector of filters can have the pixels of its own group."""
    if group.channels == group.filters == 1:
        return True
    if view.size < 4 or not target.has_fma:
        return False
    if group.filters % lanes == 0:
        return True
    picks = not target.is_arm and 32 <= lanes * view.size <= target.vector_bytes
    return picks and group.channels == group.filters and lanes % group.filters == 0


def _number_bytes(view: View) -> int:
    """Return the bytes of the numbers that are multiplied: pixels of a byte become float32."""
    return 4 if view.size == 1 else view.size


def _tops(g: Geometry, rows: int) -> NDArray[np.int64]:
    """Return the first rows of the map of its tiles: the last one reaches up into the one before it."""
    height = g.output_shape[0]
    return np.minimum(np.arange(0, height, rows), height - rows)


def _guarded(g: Geometry, rows: int) -> tuple[int, ...]:
    """Return the lines of a tile, counted from its first, that lie in the padding for some rows of the map."""
    first, *_, last = (_tops(g, rows)[[0, -1]] * g.stride[0] - g.padding[0][0]).tolist()
    lines = needed(rows, g.kernel_size[0], g.stride[0], g.dilation[0])
    return tuple(i for i in lines if first + i < 0 or last + i >= g.spatial_shape[0])


def _part(view: View, run: Run) -> WindowPart:
    """Return which pixels of a row of tiles that are alike are seen, counted from the first tap of each."""
    g = view.geometry
    start = run.column * g.stride[1] - g.padding[1][0]
    pixels = (run.positions - 1) * g.stride[1] + g.span[1]
    first, stop = max(0, -start), min(pixels, g.spatial_shape[1] - start)
    if view.modes[1] == "constant" or (first, stop) == (0, pixels):
        return WindowPart(run.positions, first, stop)
    return WindowPart(run.positions, 0, pixels, shown_pixels(view, start, pixels))


def _rows(view: View, rows: int, row: list[Run]) -> NDArray[np.int64]:
    """Return the table of rows, see `window_lanes.ROW`; each is a piece of a row of tiles."""
    g = view.geometry
    tops = _tops(g, rows)
    edges = np.cumsum([0, *(run.tiles for run in row)])
    columns = np.concatenate([run.column + run.positions * np.arange(run.tiles) for run in row])
    pieces = min(len(columns), -(-_FEWEST_ROWS // len(tops)))
    cuts = np.arange(pieces + 1) * len(columns) // pieces
    # Tiles of each part that lie between two cuts.
    counts = np.diff(np.clip(cuts[:, None], edges[:-1], edges[1:]), axis=0)
    starts = columns[cuts[:-1]]
    row_step, step = g.position_strides(view.pixel)
    table = np.empty((len(tops), pieces, len(ROW) + len(row)), np.int64)
    table[..., 0] = np.add.outer(tops * row_step + g.first_pixel(view.pixel), starts * step)
    table[..., 1] = np.add.outer(tops * view.out_position[0], starts * view.out_position[1])
    table[..., 2] = (tops * g.stride[0] - (g.padding[0][0] if view.modes[0] == "constant" else 0))[:, None]
    table[..., 3:] = counts
    return table.reshape(-1, table.shape[-1])
