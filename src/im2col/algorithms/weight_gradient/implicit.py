"""The weights' gradient through the view: tiles of filters and taps that sum over positions, and no column matrix."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ...importing import importing
from ..contract import Offer, at_most

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...engine.compiler import Kernel
    from ...engine.target import Target
    from ...spec.problem import Problem
    from ..contract import GradientRunner

_RANK = 20


class Implicit:
    """The view, through the engine: real numbers for which it has a tile."""

    name = "implicit"
    best_rank = at_most(_RANK)

    def compiles(self, problem: Problem) -> bool:
        """Return whether there is a kernel for its numbers, and something to multiply."""
        with importing:
            from ..implicit.numbers import impossible

        return impossible(problem) is None

    def offer(self, problem: Problem, target: Target | None, threads: int) -> Offer[GradientRunner]:
        """Return the tile with the fewest cycles, and what it takes."""
        with importing:
            from ...engine.compiler import refusal  # these take milliseconds to import
            from ...engine.sequence import SEQUENCE
            from ..implicit.numbers import obstacle
            from ..implicit.shares import one_task
            from .decide import decide_gradient
            from .prepared import DecidedGradient, DecidedRows, PreparedGradient, PreparedRows
            from .rows import decide_rows

        why_not = obstacle(problem, target, stores=False)
        if why_not is not None or target is None:
            return Offer(0, str(why_not))
        packed, rows = decide_gradient(problem, target), decide_rows(problem, target)
        threads = 1 if one_task(problem.flops) else threads
        ways: list[tuple[float, Any]] = [(packed.cycles, (DecidedGradient(packed, threads), PreparedGradient))]
        if rows is not None:
            ways.append((rows.cycles, (DecidedRows(rows, threads), PreparedRows)))
        refused = None
        for _, (gradient, prepared) in sorted(ways, key=lambda way: way[0]):
            refused = refusal(partial(_with, SEQUENCE, gradient.all_kernels), target)
            if refused is None:
                decision = gradient.decision
                nbytes = decision.workspace_bytes + decision.table_bytes
                prepare = partial(prepared, gradient)
                kernels, at_once = gradient.kernels, gradient.at_once
                return Offer(_RANK, decision.reason, nbytes, prepare, kernels, target, at_once=at_once)
        return Offer(0, f"the engine cannot compile its kernel ({refused})")


def _with(sequence: Kernel, kernels: Callable[[], tuple[Kernel, ...]]) -> tuple[Kernel, ...]:
    """Return kernels with the one that calls them."""
    return (sequence, *kernels())


ALGORITHM = Implicit()
