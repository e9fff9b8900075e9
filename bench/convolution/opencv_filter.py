"""OpenCV's filter of an image, as two contestants call it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from .problems import Problem

FREQUENCY_TAPS = 130
"""From so many taps on, `filter2D` goes through the frequency domain (`dftFilter2D` in its source)."""


def prepare(problem: Problem) -> Callable[[], NDArray[np.float32]] | None:
    """Filter into `out`; None for other layers."""
    if not problem.layer.is_filter:
        return None
    import cv2

    cv2.setNumThreads(problem.threads)
    image, weight, out = problem.image[0, 0], problem.weight[0, 0], problem.out[0, 0]

    def call() -> NDArray[np.float32]:
        cv2.filter2D(image, -1, weight, dst=out, borderType=cv2.BORDER_CONSTANT)
        return problem.out

    return call
