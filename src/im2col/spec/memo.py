"""What is computed once: pure functions of plain values, attributes of objects."""

from __future__ import annotations

import marshal
from functools import wraps
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

P = ParamSpec("P")
R = TypeVar("R", covariant=True)  # noqa: PLC0105 (the names of type parameters in Python's own documentation)

_MOST_ENTRIES = 256
"""What is remembered may keep tables: ten kilobytes of a usual layer, megabytes of a large 3-d one."""
_DEEPEST = 8
"""How deeply arguments may nest: a list that holds itself has no end."""
_ATOMS = {type(None), int, float, bool, str}
_DTYPES = {type(dtype): dtype for dtype in map(np.dtype, "?" + np.typecodes["AllInteger"] + np.typecodes["AllFloat"])}
_SCALARS = {dtype.type: dtype.type.__name__.encode() for dtype in _DTYPES.values()}


class Memoized(Protocol[P, R]):
    """A function that remembers what it returned."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Return the function's result."""
        ...

    def cache_clear(self) -> None:
        """Forget everything, as ``functools.cache`` does by this name."""
        ...


def memoized(function: Callable[P, R]) -> Memoized[P, R]:
    """Remember what a pure function returned, for arguments made of Python's own plain values and NumPy's dtypes.

    ``functools.cache`` takes 1, 1.0 and True for one argument, and lists for an error. Here the key is what ``marshal``
    writes, which tells them apart; arguments that it cannot write (NumPy's integers, say) are simply not remembered.

    Parameters
    ----------
    function : callable

    Returns
    -------
    callable
        It raises what `function` raises, and forgets everything once it has seen too many different arguments.

    Examples
    --------
    >>> @memoized
    ... def kind(value):
    ...     return type(value).__name__
    >>> kind(1), kind(True), kind([1]), kind(1)
    ('int', 'bool', 'list', 'int')
    """
    memory: dict[bytes, Any] = {}
    compute: Callable[..., Any] = function

    @wraps(function)
    def remembered(*args: Any, **kwargs: Any) -> Any:
        plain = _spelled((*args, *kwargs.values()))
        if plain is None:
            return compute(*args, **kwargs)
        key = marshal.dumps((plain, *kwargs), 2)  # version 2 writes equal values alike, whoever else refers to them
        try:
            return memory[key]
        except KeyError:
            pass
        result = compute(*args, **kwargs)
        if len(memory) >= _MOST_ENTRIES:
            memory.clear()
        memory[key] = result
        return result

    remembered.cache_clear = memory.clear  # type: ignore[attr-defined]  # a function takes any attribute
    return remembered  # type: ignore[return-value]  # it has both members now


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
        return value
