"""What one writes with NumPy: the column matrix as a strided view, which `reshape` copies, and one product."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from .layers import Layer

_MOST_BYTES = 2 << 30


def column_product(
    layer: Layer, weight: NDArray[Any], out: NDArray[Any]
) -> Callable[[NDArray[Any]], NDArray[Any]] | None:
    """Return a function of an image, NCHW, that pads, copies and multiplies into `out`.

    Parameters
    ----------
    layer : Layer
    weight : ndarray, (filters, channels of a group, *kernel)
    out : ndarray, NCHW
        Contiguous.

    Returns
    -------
    callable or None
        None where the matrix would take more than 2 GiB.
    """
    g, positions = layer.groups, math.prod(layer.output_spatial)
    if 4 * layer.batch * g * layer.terms * positions > _MOST_BYTES:
        return None
    k = len(layer.spatial)
    axes = tuple(range(2, 2 + k))
    spans = tuple(d * (n - 1) + 1 for n, d in zip(layer.kernel, layer.dilation, strict=True))
    strides = tuple(slice(None, None, s) for s in layer.stride)
    dilations = tuple(slice(None, None, d) for d in layer.dilation)
    pads = [(0, 0), (0, 0), *((p, p) for p in layer.padding)]
    taps_first = (0, 1, *(axis + k for axis in axes), *axes)
    weights = weight.reshape(g, -1, layer.terms)
    product = out.reshape(layer.batch, g, -1, positions)

    def multiply(image: NDArray[Any]) -> NDArray[Any]:
        padded = np.pad(image, pads) if any(layer.padding) else image
        windows = sliding_window_view(padded, spans, axis=axes)[:, :, *strides, *dilations]
        matrix = windows.transpose(taps_first).reshape(layer.batch, g, layer.terms, positions)
        np.matmul(weights, matrix, out=product)
        return out

    return multiply
