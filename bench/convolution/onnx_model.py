"""A layer as an ONNX model of one node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .layers import Layer
    from .problems import Problem

_OPERATOR_SET, _FORMAT = 17, 8
"""Old enough for every library that reads it."""


def onnx_model(problem: Problem) -> bytes:
    """Return the model of a convolution; its image is called x, its result y."""
    return node_model("Conv", problem.layer, problem.image, {"w": problem.weight}, problem.out)


def node_model(
    operator: str,
    layer: Layer,
    image: NDArray[Any],
    constants: Mapping[str, NDArray[Any]],
    out: NDArray[Any],
    **attributes: Any,
) -> bytes:
    """Return the model of a node that slides a layer's window.

    Parameters
    ----------
    operator : str
    layer : Layer
    image, out : ndarray
        Of the shape and dtype of the node's first input, x, and of its result, y.
    constants : mapping of str to ndarray
        Its other inputs, in order.
    **attributes
        Of the node, besides the window's.
    """
    from onnx import helper, numpy_helper

    node = helper.make_node(
        operator,
        ["x", *constants],
        ["y"],
        kernel_shape=layer.kernel,
        strides=layer.stride,
        pads=layer.padding * 2,
        dilations=layer.dilation,
        group=layer.groups,
        **attributes,
    )
    x, y = (
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in (("x", image), ("y", out))
    )
    weights = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph([node], "layer", [x], [y], weights)
    operators = helper.make_opsetid("", _OPERATOR_SET)
    model: bytes = helper.make_model(graph, opset_imports=[operators], ir_version=_FORMAT).SerializeToString()
    return model
