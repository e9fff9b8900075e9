"""The library itself: one call with everything, channels last."""

from __future__ import annotations

from ...contestants import Role
from ..contestant import NarrowConvolver
from ..ours import prepare_one_shot

CONTESTANT = NarrowConvolver("conv NHWC", "im2col", prepare_one_shot, Role.OURS, layout="NHWC", is_one_shot=True)
