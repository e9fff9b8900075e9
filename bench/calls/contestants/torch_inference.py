"""PyTorch in its inference mode, which is entered in each call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...contestants import Contestant
from ..problems import RECORDED
from ..torch_calls import prepare as prepare_plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..problems import Problem


def prepare(problem: Problem) -> Callable[[], Any] | None:
    """Decorate the call, as PyTorch's documentation does."""
    import torch

    if problem.call == RECORDED:
        return None

    call: Callable[[], Any] = torch.inference_mode()(prepare_plain(problem))
    return call


CONTESTANT = Contestant("torch inference", "torch", prepare)
