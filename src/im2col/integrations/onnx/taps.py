"""Along one axis that is resized: where pixels of the result lie in the image, and which pixels make them up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .order import back, order_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[Any]

COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
)
NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


@dataclass(frozen=True)
class Axis:
    """One axis that is resized.

    Parameters
    ----------
    axis, size, length : int
        Which, its pixels, and those of the result.
    scale : float
        By which coordinates are divided; not always the quotient of the lengths.
    start, end : float
        The part of the image, from 0 to 1, that ``"tf_crop_and_resize"`` cuts out.
    """

    axis: int
    size: int
    length: int
    scale: float
    start: float
    end: float

    def coordinates(self, mode: str) -> Array:
        """Return where each pixel of the result lies in the image, by a coordinate_transformation_mode."""
        x = np.arange(self.length, dtype=np.float64)
        resized = self.scale * self.size  # as long as the scale says, and not yet rounded down
        last = self.size - 1
        half_pixel: Array = (x + 0.5) / self.scale - 0.5
        if mode == "half_pixel":
            return half_pixel
        if mode == "half_pixel_symmetric":
            return half_pixel + self.size / 2 * (1 - self.length / resized)
        if mode == "pytorch_half_pixel":
            return half_pixel if resized > 1 else x * 0
        if mode == "align_corners":
            return x * last / (resized - 1) if resized != 1 else x * 0
        if mode == "asymmetric":
            return x / self.scale
        part = self.end - self.start
        return self.start * last + (x * part * last / (resized - 1) if resized != 1 else x * 0 + part * last / 2)


@dataclass(frozen=True)
class Taps:
    """Which pixels make up each pixel of the result along one axis: (length, taps) of indices, and of weights."""

    indices: Array
    weights: Array | None

    def apply(self, x: Array, axis: int) -> Array:
        """Return the weighted sums of an array, as it lies in memory; no pixel of weight 0 is read."""
        order = order_of(x)
        if order is not None:
            return self.apply(x.transpose(order), order.index(axis)).transpose(back(order))
        if self.weights is None:
            return x.take(self.indices[:, 0], axis)
        shape = [1] * x.ndim
        shape[axis] = -1
        result = np.zeros((*x.shape[:axis], len(self.indices), *x.shape[axis + 1 :]), x.dtype)
        for index, weight in zip(self.indices.T, self.weights.T, strict=True):
            part = x.take(index, axis)
            part[(slice(None),) * axis + (weight == 0,)] = 0
            part *= weight.astype(x.dtype).reshape(shape)
            result += part
        return result


def nearest(place: Array, size: int, rule: str) -> Taps:
    """Return the pixel that is nearest to each place, by a nearest_mode; those outside repeat the edge."""
    low = np.floor(place)
    part = place - low
    up = {"round_prefer_floor": part > 0.5, "round_prefer_ceil": part >= 0.5, "floor": part < 0, "ceil": part > 0}
    return Taps(np.clip(low + up[rule], 0, size - 1).astype(np.intp)[:, None], None)


def interpolated(
    place: Array,
    size: int,
    kernel: Callable[[Array], Array],
    radius: int,
    stretch: float,
    *,
    normal: bool,
    exclude_outside: bool,
) -> Taps:
    """Return the pixels around each place, weighted by a kernel of their distances.

    Parameters
    ----------
    place : ndarray, (length,)
    size : int
        Pixels; those outside repeat the edge.
    kernel : callable
        Of absolute distances; 0 from `radius` on.
    radius, stretch : int, float
        Of the kernel, and what its distances are divided by.
    normal : bool
        Whether weights are divided by their sum.
    exclude_outside : bool
        Whether weights outside of the image are 0, the others divided by their sum.
    """
    reach = radius * stretch
    first = np.floor(place - reach) + 1
    pixels = first[:, None] + np.arange(math.ceil(2 * reach))
    weights = kernel(np.abs(pixels - place[:, None]) / stretch)
    if normal:
        weights /= weights.sum(1, keepdims=True)
    if exclude_outside:
        weights[(pixels < 0) | (pixels >= size)] = 0
        total = weights.sum(1, keepdims=True)
        weights /= np.where(total == 0, 1, total)
    return Taps(np.clip(pixels, 0, size - 1).astype(np.intp), weights)


def triangle(distance: Array) -> Array:
    """Return the weights of linear interpolation."""
    weights: Array = np.maximum(0, 1 - distance)
    return weights


def cubic(distance: Array, a: float) -> Array:
    """Return the weights of cubic convolution (Keys, 1981), by its coefficient."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = a * (((distance - 5) * distance + 8) * distance - 4)
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0))
