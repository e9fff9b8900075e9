"""Where results lie: buffers that are used again once nothing reads them any more."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ....engine.host import require_memory
from ..order import empty

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from numpy.typing import NDArray

    from ..order import Order

    Array = NDArray[Any]

_ALIGNMENT = 64
"""Bytes of a cache line."""
_STEPS = 2
"""Sizes of buffers from one power of two to the next, as a power of two: at most a quarter of one is not used."""
_MOST_VIEWS = 64
"""Arrays that are remembered to show one buffer."""


class Want:
    """An array that a result is to be.

    Parameters
    ----------
    shape : tuple of int
    dtype : dtype
    order : tuple of int, or None
        Its axes from the outermost in memory to the innermost.

    Attributes
    ----------
    sizes : tuple of int
        Of buffers that it fits into, the smallest first, and less than twice as large.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], order: Order) -> None:
        self.shape, self.dtype, self.order = shape, dtype, order
        nbytes = max(math.prod(shape) * dtype.itemsize, 1)
        step = 1 << max(nbytes.bit_length() - 1 - _STEPS, _ALIGNMENT.bit_length())
        least = -(-nbytes // step) * step
        self.sizes = tuple(range(least, 2 * least, step))


wanted = lru_cache(1 << 12)(Want)
"""The same `Want` for the same arguments: it is found by what it is, and not by what it holds."""


def keep(plans: dict[Any, Any], key: Any, plan: Any, most: int) -> None:
    """Keep a plan for inputs of some kind, and of all of them no more than those that were made last."""
    for old in list(plans)[: max(0, len(plans) + 1 - most)]:  # a list at once: other threads keep theirs meanwhile
        plans.pop(old, None)
    plans[key] = plan


class _Buffer:
    """Bytes, the arrays that show them, and whether the running call has used them."""

    __slots__ = ("_bytes", "_views", "size", "used")

    def __init__(self, size: int) -> None:
        whole = np.empty(size + _ALIGNMENT, np.uint8)
        first = -whole.ctypes.data % _ALIGNMENT
        self._bytes = whole[first : first + size]
        self._views: dict[Want, Array] = {}
        self.size = size
        self.used = True

    def show(self, want: Want) -> Array:
        """Return an array in it."""
        view = self._views.get(want)
        if view is None:
            if len(self._views) >= _MOST_VIEWS:
                self._views.clear()
            view = self._views[want] = empty(want.shape, want.dtype, want.order, self._bytes)
        return view


class Room:
    """Where the results of a network go, in one call at a time.

    Parameters
    ----------
    kept : set of int
        Groups of values that outlive the call.

    Attributes
    ----------
    group : int
        That of the running task's first result.
    spent : sequence of (int, int)
        Inputs of the running task, by their number, that nothing reads after it; and their groups.
    """

    def __init__(self, kept: AbstractSet[int]) -> None:
        self.group = -1
        self.spent: Sequence[tuple[int, int]] = ()
        self._kept = kept
        self._free: dict[int, list[_Buffer]] = {}
        self._lent: dict[int, list[_Buffer]] = {}

    def new(self, want: Want) -> Array:
        """Return room for the first result of the running task; for an output, an array of its own.

        Raises
        ------
        MemoryBudgetError
            If it would not fit the memory.
        """
        if self.group in self._kept:
            require_memory(want.sizes[0], "use a smaller input", "an output of shape {}", want.shape)
            return empty(want.shape, want.dtype, want.order)
        for size in want.sizes:
            free = self._free.get(size)
            if free:
                buffer = free.pop()
                buffer.used = True
                break
        else:
            require_memory(want.sizes[0], "use a smaller input", "a result of shape {}", want.shape)
            buffer = _Buffer(want.sizes[0])
        self._lent.setdefault(self.group, []).append(buffer)
        return buffer.show(want)

    def over(self, inputs: Sequence[Any], shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array | None:
        """Return an input of the running task that may be overwritten, whose buffer is the result's from now on."""
        if self.group in self._kept:
            return None
        for number, group in self.spent:
            if group in self._lent:
                x: Array = inputs[number]
                if x.shape == shape and x.dtype == dtype:
                    self._lent[self.group] = self._lent.pop(group)
                    return x
        return None

    def leave(self, group: int) -> None:
        """Take back what a group has."""
        for buffer in self._lent.pop(group, ()):
            self._free.setdefault(buffer.size, []).append(buffer)

    def end(self) -> None:
        """End the call: drop what it has not used."""
        for size, free in self._free.items():
            if not all(buffer.used for buffer in free):
                self._free[size] = [buffer for buffer in free if buffer.used]
            for buffer in free:
                buffer.used = False
