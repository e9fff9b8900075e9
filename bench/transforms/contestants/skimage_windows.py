"""scikit-image: `view_as_windows`, copied by `reshape`, without padding, patches as rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...contestants import Contestant
from ..problems import IM2COL_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from ..problems import Problem


def prepare(problem: Problem) -> Callable[[], NDArray[np.float32]] | None:
    """Flatten the view that the library returns; the copy is NumPy's."""
    layer = problem.layer
    s, d, span = layer.stride, layer.dilation, layer.span
    if problem.task != IM2COL_ROWS or problem.out is not None or layer.padding:
        return None
    from skimage.util import view_as_windows

    def call() -> NDArray[np.float32]:
        windows = view_as_windows(problem.image, (1, layer.channels, span, span), (1, 1, s, s))[..., ::d, ::d]
        matrix: NDArray[np.float32] = windows.reshape(problem.matrix.shape)
        return matrix

    return call


CONTESTANT = Contestant("skimage", "scikit-image", prepare)
