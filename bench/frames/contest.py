"""The contest of overlap-add: its options, and what it prints."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .. import options as common
from ..clock import one_call, take_turns
from ..contest import play_together
from ..contestants import Contestant, checked_calls, difference, discover
from ..processes import in_fresh_process
from ..tables import NOTHING, machine, table
from . import contestants, nests
from .problems import ORIENTATIONS, Problem, make_problem, read_signals

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from .problems import Signal

    Cells = Mapping[tuple[Signal, str], Mapping[str, Sequence[float]]]

HELP = "Compare col2im of frames, and of other long and thin images, with loops in NumPy and with torch."
LEGEND = "Milliseconds of the fastest call, the result allocated. rows: a patch is a row of the matrix."
CSV = Path("bench", "out", "frames.csv")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the contest's options."""
    common.add_arguments(parser, layers="name", seconds=0.1, csv=CSV)
    parser.add_argument(
        "--nests", type=int, default=0, metavar="N", help="instead, measure every way to make N random sums, one thread"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random sums")


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
    if options.nests:
        random = nests.random_signals(options.nests, options.seed)
        measured = in_fresh_process(1, partial(nests.measure_nests, random, options.repeats, options.seconds / 5))
        print(f"{machine()}\nMilliseconds of the fastest call.\n\n{nests.report(measured)}")
        return
    signals = [signal for signal in read_signals() if common.matches(options.layers, signal.name)]
    if not signals:
        raise SystemExit(f"no signal's name matches {options.layers!r}")
    found: list[Contestant[Problem]] = discover(contestants)
    columns = {"signal": lambda work: work[0].name, "patches_as": lambda work: work[1]}
    side_by_side = partial(measure, signals)
    play_together(options, found, legend=LEGEND, columns=columns, measured=side_by_side, report=_table)


def measure(
    signals: Sequence[Signal],
    entered: Sequence[Contestant[Problem]],
    threads: int,
    repeats: int,
    seconds: float,
) -> Cells:
    """Measure contestants on signals in both orientations, in this process; a wrong result is an error.

    Parameters
    ----------
    signals : sequence of Signal
    entered : sequence of Contestant
        All installed.
    threads : int
    repeats, seconds
        The budget of a cell, see `take_turns`.

    Returns
    -------
    mapping of (Signal, str) to mapping of str to sequence of float
        Seconds of each call of each contestant.
    """
    cells: dict[tuple[Signal, str], dict[str, list[float]]] = {}
    for signal in signals:
        for orientation in ORIENTATIONS:
            problem = make_problem(signal, orientation, threads)
            calls = checked_calls(entered, problem, f"{signal.name}, {orientation}", partial(_complaint, problem))
            turns = {name: partial(one_call, call) for name, call in calls.items()}
            cells[signal, orientation] = take_turns(turns, repeats, seconds, most_seconds=10 * seconds)
    return cells


def _complaint(problem: Problem, _: Contestant[Problem], call: Callable[[], NDArray[np.float32]]) -> str | None:
    return difference(call(), problem.answer)


def _table(cells: Cells, entered: Sequence[Contestant[Problem]]) -> str:
    """Return a table of each contestant's fastest call, and ours as a multiple of the faster loop."""
    rows: list[list[str]] = []
    names = [c.name for c in entered]
    for (signal, orientation), turns in cells.items():
        best = {name: 1e3 * min(seconds) for name, seconds in turns.items()}
        loops = [best[name] for name in ("frames", "taps") if name in best]
        gain = f"{min(loops) / best['im2col']:.1f}" if loops else NOTHING
        shown = [f"{best[name]:.2f}" if name in best else NOTHING for name in names]
        rows.append([signal.name, orientation, f"{signal.matrix_bytes / 1e6:.1f}", *shown, gain])
    return table(["signal", "patches as", "MB", *names, "the faster loop / im2col"], rows)
