"""Several steps as one: what follows a convolution goes into its weights, its bias and its store."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import defs

from .affine import AFFINE
from .formulas import formula_of
from .layers import is_planned
from .products import is_product, known_part

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .graph import Graph, Step

    Array = NDArray[Any]

_FOLDED = (np.float32, np.float64)
"""What weights may be multiplied in: their rounding is that of the layer's own."""


_Found = tuple[list[Any], str, str]
_NONE: _Found = ([], "", "")
"""The steps that are one, what they read, and the operator that they are."""


def fuse(graph: Graph) -> None:
    """Make one step of several, where a graph has such."""
    with np.errstate(all="ignore"):  # what is not finite is not folded
        _Fusing(graph).run()


class _Fusing:
    """A graph that is being changed: what is read by one step alone may go into that which made it."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._steps = {step.first: step for step in graph.steps}
        self._readers = graph.readers()
        named = (name for step in graph.steps for name in (*step.reads, *step.writes))
        self._names = {*graph.constants, *(each.name for each in graph.inputs), *graph.outputs, *named}

    def run(self) -> None:
        """Change the graph."""
        graph = self._graph
        for step in graph.steps:
            if not step.domain and step.first in self._steps:
                self._activation(self._steps[step.first])
        for step in graph.steps:
            current = self._steps.get(step.first)
            if current is step and is_planned(current, graph.constants):
                self._layer(current)
            elif current is step and is_product(current, graph.constants):
                self._product(current)
        for name in list(self._steps):
            if name in self._steps and not self._steps[name].domain:
                self._scaled(self._steps[name])
        for name in list(self._steps):
            if name in self._steps:
                self._chain(self._steps[name])
        graph.steps = list(self._steps.values())
        read = {*graph.outputs, *(name for step in graph.steps for name in step.reads)}
        graph.constants = {name: value for name, value in graph.constants.items() if name in read}

    # What works element by element.

    def _chain(self, step: Step) -> None:
        """Make one step of those that follow each other element by element, and that the engine does in one pass."""
        gone = [step]
        while (following := self._only_reader(gone[-1].first)) is not None:
            if formula_of([*gone, following], self._graph.constants) is None:
                break
            gone.append(following)
        if len(gone) == 1:
            return
        made = {each.first for each in gone}
        joined = replace(
            step,
            inputs=tuple(dict.fromkeys(name for each in gone for name in each.inputs if name and name not in made)),
            outputs=gone[-1].outputs,
            folded=step.folded + _folded(gone),
            chain=tuple(gone),
        )
        self._replace(gone, joined)

    # What a step is beside constants.

    def _only_reader(self, name: str) -> Step | None:
        """Return the step that alone reads a value, which is no output."""
        readers = self._readers.get(name, [])
        if len(readers) != 1 or name in self._graph.outputs or readers[0].domain:
            return None
        found = self._steps.get(readers[0].first)
        return found if found is not None and name not in found.captured else None

    def _number(self, name: str) -> float:
        """Return a constant that is one number; else NaN."""
        value = self._graph.constants.get(name)
        one = value is not None and value.size == 1 and value.ndim < 2 and value.dtype.kind == "f"
        return float(value.reshape(())) if one and value is not None else math.nan

    def _beside(self, step: Step, name: str) -> str:
        """Return the other input of a step of two."""
        a, b = step.inputs
        return b if a == name else a

    def _bounds(self, step: Step) -> tuple[float, float]:
        """Return those of a Clip; NaN for what is not known before."""
        if step.version < 11:
            return step.attributes["min"], step.attributes["max"]
        least, most, *_ = (*step.inputs[1:], "", "")
        low = self._number(least) if least else -math.inf
        return low, self._number(most) if most else math.inf

    # Activations that are told as several steps.

    def _activation(self, step: Step) -> None:
        """Put one step in the place of several that compute an activation."""
        for found, x, name in (self._hard_swish(step), self._gated(step)):
            if found:
                last = found[-1]
                joined = replace(
                    last,
                    operator=name,
                    inputs=(x,),
                    attributes={"alpha": 1.0} if name == "Swish" else {},
                    opsets={"": defs.onnx_opset_version()},
                    version=defs.onnx_opset_version(),
                    folded=tuple(each.operator for each in found),
                )
                self._replace(found, joined)
                return

    def _gated(self, step: Step) -> _Found:
        """Return the steps of x · gate(x)."""
        kind = {"Sigmoid": "Swish", "HardSigmoid": "HardSwish"}.get(step.operator)
        if kind is None or (kind == "HardSwish" and not _is_sixth(step.attributes)):
            return _NONE
        times = self._only_reader(step.first)
        if times is None or times.operator != "Mul" or self._beside(times, step.first) != step.inputs[0]:
            return _NONE
        return [step, times], step.inputs[0], kind

    def _hard_swish(self, step: Step) -> _Found:
        """Return the steps of x · clip(x + 3, 0, 6) / 6, in either order of the last two."""
        if step.operator != "Add" or 3 not in map(self._number, step.inputs):
            return _NONE
        x = step.inputs[0] if self._number(step.inputs[1]) == 3 else step.inputs[1]
        clip = self._only_reader(step.first)
        if clip is None or clip.operator != "Clip" or self._bounds(clip) != (0, 6):
            return _NONE
        found, last = [step, clip], clip
        gated = divided = False
        for _ in range(2):
            following = self._only_reader(last.first)
            if following is None or len(following.inputs) != 2:
                return _NONE
            other = self._beside(following, last.first)
            if following.operator == "Mul" and other == x and not gated:
                gated = True
            elif self._is_sixth_of(following, last.first):
                divided = True
            else:
                return _NONE
            found.append(following)
            last = following
        return (found, x, "HardSwish") if gated and divided else _NONE

    def _is_sixth_of(self, step: Step, x: str) -> bool:
        """Whether a step of two inputs divides a value by 6."""
        number = self._number(self._beside(step, x))
        if step.operator == "Div":
            return step.inputs[0] == x and number == 6
        return step.operator == "Mul" and math.isclose(number, 1 / 6, rel_tol=1e-6)

    def _replace(self, gone: list[Step], joined: Step) -> None:
        """Put a step in the place of the last of several."""
        for step in gone[:-1]:
            del self._steps[step.first]
        self._steps[joined.first] = joined
        inside = [step.first for step in gone]
        for name in {name for step in gone for name in step.reads}:
            rest = [step for step in self._readers.get(name, []) if step.first not in inside]
            self._readers[name] = rest + [joined] * (name in joined.reads)

    # Convolutions.

    def _layer(self, step: Step) -> None:
        """Fold into a convolution what follows it."""
        constants = self._graph.constants
        weights = constants[step.inputs[1]]
        bias = constants[step.inputs[2]] if len(step.inputs) > 2 and step.inputs[2] else None
        groups = step.attributes["group"]
        transposed = step.operator == "ConvTranspose"
        if weights.ndim < 3 or groups < 1 or weights.shape[0] % groups:
            return  # which is refused when it runs
        maps = weights.shape[1] * groups if transposed else weights.shape[0]
        if bias is not None and bias.shape != (maps,):
            return
        gone, scale, shift, activation = self._following(step, maps, weights.ndim if weights.dtype in _FOLDED else 0)
        if len(gone) == 1:
            return
        inputs = step.inputs
        if any(each.operator in _AFFINE for each in gone[1:]):
            by_group = scale.reshape(groups, 1, -1) if transposed else scale.reshape(groups, -1, 1)
            inner = weights.astype(np.float64).reshape(groups, weights.shape[0] // groups, weights.shape[1], -1)
            b = (0 if bias is None else bias.astype(np.float64)) * scale + shift
            inputs = (
                step.inputs[0],
                *self._known(gone[-1], (inner * by_group[..., None]).reshape(weights.shape), b, weights),
            )
        joined = replace(
            step,
            inputs=inputs,
            outputs=gone[-1].outputs,
            folded=_folded(gone),
            activation=activation,
        )
        self._replace(gone, joined)

    def _product(self, step: Step) -> None:
        """Write a product of matrices as its kernel reads it, and fold into it what follows."""
        own = self._graph.constants[step.inputs[1]]
        w, bias = known_part(step, self._graph.constants)
        gone, scale, shift, activation = self._following(step, len(bias), 2 if step.operator == "Gemm" else 1)
        joined = replace(
            step,
            inputs=(step.inputs[0], *self._known(gone[-1], w * scale, bias * scale + shift, own)),
            outputs=gone[-1].outputs,
            attributes={name: value for name, value in step.attributes.items() if name == "transA"},
            folded=_folded(gone),
            activation=activation,
        )
        self._replace(gone, joined)

    def _following(self, step: Step, maps: int, axes: int) -> tuple[list[Step], Array, Array, Any]:
        """Return a layer and the steps that may go into it, what they scale and shift maps by, and their activation.

        Parameters
        ----------
        step : Step
        maps : int
        axes : int
            Of its result, as for `_scale`; 0 where nothing is scaled.
        """
        gone, activation = [step], None
        scale, shift = np.ones(maps), np.zeros(maps)
        while activation is None:
            following = self._only_reader(gone[-1].first)
            if following is None or len(following.writes) > 1:
                break
            change = self._scale(following, gone[-1].first, maps, axes) if axes else None
            if change is not None:
                scale, shift = scale * change[0], shift * change[0] + change[1]
            else:
                activation = self._named(following)
                if activation is None:
                    break
            gone.append(following)
        return gone, scale, shift, activation

    def _known(self, step: Step, w: Array, bias: Array, like: Array) -> tuple[str, str]:
        """Have weights and a bias among the constants, in the dtype of others, and return their names."""
        weights, beside = (self._name(f"{step.first}/{what}") for what in ("weights", "bias"))
        self._graph.constants |= {weights: w.astype(like.dtype), beside: bias.astype(like.dtype)}
        return weights, beside

    def _name(self, name: str) -> str:
        """Return a name that no value of the model has: this one, with as many strokes as it takes."""
        while name in self._names:
            name += "'"
        return name

    # What is scaled and shifted for itself.

    def _scaled(self, step: Step) -> None:
        """Make a normalisation, or arithmetic with numbers behind a convolution, one step, and a Relu behind it too."""
        constants = self._graph.constants
        x = next((name for name in step.inputs if name not in constants), "")
        scales = constants.get(step.inputs[1]) if step.operator == "BatchNormalization" else None
        maker = self._steps.get(x)
        if scales is None and (maker is None or not is_planned(maker, constants)):
            return  # the number of axes is not known, and a constant may have more of them
        maps = 1 if scales is None else scales.size
        factor, term = np.ones(maps), np.zeros(maps)
        gone: list[Step] = []
        following: Step | None = step
        while following is not None and (scales is None or not gone):
            change = self._scale(following, gone[-1].first if gone else x, maps, _FEWEST_AXES)
            if change is None:
                break
            factor, term = factor * change[0], term * change[0] + change[1]
            gone.append(following)
            following = self._only_reader(following.first)
        relu = following is not None and following.operator == "Relu"
        if not gone or (len(gone) + relu < 2 and scales is None):
            return
        if following is not None and relu:
            gone.append(following)
        dtype = next(constants[name].dtype for name in step.inputs if name in constants)
        if dtype not in _FOLDED:
            return
        attributes = {"scale": factor.astype(dtype), "shift": term.astype(dtype), "relu": relu}
        folded = tuple(each.operator for each in gone)
        outputs = gone[-1].outputs
        joined = replace(step, operator=AFFINE, inputs=(x,), outputs=outputs, attributes=attributes, folded=folded)
        self._replace(gone, joined)

    def _scale(self, step: Step, x: str, maps: int, axes: int) -> tuple[Array, Array] | None:
        """Return scale and shift of each map, if a step is such a change of a value, and both are finite.

        The value has so many axes, of which the second one is that of maps. Where `axes` is 1 it has any number of
        them, and the last one is.
        """
        if step.operator not in _AFFINE:
            return None
        if step.operator == "BatchNormalization":
            change = self._normalization(step, x, maps) if axes > 1 else None
        else:
            change = self._arithmetic(step, x, maps, axes)
        if change is None or not (np.isfinite(change[0]).all() and np.isfinite(change[1]).all()):
            return None
        return change

    def _normalization(self, step: Step, x: str, maps: int) -> tuple[Array, Array] | None:
        """Return scale and shift of a normalisation at inference."""
        given = [self._graph.constants.get(name) for name in step.inputs[1:]]
        trains = step.attributes.get("training_mode") or step.attributes.get("is_test") == 0
        if step.inputs[0] != x or trains or not step.attributes.get("spatial", 1):
            return None
        if any(each is None or each.shape != (maps,) for each in given):
            return None
        factor, shift, mean, var = (each.astype(np.float64) for each in given if each is not None)
        scale = factor / np.sqrt(var + step.attributes["epsilon"])
        return scale, shift - mean * scale

    def _arithmetic(self, step: Step, x: str, maps: int, axes: int) -> tuple[Array, Array] | None:
        """Return scale and shift of a sum or a product with a constant."""
        value = self._graph.constants.get(self._beside(step, x))
        if value is None or value.ndim > axes or value.dtype.kind != "f":
            return None
        shape = (1,) * (axes - value.ndim) + value.shape
        channels = min(1, axes - 1)
        if shape[channels] not in (1, maps) or any(n != 1 for axis, n in enumerate(shape) if axis != channels):
            return None
        each = np.broadcast_to(value.astype(np.float64).reshape(-1), (maps,))
        ones, zeros = np.ones(maps), np.zeros(maps)
        first = step.inputs[0] == x
        if step.operator == "Mul":
            return each, zeros
        if step.operator == "Add":
            return ones, each
        if step.operator == "Sub":
            return (ones, -each) if first else (-ones, each)
        return (1 / each, zeros) if first else None

    def _named(self, step: Step) -> Any:
        """Return the activation of `im2col.conv` that a step is, or None."""
        if step.operator == "Clip":
            bounds: dict[tuple[float, float], str] = {(0, 6): "relu6", (0, math.inf): "relu"}
            return bounds.get(self._bounds(step))
        if step.operator == "LeakyRelu":
            return "leaky_relu", float(step.attributes["alpha"])
        if step.operator == "Swish" and step.attributes["alpha"] != 1:
            return None
        return {"Relu": "relu", "Sigmoid": "sigmoid", "Swish": "silu", "HardSwish": "hardswish"}.get(step.operator)


_FEWEST_AXES = 3
"""Of what a convolution gives."""


def _folded(gone: list[Step]) -> tuple[str, ...]:
    """Return the operators of the steps that go into the first one."""
    return tuple(name for each in gone[1:] for name in (each.folded or (each.operator,)))


def _is_sixth(attributes: dict[str, Any]) -> bool:
    """Whether those of a HardSigmoid are of the gate of a HardSwish."""
    return math.isclose(attributes["alpha"], 1 / 6, rel_tol=1e-6) and attributes["beta"] == 0.5


_AFFINE = {"Add", "BatchNormalization", "Div", "Mul", "Sub"}
"""Operators that scale and shift, if what they do it with is known."""
