"""What pixels are made into, how they are joined, and what is made of that: what both kernels of pooling compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...engine.ordering import INFINITIES
from ...spec.pool import COMPARED

if TYPE_CHECKING:
    from ...engine.builder import Builder
    from ...engine.numbers import Value
    from ...spec.pool import Reduction


def joined_name(reduction: Reduction, element: str) -> str:
    """Return the name of the numbers that pixels called `element` are joined as."""
    if reduction == "maximum":
        return ("u" if element[0] == "u" else "i") + element[1]
    return "i8" if reduction == "place" else element


class Arithmetic:
    """The arithmetic of a reduction.

    Parameters
    ----------
    b : Builder
    reduction : Reduction
    element : str
        The name of a pixel, as `Ordering` and `Numbers` have it.
    """

    def __init__(self, b: Builder, reduction: Reduction, element: str) -> None:
        self.b, self.reduction, self.name = b, reduction, element
        self.joined = joined_name(reduction, element)
        self.sums = reduction not in COMPARED
        self.element, self.size = b.bytes_of(element), b.bytes_of(self.joined)
        self.pixel = b.number(element) if self.sums else b.integer(self.element)
        self.number = b.number(self.joined)

    def loaded(self, address: Value, lanes: int, places: Value | None = None) -> Value:
        """Return pixels as they are joined, with their places if these are asked for."""
        b = self.b
        value = b.load(address, b.vector(self.pixel, lanes))
        if places is not None:
            return b.placed(self.name, value, places)
        if self.reduction == "root":
            return b.times(value, value)
        return value if self.sums else b.ordered(self.name, value)

    def least(self, name: str, kind: Value) -> Value:
        """Return a vector of numbers called `name` that change nothing."""
        if self.sums or name[0] == "u":
            return self.b.zero(kind)
        bits = 8 * self.b.bytes_of(name)
        # The bits of -inf, or the least integer.
        return self.b.numbers(INFINITIES.get(name, 0) - (1 << bits - 1), kind)

    def join(self, values: list[Value]) -> Value:
        """Return what one or more vectors are together."""
        b, total = self.b, values[0]
        for value in values[1:]:
            total = b.plus(total, value) if self.sums else b.maximum(self.joined, total, value)
        return total

    def finished(self, total: Value, divisor: Value | None) -> Value:
        """Return what is written of what was joined."""
        b = self.b
        if divisor is not None:
            return b.over(total, divisor)
        if self.reduction == "root":
            return b.square_root(total)
        if self.reduction == "place":
            return b.place_of(self.name, total)
        return b.unordered(self.name, total) if self.reduction == "maximum" else total
