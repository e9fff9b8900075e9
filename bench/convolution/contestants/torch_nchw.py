"""PyTorch: its convolution as one calls it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..contestant import Convolver

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from ..problems import Problem


def prepare(problem: Problem) -> Callable[[], NDArray[np.float32]]:
    """Call the public function, which always allocates."""
    import torch

    torch.set_num_threads(problem.threads)
    layer = problem.layer
    functional = torch.nn.functional
    convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[len(layer.spatial) - 1]
    image, weight = torch.from_numpy(problem.image), torch.from_numpy(problem.weight)
    run = partial(convolve, image, weight, None, layer.stride, layer.padding, layer.dilation, layer.groups)
    return lambda: run().numpy()


CONTESTANT = Convolver("torch", "torch", prepare, is_one_shot=True)
