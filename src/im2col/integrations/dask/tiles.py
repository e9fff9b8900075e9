"""Any function over the tiles of a dask array, and one array of the results: `blend_tiles`, chunk by chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...errors import ArgumentError, DTypeError, ShapeError, named, naming, shown
from ...matrix.blending import add_weighted, blending_of
from ...matrix.image_tiles import tile_grid
from ...spec.arrays import as_array, check_numbers
from ...spec.cuts import channel_cuts, spread_cuts, whole_cuts, window_cuts
from .functions import check
from .graph import Along, over_chunks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from ...matrix.blending import Blending
    from ...spec.cuts import Cut
    from ...spec.geometry import Window
    from ...spec.padding import PaddingMode

    Array = NDArray[Any]


@named
def map_tiles(
    function: Callable[[Array], ArrayLike],
    x: Any,
    size: Window,
    *,
    overlap: Window = 0,
    margin: Window = 0,
    padding_mode: PaddingMode = "reflect",
    layout: str | None = None,
    like: ArrayLike | None = None,
) -> Any:
    """Run a function over the overlapping tiles of a dask array, and put its results together, without seams.

    Parameters
    ----------
    function : callable
        Takes the pixels of a tile, a read-only ndarray with the axes of `x`: all channels, and of a batch the images of
        one chunk. It returns an array of the same axes, those of space longer or shorter by a factor, as many channels
        as it likes, and as many images. It may be called by several threads at once.
    x : dask.array.Array
        The image, with chunks of any sizes.
    size, overlap, padding_mode, layout
        As for `im2col.iter_tiles`.
    margin : int or tuple of int
        As for `im2col.blend_tiles`.
    like : array_like, optional
        An array of the shape and dtype that a result has; its numbers are not looked at. If left out, the function is
        called once with zeros.

    Returns
    -------
    dask.array.Array
        What `im2col.blend_tiles` makes of the results, to the bit; chunked as `x`, to within a tile. Each tile is
        computed once, in the task of the chunk that its middle lies in.

    Raises
    ------
    Im2colError
        As those two, before anything of `x` is computed; if the chunks' sizes are not known. When a result is not as it
        was told to be, it is an error of the computation.

    Examples
    --------
    >>> import dask.array as da
    >>> from im2col.integrations.dask import map_tiles
    >>> x = da.ones((100, 90), chunks=(40, 50))
    >>> y = map_tiles(lambda pixels: pixels.repeat(2, 0).repeat(2, 1), x, 32, overlap=8)
    >>> y.shape, float(y.min().compute()), float(y.max().compute())
    ((200, 180), 1.0, 1.0)
    """
    if not callable(function):
        raise ArgumentError(f"function must be one of a tile's pixels, got {shown(function)}")
    check(x)
    as_array("x", x._meta, objects=True)  # of a dtype that chunks may have
    grid, mode = tile_grid(x.shape, size, overlap, padding_mode, layout)
    g, axes = grid.geometry, grid.layout
    spatial = iter(g.kernel_size)
    tile = tuple(
        next(spatial) if letter in axes.spatial else chunks[0] if letter == "N" else sum(chunks)
        for letter, chunks in zip(axes.axes, x.chunks, strict=True)
    )
    told = "result" if like is None else "like"
    first = as_array(told, function(_frozen(np.zeros(tile, x.dtype))) if like is None else like)
    check_numbers(told, first.dtype)
    if not first.size:
        raise ShapeError(f"a result of shape {first.shape} has no numbers; return an array without axes of length 0")
    blending = blending_of(axes, g, first.shape, first.dtype, margin)
    if axes.size("N", first.shape) != axes.size("N", tile):
        raise ShapeError(
            f"a result of shape {first.shape} has not as many images as its tile of shape {tile}; return one for each"
        )
    step = _Tiles(function, axes.axes, g.kernel_size, g.stride, first.shape, first.dtype)
    places = dict(zip(axes.spatial, range(g.ndim), strict=True))
    cuts, results = [], []
    for i, (letter, chunks) in enumerate(zip(axes.axes, x.chunks, strict=True)):
        if letter in places:
            at = places[letter]
            cuts.append(window_cuts(chunks, g.span[at], g.stride[at], 0, g.output_shape[at], mode[at]))
        else:
            cuts.append(whole_cuts(chunks) if letter == "N" else channel_cuts(chunks, first.shape[i], apart=False))
        results.append(Along(i) if letter == "N" else Along(None, first.shape[i]))
    made = over_chunks("tiles", x, step, cuts, [*map(Along, grid.axes), *results], first.dtype)
    spread = [
        spread_cuts(chunks, each.size, each.step, 0, blending.shape[axis])
        for chunks, each, axis in zip(made.chunks, blending.along, grid.axes, strict=False)
    ]
    whole = [whole_cuts(chunks) for chunks in made.chunks[g.ndim :]]
    shown_as = [Along(places[letter] if letter in places else g.ndim + i) for i, letter in enumerate(axes.axes)]
    blended = _Blended(blending, grid.axes)
    return over_chunks("blend", made, blended, [*spread, *whole], shown_as, blending.dtype)


def _frozen(pixels: Array) -> Array:
    """Return a view of pixels that nobody can write to."""
    view = pixels.view()
    view.flags.writeable = False
    return view


class _Tiles(NamedTuple):
    """See `graph.Step`: of the image's blocks, the results of all tiles, by their numbers along each spatial axis."""

    function: Callable[[Array], ArrayLike]
    axes: str
    size: tuple[int, ...]
    stride: tuple[int, ...]
    result: tuple[int, ...]
    dtype: np.dtype[Any]

    def __call__(self, block: Array, cuts: Sequence[Cut]) -> Array:
        if any(any(cut.pads) for cut in cuts):
            block = np.pad(block, [cut.pads for cut in cuts])
        block = _frozen(block)
        spatial = [i for i, letter in enumerate(self.axes) if letter not in "NC"]
        shape = tuple(cuts[i].length if letter == "N" else self.result[i] for i, letter in enumerate(self.axes))
        counts = tuple(cuts[i].length for i in spatial)
        made = np.empty((*counts, *shape), self.dtype)
        for place in np.ndindex(counts):
            inside = [slice(None)] * block.ndim
            for i, number, size, step in zip(spatial, place, self.size, self.stride, strict=True):
                inside[i] = slice(number * step, number * step + size)
            made[place] = self._checked(self.function(block[tuple(inside)]), shape)
        return made

    @naming("map_tiles")
    def _checked(self, result: ArrayLike, shape: tuple[int, ...]) -> Array:
        """Return a result, if it is as it was told to be."""
        found = as_array("result", result)
        if found.shape != shape:
            raise ShapeError(f"a result has shape {found.shape}, but {shape} was expected; pass like= of its shape")
        if found.dtype != self.dtype:
            raise DTypeError(
                f"a result has dtype {found.dtype}, but {self.dtype} was expected; pass like= of its dtype"
            )
        return found


class _Blended(NamedTuple):
    """See `graph.Step`: of the results of tiles, a chunk of the image that they make."""

    blending: Blending
    axes: tuple[int, ...]

    def __call__(self, block: Array, cuts: Sequence[Cut]) -> Array:
        along = self.blending.along
        lead = cuts[: len(along)]
        shape = [cut.length for cut in cuts[len(along) :]]
        for axis, cut in zip(self.axes, lead, strict=True):
            shape[axis] = cut.length
        image = np.zeros(shape, self.blending.dtype)
        weights = [each.between(cut.first, cut.first + cut.size) for each, cut in zip(along, lead, strict=True)]
        for place in np.ndindex(block.shape[: len(along)]):
            starts = [number * each.step - cut.pads[0] for number, each, cut in zip(place, along, lead, strict=True)]
            own = [each[number] for number, each in zip(place, weights, strict=True)]
            add_weighted(image, block[place], self.axes, starts, own)
        return image
