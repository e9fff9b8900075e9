"""Which of a test's many combinations are wide: CI runs some of those, `make test` none, `make test-all` all."""

from __future__ import annotations

import itertools
import math
import os
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from _pytest.mark import ParameterSet

T = TypeVar("T")
_GOLDEN = (1 + math.sqrt(5)) / 2


def one_in(number: int, values: Iterable[Any]) -> list[Any]:
    """Return the values of a long axis for `parametrize`: all but the first of each `number` are wide."""
    return [_wide(value) if i % number else value for i, value in enumerate(values)]


def wide_but(usual: AbstractSet[Any], values: Iterable[Any]) -> list[Any]:
    """Return the values of a long axis for `parametrize`: all but some are wide."""
    return [value if value in usual else _wide(value) for value in values]


def in_turn(families: Iterable[Sequence[T]]) -> Iterator[T]:
    """Yield what is wide of each test, or every so manieth of all if the environment says so.

    ``IM2COL_WIDE_EVERY=3 IM2COL_WIDE_SEED=7`` takes the numbers 1, 4, 7 and so on. What is the only one of its test is
    always there.
    """
    step, seed = (int(os.environ.get(f"IM2COL_WIDE_{name}", usual)) for name, usual in (("EVERY", "1"), ("SEED", "0")))
    number = itertools.count(step - seed % step)
    for family in families:
        for each in family:
            if len(family) == 1 or next(number) % step == 0:
                yield each


def _wide(value: Any) -> ParameterSet:
    return pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.wide)


def spanning(combinations: Sequence[Sequence[Hashable]]) -> list[int]:
    """Return the places of few combinations in which each value of each axis occurs, those that bring most first.

    Parameters
    ----------
    combinations : sequence of sequence
        For each, its value of each axis.

    Notes
    -----
    Greedy: those that bring most that is new are taken first. What one brings only becomes less, so a pass for each
    number of new things finds what looking through all combinations each time would. Of equals, none is always that
    with the first value of the other axes: they are passed in the order of multiples of the golden ratio, modulo 1.
    """
    brought = [set(enumerate(each)) for each in combinations]
    order = sorted(range(len(brought)), key=lambda place: place * _GOLDEN % 1)
    found: list[int] = []
    seen: set[tuple[int, Hashable]] = set()
    for least in range(max(map(len, brought), default=0), 0, -1):
        for place in order:
            if len(brought[place] - seen) >= least:
                found.append(place)
                seen |= brought[place]
    return found
