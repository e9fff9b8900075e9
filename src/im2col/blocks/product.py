"""The convolution of blocks: prepared for each shape that comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine import scratch
from ..importing import importing
from ..layers.convolution import convolution

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..layers.operation import Operation
    from ..spec.problem import Problem
    from .plan import Blocks

    Array = NDArray[Any]


class Product:
    """The convolution of blocks, whose padding is a part of them: prepared for each shape that comes.

    Parameters
    ----------
    problem : Problem
        Of the whole image.
    w, bias : ndarray
    options : dict
        Those of `conv`.
    """

    def __init__(self, problem: Problem, w: Array, bias: Array | None, options: dict[str, Any]) -> None:
        self._problem, self._w, self._bias = problem, w, bias
        window = {"padding": 0, "padding_mode": "constant", "padding_value": None, "layout": problem.layout.axes}
        self.options = options | window
        self._ready: tuple[tuple[int, ...], Operation, Any] | None = None

    def _work(self, shape: tuple[int, ...]) -> Any:
        return convolution(shape, self._problem.x_dtype, self._w, self._bias, prepared=True, **self.options)

    def __call__(self, block: Array, result: Array) -> None:
        """Overwrite the result of a block."""
        if self._ready is None or self._ready[0] != block.shape:
            self._ready = None
            scratch.clear()  # what the last shape took, which this one does not fit, is not kept beside it
            work = self._work(block.shape)
            self._ready = (block.shape, *work.operation.prepared(work.weights))
        _, operation, prepared = self._ready
        operation.run(prepared, (block,), result)

    def workspace(self, blocks: Blocks) -> int:
        """Return the bytes that it takes beside blocks."""
        g, p = self._problem.geometry, self._problem
        most = 0
        for batch, *positions in blocks.shapes():
            places = [(n - 1) * s + span for n, s, span in zip(positions, g.stride, g.span, strict=True)]
            shape = p.layout.from_canonical_shape(batch, p.channels, places)
            most = max(most, self._work(shape).operation.workspace_bytes)
        return most

    @property
    def target(self) -> Any:
        """The CPU that kernels are for; None where there are none."""
        return self._work(self._problem.x_shape).operation.choices[0].offer.target

    @property
    def digest(self) -> str:
        """What the weights and the bias are."""
        arrays = [np.ascontiguousarray(each) for each in (self._w, self._bias) if each is not None]
        zero = repr(np.asarray(self.options.get("w_zero_point", 0)).tolist())
        return digest(
            *(each.tobytes() for each in arrays), repr([(a.shape, a.dtype) for a in arrays]).encode(), zero.encode()
        )


def digest(*parts: bytes) -> str:
    """Return what tells these bytes from others."""
    with importing:
        import hashlib  # takes longer to import than small programs need it

    return hashlib.sha256(b"".join(parts)).hexdigest()
