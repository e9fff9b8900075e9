"""Networks: what is folded, where results lie, what runs again, and what a call refuses."""

from __future__ import annotations

import doctest
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from im2col import errors
from im2col.engine.threads import threads_for

from .kit.onnx_models import by_evaluator, by_onnxruntime, parsed
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


def numbers(*shape: int, seed: int = 0) -> Array:
    """Return floats of about 1."""
    return np.random.default_rng(seed).standard_normal(shape).astype(F4)


def steps_of(network: Any) -> list[str]:
    """Return the operators of a network's steps, each with those that were folded into it."""
    return ["+".join((each.operator, *each.folded)) for each in network.profile(runs=1).steps]


WEIGHTS = {"w": numbers(6, 2, 3, 3), "b": numbers(6, seed=1), "v": numbers(4, 3, 3, 2), "c": numbers(6, 1, 1, seed=2)}
NORMAL = {name: abs(numbers(6, seed=seed)) + 0.5 for seed, name in enumerate(("s", "t", "m", "q"), 3)}
NUMBERS = {"two": np.array(2, F4), "three": np.array(3, F4), "six": np.array([6], F4), "zero": np.array(0, F4)}
NUMBERS["sixth"] = np.array(1 / 6, F4)
CONV = "a = Conv <group = 2, pads = [1, 1, 1, 1]> (x, w, b)"
TRANSPOSED = "a = ConvTranspose <group = 2, strides = [2, 2]> (x, v)"
NORMALIZED = "BatchNormalization (a, s, t, m, q)"

FOLDED = {
    "normal": (CONV, f"y = {NORMALIZED}", "Conv+BatchNormalization"),
    "affine": (CONV, "d = Mul (c, a) e = Sub (d, two) f = Div (e, c) y = Add (two, f)", "Conv+Mul+Sub+Div+Add"),
    "reversed": (CONV, "d = Sub (c, a) y = Relu (d)", "Conv+Sub+Relu"),
    "relu": (CONV, "y = Relu (a)", "Conv+Relu"),
    "relu6": (CONV, "y = Clip (a, zero, six)", "Conv+Clip"),
    "half": (CONV, "y = Clip (a, zero)", "Conv+Clip"),
    "leaky": (CONV, "y = LeakyRelu <alpha = 0.2> (a)", "Conv+LeakyRelu"),
    "sigmoid": (CONV, f"d = {NORMALIZED} y = Sigmoid (d)", "Conv+BatchNormalization+Sigmoid"),
    "silu": (CONV, "g = Sigmoid (a) y = Mul (g, a)", "Conv+Sigmoid+Mul"),
    "hardswish": (CONV, "y = HardSwish (a)", "Conv+HardSwish"),
    "gated": (CONV, "g = HardSigmoid <alpha = 0.16666667> (a) y = Mul (a, g)", "Conv+HardSigmoid+Mul"),
    "clipped": (
        CONV,
        "d = Add (a, three) g = Clip (d, zero, six) h = Mul (g, a) y = Div (h, six)",
        "Conv+Add+Clip+Mul+Div",
    ),
    "sixth": (
        CONV,
        "d = Add (three, a) g = Clip (d, zero, six) h = Mul (g, sixth) y = Mul (a, h)",
        "Conv+Add+Clip+Mul+Mul",
    ),
    "transposed": (TRANSPOSED, f"d = {NORMALIZED} y = Relu (d)", "ConvTranspose+BatchNormalization+Relu"),
}


@pytest.mark.parametrize(("layer", "rest", "expected"), FOLDED.values(), ids=FOLDED)
def test_what_follows_a_convolution_is_folded_into_it(layer: str, rest: str, expected: str) -> None:
    """One step is left, and its numbers are the standard's evaluator's."""
    model = parsed(
        f"net (float[2, 4, 5, 6] x) => (float[2, 6, A, B] y) {{ {layer} {rest} }}", **WEIGHTS, **NORMAL, **NUMBERS
    )
    network = load(model)
    assert steps_of(network) == [expected]
    x = numbers(2, 4, 5, 6, seed=9) * 3
    from im2col.integrations.onnx import OPS  # a transposed convolution with groups is wrong in onnx's own

    np.testing.assert_allclose(network(x), by_evaluator(model, {"x": x}, OPS)[0], rtol=1e-4, atol=1e-4)


SCALED = {
    "normal": (
        f"p = MaxPool <kernel_shape = [1, 1]> (x) a = Concat <axis = 1> (p, two) y = {NORMALIZED}",
        "BatchNormalization",
    ),
    "relu": (f"a = Concat <axis = 1> (x, two) d = {NORMALIZED} y = Relu (d)", "BatchNormalization+Relu"),
    "numbers": (f"{CONV} d = Sigmoid (a) e = Mul (d, number) f = Add (number, e) y = Relu (f)", "Mul+Add+Relu"),
    "reversed": (f"{CONV} d = Relu (a) e = Sub (number, d) y = Div (e, number)", "Sub+Div"),
}


@pytest.mark.parametrize("channels", ["first", "last"])
@pytest.mark.parametrize(("nodes", "expected"), SCALED.values(), ids=SCALED)
def test_what_is_scaled_is_one_step(nodes: str, expected: str, channels: str) -> None:
    """A normalisation without a convolution, arithmetic behind an activation, and a Relu behind them: in blocks."""
    two = numbers(2, 2, 70, 80)
    types = "float[2, 4, 70, 80] z) => (float[2, 6, 70, 80] y"
    turn = "x = Conv (z, unit)" if channels == "last" else "x = Identity (z)"
    values = {
        **WEIGHTS,
        **NORMAL,
        "number": np.array([0.3], F4),
        "two": two,
        "unit": np.eye(4, dtype=F4)[..., None, None],
    }
    model = parsed(f"net ({types}) {{ {turn} {nodes} }}", **values)
    network = load(model)
    assert f"Affine+{expected}" in steps_of(network)
    z = numbers(2, 4, 70, 80, seed=3)
    np.testing.assert_allclose(network(z), by_evaluator(model, {"z": z})[0], rtol=1e-4, atol=1e-4)


KEPT = {
    "read twice": ("y = Relu (a) z = Neg (a)", ["Conv", "Relu", "Neg"]),
    "given out": ("z = Identity (a) y = Relu (a)", ["Conv", "Identity", "Relu"]),
    "two activations": ("d = Relu (a) y = Sigmoid (d) z = Neg (y)", ["Conv+Relu", "Sigmoid", "Neg"]),
    "rows": ("y = Mul (a, r) z = Neg (y)", ["Conv", "Mul", "Neg"]),
    "columns": ("y = Mul (a, columns) z = Neg (y)", ["Conv", "Mul", "Neg"]),
    "more axes": ("y = Mul (a, more) z = Neg (y)", ["Conv", "Mul", "Neg"]),
    "infinite": ("y = Mul (a, inf) z = Neg (y)", ["Conv", "Mul", "Neg"]),
    "by itself": ("y = Mul (a, a) z = Neg (y)", ["Conv", "Mul", "Neg"]),
    "other gate": ("g = HardSigmoid (a) y = Mul (a, g) z = Neg (y)", ["Conv", "HardSigmoid+Mul", "Neg"]),
    "other bounds": ("y = Clip (a, zero, two) z = Neg (y)", ["Conv", "Clip", "Neg"]),
    "one by it": ("y = Div (two, a) z = Neg (y)", ["Conv", "Div", "Neg"]),
    "other number": (
        "d = Add (a, two) g = Clip (d, zero, six) h = Mul (g, a) y = Div (h, six) z = Neg (y)",
        ["Conv+Add", "Clip", "Mul", "Div", "Neg"],
    ),
}


@pytest.mark.parametrize(("rest", "expected"), KEPT.values(), ids=KEPT)
def test_what_cannot_be_folded_is_not(rest: str, expected: list[str]) -> None:
    """Other readers, other shapes, other numbers: each step stays, and the results are the evaluator's."""
    values = {"r": numbers(5, 1), "columns": numbers(6), "more": numbers(1, 1, 1, 1, 1), "inf": np.array(np.inf, F4)}
    types = "float[2, 4, 5, 6] x) => (float[2, 6, 5, 6] y, float[2, 6, 5, 6] z"
    model = parsed(f"net ({types}) {{ {CONV} {rest} }}", **WEIGHTS, **NUMBERS, **values)
    network = load(model)
    if expected == ["Conv+Add", "Clip", "Mul", "Div", "Neg"]:  # a is read twice
        expected = ["Conv", "Add+Clip+Mul+Div", "Neg"]
    assert steps_of(network) == expected
    x = numbers(2, 4, 5, 6, seed=9)
    for mine, theirs in zip(network(x), by_evaluator(model, {"x": x}), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-4)


def test_what_is_given_out_is_not_folded_away() -> None:
    """A value that one node reads, and that the network gives out too, is made."""
    model = parsed(
        f"net (float[2, 4, 5, 6] x) => (float[2, 6, 5, 6] a, float[2, 6, 5, 6] y) {{ {CONV} y = Relu (a) }}", **WEIGHTS
    )
    network = load(model)
    assert steps_of(network) == ["Conv", "Relu"]
    before, after = network(numbers(2, 4, 5, 6))
    np.testing.assert_array_equal(np.maximum(before, 0), after, strict=True)
    assert before.min() < 0


VIEWED = {
    "turned": "v = Transpose (a) b = Tanh (x) c = Exp (b) w = Transpose (v) y = Add (w, c)",
    "turned twice": "v = Transpose (a) w = Transpose (v) b = Tanh (x) c = Exp (a) d = Sub (b, c) y = Add (w, d)",
    "spread": "v = Expand (a, shape) b = Exp (v) y = Tanh (b)",
    "both": "v = Transpose (a) w = Reshape (v, plain) u = Reshape (w, turned) t = Transpose (u) y = Sub (a, t)",
    "cut": "v = Slice (a, zero, one) w = Exp (v) b = Tanh (x) y = Add (w, b)",
}


@pytest.mark.parametrize("nodes", VIEWED.values(), ids=VIEWED)
def test_what_shows_a_buffer_keeps_it(nodes: str) -> None:
    """Views are read long after the value that they show has been."""
    values = {"shape": np.array([2, 3, 4]), "plain": np.array([12]), "turned": np.array([4, 3])}
    values |= {"zero": np.array([0]), "one": np.array([1])}
    model = parsed(f"net (float[3, 4] x) => (float[A, B] out) {{ a = Sin (x) {nodes} out = Identity (y) }}", **values)
    network = load(model)
    for seed in range(3):
        x = numbers(3, 4, seed=seed)
        np.testing.assert_allclose(network(x), by_evaluator(model, {"x": x})[0], rtol=1e-5, atol=1e-6)


def test_what_is_made_of_constants_is_computed_once() -> None:
    """Shapes and sums of constants, what passes a value on, and what nobody reads are no steps."""
    model = parsed(
        """net (float[2, 3] x) => (float[6] y) {
        one = Constant <value_ints = [6]> ()  two = Identity (one)  size = Size (w)  same = Dropout (x)
        lost = Exp (x)  y = Reshape (same, two) }""",
        w=numbers(2, 2),
    )
    network = load(model)
    assert steps_of(network) == ["Reshape"]
    x = numbers(2, 3)
    np.testing.assert_array_equal(network(x), x.ravel(), strict=True)


def test_a_network_takes_new_shapes() -> None:
    """Each gets plans of its own, more than are kept, and shapes that come again give the same numbers."""
    text = (
        'net (float[N, 4, H, W] x) => (float[N, 6, H, W] y) { a = Conv <group = 2, auto_pad = "SAME_UPPER"> (x, w, b)'
    )
    model = parsed(f"{text} d = Relu (a) y = Add (d, a) }}", **WEIGHTS)
    network = load(model)
    first: dict[int, Array] = {}
    for size in (*range(3, 14), 0, *range(3, 14)):
        x = numbers(2 if size else 0, 4, size or 3, 5, seed=size)
        y = network(x)
        np.testing.assert_array_equal(first.setdefault(size, y), y, strict=True)
        np.testing.assert_allclose(y, by_onnxruntime(model, {"x": x})[0] if size else y, rtol=1e-4, atol=1e-4)
        assert y.shape == (len(x), 6, *x.shape[2:])


CHAIN = """net (float[N, 4, H, W] x) => (float[N, 6, H, W] y, float[N, 6, H, W] z, float[M, 6] flat) {
    a = Conv <group = 2, pads = [1, 1, 1, 1]> (x, w, b)  d = Relu (a)  e = Add (a, d)  f = Mul (e, e)  g = Exp (d)
    h = Sub (f, g)  view = Transpose <perm = [0, 2, 3, 1]> (h)  flat = Reshape (view, shape)  y = Neg (h)
    z = Identity (y) }"""
CHAINED = {**WEIGHTS, "shape": np.array([-1, 6])}


def test_results_are_the_callers() -> None:
    """They share no memory with inputs, with each other's calls, or with what the network keeps."""
    network = load(parsed(CHAIN, **CHAINED))
    x = numbers(1, 4, 6, 7)
    before = x.copy()
    first = network(x)
    copies = [each.copy() for each in first]
    second = network(x + 1)
    np.testing.assert_array_equal(x, before, strict=True)
    for one, copy, other in zip(first, copies, second, strict=True):
        np.testing.assert_array_equal(one, copy, strict=True)
        assert not np.shares_memory(one, other)
        assert one.flags.c_contiguous
        assert one.flags.writeable
    for each in first:
        each[...] = np.nan
    for one, copy in zip(network(x), copies, strict=True):
        np.testing.assert_array_equal(one, copy, strict=True)
    for opaque in ("y = Identity (x)", "y = Identity (k)", "y = Reshape (x, s)", "y = Dropout (x)"):
        plain = load(parsed(f"net (float[2] x) => (float[2] y) {{ {opaque} }}", k=numbers(2), s=np.array([2])))
        given = numbers(2)
        result = plain(given)
        kept = result.copy()
        result[...] = 7
        np.testing.assert_array_equal(given, numbers(2))
        np.testing.assert_array_equal(plain(given), kept)


def test_the_buffers_of_a_chain_are_few() -> None:
    """What nothing reads any more is written over: a chain of any length needs as much memory as a short one."""
    import tracemalloc

    peaks = []
    for length in (4, 40):
        nodes = "".join(f" a{n + 1} = Exp (a{n}) b{n + 1} = Mul (a{n + 1}, a{n + 1})" for n in range(length))
        names = f"y = Add (b1, b{length})"
        network = load(parsed(f"net (float[N] a0) => (float[N] y) {{ {nodes.replace('Exp (a', 'Tanh (a')} {names} }}"))
        x = numbers(1 << 18)
        network(x)
        tracemalloc.start()
        np.testing.assert_array_equal(network(x).shape, x.shape)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert max(peaks) < 3 * x.nbytes


def test_the_bits_do_not_depend_on_threads_or_batch() -> None:
    """Layers, products of matrices and all: one thread or three, one image or several."""
    nodes = (
        "a = Conv <pads = [1, 1, 1, 1]> (x, w) r = Relu (a) p = GlobalAveragePool (r) f = Flatten (p) y = MatMul (f, m)"
    )
    model = parsed(
        f"net (float[N, 8, H, W] x) => (float[N, 500] y) {{ {nodes} }}", w=numbers(64, 8, 3, 3), m=numbers(64, 500)
    )
    x = numbers(4, 8, 40, 41)
    found = []
    for threads in (1, 3):
        with threads_for(threads):
            network = load(model)
            found += [network(x), network(x)]
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other, strict=True)


def test_threads_share_a_network() -> None:
    """Calls at once give what calls in turn give."""
    network = load(parsed(CHAIN, **CHAINED))
    images = [numbers(1, 4, 20 + n % 3, 21, seed=n) for n in range(6)]
    expected = [network(x) for x in images]
    wrong: list[int] = []

    def work(n: int) -> None:
        for _ in range(20):
            for mine, theirs in zip(network(images[n]), expected[n], strict=True):
                if not np.array_equal(mine, theirs):
                    wrong.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(images))]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert wrong == []


def test_inputs_by_position_by_name_and_in_a_mapping() -> None:
    """All are the same, and what does not fit is refused by name before anything runs."""
    network = load(
        parsed("net (float[N, 2] a, int64[K] b) => (float[N, 2] y) { c = Cast <to = 1> (b) y = Add (a, c) }")
    )
    a, b = numbers(3, 2), np.array([4])
    for result in (
        network(a, b),
        network(a, b=b),
        network(a=a, b=b),
        network({"a": a, "b": b}),
        network.run({"a": a, "b": b})["y"],
    ):
        np.testing.assert_array_equal(result, a + 4, strict=True)
    for error, message, call in (
        (errors.ArgumentError, "input 'b' is missing; it is b: int64 (K)", lambda: network(a)),
        (errors.ArgumentError, "it takes 2 inputs, got 3", lambda: network(a, b, b)),
        (
            errors.ArgumentError,
            "'a' is given twice; it takes a: float32 (N, 2), b: int64 (K)",
            lambda: network(a, b, a=a),
        ),
        (
            errors.ArgumentError,
            "'d' is none of its inputs; it takes a: float32 (N, 2), b: int64 (K)",
            lambda: network(a, d=b),
        ),
        (errors.DTypeError, "input 'a' is float64, but must be float32", lambda: network(a.astype("f8"), b)),
        (
            errors.ShapeError,
            "input 'b' has shape (1, 1), but must have 1 axes: b: int64 (K)",
            lambda: network(a, b[None]),
        ),
        (errors.ShapeError, "input 'a' has shape (3, 1), but must fit a: float32 (N, 2)", lambda: network(a[:, 1:], b)),
        (errors.GeometryError, "runs must be at least 1, got 0", lambda: network.profile(a, b, runs=0)),
        (
            errors.ArgumentError,
            "the model does not tell the shape of its input a: float32 (N, 2); pass an array",
            network.profile,
        ),
    ):
        with raises_exactly(error, f"net: {message}"):
            call()
    with raises_exactly(
        errors.ShapeError, "Add (node with output 'y'): inputs of shapes (3, 2) and (3,) do not go together"
    ):
        network(a, np.arange(3))


def test_a_network_tells_of_itself() -> None:
    """How many nodes run as how many steps, and which were folded; a profile has a row for each step and a chart."""
    model = parsed(
        f"net (float[1, 4, 5, 6] x) => (float[1, 6, 5, 6] y) {{ {CONV} d = Relu (a) y = Add (d, c) }}", **WEIGHTS
    )
    network = load(model)
    assert str(network).splitlines() == [
        "net: 3 nodes run as 2 steps; 1 layers have plans, with 1 other nodes folded into them",
        "takes x: float32 (1, 4, 5, 6)",
        "gives y",
        "   0  plan    Conv (node with output 'a')  + Relu",
        "   1  im2col  Add (node with output 'y')",
    ]
    assert repr(network) == "<im2col.Network net, 2 steps>"
    told: list[int] = []
    profile = network.profile(runs=2, watch=lambda number, _: told.append(number))
    assert told == [0, 1] * 3
    assert [(each.operator, each.folded, each.by) for each in profile.steps] == [
        ("Conv", ("Relu",), "plan"),
        ("Add", (), "im2col"),
    ]
    assert profile.seconds == sum(each.seconds for each in profile.steps) > 0
    assert set(profile.as_dict()["by_operator"]) == {"Conv (plan)", "Add (im2col)"}
    assert "Conv (node with output 'a')" in str(profile)
    assert "█" * 30 in str(profile)


def test_the_page_runs() -> None:
    """Every example of docs/networks.md gives what it prints."""
    require("onnx")
    page = Path(__file__).parents[1] / "docs/networks.md"
    failed, tried = doctest.testfile(str(page), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0
    assert tried >= 10
