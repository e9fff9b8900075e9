"""Quantised layers as TFLite models, written with the schema's classes that LiteRT brings along."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .outcomes import require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]


class Layer(NamedTuple):
    """A convolution of int8, channels last, as TFLite has it.

    Parameters
    ----------
    x : ndarray of int8, (N, H, W, C)
    w : ndarray of int8, (filters, *kernel, C), or (1, *kernel, filters) of a depthwise layer
    bias : ndarray of int32, (filters,)
    scales : (float32, ndarray of float32, float32)
        Of image, filters and result.
    points : (int, int)
        Zero points of image and result.
    stride, dilation : (int, int)
    padding : {"SAME", "VALID"}
    activation : {"NONE", "RELU", "RELU6"}
    depthwise : bool
    """

    x: NDArray[np.int8]
    w: NDArray[np.int8]
    bias: NDArray[np.int32]
    scales: tuple[Any, NDArray[np.float32], Any]
    points: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: str
    activation: str
    depthwise: bool

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """TFLite's rule for either padding."""
        sides = []
        for n, k, s, d in zip(self.x.shape[1:3], self.w.shape[1:3], self.stride, self.dilation, strict=True):
            sides.append(-(-n // s) if self.padding == "SAME" else -(-(n - (k - 1) * d) // s))
        return self.x.shape[0], sides[0], sides[1], len(self.bias)


def model_of(layer: Layer) -> bytes:
    """Return the flatbuffer of one layer."""
    schema, flatbuffers = require("ai_edge_litert.schema_py_generated"), require("flatbuffers")
    graph, model = schema.SubGraphT(), schema.ModelT()
    model.version, model.subgraphs, model.buffers = 3, [graph], [schema.BufferT()]
    graph.tensors = []
    axis = 3 if layer.depthwise else 0

    def tensor(shape: Sequence[int], kind: str, scale: Any, point: Any, data: Array | None = None) -> int:
        made = schema.TensorT()
        made.shape, made.type, made.name = list(shape), getattr(schema.TensorType, kind), f"t{len(graph.tensors)}"
        made.buffer = 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            model.buffers.append(buffer)
            made.buffer = len(model.buffers) - 1
        quantization = schema.QuantizationParametersT()
        quantization.scale = np.atleast_1d(np.asarray(scale, np.float32)).tolist()
        quantization.zeroPoint = [int(point)] * len(quantization.scale)
        quantization.quantizedDimension = axis if data is not None and data.ndim > 1 else 0
        made.quantization = quantization
        graph.tensors.append(made)
        return len(graph.tensors) - 1

    x_scale, w_scale, y_scale = layer.scales
    image = tensor(layer.x.shape, "INT8", x_scale, layer.points[0])
    weights = tensor(layer.w.shape, "INT8", w_scale, 0, layer.w)
    bias = tensor(layer.bias.shape, "INT32", np.float32(x_scale) * w_scale, 0, layer.bias)
    result = tensor(layer.output_shape, "INT8", y_scale, layer.points[1])
    code = schema.OperatorCodeT()
    name = "DEPTHWISE_CONV_2D" if layer.depthwise else "CONV_2D"
    code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
    code.version = 3
    options = schema.DepthwiseConv2DOptionsT() if layer.depthwise else schema.Conv2DOptionsT()
    options.padding = getattr(schema.Padding, layer.padding)
    options.strideH, options.strideW = layer.stride
    options.dilationHFactor, options.dilationWFactor = layer.dilation
    options.fusedActivationFunction = getattr(schema.ActivationFunctionType, layer.activation)
    if layer.depthwise:
        options.depthMultiplier = layer.w.shape[3] // layer.x.shape[3]
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [image, weights, bias], [result]
    operator.builtinOptions = options
    operator.builtinOptionsType = getattr(
        schema.BuiltinOptions, "DepthwiseConv2DOptions" if layer.depthwise else "Conv2DOptions"
    )
    model.operatorCodes, graph.operators = [code], [operator]
    graph.inputs, graph.outputs = [image], [result]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def run(layer: Layer, kernels: str) -> NDArray[np.int8]:
    """Return LiteRT's result by its kernels of a kind: a name of ``OpResolverType``."""
    litert = require("ai_edge_litert.interpreter")
    interpreter = litert.Interpreter(
        model_content=model_of(layer), num_threads=1, experimental_op_resolver_type=litert.OpResolverType[kernels]
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], layer.x)
    interpreter.invoke()
    result: NDArray[np.int8] = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return result
