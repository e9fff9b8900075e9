"""The order in which an array's axes lie in memory: images whose channels lie last there are read as such."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Order = tuple[int, ...] | None


def order_of(x: Array) -> Order:
    """Return the axes of an array from the outermost in memory to the innermost; None if that is their own order."""
    return None if x.flags.c_contiguous else _order(x.strides)


@lru_cache(1 << 10)
def _order(strides: tuple[int, ...]) -> Order:
    """Return the order of axes of which the strides are known."""
    order = tuple(sorted(range(len(strides)), key=lambda axis: (-abs(strides[axis]), axis)))
    return None if order == tuple(range(len(strides))) else order


def back(order: tuple[int, ...]) -> list[int]:
    """Return where each axis stands in an order."""
    places = [0] * len(order)
    for place, axis in enumerate(order):
        places[axis] = place
    return places


def channels_last(axes: int) -> tuple[int, ...]:
    """Return the order of images whose channels lie last, of so many axes: (0, 2, 3, 1)."""
    return (0, *range(2, axes), 1)


def empty(shape: tuple[int, ...], dtype: np.dtype[Any], order: Order, flat: Array | None = None) -> Array:
    """Return an array whose axes lie in memory in an order, without values: in a buffer of bytes, or anew."""
    inner = shape if order is None else tuple(shape[axis] for axis in order)
    if flat is None:
        array: Array = np.empty(inner, dtype)
    else:
        array = flat[: math.prod(shape) * dtype.itemsize].view(dtype).reshape(inner)
    return array if order is None else array.transpose(back(order))
