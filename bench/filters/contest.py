"""The contest of filters: its options, and what it prints."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import options as common
from ..clock import one_call, take_turns
from ..contest import play_together
from ..contestants import Contestant, Role, checked_calls, discover
from ..tables import NOTHING, table
from . import contestants
from .problems import KINDS, Problem, make_problem, name_of, names

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Cells = Mapping[str, Mapping[str, Sequence[float]]]

HELP = "Compare filters of large images of one channel with OpenCV's and SciPy's, by the kernel's size and rank."
LEGEND = (
    "Nanoseconds a pixel of float32 images, padded with zeros: the fastest call. OpenCV's sepFilter2D and SciPy's "
    "passes are given the factors of a kernel of rank 1; all others find them, or do not look."
)
CSV = Path("bench", "out", "filters.csv")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the contest's options."""
    common.add_arguments(parser, layers="kind", seconds=0.4, csv=CSV)
    parser.add_argument("--sizes", default="5,15,31,63", help="of kernels, odd numbers, with commas")
    parser.add_argument("--sides", default="1024,4096", help="of images, with commas")


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
    kinds = [kind for kind in KINDS if common.matches(options.layers, kind)]
    if not kinds:
        raise SystemExit(f"no kind of kernel matches {options.layers!r}")
    sizes, sides = ([int(n) for n in each.split(",")] for each in (options.sizes, options.sides))
    found: list[Contestant[Problem]] = discover(contestants)
    works = names(kinds, sizes, sides)
    measured, told_of = partial(measure, works), partial(_table, works)
    play_together(options, found, legend=LEGEND, columns={"filter": str}, measured=measured, report=told_of)


def measure(
    works: Sequence[tuple[str, int, int]],
    entered: Sequence[Contestant[Problem]],
    threads: int,
    repeats: int,
    seconds: float,
) -> Cells:
    """Measure contestants in this process, in turns; a wrong result is an error.

    Parameters
    ----------
    works : sequence of (str, int, int)
        Kinds and sizes of kernels, and sides of images.
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
    for work in works:
        problem = make_problem(*work, threads)
        ready = checked_calls(entered, problem, problem.name, partial(_complaint, problem))
        cells[problem.name] = take_turns({n: partial(one_call, c) for n, c in ready.items()}, repeats, seconds)
    return cells


def _complaint(problem: Problem, _: Contestant[Problem], call: Callable[[], NDArray[Any]]) -> str | None:
    return problem.complaint(np.asarray(call()))


def _table(works: Sequence[tuple[str, int, int]], cells: Cells, entered: Sequence[Contestant[Problem]]) -> str:
    """Return a table of each contestant's fastest call, and how many times as fast as the best peer a plan is."""
    rows, contestants_of = [], {role: [c.name for c in entered if c.role is role] for role in Role}
    for work in works:
        turns = cells[name_of(*work)]
        best = {name: 1e9 * min(seconds) / work[2] ** 2 for name, seconds in turns.items()}
        peers = [best[name] for name in contestants_of[Role.PEER] if name in best]
        ours = [best[name] for name in contestants_of[Role.OURS] if name in best]
        ratio = f"{min(peers) / min(ours):.2f}" if peers and ours else NOTHING
        rows.append([name_of(*work), *(f"{best[c.name]:.2f}" if c.name in best else NOTHING for c in entered), ratio])
    return table(["filter", *(c.name for c in entered), "the best peer / im2col"], rows)
