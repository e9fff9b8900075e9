"""The kernel that pools row by row: taps of rows are joined first, whole rows at a time, and then those of columns.

A row of the image is read once, or joined with others as it is read, where windows overlap little. It is made into
numbers that are joined at once: for maxima into integers of the same order, with NaN at the end of it. What stands
beside the image is what changes nothing, so that no window needs a case of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ...engine.compiler import Kernel
from ...importing import importing
from ...spec.pool import COMPARED
from .arithmetic import Arithmetic, joined_name
from .passes import passes

if TYPE_CHECKING:
    from ...engine.builder import Builder
    from ...engine.numbers import Value
    from ...engine.target import Target
    from ...spec.pool import Reduction
    from .passes import Passes, Term

MISSING = 1 << 62
"""In the place of a row's offset, where a tap lies beside the image; no offset is even half as great."""
_MOST_PICKED = 4
"""Columns between windows up to which all are joined, and those that begin windows are picked then."""
JOB = [
    *("bands", "positions", "channels", "x_image", "x_channel", "x_run", "out_image", "out_channel", "out_row"),
    *("out_run", "rows", "height", "tall", "entries", "starts", "row_counts", "column_counts", "nothing", "region"),
]
"""Words of a job. Units are bands of rows of the map, for each position of the axes before it, of each plane: how many
bands, positions, and channels of an image there are; bytes from image to image, channel to channel, run to run, and row
to row; rows of a band, rows of the map, and rows that each position has entries for; where the tables begin: of the
rows' offsets, where each position's map begins, and what sums are divided by, for each row and for each column; and
bytes of the room's parts: of a row of nothing, and of the rows of a band."""
TASK = ["first", "stop", "group", "runs", "run", "left", "pitch", "out_runs", "run_out", "place", "count"]
"""Words of a task: its units, from the first one on; numbers of a column (one, or those of several channels); runs that
are read of each row, their numbers, how many stand before them in the room, and how many a row has there; runs that
are written, and their numbers; the number of the image's first column that is read, and of the map's."""


class PoolRows(NamedTuple):
    """What a kernel is specialised for.

    Parameters
    ----------
    reduction : Reduction
    element : str
        Of the image: its name, as `Ordering` and `Numbers` have it.
    lanes, read_lanes, write_lanes, row_lanes : int
        Of vectors that are joined, read and written, and joined for one row of the map; no run that is read or written
        is shorter.
    reads : int
        Rows that are joined as they are read.
    down : (int, int, int)
        Taps that are joined in the room, rows between them, and between windows.
    across : (int, int, int)
        Taps, columns between them, and between windows.
    channels_last : bool
        Whether lanes are channels, of a column; else columns.
    is_flat : bool
        Whether the windows of a row follow those of the one before, in the room and in the map.
    is_uniform : bool
        Whether all sums are divided by the same number, the first of either table.
    """

    reduction: Reduction
    element: str
    lanes: int
    read_lanes: int
    write_lanes: int
    row_lanes: int
    reads: int
    down: tuple[int, int, int]
    across: tuple[int, int, int]
    channels_last: bool
    is_flat: bool
    is_uniform: bool

    @property
    def joined(self) -> str:
        """The name of the numbers that are joined."""
        return joined_name(self.reduction, self.element)

    @property
    def ways(self) -> tuple[Passes, Passes]:
        """How taps are joined, down and across."""
        twice = self.reduction in COMPARED
        return passes(self.down[0], twice=twice), passes(self.across[0], twice=twice)

    @property
    def slack(self) -> int:
        """Columns, and numbers, that are read behind a band, at most: results of which nothing is made."""
        taps, apart, stride = self.across
        return (stride + 2) * self.lanes + (taps - 1) * apart


def pool_rows(spec: PoolRows) -> Kernel:
    """Return the kernel: ``f(image, room, _, out, job, task)``."""
    return Kernel("pool_rows", _build, (spec,), 6, speed_level=1)


def _build(name: str, target: Target, spec: PoolRows) -> str:
    with importing:
        from ...engine.builder import Builder

    b = Builder(name, "*image *room *unused *out *job *task", target)
    _Kernel(b, spec).write()
    return b.finish()


class _Kernel(Arithmetic):
    """The kernel as it is written: what all of its parts need."""

    def __init__(self, b: Builder, spec: PoolRows) -> None:
        super().__init__(b, spec.reduction, spec.element)
        self.spec = spec
        self.job, self.task = (
            {word: b.entry(b[given], b.constant(i)) for i, word in enumerate(words)}
            for given, words in (("*job", JOB), ("*task", TASK))
        )
        self.pitch = b.mul(self.task["pitch"], self.size)
        self.nothing = b["*room"]
        self.rows, self.worked, self.along = (
            b.at(b.at(b["*room"], self.job["nothing"]), b.mul(self.job["region"], i)) for i in range(3)
        )

    def kind(self, lanes: int) -> Value:
        """Return the type of a vector that is joined."""
        return self.b.vector(self.number, lanes)

    def write(self) -> None:
        """Write all loops: over units, and in each first down and then across."""
        b, job = self.b, self.job
        self._clear()
        with b.loop(self.task["stop"], self.task["first"]) as unit:
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
            entry = b.add(b.mul(position, job["tall"]), b.mul(first, self.spec.down[2]))
            joined = self._down(x, entry, count)
            out = b.at(b.at(out, b.entry(b.address(job["starts"]), position)), b.mul(first, job["out_row"]))
            self._across(joined, out, count, b.add(b.mul(position, job["height"]), first))

    def _clear(self) -> None:
        """Fill the room with what changes nothing: the row that stands for those beside the image, and all others."""
        b, spec = self.b, self.spec
        regions = 1 + (len(spec.ways[0]) > 1) + (len(spec.ways[1]) > 1)
        for address, stop, name, number in (
            (self.nothing, self.job["nothing"], spec.element, self.pixel),
            (self.rows, b.mul(self.job["region"], regions), spec.joined, self.number),
        ):
            kind = b.vector(number, spec.lanes)
            with b.loop(stop, step=spec.lanes * b.bytes_of(name)) as i:
                b.store(self.least(name, kind), b.at(address, i))

    def _join(self, to: Value, starts: list[Value], stop: Value, lanes: int) -> None:
        """Join rows, or several that follow one another, of so many bytes; what is joined may lie where it begins."""
        b, kind = self.b, self.kind(lanes)
        with b.loop(stop, step=lanes * self.size) as i:
            b.store(self.join([b.load(b.at(start, i), kind) for start in starts]), b.at(to, i))

    def _down(self, x: Value, entry: Value, count: Value) -> Value:
        """Read the rows of a band, join those of each window, and return where they are."""
        b, (taps, apart, stride), ways = self.b, self.spec.down, self.spec.ways[0]
        needed = b.add(b.mul(b.sub(count, b.constant(1)), stride), b.constant((taps - 1) * apart + 1))
        with b.loop(needed) as row:
            self._read(x, b.add(entry, row), b.at(self.rows, b.mul(row, self.pitch)))
        if taps == 1:
            return self.rows
        to, places = self.rows, (self.rows, self.worked)
        if len(ways) > 1:
            to = self.worked
            stop = b.sub(needed, b.constant((len(ways[0]) - 1) * apart))
            self._join(to, self._rows(places, ways[0]), b.mul(stop, self.pitch), self.spec.lanes)
        if stride == 1:
            self._join(to, self._rows(places, ways[-1]), b.mul(count, self.pitch), self.spec.lanes)
        else:
            with b.loop(count) as row:
                start = b.mul(b.mul(row, stride), self.pitch)
                starts = [b.at(each, start) for each in self._rows(places, ways[-1])]
                self._join(b.at(to, b.mul(row, self.pitch)), starts, self.pitch, self.spec.row_lanes)
        return to

    def _rows(self, places: tuple[Value, Value], terms: tuple[Term, ...]) -> list[Value]:
        """Return where the terms of the first window begin."""
        b, apart = self.b, self.spec.down[1]
        return [b.at(places[worked], b.mul(self.pitch, tap * apart)) for worked, tap in terms]

    def _read(self, x: Value, entry: Value, to: Value) -> None:
        """Read the rows of an entry, and join them into one of the room."""
        b, spec, task, lanes = self.b, self.spec, self.task, self.spec.read_lanes
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
        with b.loop(task["runs"]) as run, b.loop(task["run"], step=lanes) as i:
            column = b.smaller(i, last)
            values = []
            for is_there, start, step, first in taps:
                source = b.at(b.at(start, b.mul(run, step)), b.mul(column, self.element))
                places = None
                if has_places:
                    places = b.splat(b.add(first, run if spec.channels_last else column), lanes)
                    if not spec.channels_last:
                        places = b.sum("i8", places, b.lane_numbers(places.type))
                value = self.loaded(source, lanes, places)
                if has_places:
                    value = b.choose(is_there, value, self.least("i8", value.type))
                values.append(value)
            place = b.add(b.add(task["left"], b.mul(run, task["run"])), column)
            b.store(self.join(values), b.at(to, b.mul(place, self.size)))

    def _across(self, rows: Value, out: Value, count: Value, number: Value) -> None:
        """Join the columns of each window of a band, and write what becomes of them."""
        b, spec, ways = self.b, self.spec, self.spec.ways[1]
        if len(ways) > 1:
            self._join(self.along, self._columns(rows, ways[0]), b.mul(count, self.pitch), spec.lanes)
        starts = self._columns(rows, ways[-1])
        if spec.is_flat:
            self._written(starts, out, b.constant(1), b.mul(count, self.task["run_out"]), number)
            return
        with b.loop(count) as row:
            at = b.mul(row, self.pitch)
            to = b.at(out, b.mul(row, self.job["out_row"]))
            self._written(
                [b.at(each, at) for each in starts], to, self.task["out_runs"], self.task["run_out"], b.add(number, row)
            )

    def _columns(self, rows: Value, terms: tuple[Term, ...]) -> list[Value]:
        """Return where the terms of the first window begin."""
        b, step = self.b, self.spec.across[1] * self.size
        return [b.at(self.along if worked else rows, b.mul(self.task["group"], tap * step)) for worked, tap in terms]

    def _written(self, starts: list[Value], out: Value, runs: Value, length: Value, number: Value) -> None:
        """Write what becomes of the windows of a row, of a number in the table of those; or of all rows at once."""
        b, spec, lanes, stride = self.b, self.spec, self.spec.write_lanes, self.spec.across[2]
        down = self._divisor("row_counts", b.constant(0) if spec.is_uniform else number)
        last = b.sub(length, b.constant(lanes))
        with b.loop(runs) as run:
            begin, across = b.mul(b.mul(run, self.task["group"]), stride), down
            to = b.at(out, b.mul(run, self.job["out_run"]))
            if down is not None and (spec.channels_last or spec.is_uniform):
                at = b.constant(0) if spec.is_uniform else b.add(self.task["count"], run)
                across = b.times(down, self._divisor("column_counts", at))
            with b.loop(length, step=lanes) as i:
                column = b.smaller(i, last)
                at = b.mul(b.add(begin, b.mul(column, 1 if spec.channels_last else stride)), self.size)
                total, divisor = self._total([b.at(start, at) for start in starts]), across
                if down is not None and not (spec.channels_last or spec.is_uniform):
                    place = b.mul(b.add(self.task["count"], column), self.size)
                    counts = b.load(b.at(b.address(self.job["column_counts"]), place), self.kind(lanes))
                    divisor = b.times(down, counts)
                b.store(self.finished(total, divisor), b.at(to, b.mul(column, self.size)))

    def _divisor(self, table: str, number: Value) -> Value | None:
        """Return a number of a table, in all lanes; None where nothing is divided."""
        b = self.b
        if self.spec.reduction != "mean":
            return None
        return b.splat(
            b.load(b.at(b.address(self.job[table]), b.mul(number, self.size)), self.number), self.spec.write_lanes
        )

    def _total(self, addresses: list[Value]) -> Value:
        """Return the windows of which the terms stand at addresses: all, or every one at a stride."""
        b, lanes = self.b, self.spec.write_lanes
        stride, kind = self.spec.across[2], self.kind(lanes)
        if self.spec.channels_last or stride == 1:
            return self.join([b.load(address, kind) for address in addresses])
        if stride > _MOST_PICKED:
            return self.join([b.load_apart(address, kind, stride, lanes) for address in addresses])
        parts = [
            self.join([b.load(b.at(address, b.constant(i * lanes * self.size)), kind) for address in addresses])
            for i in range(stride)
        ]
        return b.every_one(parts, stride)
