"""Weights with which the results of overlapping tiles add up to one image."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import GeometryError, ShapeError
from ..spec.arguments import per_axis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..spec.geometry import Geometry, Window
    from ..spec.layout import Layout

    Array = NDArray[Any]


class Weights(NamedTuple):
    """Those of results along an axis: they rise and fall evenly where two overlap, but for a margin.

    Parameters
    ----------
    size, step, tiles : int
        Pixels of a result, pixels from one to the next, and how many results there are.
    margin : float
        Pixels that are left out where a result ends within the image.
    """

    size: int
    step: int
    tiles: int
    margin: float

    def between(self, first: int, stop: int) -> list[Array]:
        """Return the weights of some results: the same numbers, whichever they are."""
        places, most = np.arange(self.size) + 0.5, np.full(self.size, float(self.size))
        # Of an odd overlap that is all margin, the pixel in the middle belongs to both: nobody else has it.
        margin = self.margin - 0.25 * (2 * self.margin == self.size - self.step)
        rise, fall = (np.maximum(distance - margin, 0) for distance in (places, self.size - places))
        reach = -(-self.size // self.step)
        begin, end = max(0, first - reach), min(self.tiles, stop + reach)  # all that overlap with them
        ramps = [np.minimum(rise if i else most, fall if i < self.tiles - 1 else most) for i in range(begin, end)]
        total = np.zeros(self.step * (end - begin - 1) + self.size)
        for i, ramp in enumerate(ramps):
            total[i * self.step : i * self.step + self.size] += ramp
        return [ramps[i] / total[i * self.step : i * self.step + self.size] for i in range(first - begin, stop - begin)]


class Blending(NamedTuple):
    """How the results of tiles make one image.

    Parameters
    ----------
    along : tuple of Weights
        Of each spatial axis.
    result : tuple of int
        The shape of each result.
    shape : tuple of int
        Of the image of all.
    dtype : dtype
        Of that image.
    """

    along: tuple[Weights, ...]
    result: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def check(self, result: Array) -> None:
        """Refuse a result of another shape.

        Raises
        ------
        ShapeError
        """
        if result.shape != self.result:
            raise ShapeError(
                f"all results must have the shape of the first, {self.result}, got {result.shape}; blend tiles of one "
                "size"
            )


def blending_of(layout: Layout, g: Geometry, result: tuple[int, ...], dtype: np.dtype[Any], margin: Window) -> Blending:
    """Return how results of tiles make one image.

    Parameters
    ----------
    layout : Layout
        Of the image, and of the results.
    g : Geometry
        How the image was cut.
    result : tuple of int
        The shape of a result.
    dtype : dtype
        Of the results.
    margin : int or tuple of int
        As for `blend_tiles`.

    Raises
    ------
    ShapeError, GeometryError
        If results do not fit each other, or margins are more than tiles share.
    """
    if len(result) != len(layout.axes):
        raise ShapeError(
            f"results must have the axes {layout.axes!r} of the image, got one of shape {result}; keep the axes that a "
            "function drops, as in result[None]"
        )
    sizes = layout.spatial_shape(result)
    factors = [Fraction(n, size) for n, size in zip(sizes, g.kernel_size, strict=True)]
    steps = [step * factor for step, factor in zip(g.stride, factors, strict=True)]
    if any(step.denominator > 1 or step == 0 for step in steps):
        raise ShapeError(
            f"results of shape {result} of tiles of {g.kernel_size} pixels {g.stride} apart would lie "
            f"({', '.join(map(str, steps))}) apart; choose a size and an overlap that make that whole numbers"
        )
    margins = per_axis("margin", margin, g.ndim, 0)
    overlaps = [size - step for size, step in zip(g.kernel_size, g.stride, strict=True)]
    if any(2 * m > overlap for m, overlap in zip(margins, overlaps, strict=True)):
        raise GeometryError(
            f"margin must be at most half of the overlap, {tuple(overlaps)}, got {margins}; let tiles overlap more"
        )
    scaled = [float(m * factor) for m, factor in zip(margins, factors, strict=True)]
    along = tuple(Weights(*each) for each in zip(sizes, map(int, steps), g.output_shape, scaled, strict=True))
    lengths = iter([math.ceil(n * factor) for n, factor in zip(g.spatial_shape, factors, strict=True)])
    shape = tuple(next(lengths) if axis in layout.spatial else n for axis, n in zip(layout.axes, result, strict=True))
    return Blending(along, result, shape, np.result_type(dtype, np.float32) if dtype.kind in "biu" else dtype)


def add_weighted(
    image: Array, result: Array, axes: Sequence[int], starts: Sequence[int], weights: Sequence[Array]
) -> None:
    """Add a result, times its weights, to an image, or to what a part of the image shows of it.

    Parameters
    ----------
    image, result : ndarray
        Of the same axes.
    axes : sequence of int
        The numbers of the spatial ones.
    starts : sequence of int
        Where the result begins along each of these: before the part, if less than 0.
    weights : sequence of ndarray
        Along each of these.
    """
    inside: list[slice] = [slice(None)] * result.ndim
    for along, start, ramp in zip(axes, starts, weights, strict=True):
        before = max(0, -start)
        kept = np.flatnonzero(ramp[before : max(0, image.shape[along] - start)])
        if not len(kept):
            return
        first, last = before + kept[0], before + kept[-1] + 1  # what weighs nothing: times 0 an infinity is no number
        inside[along] = slice(start + first, start + last)
        result = result[(slice(None),) * along + (slice(first, last),)]
        own = ramp[first:last]
        if not (own == 1).all():
            lengths = [len(own) if axis == along else 1 for axis in range(result.ndim)]
            result = result * own.reshape(lengths).astype(image.dtype)
    with np.errstate(all="ignore"):  # of infinities, which are the function's
        image[tuple(inside)] += result
