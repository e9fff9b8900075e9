"""The contest: every algorithm that takes a case runs it, through a plan; the choice is marked."""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

import im2col
from im2col.algorithms import registry
from im2col.errors import ArgumentError

from ..clock import cpu_seconds, take_turns
from ..contestants import WrongResultError
from ..processes import fresh_process
from ..tables import NOTHING, machine, table
from .cases import CASES, Case

if TYPE_CHECKING:
    import argparse
HELP = "Time every algorithm by the size of the kernel, of layers and of image filters, and draw when each pays."
CSV = Path("bench", "out", "pays.csv")
CHART = Path("docs", "fewer-multiplications.svg")
_NOT_TIMED = ("reference",)
"""The definition: plain loops, which take minutes."""
_TURNS = 30
_TOLERANCE = 2e-5
"""Of the greatest result: what ``precision="fast"`` may err, and so all others."""


class Speed(NamedTuple):
    """How fast an algorithm is for a case.

    Parameters
    ----------
    case : Case
    algorithm : str
    seconds : float
        Of its fastest call.
    chosen : bool
        Whether ``algorithm="auto"`` takes it.
    """

    case: Case
    algorithm: str
    seconds: float
    chosen: bool

    @property
    def nominal(self) -> float:
        """Operations that the definition asks for, in 10⁹ a second."""
        return self.case.flops / self.seconds / 1e9


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--seconds", type=float, default=0.2, help="of each algorithm's calls")
    parser.add_argument("--csv", type=Path, default=CSV, help="where every time is written")
    parser.add_argument("--chart", type=Path, default=CHART, help="where the chart is drawn")
    parser.add_argument("--no-chart", action="store_true", help="draw none")


def run(options: argparse.Namespace) -> None:
    """Measure, print a table, write it, and draw it.

    Raises
    ------
    WrongResultError
        If an algorithm's result is wrong.
    """
    print(machine())
    print("Nominal GFLOP/s, as if every product of the definition were made; one thread, plans; * is the choice.")
    found: list[Speed] = []
    with fresh_process(1) as ask:
        for case in CASES:
            found += ask(partial(measured, case, options.seconds))
    names = sorted({speed.algorithm for speed in found})
    rows = []
    for case in CASES:
        own = {speed.algorithm: speed for speed in found if speed.case == case}
        cells = [f"{own[n].nominal:.0f}{'*' * own[n].chosen}" if n in own else NOTHING for n in names]
        rows.append([str(case), *cells])
    print(table(["case", *names], rows))
    options.csv.parent.mkdir(parents=True, exist_ok=True)
    with options.csv.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow((*Case._fields, "algorithm", "seconds", "chosen", "nominal_gflops"))
        lines.writerows((*s.case, s.algorithm, f"{s.seconds:.9f}", s.chosen, f"{s.nominal:.3f}") for s in found)
    if not options.no_chart:
        from .chart import draw

        draw(found, options.chart)
        print(f"The chart is in {options.chart}")


def measured(case: Case, seconds: float) -> list[Speed]:
    """Return the speeds of all algorithms that take a case.

    Raises
    ------
    WrongResultError
        If a result is wrong.
    """
    x, w = case.arrays()
    right = im2col.conv(x.astype(float), w.astype(float), padding="same", algorithm="explicit")
    out = np.empty(right.shape, x.dtype)
    plans = {}
    for name in (*registry(), "auto"):
        if name in _NOT_TIMED:
            continue
        try:
            plans[name] = im2col.plan(x.shape, w, padding="same", algorithm=name, threads=1)
        except ArgumentError:  # it does not take the case
            continue
        plans[name](x, out=out)
        wrong = np.abs(out - right).max() / np.abs(right).max()
        if not wrong <= _TOLERANCE:
            raise WrongResultError(f"{case}, {name}: the result is wrong by {wrong:.1e} of the greatest")
    chosen = plans.pop("auto").algorithm
    times = take_turns({name: partial(cpu_seconds, partial(p, x, out)) for name, p in plans.items()}, _TURNS, seconds)
    return [Speed(case, name, min(found), name == chosen) for name, found in times.items()]
