"""Sample images and weights of any shape, for pictures: the same numbers everywhere and always."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..engine.host import require_memory

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HILL, _NOISE = 6, 4
"""How high the hill in a sample image is, and how many values its noise has: together they give digits."""


def sample_image(shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return an image of digits: a bright hill beside the middle of each channel, and noise.

    Parameters
    ----------
    shape : tuple of int
        Of any number of axes.

    Returns
    -------
    ndarray of int64, `shape`
        From 0 to 9, without a symmetry: what is turned or mirrored is another image.

    Raises
    ------
    MemoryBudgetError
        If it would not fit the available memory.

    Examples
    --------
    >>> sample_image((3, 4))
    array([[4, 6, 7, 4],
           [3, 8, 7, 6],
           [1, 2, 3, 3]])
    """
    noise = _mixed(shape, 0) % _NOISE
    spatial = max(min(len(shape), 2), len(shape) - 2)
    leading = shape[: len(shape) - spatial]
    planes = np.arange(math.prod(leading)).reshape(leading + (1,) * spatial)
    # Coordinates run from 0 to 63 along each axis, and the hill goes down with the square of the distance.
    distance = np.zeros_like(noise)
    for axis in range(spatial):
        length = shape[len(leading) + axis]
        along = (64 * np.arange(length) + 32) // max(length, 1)
        middle = 12 + (10 + 13 * axis + 17 * planes) % 40
        distance += (along.reshape(-1, *(1,) * (spatial - 1 - axis)) - middle) ** 2
    return noise + np.maximum(0, _HILL - _HILL * distance // 1400)


def sample_weights(shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return filters of small weights.

    Parameters
    ----------
    shape : tuple of int
        (n, C/groups, *kernel), or the shape of a plain kernel.

    Returns
    -------
    ndarray of int64, `shape`
        From -2 to 2; no filter is 0 everywhere.

    Raises
    ------
    MemoryBudgetError
        If they would not fit the available memory.

    Examples
    --------
    >>> sample_weights((1, 1, 3, 3))[0, 0]
    array([[ 1, -1,  1],
           [-1, -2, -2],
           [ 1,  0, -1]])
    """
    weights = _mixed(shape, 1) % 5 - 2
    if weights.size:
        filters = weights.reshape(shape[0] if len(shape) > 2 else 1, -1)
        filters[~filters.any(axis=1), 0] = 1
    return weights


def _mixed(shape: tuple[int, ...], seed: int) -> NDArray[np.int64]:
    """Return numbers that look random, from 0 on: the output function of the generator SplitMix64, by the index."""
    count = math.prod(shape)
    require_memory(4 * 8 * count, "use a smaller shape", "the sample of shape {}", shape)
    z = np.arange(count * seed + 1, count * (seed + 1) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        z = (z ^ (z >> np.uint64(shift))) * np.uint64(factor)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(16)).astype(np.int64).reshape(shape)
