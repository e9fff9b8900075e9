"""Borders that no kernel unrolls: windows about as long as the image, or longer, whose every position sees other taps.

Tiles at a border fall into *segments*, columns of the window that the same positions see, and a kernel has a loop for
each of them: where each of many positions sees other columns, thousands of products would be unrolled, in a pattern for
every tile. There, all tiles are of one pattern: the columns that all positions of the tile see, and before and behind
them those of each position alone. Which columns these are stands in tables, so there are two kernels however long the
window: one for tiles, and one for the few positions that are left over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...spec.strides import offsets, row_major
from .borders import Run, Segment, inside, tile_runs
from .packing import split_evenly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from ...spec.geometry import Geometry
    from .view import View

_MOST_INSTRUCTIONS = 7000, 3500
"""Of a layer's kernels as they are written, about, and of those of one phase of a transpose: all that a call needs are
compiled in half a second."""
_MOST_STEPS = 1 << 14
"""Columns times positions up to which tiles at the border are looked at one by one."""
_MOST_SIDES = 64
"""Pixels of padding up to which each row of the border has an address of its own."""
_SUMS = 8
"""Of a tile at a ragged border: they hide the latency of a product."""


class RaggedRun(NamedTuple):
    """Tiles at the border, whatever columns of the window their positions see.

    Parameters
    ----------
    positions : int
        Of a tile.
    masks : tuple of int
        As `FilterTile.segments`.
    rows : ndarray of int64, (tiles, 3)
        Bytes to the tile's first pixel, bytes to its first result, and where its entry of `spans` stands.
    spans : ndarray of int64
        A pair for each class of rows of the map and each tile: where the class and the tile stand. For each class a
        pair: where the rows of its windows begin and end. For each such row its first tap. For each tile and segment
        the span of its taps in a row of the window.
    """

    positions: int
    masks: tuple[int, ...]
    rows: NDArray[np.int64]
    spans: NDArray[np.int64]


def cut_rows(
    view: View, most: int, instructions: Callable[[list[Run]], int]
) -> tuple[list[Run], tuple[tuple[int, int], ...]]:
    """Cut the rows of the map into tiles of at most `most` positions, so that their kernels stay short.

    Parameters
    ----------
    view : View
    most : int
    instructions : callable
        Returns about how many the kernels of tiles have.

    Returns
    -------
    list of Run
    tuple of (int, int)
        Columns [first, stop) of the map that are a ragged border, which is some only where tiles of all of the map
        would be too much.
    """
    g, apart = view.geometry, view.spread > 1 and view.out_filter != view.out_size
    first, stop = inside(g, g.ndim - 1)
    if _few_steps(g):
        runs = tile_runs(g, most, view.modes[-1])
        # Ragged tiles know no pixels of the image in the padding, wherever the result lies: `maps_windows` has agreed.
        if view.maps or instructions(runs) <= _MOST_INSTRUCTIONS[apart]:
            return runs, ()
    runs, column = [], first
    for length, count in split_evenly(stop - first, most) if first < stop else []:
        everything = tuple(range(g.kernel_size[-1]))
        runs.append(Run(column, length, (Segment((1 << length) - 1, everything),), count))
        column += length * count
    return runs, ((0, first), (stop, g.output_shape[-1]))


def maps_windows(view: View, most: int, instructions: Callable[[list[Run]], int]) -> bool:
    """Return whether borders of the image's own pixels are mapped: they are short, and their kernels no longer."""
    g = view.geometry
    sides = sum(sum(pair) for pair, mode in zip(g.padding, view.modes, strict=True) if mode != "constant")
    if sides > _MOST_SIDES or not _few_steps(g):
        return False
    return instructions(tile_runs(g, most, view.modes[-1])) <= _MOST_INSTRUCTIONS[False]


def _few_steps(g: Geometry) -> bool:
    """Return whether the columns at the border are few enough that tiles there are looked at one by one."""
    first, stop = inside(g, g.ndim - 1)
    return (g.output_shape[-1] - (stop - first)) * g.kernel_size[-1] <= _MOST_STEPS


def ragged_positions(vectors: int) -> int:
    """Return how many positions a tile at a ragged border should have, for so many vectors of filters."""
    return _SUMS // vectors


def ragged_runs(view: View, borders: Iterable[tuple[int, int]], size: int, channels: int) -> list[RaggedRun]:
    """Return the tiles of these columns [first, stop) of the map: of `size` positions, and of one where they end."""
    columns: dict[int, list[NDArray[np.int64]]] = {size: [], 1: []}
    for first, stop in borders:
        whole = stop - (stop - first) % size
        columns[size].append(np.arange(first, whole, size))
        columns[1].append(np.arange(whole, stop))
    found: list[RaggedRun] = []
    if not columns[size] + columns[1]:
        return found
    window = _window_rows(view.geometry, channels)
    for length, several in columns.items():
        starts = np.concatenate(several)
        if len(starts):
            masks, seen = _segments(view.geometry, starts, length)
            found.append(RaggedRun(length, masks, *_tables(view, starts, window, seen * channels)))
    return found


def _segments(g: Geometry, starts: NDArray[np.int64], length: int) -> tuple[tuple[int, ...], NDArray[np.int64]]:
    """Return the masks of segments, and for each tile the columns of the window in each, (tiles, segments, 2)."""
    positions = np.add.outer(starts, np.arange(length))
    sees = g.taps_inside(g.ndim - 1, positions.reshape(-1)).reshape(*positions.shape, 2)
    if length == 1:
        return (1,), sees
    low, high = sees[..., 0].max(axis=1), sees[..., 1].min(axis=1)
    # Where no column is seen by all, each position sees its own, before those that nobody sees.
    low, high = (np.where(low < high, edge, g.kernel_size[-1])[:, None] for edge in (low, high))
    before = np.stack([sees[..., 0], np.minimum(sees[..., 1], low)], axis=-1)
    behind = np.stack([np.maximum(sees[..., 0], high), sees[..., 1]], axis=-1)
    each = tuple(1 << m for m in range(length))
    return (*each, (1 << length) - 1, *each), np.concatenate([before, np.stack([low, high], axis=-1), behind], axis=1)


class _WindowRows(NamedTuple):
    """Which rows of the window the rows of the map see: the class of each row of the map, and the rows of each class.

    Those are entries [first, stop) of `taps`, which holds the first tap of a row.
    """

    classes: NDArray[np.int64]
    ranges: NDArray[np.int64]
    taps: NDArray[np.int64]


def _window_rows(g: Geometry, channels: int) -> _WindowRows:
    """Return the rows of the window that are seen; those of a range of taps of the first axis lie side by side."""
    steps = row_major(g.kernel_size, channels)
    number, rows = np.zeros(1, np.int64), [np.zeros(1, np.int64)]
    ranges, taps = np.array([(0, 1)], np.int64), rows[0]
    for axis in reversed(range(g.ndim - 1)):
        sees = g.taps_inside(axis, range(g.output_shape[axis]))
        kinds, which = np.unique(sees, axis=0, return_inverse=True)
        number = np.add.outer(which.reshape(-1) * len(rows), number).reshape(-1)
        if axis == 0:
            # Of each class so far the rows under every tap of this axis, one tap behind the other.
            counts = np.array([len(each) for each in rows], np.int64)
            whole = g.kernel_size[0] * counts
            ranges = (kinds[:, None, :] * counts[:, None] + (np.cumsum(whole) - whole)[:, None]).reshape(-1, 2)
            every = np.arange(g.kernel_size[0]) * steps[0]
            taps = np.concatenate([np.add.outer(every, each).reshape(-1) for each in rows])
        else:
            rows = [np.add.outer(np.arange(*kind) * steps[axis], each).reshape(-1) for kind in kinds for each in rows]
    return _WindowRows(number, ranges, taps)


def _tables(
    view: View, columns: NDArray[np.int64], window: _WindowRows, segments: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows and the spans of a run of tiles that start at these columns of each row of the map."""
    g = view.geometry
    lead, kinds, tiles = g.output_shape[:-1], len(window.ranges), len(columns)
    starts = g.position_strides(view.pixel)
    x = np.add.outer(offsets(lead, starts[:-1]) + g.first_pixel(view.pixel), columns * starts[-1])
    out = np.add.outer(offsets(lead, view.out_position[:-1]), columns * view.out_position[-1])
    at_ranges = 2 * kinds * tiles
    at_taps = at_ranges + 2 * kinds
    at_segments = at_taps + len(window.taps)
    entries = np.empty((kinds, tiles, 2), np.int64)
    entries[..., 0] = at_ranges + 2 * np.arange(kinds)[:, None]
    entries[..., 1] = at_segments + 2 * segments.shape[1] * np.arange(tiles)
    spans = np.concatenate([each.reshape(-1) for each in (entries, at_taps + window.ranges, window.taps, segments)])
    entry = 2 * np.add.outer(window.classes * tiles, np.arange(tiles))
    return np.ascontiguousarray(np.stack([each.reshape(-1) for each in (x, out, entry)], axis=1)), spans
