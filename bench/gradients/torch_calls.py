"""PyTorch's functions, as two contestants call them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from .problems import GRADIENTS, TRANSPOSE

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from .problems import Problem


def prepare(problem: Problem) -> Callable[[], NDArray[np.float32]]:
    """Call what autograd calls, for the one gradient, or the public function; they always allocate."""
    import torch

    torch.set_num_threads(problem.threads)
    layer = problem.layer
    is_last = problem.layout == "NHWC"
    image, grad = (_image(array, is_last=is_last) for array in (problem.image, problem.grad))
    weight = torch.from_numpy(problem.weight)
    if is_last:
        weight = weight.contiguous(memory_format=torch.channels_last)
    if problem.task.kind == TRANSPOSE:
        window = (layer.stride, layer.padding, problem.output_padding, layer.groups, layer.dilation)
        transpose = partial(torch.nn.functional.conv_transpose2d, grad, weight, None, *window)
        return lambda: _array(transpose(), is_last=is_last)
    index = GRADIENTS.index(problem.task.kind)
    forward = (layer.stride, layer.padding, layer.dilation, False, [0, 0], layer.groups)
    mask = [index == i for i in range(3)]
    backward = partial(torch.ops.aten.convolution_backward, grad, image, weight, None, *forward, mask)
    return lambda: _array(backward()[index], is_last=is_last and index == 0)


def _image(array: NDArray[np.float32], *, is_last: bool) -> torch.Tensor:
    import torch

    tensor = torch.from_numpy(array)
    return tensor.movedim(-1, 1) if is_last else tensor


def _array(tensor: torch.Tensor, *, is_last: bool) -> NDArray[np.float32]:
    array: NDArray[np.float32] = (tensor.movedim(1, -1) if is_last else tensor).numpy()
    return array
