"""A transposed convolution as an OpenVINO model of one node, as two contestants call it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..convolution.openvino_request import model_in_layout, prepare_request
from .problems import TRANSPOSE

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from .problems import Problem


def prepare(problem: Problem) -> Callable[[], NDArray[np.float32]] | None:
    """Compile the model for the layout of the problem; None for gradients and for groups."""
    layer = problem.layer
    if problem.task.kind != TRANSPOSE or layer.groups > 1:
        return None
    from openvino import opset13 as operators

    image = operators.parameter(layer.output_shape, np.float32)
    result = operators.convolution_backprop_data(
        image,
        operators.constant(problem.weight),
        strides=list(layer.stride),
        pads_begin=list(layer.padding),
        pads_end=list(layer.padding),
        dilations=list(layer.dilation),
        output_padding=list(problem.output_padding),
    )
    model = model_in_layout(result, image, problem.layout)
    return prepare_request(model, problem.grad, problem.out, problem.threads)
