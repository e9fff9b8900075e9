"""PyTorch: `unfold` and `fold`, which have patches as columns only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...contestants import Contestant

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from ..problems import Problem


def prepare(problem: Problem) -> Callable[[], NDArray[np.float32]] | None:
    """Call the public functions, which always allocate; into an `out`, the operators behind them, which need not."""
    if problem.task.orientation != "columns":
        return None
    import torch

    torch.set_num_threads(problem.threads)
    layer = problem.layer
    window = [[n, n] for n in (layer.kernel, layer.dilation, layer.padding, layer.stride)]
    size = [layer.height, layer.width]
    image, matrix = torch.from_numpy(problem.image), torch.from_numpy(problem.matrix)
    if problem.out is None:

        def call() -> NDArray[np.float32]:
            if problem.task.transform == "im2col":
                result = torch.nn.functional.unfold(image, *window)
            else:
                result = torch.nn.functional.fold(matrix, size, *window)
            array: NDArray[np.float32] = result.numpy()
            return array

        return call
    touched = problem.out
    out = torch.from_numpy(touched)

    def call_into() -> NDArray[np.float32]:
        if problem.task.transform == "im2col":
            torch.ops.aten.im2col.out(image, *window, out=out)
        else:
            torch.ops.aten.col2im.out(matrix, size, *window, out=out)
        return touched

    return call_into


CONTESTANT = Contestant("torch", "torch", prepare)
