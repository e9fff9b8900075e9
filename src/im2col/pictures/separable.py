"""A kernel of two axes as a column times a row, and the convolution in two passes; see `separable.js`.

Kernel = column · row + rest. The column is the one that holds the kernel's largest weight, and the row is the one that
holds it, divided by it: no root is drawn, and where the kernel has rank 1 the rest is 0. The rest is split in the same
way; how often, is the rank (Gaussian elimination with complete pivoting).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..memory import lazy
from .text import Text
from .winograd import weighted, widened

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .pictured_layer import PicturedLayer

    Numbers = NDArray[np.int64] | int


class Pair(NamedTuple):
    """A column and a row of a kernel.

    Parameters
    ----------
    column : ndarray, (rows,)
    row : ndarray, (columns,)
    rest : ndarray, (rows, columns)
        What they leave of the kernel.
    tap : int
        Of the weight that chose them.
    """

    column: NDArray[Any]
    row: NDArray[Any]
    rest: NDArray[Any]
    tap: int


def factors_of(layer: PicturedLayer) -> Factors | None:
    """Return a kernel's factors; None where it has not several taps along each of two axes, or infinite ones.

    Parameters
    ----------
    layer : PicturedLayer
        Of one channel and one kernel.
    """
    kernel = layer.geometry.kernel_size
    return Factors(layer) if len(kernel) == 2 and min(kernel) > 1 and np.isfinite(layer.weights).all() else None


@dataclass(frozen=True, eq=False)
class Factors:
    """The first column and row of a kernel, and the two passes over the image that they make.

    The first pass has a result at each row of the output and each column of the padded image: its places, which are
    numbered in row-major order.

    Parameters
    ----------
    layer : PicturedLayer
        Of one channel and one kernel of two axes.
    """

    layer: PicturedLayer

    @lazy
    def pairs(self) -> tuple[Pair, ...]:
        """Pairs whose sum is the kernel, to within rounding; one of zeros where the kernel is 0."""
        rest = widened(self.layer.weights.reshape(self.layer.geometry.kernel_size))
        nothing = np.abs(rest).max() * (sum(rest.shape) * self._rounding)
        found: list[Pair] = []
        for _ in range(min(rest.shape)):
            tap = int(np.abs(rest).argmax())
            i, j = divmod(tap, rest.shape[1])
            if found and not rest[i, j]:
                break
            column, row = rest[:, j], rest[i] / (rest[i, j] or 1)
            with np.errstate(over="ignore"):
                rest = rest - column[:, None] * row
            rest = np.where(np.abs(rest) <= nothing, 0, rest)
            found.append(Pair(column, row, rest, tap))
        return tuple(found)

    @property
    def _rounding(self) -> float:
        """Of the kernel's own numbers: of float32 where that holds them all."""
        single = np.complex64 if np.iscomplexobj(self.layer.weights) else np.float32
        with np.errstate(over="ignore"):
            is_single = np.array_equal(self.layer.weights.astype(single), self.layer.weights)
        return 2.0**-23 if is_single else 2.0**-52

    @property
    def rank(self) -> int:
        """How many pairs make the kernel; 0 where it is 0."""
        return len(self.pairs) if self.pairs[0].column.any() else 0

    @property
    def middle(self) -> tuple[int, int]:
        """Rows and columns of what the first pass makes."""
        return self.layer.geometry.output_shape[0], self.layer.geometry.padded_shape[1]

    @property
    def products(self) -> int:
        """Products for the whole output, of all pairs."""
        high, wide = self.layer.geometry.kernel_size
        return len(self.pairs) * (math.prod(self.middle) * high + self.layer.positions * wide)

    # What is said of them.

    @property
    def variant(self) -> str:
        """Of the captions: where there are several pairs, another one."""
        return ".first" if self.rank > 1 else ""

    def numbers(self) -> dict[str, object]:
        """Return what captions may say."""
        high, wide = self.layer.geometry.kernel_size
        return {"rank": self.rank, "high": high, "wide": wide, "both": high + wide}

    def told(self, position: int, place: Text) -> Text:
        """Return what a selected position means, whose place is said already."""
        return Text("say.position", {"number": position + 1, "place": place})

    # Where the passes read.

    def pixel(self, place: Numbers, down: Numbers) -> NDArray[np.int64]:
        """Return the pixel of the padded image that a place's column reads at a tap."""
        g, (y, x) = self.layer.geometry, np.divmod(place, self.middle[1])
        return np.asarray((y * g.stride[0] + down * g.dilation[0]) * self.middle[1] + x)

    def place(self, position: Numbers, across: Numbers) -> NDArray[np.int64]:
        """Return the place that a position's row reads at a tap."""
        g, (y, x) = self.layer.geometry, np.divmod(position, self.layer.geometry.output_shape[1])
        return np.asarray(y * self.middle[1] + x * g.stride[1] + across * g.dilation[1])

    def places(self, position: int) -> NDArray[np.int64]:
        """Return all places that a position's row reads."""
        return self.place(position, np.arange(self.layer.geometry.kernel_size[1]))

    def copies(self, pixel: int) -> int:
        """Return how often the first pass reads a pixel or a copy of it."""
        source = self.layer.axis_sources[1]
        beside = int(np.count_nonzero(source == source[pixel % self.middle[1]]))
        return len(self.layer.readers(pixel)[0]) * beside

    # What the passes make.

    def value(self, what: str, c: Mapping[str, NDArray[np.int64]]) -> NDArray[Any]:
        """Return what cells show, by their coordinates."""
        pair = self.pairs[0]
        if what == "factor-entry":
            return self._entry(c["image"], c["place"], c["down"])
        if what == "factor-column":
            return pair.column[c["down"]]
        if what == "factor-row":
            return pair.row[c["across"]]
        if what == "factor-rest":
            return pair.rest.reshape(-1)[c["tap"]]
        if what == "factor-middle":
            return self._middle(c["image"], c["place"])
        if what == "factor-middle-entry":
            return self._middle(c["image"], self.place(c["position"], c["across"]))
        across = np.arange(len(pair.row))
        middle = self._middle(c["image"][..., None], self.place(c["position"][..., None], across))
        return weighted(middle, pair.row)

    def _entry(self, image: NDArray[np.int64], place: NDArray[np.int64], down: NDArray[np.int64]) -> NDArray[Any]:
        return widened(self.layer.pixels[image, self.pixel(place, down)])

    def _middle(self, image: NDArray[np.int64], place: NDArray[np.int64]) -> NDArray[Any]:
        column = self.pairs[0].column
        return weighted(self._entry(image[..., None], place[..., None], np.arange(len(column))), column)
