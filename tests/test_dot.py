"""Kernels that multiply pairs of bfloat16 and quadruples of bytes at once: what comes out, for every kind of layer.

Nothing here asks which instruction a kernel has: whichever CPU runs the tests, its results must be these. The oracle is
`oracles.layer_sums`. For bfloat16 it sums in float64; a result may differ from that by half of its own last bit, since
it is rounded once, and by what summing so many terms in float32 costs. Integers have to be exact.
"""

from __future__ import annotations

import itertools
import math
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from im2col import conv
from im2col.algorithms.implicit.dots import Dot, interleaved
from im2col.algorithms.implicit.packing import pack, packed_at, vector_blocks
from im2col.algorithms.implicit.view import GroupShape, View
from im2col.engine import compiler
from im2col.spec.geometry import Geometry

from .kit.layers import Case, anything, dtype_of
from .kit.memory import PAGE, against_forbidden_pages, in_room
from .kit.oracles import activated, layer_sums, shifted_sums
from .kit.outcomes import require
from .kit.processes import run_alone
from .kit.selection import one_in
from .kit.strategies import BFLOAT16, MEMORY_ORDERS, numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]

FILTERS = (1, 15, 16, 17, 33, 64)
SIGNS = tuple(itertools.product(("int8", "uint8"), repeat=2))
"""The dtypes of image and filters."""
TINIEST = 2.0**-126
"""The smallest number of full precision that float32 and bfloat16 have; the dot product takes those below it for 0."""


@pytest.fixture(autouse=True)
def _engine() -> Iterator[None]:
    """Ask for the engine; a kernel that does not compile fails its own test and no other."""
    require("llvmlite")
    yield
    if compiler.failure() is not None:
        compiler._reset()


# Pairs of bfloat16.


def half_a_bit(magnitude: Array) -> Array:
    """Return half of the last bit that bfloat16 has for numbers of this magnitude."""
    result: Array = np.ldexp(1.0, np.frexp(np.maximum(magnitude, TINIEST))[1] - 9)
    return result


def check_floats(case: Case, x: Array, w: Array, bias: Array | None) -> Array:
    """Assert that a layer of bfloat16 is right, and that a second thread changes no bit of it; return it."""
    sums, sizes = layer_sums(
        x, w, bias, case.axes, case.window, groups=case.groups, mode=case.mode, value=case.value, flip=case.flip
    )
    exact = activated(sums, case.activation)
    terms = math.prod(w.shape[1:]) + 1
    # Numbers below TINIEST may be taken for 0, as operands and as sums.
    operands = (abs(x.astype(float)).max(initial=0) + abs(w.astype(float)).max(initial=0) + 2) * terms
    slack = terms * 2.0**-23 * sizes + TINIEST * operands
    bound = half_a_bit(np.abs(exact) + slack) + slack
    result = conv(x, w, bias, algorithm="implicit", threads=1, **case.options)
    assert result.dtype == BFLOAT16
    wrong = ~(np.abs(result.astype(float) - exact) <= bound)
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise AssertionError(
            f"{np.count_nonzero(wrong)} of {wrong.size} wrong, the first at {at}: {float(result[at])} instead of "
            f"{exact[at]} ± {bound[at]:.3g}"
        )
    again = conv(x, w, bias, algorithm="implicit", threads=2, **case.options)
    np.testing.assert_array_equal(again.view(np.uint16), result.view(np.uint16))
    return result


def check_pairs(case: Case) -> None:
    """Assert that a layer of bfloat16 is right for normal numbers, and for small integers to the last bit.

    A sum of products of small integers is exact in float32, so what is stored must be the nearest bfloat16: a kernel
    that rounded a pair's sum on the way would store another.
    """
    check_floats(case, *case.arrays())
    shapes = case.x_shape, (case.groups * case.filters, case.channels, *case.kernel), (case.groups * case.filters,)
    x, w, bias = (numbers(shape, BFLOAT16, case.seed + i) for i, shape in enumerate(shapes))
    sums, _ = layer_sums(
        x, w, bias if case.bias else None, case.axes, case.window, groups=case.groups, mode=case.mode, flip=case.flip
    )
    result = check_floats(replace(case, value=0), x, w, bias if case.bias else None)
    np.testing.assert_array_equal(result, activated(sums, case.activation).astype(np.float32).astype(BFLOAT16))


PLANE = Case((6, 7), (3, 3), padding=1, dtype="bfloat16")


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("filters", one_in(2, FILTERS))
@pytest.mark.parametrize("channels", one_in(2, [1, 2, 17, 5, 3, 33]))
def test_pairs_of_any_channels_and_filters(channels: int, filters: int, layout: str) -> None:
    """Channels that make pairs and channels that leave one over, with filters that fill vectors and that do not."""
    check_pairs(replace(PLANE, channels=channels, filters=filters, layout=layout, seed=filters))


PAIRS = {
    "1×1": Case((5, 7), (1, 1), channels=33, filters=17),
    "1×1, odd": Case((5, 9), (1, 1), channels=5, filters=40, layout="NHWC"),
    "1×1, one pixel": Case((1, 1), (1, 1), channels=65, filters=130),
    "stride 2": Case((9, 11), (3, 3), stride=2, padding=1, channels=5, filters=17),
    "stride 3 by 2, last": Case((9, 11), (3, 2), stride=(3, 2), channels=3, filters=16, layout="NHWC"),
    "dilation": Case((9, 12), (3, 3), dilation=(2, 3), padding=((1, 2), (3, 2)), channels=3, filters=33),
    "dilation, last": Case((9, 12), (3, 3), dilation=(3, 2), padding=2, channels=7, filters=9, layout="HWC"),
    "even kernel": Case((6, 20), (2, 4), padding=((0, 1), (2, 1)), channels=6, filters=20),
    "depthwise": Case((7, 19), (3, 3), padding=1, groups=33),
    "depthwise, last": Case((7, 9), (3, 3), padding=1, groups=33, layout="NHWC"),
    "depthwise, two each": Case((6, 9), (3, 3), groups=5, filters=2, layout="NHWC"),
    "groups of 3": Case((6, 9), (3, 3), padding=1, groups=2, channels=3, filters=17),
    "groups of 3, last": Case((6, 9), (3, 3), padding=1, groups=3, channels=3, filters=16, layout="NHWC"),
    "groups of 2, last": Case((6, 9), (3, 3), padding=1, groups=3, channels=2, filters=33, layout="NHWC"),
    "wide rows": Case((3, 67), (3, 3), padding=1, channels=5, filters=6),
    "rows of one pixel": Case((9, 1), (3, 1), channels=3, filters=17, layout="NHWC"),
    "one axis": Case((40,), (5,), padding=2, channels=9, filters=17),
    "three axes": Case((4, 5, 6), (2, 3, 2), padding=1, channels=3, filters=17, layout="NDHWC"),
    "batch last": Case((5, 6), (3, 3), padding=1, batch=3, channels=3, filters=17, layout="CHWN"),
    "channels between": Case((5, 6), (3, 3), padding=1, channels=5, filters=16, layout="HCW"),
    "batch, bias, relu": Case((6, 7), (3, 3), batch=3, channels=5, filters=17, bias=True, activation="relu"),
    "batch, bias, relu6, last": Case(
        (6, 7), (3, 3), batch=3, channels=3, filters=33, bias=True, activation="relu6", layout="NHWC"
    ),
    "flip": Case((6, 7), (3, 2), padding=1, channels=3, filters=17, flip=True, layout="NHWC"),
    "edge": Case((6, 7), (3, 3), padding=2, channels=3, filters=17, mode="edge", layout="NHWC"),
    "reflect": Case((6, 7), (3, 3), padding=2, channels=5, filters=17, mode="reflect"),
    "padding value": Case((6, 7), (3, 3), padding=2, channels=3, filters=17, value=1.5),
    "many channels": Case((4, 5), (3, 3), channels=301, filters=18),
}


@pytest.mark.parametrize("name", one_in(5, PAIRS))
def test_pairs(name: str) -> None:
    """Every kind of layer, in bfloat16."""
    check_pairs(replace(PAIRS[name], dtype="bfloat16"))


@pytest.mark.parametrize("order", sorted(MEMORY_ORDERS))
def test_pairs_in_any_memory_order(order: str) -> None:
    """Pairs are those of channels, however they lie in memory."""
    case = replace(PLANE, channels=5, filters=17, bias=True)
    x, w, bias = case.arrays()
    expected = conv(x, w, bias, algorithm="implicit", **case.options)
    moved_x, moved_w = (MEMORY_ORDERS[order](a) for a in (x, w))
    result = conv(moved_x, moved_w, bias, algorithm="implicit", **case.options)
    np.testing.assert_array_equal(result.astype(np.float32), expected.astype(np.float32))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_pairs_of_products_that_cancel(layout: str) -> None:
    """Products of 2²⁰ that cancel leave the small ones: a pair's sum is not rounded to the 8 bits of bfloat16."""
    case = Case((3, 4), (1, 1), channels=4, filters=17, layout=layout, dtype="bfloat16")
    channel = (-1, 1, 1) if layout == "NCHW" else (-1,)
    x = np.broadcast_to(np.reshape([1024, 1024, 1, 3], channel), case.x_shape).astype(BFLOAT16)
    w = np.broadcast_to(np.reshape([1024, -1024, 0.5, 1], (4, 1, 1)), (17, 4, 1, 1)).astype(BFLOAT16)
    for order in itertools.permutations(range(4)):
        shuffled = x[:, list(order)] if layout == "NCHW" else x[..., list(order)]
        result = conv(shuffled, w[:, list(order)], algorithm="implicit", **case.options)
        np.testing.assert_array_equal(result.astype(float), 3.5, err_msg=str(order))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("channels", one_in(2, [1, 2, 3, 5]))
def test_numbers_below_the_smallest(channels: int, layout: str) -> None:
    """Numbers that have lost precision count as what they are or as 0; large ones beside them are unharmed."""
    case = replace(PLANE, channels=channels, filters=17, layout=layout)
    x, w, _ = case.arrays()
    rng = np.random.default_rng(channels)
    tiny = (rng.standard_normal(x.shape) * 2.0**-128).astype(BFLOAT16)
    assert 0 < np.abs(tiny.astype(float)).max() < TINIEST
    check_floats(case, tiny, w, None)
    check_floats(case, np.where(rng.random(x.shape) < 0.5, tiny, x), w, None)
    check_floats(case, (x.astype(np.float32) * 2.0**-100).astype(BFLOAT16), (w * BFLOAT16.type(2.0**-30)), None)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "HWC"])
@pytest.mark.parametrize(
    ("groups", "channels", "filters"),
    one_in(2, [(1, 1, 17), (1, 2, 16), (1, 3, 2), (1, 3, 33), (2, 3, 17), (2, 5, 16), (5, 1, 1)]),
)
def test_what_is_no_number_stays_in_its_windows(groups: int, channels: int, filters: int, layout: str) -> None:
    """An infinity or NaN in a pixel reaches the outputs whose windows cover it, in its group, and no other bit.

    A pair that is half a channel and half nothing must not take the next pixel for nothing: infinity times 0 is NaN.
    """
    case = Case((5, 9), (3, 2), (1, 2), 1, channels=channels, filters=filters, groups=groups, layout=layout)
    case = replace(case, dtype="bfloat16", batch=2 if "N" in layout else 1)
    x, w, _ = case.arrays()
    clean = conv(x, w, algorithm="implicit", **case.options)
    assert np.isfinite(clean.astype(np.float32)).all()
    images = range(case.batch)
    for image, c, row, column in itertools.product(images, range(groups * channels), (0, 2, 4), (0, 3, 8)):
        at = {"N": image, "C": c, "H": row, "W": column}
        pixel = tuple(at[axis] for axis in layout)
        only = np.zeros_like(x)
        only[pixel] = 1
        covers = layer_sums(only, np.ones_like(w), None, layout, case.window, groups=groups)[0] != 0
        for bad in (np.inf, -np.inf, np.nan):
            dirty = x.copy()
            dirty[pixel] = bad
            result = conv(dirty, w, algorithm="implicit", **case.options)
            np.testing.assert_array_equal(result[~covers].view(np.uint16), clean[~covers].view(np.uint16))
            exact, _ = layer_sums(dirty, w, None, layout, case.window, groups=groups)
            np.testing.assert_array_equal(result[covers].astype(float), exact[covers])


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("channels", one_in(2, [1, 2, 3, 5]))
def test_what_is_no_number_in_a_filter_stays_in_its_map(channels: int, layout: str) -> None:
    """A filter or bias that is no number fills its own map, and changes no bit of another."""
    case = replace(PLANE, channels=channels, filters=18, layout=layout, bias=True, padding=0)
    x, w, bias = case.arrays()
    assert bias is not None
    clean = conv(x, w, bias, algorithm="implicit", **case.options)
    axis = layout.index("C")
    for f, bad in itertools.product((0, 3, 15, 16, 17), (np.inf, -np.inf, np.nan)):
        dirty_w, dirty_bias = w.copy(), bias.copy()
        dirty_w[f, -1, 1, 1] = bad
        dirty_bias[f] = bad
        for operands in ((dirty_w, bias), (w, dirty_bias)):
            result = conv(x, *operands, algorithm="implicit", **case.options)
            others, expected = (np.delete(a, f, axis).view(np.uint16) for a in (result, clean))
            np.testing.assert_array_equal(others, expected)
            assert not np.isfinite(np.take(result, f, axis).astype(np.float32)).any()


def test_sums_beyond_bfloat16_are_infinite() -> None:
    """A sum that rounds beyond the largest bfloat16 is infinite; one that rounds to it is not."""
    x = np.full((1, 3, 2, 9), 2.0**64, BFLOAT16)
    w = np.zeros((4, 3, 1, 1), BFLOAT16)
    w[:, 0, 0, 0] = np.multiply([1, 1, -1, -1], 2.0**63 * (2 - 2.0**-7))
    w[:, 1, 0, 0] = [2.0**54, 2.0**55, -(2.0**54), -(2.0**55)]  # a quarter and a half of the sum's last bit
    result = conv(x, w, algorithm="implicit").astype(float)
    largest = 2.0**127 * (2 - 2.0**-7)
    expected = np.reshape([largest, np.inf, -largest, -np.inf], (1, 4, 1, 1))
    np.testing.assert_array_equal(result, np.broadcast_to(expected, result.shape))


# Quadruples of bytes.


def extremes(rng: np.random.Generator, shape: tuple[int, ...], name: str) -> Array:
    """Return the ends of an 8-bit dtype, zeros and ones, at random."""
    info = np.iinfo(np.dtype(name))
    return rng.choice(np.array([info.min, info.min, info.max, info.max, 0, 1], info.dtype), shape)


def ends(name: str) -> tuple[int, int]:
    """Return the smallest and the largest value of an 8-bit dtype."""
    info = np.iinfo(np.dtype(name))
    return int(info.min), int(info.max)


def shifted(x_zero_point: int, w_zero_point: int | list[int]) -> dict[str, Any]:
    """Return zero points as keywords, none at all where both are 0."""
    given = x_zero_point, w_zero_point
    return {} if given == (0, 0) else dict(zip(("x_zero_point", "w_zero_point"), given, strict=True))


def check_bytes(case: Case, zero_points: bool = True) -> None:
    """Assert that a layer of bytes is exact: any values, extreme values, and zero points at the ends of the dtypes."""
    rng = np.random.default_rng(case.seed)
    dtypes = case.dtype, case.w_dtype or case.dtype
    shapes = case.x_shape, (case.groups * case.filters, case.channels, *case.kernel)
    bias = rng.integers(-(2**31), 2**31, shapes[1][0], np.int32) if case.bias else None
    options = case.options
    del options["padding_value"]
    oracle: dict[str, Any] = {"groups": case.groups, "mode": case.mode, "flip": case.flip, "bias": bias}
    every: list[tuple[int, Any]] = [(0, 0)]
    if zero_points:
        x_ends, w_ends = map(ends, dtypes)
        filters = rng.integers(*w_ends, shapes[1][0], endpoint=True).tolist()
        every += [*itertools.product(x_ends, w_ends), (x_ends[0] + 57, filters), (x_ends[1], filters)]
    for shifts in itertools.starmap(shifted, every):
        for make in (extremes, _any_bytes):
            x, w = (make(rng, shape, name) for shape, name in zip(shapes, dtypes, strict=True))
            expected = shifted_sums(x, w, case.axes, case.window, **shifts, **oracle)
            if case.activation is not None:
                expected = activated(expected, case.activation)
            threads = 1 if make is extremes else 2
            result = conv(x, w, bias, algorithm="implicit", threads=threads, **options, **shifts)
            np.testing.assert_array_equal(result, expected, strict=True, err_msg=f"{make.__name__} {shifts}")


def _any_bytes(rng: np.random.Generator, shape: tuple[int, ...], name: str) -> Array:
    return anything(rng, shape, np.dtype(name))


def byte_case(signs: tuple[str, str], **changes: Any) -> Case:
    """Return a layer of bytes of these dtypes."""
    return replace(PLANE, dtype=signs[0], w_dtype=signs[1], **changes)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("signs", SIGNS, ids="-".join)
@pytest.mark.parametrize("channels", one_in(2, [*range(1, 10), 15, 16, 17, 64]))
def test_bytes_of_any_channels(channels: int, signs: tuple[str, str], layout: str) -> None:
    """Channels that make quadruples, and one, two or three left over, in both common layouts."""
    filters = FILTERS[channels % len(FILTERS)] + (layout == "NCHW")
    shifted_too = channels in ({1, 5, 8} if layout == "NHWC" else {2, 4, 7, 17})
    check_bytes(byte_case(signs, channels=channels, filters=filters, layout=layout, seed=channels), shifted_too)


@pytest.mark.parametrize("signs", SIGNS, ids="-".join)
@pytest.mark.parametrize("filters", one_in(2, FILTERS))
def test_bytes_of_any_filters(filters: int, signs: tuple[str, str]) -> None:
    """Filters that fill vectors, and that do not."""
    check_bytes(byte_case(signs, channels=6, filters=filters, layout="NHWC", bias=True), zero_points=filters == 17)


BYTES = {
    "1×1": Case((5, 7), (1, 1), channels=12, filters=17, layout="NHWC"),
    "stride 2": Case((9, 11), (3, 3), stride=2, padding=1, channels=6, filters=17),
    "stride 3 by 2, last": Case((9, 11), (3, 2), stride=(3, 2), padding=1, channels=3, filters=16, layout="NHWC"),
    "dilation, last": Case((9, 12), (3, 3), dilation=(3, 2), padding=2, channels=5, filters=18, layout="HWC"),
    "depthwise": Case((7, 19), (3, 3), padding=1, groups=19),
    "depthwise, last": Case((7, 9), (3, 3), padding=1, groups=19, layout="NHWC"),
    **{
        f"{groups} groups of {channels}, {layout}": Case(
            (5, 6), (3, 3), padding=1, groups=groups, channels=channels, filters=filters, layout=layout
        )
        for groups, channels, filters, layout in (
            (2, 4, 17, "NHWC"),
            (3, 8, 4, "NCHW"),
            (2, 3, 16, "NHWC"),
            (3, 6, 5, "NHWC"),
            (2, 5, 17, "NCHW"),
        )
    },
    "wide rows, bias, relu": Case((3, 67), (3, 3), padding=1, channels=5, filters=6, bias=True, activation="relu"),
    "one axis": Case((40,), (5,), padding=2, channels=9, filters=17, layout="NWC"),
    "three axes": Case((4, 5, 6), (2, 3, 2), padding=1, channels=3, filters=17, layout="NDHWC"),
    "edge": Case((6, 7), (3, 3), padding=2, channels=3, filters=17, mode="edge", layout="NHWC"),
    "wrap, flip": Case((6, 7), (3, 2), padding=2, channels=5, filters=17, mode="wrap", flip=True),
}


@pytest.mark.parametrize("signs", SIGNS, ids="-".join)
@pytest.mark.parametrize("name", one_in(4, BYTES))
def test_bytes(name: str, signs: tuple[str, str]) -> None:
    """Every kind of layer, in bytes of every two signs; half of them with zero points."""
    case = replace(BYTES[name], dtype=signs[0], w_dtype=signs[1], seed=len(name))
    check_bytes(case, zero_points=(list(BYTES).index(name) + SIGNS.index(signs)) % 2 == 0)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("signs", SIGNS, ids="-".join)
def test_long_sums_of_extremes(signs: tuple[str, str], layout: str) -> None:
    """2048 channels of 3×3 taps, all of them extreme: no product and no sum of four saturates."""
    case = byte_case(signs, channels=2048, filters=17, layout=layout, spatial=(3, 4), padding=0)
    w_shape, taps = (17, 2048, 3, 3), 2048 * 9
    options = case.options
    del options["padding_value"]
    for x_value, w_value in itertools.product(*map(ends, signs)):
        x, w = np.full(case.x_shape, x_value, signs[0]), np.full(w_shape, w_value, signs[1])
        for x_zero_point, w_zero_point in ((0, 0), *itertools.product(*map(ends, signs))):
            result = conv(x, w, algorithm="implicit", **options, **shifted(x_zero_point, w_zero_point))
            assert result.dtype == np.int32
            np.testing.assert_array_equal(result, taps * (x_value - x_zero_point) * (w_value - w_zero_point))


@pytest.mark.parametrize("signs", SIGNS, ids="-".join)
def test_sums_beyond_int32_wrap(signs: tuple[str, str]) -> None:
    """Sums of so many extremes that int32 cannot hold them are what modular arithmetic says."""
    channels = 140_000
    for x_value, w_value in itertools.product(*map(ends, signs)):
        x, w = np.full((1, channels, 3), x_value, signs[0]), np.full((2, channels, 1), w_value, signs[1])
        for x_zero_point, w_zero_point in ((0, 0), (ends(signs[0])[0], ends(signs[1])[1])):
            total = channels * (x_value - x_zero_point) * (w_value - w_zero_point)
            result = conv(x, w, algorithm="implicit", **shifted(x_zero_point, w_zero_point))
            np.testing.assert_array_equal(result, (total + 2**31) % 2**32 - 2**31)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtypes", [("int16", "int16"), ("uint8", "int16"), ("int16", "int8")], ids="-".join)
@pytest.mark.parametrize("channels", [1, 2, 3, 9, 16])
def test_pairs_of_int16(channels: int, dtypes: tuple[str, str], layout: str) -> None:
    """Sums in int32 are exact modulo 2³², also where both products of a pair are the largest that there are."""
    case = replace(PLANE, channels=channels, filters=17, layout=layout, dtype=dtypes[0], w_dtype=dtypes[1], bias=True)
    x, w, bias = case.arrays()
    for lowest in (False, True):
        if lowest:
            x, w = (np.full_like(a, np.iinfo(a.dtype).min or np.iinfo(a.dtype).max) for a in (x, w))
        sums, _ = layer_sums(x, w, bias, layout, case.window)
        result = conv(x, w, bias, algorithm="implicit", dtype="int32", **case.options)
        np.testing.assert_array_equal(result, sums.astype(np.int32), strict=True)


# Beside the arrays.

BESIDE = {
    f"{kind}, {channels} channels, {layout}": replace(
        PLANE, channels=channels, filters=filters, layout=layout, dtype=kind, padding=padding
    )
    for kind, channels, filters, layout, padding in (
        ("bfloat16", 1, 17, "NHWC", 1),
        ("bfloat16", 3, 17, "NHWC", 0),
        ("bfloat16", 5, 3, "NCHW", 0),
        ("bfloat16", 3, 16, "HCW", 1),
        ("int8", 1, 17, "NHWC", 1),
        ("int8", 3, 17, "NHWC", 0),
        ("uint8", 5, 16, "NHWC", 0),
        ("int8", 6, 3, "NCHW", 0),
        ("uint8", 3, 33, "HCW", 1),
    )
}


def convolve_against_forbidden_pages() -> None:
    """Convolve where a byte too much is the end of the process; what is being convolved stands on stdout."""
    rooms = [against_forbidden_pages(16 * PAGE) for _ in range(3)]
    for side, name in itertools.product((0, 1), BESIDE):
        sys.stdout.write(f"{'before the end' if side == 0 else 'after the start'} of a page: {name}\n")
        sys.stdout.flush()
        case = BESIDE[name]
        x, w, _ = case.arrays()
        expected = conv(x, w, algorithm="implicit", **case.options)
        x, w, out = (in_room(pair[side], a) for pair, a in zip(rooms, (x, w, np.zeros_like(expected)), strict=True))
        conv(x, w, algorithm="implicit", out=out, **case.options)
        assert out.tobytes() == expected.tobytes()
    sys.stdout.write("every byte in its place\n")


@pytest.mark.skipif(os.name != "posix", reason="mprotect is POSIX")
def test_no_page_beside_an_array_is_touched() -> None:
    """A pair or a quadruple that the channels do not fill reads nothing beside the arrays in their stead."""
    run_alone("test_dot", "convolve_against_forbidden_pages()")


@pytest.mark.parametrize("channels", [4, 6, 7])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 2), ()])
@pytest.mark.parametrize(("name", "count", "kind"), [("i2", 2, "i2"), ("u1i1", 4, "i1"), ("i2", 2, "i1")])
def test_weights_in_lanes(name: str, count: int, kind: str, kernel: tuple[int, ...], channels: int) -> None:
    """Neighbouring channels in one number, zeros for those that are not there; a view where they lie so already."""
    dot = Dot(name, count, np.dtype(np.int16 if name == "i2" else np.uint8))
    narrow = np.dtype(np.int16 if name == "i2" else np.int8)
    first = np.random.default_rng(0).integers(-99, 99, (5, channels, *kernel)).astype(kind)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(first, 1, -1)), -1, 1)
    for w in (first, last, first[::2], last[1:4]):
        result = interleaved(w, dot, 1)
        if kind == "i1" and name == "i2" and channels % count == 0:  # made wider when they are packed
            assert result.shape == (len(w), channels // count, *kernel, count)
            assert np.shares_memory(result, w)
            np.testing.assert_array_equal(np.moveaxis(result, -1, 2).reshape(w.shape), w)
            continue
        assert result.shape == (len(w), -(-channels // count), *kernel)
        lanes = np.moveaxis(result, 1, -1)
        parts = np.ascontiguousarray(lanes).view(narrow)
        np.testing.assert_array_equal(parts[..., :channels], np.moveaxis(w, 1, -1))
        assert not parts[..., channels:].any()
        side_by_side = np.moveaxis(w, 1, -1).strides[-1] == w.itemsize
        assert np.shares_memory(result, w) == (side_by_side and w.dtype == narrow and channels % count == 0)


PACKED = {
    "pairs side by side": ("int8", "int16", True),
    "pairs apart": ("uint8", "int16", False),
    "bytes": ("int8", "int32", False),
    "halves": ("float16", "float32", False),
    "bfloat16": ("bfloat16", "float32", False),
    "doubles to be rounded": ("float64", "float32", False),
}


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("filters", [16, 37])
def test_weights_of_other_dtypes_are_packed(name: str, filters: int) -> None:
    """Block by block of filters, each number as NumPy converts it, zeros for filters that are not there."""
    given, dtype, last = PACKED[name]
    rng = np.random.default_rng(3)
    w = rng.integers(0, 256, (filters, 6, 3, 2)).astype(np.uint8).astype(dtype_of(given))
    if given == "bfloat16":  # all bits there are: infinities, denormals and numbers that are none
        w = rng.integers(0, 1 << 16, w.shape).astype(np.uint16).view(BFLOAT16)
    w = np.moveaxis(np.ascontiguousarray(np.moveaxis(w, 1, -1)), -1, 1) if last else w
    parts = (2,) if dtype == "int16" else ()
    units = interleaved(w, Dot("i2", 2, np.dtype(np.int16)), 1) if parts else w
    blocks = vector_blocks(filters, 8, 2)
    g = Geometry((9, 9), (3, 2), (1, 1), ((0, 0), (0, 0)), (1, 1))
    view = View(g, 4, 0, 0, (36, 4), 4, 0, 0, (32, 4), ("constant",) * 2)
    group = GroupShape(1, 6 // math.prod((1, *parts)), filters)
    places = packed_at(view, group, (4, 5, 3), blocks)
    result = pack(places, group, units, None, np.dtype(dtype), 1).weights
    with np.errstate(all="ignore"):
        wide = w.astype(dtype)
    at = 0
    for block in blocks:
        for first in range(block.first, block.first + block.blocks * block.width, block.width):
            for tap in itertools.product(range(3), range(2)):
                for channel in range(0, 6, math.prod((1, *parts))):
                    expected = np.zeros((block.packed, *parts), dtype)
                    here = wide[first : first + block.width, channel : channel + math.prod((1, *parts)), *tap]
                    expected[: block.width] = here if parts else here[:, 0]
                    found = result[at : at + expected.size].reshape(expected.shape)
                    np.testing.assert_array_equal(found.view(f"u{found.itemsize}"), expected.view(f"u{found.itemsize}"))
                    at += expected.size
    assert at == len(result)
