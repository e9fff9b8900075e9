"""Strided sums: matrix → image. What the engine sums, in how many threads; `scatter_costs` chooses how."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..importing import importing
from ..memory import recalled
from .compiler import in_use, load, loaded
from .scatter_costs import cycles, plan_sum
from .scatter_plan import KEPT_LINES, Walk
from .scatter_tables import address, calls
from .threads import run_parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from .compiler import Kernel
    from .scatter_plan import SumPlan
    from .scatter_tables import Call

_WORTH_A_CALL = 2 << 10
"""Bytes of matrix below which NumPy is as fast."""
_WORTH_LOADING = 512 << 10
"""Bytes of matrix below which a kernel that is not loaded yet is not worth loading."""
_WORTH_A_THREAD = 2 << 20
"""Bytes of matrix that each thread sums at least: for fewer, waking it costs more than it brings."""


class Axis(NamedTuple):
    """Where windows lie along one spatial axis: position o and tap t meet at pixel o·stride + t·dilation - before.

    Parameters
    ----------
    stride, dilation, before : int
    """

    stride: int
    dilation: int
    before: int


def sum_windows(image: NDArray[Any], matrix: NDArray[Any], axes: Sequence[Axis], threads: int) -> bool:
    """Set every pixel of an image to the sum of its copies in a matrix, if the engine can.

    Parameters
    ----------
    image : ndarray, (N, C, *spatial)
        Overwritten; any strides.
    matrix : ndarray, (N, C, *kernel, *output)
        Any strides; shares no memory with `image`.
    axes : sequence of Axis
        One for each spatial axis. Entries that lie outside the image are dropped.
    threads : int
        How many threads may work. A pixel's copies are added in one order, however many there are:
        by their tap along the last axis, then along the others.

    Returns
    -------
    bool
        False, and nothing is written, where there is no kernel for the arrays, or they are too small to be worth one.
    """
    if matrix.nbytes < max(1, _WORTH_A_CALL) or (matrix.nbytes < _WORTH_LOADING and not in_use()):
        return False
    workers = worthy_threads(matrix.nbytes, threads)
    found = prepared(image, matrix, axes, workers)
    if found is None:
        return False
    kernel, parts = found
    function = loaded(kernel) if matrix.nbytes < _WORTH_LOADING else load(kernel)
    if function is None:
        return False
    to, origin = address(image), address(matrix)
    run_parallel([partial(part.run, function, to, origin) for part in parts], workers)
    return True


def _element(total: np.dtype[Any], value: np.dtype[Any]) -> tuple[str, str, int] | None:
    """Return what an `Element` is made of for image and matrix, or None where there is no kernel that adds them."""
    parts = 1
    if total.kind == value.kind == "c":
        parts, (total, value) = 2, (np.dtype(f"{d.byteorder}f{d.itemsize // 2}") for d in (total, value))
    floats = total == value and total.kind == "f" and total.itemsize in (4, 8)
    integers = total.kind in "iu" and total.itemsize == 8 and value.kind in "biu"
    if not ((floats or integers) and value.isnative):
        return None
    sums, values = ("u" + str(d.itemsize) if d.kind == "b" else d.kind + str(d.itemsize) for d in (total, value))
    return sums, values, parts


def _walks(image: NDArray[Any], matrix: NDArray[Any], axes: Sequence[Axis]) -> tuple[Walk, ...]:
    """Return every axis of an image: batch, channels, space."""
    k = len(axes)
    windows = [Axis(1, 1, 0)] * 2 + list(axes)
    taps, positions = (1, 1, *matrix.shape[2 : 2 + k]), (*matrix.shape[:2], *matrix.shape[2 + k :])
    tap_steps, position_steps = (0, 0, *matrix.strides[2 : 2 + k]), (*matrix.strides[:2], *matrix.strides[2 + k :])
    planes = [image.shape, taps, positions, *zip(*windows, strict=True), image.strides, tap_steps, position_steps]
    return tuple(map(Walk, *planes))


def worthy_threads(nbytes: int, threads: int) -> int:
    """Return how many of some threads sum so many bytes of matrix."""
    return min(threads, max(1, nbytes // _WORTH_A_THREAD))


def cycles_apart(image: NDArray[Any], matrix: NDArray[Any], axes: Sequence[Axis]) -> float | None:
    """Return about how many cycles a sum takes in one thread, if no pixel has two entries; else None.

    Parameters
    ----------
    image, matrix, axes
        As for `sum_windows`; such arrays.
    """
    walks = _walks(image, matrix, axes)
    if any(walk.most_met > 1 for walk in walks):
        return None
    return cycles(plan_sum(walks, image.itemsize, matrix.itemsize), image.itemsize)


def prepared(
    image: NDArray[Any], matrix: NDArray[Any], axes: Sequence[Axis], workers: int
) -> tuple[Kernel, tuple[Part, ...]] | None:
    """Return the kernel that makes a sum, and the parts in which it does; None where there is none for the dtypes.

    Parameters
    ----------
    image, matrix, axes
        As for `sum_windows`; such arrays.
    workers : int
        How many parts there are to be.
    """
    kinds = (each for array in (image, matrix) for each in (array.dtype, array.shape, array.strides))
    return recalled((_prepared, *kinds, *axes, workers), partial(_prepared, image, matrix, axes, workers))


def _prepared(
    image: NDArray[Any], matrix: NDArray[Any], axes: Sequence[Axis], workers: int
) -> tuple[Kernel, tuple[Part, ...]] | None:
    element = _element(image.dtype, matrix.dtype)
    if element is None:
        return None
    plan = plan_sum(_walks(image, matrix, axes), image.itemsize, matrix.itemsize)
    return _kernel(plan, *element), tuple(parts_of(plan, workers))


def _kernel(plan: SumPlan, total: str, value: str, parts: int = 1) -> Kernel:
    """Return a plan's kernel for numbers by their names, and how many of them a pixel has."""
    with importing:
        from .scatter_kernels import sum_lines  # it loads what kernels are written with, which small sums never need
        from .scatter_lines import Element

    return sum_lines(Element(total, value, parts), plan.dense_values, plan.apart, plan.inside)


class Part(NamedTuple):
    """A part of a sum.

    Parameters
    ----------
    plan : SumPlan
    first_pixel : int
        Its offset in bytes.
    calls : tuple of Call
        What makes it; empty where that is too much to be kept.
    """

    plan: SumPlan
    first_pixel: int
    calls: tuple[Call, ...]

    def run(self, function: Callable[..., None], image: int, matrix: int) -> None:
        """Compute the pixels, from the addresses of both arrays."""
        for call in self.calls or calls(self.plan):
            function(image + self.first_pixel, matrix + call.matrix_offset, call.job)


def parts_of(plan: SumPlan, workers: int) -> Iterator[Part]:
    """Yield disjoint parts of a sum, cut along the outermost axis of the image that is long enough."""
    axes = plan.axes
    cut = next((i for i, axis in enumerate(axes) if axis.n >= 4 * workers), int(np.argmax([a.n for a in axes])))
    n = axes[cut].n
    count = min(workers, n)
    are_few = math.prod(axis.n for axis in plan.table) <= KEPT_LINES
    for i in range(count):
        start, stop = n * i // count, n * (i + 1) // count
        part = plan.with_axes([axis.part(start, stop) if k == cut else axis for k, axis in enumerate(axes)])
        yield Part(part, start * axes[cut].pixel, tuple(calls(part)) if are_few else ())
