"""PyTorch, as it is called where no gradient is asked for."""

from __future__ import annotations

from ...contestants import Contestant
from ..torch_calls import prepare

CONTESTANT = Contestant("torch", "torch", prepare)
