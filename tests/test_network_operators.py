"""The operators of networks: onnx's backend suite as networks, recurrent layers, loops, opsets, and random graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from im2col import errors

from .kit.onnx_models import Onnx, assert_backend_suite, by_evaluator, by_onnxruntime, model_of, parsed
from .kit.outcomes import raises_exactly, require

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

F4 = np.dtype("f4")
OLDEST = 7
LEFT_OUT = {
    "test_bernoulli": "random numbers",
    "test_training_dropout": "training",
    "test_gradient_of": "training",
    "test_if_opt_": "onnx's Optional puts what it is given into a list",
    "test_loop16_seq_none_": "the same",
    "test_scan_sum_": "Scan of opset 8, which has a batch axis, is not in onnx's evaluator either",
}
"""Cases of the suite, by how their names begin."""


def load(model: Any) -> Any:
    """Return a network."""
    require("onnx")
    from im2col.integrations import onnx

    return onnx.load(model)


def results_of(network: Any, inputs: dict[str, Array | None]) -> list[Array]:
    """Return what a network gives."""
    return list(network.run({name: x for name, x in inputs.items() if x is not None}).values())


def numbers(*shape: int, seed: int = 0) -> Array:
    """Return floats of about 1."""
    return np.random.default_rng(seed).standard_normal(shape).astype(F4)


@pytest.mark.wide
def test_the_backend_suite() -> None:
    """Every case of onnx's own suite, of opset 7 or newer, passes as a network."""
    require("onnx")

    def prepared(model: Any) -> Any:
        network = load(model)
        names = [each.name for each in network.inputs]
        return lambda inputs: list(network.run(dict(zip(names, inputs, strict=False))).values())

    def wanted(name: str, model: Any) -> bool:
        opsets = {each.domain: each.version for each in model.opset_import}
        return opsets.get("", OLDEST) >= OLDEST and not any(f"{name}_".startswith(each) for each in LEFT_OUT)

    assert assert_backend_suite(prepared, wanted) > 1800


# Recurrent layers.

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
RECURRENT: dict[str, Onnx] = {
    "plain": {},
    "reverse": {"direction": "reverse"},
    "both ways": {"direction": "bidirectional"},
    "clip": {"clip": 0.3, "direction": "bidirectional"},
    "lengths": {"direction": "bidirectional", "lengths": True},
    "lengths backwards": {"direction": "reverse", "lengths": True},
    "activations": {"activations": True},
    "coupled": {"input_forget": 1},
    "after": {"linear_before_reset": 1},
    "batch first": {"layout": 1, "direction": "bidirectional"},
    "alone": {"alone": True},
}


@pytest.mark.parametrize("operator", GATES)
@pytest.mark.parametrize("kind", RECURRENT)
def test_recurrent_layers(operator: str, kind: str) -> None:
    """All attributes give the runtime's numbers: directions, lengths, clips, activations, couplings, states."""
    given = dict(RECURRENT[kind])
    if (operator != "LSTM" and "input_forget" in given) or (operator != "GRU" and "linear_before_reset" in given):
        pytest.skip("the operator has no such attribute")
    alone, lengths = given.pop("alone", False), given.pop("lengths", False)
    ways = 2 if given.get("direction") == "bidirectional" else 1
    time, batch, size, hidden = 5, 3, 4, 2
    if given.pop("activations", False):
        given["activations"] = ["LeakyRelu", "HardSigmoid", "ScaledTanh"][: {"LSTM": 3, "GRU": 2, "RNN": 1}[operator]]
        given["activation_alpha"] = [0.1, 0.3, 1.5][: len(given["activations"])]
        given["activation_beta"] = [0.4, 0.7]
    many = GATES[operator] * hidden
    inputs: dict[str, Array | None] = {
        "x": numbers(time, batch, size),
        "w": numbers(ways, many, size, seed=1),
        "r": numbers(ways, many, hidden, seed=2),
    }
    if not alone:
        inputs |= {
            "b": numbers(ways, 2 * many, seed=3),
            "lengths": np.array([3, 5, 1], np.int32) if lengths else None,
            "h": numbers(ways, batch, hidden, seed=4),
        }
        if operator == "LSTM":
            inputs |= {"c": numbers(ways, batch, hidden, seed=5), "p": numbers(ways, 3 * hidden, seed=6)}
    outputs = 3 if operator == "LSTM" else 2
    plain = model_of(operator, inputs, {**given, "layout": 0, "hidden_size": hidden}, [F4] * outputs, 14)
    expected = by_onnxruntime(plain, inputs)
    if given.get("layout"):  # which the runtime lacks: the same with axes moved
        inputs |= {name: x.swapaxes(0, 1) for name, x in inputs.items() if name in "xhc" and x is not None}
        expected = [expected[0].transpose(2, 0, 1, 3), *(each.swapaxes(0, 1) for each in expected[1:])]
    network = load(model_of(operator, inputs, {**given, "hidden_size": hidden}, [F4] * outputs, 14))
    for mine, theirs in zip(results_of(network, inputs), expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5)
        assert mine.dtype == F4


def test_recurrent_layers_refuse_what_does_not_fit() -> None:
    """Shapes, lengths and names, by the node."""
    inputs: dict[str, Array | None] = {"x": numbers(5, 3, 4), "w": numbers(1, 8, 4), "r": numbers(1, 8, 2)}
    for message, changes, attributes in (
        ("X, W and R must have 3 axes each, got shapes (3, 4), (1, 8, 4) and (1, 8, 2)", {"x": numbers(3, 4)}, {}),
        ("W must have shape (1, 8, 4) for X of shape (5, 3, 4), got (1, 8, 5)", {"w": numbers(1, 8, 5)}, {}),
        ("hidden_size is 3, but R has shape (1, 8, 2)", {}, {"hidden_size": 3}),
        ("sequence_lens must be from 0 to 5, got [1, 2, 6]", {"b": None, "n": np.array([1, 2, 6], np.int32)}, {}),
    ):
        given = {**inputs, **changes}
        network = load(model_of("LSTM", given, attributes, [F4], 14))
        with raises_exactly(errors.ShapeError, f"LSTM (node 'layer'): {message}"):
            results_of(network, given)
    network = load(model_of("LSTM", inputs, {"direction": "up"}, [F4], 14))
    with raises_exactly(
        errors.ArgumentError,
        "LSTM (node 'layer'): direction must be one of ('forward', 'reverse', 'bidirectional'), got 'up'",
    ):
        results_of(network, inputs)


# Graphs in graphs.

BRANCHES = """net (float[N, 2, 5, 5] x, bool c) => (float[N, A, 5, 5] y) {
    k = Relu (w)
    y = If (c) <
        then_branch = yes () => (float[N, 2, 5, 5] a) { t = Conv <pads = [1, 1, 1, 1]> (x, k)  a = Relu (t) },
        else_branch = no () => (float[N, 2, 5, 5] b) {
            inner = If (d) <
                then_branch = deep () => (float[N, 2, 5, 5] e) { e = Neg (x) },
                else_branch = deeper () => (float[N, 2, 5, 5] f) { f = Identity (x) }>
            b = Mul (inner, inner) }> }"""


@pytest.mark.parametrize("deep", [False, True])
def test_branches(deep: bool) -> None:
    """They read what is around them, which may be known before; and their convolutions are folded as others."""
    model = parsed(BRANCHES, w=numbers(2, 2, 3, 3), d=np.array(deep))
    network = load(model)
    x = numbers(1, 2, 5, 5)
    for condition in (True, False):
        inputs: dict[str, Array | None] = {"x": x, "c": np.array(condition)}
        (mine,) = results_of(network, inputs)
        np.testing.assert_allclose(mine, by_onnxruntime(model, inputs)[0], rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(x, numbers(1, 2, 5, 5))


LOOP = """net (int64 n, float[2] x, float[2] scale) => (float[2] last, float[T, 2] all, float[T] sums) {
    last, all, sums = Loop (n, go, x) <
        body = turn (int64 i, bool before, float[2] a) => (bool on, float[2] b, float[2] each, float sum) {
            p = Mul (a, scale)  b = Add (p, one)  each = Identity (b)  sum = ReduceSum <keepdims = 0> (b)
            on = Less (sum, most) }> }"""


@pytest.mark.parametrize(("turns", "most"), [(4, 1e9), (9, 12.0), (0, 1e9), (3, -1.0)])
def test_loops(turns: int, most: float) -> None:
    """As often as they are told, or until the body says stop; what each turn gives is stacked."""
    model = parsed(LOOP, go=np.array(True), one=np.array(1, F4), most=np.array(most, F4))
    network = load(model)
    x, scale = np.array([1, 2], F4), np.array([1.5, 0.5], F4)
    values, state = [], x
    for _ in range(turns):
        state = state * scale + 1
        values.append(state)
        if not state.sum() < most:
            break
    last, every, sums = results_of(network, {"n": np.array(turns), "x": x, "scale": scale})
    np.testing.assert_allclose(last, state)
    np.testing.assert_allclose(every, np.array(values, F4).reshape(-1, 2))
    np.testing.assert_allclose(sums, [each.sum() for each in values])


SCAN = """net (float[2] start, float[T, 2] x, float[2, T] z, float k) => (float[2] last, float[2, T] sums) {
    last, sums = Scan <num_scan_inputs = 2, scan_input_axes = [0, 1], scan_input_directions = [0, 1],
        scan_output_axes = [1], scan_output_directions = [1],
        body = turn (float[2] s, float[2] a, float[2] b) => (float[2] t, float[2] out) {
            d = Mul (b, k)  e = Add (a, d)  t = Add (s, e)  out = Identity (t) }> (start, x, z) }"""


def test_scans() -> None:
    """Along axes, forwards and backwards, with what is captured."""
    network = load(parsed(SCAN))
    start, x, z, k = numbers(2), numbers(4, 2, seed=1), numbers(2, 4, seed=2), np.array(3, F4)
    last, sums = results_of(network, {"start": start, "x": x, "z": z, "k": k})
    expected = start + np.cumsum(x + 3 * z.T[::-1], axis=0)
    np.testing.assert_allclose(last, expected[-1], rtol=1e-5)
    np.testing.assert_allclose(sums, expected[::-1].T, rtol=1e-5)


# Opsets.

SLICED = "net (float[5, 6] x) => (float[A, B] y) { %s }"
BY_OPSET = {
    "Slice": ("y = Slice <starts = [1, -3], ends = [9, -1]> (x)", 9, "y = Slice (x, a, b)", 13),
    "Squeeze": ("d = Unsqueeze <axes = [0, 3]> (x) y = Squeeze <axes = [0, 3]> (d)", 11, "y = Identity (x)", 13),
    "Pad": ("y = Pad <pads = [1, 0, 2, 0], value = 3.0> (x)", 10, "y = Pad (x, p, v)", 13),
    "Clip": ("y = Clip <min = -0.5, max = 0.5> (x)", 10, "y = Clip (x, low, high)", 13),
    "ReduceSum": ("y = ReduceSum <axes = [1]> (x)", 11, "y = ReduceSum (x, ax)", 13),
    "ReduceMean": ("y = ReduceMean <axes = [-1]> (x)", 13, "y = ReduceMean (x, ax)", 18),
    "Softmax": ("y = Softmax (x)", 12, "y = Softmax (x)", 13),
    "Split": ("a1, y = Split <axis = 1, split = [2, 4]> (x)", 12, "a1, y = Split <axis = 1> (x, two)", 13),
    "Dropout": ("y, m = Dropout <ratio = 0.3> (x)", 10, "y, m = Dropout (x)", 13),
}


@pytest.mark.parametrize(("old", "before", "new", "after"), BY_OPSET.values(), ids=BY_OPSET)
def test_what_an_operator_was_before(old: str, before: int, new: str, after: int) -> None:
    """What were attributes are inputs now; both give the same."""
    values = {"a": np.array([1, -3]), "b": np.array([9, -1]), "p": np.array([1, 0, 2, 0]), "v": np.array(3, F4)}
    values |= {"low": np.array(-0.5, F4), "high": np.array(0.5, F4), "ax": np.array([1]), "two": np.array([2, 4])}
    x = numbers(5, 6)
    first = load(parsed(SLICED % old, before, **values))(x)
    np.testing.assert_array_equal(first, load(parsed(SLICED % new, after, **values))(x), strict=True)


INTEGERS = {
    "Slice": ("y = Slice (x, ends, starts, axes, steps)", np.array([[5, 4, 3, 2, 1, 0], [11, 10, 9, 8, 7, 6]])),
    "Split": (
        "c = Slice (x, zero, five, one) a, y = Split <axis = 1, num_outputs = 2> (c)",
        np.array([[3, 4], [9, 10]]),
    ),
    "Div": ("t = Sub (x, six) y = Div (t, four)", np.array([[-1, -1, -1, 0, 0, 0], [0, 0, 0, 0, 1, 1]])),
    "Mod": ("t = Sub (x, six) y = Mod (t, four)", np.array([[2, 3, 0, 1, 2, 3], [0, 1, 2, 3, 0, 1]])),
    "Pow": ("y = Pow (x, two)", np.arange(12).reshape(2, 6) ** 2),
    "Pad": ('y = Pad <mode = "reflect"> (x, pads)', np.array([[2, 1, 0, 1, 2, 3, 4], [8, 7, 6, 7, 8, 9, 10]])),
    "Gather": ("y = Gather <axis = -1> (x, back)", np.array([[5, 0], [11, 6]])),
    "ArgMax": ("t = Mod (x, four) y = ArgMax <axis = 1, select_last_index = 1, keepdims = 0> (t)", np.array([3, 5])),
    "ReduceMean": ("t = Sub (x, six) y = ReduceMean (t, one)", np.array([[-3], [2]])),
}


@pytest.mark.parametrize(("nodes", "expected"), INTEGERS.values(), ids=INTEGERS)
def test_integers(nodes: str, expected: Array) -> None:
    """What is cut, split, divided and turned round, counted by hand."""
    values = {"starts": [-1000], "ends": [1000], "axes": [1], "steps": [-1], "six": 6, "four": 4, "two": 2, "one": [1]}
    values |= {"pads": [0, 2, 0, -1], "back": [-1, 0], "zero": [0], "five": [5]}
    model = parsed(
        f"net (int64[2, 6] x) => (int64[N, M] y) {{ {nodes} }}", 18, **{name: np.array(v) for name, v in values.items()}
    )
    result = load(model)(np.arange(12).reshape(2, 6))
    np.testing.assert_array_equal(result, expected, strict=True)


@pytest.mark.parametrize("opset", [10, 13, 17, 21])
@pytest.mark.parametrize("each", [False, True])
def test_quantised_networks(opset: int, each: bool) -> None:
    """Integers between floats, of all channels or each, give the runtime's numbers."""
    if each and opset < 13:
        pytest.skip("scales for each channel came with opset 13")
    rng = np.random.default_rng(0)
    scale = rng.uniform(0.01, 0.02, 8).astype(F4) if each else np.array(0.015, F4)
    values: dict[str, Array] = {
        "s": np.array(0.02, F4),
        "z": np.array(128, np.uint8),
        "t": np.array(0.05, F4),
        "u": np.array(-7, np.int8),
        "f": rng.integers(-90, 90, (8, 3, 3, 3)).astype(np.int8),
        "fs": scale,
        "fz": np.zeros(scale.shape, np.int8),
    }
    axis = "<axis = 0>" if each else ""
    nodes = f"""q = QuantizeLinear (x, s, z) d = DequantizeLinear (q, s, z) w = DequantizeLinear {axis} (f, fs, fz)
        c = Conv <pads = [1, 1, 1, 1]> (d, w) r = Relu (c) p = QuantizeLinear (r, t, u)
        y = DequantizeLinear (p, t, u)"""
    types = "float[N, 3, H, W] x) => (float[N, 8, A, B] y, int8[N, 8, A, B] p"
    model = parsed(f"net ({types}) {{ {nodes} }}", opset, **values)
    inputs: dict[str, Array | None] = {"x": rng.standard_normal((2, 3, 9, 11)).astype(F4)}
    mine, theirs = results_of(load(model), inputs), by_onnxruntime(model, inputs)
    assert [x.dtype for x in mine] == [x.dtype for x in theirs]
    ties = np.abs(mine[1].astype(int) - theirs[1]) > 0
    assert ties.mean() < 1e-3
    assert np.abs(mine[0] - theirs[0])[~ties].max() < 1e-6


# Random graphs.

UNARY = (
    "Relu",
    "Sigmoid",
    "Neg",
    "Abs",
    "Tanh",
    "HardSigmoid",
    "LeakyRelu",
    "Identity",
    "Elu",
    "Softplus",
    "Erf",
    "Sqrt",
)
BINARY = ("Add", "Mul", "Sub", "Max", "Min")


@st.composite
def graphs(draw: Any) -> tuple[str, dict[str, Array]]:
    """Draw the nodes of a graph of images, and its constants: what is made may be read by any later node."""
    nodes: list[str] = []
    constants: dict[str, Array] = {}
    known = ["x"]
    for number in range(draw(st.integers(3, 14))):
        seed = number
        kind = draw(st.sampled_from(["unary", "unary", "binary", "constant", "constant", "conv", "pool", "normal"]))
        name, x = f"n{number}", draw(st.sampled_from(known[-4:]))
        if kind == "unary":
            nodes.append(f"{name} = {draw(st.sampled_from(UNARY))} ({x})")
        elif kind == "binary":
            nodes.append(f"{name} = {draw(st.sampled_from(BINARY))} ({x}, {draw(st.sampled_from(known))})")
        elif kind == "constant":
            shape = draw(st.sampled_from([(), (1,), (4, 1, 1), (1, 4, 1, 1), (1, 1, 6), (1, 4, 1, 6)]))
            constants[f"c{number}"] = numbers(*shape, seed=seed)
            order = [x, f"c{number}"] if draw(st.booleans()) else [f"c{number}", x]
            nodes.append(f"{name} = {draw(st.sampled_from(BINARY))} ({', '.join(order)})")
        elif kind == "conv":
            group = draw(st.sampled_from([1, 2, 4]))
            constants[f"w{number}"] = numbers(4, 4 // group, 3, 3, seed=seed) / 3
            bias = ""
            if draw(st.booleans()):
                constants[f"b{number}"], bias = numbers(4, seed=seed), f", b{number}"
            nodes.append(f"{name} = Conv <group = {group}, pads = [1, 1, 1, 1]> ({x}, w{number}{bias})")
        elif kind == "pool":
            pool = draw(st.sampled_from(["MaxPool", "AveragePool"]))
            nodes.append(f"{name} = {pool} <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> ({x})")
        else:
            for part in "stmq":
                constants[f"{part}{number}"] = abs(numbers(4, seed=seed + ord(part))) + np.float32(0.5)
            nodes.append(f"{name} = BatchNormalization ({x}, {', '.join(f'{part}{number}' for part in 'stmq')})")
        known.append(name)
    given_out = sorted({known[-1], *draw(st.lists(st.sampled_from(known[1:]), max_size=2))})
    outputs = ", ".join(f"float[N, 4, 5, 6] {name}" for name in given_out)
    return f"net (float[N, 4, 5, 6] x) => ({outputs}) {{ {' '.join(nodes)} }}", constants


@given(graphs())
def test_random_graphs(graph: tuple[str, dict[str, Array]]) -> None:
    """They give what the standard's evaluator gives: whatever is folded, whatever is written over, call after call."""
    text, constants = graph
    model = parsed(text, **constants)
    network = load(model)
    from im2col.integrations.onnx import OPS

    for seed in (1, 2):
        x = numbers(2, 4, 5, 6, seed=seed)
        with np.errstate(all="ignore"):
            expected = by_evaluator(model, {"x": x}, OPS)
        for mine, theirs in zip(results_of(network, {"x": x}), expected, strict=True):
            scale = float(np.abs(theirs[np.isfinite(theirs)]).max(initial=1))
            np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5 * scale)
