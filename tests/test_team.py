"""Threads that watch for work: every task is done once, whoever calls, and nobody watches for long."""

from __future__ import annotations

import ctypes
import math
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from im2col import plan
from im2col.algorithms.implicit.prepared import PreparedLayer
from im2col.algorithms.implicit.shares import cut
from im2col.engine import team
from im2col.engine.compiler import assembly
from im2col.engine.host import usable_cpus
from im2col.engine.sequence import ARRAYS
from im2col.engine.target import NAMED

from .kit.processes import run_alone
from .kit.strategies import integers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray


several_cpus = pytest.mark.skipif(usable_cpus() < 2, reason="there is one CPU")
"""With one the team has nobody, and `test_one_cpu_has_a_team_of_nobody` looks at that."""


def layer(threads: int, seed: int = 0) -> tuple[Callable[..., NDArray[Any]], NDArray[Any], NDArray[Any]]:
    """Return a plan of several tasks, an image, and what it makes of it with one thread."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-9, 9, (1, 16, 40, 41)).astype(np.float32)
    w = rng.integers(-9, 9, (40, 16, 3, 3)).astype(np.float32)
    return plan(x.shape, w, padding=1, threads=threads), x, plan(x.shape, w, padding=1, threads=1)(x)


@pytest.mark.parametrize("shape", [(1, 16, 40, 41), (1, 64, 28, 28)])
def test_a_plan_of_several_tasks_is_one_call(monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]) -> None:
    """From the second call for arrays of a kind on, Python hands over two identities and nothing else."""
    x, w = integers(0, *shape), integers(1, 40, shape[1], 1, 1)
    convolve = plan(x.shape, w, threads=2, algorithm="implicit")
    first = convolve(x)
    monkeypatch.setattr(PreparedLayer, "__call__", lambda *_: pytest.fail("more than one call"))
    for scale in (1, 2, 3):
        np.testing.assert_array_equal(convolve(x * scale), first * scale)
    np.testing.assert_array_equal(first, np.einsum("nchw,kc->nkhw", x, w[..., 0, 0]))


def test_shares_of_ragged_maps_are_even() -> None:
    """A map of 3 tiles and a half is 2 for one thread and 1½ for the other, not 1 and 2½; one block is not cut."""
    runs: list[Any] = [SimpleNamespace(rows=3), SimpleNamespace(rows=1)]
    tables: Any = SimpleNamespace(blocks=[SimpleNamespace(blocks=1)], groups=1, runs=runs, weights_outweigh=False)
    one, other = cut(tables, 1, 2, 2)
    assert [[each.rows_of(run) for run in runs] for each in (one, other)] == [[(0, 2), (0, 0)], [(2, 3), (0, 1)]]


@pytest.mark.parametrize("threads", [2, 3, 5, 64])
def test_every_task_is_done_each_time(threads: int) -> None:
    """Of calls that follow at once, and of calls that come when all have gone to sleep."""
    convolve, x, expected = layer(threads)
    for i in range(300):
        out = np.full_like(expected, np.nan)
        convolve(x, out)
        np.testing.assert_array_equal(out, expected)
        if i % 50 == 0:
            time.sleep(20 * team.WATCHED_SECONDS)


def test_callers_at_the_same_time() -> None:
    """One of them has the team; the others get threads of a pool."""
    layers = [layer(2, seed) for seed in range(4)]

    def call(number: int) -> None:
        convolve, x, expected = layers[number % 4]
        for _ in range(60):
            np.testing.assert_array_equal(convolve(x), expected)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(call, range(6)))


def test_without_a_team_a_pool_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its kernels cannot be compiled."""
    convolve, x, expected = layer(2)
    monkeypatch.setattr(team, "_state", {"team": None})
    np.testing.assert_array_equal(convolve(x), expected)


@pytest.mark.parametrize(
    ("target", "words"), [("avx2", ["pause", "xchg", "lock"]), ("neon", ["yield", "ldaxr", "stlxr"])]
)
def test_words_are_watched_on_every_cpu(target: str, words: list[str]) -> None:
    """Threads that watch leave the CPU to others, and take what they find as one."""
    text = assembly(team._KERNELS[-1], NAMED[target])
    assert not [word for word in words if word not in text]


def test_nobody_watches_for_long() -> None:
    """Soon after a call the process uses no CPU."""
    convolve, x, _ = layer(2)
    for _ in range(20):
        convolve(x)
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.1


def test_a_call_that_was_interrupted_is_ended_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the threads still do of it is awaited before the next piece of work, and before the call ends."""
    large, w = np.ones((1, 64, 56, 56), np.float32), np.ones((64, 64, 3, 3), np.float32)
    convolve = plan(large.shape, w, threads=2, algorithm="implicit")  # exact, and worth waking threads
    convolve(large)
    threads = team._team()
    assert threads is not None
    latest, waited, wait = np.zeros(team.SHARES, np.int64), list[int](), threads._wait
    latest[team.TAKEN] = 2

    def one_leaves(block: int, turns: int) -> None:
        if block != latest.ctypes.data:
            wait(block, turns)
            return
        waited.append(1)
        latest[team.LEFT] += 1

    monkeypatch.setattr(threads, "_wait", one_leaves)
    monkeypatch.setattr(threads, "_latest", latest)
    assert (convolve(large) == 64 * 9).all()
    assert len(waited) == 2


@several_cpus
@pytest.mark.parametrize(
    ("slow", "expected"), [(1, ([1], [7, 8, 9, 10, 11, 12, 2, 3, 4, 5, 6])), (7, ([*range(1, 7), *range(8, 13)], [7]))]
)
def test_threads_begin_with_their_own_shares(
    monkeypatch: pytest.MonkeyPatch, slow: int, expected: tuple[list[int], list[int]]
) -> None:
    """They are the same tasks in each call; who has none left does what the others have not begun."""
    taken: dict[int, list[int]] = {}
    both, done = threading.Barrier(2), threading.Event()

    def take(number: int, *_: int) -> None:
        taken.setdefault(threading.get_ident(), []).append(number)
        if number in (1, 7):
            both.wait(10)
        if number == slow:
            done.wait(10)
        elif sum(map(len, taken.values())) == 12:
            done.set()

    function = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * (1 + ARRAYS))(take)
    monkeypatch.setattr(team, "required", lambda *_: function)
    tasks: Any = [SimpleNamespace(address=i) for i in range(1, 13)]
    together = team.Together(tasks, None, 2, worth_waking=True)
    for _ in range(3):
        taken.clear()
        done.clear()
        together.run_ids(*range(ARRAYS))
        assert (taken.pop(threading.get_ident()), *taken.values()) == expected


def counted(monkeypatch: pytest.MonkeyPatch, threads: team._Team) -> list[int]:
    """Return a list to which each piece of work adds how many threads it is given to."""
    run, woken = threads.run, list[int]()

    def run_and_count(block: NDArray[np.int64], others: int, ids: Sequence[int]) -> None:
        woken.append(others)
        run(block, others, ids)

    monkeypatch.setattr(threads, "run", run_and_count)
    return woken


@several_cpus
def test_a_small_layer_wakes_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless it comes right behind another: then the next one may, too. A large one wakes all."""
    convolve, x, expected = layer(2)
    large = np.ones((1, 64, 56, 56), np.float32)
    slow = plan(large.shape, np.ones((64, 64, 3, 3), np.float32), threads=2)
    convolve(x)
    slow(large)
    threads, clock = team._team(), [0.0]
    assert threads is not None

    def sleeping(call: Callable[..., Any], *arrays: NDArray[Any]) -> Any:
        while threads._words[team._ASLEEP] == 0:
            time.sleep(team.WATCHED_SECONDS)
        woken.clear()
        return call(*arrays)

    woken = counted(monkeypatch, threads)
    monkeypatch.setattr(threads, "ended", 0.0)
    monkeypatch.setattr(team, "time", SimpleNamespace(perf_counter=lambda: clock[0], sleep=time.sleep))
    for call, gap, wakes in ((convolve, 1, 0), (convolve, 0.5, 1), (convolve, 1, 0), (slow, 1, 1), (slow, 0.5, 1)):
        clock[0] += gap * 2 * team.WATCHED_SECONDS - 1e-9 * (gap < 1)
        y = sleeping(call, x if call is convolve else large)
        assert call is slow or (y == expected).all()
        assert len(woken) == wakes


@several_cpus
def test_threads_stay_awake_where_more_is_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small layer that comes late finds them; they go to sleep at last, and soon where no more is to come."""
    convolve, x, expected = layer(2)
    convolve(x)
    threads = team._team()
    assert threads is not None
    assert threads._patience[0] == threads._turns
    monkeypatch.setattr(team, "EXPECTED_SECONDS", 10.0)
    with team.expecting_more():
        assert threads._patience[0] > 1000 * threads._turns
        with team.expecting_more():
            convolve(x)
            threads.ended = -1.0
            woken = counted(monkeypatch, threads)
            while threads._words[team._ASLEEP]:
                threads.ended = math.inf  # one right behind another may wake them, however busy the machine is
                convolve(x)
        time.sleep(20 * team.WATCHED_SECONDS)
        woken.clear()
        threads.ended = -1.0
        np.testing.assert_array_equal(convolve(x), expected)
        assert woken == [1]
    deadline = time.perf_counter() + 5
    while not threads._words[team._ASLEEP]:
        assert time.perf_counter() < deadline
        time.sleep(team.WATCHED_SECONDS)
    assert threads._patience[0] == threads._turns


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="CPUs cannot be taken away here")
def test_one_cpu_has_a_team_of_nobody() -> None:
    """Layers of several tasks are computed all the same."""
    run_alone("test_team", "call_on_one_cpu()")


def call_on_one_cpu() -> None:
    """Take all CPUs but one away, and call with several threads."""
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    convolve, x, expected = layer(3)
    for _ in range(5):
        np.testing.assert_array_equal(convolve(x), expected)
    threads = team._team()
    assert threads is not None
    assert threads.most == 0
    sys.stdout.write("every byte in its place\n")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_has_a_team_of_its_own() -> None:
    """The parent's threads do not exist there."""
    run_alone("test_team", "call_in_a_child()")


def call_in_a_child() -> None:
    """Call, fork while threads watch, and call in both."""
    convolve, x, expected = layer(2)
    for _ in range(5):
        convolve(x)
    child = os.fork()
    for _ in range(5):
        np.testing.assert_array_equal(convolve(x), expected)
    if not child:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    sys.stdout.write("every byte in its place\n")


def shares_of(tasks: list[Any], threads: int) -> list[list[Any]]:
    """Return what each thread begins with."""
    ends = [len(tasks) * i // threads for i in range(threads + 1)]
    return [tasks[first:stop] for first, stop in pairwise(ends)]


@given(
    st.integers(1, 9), st.integers(1, 9), st.integers(1, 20), st.integers(1, 200), st.integers(1, 24), st.integers(2, 6)
)
def test_a_layer_is_cut_into_as_much_for_each(
    batch: int, groups: int, blocks: int, rows: int, wanted: int, threads: int
) -> None:
    """All of it, each part once; and whoever is free takes the next task, so that all end together."""
    for outweigh in (False, True):
        tables: Any = SimpleNamespace(
            groups=groups,
            blocks=[SimpleNamespace(blocks=blocks)],
            runs=[SimpleNamespace(rows=rows)],
            weights_outweigh=outweigh,
        )
        tasks = cut(tables, batch, wanted, threads)
        done = np.zeros((batch, groups, blocks, rows), np.int64)
        ends = [0.0] * min(threads, wanted)
        shares = shares_of(tasks, len(ends))
        for _ in tasks:
            free = ends.index(min(ends))
            task = next(share for share in shares[free:] + shares[:free] if share).pop(0)
            assert task.pieces == rows
            ranges = tuple(slice(*each) for each in (task.images, task.groups, task.blocks, task.rows))
            done[ranges] += 1
            work = done[ranges].size
            assert work
            ends[free] += work
        assert (done == 1).all()
        assert len(tasks) <= max(wanted, len(ends)) + len(ends)
        longest = max(batch, groups, blocks, rows)
        if longest >= 32 * len(ends) and wanted >= threads:
            assert max(ends) <= 1.1 * done.size / len(ends)
