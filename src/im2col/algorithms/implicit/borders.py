"""Rows of the map cut into tiles: where each starts, and which taps meet the image there and not its padding."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...spec.padded import shown_at
from ...spec.strides import offsets
from .packing import split_evenly

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...spec.geometry import Geometry
    from .view import View

_ZEROS = -1 << 62
"""In place of how far a pixel lies elsewhere: it is a zero of the padding."""
_FEWEST_ROWS = 64
"""A map with fewer rows has them cut, so that threads and caches find pieces."""


class Segment(NamedTuple):
    """Columns of the window that the same positions of a tile see.

    Parameters
    ----------
    mask : int
        Bit m for position m.
    columns : tuple of int
    moved : tuple of int
        For each position by how many pixels the one that it sees lies elsewhere, where padding shows pixels.
    """

    mask: int
    columns: tuple[int, ...]
    moved: tuple[int, ...] = ()


class Run(NamedTuple):
    """Neighbouring tiles of every row that are alike."""

    column: int
    positions: int
    segments: tuple[Segment, ...]
    tiles: int


def tile_runs(g: Geometry, most: int, mode: str = "constant") -> list[Run]:
    """Cut a row of positions evenly into tiles, and gather those that see the padding alike, of one mode."""
    runs: list[Run] = []
    column = 0
    for size, count in split_evenly(g.output_shape[-1], most):
        low, high = _inside(g, size, column, count)
        runs += [_at_the_border(g, column + i * size, size, mode) for i in range(low)]
        if low < high:
            everything = (Segment((1 << size) - 1, tuple(range(g.kernel_size[-1]))),)
            runs.append(Run(column + low * size, size, everything, high - low))
        runs += [_at_the_border(g, column + i * size, size, mode) for i in range(high, count)]
        column += size * count
    merged: list[Run] = []
    for run in runs:
        before = merged[-1] if merged else None
        if before and before[1:3] == run[1:3] and before.column + before.tiles * before.positions == run.column:
            merged[-1] = before._replace(tiles=before.tiles + run.tiles)
        else:
            merged.append(run)
    return merged


def inside(g: Geometry, axis: int) -> tuple[int, int]:
    """Return the positions [first, stop) along an axis of which every tap meets the image."""
    n, s, (before, _), span = g.spatial_shape[axis], g.stride[axis], g.padding[axis], g.span[axis]
    first, stop = -(-before // s), (n + before - span) // s + 1
    return (first, stop) if first < stop else (0, 0)


def _inside(g: Geometry, size: int, column: int, count: int) -> tuple[int, int]:
    """Return the tiles [first, stop) of a row of equal tiles none of whose taps can meet the padding."""
    (first, last), *_, (_, stop) = g.positions_inside(g.ndim - 1) * 2
    if first == last:
        return 0, 0  # the first tap never meets the image
    low = max(0, -(-(first - column) // size))
    high = min(count, (stop - column) // size)
    return (low, high) if low < high else (0, 0)


def _at_the_border(g: Geometry, column: int, size: int, mode: str) -> Run:
    """Return one tile, its taps gathered by the positions that see the image there, or by the pixels that they see."""
    if mode != "constant":
        moves: dict[tuple[int, ...], list[int]] = {}
        for kx, moved in enumerate(_moved(g, g.ndim - 1, mode, np.arange(column, column + size)).T.tolist()):
            moves.setdefault(tuple(moved), []).append(kx)
        full = (1 << size) - 1
        return Run(column, size, tuple(Segment(full, tuple(each), moved) for moved, each in moves.items()), 1)
    masks: dict[int, list[int]] = {}
    sees = g.taps_inside(g.ndim - 1, range(column, column + size)).tolist()
    for kx in range(g.kernel_size[-1]):
        mask = sum(1 << m for m, (first, stop) in enumerate(sees) if first <= kx < stop)
        if mask:
            masks.setdefault(mask, []).append(kx)
    return Run(column, size, tuple(Segment(mask, tuple(columns)) for mask, columns in masks.items()), 1)


def _moved(g: Geometry, axis: int, mode: str, positions: NDArray[np.int64], step: int = 1) -> NDArray[np.int64]:
    """Return for some positions and each tap of an axis how far the pixel that is seen lies elsewhere, or `_ZEROS`."""
    taps = np.arange(g.kernel_size[axis]) * g.dilation[axis]
    places = np.add.outer(positions * g.stride[axis] - g.padding[axis][0], taps)
    shown = shown_at(places, g.spatial_shape[axis], mode)
    return np.where(shown < 0, _ZEROS, (shown - places) * step)


def row_tables(
    view: View, run: Run, kernel: tuple[int, ...], channels: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64], int]]:
    """Return the rows, the spans of taps, and the tiles of a row; twice where rows are cut and leave a remainder."""
    g = view.geometry
    lead = g.output_shape[:-1]
    starts = g.position_strides(view.pixel)
    x = offsets(lead, starts[:-1]) + g.first_pixel(view.pixel) + run.column * starts[-1]
    out = offsets(lead, view.out_position[:-1]) + run.column * view.out_position[-1]
    if view.maps:
        classes, moves = _mapped_classes(view)
        spans = _mapped_spans(kernel, run, moves, channels)
    else:
        classes, kinds = _classes(g)
        spans = _spans(kernel, run, kinds, channels)
    where = classes * (2 * len(run.segments))
    pieces, rest = pieces_of(run, len(x))
    tiles = run.tiles // pieces
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


def pieces_of(run: Run, rows: int) -> tuple[int, int]:
    """Return into how many pieces each of so many rows of the map is cut, and how many tiles are left over."""
    pieces = min(run.tiles, -(-_FEWEST_ROWS // rows))
    return pieces, run.tiles % pieces


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


def _mapped_classes(view: View) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Return for each row of the map of which class it is, and for each class how many bytes taps lie elsewhere.

    That is an array of the leading axes of the window, `_ZEROS` where the tap sees zeros.
    """
    g = view.geometry
    number, combined = np.zeros(1, np.int64), [np.zeros((), np.int64)]
    for axis, mode in enumerate(view.modes[:-1]):
        first, stop = inside(g, axis)
        border = np.r_[:first, stop : g.output_shape[axis]]
        # What lies inside is seen where it is, as by the position that stands for all of those.
        each = np.r_[[first] * (first < stop), border].astype(np.int64)
        distinct, index = np.unique(_moved(g, axis, mode, each, view.pixel[axis]), axis=0, return_inverse=True)
        kinds = np.full(g.output_shape[axis], index.reshape(-1)[0])
        kinds[border] = index.reshape(-1)[len(each) - len(border) :]
        number = np.add.outer(number * len(distinct), kinds).reshape(-1)
        sums = [np.add.outer(prefix, each) for prefix in combined for each in distinct]
        combined = [np.where(each < _ZEROS // 2, _ZEROS, each) for each in sums]
    return number, combined


def _mapped_spans(
    kernel: tuple[int, ...], run: Run, moves: list[NDArray[np.int64]], channels: int
) -> NDArray[np.int64]:
    """Return what `_spans` does, where each span has a third number: how many bytes its pixels lie elsewhere."""
    index: list[tuple[int, int]] = []
    spans: list[NDArray[np.int64]] = []
    pairs = 2 * len(moves) * len(run.segments)
    total = -(-pairs // 3)
    for each in moves:
        for segment in run.segments:
            taps = np.full(kernel, _ZEROS)
            columns = list(segment.columns)
            taps[..., columns] = each[..., None]
            flat = taps.reshape(-1)
            edges = np.flatnonzero(np.diff(flat, prepend=_ZEROS, append=_ZEROS))
            both = np.stack([edges[:-1], edges[1:]], axis=1) * channels
            found = np.concatenate([both, flat[edges[:-1], None]], axis=1)
            found = found[found[:, 2] != _ZEROS]
            index.append((total, total + len(found)))
            spans.append(found.reshape(-1))
            total += len(found)
    table = np.zeros(3 * -(-pairs // 3), np.int64)
    table[:pairs] = np.array(index, np.int64).reshape(-1)
    return np.concatenate([table, *spans]).astype(np.int64)


def _spans(
    kernel: tuple[int, ...], run: Run, kinds: list[tuple[tuple[int, int], ...]], channels: int
) -> NDArray[np.int64]:
    """Return for each class of rows and each segment where its spans of taps stand, then the spans themselves."""
    index: list[tuple[int, int]] = []
    spans: list[NDArray[np.int64]] = []
    total = len(kinds) * len(run.segments)
    for ranges in kinds:
        for segment in run.segments:
            taps = np.zeros(kernel, np.int8)
            taps[tuple(slice(*r) for r in ranges)][..., list(segment.columns)] = 1
            edges = np.flatnonzero(np.diff(taps.reshape(-1), prepend=0, append=0)).reshape(-1, 2) * channels
            index.append((total, total + len(edges)))
            spans.append(edges)
            total += len(edges)
    return np.concatenate([np.array(index, np.int64).reshape(-1, 2), *spans]).astype(np.int64)
