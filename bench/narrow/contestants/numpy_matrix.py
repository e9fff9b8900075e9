"""What one writes with NumPy for integers, which have no BLAS: the column matrix, and one product in int32."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...convolution.column_matrix import column_product
from ..contestant import NarrowConvolver

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..problems import Problem

_MOST_FLOPS = 5e8
"""Layers with more take seconds a call."""


def prepare(problem: Problem) -> Callable[[], NDArray[Any]] | None:
    """Convert, pad, copy and multiply in each call; None for all but the exact sums of smaller layers."""
    if problem.task.kind != "int32" or problem.layer.flops > _MOST_FLOPS:
        return None
    multiply = column_product(problem.layer, problem.weight.astype(np.int32), problem.out)
    return None if multiply is None else lambda: multiply(problem.image.astype(np.int32))


CONTESTANT = NarrowConvolver("NumPy", "numpy", prepare)
