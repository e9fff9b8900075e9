"""For which numbers the engine has kernels: what is multiplied, what is stored, and why not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...engine.compiler import failure
from ...spec.arrays import is_registered

if TYPE_CHECKING:
    from ...engine.target import Target
    from ...spec.problem import Problem


def kernel_dtype(problem: Problem) -> np.dtype[Any] | None:
    """Return the dtype that the kernels multiply in, or None where there is none."""
    dtype = problem.accumulator
    if dtype.kind == "f" and dtype.itemsize in (4, 8):
        return dtype
    if dtype.kind in "iu" and dtype.itemsize in (2, 4, 8):
        return dtype
    return None


def stored_as(problem: Problem, target: Target) -> str | None:
    """Return what the kernels store, as `Epilogue` calls it, or None where they cannot."""
    dtype = problem.dtype
    if problem.zero_point is not None or dtype == problem.accumulator:
        return f"{dtype.kind}{dtype.itemsize}"
    if dtype == np.float16:
        return "f2" if target.has_fma else None  # the same CPUs convert halves
    return "b2" if is_registered(dtype) and dtype.name == "bfloat16" else None


def converts(given: np.dtype[Any], to: np.dtype[Any]) -> bool:
    """Return whether the engine's copies turn numbers of a dtype into those of another one, which is not narrower.

    Examples
    --------
    >>> byte, short, single = map(np.dtype, (np.uint8, np.int16, np.float32))
    >>> converts(byte, short), converts(byte, single), converts(single, short)
    (True, True, False)
    """
    if is_registered(given):
        return given.name == "bfloat16" and to == np.float32
    wide = to.kind in "iu" and to.itemsize >= given.itemsize
    return given.kind in "biu" and given.itemsize <= 2 and given.isnative and (wide or to == np.float32)


def impossible(problem: Problem) -> str | None:
    """Return why no CPU has kernels for a problem, or None."""
    if 0 in (problem.batch, problem.filters, problem.channels, *problem.geometry.spatial_shape):
        return "there is nothing to multiply"
    if kernel_dtype(problem) is None:
        return f"the engine has no kernel for sums of {problem.accumulator}"
    return None


def obstacle(problem: Problem, target: Target | None, *, stores: bool = True) -> str | None:
    """Return why the engine cannot take a problem, or None; `stores` says whether kernels store the result's dtype."""
    why_not = impossible(problem)
    if why_not is not None:
        return why_not
    if target is None:
        return f"the engine cannot be used ({failure()})"
    if stores and stored_as(problem, target) is None:
        return f"the engine cannot store {problem.dtype} on this CPU"
    return None
