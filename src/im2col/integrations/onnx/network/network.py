"""A model as a function of arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from ....engine.blas import single_threaded_blas
from ....engine.team import expecting_more
from ....errors import ArgumentError, FileError, Im2colError, named, naming, shown, words_of
from ....spec.arguments import integer
from ....summary import Summary, Table
from .graph import MAIN, graph_of
from .preparing import prepare
from .profile import RUNS, profiled
from .reading import read
from .sums import PRODUCTS

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray
    from onnx import ModelProto

    from .graph import Graph
    from .profile import Profile
    from .program import Program, Watch

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
    metadata : dict of str to str
        What the model's makers wrote into it, such as the letters that a reader knows.
    """

    def __init__(self, name: str, graph: Graph, nodes: int, program: Program, metadata: dict[str, str]) -> None:
        self.name = name
        self.inputs = tuple(graph.inputs)
        self.outputs = tuple(graph.outputs)
        self.metadata = metadata
        self._nodes = nodes
        self._program = program
        self._multiplies = any(
            task.kernel.kind in ("graph", "onnx") or (task.step.operator in PRODUCTS and task.kernel.kind != "plan")
            for task in program.tasks
        )

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
        with self._alone():
            results = self._program.run(self._given(inputs, named_inputs))
        return results[0] if len(results) == 1 else tuple(results)

    def run(self, inputs: Mapping[str, Any], *, watch: Watch | None = None) -> dict[str, Any]:
        """Run it on inputs by name, and return the outputs by name.

        Parameters
        ----------
        inputs : mapping of str to array_like
        watch : callable, optional
            ``watch(step, seconds)`` is called as each step is done.

        Returns
        -------
        dict of str to ndarray

        Raises
        ------
        Im2colError
            As a call.
        """
        with self._alone():
            return dict(zip(self.outputs, self._program.run(self._given((), inputs), watch), strict=True))

    def profile(self, *inputs: Any, runs: int = RUNS, watch: Watch | None = None, **named_inputs: Any) -> Profile:
        """Run it some times, and tell where the time goes.

        Parameters
        ----------
        *inputs, **named_inputs : array_like
            As for a call; without any, random numbers, if the model knows the shapes of its inputs.
        runs : int
            After one that does not count.
        watch : callable, optional
            ``watch(step, seconds)`` is called as each step of each run is done.

        Returns
        -------
        Profile
            The fastest time of each step; ``print`` shows a table and a chart.

        Raises
        ------
        Im2colError
            As a call.
        """
        with naming(self.name):
            runs = integer("runs", runs, 1)
            given = [] if inputs or named_inputs else [each.sample() for each in self.inputs]
        with self._alone():
            return profiled(self._program, self._given((*inputs, *given), named_inputs), runs, watch)

    def __len__(self) -> int:
        """Return how many steps it runs."""
        return len(self._program.tasks)

    def __repr__(self) -> str:
        return f"<im2col.Network {self.name}, {len(self)} steps>"

    def __str__(self) -> str:
        title, (takes, gives), (table,) = self._summary()
        lines = [title, *(f"takes {each}" for each in takes[1:]), f"gives {gives[1]}"]
        width = max((len(label) for _, _, label, _ in table.rows), default=0)
        lines += [f"{i:>4}  {kind:<6}  {label:<{width}}  {rest}".rstrip() for i, kind, label, rest in table.rows]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Return what `print` tells as HTML, which notebooks show."""
        return self._summary().html()

    def _summary(self) -> Summary:
        tasks = self._program.tasks
        planned = [task for task in tasks if task.kernel.kind == "plan"]
        folded = sum(len(task.step.folded) for task in planned)
        title = (
            f"{self.name}: {self._nodes} nodes run as {len(tasks)} steps; {len(planned)} layers have plans, with "
            f"{folded} other nodes folded into them"
        )
        rows = tuple(
            (str(i), task.kernel.kind, task.step.label, " + ".join(("", *task.step.folded)).strip())
            for i, task in enumerate(tasks)
        )
        facts = ("takes", *map(str, self.inputs)), ("gives", ", ".join(self.outputs))
        return Summary(title, facts, (Table(("step", "by", "node", "with"), rows),))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep the engine's threads awake, and hold BLAS to one if it has work, on whose threads its bits depend.

        They would also wait for small products.
        """
        with expecting_more(), single_threaded_blas() if self._multiplies else nullcontext():
            yield

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
    try:
        opsets = {"" if each.domain in MAIN else each.domain: each.version for each in proto.opset_import}
        graph = graph_of(proto.graph, opsets, folder)
        nodes = len(graph.steps)
        metadata = {each.key: each.value for each in proto.metadata_props}
        return Network(name, graph, nodes, prepare(graph, folder), metadata)
    except (Im2colError, MemoryError):
        raise
    except Exception as cause:  # of a file whose every byte may be another one, such as a name that is no text
        raise FileError(f"{name} is broken: {words_of(cause)}") from cause
