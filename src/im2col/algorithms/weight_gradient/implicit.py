"""The weights' gradient through the view: tiles of (filters × taps) that sum over positions, and no column matrix."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ...importing import importing
from ..contract import Offer

if TYPE_CHECKING:
    from ...engine.target import Target
    from ...spec.problem import Problem
    from ..contract import GradientRunner


class Implicit:
    """The view, through the engine: real numbers for which it has a tile."""

    name = "implicit"
    best_rank = 20

    def compiles(self, problem: Problem) -> bool:
        """Return whether there is a kernel for its numbers, and something to multiply."""
        with importing:
            from ..implicit.decide import impossible

        return impossible(problem) is None

    def offer(self, problem: Problem, target: Target | None, threads: int) -> Offer[GradientRunner]:
        """Return the tile with the fewest cycles, and what it takes."""
        with importing:
            from ...engine.compiler import refusal  # these take milliseconds to import
            from ...engine.sequence import SEQUENCE
            from ..implicit.decide import obstacle
            from .decide import decide_gradient
            from .prepared import DecidedGradient, PreparedGradient

        why_not = obstacle(problem, target, stores=False)
        if why_not is not None or target is None:
            return Offer(0, str(why_not))
        decision = decide_gradient(problem, target)
        gradient = DecidedGradient(decision, threads)
        refused = refusal(lambda: (SEQUENCE, *gradient.all_kernels()), target)
        if refused is not None:
            return Offer(0, f"the engine cannot compile its kernel ({refused})")
        prepare = partial(PreparedGradient, gradient)
        nbytes = decision.workspace_bytes + decision.table_bytes
        return Offer(self.best_rank, decision.reason, nbytes, prepare, gradient.kernels, target)


ALGORITHM = Implicit()
