"""Which of a test's many combinations `make test` runs; the others are for `make test-all`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from _pytest.mark import ParameterSet


def one_in(number: int, values: Iterable[Any]) -> list[Any]:
    """Return the values of a long axis for `parametrize`: all but the first of each `number` are wide."""
    return [_wide(value) if i % number else value for i, value in enumerate(values)]


def _wide(value: Any) -> ParameterSet:
    return pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.wide)


def spanning(combinations: Sequence[Sequence[Hashable]]) -> set[int]:
    """Return the places of few combinations in which each value of each axis occurs.

    Parameters
    ----------
    combinations : sequence of sequence
        For each, its value of each axis.
    """
    missing = {pair for each in combinations for pair in enumerate(each)}
    kept = set()
    while missing:
        most = max(range(len(combinations)), key=lambda i: len(missing.intersection(enumerate(combinations[i]))))
        kept.add(most)
        missing -= set(enumerate(combinations[most]))
    return kept
