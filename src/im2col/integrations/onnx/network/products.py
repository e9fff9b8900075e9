"""Products of matrices of which the second one is known: a plan for each shape, as layers of one tap over the rows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ....engine.compiler import usable_target
from ....errors import ShapeError
from ....layers.plan import plan
from ..signature import Signature
from .memory import Want, keep

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from .graph import Step
    from .kernels import Memory

    Array = NDArray[Any]

_DTYPES = (np.float32, np.float64)
_MOST_BYTES = 16 << 20
"""Of weights: larger ones come from memory with every call, whoever multiplies, and would lie there twice."""
_MOST_PLANS = 8
"""Shapes for which a node keeps its plan: those that it met last."""


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
        self._plans: dict[Any, Any] = {}

    def __call__(self, inputs: Sequence[Any], memory: Memory, /) -> Sequence[Any]:
        """Return the result, in room of the network."""
        x = inputs[0]
        key = (x.shape, x.dtype)
        found = self._plans.get(key)
        if found is None:
            found = self._planned(x)
            keep(self._plans, key, found, _MOST_PLANS)
        ready, want, taken, given = found
        y = memory.new(want)
        ready((x.T if self._transposed else x).reshape(taken), out=y.reshape(given))
        return (y,)

    def _planned(self, x: Array) -> tuple[Any, Want, tuple[int, ...], tuple[int, ...]]:
        """Return the plan for an input, what its result is, and the shapes of both as the plan has them."""
        self._signature.arrays([x, self._matrix, self._bias][: 3 if self._two_axes else 2])
        depth, columns = self._matrix.shape
        if self._two_axes and x.ndim != 2:
            raise ShapeError(f"inputs of shapes {x.shape} and {self._matrix.shape} must be matrices")
        outer = x.shape[1:] if self._transposed else x.shape[:-1]
        if not x.ndim or x.shape[0 if self._transposed else -1] != depth:
            raise ShapeError(f"inputs of shapes {x.shape} and {self._matrix.shape} have no matrix product")
        rows = math.prod(outer)
        taken = (1, rows, depth) if rows else (0, 1, depth)  # an image may not be empty, a batch may
        w = self._matrix.T[:, :, None]
        ready = plan(
            taken, w, self._bias, layout="NWC", activation=self._activation, chunked=True, x_dtype=self._matrix.dtype
        )
        return ready, Want((*outer, columns), x.dtype, None), taken, (*taken[:2], columns)
