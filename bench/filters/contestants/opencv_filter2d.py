"""OpenCV's `filter2D`, which knows the kernel, and goes through frequencies where that is large."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...contestants import Contestant

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..problems import Problem


def prepare(problem: Problem) -> Callable[[], NDArray[Any]]:
    """Filter into `out`."""
    import cv2

    p = problem
    cv2.setNumThreads(p.threads)
    return lambda: cv2.filter2D(p.image, -1, p.kernel, dst=p.out, borderType=cv2.BORDER_CONSTANT)


CONTESTANT = Contestant("filter2D", "opencv-python-headless", prepare)
