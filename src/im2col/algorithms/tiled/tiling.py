"""How a map is cut into tiles, and tiles into blocks that the caches hold: the tables that kernels read."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...engine.boxes import box_steps

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from ...spec.geometry import Geometry
    from .transform import Transform

    Box = tuple[slice, ...]
    """Neighbouring tiles: of the images, and along each spatial axis."""


def tiles_of(box: Box) -> int:
    """Return how many tiles a box holds."""
    return math.prod(s.stop - s.start for s in box)


def shared(boxes: Sequence[Box], tasks: int) -> list[list[Box]]:
    """Return boxes as tasks, so many at most: neighbours, and about as many tiles in each."""
    ends = np.cumsum([0, *map(tiles_of, boxes)])
    edges = [int(np.abs(ends - ends[-1] * i / tasks).argmin()) for i in range(tasks + 1)]
    return [list(boxes[first:stop]) for first, stop in itertools.pairwise(edges) if first < stop]


class Tiling(NamedTuple):
    """A map of tiles.

    Parameters
    ----------
    geometry : Geometry
        Of the layer: of stride and dilation 1.
    transform : Transform
    batch : int
    parts : int
        Into how many parts the channels of a group are divided, whose sums come together last.
    """

    geometry: Geometry
    transform: Transform
    batch: int
    parts: int = 1

    @property
    def counts(self) -> tuple[int, ...]:
        """Images, and tiles along each axis: the last one may reach over the map's end."""
        shape = self.geometry.output_shape
        return (self.batch, *(-(-n // m) for n, m in zip(shape, self.transform.results, strict=True)))

    def boxes(self, most: int) -> list[Box]:
        """Return all tiles in boxes of at most so many, as alike as can be, in row-major order."""
        cuts = [
            [slice(first, min(first + side, n)) for first in range(0, n, side)]
            for n, side in zip(self.counts, self._sides(most), strict=True)
        ]
        return list(itertools.product(*cuts))  # they are kept: boxes share the slices of an axis

    def box_sizes(self, most: int) -> Counter[int]:
        """Return how many of those hold how many tiles: of maps of any size, since none is looked at by itself."""
        found = Counter({1: 1})
        for n, side in zip(self.counts, self._sides(most), strict=True):
            along = Counter({side: n // side}) + Counter({n % side: 1} if n % side else {})
            found, before = Counter(), found
            for (tiles, times), (more, count) in itertools.product(before.items(), along.items()):
                found[tiles * more] += times * count
        return found

    def most_pixels(self, most: int) -> int:
        """Return how many pixels of the images the windows of such a box see, at most."""
        images, *along = self._sides(most)
        spans = (
            (side - 1) * m + size
            for side, m, size in zip(along, self.transform.results, self.transform.sizes, strict=True)
        )
        return images * math.prod(map(min, self.geometry.spatial_shape, spans))

    def _sides(self, most: int) -> tuple[int, ...]:
        steps = box_steps(self.counts, most)
        return tuple(-(-n // -(-n // step)) for n, step in zip(self.counts, steps, strict=True))

    def kept(self) -> list[tuple[int, ...]]:
        """Return how many positions of a tile are in the map, along each axis, for every kind of tile."""
        along = []
        for n, m in zip(self.geometry.output_shape, self.transform.results, strict=True):
            along.append([size for size in (m, n % m) if 0 < size <= n and (size < m or n >= m)])
        return list(itertools.product(*along))

    def _along(self, box: Box) -> Iterator[tuple[int, int, slice]]:
        """Return pixels and results of a tile, and the tiles of a box, along each axis."""
        return zip(self.transform.sizes, self.transform.results, box[1:], strict=True)

    def pixels(self, box: Box) -> Box:
        """Return what of the images the windows of a box see."""
        found = [box[0]]
        for axis, (size, m, tiles) in enumerate(self._along(box)):
            before, n = self.geometry.padding[axis][0], self.geometry.spatial_shape[axis]
            low, high = tiles.start * m - before, (tiles.stop - 1) * m - before + size
            found.append(slice(min(max(0, low), n - 1), max(1, min(n, high))))
        return tuple(found)

    def windows(self, box: Box, strides: Sequence[int], start: Sequence[int]) -> NDArray[np.int64]:
        """Return the rows of the table of `into_tiles` for the tiles of a box.

        Parameters
        ----------
        box : tuple of slice
        strides : sequence of int
            Bytes from one image to the next, and from one pixel to the next along each axis.
        start : sequence of int
            The image, and the pixel along each axis, that stand at the array's start.
        """
        offsets = (np.arange(box[0].start, box[0].stop) - start[0]) * strides[0]
        ends: list[NDArray[np.int64]] = []
        for axis, (size, m, tiles) in enumerate(self._along(box)):
            before, n = self.geometry.padding[axis][0], self.geometry.spatial_shape[axis]
            corner = np.arange(tiles.start, tiles.stop) * m - before
            offsets = np.add.outer(offsets, (corner - start[axis + 1]) * strides[axis + 1])
            ends += np.clip(-corner, 0, size), np.clip(n - corner, 0, size)
        table = np.empty((*offsets.shape, 1 + len(ends)), np.int64)
        table[..., 0] = offsets
        for number, end in enumerate(ends):
            table[..., 1 + number] = end.reshape(-1, *[1] * (self.geometry.ndim - 1 - number // 2))
        return table.reshape(-1, table.shape[-1])

    def positions(self, box: Box, strides: Sequence[int], step: int) -> dict[tuple[int, ...], NDArray[np.int64]]:
        """Return the tables of `out_of_tiles` for the tiles of a box, by how many of their positions are in the map.

        Parameters
        ----------
        box : tuple of slice
        strides : sequence of int
            Bytes of the result from one image to the next, and from one position to the next along each axis.
        step : int
            Bytes from the products of one tile to those of the next.
        """
        offsets = np.arange(box[0].start, box[0].stop) * strides[0]
        kept = []
        for axis, (_, m, tiles) in enumerate(self._along(box)):
            corner = np.arange(tiles.start, tiles.stop) * m
            offsets = np.add.outer(offsets, corner * strides[axis + 1])
            kept.append(np.minimum(m, self.geometry.output_shape[axis] - corner))
        numbers = np.arange(offsets.size).reshape(offsets.shape)
        found = {}
        for sizes in self.kept():
            alike = [np.flatnonzero(each == size) for each, size in zip(kept, sizes, strict=True)]
            where = np.ix_(np.arange(len(offsets)), *alike)
            if numbers[where].size:
                columns = numbers[where] * step, offsets[where], numbers[where] * 8
                found[sizes] = np.ascontiguousarray(np.stack([each.reshape(-1) for each in columns], axis=1))
        return found

    def map_of(self, flags: NDArray[np.bool_], boxes_of: Sequence[Box]) -> NDArray[np.bool_]:
        """Return which positions, (N, *output), are in tiles that are flagged, in the order of these boxes."""
        tiles = np.zeros(self.counts, bool)
        first = 0
        for box in boxes_of:
            count = tiles_of(box)
            tiles[box] = flags[first : first + count].reshape(tiles[box].shape)
            first += count
        for axis, m in enumerate(self.transform.results):
            tiles = np.repeat(tiles, m, axis + 1)
        return tiles[(slice(None), *map(slice, self.geometry.output_shape))]
