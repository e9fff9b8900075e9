"""ONNX Runtime: a model of one node, ConvInteger or QLinearConv, bound to image and result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...convolution.onnx_model import node_model
from ...convolution.onnx_session import prepare_session
from ..contestant import NarrowConvolver

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..problems import Problem


def prepare(problem: Problem) -> Callable[[], NDArray[Any]] | None:
    """Load the model; None for floats."""
    p = problem
    constants: dict[str, NDArray[Any]]
    if p.task.kind == "int32":
        operator, constants = "ConvInteger", {"w": p.weight}
    elif p.task.kind == "uint8":
        operator = "QLinearConv"
        zero, zeros = np.zeros((), np.uint8), np.zeros(p.layer.filters, np.int8)
        constants = {"x_scale": np.array(p.x_scale), "x_zero": zero}
        constants |= {"w": p.weight, "w_scale": p.w_scale, "w_zero": zeros}
        constants |= {"y_scale": np.array(p.y_scale), "y_zero": zero}
    else:
        return None
    return prepare_session(node_model(operator, p.layer, p.image, constants, p.out), p.image, p.out, p.threads)


CONTESTANT = NarrowConvolver("ORT", "onnxruntime", prepare)
