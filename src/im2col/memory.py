"""What is remembered for later calls: one memory for the whole process, bounded in bytes.

There are two generations. What is new, or used again, belongs to the younger one; once that one holds a third of
`KEPT_BYTES`, it becomes the older one, whose place it takes. What grows after it was remembered is counted when it
grows, perhaps twice; so a generation that seems to be full is measured.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

R = TypeVar("R")

KEPT_BYTES = 32 << 20
"""Of all that is remembered. What is used in turn stays up to a quarter of that: several networks of usual layers,
whose tables take tens of kilobytes each, or a 3-d network, some of whose layers take megabytes."""
_SHARED = (type, ModuleType, FunctionType, BuiltinFunctionType)
"""What belongs to the program."""
NOTHING: Any = object()


class _Memory:
    """The two generations, and the bytes of the younger one: at least what it takes."""

    def __init__(self) -> None:
        self.young: dict[Hashable, Any] = {}
        self.old: dict[Hashable, Any] = {}
        self.nbytes = 0
        self.lock = threading.RLock()

    def add(self, key: Hashable, value: Any) -> None:
        with self.lock:
            self.young[key] = value
            self.count((key, value))

    def count(self, thing: Any) -> None:
        """Count what the younger generation holds from now on, and let the next one begin if it is full."""
        with self.lock:
            self.nbytes += nbytes_of(thing)
            if self.nbytes <= KEPT_BYTES // 3:
                return
            exact = nbytes_of(self.young)
            if exact <= KEPT_BYTES // 4:
                self.nbytes = exact
                return
            # The latest thing may be large: two thirds are left for it, or it is dropped with all others.
            self.old = self.young if exact <= KEPT_BYTES // 3 * 2 else {}
            self.young, self.nbytes = {}, 0


_memory = _Memory()


def recalled(key: Hashable, compute: Callable[[], R]) -> R:
    """Return what was computed for a key before, or compute it.

    Parameters
    ----------
    key : hashable
        It names the computation, too: all share one memory.
    compute : callable
        A pure function of the key.

    Examples
    --------
    >>> recalled(("square", 3), lambda: 9)
    9
    """
    value = recall(key)
    return keep(key, compute()) if value is NOTHING else value


def recall(key: Hashable) -> Any:
    """Return what is remembered under a key, or `NOTHING`."""
    try:
        return _memory.young[key]
    except KeyError:
        value = _memory.old.pop(key, NOTHING)
        return value if value is NOTHING else keep(key, value)


def keep(key: Hashable, value: R) -> R:
    """Remember a value under a key, and return it."""
    _memory.add(key, value)
    return value


def grown(value: R) -> R:
    """Count what something that may be remembered holds from now on, and return it."""
    _memory.count(value)
    return value


def clear() -> None:
    """Forget everything."""
    with _memory.lock:
        _memory.young, _memory.old, _memory.nbytes = {}, {}, 0


def nbytes_of(thing: Any) -> int:
    """Return the bytes of an object and of all that it refers to, each counted once; the program's own are left out.

    Parameters
    ----------
    thing : object

    Returns
    -------
    int

    Examples
    --------
    >>> table = np.zeros(1000)
    >>> nbytes_of([table, table[1:], {"again": table}]) // 1000
    8
    """
    total, seen, waiting = 0, set(), [thing]
    while waiting:
        each = waiting.pop()
        if id(each) in seen or isinstance(each, _SHARED):
            continue
        seen.add(id(each))
        total += sys.getsizeof(each, 0)
        if isinstance(each, np.ndarray):
            waiting.append(each.base)  # which has the memory of a view
        else:
            waiting += gc.get_referents(each)
    return total


def _forget_lock() -> None:
    """Give a forked child a lock that no thread of its parent holds."""
    _memory.lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_lock)
