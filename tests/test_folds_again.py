"""`col2im` of matrices that come again: what is remembered changes no result and no error; nothing is asked twice."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from im2col import col2im, im2col, memory
from im2col.engine import compiler, host, scatter, threads
from im2col.engine.sequence import SEQUENCE
from im2col.errors import ArgumentError, DTypeError, Im2colError, MemoryBudgetError, OutputError, ShapeError
from im2col.matrix.fold import Fold

from .kit.outcomes import raises_exactly, require
from .kit.strategies import integers

require("llvmlite")
Array = np.ndarray[Any, Any]


pytestmark = pytest.mark.usefixtures("nothing_remembered")


@pytest.fixture(autouse=True)
def _engine() -> None:
    """Let the engine be in use."""
    assert compiler.load(SEQUENCE) is not None


SHAPE, KERNEL = (2, 3, 9, 8), (3, 2)
WINDOWS: dict[str, dict[str, Any]] = {
    "columns": {"orientation": "columns"},
    "rows": {},
    "padded": {"padding": ((1, 2), (1, 1)), "stride": (2, 1), "orientation": "columns"},
    "channels last": {"padding": ((1, 1), (1, 1)), "tap_order": "channel-last", "dilation": (2, 2)},
    "gaps": {"stride": (4, 3), "orientation": "columns"},
    "reflected": {"padding": ((1, 1), (2, 1)), "padding_mode": "reflect"},
}


def pixels_of(options: dict[str, Any]) -> Array:
    """Return the pixel of each entry of the matrix by its number, the last one for those outside: NumPy's windows."""
    pads, mode = options.get("padding", ((0, 0), (0, 0))), options.get("padding_mode", "constant")
    (s, t), (d, e) = options.get("stride", (1, 1)), options.get("dilation", (1, 1))
    count = int(np.prod(SHAPE))
    value = {"constant_values": count} if mode == "constant" else {}
    padded = np.pad(np.arange(count).reshape(SHAPE), ((0, 0), (0, 0), *pads), mode, **value)
    span = (d * (KERNEL[0] - 1) + 1, e * (KERNEL[1] - 1) + 1)
    seen = np.lib.stride_tricks.sliding_window_view(padded, span, (2, 3))[:, :, ::s, ::t, ::d, ::e]
    taps = (1, 4, 5) if options.get("tap_order") is None else (4, 5, 1)
    order = (0, *taps, 2, 3) if options.get("orientation") == "columns" else (0, 2, 3, *taps)
    matrix = seen.transpose(order)
    rows = int(np.prod(matrix.shape[1 : 4 if options.get("orientation") == "columns" else 3]))
    return matrix.reshape(SHAPE[0], rows, -1)


def folded(matrix: Array, options: dict[str, Any], weights: Array | None = None, reduce: str = "sum") -> Array:
    """Return the sums of a matrix of small integers, counted; or means, 0 where nothing is."""
    pixels, count = pixels_of(options), int(np.prod(SHAPE))
    each = np.ones(KERNEL) if weights is None else weights
    of_taps = np.broadcast_to(each, (SHAPE[1], *KERNEL))
    if options.get("tap_order") is not None:
        of_taps = of_taps.transpose(1, 2, 0)
    along = of_taps.reshape(-1, 1) if options.get("orientation") == "columns" else of_taps.reshape(-1)
    factors = np.broadcast_to(along, pixels.shape)

    def total(values: Array) -> Array:
        return np.bincount(pixels.reshape(-1), values.reshape(-1), count + 1)[:count].reshape(SHAPE)

    sums = total(matrix * factors)
    if reduce == "sum":
        return sums
    weight = total(factors)
    return np.divide(sums, weight, out=np.zeros(SHAPE), where=weight != 0)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("name", WINDOWS)
def test_the_third_call_is_the_first(name: str, dtype: str) -> None:
    """Of other entries, in matrices of other strides and byte orders, into new images and into those of any strides."""
    options = WINDOWS[name]
    shape = pixels_of(options).shape
    for seed in range(3):
        plain = integers(seed, *shape, dtype=dtype)
        expected = folded(plain, options).astype(dtype)
        given = (
            plain,
            np.asfortranarray(plain),
            plain.astype(plain.dtype.newbyteorder(">")),
            np.stack([plain] * 2, -1)[..., 0],
        )
        for matrix in given:
            np.testing.assert_array_equal(col2im(matrix, SHAPE, KERNEL, **options), expected, strict=True)
            for room in (np.empty(SHAPE, dtype), np.empty((*SHAPE, 2), dtype)[..., 0], np.empty(SHAPE[::-1], dtype).T):
                room[...] = -1
                assert col2im(matrix, SHAPE, KERNEL, out=room, **options) is room
                np.testing.assert_array_equal(room, expected)


@pytest.mark.parametrize("reduce", ["sum", "mean"])
@pytest.mark.parametrize("channels", [None, 1, 3])
@pytest.mark.parametrize("name", ["columns", "padded", "channels last"])
def test_weights_and_means_that_come_again(name: str, channels: int | None, reduce: Any) -> None:
    """Weights are looked at in each call: others of the same shape are others. Powers of two divide exactly."""
    options = WINDOWS[name]
    for seed in range(3):
        matrix = integers(seed, *pixels_of(options).shape)
        weights = None
        if channels is not None:
            weights = integers(9 + seed, *((channels,) * (channels > 1)), *KERNEL) + 5
        expected = folded(matrix, options, weights, reduce).astype(np.float32)
        result = col2im(matrix, SHAPE, KERNEL, reduce=reduce, tap_weights=weights, **options)
        np.testing.assert_array_equal(result, expected, strict=True)


@pytest.mark.parametrize("name", [name for name in WINDOWS if name != "reflected"])
def test_a_matrix_that_comes_again_is_one_call_of_the_engine(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the third on nothing is checked or decided, nor is it asked how many threads there are."""
    options = WINDOWS[name]
    matrix = integers(0, *pixels_of(options).shape)
    expected, _ = (col2im(matrix, SHAPE, KERNEL, **options) for _ in range(2))
    monkeypatch.setattr(Fold, "run", lambda *_: pytest.fail("summed in another way"))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: pytest.fail("asked again"), raising=False)
    monkeypatch.setattr(os.environ, "get", lambda *_: pytest.fail("asked again"))
    for out in (None, np.empty(SHAPE, np.float32)):
        np.testing.assert_array_equal(col2im(matrix, SHAPE, KERNEL, out=out, **options), expected)


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("name", [name for name in WINDOWS if name != "reflected"])
def test_small_means_and_weighted_sums_are_summed_by_the_engine(
    name: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the third on, with the bits of the first, infinities and all."""
    options, rng = WINDOWS[name], np.random.default_rng(0)
    matrix: Array = np.asarray(rng.standard_normal(pixels_of(options).shape), dtype)
    matrix[0, 0, :2] = np.inf, np.nan
    weights = rng.standard_normal((3, *KERNEL))
    calls: list[dict[str, Any]] = [{"reduce": "mean"}, {"tap_weights": weights}, {"tap_weights": weights[0]}]
    first = [col2im(matrix, SHAPE, KERNEL, **options, **more) for more in calls * 2]
    monkeypatch.setattr(Fold, "run", lambda *_: pytest.fail("summed in another way"))
    for expected, more in zip(first, calls, strict=False):
        with np.errstate(all="raise"):
            result = col2im(matrix, SHAPE, KERNEL, **options, **more)
        assert result.tobytes() == expected.tobytes()


def test_a_process_without_the_engine_does_not_load_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often small matrices come."""
    matrix = integers(0, *pixels_of({}).shape)
    expected = col2im(matrix, SHAPE, KERNEL)
    monkeypatch.setattr(compiler, "_loaded", {})
    monkeypatch.setattr(compiler, "load", lambda *_: pytest.fail("loaded"))
    for _ in range(3):
        np.testing.assert_array_equal(col2im(matrix, SHAPE, KERNEL), expected)


def test_what_is_wrong_is_said_as_before() -> None:
    """After good calls, the error is that of a process which made none."""
    matrix = integers(0, *pixels_of({}).shape)
    wrong: list[tuple[type[Im2colError], Any, Any, dict[str, Any]]] = [
        (ShapeError, matrix[:, :-1], SHAPE, {}),
        (ShapeError, matrix, (*SHAPE[:3], 7), {}),
        (ShapeError, matrix, SHAPE, {"tap_weights": np.ones(3)}),
        (DTypeError, matrix, SHAPE, {"tap_weights": np.ones(KERNEL, complex)}),
        (ArgumentError, matrix, SHAPE, {"reduce": "median"}),
        (ArgumentError, matrix, SHAPE, {"threads": 0}),
        (ArgumentError, matrix, 5, {}),
        (OutputError, matrix, SHAPE, {"out": np.empty(SHAPE)}),
    ]
    for kind, columns, shape, options in wrong:
        for _ in range(3):
            col2im(matrix, SHAPE, KERNEL)
            col2im(matrix, SHAPE, KERNEL, tap_weights=np.ones(KERNEL))
        with pytest.raises(kind) as after:
            col2im(columns, shape, KERNEL, **options)
        memory.clear()
        with pytest.raises(kind) as before:
            col2im(columns, shape, KERNEL, **options)
        assert str(after.value) == str(before.value)
        assert str(after.value).startswith("col2im: ")


def test_out_and_the_memory_are_looked_at_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have become read-only, or share memory with the matrix or the weights; there may be less memory."""
    matrix = integers(0, *pixels_of({}).shape)
    out, weights = np.empty(SHAPE, np.float32), np.ones((3, *KERNEL), np.float32)
    for _ in range(3):
        col2im(matrix, SHAPE, KERNEL, out=out)
        col2im(matrix, SHAPE, KERNEL, tap_weights=weights)
    shares = "out shares memory with an input, which would be overwritten while it is read; pass another array"
    size = int(np.prod(SHAPE))
    with raises_exactly(OutputError, f"col2im: {shares}"):
        col2im(matrix, SHAPE, KERNEL, out=matrix.reshape(-1)[:size].reshape(SHAPE))
    over = np.ones(size, np.float32)
    with raises_exactly(OutputError, f"col2im: {shares}"):
        col2im(matrix, SHAPE, KERNEL, tap_weights=over[:18].reshape(3, *KERNEL), out=over.reshape(SHAPE))
    out.flags.writeable = False
    with raises_exactly(OutputError, "col2im: out is read-only; pass a writeable array"):
        col2im(matrix, SHAPE, KERNEL, out=out)
    monkeypatch.setattr(host, "_ALWAYS_FITS", 0)
    monkeypatch.setattr(host, "available_memory", lambda: 100)
    with raises_exactly(
        MemoryBudgetError,
        "col2im: the image (2, 3, 9, 8) of float32 would take 1.7 KiB but 100 B are available; fold it in parts",
    ):
        col2im(matrix, SHAPE, KERNEL)


def test_images_beyond_the_memory_are_refused_each_time() -> None:
    """However small their matrices are."""
    for _ in range(3):
        with pytest.raises(
            MemoryBudgetError, match=r"^col2im: the image \(1099511627776,\) of float32 would take 4.0 TiB but "
        ):
            col2im(np.ones((2, 1), np.float32), (1 << 40,), (1,), stride=((1 << 40) - 1,))


def test_threads_that_were_set_meanwhile_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is work for several; a wrong environment is an error of the very next call."""
    asked: list[int] = []

    def noted(tasks: list[Any], workers: int) -> None:
        asked.append(workers)
        for task in tasks:
            task()

    for name in ("_WORTH_A_CALL", "_WORTH_LOADING", "_WORTH_A_THREAD"):
        monkeypatch.setattr(scatter, name, 8 << 10)
    monkeypatch.setattr(scatter, "run_parallel", noted)
    matrix = np.ones((1, 72, 100), np.float32)
    results = []
    for number in (1, 1, 1, 2, 2, 2, 1):
        monkeypatch.setattr(threads, "_process_threads", number)
        results.append(col2im(matrix, (1, 8, 12, 12), 3, orientation="columns"))
    assert asked == [1, 1, 1, 2, 2, 2, 1]
    for result in results[1:]:
        assert result.tobytes() == results[0].tobytes()
    monkeypatch.setattr(threads, "_process_threads", None)
    monkeypatch.setenv("IM2COL_NUM_THREADS", "many")
    message = "col2im: the environment variable IM2COL_NUM_THREADS must be a positive integer, got 'many'"
    with raises_exactly(ArgumentError, message):
        col2im(matrix, (1, 8, 12, 12), 3, orientation="columns")


def test_an_image_shape_of_any_kind_is_the_same_call() -> None:
    """A list, an array, and NumPy's integers."""
    x = np.arange(16.0).reshape(4, 4)
    matrix = im2col(x, 2)
    expected = col2im(matrix, (4, 4), 2)
    for shape in ([4, 4], np.array([4, 4]), (np.int64(4), 4), (4, 4)) * 3:
        np.testing.assert_array_equal(col2im(matrix, shape, 2), expected)  # type: ignore[arg-type]  # that is tried
    line = im2col(np.arange(5.0), 2)
    for _ in range(3):
        assert col2im(line, (5,), 2).shape == (5,)
        with pytest.raises(Im2colError):
            col2im(line, 5, 2)  # type: ignore[arg-type]  # that is tried
