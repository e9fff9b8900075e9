"""The passes over the axes of a tile, and back: loops over lines, which are made spectra one by one.

Numbers of a tile lie in scratch memory between the passes. The last axis comes first: of its frequencies some are real,
two columns of a tile with one axis less, and the others are pairs of such columns, real parts and imaginary ones. What
is then left of a tile without an axis is an element, or three for a complex number.
"""

from __future__ import annotations

import math
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from .butterflies import both_spectra, both_transposed, spectrum, transposed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ...engine.builder import Builder
    from ...engine.numbers import Value
    from ..tiled.transform import Finish, Load, Scratch, Store

    Sizes = tuple[int, ...] | list[int]


def reals(size: int) -> int:
    """Return how many frequencies of a line of real numbers are real."""
    return 2 - size % 2


def pairs(size: int) -> int:
    """Return how many frequencies of a line of real numbers are complex, those that mirror them apart."""
    return (size - 1) // 2


def elements(sizes: Sizes) -> int:
    """Return how many elements a tile of real numbers has.

    Examples
    --------
    >>> elements((16, 16))
    382
    """
    if not sizes:
        return 1
    *lead, size = sizes
    return reals(size) * elements(lead) + pairs(size) * 3 * math.prod(lead)


class Part(NamedTuple):
    """Numbers of a tile in memory, and which elements they become.

    Parameters
    ----------
    sizes : tuple of int
        Of the axes that are not transformed yet.
    at : Value
        The number of the first vector.
    step : int
        From one vector to the next, in C order.
    first : Value
        The first element.
    """

    sizes: Sizes
    at: Value
    step: int
    first: Value


class Passes(NamedTuple):
    """What writes them.

    Parameters
    ----------
    b : Builder
    scratch : Scratch
        A vector for each pixel, where there are several axes.
    fused : bool
        Whether a product and a sum are rounded once.
    """

    b: Builder
    scratch: Scratch
    fused: bool

    def into(self, sizes: Sizes, load: Load, store: Store) -> None:
        """Write the way of pixels, in C order, to elements."""
        self._of_reals(self._whole(sizes), load, store)

    def out_of(self, sizes: Sizes, kept: Sizes, counts: Sequence[Value], load: Load, finish: Finish) -> Value:
        """Write the way of elements to the first results along each axis; return the sum of the results.

        Of each axis but the last one, `counts` says of how many `finish` hears.
        """
        return self._to_reals(self._whole(sizes), kept, counts, load, finish)

    def _whole(self, sizes: Sizes) -> Part:
        return Part(sizes, self.b.constant(0), 1, self.b.constant(0))

    def _of_reals(self, part: Part, load: Load, store: Store) -> None:
        """Make elements of real numbers that `load` reads."""
        *lead, size = part.sizes
        if not lead:
            values = spectrum(self.b, [load(self._place(part, [], j)) for j in range(size)], self.fused)
            for k in range(reals(size)):
                store(self._after(part.first, k), values[k * (size // 2)])
            for k in range(1, pairs(size) + 1):
                self._store(store, self._after(part.first, reals(size) + 3 * (k - 1)), values[k], values[size - k])
            return
        with self._loops(lead) as index:
            places = [self._place(part, index, j) for j in range(size)]
            values = spectrum(self.b, [load(place) for place in places], self.fused)
            for place, value in zip(places, values, strict=True):
                self.scratch.store(place, value)
        with self._real_columns(part) as column:
            self._of_reals(column, self.scratch.load, store)
        with self._complex_columns(part) as (re, im):
            self._of_complex(re, im, store)

    def _to_reals(self, part: Part, kept: Sizes, counts: Sequence[Value], load: Load, finish: Finish) -> Value:
        """Make the first results along each axis of elements that `load` reads."""
        *lead, size = part.sizes
        if not lead:
            values: list[Value] = [None] * size
            for k in range(reals(size)):
                values[k * (size // 2)] = load(self._after(part.first, k))
            for k in range(1, pairs(size) + 1):
                first = self._after(part.first, reals(size) + 3 * (k - 1))
                values[k], values[size - k] = self._load(load, first)
            return finish([], transposed(self.b, values, self.fused)[: kept[-1]])
        with self._real_columns(part) as column:
            whole = [self.b.constant(count) for count in kept[:-2]]
            self._to_reals(column, kept[:-1], whole, load, partial(self._keep, column))
        with self._complex_columns(part) as (re, im):
            self._to_complex(re, im, kept[:-1], load)

        def line(index: Sequence[Value]) -> Value:
            values = [self.scratch.load(self._place(part, index, j)) for j in range(size)]
            return finish(index, transposed(self.b, values, self.fused)[: kept[-1]])

        return self._summed(counts, line)

    def _keep(self, part: Part, index: Sequence[Value], values: list[Value]) -> Value:
        """Store a line of a part; as what `finish` of a tile does, it returns a sum, which nobody needs."""
        for j, value in enumerate(values):
            self.scratch.store(self._place(part, index, j), value)
        return self.b.zero(self.scratch.kind)

    def _of_complex(self, re: Part, im: Value, store: Store) -> None:
        """Make elements of complex numbers; imaginary parts begin at `im`."""
        for axis in reversed(range(len(re.sizes))):
            with self._lines(re, axis, math.prod(re.sizes[:axis])) as numbers:
                values = both_spectra(self.b, *self._both(re, im, numbers), self.fused)
                for number, real, imaginary in zip(numbers, *values, strict=True):
                    if axis:
                        self._put(re, im, number, real, imaginary)
                    else:
                        self._store(store, self.b.add(re.first, self.b.mul(number, 3)), real, imaginary)

    def _to_complex(self, re: Part, im: Value, kept: Sizes, load: Load) -> None:
        """Make the first complex numbers along each axis."""
        outer = 1
        for axis, count in enumerate(kept):
            with self._lines(re, axis, outer) as numbers:
                if axis:
                    values = self._both(re, im, numbers)
                else:
                    found = [self._load(load, self.b.add(re.first, self.b.mul(number, 3))) for number in numbers]
                    values = [real for real, _ in found], [imaginary for _, imaginary in found]
                values = both_transposed(self.b, *values, self.fused)
                for number, real, imaginary in zip(numbers[:count], *values, strict=False):
                    self._put(re, im, number, real, imaginary)
            # Whoever is not among the first along an axis behind the first one is made, and not looked at.
            outer = kept[0] * math.prod(re.sizes[1 : axis + 1])

    def _both(self, re: Part, im: Value, numbers: Sequence[Value]) -> tuple[list[Value], list[Value]]:
        real, imaginary = ([self.scratch.load(self._at(re, at, n)) for n in numbers] for at in (re.at, im))
        return real, imaginary

    def _put(self, re: Part, im: Value, number: Value, real: Value, imaginary: Value) -> None:
        self.scratch.store(self._at(re, re.at, number), real)
        self.scratch.store(self._at(re, im, number), imaginary)

    def _at(self, part: Part, at: Value, number: Value) -> Value:
        return self.b.add(at, self.b.mul(number, part.step))

    def _store(self, store: Store, first: Value, real: Value, imaginary: Value) -> None:
        """Store the three elements of a complex number."""
        for i, value in enumerate((real, imaginary, self.b.plus(real, imaginary))):
            store(self._after(first, i), value)

    def _load(self, load: Load, first: Value) -> tuple[Value, Value]:
        """Return a complex product of its three real ones."""
        real, imaginary, both = (load(self._after(first, i)) for i in range(3))
        return self.b.minus(both, imaginary), self.b.plus(both, real)

    def _after(self, number: Value, more: int) -> Value:
        return self.b.add(number, self.b.constant(more))

    def _place(self, part: Part, index: Sequence[Value], j: int) -> Value:
        """Return the number of the vector j of a line along the last axis."""
        number = self.b.constant(0)
        for i, size in zip((*index, self.b.constant(j)), part.sizes, strict=True):
            number = self.b.add(self.b.mul(number, size), i)
        return self._at(part, part.at, number)

    @contextmanager
    def _loops(self, counts: Sizes) -> Iterator[list[Value]]:
        """Run the body for each index below some counts, in C order."""
        with ExitStack() as loops:
            yield [loops.enter_context(self.b.loop(self.b.constant(count))) for count in counts]

    @contextmanager
    def _lines(self, part: Part, axis: int, outer: int) -> Iterator[list[Value]]:
        """Run the body for each line along an axis, of the first `outer` planes before it: numbers in C order."""
        size, inner = part.sizes[axis], math.prod(part.sizes[axis + 1 :])
        with self._loops((outer, inner)) as (o, i):
            first = self.b.add(self.b.mul(o, size * inner), i)
            yield [self._after(first, j * inner) for j in range(size)]

    @contextmanager
    def _real_columns(self, part: Part) -> Iterator[Part]:
        """Run the body for each column of real frequencies of the last axis, a part of one axis less."""
        b, (*lead, size) = self.b, part.sizes
        with b.loop(b.constant(reals(size))) as i:
            at = b.add(part.at, b.mul(i, size // 2 * part.step))
            yield Part(tuple(lead), at, part.step * size, b.add(part.first, b.mul(i, elements(lead))))

    @contextmanager
    def _complex_columns(self, part: Part) -> Iterator[tuple[Part, Value]]:
        """Run the body for each pair of columns of complex frequencies: a part, and where imaginary parts begin."""
        b, (*lead, size) = self.b, part.sizes
        with b.loop(b.constant(pairs(size))) as i:
            k, each = self._after(i, 1), 3 * math.prod(lead)
            first = b.add(self._after(part.first, reals(size) * elements(lead)), b.mul(i, each))
            column = Part(tuple(lead), self._at(part, part.at, k), part.step * size, first)
            yield column, self._at(part, part.at, b.sub(b.constant(size), k))

    def _summed(
        self, counts: Sequence[Value], body: Callable[[list[Value]], Value], index: Sequence[Value] = ()
    ) -> Value:
        """Run the body for each index below some counts; return the sum of what it returns."""
        if len(index) == len(counts):
            return body(list(index))
        b = self.b
        with b.accumulate(b.constant(0), counts[len(index)], [b.zero(self.scratch.kind)]) as turns:
            more = self._summed(counts, body, (*index, turns.index))
            turns.values = [b.plus(turns.values[0], more)]
        return turns.values[0]
