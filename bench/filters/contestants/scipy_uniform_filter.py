"""SciPy: `ndimage.uniform_filter`, running sums along one axis and then the other, for those who know a box."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...contestants import Contestant

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..problems import Problem


def prepare(problem: Problem) -> Callable[[], NDArray[Any]] | None:
    """Filter into `out`; None for kernels that are no boxes."""
    if problem.kind != "box":
        return None
    from scipy.ndimage import uniform_filter

    p, size = problem, len(problem.kernel)
    return lambda: uniform_filter(p.image, size, output=p.out, mode="constant")


CONTESTANT = Contestant("uniform_filter", "scipy", prepare)
