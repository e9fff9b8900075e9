"""What runs in a contestant's own process: one prepared call, which waits for its turns."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import numpy as np

from .clock import many_calls
from .contestants import Role

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .contestants import JudgedT, SeatedContestant, WorkT

TURN_SECONDS = 0.004

_prepared: dict[str, Callable[[], Any]] = {}


def prepare(contestant: SeatedContestant[WorkT, JudgedT], work: WorkT, threads: int, answer: Path) -> str | None:
    """Make this process ready for turns at some work, and check what it computes.

    Parameters
    ----------
    contestant : SeatedContestant
    work : Work
    threads : int
    answer : Path
        Of the array of right results.

    Returns
    -------
    str or None
        What is wrong with the result, if anything.
    """
    _prepared.clear()
    gc.collect()  # the last work's memory is free before there is more
    problem = contestant.give(work, threads)
    call = contestant.prepare(problem)
    if call is None:
        return None
    if contestant.role is not Role.LIMIT:
        wrong = problem.complaint(call(), np.load(answer, mmap_mode="r"))
        if wrong:
            return wrong
        call()  # what comes again is worth a longer look to some: the third call is like all others
    _prepared["call"] = call
    return None


def is_ready() -> bool:
    """Return whether the contestant offers the work that was last prepared."""
    return bool(_prepared)


def turn() -> list[float]:
    """Return the seconds of each call of a turn."""
    return many_calls(_prepared["call"], TURN_SECONDS)
