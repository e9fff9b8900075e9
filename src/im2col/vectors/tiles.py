"""Matrices in tiles, as an array of multipliers takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from .numbers import Number

    Read = Callable[[slice, slice], NDArray[np.int64]]

ENTRIES = 1 << 16
"""Of a matrix that are in memory at once, in 64 bits each."""


class Matrix(NamedTuple):
    """A matrix that is read part by part, and cut into tiles.

    Parameters
    ----------
    name : str
        Its file's.
    title : str
        What it is, in words.
    axes : tuple of str
        What its rows and columns are.
    shape, tile : tuple of int
        Rows and columns, of the matrix and of a tile. Tiles at its end reach beyond it, and hold zeros there.
    number : Number
        Of its entries.
    read : callable
        ``read(rows, columns)`` returns a part of it.
    depth : int
        Numbers that are in memory for each row that is read.
    """

    name: str
    title: str
    axes: tuple[str, str]
    shape: tuple[int, int]
    tile: tuple[int, int]
    number: Number
    read: Read
    depth: int

    @property
    def counts(self) -> tuple[int, int]:
        """How many tiles lie below each other, and side by side."""
        (rows, columns), (height, width) = self.shape, self.tile
        return -(-rows // height), -(-columns // width)

    @property
    def entries(self) -> int:
        """Of all tiles, their zeros among them."""
        down, across = self.counts
        return down * across * self.tile[0] * self.tile[1]


class Part(NamedTuple):
    """Some rows of a tile, from the first on or after others of it."""

    tile: tuple[int, int]
    first: int
    """The number of its first row in the tile."""
    rows: NDArray[np.int64]
    is_last: bool
    """Whether the tile ends with it."""


def parts(matrix: Matrix) -> Iterator[Part]:
    """Yield a matrix tile by tile, row of tiles after row of tiles, each row by row."""
    (rows, columns), (height, width), (down, across) = matrix.shape, matrix.tile, matrix.counts
    step = max(1, min(height, ENTRIES // max(width, matrix.depth)))
    for i in range(down):
        for j in range(across):
            across_to = slice(j * width, min((j + 1) * width, columns))
            for first in range(0, height, step):
                block = np.zeros((min(step, height - first), width), np.int64)
                start = i * height + first
                stop = min(start + len(block), rows)
                if start < stop:
                    block[: stop - start, : across_to.stop - across_to.start] = matrix.read(
                        slice(start, stop), across_to
                    )
                yield Part((i, j), first, block, first + step >= height)
