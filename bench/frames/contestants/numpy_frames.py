"""What one writes with NumPy: each frame added where it belongs. Not for millions of frames."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ...contestants import Contestant

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..problems import Problem

_MOST_FRAMES = 20_000


def prepare(problem: Problem) -> Callable[[], NDArray[np.float32]] | None:
    """Write the loop."""
    return partial(_fold, problem) if math.prod(problem.signal.output) <= _MOST_FRAMES else None


def _fold(problem: Problem) -> NDArray[np.float32]:
    s, patches = problem.signal, problem.patches
    out = np.zeros((s.channels, *s.spatial), np.float32)
    for stop in np.ndindex(*s.output):
        places = (slice(o * step, o * step + k) for o, step, k in zip(stop, s.stride, s.kernel, strict=True))
        out[(slice(None), *places)] += patches[(..., *stop)]
    return out


CONTESTANT = Contestant("frames", "numpy", prepare)
