"""Tiles whose lanes are positions: which of them a layer takes, where they start, which pixels are there.

`position_lanes` is their microkernel.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ....spec.strides import offsets
from ..packing import FilterBlocks, split_evenly
from ..tables import TileRun, job_table
from ..view import with_rows
from . import cycles as model
from .halves import keeps_halves
from .mapped import Reach, borders, mapped_pieces, maps_columns, maps_rows, moved_rows
from .position_lanes import position_lanes
from .position_rows import Piece, pieces_of, rows_of
from .position_tile import JOB, MAPPED_JOB, PositionTile, by_lines, passes
from .tile_shape import order_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ....engine.target import Target
    from ....spec.geometry import Geometry
    from ..view import GroupShape, View
    from .mapped import Border
    from .tile_shape import Order, Tiling

_FILTERS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16)
_ROWS = (1, 2, 3, 4, 5, 6, 7, 8)
_MANY_ROWS = 32
"""Rows of a window beyond which they may be walked as planes are."""
_MOST_UNROLLED = 5500, 600
"""Instructions of a tile that are unrolled, about, and of one in a phase of a transpose, whose kernels add up: all are
compiled in half a second."""
_MOST_STRIDE = 3
"""Columns between positions up to which a vector of them is shuffled out of wider loads."""
_MOST_TILES = 64
"""Tiles of a piece of a row: its table of masks stays short."""
_MOST_ALONE = 7, 9
"""Sums, each with a weight that is read for it alone, of 1×1 layers and of others: LLVM leaves a sum in the place of
its weight, and needs both."""
_FROM_SECOND_LEVEL = 3.0
"""How much longer a vector takes to load from the second level of cache."""
_PLANE_CYCLES = 0.3
"""Of the address of a plane, where a window is one pixel."""
_LINE_CYCLES = 2.0
"""Of the address of a line of the image, which may be one of zeros."""
_NOT_HIDDEN, _UNALIGNED = 0.25, 1.05
"""The share of a window's loads that its products do not hide, and how much longer all of it takes."""


class PositionShape(NamedTuple):
    """The tile that a layer was given, see `TileShape`: VL, NV, rows, the most filters, if columns are shuffled.

    `tall` says that rows of the window are walked as planes are, one by one, and not unrolled. `at_once` are those that
    a pass over the window's columns multiplies at most, if not all.
    """

    lanes: int
    vectors: int
    rows: int
    filters: int
    shuffled: bool
    tall: bool = False
    at_once: int = 0

    def __str__(self) -> str:
        return (
            f"positions along the lanes, {self.filters} filters × {self.rows} rows × {self.vectors} × {self.lanes} "
            f"positions{', columns shuffled' * self.shuffled}{', rows walked' * self.tall}"
            f"{f', {self.at_once} rows of the window at once' * bool(self.at_once)}"
        )

    @classmethod
    def candidates(cls, view: View, group: GroupShape, target: Target, dot: str | None) -> Iterator[PositionShape]:
        """Yield the tiles that fit the registers and the layer: one whose rows of pixels and results are dense."""
        g = view.geometry
        if dot or view.pixel[-1] != view.size or not view.spread or g.stride[-1] > _MOST_STRIDE:
            return
        for tall in (False, True)[: 1 + (g.ndim == 2 and g.kernel_size[-2] > _MANY_ROWS)]:
            yield from cls._of(with_rows(view, tall), group, target, tall)

    @classmethod
    def _of(cls, view: View, group: GroupShape, target: Target, tall: bool) -> Iterator[PositionShape]:
        """Yield the tiles that fit the registers and a layer whose windows have rows."""
        g = view.geometry
        outer = g.ndim - 2
        if (outer > 1 and any(any(pair) for pair in g.padding[:outer])) or (view.maps and not maps_rows(view)):
            return
        height, kernel_rows = g.output_shape[-2], g.kernel_size[-2]
        may_shuffle = g.dilation[-1] == 1 < g.kernel_size[-1]
        sizes = sorted({split_evenly(group.filters, most)[0][0] for most in _FILTERS})
        counts = model.lane_counts(target.vector_bytes // view.size)
        for lanes in counts:
            if g.output_shape[-1] <= lanes // 2 and lanes > max(4, counts[-1]) and not view.fixed:
                continue  # half vectors lie in fewer lines of the cache
            needed = -(-g.output_shape[-1] // lanes)
            for vectors in sorted({split_evenly(needed, most)[0][0] for most in range(1, 9)}):
                for rows in _ROWS:
                    if rows > height or (rows > 1 and kernel_rows == 1):
                        break
                    for filters in sizes:
                        for shuffled in (False, True)[: 1 + may_shuffle]:
                            shape = cls(lanes, vectors, rows, filters, shuffled, tall)
                            shape = shape._replace(at_once=0 if view.fixed else shape._few_enough(view, target))
                            mapped = view.modes[-1] == "constant" or maps_columns(view, _reach(g, shape, view.size))
                            if mapped and shape._fits(view, target):
                                yield shape

    def _few_enough(self, view: View, target: Target) -> int:
        """Return how many rows of the window pass over its columns together so that their lines stay in their sets.

        0 if all do. Where rows of the image are 4 KB apart, or any multiple of it, all their lines lie in one set: each
        column of the window would read them from the second level again.
        """
        g, columns = view.geometry, view.geometry.kernel_size[-1]
        if self.shuffled or columns == 1:
            return 0
        rows = g.kernel_size[-2]
        most = model.rows_in_their_sets(view.pixel[-2], self.rows, g.stride[-2], rows, g.dilation[-2], target)
        return most if most < rows else 0

    def _masked(self, view: View) -> bool:
        """Whether some tile may read columns that are not there; where results lie apart, all of them read masks."""
        g = view.geometry
        whole = g.stride[-1] == 1 and not any(g.padding[-1]) and g.output_shape[-1] >= self.lanes * self.vectors
        return self.shuffled or not whole or view.spread > 1

    def _fits(self, view: View, target: Target) -> bool:
        """Whether the sums stay in registers, with the pixels of a line, its masks, and a weight, in short kernels."""
        g, most, masked = view.geometry, _MOST_UNROLLED[view.spread > 1], self._masked(view)
        rows, columns, stride = g.kernel_size[-2], g.kernel_size[-1], g.stride[-1]
        sums = self.filters * self.rows * self.vectors
        pixels = self.vectors + stride - 1
        if self.shuffled:
            if rows * columns * sums > model.MOST_PRODUCTS or (columns - 1) // stride > self.lanes:
                return False
            pixels += stride * (self.vectors + 1) + 3
            if not target.has_masks:  # they are vectors too
                pixels += self.vectors * stride
        if not target.has_masks and self.vectors == self.rows == 1 and sums > _MOST_ALONE[rows * columns > 1]:
            return False
        # Where several rows and filters meet, each line would need too many weights to read them anew.
        weights = rows * columns * self.filters if self.rows > 1 < self.filters else 1
        # Each line is loaded and its sums are settled, each weight is loaded and multiplied.
        unrolled = self._lines_read(g) * (4 * self.vectors + sums + 2)
        unrolled += rows * self.rows * self.filters * (4 + self.vectors)
        room = model.registers(target) if masked else model.fused_registers(target)
        if target.has_fma and not (target.has_masks or target.is_arm or self.shuffled):
            room = target.vector_registers  # a line's masks are read when it is, and its last operand is counted above
        return sums + pixels + weights <= room and unrolled <= most

    def _lines_read(self, g: Geometry) -> int:
        """Return how many rows of the image a tile reads, one pass after the other."""
        rows = g.kernel_size[-2]
        read = [
            {r * g.stride[-2] + k * g.dilation[-2] for r in range(self.rows) for k in ks}
            for ks in passes(rows, self.at_once or rows)
        ]
        return sum(map(len, read))

    def cycles(self, view: View, group: GroupShape, target: Target) -> float:
        """Return the cycles of a layer: a column's products, or its loads, then the store."""
        g = with_rows(view, self.tall).geometry
        per = target.vector_cycles(self.lanes * view.size)
        kernel_rows, kernel_columns = g.kernel_size[-2:]
        height, stride = g.output_shape[-2], g.stride[-1]
        lines = self._lines_read(g)
        planes = group.channels * math.prod(g.kernel_size[:-2])
        tiles = -(-g.output_shape[-1] // (self.lanes * self.vectors))
        # The share of tiles that read masks, for which registers are scarce: those at both ends of a row, of zeros.
        scarce = self._masked(view) and not (target.has_masks or self.shuffled) and view.modes[-1] == "constant"
        masked = (1.0 if view.spread > 1 else min(1.0, 2 / tiles)) if scarce else 0.0
        if self.shuffled:
            shifts = max(0, kernel_columns - stride)
            wide = self.vectors + (kernel_columns > stride)
            shuffles = (wide * (stride if stride > 1 else 0) + self.vectors * shifts) / kernel_columns
            loads = lines * per * (wide * 1.5 * stride / kernel_columns + 0.75 * shuffles)
        else:
            shuffles = (
                0
                if stride == 1
                else 1
                if keeps_halves(self.lanes, view.size, stride, shuffled=False)
                else 2 * stride - 1
            )
            loads = lines * self.vectors * per * ((2 if kernel_columns > 1 else 1.5) * stride + shuffles)
            loads += lines * self.vectors * per * stride * masked  # the masks
        window = kernel_rows * kernel_columns > 1
        reach = self.lanes * self.vectors * stride + (model.LINE // view.size if window else 0)
        if planes * lines * reach * view.size > target.caches[0] * 0.6 and group.filters > self.filters:
            loads *= _FROM_SECOND_LEVEL
        total = 0.0
        for filters, blocks in split_evenly(group.filters, self.filters):
            chains = filters * self.rows * self.vectors
            weights: float = kernel_rows * filters
            held = chains + self.vectors * stride + weights * (kernel_columns if self.shuffled else 1)
            if self.rows > 1 and held > target.vector_registers - 4:
                weights *= self.rows  # there is no register for them: each row reads them anew
            if chains + self.vectors >= target.vector_registers - 1:
                weights *= 1 + masked * (self.vectors - 1)  # and each vector of pixels
            products = chains * per
            if planes > 1:  # else the next tile's begin meanwhile
                products = model.products(chains, self.lanes * view.size, target)
            column = max(kernel_rows * max(products, target.pace.latency), loads + weights * 0.5)
            column += _NOT_HIDDEN * loads if window else self.vectors * model.held_up(view, group, target)
            store = chains * 2 * view.spread * per
            plane = kernel_columns * column + (lines * _LINE_CYCLES if window else _PLANE_CYCLES)
            total += blocks * tiles * (planes * plane + store + model.TILE_CYCLES)
        total *= group.groups * -(-height // self.rows) * math.prod(g.output_shape[:-2])
        total *= _UNALIGNED if window else 1.0
        return total * model.narrow(self.lanes, view, target)

    def order(self, view: View, group: GroupShape, target: Target) -> Order | None:
        """Return the outer axes, the channels, then rows and columns of the window or the other way round."""
        seen = with_rows(view, self.tall)
        g = seen.geometry
        rows, columns = g.kernel_size[-2:]
        lines = {
            by_lines(
                (rows, columns), g.stride[-1], self.shuffled, self.rows, self.vectors, width, target.vector_registers
            )
            for width, _ in split_evenly(group.filters, self.filters)
        }
        if columns > 1 and (len(lines) > 1 or (True in lines and not self.shuffled and g.dilation[-1] > 1)):
            return None  # small maps have no tile that goes line by line without shuffles
        last = (g.ndim - 1, g.ndim) if True in lines else (g.ndim, g.ndim - 1)
        return order_of(seen, group.channels, (*range(1, g.ndim - 1), 0, *last))

    def walks(self, view: View) -> bool:
        """Whether neighbouring pixels of a row lie side by side, and positions as far apart as a number of elements."""
        return view.pixel[-1] == view.size and view.spread > 0

    def as_packed(self, group: GroupShape) -> GroupShape:
        """Return the layer as it is."""
        return group

    def blocks(self, filters: int) -> list[FilterBlocks]:
        """Return blocks of filters, evenly filled."""
        found, first = [], 0
        for size, count in split_evenly(filters, self.filters):
            found.append(FilterBlocks(first, size, count, size, (size,)))
            first += size * count
        return found

    def tap_order(self, k: int) -> tuple[int, ...]:
        """Return the planes (outer axes and channels), then the window's columns, then its rows."""
        if self.tall or k == 1:
            return (*range(4, 3 + k), 3, 3 + k)
        return (*range(4, 2 + k), 3, 3 + k, 2 + k)

    def runs(self, tiling: Tiling) -> list[TileRun]:
        """Return what covers the map: all of its rows, cut into pieces."""
        view, channels, blocks = with_rows(tiling.view, self.tall), tiling.channels, tiling.blocks
        g = view.geometry
        outer = g.kernel_size[:-2]
        planes = np.add.outer(
            offsets(outer, g.tap_strides(view.pixel)[: len(outer)] if outer else ()),
            np.arange(channels) * view.channel,
        ).reshape(-1)
        tile_columns = self.lanes * self.vectors
        most = self._most_tiles(tiling)
        reach = _reach(g, self, view.size)
        pieces, masks = pieces_of(view, reach, most)
        ends: tuple[Border, ...] = ()
        moved = []
        if view.maps:
            ends, moved = borders(view, reach), [moved_rows(view)]
            pieces = [Piece(*each) for each in mapped_pieces(view, reach, most)] if ends else pieces
        rows = rows_of(view, self.rows, pieces, channels)
        zeros = np.zeros((tile_columns * g.stride[-1] + _halo(g, self, view.size)) * view.size, np.int8)
        total = sum(each.width * each.blocks for each in blocks)
        calls = []
        for each in blocks:
            tile = PositionTile(
                dtype=tiling.dtype,
                lanes=self.lanes,
                vectors=self.vectors,
                rows=self.rows,
                filters=each.width,
                kernel=(g.kernel_size[-2], g.kernel_size[-1]),
                stride=(g.stride[-2], g.stride[-1]),
                row_dilation=g.dilation[-2],
                at_once=self.at_once or g.kernel_size[-2],
                columns=min(tile_columns, g.output_shape[-1]),
                shuffled=self.shuffled,
                spread=view.spread,
                lines=_lines(view, self),
                masked=self._masked(view),
                epilogue=tiling.epilogue,
                borders=ends,
                moves=view.modes[-2] != "constant",
            )
            block = each.width * g.taps * channels * view.size
            job = job_table(
                MAPPED_JOB if tile.borders or tile.moves else JOB,
                planes=planes,
                rows=rows,
                zeros=zeros,
                masks=masks,
                x_image=view.image,
                x_group=view.channel * channels,
                x_row=view.pixel[-2],
                x_tap=view.size * g.dilation[-1],
                w_group=each.blocks * block,
                w_block=block,
                bias_group=each.blocks * each.packed * view.size,
                out_image=view.out_image,
                out_group=view.out_filter * total,
                out_block=view.out_filter * each.width,
                out_filter=view.out_filter,
                out_row=view.out_position[-2],
                height=g.spatial_shape[-2],
                scales=tiling.scales_at,
                x_width=g.spatial_shape[-1] * view.size,
                moved=moved[0] if moved else 0,
            )
            calls.append((position_lanes(tile), job, 0))
        return [TileRun(len(rows), tuple(calls), (planes, rows, zeros, masks, *moved))]

    def _most_tiles(self, tiling: Tiling) -> int:
        """Return how many tiles a piece of a row has at most."""
        g, blocks = with_rows(tiling.view, self.tall).geometry, tiling.blocks
        reused = 0
        if len(blocks) + blocks[0].blocks > 2:  # a piece of a row stays in the first level while filters pass over it
            line = self.lanes * self.vectors * g.stride[-1] * tiling.view.size
            reused = tiling.channels * g.kernel_size[-2] * line
        return max(1, min(_MOST_TILES, tiling.caches[0] // 2 // reused if reused else _MOST_TILES))

    def table_bytes(self, tiling: Tiling) -> int:
        """Return the bytes of the tables, and of what is needed to make them."""
        g, size = with_rows(tiling.view, self.tall).geometry, tiling.view.size
        tile = self.lanes * self.vectors
        piece = self._most_tiles(tiling) * tile
        pieces = -(-g.output_shape[-1] // piece) + 2 * (tiling.view.modes[-1] != "constant")
        rows = math.prod(g.output_shape[:-2]) * -(-g.output_shape[-2] // self.rows) * pieces
        planes = 3 * 8 * math.prod(g.kernel_size[:-2]) * tiling.channels
        # A mask of pixels for each piece that meets the padding: at most all of them.
        reach = min(piece, g.output_shape[-1] + tile) * g.stride[-1] + _halo(g, self, size)
        border = min(pieces, 2 + (tiling.view.spread > 1) + sum(g.padding[-1]) // (piece * g.stride[-1]))
        masks = 2 * border * reach * size + 20 * reach
        moved = 5 * 8 * g.padded_shape[-2] * tiling.view.maps
        return planes + masks + rows * 14 * 8 + 3 * 8 * math.prod(g.output_shape[:-2]) + moved + (8 << 10)


def _reach(g: Geometry, shape: PositionShape, size: int) -> Reach:
    """Return how far a tile reaches."""
    tile, halves = shape.lanes * shape.vectors, keeps_halves(shape.lanes, size, g.stride[-1], shape.shuffled)
    load = shape.lanes * (1 if halves else g.stride[-1])
    return Reach(tile, tile * g.stride[-1] + _halo(g, shape, size), load)


def _lines(view: View, shape: PositionShape) -> tuple[int, int] | None:
    """Return which rows of the image every tile finds, as `PositionTile.lines`."""
    g = view.geometry
    if view.modes[-2] != "constant":
        return None
    before, after = g.padding[-2]
    if not before and not after:
        return 0, g.spatial_shape[-2]
    return (before, before + g.spatial_shape[-2]) if shape.rows == g.output_shape[-2] else None


def _halo(g: Geometry, shape: PositionShape, size: int) -> int:
    """Return how many pixels behind those of its positions a tile may load."""
    if shape.shuffled:
        return shape.lanes * g.stride[-1]
    return g.span[-1] - (2 if keeps_halves(shape.lanes, size, g.stride[-1], shuffled=False) else 1)
