"""Resizing: axis by axis, each pixel of the result a weighted sum of few pixels along the axis."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...engine.host import require_memory
from ...errors import ArgumentError, DTypeError, ShapeError, shown
from ...spec.arguments import check_choice
from .taps import COORDINATES, NEAREST, Axis, cubic, interpolated, nearest, triangle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .node import Node

    Array = NDArray[Any]

MODES = ("nearest", "linear", "cubic")
POLICIES = ("stretch", "not_larger", "not_smaller")


def resize(
    node: Node,
    x: Array,
    roi: Array | None = None,
    scales: Array | None = None,
    sizes: Array | None = None,
    *,
    mode: str,
    coordinate_transformation_mode: str = "asymmetric",
    nearest_mode: str | None = None,
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0,
    antialias: int = 0,
    axes: Sequence[int] | None = None,
    keep_aspect_ratio_policy: str = "stretch",
) -> Array:
    """Resize: its second input was `scales` in opset 10, which had no attribute but `mode`.

    Without a `nearest_mode`, as there, places between two pixels go down where an axis grows and up where it shrinks.
    """
    if node.version < 11:
        roi, scales = None, roi
    check_choice("mode", mode, MODES)
    check_choice("coordinate_transformation_mode", coordinate_transformation_mode, COORDINATES)
    check_choice("keep_aspect_ratio_policy", keep_aspect_ratio_policy, POLICIES)
    if nearest_mode is not None:
        check_choice("nearest_mode", nearest_mode, NEAREST)
    if mode == "nearest" and (antialias or exclude_outside):
        raise ArgumentError("antialias and exclude_outside are for the modes 'linear' and 'cubic'")
    if not math.isfinite(cubic_coeff_a):
        raise ArgumentError(f"cubic_coeff_a must be finite, got {cubic_coeff_a}")
    if mode != "nearest" and x.dtype.kind == "b":
        raise DTypeError("X is bool, which has no means; use mode 'nearest'")
    cropped = coordinate_transformation_mode == "tf_crop_and_resize"
    if cropped and roi is None:
        raise ArgumentError("coordinate_transformation_mode 'tf_crop_and_resize' needs the input roi")
    resized = _axes(x.shape, axes, roi if cropped else None, scales, sizes, keep_aspect_ratio_policy)
    shape = _require_memory(x, resized, 1 if mode == "nearest" else 2)
    if 0 in shape:
        return np.empty(shape, x.dtype)
    if mode != "nearest":
        result = x.astype(np.float64 if x.dtype.kind in "iu" else np.result_type(x.dtype, np.float32))
    else:
        result = x
    beyond = []
    for each in resized:
        if (each.scale, each.length, each.start, each.end) == (1, each.size, 0, 1):
            continue
        place = each.coordinates(coordinate_transformation_mode)
        beyond.append((each.axis, (place < 0) | (place > each.size - 1)))
        if mode == "nearest":
            taps = nearest(place, each.size, nearest_mode or ("floor" if each.scale >= 1 else "ceil"))
        else:
            stretch = max(1, 1 / each.scale) if antialias else 1
            kernel, radius = (triangle, 1) if mode == "linear" else (partial(cubic, a=float(cubic_coeff_a)), 2)
            taps = interpolated(
                place, each.size, kernel, radius, stretch, normal=bool(antialias), exclude_outside=bool(exclude_outside)
            )
        result = taps.apply(result, each.axis)
    result = x.copy() if result is x else _as(result, x.dtype)
    if cropped:
        for axis, outside in beyond:
            result[(slice(None),) * axis + (outside,)] = _as(np.array(float(extrapolation_value)), x.dtype)
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
        if not np.isfinite(roi).all():
            raise ArgumentError(f"roi must be finite, got {shown(roi.tolist())}")
        parts = [(float(a), float(b)) for a, b in zip(roi[: len(chosen)], roi[len(chosen) :], strict=True)]
    described = zip(chosen, before, lengths, factors, *zip(*parts, strict=True), strict=True) if chosen else ()
    return [Axis(*each) for each in described]


def _require_memory(x: Array, axes: list[Axis], arrays: int) -> tuple[int, ...]:
    """Return the result's shape; so many arrays of any shape on the way to it must fit."""
    shape, most, itemsize = list(x.shape), x.size, max(x.itemsize, 4 if arrays == 1 else 8)
    for each in axes:
        shape[each.axis] = each.length
        reach = max(1, each.size / each.length) if each.length else 0
        most = max(most, math.prod(shape), math.ceil(8 * each.length * reach))
    require_memory(arrays * most * itemsize, "resize to a smaller shape", "the result {} of {}", tuple(shape), x.dtype)
    return tuple(shape)


def _as(numbers: Array, dtype: np.dtype[Any]) -> Array:
    """Return numbers in another dtype: integers are rounded, ties to even, and stay in their range."""
    if numbers.dtype == dtype:
        return numbers
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        low, high = float(info.min), float(info.max)
        numbers = np.clip(np.round(numbers), low, high if high <= info.max else np.nextafter(high, 0))
    with np.errstate(over="ignore"):
        return numbers.astype(dtype)
