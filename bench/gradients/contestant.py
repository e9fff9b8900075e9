"""A contestant of this contest."""

from __future__ import annotations

from dataclasses import dataclass

from ..contestants import SeatedContestant
from ..tasks import Task
from .problems import Problem, make_problem


@dataclass(frozen=True)
class Differentiator(SeatedContestant[Task, Problem]):
    """One way to compute gradients and transposes; see `SeatedContestant` for the other parameters.

    Parameters
    ----------
    is_compared : bool
        Whether it is one of ours that are set beside the best peer, or one of the peers that may be the best.
    """

    is_compared: bool = True

    def give(self, work: Task, threads: int) -> Problem:
        """Return the task with its data."""
        return make_problem(work, self.layout, threads)
