"""Strided copies: image → matrix. What the engine copies, in how many threads; `gather_plan` says how."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ..importing import importing
from .compiler import load, loaded
from .threads import run_parallel

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WORTH_A_CALL = 16 << 10
"""Bytes below which NumPy's own copy ends before a kernel could be called."""
_WORTH_LOADING = 512 << 10
"""Bytes below which a kernel that is not loaded yet is not worth loading: small images never pay for the engine."""
_WORTH_A_THREAD = 4 << 20
"""Bytes that each thread copies at least: for fewer, waking it costs more than it brings."""
_ITEM_SIZES = (1, 2, 4, 8, 16)


def copy(dst: NDArray[Any], src: NDArray[Any], threads: int) -> None:
    """Copy a strided array into another of the same shape.

    Parameters
    ----------
    dst : ndarray
        Overwritten. Shares no memory with `src`, nor with itself.
    src : ndarray
        Any strides; elements may share memory. Another dtype is cast as ``astype`` does.
    threads : int
        How many threads may work.
    """
    if (
        dst.nbytes < max(1, _WORTH_A_CALL)
        or dst.dtype != src.dtype
        or dst.dtype.hasobject
        or dst.itemsize not in _ITEM_SIZES
    ):
        np.copyto(dst, src, casting="unsafe")
        return
    workers = min(threads, max(1, dst.nbytes // _WORTH_A_THREAD))
    run_parallel([partial(_copy_part, d, s, d.nbytes < _WORTH_LOADING) for d, s in _parts(dst, src, workers)], workers)


def _parts(dst: NDArray[Any], src: NDArray[Any], count: int) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Cut both arrays along the outermost axis that is long enough, or along the longest."""
    if count == 1:
        return [(dst, src)]
    axis = next((i for i, n in enumerate(dst.shape) if n >= 4 * count), int(np.argmax(dst.shape)))
    count = min(count, dst.shape[axis])
    edges = [dst.shape[axis] * i // count for i in range(count + 1)]
    lead = (slice(None),) * axis
    cuts = [(*lead, slice(start, stop)) for start, stop in pairwise(edges)]
    return [(dst[cut], src[cut]) for cut in cuts]


def _copy_part(dst: NDArray[Any], src: NDArray[Any], must_be_loaded: bool) -> None:
    with importing:
        from .gather_plan import plan_copy  # it loads what kernels are written with, which small copies never need

    calls = plan_copy(dst.shape, dst.strides, src.strides, dst.itemsize)
    functions = [loaded(call.kernel) if must_be_loaded else load(call.kernel) for call in calls]
    if not calls or None in functions:
        np.copyto(dst, src)
        return
    to, origin = dst.ctypes.data, src.ctypes.data
    for call, function in zip(calls, functions, strict=True):
        function(to + call.dst_offset, origin + call.src_offset, *call.arguments)  # type: ignore[misc]  # None is not among them
