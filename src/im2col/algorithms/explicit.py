"""The column matrix, made block by block, then BLAS through NumPy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine import gather
from ..engine.blas import single_threaded_blas
from ..engine.boxes import box_steps, boxes
from ..engine.threads import run_parallel
from ..errors import format_bytes
from ..matrix.frame import patch_view
from ..spec.padded import pad_image
from .contract import Offer, at_most, never
from .epilogue import finish

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..engine.target import Target
    from ..spec.problem import Problem
    from .contract import Runner

_BLOCK_BYTES = 4 << 20
"""A block of the matrix that a core's caches can hold while BLAS reads it; docs/decisions.md has the measurement."""
STACK_BYTES = 512 << 10
"""Of a block that holds several small images or groups: enough that Python's share of it does not matter."""

_RANK = 10


class Explicit:
    """The column matrix and one matrix product."""

    name = "explicit"
    best_rank = at_most(_RANK)
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
        padded = blocks.wave(threads) * _padded_image_bytes(problem)
        nbytes = weights + blocks.workers(threads) * blocks.bytes + padded
        return Offer(_RANK, reason, nbytes, partial(_prepared, problem, blocks, threads))


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
        matrix = np.array(filters, blocks.dtype, order="C")
    matrix = matrix.reshape(problem.groups, problem.group_filters, problem.group_taps)
    workers, wave = blocks.workers(threads), blocks.wave(threads)

    def run(x: NDArray[Any], out: NDArray[Any]) -> None:
        with single_threaded_blas():
            for first in range(0, problem.batch, wave):
                run_wave(x[first : first + wave], out[first : first + wave])

    def run_wave(x: NDArray[Any], out: NDArray[Any]) -> None:
        view = patch_view(padded_image(x, problem), problem.geometry)
        shape = (len(x), problem.groups, *problem.geometry.output_shape)
        tasks = (
            partial(blocks.multiply, view, matrix, bias, scales, out, box) for box in boxes(shape, blocks.sides(len(x)))
        )
        run_parallel(tasks, workers)

    return run


@dataclass(frozen=True)
class _Blocks:
    """How the column matrices are cut: along the positions of one group of one image, or whole ones in stacks.

    Where a group's positions are cut depends on the problem alone, never on the number of threads or images: BLAS may
    sum in an order that depends on the block's shape. Those of a stack are multiplied one by one, within one call.
    """

    problem: Problem
    dtype: np.dtype[Any]
    positions: int
    """Positions of a block, at most."""
    stack: int
    """How many groups, of one image or of several, a block holds."""

    @classmethod
    def of(cls, problem: Problem) -> _Blocks:
        dtype = _product_dtype(problem)
        row, every = _row_bytes(problem, dtype), problem.geometry.positions
        limit = min(_BLOCK_BYTES, problem.workspace_limit)
        positions = max(1, min(every, limit // row))
        image = max(1, every * row + _padded_image_bytes(problem) // problem.groups)
        stack = min(STACK_BYTES, limit) // image if positions == every else 1
        return cls(problem, dtype, positions, max(1, min(stack, problem.batch * problem.groups)))

    @property
    def bytes(self) -> int:
        """Bytes of one block: its part of the matrix, the product, and the product in the accumulator's dtype."""
        return self.stack * self.positions * _row_bytes(self.problem, self.dtype)

    @property
    def images(self) -> int:
        """Images that a block holds parts of."""
        return max(1, self.stack // self.problem.groups)

    def sides(self, batch: int) -> tuple[int, ...]:
        """Return the sides of the blocks of so many images: of (image, group, *position)."""
        shape = self.problem.geometry.output_shape
        return (*box_steps((batch, self.problem.groups), self.stack), *box_steps(shape, self.positions))

    @property
    def count(self) -> int:
        """Blocks of the whole batch."""
        p = self.problem
        shape = (p.batch, p.groups, *p.geometry.output_shape)
        return math.prod(-(-n // step) for n, step in zip(shape, self.sides(p.batch), strict=True))

    def workers(self, threads: int) -> int:
        """How many blocks may be in work at once."""
        return max(1, min(threads, self.problem.workspace_limit // max(1, self.bytes), self.count))

    def wave(self, threads: int) -> int:
        """How many images are in work at once: with padding, enough to keep every thread busy; else all of them."""
        batch = self.problem.batch
        return max(1, min(self.workers(threads) * self.images, batch) if _padded_image_bytes(self.problem) else batch)

    def multiply(
        self,
        view: NDArray[Any],
        matrix: NDArray[Any],
        bias: NDArray[Any] | None,
        scales: NDArray[Any] | None,
        out: NDArray[Any],
        box: tuple[slice, ...],
    ) -> None:
        """Compute some groups' filters, of some images, at one box of positions.

        Parameters
        ----------
        view : ndarray, (N, C, *kernel, *output)
            The column matrices as a view.
        matrix : ndarray, (groups, filters of a group, taps)
        bias, scales : ndarray, (filters,), or None
        out : ndarray, (N, filters, *output)
        box : tuple of slice
            Of (image, group, *position).
        """
        p = self.problem
        images, groups, *place = box
        channels, filters = (
            slice(groups.start * each, groups.stop * each) for each in (p.group_channels, p.group_filters)
        )
        source = view[(images, channels, *[slice(None)] * p.geometry.ndim, *place)]
        target = np.moveaxis(out[(images, filters, *place)], 1, 0)
        columns = np.empty(source.shape, self.dtype)
        stacked = (len(source), groups.stop - groups.start, p.group_taps, math.prod(target.shape[2:]))
        with np.errstate(all="ignore"):
            gather.copy(columns, source, threads=1)
            product = matrix[groups] @ columns.reshape(stacked)
            sums = accumulated(product, p.accumulator).reshape(len(source), *target.shape[:1], *target.shape[2:])
            offsets, factors = (None if each is None else each[filters] for each in (bias, scales))
            finish(np.moveaxis(sums, 1, 0), offsets, p.activation, target, factors, p.zero_point or 0)


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


def _padded_image_bytes(problem: Problem) -> int:
    """Return the bytes of the padded copy of one image; 0 where none is needed."""
    g, point = problem.geometry, problem.x_zero_point
    pixels = problem.channels * math.prod(g.padded_shape)
    return pixels * (4 if point else problem.x_dtype.itemsize) if g.is_padded or point else 0


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
