"""Transposes and gradients that come again: what is remembered of them changes no result and no error."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import im2col
from im2col import memory
from im2col.engine import host, scratch
from im2col.errors import ArgumentError, DTypeError, Im2colError, MemoryBudgetError, OutputError, ShapeError
from im2col.layers.operation import Work

from .kit.outcomes import raises_exactly, require
from .kit.selection import wide_but
from .kit.strategies import integers

if TYPE_CHECKING:
    from collections.abc import Callable

require("llvmlite")
Array = np.ndarray[Any, Any]
Shapes = tuple[tuple[int, ...], tuple[int, ...]]


pytestmark = pytest.mark.usefixtures("nothing_remembered")


def full_of_nan(shape: int | tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return memory that nobody may read before it is written."""
    array = np.empty(shape, dtype)
    array.view(np.uint8).fill(255)
    return array


TRANSPOSES: dict[str, tuple[Shapes, dict[str, Any]]] = {
    "dense": (((1, 8, 8, 8), (8, 8, 3, 3)), {}),
    "cut": (((1, 8, 8, 8), (8, 5, 3, 3)), {"padding": 1}),
    "cut beyond the kernel": (((1, 4, 9, 9), (4, 8, 3, 3)), {"padding": (3, (4, 1))}),
    "phases": (((2, 4, 5, 6), (4, 7, 3, 3)), {"stride": 2, "padding": 1, "output_padding": 1}),
    "phases and gaps": (((1, 4, 5, 6), (4, 8, 2, 2)), {"stride": 3, "activation": "relu"}),
    "phases of one axis": (((1, 4, 5, 6), (4, 8, 3, 5)), {"stride": (1, 3), "layout": "NCHW"}),
    "grouped": (((1, 6, 7, 7), (6, 4, 3, 3)), {"groups": 2}),
    "grouped phases": (((1, 6, 7, 7), (6, 3, 3, 3)), {"groups": 2, "stride": 2}),
    "depthwise": (((1, 16, 7, 7), (16, 1, 3, 3)), {"groups": 16, "padding": 1}),
    "channels last": (((1, 7, 7, 8), (8, 8, 4, 4)), {"layout": "NHWC", "stride": 2, "padding": 1}),
    "no batch": (((4, 7, 7), (4, 6, 3, 3)), {"dilation": 2}),
    "flipped": (((1, 4, 7, 7), (4, 6, 3, 2)), {"flip": True, "stride": 2}),
    "1-d": (((1, 4, 20), (4, 6, 5)), {"stride": 2}),
    "activation": (((1, 4, 7, 7), (4, 6, 3, 3)), {"activation": ("leaky_relu", 0.5)}),
}
INPUT_GRADIENTS: dict[str, tuple[Shapes, dict[str, Any]]] = {
    "dense": (((1, 8, 9, 9), (8, 8, 3, 3)), {"padding": 1}),
    "phases": (((2, 4, 9, 10), (8, 4, 3, 3)), {"stride": 2, "padding": 1}),
    "gaps": (((1, 4, 9, 10), (8, 4, 2, 2)), {"stride": 3}),
    "grouped": (((1, 6, 9, 9), (8, 3, 3, 3)), {"groups": 2}),
    "depthwise": (((1, 16, 9, 9), (16, 1, 3, 3)), {"groups": 16, "padding": 1}),
    "channels last": (((1, 9, 9, 8), (8, 8, 3, 3)), {"layout": "NHWC", "padding": 1}),
    "dilated": (((1, 4, 12, 12), (4, 4, 3, 3)), {"dilation": 3}),
    "no batch": (((4, 9, 9), (6, 4, 3, 3)), {"padding": "same"}),
    "flipped": (((1, 3, 9, 9), (16, 3, 3, 2)), {"flip": True}),
}
WEIGHT_GRADIENTS: dict[str, tuple[Shapes, dict[str, Any]]] = {
    "dense": (((1, 8, 8, 8), (8, 8, 3, 3)), {}),
    "padded": (((3, 8, 8, 8), (8, 8, 3, 3)), {"padding": 1}),
    "strided": (((2, 5, 9, 7), (11, 5, 3, 3)), {"stride": 2, "padding": ((1, 0), 2)}),
    "grouped": (((1, 6, 9, 9), (8, 3, 3, 3)), {"groups": 2}),
    "channels last": (((2, 9, 9, 8), (8, 8, 3, 3)), {"layout": "NHWC", "padding": 1}),
    "few filters": (((1, 16, 9, 9), (2, 16, 3, 3)), {"padding": 1}),
    "one filter": (((2, 9, 9, 16), (1, 16, 3, 3)), {"padding": 1, "layout": "NHWC"}),
    "dilated": (((1, 4, 12, 12), (16, 4, 3, 3)), {"dilation": 3}),
    "no batch": (((4, 9, 9), (6, 4, 3, 3)), {"padding": "same"}),
    "pointwise": (((1, 8, 5, 5), (24, 8, 1, 1)), {}),
    "pointwise, channels last": (((1, 7, 7, 8), (8, 8, 1, 1)), {"layout": "NHWC"}),
    "packed": (((1, 32, 7, 7), (32, 32, 3, 3)), {}),
    "packed and copied": (((3, 32, 7, 7), (32, 32, 3, 3)), {"padding": 1}),
    "copied": (((3, 14, 14, 3), (16, 3, 3, 3)), {"padding": 1, "layout": "NHWC"}),
}
LONGER: dict[str, dict[str, tuple[Shapes, dict[str, Any]]]] = {
    "conv_transpose": {
        "one product": (((1, 4, 5, 5), (4, 8, 7, 7)), {"stride": 7}),
        "double": (((1, 4, 5, 5), (4, 8, 3, 3)), {"dtype": np.float64}),
    },
    "conv_input_gradient": {
        "reflected": (((1, 4, 9, 9), (8, 4, 3, 3)), {"padding": 1, "padding_mode": "reflect"}),
        "double": (((1, 4, 9, 9), (8, 4, 3, 3)), {"dtype": np.float64}),
    },
    "conv_weight_gradient": {
        "reflected": (((1, 4, 9, 9), (8, 4, 3, 3)), {"padding": 1, "padding_mode": "reflect"}),
        "another constant": (((1, 4, 9, 9), (8, 4, 3, 3)), {"padding": 1, "padding_value": 3}),
        "flipped": (((1, 3, 9, 9), (16, 3, 3, 2)), {"flip": True}),
        "double": (((1, 4, 9, 9), (8, 4, 3, 3)), {"dtype": np.float64}),
    },
}
"""What takes more than one call of the engine."""
FUNCTIONS = {
    "conv_transpose": TRANSPOSES,
    "conv_input_gradient": INPUT_GRADIENTS,
    "conv_weight_gradient": WEIGHT_GRADIENTS,
}
SHORT = [(function, name) for function, cases in FUNCTIONS.items() for name in cases]
EVERY = SHORT + [(function, name) for function, cases in LONGER.items() for name in cases]
FIRST = {name: (function, name) for function, name in reversed(EVERY)}
"""Every name with one of the functions that have it."""


def call_of(function: str, name: str) -> Callable[..., Array]:
    """Return the call of a case with arrays by their seed: ``call(seed, order, **more)``."""
    (shape, kernel), options = (FUNCTIONS[function] | LONGER[function])[name]
    plain = {key: value for key, value in options.items() if key not in ("activation", "output_padding")}
    result = None
    if function != "conv_transpose":
        result = im2col.conv(np.zeros(shape, np.float32), np.zeros(kernel, np.float32), **plain).shape

    def call(seed: int, arrange: Callable[[Array], Array] = np.asarray, **more: Any) -> Array:
        given = options | more
        if function == "conv_transpose":
            bias = given.pop("bias", False) and integers(seed + 2, kernel[1] * options.get("groups", 1))
            x, w = arrange(integers(seed, *shape)), arrange(integers(seed + 1, *kernel))
            return im2col.conv_transpose(x, w, None if bias is False else bias, **given)
        assert result is not None
        grad = arrange(integers(seed + 1, *result))
        if function == "conv_input_gradient":
            return im2col.conv_input_gradient(grad, arrange(integers(seed, *kernel)), shape, **given)
        return im2col.conv_weight_gradient(arrange(integers(seed, *shape)), grad, kernel[2:], **given)

    return call


@pytest.mark.parametrize(
    ("function", "name"),
    wide_but(set(list(FIRST.values())[::2]), EVERY),
)
def test_the_third_call_is_the_first(function: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With other numbers, of arrays that lie elsewhere, into new results and old ones, some in other orders."""
    monkeypatch.setattr(scratch, "empty", full_of_nan)
    call = call_of(function, name)
    orders: list[Callable[[Array], Array]] = [np.asarray]
    if name in ("dense", "channels last"):
        orders += [np.asfortranarray, lambda a: a.astype(">f4")]
    biases = [{"bias": True}, {"bias": False}] if function == "conv_transpose" else [{}]
    for seed in range(0, 30, 10):
        for arrange in orders:
            for bias in biases:
                # Sums of small integers are exact, so BLAS, which is quicker than the definition, adds up the same.
                expected = call(seed, algorithm="explicit", **bias)
                np.testing.assert_array_equal(call(seed, arrange, **bias), expected, strict=True)
                out = np.full((*expected.shape, 2), np.nan, expected.dtype)
                for room in (out[..., 0].copy(), out[..., 1]):
                    assert call(seed, arrange, out=room, **bias) is room
                    np.testing.assert_array_equal(room, expected)


@pytest.mark.parametrize(("function", "name"), SHORT)
def test_a_small_call_that_comes_again_is_one_call_of_the_engine(
    function: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the third on nothing is decided, packed or copied by Python, nor is it asked how many threads there are."""
    call = call_of(function, name)
    expected, _ = (call(0) for _ in range(2))
    monkeypatch.setattr(Work, "run", lambda *_: pytest.fail("this is more than one call of the engine"))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: pytest.fail("asked again"), raising=False)
    monkeypatch.setattr(os.environ, "get", lambda *_: pytest.fail("asked again"))
    np.testing.assert_array_equal(call(0), expected)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("biased", [True, False])
def test_threads_share_many_weights_in_one_call(
    layout: str, threads: int, biased: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights of many megabytes are packed by the threads that multiply with them, and Python does nothing else."""
    x, w, bias = integers(0, 1, 1024, 3, 3), integers(1, 2048, 1024, 1, 1), integers(2, 2048) * biased
    expected = np.maximum(np.einsum("nchw,kc->nkhw", x, w[..., 0, 0]) + bias[:, None, None], 0)
    if layout == "NHWC":
        x, expected = (np.ascontiguousarray(np.moveaxis(each, 1, -1)) for each in (x, expected))
    for call in range(4):
        if call == 2:
            monkeypatch.setattr(Work, "run", lambda *_: pytest.fail("this is more than one call of the engine"))
        out = full_of_nan(expected.shape, expected.dtype)
        im2col.conv(x, w, bias if biased else None, layout=layout, threads=threads, activation="relu", out=out)
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("name", ["conv", "conv2d", "conv_transpose"])
def test_a_bias_of_any_strides_comes_again(name: str) -> None:
    """It is read where its values lie, not where those of a copy of it would."""
    x, w, wide = integers(0, 1, 8, 8, 8), integers(1, 8, 8, 3, 3), integers(2, 64)
    without = getattr(im2col, name)(x, w)
    for bias in (wide[::8], wide[::-8], np.broadcast_to(wide[3], 8), wide[:8]):
        for _ in range(4):
            result = getattr(im2col, name)(x, w, bias)
            np.testing.assert_array_equal(result, without + bias[:, None, None])


@pytest.mark.parametrize("function", FUNCTIONS)
def test_what_is_wrong_is_said_as_before(function: str) -> None:
    """After good calls, the error is that of a process which made none."""
    call = call_of(function, "dense")
    shape = call(0).shape
    wrong: list[tuple[type[Im2colError], dict[str, Any]]] = [
        (ArgumentError, {"threads": 0}),
        (Im2colError, {"stride": True}),
        (Im2colError, {"stride": 1.0}),
        (ShapeError, {"groups": 3}),
        (DTypeError, {"dtype": np.int8}),
        (OutputError, {"out": np.zeros(shape, np.float64)}),
        (OutputError, {"out": np.zeros((2, *shape), np.float32)}),
        (OutputError, {"out": np.broadcast_to(np.float32(0), shape)}),
        (OutputError, {"out": [0]}),
    ]
    for kind, options in wrong:
        for _ in range(3):
            call(0)
            call(0, out=np.empty(shape, np.float32))
        with pytest.raises(kind) as after:
            call(0, **options)
        memory.clear()
        with pytest.raises(kind) as before:
            call(0, **options)
        assert str(after.value) == str(before.value)
        assert str(after.value).startswith(f"{function}: ")


def test_out_and_the_memory_are_looked_at_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may share memory with an operand by now; there may be less memory."""
    x, w = integers(0, 1, 8, 8, 8), integers(1, 8, 8, 3, 3)
    calls: dict[str, Callable[..., Array]] = {
        "conv_transpose": lambda out=None: im2col.conv_transpose(x, w, padding=1, out=out),
        "conv_input_gradient": lambda out=None: im2col.conv_input_gradient(x, w, x.shape, padding=1, out=out),
        "conv_weight_gradient": lambda out=None: im2col.conv_weight_gradient(x, x, 3, padding=1, out=out),
    }
    shares = "out shares memory with an input, which would be overwritten while it is read; pass another array"
    whole = np.zeros(8 * 8 * 9 + 8 * 8 * 8, np.float32)
    for name, call in calls.items():
        for _ in range(3):
            call(np.empty_like(call()))
        beside = whole[: call().size].reshape(call().shape)
        x = whole[100 : 100 + x.size].reshape(x.shape)
        with raises_exactly(OutputError, f"{name}: {shares}"):
            call(beside)
    monkeypatch.setattr(host, "_ALWAYS_FITS", 0)
    monkeypatch.setattr(host, "available_memory", lambda: 100)
    for name, call in calls.items():
        with pytest.raises(MemoryBudgetError, match=f"^{name}: the result .* would take"):
            call()


def test_a_result_may_lie_where_the_bias_does() -> None:
    """The bias was read before, for all phases."""
    x, w = integers(0, 1, 4, 5, 5), integers(1, 4, 3, 2, 2)
    for _ in range(3):
        whole = np.zeros((1, 3, 10, 10), np.float32)
        bias = whole.reshape(-1)[:3]
        bias[:] = 1, 2, 3
        expected = im2col.conv_transpose(x, w, bias.copy(), stride=2, algorithm="reference")
        np.testing.assert_array_equal(im2col.conv_transpose(x, w, bias, stride=2, out=whole), expected)
