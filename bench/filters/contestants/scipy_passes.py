"""SciPy: `ndimage.correlate1d` along one axis and then the other, of float32 images summed in float64."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...contestants import Contestant

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..problems import Problem


def prepare(problem: Problem) -> Callable[[], NDArray[Any]] | None:
    """Filter into `out`; None for kernels that are no product of a column and a row."""
    if problem.along is None:
        return None
    from scipy.ndimage import correlate1d

    p, along = problem, problem.along

    def call() -> NDArray[Any]:
        correlate1d(p.image, along, 0, output=p.out, mode="constant")
        correlate1d(p.out, along, 1, output=p.out, mode="constant")
        return p.out

    return call


CONTESTANT = Contestant("correlate1d, twice", "scipy", prepare)
