"""What is known before a network runs: constants, and what is made of constants alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ....engine.host import require_memory
from ....errors import ArgumentError, FileError, naming
from ..order import empty
from .kernels import error_of, kernel_of
from .reading import dense, tensor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from .graph import Graph, Step
    from .memory import Want

    Array = NDArray[Any]

RANDOM = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
_TYPES: dict[str, Any] = {
    "value_float": np.float32,
    "value_floats": np.float32,
    "value_int": np.int64,
    "value_ints": np.int64,
    "value_string": object,
    "value_strings": object,
}


class _Anew:
    """Room for results that stay."""

    def new(self, want: Want) -> Array:
        """Return a new array."""
        require_memory(want.sizes[0], "use a smaller model", "a constant of shape {}", want.shape)
        return empty(want.shape, want.dtype, want.order)

    def over(self, _: Sequence[Any], __: tuple[int, ...], ___: np.dtype[Any]) -> Array | None:
        """Return none: a constant is not overwritten."""
        return None


def fold_constants(graph: Graph, folder: Path | None) -> None:
    """Compute the steps of a graph that read constants alone; take out what passes a value on, or what nobody reads."""
    known, rest = graph.constants, []
    same: dict[str, str] = {}
    told = {*graph.outputs, *(name for step in graph.steps for name in step.captured)}
    for each in graph.steps:
        step = each.with_inputs(same)
        if passed := _passed_on(step, told):
            same[step.outputs[0]] = passed
        elif step.operator == "Constant" and not step.domain:
            with naming(step.label):
                known[step.outputs[0]] = _constant(step, folder)
        elif not step.graphs and step.operator not in RANDOM and all(name in known for name in step.reads):
            _compute(step, known)
        else:
            rest.append(step)
    wanted = set(graph.outputs)
    kept = []
    for step in reversed(rest):
        if wanted.intersection(step.writes):
            wanted.update(step.reads)
            kept.append(step)
    graph.steps = kept[::-1]
    graph.constants = {name: value for name, value in known.items() if name in wanted}


def _passed_on(step: Step, told: set[str]) -> str:
    """Return the value that a step passes on as it is; none if it does more, or the name of its result is told."""
    if step.domain or step.outputs[0] in told or len(step.writes) > 1:
        return ""
    if step.operator == "Identity" or (step.operator == "Dropout" and len(step.inputs) < 3):
        return step.inputs[0]
    return ""


def _constant(step: Step, folder: Path | None) -> Array:
    """Return the value of a Constant."""
    given = {each.name: step.attributes[each.name] for each in step.proto.attribute}
    if len(given) != 1:
        raise ArgumentError(f"it must have one value, and has {sorted(given)}")
    ((name, value),) = given.items()
    if name == "value":
        return tensor(value, folder)
    if name == "sparse_value":
        return dense(value, folder)
    if name not in _TYPES:
        raise FileError(f"it has no value of kind {name}")
    return np.array(value, _TYPES[name])


def _compute(step: Step, known: dict[str, Any]) -> None:
    """Run a step, whose results are constants from now on."""
    with naming(step.label):
        kernel = kernel_of(step)
    inputs = [known[name] if name else None for name in (*step.inputs, *step.captured)]
    try:
        with np.errstate(all="ignore"):
            results = kernel(inputs, _Anew())
    except Exception as error:
        raise error_of(error, step) from error
    known.update({name: result for name, result in zip(step.outputs, results, strict=False) if name})
