"""The kernel that makes a map of tiles: products transformed back, bias and activation on their way to the one store.

Lanes are filters. Where a result's neighbours are positions and not filters, vectors are turned before they are stored.
"""

from __future__ import annotations

import itertools
import math
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

from ...engine.compiler import Kernel
from ...importing import importing
from ..implicit.tiles.epilogue import finish
from ..implicit.tiles.filter_lanes import stored_positions
from .into_tiles import transformed

if TYPE_CHECKING:
    from ...engine.builder import Builder
    from ...engine.numbers import Value
    from ...engine.target import Target
    from ..implicit.tiles.epilogue import Epilogue
    from .cook_toom import Matrix


class OutOfTiles(NamedTuple):
    """What a kernel is specialised for.

    Parameters
    ----------
    dtype : str
        Of products, as `Builder.number` calls it.
    lanes : int
        VL: filters of a vector.
    last : int
        Filters of a group that no whole vector holds.
    matrices : tuple of Matrix
        A of each spatial axis: only its rows of positions that are in the map.
    parts : int
        Sums that an element's product comes in, side by side.
    transposed : bool
        Whether neighbours in the result are positions, and not filters.
    epilogue : Epilogue
    """

    dtype: str
    lanes: int
    last: int
    matrices: tuple[Matrix, ...]
    parts: int
    transposed: bool
    epilogue: Epilogue

    @property
    def sizes(self) -> tuple[int, ...]:
        """Positions of a tile along each axis."""
        return tuple(len(each) for each in self.matrices)


def job_words(axes: int) -> list[str]:
    """Return the words of a job: for each tile a row of the table says where its products, positions and flag begin.

    `position0`, … are bytes from one position to the next, `filter` from one filter to the next; the others as those of
    `into_tiles`.
    """
    words = ["tiles", "groups", "vectors", "filter", "m_group", "out_group", "bias_group"]
    return [*words, *(f"position{i}" for i in range(axes))]


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

    axes, size = len(spec.matrices), int(spec.dtype[1])
    b = Builder(name, "*m *flags *bias *out *job *task", target)
    job = {word: b.entry(b["*job"], b.constant(i)) for i, word in enumerate(job_words(axes))}
    first, stop = (b.entry(b["*task"], b.constant(i)) for i in range(2))
    tiles, step, none = b.address(job["tiles"]), b.constant(spec.lanes * size), b.constant(0)
    clean = b.zero(b.vector(b.number(spec.dtype), spec.lanes))
    with b.loop(stop, first) as tile:
        row = b.mul(tile, ROW_WORDS)
        products, positions, flag = (b.entry(tiles, b.add(row, b.constant(i))) for i in range(ROW_WORDS))
        with b.accumulate(none, job["groups"], [clean]) as groups:
            m = b.at(b["*m"], b.add(products, b.mul(groups.index, job["m_group"])))
            out = b.at(b["*out"], b.add(positions, b.mul(groups.index, job["out_group"])))
            bias = b.at(b["*bias"], b.mul(groups.index, job["bias_group"]))
            filters = b.add(b.mul(job["vectors"], step), b.constant(spec.last * size))
            with b.accumulate(none, job["vectors"], groups.values) as vectors:
                wrong = _vector(b, target, spec, job, filters, m, bias, out, vectors.index, spec.lanes)
                vectors.values = [b.plus(vectors.values[0], wrong)]
            groups.values = vectors.values
            if spec.last:
                wrong = _vector(b, target, spec, job, filters, m, bias, out, job["vectors"], spec.last)
                groups.values = [b.plus(groups.values[0], wrong)]
        at = b.at(b["*flags"], flag)  # other filters may have said something
        b.store(b.larger(b.any_nan(groups.values[0]), b.load(at, b.i64)), at)
    return b.finish()


def _vector(
    b: Builder,
    target: Target,
    spec: OutOfTiles,
    job: dict[str, Value],
    filters: Value,
    m: Value,
    bias: Value,
    out: Value,
    vector: Value,
    count: int,
) -> Value:
    """Transform a vector of filters of a tile back, finish, store; return 0, or NaN where a result is not finite."""
    size, kind = int(spec.dtype[1]), b.vector(b.number(spec.dtype), spec.lanes)
    at = b.mul(vector, spec.lanes * size)
    products = math.prod(len(matrix[0]) for matrix in spec.matrices)
    sums = [b.load_first(b.at(m, b.add(b.mul(filters, i), at)), kind, count) for i in range(products * spec.parts)]
    values = [reduce(b.plus, sums[i : i + spec.parts]) for i in range(0, len(sums), spec.parts)]
    values = transformed(b, spec.matrices, values, target.has_fma)
    if spec.epilogue.bias:
        offset = b.load_first(b.at(bias, at), kind, count)
        values = [b.plus(value, offset) for value in values]
    wrong = b.times(reduce(b.plus, values), b.zero(kind))
    values = [finish(b, target, spec.epilogue, value) for value in values]
    out = b.at(out, b.mul(job["filter"], b.mul(vector, spec.lanes)))
    result = b.bytes_of(spec.epilogue.result)
    *lead, columns = spec.sizes
    for number, index in enumerate(itertools.product(*map(range, lead))):
        to = out
        for axis, i in enumerate(index):
            to = b.at(to, b.mul(job[f"position{axis}"], i))
        row = values[number * columns : (number + 1) * columns]
        if not spec.transposed:
            for i, value in enumerate(row):
                b.store_first(value, b.at(to, b.mul(job[f"position{len(lead)}"], i)), count)
            continue
        parts = stored_positions(columns, spec.lanes, target)
        turned = [b.transpose(_filled(b, row[first : first + width], width)) for first, width in parts]
        for f in range(count):
            line = b.at(to, b.mul(job["filter"], f))
            for (first, width), each in zip(parts, turned, strict=True):
                there = min(width, columns - first)
                b.store_first(each[f], b.at(line, b.constant(first * result)), there)
    return wrong


def _filled(b: Builder, rows: list[Value], width: int) -> list[Value]:
    """Return rows, and as many undefined ones as are left of a width."""
    return rows + [b.undefined(rows[0].type)] * (width - len(rows))
