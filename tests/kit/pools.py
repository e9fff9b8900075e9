"""What pooling should give, by plain loops over windows and pixels, and layers to be pooled."""

from __future__ import annotations

import itertools
import math
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Ints = tuple[int, ...]


class PoolCase(NamedTuple):
    """An image (N, C, *spatial), and how it is pooled."""

    shape: Ints
    kernel: Ints
    stride: Ints
    pads: tuple[tuple[int, int], ...]
    dilation: Ints
    ceil_mode: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """What the public functions are called with."""
        return {
            "kernel_size": self.kernel,
            "stride": self.stride,
            "padding": self.pads,
            "dilation": self.dilation,
            "ceil_mode": self.ceil_mode,
        }

    @property
    def axes(self) -> str:
        """The letters of the spatial axes."""
        return "DHW"[-len(self.kernel) :] if len(self.kernel) < 4 else "ABDHW"[-len(self.kernel) :]


CASES = [
    PoolCase((2, 3, 9, 11), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)),
    PoolCase((1, 5, 8, 10), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)),
    PoolCase((1, 17, 7, 9), (3, 2), (1, 1), ((0, 2), (1, 0)), (1, 1)),
    PoolCase((2, 2, 12, 13), (3, 4), (2, 3), ((1, 0), (2, 3)), (2, 1), ceil_mode=True),
    PoolCase((1, 2, 14, 15), (13, 13), (1, 1), ((6, 6), (6, 6)), (1, 1)),
    PoolCase((1, 9, 16, 12), (8, 7), (2, 2), ((3, 1), (0, 5)), (1, 1), ceil_mode=True),
    PoolCase((1, 1, 5, 6), (1, 2), (3, 5), ((2, 2), (0, 0)), (1, 3)),
    PoolCase((1, 3, 40, 1), (4, 1), (2, 1), ((1, 2), (0, 0)), (1, 1)),
    PoolCase((2, 2, 31, 2), (7, 1), (3, 1), ((3, 0), (0, 0)), (2, 1), ceil_mode=True),
    PoolCase((2, 3, 37), (5,), (2,), ((2, 2),), (1,)),
    PoolCase((1, 16, 40), (9,), (1,), ((4, 4),), (2,)),
    PoolCase((1, 2, 5, 6, 9), (3, 3, 3), (1, 1, 1), ((1, 1), (1, 1), (1, 1)), (1, 1, 1)),
    PoolCase((1, 8, 4, 8, 8), (2, 2, 2), (2, 2, 2), ((0, 0), (0, 0), (0, 0)), (1, 1, 1)),
    PoolCase((1, 2, 3, 3, 4, 5), (2, 1, 2, 3), (1, 2, 2, 2), ((0, 0), (0, 0), (1, 1), (1, 1)), (1, 1, 1, 1)),
]
"""Strides below, at and above the window; windows joined once and twice; one to four axes; wide, narrow,
and narrower than a vector."""


def stops(case: PoolCase) -> list[list[list[int]]]:
    """Return the coordinates of the taps of every position, axis by axis, counted from the image's first pixel."""
    found = []
    axes = zip(case.shape[2:], case.kernel, case.stride, case.pads, case.dilation, strict=True)
    for n, k, s, (before, after), d in axes:
        starts, start = [], -before
        while start + d * (k - 1) < n + after:
            starts.append(start)
            start += s
        if case.ceil_mode and start - s + d * (k - 1) + 1 < n + after and start < n:
            starts.append(start)
        found.append([[start + t * d for t in range(k)] for start in starts])
    return found


@cache
def windows(case: PoolCase) -> list[tuple[Ints, list[Ints], int]]:
    """Return each position, the pixels of its window that the image has, and how many taps the padding adds."""
    found = []
    along = stops(case)
    sizes = case.shape[2:]
    for position in itertools.product(*(range(len(each)) for each in along)):
        taps = list(itertools.product(*(each[o] for each, o in zip(along, position, strict=True))))
        inside = [tap for tap in taps if all(0 <= c < n for c, n in zip(tap, sizes, strict=True))]
        padded = [
            tap
            for tap in taps
            if all(-before <= c < n + after for c, n, (before, after) in zip(tap, sizes, case.pads, strict=True))
        ]
        found.append((position, inside, len(padded) - len(inside)))
    return found


def output_shape(case: PoolCase) -> Ints:
    """Return the result's shape."""
    return (*case.shape[:2], *map(len, stops(case)))


def greatest(case: PoolCase, x: Array) -> tuple[Array, Array]:
    """Return the greatest pixel of each window and its place: the first of several, but the last NaN, as torch does."""
    least = -np.inf if x.dtype.kind == "f" else (np.iinfo(x.dtype).min if x.dtype.kind != "b" else False)
    values, places = np.full(output_shape(case), least, x.dtype), np.full(output_shape(case), -1)
    for position, inside, _ in windows(case):
        for plane in np.ndindex(*case.shape[:2]):
            for pixel in inside:
                value = x[(*plane, *pixel)]
                if places[(*plane, *position)] < 0 or value > values[(*plane, *position)] or np.isnan(value):
                    values[(*plane, *position)] = value
                    places[(*plane, *position)] = np.ravel_multi_index(pixel, case.shape[2:])
    return values, places


def summed(case: PoolCase, x: Array) -> Array:
    """Return the sum of each window, in float64."""
    total = np.zeros(output_shape(case))
    flat = x.reshape(*case.shape[:2], -1)
    for position, inside, _ in windows(case):
        places: Any = (slice(None), slice(None), *position)
        pixels = [int(np.ravel_multi_index(pixel, case.shape[2:])) for pixel in inside]
        total[places] = flat[:, :, pixels].sum(-1, dtype=float)
    return total


@cache
def answers(case: PoolCase) -> tuple[Array, Array, Array, Array]:
    """Return what `greatest` gives of `image`, and the sums of its pixels and of their squares."""
    x = image(case)
    return *greatest(case, x), summed(case, x), summed(case, x * x)


def counts(case: PoolCase, *, padding: bool) -> Array:
    """Return over how many taps the mean of each window is."""
    found = np.zeros(output_shape(case)[2:])
    for position, inside, padded in windows(case):
        found[position] = len(inside) + padded * padding
    return found


def image(case: PoolCase, dtype: Any = "f4", seed: int = 0, most: int = 9) -> Array:
    """Return small whole pixels, of which many are equal."""
    shape, kind = case.shape, np.dtype(dtype).kind
    least = 0 if kind in "ub" else -most
    numbers = np.random.default_rng(seed).integers(least, most + 1, math.prod(shape)).reshape(shape)
    return numbers.astype(dtype)


def in_layout(x: Array, case: PoolCase, *, last: bool) -> tuple[Array, str]:
    """Return an image with its channels first or last, contiguous, and its layout."""
    if not last:
        return x, f"NC{case.axes}"
    return np.ascontiguousarray(np.moveaxis(x, 1, -1)), f"N{case.axes}C"


def channels_first(y: Array, *, last: bool) -> Array:
    """Return a result with its channels first."""
    return np.moveaxis(y, -1, 1) if last else y
