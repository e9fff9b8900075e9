"""The calls of a small layer, and what is asked of every contestant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

KERNEL = 3
CONVOLUTION, PLAN, COLUMNS, FOLD = "conv2d", "plan, out=", "im2col", "col2im"
TRANSPOSE, IMAGE_GRADIENT, WEIGHT_GRADIENT = "conv_transpose", "conv_input_gradient", "conv_weight_gradient"
MAXIMA, MEANS, RECORDED = "max_pool", "average_pool", "recorded"
CALLS = (CONVOLUTION, PLAN, COLUMNS, FOLD, TRANSPOSE, IMAGE_GRADIENT, WEIGHT_GRADIENT, MAXIMA, MEANS, RECORDED)
"""By the names of our functions; a plan has its weights prepared and is told where to write. What is recorded is a
convolution whose gradients are wanted."""


@dataclass(frozen=True)
class Problem:
    """One call of a layer of 1×8×8×8, 3×3, 8 filters, with its data; `answer` is the right result.

    Parameters
    ----------
    call : str
        One of `CALLS`.
    padding : int
    x : ndarray of float32, (1, 8, 8, 8)
        The image; also what a transpose enlarges.
    w : ndarray of float32, (8, 8, 3, 3)
    grad : ndarray of float32
        The gradient of the convolution's result.
    columns : ndarray of float32, (1, taps, positions)
        What is folded.
    answer : ndarray of float32
    threads : int
    """

    call: str
    padding: int
    x: Array
    w: Array
    grad: Array
    columns: Array
    answer: Array
    threads: int

    @property
    def name(self) -> str:
        """The call and the padding."""
        return f"{self.call}, padding {self.padding}"


def make_problem(call: str, padding: int, threads: int) -> Problem:
    """Return a problem of small integers, of which float32 sums any order exactly; its answer is counted tap by tap."""
    rng = np.random.default_rng(0)
    x, w = (rng.integers(-4, 5, shape).astype(np.float32) for shape in ((1, 8, 8, 8), (8, 8, KERNEL, KERNEL)))
    side = 8 + 2 * padding - KERNEL + 1
    grad = rng.integers(-4, 5, (1, 8, side, side)).astype(np.float32)
    columns = rng.integers(-4, 5, (1, 8, KERNEL, KERNEL, side, side)).astype(np.float32)
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    seen = np.lib.stride_tricks.sliding_window_view(padded, (KERNEL, KERNEL), (2, 3))  # (1, C, *positions, *taps)
    inside = np.pad(np.ones((8, 8), bool), padding)
    there = np.lib.stride_tricks.sliding_window_view(inside, (KERNEL, KERNEL))
    answers: dict[str, Callable[[], Array]] = {
        CONVOLUTION: lambda: np.einsum("nchwij,fcij->nfhw", seen, w),
        PLAN: lambda: np.einsum("nchwij,fcij->nfhw", seen, w),
        COLUMNS: lambda: seen.transpose(0, 1, 4, 5, 2, 3).reshape(1, 8 * KERNEL**2, side**2),
        FOLD: lambda: _folded(columns, padding),
        TRANSPOSE: lambda: _folded(np.einsum("nfhw,fcij->ncijhw", x, w), padding),
        IMAGE_GRADIENT: lambda: _folded(np.einsum("nfhw,fcij->ncijhw", grad, w), padding),
        WEIGHT_GRADIENT: lambda: np.einsum("nchwij,nfhw->fcij", seen, grad),
        MAXIMA: lambda: np.where(there, seen, -np.inf).max((4, 5)).astype(np.float32),
        MEANS: lambda: seen.sum((4, 5)) / np.float32(KERNEL**2),
        RECORDED: lambda: np.einsum("nchwij,fcij->nfhw", seen, w),
    }
    return Problem(call, padding, x, w, grad, columns.reshape(1, -1, side**2), answers[call](), threads)


def _folded(columns: Array, padding: int) -> Array:
    """Return the sums of entries (1, C, *taps, *positions) by the pixels that they belong to."""
    side = columns.shape[-1]
    image = np.zeros((*columns.shape[:2], side + KERNEL - 1, side + KERNEL - 1), np.float32)
    for i, j in np.ndindex(KERNEL, KERNEL):
        image[..., i : i + side, j : j + side] += columns[:, :, i, j]
    return image[..., padding : image.shape[-2] - padding, padding : image.shape[-1] - padding]
