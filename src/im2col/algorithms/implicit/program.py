"""A layer made ready to run: its tables, kernel by kernel, and how its filters are packed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from ...engine.target import host
from .channel_passes import ChannelShape, channel_passes
from .filter_passes import FilterShape, filter_passes
from .position_passes import position_parts, position_passes
from .schedule import vector_parts
from .weights import slots

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
    def weights_outweigh(self) -> bool:
        """Whether there is more to read of the weights than of the image."""
        g = self.op.geometry
        return self.arrangement.layer.filters * g.taps > math.prod(g.spatial_shape)


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
    return Program(arrangement, op, parts, passes, slots(op, arrangement.layer, shape, parts))
