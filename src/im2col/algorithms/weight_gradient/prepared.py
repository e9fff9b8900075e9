"""A gradient made ready to run: the copy of an image where one is needed, the packed gradient, the calls."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...engine import gather, scratch
from ...engine.boxes import boxes
from ...engine.host import require_memory
from ...memory import recalled
from ...spec.padded import fill_padded
from ..implicit.work import READ_IN_PLACE, Calls
from .decide import tables_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...engine.compiler import Kernel
    from .decide import GradientDecision


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
            grad = self._dense(grad, p.layout.strides(p.batch, p.filters, p.geometry.output_shape, a.dtype.itemsize))
        if not a.copied:
            x = self._dense(x, a.strides)
        copies, held = self._room() if a.copied else None, slice(0, 0)
        steps = p.geometry.position_strides(a.strides[2:])
        for number, box in enumerate(self._boxes):
            images, *positions = box
            if copies is not None and images != held:
                self._fill(copies[: images.stop - images.start], x[images])
                held = images
            shape = tuple(s.stop - s.start for s in box)
            if panel is not None:
                self._pack(panel, grad[(images, slice(None), *positions)], shape)
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

    def _dense(self, array: NDArray[Any], strides: tuple[int, ...]) -> NDArray[Any]:
        """Return an array of the kernels' dtype as they read it in place: itself, or a copy with these strides."""
        if array.strides == strides and array.dtype.isnative:
            return array
        nbytes = array.size * self._decision.dtype.itemsize
        require_memory(nbytes, READ_IN_PLACE, "the dense copy of {} numbers", array.shape)
        flat = scratch.empty(array.size, self._decision.dtype)  # dense, whatever the order of its axes
        room = np.lib.stride_tricks.as_strided(flat, array.shape, strides)
        _convert(room, array, self._threads)
        return room

    def _room(self) -> NDArray[Any]:
        """Return room for the images of a box as the kernels read them: padded, of their dtype and strides."""
        p, a = self._problem, self._decision
        shape = (a.box[0], p.channels, *p.geometry.padded_shape)
        flat = scratch.empty(math.prod(shape), a.dtype)
        room = np.lib.stride_tricks.as_strided(flat, shape, a.strides)
        if p.geometry.is_padded and "constant" in p.padding_modes:
            room[...] = p.padding_value.astype(a.dtype)
        return room

    def _fill(self, room: NDArray[Any], images: NDArray[Any]) -> None:
        p = self._problem
        pairs = ((0, 0), (0, 0), *p.geometry.padding)
        fill_padded(room, images, pairs, p.padding_mode, partial(_convert, threads=self._threads))

    def _pack(self, panel: NDArray[Any], grad: NDArray[Any], shape: tuple[int, ...]) -> None:
        """Arrange the gradient (N, filters, *output) of a box as the kernels read it: filters innermost."""
        group, at = self._decision.group, 0
        for each in self._decision.blocks:
            packed = (group.groups, each.blocks, *shape, each.packed)
            room = panel[at : at + math.prod(packed)].reshape(packed)[..., : each.width]
            at += math.prod(packed)
            n, _, *positions = grad.shape
            grouped = grad.reshape(n, group.groups, group.filters, *positions, copy=False)
            taken = grouped[:, :, each.filters]
            split = taken.reshape(n, group.groups, each.blocks, each.width, *positions, copy=False)
            order = (1, 2, 0, *range(4, split.ndim), 3)
            _convert(room, split.transpose(order), self._threads)


def _convert(to: NDArray[Any], source: NDArray[Any], threads: int) -> None:
    with np.errstate(all="ignore"):
        gather.copy(to, source, threads)
