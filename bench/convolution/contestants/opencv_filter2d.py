"""OpenCV: `filter2D`, with kernels so small that it multiplies directly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..contestant import Convolver
from ..opencv_filter import FREQUENCY_TAPS
from ..opencv_filter import prepare as prepare_any

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from ..problems import Problem


def prepare(problem: Problem) -> Callable[[], NDArray[np.float32]] | None:
    """Filter, with small kernels."""
    return prepare_any(problem) if problem.layer.terms < FREQUENCY_TAPS else None


CONTESTANT = Convolver("filter2D", "opencv-python-headless", prepare, is_one_shot=True)
