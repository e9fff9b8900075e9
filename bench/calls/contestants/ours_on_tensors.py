"""The library on PyTorch's tensors, where no gradient is asked for but for what is to be recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...contestants import Contestant, Role
from ..problems import IMAGE_GRADIENT, PLAN, WEIGHT_GRADIENT
from ..torch_calls import calls_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..problems import Problem


def prepare(problem: Problem) -> Callable[[], Any] | None:
    """Call the functions that have the names of PyTorch's."""
    if problem.call in (PLAN, IMAGE_GRADIENT, WEIGHT_GRADIENT):
        return None
    from im2col.integrations import torch as tensors

    return calls_of(tensors, problem)


CONTESTANT = Contestant("im2col, tensors", "torch", prepare, Role.OURS)
