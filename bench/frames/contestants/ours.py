"""The library itself."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from im2col import col2im

from ...contestants import Contestant, Role

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from ..problems import Problem


def prepare(problem: Problem) -> Callable[[], NDArray[np.float32]]:
    """Call the public function."""
    s = problem.signal
    options = {"stride": s.stride, "orientation": problem.orientation, "threads": problem.threads}
    return partial(col2im, problem.matrix, s.shape, s.kernel, **options)  # type: ignore[arg-type]  # of a mapping


CONTESTANT = Contestant("im2col", "im2col", prepare, Role.OURS)
