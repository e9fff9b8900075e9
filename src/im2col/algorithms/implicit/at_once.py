"""A layer, or several, and the packing of their weights as one call from Python."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from ...engine import gather, scratch
from ...engine.compiler import EngineError, required
from ...engine.copies import Copies, Move, filling
from ...engine.sequence import Round, Step, Steps, address_of
from .dots import share_of
from .packing import parts_by_place, room_for_bias, room_for_weights, values_by_place, with_scales
from .shares import one_task
from .turned import add_turned, bytes_between, turned
from .view import LINE
from .work import BIAS, GIVEN_BIAS, GIVEN_WEIGHTS, WEIGHTS, Starts, X, together

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from ...engine.team import Together
    from ...spec.problem import Problem
    from .packing import PackedAt, Parts
    from .tables import Tables
    from .view import Copy, GroupShape
    from .work import Calls

    Array = NDArray[Any]

_CLEARED = 64 << 10
"""Bytes of packed weights up to which all of them are cleared for the sake of blocks that filters do not fill."""

_SHARED = 8
"""Filters whose weights are summed together, at most."""
_BYTE = np.dtype(np.uint8)
_PARTS = 2
"""How many times what is packed at a time fits into the second level of cache."""
_MOST_PACKED = 1.5
"""How many times as many blocks several tasks may pack as there are."""


class LayersAtOnce:
    """Calls behind the copies that pack their weights and their bias: ``run(out, x, w, bias)``.

    Parameters
    ----------
    steps : Steps or _Shared
    nbytes : int
        Of the room for weights, and for what is copied before.
    offsets : ndarray or None
        What the packed bias is before the given one is written into it; None where kernels read none.
    cleared : bool
        Whether some filters or channels of a block are not there, and stand as zeros.
    any_threads : bool
        Whether the number of threads makes no difference.
    lines : bool
        Whether the room begins at a line of the cache: with the copy of an image.
    """

    def __init__(
        self,
        steps: Steps | _Shared,
        nbytes: int,
        offsets: Array | None,
        cleared: bool,
        any_threads: bool,
        lines: bool = False,
    ) -> None:
        self._run, self._steps, self._lines, self._offsets = steps.run_ids, steps, lines, offsets
        self._nbytes = nbytes + LINE * lines
        self._room = np.zeros if cleared else np.empty if nbytes < _CLEARED else scratch.empty
        self.any_threads = any_threads

    def __call__(self, out: Array, x: Array, w: Array, bias: Array | None = None) -> None:
        """Overwrite `out`."""
        room = self._room(self._nbytes, _BYTE)
        if self._lines:
            room = room[-address_of(room) % LINE :]
        if self._offsets is None:
            self._run(id(room), id(room), id(w), id(w), id(x), id(out))
        else:
            offsets = self._offsets.copy()
            self._run(id(room), id(offsets), id(w), id(w if bias is None else bias), id(x), id(out))


class _Shared(NamedTuple):
    """Tasks for several threads, behind what all of them read."""

    before: Steps
    tasks: Steps | Together

    def run_ids(self, *ids: int) -> None:
        """Run them for arrays of these identities."""
        self.before.run_ids(*ids)
        self.tasks.run_ids(*ids)


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
        A view of the call's weights.
    packed : Parts
        What weights are packed as.
    zero : int
        The pixel that contributes nothing, whose share is taken off the bias.
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
    packed: Parts
    zero: int = 0
    copy: Copy | None = None

    @property
    def copied(self) -> int:
        """Bytes of the copy of all images, or of a band."""
        return self.copy.pitch * self.problem.batch if self.copy else self.calls.room_bytes

    @property
    def moves(self) -> list[Move]:
        """What copies all images, if they are copied together: into their padding, if that is part of the copy."""
        copy = self.copy
        if copy is None:
            return []
        seen = self.x[(slice(None), slice(None), *(slice(None, None, step) for step in copy.step))]
        return turned(Move(seen.shape, (copy.pitch, *copy.strides), seen.strides, copy.dtype, seen.dtype, copy.offset))

    @property
    def clears(self) -> bool:
        """Whether some filters of a block are not there, or some channels of a lane, and stand as zeros."""
        return bool(self.filters.shape[2] % self.packed.number) or any(
            each.packed[-1] > each.split[2] for each in self.tables.places
        )

    @classmethod
    def of(
        cls,
        problem: Problem,
        tables: Tables,
        calls: Calls,
        group: GroupShape,
        packed: Parts,
        zero: int,
        copy: Copy | None,
        *views: Array,
    ) -> Self | None:
        """Return the stage of views of image, result and weights, (groups, filters of a group, channels, *kernel).

        None where the weights are no such view as they are packed.
        """
        x, out, w = views
        with suppress(ValueError):
            filters = w.reshape(group.groups, group.filters, *w.shape[2:], copy=False)
            return cls(problem, tables, calls, group, x, out, filters, packed, zero, copy)
        return None

    def with_others(
        self,
        stages: Sequence[LayerStage],
        arrays: Sequence[Array],
        bias: Array | None,
        scales: NDArray[np.float32] | None = None,
    ) -> LayersAtOnce | None:
        """Return the call of all stages, this one among them, or None where it is not one; see `contract.Stage`."""
        with suppress(EngineError):
            return _joined(stages, arrays, bias, scales)
        return None


def _joined(
    stages: Sequence[LayerStage],
    arrays: Sequence[Array],
    bias: Array | None,
    scales: NDArray[np.float32] | None,
) -> LayersAtOnce | None:
    x, out, w = arrays
    counts = [room_for_weights(stage.tables.places) * stage.packed.nbytes for stage in stages]
    images = max(stage.copied for stage in stages)  # stages come one after another
    as_given = max(count // stage.packed.dtype.itemsize for count, stage in zip(counts, stages, strict=True))
    as_given *= w.itemsize * (w.dtype != stages[0].packed.dtype)
    last = max(as_given, *(bytes_between(stage.moves) for stage in stages))
    room = np.empty(images + sum(counts) + last, np.uint8)  # the copy of an image first
    shared = max(len(stage.calls.tasks) for stage in stages) > 1
    threads = max(stage.calls.threads for stage in stages)
    if gather.worthy_threads(room.nbytes, threads) > 1 and not shared:
        return None
    alike = all(one_task(stage.problem.flops) for stage in stages) and gather.worthy_threads(room.nbytes, 2) == 1
    cleared = any(stage.clears for stage in stages)
    if cleared and sum(counts) >= _CLEARED:
        return None
    adds = bias is not None or scales is not None or any(stage.zero for stage in stages)
    sums = [room_for_bias(stage.tables.places) * adds for stage in stages]
    offsets = None
    if adds:  # where there are scales, there is one stage
        nothing = np.zeros(sum(sums), stages[0].problem.accumulator)
        offsets = with_scales(stages[0].tables.places, stages[0].group, nothing, scales)
    if len(stages) == 1 and not cleared and _outweighs(stages[0], sum(counts)):
        found = _part_by_part(stages[0], images, offsets, (x, w, bias))
        return None if found is None else LayersAtOnce(*found, offsets, cleared, alike, images > 0)
    if shared:
        return None
    before = Copies()  # a result may lie where the bias does, so all stages' come first
    rounds, first, first_sum = [Round(before.steps)], images, 0
    kept: list[object] = [before]
    for stage, count, sum_count in zip(stages, counts, sums, strict=True):
        copies = Copies()
        made = _bias_copied(before, stage, offsets, slice(first_sum, first_sum + sum_count), bias)
        made = _weights_packed(copies, stage, stage.tables.places, room, first, w) and made
        if not (_image_copied(copies, stage, room, x) and made):
            return None
        image = (WEIGHTS, 0) if stage.copy else (X, address_of(stage.x) - address_of(x))
        at = first, 0 if offsets is None else first_sum * offsets.itemsize, address_of(stage.out) - address_of(out)
        shares = _shares(stage, stage.tables.places, at[0], at[1], kept)
        each, keep = stage.calls.behind(Round(copies.steps, sums=shares), Starts(image, *at))
        rounds += [*_padding(stage, kept), *each]
        kept += [copies, keep]
        first, first_sum = first + count, first_sum + sum_count
    steps = Steps(rounds, stages[0].calls.target, kept)
    return LayersAtOnce(steps, room.nbytes, offsets, cleared, alike, images > 0)


def _read(stage: LayerStage) -> Array:
    """Return a stage's filters in the order in which the image is read."""
    return np.flip(stage.filters, tuple(range(3, stage.filters.ndim))) if stage.problem.flip else stage.filters


def _weights_packed(
    copies: Copies, stage: LayerStage, places: list[PackedAt], room: Array, first: int, w: Array
) -> bool:
    """Add the copies that pack some of a stage's weights from a byte of a room on; return whether the engine does.

    Those of another dtype are packed as they are to the room's end, and then converted one after another.
    """
    parts = stage.packed
    count = room_for_weights(places) * parts.number
    to = room[first : first + count * parts.dtype.itemsize].view(parts.dtype)
    as_given = to if w.dtype == parts.dtype else room[len(room) - count * w.itemsize :].view(w.dtype)
    made = True
    for part, source in parts_by_place(places, as_given, _read(stage), parts.number):
        made = copies.add((WEIGHTS, room, part), (GIVEN_WEIGHTS, w, source), scattered=parts.number > 1) and made
    return made and (as_given is to or copies.add((WEIGHTS, room, to), (WEIGHTS, room, as_given)))


def _shares(stage: LayerStage, places: list[PackedAt], weights: int, bias: int, keep: list[object]) -> list[Step]:
    """Return what takes the share of pixels that are the zero off the bias, both packed from a byte on, if it is any.

    Raises
    ------
    EngineError
        If a kernel cannot be compiled, after the engine's warning.
    """
    if not stage.zero:
        return []
    steps = []
    for place in places:
        groups, blocks, *taps, filters = place.packed
        job = np.array([groups * blocks, math.prod(taps), filters], np.int64)
        kernel = required(share_of(stage.zero, math.gcd(filters, _SHARED)))
        steps.append(Step(kernel, ((BIAS, bias + place.bias_at), (WEIGHTS, weights)), (job.ctypes.data,)))
        weights += math.prod(place.packed) * stage.packed.nbytes
        keep.append(job)
    return steps


def _image_copied(copies: Copies, stage: LayerStage, room: Array, x: Array) -> bool:
    """Add the copies of a stage's images to where a room begins, if there are any; return whether the engine does.

    What is turned before it is converted is turned to the room's end.
    """
    moves = stage.moves
    last = room.nbytes - bytes_between(moves)
    source = X, address_of(stage.x) - address_of(x)
    inside = (
        sum(pair[0] * step for pair, step in zip(stage.copy.pads, stage.copy.strides[1:], strict=False))
        if stage.copy
        else 0
    )
    return not moves or add_turned(copies, moves, (WEIGHTS, inside), source, (WEIGHTS, last))


def _padding(stage: LayerStage, keep: list[object]) -> list[Round]:
    """Return what fills the room for a stage's images with what pads them, if that is part of their copy.

    Raises
    ------
    EngineError
        If a kernel cannot be compiled, after the engine's warning.
    """
    if stage.copy is None or not stage.copy.pads:
        return []
    return [Round(sums=[filling((WEIGHTS, 0), stage.copied, stage.copy.fill, keep)])]


def _bias_copied(copies: Copies, stage: LayerStage, offsets: Array | None, some: slice, bias: Array | None) -> bool:
    """Add the copies that pack a bias, if there is one, and return whether the engine makes them."""
    if bias is None or offsets is None:
        return True
    every = values_by_place(stage.tables.places, stage.group, offsets[some], bias)
    return all(copies.add((BIAS, offsets, to), (GIVEN_BIAS, bias, source)) for to, source in every)


def _outweighs(stage: LayerStage, weights: int) -> bool:
    """Whether so many bytes of weights outweigh the image, which is read again for each part of them."""
    p = stage.problem
    image = stage.copied or p.batch * p.channels * math.prod(p.geometry.spatial_shape) * p.x_dtype.itemsize
    return stage.group.groups == 1 and image <= stage.calls.target.caches[1] < weights and not stage.calls.room_bytes


def _part_by_part(
    stage: LayerStage, images: int, offsets: Array | None, arrays: tuple[Array, Array, Array | None]
) -> tuple[Steps | _Shared, int] | None:
    """Return what packs some blocks just before they are used, each task its own, and how large the room is.

    None where the engine does not make all copies, or tasks would pack much of the weights twice.
    """
    x, w, bias = arrays
    places, parts, calls = stage.tables.places, stage.packed, stage.calls
    most = calls.target.caches[1] // _PARTS
    sizes = [math.prod(each.packed[2:]) * parts.nbytes for each in places]  # bytes of a block
    pieces = [list(_pieces(places, [max(1, most // size) for size in sizes], some)) for some in calls.blocks]
    own = [max(count * sizes[kind] for kind, _, _, count in some) for some in pieces]
    as_given = max(own) // parts.nbytes * parts.number * w.itemsize * (w.dtype != parts.dtype)
    several = len(calls.tasks) > 1
    packed, needed = sum(map(len, calls.blocks)), sum(each.packed[1] for each in places)
    # Who packs a block takes the share of zeros off its bias: twice would be wrong.
    if several and (as_given or packed > needed * (1.0 if stage.zero else _MOST_PACKED)):
        return None
    if sum(own) > sum(each.packed[1] * size for each, size in zip(places, sizes, strict=True)):
        return None  # no more than what the workspace has for packed weights
    nbytes = images + sum(own) + max(as_given, bytes_between(stage.moves))
    room = np.empty(nbytes, np.uint8)
    before, at = Copies(), images
    kept: list[object] = [before]
    made = [
        _bias_copied(before, stage, offsets, slice(room_for_bias(places)), bias),
        _image_copied(before, stage, room, x),
    ]
    first_rounds, tasks = [*_padding(stage, kept), Round(before.steps)], []
    for task, some in enumerate(pieces):
        packing = []
        for kind, number, first, count in some:
            copies, these = Copies(), [places[kind].of_blocks(first, count, stage.problem.accumulator.itemsize)]
            made.append(_weights_packed(copies, stage, these, room, at, w))
            shares = _shares(stage, these, at, 0, kept)
            packing.append((number, number + count, Round(copies.steps, sums=shares)))
            kept.append(copies)
        rounds, keep = calls.part_by_part(task, packing, sizes, Starts((WEIGHTS, 0) if stage.copy else (X, 0), at))
        tasks.append(rounds)
        kept.append(keep)
        at += own[task]
    if not all(made):
        return None
    if not several:
        return Steps([*first_rounds, *tasks[0]], calls.target, kept), nbytes
    steps = [Steps(rounds, calls.target, kept) for rounds in (first_rounds, *tasks)]
    shared = together(steps[1:], calls.target, calls.threads, worth_waking=calls.worth_waking)
    return _Shared(steps[0], shared), nbytes


def _pieces(places: list[PackedAt], steps: list[int], some: range) -> Iterator[tuple[int, int, int, int]]:
    """Yield parts of some blocks: of which kind, the first among all and of its kind, and how many, a step at most."""
    number = 0
    for kind, (place, step) in enumerate(zip(places, steps, strict=True)):
        stop = min(place.packed[1], some.stop - number)
        for first in range(max(0, some.start - number), stop, step):
            yield kind, number + first, first, min(step, stop - first)
        number += place.packed[1]
