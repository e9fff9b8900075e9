"""The way back: patches summed into the image that they came from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..engine import scatter
from ..engine.boxes import box_steps, boxes
from ..engine.scatter_plan import Walk
from ..engine.threads import run_parallel
from ..memory import lazy, memoized
from ..spec.arrays import is_registered
from ..spec.geometry import Geometry
from ..spec.padded import fold_padding, modes_along, pad_image
from .arithmetic import accumulator, divide, parts_of, weighed
from .overlap import axis_counts, counting_bytes, outer
from .regions import regions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..engine.scatter import Axis
    from ..spec.geometry import Pairs
    from ..spec.padded import Mode

Reduction = Literal["sum", "mean"]

_BOX_PIXELS = 32 << 10
"""Of an image that is not simply summed: what is made of a box on the way stays in the second level of cache."""
_FOLDED_PIXELS = 1 << 20
"""Of padded planes that are folded back together: each of them must be there as a whole."""
_BOX_ENTRIES = 128 << 10
"""Of the matrix, where a box's entries are converted or weighed first."""


@dataclass(frozen=True)
class Fold:
    """A fold, decided before any array is seen.

    The image is made box by box, so that nothing on the way is as large as the image: the sums in a wider dtype, the
    counts that a mean divides by, entries times their weights. Only what is folded back from padding needs room for a
    whole padded plane.

    Parameters
    ----------
    planes : (int, int)
        Images, and channels of each.
    geometry : Geometry
    dtype : dtype
        Of the columns.
    result : dtype
        Of the image.
    mode : str or tuple of str
        The padding mode.
    reduce : {"sum", "mean"}
    weighted : int
        How many channels have weights of their own: 0 where there are no weights, 1 where all share them.
    """

    planes: tuple[int, int]
    geometry: Geometry
    dtype: np.dtype[Any]
    result: np.dtype[Any]
    mode: Mode
    reduce: Reduction
    weighted: int = 0

    def run(self, out: NDArray[Any], columns: NDArray[Any], threads: int, weights: NDArray[Any] | None = None) -> None:
        """Overwrite `out` with the sum or the mean of each pixel's copies.

        Parameters
        ----------
        out : ndarray, (N, C, *spatial)
            Of the dtype `result`; any strides.
        columns : ndarray, (N, C, *kernel, *output)
            Any strides.
        threads : int
        weights : ndarray, (1 or C, *kernel), optional
            Of each tap, in the accumulator's real dtype.
        """
        if self.is_plain:
            _sum(out, columns, self.axes, threads)
            return
        counts = axis_counts(self.geometry, self.mode) if self.reduce == "mean" and weights is None else []
        job = _Job(self, out, columns, weights, counts)
        every = list(boxes(out.shape, self._sides))
        alone = threads if len(every) == 1 else 1
        run_parallel([partial(job.fold, box, alone) for box in every], threads)

    def workspace_bytes(self, threads: int) -> int:
        """Return the bytes that `run` allocates beyond its result, but for what the engine needs for any sum."""
        each, count, shared = self._workspace
        return shared + each * min(threads, count)

    @lazy
    def _workspace(self) -> tuple[int, int, int]:
        """Return the bytes that a box takes, how many boxes there are, and the bytes that all of them share."""
        if self.is_plain:
            return 0, 0, 0
        side_planes, side = math.prod(self._sides[:2]), math.prod(self._sides[2:])
        whole = math.prod(self._inside) if self._is_folded else side
        size = self.accumulator.itemsize
        if self._is_wide_mean:
            # Quotients and remainders, those of one tap, and the divisors.
            each = (4 * side_planes + 1) * whole * size
        else:
            own = self._is_folded or self.result != self.accumulator
            each = side_planes * whole * size * own + self._entries * size * self._converts
            if self.reduce == "mean":
                channels = self._sides[1] if self.weighted > 1 else 1
                real = size // 2 if self.accumulator.kind == "c" else size  # of the counts as divisors
                each += (2 * whole * size * channels + side) if self.weighted else (8 + real) * side
        counts = self.reduce == "mean" and not self.weighted
        shared = counting_bytes(self.geometry) + 8 * sum(self._inside) if counts else 0
        return each, math.prod(-(-n // step) for n, step in zip(self._shape, self._sides, strict=True)), shared

    @lazy
    def is_one_box(self) -> bool:
        """Whether the image is floats that are summed as a whole, perhaps with weights, or divided by their counts."""
        simple = self.result == self.accumulator == self.dtype and self.dtype.kind in "fc" and not self._is_folded
        return (
            simple
            and self.tasks == 1
            and not (self.weighted and self.reduce == "mean")
            and not is_registered(self.dtype)
        )

    def divisor(self) -> NDArray[Any]:
        """Return what sums are divided by for their mean, over the spatial axes."""
        counts = axis_counts(self.geometry, self.mode)
        return outer([np.maximum(each, 1) for each in counts]).astype(self.real)

    @property
    def tasks(self) -> int:
        """How many pieces of work there are for threads, beside the parts of a sum."""
        return 1 if self.is_plain else self._workspace[1]

    @lazy
    def accumulator(self) -> np.dtype[Any]:
        """Return the dtype of sums."""
        return accumulator(self.dtype)

    @lazy
    def real(self) -> np.dtype[Any]:
        """Return the dtype of weights."""
        return np.empty(0, self.accumulator).real.dtype

    @property
    def weights_shape(self) -> tuple[int, ...]:
        """Of the weights, (1 or C, *kernel)."""
        return (self.weighted, *self.geometry.kernel_size)

    @lazy
    def _is_folded(self) -> bool:
        """Whether entries in the padding belong to pixels."""
        return self.mode != "constant" and self.geometry.is_padded

    @lazy
    def _is_wide_mean(self) -> bool:
        """Whether sums could overflow before they are divided."""
        return self.reduce == "mean" and not self.weighted and self.dtype.kind in "iu" and self.dtype.itemsize == 8

    @lazy
    def _converts(self) -> bool:
        """Whether entries are made anew before they are summed."""
        return self.weighted > 0 or self.dtype == np.float16 or is_registered(self.dtype)

    @lazy
    def is_plain(self) -> bool:
        """Whether the image is nothing but the sums."""
        return self.reduce == "sum" and self.result == self.accumulator and not (self._is_folded or self._converts)

    @lazy
    def _inside(self) -> tuple[int, ...]:
        """Return the spatial axes of what is summed: with their padding where that is folded back."""
        return self.geometry.padded_shape if self._is_folded else self.geometry.spatial_shape

    @lazy
    def axes(self) -> tuple[Axis, ...]:
        """Where the windows lie on what is summed."""
        g = self.geometry
        befores = [0 if self._is_folded else before for before, _ in g.padding]
        return tuple(map(scatter.Axis, g.stride, g.dilation, befores))

    @lazy
    def _shape(self) -> tuple[int, ...]:
        return (*self.planes, *self.geometry.spatial_shape)

    @lazy
    def _sides(self) -> tuple[int, ...]:
        """Return the sides of a box of pixels: a task."""
        pixels = _FOLDED_PIXELS if self._is_folded else _BOX_PIXELS
        if self._converts:
            pixels = min(pixels, self._converted_pixels)
        if self._is_folded:
            planes = box_steps(self.planes, pixels // max(1, math.prod(self._inside)) or 1)
            return (*planes, *self.geometry.spatial_shape)
        return self._reaching(box_steps(self._shape, pixels))

    @lazy
    def _converted_sides(self) -> tuple[int, ...]:
        """Return the sides of a box of what is summed whose entries are made anew at once, over the spatial axes."""
        if not self._is_folded:
            return self._sides[2:]
        return self._reaching(box_steps(self._inside, self._converted_pixels))

    @lazy
    def _converted_pixels(self) -> int:
        return max(1, _BOX_ENTRIES * math.prod(self.geometry.stride) // self.geometry.taps)

    def _reaching(self, sides: tuple[int, ...]) -> tuple[int, ...]:
        """Return sides as long as the windows: of a smaller box, most entries would be made for others, too."""
        if not self._converts:
            return sides
        k = self.geometry.ndim
        longest = map(min, self._inside, self.geometry.span)
        return (*sides[:-k], *map(max, sides[-k:], longest))

    @lazy
    def _entries(self) -> int:
        """Entries of the matrix that are made anew at once, at most."""
        g = self.geometry
        axes = zip(g.output_shape, self._converted_sides, g.span, g.stride, strict=True)
        met = (min(n, -(-(side + span - 1) // stride)) for n, side, span, stride in axes)
        return math.prod(self._sides[:2]) * g.taps * math.prod(met)


@memoized
def resolve_fold(
    planes: tuple[int, int],
    windows: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], Pairs, tuple[int, ...]],
    dtype: np.dtype[Any],
    result: np.dtype[Any],
    mode: Mode,
    reduce: Reduction,
    weighted: int,
) -> Fold:
    """Return a fold from plain values, by which it is remembered.

    Parameters
    ----------
    windows : tuple
        What a `Geometry` is made of.
    planes, dtype, result, mode, reduce, weighted
        Of the fold.
    """
    return Fold(planes, Geometry(*windows), dtype, result, mode, reduce, weighted)


@dataclass(frozen=True)
class _Job:
    """A fold with its arrays; every box is a task of its own."""

    plan: Fold
    out: NDArray[Any]
    columns: NDArray[Any]
    weights: NDArray[Any] | None
    counts: list[NDArray[np.int64]]

    @np.errstate(all="ignore")
    def fold(self, box: tuple[slice, ...], threads: int) -> None:
        """Make one box of the image; infinities and overflows are the caller's own."""
        plan, target = self.plan, self.out[box]
        lead, place = box[:2], box[2:]
        whole = tuple(slice(0, n) for n in plan._inside) if plan._is_folded else place
        entries, axes = self._entries(lead, whole)
        shape = (*target.shape[:2], *(part.stop - part.start for part in whole))
        if plan._is_wide_mean:
            np.copyto(target, self._mean_without_overflow(shape, entries, axes, place))
            return
        own = plan._is_folded or target.dtype != plan.accumulator
        total = np.empty(shape, plan.accumulator) if own else target
        if plan._converts:
            self._sum_converted(total, lead, whole)
        else:
            _sum(total, entries, axes, threads)
        total = self._folded_back(total)
        if plan.reduce == "mean":
            self._divide(total, entries, axes, lead, place)
        if total is not target:
            np.copyto(target, total, casting="unsafe")

    def _sum_converted(self, total: NDArray[Any], lead: tuple[slice, ...], whole: tuple[slice, ...]) -> None:
        """Sum entries that are made anew, weighed or in a wider dtype: those of one box after another."""
        plan = self.plan
        lengths = tuple(part.stop - part.start for part in whole)
        for box in boxes(lengths, plan._converted_sides):
            place = tuple(slice(w.start + p.start, w.start + p.stop) for w, p in zip(whole, box, strict=True))
            entries, axes = self._entries(lead, place)
            _sum(total[(slice(None), slice(None), *box)], self._converted(entries, lead), axes, 1)

    def _converted(self, entries: NDArray[Any], lead: tuple[slice, ...]) -> NDArray[Any]:
        """Return entries in the dtype of sums, times their weights."""
        if self.weights is None:
            return entries.astype(self.plan.accumulator)
        return weighed(entries, self._weights_of(self.weights, lead), self.plan.accumulator)

    def _weights_of(self, weights: NDArray[Any], lead: tuple[slice, ...]) -> NDArray[Any]:
        """Return the weights of some channels, (1 or channels, *kernel)."""
        return weights[lead[1]] if self.plan.weighted > 1 else weights

    def _entries(self, lead: tuple[slice, ...], place: tuple[slice, ...]) -> tuple[NDArray[Any], Sequence[Axis]]:
        """Return the part of the matrix that lies on a box, and where its windows lie there."""
        if tuple(part.stop - part.start for part in place) == self.plan._inside:
            return self.columns[lead], self.plan.axes
        g, axes, met = self.plan.geometry, [], []
        sizes = zip(self.plan._inside, g.kernel_size, g.output_shape, self.plan.axes, place, strict=True)
        for n, taps, stops, axis, pixels in sizes:
            part = Walk(n, taps, stops, *axis, 0, 0, 0).part(pixels.start, pixels.stop)  # wherever it lies in memory
            positions = part.positions_met()
            met.append(slice(positions.start, positions.stop))
            axes.append(axis._replace(before=part.over(positions, 0, 0).before))
        every_tap = (slice(None),) * len(axes)
        return self.columns[(*lead, *every_tap, *met)], axes

    def _folded_back(self, total: NDArray[Any]) -> NDArray[Any]:
        """Return sums over the padded image as sums over the image."""
        plan = self.plan
        return fold_padding(total, 2, plan.geometry, plan.mode) if plan._is_folded else total

    def _divide(
        self,
        total: NDArray[Any],
        entries: NDArray[Any],
        axes: Sequence[Axis],
        lead: tuple[slice, ...],
        place: tuple[slice, ...],
    ) -> None:
        """Divide sums by their counts, or by the sums of their weights."""
        plan = self.plan
        if self.weights is None:
            count = outer([np.maximum(each[part], 1) for each, part in zip(self.counts, place, strict=True)])
            if plan.accumulator.kind in "iu":
                np.floor_divide(total, count.astype(total.dtype, copy=False), out=total)
                return
            # A real divisor of the accumulator's own precision: no wider temporary, and complex stays complex.
            divide(total, count.astype(total.real.dtype))
            return
        weights = self._weights_of(self.weights, lead)
        every = np.broadcast_to(weights[(None, ..., *[np.newaxis] * len(axes))], (1, len(weights), *entries.shape[2:]))
        sizes = [part.stop - part.start for part in place] if not plan._is_folded else plan._inside
        divisor = np.empty((1, len(weights), *sizes), weights.dtype)
        _sum(divisor, every, axes, 1)
        divisor = self._folded_back(divisor)
        covered = divisor != 0
        if plan.accumulator.kind in "iu":
            np.floor_divide(total, divisor, out=total, where=covered)
        else:
            for part in parts_of(total):
                np.divide(part, divisor, out=part, where=covered)
        np.copyto(total, 0, where=~covered)

    def _mean_without_overflow(
        self, shape: tuple[int, ...], entries: NDArray[Any], axes: Sequence[Axis], place: tuple[slice, ...]
    ) -> NDArray[Any]:
        """Return means of 64-bit integers, whose sums could overflow: quotients and remainders are summed apart.

        With n copies v of a pixel, ``sum(v) // n == sum(v // n) + sum(v % n) // n`` exactly, and neither sum overflows.
        """
        g, dtype = self.plan.geometry, self.plan.accumulator
        parts = zip(self.counts, place, strict=True)
        along = [np.maximum(each[part], 1).astype(dtype, copy=False) for each, part in parts]
        if self.plan._is_folded:
            modes, one = modes_along(self.plan.mode, g.ndim), np.ones((), dtype)  # of what is dropped
            padded = zip(along, g.padding, modes, strict=True)
            divisors = outer([pad_image(each, [pair], mode, one) for each, pair, mode in padded])
        else:
            divisors = outer(along)
        quotients = np.zeros(shape, dtype)
        remainders = np.zeros(shape, dtype)
        for region in regions(shape, entries, axes):
            quotient, remainder = np.divmod(region.entries, divisors[region.pixels[2:]])
            quotients[region.pixels] += quotient
            remainders[region.pixels] += remainder
            del quotient, remainder  # before the next ones are made
        remainders = self._folded_back(remainders)
        remainders //= outer(along)
        remainders += self._folded_back(quotients)
        return remainders


def _sum(total: NDArray[Any], columns: NDArray[Any], axes: Sequence[Axis], threads: int) -> None:
    """Overwrite an image with the sums of a matrix's entries."""
    if scatter.sum_windows(total, columns, axes, threads):
        return
    total[...] = 0
    for region in regions(total.shape, columns, axes):
        pixels = total[region.pixels]
        np.add(pixels, region.entries, out=pixels, casting="unsafe", dtype=total.dtype)
