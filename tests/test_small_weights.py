"""Bytes by weights of -64 to 64: two products fit 16 bits, which CPUs with AVX2 alone add up in one instruction.

That instruction saturates, so a layer whose weights are greater must have another. Nothing but the tests of what is
decided asks which one there is: whichever CPU runs the others, its results must be these.
"""

from __future__ import annotations

import itertools
import pickle
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from im2col import conv, plan, plan_quantized, quantized_conv
from im2col.algorithms.implicit.dots import dot_of
from im2col.engine.target import NAMED
from im2col.spec.problem import make_problem
from im2col.spec.quantization import are_small

from .kit.layers import Case, last
from .kit.oracles import activated, shifted_sums
from .kit.outcomes import require
from .kit.targets import assembly

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

BYTES = ("uint8", "int8")
DENSE = Case((6, 7), (3, 3), padding=1, channels=8, filters=17)
CASES = {
    "dense": DENSE,
    "1×1": Case((5, 7), (1, 1), channels=12, filters=33, batch=3),
    "channels left over": Case((9, 11), (3, 3), stride=2, padding=1, channels=6, filters=16, bias=True),
    "stem": Case((11, 13), (5, 5), stride=2, padding=2, channels=3, filters=40, activation="relu"),
    "one channel": Case((9, 12), (3, 3), dilation=2, padding=2, channels=1, filters=9),
    "groups of 4": Case((5, 6), (3, 3), padding=1, groups=2, channels=4, filters=17),
    "groups of 3": Case((5, 6), (3, 3), padding=1, groups=3, channels=3, filters=8),
    "depthwise": Case((7, 9), (3, 3), padding=1, groups=19),
    "edge, flip": Case((6, 7), (3, 2), padding=2, channels=5, filters=17, mode="edge", flip=True),
    "three axes": Case((4, 5, 6), (2, 3, 2), padding=1, channels=4, filters=17, bias=True),
}


@pytest.fixture(autouse=True)
def _engine() -> None:
    """Ask for the engine."""
    require("llvmlite")


def options_of(case: Case) -> dict[str, Any]:
    """Return what `conv` is called with; padding is made of the zero point."""
    options = case.options
    del options["padding_value"]
    return options


def pixels(rng: np.random.Generator, shape: tuple[int, ...], name: str) -> Array:
    """Return the ends of a byte's range, most of them the one farther from 0, and some others."""
    info = np.iinfo(name)
    far, near = (info.max, info.min) if info.min == 0 else (info.min, info.max)
    return rng.choice(np.array([far, far, far, near, 1], info.dtype), shape)


def weights(rng: np.random.Generator, shape: tuple[int, ...], most: int) -> Array:
    """Return bytes of which most are as great as they may be, of a sign that changes seldom."""
    return rng.choice(np.array([most, most, most, -most, 1, 0], np.int8), shape)


@pytest.mark.parametrize("layout", ["channels first", "channels last"])
@pytest.mark.parametrize("most", [63, 64, 65, 127])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("x_dtype", BYTES)
def test_sums_are_exact(x_dtype: str, name: str, most: int, layout: str) -> None:
    """As far as weights are small and one step beyond: pairs of 255 · 65 pass 16 bits, those of 255 · 64 do not."""
    case = CASES[name] if layout == "channels first" else last(CASES[name])
    case = replace(case, dtype=x_dtype)
    rng = np.random.default_rng(most)
    info, filters = np.iinfo(x_dtype), case.groups * case.filters
    x = pixels(rng, case.x_shape, x_dtype)
    w = weights(rng, (filters, case.channels, *case.kernel), most)
    bias = rng.integers(-(2**31), 2**31, filters, np.int32) if case.bias else None
    oracle: dict[str, Any] = {"groups": case.groups, "mode": case.mode, "flip": case.flip, "bias": bias}
    for point in (0, info.min, info.max, 57):
        expected = shifted_sums(x, w, case.axes, case.window, x_zero_point=point, **oracle)
        if case.activation:
            expected = activated(expected, case.activation)
        for threads in (1, 2):
            result = conv(x, w, bias, algorithm="implicit", threads=threads, x_zero_point=point, **options_of(case))
            np.testing.assert_array_equal(result, expected, strict=True, err_msg=f"zero point {point}")


@pytest.mark.parametrize("most", [64, 65])
def test_weights_are_small_after_their_zero_points(most: int) -> None:
    """Unsigned weights around 128, one zero point for each filter."""
    case = replace(last(DENSE), dtype="uint8")
    rng = np.random.default_rng(most)
    points = rng.integers(100, 150, 17)
    small = weights(rng, (17, 8, 3, 3), most).astype(np.int64)
    x, w = pixels(rng, case.x_shape, "uint8"), (small + points.reshape(-1, 1, 1, 1)).astype(np.uint8)
    result = conv(x, w, w_zero_point=points, algorithm="implicit", **options_of(case))
    np.testing.assert_array_equal(result, shifted_sums(x, small, case.axes, case.window), strict=True)


def test_weights_are_looked_at_in_each_call() -> None:
    """A call of the same kind with greater weights does not run what was decided for small ones."""
    x = np.full((1, 6, 6, 8), 255, np.uint8)
    for w_value in (64, 127, 64, -128, -64):
        w = np.full((16, 8, 3, 3), w_value, np.int8)
        for _ in range(3):
            np.testing.assert_array_equal(conv(x, w, layout="NHWC"), 255 * w_value * 72)
            y = quantized_conv(x, w, layout="NHWC", x_scale=1, w_scale=1, y_scale=255 * 72, y_zero_point=100)
            np.testing.assert_array_equal(y, np.clip(w_value + 100, 0, 255))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_sums_wrap(layout: str) -> None:
    """As int32 does: 132,000 channels of 255 · 64 are beyond it."""
    shape = (1, 132_000, 1, 3) if layout == "NCHW" else (1, 1, 3, 132_000)
    x, w = np.full(shape, 255, np.uint8), np.full((2, 132_000, 1, 1), 64, np.int8)
    total = 132_000 * 255 * 64
    np.testing.assert_array_equal(conv(x, w, layout=layout), (total + 2**31) % 2**32 - 2**31)


def test_plans_are_as_calls_are() -> None:
    """In a batch and one by one, pickled too; a plan of greater weights is another one."""
    case = replace(last(CASES["1×1"]), dtype="uint8")
    rng = np.random.default_rng(0)
    x = pixels(rng, case.x_shape, "uint8")
    made = []
    for most in (64, 127):
        w = weights(rng, (33, 12, 1, 1), most)
        expected = shifted_sums(x, w, case.axes, case.window)
        made.append(plan(x.shape, w, x_dtype=np.uint8, **options_of(case)))
        for each in (made[-1], pickle.loads(pickle.dumps(made[-1]))):  # noqa: S301 (its own)
            np.testing.assert_array_equal(each(x), expected, strict=True)
        one = plan(x[:1].shape, w, x_dtype=np.uint8, **options_of(case))
        np.testing.assert_array_equal(np.concatenate([one(x[n : n + 1]) for n in range(3)]), expected)
        scaled = plan_quantized(x.shape, w, x_scale=1, w_scale=1, y_scale=1024, y_zero_point=128, layout="NHWC")
        np.testing.assert_array_equal(scaled(x), np.clip(np.rint(expected / 1024) + 128, 0, 255))
    assert made[0] != made[1]


def test_what_is_small() -> None:
    """Bytes with a sign of -64 to 64, and booleans."""
    for least, most in ((-64, 64), (0, 0), (5, 9)):
        assert are_small(np.array([[least, 0, most]], np.int8))
    for value in (65, -65, 127, -128):
        assert not are_small(np.array([[0, value]], np.int8))
    assert are_small(np.ones((2, 3), np.bool_))
    assert are_small(np.empty((0, 3), np.int8))
    assert not are_small(np.ones((2, 3), np.uint8))
    assert not are_small(np.ones((2, 3), np.int16))


@pytest.mark.parametrize(
    ("target", "small", "great"),
    [
        ("zen3", "u1i7", "i2"),
        ("avx2", "u1i7", "i2"),
        ("avxvnni", "u1i1", "u1i1"),
        ("zen4", "u1i1", "u1i1"),
        ("avx512", "i2", "i2"),
        ("sse2", "i2", "i2"),
        ("neon", None, None),
    ],
)
def test_which_instructions_are_taken(target: str, small: str | None, great: str | None) -> None:
    """Weights decide where the CPU has no instruction for four bytes, and clips sums of two."""
    shapes, dtypes = ((1, 8, 8, 8), (16, 8, 3, 3)), (np.dtype(np.uint8), np.dtype(np.int8))
    for is_small, name in ((True, small), (False, great)):
        found = dot_of(make_problem(*shapes, *dtypes, small_weights=is_small), NAMED[target])
        assert (found.name if found else None) == name


@pytest.mark.parametrize("target", ["zen3", "avx2"])
@pytest.mark.parametrize("name", ["dense", "1×1", "stem"])
def test_sums_stay_in_registers(name: str, target: str) -> None:
    """The loop over the taps holds nothing but loads, products and sums: no vector is moved or stored."""
    from im2col.algorithms.implicit.decide import decide

    case = last(CASES[name])
    w_shape = (64, case.channels, *case.kernel)
    kinds = np.dtype(np.uint8), np.dtype(np.int8)
    problem = make_problem(case.x_shape, w_shape, *kinds, small_weights=True, **options_of(case))
    decision = decide(problem, NAMED[target])
    loops = [
        block
        for kernel in decision.tables(decision.view).kernels
        for block in re.split(r"\n(?=\.L\w+:)", assembly(kernel, NAMED[target]))
        if "pmaddubsw" in block
    ]
    assert loops
    for loop, moved in itertools.product(loops, (r"vmov\w+\s+%[xy]mm\d+, %[xy]mm\d+", r"%[xy]mm\d+, .*\(%rsp")):
        assert not re.search(moved, loop)
