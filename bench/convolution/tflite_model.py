"""A layer as a TFLite model: a convolution, and before it a padding where there is one.

The flatbuffer is written with the schema's classes that LiteRT brings along, so nothing larger is needed to make it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .layers import Layer
    from .problems import Problem


def tflite_model(problem: Problem) -> bytes:
    """Return the model of a problem with channels last, in two or three dimensions.

    The format has no padding by so many pixels, only a kind of ``"same"`` that differs from it with strides; delegates
    merge the padding into the convolution.
    """
    model = _Model()
    layer = problem.layer
    source = image = model.tensor(problem.image.shape)
    if any(layer.padding):
        pads = [(0, 0), *((p, p) for p in layer.padding), (0, 0)]
        padded = (layer.batch, *layer.padded_spatial, layer.channels)
        source = model.operator("PAD", [image, model.constant(np.array(pads, np.int32))], padded, "PadOptions")
    code, options, weight = _convolution(layer, problem.weight)
    bias = np.zeros(layer.filters, np.float32)
    inputs = [source, model.constant(weight), model.constant(bias)]
    result = model.operator(code, inputs, problem.out.shape, f"{options}Options", **_window(layer))
    return model.finish(image, result)


def _convolution(layer: Layer, weight: NDArray[np.float32]) -> tuple[str, str, NDArray[np.float32]]:
    """Return the operator, the class of its options, and the weights in its order."""
    if layer.is_depthwise:
        return "DEPTHWISE_CONV_2D", "DepthwiseConv2D", np.moveaxis(weight, 0, -1).reshape(1, *layer.kernel, -1)
    if len(layer.spatial) == 3:
        return "CONV_3D", "Conv3D", np.moveaxis(weight, (0, 1), (-1, -2))
    return "CONV_2D", "Conv2D", np.moveaxis(weight, 1, -1)


def _window(layer: Layer) -> dict[str, int]:
    axes = "DHW"[-len(layer.spatial) :]
    strides = {f"stride{axis}": n for axis, n in zip(axes, layer.stride, strict=True)}
    dilations = {f"dilation{axis}Factor": n for axis, n in zip(axes, layer.dilation, strict=True)}
    return {**strides, **dilations, **({"depthMultiplier": 1} if layer.is_depthwise else {})}


class _Model:
    """One subgraph, its tensors and its operators."""

    def __init__(self) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._schema = schema
        self._model = schema.ModelT()
        self._graph = schema.SubGraphT()
        self._model.version = 3
        self._model.buffers = [schema.BufferT()]  # the first one stands for no data
        self._model.operatorCodes = []
        self._model.subgraphs = [self._graph]
        self._graph.tensors, self._graph.operators = [], []

    def tensor(self, shape: Sequence[int], dtype: str = "FLOAT32", buffer: int = 0) -> int:
        """Add a tensor and return its number."""
        tensor = self._schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = list(shape), getattr(self._schema.TensorType, dtype), buffer
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def constant(self, array: NDArray[Any]) -> int:
        """Add a tensor that has its data in the model, and return its number."""
        buffer = self._schema.BufferT()
        buffer.data = np.frombuffer(array.tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        return self.tensor(array.shape, array.dtype.name.upper(), len(self._model.buffers) - 1)

    def operator(self, code: str, inputs: list[int], shape: Sequence[int], options: str, **fields: int) -> int:
        """Add an operator that leaves out whatever window reaches beyond the image; return its result's number."""
        schema = self._schema
        kind = schema.OperatorCodeT()
        kind.builtinCode = getattr(schema.BuiltinOperator, code)
        kind.deprecatedBuiltinCode = min(kind.builtinCode, 127)  # of one byte, for old readers
        kind.version = 1
        self._model.operatorCodes.append(kind)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self._model.operatorCodes) - 1
        operator.inputs, operator.outputs = inputs, [self.tensor(shape)]
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
        operator.builtinOptions = getattr(schema, f"{options}T")()
        if fields:
            operator.builtinOptions.padding = schema.Padding.VALID
            vars(operator.builtinOptions).update(fields)
        self._graph.operators.append(operator)
        return int(operator.outputs[0])

    def finish(self, image: int, result: int) -> bytes:
        """Return the flatbuffer."""
        import flatbuffers

        self._graph.inputs, self._graph.outputs = [image], [result]
        builder = flatbuffers.Builder()
        builder.Finish(self._model.Pack(builder), b"TFL3")
        return bytes(builder.Output())
