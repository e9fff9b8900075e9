"""OpenVINO: a model of one quantized convolution, channels last in and out."""

from __future__ import annotations

from ..contestant import NarrowConvolver
from ..openvino_model import prepare

CONTESTANT = NarrowConvolver("OpenVINO NHWC", "openvino", prepare, layout="NHWC")
