"""The contest of pooling: its options, and what it prints."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import options as common
from ..clock import many_calls, take_turns
from ..contest import play_together
from ..contestants import Contestant, checked_calls, discover
from ..tables import NOTHING, geometric_mean, table
from . import contestants
from .problems import LAYERS, Problem, make_problem

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from .problems import Layer

    Cells = Mapping[str, Mapping[str, Sequence[float]]]

HELP = "Compare the pools of real networks with torch's and ONNX Runtime's."
LEGEND = (
    "Microseconds of one image of float32: the fastest call; torch alone is not told where to write. Behind them how "
    "many times as fast as the best peer this library is, with channels first and last; at the end the geometric mean, "
    "and the worst."
)
CSV = Path("bench", "out", "pooling.csv")
PAIRS = (("first", "im2col", ("torch", "ONNX Runtime")), ("last", "im2col NHWC", ("torch channels-last",)))
"""Who is compared with whom."""
_TURN_SECONDS = 0.004


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the contest's options."""
    common.add_arguments(parser, layers="name", seconds=0.3, csv=CSV)


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
    layers = [layer for layer in LAYERS if common.matches(options.layers, layer.name)]
    if not layers:
        raise SystemExit(f"no pool matches {options.layers!r}")
    found: list[Contestant[Problem]] = discover(contestants)
    measured = partial(measure, layers)
    play_together(options, found, legend=LEGEND, columns={"pool": str}, measured=measured, report=_table)


def measure(
    layers: Sequence[Layer], entered: Sequence[Contestant[Problem]], threads: int, repeats: int, seconds: float
) -> Cells:
    """Measure contestants in this process, in turns; a wrong result is an error.

    Parameters
    ----------
    layers : sequence of Layer
    entered : sequence of Contestant
        All installed.
    threads : int
    repeats, seconds
        The budget of a cell, see `take_turns`.

    Returns
    -------
    mapping of str to mapping of str to sequence of float
        Seconds of each call of each contestant.
    """
    cells: dict[str, dict[str, list[float]]] = {}
    for layer in layers:
        problem = make_problem(layer, threads)
        ready = checked_calls(entered, problem, layer.name, partial(_complaint, problem))
        turns = {name: partial(many_calls, call, _TURN_SECONDS) for name, call in ready.items()}
        cells[layer.name] = take_turns(turns, repeats, seconds)
    return cells


def _complaint(problem: Problem, _: Contestant[Problem], call: Callable[[], NDArray[Any]]) -> str | None:
    return problem.complaint(np.asarray(call()))


def _table(cells: Cells, entered: Sequence[Contestant[Problem]]) -> str:
    """Return a table of each contestant's fastest call, and of how many times as fast as the best peer ours is."""
    rows, ratios = [], {place: list[float]() for place, *_ in PAIRS}
    for name, turns in cells.items():
        best = {contestant: 1e6 * min(seconds) for contestant, seconds in turns.items()}
        row = [name, *(f"{best[c.name]:.1f}" if c.name in best else NOTHING for c in entered)]
        for place, ours, peers in PAIRS:
            theirs = [best[peer] for peer in peers if peer in best]
            if theirs and ours in best:
                ratios[place].append(min(theirs) / best[ours])
                row.append(f"{ratios[place][-1]:.2f}")
            else:
                row.append(NOTHING)
        rows.append(row)
    for word, of in (("geometric mean", geometric_mean), ("worst", min)):
        told_of = (f"{of(found):.2f}" if found else NOTHING for found in ratios.values())
        rows.append([word, *([""] * len(entered)), *told_of])
    return table(["pool", *(c.name for c in entered), *(f"channels {place}" for place in ratios)], rows)
