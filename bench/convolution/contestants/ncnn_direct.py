"""ncnn without Winograd's algorithm; its products of matrices stay, which multiply as often as the definition."""

from __future__ import annotations

from functools import partial

from ..contestant import Convolver
from ..ncnn_net import prepare

CONTESTANT = Convolver("ncnn direct", "ncnn", partial(prepare, winograd=False))
