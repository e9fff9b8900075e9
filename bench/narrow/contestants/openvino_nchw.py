"""OpenVINO: a model of one quantized convolution, channels first in and out."""

from __future__ import annotations

from ..contestant import NarrowConvolver
from ..openvino_model import prepare

CONTESTANT = NarrowConvolver("OpenVINO", "openvino", prepare)
