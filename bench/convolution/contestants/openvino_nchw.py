"""OpenVINO: a model of one node, channels first in and out."""

from __future__ import annotations

from ..contestant import Convolver
from ..openvino_model import prepare

CONTESTANT = Convolver("OpenVINO", "openvino", prepare)
