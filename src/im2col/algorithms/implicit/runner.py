"""A program with its weights: the calls, the copy of an image where one is needed, the threads."""

from __future__ import annotations

import threading
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...engine import gather, scratch
from ...spec.padding import fill_padded
from .arrangement import LINE, Copy, arrange
from .calls import Calls, EngineError, required
from .dots import corrected, interleaved
from .program import tabulated
from .weights import pack, packed_layer

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ...spec.problem import Problem
    from .arrangement import Arrangement
    from .operand import Layer
    from .program import Program

Strides = tuple[int, ...]


class _Ready(NamedTuple):
    """What a problem comes down to, without any array: remembered, so that calls that are alike share it."""

    arrangement: Arrangement
    program: Program
    layer: Layer
    calls: Calls | None
    """For the whole batch; None where each image is copied first."""


@lru_cache(maxsize=64)
def _ready(problem: Problem, threads: int) -> _Ready:
    arrangement = arrange(problem)
    prog = tabulated(arrangement, arrangement.op)
    for kernel in prog.kernels:
        required(kernel)  # now, also where an image is copied first: a plan that was made never compiles
    calls = Calls(prog, problem.batch, threads, problem.flops) if arrangement.copy is None else None
    return _Ready(arrangement, prog, packed_layer(arrangement.layer, arrangement.choice.shape), calls)


@lru_cache(maxsize=64)
def _calls_for_one(problem: Problem, threads: int, strides: Strides, out_strides: Strides) -> Calls | None:
    """Return the calls for one image of these strides, or None where the tile cannot walk them."""
    arrangement = arrange(problem)
    op = arrangement.walks(strides, out_strides)
    return None if op is None else Calls(tabulated(arrangement, op), 1, threads, problem.flops // problem.batch)


@lru_cache(maxsize=64)
def _banded_calls(problem: Problem, threads: int, bands: int) -> Calls:
    """Return the calls for dense arrays, band by band."""
    return Calls(_ready(problem, threads).program, problem.batch, threads, problem.flops, bands)


class Prepared:
    """A layer with its weights packed: ``run(x, out)`` on canonical views (N, C, *spatial) and (N, filters, *output).

    Parameters
    ----------
    problem : Problem
    w : ndarray, (filters, channels/groups, *kernel)
    bias : ndarray, (filters,), or None
    threads : int
    scales : ndarray of float32, (filters,), or None
        For requantisation.
    """

    def __init__(
        self,
        problem: Problem,
        w: NDArray[Any],
        bias: NDArray[Any] | None,
        threads: int,
        scales: NDArray[np.float32] | None = None,
    ) -> None:
        ready = _ready(problem, threads)
        self._problem, self._threads, self._arrangement, self._calls = problem, threads, ready.arrangement, ready.calls
        self._dtype = ready.arrangement.dtype
        self._strides = ready.arrangement.strides, ready.arrangement.out_strides
        filters = np.flip(w, tuple(range(2, w.ndim))) if problem.flip else w
        dot, packed_as = ready.arrangement.dot, self._dtype
        if dot is not None:
            bias, packed_as = corrected(bias, filters, dot, problem.accumulator), np.dtype(np.int32)
            filters = interleaved(filters, dot, threads)
        if scales is not None and bias is None:
            bias = np.zeros(problem.filters, problem.accumulator)
        self._packed = pack(ready.program.slots, ready.layer, filters, bias, packed_as, threads, scales)
        self._addresses = self._packed.weights.ctypes.data, self._packed.bias.ctypes.data
        self._arena = threading.local()

    def __call__(self, x: NDArray[Any], out: NDArray[Any]) -> None:
        """Convolve arrays of any strides."""
        if self._calls is not None and (x.strides, out.strides) == self._strides and x.dtype.isnative:
            self._calls.run(x.ctypes.data, *self._addresses, out.ctypes.data)
            return
        for n in range(self._problem.batch):
            self._one(x[n : n + 1], out[n : n + 1])

    def bands(self, x: NDArray[Any], out: NDArray[Any], count: int) -> list[Callable[[], None]] | None:
        """Return a function for each of so many bands of the map, or None where an image is copied first."""
        dense = (x.strides, out.strides) == self._strides and x.dtype.isnative
        if self._calls is None or not dense:
            return None
        calls = _banded_calls(self._problem, self._threads, count)
        return calls.parts(x.ctypes.data, *self._addresses, out.ctypes.data)

    def _one(self, x: NDArray[Any], out: NDArray[Any]) -> None:
        """Convolve one image: through a copy, and into a copy, where the program needs one."""
        strides, out_strides = (
            _normal(view.strides, view.shape, dense) for view, dense in zip((x, out), self._strides, strict=True)
        )
        dense = (0, *self._strides[1][1:])
        copy = self._arrangement.copy
        calls_for = self._calls_for
        if copy is None and not (x.dtype.isnative and calls_for(strides, dense)):
            copy = self._straight_copy
        if copy is not None:
            strides = (0, *copy.strides)
        result, calls = out, calls_for(strides, out_strides)
        if calls is None:
            result, calls = self._result, calls_for(strides, dense)
        if calls is None:
            raise RuntimeError("a tile that was chosen for dense arrays walks them")  # pragma: no cover
        source = x if copy is None else self._filled(copy, x[0])
        calls.run(source.ctypes.data, *self._addresses, result.ctypes.data)
        if result is not out:
            np.copyto(out, result)

    def _calls_for(self, strides: Strides, out_strides: Strides) -> Calls | None:
        try:
            return _calls_for_one(self._problem, self._threads, strides, out_strides)
        except EngineError:
            return None  # the kernels for dense arrays are loaded

    @property
    def _straight_copy(self) -> Copy:
        p = self._problem
        shape = (p.channels, *p.geometry.spatial_shape)
        strides = self._strides[0][1:]
        return Copy(shape, strides, _reach(shape, strides, self._dtype.itemsize), self._dtype, False, 0, "strides")

    def _filled(self, copy: Copy, image: NDArray[Any]) -> NDArray[Any]:
        """Return this thread's copy of an image (C, *spatial)."""
        p = self._problem
        room = getattr(self._arena, "copy", None)
        if room is None:
            room = self._arena.copy = _allocate(copy)
            if copy.padded and p.padding_mode == "constant":
                room[...] = _moved(p.padding_value, copy)
        pairs = ((0, 0), *(p.geometry.padding if copy.padded else ((0, 0),) * p.geometry.ndim))
        fill_padded(room, image, pairs, p.padding_mode, partial(_convert, offset=copy.offset, threads=self._threads))
        return room

    @property
    def _result(self) -> NDArray[Any]:
        """Room for one result, this thread's own, that `out` has no place for as the kernels write it."""
        p = self._problem
        room = getattr(self._arena, "result", None)
        if room is None:
            shape, strides = (1, p.filters, *p.geometry.output_shape), (0, *self._strides[1][1:])
            flat = scratch.empty(_reach(shape, strides, p.dtype.itemsize) // p.dtype.itemsize, p.dtype)
            room = self._arena.result = np.lib.stride_tricks.as_strided(flat, shape, strides)
        return room


def _reach(shape: tuple[int, ...], strides: Strides, size: int) -> int:
    """Return the bytes from an array's first element to the end of its last."""
    return sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True)) + size


def _allocate(copy: Copy) -> NDArray[Any]:
    """Return room for a copy: an array (C, *spatial) that starts at a line of the cache."""
    room = scratch.empty(copy.nbytes + LINE, np.dtype(np.uint8))
    if copy.strides[0] == copy.dtype.itemsize:
        room[...] = 0  # lanes may hold more channels than there are
    start = -room.ctypes.data % LINE
    return np.lib.stride_tricks.as_strided(room[start : start + copy.nbytes].view(copy.dtype), copy.shape, copy.strides)


def _moved(value: Any, copy: Copy) -> Any:
    """Return a pixel as it stands in a copy."""
    if copy.offset == 0:
        return value.astype(copy.dtype)
    return np.array(int(value) + copy.offset).astype(copy.dtype)


def _convert(to: NDArray[Any], source: NDArray[Any], offset: int, threads: int) -> None:
    """Copy pixels into another dtype, moved by an offset."""
    if to.dtype == np.uint8:
        # int8 becomes uint8: 128 more is the sign bit turned over.
        gather.copy(to, source.view(np.uint8), threads)
        if offset:
            np.bitwise_xor(to, np.uint8(offset), out=to)
    elif offset:
        np.add(source, np.array(offset).astype(to.dtype), out=to, dtype=to.dtype, casting="unsafe")
    elif to.dtype == source.dtype and source.dtype.isnative:
        gather.copy(to, source, threads)
    else:
        with np.errstate(all="ignore"):
            np.copyto(to, source, casting="unsafe")


def _normal(strides: Strides, shape: tuple[int, ...], dense: Strides) -> Strides:
    """Return strides in which an axis of one element has the stride that a dense array would give it."""
    return tuple(d if n == 1 else s for s, n, d in zip(strides, shape, dense, strict=True))
