"""A layer made ready to run: its tables, kernel by kernel, and how its filters are packed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from ...engine.target import host
from .channel_passes import ChannelShape, channel_passes
from .filter_passes import FilterShape, filter_passes
from .position_passes import PositionShape, position_parts, position_passes
from .schedule import vector_parts
from .weights import packed_layer, slots

if TYPE_CHECKING:
    from ...engine.compiler import Kernel
    from .arrangement import Arrangement
    from .operand import Operand
    from .schedule import Part, Pass
    from .weights import Slot


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
    slots : list of Slot
        Where each part is packed.
    """

    arrangement: Arrangement
    op: Operand
    parts: list[Part]
    passes: list[Pass]
    slots: list[Slot]

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """The kernels that it calls, each once."""
        return tuple(dict.fromkeys(kernel for each in self.passes for kernel, *_ in each.calls))

    @property
    def groups(self) -> int:
        """Groups that a kernel loops over."""
        return packed_layer(self.arrangement.layer, self.arrangement.choice.shape).groups

    @property
    def out_filter(self) -> int:
        """Bytes of the result from one filter to the next."""
        return self.op.out_filter

    @property
    def weights_outweigh(self) -> bool:
        """Whether there is more to read of the weights than of the image."""
        g = self.op.geometry
        return self.arrangement.layer.filters * g.taps > math.prod(g.spatial_shape)


def tabulated(arrangement: Arrangement, op: Operand) -> Program:
    """Return the program for arrays of any strides that the arrangement walks."""
    layer, shape, epilogue = arrangement.layer, arrangement.choice.shape, arrangement.epilogue
    dot = arrangement.dot
    dtype, caches = "i4" if dot else f"{arrangement.dtype.kind}{op.size}".replace("u", "i"), host().caches
    groups, channels, filters = packed_layer(layer, shape)
    parts = (
        position_parts(filters, shape)
        if isinstance(shape, PositionShape)
        else vector_parts(filters, shape.lanes, shape.vectors)
    )
    scales_at = op.size * groups * sum(part.blocks * part.packed for part in parts)
    if isinstance(shape, FilterShape):
        name = dot.name if dot else None
        passes = filter_passes(op, shape, channels, parts, epilogue, dtype, caches[1], scales_at, name)
    elif isinstance(shape, ChannelShape):
        passes = channel_passes(op, shape, parts, epilogue, dtype, caches[1], scales_at)
    else:
        passes = position_passes(op, shape, channels, parts, epilogue, dtype, caches[0], scales_at)
    return Program(arrangement, op, parts, passes, slots(op, arrangement.layer, shape, parts))
