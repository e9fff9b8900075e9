"""What a kernel whose lanes are positions is specialised for, and what it is called with."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from ..packing import split_evenly

if TYPE_CHECKING:
    from .epilogue import Epilogue
    from .mapped import Border


_UNROLLED = 160
"""Multiplications of one pass over the window up to which its columns are unrolled."""


class PositionTile(NamedTuple):
    """What a kernel is specialised for.

    Parameters
    ----------
    dtype : str
        Of pixels and weights, as `Builder.number` calls it; `exact` float32s may stand for integers.
    lanes : int
        VL: neighbouring positions of one vector.
    vectors : int
        NV: vectors of one row of the tile.
    rows : int
        R: rows of the map.
    filters : int
        F.
    kernel : (int, int)
        Rows and columns of the window.
    stride : (int, int)
        Rows and columns between neighbouring positions.
    row_dilation : int
        Rows between neighbouring taps.
    at_once : int
        Rows of the window that one pass over its columns multiplies, at most.
    columns : int
        Positions of a row of the tile that are there: all, unless the map has fewer.
    shuffled : bool
        Whether the window's columns, one pixel apart, are shuffled out of one another's loads.
    spread : int
        Elements of the result from one position of a row to the next.
    lines : (int, int) or None
        Rows first <= i < stop of the image that are there for every tile, counted from the first that a tile reads; the
        others are padding, and are skipped. None where it differs from tile to tile.
    masked : bool
        Whether some tiles read columns that are not there.
    epilogue : Epilogue
        What happens to the sums on their way out.
    borders : tuple of Border
        What the first and the last tile of a row see, where padding shows pixels of the row.
    moves : bool
        Whether rows of the border are rows of the image.
    """

    dtype: str
    lanes: int
    vectors: int
    rows: int
    filters: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    row_dilation: int
    at_once: int
    columns: int
    shuffled: bool
    spread: int
    lines: tuple[int, int] | None
    masked: bool
    epilogue: Epilogue
    borders: tuple[Border, ...] = ()
    moves: bool = False

    @property
    def exact(self) -> bool:
        """Whether integers are multiplied and summed as float32s, exactly; the bias comes last."""
        return self.dtype == "f4" and self.epilogue.accumulator[0] != "f"


JOB = [
    "planes",
    "rows",
    "zeros",
    "masks",
    "x_image",
    "x_group",
    "x_row",
    "x_tap",
    "w_group",
    "w_block",
    "bias_group",
    "out_image",
    "out_group",
    "out_block",
    "out_filter",
    "out_row",
    "height",
    "scales",
]
MAPPED_JOB = [*JOB, "x_width", "moved"]
"""With the bytes of a row, and `mapped.moved_rows`: a row's y counts from the first row of the padding there."""
ROW = ["x", "out", "y", "seen", "ends", "plane0", "plane1", "tiles", "plain0", "plain1"]


def pixel_vectors(vectors: int, columns: int, stride: int, shuffled: bool) -> int:
    """Return how many vectors of pixels are at hand at a time: of one column, and of a line where it is shuffled."""
    return vectors + (stride * (vectors + (columns > stride)) if shuffled else stride - 1)


def holds(sums: int, pixels: int, weights: int, rows: int, registers: int) -> bool:
    """Return whether so many weights stay in registers beside sums and vectors of pixels: where several rows do."""
    return rows > 1 and weights + sums + pixels <= registers - 4


def unrolls(kernel: tuple[int, int], sums: int, shuffled: bool) -> bool:
    """Return whether the columns of a window are unrolled."""
    return shuffled or kernel[0] * kernel[1] * sums <= _UNROLLED


def by_lines(
    kernel: tuple[int, int], stride: int, shuffled: bool, rows: int, vectors: int, filters: int, registers: int
) -> bool:
    """Return whether a tile multiplies line by line of the image, and not column by column of the window.

    `stride` is that of the columns.
    """
    sums, weights = filters * rows * vectors, kernel[0] * kernel[1] * filters
    pixels = pixel_vectors(vectors, kernel[1], stride, shuffled)
    held = unrolls(kernel, sums, shuffled) and holds(sums, pixels, weights, rows, registers)
    return shuffled or held


def passes(rows: int, at_once: int) -> list[range]:
    """Return the rows of a window that each pass over its columns multiplies: at most so many, evenly.

    Examples
    --------
    >>> passes(7, 3)
    [range(0, 3), range(3, 5), range(5, 7)]
    """
    sizes = [size for size, count in split_evenly(rows, at_once) for _ in range(count)]
    return [range(stop - size, stop) for size, stop in zip(sizes, accumulate(sizes), strict=True)]
