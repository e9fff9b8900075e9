"""Strided copies as steps of a sequence: between parts of arrays that are known by their numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .compiler import load, required
from .gather_plan import plan_conversion, plan_copy
from .number_kernels import fill
from .sequence import Step, address_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .gather_plan import Call

    Array = NDArray[Any]
    Part = tuple[int, Array, Array]


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

    def add(self, to: Part, source: Part, *, scattered: bool = False) -> bool:
        """Add a copy, and return whether the engine makes it; a kernel is loaded for it.

        Parameters
        ----------
        to, source : (int, ndarray, ndarray)
            The number of an array, such an array, and a view of it; the views have one shape. Integers, or
            bfloat16s, become numbers of another dtype that is not narrower.
        scattered : bool
            Whether it is made where integers do not lie side by side, too, one by one.
        """
        (number, room, part), (origin, given, taken) = to, source
        here, there = address_of(part) - address_of(room), address_of(taken) - address_of(given)
        what = Move(part.shape, part.strides, taken.strides, part.dtype, taken.dtype, scattered=scattered)
        return self.move(what, (number, here), (origin, there))

    def move(self, what: Move, to: tuple[int, int], source: tuple[int, int]) -> bool:
        """Add a copy as `add` does, between arrays by their numbers, and bytes from their starts."""
        calls = what.calls()
        for call in calls:
            function = load(call.kernel)
            if function is None:
                return False
            where = (to[0], to[1] + call.dst_offset), (source[0], source[1] + call.src_offset)
            self.steps.append(Step(function, where, call.arguments))
        self.kept.append(calls)
        return bool(calls)  # NumPy copies what has no order that kernels like


class Move(NamedTuple):
    """What a copy does, wherever it does it.

    Parameters
    ----------
    shape : tuple of int
    to, source : tuple of int
        Strides, in bytes.
    dtype, given : dtype
        Of what is written, and of what is read.
    offset : int
        What is added to each number; integers wrap.
    scattered : bool
        As for `Copies.add`.
    """

    shape: tuple[int, ...]
    to: tuple[int, ...]
    source: tuple[int, ...]
    dtype: np.dtype[Any]
    given: np.dtype[Any]
    offset: int = 0
    scattered: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes from the first to the last that is read, where that is dense."""
        return math.prod(self.shape) * self.given.itemsize

    def calls(self) -> tuple[Call, ...]:
        """Return the calls of kernels that make it; none where the engine makes no such copy."""
        if self.dtype == self.given and self.offset == 0:
            calls = plan_copy(self.shape, self.to, self.source, self.dtype.itemsize)
            if calls or not self.scattered:
                return calls
        names = _number(self.given), _number(self.dtype)
        return plan_conversion(self.shape, self.to, self.source, names, self.offset)


def filling(to: tuple[int, int], nbytes: int, byte: int, keep: list[Any]) -> Step:
    """Return the step, as one that sums, that fills some bytes of an array, a multiple of 32; see `Copies.move`.

    Raises
    ------
    EngineError
        If its kernel cannot be compiled, after the engine's warning.
    """
    job = np.array([nbytes, byte * 0x0101_0101_0101_0101 - (byte >> 7 << 64)], np.int64)
    keep.append(job)
    return Step(required(fill()), (to, to), (job.ctypes.data,))


def _number(dtype: np.dtype[Any]) -> str:
    """Return what `Builder.number` calls a real dtype; booleans are bytes, and bfloat16 is ``b2``."""
    return f"{'b' if dtype.name == 'bfloat16' else dtype.kind.replace('b', 'u')}{dtype.itemsize}"
