"""Pooling whole images, which have one window each: the calls of `whole_kernel`."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from ...engine.compiler import required
from ...engine.sequence import Round, Step, Steps
from ..implicit.work import OUT, ROOM, WEIGHTS, X, together
from .rows import WORTH_A_TASK, WORTH_WAKING, even, power
from .whole_kernel import JOB, TURN, PoolWhole, pool_whole

if TYPE_CHECKING:
    from ...engine.target import Target
    from ...spec.pool import Pool
    from .rows import Images


_FEW = 16
"""Vectors of a channel up to which a kernel is made for the number of pixels: 7×7 and 8×8 are common."""


def is_whole(pool: Pool) -> bool:
    """Whether there is one window, which has every pixel."""
    g = pool.geometry
    if g.positions > 1 or pool.reduction == "place":
        return False
    each = zip(g.spatial_shape, g.kernel_size, g.dilation, g.padding, strict=True)
    return all((d == 1 or k == 1) and 1 <= n <= k - before for n, k, d, (before, _) in each)


def whole_spec(pool: Pool, images: Images, target: Target) -> PoolWhole | None:
    """Return what the kernel is specialised for; None where it cannot walk the images."""
    size, step = int(images.element[1]), _pixel_step(pool, images)
    if step is None:
        return None
    channels_last = images.channels > 1 and images.strides[1] == images.out_strides[1] == size
    if not channels_last and step != size:
        return None
    most = target.vector_bytes // size
    if channels_last:
        vectors = TURN if images.channels >= TURN * most else 1
        return PoolWhole(pool.reduction, images.element, power(min(most, images.channels)), True, vectors)
    pixels = math.prod(pool.geometry.spatial_shape)
    few = pixels if pixels <= _FEW * most else 0
    return PoolWhole(pool.reduction, images.element, power(min(most, pixels)), False, 1, few)


def _pixel_step(pool: Pool, images: Images) -> int | None:
    """Return the bytes from pixel to pixel, through all axes; None where they differ."""
    each = zip(pool.geometry.spatial_shape, images.strides[2:], strict=True)
    long = [(n, stride) for n, stride in each if n > 1]
    for (_, outer), (n, inner) in itertools.pairwise(long):
        if outer != n * inner:
            return None
    return long[-1][1] if long else int(images.element[1])


class WholeCalls:
    """The calls that pool whole images of a kind, in tasks for threads: ``run_ids(room, x, out)``."""

    room_bytes = 0

    def __init__(self, pool: Pool, images: Images, spec: PoolWhole, target: Target) -> None:
        size, shape = int(images.element[1]), pool.geometry.spatial_shape
        block = spec.lanes * spec.vectors
        units = -(-images.channels // block) if spec.channels_last else images.channels
        pixels, count = math.prod(shape), math.prod(int(pool.counts(i)[0]) for i in range(len(shape)))
        self._count = np.array([count], float)
        words = {
            "units": units,
            "x_image": images.strides[0],
            "x_unit": block * size if spec.channels_last else images.strides[1],
            "out_image": images.out_strides[0],
            "out_unit": block * size if spec.channels_last else images.out_strides[1],
            "last": (images.channels - block) * size,
            "pixels": pixels,
            "x_pixel": _pixel_step(pool, images),
            "count": self._count.ctypes.data,
        }
        job = np.array([words[word] for word in JOB], np.int64)
        nbytes = images.batch * images.channels * pixels * size
        parts = min(units * images.batch, images.threads if nbytes >= WORTH_A_TASK else 1)
        tables = [np.array(part, np.int64) for part in even(units * images.batch, parts)]
        function, where = required(pool_whole(spec), target), ((X, 0), (ROOM, 0), (WEIGHTS, 0), (OUT, 0))
        keep = [job, self._count, *tables]
        tasks = [
            Steps([Round(calls=[Step(function, where, (job.ctypes.data, table.ctypes.data))])], target, keep)
            for table in tables
        ]
        self._tasks = together(tasks, target, images.threads, worth_waking=nbytes >= WORTH_WAKING)

    def run_ids(self, room: int, x: int, out: int) -> None:
        """Pool, with image and result of which the identities are given."""
        self._tasks.run_ids(room, room, room, room, x, out)
