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
    b = Builder(name, _SIGNATURE, target)
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
            add.block(x, _UNROLL, whole=True)
        with b.loop(b["width"], start=blocks, step=lanes) as x:
            add.block(x, 1, whole=False)
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

    def block(self, x: Any, vectors: int, whole: bool) -> None:
        """Sum and store `vectors` vectors of a row's pixels, from pixel x on; `whole` if none reaches past the row."""
        b, lanes = self.b, self.lanes
        zeros = [b.zero(b.vector(b.number(self.element.total), lanes))] * vectors
        starts = [b.add(x, b.constant(v * lanes)) for v in range(vectors)]
        first, stop = self._taps(x, vectors * lanes)
        # Loops over the taps along the row, and over the pieces: the taps of all other axes.
        if self.inside:
            with b.accumulate(self.start, self.stop, zeros) as sums:
                piece = b.entry(b["*pieces"], sums.index)
                with b.accumulate(first, stop, sums.values) as inner:
                    tap = self._tap(x, vectors, first, stop, inner.index)
                    self._add_pieces(inner.values, tap, piece, b.constant(0), b.constant(1))
                sums.values = inner.values
        else:
            with b.accumulate(first, stop, zeros) as sums:
                tap = self._tap(x, vectors, first, stop, sums.index)
                self._add_pieces(sums.values, tap, None, self.start, self.stop)
        for start, total in zip(starts, sums.values, strict=True):
            to = b.at(self.pixels, b.mul(start, b["pixel_step"]))
            if whole and self.dense_pixels:
                b.store(total, to)
            elif whole:
                b.store_lanes(total, to, b["pixel_step"])
            else:
                left = b.sub(b["width"], start)
                if self.dense_pixels:
                    b.store_below(total, to, left)
                else:
                    b.scatter(total, to, b["pixel_step"], b.lanes_between(b.constant(0), left, lanes))

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

    def _tap(self, x: Any, vectors: int, first: Any, stop: Any, turn: Any) -> _Tap:
        """Return the tap that is added to vectors from pixel x on in a turn."""
        b = self.b
        last = b.sub(b.sub(b.add(first, stop), turn), b.constant(1))
        tap = b.choose(b.inside(b["backwards"], b.constant(1)), turn, last)
        # Lane i of the vectors adds the value of position x + i - shift, if there is one.
        place = b.sub(x, b.add(b["shift"], b.mul(tap, b["shift_step"])))
        over = b.sub(b["positions"], b.constant(vectors * self.lanes - 1))
        whole = b.inside(place, b.larger(over, b.constant(0)))
        offset = b.add(b.mul(tap, b["tap_step"]), b.mul(place, b["value_step"]))
        return _Tap(b.at(self.values, offset), place, whole)

    def _add_pieces(self, sums: list[Any], tap: _Tap, piece: Any, start: Any, stop: Any) -> None:
        """Add a tap's values from some pieces, or from one whose offset is given; without masks where all are there."""
        b = self.b
        middle = b.choose(tap.whole, stop, start)
        for masked, begin, end in ((False, start, middle), (True, middle, stop)):
            with b.accumulate(begin, end, sums) as state:
                offset = b.entry(b["*pieces"], state.index) if piece is None else piece
                self._add(state.values, b.at(tap.place, offset), tap.first if masked else None)
            sums[:] = state.values

    def _add(self, sums: list[Any], piece: Any, first: Any) -> None:
        """Add the values that lie at an address; lane 0 has position `first`, if some lanes may have none."""
        b = self.b
        narrow, wide = (b.vector(b.number(name), self.lanes) for name in (self.element.value, self.element.total))
        for v in range(len(sums)):
            at = b.at(piece, b.mul(b["value_step"], v * self.lanes))
            if first is None:
                low, high = b.constant(0), b.constant(len(sums) * self.lanes)
            else:
                low, high = b.sub(b.constant(0), first), b.sub(b["positions"], first)
            mask = b.lanes_between(low, high, self.lanes, len(sums), v)
            if not self.dense_values:
                value = b.gather(at, b["value_step"], narrow, mask)
            elif first is None:
                value = b.load(at, narrow)
            else:
                value = b.masked_load(at, narrow, mask, b.zero(narrow))
            sums[v] = b.sum(self.element.total, sums[v], b.grow(value, self.element.value, self.element.total, wide))


class _Tap(NamedTuple):
    """A tap of a row, met by some vectors of pixels.

    Parameters
    ----------
    place : Value
        The address of the first vector's values, but for the offset of the piece.
    first : Value
        The position of the first lane.
    whole : Value
        Whether every lane has a position.
    """

    place: Any
    first: Any
    whole: Any
