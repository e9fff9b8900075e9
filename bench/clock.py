"""The clock: many calls, taken in turns, garbage collection off."""

from __future__ import annotations

import gc
import math
import statistics
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

FEWEST = 5


class Timed:
    """What has been timed: seconds of each call, of which the fastest and the median are told."""

    seconds: tuple[float, ...]

    @property
    def best(self) -> float:
        """Seconds of the fastest call."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """Seconds of the median call."""
        return statistics.median(self.seconds)


def told(seconds: Sequence[float]) -> tuple[str, str]:
    """Return the fastest and the median of some calls as files have them."""
    return f"{min(seconds):.9f}", f"{statistics.median(seconds):.9f}"


def take_turns(
    turns: Mapping[str, Callable[[], Sequence[float]]], repeats: int, seconds: float, *, most_seconds: float = math.inf
) -> dict[str, list[float]]:
    """Give each contestant many turns, in rounds, so that whatever else the machine does meets all of them alike.

    Each round has an order of its own, so that no call always finds the caches as the same other one left them.

    Parameters
    ----------
    turns : mapping of str to callable
        A contestant's turn: it returns the seconds of each call that it timed. All warm: each has run at least once.
    repeats : int
        At most so many turns each.
    seconds : float
        A contestant leaves the rounds once it has run for so long, but not before it has had 5 turns (or `repeats`).
    most_seconds : float
        Once it has run for so long, it leaves all the same.

    Returns
    -------
    dict of str to list of float
        Seconds of each call.
    """
    times: dict[str, list[float]] = {name: [] for name in turns}
    fewest = min(FEWEST, repeats)
    rng = np.random.default_rng(0)
    gc.collect()
    with _no_collection():
        for turn in range(repeats):
            for name in rng.permutation(list(turns)).tolist():
                if sum(times[name]) < (most_seconds if turn < fewest else seconds):
                    times[name] += turns[name]()
    return times


def one_call(call: Callable[[], object]) -> list[float]:
    """Time one call; releasing its result is not part of it."""
    start = time.perf_counter()
    result = call()
    elapsed = time.perf_counter() - start
    del result
    return [elapsed]


def cpu_seconds(call: Callable[[], object]) -> list[float]:
    """Time one call by this thread's own clock, which stands while the machine does something else."""
    start = time.thread_time()
    result = call()
    elapsed = time.thread_time() - start
    del result
    return [elapsed]


def many_calls(call: Callable[[], object], seconds: float) -> list[float]:
    """Time calls, each by itself, until they have taken so long together; at least one.

    Parameters
    ----------
    call : callable
        If the first call is shorter than `seconds` it does not count: it finds its data in no cache.
    seconds : float

    Returns
    -------
    list of float
        Seconds of each call.
    """
    with _no_collection():
        times = one_call(call)
        if times[0] < seconds:
            times = []
        while sum(times) < seconds:
            times += one_call(call)
    return times


def calls_together(call: Callable[[], object], count: int) -> list[float]:
    """Time calls that are shorter than the clock is exact: so many of them at once, as the seconds of one."""
    start = time.perf_counter()
    for _ in range(count):
        call()
    return [(time.perf_counter() - start) / count]


@contextmanager
def _no_collection() -> Iterator[None]:
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
