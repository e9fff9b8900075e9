"""A line of an image in a kernel of strided sums: the innermost loops, as IR; `scatter_kernels` has those around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from .scatter_plan import FEW_VECTORS, PIXELS, VECTORS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .builder import Builder

PHASE_COLUMNS = 5
"""A row of the table ``phases``: its first pixel's offset in bytes, how many pixels it has, how many taps meet it, the
offset in bytes of the first one's values, and at which pixel of the phase that tap meets position 0."""
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
    parts : int
        Numbers of a pixel: 2 where they are complex.
    """

    total: str
    value: str
    parts: int = 1

    @property
    def name(self) -> str:
        """Of values and sums, in a kernel's name; complex numbers are called as NumPy calls them."""
        names = self.value, self.total
        return "_".join(names if self.parts == 1 else (f"c{self.parts * int(each[1])}" for each in names))


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


class Line(NamedTuple):
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
        b, lanes, size = self.b, self.lanes, self.pixel_bytes
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
            b.store_below(zeros, b.at(self.pixels, at), self._numbers(left))
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
        b, lanes, size = self.b, self.lanes, self.pixel_bytes
        # The last pixel of a line need not be one of its last phase.
        for at, vectors, is_whole in self._blocks(x, end, b.smaller(end, b.quotient(self.job["together"], apart))):
            with b.loop(self.job["phase_count"]) as number:
                block = b.at(self.room, b.mul(number, vectors * lanes * size))
                for v, total in enumerate(self._vectors(self.phase(number), at, vectors)):
                    b.store(total, b.at(block, b.constant(v * lanes * size)))
            pixels = []
            for v in range(vectors):
                places = [b.constant((phase * vectors + v) * lanes * size) for phase in range(apart)]
                phases = [b.load(b.at(self.room, place), self.vector) for place in places]
                pixels += b.interleaved(phases, self.element.parts)
            self._store(pixels, self.pixels, b.mul(at, apart), None if is_whole else self.job["together"])

    def _blocks(self, x: Any, stop: Any, whole: Any) -> Iterator[tuple[Any, int, bool]]:
        """Write the loops over blocks of pixels x to `stop`: where each begins, its vectors, and whether it is whole.

        Blocks that end at `whole` at most are; after them comes one of as many vectors that is not, or one vector.
        """
        b, lanes = self.b, self.lanes
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
        b, lanes, size = self.b, self.lanes, self.pixel_bytes
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
                b.store_below(total, to, self._numbers(left))

    def _store_apart(self, sums: list[Any], phase: _Phase, x: Any, stop: Any) -> None:
        """Store vectors pixel by pixel from pixel x on, but none from `stop` on, if that is given."""
        b, lanes, size = self.b, self.lanes, self.pixel_bytes
        to = b.at(phase.pixels, b.mul(x, self.job["pixel_step"]))
        for v, total in enumerate(sums):
            if stop is None:
                step = self.job["pixel_step"]
                b.store_lanes(total, b.at(to, b.mul(step, v * lanes)), step, self.element.parts)
            else:
                b.store(total, b.at(self.room, b.constant(v * lanes * size)))
        if stop is not None:
            with b.loop(b.smaller(b.sub(stop, x), b.constant(len(sums) * lanes))) as i:
                pixel = b.load(b.at(self.room, b.mul(i, size)), self._pixel(self.element.total))
                b.store(pixel, b.at(to, b.mul(i, self.job["pixel_step"])))

    def _whole(self, start: Any, stop: Any, block: int) -> Any:
        """Return where the last whole block from `start` on ends."""
        b = self.b
        return b.add(start, b.mul(b.quotient(b.larger(b.sub(stop, start), b.constant(0)), block), block))

    def _vectors(self, phase: _Phase, x: Any, vectors: int) -> list[Any]:
        """Return vectors of sums, from pixel x of a phase on."""
        return self._sums(phase, x, vectors, self._taps(phase, x, vectors * self.lanes))

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
        over = b.sub(self.job["positions"], b.constant(count * self._at_once - 1))
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
        narrow, wide = self._kind(self.element.value), self._kind(self.element.total)
        if self.dense_values and first is None:
            value_bytes = b.bytes_of(self.element.value) * self.element.parts
            for line in range(0, len(sums) * self.lanes * value_bytes, _CACHE_LINE):
                b.prefetch(b.at(piece, b.constant(_AHEAD + line)))
        for i in range(len(sums)):
            at = b.at(piece, b.mul(self.job["value_step"], i * self._at_once))
            if first is None:
                value = b.load(at, narrow)
            else:
                low, high = b.sub(b.constant(0), first), b.sub(self.job["positions"], first)
                lanes = self.lanes * self.element.parts
                mask = b.lanes_between(self._numbers(low), self._numbers(high), lanes, len(sums), i)
                value = b.masked_load(at, narrow, mask, b.zero(narrow))
            sums[i] = b.sum(self.element.total, sums[i], b.grow(value, self.element.value, self.element.total, wide))

    @property
    def lanes(self) -> int:
        """Pixels of a vector."""
        return int(self.vector.count) // self.element.parts

    @property
    def pixel_bytes(self) -> int:
        """Bytes of a pixel."""
        return self.b.bytes_of(self.element.total) * self.element.parts

    @property
    def _at_once(self) -> int:
        """Pixels of a sum."""
        return self.lanes if self.dense_values else 1

    def _numbers(self, pixels: Any) -> Any:
        """Return how many numbers so many pixels are."""
        return pixels if self.element.parts == 1 else self.b.mul(pixels, self.element.parts)

    def _pixel(self, name: str) -> Any:
        """Return the type of a pixel, or of its value."""
        number, parts = self.b.number(name), self.element.parts
        return number if parts == 1 else self.b.vector(number, parts)

    def _kind(self, name: str) -> Any:
        """Return the type of a sum, or of a value."""
        if self.dense_values:
            return self.b.vector(self.b.number(name), self.vector.count)
        return self._pixel(name)
