"""Blocks of an image, read and padded; what a block shares with the one before it is moved, and not read again."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..engine.boxes import box_steps
from .axis import NOTHING
from .ends import Pages, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from ..spec.problem import Problem
    from .axis import Fill, Piece, Read
    from .plan import Blocks

    Array = NDArray[Any]


class _Last(NamedTuple):
    """What is in memory: the pieces of a block along all axes but the one that rolls, and along that one."""

    strip: tuple[Piece, ...]
    piece: Piece


class Reader:
    """A block of the image at a time, in memory that is used again.

    Parameters
    ----------
    source : object
        Anything that can be sliced.
    chunks : tuple of int
        Of the source, in its layout.
    problem : Problem
        The convolution of all of it.
    blocks : Blocks
    """

    def __init__(self, source: Any, chunks: tuple[int, ...], problem: Problem, blocks: Blocks) -> None:
        self._source, self._chunks, self._problem, self._blocks = source, chunks, problem, blocks
        self._pages = Pages(source)
        self._memory = np.empty(math.prod(blocks.places) * problem.channels, problem.x_dtype)
        self._room = self._memory[:0]
        self._last: _Last | None = None

    def block(self, pieces: tuple[Piece, ...]) -> Array:
        """Return the padded pixels that a block sees, in the layout of the image."""
        roll = self._blocks.roll
        strip, piece = (*pieces[:roll], *pieces[roll + 1 :]), pieces[roll]
        known, last, self._last = NOTHING, self._last, None
        if last is None or last.strip != strip:
            self._room = self._new_room(pieces)
        else:
            self._move(last.piece, piece)
            known = last.piece.end
        fills = [
            axis.fill(each, known if i == roll else NOTHING)
            for i, (axis, each) in enumerate(zip(self._blocks.axes, pieces, strict=True))
        ]
        self._fill(fills, piece.end - piece.low)
        self._last = _Last(strip, piece)
        spatial = [slice(0, each.high - each.low) for each in pieces[1:]]
        block: Array = self._room[self._place(slice(None), slice(None), spatial)]
        return block

    def _new_room(self, pieces: tuple[Piece, ...]) -> Array:
        """Return room for the blocks that follow one another from here on."""
        sizes = [piece.end - piece.low for piece in pieces]
        sizes[self._blocks.roll] = self._blocks.places[self._blocks.roll]
        shape = self._problem.layout.from_canonical_shape(sizes[0], self._problem.channels, sizes[1:])
        return self._memory[: math.prod(shape)].reshape(shape)

    def _place(self, batch: Any, channels: Any, spatial: Sequence[Any]) -> tuple[Any, ...]:
        """Return an index of the image's axes."""
        layout = self._problem.layout
        along = dict(zip(layout.spatial, spatial, strict=True)) | {"N": batch, "C": channels}
        return tuple(along[letter] for letter in layout.axes)

    def _canonical(self) -> Array:
        """Return the room with its axes as (N, C, *spatial)."""
        return self._problem.layout.to_canonical(self._room)

    def _number(self, i: int) -> int:
        """Return the number of one of the blocks' axes in a canonical array."""
        return i + (i > 0)

    def _move(self, last: Piece, piece: Piece) -> None:
        """Move what two blocks share to where the second one has it."""
        rows = self._canonical().swapaxes(0, self._number(self._blocks.roll))
        shift, shared = piece.low - last.low, last.end - piece.low
        for first in range(0, shared, shift):  # or NumPy, which copies what overlaps, would copy all of it
            stop = min(first + shift, shared)
            rows[first:stop] = rows[first + shift : stop + shift]

    def _fill(self, fills: list[Fill], size: int) -> None:
        """Fill what is not known yet: first what is read, then what shows the same, then what shows the constant."""
        for reads in itertools.product(*(fill.reads for fill in fills)):
            self._read(reads)
        room, roll = self._canonical(), self._blocks.roll
        fresh = [slice(None)] * room.ndim
        fresh[self._number(roll)] = slice(fills[roll].fresh, size)
        for i, fill in enumerate(fills):
            number, index = self._number(i), list(fresh)
            lines = room[tuple(fresh)] if i != roll else room
            lines = lines.swapaxes(0, number)
            for to, origin in fill.copies:
                lines[to] = lines[origin]
            for each in fill.constants:
                index[number] = each
                room[tuple(index)] = self._problem.padding_value

    def _read(self, reads: tuple[Read, ...]) -> None:
        """Read a part of the image, a few chunks at a time."""
        channels = self._problem.channels
        batch, *spatial = [slice(each.start, each.stop) for each in reads]
        taken = self._place(batch, slice(0, channels), spatial)
        offsets = [each.place.start - each.start if isinstance(each.place, slice) else None for each in reads]
        if None not in offsets:
            shifts = self._place(offsets[0], 0, offsets[1:])
            for part in self._parts(taken):
                to = tuple(slice(each.start + n, each.stop + n) for each, n in zip(part, shifts, strict=True))
                self._room[to] = read(self._source, part)
                self._pages.release()
            return
        found, places = self._problem.layout.to_canonical(read(self._source, taken)), []
        for i, each in enumerate(reads):
            if each.order is not None:
                found = found.take(each.order, axis=self._number(i))
            places.append(np.arange(each.place.start, each.place.stop) if isinstance(each.place, slice) else each.place)
        self._canonical()[np.ix_(places[0], np.arange(channels), *places[1:])] = found
        self._pages.release()

    def _parts(self, taken: tuple[slice, ...]) -> Iterator[tuple[slice, ...]]:
        """Yield parts of what is taken that are read in one go: none of them shares a chunk with another one."""
        chunks = self._chunks
        sizes = tuple(-(-each.stop // n) - each.start // n for each, n in zip(taken, chunks, strict=True))
        chunk = max(1, math.prod(chunks)) * self._problem.x_dtype.itemsize
        steps = box_steps(sizes, max(1, self._blocks.read_bytes // chunk))
        along = [list(_cut(each, n * step)) for each, n, step in zip(taken, chunks, steps, strict=True)]
        yield from itertools.product(*along)


def _cut(taken: slice, step: int) -> Iterator[slice]:
    """Yield the parts of a slice between multiples of a step."""
    edges = [taken.start, *range((taken.start // step + 1) * step, taken.stop, step), taken.stop]
    yield from itertools.starmap(slice, itertools.pairwise(edges))
