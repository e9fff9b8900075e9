"""How many threads to use, and the pool they run in."""

from __future__ import annotations

import operator
import os
import threading
from collections.abc import Sized
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import ArgumentError, named, shown
from ..importing import importing
from .host import usable_cpus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future, ThreadPoolExecutor

_MOST_THREADS = 4096
"""More than any machine has CPUs; each is one of the operating system."""

_lock = threading.Lock()
_process_threads: int | None = None
_pool: ThreadPoolExecutor | None = None
_pool_size = 0


@named
def set_threads(threads: int | None) -> None:
    """Set how many threads this process uses where a call does not say.

    Parameters
    ----------
    threads : int or None
        At least 1; None goes back to the default: the environment variable ``IM2COL_NUM_THREADS``, or else the CPUs
        that the process may really use (its affinity mask, cut by a cgroup's quota).

    Raises
    ------
    ArgumentError
        If `threads` is no positive integer.

    Examples
    --------
    >>> import im2col
    >>> im2col.set_threads(1)
    >>> im2col.set_threads(None)
    """
    global _process_threads  # noqa: PLW0603 (the setting belongs to the process)
    _process_threads = None if threads is None else _checked("threads", threads)


@contextmanager
def threads_for(threads: int | None) -> Iterator[None]:
    """Set how many threads this process uses for a while, as `set_threads` does; then as many as before."""
    global _process_threads  # noqa: PLW0603 (the setting belongs to the process)
    before = _process_threads
    set_threads(threads)
    try:
        yield
    finally:
        _process_threads = before


def resolve_threads(threads: int | None) -> int:
    """Return how many threads a call uses: its own argument, the process's setting, or the default.

    Raises
    ------
    ArgumentError
        If `threads`, or the environment variable, is no positive integer.
    """
    if threads is not None:
        return _checked("threads", threads)
    if _process_threads is not None:
        return _process_threads
    variable = os.environ.get("IM2COL_NUM_THREADS")
    if variable:
        number = int(variable) if variable.isdecimal() else variable
        return _checked("the environment variable IM2COL_NUM_THREADS", number, "a positive integer")
    return usable_cpus()


def _checked(name: str, threads: object, rule: str = "a positive integer or None") -> int:
    try:
        number = 0 if isinstance(threads, bool) else operator.index(threads)  # type: ignore[arg-type]  # that is tried
    except Exception:  # no index, or one that fails
        number = 0
    if number < 1:
        raise ArgumentError(f"{name} must be {rule}, got {shown(threads)}")
    if number > _MOST_THREADS:
        raise ArgumentError(f"{name} must be at most {_MOST_THREADS:,}, got {shown(number)}")
    return number


def run_parallel(tasks: Iterable[Callable[[], None]], threads: int) -> None:
    """Run every task, at most `threads` of them at once, and return when all have ended.

    Parameters
    ----------
    tasks : iterable of callable
        Independent of each other, and taken one by one: a generator's need not exist all at once. A task runs in the
        calling thread or in a pool's; it must not call `run_parallel`.
    threads : int
        At least 1. The calling thread is one of them.

    Raises
    ------
    Exception
        The first error of a task, after all workers have stopped; tasks not yet started are dropped.
    """
    workers = min(threads, len(tasks)) if isinstance(tasks, Sized) else threads
    if workers <= 1:
        for task in tasks:
            task()
        return
    remaining = iter(tasks)
    take = threading.Lock()
    failed = threading.Event()

    def work() -> None:
        while not failed.is_set():
            with take:
                task = next(remaining, None)
            if task is None:
                return
            try:
                task()
            except BaseException:
                failed.set()
                raise

    futures = _submit(work, workers - 1)
    try:
        work()
    finally:
        # Workers that the pool had no thread for have nothing left to do.
        errors = [future.exception() for future in futures if not future.cancel()]
    for error in errors:
        if error is not None:
            raise error


def _submit(work: Callable[[], None], copies: int) -> list[Future[None]]:
    """Hand `work` to the process's pool, grown where it has too few threads for all copies.

    Where no more threads can be started, as many copies run as the pool has threads for, perhaps none. The pool keeps
    what it could start no thread for, and may begin it at any time: so each copy has a future of ours, which the caller
    cancels or waits for, and the pool is given up.
    """
    global _pool, _pool_size
    try:
        with importing:
            from concurrent.futures import Future, ThreadPoolExecutor  # takes milliseconds
    except RuntimeError:  # Python is shutting down
        return []
    futures: list[Future[None]] = []
    with _lock:
        if _pool is None or _pool_size < copies:
            if _pool is not None:
                _pool.shutdown(wait=False)
            _pool, _pool_size = ThreadPoolExecutor(copies, thread_name_prefix="im2col"), copies
        try:
            for _ in range(copies):
                futures.append(Future())
                _pool.submit(_help, work, futures[-1])
        except RuntimeError:  # there are none, as in a browser, or no more, or Python is shutting down
            _pool.shutdown(wait=False, cancel_futures=True)
            _pool, _pool_size = None, 0
    return futures


def _help(work: Callable[[], None], future: Future[None]) -> None:
    """Run a copy of `work` in a thread of the pool, unless the caller has done everything by then."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        work()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(None)


def _forget_pool() -> None:
    """Drop the pool in a forked child, whose threads stayed with the parent."""
    global _pool, _pool_size, _lock
    _pool, _pool_size, _lock = None, 0, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
