"""Copies of pixels into another order and another dtype: turned first, as numbers are, then converted in runs."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from ...engine.copies import Move
from ...spec.strides import dense_strides

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...engine.copies import Copies

    Place = tuple[int, int]

_SHORT_RUN = 64
"""Bytes from one run to the next up to which all that lies there is converted as one."""


def turned(what: Move) -> list[Move]:
    """Return a copy as two where it takes two, the second of which reads what the first one wrote.

    What lies between runs of the result, if they are short, may be written, too.
    """
    dtype, given = what.dtype, what.given
    # Where an axis of one element lies says nothing.
    order = sorted(range(len(what.shape)), key=lambda axis: (what.shape[axis] == 1, what.to[axis]))
    first, *rest = order
    if (dtype == given and what.offset == 0) or what.source[first] == given.itemsize or what.shape[first] == 1:
        return [what]
    shape = list(what.shape)
    if rest and shape[rest[0]] > 1 and what.to[rest[0]] <= _SHORT_RUN:
        shape[first] = what.to[rest[0]] // dtype.itemsize
    between = dense_strides(order[::-1], shape, given.itemsize)
    moved = Move(what.shape, between, what.source, given, given)
    return [moved, what._replace(shape=tuple(shape), source=between)]


def bytes_between(moves: Sequence[Move]) -> int:
    """Return the bytes of what a copy that takes two writes first."""
    return moves[1].nbytes if len(moves) > 1 else 0


def add_turned(copies: Copies, moves: Sequence[Move], to: Place, source: Place, between: Place) -> bool:
    """Add a copy as `Copies.move` does, with a place for what the first of two writes."""
    places = [source, *[between] * (len(moves) - 1), to]
    made = [copies.move(each, after, before) for each, (before, after) in zip(moves, pairwise(places), strict=True)]
    return all(made)
