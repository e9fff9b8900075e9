"""Calls of bytes that come again: one call of the engine packs weights and converts pixels, as right as the first."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from im2col import conv, plan, quantized_conv
from im2col.engine import scratch
from im2col.engine.target import host
from im2col.layers import again

from .kit.layers import Case, last
from .kit.oracles import shifted_sums
from .kit.outcomes import require
from .kit.selection import one_in
from .kit.targets import planning_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

require("llvmlite")
pytestmark = pytest.mark.usefixtures("nothing_remembered")

CASES = {
    "dense": Case((6, 7), (3, 3), padding=1, channels=8, filters=16, bias=True),
    "1×1": Case((5, 7), (1, 1), channels=12, filters=33, batch=3),
    "every second": Case((9, 8), (1, 1), stride=2, channels=8, filters=16),
    "channels left over": Case((9, 11), (3, 3), stride=2, padding=((2, 0), (0, 1)), channels=6, filters=16, bias=True),
    "many channels left over": Case((4, 5), (3, 3), padding=1, channels=70, filters=8),
    "stem": Case((23, 21), (5, 5), stride=2, padding=2, channels=3, filters=40),
    "weights from afar": Case((5, 5), (3, 3), padding=1, channels=256, filters=272, bias=True),
    "groups of 4": Case((5, 6), (3, 3), padding=1, groups=2, channels=4, filters=16),
    "depthwise": Case((24, 23), (3, 3), padding=1, groups=64, bias=True),
    "depthwise, strided": Case((15, 17), (5, 3), stride=2, padding=((0, 2), (1, 0)), groups=10, batch=2),
    "depthwise, dilated": Case((12, 13), (3, 3), dilation=2, padding=2, groups=7, flip=True),
    "two filters a channel": Case((7, 9), (3, 3), padding=1, groups=6, filters=2, bias=True),
    "rows above alone": Case((8, 9), (3, 1), padding=((2, 0), (0, 0)), groups=5),
    "a line": Case((40,), (5,), padding=2, channels=8, filters=16),
}


def full_of_ones(shape: int | tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return memory that nobody may read before it is written."""
    array = np.empty(shape, dtype)
    array.view(np.uint8).fill(255)
    return array


def options_of(case: Case) -> dict[str, Any]:
    """Return what `conv` is called with; padding is made of the zero point."""
    options = case.options
    del options["padding_value"]
    return options


def arrays_of(case: Case, most: int, seed: int) -> tuple[Array, Array, Array | None]:
    """Return image, weights of a size, with both ends of the range, and a bias."""
    rng = np.random.default_rng(seed)
    info, filters = np.iinfo(case.dtype), case.groups * case.filters
    x = rng.integers(info.min, info.max, case.x_shape, info.dtype, endpoint=True)
    w = rng.integers(-most - (most > 100), most, (filters, case.channels, *case.kernel), np.int8, endpoint=True)
    return x, w, rng.integers(-(2**20), 2**20, filters, np.int32) if case.bias else None


@pytest.mark.parametrize("layout", ["channels first", "channels last"])
@pytest.mark.parametrize("most", [64, 127])
@pytest.mark.parametrize("x_dtype", ["uint8", "int8"])
@pytest.mark.parametrize("name", one_in(2, CASES))
def test_the_third_call_is_right(
    name: str, x_dtype: str, most: int, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With other numbers each time; plain sums, with a zero point, requantised; and what is remembered is one call."""
    monkeypatch.setattr(scratch, "empty", full_of_ones)
    remembered, make = list[Any](), again._one_call

    def recording(*given: Any) -> Any:
        remembered.append(make(*given))
        return remembered[-1]

    monkeypatch.setattr(again, "_one_call", recording)
    case = CASES[name] if layout == "channels first" else last(CASES[name])
    case = replace(case, dtype=x_dtype)
    point = 57 if layout == "channels last" or most > 100 else 0
    for seed in range(3):
        x, w, bias = arrays_of(case, most, seed)
        oracle: dict[str, Any] = {"groups": case.groups, "flip": case.flip, "bias": bias}
        sums = shifted_sums(x, w, case.axes, case.window, x_zero_point=point, **oracle)
        given: dict[str, Any] = {"x_zero_point": point, "threads": 1, **options_of(case)}
        np.testing.assert_array_equal(conv(x, w, bias, **given), sums, strict=True)
        scale = np.linspace(0.01, 0.02, len(w), dtype=np.float32)
        shape = [-1 if axis == "C" else 1 for axis in case.axes]
        scaled = np.rint(sums.astype(np.float32) * scale.reshape(shape)) + 3
        factors: dict[str, Any] = {"x_scale": 1, "w_scale": scale, "y_scale": np.float32(1), "y_zero_point": 3}
        info = np.iinfo(x_dtype)
        y = quantized_conv(x, w, bias, **factors, **given)
        np.testing.assert_array_equal(y, np.clip(scaled, info.min, info.max).astype(info.dtype), strict=True)
    assert len(remembered) == 2
    if name not in ("1×1", "every second"):
        assert None not in remembered


@pytest.mark.parametrize("layout", ["channels first", "channels last"])
@pytest.mark.parametrize(("x_dtype", "point"), [("int8", 0), ("int8", -128), ("uint8", 57)])
@pytest.mark.parametrize("name", ["dense", "channels left over", "stem", "weights from afar", "a line"])
def test_pixels_that_contribute_nothing(name: str, x_dtype: str, point: int, layout: str) -> None:
    """Where bytes are multiplied as unsigned ones, they are no zeros: what they make of new weights is taken off."""
    case = CASES[name] if layout == "channels first" else last(CASES[name])
    case = replace(case, dtype=x_dtype)
    for seed in range(3):
        x, w, bias = arrays_of(case, 64, seed)
        sums = shifted_sums(x, w, case.axes, case.window, x_zero_point=point, bias=bias)
        result = conv(x, w, bias, x_zero_point=point, threads=1, **options_of(case))
        np.testing.assert_array_equal(result, sums, strict=True)


@pytest.mark.parametrize("layout", ["channels first", "channels last"])
@pytest.mark.parametrize(("x_dtype", "point"), [("int8", 0), ("uint8", 57)])
def test_parts_of_new_weights_have_their_own_bias(x_dtype: str, point: int, layout: str) -> None:
    """Weights that fill the second level of cache are packed part by part, whatever this CPU's level is."""
    with planning_for(host()._replace(caches=(32 << 10, 128 << 10, 4 << 20))):
        test_pixels_that_contribute_nothing("weights from afar", x_dtype, point, layout)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("name", [name for name in CASES if "depthwise" in name])
def test_planes_band_by_band(name: str, threads: int) -> None:
    """Plans of depthwise layers, whose bytes become float32, plane by plane: exact, for any number of threads."""
    for dtype, most, batch in (("uint8", 127, 1), ("int8", 127, 3)):
        case = replace(CASES[name], dtype=dtype, batch=batch)
        x, w, bias = arrays_of(case, most, 0)
        expected = shifted_sums(
            x, w, case.axes, case.window, groups=case.groups, flip=case.flip, bias=bias, x_zero_point=9
        )
        made = plan(x.shape, w, bias, x_dtype=dtype, x_zero_point=9, threads=threads, **options_of(case))
        for image in (x, x.copy(order="F")):
            out = np.full_like(expected, -1)
            np.testing.assert_array_equal(made(image, out), expected, strict=True)


def test_scales_are_looked_at_in_each_call() -> None:
    """They are remembered with a call, which others do not run."""
    x, w = np.full((1, 8, 6, 6), 100, np.uint8), np.full((16, 8, 3, 3), 1, np.int8)
    for scale in (1, 2, 4, 1):
        for each in (scale, np.full(16, scale)):
            for _ in range(3):
                y = quantized_conv(x, w, x_scale=1, w_scale=each, y_scale=np.float32(144), padding=0)
                np.testing.assert_array_equal(y, min(255, 50 * scale))


def test_a_bias_in_another_dtype() -> None:
    """It is converted for each call."""
    x, w = np.full((1, 8, 6, 6), 100, np.uint8), np.full((16, 8, 3, 3), 1, np.int8)
    for value in (1, 2, 3, 4):
        bias = np.full(16, value, np.int8)
        np.testing.assert_array_equal(conv(x, w, bias), 7200 + value)
