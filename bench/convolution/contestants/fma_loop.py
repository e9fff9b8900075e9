"""The limit: multiply-adds in registers, on every thread, as many operations as the layer has; no memory is read."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from im2col.engine.builder import Builder
from im2col.engine.compiler import Kernel, load
from im2col.engine.target import host
from im2col.engine.threads import run_parallel

from ...contestants import Role
from ..contestant import Convolver

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from im2col.engine.target import Target

    from ..problems import Problem

_CHAINS = 14
"""Sums that do not wait for each other: more than any CPU has multiply-adds under way, fewer than its registers."""


def _multiply_adds(name: str, target: Target) -> str:
    b = Builder(name, "*out turns")
    lanes = target.vector_bytes // 4
    vector = b.vector(b.number("f4"), lanes)
    factor = b.numbers(0.5, vector)
    first = [b.numbers(i, vector) for i in range(_CHAINS)]
    with b.accumulate(b.constant(0), b["turns"], first) as state:
        state.values = [b.multiply_add(value, factor, factor, fused=target.has_fma) for value in state.values]
    for i, value in enumerate(state.values):
        b.store(value, b.at(b["*out"], b.constant(i * target.vector_bytes)))
    return b.finish()


def prepare(problem: Problem) -> Callable[[], NDArray[np.float32]] | None:
    """Divide the operations among the threads."""
    run = load(Kernel("multiply_adds", _multiply_adds, (), 2))
    if run is None:
        return None
    sums = np.empty((problem.threads, _CHAINS, host().vector_bytes // 4), np.float32)
    turns = max(1, problem.layer.flops // (2 * sums.size))
    tasks = [partial(run, part.ctypes.data, turns) for part in sums]

    def call() -> NDArray[np.float32]:
        run_parallel(tasks, problem.threads)
        return sums

    return call


CONTESTANT = Convolver("FMA loop", "llvmlite", prepare, Role.LIMIT)
