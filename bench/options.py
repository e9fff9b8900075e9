"""The options that every contest has."""

from __future__ import annotations

import argparse
from fnmatch import fnmatchcase
from pathlib import Path

from .processes import usable_cpus


def add_arguments(parser: argparse.ArgumentParser, *, layers: str, seconds: float, csv: Path) -> None:
    """Declare them.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    layers : str
        What the patterns of ``--layers`` are compared with.
    seconds : float
        A cell's time, by default.
    csv : Path
        The file of every cell, by default.
    """
    parser.add_argument(
        "--threads", type=_threads, default=[1], help="how many, such as 1,2; in processes of their own"
    )
    parser.add_argument("--layers", default="*", help=f"only layers whose {layers} matches, such as 'resnet*,vgg*'")
    parser.add_argument("--contestants", default="*", help="only peers whose name matches, such as '[cN]*,torch'")
    parser.add_argument("--repeats", type=int, default=100, help="the most turns of a cell")
    parser.add_argument("--seconds", type=float, default=seconds, help="a cell's time; it gets 5 turns all the same")
    parser.add_argument("--csv", type=Path, default=csv, help="where every cell is written")


def add_memory(parser: argparse.ArgumentParser) -> None:
    """Declare the option of a contest that measures memory."""
    parser.add_argument("--memory", action=argparse.BooleanOptionalAction, default=True, help="measure memory, too")


def matches(patterns: str, *words: str) -> bool:
    """Return whether one of the words matches one of the patterns, which commas separate."""
    return any(fnmatchcase(word, pattern) for pattern in patterns.split(",") for word in words)


def _threads(text: str) -> list[int]:
    numbers = [int(number) for number in text.split(",")]
    most = len(usable_cpus())
    if not all(1 <= n <= most for n in numbers):
        raise argparse.ArgumentTypeError(f"this process may use 1 to {most} CPUs")
    return numbers
