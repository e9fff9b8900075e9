"""PyTorch: its convolution as one calls it, image and weights in the memory format that has the channels last."""

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
    """Call the public function; the format exists in two and three dimensions, so one gets a height of 1."""
    import torch

    torch.set_num_threads(problem.threads)
    flat = problem.in_two_dimensions()
    layer = flat.layer
    if len(layer.spatial) == 2:
        convolve, memory_format = torch.nn.functional.conv2d, torch.channels_last
    else:
        convolve, memory_format = torch.nn.functional.conv3d, torch.channels_last_3d
    image = torch.from_numpy(flat.image).movedim(-1, 1)
    weight = torch.from_numpy(flat.weight).contiguous(memory_format=memory_format)
    run = partial(convolve, image, weight, None, layer.stride, layer.padding, layer.dilation, layer.groups)
    return lambda: run().movedim(1, -1).numpy().reshape(problem.out.shape)


CONTESTANT = Convolver("torch NHWC", "torch", prepare, layout="NHWC", is_one_shot=True)
