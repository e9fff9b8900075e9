"""PyTorch's functions, as two contestants call them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from .problems import (
    COLUMNS,
    CONVOLUTION,
    FOLD,
    IMAGE_GRADIENT,
    KERNEL,
    MAXIMA,
    MEANS,
    PLAN,
    RECORDED,
    WEIGHT_GRADIENT,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from .problems import Problem


def prepare(problem: Problem) -> Callable[[], Any]:
    """Call the public functions, or for a gradient what autograd calls; tensors in, tensors out."""
    import torch

    if problem.call in (IMAGE_GRADIENT, WEIGHT_GRADIENT):
        return _gradient(problem)
    return calls_of(torch.nn.functional, problem)


def calls_of(functions: Any, problem: Problem) -> Callable[[], Any]:
    """Call functions that have the names and arguments of ``torch.nn.functional``, for what is no gradient."""
    import torch

    torch.set_num_threads(problem.threads)
    p = problem
    x, w, columns = map(torch.from_numpy, (p.x, p.w, p.columns))
    if p.call in (CONVOLUTION, PLAN):
        return lambda: functions.conv2d(x, w, padding=p.padding)
    if p.call == RECORDED:
        image, weight = (each.clone().requires_grad_() for each in (x, w))
        return lambda: functions.conv2d(image, weight, padding=p.padding).detach()
    if p.call == COLUMNS:
        return lambda: functions.unfold(x, KERNEL, padding=p.padding)
    if p.call == FOLD:
        return lambda: functions.fold(columns, p.x.shape[2:], KERNEL, padding=p.padding)
    if p.call == MAXIMA:
        return lambda: functions.max_pool2d(x, KERNEL, 1, p.padding)
    if p.call == MEANS:
        return lambda: functions.avg_pool2d(x, KERNEL, 1, p.padding)
    return lambda: functions.conv_transpose2d(x, w, padding=p.padding)


def _gradient(p: Problem) -> Callable[[], Any]:
    """Call what autograd calls."""
    import torch

    torch.set_num_threads(p.threads)
    x, w, grad = map(torch.from_numpy, (p.x, p.w, p.grad))
    index = 0 if p.call == IMAGE_GRADIENT else 1
    window = ((1, 1), (p.padding, p.padding), (1, 1), False, [0, 0], 1)
    backward = partial(torch.ops.aten.convolution_backward, grad, x, w, None, *window, [index == i for i in range(3)])
    return lambda: backward()[index]
