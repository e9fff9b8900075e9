"""Coordinates at the centres of windows: those of the pixels there, or halfway between two, or further on outside."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr
from xarray.indexes import PandasMultiIndex

from ...spec.arguments import is_a

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

    from numpy.typing import NDArray

    from ...spec.geometry import Geometry

    Array = NDArray[Any]

_EVEN = 1e-3
"""How far, in steps, evenly spaced coordinates may lie from where they should: many are rounded."""
_MOST = float(np.iinfo(np.int64).max)
_FINER = {"s": "ms", "ms": "us", "us": "ns"}
"""Units of time that halve what is odd in others."""


class Centres(NamedTuple):
    """Where the centres of windows lie along an axis: in pixels, from the first of the image.

    Parameters
    ----------
    first : int
        The pixel of the first centre, or the one before it.
    half : int
        1 where all lie halfway to the next pixel, 0 otherwise.
    step, positions : int
        Pixels between them, and how many they are.
    pixels : int
        Of the axis.
    """

    first: int
    half: int
    step: int
    positions: int
    pixels: int

    @property
    def outside(self) -> tuple[int, int]:
        """How many pixels before the image, and behind it, they reach to."""
        last = self.first + self.step * (self.positions - 1) + self.half
        return max(0, -self.first), max(0, last - (self.pixels - 1))

    @property
    def on_pixels(self) -> bool:
        """Whether each lies on a pixel of the image."""
        return self.half == 0 and self.outside == (0, 0)

    def taken(self, beyond: int = 0) -> slice:
        """Return the pixels where they lie, or those so far behind them; those of the image alone are counted."""
        first = self.first + beyond
        return slice(first, first + self.step * (self.positions - 1) + 1, self.step)


def centres(g: Geometry) -> list[Centres]:
    """Return where the centres of windows lie, along each axis."""
    fields = zip(g.span, g.padding, g.stride, g.output_shape, g.spatial_shape, strict=True)
    return [Centres(*divmod(span - 1 - 2 * before, 2), *more) for span, (before, _), *more in fields]


def moved(coords: Any, along: Mapping[Hashable, Centres], dropped: Iterable[Hashable] = ()) -> Any:
    """Return coordinates of what windows give.

    Parameters
    ----------
    coords : xarray.Coordinates
        Of the image.
    along : mapping of hashable to Centres
        The dimensions along which windows slide.
    dropped : iterable of hashable
        Dimensions of the image that the result has not, or has with another meaning.

    Returns
    -------
    xarray.Coordinates
        Where all centres lie on pixels of the image, the coordinates of those, whatever they are, with their indexes.
        Elsewhere numbers and times are those between pixels, or go on outside the image if they are evenly spaced; what
        is no number, cannot go on, or is a level of an index of several is left out.
    """
    found = coords.to_dataset()
    gone = [name for name, each in found.variables.items() if not set(dropped).isdisjoint(each.dims)]
    found = found.drop_vars(gone) if gone else found
    found = found.isel({dim: each.taken() for dim, each in along.items() if each.on_pixels and dim in found.dims})
    between = {dim: each for dim, each in along.items() if not each.on_pixels}
    concerned = [name for name, each in found.variables.items() if not between.keys().isdisjoint(each.dims)]
    if not concerned:
        return found.coords
    changed = {}
    for name in concerned:
        if is_a(found.xindexes.get(name), PandasMultiIndex):
            continue
        variable = found.variables[name]
        values: Any = variable.data
        for axis, dim in enumerate(variable.dims):
            if dim in between and values is not None:
                values = _at(values, axis, between[dim])
        if values is not None:
            changed[name] = xr.Variable(variable.dims, values, variable.attrs)
    return found.drop_vars(concerned).assign_coords(changed).coords


def _at(values: Any, axis: int, where: Centres) -> Any:
    """Return numbers at the centres of windows along an axis; None where they are not known.

    Parameters
    ----------
    values : ndarray, or dask.array.Array
    axis : int
    where : Centres
        Not all on pixels of the image.
    """
    if _are_calendar(values):
        first = values.flat[0]
        since = _at((values - first).astype("m8[us]"), axis, where)
        return None if since is None else first + since.astype("m8[us]").astype(object)
    if values.dtype.kind not in "iufmM":
        return None
    if where.outside != (0, 0):
        values = _extended(values, axis, *where.outside) if is_a(values, np.ndarray) else None
        if values is None:
            return None
        where = where._replace(first=where.first + where.outside[0])
    before = (slice(None),) * axis
    here = values[(*before, where.taken())]
    if not where.half:
        return here
    there = values[(*before, where.taken(1))]
    if values.dtype.kind in "mM":
        return _between_times(here, there) if is_a(values, np.ndarray) else None
    if values.dtype.kind in "iu":
        here, there = here.astype(np.float64), there.astype(np.float64)
    with np.errstate(invalid="ignore"):  # between infinities of both signs lies no number
        return here * 0.5 + there * 0.5


def _are_calendar(values: Any) -> bool:
    """Whether these are times of cftime: of calendars that NumPy does not know, such as years of 360 days."""
    cftime = sys.modules.get("cftime")  # whose times these may be only where it has been imported
    if cftime is None or type(values) is not np.ndarray or values.dtype.kind != "O":
        return False
    return values.size > 0 and all(is_a(each, cftime.datetime) for each in values.flat)


def _between_times(here: Array, there: Array) -> Array:
    """Return times halfway between others: in a finer unit where that is needed, and holds them."""
    pair = np.stack([here, there])
    finer, ticks, nowhere = _FINER.get(np.datetime_data(pair.dtype)[0]), pair.view(np.int64), np.isnat(pair).any(axis=0)
    ticks[:, nowhere] = 0
    if finer and ((ticks[0] ^ ticks[1]) & 1).any() and np.abs(ticks).max() < np.iinfo(np.int64).max // 1000:
        pair = pair.astype(f"{pair.dtype.kind}8[{finer}]")
        ticks = pair.view(np.int64)
    between: Array = (ticks >> 1).sum(axis=0) + (ticks & 1).all(axis=0)  # their sum may be more than 64 bits hold
    between[nowhere] = np.iinfo(np.int64).min
    return between.view(pair.dtype)


def _extended(values: Array, axis: int, before: int, after: int) -> Array | None:
    """Return numbers that go on evenly before and behind an axis; None if they are not evenly spaced along it."""
    count, dtype = values.shape[axis], values.dtype
    line = np.moveaxis(values, axis, 0)
    if count < 2 or not line.size or (dtype.kind == "u" and not np.can_cast(dtype, np.int64)):
        return None
    if dtype.kind in "mM":
        if np.isnat(line).any():
            return None
        line = line.view(np.int64)
    line = line.astype(np.float64 if dtype.kind == "f" else np.int64)
    across = (-1, *[1] * (line.ndim - 1))
    with np.errstate(invalid="ignore", over="ignore"):
        if not np.ptp(line.astype(np.float64)) < _MOST:  # nor what is no number
            return None
        way = line - line[:1]  # exact of times, which have more digits than a float
        step = way[-1:] / (count - 1)
        if not (np.abs(way - step * np.arange(count).reshape(across)) <= _EVEN * np.abs(step)).all():
            return None
    lead, tail = (step * np.arange(*ends).reshape(across) for ends in ((-before, 0), (1, after + 1)))
    if dtype.kind != "f":
        reach = [float(np.abs(each).max(initial=0)) for each in (lead, tail, line.astype(np.float64))]
        if sum(reach) >= _MOST:
            return None
        lead, tail = np.rint(lead).astype(np.int64), np.rint(tail).astype(np.int64)
    ends = line[:1] + lead, line[-1:] + tail
    if dtype.kind in "mM":
        first, last = (each.view(dtype) for each in ends)
    else:
        first, last = (each.astype(dtype if dtype.kind == "f" else np.int64) for each in ends)
    return np.concatenate([np.moveaxis(first, 0, axis), values, np.moveaxis(last, 0, axis)], axis=axis)
