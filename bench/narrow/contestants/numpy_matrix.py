"""What one writes with NumPy for integers, which have no BLAS: the column matrix, and one product in int32."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..contestant import NarrowConvolver

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..problems import Problem

_MOST_FLOPS = 5e8
"""Layers with more take seconds a call."""


def prepare(problem: Problem) -> Callable[[], NDArray[Any]] | None:
    """Pad, copy and multiply in each call; None for all but the exact sums of small dense layers."""
    layer = problem.layer
    if problem.task.kind != "int32" or layer.groups > 1 or layer.batch > 1 or layer.flops > _MOST_FLOPS:
        return None
    axes = tuple(range(1, 1 + len(layer.spatial)))
    strides = tuple(slice(None, None, s) for s in layer.stride)
    taps_first = (0, *(axis + len(axes) for axis in axes), *axes)
    weights = problem.weight.reshape(layer.filters, layer.terms).astype(np.int32)
    pads = [(0, 0), *((p, p) for p in layer.padding)]
    out = problem.out.reshape(layer.filters, math.prod(layer.output_spatial))

    def call() -> NDArray[Any]:
        padded = np.pad(problem.image[0].astype(np.int32), pads)
        windows = sliding_window_view(padded, layer.kernel, axis=axes)[:, *strides]
        np.matmul(weights, windows.transpose(taps_first).reshape(layer.terms, -1), out=out)
        return problem.out

    return call


CONTESTANT = NarrowConvolver("NumPy", "numpy", prepare)
