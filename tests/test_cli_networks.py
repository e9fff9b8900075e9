"""``im2col onnx``: inputs from arrays and photographs, what is printed and written, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from .kit.command_line import Result, runner
from .kit.onnx_models import parsed
from .kit.outcomes import require

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

F4 = np.dtype("f4")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return what runs a command in a folder that holds a model, a photograph and an array."""
    onnx = require("onnx")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    nodes = "y = Relu (x) z = ReduceMax <axes = [2, 3], keepdims = 0> (x)"
    text = f"net (float[1, 3, H, W] x) => (float[1, 3, H, W] y, float[1, 3] z) {{ {nodes} }}"
    onnx.save(parsed(text), "model.onnx")
    for name, axes in {"grey": "uint8[H, 20, 1]", "last": "float[1, 40, 60, 3]", "flat": "float[9]"}.items():
        onnx.save(parsed(f"net ({axes} x) => ({axes} y) {{ y = Identity (x) }}"), f"{name}.onnx")
    onnx.save(parsed("net (float[2] a, float[2] b) => (float[2] y) { y = Sub (a, b) }"), "two.onnx")
    pixels = np.zeros((30, 50, 3), np.uint8)
    pixels[..., 0] = 255
    Image.fromarray(pixels).save("red.png")
    np.save("x.npy", np.full((1, 3, 2, 2), -1, F4))
    np.save("c=d.npy", np.array([1, 2], F4))
    np.save("b.npy", np.array([5, 9], F4))
    return runner(capsys)


def test_without_an_input_the_network_is_told(run: Callable[..., Result]) -> None:
    """What runs, or the facts for programs."""
    done = run("onnx", "model.onnx")
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[:3] == [
        "model.onnx: 2 nodes run as 2 steps; 0 layers have plans, with 0 other nodes folded into them",
        "takes x: float32 (1, 3, H, W)",
        "gives y, z",
    ]
    facts = json.loads(run("onnx", "model.onnx", "--json").out)
    assert facts == {"name": "model.onnx", "inputs": ["x: float32 (1, 3, H, W)"], "outputs": ["y", "z"]}


def test_a_photograph_is_scaled_to_what_a_model_takes(run: Callable[..., Result]) -> None:
    """Channels first or last, grey or colour, floats to 1 or bytes; sides that are free become multiples of 32."""
    facts = json.loads(run("onnx", "model.onnx", "--input", "red.png", "--json").out)["outputs"]
    assert facts["y"] == {
        "shape": [1, 3, 32, 64],
        "dtype": "float32",
        "min": 0.0,
        "max": 1.0,
        "mean": pytest.approx(1 / 3),
    }
    facts = json.loads(run("onnx", "last.onnx", "--input", "red.png", "--json").out)["outputs"]
    assert facts["y"]["shape"] == [1, 40, 60, 3]
    facts = json.loads(run("onnx", "grey.onnx", "--input", "red.png", "--json").out)["outputs"]
    assert facts["y"] == {"shape": [32, 20, 1], "dtype": "uint8", "min": 76.0, "max": 76.0, "mean": 76.0}
    done = run("onnx", "flat.onnx", "--input", "red.png")
    assert (done.status, done.err) == (
        2,
        "im2col onnx: the model takes no photograph as x: float32 (9); pass a .npy file\n",
    )


def test_arrays_by_position_and_by_name(run: Callable[..., Result]) -> None:
    """A file may have a = in its name; results are written as they are."""
    for inputs in (["c=d.npy", "b.npy"], ["b=b.npy", "a=c=d.npy"]):
        done = run("onnx", "two.onnx", "--input", inputs[0], "--input", inputs[1], "--out", "y.npz", "--force")
        assert (done.status, done.err) == (0, "")
        assert done.out == "y: shape [2], dtype float32, min -7.0, max -4.0, mean -5.5\n"
        np.testing.assert_array_equal(np.load("y.npz")["y"], np.array([-4, -7], F4))
    assert "exists" in run("onnx", "two.onnx", "--input", "c=d.npy", "--input", "b.npy", "--out", "y.npz").err
    done = run("onnx", "two.onnx", "--input", "b.npy")
    assert (done.status, done.err) == (2, "im2col onnx: input 'b' is missing; it is b: float32 (2)\n")
    done = run("onnx", "two.onnx", *(["--input", "b.npy"] * 3))
    assert (done.status, done.err) == (2, "im2col onnx: the model takes 2 inputs, got 3\n")


def test_a_profile_is_shown(run: Callable[..., Result]) -> None:
    """A table and a chart, with numbers of its own where the model tells all shapes; or data."""
    out = run("onnx", "two.onnx", "--profile").out
    assert "Sub (node with output 'y')" in out
    assert "█" in out
    facts = json.loads(run("onnx", "model.onnx", "--input", "x.npy", "--profile", "--json", "--threads", "1").out)
    assert [step["operator"] for step in facts["profile"]["steps"]] == ["Relu", "ReduceMax"]
    assert facts["outputs"]["z"]["max"] == -1
    done = run("onnx", "model.onnx", "--profile")
    assert done.err == (
        "im2col onnx: the model does not tell the shape of its input x: float32 (1, 3, H, W); pass an array\n"
    )


@pytest.mark.parametrize("file", ["red.png", "nowhere.onnx", "x.npy"])
def test_what_is_no_model_gets_one_line(run: Callable[..., Result], file: str) -> None:
    """Of another kind, or none at all."""
    done = run("onnx", file)
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert file in done.err
