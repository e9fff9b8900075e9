"""ONNX Runtime: a model of one node, bound to image and result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..contestant import Convolver
from ..onnx_model import onnx_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..problems import Problem


def prepare(problem: Problem) -> Callable[[], NDArray[np.float32]]:
    """Load the model; the session reads and writes the problem's own arrays."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = problem.threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(onnx_model(problem), options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_input("x", "cpu", 0, np.float32, problem.image.shape, problem.image.ctypes.data)
    binding.bind_output("y", "cpu", 0, np.float32, problem.out.shape, problem.out.ctypes.data)

    def call() -> NDArray[np.float32]:
        session.run_with_iobinding(binding)
        return problem.out

    return call


CONTESTANT = Convolver("ORT", "onnxruntime", prepare)
