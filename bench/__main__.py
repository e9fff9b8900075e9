"""The command: ``python -m bench`` and the name of a contest, or ``page``."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from . import blocks, choice, cluster, labelled, model, networks, page, rounding
from .calls import contest as calls
from .contestants import WrongResultError
from .convolution import contest as convolution
from .filters import contest as filters
from .frames import contest as frames
from .gradients import contest as gradients
from .narrow import contest as narrow
from .pays import contest as pays
from .photographs import contest as photographs
from .pooling import contest as pooling
from .transforms import contest as transforms

if TYPE_CHECKING:
    from collections.abc import Sequence

CONTESTS = {
    "transforms": transforms,
    "frames": frames,
    "convolution": convolution,
    "filters": filters,
    "pooling": pooling,
    "xarray": labelled,
    "networks": networks,
    "blocks": blocks,
    "cluster": cluster,
    "photographs": photographs,
    "gradients": gradients,
    "narrow": narrow,
    "calls": calls,
    "model": model,
    "choice": choice,
    "pays": pays,
    "rounding": rounding,
    "page": page,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one contest and return the exit status: 1 where a contestant's result is wrong.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line's, by default.

    Returns
    -------
    int
    """
    parser = argparse.ArgumentParser(prog="python -m bench", description="Compare im2col with its peers.")
    commands = parser.add_subparsers(dest="contest", metavar="CONTEST", required=True)
    for name, contest in CONTESTS.items():
        contest.add_arguments(commands.add_parser(name, help=contest.HELP, description=contest.HELP))
    options = parser.parse_args(arguments)
    try:
        CONTESTS[options.contest].run(options)
    except WrongResultError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
