"""Rows of the map cut into tiles: where each starts, and which taps meet the image there and not its padding."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...spec.strides import offsets
from .packing import split_evenly

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...spec.geometry import Geometry
    from .view import View

_FEWEST_ROWS = 64
"""A map with fewer rows has them cut, so that threads and caches find pieces."""


class Run(NamedTuple):
    """Neighbouring tiles of every row that are alike."""

    column: int
    positions: int
    segments: tuple[tuple[int, tuple[int, ...]], ...]
    """(mask of positions, columns of the window) for each segment."""
    tiles: int


def tile_runs(g: Geometry, most: int) -> list[Run]:
    """Cut a row of positions evenly into tiles, and gather those that see the padding alike."""
    runs: list[Run] = []
    column = 0
    for size, count in split_evenly(g.output_shape[-1], most):
        low, high = _inside(g, size, column, count)
        runs += [_at_the_border(g, column + i * size, size) for i in range(low)]
        if low < high:
            everything = (((1 << size) - 1, tuple(range(g.kernel_size[-1]))),)
            runs.append(Run(column + low * size, size, everything, high - low))
        runs += [_at_the_border(g, column + i * size, size) for i in range(high, count)]
        column += size * count
    merged: list[Run] = []
    for run in runs:
        before = merged[-1] if merged else None
        if before and before[1:3] == run[1:3] and before.column + before.tiles * before.positions == run.column:
            merged[-1] = before._replace(tiles=before.tiles + run.tiles)
        else:
            merged.append(run)
    return merged


def _inside(g: Geometry, size: int, column: int, count: int) -> tuple[int, int]:
    """Return the tiles [first, stop) of a row of equal tiles none of whose taps can meet the padding."""
    (first, last), *_, (_, stop) = g.positions_inside(g.ndim - 1) * 2
    if first == last:
        return 0, 0  # the first tap never meets the image
    low = max(0, -(-(first - column) // size))
    high = min(count, (stop - column) // size)
    return (low, high) if low < high else (0, 0)


def _at_the_border(g: Geometry, column: int, size: int) -> Run:
    """Return one tile, its taps gathered by the positions that see the image there."""
    masks: dict[int, list[int]] = {}
    sees = g.taps_inside(g.ndim - 1, range(column, column + size)).tolist()
    for kx in range(g.kernel_size[-1]):
        mask = sum(1 << m for m, (first, stop) in enumerate(sees) if first <= kx < stop)
        if mask:
            masks.setdefault(mask, []).append(kx)
    return Run(column, size, tuple((mask, tuple(columns)) for mask, columns in masks.items()), 1)


def row_tables(
    view: View, run: Run, kernel: tuple[int, ...], channels: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64], int]]:
    """Return the rows, the spans of taps, and the tiles of a row; twice where rows are cut and leave a remainder."""
    g = view.geometry
    lead = g.output_shape[:-1]
    starts = g.position_strides(view.pixel)
    x = offsets(lead, starts[:-1]) + g.first_pixel(view.pixel) + run.column * starts[-1]
    out = offsets(lead, view.out_position[:-1]) + run.column * view.out_position[-1]
    classes, kinds = _classes(g)
    spans = _spans(kernel, run, kinds, channels)
    where = classes * (2 * len(run.segments))
    pieces = min(run.tiles, -(-_FEWEST_ROWS // len(x)))
    tiles, rest = divmod(run.tiles, pieces)
    tables = []
    whole = run.tiles - rest
    for first, stop, length in ((0, whole, tiles), (whole, run.tiles, 1)):
        if first < stop:
            steps = np.arange(first, stop, length) * run.positions
            columns = [
                np.add.outer(table, steps * step).reshape(-1)
                for table, step in ((x, starts[-1]), (out, view.out_position[-1]), (where, 0))
            ]
            tables.append((np.ascontiguousarray(np.stack(columns, axis=1)), spans, length))
    return tables


def _classes(g: Geometry) -> tuple[NDArray[np.int64], list[tuple[tuple[int, int], ...]]]:
    """Return for each row of the map which taps of the leading axes see the image, as a number, and what it means."""
    number = np.zeros((1,), np.int64)
    combined: list[tuple[tuple[int, int], ...]] = [()]
    for axis, n in enumerate(g.output_shape[:-1]):
        base = g.kernel_size[axis] + 1
        first, stop = g.taps_inside(axis, np.arange(n)).T
        distinct, index = np.unique(first * base + stop, return_inverse=True)
        number = np.add.outer(number * len(distinct), index).reshape(-1)
        ranges = [divmod(each, base) for each in distinct.tolist()]
        combined = [(*prefix, r) for prefix in combined for r in ranges]
    return number, combined


def _spans(
    kernel: tuple[int, ...], run: Run, kinds: list[tuple[tuple[int, int], ...]], channels: int
) -> NDArray[np.int64]:
    """Return for each class of rows and each segment where its spans of taps stand, then the spans themselves."""
    index: list[tuple[int, int]] = []
    spans: list[NDArray[np.int64]] = []
    total = len(kinds) * len(run.segments)
    for ranges in kinds:
        for _, columns in run.segments:
            taps = np.zeros(kernel, np.int8)
            taps[tuple(slice(*r) for r in ranges)][..., list(columns)] = 1
            edges = np.flatnonzero(np.diff(taps.reshape(-1), prepend=0, append=0)).reshape(-1, 2) * channels
            index.append((total, total + len(edges)))
            spans.append(edges)
            total += len(edges)
    return np.concatenate([np.array(index, np.int64).reshape(-1, 2), *spans]).astype(np.int64)
