"""TFLite's rounding of quantised convolutions: LiteRT's reference kernels, bit by bit; the rule in plain integers."""

from __future__ import annotations

import math
import pickle
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from im2col import ArgumentError, conv, plan_quantized, quantized_conv
from im2col.errors import format_bytes
from im2col.spec.quantization import fixed_factors, rescaled, tflite_bounds

from .kit.outcomes import raises_exactly, require
from .kit.tflite_models import Layer, run

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

ACTIVATIONS: dict[str, Any] = {"NONE": None, "RELU": "relu", "RELU6": "relu6"}


def random_layer(rng: np.random.Generator) -> Layer:
    """Draw a layer whose results fill their range: windows, padding, zero points, a scale for each filter, a bias."""
    depthwise = bool(rng.random() < 0.35)
    channels, (high, wide) = int(rng.integers(1, 9)), (int(k) for k in rng.integers(1, 4, 2))
    dilated = bool(rng.random() < 0.3)
    dilation = tuple(int(d) for d in rng.integers(1, 3, 2)) if dilated else (1, 1)
    stride = (1, 1) if max(dilation) > 1 else tuple(int(s) for s in rng.integers(1, 3, 2))
    sides = [int(rng.integers((k - 1) * d + 1, 12)) for k, d in zip((high, wide), dilation, strict=True)]
    filters = channels * int(rng.integers(1, 3)) if depthwise else int(rng.integers(1, 12))
    shape = (1, high, wide, filters) if depthwise else (filters, high, wide, channels)
    taps = high * wide * (1 if depthwise else channels)
    x_scale = np.float32(rng.uniform(0.001, 0.1))
    w_scale = rng.uniform(0.0005, 0.02, filters).astype(np.float32)
    spread = float(x_scale) * float(w_scale.mean()) * math.sqrt(taps) * 74 * 74
    return Layer(
        x=rng.integers(-128, 128, (int(rng.integers(1, 3)), *sides, channels), np.int8),
        w=rng.integers(-127, 128, shape).astype(np.int8),
        bias=rng.integers(-20000, 20000, filters).astype(np.int32),
        scales=(x_scale, w_scale, np.float32(spread / rng.uniform(20, 90))),
        points=(int(rng.integers(-128, 128)), int(rng.integers(-128, 128))),
        stride=(stride[0], stride[1]),
        dilation=(dilation[0], dilation[1]),
        padding=str(rng.choice(["SAME", "VALID"])),
        activation=str(rng.choice(list(ACTIVATIONS))),
        depthwise=depthwise,
    )


def arguments(layer: Layer) -> dict[str, Any]:
    """Return a layer as `quantized_conv` takes it."""
    w = np.moveaxis(layer.w[0], -1, 0)[:, None] if layer.depthwise else np.moveaxis(layer.w, -1, 1)
    return {
        "w": np.ascontiguousarray(w),
        "bias": layer.bias,
        "x_scale": layer.scales[0],
        "w_scale": layer.scales[1],
        "y_scale": layer.scales[2],
        "x_zero_point": layer.points[0],
        "y_zero_point": layer.points[1],
        "stride": layer.stride,
        "dilation": layer.dilation,
        "padding": layer.padding.lower(),
        "groups": layer.x.shape[3] if layer.depthwise else 1,
        "activation": ACTIVATIONS[layer.activation],
        "layout": "NHWC",
    }


def judge(seed: int, count: int) -> None:
    """Hold so many layers against LiteRT's reference kernels, bit by bit."""
    rng = np.random.default_rng((12, seed))
    seen = set()
    for _ in range(count):
        layer = random_layer(rng)
        ours = quantized_conv(layer.x, **arguments(layer), rounding="tflite")
        np.testing.assert_array_equal(ours, run(layer, "BUILTIN_REF"), err_msg=str(layer._replace(x=None, w=None)))  # type: ignore[arg-type]  # short
        seen |= {layer.padding, layer.activation, layer.depthwise, *np.unique(ours).tolist()}
    assert len(seen) > 200


def test_litert_gives_the_same_bits() -> None:
    """Its reference kernels, of convolutions and depthwise ones: strides, dilations, both paddings, all activations."""
    require("ai_edge_litert")
    judge(0, 60)


@pytest.mark.wide
@pytest.mark.parametrize("seed", range(1, 5))
def test_litert_gives_the_same_bits_of_a_thousand_layers(seed: int) -> None:
    """As above, 250 times four."""
    require("ai_edge_litert")
    judge(seed, 250)


def test_xnnpack_rounds_as_onnx_does() -> None:
    """LiteRT's default kernels give what `quantized_conv` gives by default, which is not what the reference gives."""
    require("ai_edge_litert")
    rng = np.random.default_rng(13)
    differ = sums = 0
    for _ in range(60):
        layer = random_layer(rng)
        layer = layer._replace(activation="RELU" if layer.activation == "RELU6" else layer.activation)
        ours = quantized_conv(layer.x, **arguments(layer))
        np.testing.assert_array_equal(ours, run(layer, "BUILTIN"))
        reference = run(layer, "BUILTIN_REF")
        differ, sums = differ + int((ours != reference).sum()), sums + ours.size
    assert 0 < differ < sums / 500


# --- the rule, in Python's integers


def factor_of(scale: Fraction) -> tuple[int, int]:
    """Return a scale as a multiplier of 31 bits and an exponent, from its exact value."""
    exponent = 0
    while scale >= 1:
        scale, exponent = scale / 2, exponent + 1
    while scale < Fraction(1, 2):
        scale, exponent = scale * 2, exponent - 1
    multiplier = math.floor(scale * 2**31 + Fraction(1, 2))
    if multiplier == 2**31:
        multiplier, exponent = 2**30, exponent + 1
    return (0, 0) if exponent < -31 else (multiplier, exponent)


def away(value: Fraction) -> int:
    """Round to the nearest integer, halves away from 0."""
    whole = math.floor(abs(value) + Fraction(1, 2))
    return whole if value >= 0 else -whole


def twice_rounded(total: int, multiplier: int, exponent: int) -> int:
    """Return a sum times its factor: the product's upper half, then what is shifted out."""
    shifted = min(max(total * 2 ** max(exponent, 0), -(2**31)), 2**31 - 1)
    # The first rounding takes halves of negative products up: -(2^30) + 1 is added to them before C divides.
    product = Fraction(shifted * multiplier, 2**31)
    high = (
        math.floor(product + Fraction(1, 2))
        if product >= 0
        else math.ceil(product - Fraction(1, 2) + Fraction(1, 2**31))
    )
    return away(Fraction(high, 2 ** max(-exponent, 0)))


@given(
    st.floats(2.0**-40, 2.0**12, width=32),
    st.floats(2.0**-10, 8, width=32),
    st.floats(2.0**-10, 8, width=32),
    st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=30),
)
def test_sums_are_rounded_twice(x_scale: float, w_scale: float, y_scale: float, totals: list[int]) -> None:
    """Factor, product and both roundings are those of exact fractions (the factor's quotient is float64's)."""
    scale = x_scale * w_scale / y_scale
    multipliers, exponents = fixed_factors(1, np.float32(x_scale), np.float32(w_scale), np.float32(y_scale))
    factor = (int(multipliers[0]), int(exponents[0]))
    assert factor == factor_of(Fraction(scale))
    found = rescaled(np.array(totals), multipliers, exponents)
    assert found.tolist() == [twice_rounded(total, *factor) for total in totals]


@pytest.mark.parametrize("exponent", [-31, -8, -1, 0, 3])
def test_halves(exponent: int) -> None:
    """Of a factor of a power of two: every small sum and the greatest."""
    totals = [*range(-600, 601), 2**31 - 1, -(2**31)]
    found = rescaled(np.array(totals), np.array([1 << 30]), np.array([exponent]))
    assert found.tolist() == [twice_rounded(total, 1 << 30, exponent) for total in totals]


@pytest.mark.parametrize(
    ("activation", "point", "scale", "bounds"),
    [
        (None, 5, 0.1, (-128, 127)),
        ("relu", 5, 0.1, (5, 127)),
        ("relu6", -128, 6 / 255, (-128, 127)),
        ("relu6", 0, 0.1, (0, 60)),
        ("relu6", 0, 2.4, (0, 3)),
        ("relu6", 0, 1e-40, (0, 127)),
    ],
)
def test_activations_are_bounds(activation: str | None, point: int, scale: float, bounds: tuple[int, int]) -> None:
    """6 is rounded with halves up; a scale that is nearly 0 holds nothing."""
    assert tflite_bounds(activation, point, scale, np.dtype(np.int8)) == bounds


# --- as any other call


def test_plans_layouts_and_out() -> None:
    """A plan, pickled, and other layouts and memory orders give the bits of the call; so do all threads."""
    rng = np.random.default_rng(3)
    x, w = rng.integers(-128, 128, (2, 6, 7, 8), np.int8), rng.integers(-128, 128, (5, 6, 3, 3), np.int8)
    bias = rng.integers(-900, 900, 5).astype(np.int32)
    options: dict[str, Any] = {
        "x_scale": 0.02,
        "w_scale": rng.uniform(0.001, 0.01, 5),
        "y_scale": 0.4,
        "x_zero_point": 3,
        "y_zero_point": -7,
        "padding": 1,
        "rounding": "tflite",
        "activation": "relu6",
    }
    expected = quantized_conv(x, w, bias, **options)
    sums = conv(x, w, bias, x_zero_point=3, padding=1, padding_value=3)
    multipliers, exponents = fixed_factors(5, 0.02, options["w_scale"], 0.4)
    by_hand = [
        [
            [twice_rounded(int(v), int(m), int(e)) - 7 for v in plane.ravel()]
            for plane, m, e in zip(s, multipliers, exponents, strict=True)
        ]
        for s in sums
    ]
    np.testing.assert_array_equal(expected, np.clip(by_hand, -7, -7 + 15).reshape(sums.shape))
    plan = plan_quantized(x.shape, w, bias, x_dtype=np.int8, **options)
    for made in (plan, pickle.loads(pickle.dumps(plan))):  # noqa: S301 (our own)
        np.testing.assert_array_equal(made(x), expected)
    lines = str(plan).splitlines()
    assert "  rounding   TFLite's reference kernels', to int8" in lines
    assert f"  workspace  {format_bytes(plan.workspace_bytes)}" in lines
    assert plan.workspace_bytes >= 4 * expected.size
    for algorithm in ("reference", "explicit"):
        np.testing.assert_array_equal(quantized_conv(x, w, bias, **options, algorithm=algorithm, threads=2), expected)
    wide = np.zeros((2, 7, 8, 10), np.int8)
    last = np.moveaxis(x, 1, -1)
    result = quantized_conv(last, w, bias, **options, layout="NHWC", out=wide[..., ::2])
    assert result.base is wide
    np.testing.assert_array_equal(np.moveaxis(wide[..., ::2], -1, 1), expected)
    assert not wide[..., 1::2].any()
    unsigned = quantized_conv(x, w, bias, **options | {"y_zero_point": 121}, dtype=np.uint8)
    np.testing.assert_array_equal(unsigned.astype(int) - 128, expected)


@pytest.mark.parametrize("points", [(0, 0), (5, 0), (0, (1, 2, 3, 4)), (-9, 7)])
def test_zero_points_of_image_and_filters(points: tuple[int, Any]) -> None:
    """Where they are 0, too: the padding stands for 0, and the sums are those of numbers less their zero points."""
    rng = np.random.default_rng(8)
    x, w = rng.integers(-128, 128, (1, 3, 6, 6), np.int8), rng.integers(-128, 128, (4, 3, 3, 3), np.int8)
    scales: dict[str, Any] = {"x_scale": 0.02, "w_scale": 0.01, "y_scale": 0.5}
    zeros: dict[str, Any] = {"x_zero_point": points[0], "w_zero_point": points[1]}
    found = quantized_conv(x, w, **scales, **zeros, padding=1, rounding="tflite")
    image = np.pad(x.astype(int), ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=points[0]) - points[0]
    sums = conv(image, w.astype(int) - np.broadcast_to(points[1], 4).reshape(4, 1, 1, 1))
    factor = factor_of(Fraction(float(np.float32(0.02)) * float(np.float32(0.01)) / float(np.float32(0.5))))
    expected = [min(max(twice_rounded(int(total), *factor), -128), 127) for total in sums.ravel()]
    assert found.ravel().tolist() == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rounding": "gemmlowp"}, "rounding must be 'onnx' or 'tflite', got 'gemmlowp'"),
        (
            {"activation": "relu6"},
            "activation must be None or 'relu', got 'relu6'; 'relu6' goes with rounding='tflite'",
        ),
        (
            {"activation": "silu", "rounding": "tflite"},
            "activation must be None or 'relu' or 'relu6', got 'silu'",
        ),
    ],
)
def test_words_that_are_none(options: dict[str, Any], message: str) -> None:
    """The whole message."""
    x, w = np.ones((1, 4, 4), np.int8), np.ones((1, 1, 2, 2), np.int8)
    with raises_exactly(ArgumentError, f"quantized_conv: {message}"):
        quantized_conv(x, w, x_scale=1, w_scale=1, y_scale=1, **options)
