"""The library itself: a plan, channels last."""

from __future__ import annotations

from ...contestants import Role
from ..contestant import NarrowConvolver
from ..ours import prepare_plan

CONTESTANT = NarrowConvolver("plan NHWC", "im2col", prepare_plan, Role.OURS, layout="NHWC")
