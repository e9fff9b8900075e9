"""SciPy: `oaconvolve`, which goes through the frequencies of overlapping parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...contestants import Contestant

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..problems import Problem


def prepare(problem: Problem) -> Callable[[], NDArray[Any]]:
    """Filter; the function always allocates."""
    from scipy.signal import oaconvolve

    image, flipped = problem.image, np.ascontiguousarray(problem.kernel[::-1, ::-1])
    return lambda: oaconvolve(image, flipped, mode="same")


CONTESTANT = Contestant("oaconvolve", "scipy", prepare)
