"""Where results lie: buffers that are used again once nothing reads them any more."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ....engine.host import require_memory
from ..order import empty

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..order import Order

    Array = NDArray[Any]

_ALIGNMENT = 64
"""Bytes of a cache line."""
_STEPS = 2
"""Sizes of buffers from one power of two to the next, as a power of two: at most a quarter of one is not used."""
_MOST_VIEWS = 1 << 12
"""Arrays that are remembered to show buffers."""


class Buffers:
    """Those of one call at a time."""

    def __init__(self) -> None:
        self._free: dict[int, list[Array]] = {}
        self._used: set[int] = set()
        self._views: dict[Any, tuple[Array, Array]] = {}

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any], order: Order) -> tuple[Array, Array]:
        """Return a buffer, free or new, and an array in it, with its axes in that order in memory.

        Raises
        ------
        MemoryBudgetError
            If a new one would not fit the memory.
        """
        nbytes = max(math.prod(shape) * dtype.itemsize, 1)
        step = 1 << max(nbytes.bit_length() - 1 - _STEPS, _ALIGNMENT.bit_length())
        size = -(-nbytes // step) * step
        for larger in range(size, 2 * size, step):
            free = self._free.get(larger)
            if free:
                buffer = free.pop()
                break
        else:
            require_memory(size, "use a smaller input", "a result of shape {}", shape)
            whole = np.empty(size + _ALIGNMENT, np.uint8)
            first = -whole.ctypes.data % _ALIGNMENT
            buffer = whole[first : first + size]
        self._used.add(id(buffer))
        key = (id(buffer), shape, dtype, order)
        found = self._views.get(key)
        if found is None:
            if len(self._views) >= _MOST_VIEWS:
                self._views.clear()
            found = self._views[key] = (buffer, empty(shape, dtype, order, buffer))
        return found

    def give_back(self, buffers: Sequence[Array]) -> None:
        """Take back buffers that nothing reads any more."""
        for buffer in buffers:
            self._free.setdefault(buffer.size, []).append(buffer)

    def end_call(self) -> None:
        """Drop what the call that ends here has not used."""
        if self._used.issuperset(id(buffer) for free in self._free.values() for buffer in free):
            self._used.clear()
            return
        for size, free in self._free.items():
            self._free[size] = [buffer for buffer in free if id(buffer) in self._used]
        self._used.clear()
        self._views.clear()  # which would keep what is dropped
