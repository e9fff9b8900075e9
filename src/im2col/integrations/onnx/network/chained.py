"""Steps that work element by element, one after another: in one pass by the engine where it can, else each by NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ....engine.chains import ELEMENTS, Lying, plan_chain
from ....engine.sequence import ARRAYS
from ....engine.threads import resolve_threads
from ....errors import ShapeError
from ..order import order_of
from .affine import AFFINE
from .elementwise import result_shape
from .formulas import formula_of
from .kernels import error_of, kernel_of
from .memory import keep, wanted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ....engine.sequence import Steps
    from ....engine.team import Together
    from .formulas import Formula
    from .graph import Step
    from .kernels import Memory
    from .memory import Want

    Array = NDArray[Any]

_MOST_PLANS = 16
"""Kinds of inputs for which a step keeps its plan: those that it met last."""


class _Plan(NamedTuple):
    """How the engine computes a step.

    Parameters
    ----------
    calls : Steps or Together
        See `plan_chain`.
    want : Want
        The result.
    over : bool
        Whether it may be an input: one of its shape lies as it does.
    """

    calls: Steps | Together
    want: Want
    over: bool


_UNKNOWN: Any = object()


def chained(step: Step, constants: Mapping[str, Array]) -> Chained | None:
    """Return what runs a step, or its chain, in one pass; None if it is nothing that the engine computes."""
    formula = formula_of(step.chain or (step,), constants)
    return formula and Chained(step, formula, constants)


class Chained:
    """Steps that are one: what a `Formula` says, of the step or of its chain.

    Parameters
    ----------
    step : Step
    formula : Formula
    constants : mapping of str to ndarray
    """

    shows = 0
    kind = "im2col"

    def __init__(self, step: Step, formula: Formula, constants: Mapping[str, Array]) -> None:
        self._step, self._formula = step, formula
        self._places = [step.inputs.index(name) for name in formula.arrays]
        self._parts = [chained(each, constants) or kernel_of(each) for each in step.chain] or [kernel_of(step)]
        self._plans: dict[Any, _Plan | None] = {}

    def __call__(self, inputs: Sequence[Any], memory: Memory, /) -> Sequence[Any]:
        """Return the result."""
        arrays = [inputs[place] for place in self._places]
        key = tuple([(x.shape, x.strides, x.dtype) if type(x) is np.ndarray else None for x in arrays])
        plan = self._plans.get(key, _UNKNOWN)
        if plan is _UNKNOWN:
            plan = self._planned(inputs, arrays)
            keep(self._plans, key, plan, _MOST_PLANS)
        if plan is None:
            return self._one_by_one(inputs, memory)
        out = memory.over(inputs, plan.want.shape, plan.want.dtype) if plan.over else None
        if out is None:
            out = memory.new(plan.want)
        ids = [id(x) for x in arrays]
        plan.calls.run_ids(*ids, *[id(out)] * (ARRAYS - len(ids)))
        return (out,)

    def _one_by_one(self, inputs: Sequence[Any], memory: Memory) -> Sequence[Any]:
        """Return the result of each step after the other."""
        if not self._step.chain:
            return self._parts[0](inputs, memory)
        values: dict[str, Any] = dict(zip(self._step.inputs, inputs, strict=True))
        between = _Between(memory)
        for step, kernel in zip(self._step.chain, self._parts, strict=True):
            try:
                results = kernel([values.get(name) for name in step.inputs], between)
            except Exception as error:
                raise error_of(error, step) from error
            values[step.first] = between.latest = results[0]
        return results

    def _planned(self, inputs: Sequence[Any], arrays: Sequence[Any]) -> _Plan | None:
        """Return how the engine computes it; None where it does not."""
        if any(type(x) is not np.ndarray or x.dtype != arrays[0].dtype or x.dtype not in ELEMENTS for x in arrays):
            return None
        shape, dtype = self._shape(inputs), arrays[0].dtype
        if shape is None or 0 in shape:
            return None
        constants = [each.beside(len(shape), dtype) for each in self._formula.constants]
        full = [x for x in arrays if x.shape == shape]
        order = next((order for order in map(order_of, full) if order), None)
        strides = [0] * len(shape)
        step = dtype.itemsize
        for axis in reversed(order or range(len(shape))):
            strides[axis], step = step, step * shape[axis]
        out = Lying(shape, tuple(strides))
        lying = [Lying(x.shape, x.strides) for x in arrays]
        calls = plan_chain(self._formula.operations, lying, constants, out, dtype, resolve_threads(None))
        if calls is None:
            return None
        same = all(a == b or n == 1 for x in full for a, b, n in zip(x.strides, strides, shape, strict=True))
        return _Plan(calls, wanted(shape, dtype, order), same)

    def _shape(self, inputs: Sequence[Any]) -> tuple[int, ...] | None:
        """Return the shape of the result; None if there is none, or the engine would do more than the steps alone."""
        shapes = {name: x.shape for name, x in zip(self._step.inputs, inputs, strict=True) if x is not None}
        steps = self._step.chain or (self._step,)
        for step in steps:
            x = shapes[step.inputs[0]]
            if step.operator == AFFINE and step.attributes["scale"].size not in (1, x[1] if len(x) > 1 else 1):
                return None
            try:
                shapes[step.first] = result_shape([shapes[name] for name in step.inputs if name])
            except ShapeError:
                return None
        shape = shapes[steps[-1].first]
        # What is made of few numbers is made anew for each number of the result, which costs little where it is simple.
        same = all(shapes[step.first] == shape for step in steps if step.operator in _NOT_AGAIN)
        return shape if same else None


_NOT_AGAIN = {AFFINE, "Sigmoid", "Swish"}
"""What is not made anew for several numbers of the result: it takes long, or its constants go with its own axes."""


class _Between:
    """Room for what one step of a chain hands to the next, which may write over it."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.latest: Array | None = None

    def new(self, want: Want) -> Array:
        """Return new room."""
        return self._memory.new(want)

    def over(self, _: Sequence[Any], shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array | None:
        """Return what the step before has made."""
        x = self.latest
        return x if x is not None and x.shape == shape and x.dtype == dtype else None
