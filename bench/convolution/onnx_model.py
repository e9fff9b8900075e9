"""A layer as an ONNX model of one node."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .problems import Problem

_OPERATOR_SET, _FORMAT = 17, 8
"""Old enough for every library that reads it."""


def onnx_model(problem: Problem) -> bytes:
    """Return the model; its image is called x, its result y."""
    from onnx import TensorProto, helper, numpy_helper

    layer = problem.layer
    node = helper.make_node(
        "Conv",
        ["x", "w"],
        ["y"],
        kernel_shape=layer.kernel,
        strides=layer.stride,
        pads=layer.padding * 2,
        dilations=layer.dilation,
        group=layer.groups,
    )
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", layer.image_shape), ("y", layer.output_shape))
    )
    graph = helper.make_graph([node], "layer", [x], [y], [numpy_helper.from_array(problem.weight, "w")])
    operators = helper.make_opsetid("", _OPERATOR_SET)
    model: bytes = helper.make_model(graph, opset_imports=[operators], ir_version=_FORMAT).SerializeToString()
    return model
