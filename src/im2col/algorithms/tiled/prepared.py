"""A layer of tiles ready to run: its filters transformed and packed, its blocks as one list of calls."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...engine.compiler import EngineError, required
from ...engine.copies import Copies
from ...engine.host import require_memory
from ...engine.sequence import Round, Step, Steps
from ...importing import importing
from ...memory import lazy, recalled
from ...spec.strides import dense_strides
from ..explicit import padded_image
from ..implicit.packing import pack, room_for_weights
from ..implicit.prepared import OwnRoom
from ..implicit.shares import WORTH_WAKING
from ..implicit.tables import job_table
from ..implicit.view import LINE
from ..implicit.work import BIAS, GIVEN_BIAS, GIVEN_WEIGHTS, READ_IN_PLACE, Starts, X
from . import into_tiles, out_of_tiles
from .mending import mend
from .tiling import shared, tiles_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ...engine.compiler import Kernel
    from ...engine.team import Together
    from ...spec.problem import Problem
    from ..contract import Offer, Runner
    from .decide import Decision
    from .tiling import Box

    Array = NDArray[Any]
    Strides = tuple[int, ...]

IMAGE, RESULT, ROOM = GIVEN_WEIGHTS, GIVEN_BIAS, X
"""The places of arrays in a list of calls; a block's tiles and products are in one room, which is passed twice, as a
product reads the one place and writes the other."""


class Rooms(NamedTuple):
    """Where parts of a thread's memory begin, in bytes from its start, and how much it is.

    Parameters
    ----------
    products : int
        Behind the tiles.
    pixels : int
        Of a copy of what a block's windows see, if it is copied.
    nbytes : int
    """

    products: int
    pixels: int
    nbytes: int


class DecidedTiles:
    """What a decision comes down to, without any array or weight: made when it is needed, shared by all plans.

    Parameters
    ----------
    problem : Problem
    decision : Decision
    threads : int
    direct : Offer
        Of the algorithm that computes tiles whose results are not finite.
    """

    def __init__(self, problem: Problem, decision: Decision, threads: int, direct: Offer[Runner]) -> None:
        self.problem, self.decision, self.threads, self.direct = problem, decision, threads, direct

    def kernels(self) -> tuple[Kernel, ...]:
        """Return the kernels that it runs for dense arrays, each once."""
        d = self.decision
        found = [d.into, *(d.out_of(kept, count) for kept in d.tiling.kept() for _, count in d.pieces)]
        found += [kernel for product in d.products.values() for kernel in product.tables.kernels]
        return tuple(dict.fromkeys(found))

    @property
    def tasks(self) -> list[list[Box]]:
        """The blocks of each task."""
        return shared(self.decision.boxes, self.threads)

    @lazy
    def rooms(self) -> Rooms:
        """Return what a task's memory is made of."""
        d = self.decision
        most = max(d.box_sizes)
        products = _whole_lines(most * d.window_bytes)
        pixels = products + _whole_lines(most * d.product_bytes)
        seen = d.most_pixels if d.copies else 0
        nbytes = pixels + _whole_lines(seen * d.groups * d.channels * d.dtype.itemsize)
        return Rooms(products, pixels, nbytes)

    @property
    def flags_at(self) -> int:
        """Bytes before the flags, one a tile, behind the memory of all tasks."""
        return self.rooms.nbytes * min(self.threads, self.decision.box_sizes.total())

    @property
    def room_bytes(self) -> int:
        """Bytes of a call's memory."""
        return self.flags_at + 8 * self.decision.tiles

    @property
    def workspace_bytes(self) -> int:
        """Bytes that a plan takes, and a call, at most: tables and what it takes to make the weights included."""
        d, p, size = self.decision, self.problem, self.decision.dtype.itemsize
        taps = p.filters * p.group_channels
        packed = sum(room_for_weights(d.packed_as(count).tables.places) for _, count in d.pieces)
        weights = 2 * packed * size + taps * (d.tiling.geometry.taps + d.tiling.transform.elements) * (size + 8)
        tables = 8 * d.tiles * (8 + 2 * p.geometry.ndim) + 2048 * d.box_sizes.total() * (1 + len(d.pieces))
        padded = 0 if p.pads_zeros else p.batch * p.channels * math.prod(p.geometry.padded_shape) * size
        other = p.output_bytes // max(1, p.batch)
        return weights + tables + padded + self.room_bytes + LINE + self.direct.workspace_bytes + other

    def calls_for(self, strides: Strides, out_strides: Strides) -> TileCalls:
        """Return the calls for arrays of these strides."""
        return recalled((self, strides, out_strides), partial(TileCalls, self, strides, out_strides))


class TileCalls:
    """The calls of a layer, for arrays of some strides: ``run(weights, bias, image, result, room, room)``."""

    def __init__(self, layer: DecidedTiles, strides: Strides, out_strides: Strides) -> None:
        self._layer, self._strides, self._out_strides = layer, strides, out_strides
        d, first = layer.decision, 0
        self._keep: list[Any] = []
        tasks = []
        for number, boxes in enumerate(layer.tasks):
            rounds: list[Round] = []
            for box in boxes:
                rounds += self._rounds(box, number * layer.rooms.nbytes, layer.flags_at + 8 * first)
                first += tiles_of(box)
            tasks.append(Steps(rounds, d.target, self._keep))
        self._tasks = tasks
        self._together: Together | None = None
        if len(tasks) > 1:
            with importing:
                from ...engine.team import Together
            awake = layer.problem.flops >= WORTH_WAKING
            self._together = Together(tasks, d.target, layer.threads, worth_waking=awake)

    def run(self, *arrays: Array) -> None:
        """Run them all."""
        (self._together or self._tasks[0]).run_ids(*map(id, arrays))

    def _rounds(self, box: Box, room: int, flags: int) -> list[Round]:
        """Return the calls of a block: its memory begins at byte `room`, its flags at byte `flags`."""
        d, rooms = self._layer.decision, self._layer.rooms
        copies, source, steps, start = self._pixels(box, room + rooms.pixels)
        axes, group = d.tiling.geometry.ndim, d.channels * d.dtype.itemsize
        windows = d.tiling.windows(box, steps, start)
        job = job_table(
            into_tiles.job_words(axes),
            tiles=windows,
            groups=d.groups,
            vectors=-(-d.channels // d.lanes),
            channels=d.channels,
            x_group=group,
            v_group=group * d.tiling.transform.elements,
            v_tile=d.window_bytes,
            **{f"pixel{i}": step for i, step in enumerate(steps[1:])},
        )
        where = source, (BIAS, d.zeros_at), (ROOM, flags), (ROOM, room)
        rounds = [Round(copies.steps, [self._step(d.into, where, job, tiles_of(box))])]
        self._keep += [windows, copies]
        weights, tables = 0, d.tiling.positions(box, (self._out_strides[0], *self._out_strides[2:]), d.product_bytes)
        self._keep.append(tables)
        for first, count in d.pieces:
            product = d.products[tiles_of(box), count]
            made, kept = product.calls.behind(Round(), Starts((X, room), weights, out=room + rooms.products))
            self._keep.append(kept)
            rounds += [*made, Round(calls=self._results(tables, first, count, room + rooms.products, flags))]
            weights += room_for_weights(product.tables.places) * d.dtype.itemsize
        return rounds

    def _pixels(self, box: Box, room: int) -> tuple[Copies, tuple[int, int], Sequence[int], Sequence[int]]:
        """Return the copies that a block begins with, where its windows are read, in which steps, what lies first."""
        d, strides, copies = self._layer.decision, self._strides, Copies()
        seen, channels = d.tiling.pixels(box), d.groups * d.channels
        if strides[1] == d.dtype.itemsize:
            return copies, (IMAGE, 0), (strides[0], *strides[2:]), [0] * len(seen)
        shape = (seen[0].stop - seen[0].start, channels, *(s.stop - s.start for s in seen[1:]))
        own = dense_strides((0, *range(2, len(shape)), 1), shape, d.dtype.itemsize)
        whole = d.tiling.batch, channels, *d.tiling.geometry.spatial_shape
        image, part = _shaped(whole, strides, d.dtype), _shaped(shape, own, d.dtype)
        taken = image[(seen[0], slice(None), *seen[1:])]
        if not copies.add((ROOM, part, part), (IMAGE, image, taken)):
            raise EngineError("copies")
        for i, step in enumerate(copies.steps):
            (_, to), source = step.addresses
            copies.steps[i] = step._replace(addresses=((ROOM, to + room), source))
        return copies, (ROOM, room), (own[0], *own[2:]), [s.start for s in seen]

    def _results(
        self, tables: dict[tuple[int, ...], Array], first: int, filters: int, products: int, flags: int
    ) -> list[Step]:
        """Return the calls that make a block's part of the map, of so many filters, from a first one on."""
        d, out, size = self._layer.decision, self._out_strides, self._layer.decision.dtype.itemsize
        calls = []
        for kept, rows in tables.items():
            job = job_table(
                out_of_tiles.job_words(len(kept)),
                tiles=rows,
                groups=d.groups,
                vectors=-(-filters // d.lanes),
                filters=filters,
                filter=out[1],
                m_group=filters * d.tiling.transform.elements * d.tiling.parts * size,
                out_group=d.filters * out[1],
                bias_group=d.filters * size,
                **{f"kept{i}": count for i, count in enumerate(kept)},
                **{f"position{i}": step for i, step in enumerate(out[2:])},
            )
            where = (ROOM, products), (ROOM, flags), (BIAS, first * size), (RESULT, first * out[1])
            calls.append(self._step(d.out_of(kept, filters), where, job, len(rows)))
        return calls

    def _step(self, kernel: Kernel, where: Sequence[tuple[int, int]], job: Array, tiles: int) -> Step:
        """Return the call of a kernel for all tiles of its table."""
        task = np.array([0, tiles], np.int64)
        self._keep += [job, task]
        return Step(required(kernel, self._layer.decision.target), where, (job.ctypes.data, task.ctypes.data))


class PreparedTiles:
    """A layer with its filters transformed: ``run(x, out)``, see `Runner`."""

    def __init__(self, layer: DecidedTiles, w: Array, bias: Array | None, scales: None = None) -> None:  # noqa: ARG002 (integers alone are requantised)
        self._layer, d = layer, layer.decision
        for kernel in layer.kernels():
            required(kernel, d.target)  # now: a plan that was made never compiles
        filters = np.flip(w, tuple(range(2, w.ndim))) if layer.problem.flip else w
        with np.errstate(all="ignore"):
            transformed = transformed_weights(d, filters)
        self._finite = bool(np.isfinite(transformed).all())
        self._weights = np.concatenate([self._packed(transformed, *piece) for piece in d.pieces])
        self._bias = np.zeros(d.zeros_at // d.dtype.itemsize + d.channels, d.dtype)
        if bias is not None:
            self._bias[: len(bias)] = bias
        self._given = w.copy(), None if bias is None else bias.copy()
        self._room = OwnRoom()

    def _packed(self, transformed: Array, first: int, count: int) -> Array:
        """Return a piece of the filters as its products read them."""
        d = self._layer.decision
        product = d.packed_as(count)
        filters = transformed[:, first : first + count].reshape(-1, transformed.shape[-1], 1)
        return pack(product.tables.places, product.group, filters, None, d.dtype, self._layer.threads).weights

    @lazy
    def _direct(self) -> Runner:
        """Return what computes one image as the definition says, term by term."""
        return self._layer.direct.prepare(*self._given, None)

    def __call__(self, x: Array, out: Array) -> None:
        """Convolve arrays of any strides."""
        d, layer, p = self._layer.decision, self._layer, self._layer.problem
        if not self._finite:
            for n in range(p.batch):
                self._direct(x[n : n + 1], out[n : n + 1])
            return
        source, result, room = self._source(x), out, self._room.of(self._layer.room_bytes)
        if not d.writes(out.strides):
            require_memory(p.output_bytes, READ_IN_PLACE, "the dense result {}", out.shape)
            result = p.layout.to_canonical(np.empty(p.output_shape, p.dtype))
        try:
            calls = layer.calls_for(source.strides, result.strides)
        except EngineError:  # of a kernel that copies: NumPy copies without
            source = _channels_last(source)
            calls = layer.calls_for(source.strides, result.strides)
        calls.run(self._weights, self._bias, source, result, room, room)
        if result is not out:
            np.copyto(out, result)
        flags = room[layer.flags_at : layer.room_bytes].view(np.int64)
        if flags.any():
            self._mend(flags != 0, x, out)

    def _source(self, x: Array) -> Array:
        """Return the image as kernels read it: padded where padding is not of zeros."""
        d, p = self._layer.decision, self._layer.problem
        if not p.pads_zeros:
            return padded_image(x, p)
        return x if x.dtype.isnative and (d.copies or x.strides[1] == x.itemsize) else _channels_last(x)

    def _mend(self, flags: Array, x: Array, out: Array) -> None:
        """Compute the flagged tiles directly: what is not finite stays where the definition has it."""
        decision = self._layer.decision
        mend(decision.tiling.map_of(flags, decision.boxes), self._direct, x, out)


def transformed_weights(decision: Decision, w: Array) -> Array:
    """Return the elements of filters, made in float64: (groups · elements · parts, filters, channels of a part).

    Parameters
    ----------
    decision : Decision
    w : ndarray, (filters, channels of a group, *kernel)
    """
    d = decision
    t, parts, own = d.tiling.transform, d.tiling.parts, d.channels // d.tiling.parts
    taps = w.reshape(len(w) * d.channels, *w.shape[2:]).astype(np.float64)
    values = t.of_filters(taps).astype(d.dtype).reshape(d.groups, d.filters, parts, own, t.elements)
    return values.transpose(0, 4, 2, 1, 3).reshape(-1, d.filters, own)


def _channels_last(x: Array) -> Array:
    """Return a copy of images (N, C, *spatial) that kernels read where it lies."""
    shape = (len(x), *x.shape[2:], x.shape[1])
    require_memory(math.prod(shape) * x.itemsize, READ_IN_PLACE, "the dense copy of {}", x.shape)
    copy = np.moveaxis(np.empty(shape, x.dtype.newbyteorder("=")), -1, 1)
    np.copyto(copy, x)
    return copy


def _whole_lines(nbytes: int) -> int:
    return -(-nbytes // LINE) * LINE


def _shaped(shape: tuple[int, ...], strides: Strides, dtype: np.dtype[Any]) -> Array:
    """Return an array of which nothing is there but its shape and strides: copies are planned with it."""
    return np.lib.stride_tricks.as_strided(np.empty(1, dtype), shape, strides)
