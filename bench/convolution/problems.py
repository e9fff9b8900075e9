"""What the convolution's contestants are given, the right answers, and how far from them a float32 result may be."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .layers import Layer

Layout = Literal["NCHW", "NHWC"]
"""Where the channels stand, before or behind the spatial axes, however many these are."""

_BLOCK_ELEMENTS = 1 << 17


@dataclass(frozen=True)
class Problem:
    """A layer with its data.

    Parameters
    ----------
    layer : Layer
    layout : {"NCHW", "NHWC"}
        Of image and result.
    image : ndarray of float32
        Contiguous.
    weight : ndarray of float32, (filters, channels of a group, *kernel)
    out : ndarray of float32
        Where the result belongs, if the library can write where it is told; contiguous, every page of it touched.
    threads : int
    """

    layer: Layer
    layout: Layout
    image: NDArray[np.float32]
    weight: NDArray[np.float32]
    out: NDArray[np.float32]
    threads: int

    def in_two_dimensions(self) -> Problem:
        """Return a one-dimensional problem as one of height 1 that views the same arrays; others as they are."""
        layer = self.layer
        if len(layer.spatial) > 1:
            return self
        axis = self.layout.index("H")
        return replace(
            self,
            layer=replace(
                layer,
                spatial=(1, *layer.spatial),
                kernel=(1, *layer.kernel),
                stride=(1, *layer.stride),
                padding=(0, *layer.padding),
                dilation=(1, *layer.dilation),
            ),
            image=np.expand_dims(self.image, axis),
            weight=np.expand_dims(self.weight, 2),
            out=np.expand_dims(self.out, axis),
        )


def make_problem(layer: Layer, layout: Layout, threads: int) -> Problem:
    """Return a layer with numbers from -1 to 1, the same ones in every process.

    Parameters
    ----------
    layer : Layer
    layout : {"NCHW", "NHWC"}
    threads : int

    Returns
    -------
    Problem
        Its `out` holds NaN.
    """
    image, weight = _operands(layer)
    out = np.full(layer.output_shape, np.nan, np.float32)
    if layout == "NHWC":
        image, out = (np.ascontiguousarray(np.moveaxis(array, 1, -1)) for array in (image, out))
    return Problem(layer, layout, image, weight, out, threads)


def _operands(layer: Layer) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    image, weight = (2 * rng.random(shape, np.float32) - 1 for shape in (layer.image_shape, layer.weight_shape))
    return image, weight


def answer(layer: Layer) -> NDArray[np.float64]:
    """Return the convolution in float64, by its definition: one product of matrices a tap.

    Parameters
    ----------
    layer : Layer

    Returns
    -------
    ndarray, NCHW
    """
    image, weight = _operands(layer)
    padded = np.pad(image, [(0, 0), (0, 0), *((p, p) for p in layer.padding)])
    padded = padded.reshape(layer.batch, layer.groups, -1, *layer.padded_spatial)
    filters = weight.astype(np.float64).reshape(layer.groups, -1, *layer.weight_shape[1:])
    result = np.zeros((layer.batch, layer.groups, layer.filters // layer.groups, *layer.output_spatial))
    rows = layer.output_spatial[0]
    # Blocks that the caches hold: a large image would be read from memory once a tap.
    maps = layer.batch * max(layer.channels, layer.filters)
    block = max(1, _BLOCK_ELEMENTS * rows // (maps * math.prod(layer.output_spatial)))
    for first in range(0, rows, block):
        part = result[:, :, :, first : first + block]
        for tap in np.ndindex(layer.kernel):
            starts = [t * d for t, d in zip(tap, layer.dilation, strict=True)]
            starts[0] += first * layer.stride[0]
            stops = (a + s * n for a, s, n in zip(starts, layer.stride, part.shape[3:], strict=True))
            pixels = tuple(map(slice, starts, stops, layer.stride))
            seen = padded[:, :, :, *pixels].astype(np.float64)
            product = np.ascontiguousarray(filters[:, :, :, *tap]) @ seen.reshape(*seen.shape[:3], -1)
            part += product.reshape(part.shape)
    return result.reshape(layer.output_shape)


def tolerance(layer: Layer) -> float:
    """Return how far an element may be from the right answer.

    Rounding errors of a sum of n terms add up like a random walk: to √n times the unit of rounding, times the sum of
    the terms' sizes (N. J. Higham and T. Mary, "A new approach to probabilistic rounding error analysis", 2019). That
    sum is at most n, as all operands lie within ±1. A tap that is missed or misplaced goes beyond it in many elements.
    """
    return math.sqrt(layer.terms) * float(np.finfo(np.float32).eps) * layer.terms


def complaint(problem: Problem, result: NDArray[np.float32], right: NDArray[np.float64]) -> str | None:
    """Return what is wrong with a result, if anything.

    Parameters
    ----------
    problem : Problem
    result : ndarray
        In the problem's layout.
    right : ndarray of float64
        The answer, NCHW.
    """
    if result.shape != problem.out.shape:
        return f"its shape is {result.shape} instead of {problem.out.shape}"
    channels_first = result if problem.layout == "NCHW" else np.moveaxis(result, -1, 1)
    allowed = tolerance(problem.layer)
    wrong, worst = 0, 0.0
    # One map at a time: a whole array of float64 errors would be the largest thing in the process.
    for index in np.ndindex(right.shape[:2]):
        errors = np.abs(channels_first[index] - right[index])
        wrong += int(np.count_nonzero(~(errors <= allowed)))
        worst = float(np.maximum(worst, errors.max()))  # NaN is the worst
    if wrong:
        return f"{wrong} of {right.size} elements are off by more than {allowed:.1e}, the worst by {worst:.1e}"
    return None
