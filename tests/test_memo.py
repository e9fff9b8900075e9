"""The cache of pure functions: what counts as the same arguments."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest

from im2col import im2col, memory
from im2col.errors import GeometryError
from im2col.memory import memoized

from .kit.outcomes import raises_exactly
from .kit.strategies import BFLOAT16

if TYPE_CHECKING:
    from collections.abc import Iterator


def counted() -> tuple[Any, list[Any]]:
    """Return a memoized function that describes its arguments, and the list of those it was called with."""
    calls: list[Any] = []

    @memoized
    def describe(*values: Any) -> str:
        """Describe values."""
        calls.append(values)
        return repr([(type(value).__name__, value) for value in values])

    return describe, calls


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (1, 2.5, None, True),
        ("aé", "b"),
        ((1, (2, 3)),),
        ([1, [2]],),
        (1 << 100, -0.0),
        (np.dtype(np.float32), np.dtype("?"), np.dtype("c16")),
        (np.float32, (np.int8, np.dtype(np.int8))),
        ({"W": "wrap", "H": [1]}, {}),
        (BFLOAT16, (np.dtype(ml_dtypes.int4), np.dtype(np.float16))),
    ],
    ids=repr,
)
def test_plain_values_are_remembered(arguments: tuple[Any, ...]) -> None:
    """The second time, the very object comes back that was returned the first time."""
    describe, calls = counted()
    first = describe(*arguments)
    assert describe(*arguments) is first
    assert calls == [arguments]


@pytest.mark.parametrize(
    "values",
    [
        (1, 1.0, True, 1 + 0j, "1", b"1"),
        ((1, 2), [1, 2]),
        (0.0, -0.0, 0, False, None),
        ((1, (2,)), (1, 2), ("", b"", ())),
        ({}, {1: 2}, {1.0: 2}, {2: 1}, {1: 2, 3: 4}, {1: 3, 2: 4}, [(1, 2)], ((1, 2),)),
        (np.dtype("f4"), np.float32, np.dtype(">f4"), np.dtype("f8"), "f", b"f", "float32", b"float32"),
        (BFLOAT16, np.dtype(ml_dtypes.float8_e5m2), np.dtype(ml_dtypes.int4), np.dtype(np.float16), np.dtype("u2")),
        (np.dtype("?"), np.bool_, bool, np.dtype("V2"), np.dtype("U1"), np.dtype([("f", "f4")])),
    ],
    ids=repr,
)
def test_equal_values_of_different_types_are_told_apart(values: tuple[Any, ...]) -> None:
    """What compares equal but is another type is another argument, inside tuples too."""
    describe, calls = counted()
    for value in values:
        assert describe(value) == repr([(type(value).__name__, value)])
        assert describe((value,)) == repr([("tuple", (value,))])
    assert len(calls) == 2 * len(values)


def test_strings_are_the_same_by_value() -> None:
    """A string made at run time is the same argument as a literal, and sharing an object does not matter."""
    describe, calls = counted()
    half, pair = "channel", (1, 2)
    assert describe("channel-first") is describe(f"{half}-first")
    assert describe(pair, pair) is describe(pair, (1, int("2")))
    assert len(calls) == 2


def test_a_list_is_remembered_by_what_it_holds_now() -> None:
    """A list that has changed is another argument."""
    describe, calls = counted()
    values = [1, 2]
    describe(values)
    values.append(3)
    assert describe(values) == "[('list', [1, 2, 3])]"
    assert len(calls) == 2


def test_short_vectors_are_remembered_by_what_they_hold_now() -> None:
    """Of NumPy's own dtypes in the machine's byte order, whatever their strides."""
    describe, calls = counted()
    vector = np.array([1, 2, 3, 4], np.float32)
    first = describe(vector)
    assert describe(vector.copy()) is first
    assert describe(np.repeat(vector, 2)[::2]) is first
    vector[0] = -0.0
    for other in (vector, np.abs(vector), vector.view(np.int32), np.array(1, np.float32), vector[:1], vector.tolist()):
        assert describe(other) == repr([(type(other).__name__, other)])
    assert len(calls) == 7


NUMPY_VALUES = (
    np.int64(3),
    np.uint64(3),
    np.array([3]),
    np.array([[3]]),
    np.array([3, 0], np.int32),
    np.array(3),
    np.frombuffer(np.int64(3).tobytes(), "S8"),
    bytearray(np.int64(3).tobytes()),
    np.int64(3).tobytes(),
)


def test_values_with_the_same_bytes_are_told_apart() -> None:
    """NumPy's numbers and arrays give other results than others with the same bytes: shape and dtype count."""
    describe, _ = counted()
    for value in NUMPY_VALUES:
        assert describe(value) == repr([(type(value).__name__, value)])
        assert describe((1, value)) == repr([("tuple", (1, value))])


@pytest.mark.parametrize(
    "value",
    [
        *(np.int64(3), np.float64(1), Decimal(1), b"1", 1j, [range(3)], {"W": range(3)}),
        *(np.array([1, 2], ">i4"), np.array([[1]]), np.ma.array([1]), np.zeros(2000), np.array(["1"])),
    ],
    ids=repr,
)
def test_other_values_are_not_remembered(value: Any) -> None:
    """Arguments that are not Python's own plain types are computed anew every time."""
    describe, calls = counted()
    for argument in (value, (1, value), [value]):
        assert describe(argument) == describe(argument)
    assert len(calls) == 6


def test_keywords_are_told_apart() -> None:
    """The same value under another name, or in its place, is another argument."""
    calls: list[Any] = []

    @memoized
    def describe(*values: Any, **named: Any) -> str:
        calls.append((values, named))
        return repr((values, named))

    for values, named in [((1, 2), {}), ((1,), {"a": 2}), ((1,), {"b": 2}), ((), {"a": 1, "b": 2}), ((), {"a": 2})]:
        expected = repr((values, named))
        assert describe(*values, **named) == describe(*values, **named) == expected
    assert len(calls) == 5
    assert describe(a=np.int64(2)) == describe(a=np.int64(2)) == repr(((), {"a": np.int64(2)}))
    assert len(calls) == 7


def test_what_is_remembered_can_be_forgotten() -> None:
    """Afterwards the function is asked again."""
    describe, calls = counted()
    first = describe(1)
    memory.clear()
    assert describe(1) == first
    assert len(calls) == 2


def test_arguments_of_a_call_are_told_apart() -> None:
    """What arrays of the same bytes mean to `im2col` does not depend on what it saw before."""
    x = np.arange(48.0).reshape(6, 8)
    pairs: Any = np.array([[1, 1], [2, 2]])
    assert im2col(x, 3, padding=pairs).shape == (60, 9)
    with pytest.raises(GeometryError, match=r"^im2col: padding has 4 entries "):
        im2col(x, 3, padding=pairs.ravel())


def test_errors_are_not_remembered() -> None:
    """A function that raises raises again, and may succeed later."""
    results: Iterator[Any] = iter([ZeroDivisionError("no"), ZeroDivisionError("still no"), 5])

    @memoized
    def fragile(value: int) -> int:
        result = next(results)
        if isinstance(result, Exception):
            raise result
        return int(result) + value

    for message in ("no", "still no"):
        with raises_exactly(ZeroDivisionError, message):
            fragile(1)
    assert (fragile(1), fragile(1)) == (6, 6)


def test_a_key_error_of_the_function_is_its_own() -> None:
    """A KeyError from inside is not taken for a forgotten key."""

    @memoized
    def look_up(key: str) -> int:
        return {"a": 1}[key]

    assert look_up("a") == 1
    with pytest.raises(KeyError, match="b"):
        look_up("b")


def test_names_and_memories_are_apart() -> None:
    """The wrapper has the function's name and docstring, and two functions share no memory."""
    describe, _ = counted()
    assert (describe.__name__, describe.__doc__) == ("describe", "Describe values.")
    assert memoized(math.floor)(2.5) == 2
    assert memoized(math.ceil)(2.5) == 3


def test_threads_see_only_right_results(monkeypatch: pytest.MonkeyPatch) -> None:
    """While one thread forgets, others compute and remember, and none gets another argument's result."""
    monkeypatch.setattr(memory, "KEPT_BYTES", 2000)

    @memoized
    def square(value: int) -> int:
        return value * value

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(square, [i % 17 for i in range(2000)])) == [(i % 17) ** 2 for i in range(2000)]
