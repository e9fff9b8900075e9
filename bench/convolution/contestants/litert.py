"""LiteRT, which was TensorFlow Lite: a model of one layer, through XNNPACK, channels last."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..contestant import Convolver
from ..tflite_model import tflite_model

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from ..problems import Problem

_MOST_BYTES = 2 << 30


def prepare(problem: Problem) -> Callable[[], NDArray[np.float32]] | None:
    """Load the model and write the image into its tensor; the result is a view of its other tensor.

    XNNPACK has no groups in three dimensions, and it keeps the address of each pixel that a position reads: None where
    these would take more than 2 GiB.
    """
    layer = problem.layer
    addresses = layer.batch * math.prod((*layer.output_spatial, *layer.kernel))
    if (layer.groups > 1 and len(layer.spatial) == 3) or 8 * addresses > _MOST_BYTES:
        return None
    from ai_edge_litert.interpreter import Interpreter

    flat = problem.in_two_dimensions()
    interpreter = Interpreter(model_content=tflite_model(flat), num_threads=problem.threads)
    interpreter.allocate_tensors()
    image, result = (
        interpreter.tensor(ends[0]["index"])
        for ends in (interpreter.get_input_details(), interpreter.get_output_details())
    )
    image()[...] = flat.image

    def call() -> NDArray[np.float32]:
        interpreter.invoke()
        array: NDArray[np.float32] = result().reshape(problem.out.shape)
        return array

    return call


CONTESTANT = Convolver("LiteRT", "ai-edge-litert", prepare, layout="NHWC", copies_image=True)
