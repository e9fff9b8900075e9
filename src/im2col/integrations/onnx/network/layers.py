"""Convolutions whose weights the model knows: a plan for each node and shape, in the layout of the network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ....layers.plan import plan
from ....layers.transpose import plan_transpose
from ....spec import layout
from ..convolutions import options, transposed_options
from ..order import channels_last
from ..signature import Signature

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
    last : bool
        Whether its images have their channels last in memory.
    """

    shows = 0
    kind = "plan"

    def __init__(self, step: Step, constants: Mapping[str, Array], last: bool) -> None:
        self._signature = Signature.of(step.operator, step.opset)
        _, w, *bias = step.inputs
        self._weights = constants[w]
        self._bias = constants[bias[0]] if bias and bias[0] else None
        self._transposed = step.operator == "ConvTranspose"
        self._attributes = {name: value for name, value in step.attributes.items() if value is not None}
        self._activation = step.activation
        self._last = last
        self._plans: dict[Any, Any] = {}

    def __call__(self, inputs: Sequence[Any], memory: Memory, /) -> Sequence[Any]:
        """Return the result, in room of the network."""
        x = inputs[0]
        key = (x.shape, x.dtype)
        found = self._plans.get(key)
        if found is None:
            found = self._planned(x)
            while len(self._plans) >= _MOST_PLANS:
                self._plans.pop(next(iter(self._plans)), None)
            self._plans[key] = found
        ready, shape, dtype, order = found
        y = memory.new(shape, dtype, order)
        if order is None:
            ready(x, out=y)
        else:
            ready(x.transpose(order), out=y.transpose(order))
        return (y,)

    def _planned(self, x: Array) -> tuple[Any, tuple[int, ...], Any, tuple[int, ...] | None]:
        """Return the plan for an image, and the shape, dtype and order in memory of its result."""
        self._signature.arrays([x, self._weights, self._bias])
        chosen = (transposed_options if self._transposed else options)(x, self._weights, **self._attributes)
        axes = layout.default(x.ndim, x.ndim - 2)
        order = None
        if self._last and axes.channels_last is not None:
            axes, order = axes.channels_last, channels_last(x.ndim)
        make: Callable[..., Any] = plan_transpose if self._transposed else plan
        shape = x.shape if order is None else tuple(x.shape[axis] for axis in order)
        ready = make(
            shape,
            self._weights,
            self._bias,
            x_dtype=x.dtype,
            layout=axes.axes,
            activation=self._activation,
            **chosen,
        )
        result = ready.y_shape
        if order is not None:
            result = (result[0], result[-1], *result[1:-1])
        return ready, result, x.dtype, order

    def plans(self) -> list[Any]:
        """Return the plans that it has, the newest last."""
        return [each[0] for each in self._plans.values()]
