"""A layer as an ncnn net of one layer, as two contestants call it."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from .problems import Problem

_MAGIC = 7767517
_FLOAT32 = b"\0\0\0\0"


def prepare(problem: Problem, *, winograd: bool) -> Callable[[], NDArray[np.float32]] | None:
    """Load the net; the library knows no batches, and groups in two dimensions only.

    Parameters
    ----------
    problem : Problem
    winograd : bool
        Whether the library may use Winograd's algorithm, as it does by default.
    """
    if problem.layer.batch > 1 or (problem.layer.groups > 1 and len(problem.layer.spatial) > 2):
        return None
    import ncnn

    flat = problem.in_two_dimensions()
    net = ncnn.Net()
    options = net.opt
    options.num_threads = problem.threads
    options.openmp_blocktime = 0
    options.use_vulkan_compute = False
    options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = False
    options.use_bf16_packed = options.use_bf16_storage = False
    options.use_winograd_convolution = winograd
    net.load_param_mem(_parameters(flat))
    with tempfile.NamedTemporaryFile() as file:
        file.write(_FLOAT32 + flat.weight.tobytes())
        file.flush()
        net.load_model(file.name)
    image = ncnn.Mat(flat.image[0])

    def call() -> NDArray[np.float32]:
        extractor = net.create_extractor()
        extractor.input("x", image)
        _, result = extractor.extract("y")
        # A view: the net is asked for a new one each time, as it keeps what it has computed.
        return np.asarray(result).reshape(problem.out.shape)

    return call


def _parameters(problem: Problem) -> str:
    """Return the net as text: parameters are numbered, and those of further axes count from 11 and from 21."""
    layer = problem.layer
    kind = "ConvolutionDepthWise" if layer.groups > 1 else "Convolution3D" if len(layer.spatial) > 2 else "Convolution"
    numbers = {0: layer.filters, 5: 0, 6: problem.weight.size}
    if layer.groups > 1:
        numbers[7] = layer.groups
    for first, values in enumerate((layer.kernel, layer.dilation, layer.stride, layer.padding), start=1):
        for axis, value in enumerate(reversed(values)):
            numbers[10 * axis + first] = value
    words = " ".join(f"{number}={value}" for number, value in numbers.items())
    return f"{_MAGIC}\n2 2\nInput image 0 1 x\n{kind} layer 1 1 x y {words}\n"
