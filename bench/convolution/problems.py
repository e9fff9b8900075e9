"""What the convolution's contestants are given, the right answers, and how far from them a float32 result may be."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ..contestants import Layout
    from .layers import Layer

T = TypeVar("T", bound=np.generic)
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

    def complaint(self, result: NDArray[np.float32], right: NDArray[np.float64]) -> str | None:
        """Return what is wrong with a result, if anything; the right one is NCHW."""
        if result.shape != self.out.shape:
            return f"its shape is {result.shape} instead of {self.out.shape}"
        return off(channels_first(result, self.layout), right, tolerance(self.layer.terms))

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
    image, weight = uniform(layer.image_shape, layer.weight_shape)
    out = np.full(layer.output_shape, np.nan, np.float32)
    return Problem(layer, layout, arranged(image, layout), weight, arranged(out, layout), threads)


def uniform(*shapes: tuple[int, ...]) -> list[NDArray[np.float32]]:
    """Return arrays with numbers from -1 to 1, the same ones in every process."""
    rng = np.random.default_rng(0)
    return [2 * rng.random(shape, np.float32) - 1 for shape in shapes]


def arranged(image: NDArray[T], layout: Layout) -> NDArray[T]:
    """Return an NCHW image in a layout, contiguous."""
    return image if layout == "NCHW" else np.ascontiguousarray(np.moveaxis(image, 1, -1))


def channels_first(image: NDArray[T], layout: Layout) -> NDArray[T]:
    """Return a view, NCHW, of an image in a layout."""
    return image if layout == "NCHW" else np.moveaxis(image, -1, 1)


def answer(layer: Layer) -> NDArray[np.float64]:
    """Return the right result of a layer's problem, NCHW."""
    return convolution(layer, *uniform(layer.image_shape, layer.weight_shape))


def convolution(layer: Layer, image: NDArray[Any], weight: NDArray[Any]) -> NDArray[np.float64]:
    """Return the convolution in float64, by its definition: one product of matrices a tap.

    Parameters
    ----------
    layer : Layer
    image, weight : ndarray
        NCHW, and (filters, channels of a group, *kernel).

    Returns
    -------
    ndarray, NCHW
    """
    padded, filters = padded_by_group(layer, image), filters_by_tap(layer, weight)
    result = np.zeros((layer.batch, layer.groups, layer.filters // layer.groups, *layer.output_spatial))
    for tap, rows, pixels in blocks(layer):
        part = result[:, :, :, rows]
        seen = padded[:, :, :, *pixels].astype(np.float64)
        part += (filters[tap] @ seen.reshape(*seen.shape[:3], -1)).reshape(part.shape)
    return result.reshape(layer.output_shape)


def padded_by_group(layer: Layer, image: NDArray[T]) -> NDArray[T]:
    """Return an NCHW image padded, and its channels by group: (N, groups, channels of a group, *spatial)."""
    padded = np.pad(image, [(0, 0), (0, 0), *((p, p) for p in layer.padding)])
    return padded.reshape(layer.batch, layer.groups, -1, *layer.padded_spatial)


def filters_by_tap(layer: Layer, weight: NDArray[Any]) -> NDArray[np.float64]:
    """Return the filters as (*kernel, groups, filters of a group, channels of a group)."""
    filters = weight.astype(np.float64).reshape(layer.groups, -1, *layer.weight_shape[1:])
    return np.ascontiguousarray(np.moveaxis(filters, (0, 1, 2), (-3, -2, -1)))


def blocks(layer: Layer) -> Iterator[tuple[tuple[int, ...], slice, tuple[slice, ...]]]:
    """Yield each tap at each block of positions: the tap, the block's rows, and the pixels of the padded image.

    The caches hold a block: a large image would be read from memory once a tap.
    """
    rows = layer.output_spatial[0]
    maps = layer.batch * max(layer.channels, layer.filters)
    block = max(1, _BLOCK_ELEMENTS * rows // (maps * math.prod(layer.output_spatial)))
    for first in range(0, rows, block):
        counts = (min(block, rows - first), *layer.output_spatial[1:])
        for tap in np.ndindex(layer.kernel):
            starts = [t * d for t, d in zip(tap, layer.dilation, strict=True)]
            starts[0] += first * layer.stride[0]
            stops = (a + s * n for a, s, n in zip(starts, layer.stride, counts, strict=True))
            yield tap, slice(first, first + counts[0]), tuple(map(slice, starts, stops, layer.stride))


def tolerance(terms: int) -> float:
    """Return how far a sum of so many products may be from the right one.

    Rounding errors of a sum of n terms add up like a random walk: to √n times the unit of rounding, times the sum of
    the terms' sizes (N. J. Higham and T. Mary, "A new approach to probabilistic rounding error analysis", 2019). That
    sum is at most n, as all operands lie within ±1. A tap that is missed or misplaced goes beyond it in many elements.
    """
    return math.sqrt(terms) * float(np.finfo(np.float32).eps) * terms


def off(result: NDArray[Any], right: NDArray[np.float64], allowed: float, relative: float = 0.0) -> str | None:
    """Return how many elements are too far from the right ones, if any.

    Parameters
    ----------
    result : ndarray
    right : ndarray of float64
        Of the same shape.
    allowed, relative : float
        How far an element may be off, and by what share of its size in addition.
    """
    wrong, worst = 0, 0.0
    # One map at a time: a whole array of float64 errors would be the largest thing in the process.
    for index in np.ndindex(right.shape[:2]):
        errors = np.abs(result[index] - right[index])
        wrong += int(np.count_nonzero(~(errors <= allowed + relative * np.abs(right[index]))))
        worst = float(np.maximum(worst, errors.max()))  # NaN is the worst
    if wrong:
        return f"{wrong} of {right.size} elements are off by more than {allowed:.1e}, the worst by {worst:.1e}"
    return None
