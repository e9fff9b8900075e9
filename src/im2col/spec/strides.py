"""Strides: where the elements of an array lie, in bytes or in elements."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def dense_strides(axes: Sequence[int], sizes: Sequence[int], size: int) -> tuple[int, ...]:
    """Return the strides, in canonical order, of a dense array whose memory order is `axes`.

    Parameters
    ----------
    axes : sequence of int
        The canonical axes, outermost first.
    sizes : sequence of int
        Lengths of the canonical axes.
    size : int
        Bytes of an element.

    Examples
    --------
    >>> dense_strides((0, 2, 1), (1, 3, 5), 4)
    (60, 4, 12)
    """
    strides = [0] * len(sizes)
    step = size
    for axis in reversed(axes):
        strides[axis] = step
        step *= sizes[axis]
    return tuple(strides)


def row_major(shape: Sequence[int], size: int = 1) -> tuple[int, ...]:
    """Return the strides of a dense array whose last axis lies innermost; `size` is that of an element.

    Examples
    --------
    >>> row_major((2, 3, 5))
    (15, 5, 1)
    """
    return dense_strides(range(len(shape)), shape, size)


def normal(strides: Sequence[int], shape: Sequence[int], dense: Sequence[int]) -> tuple[int, ...]:
    """Return strides in which an axis of one element has the stride that a dense array would give it.

    Examples
    --------
    >>> normal((0, 8), (1, 3), (24, 8))
    (24, 8)
    """
    return tuple(d if n == 1 else s for s, n, d in zip(strides, shape, dense, strict=True))


def offsets(shape: Sequence[int], strides: Sequence[int]) -> NDArray[np.int64]:
    """Return the offset of every element of a strided array, in row-major order.

    Parameters
    ----------
    shape, strides : sequence of int
        Of the array; strides in any unit.

    Returns
    -------
    ndarray of int64, shape (prod(shape),)
        In the unit of `strides`.

    Examples
    --------
    >>> offsets((2, 3), (10, 1))
    array([ 0,  1,  2, 10, 11, 12])
    """
    steps = [np.arange(n) * stride for n, stride in zip(shape, strides, strict=True)]
    return reduce(np.add.outer, steps, np.zeros(1, np.int64)).reshape(-1)
