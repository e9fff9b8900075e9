"""What is computed once: pure functions of plain values, attributes of objects."""

from __future__ import annotations

import itertools
import marshal
from functools import wraps
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

import numpy as np

from ..memory import NOTHING, grown, keep, recall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

P = ParamSpec("P")
R = TypeVar("R", covariant=True)  # noqa: PLC0105 (the names of type parameters in Python's own documentation)

_numbers = itertools.count()
_DEEPEST = 8
"""How deeply arguments may nest: a list that holds itself has no end."""
_LONGEST = 1 << 10
"""Elements of an array: a value for each channel, but not an image."""
_ATOMS = {type(None), int, float, bool, str}
_DTYPES = {type(dtype): dtype for dtype in map(np.dtype, "?" + np.typecodes["AllInteger"] + np.typecodes["AllFloat"])}
_SCALARS = {dtype.type: dtype.type.__name__.encode() for dtype in _DTYPES.values()}


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
        It raises what `function` raises; what it returns is kept in the one memory of the process, see `im2col.memory`.

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
        plain = _spelled((*args, *kwargs.values()))
        if plain is None:
            return function(*args, **kwargs)
        # Version 2 writes equal values alike, whoever else refers to them.
        key = marshal.dumps((number, plain, *kwargs), 2)
        value = recall(key)
        return keep(key, function(*args, **kwargs)) if value is NOTHING else value

    return remembered


def _spelled(values: Iterable[Any], depth: int = _DEEPEST) -> list[Any] | None:
    """Return values as marshal tells them apart from all others, or None where it cannot.

    It writes anything that has a buffer as mere bytes. So nothing of the kind is let through, and bytes stand for
    NumPy's own types: a letter for the dtype in the machine's byte order, a name for the type of its scalars.
    """
    spelled = []
    for value in values:
        kind = type(value)
        if kind in _ATOMS:
            spelled.append(value)
        elif depth and (kind is tuple or kind is list):
            inner = _spelled(value, depth - 1)
            if inner is None:
                return None
            spelled.append(inner if kind is list else tuple(inner))
        elif kind in _DTYPES and value is _DTYPES[kind]:
            spelled.append(value.char.encode())
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
