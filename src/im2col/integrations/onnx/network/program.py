"""A graph, ready to run: a kernel for each step, and when each value is read for the last time."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ....engine.host import require_memory
from ....errors import naming
from .chained import chained
from .control import CONTROL
from .kernels import error_of, kernel_of
from .layers import Layer, is_planned
from .memory import Room
from .products import Product, is_product

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from .graph import Graph, Step
    from .kernels import Kernel

    Array = NDArray[Any]
    Watch = Callable[[int, float], None]


class Task(NamedTuple):
    """A step with its kernel.

    Parameters
    ----------
    step : Step
    kernel : Kernel
    reads : tuple of int
        Places of its inputs among the values; -1 for one that is left out.
    writes : tuple of int
        Of its results; -1 for one that nobody asked for.
    group : int
        Of its first result: values that may share memory are one group.
    spent : tuple of (int, int)
        Inputs, by their number, that no other value shares memory with and that no later step reads; and their groups.
    done : tuple of int
        Groups that no later step reads.
    forgotten : tuple of int
        The places of their values.
    """

    step: Step
    kernel: Kernel
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    group: int
    spent: tuple[tuple[int, int], ...]
    done: tuple[int, ...]
    forgotten: tuple[int, ...]


class Program:
    """What a graph runs as.

    Parameters
    ----------
    graph : Graph
        Its steps are folded already.
    prepare : callable
        Makes a graph within it ready to run.
    """

    def __init__(self, graph: Graph, prepare: Callable[[Graph], Program]) -> None:
        kernels: list[Kernel] = []
        for step in graph.steps:
            with naming(step.label):
                if is_planned(step, graph.constants):
                    kernels.append(Layer(step, graph.constants))
                elif is_product(step, graph.constants):
                    kernels.append(Product(step, graph.constants))
                elif step.operator in CONTROL and step.graphs and not step.domain:
                    kernels.append(CONTROL[step.operator](step, graph.constants, lambda inner: prepare(inner).run))
                else:
                    kernels.append(chained(step, graph.constants) or kernel_of(step))
        names = dict.fromkeys([*graph.constants, *(each.name for each in graph.inputs)])
        names |= dict.fromkeys(name for step in graph.steps for name in step.writes)
        self._places = {name: place for place, name in enumerate(names)}
        self._values = [graph.constants.get(name) for name in names]
        self._inputs = [self._places[each.name] for each in graph.inputs]
        self._outputs = [self._places[name] for name in graph.outputs]
        self._known = {self._places[name] for name in graph.constants} | set(self._inputs)
        self._constants = {id(each) for each in graph.constants.values()}
        self._idle: list[Room] = []
        self._deciding = threading.Lock()
        self._decided = False
        self.tasks = self._scheduled(graph.steps, kernels)

    def _scheduled(self, steps: Sequence[Step], kernels: Sequence[Kernel]) -> list[Task]:
        """Return the tasks, which know what each of them is the last to read."""
        group_of = list(range(len(self._places)))

        def group(place: int) -> int:
            while group_of[place] != place:
                place = group_of[place]
            return place

        reads = [[self._places.get(name, -1) for name in (*step.inputs, *step.captured)] for step in steps]
        writes = [[self._places.get(name, -1) for name in step.outputs] for step in steps]
        for kernel, ins, outs in zip(kernels, reads, writes, strict=True):
            if kernel.shows:
                shared = [place for place in (*ins[: kernel.shows], *outs) if place >= 0]
                for place in shared[1:]:
                    group_of[group(place)] = group(shared[0])
        groups = [group(place) for place in range(len(group_of))]
        self._kept = {groups[place] for place in (*self._outputs, *self._known)}
        members: dict[int, list[int]] = {}
        for place, number in enumerate(groups):
            members.setdefault(number, []).append(place)
        last: dict[int, int] = {}
        for number, (ins, outs) in enumerate(zip(reads, writes, strict=True)):
            last.update((groups[place], number) for place in (*ins, *outs) if place >= 0)
        tasks = []
        for number, (step, kernel, ins, outs) in enumerate(zip(steps, kernels, reads, writes, strict=True)):
            touched = dict.fromkeys(groups[place] for place in (*ins, *outs) if place >= 0)
            done = tuple(each for each in touched if last[each] == number and each not in self._kept)
            spent = tuple(
                (n, groups[place])
                for n, place in enumerate(ins)
                if place >= 0 and groups[place] in done and len(members[groups[place]]) == 1
            )
            forgotten = tuple(place for each in done for place in members[each])
            first = next((groups[place] for place in outs if place >= 0), -1)
            tasks.append(Task(step, kernel, tuple(ins), tuple(outs), first, spent, done, forgotten))
        return tasks

    def run(self, inputs: Sequence[Any], watch: Watch | None = None) -> list[Any]:
        """Return the outputs. The first call decides, for good, how images lie in memory between layers.

        Parameters
        ----------
        inputs : sequence
            In the graph's order.
        watch : callable, optional
            Told the number of each task and its seconds, when it is done.

        Raises
        ------
        Im2colError
            That names the node.
        """
        if self._decided:
            return self._run(inputs, watch)
        with self._deciding:
            outputs = self._run(inputs, watch)
            if not self._decided and self._channels_first():
                outputs = self._run(inputs, None)  # with the bits of the calls to come
            self._decided = True
        return outputs

    def _channels_first(self) -> bool:
        """Have channels first in memory where the layers, by the cost model, take less time so; say whether they do."""
        layers = [task.kernel for task in self.tasks if isinstance(task.kernel, Layer)]
        first, last = (sum(each) for each in zip((0.0, 0.0), *(layer.cycles() for layer in layers), strict=True))
        if first >= last:
            return False
        for layer in layers:
            layer.put_channels_first()
        return True

    def _run(self, inputs: Sequence[Any], watch: Watch | None) -> list[Any]:
        """Run the tasks."""
        values = list(self._values)
        for place, value in zip(self._inputs, inputs, strict=True):
            values[place] = value
        values.append(None)  # which is at place -1
        try:
            room = self._idle.pop()
        except IndexError:
            room = Room(self._kept)
        number, began = 0, 0.0
        try:
            with np.errstate(all="ignore"):
                for number, task in enumerate(self.tasks):
                    if watch is not None:
                        began = time.perf_counter()
                    room.group, room.spent = task.group, task.spent
                    results = task.kernel([values[place] for place in task.reads], room)
                    for place, result in zip(task.writes, results, strict=False):
                        values[place] = result
                    values[-1] = None  # where results go that nobody asked for
                    for place in task.forgotten:
                        values[place] = None
                    for group in task.done:
                        room.leave(group)
                    if watch is not None:
                        watch(number, time.perf_counter() - began)
        except Exception as error:
            raise error_of(error, self.tasks[number].step) from error
        outputs = [self._own(values[place], inputs) for place in self._outputs]
        room.end()
        self._idle.append(room)
        return outputs

    def _own(self, value: Any, inputs: Sequence[Any]) -> Any:
        """Return an output in the order of its axes, and no view of an input, of a constant or of a buffer."""
        if not isinstance(value, np.ndarray):
            return value
        shared = value.base is not None or id(value) in self._constants or any(value is each for each in inputs)
        if not shared and value.flags.c_contiguous:
            return value
        require_memory(value.size * value.itemsize, "use a smaller input", "an output of shape {}", value.shape)
        return np.array(value, order="C")
