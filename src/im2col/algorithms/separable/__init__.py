"""Kernels that are columns times rows: one pass along each axis, through the engine's view, or sums alone for boxes.

The values of the filters decide whether it pays, so a problem says what rank their kernels have, and whether they are
boxes. `factors` finds the rank and what a precision admits, `passes` decides how the two passes run, `boxes` how boxes
are summed, by the kernel of `box_sums`; `prepared` runs either.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ...importing import importing
from ..contract import ONLY_BY_NAME, Offer, refusal_of

if TYPE_CHECKING:
    from ...engine.target import Target
    from ...spec.problem import Problem
    from ..contract import Runner
    from .boxes import DecidedBoxes
    from .prepared import DecidedPasses

_RANK = 20
"""Of the view, too: the one with fewer cycles is taken."""
_RANK_IN_CHUNKS = 21
"""Where a chunk's cycles may not decide, as those of another chunk would decide otherwise."""


class Separable:
    """Pairs of passes, through the engine: kernels of two axes, floats, filters that share no channels."""

    name = "separable"

    def best_rank(self, problem: Problem) -> int:
        """Return that of the view, where the kernels have fewer pairs of factors than cost more than they save."""
        if problem.kernel_rank is None:
            return ONLY_BY_NAME
        with importing:
            from .factors import most_worthwhile

        if problem.kernel_rank > most_worthwhile(*problem.geometry.kernel_size):
            return ONLY_BY_NAME
        return _RANK_IN_CHUNKS if problem.fixes_sums else _RANK

    def compiles(self, problem: Problem) -> bool:
        """Return whether there are passes for it."""
        return problem.kernel_rank is not None

    def offer(self, problem: Problem, target: Target | None, threads: int) -> Offer[Runner]:
        """Return the passes with the fewest cycles, and what they take."""
        with importing:
            from ...engine.compiler import failure
            from .passes import obstacle, worth_in_chunks
            from .prepared import PreparedPasses

        why_not = obstacle(problem)
        if why_not is not None:
            return Offer(0, why_not)
        if problem.kernel_rank is None:
            return Offer(0, "the values of the filters are not known here, too few to be looked at, or not finite")
        if target is None:
            return Offer(0, f"the engine cannot be used ({failure()})")
        layer = self._decided(problem, target, threads)
        if layer is None:
            layout, stride = problem.layout.axes, problem.geometry.stride
            return Offer(0, f"no tile makes passes over images of layout {layout!r} with strides of {stride}")
        rank = self.best_rank(problem)
        refused = refusal_of(layer.kernels, target)
        if refused is not None:
            return refused
        reason = layer.reason
        if rank == ONLY_BY_NAME:
            reason = f"kernels of rank {problem.kernel_rank} cost more than they save"
        elif problem.fixes_sums and not worth_in_chunks(problem, target):
            rank, reason = ONLY_BY_NAME, "over a typical map the view has fewer cycles, and chunks follow that"
        prepare = partial(PreparedPasses, layer)
        return Offer(rank, reason, layer.workspace_bytes, prepare, layer.kernels, target, cycles=layer.cycles)

    @staticmethod
    def _decided(problem: Problem, target: Target, threads: int) -> DecidedPasses | DecidedBoxes | None:
        """Return the passes, or the sums of boxes, if those have fewer cycles; None where there are neither."""
        with importing:
            from . import boxes, passes
            from .boxes import DecidedBoxes
            from .prepared import DecidedPasses

        pair = passes.decide(problem, target)
        # The bits of a float's running sums follow from where lines begin, and that is for chunks to choose.
        sums = None if problem.fixes_sums else boxes.decide(problem, target)
        if sums is not None and (pair is None or sums.cycles < pair.cycles):
            return DecidedBoxes(problem, sums, threads)
        return None if pair is None else DecidedPasses(problem, pair, threads)


ALGORITHM = Separable()
