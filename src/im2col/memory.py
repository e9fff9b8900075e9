"""What is remembered for later calls: what pure functions of plain values returned, and attributes of objects.

One memory serves the whole process, bounded in bytes. There are two generations. What is new, or used again, belongs to
the younger one; once that one holds a third of `KEPT_BYTES`, it becomes the older one, whose place it takes. What grows
after it was remembered is counted when it grows, perhaps twice; so a generation that seems to be full is measured.
"""

from __future__ import annotations

import gc
import itertools
import marshal
import os
import sys
import threading
from functools import wraps
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

P = ParamSpec("P")
V = TypeVar("V")
R = TypeVar("R", covariant=True)  # noqa: PLC0105 (the names of type parameters in Python's own documentation)

KEPT_BYTES = 32 << 20
"""Of all that is remembered. What is used in turn stays up to a quarter of that: several networks of usual layers,
whose tables take tens of kilobytes each, or a 3-d network, some of whose layers take megabytes."""
_SHARED = (type, ModuleType, FunctionType, BuiltinFunctionType)
"""What belongs to the program."""
NOTHING: Any = object()

_numbers = itertools.count()
_DEEPEST = 8
"""How deeply arguments may nest: a list that holds itself has no end."""
_LONGEST = 1 << 10
"""Elements of an array: a value for each channel, but not an image."""
_EQUAL_ALIKE = {type(None), int, bool, str}
"""Whose equal values of one type are the same: 0.0 and -0.0 are not."""
_ATOMS = {*_EQUAL_ALIKE, float}
_DTYPES = {type(dtype): dtype for dtype in map(np.dtype, "?" + np.typecodes["AllInteger"] + np.typecodes["AllFloat"])}
_REGISTERED = 2
"""What `dtype.isbuiltin` is where a library has added a dtype to NumPy's."""
_SCALARS = {dtype.type: dtype.type.__name__.encode() for dtype in _DTYPES.values()}


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


def recalled(key: Hashable, compute: Callable[[], V]) -> V:
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


def keep(key: Hashable, value: V) -> V:
    """Remember a value under a key, and return it."""
    _memory.add(key, value)
    return value


def grown(value: V) -> V:
    """Count what something that may be remembered holds from now on, and return it."""
    _memory.count(value)
    return value


def memoized(function: Callable[P, R]) -> Callable[P, R]:
    """Remember what a pure function returned, for arguments made of plain values, NumPy's dtypes and short vectors.

    ``functools.cache`` takes 1, 1.0 and True for one argument, and lists for an error. Here the key is what ``marshal``
    writes, which tells them apart; arguments that it cannot write (NumPy's integers, say) are simply not remembered.

    Parameters
    ----------
    function : callable

    Returns
    -------
    callable
        It raises what `function` raises; what it returns is kept in the one memory of the process.

    Examples
    --------
    >>> @memoized
    ... def kind(value):
    ...     return type(value).__name__
    >>> kind(1), kind(True), kind([1]), kind(1)
    ('int', 'bool', 'list', 'int')
    """
    number = next(_numbers)

    @wraps(function)
    def remembered(*args: P.args, **kwargs: P.kwargs) -> R:
        plain = told_apart((*args, *kwargs.values()))
        if plain is None:
            return function(*args, **kwargs)
        key = number, plain, *kwargs
        value: R = _memory.young.get(key, NOTHING)  # what `recall` finds, but for its own call
        if value is NOTHING:
            value = recall(key)
        return keep(key, function(*args, **kwargs)) if value is NOTHING else value

    return remembered


def told_apart(values: tuple[Any, ...]) -> Hashable | None:
    """Return a key that no other values have, or None where they are not plain.

    Parameters
    ----------
    values : tuple
        Of plain values, NumPy's dtypes and short vectors.

    Examples
    --------
    >>> told_apart((1, "same")) == told_apart((True, "same")), told_apart((object(),)) is None
    (False, True)
    """
    kinds = tuple(map(type, values))
    if _EQUAL_ALIKE.issuperset(kinds):
        return values, kinds
    plain = _spelled(values)
    # Version 2 writes equal values alike, whoever else refers to them.
    return None if plain is None else marshal.dumps(plain, 2)


def _spelled(values: Iterable[Any], depth: int = _DEEPEST) -> list[Any] | None:
    """Return values as marshal tells them apart from all others, or None where it cannot.

    It writes anything that has a buffer as mere bytes. So nothing of the kind is let through, and bytes stand for
    NumPy's own types: a letter for the dtype in the machine's byte order, a name for the type of its scalars.
    """
    spelled = []
    for value in values:
        kind = type(value)
        nests = kind is tuple or kind is list
        if kind in _ATOMS or (nests and _ATOMS.issuperset(map(type, value))):
            spelled.append(value)
        elif nests and depth:
            inner = _spelled(value, depth - 1)
            if inner is None:
                return None
            spelled.append(inner if kind is list else tuple(inner))
        elif kind in _DTYPES and value is _DTYPES[kind]:
            spelled.append(value.char.encode())
        elif issubclass(kind, np.dtype) and value.isbuiltin == _REGISTERED and value is np.dtype(value.type):
            spelled.append(b"%d" % value.num)  # bfloat16 and its kin, whose letters are others', too
        elif depth and kind is dict:
            inner = _spelled((*value, *value.values()), depth - 1)
            if inner is None:
                return None
            spelled.append(dict(zip(inner[: len(value)], inner[len(value) :], strict=True)))
        elif kind is np.ndarray:
            letter = _spelled([value.dtype])
            if value.ndim > 1 or value.size > _LONGEST or letter is None:
                return None
            # What starts with a complex number is nothing but an array.
            spelled.append((0j, *letter, value.ndim, value.tobytes()))
        elif kind is type and value in _SCALARS:
            spelled.append(_SCALARS[value])
        else:
            return None
    return spelled


class lazy(Generic[R]):  # noqa: N801 (it is read as a decorator)
    """An attribute that is computed when it is first asked for, and kept in the instance.

    On Python 3.11 ``functools.cached_property`` holds a lock for all instances of a class while it computes: first uses
    of different objects would wait for each other, and a process forked meanwhile would wait for ever. Here two threads
    may compute a value twice; either will do.

    Parameters
    ----------
    compute : callable
        The method.

    Examples
    --------
    >>> class Circle:
    ...     @lazy
    ...     def area(self):
    ...         print("computing")
    ...         return 3
    >>> circle = Circle()
    >>> circle.area + circle.area
    computing
    6
    """

    def __init__(self, compute: Callable[[Any], R]) -> None:
        self._compute = compute

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> R:
        value = self._compute(instance)
        vars(instance)[self._name] = value  # found there from now on, before this object is asked
        return grown(value)  # by an instance that may be remembered


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
