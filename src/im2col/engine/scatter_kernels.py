"""The kernels of strided sums, as IR.

The image is computed line by line along the axis that lies along the lanes. Of a line, every s-th pixel belongs to one
*phase*, where s is the window's stride, so that neighbouring pixels of a phase belong to neighbouring positions. A
phase is the sum of pieces of the matrix: one for each tap along that axis, which shifts it, and each combination of
taps along the other axes that meets the line. Pixels stay in registers until the last piece has been added, and are
stored once. Of the taps only those are walked that meet these pixels; their shifts grow in equal steps, so which ones
these are is a division.

Where neighbouring positions lie side by side in the matrix, they are added as vectors. Where they lie apart, they are
added one by one, for several pixels at a time: a gather takes longer. Two to four phases are shuffled into whole
vectors of their line; pixels of others are stored one by one.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from .builder import Builder
from .compiler import Kernel
from .scatter_plan import FEW_VECTORS, PIXELS, VECTORS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .target import Target

LINE_COLUMNS = 4
"""A row of the table ``lines``: the offsets in bytes of its first pixel, and of what its pieces are counted from, and
its first and last piece (exclusive)."""
PHASE_COLUMNS = 5
"""A row of the table ``phases``: its first pixel's offset in bytes, how many pixels it has, how many taps meet it, the
offset in bytes of the first one's values, and at which pixel of the phase that tap meets position 0."""
JOB = [
    *("lines", "pieces", "phases", "planes", "image_plane", "matrix_plane", "line_count", "phase_count", "width"),
    *("block", "together", "filled", "tap_step", "shift_step", "backwards", "positions", "pixel_step", "value_step"),
]
"""The words of what a kernel is to do, tables by their addresses.

``width`` is that of the longest phase; ``block`` is how many pixels of each phase are made before the next line's;
``together`` is how many pixels of a line lie side by side: all or, as it were, none; ``filled`` is 1 where they must be
0 before, since some have no phase, else 0; ``backwards`` is 1 where taps are added from the last to the first, else
0."""
_SIGNATURE = "*image *matrix *job"
_AHEAD = 2 << 10
"""Bytes ahead of its own that a vector asks for: of many pieces at once, the CPU does not see which come next."""
_CACHE_LINE = 64


class Element(NamedTuple):
    """What is added: the type of sums in the image, and of values in the matrix.

    Parameters
    ----------
    total, value : str
        ``f4`` or ``f8`` for floats, ``i1`` to ``i8`` for integers that keep their sign when they grow, ``u1`` to ``u8``
        for those that have none.
    """

    total: str
    value: str


@cache
def sum_lines(element: Element, dense_values: bool, apart: int, inside: bool) -> Kernel:
    """Return the kernel that sums lines.

    Parameters
    ----------
    element : Element
    dense_values : bool
        Whether neighbouring positions lie side by side in the matrix.
    apart : int
        Where values are dense and the pixels of a line lie side by side: how many phases it has, if that is 1 or one of
        `INTERLEAVED`. Else 0.
    inside : bool
        Whether the taps along the line change faster than those along all other axes, or slower.
    """
    to = {0: "strided", 1: "dense"}.get(apart, f"every_{apart}")
    name = f"sum_lines_{element.value}_{element.total}_{'dense' if dense_values else 'strided'}_to_{to}"
    parameters = element, dense_values, apart, inside
    return Kernel(
        f"{name}{'_taps_inside' if inside else ''}", _sum_lines, parameters, len(_SIGNATURE.split()), speed_level=1
    )


def _sum_lines(name: str, target: Target, element: Element, dense_values: bool, apart: int, inside: bool) -> str:
    b = Builder(name, _SIGNATURE, target)
    job = {word: b.entry(b["*job"], b.constant(i)) for i, word in enumerate(JOB)}
    job |= {word: b.address(job[word]) for word in JOB[:3]}
    vector = b.vector(b.number(element.total), max(2, target.vector_bytes // b.bytes_of(element.total)))
    # Zeros that the compiler knows would be filled by a call of the C library.
    [zeros] = b.settled([b.zero(vector)], target.register)
    room = b.room(vector, VECTORS * max(1, apart)) if dense_values and apart != 1 else None
    # Where a patch is a row of the matrix, all planes of some pixels share its cache lines: planes are inside.
    one = b.constant(1)
    outside, within = (job["planes"], one) if dense_values else (one, job["planes"])
    with b.loop(outside) as first, b.loop(job["width"], step=job["block"]) as x, b.loop(job["line_count"]) as number:
        entry = b.mul(number, LINE_COLUMNS)
        offset, origin, start, stop = (b.entry(job["lines"], b.add(entry, b.constant(i))) for i in range(LINE_COLUMNS))
        with b.loop(within) as second:
            plane = first if dense_values else second
            pixels = b.at(b.at(b["*image"], b.mul(plane, job["image_plane"])), offset)
            values = b.at(b.at(b["*matrix"], b.mul(plane, job["matrix_plane"])), origin)
            line = _Line(b, job, element, vector, dense_values, inside, pixels, values, start, stop, room)
            end = b.smaller(b.add(x, job["block"]), job["width"])
            phases = line.fill(x, end, zeros)
            if apart > 1:
                # All of them at once, or none.
                line.interleave(x, b.smaller(b.add(x, b.mul(phases, job["block"])), end), apart)
            else:
                with b.loop(phases) as phase:
                    line.make(line.phase(phase), x, end, apart)
    return b.finish()


class _Phase(NamedTuple):
    """A row of the table ``phases``."""

    pixels: Any
    """The address of its first pixel."""
    width: Any
    taps: Any
    values: Any
    """The address of its first tap's values, but for the offset of the piece."""
    shift: Any


class _Tap(NamedTuple):
    """A tap of a phase, met by some pixels.

    Parameters
    ----------
    values : Value
        The address of the first pixel's value, but for the offset of the piece.
    first : Value
        The position of the first pixel.
    whole : Value
        Whether every pixel has a position.
    """

    values: Any
    first: Any
    whole: Any


class _Line(NamedTuple):
    """A line of the image, and the innermost loops of its sums."""

    b: Builder
    job: dict[str, Any]
    element: Element
    vector: Any
    dense_values: bool
    inside: bool
    pixels: Any
    values: Any
    start: Any
    stop: Any
    room: Any
    """Memory for some sums of each phase, where they are not stored as they are."""

    def phase(self, number: Any) -> _Phase:
        """Return a phase by its number; no tap meets a line without pieces."""
        b = self.b
        first = b.mul(number, PHASE_COLUMNS)
        offset, width, taps, values, shift = (
            b.entry(self.job["phases"], b.add(first, b.constant(i))) for i in range(PHASE_COLUMNS)
        )
        taps = b.choose(b.inside(self.start, self.stop), taps, b.constant(0))
        return _Phase(b.at(self.pixels, offset), width, taps, b.at(self.values, values), shift)

    def fill(self, x: Any, end: Any, zeros: Any) -> Any:
        """Set what lies between pixel x and pixel `end` of the first phase to 0; return how many phases come after it.

        Nothing is set, and all phases are walked, where pixels lie apart, or where all have a phase and a piece.
        """
        b, lanes, size = self.b, self.vector.count, self.b.bytes_of(self.element.total)
        none, one = b.constant(0), b.constant(1)
        together, step = self.job["together"], self.job["pixel_step"]
        has_pieces, is_dense = b.smaller_than(self.start, self.stop), b.smaller_than(none, together)
        start, stop = b.mul(x, step), b.smaller(b.mul(end, step), b.mul(together, size))
        filled = b.choose(is_dense, b.choose(has_pieces, self.job["filled"], one), none)
        stop = b.choose(b.smaller_than(none, filled), stop, start)
        rest = self._whole(start, stop, lanes * size)
        with b.loop(rest, start=start, step=lanes * size) as at:
            b.store(zeros, b.at(self.pixels, at))
        with b.loop(stop, start=rest, step=lanes * size) as at:
            left = b.quotient(b.sub(stop, at), size)
            b.store_below(zeros, b.at(self.pixels, at), left)
        return b.choose(has_pieces, self.job["phase_count"], b.choose(is_dense, none, self.job["phase_count"]))

    def make(self, phase: _Phase, x: Any, end: Any, apart: int) -> None:
        """Sum and store pixels x to `end` of a phase, as many at a time as there are."""
        b, stop = self.b, self.b.smaller(end, phase.width)
        if not self.dense_values:
            with b.walk(x, stop) as part:
                to, taps = self._alike(phase, part.index, stop)
                rest = self._whole(part.index, to, PIXELS)
                for start, limit, count in ((part.index, rest, PIXELS), (rest, to, 1)):
                    with b.loop(limit, start=start, step=count) as at:
                        for i, total in enumerate(self._sums(phase, at, count, taps)):
                            pixel = b.add(at, b.constant(i))
                            b.store(total, b.at(phase.pixels, b.mul(pixel, self.job["pixel_step"])))
                part.values = [to]
            return
        for at, vectors, is_whole in self._blocks(x, stop, stop):
            sums = self._vectors(phase, at, vectors)
            if apart:
                self._store(sums, phase.pixels, at, None if is_whole else stop)
            else:
                self._store_apart(sums, phase, at, None if is_whole else stop)

    def interleave(self, x: Any, end: Any, apart: int) -> None:
        """Sum and store pixels x to `end` of all phases, which lie side by side."""
        b, lanes, size = self.b, self.vector.count, self.b.bytes_of(self.element.total)
        # The last pixel of a line need not be one of its last phase.
        for at, vectors, is_whole in self._blocks(x, end, b.smaller(end, b.quotient(self.job["together"], apart))):
            with b.loop(self.job["phase_count"]) as number:
                block = b.at(self.room, b.mul(number, vectors * lanes * size))
                for v, total in enumerate(self._vectors(self.phase(number), at, vectors)):
                    b.store(total, b.at(block, b.constant(v * lanes * size)))
            pixels = []
            for v in range(vectors):
                places = [b.constant((phase * vectors + v) * lanes * size) for phase in range(apart)]
                pixels += b.interleaved([b.load(b.at(self.room, place), self.vector) for place in places])
            self._store(pixels, self.pixels, b.mul(at, apart), None if is_whole else self.job["together"])

    def _blocks(self, x: Any, stop: Any, whole: Any) -> Iterator[tuple[Any, int, bool]]:
        """Write the loops over blocks of pixels x to `stop`: where each begins, its vectors, and whether it is whole.

        Blocks that end at `whole` at most are; after them comes one of as many vectors that is not, or one vector.
        """
        b, lanes = self.b, self.vector.count
        # Of few positions, most of many vectors would add nothing.
        few = b.inside(self.job["positions"], b.constant(FEW_VECTORS * lanes + 1))
        rest = b.choose(few, x, self._whole(x, whole, VECTORS * lanes))
        several = b.smaller_than(b.add(rest, b.constant(lanes)), stop)
        last = b.choose(few, rest, b.choose(several, stop, rest))
        for start, end, vectors, is_whole in (
            (x, rest, VECTORS, True),
            (rest, last, VECTORS, False),
            (last, stop, 1, False),
        ):
            with b.loop(end, start=start, step=vectors * lanes) as at:
                yield at, vectors, is_whole

    def _store(self, sums: list[Any], pixels: Any, x: Any, stop: Any) -> None:
        """Store vectors side by side from pixel x on, but no pixel from `stop` on, if that is given."""
        b, lanes, size = self.b, self.vector.count, self.b.bytes_of(self.element.total)
        one, none = b.constant(1), b.constant(0)
        for v, total in enumerate(sums):
            to = b.at(pixels, b.mul(b.add(x, b.constant(v * lanes)), size))
            if stop is None:
                b.store(total, to)
                continue
            # A store with a mask takes many times as long on some CPUs: none where all lanes are there, or none is.
            left = b.sub(b.sub(stop, x), b.constant(v * lanes))
            is_whole = b.smaller_than(b.constant(lanes - 1), left)
            with b.loop(b.choose(is_whole, one, none)):
                b.store(total, to)
            with b.loop(b.choose(is_whole, none, b.smaller(left, one))):
                b.store_below(total, to, left)

    def _store_apart(self, sums: list[Any], phase: _Phase, x: Any, stop: Any) -> None:
        """Store vectors pixel by pixel from pixel x on, but none from `stop` on, if that is given."""
        b, lanes, size = self.b, self.vector.count, self.b.bytes_of(self.element.total)
        to = b.at(phase.pixels, b.mul(x, self.job["pixel_step"]))
        for v, total in enumerate(sums):
            if stop is None:
                b.store_lanes(total, b.at(to, b.mul(self.job["pixel_step"], v * lanes)), self.job["pixel_step"])
            else:
                b.store(total, b.at(self.room, b.constant(v * lanes * size)))
        if stop is not None:
            with b.loop(b.smaller(b.sub(stop, x), b.constant(len(sums) * lanes))) as i:
                pixel = b.load(b.at(self.room, b.mul(i, size)), self.vector.element)
                b.store(pixel, b.at(to, b.mul(i, self.job["pixel_step"])))

    def _whole(self, start: Any, stop: Any, block: int) -> Any:
        """Return where the last whole block from `start` on ends."""
        b = self.b
        return b.add(start, b.mul(b.quotient(b.larger(b.sub(stop, start), b.constant(0)), block), block))

    def _vectors(self, phase: _Phase, x: Any, vectors: int) -> list[Any]:
        """Return vectors of sums, from pixel x of a phase on."""
        return self._sums(phase, x, vectors, self._taps(phase, x, vectors * self.vector.count))

    def _alike(self, phase: _Phase, x: Any, stop: Any) -> tuple[Any, tuple[Any, Any]]:
        """Return how far from pixel x on, until `stop`, the same taps meet every pixel, and which."""
        b = self.b
        first, reached = self._taps(phase, x, 1)
        last = b.larger(first, reached)
        begins = b.add(phase.shift, b.mul(last, self.job["shift_step"]))
        ends = b.add(b.add(phase.shift, b.mul(first, self.job["shift_step"])), self.job["positions"])
        begins = b.choose(b.smaller_than(last, phase.taps), begins, stop)
        ends = b.choose(b.smaller_than(first, last), ends, stop)
        return b.smaller(b.smaller(begins, ends), stop), (first, last)

    def _taps(self, phase: _Phase, x: Any, width: int) -> tuple[Any, Any]:
        """Return the first and the last tap (exclusive) that meet any of `width` pixels from x on."""
        b, zero = self.b, self.b.constant(0)
        # Tap i adds position 0 to pixel shift + i·shift_step, and the last position `positions` - 1 pixels later.
        ahead = b.sub(b.add(x, self.job["shift_step"]), phase.shift)
        past, reached = b.sub(ahead, self.job["positions"]), b.add(ahead, b.constant(width - 1))
        # Divided by shift_step in a loop of one turn, or of none where that is 1: a division takes longer than a sum.
        with b.accumulate(
            b.constant(1),
            b.smaller(self.job["shift_step"], b.constant(2)),
            [b.larger(n, zero) for n in (past, reached)],
        ) as counts:
            counts.values = [b.quotient(n, self.job["shift_step"]) for n in counts.values]
        first, stop = counts.values
        return first, b.smaller(stop, phase.taps)

    def _sums(self, phase: _Phase, x: Any, count: int, taps: tuple[Any, Any]) -> list[Any]:
        """Return so many sums, of vectors or of single pixels, from pixel x of a phase on."""
        b, (first, stop) = self.b, taps
        zeros, none, turns = [b.zero(self._kind(self.element.total))] * count, b.constant(0), b.sub(stop, first)
        # Loops over the taps along the line, and over the pieces: the taps of all other axes.
        if self.inside:
            with b.accumulate(self.start, self.stop, zeros) as sums:
                piece = b.entry(self.job["pieces"], sums.index)
                with b.accumulate(none, turns, sums.values) as inner:
                    tap = self._tap(phase, x, count, taps, inner.index)
                    self._add_pieces(inner.values, tap, piece, none, b.constant(1))
                sums.values = inner.values
        else:
            with b.accumulate(none, turns, zeros) as sums:
                tap = self._tap(phase, x, count, taps, sums.index)
                self._add_pieces(sums.values, tap, None, self.start, self.stop)
        return sums.values

    def _tap(self, phase: _Phase, x: Any, count: int, taps: tuple[Any, Any], turn: Any) -> _Tap:
        """Return the tap that is added from pixel x on in a turn."""
        b, (first, stop) = self.b, taps
        forwards, last = b.inside(self.job["backwards"], b.constant(1)), b.sub(stop, b.constant(1))
        apart = b.choose(forwards, self.job["shift_step"], b.sub(b.constant(0), self.job["shift_step"]))
        step = b.choose(forwards, self.job["tap_step"], b.sub(b.constant(0), self.job["tap_step"]))
        tap = b.choose(forwards, first, last)
        # Lane i adds the value of the i-th position from here on, if there is one.
        place = b.sub(x, b.add(phase.shift, b.mul(tap, self.job["shift_step"])))
        offset = b.add(b.mul(tap, self.job["tap_step"]), b.mul(place, self.job["value_step"]))
        # From turn to turn both change by what is the same for all of them, so that the loop only adds.
        offset = b.add(offset, b.mul(b.sub(step, b.mul(apart, self.job["value_step"])), turn))
        place = b.sub(place, b.mul(apart, turn))
        over = b.sub(self.job["positions"], b.constant(count * self._lanes - 1))
        whole = b.inside(place, b.larger(over, b.constant(0)))
        return _Tap(b.at(phase.values, offset), place, whole)

    def _add_pieces(self, sums: list[Any], tap: _Tap, piece: Any, start: Any, stop: Any) -> None:
        """Add a tap's values from some pieces, or from one whose offset is given; without masks where all are there."""
        b = self.b
        # Pixels that are summed one by one have a value wherever they have a tap.
        middle = b.choose(tap.whole, stop, start) if self.dense_values else stop
        parts = [(None, start, middle)]
        if self.dense_values:
            parts.append((tap.first, middle, stop))
        for first, begin, end in parts:
            with b.accumulate(begin, end, sums) as state:
                offset = b.entry(self.job["pieces"], state.index) if piece is None else piece
                self._add(state.values, b.at(tap.values, offset), first)
            sums[:] = state.values

    def _add(self, sums: list[Any], piece: Any, first: Any) -> None:
        """Add the values that lie at an address; the first one has position `first`, if some may be missing."""
        b = self.b
        narrow, wide = (self._kind(name) for name in self.element[::-1])
        if self.dense_values and first is None:
            for line in range(0, len(sums) * self._lanes * b.bytes_of(self.element.value), _CACHE_LINE):
                b.prefetch(b.at(piece, b.constant(_AHEAD + line)))
        for i in range(len(sums)):
            at = b.at(piece, b.mul(self.job["value_step"], i * self._lanes))
            if first is None:
                value = b.load(at, narrow)
            else:
                low, high = b.sub(b.constant(0), first), b.sub(self.job["positions"], first)
                mask = b.lanes_between(low, high, self._lanes, len(sums), i)
                value = b.masked_load(at, narrow, mask, b.zero(narrow))
            sums[i] = b.sum(self.element.total, sums[i], b.grow(value, self.element.value, self.element.total, wide))

    @property
    def _lanes(self) -> int:
        """Pixels of a sum."""
        return int(self.vector.count) if self.dense_values else 1

    def _kind(self, name: str) -> Any:
        """Return the type of a sum, or of a value."""
        number = self.b.number(name)
        return self.b.vector(number, self._lanes) if self.dense_values else number
