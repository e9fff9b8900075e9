"""The kernel that pools row by row: taps of rows are joined first, whole rows at a time, and then those of columns.

A row of the image is read once, or joined with others as it is read, where windows overlap little. It is made into
numbers that are joined at once: for maxima into integers of the same order, with NaN at the end of it. What stands
beside the image is what changes nothing, so that no window needs a case of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ...engine.compiler import Kernel
from ...engine.ordering import INFINITIES
from ...importing import importing
from .windows import passes

if TYPE_CHECKING:
    from ...engine.builder import Builder
    from ...engine.numbers import Value
    from ...engine.target import Target
    from .windows import Reduction, Term

MISSING = 1 << 62
"""In the place of a row's offset, where a tap lies beside the image; no offset is even half as great."""
JOB = [
    *("bands", "positions", "channels", "x_image", "x_channel", "x_run", "out_image", "out_channel", "out_row"),
    *("out_column", "rows", "height", "step", "tall", "kept", "entries", "starts", "row_counts", "column_counts"),
]
"""Words of a job. Units are bands of rows of the map, for each position of the axes before it, of each plane: how many
bands, positions, and channels of an image there are; bytes from image to image, channel to channel, run to run, row to
row and column to column; rows of a band, rows of the map, rows of the image between them, and those that each position
has entries for; how many the room keeps; and where the tables begin: of the rows' offsets, where each position's map
begins, and what sums are divided by, for each row and for each column."""
TASK = ["first", "stop", "group", "runs", "run", "left", "width", "columns", "row_bytes", "place", "count"]
"""Words of a task: its units, from the first one on; numbers of a column (one, or those of several channels); runs that
are read of each row, their numbers, how many stand before them in the room, and how many a row of it has; columns of the
map; bytes of a row in the room; the number of the image's first column that is read, and of the map's."""


class PoolRows(NamedTuple):
    """What a kernel is specialised for.

    Parameters
    ----------
    reduction : Reduction
    element : str
        Of the image: its name, as `Ordering` and `Numbers` have it.
    lanes : int
        Of a vector; no run, and no row of results, is shorter.
    reads : int
        Rows that are joined as they are read.
    down : (int, int)
        Taps that are joined in the room, and rows between them.
    across : (int, int, int)
        Taps, columns between them, and between windows.
    channels_last : bool
        Whether lanes are channels, of a column; else columns.
    """

    reduction: Reduction
    element: str
    lanes: int
    reads: int
    down: tuple[int, int]
    across: tuple[int, int, int]
    channels_last: bool

    @property
    def joined(self) -> str:
        """The name of the numbers that are joined."""
        if self.reduction == "maximum":
            return ("u" if self.element[0] == "u" else "i") + self.element[1]
        return "i8" if self.reduction == "place" else self.element

    def passes(self, taps: int) -> tuple[tuple[Term, ...], ...]:
        """Return how taps are joined."""
        return passes(taps, twice=self.reduction in ("maximum", "place"))


def pool_rows(spec: PoolRows) -> Kernel:
    """Return the kernel: ``f(image, room, _, out, job, task)``."""
    return Kernel("pool_rows", _build, (spec,), 6, speed_level=1)


def _build(name: str, target: Target, spec: PoolRows) -> str:
    with importing:
        from ...engine.builder import Builder

    b = Builder(name, "*image *room *unused *out *job *task", target)
    _Kernel(b, spec).write()
    return b.finish()


class _Kernel:
    """The kernel as it is written: what all of its parts need."""

    def __init__(self, b: Builder, spec: PoolRows) -> None:
        self.b, self.spec = b, spec
        self.job, self.task = (
            {word: b.entry(b[given], b.constant(i)) for i, word in enumerate(words)}
            for given, words in (("*job", JOB), ("*task", TASK))
        )
        sums = spec.reduction not in ("maximum", "place")
        self.element, self.size = b.bytes_of(spec.element), b.bytes_of(spec.joined)
        self.given = b.vector(b.number(spec.element) if sums else b.integer(self.element), spec.lanes)
        self.kind, self.nbytes = b.vector(b.number(spec.joined), spec.lanes), spec.lanes * self.size
        row = self.task["row_bytes"]
        self.nothing, self.row, self.worked, self.rows = (b.at(b["*room"], b.mul(row, i)) for i in range(4))
        self.worked_rows = b.at(self.rows, b.mul(row, self.job["kept"]))

    def write(self) -> None:
        """Write all loops: over units, and the rows of each."""
        b, job, task, spec = self.b, self.job, self.task, self.spec
        self._clear()
        with b.loop(task["stop"], task["first"]) as unit:
            rest = b.quotient(unit, job["bands"])
            band = b.sub(unit, b.mul(rest, job["bands"]))
            plane = b.quotient(rest, job["positions"])
            position = b.sub(rest, b.mul(plane, job["positions"]))
            number = b.quotient(plane, job["channels"])
            channel = b.sub(plane, b.mul(number, job["channels"]))
            x, out = (
                b.at(b.at(b[f"*{array}"], b.mul(number, job[f"{word}_image"])), b.mul(channel, job[f"{word}_channel"]))
                for array, word in (("image", "x"), ("out", "out"))
            )
            first = b.mul(band, job["rows"])
            count = b.smaller(job["rows"], b.sub(job["height"], first))
            out = b.at(out, b.entry(b.address(job["starts"]), position))
            counts = b.add(b.mul(position, job["height"]), first)
            entry = b.mul(position, job["tall"])
            if spec.down[0] == 1:
                with b.loop(count) as row:
                    self._read(x, b.add(b.add(entry, first), row), self.row)
                    self._across(b.at(out, b.mul(b.add(first, row), job["out_row"])), b.add(counts, row))
            else:
                self._band(x, b.add(entry, b.mul(first, job["step"])), count)
                with b.loop(count) as row:
                    self._join_rows(b.mul(row, job["step"]))
                    self._across(b.at(out, b.mul(b.add(first, row), job["out_row"])), b.add(counts, row))

    def _clear(self) -> None:
        """Fill the room with what changes nothing: the row that stands for those beside the image, and all others."""
        b, spec = self.b, self.spec
        least = self._least(spec.element, self.given)
        with b.loop(b.quotient(self.task["row_bytes"], spec.lanes * self.element)) as i:
            b.store(least, b.at(self.nothing, b.mul(i, spec.lanes * self.element)))
        times = 1 if spec.down[0] == 1 else len(spec.passes(spec.down[0]))
        rows = b.add(b.mul(self.job["kept"], times), b.constant(2))
        nothing = self._least(spec.joined, self.kind)
        with b.loop(b.quotient(b.mul(rows, self.task["row_bytes"]), self.nbytes)) as i:
            b.store(nothing, b.at(self.row, b.mul(i, self.nbytes)))

    def _least(self, name: str, kind: Value) -> Value:
        """Return a vector of numbers called `name` that change nothing."""
        if self.spec.reduction not in ("maximum", "place") or name[0] == "u":
            return self.b.zero(kind)
        if name in INFINITIES:  # as bits
            return self.b.numbers(INFINITIES[name] - (1 << 8 * self.element - 1), kind)
        return self.b.numbers(-1 << 8 * self.b.bytes_of(name) - 1, kind)

    def _joined(self, values: list[Value]) -> Value:
        """Return what one or more vectors are together."""
        b, spec = self.b, self.spec
        total = values[0]
        for value in values[1:]:
            is_sum = spec.reduction not in ("maximum", "place")
            total = b.plus(total, value) if is_sum else b.maximum(spec.joined, total, value)
        return total

    def _read(self, x: Value, entry: Value, to: Value) -> None:
        """Read the rows of an entry, and join them into one of the room."""
        b, spec, task, lanes = self.b, self.spec, self.task, self.spec.lanes
        table, has_places = b.address(self.job["entries"]), spec.reduction == "place"
        at = b.mul(entry, spec.reads * (1 + has_places))
        taps = []
        for i in range(spec.reads):
            offset = b.entry(table, b.add(at, b.constant(i)))
            is_there = b.smaller_than(offset, b.constant(MISSING // 2))
            start = b.choose(is_there, b.at(x, offset), self.nothing)
            step = b.choose(is_there, self.job["x_run"], b.constant(0))
            first = b.entry(table, b.add(at, b.constant(spec.reads + i))) if has_places else offset
            taps.append((is_there, start, step, b.add(first, task["place"])))
        last = b.sub(task["run"], b.constant(lanes))
        with b.loop(task["runs"]) as run, b.loop(b.add(last, b.constant(lanes)), step=lanes) as i:
            column = b.smaller(i, last)
            values = []
            for is_there, start, step, first in taps:
                source = b.at(b.at(start, b.mul(run, step)), b.mul(column, self.element))
                value = b.load(source, self.given)
                if has_places:
                    number = b.add(first, run if spec.channels_last else column)
                    places = b.splat(number, lanes)
                    if not spec.channels_last:
                        places = b.sum("i8", places, b.lane_numbers(places.type))
                    value = b.choose(is_there, b.placed(spec.element, value, places), self._least("i8", self.kind))
                elif spec.reduction == "maximum":
                    value = b.ordered(spec.element, value)
                elif spec.reduction == "root":
                    value = b.times(value, value)
                values.append(value)
            place = b.add(b.add(task["left"], b.mul(run, task["run"])), column)
            b.store(self._joined(values), b.at(to, b.mul(place, self.size)))

    def _band(self, x: Value, entry: Value, count: Value) -> None:
        """Read the rows of a band into the room, and join them once if they are joined twice."""
        b, spec, row_bytes = self.b, self.spec, self.task["row_bytes"]
        taps, apart = spec.down
        needed = b.add(b.mul(b.sub(count, b.constant(1)), self.job["step"]), b.constant((taps - 1) * apart + 1))
        with b.loop(needed) as row:
            self._read(x, b.add(entry, row), b.at(self.rows, b.mul(row, row_bytes)))
        ways = spec.passes(taps)
        if len(ways) > 1:
            stop = b.sub(needed, b.constant((len(ways[0]) - 1) * apart))
            with b.loop(stop) as row:
                self._rows_into(b.at(self.worked_rows, b.mul(row, row_bytes)), row, ways[0])

    def _join_rows(self, row: Value) -> None:
        """Join the rows of a window that begins at a row of the room."""
        self._rows_into(self.row, row, self.spec.passes(self.spec.down[0])[-1])

    def _rows_into(self, to: Value, row: Value, terms: tuple[Term, ...]) -> None:
        b, row_bytes = self.b, self.task["row_bytes"]
        starts = [
            b.at(
                self.worked_rows if worked else self.rows,
                b.mul(b.add(row, b.constant(tap * self.spec.down[1])), row_bytes),
            )
            for worked, tap in terms
        ]
        with b.loop(b.mul(self.task["width"], self.size), step=self.nbytes) as i:
            b.store(self._joined([b.load(b.at(start, i), self.kind) for start in starts]), b.at(to, i))

    def _across(self, out: Value, counts: Value) -> None:
        """Join the columns of each window of a row, and write what becomes of them."""
        b, spec, task, lanes = self.b, self.spec, self.task, self.spec.lanes
        taps, apart, stride = spec.across
        ways, group = spec.passes(taps), task["group"]
        if len(ways) > 1:
            stop = b.sub(task["width"], b.mul(group, (len(ways[0]) - 1) * apart))
            starts = self._starts(ways[0])
            with b.loop(b.mul(stop, self.size), step=self.nbytes) as i:
                b.store(self._joined([b.load(b.at(start, i), self.kind) for start in starts]), b.at(self.worked, i))
        starts = self._starts(ways[-1])
        divisor = columns = None
        if spec.reduction == "mean":
            columns = b.address(self.job["column_counts"])
            row = b.load(b.at(b.address(self.job["row_counts"]), b.mul(counts, self.size)), self.kind.element)
            divisor = b.splat(row, lanes)
        result = b.vector(b.number(spec.joined), lanes)
        size = self.size
        if spec.channels_last:
            last = b.sub(group, b.constant(lanes))
            with b.loop(task["columns"]) as column:
                by = divisor
                if divisor is not None:
                    at = b.mul(b.add(task["count"], column), self.size)
                    by = b.times(divisor, b.splat(b.load(b.at(columns, at), self.kind.element), lanes))
                begin = b.mul(b.mul(column, group), stride)
                with b.loop(group, step=lanes) as i:
                    channel = b.smaller(i, last)
                    at = b.mul(b.add(begin, channel), self.size)
                    total = self._joined([b.load(b.at(start, at), self.kind) for start in starts])
                    to = b.add(b.mul(column, self.job["out_column"]), b.mul(channel, size))
                    b.store(self._finished(total, by), b.at(out, to))
            return
        last = b.sub(task["columns"], b.constant(lanes))
        with b.loop(task["columns"], step=lanes) as i:
            column = b.smaller(i, last)
            total = self._joined([self._every(b.at(start, b.mul(column, stride * self.size))) for start in starts])
            by = divisor
            if divisor is not None:
                at = b.mul(b.add(task["count"], column), self.size)
                by = b.times(divisor, b.load(b.at(columns, at), result))
            b.store(self._finished(total, by), b.at(out, b.mul(column, size)))

    def _starts(self, terms: tuple[Term, ...]) -> list[Value]:
        """Return where the terms of a row's first window begin."""
        b, step = self.b, self.spec.across[1] * self.size
        return [
            b.at(self.worked if worked else self.row, b.mul(self.task["group"], tap * step)) for worked, tap in terms
        ]

    def _every(self, address: Value) -> Value:
        """Return the numbers at an address that windows begin with: all, every second one, or one by one."""
        b, lanes, stride = self.b, self.spec.lanes, self.spec.across[2]
        if stride == 1:
            return b.load(address, self.kind)
        if stride == 2:
            parts = [b.load(b.at(address, b.constant(i * self.nbytes)), self.kind) for i in range(2)]
            return b.picked(*parts, list(range(0, 2 * lanes, 2)))
        return b.load_apart(address, self.kind, stride, lanes)

    def _finished(self, total: Value, divisor: Value | None) -> Value:
        """Return what is written of what was joined."""
        b, spec = self.b, self.spec
        if divisor is not None:
            return b.over(total, divisor)
        if spec.reduction == "root":
            return b.square_root(total)
        if spec.reduction == "place":
            return b.place_of(spec.element, total)
        return b.unordered(spec.element, total) if spec.reduction == "maximum" else total
