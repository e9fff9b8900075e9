"""The library itself: one call with everything, channels last."""

from __future__ import annotations

from ...contestants import Role
from ..contestant import Differentiator
from ..ours import prepare_one_shot

CONTESTANT = Differentiator("im2col NHWC", "im2col", prepare_one_shot, Role.OURS, layout="NHWC", is_one_shot=True)
