"""The definition of convolution, as plain loops over Python numbers.

It judges every other algorithm, so it is never optimised and shares no index code with them.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..spec.arrays import is_registered
from .contract import ONLY_BY_NAME, Offer, at_most, never
from .epilogue import finish

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..spec.problem import Problem
    from .contract import Runner


NUMBER_BYTES = 40
"""Of a Python number in an array: a pointer, and an object of up to 32 bytes unless it is a very large integer."""


class Reference:
    """Plain loops."""

    name = "reference"
    best_rank = at_most(ONLY_BY_NAME)
    compiles = never

    def offer(self, problem: Problem, target: object, threads: int) -> Offer[Runner]:  # noqa: ARG002 (the contract's arguments)
        """Return that it can solve every problem, in one thread, and is never the choice of "auto"."""
        reason = f"plain loops over {problem.flops // 2} products: the definition, never fast"
        # The copies in Python numbers, and the sums.
        g = problem.geometry
        numbers = problem.batch * problem.channels * math.prod(g.spatial_shape) + problem.filters * problem.group_taps
        sums = problem.batch * problem.filters * g.positions
        nbytes = numbers * NUMBER_BYTES + sums * problem.accumulator.itemsize
        return Offer(ONLY_BY_NAME, reason, nbytes, partial(_prepared, problem))


def _prepared(
    problem: Problem, w: NDArray[Any], bias: NDArray[Any] | None, scales: NDArray[Any] | None = None
) -> Runner:
    """Return a function that runs the loops."""
    weights = python_numbers(w)
    sizes, kernel = problem.geometry.spatial_shape, problem.geometry.kernel_size
    modes = problem.padding_modes
    fill = python_numbers(np.broadcast_to(np.ravel(problem.padding_value), problem.channels))

    @np.errstate(all="ignore")
    def run(x: NDArray[Any], out: NDArray[Any]) -> None:
        image = python_numbers(x)
        sums = np.empty(out.shape, problem.accumulator)
        for n, f, *position in np.ndindex(*out.shape):
            group = f // problem.group_filters
            total: Any = 0
            for c, *tap in np.ndindex(problem.group_channels, *kernel):
                pixel = []
                for axis, (stop, step) in enumerate(zip(position, tap, strict=True)):
                    geometry = problem.geometry
                    at = stop * geometry.stride[axis] + step * geometry.dilation[axis] - geometry.padding[axis][0]
                    pixel.append(inside(at, sizes[axis], modes[axis]))
                if problem.flip:
                    tap = [k - 1 - t for k, t in zip(kernel, tap, strict=True)]  # noqa: PLW2901 (the same tap, counted from the other end)
                channel = group * problem.group_channels + c
                value = fill[channel] if None in pixel else image[n][channel][tuple(pixel)]
                if problem.x_zero_point:
                    value -= problem.x_zero_point
                total += value * weights[(f, c, *tap)]
            sums[(n, f, *position)] = rounded(total, problem.accumulator)
        for n in range(problem.batch):
            finish(sums[n], bias, problem.activation, out[n], scales, problem.zero_point or 0)

    return run


def inside(at: int, size: int, mode: str) -> int | None:
    """Return the pixel that coordinate `at` of a padded axis shows; None where it shows the constant."""
    if 0 <= at < size:
        return at
    if mode == "constant":
        return None
    if mode == "edge":
        return 0 if at < 0 else size - 1
    if mode == "wrap":
        return at % size
    # A mirror at each end, over and over: reflect repeats no pixel at the mirror, symmetric repeats it.
    walk = list(range(size))
    back = walk[-2:0:-1] if mode == "reflect" else walk[::-1]
    cycle = walk + back
    return cycle[at % len(cycle)]


def python_numbers(array: NDArray[Any]) -> NDArray[np.object_]:
    """Return the array's elements as Python numbers, which neither round nor wrap."""
    return (array.astype(np.float32) if is_registered(array.dtype) else array).astype(object)


def rounded(total: Any, dtype: np.dtype[Any]) -> Any:
    """Return a sum in the accumulator's dtype: integers wrap, floats round once."""
    if dtype.kind not in "iu":
        return total
    span = 1 << (8 * dtype.itemsize)
    wrapped = total % span
    return wrapped - span if dtype.kind == "i" and wrapped >= span // 2 else wrapped


ALGORITHM = Reference()
