"""What one writes with NumPy: the column matrix as a strided view, which `reshape` copies, and one product."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..contestant import Convolver

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..problems import Problem

_MOST_BYTES = 2 << 30


def prepare(problem: Problem) -> Callable[[], NDArray[np.float32]] | None:
    """Pad, copy and multiply in each call; None where the matrix would take more than 2 GiB."""
    layer, g = problem.layer, problem.layer.groups
    positions = math.prod(layer.output_spatial)
    if 4 * layer.batch * g * layer.terms * positions > _MOST_BYTES:
        return None
    k = len(layer.spatial)
    axes = tuple(range(2, 2 + k))
    spans = tuple(d * (n - 1) + 1 for n, d in zip(layer.kernel, layer.dilation, strict=True))
    strides = tuple(slice(None, None, s) for s in layer.stride)
    dilations = tuple(slice(None, None, d) for d in layer.dilation)
    pads = [(0, 0), (0, 0), *((p, p) for p in layer.padding)]
    taps_first = (0, 1, *(axis + k for axis in axes), *axes)
    weights = problem.weight.reshape(g, -1, layer.terms)
    out = problem.out.reshape(layer.batch, g, -1, positions)

    def call() -> NDArray[np.float32]:
        padded = np.pad(problem.image, pads) if any(layer.padding) else problem.image
        windows = sliding_window_view(padded, spans, axis=axes)[:, :, *strides, *dilations]
        matrix = windows.transpose(taps_first).reshape(layer.batch, g, layer.terms, positions)
        np.matmul(weights, matrix, out=out)
        return problem.out

    return call


CONTESTANT = Convolver("NumPy", "numpy", prepare, is_one_shot=True)
