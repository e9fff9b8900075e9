"""Check every contestant's results, then time them in turns."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..clock import Timed, one_call, take_turns
from ..contestants import Role, WrongResultError
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
                calls = _checked_calls(given, contestants)
                turns = {name: partial(one_call, call) for name, call in calls.items()}
                for name, times in take_turns(turns, repeats, seconds).items():
                    measurements.append(Measurement(threads, layer, task, out, name, tuple(times)))
    return measurements


def _checked_calls(
    problem: Problem, contestants: Sequence[Contestant[Problem]]
) -> dict[str, Callable[[], NDArray[np.float32]]]:
    """Return the calls of the contestants that offer the task, each run once and found right."""
    calls = {}
    for contestant in contestants:
        call = contestant.prepare(problem)
        if call is None:
            continue
        if problem.out is not None:
            problem.out.fill(np.nan)
        complaint = _complaint(contestant, problem, call())
        if complaint:
            raise WrongResultError(
                f"{contestant.name}: wrong result of {problem.task}, {problem.layer.name}: {complaint}"
            )
        calls[contestant.name] = call
    return calls


def _complaint(contestant: Contestant[Problem], problem: Problem, result: NDArray[np.float32]) -> str | None:
    """Return what is wrong with a result, if anything."""
    right = problem.matrix if contestant.role is Role.LIMIT else problem.answer
    if result.size != right.size:
        return f"{result.size} elements instead of {right.size}"
    wrong = np.count_nonzero(result.reshape(right.shape) != right)
    if wrong:
        return f"{wrong} of {right.size} elements differ from the oracle's"
    if contestant.role is not Role.LIMIT and problem.out is not None and not np.may_share_memory(result, problem.out):
        return "it is not in the out that was given"
    return None
