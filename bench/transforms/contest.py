"""The contest of the transforms: its options, and what it prints."""

from __future__ import annotations

import argparse
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from ..contestants import Role, discover
from ..processes import in_fresh_process, usable_cpus
from ..tables import machine
from . import contestants
from .measure import measure
from .memory import memory_table
from .problems import read_layers
from .report import report, write_csv

HELP = "Compare im2col and col2im with a plain copy, NumPy, torch, scikit-learn and scikit-image."
LEGEND = "Speeds: bytes of the float32 matrix over the fastest turn. Only im2col and torch use many threads."
CSV = Path("bench", "out", "transforms.csv")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the contest's options."""
    parser.add_argument("--threads", type=_threads, default=[1], help="how many, such as 1,2; each in a fresh process")
    parser.add_argument("--layers", default="*", help="only layers whose name matches, such as 'resnet*'")
    parser.add_argument("--contestants", default="*", help="only peers whose name matches, such as '[cN]*'")
    parser.add_argument("--repeats", type=int, default=100, help="the most turns of a cell")
    parser.add_argument("--seconds", type=float, default=0.1, help="a cell's time; it gets 5 turns all the same")
    parser.add_argument("--memory", action=argparse.BooleanOptionalAction, default=True, help="measure our memory, too")
    parser.add_argument("--csv", type=Path, default=CSV, help="where every cell is written")


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
    layers = [layer for layer in read_layers() if fnmatchcase(layer.name, options.layers)]
    if not layers:
        raise SystemExit(f"no layer's name matches {options.layers!r}")
    entered = [c for c in discover(contestants) if c.role is Role.OURS or fnmatchcase(c.name, options.contestants)]
    print(machine())
    print(", ".join(dict.fromkeys(f"{c.distribution} {c.version or 'not installed'}" for c in entered)))
    print(LEGEND)
    ready = [c for c in entered if c.version]
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


def _threads(text: str) -> list[int]:
    numbers = [int(number) for number in text.split(",")]
    most = len(usable_cpus())
    if not all(1 <= n <= most for n in numbers):
        raise argparse.ArgumentTypeError(f"this process may use 1 to {most} CPUs")
    return numbers
