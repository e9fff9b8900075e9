"""A tile of several axes: each of them transformed by itself, one after the other, in registers."""

from __future__ import annotations

import itertools
import math
from functools import cache, reduce
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..tiled.transform import Family
from .cook_toom import Transform, as_array, transform
from .linear import instructions, multiplied

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from ...engine.builder import Builder
    from ...engine.numbers import Value
    from ..tiled.transform import Finish, Load, Scratch, Store
    from .cook_toom import Matrix

SIZES = {3: (2, 3, 4, 5, 6), 5: (2, 3, 4)}
"""m by r."""


class AlongAxes(NamedTuple):
    """F(m, r) along each axis.

    Parameters
    ----------
    axes : tuple of Transform
    """

    axes: tuple[Transform, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """T of each axis."""
        return tuple(t.size for t in self.axes)

    @property
    def results(self) -> tuple[int, ...]:
        """The m of each axis."""
        return tuple(t.m for t in self.axes)

    @property
    def elements(self) -> int:
        """One for each pixel."""
        return math.prod(self.sizes)

    @property
    def scratch(self) -> int:
        """None."""
        return 0

    @property
    def mixes(self) -> bool:
        """Whether some axis does."""
        return any(t.mixes for t in self.axes)

    @property
    def error(self) -> float:
        """That of all axes."""
        return math.prod(t.error for t in self.axes)

    @property
    def unrolled(self) -> tuple[int, int]:
        """As many as there are elements."""
        return self.elements, self.elements

    @property
    def instructions(self) -> tuple[float, float]:
        """Those of the matrices."""
        return _operations(tuple((t.m, t.r) for t in self.axes))

    def of_filters(self, taps: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return filters (n, *kernel) at all points."""
        matrix: NDArray[Any] = np.ones((1, 1))  # (elements, taps)
        for t in self.axes:
            matrix = np.kron(matrix, as_array(t.weights))
        found: NDArray[np.float64] = taps.reshape(len(taps), -1) @ matrix.T
        return found

    def into(self, b: Builder, load: Load, store: Store, scratch: Scratch, fused: bool) -> None:  # noqa: ARG002 (of those that take some)
        """Write the code that evaluates a vector of pixels at all points."""
        values = [load(b.constant(i)) for i in range(self.elements)]
        for number, value in enumerate(_transformed(b, [t.image for t in self.axes], values, fused)):
            store(b.constant(number), value)

    def made_for(self, kept: tuple[int, ...]) -> tuple[int, ...]:
        """Return the same: nothing is a loop."""
        return kept

    def out_of(
        self,
        b: Builder,
        load: Load,
        finish: Finish,
        kept: tuple[int, ...],
        counts: Sequence[Value],  # noqa: ARG002 (of those with loops)
        scratch: Scratch,  # noqa: ARG002 (of those that take some)
        fused: bool,
    ) -> Value:
        """Write the code that makes results of products at all points; return their sum."""
        values = [load(b.constant(i)) for i in range(self.elements)]
        matrices = [t.result[:n] for t, n in zip(self.axes, kept, strict=True)]
        values = _transformed(b, matrices, values, fused)
        *lead, columns = kept
        sums = []
        for number, index in enumerate(itertools.product(*map(range, lead))):
            line = values[number * columns : (number + 1) * columns]
            sums.append(finish([b.constant(i) for i in index], line))
        return reduce(b.plus, sums)


def _transformed(b: Builder, matrices: Sequence[Matrix], values: list[Value], fused: bool) -> list[Value]:
    """Return values in C order of several axes, each axis multiplied by its matrix, the last one first."""
    sizes = [len(matrix[0]) for matrix in matrices]
    for axis in reversed(range(len(matrices))):
        inner, length = math.prod(sizes[axis + 1 :]), sizes[axis]
        outer, wide = math.prod(sizes[:axis]), len(matrices[axis])
        found: list[Value] = [None] * (outer * wide * inner)
        for o, i in itertools.product(range(outer), range(inner)):
            column = [values[(o * length + k) * inner + i] for k in range(length)]
            for k, value in enumerate(multiplied(b, matrices[axis], column, fused)):
                found[(o * wide + k) * inner + i] = value
        values, sizes[axis] = found, wide
    return values


@cache
def _operations(sizes: tuple[tuple[int, int], ...]) -> tuple[float, float]:
    """Return the instructions of a vector's transforms, into a tile and out of it, of F(m, r) along each axis.

    Arithmetic, loads and stores.
    """
    transforms = [transform(m, r) for m, r in sizes]
    found = []
    for name, last in (("image", "size"), ("result", "m")):
        lengths = [t.size for t in transforms]
        total = float(math.prod(lengths))
        for axis in reversed(range(len(lengths))):
            t = transforms[axis]
            total += math.prod(lengths) / lengths[axis] * instructions(getattr(t, name))
            lengths[axis] = getattr(t, last)
        found.append(total + math.prod(lengths))
    return found[0], found[1]


def _of(kernel_size: tuple[int, ...]) -> Iterator[AlongAxes]:
    """Yield all transforms for a window; axes of as many taps are cut alike."""
    taps = sorted(set(kernel_size))
    for sizes in itertools.product(*(SIZES.get(r, (1,)) for r in taps)):
        m = dict(zip(taps, sizes, strict=True))
        yield AlongAxes(tuple(transform(m[r], r) for r in kernel_size))


FAMILY = Family(frozenset({1, *SIZES}), "3 and 5", _of)
