"""`col2im` with a weight for each tap: against plain loops, SciPy's inverse Fourier transform of frames, itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from im2col import DTypeError, ShapeError, col2im, im2col
from im2col.matrix import fold
from im2col.matrix.fold import Fold
from im2col.spec.arrays import sum_dtype
from im2col.spec.geometry import Geometry

from .kit import oracles
from .kit.outcomes import raises_exactly, require
from .kit.strategies import MEMORY_ORDERS, Case, cases, memory_orders, numbers, seeds

Array = np.ndarray[Any, Any]


def flat(weights: Array, case: Case) -> Array:
    """Return weights of (C, *kernel) in the order of a patch, so that they multiply columns."""
    last = case.order.get("tap_order") == "channel-last"
    patch = (np.moveaxis(weights, 0, -1) if last else weights).reshape(-1)
    return patch[:, None] if case.order.get("orientation") == "columns" else patch


def drawn_weights(case: Case, seed: int, by_channel: bool) -> tuple[Array, Array]:
    """Return weights as a user passes them, some of them 0, and spread over (C, *kernel)."""
    channels = dict(zip(case.layout, case.shape, strict=True)).get("C", 1)
    kernel = case.window.kernel_size
    weights = np.random.default_rng(seed).integers(0, 4, (channels, *kernel) if by_channel else kernel)
    return weights, np.broadcast_to(weights, (channels, *kernel))


@pytest.mark.usefixtures("every_path")
@given(cases(), memory_orders(), seeds(), st.booleans())
def test_the_weighted_sum_is_the_definition(case: Case, memory: str, seed: int, by_channel: bool) -> None:
    """Any window, layout, dtype and memory order: each pixel is the sum of its copies times their taps' weights."""
    shape = oracles.im2col(np.zeros(case.shape, np.int8), case.layout, case.window, **case.order).shape
    columns = numbers(shape, case.x.dtype.newbyteorder("="), seed)
    weights, spread = drawn_weights(case, seed, by_channel)
    result = col2im(MEMORY_ORDERS[memory](columns), case.shape, **case.arguments, tap_weights=weights)
    dtype = columns.dtype if columns.dtype.kind in "fcV" else sum_dtype(columns.dtype)
    products = oracles.wide(columns) * flat(spread, case)
    expected = oracles.col2im(products, case.shape, case.layout, case.window, **case.order)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, expected.astype(dtype))


@pytest.mark.usefixtures("every_path")
@given(
    cases(dtype=st.sampled_from([np.dtype("f4"), np.dtype("f8"), np.dtype("i4"), np.dtype("i8")])),
    seeds(),
    st.booleans(),
)
def test_the_weighted_mean_is_the_definition(case: Case, seed: int, by_channel: bool) -> None:
    """The weighted sum over the sum of the weights, rounded down for integers; 0 where the weights sum to 0."""
    shape = oracles.im2col(np.zeros(case.shape, np.int8), case.layout, case.window, **case.order).shape
    columns = numbers(shape, case.x.dtype.newbyteorder("="), seed)
    weights, spread = drawn_weights(case, seed, by_channel)
    result = col2im(columns, case.shape, **case.arguments, tap_weights=weights, reduce="mean")
    each = flat(spread, case)
    sums, totals = (
        oracles.col2im(values, case.shape, case.layout, case.window, **case.order).astype(np.int64)
        for values in (columns.astype(np.int64) * each, np.broadcast_to(each, columns.shape))
    )
    divide = np.floor_divide if columns.dtype.kind == "i" else np.divide
    expected = divide(
        sums.astype(result.dtype), totals.astype(result.dtype), out=np.zeros_like(result), where=totals != 0
    )
    assert result.dtype == columns.dtype
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("hop", [64, 100, 128])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_inverse_short_time_fourier_transform(dtype: str, hop: int) -> None:
    """The docstring's classic normalisation is `scipy.signal.istft`; the mean gives back unchanged frames."""
    signal = require("scipy.signal")
    n, k = 3000, 256
    samples = np.random.default_rng(0).standard_normal(n).astype(dtype)
    window = signal.windows.hamming(k, sym=False).astype(dtype)
    frames = im2col(samples, (k,), stride=(hop,))
    spectra = np.fft.rfft(frames * window, axis=1).T / window.sum()
    _, expected = signal.istft(spectra, window=window, nperseg=k, noverlap=k - hop, boundary=False, scaling="spectrum")
    sums = col2im(frames * window, (n,), (k,), stride=(hop,), tap_weights=window)
    squares = col2im(np.broadcast_to(window**2, frames.shape), (n,), (k,), stride=(hop,))
    covered = slice(0, (len(frames) - 1) * hop + k)
    np.testing.assert_allclose((sums[covered] / squares[covered]), expected[covered], rtol=0, atol=1e-4)
    mean = col2im(frames, (n,), (k,), stride=(hop,), tap_weights=window, reduce="mean")
    np.testing.assert_allclose(mean[covered], samples[covered], rtol=20 * float(np.finfo(dtype).eps))
    assert mean.dtype == dtype


def test_a_wider_weight_widens_nothing() -> None:
    """The result has the columns' dtype, whatever the weights'; small floats are weighed in float32."""
    columns = np.full((3, 4), 1.5, np.float16)
    result = col2im(columns, (6,), (4,), tap_weights=np.full(4, 1 / 3))
    assert result.dtype == np.float16
    np.testing.assert_array_equal(result, (np.float32(1 / 3) * 1.5 * np.array([1, 2, 3, 3, 2, 1])).astype(np.float16))


def test_weights_meet_infinity_once() -> None:
    """An infinite complex copy stays infinite, without a NaN in it; a pixel of no weight is 0, whatever its copies."""
    columns = np.full((1, 3), complex(np.inf, 0))
    assert col2im(columns, (3,), (3,), tap_weights=[1, 2, 0.5]).tolist() == [complex(np.inf, 0)] * 3
    mean = col2im(np.full((2, 2), np.inf), (3,), (2,), tap_weights=[1, 0], reduce="mean")
    assert (mean[0], mean[2]) == (np.inf, 0)


@pytest.mark.parametrize("reduce", ["sum", "mean"])
@pytest.mark.parametrize("threads", [2, 5])
@pytest.mark.parametrize("weighted", [0, 1, 3])
def test_neither_boxes_nor_threads_change_a_bit(
    reduce: Any, threads: int, weighted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However small the boxes of the image are, each pixel is summed in one order."""
    rng = np.random.default_rng(1)
    shape = Geometry((29, 21), (7, 4), (2, 1), ((0, 0), (0, 0)), (1, 1))
    columns = rng.standard_normal((2, 3, 7, 4, *shape.output_shape)).astype(np.float16)
    weights = rng.standard_normal((weighted, 7, 4)).astype(np.float32) if weighted else None

    def folded() -> bytes:
        out = np.empty((2, 3, 29, 21), np.float16)
        Fold((2, 3), shape, columns.dtype, out.dtype, "constant", reduce, weighted).run(out, columns, threads, weights)
        return out.tobytes()

    one = folded()
    monkeypatch.setattr(fold, "_BOX_PIXELS", 50)
    assert folded() == one


@pytest.mark.parametrize(
    ("error", "columns", "weights", "message"),
    [
        (
            ShapeError,
            np.ones((9, 9)),
            np.ones((3, 4)),
            "tap_weights has shape (3, 4), which does not broadcast to kernel_size (3, 3) nor to (C, *kernel_size) "
            "(1, 3, 3); pass one weight for each tap",
        ),
        (
            ShapeError,
            np.ones((9, 9)),
            np.ones((1, 1, 3, 3)),
            "tap_weights has shape (1, 1, 3, 3), which does not broadcast to kernel_size (3, 3) nor to "
            "(C, *kernel_size) (1, 3, 3); pass one weight for each tap",
        ),
        (
            DTypeError,
            np.ones((9, 9)),
            np.ones((3, 3), complex),
            "tap_weights has dtype complex128 but weights are real; pass tap_weights.real",
        ),
        (
            DTypeError,
            np.ones((9, 9), np.int16),
            np.ones((3, 3)),
            "tap_weights has dtype float64 but int16 columns are summed as int64, which would cut the weights to "
            "integers; convert the columns first, as in columns.astype(np.float32)",
        ),
    ],
)
def test_weights_that_are_refused(error: type[Exception], columns: Array, weights: Array, message: str) -> None:
    """Before anything is written, with the way out."""
    out = np.full((5, 5), 7, np.sum(columns).dtype)
    with raises_exactly(error, f"col2im: {message}"):
        col2im(columns, (5, 5), 3, tap_weights=weights, out=out)
    assert (out == 7).all()
    assert col2im(columns.astype(np.float32), (5, 5), 3, tap_weights=np.ones((3, 3))).dtype == np.float32
