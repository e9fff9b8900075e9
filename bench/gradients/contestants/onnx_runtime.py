"""ONNX Runtime: a model of one transposed convolution, bound to image and result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...convolution.onnx_model import node_model
from ...convolution.onnx_session import prepare_session
from ..contestant import Differentiator
from ..problems import TRANSPOSE

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from ..problems import Problem


def prepare(problem: Problem) -> Callable[[], NDArray[np.float32]] | None:
    """Load the model; None for gradients."""
    if problem.task.kind != TRANSPOSE:
        return None
    x, weights = problem.grad, {"w": problem.weight}
    padding = {"output_padding": problem.output_padding}
    model = node_model("ConvTranspose", problem.layer, x, weights, problem.out, **padding)
    return prepare_session(model, x, problem.out, problem.threads)


CONTESTANT = Differentiator("ORT", "onnxruntime", prepare)
