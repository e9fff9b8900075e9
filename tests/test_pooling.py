"""Pooling: maxima, their places, means and norms against plain loops; bits, strides, threads, and what is refused."""

from __future__ import annotations

import itertools
import sys
from typing import TYPE_CHECKING, Any, Literal

import hypothesis
import ml_dtypes
import numpy as np
import pytest
from hypothesis import strategies as st

import im2col
from im2col import (
    ArgumentError,
    DTypeError,
    GeometryError,
    LayoutError,
    MemoryBudgetError,
    OutputError,
    average_pool,
    average_pool_input_gradient,
    global_average_pool,
    global_lp_pool,
    global_max_pool,
    lp_pool,
    max_pool,
    max_pool_input_gradient,
)
from im2col.algorithms.pooling import rows
from im2col.algorithms.pooling.passes import passes
from im2col.algorithms.pooling.row_kernel import pool_rows
from im2col.algorithms.pooling.whole_kernel import PoolWhole, pool_whole
from im2col.engine import compiler, host
from im2col.engine.compiler import assembly
from im2col.engine.target import NAMED

from .kit.budget import assert_within_budget
from .kit.memory import PAGE, against_forbidden_pages, in_room
from .kit.outcomes import raises_exactly
from .kit.pools import (
    CASES,
    PoolCase,
    answers,
    channels_first,
    counts,
    greatest,
    image,
    in_layout,
    output_shape,
    windows,
)
from .kit.processes import run_alone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]


@pytest.fixture(params=["engine", "numpy"])
def path(request: pytest.FixtureRequest, nothing_remembered: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:  # noqa: ARG001 (it forgets)
    """Pool by the engine, then without it."""
    if request.param == "numpy":
        monkeypatch.setattr(compiler, "usable_target", lambda: None)
    return request.param  # type: ignore[no-any-return]  # one of the two


def equal(result: Array, expected: Array) -> None:
    """Assert that arrays have the same dtype and numbers."""
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result, expected)


# What pooling gives.


@pytest.mark.whole
@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.shape} by {case.kernel}")
def test_windows_are_those_of_plain_loops(case: PoolCase, last: bool) -> None:
    """Maxima, their places, means over the padding and not, and norms: exact, as all pixels are whole."""
    x = image(case)
    given, layout = in_layout(x, case, last=last)
    options: dict[str, Any] = {**case.options, "layout": layout}
    values, places, sums, squares = answers(case)
    result, indices = max_pool(given, **options, return_indices=True)
    equal(channels_first(result, last=last), values)
    equal(channels_first(indices, last=last), places)
    equal(max_pool(given, **options), result)
    with np.errstate(invalid="ignore"):
        for padding in (True, False):
            mean = average_pool(given, **options, count_include_pad=padding)
            expected = (sums.astype("f4") / counts(case, padding=padding).astype("f4")).astype("f4")
            np.testing.assert_allclose(channels_first(mean, last=last), expected, rtol=2e-7)
            assert mean.dtype == x.dtype
    norm = lp_pool(given, **options)
    np.testing.assert_allclose(channels_first(norm, last=last), np.sqrt(squares), rtol=2e-7)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("last", [False, True])
def test_what_is_no_number_or_infinite_is_as_in_torch(last: bool) -> None:
    """NaN is the greatest, the last one of several; -inf is a number; zeros of either sign are equal."""
    case = PoolCase((2, 3, 9, 11), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1))
    rng = np.random.default_rng(3)
    special = np.array([np.nan, -np.nan, np.inf, -np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0], "f4")
    for seed in range(4):
        x = rng.choice(special[seed:] if seed < 3 else special[3:5], case.shape)
        given, layout = in_layout(x, case, last=last)
        result, indices = max_pool(given, **case.options, layout=layout, return_indices=True)
        values, places = greatest(case, x)
        equal(channels_first(result, last=last), values)
        equal(channels_first(indices, last=last), places)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("kernel", [(3, 3), (13, 9)])
def test_infinities_stay_in_their_windows(kernel: tuple[int, int]) -> None:
    """A mean is finite wherever its window has no infinity."""
    case = PoolCase((1, 1, 16, 19), kernel, (1, 1), tuple((k // 2, k // 2) for k in kernel), (1, 1))
    for row, column, wrong in itertools.product((0, 7, 15), (0, 5, 18), (np.inf, np.nan)):
        x = np.ones(case.shape, "f4")
        x[..., row, column] = wrong
        result = average_pool(x, **case.options)
        covered = np.zeros(result.shape[2:], bool)
        for position, inside, _ in windows(case):
            covered[position] = (row, column) in inside
        np.testing.assert_array_equal(np.isfinite(result[0, 0]), ~covered)


DTYPES = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "g", ">f4", ">i2", ml_dtypes.bfloat16]


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: str(np.dtype(dtype)))
def test_maxima_of_every_dtype(dtype: Any) -> None:
    """In x's dtype, also at the ends of its range; NumPy's maximum over windows is the judge."""
    d = np.dtype(dtype)
    x = image(CASES[0], dtype)
    if d.kind in "iu":
        flat = x.reshape(-1)
        flat[::5], flat[1::7] = np.iinfo(d).min, np.iinfo(d).max
    native = x.astype(d.newbyteorder("=")) if d.kind != "V" else x
    result, indices = max_pool(x, 2, stride=1, return_indices=True)
    expected = np.maximum.reduce([native[..., i : 8 + i, j : 10 + j] for i in (0, 1) for j in (0, 1)])
    equal(result, expected)
    planes = native.reshape(2, 3, -1)
    equal(np.take_along_axis(planes, indices.reshape(2, 3, -1), -1).reshape(result.shape), expected)


def test_every_float16_is_in_order() -> None:
    """The maximum of each number and a chosen one, as integers compare them: NaN wins, of zeros the positive one."""
    every = np.arange(1 << 16).astype(np.uint16).view(np.float16)
    for other in np.array([0, -0.0, 1, -1, np.inf, -np.inf, 6e-8, np.nan], np.float16):
        pairs = np.stack([every, np.full_like(every, other)], -1)
        result = max_pool(pairs.reshape(1, -1), (2,), layout="CW")[0]
        np.testing.assert_array_equal(result, np.maximum(every, other))
        is_zero = (every == 0) & (other == 0)
        assert (np.signbit(result) == (np.signbit(every) & np.signbit(other)))[is_zero].all()


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize(
    ("dtype", "of_mean", "of_norm"),
    [
        ("?", "f8", "f8"),
        ("u1", "f8", "f8"),
        ("i4", "f8", "f8"),
        ("u8", "f8", "f8"),
        ("f2", "f2", "f2"),
        ("f8", "f8", "f8"),
        (">f4", "f4", "f4"),
        ("g", "g", "g"),
        ("c8", "c8", "f4"),
        ("c16", "c16", "f8"),
        (ml_dtypes.bfloat16, ml_dtypes.bfloat16, ml_dtypes.bfloat16),
    ],
    ids=str,
)
def test_means_and_norms_of_every_dtype(dtype: Any, of_mean: Any, of_norm: Any) -> None:
    """Integers give float64, as `np.mean` does; complex numbers have means, and norms of their magnitudes."""
    x = image(CASES[1], dtype, most=3)
    if x.dtype.kind == "c":
        x = x * x.dtype.type(1 + 2j)
    parts = x.reshape(1, 5, 4, 2, 5, 2)
    mean = average_pool(x, 2)
    assert mean.dtype == of_mean
    wide = parts.astype("c16" if x.dtype.kind == "c" else "f8")
    np.testing.assert_allclose(mean.astype(wide.dtype), wide.mean((3, 5)), rtol=1e-3)
    for p in (1, 2):
        norm = lp_pool(x, 2, p=p)
        assert norm.dtype == of_norm
        np.testing.assert_allclose(norm.astype(float), ((np.abs(wide) ** p).sum((3, 5))) ** (1 / p), rtol=5e-3)


def test_whole_numbers_have_exact_sums() -> None:
    """Integers of 32 bits, whose sums float32 does not hold."""
    x = np.random.default_rng(0).integers(-(1 << 31), 1 << 31, (1, 2, 6, 6)).astype("i4")
    exact = x.astype(object).reshape(1, 2, 2, 3, 2, 3).sum((3, 5)) / 9
    np.testing.assert_array_equal(average_pool(x, 3), exact.astype(float))


@pytest.mark.parametrize("p", [0.5, 1, 2, 2.5, 3, np.inf])
def test_norms_of_every_order(p: float) -> None:
    """By NumPy's norm of each window, in float64; ONNX's magnitudes, of negative pixels too."""
    case = CASES[3]
    x = image(case, "f8")
    result = lp_pool(x, **case.options, p=p)
    for position, inside, _ in windows(case):
        pixels = np.array([x[(0, 0, *pixel)] for pixel in inside])
        np.testing.assert_allclose(result[(0, 0, *position)], np.linalg.norm(pixels, p) if len(pixels) else 0)
    out = np.empty(result.shape[::-1]).T
    assert lp_pool(x, **case.options, p=p, out=out) is out
    np.testing.assert_array_equal(out, result)


# Whole images.


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("shape", [(7, 7), (1, 1), (40, 33), (3, 70), (101,), (3, 4, 5)])
@pytest.mark.parametrize("channels", [1, 5, 40])
def test_whole_images(shape: tuple[int, ...], channels: int) -> None:
    """Few pixels and many, channels first and last: by NumPy, in float64."""
    case = PoolCase((2, channels, *shape), shape, shape, ((0, 0),) * len(shape), (1,) * len(shape))
    x, axes = image(case), tuple(range(2, 2 + len(shape)))
    for last in (False, True):
        given, layout = in_layout(x, case, last=last)
        for function, expected in (
            (global_max_pool, x.max(axes, keepdims=True)),
            (global_average_pool, x.mean(axes, float, keepdims=True).astype("f4")),
            (global_lp_pool, np.sqrt((x.astype(float) ** 2).sum(axes, keepdims=True)).astype("f4")),
        ):
            np.testing.assert_allclose(channels_first(function(given, layout=layout), last=last), expected, rtol=3e-7)
    assert global_max_pool(np.full((2, 3), np.nan)).shape == (1, 1)


def test_whole_images_of_views_and_long_sums() -> None:
    """A view that is copied; means of a million pixels are within a few roundings; NaN wins wherever it stands."""
    x = np.random.default_rng(0).random((2, 3, 40, 41), np.float32)
    view = x[:, ::-1, ::2, 1::3]
    np.testing.assert_array_equal(global_max_pool(view), view.max((2, 3), keepdims=True))
    large = np.random.default_rng(1).random((1, 1, 1000, 1001), np.float32)
    for layout, given in (("NCHW", large), ("NHWC", np.repeat(large.reshape(1, 1000, 1001, 1), 2, -1))):
        np.testing.assert_allclose(
            global_average_pool(given, layout=layout).flat[0], large.mean(dtype=float), rtol=2e-7
        )
    for place in range(49):
        seen = np.zeros((1, 2, 7, 7), "f4")
        seen[0, 0].flat[place] = np.nan
        np.testing.assert_array_equal(np.isnan(global_max_pool(seen)).reshape(-1), [True, False])
        np.testing.assert_array_equal(np.isnan(global_average_pool(seen)).reshape(-1), [True, False])


# Indices.


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("case", [CASES[0], CASES[7], CASES[9]], ids=str)
def test_indices_of_the_whole_tensor(case: PoolCase, last: bool) -> None:
    """``"tensor"`` counts through `x`, wherever its channels stand; a plain image has one channel."""
    x, layout = in_layout(image(case), case, last=last)
    values, indices = max_pool(x, **case.options, layout=layout, return_indices="tensor")
    np.testing.assert_array_equal(x.reshape(-1)[indices], values)
    spatial = max_pool(x, **case.options, layout=layout, return_indices="spatial")[1]
    np.testing.assert_array_equal(spatial, max_pool(x, **case.options, layout=layout, return_indices=True)[1])
    if not last:
        planes = np.arange(case.shape[0] * case.shape[1]).reshape(*case.shape[:2], *[1] * len(case.kernel))
        np.testing.assert_array_equal(indices, spatial + planes * int(np.prod(case.shape[2:])))


def test_windows_of_padding_alone() -> None:
    """They have no greatest pixel and no place; their mean is that of zeros, or of nothing."""
    x = np.ones((1, 1, 3, 3), "f4")
    options: dict[str, Any] = {"kernel_size": 1, "stride": 2, "padding": 2}
    values, indices = max_pool(x, **options, return_indices=True)
    np.testing.assert_array_equal(values[0, 0, 0], [-np.inf] * 4)
    np.testing.assert_array_equal(indices[0, 0, :2], [[-1, -1, -1, -1], [-1, 0, 2, -1]])
    np.testing.assert_array_equal(max_pool(x, **options, return_indices="tensor")[1], indices)
    assert max_pool(x.astype("i2"), **options)[0, 0, 0, 0] == -(1 << 15)
    assert average_pool(x, **options)[0, 0, 0, 0] == 0
    assert np.isnan(average_pool(x, **options, count_include_pad=False)[0, 0, 0, 0])
    assert lp_pool(x, **options, p=np.inf)[0, 0, 0, 0] == 0


# Bits.


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("case", [CASES[0], CASES[4]], ids=str)
def test_bits_depend_on_neither_threads_nor_batch_nor_bands(
    case: PoolCase, last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images cut into strips and bands, by several threads, and images alone: the same bits."""
    shape = (2, 40, 33, 50)
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    given, layout = in_layout(x, case, last=last)
    options: dict[str, Any] = {**case.options, "layout": layout}
    for name in ("WORTH_A_TASK", "WORTH_WAKING"):
        monkeypatch.setattr(rows, name, 1)
    for function in (max_pool, average_pool, lambda x, **o: max_pool(x, **o, return_indices=True)[1]):
        whole = function(given, **options, threads=1)
        for small, threads in ((False, 3), (True, 1), (True, 2)):
            with monkeypatch.context() as patch:
                im2col.memory.clear()
                if small:
                    patch.setattr(rows, "_ROW_BYTES", 700)
                    patch.setattr(rows, "_BAND_BYTES", 1000)
                assert function(given, **options, threads=threads).tobytes() == whole.tobytes()
        im2col.memory.clear()
        alone = np.concatenate([function(each[None], **options, threads=1) for each in given])
        assert alone.tobytes() == whole.tobytes()


@pytest.mark.usefixtures("nothing_remembered")
def test_arrays_that_are_not_dense() -> None:
    """Images and results of any strides and byte order: the same bits."""
    case = CASES[0]
    x = np.random.default_rng(0).standard_normal(case.shape, np.float32)
    for function in (max_pool, average_pool):
        whole = function(x, **case.options)
        wide = np.full((4, 6, 12, 14), np.nan, "f4")
        for given in (
            np.asfortranarray(x),
            np.repeat(np.repeat(x, 2, -1), 2, 1)[:, ::2, :, ::2],
            np.ascontiguousarray(x[..., ::-1, :])[..., ::-1, :],
            np.ascontiguousarray(x[..., ::-1])[..., ::-1],
            x.astype(">f4"),
        ):
            for out in (None, wide[::2, ::2, 1::2, ::-2][:, :, : whole.shape[2], : whole.shape[3]]):
                result = function(given, **case.options, out=out)
                assert out is None or result is out
                assert result.tobytes() == whole.tobytes()


def test_a_call_that_comes_again_is_the_first(nothing_remembered: None) -> None:  # noqa: ARG001 (it forgets)
    """Three calls with one kind of arrays, and those of other strides between them."""
    case = CASES[1]
    x = np.random.default_rng(0).standard_normal(case.shape, np.float32)
    out = np.empty(output_shape(case), "f4")
    whole = average_pool(x, 2)
    for given in (x, x, np.asfortranarray(x), x, x[:, ::-1]):
        result = average_pool(given, 2, out=out)
        np.testing.assert_array_equal(result, whole if given is not x[:, ::-1] and given.flags.forc else whole[:, ::-1])
    with pytest.raises(OutputError, match="shares memory"):
        max_pool(x, 1, out=x)
    with pytest.raises(ArgumentError, match="threads"):
        average_pool(x, 2, out=out, threads=0)


@hypothesis.given(st.integers(1, 3000), st.booleans())
def test_passes_join_every_tap(taps: int, twice: bool) -> None:
    """Each tap of a window, once where it is a sum, and none beside it."""
    first, *rest = passes(taps, twice=twice)
    single = [tap for _, tap in first]
    seen = single if not rest else [tap + t for worked, tap in rest[0] for t in (single if worked else [0])]
    assert set(seen) == set(range(taps))
    assert twice or len(seen) == taps
    assert sum(map(len, passes(taps, twice=twice))) <= 3 * taps**0.5 + 6


def test_windows_of_any_length() -> None:
    """Beyond what the kernel joins, and many outer taps, NumPy pools."""
    x = np.random.default_rng(0).integers(-9, 9, (2, 5000)).astype("f4")
    for taps in (300, 4500):
        expected = np.lib.stride_tricks.sliding_window_view(x, taps, 1)
        np.testing.assert_array_equal(max_pool(x, (taps,), stride=1), expected.max(-1))
        np.testing.assert_allclose(
            average_pool(x, (taps,), stride=1), expected.mean(-1, dtype=float), rtol=1e-4, atol=1e-6
        )
    cube = np.random.default_rng(0).integers(-9, 9, (7, 6, 5)).astype("f4")
    seen = np.lib.stride_tricks.sliding_window_view(cube, (6, 5, 4)).max((3, 4, 5))
    np.testing.assert_array_equal(max_pool(cube, (6, 5, 4), stride=1), seen)


def test_empty_batches() -> None:
    """No image, no channel: an empty result of the right shape."""
    for shape in ((0, 3, 8, 8), (2, 0, 8, 8)):
        x = np.ones(shape)
        assert average_pool(x, 2).shape == max_pool(x, 2, return_indices=True)[1].shape == (*shape[:2], 4, 4)
        assert global_average_pool(x).shape == (*shape[:2], 1, 1)


@pytest.mark.parametrize("numbering", ["spatial", "tensor"])
def test_indices_of_padding_alone(numbering: Literal["spatial", "tensor"]) -> None:
    """An image with an empty axis has windows in its padding alone, or none."""
    greatest, indices = max_pool(np.ones((2, 3, 0, 4)), 1, padding=1, return_indices=numbering)
    assert greatest.shape == indices.shape == (2, 3, 2, 6)
    assert (indices == -1).all()
    assert max_pool(np.ones((0, 3, 0, 4)), 1, padding=1, return_indices=numbering)[1].shape == (0, 3, 2, 6)


# What is refused.


def test_errors() -> None:
    """Whole messages: what is wrong, and the way out."""
    x = np.ones((1, 2, 4, 4))
    with raises_exactly(
        DTypeError,
        "max_pool: x has dtype complex128, and complex numbers have no greatest one; pool their real and imaginary "
        "parts, or their magnitudes, as in np.abs(x)",
    ):
        max_pool(x * 1j, 2)
    with raises_exactly(
        ArgumentError,
        "max_pool: return_indices must be True or False, 'spatial' (within a channel) or 'tensor' (within x.ravel()); "
        "got 'flat'",
    ):
        max_pool(x, 2, return_indices="flat")  # type: ignore[call-overload]  # on purpose
    with raises_exactly(ArgumentError, "lp_pool: p must be a number greater than 0, got -1"):
        lp_pool(x, 2, p=-1)
    with raises_exactly(
        GeometryError,
        "average_pool: the kernel spans 5 pixels (size 5, dilation 1) but axis H of the padded image has 4; pad by at "
        "least 1 on each side or use a smaller kernel",
    ):
        average_pool(x, 5)
    with raises_exactly(
        LayoutError,
        "global_max_pool: an image with 2 spatial axes has 2 (plain), 3 (with channels) or 4 (with a batch) axes, got "
        "an array of 5; pass an image of that many axes, or name its axes with layout=",
    ):
        global_max_pool(np.ones((1, 1, 2, 2, 2)))
    with raises_exactly(
        OutputError,
        "average_pool: out has dtype float32 but the result has float64; pass np.empty((1, 2, 2, 2), 'float64')",
    ):
        average_pool(x, 2, out=np.empty((1, 2, 2, 2), "f4"))
    assert max_pool(np.ones((1, 1, 2, 2)), 3, stride=2, ceil_mode=True).shape == (1, 1, 1, 1)
    with pytest.raises(GeometryError, match="the kernel spans 3 pixels"):
        max_pool(np.ones((1, 1, 1, 1)), 3, stride=1, ceil_mode=True)


def test_calls_take_what_they_asked_for() -> None:
    """Images that are read as they lie, copied, converted, or NumPy's: none takes more, nor asks for twice as much."""
    x = np.random.default_rng(0).standard_normal((4, 64, 90, 90), np.float32)
    whole = x.astype("i4")
    options: dict[str, Any] = {"stride": 2, "padding": 1}
    calls: list[Any] = [
        lambda: max_pool(x, 3, **options),
        lambda: average_pool(x[..., ::2], 3, **options),
        lambda: max_pool(x.transpose(2, 3, 0, 1), 3, **options, layout="HWNC"),
        lambda: average_pool(whole, 3, **options),
        lambda: max_pool(x, 3, **options, return_indices=True),
        lambda: max_pool(x, 3, **options, return_indices="tensor"),
        lambda: lp_pool(x, 3, **options, p=3),
        lambda: max_pool_input_gradient(x, np.broadcast_to(0, x.shape), (4, 64, 180, 180)),
        lambda: average_pool_input_gradient(x, (4, 64, 180, 180), 2),
    ]
    for call in calls:
        assert_within_budget(call)


def test_the_memory_is_asked_for_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A result that would not fit is refused, with its indices too."""
    huge = np.broadcast_to(np.float32(1), (1 << 12, 1 << 12, 64, 64))
    monkeypatch.setattr(host, "available_memory", lambda: 1 << 30)
    calls: list[Any] = [max_pool, average_pool, lp_pool]
    for call in calls:
        with pytest.raises(MemoryBudgetError, match="pool fewer images at a time"):
            call(huge, 2)
    with pytest.raises(MemoryBudgetError, match="the indices"):
        max_pool(huge, 2, return_indices=True)


# Peers.


@pytest.mark.parametrize(("ceil_mode", "dilation", "padding"), list(itertools.product((False, True), (1, 2), (0, 1))))
def test_torch(torch: Any, ceil_mode: bool, dilation: int, padding: int) -> None:
    """Values, places and means, whatever sticks out, NaN among them."""
    pool = torch.nn.functional
    kernels: tuple[Any, ...] = (2, 3, (3, 2))
    for shape, kernel, stride in itertools.product(((2, 3, 9, 11), (1, 4, 16, 13)), kernels, (1, 2, 3)):
        x = np.random.default_rng(0).integers(-9, 9, shape).astype("f4")
        spoiled = np.where(x == 8, np.nan, x).astype("f4")
        options: dict[str, Any] = {"stride": stride, "padding": padding, "ceil_mode": ceil_mode}
        given = torch.from_numpy(spoiled)
        values, places = pool.max_pool2d(given, kernel, **options, dilation=dilation, return_indices=True)
        mine = max_pool(spoiled, kernel, **options, dilation=dilation, return_indices=True)
        equal(mine[0], values.numpy())
        equal(mine[1], places.numpy())
        for counted in (False, True):
            mean = pool.avg_pool2d(torch.from_numpy(x), kernel, **options, count_include_pad=counted)
            result = average_pool(x, kernel, **options, count_include_pad=counted)
            np.testing.assert_allclose(result, mean.numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize("taps", [4, 6, 9])
def test_rows_shorter_than_a_vector_keep_those_behind_them(taps: int, stride: int, last: bool) -> None:
    """Rows of windows that overlap are joined in place: none is written over before it is read."""
    for width, kernel in ((1, 1), (2, 1), (3, 2), (5, 3)):
        for dilation in (1, 2):
            case = PoolCase((2, 1, 23, width), (taps, kernel), (stride, 1), ((2, 1), (0, 0)), (dilation, 1))
            test_windows_are_those_of_plain_loops(case, last)


@pytest.mark.wide
@pytest.mark.parametrize("seed", range(8))
def test_any_windows(seed: int) -> None:
    """Drawn windows of drawn images, half of them of few columns, by the engine and by loops."""
    rng = np.random.default_rng(seed)
    for _ in range(12):
        ndim = int(rng.integers(1, 4))
        draw = [tuple(map(int, rng.integers(low, high, ndim))) for low, high in ((1, 14), (1, 9), (1, 4), (1, 3))]
        pads = tuple((int(a), int(b)) for a, b in rng.integers(0, 4, (ndim, 2)))
        *long, width = draw[0]
        narrow = int(rng.integers(1, 6)) if rng.integers(2) else width
        shape = (int(rng.integers(1, 3)), int(rng.choice([1, 3, 9])), *long, narrow)
        case = PoolCase(shape, draw[1], draw[2], pads, draw[3], bool(rng.integers(2)))
        sizes = zip(case.shape[2:], case.kernel, case.pads, case.dilation, strict=True)
        if any(d * (k - 1) + 1 > n + sum(pair) for n, k, pair, d in sizes):
            continue
        test_windows_are_those_of_plain_loops(case, bool(rng.integers(2)))


# Machines.


@pytest.mark.parametrize("name", NAMED)
def test_kernels_for_every_cpu(name: str) -> None:
    """LLVM takes and compiles them for CPUs that are not here."""
    from im2col.layers.pooled import Window

    _, pool = Window(3, 2, 1).over((1, 16, 40, 41), None, "place")
    found = rows.cut(pool, rows.Images(1, 16, "f4", (105040, 6565, 164, 4), (53760, 3360, 168, 8), 1), NAMED[name])
    assert found is not None
    assert "pool_rows" in assembly(pool_rows(found.spec), NAMED[name])
    for spec in (PoolWhole("mean", "f4", 4, False, 1, 49), PoolWhole("maximum", "u1", 8, True, 4)):
        assert "pool_whole" in assembly(pool_whole(spec), NAMED[name])


def pools_against_forbidden_pages() -> None:
    """Pool where a byte too much is the end of the process."""
    rooms = [against_forbidden_pages(24 * PAGE) for _ in range(2)]
    for case, last, side in itertools.product(CASES[:8], (False, True), (0, 1)):
        x = image(case)
        given, layout = in_layout(x, case, last=last)
        source = in_room(rooms[0][side], given)
        options: dict[str, Any] = {**case.options, "layout": layout}
        calls: list[tuple[Any, dict[str, Any]]] = [(function, options) for function in (max_pool, average_pool)]
        calls += [(function, {"layout": layout}) for function in (global_max_pool, global_average_pool)]
        for function, arguments in calls:
            expected = function(given, **arguments)
            out = in_room(rooms[1][side], np.zeros_like(expected))
            function(source, **arguments, out=out)
            assert out.tobytes() == expected.tobytes()
    sys.stdout.write("every byte in its place\n")


def test_no_byte_beside_the_arrays_is_touched() -> None:
    """What lies before and behind image and result is forbidden."""
    run_alone("test_pooling", "pools_against_forbidden_pages()")
