"""The column matrix as a view: a microkernel multiplies through it, and no matrix is made."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ...engine.compiler import failure, usable
from ..contract import Suitability

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...engine.compiler import Kernel
    from ...spec.problem import Problem
    from ..contract import Runner


_PIXELS_A_PRODUCT = 8
"""Copied pixels for each product from which on most of a copy is made in vain."""


class Implicit:
    """The view, through the engine."""

    name = "implicit"

    def suitability(self, problem: Problem) -> Suitability:
        """Return that it can solve every problem of real numbers for which the engine has a tile."""
        obstacle = _obstacle(problem)
        if obstacle is not None:
            return Suitability(0, obstacle)
        from .arrangement import arrange

        arrangement = arrange(problem)
        copy = arrangement.copy
        if copy and math.prod(copy.shape) * problem.batch > _PIXELS_A_PRODUCT * max(1, problem.flops // 2):
            return Suitability(5, f"the view, but it would copy an image ({copy.why}) of which little is read")
        return Suitability(20, arrangement.reason)

    def workspace_bytes(self, problem: Problem, threads: int) -> int:  # noqa: ARG002 (the contract's arguments)
        """Return the bytes of the packed weights, and of the calling thread's copy of an image."""
        from .arrangement import arrange

        return arrange(problem).workspace_bytes

    def prepare(
        self,
        problem: Problem,
        w: NDArray[Any],
        bias: NDArray[Any] | None,
        threads: int,
        scales: NDArray[Any] | None = None,
    ) -> Runner | None:
        """Return a function that runs the kernels through the view; None where one of them cannot be compiled."""
        from .calls import EngineError
        from .runner import Prepared

        try:
            return Prepared(problem, w, bias, threads, scales)
        except EngineError:
            return None

    def kernels(self, problem: Problem) -> tuple[Kernel, ...]:
        """Return the kernels that compute the problem, each once."""
        from .arrangement import arrange
        from .program import tabulated

        arrangement = arrange(problem)
        return tabulated(arrangement, arrangement.op).kernels


def _obstacle(problem: Problem) -> str | None:
    """Return why the engine cannot take a problem, or None."""
    g = problem.geometry
    if 0 in (problem.batch, problem.filters, problem.channels, *g.spatial_shape):
        return "there is nothing to multiply"
    from .arrangement import kernel_dtype, stored_as

    if kernel_dtype(problem) is None:
        return f"the engine has no kernel for sums of {problem.accumulator}"
    if not usable():
        return f"the engine cannot be used ({failure()})"
    if stored_as(problem) is None:
        return f"the engine cannot store {problem.dtype} on this CPU"
    return None


ALGORITHM = Implicit()
