"""PyTorch: oneDNN with weights that were reordered beforehand, as the code that `torch.compile` makes calls it."""

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
    """Reorder the weights for the shape of the image; image and result stay plain arrays, channels last."""
    import torch

    torch.set_num_threads(problem.threads)
    flat = problem.in_two_dimensions()
    layer = flat.layer
    image = torch.from_numpy(flat.image).movedim(-1, 1)
    window = (layer.padding, layer.stride, layer.dilation, layer.groups)
    operators = torch.ops.mkldnn
    weight = operators._reorder_convolution_weight(torch.from_numpy(flat.weight), *window, image.shape)
    run = partial(operators._convolution_pointwise, image, weight, None, *window, "none", [], "")
    return lambda: run().movedim(1, -1).numpy().reshape(problem.out.shape)


CONTESTANT = Convolver("torch packed", "torch", prepare, layout="NHWC")
