"""Resizing: axis by axis, each pixel of the result a weighted sum of few pixels along the axis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...engine.host import require_memory
from ...errors import ArgumentError, ShapeError, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .node import Node

    Array = NDArray[Any]

MODES = ("nearest", "linear", "cubic")
POLICIES = ("stretch", "not_larger", "not_smaller")


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
            return self.size / 2 * (1 - self.length / resized) + half_pixel
        if mode == "pytorch_half_pixel":
            return half_pixel if resized > 1 else x * 0
        if mode == "align_corners":
            return x * last / (resized - 1) if resized != 1 else x * 0
        if mode == "asymmetric":
            return x / self.scale
        if mode == "tf_crop_and_resize":
            part = self.end - self.start
            return self.start * last + (x * part * last / (resized - 1) if resized != 1 else x * 0 + part * last / 2)
        raise ArgumentError(f"coordinate_transformation_mode {shown(mode)} is unknown")


@dataclass(frozen=True)
class Taps:
    """Which pixels make up each pixel of the result along one axis: (length, taps) of indices, and of weights."""

    indices: Array
    weights: Array | None

    def apply(self, x: Array, axis: int) -> Array:
        """Return the weighted sums of an array; no pixel of weight 0 is read."""
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


def nearest(place: Array, size: int, nearest_mode: str, scale: float) -> Taps:
    """Return the pixel that is nearest to each place; ``"simple"`` is the rule before opset 11."""
    low = np.floor(place)
    part = place - low
    if nearest_mode == "round_prefer_floor":
        up = part > 0.5
    elif nearest_mode == "round_prefer_ceil":
        up = part >= 0.5
    elif nearest_mode == "floor" or (nearest_mode == "simple" and scale >= 1):
        up = part < 0
    elif nearest_mode in {"ceil", "simple"}:
        up = part > 0
    else:
        raise ArgumentError(f"nearest_mode {shown(nearest_mode)} is unknown")
    return Taps(np.clip(low + up, 0, size - 1).astype(np.intp)[:, None], None)


def interpolated(
    place: Array, size: int, kernel: Any, radius: int, stretch: float, *, normal: bool, exclude_outside: bool
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
    return np.maximum(0, 1 - distance)


def cubic(distance: Array, a: float) -> Array:
    """Return the weights of cubic convolution (Keys, 1981), by its coefficient."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = a * (((distance - 5) * distance + 8) * distance - 4)
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0))


def resize(
    node: Node,
    x: Array,
    roi: Array | None = None,
    scales: Array | None = None,
    sizes: Array | None = None,
    *,
    mode: str,
    coordinate_transformation_mode: str = "asymmetric",
    nearest_mode: str = "simple",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0,
    antialias: int = 0,
    axes: Sequence[int] | None = None,
    keep_aspect_ratio_policy: str = "stretch",
) -> Array:
    """Resize: its second input was `scales` in opset 10, which had none of the attributes but `mode`."""
    if node.version < 11:
        roi, scales = None, roi
    if mode not in MODES:
        raise ArgumentError(f"mode must be one of {MODES}, got {shown(mode)}")
    if mode == "nearest" and (antialias or exclude_outside):
        raise ArgumentError("antialias and exclude_outside are for the modes 'linear' and 'cubic'")
    cut = roi if coordinate_transformation_mode == "tf_crop_and_resize" else None
    if cut is None and coordinate_transformation_mode == "tf_crop_and_resize":
        raise ArgumentError("coordinate_transformation_mode 'tf_crop_and_resize' needs the input roi")
    resized = [
        each
        for each in _axes(x.shape, axes, cut, scales, sizes, keep_aspect_ratio_policy)
        if (each.scale, each.length, each.start, each.end) != (1, each.size, 0, 1)
    ]
    taps, outside = [], []
    for each in resized:
        place = each.coordinates(coordinate_transformation_mode)
        outside.append((place < 0) | (place > each.size - 1))
        if mode == "nearest":
            taps.append(nearest(place, each.size, nearest_mode, each.scale))
            continue
        radius, kernel = (1, triangle) if mode == "linear" else (2, lambda distance: cubic(distance, cubic_coeff_a))
        stretch = max(1, 1 / each.scale) if antialias else 1
        options = {"normal": bool(antialias), "exclude_outside": bool(exclude_outside)}
        taps.append(interpolated(place, each.size, kernel, radius, stretch, **options))
    result = _applied(x, resized, taps)
    if cut is not None:
        for each, beyond in zip(resized, outside, strict=True):
            result[(slice(None),) * each.axis + (beyond,)] = extrapolation_value
    return result


def upsample(
    node: Node,
    x: Array,
    scales: Array | Sequence[float] | None = None,
    *,
    mode: str,
    height_scale: float = 1,
    width_scale: float = 1,
) -> Array:
    """Upsample: what Resize was before opset 10; `scales` was an attribute before opset 9, and two before opset 7."""
    if scales is None:
        scales, mode = (1, 1, height_scale, width_scale), mode.removeprefix("bi")
    if min(scales, default=1) < 1:
        raise ArgumentError(f"scales must be at least 1, got {shown(list(map(float, scales)))}")
    return resize(node, x, np.asarray(scales), mode=mode)


def _axes(
    shape: tuple[int, ...],
    axes: Sequence[int] | None,
    roi: Array | None,
    scales: Array | None,
    sizes: Array | None,
    policy: str,
) -> list[Axis]:
    """Return the axes that the inputs tell of, with their lengths in the result."""
    chosen = [axis + len(shape) * (axis < 0) for axis in (range(len(shape)) if axes is None else axes)]
    if len(set(chosen)) < len(chosen) or not set(chosen) <= set(range(len(shape))):
        raise ArgumentError(f"axes must be different axes of X, which has {len(shape)}; got {shown(axes)}")
    given = {name: v for name, v in (("scales", scales), ("sizes", sizes)) if v is not None and v.size}
    if len(given) != 1 and (given or chosen):
        raise ArgumentError(f"one of scales and sizes must be given, got {' and '.join(given) or 'neither'}")
    for name, values, count in (*((n, v, len(chosen)) for n, v in given.items()), ("roi", roi, 2 * len(chosen))):
        if values is not None and values.shape != (count,):
            raise ShapeError(f"{name} must have {count} numbers for {len(chosen)} axes, got shape {values.shape}")
    if policy not in POLICIES:
        raise ArgumentError(f"keep_aspect_ratio_policy must be one of {POLICIES}, got {shown(policy)}")
    before = [shape[axis] for axis in chosen]
    if "scales" in given:
        factors = [float(each) for each in given["scales"]]
        if not all(0 < each < math.inf for each in factors):
            raise ArgumentError(f"scales must be positive and finite, got {shown(factors)}")
        lengths = [math.floor(n * each) for n, each in zip(before, factors, strict=True)]
    else:
        lengths = [int(each) for each in given.get("sizes", ())]
        if min(lengths, default=0) < 0:
            raise ArgumentError(f"sizes must be at least 0, got {lengths}")
        factors = [wanted / n if n else 1.0 for wanted, n in zip(lengths, before, strict=True)]
        if policy != "stretch" and factors:
            factors = [min(factors) if policy == "not_larger" else max(factors)] * len(factors)
            lengths = [math.floor(n * each + 0.5) for n, each in zip(before, factors, strict=True)]
    for axis, n, length in zip(chosen, before, lengths, strict=True):
        if length and not n:
            raise ShapeError(f"axis {axis} of X has no elements that {length} could be made of")
    parts = [(0.0, 1.0)] * len(chosen)
    if roi is not None:
        parts = [(float(a), float(b)) for a, b in zip(roi[: len(chosen)], roi[len(chosen) :], strict=True)]
    described = zip(chosen, before, lengths, factors, *zip(*parts, strict=True), strict=True) if chosen else ()
    return [Axis(*each) for each in described]


def _applied(x: Array, axes: list[Axis], taps: list[Taps]) -> Array:
    """Return the image, resized along every axis: integers are rounded, ties to even, and stay in their range."""
    shape = list(x.shape)
    for each in axes:
        shape[each.axis] = each.length
    whole = x.dtype.kind in "iu"
    if any(each.weights is not None for each in taps):
        if x.dtype.kind == "b":
            raise ArgumentError("X is bool, which has no means; use mode 'nearest'")
        numbers = x.astype(np.float64 if whole else np.result_type(x.dtype, np.float32))
    else:
        numbers = x.copy() if not taps else x
    # Two arrays of the greatest size between the axes: a part of the sum, and the sum.
    largest = math.prod(map(max, zip(x.shape, shape, strict=True)))
    require_memory(2 * largest * numbers.itemsize, "resize to a smaller shape", "the result {} of {}", shape, x.dtype)
    for each, tap in zip(axes, taps, strict=True):
        numbers = tap.apply(numbers, each.axis)
    if numbers.dtype == x.dtype:
        return numbers
    if whole:
        info = np.iinfo(x.dtype)
        low, high = float(info.min), float(info.max)
        numbers = np.clip(np.round(numbers), low, high if high <= info.max else np.nextafter(high, 0))
    with np.errstate(over="ignore"):
        return numbers.astype(x.dtype)
