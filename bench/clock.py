"""The clock: many calls, taken in turns, garbage collection off."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FEWEST = 5


def take_turns(calls: Mapping[str, Callable[[], object]], repeats: int, seconds: float) -> dict[str, list[float]]:
    """Time each call many times, in rounds, so that whatever else the machine does meets all of them alike.

    Each round has an order of its own, so that no call always finds the caches as the same other one left them.

    Parameters
    ----------
    calls : mapping of str to callable
        All warm: each has run at least once.
    repeats : int
        At most so many times each.
    seconds : float
        A call leaves the rounds once it has run for so long, but not before it has had 5 turns (or `repeats`).

    Returns
    -------
    dict of str to list of float
        Seconds of each turn. Releasing the result is not part of them.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    fewest = min(FEWEST, repeats)
    rng = np.random.default_rng(0)
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for turn in range(repeats):
            for name in rng.permutation(list(calls)).tolist():
                if turn >= fewest and sum(times[name]) >= seconds:
                    continue
                start = time.perf_counter()
                result = calls[name]()
                times[name].append(time.perf_counter() - start)
                del result
    finally:
        if collecting:
            gc.enable()
    return times
