"""What a tile's values are transformed with: all that this room knows of a method that multiplies less.

Such a method is bilinear, ``y = A · ((G · g) ⊙ (B · d))``: pixels d of a tile and a filter's taps g become as many
elements, which are multiplied one by one, and what comes out becomes the tile's results y.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ...engine.builder import Builder
    from ...engine.numbers import Value

    Load = Callable[[Value], Value]
    """``load(number)`` returns a vector: of a pixel in C order, or of an element's products."""
    Store = Callable[[Value, Value], None]
    """``store(number, value)`` writes a vector."""
    Finish = Callable[[Sequence[Value], list[Value]], Value]
    """``finish(index, values)`` stores the results of a line along the last axis, whose index along the other axes is
    given, and returns their sum."""


class Scratch(NamedTuple):
    """Memory of a kernel: so many vectors.

    Parameters
    ----------
    kind : Value
        The type of a vector.
    load, store : callable
    """

    kind: Value
    load: Load
    store: Store


class Transform(Protocol):
    """A transform of all axes of a tile; hashable, and of plain values."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """T: pixels of a tile along each axis."""
        ...

    @property
    def results(self) -> tuple[int, ...]:
        """m: results of a tile along each axis."""
        ...

    @property
    def elements(self) -> int:
        """Elements of a tile: products of a channel with a filter."""
        ...

    @property
    def scratch(self) -> int:
        """Vectors of memory that the code of either way takes."""
        ...

    @property
    def mixes(self) -> bool:
        """Whether a result may see pixels outside its window, and cancel them: one does not cancel infinity."""
        ...

    @property
    def error(self) -> float:
        """How much rounding grows: rms error over that of a plain sum of products, with many channels."""
        ...

    @property
    def unrolled(self) -> tuple[int, int]:
        """How much code each way has, in units of about 18 lines of LLVM's IR."""
        ...

    @property
    def instructions(self) -> tuple[float, float]:
        """Instructions for a vector's way into a tile, and out of it: arithmetic, loads and stores."""
        ...

    def of_filters(self, taps: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return G · g: filters (n, *kernel) as (n, elements)."""
        ...

    def into(self, b: Builder, load: Load, store: Store, scratch: Scratch, fused: bool) -> None:
        """Write the code of B · d: pixels of a vector of channels become elements.

        Parameters
        ----------
        b : Builder
        load, store : callable
        scratch : Scratch
        fused : bool
            Whether a product and a sum are rounded once.
        """
        ...

    def made_for(self, kept: tuple[int, ...]) -> tuple[int, ...]:
        """Return what code of `out_of` serves tiles that keep so many positions along each axis: that for as many.

        Where results along an axis come in a loop, those of a whole tile.
        """
        ...

    def out_of(
        self,
        b: Builder,
        load: Load,
        finish: Finish,
        kept: tuple[int, ...],
        counts: Sequence[Value],
        scratch: Scratch,
        fused: bool,
    ) -> Value:
        """Write the code of A · m, for the first positions along each axis; return the sum of all results.

        Parameters
        ----------
        b : Builder
        load, finish : callable
        kept : tuple of int
            As `made_for` returns them.
        counts : sequence of Value
            Along each axis but the last one, the positions that a tile keeps.
        scratch : Scratch
        fused : bool
        """
        ...


class Family(NamedTuple):
    """Transforms of one kind.

    Parameters
    ----------
    taps : frozenset of int
        For how many taps along an axis there are some, 1 included, which is left as it is.
    named : str
        Those in words.
    of : callable
        ``of(kernel_size)`` returns all transforms for a window.
    """

    taps: frozenset[int]
    named: str
    of: Callable[[tuple[int, ...]], Iterable[Transform]]
