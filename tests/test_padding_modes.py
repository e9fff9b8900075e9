"""A padding mode for each axis, through the whole family: as if the image had been padded first, axis by axis."""

from __future__ import annotations

import copy
import itertools
import unittest.mock
from typing import Any

import numpy as np
import pytest

import im2col
from im2col.errors import ArgumentError, GeometryError
from im2col.photo.filtering import filter_photo
from im2col.photo.photograph import Photo

from .kit.outcomes import raises_exactly, require
from .kit.strategies import PADDING_MODES

PAIRS = ((2, 3), (4, 1), (1, 2))
MIXED = [
    *((first, second) for first, second in itertools.permutations(PADDING_MODES, 2)),
    ("wrap", "constant", "reflect"),
    ("constant", "edge", "constant"),
]
FEW = [("constant", "wrap"), ("reflect", "constant"), ("edge", "symmetric"), ("wrap", "constant", "reflect")]


def image(k: int, dtype: str = "f8") -> np.ndarray[Any, Any]:
    """Return two images of three channels."""
    rng = np.random.default_rng(k)
    return rng.integers(-9, 9, (2, 3, *(5, 4, 3)[:k])).astype(dtype)


def padded(x: np.ndarray[Any, Any], modes: tuple[str, ...], value: float = 0, lead: int = 2) -> np.ndarray[Any, Any]:
    """Return images padded by NumPy, axis by axis; the last ones with the constant, whatever the order of axes."""
    for constant in (False, True):
        for axis, mode in enumerate(modes, lead):
            if (mode == "constant") == constant:
                pairs = [(0, 0)] * x.ndim
                pairs[axis] = PAIRS[axis - lead]
                options = {"constant_values": value} if constant else {}
                x = np.pad(x, pairs, mode, **options)  # type: ignore[call-overload]  # a mode by its name
    return x


def options(modes: tuple[str, ...]) -> dict[str, Any]:
    """Return the keywords for them; constant axes are left out."""
    letters = "DHW"[-len(modes) :]
    given = {letter: mode for letter, mode in zip(letters, modes, strict=True) if mode != "constant"}
    return {"padding": PAIRS[: len(modes)], "padding_mode": given}


@pytest.mark.parametrize("modes", MIXED, ids=repr)
def test_transforms(modes: tuple[str, ...]) -> None:
    """The column matrix, the patches, the way back and the counts."""
    k = len(modes)
    x, kernel = image(k), (3, 2, 2)[:k]
    given = options(modes)
    expected = im2col.im2col(padded(x, modes, 7), kernel)
    np.testing.assert_array_equal(im2col.im2col(x, kernel, padding_value=7, **given), expected)
    last = np.moveaxis(x, 1, -1)
    layout: dict[str, Any] = {"layout": f"N{'DHW'[-k:]}C", "tap_order": "channel-last"}
    np.testing.assert_array_equal(
        im2col.im2col(last, kernel, padding_value=7, **layout, **given),
        im2col.im2col(np.moveaxis(padded(x, modes, 7), 1, -1), kernel, **layout),
    )
    np.testing.assert_array_equal(im2col.patches(x, kernel, **given), im2col.patches(padded(x, modes), kernel))
    columns = np.random.default_rng(0).integers(-9, 9, expected.shape)
    back = im2col.col2im(columns, x.shape, kernel, **given)
    assert (im2col.im2col(x, kernel, **given) * columns).sum() == (x * back).sum()
    counts = im2col.overlap_count(x.shape, kernel, **given)
    ones = im2col.col2im(np.ones_like(columns), x.shape, kernel, **given)
    np.testing.assert_array_equal(np.broadcast_to(counts, x.shape), ones)
    for dtype in ("f4", "i4", "i8"):
        whole = im2col.im2col(x.astype(dtype), kernel, **given)
        means = im2col.col2im(whole, x.shape, kernel, reduce="mean", **given)
        np.testing.assert_allclose(means, x, rtol=1e-6)


@pytest.mark.parametrize("algorithm", ["auto", "explicit", "reference"])
@pytest.mark.parametrize("modes", FEW, ids=repr)
def test_convolutions(modes: tuple[str, ...], algorithm: str) -> None:
    """With every algorithm, plans and half precision included; integers, whose sums are exact."""
    k = len(modes)
    given = options(modes) | {"algorithm": algorithm, "threads": 1}
    for dtype in ("f8", "f4", "f2", "i1"):
        x, w = image(k, dtype), np.random.default_rng(9).integers(-3, 3, (4, 3, *(3, 2, 2)[:k])).astype(dtype)
        expected = im2col.conv(padded(x, modes, 5), w, algorithm="reference")
        np.testing.assert_array_equal(im2col.conv(x, w, padding_value=5, **given), expected, strict=True)
        plan = im2col.plan(x.shape, w, padding_value=5, **given)
        np.testing.assert_array_equal(copy.copy(plan)(x), expected)
        assert str(dict(zip("DHW"[-k:], modes, strict=True))) in str(plan)


@pytest.mark.parametrize("algorithm", ["auto", "explicit", "reference"])
@pytest.mark.parametrize("modes", FEW, ids=repr)
def test_gradients(modes: tuple[str, ...], algorithm: str) -> None:
    """The adjoint in the image, the gradient of the weights of the padded image."""
    k = len(modes)
    x, w = image(k), np.random.default_rng(9).integers(-3, 3, (4, 3, *(3, 2, 2)[:k])).astype(float)
    given = options(modes) | {"algorithm": algorithm, "threads": 1}
    y = im2col.conv(x, w, **given)
    grad = np.random.default_rng(3).integers(-5, 5, y.shape).astype(float)
    dx = im2col.conv_input_gradient(grad, w, x.shape, **given)
    assert (y * grad).sum() == (x * dx).sum()
    np.testing.assert_array_equal(im2col.plan_input_gradient(x.shape, w, **given)(grad), dx)
    dw = im2col.conv_weight_gradient(x, grad, w.shape[2:], padding_value=2, **given)
    np.testing.assert_array_equal(dw, im2col.conv_weight_gradient(padded(x, modes, 2), grad, w.shape[2:]))


@pytest.mark.parametrize("modes", FEW, ids=repr)
def test_matrices(modes: tuple[str, ...]) -> None:
    """The sparse matrix and the operator are the convolution."""
    require("scipy")
    k = len(modes)
    x, w = image(k)[0], np.random.default_rng(9).integers(-3, 3, (4, 3, *(3, 2, 2)[:k])).astype(float)
    expected = im2col.conv(padded(x, modes, lead=1), w).reshape(-1)
    matrix = im2col.conv_matrix(w, x.shape, **options(modes))
    assert matrix.has_canonical_format
    np.testing.assert_array_equal(matrix @ x.reshape(-1), expected)
    operator = im2col.conv_operator(w, x.shape, **options(modes))
    np.testing.assert_array_equal(operator @ x.reshape(-1), expected)
    np.testing.assert_array_equal(operator.T @ expected, matrix.T @ expected)


def test_quantized_convolution() -> None:
    """Bytes, padded with their zero point or their own pixels."""
    x, w = image(2, "i1"), np.random.default_rng(9).integers(-3, 3, (4, 3, 3, 2)).astype(np.int8)
    scales: dict[str, Any] = {"x_scale": 0.5, "w_scale": 0.25, "y_scale": 1.0, "x_zero_point": 3, "y_zero_point": 1}
    expected = im2col.quantized_conv(padded(x, ("wrap", "constant"), 3), w, **scales)
    result = im2col.quantized_conv(x, w, **scales, **options(("wrap", "constant")))
    np.testing.assert_array_equal(result, expected)


def test_a_mode_that_copies_needs_pixels() -> None:
    """On its own axis, and on no other."""
    empty = np.ones((0, 5))
    assert im2col.im2col(empty, 1, padding=1, padding_mode={"W": "edge"}).shape == (14, 1)
    message = (
        "im2col: padding_mode 'edge' needs pixels to copy but spatial axis 0 of the image has none; use "
        "padding_mode='constant'"
    )
    with raises_exactly(GeometryError, message):
        im2col.im2col(empty, 1, padding=1, padding_mode={"H": "edge"})


def test_pictures_have_one_mode() -> None:
    """Two that differ are refused with the way out; two that are alike are one."""
    x, w = np.ones((4, 4)), np.ones((3, 3))
    im2col.illustrate(x, w, padding=1, padding_mode={"H": "edge", "W": "edge"})
    message = (
        "illustrate: pictures show one padding_mode for all axes, got {'H': 'edge', 'W': 'wrap'}; pad x first with "
        "np.pad, axis by axis"
    )
    with raises_exactly(ArgumentError, message):
        im2col.illustrate(x, w, padding=1, padding_mode={"H": "edge", "W": "wrap"})
    by_hand = np.pad(np.pad(x, ((1, 1), (0, 0)), mode="edge"), ((0, 0), (1, 1)), mode="wrap")
    im2col.illustrate(by_hand, w)


def test_modes_go_with_letters_whatever_the_order_of_axes() -> None:
    """Letters of the layout, which may be any; threads change nothing."""
    x, w = image(2), np.random.default_rng(9).integers(-3, 3, (4, 3, 3, 2)).astype(float)
    mode: Any = {"W": "wrap", "H": "edge"}
    expected = im2col.conv(padded(x, ("edge", "wrap")), w)
    for layout, order in (("NHWC", (0, 2, 3, 1)), ("HWCN", (2, 3, 1, 0)), ("CNHW", (1, 0, 2, 3))):
        for threads in (1, 2):
            result = im2col.conv(
                x.transpose(order), w, padding=PAIRS[:2], padding_mode=mode, layout=layout, threads=threads
            )
            np.testing.assert_array_equal(result, expected.transpose(order))
    turned = im2col.conv(x, w, padding=PAIRS[:2], padding_mode={"A": "edge", "B": "wrap"}, layout="NCAB")
    np.testing.assert_array_equal(turned, expected)
    signal = im2col.im2col(np.arange(4), (2,), padding=1, padding_mode={"W": "wrap"})
    np.testing.assert_array_equal(signal, [[3, 0], [0, 1], [1, 2], [2, 3], [3, 0]])


@pytest.mark.parametrize("mode", [{"W": "wrap"}, {"H": "edge"}, {"H": "symmetric", "W": "edge"}], ids=repr)
@pytest.mark.parametrize("side", [3, 41])
def test_photographs(mode: Any, side: int) -> None:
    """Panoramas, with kernels that reach beyond them, and alpha, which is opaque outside."""
    rng = np.random.default_rng(side)
    photo = Photo(rng.integers(0, 256, (9, 12, 3)).astype(np.uint8))
    weights = rng.integers(-2, 3, (side, side)) / 8
    half = side // 2
    modes = tuple(mode.get(letter, "constant") for letter in "HW")
    by_hand = photo.samples
    for constant in (False, True):
        for axis, each in enumerate(modes):
            if (each == "constant") == constant:
                pairs = [(half, half) if i == axis else (0, 0) for i in range(3)]
                by_hand = np.pad(by_hand, pairs, each)
    expected = filter_photo(Photo(by_hand), weights, padding="valid")
    result = filter_photo(photo, weights, padding_mode=mode)
    np.testing.assert_array_equal(result.samples, expected.samples)


def test_calls_with_modes_and_values_are_remembered() -> None:
    """As all others: what was decided for such arguments is found again."""
    x, w = image(2), np.ones((4, 3, 3, 2))
    given: dict[str, Any] = {"padding": 1, "padding_mode": {"W": "wrap"}, "padding_value": np.array((1, 2, 3))}
    first = im2col.conv(x, w, **given)
    with unittest.mock.patch("im2col.layers.convolution.make_problem") as make:
        np.testing.assert_array_equal(im2col.conv(x, w, **given), first)
    assert make.call_count == 0
    given["padding_value"][0] = 9
    assert (im2col.conv(x, w, **given) != first).any()


# A padding value for each channel


def valued(x: np.ndarray[Any, Any], values: Any, pairs: tuple[tuple[int, int], ...]) -> np.ndarray[Any, Any]:
    """Return images padded channel by channel."""
    each = [np.pad(x[:, c], ((0, 0), *pairs), constant_values=value) for c, value in enumerate(values)]
    return np.stack(each, axis=1)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_a_value_for_each_channel_in_the_transforms(k: int) -> None:
    """In either order of taps, any layout, and beside a mode that copies."""
    x, kernel, pairs, values = image(k), (2, 3, 2)[:k], PAIRS[:k], (4, -5, 0.5)
    expected = valued(x, values, pairs)
    for value in (np.array(values), np.array(values, np.float32), np.repeat(values, 2)[::2]):
        result = im2col.im2col(x, kernel, padding=pairs, padding_value=value)
        np.testing.assert_array_equal(result, im2col.im2col(expected, kernel))
    np.testing.assert_array_equal(
        im2col.patches(x, kernel, padding=pairs, padding_value=np.array(values)), im2col.patches(expected, kernel)
    )
    layout: dict[str, Any] = {"layout": f"N{'DHW'[-k:]}C"}
    last, padded_last = np.moveaxis(x, 1, -1), np.moveaxis(expected, 1, -1)
    for tap_order in ("channel-first", "channel-last"):
        result = im2col.im2col(
            last, kernel, padding=pairs, padding_value=np.array(values), tap_order=tap_order, **layout
        )
        np.testing.assert_array_equal(result, im2col.im2col(padded_last, kernel, tap_order=tap_order, **layout))


@pytest.mark.parametrize("algorithm", ["auto", "explicit", "reference"])
@pytest.mark.parametrize("groups", [1, 3])
def test_a_value_for_each_channel_in_convolutions(algorithm: str, groups: int) -> None:
    """With every algorithm and dtype, in groups, with a zero point, in plans and in the gradient of the weights."""
    pairs, values = PAIRS[:2], (4, 5, 7)
    given: dict[str, Any] = {"groups": groups, "algorithm": algorithm, "threads": 1}
    for dtype in ("f8", "f4", "f2", "i1", "i8"):
        x = image(2, dtype)
        w = np.random.default_rng(9).integers(-3, 3, (6, 3 // groups, 3, 2)).astype(dtype)
        points: dict[str, Any] = {"x_zero_point": 2} if dtype == "i1" else {}
        by_hand = valued(x, values, pairs)
        expected = im2col.conv(by_hand, w, groups=groups, algorithm="reference", **points)
        result = im2col.conv(x, w, padding=pairs, padding_value=np.array(values), **given, **points)
        np.testing.assert_array_equal(result, expected, strict=True)
        plan = im2col.plan(x.shape, w, padding=pairs, padding_value=np.array(values), **given, **points)
        np.testing.assert_array_equal(plan(x), expected)
        assert plan != im2col.plan(x.shape, w, padding=pairs, padding_value=np.array((4, 5, 8)), **given, **points)
        if dtype == "f8":
            dw = im2col.conv_weight_gradient(
                x, expected, (3, 2), padding=pairs, padding_value=np.array(values), **given
            )
            np.testing.assert_array_equal(dw, im2col.conv_weight_gradient(by_hand, expected, (3, 2), groups=groups))


def test_a_value_for_each_channel_of_bytes() -> None:
    """Of signed and unsigned images, with a zero point."""
    for dtype in ("i1", "u1"):
        x = np.abs(image(2)).astype(dtype)
        w = np.random.default_rng(9).integers(-3, 3, (4, 3, 3, 2)).astype(np.int8)
        scales: dict[str, Any] = {"x_scale": 0.5, "w_scale": 0.25, "y_scale": 1.0, "x_zero_point": 3, "y_zero_point": 9}
        expected = im2col.quantized_conv(valued(x, (4, 5, 7), PAIRS[:2]), w, **scales)
        result = im2col.quantized_conv(x, w, **scales, padding=PAIRS[:2], padding_value=np.array((4, 5, 7)))
        np.testing.assert_array_equal(result, expected)


def test_a_value_for_each_channel_beside_a_mode_that_copies() -> None:
    """Panoramas that wrap in width, with a colour above and below."""
    x, values = image(2), (4, 5, 7)
    wrapped = np.pad(x, ((0, 0), (0, 0), (0, 0), PAIRS[1]), mode="wrap")
    expected = im2col.im2col(valued(wrapped, values, (PAIRS[0], (0, 0))), 3)
    result = im2col.im2col(x, 3, padding=PAIRS[:2], padding_mode={"W": "wrap"}, padding_value=np.array(values))
    np.testing.assert_array_equal(result, expected)


def test_pictures_have_one_value() -> None:
    """With the way out."""
    message = (
        "illustrate: pictures show one padding_value for all channels, got one for each; pad x first with np.pad, "
        "channel by channel"
    )
    with raises_exactly(ArgumentError, message):
        im2col.illustrate(np.ones((2, 4, 4)), np.ones((1, 2, 3, 3)), padding=1, padding_value=np.array((1, 2)))  # type: ignore[arg-type]  # which is refused
