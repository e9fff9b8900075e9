"""Kernels that are columns times rows: exact factors, ranks, results within derived bounds, precision as promised."""

from __future__ import annotations

import itertools
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import pytest
from scipy import signal

from im2col import ArgumentError, GeometryError, conv, conv2d, plan
from im2col.algorithms.separable.factors import Factors, factors, kernel_rank, most_worthwhile
from im2col.algorithms.separable.passes import decide
from im2col.algorithms.separable.prepared import DecidedPasses, PreparedPasses
from im2col.engine.target import NAMED, host
from im2col.photo.kernels import KERNELS
from im2col.spec.problem import make_problem

from .kit.memory import PAGE, against_forbidden_pages, in_room
from .kit.nasty import hostile
from .kit.outcomes import raises_exactly
from .kit.processes import run_alone
from .kit.selection import one_in
from .kit.targets import assembly

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from im2col.engine.target import Target

    Array = NDArray[Any]

PRECISIONS = ["strict", "native", "fast"]


def gaussian(size: int, dtype: str = "float32") -> Array:
    """Return a kernel of rank 1 but for the rounding of its weights."""
    along = np.exp(-(((np.arange(size) - size // 2) / (size / 5)) ** 2))
    return np.outer(along, along / along.sum() ** 2).astype(dtype)


def unsharp(size: int, dtype: str = "float32") -> Array:
    """Return a kernel of rank 2: the middle, twice, without its surroundings."""
    middle = np.zeros((size, size))
    middle[size // 2, size // 2] = 2
    return (middle - gaussian(size, "float64")).astype(dtype)


def product(found: Factors) -> Array:
    """Return what factors are factors of, in float64."""
    down, across = (each.astype(float) for each in found)
    whole: Array = np.einsum("fcri,fcrj->fcij", down, across)
    return whole


# Factors.


@pytest.mark.parametrize(
    ("name", "rank"),
    [("identity", 1), ("blur", 1), ("gaussian", 1), ("unsharp", 2), ("sobel-x", 1), ("sobel-y", 1), ("motion", 5)],
)
def test_named_kernels_have_exact_factors(name: str, rank: int) -> None:
    """Whole numbers are the products of whole numbers, scaled by powers of two: no weight changes."""
    w = KERNELS[name].weights.astype("f4")[None, None]
    assert kernel_rank(w, "native") == rank
    found = factors(w, "native", rank)
    np.testing.assert_array_equal(product(found), w)
    mantissas = np.frexp(found.down)[0] * 2.0**10
    np.testing.assert_array_equal(mantissas, np.rint(mantissas))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [5, 8, 15, 31])
def test_kernels_of_real_numbers(size: int, dtype: str) -> None:
    """A Gaussian is of rank 1 to within rounding, what it leaves of an image of rank 2, random numbers of none."""
    random = np.random.default_rng(size).standard_normal((1, 1, size, size)).astype(dtype)
    eps = np.finfo(dtype).eps
    for kernel, rank in ((gaussian(size, dtype), 1), (np.full((size, size), 1 / size**2, dtype), 1)):
        w = kernel[None, None]
        assert kernel_rank(w, "native") == rank
        missing = np.abs(product(factors(w, "native", rank)) - w.astype(float)).max()
        assert missing <= 8 * eps * np.abs(w).max()
    assert kernel_rank(unsharp(15, dtype)[None, None], "native") == 2
    assert kernel_rank(random, "native") == size
    np.testing.assert_array_equal(product(factors(random, "native", size)), random.astype(float))


def test_columns_that_are_alike_and_rows_that_are_not() -> None:
    """Exact factors are found along either axis."""
    rng = np.random.default_rng(0)
    columns = rng.integers(-9, 10, (2, 7))
    w = columns[[0, 1, 0, 0, 1]].T * np.array([1, 2, -3, 4, 5])
    for kernel in (w, w.T):
        found = factors(kernel.astype("f4")[None, None], "native", 2)
        np.testing.assert_array_equal(product(found)[0, 0], kernel)


def test_filters_of_different_ranks() -> None:
    """The greatest rank counts; kernels of a lower one are filled up with zeros."""
    w = np.stack([gaussian(9), unsharp(9), np.zeros((9, 9), "f4")])[:, None]
    assert kernel_rank(w, "native") == 2
    found = factors(w, "native", 2)
    assert found.down.shape == found.across.shape == (3, 1, 2, 9)
    assert not found.down[0, 0, 1].any()
    np.testing.assert_allclose(product(found), w, rtol=0, atol=1e-7)
    mixed = np.concatenate([w, np.random.default_rng(1).standard_normal((1, 1, 9, 9)).astype("f4")])
    assert kernel_rank(mixed, "native") == 9
    np.testing.assert_allclose(product(factors(mixed, "native", 9)), mixed, rtol=0, atol=1e-7)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_weights_that_are_not_finite_have_no_rank(wrong: float) -> None:
    """They are computed with as they are."""
    w = gaussian(5)[None, None].copy()
    w[0, 0, 1, 2] = wrong
    assert kernel_rank(w, "native") is None
    x = np.ones((1, 1, 70, 70), "f4")
    assert plan(x.shape, w).algorithm == "implicit"


@pytest.mark.parametrize(("size", "most"), [((3, 3), 1), ((2, 2), 0), ((2, 3), 1), ((5, 5), 2), ((63, 5), 4)])
def test_ranks_that_save_products(size: tuple[int, int], most: int) -> None:
    """So many pairs multiply less often than the kernel, and one more does not."""
    (kh, kw), pair = size, sum(size)
    assert most_worthwhile(kh, kw) == most
    assert most * pair < kh * kw <= (most + 1) * pair


# Rounding.


def plain_sums(x: Array, w: Array) -> Array:
    """Return the correlation of an image with a kernel in their dtype, product after product."""
    rows, columns = x.shape[0] - w.shape[0] + 1, x.shape[1] - w.shape[1] + 1
    total = np.zeros((rows, columns), x.dtype)
    for i, j in np.ndindex(*w.shape):
        total += x[i : i + rows, j : j + columns] * w[i, j]
    return total


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_precision_is_as_promised(dtype: str, precision: str) -> None:
    """The rms error is at most that of plain sums, or twice that, or far below the greatest result: for all pixels."""
    rng = np.random.default_rng(7)
    most = {"strict": 1.05, "native": 2.0, "fast": 2.0}[precision]
    pixels = {
        "normal": rng.standard_normal((90, 90)),
        "positive": np.abs(rng.standard_normal((90, 90))),
        "even": 0.7 + 1e-3 * rng.standard_normal((90, 90)),
        "alternating": rng.random((90, 90)) * (1 - 2 * (np.indices((90, 90)).sum(0) % 2)),
    }
    low = rng.standard_normal((3, 9, 1)) * rng.standard_normal((3, 1, 9))
    kernels = [gaussian(5, dtype), gaussian(15, dtype), unsharp(15, dtype), low[0], low.sum(0), low[0] + 1e-7 * low[1]]
    for kernel, (name, image) in itertools.product(kernels, pixels.items()):
        x, w = image.astype(dtype), kernel.astype(dtype)
        if kernel_rank(w[None, None], precision) == min(w.shape):
            continue
        exact = plain_sums(x.astype(np.longdouble), w.astype(np.longdouble))
        off = conv2d(x, w, precision=precision, algorithm="separable") - exact  # type: ignore[arg-type]  # a name
        rms, plain = (float(np.sqrt(np.mean(np.square(each)))) for each in (off, plain_sums(x, w) - exact))
        fast = precision == "fast" and float(np.abs(off).max()) <= 2e-5 * float(np.abs(exact).max())
        assert fast or rms <= most * plain, (name, w.shape, rms / plain)


def test_precision_decides_the_rank() -> None:
    """What is missing with one pair of factors is admitted where that is fast, and nowhere else."""
    rng = np.random.default_rng(0)
    first, second = (np.outer(*rng.standard_normal((2, 15))) for _ in range(2))
    w = (first + 1e-6 * second).astype("f4")[None, None]
    assert [kernel_rank(w, precision) for precision in PRECISIONS] == [2, 2, 1]


def test_whole_pixels_stay_exact() -> None:
    """Sums of whole numbers are those of the definition, to the bit, with every kernel of photographs."""
    rng = np.random.default_rng(2)
    x = rng.integers(0, 256, (61, 83)).astype("f4")
    mixed = rng.integers(-5, 6, (15, 2)) @ rng.integers(-5, 6, (2, 15))  # of rank 2, but no two rows are alike
    for kernel in (*(each.weights for each in KERNELS.values()), mixed):
        w = kernel.astype("f4")
        exact = signal.correlate2d(x.astype(np.float64), kernel, "valid")
        np.testing.assert_array_equal(conv2d(x, w, algorithm="separable"), exact)


def test_sums_of_columns_do_not_overflow() -> None:
    """Pixels near the end of the range, of which a mean is finite."""
    x, w = np.full((70, 70), 3e38, "f4"), np.full((15, 15), 1 / 225, "f4")
    w[:, 3], w[:, 4] = 0.5 / 225, 1.5 / 225  # no box, which is summed up otherwise
    result = conv2d(x, w, algorithm="separable")
    np.testing.assert_allclose(result, x[14:, 14:], rtol=1e-5)


# Layers.


class Case(NamedTuple):
    """A layer that two passes compute."""

    shape: tuple[int, ...]
    filters: int
    channels: int
    kernel: tuple[int, int]
    options: dict[str, Any]
    dtype: str = "float32"
    rank: int = 1

    @property
    def layout(self) -> str:
        """Its axes."""
        layout: str = self.options.get("layout", "NCHW"[-len(self.shape) :] if len(self.shape) != 3 else "CHW")
        return layout

    def arrays(self, seed: int = 0) -> tuple[Array, Array, Array]:
        """Return image, weights and bias."""
        rng = np.random.default_rng(seed)
        sizes = [(self.filters, self.channels, self.rank, k) for k in self.kernel]
        w = np.einsum("fcri,fcrj->fcij", *(rng.standard_normal(size) for size in sizes))
        x, bias = rng.standard_normal(self.shape), rng.standard_normal(self.filters)
        return x.astype(self.dtype), w.astype(self.dtype), bias.astype(self.dtype)


CASES = {
    "one window": Case((1, 1, 5, 4), 1, 1, (5, 4), {}),
    "a plain image": Case((41, 37), 1, 1, (5, 7), {"padding": "same"}),
    "many bands": Case((2, 1, 150, 90), 1, 1, (5, 5), {"padding": 2}),
    "a row wider than a piece": Case((1, 1, 19, 2100), 1, 1, (3, 9), {"padding": 4}),
    "a map of one column": Case((1, 1, 40, 9), 1, 1, (4, 9), {}),
    "channels by themselves": Case((2, 3, 33, 40), 3, 1, (7, 5), {"groups": 3, "padding": 3}),
    "channels by themselves, last": Case((2, 33, 40, 5), 5, 1, (7, 5), {"groups": 5, "padding": 3, "layout": "NHWC"}),
    "three channels, rank 2, last": Case(
        (1, 33, 40, 3), 3, 1, (7, 5), {"groups": 3, "layout": "NHWC", "padding": 1}, rank=2
    ),
    "several filters": Case((1, 1, 33, 40), 5, 1, (7, 5), {"padding": (0, 2)}),
    "several filters of each channel": Case((1, 3, 33, 40), 6, 1, (6, 6), {"groups": 3, "padding": 1}, rank=2),
    "one filter of several channels": Case((1, 3, 33, 40), 1, 3, (5, 5), {"padding": 2}),
    "one filter of several channels, last": Case((2, 20, 23, 3), 1, 3, (5, 5), {"padding": 2, "layout": "NHWC"}),
    "rows between channels": Case((1, 30, 3, 40), 3, 1, (5, 5), {"groups": 3, "layout": "NHCW"}),
    "rank 2": Case((1, 1, 60, 61), 1, 1, (9, 7), {"padding": 3}, rank=2),
    "rank 3, float64": Case((1, 1, 60, 61), 1, 1, (15, 15), {"padding": 7}, "float64", rank=3),
    "full rank": Case((1, 1, 30, 31), 1, 1, (5, 3), {"padding": 1}, rank=3),
    "63 taps": Case((1, 1, 90, 101), 1, 1, (63, 63), {"padding": 31}),
    "strides": Case((2, 1, 90, 70), 1, 1, (5, 7), {"stride": (2, 3), "padding": 2}),
    "strides of five rows": Case((2, 1, 90, 70), 1, 1, (5, 7), {"stride": (5, 1)}),
    "dilation": Case((1, 2, 60, 70), 2, 1, (5, 4), {"groups": 2, "dilation": (3, 2), "padding": 3}),
    "uneven padding": Case((1, 1, 40, 41), 1, 1, (5, 5), {"padding": ((0, 4), (3, 1))}),
    "edge": Case((1, 1, 40, 41), 1, 1, (5, 5), {"padding": 2, "padding_mode": "edge"}),
    "reflected": Case((1, 2, 40, 41), 2, 1, (9, 7), {"padding": (4, 6), "padding_mode": "reflect", "groups": 2}),
    "symmetric, channels last": Case(
        (1, 40, 41, 4), 4, 1, (5, 5), {"padding": 4, "padding_mode": "symmetric", "groups": 4, "layout": "NHWC"}
    ),
    "wrapped": Case((1, 1, 40, 41), 1, 1, (35, 5), {"padding": (17, 2), "padding_mode": "wrap"}),
    "wrapped along one axis": Case((1, 1, 40, 41), 1, 1, (5, 5), {"padding": 2, "padding_mode": {"W": "wrap"}}),
    "padded with 3": Case((1, 1, 40, 41), 1, 1, (5, 5), {"padding": 2, "padding_value": 3.0}),
    "a constant of each channel": Case(
        (1, 2, 20, 21), 2, 1, (5, 5), {"padding": 2, "padding_value": np.array([1.0, -2.0], "f4"), "groups": 2}
    ),
    "flipped": Case((1, 1, 40, 41), 1, 1, (5, 6), {"flip": True, "padding": 1}),
    "relu": Case((1, 1, 40, 41), 1, 1, (5, 5), {"activation": "relu", "padding": 1}),
}


def by_passes(case: Case, **options: Any) -> Any:
    """Return a plan of passes."""
    x, w, bias = case.arrays()
    return plan(x.shape, w, bias, algorithm="separable", **case.options | options)


def expected(case: Case) -> tuple[Array, Array]:
    """Return the exact result, of NumPy's windows in wide numbers, and by how much each of it may differ.

    Each product passes at most as many roundings as its two sums have terms, and each is of something that the
    magnitudes sum up; and factors miss a part of the kernel.
    """
    x, w, bias = case.arrays()
    options = dict(case.options)
    problem = make_problem(x.shape, w.shape, x.dtype, w.dtype, **options)
    g, canonical, wide = problem.geometry, problem.layout.to_canonical, np.longdouble
    image, value = canonical(x).astype(wide), np.zeros((case.filters, 1, 1))
    if "padding_value" in options:
        value = np.broadcast_to(np.reshape(options["padding_value"], (-1, 1, 1)), (image.shape[1], 1, 1))
    for axis, (pair, mode) in enumerate(zip(g.padding, problem.padding_modes, strict=True)):
        pads: Any = [(0, 0), (0, 0), (0, 0), (0, 0)]
        pads[2 + axis] = pair
        if mode != "constant":
            image = np.pad(image, pads, cast("Any", mode))
            continue
        padded = np.pad(image, pads)
        outside = np.ones(padded.shape[2:], bool)
        outside[tuple(slice(b, b + n) for (b, _), n in zip(pads[2:], image.shape[2:], strict=True))] = False
        image = np.where(outside, value if value.any() else 0, padded)
    filters = np.flip(w, (2, 3)) if problem.flip else w
    windows = np.lib.stride_tricks.sliding_window_view(image, g.span, (2, 3))
    windows = windows[:, :, :: g.stride[0], :: g.stride[1], :: g.dilation[0], :: g.dilation[1]]
    groups = windows.reshape(len(image), problem.groups, -1, *windows.shape[2:])

    def sums(seen: Array, weights: Array) -> Array:
        parts = weights.reshape(problem.groups, -1, *weights.shape[1:]).astype(wide)
        found: Array = np.einsum("ngchwij,gfcij->ngfhw", seen, parts)
        return found.reshape(len(image), case.filters, *g.output_shape)

    rank = kernel_rank(w, "native")
    assert rank is not None
    found = factors(filters, "native", rank)
    magnitudes = product(Factors(*map(np.abs, found)))
    terms = sum(case.kernel) * rank * case.channels + 3
    exact = sums(groups, filters) + bias.astype(wide).reshape(-1, 1, 1)
    limit = terms * np.finfo(case.dtype).eps * (sums(np.abs(groups), magnitudes) + np.abs(bias).reshape(-1, 1, 1))
    limit += sums(np.abs(groups), np.abs(product(found) - filters.astype(wide)))
    if "activation" in options:
        exact = np.maximum(exact, 0)
    shape = problem.output_shape
    if problem.layout.axes[-1] == "C":
        return np.moveaxis(exact, 1, -1).reshape(shape), np.moveaxis(limit, 1, -1).reshape(shape)
    if problem.layout.axes == "NHCW":
        return np.moveaxis(exact, 1, 2), np.moveaxis(limit, 1, 2)
    return exact.reshape(shape), limit.reshape(shape)


@pytest.mark.parametrize("name", one_in(2, CASES))
def test_layers(name: str) -> None:
    """Every result is within what rounding explains; an output full of NaN is overwritten, and nothing beside it."""
    case = CASES[name]
    x, _, _ = case.arrays()
    prepared, (exact, limit) = by_passes(case), expected(case)
    assert prepared.algorithm == "separable"
    whole = np.full([n + 4 for n in exact.shape], np.nan, case.dtype)
    inside = tuple(slice(2, 2 + n) for n in exact.shape)
    for out in (np.full(exact.shape, np.nan, case.dtype), whole[inside]):
        for _ in range(2):  # the second time it is one call of the engine
            assert prepared(x, out) is out
            assert (np.abs(out - exact) <= limit).all(), float((np.abs(out - exact) / limit).max())
            out.fill(np.nan)
    assert np.isnan(whole).all()


@pytest.mark.parametrize("height", one_in(2, [*range(1, 20), *range(61, 72)]))
def test_maps_of_all_heights(height: int) -> None:
    """Bands and tiles of several rows end where the map does."""
    case = Case((1, 1, height + 4, 37), 1, 1, (5, 3), {"padding": (0, 1)})
    x, _, _ = case.arrays()
    exact, limit = expected(case)
    assert (np.abs(by_passes(case)(x) - exact) <= limit).all()


@pytest.mark.parametrize(
    ("shape", "kernel", "options"),
    one_in(
        2,
        [
            ((1, 1, 20, 900), (41, 3), {"padding": (20, 1)}),
            ((1, 1, 45, 901), (41, 3), {"padding": (1, 2), "padding_mode": "reflect", "stride": (2, 1)}),
            ((1, 1, 45, 901), (41, 4), {"padding": ((0, 3), (4, 1)), "padding_mode": "edge", "stride": (1, 3)}),
            ((1, 1, 45, 901), (41, 3), {"padding": (1, 4), "padding_mode": "wrap"}),
            ((1, 45, 450, 2), (41, 3), {"padding": 1, "groups": 2, "layout": "NHWC"}),
            ((2, 1, 45, 900), (41, 3), {"dilation": (1, 2)}),
        ],
    ),
)
def test_strips(shape: tuple[int, ...], kernel: tuple[int, int], options: dict[str, Any]) -> None:
    """Rows that a second level of cache does not hold are cut, and no cut is seen: not the last bit depends on it."""
    case = Case(shape, options.get("groups", 1), 1, kernel, options)
    x, _, _ = case.arrays()
    prepared, (exact, limit) = by_passes(case), expected(case)
    assert (np.abs(prepared(x) - exact) <= limit).all()
    problem = prepared._operation.choices[0].problem
    small, large = (decide(problem, target_with(second)) for second in (64 << 10, 16 << 20))
    assert small is not None
    assert large is not None
    assert len(large.strips) == 1
    assert len(small.strips) == 1 if options.get("padding_mode") == "wrap" else len(small.strips) > 2
    _, w, bias = case.arrays()
    canonical, results = problem.layout.to_canonical, []
    for passes in (small, large):
        out = np.full(exact.shape, np.nan, "f4")
        PreparedPasses(DecidedPasses(problem, passes, 2), w, bias)(canonical(x), canonical(out))
        results.append(out.tobytes())
    assert results[0] == results[1] == prepared(x).tobytes()


def target_with(second: int) -> Target:
    """Return this CPU with a second level of cache of so many bytes."""
    this = host()
    return this._replace(caches=(this.caches[0], second, this.caches[2]))


@pytest.mark.parametrize("name", ["many bands", "channels by themselves", "channels by themselves, last", "reflected"])
def test_bits_depend_on_neither_threads_nor_batch_nor_strides(name: str) -> None:
    """Each image by itself, with any threads, from and to arrays that are not dense: the same bits."""
    case = CASES[name]
    x, w, bias = case.arrays()
    whole = by_passes(case)(x)
    for threads in (1, 2, 3):
        assert by_passes(case, threads=threads)(x).tobytes() == whole.tobytes()
    alone = [
        plan((1, *x.shape[1:]), w, bias, algorithm="separable", **case.options)(x[n : n + 1]) for n in range(len(x))
    ]
    assert np.concatenate(alone).tobytes() == whole.tobytes()
    apart = np.zeros([2 * n for n in x.shape], x.dtype)[(slice(None, None, 2),) * x.ndim]
    apart[...] = x
    wide = np.zeros([n + 3 for n in x.shape], x.dtype)[tuple(slice(2, 2 + n) for n in x.shape)]
    wide[...] = x
    out = np.zeros([2 * n for n in whole.shape], x.dtype)[(slice(None, None, -2),) * x.ndim]
    turned = np.zeros(whole.shape[::-1], x.dtype).T
    prepared = by_passes(case)
    for source, target in (
        (apart, None),
        (wide, out),
        (x, turned),
        (x.astype(">f4"), None),
        (np.asfortranarray(x), None),
    ):
        assert prepared(source, target).tobytes() == whole.tobytes()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("layout", "rank"), [("NCHW", 1), ("NCHW", 2), ("NHWC", 1)])
def test_infinities_stay_in_their_windows(layout: str, rank: int, wrong: float) -> None:
    """An infinite pixel, or one that is no number, is in the results whose windows cover it, and in no other."""
    case = Case((2, 3, 43, 45), 3, 1, (5, 9), {"groups": 3, "padding": (2, 4)}, rank=rank)
    x, w, _ = case.arrays(3)
    w[:, :, 0] = 0  # a weight of 0 is multiplied by, too
    places = [(0, 1, 0, 0), (1, 0, 21, 23), (1, 2, 42, 44)]
    covered = np.zeros(x.shape, bool)
    for place in places:
        x[place] = wrong
        n, c, row, column = place
        covered[n, c, max(0, row - 2) : row + 3, max(0, column - 4) : column + 5] = True
    order = tuple(map("NCHW".index, layout))
    prepared = plan(tuple(x.shape[i] for i in order), w, layout=layout, algorithm="separable", **case.options)
    result = prepared(np.ascontiguousarray(x.transpose(order))).transpose(np.argsort(order))
    np.testing.assert_array_equal(np.isfinite(result), ~covered)
    direct = conv(x, w, algorithm="explicit", **case.options)
    np.testing.assert_array_equal(np.isfinite(result), np.isfinite(direct))


# What is decided, and for whom.


def test_weights_of_another_rank() -> None:
    """Calls and plans that are alike but for their weights' values: each is computed as its own ask for."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((1, 1, 400, 401)).astype("f4")
    low, full = gaussian(15)[None, None], rng.standard_normal((1, 1, 15, 15)).astype("f4")
    for w in (low, full, low, full, full, full, low, low, low, unsharp(15)[None, None]):
        exact = conv(x.astype(float), w.astype(float), algorithm="implicit")
        bound = 1e-5 * np.abs(exact).max()
        np.testing.assert_allclose(conv(x, w), exact, rtol=0, atol=bound)
        prepared = plan(x.shape, w)
        assert prepared.algorithm == ("fft" if w is full else "separable")
        np.testing.assert_allclose(prepared(x), exact, rtol=0, atol=bound)


def test_large_calls_look_at_the_weights_and_small_ones_do_not() -> None:
    """One call of a large image has the bits of a plan; a small one those of the view."""
    w = gaussian(15)[None, None]
    for side, algorithm in ((400, "separable"), (40, "implicit")):
        x = np.random.default_rng(0).standard_normal((1, 1, side, side)).astype("f4")
        for _ in range(4):
            assert conv(x, w).tobytes() == conv(x, w, algorithm=algorithm).tobytes()


def test_calls_that_were_looked_at_are_not_remembered() -> None:
    """After calls with weights of full rank, one with weights of rank 1 is computed in passes: it has their bits.

    Larger kernels of full rank are not the view's.
    """
    rng = np.random.default_rng(6)
    x, full = (rng.standard_normal((1, 1, *shape)).astype("f4") for shape in ((400, 401), (9, 9)))
    for _ in range(4):
        conv(x, full, threads=1)
    low = gaussian(9)[None, None].copy()
    passes, direct = (conv(x, low, algorithm=name, threads=1) for name in ("separable", "implicit"))
    assert passes.tobytes() != direct.tobytes()
    assert conv(x, low, threads=1).tobytes() == passes.tobytes()


def test_plans_say_the_rank() -> None:
    """Why passes were taken, or would cost more."""
    lines = {rank: str(plan((1, 1, 200, 200), w[None, None])) for rank, w in ((1, gaussian(15)), (2, unsharp(15)))}
    assert "  → separable  kernels of rank 1: passes of a column and a row" in lines[1]
    assert "  → separable  kernels of rank 2: passes of 2 columns and rows" in lines[2]
    full = np.random.default_rng(0).standard_normal((1, 1, 15, 15)).astype("f4")
    assert "    separable  kernels of rank 15 cost more than they save" in str(plan((1, 1, 200, 200), full))


def test_groups_of_any_integer() -> None:
    """One filter a group is that for every kind of integer; what is none is refused as everywhere."""
    x, w = np.ones((1, 12, 200, 200), "f4"), np.tile(gaussian(15), (4, 3, 1, 1))
    kinds = 4, np.int64(4), np.array(4), hostile(int, "__eq__")(4)
    assert {plan(x.shape, w, groups=groups).algorithm for groups in kinds} == {"separable"}
    others: list[Any] = [hostile(int, "__eq__", "__index__"), 4.0, None]
    for wrong in others:
        with pytest.raises(GeometryError, match=r"^conv: groups must be "):
            conv(x, w, groups=wrong)


REFUSED: dict[str, tuple[tuple[int, ...], tuple[int, ...], str, dict[str, Any]]] = {
    "there is nothing to multiply": ((0, 1, 9, 9), (1, 1, 3, 3), "f4", {}),
    "passes sum float32 or float64 alone, as image, weights and result": ((1, 1, 9, 9), (1, 1, 3, 3), "i4", {}),
    "two passes are for kernels of two axes of several taps each, not of (1, 3)": ((9, 9), (1, 1, 1, 3), "f4", {}),
    "two passes are for kernels of two axes of several taps each, not of (3,)": ((1, 1, 9), (1, 1, 3), "f4", {}),
    "no tile makes passes over images of layout 'HW' with strides of (1, 5)": (
        (20, 20),
        (1, 1, 3, 3),
        "f4",
        {"stride": (1, 5)},
    ),
    "filters that share several channels share no passes": ((1, 2, 9, 9), (2, 2, 3, 3), "f4", {}),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_said_in_passes(reason: str) -> None:
    """Whoever names the algorithm hears why."""
    shape, kernel, dtype, options = REFUSED[reason]
    message = f"conv: algorithm 'separable' cannot solve this: {reason}; use algorithm='auto'"
    with raises_exactly(ArgumentError, message):
        conv(np.ones(shape, dtype), np.ones(kernel, dtype), algorithm="separable", **options)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("name", one_in(3, NAMED))
def test_kernels_for_every_cpu(name: str, layout: str) -> None:
    """LLVM takes and compiles them for CPUs that are not here."""
    target, kind = NAMED[name], np.dtype("f4")
    shape = (1, 3, 30, 31) if layout == "NCHW" else (1, 30, 31, 3)
    problem = make_problem(shape, (3, 1, 9, 9), kind, kind, groups=3, padding=4, layout=layout, kernel_rank=1)
    passes = decide(problem, target)
    assert passes is not None
    for kernel in DecidedPasses(problem, passes, 1).kernels():
        assert kernel.name in assembly(kernel, target)


def passes_against_forbidden_pages(third: int) -> None:
    """Convolve where a byte too much is the end of the process."""
    rooms = [against_forbidden_pages(80 * PAGE) for _ in range(2)]
    for name, side in itertools.product(list(CASES)[third::3], (0, 1)):
        case = CASES[name]
        x, _, _ = case.arrays()
        exact, limit = expected(case)
        if max(x.nbytes, exact.size * x.itemsize) > 70 * PAGE:
            continue
        image = in_room(rooms[0][side], x)
        out = in_room(rooms[1][side], np.zeros(exact.shape, case.dtype))
        assert (np.abs(by_passes(case)(image, out) - exact) <= limit).all(), name
    sys.stdout.write("every byte in its place\n")


@pytest.mark.parametrize("third", one_in(3, range(3)))
def test_no_byte_beside_the_arrays_is_touched(third: int) -> None:
    """What lies before and behind image and result is forbidden."""
    run_alone("test_separable", f"passes_against_forbidden_pages({third})")


# Weights of any magnitude.


@pytest.mark.parametrize("power", [-1030, -900, -620, -400, 400, 620, 900, 1019])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_power_of_two_changes_no_rank(precision: str, power: int) -> None:
    """Squares of such weights are 0 in float64, or infinite, and yet some kernels are products and others are not."""
    rng = np.random.default_rng(0)
    whole = np.outer([1, 2, 1], [1, 4, 6, 4, 1]) / 16
    kernels = {1: [np.ones((3, 5)), whole], 3: [rng.integers(-9, 10, (3, 5)).astype(float), np.eye(3, 5) / 8]}
    for rank, some in kernels.items():
        for kernel in some:
            w = np.ldexp(kernel, power)[None, None]
            assert kernel_rank(w, precision) == rank
            found = factors(w, precision, rank)
            assert np.isfinite(found.across).all()
            np.testing.assert_array_equal(product(found), w)


@pytest.mark.parametrize("power", [-620, -520, 520, 620, 1015])
@pytest.mark.parametrize("kind", ["random", "box", "rank 2", "whole"])
def test_results_are_multiplied_as_weights_are(kind: str, power: int) -> None:
    """By a power of two, exactly, where weights are far from both ends of float64: with each algorithm."""
    rng = np.random.default_rng(1)
    kernels = {
        "random": rng.standard_normal((5, 5)),
        "box": np.full((5, 5), 0.3),
        "rank 2": unsharp(5, "float64"),
        "whole": rng.integers(-9, 10, (5, 5)).astype(float),
    }
    w, x = kernels[kind][None, None], rng.standard_normal((1, 1, 40, 40)) / 64
    for algorithm in ("auto", "separable"):
        found = conv2d(x, np.ldexp(w, power), algorithm=algorithm)
        expected = np.ldexp(signal.correlate(x, w, "valid"), power)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14 * np.abs(expected).max())


def test_weights_at_both_ends_of_their_dtype() -> None:
    """Factors stay finite, those of the greatest weights and those of the least, which have no bits to spare."""
    rng = np.random.default_rng(2)
    for dtype in ("float32", "float64"):
        info = np.finfo(dtype)
        least = info.smallest_subnormal * rng.integers(-9, 10, (5, 5)).astype(dtype)
        for kernel in (np.full((5, 5), info.max), least, info.max * rng.choice([1, -1], (5, 5)).astype(dtype)):
            w = kernel.astype(dtype)[None, None]
            found = factors(w, "strict", kernel_rank(w, "strict") or 1)
            wide = (each.astype(np.longdouble) for each in found)
            np.testing.assert_array_equal(np.einsum("fcri,fcrj->fcij", *wide), w)


def test_multiples_that_no_float_holds() -> None:
    """A row that is 2**1050 times another one."""
    w = np.outer([1.0, 2.0**-1050, 3.0], [0.0, 1.0, 0.0])[None, None]
    np.testing.assert_array_equal(product(factors(w, "native", 1)), w)
