"""PyTorch's `fold`, which has patches as columns only, and two axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...contestants import Contestant

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from ..problems import Problem


def prepare(problem: Problem) -> Callable[[], NDArray[np.float32]] | None:
    """Call the public function; a signal is an image of one row."""
    if problem.orientation != "columns":
        return None
    import torch

    torch.set_num_threads(problem.threads)
    s = problem.signal
    size, kernel, stride = ((1,) * (2 - len(axes)) + axes for axes in (s.spatial, s.kernel, s.stride))
    matrix = torch.from_numpy(problem.matrix)[None]

    def call() -> NDArray[np.float32]:
        result: NDArray[np.float32] = torch.nn.functional.fold(matrix, size, kernel, stride=stride).numpy()
        return result

    return call


CONTESTANT = Contestant("torch", "torch", prepare)
