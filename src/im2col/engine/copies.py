"""Strided copies as steps of a sequence: between parts of arrays that are known by their numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .compiler import load
from .gather_plan import plan_copy
from .sequence import Step, address_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


class Copies:
    """Copies, in order, from parts of arrays to parts of arrays.

    Attributes
    ----------
    steps : list of Step
    kept : list
        What their arguments are the addresses of.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.kept: list[Any] = []

    def add(self, to: tuple[int, Array, Array], source: tuple[int, Array, Array]) -> bool:
        """Add a copy, and return whether the engine makes it; a kernel is loaded for it.

        Parameters
        ----------
        to, source : (int, ndarray, ndarray)
            The number of an array, such an array, and a view of it; the views have one shape and one dtype.
        """
        (number, room, part), (origin, given, taken) = to, source
        calls = plan_copy(part.shape, part.strides, taken.strides, part.itemsize)
        here, there = address_of(part) - address_of(room), address_of(taken) - address_of(given)
        for call in calls:
            function = load(call.kernel)
            if function is None:
                return False
            where = (number, here + call.dst_offset), (origin, there + call.src_offset)
            self.steps.append(Step(function, where, call.arguments))
        self.kept.append(calls)
        return bool(calls)  # NumPy copies what has no order that kernels like
