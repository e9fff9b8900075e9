"""ncnn as it is shipped: Winograd's algorithm where it suits."""

from __future__ import annotations

from functools import partial

from ..contestant import Convolver
from ..ncnn_net import prepare

CONTESTANT = Convolver("ncnn", "ncnn", partial(prepare, winograd=True), is_direct=False)
