"""Which tile a layer gets: of those that fit the registers and the layer, the one that the model finds fastest."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .channel_lanes import ChannelShape
from .filters import FilterShape
from .positions import PositionShape

if TYPE_CHECKING:
    from ....engine.target import Target
    from ..view import GroupShape, View
    from .tile_shape import TileShape

KINDS = (ChannelShape, FilterShape, PositionShape)


class BestTile(NamedTuple):
    """A tile and the cycles that the model gives it, with the best tile of each other kind."""

    shape: TileShape
    cycles: float
    others: tuple[tuple[TileShape, float], ...] = ()

    def __str__(self) -> str:
        others = "".join(f"; {shape}: {cycles:.3g}" for shape, cycles in self.others)
        return f"{self.shape}: {self.cycles:.3g} cycles by the model{others}"


def best_tile(view: View, group: GroupShape, target: Target, dot: bool) -> BestTile | None:
    """Return the tile with the fewest cycles, or None if there is none.

    Parameters
    ----------
    view : View
    group : GroupShape
    target : Target
    dot : bool
        Whether each lane holds several channels.
    """
    found: list[tuple[TileShape, float]] = []
    for kind in KINDS:
        tiles = [(tile, tile.cycles(view, group, target)) for tile in kind.candidates(view, group, target, dot)]
        if tiles:
            found.append(min(tiles, key=lambda pair: pair[1]))
    if not found:
        return None
    (shape, least), *others = sorted(found, key=lambda pair: pair[1])
    return BestTile(shape, least, tuple(others))
