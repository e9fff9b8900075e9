"""libvips: `conv` in floating point, which it writes as such where the format can."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..jobs import Contestant, program

if TYPE_CHECKING:
    from ..jobs import Job


def arguments(job: Job) -> list[str]:
    """Take the default precision."""
    return ["vips", "conv", str(job.source), str(job.target), str(job.matrix)]


CONTESTANT = Contestant(
    "vips conv",
    lambda: program("vips", "--version", says="vips"),
    arguments,
    lambda job: {"VIPS_CONCURRENCY": str(job.threads)},
    off=1,
)
