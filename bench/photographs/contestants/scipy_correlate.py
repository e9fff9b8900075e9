"""scikit-image, to read and write, and SciPy's `ndimage.correlate` of each colour, the whole in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..jobs import Contestant, packages, script

if TYPE_CHECKING:
    from ..jobs import Job

SCRIPT = """
import sys
import numpy as np
from PIL import Image
from scipy.ndimage import correlate
from skimage import io

Image.MAX_IMAGE_PIXELS = None
source, target, kernel = sys.argv[1:]
image = io.imread(source)
result = np.empty_like(image)
weights = np.load(kernel)
for part, to in zip(np.atleast_3d(image).transpose(2, 0, 1), np.atleast_3d(result).transpose(2, 0, 1)):
    to[...] = np.rint(correlate(part, weights, output=np.float32, mode="nearest"))
io.imsave(target, result, check_contrast=False)
"""


def arguments(job: Job) -> list[str]:
    """Round as the others do."""
    return script(SCRIPT, job.source, job.target, job.array)


CONTESTANT = Contestant("SciPy correlate", packages("scipy", "scikit-image"), arguments)
