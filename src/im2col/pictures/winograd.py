"""Winograd's tiles of a layer of one channel: im2col with larger windows, and what becomes of them; see `winograd.js`.

A tile holds the pixels that a block of results reads. Its pixels, its values at the points and its results are numbered
in row-major order, and so are the tiles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..algorithms.winograd.cook_toom import transform
from ..memory import lazy
from .labels import short
from .text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .pictured_layer import PicturedLayer

    Numbers = NDArray[np.int64] | int

BLOCK, TAPS = 2, 3
"""Results along an axis of 3 taps: F(2, 3), whose numbers a reader can check. An axis of 1 tap stays as it is."""


def tiles_of(layer: PicturedLayer) -> Tiles | None:
    """Return the tiles of a layer of one channel and one kernel; None where its windows have none.

    Parameters
    ----------
    layer : PicturedLayer
    """
    g = layer.geometry
    dense = {*g.stride, *g.dilation} == {1}
    return Tiles(layer) if dense and TAPS in g.kernel_size and set(g.kernel_size) <= {1, TAPS} else None


@dataclass(frozen=True, eq=False)
class Tiles:
    """The tiles of a layer, and their numbers on the way to its output.

    Parameters
    ----------
    layer : PicturedLayer
        Of one channel and one kernel, with stride 1 and 3 or 1 taps along each axis.
    """

    layer: PicturedLayer

    @lazy
    def block(self) -> tuple[int, ...]:
        """Results of a tile along each axis, and so the stride of the tiles."""
        return tuple(BLOCK if k == TAPS else 1 for k in self.layer.geometry.kernel_size)

    @lazy
    def shape(self) -> tuple[int, ...]:
        """Pixels of a tile along each axis."""
        return tuple(m + k - 1 for m, k in zip(self.block, self.layer.geometry.kernel_size, strict=True))

    @lazy
    def counts(self) -> tuple[int, ...]:
        """Tiles along each axis: those at the end may reach beyond the output."""
        return tuple(-(-n // m) for n, m in zip(self.layer.geometry.output_shape, self.block, strict=True))

    @property
    def count(self) -> int:
        """All tiles."""
        return math.prod(self.counts)

    @property
    def size(self) -> int:
        """Pixels of a tile, and points, at each of which its transformed values are multiplied."""
        return math.prod(self.shape)

    @property
    def results(self) -> int:
        """Results of a tile."""
        return math.prod(self.block)

    @property
    def products(self) -> int:
        """Products for the whole output."""
        return self.count * self.size

    @property
    def beyond(self) -> int:
        """Results of tiles that lie beyond the output."""
        return self.count * self.results - self.layer.positions

    def _matrix(self, name: str) -> NDArray[np.float64]:
        """Return the Kronecker product of the axes' matrices: one of all axes."""
        axes = [
            getattr(transform(m, k), name) for m, k in zip(self.block, self.layer.geometry.kernel_size, strict=True)
        ]
        whole = np.ones((1, 1))
        for axis in axes:
            whole = np.kron(whole, np.array(axis, np.float64)).astype(np.float64, copy=False)
        return whole

    @lazy
    def of_pixels(self) -> NDArray[np.float64]:
        """B of all axes: of a tile's pixels; shape (points, pixels)."""
        return self._matrix("image")

    @lazy
    def of_weights(self) -> NDArray[np.float64]:
        """G of all axes: of the kernel's taps; shape (points, taps)."""
        return self._matrix("weights")

    @lazy
    def of_products(self) -> NDArray[np.float64]:
        """A of all axes: of the products; shape (results, points)."""
        return self._matrix("result")

    # What is said of them.

    variant = ""
    """Of the captions."""

    def numbers(self) -> dict[str, object]:
        """Return what captions may say."""
        plain = self.results * self.layer.geometry.taps
        return {
            "tile": " × ".join(map(str, self.shape)),
            "block": " × ".join(map(str, self.block)),
            "tiles": self.count,
            "points": self.size,
            "results": self.results,
            "plain": plain,
            "fewer": short(plain / self.size),
            "end": Text("tiles.beyond", {"count": self.beyond}) if self.beyond else Text("tiles.whole"),
        }

    def told(self, position: int, place: Text) -> Text:
        """Return what a selected position means, whose place is said already."""
        return Text("say.tile", {"number": self.tile_of(position) + 1, "place": place})

    # Where tiles lie.

    def pixel(self, tile: Numbers, element: Numbers) -> NDArray[np.int64]:
        """Return the pixel of the padded image that a tile's pixel is; -1 beyond its end."""
        return self._at(tile, element, self.shape, self.layer.geometry.padded_shape)

    def position(self, tile: Numbers, result: Numbers) -> NDArray[np.int64]:
        """Return the position that a tile's result belongs to; -1 beyond the output."""
        return self._at(tile, result, self.block, self.layer.geometry.output_shape)

    def _at(self, tile: Numbers, inner: Numbers, inside: tuple[int, ...], within: tuple[int, ...]) -> NDArray[np.int64]:
        number: Any = 0
        fits: Any = True
        axes = zip(
            np.unravel_index(tile, self.counts), np.unravel_index(inner, inside), self.block, within, strict=True
        )
        for first, offset, step, length in axes:
            at = first * step + offset
            number, fits = number * length + at, fits & (at < length)
        return np.asarray(np.where(fits, number, -1))

    def tile_of(self, position: int) -> int:
        """Return the tile that a position's result belongs to."""
        at = np.unravel_index(position, self.layer.geometry.output_shape)
        return int(np.ravel_multi_index([int(a) // m for a, m in zip(at, self.block, strict=True)], self.counts))

    def readers(self, pixel: int) -> list[NDArray[np.int64]]:
        """Return, for each axis, the tiles that hold a pixel or a copy of it: as often as they do."""
        found = []
        layer = self.layer
        axes = np.unravel_index(pixel, layer.geometry.padded_shape)
        for at, source, count, m, t in zip(axes, layer.axis_sources, self.counts, self.block, self.shape, strict=True):
            copies = np.flatnonzero(source == source[at])
            inside = copies - np.arange(count)[:, None] * m
            found.append(np.nonzero((inside >= 0) & (inside < t))[0])
        return found

    def copies(self, pixel: int) -> int:
        """Return how often tiles hold a pixel or a copy of it."""
        return math.prod(map(len, self.readers(pixel)))

    # The numbers on the way.

    def value(self, what: str, c: Mapping[str, NDArray[np.int64]]) -> NDArray[Any]:
        """Return what cells show, by their coordinates."""
        if what == "tile-entry":
            return self._entry(c["image"], c["tile"], c["element"])
        if what == "tile-value":
            return self._value(c["image"], c["tile"], c["point"])
        if what == "tile-kernel":
            return self.kernel[c["point"]]
        if what == "tile-product":
            return np.asarray(self._value(c["image"], c["tile"], c["point"]) * self.kernel[c["point"]])
        if what == "tile-result":
            image, tile, point = c["image"][..., None], c["tile"][..., None], np.arange(self.size)
            products = self._value(image, tile, point) * self.kernel
            return weighted(products, self.of_products[c["result"]])
        if what == "tile-of-pixels":
            return self.of_pixels[c["point"], c["element"]]
        if what == "tile-of-weights":
            return self.of_weights[c["point"], c["weight"]]
        return self.of_products[c["result"], c["point"]]

    def _entry(self, image: NDArray[np.int64], tile: Numbers, element: Numbers) -> NDArray[Any]:
        """Return pixels of tiles, 0 beyond the image's end."""
        pixel = self.pixel(tile, element)
        return np.where(pixel < 0, 0, widened(self.layer.pixels[image, pixel]))

    def _value(self, image: NDArray[np.int64], tile: NDArray[np.int64], point: NDArray[np.int64]) -> NDArray[Any]:
        pixels = self._entry(image[..., None], tile[..., None], np.arange(self.size))
        return weighted(pixels, self.of_pixels[point])

    @lazy
    def kernel(self) -> NDArray[Any]:
        """The kernel's values at the points; shape (points,)."""
        return weighted(widened(self.layer.flat_weights[:, 0]), self.of_weights)


def widened(values: NDArray[Any]) -> NDArray[Any]:
    """Return numbers in float64, or in what holds them beside it: tiles are computed in fractions."""
    return values.astype(np.result_type(values.dtype, np.float64))


def weighted(values: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
    """Return sums over the last axis, term after term as the page adds them; what weighs nothing is not looked at."""
    return np.asarray(np.cumsum(np.where(weights == 0, 0, values * weights), -1)[..., -1])
