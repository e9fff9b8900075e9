"""The operators of ONNX: onnx's own backend suite, plain loops, the runtime, every opset, and what is refused."""

from __future__ import annotations

import doctest
import itertools
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from im2col import errors
from im2col.engine import host
from im2col.integrations.onnx.table import OPERATORS

from .kit.onnx_models import Onnx, assert_backend_suite, by_evaluator, by_onnxruntime, model_of
from .kit.outcomes import raises_exactly, require
from .kit.processes import HANG_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

F4, F8, I1, U1 = (np.dtype(name) for name in ("f4", "f8", "i1", "u1"))
NEWEST = 22
"""An opset that every onnx from 1.17 on knows."""


def operators() -> list[type]:
    """Return the operators."""
    require("onnx")
    from im2col.integrations.onnx import OPS

    return OPS


def ours(
    operator: str, inputs: Sequence[Any], attributes: Onnx | None = None, opset: int = NEWEST, outputs: int = 1
) -> list[Array]:
    """Return what a node of the name "layer" gives."""
    named = named_inputs(inputs)
    first = next(array.dtype for array in named.values() if array is not None)
    model = model_of(operator, named, attributes or {}, [first] * outputs, opset)
    return by_evaluator(model, named, operators())


def named_inputs(inputs: Sequence[Any]) -> dict[str, Array | None]:
    """Return the inputs of a node by names, None for those left out."""
    return {f"x{number}": None if value is None else np.asarray(value) for number, value in enumerate(inputs)}


def numbers(*shape: int, seed: int = 0, dtype: Any = F4) -> Array:
    """Return small whole numbers."""
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(dtype)


# The suite.


def test_the_backend_suite(capsys: pytest.CaptureFixture[str]) -> None:
    """Every case of onnx's own suite in which one of the operators stands passes, as written and expanded.

    The cases are found by the operators of their models, and not by their names; what ran is printed.
    """
    onnx = require("onnx")
    from onnx.reference import ReferenceEvaluator

    served = set(OPERATORS)
    classes = tuple(operators())
    ran: Counter[str] = Counter()
    cases: dict[str, set[str]] = {}

    def prepared(model: Any) -> Any:
        evaluator = ReferenceEvaluator(model, new_ops=list(classes))
        ran.update({type(node).__name__ for node in evaluator.rt_nodes_ if isinstance(node, classes)})
        return lambda inputs: evaluator.run(None, dict(zip(evaluator.input_names, inputs, strict=False)))

    def wanted(name: str, model: Any) -> bool:
        cases[name] = served & {node.op_type for node in model.graph.node}
        return bool(cases[name])

    count = assert_backend_suite(prepared, wanted)
    assert ran == Counter(itertools.chain(*cases.values()))
    with capsys.disabled():
        counts = ", ".join(f"{name} {number}" for name, number in sorted(ran.items()))
        print(f"\nonnx {onnx.__version__}, {count} cases of its suite: {counts}")  # noqa: T201 (that it tells)
    known = {name for name in served if onnx.defs.has(name)}
    assert set(ran) == known - {"GlobalLpPool"}, "there is no case of GlobalLpPool"
    assert count >= 170


# Windows.


def test_pads_are_those_before_all_axes_then_those_after() -> None:
    """As many zeros around the image give the same numbers, for every operator that has them."""
    x, w = abs(numbers(1, 2, 6, 7, seed=1)), numbers(4, 2, 3, 2, seed=2)
    attributes: Onnx = {"pads": [1, 0, 2, 1], "strides": [2, 1]}
    wider = np.pad(x, [(0, 0), (0, 0), (1, 2), (0, 1)])
    plain: Onnx = {"strides": [2, 1]}
    np.testing.assert_array_equal(ours("Conv", [x, w], attributes)[0], ours("Conv", [wider, w], plain)[0], strict=True)
    for operator in ("MaxPool", "LpPool", "AveragePool"):
        more: Onnx = {"kernel_shape": [3, 2]} | ({"count_include_pad": 1} if operator == "AveragePool" else {})
        expected = ours(operator, [wider], plain | more)[0]
        np.testing.assert_allclose(ours(operator, [x], attributes | more)[0], expected, rtol=1e-6, strict=True)


@pytest.mark.parametrize("auto_pad", ["NOTSET", "SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("output_padding", [[0, 0], [1, 2]])
def test_an_output_shape_is_cut_out(auto_pad: str, output_padding: list[int]) -> None:
    """By the standard's equations, whatever pads say: an odd pixel is cut after under SAME_UPPER, else before."""
    x, w = numbers(2, 3, 4, 5), numbers(3, 2, 3, 4, seed=1)
    strides, wanted = [2, 3], [6, 13]
    whole = ours("ConvTranspose", [x, w], {"strides": strides, "output_padding": output_padding})[0]
    total = [n - m for n, m in zip(whole.shape[2:], wanted, strict=True)]
    before = [t // 2 if auto_pad == "SAME_UPPER" else t - t // 2 for t in total]
    expected = whole[:, :, before[0] : before[0] + wanted[0], before[1] : before[1] + wanted[1]]
    attributes: Onnx = {"strides": strides, "output_padding": output_padding, "output_shape": wanted}
    attributes |= {"auto_pad": auto_pad, "pads": [1, 1, 0, 0]}
    np.testing.assert_array_equal(ours("ConvTranspose", [x, w], attributes)[0], expected, strict=True)


@pytest.mark.parametrize("activation", ["none", "silu", "swish"])
def test_a_causal_convolution_may_be_cut_in_time(activation: str) -> None:
    """What it leaves is what the next one needs: two halves are the whole."""
    if not require("onnx").defs.has("CausalConvWithState"):
        pytest.skip("this onnx has no CausalConvWithState")
    x, w, bias = numbers(2, 3, 9), numbers(3, 1, 4, seed=1), numbers(3, seed=2)
    attributes: Onnx = {"activation": activation}
    whole, state = ours("CausalConvWithState", [x, w, bias], attributes, 27, 2)
    first, between = ours("CausalConvWithState", [x[..., :2], w, bias], attributes, 27, 2)
    second, last = ours("CausalConvWithState", [x[..., 2:], w, bias, between], attributes, 27, 2)
    np.testing.assert_array_equal(np.concatenate([first, second], axis=2), whole, strict=True)
    np.testing.assert_array_equal(last, state, strict=True)
    padded = np.pad(x, [(0, 0), (0, 0), (3, 0)]).astype(F8)
    sums = sum(padded[..., tap : tap + 9] * w[:, :, tap] for tap in range(4)) + bias[:, None]
    expected = sums if activation == "none" else sums / (1 + np.exp(-sums))
    np.testing.assert_allclose(whole, expected, rtol=1e-5, atol=1e-5)
    for wrong, message in (
        ([x[0], w], "input must be (N, C, length) and weight (C, 1, k), got (3, 9) and (3, 1, 4)"),
        ([x, w, bias, x], "past_state must have shape (2, 3, 3), got (2, 3, 9)"),
    ):
        with raises_exactly(errors.ShapeError, f"CausalConvWithState (node 'layer'): {message}"):
            ours("CausalConvWithState", wrong, attributes, 27, 2)
    message = "CausalConvWithState (node 'layer'): activation must be 'none', 'silu' or 'swish', got 'relu'"
    with raises_exactly(errors.ArgumentError, message):
        ours("CausalConvWithState", [x, w], {"activation": "relu"}, 27, 2)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "bool"])
def test_columns_are_added_up(dtype: str) -> None:
    """Each entry at its pixel, in the columns' own dtype: bytes wrap, and of booleans any will do."""
    columns = numbers(2, 3 * 4, 4 * 3, dtype=F4).astype(dtype)
    image = np.zeros((2, 3, 4 + 1, 5 + 2), F8)  # padded
    for row, column, i, j in np.ndindex(2, 2, 4, 3):
        entry = columns.reshape(2, 3, 2, 2, 4, 3)[:, :, row, column, i, j]
        image[:, :, i + row, 2 * j + 2 * column] += entry
    expected = image[:, :, 1:, :5].astype(np.int64) if dtype == "int8" else image[:, :, 1:, :5]
    attributes: Onnx = {"pads": [1, 0, 0, 2], "strides": [1, 2], "dilations": [1, 2]}
    result = ours("Col2Im", [columns, np.array([4, 5]), np.array([2, 2])], attributes)[0]
    np.testing.assert_array_equal(result, expected.astype(dtype), strict=True)


@pytest.mark.parametrize("dtypes", list(itertools.product([I1, U1], repeat=3)), ids=str)
@pytest.mark.parametrize("each", [False, True])
def test_quantised_convolutions(dtypes: tuple[np.dtype[Any], ...], each: bool) -> None:
    """Pixels, filters and results of either kind of bytes, scales and zero points of all filters or of each."""
    rng = np.random.default_rng(0)
    x, w = (rng.integers(0, 100, shape).astype(t) for shape, t in zip(((2, 3, 5), (4, 3, 1)), dtypes, strict=False))
    many = 4 if each else 1
    x_zero, w_zero = np.array(7, dtypes[0]), rng.integers(0, 9, many).astype(dtypes[1])
    x_scale, y_scale = np.array(0.02, F4), np.array([0.5], F4)
    w_scale, y_zero = rng.uniform(0.01, 0.02, many).astype(F4), np.array(5, dtypes[2])
    sums = np.einsum("ncx,fc->nfx", x.astype(np.int64) - 7, w[..., 0].astype(np.int64) - w_zero[:, None])
    bias = np.arange(4, dtype=np.int32)
    inputs = [x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias]
    model = model_of("QLinearConv", named_inputs(inputs), {}, [dtypes[2]], 10)
    factor = (x_scale * w_scale / y_scale).astype(F4)[:, None]
    info = np.iinfo(dtypes[2])
    expected = np.clip(np.rint((sums + bias[:, None]).astype(F4) * factor) + 5, info.min, info.max).astype(dtypes[2])
    result = by_evaluator(model, named_inputs(inputs), operators())[0]
    np.testing.assert_array_equal(result, expected, strict=True)
    if not each:
        w_zero = w_zero[0]
    whole = named_inputs([x, w, x_zero, w_zero])
    (result,) = by_evaluator(model_of("ConvInteger", whole, {}, [np.dtype(np.int32)], 10), whole, operators())
    np.testing.assert_array_equal(result, sums.astype(np.int32), strict=True)


def test_an_unpooled_image_is_as_large_as_its_windows_reach() -> None:
    """Less the pads; `output_shape` pads it, and what was pooled of padding alone is left out."""
    x, indices = np.array([[[1, 2], [3, 4.0]], [[5, 6], [7, 8]]], F4)[None], np.array([[[0, 4], [20, -1]]] * 2)[None]
    indices[0, 1] += 25 * (indices[0, 1] >= 0)
    attributes: Onnx = {"kernel_shape": [4, 4], "strides": [2, 2], "pads": [1, 0, 0, 1]}
    (image,) = ours("MaxUnpool", [x, indices], attributes)
    expected = np.zeros((1, 2, 5, 5), F4)
    expected[0, 0, [0, 0, 4], [0, 4, 0]], expected[0, 1, [0, 0, 4], [0, 4, 0]] = (1, 2, 3), (5, 6, 7)
    np.testing.assert_array_equal(image, expected, strict=True)
    (larger,) = ours("MaxUnpool", [x, indices, np.array([1, 2, 6, 5])], attributes)
    np.testing.assert_array_equal(larger, np.pad(expected, [(0, 0), (0, 0), (0, 1), (0, 0)]), strict=True)


# Windows, by the runtime.

KERNELS = {1: (3,), 2: (2, 3), 3: (2, 1, 3)}


def drawn(seed: int) -> tuple[Any, int, tuple[int, ...], Onnx]:
    """Return a generator, spatial axes, a kernel and attributes of a window."""
    rng = np.random.default_rng(seed)
    axes = 1 + seed % 3
    kernel = KERNELS[axes]
    attributes: Onnx = {"strides": rng.integers(1, 3, axes).tolist()}
    auto_pad = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")[seed // 3 % 4]
    if auto_pad != "NOTSET":
        attributes["auto_pad"] = auto_pad
        # The runtime refuses dilations here, and has its own way with strides longer than the kernel.
        attributes["strides"] = [min(s, k) for s, k in zip(attributes["strides"], kernel, strict=True)]
    else:
        attributes["pads"] = [int(rng.integers(k)) for k in kernel + kernel]
        attributes["dilations"] = rng.integers(1, 3, axes).tolist()
    return rng, axes, kernel, attributes


@pytest.mark.wide
@pytest.mark.parametrize("seed", range(36))
def test_convolutions_of_the_runtime(seed: int) -> None:
    """Conv and ConvTranspose, of several opsets, give the runtime's numbers."""
    rng, axes, kernel, attributes = drawn(seed)
    group = (1, 2, 4)[seed % 3]
    x = numbers(2, 4, *rng.integers(5, 9, axes), seed=seed)
    filters = {"Conv": numbers(6 - 2 * (group == 4), 4 // group, *kernel, seed=1)}
    filters["ConvTranspose"] = numbers(4, 3, *kernel, seed=1)
    for (operator, w), opset in itertools.product(filters.items(), (7, 11, 21)):
        maps = len(w) if operator == "Conv" else 3 * group
        inputs = named_inputs([x, w, numbers(maps, seed=2)])
        model = model_of(operator, inputs, attributes | {"group": group}, [F4], opset)
        np.testing.assert_array_equal(
            by_evaluator(model, inputs, operators())[0], by_onnxruntime(model, inputs)[0], strict=True
        )


@pytest.mark.wide
@pytest.mark.parametrize("seed", range(36))
def test_pools_of_the_runtime(seed: int) -> None:
    """The pools give the runtime's numbers, indices in both orders too."""
    rng, axes, kernel, attributes = drawn(seed)
    attributes["kernel_shape"] = list(kernel)
    if "pads" in attributes:
        attributes["ceil_mode"] = seed % 2
    shape = (2, 3, *rng.integers(5, 9, axes).tolist())
    distinct = rng.permutation(int(np.prod(shape))).reshape(shape).astype(F4)
    cases: list[tuple[str, Onnx, int, int]] = [("MaxPool", {}, 12, 1)]
    cases += [("MaxPool", {"storage_order": order}, 17, 2) for order in (0, 1)]
    cases += [("AveragePool", {"count_include_pad": count}, 19, 1) for count in (0, 1)]
    cases += [("LpPool", {"p": p}, 18, 1) for p in (1, 2, 3)]
    for operator, more, opset, outputs in cases:
        inputs = named_inputs([distinct])
        model = model_of(operator, inputs, attributes | more, [F4, np.dtype(np.int64)][:outputs], opset)
        for result, theirs in zip(by_evaluator(model, inputs, operators()), by_onnxruntime(model, inputs), strict=True):
            np.testing.assert_allclose(result, theirs, rtol=1e-5, strict=True)


@pytest.mark.parametrize("axes", [1, 2, 3, 4])
def test_whole_channels(axes: int) -> None:
    """Global pools reduce every spatial axis, and no other."""
    x = numbers(2, 3, *range(2, 2 + axes), dtype=F8)
    spatial = tuple(range(2, 2 + axes))
    expected = {
        "GlobalMaxPool": x.max(spatial, keepdims=True),
        "GlobalAveragePool": x.mean(spatial, keepdims=True),
        "GlobalLpPool": np.sqrt((x**2).sum(spatial, keepdims=True)),
    }
    for operator, each in expected.items():
        np.testing.assert_allclose(ours(operator, [x])[0], each, rtol=1e-14, strict=True)
    cubes = ours("GlobalLpPool", [x], {"p": 3})[0]
    np.testing.assert_allclose(cubes**3, (abs(x) ** 3).sum(spatial, keepdims=True), rtol=1e-13, strict=True)


@pytest.mark.parametrize("order", [0, 1])
def test_indices_lead_back(order: int) -> None:
    """An index counts through the whole tensor, rows or columns of a channel first; MaxUnpool takes those of rows."""
    x = np.random.default_rng(0).permutation(2 * 3 * 4 * 6).reshape(2, 3, 4, 6).astype(F4)
    attributes: Onnx = {"kernel_shape": [2, 3], "strides": [2, 3]}
    greatest, indices = ours("MaxPool", [x], attributes | {"storage_order": order}, outputs=2)
    flat = (x if order == 0 else x.swapaxes(2, 3)).ravel()
    np.testing.assert_array_equal(flat[indices], greatest)
    if order == 0:
        back = ours("MaxUnpool", [greatest, indices], attributes)[0]
        np.testing.assert_array_equal(back, np.where(np.isin(x, greatest), x, 0), strict=True)


@pytest.mark.parametrize("order", [0, 1])
def test_a_window_of_padding_has_no_index(order: int) -> None:
    """Around an image that has no rows, or beside one, it is -1."""
    attributes: Onnx = {"kernel_shape": [1, 1], "pads": [1, 0, 1, 0], "storage_order": order}
    for rows in (0, 2):
        greatest, indices = ours("MaxPool", [numbers(2, 1, rows, 3)], attributes, outputs=2)
        assert (indices == -1).tolist() == (greatest == -np.inf).tolist()
        assert (indices >= 0).sum() == 2 * rows * 3


@pytest.mark.parametrize("variance", [0.0, -1.0, np.inf])
def test_a_variance_without_a_root(variance: float) -> None:
    """It gives what floats give, and no warning."""
    one = [np.array([value], F4) for value in (1, 0, 0, variance)]
    result = ours("BatchNormalization", [np.ones((1, 1, 2), F4), *one], {"epsilon": 0.0})[0]
    expected = {0.0: np.inf, -1.0: np.nan, np.inf: 0}[variance]
    np.testing.assert_array_equal(result, np.full((1, 1, 2), expected, F4))


def test_pools_under_auto_pad_ignore_ceil_mode() -> None:
    """The standard gives one size for VALID and for SAME, whatever is rounded elsewhere."""
    x = numbers(1, 1, 8, 3)
    for auto_pad, shape in (("VALID", (1, 1, 3, 1)), ("SAME_LOWER", (1, 1, 4, 2))):
        attributes: Onnx = {"kernel_shape": [3, 2], "strides": [2, 2], "auto_pad": auto_pad, "ceil_mode": 1}
        for operator in ("MaxPool", "AveragePool", "LpPool"):
            assert ours(operator, [x], attributes)[0].shape == shape


# Batch normalisation.


def normalised(x: Array, statistics: Sequence[Array], epsilon: float = 1e-5) -> Array:
    """Return the definition, in float64, for a scale, a bias, a mean and a variance that broadcast."""
    scale, bias, mean, var = (np.asarray(each, F8) for each in statistics)
    result: Array = (x.astype(F8) - mean) / np.sqrt(var + epsilon) * scale + bias
    return result


STATISTICS = [numbers(3, seed=1), numbers(3, seed=2), numbers(3, seed=3), np.array([0.5, 2, 3], F4)]


@pytest.mark.parametrize(("opset", "attributes"), [(6, {"is_test": 1}), (7, {}), (9, {}), (14, {}), (15, {}), (22, {})])
def test_a_model_at_inference_uses_its_own_statistics(opset: int, attributes: Onnx) -> None:
    """In every opset; the standard's own evaluator uses the batch's in opset 9."""
    x = numbers(2, 3, 4, 5)
    result = ours("BatchNormalization", [x, *STATISTICS], attributes | {"epsilon": 0.01}, opset)[0]
    expected = normalised(x, [each[:, None, None] for each in STATISTICS], epsilon=0.01)
    np.testing.assert_allclose(result, expected.astype(F4), rtol=1e-5, atol=1e-5, strict=True)


@pytest.mark.parametrize(("opset", "outputs"), [(6, 5), (7, 5), (9, 5), (14, 3), (15, 3), (15, 1), (7, 3)])
def test_a_model_in_training_uses_those_of_the_batch(opset: int, outputs: int) -> None:
    """Running statistics move towards them; before opset 14 they are returned as well."""
    x = numbers(4, 3, 5)
    attributes: Onnx = {"momentum": 0.75} | ({"training_mode": 1} if opset >= 14 else {})
    results = ours("BatchNormalization", [x, *STATISTICS], attributes, opset, outputs)
    mean, var = x.astype(F8).mean((0, 2)), x.astype(F8).var((0, 2))
    y = normalised(x, [each[:, None] for each in (*STATISTICS[:2], mean, var)])
    running = [old * 0.75 + new * 0.25 for old, new in zip(STATISTICS[2:], (mean, var), strict=True)]
    for result, expected in zip(results, [y, *running, mean, var][:outputs], strict=True):
        np.testing.assert_allclose(result, expected.astype(F4), rtol=1e-5, atol=1e-5, strict=True)


def test_statistics_of_every_number() -> None:
    """With spatial 0, before opset 9, each number of an image has its own."""
    x, statistics = numbers(2, 3, 4), [numbers(3, 4, seed=seed) for seed in range(1, 4)]
    statistics.append(np.full((3, 4), 2, F4))
    result = ours("BatchNormalization", [x, *statistics], {"spatial": 0}, 7)[0]
    np.testing.assert_allclose(result, normalised(x, statistics), rtol=1e-5, atol=1e-5)


def test_a_batch_without_channels() -> None:
    """Numbers alone are those of one channel."""
    x, one = numbers(5), [np.array([value], F4) for value in (2, 3, 1, 4)]
    result = ours("BatchNormalization", [x, *one])[0]
    np.testing.assert_allclose(result, (x - 1) + 3, rtol=1e-4, strict=True)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_floats_are_normalised_in_float32(dtype: str) -> None:
    """A variance of squares that float16 cannot hold is none the less exact."""
    kind = np.dtype(dtype) if dtype == "float16" else np.dtype(require("ml_dtypes").bfloat16)
    x = np.array([-300, 300], F4).reshape(2, 1).astype(kind)
    one = [np.array([value], kind) for value in (1, 0, 0, 1)]
    result = ours("BatchNormalization", [x, *one], {"training_mode": 1}, NEWEST, 1)[0]
    np.testing.assert_array_equal(result.astype(F4), [[-1], [1]])


# Softmax.


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
@pytest.mark.parametrize("opset", [7, 11, 12, 13, 17])
def test_shares_of_all_axes_before_opset_13(opset: int, axis: int) -> None:
    """From the axis on; then of the axis alone. What is infinite is not shared out."""
    x = numbers(2, 3, 4, dtype=F8) * 99
    last = 3 if opset < 13 else axis % 3 + 1
    axes = tuple(range(axis % 3, last))
    shares = np.exp(x - x.max(axes, keepdims=True))
    shares /= shares.sum(axes, keepdims=True)
    np.testing.assert_allclose(ours("Softmax", [x], {"axis": axis}, opset)[0], shares, rtol=1e-14, strict=True)
    logarithms = ours("LogSoftmax", [x], {"axis": axis}, opset)[0]
    assert logarithms.min() < -1000
    np.testing.assert_allclose(np.exp(logarithms), shares, rtol=1e-12, strict=True)
    x[:] = np.inf
    assert np.isnan(ours("Softmax", [x], {"axis": axis}, opset)[0]).all()


# Deformable convolution.


def deformed(x: Array, w: Array, offset: Array, mask: Array, attributes: Onnx) -> Array:
    """Return the definition, pixel by pixel, in float64, over two spatial axes."""
    pads, strides, dilations = (attributes[name] for name in ("pads", "strides", "dilations"))
    groups, offset_groups = attributes["group"], attributes["offset_group"]
    batch, channels = x.shape[:2]
    kernel, (rows, columns) = w.shape[2:], offset.shape[2:]
    offsets = offset.reshape(batch, offset_groups, *kernel, 2, rows, columns)
    masks = mask.reshape(batch, offset_groups, *kernel, rows, columns)
    y = np.zeros((batch, len(w), rows, columns))

    def pixel(n: int, c: int, i: float, j: float) -> float:
        inside = 0 <= i < x.shape[2] and 0 <= j < x.shape[3]
        return float(x[n, c, int(i), int(j)]) if inside else 0.0

    for n, f, i, j, c, a, b in np.ndindex(batch, len(w), rows, columns, w.shape[1], *kernel):
        channel = f // (len(w) // groups) * w.shape[1] + c
        g = channel // (channels // offset_groups)
        at = [
            float(o * s + t * d - before + offsets[n, g, a, b, axis, i, j])
            for axis, (o, s, t, d, before) in enumerate(zip((i, j), strides, (a, b), dilations, pads[:2], strict=True))
        ]
        (top, left), (down, right) = np.floor(at), np.mod(at, 1)
        value = 0.0
        for corner, share in (((0, 0), (1 - down) * (1 - right)), ((0, 1), (1 - down) * right)):
            value += share * pixel(n, channel, top + corner[0], left + corner[1])
        for corner, share in (((1, 0), down * (1 - right)), ((1, 1), down * right)):
            value += share * pixel(n, channel, top + corner[0], left + corner[1])
        y[n, f, i, j] += value * w[f, c, a, b] * masks[n, g, a, b, i, j]
    return y


@pytest.mark.parametrize(("group", "offset_group"), [(1, 1), (2, 1), (1, 2), (2, 4)])
def test_taps_between_pixels(group: int, offset_group: int) -> None:
    """Offsets of a fraction of a pixel and of several, groups of either kind, masks, strides, dilations, pads."""
    rng = np.random.default_rng(group * 10 + offset_group)
    attributes: Onnx = {"pads": [1, 0, 2, 1], "strides": [2, 1], "dilations": [1, 2]}
    attributes |= {"group": group, "offset_group": offset_group}
    x, w = rng.normal(size=(2, 4, 5, 6)), rng.normal(size=(4, 4 // group, 3, 2))
    offset = 2 * rng.normal(size=(2, offset_group * 12, 3, 5))
    mask = rng.random((2, offset_group * 6, 3, 5))
    expected = deformed(x, w, offset, mask, attributes)
    result = ours("DeformConv", [x, w, offset, None, mask], attributes)[0]
    np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-12, strict=True)
    bias = rng.normal(size=4)
    result = ours("DeformConv", [x, w, offset, bias, mask], attributes)[0]
    np.testing.assert_allclose(result, expected + bias[:, None, None], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_offsets_of_nothing_leave_a_convolution(axes: int) -> None:
    """Over any number of axes; and an infinite pixel next to a tap is not read."""
    x, w = numbers(1, 2, *[5] * axes), numbers(3, 2, *[2] * axes, seed=1)
    x[(0, 0, *[4] * axes)] = np.inf
    offset = np.zeros((1, 2**axes * axes, *[4] * axes), F4)
    plain = ours("Conv", [x, w])[0]
    np.testing.assert_array_equal(ours("DeformConv", [x, w, offset])[0], plain, strict=True)
    assert np.isfinite(plain).sum() == plain.size - 3


def test_a_tap_nowhere_is_not_a_number() -> None:
    """An offset that is NaN gives NaN where it is used, and one beyond every pixel gives 0."""
    x, w, offset = np.ones((1, 1, 3, 3), F4), np.ones((1, 1, 1, 1), F4), np.zeros((1, 2, 3, 3), F4)
    offset[0, 1, 0, 2], offset[0, 0, 2, 0], offset[0, 0, 2, 1] = np.nan, np.inf, 1e30
    result = ours("DeformConv", [x, w, offset])[0]
    np.testing.assert_array_equal(result[0, 0], [[1, 1, np.nan], [1, 1, 1], [0, 0, 1]])


# Resizing.

COORDINATES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric")
FACTORS: list[tuple[str, list[float]]] = [
    ("scales", [2, 3]),
    ("scales", [0.6, 0.7]),
    ("scales", [1.3, 0.45]),
    ("sizes", [8, 3]),
    ("sizes", [4, 20]),
]


def resize_inputs(x: Array, kind: str, factors: Sequence[float], roi: Array | None = None) -> list[Array | None]:
    """Return the inputs of Resize for two axes."""
    scales, sizes = np.array(factors, F4), np.array(factors, np.int64)
    return [x, roi, scales, None] if kind == "scales" else [x, roi, None, sizes]


@pytest.mark.parametrize(
    ("mode", "more"),
    [("nearest", {}), *itertools.product(["linear", "cubic"], [{}, {"exclude_outside": 1}, {"antialias": 1}])],
    ids=str,
)
@pytest.mark.parametrize("coordinates", [*COORDINATES, "tf_crop_and_resize"])
@pytest.mark.parametrize(("kind", "factors"), FACTORS)
def test_the_evaluator_resizes_alike(mode: str, coordinates: str, kind: str, factors: list[float], more: Onnx) -> None:
    """Modes, coordinates and options, one with another, against the standard's own evaluator."""
    assert_resized(mode, coordinates, kind, factors, more)


@pytest.mark.whole
@pytest.mark.parametrize("coordinates", [*COORDINATES, "tf_crop_and_resize"])
@pytest.mark.parametrize(("kind", "factors"), FACTORS)
def test_the_evaluator_finds_the_same_places(coordinates: str, kind: str, factors: list[float]) -> None:
    """Coordinates of every kind, with every factor: many agree where a factor is whole."""
    assert_resized("linear", coordinates, kind, factors, {})


def assert_resized(mode: str, coordinates: str, kind: str, factors: list[float], more: Onnx) -> None:
    """Resize an image as the standard's own evaluator does."""
    x = np.random.default_rng(0).normal(size=(1, 2, 5, 7)).astype(F4)
    roi = np.array([0.125, 0.25, 0.75, 1.5], F4) if coordinates == "tf_crop_and_resize" else None
    attributes: Onnx = {"mode": mode, "coordinate_transformation_mode": coordinates, "axes": [2, 3], **more}
    attributes["extrapolation_value"] = 7.0
    modes = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil") if mode == "nearest" else ("floor",)
    for nearest in modes:
        inputs = named_inputs(resize_inputs(x, kind, factors, roi))
        model = model_of("Resize", inputs, attributes | {"nearest_mode": nearest}, [F4], NEWEST)
        theirs = by_evaluator(model, inputs)[0]
        atol = 1e-5 if "antialias" in more else 1e-6  # whose cubic weights are float32 there
        np.testing.assert_allclose(by_evaluator(model, inputs, operators())[0], theirs, 1e-5, atol, strict=True)


@pytest.mark.wide
@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("scales", [[1, 1, 2, 3], [1, 1, 0.6, 0.7], [1, 1, 1.3, 0.45]])
def test_opset_10_is_that_of_the_runtime(mode: str, scales: list[float]) -> None:
    """The standard said no more of it than the result's shape."""
    x = np.random.default_rng(0).normal(size=(1, 2, 5, 7)).astype(F4)
    inputs = named_inputs([x, np.array(scales, F4)])
    model = model_of("Resize", inputs, {"mode": mode}, [F4], 10)
    theirs = by_onnxruntime(model, inputs)[0]
    np.testing.assert_allclose(by_evaluator(model, inputs, operators())[0], theirs, 1e-5, 1e-6, strict=True)


def test_opset_10_rounds_up_where_an_axis_shrinks() -> None:
    """The example of its documentation; where an axis grows, places are rounded down."""
    x = np.arange(1, 9, dtype=F4).reshape(1, 1, 2, 4)
    result = ours("Resize", [x, np.array([1, 1, 0.6, 0.6], F4)], {}, 10)[0]
    np.testing.assert_array_equal(result, [[[[1, 3]]]])
    result = ours("Resize", [x[:, :, :1], np.array([1, 1, 1, 1.5], F4)], {}, 10)[0]
    np.testing.assert_array_equal(result, [[[[1, 1, 2, 3, 3, 4]]]])


def test_upsampling_of_every_opset() -> None:
    """Scales were two attributes, one attribute, an input; then it was called Resize."""
    x = numbers(1, 2, 3, 4)
    scales = np.array([1, 1, 2, 3], F4)
    twice = x.repeat(2, axis=2).repeat(3, axis=3)
    for opset, inputs, attributes in (
        (6, [x], {"height_scale": 2.0, "width_scale": 3.0}),
        (7, [x], {"scales": scales.tolist()}),
        (9, [x, scales], {}),
    ):
        np.testing.assert_array_equal(ours("Upsample", inputs, attributes, opset)[0], twice, strict=True)
    np.testing.assert_array_equal(ours("Resize", [x, scales], {}, 10)[0], twice, strict=True)
    linear = ours("Upsample", [x], {"height_scale": 2.0, "width_scale": 3.0, "mode": "bilinear"}, 6)[0]
    np.testing.assert_allclose(linear, ours("Resize", [x, scales], {"mode": "linear"}, 10)[0], strict=True)
    np.testing.assert_array_equal(linear[..., ::2, ::3], x)
    message = "Upsample (node 'layer'): scales must be at least 1, got [1.0, 1.0, 0.5, 1.0]"
    with raises_exactly(errors.ArgumentError, message):
        ours("Upsample", [x], {"scales": [1.0, 1.0, 0.5, 1.0]}, 7)


def test_an_axis_of_one_pixel_takes_the_first() -> None:
    """pytorch_half_pixel says so; the standard's evaluator takes what lies half a pixel before it."""
    x = np.arange(5, dtype=F4).reshape(1, 1, 5)
    attributes: Onnx = {"mode": "cubic", "coordinate_transformation_mode": "pytorch_half_pixel"}
    result = ours("Resize", [x, None, None, np.array([1, 1, 1])], attributes)[0]
    np.testing.assert_array_equal(result, [[[0]]])


@pytest.mark.parametrize(("policy", "shape"), [("stretch", (7, 8)), ("not_larger", (7, 10)), ("not_smaller", (6, 8))])
def test_the_aspect_ratio(policy: str, shape: tuple[int, int]) -> None:
    """It is kept by the least or the greatest scale of the axes; halves are rounded up."""
    attributes: Onnx = {"keep_aspect_ratio_policy": policy, "axes": [-2, -1]}
    x = np.ones((2, 4, 6), F4)
    expected = {"stretch": (7, 8), "not_larger": (5, 8), "not_smaller": (7, 11)}[policy]
    result = ours("Resize", [x, None, None, np.array([7, 8])], attributes)[0]
    assert result.shape == (2, *expected), shape


@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_infinity_stays_where_it_is_read(mode: str) -> None:
    """A pixel of weight 0 is not read: at whole coordinates, an infinite neighbour changes nothing."""
    x = np.arange(8, dtype=F4).reshape(1, 1, 8)
    x[0, 0, 4] = np.inf
    attributes: Onnx = {"mode": mode, "coordinate_transformation_mode": "asymmetric"}
    result = ours("Resize", [x, None, np.array([1, 1, 2], F4)], attributes)[0]
    np.testing.assert_array_equal(result[0, 0, ::2], x[0, 0])
    reach = 1 if mode == "linear" else 3
    assert np.flatnonzero(~np.isfinite(result[0, 0])).tolist() == [
        8 + i for i in range(-reach, reach + 1) if i % 2 or not i
    ]


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64", "bool"])
def test_whole_numbers(dtype: str) -> None:
    """The nearest keep every bit; means are rounded, ties to even, and cubics stay in range."""
    kind = np.dtype(dtype)
    x = np.array([[0, 1, 1, 0]], kind) if dtype == "bool" else np.array([[0, 255, 2**40 + 1, 3]]).astype(kind)
    twice = ours("Resize", [x, None, np.array([1, 2], F4)], {"coordinate_transformation_mode": "asymmetric"})[0]
    np.testing.assert_array_equal(twice, x.repeat(2, axis=1), strict=True)
    if dtype in ("uint8", "int8"):
        steep = np.array([[0, 0, 127, 127]], kind)
        for mode in ("linear", "cubic"):
            result = ours("Resize", [steep, None, np.array([1, 4], F4)], {"mode": mode})[0]
            exact = ours("Resize", [steep.astype(F8), None, np.array([1, 4], F4)], {"mode": mode})[0]
            info = np.iinfo(kind)
            np.testing.assert_array_equal(result, np.clip(np.rint(exact), info.min, info.max).astype(kind), strict=True)


# Models: opsets, shapes, functions.


@pytest.mark.parametrize("opset", range(7, 23))
def test_every_opset(opset: int) -> None:
    """A convolution, a pool and a normalisation, in each."""
    x, w = numbers(1, 3, 6, 6), numbers(4, 3, 3, 3, seed=1)
    same = ours("Conv", [x, w], {"pads": [1, 1, 1, 1]}, opset)[0]
    np.testing.assert_array_equal(same, ours("Conv", [x, w], {"auto_pad": "SAME_UPPER"}, opset)[0], strict=True)
    pooled = ours("MaxPool", [x], {"kernel_shape": [2, 2], "strides": [2, 2]}, opset)[0]
    np.testing.assert_array_equal(pooled, x.reshape(1, 3, 3, 2, 3, 2).max((3, 5)), strict=True)
    unit = [np.array([value] * 3, F4) for value in (1, 0, 0, 1)]
    np.testing.assert_allclose(ours("BatchNormalization", [x, *unit], {"epsilon": 0.0}, opset)[0], x, strict=True)


def test_shapes_may_change_from_call_to_call() -> None:
    """A model whose axes have names runs images of any size, none among them."""
    onnx = require("onnx")
    text = """<ir_version: 8, opset_import: ["": 17]>
    net (float[N, 3, H, W] x, float[4, 3, 3, 3] w) => (float[N, 4, A, B] y)
    { c = Conv <pads = [1, 1, 1, 1]> (x, w)  y = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (c) }"""
    evaluator = onnx.reference.ReferenceEvaluator(onnx.parser.parse_model(text), new_ops=operators())
    for shape, expected in (((1, 3, 8, 6), (1, 4, 4, 3)), ((2, 3, 5, 4), (2, 4, 2, 2)), ((0, 3, 8, 8), (0, 4, 4, 4))):
        (y,) = evaluator.run(None, {"x": np.ones(shape, F4), "w": np.ones((4, 3, 3, 3), F4)})
        assert y.shape == expected


def test_attributes_of_a_function() -> None:
    """An attribute may be one of the function that a node stands in, and another in each call."""
    onnx = require("onnx")
    node = onnx.helper.make_node("Conv", ["x", "w"], ["y"])
    reference = node.attribute.add()
    reference.name, reference.ref_attr_name, reference.type = "strides", "steps", onnx.AttributeProto.INTS
    opset = [onnx.helper.make_opsetid("", 17)]
    function = onnx.helper.make_function("own", "Layer", ["x", "w"], ["y"], [node], opset, ["steps"])
    evaluator = onnx.reference.ReferenceEvaluator(function, new_ops=operators())
    feeds = {"x": np.ones((1, 1, 7), F4), "w": np.ones((1, 1, 1), F4)}
    for step, length in ((1, 7), (2, 4)):
        assert evaluator.run(None, feeds, attributes={"steps": [step]})[0].shape == (1, 1, length)


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes", "shape"),
    [
        ("Conv", [(0, 3, 5, 5), (4, 3, 3, 3)], {}, (0, 4, 3, 3)),
        ("ConvTranspose", [(0, 3, 5, 5), (3, 4, 3, 3)], {}, (0, 4, 7, 7)),
        ("MaxPool", [(0, 3, 5, 5)], {"kernel_shape": [2, 2]}, (0, 3, 4, 4)),
        ("AveragePool", [(2, 0, 5, 5)], {"kernel_shape": [2, 2]}, (2, 0, 4, 4)),
        ("GlobalAveragePool", [(0, 3, 5, 5)], {}, (0, 3, 1, 1)),
        ("BatchNormalization", [(0, 3, 5), (3,), (3,), (3,), (3,)], {}, (0, 3, 5)),
        ("DeformConv", [(1, 3, 5, 5), (0, 3, 3, 3), (1, 18, 3, 3)], {}, (1, 0, 3, 3)),
        ("Softmax", [(2, 0)], {}, (2, 0)),
        ("LogSoftmax", [(0, 3)], {}, (0, 3)),
        ("DeformConv", [(0, 3, 5, 5), (4, 3, 3, 3), (0, 18, 3, 3)], {}, (0, 4, 3, 3)),
    ],
)
def test_nothing_gives_nothing(operator: str, inputs: list[tuple[int, ...]], attributes: Onnx, shape: Any) -> None:
    """No images, or no channels, are no error."""
    assert ours(operator, [np.ones(each, F4) for each in inputs], attributes)[0].shape == shape


def test_resizing_nothing_or_to_nothing() -> None:
    """A result without pixels needs none."""
    x = np.ones((0, 2, 3), F4)
    for mode in ("nearest", "linear"):
        assert ours("Resize", [x, None, np.array([2, 1, 2], F4)], {"mode": mode})[0].shape == (0, 2, 6)
        assert ours("Resize", [np.ones((1, 2, 3), F4), None, None, [1, 2, 0]], {"mode": mode})[0].shape == (1, 2, 0)


# What is refused.


def floats(*shape: int) -> Array:
    """Return ones."""
    return np.ones(shape, F4)


X, W = floats(1, 3, 5, 5), floats(4, 3, 3, 3)
KNOWN = "['auto_pad', 'dilations', 'group', 'kernel_shape', 'pads', 'strides']"
REFUSED: list[tuple[str, list[Any], Onnx, type[Exception], str]] = [
    (
        "Resize",
        [X, None, floats(4)],
        {"cubic_coeff_a": np.inf},
        errors.ArgumentError,
        "cubic_coeff_a must be finite, got inf",
    ),
    (
        "BatchNormalization",
        [floats(0, 3, 2), *[floats(3)] * 4],
        {"training_mode": 1},
        errors.ShapeError,
        "X of shape (0, 3, 2) has no numbers to take the statistics of",
    ),
    (
        "Resize",
        [X, None, floats(4)],
        {"antialias": 1},
        errors.ArgumentError,
        "antialias and exclude_outside are for the modes 'linear' and 'cubic'",
    ),
    (
        "MaxUnpool",
        [X, np.zeros(X.shape, np.int64)],
        {"kernel_shape": [2, 2], "pads": [9, 9, 0, 0]},
        errors.GeometryError,
        "the image would have the spatial axes (-3, -3); lower pads",
    ),
    ("Softmax", [X], {"axis": 4}, errors.ArgumentError, "axis must be an axis of the input, which has 4; got 4"),
    # Inputs.
    ("Conv", [X], {}, errors.ShapeError, "it has 1 inputs, but takes 2 to 3"),
    ("Conv", [X, None], {}, errors.ShapeError, "input W is missing"),
    (
        "Conv",
        [X, W.astype(F8)],
        {},
        errors.DTypeError,
        "input W is tensor(double), but must be tensor(float) as those before it",
    ),
    (
        "Conv",
        [X.astype(I1), W.astype(I1)],
        {},
        errors.DTypeError,
        "input X is tensor(int8), but may be tensor(bfloat16), tensor(double), tensor(float), tensor(float16) in "
        "version 22 of the operator",
    ),
    (
        "Conv",
        [X[0], W],
        {},
        errors.ShapeError,
        "X must be (N, C, *spatial) and W (filters, channels, *kernel) of as many axes, at least 3; got (3, 5, 5) and "
        "(4, 3, 3, 3)",
    ),
    (
        "Conv",
        [X[:, :2], W],
        {},
        errors.ShapeError,
        "X of shape (1, 2, 5, 5) and W of shape (4, 3, 3, 3) do not fit each other with group 1",
    ),
    (
        "Conv",
        [X, W, floats(3)],
        {},
        errors.ShapeError,
        "bias has shape (3,) but 4 output maps need one value each, (4,)",
    ),
    # Attributes.
    (
        "Conv",
        [X, W],
        {"stride": [1, 1]},
        errors.ArgumentError,
        f"attribute stride is unknown in version 22 of the operator; it has {KNOWN}",
    ),
    (
        "Conv",
        [X, W],
        {"strides": [1.0, 1.0]},
        errors.ArgumentError,
        "attribute strides must be of kind INTS in version 22 of the operator",
    ),
    ("MaxPool", [X], {}, errors.ArgumentError, "attribute kernel_shape is missing in version 22 of the operator"),
    (
        "Conv",
        [X, W],
        {"strides": [0, 1]},
        errors.GeometryError,
        "strides must be 2 integers of at least 1 for 2 spatial axes, got [0, 1]",
    ),
    (
        "MaxPool",
        [X],
        {"kernel_shape": [2, 2], "pads": [0, 0]},
        errors.GeometryError,
        "pads must be 4 integers of at least 0 for 2 spatial axes, got [0, 0]",
    ),
    (
        "Conv",
        [X, W],
        {"auto_pad": "SAME"},
        errors.ArgumentError,
        "auto_pad must be one of ('NOTSET', 'SAME_UPPER', 'SAME_LOWER', 'VALID'), got 'SAME'",
    ),
    (
        "Conv",
        [X, W],
        {"auto_pad": "VALID", "pads": [1, 1, 1, 1]},
        errors.ArgumentError,
        "auto_pad 'VALID' and pads [1, 1, 1, 1] both say what the padding is; set one of them",
    ),
    (
        "Conv",
        [X, W],
        {"kernel_shape": [2, 2]},
        errors.ShapeError,
        "kernel_shape is [2, 2] but W has shape (4, 3, 3, 3)",
    ),
    (
        "AveragePool",
        [X],
        {"kernel_shape": [2]},
        errors.GeometryError,
        "kernel_shape must be 2 integers of at least 1 for 2 spatial axes, got [2]",
    ),
    # Operators.
    ("Upsample", [X, floats(4)], {}, errors.ArgumentError, "opset 22 has no operator Upsample"),
    (
        "Conv",
        [X[..., :2], W],
        {},
        errors.GeometryError,
        "the kernel spans 3 pixels (size 3, dilation 1) but axis W of the padded image has 2; pad by at least 1 on "
        "each side or use a smaller kernel",
    ),
    (
        "ConvInteger",
        [X.astype(U1), W.astype(I1), np.array([1, 2], U1)],
        {},
        errors.ShapeError,
        "x_zero_point has shape (2,) but must be one integer",
    ),
    (
        "Col2Im",
        [floats(1, 8, 4), np.array([4, 4]), np.array([3, 3])],
        {},
        errors.ShapeError,
        "the 8 rows of a column matrix are no multiple of the 9 of a block (3, 3)",
    ),
    (
        "Col2Im",
        [floats(1, 9, 4), np.array([4, 4, 4]), np.array([3, 3])],
        {},
        errors.ShapeError,
        "input must be (N, C · product of block_shape, L), image_shape and block_shape one integer for each axis; got "
        "shapes (1, 9, 4), (3,) and (2,)",
    ),
    (
        "BatchNormalization",
        [X, floats(2), floats(3), floats(3), floats(3)],
        {},
        errors.ShapeError,
        "scale must have shape (3,) for X of shape (1, 3, 5, 5), got (2,)",
    ),
    (
        "BatchNormalization",
        [np.float32(1), *[floats(1)] * 4],
        {},
        errors.ShapeError,
        "X must be (N, C, *spatial), or (N,) of one channel; got shape ()",
    ),
    (
        "DeformConv",
        [X, W, floats(1, 18, 3, 4)],
        {},
        errors.ShapeError,
        "offset must have shape (1, 18, 3, 3) for X of shape (1, 3, 5, 5), got (1, 18, 3, 4)",
    ),
    (
        "DeformConv",
        [X, W, floats(1, 36, 3, 3)],
        {"offset_group": 2},
        errors.ShapeError,
        "the 3 channels of X do not divide into offset_group 2",
    ),
    ("Resize", [X], {}, errors.ArgumentError, "one of scales and sizes must be given, got neither"),
    (
        "Resize",
        [X, None, floats(4), np.ones(4, np.int64)],
        {},
        errors.ArgumentError,
        "one of scales and sizes must be given, got scales and sizes",
    ),
    ("Resize", [X, None, floats(3)], {}, errors.ShapeError, "scales must have 4 numbers for 4 axes, got shape (3,)"),
    (
        "Resize",
        [X, None, floats(4) * 0],
        {},
        errors.ArgumentError,
        "scales must be positive and finite, got [0.0, 0.0, 0.0, 0.0]",
    ),
    (
        "Resize",
        [X, None, floats(4)],
        {"mode": "bicubic"},
        errors.ArgumentError,
        "mode must be 'nearest' or 'linear' or 'cubic', got 'bicubic'",
    ),
    (
        "Resize",
        [X, None, floats(2)],
        {"axes": [-1, 3]},
        errors.ArgumentError,
        "axes must be different axes of X, which has 4; got [-1, 3]",
    ),
    (
        "Resize",
        [X, None, floats(4)],
        {"coordinate_transformation_mode": "tf_crop_and_resize"},
        errors.ArgumentError,
        "coordinate_transformation_mode 'tf_crop_and_resize' needs the input roi",
    ),
    (
        "Resize",
        [X, np.full(8, np.nan, F4), floats(4)],
        {"coordinate_transformation_mode": "tf_crop_and_resize"},
        errors.ArgumentError,
        "roi must be finite, got [nan, nan, nan, nan, nan, nan, nan, nan]",
    ),
    (
        "Resize",
        [X > 0, None, floats(4)],
        {"mode": "linear"},
        errors.DTypeError,
        "X is bool, which has no means; use mode 'nearest'",
    ),
    (
        "Resize",
        [floats(1, 0), None, None, np.array([1, 3])],
        {},
        errors.ShapeError,
        "axis 1 of X has no elements that 3 could be made of",
    ),
    (
        "Resize",
        [X, None, None, np.array([1, 3, -5, 5])],
        {},
        errors.ArgumentError,
        "sizes must be at least 0, got [1, 3, -5, 5]",
    ),
    (
        "MaxUnpool",
        [X, np.zeros((1, 3, 5, 4), np.int64)],
        {"kernel_shape": [2, 2]},
        errors.ShapeError,
        "I has shape (1, 3, 5, 4) but X has (1, 3, 5, 5)",
    ),
    (
        "MaxUnpool",
        [X, np.zeros((1, 3, 5, 5), np.int64), np.array([1, 3, 5, 5])],
        {"kernel_shape": [2, 2]},
        errors.ShapeError,
        "output_shape [1, 3, 5, 5] must be [1, 3, 6, 6], or more along the spatial axes",
    ),
    (
        "GlobalMaxPool",
        [floats(2, 3)],
        {},
        errors.ShapeError,
        "X must be (N, C, *spatial), at least 3 axes; got shape (2, 3)",
    ),
]


@pytest.mark.parametrize(("operator", "inputs", "attributes", "error", "message"), REFUSED)
def test_what_is_wrong_is_told_by_node_and_operator(
    operator: str, inputs: list[Any], attributes: Onnx, error: type[Exception], message: str
) -> None:
    """The whole message, whoever in the library found out."""
    with raises_exactly(error, f"{operator} (node 'layer'): {message}"):
        ours(operator, inputs, attributes)


def test_a_shape_that_no_array_has() -> None:
    """What NumPy says of one is told by node and operator, too."""
    message = r"\AMaxUnpool \(node 'layer'\): NumPy refuses a shape: "
    with pytest.raises(errors.ArgumentError, match=message):
        ours("MaxUnpool", [floats(0, 1, 1, 1), np.zeros((0, 1, 1, 1), np.int64)], {"kernel_shape": [2**62, 2**62]})


def test_a_dtype_that_onnx_does_not_have() -> None:
    """Whatever a program feeds is looked at."""
    model = model_of("Conv", named_inputs([X, W]), {}, [F4], NEWEST)
    feeds = named_inputs([X.astype(np.longdouble), W])
    with pytest.raises(errors.DTypeError, match=r"\AConv \(node 'layer'\): float\d+ is no type of ONNX\Z"):
        by_evaluator(model, feeds, operators())


def test_a_node_without_a_name_is_known_by_its_output() -> None:
    """Models often name none."""
    inputs = named_inputs([X, W[:, :2]])
    message = "Conv (node with output 'y0'): X of shape (1, 3, 5, 5) and W of shape (4, 2, 3, 3) do not fit each other"
    with raises_exactly(errors.ShapeError, f"{message} with group 1"):
        by_evaluator(model_of("Conv", inputs, {}, [F4], NEWEST, name=""), inputs, operators())


@pytest.mark.parametrize(
    ("operator", "opset", "attributes", "message"),
    [
        ("ConvInteger", 9, {}, "opset 9 has no operator ConvInteger"),
        ("Conv", 5, {}, "opset 5 is older than 6, the oldest that is served; convert the model"),
        (
            "MaxPool",
            8,
            {"kernel_shape": [2, 2], "ceil_mode": 1},
            "attribute ceil_mode is unknown in version 8 of the operator; it has ['auto_pad', 'kernel_shape', 'pads', "
            "'storage_order', 'strides']",
        ),
    ],
)
def test_an_opset_has_what_it_had(operator: str, opset: int, attributes: Onnx, message: str) -> None:
    """Operators and attributes of later ones are unknown to it, and a model that has them does not load."""
    with raises_exactly(errors.ArgumentError, f"{operator} (node 'layer'): {message}"):
        ours(operator, [X, W][: 1 + (operator != "MaxPool")], attributes, opset)


def test_more_outputs_than_an_inference_has() -> None:
    """Running statistics belong to training."""
    message = "BatchNormalization (node 'layer'): 3 outputs are for training; at inference there is one"
    with raises_exactly(errors.ArgumentError, message):
        ours("BatchNormalization", [X, *STATISTICS], {}, 15, 3)


def test_what_would_not_fit_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """Results, and the samples of a deformed kernel, are weighed against the memory that there is."""
    monkeypatch.setattr(host, "available_memory", lambda: 1 << 20)
    require("onnx")
    for operator, inputs, attributes in (
        ("Resize", [X, None, None, np.array([1, 3, 2**40, 2**40])], {}),
        ("Resize", [X, None, None, np.array([1, 3, 1000, 1000])], {"mode": "cubic"}),
        ("DeformConv", [floats(1, 3, 202, 202), W, floats(1, 18, 200, 200)], {}),
        ("MaxUnpool", [X, np.full(X.shape, -1), np.array([1, 3, 2000, 2000])], {"kernel_shape": [2, 2]}),
    ):
        with pytest.raises(errors.MemoryBudgetError, match=rf"\A{operator} \(node 'layer'\): the .* 1\.0 MiB are "):
            ours(operator, inputs, attributes)


def test_the_page_runs() -> None:
    """Every example of docs/onnx.md gives what it prints."""
    operators()
    page = Path(__file__).parents[1] / "docs/onnx.md"
    failed, tried = doctest.testfile(str(page), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0
    assert tried > 8


def test_without_onnx() -> None:
    """The extra is named; nothing of it is asked for before."""
    code = (
        "import sys; sys.modules['onnx'] = None\n"
        "import im2col.integrations.onnx as room\n"
        "try:\n    room.OPS\nexcept ImportError as error:\n    print(type(error).__name__, error)\n"
        "print(hasattr(room, 'ops'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=HANG_SECONDS, check=True
    )
    expected = "MissingExtraError this needs onnx; install it with pip install 'im2col[onnx]'"
    assert done.stdout.splitlines() == [expected, "False"]


def test_each_operator_is_a_class_of_its_name() -> None:
    """The evaluator looks for them by name."""
    classes = operators()
    assert sorted(each.__name__ for each in classes) == sorted([*OPERATORS, "Im2Col"])  # which is QONNX's
    assert all(each.__doc__ and each.__doc__.startswith(each.__name__) for each in classes)
    assert operators() is classes
    compute: dict[str, Callable[..., Any]] = OPERATORS
    assert len(set(compute.values())) == len(compute)
