"""The library itself."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

import im2col

from ...contestants import Contestant, Role
from ..problems import (
    COLUMNS,
    CONVOLUTION,
    FOLD,
    IMAGE_GRADIENT,
    KERNEL,
    MAXIMA,
    MEANS,
    PLAN,
    TRANSPOSE,
    WEIGHT_GRADIENT,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..problems import Problem


def prepare(problem: Problem) -> Callable[[], NDArray[Any]] | None:
    """Call the public functions, and leave the threads to them as users do."""
    p, x, w = problem, problem.x, problem.w
    im2col.set_threads(p.threads)
    if p.call == CONVOLUTION:
        return lambda: im2col.conv2d(x, w, padding=p.padding)
    if p.call == PLAN:
        plan, out = im2col.plan(x.shape, w, padding=p.padding), np.empty(p.answer.shape, np.float32)
        return partial(plan, x, out=out)
    if p.call == COLUMNS:
        return lambda: im2col.im2col(x, KERNEL, padding=p.padding, orientation="columns")
    if p.call == FOLD:
        return lambda: im2col.col2im(p.columns, x.shape, KERNEL, padding=p.padding, orientation="columns")
    if p.call == TRANSPOSE:
        return lambda: im2col.conv_transpose(x, w, padding=p.padding)
    if p.call == IMAGE_GRADIENT:
        return lambda: im2col.conv_input_gradient(p.grad, w, x.shape, padding=p.padding)
    if p.call == WEIGHT_GRADIENT:
        return lambda: im2col.conv_weight_gradient(x, p.grad, KERNEL, padding=p.padding)
    if p.call == MAXIMA:
        return lambda: im2col.max_pool(x, KERNEL, stride=1, padding=p.padding)
    if p.call == MEANS:
        return lambda: im2col.average_pool(x, KERNEL, stride=1, padding=p.padding)
    return None  # arrays record nothing


CONTESTANT = Contestant("im2col", "im2col", prepare, Role.OURS)
