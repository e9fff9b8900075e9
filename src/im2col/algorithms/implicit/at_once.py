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
from .view import LINE
from .work import BIAS, GIVEN_BIAS, GIVEN_WEIGHTS, WEIGHTS, Starts, X, one_task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ...spec.problem import Problem
    from .tables import Tables
    from .view import Copy, GroupShape
    from .work import Calls

    Array = NDArray[Any]

_CLEARED = 64 << 10
"""Bytes of packed weights up to which all of them are cleared for the sake of blocks that filters do not fill."""

_PARTS = 2
"""How many times what is packed at a time fits into the second level of cache."""


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
    lines : bool
        Whether the room begins at a line of the cache: with the copy of an image.
    """

    def __init__(
        self, steps: Steps, weights: Array, offsets: Array, cleared: bool, any_threads: bool, lines: bool = False
    ) -> None:
        self._run, self._steps, self._lines = steps.run_ids, steps, lines
        self._weights, self._dtype, self._offsets, self._sums = len(weights), weights.dtype, len(offsets), offsets.dtype
        self._weights += LINE // weights.itemsize * lines
        self._room = np.zeros if cleared else np.empty if weights.nbytes < _CLEARED else scratch.empty
        self.any_threads = any_threads

    def __call__(self, out: Array, x: Array, w: Array, bias: Array | None = None) -> None:
        """Overwrite `out`."""
        weights = self._room(self._weights, self._dtype)
        if self._lines:
            weights = weights[-address_of(weights) % LINE // self._dtype.itemsize :]
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
    copy : Copy or None
        Of all images, that are read in their place, unless the calls make copies band by band.
    """

    problem: Problem
    tables: Tables
    calls: Calls
    group: GroupShape
    x: Array
    out: Array
    filters: Array
    copy: Copy | None = None

    @property
    def copied(self) -> int:
        """Bytes of the copy of all images, or of a band."""
        return self.copy.pitch * self.problem.batch if self.copy else self.calls.room_bytes

    @classmethod
    def of(
        cls, problem: Problem, tables: Tables, calls: Calls, group: GroupShape, copy: Copy | None, *views: Array
    ) -> Self | None:
        """Return the stage of views of image, result and weights, (groups, filters of a group, channels, *kernel).

        None where the weights are no such view as they are packed, or where there are several tasks.
        """
        x, out, w = views
        with suppress(ValueError):
            filters = w.reshape(group.groups, group.filters, group.channels, *w.shape[3:], copy=False)
            return cls(problem, tables, calls, group, x, out, filters, copy) if len(calls.tasks) == 1 else None
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
    images = max(stage.copied for stage in stages) // w.itemsize  # stages come one after another
    room = np.empty(images + sum(counts), w.dtype)  # the copy of an image before them
    weights = room[images:]
    threads = max(stage.calls.threads for stage in stages)
    if gather.worthy_threads(room.nbytes, threads) > 1:
        return None
    alike = all(one_task(stage.problem.flops) for stage in stages) and gather.worthy_threads(room.nbytes, 2) == 1
    cleared = any(each.packed[-1] > each.split[2] for stage in stages for each in stage.tables.places)
    if cleared and weights.nbytes >= _CLEARED:
        return None
    sums = [room_for_bias(stage.tables.places) if bias is not None else 0 for stage in stages]
    offsets = np.empty(sum(sums), w.dtype if bias is None else bias.dtype)
    if len(stages) == 1 and not cleared and _outweighs(stages[0], weights.nbytes):
        found = _part_by_part(stages[0], images, offsets, (x, w, bias))
        if found is None:
            return None
        rounds, keep, count = found
        return LayersAtOnce(
            Steps(rounds, stages[0].calls.target, keep), room[:count], offsets, cleared, alike, images > 0
        )
    before = Copies()  # a result may lie where the bias does, so all stages' come first
    rounds, first, first_sum = [Round(before.steps)], 0, 0
    kept: list[object] = [before]
    for stage, count, sum_count in zip(stages, counts, sums, strict=True):
        copies = Copies()
        packed, values = weights[first : first + count], offsets[first_sum : first_sum + sum_count]
        made = _bias_copied(before, stage, offsets, values, bias)
        for _, to, source in weights_by_place(stage.tables.places, packed, _read(stage)):
            made = copies.add((WEIGHTS, room, to), (GIVEN_WEIGHTS, w, source)) and made
        if not (_image_copied(copies, stage, room, x) and made):
            return None
        image = (WEIGHTS, 0) if stage.copy else (X, address_of(stage.x) - address_of(x))
        at = (images + first) * w.itemsize, first_sum * offsets.itemsize, address_of(stage.out) - address_of(out)
        each, keep = stage.calls.behind(copies, Starts(image, *at))
        rounds += each
        kept.append(keep)
        first, first_sum = first + count, first_sum + sum_count
    return LayersAtOnce(Steps(rounds, stages[0].calls.target, kept), room, offsets, cleared, alike, images > 0)


def _read(stage: LayerStage) -> Array:
    """Return a stage's filters in the order in which the image is read."""
    return np.flip(stage.filters, tuple(range(3, stage.filters.ndim))) if stage.problem.flip else stage.filters


def _image_copied(copies: Copies, stage: LayerStage, room: Array, x: Array) -> bool:
    """Add the copies of a stage's images to where a room begins, if there are any; return whether the engine does."""
    copy = stage.copy
    if copy is None:
        return True
    shape, strides = (stage.problem.batch, *copy.shape), (copy.pitch, *copy.strides)
    to = np.lib.stride_tricks.as_strided(room, shape, strides)
    stops = (slice(None), slice(None), *(slice(None, None, step) for step in copy.step))
    return copies.add((WEIGHTS, room, to), (X, x, stage.x[stops]))


def _bias_copied(copies: Copies, stage: LayerStage, offsets: Array, values: Array, bias: Array | None) -> bool:
    """Add the copies that pack a bias, if there is one, and return whether the engine makes them."""
    if bias is None:
        return True
    every = values_by_place(stage.tables.places, stage.group, values, bias)
    return all(copies.add((BIAS, offsets, to), (GIVEN_BIAS, bias, source)) for to, source in every)


def _outweighs(stage: LayerStage, weights: int) -> bool:
    """Whether so many bytes of weights outweigh the image, which is read again for each part of them."""
    p = stage.problem
    image = stage.copied or p.batch * p.channels * math.prod(p.geometry.spatial_shape) * p.x_dtype.itemsize
    return stage.group.groups == 1 and image <= stage.calls.target.caches[1] < weights


def _part_by_part(
    stage: LayerStage, images: int, offsets: Array, arrays: tuple[Array, Array, Array | None]
) -> tuple[list[Round], object, int] | None:
    """Return the rounds that pack some blocks just before they are used, what they need, and how large the room is."""
    x, w, bias = arrays
    room = np.empty(images + room_for_weights(stage.tables.places), w.dtype)
    before, parts, sizes, largest, number = Copies(), [], [], 0, 0
    made = [_bias_copied(before, stage, offsets, offsets, bias), _image_copied(before, stage, room, x)]
    for _, to, source in weights_by_place(stage.tables.places, room[images:], _read(stage)):
        nbytes = to[0, 0].nbytes
        sizes.append(nbytes)
        most = max(1, stage.calls.target.caches[1] // _PARTS // nbytes)
        for first in range(0, to.shape[1], most):
            blocks = source[0, first : first + most]
            packed, copies = room[images : images + blocks.size].reshape(blocks.shape), Copies()
            made.append(copies.add((WEIGHTS, room, packed), (GIVEN_WEIGHTS, w, blocks)))
            parts.append((number, number + len(blocks), copies))
            number, largest = number + len(blocks), max(largest, packed.nbytes)
    if not all(made):
        return None
    at = Starts((WEIGHTS, 0) if stage.copy else (X, 0), images * w.itemsize)
    return *stage.calls.part_by_part(before, parts, sizes, at), images + largest // w.itemsize
