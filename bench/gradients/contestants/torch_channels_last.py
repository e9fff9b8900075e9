"""PyTorch: its functions as one calls them, in the memory format that has the channels last."""

from __future__ import annotations

from ..contestant import Differentiator
from ..torch_calls import prepare

CONTESTANT = Differentiator("torch NHWC", "torch", prepare, layout="NHWC", is_one_shot=True)
