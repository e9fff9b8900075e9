"""Filters of single channels ready to run: their spectra, and pairs of tiles as one call for each thread."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...engine.compiler import required
from ...engine.host import require_memory
from ...engine.sequence import ARRAYS, Round, Step, Steps
from ...memory import lazy, recalled
from ..explicit import padded_image
from ..implicit.prepared import OwnRoom
from ..implicit.shares import WORTH_WAKING
from ..implicit.tables import job_table
from ..implicit.view import LINE
from ..implicit.work import READ_IN_PLACE, together
from ..tiled.mending import mend
from .plane_kernel import JOB_WORDS, PAIR_WORDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...engine.compiler import Kernel
    from ...engine.team import Together
    from ..contract import Offer, Runner
    from .planes import DecidedPlanes

    Array = NDArray[Any]
    Strides = tuple[int, ...]

IMAGE, WEIGHTS, ROOM, RESULT = range(4)
"""The places of arrays in a list of calls."""


class ThreadedPlanes:
    """Decided planes for some threads, without any array or weight: shared by all plans.

    Parameters
    ----------
    decided : DecidedPlanes
    threads : int
    direct : Offer
        Of the algorithm that computes pairs whose results are not finite.
    """

    def __init__(self, decided: DecidedPlanes, threads: int, direct: Offer[Runner]) -> None:
        self.decided, self.threads, self.direct = decided, min(threads, decided.pairs), direct

    def kernels(self) -> tuple[Kernel, ...]:
        """Return the kernels that it runs."""
        return (self.decided.kernel,)

    @property
    def task_bytes(self) -> int:
        """Bytes of a thread's memory, in whole lines."""
        return -(-sum(self.decided.spec.room_bytes) // LINE) * LINE

    @property
    def flags_at(self) -> int:
        """Bytes before the flags, one a pair, behind the memory of all threads."""
        return self.threads * self.task_bytes

    @property
    def room_bytes(self) -> int:
        """Bytes of a call's memory."""
        return self.flags_at + 8 * self.decided.pairs

    @property
    def workspace_bytes(self) -> int:
        """Bytes that a plan takes, and a call, at most: what it takes to make the spectra included."""
        d, p = self.decided, self.decided.problem
        weights = (d.twiddles + p.filters * (d.spectrum_size + 1)) * p.dtype.itemsize + 32 * d.spectrum_size
        tables = 2 * 8 * len(PAIR_WORDS) * d.pairs + 1024 * self.threads
        padded = 0 if p.pads_zeros else p.batch * p.channels * math.prod(p.geometry.padded_shape) * p.dtype.itemsize
        other = p.output_bytes // max(1, p.batch)
        return weights + tables + padded + self.room_bytes + LINE + self.direct.workspace_bytes + other

    def calls_for(self, strides: Strides, out_strides: Strides) -> Steps | Together:
        """Return the calls for arrays of these strides."""
        return recalled((self, strides, out_strides), partial(self._calls, strides, out_strides))

    def _calls(self, strides: Strides, out_strides: Strides) -> Steps | Together:
        d, pairs = self.decided, self._pairs(strides, out_strides)
        function, tasks = required(d.kernel, d.target), []
        for i in range(self.threads):
            first, stop = (len(pairs) * n // self.threads for n in (i, i + 1))
            room, task = i * self.task_bytes, np.array([first, stop], np.int64)
            own = pairs[first:stop]
            own[:, PAIR_WORDS.index("flag")] -= room  # which is counted from where the thread's memory begins
            job = job_table(JOB_WORDS, pairs=pairs, row=strides[2], out_row=out_strides[2])
            where = (IMAGE, 0), (WEIGHTS, 0), (ROOM, room), (RESULT, 0)
            step = Step(function, where, (job.ctypes.data, task.ctypes.data))
            tasks.append(Steps([Round(calls=[step])], d.target, (pairs, job, task)))
        return together(tasks, d.target, self.threads, worth_waking=d.problem.flops >= WORTH_WAKING)

    def _pairs(self, strides: Strides, out_strides: Strides) -> Array:
        """Return the kernel's table: a row for each pair of tiles, of each filter, of each image."""
        d, p = self.decided, self.decided.problem
        size, one = p.dtype.itemsize, d.planes.table(strides[2:], out_strides[2:])
        table = np.tile(one, (p.batch, p.filters, 1, 1, 1))
        words = {word: table[..., i] for i, word in enumerate(PAIR_WORDS)}
        images, filters = np.arange(p.batch).reshape(-1, 1, 1, 1), np.arange(p.filters).reshape(-1, 1, 1)
        for tile in (0, 1):
            words[f"pixels{tile}"] += images * strides[0] + filters // p.group_filters * strides[1]
            words[f"results{tile}"] += images * out_strides[0] + filters * out_strides[1]
        words["spectrum"][:] = (d.twiddles + filters * d.spectrum_size) * size
        words["bias"][:] = (d.twiddles + p.filters * d.spectrum_size + filters) * size
        words["flag"][:] = self.flags_at + 8 * np.arange(d.pairs).reshape(words["flag"].shape)
        return table.reshape(-1, len(PAIR_WORDS))


class PreparedPlanes:
    """A layer with its filters transformed: ``run(x, out)``, see `Runner`."""

    def __init__(self, layer: ThreadedPlanes, w: Array, bias: Array | None, scales: None = None) -> None:  # noqa: ARG002 (integers alone are requantised)
        self._layer, d = layer, layer.decided
        required(d.kernel, d.target)  # now: a plan that was made never compiles
        with np.errstate(all="ignore"):
            self._weights = d.laid_out(w[..., ::-1, ::-1] if d.problem.flip else w, bias)
        self._finite = bool(np.isfinite(self._weights).all())
        self._given = w.copy(), None if bias is None else bias.copy()
        self._room = OwnRoom()

    @lazy
    def _direct(self) -> Runner:
        """Return what computes one image as the definition says, term by term."""
        return self._layer.direct.prepare(*self._given, None)

    def __call__(self, x: Array, out: Array) -> None:
        """Convolve arrays of any strides."""
        layer, p = self._layer, self._layer.decided.problem
        if not self._finite:
            for n in range(p.batch):
                self._direct(x[n : n + 1], out[n : n + 1])
            return
        source, result, room = self._source(x), out, self._room.of(self._layer.room_bytes)
        if out.strides[3] != out.itemsize:
            require_memory(p.output_bytes, READ_IN_PLACE, "the dense result {}", out.shape)
            result = np.empty(out.shape, out.dtype)
        arrays = source, self._weights, room, result
        layer.calls_for(source.strides, result.strides).run_ids(*map(id, arrays), *[id(room)] * (ARRAYS - len(arrays)))
        if result is not out:
            np.copyto(out, result)
        flags = room[layer.flags_at : layer.room_bytes].view(np.int64)
        if flags.any():
            counts = layer.decided.planes.counts
            mend(layer.decided.planes.map_of(flags.reshape(p.batch, p.filters, *counts) != 0), self._direct, x, out)

    def _source(self, x: Array) -> Array:
        """Return the image as the kernel reads it: padded where padding is not of zeros, columns side by side."""
        p = self._layer.decided.problem
        if not p.pads_zeros:
            x = padded_image(x, p)
        if x.dtype.isnative and x.strides[3] == x.itemsize:
            return x
        require_memory(x.nbytes, READ_IN_PLACE, "the dense copy of {}", x.shape)
        return np.ascontiguousarray(x, x.dtype.newbyteorder("="))
