"""PyTorch, channels last in memory."""

from functools import partial

from ...contestants import Contestant
from ..torch_calls import prepare

CONTESTANT = Contestant("torch channels-last", "torch", partial(prepare, place="last"))
