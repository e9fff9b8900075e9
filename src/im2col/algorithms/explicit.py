"""The column matrix, made block by block, then BLAS through NumPy."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine import gather
from ..engine.blas import single_threaded_blas
from ..engine.boxes import box_steps, boxes
from ..engine.host import format_bytes
from ..engine.threads import run_parallel
from ..matrix.frame import patch_view
from ..spec.padded import pad_image
from .contract import Offer, never
from .epilogue import finish

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ..engine.target import Target
    from ..spec.problem import Problem
    from .contract import Runner

_BLOCK_BYTES = 4 << 20
"""A block of the matrix that a core's caches can hold while BLAS reads it; docs/decisions.md has the measurement."""


class Explicit:
    """The column matrix and one matrix product."""

    name = "explicit"
    best_rank = 10
    compiles = never

    def offer(self, problem: Problem, target: Target | None, threads: int) -> Offer[Runner]:  # noqa: ARG002 (the contract's arguments)
        """Return that it can solve every problem whose smallest block fits the workspace limit."""
        blocks = _Blocks.of(problem)
        if problem.flops and blocks.bytes > problem.workspace_limit:
            return Offer(
                0,
                f"one position of the column matrix with its sums takes {format_bytes(blocks.bytes)}, more than "
                f"workspace_limit={problem.workspace_limit}",
            )
        reason = f"the column matrix in {blocks.count} block{'s' * (blocks.count != 1)}, then BLAS"
        # The weights' copy, each thread's block, and the padded images in work.
        weights = problem.filters * problem.group_taps * blocks.dtype.itemsize
        padded = blocks.wave(threads) * blocks.padded_image_bytes
        nbytes = weights + blocks.workers(threads) * blocks.bytes + padded
        return Offer(self.best_rank, reason, nbytes, partial(_prepared, problem, blocks, threads))


def _prepared(
    problem: Problem,
    blocks: _Blocks,
    threads: int,
    w: NDArray[Any],
    bias: NDArray[Any] | None,
    scales: NDArray[Any] | None = None,
) -> Runner:
    """Return a function that runs the blocks, as many at once as threads and the workspace limit allow."""
    kernel_axes = tuple(range(2, w.ndim))
    filters = np.flip(w, kernel_axes) if problem.flip else w
    with np.errstate(all="ignore"):
        matrix = np.array(filters, blocks.dtype, order="C").reshape(problem.filters, problem.group_taps)
    workers, wave = blocks.workers(threads), blocks.wave(threads)

    def run(x: NDArray[Any], out: NDArray[Any]) -> None:
        with single_threaded_blas():
            for first in range(0, problem.batch, wave):
                run_wave(x[first : first + wave], out[first : first + wave])

    def run_wave(x: NDArray[Any], out: NDArray[Any]) -> None:
        views = [patch_view(padded_image(x[n : n + 1], problem), problem.geometry)[0] for n in range(len(x))]
        tasks = (
            partial(blocks.multiply, views[n], matrix, bias, scales, out[n], group, box)
            for n, group in itertools.product(range(len(x)), range(problem.groups))
            for box in blocks.boxes()
        )
        run_parallel(tasks, workers)

    return run


@dataclass(frozen=True)
class _Blocks:
    """How the column matrix of one group is cut along its positions.

    The cut depends on the problem alone, never on the number of threads: BLAS may sum in an order that depends on the
    block's shape.
    """

    problem: Problem
    dtype: np.dtype[Any]
    positions: int
    """Positions of a block, at most."""

    @classmethod
    def of(cls, problem: Problem) -> _Blocks:
        dtype = _product_dtype(problem)
        row = _row_bytes(problem, dtype)
        limit = min(_BLOCK_BYTES, problem.workspace_limit)
        return cls(problem, dtype, max(1, min(problem.geometry.positions, limit // row)))

    @property
    def bytes(self) -> int:
        """Bytes of one block: its part of the matrix, the product, and the product in the accumulator's dtype."""
        return self.positions * _row_bytes(self.problem, self.dtype)

    @property
    def padded_image_bytes(self) -> int:
        """Bytes of the padded copy of one image; 0 where none is needed."""
        g, point = self.problem.geometry, self.problem.x_zero_point
        pixels = self.problem.channels * math.prod(g.padded_shape)
        return pixels * (4 if point else self.problem.x_dtype.itemsize) if g.is_padded or point else 0

    @property
    def count(self) -> int:
        """Blocks of the whole batch."""
        shape = self.problem.geometry.output_shape
        cuts = math.prod(-(-n // step) for n, step in zip(shape, box_steps(shape, self.positions), strict=True))
        return self.problem.batch * self.problem.groups * cuts

    def workers(self, threads: int) -> int:
        """How many blocks may be in work at once."""
        return max(1, min(threads, self.problem.workspace_limit // max(1, self.bytes), self.count))

    def wave(self, threads: int) -> int:
        """How many images are in work at once: with padding, enough to keep every thread busy; else all of them."""
        return max(1, min(self.workers(threads), self.problem.batch) if self.padded_image_bytes else self.problem.batch)

    def boxes(self) -> Iterator[tuple[slice, ...]]:
        """Return boxes of output positions, at most `positions` each, that cover the map in order."""
        shape = self.problem.geometry.output_shape
        return boxes(shape, box_steps(shape, self.positions))

    def multiply(
        self,
        view: NDArray[Any],
        matrix: NDArray[Any],
        bias: NDArray[Any] | None,
        scales: NDArray[Any] | None,
        out: NDArray[Any],
        group: int,
        box: tuple[slice, ...],
    ) -> None:
        """Compute one group's filters at one box of positions.

        Parameters
        ----------
        view : ndarray, (C, *kernel, *output)
            The column matrix of one image as a view.
        matrix : ndarray, (filters, taps)
        bias, scales : ndarray, (filters,), or None
        out : ndarray, (filters, *output)
        group : int
        box : tuple of slice
        """
        p = self.problem
        channels = slice(group * p.group_channels, (group + 1) * p.group_channels)
        filters = slice(group * p.group_filters, (group + 1) * p.group_filters)
        source = view[(channels, *[slice(None)] * p.geometry.ndim, *box)]
        target = out[(filters, *box)]
        columns = np.empty(source.shape, self.dtype)
        with np.errstate(all="ignore"):
            gather.copy(columns, source, threads=1)
            product = matrix[filters] @ columns.reshape(p.group_taps, math.prod(target.shape[1:]))
            sums = accumulated(product, p.accumulator).reshape(target.shape)
            offsets, factors = (None if each is None else each[filters] for each in (bias, scales))
            finish(sums, offsets, p.activation, target, factors, p.zero_point or 0)


def _product_dtype(problem: Problem) -> np.dtype[Any]:
    """Return the dtype that BLAS multiplies in.

    NumPy has no integer BLAS. A float one is exact as long as no partial sum can pass the integers that it holds.
    """
    if problem.accumulator.kind not in "iu":
        return problem.accumulator
    bound = problem.group_taps * (magnitude(problem.x_dtype) + abs(problem.x_zero_point)) * magnitude(problem.w_dtype)
    for dtype, bits in ((np.float32, 24), (np.float64, 53)):
        if bound <= 1 << bits:
            return np.dtype(dtype)
    return problem.accumulator


def magnitude(dtype: np.dtype[Any]) -> int:
    """Return the largest absolute value of an integer dtype."""
    if dtype.kind == "b":
        return 1
    info = np.iinfo(dtype)
    return max(-int(info.min), int(info.max))


def accumulated(product: NDArray[Any], accumulator: np.dtype[Any]) -> NDArray[Any]:
    """Return the product in the accumulator's dtype; a float that holds an integer wraps as integers do."""
    if product.dtype == accumulator:
        return product
    return product.astype(np.int64).astype(accumulator)


def _row_bytes(problem: Problem, dtype: np.dtype[Any]) -> int:
    """Return the bytes that one position needs: its row of the matrix, and its sums on their way to the result."""
    size = problem.accumulator.itemsize
    converted = 0 if dtype == problem.accumulator else np.dtype(np.int64).itemsize + size
    activated = problem.activation.temporaries * size if problem.activation else 0
    return max(
        1, problem.group_taps * dtype.itemsize + problem.group_filters * (dtype.itemsize + converted + activated)
    )


def padded_image(image: NDArray[Any], problem: Problem) -> NDArray[Any]:
    """Return images (N, C, *spatial) with their padding, less their zero point: a copy unless they have neither."""
    g, point = problem.geometry, problem.x_zero_point
    fill = problem.padding_value
    if point:
        image, fill = image.astype(np.int16) - np.int16(point), fill.astype(np.int16) - np.int16(point)
    if not g.is_padded:
        return image
    return pad_image(image, ((0, 0), (0, 0), *g.padding), problem.padding_mode, fill)


ALGORITHM = Explicit()
