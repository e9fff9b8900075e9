"""Every transform takes what it told the memory budget: over shapes, windows, orientations, padding modes and dtypes.

Images have a million pixels in long, thin, flat and square shapes, so that a table with an entry for each, or a copy of
the image in a wider dtype, is larger than what a call may take unasked.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest

from im2col import (
    MemoryBudgetError,
    average_pool,
    col2im,
    conv,
    conv_transpose,
    cost,
    im2col,
    lp_pool,
    overlap_count,
    patches,
    plan,
    plan_transpose,
    weight_matrix,
)
from im2col.engine import host

from .kit.budget import assert_within_budget
from .kit.selection import one_in
from .kit.strategies import ORIENTATIONS, PADDING_MODES, TAP_ORDERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SHAPES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "long": ((1 << 20,), (3,), {"padding": 1}),
    "long, wide window": ((1 << 18,), (512,), {"stride": (128,), "padding": 300}),
    "long, dilated": ((1 << 20,), (2,), {"dilation": (1 << 18,), "padding": 5}),
    "thin": ((1 << 19, 2), (5, 1), {"padding": ((2, 1), 0)}),
    "one column": ((1 << 20, 1), (4, 1), {"stride": (2, 1), "padding": ((0, 3), 0)}),
    "flat": ((2, 1 << 19), (2, 3), {"stride": (1, 2), "padding": 1}),
    "square": ((1 << 10, 1 << 10), (2, 2), {"padding": 1}),
    "channels": ((2, 1 << 8, 1 << 10), (2, 2), {"padding": 1}),
    "many channels": ((1 << 12, 8, 16), (3, 3), {"padding": (1, 0), "stride": 2}),
    "batch": ((8, 2, 1 << 8, 1 << 7), (2, 2), {"padding": (1, 2)}),
    "solid": ((1 << 6, 1 << 6, 1 << 7), (2, 2, 2), {"padding": 1}),
    "four axes": ((32, 32, 16, 32), (2, 1, 2, 1), {"padding": (1, 0, 0, 2)}),
}
DTYPES = ["uint8", "float16", "bfloat16", "float32", "int64", "complex64"]


REDUCTIONS = ["sum", "mean", "weighted sum", "weighted mean"]


def dtype_of(name: str) -> np.dtype[Any]:
    """Return a dtype by its name."""
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


def mixed(*axes: Sequence[str]) -> list[tuple[str, ...]]:
    """Return every shape with four mixtures of options; each value of each axis comes about equally often."""
    rng = np.random.default_rng(0)
    count = 4 * len(SHAPES)
    columns = [rng.permutation(np.resize(np.array(axis), count)).tolist() for axis in axes]
    return list(zip(list(SHAPES) * 4, *columns, strict=True))


COMMON = (DTYPES, PADDING_MODES, ORIENTATIONS, TAP_ORDERS)


@pytest.mark.parametrize(("name", "dtype", "mode", "orientation", "tap_order"), one_in(5, mixed(*COMMON)))
def test_the_column_matrix(name: str, dtype: str, mode: str, orientation: str, tap_order: str) -> None:
    """`im2col`, new and into `out`, and `patches`."""
    shape, kernel, window = SHAPES[name]
    x = np.ones(shape, dtype_of(dtype))
    options: dict[str, Any] = window | {"padding_mode": mode, "orientation": orientation, "tap_order": tap_order}
    out = im2col(x, kernel, **options)
    assert_within_budget(lambda: im2col(x, kernel, **options, threads=1))
    assert_within_budget(lambda: im2col(x, kernel, **options, out=out, threads=1))
    assert_within_budget(lambda: patches(x, kernel, **options))


@pytest.mark.parametrize(
    ("name", "dtype", "mode", "orientation", "tap_order", "reduce"), one_in(5, mixed(*COMMON, REDUCTIONS))
)
def test_the_way_back(name: str, dtype: str, mode: str, orientation: str, tap_order: str, reduce: str) -> None:
    """`col2im`, new and into `out`."""
    shape, kernel, window = SHAPES[name]
    x = np.ones(shape, dtype_of(dtype))
    options: dict[str, Any] = window | {"padding_mode": mode, "orientation": orientation, "tap_order": tap_order}
    columns = im2col(x, kernel, **options)
    options |= {"reduce": reduce.rpartition(" ")[-1], "threads": 1}
    if reduce.startswith("weighted"):
        options["tap_weights"] = np.ones(kernel, np.uint8)
    out = col2im(columns, shape, kernel, **options)
    assert_within_budget(lambda: col2im(columns, shape, kernel, **options))
    assert_within_budget(lambda: col2im(columns, shape, kernel, **options, out=out))


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("mode", PADDING_MODES)
def test_the_counts(name: str, mode: Any) -> None:
    """`overlap_count` takes no more than twice its result and the padded axes."""
    shape, kernel, window = SHAPES[name]
    found = assert_within_budget(lambda: overlap_count(shape, kernel, **window, padding_mode=mode))
    assert found.kept < 2 * 8 * math.prod(shape[-len(kernel) :]) + (1 << 16)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("tap_order", TAP_ORDERS)
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_matrix_of_filters(orientation: Any, tap_order: Any, order: Any) -> None:
    """`weight_matrix` is made where it is to lie, whatever the memory order of the filters."""
    w = np.ones((256, 32, 3, 3), order=order)
    for groups in (1, 8):
        assert_within_budget(lambda: weight_matrix(w, orientation=orientation, tap_order=tap_order, groups=groups))  # noqa: B023 (called at once)


def test_the_budget_notices() -> None:
    """A call that takes more than it asked for, or asks for more than it takes, is found."""
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        assert_within_budget(lambda: np.zeros(1 << 20))

    def too_careful() -> Any:
        host.require_memory(40 << 20, "ask for less", "nothing")
        return np.zeros(1 << 20)

    with pytest.raises(MemoryBudgetError, match="ask for less"):
        assert_within_budget(too_careful)


def test_means_of_a_long_axis_take_a_box() -> None:
    """Of the counts along an axis, a box of 64-bit integers takes its own part."""
    columns = np.ones((1 << 19, 1), np.uint64)
    out = np.empty(1 << 19, np.uint64)
    assert_within_budget(lambda: col2im(columns, out.shape, (1,), reduce="mean", out=out, threads=1), slack=1 << 19)


@pytest.mark.parametrize("shape", [(256, 1 << 12), (256, 1 << 6), (64, 1 << 15)])
def test_weights_of_each_channel_take_those_of_a_box(shape: tuple[int, int]) -> None:
    """However many channels there are, a mean divides those of a box by their own weights."""
    columns = np.ones((shape[1], shape[0]), np.float32)
    weights, out = np.ones((shape[0], 1), np.float32), np.empty(shape, np.float32)
    assert_within_budget(
        lambda: col2im(columns, shape, (1,), reduce="mean", tap_weights=weights, out=out, threads=1), slack=1 << 20
    )


@pytest.mark.parametrize("dtype", ["float32", "longdouble", "complex64", "clongdouble"])
def test_counts_are_divisors_of_any_width(dtype: str) -> None:
    """A mean that is folded back divides a whole plane, by counts in the width of its numbers."""
    options: dict[str, Any] = {"padding": ((1, 0), 0), "padding_mode": "reflect", "orientation": "columns"}
    columns = np.ones((2, 400 * 400), dtype)
    out = np.empty((400, 400), dtype)
    assert_within_budget(
        lambda: col2im(columns, out.shape, (2, 1), reduce="mean", out=out, threads=1, **options), slack=1 << 19
    )


@pytest.mark.parametrize("padding", [2**63, 2**40, (2**63, 1)])
@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_padding_beyond_all_memory(padding: int | tuple[int, int], dtype: str) -> None:
    """No algorithm lists tiles or rows of a map that no machine holds."""
    w = np.ones((6, 4, 3, 3), dtype)
    with pytest.raises(MemoryBudgetError, match=r"\Aplan: "):
        plan((1, 4, 8, 8), w, x_dtype=dtype, padding=padding)
    assert cost((1, 4, 8, 8), w.shape, dtype=dtype, padding=padding).flops > 2**40
    for separable in (np.ones((3, 3), dtype), np.ones((5, 5), dtype)):
        with pytest.raises(MemoryBudgetError, match=r"\Aplan: "):
            plan((8, 8), separable[None, None], x_dtype=dtype, padding=padding)


def test_images_beyond_all_memory() -> None:
    """Nor strips of their rows."""
    for sizes in ((8, 2**50), (2**50, 8)):
        assert cost((1, 1, *sizes), (1, 1, 5, 5), dtype="float32").flops > 2**40
        with pytest.raises(MemoryBudgetError, match=r"\Aplan: "):
            plan((1, 1, *sizes), np.ones((1, 1, 5, 5), np.float32))


NOTHING, ONES = np.zeros((0, 1, 3, 3), "f4"), np.ones((1, 1, 2, 2), "f4")
VAST: dict[str, Callable[[int], object]] = {
    "im2col": lambda most: im2col(NOTHING, 2, padding=most),
    "patches": lambda most: patches(NOTHING, 2, padding=most),
    "conv": lambda most: conv(NOTHING, ONES, padding=most),
    "conv, explicit": lambda most: conv(NOTHING, ONES, padding=most, algorithm="explicit"),
    "conv, reference": lambda most: conv(NOTHING, ONES, padding=most, algorithm="reference"),
    "conv_transpose": lambda most: conv_transpose(NOTHING, ONES, stride=most),
    "average_pool": lambda most: average_pool(NOTHING, 2, padding=most),
    "lp_pool": lambda most: lp_pool(NOTHING, 2, p=1, padding=most),
    "plan": lambda most: plan(NOTHING.shape, ONES, padding=most),
    "plan_transpose": lambda most: plan_transpose(NOTHING.shape, ONES, stride=most),
}


@pytest.mark.parametrize("most", [1 << 62, 1 << 40])
@pytest.mark.parametrize("name", VAST)
def test_no_images_of_a_vast_shape(name: str, most: int) -> None:
    """NumPy describes no array whose axes pass the address space, not even an empty one: there is none to return."""
    with pytest.raises(MemoryBudgetError, match=rf"^{name.partition(',')[0]}: "):
        VAST[name](most)
