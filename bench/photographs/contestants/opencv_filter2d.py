"""OpenCV: `filter2D` of what its own reader reads, the whole in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..jobs import Contestant, packages, script

if TYPE_CHECKING:
    from ..jobs import Job

SCRIPT = """
import sys
import cv2
import numpy as np

source, target, kernel, threads = sys.argv[1:]
cv2.setNumThreads(int(threads))
image = cv2.imread(source, cv2.IMREAD_UNCHANGED)
result = cv2.filter2D(image, -1, np.load(kernel), borderType=cv2.BORDER_REPLICATE)
options = [cv2.IMWRITE_TIFF_COMPRESSION, 1] if target.endswith(".tif") else []
assert cv2.imwrite(target, result, options)
"""


def arguments(job: Job) -> list[str]:
    """Write TIFF without compression."""
    return script(SCRIPT, job.source, job.target, job.array, job.threads)


CONTESTANT = Contestant(
    "OpenCV filter2D",
    packages("opencv-python-headless"),
    arguments,
    lambda _: {"OPENCV_IO_MAX_IMAGE_PIXELS": str(1 << 40)},
    off=1,
)
