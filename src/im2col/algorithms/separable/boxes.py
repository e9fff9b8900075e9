"""Boxes: kernels whose weights are all equal, as sums of windows that double (`box_sums`), times the weight.

Which kernels are boxes and round no more so than a precision admits; how the map is cut, and the calls that compute it.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...engine.compiler import required
from ...engine.pace import TURNING
from ...engine.sequence import Round, Step, Steps
from ...memory import lazy, recalled
from ...spec.strides import row_major
from ..implicit.tiles.epilogue import Epilogue
from ..implicit.view import LINE
from ..implicit.work import OUT, ROOM, WEIGHTS, X, together
from .box_sums import BoxSums, box_sums, kept, links
from .factors import PIXELS, admitted, in_middle_range, unit
from .passes import out_strides_of, strides_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...engine.compiler import Kernel
    from ...engine.target import Target
    from ...spec.problem import Problem

    Array = NDArray[Any]
    Strides = tuple[int, ...]
    Range = tuple[int, int]

_KEPT = 1 / 8
"""Of the last level of cache: the sums that a band leaves for the next one, which are read as they lie."""
_LINE_CYCLES = 4.0
"""Of a line of them, from a cache behind the first and back to it; as measured on a Zen 3."""
_MARGIN = 1.1
"""Times the model's cycles, as those of passes."""
_DOUBT = 1.2
"""Times the predicted square of a rounding error, beside that of plain sums: 3×3 boxes of real weights came out at 1.05
times the error, where 0.93 times was predicted."""
_HIGH = 4
"""Windows' heights of a part of the map that a thread has, at least: each begins with the sums of one."""
_WORTH_WAKING = 1e5
"""Cycles from which a layer is worth waking threads that sleep."""
_VECTOR_BYTES = 32
"""Of a tile's rows, at most: of wider ones there are too many for the registers."""


def are_boxes(w: Array, precision: str) -> bool:
    """Whether kernels are boxes whose sums round no more than a precision admits.

    Parameters
    ----------
    w : ndarray of float32 or float64, (filters, channels of a group, kh, kw)
        Finite.
    precision : str
    """
    if not (w == w[:, :, :1, :1]).all():
        return False
    return all(
        _admits(kernel, precision) for kernel in np.unique(w[:, :, :1, :1]).reshape(-1, 1, 1) * np.ones_like(w[0, 0])
    )


def _admits(kernel: Array, precision: str) -> bool:
    """Whether a precision admits a box's sums: by the rms error that is predicted, of that of plain sums."""
    kernel, _ = in_middle_range(kernel)
    weight = float(kernel[0, 0])
    squares = (square_of_sums(kernel.shape, *pixels) for pixels in PIXELS)
    exact = abs(math.frexp(weight)[0]) in (0, 0.5)
    for (sums, last), most in zip(squares, admitted(kernel, precision), strict=True):
        if _DOUBT * (unit(kernel) * weight) ** 2 * (sums if exact else sums + last) > most:
            return False
    return True


def square_of_sums(taps: tuple[int, ...], mean: float, variance: float, sign: int) -> tuple[float, float]:
    """Return the square of the rms error of a box's sums, in units of a rounding, and that of a product with them.

    Parameters
    ----------
    taps : (int, int)
    mean, variance, sign
        Of pixels, as `PIXELS` has them.
    """

    def square(down: int, across: int) -> float:
        """Return that of a sum of so many pixels."""
        total = mean * down * across if sign > 0 else mean * (down % 2) * (across % 2)
        return variance * down * across + total**2

    down, across = taps
    sums = across * sum(count * square(width, 1) for width, count in _counts(down))
    sums += sum(count * square(down, width) for width, count in _counts(across))
    return sums, square(down, across)


def _counts(taps: int) -> list[tuple[int, int]]:
    """Return the widths of the sums that a window's is made of, its own among them, and how many of each there are."""
    found, count = [], 1
    for width, behind in reversed(links(taps)):
        found.append((width + behind, count))
        count *= 2 if width == behind else 1
    return found


class Boxes(NamedTuple):
    """What is decided about boxes.

    Parameters
    ----------
    problem : Problem
        Of one image: of its copy, with the padding in it, if `copied`.
    target : Target
    strips : tuple of (int, int)
        Columns of the map, the first ones and those behind the last.
    cycles : float
        By the model.
    copied : bool
        Whether a padded copy of each image is read, channels first.
    """

    problem: Problem
    target: Target
    strips: tuple[Range, ...]
    cycles: float
    copied: bool = False

    @property
    def lanes(self) -> int:
        """Of a vector."""
        return _lanes(self.problem, self.target)

    @property
    def lags(self) -> tuple[int, int]:
        """How many pixels behind a place of the map its window ends, along each axis."""
        return _lags(self.problem)

    @property
    def room_bytes(self) -> int:
        """Bytes of what a thread keeps between tiles."""
        taps, lanes, lag = self.problem.geometry.kernel_size, self.lanes, self.lags[1]
        widest = max(stop - _begin(first, taps[1], lag, lanes) for first, stop in self.strips)
        vectors = -(-widest // lanes) * (kept(taps[0], lanes) + lanes)
        return -(-vectors * lanes * self.problem.dtype.itemsize // LINE) * LINE

    @property
    def reason(self) -> str:
        """Why it was chosen, for people."""
        kh, kw = self.problem.geometry.kernel_size
        strips = f", {len(self.strips)} strips" * (len(self.strips) > 1)
        copied = ", from a copy of each image" * self.copied
        return (
            f"boxes: sums of windows that double, {len(links(kh)) + len(links(kw))} sums a position instead of "
            f"{kh * kw} products{strips}, {self.cycles:.3g} cycles by the model{copied}"
        )


def decide(problem: Problem, target: Target) -> Boxes | None:
    """Return how boxes of one image are summed; None where they are none, or where tiles do not walk them.

    Zeros pad for nothing, where each window begins no further in the padding than it is large. Any other padding, and
    pixels of a row that do not lie side by side, are read from a copy.
    """
    p, g = problem, problem.geometry
    if not p.equal_weights or {*g.stride, *g.dilation} != {1} or p.group_channels > 1:
        return None
    one, size = dataclasses.replace(p, batch=1), p.dtype.itemsize
    if out_strides_of(one)[3] != size:
        return None
    if one.pads_zeros and min(_lags(one)) >= 0 and strides_of(one)[3] == size:
        return _cut(one, target)
    shape = 1, one.channels, *g.padded_shape
    planar, out_strides = row_major(shape, size), out_strides_of(one)
    found = _cut(dataclasses.replace(one, geometry=g.unpadded(), strides=planar, out_strides=out_strides), target)
    return found._replace(copied=True, cycles=found.cycles + math.prod(shape) * size * TURNING[0])


def _cut(one: Problem, target: Target) -> Boxes:
    """Return the strips of an image, and their cycles."""
    g, lanes, size = one.geometry, _lanes(one, target), one.dtype.itemsize
    (kh, kw), (rows, columns), lags = g.kernel_size, g.output_shape, _lags(one)
    most = max(int(_KEPT * target.caches[2]) // ((kept(kh, lanes) + lanes) * size), 4 * kw)
    count = -(-columns // most)
    edges = [columns * i // count for i in range(count + 1)]
    strips = tuple(itertools.pairwise(edges))
    tiles = sum(-(-(stop - _begin(first, kw, lags[1], lanes)) // lanes) for first, stop in strips)
    tiles *= one.filters * -(-(rows - _begin(0, kh, lags[0], lanes)) // lanes)
    return Boxes(one, target, strips, tiles * _tile_cycles((kh, kw), lanes, size, target) * _MARGIN)


def _tile_cycles(taps: tuple[int, int], lanes: int, size: int, target: Target) -> float:
    """Return the cycles of a tile: of its sums, of two transposes, of what it loads, stores, and leaves for later."""
    nbytes, left = lanes * size, [kept(k, lanes) for k in taps]
    sums = lanes * sum(len(links(k)) for k in taps)
    arithmetic = sums + 2 * lanes * (1 + math.log2(lanes))
    lines = left[0] * nbytes / LINE * _LINE_CYCLES
    loads, stores = 3 * lanes + sum(left), 2 * lanes + sum(left)
    return (
        arithmetic * target.vector_cycles(nbytes)
        + loads * target.load_cycles(nbytes)
        + stores * target.store_cycles(nbytes)
        + lines
    )


def _lanes(problem: Problem, target: Target) -> int:
    return min(target.vector_bytes, _VECTOR_BYTES) // problem.dtype.itemsize


def _lags(problem: Problem) -> tuple[int, int]:
    g = problem.geometry
    down, across = (taps - 1 - before for taps, (before, _) in zip(g.kernel_size, g.padding, strict=True))
    return down, across


def _begin(first: int, taps: int, lag: int, lanes: int) -> int:
    """Return where the tiles begin of which the one that begins at `first` is kept.

    So many of them that all windows of that one are seen, but none that ends before the image does begin.
    """
    return first - lanes * min(-(-(taps - 1) // lanes), -(-(first + lag) // lanes))


class DecidedBoxes:
    """What a decision comes down to, without any array or weight: shared by all plans; as `DecidedPasses`.

    Parameters
    ----------
    problem : Problem
    boxes : Boxes
    threads : int
    """

    def __init__(self, problem: Problem, boxes: Boxes, threads: int) -> None:
        self.problem, self.boxes, self.threads = problem, boxes, threads
        self.one, self.copied, self.target = boxes.problem, boxes.copied, boxes.target
        self.reason, self.cycles = boxes.reason, boxes.cycles

    @lazy
    def kernel(self) -> Kernel:
        """Return the kernel that it runs."""
        kh, kw = self.one.geometry.kernel_size
        return box_sums(BoxSums(self.boxes.lanes, (kh, kw), Epilogue.of_floats(self.one)))

    def kernels(self) -> tuple[Kernel, ...]:
        """Return it alone."""
        return (self.kernel,)

    @property
    def workspace_bytes(self) -> int:
        """Bytes that a plan takes, and a call, at most: the weights' factors and the calls included."""
        one = self.one
        copied = one.channels * math.prod(one.geometry.spatial_shape) * one.dtype.itemsize if self.copied else 0
        calls = 512 * one.filters * len(self.boxes.strips) * self.threads
        return copied + self.threads * self.boxes.room_bytes + 3 * one.filters * one.dtype.itemsize + calls + 2 * LINE

    def packed(self, w: Array, bias: Array | None) -> tuple[Array, Array]:
        """Return the numbers of each filter, twice: a power of two for pixels, the rest of the weight, and the bias.

        No sum of pixels that were multiplied by that power is greater than all products of the definition together.
        """
        weights = w[:, 0, 0, 0]
        fractions, exponents = np.frexp(weights)
        scales = np.ldexp(np.sign(np.abs(weights)), exponents - 1)  # 0 of 0: then no sum overflows
        columns = [scales, 2 * fractions, *([] if bias is None else [bias])]
        numbers = np.stack(columns, axis=1).astype(self.problem.dtype)
        return numbers, numbers

    def calls_for(self, strides: Strides, out_strides: Strides) -> BoxCalls | None:
        """Return the calls for an image and a result of these strides, or None where the tiles cannot walk them."""
        size = self.problem.dtype.itemsize
        if strides[3] != size or out_strides[3] != size:
            return None
        return recalled((self, strides, out_strides), partial(BoxCalls, self, strides, out_strides))


class BoxCalls:
    """The calls for one image of some strides, in tasks for threads, each with a room of its own."""

    def __init__(self, layer: DecidedBoxes, strides: Strides, out_strides: Strides) -> None:
        boxes, one = layer.boxes, layer.one
        g, planes = one.geometry, one.filters * len(boxes.strips)
        rows = g.output_shape[0]
        parts = max(1, min(-(-layer.threads // planes), rows // (_HIGH * g.kernel_size[0])))
        edges = [rows * i // parts for i in range(parts + 1)]
        units = list(itertools.product(range(one.filters), itertools.pairwise(edges), boxes.strips))
        count, taps = min(layer.threads, len(units)), g.kernel_size
        job = np.array([strides[2], out_strides[2], *g.spatial_shape, *boxes.lags], np.int64)
        self._keep = [job]
        self.room_bytes = count * boxes.room_bytes
        function, tasks = required(layer.kernel, boxes.target), []
        for i in range(count):
            steps = []
            for number, *places in units[len(units) * i // count : len(units) * (i + 1) // count]:
                begins = map(_begin, (first for first, _ in places), taps, boxes.lags, (boxes.lanes,) * 2)
                words = [word for begin, ends in zip(begins, places, strict=True) for word in (begin, *ends)]
                self._keep.append(np.array(words, np.int64))
                where = (
                    (X, number // one.group_filters * strides[1]),
                    (ROOM, i * boxes.room_bytes),
                    (WEIGHTS, number * (2 + one.has_bias) * one.dtype.itemsize),
                    (OUT, number * out_strides[1]),
                )
                steps.append(Step(function, where, (job.ctypes.data, self._keep[-1].ctypes.data)))
            tasks.append(Steps([Round(calls=steps)], boxes.target, self._keep))
        awake = boxes.cycles >= _WORTH_WAKING
        self._tasks = together(tasks, boxes.target, layer.threads, worth_waking=awake)

    def run_ids(self, weights: int, bias: int, room: int, x: int, out: int) -> None:
        """Run them all for numbers, twice, room, image and result of which the identities are given."""
        self._tasks.run_ids(weights, bias, room, bias, x, out)
