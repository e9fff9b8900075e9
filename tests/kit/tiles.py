"""Layers of tiles in plain NumPy: how far rounding may take a result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from im2col.algorithms.winograd.cook_toom import as_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from im2col.algorithms.winograd.cook_toom import Transform

    from .memory import Array


def along(matrix: Array, values: Array, axis: int) -> Array:
    """Return values with one axis multiplied by a matrix."""
    return np.moveaxis(np.tensordot(matrix, values, (1, axis)), 0, axis)


def sizes(x: Array, w: Array, transforms: Sequence[Transform], groups: int) -> Array:
    """Return, for each result, the sum of the magnitudes of everything that is added up for it.

    Parameters
    ----------
    x : ndarray, (N, C, *spatial)
        The image, padded.
    w : ndarray, (filters, C/groups, *kernel)
    transforms : sequence of Transform
    groups : int
    """
    k = len(transforms)
    shape = [n - t.r + 1 for n, t in zip(x.shape[2:], transforms, strict=True)]
    counts = [-(-n // t.m) for n, t in zip(shape, transforms, strict=True)]
    room = [c * t.m + t.r - 1 for c, t in zip(counts, transforms, strict=True)]
    image = np.zeros((*x.shape[:2], *room))
    inside: Any = (..., *map(slice, x.shape[2:]))
    image[inside] = np.abs(x)
    windows = np.lib.stride_tricks.sliding_window_view(image, [t.size for t in transforms], tuple(range(2, 2 + k)))
    windows = windows[(slice(None), slice(None), *(slice(None, None, t.m) for t in transforms))]
    filters = np.abs(w).astype(float)
    for axis, t in enumerate(transforms):
        windows = along(np.abs(as_array(t.image)), windows, 2 + k + axis)
        filters = along(np.abs(as_array(t.weights)), filters, 2 + axis)
    n, c, tiles, size = len(x), w.shape[1], windows.shape[2 : 2 + k], windows.shape[2 + k :]
    parts = windows.reshape(n, groups, c, *tiles, -1), filters.reshape(groups, -1, c, filters[0, 0].size)
    letters = "xyz"[:k]
    products = np.einsum(f"ngc{letters}e,gfce->ngf{letters}e", *parts)
    products = products.reshape(n, len(w), *tiles, *size)
    for axis, t in enumerate(transforms):
        products = along(np.abs(as_array(t.result)), products, 2 + k + axis)
    order = [0, 1, *(2 + i + k * j for i in range(k) for j in range(2))]
    whole: Any = products.transpose(order).reshape(
        n, len(w), *(c * t.m for c, t in zip(counts, transforms, strict=True))
    )
    result: Array = whole[(..., *map(slice, shape))]
    return result


def bound(x: Array, w: Array, transforms: Sequence[Transform], groups: int, dtype: Any) -> Array:
    """Return by how much a result may differ from the exact one.

    A value of a window passes at most 2 T roundings along each axis, and so does a product on its way back; a filter's
    passes two, and the sum over C channels passes C: each rounding is of something that `sizes` adds up.
    """
    roundings = w.shape[1] + 4 + sum(4 * t.size for t in transforms)
    limit: Array = roundings * float(np.finfo(dtype).eps) * sizes(x, w, transforms, groups)
    return limit
