"""What every kind of tile knows: the contract of the files in this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ....engine.target import Target
    from ..packing import FilterBlocks
    from ..tables import TileRun
    from ..view import GroupShape, View
    from .epilogue import Epilogue


class Tiling(NamedTuple):
    """What a layer's tables are made of.

    Parameters
    ----------
    view : View
    channels : int
        That one filter reads.
    blocks : list of FilterBlocks
        Of one group's filters.
    epilogue : Epilogue
    dtype : str
        Of the kernel's pixels and weights.
    offset : int
        What the kernel adds to each pixel.
    dot : str or None
        As in `FilterTile`.
    scales_at : int
        Bytes from the packed bias to the factors of requantisation.
    caches : tuple of int
        As in `Target`: what a tile reads again should stay in one of them.
    """

    view: View
    channels: int
    blocks: list[FilterBlocks]
    epilogue: Epilogue
    dtype: str
    offset: int
    dot: str | None
    scales_at: int
    caches: tuple[int, int, int]


Order = tuple[tuple[int, ...], tuple[int, ...]]
"""In which a sum takes its taps: see `order_of`."""


def order_of(view: View, channels: int, axes: Sequence[int], parts: Sequence[int] = ()) -> Order:
    """Return the order in which sums take their taps, in terms that all kinds of tiles share.

    Parameters
    ----------
    view : View
    channels : int
        That one filter reads.
    axes : sequence of int
        The loops over the taps, the outermost first: 0 is the channels', 1 that of the window's first axis.
    parts : sequence of int
        Taps that are summed together, for each block of filters, if those are not all.

    Returns
    -------
    (axes, parts)
        Loops over a single tap are left out, and the others numbered without them.
    """
    sizes = (channels, *view.geometry.kernel_size)
    kept = [0, *(axis for axis in range(1, len(sizes)) if sizes[axis] > 1)]
    return tuple(kept.index(axis) for axis in axes if sizes[axis] > 1), tuple(parts)


class TileShape(Protocol):
    """The tile that a layer was given: what lies along its lanes, and how large it is.

    Its class has ``candidates(view, group, target, dot)``, which yields the tiles that fit a layer and the registers;
    with `dot`, called as `Numbers.dot` does, each lane holds several channels.
    """

    @property
    def lanes(self) -> int:
        """VL: the lanes of a vector."""
        ...

    def cycles(self, view: View, group: GroupShape, target: Target) -> float:
        """Return the cycles that the model gives a layer in such tiles."""
        ...

    def order(self, view: View, group: GroupShape, target: Target) -> Order | None:
        """Return in which order sums take their taps, or None where not every map has a tile of this kind with it."""
        ...

    def walks(self, view: View) -> bool:
        """Whether what the tile loads or stores as a vector lies side by side in the arrays."""
        ...

    def as_packed(self, group: GroupShape) -> GroupShape:
        """Return the groups, channels and filters as they are packed."""
        ...

    def blocks(self, filters: int) -> list[FilterBlocks]:
        """Return the blocks of filters of a group that tiles compute at a time."""
        ...

    def tap_order(self, k: int) -> tuple[int, ...]:
        """Return the axes of a tap, of (groups, blocks, filters, channels, *kernel), as packed weights have them.

        `k` is the number of spatial axes.
        """
        ...

    def runs(self, tiling: Tiling) -> list[TileRun]:
        """Return what covers the map, each with its kernel and its job for each of the blocks of filters."""
        ...

    def table_bytes(self, tiling: Tiling) -> int:
        """Return at most how many bytes the tables of `runs` take, with what is needed to make them."""
        ...
