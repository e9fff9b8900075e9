"""A layer, or several, and the packing of their weights as one call from Python."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from ...engine import gather, scratch
from ...engine.compiler import EngineError
from ...engine.copies import Copies
from ...engine.sequence import Round, Steps, address_of
from .packing import room_for_bias, room_for_weights, values_by_place, weights_by_place
from .work import BIAS, GIVEN_BIAS, GIVEN_WEIGHTS, WEIGHTS, one_task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ...spec.problem import Problem
    from .view import GroupShape
    from .work import Calls, Tables

    Array = NDArray[Any]

_CLEARED = 64 << 10
"""Bytes of packed weights up to which all of them are cleared for the sake of blocks that filters do not fill."""

_IMAGES = 4
"""How many of the image there must be room for in the second level, that blocks of filters are packed one by one: it is
read again for each of them."""


class LayersAtOnce:
    """Calls behind the copies that pack their weights and their bias: ``run(out, x, w, bias)``.

    Parameters
    ----------
    steps : Steps
    weights, offsets : ndarray
        Like those that are packed.
    cleared : bool
        Whether some filters of a block are not there, and stand as zeros.
    any_threads : bool
        Whether the number of threads makes no difference.
    """

    def __init__(self, steps: Steps, weights: Array, offsets: Array, cleared: bool, any_threads: bool) -> None:
        self._run, self._steps = steps.run_ids, steps
        self._weights, self._dtype, self._offsets, self._sums = len(weights), weights.dtype, len(offsets), offsets.dtype
        self._room = np.zeros if cleared else np.empty if weights.nbytes < _CLEARED else scratch.empty
        self.any_threads = any_threads

    def __call__(self, out: Array, x: Array, w: Array, bias: Array | None = None) -> None:
        """Overwrite `out`."""
        weights = self._room(self._weights, self._dtype)
        if bias is None:
            self._run(id(weights), id(weights), id(w), id(w), id(x), id(out))
        else:
            offsets = np.zeros(self._offsets, self._sums)
            self._run(id(weights), id(offsets), id(w), id(bias), id(x), id(out))


class LayerStage(NamedTuple):
    """A layer that is a stage of a call; see `contract.Stage`.

    Parameters
    ----------
    problem : Problem
    tables : Tables
    calls : Calls
        They read the image in place, and weights that are packed as they are.
    group : GroupShape
        As it is packed.
    x, out : ndarray
        Of the stage: views of the call's arrays.
    filters : ndarray, (groups, filters, channels, *kernel)
        A view of the call's weights, as they are packed.
    """

    problem: Problem
    tables: Tables
    calls: Calls
    group: GroupShape
    x: Array
    out: Array
    filters: Array

    @classmethod
    def of(cls, problem: Problem, tables: Tables, calls: Calls, group: GroupShape, *views: Array) -> Self | None:
        """Return the stage of views of image, result and weights, (groups, filters of a group, channels, *kernel).

        None where the weights are no such view as they are packed, or where there are several tasks.
        """
        x, out, w = views
        with suppress(ValueError):
            filters = w.reshape(group.groups, group.filters, group.channels, *w.shape[3:], copy=False)
            return cls(problem, tables, calls, group, x, out, filters) if len(calls.tasks) == 1 else None
        return None

    def with_others(
        self, stages: Sequence[LayerStage], arrays: Sequence[Array], bias: Array | None
    ) -> LayersAtOnce | None:
        """Return the call of all stages, this one among them, or None where it is not one; see `contract.Stage`."""
        with suppress(EngineError):
            return _joined(stages, arrays, bias)
        return None


def _joined(stages: Sequence[LayerStage], arrays: Sequence[Array], bias: Array | None) -> LayersAtOnce | None:
    x, out, w = arrays
    counts = [room_for_weights(stage.tables.places) for stage in stages]
    room = -(-max(stage.calls.room_bytes for stage in stages) // w.itemsize)
    weights, nbytes = np.empty(sum(counts) + room, w.dtype), sum(counts) * w.itemsize
    threads = max(stage.calls.threads for stage in stages)
    if gather.worthy_threads(nbytes, threads) > 1:
        return None
    alike = all(one_task(stage.problem.flops) for stage in stages) and gather.worthy_threads(nbytes, 2) == 1
    cleared = any(each.packed[-1] > each.split[2] for stage in stages for each in stage.tables.places)
    if cleared and nbytes >= _CLEARED:
        return None
    sums = [room_for_bias(stage.tables.places) if bias is not None else 0 for stage in stages]
    offsets = np.empty(sum(sums), w.dtype if bias is None else bias.dtype)
    if len(stages) == 1 and not cleared and _outweighs(stages[0], nbytes):
        found = _block_by_block(stages[0], weights, offsets, w, bias, room)
        if found is None:
            return None
        rounds, keep, weights = found
        return LayersAtOnce(Steps(rounds, stages[0].calls.target, keep), weights, offsets, cleared, alike)
    before = Copies()  # a result may lie where the bias does, so all stages' come first
    rounds, first, first_sum = [Round(before.steps)], 0, 0
    kept: list[object] = [before]
    for stage, count, sum_count in zip(stages, counts, sums, strict=True):
        copies = Copies()
        packed, values = weights[first : first + count], offsets[first_sum : first_sum + sum_count]
        made = _bias_copied(before, stage, offsets, values, bias)
        for _, to, source in weights_by_place(stage.tables.places, packed, _read(stage)):
            made = copies.add((WEIGHTS, weights, to), (GIVEN_WEIGHTS, w, source)) and made
        if not made:
            return None
        starts = (address_of(view) - address_of(whole) for view, whole in ((stage.x, x), (stage.out, out)))
        x_at, out_at = starts
        at = x_at, first * weights.itemsize, first_sum * offsets.itemsize, out_at
        each, keep = stage.calls.behind(copies, at, nbytes)
        rounds += each
        kept.append(keep)
        first, first_sum = first + count, first_sum + sum_count
    return LayersAtOnce(Steps(rounds, stages[0].calls.target, kept), weights, offsets, cleared, alike)


def _read(stage: LayerStage) -> Array:
    """Return a stage's filters in the order in which the image is read."""
    return np.flip(stage.filters, tuple(range(3, stage.filters.ndim))) if stage.problem.flip else stage.filters


def _bias_copied(copies: Copies, stage: LayerStage, offsets: Array, values: Array, bias: Array | None) -> bool:
    """Add the copies that pack a bias, if there is one, and return whether the engine makes them."""
    if bias is None:
        return True
    every = values_by_place(stage.tables.places, stage.group, values, bias)
    return all(copies.add((BIAS, offsets, to), (GIVEN_BIAS, bias, source)) for to, source in every)


def _outweighs(stage: LayerStage, weights: int) -> bool:
    """Whether so many bytes of weights outweigh the image, which the caches hold beside a block of them."""
    p = stage.problem
    image = p.batch * p.channels * math.prod(p.geometry.spatial_shape) * p.x_dtype.itemsize
    fits = image * _IMAGES < stage.calls.target.caches[1] < weights
    return stage.group.groups == 1 and fits and stage.calls.copies_once


def _block_by_block(
    stage: LayerStage, weights: Array, offsets: Array, w: Array, bias: Array | None, room: int
) -> tuple[list[Round], object, Array] | None:
    """Return the rounds that pack a block just before it is used, what they need, and room for a block.

    Behind it there is `room` for copies of the image, in elements.
    """
    before, blocks, sizes = Copies(), [], []
    made = [_bias_copied(before, stage, offsets, offsets, bias)]
    for _, to, source in weights_by_place(stage.tables.places, weights, _read(stage)):
        sizes.append(to[0, 0].nbytes)
        for each in source[0]:
            blocks.append(Copies())
            made.append(blocks[-1].add((WEIGHTS, to, to[0, 0]), (GIVEN_WEIGHTS, w, each)))
    if not all(made):
        return None
    rounds, keep = stage.calls.block_by_block(before, blocks, sizes, max(sizes))
    return rounds, keep, np.empty(max(sizes) // w.itemsize + room, w.dtype)
