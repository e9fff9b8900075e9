"""The pools of real networks, and what is asked of every contestant."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

_TOLERANCE = 1e-5
"""Of the greatest result."""


@dataclass(frozen=True)
class Layer:
    """A pool of a network.

    Parameters
    ----------
    name : str
        What tables call it.
    kind : {"max", "average"}
    channels : int
    image : tuple of int
        The spatial shape; one image.
    kernel, stride, padding : tuple of int
        Along each axis; the same padding before and behind, which means count.
    """

    name: str
    kind: Literal["max", "average"]
    channels: int
    image: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]

    @property
    def is_whole(self) -> bool:
        """Whether there is one window, which is the image."""
        return self.kernel == self.image and not any(self.padding)

    def miniature(self) -> Layer:
        """Return the same with three channels."""
        return replace(self, channels=3)


def _layer(
    name: str,
    kind: Literal["max", "average"],
    channels: int,
    image: tuple[int, ...],
    kernel: int,
    stride: int,
    pad: int,
) -> Layer:
    """Return a layer whose axes are alike."""
    k = len(image)
    return Layer(name, kind, channels, image, (kernel,) * k, (stride,) * k, (pad,) * k)


LAYERS = (
    _layer("resnet50 stem", "max", 64, (112, 112), 3, 2, 1),
    _layer("resnet50 head", "average", 2048, (7, 7), 7, 1, 0),
    *(
        _layer(f"vgg16 {i}", "max", channels, (side, side), 2, 2, 0)
        for i, (channels, side) in enumerate(((64, 224), (128, 112), (256, 56), (512, 28), (512, 14)), 1)
    ),
    _layer("inception3 stem 1", "max", 64, (147, 147), 3, 2, 0),
    _layer("inception3 stem 2", "max", 192, (71, 71), 3, 2, 0),
    _layer("inception3 35", "average", 192, (35, 35), 3, 1, 1),
    _layer("inception3 17", "average", 768, (17, 17), 3, 1, 1),
    _layer("inception3 8", "average", 1280, (8, 8), 3, 1, 1),
    _layer("inception3 head", "average", 2048, (8, 8), 8, 1, 0),
    _layer("inception1 14", "max", 480, (14, 14), 3, 1, 1),
    _layer("densenet121 transition", "average", 128, (56, 56), 2, 2, 0),
    *(_layer(f"yolo spp {k}", "max", 512, (20, 20), k, 1, k // 2) for k in (5, 9, 13)),
    _layer("signal max", "max", 64, (16000,), 4, 4, 0),
    _layer("signal average", "average", 256, (2000,), 3, 2, 1),
    Layer("c3d 1", "max", 64, (16, 112, 112), (1, 2, 2), (1, 2, 2), (0, 0, 0)),
    _layer("c3d 2", "max", 128, (16, 56, 56), 2, 2, 0),
    _layer("i3d", "max", 192, (8, 28, 28), 3, 1, 1),
)
"""ResNet-50, VGG-16, Inception-v1 and -v3, DenseNet-121, YOLO's spatial pyramid, signals, C3D, I3D."""


@dataclass(frozen=True)
class Problem:
    """A pool of one image of float32; `answer` is the right result, channels first.

    Parameters
    ----------
    layer : Layer
    first, last : ndarray of float32
        The image, (1, C, *spatial) and (1, *spatial, C).
    answer : ndarray of float64
    threads : int
    """

    layer: Layer
    first: Array
    last: Array
    answer: NDArray[np.float64]
    threads: int

    def complaint(self, result: Array) -> str | None:
        """Return what is wrong with a result, channels first or last, if anything."""
        if result.shape != self.answer.shape:
            result = np.moveaxis(result, -1, 1)
        off = float(np.abs(result - self.answer).max() / np.abs(self.answer).max())
        return None if off <= _TOLERANCE else f"off by {off:.1e} of the greatest result"


def make_problem(layer: Layer, threads: int) -> Problem:
    """Return a problem, whose answer is made tap by tap in float64."""
    first = np.random.default_rng(0).standard_normal((1, layer.channels, *layer.image), np.float32)
    fill = -math.inf if layer.kind == "max" else 0.0
    padded = np.pad(first.astype(float), [(0, 0), (0, 0), *((p, p) for p in layer.padding)], constant_values=fill)
    answer = None
    shape = [(n - k) // s + 1 for n, k, s in zip(padded.shape[2:], layer.kernel, layer.stride, strict=True)]
    for tap in np.ndindex(*layer.kernel):
        each = zip(tap, shape, layer.stride, strict=True)
        at: Any = (..., *(slice(t, t + (n - 1) * s + 1, s) for t, n, s in each))
        part = padded[at]
        join = np.maximum if layer.kind == "max" else np.add
        answer = part.copy() if answer is None else join(answer, part, out=answer)
    if answer is None:
        raise ValueError("a window has a tap")
    if layer.kind == "average":
        answer /= math.prod(layer.kernel)
    return Problem(layer, first, np.ascontiguousarray(np.moveaxis(first, 1, -1)), answer, threads)
