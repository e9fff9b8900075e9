"""The kernels of strided sums, as IR.

The image is computed row by row: a *row* is every s-th pixel of a line along the axis that lies along the lanes, where
s is the window's stride, so that neighbouring pixels of a row belong to neighbouring positions. A row is the sum of
pieces of the matrix: one for each tap along that axis, which shifts it, and each combination of taps along the other
axes that meets the row. A vector of pixels stays in a register until the last piece has been added, and is stored once.
Of the taps only those are walked that meet the vector's pixels; their shifts grow in equal steps, so which ones these
are is a division.
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
_SIGNATURE = (
    "*image *matrix planes image_plane matrix_plane row_count *rows *pieces tap_count tap_step shift shift_step "
    "backwards width positions pixel_step value_step"
)
"""``backwards`` is 1 where taps are added from the last to the first, else 0."""
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
def sum_rows(element: Element, dense_values: bool, dense_pixels: bool, inside: bool) -> Kernel:
    """Return the kernel that sums rows.

    Parameters
    ----------
    element : Element
    dense_values, dense_pixels : bool
        Whether neighbouring positions lie side by side in the matrix, and a row's pixels in the image.
    inside : bool
        Whether the taps along the row change faster than those along all other axes, or slower.
    """
    layout = f"{'dense' if dense_values else 'strided'}_to_{'dense' if dense_pixels else 'strided'}"
    name = f"sum_rows_{element.value}_{element.total}_{layout}{'_taps_inside' if inside else ''}"
    return Kernel(name, _sum_rows, (element, dense_values, dense_pixels, inside), len(_SIGNATURE.split()))


def _sum_rows(name: str, target: Target, element: Element, dense_values: bool, dense_pixels: bool, inside: bool) -> str:
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
        add = _Sum(b, element, lanes, dense_values, dense_pixels, inside, values, start, stop, pixels)
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
    inside: bool
    values: Any
    start: Any
    stop: Any
    pixels: Any

    def block(self, x: Any, vectors: int) -> None:
        """Sum and store `vectors` vectors of a row's pixels, from pixel x on."""
        b, lanes = self.b, self.lanes
        zeros = [b.zero(b.vector(b.number(self.element.total), lanes))] * vectors
        starts = [b.add(x, b.constant(v * lanes)) for v in range(vectors)]
        first, stop = self._taps(x, vectors * lanes)
        # Loops over the taps along the row, and over the pieces: the taps of all other axes.
        if self.inside:
            with b.accumulate(self.start, self.stop, zeros) as sums:
                piece = b.at(self.values, b.entry(b["*pieces"], sums.index))
                with b.accumulate(first, stop, sums.values) as inner:
                    place, masks = self._tap(x, vectors, first, stop, inner.index)
                    self._add(inner.values, b.at(piece, place), masks)
                sums.values = inner.values
        else:
            with b.accumulate(first, stop, zeros) as sums:
                place, masks = self._tap(x, vectors, first, stop, sums.index)
                tap = b.at(self.values, place)
                with b.accumulate(self.start, self.stop, sums.values) as inner:
                    self._add(inner.values, b.at(tap, b.entry(b["*pieces"], inner.index)), masks)
                sums.values = inner.values
        for start, total in zip(starts, sums.values, strict=True):
            to = b.at(self.pixels, b.mul(start, b["pixel_step"]))
            mask = b.lanes_between(b.constant(0), b.sub(b["width"], start), lanes)
            if self.dense_pixels:
                b.masked_store(total, to, mask)
            else:
                b.scatter(total, to, b["pixel_step"], mask)

    def _taps(self, x: Any, width: int) -> tuple[Any, Any]:
        """Return the first and the last tap (exclusive) that meet any of `width` pixels from x on."""
        b, zero = self.b, self.b.constant(0)
        # Tap i adds position 0 to pixel shift + i·shift_step, and the last position `positions` - 1 pixels later.
        ahead = b.sub(b.add(x, b["shift_step"]), b["shift"])
        past, reached = b.sub(ahead, b["positions"]), b.add(ahead, b.constant(width - 1))
        # Divided by shift_step in a loop of one turn, or of none where that is 1: a division takes longer than a row.
        with b.accumulate(
            b.constant(1), b.smaller(b["shift_step"], b.constant(2)), [b.larger(n, zero) for n in (past, reached)]
        ) as counts:
            counts.values = [b.quotient(n, b["shift_step"]) for n in counts.values]
        first, stop = counts.values
        return first, b.smaller(stop, b["tap_count"])

    def _tap(self, x: Any, vectors: int, first: Any, stop: Any, turn: Any) -> tuple[Any, list[Any]]:
        """Return the offset of what is added to the first vector's first pixel in a turn, and each vector's mask."""
        b = self.b
        last = b.sub(b.sub(b.add(first, stop), turn), b.constant(1))
        tap = b.choose(b.inside(b["backwards"], b.constant(1)), turn, last)
        # Lane i of the vectors that start at pixel x adds the value of position x + i - shift, if there is one.
        shift = b.add(b["shift"], b.mul(tap, b["shift_step"]))
        place = b.sub(x, shift)
        first_lane, last_lane = b.sub(b.constant(0), place), b.sub(b["positions"], place)
        masks = [b.lanes_between(first_lane, last_lane, self.lanes, vectors, v) for v in range(vectors)]
        return b.add(b.mul(tap, b["tap_step"]), b.mul(place, b["value_step"])), masks

    def _add(self, sums: list[Any], piece: Any, masks: list[Any]) -> None:
        """Add the values that lie at an address, and the vectors of values behind it."""
        b = self.b
        narrow, wide = (b.vector(b.number(name), self.lanes) for name in (self.element.value, self.element.total))
        for v, mask in enumerate(masks):
            at = b.at(piece, b.mul(b["value_step"], v * self.lanes))
            if self.dense_values:
                value = b.masked_load(at, narrow, mask, b.zero(narrow))
            else:
                value = b.gather(at, b["value_step"], narrow, mask)
            sums[v] = b.sum(self.element.total, sums[v], b.grow(value, self.element.value, self.element.total, wide))
