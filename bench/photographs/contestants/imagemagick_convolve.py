"""ImageMagick: ``-morphology Convolve``; the limits are those of its installation."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from ..jobs import Contestant, program

if TYPE_CHECKING:
    from ..jobs import Job

_NAMES = ("magick", "convert-im6", "convert")


def version() -> str | None:
    """Return what is installed of it under one of its names."""
    found = (program(name, "-version", says="ImageMagick") for name in _NAMES)
    return next((" ".join(line.split()[1:3]) for line in found if line), None)


def arguments(job: Job) -> list[str]:
    """Divide by the sum of the weights, and repeat the edge."""
    name = next(name for name in _NAMES if shutil.which(name) and program(name, "-version", says="ImageMagick"))
    size = len(job.weights)
    kernel = f"{size}x{size}:" + " ".join(",".join(map(str, row)) for row in job.weights.tolist())
    options = ["-virtual-pixel", "edge", "-define", "convolve:scale=!", "-morphology", "Convolve", kernel]
    return [name, str(job.source), *options, "-depth", "8", "-compress", "none", str(job.target)]


CONTESTANT = Contestant("ImageMagick", version, arguments, lambda job: {"MAGICK_THREAD_LIMIT": str(job.threads)}, off=1)
