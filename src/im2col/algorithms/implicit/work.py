"""The calls of kernels that compute a layer, cut into tasks for threads."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from ...engine.compiler import load
from ...engine.threads import run_parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ...engine.compiler import Kernel
    from .schedule import Part, Pass
    from .weights import Slot

_WORTH_A_TASK = 4e6
"""Operations from which a piece of work is worth waking a thread."""
_TASKS_A_THREAD = 3


class Tabulated(Protocol):
    """What calls are made of: tables for kernels, and where their operands are packed."""

    @property
    def parts(self) -> list[Part]:
        """How the filters of a group are packed."""
        ...

    @property
    def passes(self) -> list[Pass]:
        """What is called, each for all parts."""
        ...

    @property
    def slots(self) -> list[Slot]:
        """Where each part is packed."""
        ...

    @property
    def groups(self) -> int:
        """Groups that a kernel loops over."""
        ...

    @property
    def out_filter(self) -> int:
        """Bytes of the result from one filter to the next."""
        ...

    @property
    def weights_outweigh(self) -> bool:
        """Whether blocks of filters are cut rather than rows, where both would do."""
        ...


class _Call(NamedTuple):
    """One call of a kernel: bytes to add to the arrays' addresses, and the addresses of its job and its task."""

    function: Callable[..., None]
    x: int
    w: int
    bias: int
    out: int
    job: int
    task: int


class _Ranges(NamedTuple):
    """What a task covers: images, groups and blocks of filters by their numbers, rows by their share."""

    images: tuple[int, int]
    groups: tuple[int, int]
    blocks: tuple[int, int]
    rows: tuple[int, int]
    pieces: int


class EngineError(RuntimeError):
    """A kernel cannot be compiled; the engine has warned."""


def required(kernel: Kernel) -> Callable[..., None]:
    """Return a kernel as a function.

    Raises
    ------
    EngineError
    """
    function = load(kernel)
    if function is None:
        raise EngineError(kernel.name)
    return function


class Calls:
    """A program's calls, cut into tasks; no array's address is among them.

    Parameters
    ----------
    prog : Tabulated
    batch : int
        Images that one run covers.
    threads : int
    flops : int
        Of those images.
    bands : int
        How many parts of the map there are to be, for `parts`; 0 where `run` runs them all.

    Raises
    ------
    EngineError
        If a kernel cannot be compiled, after the engine's warning.
    """

    def __init__(self, prog: Tabulated, batch: int, threads: int, flops: int, bands: int = 0) -> None:
        self._keep: list[Any] = [prog]
        self._threads = threads
        wanted = 1 if threads == 1 else max(1, min(threads * _TASKS_A_THREAD, int(flops / _WORTH_A_TASK)))
        ranges = _bands(prog, batch, bands) if bands else _cut(prog, batch, wanted)
        self._tasks = [tuple(self._calls(prog, r)) for r in ranges]

    def _calls(self, prog: Tabulated, ranges: _Ranges) -> Iterator[_Call]:
        for each in prog.passes:
            first, stop = (each.rows * edge // ranges.pieces for edge in ranges.rows)
            before = 0
            for part, slot, (kernel, job, x) in zip(prog.parts, prog.slots, each.calls, strict=True):
                blocks = [min(max(edge - before, 0), part.blocks) for edge in ranges.blocks]
                before += part.blocks
                if first == stop or blocks[0] == blocks[1]:
                    continue
                function = required(kernel)
                task = np.array([*ranges.images, *ranges.groups, *blocks, first, stop], np.int64)
                self._keep.append(task)
                yield _Call(
                    function,
                    x,
                    slot.weights_at,
                    slot.bias_at,
                    part.first * prog.out_filter,
                    job.ctypes.data,
                    task.ctypes.data,
                )

    def run(self, x: int, w: int, bias: int, out: int) -> None:
        """Run them all for image, packed weights and bias, and result at these addresses."""
        if len(self._tasks) == 1:
            _run(self._tasks[0], x, w, bias, out)
        else:
            run_parallel([partial(_run, task, x, w, bias, out) for task in self._tasks], self._threads)

    def parts(self, x: int, w: int, bias: int, out: int) -> list[Callable[[], None]]:
        """Return a function for each band of the map, for arrays at these addresses."""
        return [partial(_run, task, x, w, bias, out) for task in self._tasks]


def _run(calls: tuple[_Call, ...], x: int, w: int, bias: int, out: int) -> None:
    for call in calls:
        call.function(x + call.x, w + call.w, bias + call.bias, out + call.out, call.job, call.task)


def _bands(prog: Tabulated, batch: int, count: int) -> list[_Ranges]:
    """Cut a layer into so many bands of rows, each with all filters."""
    whole = _Ranges((0, batch), (0, prog.groups), (0, sum(part.blocks for part in prog.parts)), (0, 1), count)
    return [whole._replace(rows=(i, i + 1)) for i in range(count)]


def _cut(prog: Tabulated, batch: int, wanted: int) -> list[_Ranges]:
    """Cut a layer into about as many tasks as wanted, along one axis. No sum depends on it."""
    groups = prog.groups
    blocks = sum(part.blocks for part in prog.parts)
    rows = max(each.rows for each in prog.passes)
    lengths = {"images": batch, "groups": groups, "rows": rows, "blocks": blocks}
    if prog.weights_outweigh:
        lengths = {"images": batch, "groups": groups, "blocks": blocks, "rows": rows}
    axis = next((name for name, n in lengths.items() if n >= wanted), max(lengths, key=lambda name: lengths[name]))
    pieces = min(wanted, lengths[axis])
    whole = _Ranges((0, batch), (0, groups), (0, blocks), (0, 1), 1)
    tasks = []
    for i in range(pieces):
        first, stop = lengths[axis] * i // pieces, lengths[axis] * (i + 1) // pieces
        if axis == "rows":  # by their share: each pass has a number of rows of its own
            tasks.append(whole._replace(rows=(i, i + 1), pieces=pieces))
        elif axis == "images":
            tasks.append(whole._replace(images=(first, stop)))
        elif axis == "groups":
            tasks.append(whole._replace(groups=(first, stop)))
        else:
            tasks.append(whole._replace(blocks=(first, stop)))
    return tasks
