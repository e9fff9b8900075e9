"""Pooling by NumPy: axis by axis, in windows that double. Where the engine has no kernel, or there is no engine."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from ...spec.pool import divisors
from ..separable.box_sums import links

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ...spec.geometry import Geometry
    from ...spec.pool import Pool

    Array = NDArray[Any]


def workspace_bytes(pool: Pool, planes: int, itemsize: int) -> int:
    """Return the bytes that it takes beside image and result, at most."""
    pixels = 1
    for n in pool.geometry.padded_shape:
        pixels *= n
    return 4 * planes * pixels * max(itemsize, 8 if pool.reduction == "place" else 0)


def pool_plainly(pool: Pool, x: Array, out: Array) -> None:
    """Pool an image (N, C, *spatial) of any strides into `out`."""
    with np.errstate(all="ignore"):
        if pool.reduction == "place":
            _places(pool.geometry, x, out)
        elif pool.reduction == "maximum":
            out[...] = _slid(pool.geometry, x, np.maximum, _lowest(x.dtype), _halves)
        else:
            given = x * x if pool.reduction == "root" else x
            sums = _slid(pool.geometry, given, np.add, np.zeros((), x.dtype), links)
            if pool.reduction == "mean":
                sums = sums / divisors(pool, x.dtype)
            out[...] = np.sqrt(sums) if pool.reduction == "root" else sums


def _halves(taps: int) -> list[tuple[int, int]]:
    """Return how windows of so many taps are made of smaller ones, which may overlap: their widths, and the shift."""
    found, width = [], 1
    while width < taps:
        found.append((width, min(width, taps - width)))
        width += found[-1][1]
    return found


def _slid(
    g: Geometry, x: Array, join: Callable[[Array, Array], Array], neutral: Any, parts: Callable[[int], list[Any]]
) -> Array:
    """Return the windows of an image, joined along one axis after another."""
    values = _padded(g, x, neutral)
    for axis in range(g.ndim):
        k, s, d, count = g.kernel_size[axis], g.stride[axis], g.dilation[axis], g.output_shape[axis]
        single = values = np.moveaxis(values, axis + 2, 0)
        for width, behind in parts(k):
            # A sum with one more tap has a pixel behind it; a maximum, or a doubled sum, a window like itself.
            shift, later = (width, single) if join is np.add and width != behind else (behind, values)
            stop = len(single) - d * (width + behind - 1)
            values = join(values[:stop], later[d * shift : d * shift + stop])
        values = np.moveaxis(values[: (count - 1) * s + 1 : s], 0, axis + 2)
    return values


def _padded(g: Geometry, x: Array, value: Any) -> Array:
    """Return an image (N, C, *spatial) with its padding, if it has any."""
    if not g.is_padded:
        return x
    padded = np.full((*x.shape[:2], *g.padded_shape), value, x.dtype)
    padded[_inside(g)] = x
    return padded


def _inside(g: Geometry) -> tuple[Any, ...]:
    """Return the index of the image in the padded one."""
    each = zip(g.padding, g.spatial_shape, strict=True)
    return (..., *(slice(before, before + n) for (before, _), n in each))


def _places(g: Geometry, x: Array, out: Array) -> None:
    """Write where the first greatest pixel of each window lies, or the last one that is no number; -1 if none does."""
    numbers = np.arange(np.prod(g.spatial_shape, dtype=np.int64)).reshape(1, 1, *g.spatial_shape)
    where, padded = _padded(g, numbers, -1), _padded(g, x, _lowest(x.dtype))
    best = np.full(out.shape, _lowest(x.dtype), x.dtype)
    out[...] = -1
    for taps in itertools.product(*map(range, g.kernel_size)):
        steps = zip(taps, g.dilation, g.stride, g.output_shape, strict=True)
        at: Any = (..., *(slice(t * d, t * d + (n - 1) * s + 1, s) for t, d, s, n in steps))
        value, place = padded[at], where[at]
        better = (place >= 0) & ((out < 0) | (value > best) | (value != value))  # noqa: PLR0124 (which NaN is)
        np.copyto(best, value, where=better)
        np.copyto(out, np.broadcast_to(place, out.shape), where=better)


def _lowest(dtype: np.dtype[Any]) -> Any:
    """Return what no number of a dtype is less than, as a number of it."""
    if dtype.kind in "biu":
        return dtype.type(False) if dtype.kind == "b" else np.iinfo(dtype).min
    return np.array(-np.inf).astype(dtype)[()]
