"""PyTorch, channels first."""

from functools import partial

from ...contestants import Contestant
from ..torch_calls import prepare

CONTESTANT = Contestant("torch", "torch", partial(prepare, place="first"))
