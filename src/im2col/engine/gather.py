"""Strided copies: image → matrix. What the engine copies, in how many threads; `gather_plan` says how."""

from __future__ import annotations

from functools import cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ..importing import importing
from .compiler import load, loaded
from .threads import run_parallel

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from .gather_plan import Call

_WORTH_A_CALL = 16 << 10
"""Bytes below which NumPy's own copy ends before a kernel could be called."""
_WORTH_LOADING = 512 << 10
"""Bytes below which a kernel that is not loaded yet is not worth loading: small images never pay for the engine."""
_WORTH_A_THREAD = 4 << 20
"""Bytes that each thread copies at least: for fewer, waking it costs more than it brings."""
ITEM_SIZES = (1, 2, 4, 8, 16)
"""Of what kernels copy."""


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
        or dst.itemsize not in ITEM_SIZES
    ):
        np.copyto(dst, src, casting="unsafe")
        return
    workers = worthy_threads(dst.nbytes, threads)
    if workers == 1:
        _copy_part(dst, src, is_small(dst.nbytes))
        return
    run_parallel([partial(_copy_part, d, s, is_small(d.nbytes)) for d, s in _parts(dst, src, workers)], workers)


def worthy_threads(nbytes: int, threads: int) -> int:
    """Return how many of some threads copy so many bytes."""
    return min(threads, max(1, nbytes // _WORTH_A_THREAD))


def is_small(nbytes: int) -> bool:
    """Whether a copy of so many bytes is not worth loading the engine."""
    return nbytes < _WORTH_LOADING


def _parts(dst: NDArray[Any], src: NDArray[Any], count: int) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Cut both arrays along the outermost axis that is long enough, or along the longest."""
    axis = next((i for i, n in enumerate(dst.shape) if n >= 4 * count), int(np.argmax(dst.shape)))
    count = min(count, dst.shape[axis])
    edges = [dst.shape[axis] * i // count for i in range(count + 1)]
    lead = (slice(None),) * axis
    cuts = [(*lead, slice(start, stop)) for start, stop in pairwise(edges)]
    return [(dst[cut], src[cut]) for cut in cuts]


def _copy_part(dst: NDArray[Any], src: NDArray[Any], must_be_loaded: bool) -> None:
    plan_copy, address_of = _tools()
    calls = plan_copy(dst.shape, dst.strides, src.strides, dst.itemsize)
    functions = [loaded(call.kernel) if must_be_loaded else load(call.kernel) for call in calls]
    if not calls or None in functions:
        np.copyto(dst, src)
        return
    to, origin = address_of(dst), address_of(src)
    for call, function in zip(calls, functions, strict=True):
        function(to + call.dst_offset, origin + call.src_offset, *call.arguments)  # type: ignore[misc]  # None is not among them


@cache
def _tools() -> tuple[Callable[..., tuple[Call, ...]], Callable[[NDArray[Any]], int]]:
    """Import what plans copies, which small ones never need: it loads what kernels are written with."""
    with importing:
        from .gather_plan import plan_copy
        from .sequence import address_of

    return plan_copy, address_of
