"""Threads: how many a call uses, and the pool they run in."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from im2col import set_threads
from im2col.engine import blas, host, threads
from im2col.errors import ArgumentError

from .kit.outcomes import missing, raises_exactly, require
from .kit.processes import HANG_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _default_setting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start and leave every test without a setting, on a machine of six CPUs."""
    monkeypatch.delenv("IM2COL_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "usable_cpus", lambda: 6)
    set_threads(None)
    yield
    set_threads(None)


def test_a_setting_for_a_while() -> None:
    """It is what it was before, also after an error."""
    set_threads(2)

    def fail() -> None:
        with threads.threads_for(5):
            assert threads.resolve_threads(None) == 5
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert threads.resolve_threads(None) == 2
    with threads.threads_for(None):
        assert threads.resolve_threads(None) == 6
    with pytest.raises(ArgumentError), threads.threads_for(0):
        pass
    assert threads.resolve_threads(None) == 2


def test_the_nearest_setting_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call's own argument, then the process's setting, then the environment, then the machine."""
    assert threads.resolve_threads(None) == 6
    monkeypatch.setenv("IM2COL_NUM_THREADS", "5")
    assert threads.resolve_threads(None) == 5
    set_threads(4)
    assert threads.resolve_threads(None) == 4
    assert threads.resolve_threads(3) == 3
    set_threads(None)
    assert threads.resolve_threads(np.int16(2)) == 2  # type: ignore[arg-type]
    monkeypatch.setenv("IM2COL_NUM_THREADS", "")
    assert threads.resolve_threads(None) == 6


@pytest.mark.parametrize("wrong", [0, -3, True, 2.0, "4", [2], np.True_, np.array(2.5), np.array([1, 2])])
def test_wrong_numbers_of_threads_are_refused(wrong: Any) -> None:
    """Only positive integers are numbers of threads."""
    with raises_exactly(ArgumentError, f"threads must be a positive integer or None, got {wrong!r}"):
        threads.resolve_threads(wrong)
    with raises_exactly(ArgumentError, f"set_threads: threads must be a positive integer or None, got {wrong!r}"):
        set_threads(wrong)
    assert threads.resolve_threads(None) == 6


@pytest.mark.parametrize(("text", "shown"), [("0", "0"), ("-2", "'-2'"), ("all", "'all'"), ("1.5", "'1.5'")])
def test_a_wrong_environment_is_refused(monkeypatch: pytest.MonkeyPatch, text: str, shown: str) -> None:
    """The error names the variable; a call that says its threads does not ask it."""
    monkeypatch.setenv("IM2COL_NUM_THREADS", text)
    message = "the environment variable IM2COL_NUM_THREADS must be a positive integer, got " + shown
    with raises_exactly(ArgumentError, message):
        threads.resolve_threads(None)
    assert threads.resolve_threads(1) == 1


@pytest.mark.parametrize("count", [0, 1, 2, 7, 50])
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_every_task_runs_once(count: int, workers: int) -> None:
    """However many tasks and workers there are."""
    ran: list[int] = []
    threads.run_parallel([lambda i=i: ran.append(i) for i in range(count)], workers)  # type: ignore[misc]
    assert sorted(ran) == list(range(count))


def test_one_thread_is_the_caller() -> None:
    """With one thread, tasks run here and in order; no pool is asked for."""
    ran: list[tuple[int, int]] = []
    tasks = [lambda i=i: ran.append((i, threading.get_ident())) for i in range(5)]
    threads.run_parallel(tasks, 1)
    assert ran == [(i, threading.get_ident()) for i in range(5)]


@pytest.mark.parametrize("workers", [2, 4])
def test_tasks_run_at_the_same_time(workers: int) -> None:
    """As many tasks as workers can wait for each other, and the caller is one of the workers."""
    meeting = threading.Barrier(workers, timeout=HANG_SECONDS)
    idents: list[int] = []

    def meet() -> None:
        idents.append(threading.get_ident())
        meeting.wait()

    threads.run_parallel([meet] * workers, workers)
    assert len(set(idents)) == workers
    assert threading.get_ident() in idents


def test_no_more_threads_than_allowed() -> None:
    """At no time do more tasks run than there are threads."""
    lock, running, most = threading.Lock(), 0, 0

    def count() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.002)
        with lock:
            running -= 1

    threads.run_parallel([count] * 20, 3)
    assert most <= 3


@pytest.mark.parametrize("workers", [1, 3])
def test_the_error_of_a_task_is_raised(workers: int) -> None:
    """It reaches the caller, tasks that have not started are dropped, and the pool still works."""
    ran: list[int] = []

    def fail() -> None:
        raise ArithmeticError("task 0")

    tasks = [fail, *[lambda i=i: ran.append(i) for i in range(1000)]]
    with raises_exactly(ArithmeticError, "task 0"):
        threads.run_parallel(tasks, workers)
    assert len(ran) < 1000
    test_tasks_run_at_the_same_time(2)


def test_the_error_of_another_thread_is_raised() -> None:
    """An error in the pool reaches the caller, whose own task went well."""
    caller, meeting = threading.get_ident(), threading.Barrier(2, timeout=HANG_SECONDS)

    def fail_elsewhere() -> None:
        meeting.wait()
        if threading.get_ident() != caller:
            raise ArithmeticError("elsewhere")

    with raises_exactly(ArithmeticError, "elsewhere"):
        threads.run_parallel([fail_elsewhere] * 2, 2)


def test_several_callers_share_the_pool() -> None:
    """Callers in several threads, each with several workers, all get their work done."""
    ran: list[int] = []

    def call() -> None:
        threads.run_parallel([lambda: ran.append(1)] * 40, 4)

    callers = [threading.Thread(target=call) for _ in range(5)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(timeout=HANG_SECONDS)
    assert sum(ran) == 200


FORK = """
import os, threading
from im2col.engine.threads import run_parallel

def together():
    meeting = threading.Barrier(2, timeout=900)
    run_parallel([meeting.wait] * 2, 2)

together()
child = os.fork()
together()
if child == 0:
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_child_makes_its_own_pool() -> None:
    """The pool's threads stay with the parent; the child runs tasks all the same."""
    if not hasattr(os, "fork"):
        missing("os.fork does not exist on this system")
    done = subprocess.run(
        [sys.executable, "-c", FORK], capture_output=True, text=True, timeout=HANG_SECONDS, check=True
    )
    assert done.stdout == "7\n"


@pytest.mark.parametrize("most", [0, 1, 2])
def test_a_pool_that_can_start_no_more(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Every task runs once, none goes on behind the call's end, and the pool keeps nothing of what it could not run."""
    allowed = iter(range(most))
    start = threading.Thread.start

    def start_some(thread: threading.Thread) -> None:
        if next(allowed, None) is None:
            raise RuntimeError("can't start new thread")
        start(thread)

    threads._forget_pool()
    monkeypatch.setattr(threading.Thread, "start", start_some)
    for _ in range(5):
        begun: list[int] = []
        ended: list[int] = []

        def task(number: int, begun: list[int] = begun, ended: list[int] = ended) -> None:
            begun.append(number)
            time.sleep(0.002)
            ended.append(number)

        threads.run_parallel([partial(task, number) for number in range(20)], 5)
        assert sorted(begun) == sorted(ended) == list(range(20))
        assert threads._pool is None
    monkeypatch.undo()
    threads.run_parallel([lambda: None] * 4, 4)
    assert threads._pool is not None


def test_an_error_where_no_more_threads_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reaches the caller, as elsewhere."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def fail() -> None:
        raise ZeroDivisionError

    threads._forget_pool()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(ZeroDivisionError):
        threads.run_parallel([fail] * 4, 4)


def test_the_keeper_of_blas_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it could not run while no thread could be started does not run when one can be again."""
    require("threadpoolctl")
    blas._forget()

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        ran: list[int] = []
        blas._in_keeper(lambda: ran.append(1))
    blas._in_keeper(lambda: ran.append(2))
    assert ran == [1, 2]


def test_webassembly_has_one_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python starts no threads there."""
    for platform in ("emscripten", "wasi"):
        monkeypatch.setattr(sys, "platform", platform)
        assert host.usable_cpus() == 1
