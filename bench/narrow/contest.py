"""The contest of narrow numbers: its options, and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..contest import add_arguments as add_common_arguments
from ..contest import chosen, play
from ..contestants import discover
from . import contestants
from .problems import KINDS, answer, tasks
from .report import report

if TYPE_CHECKING:
    import argparse

    from .contestant import NarrowConvolver

HELP = "Compare im2col's convolution of 8-bit integers and of bfloat16 with the peers', layer by layer."
LEGEND = (
    "int32: uint8 image, int8 weights, exact sums; uint8: the sums scaled, rounded and clipped; bfloat16, float32: as\n"
    "they are. Two operations a product, taps in the padding included. NHWC: image and result have it."
)
CSV = Path("bench", "out", "narrow.csv")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the contest's options."""
    add_common_arguments(parser, csv=CSV, kinds=tuple(KINDS))


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
    some = chosen(tasks(), options.layers, options.kinds)
    found: list[NarrowConvolver] = discover(contestants)
    play(options, some, found, legend=LEGEND, answer=answer, report=report)
