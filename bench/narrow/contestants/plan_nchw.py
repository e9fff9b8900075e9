"""The library itself: a plan, channels first."""

from __future__ import annotations

from ...contestants import Role
from ..contestant import NarrowConvolver
from ..ours import prepare_plan

CONTESTANT = NarrowConvolver("plan", "im2col", prepare_plan, Role.OURS)
