"""SciPy: `correlate2d`, for filters of one channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..contestant import Convolver

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from ..problems import Problem


def prepare(problem: Problem) -> Callable[[], NDArray[np.float32]] | None:
    """Filter; the function always allocates. None for other layers."""
    if not problem.layer.is_filter:
        return None
    from scipy.signal import correlate2d

    image, weight = problem.image[0, 0], problem.weight[0, 0]
    return lambda: correlate2d(image, weight, mode="same")[None, None]


CONTESTANT = Convolver("SciPy", "scipy", prepare, is_one_shot=True)
