"""What is decided about filters of single channels: how large tiles are, and how a map is cut into pairs of them."""

from __future__ import annotations

import dataclasses
import itertools
import math
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..implicit.tiles.epilogue import Epilogue
from ..tiled.cycles import CALL, FAR, MARGIN, TOUCH
from .butterflies import instructions
from .plane_kernel import PAIR_WORDS, SECOND, PlaneKernel, plane_kernel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ...engine.compiler import Kernel
    from ...engine.target import Target
    from ...spec.geometry import Geometry
    from ...spec.problem import Problem

SIZES = (64, 96, 128, 160, 192, 256)
"""Pixels of a tile along an axis: 16 times what a first step of few instructions takes."""
_MOVED = 9
"""How often a number of a tile passes between the second level of cache and the first, its factor included."""
_TRANSFORMED = 100.0
"""Cycles in which a number of a kernel's spectrum is made and laid out: by NumPy."""


class Planes(NamedTuple):
    """A map of one channel in pairs of tiles, one above the other.

    Parameters
    ----------
    geometry : Geometry
        Of two axes, of stride and dilation 1.
    sizes : (int, int)
        Rows and columns of a tile.
    """

    geometry: Geometry
    sizes: tuple[int, ...]

    @property
    def results(self) -> tuple[int, int]:
        """Rows and columns of results of a tile, at most: those whose windows do not wrap around."""
        rows, columns = (n - k + 1 for n, k in zip(self.sizes, self.geometry.kernel_size, strict=True))
        return rows, columns

    @property
    def counts(self) -> tuple[int, int]:
        """Pairs along the columns of the map, and along its rows."""
        (rows, columns), (height, width) = self.results, self.geometry.output_shape
        return -(-height // (2 * rows)), -(-width // columns)

    @property
    def edges(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where pairs begin along each axis, and where the last one ends: they are as alike as can be."""
        rows, columns = (
            np.arange(count + 1) * n // count for n, count in zip(self.geometry.output_shape, self.counts, strict=True)
        )
        return rows, columns

    def table(self, strides: tuple[int, ...], out_strides: tuple[int, ...]) -> NDArray[np.int64]:
        """Return the rows of the kernel's table for one plane, (*counts, words): what is the same for all is 0.

        Parameters
        ----------
        strides, out_strides : (int, int)
            Bytes from one row and column to the next, of image and result.
        """
        (height, width), (top, left) = self.geometry.spatial_shape, (pair[0] for pair in self.geometry.padding)
        (first, stop), (column, end) = ((each[:-1], each[1:]) for each in self.edges)
        middle = (first + stop + 1) // 2
        found = np.zeros((*self.counts, len(PAIR_WORDS)), np.int64)
        words = {word: found[..., i] for i, word in enumerate(PAIR_WORDS)}
        words["first_column"][:] = np.clip(left - column, 0, self.sizes[1])
        words["last_column"][:] = np.clip(width + left - column, 0, self.sizes[1])
        words["width"][:] = end - column
        for tile, (row, below) in enumerate(((first, middle), (middle, stop))):
            rows = {
                "first_row": np.clip(top - row, 0, self.sizes[0]),
                "last_row": np.clip(height + top - row, 0, self.sizes[0]),
                "height": below - row,
            }
            for word, values in rows.items():
                words[f"{word}{tile}"][:] = values[:, None]
            pixels = np.add.outer((row - top) * strides[0], (column - left) * strides[1])
            words[f"pixels{tile}"][:] = pixels
            words[f"results{tile}"][:] = np.add.outer(row * out_strides[0], column * out_strides[1])
        return found

    def map_of(self, flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which results, (..., *output), are in pairs that are flagged, (..., *counts)."""
        for axis, edges in enumerate(self.edges, -2):
            flags = np.repeat(flags, np.diff(edges), axis)
        return flags


class DecidedPlanes:
    """Everything that is decided about a problem before any array or weight is seen; shared by all plans.

    Parameters
    ----------
    problem : Problem
    planes : Planes
    target : Target
    """

    def __init__(self, problem: Problem, planes: Planes, target: Target) -> None:
        self.problem, self.planes, self.target = problem, planes, target
        (rows, columns), epilogue = planes.sizes, Epilogue.of_floats(problem)
        lanes = target.vector_bytes // problem.dtype.itemsize
        self.spec = PlaneKernel(epilogue.result, lanes, (rows, columns), epilogue)

    @property
    def kernel(self) -> Kernel:
        """The one kernel."""
        return plane_kernel(self.spec)

    @property
    def pairs(self) -> int:
        """How many there are, of all filters and images."""
        return self.problem.batch * self.problem.filters * math.prod(self.planes.counts)

    @property
    def spectrum_size(self) -> int:
        """Numbers of a filter's spectrum."""
        return 2 * math.prod(self.planes.sizes)

    @property
    def twiddles(self) -> int:
        """Numbers of the tables of both axes."""
        return 2 * sum(self.planes.sizes)

    @property
    def way(self) -> str:
        """How large tiles are."""
        return f"pairs of tiles of {'×'.join(map(str, self.planes.results))} results"

    def laid_out(self, w: NDArray[Any], bias: NDArray[Any] | None) -> NDArray[Any]:
        """Return what the kernel multiplies with: twiddle factors, the filters' spectra, and the bias.

        Parameters
        ----------
        w : ndarray, (filters, 1, *kernel)
        bias : ndarray, (filters,), or None
        """
        dtype, start = self.problem.dtype, self.twiddles
        found = np.zeros(start + len(w) * (self.spectrum_size + 1), dtype)
        found[:start] = np.concatenate([_twiddles(n) for n in self.planes.sizes])
        for number, kernel in enumerate(w[:, 0]):
            at = start + number * self.spectrum_size
            self._spectrum(kernel.astype(np.float64), found[at : at + self.spectrum_size])
        if bias is not None:
            found[-len(w) :] = bias
        return found

    def _spectrum(self, kernel: NDArray[np.float64], to: NDArray[Any]) -> None:
        """Write a filter's spectrum in the order in which the kernel reads it: for each vector of lines, a line."""
        rows, columns = self.planes.sizes
        lanes, firsts = self.spec.lanes, (rows // SECOND, columns // SECOND)
        spectrum = np.fft.fft2(kernel / (rows * columns), self.planes.sizes)
        # Where the frequency k + R · i stands: at 16 · k + i.
        placed = spectrum.reshape(SECOND // lanes, lanes, firsts[0], SECOND, firsts[1]).transpose(2, 0, 4, 3, 1)
        parts = to.reshape(firsts[0], SECOND // lanes, firsts[1], SECOND, 2, lanes)
        parts[..., 0, :], parts[..., 1, :] = placed.real, placed.imag


def _twiddles(n: int) -> NDArray[np.float64]:
    """Return the cosine and sine of ``2π · jk / N``, for each of 16 j those of all k."""
    angles = 2 * np.pi / n * np.multiply.outer(np.arange(SECOND), np.arange(n // SECOND))
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1).reshape(-1)


def possible(problem: Problem, lanes: int) -> list[Planes]:
    """Return the ways to cut a problem into tiles, none narrower than a vector."""
    geometry = problem.geometry if problem.pads_zeros else problem.geometry.unpadded()
    found = [Planes(geometry, sizes) for sizes in itertools.product(SIZES, SIZES)]
    return [
        planes
        for planes in found
        if min(planes.results) >= SECOND and geometry.output_shape[1] // planes.counts[1] >= lanes
    ]


def decisions(problem: Problem, target: Target) -> Iterator[tuple[DecidedPlanes, float]]:
    """Yield tiles of each size, those with the fewest cycles of one image first; they do not depend on the batch."""
    one = dataclasses.replace(problem, batch=1)
    lanes = target.vector_bytes // problem.dtype.itemsize
    cycles = {planes: _cycles(one, planes, target) for planes in possible(problem, lanes)}
    for planes in sorted(cycles, key=lambda planes: cycles[planes]):
        # They are not decided by what a call alone takes: it has the bits of a plan.
        filters = 0.0 if problem.prepared else problem.filters * math.prod(planes.sizes) * _TRANSFORMED
        yield DecidedPlanes(problem, planes, target), cycles[planes] * MARGIN + filters + CALL


def _cycles(problem: Problem, planes: Planes, target: Target) -> float:
    """Return about how many cycles one image takes."""
    size = problem.dtype.itemsize
    numbers, lanes = math.prod(planes.sizes), target.vector_bytes // size
    nbytes = 2 * size * numbers
    # Of what a pair takes, its factors included, half of the second level is left over by what passes through it.
    away = max(0.0, 1 - target.caches[1] / 2 / (3 * nbytes))
    pair = numbers / lanes * _instructions(planes.sizes, lanes) * target.vector_cycles(target.vector_bytes) * TOUCH
    pair += _MOVED * nbytes * away * FAR
    return problem.filters * math.prod(planes.counts) * pair


@cache
def _instructions(sizes: tuple[int, ...], lanes: int) -> float:
    """Return the instructions for a vector of a pair of tiles, loads and stores included."""
    steps = sum(_of_complex(n // SECOND) + _of_complex(SECOND) + 4 for n in sizes)
    around = 8 + 6 + 4 * math.log2(lanes)  # copied, multiplied, turned
    return 2 * (steps + 4 * 4) + around


def _of_complex(n: int) -> float:
    """Return the instructions of a transform of n complex numbers, for each of them."""
    return (2 * instructions(n)[0] + 4 * ((n - 1) // 2)) / n
