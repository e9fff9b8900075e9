"""ONNX Runtime: a model of one node, bound to image and result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..contestant import Convolver
from ..onnx_model import onnx_model
from ..onnx_session import prepare_session

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from ..problems import Problem


def prepare(problem: Problem) -> Callable[[], NDArray[np.float32]]:
    """Load the model; the session reads and writes the problem's own arrays."""
    return prepare_session(onnx_model(problem), problem.image, problem.out, problem.threads)


CONTESTANT = Convolver("ORT", "onnxruntime", prepare)
