"""Which tiles walk rows of the map: those that fit the registers, how they cut a row, and what they cost."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

from ..implicit.packing import split_evenly
from ..implicit.tiles import cycles as model
from ..implicit.tiles.gradient_rows import Segment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...engine.target import Target
    from ...spec.geometry import Geometry
    from ..implicit.view import GroupShape, View

MOST_TERMS = 4096
"""Of a sum, before it is added to others."""
_MOST_FILTERS, _MOST_PIECES = 8, 3
"""F, and the pieces of a row of the window, at most."""
_MOST_STRIDE = 4
"""Pixels from lane to lane, at most: that many vectors are loaded for one."""
_MOST_EDGES = 32
"""Steps along a row, at most, at which not all taps of a tile meet the image."""
_MOST_LINES = 3000
"""Of the kernels' IR, by a rough count."""
_NEAR = 0.75
"""Of a cache, that is filled with rows."""
_LATENCY = 4
"""Cycles before a sum can be added to again."""
_STREAM = 20.0
"""Bytes a cycle of what is read once, from far caches; what is read again comes from nearer ones, thrice as fast."""
_ROW_CYCLES = 6
"""Of a row's own: its addresses, and the ends of the loops over its steps."""


class RowShape(NamedTuple):
    """A tile: VL, what its lanes are, F, NV, and the most taps."""

    lanes: int
    summed: bool
    filters: int
    vectors: int
    taps: int

    def __str__(self) -> str:
        if self.summed:
            return f"positions along the lanes, {self.filters} filters × {self.vectors} channels × {self.taps} taps"
        return f"channels along the lanes, {self.filters} filters × {self.taps} taps × {self.vectors} × {self.lanes}"


def candidates(
    view: View, group: GroupShape, batch: int, paired: bool, target: Target
) -> Iterator[tuple[float, RowShape]]:
    """Yield tiles that fit the registers, with the cycles of all groups."""
    g, size, columns = view.geometry, view.size, view.geometry.kernel_size[-1]
    for lanes, summed in itertools.product(model.lane_counts(target.vector_bytes // size), (True, False)):
        if summed and not (view.pixel[-1] == view.out_position[-1] == size and g.stride[-1] <= _MOST_STRIDE):
            continue
        if not summed and not (view.channel == size and (not paired or view.out_filter == size)):
            continue
        if lanes < target.vector_bytes // size <= (g.output_shape[-1] if summed else group.channels) // 2:
            continue  # half vectors are for what does not fill whole ones
        most = group.channels if summed else -(-group.channels // lanes)
        for filters, taps in itertools.product(_filter_sizes(group.filters), _sizes(columns, columns)):
            free = model.registers(target) - (1 if paired else filters) - _spare(g, summed, filters, target)
            for vectors in _sizes(most, free // (filters * taps)):
                shape = RowShape(lanes, summed, filters, vectors, taps)
                found = cycles(view, group, shape, batch, paired, target)
                if found is not None:
                    yield found, shape


def _spare(g: Geometry, summed: bool, filters: int, target: Target) -> int:
    """Return the registers that neither sums nor the gradient may fill, or LLVM moves sums to the stack.

    Pixels have one if several filters share them or some of their lanes are not read, and so has the mask of those
    where masks are vectors; what picks strided ones out of a vector has another. A product that is not added at once
    has two.
    """
    masked = 1 if target.vector_bytes >= 64 else 2
    return (masked + (g.stride[-1] > 1) if summed else filters > 1) + (0 if target.has_fma else 2)


def _filter_sizes(filters: int) -> list[int]:
    """Return the sizes of blocks into which filters are cut evenly."""
    return sorted({split_evenly(filters, most)[0][0] for most in range(1, _MOST_FILTERS + 1)})


def _sizes(n: int, most: int) -> list[int]:
    """Return into pieces of which sizes n is cut evenly: a few, the largest first, none above `most`."""
    if most < 1:
        return []
    least = -(-n // most)
    return sorted({-(-n // pieces) for pieces in range(least, min(n, least + _MOST_PIECES - 1) + 1)}, reverse=True)


def bands(view: View, group: GroupShape, shape: RowShape, images: int, target: Target) -> int:
    """Return into how many bands the rows of some images are cut: a near cache holds one while all pass over it.

    No sum goes on for too long before it is added to others, either.
    """
    g = view.geometry
    rows, positions = images * math.prod(g.output_shape[:-1]), g.output_shape[-1]
    most = MOST_TERMS * (shape.lanes if shape.summed else 1) // positions
    if math.prod(g.kernel_size[:-1]) > 1 or shape.filters < group.filters:
        row, beside = _row_bytes(view, shape), _rows_beside(g)
        near = next((cache for cache in target.caches[:2] if 2 * beside + 1 <= cache * _NEAR // row), target.caches[1])
        most = min(most, int(near * _NEAR) // row - beside)
    return -(-rows // max(1, most))


def _row_bytes(view: View, shape: RowShape) -> int:
    """Return the bytes that a tile reads for a row of the map."""
    g = view.geometry
    pixels = math.prod(g.stride[-2:]) * shape.vectors * (1 if shape.summed else shape.lanes)
    return g.output_shape[-1] * (pixels + shape.filters) * view.size


def _rows_beside(g: Geometry) -> int:
    """Return how many rows of the map a window reaches beside its own."""
    return 0 if g.ndim == 1 else (g.span[-2] - 1) // g.stride[-2]


def cycles(view: View, group: GroupShape, shape: RowShape, batch: int, paired: bool, target: Target) -> float | None:
    """Return the cycles of a tile, or None where its kernels would be too long."""
    g = view.geometry
    nbytes = shape.lanes * view.size
    per = target.vector_cycles(nbytes)
    # Positions lie anywhere, so that a vector of them may reach into the next line.
    load = per * (1 + nbytes / model.LINE) * g.stride[-1] + (per if g.stride[-1] > 1 else 0) if shape.summed else per
    seen = 1
    for axis in range(g.ndim - 1):
        seen *= sum(stop - first for first, stop in g.positions_inside(axis))
    visits, lines = batch * seen, math.prod(g.kernel_size[:-1])
    size, count_of_bands = view.size, bands(view, group, shape, batch, target)
    lanes, total, length = 1 if shape.summed else shape.lanes, 0.0, 0
    filters = [(1, 1)] if paired else split_evenly(group.filters, shape.filters)
    channels = split_evenly(-(-group.channels // lanes), shape.vectors)
    for first, count in pieces(g.kernel_size[-1], shape.taps):
        cut = segments(g, shape, first, count)
        if len(cut) > _MOST_EDGES:
            return None
        for (f, blocks), (vectors, tiles) in itertools.product(filters, channels):
            row = float(_ROW_CYCLES)
            for steps, segment in cut:
                pixels = vectors * sum(map(bool, segment.seen))
                step = max(pixels * f * per, pixels * load + (vectors if paired else f) * per, _LATENCY)
                row += steps * (step + model.TAP_CYCLES)
                length += pixels * (f + 3)
            sums = f * vectors * count
            end = model.TILE_CYCLES + sums * 2 * (1 if shape.summed else per)
            length += sums * 9
            total += blocks * tiles * (visits * row + count_of_bands * lines * end)
        # What the first pass reads from far caches, and the others where the nearest one does not hold it.
        pixels = batch * group.channels * math.prod(g.spatial_shape) * size
        total += pixels / _STREAM
        apart = not (shape.summed or paired)
        wide, wide_grad = _line_shares(view, group, shape) if apart else (1.0, 1.0)
        again = model.LINE / model.NEAR_LINE if apart else 3 * _STREAM
        room = model.LINE * model.kept_lines(view.pixel[-1], target) if apart else target.caches[0]
        if _row_bytes(view, shape) * wide * (_rows_beside(g) + 1) > room * _NEAR:
            total += wide * pixels * (lines * -(-group.filters // shape.filters) - 1) / again
        tiles = 1 if paired else sum(count for _, count in channels)
        grads = batch * tiles * (group.channels if paired else group.filters) * g.positions * size
        total += wide_grad * grads / (3 * _STREAM)
    return None if length > _MOST_LINES else group.groups * total


def _line_shares(view: View, group: GroupShape, shape: RowShape) -> tuple[float, float]:
    """Return how many times their own bytes tiles of channels read in whole lines, of pixels and of the gradient."""
    own = (shape.vectors * shape.lanes, group.channels), (shape.filters, group.filters)
    pixels, grads = (max(1.0, min(model.LINE // view.size, all_of_them) / some) for some, all_of_them in own)
    return pixels, grads


def pieces(columns: int, most: int) -> list[tuple[int, int]]:
    """Cut the columns of the window into runs of at most `most`: the first of each, and how many."""
    sizes = [size for size, count in split_evenly(columns, most) for _ in range(count)]
    return list(zip(itertools.accumulate([0, *sizes[:-1]]), sizes, strict=True))


def segments(g: Geometry, shape: RowShape, first: int, count: int) -> list[tuple[int, Segment]]:
    """Cut a row of the map into segments, for taps `first` to `first + count` of a row of the window.

    Returns
    -------
    list of (int, Segment)
        Each with its steps; one more than `_MOST_EDGES` where there would be too many.
    """
    n, out, s, before = g.spatial_shape[-1], g.output_shape[-1], g.stride[-1], g.padding[-1][0]
    shifts = [(first + i) * g.dilation[-1] - before for i in range(count)]
    step, elements = (shape.lanes, shape.lanes * s) if shape.summed else (1, 1)
    steps, whole = -(-out // step), (1 << elements) - 1
    # Steps low to high read whole vectors for each tap.
    low = max(0, -(shifts[0] // (step * s)))
    high = max(low, min(out // step, (n - elements - shifts[-1]) // (step * s) + 1))
    if low >= high:
        low = high = steps
    if low + steps - high > _MOST_EDGES:
        return [(1, Segment(True, (), 0))] * (_MOST_EDGES + 1)
    found: list[tuple[int, Segment]] = []
    inside = [(high - low, Segment(False, (whole,) * count, step))] if high > low else []
    for i in (*range(low), None, *range(high, steps)):
        if i is None:
            found += inside
            continue
        positions = min(step, out - i * step)
        masks = []
        for shift in shifts:
            start = i * step * s + shift
            if positions == step and start >= 0 and start + elements <= n:
                masks.append(whole)
            else:
                lanes = (lane for lane in range(positions) if 0 <= start + lane * s < n)
                masks.append(sum(1 << lane * s for lane in lanes))
        segment = Segment(False, tuple(masks), positions)
        if found and found[-1][1] == segment:
            found[-1] = found[-1][0] + 1, segment
        else:
            found.append((1, segment))
    return [(n, segment._replace(single=n == 1)) for n, segment in found]
