"""What a selection lights: cells whose coordinates belong to it. The page's `highlight.js` has the same rules."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..importing import importing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .pictured_layer import PicturedLayer
    from .plane import Plane, Selection

NOT, LIT, FOCUS = 0, 1, 2
PIXELS = ("pixel", "tile-pixel", "address", "sum", "count", "mean")
ENTRIES = ("entry", "entry-address")


class Light(NamedTuple):
    """How the cells of a plane are lit.

    Parameters
    ----------
    level : ndarray of int, (rows, columns)
        0 not, 1 lit, 2 the one cell that is pointed at.
    order : ndarray of int, (rows, columns)
        The cell's number in the flattened patch, from 1; 0 for none.
    """

    level: NDArray[np.int64]
    order: NDArray[np.int64]


def highlight(layer: PicturedLayer, plane: Plane, selection: Selection) -> Light:
    """Return which shown cells of a plane a selection lights.

    Parameters
    ----------
    layer : PicturedLayer
        Of the plane's scene.
    plane : Plane
    selection : Selection

    Returns
    -------
    Light
        An output cell lights its patch, its row of the matrix and its filter; a row its patch and its pixel in all
        maps; a column its tap and the pixels that the tap reads; a pixel its copies; a filter element its column of the
        matrix. Where tiles are drawn, an output cell lights its tile; where factors are, what both passes read for it.
    """
    level, order = (np.zeros(plane.shape, np.int64) for _ in range(2))
    light = Light(level, order)
    image = plane.coordinate("image")
    if (
        selection.is_empty
        or plane.mode == "block"
        or (image is not None and image.size and image[0, 0] != selection.image)
    ):
        return light
    ranks = tap_ranks(layer, selection.filter)
    if plane.what in PIXELS:
        _light_pixels(layer, plane, selection, ranks, light)
    elif plane.what in ENTRIES:
        _light_entries(layer, plane, selection, ranks, light)
    elif plane.what.startswith("tile-"):
        _light_tiles(layer, plane, selection, light)
    elif plane.what.startswith("factor-") and "filter" not in plane.coordinates:
        _light_factors(layer, plane, selection, light)
    else:
        _light_others(plane, selection, ranks, light)
    level[plane.blank] = order[plane.blank] = 0
    return light


def tap_ranks(layer: PicturedLayer, filter_: int | None) -> NDArray[np.int64]:
    """Return each tap's number among those that a filter reads, from 1; 0 where it does not. Shape (taps,)."""
    read = np.ones(layer.taps, bool) if filter_ is None else layer.reads(filter_)
    return np.asarray(np.where(read, np.cumsum(read), 0))


def _light_pixels(layer: PicturedLayer, plane: Plane, s: Selection, ranks: NDArray[np.int64], light: Light) -> None:
    pixel = plane.the("pixel")
    if s.pixel is not None:
        light.level[layer.sources[pixel] == layer.sources[s.pixel]] = LIT  # its copies in the padding, too
        light.level[pixel == s.pixel] = FOCUS
    elif s.position is not None:
        window = layer.position_pixels[s.position] + layer.tap_pixels
        if plane.what == "tile-pixel":
            window, ranks = _tile(layer, s.position)
        by_pixel = np.zeros(math.prod(layer.padded_shape), np.int64)
        by_pixel[window] = ranks
        light.order[...] = by_pixel[pixel]
        light.level[light.order > 0] = LIT
        if s.tap is not None and plane.what != "tile-pixel":
            light.level[(light.order > 0) & (pixel == window[s.tap])] = FOCUS
    elif s.tap is not None:
        light.level[np.isin(pixel, layer.position_pixels + layer.tap_pixels[s.tap])] = LIT


def _light_entries(layer: PicturedLayer, plane: Plane, s: Selection, ranks: NDArray[np.int64], light: Light) -> None:
    position, tap = plane.the("position"), plane.the("tap")
    if s.pixel is not None:
        shown = layer.position_pixels[position] + layer.tap_pixels[tap]
        light.level[layer.sources[shown] == layer.sources[s.pixel]] = LIT
    elif s.position is not None:
        row = (position == s.position) & (ranks[tap] > 0)
        light.level[row] = LIT
        light.order[row] = ranks[tap][row]
        light.level[row & (tap == s.tap)] = FOCUS
    elif s.tap is not None:
        light.level[tap == s.tap] = LIT


def _light_others(plane: Plane, s: Selection, ranks: NDArray[np.int64], light: Light) -> None:
    position, tap, filter_ = (plane.coordinate(name) for name in ("position", "tap", "filter"))
    every = np.ones(plane.shape, bool)
    same_filter = every if filter_ is None or s.filter is None else filter_ == s.filter
    if tap is not None:  # weights and tap offsets
        if s.position is not None and (s.filter is not None or filter_ is None):
            lit = same_filter & (ranks[tap] > 0)
            light.level[lit] = LIT
            light.order[lit] = ranks[tap][lit]
            light.level[lit & (tap == s.tap)] = FOCUS
        elif s.tap is not None:
            light.level[same_filter & (tap == s.tap)] = LIT if s.filter is None or filter_ is None else FOCUS
    elif position is not None:  # outputs, partial sums, stops and row offsets
        if s.position is not None:
            exact = s.filter is not None and filter_ is not None
            light.level[same_filter & (position == s.position)] = FOCUS if exact else LIT
        elif s.tap is not None and s.filter is not None and filter_ is not None:
            light.level[same_filter] = LIT  # each product of the element goes to one cell of its map


def _tile(layer: PicturedLayer, position: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pixels of a position's tile that lie in the image, and their numbers in the tile, from 1."""
    with importing:
        from .winograd import Tiles

    tiles = Tiles(layer)
    pixels = tiles.pixel(tiles.tile_of(position), np.arange(tiles.size))
    inside = np.flatnonzero(pixels >= 0)
    return pixels[inside], inside + 1


def _light_tiles(layer: PicturedLayer, plane: Plane, s: Selection, light: Light) -> None:
    with importing:
        from .winograd import Tiles

    tiles, (level, order) = Tiles(layer), light
    c = {name: plane.the(name) for name in plane.coordinates}
    if s.pixel is not None:
        if plane.what == "tile-entry":
            shown = tiles.pixel(c["tile"], c["element"])
            level[(shown >= 0) & (layer.sources[shown] == layer.sources[s.pixel])] = LIT
    elif s.position is not None:
        tile = tiles.tile_of(s.position)
        if "tile" in c:
            level[c["tile"] == tile] = LIT
            if "element" in c:
                order[level > 0] = c["element"][level > 0] + 1
            if "result" in c:
                level[tiles.position(c["tile"], c["result"]) == s.position] = FOCUS
        elif "result" in c:  # what makes this result of the products
            level[tiles.position(tile, c["result"]) == s.position] = LIT
        elif plane.what == "tile-kernel":
            level[...] = LIT
    elif s.tap is not None:
        if "weight" in c:
            level[c["weight"] == s.tap] = LIT
        elif plane.what == "tile-kernel":
            level[tiles.of_weights[c["point"], s.tap] != 0] = LIT


def _light_factors(layer: PicturedLayer, plane: Plane, s: Selection, light: Light) -> None:
    with importing:
        from .separable import Factors

    factors, (level, order) = Factors(layer), light
    c = {name: plane.the(name) for name in plane.coordinates}
    if s.pixel is not None:
        if plane.what == "factor-entry":
            level[layer.sources[factors.pixel(c["place"], c["down"])] == layer.sources[s.pixel]] = LIT
    elif s.position is not None:
        if "place" in c:
            level[np.isin(c["place"], factors.places(s.position))] = LIT
        elif "position" in c:
            level[c["position"] == s.position] = LIT
            order[level > 0] = c["across"][level > 0] + 1
        else:
            level[...] = LIT
    elif s.tap is not None:
        for name, number in zip(("down", "across"), divmod(s.tap, layer.geometry.kernel_size[1]), strict=True):
            if name in c:
                level[c[name] == number] = LIT
