"""Where results lie: buffers that are used again once nothing reads them any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ....engine.host import require_memory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

_ALIGNMENT = 64
"""Bytes of a cache line."""
_WASTE = 2
"""A buffer is used for what takes at least its size over this."""


class Buffers:
    """Those of one call at a time."""

    def __init__(self) -> None:
        self._free: list[Array] = []
        self._used: set[int] = set()

    def take(self, nbytes: int) -> Array:
        """Return the smallest free buffer that is large enough, or a new one.

        Raises
        ------
        MemoryBudgetError
            If a new one would not fit the memory.
        """
        best = None
        for number, buffer in enumerate(self._free):
            if nbytes <= buffer.size <= _WASTE * nbytes + _ALIGNMENT and (
                best is None or buffer.size < self._free[best].size
            ):
                best = number
        if best is not None:
            buffer = self._free.pop(best)
        else:
            require_memory(nbytes, "use a smaller input", "a result of the network")
            whole = np.empty(nbytes + _ALIGNMENT, np.uint8)
            first = -whole.ctypes.data % _ALIGNMENT
            buffer = whole[first : first + nbytes]
        self._used.add(id(buffer))
        return buffer

    def give_back(self, buffers: Sequence[Array]) -> None:
        """Take back buffers that nothing reads any more."""
        self._free.extend(buffers)

    def end_call(self) -> None:
        """Drop what the call that ends here has not used."""
        self._free = [buffer for buffer in self._free if id(buffer) in self._used]
        self._used.clear()
