"""Fresh processes that may use a given number of CPUs."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

T = TypeVar("T")

_NO_VARIABLES: dict[str, str] = {}


def usable_cpus() -> list[int]:
    """Return the CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def in_fresh_process(threads: int, call: Callable[[], T], *, environment: Mapping[str, str] = _NO_VARIABLES) -> T:
    """Return what a call returns in a new process, which is pinned to as many CPUs as it has threads.

    Parameters
    ----------
    threads : int
        At most ``len(usable_cpus())``.
    call : callable
        Picklable, as is what it returns.
    environment : mapping of str to str
        More environment variables for the process.

    Raises
    ------
    Exception
        Whatever `call` raises.
    """
    counts = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    counts["OMP_WAIT_POLICY"] = "PASSIVE"  # else one library's idle threads spin through the next one's turn
    # The child inherits both: thread pools that libraries start on import are pinned from their first moment.
    with _pinned(threads), _variables({**counts, **environment}), ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(call).result()


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
