"""What is decided about a problem: whether an image is read where it lies or from a copy, and by which tile."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...engine.pace import TURNING
from ...memory import recalled
from ...spec.geometry import Geometry
from ...spec.strides import dense_strides
from .bands import BandedCopy
from .dots import dot_of
from .numbers import converts, kernel_dtype, stored_as
from .orders import InOrder, typical
from .packing import Parts, packed_at
from .tables import Tables
from .tiles.channel_lanes import ChannelShape
from .tiles.epilogue import Epilogue, activation_of
from .tiles.filters import FilterShape
from .tiles.positions import PositionShape
from .tiles.tile_shape import Tiling
from .tiles.windows import WindowShape
from .view import LINE, Copy, GroupShape, memory_order, pitched, view_of, without
from .ways import Way, widens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...engine.target import Target
    from ...spec.problem import Problem
    from .dots import Dot
    from .tiles.tile_shape import TileShape
    from .view import View

KINDS = (WindowShape, ChannelShape, FilterShape, PositionShape)
_STRAIGHT_CYCLES = 0.25
"""Of copying a byte, as measured; see docs/decisions.md."""
_INTEGER_PRODUCT = 2.0
"""Instructions for a product and a sum of integers, which are one for floats and in dot products."""


class BestTile(NamedTuple):
    """A tile and the cycles that the model gives it, with the best tile of each other kind."""

    shape: TileShape
    cycles: float
    others: tuple[tuple[TileShape, float], ...] = ()


class Decision(NamedTuple):
    """Everything that is decided about a problem before any table is made.

    Parameters
    ----------
    target : Target
        The CPU that kernels are for.
    geometry : Geometry
        Of the windows over the image or its copy; what padding it has is of zeros, which are skipped, or mapped.
    modes : tuple of str
        As in `View`, of its axes.
    group : GroupShape
    view : View
        Of dense arrays.
    tile : BestTile
    dtype : dtype
        Of the pixels as the kernels see them.
    packed_dtype : dtype
        Of the packed weights.
    offset : int
        What the kernels add to each pixel.
    dot : Dot or None
        The dot product that takes several channels at a time, as one.
    epilogue : Epilogue
    copy : Copy or None
    strides, out_strides : tuple of int
        Of (N, C, *spatial), of the image or its copy, and of (N, filters, *output): those of dense arrays in the
        problem's layout, or of parts of such arrays.
    cycles : float
        By the model, with the copy, where it was chosen by them.
    order : InOrder, optional
        In which order its sums take their taps, where that is fixed.
    """

    target: Target
    geometry: Geometry
    modes: tuple[str, ...]
    group: GroupShape
    view: View
    tile: BestTile
    dtype: np.dtype[Any]
    packed_dtype: np.dtype[Any]
    offset: int
    dot: Dot | None
    epilogue: Epilogue
    copy: Copy | None
    strides: tuple[int, ...]
    out_strides: tuple[int, ...]
    cycles: float = math.inf
    order: InOrder | None = None

    @property
    def reason(self) -> str:
        """Why it was chosen, for people."""
        others = "".join(f"; {shape}: {cycles:.3g}" for shape, cycles in self.tile.others)
        cycles = self.cycles if math.isfinite(self.cycles) else self.tile.cycles
        return f"the view: {self.way}: {cycles:.3g} cycles an image by the model{others}"

    @property
    def way(self) -> str:
        """The tile, and how pixels are read."""
        copied = f", from a copy of each image ({self.copy.why})" if self.copy else ""
        dotted = f", {self.dot.channels} channels a product" if self.dot else ""
        return f"{self.tile.shape}{dotted}{copied}"

    @property
    def widened(self) -> bool:
        """Whether pixels are bytes that the kernels make float32, one by one."""
        return self.dot is None and self.dtype.itemsize == 1

    @property
    def kinds(self) -> tuple[Any, ...]:
        """The kinds of tiles that read pixels as this one does."""
        if self.widened:
            return (WindowShape,)  # others do not widen bytes
        return (PositionShape,) if self.dtype.kind == "f" != self.epilogue.accumulator[0] else KINDS

    @property
    def parts(self) -> Parts:
        """What a packed weight is."""
        return Parts(1, self.packed_dtype) if self.dot is None else Parts(self.dot.channels, self.dot.weights)

    @property
    def packed_group(self) -> GroupShape:
        """Groups, channels and filters as they are packed."""
        return self.tile.shape.as_packed(self.group)

    @property
    def workspace_bytes(self) -> int:
        """Bytes of the packed weights and the bias, and of the copy of an image that a thread keeps."""
        weights = self._packed_weights * self.packed_dtype.itemsize
        return weights + (self.copy.nbytes + LINE if self.copy else 0)

    @property
    def banded(self) -> BandedCopy | None:
        """The copy of a dense image that is made band by band, if there is one."""
        shape = self.tile.shape
        if self.copy is None or self.copy.origin is None or not isinstance(shape, FilterShape | PositionShape):
            return None
        if isinstance(shape, FilterShape) and shape.far(self._tiling(self.view)) is not None:
            return None  # their turns share weights among larger bands
        return BandedCopy(self.view, self.copy, self.group.groups, self.copy.origin)

    def view_for(self, strides: tuple[int, ...], out_strides: tuple[int, ...]) -> View | None:
        """Return the view of arrays of other strides, or None where the tile cannot walk them."""
        lanes = _lane_strides(strides, self.dot)
        if lanes is None:
            return None
        view, fixed = self.view, self.view.fixed
        view = view_of(self.geometry, view.size, lanes, view.out_size, out_strides, self.modes, fixed=fixed)
        return view if view.geometry == self.view.geometry and self.tile.shape.walks(view) else None

    def making_bytes(self, given: np.dtype[Any]) -> int:
        """Return at most the bytes of tables for dense arrays, of making them, and of packing weights of a dtype."""
        groups, channels, filters = self.group
        interleaved = groups * filters * (channels * self.view.geometry.taps + 1) * 4 if self.dot else 0
        made = self.table_bytes + (2 if self.dot and self.dot.zero else 1) * interleaved
        # Weights of another dtype are packed as they are first.
        each = given.itemsize * (self.dot.channels if self.dot else 1)
        as_given = given != self.packed_dtype and each < self.packed_dtype.itemsize
        return made + as_given * self._packed_weights * each

    @property
    def _packed_weights(self) -> int:
        """Weights as packed, and the bias."""
        groups, channels, filters = self.packed_group
        packed = sum(each.blocks * each.packed for each in self.tile.shape.blocks(filters))
        return groups * packed * (channels * self.view.geometry.taps + 1)

    @property
    def table_bytes(self) -> int:
        """Bytes of the tables for arrays of any strides, with what is needed to make them; at most."""
        return self.tile.shape.table_bytes(self._tiling(self.view))

    def tables(self, view: View) -> Tables:
        """Return the tables for arrays of any strides that the tile walks."""
        shape, group, tiling = self.tile.shape, self.packed_group, self._tiling(view)
        places = packed_at(view, group, shape.tap_order(view.geometry.ndim), tiling.blocks)
        outweigh = self.group.filters * view.geometry.taps > math.prod(view.geometry.spatial_shape)
        far = shape.far(tiling) if isinstance(shape, FilterShape) else None
        return Tables(tiling.blocks, shape.runs(tiling), places, group.groups, view.out_filter, outweigh, far)

    def _tiling(self, view: View) -> Tiling:
        dot, group = self.dot, self.packed_group
        kind = self.dtype.kind if self.widened else self.dtype.kind.replace("u", "i")
        blocks = self.tile.shape.blocks(group.filters)
        return Tiling(
            view=view,
            channels=group.channels,
            blocks=blocks,
            epilogue=self.epilogue,
            dtype="i4" if dot else f"{kind}{view.size}",
            offset=self.offset,
            dot=dot.name if dot else None,
            scales_at=self.packed_dtype.itemsize * group.groups * sum(each.blocks * each.packed for each in blocks),
            caches=self.target.caches,
        )


def decide(problem: Problem, target: Target) -> Decision:
    """Return the decision with the fewest cycles, of those that a problem and a CPU allow."""
    made, cycles = min(candidates(problem, target), key=lambda pair: pair[1])
    return made._replace(cycles=cycles)


def candidates(problem: Problem, target: Target, kinds: Sequence[Any] | None = None) -> list[tuple[Decision, float]]:
    """Return decisions with the cycles of their tiles and copies; `kinds` are those of tiles, all by default."""
    kinds = KINDS if kinds is None else kinds
    if not problem.fixes_sums:
        return candidates_of(problem, target, kinds)
    order = recalled((typical(problem), target, tuple(kinds)), partial(_typical_order, problem, target, kinds))
    found = candidates_of(problem, target, order.of(kinds))
    return [(made._replace(order=order), cycles) for made, cycles in found]


def _typical_order(problem: Problem, target: Target, kinds: Sequence[Any]) -> InOrder:
    """Return the order of sums of the fastest tile for a typical map."""
    found = candidates_of(typical(problem), target, InOrder().of(kinds))
    made, _ = min(found, key=lambda pair: pair[1])
    return InOrder(made.dot and made.dot.name, made.tile.shape.order(made.view, made.group, target))


def candidates_of(problem: Problem, target: Target, kinds: Sequence[Any]) -> list[tuple[Decision, float]]:
    """Return decisions with the cycles of their tiles and copies, in whatever order tiles of these kinds sum."""
    dtype = kernel_dtype(problem)
    if dtype is None or stored_as(problem, target) is None:
        raise RuntimeError("the engine was given a problem that it does not take")
    found = _read_as(problem, target, Way(dtype, None, -problem.x_zero_point), kinds)
    dot = dot_of(problem, target) if problem.x_dtype.itemsize <= 2 else None
    found += _read_as(problem, target, Way(dot.dtype, dot, dot.offset), kinds) if dot else []
    if widens(problem):
        point = -problem.x_zero_point
        found += _read_as(problem, target, Way(problem.x_dtype, None, point, widened=True), kinds)
        if problem.groups > 1 and PositionShape in kinds:
            found += _read_as(problem, target, Way(np.dtype(np.float32), None, point, planes=True), (PositionShape,))
    return found


def every_tile(ways: Sequence[tuple[Decision, float]]) -> list[tuple[Decision, float]]:
    """Return decisions for each tile of each way to read pixels, and their cycles, the fewest first."""
    found = []
    for best, cycles in ways:
        view, group, target, dot = best.view, best.group, best.target, best.dot and best.dot.name
        for kind in best.kinds if best.order is None else best.order.of(best.kinds):
            for tile in kind.candidates(view, group, target, dot):
                own = tile.cycles(view, group, target)
                found.append((best._replace(tile=BestTile(tile, own)), cycles - best.tile.cycles + own))
    return sorted(found, key=lambda pair: pair[1])


def _read_as(problem: Problem, target: Target, way: Way, kinds: Sequence[Any]) -> list[tuple[Decision, float]]:
    """Return the decisions that read pixels in one way: where they lie, or from a copy."""
    g, dot, size = problem.geometry, way.dot, way.dtype.itemsize
    order = memory_order(problem)
    absent = [i for i, axis in enumerate("NC") if axis not in problem.layout.axes]
    out_shape = (problem.batch, problem.filters, *g.output_shape)
    out_strides = problem.out_strides or without(absent, dense_strides(order, out_shape, problem.dtype.itemsize))
    channels = -(-problem.group_channels // dot.channels) if dot else problem.group_channels
    group = GroupShape(problem.groups, channels, problem.group_filters)
    epilogue = _epilogue(problem, target, dot)
    padded = way.padded(problem)

    def decision(
        copy: Copy | None, geometry: Geometry, strides: tuple[int, ...], modes: tuple[str, ...] = ()
    ) -> tuple[Decision, float] | None:
        lanes = _lane_strides(strides, dot)
        if lanes is None:
            return None
        sizes = 4 if dot else size, problem.dtype.itemsize
        view = view_of(geometry, sizes[0], lanes, sizes[1], out_strides, modes, fixed=problem.fixes_sums)
        tile = best_tile(view, group, target, dot.name if dot else None, kinds)
        if tile is None:
            return None
        kernel = way.dtype, way.packed_dtype, way.offset if way.widened else 0, dot, epilogue
        made = Decision(target, geometry, modes, group, view, tile, *kernel, copy, strides, out_strides)
        alone = dot is None and way.dtype.kind in "iu" and not way.widened
        return made, tile.cycles * (_INTEGER_PRODUCT if alone else 1.0)

    found = []
    # Bytes without a sign are as they are, also if NumPy calls them booleans.
    same = problem.x_dtype == way.dtype or (way.dtype == np.uint8 and problem.x_dtype.kind == "b")
    converted = not same or (way.offset != 0 and not way.widened)
    whole = dot is None or problem.channels % dot.channels == 0
    mapped = padded and way.maps(problem)
    x_shape = (problem.batch, problem.channels, *g.spatial_shape)
    x_strides = problem.strides or without(absent, dense_strides(order, x_shape, problem.x_dtype.itemsize))
    if not converted and whole and (mapped or not padded):
        found.append(decision(None, g, x_strides, problem.padding_modes))
    if way.widened:
        return [pair for pair in found if pair is not None]
    geometry, step = g.unpadded() if padded else g, (1,) * g.ndim
    apart = math.prod(g.kernel_size) == 1 and not g.is_padded and g.stride != step
    if apart:  # what lies between the stops is not read
        geometry, step = Geometry(g.output_shape, g.kernel_size, step, g.padding, g.dilation), g.stride
    shape = (problem.channels, *geometry.spatial_shape)
    room = shape if dot is None else (-(-shape[0] // dot.channels) * dot.channels, *shape[1:])
    moved = math.prod(shape) * size
    why = "converted" * converted or "padded" * padded or "in whole lanes" * (not whole) or "its stops alone" * apart
    own = tuple(axis - 1 for axis in order if axis)
    last = (*range(1, len(shape)), 0)
    in_place, pads, fill = any(found), g.padding if padded else (), dot.zero if dot else 0
    if way.planes and (
        apart or own == last or problem.group_channels * math.prod(shape[1:]) * size > target.caches[1] // 2
    ):
        return []
    orders = {own, last} if (apart or padded or not in_place) and dot is None else {last}
    for axes in {own} if way.planes else orders:
        turned = axes != own
        strides = pitched(axes, room, size)
        nbytes = max(s * n for s, n in zip(strides, room, strict=True))
        reason = f"{why} and channels last" if turned and why else why or "channels last"
        plain = way.planes if axes != last else not padded or bool(dot and problem.pads_zeros)
        filled = whole or bool(dot and dot.dtype.kind in "iu")  # what stands for missing channels has weights of 0
        moved_alone = plain and filled and problem.channels > 1
        moved_alone = moved_alone and (not converted or converts(problem.x_dtype, way.dtype))
        origin = x_strides if moved_alone else None
        copy = Copy(shape, strides, nbytes, way.dtype, pads, fill, way.offset, reason, step, problem.x_dtype, origin)
        candidate = decision(copy, geometry, (0, *strides))
        if candidate is not None:
            made, cycles = candidate
            found.append((made, cycles + _copied_cycles(made, moved, turned or apart, in_place)))
    return [pair for pair in found if pair is not None]


def _copied_cycles(made: Decision, nbytes: int, turned: bool, in_place: bool) -> float:
    """Return the cycles of copying so many bytes, which need not be copied if they can be read in place."""
    a_byte, a_copy = made.target.pace.turning if made.banded else TURNING
    return nbytes * (a_byte if turned else _STRAIGHT_CYCLES) + in_place * a_copy


def _epilogue(problem: Problem, target: Target, dot: Dot | None) -> Epilogue:
    sums = problem.accumulator
    requantised = problem.zero_point is not None
    return Epilogue(
        f"{sums.kind}{sums.itemsize}",
        f"{problem.dtype.kind}1" if requantised else str(stored_as(problem, target)),
        problem.has_bias or requantised or bool(dot and dot.zero),
        *activation_of(problem),
        problem.zero_point,
    )


def _lane_strides(strides: tuple[int, ...], dot: Dot | None) -> tuple[int, ...] | None:
    """Return the strides of what a lane holds, or None where neighbouring channels do not lie side by side."""
    if dot is None:
        return strides
    return (strides[0], 4, *strides[2:]) if strides[1] == dot.dtype.itemsize else None


def best_tile(view: View, group: GroupShape, target: Target, dot: str | None, kinds: Sequence[Any]) -> BestTile | None:
    """Return the tile with the fewest cycles, or None if there is none.

    Parameters
    ----------
    view : View
    group : GroupShape
    target : Target
    dot : str or None
        What a lane holds, if it is several channels; see `Numbers.dot`.
    kinds : sequence of type
        Of the tiles that are compared.
    """
    found: list[tuple[TileShape, float]] = []
    for kind in kinds if view.size > 1 else (WindowShape,):  # others do not widen bytes
        tiles = [(tile, tile.cycles(view, group, target)) for tile in kind.candidates(view, group, target, dot)]
        if tiles:
            found.append(min(tiles, key=lambda pair: pair[1]))
    if not found:
        return None
    (shape, least), *others = sorted(found, key=lambda pair: pair[1])
    return BestTile(shape, least, tuple(others))
