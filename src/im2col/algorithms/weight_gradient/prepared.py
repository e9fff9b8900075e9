"""A gradient made ready to run: copies of what cannot be read as it lies, the packed gradient, the calls."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...engine import gather, scratch
from ...engine.boxes import boxes
from ...engine.host import require_memory
from ...importing import importing
from ...memory import recalled
from ...spec.padded import fill_padded
from ..implicit.work import READ_IN_PLACE, Calls
from .decide import tables_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ...engine.compiler import Kernel
    from ...spec.geometry import Pairs
    from ...spec.problem import Problem
    from .at_once import GradientAtOnce
    from .decide import GradientDecision
    from .rows import RowDecision


class DecidedGradient:
    """What a decision comes down to, without any array: made when it is needed, shared by all plans."""

    def __init__(self, decision: GradientDecision, threads: int) -> None:
        self.decision, self.threads = decision, threads

    def kernels(self) -> tuple[Kernel, ...]:
        """Return the kernels that it runs, each once."""
        return tables_of(self.decision, self.decision.box, adds=False).kernels

    def all_kernels(self) -> tuple[Kernel, ...]:
        """Return those, and the ones that go on with sums."""
        return self.kernels() + tables_of(self.decision, self.decision.box, adds=True).kernels

    def at_once(self, x: NDArray[Any], grad: NDArray[Any], out: NDArray[Any]) -> GradientAtOnce | None:
        """Return it as one call, or None where there is more to do; see `Offer.at_once`."""
        a, p = self.decision, self.decision.problem
        box = p.batch, *p.geometry.output_shape
        grad_strides = p.layout.strides(p.batch, p.filters, p.geometry.output_shape, a.dtype.itemsize)
        reads = a.packed or grad.strides == grad_strides, bool(a.copied) or x.strides == a.strides
        if a.box != box or not all(reads) or not _is_direct(p, a.dtype, x, grad, out):
            return None
        room = panel = None
        if a.copied:
            room = _part_of_room(p, p.batch, p.geometry.padding, a.strides, a.dtype)
        if a.packed:
            flat = np.empty(math.prod(box) * a.packed_filters, a.dtype)
            panel = flat, packed_places(a, flat, grad, box)
        with importing:
            from .at_once import at_once  # it loads what copies are planned with
        return at_once(self.calls(box, adds=False), p.flops, x, grad, room, panel, None)

    def calls(self, box: tuple[int, ...], *, adds: bool) -> Calls:
        """Return the calls for one box of positions, whose sums may be added to those of others."""
        return recalled((self, box, adds), partial(self._made, box, adds))

    def _made(self, box: tuple[int, ...], adds: bool) -> Calls:
        d, p = self.decision, self.decision.problem
        flops = 2 * p.filters * p.group_taps * math.prod(box)
        return Calls(tables_of(d, box, adds=adds), d.target, 1, self.threads, flops)


class PreparedGradient:
    """A gradient as a function: ``run(x, grad, out)``, see `GradientRunner`."""

    def __init__(self, gradient: DecidedGradient) -> None:
        d = gradient.decision
        self._gradient, self._decision, self._problem, self._threads = gradient, d, d.problem, gradient.threads
        self._boxes = list(boxes((d.problem.batch, *d.problem.geometry.output_shape), d.box))
        self._calls: dict[tuple[tuple[int, ...], bool], Calls] = {}
        for adds in (False, True)[: len(self._boxes)]:  # now: a plan that was made never compiles
            self._calls_for(d.box, adds)

    def __call__(self, x: NDArray[Any], grad: NDArray[Any], out: NDArray[Any]) -> None:
        """Overwrite `out` with the gradient; arrays of any strides."""
        p, a = self._problem, self._decision
        direct = out.flags.c_contiguous and out.dtype == a.dtype and not p.flip
        sums = out if direct else scratch.empty(out.shape, a.dtype)
        panel = scratch.empty(math.prod(a.box) * a.packed_filters, a.dtype) if a.packed else None
        if not a.packed:
            strides = p.layout.strides(p.batch, p.filters, p.geometry.output_shape, a.dtype.itemsize)
            grad = _dense(grad, strides, a.dtype, self._threads)
        if not a.copied:
            x = _dense(x, a.strides, a.dtype, self._threads)
        pads = p.geometry.padding
        copies, held = _room(p, a.box[0], pads, a.strides, a.dtype) if a.copied else None, slice(0, 0)
        steps = p.geometry.position_strides(a.strides[2:])
        for number, box in enumerate(self._boxes):
            images, *positions = box
            if copies is not None and images != held:
                _fill(copies[: images.stop - images.start], x[images], p, pads, self._threads)
                held = images
            shape = tuple(s.stop - s.start for s in box)
            if panel is not None:
                for to, part in packed_places(a, panel, grad[(images, slice(None), *positions)], shape):
                    _convert(to, part, self._threads)
            source = x[images] if copies is None else copies
            first = sum(s.start * step for s, step in zip(positions, steps, strict=True))
            calls = self._calls_for(shape, number > 0)
            weights = (grad[images] if panel is None else panel).ctypes.data
            calls.run_at(source.ctypes.data + first, weights, weights, sums.ctypes.data)
        if not direct:
            with np.errstate(all="ignore"):
                np.copyto(np.flip(out, tuple(range(2, out.ndim))) if p.flip else out, sums, casting="unsafe")

    def _calls_for(self, box: tuple[int, ...], adds: bool) -> Calls:
        """Return the calls for a box; those of its few shapes are the plan's own."""
        found = self._calls.get((box, adds))
        if found is None:
            found = self._calls[box, adds] = self._gradient.calls(box, adds=adds)
        return found


def packed_places(
    decision: GradientDecision, panel: NDArray[Any], grad: NDArray[Any], box: tuple[int, ...]
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yield where the kernels read the gradient of a box, filters innermost, and which part of it that is."""
    group, at = decision.group, 0
    for each in decision.blocks:
        packed = (group.groups, each.blocks, *box, each.packed)
        room = panel[at : at + math.prod(packed)].reshape(packed)[..., : each.width]
        at += math.prod(packed)
        n, _, *positions = grad.shape
        grouped = grad.reshape(n, group.groups, group.filters, *positions, copy=False)
        taken = grouped[:, :, each.filters]
        split = taken.reshape(n, group.groups, each.blocks, each.width, *positions, copy=False)
        order = (1, 2, 0, *range(4, split.ndim), 3)
        yield room, split.transpose(order)


class DecidedRows:
    """The same for a gradient that walks rows of the map."""

    def __init__(self, decision: RowDecision, threads: int) -> None:
        self.decision, self.threads = decision, threads

    def kernels(self) -> tuple[Kernel, ...]:
        """Return the kernels that it runs, each once."""
        return self.decision.tables(1, adds=False).kernels

    all_kernels = kernels  # which begin sums and go on with them

    def at_once(self, x: NDArray[Any], grad: NDArray[Any], out: NDArray[Any]) -> GradientAtOnce | None:
        """Return it as one call, or None where there is more to do; see `Offer.at_once`."""
        d, p = self.decision, self.decision.problem
        reads = grad.strides == d.grad_strides, d.copied or x.strides == d.strides
        if d.images < p.batch or not all(reads) or not _is_direct(p, d.dtype, x, grad, out):
            return None
        room = _part_of_room(p, p.batch, d.pads, d.strides, d.dtype) if d.copied else None
        with importing:
            from .at_once import at_once  # it loads what copies are planned with
        sums = np.empty(out.size, d.dtype)
        result = None if d.in_order else (sums, d.result_of(sums), out)
        if result is not None and not np.may_share_memory(*result[:2]):
            return None  # it is no view
        return at_once(self.calls(p.batch, adds=False), p.flops, x, grad, room, None, result)

    def calls(self, images: int, *, adds: bool) -> Calls:
        """Return the calls for so many images, whose sums may be added to those of others."""
        return recalled((self, images, adds), partial(self._made, images, adds))

    def _made(self, images: int, adds: bool) -> Calls:
        d, p = self.decision, self.decision.problem
        flops = 2 * p.filters * p.group_taps * images * p.geometry.positions
        return Calls(d.tables(images, adds=adds), d.target, 1, self.threads, flops)


class PreparedRows:
    """A gradient that walks rows of the map, as a function; see `GradientRunner`."""

    def __init__(self, gradient: DecidedRows) -> None:
        d, batch = gradient.decision, gradient.decision.problem.batch
        self._decision, self._threads = d, gradient.threads
        boxes = ((first, min(d.images, batch - first)) for first in range(0, batch, d.images))
        self._boxes = [(first, count, gradient.calls(count, adds=first > 0)) for first, count in boxes]

    def __call__(self, x: NDArray[Any], grad: NDArray[Any], out: NDArray[Any]) -> None:
        """Overwrite `out` with the gradient; arrays of any strides."""
        d, p = self._decision, self._decision.problem
        direct = d.in_order and out.flags.c_contiguous and out.dtype == d.dtype and not p.flip
        sums = out if direct else scratch.empty(out.size, d.dtype)
        grad = _dense(grad, d.grad_strides, d.dtype, self._threads)
        copies = _room(p, d.images, d.pads, d.strides, d.dtype) if d.copied else None
        if copies is None:
            x = _dense(x, d.strides, d.dtype, self._threads)
        at_grad, to = grad.ctypes.data, sums.ctypes.data
        for first, count, calls in self._boxes:
            at = first * d.strides[0]
            source = x if copies is None else copies
            if copies is not None:
                _fill(copies[:count], x[first : first + count], p, d.pads, self._threads)
                at = 0
            grads = at_grad + first * d.grad_strides[0]
            calls.run_at(source.ctypes.data + at, grads, grads, to)
        if not direct:
            _convert(np.flip(out, tuple(range(2, out.ndim))) if p.flip else out, d.result_of(sums), self._threads)


def _is_direct(p: Problem, dtype: np.dtype[Any], x: NDArray[Any], grad: NDArray[Any], out: NDArray[Any]) -> bool:
    """Whether all arrays hold the kernels' numbers, the result in their order, and padding is zeros if there is any."""
    zeros = not p.geometry.is_padded or (p.padding_mode == "constant" and not any(p.padding_bytes))
    return zeros and out.flags.c_contiguous and not p.flip and x.dtype == grad.dtype == out.dtype == dtype


def _empty_room(
    p: Problem, images: int, pads: Pairs, strides: tuple[int, ...], dtype: np.dtype[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return memory for images as the kernels read them, and a view of it: padded, of their dtype and strides."""
    sides = (n + before + after for n, (before, after) in zip(p.geometry.spatial_shape, pads, strict=True))
    shape = (images, p.channels, *sides)
    flat = scratch.empty(math.prod(shape), dtype)
    return flat, np.lib.stride_tricks.as_strided(flat, shape, strides)


def _part_of_room(
    p: Problem, images: int, pads: Pairs, strides: tuple[int, ...], dtype: np.dtype[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return room for padded images, and the part of it that images fill, (N, C, *spatial)."""
    flat, whole = _empty_room(p, images, pads, strides, dtype)
    inside = (slice(before, before + n) for n, (before, _) in zip(p.geometry.spatial_shape, pads, strict=True))
    return flat, whole[(slice(None), slice(None), *inside)]


def _room(p: Problem, images: int, pads: Pairs, strides: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return room for images whose padding is there, if it is a constant."""
    _, room = _empty_room(p, images, pads, strides, dtype)
    if any(map(any, pads)) and "constant" in p.padding_modes:
        room[...] = p.padding_value.astype(dtype)
    return room


def _fill(room: NDArray[Any], images: NDArray[Any], p: Problem, pads: Pairs, threads: int) -> None:
    pairs = ((0, 0), (0, 0), *pads)
    fill_padded(room, images, pairs, p.padding_mode, partial(_convert, threads=threads))


def _dense(array: NDArray[Any], strides: tuple[int, ...], dtype: np.dtype[Any], threads: int) -> NDArray[Any]:
    """Return an array of the kernels' dtype as they read it in place: itself, or a copy with these strides."""
    if array.strides == strides and array.dtype == dtype:
        return array
    nbytes = array.size * dtype.itemsize
    require_memory(nbytes, READ_IN_PLACE, "the dense copy of {} numbers", array.shape)
    flat = scratch.empty(array.size, dtype)  # dense, whatever the order of its axes
    room = np.lib.stride_tricks.as_strided(flat, array.shape, strides)
    _convert(room, array, threads)
    return room


def _convert(to: NDArray[Any], source: NDArray[Any], threads: int) -> None:
    with np.errstate(all="ignore"):
        gather.copy(to, source, threads)
