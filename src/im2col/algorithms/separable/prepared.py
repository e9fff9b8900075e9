"""Passes ready to run: filters as packed factors, bands of the map as one list of calls."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...engine.compiler import required
from ...engine.host import require_memory
from ...engine.sequence import Round, Steps
from ...memory import lazy, recalled
from ...spec.padded import pad_image
from ...spec.strides import normal
from ..implicit.packing import pack, room_for_bias, room_for_weights
from ..implicit.prepared import OwnRoom
from ..implicit.shares import WORTH_WAKING
from ..implicit.view import LINE
from ..implicit.work import READ_IN_PLACE, ROOM, Calls, Starts, X, together
from .factors import factors
from .passes import bands, out_strides_of, rows_between, strides_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ...engine.compiler import Kernel
    from ...spec.problem import Problem
    from ..implicit.decide import Decision
    from ..implicit.tables import Tables
    from ..implicit.view import View
    from .boxes import BoxCalls, DecidedBoxes
    from .passes import Band, Passes, Strip

    Array = NDArray[Any]
    Strides = tuple[int, ...]

_CALLS_BYTES = 4096
"""Of the calls of a band, at most."""


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
        self.one, self.copied, self.target = passes.problem, passes.copied, passes.strips[0].down.target
        self.reason, self.cycles = passes.reason, passes.cycles

    @lazy
    def tables(self) -> dict[Decision, Tables]:
        """Return the tables of every view for dense arrays."""
        return {each: each.tables(each.view) for each in self.decisions}

    @lazy
    def decisions(self) -> tuple[Decision, ...]:
        """Return the views of both passes, each once: strips inside are alike."""
        return tuple(dict.fromkeys(each for strip in self.passes.strips for each in (strip.down, strip.across)))

    def kernels(self) -> tuple[Kernel, ...]:
        """Return the kernels that it runs, each once."""
        return tuple(dict.fromkeys(kernel for tables in self.tables.values() for kernel in tables.kernels))

    @lazy
    def places(self) -> dict[Decision, tuple[int, int]]:
        """Return where the weights and the bias of each view begin among those of all, in numbers."""
        found, weights, bias = {}, 0, 0
        for each, tables in self.tables.items():
            found[each] = weights, bias
            weights += room_for_weights(tables.places)
            bias += room_for_bias(tables.places) if each.epilogue.bias else 0
        return found

    @property
    def workspace_bytes(self) -> int:
        """Bytes that a plan takes, and a call, at most: tables, and what finds and packs factors, included."""
        p, one = self.problem, self.passes.problem
        shape = one.channels, *one.geometry.spatial_shape
        copied = math.prod(shape) * p.dtype.itemsize if self.passes.copied else 0
        tables = sum(each.table_bytes + 3 * each.workspace_bytes for each in self.decisions)
        kernel = 64 * math.prod(p.geometry.kernel_size) * (p.kernel_rank or 1)
        rows = self.threads * self.passes.between.nbytes + 2 * LINE
        return tables + copied + kernel + rows + _CALLS_BYTES * self._most_bands

    @property
    def _most_bands(self) -> int:
        """At most how many bands there are, of all strips and groups."""
        bands = 2 + 2 * self.problem.geometry.output_shape[0] // self.passes.between.rows
        return self.problem.groups * len(self.passes.strips) * bands

    def packed(self, w: Array, bias: Array | None) -> tuple[Array, Array]:
        """Return the packed factors of filters, and the bias."""
        p, (kh, kw) = self.problem, self.problem.geometry.kernel_size
        down, across = (each[..., ::-1] if p.flip else each for each in factors(w, p.precision, p.kernel_rank or 1))
        values: dict[Decision, tuple[Array, Array | None]]
        values = {strip.down: (down.reshape(-1, 1, kh, 1), None) for strip in self.passes.strips}
        values |= {strip.across: (across.reshape(p.filters, -1, 1, kw), bias) for strip in self.passes.strips}
        packed = [
            pack(tables.places, each.packed_group, *values[each], p.dtype, self.threads)
            for each, tables in self.tables.items()
        ]
        weights = np.concatenate([each.weights for each in packed])
        offsets = [each.bias for each in packed if each.bias is not each.weights]
        return weights, np.concatenate(offsets) if offsets else weights

    def calls_for(self, strides: Strides, out_strides: Strides) -> PassCalls | None:
        """Return the calls for an image and a result of these strides, or None where the tiles cannot walk them."""
        return recalled((self, strides, out_strides), partial(self._made_for, strides, out_strides))

    def _made_for(self, strides: Strides, out_strides: Strides) -> PassCalls | None:
        one = self.passes.problem
        if (strides, out_strides) == (strides_of(one), out_strides_of(one)):
            return PassCalls(self, {each: (tables, each.view) for each, tables in self.tables.items()}, strides)
        width, (along, step) = one.geometry.output_shape[1], out_strides[2:]
        if along <= (width - 1) * step:
            return None
        require_memory(
            sum(each.table_bytes for each in self.decisions), READ_IN_PLACE, "the tables for arrays that are not dense"
        )
        views = {}
        for strip in self.passes.strips:
            views[strip.down] = strip.down.view_for(strides, strip.down.out_strides)
            views[strip.across] = strip.across.view_for(strip.across.strides, out_strides)
        there = {each: (each.tables(view), view) for each, view in views.items() if view is not None}
        return PassCalls(self, there, strides) if len(there) == len(views) else None


class PassCalls:
    """The calls of both passes for one image of some strides, in tasks for threads, each with a room of its own."""

    def __init__(
        self, layer: DecidedPasses, views: dict[Decision, tuple[Tables, View]], strides: tuple[int, ...]
    ) -> None:
        self._layer, self._views, self._pixel = layer, views, strides[3]
        passes, flops = layer.passes, layer.problem.flops // layer.problem.batch
        p, target, rows = passes.problem, passes.strips[0].down.target, passes.between.rows
        self._calls = {each: Calls(tables, target, 1, 1, flops) for each, (tables, _) in views.items()}
        alone = passes.between.together < passes.between.planes
        groups = [(g, g + 1) for g in range(p.groups)] if alone else [(0, p.groups)]
        cut = [(strip, band) for strip in passes.strips for band in bands(strip, rows, *views[strip.down])]
        units = [(some, *each) for some in groups for each in cut]
        count = min(layer.threads, len(units))
        self._keep: list[Any] = [self._calls]
        tasks = []
        for i in range(count):
            rounds: list[Round] = []
            for some, strip, band in units[len(units) * i // count : len(units) * (i + 1) // count]:
                rounds += self._rounds(some, strip, band, i * passes.between.nbytes)
            tasks.append(Steps(rounds, target, self._keep))
        self.room_bytes = count * passes.between.nbytes
        self._tasks = together(tasks, target, layer.threads, worth_waking=flops >= WORTH_WAKING)

    def run_ids(self, weights: int, bias: int, room: int, x: int, out: int) -> None:
        """Run them all for packed weights, bias, room, image and result of which the identities are given."""
        self._tasks.run_ids(weights, bias, room, bias, x, out)

    def _rounds(self, groups: tuple[int, int], strip: Strip, band: Band, room: int) -> list[Round]:
        """Return the calls that compute a band of some groups; what is between the passes begins at byte `room`."""
        between, p = self._layer.passes.between, self._layer.passes.problem
        _, plane, row, _ = between.strides
        before = groups[0] * (between.planes // p.groups) * plane
        channels, filters = ((groups[0] * n, groups[1] * n) for n in (p.group_channels, p.group_filters))
        (weights, _), size = self._layer.places[strip.down], p.dtype.itemsize
        at = Starts((X, strip.pixel * self._pixel), weights * size, out=room - before - band.first * row)
        steps, kept = self._calls[strip.down].of_rows(band.runs, channels, at)
        into = [step._replace(addresses=(*step.addresses[:3], (ROOM, step.addresses[3][1]))) for step in steps]
        tables, view = self._views[strip.across]
        rows = rows_between(tables, view, band.new - band.first, band.stop - band.first)
        weights, bias = self._layer.places[strip.across]
        along, step = view.out_position
        out = band.first * along + strip.column * step
        at = Starts((ROOM, room - before), weights * size, bias * size, out)
        steps, also = self._calls[strip.across].of_rows(rows, filters, at)
        self._keep += [kept, also]
        return [Round(calls=into), Round(calls=steps)]


class PreparedPasses:
    """A layer with its filters factored, or summed up as boxes: ``run(x, out)``, see `Runner`."""

    def __init__(self, layer: DecidedPasses | DecidedBoxes, w: Array, bias: Array | None, scales: None = None) -> None:  # noqa: ARG002 (integers alone are requantised)
        self._layer, self._room = layer, OwnRoom()
        for kernel in layer.kernels():
            required(kernel, layer.target)  # now: a plan that was made never compiles
        self._weights, self._bias = layer.packed(w, bias)

    def __call__(self, x: Array, out: Array) -> None:
        """Convolve arrays of any strides, image by image."""
        for n in range(self._layer.problem.batch):
            self._one(x[n : n + 1], out[n : n + 1])

    def at_once(self, x: Array, out: Array) -> Callable[[int, int], None] | None:
        """Return what is called for arrays of these strides, by their identities; None where it is more than a call."""
        calls = None if self._layer.copied or len(x) > 1 else self._calls_for(x, out)
        if calls is None:
            return None
        weights, bias, nbytes = id(self._weights), id(self._bias), calls.room_bytes
        return lambda x, out: calls.run_ids(weights, bias, id(self._room.of(nbytes)), x, out)

    def _one(self, x: Array, out: Array) -> None:
        """Convolve one image."""
        p, source, result = self._layer.problem, x, out
        if self._layer.copied:
            pairs = (0, 0), (0, 0), *p.geometry.padding
            source = pad_image(x, pairs, p.padding_mode, np.asarray(p.padding_value))  # a copy, also without padding
        calls = self._calls_for(source, result)
        if calls is None:
            one = self._layer.one
            require_memory(source.nbytes + out.nbytes, READ_IN_PLACE, "the dense copies of one image and its result")
            given, source = source, _like(source, strides_of(one), p.dtype)
            np.copyto(source, given)
            result = _like(out, out_strides_of(one), p.dtype)
            calls = self._calls_for(source, result)
        if calls is None:
            raise RuntimeError("tiles for dense arrays walk them")  # pragma: no cover (by construction)
        calls.run_ids(*map(id, (self._weights, self._bias, self._room.of(calls.room_bytes), source, result)))
        if result is not out:
            np.copyto(out, result)

    def _calls_for(self, source: Array, out: Array) -> PassCalls | BoxCalls | None:
        """Return the calls for one image and its result, or None where the tiles cannot walk them."""
        one = self._layer.one
        strides = normal(source.strides, source.shape, strides_of(one))
        out_strides = normal(out.strides, out.shape, out_strides_of(one))
        return self._layer.calls_for(strides, out_strides) if source.dtype.isnative else None


def _like(array: Array, strides: Strides, dtype: np.dtype[Any]) -> Array:
    """Return a new array of a shape, and of strides that a dense one would have."""
    nbytes = sum((n - 1) * stride for n, stride in zip(array.shape, strides, strict=True)) + dtype.itemsize
    return np.lib.stride_tricks.as_strided(np.empty(nbytes // dtype.itemsize, dtype), array.shape, strides)
