"""Fresh processes that may use a given number of CPUs."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

T = TypeVar("T")

_NO_VARIABLES: dict[str, str] = {}

# Idle threads of one library must not spin through the next one's turn. OpenBLAS's wait for 2^n cycles, then sleep.
_IDLE = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0", "OPENBLAS_THREAD_TIMEOUT": "16"}


class Ask(Protocol):
    """Run a picklable call in another process and return what it returns, or raise what it raises."""

    def __call__(self, call: Callable[[], T], /) -> T:
        """Wait for the call to end."""


def usable_cpus() -> list[int]:
    """Return the CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


@contextmanager
def fresh_process(threads: int, *, environment: Mapping[str, str] = _NO_VARIABLES) -> Iterator[Ask]:
    """Start a process that is pinned to as many CPUs as it has threads, and that waits idly until it is asked.

    Parameters
    ----------
    threads : int
        At most ``len(usable_cpus())``.
    environment : mapping of str to str
        More environment variables for the process.

    Yields
    ------
    Ask
        What one call leaves in the process's modules, the next one finds there.
    """
    counts = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        # The child inherits both: thread pools that libraries start on import are pinned from their first moment.
        with _pinned(threads), _variables({**counts, **_IDLE, **environment}):
            pool.submit(usable_cpus).result()  # the process starts when it is first asked
        yield lambda call: pool.submit(call).result()


def in_fresh_process(threads: int, call: Callable[[], T], *, environment: Mapping[str, str] = _NO_VARIABLES) -> T:
    """Return what a call returns in a `fresh_process`, which ends with it."""
    with fresh_process(threads, environment=environment) as ask:
        return ask(call)


@contextmanager
def _pinned(threads: int) -> Iterator[None]:
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cpus = usable_cpus()
    # The last ones: the first serves most interrupts.
    os.sched_setaffinity(0, cpus[-threads:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cpus)


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
