"""Products of matrices of which a network knows one: plans, what follows folded in, the bits of each row alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from im2col import errors, plan
from im2col.engine.threads import threads_for
from im2col.integrations.onnx.network import products

from .kit.onnx_models import by_evaluator, parsed
from .kit.outcomes import raises_exactly, require

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

F4 = np.dtype("f4")


def load(model: Any) -> Any:
    """Return a network."""
    require("onnx")
    from im2col.integrations import onnx

    return onnx.load(model)


def numbers(*shape: int, seed: int = 0, dtype: Any = F4) -> Array:
    """Return floats of about 1."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def ways_of(network: Any, *inputs: Array) -> list[str]:
    """Return who computes the steps of a network, and their operators."""
    return [f"{each.by}: {'+'.join((each.operator, *each.folded))}" for each in network.profile(*inputs, runs=1).steps]


KNOWN = {
    "w": numbers(7, 5),
    "turned": numbers(5, 7, seed=1),
    "row": numbers(5, seed=2),
    "rows": numbers(1, 5, seed=3),
    "one": numbers(1, seed=4),
    "number": np.array(0.7, F4),
    "plane": numbers(3, 5, seed=5),
    "s": abs(numbers(5, seed=6)) + 0.5,
    "q": abs(numbers(5, seed=7)) + 0.5,
}

PLANNED = {
    "matmul": ((3, 7), "y = MatMul (x, w)", "MatMul"),
    "row": ((7,), "y = MatMul (x, w)", "MatMul"),
    "stack": ((2, 4, 3, 7), "y = MatMul (x, w)", "MatMul"),
    "gemm": ((3, 7), "y = Gemm (x, w)", "Gemm"),
    "turned": ((3, 7), "y = Gemm <transB = 1> (x, turned)", "Gemm"),
    "both": ((7, 3), "y = Gemm <transA = 1, transB = 1> (x, turned, row)", "Gemm"),
    "scaled": ((3, 7), "y = Gemm <alpha = 0.5, beta = -2.0> (x, w, rows)", "Gemm"),
    "no beta": ((3, 7), "y = Gemm <beta = 0.0> (x, w, rows)", "Gemm"),
    "one": ((3, 7), "y = Gemm (x, w, one)", "Gemm"),
    "scalar": ((3, 7), "y = Gemm (x, w, number)", "Gemm"),
    "relu": ((3, 7), "a = Gemm (x, w, row) y = Relu (a)", "Gemm+Relu"),
    "bias": ((4, 3, 7), "a = MatMul (x, w) y = Add (row, a)", "MatMul+Add"),
    "affine": (
        (4, 3, 7),
        "a = MatMul (x, w) b = Mul (a, number) c = Sub (row, b) d = Div (c, one) y = Sigmoid (d)",
        "MatMul+Mul+Sub+Div+Sigmoid",
    ),
    "normal": (
        (3, 7),
        "a = Gemm (x, w, row) b = BatchNormalization (a, s, row, row, q) y = Relu (b)",
        "Gemm+BatchNormalization+Relu",
    ),
    "swish": ((3, 7), "a = MatMul (x, w) b = Sigmoid (a) y = Mul (a, b)", "MatMul+Sigmoid+Mul"),
    "rows": ((3, 7), "a = Gemm (x, w) y = Add (a, rows)", "Gemm+Add"),
}


@pytest.mark.parametrize(("shape", "nodes", "expected"), PLANNED.values(), ids=PLANNED)
def test_products_are_plans(shape: tuple[int, ...], nodes: str, expected: str) -> None:
    """One step, whose numbers are those of the standard's evaluator."""
    require("llvmlite")
    axes = ", ".join("ABCDE"[: len(shape)])
    model = parsed(
        f"net (float[{axes}] x) => (float[{'N' if len(shape) == 1 else axes[:-1] + 'N'}] y) {{ {nodes} }}", **KNOWN
    )
    network = load(model)
    x = numbers(*shape, seed=9)
    assert ways_of(network, x) == [f"plan: {expected}"]
    (wanted,) = by_evaluator(model, {"x": x})
    y = network(x)
    assert y.shape == wanted.shape
    assert y.dtype == wanted.dtype
    np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(network(np.asfortranarray(x)), y, strict=True)


NOT_FOLDED = {
    "plane": ("a = MatMul (x, w) y = Add (a, plane)", ["plan: MatMul", "im2col: Add"]),
    "more axes": ("a = MatMul (x, w) y = Add (a, rows)", ["plan: MatMul", "im2col: Add"]),
    "normal": (
        "a = MatMul (x, w) y = BatchNormalization (a, s, row, row, q)",
        ["plan: MatMul", "im2col: Affine+BatchNormalization"],
    ),
    "matrix as bias": ("y = Gemm (x, w, plane)", ["numpy: Gemm"]),
    "known first": ("v = Transpose (x) y = MatMul (turned, v)", ["numpy: Transpose", "numpy: MatMul"]),
    "neither known": ("v = Transpose (x) y = Gemm (x, v)", ["numpy: Transpose", "numpy: Gemm"]),
}


@pytest.mark.parametrize(("nodes", "expected"), NOT_FOLDED.values(), ids=NOT_FOLDED)
def test_what_is_no_number_for_each_column_stays_a_step(nodes: str, expected: list[str]) -> None:
    """The results are the evaluator's."""
    require("llvmlite")
    model = parsed(f"net (float[3, 7] x) => (float[M, N] y) {{ {nodes} }}", **KNOWN)
    network = load(model)
    x = numbers(3, 7, seed=9)
    assert ways_of(network, x) == expected
    np.testing.assert_allclose(network(x), by_evaluator(model, {"x": x})[0], rtol=1e-5, atol=1e-5)


def test_floats_of_64_bits_are_planned_and_large_or_narrow_weights_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not planned is multiplied as before."""
    require("llvmlite")
    wide = parsed("net (double[3, 7] x) => (double[3, 5] y) { y = MatMul (x, w) }", w=numbers(7, 5, dtype=np.float64))
    x = numbers(3, 7, dtype=np.float64)
    assert ways_of(load(wide), x) == ["plan: MatMul"]
    np.testing.assert_allclose(load(wide)(x), by_evaluator(wide, {"x": x})[0], rtol=1e-13)
    narrow = parsed(
        "net (float16[3, 7] x) => (float16[3, 5] y) { y = MatMul (x, w) }", w=numbers(7, 5, dtype=np.float16)
    )
    assert ways_of(load(narrow), x.astype(np.float16)) == ["numpy: MatMul"]
    monkeypatch.setattr(products, "_MOST_BYTES", 8 * 35 - 1)
    large = load(wide)
    assert ways_of(large, x) == ["numpy: MatMul"]
    np.testing.assert_allclose(large(x), x @ numbers(7, 5, dtype=np.float64), rtol=1e-13)


def test_without_the_engine_numpy_multiplies(monkeypatch: pytest.MonkeyPatch) -> None:
    """No plan has the bits of each row alone there."""
    monkeypatch.setattr(products, "usable_target", lambda: None)
    model = parsed("net (float[3, 7] x) => (float[3, 5] y) { a = MatMul (x, w) y = Relu (a) }", **KNOWN)
    network, x = load(model), numbers(3, 7)
    assert ways_of(network, x)[0] == "numpy: MatMul"
    np.testing.assert_allclose(network(x), np.maximum(x @ KNOWN["w"], 0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(300, 67), (5000, 700)])
@pytest.mark.parametrize("rows", [0, 1, 2, 13, 64, 301])
def test_a_row_has_its_bits_among_any_others(rows: int, shape: tuple[int, int]) -> None:
    """However many rows there are, and threads; sums of many terms, too, which are cut into parts."""
    depth, columns = shape
    types = f"float[N, {depth}] x) => (float[N, {columns}] y"
    model = parsed(f"net ({types}) {{ y = Gemm (x, w, b) }}", w=numbers(*shape), b=numbers(columns))
    x = numbers(301, depth)
    whole = load(model)(x)
    with threads_for(3):
        np.testing.assert_array_equal(load(model)(x[:rows]), whole[:rows], strict=True)


def test_inputs_of_many_lengths_share_few_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows go to a plan block by block, with the bits of one call: no length is planned for by itself but the first."""
    require("llvmlite")
    made: list[int] = []

    def planned(shape: tuple[int, ...], *arguments: Any, **options: Any) -> Any:
        made.append(shape[1])
        return plan(shape, *arguments, **options)

    monkeypatch.setattr(products, "plan", planned)
    model = parsed("net (float[N, 70] x) => (float[N, 30] y) { y = Gemm (x, w, b) }", w=numbers(70, 30), b=numbers(30))
    x = numbers(150, 70)
    whole = load(model)(x)
    made.clear()
    network = load(model)
    for rows in (37, *range(150, 0, -7), *range(1, 151, 3)):
        np.testing.assert_array_equal(network(x[:rows]), whole[:rows], strict=True)
    assert made[0] == 37
    assert len(made) <= 10
    assert set(made[1:]) <= {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128}


def test_what_does_not_fit_is_refused_by_name() -> None:
    """As without a plan."""
    network = load(parsed("net (float[A, B] x) => (float[A, 5] y) { y = MatMul (x, w) }", **KNOWN))
    with raises_exactly(
        errors.ShapeError, "MatMul (node with output 'y'): inputs of shapes (3, 6) and (7, 5) have no matrix product"
    ):
        network(numbers(3, 6))
    network = load(parsed("net (float[A, B] x) => (float[B, 5] y) { y = Gemm <transA = 1> (x, w) }", **KNOWN))
    with raises_exactly(
        errors.ShapeError, "Gemm (node with output 'y'): inputs of shapes (3, 7) and (7, 5) have no matrix product"
    ):
        network(numbers(3, 7))
    network = load(parsed("net (float x) => (float[5] y) { y = MatMul (x, w) }", **KNOWN))
    with raises_exactly(
        errors.ShapeError, "MatMul (node with output 'y'): inputs of shapes () and (7, 5) have no matrix product"
    ):
        network(np.zeros((), F4))


def test_a_model_may_have_the_names_of_what_is_folded() -> None:
    """Its own values of such names stay what they are."""
    nodes = "a = MatMul (x, w) y = Mul (a, row) z = Add (y, one) t = MatMul (x, more)"
    net = f"net (float[3, 7] x) => (float[3, 5] y, float[3, 5] z, float[3, 7] t) {{ {nodes} }}"
    model = parsed(net, **KNOWN, more=numbers(7, 7, seed=9))
    other = {"more": "y/weights", "row": "y/weights'", "one": "y/bias"}
    for node in model.graph.node:
        node.input[:] = [other.get(name, name) for name in node.input]
    for each in model.graph.initializer:
        each.name = other.get(each.name, each.name)
    x = numbers(3, 7)
    for result, wanted in zip(load(model)(x), by_evaluator(model, {"x": x}), strict=True):
        np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=1e-5)


def test_weights_that_were_folded_away_are_not_kept() -> None:
    """Of two sets of weights, those that nobody reads any more are forgotten."""
    require("llvmlite")
    model = parsed("net (float[3, 7] x) => (float[3, 5] y) { a = MatMul (x, w) y = Mul (a, row) }", **KNOWN)
    network = load(model)
    kept = [value for value in network._program._values if value is not None]
    assert sorted(value.shape for value in kept) == [(5,), (7, 5)]
