"""Taps that are multiplied part by part, where their weights leave the second level of cache."""

from __future__ import annotations

import itertools
import os
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from im2col.algorithms.implicit.decide import decide
from im2col.algorithms.implicit.tasks import FAR_TASK, Far
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

    from im2col.algorithms.implicit.tables import Tables
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
    "bands": Case((24, 43), (3, 3), padding=1, batch=2, channels=5, filters=19, bias=True),
    "many small images": Case((3, 5), (3, 3), padding=1, batch=36, channels=7, filters=9),
    "3-d": Case((3, 4, 5), (2, 3, 3), padding=1, channels=7, filters=18),
    "doubles": Case((7, 9), (3, 3), padding=1, channels=13, filters=21, dtype="float64", bias=True),
    "integers": Case((7, 9), (3, 3), padding=1, channels=13, filters=21, dtype="int32", bias=True),
    "bytes": Case((7, 9), (3, 3), padding=1, channels=29, filters=21, dtype="int8", bias=True),
}


def tables_of(case: Case, target: Target) -> Tables:
    """Return what a layer's kernels are called with."""
    decision = decide(problem_of(case, case.dtype), target)
    return decision.tables(decision.view)


def parted(case: Case, target: Target) -> list[tuple[int, int]]:
    """Return taps of a part and all taps, for each kernel of a layer that has parts."""
    tables, found = tables_of(case, target), []
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


@pytest.mark.parametrize(("name", "cpu"), one_in(5, itertools.product(PARTS, CPUS)))
@pytest.mark.parametrize("channels", ["first", "last"])
def test_results(channels: str, name: str, cpu: str) -> None:
    """As of all taps at once, wherever the result lies, and whatever it held before."""
    with by_filters(CPUS[cpu]):
        case = PARTS[name] if channels == "first" else last(PARTS[name])
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


def test_bands_and_images_together() -> None:
    """Of the layers above, one has maps of several bands, and one so small maps that many are taken together."""
    with by_filters(CPUS["host"]):
        tables = {name: tables_of(PARTS[name], CPUS["host"]).far for name in ("bands", "many small images")}
    assert [(far.bands, far.images) for far in tables.values() if far] == [(3, 1), (1, 34)]


def test_images_that_follow_are_read_where_they_lie() -> None:
    """Those that share weights with the first ones, and those behind them."""
    for case in (PARTS["many small images"], PARTS["bands"], replace(PARTS["1×1"], batch=3)):
        with by_filters(CPUS["host"]):
            judge(case)
            judge(last(case))


@pytest.mark.parametrize(("name", "cpu"), one_in(5, itertools.product(PARTS, CPUS)))
def test_the_same_bits(name: str, cpu: str) -> None:
    """For any threads, any batch, and wherever the result lies: parts depend on the layer and the CPU alone."""
    with by_filters(CPUS[cpu]):
        for case in (PARTS[name], last(PARTS[name])):
            assert_same_bits(case)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_results_that_hold_no_sums(dtype: str) -> None:
    """Sums of half floats are wider than results: there are no parts, but turns all the same."""
    case = replace(PARTS["dense"], dtype=dtype)
    with by_filters(CPUS["host"]):
        assert parted(case, CPUS["host"]) == []
        assert tables_of(case, CPUS["host"]).far is not None
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


@pytest.mark.parametrize(
    ("taps", "part", "tap_bytes", "tiles"),
    [(30, 10, 96, (2, 3)), (7, 7, 64, (2,)), (11, 4, 48, (70, 5)), (9, 9, 16, (4, 1, 1))],
)
def test_turns(taps: int, part: int, tap_bytes: int, tiles: tuple[int, ...]) -> None:
    """Block by block, part by part; together tiles ask for all the bytes of a turn's weights, at even steps, once."""
    far = Far(taps, (part,), (tap_bytes,), 1, 1, (0, 0))
    tables = far.tasks(0, 1, (0, 1), (2, 4), [((0, 1), count) for count in tiles], fetching=True)
    turns = [[dict(zip(FAR_TASK, words, strict=True)) for words in table.tolist()] for table in tables]
    starts = range(0, taps, part)
    wanted = [(block, block + 1, at, min(at + part, taps)) for block in (2, 3) for at in starts]
    for tasks in turns:
        assert [tuple(task[word] for word in ("block0", "block1", "part0", "part1")) for task in tasks] == wanted
    for run in zip(*turns, strict=True):
        size, step, asked = run[0]["part1"] - run[0]["part0"], run[0]["step"], []
        for task, count in zip(run, tiles, strict=True):
            numbers = range(task["tile"], min(task["tile"] + count, task["last"] + 1))
            asked += [(number * size + tap) * step for number in numbers for tap in range(size)]
        end = asked[-1] + step
        assert asked == list(range(0, end, step))
        assert end - size * step < size * tap_bytes <= end


def test_turns_that_fetch_nothing() -> None:
    """Where what comes next does not lie behind, or one tile takes all blocks in one turn: tiles ask for one byte."""
    far = Far(9, (9,), (64,), 1, 1, (0, 0))
    (several,) = far.tasks(0, 1, (0, 1), (0, 1), [((0, 5), 2)], fetching=False)
    (alone,) = far.tasks(0, 1, (0, 1), (2, 7), [((3, 4), 1)], fetching=True)
    for table, blocks in ((several, (0, 1)), (alone, (2, 7))):
        (task,) = (dict(zip(FAR_TASK, words, strict=True)) for words in table.tolist())
        assert (task["block0"], task["block1"]) == blocks
        assert task["step"] == task["last"] == 0


def test_layers_with_parts() -> None:
    """4608 taps of ResNet's last stage where the second level has 512 KB, none of its first stages anywhere."""
    deep, early = (Case((n, n), (3, 3), padding=1, channels=c, filters=c) for n, c in ((7, 512), (56, 64)))
    small = NAMED["zen3"]._replace(caches=(32 << 10, 512 << 10, 32 << 20))
    for case in (deep, last(deep)):
        assert parted(case, small)
    for case in (early, last(early)):
        assert parted(case, small) == []
