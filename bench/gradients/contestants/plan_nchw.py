"""The library itself: a plan of a transposed convolution, channels first."""

from __future__ import annotations

from ...contestants import Role
from ..contestant import Differentiator
from ..ours import prepare_plan

CONTESTANT = Differentiator("plan", "im2col", prepare_plan, Role.OURS)
