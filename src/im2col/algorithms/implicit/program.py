"""A layer made ready to run: its tables, kernel by kernel, and how its filters are packed."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from ...engine.target import host
from .channel_passes import ChannelShape, channel_passes
from .choice import Layer
from .filter_passes import FilterShape, filter_passes
from .position_passes import PositionShape, position_parts, position_passes
from .schedule import vector_parts

if TYPE_CHECKING:
    from .arrangement import Arrangement
    from .operand import Operand
    from .schedule import Part, Pass


class Program(NamedTuple):
    """Everything about a layer but the arrays and the weights' values.

    Parameters
    ----------
    arrangement : Arrangement
    op : Operand
        For the strides that arrays really have.
    parts : list of Part
        How the filters of a group are packed.
    passes : list of Pass
    """

    arrangement: Arrangement
    op: Operand
    parts: list[Part]
    passes: list[Pass]

    @property
    def weights_outweigh(self) -> bool:
        """Whether there is more to read of the weights than of the image."""
        g = self.op.geometry
        return self.arrangement.layer.filters * g.taps > math.prod(g.spatial_shape)

    @property
    def tap_axes(self) -> tuple[int, ...]:
        """The axes (2 filter, 3 channel, 4… kernel) of the taps, in the order in which the kernels multiply them."""
        k = self.op.geometry.ndim
        if not isinstance(self.arrangement.choice.shape, PositionShape):
            return (*range(4, 4 + k), 3)
        # The planes (outer axes and channels), then the window's columns, then its rows.
        return (*range(4, 2 + k), 3, *((3 + k, 2 + k) if k > 1 else (4,)))

    @property
    def packing(self) -> Layer:
        """The groups, channels and filters that are packed: where lanes are channels, these are one group's filters."""
        layer = self.arrangement.layer
        return Layer(1, 1, layer.groups) if isinstance(self.arrangement.choice.shape, ChannelShape) else layer

    @property
    def table_bytes(self) -> int:
        """Bytes of the tables."""
        return sum(table.nbytes for each in self.passes for table in each.tables)


@lru_cache(maxsize=64)
def program(arrangement: Arrangement) -> Program:
    """Return the program for dense arrays, remembered between calls."""
    return tabulated(arrangement, arrangement.op)


def tabulated(arrangement: Arrangement, op: Operand) -> Program:
    """Return the program for arrays of any strides that the arrangement walks."""
    layer, shape, epilogue = arrangement.layer, arrangement.choice.shape, arrangement.epilogue
    dtype, caches = f"{arrangement.dtype.kind}{op.size}".replace("u", "i"), host().caches
    if isinstance(shape, FilterShape):
        parts = vector_parts(layer.filters, shape.lanes, shape.vectors)
        passes = filter_passes(op, shape, layer.channels, parts, epilogue, dtype, caches[1])
    elif isinstance(shape, ChannelShape):
        parts = vector_parts(layer.groups, shape.lanes, shape.vectors)
        passes = channel_passes(op, shape, parts, epilogue, dtype, caches[1])
    else:
        parts = position_parts(layer.filters, shape)
        passes = position_passes(op, shape, layer.channels, parts, epilogue, dtype, caches[0])
    return Program(arrangement, op, parts, passes)
