"""The table of rows of a tile whose lanes are positions: which pieces a row of the map is cut into, and their masks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ....spec.strides import offsets

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..view import View
    from .mapped import Reach


class Piece(NamedTuple):
    """A piece of a row: its first column, its tiles, those [plain0, plain1) that need no mask, and its masks.

    The last tile starts at column `ends` of the piece: rather than beyond the map, it reaches back into the one before.
    """

    column: int
    tiles: int
    plain0: int
    plain1: int
    seen: int
    ends: int


def pieces_of(view: View, reach: Reach, most: int) -> tuple[list[Piece], NDArray[np.signedinteger]]:
    """Cut the columns into pieces of at most `most` tiles; return them and the masks, -1 for what is there."""
    g = view.geometry
    n, s, (before, _) = g.spatial_shape[-1], g.stride[-1], g.padding[-1]
    columns, tile = g.output_shape[-1], reach.tile
    there = min(tile, columns)
    kind = np.dtype(f"i{view.size}")
    pieces: list[Piece] = []
    tables: dict[bytes, int] = {}
    for start in range(0, columns, most * tile):
        first = min(start, columns - there)
        ends = min(most * tile, columns - first) - there
        tiles = -(-ends // tile) + 1
        # A tile at column i of the piece reads pixels from (first + i) · s - before on, all that its lanes reach.
        least, last = before - first * s, n + before - first * s - reach.pixels
        low = max(0, -(-least // (tile * s))) if least <= ends * s else tiles
        high = tiles if ends * s <= last else last // (tile * s) + 1
        low, high = (low, high) if low < high else (0, 0)
        seen = 0
        # A kernel that stores results apart reads a mask for every tile.
        if high - low < tiles or view.spread > 1:
            pixels = np.arange(ends * s + reach.pixels) + first * s - before
            key = (-((pixels >= 0) & (pixels < n)).astype(kind)).tobytes()
            seen = tables.setdefault(key, sum(map(len, tables)))
        pieces.append(Piece(first, tiles, low, high, seen, ends))
    return pieces, np.frombuffer(b"".join(tables) or bytes(view.size), kind)


def rows_of(view: View, rows: int, pieces: list[Piece], channels: int) -> NDArray[np.int64]:
    """Return the table of rows of tiles that have so many rows of the map; see `position_tile.ROW`."""
    g = view.geometry
    height = g.output_shape[-2]
    # The last tile reaches up into the one before it, rather than beyond the map.
    tops = np.minimum(np.arange(0, height, rows), height - rows)
    outer = g.output_shape[:-2]
    starts = g.position_strides(view.pixel)
    x_outer, out_outer = offsets(outer, starts[: len(outer)]), offsets(outer, view.out_position[: len(outer)])
    spans = np.array([(0, channels)] * len(x_outer), np.int64)
    if len(outer) == 1:
        spans = g.taps_inside(0, range(outer[0])) * channels
    elif outer:
        spans = np.array([(0, channels * int(np.prod(g.kernel_size[:-2])))] * len(x_outer), np.int64)
    cut = np.array(pieces, np.int64)
    shape3 = (len(x_outer), len(tops), len(pieces))

    def table(values: NDArray[np.int64], axis: int) -> NDArray[np.int64]:
        index = [None, None, None]
        index[axis] = slice(None)  # type: ignore[call-overload]  # a slice among Nones
        return np.broadcast_to(values[tuple(index)], shape3)

    x = table(x_outer + g.first_pixel(view.pixel), 0) + table(tops * starts[-2], 1) + table(cut[:, 0] * starts[-1], 2)
    out = table(out_outer, 0) + table(tops * view.out_position[-2], 1) + table(cut[:, 0] * view.out_position[-1], 2)
    y = table(tops * g.stride[-2] - (g.padding[-2][0] if view.modes[-2] == "constant" else 0), 1)
    fields = [x, out, y, table(cut[:, 4], 2), table(cut[:, 5], 2), table(spans[:, 0], 0), table(spans[:, 1], 0)]
    fields += [table(cut[:, 1], 2), table(cut[:, 2], 2), table(cut[:, 3], 2)]
    return np.ascontiguousarray(np.stack(fields, axis=-1).reshape(-1, len(fields)))
