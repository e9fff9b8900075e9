"""What kernels are called with: tables, and the calls that compute a layer, cut into tasks for threads."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...engine.compiler import required
from ...engine.sequence import ARRAYS, Round, Step, Steps
from ...importing import importing
from .shares import WORTH_WAKING, Ranges, bands_of, tasks_of
from .tasks import TASK

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ...engine.target import Target
    from ...engine.team import Together
    from .bands import BandedCopy
    from .tables import Tables, TileRun
    from .tasks import Far

    Array = NDArray[Any]

READ_IN_PLACE = "pass arrays in C order and in the machine's byte order"
"""The way out where a copy, or tables for arrays of other strides, would not fit the memory."""
_BLOCK0 = TASK.index("block0")
WEIGHTS, BIAS, GIVEN_WEIGHTS, GIVEN_BIAS, X, OUT = range(ARRAYS)
"""What a layer's calls are about: weights and bias as they are packed and as they were given, image, result."""
ROOM = GIVEN_WEIGHTS
"""Where weights are packed already: room for copies of the image."""


class Starts(NamedTuple):
    """Where a layer's arrays begin in those of a call: bytes, and which array the image is in."""

    image: tuple[int, int] = (X, 0)
    weights: int = 0
    bias: int = 0
    out: int = 0


_WHOLE = Starts()


class Calls:
    """The calls of a layer, cut into tasks; no array's address is among them.

    Parameters
    ----------
    tables : Tables
    target : Target
        The CPU that the kernels are for.
    batch : int
        Images that one run covers.
    threads : int
    flops : int
        Of those images.
    bands : int
        How many bands of the map there are to be, for `bands`; 0 where `run` runs them all.
    banded : BandedCopy or None
        What is read instead of the image, band by band. Each task makes its own, in a part of `room_bytes` that are its
        own, too.

    Raises
    ------
    EngineError
        If a kernel cannot be compiled, after the engine's warning.
    """

    def __init__(
        self,
        tables: Tables,
        target: Target,
        batch: int,
        threads: int,
        flops: int,
        bands: int = 0,
        banded: BandedCopy | None = None,
    ) -> None:
        self.target, self.threads, self.images = target, threads, batch
        ranges = bands_of(tables, batch, bands) if bands else tasks_of(tables, batch, threads, flops)
        self._tables, self._ranges, self._copy = tables, ranges, banded
        self.tasks: list[Steps] = []
        self.room_bytes = 0
        for r in ranges:
            keep: list[Any] = [tables]
            self.tasks.append(Steps(self._rounds(r, keep), target, keep))
        self._together: Together | None = None
        self.worth_waking = flops >= WORTH_WAKING
        if len(ranges) > 1 and not bands:
            with importing:
                from ...engine.team import Together  # small layers need no threads
            self._together = Together(self.tasks, target, threads, worth_waking=self.worth_waking)

    @property
    def blocks(self) -> list[range]:
        """Which blocks of filters each task computes."""
        return [range(*ranges.blocks) for ranges in self._ranges]

    def behind(self, before: Round, at: Starts = _WHOLE) -> tuple[list[Round], object]:
        """Return those of the only task behind what makes what they read, and what is to be kept for them.

        Parameters
        ----------
        before : Round
        at : Starts
            What is copied band by band has room where the array of the packed weights begins.
        """
        (ranges,), keep = self._ranges, [self._tables]
        return [before, *self._rounds(ranges, keep, at, room=(WEIGHTS, 0))], keep

    def of_rows(
        self, rows: Sequence[tuple[int, int]], groups: tuple[int, int], at: Starts
    ) -> tuple[list[Step], object]:
        """Return the calls of the only task for some rows of each run's table, and what is to be kept for them.

        Parameters
        ----------
        rows : sequence of (int, int)
            Of each run.
        groups : (int, int)
            Those of the layer that are computed, where kernels loop over groups.
        at : Starts
        """
        (ranges,), keep = self._ranges, [self._tables]
        some = groups if self._tables.groups > 1 else ranges.groups
        return self._calls(ranges._replace(groups=some), keep, at, rows=rows), keep

    def part_by_part(
        self, task: int, parts: Sequence[tuple[int, int, Round]], nbytes: Sequence[int], at: Starts
    ) -> tuple[list[Round], object]:
        """Return those of a task for some blocks of filters behind what packs them, all to one place.

        Where weights are so many that it is worth it, nothing is copied band by band: see `Decision.banded`.

        Parameters
        ----------
        task : int
        parts : sequence of (int, int, Round)
            The first block of each part and the one behind its last, and what packs them; in order.
        nbytes : sequence of int
            Of a packed block, for each of `Tables.blocks`.
        at : Starts
        """
        keep: list[object] = [self._tables]
        rounds = []
        for first, stop, packing in parts:
            blocks = self._ranges[task]._replace(blocks=(first, stop))
            rounds += [packing, *self._rounds(blocks, keep, at, nbytes)]
        return rounds, keep

    def _rounds(
        self,
        ranges: Ranges,
        keep: list[Any],
        at: Starts = _WHOLE,
        nbytes: Sequence[int] | None = None,
        room: tuple[int, int] | None = None,
    ) -> list[Round]:
        """Return a task's rounds: its calls, turns of them where weights come from afar, or bands.

        `room` says where copies of bands have it, if not at the end of what other tasks have; the rest is as for
        `_calls`.
        """
        if self._copy is not None:
            return self._in_bands(self._copy, ranges, keep, at, room)
        if self._tables.far is not None:
            return self._far_rounds(self._tables.far, ranges, keep, at, nbytes)
        return [Round(calls=self._calls(ranges, keep, at, nbytes))]

    def _in_bands(
        self,
        copy: BandedCopy,
        ranges: Ranges,
        keep: list[Any],
        at: Starts,
        room: tuple[int, int] | None,
    ) -> list[Round]:
        """Return a task's rounds: for each band the copy, and the calls that read it."""
        tables, (x, x_at) = self._tables, at.image
        number, first = room or (ROOM, self.room_bytes)
        limits = _rows_of(tables.runs, ranges)
        bands = copy.bands(tables.starts, limits, ranges.groups, self.target.caches[1])
        if room is None:
            self.room_bytes += copy.room_bytes(bands)
        keep.append(copy)
        rounds = []
        for image in range(*ranges.images):
            out = at.out + image * copy.view.out_image
            copied = copy.rounds(bands, (number, first), (x, x_at + image * copy.origin[0]), keep)
            for band, (*before, last) in zip(bands, copied, strict=True):
                here = at._replace(image=(number, first - copy.start(band)), out=out)
                one = ranges._replace(images=(0, 1), groups=band.groups)
                rounds += [*before, last._replace(calls=self._calls(one, keep, here, rows=band.rows))]
        return rounds

    def _calls(
        self,
        ranges: Ranges,
        keep: list[Any],
        at: Starts,
        nbytes: Sequence[int] | None = None,
        rows: Sequence[tuple[int, int]] | None = None,
    ) -> list[Step]:
        """Return a task's calls; with the bytes of packed blocks, for some that are packed where all begin.

        Parameters
        ----------
        ranges : Ranges
        keep : list
            What is to be kept for them is added.
        at : Starts
        nbytes : sequence of int, optional
            As for `part_by_part`.
        rows : sequence of (int, int), optional
            Those of each run's table, if not all of the ranges'.
        """
        calls = []
        for run, (first, stop) in zip(self._tables.runs, rows or _rows_of(self._tables.runs, ranges), strict=True):
            for kind, blocks in enumerate(self._blocks(ranges)):
                if first < stop and blocks[0] < blocks[1]:
                    keep.append(np.array([*ranges.images, *ranges.groups, *blocks, first, stop], np.int64))
                    calls.append(self._step(run, kind, keep[-1], at, nbytes))
        return calls

    def _far_rounds(
        self, far: Far, ranges: Ranges, keep: list[Any], at: Starts, nbytes: Sequence[int] | None
    ) -> list[Round]:
        """Return a task's calls where weights come from afar: for each band of the map, turn by turn."""
        rounds, made = [], {}
        for first, stop in far.image_ranges(ranges.images):
            x, x_at = at.image
            image = x, x_at + first * far.image_bytes[0]
            here = at._replace(image=image, out=at.out + first * far.image_bytes[1])
            for rows, pieces in far.bands_of(ranges.rows, ranges.pieces):
                band = ranges._replace(rows=rows, pieces=pieces)
                runs = [run for run in self._tables.runs if range(*band.rows_of(run))]
                for kind, blocks in enumerate(self._blocks(ranges)):
                    if blocks[0] == blocks[1] or not runs:
                        continue
                    key = stop - first, rows, kind
                    if key not in made:  # images that follow have the same tasks, elsewhere
                        tiles = [(band.rows_of(run), run.tiles) for run in runs]
                        fetching = nbytes is None
                        made[key] = far.tasks(kind, stop - first, ranges.groups, blocks, tiles, fetching=fetching)
                        keep.append(made[key])
                    tasks = made[key]
                    calls = [self._step(run, kind, task, here, nbytes) for run, task in zip(runs, tasks, strict=True)]
                    rounds.append(Round(calls=calls, turns=len(tasks[0]), advance=tasks[0].strides[0]))
        return rounds

    def _blocks(self, ranges: Ranges) -> list[tuple[int, int]]:
        """Return which of a task's blocks of filters are of each kind."""
        found, before = [], 0
        for each in self._tables.blocks:
            first, stop = (min(max(edge - before, 0), each.blocks) for edge in ranges.blocks)
            found.append((first, stop))
            before += each.blocks
        return found

    def _step(
        self,
        run: TileRun,
        kind: int,
        task: NDArray[np.int64],
        at: Starts,
        nbytes: Sequence[int] | None,
    ) -> Step:
        """Return the call of a run of tiles for a task of blocks of one kind, or for the first of several."""
        (image, x_at), w_at, bias_at, out_at = at
        (kernel, job, x), place = run.calls[kind], self._tables.places[kind]
        weights_at = place.weights_at if nbytes is None else -int(task.flat[_BLOCK0]) * nbytes[kind]
        out = self._tables.blocks[kind].first * self._tables.out_filter
        packed = (WEIGHTS, w_at + weights_at), (BIAS, bias_at + place.bias_at)
        where = ((image, x_at + x), *packed, (OUT, out_at + out))
        return Step(required(kernel, self.target), where, (job.ctypes.data, task.ctypes.data))

    def run(self, x: Array, out: Array, weights: Array, bias: Array, room: Array | None = None) -> None:
        """Run them all for image, result, packed weights and packed bias, with room for copies if they need it."""
        self.run_ids(*map(id, (weights, bias, weights if room is None else room, bias, x, out)))

    @property
    def run_ids(self) -> Callable[..., None]:
        """What runs them all for the identities of six arrays, of which the third may be room for copies."""
        return self._together.run_ids if self._together else self.tasks[0].run_ids

    def run_at(self, x: int, w: int, bias: int, out: int) -> None:
        """Run them all for arrays at these addresses."""
        run = self._together.run_at if self._together else self.tasks[0].run_at
        run(w, bias, w, bias, x, out)

    def bands(self, x: Array, out: Array, weights: Array, bias: Array) -> list[Callable[[], None]]:
        """Return a function for each band of the map."""
        return [partial(task.run, weights, bias, weights, bias, x, out) for task in self.tasks]


def room_bytes(tables: Tables, target: Target, batch: int, threads: int, flops: int, copy: BandedCopy) -> int:
    """Return the bytes that tasks need for copies band by band: `Calls.room_bytes`, before any kernel is loaded."""
    second = target.caches[1]
    tasks = tasks_of(tables, batch, threads, flops)
    each = (copy.bands(tables.starts, _rows_of(tables.runs, r), r.groups, second) for r in tasks)
    return sum(map(copy.room_bytes, each))


def _rows_of(runs: Sequence[TileRun], ranges: Ranges) -> list[tuple[int, int]]:
    """Return the rows of each run's table that a task covers."""
    return [ranges.rows_of(run) for run in runs]


def together(tasks: list[Steps], target: Target, threads: int, *, worth_waking: bool) -> Steps | Together:
    """Return what runs tasks, each by a thread, if there are several; see `Together`."""
    if len(tasks) == 1:
        return tasks[0]
    with importing:
        from ...engine.team import Together  # small layers need no threads
    return Together(tasks, target, threads, worth_waking=worth_waking)
