"""An ONNX model in ONNX Runtime, bound to image and result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def prepare_session(model: bytes, image: NDArray[Any], out: NDArray[Any], threads: int) -> Callable[[], NDArray[Any]]:
    """Load a model; the session reads its x from `image` and writes its y into `out`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_input("x", "cpu", 0, image.dtype, image.shape, image.ctypes.data)
    binding.bind_output("y", "cpu", 0, out.dtype, out.shape, out.ctypes.data)
    arrays = image, out  # the session knows only where they are, so the call keeps them

    def call() -> NDArray[Any]:
        session.run_with_iobinding(binding)
        return arrays[1]

    return call
