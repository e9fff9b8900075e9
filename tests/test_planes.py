"""Filters of single channels by frequencies: results within derived bounds, tables against plain loops, precision."""

from __future__ import annotations

import itertools
import math
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from im2col import ArgumentError, conv, conv2d, plan
from im2col.algorithms import registry
from im2col.algorithms.fft import planes as decide
from im2col.algorithms.fft import prepared_planes
from im2col.algorithms.fft.plane_kernel import PAIR_WORDS, PlaneKernel, plane_kernel
from im2col.algorithms.fft.planes import SIZES, DecidedPlanes, Planes
from im2col.algorithms.fft.prepared_planes import PreparedPlanes, ThreadedPlanes
from im2col.algorithms.implicit.tiles.epilogue import Epilogue
from im2col.engine.compiler import assembly
from im2col.engine.target import NAMED, host
from im2col.spec.problem import Problem, make_problem

from .kit.outcomes import raises_exactly
from .kit.processes import run_alone
from .kit.selection import one_in
from .kit.tiles import PIXELS, Case, assert_within_pages, judged, plain_sum

Array = NDArray[Any]

CASES = {
    "one tile": Case((1, 1, 40, 40), 1, (11, 11), {}),
    "a row of results": Case((1, 1, 13, 60), 1, (13, 9), {}),
    "narrower than a tile": Case((1, 1, 90, 30), 1, (11, 11), {}),
    "padded": Case((1, 1, 71, 83), 1, (15, 11), {"padding": (7, 5)}),
    "mostly padding": Case((1, 1, 5, 9), 1, (31, 31), {"padding": "full"}),
    "uneven padding": Case((1, 1, 50, 41), 1, (12, 10), {"padding": ((0, 9), (5, 2))}),
    "more padding than kernel": Case((1, 1, 20, 20), 1, (10, 10), {"padding": (70, 90)}),
    "no batch": Case((1, 171, 203), 1, (31, 31), {"padding": "same", "layout": "CHW"}),
    "many tiles": Case((1, 1, 300, 410), 1, (11, 13), {"padding": 6}),
    "a wide kernel": Case((1, 1, 60, 220), 1, (3, 71), {"padding": (1, 35)}),
    "a tall kernel": Case((1, 1, 330, 40), 1, (151, 1), {}),
    "several filters": Case((2, 1, 50, 61), 3, (11, 11), {"padding": 5}),
    "channels by themselves": Case((2, 3, 50, 61), 3, (11, 11), {"padding": 5, "groups": 3}),
    "two filters a channel": Case((2, 3, 50, 61), 6, (11, 11), {"padding": 5, "groups": 3}),
    "channels last": Case((2, 50, 61, 3), 3, (11, 11), {"padding": 5, "groups": 3, "layout": "NHWC"}),
    "flipped": Case((1, 1, 60, 70), 1, (11, 14), {"flip": True}),
    "hardswish": Case((1, 1, 60, 70), 2, (11, 11), {"activation": "hardswish", "padding": 5}),
    "reflected": Case((2, 1, 60, 70), 1, (11, 11), {"padding": 5, "padding_mode": "reflect"}),
    "padded with 3": Case((1, 1, 60, 70), 1, (11, 11), {"padding": 5, "padding_value": 3.0}),
    "float64": Case((1, 2, 60, 70), 2, (11, 11), {"padding": 5, "groups": 2}, "float64"),
}


def made(case: Case, **options: Any) -> tuple[Any, Planes]:
    """Return a plan of planes, and how its map is cut."""
    x, w, bias = case.arrays()
    p: Any = plan(x.shape, w, bias, algorithm="fft", **case.options | options)
    prepared = p._operation.choices[0].offer.prepare
    assert prepared.func is PreparedPlanes
    return p, prepared.args[0].decided.planes


def bound(x: Array, w: Array, groups: int, dtype: Any) -> Array:
    """Return by how much a result may differ from the exact one.

    A spectrum errs, relative to its Euclidean norm, by at most 6 roundings a level of butterflies, twiddle factors
    included (N. J. Higham, "Accuracy and Stability of Numerical Algorithms", 2002, theorem 24.2), and so does the way
    back. No frequency of a filter is greater than the sum of its magnitudes. A pair of tiles has no greater norm than
    twice the plane.
    """
    levels = 2 * (2 + 2 * math.log2(max(SIZES)))
    norms = 2 * np.sqrt((x.astype(float) ** 2).sum(axis=(2, 3)))
    sums = np.abs(w.astype(float)).sum(axis=(1, 2, 3))
    limit = (6 * levels + 8) * float(np.finfo(dtype).eps) * np.repeat(norms, len(w) // groups, axis=1) * sums
    shape = [n - k + 1 for n, k in zip(x.shape[2:], w.shape[2:], strict=True)]
    return np.broadcast_to(limit[..., None, None], (*limit.shape, *shape))


def expected(case: Case, _: object, x: Array, w: Array, bias: Array) -> tuple[Array, Array]:
    """Return the exact result, and by how much each of it may differ."""
    if "activation" not in case.options:
        return judged(case, bound, x, w, bias)
    options = {name: value for name, value in case.options.items() if name != "activation"}
    exact, limit = judged(case._replace(options=options), bound, x, w, bias)
    # No activation is steeper than 1.5.
    return exact * np.clip(exact + 3, 0, 6) / 6, 1.5 * limit + 4 * np.finfo(case.dtype).eps * np.abs(exact)


@pytest.mark.parametrize("name", CASES)
def test_layers(name: str) -> None:
    """Every result is within what rounding explains; an output full of NaN is overwritten, and nothing beside it."""
    case = CASES[name]
    x, w, bias = case.arrays()
    prepared, planes = made(case)
    exact, limit = expected(case, planes, x, w, bias)
    whole = np.full([n + 4 for n in exact.shape], np.nan, case.dtype)
    inside = tuple(slice(2, 2 + n) for n in exact.shape)
    for out in (np.full(exact.shape, np.nan, case.dtype), whole[inside]):
        result = prepared(x, out)
        assert result is out
        assert (np.abs(out - exact) <= limit).all(), float((np.abs(out - exact) / limit).max())
        assert np.abs(out - exact).max() <= 20 * np.finfo(case.dtype).eps * np.abs(exact).max()
    whole[inside] = np.nan
    assert np.isnan(whole).all()


def cut_as(problem: Problem, sizes: tuple[int, int], w: Array, threads: int = 1) -> PreparedPlanes:
    """Return a layer that is cut in a way."""
    direct = registry()["implicit"].offer(problem, host(), 1)
    decided = DecidedPlanes(problem, Planes(problem.geometry, sizes), host())
    return PreparedPlanes(ThreadedPlanes(decided, threads, direct), w, None)


@pytest.mark.parametrize(("rows", "columns"), one_in(2, [*zip(SIZES, SIZES, strict=True), (64, 96), (96, 64)]))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tiles_of_all_sizes(rows: int, columns: int, dtype: str) -> None:
    """What a delta gives is the image itself, moved, within its rounding; windows may be as large as tiles allow."""
    sizes, rng = (rows, columns), np.random.default_rng(rows)
    for less, more in ((15, 80), (23, 70)):  # tiles of 16 results, and of 24 at most: each has a vector of any CPU
        kernel = sizes[0] - 17, sizes[1] - less
        x = rng.integers(-4, 5, (1, 1, sizes[0] + 90, sizes[1] + more)).astype(dtype)
        w = np.zeros((1, 1, *kernel), dtype)
        w[0, 0, 5, 3], w[0, 0, -1, -1] = 1, -2
        problem = make_problem(x.shape, w.shape, x.dtype, w.dtype)
        out = np.full(problem.output_shape, np.nan, dtype)
        cut_as(problem, sizes, w)(x, out)
        height, width = out.shape[2:]
        exact = x[..., 5 : 5 + height, 3 : 3 + width] - 2 * x[..., -height:, -width:]
        assert np.abs(out - exact).max() <= 200 * np.finfo(dtype).eps


@pytest.mark.parametrize("shape", [(17, 16), (67, 90), (115, 87), (140, 150), (311, 290)])
def test_every_result_and_pixel_has_its_place(shape: tuple[int, int]) -> None:
    """A table against what it says, pixel by pixel: each result is written once, of the pixels of its window."""
    kernel, (top, left), sizes = (9, 12), (3, 5), (64, 96)
    problem = make_problem((1, 1, *shape), (1, 1, *kernel), np.dtype("f4"), np.dtype("f4"), padding=(top, left))
    planes = Planes(problem.geometry, sizes)
    rows, columns = problem.geometry.output_shape
    written = np.zeros((rows, columns), int)
    for values in planes.table((shape[1], 1), (columns, 1)).reshape(-1, len(PAIR_WORDS)):
        pair = dict(zip(PAIR_WORDS, values.tolist(), strict=True))
        for tile in "01":
            row, column = divmod(pair[f"results{tile}"], columns)
            height, width = pair[f"height{tile}"], pair["width"]
            assert 0 <= height <= sizes[0] - kernel[0] + 1
            assert 8 <= width <= sizes[1] - kernel[1] + 1
            written[row : row + height, column : column + width] += 1
            assert pair[f"pixels{tile}"] == (row - top) * shape[1] + column - left
            seen = [row - top + i for i in range(sizes[0])], [column - left + i for i in range(sizes[1])]
            ends = ("first_row" + tile, "last_row" + tile), ("first_column", "last_column")
            for places, (first, last), n in zip(seen, ends, shape, strict=True):
                inside = [i for i, place in enumerate(places) if 0 <= place < n]
                assert list(range(pair[first], pair[last])) == inside
    assert (written == 1).all()


def test_results_of_flagged_pairs() -> None:
    """Those of its two tiles."""
    problem = make_problem((1, 1, 150, 170), (1, 1, 11, 11), np.dtype("f4"), np.dtype("f4"))
    planes = Planes(problem.geometry, (64, 64))
    table = planes.table((170, 1), (160, 1))
    for place in np.ndindex(*planes.counts):
        flags = np.zeros((2, *planes.counts), bool)
        flags[(1, *place)] = True
        pair = dict(zip(PAIR_WORDS, table[place].tolist(), strict=True))
        right = np.zeros((2, 140, 160), bool)
        for tile in "01":
            row, column = divmod(pair[f"results{tile}"], 160)
            right[1, row : row + pair[f"height{tile}"], column : column + pair["width"]] = True
        np.testing.assert_array_equal(planes.map_of(flags), right)


@pytest.mark.parametrize("name", ["many tiles", "two filters a channel", "channels last", "reflected"])
def test_bits_depend_on_neither_threads_nor_batch_nor_strides(name: str) -> None:
    """Each image by itself, with any threads, from and to arrays that are not dense: the same bits."""
    case = CASES[name]
    x, w, bias = case.arrays()
    prepared = made(case)[0]
    whole = prepared(x)
    for threads in (1, 2, 3):
        assert made(case, threads=threads)[0](x).tobytes() == whole.tobytes()
    alone = [plan((1, *x.shape[1:]), w, bias, algorithm="fft", **case.options)(x[n : n + 1]) for n in range(len(x))]
    assert np.concatenate(alone).tobytes() == whole.tobytes()
    apart = np.zeros([2 * n for n in x.shape], x.dtype)[(slice(None, None, 2),) * x.ndim]
    apart[...] = x
    out = np.zeros([2 * n for n in whole.shape], x.dtype)[(slice(None, None, -2),) * x.ndim]
    for source, target in ((apart, None), (x, out), (x.astype(">f4"), None)):
        assert prepared(source, target).tobytes() == whole.tobytes()


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_infinities_stay_in_their_windows(layout: str, wrong: float) -> None:
    """A spectrum carries a pixel to all results of two tiles: one that is not finite is in those of its windows."""
    rng = np.random.default_rng(3)
    x, w = rng.standard_normal((2, 2, 133, 155)).astype("f4"), rng.standard_normal((2, 1, 11, 11)).astype("f4")
    places = [(0, 1, 0, 0), (1, 0, 70, 81), (1, 1, 132, 154)]
    covered = np.zeros((2, 2, 133, 155), bool)
    for n, c, row, column in places:
        x[n, c, row, column] = wrong
        covered[n, c, max(0, row - 5) : row + 6, max(0, column - 5) : column + 6] = True
    view = (0, 1, 2, 3) if layout == "NCHW" else (0, 2, 3, 1)
    shape = tuple(x.shape[i] for i in view)
    prepared = plan(shape, w, padding=5, groups=2, layout=layout, algorithm="fft", threads=2)
    result = prepared(np.ascontiguousarray(x.transpose(view))).transpose(np.argsort(view))
    assert (np.isfinite(result) == ~covered).all()
    exact = conv(np.where(np.isfinite(x), x, 0).astype(float), w.astype(float), padding=5, groups=2)
    near = 2e-6 * np.abs(exact).max()
    np.testing.assert_allclose(result[~covered], exact[~covered], rtol=0, atol=near)
    np.testing.assert_array_equal(np.isnan(result), np.isnan(conv(x, w, padding=5, groups=2, algorithm="explicit")))


def test_what_overflows_on_the_way_is_computed_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels whose sums leave float32 in a spectrum, but not in the definition, and weights that do."""
    x, w = np.full((1, 1, 79, 79), 2e38, "f4"), np.full((1, 1, 11, 11), 1e-9, "f4")
    x[..., ::2, :] *= -1
    for middle in (1, np.inf):
        w[0, 0, 5, 5] = middle
        np.testing.assert_array_equal(plan(x.shape, w, algorithm="fft")(x), conv(x, w, algorithm="implicit"))
    monkeypatch.setattr(prepared_planes, "mend", lambda *_: None)
    w[0, 0, 5, 5] = 1
    assert not np.isfinite(plan(x.shape, w, algorithm="fft")(x)).all(), "nothing overflows"


def test_one_tile_of_a_pair_that_is_not_finite() -> None:
    """The other one's results are those of finite pixels, and nothing of a call is left for the next one."""
    rng = np.random.default_rng(4)
    x, w = rng.standard_normal((100, 60)).astype("f4"), rng.standard_normal((11, 11)).astype("f4")
    prepared = plan(x.shape, w[None, None], algorithm="fft")
    right = prepared(x)
    x[-1, -1] = np.nan
    result = prepared(x)
    assert np.isnan(result[-1, -1])
    np.testing.assert_allclose(result[:-1], right[:-1], rtol=0, atol=2e-6 * np.abs(right).max())
    x[-1, -1] = 0
    assert np.isfinite(prepared(x)).all()


@pytest.mark.parametrize("taps", [10, 15, 31])
@pytest.mark.parametrize("kind", PIXELS)
def test_precision_is_as_promised(kind: str, taps: int) -> None:
    """The rms error of tiles of every size is at most twice that of a plain sum; the greatest is small."""
    rng = np.random.default_rng(taps)
    x = rng.standard_normal((1, 1, 100, 100)).astype("f4")
    if kind == "after relu":
        x = np.maximum(x, 0)
    if kind == "alternating":  # differences of neighbours are large in every transform
        x = np.abs(x) * np.where(np.add.outer(range(100), range(100)) % 2, 1, -1).astype("f4")
    for w in (rng.standard_normal((1, 1, taps, taps)).astype("f4"), np.full((1, 1, taps, taps), 0.1, "f4")):
        exact = conv(x.astype(float), w.astype(float), algorithm="explicit")
        plain = np.sqrt(np.mean((plain_sum(x, w) - exact) ** 2))
        problem = make_problem(x.shape, w.shape, x.dtype, w.dtype)
        for size in SIZES:
            if size >= taps + 15:
                out = np.empty(problem.output_shape, x.dtype)
                cut_as(problem, (size, size), w)(x, out)
                assert np.sqrt(np.mean((out - exact) ** 2)) <= 2 * plain
                assert np.abs(out - exact).max() <= 2e-6 * np.abs(exact).max()


def test_what_is_chosen() -> None:
    """Large kernels of full rank on images, for plans and for calls, unless windows may not mix; cycles decide."""
    rng = np.random.default_rng(5)
    image, kernel = rng.standard_normal((400, 400)).astype("f4"), rng.standard_normal((31, 31)).astype("f4")
    prepared = plan(image.shape, kernel[None, None], padding=15)
    assert prepared.algorithm == "fft"
    assert "→ fft        pairs of tiles of " in str(prepared)
    assert prepared.workspace_bytes < 16e6
    given = kernel[None, None]
    assert plan(image.shape, given, padding=15, precision="strict").algorithm == "implicit"
    assert plan(image.shape, given[..., :7, :7], padding=3).algorithm == "implicit"
    assert plan((40, 40), given, padding=15).algorithm == "implicit"
    assert plan(image.shape, np.outer(kernel[0], kernel[1])[None, None], padding=15).algorithm == "separable"
    assert conv2d(image, kernel, padding=15).tobytes() == prepared(image).tobytes()


def test_sums_of_few_terms_are_summed() -> None:
    """Weights that are 0 round nothing: of a line in a large kernel plain sums are more exact."""
    line, spread = np.zeros((1, 1, 41, 41), "f4"), np.ones((1, 1, 41, 41), "f4")
    line[..., range(41), [i * 2 // 3 for i in range(41)]] = 1 / 41
    spread[..., ::2, 1::3] = np.pi
    for w, algorithm in ((line, "implicit"), (spread, "fft"), (np.concatenate([line, spread]), "implicit")):
        assert plan((1, 500, 500), w, padding=20).algorithm == algorithm
    assert plan((1, 500, 500), line, padding=20, precision="fast").algorithm == "implicit"


def test_maps_narrower_than_a_vector() -> None:
    """They have no planes: small kernels have other tiles by name, and nobody takes them unasked."""
    rng = np.random.default_rng(6)
    x, w = rng.standard_normal((1, 1, 150, 14)).astype("f4"), rng.standard_normal((1, 1, 11, 11)).astype("f4")
    exact = conv(x.astype(float), w.astype(float), algorithm="explicit")
    prepared = plan(x.shape, w, algorithm="fft")
    assert "→ fft        tiles of " in str(prepared)
    np.testing.assert_allclose(prepared(x), exact, rtol=0, atol=2e-6 * np.abs(exact).max())
    assert plan(x.shape, w).algorithm == "implicit"


def test_tiles_of_other_sizes_are_offered_to_tuning() -> None:
    """Each is a way of its own, in the order of cycles."""
    shapes, dtypes = ((1, 1, 300, 300), (1, 1, 31, 31)), (np.dtype("f4"), np.dtype("f4"))
    problem = make_problem(*shapes, *dtypes, prepared=True, kernel_terms=31 * 31)
    offer = registry()["fft"].offer(problem, host(), 1)
    assert offer.others is not None
    found = [offer, *offer.others()]
    assert len({each.way for each in found}) == len(found) == len(decide.possible(problem, 8))
    assert all(a.cycles <= b.cycles for a, b in itertools.pairwise(found))


@pytest.mark.parametrize(
    ("kernel", "options", "why"),
    [
        ((31, 31), {"stride": 2}, "windows of a stride or a dilation share no products"),
        (
            (31, 31),
            {"precision": "strict"},
            "kernels of 2 to 16 taps along an axis have transforms, not of (31, 31); larger ones of single channels "
            "have, with 100 weights that are not 0, where the precision is not 'strict'",
        ),
        ((300, 300), {}, "no tiles of up to 256×256 pixels are for kernels of (300, 300) and maps of (51, 51)"),
    ],
)
def test_who_asks_for_frequencies_is_told_why_there_are_none(
    kernel: tuple[int, int], options: dict[str, Any], why: str
) -> None:
    """By name, with the rule and the way out."""
    x, w = np.ones((1, 1, 350, 350), "f4"), np.ones((1, 1, *kernel), "f4")
    with raises_exactly(ArgumentError, f"conv: algorithm 'fft' cannot solve this: {why}; use algorithm='auto'"):
        conv(x, w, algorithm="fft", **options)


@pytest.mark.parametrize(
    ("name", "dtype"), one_in(4, [*((name, "f4") for name in NAMED), ("zen3", "f8"), ("sse2", "f8")])
)
def test_kernels_for_every_cpu(name: str, dtype: str) -> None:
    """LLVM takes and compiles them for CPUs that are not here."""
    target = NAMED[name]
    spec = PlaneKernel(dtype, target.vector_bytes // int(dtype[1]), (64, 64), Epilogue(dtype, dtype, True))
    assert plane_kernel(spec).name in assembly(plane_kernel(spec), target)


def test_kernels_are_compiled_in_a_second() -> None:
    """The code of the largest tiles is bounded."""
    largest = PlaneKernel("f4", 8, (256, 256), Epilogue("f4", "f4", True, "silu"))
    assert plane_kernel(largest).ir(NAMED["zen3"]).count("\n") < 4500


def planes_against_forbidden_pages(third: int) -> None:
    """Convolve where a byte too much is the end of the process."""
    assert_within_pages(CASES, partial(made), expected, third)


@pytest.mark.parametrize("third", one_in(3, range(3)))
def test_no_byte_beside_the_arrays_is_touched(third: int) -> None:
    """What lies before and behind image and result is forbidden."""
    run_alone("test_planes", f"planes_against_forbidden_pages({third})")


@pytest.mark.parametrize("side", [120, 300])
@pytest.mark.parametrize("once", [True, False])
def test_a_line_in_a_large_kernel_is_not_transformed(side: int, once: bool) -> None:
    """Its few terms are summed, however small the map is: a spectrum would round more than they do."""
    rng, kernel = np.random.default_rng(side), np.zeros((1, 1, 63, 63), "f4")
    kernel[0, 0, 15, :15] = rng.standard_normal(15)
    image = rng.standard_normal((1, 1, side, side)).astype("f4")
    result = conv(image, kernel) if once else plan(image.shape, kernel)(image)
    exact = signal.oaconvolve(image[0, 0].astype(float), kernel[0, 0, ::-1, ::-1].astype(float), "valid")
    plain = plain_sum(image, kernel)[0, 0]
    error, loop = (np.sqrt(np.mean((each - exact) ** 2)) for each in (result[0, 0], plain))
    assert error <= 2 * loop
