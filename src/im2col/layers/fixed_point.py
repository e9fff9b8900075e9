"""The quantised convolution as TFLite rounds it: sums in int32, then a multiplication in integers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..engine.boxes import box_steps, boxes
from ..engine.host import array_bytes
from ..errors import format_bytes
from ..spec.quantization import rescaled
from .operation import Operation
from .stages import Convolution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..summary import Summary
    from .operation import Weights

    Array = NDArray[Any]

_PIECE = 1 << 15
"""Sums that are multiplied at a time."""
_PIECE_BYTES = _PIECE * 80
"""Of their products, and of what rounds them, in 64 bits."""


class FixedPoint(Operation):
    """A convolution to int32, whose sums are multiplied, rounded, moved by a zero point and held between two bounds."""

    @classmethod
    def decided(cls, convolution: tuple[Any, ...], dtype: np.dtype[Any], point: int, least: int, greatest: int) -> Self:
        """Choose the algorithm of the sums: `convolution` is what a `Convolution` is decided from."""
        sums = Convolution.decided(*convolution)
        spec = (convolution, dtype, point, least, greatest)
        workspace = sums.workspace_bytes + array_bytes(sums.output_shape, sums.dtype.itemsize) + _PIECE_BYTES
        return cls(spec, sums.threads, sums.choices, sums.inputs, sums.output_shape, dtype, workspace)

    @property
    def _sums(self) -> Convolution:
        return Convolution.decided(*self.spec[0])

    @property
    def flops(self) -> int:
        """Operations of one call: two for each product, padded taps included."""
        return self._sums.flops

    @property
    def bytes_moved(self) -> int:
        """Bytes that any algorithm must move: image and weight read once, the result written once."""
        saved = math.prod(self.output_shape) * (self._sums.dtype.itemsize - self.dtype.itemsize)
        return self._sums.bytes_moved - saved

    def prepare(self, weights: Weights) -> Any:
        """Return the convolution, what it runs, and the factors of its sums."""
        w, bias, multipliers, exponents = weights
        sums = self._sums
        return sums, sums.prepare((w, bias, None)), multipliers, exponents

    def run(self, prepared: Any, arrays: Sequence[Array], out: Array) -> None:
        """Overwrite `out`."""
        convolution, runner, *factors = prepared
        _, _, point, least, greatest = self.spec
        sums = np.empty(self.output_shape, convolution.dtype)
        convolution.run(runner, arrays, sums)
        layout = convolution.problem.layout
        sums, out = layout.to_canonical(sums), layout.to_canonical(out)
        filters = (-1, *[1] * (sums.ndim - 2))
        multipliers, exponents = (each.reshape(filters) for each in factors)
        for box in boxes(sums.shape, box_steps(sums.shape, _PIECE)):
            values = rescaled(sums[box].astype(np.int64), multipliers[box[1]], exponents[box[1]]) + point
            np.copyto(out[box], np.clip(values, least, greatest), casting="unsafe")

    def summary(self, name: str) -> Summary:
        """Return what a plan tells of it, under its maker's name: what the sums tell, and how they are rounded."""
        sums = self._sums.summary(name)
        workspace = "workspace", format_bytes(self.workspace_bytes)
        facts = tuple(workspace if fact[0] == "workspace" else fact for fact in sums.facts)
        rounding = "rounding", f"TFLite's reference kernels', to {self.dtype}"
        return sums._replace(facts=(*facts, rounding))
