"""OpenCV's `sepFilter2D`, for those who know that a kernel is a column times a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...contestants import Contestant

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..problems import Problem


def prepare(problem: Problem) -> Callable[[], NDArray[Any]] | None:
    """Filter into `out`; None for kernels that are no such product."""
    if problem.along is None:
        return None
    import cv2

    p, along = problem, problem.along
    cv2.setNumThreads(p.threads)
    return lambda: cv2.sepFilter2D(p.image, -1, along, along, dst=p.out, borderType=cv2.BORDER_CONSTANT)


CONTESTANT = Contestant("sepFilter2D", "opencv-python-headless", prepare)
