"""A model as a function of arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ....errors import ArgumentError, named, naming, shown
from .graph import MAIN, graph_of
from .preparing import prepare
from .reading import read

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray
    from onnx import ModelProto

    from .graph import Graph
    from .program import Program

    Array = NDArray[Any]


class Network:
    """A model, prepared once and run many times: ``y = net(x)``.

    Made by `im2col.integrations.onnx.load`. Safe to call from several threads at once.

    Attributes
    ----------
    name : str
        Of the file, or of the model's graph.
    inputs : tuple of Input
        What it takes: each has a `name`, a `dtype` and a `shape`.
    outputs : tuple of str
        The names of what it gives.
    """

    def __init__(self, name: str, graph: Graph, nodes: int, program: Program) -> None:
        self.name = name
        self.inputs = tuple(graph.inputs)
        self.outputs = tuple(graph.outputs)
        self._nodes = nodes
        self._program = program

    def __call__(self, *inputs: Any, **named_inputs: Any) -> Any:
        """Run it.

        Parameters
        ----------
        *inputs : array_like
            In the order of `inputs`; or one mapping of names to arrays.
        **named_inputs : array_like
            By name.

        Returns
        -------
        ndarray, or tuple of ndarray
            The output, or the outputs if there are several; new arrays.

        Raises
        ------
        ArgumentError
            If an input is missing, or there is none of that name.
        DTypeError, ShapeError
            If one has a dtype or a shape that the model does not take.
        Im2colError
            If a node cannot run; it is named.
        """
        results = self._program.run(self._given(inputs, named_inputs))
        return results[0] if len(results) == 1 else tuple(results)

    def _given(self, inputs: tuple[Any, ...], named_inputs: Mapping[str, Any]) -> list[Any]:
        """Return the inputs in order, as the model takes them."""
        with naming(self.name):
            first = inputs[0] if len(inputs) == 1 else None
            if isinstance(first, Mapping):
                inputs, named_inputs = (), {**first, **named_inputs}
            names = [each.name for each in self.inputs]
            if len(inputs) > len(names):
                raise ArgumentError(f"it takes {len(names)} inputs, got {len(inputs)}")
            given = dict(zip(names, inputs, strict=False))
            for name, value in named_inputs.items():
                if name not in names or name in given:
                    wrong = "is given twice" if name in given else "is none of its inputs"
                    raise ArgumentError(f"{shown(name)} {wrong}; it takes {', '.join(map(str, self.inputs)) or 'none'}")
                given[name] = value
            for each in self.inputs:
                if each.name not in given:
                    raise ArgumentError(f"input {shown(each.name)} is missing; it is {each}")
            return [each.check(given[each.name]) for each in self.inputs]


@named
def load(model: str | os.PathLike[str] | ModelProto) -> Network:
    """Load a model.

    Parameters
    ----------
    model : path, or onnx.ModelProto
        An ONNX file of opset 6 or newer. Its external data must lie in its folder.

    Returns
    -------
    Network
        Call it as ``net(x)``; ``print`` tells what was folded into what.

    Raises
    ------
    FileError
        If the file cannot be read, or holds no model that could run.
    ArgumentError
        If a node is of an operator, or has attributes, that its opset does not know; it is named.
    MissingExtraError
        If onnx is not installed.
    """
    proto, name, folder = read(model)
    opsets = {"" if each.domain in MAIN else each.domain: each.version for each in proto.opset_import}
    graph = graph_of(proto.graph, opsets, folder)
    nodes = len(graph.steps)
    return Network(name, graph, nodes, prepare(graph, folder, last=True))
