"""The library itself: a plan, channels first, that multiplies as often as the definition says."""

from __future__ import annotations

from ...contestants import Role
from ..contestant import Convolver
from ..ours import prepare_direct

CONTESTANT = Convolver("plan direct", "im2col", prepare_direct, Role.OURS)
