"""Borders of the image's own pixels for tiles whose lanes are positions: nothing is copied, addresses are mapped.

A row of the border is a row of the image at another address. Along a row, only the first and the last tile meet the
border; what their lanes see there are pixels of the row's first vector and of its last one, in another order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ....spec.padded import shown_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ....spec.geometry import Geometry
    from ..view import View


class Border(NamedTuple):
    """What the tiles at one end of the rows see.

    Parameters
    ----------
    first : int
        The pixel under the tile's first tap: counted from the row's first one, or from behind its last one.
    from_end : bool
        Which of the two.
    dilation : int
        Columns between neighbouring taps.
    width : int
        Pixels of a row where one tile meets both ends; else 0, and the kernel serves rows of any length.
    sources : tuple of int
        For each pixel of the tile from its first tap on, which one of the row it shows: from the first one on, or
        negative, as Python counts from the end.
    """

    first: int
    from_end: bool
    dilation: int
    width: int
    sources: tuple[int, ...]


class Reach(NamedTuple):
    """How far a tile reaches along a row: its positions, the pixels that it may load, and those of one load."""

    tile: int
    pixels: int
    load: int


def maps_columns(view: View, reach: Reach) -> bool:
    """Return whether the ends of rows are mapped, for tiles that reach so far."""
    g = view.geometry
    between, last = g.output_shape[-1] - 2 * reach.tile, _last_inside(g, reach)
    # The ends are two loads, and tiles between the first and the last one meet no border.
    ends = reach.load <= g.spatial_shape[-1] and max(g.padding[-1]) < reach.load
    return ends and (between <= 0 or (last >= between and last * g.stride[-1] >= g.padding[-1][0]))


def maps_rows(view: View) -> bool:
    """Return whether rows of the border are rows of the image, and no axis before them has such a border."""
    rows, columns = (mode != "constant" for mode in view.modes[-2:])
    if any(mode != "constant" for mode in view.modes[:-2]):
        return False
    # A row of zeros is no row of the image, which has two ends.
    return rows or not (columns and any(view.geometry.padding[-2]))


def _last_inside(g: Geometry, reach: Reach) -> int:
    """Return the last column of the map at which a tile reads no pixel behind the row's last one."""
    return (g.spatial_shape[-1] + g.padding[-1][0] - reach.pixels) // g.stride[-1]


def mapped_pieces(view: View, reach: Reach, most: int) -> list[tuple[int, int, int, int, int, int]]:
    """Cut the columns into pieces as `positions.pieces` does: the first and the last tile stand alone."""
    g, tile = view.geometry, reach.tile
    last = max(0, g.output_shape[-1] - tile)
    pieces = [(0, 1, 1, 1, 0, 0)]
    for start in range(tile, last, most * tile):
        # The last tile reaches back rather than into what the border's own tile computes, or over the row's end.
        covered = min(most * tile, last - start)
        first = start if covered >= tile else min(start, _last_inside(g, reach))
        tiles = -(-covered // tile)
        pieces.append((first, tiles, 0, tiles, 0, max(0, covered - tile)))
    return [*pieces, (last, 1, 0, 0, 0, 0)] if last else pieces


def borders(view: View, reach: Reach) -> tuple[Border, ...]:
    """Return what the first and the last tile of a row see: one if it is the same tile, none if nothing is mapped."""
    g, mode = view.geometry, view.modes[-1]
    if mode == "constant":
        return ()
    n, s, (before, after), columns = g.spatial_shape[-1], g.stride[-1], g.padding[-1], g.output_shape[-1]
    last = max(0, columns - reach.tile)
    count = reach.pixels + reach.load  # whole loads
    found, wraps = [], mode == "wrap"
    for column in (0, last)[: 1 + (last > 0)]:
        first = column * s - before
        pixels = np.minimum(np.arange(first, first + count), n + after - 1)
        sources = shown_at(pixels, n, mode)
        if column == 0 and count - before <= n:
            sources = np.where((pixels < 0) & wraps, sources - n, sources)
            found.append(Border(first, False, g.dilation[-1], 0, tuple(sources.tolist())))
        elif column and first >= 0:
            sources = np.where((pixels >= n) & wraps, sources, sources - n)
            found.append(Border(first - n, True, g.dilation[-1], 0, tuple(sources.tolist())))
        else:
            found.append(Border(first, False, g.dilation[-1], n, tuple(sources.tolist())))
    return tuple(found)


def shown_pixels(view: View, start: int, count: int) -> tuple[int, ...]:
    """Return which pixels stand for so many of a row from `start` on, counted from there."""
    shown = shown_at(np.arange(start, start + count), view.geometry.spatial_shape[-1], view.modes[-1])
    return tuple((shown - start).tolist())


def moved_rows(view: View) -> NDArray[np.int64]:
    """Return for each row of the padded image how many bytes later its row of the image lies; none if none moves."""
    if view.modes[-2] == "constant":
        return np.empty(0, np.int64)
    g = view.geometry
    n, (before, after) = g.spatial_shape[-2], g.padding[-2]
    places = np.arange(-before, n + after)
    return (shown_at(places, n, view.modes[-2]) - places) * view.pixel[-2]
