"""The microkernel whose lanes are filters: each pixel is broadcast against vectors of weights.

A tile is MR positions × NV vectors of filters, kept in registers while the loop over the taps runs. The left operand is
never made: pixel (position m, tap t) is read at ``row offset + m · pixel step + tap offset``. That is im2col, as
addresses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ....engine.builder import Builder
from ....engine.compiler import Kernel
from .epilogue import Epilogue, finish, narrow, scale_vectors

if TYPE_CHECKING:
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
        Whether they are added to what the result holds; only with a spread of 1, and without an activation.
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
TASK = ["image0", "image1", "group0", "group1", "block0", "block1", "row0", "row1"]


def filter_lanes(tile: FilterTile) -> Kernel:
    """Return the kernel of a tile, with the loops around it."""
    return Kernel("filter_lanes", _build, (tile,), 6, speed_level=1)


def _build(name: str, target: Target, tile: FilterTile) -> str:
    b = Builder(name, "*x *w *bias *out *job *task")
    job = {word: b.entry(b["*job"], b.constant(i)) for i, word in enumerate(JOB)}
    task = {word: b.entry(b["*task"], b.constant(i)) for i, word in enumerate(TASK)}
    taps, rows, spans = (b.address(job[word]) for word in JOB[:3])
    with b.loop(task["image1"], task["image0"]) as image, b.loop(task["group1"], task["group0"]) as group:
        x = b.at(b["*x"], b.add(b.mul(image, job["x_image"]), b.mul(group, job["x_group"])))
        out = b.at(b["*out"], b.add(b.mul(image, job["out_image"]), b.mul(group, job["out_group"])))
        w = b.at(b["*w"], b.mul(group, job["w_group"]))
        bias = b.at(b["*bias"], b.mul(group, job["bias_group"]))
        # Rows that stay in the second level of cache while all filters pass over them.
        with b.loop(task["row1"], task["row0"], job["block"]) as first:
            stop = b.smaller(b.add(first, job["block"]), task["row1"])
            with b.loop(task["block1"], task["block0"]) as block:
                w_block = b.at(w, b.mul(block, job["w_block"]))
                bias_block = b.at(bias, b.mul(block, tile.vectors * tile.lanes * b.bytes_of(tile.epilogue.accumulator)))
                out_block = b.at(out, b.mul(block, job["out_block"]))
                x_block = b.at(x, b.mul(block, job["x_block"]))
                with b.loop(stop, first) as row:
                    entry = b.mul(row, 3)
                    x_row = b.at(x_block, b.entry(rows, entry))
                    out_row = b.at(out_block, b.entry(rows, b.add(entry, b.constant(1))))
                    ranges = b.entry(rows, b.add(entry, b.constant(2)))
                    with b.loop(job["tiles"]) as number:
                        pixel = b.at(x_row, b.mul(number, job["x_tile"]))
                        target_at = b.at(out_row, b.mul(number, job["out_tile"]))
                        sums = _sums(b, target, tile, pixel, w_block, bias_block, taps, spans, ranges)
                        scales = b.at(bias_block, job["scales"])
                        _store(b, target, tile, sums, target_at, job["out_step"], scales)
    return b.finish()


def _sums(
    b: Builder,
    target: Target,
    tile: FilterTile,
    pixel: Value,
    weights: Value,
    bias: Value,
    taps: Value,
    spans: Value,
    ranges: Value,
) -> list[Value]:
    """Return the accumulators of a tile, position by position, after all taps."""
    kind = b.vector(b.number(tile.dtype), tile.lanes)
    nbytes = tile.lanes * b.bytes_of(tile.dtype)
    sum_kind = b.vector(b.number(tile.epilogue.accumulator), tile.lanes)
    initial = [b.zero(sum_kind)] * tile.vectors
    if tile.epilogue.bias:
        initial = [b.load(b.at(bias, b.constant(v * nbytes)), sum_kind) for v in range(tile.vectors)]
    sums: list[Value] = initial * len(tile.pixels)
    for number, mask in enumerate(tile.segments):
        index = b.add(ranges, b.constant(2 * number))
        first, last = b.entry(spans, index), b.entry(spans, b.add(index, b.constant(1)))
        with b.accumulate(first, last, sums) as around:
            span = b.mul(around.index, 2)
            start, stop = b.entry(spans, span), b.entry(spans, b.add(span, b.constant(1)))
            with b.accumulate(start, stop, around.values) as state:
                at = b.at(pixel, b.entry(taps, state.index))
                row = b.at(weights, b.mul(state.index, tile.weight_step or tile.vectors * nbytes))
                ws = [b.load(b.at(row, b.constant(v * nbytes)), kind) for v in range(tile.vectors)]
                for m, offset in enumerate(tile.pixels):
                    if not mask >> m & 1:
                        continue
                    xs = _pixels(b, tile, b.at(at, b.constant(offset)))
                    for v in range(tile.vectors):
                        i = m * tile.vectors + v
                        if tile.dot:
                            state.values[i] = b.dot(tile.dot, xs[v], ws[v], state.values[i])
                        else:
                            state.values[i] = b.multiply_add(xs[v], ws[v], state.values[i], target.has_fma)
            around.values[:] = state.values
        sums = around.values
    return sums


def _pixels(b: Builder, tile: FilterTile, at: Value) -> list[Value]:
    """Return what each vector of weights is multiplied with: one pixel in all lanes, or one for each of them."""
    number = b.number(tile.dtype)
    if not tile.paired:
        return [b.splat(b.load(at, number), tile.lanes)] * tile.vectors
    kind, nbytes = b.vector(number, tile.lanes), tile.lanes * b.bytes_of(tile.dtype)
    counts = [tile.lanes] * (tile.vectors - 1) + [tile.last]
    return [b.load_first(b.at(at, b.constant(v * nbytes)), kind, n) for v, n in enumerate(counts)]


def _store(
    b: Builder, target: Target, tile: FilterTile, sums: list[Value], out: Value, step: Value, scales: Value
) -> None:
    """Finish the sums and write them, once."""
    size = b.bytes_of(tile.epilogue.result)
    factors = scale_vectors(b, tile.epilogue, scales, tile.lanes, tile.vectors)
    done = [finish(b, target, tile.epilogue, value, factors[i % tile.vectors]) for i, value in enumerate(sums)]
    for v in range(tile.vectors):
        filters = tile.last if v == tile.vectors - 1 else tile.lanes
        column = done[v :: tile.vectors]
        if not tile.transposed:
            for m, value in enumerate(column):
                at = b.at(b.at(out, b.mul(step, m)), b.constant(v * tile.lanes * size))
                b.store_first(narrow(b, tile.epilogue, _added(b, tile, value, at, filters)), at, filters)
            continue
        for first in range(0, len(tile.pixels), tile.lanes):
            part = column[first : first + tile.lanes]
            filled = part + [b.undefined(part[0].type)] * (tile.lanes - len(part))
            for f, value in enumerate(b.transpose(filled)[:filters]):
                at = b.at(b.at(out, b.mul(step, v * tile.lanes + f)), b.constant(first * tile.spread * size))
                stored = narrow(b, tile.epilogue, _added(b, tile, value, at, len(part)))
                b.store_apart(stored, at, tile.spread, len(part))


def _added(b: Builder, tile: FilterTile, value: Value, at: Value, count: int) -> Value:
    """Return the first lanes of a vector, added to what the result holds if the tile adds."""
    if not tile.adds:
        return value
    return b.sum(tile.epilogue.result, value, b.load_first(at, value.type, count))
