"""The words that both kinds of tiles share: parts of the filters, passes over the map, jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ...engine.compiler import Kernel


class Part(NamedTuple):
    """Equal blocks of a group's filters.

    Parameters
    ----------
    first : int
        The first filter.
    width : int
        Filters of a block.
    blocks : int
        How many.
    packed : int
        Filters of a block as packed: a tail is filled with zeros.
    shape : tuple of int
        What its kernel is specialised for.
    """

    first: int
    width: int
    blocks: int
    packed: int
    shape: tuple[int, ...]


class Pass(NamedTuple):
    """Tiles of the map that one kernel computes, for each part of the filters.

    Parameters
    ----------
    rows : int
        Of its table.
    calls : tuple of (Kernel, ndarray, int)
        For each part: the kernel, its job, and bytes by which its pixels start later.
    tables : tuple of ndarray
        What the jobs point at, kept alive.
    """

    rows: int
    calls: tuple[tuple[Kernel, NDArray[np.int64], int], ...]
    tables: tuple[NDArray[Any], ...]


def split_evenly(n: int, most: int) -> list[tuple[int, int]]:
    """Cut n into as few pieces of at most `most` as possible, none of them more than one longer than another.

    Returns
    -------
    list of (int, int)
        Sizes and how many there are of each, the longer first.

    Examples
    --------
    >>> split_evenly(55, 14), split_evenly(56, 14)
    ([(14, 3), (13, 1)], [(14, 4)])
    """
    pieces = -(-n // most)
    short, longer = divmod(n, pieces)
    return [(size, count) for size, count in ((short + 1, longer), (short, pieces - longer)) if count]


def vector_parts(filters: int, lanes: int, most: int) -> list[Part]:
    """Return blocks of filters of at most `most` vectors, evenly filled; the last vector may be a tail.

    The shape of a part is its vectors and the filters of the last one that are there.
    """
    vectors = -(-filters // lanes)
    tail = filters - (vectors - 1) * lanes
    blocks = [size for size, count in split_evenly(vectors, most) for _ in range(count)]
    parts: list[Part] = []
    first = 0
    for i, size in enumerate(blocks):
        last = tail if i == len(blocks) - 1 else lanes
        width = (size - 1) * lanes + last
        if parts and parts[-1].shape == (size, last):
            parts[-1] = parts[-1]._replace(blocks=parts[-1].blocks + 1)
        else:
            parts.append(Part(first, width, 1, size * lanes, (size, last)))
        first += width
    return parts


def job_table(words: Sequence[str], **values: Any) -> NDArray[np.int64]:
    """Return a kernel's job: its words in order, tables by their addresses."""
    return np.array([v.ctypes.data if isinstance(v := values[word], np.ndarray) else v for word in words], np.int64)
