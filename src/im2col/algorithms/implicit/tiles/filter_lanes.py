"""The microkernel whose lanes are filters: each pixel is broadcast against vectors of weights.

A tile is MR positions × NV vectors of filters, kept in registers while the loop over the taps runs. The left operand is
never made: pixel (position m, tap t) is read at ``row offset + m · pixel step + tap offset``. That is im2col, as
addresses.
"""

from __future__ import annotations

from operator import add
from typing import TYPE_CHECKING, NamedTuple

from ....engine.compiler import Kernel
from ....engine.target import powers
from ....importing import importing
from .epilogue import Epilogue, finish, narrow, scale_vectors
from .nest import ARGUMENTS, Nest

if TYPE_CHECKING:
    from ....engine.builder import Builder
    from ....engine.numbers import Value
    from ....engine.target import Target


class FilterTile(NamedTuple):
    """What a kernel is specialised for.

    Parameters
    ----------
    dtype : str
        Of pixels and weights, as `Builder.number` calls it.
    lanes : int
        VL: filters of one vector.
    vectors : int
        NV: vectors of the tile.
    last : int
        Filters of the last vector that are there: `lanes`, unless it is a tail.
    pixels : tuple of int
        Bytes from the tile's first pixel to that of each position: MR of them.
    segments : tuple of int
        Taps fall into segments, by which of the positions see the image there and which see padding; one mask each,
        bit m for position m. A tile away from the border has one segment, of all ones.
    transposed : bool
        A vector of the result holds neighbouring positions, and not neighbouring filters.
    spread : int
        Elements from one position of such a vector to the next.
    epilogue : Epilogue
        What happens to the sums on their way out.
    dot : str or None
        What a lane holds, if it is several neighbouring channels and not one: see `Numbers.dot`. The dtype is i4 then.
    weight_step : int
        Bytes from the weights of one tap to those of the next, where other filters stand between them; 0 where none do.
    paired : bool
        Whether each lane has a pixel of its own, side by side with its neighbours': the lanes are channels, too.
    adds : bool
        Whether they are added to what the result holds; only without an activation.
    ragged : bool
        Whether its spans are those of a `RaggedRun`: rows of the window, and apart from them columns.
    moves : tuple of tuple of int
        For each segment the bytes by which each position's pixels lie elsewhere, where padding shows pixels of the
        image: spans say then by how many bytes those of their rows do. Empty where padding is of zeros.
    far : bool
        Whether its weights are more than a cache near keeps: its task says which taps are multiplied, and the weights
        behind theirs are fetched meanwhile.
    parted : bool
        Whether those are a part of all: the result holds the sums meanwhile, so it is of their dtype. Only where `far`.
    """

    dtype: str
    lanes: int
    vectors: int
    last: int
    pixels: tuple[int, ...]
    segments: tuple[int, ...]
    transposed: bool
    spread: int
    epilogue: Epilogue
    dot: str | None = None
    weight_step: int = 0
    paired: bool = False
    adds: bool = False
    ragged: bool = False
    moves: tuple[tuple[int, ...], ...] = ()
    far: bool = False
    parted: bool = False


class _Part(NamedTuple):
    """Taps [first, stop) of all, and whether they are the first and the last ones."""

    first: Value
    stop: Value
    is_first: Value
    is_last: Value


class _Weights(NamedTuple):
    """Where the weights of a block of filters are, and for each tap what is fetched: so many bytes from a place."""

    at: Value
    ahead: Value | None
    step: Value | None


JOB = [
    "taps",
    "rows",
    "spans",
    "x_image",
    "x_group",
    "x_block",
    "w_group",
    "w_block",
    "bias_group",
    "out_image",
    "out_group",
    "out_block",
    "block",
    "tiles",
    "x_tile",
    "out_tile",
    "out_step",
    "scales",
]
FAR_JOB = [*JOB, "taps_stop"]
"""Of tiles that multiply the taps that their task names: how many there are."""


def filter_lanes(tile: FilterTile) -> Kernel:
    """Return the kernel of a tile, with the loops around it."""
    return Kernel("filter_lanes", _build, (tile,), 6, speed_level=1)


def _build(name: str, target: Target, tile: FilterTile) -> str:
    with importing:
        from ....engine.builder import Builder  # a kernel that is kept is not written again

    b = Builder(name, ARGUMENTS, target)
    nest = Nest(b, FAR_JOB if tile.far else JOB, far=tile.far)
    job = nest.job
    taps, rows, spans = (b.address(job[word]) for word in JOB[:3])
    bias_bytes = tile.vectors * tile.lanes * b.bytes_of(tile.epilogue.accumulator)
    with (
        nest.over("image", "group", order="x out w bias") as layer,
        nest.rows(rows, layer, order="w bias out x", bias=bias_bytes) as (at, ranges),
        b.loop(job["tiles"]) as number,
    ):
        pixel = b.at(at["x"], b.mul(number, job["x_tile"]))
        to = b.at(at["out"], b.mul(number, job["out_tile"]))
        part = _part(b, nest) if tile.far else None
        weights = _weights(b, nest, tile, at["w"], number, part)
        sums = _sums(b, target, tile, pixel, weights, at["bias"], taps, spans, ranges, part)
        sofar = part if tile.parted else None
        _store(b, target, tile, sums, to, job["out_step"], b.at(at["bias"], job["scales"]), sofar)
    return b.finish()


def _part(b: Builder, nest: Nest) -> _Part:
    """Return the part of the taps that the tiles are at."""
    first, stop, one = nest.task["part0"], nest.task["part1"], b.constant(1)
    return _Part(first, stop, b.inside(first, one), b.inside(b.sub(nest.job["taps_stop"], stop), one))


def _weights(b: Builder, nest: Nest, tile: FilterTile, at: Value, number: Value, part: _Part | None) -> _Weights:
    """Return a block's weights, and where a tile, of this number in its row, fetches what lies behind those of a part.

    Those are multiplied next. The tiles that pass over a part each fetch as much of them, so that memory has all the
    time that the products take.
    """
    if part is None:
        return _Weights(at, None, None)
    task, step = nest.task, nest.task["step"]
    rows = b.sub(task["row1"], task["row0"])
    row = b.add(b.mul(b.sub(nest.numbers["image"], task["image0"]), rows), b.sub(nest.numbers["row"], task["row0"]))
    turn = b.smaller(b.add(task["tile"], b.add(b.mul(row, nest.job["tiles"]), number)), task["last"])
    before = b.sub(b.mul(turn, b.sub(part.stop, part.first)), part.first)
    ahead = b.add(b.mul(part.stop, _tap_bytes(b, tile)), b.mul(before, step))
    return _Weights(at, b.at(at, ahead), step)


def _tap_bytes(b: Builder, tile: FilterTile) -> int:
    """Return the bytes from the weights of one tap to those of the next."""
    return tile.weight_step or tile.vectors * tile.lanes * b.bytes_of(tile.dtype)


def _sums(
    b: Builder,
    target: Target,
    tile: FilterTile,
    pixel: Value,
    weights: _Weights,
    bias: Value,
    taps: Value,
    spans: Value,
    ranges: Value,
    part: _Part | None,
) -> list[Value]:
    """Return the accumulators of a tile, position by position, after all taps, or those of a part."""
    nbytes = tile.lanes * b.bytes_of(tile.dtype)
    sum_kind = b.vector(b.number(tile.epilogue.accumulator), tile.lanes)
    initial = [b.zero(sum_kind)] * tile.vectors
    if tile.epilogue.bias:
        initial = [b.load(b.at(bias, b.constant(v * nbytes)), sum_kind) for v in range(tile.vectors)]
        if part and tile.parted:
            initial = [b.choose(part.is_first, value, b.zero(sum_kind)) for value in initial]
    sums: list[Value] = initial * len(tile.pixels)
    if tile.ragged:
        rows, columns = _pair(b, spans, ranges)
        with b.accumulate(*_pair(b, spans, rows), sums) as around:
            first = b.entry(spans, around.index)
            for number, mask in enumerate(tile.segments):
                ends = _pair(b, spans, b.add(columns, b.constant(2 * number)))
                start, stop = _within(b, part, *(b.add(first, end) for end in ends))
                # Sums of other positions need not be carried around.
                mine = [i for i in range(len(sums)) if mask >> i // tile.vectors & 1]
                with b.accumulate(start, stop, [around.values[i] for i in mine]) as state:
                    values = dict(zip(mine, state.values, strict=True))
                    values = _multiplied(b, target, tile, pixel, weights, taps, state.index, mask, tile.pixels, values)
                    state.values[:] = values.values()
                for i, value in zip(mine, state.values, strict=True):
                    around.values[i] = value
        return around.values
    for number, mask in enumerate(tile.segments):
        index = b.add(ranges, b.constant(2 * number))
        with b.accumulate(*_pair(b, spans, index), sums) as around:
            span = b.mul(around.index, 3 if tile.moves else 2)
            start, stop = _within(b, part, *_pair(b, spans, span))
            at, pixels = pixel, tile.pixels
            if tile.moves:
                at = b.at(pixel, b.entry(spans, b.add(span, b.constant(2))))
                pixels = tuple(map(add, pixels, tile.moves[number]))
            with b.accumulate(start, stop, around.values) as state:
                values = dict(enumerate(state.values))
                values = _multiplied(b, target, tile, at, weights, taps, state.index, mask, pixels, values)
                state.values[:] = values.values()
            around.values[:] = state.values
        sums = around.values
    return sums


def _multiplied(
    b: Builder,
    target: Target,
    tile: FilterTile,
    pixel: Value,
    weights: _Weights,
    taps: Value,
    tap: Value,
    mask: int,
    pixels: tuple[int, ...],
    sums: dict[int, Value],
) -> dict[int, Value]:
    """Return sums, by their numbers, after one tap of the positions of a mask."""
    kind = b.vector(b.number(tile.dtype), tile.lanes)
    nbytes = tile.lanes * b.bytes_of(tile.dtype)
    at = b.at(pixel, b.entry(taps, tap))
    row = b.at(weights.at, b.mul(tap, _tap_bytes(b, tile)))
    if weights.ahead is not None:
        b.prefetch(b.at(weights.ahead, b.mul(tap, weights.step)))
    ws = [b.load(b.at(row, b.constant(v * nbytes)), kind) for v in range(tile.vectors)]
    for m, offset in enumerate(pixels):
        if not mask >> m & 1:
            continue
        xs = _pixels(b, tile, b.at(at, b.constant(offset)))
        for v in range(tile.vectors):
            i = m * tile.vectors + v
            if tile.dot:
                sums[i] = b.dot(tile.dot, xs[v], ws[v], sums[i])
            else:
                sums[i] = b.multiply_add(xs[v], ws[v], sums[i], target.has_fma)
    return sums


def _within(b: Builder, part: _Part | None, start: Value, stop: Value) -> tuple[Value, Value]:
    """Return a span of taps, or what of it is in a part."""
    return (b.larger(start, part.first), b.smaller(stop, part.stop)) if part else (start, stop)


def _pair(b: Builder, table: Value, index: Value) -> tuple[Value, Value]:
    """Return an element of a table, and the next one."""
    return b.entry(table, index), b.entry(table, b.add(index, b.constant(1)))


def _pixels(b: Builder, tile: FilterTile, at: Value) -> list[Value]:
    """Return what each vector of weights is multiplied with: one pixel in all lanes, or one for each of them."""
    number = b.number(tile.dtype)
    if not tile.paired:
        return [b.splat(b.load(at, number), tile.lanes)] * tile.vectors
    kind, nbytes = b.vector(number, tile.lanes), tile.lanes * b.bytes_of(tile.dtype)
    counts = [tile.lanes] * (tile.vectors - 1) + [tile.last]
    return [b.load_first(b.at(at, b.constant(v * nbytes)), kind, n) for v, n in enumerate(counts)]


def _store(
    b: Builder,
    target: Target,
    tile: FilterTile,
    sums: list[Value],
    out: Value,
    step: Value,
    scales: Value,
    part: _Part | None,
) -> None:
    """Finish the sums and write them, once, or add those of a part and finish the last."""
    size = b.bytes_of(tile.epilogue.result)
    factors = scale_vectors(b, tile.epilogue, scales, tile.lanes, tile.vectors)
    done = sums
    if not part:
        done = [finish(b, target, tile.epilogue, value, factors[i % tile.vectors]) for i, value in enumerate(sums)]
    for v in range(tile.vectors):
        filters = tile.last if v == tile.vectors - 1 else tile.lanes
        column = done[v :: tile.vectors]
        if not tile.transposed:
            for m, value in enumerate(column):
                at = b.at(b.at(out, b.mul(step, m)), b.constant(v * tile.lanes * size))
                b.store_first(
                    narrow(b, tile.epilogue, _added(b, target, tile, value, at, 1, filters, part)), at, filters
                )
            continue
        # The parts of a filter's positions lie in one line of the cache, and are stored one right after the other.
        for f, parts in enumerate(zip(*_turned(b, column, tile.lanes, target), strict=True)):
            if f == filters:
                break
            to = b.at(out, b.mul(step, v * tile.lanes + f))
            for first, count, value in parts:
                at = b.at(to, b.constant(first * tile.spread * size))
                stored = _added(b, target, tile, value, at, tile.spread, count, part)
                b.store_apart(narrow(b, tile.epilogue, stored), at, tile.spread, count)


def _turned(b: Builder, column: list[Value], lanes: int, target: Target) -> list[list[tuple[int, int, Value]]]:
    """Return for each part of the positions and each filter its first position, their number, and their sums."""
    found = []
    for first, width in stored_positions(len(column), lanes, target):
        rows = column[first : first + width]
        filled = rows + [b.undefined(rows[0].type)] * (width - len(rows))
        found.append([(first, len(rows), value) for value in b.transpose(filled)])
    return found


def stored_positions(positions: int, lanes: int, target: Target) -> list[tuple[int, int]]:
    """Return the vectors in which a tile's positions are stored: where each starts, and its lanes, a power of two.

    Through a mask, the last one may have more lanes than are left.

    Examples
    --------
    >>> from im2col.engine.target import NAMED
    >>> stored_positions(14, 8, NAMED["avx2"]), stored_positions(14, 16, NAMED["avx512"])
    ([(0, 8), (8, 4), (12, 2)], [(0, 16)])
    """
    whole, rest = divmod(positions, lanes)
    found = [(i * lanes, lanes) for i in range(whole)]
    if rest and target.has_masks:
        return [*found, (whole * lanes, 1 << (rest - 1).bit_length())]
    return found + [(whole * lanes + first, width) for first, width in powers(rest)]


def _added(
    b: Builder, target: Target, tile: FilterTile, value: Value, at: Value, step: int, count: int, part: _Part | None
) -> Value:
    """Return the first lanes of a vector, added to what the result holds if the tile adds or parts came before."""
    if not tile.adds and not part:
        return value
    total = b.sum(tile.epilogue.result, value, b.load_apart(at, value.type, step, count))
    if not part:
        return total
    value = b.choose(part.is_first, value, total)  # what a result holds before its first part is anything
    return b.choose(part.is_last, finish(b, target, tile.epilogue, value), value)
