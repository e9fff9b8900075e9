"""What one writes with NumPy: a strided view, assigned; and on the way back one sum of slices a tap. One thread."""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ...contestants import Contestant

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..problems import Problem


def prepare(problem: Problem) -> Callable[[], NDArray[np.float32]]:
    """Pad, where there is padding, inside the timed call, as this library does."""
    return partial(_to_matrix if problem.task.transform == "im2col" else _to_image, problem)


def _to_matrix(problem: Problem) -> NDArray[np.float32]:
    layer = problem.layer
    s, d = layer.stride, layer.dilation
    image = problem.image
    if layer.padding:
        image, inner = _padded_zeros(problem)
        inner[...] = problem.image
    windows = sliding_window_view(image, (layer.span, layer.span), axis=(2, 3))[:, :, ::s, ::s, ::d, ::d]
    source = windows.transpose((0, 1, 4, 5, 2, 3) if problem.task.orientation == "columns" else (0, 2, 3, 1, 4, 5))
    out = np.empty(problem.matrix.shape, np.float32) if problem.out is None else problem.out
    np.copyto(out.reshape(source.shape), source)
    return out


def _to_image(problem: Problem) -> NDArray[np.float32]:
    layer = problem.layer
    s, d = layer.stride, layer.dilation
    height, width = layer.output_shape
    n, c, k = layer.batch, layer.channels, layer.kernel
    if problem.task.orientation == "columns":
        patches = problem.matrix.reshape(layer.patches_shape)
    else:
        patches = problem.matrix.reshape(n, height, width, c, k, k).transpose(0, 3, 4, 5, 1, 2)
    out = np.empty(layer.image_shape, np.float32) if problem.out is None else problem.out
    if layer.padding:
        total, inner = _padded_zeros(problem)
    else:
        total = inner = out
        total[...] = 0
    for y, x in itertools.product(range(k), repeat=2):
        rows = slice(y * d, y * d + s * (height - 1) + 1, s)
        cols = slice(x * d, x * d + s * (width - 1) + 1, s)
        total[:, :, rows, cols] += patches[:, :, y, x]
    if layer.padding:
        out[...] = inner
    return out


def _padded_zeros(problem: Problem) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return an image of zeros with room for the padding, and the view of it that lies inside the padding."""
    layer, p = problem.layer, problem.layer.padding
    padded = np.zeros((layer.batch, layer.channels, layer.height + 2 * p, layer.width + 2 * p), np.float32)
    return padded, padded[:, :, p:-p, p:-p]


CONTESTANT = Contestant("NumPy", "numpy", prepare)
