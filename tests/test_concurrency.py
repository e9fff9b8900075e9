"""Plans and one-shot calls of the engine in threads, forks and processes; pickles; what a call allocates."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from im2col import conv, plan
from im2col.engine import compiler

from .kit.budget import peak_of
from .kit.layers import LAYERS, Case, assert_within, dtype_of, expected, last
from .kit.outcomes import require
from .kit.processes import HANG_SECONDS
from .kit.selection import one_in

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from im2col.layers.plan import Plan

    Array = NDArray[Any]

REPOSITORY = Path(__file__).parents[1]
SHARED = {
    "no copy": Case((30, 31), (3, 3), padding=1, channels=32, filters=48),
    "padded copy": Case((30, 31), (3, 3), padding=1, channels=32, filters=48, mode="reflect", batch=2),
    "converted copy": Case((30, 31), (3, 3), padding=1, channels=32, filters=48, dtype="float16"),
    "image": Case((300, 300), (5, 5), padding=2),
    "depthwise": Case((40, 40), (3, 3), padding=1, groups=40, layout="NHWC"),
    "masks": Case((21, 37), (3, 3), stride=2, padding=1, channels=3, filters=5),
}
"""Layers with and without a copy of the image."""


@pytest.fixture(autouse=True)
def _engine() -> None:
    """Ask for the engine: nothing else has kernels."""
    require("llvmlite")


def plan_of(case: Case, w: Array, bias: Array | None = None, **options: Any) -> Plan:
    """Return the plan of a case."""
    return plan(case.x_shape, w, bias, x_dtype=dtype_of(case.dtype), algorithm="implicit", **case.options, **options)


# Threads.


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", SHARED)
def test_a_plan_in_many_threads(name: str, threads: int) -> None:
    """Calls that overlap, with images and results of their own, also strided ones, give the bits of a lonely call."""
    case = SHARED[name]
    _, w, bias = case.arrays()
    prepared = plan_of(case, w, bias, threads=threads)
    images = [replace(case, seed=seed).arrays()[0] for seed in range(4)]
    alone = [prepared(x) for x in images]
    barrier = threading.Barrier(8)

    def call(i: int) -> bool:
        x, right = images[i % 4], alone[i % 4]
        wide = np.full((*right.shape[:-1], right.shape[-1] + 3), np.nan, right.dtype)
        outs = [np.full_like(right, np.nan), wide[..., 1:-2]]
        barrier.wait(HANG_SECONDS)
        results = [prepared(x, outs[n % 2]).tobytes() for n in range(12)]
        return all(result == right.tobytes() for result in results)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(call, range(8)))


def test_one_image_for_all() -> None:
    """Many threads read the same image and the same plan, and write results of their own."""
    case = SHARED["padded copy"]
    x, w, _ = case.arrays()
    prepared = plan_of(case, w, threads=2)
    with ThreadPoolExecutor(6) as pool:
        results = {result.tobytes() for result in pool.map(lambda _: prepared(x), range(40))}
    assert results == {prepared(x).tobytes()}


def test_first_calls_at_once() -> None:
    """A new plan, whose first call is made by many threads at the same time."""
    for number, name in enumerate(SHARED):
        case = SHARED[name]
        x, w, bias = case.arrays()
        exact, bound = expected(case, x, w, bias)
        barrier = threading.Barrier(6)
        prepared = plan_of(case, w, bias, threads=1 + number % 3)

        def call(_: int, p: Plan = prepared, x: Array = x, barrier: threading.Barrier = barrier) -> Array:
            barrier.wait(HANG_SECONDS)
            return p(x)

        with ThreadPoolExecutor(6) as pool:
            for result in pool.map(call, range(6)):
                assert_within(result, exact, bound)


COLD = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
from tests.kit.layers import Case, judge
from tests.test_concurrency import SHARED

barrier = threading.Barrier(12)
cases = [*SHARED.values()][int(sys.argv[1]) :: 2] * 4

def call(i):
    barrier.wait(900)
    judge(cases[i])
    return True

if __name__ == "__main__":
    with ThreadPoolExecutor(12) as pool:
        assert all(pool.map(call, range(12)))
"""


def run_script(tmp_path: Path, text: str, *arguments: str, **environment: str) -> None:
    """Run a script in a process of its own, which may not hang."""
    script = tmp_path / "script.py"
    script.write_text(text)
    paths = os.pathsep.join([str(REPOSITORY), *sys.path])
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        env=os.environ | {"PYTHONPATH": paths} | environment,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("first", one_in(2, "01"))
def test_one_shot_calls_at_once_on_a_cold_cache(first: str, tmp_path: Path) -> None:
    """The first calls of a process, many at once, before any kernel was compiled, and then from the cache."""
    cache = str(tmp_path / "cache")
    run_script(tmp_path, COLD, first, IM2COL_CACHE_DIR=cache)
    run_script(tmp_path, COLD, first, IM2COL_CACHE_DIR=cache)


@pytest.mark.wide
def test_processes_that_share_a_cold_cache(tmp_path: Path) -> None:
    """Several processes that compile the same kernels at once."""
    with ThreadPoolExecutor(3) as pool:
        folders = [tmp_path / str(i) for i in range(3)]
        for folder in folders:
            folder.mkdir()
        list(pool.map(lambda f: run_script(f, COLD, "0", IM2COL_CACHE_DIR=str(tmp_path / "cache")), folders))


def test_the_gil_is_released() -> None:
    """While a kernel runs, another Python thread makes progress."""
    case = Case((64, 64), (3, 3), padding=1, channels=128, filters=256, batch=4)
    x, w, _ = case.arrays()
    prepared = plan_of(case, w, threads=1)
    out = prepared(x)
    ticks: list[float] = []
    stop = threading.Event()

    def tick() -> None:
        while not stop.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.0005)

    ticker = threading.Thread(target=tick)
    ticker.start()
    # A call is one kernel after another, tens of milliseconds: with the GIL held, only its very edges would tick.
    try:
        for _ in range(500):  # where others keep every CPU busy, the ticker may miss a few calls
            start = time.perf_counter()
            prepared(x, out)
            end = time.perf_counter()
            quarter = (end - start) / 4
            if sum(start + quarter < t < end - quarter for t in ticks) >= 3:
                return
    finally:
        stop.set()
        ticker.join()
    pytest.fail("nothing else ran in the midst of a call")


# Processes.

PROCESSES = """
import faulthandler, multiprocessing, os, sys, threading
import numpy as np
from im2col import conv, plan
from im2col.engine.host import usable_cpus
from tests.kit.layers import judge
from tests.test_concurrency import SHARED, plan_of
from dataclasses import replace

NAMES = list(SHARED)
PLANS = {}

def right(number):
    name = NAMES[number % len(NAMES)]
    judge(replace(SHARED[name], threads=1 + number % 4, seed=number))
    if name in PLANS:  # inherited by a fork
        prepared, x, expected = PLANS[name]
        assert prepared(x).tobytes() == expected
    return True

def run(argument):
    prepared, x, expected = argument
    return prepared(x).tobytes() == expected

def forks(number):
    child = os.fork()
    if child == 0:
        faulthandler.dump_traceback_later(600, exit=True)  # a child that hangs says where
        answer = right(number) and right(number + 1)
        judge(replace(SHARED["no copy"], threads=3, batch=2))  # enough to wake a thread for
        helped = usable_cpus() == 1 or any(thread.name.startswith("im2col_") for thread in threading.enumerate())
        os._exit(0 if answer and helped else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

if __name__ == "__main__":
    for name, case in SHARED.items():
        x, w, bias = case.arrays()
        prepared = plan_of(case, w, bias, threads=3)
        PLANS[name] = prepared, x, prepared(x).tobytes()
    assert right(3)  # the pool of threads is warm before the fork
    if sys.argv[1] == "fork":
        assert [forks(i) for i in range(6)] == [0] * 6
    else:
        with multiprocessing.get_context(sys.argv[1].removeprefix("pool-")).Pool(2) as pool:
            assert all(pool.map(right, range(12)))
            assert all(pool.map(run, PLANS.values()))  # plans as pickles
    assert right(3)
"""


@pytest.mark.parametrize("how", one_in(4, ["fork", "pool-fork", "pool-spawn", "pool-forkserver"]))
def test_processes(how: str, tmp_path: Path) -> None:
    """After a fork, and in multiprocessing, calls and plans are right, have threads, and nothing hangs."""
    if how != "pool-spawn" and not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    run_script(tmp_path, PROCESSES, how)


@pytest.mark.parametrize("children", one_in(2, [3, 8]))
def test_a_fork_while_kernels_run(children: int, tmp_path: Path) -> None:
    """Children that are forked while other threads convolve and compile give right answers."""
    if not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    text = PROCESSES.split("if __name__", maxsplit=1)[0] + (
        """
if __name__ == "__main__":
    assert right(0)  # modules are imported: Python itself lets a child inherit the lock of one that is not
    stop = threading.Event()
    def busy(number):
        while not stop.is_set():
            judge(replace(SHARED[NAMES[number]], filters=number + 1, threads=2))
    threads = [threading.Thread(target=busy, args=(i,)) for i in range(3)]
    [t.start() for t in threads]
    try:
        codes = [forks(4 * i) for i in range(int(sys.argv[2]))]
    finally:
        stop.set()
        [t.join() for t in threads]
    assert not any(codes), codes
"""
    )
    run_script(tmp_path, text, "fork", str(children))


# Plans as values.


@pytest.mark.parametrize("name", ["dense", "image 5×5", "depthwise", "bias and relu", "1-d", "batch"])
def test_pickles(name: str) -> None:
    """A plan comes back equal, with the same hash, and gives the same bits."""
    case = last(LAYERS[name])
    x, w, bias = case.arrays()
    prepared = plan_of(case, w, bias, threads=2)
    for before in (True, False):  # a plan that has not run yet, and one that has
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            restored = pickle.loads(pickle.dumps(prepared, protocol))  # noqa: S301 (our own)
            assert restored == prepared
            assert hash(restored) == hash(prepared)
            assert (restored.algorithm, restored.threads) == ("implicit", 2)
            if not before:
                assert restored(x).tobytes() == prepared(x).tobytes()
        prepared(x)


def test_equality() -> None:
    """Plans are equal if they were made from the same: shape, options, weights and bias, by their values."""
    case = SHARED["no copy"]
    _, w, _ = case.arrays()
    bias = np.arange(48, dtype=np.float32)
    first, same = plan_of(case, w, bias, threads=1), plan_of(case, w.copy(order="F"), bias.copy(), threads=1)
    assert first == same
    assert len({first, same}) == 1
    changed = w.copy()
    changed[-1, -1, -1, -1] += 1
    others = [
        plan_of(case, changed, bias, threads=1),
        plan_of(case, w, bias + 1, threads=1),
        plan_of(case, w, threads=1),
        plan_of(case, w, bias, threads=2),
        plan_of(replace(case, activation="relu"), w, bias, threads=1),
        plan_of(replace(case, batch=2), w, bias, threads=1),
        plan_of(last(replace(case, spatial=(30, 31))), w, bias, threads=1),
    ]
    assert all(first != other for other in others)
    assert len({first, *others}) == 1 + len(others)


def test_plans_do_not_change() -> None:
    """Nothing can be set, and weights that change afterwards change no plan that has run."""
    case = SHARED["no copy"]
    x, w, _ = case.arrays()
    prepared = plan_of(case, w, threads=1)
    once = prepared(x).tobytes()
    w *= 2
    assert prepared(x).tobytes() == once
    with pytest.raises(AttributeError):
        prepared.threads = 5


def test_one_shot_calls_remember_no_values() -> None:
    """Weights that change in place between two calls change the result."""
    case = SHARED["no copy"]
    x, w, _ = case.arrays()
    first = conv(x, w, algorithm="implicit", **case.options)
    w *= 2
    np.testing.assert_array_equal(conv(x, w, algorithm="implicit", **case.options), 2 * first)


# What a call allocates.

LARGE = {
    "no copy": Case((64, 64), (3, 3), padding=1, channels=64, filters=64),
    "no copy, channels last": last(Case((64, 64), (3, 3), padding=1, channels=64, filters=64)),
    "padded with reflections": Case((64, 64), (3, 3), padding=2, channels=64, filters=64, mode="reflect", batch=2),
    "padded around": last(Case((64, 64), (3, 3), padding=2, channels=64, filters=64, mode="wrap")),
    "padded by a value": Case((512, 512), (3, 3), padding=9, mode="constant", value=1),
    "padded at the edge": Case((512, 600), (5, 5), padding=2, mode="edge"),
    "converted": Case((64, 64), (3, 3), padding=1, channels=64, filters=64, dtype="float16"),
    "integers": Case((64, 64), (3, 3), padding=1, channels=64, filters=64, dtype="uint8"),
    "depthwise": Case((64, 64), (3, 3), padding=1, groups=96),
}
"""A copy of the image or of the matrix would take a megabyte or more."""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", LARGE)
def test_the_second_call_allocates_nothing(name: str, threads: int) -> None:
    """Neither a copy of the image nor of the result, after the first call in a thread: a few small objects.

    And NumPy's buffer for a line of a border, which is copied within one array.
    """
    case = LARGE[name]
    x, w, _ = case.arrays()
    prepared = plan_of(case, w, threads=threads)
    out = prepared(x)
    prepared(x, out)
    assert min(peak_of(lambda: prepared(x, out)) for _ in range(3)) < 64 << 10


@pytest.mark.parametrize("name", ["no copy", "padded with reflections"])
def test_the_second_call_with_strides_of_its_own_allocates_nothing(name: str) -> None:
    """Nor where image and result are parts of larger arrays."""
    case = LARGE[name]
    x, w, _ = case.arrays()
    wide = np.zeros((*x.shape[:-1], x.shape[-1] + 3), x.dtype)
    view = wide[..., 1:-2]
    view[...] = x
    prepared = plan_of(case, w, threads=1)
    right = prepared(x)
    out = np.zeros((*right.shape[:-1], right.shape[-1] + 3), right.dtype)[..., 1:-2]
    prepared(view, out)
    assert peak_of(lambda: prepared(view, out)) < 64 << 10
    np.testing.assert_array_equal(out, right)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", LARGE)
def test_plans_keep_their_word_on_memory(name: str, threads: int) -> None:
    """What a new plan and its first call allocate is what it says, and small tables; never a column matrix."""
    case = LARGE[name]
    x, w, _ = case.arrays()
    out = plan_of(case, w, threads=threads)(x)  # kernels are compiled now

    def first() -> None:
        plan_of(case, w, threads=threads)(x, out)

    said = plan_of(case, w, threads=threads).workspace_bytes
    peak = peak_of(first)
    assert peak <= said + (2 << 20) * threads
    matrix = case.channels * case.groups * 9 * out.size // max(1, case.filters * case.groups) * x.itemsize
    assert said < matrix
    assert compiler.failure() is None
