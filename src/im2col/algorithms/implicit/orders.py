"""The order of sums of layers that are computed in chunks: what makes it the same for any chunk.

A float's last bits depend on the order in which its sum takes the taps. Each kind of tile has its own; which tile is
the fastest follows the image's size. So for a layer that is to be computed in chunks, a typical map decides upon the
order, and a chunk gets the fastest tile of those that have this one. All kinds have a tile for the smallest map.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ...spec.geometry import Geometry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...engine.target import Target
    from ...spec.problem import Problem
    from .tiles.tile_shape import Order, TileShape
    from .view import GroupShape, View

_ROWS, _COLUMNS = 96, 1008
"""Of a typical map: whole tiles of nearly any size."""
_CHANNELS = 64
"""Of a typical depthwise layer, so that some of its channels, more than one, are a chunk, too."""


class InOrder(NamedTuple):
    """An order of sums: that of a dot product of several channels, if it is one, and the loops over the taps.

    Without those, it is any order that can be fixed.
    """

    dot: str | None = None
    loops: Order | None = None

    def of(self, kinds: Sequence[Any]) -> tuple[KindInOrder, ...]:
        """Return kinds of tiles with those tiles alone that sum in this order."""
        return tuple(KindInOrder(kind, self) for kind in kinds)


class KindInOrder(NamedTuple):
    """A kind of tiles of which those are left that sum in one order."""

    kind: Any
    order: InOrder

    def candidates(self, view: View, group: GroupShape, target: Target, dot: str | None) -> Iterator[TileShape]:
        """Yield those that fit a layer, as `TileShape` has it."""
        for tile in self.kind.candidates(view, group, target, dot):
            loops = tile.order(view, group, target)
            if loops is not None and (self.order.loops is None or self.order == (dot, loops)):
                yield tile


def typical(problem: Problem) -> Problem:
    """Return the same layer over one dense image of a typical size, without padding."""
    g = problem.geometry
    output = (_ROWS,) * (g.ndim - 1) + (_COLUMNS,)
    sizes = tuple((n - 1) * s + span for n, s, span in zip(output, g.stride, g.span, strict=True))
    geometry = Geometry(sizes, g.kernel_size, g.stride, ((0, 0),) * g.ndim, g.dilation)
    depthwise = problem.groups == problem.channels == problem.filters > 1
    channels, filters, groups = (_CHANNELS,) * 3 if depthwise else (problem.channels, problem.filters, problem.groups)
    return replace(
        problem,
        geometry=geometry,
        batch=1,
        channels=channels,
        filters=filters,
        groups=groups,
        padding_mode="constant",
        padding_bytes=bytes(problem.x_dtype.itemsize),
        strides=None,
        out_strides=None,
    )
