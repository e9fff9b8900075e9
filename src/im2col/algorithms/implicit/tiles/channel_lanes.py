"""The microkernel whose lanes are channels: each filter reads one channel, and channels lie side by side in memory.

A tile is MR neighbouring positions × NV vectors of channels, kept in registers while the loop over the window's rows
runs. A vector of pixels is loaded once and serves every position whose window covers it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ....engine.builder import Builder
from ....engine.compiler import Kernel
from .epilogue import Epilogue, finish, narrow, scale_vectors

if TYPE_CHECKING:
    from ....engine.numbers import Value
    from ....engine.target import Target


class ChannelTile(NamedTuple):
    """What a kernel is specialised for.

    Parameters
    ----------
    dtype : str
        Of pixels and weights, as `Builder.number` calls it.
    lanes, vectors, last : int
        VL, NV, and channels of the last vector that are there.
    positions : int
        MR: neighbouring positions.
    columns, stride, dilation : int
        Of the window, along its last axis.
    pixel_step : int
        Bytes between neighbouring pixels.
    first, stop : int
        Pixels of the tile, counted from its first tap, that lie in the image: first <= j < stop. The others are
        padding, and are skipped.
    epilogue : Epilogue
        What happens to the sums on their way out.
    """

    dtype: str
    lanes: int
    vectors: int
    last: int
    positions: int
    columns: int
    stride: int
    dilation: int
    pixel_step: int
    first: int
    stop: int
    epilogue: Epilogue


JOB = [
    "lines",
    "rows",
    "spans",
    "x_image",
    "w_block",
    "out_image",
    "out_block",
    "block",
    "tiles",
    "x_tile",
    "out_tile",
    "out_step",
    "scales",
]
TASK = ["image0", "image1", "group0", "group1", "block0", "block1", "row0", "row1"]


def channel_lanes(tile: ChannelTile) -> Kernel:
    """Return the kernel of a tile, with the loops around it."""
    return Kernel("channel_lanes", _build, (tile,), 6, speed_level=1)


def _build(name: str, target: Target, tile: ChannelTile) -> str:
    b = Builder(name, "*x *w *bias *out *job *task")
    job = {word: b.entry(b["*job"], b.constant(i)) for i, word in enumerate(JOB)}
    task = {word: b.entry(b["*task"], b.constant(i)) for i, word in enumerate(TASK)}
    lines, rows, spans = (b.address(job[word]) for word in JOB[:3])
    block_bytes = tile.vectors * tile.lanes * b.bytes_of(tile.dtype)
    with b.loop(task["image1"], task["image0"]) as image:
        x = b.at(b["*x"], b.mul(image, job["x_image"]))
        out = b.at(b["*out"], b.mul(image, job["out_image"]))
        # Rows that stay in the second level of cache while all channels pass over them.
        with b.loop(task["row1"], task["row0"], job["block"]) as first:
            stop = b.smaller(b.add(first, job["block"]), task["row1"])
            with b.loop(task["block1"], task["block0"]) as block:
                w = b.at(b["*w"], b.mul(block, job["w_block"]))
                bias = b.at(b["*bias"], b.mul(block, block_bytes))
                x_block = b.at(x, b.mul(block, block_bytes))
                out_block = b.at(out, b.mul(block, job["out_block"]))
                with b.loop(stop, first) as row:
                    entry = b.mul(row, 3)
                    x_row = b.at(x_block, b.entry(rows, entry))
                    out_row = b.at(out_block, b.entry(rows, b.add(entry, b.constant(1))))
                    ranges = b.entry(rows, b.add(entry, b.constant(2)))
                    with b.loop(job["tiles"]) as number:
                        pixels = b.at(x_row, b.mul(number, job["x_tile"]))
                        sums = _sums(b, target, tile, pixels, w, bias, lines, spans, ranges)
                        to, scales = b.at(out_row, b.mul(number, job["out_tile"])), b.at(bias, job["scales"])
                        _store(b, target, tile, sums, to, job["out_step"], scales)
    return b.finish()


def _sums(
    b: Builder,
    target: Target,
    tile: ChannelTile,
    pixels: Value,
    weights: Value,
    bias: Value,
    lines: Value,
    spans: Value,
    ranges: Value,
) -> list[Value]:
    """Return the accumulators of a tile, position by position, after all rows of the window."""
    kind = b.vector(b.number(tile.dtype), tile.lanes)
    nbytes = tile.lanes * b.bytes_of(tile.dtype)
    initial = [b.zero(kind)] * tile.vectors
    if tile.epilogue.bias:
        initial = [b.load(b.at(bias, b.constant(v * nbytes)), kind) for v in range(tile.vectors)]
    widths = [tile.lanes] * (tile.vectors - 1) + [tile.last]
    pairs: dict[int, list[tuple[int, int]]] = {}
    for m in range(tile.positions):
        for kx in range(tile.columns):
            pairs.setdefault(m * tile.stride + kx * tile.dilation, []).append((m, kx))
    sums: list[Value] = initial * tile.positions
    first, last = b.entry(spans, ranges), b.entry(spans, b.add(ranges, b.constant(1)))
    with b.accumulate(first, last, sums) as around:
        span = b.mul(around.index, 2)
        start, stop = b.entry(spans, span), b.entry(spans, b.add(span, b.constant(1)))
        with b.accumulate(start, stop, around.values) as state:
            line = b.at(pixels, b.entry(lines, state.index))
            row = b.at(weights, b.mul(state.index, tile.columns * tile.vectors * nbytes))
            for j in sorted(pairs):
                if not tile.first <= j < tile.stop:
                    continue
                here = b.at(line, b.constant(j * tile.pixel_step))
                xs = [b.load_first(b.at(here, b.constant(v * nbytes)), kind, n) for v, n in enumerate(widths)]
                for m, kx in pairs[j]:
                    for v in range(tile.vectors):
                        w = b.load(b.at(row, b.constant((kx * tile.vectors + v) * nbytes)), kind)
                        i = m * tile.vectors + v
                        state.values[i] = b.multiply_add(xs[v], w, state.values[i], target.has_fma)
        around.values[:] = state.values
    return around.values


def _store(
    b: Builder, target: Target, tile: ChannelTile, sums: list[Value], out: Value, step: Value, scales: Value
) -> None:
    """Finish the sums and write them, once."""
    size = b.bytes_of(tile.epilogue.result)
    factors = scale_vectors(b, tile.epilogue, scales, tile.lanes, tile.vectors)
    for i, value in enumerate(sums):
        m, v = divmod(i, tile.vectors)
        at = b.at(b.at(out, b.mul(step, m)), b.constant(v * tile.lanes * size))
        count = tile.last if v == tile.vectors - 1 else tile.lanes
        done = narrow(b, tile.epilogue, finish(b, target, tile.epilogue, value, factors[v]))
        b.store_first(done, at, count)
