"""What is asked of a layer, what the contestants are given, and the right answers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..convolution.layers import read_layers
from ..convolution.problems import (
    arranged,
    blocks,
    channels_first,
    filters_by_tap,
    off,
    padded_by_group,
    tolerance,
    uniform,
)
from ..tasks import Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..contestants import Layout
    from ..convolution.layers import Layer

MORE_LAYERS = Path(__file__).with_name("layers.tsv")
"""Heads of few filters, and patch embeddings; and convolutions of which a network's layer is the transpose, and which
have that layer's result as their image."""

GRADIENTS = ("dx", "dw")
TRANSPOSE = "transpose"
KINDS = (*GRADIENTS, TRANSPOSE)
"""The gradient of the image, the gradient of the weights, and the transposed convolution."""

_NETWORKS = {"resnet50", "vgg16"}
_CONVOLUTIONS = {"head", "patch"}
"""Classes of `MORE_LAYERS` of which the gradients are asked; of all others, the transpose."""


@dataclass(frozen=True)
class Problem:
    """A task with its data: a convolution's three arrays, of which one is sought and holds NaN.

    Parameters
    ----------
    task : Task
    layout : {"NCHW", "NHWC"}
        Of `image` and `grad`.
    image : ndarray of float32
        Contiguous, as all are.
    weight : ndarray of float32, (filters, channels of a group, *kernel)
    grad : ndarray of float32
        The gradient of the convolution's result; the image of the transposed convolution.
    threads : int
    """

    task: Task
    layout: Layout
    image: NDArray[np.float32]
    weight: NDArray[np.float32]
    grad: NDArray[np.float32]
    threads: int

    @property
    def layer(self) -> Layer:
        """The convolution."""
        return self.task.layer

    @property
    def out(self) -> NDArray[np.float32]:
        """What is sought, where the result belongs, if the library can write where it is told."""
        return self.weight if self.task.kind == "dw" else self.image

    @property
    def output_padding(self) -> tuple[int, ...]:
        """Pixels behind the last window, which the transpose must be told of."""
        layer = self.layer
        axes = zip(layer.padded_spatial, layer.kernel, layer.stride, layer.dilation, strict=True)
        return tuple((n - d * (k - 1) - 1) % s for n, k, s, d in axes)

    def complaint(self, result: NDArray[np.float32], right: NDArray[np.float64]) -> str | None:
        """Return what is wrong with a result, if anything; the right one is NCHW."""
        if result.shape != self.out.shape:
            return f"its shape is {result.shape} instead of {self.out.shape}"
        allowed = tolerance(_terms(self.task))
        if self.task.kind == "dw":
            rows = (1, self.layer.filters, -1)
            return off(result.reshape(rows), right.reshape(rows), allowed)
        return off(channels_first(result, self.layout), right, allowed)


def tasks() -> list[Task]:
    """Return all tasks: gradients of ResNet-50's and VGG-16's layers, of heads and patches, and transposed layers."""
    more = read_layers(MORE_LAYERS)
    layers = [layer for layer in read_layers() if _NETWORKS.intersection(layer.tags)]
    layers += [layer for layer in more if layer.kind in _CONVOLUTIONS]
    return [
        *(Task(layer, kind) for layer in layers for kind in GRADIENTS),
        *(Task(layer, TRANSPOSE) for layer in more if layer.kind not in _CONVOLUTIONS),
    ]


def make_problem(task: Task, layout: Layout, threads: int) -> Problem:
    """Return a task with numbers from -1 to 1, the same ones in every process.

    Parameters
    ----------
    task : Task
    layout : {"NCHW", "NHWC"}
    threads : int

    Returns
    -------
    Problem
    """
    image, weight, grad = _operands(task)
    problem = Problem(task, layout, arranged(image, layout), weight, arranged(grad, layout), threads)
    problem.out.fill(np.nan)
    return problem


def _operands(task: Task) -> list[NDArray[np.float32]]:
    layer = task.layer
    return uniform(layer.image_shape, layer.weight_shape, layer.output_shape)


def answer(task: Task) -> NDArray[np.float64]:
    """Return the right result of a task's problem, NCHW."""
    image, weight, grad = _operands(task)
    if task.kind == "dw":
        return weight_gradient(task.layer, image, grad)
    return input_gradient(task.layer, weight, grad)


def input_gradient(layer: Layer, weight: NDArray[Any], grad: NDArray[Any]) -> NDArray[np.float64]:
    """Return the adjoint of a convolution in its image, in float64: each tap gives back what it took.

    Parameters
    ----------
    layer : Layer
    weight, grad : ndarray
        (filters, channels of a group, *kernel), and NCHW.

    Returns
    -------
    ndarray, NCHW
    """
    filters, grads = filters_by_tap(layer, weight), _by_group(layer, grad)
    padded = np.zeros((layer.batch, layer.groups, layer.channels // layer.groups, *layer.padded_spatial))
    for tap, rows, pixels in blocks(layer):
        given = grads[:, :, :, rows].astype(np.float64)
        part = padded[:, :, :, *pixels]
        part += (filters[tap].swapaxes(1, 2) @ given.reshape(*given.shape[:3], -1)).reshape(part.shape)
    inside = (slice(p, p + n) for p, n in zip(layer.padding, layer.spatial, strict=True))
    return padded[:, :, :, *inside].reshape(layer.image_shape)


def weight_gradient(layer: Layer, image: NDArray[Any], grad: NDArray[Any]) -> NDArray[np.float64]:
    """Return the adjoint of a convolution in its weights, in float64: one product of matrices a tap.

    Parameters
    ----------
    layer : Layer
    image, grad : ndarray
        NCHW.

    Returns
    -------
    ndarray, (filters, channels of a group, *kernel)
    """
    padded, grads = padded_by_group(layer, image), _by_group(layer, grad)
    filters, channels, *kernel = layer.weight_shape
    result = np.zeros((*kernel, layer.groups, filters // layer.groups, channels))
    for tap, rows, pixels in blocks(layer):
        given, seen = (part.astype(np.float64) for part in (grads[:, :, :, rows], padded[:, :, :, *pixels]))
        given, seen = (part.reshape(*part.shape[:3], -1) for part in (given, seen))
        result[tap] += (given @ seen.swapaxes(2, 3)).sum(axis=0)
    return np.moveaxis(result, (-3, -2, -1), (0, 1, 2)).reshape(layer.weight_shape)


def _by_group(layer: Layer, grad: NDArray[Any]) -> NDArray[Any]:
    return grad.reshape(layer.batch, layer.groups, -1, *layer.output_spatial)


def _terms(task: Task) -> int:
    """Return the most products in the sum of an element of the result."""
    layer = task.layer
    if task.kind == "dw":
        return layer.batch * math.prod(layer.output_spatial)
    return layer.filters // layer.groups * math.prod(layer.kernel)
