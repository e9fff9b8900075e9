"""Steps that work element by element, as arithmetic that the engine does in one pass: what they read and do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ....engine.chain_kernels import TOLD, Operation
from .affine import AFFINE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from .graph import Step

    Array = NDArray[Any]
    Place = tuple[str, int]

_MOST_OPERATIONS = 24
"""Of one pass: more take the compiler seconds, and save little that a pass of their own would not."""


class Constant(NamedTuple):
    """An operand that is known before.

    Parameters
    ----------
    values : ndarray or float
        A float is rounded to the dtype of what it meets.
    by_channel : bool
        Whether they are numbers for the channels of an image, which is an operand beside them.
    """

    values: Any
    by_channel: bool = False

    def beside(self, axes: int, dtype: np.dtype[Any]) -> Array:
        """Return it as an array beside operands of so many axes, and of a dtype."""
        values = np.array(self.values, dtype) if isinstance(self.values, float) else np.asarray(self.values)
        return values.reshape((-1, *[1] * (axes - 2)) if axes > 1 else (-1,) * axes) if self.by_channel else values


class Formula(NamedTuple):
    """What a chain of steps computes.

    Parameters
    ----------
    arrays : tuple of str
        The values that it reads which are not known before, at most `TOLD`.
    constants : tuple of Constant
    operations : tuple of Operation
        Operands are the arrays, and behind them the constants.
    """

    arrays: tuple[str, ...]
    constants: tuple[Constant, ...]
    operations: tuple[Operation, ...]


def formula_of(steps: Sequence[Step], constants: Mapping[str, Array]) -> Formula | None:
    """Return what steps compute, each of which reads what the one before it made; None if the engine does not.

    None, too, if one of them has a chain: it computes more than its operator says.
    """
    writer = _Writer(constants)
    for step in steps:
        write = _OPERATORS.get(step.operator)
        if write is None or step.domain or step.chain or len(step.writes) != 1:
            return None
        result = write(writer, step)
        if result is None:
            return None
        writer.values[step.first] = result
    return writer.formula()


class _Writer:
    """A formula that is being written."""

    def __init__(self, constants: Mapping[str, Array]) -> None:
        self.known = constants
        self.values: dict[str, Place] = {}
        self._arrays: list[str] = []
        self._constants: list[Constant] = []
        self._operations: list[tuple[str, Place, Place]] = []

    def value(self, name: str) -> Place:
        """Return a value of the network."""
        if name not in self.values:
            if name in self.known:
                self.values[name] = self.constant(self.known[name])
            else:
                self._arrays.append(name)
                self.values[name] = "array", len(self._arrays) - 1
        return self.values[name]

    def constant(self, values: Any, *, by_channel: bool = False) -> Place:
        """Return a constant."""
        self._constants.append(Constant(values, by_channel))
        return "constant", len(self._constants) - 1

    def do(self, name: str, first: Place, second: Place) -> Place:
        """Return the result of an operation."""
        self._operations.append((name, first, second))
        return "result", len(self._operations) - 1

    def between(self, x: Place, low: float, high: float) -> Place:
        """Return a value within bounds."""
        return self.do("lowered", self.do("raised", x, self.constant(low)), self.constant(high))

    def formula(self) -> Formula | None:
        """Return it; None if it reads or does too much, or reads nothing that is told later, or what is left out."""
        if not 0 < len(self._arrays) <= TOLD or "" in self._arrays or len(self._operations) > _MOST_OPERATIONS:
            return None
        first = {"array": 0, "constant": len(self._arrays)}
        first["result"] = first["constant"] + len(self._constants)
        operations = [
            Operation(name, *(first[kind] + number for kind, number in places)) for name, *places in self._operations
        ]
        return Formula(tuple(self._arrays), tuple(self._constants), tuple(operations))


def _given(step: Step) -> dict[str, Any]:
    """Return the attributes that a step has."""
    return {name: value for name, value in step.attributes.items() if value is not None}


def _of_all(name: str) -> Callable[[_Writer, Step], Place | None]:
    """Return what joins inputs, one after another."""

    def write(writer: _Writer, step: Step) -> Place | None:
        if len(step.inputs) < 2 or _given(step):  # axes were told before opset 7
            return None
        result = writer.value(step.inputs[0])
        for other in step.inputs[1:]:
            result = writer.do(name, result, writer.value(other))
        return result

    return write


def _relu(writer: _Writer, step: Step) -> Place | None:
    return None if _given(step) else writer.do("at_least", writer.value(step.inputs[0]), writer.constant(0.0))


def _sigmoid(writer: _Writer, step: Step) -> Place | None:
    x = writer.value(step.inputs[0])
    return None if _given(step) else writer.do("sigmoid", x, x)


def _swish(writer: _Writer, step: Step) -> Place:
    x = writer.value(step.inputs[0])
    alpha = step.attributes["alpha"]
    scaled = x if alpha == 1 else writer.do("times", x, writer.constant(alpha))
    return writer.do("times", writer.do("sigmoid", scaled, scaled), x)


def _leaky_relu(writer: _Writer, step: Step) -> Place | None:
    if set(_given(step)) != {"alpha"}:
        return None
    return writer.do("leaky_relu", writer.value(step.inputs[0]), writer.constant(step.attributes["alpha"]))


def _hard_sigmoid(writer: _Writer, step: Step) -> Place | None:
    if set(_given(step)) != {"alpha", "beta"}:
        return None
    return _gate(writer, writer.value(step.inputs[0]), **_given(step))


def _hard_swish(writer: _Writer, step: Step) -> Place:
    x = writer.value(step.inputs[0])
    return writer.do("times", _gate(writer, x, alpha=1 / 6, beta=0.5), x)


def _gate(writer: _Writer, x: Place, *, alpha: float, beta: float) -> Place:
    """Return alpha · x + beta, within 0 and 1."""
    line = writer.do("plus", writer.do("times", x, writer.constant(alpha)), writer.constant(beta))
    return writer.between(line, 0.0, 1.0)


def _clip(writer: _Writer, step: Step) -> Place | None:
    """Clip: its bounds were attributes before opset 11; what is not known before, or no number, is left to NumPy."""
    told: list[Any] = [step.attributes.get("min"), step.attributes.get("max")]
    for place, name in enumerate(step.inputs[1:]):
        if name:
            told[place] = writer.known.get(name, math.nan)
    bounds = [None if each is None else np.asarray(each) for each in told]
    if any(each is not None and (each.size != 1 or each.dtype.kind != "f" or np.isnan(each)) for each in bounds):
        return None
    # As NumPy's clip, which with one bound is its maximum, or its minimum.
    names = ("raised", "lowered") if None not in told else ("at_least", "at_most")
    result = x = writer.value(step.inputs[0])
    for name, bound in zip(names, told, strict=True):
        if bound is not None:
            result = writer.do(name, result, writer.constant(bound))
    return None if result == x else result


def _affine(writer: _Writer, step: Step) -> Place:
    x = writer.value(step.inputs[0])
    scale, shift = (writer.constant(step.attributes[name], by_channel=True) for name in ("scale", "shift"))
    result = writer.do("plus", writer.do("times", x, scale), shift)
    return writer.do("at_least", result, writer.constant(0.0)) if step.attributes["relu"] else result


_OPERATORS: dict[str, Callable[[_Writer, Step], Place | None]] = {
    AFFINE: _affine,
    "Add": _of_all("plus"),
    "Clip": _clip,
    "Div": _of_all("over"),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "LeakyRelu": _leaky_relu,
    "Mul": _of_all("times"),
    "Relu": _relu,
    "Sigmoid": _sigmoid,
    "Sub": _of_all("minus"),
    "Sum": _of_all("plus"),
    "Swish": _swish,
}
