"""The kernel that makes a map of tiles: products transformed back, bias and activation on their way to the one store.

Lanes are filters. Where a result's neighbours are positions and not filters, vectors are turned before they are stored.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

from ...engine.compiler import Kernel
from ...importing import importing
from ..implicit.tiles.epilogue import finish
from ..implicit.tiles.filter_lanes import stored_positions
from .into_tiles import first_of, scratch_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...engine.builder import Builder
    from ...engine.numbers import Value
    from ...engine.target import Target
    from ..implicit.tiles.epilogue import Epilogue
    from .transform import Scratch, Transform


class OutOfTiles(NamedTuple):
    """What a kernel is specialised for.

    Parameters
    ----------
    dtype : str
        Of products, as `Builder.number` calls it.
    lanes : int
        VL: filters of a vector.
    filters : int
        Of a vector: fewer than lanes where a group has no more.
    transform : Transform
    kept : tuple of int
        Positions of a tile that it is made for, along each axis.
    parts : int
        Sums that an element's product comes in, side by side.
    transposed : bool
        Whether neighbours in the result are positions, and not filters.
    epilogue : Epilogue
    """

    dtype: str
    lanes: int
    filters: int
    transform: Transform
    kept: tuple[int, ...]
    parts: int
    transposed: bool
    epilogue: Epilogue


def job_words(axes: int) -> list[str]:
    """Return the words of a job: for each tile a row of the table says where its products, positions and flag begin.

    `kept0`, … are positions of a tile that are in the map, `position0`, … bytes from one to the next, `filter` from one
    filter to the next; the others as those of `into_tiles`.
    """
    words = ["tiles", "groups", "vectors", "filters", "filter", "m_group", "out_group", "bias_group"]
    return [*words, *(f"{word}{i}" for word in ("kept", "position") for i in range(axes))]


ROW_WORDS = 3


def out_of_tiles(spec: OutOfTiles) -> Kernel:
    """Return the kernel: ``f(products, flags, bias, out, job, task)``; a task is as that of `into_tiles`.

    A flag, a 64-bit integer a tile, says whether one of its results is infinite or no number: a pixel was, which a tile
    carries to all of its results, or something overflowed that would not have by itself.
    """
    return Kernel("out_of_tiles", _build, (spec,), 6, speed_level=1)


def _build(name: str, target: Target, spec: OutOfTiles) -> str:
    with importing:
        from ...engine.builder import Builder

    axes = len(spec.kept)
    b = Builder(name, "*m *flags *bias *out *job *task", target)
    kind = b.vector(b.number(spec.dtype), spec.lanes)
    scratch, clean = scratch_of(b, kind, spec.transform), b.zero(kind)
    job = {word: b.entry(b["*job"], b.constant(i)) for i, word in enumerate(job_words(axes))}
    first, stop = (b.entry(b["*task"], b.constant(i)) for i in range(2))
    tiles, none = b.address(job["tiles"]), b.constant(0)
    with b.loop(stop, first) as tile:
        row = b.mul(tile, ROW_WORDS)
        products, positions, flag = (b.entry(tiles, b.add(row, b.constant(i))) for i in range(ROW_WORDS))
        with b.accumulate(none, job["groups"], [clean]) as groups:
            m = b.at(b["*m"], b.add(products, b.mul(groups.index, job["m_group"])))
            out = b.at(b["*out"], b.add(positions, b.mul(groups.index, job["out_group"])))
            bias = b.at(b["*bias"], b.mul(groups.index, job["bias_group"]))
            with b.accumulate(none, job["vectors"], groups.values) as vectors:
                wrong = _vector(b, target, spec, job, m, bias, out, scratch, vectors.index)
                vectors.values = [b.plus(vectors.values[0], wrong)]
            groups.values = vectors.values
        at = b.at(b["*flags"], flag)  # other filters may have said something
        b.store(b.larger(b.any_nan(groups.values[0]), b.load(at, b.i64)), at)
    return b.finish()


def _vector(
    b: Builder,
    target: Target,
    spec: OutOfTiles,
    job: dict[str, Value],
    m: Value,
    bias: Value,
    out: Value,
    scratch: Scratch,
    vector: Value,
) -> Value:
    """Transform a vector of filters of a tile back, finish, store; return 0, or NaN where a result is not finite."""
    size, kind, count = int(spec.dtype[1]), b.vector(b.number(spec.dtype), spec.lanes), spec.filters
    first, filters = first_of(b, vector, spec.lanes, job["filters"], count), b.mul(job["filters"], size)
    at, out = b.mul(first, size), b.at(out, b.mul(job["filter"], first))
    offset = b.load_first(b.at(bias, at), kind, count) if spec.epilogue.bias else None

    def load(number: Value) -> Value:
        numbers = [b.add(b.mul(number, spec.parts), b.constant(part)) for part in range(spec.parts)]
        sums = [b.load_first(b.at(m, b.add(b.mul(filters, i), at)), kind, count) for i in numbers]
        return reduce(b.plus, sums)

    def finished(index: Sequence[Value], values: list[Value]) -> Value:
        if offset is not None:
            values = [b.plus(value, offset) for value in values]
        total = reduce(b.plus, values)
        to = out
        for axis, i in enumerate(index):
            to = b.at(to, b.mul(i, job[f"position{axis}"]))
        _line(b, target, spec, job, to, [finish(b, target, spec.epilogue, value) for value in values])
        return total

    counts = [job[f"kept{axis}"] for axis in range(len(spec.kept) - 1)]
    total = spec.transform.out_of(b, load, finished, spec.kept, counts, scratch, target.has_fma)
    return b.times(total, b.zero(kind))


def _line(b: Builder, target: Target, spec: OutOfTiles, job: dict[str, Value], to: Value, values: list[Value]) -> None:
    """Store results that are neighbours along the last axis, of a vector of filters."""
    columns, count = len(values), spec.filters
    if not spec.transposed:
        for i, value in enumerate(values):
            b.store_first(value, b.at(to, b.mul(job[f"position{len(spec.kept) - 1}"], i)), count)
        return
    result = b.bytes_of(spec.epilogue.result)
    parts = stored_positions(columns, spec.lanes, target)
    turned = [b.transpose(_filled(b, values[first : first + width], width)) for first, width in parts]
    for f in range(count):
        line = b.at(to, b.mul(job["filter"], f))
        for (first, width), each in zip(parts, turned, strict=True):
            there = min(width, columns - first)
            b.store_first(each[f], b.at(line, b.constant(first * result)), there)


def _filled(b: Builder, rows: list[Value], width: int) -> list[Value]:
    """Return rows, and as many undefined ones as are left of a width."""
    return rows + [b.undefined(rows[0].type)] * (width - len(rows))
