"""The microkernel that walks rows of the map: vectors of the image, times the gradient, into sums for each tap.

A tile is F filters × NV vectors × taps of one row of the window, kept in registers while it walks over the map. Its
lanes are channels, side by side in memory, and each number of the gradient is broadcast; or they are neighbouring
positions, where both operands are read as they lie, and the lanes of each sum are added up in the end. Nothing is
packed, and no filter takes a lane: this suits layers with few of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ....engine.compiler import Kernel
from ....importing import importing
from .nest import ARGUMENTS, Nest

if TYPE_CHECKING:
    from ....engine.builder import Builder
    from ....engine.numbers import Value
    from ....engine.target import Target


class Segment(NamedTuple):
    """Neighbouring steps along a row of the map at which the same taps meet the image.

    Parameters
    ----------
    single : bool
        Whether it is one step; else the job says how many.
    seen : tuple of int
        For each tap, a mask of the elements of a vector of pixels that are read; 0 where the tap meets none.
    positions : int
        Lanes whose positions are there, if lanes are positions.
    """

    single: bool
    seen: tuple[int, ...]
    positions: int


class RowTile(NamedTuple):
    """What a kernel is specialised for.

    Parameters
    ----------
    dtype : str
        Of pixels, gradient and result, as `Builder.number` calls it.
    lanes : int
        VL.
    summed : bool
        Whether lanes are positions, whose products are summed up; else they are channels.
    filters : int
        F.
    vectors : int
        NV: channels of the tile, or vectors of channels.
    last : int
        Channels of the last vector that are there, if lanes are channels.
    stride : int
        Pixels from one lane to the next.
    x_vector, x_tap : int
        Bytes of the image from vector to vector, and from tap to tap.
    w_filter : int
        Bytes of the gradient from filter to filter.
    segments : tuple of Segment
        Of a row of the map.
    paired : bool
        Whether each channel has a filter of its own, and the tile one for each vector and not F for all of them.
    """

    dtype: str
    lanes: int
    summed: bool
    filters: int
    vectors: int
    last: int
    stride: int
    x_vector: int
    x_tap: int
    w_filter: int
    segments: tuple[Segment, ...]
    paired: bool

    @property
    def taps(self) -> int:
        """Taps of the tile."""
        return len(self.segments[0].seen)


JOB = [
    "tiles",
    "rows",
    "spans",
    "lines",
    "counts",
    "bands",
    "line_count",
    "adds",
    "x_group",
    "x_step",
    "w_group",
    "w_block",
    "w_step",
    "out_group",
    "out_block",
    "out_filter",
    "out_vector",
    "out_tap",
]
"""Tables, then counts, then bytes. `w` is the gradient of the result."""


def gradient_rows(tile: RowTile) -> Kernel:
    """Return the kernel of a tile, with the loops around it."""
    return Kernel("gradient_rows", _build, (tile,), 6, speed_level=1)


def _build(name: str, target: Target, tile: RowTile) -> str:
    with importing:
        from ....engine.builder import Builder  # a kernel that is kept is not written again

    b = Builder(name, ARGUMENTS, target)
    nest = Nest(b, JOB)
    job, task = nest.job, nest.task
    tiles, rows, spans, lines, counts = (b.address(job[word]) for word in JOB[:5])
    zero = b.zero(b.vector(b.number(tile.dtype), tile.lanes))
    with (
        nest.over("image", "group", order="x w out") as layer,
        b.loop(task["row1"], task["row0"]) as number,  # of channels
        b.loop(job["bands"]) as band,  # rows of the map that stay in near caches
    ):
        moved = {
            operand: b.at(layer[operand], b.entry(tiles, b.add(b.mul(number, 3), b.constant(i))))
            for i, operand in enumerate(("x", "w", "out"))
        }
        with nest.over("block", order="w out", at=moved) as at, b.loop(job["line_count"]) as line:
            span = b.mul(b.add(b.mul(band, job["line_count"]), line), 2)
            start, stop = b.entry(spans, span), b.entry(spans, b.add(span, b.constant(1)))
            with b.accumulate(start, stop, [zero] * (tile.filters * tile.vectors * tile.taps)) as state:
                row = b.mul(state.index, 2)
                x = b.at(at["x"], b.entry(rows, row))
                w = b.at(at["w"], b.entry(rows, b.add(row, b.constant(1))))
                state.values[:] = _walked(b, target, tile, job, counts, x, w, state.values)
            out = b.at(at["out"], b.entry(lines, line))
            _store(b, tile, job, state.values, out, b.inside(b.add(band, job["adds"]), b.constant(1)))
    return b.finish()


def _walked(
    b: Builder,
    target: Target,
    tile: RowTile,
    job: dict[str, Value],
    counts: Value,
    x: Value,
    w: Value,
    sums: list[Value],
) -> list[Value]:
    """Return the sums after one row of the map, segment by segment."""
    first = b.constant(0)
    for number, segment in enumerate(tile.segments):
        if segment.single:
            sums = _stepped(b, target, tile, job, segment, x, w, first, sums)
            first = b.add(first, b.constant(1))
            continue
        stop = b.add(first, b.entry(counts, b.constant(number)))
        with b.accumulate(first, stop, sums) as state:
            state.values[:] = _stepped(b, target, tile, job, segment, x, w, state.index, state.values)
        sums, first = state.values, stop
    return sums


def _stepped(
    b: Builder,
    target: Target,
    tile: RowTile,
    job: dict[str, Value],
    segment: Segment,
    x: Value,
    w: Value,
    step: Value,
    sums: list[Value],
) -> list[Value]:
    """Return the sums after one step along the row: a vector of positions, or one position."""
    sums = list(sums)
    x, w = b.at(x, b.mul(step, job["x_step"])), b.at(w, b.mul(step, job["w_step"]))
    held = [] if tile.paired else [_gradient(b, tile, segment, w, f) for f in range(tile.filters)]
    for v in range(tile.vectors):
        base = b.at(x, b.constant(tile.x_vector * v))
        own = [_gradient(b, tile, segment, w, v)] if tile.paired else held
        for t, seen in enumerate(segment.seen):
            if not seen:
                continue
            pixels = _pixels(b, tile, b.at(base, b.constant(tile.x_tap * t)), seen, v)
            mine = [(f * tile.vectors + v) * tile.taps + t for f in range(len(own))]
            after = [
                b.multiply_add(pixels, gradient, sums[i], target.has_fma) for i, gradient in zip(mine, own, strict=True)
            ]
            # One vector after the other: LLVM would load pixels ahead until sums have to leave the registers. Pixels
            # that no product reads from memory outlive theirs, or it would let them become the sums, and move all of
            # those back at the end of the loop.
            loaded = tile.summed and (tile.stride > 1 or seen + 1 != 1 << tile.lanes)
            settled = b.settled([*after, pixels] if loaded else after, target.register)
            for i, value in zip(mine, settled, strict=False):
                sums[i] = value
    return sums


def _gradient(b: Builder, tile: RowTile, segment: Segment, w: Value, number: int) -> Value:
    """Return what a vector of pixels is multiplied with: that of a filter, or of the vector's own ones."""
    at, kind = b.at(w, b.constant(tile.w_filter * number)), b.vector(b.number(tile.dtype), tile.lanes)
    if tile.summed:
        return b.load_first(at, kind, segment.positions)
    if tile.paired:
        return b.load_first(at, kind, _there(tile, number))
    return b.splat(b.load(at, kind.element), tile.lanes)


def _pixels(b: Builder, tile: RowTile, at: Value, seen: int, vector: int) -> Value:
    """Return the pixels of all lanes; 0 for those that are not there."""
    number = b.number(tile.dtype)
    if not tile.summed:
        return b.load_first(at, b.vector(number, tile.lanes), _there(tile, vector))
    kind = b.vector(number, tile.lanes * tile.stride)
    return b.every(b.load_some(at, kind, [bool(seen >> i & 1) for i in range(kind.count)]), tile.stride)


def _there(tile: RowTile, vector: int) -> int:
    """Return how many channels of a vector there are."""
    return tile.last if vector == tile.vectors - 1 else tile.lanes


def _store(b: Builder, tile: RowTile, job: dict[str, Value], sums: list[Value], out: Value, fresh: Value) -> None:
    """Write the sums, or add them to what the result holds."""
    places = [(f, v, t) for f in range(tile.filters) for v in range(tile.vectors) for t in range(tile.taps)]

    def at(place: tuple[int, int, int]) -> Value:
        words = ("out_filter", "out_vector", "out_tap")
        offsets = [b.mul(job[word], n) for word, n in zip(words, place, strict=True)]
        return b.at(out, b.add(b.add(offsets[0], offsets[1]), offsets[2]))

    def added(value: Value, before: Value) -> Value:
        return b.choose(fresh, value, b.sum(tile.dtype, value, before))

    if not tile.summed:
        for place, value in zip(places, sums, strict=True):
            to, count = at(place), _there(tile, place[1])
            b.store_first(added(value, b.load_first(to, value.type, count)), to, count)
        return
    for first in range(0, len(sums), tile.lanes):
        part = sums[first : first + tile.lanes]
        total = b.lane_sums(tile.dtype, part)
        for lane, place in enumerate(places[first : first + len(part)]):
            to, value = at(place), b.lane(total, lane)
            b.store(added(value, b.load(to, value.type)), to)
