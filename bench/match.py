"""One process a contestant; work by work, every result is checked, then all take turns."""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from . import seat
from .clock import Timed, take_turns
from .contestants import SeatedContestant, WorkT, WrongResultError
from .processes import fresh_process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from .processes import Ask

T = TypeVar("T")
_PATIENCE = 10
"""A contestant that is very slow at its work is not asked for 5 turns, but leaves after so many times a cell's time."""


@dataclass(frozen=True)
class Measurement(Timed, Generic[WorkT]):
    """One cell: how long each call of a contestant took."""

    threads: int
    work: WorkT
    contestant: str
    seconds: tuple[float, ...]

    @property
    def best_speed(self) -> float:
        """GFLOP/s of the fastest call, by the operations that the work has in name."""
        return self.work.flops / self.best / 1e9

    @property
    def median_speed(self) -> float:
        """GFLOP/s of the median call."""
        return self.work.flops / self.median / 1e9


def measure(
    works: Sequence[WorkT],
    contestants: Sequence[SeatedContestant[WorkT, Any]],
    answer: Callable[[WorkT], NDArray[np.float64]],
    threads: int,
    repeats: int,
    seconds: float,
) -> list[Measurement[WorkT]]:
    """Measure contestants.

    Parameters
    ----------
    works : sequence of Work
    contestants : sequence of SeatedContestant
        All installed.
    answer : callable
        Computes the right result.
    threads : int
    repeats, seconds
        The budget of a cell, see `take_turns`.

    Returns
    -------
    list of Measurement
        Work that a contestant does not offer is left out.

    Raises
    ------
    WrongResultError
        Before any time is taken of the work in question.
    """
    measurements = []
    with ExitStack() as stack:
        processes = {c: stack.enter_context(fresh_process(threads)) for c in contestants}
        for work in works:
            print(f"threads {threads}: {work.name}, {work.flops / 1e6:.1f} MFLOP", file=sys.stderr)
            ready = _checked(work, processes, answer, threads)
            turns = {c.name: partial(_named, c, work, partial(processes[c], seat.turn)) for c in ready}
            for name, times in take_turns(turns, repeats, seconds, most_seconds=_PATIENCE * seconds).items():
                measurements.append(Measurement(threads, work, name, tuple(times)))
    return measurements


def _checked(
    work: WorkT,
    processes: Mapping[SeatedContestant[WorkT, Any], Ask],
    answer: Callable[[WorkT], NDArray[np.float64]],
    threads: int,
) -> list[SeatedContestant[WorkT, Any]]:
    """Prepare each contestant and check its result; return those that offer the work."""
    ready = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "answer.npy")
        np.save(path, answer(work))
        for contestant, ask in processes.items():
            prepare = partial(seat.prepare, contestant, work, threads, path)
            wrong = _named(contestant, work, partial(ask, prepare))
            if wrong:
                raise WrongResultError(f"{contestant.name}: wrong result of {work.name}: {wrong}")
            if ask(seat.is_ready):
                ready.append(contestant)
    return ready


def _named(contestant: SeatedContestant[WorkT, Any], work: WorkT, call: Callable[[], T]) -> T:
    """Return what a call returns; the note of an error that it raises tells whose it is."""
    try:
        return call()
    except Exception as error:
        error.add_note(f"{contestant.name} at {work.name}")
        raise
