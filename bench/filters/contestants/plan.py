"""The library itself, with the kernel prepared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import im2col

from ...contestants import Contestant, Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..problems import Problem


def prepare(problem: Problem) -> Callable[[], NDArray[Any]]:
    """Make a plan, and call it with a place for the result."""
    p = problem
    plan = im2col.plan(p.image.shape, p.kernel[None, None], padding="same", threads=p.threads)
    return lambda: plan(p.image, p.out)


CONTESTANT = Contestant("plan", "im2col", prepare, Role.OURS)
