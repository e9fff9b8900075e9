"""Taps that are multiplied part by part, where their weights leave the second level of cache."""

from __future__ import annotations

import itertools
import os
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from im2col.algorithms.implicit.decide import decide
from im2col.algorithms.implicit.tiles.cycles import part
from im2col.algorithms.implicit.tiles.filter_lanes import FilterTile
from im2col.algorithms.implicit.tiles.filters import FilterShape
from im2col.engine.target import NAMED, host

from .kit.layers import Case, assert_same_bits, judge, last, problem_of
from .kit.processes import run_alone
from .kit.selection import one_in
from .kit.targets import planning_for, with_kinds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from im2col.engine.target import Target

CACHES = 4 << 10, 1 << 10, 1 << 20
"""Of which the second level holds the weights of a few taps."""
PARTS = {
    "dense": Case((7, 9), (3, 3), padding=1, channels=13, filters=37, bias=True),
    "several images and groups": Case((6, 5), (3, 3), padding=1, batch=2, groups=3, channels=17, filters=23),
    "relu": Case((5, 17), (3, 3), padding=1, channels=11, filters=16, bias=True, activation="relu"),
    "sigmoid": Case((5, 17), (3, 3), stride=2, channels=11, filters=19, activation="sigmoid"),
    "1×1": Case((7, 7), (1, 1), channels=131, filters=48, bias=True),
    "dilated": Case((13, 13), (3, 3), padding=6, dilation=6, channels=29, filters=33),
    "windows as long as the image": Case((9, 24), (3, 23), padding=((1, 1), (11, 11)), channels=3, filters=17),
    "1-d": Case((41,), (5,), stride=3, padding=2, channels=31, filters=29, bias=True),
    "3-d": Case((3, 4, 5), (2, 3, 3), padding=1, channels=7, filters=18),
    "doubles": Case((7, 9), (3, 3), padding=1, channels=13, filters=21, dtype="float64", bias=True),
    "integers": Case((7, 9), (3, 3), padding=1, channels=13, filters=21, dtype="int32", bias=True),
    "bytes": Case((7, 9), (3, 3), padding=1, channels=29, filters=21, dtype="int8", bias=True),
}


def parted(case: Case, target: Target) -> list[tuple[int, int]]:
    """Return taps of a part and all taps, for each kernel of a layer that has parts."""
    decision = decide(problem_of(case, case.dtype), target)
    tables, found = decision.tables(decision.view), []
    for run in tables.runs:
        for number, (kernel, *_) in enumerate(run.calls):
            (tile,) = kernel.parameters
            if isinstance(tile, FilterTile) and tile.parted:
                assert tables.far is not None
                found.append((tables.far.parts[number], tables.far.taps))
    return found


CPUS = {
    "host": host()._replace(caches=CACHES),
    "avx2": NAMED["avx2"]._replace(triple=host().triple, caches=CACHES),
}
"""This CPU, and one with fewer and shorter registers, without masks."""


@contextmanager
def by_filters(target: Target) -> Iterator[None]:
    """Plan for a CPU, with no tiles but those whose lanes are filters."""
    with with_kinds(FilterShape), planning_for(target):
        yield


@pytest.mark.parametrize(("name", "cpu"), one_in(3, itertools.product(PARTS, CPUS)))
def test_results(name: str, cpu: str) -> None:
    """As of all taps at once, wherever the result lies, and whatever it held before."""
    with by_filters(CPUS[cpu]):
        for case in (PARTS[name], last(PARTS[name])):
            judge(replace(case, out_order="within"))
            judge(replace(case, threads=3, out_order="F"))


@pytest.mark.parametrize("cpu", CPUS)
def test_there_are_parts(cpu: str) -> None:
    """The layers above have several parts, of which the last may be shorter."""
    with by_filters(CPUS[cpu]):
        found = {name: parted(case, CPUS[cpu]) for name, case in PARTS.items()}
    assert [name for name, pairs in found.items() if not pairs] == []
    pairs = [pair for pairs in found.values() for pair in pairs]
    assert all(0 < size < total for size, total in pairs)
    assert any(total % size for size, total in pairs)


@pytest.mark.parametrize(("name", "cpu"), one_in(5, itertools.product(PARTS, CPUS)))
def test_the_same_bits(name: str, cpu: str) -> None:
    """For any threads, any batch, and wherever the result lies: parts depend on the layer and the CPU alone."""
    with by_filters(CPUS[cpu]):
        for case in (PARTS[name], last(PARTS[name])):
            assert_same_bits(case)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_results_that_hold_no_sums(dtype: str) -> None:
    """Sums of half floats are wider than results: there are no parts."""
    case = replace(PARTS["dense"], dtype=dtype)
    with by_filters(CPUS["host"]):
        assert parted(case, CPUS["host"]) == []
        judge(case)


@pytest.mark.skipif(os.name != "posix", reason="mprotect is POSIX")
def test_no_page_beside_an_array_is_touched() -> None:
    """Not by what reads the sums of earlier parts, either."""
    run_alone("kit.layers", "convolve_against_forbidden_pages_in_parts()")


def test_parts_are_even_and_stay_in_the_second_level() -> None:
    """Up to half of that cache holds all weights; parts have a quarter of it, each."""
    caches = 32 << 10, 512 << 10, 8 << 20
    assert part(4096, 64, caches) == 4096
    assert part(4097, 64, caches) == 1366
    assert part(4608, 96, caches) == 1152
    assert part(18_432, 96, caches) == 1317
    assert part(3, 1 << 20, caches) == 1
    for taps in range(1, 400, 7):
        size = part(taps, 4096, caches)
        assert size == taps <= 64 or size <= 32
        assert -(-taps // size) * size - taps < size


def test_layers_with_parts() -> None:
    """4608 taps of ResNet's last stage where the second level has 512 KB, none of its first stages anywhere."""
    deep, early = (Case((n, n), (3, 3), padding=1, channels=c, filters=c) for n, c in ((7, 512), (56, 64)))
    small = NAMED["zen3"]._replace(caches=(32 << 10, 512 << 10, 32 << 20))
    for case in (deep, last(deep)):
        assert parted(case, small)
    for case in (early, last(early)):
        assert parted(case, small) == []
