"""Two passes over an image, each a convolution along one axis through the view, which take turns at bands of the map.

The first pass goes down the columns, the second along the rows of what came of it. Of a kernel of rank r the first
makes r planes of sums, which are channels to the second: so it adds them up, in their order. A band of the map passes
both while the second level of cache holds what is between them.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...engine.pace import TURNING
from ...memory import recalled
from ...spec.geometry import Geometry
from ...spec.strides import row_major
from ..implicit.decide import candidates, candidates_of
from ..implicit.orders import InOrder, typical
from ..implicit.tiles.channel_lanes import ChannelShape
from ..implicit.tiles.positions import PositionShape
from ..implicit.view import LINE
from .factors import most_worthwhile

if TYPE_CHECKING:
    from ...engine.target import Target
    from ...spec.problem import Problem
    from ..implicit.decide import Decision
    from ..implicit.tables import Tables
    from ..implicit.view import View

    Strides = tuple[int, ...]
    Range = tuple[int, int]

_KEPT = 1 / 4
"""Of the second level of cache: what is between the passes, beside which there is room for pixels and results."""
_SEEN = 1 / 2
"""Of the second level of cache: the rows of the image that a tile's windows see."""
_ROWS = 8, 64
"""Of a band, at least and at most: as many as any tile has."""
_KINDS = (PositionShape, ChannelShape)
"""Of tiles: those that walk a map row by row."""
_MARGIN = 1.1
"""Times the model's cycles: what rounds otherwise is to be faster beyond the model's doubt."""
_FEWEST_POSITIONS = 1 << 12
"""Of a plan: smaller maps take no longer than a few calls."""
_MOST_POSITIONS = 1 << 34
"""Of a map: strips of those that no machine holds, which are millions, take longer to list than an error may."""
_FEWEST_PRODUCTS = 1 << 23
"""Of a filter that is used once: with fewer, factors take longer to find than they save."""


class Between(NamedTuple):
    """What is between the passes: some rows of planes, each with all columns of the image.

    Parameters
    ----------
    planes : int
        Of all groups.
    together : int
        Of how many there are rows at a time.
    rows : int
        Of each plane, at most.
    strides : tuple of int
        Bytes: (0, from plane to plane, from row to row, from column to column).
    nbytes : int
        Of all that is there at a time.
    """

    planes: int
    together: int
    rows: int
    strides: Strides
    nbytes: int


def between(
    problem: Problem, target: Target, columns: int, planes: int, together: int, *, side_by_side: bool
) -> Between:
    """Return as many rows, of so many columns, as a part of the second level of cache holds.

    Rows lie an odd number of lines apart, so that those that are read together lie in different sets of the first
    level. `side_by_side` says whether numbers of all planes are neighbours, and not those of a row.
    """
    (height, _), columns, size = (
        problem.geometry.output_shape,
        problem.geometry.spatial_shape[1],
        problem.dtype.itemsize,
    )
    line = columns * size * (planes if side_by_side else 1)
    pitch = (line // LINE + 1 | 1) * LINE  # never the line alone: a view's rows would be one
    apart = 1 if side_by_side else together
    least, most = _ROWS
    rows = max(least, min(int(_KEPT * target.caches[1]) // (pitch * apart), most, height))
    strides = (0, size, pitch, planes * size) if side_by_side else (0, rows * pitch, pitch, size)
    return Between(planes, planes if side_by_side else together, rows, strides, rows * pitch * apart)


class Strip(NamedTuple):
    """Some neighbouring columns of the map.

    Parameters
    ----------
    column, pixel : int
        The first of the map, and the first of the image that a window sees.
    down, across : Decision
        The view of the first pass, and that of the second for a band of the map.
    """

    column: int
    pixel: int
    down: Decision
    across: Decision


class Passes(NamedTuple):
    """What is decided about a problem before any table is made.

    Parameters
    ----------
    problem : Problem
        Of one image: of its copy, with the padding in it, if `copied`.
    between : Between
    strips : tuple of Strip
    cycles : float
        By the model.
    copied : bool
        Whether a padded copy of each image is read, channels first.
    """

    problem: Problem
    between: Between
    strips: tuple[Strip, ...]
    cycles: float
    copied: bool = False

    @property
    def reason(self) -> str:
        """Why it was chosen, for people."""
        p, rank = self.problem, self.problem.kernel_rank
        kh, kw = p.geometry.kernel_size
        pairs = "a column and a row" if rank == 1 else f"{rank} columns and rows"
        fewer = kh * kw / ((rank or 1) * (kh + kw))
        copied = ", from a copy of each image" * self.copied
        strips = f" of {len(self.strips)} strips" * (len(self.strips) > 1)
        return (
            f"kernels of rank {rank}: passes of {pairs}, {self.between.rows} rows a band{strips}: {fewer:.2g} times "
            f"fewer products, {self.cycles:.3g} cycles by the model{copied}"
        )


def obstacle(problem: Problem) -> str | None:
    """Return why filters of a problem do not run as two passes, whatever their values are, or None."""
    p, g = problem, problem.geometry
    if 0 in (p.batch, p.filters, p.channels, *g.spatial_shape):
        return "there is nothing to multiply"
    if not p.x_dtype == p.w_dtype == p.dtype == p.accumulator or p.dtype not in (np.float32, np.float64):
        return "passes sum float32 or float64 alone, as image, weights and result"
    if g.ndim != 2 or 1 in g.kernel_size:
        return f"two passes are for kernels of two axes of several taps each, not of {g.kernel_size}"
    if 1 not in (p.group_channels, p.group_filters):
        return "filters that share several channels share no passes"
    if p.fixes_sums:
        return "some of the groups may be a chunk, of another rank than all" if p.groups > 1 else None
    if g.positions > _MOST_POSITIONS:
        return "the strips of a map so large are not listed"
    return None


def worth_a_look(problem: Problem) -> bool:
    """Whether filters' values may make a layer faster by more than it takes to look at them."""
    g = problem.geometry
    if obstacle(problem) is not None or most_worthwhile(*g.kernel_size) == 0:
        return False
    if problem.fixes_sums:
        return True  # of any size, as of all
    if problem.prepared:
        return g.positions >= _FEWEST_POSITIONS
    return g.positions * problem.group_taps >= _FEWEST_PRODUCTS


def decide(problem: Problem, target: Target) -> Passes | None:
    """Return the passes of a problem whose rank is known, of one image; None where no tile walks it.

    Padding is left to the passes, each of which skips or maps that of its axis. Where they cannot, as where a constant
    other than 0 pads, or where pixels of a row do not lie side by side, they read a copy.
    """
    one = dataclasses.replace(problem, batch=1)
    g, size = one.geometry, one.dtype.itemsize
    if not (one.fixes_sums and g.is_padded) and (one.pads_zeros or one.padding_mode != "constant"):
        in_place = _passes(one, target)
        if in_place is not None:
            return in_place
    shape = 1, one.channels, *g.padded_shape
    planar, out_strides = row_major(shape, size), out_strides_of(one)
    found = _passes(dataclasses.replace(one, geometry=g.unpadded(), strides=planar, out_strides=out_strides), target)
    return found and found._replace(copied=True, cycles=found.cycles + math.prod(shape) * size * TURNING[0])


def worth_in_chunks(problem: Problem, target: Target) -> bool:
    """Whether passes over a typical map have fewer cycles than the view: what sums may not follow a chunk's size."""
    typically = typical(problem)
    return recalled(("passes in chunks", typically, target), partial(_worth, typically, target))


def _worth(problem: Problem, target: Target) -> bool:
    passes = decide(problem, target)
    return passes is not None and passes.cycles < min(cycles for _, cycles in candidates(problem, target))


def out_strides_of(problem: Problem) -> Strides:
    """Return the strides of the result, (N, filters, *output), of a dense array or a part of one."""
    p, size = problem, problem.dtype.itemsize
    return p.out_strides or p.layout.strides(p.batch, p.filters, p.geometry.output_shape, size)


def strides_of(problem: Problem) -> Strides:
    """Return those of the image, (N, C, *spatial)."""
    p, size = problem, problem.dtype.itemsize
    return p.strides or p.layout.strides(p.batch, p.channels, p.geometry.spatial_shape, size)


def _passes(one: Problem, target: Target) -> Passes | None:
    """Return the passes over an image that is read where it lies, if tiles walk it."""
    rank = one.kernel_rank or 1
    together = one.group_filters * one.group_channels * rank
    planes, side_by_side = one.groups * together, strides_of(one)[-1] != one.dtype.itemsize
    cuts = _cuts(one, target)
    width = max(stop - first for _, (first, stop), _ in cuts)
    room = between(one, target, width, planes, together, side_by_side=side_by_side)
    made: dict[tuple[int, Range], tuple[Decision, Decision, float] | None] = {}
    strips, cycles = [], 0.0
    for column, (first, stop), pads in cuts:
        alike = stop - first, pads
        if alike not in made:
            made[alike] = _decisions(one, target, room, *alike)
        found = made[alike]
        if found is None:
            return None
        strips.append(Strip(column, first, *found[:2]))
        cycles += found[2]
    return Passes(one, room, tuple(strips), cycles * _MARGIN)


def _cuts(one: Problem, target: Target) -> list[tuple[int, Range, Range]]:
    """Return the first column of each strip, the pixels of a row that are seen from there, and the padding beside them.

    Strips are so narrow that the second level of cache holds the rows under a window, but wider than windows are; and
    the border of a strip is made of its own pixels.
    """
    g, (size, step) = one.geometry, (one.dtype.itemsize, one.geometry.stride[1])
    (n, (before, after)), columns, span = (g.spatial_shape[1], g.padding[1]), g.output_shape[1], g.span
    pixel = max(size, strides_of(one)[-1])
    most = max(int(target.caches[1] * _SEEN) // (pixel * step * (span[0] + _ROWS[0])), 4 * span[1])
    count = -(-columns // most)
    whole = [(0, (0, n), (before, after))]
    if count == 1 or g.positions > _MOST_POSITIONS or (one.padding_modes[1] == "wrap" and (before or after)):
        return whole
    edges = [columns * i // count for i in range(count + 1)]
    found = []
    for first, stop in itertools.pairwise(edges):
        low, high = first * step - before, (stop - 1) * step - before + span[1]
        found.append((first, (max(0, low), min(n, high)), (max(0, -low), max(0, high - n))))
    return whole if any(max(pads) >= stop - first for _, (first, stop), pads in found) else found


def _decisions(
    one: Problem, target: Target, room: Between, width: int, pads: Range
) -> tuple[Decision, Decision, float] | None:
    """Return what is decided about the passes over so many pixels of each row, and the cycles of both.

    All tiles that are taken sum alike, plane by plane, tap by tap; but some have no like among those of smaller maps.
    """
    g = one.geometry
    (kh, kw), (sh, sw), (dh, dw) = g.kernel_size, g.stride, g.dilation
    bare = dataclasses.replace(one, kernel_rank=None)
    down = dataclasses.replace(
        bare,
        geometry=Geometry((g.spatial_shape[0], width), (kh, 1), (sh, 1), (g.padding[0], (0, 0)), (dh, 1)),
        filters=room.planes,
        groups=one.channels,
        has_bias=False,
        activation=None,
        strides=strides_of(one),
        out_strides=room.strides,
    )
    across = dataclasses.replace(
        bare,
        geometry=Geometry((room.rows, width), (1, kw), (1, sw), ((0, 0), pads), (1, dw)),
        channels=room.planes,
        groups=one.filters,
        strides=room.strides,
        out_strides=out_strides_of(one),
    )
    found, kinds = [], InOrder().of(_KINDS) if one.fixes_sums else _KINDS
    for each in (down, across):
        in_place = [pair for pair in candidates_of(each, target, kinds) if pair[0].copy is None]
        if not in_place:
            return None
        found.append(min(in_place, key=lambda pair: pair[1]))
    (first, cycles), (second, of_band) = found
    return first, second, cycles + of_band * g.output_shape[0] / room.rows


class Band(NamedTuple):
    """Rows of the map that both passes compute before any others.

    Parameters
    ----------
    runs : tuple of (int, int)
        Of each run of the first pass: rows of its table.
    first, stop : int
        Rows that the first pass computes.
    new : int
        The first one that no earlier band has: the last tile reaches up rather than beyond the map.
    """

    runs: tuple[Range, ...]
    first: int
    new: int
    stop: int


def bands(strip: Strip, most: int, tables: Tables, view: View) -> list[Band]:
    """Cut a strip into bands of at most so many rows; `tables` are those of the first pass."""
    shape = strip.down.tile.shape
    rows = shape.rows if isinstance(shape, PositionShape) else 1
    places = [starts // view.out_position[0] for starts, _ in tables.starts]
    tops = np.unique(np.concatenate(places))
    found, new = [], 0
    for some in np.array_split(tops, -(-len(tops) // (most // rows))):
        first, last = int(some[0]), int(some[-1])
        runs = tuple((int(a), int(b)) for a, b in (np.searchsorted(place, (first, last + 1)) for place in places))
        found.append(Band(runs, first, new, last + rows))
        new = last + rows
    return found


def rows_between(tables: Tables, view: View, first: int, stop: int) -> tuple[Range, ...]:
    """Return the rows of each run's table that compute some rows of a map."""
    edges = (np.searchsorted(starts // view.out_position[0], (first, stop)) for starts, _ in tables.starts)
    return tuple((int(a), int(b)) for a, b in edges)
