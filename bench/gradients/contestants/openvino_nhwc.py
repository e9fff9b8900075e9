"""OpenVINO: a model of one transposed convolution, channels last in and out."""

from __future__ import annotations

from ..contestant import Differentiator
from ..openvino_model import prepare

CONTESTANT = Differentiator("OpenVINO NHWC", "openvino", prepare, layout="NHWC")
