"""Strided sums as steps of a sequence: from one array into another, which are known by their numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .compiler import load
from .scatter import prepared
from .sequence import Step, address_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .scatter import Axis

    Array = NDArray[Any]


def sum_steps(
    to: tuple[int, Array, Array], source: tuple[int, Array, Array], axes: Sequence[Axis]
) -> tuple[list[Step], object] | None:
    """Return the steps of a sum, and what their arguments are the addresses of; None where the engine makes none.

    Parameters
    ----------
    to, source : (int, ndarray, ndarray)
        The number of an array, such an array, and a view of it: the image and the matrix of `scatter.sum_windows`.
    axes : sequence of Axis
    """
    (number, room, image), (origin, given, matrix) = to, source
    found = prepared(image, matrix, axes, 1)
    function = found and load(found[0])
    if found is None or function is None:
        return None
    [part] = found[1]
    here, there = address_of(image) - address_of(room), address_of(matrix) - address_of(given)
    steps = [
        Step(function, ((number, here + part.first_pixel), (origin, there + call.matrix_offset)), (call.job,))
        for call in part.calls
    ]
    return (steps, found) if steps else None  # the tables of many lines are not kept
