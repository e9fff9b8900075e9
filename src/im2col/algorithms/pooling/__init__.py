"""Pooling: the greatest pixel of each window, where it lies, the pixels' mean, or a norm of them.

What is pooled is a `Pool` of `spec`. The engine pools row by row (`rows` cuts images into tasks, which `row_kernel`
runs) and whole images (`whole` and `whole_kernel`); NumPy does what it has no kernel for (`plain`). `scatter` is the
way back of maxima.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...engine import compiler, gather
from ...importing import importing
from ...memory import recalled
from ...spec.strides import normal, row_major
from . import plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ...spec.pool import Pool

    Array = NDArray[Any]
    Strides = tuple[int, ...]


def pool(what: Pool, x: Array, out: Array, threads: int) -> None:
    """Pool an image (N, C, *spatial) of any strides into `out`, of any strides.

    Parameters
    ----------
    what : Pool
    x, out : ndarray
        `out` has x's dtype, or int64 for places.
    threads : int
    """
    if not out.size:
        return
    run = engine_call(what, x, out, threads)
    if run is not None:
        run(x, out)
        return
    dense, result = np.empty(x.shape, x.dtype), np.empty(out.shape, out.dtype)
    run = engine_call(what, dense, result, threads)
    if run is None:
        plain.pool_plainly(what, x, out)
        return
    gather.copy(dense, x, threads)
    run(dense, result)
    gather.copy(out, result, threads)


def workspace_bytes(what: Pool, planes: int, itemsize: int) -> int:
    """Return the bytes that a call takes beside image and result, at most."""
    return plain.workspace_bytes(what, planes, itemsize)


def engine_call(what: Pool, x: Array, out: Array, threads: int) -> Callable[[Array, Array], None] | None:
    """Return how the engine pools arrays of these strides; None where it does not."""
    element = _element(x.dtype)
    if element is None or not x.size or (what.reduction == "place" and element[1] == "8"):
        return None
    strides, out_strides = (normal(a.strides, a.shape, row_major(a.shape, a.itemsize)) for a in (x, out))
    kind = what, x.shape[:2], element, strides, out_strides, threads, compiler.condition()
    return recalled((_made, kind), partial(_made, *kind))


def _element(dtype: np.dtype[Any]) -> str | None:
    """Return the name of a dtype as the kernels have it; None of one that they have no name for."""
    if dtype.name == "bfloat16":
        return "b2"
    if not dtype.isnative or dtype.kind not in "biuf" or dtype.itemsize > 8:
        return None
    return f"{'u' if dtype.kind == 'b' else dtype.kind}{dtype.itemsize}"


def _made(
    what: Pool,
    planes: tuple[int, int],
    element: str,
    strides: Strides,
    out_strides: Strides,
    threads: int,
    condition: str | None,  # noqa: ARG001 (what it depends on)
) -> Callable[[Array, Array], None] | None:
    target = compiler.usable_target()
    if target is None:
        return None
    with importing:
        from ..implicit.prepared import OwnRoom
        from .rows import Images, RowCalls, cut
        from .whole import WholeCalls, is_whole, whole_spec

    images = Images(*planes, element, strides, out_strides, threads)
    calls: RowCalls | WholeCalls
    try:
        if is_whole(what):
            spec = whole_spec(what, images, target)
            if spec is None:
                return None
            calls = WholeCalls(what, images, spec, target)
        else:
            found = cut(what, images, target)
            if found is None:
                return None
            calls = RowCalls(what, images, found, target)
    except compiler.EngineError:  # it has warned
        return None
    room, nbytes = OwnRoom(), calls.room_bytes
    return lambda x, out: calls.run_ids(id(room.of(nbytes)), id(x), id(out))
