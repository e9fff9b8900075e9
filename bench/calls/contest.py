"""The contest of small calls: its options, and what it prints."""

from __future__ import annotations

import statistics
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import options as common
from ..clock import calls_together, take_turns
from ..contest import play_together
from ..contestants import Contestant, Role, checked_calls, difference, discover
from ..tables import NOTHING, table
from . import contestants, start
from .problems import CALLS, Problem, make_problem

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Cells = Mapping[str, Mapping[str, Sequence[float]]]

HELP = "Compare what single calls cost where there is little to compute with torch, and time first calls of a process."
LEGEND = "Microseconds of a call on 1×8×8×8 pixels with 8 filters of 3×3, all in one process: median of batches."
CSV = Path("bench", "out", "calls.csv")
PADDINGS = (0, 1)
_TOGETHER = 20
"""Calls of a batch, which the clock's own time is shared among."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the contest's options."""
    common.add_arguments(parser, layers="call", seconds=0.2, csv=CSV)
    parser.add_argument("--processes", type=int, default=9, help="fresh ones for imports and first calls; 0 for none")


def run(options: argparse.Namespace) -> None:
    """Check, measure and print.

    Parameters
    ----------
    options : argparse.Namespace
        As `add_arguments` declares them.

    Raises
    ------
    WrongResultError
        If a contestant's result is wrong; nothing has been printed about it then.
    """
    calls = [call for call in CALLS if common.matches(options.layers, call)]
    if not calls:
        raise SystemExit(f"no call matches {options.layers!r}")
    found: list[Contestant[Problem]] = discover(contestants)
    measured = partial(measure, calls)
    play_together(options, found, legend=LEGEND, columns={"call": str}, measured=measured, report=_table)
    if options.processes:
        rows = start.rows(start.starts(options.processes))
        print(f"\nFresh processes, milliseconds\n\n{table(['what', 'fastest', 'median'], rows)}")


def measure(
    calls: Sequence[str], entered: Sequence[Contestant[Problem]], threads: int, repeats: int, seconds: float
) -> Cells:
    """Measure contestants in this process, in turns; a wrong result is an error.

    Parameters
    ----------
    calls : sequence of str
        Of `CALLS`.
    entered : sequence of Contestant
        All installed.
    threads : int
    repeats, seconds
        The budget of a cell, see `take_turns`.

    Returns
    -------
    mapping of str to mapping of str to sequence of float
        Seconds of a call of each contestant, batch by batch.
    """
    cells: dict[str, dict[str, list[float]]] = {}
    for problem in (make_problem(call, padding, threads) for call in calls for padding in PADDINGS):
        ready = checked_calls(entered, problem, problem.name, partial(_complaint, problem))
        turns = {name: partial(calls_together, call, _TOGETHER) for name, call in ready.items()}
        for turn in turns.values():
            turn()  # what is remembered, or compiled for a call that comes again
        cells[problem.name] = take_turns(turns, repeats, seconds)
    return cells


def _complaint(problem: Problem, _: Contestant[Problem], call: Callable[[], NDArray[Any]]) -> str | None:
    return difference(np.asarray(call()), problem.answer)


def _table(cells: Cells, entered: Sequence[Contestant[Problem]]) -> str:
    """Return a table of each contestant's median call, and ours as multiples of the fastest peer's."""
    rows: list[list[str]] = []
    names, ours = [c.name for c in entered], [c.name for c in entered if c.role == Role.OURS]
    for call, turns in cells.items():
        median = {name: 1e6 * statistics.median(seconds) for name, seconds in turns.items()}
        peers = [time for name, time in median.items() if name not in ours]
        row = [call, *(f"{median[name]:.1f}" if name in median else NOTHING for name in names)]
        row += (f"{median[name] / min(peers):.2f}" if peers and name in median else NOTHING for name in ours)
        rows.append(row)
    return table(["call", *names, *(f"{name} / the fastest peer" for name in ours)], rows)
