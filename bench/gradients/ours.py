"""The library itself, through its public functions, as its contestants call it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import im2col

from ..convolution.ours import window_options
from .problems import TRANSPOSE

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from .problems import Problem


def prepare_one_shot(problem: Problem, algorithm: str = "auto") -> Callable[[], NDArray[np.float32]]:
    """Prepare nothing; the call writes into `out`."""
    layer, out = problem.layer, problem.out
    options = {**window_options(layer, problem.layout, problem.threads), "algorithm": algorithm}
    if problem.task.kind == "dx":
        shape = problem.image.shape
        return partial(im2col.conv_input_gradient, problem.grad, problem.weight, shape, out=out, **options)
    if problem.task.kind == "dw":
        return partial(im2col.conv_weight_gradient, problem.image, problem.grad, layer.kernel, out=out, **options)
    options["output_padding"] = problem.output_padding
    return partial(im2col.conv_transpose, problem.grad, problem.weight, out=out, **options)


def prepare_plan(problem: Problem) -> Callable[[], NDArray[np.float32]] | None:
    """Prepare the weights of a transposed convolution; None for gradients, whose weights change with every step."""
    if problem.task.kind != TRANSPOSE:
        return None
    options = window_options(problem.layer, problem.layout, problem.threads)
    padding = problem.output_padding
    plan = im2col.plan_transpose(problem.grad.shape, problem.weight, output_padding=padding, **options)
    return partial(plan, problem.grad, out=problem.out)
