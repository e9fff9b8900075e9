"""The library itself, channels first."""

from functools import partial

from ...contestants import Contestant, Role
from ..ours import prepare

CONTESTANT = Contestant("im2col", "im2col", partial(prepare, place="first"), Role.OURS)
