"""What is decided about a problem: whether an image is read where it lies or from a copy, and by which tile."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...arrays import is_registered
from ...engine.target import host
from ...engine.tile.epilogue import Epilogue
from .channel_passes import ChannelShape
from .choice import can_walk, choose
from .operand import Layer, dense_strides, memory_order, operand
from .position_passes import PositionShape

if TYPE_CHECKING:
    from ...geometry import Geometry
    from ...problem import Problem
    from .choice import Choice
    from .operand import Operand

LINE = 64
"""Bytes of a cache line."""
_STRAIGHT_CYCLES, _TURNED_CYCLES = 1.0, 2.5
"""Of copying a number, as measured; see docs/decisions.md."""


class Copy(NamedTuple):
    """A copy of one image that is read in its place: converted, padded, or in another order.

    Parameters
    ----------
    shape : tuple of int
        (C, *spatial), with the padding if it is part of the copy.
    strides : tuple of int
        Bytes.
    nbytes : int
    dtype : dtype
    padded : bool
        Whether the padding is part of the copy.
    why : str
        For people.
    """

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    nbytes: int
    dtype: np.dtype[Any]
    padded: bool
    why: str


class Arrangement(NamedTuple):
    """Everything that is decided about a problem before any table is made.

    Parameters
    ----------
    geometry : Geometry
        Of the windows over the image or its copy; its padding is of zeros, and is skipped.
    layer : Layer
    op : Operand
    choice : Choice
    dtype : dtype
        Of pixels and weights as the kernels see them.
    epilogue : Epilogue
    copy : Copy or None
    strides, out_strides : tuple of int
        Of (N, C, *spatial), of the image or its copy, and of (N, filters, *output): those of dense arrays in the
        problem's layout.
    """

    geometry: Geometry
    layer: Layer
    op: Operand
    choice: Choice
    dtype: np.dtype[Any]
    epilogue: Epilogue
    copy: Copy | None
    strides: tuple[int, ...]
    out_strides: tuple[int, ...]

    @property
    def reason(self) -> str:
        """Why it was chosen, for people."""
        copied = f", from a copy of each image ({self.copy.why})" if self.copy else ""
        return f"the view: {self.choice}{copied}"

    @property
    def workspace_bytes(self) -> int:
        """Bytes of the packed weights and the bias, and of the copy that a thread keeps."""
        shape, (groups, channels, filters) = self.choice.shape, self.layer
        if isinstance(shape, ChannelShape):
            groups, filters = 1, groups
        packed = filters if isinstance(shape, PositionShape) else -(-filters // shape.lanes) * shape.lanes
        weights = groups * packed * (channels * self.op.geometry.taps + 1) * self.op.size
        return weights + (self.copy.nbytes + LINE if self.copy else 0)

    def walks(self, strides: tuple[int, ...], out_strides: tuple[int, ...]) -> Operand | None:
        """Return the operand for arrays of other strides, or None where the tile cannot walk them."""
        op = operand(self.geometry, self.op.size, strides, self.op.out_size, out_strides)
        return op if op.geometry == self.op.geometry and can_walk(self.choice.shape, op) else None


def kernel_dtype(problem: Problem) -> np.dtype[Any] | None:
    """Return the dtype that the kernels multiply in, or None where there is none."""
    dtype = problem.accumulator
    if dtype.kind == "f" and dtype.itemsize in (4, 8):
        return dtype
    if dtype.kind in "iu" and dtype.itemsize in (2, 4, 8):
        return dtype
    return None


def stored_as(problem: Problem) -> str | None:
    """Return what the kernels store, as `Epilogue` calls it, or None where they cannot."""
    dtype = problem.dtype
    if dtype == problem.accumulator:
        return f"{dtype.kind}{dtype.itemsize}"
    if dtype == np.float16:
        return "f2" if host().has_fma else None  # the same CPUs convert halves
    return "b2" if is_registered(dtype) and dtype.name == "bfloat16" else None


@lru_cache(maxsize=256)
def arrange(problem: Problem) -> Arrangement:
    """Return the arrangement with the fewest cycles, of those that the problem allows."""
    return min(_candidates(problem), key=lambda pair: pair[1])[0]


def _candidates(problem: Problem) -> list[tuple[Arrangement, float]]:
    """Return arrangements with the cycles of their tiles and copies."""
    g, dtype, result = problem.geometry, kernel_dtype(problem), stored_as(problem)
    if dtype is None or result is None:
        raise RuntimeError("the engine was given a problem that it does not take")
    order = memory_order(problem)
    absent = [i for i, axis in enumerate("NC") if axis not in problem.layout.axes]
    out_shape = (problem.batch, problem.filters, *g.output_shape)
    out_strides = _without(absent, dense_strides(order, out_shape, problem.dtype.itemsize))
    layer = Layer(problem.groups, problem.group_channels, problem.group_filters)
    activation = problem.activation
    epilogue = Epilogue(
        f"{dtype.kind}{dtype.itemsize}",
        result,
        problem.has_bias,
        activation.name if activation else None,
        activation.slope if activation else 0.0,
    )

    def arrangement(copy: Copy | None, geometry: Geometry, strides: tuple[int, ...]) -> tuple[Arrangement, float]:
        op = operand(geometry, dtype.itemsize, strides, problem.dtype.itemsize, out_strides)
        choice = choose(op, layer, host())
        made = Arrangement(geometry, layer, op, choice, dtype, epilogue, copy, strides, out_strides)
        return made, choice.cycles

    pads_by_value = g.is_padded and (problem.padding_mode != "constant" or any(problem.padding_bytes))
    found = []
    if problem.x_dtype == dtype and not pads_by_value:
        strides = _without(
            absent, dense_strides(order, (problem.batch, problem.channels, *g.spatial_shape), dtype.itemsize)
        )
        found.append(arrangement(None, g, strides))
    geometry = g.unpadded() if pads_by_value else g
    shape = (problem.channels, *geometry.spatial_shape)
    numbers = math.prod(shape)
    why = "converted" * (problem.x_dtype != dtype) or "padded" * pads_by_value
    own = tuple(axis - 1 for axis in order if axis)
    last = (*range(1, len(shape)), 0)
    for axes in {own, last} if not found else {last}:
        turned = axes != own
        strides = _pitched(axes, shape, dtype.itemsize)
        nbytes = max(s * n for s, n in zip(strides, shape, strict=True))
        reason = f"{why} and channels last" if turned and why else why or "channels last"
        copy = Copy(shape, strides, nbytes, dtype, pads_by_value, reason)
        chosen, cycles = arrangement(copy, geometry, (0, *strides))
        found.append((chosen, cycles + numbers * (_TURNED_CYCLES if turned else _STRAIGHT_CYCLES)))
    return found


def _without(absent: list[int], strides: tuple[int, ...]) -> tuple[int, ...]:
    """Return strides in which axes that the layout lacks have none, as NumPy gives them."""
    return tuple(0 if i in absent else s for i, s in enumerate(strides))


def _pitched(axes: tuple[int, ...], shape: tuple[int, ...], size: int) -> tuple[int, ...]:
    """Return the strides of a copy whose rows of the innermost axis start in different sets of the cache.

    Where channels are innermost, a tile reads one line of each of its positions at a time. An odd number of lines
    from one to the next lets them lie in the first level of cache together.
    """
    sizes = list(shape)
    if axes[-1] == 0 and sizes[0] * size >= LINE:
        lines = -(-sizes[0] * size // LINE)
        sizes[0] = (lines | 1) * LINE // size
    return dense_strides(axes, sizes, size)
