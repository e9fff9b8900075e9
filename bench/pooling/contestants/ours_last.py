"""The library itself, channels last."""

from functools import partial

from ...contestants import Contestant, Role
from ..ours import prepare

CONTESTANT = Contestant("im2col NHWC", "im2col", partial(prepare, place="last"), Role.OURS)
