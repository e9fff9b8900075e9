"""ONNX Runtime: a model of one node, bound to image and result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...contestants import Contestant
from ...convolution.onnx_session import prepare_session

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..problems import Problem


def prepare(problem: Problem) -> Callable[[], NDArray[Any]]:
    """Make the model, and load it."""
    from onnx import TensorProto, helper

    layer, kind = problem.layer, "Max" if problem.layer.kind == "max" else "Average"
    if layer.is_whole:
        node = helper.make_node(f"Global{kind}Pool", ["x"], ["y"])
    else:
        options: dict[str, Any] = {"kernel_shape": layer.kernel, "strides": layer.stride, "pads": layer.padding * 2}
        if kind == "Average":
            options["count_include_pad"] = 1
        node = helper.make_node(f"{kind}Pool", ["x"], ["y"], **options)
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape)
        for name, array in (("x", problem.first), ("y", problem.answer))
    )
    model = helper.make_model(
        helper.make_graph([node], "pool", [x], [y]), opset_imports=[helper.make_opsetid("", 13)], ir_version=8
    )
    out = problem.answer.astype(np.float32)
    return prepare_session(model.SerializeToString(), problem.first, out, problem.threads)


CONTESTANT = Contestant("ONNX Runtime", "onnxruntime", prepare)
