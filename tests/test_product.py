"""Transposes of many phases, as one product and a fold: against the definition, and told by plans and costs."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from im2col import conv_input_gradient, conv_transpose, cost, plan_input_gradient, plan_transpose
from im2col.layers import product
from im2col.spec.transposed import axis_phases, make_transposed

from .kit import oracles
from .kit.convolutions import bits
from .kit.outcomes import require
from .kit.strategies import BFLOAT16, numbers

Array = Any
FLOAT = np.dtype(np.float32)


def expected(x: Array, w: Array, **window: Any) -> Array:
    """Return the transpose of (N, F, H, W), of small integers, without padding."""
    options = {"stride": 1, "dilation": 1, "groups": 1, "conjugate": False} | window
    return oracles.transposed_sums(x, w, **options)


def is_a_product(x_shape: tuple[int, ...], w_shape: tuple[int, ...], **window: Any) -> bool:
    """Whether a transpose is one product and a fold."""
    return product.product_of(make_transposed(x_shape, w_shape, FLOAT, FLOAT, **window), "auto") is not None


@pytest.mark.parametrize(
    ("x_shape", "w_shape", "window"),
    [
        ((2, 3, 3, 4), (3, 2, 6, 6), {"stride": 6}),
        ((1, 4, 5, 3), (4, 1, 9, 9), {"stride": 7, "groups": 2}),
        ((1, 2, 3, 3), (2, 3, 6, 7), {"stride": 5, "dilation": 3}),
        ((1, 2, 2, 3), (2, 1, 5, 5), {"stride": 8}),
        ((3, 6, 4, 4), (6, 1, 8, 8), {"stride": 8, "groups": 6}),
    ],
    ids=["no overlap", "overlap and groups", "dilation", "gaps", "depthwise"],
)
@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i1", "i8", "c8", "bfloat16"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_many_phases(x_shape: Any, w_shape: Any, window: Any, dtype: str, layout: str) -> None:
    """Every dtype and layout, exactly."""
    if dtype == "bfloat16":
        require("ml_dtypes")
    kind = BFLOAT16 if dtype == "bfloat16" else np.dtype(dtype)
    assert is_a_product(x_shape, w_shape, **window)
    x, w = numbers(x_shape, kind, 1), numbers(w_shape, kind, 2)
    arranged = np.ascontiguousarray(np.moveaxis(x, 1, -1)) if layout == "NHWC" else x
    result = conv_transpose(arranged, w, layout=layout, **window)
    result = np.moveaxis(result, -1, 1) if layout == "NHWC" else result
    np.testing.assert_array_equal(result, expected(x, w, **window).astype(result.dtype))


def test_bias_activation_and_what_windows_do_not_reach() -> None:
    """Pixels behind the last window, and between windows, get the bias and its activation."""
    x, w = numbers((1, 3, 3, 3), FLOAT, 1), numbers((3, 2, 5, 5), FLOAT, 2)
    bias = np.array([-3, 2], np.float32)
    options: Any = {"stride": 7, "output_padding": 4}
    assert is_a_product(x.shape, w.shape, **options)
    sums = np.zeros((1, 2, 23, 23))
    sums[..., :19, :19] = expected(x, w, stride=7)
    wanted = np.maximum(sums + bias[:, None, None], 0)
    np.testing.assert_array_equal(conv_transpose(x, w, bias, activation="relu", **options), wanted)
    out = np.full((23, 23, 2, 1), np.nan, np.float32).transpose(3, 2, 0, 1)
    assert conv_transpose(x, w, bias, activation="relu", out=out, **options) is out
    np.testing.assert_array_equal(out, wanted)


@pytest.mark.parametrize("mode", ["constant", "reflect", "wrap"])
def test_the_gradient_of_patches(mode: str) -> None:
    """With padding, also where it copies pixels: against the same by phases, which is what the reference runs."""
    grad, w = numbers((2, 4, 3, 4), FLOAT, 1), numbers((4, 2, 6, 6), FLOAT, 2)
    image = (2, 2, 18, 23)
    options: Any = {"stride": 6, "padding": ((1, 0), (2, 0)), "padding_mode": mode}
    by_phases = conv_input_gradient(grad, w, image, algorithm="reference", **options)
    np.testing.assert_array_equal(conv_input_gradient(grad, w, image, **options), by_phases)
    text = str(plan_input_gradient(image, w, **options))
    assert "36 phases: one product, 4 channels → 72, then its fold" in text
    assert "phases: one product" not in str(plan_input_gradient(image, w, algorithm="reference", **options))


@pytest.mark.parametrize("algorithm", ["implicit", "explicit"])
def test_bits_depend_on_neither_threads_nor_batch(algorithm: str) -> None:
    """A sum is over the filters, tap by tap, then over the taps, whoever computes it."""
    random = np.random.default_rng(0)
    x, w = (random.standard_normal(shape).astype(np.float32) for shape in ((3, 20, 9, 9), (20, 2, 9, 9)))
    options: Any = {"stride": 6, "algorithm": algorithm}
    assert is_a_product((1, *x.shape[1:]), w.shape, stride=6)
    assert is_a_product((100, *x.shape[1:]), w.shape, stride=6)
    whole = conv_transpose(x, w, threads=1, **options)
    assert bits(conv_transpose(x, w, threads=3, **options)) == bits(whole)
    for n in range(3):
        assert bits(conv_transpose(x[n : n + 1], w, threads=2, **options)) == bits(whole[n : n + 1])


def test_few_phases_and_large_columns_stay_phases() -> None:
    """What a fold would make slower; and what would not fit the workspace limit."""
    assert not is_a_product((1, 8, 9, 9), (8, 2, 5, 5), stride=4)
    assert not is_a_product((1, 8, 90, 90), (8, 20, 7, 7), stride=6)
    assert is_a_product((1, 8, 9, 9), (8, 2, 7, 7), stride=6)
    assert not is_a_product((1, 8, 9, 9), (8, 2, 7, 7), stride=6, workspace_limit=31_000)


def test_patches_are_products_where_phases_would_be_small() -> None:
    """Windows that meet and do not overlap: of few channels from two phases on, of many from five."""
    assert is_a_product((1, 64, 28, 28), (64, 3, 2, 2), stride=2)
    assert is_a_product((1, 64, 28, 28), (64, 8, 2, 2), stride=2, groups=4)
    assert not is_a_product((1, 64, 28, 28), (64, 16, 2, 2), stride=2)
    assert is_a_product((1, 64, 28, 28), (64, 16, 4, 4), stride=4)
    assert not is_a_product((1, 64, 56, 56), (64, 32, 4, 4), stride=4)
    assert not is_a_product((1, 64, 28, 28), (64, 3, 1, 1), stride=1)
    assert not is_a_product((1, 64, 28, 28), (64, 3, 2, 2), stride=2, padding=1)
    assert not is_a_product((1, 64, 28, 28), (64, 3, 2, 2), stride=3)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "HWNC"])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("kernel", [(2, 2), (3, 5), (4, 2)], ids=str)
def test_patches(kernel: tuple[int, int], groups: int, layout: str) -> None:
    """Columns of every order are copied where they belong: into a result with gaps, with more behind, with a bias."""
    x, w = numbers((2, 4, 5, 3), FLOAT, 1), numbers((4, 3, *kernel), FLOAT, 2)
    assert is_a_product(x.shape, w.shape, stride=kernel, groups=groups)
    bias = np.arange(3 * groups, dtype=np.float32)
    more = (kernel[0] - 1, 0)
    sums = np.zeros((2, 3 * groups, 5 * kernel[0] + more[0], 3 * kernel[1]))
    split = x.reshape(2, groups, -1, 5, 3), w.reshape(groups, -1, *w.shape[1:])
    sums[:, :, : 5 * kernel[0]] = np.einsum("ngfyx,gfcab->ngcyaxb", *split).reshape(2, 3 * groups, -1, 3 * kernel[1])
    order = ["NCHW".index(axis) for axis in layout]
    arranged = np.ascontiguousarray(x.transpose(order))
    options: Any = {"stride": kernel, "groups": groups, "layout": layout, "output_padding": more}
    out = np.full([2 * n for n in sums.transpose(order).shape], np.nan, np.float32)[::2, ::2, ::2, ::2]
    assert conv_transpose(arranged, w, out=out, **options) is out
    np.testing.assert_array_equal(out, sums.transpose(order))
    result = conv_transpose(arranged, w, bias, activation="relu", **options)
    np.testing.assert_array_equal(result, np.maximum(sums + bias[:, None, None], 0).transpose(order))


@pytest.mark.parametrize(
    ("layout", "kernel"), [("NCW", (3,)), ("NWC", (6,)), ("NCDHW", (2, 2, 2)), ("NDHWC", (2, 1, 3))]
)
def test_patches_along_other_than_two_axes(layout: str, kernel: tuple[int, ...]) -> None:
    """Against the phases, which is what the reference runs."""
    spatial = (4, 3, 5)[: len(kernel)]
    sizes = dict(zip(layout.translate({ord("N"): None, ord("C"): None}), spatial, strict=True)) | {"N": 2, "C": 5}
    x, w = numbers(tuple(sizes[axis] for axis in layout), FLOAT, 1), numbers((5, 2, *kernel), FLOAT, 2)
    options: Any = {"stride": kernel, "layout": layout}
    assert is_a_product(x.shape, w.shape, **options)
    by_phases = conv_transpose(x, w, algorithm="reference", **options)
    np.testing.assert_array_equal(conv_transpose(x, w, **options), by_phases)


def test_what_it_takes_is_told() -> None:
    """The columns are a part of the workspace, of plans and of `cost`."""
    w = np.ones((8, 2, 6, 6), np.float32)
    prepared = plan_transpose((1, 8, 9, 9), w, stride=6, threads=1)
    columns = 4 * 2 * 36 * 81
    assert columns <= prepared.workspace_bytes <= 3 * columns
    told = cost((1, 8, 9, 9), w.shape, stride=6, operation="conv_transpose", threads=1).workspace_bytes
    assert told[prepared.algorithm] == prepared.workspace_bytes
    assert set(told) == {"explicit", "implicit", "reference"}


def test_phases_of_an_axis_that_is_shorter_than_its_stride() -> None:
    """Found from the pixels: the same as from the taps, in the same order, none that no pixel needs."""
    for n, kernel, stride, dilation, before in itertools.product((1, 2, 5), (1, 4, 9), (1, 6, 7), (1, 2, 3), (0, 2, 8)):
        found = axis_phases(n, 3, kernel, stride, dilation, before)
        pixels = {i: p.taps for p in found for i in range(n)[p.pixels]}
        assert len(found) <= n
        assert sum(len(range(n)[p.pixels]) for p in found) == len(pixels)
        assert [p.taps.start for p in found] == sorted(p.taps.start for p in found)
        for i in range(n):
            reached = [t for t in range(kernel) if (i + before - t * dilation) % stride == 0]
            inside = [t for t in reached if 0 <= (i + before - t * dilation) // stride < 3]
            assert list(range(kernel)[pixels[i]]) == reached if inside else True


def test_a_stride_beyond_the_image_costs_nothing() -> None:
    """As many phases as pixels at most, each of whose stores stand as far apart as they may."""
    w, grad = np.arange(1.0, 5).reshape(1, 1, 2, 2), np.full((1, 1, 1, 1), 2.0)
    for stride in (5, 2000, 2**31 - 1):
        result = conv_input_gradient(grad, w, (1, 1, 4, 4), stride=stride)
        np.testing.assert_array_equal(result[0, 0, :2, :2], [[2, 4], [6, 8]])
        assert result.sum() == 20
    assert len(axis_phases(4, 1, 10**9, 10**9 + 7, 3, 2)) <= 4
