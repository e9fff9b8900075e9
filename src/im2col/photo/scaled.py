"""Photographs as small images: what a picture of every pixel can show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .image_files import read_photo
from .libraries import pillow

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

LONGEST = 224
"""Pixels of a photograph's longer side in a picture."""


def photo_image(path: str | os.PathLike[str], longest: int = LONGEST, *, large: bool = False) -> NDArray[np.uint8]:
    """Return a photograph as an array, scaled down where it is larger than a picture can show.

    Parameters
    ----------
    path : path-like
        What `read_photo` reads. Transparency is left out, 16 bits become 8, and of floating-point samples
        0 to 1 become 0 to 255.
    longest : int
        Pixels of the longer side.
    large : bool
        As for `read_photo`.

    Returns
    -------
    ndarray of uint8, (C, H, W)
        C is 1 for grey and 3 for colour.

    Raises
    ------
    PhotoError, MissingExtraError, MemoryBudgetError
        As `read_photo`.
    """
    samples = read_photo(path, large=large).samples
    if samples.dtype == np.uint16:
        samples = (samples >> 8).astype(np.uint8)
    elif samples.dtype != np.uint8:
        samples = np.rint(np.clip(np.nan_to_num(samples.astype(np.float64)), 0, 1) * 255).astype(np.uint8)
    height, width = samples.shape[:2]
    scale = longest / max(height, width)
    if scale < 1:
        pil = pillow()
        size = max(1, round(width * scale)), max(1, round(height * scale))
        plain = pil.Image.fromarray(samples[:, :, 0] if samples.shape[2] == 1 else samples)
        samples = np.asarray(plain.resize(size, pil.Image.Resampling.BOX)).reshape(size[1], size[0], -1)
    return np.ascontiguousarray(samples.transpose(2, 0, 1))
