"""Pooling: the greatest pixel of each window, where it lies, the pixels' mean, or a norm of them.

What is pooled is a `Pool` of `spec`. The engine pools row by row (`rows` cuts images into tasks, which `row_kernel`
runs) and whole images (`whole` and `whole_kernel`); NumPy does what it has no kernel for (`plain`). `scatter` is the
way back of maxima.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...engine import compiler, gather
from ...importing import importing
from ...memory import recalled
from ...spec.strides import normal, row_major

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ...spec.pool import Pool

    Array = NDArray[Any]
    Shape = tuple[int, ...]
    Strides = tuple[int, ...]

_ROOM_BYTES = 1 << 20
"""Of a thread's room and of the tables, about: both stay in the nearer caches."""


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
    kind = x.shape, x.dtype
    call = engine_call(what, *kind, x.strides, out.strides, threads)
    if call is not None:
        call(out, x)
        return
    dense, result = np.empty(x.shape, x.dtype), np.empty(out.shape, out.dtype)
    call = engine_call(what, *kind, dense.strides, result.strides, threads)
    if call is None:
        with importing:
            from .plain import pool_plainly

        pool_plainly(what, x, out)
        return
    gather.copy(dense, x, threads)
    call(result, dense)
    gather.copy(out, result, threads)


def workspace_bytes(
    what: Pool, shape: Shape, dtype: np.dtype[Any], strides: Strides, out_strides: Strides, threads: int
) -> int:
    """Return the bytes that `pool` takes beside image and result, at most; arguments as of `engine_call`."""
    kind = shape, dtype
    if engine_call(what, *kind, strides, out_strides, threads) is not None:
        return _ROOM_BYTES * threads
    out_shape, itemsize = _result_of(what, *kind)
    copies = math.prod(shape) * dtype.itemsize + math.prod(out_shape) * itemsize
    dense = row_major(shape, dtype.itemsize), row_major(out_shape, itemsize)
    if engine_call(what, *kind, *dense, threads) is not None:
        return copies + _ROOM_BYTES * threads
    with importing:
        from . import plain

    return copies + plain.workspace_bytes(what, shape[0] * shape[1], dtype.itemsize)


def engine_call(
    what: Pool, shape: Shape, dtype: np.dtype[Any], strides: Strides, out_strides: Strides, threads: int
) -> Callable[[Array, Array], None] | None:
    """Return how the engine pools images of a kind; None where it does not.

    Parameters
    ----------
    what : Pool
    shape : tuple of int
        Of an image, (N, C, *spatial).
    dtype : dtype
    strides, out_strides : tuple of int
        In bytes, of the image and of the result, with these axes.
    threads : int

    Returns
    -------
    callable or None
        It takes arrays whose first numbers are those of the result and of the image, whatever their axes.
    """
    element = _element(dtype)
    if element is None or not math.prod(shape) or (what.reduction == "place" and element[1] == "8"):
        return None
    out_shape, itemsize = _result_of(what, shape, dtype)
    source = normal(strides, shape, row_major(shape, dtype.itemsize))
    to = normal(out_strides, out_shape, row_major(out_shape, itemsize))
    kind = what, shape[:2], element, source, to, threads, compiler.condition()
    return recalled((_made, kind), partial(_made, *kind))


def _result_of(what: Pool, shape: Shape, dtype: np.dtype[Any]) -> tuple[Shape, int]:
    """Return the shape of a result, and the bytes of an element."""
    return (*shape[:2], *what.geometry.output_shape), 8 if what.reduction == "place" else dtype.itemsize


def _element(dtype: np.dtype[Any]) -> str | None:
    """Return the name of a dtype as the kernels have it; None of one that they have no name for."""
    if dtype.name == "bfloat16":
        return "b2"
    if not dtype.isnative or dtype.kind not in "biuf" or dtype.itemsize > 8:
        return None
    return f"{'u' if dtype.kind == 'b' else dtype.kind}{dtype.itemsize}"


def _made(
    what: Pool,
    planes: Shape,
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

    images = Images(planes[0], planes[1], element, strides, out_strides, threads)
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
    room, nbytes, run = OwnRoom(), calls.room_bytes, calls.run_ids
    return lambda out, x: run(id(room.of(nbytes)), id(x), id(out))
