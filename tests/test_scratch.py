"""Memory that is used again: arrays that never share it while anyone holds one of them."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from im2col.engine import scratch

if TYPE_CHECKING:
    from collections.abc import Iterator

F4 = np.dtype(np.float32)
MIB = 1 << 18
"""Elements of float32 in a MiB."""


@pytest.fixture(autouse=True)
def _clear() -> Iterator[None]:
    """Start and end with nothing kept."""
    scratch.clear()
    yield
    scratch.clear()


def address(array: np.ndarray[Any, Any]) -> int:
    """Return where an array's memory starts."""
    return int(array.__array_interface__["data"][0])


def test_a_block_is_used_again() -> None:
    """By an array of the same size, of another dtype and shape, or somewhat smaller; not by one far smaller."""
    first = scratch.empty(MIB, F4)
    at = address(first)
    del first
    again = scratch.empty((2, MIB // 4), np.dtype(np.float64))
    assert (again.shape, address(again)) == ((2, MIB // 4), at)
    assert again.dtype == np.float64
    del again
    assert address(scratch.empty(MIB * 3 // 4, F4)) == at
    assert address(scratch.empty(MIB // 4, F4)) != at


def test_views_keep_their_block() -> None:
    """However far removed from the array that was asked for."""
    views: list[Any] = [scratch.empty((4, MIB), F4)]
    for index in (np.s_[1:], np.s_[..., ::2], np.s_[0]):
        views.append(views.pop()[index])
    views.append(np.lib.stride_tricks.as_strided(views.pop(), (10,), (8,)))
    gc.collect()
    view = views[0]
    view[...] = 7
    others = [scratch.empty((4, MIB), F4) for _ in range(3)]
    for other in others:
        other[...] = 1
    assert (view == 7).all()


def test_no_more_is_kept_than_promised() -> None:
    """What was given back first is dropped first, and a block beyond the limit at once."""
    arrays = [scratch.empty(MIB, F4) for _ in range(40)]
    addresses = [address(array) for array in arrays]
    while arrays:
        del arrays[0]
    assert sum(block.nbytes for block in scratch._free.values()) <= scratch.KEPT_BYTES
    kept = len(scratch._free)
    assert [address(block) for block in scratch._free.values()] == addresses[-kept:]
    scratch.clear()
    whole = scratch.empty(scratch.KEPT_BYTES // 4 + 1, F4)
    del whole
    assert scratch._free == {}


def test_small_arrays_are_left_to_numpy() -> None:
    """They own their memory."""
    assert scratch.empty((3, 5), F4).flags.owndata
    assert scratch.empty(0, F4).shape == (0,)


def test_threads_never_share_a_block() -> None:
    """Each finds what it wrote."""

    def work(number: int) -> bool:
        right = True
        for turn in range(50):
            array = scratch.empty(MIB // 4 + 1000 * (turn % 5), F4)
            array[...] = number
            right &= bool((array == number).all())
        return right

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


def test_garbage_that_is_collected_meanwhile_changes_nothing() -> None:
    """An array in a cycle may be given back at any allocation, also while another block is looked for."""
    for size in range(1, 200):
        cycle: list[Any] = [scratch.empty(MIB // 4 + 64 * size, F4)]
        cycle.append(cycle)
        array = scratch.empty(MIB // 4 + 100 * size, F4)
        array[...] = size
        assert array.size == MIB // 4 + 100 * size
        assert (array == size).all()
        del cycle, array
        if size % 50 == 0:
            gc.collect()
