"""The library itself, on the command line."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import im2col

from ..jobs import Contestant

if TYPE_CHECKING:
    from ..jobs import Job


def arguments(job: Job) -> list[str]:
    """Trust a large file."""
    options = ["--kernel", str(job.array), "-o", str(job.target), "--threads", str(job.threads), "--large", "--force"]
    return [sys.executable, "-m", "im2col", "filter", str(job.source), *options]


CONTESTANT = Contestant(
    "im2col filter",
    lambda: f"im2col {im2col.__version__}",
    arguments,
    lambda _: {"PYTHONDONTWRITEBYTECODE": ""},  # an installed package has its bytecode
)
