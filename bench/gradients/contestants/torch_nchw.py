"""PyTorch: its functions as one calls them."""

from __future__ import annotations

from ..contestant import Differentiator
from ..torch_calls import prepare

CONTESTANT = Differentiator("torch", "torch", prepare, is_one_shot=True)
