"""How often each pixel is read: an outer product of counts along each axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..spec.geometry import Geometry
from ..spec.padded import fold_padding, modes_along

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..spec.padded import Mode


def overlap(geometry: Geometry, mode: Mode) -> NDArray[np.int64]:
    """Return how often each pixel is read, over the spatial axes.

    Parameters
    ----------
    geometry, mode
        As for `axis_counts`.

    Returns
    -------
    ndarray of int64, shape (*geometry.spatial_shape,)
    """
    return outer(axis_counts(geometry, mode))


def axis_counts(geometry: Geometry, mode: Mode) -> list[NDArray[np.int64]]:
    """Return how often each pixel of each axis is read by a window along that axis alone.

    Parameters
    ----------
    geometry : Geometry
    mode : str or tuple of str
        The padding mode.

    Returns
    -------
    list of ndarray of int64, one of shape (n,) for each axis
    """
    counts, modes = [], modes_along(mode, geometry.ndim)
    for i, (n, pair) in enumerate(zip(geometry.spatial_shape, geometry.padding, strict=True)):
        kernel, stride, dilation = geometry.kernel_size[i], geometry.stride[i], geometry.dilation[i]
        padded = _padded_counts(geometry.padded_shape[i], kernel, stride, dilation, geometry.output_shape[i])
        if modes[i] == "constant" or not any(pair):
            counts.append(padded[pair[0] : pair[0] + n])
        else:
            axis = Geometry((n,), (kernel,), (stride,), (pair,), (dilation,))
            counts.append(fold_padding(padded, 0, axis, modes[i]))
    return counts


def counting_bytes(geometry: Geometry) -> int:
    """Return the bytes that `axis_counts` allocates."""
    return 8 * sum(n + d for n, d in zip(geometry.padded_shape, geometry.dilation, strict=True))


def _padded_counts(length: int, kernel: int, stride: int, dilation: int, positions: int) -> NDArray[np.int64]:
    """Return how often a window reads each pixel of a padded axis, from where it comes to a pixel and where it leaves.

    Pixels a dilation apart are a line of their own: position o enters its line at pixel o·stride and has left it
    kernel·dilation pixels later.
    """
    changes = np.zeros(-(-length // dilation) * dilation, np.int64)
    changes[: (positions - 1) * stride + 1 : stride] += 1
    left = changes[kernel * dilation :: stride]
    left[:positions] -= 1
    lines = changes.reshape(-1, dilation)
    np.add.accumulate(lines, axis=0, out=lines)
    return changes[:length]


def outer(counts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return the outer product of vectors, with no other array than the result."""
    product = np.ones([len(each) for each in counts], counts[0].dtype)
    for i, each in enumerate(counts):
        product *= each.reshape(-1, *[1] * (len(counts) - 1 - i))
    return product
