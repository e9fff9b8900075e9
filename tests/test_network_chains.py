"""Steps of a network that work element by element, one after another: one pass, with the bits of one step at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from im2col import errors
from im2col.engine import chains, compiler
from im2col.engine.threads import threads_for

from .kit.onnx_models import by_evaluator, parsed
from .kit.outcomes import raises_exactly, require

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

F4 = np.dtype("f4")
SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, 3e38], F4)


def load(model: Any) -> Any:
    """Return a network."""
    require("onnx")
    from im2col.integrations import onnx

    return onnx.load(model)


def numbers(*shape: int, seed: int = 0, special: bool = False) -> Array:
    """Return floats of about 1, some of them no ordinary numbers."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape).astype(F4)
    if special:
        x[rng.random(shape) < 0.1] = rng.choice(SPECIAL)
    return x


def steps_of(network: Any, *inputs: Array) -> list[str]:
    """Return the operators of a network's steps, each with those that were folded into it."""
    return ["+".join((each.operator, *each.folded)) for each in network.profile(*inputs, runs=1).steps]


def assert_same_bits(found: Array, expected: Array) -> None:
    """Compare bits; of NaN, that there is one."""
    assert found.shape == expected.shape
    other = ~(np.isnan(found) & np.isnan(expected))
    np.testing.assert_array_equal(
        np.ascontiguousarray(found).view(np.int32)[other], np.ascontiguousarray(expected).view(np.int32)[other]
    )


def clipped(x: Array, low: float, high: float) -> Array:
    """Return numbers within bounds."""
    return np.clip(x, F4.type(low), F4.type(high))


CHAINS: dict[str, tuple[str, str, Any]] = {
    "residual": ("d = Sum (x, z) y = Relu (d)", "Sum+Relu", lambda x, z, _: np.maximum(x + z, F4.type(0))),
    "bounds": (
        "d = Sub (z, x) e = Clip (d, low, high) y = Mul (e, x)",
        "Sub+Clip+Mul",
        lambda x, z, _: clipped(z - x, -0.5, 2) * x,
    ),
    "upper bound": ("d = Add (x, z) y = Clip (d, , high)", "Add+Clip", lambda x, z, _: np.minimum(x + z, F4.type(2))),
    "leaky": (
        "d = Div (x, z) y = LeakyRelu <alpha = 0.25> (d)",
        "Div+LeakyRelu",
        lambda x, z, _: np.where(x / z >= 0, x / z, x / z * F4.type(0.25)),
    ),
    "gate": (
        "d = HardSigmoid (g) e = Mul (x, d) y = Add (e, z)",
        "HardSigmoid+Mul+Add",
        lambda x, z, g: x * clipped(g * F4.type(0.2) + F4.type(0.5), 0, 1) + z,
    ),
    "hard swish": (
        "d = Mul (x, two) y = HardSwish (d)",
        "Mul+HardSwish",
        lambda x, *_: clipped(x * 2 * F4.type(1 / 6) + F4.type(0.5), 0, 1) * (x * 2),
    ),
    "by itself": ("d = Mul (x, x) y = Sum (z, d, x)", "Mul+Sum", lambda x, z, _: z + x * x + x),
    "channels": ("d = Mul (x, c) e = Add (d, c) y = Relu (e)", "Mul+Add+Relu", None),
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("channels", ["first", "last"])
@pytest.mark.parametrize(("nodes", "expected", "meaning"), CHAINS.values(), ids=CHAINS)
def test_what_follows_element_by_element_is_one_step(
    monkeypatch: pytest.MonkeyPatch, nodes: str, expected: str, meaning: Any, channels: str, threads: int
) -> None:
    """In both orders in memory, with NaN and infinities, for shapes that change: the engine's, with NumPy's bits."""
    require("onnx")
    from im2col.integrations.onnx.network import chained

    plans: list[Any] = []

    def planned(*arguments: Any) -> Any:
        plans.append(chains.plan_chain(*arguments))
        return plans[-1]

    monkeypatch.setattr(chained, "plan_chain", planned)
    monkeypatch.setattr(chains, "_WORTH_A_TASK", 0)
    c = numbers(6, 1, 1, seed=7)
    constants = {"low": np.array(-0.5, F4), "high": np.array(2, F4), "two": np.array(2, F4), "c": c}
    turn = "x = Neg (a)" if channels == "first" else "b = Transpose <perm = [0, 3, 1, 2]> (a) x = Neg (b)"
    more = "z = Neg (p)" if channels == "first" else "q = Transpose <perm = [0, 3, 1, 2]> (p) z = Neg (q)"
    kind = "float[N, 6, H, W]" if channels == "first" else "float[N, H, W, 6]"
    text = f"net ({kind} a, {kind} p, float[N, 6, 1, 1] g) => (float[N, 6, H, W] y) {{ {turn} {more} {nodes} }}"
    model = parsed(text, **constants)
    with threads_for(threads):
        network = load(model)
        for h, w in ((9, 11), (1, 1), (4, 40), (9, 11)):
            x, z = (numbers(2, 6, h, w, seed=seed, special=True) for seed in (1, 2))
            g = numbers(2, 6, 1, 1, seed=3) * 3
            axes = (0, 1, 2, 3) if channels == "first" else (0, 2, 3, 1)
            given = [np.ascontiguousarray(-each.transpose(axes)) for each in (x, z)]
            with np.errstate(all="ignore"):
                right = np.maximum(x * c + c, F4.type(0)) if meaning is None else meaning(x, z, g)
            assert_same_bits(network(*given, g), right)
        assert expected in steps_of(network, *given, g)
    assert plans
    assert None not in plans


@pytest.mark.parametrize("channels", ["first", "last"])
def test_the_sigmoid_is_the_engines(channels: str) -> None:
    """In one pass with what is around it, if it has as many numbers; alone where it has fewer."""
    perm = "[0, 1, 2, 3]" if channels == "first" else "[0, 3, 1, 2]"
    kind = "float[2, 6, 9, 11]" if channels == "first" else "float[2, 9, 11, 6]"
    model = parsed(
        f"net ({kind} a, float[2, 6, 1, 1] g) => (float[2, 6, 9, 11] y, float[2, 6, 9, 11] z) {{ "
        f"x = Transpose <perm = {perm}> (a) d = Add (x, x) e = Sigmoid (d) y = Mul (e, d) "
        "f = Sigmoid (g) z = Mul (x, f) }"
    )
    network = load(model)
    a, g = numbers(*((2, 6, 9, 11) if channels == "first" else (2, 9, 11, 6))) * 9, numbers(2, 6, 1, 1, seed=3)
    x = (a if channels == "first" else a.transpose(0, 3, 1, 2)).astype(np.float64)
    y, z = network(a, g)
    np.testing.assert_allclose(y, 2 * x / (1 + np.exp(-2 * x)), rtol=1e-6)
    np.testing.assert_allclose(z, x / (1 + np.exp(-g.astype(np.float64))), rtol=1e-6)
    assert "Sigmoid+Mul" in steps_of(network, a, g)


KINDS = ["float", "double", "float16", "int32"]


@pytest.mark.parametrize("kind", KINDS)
def test_other_numbers(kind: str) -> None:
    """Two kinds are the engine's, and the others NumPy's; nothing of nothing, and numbers without axes."""
    model = parsed(
        f"net ({kind}[N, M] x, {kind}[M] r, {kind} s) => ({kind}[N, M] y) "
        "{ a = Add (x, r) b = Mul (s, a) y = Sub (b, x) }"
    )
    network = load(model)
    dtype = {"float": "f4", "double": "f8", "float16": "f2", "int32": "i4"}[kind]
    for n, m in ((3, 17), (0, 17), (3, 0), (1, 1)):
        x, r, s = ((numbers(*shape, seed=seed) * 9).astype(dtype) for seed, shape in enumerate([(n, m), (m,), ()]))
        np.testing.assert_array_equal(network(x, r, s), s * (x + r) - x, strict=True)
    assert len(network) == 1


def test_the_same_without_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where kernels cannot be compiled NumPy computes each step."""
    model = parsed(
        "net (float[2, 3, 4, 5] x, float[2, 3, 4, 5] z) => (float[2, 3, 4, 5] y) "
        "{ a = Add (x, z) b = Relu (a) y = Mul (b, x) }"
    )
    x, z = numbers(2, 3, 4, 5), numbers(2, 3, 4, 5, seed=1)
    expected = load(model)(x, z)

    def none(*_: Any) -> None:
        raise compiler.EngineError("chain")

    monkeypatch.setattr(chains, "required", none)
    assert_same_bits(load(model)(x, z), expected)


def test_what_else_is_read_is_not_taken_in() -> None:
    """Values that are given out, or that two steps read, are made; inputs and constants stay as they were."""
    model = parsed(
        "net (float[2, 3, 4, 5] x) => (float[2, 3, 4, 5] y, float[2, 3, 4, 5] d, float[2, 3, 4, 5] w) "
        "{ d = Add (x, k) e = Relu (d) f = Mul (e, k) h = Sub (f, x) w = Add (f, h) y = Relu (e) }",
        k=numbers(2, 3, 4, 5, seed=5),
    )
    network = load(model)
    x, k = numbers(2, 3, 4, 5), numbers(2, 3, 4, 5, seed=5)
    before = x.copy()
    for _ in range(3):
        y, d, w = network(x)
        assert_same_bits(d, x + k)
        assert_same_bits(y, np.maximum(d, 0))
        assert_same_bits(w, y * k + (y * k - x))
    assert_same_bits(x, before)
    assert steps_of(network, x) == ["Add", "Relu", "Mul", "Sub+Add", "Relu"]


def test_two_orders_in_memory() -> None:
    """Images whose channels lie first meet others whose channels lie last: NumPy adds them."""
    model = parsed(
        "net (float[2, 3, 4, 5] x, float[2, 4, 5, 3] z) => (float[2, 3, 4, 5] y) "
        "{ t = Transpose <perm = [0, 3, 1, 2]> (z) a = Add (x, t) y = Relu (a) }"
    )
    x, z = numbers(2, 3, 4, 5), numbers(2, 4, 5, 3, seed=1)
    assert_same_bits(load(model)(x, z), np.maximum(x + z.transpose(0, 3, 1, 2), 0))


def test_lines_in_two_orders() -> None:
    """The lines of one array lie in another order than those of the other, and neither is written over by mistake."""
    model = parsed(
        "net (float[3, 4, 9] p, float[4, 3, 9] q) => (float[3, 4, 9] y, float[3, 4, 9] z) "
        "{ t = Transpose <perm = [1, 0, 2]> (q) a = Neg (p) b = Neg (t) c = Sub (a, b) y = Neg (c) "
        "d = Neg (t) e = Neg (p) f = Sub (d, e) z = Neg (f) }"
    )
    p, q = numbers(3, 4, 9), numbers(4, 3, 9, seed=1)
    y, z = load(model)(p, q)
    assert_same_bits(y, -(-p + q.transpose(1, 0, 2)))
    assert_same_bits(z, -(-q.transpose(1, 0, 2) + p))


def test_an_error_names_the_node() -> None:
    """The one whose inputs do not go together, be it the first of a chain or not."""
    model = parsed("net (float[A, B] x, float[C] z, float[D] w) => (float[A, B] y) { a = Add (x, z) y = Mul (a, w) }")
    network = load(model)
    x = numbers(2, 3)
    assert len(network) == 1
    for z, w, name, shapes in (
        (2, 3, "Add (node with output 'a')", "(2, 3) and (2,)"),
        (3, 4, "Mul (node with output 'y')", "(2, 3) and (4,)"),
    ):
        with raises_exactly(errors.ShapeError, f"{name}: inputs of shapes {shapes} do not go together"):
            network(x, numbers(z), numbers(w))
    assert_same_bits(network(x, numbers(3), numbers(1)), (x + numbers(3)) * numbers(1))


NODES: dict[str, Any] = {
    "Add": np.add,
    "Div": np.divide,
    "HardSigmoid": lambda x: clipped(x * F4.type(0.2) + F4.type(0.5), 0, 1),
    "HardSwish": lambda x: clipped(x * F4.type(1 / 6) + F4.type(0.5), 0, 1) * x,
    "Mul": np.multiply,
    "Relu": lambda x: np.maximum(x, F4.type(0)),
    "Sub": np.subtract,
    "Sum": lambda x, y, z: x + y + z,
    "Tanh": np.tanh,
}
"""Of which the engine has all but the last."""


@pytest.mark.parametrize("seed", range(40))
def test_any_graph(seed: int) -> None:
    """Steps that read any of those before them, of images and of gates: what NumPy makes of one at a time."""
    rng = np.random.default_rng(seed)
    inputs = {"x": numbers(2, 3, 4, 5, seed=seed), "z": numbers(2, 3, 4, 5, seed=seed + 99), "g": numbers(2, 3, 1, 1)}
    values = {**inputs, "c": numbers(3, 1, 1, seed=5)}
    nodes = []
    with np.errstate(all="ignore"):
        for number in range(14):
            operator = str(rng.choice(list(NODES)))
            count = {"Sum": 3, "Add": 2, "Div": 2, "Mul": 2, "Sub": 2}.get(operator, 1)
            names = list(values)[-5:] if rng.random() < 0.7 else list(values)
            taken = [str(name) for name in rng.choice(names, count)]
            values[f"v{number}"] = NODES[operator](*(values[name] for name in taken))
            nodes.append(f"v{number} = {operator} ({', '.join(taken)})")
    given = [f"v{number}" for number in rng.choice(14, 3, replace=False)]
    told = [f"float[2, 3, 4, 5] {name}" for name in ("x", "z")] + ["float[2, 3, 1, 1] g"]
    results = ", ".join(f"float[{', '.join(map(str, values[name].shape))}] {name}" for name in given)
    model = parsed(f"net ({', '.join(told)}) => ({results}) {{ {' '.join(nodes)} }}", c=values["c"])
    network = load(model)
    for _ in range(2):
        for name, found in zip(given, network(*inputs.values()), strict=True):
            assert_same_bits(found, values[name])


@pytest.mark.parametrize("axes", [4, 3])
def test_a_shuffle_of_channels(axes: int) -> None:
    """Channels that lie last in memory are parted, swapped and joined, and lie there still."""
    spatial = (9, 11)[: axes - 2]
    names = ", ".join("HW"[: axes - 2])
    unit = np.eye(24, dtype=F4).reshape(24, 24, *[1] * (axes - 2))
    swap = [0, 2, 1, *range(3, axes + 1)]
    model = parsed(
        f"net (float[2, 24, {names}] x) => (float[2, 24, {names}] y) {{ a = Conv (x, unit) "
        f"b = Reshape (a, parts) c = Transpose <perm = {swap}> (b) d = Reshape (c, whole) y = Conv (d, unit) }}",
        unit=unit,
        parts=np.array([2, 4, 6, *spatial]),
        whole=np.array([2, 24, *spatial]),
    )
    x = numbers(2, 24, *spatial)
    np.testing.assert_allclose(load(model)(x), by_evaluator(model, {"x": x})[0], rtol=1e-6)


def test_long_chains_are_cut() -> None:
    """A kernel has so many operations that it compiles soon; what is cut has the same bits."""
    count = 60
    nodes = " ".join(f"a{i + 1} = LeakyRelu <alpha = {0.5 + i / 100}> (a{i})" for i in range(count))
    network = load(parsed(f"net (float[N] a0) => (float[N] a{count}) {{ {nodes} }}"))
    x = expected = numbers(37)
    for i in range(count):
        expected = np.where(expected >= 0, expected, expected * F4.type(0.5 + i / 100))
    assert_same_bits(network(x), expected)
    lengths = [step.count("+") + 1 for step in steps_of(network, x)]
    assert lengths == [24, 24, 12]


@pytest.mark.parametrize("most", [1, 3])
def test_the_plans_that_were_made_last_are_kept(most: int) -> None:
    """However many there were before, and whether one of them is made again."""
    require("onnx")
    from im2col.integrations.onnx.network.memory import keep

    plans: dict[int, int] = {}
    for i in range(9):
        keep(plans, i, i * i, most)
        assert plans == {n: n * n for n in range(max(0, i + 1 - most), i + 1)}
