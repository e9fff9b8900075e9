"""The library itself, through its public functions, as its contestants call it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import im2col

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from ..contestants import Layout
    from .layers import Layer
    from .problems import Problem

PRECISIONS = ("strict", "native", "fast")
"""How much rounding a plan may add to that of plain sums, by the library's words for it."""


def prepare_plan(
    problem: Problem, algorithm: str = "auto", precision: str = "native"
) -> Callable[[], NDArray[np.float32]]:
    """Prepare the weights; the call writes into `out`."""
    options = _options(problem)
    plan = im2col.plan(problem.image.shape, problem.weight, algorithm=algorithm, precision=precision, **options)
    return partial(plan, problem.image, out=problem.out)


def prepare_direct(problem: Problem) -> Callable[[], NDArray[np.float32]]:
    """Prepare the weights for the view, which multiplies as often as the definition says."""
    return prepare_plan(problem, "implicit")


def prepare_one_shot(problem: Problem) -> Callable[[], NDArray[np.float32]]:
    """Prepare nothing; the call allocates its result."""
    return partial(im2col.conv, problem.image, problem.weight, **_options(problem))


def window_options(layer: Layer, layout: Layout, threads: int) -> dict[str, Any]:
    """Return the options that every function of the library takes, for a layer whose images have a layout."""
    axes = "DHW"[-len(layer.spatial) :]
    return {
        "stride": layer.stride,
        "padding": layer.padding,
        "dilation": layer.dilation,
        "groups": layer.groups,
        "layout": layout.replace("HW", axes),
        "threads": threads,
    }


def _options(problem: Problem) -> dict[str, Any]:
    return window_options(problem.layer, problem.layout, problem.threads)
