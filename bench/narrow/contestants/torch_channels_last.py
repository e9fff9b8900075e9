"""PyTorch: its convolution of bfloat16 as one calls it, in the memory format that has the channels last."""

from __future__ import annotations

from ..contestant import NarrowConvolver
from ..torch_calls import prepare

CONTESTANT = NarrowConvolver("torch NHWC", "torch", prepare, layout="NHWC", is_one_shot=True)
