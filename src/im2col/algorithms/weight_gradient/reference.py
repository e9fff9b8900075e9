"""The definition of the weights' gradient, as plain loops over Python numbers; it judges the others."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..contract import ONLY_BY_NAME, Offer, at_most, never
from ..reference import NUMBER_BYTES, inside, python_numbers, rounded

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...spec.problem import Problem
    from ..contract import GradientRunner


class Reference:
    """Plain loops."""

    name = "reference"
    best_rank = at_most(ONLY_BY_NAME)
    compiles = never

    def offer(self, problem: Problem, target: object, threads: int) -> Offer[GradientRunner]:  # noqa: ARG002 (the contract's arguments)
        """Return that it can solve every problem, in one thread, and is never the choice of "auto"."""
        reason = f"plain loops over {problem.flops // 2} products: the definition, never fast"
        # The copies in Python numbers, and the sums.
        numbers = math.prod(problem.x_shape) + math.prod(problem.output_shape)
        nbytes = numbers * NUMBER_BYTES + problem.filters * problem.group_taps * problem.accumulator.itemsize
        return Offer(ONLY_BY_NAME, reason, nbytes, partial(_prepared, problem))


def _prepared(problem: Problem) -> GradientRunner:
    """Return a function that runs the loops."""
    g = problem.geometry
    fill = python_numbers(np.broadcast_to(np.ravel(problem.padding_value), problem.channels))

    @np.errstate(all="ignore")
    def run(x: NDArray[Any], grad: NDArray[Any], out: NDArray[Any]) -> None:
        image, gradient = python_numbers(x), python_numbers(grad)
        sums = np.empty(out.shape, problem.accumulator)
        for f, c, *tap in np.ndindex(*out.shape):
            channel = f // problem.group_filters * problem.group_channels + c
            seen = [k - 1 - t for k, t in zip(g.kernel_size, tap, strict=True)] if problem.flip else tap
            total: Any = 0
            for n, *position in np.ndindex(problem.batch, *g.output_shape):
                pixel = []
                for axis, (stop, step) in enumerate(zip(position, seen, strict=True)):
                    at = stop * g.stride[axis] + step * g.dilation[axis] - g.padding[axis][0]
                    pixel.append(inside(at, g.spatial_shape[axis], problem.padding_modes[axis]))
                value = fill[channel] if None in pixel else image[n][channel][tuple(pixel)]
                total += value.conjugate() * gradient[(n, f, *position)]
            sums[(f, c, *tap)] = rounded(total, problem.accumulator)
        np.copyto(out, sums, casting="unsafe")

    return run


ALGORITHM = Reference()
