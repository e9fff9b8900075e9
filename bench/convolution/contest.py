"""The contest of convolution: its options, and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .. import options as common
from ..contestants import Role, discover, versions
from ..tables import machine
from . import contestants
from .layers import read_layers
from .measure import measure
from .memory import memory_table
from .report import report, rounds, write_csv

if TYPE_CHECKING:
    import argparse

    from .contestant import Convolver

HELP = "Compare im2col's convolution with the peers', layer by layer."
LEGEND = "GFLOP/s are nominal: two operations a product, taps in the padding included. NHWC: image and result have it."
CSV = Path("bench", "out", "convolution.csv")
CHART = Path("docs", "convolution-chart.svg")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the contest's options."""
    common.add_arguments(parser, layers="name, class or tag", seconds=0.3, csv=CSV)
    parser.add_argument("--memory-layers", default="core", help="as --layers: of which the memory is measured")
    parser.add_argument("--chart", type=Path, help=f"where it is drawn; by default {CHART} if all layers take part")
    parser.add_argument("--no-chart", action="store_true", help="draw none")


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
    layers = [layer for layer in every if common.matches(options.layers, layer.name, layer.kind, *layer.tags)]
    if not layers:
        raise SystemExit(f"no layer's name, class or tag matches {options.layers!r}")
    found: list[Convolver] = discover(contestants)
    entered = [c for c in found if c.role is not Role.PEER or common.matches(options.contestants, c.name)]
    print(machine())
    print(versions(entered))
    print(LEGEND)
    ready = [c for c in entered if c.version]
    measurements = []
    for threads in options.threads:
        measurements += measure(layers, ready, threads, options.repeats, options.seconds)
    played = rounds(measurements, ready)
    write_csv(options.csv, played)
    print(f"\n{report(played)}\n\nEvery cell is in {options.csv}")
    chart = options.chart or (CHART if layers == every else None)
    if chart and not options.no_chart:
        from .chart import draw

        draw(played[0], chart)
        print(f"The chart is in {chart}")
    if options.memory:
        some = [layer for layer in layers if common.matches(options.memory_layers, layer.name, layer.kind, *layer.tags)]
        for r in played if some else []:
            print(f"\n{memory_table(r, some)}")
