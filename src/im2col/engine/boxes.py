"""Boxes: parts of an array that cover it in row-major order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator


def box_steps(shape: tuple[int, ...], most: int) -> tuple[int, ...]:
    """Return the sides of boxes of at most `most` elements (at least one) that cut an array in row-major order.

    Parameters
    ----------
    shape : tuple of int
        Of the array.
    most : int
        Elements of a box.

    Returns
    -------
    tuple of int

    Examples
    --------
    >>> box_steps((3, 4), 8)
    (2, 4)
    """
    steps, room = [], most
    for n in reversed(shape):
        steps.append(max(1, min(n, room)))
        # Once an axis is cut, a box is one slice of every axis outside it.
        room = room // n if steps[-1] == n else 1
    return tuple(reversed(steps))


def boxes(shape: tuple[int, ...], steps: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Yield boxes of these sides that cover an array in row-major order; the last ones may be smaller."""
    if steps == shape:  # all but the large array
        yield tuple(map(slice, [0] * len(shape), shape))
        return
    counts = [-(-n // step) for n, step in zip(shape, steps, strict=True)]
    for index in np.ndindex(*counts):  # itertools.product would hold the cuts of every axis
        yield tuple(slice(i * step, min((i + 1) * step, n)) for i, step, n in zip(index, steps, shape, strict=True))
