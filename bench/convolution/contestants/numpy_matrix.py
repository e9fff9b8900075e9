"""What one writes with NumPy: the column matrix as a strided view, which `reshape` copies, and one product."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..column_matrix import column_product
from ..contestant import Convolver

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from ..problems import Problem


def prepare(problem: Problem) -> Callable[[], NDArray[np.float32]] | None:
    """Pad, copy and multiply in each call; None where the matrix would take more than 2 GiB."""
    multiply = column_product(problem.layer, problem.weight, problem.out)
    return None if multiply is None else partial(multiply, problem.image)


CONTESTANT = Convolver("NumPy", "numpy", prepare, is_one_shot=True)
