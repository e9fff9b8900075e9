"""The weights' gradient through the view: tiles of (filters × taps) that sum over positions, and no column matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...engine.compiler import failure, usable
from ..contract import Suitability

if TYPE_CHECKING:
    from ...engine.compiler import Kernel
    from ...spec.problem import Problem
    from ..contract import GradientRunner


class Implicit:
    """The view, through the engine."""

    name = "implicit"

    def suitability(self, problem: Problem) -> Suitability:
        """Return that it can solve every problem of real numbers for which the engine has a tile."""
        g = problem.geometry
        if 0 in (problem.batch, problem.filters, problem.channels, *g.spatial_shape):
            return Suitability(0, "there is nothing to multiply")
        from ..implicit.arrangement import kernel_dtype

        if kernel_dtype(problem) is None:
            return Suitability(0, f"the engine has no kernel for sums of {problem.accumulator}")
        if not usable():
            return Suitability(0, f"the engine cannot be used ({failure()})")
        from .tiles import arrange

        return Suitability(20, arrange(problem).reason)

    def workspace_bytes(self, problem: Problem, threads: int) -> int:  # noqa: ARG002 (the contract's arguments)
        """Return the bytes of the packed part of the gradient, of a copy of an image, and of the sums."""
        from .tiles import arrange

        return arrange(problem).workspace_bytes

    def prepare(self, problem: Problem, threads: int) -> GradientRunner | None:
        """Return a function that runs the kernels; None where one of them cannot be compiled."""
        from ..implicit.calls import EngineError
        from .runner import Prepared

        try:
            return Prepared(problem, threads)
        except EngineError:
            return None

    def kernels(self, problem: Problem) -> tuple[Kernel, ...]:
        """Return the kernels that compute the problem, each once."""
        from .tiles import arrange, tabulated

        arrangement = arrange(problem)
        return tabulated(arrangement, arrangement.box, adds=False).kernels


ALGORITHM = Implicit()
