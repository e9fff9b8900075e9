"""A layer as an OpenVINO model of one node, as two contestants call it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .openvino_request import model_in_layout, prepare_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from .problems import Problem


def prepare(problem: Problem) -> Callable[[], NDArray[np.float32]]:
    """Compile the model for the layout of the problem, whose own arrays it reads and writes."""
    from openvino import opset13 as operators

    layer = problem.layer
    window = (layer.stride, layer.padding, layer.padding, layer.dilation)
    image = operators.parameter(layer.image_shape, np.float32)
    if layer.groups == 1:
        result = operators.convolution(image, operators.constant(problem.weight), *map(list, window))
    else:
        weight = problem.weight.reshape(layer.groups, -1, *problem.weight.shape[1:])
        result = operators.group_convolution(image, operators.constant(weight), *map(list, window))
    model = model_in_layout(result, image, problem.layout)
    return prepare_request(model, problem.image, problem.out, problem.threads)
