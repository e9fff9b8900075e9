"""Zero points in `conv`, and `quantized_conv`: against plain loops in Python's integers, against ONNX; errors."""

from __future__ import annotations

import itertools
import pickle
import re
import weakref
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from im2col import (
    ArgumentError,
    DTypeError,
    GeometryError,
    Im2colError,
    LayoutError,
    OutputError,
    ShapeError,
    conv,
    conv1d,
    conv2d,
    conv3d,
    plan,
    plan_quantized,
    quantized_conv,
)
from im2col.engine.target import host

from .kit.adjoints import by, check_refused
from .kit.layers import anything
from .kit.onnx_models import Onnx, by_evaluator, by_onnxruntime, model_of
from .kit.oracles import Window, activated, named_padding, quantized_sums, requantized, rescaling, shifted_sums, wrapped
from .kit.outcomes import require
from .kit.selection import one_in
from .kit.strategies import MEMORY_ORDERS, Convolution, convolutions, memory_orders, seeds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

ALGORITHMS = ("auto", "implicit", "explicit", "reference")
INT8, UINT8 = np.dtype(np.int8), np.dtype(np.uint8)
PAIRS = tuple(itertools.product((INT8, UINT8), repeat=2))
"""The dtypes of image and filters."""
NAMES = [f"{x}-{w}" for x, w in PAIRS]


def any_value(dtype: np.dtype[Any]) -> st.SearchStrategy[int]:
    """Draw a value of an integer dtype: its ends and 0 often, for Hypothesis likes them."""
    info = np.iinfo(dtype)
    return st.integers(int(info.min), int(info.max))


def random_bytes(seed: int, *wanted: tuple[tuple[int, ...], np.dtype[Any]]) -> list[Array]:
    """Return arrays of any values, of these shapes and dtypes."""
    rng = np.random.default_rng(seed)
    return [anything(rng, shape, dtype) for shape, dtype in wanted]


# The definition, for any layer.


@dataclass(frozen=True)
class Layer:
    """A call with zero points, as a user writes it, and its sums."""

    drawn: Convolution
    x: Array
    w: Array
    bias: Array | None
    arguments: dict[str, Any]
    sums: NDArray[np.int32]
    threads: int
    out_order: str | None

    def out(self, dtype: np.dtype[Any]) -> Array | None:
        """Return an array for the result, full of sevens; or None."""
        if self.out_order is None:
            return None
        return MEMORY_ORDERS[self.out_order](np.full(self.sums.shape, 7, dtype))


def filter_zero_points(dtype: np.dtype[Any], filters: int) -> st.SearchStrategy[tuple[Any, int | list[int]]]:
    """Draw the filters' zero points as a user writes them, and as integers."""
    each = st.lists(any_value(dtype), min_size=filters, max_size=filters)
    return st.one_of(
        any_value(dtype).map(lambda z: (z, z)),
        any_value(dtype).map(lambda z: (dtype.type(z), z)),
        each.map(lambda zs: (np.array(zs, dtype), zs)),
        each.map(lambda zs: (np.array(zs, np.int64), zs)),
        each.map(lambda zs: (np.repeat(np.array(zs, dtype), 2)[::2], zs)),
    )


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    """Draw a layer of bytes: any window, layout, groups, padding, zero points, bias and memory orders."""
    drawn = draw(convolutions(pairs=st.sampled_from(PAIRS)))
    x_dtype, w_dtype = drawn.dtypes
    seed = draw(seeds())
    filters = drawn.weight_shape[0]
    x, w, bias = random_bytes(
        seed, (drawn.image_shape, x_dtype), (drawn.weight_shape, w_dtype), ((filters,), np.dtype(np.int32))
    )
    x_zero_point = draw(any_value(x_dtype))
    written, w_zero_point = draw(filter_zero_points(w_dtype, filters))
    offsets = bias if draw(st.booleans()) else None
    value = draw(st.none() | any_value(x_dtype))
    sums = quantized_sums(
        x,
        w,
        drawn.layout,
        drawn.window,
        x_zero_point=x_zero_point,
        w_zero_point=w_zero_point,
        bias=offsets,
        value=value,
        **drawn.options,
    )
    arguments = drawn.arguments | {
        "x_zero_point": draw(st.sampled_from([x_zero_point, x_dtype.type(x_zero_point), np.int64(x_zero_point)])),
        "w_zero_point": written,
    }
    if value is not None:
        arguments["padding_value"] = value
    x, w = drawn.laid_out(x, w)
    order = draw(st.none() | memory_orders().filter(lambda name: name not in {"read-only", "swapped"}))
    return Layer(drawn, x, w, offsets, arguments, wrapped(sums), draw(st.sampled_from([1, 2])), order)


@pytest.mark.parametrize("algorithm", ALGORITHMS[1:])
@given(layer=layers(), relu=st.booleans())
def test_conv_is_the_definition(algorithm: str, layer: Layer, relu: bool) -> None:
    """Any layer of bytes with zero points is the sum of its products, exactly, modulo 2³²."""
    out = layer.out(np.dtype(np.int32))
    options = layer.arguments | {"threads": layer.threads, "out": out, "activation": "relu" if relu else None}
    result = by(algorithm, conv, layer.x, layer.w, layer.bias, **options)
    assert out is None or result is out
    np.testing.assert_array_equal(result, activated(layer.sums, "relu" if relu else None), strict=True)


def scales() -> st.SearchStrategy[float]:
    """Draw a scale: often a power of two, which makes halves that have to be rounded to the even integer."""
    powers = st.integers(-9, 3).map(lambda exponent: 2.0**exponent)
    return powers | st.floats(2.0**-10, 8.0, width=32) | st.floats(1e-4, 8.0)


@pytest.mark.parametrize("algorithm", ALGORITHMS[1:])
@given(layer=layers(), data=st.data())
def test_quantized_conv_is_the_definition(algorithm: str, layer: Layer, data: st.DataObject) -> None:
    """Any layer is the sum that `conv` gives, rescaled, rounded half to even, shifted and saturated."""
    filters = layer.w.shape[0]
    x_scale, y_scale = data.draw(scales()), data.draw(scales())
    each = st.lists(scales(), min_size=filters, max_size=filters)
    w_scale = data.draw(scales() | each.map(np.array) | each.map(lambda s: np.array(s, np.float32)))
    native = layer.x.dtype.newbyteorder("=")
    dtype = data.draw(st.sampled_from([None, INT8, UINT8]))
    kind = native if dtype is None else dtype
    zero_point = data.draw(any_value(kind))
    relu = data.draw(st.booleans())
    options: dict[str, Any] = {
        "x_scale": data.draw(st.sampled_from([x_scale, np.float64(x_scale)])),
        "w_scale": w_scale,
        "y_scale": y_scale,
        "y_zero_point": data.draw(st.sampled_from([zero_point, kind.type(zero_point)])),
        "dtype": dtype,
        "activation": "relu" if relu else None,
        "threads": layer.threads,
        "out": layer.out(kind),
    }
    factors = rescaling(x_scale, np.broadcast_to(w_scale, filters).tolist(), y_scale)
    expected = requantized(layer.sums, factors, zero_point, kind, channel_axis(layer.drawn.layout), relu)
    result = by(algorithm, quantized_conv, layer.x, layer.w, layer.bias, **layer.arguments, **options)
    assert options["out"] is None or result is options["out"]
    np.testing.assert_array_equal(result, expected, strict=True)


def channel_axis(layout: str) -> int | None:
    """Return where the channels are in a layout, if it has any."""
    return layout.index("C") if "C" in layout else None


# Zero points in `conv`, one property at a time.

LAYERS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "plain": ((2, 5, 4, 6), (17, 5, 3, 3), {}),
    "padding": ((2, 3, 4, 5), (5, 3, 3, 3), {"padding": ((1, 2), (0, 3))}),
    "last": ((1, 4, 5, 7), (18, 7, 3, 3), {"padding": ((0, 1), 0), "layout": "NHWC"}),
    "1×1": ((1, 3, 5, 12), (33, 12, 1, 1), {"layout": "NHWC"}),
    "stride": ((1, 3, 9, 10), (8, 3, 3, 3), {"stride": (2, 3), "padding": "same"}),
    "dilation": ((8, 9, 5), (6, 5, 3, 2), {"dilation": (2, 3), "padding": 1, "layout": "HWC"}),
    "groups": ((1, 12, 4, 5), (6, 4, 3, 3), {"groups": 3, "padding": 1}),
    "depthwise": ((1, 4, 5, 21), (21, 1, 3, 3), {"groups": 21, "padding": 1, "layout": "NHWC"}),
    "one axis": ((2, 4, 31), (5, 4, 7), {"padding": "causal"}),
    "three axes": ((1, 3, 2, 3, 4), (4, 3, 2, 2, 3), {"padding": 1}),
    "edge": ((1, 3, 4, 5), (5, 3, 3, 3), {"padding": 2, "padding_mode": "edge"}),
    "reflect": ((1, 3, 4, 5), (5, 3, 3, 3), {"padding": 2, "padding_mode": "reflect"}),
    "symmetric": ((1, 3, 4, 5), (5, 3, 3, 3), {"padding": 2, "padding_mode": "symmetric"}),
    "wrap": ((1, 3, 4, 5), (5, 3, 3, 3), {"padding": 2, "padding_mode": "wrap"}),
    "flip": ((1, 3, 4, 5), (5, 3, 3, 2), {"padding": 1, "flip": True}),
    "small workspace": ((3, 3, 5, 6), (5, 3, 3, 3), {"padding": 1, "workspace_limit": 2000}),
}
WAYS = (("reference", 1), *itertools.product(("auto", "implicit", "explicit"), (1, 3)))
"""An algorithm with a number of threads."""


@pytest.mark.parametrize(("x_dtype", "w_dtype"), PAIRS, ids=NAMES)
@pytest.mark.parametrize("name", LAYERS)
def test_zero_points_are_subtracted(name: str, x_dtype: np.dtype[Any], w_dtype: np.dtype[Any]) -> None:
    """Bytes with zero points give what int32 arrays give from which they have been subtracted, by every algorithm."""
    x_shape, w_shape, options = LAYERS[name]
    x, w, each, bias = random_bytes(
        1, (x_shape, x_dtype), (w_shape, w_dtype), (w_shape[:1], w_dtype), (w_shape[:1], np.dtype(np.int32))
    )
    line = (-1, *[1] * (w.ndim - 1))
    cases = (
        (0, each, WAYS[:2]),
        (int(x.max()), int(w.min()), WAYS[1:]),
        (int(x.min()), each, WAYS),
        (100, 0, WAYS[1:]),
    )
    for x_zero_point, w_zero_point, ways in cases:
        shifted = x.astype(np.int32) - x_zero_point, w.astype(np.int32) - np.reshape(np.int32(w_zero_point), line)
        expected = conv(*shifted, bias, algorithm="explicit", **options)
        for algorithm, threads in ways:
            zero_points: dict[str, Any] = {"x_zero_point": x_zero_point, "w_zero_point": w_zero_point}
            result = by(algorithm, conv, x, w, bias, **zero_points, **options, threads=threads)
            np.testing.assert_array_equal(result, expected, strict=True, err_msg=algorithm)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(("x_dtype", "w_dtype"), PAIRS, ids=NAMES)
def test_every_algorithm_takes_zero_points(x_dtype: np.dtype[Any], w_dtype: np.dtype[Any], algorithm: str) -> None:
    """None of them refuses a plain layer: the one that is asked for computes it."""
    require("llvmlite")
    x, w, each = random_bytes(2, ((1, 3, 6, 7), x_dtype), ((4, 3, 3, 3), w_dtype), ((4,), w_dtype))
    window = Window((6, 7), (3, 3), (1, 1), ((1, 1),) * 2, (1, 1))
    expected = shifted_sums(x, w, "NCHW", window, x_zero_point=9, w_zero_point=each.tolist())
    prepared = plan(x.shape, w, x_dtype=x.dtype, padding=1, x_zero_point=9, w_zero_point=each, algorithm=algorithm)
    np.testing.assert_array_equal(prepared(x), expected, strict=True)
    if algorithm != "auto":
        assert prepared.algorithm == algorithm
    scale: dict[str, Any] = {"x_scale": 0.5, "w_scale": 0.25, "y_scale": 16}
    result = quantized_conv(x, w, padding=1, x_zero_point=9, w_zero_point=each, algorithm=algorithm, **scale)
    np.testing.assert_array_equal(result, requantized(expected, [2.0**-7] * 4, 0, x_dtype, 1), strict=True)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(("x_dtype", "w_dtype"), PAIRS, ids=NAMES)
def test_padding_is_the_zero_point(x_dtype: np.dtype[Any], w_dtype: np.dtype[Any], algorithm: str) -> None:
    """Where only padding is seen, the result is the bias; a padding value that is given counts as it is, even 0."""
    x, w = np.array([[[5]]], x_dtype), np.array([[[[3]]], [[[4]]]], w_dtype)
    zero_points: dict[str, Any] = {"x_zero_point": 7, "w_zero_point": [1, 6]}
    border = np.ones((3, 3), bool)
    border[1, 1] = False
    for value in (None, 0, 1, 7, 100):
        given = {} if value is None else {"padding_value": value}
        result = by(algorithm, conv, x, w, np.array([10, 20]), padding=1, **zero_points, **given)
        shift = 0 if value is None else value - 7
        assert result[:, 1, 1].tolist() == [10 - 2 * 2, 20 - 2 * -2]
        assert set(result[0, border].tolist()) == {10 + 2 * shift}
        assert set(result[1, border].tolist()) == {20 - 2 * shift}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_images_of_nothing_but_the_zero_point_give_the_bias(algorithm: str) -> None:
    """So do filters of nothing but theirs."""
    bias = np.array([1, -2, 2**31 - 1], np.int32)
    expected = np.broadcast_to(bias[:, None, None], (3, 5, 5))
    for (x_dtype, w_dtype), z in itertools.product(PAIRS, (0, 1, 100, 127)):
        x, w = random_bytes(3, ((2, 5, 5), x_dtype), ((3, 2, 3, 3), w_dtype))
        flat, each = np.full_like(x, z), np.broadcast_to(np.reshape([z, 0, 5], (3, 1, 1, 1)), w.shape).astype(w_dtype)
        options: dict[str, Any] = {"padding": 1}
        result = by(algorithm, conv, flat, w, bias, x_zero_point=z, w_zero_point=3, **options)
        np.testing.assert_array_equal(result, expected)
        result = by(algorithm, conv, x, each, bias, x_zero_point=9, w_zero_point=[z, 0, 5], **options)
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("channels", [3, 2048])
def test_sums_wrap(channels: int, algorithm: str) -> None:
    """A sum with its bias is taken modulo 2³²."""
    x, w = np.full((channels, 1), 255, np.uint8), np.full((2, channels, 1), -128, np.int8)
    bias = np.array([-(2**31), 2**31 - 1], np.int32)
    total = channels * 255 * -255
    expected = [[total + 2**31], [total + 2**31 - 1]]
    np.testing.assert_array_equal(by(algorithm, conv, x, w, bias, w_zero_point=127), expected)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("dtype", ["int64", "int16", "uint8", "float32"])
def test_dtype_overrides(dtype: str, algorithm: str) -> None:
    """`dtype` is that of the result with zero points too."""
    x, w = random_bytes(4, ((2, 5, 6), UINT8), ((3, 2, 3, 3), INT8))
    window = Window((5, 6), (3, 3), (1, 1), ((1, 1),) * 2, (1, 1))
    expected = shifted_sums(x, w, "CHW", window, x_zero_point=200, w_zero_point=[-3, 4, 127]).astype(dtype)
    options: dict[str, Any] = {"x_zero_point": 200, "w_zero_point": [-3, 4, 127], "padding": 1, "dtype": dtype}
    np.testing.assert_array_equal(by(algorithm, conv, x, w, **options), expected, strict=True)


def test_no_zero_point_is_no_zero_point() -> None:
    """Zeros, in any spelling, give what no zero points give, for every dtype."""
    for dtype in ("int8", "uint8", "bool", "int16", "int32", "float32", "complex64"):
        x, w = np.ones((2, 4, 5), dtype), np.ones((3, 2, 3, 3), dtype)
        expected = conv(x, w, padding=1, padding_value=1)
        for zero in (0, np.int8(0), [0, 0, 0], np.zeros(3, np.uint8)):
            result = conv(x, w, padding=1, padding_value=1, x_zero_point=0, w_zero_point=zero)
            np.testing.assert_array_equal(result, expected, strict=True)


@pytest.mark.parametrize(("function", "k"), [(conv1d, 1), (conv2d, 2), (conv3d, 3)])
def test_numbered_functions_take_zero_points(function: Callable[..., Array], k: int) -> None:
    """conv1d, conv2d and conv3d give what conv gives, for plain kernels too."""
    x, w = random_bytes(5, ((2, *(5, 4, 6)[:k]), UINT8), ((3, 2, *(2, 3, 2)[:k]), INT8))
    options: dict[str, Any] = {"x_zero_point": 130, "padding": 1}
    expected = conv(x, w, w_zero_point=[1, -2, 3], **options)
    np.testing.assert_array_equal(function(x, w, w_zero_point=[1, -2, 3], **options), expected)
    plain = conv(x[0], w[:1, :1], w_zero_point=-2, **options)
    np.testing.assert_array_equal(function(x[0], w[0, 0], w_zero_point=-2, **options), plain)


def test_plans_keep_their_zero_points() -> None:
    """A plan gives what `conv` gives, image after image, also after the caller's array of zero points has changed."""
    w, each, *images = random_bytes(6, ((4, 3, 3, 3), INT8), ((4,), INT8), *[((2, 3, 6, 7), UINT8)] * 3)
    mine = each.copy()
    prepared = plan((2, 3, 6, 7), w, x_dtype=np.uint8, x_zero_point=77, w_zero_point=mine, padding=1)
    mine[:] = 0
    pickled = pickle.loads(pickle.dumps(prepared))  # noqa: S301 (our own)
    for image in images:
        expected = conv(image, w, x_zero_point=77, w_zero_point=each, padding=1, algorithm="reference")
        np.testing.assert_array_equal(prepared(image), expected, strict=True)
        np.testing.assert_array_equal(pickled(image), expected, strict=True)
        out = np.full((2, 4, 6, 7), 7, np.int32)
        assert prepared(image, out) is out
        np.testing.assert_array_equal(out, expected)


def test_quantized_plans_are_quantized_conv() -> None:
    """A plan and a pickle of it give what `quantized_conv` gives, whatever the caller's arrays become."""
    w, each, bias, image = random_bytes(
        13, ((4, 3, 3, 3), INT8), ((4,), INT8), ((4,), np.dtype(np.int16)), ((2, 3, 6, 7), UINT8)
    )
    options: dict[str, Any] = {"x_scale": 0.25, "y_scale": 60.0, "x_zero_point": 77, "y_zero_point": 99, "padding": 1}
    scale = np.array([0.25, 0.5, 1, 2], np.float32)
    expected = quantized_conv(image, w, bias, w_scale=scale, w_zero_point=each, **options)
    assert len(np.unique(expected)) > 20
    prepared = plan_quantized(image.shape, w, bias, w_scale=scale, w_zero_point=each, **options)
    for mine in (w, each, bias, scale):
        mine[...] = 1
    for one in (prepared, pickle.loads(pickle.dumps(prepared))):  # noqa: S301 (our own)
        np.testing.assert_array_equal(one(image), expected, strict=True)


def test_calls_with_other_zero_points_do_not_mix() -> None:
    """What is remembered of one call is not taken for another that differs in a zero point or in the padding alone."""
    x, w = random_bytes(7, ((2, 5, 6), INT8), ((3, 2, 3, 3), INT8))
    window = Window((5, 6), (3, 3), (1, 1), ((1, 1),) * 2, (1, 1))
    for _ in range(2):
        for x_zero_point, w_zero_point, value in itertools.product((0, 5, -5), (0, 5, [0, 1, 2]), (None, 0, 5)):
            given: dict[str, Any] = {} if value is None else {"padding_value": value}
            zero_points: dict[str, Any] = {"x_zero_point": x_zero_point, "w_zero_point": w_zero_point}
            expected = shifted_sums(x, w, "CHW", window, value=value, **zero_points)
            np.testing.assert_array_equal(conv(x, w, padding=1, **zero_points, **given), expected)


# Rescaling, one property at a time.


def of_sums(sums: Sequence[int], **options: Any) -> Array:
    """Return what `quantized_conv` makes of sums that are given: those of nothing with a bias."""
    bias = np.array(sums, np.int32)
    w = np.ones((len(bias), 1, 1), np.int8)
    x_dtype = options.pop("x_dtype", np.int8)
    result: Array = quantized_conv(np.zeros((1, 3), x_dtype), w, bias, **options)[:, 0]
    return result


UNIT: dict[str, Any] = {"x_scale": 1, "w_scale": 1, "y_scale": 1}


@pytest.mark.parametrize("zero_point", [0, 1, -1, 7, -100])
def test_halves_go_to_the_even_integer(zero_point: int) -> None:
    """They are rounded before the zero point is added, whether that is even or odd."""
    sums = range(-13, 14)
    rounded = [-6, -6, -6, -5, -4, -4, -4, -3, -2, -2, -2, -1, 0, 0, 0, 1, 2, 2, 2, 3, 4, 4, 4, 5, 6, 6, 6]
    result = of_sums(sums, y_zero_point=zero_point, **UNIT | {"y_scale": 2})
    assert result.tolist() == [max(v + zero_point, -128) for v in rounded]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("dtype", [INT8, UINT8], ids=str)
def test_results_saturate(dtype: np.dtype[Any], algorithm: str) -> None:
    """What lies beyond an end of the dtype becomes that end, however far it lies."""
    info = np.iinfo(dtype)
    for zero_point in (info.min, info.min + 1, 50, info.max):
        inside = [info.min - zero_point, info.max - zero_point]
        sums = [-(2**31), -70000, -1000, inside[0] - 1, *inside, inside[1] + 1, 1000, 70000, 2**31 - 1]
        expected = [info.min] * 5 + [info.max] * 5
        options: dict[str, Any] = UNIT | {"dtype": dtype, "y_zero_point": zero_point}
        result = by(algorithm, of_sums, sums, **options)
        assert result.tolist() == expected
        assert result.dtype == dtype


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("zero_point", [-128, -3, 0, 5, 127])
def test_relu_ends_at_the_zero_point(zero_point: int, algorithm: str) -> None:
    """The activation is that of the real value, whose 0 is the zero point; all else is as without it."""
    sums = [-(2**31), -500, -3, -2, -1, 0, 1, 2, 3, 500, 2**31 - 1]
    options: dict[str, Any] = UNIT | {"y_scale": 2, "y_zero_point": zero_point}
    plain = of_sums(sums, **options)
    result = by(algorithm, of_sums, sums, activation="relu", **options)
    assert result.tolist() == [max(v, zero_point) for v in plain.tolist()]


def test_dtype_of_the_result() -> None:
    """It is the image's unless `dtype` says otherwise, in any spelling."""
    sums = [-5, 5, 200]
    assert of_sums(sums, **UNIT).dtype == np.int8
    assert of_sums(sums, x_dtype=np.uint8, **UNIT).dtype == np.uint8
    for dtype in (np.uint8, "uint8", UINT8):
        result = of_sums(sums, dtype=dtype, **UNIT)
        assert (result.dtype, result.tolist()) == (UINT8, [0, 5, 200])
    result = of_sums(sums, x_dtype=np.uint8, dtype=np.int8, **UNIT)
    assert (result.dtype, result.tolist()) == (INT8, [-5, 5, 127])


def hard_cases(count: int = 3000) -> tuple[list[int], float, list[float], float]:
    """Return sums and scales that put every result so near to a half that each rounding decides."""
    rng = np.random.default_rng(8)
    x_scale, y_scale = float(np.float32(0.0173)), float(np.float32(0.0519))
    sums = (rng.integers(1, 2**31, count) >> rng.integers(0, 28, count)).astype(np.int64) + 1
    sums = np.minimum(sums, 2**31 - 1)
    halves = rng.integers(0, 100, count) + 0.5
    w_scales = (halves * y_scale / x_scale / sums).astype(np.float32)
    return (sums * rng.choice([1, -1], count)).tolist(), x_scale, w_scales.tolist(), y_scale


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_rounding_is_that_of_float32(algorithm: str) -> None:
    """Scales are multiplied, then divided, then multiplied with the sum, each rounded to float32: near halves it shows.

    Neither other orders of the three scales nor wider numbers would give the same.
    """
    sums, x_scale, w_scale, y_scale = hard_cases()
    factors = rescaling(x_scale, w_scale, y_scale)
    expected = requantized(np.array(sums, np.int32), factors, 3, INT8, 0)
    options: dict[str, Any] = {"x_scale": x_scale, "w_scale": w_scale, "y_scale": y_scale, "y_zero_point": 3}
    np.testing.assert_array_equal(by(algorithm, of_sums, sums, **options), expected)
    x, w, y = np.float32(x_scale), np.array(w_scale, np.float32), np.float32(y_scale)
    for others in (x * (w / y), (x / y) * w, x_scale * np.array(w_scale) / y_scale):
        other = np.rint(np.array(sums, np.float32) * others.astype(np.float32)).astype(int) + 3
        assert np.count_nonzero(other != expected) > 10
    wide = np.rint(np.array(sums) * np.array(factors)).astype(int) + 3
    assert np.count_nonzero(wide != expected) > 10


def test_scales_are_rounded_to_float32() -> None:
    """A scale of double precision is its nearest float32."""
    sums, x_scale, w_scale, y_scale = hard_cases(500)
    near = {"x_scale": x_scale * (1 + 2.0**-26), "y_scale": y_scale * (1 - 2.0**-27)}
    expected = of_sums(sums, x_scale=x_scale, w_scale=w_scale, y_scale=y_scale)
    np.testing.assert_array_equal(of_sums(sums, w_scale=w_scale, **near), expected)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_scales_far_from_one(algorithm: str) -> None:
    """Scales whose quotient is tiny or huge give the zero point, or the ends."""
    sums = [-(2**31), -1, 0, 1, 2**31 - 1]
    tiny: dict[str, Any] = {"x_scale": 1e-30, "w_scale": 1e-6, "y_scale": 1e4, "y_zero_point": 9}
    assert by(algorithm, of_sums, sums, **tiny).tolist() == [9] * 5
    huge: dict[str, Any] = {"x_scale": 1e30, "w_scale": 1e6, "y_scale": 1.0, "y_zero_point": 9}
    assert by(algorithm, of_sums, sums, **huge).tolist() == [-128, -128, 9, 127, 127]


@pytest.mark.parametrize("name", one_in(6, LAYERS))
def test_rescaled_layers(name: str) -> None:
    """Layers of every kind, by every algorithm, with one thread and with three: the rescaled sums."""
    x_shape, w_shape, options = LAYERS[name]
    x_dtype, w_dtype = PAIRS[list(LAYERS).index(name) % len(PAIRS)]
    x, w, each, bias = random_bytes(
        9, (x_shape, x_dtype), (w_shape, w_dtype), (w_shape[:1], w_dtype), (w_shape[:1], np.dtype(np.int16))
    )
    x_zero_point = int(np.median(x))
    bias = bias.astype(np.int32)
    sums = conv(x, w, bias, x_zero_point=x_zero_point, w_zero_point=each, algorithm="reference", **options)
    rng = np.random.default_rng(10)
    w_scale = rng.uniform(0.001, 0.02, len(w)).astype(np.float32)
    y_scale = 0.02 * 0.01 * float(np.abs(sums).max()) / 100
    layout = options.get("layout", "NCDHW"[:2] + "DHW"[5 - x.ndim :])
    factors = rescaling(0.02, w_scale.tolist(), y_scale)
    for dtype, zero_point, activation in ((INT8, -7, None), (UINT8, 131, "relu")):
        expected = requantized(sums, factors, zero_point, dtype, channel_axis(layout), activation is not None)
        assert len(np.unique(expected)) > 20
        for algorithm, threads in WAYS if activation is None else WAYS[1:]:
            result = by(
                algorithm,
                quantized_conv,
                x,
                w,
                bias,
                x_scale=0.02,
                w_scale=w_scale,
                y_scale=y_scale,
                x_zero_point=x_zero_point,
                w_zero_point=each,
                y_zero_point=zero_point,
                dtype=dtype,
                activation=activation,
                threads=threads,
                **options,
            )
            np.testing.assert_array_equal(result, expected, strict=True, err_msg=algorithm)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_empty_results(algorithm: str) -> None:
    """No images or no filters give nothing, no channels the bias."""
    options: dict[str, Any] = UNIT | {"x_zero_point": 3, "w_zero_point": 2, "y_zero_point": 5}
    for x_shape, w_shape, shape in (
        ((0, 2, 5, 5), (3, 2, 3, 3), (0, 3, 3, 3)),
        ((2, 2, 5, 5), (0, 2, 3, 3), (2, 0, 3, 3)),
        ((2, 0, 5, 5), (3, 0, 3, 3), (2, 3, 3, 3)),
    ):
        bias = np.arange(w_shape[0], dtype=np.int32)
        result = by(algorithm, quantized_conv, np.ones(x_shape, np.int8), np.ones(w_shape, np.int8), bias, **options)
        expected = np.broadcast_to((bias + 5)[:, None, None], shape)
        np.testing.assert_array_equal(result, expected)
        assert result.dtype == np.int8


# ONNX.

SAME = {"SAME_UPPER": "same", "SAME_LOWER": "same_lower", "VALID": "valid"}
ONNX: dict[str, tuple[tuple[int, ...], tuple[int, ...], Onnx]] = {
    "plain": ((2, 3, 5, 6), (4, 3, 3, 3), {}),
    "asymmetric pads": ((1, 3, 5, 6), (4, 3, 3, 3), {"pads": [1, 0, 2, 1]}),
    "strides": ((1, 3, 7, 6), (4, 3, 3, 2), {"strides": [2, 3], "pads": [1, 1, 1, 1]}),
    "dilations": ((1, 3, 9, 8), (4, 3, 3, 3), {"dilations": [2, 3], "pads": [1, 2, 0, 2]}),
    "groups": ((1, 4, 5, 6), (6, 2, 3, 3), {"group": 2, "pads": [1, 1, 1, 1]}),
    "depthwise": ((1, 5, 5, 6), (5, 1, 3, 3), {"group": 5, "pads": [1, 1, 1, 1]}),
    "1×1": ((2, 20, 5, 6), (17, 20, 1, 1), {}),
    "many channels": ((1, 70, 4, 5), (18, 70, 3, 3), {"pads": [1, 1, 1, 1]}),
    "same upper": ((1, 2, 7, 6), (3, 2, 4, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "same lower": ((1, 2, 7, 6), (3, 2, 4, 3), {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    "valid": ((1, 2, 7, 6), (3, 2, 4, 3), {"auto_pad": "VALID", "strides": [2, 2]}),
    "one axis": ((2, 3, 9), (4, 3, 3), {"pads": [1, 2], "strides": [2]}),
    "three axes": ((1, 2, 3, 4, 3), (3, 2, 2, 2, 2), {"pads": [1, 0, 1, 0, 1, 1]}),
}
TENSORS = ("scalars", "scales", "zero points")
"""Whether the filters share their scale and zero point, only the latter, or neither."""


def options_of(attributes: Onnx, k: int) -> dict[str, Any]:
    """Return attributes of the operators as our arguments."""
    pads = attributes.get("pads", [0] * (2 * k))
    return {
        "stride": tuple(attributes.get("strides", [1] * k)),
        "dilation": tuple(attributes.get("dilations", [1] * k)),
        "groups": attributes.get("group", 1),
        "padding": SAME.get(attributes.get("auto_pad", ""), tuple(zip(pads[:k], pads[k:], strict=True))),
    }


def window_of(x_shape: tuple[int, ...], w_shape: tuple[int, ...], attributes: Onnx) -> Window:
    """Return attributes of the operators in plain numbers."""
    axes = options_of(attributes, len(w_shape) - 2)
    sizes, kernel = x_shape[2:], w_shape[2:]
    pairs = axes["padding"]
    if isinstance(pairs, str):
        numbers = zip(sizes, kernel, axes["stride"], axes["dilation"], strict=True)
        pairs = tuple(named_padding(axes["padding"], *each) for each in numbers)
    return Window(sizes, kernel, axes["stride"], pairs, axes["dilation"])


def by_onnx(operator: str, inputs: dict[str, Array], attributes: Onnx, dtype: np.dtype[Any]) -> Array:
    """Return what the standard's own evaluator gives."""
    return by_evaluator(model_of(operator, inputs, attributes, [dtype], 10), inputs)[0]


def by_runtime(operator: str, inputs: dict[str, Array], attributes: Onnx, dtype: np.dtype[Any]) -> Array:
    """Return what the runtime gives."""
    return by_onnxruntime(model_of(operator, inputs, attributes, [dtype], 10), inputs)[0]


@dataclass(frozen=True)
class Model:
    """The inputs of both operators, and what they mean."""

    x: Array
    w: Array
    bias: Array
    x_zero_point: Array
    w_zero_point: Array
    x_scale: Array
    w_scale: Array
    y_scale: Array
    y_zero_point: Array
    attributes: Onnx

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the result; the runtime wants it to be the image's."""
        return self.y_zero_point.dtype

    @property
    def zero_points(self) -> dict[str, Any]:
        """The image's and the filters', as our arguments."""
        each = self.w_zero_point
        return {"x_zero_point": int(self.x_zero_point), "w_zero_point": each if each.ndim else int(each)}

    @property
    def options(self) -> dict[str, Any]:
        """The attributes, as our arguments."""
        return options_of(self.attributes, self.w.ndim - 2)

    @property
    def inputs(self) -> dict[str, Array]:
        """Inputs of QLinearConv."""
        names = ("x", "x_scale", "x_zero_point", "w", "w_scale", "w_zero_point", "y_scale", "y_zero_point", "bias")
        return {name: getattr(self, name) for name in names}

    @property
    def integer_inputs(self) -> dict[str, Array]:
        """Inputs of ConvInteger."""
        return {name: getattr(self, name) for name in ("x", "w", "x_zero_point", "w_zero_point")}

    def ours(self, bias: bool = True, **options: Any) -> Array:
        """Return what QLinearConv means by our arguments."""
        return quantized_conv(
            self.x,
            self.w,
            self.bias if bias else None,
            x_scale=float(self.x_scale),
            w_scale=self.w_scale if self.w_scale.ndim else float(self.w_scale),
            y_scale=float(self.y_scale),
            y_zero_point=int(self.y_zero_point),
            dtype=self.dtype,
            **self.zero_points,
            **self.options,
            **options,
        )

    def sums(self, bias: bool = False) -> NDArray[np.int32]:
        """Return what ConvInteger means, by the oracle."""
        layout = "NC" + "DHW"[5 - self.x.ndim :]
        window = window_of(self.x.shape, self.w.shape, self.attributes)
        options: dict[str, Any] = {"bias": self.bias if bias else None, "groups": self.options["groups"]}
        zero_points = self.zero_points | {"w_zero_point": self.w_zero_point.tolist()}
        return shifted_sums(self.x, self.w, layout, window, **zero_points, **options)

    def expected(self, bias: bool = True) -> Array:
        """Return what QLinearConv means, by the oracle."""
        w_scale = np.broadcast_to(self.w_scale, len(self.w)).tolist()
        factors = rescaling(float(self.x_scale), w_scale, float(self.y_scale))
        return requantized(self.sums(bias), factors, int(self.y_zero_point), self.dtype, 1)


def model(name: str, dtypes: tuple[np.dtype[Any], np.dtype[Any]], tensors: str = "scalars") -> Model:
    """Return the operators' inputs for a layer of ONNX."""
    x_shape, w_shape, attributes = ONNX[name]
    filters = w_shape[:1]
    rng = np.random.default_rng(11)
    x, w, x_zero_point, w_zero_point, each, y_zero_point = random_bytes(
        12,
        (x_shape, dtypes[0]),
        (w_shape, dtypes[1]),
        ((), dtypes[0]),
        ((), dtypes[1]),
        (filters, dtypes[1]),
        ((), dtypes[0]),
    )
    if w.dtype == np.int8:
        # Where a CPU has no dot product of bytes, the runtime adds two products of uint8 and int8 in int16, which
        # saturates, as its documentation of quantisation says. Weights of 7 bits are safe from that.
        w = w // 2
    w_scale = rng.uniform(0.005, 0.05, filters).astype(np.float32)
    return Model(
        x=x,
        w=w,
        bias=rng.integers(-20000, 20000, filters, np.int32),
        x_zero_point=x_zero_point,
        w_zero_point=each if tensors == "zero points" else w_zero_point,
        x_scale=np.array(0.013, np.float32),
        w_scale=np.array(0.021, np.float32) if tensors == "scalars" else w_scale,
        y_scale=np.array(0.37 * w[0].size ** 0.5, np.float32),
        y_zero_point=y_zero_point,
        attributes=attributes,
    )


@pytest.mark.wide
@pytest.mark.parametrize(("x_dtype", "w_dtype"), PAIRS, ids=NAMES)
@pytest.mark.parametrize("name", ONNX)
def test_conv_integer(name: str, x_dtype: np.dtype[Any], w_dtype: np.dtype[Any]) -> None:
    """ConvInteger of the runtime and of the standard's evaluator is `conv` with zero points.

    For int8 pixels and uint8 weights the runtime (1.32) saturates pairs of products in 16 bits on CPUs without VNNI.
    """
    case = model(name, (x_dtype, w_dtype))
    expected = case.sums()
    saturates = (x_dtype, w_dtype) == (INT8, UINT8) and not host().has_dot("u1i1")
    for theirs in (by_onnx,) if saturates else (by_runtime, by_onnx):
        result = theirs("ConvInteger", case.integer_inputs, case.attributes, np.dtype(np.int32))
        np.testing.assert_array_equal(result, expected, strict=True, err_msg=theirs.__name__)
    ours = conv(case.x, case.w, **case.zero_points, **case.options)
    np.testing.assert_array_equal(ours, expected, strict=True)


@pytest.mark.wide
@pytest.mark.parametrize(("x_dtype", "w_dtype"), PAIRS, ids=NAMES)
@pytest.mark.parametrize("name", [name for name, (x_shape, _, _) in ONNX.items() if len(x_shape) == 4])
def test_conv_integer_with_a_zero_point_for_each_filter(
    name: str, x_dtype: np.dtype[Any], w_dtype: np.dtype[Any]
) -> None:
    """The standard's evaluator takes them for two spatial axes, the runtime not at all."""
    case = model(name, (x_dtype, w_dtype), "zero points")
    theirs = by_onnx("ConvInteger", case.integer_inputs, case.attributes, np.dtype(np.int32))
    np.testing.assert_array_equal(theirs, case.sums(), strict=True)
    ours = conv(case.x, case.w, **case.zero_points, **case.options)
    np.testing.assert_array_equal(ours, theirs, strict=True)


@pytest.mark.wide
@pytest.mark.parametrize("tensors", TENSORS)
@pytest.mark.parametrize("dtypes", [(UINT8, UINT8), (UINT8, INT8), (INT8, INT8)], ids=lambda d: f"{d[0]}-{d[1]}")
@pytest.mark.parametrize("name", ONNX)
def test_qlinear_conv_of_the_runtime(name: str, dtypes: tuple[np.dtype[Any], np.dtype[Any]], tensors: str) -> None:
    """The runtime's QLinearConv, for the dtypes that it takes, is ours with and without a bias."""
    case = model(name, dtypes, tensors)
    for bias in (True, False):
        inputs = {name: a for name, a in case.inputs.items() if bias or name != "bias"}
        theirs = by_runtime("QLinearConv", inputs, case.attributes, case.dtype)
        np.testing.assert_array_equal(theirs, case.expected(bias), strict=True)
        np.testing.assert_array_equal(case.ours(bias), theirs, strict=True)


@pytest.mark.wide
@pytest.mark.parametrize("tensors", TENSORS)
@pytest.mark.parametrize(("x_dtype", "w_dtype"), PAIRS, ids=NAMES)
@pytest.mark.parametrize("name", ONNX)
def test_qlinear_conv_of_the_standard(name: str, x_dtype: np.dtype[Any], w_dtype: np.dtype[Any], tensors: str) -> None:
    """The standard's evaluator, which takes every dtype, agrees as well, where it does what the standard says.

    It gives each filter its scale for two spatial axes alone. Its numbers are double, and it rounds after the zero
    point has been added, so at halves and next to them it says something else: these cases have none.
    """
    case = model(name, (x_dtype, w_dtype), tensors)
    if tensors != "scalars" and case.w.ndim != 4:
        case = replace(case, w_scale=np.array(0.021, np.float32))
    case = replace(case, y_zero_point=np.array(77, UINT8 if tensors == "scales" else INT8))
    theirs = by_onnx("QLinearConv", case.inputs, case.attributes, case.dtype)
    np.testing.assert_array_equal(theirs, case.expected(), strict=True)
    np.testing.assert_array_equal(case.ours(), theirs, strict=True)


def hard_model(zero_point: int) -> Model:
    """Return a model whose sums and scales are those of `hard_cases`."""
    sums, x_scale, w_scale, y_scale = hard_cases()
    return Model(
        x=np.zeros((1, 1, 2, 3), np.int8),
        w=np.ones((len(sums), 1, 1, 1), np.int8),
        bias=np.array(sums, np.int32),
        x_zero_point=np.array(0, np.int8),
        w_zero_point=np.array(0, np.int8),
        x_scale=np.array(x_scale, np.float32),
        w_scale=np.array(w_scale, np.float32),
        y_scale=np.array(y_scale, np.float32),
        y_zero_point=np.array(zero_point, np.int8),
        attributes={},
    )


@pytest.mark.wide
@pytest.mark.parametrize("zero_point", [0, 3, -10])
def test_roundings_are_those_of_the_runtime(zero_point: int) -> None:
    """Next to halves too, with large sums and with odd zero points."""
    case = hard_model(zero_point)
    theirs = by_runtime("QLinearConv", case.inputs, {}, INT8)
    np.testing.assert_array_equal(theirs, case.expected(), strict=True)
    np.testing.assert_array_equal(case.ours(), theirs, strict=True)


@pytest.mark.wide
def test_halves_of_onnx() -> None:
    """The runtime rounds halves before it adds an odd zero point, as QuantizeLinear does; the evaluator after that."""
    halves = replace(
        hard_model(0),
        w=np.ones((27, 1, 1, 1), np.int8),
        bias=np.arange(-13, 14, dtype=np.int32),
        x_scale=np.array(1, np.float32),
        w_scale=np.array(1, np.float32),
        y_scale=np.array(2, np.float32),
    )
    for zero_point in (-4, 0, 1, 7):
        case = replace(halves, y_zero_point=np.array(zero_point, np.int8))
        theirs = by_runtime("QLinearConv", case.inputs, {}, INT8)
        np.testing.assert_array_equal(case.ours(), theirs, strict=True)
        evaluated = by_onnx("QLinearConv", case.inputs, {}, INT8)
        assert np.array_equal(evaluated, theirs) is (zero_point % 2 == 0)


# Errors.

X, W = np.ones((1, 3, 4, 4), np.uint8), np.ones((2, 3, 3, 3), np.int8)
Wrong = list[tuple[tuple[type[Exception], ...], str, dict[str, Any]]]
ZERO_POINTS: Wrong = [
    ((ArgumentError,), r"x_zero_point.* 256", {"x_zero_point": 256}),
    ((ArgumentError,), r"x_zero_point.* -1", {"x_zero_point": -1}),
    ((ArgumentError,), r"x_zero_point.* -129", {"x": X.astype(np.int8), "x_zero_point": -129}),
    ((ArgumentError,), r"x_zero_point.*\b128", {"x": X.astype(np.int8), "x_zero_point": np.uint8(128)}),
    ((ArgumentError, DTypeError), r"x_zero_point.* 1\.5", {"x_zero_point": 1.5}),
    ((ArgumentError, DTypeError), r"x_zero_point", {"x_zero_point": "3"}),
    ((ArgumentError, DTypeError), r"x_zero_point", {"x_zero_point": None}),
    ((ArgumentError, ShapeError), r"x_zero_point", {"x_zero_point": [1, 2, 3]}),
    ((ArgumentError, ShapeError), r"x_zero_point", {"x_zero_point": [0, 0, 0]}),
    ((ArgumentError, DTypeError), r"x_zero_point.* 0\.0", {"x_zero_point": 0.0}),
    ((ArgumentError,), r"w_zero_point.* 128", {"w_zero_point": 128}),
    ((ArgumentError,), r"w_zero_point.* -129", {"w_zero_point": -129}),
    ((ArgumentError,), r"w_zero_point.*\b200", {"w_zero_point": [0, 200]}),
    ((ArgumentError,), r"w_zero_point.*-200", {"w_zero_point": np.array([-200, 0])}),
    ((ArgumentError,), r"w_zero_point.*\b255", {"w_zero_point": np.array([255, 0], np.uint8)}),
    ((ArgumentError, DTypeError), r"w_zero_point", {"w_zero_point": [0.5, 1]}),
    ((ArgumentError, DTypeError), r"w_zero_point", {"w_zero_point": "3"}),
    ((ArgumentError, DTypeError), r"w_zero_point", {"w_zero_point": None}),
    ((ShapeError,), r"w_zero_point.*\(3,\)", {"w_zero_point": [1, 2, 3]}),
    ((ShapeError,), r"w_zero_point.*\(3,\)", {"w_zero_point": [0, 0, 0]}),
    ((ShapeError,), r"w_zero_point.*\(2, 1\)", {"w_zero_point": [[1], [2]]}),
]
SHARED: Wrong = [
    ((ShapeError,), "bias", {"bias": np.ones(3, np.int32)}),
    ((ShapeError,), "2 .*channels|channels .*2", {"x": X[:, :2]}),
    ((GeometryError,), "stride must be at least 1, got 0", {"stride": 0}),
    ((GeometryError,), "padding", {"padding": -1}),
    ((GeometryError,), "axis H", {"dilation": (2, 1)}),
    ((LayoutError,), "layout", {"layout": "nchw"}),
    ((ArgumentError,), "padding_mode.*'zeros'", {"padding_mode": "zeros"}),
    ((ArgumentError,), "algorithm.*'fast'", {"algorithm": "fast"}),
    ((ArgumentError,), "threads must be a positive integer or None, got 0", {"threads": 0}),
    ((OutputError,), "out is a list", {"out": [7]}),
]
SCALES: Wrong = [
    *(
        ((ArgumentError,), name, {name: wrong})
        for name in ("x_scale", "w_scale", "y_scale")
        for wrong in (0, 0.0, -1.0, np.inf, -np.inf, np.nan, 1e39, 1e-60)
    ),
    *(((ArgumentError,), "w_scale", {"w_scale": [1.0, wrong]}) for wrong in (0.0, -1.0, np.inf, np.nan)),
    *(
        ((ArgumentError, DTypeError), name, {name: wrong})
        for name in ("x_scale", "w_scale", "y_scale")
        for wrong in ("1", None, 1j)
    ),
    *(((ArgumentError, ShapeError), name, {name: [1.0, 2.0]}) for name in ("x_scale", "y_scale")),
    ((ShapeError,), r"w_scale.*\(3,\)", {"w_scale": [1.0, 2.0, 3.0]}),
    ((ShapeError,), r"w_scale.*\(2, 1\)", {"w_scale": [[1.0], [2.0]]}),
    ((ArgumentError,), "y_zero_point.* 256", {"y_zero_point": 256}),
    ((ArgumentError,), "y_zero_point.* -1", {"y_zero_point": -1}),
    (
        (ArgumentError,),
        "y_zero_point.* 128",
        {"y_zero_point": 128, "dtype": np.int8, "out": np.full((1, 2, 2, 2), 7, np.int8)},
    ),
    ((ArgumentError, DTypeError), r"y_zero_point.* 0\.5", {"y_zero_point": 0.5}),
    ((ArgumentError, ShapeError), "y_zero_point", {"y_zero_point": [1, 2]}),
    *(
        ((ArgumentError,), f"activation.*{re.escape(repr(wrong))}", {"activation": wrong})
        for wrong in ("relu6", "sigmoid", "tanh", ("leaky_relu", 0.1))
    ),
    *(((ArgumentError, DTypeError), f"dtype.*{wrong}", {"dtype": wrong}) for wrong in ("int32", "float32", "bool")),
    ((DTypeError,), "float32", {"x": X.astype(np.float32)}),
    ((DTypeError,), "int16", {"w": W.astype(np.int16)}),
    ((DTypeError,), "bool", {"x": X.astype(bool)}),
    ((DTypeError,), "masked", {"x": np.ma.masked_array(X)}),
    ((DTypeError,), "bias.*float64", {"bias": np.ones(2)}),
    ((OutputError,), r"out has dtype int32", {"out": np.full((1, 2, 2, 2), 7, np.int32)}),
    ((OutputError,), r"out has shape \(1, 2, 2, 3\)", {"out": np.full((1, 2, 2, 3), 7, np.uint8)}),
]


def check_wrong(
    function: Callable[..., Array], good: dict[str, Any], errors: tuple[type[Exception], ...], match: str, wrong: Any
) -> None:
    """Assert that a good call with wrong arguments raises one of these errors, and writes nothing to `out`."""
    try:
        function(**good | wrong)
    except errors as error:
        check_refused(function, good, type(error), match, wrong)
    else:
        pytest.fail("nothing was raised")


@pytest.mark.parametrize(("errors", "match", "wrong"), ZERO_POINTS + SHARED)
def test_wrong_arguments_of_conv(errors: tuple[type[Exception], ...], match: str, wrong: dict[str, Any]) -> None:
    """Each is refused by name, and `out` stays as it was."""
    good = {"x": X, "w": W, "out": np.empty((1, 2, 2, 2), np.int32)}
    check_wrong(conv, good, errors, match, wrong)


@pytest.mark.parametrize(("errors", "match", "wrong"), ZERO_POINTS + SHARED + SCALES)
def test_wrong_arguments_of_quantized_conv(
    errors: tuple[type[Exception], ...], match: str, wrong: dict[str, Any]
) -> None:
    """Each is refused by name, and `out` stays as it was."""
    good = {"x": X, "w": W, "out": np.empty((1, 2, 2, 2), np.uint8), **UNIT}
    check_wrong(quantized_conv, good, errors, match, wrong)


@pytest.mark.parametrize(
    ("x_dtype", "w_dtype"),
    [
        ("float32", "float32"),
        ("int16", "int8"),
        ("int8", "int16"),
        ("int32", "int32"),
        ("bool", "int8"),
        ("bool", "bool"),
    ],
)
@pytest.mark.parametrize(
    ("name", "value"), [("x_zero_point", 1), ("w_zero_point", 1), ("w_zero_point", np.array([0, 1]))]
)
def test_zero_points_are_for_bytes(x_dtype: str, w_dtype: str, name: str, value: Any) -> None:
    """Where image or filters have another dtype, a zero point is refused by its name."""
    with pytest.raises((ArgumentError, DTypeError), match=rf"\Aconv: .*{name}"):
        conv(X.astype(x_dtype), W.astype(w_dtype), **{name: value})


def test_plans_refuse_what_conv_refuses() -> None:
    """In their own name."""
    with pytest.raises(ArgumentError, match=r"\Aplan: .*x_zero_point.* 256"):
        plan(X.shape, W, x_dtype=np.uint8, x_zero_point=256)
    with pytest.raises(ShapeError, match=r"\Aplan: .*w_zero_point.*\(3,\)"):
        plan(X.shape, W, x_dtype=np.uint8, w_zero_point=[1, 2, 3])


@pytest.mark.parametrize("name", ["x_scale", "w_scale", "y_scale"])
def test_scales_are_needed(name: str) -> None:
    """There is no scale by default."""
    given = {key: value for key, value in UNIT.items() if key != name}
    with pytest.raises(TypeError, match=rf"\Aquantized_conv\(\) .*'{name}'"):
        quantized_conv(X, W, **given)


@pytest.mark.parametrize("keyword", ["strides", "scale"])
def test_unknown_keywords(keyword: str) -> None:
    """A keyword that it does not have is a TypeError in its name."""
    arguments: dict[str, Any] = UNIT | {keyword: 2}
    message = f"quantized_conv() got an unexpected keyword argument '{keyword}'"
    with pytest.raises(TypeError, match=re.escape(message)):
        quantized_conv(X, W, **arguments)


def test_out_may_not_share_memory() -> None:
    """Neither with the image nor with the filters."""
    memory = np.ones(200, np.uint8)
    x, w = memory[:48].reshape(1, 3, 4, 4), memory[60:114].reshape(2, 3, 3, 3)
    for start in (40, 56, 110):
        with pytest.raises(OutputError, match=r"\Aquantized_conv: out shares memory with an input"):
            quantized_conv(x, w, out=memory[start : start + 8].reshape(1, 2, 2, 2), **UNIT)


def test_one_value_in_an_array_is_for_all_filters() -> None:
    """ONNX writes what belongs to a whole tensor with one axis of one element."""
    x, w = random_bytes(9, ((3, 5, 6), UINT8), ((4, 3, 3, 3), INT8))
    one = {"x_scale": [0.5], "w_scale": [0.25], "y_scale": [64.0], "x_zero_point": [7], "w_zero_point": [-3]}
    plain: dict[str, Any] = {"x_scale": 0.5, "w_scale": 0.25, "y_scale": 64.0, "x_zero_point": 7, "w_zero_point": -3}
    result = quantized_conv(x, w, **one)  # type: ignore[arg-type]  # ONNX's shapes
    np.testing.assert_array_equal(result, quantized_conv(x, w, **plain), strict=True)


@pytest.mark.parametrize("dtype", ["uint16", "int16", "uint32", "uint64"])
@pytest.mark.parametrize("groups", [1, 3])
def test_zero_points_wrap_in_any_dtype(dtype: str, groups: int) -> None:
    """Sums of fewer or more bits, with and without a sign, are the int32 sums cut or grown."""
    x, w = random_bytes(11, ((3, 6, 5), UINT8), ((3, 3 // groups, 2, 2), INT8))
    sums = conv(x, w, x_zero_point=200, groups=groups)
    result = conv(x, w, x_zero_point=200, groups=groups, dtype=dtype)
    np.testing.assert_array_equal(result, sums.astype(dtype), strict=True)


@pytest.mark.parametrize("name", ["x_scale", "w_scale", "y_scale"])
def test_scales_that_answer_nothing(name: str) -> None:
    """What a scale is, is asked of its class: a reference to what is gone raises at any question."""
    scales: dict[str, Any] = {"x_scale": 1, "w_scale": 1, "y_scale": 1, name: weakref.proxy(set())}
    with pytest.raises(Im2colError, match=rf"^quantized_conv: {name} "):
        quantized_conv(np.ones((1, 2, 3, 3), np.uint8), np.ones((1, 2, 2, 2), np.int8), **scales)
