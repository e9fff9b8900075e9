"""What contests have in common: who takes part, and how those go on whose contestants have processes of their own."""

from __future__ import annotations

import csv
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from . import options as common
from .clock import told
from .contestants import Contestant, Role, versions
from .match import measure
from .processes import in_fresh_process
from .rise import memory_table
from .rounds import rounds, write_csv
from .tables import machine

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from .contestants import SeatedContestant, WorkT
    from .rounds import Round

ContestantT = TypeVar("ContestantT", bound=Contestant[Any])


def add_arguments(parser: argparse.ArgumentParser, *, csv: Path, kinds: Sequence[str] = ()) -> None:
    """Declare the options.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    csv : Path
        The file of every cell, by default.
    kinds : sequence of str
        What the contest asks of each layer, if it asks several things.
    """
    common.add_arguments(parser, layers="name, class or tag", seconds=0.3, csv=csv)
    common.add_memory(parser)
    parser.add_argument("--memory-layers", default="core", help="as --layers: of which the memory is measured")
    if kinds:
        parser.add_argument("--kinds", default="*", help=f"only those of {', '.join(kinds)} that match")


def chosen(every: Sequence[WorkT], patterns: str, kinds: str = "*") -> list[WorkT]:
    """Return the works of which a name, class or tag matches one of the patterns, and the kind one of the kinds."""
    return [work for work in every if common.matches(patterns, *work.words) and common.matches(kinds, work.kind)]


def introduced(found: Sequence[ContestantT], peers: str, legend: str) -> list[ContestantT]:
    """Print the machine, the versions and what the numbers mean; return the contestants that are installed.

    Parameters
    ----------
    found : sequence of Contestant
        All of the contest.
    peers : str
        Patterns of those peers that take part.
    legend : str
        What the numbers mean.
    """
    entered = [c for c in found if c.role is not Role.PEER or common.matches(peers, c.name)]
    print(machine())
    print(versions(entered))
    print(legend)
    return [c for c in entered if c.version]


def play_together(
    options: argparse.Namespace,
    found: Sequence[ContestantT],
    *,
    legend: str,
    columns: Mapping[str, Callable[[Any], str]],
    measured: Callable[..., Mapping[Any, Mapping[str, Sequence[float]]]],
    report: Callable[[Any, list[ContestantT]], str],
) -> None:
    """Let contestants that share a process go on, for each number of threads; print tables, and write every cell.

    Parameters
    ----------
    options : argparse.Namespace
        As `options.add_arguments` declares them.
    found : sequence of Contestant
        All of the contest.
    legend : str
        What the numbers mean.
    columns : mapping of str to callable
        What the file of cells tells of a work, by the columns' names.
    measured : callable
        ``measured(entered, threads, repeats, seconds)`` returns the seconds of each call of each contestant, by works;
        it can be pickled.
    report : callable
        ``report(cells, entered)`` returns the table of what that returned.

    Raises
    ------
    WrongResultError
        If a contestant's result is wrong; nothing has been printed about it then.
    """
    ready = introduced(found, options.contestants, legend)
    options.csv.parent.mkdir(parents=True, exist_ok=True)
    with options.csv.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["threads", *columns, "contestant", "best_seconds", "median_seconds"])
        for threads in options.threads:
            cells = in_fresh_process(threads, partial(measured, ready, threads, options.repeats, options.seconds))
            print(f"\nthreads: {threads}\n\n{report(cells, ready)}")
            for work, turns in cells.items():
                for name, seconds in turns.items():
                    writer.writerow([threads, *(tell(work) for tell in columns.values()), name, *told(seconds)])
    print(f"\nEvery cell is in {options.csv}")


def play(
    options: argparse.Namespace,
    works: Sequence[WorkT],
    found: Sequence[SeatedContestant[WorkT, Any]],
    *,
    legend: str,
    answer: Callable[[WorkT], NDArray[np.float64]],
    report: Callable[[Sequence[Round[WorkT]]], str],
) -> list[Round[WorkT]]:
    """Check, measure, print and write.

    Parameters
    ----------
    options : argparse.Namespace
        As `add_arguments` declares them.
    works : sequence of Work
        Those that the options choose.
    found : sequence of SeatedContestant
        All of the contest.
    legend : str
        What its numbers mean.
    answer : callable
        Computes the right result.
    report : callable
        Returns the tables of speeds.

    Returns
    -------
    list of Round
        One for each number of threads.

    Raises
    ------
    SystemExit
        If there are no works.
    WrongResultError
        If a contestant's result is wrong; nothing has been printed about it then.
    """
    if not works:
        raise SystemExit(f"no layer's name, class or tag matches {options.layers!r}")
    ready = introduced(found, options.contestants, legend)
    measurements = []
    for threads in options.threads:
        measurements += measure(works, ready, answer, threads, options.repeats, options.seconds)
    played = rounds(measurements, ready)
    write_csv(options.csv, played)
    print(f"\n{report(played)}\n\nEvery cell is in {options.csv}")
    if options.memory:
        some = chosen(works, options.memory_layers)
        for r in played if some else []:
            print(f"\n{memory_table(r, some)}")
    return played
