"""Passes ready to run: filters as packed factors, bands of the map as one list of calls."""

from __future__ import annotations

import math
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...engine.compiler import required
from ...engine.host import require_memory
from ...engine.sequence import Round, Steps
from ...importing import importing
from ...memory import lazy, recalled
from ...spec.padded import pad_image
from ...spec.strides import normal
from ..implicit.packing import pack, room_for_weights
from ..implicit.prepared import at_a_line
from ..implicit.view import LINE
from ..implicit.work import READ_IN_PLACE, ROOM, Calls, Starts
from .factors import factors
from .passes import bands, out_strides_of, rows_between, strides_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ...engine.compiler import Kernel
    from ...engine.team import Together
    from ...spec.problem import Problem
    from ..implicit.tables import Tables
    from ..implicit.view import View
    from .passes import Band, Passes

    Array = NDArray[Any]
    Strides = tuple[int, ...]

_WORTH_WAKING = 4e7
"""Operations from which a layer is worth waking threads that sleep."""


class DecidedPasses:
    """What a decision comes down to, without any array or weight: made when it is needed, shared by all plans.

    Parameters
    ----------
    problem : Problem
    passes : Passes
    threads : int
    """

    def __init__(self, problem: Problem, passes: Passes, threads: int) -> None:
        self.problem, self.passes, self.threads = problem, passes, threads

    @lazy
    def tables(self) -> tuple[Tables, Tables]:
        """Return the tables of both passes for dense arrays."""
        down, across = self.passes.down, self.passes.across
        return down.tables(down.view), across.tables(across.view)

    def kernels(self) -> tuple[Kernel, ...]:
        """Return the kernels that it runs, each once."""
        return tuple(dict.fromkeys(kernel for tables in self.tables for kernel in tables.kernels))

    @property
    def workspace_bytes(self) -> int:
        """Bytes that a plan takes, and a call, at most: tables, and what finds and packs factors, included."""
        p, one = self.problem, self.passes.problem
        shape = one.channels, *one.geometry.spatial_shape
        padded = math.prod(shape) * p.dtype.itemsize if self.passes.copied else 0
        decisions = self.passes.down, self.passes.across
        tables = sum(d.table_bytes + 3 * d.workspace_bytes for d in decisions) + 4096 * self._most_units
        kernel = 64 * math.prod(p.geometry.kernel_size) * p.kernel_rank if p.kernel_rank else 0
        return tables + padded + kernel + self.threads * self.passes.between.nbytes + 2 * LINE

    @property
    def _most_units(self) -> int:
        """At most how many bands there are, of all groups."""
        return self.problem.groups * (2 + 2 * self.problem.geometry.output_shape[0] // self.passes.between.rows)

    def calls_for(self, strides: Strides, out_strides: Strides) -> PassCalls | None:
        """Return the calls for an image and a result of these strides, or None where the tiles cannot walk them."""
        return recalled((self, strides, out_strides), partial(self._made_for, strides, out_strides))

    def _made_for(self, strides: Strides, out_strides: Strides) -> PassCalls | None:
        down, across, (columns, rows) = self.passes.down, self.passes.across, self.tables
        one = self.passes.problem
        if (strides, out_strides) == (strides_of(one), out_strides_of(one)):
            return PassCalls(self, (columns, down.view), (rows, across.view))
        width, (along, step) = one.geometry.output_shape[1], out_strides[2:]
        first, second = down.view_for(strides, down.out_strides), across.view_for(across.strides, out_strides)
        if first is None or second is None or along <= (width - 1) * step:
            return None
        require_memory(down.table_bytes + across.table_bytes, READ_IN_PLACE, "the tables for arrays that are not dense")
        return PassCalls(self, (down.tables(first), first), (across.tables(second), second))


class PassCalls:
    """The calls of both passes for one image of some strides, in tasks for threads, each with a room of its own."""

    def __init__(self, layer: DecidedPasses, down: tuple[Tables, View], across: tuple[Tables, View]) -> None:
        self._passes, target = layer.passes, layer.passes.down.target
        flops = layer.problem.flops // layer.problem.batch
        self._down, self._across = (Calls(tables, target, 1, 1, flops) for tables, _ in (down, across))
        self._rows, self._out = across
        p = layer.passes.problem
        self._weights_before = room_for_weights(down[0].places) * p.dtype.itemsize
        alone = layer.passes.between.together < layer.passes.between.planes
        groups = [(g, g + 1) for g in range(p.groups)] if alone else [(0, p.groups)]
        units = [(some, band) for some in groups for band in bands(layer.passes, *down)]
        count = min(layer.threads, len(units))
        self._keep: list[Any] = [self._down, self._across]
        tasks = []
        for i in range(count):
            rounds: list[Round] = []
            for some, band in units[len(units) * i // count : len(units) * (i + 1) // count]:
                rounds += self._rounds(p, some, band, i * layer.passes.between.nbytes)
            tasks.append(Steps(rounds, target, self._keep))
        self.room_bytes = count * layer.passes.between.nbytes
        self._tasks: Steps | Together = tasks[0]
        if count > 1:
            with importing:
                from ...engine.team import Together
            self._tasks = Together(tasks, target, layer.threads, worth_waking=flops >= _WORTH_WAKING)

    def run_ids(self, weights: int, bias: int, room: int, x: int, out: int) -> None:
        """Run them all for packed weights, bias, room, image and result of which the identities are given."""
        self._tasks.run_ids(weights, bias, room, bias, x, out)

    def _rounds(self, p: Problem, groups: tuple[int, int], band: Band, room: int) -> list[Round]:
        """Return the calls that compute a band of the map of some groups; what is between begins at byte `room`."""
        between = self._passes.between
        _, plane, row, _ = between.strides
        before = groups[0] * (between.planes // p.groups) * plane
        channels, filters = ((groups[0] * n, groups[1] * n) for n in (p.group_channels, p.group_filters))
        steps, kept = self._down.of_rows(band.runs, channels, Starts(out=room - before - band.first * row))
        into = [step._replace(addresses=(*step.addresses[:3], (ROOM, step.addresses[3][1]))) for step in steps]
        rows = rows_between(self._rows, self._out, band.new - band.first, band.stop - band.first)
        here = Starts((ROOM, room - before), self._weights_before, out=band.first * self._out.out_position[0])
        steps, also = self._across.of_rows(rows, filters, here)
        self._keep += [kept, also]
        return [Round(calls=into), Round(calls=steps)]


class PreparedPasses:
    """A layer with its filters factored: ``run(x, out)``, see `Runner`."""

    def __init__(self, layer: DecidedPasses, w: Array, bias: Array | None, scales: None = None) -> None:  # noqa: ARG002 (integers alone are requantised)
        p, passes = layer.problem, layer.passes
        self._layer, self._arena = layer, threading.local()
        for kernel in layer.kernels():
            required(kernel, passes.down.target)  # now: a plan that was made never compiles
        kh, kw = p.geometry.kernel_size
        down, across = (each[..., ::-1] if p.flip else each for each in factors(w, p.precision, p.kernel_rank or 1))
        down, across = down.reshape(-1, 1, kh, 1), across.reshape(p.filters, -1, 1, kw)
        packed = [
            pack(tables.places, decision.packed_group, values, offset, p.dtype, layer.threads)
            for tables, decision, values, offset in zip(
                layer.tables, (passes.down, passes.across), (down, across), (None, bias), strict=True
            )
        ]
        self._weights = np.concatenate([each.weights for each in packed])
        self._bias = packed[1].bias

    def __call__(self, x: Array, out: Array) -> None:
        """Convolve arrays of any strides, image by image."""
        for n in range(self._layer.problem.batch):
            self._one(x[n : n + 1], out[n : n + 1])

    def at_once(self, x: Array, out: Array) -> Callable[[int, int], None] | None:
        """Return what is called for arrays of these strides, by their identities; None where it is more than a call."""
        calls = None if self._layer.passes.copied or len(x) > 1 else self._calls_for(x, out)
        if calls is None:
            return None
        weights, bias, nbytes = id(self._weights), id(self._bias), calls.room_bytes
        return lambda x, out: calls.run_ids(weights, bias, id(self._room(nbytes)), x, out)

    def _one(self, x: Array, out: Array) -> None:
        """Convolve one image."""
        p, source, result = self._layer.problem, x, out
        if self._layer.passes.copied:
            pairs = (0, 0), (0, 0), *p.geometry.padding
            source = pad_image(x, pairs, p.padding_mode, np.asarray(p.padding_value))
        calls = self._calls_for(source, result)
        if calls is None:
            one = self._layer.passes.problem
            require_memory(source.nbytes + out.nbytes, READ_IN_PLACE, "the dense copies of one image and its result")
            given, source = source, _like(source, strides_of(one), p.dtype)
            np.copyto(source, given)
            result = _like(out, out_strides_of(one), p.dtype)
            calls = self._calls_for(source, result)
        if calls is None:
            raise RuntimeError("tiles that were chosen for dense arrays walk them")  # pragma: no cover
        calls.run_ids(*map(id, (self._weights, self._bias, self._room(calls.room_bytes), source, result)))
        if result is not out:
            np.copyto(out, result)

    def _calls_for(self, source: Array, out: Array) -> PassCalls | None:
        """Return the calls for one image and its result, or None where the tiles cannot walk them."""
        one = self._layer.passes.problem
        strides = normal(source.strides, source.shape, strides_of(one))
        out_strides = normal(out.strides, out.shape, out_strides_of(one))
        return self._layer.calls_for(strides, out_strides) if source.dtype.isnative else None

    def _room(self, nbytes: int) -> Array:
        """Memory for what is between the passes, this thread's own: it starts at a line of the cache."""
        room: Array | None = getattr(self._arena, "room", None)
        if room is None or len(room) < nbytes:
            room = self._arena.room = at_a_line(nbytes)
        return room


def _like(array: Array, strides: Strides, dtype: np.dtype[Any]) -> Array:
    """Return a new array of a shape, and of strides that a dense one would have."""
    nbytes = sum((n - 1) * stride for n, stride in zip(array.shape, strides, strict=True)) + dtype.itemsize
    return np.lib.stride_tricks.as_strided(np.empty(nbytes // dtype.itemsize, dtype), array.shape, strides)
