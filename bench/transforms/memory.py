"""How much memory this library takes beyond its operand and its result."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..processes import in_fresh_process
from ..tables import table
from .problems import TASKS, Layer, Problem, Task, make_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ..contestants import Contestant

# Blocks of this size or more go back to the system when they are freed: no call lives on an earlier one's memory.
_ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"

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
    if not os.access(_CLEAR_REFS, os.W_OK):
        return f"{title}: not measured, this system does not tell"
    rows, besides, stays = [], [], []
    for layer in layers:
        row = [layer.name, f"{layer.padded_bytes / 1e6:.2f}"]
        for task in TASKS:
            call = partial(_peak_and_rest, ours, layer, task, threads)
            peak, rest = in_fresh_process(threads, call, environment=_ENVIRONMENT)
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
    start = _resident("VmRSS")
    call()
    before = _resident("VmRSS")
    _CLEAR_REFS.write_text(_RESET_PEAK)
    call()
    return _resident("VmHWM") - before, before - start


def _touched_call(
    ours: Contestant[Problem], layer: Layer, task: Task, threads: int
) -> Callable[[], NDArray[np.float32]]:
    problem = make_problem(layer, task, threads)
    call = ours.prepare(replace(problem, out=np.full_like(problem.answer, np.nan)))
    if call is None:
        raise LookupError(f"{ours.name} must offer every task, but has none for {task}")
    return call


def _resident(counter: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.findall(rf"^{counter}:\s+(\d+) kB$", status, re.MULTILINE)[0]) * 1024
