"""The contest of the adjoints: its options, and what it prints."""

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

    from .contestant import Differentiator

HELP = "Compare im2col's gradients and transposed convolutions with the peers', layer by layer."
LEGEND = (
    "dx: the gradient of the image; dw: of the weights. GFLOP/s are nominal: two operations a product of the\n"
    "convolution, taps in the padding included. NHWC: images have it. Plans, ORT, OpenVINO: weights are prepared."
)
CSV = Path("bench", "out", "gradients.csv")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the contest's options."""
    add_common_arguments(parser, csv=CSV, kinds=KINDS)


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
    found: list[Differentiator] = discover(contestants)
    play(options, some, found, legend=LEGEND, answer=answer, report=report)
