"""Chains of arithmetic element by element: how arrays of some strides are walked, in tasks for threads."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .chain_kernels import LENGTHS, TOLD, Chain, Operation, chain_kernel
from .compiler import EngineError, required
from .sequence import Round, Step, Steps, address_of
from .team import Together

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

ELEMENTS = {np.dtype(np.float32): "f4", np.dtype(np.float64): "f8"}
"""What kernels compute with."""
_WORTH_A_TASK = 128 << 10
"""Bytes of all arrays from which threads are worth the while."""
_WORTH_WAKING = 1 << 20
"""Bytes of all arrays from which threads are worth waking."""
_LINE = 64
"""Numbers of which tasks have whole multiples where the innermost loop is cut: lines of the cache are not shared."""


class Lying(NamedTuple):
    """How an array lies in memory.

    Parameters
    ----------
    shape, strides : tuple of int
        Strides in bytes.
    """

    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def step(self, axis: int) -> int:
        """Return bytes from number to number along an axis, which is counted from the last; 0 if there is one."""
        return self.strides[axis] if len(self.shape) >= -axis and self.shape[axis] != 1 else 0


class _Loop(NamedTuple):
    """A loop: its turns, and bytes from turn to turn of each array, 0 where it is the same number again."""

    turns: int
    steps: tuple[int, ...]


class _Part(NamedTuple):
    """Loops, and the bytes from each array's start to where they begin."""

    loops: list[_Loop]
    starts: list[int]


def plan_chain(
    operations: Sequence[Operation],
    arrays: Sequence[Lying],
    constants: Sequence[Array],
    out: Lying,
    dtype: np.dtype[Any],
    threads: int,
) -> Steps | Together | None:
    """Return what computes a chain; None where the engine does not.

    Parameters
    ----------
    operations : sequence of Operation
        Their operands are the arrays, and behind them the constants.
    arrays : sequence of Lying
        At most `TOLD`; they are told with each call.
    constants : sequence of ndarray
        Of the same dtype; they are not changed as long as the plan lives.
    out : Lying
        The result. Operands are broadcast to its shape.
    dtype : dtype
    threads : int
        How many may work. No bit depends on it.

    Returns
    -------
    Steps, Together or None
        Its ``run_ids`` takes the identities of the arrays, and behind them that of the result, so often that they are
        `sequence.ARRAYS`. The result may be an array that lies as it does.
    """
    element = ELEMENTS.get(dtype)
    operands = [*arrays, *(Lying(each.shape, each.strides) for each in constants)]
    if element is None or not 0 < len(arrays) <= TOLD or any(each.dtype != dtype for each in constants):
        return None
    loops = _loops(operands, out, dtype.itemsize)
    if loops is None:
        return None
    inner = loops[-1].steps
    if inner[-1] != dtype.itemsize or any(step not in (0, dtype.itemsize) for step in inner):
        return None
    chain = Chain(element, len(arrays), tuple(step == 0 for step in inner[:-1]), tuple(operations))
    nbytes = sum(math.prod(loop.turns for loop in loops if loop.steps[n]) for n in range(len(inner))) * dtype.itemsize
    try:
        function = required(chain_kernel(chain))
        tasks = [
            _task(function, part, constants, len(arrays))
            for part in _parts(loops, threads if nbytes >= _WORTH_A_TASK else 1)
        ]
    except EngineError:
        return None
    if len(tasks) == 1:
        return tasks[0]
    return Together(tasks, None, threads, worth_waking=nbytes >= _WORTH_WAKING)


def _loops(operands: Sequence[Lying], out: Lying, itemsize: int) -> list[_Loop] | None:
    """Return the loops that walk all arrays, the outermost first; None where they are too many."""
    arrays = [*operands, out]
    loops: list[_Loop] = []
    for axis in sorted(range(len(out.shape)), key=lambda axis: -out.strides[axis]):
        turns = out.shape[axis]
        if turns == 1:
            continue
        steps = tuple(each.step(axis - len(out.shape)) for each in arrays)
        if loops and loops[-1].steps == tuple(step * turns for step in steps):
            loops[-1] = _Loop(loops[-1].turns * turns, steps)
        else:
            loops.append(_Loop(turns, steps))
    if not loops:
        loops = [_Loop(1, (*[0] * len(operands), itemsize))]
    return [_Loop(1, (0,) * len(arrays))] * (LENGTHS - len(loops)) + loops if len(loops) <= LENGTHS else None


def _parts(loops: list[_Loop], count: int) -> list[_Part]:
    """Cut the outermost loop that has as many turns, or else the longest, into about so many parts."""
    lengths = [loop.turns for loop in loops]
    lengths[-1] = -(-lengths[-1] // _LINE)
    cut = next((i for i, n in enumerate(lengths) if n >= count), lengths.index(max(lengths)))
    count, unit = min(count, lengths[cut]), _LINE if cut == len(loops) - 1 else 1
    edges = [min(lengths[cut] * i // count * unit, loops[cut].turns) for i in range(count + 1)]
    return [
        _Part(
            [loop._replace(turns=stop - start) if i == cut else loop for i, loop in enumerate(loops)],
            [start * step for step in loops[cut].steps],
        )
        for start, stop in pairwise(edges)
    ]


def _task(function: Callable[..., None], part: _Part, constants: Sequence[Array], arrays: int) -> Steps:
    """Return what computes a part."""
    *outer, _ = part.loops
    words = [loop.turns for loop in part.loops]
    places = [*[0] * arrays, *map(address_of, constants), 0]
    for number, (place, start) in enumerate(zip(places, part.starts, strict=True)):
        words += (place + start if place else 0, *(loop.steps[number] for loop in outer))
    told = [(number, part.starts[number] if number < arrays else 0) for number in range(TOLD)]
    job = np.array(words, np.int64)
    call = Step(function, (*told, (TOLD, part.starts[-1])), (job.ctypes.data, 0))
    return Steps([Round(calls=[call])], None, (job, constants))
