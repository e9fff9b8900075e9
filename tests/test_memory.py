"""The one memory of the process: what it returns, how much it keeps, and that it can be emptied at any time."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

import im2col
from im2col import memory
from im2col.engine import cache, scratch, threads
from im2col.layers import phases
from im2col.memory import lazy, memoized

from .kit.processes import HANG_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KIB = 1 << 10


@pytest.fixture(autouse=True)
def _clear() -> Iterator[None]:
    """Start and end with nothing remembered."""
    memory.clear()
    yield
    memory.clear()


def kept() -> int:
    """Return the bytes of all that is remembered."""
    return memory.nbytes_of((memory._memory.young, memory._memory.old))


def table(kib: int) -> np.ndarray[Any, Any]:
    """Return an array of so many KiB."""
    return np.zeros(kib * KIB, np.uint8)


def test_what_was_computed_is_recalled() -> None:
    """The very object, until everything is forgotten; None is an answer like any other."""
    first = memory.recalled("key", partial(table, 1))
    assert memory.recalled("key", partial(table, 1)) is first
    assert memory.recalled("none", lambda: None) is None
    assert memory.recalled("none", lambda: 1) is None
    memory.clear()
    assert memory.recalled("key", partial(table, 1)) is not first
    assert memory.recall("none") is memory.NOTHING


def test_bytes_are_bounded_and_what_is_used_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many tables, those that are asked for all the time stay; those that nobody asks for go."""
    monkeypatch.setattr(memory, "KEPT_BYTES", 1000 * KIB)
    often = memory.recalled("often", partial(table, 50))
    most = 0
    for i in range(100):
        memory.recalled(("seldom", i), partial(table, 50))
        assert memory.recalled("often", partial(table, 1)) is often
        most = max(most, kept())
        assert most <= memory.KEPT_BYTES
    assert most > memory.KEPT_BYTES // 2
    assert memory.recall(("seldom", 0)) is memory.NOTHING
    assert memory.recall(("seldom", 99)) is not memory.NOTHING


def test_small_things_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys and Python's own objects count: so many empty results are forgotten as well."""
    monkeypatch.setattr(memory, "KEPT_BYTES", 64 * KIB)
    for i in range(3000):
        memory.recalled(("key", i), object)
        assert i % 100 or kept() <= memory.KEPT_BYTES
    assert memory.recall(("key", 0)) is memory.NOTHING


def test_what_grows_later_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lazy attributes of what is remembered are a part of it; what takes most of the bound is not kept."""
    monkeypatch.setattr(memory, "KEPT_BYTES", 1000 * KIB)

    class Layer:
        def __init__(self, kib: int) -> None:
            self.kib = kib

        @lazy
        def tables(self) -> np.ndarray[Any, Any]:
            return table(self.kib)

    @memoized
    def layer(kib: int) -> Layer:
        return Layer(kib)

    for kib in range(50, 90):
        assert layer(kib).tables.nbytes == kib * KIB
        assert kept() <= memory.KEPT_BYTES
    large = layer(900)
    assert large.tables.nbytes == 900 * KIB
    assert kept() <= memory.KEPT_BYTES
    assert layer(900) is not large


def test_what_is_shared_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that many results hold is measured before anything is dropped for it."""
    monkeypatch.setattr(memory, "KEPT_BYTES", 1000 * KIB)
    shared = table(100)
    for i in range(100):
        memory.recalled(i, lambda: [shared])
    assert memory.recall(0) is not memory.NOTHING


class _Pair(NamedTuple):
    table: Any
    compute: Callable[..., Any]


def test_nbytes_of_reaches_everything_once() -> None:
    """Through containers, attributes, partial functions, methods, views and circles, but not into the program."""
    held = table(100)

    class Holder:
        def __init__(self) -> None:
            self.mine = {"here": _Pair(held[10:], partial(max, held))}
            self.own = self

        def method(self) -> None:
            """Refer to its instance."""

    for thing in (
        [held],
        {held.nbytes: (held, held)},
        Holder(),
        [Holder().method],
        np.lib.stride_tricks.as_strided(held),
    ):
        assert 100 * KIB <= memory.nbytes_of(thing) < 103 * KIB
    assert memory.nbytes_of((np, test_nbytes_of_reaches_everything_once, Holder, len)) < KIB


def layers(turn: int) -> None:
    """Ask for a variety of pads, kernels and layers that no other turn asks for."""
    for i in range(2):
        image = np.ones((2, 20 + 2 * turn + i, 24), np.float32)  # rows as long as before share kernels
        im2col.im2col(image, 3, padding=100 * i + turn, padding_mode="reflect", threads=1)
        im2col.overlap_count(image.shape, 3, padding=50 * i + turn, padding_mode="wrap")
        im2col.conv2d(image, np.ones((4, 2, 3, 3), np.float32), padding=1, padding_mode="edge", threads=1)
    volume, w = np.ones((1, 2, 48, 48 + turn, 16), np.float32), np.ones((4, 2, 3, 3, 3), np.float32)
    grad = np.ones((1, 4, 46, 46 + turn, 14), np.float32)
    im2col.conv3d(volume, w, padding=1, threads=1)
    im2col.conv_weight_gradient(volume, grad, (3, 3, 3), threads=1)
    im2col.conv_input_gradient(grad, w, volume.shape, threads=1)


def test_layers_of_many_shapes_stay_within_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that calls leave behind, as the allocator sees it; after `clear_cache` it is next to nothing."""
    monkeypatch.setattr(cache, "clear", lambda: 0)  # the kernels on disk, which other tests want
    monkeypatch.setattr(memory, "KEPT_BYTES", 1 << 20)
    for turn in range(2):
        layers(turn)  # loads what is loaded once
    im2col.clear_cache()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for turn in range(2, 6):
            layers(turn)
        scratch.clear()
        gc.collect()
        left = tracemalloc.get_traced_memory()[0] - before
        assert kept() <= memory.KEPT_BYTES
        assert memory.KEPT_BYTES // 4 < left < memory.KEPT_BYTES + (256 << 10)
        im2col.clear_cache()
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 256 << 10
    finally:
        tracemalloc.stop()
    assert not memory._memory.young
    assert not memory._memory.old


def test_two_threads_use_what_a_third_forgets() -> None:
    """Results stay right, through padded copies and gradients, while everything is forgotten again and again."""
    x = np.random.default_rng(0).standard_normal((1, 2, 9, 9))
    w = np.random.default_rng(1).standard_normal((3, 2, 3, 3))
    options: dict[str, Any] = {"padding": 2, "padding_mode": "reflect", "threads": 1}
    grad = im2col.conv(x, w, **options)
    expected = grad, im2col.conv_input_gradient(grad, w, x.shape, **options)
    stop = threading.Event()

    def forget() -> None:
        while not stop.is_set():
            memory.clear()

    def use(_: int) -> bool:
        found = im2col.conv(x, w, **options), im2col.conv_input_gradient(grad, w, x.shape, **options)
        return all(map(np.array_equal, found, expected))

    with ThreadPoolExecutor(3) as pool:
        pool.submit(forget)
        assert all(pool.map(use, range(60)))
        stop.set()


def test_bands_keep_their_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was handed out runs on, though everything is forgotten before it runs."""
    x = np.random.default_rng(0).standard_normal((1, 4, 240, 240)).astype(np.float32)
    w = np.random.default_rng(1).standard_normal((4, 4, 4, 4)).astype(np.float32)
    expected = im2col.conv_transpose(x, w, stride=2, threads=1)
    run, calls = threads.run_parallel, []

    def later(tasks: Any, workers: int) -> None:
        calls.append(len(tasks))
        memory.clear()
        gc.collect()
        noise = [np.full(n, -1) for n in range(1, 200)]
        run(tasks, workers)
        assert len(noise) == 199

    monkeypatch.setattr(phases, "run_parallel", later)
    assert np.array_equal(im2col.conv_transpose(x, w, stride=2, threads=1), expected)
    assert calls


FORK = """
import os, threading
from im2col import memory

held, done = threading.Event(), threading.Event()

def hold():
    with memory._memory.lock:
        held.set()
        done.wait()

threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if child == 0:
    os._exit(memory.recalled("key", lambda: 7) != 7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
done.set()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_waits_for_no_thread_of_its_parent() -> None:
    """A lock that another thread held at the time is not held in the child."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK], capture_output=True, text=True, timeout=HANG_SECONDS, check=True
    )
    assert done.stdout == "0\n"


def test_no_attribute_waits_for_another_objects() -> None:
    """On Python 3.11 ``functools.cached_property`` holds a lock a child forked meanwhile never gets: see `lazy`."""
    sources = {path.name: path.read_text() for path in Path(im2col.__file__).parent.rglob("*.py")}
    assert [name for name, text in sources.items() if "import cached_property" in text] == []
