"""Tiles as spectra: what is a convolution of a tile by the definition is a product of each frequency.

A tile of real numbers has as many different ones as half its spectrum, and some frequencies that are real. A complex
product is made of three real ones, as C. F. Gauss did: ``(a + ib)(c + id)`` has the real part ``(a + b) c - b (c + d)``
and the imaginary part ``(a + b) c + a (d - c)``. So a tile's elements are real numbers, three for each complex
frequency, and all products of an element are a matrix product, as any other transform's.

Results come by the transpose of what makes spectra, which is the inverse but for factors that the filters have already.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..tiled.transform import Family
from .butterflies import instructions
from .passes import Passes, elements, pairs, reals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from ...engine.builder import Builder
    from ...engine.numbers import Value
    from ..tiled.transform import Finish, Load, Scratch, Store

    Sizes = tuple[int, ...]

SIZES = (6, 8, 10, 12, 16, 20, 24, 32)
"""Pixels of a tile along an axis."""
_ROUNDING = 1.8
"""Rms error over that of plain sums of as many terms."""


class Spectra(NamedTuple):
    """The Fourier transform of a tile.

    Parameters
    ----------
    sizes : tuple of int
        T: pixels of a tile along each axis.
    taps : tuple of int
        Of the window along each axis.
    """

    sizes: tuple[int, ...]
    taps: tuple[int, ...]

    @property
    def results(self) -> tuple[int, ...]:
        """Those whose windows do not wrap around."""
        return tuple(t - r + 1 for t, r in zip(self.sizes, self.taps, strict=True))

    @property
    def elements(self) -> int:
        """One for each real frequency, three for each complex one."""
        return elements(self.sizes)

    @property
    def scratch(self) -> int:
        """A vector for each pixel, where there are several axes."""
        return math.prod(self.sizes) if len(self.sizes) > 1 else 0

    @property
    def mixes(self) -> bool:
        """Every frequency sees every pixel."""
        return True

    @property
    def error(self) -> float:
        """Sums have a term for each channel, and not for each tap; by `python -m bench rounding`."""
        return _ROUNDING / math.sqrt(math.prod(self.taps))

    @property
    def unrolled(self) -> tuple[int, int]:
        """In proportion to the lines of each axis."""
        lines = 5 * (1 + len(self.sizes)) * sum(self.sizes) // 6
        return lines, lines

    @property
    def instructions(self) -> tuple[float, float]:
        """Those of the lines of each pass, their loads and stores included."""
        return _instructions(self.sizes, self.sizes)[0], _instructions(self.sizes, self.results)[1]

    def of_filters(self, taps: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the spectra of filters (n, *kernel), as elements are multiplied with them."""
        behind = [(0, t - r) for t, r in zip(self.sizes, self.taps, strict=True)]
        return _elements(np.pad(taps, [(0, 0), *behind]) / math.prod(self.sizes))

    def into(self, b: Builder, load: Load, store: Store, scratch: Scratch, fused: bool) -> None:
        """Write the code of the spectrum of a vector of pixels."""
        Passes(b, scratch, fused).into(self.sizes, load, store)

    def made_for(self, kept: Sizes) -> Sizes:
        """Return whole lines along all axes but the last one."""
        return (*self.results[:-1], kept[-1])

    def out_of(
        self,
        b: Builder,
        load: Load,
        finish: Finish,
        kept: Sizes,
        counts: Sequence[Value],
        scratch: Scratch,
        fused: bool,
    ) -> Value:
        """Write the code that makes results of products of spectra; return their sum."""
        return Passes(b, scratch, fused).out_of(self.sizes, kept, counts, load, finish)


def _elements(tiles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what multiplies the elements of (n, *sizes) real numbers: (n, elements)."""
    if tiles.ndim == 1:
        return tiles[:, None]
    lines = np.fft.rfft(tiles)
    size, axes = tiles.shape[-1], range(1, tiles.ndim - 1)
    found = [_elements(lines[..., k * (size // 2)].real) for k in range(reals(size))]
    for k in range(1, pairs(size) + 1):
        # Twice: for the frequency, and for the one that mirrors it.
        g = 2 * (np.fft.fftn(lines[..., k], axes=axes) if axes else lines[..., k]).reshape(len(tiles), -1)
        found.append(np.stack([g.imag - g.real, g.imag + g.real, g.real], axis=-1).reshape(len(tiles), -1))
    return np.concatenate(found, axis=1)


@cache
def _instructions(sizes: Sizes, kept: Sizes) -> tuple[float, float]:
    """Return the instructions of a tile of real numbers, of which so many results are kept, there and back."""
    *lead, size = sizes
    rows = math.prod(lead), math.prod(kept[:-1])
    complex_ones, real_ones = pairs(size), reals(size)
    there, back = instructions(size)
    if not lead:
        count = elements(sizes)
        return size + there + complex_ones + count, count + 2 * complex_ones + back + kept[-1]
    real, pair = _instructions(tuple(lead), kept[:-1]), _ofpairs(tuple(lead), kept[:-1])
    return (
        rows[0] * (2 * size + there) + real_ones * real[0] + complex_ones * pair[0],
        rows[1] * (size + back + kept[-1]) + real_ones * real[1] + complex_ones * pair[1],
    )


def _ofpairs(sizes: Sizes, kept: Sizes) -> tuple[float, float]:
    """Return the same of a tile of complex numbers."""
    first, rest = sizes[0], math.prod(sizes[1:])
    found = [rest * first * 6.0, rest * (first * 5.0 + kept[0] * 2)]  # memory, and a complex product's sums
    for axis, size in enumerate(sizes):
        inner = math.prod(sizes[axis + 1 :])
        lines = math.prod(sizes[:axis]) * inner, math.prod(kept[:axis]) * inner
        for way, count in enumerate(lines):
            found[way] += count * (2 * instructions(size)[way] + 4 * pairs(size) + 4 * size * (axis > 0))
    return found[0], found[1]


def _of(kernel_size: Sizes) -> Iterator[Spectra]:
    """Yield spectra for a window; axes of several taps are cut alike."""
    for size in SIZES:
        if size > max(kernel_size):
            yield Spectra(tuple(size if r > 1 else 1 for r in kernel_size), kernel_size)


FAMILY = Family(frozenset(range(1, 17)), "2 to 16", _of)
