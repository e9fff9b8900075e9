"""A contestant of this contest."""

from __future__ import annotations

from dataclasses import dataclass

from ..contestants import SeatedContestant
from ..tasks import Task
from .problems import Problem, make_problem


@dataclass(frozen=True)
class NarrowConvolver(SeatedContestant[Task, Problem]):
    """One way to convolve narrow numbers; see `SeatedContestant` for the parameters."""

    @property
    def is_compared(self) -> bool:
        """Everyone is."""
        return True

    def give(self, work: Task, threads: int) -> Problem:
        """Return the task with its data."""
        return make_problem(work, self.layout, threads)
