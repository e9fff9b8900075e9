"""The order of numbers, as integers that one instruction compares: with NaN at its end, and with places."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .numbers import Numbers, suffix

if TYPE_CHECKING:
    from .numbers import Value

INFINITIES = {"f2": 0x7C00, "b2": 0x7F80, "f4": 0x7F80 << 16, "f8": 0x7FF0 << 48}
"""The bits of infinity, by the names of floats: all others of more are NaN. ``f2`` and ``b2`` are float16, bfloat16."""
_NAN = (1 << 31) - 1
"""The upper half of what `Ordering.placed` makes of NaN: no float of at most 4 bytes has it."""


class Ordering(Numbers):
    """What a `Builder` knows of the order of numbers, whose bits it takes as integers."""

    def ordered(self, name: str, bits: Value) -> Value:
        """Return numbers called `name` as integers of the same order: of floats, -0 before 0, and NaN behind infinity.

        The bits of a float are a sign and a magnitude; turned round where the sign is set, they are in order, with NaN
        at both ends. To take off as much as there are NaNs brings those below -inf behind the others.
        """
        if name not in INFINITIES:
            return bits
        return self._b.sub(self._turned(bits), self.numbers(self._over(name, bits), bits.type))

    def unordered(self, name: str, number: Value) -> Value:
        """Return the bits that `ordered` made an integer of."""
        if name not in INFINITIES:
            return number
        return self._turned(self._b.add(number, self.numbers(self._over(name, number), number.type)))

    def placed(self, name: str, bits: Value, place: Value) -> Value:
        """Return numbers of at most 4 bytes with their places, as 64-bit integers of which the greatest is to be found.

        Of equal numbers, which -0 and 0 are, the first place is the greatest; of NaNs the last one. No number is as
        little as the least integer.

        Parameters
        ----------
        name : str
        bits : Value
        place : Value
            64-bit integers below 2³¹.
        """
        lower = self.numbers((1 << 32) - 1, place.type)
        if name not in INFINITIES:
            wide = self.grow(bits, name, "i8", place.type)
            if name == "u4":
                wide = self._b.sub(wide, self.numbers(1 << 31, place.type))
            return self._b.or_(self._upper(wide), self._b.xor(place, lower))
        kind = bits.type
        magnitude = self._b.and_(bits, self.numbers(_greatest(kind), kind))
        bits = self._b.select(self._b.icmp_signed("==", magnitude, self.zero(kind)), self.zero(kind), bits)
        is_nan = self._b.icmp_signed(">", magnitude, self.numbers(INFINITIES[name], kind))
        wide = self._b.sext(self.ordered(name, bits), place.type)
        upper = self._upper(self._b.select(is_nan, self.numbers(_NAN, place.type), wide))
        return self._b.or_(upper, self._b.select(is_nan, place, self._b.xor(place, lower)))

    def place_of(self, name: str, placed: Value) -> Value:
        """Return the places that `placed` was given; -1 of the least integer."""
        kind = self.vector(self.integer(4), placed.type.count)
        word = self._b.trunc(placed, kind)
        place = self._b.xor(word, self.numbers(-1, kind))
        if name in INFINITIES:
            upper = self._b.ashr(placed, self.numbers(32, placed.type))
            place = self._b.select(self._b.icmp_signed("==", upper, self.numbers(_NAN, placed.type)), word, place)
        return self._b.sext(place, placed.type)

    def lane_numbers(self, kind: Value) -> Value:
        """Return a vector of integers of which each lane is its own number."""
        return self._ir.Constant(kind, list(range(kind.count)))

    def every_one(self, vectors: list[Value], step: int) -> Value:
        """Return lanes 0, step, 2 · step, … of `step` vectors side by side, in one vector."""
        lanes, found = vectors[0].type.count, vectors[0]
        places = [i * step for i in range(lanes)]  # in `found` and the vector behind it, where they come to be in order
        for following in vectors[1:]:
            found = self.picked(found, following, [min(at, 2 * lanes - 1) for at in places])
            places = [i if at < 2 * lanes else at - lanes for i, at in enumerate(places)]
        return found

    def zero(self, kind: Value) -> Value:
        """Return the zero of any type."""
        return self._ir.Constant(kind, None)

    def square_root(self, a: Value) -> Value:
        """Return the square roots of floats."""
        return self._call(f"llvm.sqrt.{suffix(a.type)}", a.type, [a])

    def widened(self, a: Value) -> Value:
        """Return floats as ones of 8 bytes."""
        kind = self.vector(self.number("f8"), a.type.count)
        return a if a.type == kind else self._b.fpext(a, kind)

    def rounded_to(self, a: Value, kind: Value) -> Value:
        """Return floats of 8 bytes as ones of a type."""
        return a if a.type == kind else self._b.fptrunc(a, kind)

    def _turned(self, bits: Value) -> Value:
        signs = self._b.ashr(bits, self.numbers(bits.type.element.width - 1, bits.type))
        return self._b.xor(bits, self._b.and_(signs, self.numbers(_greatest(bits.type), bits.type)))

    def _over(self, name: str, bits: Value) -> int:
        return _greatest(bits.type) - INFINITIES[name]

    def _upper(self, a: Value) -> Value:
        return self._b.shl(a, self.numbers(32, a.type))


def _greatest(kind: Value) -> int:
    """Return the greatest integer of a vector's type."""
    return (1 << int(kind.element.width) - 1) - 1
