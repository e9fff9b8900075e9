"""Check every contestant's results, then time them in turns."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..clock import Timed, one_call, take_turns
from ..contestants import Role, checked_calls, difference
from .problems import TASKS, Layer, Problem, Task, make_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ..contestants import Contestant

Out = Literal["touched", "allocated"]
OUTS: tuple[Out, ...] = ("touched", "allocated")


@dataclass(frozen=True)
class Measurement(Timed):
    """One cell: how long each turn of a contestant took."""

    threads: int
    layer: Layer
    task: Task
    out: Out
    contestant: str
    seconds: tuple[float, ...]


def measure(
    layers: Sequence[Layer],
    contestants: Sequence[Contestant[Problem]],
    threads: int,
    repeats: int,
    seconds: float,
) -> list[Measurement]:
    """Measure contestants on layers, every task, with and without allocation, in this process.

    Parameters
    ----------
    layers : sequence of Layer
    contestants : sequence of Contestant
        All installed.
    threads : int
    repeats, seconds
        The budget of a cell, see `take_turns`.

    Returns
    -------
    list of Measurement
        A task that a contestant does not offer is left out.

    Raises
    ------
    WrongResultError
        Before any time is taken of the task in question.
    """
    measurements = []
    for layer in layers:
        print(f"threads {threads}: {layer.name}, {layer.matrix_bytes / 1e6:.1f} MB", file=sys.stderr)
        for task in TASKS:
            problem = make_problem(layer, task, threads)
            for out in OUTS:
                # Small integers, so that no element of the answer is NaN: what a contestant leaves unwritten, differs.
                given = replace(problem, out=np.full_like(problem.answer, np.nan) if out == "touched" else None)
                calls = checked_calls(contestants, given, f"{task}, {layer.name}", partial(_complaint, given))
                turns = {name: partial(one_call, call) for name, call in calls.items()}
                for name, times in take_turns(turns, repeats, seconds).items():
                    measurements.append(Measurement(threads, layer, task, out, name, tuple(times)))
    return measurements


def _complaint(
    problem: Problem, contestant: Contestant[Problem], call: Callable[[], NDArray[np.float32]]
) -> str | None:
    """Return what is wrong with a result, if anything."""
    if problem.out is not None:
        problem.out.fill(np.nan)
    result = call()
    is_limit = contestant.role is Role.LIMIT
    wrong = difference(result, problem.matrix if is_limit else problem.answer)
    if wrong is None and not is_limit and problem.out is not None and not np.may_share_memory(result, problem.out):
        return "it is not in the out that was given"
    return wrong
