"""Numbers, sequences, words and flags as users write them: each kind is checked in one place, whatever is passed."""

from __future__ import annotations

import operator
from typing import Any, TypeGuard, TypeVar

import numpy as np

from ..errors import ArgumentError, GeometryError, shown

T = TypeVar("T", bound=str)
K = TypeVar("K")

INTEGER_OR_ONE_PER_AXIS = "an integer or one integer per axis"
_MOST = 1 << 80
"""The greatest integer: costs are asked of layers that no machine holds, but floats hold the products of sizes."""
_MOST_ENTRIES = 128
"""Two for each axis that an array can have."""


def integer(name: str, value: object, minimum: int, rule: str = "an integer") -> int:
    """Return `value` as an int of at least `minimum`, or say why it is not one.

    Parameters
    ----------
    name : str
        The argument, which the error names.
    value : object
        Anything that Python can use as an index, but not a bool.
    minimum : int
        The least value allowed; the greatest is the same everywhere.
    rule : str
        What the error says that the argument must be.

    Raises
    ------
    GeometryError
        If `value` is no integer, or out of range.

    Examples
    --------
    >>> integer("stride", 2, minimum=1)
    2
    """
    if type(value) is int and minimum <= value <= _MOST:  # all but the rare call
        return value
    try:
        number = operator.index(value)  # type: ignore[arg-type]  # that is tried
    except Exception:  # no index, or one that fails
        number = None
    if number is None or is_a(value, (bool, np.bool_)):
        raise GeometryError(f"{name} must be {rule}, got {shown(value)}")
    if number < minimum:
        raise GeometryError(f"{name} must be at least {minimum}, got {shown(number)}")
    if number > _MOST:
        raise GeometryError(f"{name} must be at most {_MOST}, got {shown(number)}")
    return number


def numbered(name: str, value: object, count: int) -> int:
    """Return `value` as the number of one of `count` things, from 0, or say why it is none: a `GeometryError`.

    Examples
    --------
    >>> numbered("tap", 8, 9)
    8
    """
    number = integer(name, value, minimum=0)
    if number >= count:
        raise GeometryError(f"{name} counts from 0 and there are {count}, so it must be below {count}; got {number}")
    return number


def per_axis(name: str, value: object, ndim: int, minimum: int) -> tuple[int, ...]:
    """Return a window argument as one int for each of `ndim` spatial axes.

    Parameters
    ----------
    name : str
        What an error names.
    value : int or sequence of int
        An int stands for every axis.
    ndim : int
        How many spatial axes there are.
    minimum : int
        The least value allowed.

    Returns
    -------
    tuple of int
        `ndim` values.

    Raises
    ------
    GeometryError
        If the count or a value is wrong.

    Examples
    --------
    >>> per_axis("stride", 2, ndim=2, minimum=1)
    (2, 2)
    """
    if is_sequence(value):
        values = plain(value)
        if len(values) != ndim:
            axes = "axis" if ndim == 1 else "axes"
            raise GeometryError(
                f"{name} has {len(values)} values {shown(values)} for {ndim} spatial {axes}; give one integer, or "
                f"{ndim}"
            )
        return tuple(integer(name, v, minimum) for v in values)
    return (integer(name, value, minimum, INTEGER_OR_ONE_PER_AXIS),) * ndim


def checked_shape(name: str, value: object) -> tuple[int, ...]:
    """Return a shape that a user gives as a tuple of int.

    Parameters
    ----------
    name : str
        What an error names.
    value : tuple, list or ndarray of int
        The user's argument.

    Raises
    ------
    ArgumentError, GeometryError
        If it is no sequence, or an entry is no integer of at least 0.

    Examples
    --------
    >>> checked_shape("image_shape", np.array([4, 5]))
    (4, 5)
    """
    if is_a(value, np.ndarray) and np.ndim(np.asarray(value)) > 1:
        shape = np.asarray(value).shape
        raise ArgumentError(f"{name} must be a tuple of integers, got an array of shape {shape}; pass its shape")
    if not is_sequence(value):
        raise ArgumentError(f"{name} must be a tuple of integers, got {shown(value)}")
    return tuple(integer(f"an entry of {name}", n, minimum=0) for n in plain(value))


def is_a(value: object, kind: type[K] | tuple[type[K], ...]) -> TypeGuard[K]:
    """Whether a value is of a class, whatever it says itself: a mock says another one, and a dead proxy raises.

    Examples
    --------
    >>> from unittest.mock import Mock
    >>> isinstance(Mock(spec=list), list), is_a(Mock(spec=list), list), is_a([1], list)
    (True, False, True)
    """
    return issubclass(type(value), kind)


def is_sequence(value: object) -> bool:
    """Whether an argument gives a value for each axis: a list, a tuple, or an array that may be such a list."""
    if is_a(value, np.ndarray) and not is_a(value, np.ma.MaskedArray):
        array = np.asarray(value)
        return array.ndim > 0 and array.size <= _MOST_ENTRIES
    return is_a(value, (list, tuple))


def plain(values: Any) -> tuple[Any, ...]:
    """Return a sequence as a tuple of Python's own values, as errors should show them."""
    if is_a(values, np.ndarray):
        return tuple(np.asarray(values).tolist())
    # What a subclass of a list or a tuple says of itself does not matter: a copy is made by the base class.
    return tuple(list.copy(values) if is_a(values, list) else tuple.__getitem__(values, slice(None)))


def flag(name: str, value: object) -> bool:
    """Return `value` if it says yes or no: a bool, or 0 or 1.

    Raises
    ------
    ArgumentError
        If it is anything else.
    """
    try:
        number = int(value) if is_a(value, np.bool_) else operator.index(value)  # type: ignore[arg-type]  # tried
    except Exception:  # no index, or one that fails
        number = None
    if number in (0, 1):
        return number == 1
    raise ArgumentError(f"{name} must be True or False, got {shown(value)}")


def word(value: object) -> str | None:
    """Return a str as exactly that, whatever its class says of itself (an enumeration's does); None for all else."""
    return str.__str__(value) if is_a(value, str) else None


def check_choice(name: str, value: object, choices: tuple[T, ...]) -> T:
    """Return the one of some words that `value` is.

    Raises
    ------
    ArgumentError
        If it is none of them.
    """
    if word(value) not in choices:
        raise ArgumentError(f"{name} must be {' or '.join(map(repr, choices))}, got {shown(value)}")
    return next(each for each in choices if each == word(value))
