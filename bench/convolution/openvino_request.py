"""An OpenVINO model of one image and one result, bound to both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..contestants import Layout


def model_in_layout(result: Any, parameter: Any, layout: Layout) -> Any:
    """Return a model whose image and result have a layout; the nodes have the channels first."""
    import openvino

    model = openvino.Model([result], [parameter])
    if layout == "NCHW":
        return model
    axes = "DHW"[-(len(parameter.shape) - 2) :]
    steps = openvino.preprocess.PrePostProcessor(model)
    for end in (steps.input(), steps.output()):
        end.tensor().set_layout(openvino.Layout(f"N{axes}C"))
        end.model().set_layout(openvino.Layout(f"NC{axes}"))
    return steps.build()


def prepare_request(model: Any, image: NDArray[Any], out: NDArray[Any], threads: int) -> Callable[[], NDArray[Any]]:
    """Compile a model; the request reads `image` and writes `out`."""
    import openvino

    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16 where the CPU has it
        "ENABLE_CPU_PINNING": False,  # the process is pinned
    }
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    request.set_input_tensor(openvino.Tensor(image, shared_memory=True))
    request.set_output_tensor(openvino.Tensor(out, shared_memory=True))
    arrays = image, out  # the request knows only where they are, so the call keeps them

    def call() -> NDArray[Any]:
        request.infer()
        return arrays[1]

    return call
