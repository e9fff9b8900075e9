"""A quantized layer as an OpenVINO model, as two contestants call it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..convolution.openvino_request import prepare_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from .problems import Problem


def prepare(problem: Problem) -> Callable[[], NDArray[Any]] | None:
    """Compile the model for the layout of the problem; None for groups, and for results of other types than uint8.

    Image and weights are scaled to floats, convolved, and quantized: the compiler merges all of it into one convolution
    of 8-bit integers. With channels last it does so only if the image is scaled before its axes move.
    """
    layer = problem.layer
    if problem.task.kind != "uint8" or layer.groups > 1:
        return None
    import openvino
    from openvino import opset13 as operators

    last = [0, *range(2, problem.image.ndim), 1]
    is_last = problem.layout == "NHWC"
    image = operators.parameter(problem.image.shape, np.uint8)

    def scaled(node: Any, scale: Any) -> Any:
        return operators.multiply(operators.convert(node, np.float32), operators.constant(np.array(scale)))

    pixels = scaled(image, problem.x_scale)
    weight = scaled(operators.constant(problem.weight), problem.w_scale.reshape(-1, 1, *(1,) * len(layer.kernel)))
    window = (layer.stride, layer.padding, layer.padding, layer.dilation)
    if is_last:
        pixels = operators.transpose(pixels, operators.constant(np.argsort(last)))
    sums = operators.convolution(pixels, weight, *map(list, window))
    steps = np.float32(255)
    ends = (np.float32(end).reshape((1,) * problem.image.ndim) for end in (0, steps * problem.y_scale, 0, steps))
    result = operators.convert(operators.fake_quantize(sums, *map(operators.constant, ends), 256), np.uint8)
    if is_last:
        result = operators.transpose(result, operators.constant(last))
    return prepare_request(openvino.Model([result], [image]), problem.image, problem.out, problem.threads)
