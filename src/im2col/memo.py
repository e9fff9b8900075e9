"""A cache for pure functions of plain values."""

from __future__ import annotations

import marshal
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    P = ParamSpec("P")
    R = TypeVar("R")

_MOST_ENTRIES = 1024


def memoized(function: Callable[P, R]) -> Callable[P, R]:
    """Remember what a pure function returned, for arguments made of Python's own plain types.

    ``functools.cache`` takes 1, 1.0 and True for one argument, and lists for an error. Here the key is what ``marshal``
    writes, which tells them apart; arguments that it cannot write (NumPy's integers, say) are simply not remembered.

    Parameters
    ----------
    function : callable
        Of positional arguments.

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
    memory: dict[bytes, R] = {}
    compute: Callable[..., R] = function

    @wraps(function)
    def remembered(*args: Any) -> R:
        if not _is_plain(args):
            return compute(*args)
        key = marshal.dumps(args, 2)  # version 2 writes equal values alike, whoever else refers to them
        try:
            return memory[key]
        except KeyError:
            pass
        result = compute(*args)
        if len(memory) >= _MOST_ENTRIES:
            memory.clear()
        memory[key] = result
        return result

    return remembered  # type: ignore[return-value]  # of the same arguments, all of them positional


def _is_plain(value: object) -> bool:
    """Whether marshal tells the value apart from all others: it writes anything with a buffer as mere bytes."""
    if type(value) in (tuple, list):
        return all(map(_is_plain, value))  # type: ignore[call-overload]  # type() does not narrow
    return value is None or type(value) in (int, float, bool, str)
