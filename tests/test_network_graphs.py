"""Random graphs of images that are cut, turned, joined and resized: networks beside ONNX Runtime."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from .kit.onnx_models import by_onnxruntime, parsed
from .kit.outcomes import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Shape = tuple[int, ...]

F4 = np.dtype("f4")
ALONE = ("Relu", "Sigmoid", "Tanh", "Identity", "HardSwish", "Abs", "Erf")


class _Graph:
    """Nodes, constants and the shapes of values, drawn one after another."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)  # noqa: S311 (numbers for tests)
        self.nodes: list[str] = []
        self.constants: dict[str, Array] = {}
        self.shapes: dict[str, Shape] = {"x": (2, 4, 6, 6)}
        while not self.nodes or (len(self.nodes) < 14 and self.rng.random() < 0.95):
            self._draw(self.rng.choice(list(self.shapes)[-5:]))

    def text(self) -> str:
        """Return the graph; it gives out its last value, and another one."""
        chosen = dict.fromkeys([list(self.shapes)[-1], self.rng.choice(list(self.shapes)[1:])])
        outputs = []
        for name in chosen:
            axes = ", ".join(f"{name}_{axis}" for axis in range(len(self.shapes[name])))
            outputs.append(f"float[{axes}] {name}" if axes else f"float {name}")
        return f"net (float[N, C, H, W] x) => ({', '.join(outputs)}) {{ {' '.join(self.nodes)} }}"

    def _add(self, node: str, shape: Shape) -> None:
        name = f"n{len(self.nodes)}"
        self.nodes.append(f"{name} = {node}")
        self.shapes[name] = shape

    def _constant(self, values: Any, dtype: Any = np.int64) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(values, dtype)
        return name

    def _floats(self, *shape: int) -> str:
        return self._constant(np.random.default_rng(len(self.constants)).standard_normal(shape) / 3, F4)

    def _draw(self, x: str) -> None:
        """Add a node that reads a value, if it can."""
        rng, s = self.rng, self.shapes[x]
        axis = rng.randrange(len(s))
        image = len(s) == 4 and min(s[2:]) >= 3
        kind = rng.randrange(15)
        if kind == 0 and image:
            group = rng.choice([d for d in (1, 2, 4) if s[1] % d == 0])
            maps = group * rng.randint(1, 3)
            weights = self._floats(maps, s[1] // group, 3, 3)
            self._add(f"Conv <group = {group}, pads = [1, 1, 1, 1]> ({x}, {weights})", (s[0], maps, *s[2:]))
        elif kind == 1 and image:
            halves = tuple((n - 2) // 2 + 1 for n in s[2:])
            self._add(f"MaxPool <kernel_shape = [2, 2], strides = [2, 2]> ({x})", (*s[:2], *halves))
        elif kind == 2:
            order = rng.sample(range(len(s)), len(s))
            self._add(f"Transpose <perm = {order}> ({x})", tuple(s[a] for a in order))
        elif kind == 3 and len(s) > 2:
            kept = rng.randint(1, len(s) - 1)
            shape = (*s[:kept], int(np.prod(s[kept:])))
            self._add(f"Reshape ({x}, {self._constant([*s[:kept], -1])})", shape)
        elif kind == 4 and len(s) == 4 and s[1] % 2 == 0:
            parted = (s[0], 2, s[1] // 2, *s[2:])
            self._add(f"Reshape ({x}, {self._constant(parted)})", parted)
            self._add(f"Transpose <perm = [0, 2, 1, 3, 4]> ({list(self.shapes)[-1]})", (s[0], s[1] // 2, 2, *s[2:]))
            self._add(f"Reshape ({list(self.shapes)[-1]}, {self._constant(s)})", s)
        elif kind == 5:
            other = rng.choice([name for name, shape in self.shapes.items() if shape == s])
            self._add(f"Concat <axis = {axis}> ({x}, {other})", tuple(n * (1 + (a == axis)) for a, n in enumerate(s)))
        elif kind == 6 and s[axis] > 1:
            end = rng.randint(1, s[axis] - 1)
            bounds = ", ".join(self._constant([n]) for n in (0, end, axis))
            self._add(f"Slice ({x}, {bounds})", tuple(end if a == axis else n for a, n in enumerate(s)))
        elif kind == 7 and len(s) < 5:
            self._add(f"Unsqueeze ({x}, {self._constant([axis])})", (*s[:axis], 1, *s[axis:]))
        elif kind == 8 and len(s) > 1:
            self._add(f"ReduceMean <keepdims = 0> ({x}, {self._constant([axis])})", s[:axis] + s[axis + 1 :])
        elif kind == 9:
            self._add(f"Softmax <axis = {axis}> ({x})", s)
        elif kind == 10:
            self._add(f"{rng.choice(ALONE)} ({x})", s)
        elif kind in (11, 12):
            other = rng.choice([name for name, shape in self.shapes.items() if shape == s])
            self._add(f"{rng.choice(['Add', 'Mul', 'Sub', 'Max'])} ({x}, {other})", s)
        elif kind == 13:
            shape = rng.choice([(), (1,), s[-1:], (1,) * len(s)])
            self._add(f"{rng.choice(['Add', 'Mul', 'Sub'])} ({x}, {self._floats(*shape)})", s)
        elif kind == 14 and len(s) == 4 and max(s) < 30:
            scales = self._constant([1, 1, 2, 2], F4)
            how = 'mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"'
            self._add(f"Resize <{how}> ({x}, , {scales})", (*s[:2], 2 * s[2], 2 * s[3]))


@pytest.mark.parametrize(
    "first", [pytest.param(0), *(pytest.param(n, marks=pytest.mark.wide) for n in range(20, 300, 20))]
)
def test_random_graphs(first: int) -> None:
    """Twenty graphs each, call after call: results are written over, views are kept, images are turned round."""
    require("onnx")
    require("onnxruntime")
    from im2col.integrations import onnx

    for seed in range(first, first + 20):
        graph = _Graph(seed)
        model = parsed(graph.text(), 18, **graph.constants)
        network = onnx.load(model)
        for more in (0, 1):
            x = np.random.default_rng(seed + more).standard_normal((2, 4, 6, 6)).astype(F4)
            given = x.copy()
            results = network.run({"x": given}).values()
            np.testing.assert_array_equal(given, x, strict=True)
            for mine, theirs in zip(results, by_onnxruntime(model, {"x": x}), strict=True):
                assert mine.shape == theirs.shape
                most = float(np.abs(theirs).max(initial=1))
                np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5 * most, err_msg=f"{seed}: {graph.text()}")
