"""BLAS held to one thread: while anyone needs it, and back to what it was when nobody does."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import threadpoolctl

from im2col import conv
from im2col.engine import gather
from im2col.engine.blas import single_threaded_blas

from .kit.processes import HANG_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator


def libraries() -> list[dict[str, Any]]:
    """Return what threadpoolctl knows of NumPy's BLAS."""
    found: list[dict[str, Any]] = threadpoolctl.threadpool_info()
    return [lib for lib in found if lib["user_api"] == "blas" and "numpy" in lib["filepath"]]


def blas_threads() -> list[int]:
    """Return how many threads NumPy's BLAS may use, as its library says."""
    return [lib["num_threads"] for lib in libraries()]


def set_blas(threads: int) -> None:
    """Set the limit from a thread that ends at once: threadpoolctl lets no other thread change it while one lives."""
    thread = threading.Thread(target=threadpoolctl.threadpool_limits, args=(threads, "blas"))
    thread.start()
    thread.join()


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    """Start with a limit that is neither 1 nor the default."""
    if {lib.get("threading_layer") for lib in libraries()} != {"pthreads"}:
        pytest.skip("NumPy's BLAS is not one that threadpoolctl can set for the whole process")
    before = blas_threads()
    set_blas(3)
    assert set(blas_threads()) == {3}, "an earlier use still holds BLAS"
    yield
    set_blas(before[0])


def test_the_limit_is_set_and_restored() -> None:
    """One thread inside, as many as before outside."""
    with single_threaded_blas():
        assert set(blas_threads()) == {1}
    assert set(blas_threads()) == {3}


def test_uses_may_be_nested() -> None:
    """The inner use ends without freeing BLAS; the outer one does."""
    with single_threaded_blas():
        with single_threaded_blas():
            assert set(blas_threads()) == {1}
        assert set(blas_threads()) == {1}
    assert set(blas_threads()) == {3}


def test_uses_may_overlap() -> None:
    """The first to come may be the first to leave; the last one restores."""
    first, second = ExitStack(), ExitStack()
    first.enter_context(single_threaded_blas())
    second.enter_context(single_threaded_blas())
    first.close()
    assert set(blas_threads()) == {1}
    second.close()
    assert set(blas_threads()) == {3}


def test_uses_of_two_threads_may_overlap() -> None:
    """The same where each is in a thread of its own, and the first lives on: BLAS is free again at once."""
    first_in, second_in, first_out, over = (threading.Event() for _ in range(4))

    def first() -> None:
        with single_threaded_blas():
            first_in.set()
            second_in.wait(10)
        first_out.set()
        over.wait(10)

    thread = threading.Thread(target=first)
    thread.start()
    first_in.wait(10)
    with single_threaded_blas():
        second_in.set()
        first_out.wait(10)
        inside = set(blas_threads())
    outside = set(blas_threads())
    over.set()
    thread.join()
    assert (inside, outside) == ({1}, {3})


def test_the_limit_is_restored_after_an_error() -> None:
    """An exception inside restores it too."""
    with pytest.raises(KeyError), single_threaded_blas():
        raise KeyError
    assert set(blas_threads()) == {3}


def test_a_limit_that_the_caller_holds_is_tightened() -> None:
    """Within a caller's own threadpool_limits BLAS is held to one thread all the same, and goes back to that limit."""
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        assert set(blas_threads()) == {2}
        with single_threaded_blas():
            assert set(blas_threads()) == {1}
        assert set(blas_threads()) == {2}
    assert set(blas_threads()) == {3}


def test_many_threads_restore_once() -> None:
    """Uses from many threads, in whatever order they end, leave what was there."""

    def use(_: int) -> set[int]:
        with single_threaded_blas():
            return set(blas_threads())

    with ThreadPoolExecutor(8) as pool:
        assert all(seen == {1} for seen in pool.map(use, range(64)))
    assert set(blas_threads()) == {3}


def test_calls_from_many_threads_leave_blas_as_it_was() -> None:
    """After convolutions from several threads, which overlap, BLAS may use as many threads as before."""
    x, w = np.ones((1, 4, 64, 64)), np.ones((4, 4, 3, 3))
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: conv(x, w, algorithm="explicit", threads=1), range(64)))
        assert set(blas_threads()) == {3}
    assert all((result == 36).all() for result in results)


@pytest.mark.parametrize("threads", [1, 2])
def test_conv_multiplies_in_one_thread_each(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a matrix is made and multiplied BLAS is held to one thread, and free again when conv returns or fails."""
    copied, seen = gather.copy, set[int]()

    def copy(*arguments: Any, **options: Any) -> Any:
        seen.update(blas_threads())
        return copied(*arguments, **options)

    monkeypatch.setattr(gather, "copy", copy)
    x, w = np.ones((4, 1, 8, 8)), np.ones((1, 1, 3, 3))
    conv(x, w, algorithm="explicit", threads=threads)
    assert seen == {1}
    assert set(blas_threads()) == {3}

    def fail(*_: Any, **__: Any) -> None:
        raise OSError

    monkeypatch.setattr(gather, "copy", fail)
    with pytest.raises(OSError, match=r"\A\Z"):
        conv(x, w, algorithm="explicit", threads=threads)
    assert set(blas_threads()) == {3}


FORK = """
import os, threading, threadpoolctl
import numpy as np
from im2col.engine.blas import single_threaded_blas

def threads():
    libraries = threadpoolctl.threadpool_info()
    return {lib["num_threads"] for lib in libraries if lib["user_api"] == "blas" and "numpy" in lib["filepath"]}

setter = threading.Thread(target=threadpoolctl.threadpool_limits, args=(3, "blas"))
setter.start()
setter.join()
with single_threaded_blas():
    child = os.fork()
    if child == 0:
        freed = threads()
        with single_threaded_blas():
            held = threads()
        os._exit(0 if (freed, held, threads()) == ({3}, {1}, {3}) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert threads() == {1}
assert threads() == {3}
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_starts_afresh() -> None:
    """A child that is forked while BLAS is held has no use under way: it is free there, and can be held again."""
    subprocess.run([sys.executable, "-c", FORK], check=True, timeout=HANG_SECONDS)
