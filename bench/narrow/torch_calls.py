"""PyTorch's convolution of bfloat16, as two contestants call it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from .problems import Problem


def prepare(problem: Problem) -> Callable[[], NDArray[Any]] | None:
    """Call the public function, which always allocates; None for other numbers."""
    if problem.task.kind != "bfloat16":
        return None
    import torch

    torch.set_num_threads(problem.threads)
    layer = problem.layer
    image, weight = (
        torch.from_numpy(array.view(np.int16)).view(torch.bfloat16) for array in (problem.image, problem.weight)
    )
    is_last = problem.layout == "NHWC"
    if is_last:
        image, weight = image.movedim(-1, 1), weight.contiguous(memory_format=torch.channels_last)
    window = (layer.stride, layer.padding, layer.dilation, layer.groups)
    run = partial(torch.nn.functional.conv2d, image, weight, None, *window)

    def call() -> NDArray[Any]:
        result = run()
        in_layout = result.movedim(1, -1) if is_last else result
        bits: NDArray[np.int16] = in_layout.view(torch.int16).numpy()
        return bits.view(np.uint16)

    return call
