"""How an image is cut into blocks, so that few pixels are read twice and a block fits the memory."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from ..errors import MemoryBudgetError, format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .axis import Axis, Piece

_FEWEST_POSITIONS = 8
"""Of a block, along the axis that blocks roll along, if there is room for them: fewer take longer each."""
_READ_AT_ONCE = 8
"""Which share of the memory is read in one go: an eighth."""


@dataclass(frozen=True)
class BlockPlan:
    """What a convolution in blocks takes.

    Parameters
    ----------
    blocks : int
        How many blocks there are.
    block_shape : tuple of int
        Of the result of the largest block, in the layout of the image.
    memory_bytes : int
        Allocated at most: a block of the image with the pixels around it, its result, what is read at a time, and what
        the product takes. What source and sink take themselves, to decompress a chunk say, is not in it.
    bytes_read : int
        Of the source, all chunks whole.
    bytes_written : int
        Of the result.
    times_read : float
        How often a byte of the image is read, on average.
    """

    blocks: int
    block_shape: tuple[int, ...]
    memory_bytes: int
    bytes_read: int
    bytes_written: int
    times_read: float

    def __str__(self) -> str:
        return "\n".join(
            (
                f"blocks   {self.blocks}, of {self.block_shape} at most",
                f"memory   {format_bytes(self.memory_bytes)}",
                f"read     {format_bytes(self.bytes_read)}, {self.times_read:.4g} times the image",
                f"written  {format_bytes(self.bytes_written)}",
            )
        )


class Sizes(NamedTuple):
    """Bytes of a block.

    Parameters
    ----------
    place : int
        Of the image's channels at one place.
    position : int
        Of the result's, at one position.
    chunk : int
        Of a chunk of the source.
    outermost : int or None
        The number of the axis that lies outermost in memory; None if that is the channels'.
    """

    place: int
    position: int
    chunk: int
    outermost: int | None


@dataclass(frozen=True)
class Blocks:
    """The blocks of an image, in the order in which they are convolved.

    Parameters
    ----------
    axes : tuple of Axis
        The batch, then the spatial ones.
    units : tuple of int
        How large blocks are along each.
    roll : int
        The number of the axis along which blocks follow one another and hand on what both of them see.
    sizes : Sizes
    read_bytes : int
        What is read in one go, at most.
    """

    axes: tuple[Axis, ...]
    units: tuple[int, ...]
    roll: int
    sizes: Sizes
    read_bytes: int

    @property
    def _extents(self) -> list[tuple[int, int]]:
        along = enumerate(zip(self.axes, self.units, strict=True))
        return [axis.extents(units, rolls=i == self.roll) for i, (axis, units) in along]

    @property
    def positions(self) -> tuple[int, ...]:
        """The most positions of a block along each axis."""
        return tuple(positions for positions, _ in self._extents)

    @property
    def places(self) -> tuple[int, ...]:
        """The most places of a block along each axis."""
        return tuple(places for _, places in self._extents)

    @property
    def nbytes(self) -> int:
        """Bytes of a block of the image, of its result, and of what is read in one go.

        A block that is shorter than others lies densely in their memory only if it is cut along the outermost axis;
        where it does not, some kernels copy each of its images.
        """
        image = math.prod(self.places) * self.sizes.place
        copied = 0 if self.roll == self.sizes.outermost else math.prod(self.places[1:]) * self.sizes.place
        return image + copied + math.prod(self.positions) * self.sizes.position + min(image, self.read_bytes)

    @property
    def count(self) -> int:
        """How many there are."""
        return math.prod(axis.count(units) for axis, units in zip(self.axes, self.units, strict=True))

    @property
    def bytes_read(self) -> int:
        """Bytes that are read, all chunks whole."""
        along = enumerate(zip(self.axes, self.units, strict=True))
        pixels = [axis.pixels_read(units, rolls=i == self.roll) for i, (axis, units) in along]
        return math.prod(pixels) * self.sizes.place

    def pieces(self) -> Iterator[tuple[Piece, ...]]:
        """Yield each block, as a piece of each axis; those that roll one after another."""
        others = [i for i in range(len(self.axes)) if i != self.roll]
        lists = [list(self.axes[i].pieces(self.units[i], rolls=False)) for i in others]
        for strip in itertools.product(*lists):
            for piece in self.axes[self.roll].pieces(self.units[self.roll], rolls=True):
                yield (*strip[: self.roll], piece, *strip[self.roll :])

    def shapes(self) -> set[tuple[int, ...]]:
        """Return how many positions blocks have along each axis: the largest, and those at the ends."""
        return set(itertools.product(*(axis.lengths(units) for axis, units in zip(self.axes, self.units, strict=True))))


def choose(
    axes: Sequence[Axis], sizes: Sizes, memory: int, workspace_of: Callable[[Blocks], int]
) -> tuple[Blocks, int]:
    """Return how to cut an image so that least is read, and the bytes that are allocated at most.

    The batch is cut first, then an axis along which blocks roll; other axes only where not even a few positions of
    that one fit, as pixels at such a cut are read twice.

    Parameters
    ----------
    axes : sequence of Axis
        The batch, then the spatial ones.
    sizes : Sizes
    memory : int
        The most bytes.
    workspace_of : callable
        Tells the bytes that the product of the blocks takes beside them.

    Raises
    ------
    MemoryBudgetError
        If the smallest block needs more.
    """
    whole = tuple(axis.units for axis in axes)
    read = max(sizes.chunk, memory // _READ_AT_ONCE)
    each = [
        _with_workspace(Blocks(tuple(axes), whole, roll, sizes, read), memory, workspace_of)
        for roll in range(1, len(axes))
    ]
    # The first of the best: what lies together in most files stays together. Reads are counted of what fits alone.
    if fits := [(blocks, blocks.nbytes + needed) for blocks, needed in each if blocks.nbytes + needed <= memory]:
        return min(fits, key=lambda found: found[0].bytes_read) if len(fits) > 1 else fits[0]
    best, needed = min(each, key=lambda found: found[0].nbytes)
    what = "chunk" if any(axis.source_chunk > 1 or axis.sink_chunk > 1 for axis in axes) else "position"
    image = math.prod(best.places) * sizes.place
    least = best.nbytes - min(image, read) + needed
    least += min(image, max(sizes.chunk, least // (_READ_AT_ONCE - 1) + 1))
    raise MemoryBudgetError(
        f"a block of one {what} takes {format_bytes(least)} with the pixels around it, its result and a workspace, but "
        f"memory is {format_bytes(memory)}; pass memory={least} or more"
    )


def _with_workspace(whole: Blocks, memory: int, workspace_of: Callable[[Blocks], int]) -> tuple[Blocks, int]:
    """Return large blocks that fit the memory with their workspace, or the smallest there are; and the workspace."""
    room = memory
    while True:
        blocks = _fitted(whole, room)
        needed = workspace_of(blocks)
        if blocks.nbytes + needed <= memory or blocks.nbytes > room:  # or there are no smaller ones
            return blocks, needed
        room = min(max(memory - needed, blocks.nbytes // 2), blocks.nbytes - 1)


def _fitted(whole: Blocks, memory: int) -> Blocks:
    """Return large blocks that fit the memory, or the smallest there are."""
    axes, roll = whole.axes, whole.roll
    units = list(whole.units)

    def fits() -> bool:
        return replace(whole, units=tuple(units)).nbytes <= memory

    def grow(i: int) -> None:
        """Make blocks as long along an axis as fits, and all of them about as long."""
        low, high = 1, axes[i].units
        while low < high:
            units[i] = (low + high + 1) // 2
            low, high = (units[i], high) if fits() else (low, units[i] - 1)
        units[i] = -(-axes[i].units // -(-axes[i].units // max(1, low)))
        if not fits():  # where windows end with chunks of the source, fewer of these may have more windows
            units[i] = low

    def cut(fewest: int) -> None:
        """Take as few positions along the axis that rolls, and cut others, the first first, as far as it must be."""
        units[roll] = fewest
        for i in range(1, len(axes)):
            if i != roll and not fits():
                grow(i)

    if not fits():
        grow(0)
    if not fits():
        axis = axes[roll]
        positions = max(_FEWEST_POSITIONS, -(-axis.span // axis.stride))
        each = axis.sink_chunk if axis.sink_chunk > 1 else max(1, axis.source_chunk // axis.stride)
        cut(min(axis.units, -(-positions // each)))
        if not fits():
            cut(1)
        if fits():
            grow(roll)
    return replace(whole, units=tuple(units))
