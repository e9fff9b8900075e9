"""A layer as an OpenVINO model of one node, as two contestants call it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from .problems import Problem


def prepare(problem: Problem) -> Callable[[], NDArray[np.float32]]:
    """Compile the model for the layout of the problem, whose own arrays it reads and writes."""
    import openvino
    from openvino import opset13 as operators

    layer = problem.layer
    window = (layer.stride, layer.padding, layer.padding, layer.dilation)
    image = operators.parameter(layer.image_shape, np.float32)
    if layer.groups == 1:
        result = operators.convolution(image, operators.constant(problem.weight), *map(list, window))
    else:
        weight = problem.weight.reshape(layer.groups, -1, *problem.weight.shape[1:])
        result = operators.group_convolution(image, operators.constant(weight), *map(list, window))
    model = openvino.Model([result], [image])
    if problem.layout == "NHWC":
        axes = "DHW"[-len(layer.spatial) :]
        steps = openvino.preprocess.PrePostProcessor(model)
        for end in (steps.input(), steps.output()):
            end.tensor().set_layout(openvino.Layout(f"N{axes}C"))
            end.model().set_layout(openvino.Layout(f"NC{axes}"))
        model = steps.build()
    settings = {
        "INFERENCE_NUM_THREADS": problem.threads,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16 where the CPU has it
        "ENABLE_CPU_PINNING": False,  # the process is pinned
    }
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    request.set_input_tensor(openvino.Tensor(problem.image, shared_memory=True))
    request.set_output_tensor(openvino.Tensor(problem.out, shared_memory=True))

    def call() -> NDArray[np.float32]:
        request.infer()
        return problem.out

    return call
