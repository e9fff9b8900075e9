"""The graph of a model: its inputs, its constants, and its nodes in an order in which they can run."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from onnx import AttributeProto, helper

from ....errors import ArgumentError, DTypeError, FileError, ShapeError, naming, shown
from ....spec.arrays import as_array
from ..node import label
from ..signature import Signature
from .reading import dense, tensor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[Any]

MAIN = ("", "ai.onnx")
"""The two names of the standard's own domain."""


class Input(NamedTuple):
    """What a network is to be given.

    Parameters
    ----------
    name : str
    dtype : dtype or None
        None for what is no array, such as a sequence.
    shape : tuple of int, str or None, or None
        A number, a name or nothing for each axis; None if the model does not tell the rank.
    """

    name: str
    dtype: np.dtype[Any] | None
    shape: tuple[int | str | None, ...] | None

    def __str__(self) -> str:
        axes = "?" if self.shape is None else ", ".join("?" if axis is None else str(axis) for axis in self.shape)
        return f"{self.name}: {self.dtype or 'no array'} ({axes})"

    def sample(self) -> Array:
        """Return random numbers that it takes, from 0 to 1.

        Raises
        ------
        ArgumentError
            If the model does not tell its shape.
        """
        shape = [n for n in self.shape or () if isinstance(n, int)]
        if self.dtype is None or self.shape is None or len(shape) < len(self.shape):
            raise ArgumentError(f"the model does not tell the shape of its input {self}; pass an array")
        return np.asarray(np.random.default_rng(0).random(shape), self.dtype)

    def check(self, value: Any) -> Any:
        """Return a value as what this input takes.

        Raises
        ------
        DTypeError, ShapeError
            If it has another dtype, rank or length of an axis than the model says.
        """
        if self.dtype is None:
            return value
        array = np.asarray(value) if self.dtype.kind in "OSU" else as_array(f"input {shown(self.name)}", value)
        if array.dtype != self.dtype:
            raise DTypeError(f"input {shown(self.name)} is {array.dtype}, but must be {self.dtype}")
        if self.shape is None:
            return array
        if array.ndim != len(self.shape):
            raise ShapeError(
                f"input {shown(self.name)} has shape {array.shape}, but must have {len(self.shape)} axes: {self}"
            )
        if any(isinstance(want, int) and n != want for n, want in zip(array.shape, self.shape, strict=True)):
            raise ShapeError(f"input {shown(self.name)} has shape {array.shape}, but must fit {self}")
        return array


@dataclass(frozen=True, eq=False)
class Step:
    """One node, or several that were folded into one.

    Parameters
    ----------
    operator, domain : str
        What it computes; of the standard's domain, whose name is empty, or of another one.
    label : str
        As errors call it.
    inputs, outputs : tuple of str
        Names of values; an empty one for what is left out.
    attributes : dict
        With their defaults.
    proto : onnx.NodeProto
        The node.
    opsets : mapping of str to int
        Of the model: the opset of each domain.
    version : int
        The opset that last changed the operator, up to the model's.
    graphs : mapping of str to Graph
        Its subgraphs, by the attributes that they are.
    captured : tuple of str
        What its subgraphs read of the graph around them.
    folded : tuple of str
        The operators that it computes beside its own.
    activation : activation of `im2col.conv`, or None
        That follows it.
    chain : tuple of Step
        Itself and others, each of which reads what the one before it makes, element by element; empty if it is alone.
    """

    operator: str
    domain: str
    label: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    proto: Any
    opsets: Mapping[str, int]
    version: int
    graphs: Mapping[str, Graph] = field(default_factory=dict)
    captured: tuple[str, ...] = ()
    folded: tuple[str, ...] = ()
    activation: Any = None
    chain: tuple[Step, ...] = ()

    @classmethod
    def of(cls, node: Any, opsets: Mapping[str, int], folder: Path | None) -> Self:
        """Return a node of a model, checked against the schema of the model's opset."""
        named = label(node)
        domain = "" if node.domain in MAIN else node.domain
        with naming(named):
            if domain not in opsets:
                raise ArgumentError(f"the model does not say which opset of the domain {shown(domain)} it is of")
            signature = Signature.of(node.op_type, opsets[domain], domain)
            signature.check_attributes(node)
            signature.check_count(len(node.input))
            if not any(node.output):
                raise ShapeError("it has no outputs")
            if len(node.output) > signature.most_outputs:
                raise ShapeError(f"it has {len(node.output)} outputs, but gives at most {signature.most_outputs}")
        graphs = {
            each.name: graph_of(each.g, opsets, folder, inner=True)
            for each in node.attribute
            if each.type == AttributeProto.GRAPH
        }
        captured = dict.fromkeys(name for graph in graphs.values() for name in graph.captured)
        return cls(
            node.op_type,
            domain,
            named,
            tuple(node.input),
            tuple(node.output),
            signature.attributes(node),
            node,
            opsets,
            signature.version,
            graphs,
            tuple(captured),
        )

    @property
    def opset(self) -> int:
        """That of its domain."""
        return self.opsets[self.domain]

    @property
    def reads(self) -> tuple[str, ...]:
        """Every value that must be there before it can run."""
        return tuple(dict.fromkeys(name for name in (*self.inputs, *self.captured) if name))

    @property
    def writes(self) -> tuple[str, ...]:
        """Every value that it makes."""
        return tuple(name for name in self.outputs if name)

    @property
    def first(self) -> str:
        """The first value that it makes, by which it is found."""
        return next(name for name in self.outputs if name)

    def with_inputs(self, same: Mapping[str, str]) -> Step:
        """Return it with other names for some of its inputs; what subgraphs capture keeps its name."""
        if not any(name in same for name in self.inputs):
            return self
        return replace(self, inputs=tuple(same.get(name, name) for name in self.inputs))


@dataclass
class Graph:
    """A network as it runs.

    Parameters
    ----------
    inputs : list of Input
    results : list of Input
        Its outputs, as the model describes them.
    constants : dict of str to ndarray
        Values that are known before it runs.
    steps : list of Step
        Each after those that it reads of.
    captured : tuple of str
        What it reads of a graph around it.
    """

    inputs: list[Input]
    results: list[Input]
    constants: dict[str, Array]
    steps: list[Step]
    captured: tuple[str, ...] = ()

    @property
    def outputs(self) -> list[str]:
        """The names of its outputs."""
        return [each.name for each in self.results]

    def readers(self) -> dict[str, list[Step]]:
        """Return the steps that read each value, each once."""
        found: dict[str, list[Step]] = {}
        for step in self.steps:
            for name in step.reads:
                found.setdefault(name, []).append(step)
        return found

    def inside(self, constants: Mapping[str, Array]) -> Graph:
        """Return it with what it captures as constants, where they are known, or as further inputs."""
        more = [Input(name, None, None) for name in self.captured if name not in constants]
        return replace(self, inputs=[*self.inputs, *more], constants={**self.constants, **constants}, captured=())


def graph_of(proto: Any, opsets: Mapping[str, int], folder: Path | None, *, inner: bool = False) -> Graph:
    """Return the graph of a model, or one of a node.

    Parameters
    ----------
    proto : onnx.GraphProto
        Without functions of its own.
    opsets : mapping of str to int
        The opset of each domain.
    folder : Path or None
        Where external data lie.
    inner : bool
        Whether it may read of a graph around it.

    Raises
    ------
    FileError
        If it is no graph: a value that two nodes make, one that none makes, or a ring of nodes.
    ArgumentError
        If a node is of an operator, or has attributes, that its opset does not know.
    """
    constants = {each.name: tensor(each, folder) for each in proto.initializer}
    constants |= {each.values.name: dense(each, folder) for each in proto.sparse_initializer}
    inputs = [_input(each) for each in proto.input if each.name not in constants]
    steps = [Step.of(node, opsets, folder) for node in proto.node]
    results = [_input(each) for each in proto.output]
    known = {*constants, *(each.name for each in inputs)}
    made: set[str] = set()
    for step in steps:
        for name in step.writes:
            if name in known or name in made:
                raise FileError(f"{step.label}: the model makes the value {shown(name)} twice")
            made.add(name)
    captured: dict[str, None] = {}
    for who, names in (*((f"{step.label}: ", step.reads) for step in steps), ("", [each.name for each in results])):
        for name in names:
            if name not in known and name not in made:
                if not inner:
                    what = "its input" if who else "the output"
                    raise FileError(f"{who}nothing makes {what} {shown(name)}")
                captured[name] = None
    return Graph(inputs, results, constants, _sorted(steps, known | captured.keys()), tuple(captured))


def _sorted(steps: list[Step], known: set[str]) -> list[Step]:
    """Return the steps in an order in which each can run: theirs, where that is one."""
    waiting: dict[str, list[int]] = {}
    missing = []
    for number, step in enumerate(steps):
        wanted = [name for name in step.reads if name not in known]
        missing.append(len(wanted))
        for name in wanted:
            waiting.setdefault(name, []).append(number)
    ready = [number for number, count in enumerate(missing) if not count]
    result = []
    while ready:
        step = steps[heapq.heappop(ready)]
        result.append(step)
        for name in step.writes:
            for number in waiting.get(name, ()):
                missing[number] -= 1
                if not missing[number]:
                    heapq.heappush(ready, number)
    if len(result) < len(steps):
        first = next(step for step, count in zip(steps, missing, strict=True) if count)
        raise FileError(f"{first.label}: it needs what is made of its own output: the graph has a ring")
    return result


def _input(value: Any) -> Input:
    """Return an input, or an output, as a model tells of it."""
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type" or not value.type.tensor_type.elem_type:
        return Input(value.name, None, None)
    described = value.type.tensor_type
    try:
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(described.elem_type))
    except (KeyError, ValueError, TypeError) as cause:
        raise FileError(f"{shown(value.name)} has a type that there is not: {described.elem_type}") from cause
    if not described.HasField("shape"):
        return Input(value.name, dtype, None)
    axes = []
    for axis in described.shape.dim:
        known = axis.WhichOneof("value")
        length = axis.dim_value if known == "dim_value" and axis.dim_value >= 0 else None
        axes.append(axis.dim_param if known == "dim_param" and axis.dim_param else length)
    return Input(value.name, dtype, tuple(axes))
