"""Overlapping tiles of an image, for any function, and one image of the results: a weighted fold of large windows."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..engine.host import array_bytes, require_memory
from ..errors import ArgumentError, GeometryError, named, shown
from ..spec import layout as layouts
from ..spec.arguments import is_a, per_axis, plain
from ..spec.arrays import as_array, check_numbers, check_output
from ..spec.foreign import kind_of, returned
from ..spec.padded import modes_along, shown_at
from ..spec.padding import check_mode
from .blending import add_weighted, blending_of
from .frame import resolve_frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import ArrayLike, NDArray

    from ..spec.geometry import Geometry, Window
    from ..spec.layout import Layout
    from ..spec.padding import PaddingMode

    Array = NDArray[Any]


@dataclass(frozen=True)
class TileGrid:
    """How an image is cut: the windows of a geometry, whose stride is a tile without its overlap.

    Parameters
    ----------
    layout : Layout
        Of the image.
    geometry : Geometry
        Padded behind the image, up to a whole number of tiles.
    image : ndarray, optional
        What tiles are views of, which results must not overwrite meanwhile; another process has none.
    """

    layout: Layout
    geometry: Geometry
    image: Array | None = field(default=None, compare=False, repr=False)

    def __reduce__(self) -> tuple[type[TileGrid], tuple[Layout, Geometry]]:
        return TileGrid, (self.layout, self.geometry)

    @property
    def shape(self) -> tuple[int, ...]:
        """How many tiles there are along each spatial axis."""
        return self.geometry.output_shape

    @property
    def axes(self) -> tuple[int, ...]:
        """The numbers of the spatial axes in an array."""
        return tuple(map(self.layout.axes.index, self.layout.spatial))


class Tile(NamedTuple):
    """A piece of an image.

    Parameters
    ----------
    pixels : ndarray
        The image's axes, those of space as long as the tile: a read-only view, or a padded copy at the image's end.
    place : tuple of int
        The number of the tile along each spatial axis.
    grid : TileGrid
    """

    pixels: Array
    place: tuple[int, ...]
    grid: TileGrid


@named
def iter_tiles(
    x: ArrayLike,
    size: Window,
    *,
    overlap: Window = 0,
    padding_mode: PaddingMode = "reflect",
    layout: str | None = None,
) -> Iterator[Tile]:
    """Cut an image into overlapping tiles of one size, row by row.

    They are the windows of ``im2col(x, size, stride=size - overlap, padding="multiple")``, one after the other.

    Parameters
    ----------
    x : array_like
        The image, as for `im2col`.
    size : int or tuple of int
        Of a tile, along each spatial axis.
    overlap : int or tuple of int
        Pixels that neighbours share, less than `size`.
    padding_mode : str or mapping of str to str
        What the last tiles show behind the image, where they reach beyond it: as for `im2col`, zeros if it is
        ``"constant"``.
    layout : str, optional
        The axes of `x`, as for `im2col`.

    Returns
    -------
    iterator of Tile
        The ``pixels`` of each are a read-only view of the image, or a copy where it reaches beyond the image's end; of
        the tensors and arrays of other packages a copy of their kind.

    Raises
    ------
    GeometryError, LayoutError, ArgumentError, DTypeError
        If an argument does not fit, before the first tile.

    See Also
    --------
    blend_tiles : one image of the results.

    Examples
    --------
    >>> import numpy as np
    >>> from im2col import iter_tiles
    >>> [tile.pixels.tolist() for tile in iter_tiles(np.arange(5), (3,), overlap=1)]
    [[0, 1, 2], [2, 3, 4]]
    """
    image = as_array("x", x, objects=True)
    grid, mode = tile_grid(image.shape, size, overlap, padding_mode, layout)
    source = image.view()
    source.flags.writeable = False
    return _tiles(source, replace(grid, image=source), mode, kind_of(x))


def tile_grid(
    shape: tuple[int, ...], size: Window, overlap: Window, padding_mode: PaddingMode, layout: str | None
) -> tuple[TileGrid, tuple[str, ...]]:
    """Return how an image of some shape is cut, and the padding mode along each spatial axis.

    Parameters
    ----------
    shape : tuple of int
    size, overlap, padding_mode, layout
        As for `iter_tiles`.

    Raises
    ------
    GeometryError, LayoutError, ArgumentError
    """
    spatial = layouts.spatial_ndim(size, layout, len(shape))
    sizes, overlaps = per_axis("size", size, spatial, 1), per_axis("overlap", overlap, spatial, 0)
    if any(o >= s for s, o in zip(sizes, overlaps, strict=True)):
        raise GeometryError(f"overlap must be less than the size of a tile, {sizes}, got {overlaps}; use larger tiles")
    steps = tuple(s - o for s, o in zip(sizes, overlaps, strict=True))
    frame = resolve_frame(shape, sizes, steps, "multiple", 1, layout)
    mode = modes_along(check_mode(padding_mode, frame.layout, frame.geometry), spatial)
    return TileGrid(frame.layout, frame.geometry), mode


def _tiles(image: Array, grid: TileGrid, mode: tuple[str, ...], kind: Any) -> Iterator[Tile]:
    for place in itertools.product(*map(range, grid.shape)):
        pixels = _pixels(image, grid, place, mode)
        # Of other kinds they are copies: not all know views, or what may only be read.
        yield Tile(pixels if kind is None else returned(kind, pixels.copy()), place, grid)


def _pixels(image: Array, grid: TileGrid, place: tuple[int, ...], mode: tuple[str, ...]) -> Array:
    """Return the pixels of a tile."""
    g, pixels = grid.geometry, image
    for along, number, size, step, n, name in zip(
        grid.axes, place, g.kernel_size, g.stride, g.spatial_shape, mode, strict=True
    ):
        first, before = number * step, (slice(None),) * along
        if first + size <= n:
            pixels = pixels[(*before, slice(first, first + size))]
        else:
            places = shown_at(np.arange(first, first + size), n, name)
            pixels = np.take(pixels, places, axis=along)
            pixels[(*before, places < 0)] = 0
    return pixels


@named
def blend_tiles(results: Iterable[tuple[Tile, ArrayLike]], *, margin: Window = 0, out: Array | None = None) -> Array:
    """Put the results of all tiles of an image together: where tiles overlap, one fades into the next.

    Parameters
    ----------
    results : iterable of (Tile, array_like)
        Each tile of `iter_tiles`, in any order, and what a function made of its pixels: the same axes, of which those
        of space may be longer or shorter by a factor, and the channels as many as they like.
    margin : int or tuple of int
        Pixels of the image, along each spatial axis, that are left out where a tile ends within the image: those for
        which the function would have seen more. With half the overlap, at most, a function of the neighbourhood gives
        what it gives for the whole image.
    out : ndarray, optional
        Where to write; of the result's shape and dtype, no memory shared with the image.

    Returns
    -------
    ndarray
        A new array (or `out`) in the layout of the image, its spatial axes longer or shorter by the same factor. Sums
        of the results, with weights that rise and fall evenly within the overlap and add up to 1: of floats in their
        own dtype, of integers in the float that holds them.

    Raises
    ------
    ArgumentError, GeometryError, ShapeError, DTypeError, OutputError
        If tiles are missing, come twice or belong to several images, results differ in their shapes, or margins are
        more than tiles share.
    MemoryBudgetError
        If the result would not fit the available memory.
    Exception
        What the iterable raises itself, as a function of the tiles may, comes out as it is.

    See Also
    --------
    iter_tiles : the tiles.
    col2im : the sum without weights.

    Notes
    -----
    Along each axis a tile's weights rise and fall evenly between the margins, and are divided by the sum of all tiles':
    the image's borders, and what one tile alone covers, come out as they are.

    Examples
    --------
    >>> import numpy as np
    >>> from im2col import blend_tiles, iter_tiles
    >>> x = np.arange(12.0).reshape(3, 4)
    >>> blend_tiles((tile, 2 * tile.pixels) for tile in iter_tiles(x, 2, overlap=1))
    array([[ 0.,  2.,  4.,  6.],
           [ 8., 10., 12., 14.],
           [16., 18., 20., 22.]])
    """
    blend: _Blend | None = None
    for each in _each(results):
        tile, value = _pair(each)
        result = as_array("result", value)
        check_numbers("result", result.dtype)
        if blend is None:
            kind = kind_of(value)
            written = as_array("out", out) if kind is not None and kind_of(out) is kind else out
            blend = _Blend(tile.grid, result, margin, written)
        blend.add(tile, result)
    if blend is None:
        raise ArgumentError("results is empty; pass (tile, result) for every tile of iter_tiles")
    blend.check_all()
    return returned(kind, blend.image) if out is None else out


def _each(results: Any) -> Iterator[Any]:
    """Yield what a user passed, one by one.

    Raises
    ------
    ArgumentError
        For what is no iterable.
    Exception
        Its own, which is another function's.
    """
    try:
        # What has places alone is none.
        found: Iterator[Any] | None = iter(results) if hasattr(type(results), "__iter__") else None
    except Exception:  # an object's own error
        found = None
    if found is None:
        raise _not_pairs(results)
    try:
        yield from found
    except Exception as cause:
        if hasattr(type(results), "shape"):  # an array that has no parts, as a sparse one, and calls no function
            raise _not_pairs(results) from cause
        raise


def _not_pairs(results: Any) -> ArgumentError:
    return ArgumentError(
        f"results must be pairs of a Tile and an array, got {shown(results)}; pass an iterable of them"
    )


def _pair(each: Any) -> tuple[Tile, Any]:
    """Return a tile and its result, whatever the pair says of itself.

    Raises
    ------
    ArgumentError
    """
    pair = plain(each) if is_a(each, tuple) else ()
    if len(pair) != 2 or not is_a(pair[0], Tile):
        raise ArgumentError(
            f"results must be pairs of a Tile and an array, got {shown(each)} among them; pass (tile, result)"
        )
    pixels, place, grid = plain(pair[0])
    numbers = plain(place) if is_a(place, tuple) else ()
    if not is_a(grid, TileGrid) or not _has_place(grid.shape, numbers):
        raise ArgumentError("results have a Tile that iter_tiles did not make; pass those that it gives")
    return Tile(pixels, numbers, grid), pair[1]


def _has_place(shape: tuple[int, ...], place: tuple[Any, ...]) -> bool:
    """Whether there is a tile at a place."""
    return len(place) == len(shape) and all(type(i) is int and 0 <= i < n for i, n in zip(place, shape, strict=True))


class _Blend:
    """The image of results, while they come in.

    Parameters
    ----------
    grid : TileGrid
    first : ndarray
        A result: all others have its shape.
    margin, out
        As for `blend_tiles`.
    """

    def __init__(self, grid: TileGrid, first: Array, margin: Window, out: Any) -> None:
        self.grid, self.seen = grid, np.zeros(grid.shape, bool)
        self.blending = blending = blending_of(grid.layout, grid.geometry, first.shape, first.dtype, margin)
        self.weights = [each.between(0, each.tiles) for each in blending.along]
        shape, dtype = blending.shape, blending.dtype
        if out is None:
            size, way_out = array_bytes(shape, dtype.itemsize), "pass out="
            require_memory(size, way_out, "the image {} of {}", shape, dtype)
            self.image: Array = np.zeros(shape, dtype)
        else:
            self.image = check_output(out, shape, dtype, (first,) if grid.image is None else (first, grid.image))
            self.image[...] = 0

    def add(self, tile: Tile, result: Array) -> None:
        """Add a result with its weights.

        Raises
        ------
        ArgumentError, ShapeError
        """
        if tile.grid != self.grid:
            raise ArgumentError("the tiles are of several images; blend those of one call of iter_tiles")
        if self.seen[tile.place]:
            raise ArgumentError(f"the tile at {tile.place} came twice; pass each once")
        self.blending.check(result)
        self.seen[tile.place] = True
        starts = [number * each.step for number, each in zip(tile.place, self.blending.along, strict=True)]
        weights = [each[number] for number, each in zip(tile.place, self.weights, strict=True)]
        add_weighted(self.image, result, self.grid.axes, starts, weights)

    def check_all(self) -> None:
        """Refuse an image with holes.

        Raises
        ------
        ArgumentError
        """
        missing = np.argwhere(~self.seen)
        if len(missing):
            raise ArgumentError(
                f"{len(missing)} of {self.seen.size} tiles are missing, the first of them at "
                f"{tuple(missing[0].tolist())}; pass a result for every tile of iter_tiles"
            )
