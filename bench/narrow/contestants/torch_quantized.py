"""PyTorch: its convolution of quantized tensors, weights packed before, channels last, as it wants them in memory."""

from __future__ import annotations

import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

from ..contestant import NarrowConvolver

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..problems import Problem


def prepare(problem: Problem) -> Callable[[], NDArray[Any]] | None:
    """Pack the weights; the call allocates its result. None for all but layers of two axes whose result is uint8."""
    layer = problem.layer
    if problem.task.kind != "uint8" or len(layer.kernel) != 2:
        return None
    import torch

    torch.set_num_threads(problem.threads)
    x_scale, y_scale = float(problem.x_scale), float(problem.y_scale)
    scales, zeros = torch.from_numpy(problem.w_scale).double(), torch.zeros(layer.filters, dtype=torch.long)
    pixels = torch.from_numpy(problem.image).movedim(-1, 1)
    with warnings.catch_warnings(action="ignore"):  # torch says that quantized tensors will go
        image = torch._make_per_tensor_quantized_tensor(pixels, x_scale, 0)
        weight = torch._make_per_channel_quantized_tensor(torch.from_numpy(problem.weight), scales, zeros, 0)
    window = map(list, (layer.stride, layer.padding, layer.dilation))
    packed = torch.ops.quantized.conv2d_prepack(weight, None, *window, layer.groups)
    run = partial(torch.ops.quantized.conv2d, image, packed, y_scale, 0)

    def call() -> NDArray[Any]:
        result = run()
        # The steps, where they lie: `int_repr` would copy them.
        steps = torch.empty(0, dtype=torch.uint8).set_(result.untyped_storage(), 0, result.shape, result.stride())
        array: NDArray[Any] = steps.movedim(1, -1).numpy()
        return array

    return call


CONTESTANT = NarrowConvolver("torch quantized", "torch", prepare, layout="NHWC")
