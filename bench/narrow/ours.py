"""The library itself, through its public functions, as its contestants call it."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import im2col

from ..convolution.ours import window_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from .problems import Problem


def prepare_one_shot(problem: Problem) -> Callable[[], NDArray[Any]] | None:
    """Prepare nothing; the call allocates its result. None where nobody tells NumPy what bfloat16 is."""
    if not _is_known(problem):
        return None
    image, weight = _operands(problem)
    options = window_options(problem.layer, problem.layout, problem.threads)
    if problem.task.kind == "uint8":
        convolve = partial(im2col.quantized_conv, image, weight, **_scales(problem), **options)
    else:
        convolve = partial(im2col.conv, image, weight, **options)
    return (lambda: convolve().view(problem.out.dtype)) if problem.task.kind == "bfloat16" else convolve


def prepare_plan(problem: Problem) -> Callable[[], NDArray[Any]] | None:
    """Prepare the weights; the call writes into `out`. None where nobody tells NumPy what bfloat16 is."""
    if not _is_known(problem):
        return None
    image, weight = _operands(problem)
    options = window_options(problem.layer, problem.layout, problem.threads)
    if problem.task.kind == "uint8":
        plan = im2col.plan_quantized(image.shape, weight, x_dtype=image.dtype, **_scales(problem), **options)
    else:
        plan = im2col.plan(image.shape, weight, x_dtype=image.dtype, **options)
    out = _numbers(problem, problem.out)

    def call() -> NDArray[Any]:
        plan(image, out)
        return problem.out

    return call


def _scales(problem: Problem) -> dict[str, Any]:
    return {"x_scale": problem.x_scale, "w_scale": problem.w_scale, "y_scale": problem.y_scale}


def _is_known(problem: Problem) -> bool:
    return problem.task.kind != "bfloat16" or find_spec("ml_dtypes") is not None


def _operands(problem: Problem) -> tuple[NDArray[Any], NDArray[Any]]:
    return _numbers(problem, problem.image), _numbers(problem, problem.weight)


def _numbers(problem: Problem, array: NDArray[Any]) -> NDArray[Any]:
    """Return a view of bits as the numbers that they stand for; other arrays as they are."""
    if problem.task.kind != "bfloat16":
        return array
    import ml_dtypes

    return array.view(ml_dtypes.bfloat16)
