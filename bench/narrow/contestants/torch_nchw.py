"""PyTorch: its convolution of bfloat16 as one calls it."""

from __future__ import annotations

from ..contestant import NarrowConvolver
from ..torch_calls import prepare

CONTESTANT = NarrowConvolver("torch", "torch", prepare, is_one_shot=True)
