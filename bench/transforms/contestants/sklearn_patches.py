"""scikit-learn: `extract_patches_2d`, for one image at stride 1 without padding, patches as rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...contestants import Contestant
from ..problems import IM2COL_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..problems import Layer, Problem


def prepare(problem: Problem) -> Callable[[], NDArray[np.float32]] | None:
    """Extract the patches of a channels-last image, made beforehand; the library always allocates."""
    layer, k = problem.layer, problem.layer.kernel
    if problem.task != IM2COL_ROWS or problem.out is not None or not _supports(layer):
        return None
    from sklearn.feature_extraction.image import extract_patches_2d

    image = np.ascontiguousarray(problem.image[0].transpose(1, 2, 0))

    def call() -> NDArray[np.float32]:
        patches: NDArray[np.float32] = extract_patches_2d(image, (k, k))
        # The library's taps are channel-last: a view in the order of the answer, which costs nothing.
        return patches.reshape(-1, k, k, layer.channels).transpose(0, 3, 1, 2)

    return call


def _supports(layer: Layer) -> bool:
    return (layer.batch, layer.stride, layer.padding, layer.dilation) == (1, 1, 0, 1)


CONTESTANT = Contestant("sklearn HWC", "scikit-learn", prepare)
