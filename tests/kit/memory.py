"""Blocks of bytes whose surroundings are watched, or forbidden: a byte too much is noticed."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

Room = Callable[[int], Array]
"""Returns so many bytes that lie in the midst of others, all of which are `GUARD`."""

GUARD, UNWRITTEN, MARGIN = 0x5A, 0xA5, 256


def heap(size: int) -> Array:
    """Return `size` bytes with a margin around them."""
    return np.full(size + 2 * MARGIN, GUARD, np.uint8)[MARGIN : MARGIN + size]


def sides(block: Array) -> tuple[Array, Array]:
    """Return the bytes before and behind a block, as far as a kernel may be expected to reach."""
    whole = cast("Array", block.base)
    start = block.ctypes.data - whole.ctypes.data
    stop = start + block.size
    return whole[max(0, start - MARGIN) : start], whole[stop : stop + MARGIN]


def is_fenced(block: Array) -> bool:
    """Whether the bytes around a block are what they were."""
    return all((side == GUARD).all() for side in sides(block))


PAGE = mmap.PAGESIZE


def against_forbidden_pages(size: int) -> tuple[Room, Room]:
    """Return a room that ends where reading is forbidden, and one that begins there; each is used for one block."""
    memory = mmap.mmap(-1, size + 2 * PAGE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    for page in (address, address + PAGE + size):
        if libc.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(PAGE), 0):
            raise OSError(ctypes.get_errno(), "mprotect")
    whole = np.frombuffer(memory, np.uint8, size, offset=PAGE)

    def room(start: int, stop: int) -> Array:
        assert 0 <= start < stop <= size
        block = whole[start:stop]
        for side in sides(block):
            side[:] = GUARD
        return block

    return lambda n: room(size - n, size), lambda n: room(0, n)


def pairs_of_rooms(size: int) -> Iterator[tuple[Room, Room]]:
    """Yield rooms for a source and a destination: both end, then both begin, at a forbidden page."""
    yield from zip(against_forbidden_pages(size), against_forbidden_pages(size), strict=True)


def in_room(room: Room, a: Array) -> Array:
    """Return a copy of an array that fills a room's bytes."""
    block = room(max(a.nbytes, 1))[: a.nbytes].view(a.dtype).reshape(a.shape)
    block[...] = a
    return block
