"""The library itself: a plan, channels last, of whatever algorithm it chooses."""

from __future__ import annotations

from ...contestants import Role
from ..contestant import Convolver
from ..ours import prepare_plan

CONTESTANT = Convolver("plan NHWC", "im2col", prepare_plan, Role.OURS, layout="NHWC", is_direct=False)
