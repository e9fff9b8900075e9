"""OpenCV: a network of one layer, read from an ONNX model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..contestant import Convolver
from ..onnx_model import onnx_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..problems import Problem


def prepare(problem: Problem) -> Callable[[], NDArray[np.float32]]:
    """Load the model and hand it the image; a forward pass allocates its result."""
    import cv2

    cv2.setNumThreads(problem.threads)
    flat = problem.in_two_dimensions()
    net = cv2.dnn.readNetFromONNX(np.frombuffer(onnx_model(flat), np.uint8))
    net.enableWinograd(False)
    net.setInput(flat.image)
    return lambda: np.asarray(net.forward()).reshape(problem.out.shape)


CONTESTANT = Convolver("OpenCV dnn", "opencv-python-headless", prepare, copies_image=True)
