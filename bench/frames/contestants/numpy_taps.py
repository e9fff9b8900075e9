"""What one writes with NumPy: a sum of slices for each tap."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ...contestants import Contestant

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..problems import Problem


def prepare(problem: Problem) -> Callable[[], NDArray[np.float32]]:
    """Write the loop."""
    return partial(_fold, problem)


def _fold(problem: Problem) -> NDArray[np.float32]:
    s, patches = problem.signal, problem.patches
    out = np.zeros((s.channels, *s.spatial), np.float32)
    for tap in np.ndindex(*s.kernel):
        places = (slice(t, t + (m - 1) * step + 1, step) for t, m, step in zip(tap, s.output, s.stride, strict=True))
        out[(slice(None), *places)] += patches[(slice(None), *tap)]
    return out


CONTESTANT = Contestant("taps", "numpy", prepare)
