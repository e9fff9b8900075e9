"""The way back of the greatest pixels: each number goes to the place that its index tells, of its own channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


def scatter(values: Array, indices: Array, out: Array, *, add: bool) -> None:
    """Put numbers in their places, or add them there; all else is 0.

    Parameters
    ----------
    values : ndarray, (N, C, positions)
        Of out's dtype.
    indices : ndarray of int64, (N, C, positions)
        Less than the pixels of a plane; those that are less than 0 have no place.
    out : ndarray, (N, C, pixels)
        Overwritten; C-contiguous.
    add : bool
        Whether numbers with one place are added up; else the last one stays.
    """
    out[...] = 0
    batch, channels, pixels = out.shape
    planes = np.arange(batch * channels).reshape(batch, channels, 1) * pixels
    there = indices >= 0
    flat, places = out.reshape(-1), (planes + indices)[there]
    if add:
        np.add.at(flat, places, values[there])
    else:
        flat[places] = values[there]
