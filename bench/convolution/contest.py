"""The contest of convolution: its options, and what it prints."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..contest import add_arguments as add_common_arguments
from ..contest import chosen, play
from ..contestants import discover
from . import contestants
from .layers import read_layers
from .ours import PRECISIONS, prepare_plan
from .problems import answer
from .report import report

if TYPE_CHECKING:
    import argparse

    from .contestant import Convolver

HELP = "Compare im2col's convolution with the peers', layer by layer."
LEGEND = "GFLOP/s are nominal: two operations a product, taps in the padding included. NHWC: image and result have it."
CSV = Path("bench", "out", "convolution.csv")
CHART = Path("docs", "convolution-chart.svg")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the contest's options."""
    add_common_arguments(parser, csv=CSV)
    parser.add_argument("--chart", type=Path, help=f"where it is drawn; by default {CHART} if all layers take part")
    parser.add_argument("--no-chart", action="store_true", help="draw none")
    parser.add_argument("--precision", choices=PRECISIONS, default="native", help="of our plans")


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
    every = read_layers()
    layers = chosen(every, options.layers)
    legend = LEGEND if options.precision == "native" else f'{LEGEND} Plans have precision="{options.precision}".'
    planned = partial(prepare_plan, precision=options.precision)
    discovered: list[Convolver] = discover(contestants)
    found = [replace(each, prepare=planned) if each.prepare is prepare_plan else each for each in discovered]
    played = play(options, layers, found, legend=legend, answer=answer, report=report)
    chart = options.chart or (CHART if layers == every else None)
    if chart and not options.no_chart:
        from .chart import draw

        draw(played[0], chart)
        print(f"The chart is in {chart}")
