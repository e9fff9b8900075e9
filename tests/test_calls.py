"""Calls that come again: what is remembered of them changes no result and no error, and nothing is asked twice."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import im2col
from im2col import memory
from im2col.algorithms.implicit import decide
from im2col.algorithms.implicit.work import Calls
from im2col.engine import compiler, gather, host, threads
from im2col.engine.sequence import SEQUENCE
from im2col.engine.target import host as host_target
from im2col.errors import (
    ArgumentError,
    DTypeError,
    GeometryError,
    Im2colError,
    MemoryBudgetError,
    OutputError,
    ShapeError,
)
from im2col.layers.operation import Operation, Work
from im2col.layers.stages import Convolution

from .kit.layers import Case, expected
from .kit.outcomes import raises_exactly, require
from .kit.strategies import integers
from .kit.targets import planning_for

if TYPE_CHECKING:
    from collections.abc import Callable

require("llvmlite")
Array = np.ndarray[Any, Any]


pytestmark = pytest.mark.usefixtures("nothing_remembered")


def nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whatever a call does fail that is no one call of the engine."""

    def fail(*_: Any) -> Any:
        pytest.fail("this is more than one call of the engine")

    monkeypatch.setattr(Work, "run", fail)
    monkeypatch.setattr(Convolution, "run", fail)


def defined(x: Array, w: Array, bias: Array | None = None, **options: Any) -> Array:
    """Return what a layer of small integers is by its definition; exactly, tap by tap."""
    last = options.get("layout") == "NHWC"
    spatial, groups = x.shape[1:3] if last else x.shape[2:], options.get("groups", 1)
    case = Case(spatial, w.shape[2:], batch=len(x), channels=w.shape[1], filters=len(w) // groups, **options)
    return expected(case, x, w, bias)[0].astype(x.dtype)


LAYERS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "dense": ((1, 8, 8, 8), (8, 8, 3, 3), {"padding": 1}),
    "a tail of filters": ((2, 5, 9, 7), (11, 5, 3, 3), {"stride": 2}),
    "flipped": ((1, 3, 9, 9), (16, 3, 3, 2), {"flip": True}),
    "grouped": ((1, 6, 9, 9), (8, 3, 3, 3), {"groups": 2, "padding": ((1, 0), 2)}),
    "depthwise": ((1, 16, 9, 9), (16, 1, 3, 3), {"groups": 16, "padding": 1}),
    "dilated": ((1, 4, 12, 12), (4, 4, 3, 3), {"dilation": 3, "activation": "relu"}),
    "no batch": ((4, 9, 9), (6, 4, 3, 3), {"padding": "same"}),
    "channels last": ((1, 9, 9, 8), (8, 8, 3, 3), {"layout": "NHWC", "padding": 1}),
    "pointwise": ((1, 8, 5, 5), (24, 8, 1, 1), {}),
    "double": ((1, 4, 6, 6), (8, 4, 3, 3), {"dtype": np.float64}),
}


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_the_third_call_is_the_first(name: str, bias: bool) -> None:
    """With other numbers, of arrays that lie elsewhere, the result is that of the definition."""
    shape, kernel, options = LAYERS[name]
    for seed in range(2):  # of two calls each
        x, w = integers(seed, *shape), integers(seed + 10, *kernel)
        b = integers(seed + 20, kernel[0]) if bias else None
        expected = im2col.conv2d(x, w, b, algorithm="reference", **options)
        out = np.full(expected.shape, np.nan, expected.dtype)
        assert im2col.conv2d(x, w, b, out=out, **options) is out
        np.testing.assert_array_equal(out, expected, strict=True)
        np.testing.assert_array_equal(im2col.conv2d(x, w, b, **options), expected, strict=True)


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "double"])
def test_a_small_call_that_comes_again_is_one_call_of_the_engine(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the third on nothing is decided, packed or copied by Python, nor is it asked how many threads there are."""
    shape, kernel, options = LAYERS[name]
    x, w = integers(0, *shape), integers(1, *kernel)
    expected, _ = (im2col.conv2d(x, w, **options) for _ in range(2))
    nothing_more(monkeypatch)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: pytest.fail("asked again"), raising=False)
    monkeypatch.setattr(os.environ, "get", lambda *_: pytest.fail("asked again"))
    np.testing.assert_array_equal(im2col.conv2d(x, w, **options), expected)


@pytest.mark.parametrize("options", [{}, {"padding": 1}, {"stride": 2}])
def test_a_plain_kernel_that_comes_again_is_one_call_of_the_engine(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lies where the filter of one channel lies that it is; another one of its shape is read in its place."""
    x, w, other = integers(0, 9, 9), integers(1, 3, 3), integers(2, 3, 3)
    expected = [defined(x[None, None], kernel[None, None], **options)[0, 0] for kernel in (w, other)]
    for _ in range(2):
        im2col.conv2d(x, w, **options)
    nothing_more(monkeypatch)
    for kernel, result in zip((w, other), expected, strict=True):
        np.testing.assert_array_equal(im2col.conv2d(x, kernel, **options), result)


def correlated(x: Array, kernel: Array) -> Array:
    """Return the valid correlation of an image with a kernel, tap by tap, in float64."""
    (h, w), (kh, kw) = x.shape, kernel.shape
    result = np.zeros((h - kh + 1, w - kw + 1))
    for (i, j), weight in np.ndenumerate(kernel):
        result += weight * x[i : h - kh + 1 + i, j : w - kw + 1 + j].astype(np.float64)
    return result


KERNELS = {
    "full rank": np.array([[3, 1, 0, 2, 1], [0, 2, 1, 1, 0], [1, 0, 3, 0, 1], [2, 1, 0, 1, 0], [1, 0, 1, 0, 2]], "f4"),
    "column and row": np.outer([1, 4, 6, 4, 1], [-1, -2, 0, 2, 1]).astype("f4"),
    "box": np.full((5, 5), 0.25, np.float32),
    "not a number": np.full((5, 5), np.nan, np.float32),
}
"""Of which different algorithms filter an image of some size."""


@pytest.mark.parametrize("second", KERNELS)
@pytest.mark.parametrize("first", KERNELS)
def test_calls_that_were_decided_by_their_weights(first: str, second: str) -> None:
    """Whatever is remembered, calls with another kernel run as they did at first; with the same they need no look."""
    x = integers(0, 600, 600)
    alone = []
    for name in (first, second):
        memory.clear()
        alone.append(im2col.conv2d(x, KERNELS[name].copy()).tobytes())
    memory.clear()
    for name, bits in zip((first, second) * 4, alone * 4, strict=True):
        result = im2col.conv2d(x, KERNELS[name].copy())
        np.testing.assert_allclose(result, correlated(x, KERNELS[name]), rtol=0, atol=1e-3)
        assert result.tobytes() == bits
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Work, "run", lambda *_: pytest.fail("this was looked at again"))
        out = np.empty((596, 596), np.float32)
        assert im2col.conv2d(x, KERNELS[first], out=None).tobytes() == alone[0]
    for _ in range(3):
        assert im2col.conv2d(x, KERNELS[second], out=out) is out
        assert out.tobytes() == alone[1]


def test_weights_that_are_overwritten_between_calls() -> None:
    """What is kept of them is their own: a call reads what they are then."""
    x, w = integers(0, 600, 600), KERNELS["column and row"].copy()
    for kernel in (w, w[::-1], KERNELS["full rank"], w):
        for _ in range(3):
            w[...] = kernel
            np.testing.assert_allclose(im2col.conv2d(x, w), correlated(x, w), rtol=0, atol=1e-3)


def test_a_bias_beside_weights_that_decide() -> None:
    """It is no part of what tells such calls apart, so each of them is looked at."""
    x, w = integers(0, 1, 1, 600, 600), KERNELS["box"][None, None]
    for bias in (0, 0, 0, 5, -3):
        given = np.full(1, bias, np.float32)
        expected = correlated(x[0, 0], w[0, 0]) + bias
        np.testing.assert_allclose(im2col.conv2d(x, w, given)[0, 0], expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    "change",
    [
        lambda w: w[:, :, ::-1],
        lambda w: w.transpose(1, 0, 3, 2),
        np.asfortranarray,
        lambda w: np.broadcast_to(w[:1], w.shape),
        lambda w: w.astype(">f4"),
        lambda w: w.astype(np.float64),
        lambda w: w.tolist(),
    ],
)
@pytest.mark.parametrize("first", [False, True])
def test_arrays_of_other_strides_and_dtypes_are_other_calls(change: Callable[[Array], Any], first: bool) -> None:
    """Image or filters, after calls of plain ones of the same shape."""
    x, w = integers(0, 4, 4, 4, 4), integers(1, 4, 4, 4, 4)
    for _ in range(3):
        im2col.conv2d(x, w, padding=2)
    given = (change(x), w) if first else (x, change(w))
    expected = im2col.conv2d(*given, padding=2, algorithm="reference")
    for _ in range(3):
        np.testing.assert_array_equal(im2col.conv2d(*given, padding=2), expected, strict=True)


@pytest.mark.parametrize(
    "options", [{}, {"flip": True}, {"layout": "NHWC"}, {"padding": 1, "activation": "relu"}], ids=str
)
@pytest.mark.parametrize("filters", [128, 104, 23])
@pytest.mark.parametrize("second", [6 << 10, 28 << 10])
def test_weights_that_outweigh_the_image_are_packed_part_by_part(
    options: dict[str, Any], filters: int, second: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Just before they are used, all to one place; with a bias and without. A tail of filters has zeros to keep."""
    rounds: list[int] = []
    part_by_part = Calls.part_by_part

    def noted(self: Calls, before: Any, parts: Any, *more: Any) -> Any:
        rounds.append(len(parts))
        assert [first for first, *_ in parts] == [0, *(stop for _, stop, _ in parts[:-1])]
        return part_by_part(self, before, parts, *more)

    monkeypatch.setattr(Calls, "part_by_part", noted)
    shape = (1, 5, 5, 8) if options.get("layout") else (1, 8, 5, 5)
    with planning_for(host_target()._replace(caches=(4 << 10, second, 1 << 20))):
        for seed in range(3):
            x, w, b = integers(seed, *shape), integers(5 + seed, filters, 8, 3, 3), integers(9 + seed, filters)
            for bias in (None, b):
                right = defined(x, w, bias, **options)
                np.testing.assert_array_equal(im2col.conv2d(x, w, bias, **options), right, strict=True)
    assert min(rounds, default=2) > 1
    assert len(rounds) == (2 if filters % 16 == 0 else len(rounds))


COPIED: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "a tail of filters": ((2, 5, 9, 7), (11, 5, 3, 3), {"stride": 2, "flip": True}),
    "grouped": ((1, 6, 9, 9), (8, 3, 3, 3), {"groups": 2, "padding": ((1, 0), (2, 2))}),
    "batch": ((3, 17, 5, 5), (24, 17, 3, 3), {"padding": 1, "activation": "relu"}),
    "its stops alone": ((2, 16, 9, 9), (24, 16, 1, 1), {"stride": 2}),
    "weights from afar": ((1, 8, 3, 3), (104, 8, 3, 3), {"padding": 1}),
    "weights from afar, a batch": ((2, 8, 3, 3), (96, 8, 3, 3), {"padding": 1}),
    "weights from afar, an image that is not read again": ((1, 64, 10, 10), (16, 64, 3, 3), {"stride": 3}),
}


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", COPIED)
def test_the_copy_of_an_image_is_part_of_the_call(name: str, bias: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where copies cost nothing, images are read from one; from the third call on it is made by the engine, too."""
    shape, kernel, options = COPIED[name]
    monkeypatch.setattr(decide, "_copied_cycles", lambda *_: -1e12)
    assert "from a copy" in str(im2col.plan(shape, np.zeros(kernel, np.float32), **options))
    calls = [
        (integers(seed, *shape), integers(seed + 10, *kernel), integers(seed + 20, kernel[0])) for seed in range(4)
    ]
    right = [defined(x, w, b if bias else None, **options) for x, w, b in calls]
    with planning_for(host_target()._replace(caches=(4 << 10, 24 << 10, 1 << 20))):
        for number, (x, w, b) in enumerate(calls):
            if number == 2:
                nothing_more(monkeypatch)
            result = im2col.conv2d(x, w, b if bias else None, **options)
            np.testing.assert_array_equal(result, right[number], strict=True)


WRONG: list[tuple[dict[str, Any], type[Im2colError]]] = [
    ({"padding": True}, GeometryError),
    ({"padding": 1.0}, GeometryError),
    ({"padding": "1"}, ArgumentError),
    ({"padding": 1, "stride": True}, GeometryError),
    ({"padding": 1, "groups": 2}, ShapeError),
    ({"padding": 1, "threads": 0}, ArgumentError),
    ({"padding": 1, "threads": True}, ArgumentError),
    ({"padding": 1, "bias": np.zeros(7, np.float32)}, ShapeError),
    ({"padding": 1, "bias": np.zeros(8, complex)}, DTypeError),
    ({"padding": 1, "out": np.zeros((1, 8, 8, 7), np.float32)}, OutputError),
    ({"padding": 1, "out": np.zeros((1, 8, 8, 8), np.float64)}, OutputError),
    ({"padding": 1, "out": np.broadcast_to(np.float32(0), (1, 8, 8, 8))}, OutputError),
    ({"padding": 1, "out": [0]}, OutputError),
]


@pytest.mark.parametrize(("options", "kind"), WRONG, ids=lambda each: str(each)[:40])
def test_what_is_wrong_is_said_as_before(options: dict[str, Any], kind: type[Im2colError]) -> None:
    """After many good calls, the error is that of a process which made none."""
    x, w = integers(0, 1, 8, 8, 8), integers(1, 8, 8, 3, 3)
    for _ in range(3):
        im2col.conv2d(x, w, padding=1)
        im2col.conv2d(x, w, np.zeros(8, np.float32), padding=1, out=np.empty_like(x))
    with pytest.raises(kind) as after:
        im2col.conv2d(x, w, **options)
    memory.clear()
    with pytest.raises(kind) as before:
        im2col.conv2d(x, w, **options)
    assert str(after.value) == str(before.value)
    assert str(after.value).startswith("conv2d: ")


def test_out_is_checked_each_time() -> None:
    """It may have become read-only, or share memory with an input; it may lie as it likes."""
    x, w, out = integers(0, 1, 8, 8, 8), integers(1, 8, 8, 3, 3), np.empty((1, 8, 8, 8), np.float32)
    plan = im2col.plan(x.shape, w, padding=1)
    calls: dict[str, Callable[[Array], Array]] = {
        "conv2d": lambda out: im2col.conv2d(x, w, padding=1, out=out),
        "plan": lambda out: plan(x, out=out),
    }
    for name, call in calls.items():
        expected = im2col.conv2d(x, w, padding=1, algorithm="reference")
        for _ in range(3):
            call(out)
        within = np.full((1, 8, 8, 16), np.nan, np.float32)[..., ::2]
        for room in (within, within.transpose(0, 3, 2, 1)[..., ::-1].transpose(0, 3, 2, 1)):
            assert call(room) is room
            np.testing.assert_array_equal(room, expected)
        shares = "out shares memory with an input, which would be overwritten while it is read; pass another array"
        with raises_exactly(OutputError, f"{name}: {shares}"):
            call(x)
        out.flags.writeable = False
        with raises_exactly(OutputError, f"{name}: out is read-only; pass a writeable array"):
            call(out)
        out.flags.writeable = True
    with raises_exactly(OutputError, f"conv2d: {shares}"):
        im2col.conv2d(x, w, padding=1, out=w.reshape(-1)[:512].reshape(1, 8, 8, 8))


def test_a_plan_that_knows_its_arrays_checks_others() -> None:
    """After arrays of the plan's kind: lists, other strides and byte orders are taken, other shapes and dtypes not."""
    x, w = integers(0, 1, 8, 8, 8), integers(1, 8, 8, 3, 3)
    plan = im2col.plan(x.shape, w, padding=1)
    expected = im2col.conv2d(x, w, padding=1, algorithm="reference")
    strided = np.asfortranarray(x)
    for given in (x, x, x, strided, strided, x, x.astype(">f4"), x, x[:, :, ::-1][:, :, ::-1]):
        np.testing.assert_array_equal(plan(given), expected, strict=True)
    message = "plan: x has shape (1, 8, 8, 7) but the plan was made for (1, 8, 8, 8); make a plan for each shape"
    with raises_exactly(ShapeError, message):
        plan(x[..., 1:])
    message = (
        "plan: x has dtype float64 but the plan was made for float32; convert x, or make the plan with "
        "x_dtype='float64'"
    )
    with raises_exactly(DTypeError, message):
        plan(x.astype(np.float64))


def test_a_plan_with_its_arrays_is_one_call_of_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the second on, in either layout."""
    for layout in ("NCHW", "NHWC"):
        x, w = integers(0, 1, 8, 8, 8), integers(1, 8, 8, 3, 3)
        plan = im2col.plan(x.shape, w, padding=1, layout=layout)
        expected = plan(x)
        with monkeypatch.context() as patch:
            nothing_more(patch)
            np.testing.assert_array_equal(plan(x), expected)
            np.testing.assert_array_equal(plan(x, out=np.empty_like(expected)), expected)


def test_threads_that_were_set_meanwhile_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is work for several; a wrong environment is an error of the very next call."""
    x, w = integers(0, 1, 64, 40, 40), integers(1, 64, 64, 3, 3)
    workers: list[int] = []
    prepared = Operation.prepared

    def noted(self: Operation, weights: Any) -> Any:
        workers.append(self.threads)
        return prepared(self, weights)

    monkeypatch.setattr(Operation, "prepared", noted)
    monkeypatch.setattr(threads, "_process_threads", 1)
    results = [im2col.conv2d(x, w) for _ in range(3)]
    assert workers == [1, 1]  # the third was one call
    monkeypatch.setattr(threads, "_process_threads", None)
    monkeypatch.setenv("IM2COL_NUM_THREADS", "2")
    results += [im2col.conv2d(x, w) for _ in range(3)]
    assert workers[2:] == [2, 2, 2]
    monkeypatch.setenv("IM2COL_NUM_THREADS", "1")
    results += [im2col.conv2d(x, w, threads=1)]
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])
    monkeypatch.setenv("IM2COL_NUM_THREADS", "many")
    message = "conv2d: the environment variable IM2COL_NUM_THREADS must be a positive integer, got 'many'"
    with raises_exactly(ArgumentError, message):
        im2col.conv2d(x, w)


def test_memory_is_asked_for_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that went well thrice is refused once there is less."""
    x, w = integers(0, 1, 8, 8, 8), integers(1, 8, 8, 3, 3)
    plan = im2col.plan(x.shape, w, padding=1)
    calls: dict[str, Callable[[], Array]] = {
        "conv2d": lambda: im2col.conv2d(x, w, padding=1),
        "plan": lambda: plan(x),
        "im2col": lambda: im2col.im2col(x, 3, padding=1),
    }
    for call in [*calls.values()] * 3:
        call()
    monkeypatch.setattr(host, "_ALWAYS_FITS", 0)
    monkeypatch.setattr(host, "available_memory", lambda: 100)
    for name, call in calls.items():
        with pytest.raises(MemoryBudgetError, match=f"^{name}: "):
            call()


def test_what_is_remembered_needs_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once that is known to fail, another algorithm is chosen."""
    x, w = integers(0, 1, 8, 8, 8), integers(1, 8, 8, 3, 3)
    expected, *_ = (im2col.conv2d(x, w) for _ in range(3))
    monkeypatch.setitem(compiler._state, "failure", "RuntimeError: no such CPU")
    ran: list[str] = []
    run = Convolution.run

    def noted(self: Convolution, *rest: Any) -> None:
        ran.append(self.algorithm)
        run(self, *rest)

    monkeypatch.setattr(Convolution, "run", noted)
    np.testing.assert_array_equal(im2col.conv2d(x, w), expected)
    assert ran == ["explicit"]


MATRICES: list[tuple[tuple[int, ...], int, dict[str, Any]]] = [
    ((1, 8, 8, 8), 3, {}),
    ((2, 3, 9, 7), 2, {"padding": 1, "orientation": "columns"}),
    ((9, 7, 3), 3, {"layout": "HWC", "tap_order": "channel-last", "padding": ((1, 2), 0), "stride": 2}),
    ((5, 6), 2, {"padding": 2, "padding_value": 3, "dilation": 2}),
    ((3, 5, 6), 2, {"padding": 1, "padding_mode": "reflect"}),
    ((40,), 4, {"padding": 1, "padding_value": -0.0, "stride": 3}),
]


@pytest.mark.parametrize(("shape", "kernel", "options"), MATRICES, ids=str)
def test_a_matrix_that_comes_again_is_right(shape: tuple[int, ...], kernel: int, options: dict[str, Any]) -> None:
    """Of other numbers, in arrays of other strides and byte orders: as the patches say, entry by entry."""
    for seed in range(3):
        plain = integers(seed, *shape)
        for x in (plain, np.asfortranarray(plain), plain.astype(">f4"), np.stack([plain, plain], -1)[..., 0]):
            matrix = im2col.im2col(x, kernel, **options)
            expected = im2col.patches(x, kernel, **options).reshape(matrix.shape)
            np.testing.assert_array_equal(matrix, expected)
            out = np.full((*matrix.shape, 2), np.nan, np.float32)[..., 0]
            assert im2col.im2col(x, kernel, out=out, **options) is out
            np.testing.assert_array_equal(out, expected)


def test_zeros_of_either_sign_are_two_values() -> None:
    """What pads with 0.0 is not what pads with -0.0."""
    x = np.ones((2, 2))
    signs = [np.signbit(im2col.im2col(x, 2, padding=1, padding_value=v)[0, 0]) for v in (0.0, -0.0, 0, -0.0, 0.0)]
    assert signs == [False, True, False, True, False]


def test_wrong_matrices_are_refused_as_before() -> None:
    """After good calls of the same image."""
    x = integers(0, 1, 8, 8, 8)
    for _ in range(3):
        im2col.im2col(x, 3, padding=1)
    with raises_exactly(GeometryError, "im2col: padding must be an integer or one integer per axis, got True"):
        im2col.im2col(x, 3, padding=True)
    with raises_exactly(ArgumentError, "im2col: threads must be a positive integer or None, got 0"):
        im2col.im2col(x, 3, padding=1, threads=0)
    shares = "out shares memory with an input, which would be overwritten while it is read; pass another array"
    flat = np.zeros(64 * 72, np.float32)
    image = flat[: x.size].reshape(x.shape)
    with raises_exactly(OutputError, f"im2col: {shares}"):
        im2col.im2col(image, 3, padding=1, out=flat.reshape(1, 64, 72))


@pytest.mark.parametrize(("shape", "kernel", "options"), MATRICES[:2], ids=str)
def test_a_small_matrix_that_comes_again_is_one_call_of_the_engine(
    shape: tuple[int, ...], kernel: int, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the process has loaded the engine; where it has not, that is left alone."""
    x = integers(0, *shape)
    with monkeypatch.context() as patch:
        patch.setattr(compiler, "_loaded", {})
        patch.setattr(compiler, "load", lambda *_: pytest.fail("loaded"))
        expected, *_ = (im2col.im2col(x, kernel, **options) for _ in range(3))
    assert compiler.load(SEQUENCE) is not None
    im2col.im2col(x, kernel, **options)
    monkeypatch.setattr(gather, "copy", lambda *_: pytest.fail("copied by itself"))
    np.testing.assert_array_equal(im2col.im2col(x, kernel, **options), expected)
