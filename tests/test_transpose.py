"""`conv_transpose` against the definition as plain loops, torch, ONNX and its runtime; its errors."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from im2col import (
    ArgumentError,
    DTypeError,
    GeometryError,
    LayoutError,
    MemoryBudgetError,
    OutputError,
    ShapeError,
    conv,
    conv_input_gradient,
    conv_transpose,
)
from im2col.engine import host
from im2col.layers.phases import _BAND_BYTES

from .kit import oracles
from .kit.adjoints import (
    ALGORITHMS,
    FLOAT,
    INT,
    LAYER_DTYPES,
    LAYERS,
    by,
    check_every_algorithm,
    check_refused,
    narrowed,
)
from .kit.convolutions import OUTPUTS, bits, result_dtype, stored
from .kit.onnx_models import Onnx, by_evaluator, by_onnxruntime, model_of
from .kit.outcomes import require
from .kit.strategies import (
    BFLOAT16,
    MEMORY_ORDERS,
    channel_counts,
    layouts,
    memory_orders,
    numbers,
    pairs_of_dtypes,
    seeds,
    spatial_ndims,
    spelled,
    spelled_padding,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


# The definition.

_SIZES = {1: (5, 7), 2: (3, 4), 3: (2, 3), 4: (2, 2)}
"""By number of spatial axes: the largest kernel, and the largest image."""


@dataclass(frozen=True)
class Transpose:
    """A call of `conv_transpose` as a user writes it, and the sums that the oracle gives."""

    x: Array
    w: Array
    bias: Array | None
    arguments: dict[str, Any]
    sums: NDArray[np.object_]
    dtype: np.dtype[Any]
    axes: list[Axis]


@dataclass(frozen=True)
class Axis:
    """One spatial axis of a transposed convolution: what is asked for, and the rules' answer."""

    n: int
    kernel: int
    stride: int
    dilation: int
    padding: tuple[int, int]
    output_padding: int
    output_size: int
    before: int


def whole(n: int, kernel: int, stride: int, dilation: int) -> int:
    """Return how far the kernels of `n` pixels reach."""
    return stride * (n - 1) + dilation * (kernel - 1) + 1


@st.composite
def axes_of_transposes(draw: st.DrawFn, k: int, way: str) -> Axis:
    """Draw an axis; `way` is how the output's size is asked for: "padding", "size", "same", "same_lower", or both."""
    kernel, stride = draw(st.integers(1, _SIZES[k][0])), draw(st.integers(1, 4))
    dilation, n = draw(st.integers(1, 3)), draw(st.integers(1, _SIZES[k][1]))
    padding, output_padding = (0, 0), draw(st.integers(0, max(stride, dilation) - 1))
    reach = whole(n, kernel, stride, dilation)
    name, _, sized = way.partition(" ")
    if name in {"padding", "size"}:
        last = reach - 1 + (output_padding if name == "padding" else 0)  # one pixel is left
        before = draw(st.integers(0, min(last, 4)))
        padding = (before, draw(st.integers(0, min(last - before, 4))))
        if name == "size":
            output_padding = draw(st.integers(0, stride - 1))
        return Axis(n, kernel, stride, dilation, padding, output_padding, reach - sum(padding) + output_padding, before)
    if name == "valid":
        return Axis(n, kernel, stride, dilation, padding, output_padding, reach + output_padding, 0)
    size = draw(st.integers(1, reach + 3)) if sized else n * stride
    total = max(0, reach + output_padding - size)
    before = total // 2 if name == "same" else total - total // 2
    return Axis(n, kernel, stride, dilation, padding, output_padding, size, before)


WAYS = ("padding", "padding", "size", "valid", "same", "same_lower", "same size", "same_lower size")


@st.composite
def transposes(draw: st.DrawFn, ways: tuple[str, ...] = WAYS) -> Transpose:
    """Draw a transposed convolution of small integers, so that every sum is exact."""
    k, way = draw(spatial_ndims()), draw(st.sampled_from(ways))
    axes = [draw(axes_of_transposes(k, way)) for _ in range(k)]
    written = draw(st.none() | layouts(k))
    layout = draw(st.sampled_from(["NC", "C", ""])) + "ABDE"[:k] if written is None else written
    groups, per_group, maps = draw(channel_counts()) if "C" in layout else (1, 1, 1)
    lengths = dict(zip((a for a in layout if a not in "NC"), (axis.n for axis in axes), strict=True))
    lengths |= {"N": draw(st.sampled_from([1, 2, 0])), "C": groups * maps}
    x_dtype, w_dtype = draw(pairs_of_dtypes())
    x = numbers(tuple(lengths[a] for a in layout), x_dtype, draw(seeds()))
    w = numbers((groups * maps, per_group, *(axis.kernel for axis in axes)), w_dtype, draw(seeds()))
    bias = numbers((groups * per_group,), w_dtype, draw(seeds())) if draw(st.booleans()) else None
    stride, dilation = tuple(axis.stride for axis in axes), tuple(axis.dilation for axis in axes)
    flip, output_size = draw(st.booleans()), tuple(axis.output_size for axis in axes)
    arguments: dict[str, Any] = {"stride": draw(spelled(stride)), "dilation": draw(spelled(dilation))}
    arguments |= {"groups": groups, "layout": written, "flip": flip}
    name, _, sized = way.partition(" ")
    if name in {"padding", "size"}:
        arguments["padding"] = draw(spelled_padding(tuple(axis.padding for axis in axes)))
    else:
        arguments["padding"] = name
    if name == "size" or sized:
        arguments["output_size"] = draw(spelled(output_size))
    if name != "size":
        arguments["output_padding"] = draw(spelled(tuple(axis.output_padding for axis in axes)))
    numbers_alone: dict[str, Any] = {
        "stride": stride,
        "dilation": dilation,
        "groups": groups,
        "flip": flip,
        "bias": bias,
    }
    before = [axis.before for axis in axes]
    sums = oracles.conv_transpose(x, w, layout, output_size, before, **numbers_alone)
    x, w = MEMORY_ORDERS[draw(memory_orders())](x), MEMORY_ORDERS[draw(memory_orders())](w)
    return Transpose(x, w, bias, arguments, sums, result_dtype(x_dtype, w_dtype), axes)


@given(case=transposes())
def test_conv_transpose_is_the_definition(case: Transpose) -> None:
    """Any call, with every argument, is the sum of its products: exactly, in the dtype that the rules say."""
    check_every_algorithm(conv_transpose, case.sums, case.dtype, case.x, case.w, case.bias, **case.arguments)


@given(case=transposes(), memory=memory_orders().filter(lambda order: order not in {"read-only", "swapped"}))
def test_out_is_filled_and_the_operands_are_not_changed(case: Transpose, memory: str) -> None:
    """`out` of any strides holds the result and is returned; x, w and the bias are as they were."""
    before = [a.copy() for a in (case.x, case.w)]
    for algorithm in ALGORITHMS:
        out = MEMORY_ORDERS[memory](np.full(case.sums.shape, 1, case.dtype))
        assert by(algorithm, conv_transpose, case.x, case.w, case.bias, out=out, **case.arguments) is out
        np.testing.assert_array_equal(out, stored(case.sums, case.dtype), err_msg=algorithm)
    np.testing.assert_array_equal(case.x, before[0])
    np.testing.assert_array_equal(case.w, before[1])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "CHWN"])
@pytest.mark.parametrize("order", OUTPUTS)
def test_nothing_beside_out_is_written(order: str, layout: str, algorithm: str) -> None:
    """What lies between the elements of a strided `out` stays."""
    sizes = {"N": 2, "C": 4, "H": 5, "W": 3}
    x, w = numbers(tuple(sizes[a] for a in layout), FLOAT, 0), numbers((4, 3, 2, 3), FLOAT, 1)
    options: dict[str, Any] = {"layout": layout, "stride": 2, "padding": 1}
    expected = conv_transpose(x, w, algorithm="reference", **options)
    out = OUTPUTS[order](expected.shape)
    out[...] = np.nan
    assert by(algorithm, conv_transpose, x, w, out=out, **options) is out
    np.testing.assert_array_equal(out, expected)
    if order == "strided":
        assert isinstance(out.base, np.ndarray)
        assert np.count_nonzero(out.base == 0.5) == out.base.size - out.size


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    ("x_dtype", "w_dtype", "dtype"),
    [
        ("int8", "int8", "int8"),
        ("uint8", "int8", "float32"),
        ("int16", "int16", "int64"),
        ("int64", "int64", "uint16"),
        ("float32", "float32", "float64"),
        ("float64", "float64", "float32"),
        ("float32", "float32", "complex64"),
        ("float32", "float32", BFLOAT16),
        (BFLOAT16, BFLOAT16, "float32"),
        ("bool", "bool", "uint16"),
    ],
)
def test_dtype_overrides(x_dtype: Any, w_dtype: Any, dtype: Any, algorithm: str) -> None:
    """`dtype` is the dtype of the result; integers wrap into it."""
    x, w = numbers((3, 4, 5), np.dtype(x_dtype), 0), numbers((3, 2, 3, 3), np.dtype(w_dtype), 1)
    sums = oracles.conv_transpose(x, w, "CHW", (9, 11), (0, 0), stride=(2, 2), dilation=(1, 1))
    result = by(algorithm, conv_transpose, x, w, stride=2, dtype=dtype)
    np.testing.assert_array_equal(result, stored(sums, np.dtype(dtype)), strict=True)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("code", "bhilqBHILQ")
def test_integers_wrap(code: str, algorithm: str) -> None:
    """At the ends of their ranges, sums are those of integers modulo the width."""
    dtype = np.dtype(code)
    info, rng = np.iinfo(dtype), np.random.default_rng(0)
    x, w = (rng.integers(info.min, info.max, s, dtype, endpoint=True) for s in ((3, 3, 4), (3, 2, 3, 2)))
    sums = oracles.conv_transpose(x, w, "CHW", (7, 8), (0, 0), stride=(2, 2), dilation=(1, 1))
    result = by(algorithm, conv_transpose, x, w, stride=2)
    np.testing.assert_array_equal(result, stored(sums, result_dtype(dtype, dtype)), strict=True)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("dtype", [np.dtype(np.float16), BFLOAT16], ids=str)
def test_short_floats_accumulate_in_float32(dtype: np.dtype[Any], algorithm: str) -> None:
    """4096 ones sum to 4096, where a 16-bit sum would stop at 2048 or 256; over channels and over taps."""
    result = by(algorithm, conv_transpose, np.ones((1024, 4), dtype), np.ones((1024, 1, 4), dtype))
    np.testing.assert_array_equal(result, [[1024, 2048, 3072, 4096, 3072, 2048, 1024]])


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dtype", LAYER_DTYPES, ids=str)
def test_layers_of_many_channels(dtype: np.dtype[Any], name: str) -> None:
    """Channels, filters and pixels that fill the engine's tiles, and more; exactly, with threads and little memory."""
    batch, filters, spatial, channels, kernel, window = LAYERS[name]
    x, w = numbers((batch, filters, *spatial), dtype, 0), numbers((filters, channels, *kernel), dtype, 1)
    whole = oracles.transposed_sums(x, w, conjugate=False, **window)
    bias = numbers((whole.shape[1],), dtype, 2)
    expected = narrowed(whole + oracles.wide(bias)[:, None, None], result_dtype(dtype, dtype))
    for algorithm in ("implicit", "explicit"):
        for threads, limit in ((1, 64 << 20), (2, 60_000)):
            extra: dict[str, Any] = {"threads": threads, "workspace_limit": limit}
            result = by(algorithm, conv_transpose, x, w, bias, **window, **extra)
            np.testing.assert_array_equal(result, expected, strict=True)


# What it is the transpose of.


@given(case=transposes(("padding", "size")))
def test_it_is_the_input_gradient(case: Transpose) -> None:
    """Without a bias it is `conv_input_gradient` of the conjugate weight, where a convolution has such an output."""
    assume(all(axis.output_padding < axis.stride for axis in case.axes))
    w = np.conj(case.w) if case.w.dtype.kind == "c" else case.w
    options = {n: v for n, v in case.arguments.items() if n not in {"output_padding", "output_size"}}
    expected = conv_input_gradient(case.x, w, case.sums.shape, **options)
    np.testing.assert_array_equal(conv_transpose(case.x, case.w, **case.arguments), expected, strict=True)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("dtype", ["int64", "complex128"])
def test_it_is_the_transpose_exactly(dtype: str, algorithm: str) -> None:
    """``sum(conv(x, w) * g) == sum(x * conv_transpose(g, w))``, without conjugates."""
    x, w = numbers((2, 4, 8, 9), np.dtype(dtype), 0), numbers((6, 2, 3, 2), np.dtype(dtype), 1)
    options: dict[str, Any] = {"stride": (2, 3), "padding": ((1, 0), 2), "dilation": (1, 2), "groups": 2}
    y = conv(x, w, **options)
    g = numbers(y.shape, np.dtype(dtype), 2)
    back = by(algorithm, conv_transpose, g, w, output_size=(8, 9), **options)
    assert np.sum(y * g) == np.sum(x * back)


# Bits.


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("dtype", ["float32", "complex64", "float16", "longdouble"])
@pytest.mark.parametrize(("stride", "groups"), [(1, 1), (2, 1), (2, 2), (3, 4)])
def test_threads_do_not_change_a_bit(stride: int, groups: int, dtype: str, algorithm: str) -> None:
    """Any number of threads gives the same bits, in small blocks too."""
    side = 5 if algorithm == "reference" else 19
    rng = np.random.default_rng(0)
    x, w, bias = (rng.standard_normal(s).astype(dtype) for s in ((2, 4, side, side), (4, 2, 3, 3), (2 * groups,)))
    for limit in (64 << 20, 20_000):
        options: dict[str, Any] = {"stride": stride, "padding": 1, "groups": groups, "workspace_limit": limit}
        results = [bits(by(algorithm, conv_transpose, x, w, bias, threads=t, **options)) for t in (1, 2, 3)]
        assert len(set(results)) == 1


@pytest.mark.parametrize("stride", [2, 3])
def test_rows_of_whole_tiles(stride: int) -> None:
    """No column of a phase is in the padding, and every tile is full; rows overlap, so that phases stay phases."""
    x, w = numbers((2, 3, 5, 64), np.dtype("f4"), 0), numbers((3, 2, 3, stride), np.dtype("f4"), 1)
    expected = np.zeros((2, 2, 7, 64 * stride), int)
    for i, j in itertools.product(range(3), range(stride)):
        expected[:, :, i : i + 5, j::stride] += np.einsum("nchw,cf->nfhw", x.astype(int), w[:, :, i, j].astype(int))
    np.testing.assert_array_equal(conv_transpose(x, w, stride=(1, stride), algorithm="implicit"), expected)


@pytest.mark.parametrize("algorithm", ["auto", "implicit", "reference"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("stride", "groups", "channels"), [(1, 1, 5), (2, 1, 4), (2, 2, 8), (3, 4, 4)])
def test_the_batch_does_not_change_a_bit(stride: int, groups: int, channels: int, dtype: str, algorithm: str) -> None:
    """An image gives the same bits alone and in a batch."""
    if algorithm != "reference":
        require("llvmlite")  # "explicit" leaves the sums to BLAS
    side = 5 if algorithm == "reference" else 17
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(s).astype(dtype) for s in ((3, channels, side, side), (channels, 3, 3, 3)))
    options: dict[str, Any] = {"stride": stride, "padding": 1, "groups": groups, "threads": 2}
    alone = [by(algorithm, conv_transpose, image[None], w, **options)[0] for image in x]
    np.testing.assert_array_equal(by(algorithm, conv_transpose, x, w, **options), np.stack(alone), strict=True)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (3, 2), (1, 3)])
def test_pixels_do_not_leak(stride: int, dilation: int, bad: float, algorithm: str) -> None:
    """A pixel that is no number reaches what its own kernel covers, and nothing else."""
    x, w = numbers((2, 4, 6, 5), FLOAT, 0), np.abs(numbers((4, 2, 2, 3), FLOAT, 1)) + 1
    options: dict[str, Any] = {"padding": (1, 2), "stride": stride, "dilation": dilation, "groups": 2}
    only = np.zeros_like(x)
    pixel = (1, 1, 3, 2)
    only[pixel] = 1
    covers = conv_transpose(only, w, algorithm="reference", **options) != 0
    assert 0 < np.count_nonzero(covers) < covers.size
    clean = by(algorithm, conv_transpose, x, w, **options)
    x[pixel] = bad
    result = by(algorithm, conv_transpose, x, w, **options)
    np.testing.assert_array_equal(np.isfinite(result), ~covers)
    np.testing.assert_array_equal(result[~covers], clean[~covers])


# Edges.


@pytest.mark.parametrize("algorithm", ["implicit", "explicit", "reference"])
@pytest.mark.parametrize("activation", [None, "relu", "relu6", ("leaky_relu", 0.1), "sigmoid", "silu", "hardswish"])
@pytest.mark.parametrize(("stride", "dilation", "output_padding"), [(4, 1, 3), (1, 3, 2)], ids=str)
def test_bias_and_activation(stride: int, dilation: int, output_padding: int, activation: Any, algorithm: str) -> None:
    """Every pixel, also one that no tap reaches, is the sum, then the bias, then the activation."""
    x, w = numbers((2, 3, 4, 3), FLOAT, 0) / 16, numbers((3, 4, 2, 2), FLOAT, 1) / 16
    bias = np.array([-3.0, 0.5, 2, 7])
    options: dict[str, Any] = {"stride": stride, "dilation": dilation, "output_padding": output_padding, "padding": 1}
    sums = conv_transpose(x, w, algorithm="reference", **options) + bias[:, None, None]
    name, slope = activation if isinstance(activation, tuple) else (activation, 0.0)
    result = by(algorithm, conv_transpose, x, w, bias, activation=activation, **options)
    np.testing.assert_allclose(result, oracles.activated(sums, name, slope), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_pixels_that_no_tap_reaches_are_the_bias(algorithm: str) -> None:
    """Between the kernels of a stride larger than they are, and in the output padding, stands the activated bias."""
    x, w = np.array([[[1, 2], [3, 4]]]), np.array([[[[1]], [[10]]]]).reshape(1, 2, 1, 1)
    result = by(algorithm, conv_transpose, x, w, [-5, 5], stride=3, output_padding=2, activation="relu")
    expected = np.zeros((2, 6, 6), int)
    expected[1] = 5
    expected[0, ::3, ::3] = np.maximum(x[0] - 5, 0)
    expected[1, ::3, ::3] = 10 * x[0] + 5
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_bias_of_no_filters(algorithm: str) -> None:
    """A sum over no filters is 0, and the bias is added to it; no images and no channels give an empty result."""
    result = by(algorithm, conv_transpose, np.ones((2, 0, 3, 3)), np.ones((0, 2, 2, 2)), [1, 2], stride=2)
    np.testing.assert_array_equal(result, np.broadcast_to(np.reshape([1.0, 2], (2, 1, 1)), (2, 2, 6, 6)))
    assert by(algorithm, conv_transpose, np.ones((0, 3, 3, 3)), np.ones((3, 2, 2, 2)), [1, 2]).shape == (0, 2, 4, 4)
    assert by(algorithm, conv_transpose, np.ones((2, 3, 3, 3)), np.ones((3, 0, 2, 2)), []).shape == (2, 0, 4, 4)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_padding_crops(algorithm: str) -> None:
    """Padding beyond the kernel's reach cuts into the image, from either side, down to one pixel."""
    x, w = numbers((2, 6, 7), INT, 0), numbers((2, 3, 3, 2), INT, 1)
    all_of_it = conv_transpose(x, w, stride=2, algorithm="reference")
    assert all_of_it.shape == (3, 13, 14)
    for (top, bottom), (left, right) in [((5, 0), (0, 6)), ((4, 7), (3, 4)), ((12, 0), (0, 13)), ((6, 6), (7, 6))]:
        result = by(algorithm, conv_transpose, x, w, stride=2, padding=((top, bottom), (left, right)))
        np.testing.assert_array_equal(result, all_of_it[:, top : 13 - bottom, left : 14 - right])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("stride", [1, 2, 5])
def test_a_kernel_of_one_tap(stride: int, algorithm: str) -> None:
    """It mixes channels and spreads pixels."""
    x, w = numbers((2, 4, 3, 5), INT, 0), numbers((4, 3, 1, 1), INT, 1)
    expected = np.zeros((2, 3, 2 * stride + 1, 4 * stride + 1), int)
    expected[:, :, ::stride, ::stride] = np.einsum("nfyx,fc->ncyx", x, w[:, :, 0, 0])
    np.testing.assert_array_equal(by(algorithm, conv_transpose, x, w, stride=stride), expected)


def test_by_hand() -> None:
    """One axis on paper."""
    np.testing.assert_array_equal(conv_transpose([1, 10], [[[1, 2, 3]]]), [1, 12, 23, 30])
    np.testing.assert_array_equal(conv_transpose([1, 10], [[[1, 2, 3]]], flip=True), [3, 32, 21, 10])
    np.testing.assert_array_equal(conv_transpose([1, 10], [[[1, 2, 3]]], stride=2), [1, 2, 13, 20, 30])
    np.testing.assert_array_equal(conv_transpose([1, 10], [[[1, 2, 3]]], stride=2, padding="same"), [1, 2, 13, 20])
    lower = conv_transpose([1, 10], [[[1, 2, 3]]], stride=2, padding="same_lower")
    np.testing.assert_array_equal(lower, [2, 13, 20, 30])
    np.testing.assert_array_equal(conv_transpose([1, 10], [[[1, 2]]], dilation=2), [1, 10, 2, 20])
    np.testing.assert_array_equal(conv_transpose([1j], [[[1, 1j]]]), [1j, -1])


# Torch.


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize(
    ("stride", "padding", "output_padding", "dilation", "groups"),
    [
        (1, 0, 0, 1, 1),
        (2, 1, 1, 1, 1),
        (2, 2, 0, 2, 2),
        (3, 1, 2, 1, 4),
        (1, 3, 2, 3, 2),
        (4, 0, 3, 1, 1),
        (2, 4, 2, 3, 4),
    ],
)
def test_torch(torch: Any, k: int, stride: int, padding: int, output_padding: int, dilation: int, groups: int) -> None:
    """Torch's conv_transpose1d, 2d and 3d are ours."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 4, *(5, 6, 4)[:k])), rng.standard_normal((4, 3, *(3, 2, 3)[:k]))
    bias = rng.standard_normal(3 * groups)
    options: dict[str, Any] = {"stride": stride, "padding": padding, "output_padding": output_padding}
    options |= {"dilation": dilation, "groups": groups}
    theirs = getattr(torch.nn.functional, f"conv_transpose{k}d")(*map(torch.from_numpy, (x, w, bias)), **options)
    for algorithm in ("auto", "explicit"):
        result = by(algorithm, conv_transpose, x, w, bias, **options)
        np.testing.assert_allclose(result, theirs.numpy(), rtol=1e-12, atol=1e-12)


def test_torch_complex(torch: Any) -> None:
    """Torch does not conjugate a complex weight either."""
    x, w = numbers((1, 2, 4, 4), np.dtype(complex), 0), numbers((2, 3, 3, 3), np.dtype(complex), 1)
    theirs = torch.nn.functional.conv_transpose2d(*map(torch.from_numpy, (x, w)), stride=2)
    np.testing.assert_array_equal(conv_transpose(x, w, stride=2), theirs.numpy())


@pytest.mark.parametrize("size", [(9, 13), (10, 13), (10, 14), (11, 15), (9, 12)])
def test_torch_output_size(torch: Any, size: tuple[int, int]) -> None:
    """The sizes that torch's module takes are those that we take, and give the same; the others are refused by both."""
    module = torch.nn.ConvTranspose2d(3, 2, (3, 2), stride=(2, 3), padding=1, dilation=(1, 2), dtype=torch.float64)
    x = numbers((1, 3, 5, 5), FLOAT, 0)
    w, bias = module.weight.detach().numpy(), module.bias.detach().numpy()
    options: dict[str, Any] = {"stride": (2, 3), "padding": 1, "dilation": (1, 2)}
    try:
        theirs = module(torch.from_numpy(x), output_size=size).detach().numpy()
    except ValueError:
        with pytest.raises(GeometryError, match=r"\Aconv_transpose: .*output_size"):
            conv_transpose(x, w, bias, output_size=size, **options)
        return
    result = conv_transpose(x, w, bias, output_size=size, **options)
    np.testing.assert_allclose(result, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("output_padding", range(5))
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (3, 1), (1, 3), (2, 4), (4, 2)])
def test_torch_output_padding(torch: Any, stride: int, dilation: int, output_padding: int) -> None:
    """What torch refuses as output_padding, we refuse."""
    x, w = numbers((1, 1, 4), FLOAT, 0), numbers((1, 1, 3), FLOAT, 1)
    options: dict[str, Any] = {"stride": stride, "dilation": dilation, "output_padding": output_padding}
    try:
        theirs = torch.nn.functional.conv_transpose1d(*map(torch.from_numpy, (x, w)), **options).numpy()
    except RuntimeError:
        with pytest.raises(GeometryError, match=r"\Aconv_transpose: .*output_padding"):
            conv_transpose(x, w, **options)
        return
    np.testing.assert_array_equal(conv_transpose(x, w, **options), theirs)


# ONNX.


def ours(x: Array, w: Array, bias: Array, attributes: Onnx) -> Array:
    """Return what the operator means by our arguments."""
    k = w.ndim - 2
    auto_pad, pads = attributes.get("auto_pad", "NOTSET"), attributes.get("pads", [0] * (2 * k))
    options: dict[str, Any] = {"groups": attributes.get("group", 1)}
    for name, ours in (("stride", "strides"), ("dilation", "dilations"), ("output_padding", "output_padding")):
        if ours in attributes:
            options[name] = tuple(attributes[ours])
    if "output_shape" in attributes:
        options |= {"output_size": attributes["output_shape"], "padding": "same_lower"}
    else:
        options["padding"] = tuple(zip(pads[:k], pads[k:], strict=True))
    if auto_pad != "NOTSET":
        options["padding"] = {"SAME_UPPER": "same", "SAME_LOWER": "same_lower", "VALID": "valid"}[auto_pad]
    return conv_transpose(x, w, bias, **options)


ONNX: dict[str, tuple[tuple[int, ...], tuple[int, ...], Onnx]] = {
    "plain": ((2, 3, 4, 5), (3, 2, 3, 3), {}),
    "one axis": ((1, 3, 5), (3, 2, 3), {"strides": [2], "pads": [1, 0]}),
    "three axes": ((1, 2, 3, 4, 3), (2, 2, 2, 3, 2), {"strides": [2, 1, 3], "output_padding": [1, 0, 2]}),
    "strides": ((1, 3, 4, 5), (3, 2, 3, 3), {"strides": [3, 2]}),
    "asymmetric pads": ((1, 3, 4, 5), (3, 2, 3, 3), {"strides": [2, 2], "pads": [1, 0, 2, 1]}),
    "output padding": ((1, 3, 4, 5), (3, 2, 3, 3), {"strides": [3, 2], "output_padding": [2, 1], "pads": [1, 1, 0, 1]}),
    "dilations": ((1, 3, 4, 5), (3, 2, 3, 2), {"strides": [2, 1], "dilations": [2, 3], "pads": [1, 2, 1, 1]}),
    "valid": ((1, 3, 4, 5), (3, 2, 3, 3), {"auto_pad": "VALID", "strides": [2, 3]}),
    "same upper": ((1, 3, 4, 5), (3, 2, 3, 4), {"auto_pad": "SAME_UPPER", "strides": [2, 1]}),
    "same lower": ((1, 3, 4, 5), (3, 2, 3, 4), {"auto_pad": "SAME_LOWER", "strides": [2, 1]}),
    "same upper, dilated": (
        (1, 3, 4, 5),
        (3, 2, 3, 2),
        {"auto_pad": "SAME_UPPER", "strides": [2, 3], "dilations": [2, 3]},
    ),
    "output shape": ((1, 3, 4, 5), (3, 2, 3, 4), {"output_shape": [8, 11], "strides": [2, 2]}),
    "output shape, upper": (
        (1, 3, 4, 5),
        (3, 2, 3, 4),
        {"output_shape": [8, 11], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
    ),
    "output shape, lower": (
        (1, 3, 4, 5),
        (3, 2, 3, 4),
        {"output_shape": [8, 11], "strides": [2, 2], "auto_pad": "SAME_LOWER"},
    ),
    "output shape, output padding": (
        (1, 3, 4, 5),
        (3, 2, 3, 4),
        {"output_shape": [8, 10], "strides": [2, 3], "output_padding": [1, 2], "auto_pad": "SAME_UPPER"},
    ),
}
GROUPED: dict[str, tuple[tuple[int, ...], tuple[int, ...], Onnx]] = {
    "two groups": ((2, 4, 4, 5), (4, 3, 3, 3), {"group": 2, "strides": [2, 1], "pads": [1, 1, 0, 2]}),
    "depthwise": ((2, 3, 4, 5), (3, 1, 3, 3), {"group": 3, "strides": [2, 2], "output_padding": [1, 1]}),
}


def onnx_case(case: tuple[tuple[int, ...], tuple[int, ...], Onnx]) -> tuple[Array, Array, Array, Onnx]:
    """Return the arrays of a case, small integers as float32, and its attributes."""
    x_shape, w_shape, attributes = case
    x, w = (numbers(shape, np.dtype(np.float32), seed) for seed, shape in enumerate((x_shape, w_shape)))
    return x, w, numbers((attributes.get("group", 1) * w_shape[1],), np.dtype(np.float32), 2), attributes


@pytest.mark.wide
@pytest.mark.parametrize("name", ONNX | GROUPED)
def test_onnxruntime(name: str) -> None:
    """The runtime's ConvTranspose is ours."""
    x, w, bias, attributes = onnx_case((ONNX | GROUPED)[name])
    inputs = {"x": x, "w": w, "b": bias}
    theirs = by_onnxruntime(model_of("ConvTranspose", inputs, attributes, [x.dtype], 11), inputs)[0]
    np.testing.assert_array_equal(ours(x, w, bias, attributes), theirs, strict=True)


@pytest.mark.wide
@pytest.mark.parametrize("name", [name for name in ONNX if name != "output shape"])
def test_onnx_reference(name: str) -> None:
    """The standard's evaluator agrees, where it does what the standard says.

    It writes one map for each group, and computes no padding from an output_shape without auto_pad.
    """
    x, w, bias, attributes = onnx_case(ONNX[name])
    inputs = {"x": x, "w": w, "b": bias}
    theirs = by_evaluator(model_of("ConvTranspose", inputs, attributes, [x.dtype], 11), inputs)[0]
    np.testing.assert_array_equal(ours(x, w, bias, attributes), theirs, strict=True)


# Errors.

X, W = np.ones((1, 3, 4, 4)), np.ones((3, 2, 3, 3))
WRONG: list[tuple[type[Exception], str, dict[str, Any]]] = [
    # The arrays.
    (DTypeError, "x is a masked array", {"x": np.ma.masked_array(X)}),
    (DTypeError, "w is a masked array", {"w": np.ma.masked_array(W)}),
    (DTypeError, "bias is a masked array", {"bias": np.ma.masked_array([1.0, 2.0])}),
    (DTypeError, "x has dtype object", {"x": X.astype(object)}),
    (ShapeError, r"3 channels .*\(4, 2, 3, 3\)", {"w": np.ones((4, 2, 3, 3))}),
    (ShapeError, "bias", {"bias": [1.0, 2, 3]}),
    (ShapeError, "w must be", {"w": W[0, 0]}),
    (LayoutError, "axes", {"x": X[None, None]}),
    (LayoutError, "layout 'HWC'", {"layout": "HWC"}),
    (LayoutError, "layout", {"layout": "nchw"}),
    # Groups.
    (ShapeError, "groups=2", {"groups": 2}),
    (GeometryError, "groups", {"groups": 0}),
    # The window.
    (GeometryError, "stride must be at least 1, got 0", {"stride": 0}),
    (GeometryError, "dilation must be at least 1, got -1", {"dilation": -1}),
    (GeometryError, "stride", {"stride": (1, 2, 3)}),
    (GeometryError, "padding", {"padding": -1}),
    (GeometryError, "padding", {"padding": ((1, 2, 3), 0)}),
    (ArgumentError, "padding .*'samw'", {"padding": "samw"}),
    (ArgumentError, "padding.*'full'|'full'.*padding", {"padding": "full"}),
    (ArgumentError, "padding.*'causal'|'causal'.*padding", {"padding": "causal"}),
    (GeometryError, "output_padding.* 1", {"output_padding": 1}),
    (GeometryError, "output_padding.* 3", {"output_padding": (0, 3), "stride": (3, 2), "dilation": (1, 3)}),
    (GeometryError, "output_padding.* -1", {"output_padding": -1}),
    (GeometryError, "output_padding", {"output_padding": (0, 0, 0)}),
    (GeometryError, "output_size.* 7", {"output_size": 7}),
    (GeometryError, "output_size.* 5", {"output_size": (6, 5)}),
    (GeometryError, "output_size.* 11", {"output_size": 11, "stride": 2}),
    (GeometryError, "output_size", {"output_size": (6, 6, 6)}),
    (ArgumentError, "output_size.*output_padding", {"output_size": 12, "output_padding": 1, "stride": 2}),
    (GeometryError, "output_size", {"output_size": 0, "padding": "same"}),
    (GeometryError, "output_size", {"output_size": -3, "padding": "same_lower"}),
    # An output of no pixels.
    (GeometryError, "axis H|axis W", {"padding": 3}),
    (GeometryError, "axis W", {"padding": (0, (6, 7))}),
    # Options.
    (ArgumentError, "activation", {"activation": "tanh"}),
    (ArgumentError, "algorithm.*'fast'", {"algorithm": "fast"}),
    (ArgumentError, "threads must be a positive integer or None, got 0", {"threads": 0}),
    (GeometryError, "workspace_limit", {"workspace_limit": 0}),
    (DTypeError, "dtype", {"dtype": "int32"}),
    (DTypeError, "dtype", {"dtype": "nonsense"}),
    # out.
    (OutputError, r"out has shape \(1, 2, 6, 5\)", {"out": np.full((1, 2, 6, 5), 7.0)}),
    (OutputError, "out has dtype float32", {"out": np.full((1, 2, 6, 6), 7, np.float32)}),
    (OutputError, "out is a list", {"out": [7.0]}),
    (OutputError, "out is a MaskedArray", {"out": np.ma.masked_array(np.full((1, 2, 6, 6), 7.0))}),
    (OutputError, "out is read-only", {"out": np.broadcast_to(7.0, (1, 2, 6, 6))}),
]


@pytest.mark.parametrize(("error", "match", "wrong"), WRONG)
def test_wrong_arguments(error: type[Exception], match: str, wrong: dict[str, Any]) -> None:
    """Each is refused by name, and `out` stays as it was."""
    check_refused(conv_transpose, {"x": X, "w": W, "out": np.empty((1, 2, 6, 6))}, error, match, wrong)


def test_out_may_not_share_memory() -> None:
    """Neither with an operand nor with itself."""
    x, w, memory = np.ones((1, 3, 4)), np.ones((3, 2, 3)), np.ones(40)
    message = r"\Aconv_transpose: out shares memory with an input"
    with pytest.raises(OutputError, match=message):
        conv_transpose(memory[:12].reshape(1, 3, 4), w, out=memory[11:23].reshape(1, 2, 6))
    with pytest.raises(OutputError, match=message):
        conv_transpose(x, memory[:18].reshape(3, 2, 3), out=memory[17:29].reshape(1, 2, 6))
    out = np.lib.stride_tricks.as_strided(np.empty(12), (1, 2, 6), (8, 8, 8))
    with pytest.raises(OutputError, match=r"\Aconv_transpose: out has elements that share memory"):
        conv_transpose(x, w, out=out)


def test_channels_last_are_suggested() -> None:
    """An image whose last axis would fit is told of it."""
    with pytest.raises(ShapeError, match=r"\Aconv_transpose: .*HWC"):
        conv_transpose(np.ones((5, 6, 3)), W)


def test_maps_need_a_channel_axis() -> None:
    """Several output maps of an image without channels have no place."""
    with pytest.raises(ShapeError, match=r"\Aconv_transpose: .*channel"):
        conv_transpose(np.ones((5, 6)), np.ones((1, 2, 3, 3)))


def test_results_beyond_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is allocated."""
    monkeypatch.setattr(host, "available_memory", lambda: 1 << 20)
    with pytest.raises(MemoryBudgetError, match=r"\Aconv_transpose: .* 1\.0 MiB are available"):
        conv_transpose(np.broadcast_to(np.float32(1), (1024, 2048)), np.ones((1, 1, 2, 2), np.float32), stride=2)


@pytest.mark.parametrize("keyword", ["strides", "padding_mode", "output_shape"])
def test_unknown_keywords(keyword: str) -> None:
    """A keyword that it does not have is a TypeError in its name."""
    arguments: dict[str, Any] = {keyword: 2}
    with pytest.raises(TypeError, match=re.escape(f"conv_transpose() got an unexpected keyword argument '{keyword}'")):
        conv_transpose(X, W, **arguments)


def test_large_strides_cost_no_more_than_their_result() -> None:
    """Only phases that a tap reaches are looked at; a result beyond memory is refused at once."""
    result = conv_transpose(np.ones((1, 1, 2, 2)), np.ones((1, 1, 1, 1)), stride=300)
    assert result.shape == (1, 1, 301, 301)
    assert result.sum() == 4
    with pytest.raises(MemoryBudgetError, match=r"\Aconv_transpose: the result \(1, 1, 200003, 200003\) of float64"):
        conv_transpose(np.ones((1, 1, 3, 3)), np.ones((1, 1, 3, 3)), stride=10**5)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "CHW", "NCW"])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (4, 2, 1), (3, 3, 0), (5, 2, 4)])
@pytest.mark.parametrize("threads", [1, 2])
def test_large_images_go_band_by_band(layout: str, kernel: int, stride: int, padding: int, threads: int) -> None:
    """All phases of some rows before the next rows: the same numbers, whoever does which."""
    sizes = {"N": 1, "C": 40, "H": 61, "W": 57 if "H" in layout else 9001}
    shape = tuple(sizes[axis] for axis in layout)
    x = numbers(shape, np.dtype("f4"), 1)
    w = numbers((40, 7, *[kernel] * (2 if "H" in layout else 1)), np.dtype("f4"), 2)
    assert x.nbytes > 2 * _BAND_BYTES
    options: dict[str, Any] = {"stride": stride, "padding": padding, "layout": layout}
    expected = conv_transpose(x.astype(np.int64), w.astype(np.int64), algorithm="explicit", **options)
    result = conv_transpose(x, w, threads=threads, **options)
    np.testing.assert_array_equal(result, expected.astype(np.float32), strict=True)
