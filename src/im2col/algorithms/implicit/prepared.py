"""A decision made ready to run: its tables and calls, the weights packed, the copy of an image where one is needed."""

from __future__ import annotations

import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...engine import gather, scratch
from ...engine.compiler import EngineError, required
from ...engine.host import available_memory, require_memory
from ...importing import importing
from ...memory import lazy, recalled
from ...spec.padded import fill_padded
from ...spec.strides import normal
from .dots import corrected, interleaved
from .numbers import converts
from .packing import pack
from .shares import effort, one_task
from .view import LINE, Copy
from .work import READ_IN_PLACE, Calls, room_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ...engine.compiler import Kernel
    from ...spec.problem import Problem
    from .at_once import LayerStage
    from .decide import Decision
    from .tables import Tables
    from .view import GroupShape, View

Strides = tuple[int, ...]
_FEW_CHANNELS = 4
"""Side by side, up to which they are copied one by one: a loop over so few numbers costs more than they do."""
_MOST_STEPS = 2048
"""Of a list that copies band by band: it is made in milliseconds, and a call for each list costs nothing beside it."""


class DecidedLayer:
    """What a decision comes down to, without any array or weight: made when it is needed, shared by all plans."""

    def __init__(self, problem: Problem, decision: Decision, threads: int) -> None:
        self.problem, self.decision, self.threads = problem, decision, threads

    @lazy
    def group(self) -> GroupShape:
        """Return groups, channels and filters as they are packed."""
        return self.decision.packed_group

    @lazy
    def tables(self) -> Tables:
        """Return the tables for dense arrays."""
        return self.decision.tables(self.decision.view)

    def kernels(self) -> tuple[Kernel, ...]:
        """Return the kernels that it runs, each once."""
        return self.tables.kernels

    @lazy
    def calls(self) -> Calls | None:
        """Return the calls for dense arrays: for the whole batch, or for some images of it, of `Calls.images`.

        None where images are copied first, otherwise than band by band.
        """
        d, p = self.decision, self.problem
        for kernel in self.kernels():
            required(kernel, d.target)  # now: a plan that was made never compiles
        if d.copy is None:
            return Calls(self.tables, d.target, p.batch, self.threads, effort(p))
        images = self.banded_images
        with suppress(EngineError):  # of a kernel that copies: NumPy copies without
            if d.banded:
                return Calls(
                    self.tables, d.target, images, self.threads, effort(p) // p.batch * images, banded=d.banded
                )
        return None

    @property
    def more_copied_bytes(self) -> int:
        """Return how many more bytes than of one copy a thread keeps: several copies, or bands for all tasks."""
        d, p = self.decision, self.problem
        if d.copy is None:
            return 0
        if d.banded is None:
            return (d.copy.images(p.batch) - 1) * d.copy.pitch
        room = available_memory()
        if room is not None and d.table_bytes > room:
            return 0  # bands are cut by tables: those do not fit, which whoever runs this is told
        images = self.banded_images
        flops = effort(p) // p.batch * images
        return room_bytes(self.tables, d.target, images, self.threads, flops, d.banded) - d.copy.nbytes

    @property
    def banded_images(self) -> int:
        """How many images of the batch one list of steps is for, of which each image has its own."""
        banded, runs = self.decision.banded, self.tables.runs
        if banded is None:
            return self.problem.batch
        limits = [(0, run.rows) for run in runs]
        bands = banded.bands(self.tables.starts, limits, (0, self.tables.groups), self.decision.target.caches[1])
        steps = len(bands) * (2 + sum(len(run.calls) for run in runs))
        most = max(1, _MOST_STEPS // steps)
        return next(n for n in range(min(most, self.problem.batch), 0, -1) if self.problem.batch % n == 0)

    def calls_for(self, images: int, strides: Strides, out_strides: Strides) -> Calls | None:
        """Return the calls for so many images of these strides, or None where the tile cannot walk them."""
        key = images, strides, out_strides
        return recalled((self, *key), partial(self._made_for, *key))

    def _made_for(self, images: int, strides: Strides, out_strides: Strides) -> Calls | None:
        d, p = self.decision, self.problem
        view = d.view_for(strides, out_strides)
        with suppress(EngineError):  # the kernels for dense arrays are loaded
            tables = view and self._tables_for(images, view)
            return tables and Calls(tables, d.target, images, self.threads, effort(p) // p.batch * images)
        return None

    def _tables_for(self, images: int, view: View) -> Tables:
        """Return the tables for images of a view: those for dense arrays, where only the batch lies elsewhere."""
        d = self.decision
        if images == 1 and view._replace(image=d.view.image, out_image=d.view.out_image) == d.view:
            return self.tables
        require_memory(d.table_bytes, READ_IN_PLACE, "the tables for arrays that are not dense")
        return d.tables(view)

    def stage(self, x: NDArray[Any], out: NDArray[Any], w: NDArray[Any]) -> LayerStage | None:
        """Return this layer as a stage of one call, or None where there is more to do; see `Offer.stage`."""
        d, p, whole = self.decision, self.problem, None if self.decision.banded else self.decision.copy
        if self.threads > 1 and one_task(p.flops):
            return DecidedLayer(p, d, 1).stage(x, out, w)
        if out.strides != d.out_strides or not x.dtype.isnative:
            return None
        if w.dtype != d.parts.dtype and not converts(w.dtype, d.parts.dtype):
            return None
        origin = d.banded.origin if d.banded else d.strides
        if x.strides != origin if whole is None else not _is_plain(whole, x, p):
            return None
        with importing:
            from .at_once import LayerStage  # it loads what copies are planned with
        with suppress(EngineError):
            calls = self.calls
            if whole is not None:
                calls = self.calls_for(p.batch, (whole.pitch, *whole.strides), out.strides)
            if calls is not None and calls.images == p.batch:
                return LayerStage.of(
                    p, self.tables, calls, self.group, d.parts, d.dot.zero if d.dot else 0, whole, x, out, w
                )
        return None

    def calls_for_bands(self, count: int) -> Calls:
        """Return the calls for dense arrays, in so many bands of the map."""
        p, target = self.problem, self.decision.target
        return recalled((self, count), lambda: Calls(self.tables, target, p.batch, self.threads, effort(p), count))


class PreparedLayer:
    """A layer with its weights packed: ``run(x, out)``, see `Runner`."""

    def __init__(
        self,
        layer: DecidedLayer,
        w: NDArray[Any],
        bias: NDArray[Any] | None,
        scales: NDArray[np.float32] | None = None,
    ) -> None:
        self._calls = layer.calls
        decision, problem = layer.decision, layer.problem
        self._layer, self._problem, self._threads = layer, problem, layer.threads
        self._copy, self._dtype = decision.copy, decision.dtype
        banded = decision.banded
        self._strides = banded.origin if banded else decision.strides, decision.out_strides
        filters = np.flip(w, tuple(range(2, w.ndim))) if problem.flip else w
        dot = decision.dot
        if dot is not None:
            bias = corrected(bias, filters, dot, problem.accumulator)
            filters = interleaved(filters, dot, layer.threads)
        if scales is not None and bias is None:
            bias = np.zeros(problem.filters, problem.accumulator)
        places = layer.tables.places
        dtype = decision.packed_dtype if dot is None or filters.dtype == np.int32 else dot.dtype
        self._packed = pack(places, layer.group, filters, bias, dtype, layer.threads, scales)
        self._arena, self._own = threading.local(), OwnRoom()
        self._latest: tuple[tuple[int, Strides, Strides], Calls | None] | None = None

    def __call__(self, x: NDArray[Any], out: NDArray[Any]) -> None:
        """Convolve arrays of any strides."""
        batch = self._problem.batch
        if self._calls is not None and (x.strides, out.strides) == self._strides and x.dtype.isnative:
            step = self._calls.images
            for n in range(0, batch, step):
                these = (x, out) if step == batch else (x[n : n + step], out[n : n + step])
                self._calls.run(*these, *self._packed, self._room)
            return
        step = self._copy.images(batch) if self._copy else batch
        for n in range(0, batch, step):
            self._some(x[n : n + step], out[n : n + step])

    def at_once(self, x: NDArray[Any], out: NDArray[Any]) -> Callable[[int, int], None] | None:
        """Return what is called for arrays of these strides, by their identities; None where it is more than a call."""
        calls = self._calls
        if calls is None or (x.strides, out.strides) != self._strides or not x.dtype.isnative:
            return None
        if calls.images < self._problem.batch:
            return None
        run, (weights, bias) = calls.run_ids, map(id, self._packed)
        if calls.room_bytes:
            return lambda x, out: run(weights, bias, id(self._room), bias, x, out)
        return partial(run, weights, bias, weights, bias)

    def bands(self, x: NDArray[Any], out: NDArray[Any], count: int) -> list[Callable[[], None]] | None:
        """Return a function for each of so many bands of the map, or None where an image is copied first."""
        dense = (x.strides, out.strides) == self._strides and x.dtype.isnative
        if self._calls is None or self._copy is not None or not dense:
            return None
        calls = self._layer.calls_for_bands(count)
        return calls.bands(x, out, *self._packed)

    def _some(self, x: NDArray[Any], out: NDArray[Any]) -> None:
        """Convolve images together, through a copy where one is needed; one by one where that is not foreseen."""
        strides, out_strides = (
            normal(view.strides, view.shape, dense) for view, dense in zip((x, out), self._strides, strict=True)
        )
        dense = self._strides[1]
        copy, images, calls_for = self._copy, len(x), self._calls_for
        if copy is None and not (x.dtype.isnative and calls_for(images, strides, dense)):
            copy = self._straight_copy
        if copy is not None:
            strides = (copy.pitch, *copy.strides)
        foreseen = copy is self._copy or images == 1
        result, calls = out, calls_for(images, strides, out_strides) if foreseen else None
        if calls is None and images > 1:
            for n in range(images):
                self._some(x[n : n + 1], out[n : n + 1])
            return
        if calls is None:
            result, calls = self._result, calls_for(images, strides, dense)
        if calls is None:
            raise RuntimeError("a tile that was chosen for dense arrays walks them")  # pragma: no cover
        source = x if copy is None else self._filled(copy, x)
        calls.run(source, result, *self._packed)
        if result is not out:
            np.copyto(out, result)

    def _calls_for(self, images: int, strides: Strides, out_strides: Strides) -> Calls | None:
        """Return the calls for so many images of these strides; the latest ones are the plan's own."""
        key, latest = (images, strides, out_strides), self._latest
        if latest is None or latest[0] != key:
            latest = self._latest = key, self._layer.calls_for(*key)
        return latest[1]

    @property
    def _straight_copy(self) -> Copy:
        p = self._problem
        shape = (p.channels, *p.geometry.spatial_shape)
        strides = self._strides[0][1:]
        nbytes, step = _reach(shape, strides, self._dtype.itemsize), (1,) * p.geometry.ndim
        return Copy(shape, strides, nbytes, self._dtype, (), 0, 0, "strides", step, self._dtype)

    def _filled(self, copy: Copy, images: NDArray[Any]) -> NDArray[Any]:
        """Return this thread's copy of images (N, C, *spatial)."""
        p = self._problem
        room = getattr(self._arena, "copy", None)
        if room is None:
            if copy is not self._copy or copy.origin is not None:
                require_memory(copy.nbytes, READ_IN_PLACE, "the dense copy of one image")
            room = self._arena.copy = _allocate(copy, copy.images(p.batch) if copy is self._copy else 1)
            if copy.padded and "constant" in p.padding_modes:
                room[...] = _moved(p.padding_value, copy)
        pairs = ((0, 0), (0, 0), *(p.geometry.padding if copy.padded else ((0, 0),) * p.geometry.ndim))
        room = room[: len(images)]
        stops = (slice(None), slice(None), *(slice(None, None, step) for step in copy.step))
        fill_padded(
            room, images[stops], pairs, p.padding_mode, partial(_convert, offset=copy.offset, threads=self._threads)
        )
        return room

    @property
    def _room(self) -> NDArray[np.uint8] | None:
        """Room for what is copied band by band, this thread's own, if anything is."""
        if self._calls is None or not self._calls.room_bytes:
            return None
        return self._own.of(self._calls.room_bytes)

    @property
    def _result(self) -> NDArray[Any]:
        """Room for one result, this thread's own, that `out` has no place for as the kernels write it."""
        p = self._problem
        room = getattr(self._arena, "result", None)
        if room is None:
            shape, strides = (1, p.filters, *p.geometry.output_shape), (0, *self._strides[1][1:])
            nbytes = _reach(shape, strides, p.dtype.itemsize)
            require_memory(nbytes, READ_IN_PLACE, "the dense result of one image")
            flat = scratch.empty(nbytes // p.dtype.itemsize, p.dtype)
            room = self._arena.result = np.lib.stride_tricks.as_strided(flat, shape, strides)
        return room


def _is_plain(copy: Copy, x: NDArray[Any], problem: Problem) -> bool:
    """Whether all images are copied together, and pixels are all that a copy holds, and what contributes nothing."""
    held = x.dtype == copy.dtype or converts(x.dtype, copy.dtype)
    return held and (not copy.padded or problem.pads_zeros) and copy.images(problem.batch) == problem.batch


def _reach(shape: tuple[int, ...], strides: Strides, size: int) -> int:
    """Return the bytes from an array's first element to the end of its last."""
    return sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True)) + size


def _allocate(copy: Copy, images: int) -> NDArray[Any]:
    """Return room for copies of images: an array (N, C, *spatial) that starts at a line of the cache."""
    room = at_a_line((images - 1) * copy.pitch + copy.nbytes)
    if copy.strides[0] == copy.dtype.itemsize:
        room[...] = 0  # lanes may hold more channels than there are
    pixels = room.view(copy.dtype)
    return np.lib.stride_tricks.as_strided(pixels, (images, *copy.shape), (copy.pitch, *copy.strides))


class OwnRoom:
    """Memory of each thread's own, which starts at a line of the cache and is kept for later calls."""

    def __init__(self) -> None:
        self._arena = threading.local()

    def of(self, nbytes: int) -> NDArray[np.uint8]:
        """Return at least so many bytes, as this thread's last call left them."""
        room: NDArray[np.uint8] | None = getattr(self._arena, "room", None)
        if room is None or len(room) < nbytes:
            room = self._arena.room = at_a_line(nbytes)
        return room


def at_a_line(nbytes: int) -> NDArray[np.uint8]:
    """Return so many bytes that start at a line of the cache."""
    room = scratch.empty(nbytes + LINE, np.dtype(np.uint8))
    start = -room.ctypes.data % LINE
    return room[start : start + nbytes]


def _moved(value: Any, copy: Copy) -> Any:
    """Return a pixel, or one for each channel, as it stands in a copy."""
    if copy.offset == 0:
        return value.astype(copy.dtype)
    return (value.astype(np.int64) + copy.offset).astype(copy.dtype)


def _convert(to: NDArray[Any], source: NDArray[Any], offset: int, threads: int) -> None:
    """Copy pixels (N, C, *spatial) into another dtype, moved by an offset."""
    if 1 < to.shape[1] <= _FEW_CHANNELS and to.strides[1] == to.itemsize:
        for c in range(to.shape[1]):
            _convert(to[:, c : c + 1], source[:, c : c + 1], offset, threads)
    elif to.dtype == np.uint8:
        # int8 becomes uint8: 128 more is the sign bit turned over.
        gather.copy(to, source.view(np.uint8), threads)
        if offset:
            np.bitwise_xor(to, np.uint8(offset), out=to)
    elif offset:
        np.add(source, np.array(offset).astype(to.dtype), out=to, dtype=to.dtype, casting="unsafe")
    elif to.dtype == source.dtype and source.dtype.isnative:
        gather.copy(to, source, threads)
    else:
        with np.errstate(all="ignore"):
            np.copyto(to, source, casting="unsafe")
