"""Memory that is used again.

A fresh block of many pages comes from the system page by page, which on the machines measured takes longer than filling
it: 0.3 ms a MB against 0.1. A call that packs new weights each time would pay that each time. So large blocks that are
no longer needed are kept for the next who asks, up to `KEPT_BYTES` in all.
"""

from __future__ import annotations

import math
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEPT_BYTES = 32 << 20
"""Of blocks that nobody uses at the moment."""
_LEAST_BYTES = 128 << 10
"""Smaller blocks are reused by the C library itself."""
_SLACK = 2
"""How many times larger than what is asked for a block may be."""

_free: dict[int, NDArray[np.uint8]] = {}
"""By identity, in the order in which they were given back."""
_lent: dict[int, tuple[weakref.ref[Any], NDArray[np.uint8]]] = {}
_lock = threading.RLock()


def empty(shape: int | tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return a C-ordered array of which nothing is promised, as ``np.empty``, in memory that may have been used before.

    The memory is given back when the array and all views of it are gone.

    Parameters
    ----------
    shape : int or tuple of int
    dtype : dtype

    Returns
    -------
    ndarray
    """
    count = shape if isinstance(shape, int) else math.prod(shape)
    nbytes = count * dtype.itemsize
    if nbytes < _LEAST_BYTES:
        return np.empty(shape, dtype)
    block = _taken(nbytes)
    if block is None:
        block = np.empty(nbytes, np.uint8)
    # Its base is no array, so every view of it, however far removed, keeps this one alive.
    array = np.frombuffer(memoryview(block), np.uint8, nbytes)  # type: ignore[arg-type]  # it has a buffer
    loan = weakref.ref(array, _give_back)
    _lent[id(loan)] = loan, block
    return array.view(dtype).reshape(shape)


def clear() -> None:
    """Free every block that nobody uses."""
    with _lock:
        _free.clear()


def _taken(nbytes: int) -> NDArray[np.uint8] | None:
    """Return the smallest free block that is large enough, and not far too large."""
    with _lock:
        # By identity throughout: a collection of garbage in this very thread may give blocks back meanwhile.
        fitting = [block for block in list(_free.values()) if nbytes <= block.nbytes <= _SLACK * nbytes]
        best = min(fitting, key=lambda block: block.nbytes, default=None)
        return None if best is None else _free.pop(id(best), None)


def _give_back(loan: weakref.ref[Any]) -> None:
    """Keep the block of an array that is gone, and drop those that were given back longest ago beyond `KEPT_BYTES`."""
    with _lock:
        block = _lent.pop(id(loan))[1]
        _free[id(block)] = block
        while sum(each.nbytes for each in list(_free.values())) > KEPT_BYTES:
            _free.pop(next(iter(_free)))


def _forget() -> None:
    """Start anew in a forked child, whose parent's threads may have held the lock."""
    global _lock  # noqa: PLW0603 (the child's own)
    _lock = threading.RLock()
    _free.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
