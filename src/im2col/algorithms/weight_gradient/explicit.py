"""The weights' gradient by the column matrix, made block by block, then BLAS through NumPy."""

from __future__ import annotations

import itertools
import math
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...engine import gather
from ...engine.blas import single_threaded_blas
from ...engine.boxes import box_steps, boxes
from ...engine.threads import run_parallel
from ...errors import format_bytes
from ...matrix.frame import patch_view
from ..contract import Offer, at_most, never
from ..explicit import STACK_BYTES, accumulated, magnitude, padded_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...engine.target import Target
    from ...spec.problem import Problem
    from ..contract import GradientRunner

_BLOCK_BYTES = 4 << 20
"""A block of the matrix that a core's caches can hold while BLAS reads it, as forwards."""

_RANK = 10


class Explicit:
    """The column matrix and one matrix product."""

    name = "explicit"
    best_rank = at_most(_RANK)
    compiles = never

    def offer(self, problem: Problem, target: Target | None, threads: int) -> Offer[GradientRunner]:  # noqa: ARG002 (the contract's arguments)
        """Return that it can solve every problem whose smallest block fits the workspace limit."""
        blocks, g = _Blocks.of(problem), problem.geometry
        if problem.flops and blocks.bytes > problem.workspace_limit:
            return Offer(
                0,
                f"one position of one channel's column matrix takes {format_bytes(blocks.bytes)} with its sums, more "
                f"than workspace_limit={problem.workspace_limit}",
            )
        # Each thread's block, the sums, and the padded images in work.
        sums = problem.filters * problem.group_taps * problem.accumulator.itemsize
        image = problem.channels * math.prod(g.padded_shape) * problem.x_dtype.itemsize
        padded = blocks.images * image if g.is_padded else 0
        nbytes = blocks.workers(threads) * blocks.bytes + sums + padded
        reason = "the column matrix in blocks, then BLAS"
        return Offer(_RANK, reason, nbytes, partial(_prepared, problem, blocks, threads))


def _prepared(p: Problem, blocks: _Blocks, threads: int) -> GradientRunner:
    """Return a function that runs the blocks; a part of the channels is one task, and sums in one order."""
    workers = blocks.workers(threads)

    def run(x: NDArray[Any], grad: NDArray[Any], out: NDArray[Any]) -> None:
        result = np.flip(out, tuple(range(2, out.ndim))) if p.flip else out
        total = np.zeros(out.shape, p.accumulator)
        starts = range(0, p.group_channels, blocks.channels)
        with single_threaded_blas():
            for n in range(0, p.batch, blocks.images):
                images = slice(n, n + blocks.images)
                view = patch_view(padded_image(x[images], p), p.geometry)
                tasks = (
                    partial(_add, p, blocks, view, grad[images], total, group, first)
                    for group, first in itertools.product(range(p.groups), starts)
                )
                run_parallel(tasks, workers)
        with np.errstate(all="ignore"):
            np.copyto(result, total, casting="unsafe")

    return run


class _Blocks(NamedTuple):
    """How the column matrix of one group is cut: into so many channels, and so many positions, at a time.

    Those of several small images are multiplied one by one within one call, and added one by one in another.
    """

    problem: Problem
    dtype: np.dtype[Any]
    channels: int
    positions: int
    images: int

    @classmethod
    def of(cls, problem: Problem) -> _Blocks:
        dtype, limit = _product_dtype(problem), min(_BLOCK_BYTES, problem.workspace_limit)
        taps, filters = problem.geometry.taps, problem.group_filters
        # The product of a block with its copies: filters × taps of the channels.
        most = limit // 2 // max(1, 3 * 8 * filters * taps)
        channels = max(1, min(problem.group_channels, most))
        column = (taps * channels + filters) * dtype.itemsize
        every = problem.geometry.positions
        positions = max(1, min(every, _exact_terms(problem, dtype), limit // 2 // column))
        one = cls(problem, dtype, channels, positions, 1)
        whole = positions == every and channels == problem.group_channels
        image = one.bytes + problem.channels * math.prod(problem.geometry.padded_shape) * problem.x_dtype.itemsize
        images = min(STACK_BYTES, limit) // max(1, image) if whole else 1
        return one._replace(images=max(1, min(images, problem.batch)))

    @property
    def bytes(self) -> int:
        """Bytes of one block: its part of the matrix and of the gradient, and the product with its copies."""
        taps, filters = self.problem.geometry.taps * self.channels, self.problem.group_filters
        return self.images * ((taps + filters) * self.positions * self.dtype.itemsize + 3 * 8 * filters * taps)

    def workers(self, threads: int) -> int:
        """How many blocks may be in work at once."""
        return max(1, min(threads, self.problem.workspace_limit // max(1, self.bytes)))


def _add(
    p: Problem,
    blocks: _Blocks,
    view: NDArray[Any],
    grad: NDArray[Any],
    total: NDArray[Any],
    group: int,
    first: int,
) -> None:
    """Add some images' share to the sums of one group's filters over some of its channels.

    Parameters
    ----------
    p : Problem
    blocks : _Blocks
    view : ndarray, (N, C, *kernel, *output)
        The column matrices of the images as a view.
    grad : ndarray, (N, filters, *output)
    total : ndarray, (filters, channels of a group, *kernel)
    group, first : int
    """
    stop = min(first + blocks.channels, p.group_channels)
    filters = slice(group * p.group_filters, (group + 1) * p.group_filters)
    channels = slice(group * p.group_channels + first, group * p.group_channels + stop)
    target = total[filters, first:stop]
    shape = p.geometry.output_shape
    every = (slice(None),) * p.geometry.ndim
    with np.errstate(all="ignore"):
        for box in boxes(shape, box_steps(shape, blocks.positions)):
            for product in _products(
                p, blocks, view[(slice(None), channels, *every, *box)], grad[(slice(None), filters, *box)]
            ):
                target += product.reshape(target.shape)


def _products(p: Problem, blocks: _Blocks, source: NDArray[Any], grad: NDArray[Any]) -> NDArray[Any]:
    """Return the products (N, filters, taps) of a block, which is gone before the next one is made."""
    columns = np.empty(source.shape, blocks.dtype)
    gather.copy(columns, source, threads=1)
    images, filters, positions = len(grad), grad.shape[1], math.prod(grad.shape[2:])
    matrix = columns.reshape(images, source.shape[1] * p.geometry.taps, positions)
    if blocks.dtype.kind == "c":
        np.conjugate(matrix, out=matrix)
    rows = np.ascontiguousarray(grad, blocks.dtype).reshape(images, filters, positions)
    return accumulated(rows @ matrix.transpose(0, 2, 1), p.accumulator)


def _product_dtype(problem: Problem) -> np.dtype[Any]:
    """Return the dtype that BLAS multiplies in: float64 for integers whose products it holds."""
    if problem.accumulator.kind not in "iu":
        return problem.accumulator
    return np.dtype(np.float64) if _largest_product(problem) <= 1 << 53 else problem.accumulator


def _exact_terms(problem: Problem, dtype: np.dtype[Any]) -> int:
    """Return how many products a float may add up before an integer could be rounded; any number for others."""
    if problem.accumulator.kind not in "iu" or dtype.kind != "f":
        return problem.geometry.positions
    return max(1, (1 << 53) // _largest_product(problem))


def _largest_product(problem: Problem) -> int:
    return magnitude(problem.x_dtype) * magnitude(problem.w_dtype)


ALGORITHM = Explicit()
