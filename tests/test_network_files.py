"""Files of models that are broken, or made to harm: each gets one clear line, before anything runs."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from im2col import errors

from .kit.onnx_models import parsed
from .kit.outcomes import raises_exactly, require

if TYPE_CHECKING:
    from pathlib import Path

F4 = np.dtype("f4")
NET = "net (float[N] x) => (float[M] y) { %s }"


def load(model: Any) -> Any:
    """Return a network."""
    require("onnx")
    from im2col.integrations import onnx

    return onnx.load(model)


BAD_GRAPHS = {
    "ring": (
        "y = Add (x, z) z = Relu (y)",
        errors.FileError,
        "load: Add (node with output 'y'): it needs what is made of its own output: the graph has a ring",
    ),
    "twice": (
        "y = Relu (x) y = Neg (x)",
        errors.FileError,
        "load: Neg (node with output 'y'): the model makes the value 'y' twice",
    ),
    "input made": (
        "x = Relu (x) y = Neg (x)",
        errors.FileError,
        "load: Relu (node with output 'x'): the model makes the value 'x' twice",
    ),
    "unmade": ("y = Relu (q)", errors.FileError, "load: Relu (node with output 'y'): nothing makes its input 'q'"),
    "no output": ("z = Relu (x)", errors.FileError, "load: nothing makes the output 'y'"),
    "unmade inside": (
        "y = If (c) <"
        "then_branch = a () => (float[N] p) { p = Relu (q) }, else_branch = b () => (float[N] r) { r = Neg (x) }>",
        errors.FileError,
        "load: If (node with output 'y'): nothing makes its input 'q'",
    ),
    "operator": (
        "y = Foo (x)",
        errors.ArgumentError,
        "Foo (node with output 'y'): opset 17 has no operator Foo",
    ),
    "attribute": (
        "y = Relu <slope = 3> (x)",
        errors.ArgumentError,
        "Relu (node with output 'y'): attribute slope is unknown in version 14 of the operator; it has []",
    ),
    "attribute's kind": (
        "y = Softmax <axis = 1.5> (x)",
        errors.ArgumentError,
        "Softmax (node with output 'y'): attribute axis must be of kind INT in version 13 of the operator",
    ),
    "attribute missing": (
        "y = Concat (x, x)",
        errors.ArgumentError,
        "Concat (node with output 'y'): attribute axis is missing in version 13 of the operator",
    ),
    "inputs": (
        "y = Relu (x, x)",
        errors.ShapeError,
        "Relu (node with output 'y'): it has 2 inputs, but takes 1 to 1",
    ),
    "outputs": (
        "y, z = Relu (x)",
        errors.ShapeError,
        "Relu (node with output 'y'): it has 2 outputs, but gives at most 1",
    ),
    "domain": (
        "y = com.example.Relu (x)",
        errors.ArgumentError,
        "Relu (node with output 'y'): the model does not say which opset of the domain 'com.example' it is of",
    ),
    "huge": (
        "s = Constant <value_ints = [1152921504606846976]> () y = ConstantOfShape (s)",
        errors.MemoryBudgetError,
        None,
    ),
    "constant": (
        "y = Constant <value_int = 3, value_float = 2.0> ()",
        errors.ArgumentError,
        "Constant (node with output 'y'): it must have one value, and has ['value_float', 'value_int']",
    ),
}


@pytest.mark.parametrize(("nodes", "error", "message"), BAD_GRAPHS.values(), ids=BAD_GRAPHS)
def test_graphs_that_cannot_run(nodes: str, error: type[Exception], message: str | None) -> None:
    """They are refused when they are loaded, by the node."""
    model = parsed(NET % nodes, c=np.array(True))
    if message is None:
        with pytest.raises(
            error, match=r"^ConstantOfShape \(node with output 'y'\): a result of shape .* use a smaller input$"
        ):
            load(model)
        return
    with raises_exactly(error, message):
        load(model)


def test_nodes_in_any_order_run() -> None:
    """A model should have them sorted; those that are not are, as the runtime does."""
    network = load(parsed(NET % "y = Relu (z) z = Neg (x)"))
    np.testing.assert_array_equal(network(np.array([1, -2], F4)), np.array([0, 2], F4))


RUNS = {
    "expanded": (
        "y = Expand (x, s)",
        [1 << 40],
        errors.MemoryBudgetError,
        r"an output of shape .* use a smaller input",
    ),
    "padded": ("y = Pad (x, s)", [1 << 40, 0], errors.MemoryBudgetError, r"a result of shape .*"),
    "repeated": ("y = Tile (x, s)", [1 << 60], errors.MemoryBudgetError, r"a result of shape .*"),
    "filled": ("y = ConstantOfShape (s)", [-1], errors.ShapeError, r"the result would have the shape \[-1\]"),
    "reshaped": ("y = Reshape (x, s)", [3], errors.ShapeError, r"an input of shape \(2,\) has no shape \[3\]"),
    "unknown": ("y = Reshape (x, s)", [-1, -1], errors.ShapeError, r"the shape \[-1, -1\] may have -1 once, .*"),
    "multiplied": (
        "y = MatMul (x, x2)",
        [0],
        errors.ShapeError,
        r"inputs of shapes \(2,\) and \(3,\) have no matrix product",
    ),
    "gathered": ("y = Gather (x, s)", [5], errors.ArgumentError, r"indices from 5 to 5 leave axis 0 of length 2"),
    "sorted": ("y, i = TopK (x, s)", [7], errors.ArgumentError, r".*"),
    "typed": ("y = Add (x, d)", [0], errors.DTypeError, r"input B is tensor\(double\), but must be tensor\(float\) .*"),
    "cut": ("y = Slice (x, s, s, s)", [3], errors.ArgumentError, r"axis 3 is none of an array of 1 axes"),
    "axis": ("y = Concat <axis = 2> (x, x)", [0], errors.ArgumentError, r"axis 2 is none of an array of 1 axes"),
}


@pytest.mark.parametrize(("nodes", "shape", "error", "message"), RUNS.values(), ids=RUNS)
def test_what_cannot_run(nodes: str, shape: list[int], error: type[Exception], message: str) -> None:
    """What only numbers tell is refused when it runs, by the node."""
    text = f"net (float[N] x, int64[K] s) => (float[M] y) {{ {nodes} }}"
    network = load(parsed(text, d=np.ones(2), x2=np.ones(3, F4)))
    node = "" if nodes.startswith("y = Expand") else r"\w+ \(node with output 'y'\): "
    with pytest.raises(error, match=rf"\A{node}{message}\Z") as caught:
        network(np.ones(2 if "Expand" not in nodes else 1, F4), np.array(shape))
    assert "\n" not in str(caught.value)


def test_files_that_hold_no_model(tmp_path: Path) -> None:
    """Nothing, a part, something else, a folder: one line each."""
    whole = parsed(NET % "y = Add (x, w)", w=np.ones(1000, F4)).SerializeToString()
    path = tmp_path / "model.onnx"
    for data in (b"", b"\x00", b"not a model", os.urandom(1000), whole[:-3], whole[:100]):
        path.write_bytes(data)
        with pytest.raises(errors.FileError, match=r"^load: model\.onnx (is no ONNX file|holds no network)[^\n]*$"):
            load(path)
    with pytest.raises(errors.FileError, match=r"^load: cannot read .*: Is a directory$"):
        load(tmp_path)
    with raises_exactly(errors.FileError, "load: cannot read 'nowhere.onnx': No such file or directory"):
        load("nowhere.onnx")
    with raises_exactly(errors.ArgumentError, "load: a model is a path or an onnx.ModelProto, got bytes"):
        load(whole)


def test_any_broken_byte_gives_one_line_or_a_network(tmp_path: Path) -> None:
    """No other error leaves `load`, or a call."""
    text = """net (float[1, 2, 5, 5] x) => (float[N] y) { a = Conv <pads = [1, 1, 1, 1], group = 1> (x, w)
        b = Clip (a, low, high) c = Flatten <axis = 0> (b) y = Reshape (c, shape) }"""
    values = {"w": np.ones((3, 2, 3, 3), F4), "low": np.array(0, F4), "high": np.array(6, F4), "shape": np.array([-1])}
    whole = parsed(text, **values).SerializeToString()
    path = tmp_path / "model.onnx"
    rng = np.random.default_rng(0)
    for _ in range(100):
        broken = bytearray(whole)
        for _ in range(rng.integers(1, 5)):
            broken[rng.integers(len(broken))] = rng.integers(256)
        path.write_bytes(bytes(broken))
        with contextlib.suppress(errors.Im2colError):
            network = load(path)
            shapes = [[n if isinstance(n, int) and n < 9 else 3 for n in each.shape or ()] for each in network.inputs]
            network(*(np.ones(shape, each.dtype) for shape, each in zip(shapes, network.inputs, strict=True)))


@pytest.mark.parametrize("opset", [6, 99, 0, -1])
def test_opsets_that_are_not_served(opset: int) -> None:
    """Older ones broadcast in another way; newer ones are unknown."""
    onnx = require("onnx")
    model = parsed(NET % "y = Relu (x)")
    model.opset_import[0].version = opset
    newest = onnx.defs.onnx_opset_version()
    way_out = "update onnx" if opset > 0 and opset != 6 else "convert it with onnx.version_converter"
    with raises_exactly(
        errors.ArgumentError, f"load: net is of opset {opset}, but 7 to {newest} are served; {way_out}"
    ):
        load(model)
    del model.opset_import[:]
    with raises_exactly(errors.FileError, "load: net does not say which opset it is of (opset_import)"):
        load(model)


def external(location: str, **more: str) -> Any:
    """Return a model whose weights lie in a file."""
    onnx = require("onnx")
    model = parsed(NET % "y = Add (x, w)", w=np.ones(2, F4))
    (weights,) = model.graph.initializer
    weights.ClearField("raw_data")
    weights.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        weights.external_data.add(key=key, value=value)
    return model


def test_external_data(tmp_path: Path) -> None:
    """They are read from the model's folder, and from nowhere else."""
    folder = tmp_path / "models"
    folder.mkdir()
    path = folder / "model.onnx"
    np.array([9, 2, 3], F4).tofile(folder / "data.bin")
    np.ones(2, F4).tofile(tmp_path / "secret.bin")
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")

    def reading(location: str, **more: str) -> Any:
        path.write_bytes(external(location, **more).SerializeToString())
        return load(path)

    np.testing.assert_array_equal(reading("data.bin", offset="4", length="8")(np.ones(2, F4)), np.array([3, 4], F4))
    what = "load: the tensor 'w'"
    for location in ("../secret.bin", str(tmp_path / "secret.bin"), "a/../../secret.bin", "link.bin", ""):
        with raises_exactly(errors.FileError, f"{what} lies in {location!r}, which is not in the model's folder"):
            reading(location)
    for location in ("nowhere.bin", "."):
        with raises_exactly(errors.FileError, f"{what} lies in {location!r}, which is no file"):
            reading(location)
    for offset, length in ((0, 1 << 60), (8, 8), (-4, 8), (0, -8)):
        with raises_exactly(errors.FileError, f"{what} has {length} bytes from {offset} on, which 'data.bin' has not"):
            reading("data.bin", offset=str(offset), length=str(length))
    with pytest.raises(errors.FileError, match=r"^load: the tensor 'w' cannot be read from 'data\.bin': .*$"):
        reading("data.bin", length="many")
    with raises_exactly(
        errors.FileError, f"{what} lies in a file 'data.bin', but the model was not read from one; load its path"
    ):
        load(external("data.bin"))


@pytest.mark.parametrize(
    ("dims", "message"),
    [
        ([-1], "the tensor 'w' has the shape [-1]"),
        ([3], "the tensor 'w' of shape [3] cannot be read: cannot reshape array of size 2 into shape (3,)"),
    ],
)
def test_tensors_that_are_not_as_they_say(dims: list[int], message: str) -> None:
    """Of another size, or of none."""
    model = parsed(NET % "y = Add (x, w)", w=np.ones(2, F4))
    model.graph.initializer[0].dims[:] = dims
    with raises_exactly(errors.FileError, f"load: {message}"):
        load(model)


def test_sparse_tensors() -> None:
    """By flat places or by coordinates; those outside the shape, or too large a shape, are refused."""
    onnx = require("onnx")

    def model(indices: Any, dims: list[int]) -> Any:
        made = parsed("net (float[N, M] x) => (float[N, M] y) { y = Add (x, w) }", w=np.ones(2, F4))
        del made.graph.initializer[:]
        values = onnx.numpy_helper.from_array(np.array([5, 7], F4), "w")
        places = onnx.numpy_helper.from_array(np.array(indices), "i")
        made.graph.sparse_initializer.append(onnx.helper.make_sparse_tensor(values, places, dims))
        return made

    for indices in ([1, 5], [[0, 1], [1, 2]]):
        result = load(model(indices, [2, 3]))(np.zeros((2, 3), F4))
        np.testing.assert_array_equal(result, np.array([[0, 5, 0], [0, 0, 7]], F4))
    with raises_exactly(errors.ShapeError, "load: the sparse tensor 'w' has numbers outside its shape [2, 3]"):
        load(model([1, 6], [2, 3]))
    with pytest.raises(errors.MemoryBudgetError, match=r"^load: the tensor of shape .* use a smaller model$"):
        load(model([1, 6], [1 << 40, 1 << 20]))
