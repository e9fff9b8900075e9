"""A program with its weights: the calls, the copy of an image where one is needed, the threads."""

from __future__ import annotations

import math
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...engine import gather
from ...engine.compiler import load
from ...engine.threads import run_parallel
from ...padding import fill_padded
from .arrangement import LINE, Copy
from .program import program, tabulated
from .weights import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from ...problem import Problem
    from .arrangement import Arrangement
    from .program import Program
    from .weights import Packed

_WORTH_A_TASK = 4e6
"""Operations from which a piece of work is worth waking a thread."""
_TASKS_A_THREAD = 3
_MOST_STRIDES = 16
"""Kinds of strides for which a plan remembers its calls."""

Strides = tuple[int, ...]


class Prepared:
    """A prepared layer: ``run(x, out)`` on canonical views (N, C, *spatial) and (N, filters, *output).

    Parameters
    ----------
    problem : Problem
    arrangement : Arrangement
    w : ndarray, (filters, channels/groups, *kernel)
    bias : ndarray, (filters,), or None
    threads : int
    """

    def __init__(
        self, problem: Problem, arrangement: Arrangement, w: NDArray[Any], bias: NDArray[Any] | None, threads: int
    ) -> None:
        self._problem, self._arrangement, self._threads = problem, arrangement, threads
        self._dtype = arrangement.dtype
        prog = program(arrangement)
        filters = np.flip(w, tuple(range(2, w.ndim))) if problem.flip else w
        self._packed = pack(prog, filters, bias, threads)
        self._known: dict[tuple[Strides, Strides], _Calls | None] = {}
        self._arena = threading.local()
        self._strides = arrangement.strides, arrangement.out_strides
        self._calls: _Calls | None = None
        if arrangement.copy is None:
            self._calls = _Calls(prog, self._packed, problem.batch, threads, problem.flops)

    def __call__(self, x: NDArray[Any], out: NDArray[Any]) -> None:
        if self._calls is not None and (x.strides, out.strides) == self._strides and x.dtype.isnative:
            self._calls.run(x.ctypes.data, out.ctypes.data)
            return
        for n in range(self._problem.batch):
            self._one(x[n : n + 1], out[n : n + 1])

    def _one(self, x: NDArray[Any], out: NDArray[Any]) -> None:
        """Convolve one image of any strides: through a copy, and into a copy, where the program needs one."""
        strides, out_strides = (
            _normal(view.strides, view.shape, dense) for view, dense in zip((x, out), self._strides, strict=True)
        )
        dense_out = (0, *self._strides[1][1:])
        copy = self._arrangement.copy
        if copy is None and (not x.dtype.isnative or self._calls_for(strides, dense_out) is None):
            copy = self._straight_copy
        if copy is not None:
            strides = (0, *copy.strides)
        result = out
        calls = self._calls_for(strides, out_strides)
        if calls is None:
            result, calls = self._result, self._calls_for(strides, dense_out)
        assert calls is not None
        source = x if copy is None else self._filled(copy, x[0])
        calls.run(source.ctypes.data, result.ctypes.data)
        if result is not out:
            np.copyto(out, result)

    def _calls_for(self, strides: Strides, out_strides: Strides) -> _Calls | None:
        """Return the calls for one image of these strides, or None where the tile cannot walk them."""
        key = strides, out_strides
        if key not in self._known:
            op = self._arrangement.walks(*key)
            one = self._problem.flops // self._problem.batch
            if len(self._known) >= _MOST_STRIDES:
                self._known.clear()
            self._known[key] = (
                None if op is None else _Calls(tabulated(self._arrangement, op), self._packed, 1, self._threads, one)
            )
        return self._known[key]

    @property
    def _straight_copy(self) -> Copy:
        p = self._problem
        shape = (p.channels, *p.geometry.spatial_shape)
        strides = self._strides[0][1:]
        return Copy(shape, strides, math.prod(shape) * self._dtype.itemsize, self._dtype, False, "strides")

    def _filled(self, copy: Copy, image: NDArray[Any]) -> NDArray[Any]:
        """Return this thread's copy of an image (C, *spatial)."""
        p = self._problem
        room = getattr(self._arena, "copy", None)
        if room is None:
            room = self._arena.copy = _allocate(copy)
            if copy.padded and p.padding_mode == "constant":
                room[...] = p.padding_value.astype(self._dtype)
        pairs = ((0, 0), *(p.geometry.padding if copy.padded else ((0, 0),) * p.geometry.ndim))
        fill_padded(room, image, pairs, p.padding_mode, partial(_convert, threads=self._threads))
        return room

    @property
    def _result(self) -> NDArray[Any]:
        """This thread's room for one result that `out` has no place for as the kernels write it."""
        p = self._problem
        room = getattr(self._arena, "result", None)
        if room is None:
            shape = (1, p.filters, *p.geometry.output_shape)
            flat = np.empty(math.prod(shape), p.dtype)
            room = self._arena.result = np.lib.stride_tricks.as_strided(flat, shape, (0, *self._strides[1][1:]))
        return room


def _allocate(copy: Copy) -> NDArray[Any]:
    """Return room for a copy: an array (C, *spatial) that starts at a line of the cache."""
    room = np.empty(copy.nbytes + LINE, np.uint8)
    start = -room.ctypes.data % LINE
    return np.lib.stride_tricks.as_strided(room[start : start + copy.nbytes].view(copy.dtype), copy.shape, copy.strides)


def _convert(to: NDArray[Any], source: NDArray[Any], threads: int) -> None:
    if to.dtype == source.dtype and source.dtype.isnative:
        gather.copy(to, source, threads)
    else:
        with np.errstate(all="ignore"):
            np.copyto(to, source, casting="unsafe")


def _normal(strides: Strides, shape: tuple[int, ...], dense: Strides) -> Strides:
    """Return strides in which an axis of one element has the stride that a dense array would give it."""
    return tuple(d if n == 1 else s for s, n, d in zip(strides, shape, dense, strict=True))


class _Call(NamedTuple):
    """One call of a kernel: offsets of image and result in bytes; all other addresses are known."""

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


class _Calls:
    """A program's calls, cut into tasks."""

    def __init__(self, prog: Program, packed: Packed, batch: int, threads: int, flops: int) -> None:
        self._keep: list[Any] = [prog, packed]
        self._threads = threads
        wanted = 1 if threads == 1 else max(1, min(threads * _TASKS_A_THREAD, int(flops / _WORTH_A_TASK)))
        self._tasks = [tuple(self._calls(prog, packed, r)) for r in _cut(prog, batch, wanted)]

    def _calls(self, prog: Program, packed: Packed, ranges: _Ranges) -> Iterator[_Call]:
        weights, bias = packed.weights.ctypes.data, packed.bias.ctypes.data
        for each in prog.passes:
            first, stop = (each.rows * edge // ranges.pieces for edge in ranges.rows)
            before = 0
            for number, (part, (kernel, job, x)) in enumerate(zip(prog.parts, each.calls, strict=True)):
                blocks = [min(max(edge - before, 0), part.blocks) for edge in ranges.blocks]
                before += part.blocks
                if first == stop or blocks[0] == blocks[1]:
                    continue
                function = load(kernel)
                if function is None:
                    raise RuntimeError("the engine cannot be used")
                task = np.array([*ranges.images, *ranges.groups, *blocks, first, stop], np.int64)
                self._keep.append(task)
                yield _Call(
                    function,
                    x,
                    weights + packed.weights_at[number],
                    bias + packed.bias_at[number],
                    part.first * prog.op.out_filter,
                    job.ctypes.data,
                    task.ctypes.data,
                )

    def run(self, x: int, out: int) -> None:
        """Run them all for an image and a result at these addresses."""
        if len(self._tasks) == 1:
            _run(self._tasks[0], x, out)
        else:
            run_parallel([partial(_run, task, x, out) for task in self._tasks], self._threads)


def _run(calls: tuple[_Call, ...], x: int, out: int) -> None:
    for function, x_offset, w, bias, out_offset, job, task in calls:
        function(x + x_offset, w, bias, out + out_offset, job, task)


def _cut(prog: Program, batch: int, wanted: int) -> list[_Ranges]:
    """Cut a layer into about as many tasks as wanted, along one axis. No sum depends on it."""
    groups = prog.packing.groups
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
        if axis == "rows":
            tasks.append(whole._replace(rows=(i, i + 1), pieces=pieces))
        else:
            n = lengths[axis]
            tasks.append(whole._replace(**{axis: (n * i // pieces, n * (i + 1) // pieces)}))
    return tasks
