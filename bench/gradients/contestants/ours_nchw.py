"""The library itself: one call with everything, channels first."""

from __future__ import annotations

from ...contestants import Role
from ..contestant import Differentiator
from ..ours import prepare_one_shot

CONTESTANT = Differentiator("im2col", "im2col", prepare_one_shot, Role.OURS, is_one_shot=True)
