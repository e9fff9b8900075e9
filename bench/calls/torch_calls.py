"""PyTorch's functions, as two contestants call them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from .problems import COLUMNS, CONVOLUTION, FOLD, IMAGE_GRADIENT, KERNEL, PLAN, TRANSPOSE

if TYPE_CHECKING:
    from collections.abc import Callable

    from .problems import Problem


def prepare(problem: Problem) -> Callable[[], Any]:
    """Call the public functions, or for a gradient what autograd calls; tensors in, tensors out."""
    import torch

    torch.set_num_threads(problem.threads)
    p, functional = problem, torch.nn.functional
    x, w, grad, columns = map(torch.from_numpy, (p.x, p.w, p.grad, p.columns))
    if p.call in (CONVOLUTION, PLAN):
        return lambda: functional.conv2d(x, w, padding=p.padding)
    if p.call == COLUMNS:
        return lambda: functional.unfold(x, KERNEL, padding=p.padding)
    if p.call == FOLD:
        return lambda: functional.fold(columns, p.x.shape[2:], KERNEL, padding=p.padding)
    if p.call == TRANSPOSE:
        return lambda: functional.conv_transpose2d(x, w, padding=p.padding)
    index = 0 if p.call == IMAGE_GRADIENT else 1
    window = ((1, 1), (p.padding, p.padding), (1, 1), False, [0, 0], 1)
    backward = partial(torch.ops.aten.convolution_backward, grad, x, w, None, *window, [index == i for i in range(3)])
    return lambda: backward()[index]
