"""Tables for tiles whose lanes are positions: which tiles a layer takes, where they start, which pixels are there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...spec.strides import offsets
from .operand import visible
from .schedule import Part, Pass, job_table, split_evenly
from .tiles.position_lanes import JOB, PositionTile, position_lanes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...spec.geometry import Geometry
    from .operand import Operand
    from .tiles.epilogue import Epilogue

_MOST_TILES = 64
"""Tiles of a piece of a row: its table of masks stays short."""


class PositionShape(NamedTuple):
    """The tile that a layer was given: VL, NV, rows, the most filters, and whether its columns are shuffled."""

    lanes: int
    vectors: int
    rows: int
    filters: int
    shuffled: bool

    def __str__(self) -> str:
        return (
            f"positions along the lanes, {self.filters} filters × {self.rows} rows × {self.vectors} × {self.lanes} "
            "positions"
        )


def position_parts(filters: int, shape: PositionShape) -> list[Part]:
    """Return blocks of filters, evenly filled."""
    parts, first = [], 0
    for size, count in split_evenly(filters, shape.filters):
        parts.append(Part(first, size, count, size, (size,)))
        first += size * count
    return parts


def position_passes(
    op: Operand,
    shape: PositionShape,
    channels: int,
    parts: list[Part],
    epilogue: Epilogue,
    dtype: str,
    first_level: int,
    scales_at: int,
) -> list[Pass]:
    """Return the pass over the map, with its kernel for each part of the filters.

    Parameters
    ----------
    op : Operand
        Its last axis dense in image and result.
    shape : PositionShape
    channels : int
        That one filter reads.
    parts : list of Part
        Of one group's filters.
    epilogue : Epilogue
    dtype : str
        Of the kernel's pixels and weights.
    first_level : int
        Bytes of the cache in which a piece of a row should stay while the filters pass over it.
    scales_at : int
        Bytes from the packed bias to the factors of requantisation.
    """
    op = _with_rows(op)
    g = op.geometry
    outer = g.kernel_size[:-2]
    planes = np.add.outer(
        offsets(outer, g.tap_strides(op.pixel)[: len(outer)] if outer else ()), np.arange(channels) * op.channel
    ).reshape(-1)
    tile_columns = shape.lanes * shape.vectors
    reused = (
        channels * g.kernel_size[-2] * tile_columns * g.stride[-1] * op.size if len(parts) + parts[0].blocks > 2 else 0
    )
    most = max(1, min(_MOST_TILES, first_level // 2 // reused if reused else _MOST_TILES))
    pieces, masks = _pieces(op, shape, most)
    rows = _rows(op, shape, pieces, channels)
    zeros = np.zeros((tile_columns * g.stride[-1] + _halo(g, shape)) * op.size, np.int8)
    total = sum(p.width * p.blocks for p in parts)
    calls = []
    for part in parts:
        tile = PositionTile(
            dtype=dtype,
            lanes=shape.lanes,
            vectors=shape.vectors,
            rows=shape.rows,
            filters=part.width,
            kernel=(g.kernel_size[-2], g.kernel_size[-1]),
            stride=(g.stride[-2], g.stride[-1]),
            row_dilation=g.dilation[-2],
            shuffled=shape.shuffled,
            spread=op.spread,
            lines=_lines(g, shape),
            epilogue=epilogue,
        )
        block = part.width * g.taps * channels * op.size
        job = job_table(
            JOB,
            planes=planes,
            rows=rows,
            zeros=zeros,
            masks=masks,
            x_image=op.image,
            x_group=op.channel * channels,
            x_row=op.pixel[-2],
            x_tap=op.size * g.dilation[-1],
            w_group=part.blocks * block,
            w_block=block,
            bias_group=part.blocks * part.packed * op.size,
            out_image=op.out_image,
            out_group=op.out_filter * total,
            out_block=op.out_filter * part.width,
            out_filter=op.out_filter,
            out_row=op.out_position[-2],
            height=g.spatial_shape[-2],
            scales=scales_at,
        )
        calls.append((position_lanes(tile), job, 0))
    return [Pass(len(rows), tuple(calls), (planes, rows, zeros, masks))]


def _with_rows(op: Operand) -> Operand:
    """Return the operand with a second-last axis, of one row where there was none."""
    if op.geometry.ndim > 1:
        return op
    g = op.geometry
    taller = type(g)((1, *g.spatial_shape), (1, *g.kernel_size), (1, *g.stride), ((0, 0), *g.padding), (1, *g.dilation))
    return op._replace(geometry=taller, pixel=(0, *op.pixel), out_position=(0, *op.out_position))


def _lines(g: Geometry, shape: PositionShape) -> tuple[int, int] | None:
    """Return which rows of the image every tile finds, as `PositionTile.lines`."""
    before, after = g.padding[-2]
    if not before and not after:
        return 0, g.spatial_shape[-2]
    return (before, before + g.spatial_shape[-2]) if shape.rows == g.output_shape[-2] else None


def _halo(g: Geometry, shape: PositionShape) -> int:
    """Return how many pixels behind those of its positions a tile may load."""
    return shape.lanes * g.stride[-1] if shape.shuffled else g.span[-1] - 1


class _Piece(NamedTuple):
    """A piece of a row: its first column, its tiles, those [plain0, plain1) that need no mask, and its masks."""

    column: int
    tiles: int
    plain0: int
    plain1: int
    seen: int
    kept: int


def _pieces(op: Operand, shape: PositionShape, most: int) -> tuple[list[_Piece], NDArray[np.signedinteger]]:
    """Cut the columns into pieces of at most `most` tiles; return them and the masks, -1 for what is there."""
    g = op.geometry
    n, s, (before, _) = g.spatial_shape[-1], g.stride[-1], g.padding[-1]
    columns, tile = g.output_shape[-1], shape.lanes * shape.vectors
    kind = np.dtype(f"i{op.size}")
    pieces: list[_Piece] = []
    tables: dict[bytes, int] = {}
    for first in range(0, columns, most * tile):
        width = min(most * tile, columns - first)
        tiles = -(-width // tile)
        # Tile i reads columns from (first + i · tile) · s - before on, a whole vector of `stride` times the lanes.
        reach = tile * s + _halo(g, shape)
        low = max(0, -(-(before - first * s) // (tile * s)))
        high = min(width // tile, (n + before - first * s - reach) // (tile * s) + 1)
        low, high = (low, high) if low < high else (0, 0)
        where = [0, 0]
        if high - low < tiles:
            pixels = np.arange(tiles * tile * s + _halo(g, shape)) + first * s - before
            there = ((pixels >= 0) & (pixels < n), np.arange(tiles * tile) < width)
            for i, mask in enumerate(there):
                key = (-mask.astype(kind)).tobytes()
                where[i] = tables.setdefault(key, sum(map(len, tables)))
        pieces.append(_Piece(first, tiles, low, high, *where))
    return pieces, np.frombuffer(b"".join(tables) or bytes(op.size), kind)


def _rows(op: Operand, shape: PositionShape, pieces: list[_Piece], channels: int) -> NDArray[np.int64]:
    """Return the table of rows; see `position_lanes.ROW`."""
    g = op.geometry
    height = g.output_shape[-2]
    # The last tile reaches up into the one before it, rather than beyond the map.
    tops = np.minimum(np.arange(0, height, shape.rows), height - shape.rows)
    outer = g.output_shape[:-2]
    starts = g.position_strides(op.pixel)
    corner = -sum(before * p for (before, _), p in zip(g.padding, op.pixel, strict=True))
    x_outer, out_outer = offsets(outer, starts[: len(outer)]), offsets(outer, op.out_position[: len(outer)])
    spans = np.array([(0, channels)] * len(x_outer), np.int64)
    if len(outer) == 1:
        spans = np.array([visible(g, 0, o) for o in range(outer[0])], np.int64) * channels
    elif outer:
        spans = np.array([(0, channels * int(np.prod(g.kernel_size[:-2])))] * len(x_outer), np.int64)
    cut = np.array(pieces, np.int64)
    shape3 = (len(x_outer), len(tops), len(pieces))

    def table(values: NDArray[np.int64], axis: int) -> NDArray[np.int64]:
        index = [None, None, None]
        index[axis] = slice(None)  # type: ignore[call-overload]  # a slice among Nones
        return np.broadcast_to(values[tuple(index)], shape3)

    x = table(x_outer + corner, 0) + table(tops * starts[-2], 1) + table(cut[:, 0] * starts[-1], 2)
    out = table(out_outer, 0) + table(tops * op.out_position[-2], 1) + table(cut[:, 0] * op.out_position[-1], 2)
    y = table(tops * g.stride[-2] - g.padding[-2][0], 1)
    fields = [x, out, y, table(cut[:, 4], 2), table(cut[:, 5], 2), table(spans[:, 0], 0), table(spans[:, 1], 0)]
    fields += [table(cut[:, 1], 2), table(cut[:, 2], 2), table(cut[:, 3], 2)]
    return np.ascontiguousarray(np.stack(fields, axis=-1).reshape(-1, len(fields)))
