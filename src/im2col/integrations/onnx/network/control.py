"""The operators of ONNX that run graphs: one of two, one again and again, or one along an axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ....errors import ArgumentError, ShapeError, shown
from .arrays import axes_of, axis_of
from .kernels import ALL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from .graph import Graph, Input, Step
    from .kernels import Memory

    Array = NDArray[Any]
    Run = Callable[[Sequence[Any]], list[Any]]
    Prepare = Callable[[Graph], Run]


class _Body:
    """A subgraph of a step, ready to run.

    Parameters
    ----------
    step : Step
    name : str
        The attribute that it is.
    constants : mapping of str to ndarray
        Of the graph around it.
    prepare : callable
        Makes a graph ready to run.
    """

    def __init__(self, step: Step, name: str, constants: Mapping[str, Array], prepare: Prepare) -> None:
        graph = step.graphs[name]
        self.inputs = len(graph.inputs)
        self.outputs: list[Input] = graph.results
        around = [each for each in graph.captured if each not in constants]
        self._places = [step.captured.index(each) - len(step.captured) for each in around]
        self._run = prepare(graph.inside({each: constants[each] for each in graph.captured if each in constants}))

    def __call__(self, given: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
        """Return the outputs of what it is given, and of what it captures among the inputs of the step."""
        return self._run([*given, *(inputs[place] for place in self._places)])


class If:
    """If."""

    shows = ALL
    kind = "graph"

    def __init__(self, step: Step, constants: Mapping[str, Array], prepare: Prepare) -> None:
        self._then = _Body(step, "then_branch", constants, prepare)
        self._else = _Body(step, "else_branch", constants, prepare)
        for each in (self._then, self._else):
            if each.inputs or len(each.outputs) != len(step.outputs):
                raise ShapeError(f"a branch must have no inputs and {len(step.outputs)} outputs")

    def __call__(self, inputs: Sequence[Any], _: Memory, /) -> Sequence[Any]:
        """Return the results of the branch that the condition chooses."""
        if np.size(inputs[0]) != 1:
            raise ShapeError(f"the condition must be one bool, got shape {np.shape(inputs[0])}")
        return (self._then if np.all(inputs[0]) else self._else)((), inputs)


class Loop:
    """Loop."""

    shows = ALL
    kind = "graph"

    def __init__(self, step: Step, constants: Mapping[str, Array], prepare: Prepare) -> None:
        self._body = _Body(step, "body", constants, prepare)
        self._carried = len(step.inputs) - 2
        self._stacked = self._body.outputs[1 + self._carried :]
        if self._body.inputs != 2 + self._carried or len(step.outputs) > self._carried + len(self._stacked):
            raise ShapeError(
                f"the body must have {2 + self._carried} inputs and {1 + len(step.outputs)} outputs, and has "
                f"{self._body.inputs} and {len(self._body.outputs)}"
            )

    def __call__(self, inputs: Sequence[Any], _: Memory, /) -> Sequence[Any]:
        """Return what is carried to the end, and what each turn gives, stacked."""
        most, going = inputs[0], inputs[1]
        turns = None if most is None else int(np.asarray(most).reshape(()))
        alive = going is None or bool(np.all(going))
        carried = list(inputs[2 : 2 + self._carried])
        stacks: list[list[Any]] = [[] for _ in self._stacked]
        turn = 0
        while alive and (turns is None or turn < turns):
            results = self._body([np.array(turn, np.int64), np.array(alive), *carried], inputs)
            alive = bool(np.all(results[0]))
            carried = results[1 : 1 + self._carried]
            for stack, value in zip(stacks, results[1 + self._carried :], strict=True):
                stack.append(value)
            turn += 1
        return [*carried, *(_stacked(stack, each) for stack, each in zip(stacks, self._stacked, strict=True))]


def _stacked(values: list[Any], described: Input, axis: int = 0) -> Array:
    """Return what the turns of a loop give as one array; of no turn, an empty one as the model describes it."""
    if not values:
        shape = [n if isinstance(n, int) else 0 for n in described.shape or ()]
        shape.insert(axis, 0)
        return np.empty(shape, described.dtype or np.float32)
    if len({np.shape(value) for value in values}) > 1:
        raise ShapeError(f"output {shown(described.name)} of the body changes its shape from turn to turn")
    return np.stack(values, axis_of(axis, np.ndim(values[0]) + 1))


class Scan:
    """Scan, from opset 9 on."""

    shows = ALL
    kind = "graph"

    def __init__(self, step: Step, constants: Mapping[str, Array], prepare: Prepare) -> None:
        self._body = _Body(step, "body", constants, prepare)
        given = step.attributes
        self._scanned: int = given["num_scan_inputs"]
        self._states = len(step.inputs) - self._scanned
        made = self._body.outputs[self._states :]
        if self._states < 0 or self._body.inputs != len(step.inputs) or self._states + len(made) != len(step.outputs):
            raise ShapeError(
                f"the body must have {len(step.inputs)} inputs, {self._scanned} of them scanned, and "
                f"{len(step.outputs)} outputs; it has {self._body.inputs} and {len(self._body.outputs)}"
            )
        self._made = made
        self._axes = _each(given, "scan_input_axes", self._scanned)
        self._backwards = _each(given, "scan_input_directions", self._scanned)
        self._made_axes = _each(given, "scan_output_axes", len(made))
        self._made_backwards = _each(given, "scan_output_directions", len(made))

    def __call__(self, inputs: Sequence[Any], _: Memory, /) -> Sequence[Any]:
        """Return the last states, and what each turn gives, stacked."""
        states = list(inputs[: self._states])
        scanned = []
        for x, axis, backwards in zip(
            inputs[self._states : self._states + self._scanned], self._axes, self._backwards, strict=True
        ):
            (place,) = axes_of([axis], x.ndim)
            lines = np.moveaxis(x, place, 0)
            scanned.append(lines[::-1] if backwards else lines)
        lengths = {len(each) for each in scanned}
        if len(lengths) != 1:
            raise ShapeError(f"what is scanned must be equally long, got {sorted(lengths)}")
        stacks: list[list[Any]] = [[] for _ in self._made]
        for turn in range(lengths.pop()):
            results = self._body([*states, *(each[turn] for each in scanned)], inputs)
            states = results[: self._states]
            for stack, value in zip(stacks, results[self._states :], strict=True):
                stack.append(value)
        made = zip(stacks, self._made, self._made_axes, self._made_backwards, strict=True)
        return [*states, *(_stacked(s[::-1] if backwards else s, each, axis) for s, each, axis, backwards in made)]


def _each(attributes: Mapping[str, Any], name: str, count: int) -> list[int]:
    """Return an attribute with a number for each; 0 by default."""
    found = list(attributes.get(name) or [0] * count)
    if len(found) != count:
        raise ArgumentError(f"{name} must have {count} numbers, got {shown(found)}")
    return found


CONTROL: dict[str, Callable[..., Any]] = {"If": If, "Loop": Loop, "Scan": Scan}
