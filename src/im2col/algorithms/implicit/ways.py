"""The ways to read pixels: as the numbers that are summed, several at a time for a dot product, or as bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from ...spec.problem import Problem
    from .dots import Dot


class Way(NamedTuple):
    """A way to read pixels: as numbers of the sums' dtype, several at a time for a dot product, or bytes one by one.

    Or as float32s that bytes become, plane by plane, where sums of their products are exact.
    """

    dtype: np.dtype[Any]
    dot: Dot | None
    offset: int
    widened: bool = False
    planes: bool = False

    @property
    def packed_dtype(self) -> np.dtype[Any]:
        """Of the packed weights."""
        return np.dtype(np.int32) if self.dot else np.dtype(np.float32) if self.widened else self.dtype

    def padded(self, problem: Problem) -> bool:
        """Whether padding has to be part of a copy, as taps there do contribute something."""
        pads = self.planes or not problem.pads_zeros or bool(self.dot and self.dot.zero)
        return problem.geometry.is_padded and (pads or problem.fixes_sums)

    def maps(self, problem: Problem) -> bool:
        """Whether all padding but that of zeros is of the image's own pixels."""
        modes, pads = problem.padding_modes, problem.geometry.padding
        zeros = problem.zeros_pad and not (self.dot and self.dot.zero)
        # Tiles at a border take their taps in another order: where that is fixed, there is none, but in a copy.
        return (
            any(map(any, pads))
            and not problem.fixes_sums
            and all(zeros or mode != "constant" or not any(pair) for mode, pair in zip(modes, pads, strict=True))
        )


def widens(problem: Problem) -> bool:
    """Whether pixels are bytes that lie as kernels read them, and sums of products of bytes are exact in float32."""
    bytes_in = all(dtype.kind in "iu" and dtype.itemsize == 1 for dtype in (problem.x_dtype, problem.w_dtype))
    exact = problem.group_channels * problem.geometry.taps << 16 <= 1 << 24
    return bytes_in and problem.accumulator in (np.int32, np.uint32) and exact and problem.pads_zeros
