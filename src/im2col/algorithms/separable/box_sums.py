"""The kernel of boxes: sums of all windows along both axes, of an image that is read once.

A tile is as many rows as a vector has lanes, of one vector each. Its columns' sums are taken down the rows, lane by
lane; then it is transposed, so that the same code takes the rows' sums; and it is transposed back on its way to the
result. Nothing is ever taken off a sum: windows of one width are sums of two of half of it (`links`). Tiles leave some
sums of each width for those behind and below them, all together one less than a window has taps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ...engine.compiler import Kernel
from ...importing import importing
from ..implicit.tiles.epilogue import finish

if TYPE_CHECKING:
    from ...engine.builder import Builder
    from ...engine.numbers import Value
    from ...engine.target import Target
    from ..implicit.tiles.epilogue import Epilogue

JOB = ["x_row", "out_row", "height", "width", "down", "across"]
"""Words of a job: bytes from row to row of image and map, the image's size, and how many pixels behind a place of the
map its window ends, along each axis; less than none are behind where it begins in the padding."""
TASK = ["row", "first_row", "stop_row", "column", "first_column", "stop_column"]
"""Words of a task: where on the map the tiles begin, which results are kept first, and which are the first that are
not. Tiles that begin earlier leave sums for those that follow."""


class BoxSums(NamedTuple):
    """What a kernel is specialised for.

    Parameters
    ----------
    lanes : int
        Of a vector, and rows of a tile.
    kernel : (int, int)
        Taps along both axes.
    epilogue : Epilogue
    """

    lanes: int
    kernel: tuple[int, int]
    epilogue: Epilogue


def links(taps: int) -> list[tuple[int, int]]:
    """Return how sums over windows of so many taps are made: each is one that is there, and a later one behind it.

    By the binary digits of the number, from the second on: a window is doubled, and one more tap added for each 1
    (A. Brauer, "On addition chains", 1939, has shorter chains; they leave more sums for later tiles).

    Examples
    --------
    >>> links(15)
    [(1, 1), (2, 1), (3, 3), (6, 1), (7, 7), (14, 1)]
    """
    found, width = [], 1
    for digit in f"{taps:b}"[1:]:
        found.append((width, width))
        width *= 2
        if digit == "1":
            found.append((width, 1))
            width += 1
    return found


def kept(taps: int, lanes: int) -> int:
    """Return how many vectors are left for later tiles along an axis."""
    return sum(_vectors(behind, lanes) for _, behind in links(taps))


def _vectors(behind: int, lanes: int) -> int:
    """Return how many vectors hold sums until so many later ones have come: whole tiles of them, or part of one."""
    return behind if behind < lanes else -(-behind // lanes) * lanes


def box_sums(spec: BoxSums) -> Kernel:
    """Return the kernel: ``f(image, room, numbers, out, job, task)``.

    Of a plane: its room is as many vectors as `kept` says for the column's taps, for each tile of a row; numbers are
    what pixels are multiplied by, what sums are, and the bias, if there is one.
    """
    return Kernel("box_sums", _build, (spec,), 6, speed_level=1)


def _build(name: str, target: Target, spec: BoxSums) -> str:
    with importing:
        from ...engine.builder import Builder

    b = Builder(name, "*x *room *numbers *out *job *task", target)
    _Kernel(b, target, spec).write()
    return b.finish()


class _Kernel:
    """The kernel as it is written: what all of its parts need."""

    def __init__(self, b: Builder, target: Target, spec: BoxSums) -> None:
        self.b, self.target, self.spec = b, target, spec
        self.size, lanes = b.bytes_of(spec.epilogue.accumulator), spec.lanes
        element = b.number(spec.epilogue.accumulator)
        self.kind, self.nbytes = b.vector(element, lanes), lanes * self.size
        self.behind = b.room(self.kind, max(1, kept(spec.kernel[1], lanes)))
        self.border, self.results = (b.room(self.kind, lanes) for _ in range(2))
        self.job, self.task = (
            {word: b.entry(b[given], b.constant(i)) for i, word in enumerate(words)}
            for given, words in (("*job", JOB), ("*task", TASK))
        )
        self.scale, self.weight, *self.bias = (
            b.splat(b.load(b.at(b["*numbers"], b.constant(i * self.size)), element), lanes)
            for i in range(2 + spec.epilogue.bias)
        )

    def write(self) -> None:
        """Write all loops: bands of as many rows as a tile has, and the tiles of each, down and then across.

        The axes take turns at a band, not at a tile: half as many sums follow from one another, and twice as many tiles
        are under way in the CPU.
        """
        b, task, lanes, (down, across) = self.b, self.task, self.spec.lanes, self.spec.kernel
        tiles, bands = (
            b.quotient(b.add(b.sub(task[f"stop_{axis}"], task[axis]), b.constant(lanes - 1)), lanes)
            for axis in ("column", "row")
        )
        self._clear(b["*room"], b.mul(tiles, kept(down, lanes)))
        between = b.at(b["*room"], b.mul(tiles, kept(down, lanes) * self.nbytes))
        with b.loop(bands) as band:
            row = b.add(task["row"], b.mul(band, lanes))
            with b.loop(tiles) as tile:
                column = b.add(task["column"], b.mul(tile, lanes))
                room = b.at(b["*room"], b.mul(tile, kept(down, lanes) * self.nbytes))
                place = b.at(between, b.mul(tile, lanes * self.nbytes))
                for i, value in enumerate(b.transpose(self._sums(self._pixels(row, column), down, room, band))):
                    b.store(value, b.at(place, b.constant(i * self.nbytes)))
            self._clear(self.behind, b.constant(kept(across, lanes)))
            with b.loop(tiles) as tile:
                column = b.add(task["column"], b.mul(tile, lanes))
                place = b.at(between, b.mul(tile, lanes * self.nbytes))
                rows = [b.load(b.at(place, b.constant(i * self.nbytes)), self.kind) for i in range(lanes)]
                sums = self._sums(rows, across, self.behind, tile)
                self._store(b.transpose(sums), row, column)

    def _clear(self, room: Value, vectors: Value) -> None:
        """Fill so many vectors with zeros: there is nothing before the first tile."""
        b = self.b
        with b.loop(vectors) as i:
            b.store(b.zero(self.kind), b.at(room, b.mul(i, self.nbytes)))

    def _sums(self, values: list[Value], taps: int, room: Value, turn: Value) -> list[Value]:
        """Return the sums of windows that end with each of some values, which follow those of earlier turns."""
        sums = values
        for width, behind in links(taps):
            earlier = self._earlier(sums, behind, room, turn)
            later = sums if width == behind else values
            sums = [self.b.plus(one, other) for one, other in zip(earlier, later, strict=True)]
            room = self.b.at(room, self.b.constant(_vectors(behind, len(values)) * self.nbytes))
        return sums

    def _earlier(self, values: list[Value], behind: int, room: Value, turn: Value) -> list[Value]:
        """Return what stood so many places before each of some values, and keep these for later turns."""
        b, lanes = self.b, len(values)
        tiles, rest = divmod(behind, lanes)
        if tiles == 0:
            there = [b.load(b.at(room, b.constant(i * self.nbytes)), self.kind) for i in range(rest)]
            for i, value in enumerate(values[lanes - rest :]):
                b.store(value, b.at(room, b.constant(i * self.nbytes)))
            return there + values[: lanes - rest]
        count = -(-behind // lanes)  # tiles that are kept: this turn's takes the place of the oldest

        def place(of: Value, i: int) -> Value:
            slot = b.sub(of, b.mul(b.quotient(of, count), count))
            return b.at(room, b.mul(b.add(b.mul(slot, lanes), b.constant(i)), self.nbytes))

        following = b.add(turn, b.constant(1))
        there = [b.load(place(turn, i), self.kind) for i in range((lanes - rest) % lanes, lanes)]
        there += [b.load(place(following, i), self.kind) for i in range(lanes - len(there))]
        for i, value in enumerate(values):
            b.store(value, place(turn, i))
        return there

    def _pixels(self, row: Value, column: Value) -> list[Value]:
        """Return the rows of a tile of the image, multiplied: what is outside of it is 0."""
        b, job, lanes = self.b, self.job, self.spec.lanes
        row, column = b.add(row, job["down"]), b.add(column, job["across"])
        whole = b.constant(1)
        for first, length in ((row, "height"), (column, "width")):
            fits = b.larger(b.sub(job[length], b.constant(lanes - 1)), b.constant(0))
            whole = b.choose(b.inside(first, fits), whole, b.constant(0))
        image = b.at(b.at(b["*x"], b.mul(row, job["x_row"])), b.mul(column, self.size))
        with b.only_if(b.inside(whole, b.constant(1)), []), b.loop(b.constant(lanes)) as i:
            there = b.inside(b.add(row, i), job["height"])
            stop = b.choose(there, b.sub(job["width"], column), b.constant(0))
            mask = b.lanes_between(b.sub(b.constant(0), column), stop, lanes)
            pixels = b.masked_load(b.at(image, b.mul(i, job["x_row"])), self.kind, mask, b.zero(self.kind))
            b.store(pixels, b.at(self.border, b.mul(i, self.nbytes)))
        inside = b.inside(b.constant(0), whole)
        source, step = b.choose(inside, image, self.border), b.choose(inside, job["x_row"], b.constant(self.nbytes))
        return [b.times(b.load(b.at(source, b.mul(step, i)), self.kind), self.scale) for i in range(lanes)]

    def _store(self, sums: list[Value], row: Value, column: Value) -> None:
        """Finish and store a tile of results: those that are kept."""
        b, task, lanes = self.b, self.task, self.spec.lanes
        out = b.at(b.at(b["*out"], b.mul(row, self.job["out_row"])), b.mul(column, self.size))
        whole, some = b.constant(1), b.constant(1)
        for first, axis in ((row, "row"), (column, "column")):
            length = b.sub(task[f"stop_{axis}"], task[f"first_{axis}"])
            at = b.sub(first, task[f"first_{axis}"])
            fits = b.larger(b.sub(length, b.constant(lanes - 1)), b.constant(0))
            whole = b.choose(b.inside(at, fits), whole, b.constant(0))
            some = b.choose(b.inside(at, length), some, b.constant(0))
        inside = b.inside(b.constant(0), whole)
        to = b.choose(inside, out, self.results)
        step = b.choose(inside, self.job["out_row"], b.constant(self.nbytes))
        for i, value in enumerate(sums):
            total = (
                b.multiply_add(value, self.weight, self.bias[0], self.target.has_fma)
                if self.bias
                else b.times(value, self.weight)
            )
            b.store(finish(b, self.target, self.spec.epilogue, total), b.at(to, b.mul(step, i)))
        with b.only_if(b.inside(whole, some), []):
            rows = b.smaller(b.constant(lanes), b.sub(task["stop_row"], row))
            with b.loop(rows) as i:
                value = b.load(b.at(self.results, b.mul(i, self.nbytes)), self.kind)
                b.store_below(value, b.at(out, b.mul(i, self.job["out_row"])), b.sub(task["stop_column"], column))
