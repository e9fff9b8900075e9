"""The contest of the transforms: its options, and what it prints."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .. import options as common
from ..contest import introduced
from ..contestants import Contestant, Role, discover
from ..processes import in_fresh_process
from . import contestants
from .measure import measure
from .memory import memory_table
from .problems import Problem, read_layers
from .report import report, write_csv

if TYPE_CHECKING:
    import argparse

HELP = "Compare im2col and col2im with a plain copy, NumPy, torch, scikit-learn and scikit-image."
LEGEND = "Speeds: bytes of the float32 matrix over the fastest turn. Only im2col and torch use many threads."
CSV = Path("bench", "out", "transforms.csv")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the contest's options."""
    common.add_arguments(parser, layers="name", seconds=0.1, csv=CSV)
    common.add_memory(parser)


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
    layers = [layer for layer in read_layers() if common.matches(options.layers, layer.name)]
    if not layers:
        raise SystemExit(f"no layer's name matches {options.layers!r}")
    found: list[Contestant[Problem]] = discover(contestants)
    ready = introduced(found, options.contestants, LEGEND)
    measurements = []
    for threads in options.threads:
        task = partial(measure, layers, ready, threads, options.repeats, options.seconds)
        measurements += in_fresh_process(threads, task)
    write_csv(options.csv, measurements)
    print(f"\n{report(measurements, ready)}\n\nEvery cell is in {options.csv}")
    if options.memory:
        ours = next(c for c in ready if c.role is Role.OURS)
        for threads in options.threads:
            print(f"\n{memory_table(ours, layers, threads)}")
