"""The library itself: one call with everything, channels first."""

from __future__ import annotations

from ...contestants import Role
from ..contestant import NarrowConvolver
from ..ours import prepare_one_shot

CONTESTANT = NarrowConvolver("conv", "im2col", prepare_one_shot, Role.OURS, is_one_shot=True)
