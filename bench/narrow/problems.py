"""What is asked of a layer, what the contestants are given, and how far from the exact answer a result may be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..convolution.layers import read_layers
from ..convolution.problems import arranged, channels_first, convolution, off, tolerance
from ..tasks import Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..contestants import Layout
    from ..convolution.layers import Layer

KINDS = {"int32": 1, "uint8": 1, "bfloat16": 2, "float32": 4}
"""By the result's dtype, with the bytes of each number of image and weights.

The first two multiply uint8 with int8; uint8 scales, rounds and clips the sums, too.
"""

_NETWORKS = {"resnet50", "vgg16"}

_MOST_PIXEL, _MOST_WEIGHT = 255, 63
"""Weights of 7 bits: where a CPU lacks the instruction, libraries add two products of 8 bits in 16 bits."""

_X_SCALE = np.float32(0.02)
_ROUNDING = 0.501
"""Half a step, and what float32 factors may add."""


@dataclass(frozen=True)
class Problem:
    """A task with its data: integers, which each kind represents exactly.

    Parameters
    ----------
    task : Task
    layout : {"NCHW", "NHWC"}
        Of image and result.
    image : ndarray
        Contiguous, as all are: uint8, float32, or the bits of bfloat16 as uint16, which NumPy does not know.
    weight : ndarray, (filters, channels of a group, *kernel)
        int8, float32, or bits.
    out : ndarray
        Where the result belongs, if the library can write where it is told: int32, uint8, float32, or bits.
    threads : int
    """

    task: Task
    layout: Layout
    image: NDArray[Any]
    weight: NDArray[Any]
    out: NDArray[Any]
    threads: int

    @property
    def layer(self) -> Layer:
        """The convolution."""
        return self.task.layer

    @property
    def x_scale(self) -> np.float32:
        """What a step of the image stands for, where the result is uint8. All zero points are 0, as after a ReLU."""
        return _X_SCALE

    @property
    def w_scale(self) -> NDArray[np.float32]:
        """What a step of each filter stands for."""
        return np.linspace(0.01, 0.02, self.layer.filters, dtype=np.float32)

    @property
    def y_scale(self) -> np.float32:
        """What a step of the result stands for: so much that about 1 % of the sums are clipped above."""
        deviation = math.sqrt(self.layer.terms / 9) * _MOST_PIXEL * _MOST_WEIGHT
        return np.float32(2.5 * deviation * self.x_scale * self.w_scale.mean() / _MOST_PIXEL)

    def complaint(self, result: NDArray[Any], right: NDArray[np.float64]) -> str | None:
        """Return what is wrong with a result, if anything; the right one has the exact sums, NCHW."""
        if (result.shape, result.dtype) != (self.out.shape, self.out.dtype):
            return f"it is {result.dtype} {result.shape} instead of {self.out.dtype} {self.out.shape}"
        ours = channels_first(result, self.layout)
        if self.task.kind == "int32":
            return off(ours, right, 0)
        if self.task.kind == "uint8":
            factor = (self.x_scale.astype(float) * self.w_scale / self.y_scale).reshape(-1, *(1,) * (right.ndim - 2))
            return off(ours, np.clip(right * factor, 0, _MOST_PIXEL), _ROUNDING)
        allowed = _MOST_PIXEL * _MOST_WEIGHT * tolerance(self.layer.terms)
        if self.task.kind == "bfloat16":
            return off(from_bits(ours), right, allowed, relative=2**-8)
        return off(ours, right, allowed)


def tasks() -> list[Task]:
    """Return all tasks: each kind of each of ResNet-50's and VGG-16's layers."""
    layers = [layer for layer in read_layers() if _NETWORKS.intersection(layer.tags)]
    return [Task(layer, kind, itemsize) for layer in layers for kind, itemsize in KINDS.items()]


def make_problem(task: Task, layout: Layout, threads: int) -> Problem:
    """Return a task with its numbers, the same ones in every process.

    Parameters
    ----------
    task : Task
    layout : {"NCHW", "NHWC"}
    threads : int

    Returns
    -------
    Problem
        Every bit of its `out` is set, which is NaN in floats and elsewhere unlikely.
    """
    layer = task.layer
    image, weight = _operands(layer)
    dtype = np.dtype(np.uint16 if task.kind == "bfloat16" else task.kind)
    out = np.full((*layer.output_shape, dtype.itemsize), 255, np.uint8).view(dtype)[..., 0]
    if task.kind == "bfloat16":
        image, weight = to_bits(image), to_bits(weight)
    elif task.kind == "float32":
        image, weight = image.astype(np.float32), weight.astype(np.float32)
    return Problem(task, layout, arranged(image, layout), weight, arranged(out, layout), threads)


def _operands(layer: Layer) -> tuple[NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(0)
    image = rng.integers(0, _MOST_PIXEL, layer.image_shape, np.uint8, endpoint=True)
    weight = rng.integers(-_MOST_WEIGHT, _MOST_WEIGHT, layer.weight_shape, np.int8, endpoint=True)
    return image, weight


def answer(task: Task) -> NDArray[np.float64]:
    """Return the exact sums of a task's problem, NCHW: float64 holds integers up to 2^53."""
    return convolution(task.layer, *_operands(task.layer))


def to_bits(integers: NDArray[Any]) -> NDArray[np.uint16]:
    """Return integers of at most 8 bits as bfloat16's bits, the upper half of float32's."""
    return (integers.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)


def from_bits(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return the numbers that bfloat16's bits stand for."""
    return (bits.astype(np.uint32) << 16).view(np.float32)
