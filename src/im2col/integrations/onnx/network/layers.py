"""Convolutions whose weights the model knows: a plan for each node and shape, in the layout of the network."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ....layers.convolution import convolution
from ....layers.plan import plan
from ....layers.transpose import plan_transpose
from ....spec import layout
from ..convolutions import options, transposed_options
from ..order import back, channels_last
from ..signature import Signature
from .memory import Want, keep

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from .graph import Step
    from .kernels import Memory

    Array = NDArray[Any]

PLANNED = ("Conv", "ConvTranspose")
_MOST_PLANS = 8
"""Shapes for which a node keeps its plan: those that it met last."""


def is_planned(step: Step, constants: Mapping[str, Array]) -> bool:
    """Whether a step is a convolution whose weights, and bias, are known."""
    return (
        not step.domain and step.operator in PLANNED and all(not name or name in constants for name in step.inputs[1:])
    )


class Layer:
    """A convolution, or a transposed one.

    Parameters
    ----------
    step : Step
    constants : mapping of str to ndarray
        Its weights and bias among them.
    """

    shows = 0
    kind = "plan"

    def __init__(self, step: Step, constants: Mapping[str, Array]) -> None:
        self._signature = Signature.of(step.operator, step.opset)
        _, w, *bias = step.inputs
        self._weights = constants[w]
        self._bias = constants[bias[0]] if bias and bias[0] else None
        self._transposed = step.operator == "ConvTranspose"
        self._attributes = {name: value for name, value in step.attributes.items() if value is not None}
        self._activation = step.activation
        self._last = True
        self._plans: dict[Any, Any] = {}

    def __call__(self, inputs: Sequence[Any], memory: Memory, /) -> Sequence[Any]:
        """Return the result, in room of the network."""
        x = inputs[0]
        key = (x.shape, x.dtype)
        found = self._plans.get(key)
        if found is None:
            found = self._planned(x)
            keep(self._plans, key, found, _MOST_PLANS)
        ready, want, there, again = found
        y = memory.new(want)
        if there is None:
            ready(x, out=y)
            return (y,)
        ready(x.transpose(there), out=y)
        return (y.transpose(again),)

    def _planned(self, x: Array) -> tuple[Any, Want, tuple[int, ...] | None, Any]:
        """Return the plan for an image, what its result is, and how axes become the plan's, and back."""
        self._signature.arrays([x, self._weights, self._bias])
        chosen = (transposed_options if self._transposed else options)(x, self._weights, **self._attributes)
        chosen |= {"activation": self._activation, "x_dtype": x.dtype}
        make: Callable[..., Any] = plan_transpose if self._transposed else plan
        axes = layout.default(x.ndim, x.ndim - 2)
        last = axes.channels_last
        there = channels_last(x.ndim) if self._last and last is not None else None
        if there is None or last is None:
            ready = make(x.shape, self._weights, self._bias, layout=axes.axes, **chosen)
        else:
            shape = tuple(x.shape[axis] for axis in there)
            ready = make(shape, self._weights, self._bias, layout=last.axes, **chosen)
        return ready, Want(ready.y_shape, x.dtype, None), there, there and back(there)

    def cycles(self) -> tuple[float, float]:
        """Return what the cost model says of its newest plan, with channels first and last; nothing of the transposed.

        A layer whose algorithm has no costs, such as one without kernels, has none in either.
        """
        if self._transposed or not self._plans:
            return 0.0, 0.0
        (shape, dtype), _ = list(self._plans.items())[-1]
        x = np.broadcast_to(np.zeros((), dtype), shape)
        chosen = options(x, self._weights, **self._attributes)
        costs = []
        axes = layout.default(x.ndim, x.ndim - 2)
        for each in (axes, axes.channels_last or axes):
            lengths = tuple(shape[axes.axes.index(letter)] for letter in each.axes)
            work = convolution(
                lengths, dtype, self._weights, self._bias, layout=each.axes, activation=self._activation, **chosen
            )
            costs.append(sum(choice.offer.cycles for choice in work.operation.choices))
        return (costs[0], costs[1]) if all(map(math.isfinite, costs)) else (0.0, 0.0)

    def put_channels_first(self) -> None:
        """Have other plans from now on, for images whose channels lie first in memory, and not last."""
        self._last = False
        self._plans.clear()
