"""Products of matrices of which the second one is known: planned as layers of one tap over the rows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ....engine.compiler import usable_target
from ....errors import ShapeError
from ....layers.plan import plan
from ..signature import Signature
from .memory import keep, wanted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from .graph import Step
    from .kernels import Memory
    from .memory import Want

    Array = NDArray[Any]

_DTYPES = (np.float32, np.float64)
_MOST_BYTES = 16 << 20
"""Of weights: larger ones come from memory with every call, whoever multiplies, and would lie there twice."""
_MOST_PLANS = 8
"""Plans that a node keeps: those that it made last."""
_MOST_SHAPES = 64
"""Shapes of inputs of which a node knows which plan they take."""
_MOST_AGAIN = 1.5
"""Times their number, that rows may be computed in blocks, of which the last one begins where it fits."""


def is_product(step: Step, constants: Mapping[str, Array]) -> bool:
    """Whether a step multiplies by a matrix that is known, and adds at most a number for each of its columns."""
    if step.domain or step.operator not in ("Gemm", "MatMul"):
        return False
    w = constants.get(step.inputs[1])
    if w is None or w.ndim != 2 or w.dtype not in _DTYPES or not 0 < w.nbytes <= _MOST_BYTES:
        return False
    bias = constants.get(step.inputs[2]) if len(step.inputs) > 2 and step.inputs[2] else np.zeros(1, w.dtype)
    columns = w.shape[0 if step.attributes.get("transB") else 1]
    fits = bias is not None and bias.dtype == w.dtype and bias.shape in ((), (1,), (1, 1), (columns,), (1, columns))
    return fits and usable_target() is not None


def known_part(step: Step, constants: Mapping[str, Array]) -> tuple[Array, Array]:
    """Return the matrix, (rows, columns), and the bias, (columns,), of a product in float64."""
    alpha, beta = (step.attributes.get(name, 1.0) for name in ("alpha", "beta"))
    w = constants[step.inputs[1]].astype(np.float64) * alpha
    w = w.T if step.attributes.get("transB") else w
    told = len(step.inputs) > 2 and step.inputs[2] and beta
    bias = constants[step.inputs[2]].astype(np.float64) * beta if told else np.zeros(1)
    return w, np.broadcast_to(bias.reshape(-1), w.shape[1:])


class Product:
    """A product with what was folded into it; its bits depend on no other row than their own.

    Parameters
    ----------
    step : Step
        Reads what is multiplied, the matrix, (rows, columns), and the bias, (columns,).
    constants : mapping of str to ndarray
        The matrix and the bias among them.
    """

    shows = 0
    kind = "plan"

    def __init__(self, step: Step, constants: Mapping[str, Array]) -> None:
        self._signature = Signature.of(step.operator, step.opset)
        self._matrix, self._bias = (constants[name] for name in step.inputs[1:])
        self._two_axes, self._transposed = step.operator == "Gemm", bool(step.attributes.get("transA"))
        self._activation = step.activation
        self._shapes: dict[Any, tuple[Want, int, int, Any]] = {}
        self._plans: dict[int, Any] = {}

    def __call__(self, inputs: Sequence[Any], memory: Memory, /) -> Sequence[Any]:
        """Return the result, in room of the network."""
        x = inputs[0]
        key = (x.shape, x.dtype)
        found = self._shapes.get(key)
        if found is None:
            found = self._shaped(x)
            keep(self._shapes, key, found, _MOST_SHAPES)
        want, rows, step, ready = found
        y = memory.new(want)
        if ready is None:
            return (y,)
        lines, results = (x.T if self._transposed else x).reshape(1, rows, -1), y.reshape(1, rows, -1)
        if step == rows:
            ready(lines, out=results)
            return (y,)
        for first in range(0, rows, step):
            part = slice(min(first, rows - step), min(first + step, rows))  # rows of the last twice: with the same bits
            ready(lines[:, part], out=results[:, part])
        return (y,)

    def _shaped(self, x: Array) -> tuple[Want, int, int, Any]:
        """Return the result of an input, its rows, how many of them a plan takes, and the plan; None for no rows."""
        self._signature.arrays([x, self._matrix, self._bias][: 3 if self._two_axes else 2])
        depth, columns = self._matrix.shape
        if self._two_axes and x.ndim != 2:
            raise ShapeError(f"inputs of shapes {x.shape} and {self._matrix.shape} must be matrices")
        outer = x.shape[1:] if self._transposed else x.shape[:-1]
        if not x.ndim or x.shape[0 if self._transposed else -1] != depth:
            raise ShapeError(f"inputs of shapes {x.shape} and {self._matrix.shape} have no matrix product")
        rows = math.prod(outer)
        step, ready = self._plan(rows) if rows else (0, None)
        return wanted((*outer, columns), x.dtype, None), rows, step, ready

    def _plan(self, rows: int) -> tuple[int, Any]:
        """Return a plan for at most so many rows, and for how many.

        The first one is for just as many as there are. A network that is given other shapes again and again has few
        others, which rows are handed to block by block: to make one takes longer than many a product.
        """
        fitting = [n for n in list(self._plans) if n <= rows and -(-rows // n) * n <= _MOST_AGAIN * rows]
        step = max(fitting, default=block_of(rows) if self._plans else rows)
        ready = self._plans.get(step)
        if ready is None:
            w, dtype = self._matrix.T[:, :, None], self._matrix.dtype
            shape = (1, step, len(self._matrix))
            ready = plan(shape, w, self._bias, layout="NWC", activation=self._activation, chunked=True, x_dtype=dtype)
            keep(self._plans, step, ready, _MOST_PLANS)
        return step, ready


def block_of(rows: int) -> int:
    """Return the largest power of two, or three halves of one, by which few rows are computed twice.

    Examples
    --------
    >>> [block_of(rows) for rows in (1, 2, 5, 31, 37, 100)]
    [1, 2, 3, 16, 24, 64]
    """
    some = (n for power in range(rows.bit_length()) for n in (1 << power, 3 << power))
    return max(n for n in some if n <= rows and -(-rows // n) * n <= _MOST_AGAIN * rows)
