"""What a call allocates, and whether it had asked for it: the memory budget, seen from outside."""

from __future__ import annotations

import gc
import tracemalloc
from typing import TYPE_CHECKING, NamedTuple

import pytest

from im2col.engine import host, scratch
from im2col.errors import MemoryBudgetError

if TYPE_CHECKING:
    from collections.abc import Callable

SLACK = 2 << 20
"""What a call may take without asking: blocks of a size that no argument changes, tables, the objects of Python."""


def peak_of(call: Callable[[], object]) -> int:
    """Return the bytes that a call had allocated at most."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


class Allocation(NamedTuple):
    """Bytes that a call held at its worst moment, and those that it gave back to its caller."""

    peak: int
    kept: int


def allocation(call: Callable[[], object]) -> Allocation:
    """Return what a call allocates the second time: what a first one leaves in memories for later calls is not counted.

    Blocks that the library keeps to use again are dropped before, so that each one is seen.
    """
    call()
    gc.collect()
    scratch.clear()
    tracemalloc.start()
    try:
        result = call()
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    del result
    return Allocation(peak, kept)


def assert_within_budget(call: Callable[[], object], slack: int = SLACK) -> Allocation:
    """Assert that a call asks the budget for what it takes, no less and no more than twice that, but for `slack`.

    Where less memory is available than the call needs, it must refuse before it allocates anything; where there is
    twice as much, it must work.
    """
    found = allocation(call)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host, "_ALWAYS_FITS", 0)
        patch.setattr(host, "available_memory", lambda: found.peak - slack)
        if found.peak > slack:
            tracemalloc.start()
            try:
                with pytest.raises(MemoryBudgetError):
                    call()
                assert tracemalloc.get_traced_memory()[1] < slack
            finally:
                tracemalloc.stop()
        patch.setattr(host, "available_memory", lambda: 2 * found.peak + slack)
        call()
    return found
