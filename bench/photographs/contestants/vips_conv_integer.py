"""libvips: `conv` in whole numbers, which its vectors of bytes approximate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..jobs import Contestant, program

if TYPE_CHECKING:
    from ..jobs import Job


def arguments(job: Job) -> list[str]:
    """Ask for it."""
    return ["vips", "conv", str(job.source), str(job.target), str(job.matrix), "--precision", "integer"]


CONTESTANT = Contestant(
    "vips conv, integer",
    lambda: program("vips", "--version", says="vips"),
    arguments,
    lambda job: {"VIPS_CONCURRENCY": str(job.threads)},
    off=4,
)
