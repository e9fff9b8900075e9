"""How much memory this library takes beyond its operand and its result."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from .. import memory
from ..processes import in_fresh_process
from ..tables import table
from .problems import TASKS, Layer, Problem, Task, make_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ..contestants import Contestant

# Large enough that the library uses its engine for it.
_FIRST = Layer("first", batch=1, channels=16, height=64, width=64, kernel=3, stride=1, padding=1, dilation=1)


def memory_table(ours: Contestant[Problem], layers: Sequence[Layer], threads: int) -> str:
    """Return a table of what each call takes at its peak, each measured in a process of its own.

    The kernel counts resident pages within about 0.1 MB a CPU.

    Parameters
    ----------
    ours : Contestant
    layers : sequence of Layer
    threads : int

    Returns
    -------
    str
        MB beyond the operand and a touched result; below it the most that is not the padded copy of the image, and the
        most that stays behind.
    """
    title = f"Memory of {ours.name} beyond operand and touched out, threads: {threads}; MB at the peak"
    if not memory.is_told():
        return f"{title}: not measured, this system does not tell"
    rows, besides, stays = [], [], []
    for layer in layers:
        row = [layer.name, f"{layer.padded_bytes / 1e6:.2f}"]
        for task in TASKS:
            call = partial(_peak_and_rest, ours, layer, task, threads)
            peak, rest = in_fresh_process(threads, call, environment=memory.ENVIRONMENT)
            row.append(f"{peak / 1e6:.2f}")
            besides.append(peak - (layer.padded_bytes if task.transform == "im2col" else 0))
            stays.append(rest)
        rows.append(row)
    text = table(["layer", "padded copy", *map(str, TASKS)], rows)
    notes = (
        f"Besides the padded copy that im2col makes: at most {max(*besides, 0) / 1e6:.2f} MB.\n"
        f"Code and workspaces that stay after a layer's first call: at most {max(*stays, 0) / 1e6:.2f} MB."
    )
    return f"{title}\n\n{text}\n\n{notes}"


def _peak_and_rest(ours: Contestant[Problem], layer: Layer, task: Task, threads: int) -> tuple[int, int]:
    """Return by how many bytes a call raises this process's resident memory: at its peak, and what the first leaves."""
    # The engine is loaded and its threads are started whatever the size of the first problem.
    _touched_call(ours, _FIRST, task, threads)()
    call = _touched_call(ours, layer, task, threads)
    start = memory.resident()
    call()
    before = memory.resident()
    memory.forget_peak()
    call()
    return memory.peak() - before, before - start


def _touched_call(
    ours: Contestant[Problem], layer: Layer, task: Task, threads: int
) -> Callable[[], NDArray[np.float32]]:
    problem = make_problem(layer, task, threads)
    call = ours.prepare(replace(problem, out=np.full_like(problem.answer, np.nan)))
    if call is None:
        raise LookupError(f"{ours.name} must offer every task, but has none for {task}")
    return call
