"""The kernels of strided sums, as IR.

The image is computed row by row: a *row* is every s-th pixel of a line along the image's last axis, where s is the
stride of the window, so that neighbouring pixels of a row belong to neighbouring positions. A row is the sum of pieces
of the matrix: one for each tap along the last axis, which shifts it, and each combination of taps along the other axes
that meets the row. A vector of pixels stays in a register until the last piece has been added, and is stored once.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from .builder import Builder
from .compiler import Kernel

if TYPE_CHECKING:
    from .target import Target

ROW_COLUMNS = 3
"""A row of the table ``rows``: its first pixel's offset in bytes, and its first and last piece (exclusive)."""
TAP_COLUMNS = 2
"""A row of the table ``taps``: the offset in bytes of its values, and the row's pixel to which the first is added."""
_SIGNATURE = (
    "*image *matrix planes image_plane matrix_plane row_count *rows *pieces tap_count *taps "
    "width positions pixel_step value_step"
)
_UNROLL = 4
"""Vectors of pixels summed at once where a row is long enough: whole cache lines of each piece in turn."""


class Element(NamedTuple):
    """What is added: the type of sums in the image, and of values in the matrix.

    Parameters
    ----------
    total, value : str
        ``f4`` or ``f8`` for floats, ``i1`` to ``i8`` for integers that keep their sign when they grow, ``u1`` to ``u8``
        for those that have none.
    """

    total: str
    value: str


@cache
def sum_rows(element: Element, dense_values: bool, dense_pixels: bool) -> Kernel:
    """Return the kernel that sums rows.

    Parameters
    ----------
    element : Element
    dense_values, dense_pixels : bool
        Whether neighbouring positions lie side by side in the matrix, and a row's pixels in the image.
    """
    layout = f"{'dense' if dense_values else 'strided'}_to_{'dense' if dense_pixels else 'strided'}"
    name = f"sum_rows_{element.value}_{element.total}_{layout}"
    return Kernel(name, _sum_rows, (element, dense_values, dense_pixels), len(_SIGNATURE.split()))


def _sum_rows(name: str, target: Target, element: Element, dense_values: bool, dense_pixels: bool) -> str:
    b = Builder(name, _SIGNATURE)
    lanes = max(2, target.vector_bytes // int(element.total[1]))
    # Where a patch is a row of the matrix, all planes of a row of pixels share its cache lines: planes are inside.
    outer, inner = ("planes", "row_count") if dense_values else ("row_count", "planes")
    with b.loop(b[outer]) as first, b.loop(b[inner]) as second:
        plane, row = (first, second) if dense_values else (second, first)
        entry = b.mul(row, ROW_COLUMNS)
        offset, start, stop = (b.entry(b["*rows"], b.add(entry, b.constant(i))) for i in range(ROW_COLUMNS))
        pixels = b.at(b.at(b["*image"], b.mul(plane, b["image_plane"])), offset)
        values = b.at(b["*matrix"], b.mul(plane, b["matrix_plane"]))
        add = _Sum(b, element, lanes, dense_values, dense_pixels, values, start, stop, pixels)
        # Loop over the pixels of a row: many vectors at a time, then one at a time.
        block = _UNROLL * lanes
        blocks = b.mul(b.quotient(b["width"], block), block)
        with b.loop(blocks, step=block) as x:
            add.block(x, _UNROLL)
        with b.loop(b["width"], start=blocks, step=lanes) as x:
            add.block(x, 1)
    return b.finish()


class _Sum(NamedTuple):
    """The innermost loops of a row's sum."""

    b: Builder
    element: Element
    lanes: int
    dense_values: bool
    dense_pixels: bool
    values: Any
    start: Any
    stop: Any
    pixels: Any

    def block(self, x: Any, vectors: int) -> None:
        """Sum and store `vectors` vectors of a row's pixels, from pixel x on."""
        b, lanes = self.b, self.lanes
        narrow, wide = b.vector(b.number(self.element.value), lanes), b.vector(b.number(self.element.total), lanes)
        with b.accumulate(b.constant(0), b["tap_count"], [b.zero(wide)] * vectors) as sums:
            # Lane i of vector v adds the value of position p + v·lanes + i, if there is one.
            tap = b.mul(sums.index, TAP_COLUMNS)
            p = b.sub(x, b.entry(b["*taps"], b.add(tap, b.constant(1))))
            starts = [b.add(p, b.constant(v * lanes)) for v in range(vectors)]
            masks = [b.lanes_between(b.sub(b.constant(0), s), b.sub(b["positions"], s), lanes) for s in starts]
            origin = b.at(b.at(self.values, b.entry(b["*taps"], tap)), b.mul(p, b["value_step"]))
            with b.accumulate(self.start, self.stop, sums.values) as inner:
                piece = b.at(origin, b.entry(b["*pieces"], inner.index))
                for v, mask in enumerate(masks):
                    at = b.at(piece, b.mul(b["value_step"], v * lanes))
                    if self.dense_values:
                        value = b.masked_load(at, narrow, mask, b.zero(narrow))
                    else:
                        value = b.gather(at, b["value_step"], narrow, mask)
                    grown = b.grow(value, self.element.value, self.element.total, wide)
                    inner.values[v] = b.sum(self.element.total, inner.values[v], grown)
            sums.values = inner.values
        for v, total in enumerate(sums.values):
            first = b.add(x, b.constant(v * lanes))
            to = b.at(self.pixels, b.mul(first, b["pixel_step"]))
            mask = b.lanes_between(b.constant(0), b.sub(b["width"], first), lanes)
            if self.dense_pixels:
                b.masked_store(total, to, mask)
            else:
                b.scatter(total, to, b["pixel_step"], mask)
