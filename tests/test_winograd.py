"""Winograd's algorithm: exact transforms, results within derived bounds, precision as promised."""

from __future__ import annotations

import math
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from im2col import ArgumentError, conv, plan, plan_input_gradient
from im2col.algorithms.tiled.cycles import Blocks
from im2col.algorithms.tiled.decide import Cut, Decision, admitted
from im2col.algorithms.tiled.prepared import PreparedTiles
from im2col.algorithms.tiled.tiling import Tiling, tiles_of
from im2col.algorithms.winograd.along_axes import FAMILY, SIZES, AlongAxes
from im2col.algorithms.winograd.cook_toom import Transform, transform
from im2col.algorithms.winograd.linear import instructions, multiplied
from im2col.engine.target import NAMED
from im2col.spec.geometry import Geometry
from im2col.spec.problem import make_problem

from .kit.outcomes import raises_exactly
from .kit.processes import run_alone
from .kit.selection import one_in
from .kit.targets import assembly
from .kit.tiles import (
    THIRDS,
    Case,
    Counting,
    Typed,
    assert_precise,
    assert_within_pages,
    bound,
    convolving,
    judged,
    lines_of,
    planned,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .kit.memory import Array

EVERY = [transform(m, r) for r, sizes in SIZES.items() for m in sizes if m + r <= 9]


@pytest.mark.parametrize("t", EVERY, ids=lambda t: f"F({t.m}, {t.r})")
def test_transforms_are_exact(t: Transform) -> None:
    """In fractions, outputs are those of the definition, also for numbers far from 1."""
    pixels = [Fraction(7 * i * i - 50 * i + 3, i + 1) for i in range(t.size)]
    taps = [Fraction(11 - 4 * i, 3) for i in range(t.r)]
    values = [sum(a * d for a, d in zip(row, pixels, strict=True)) for row in t.image]
    weights = [sum(a * g for a, g in zip(row, taps, strict=True)) for row in t.weights]
    products = [a * b for a, b in zip(values, weights, strict=True)]
    results = [sum(a * p for a, p in zip(row, products, strict=True)) for row in t.result]
    assert results == [sum(pixels[i + j] * taps[j] for j in range(t.r)) for i in range(t.m)]


@pytest.mark.parametrize(
    ("m", "r", "growth"),
    [(2, 3, 0.56), (3, 3, 0.87), (4, 3, 1.59), (5, 3, 3.2), (6, 3, 6.9), (2, 5, 1.07), (4, 5, 3.8)],
)
def test_rounding_grows_as_is_known(m: int, r: int, growth: float) -> None:
    """Two axes' law is what simulations of these points gave."""
    assert transform(m, r).error ** 2 == pytest.approx(growth, rel=0.01)


@pytest.mark.parametrize("t", EVERY, ids=lambda t: f"F({t.m}, {t.r})")
def test_which_windows_mix(t: Transform) -> None:
    """All do but those of two results with 0 among the points, as is known."""
    assert t.mixes == (t.m > 2)


@pytest.mark.parametrize("t", EVERY, ids=lambda t: f"F({t.m}, {t.r})")
def test_matrices_are_multiplied_in_few_instructions(t: Transform) -> None:
    """Symmetry changes no value; the instructions are those that the model counts, fewer than the factors."""
    for matrix in (t.image, t.result):
        b: Any = Counting()
        values = np.random.default_rng(1).standard_normal(len(matrix[0]))
        found = [float(v) for v in multiplied(b, matrix, [Typed(v) for v in values], True)]
        np.testing.assert_allclose(found, np.array(matrix, float) @ values, rtol=1e-12, atol=1e-12)
        assert b.count == instructions(matrix)
        assert b.count <= sum(factor != 0 for row in matrix for factor in row)


CASES = {
    "one tile": Case((1, 8, 4, 4), 8, (3, 3), {}),
    "less than a tile": Case((1, 8, 3, 2), 8, (3, 3), {"padding": 1}),
    "less than a tile, channels last": Case((2, 2, 3, 8), 8, (3, 3), {"padding": 1, "layout": "NHWC"}),
    "odd channels and filters": Case((2, 11, 13, 9), 13, (3, 3), {"padding": 1}),
    "channels last": Case((2, 9, 14, 24), 16, (3, 3), {"padding": 1, "layout": "NHWC"}),
    "channels last, odd": Case((1, 7, 8, 13), 5, (3, 3), {"padding": (2, 0), "layout": "NHWC"}),
    "no batch": Case((16, 12, 12), 16, (3, 3), {"padding": "same", "layout": "CHW"}),
    "groups": Case((1, 24, 10, 11), 12, (3, 3), {"padding": 1, "groups": 3}),
    "groups, channels last": Case((1, 10, 11, 24), 18, (3, 3), {"padding": 1, "groups": 2, "layout": "NHWC"}),
    "uneven padding": Case((1, 8, 9, 9), 8, (3, 3), {"padding": ((0, 3), (5, 1))}),
    "5×5": Case((1, 20, 11, 12), 9, (5, 5), {"padding": 2}),
    "3×5": Case((1, 8, 11, 12), 9, (3, 5), {"padding": 2}),
    "3×1": Case((1, 8, 11, 12), 9, (3, 1), {}),
    "1-d": Case((3, 8, 40), 9, (3,), {"padding": "causal"}),
    "1-d, 5 taps, channels last": Case((2, 31, 8), 8, (5,), {"padding": 2, "layout": "NWC"}),
    "3-d": Case((1, 8, 5, 6, 7), 8, (3, 3, 3), {"padding": 1}),
    "flipped": Case((1, 8, 9, 9), 8, (3, 3), {"flip": True}),
    "relu": Case((1, 8, 9, 9), 8, (3, 3), {"activation": "relu", "padding": 1}),
    "reflected": Case((2, 8, 9, 9), 8, (3, 3), {"padding": 2, "padding_mode": "reflect"}),
    "wrapped along one axis": Case((1, 8, 9, 9), 8, (3, 3), {"padding": 1, "padding_mode": {"W": "wrap"}}),
    "padded with 3": Case((1, 8, 9, 9), 8, (3, 3), {"padding": 1, "padding_value": 3.0}),
    "float64": Case((1, 5, 9, 9), 6, (3, 3), {"padding": 1}, "float64"),
    "many blocks": Case((3, 64, 40, 38), 64, (3, 3), {"padding": 1}),
    "many blocks, channels last": Case((3, 40, 38, 64), 64, (3, 3), {"padding": 1, "layout": "NHWC"}),
}


def made(case: Case, **options: Any) -> tuple[Any, tuple[Transform, ...]]:
    """Return a plan of tiles, and the transforms that it has."""
    prepared, tiles = planned(case, "winograd", **options)
    return prepared, tiles.axes


def expected(case: Case, transforms: Sequence[Transform], x: Array, w: Array, bias: Array) -> tuple[Array, Array]:
    """Return the exact result, of float64 and BLAS, and by how much each of it may differ."""
    return judged(case, partial(bound, transforms=transforms), x, w, bias)


@pytest.mark.parametrize("precision", ["strict", "native", "fast"])
@pytest.mark.parametrize("name", CASES)
def test_layers(name: str, precision: str) -> None:
    """Every result is within what rounding explains; an output full of NaN is overwritten, and nothing beside it."""
    case = CASES[name]
    x, w, bias = case.arrays()
    problem = make_problem(x.shape, w.shape, x.dtype, w.dtype, precision=precision, **case.options)
    if not admitted(problem, FAMILY):  # of few channels, or of 5 taps
        assert precision == "strict"
        with pytest.raises(ArgumentError, match=r"no transform for .* is as exact as the precision 'strict'"):
            made(case, precision=precision)
        return
    prepared, transforms = made(case, precision=precision)
    exact, limit = expected(case, transforms, x, w, bias)
    whole = np.full([n + 4 for n in exact.shape], np.nan, case.dtype)
    inside = tuple(slice(2, 2 + n) for n in exact.shape)
    for out in (np.full(exact.shape, np.nan, case.dtype), whole[inside]):
        result = prepared(x, out)
        assert result is out
        assert (np.abs(out - exact) <= limit).all(), float((np.abs(out - exact) / limit).max())
    whole[inside] = np.nan
    assert np.isnan(whole).all()


@pytest.mark.parametrize("layout", ["NCW", "NWC"])
@pytest.mark.parametrize("m", SIZES[3])
def test_maps_of_all_sizes(m: int, layout: str) -> None:
    """Maps of 1 to 2 T positions: tiles that reach over the end keep what is in the map."""
    t = transform(m, 3)
    for n in range(1, 2 * t.size + 1):
        case = Case((1, 8, n + 2) if layout == "NCW" else (1, n + 2, 8), 8, (3,), {"layout": layout})
        x, w, bias = case.arrays()
        exact, limit = expected(case, (t,), x, w, bias)
        assert (np.abs(by_size(case, (m,), most=3)(x) - exact) <= limit).all(), n


@pytest.mark.parametrize(("height", "width"), [(1, 1), (4, 2), (5, 9), (2, 5)])
def test_maps_that_no_tiles_fill(height: int, width: int) -> None:
    """The same in two directions."""
    case, t = Case((2, 8, height + 2, width + 2), 8, (3, 3), {}), transform(4, 3)
    x, w, bias = case.arrays()
    exact, limit = expected(case, (t, t), x, w, bias)
    assert (np.abs(by_size(case, (4, 4), most=3)(x) - exact) <= limit).all()


@pytest.mark.parametrize("most", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("shape", [(3, 3), (12, 9), (35, 18)])
def test_blocks_are_counted_as_they_are_cut(shape: tuple[int, int], most: int) -> None:
    """How many blocks have how many tiles, and see how many pixels, is told before there is any."""
    geometry = Geometry(shape, (3, 3), (1, 1), ((1, 0), (2, 1)), (1, 1))
    tiling = Tiling(geometry, AlongAxes((transform(4, 3), transform(2, 3))), 3)
    blocks = tiling.boxes(most)
    assert tiling.box_sizes(most) == Counter(map(tiles_of, blocks))
    seen = max(tiles_of(tiling.pixels(block)) for block in blocks)
    assert seen <= tiling.most_pixels(most) <= math.prod((3, *shape))
    if most == 1 and min(shape) > 9:
        assert seen == 6 * 4 == tiling.most_pixels(most)


def test_pieces_of_filters() -> None:
    """Blocks that are multiplied with some filters at a time give the same bits, a last piece that is smaller too."""
    for case in (Case((2, 8, 9, 9), 75, (3, 3), {}), Case((2, 9, 9, 8), 75, (3, 3), {"layout": "NHWC"})):
        x, _, _ = case.arrays()
        whole = by_size(case, (4, 4), most=3)(x)
        assert by_size(case, (4, 4), most=3, piece=32)(x).tobytes() == whole.tobytes()


def test_what_overflows_in_one_piece_of_the_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tile is computed directly for the sake of any of its filters: the last ones do not forget the first."""
    x, w = np.full((1, 16, 9, 9), 1e37, "f4"), np.zeros((75, 16, 3, 3), "f4")
    x[..., ::2, :] *= -1
    w[:, 0, 1, 1] = 1e-3
    w[0, 0, 1, 1] = 33
    case = Case(x.shape, 75, (3, 3), {})
    exact = conv(x, w, algorithm="implicit")
    assert np.isfinite(exact).all()
    found = by_size(case, (4, 4), most=3, piece=32, weights=w)(x)
    np.testing.assert_array_equal(found[:, 0], exact[:, 0])
    np.testing.assert_allclose(found, exact, rtol=1e-5)
    monkeypatch.setattr(PreparedTiles, "_mend", lambda *_: None)
    left = by_size(case, (4, 4), most=3, piece=32, weights=w)(x)
    assert not np.isfinite(left[:, 0]).all(), "nothing overflows"
    assert np.isfinite(left[:, 1:]).all()


def by_size(case: Case, m: Sequence[int], most: int, piece: int | None = None, weights: Array | None = None) -> Any:
    """Return a function of an image: the layer with tiles of this size, in blocks of at most so many."""
    tiles = AlongAxes(tuple(transform(n, r) for n, r in zip(m, case.kernel, strict=True)))
    return convolving(case, tiles, most, piece, weights)


@pytest.mark.parametrize("name", one_in(2, ["many blocks", "many blocks, channels last", "groups", "3-d", "reflected"]))
def test_bits_depend_on_neither_threads_nor_batch_nor_strides(name: str) -> None:
    """Each image by itself, with any threads, from and to arrays that are not dense: the same bits."""
    case = CASES[name]
    x, w, bias = case.arrays()
    whole = made(case)[0](x)
    for threads in (1, 2, 3):
        assert made(case, threads=threads)[0](x).tobytes() == whole.tobytes()
    alone = [
        plan((1, *x.shape[1:]), w, bias, algorithm="winograd", **case.options)(x[n : n + 1]) for n in range(len(x))
    ]
    assert np.concatenate(alone).tobytes() == whole.tobytes()
    apart = np.zeros([2 * n for n in x.shape], x.dtype)[(slice(None, None, 2),) * x.ndim]
    apart[...] = x
    out = np.zeros([2 * n for n in whole.shape], x.dtype)[(slice(None, None, -2),) * x.ndim]
    prepared = made(case)[0]
    for source, target in ((apart, None), (x, out), (x.astype(">f4"), None), (np.asfortranarray(x), None)):
        assert prepared(source, target).tobytes() == whole.tobytes()


@pytest.mark.parametrize("precision", ["strict", "native", "fast"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_infinities_stay_in_their_windows(layout: str, precision: str, wrong: float) -> None:
    """An infinite pixel, or one that is no number, is in the results whose windows cover it, and in no other."""
    rng = np.random.default_rng(3)
    x, w = rng.standard_normal((2, 16, 23, 25)).astype("f4"), rng.standard_normal((16, 16, 3, 3)).astype("f4")
    places = [(0, 3, 0, 0), (1, 5, 11, 13), (1, 15, 22, 24)]
    for place in places:
        x[place] = wrong
    covered = np.zeros((2, 1, 23, 25), bool)
    for n, _, row, column in places:
        covered[n, :, max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = True
    view = (0, 1, 2, 3) if layout == "NCHW" else (0, 2, 3, 1)
    prepared = plan(
        tuple(x.shape[i] for i in view), w, padding=1, layout=layout, algorithm="winograd", precision=precision
    )
    result = prepared(np.ascontiguousarray(x.transpose(view))).transpose(np.argsort(view))
    assert (np.isfinite(result) == ~np.broadcast_to(covered, result.shape)).all()
    finite = np.where(np.isfinite(x), x, 0).astype(float)
    exact = conv(finite, w.astype(float), padding=1)
    near = 2e-5 * np.abs(exact).max()
    np.testing.assert_allclose(result[np.isfinite(result)], exact[np.isfinite(result)], rtol=0, atol=near)
    np.testing.assert_array_equal(np.isnan(result), np.isnan(conv(x, w, padding=1, algorithm="explicit")))


def test_what_overflows_on_the_way_is_computed_directly() -> None:
    """Pixels whose sums leave float32 in a transform, but not in the definition, and weights that do."""
    x, w = np.full((1, 16, 9, 9), 2e38, "f4"), np.zeros((16, 16, 3, 3), "f4")
    x[..., ::2, :] *= -1
    w[:, 0, 1, 1] = 1
    assert np.array_equal(plan(x.shape, w, algorithm="winograd")(x), np.repeat(x[:, :1, 1:-1, 1:-1], 16, 1))
    w[3, 0, 1, 1] = np.inf
    result = plan(x.shape, w, algorithm="winograd")(x)
    assert np.array_equal(result[:, :3], np.repeat(x[:, :1, 1:-1, 1:-1], 3, 1))
    np.testing.assert_array_equal(result, conv(x, w, algorithm="implicit"))


@pytest.mark.parametrize(("channels", "kernel"), [(16, 3), (64, 3), (32, 5)])
@pytest.mark.parametrize("third", THIRDS)
def test_precision_is_as_promised(third: int, channels: int, kernel: int) -> None:
    """The rms error against a plain sum's: at most 1, 2; and 2e-5 of the greatest result."""
    assert_precise(FAMILY, channels, kernel, third)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"stride": 2}, "windows of a stride or a dilation share no products"),
        ({"dilation": 2}, "windows of a stride or a dilation share no products"),
        ({"kernel": (1, 1)}, "kernels of 3 and 5 taps along an axis have transforms, not of (1, 1)"),
        ({"kernel": (3, 4)}, "kernels of 3 and 5 taps along an axis have transforms, not of (3, 4)"),
        ({"dtype": "int32"}, "tiles are made of float32 or float64 alone, as image, weights and result"),
        ({"dtype": "float16"}, "tiles are made of float32 or float64 alone, as image, weights and result"),
        (
            {"kernel": (5, 5), "precision": "strict"},
            "no transform for kernels of (5, 5) and 4 channels "
            "is as exact as the precision 'strict'; 'fast' admits some",
        ),
    ],
)
def test_who_asks_for_tiles_is_told_why_there_are_none(options: dict[str, Any], why: str) -> None:
    """By name, with the rule, the values and the way out."""
    options = dict(options)
    kernel, dtype = options.pop("kernel", (3, 3)), options.pop("dtype", "float32")
    x, w = np.ones((1, 4, 9, 9), dtype), np.ones((4, 4, *kernel), dtype)
    with raises_exactly(ArgumentError, f"conv: algorithm 'winograd' cannot solve this: {why}; use algorithm='auto'"):
        conv(x, w, algorithm="winograd", **options)


def test_kernels_are_compiled_in_a_second() -> None:
    """What a plan compiles is bounded, whatever the axes: tiles get smaller, or there are none."""
    for shape, kernel in (((1, 33, 9, 10, 11), (3, 3, 3)), ((1, 64, 57, 58), (5, 5)), ((1, 33, 50), (5,))):
        kind = np.dtype("f4")
        problem = make_problem(shape, (31, shape[1], *kernel), kind, kind, precision="fast", prepared=True)
        assert lines_of("winograd", problem) < 13000
    four = np.ones((16, 16, 3, 3, 3, 3), "f4")
    why = "tiles for kernels of (3, 3, 3, 3) take more code than is compiled"
    with raises_exactly(ArgumentError, f"plan: algorithm 'winograd' cannot solve this: {why}; use algorithm='auto'"):
        plan((1, 16, 5, 6, 7, 8), four, algorithm="winograd")
    assert plan((1, 16, 5, 6, 7, 8), four).algorithm == "implicit"


def test_a_wrong_precision() -> None:
    """It is named, with those that there are."""
    message = "conv: precision must be 'strict' or 'native' or 'fast', got 'exact'"
    with raises_exactly(ArgumentError, message):
        conv(np.ones((1, 4, 9, 9)), np.ones((4, 4, 3, 3)), precision="exact")  # type: ignore[arg-type]  # that is the test


def test_plans_alone_are_made_of_tiles_unasked() -> None:
    """Filters take long to transform: a plan does it once, a call would each time."""
    x, w = np.ones((1, 64, 56, 56), "f4"), np.ones((64, 64, 3, 3), "f4")
    prepared = plan(x.shape, w, padding=1)
    assert prepared.algorithm == "winograd"
    assert "→ winograd   tiles of 4×4 results" in str(prepared)
    assert plan(x.shape, w, padding=1, stride=2).algorithm == "implicit"
    assert plan((1, 2, 56, 56), np.ones((64, 2, 3, 3), "f4"), padding=1).algorithm == "implicit"
    direct = conv(x, w, padding=1, algorithm="implicit")
    assert conv(x, w, padding=1).tobytes() == direct.tobytes()


def test_several_threads_at_once() -> None:
    """Each has memory of its own for tiles and products."""
    case = CASES["many blocks"]
    x, _, _ = case.arrays()
    images = [x + n for n in range(4)]
    prepared = made(case, threads=1)[0]
    alone = [prepared(image).tobytes() for image in images]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            assert [found.tobytes() for found in pool.map(prepared, images)] == alone


def test_gradients_by_tiles() -> None:
    """An image's gradient of a 3×3 layer is a 3×3 layer, the adjoint: <conv(x), g> = <x, adjoint(g)>."""
    rng = np.random.default_rng(5)
    x, w, g = (rng.standard_normal(s).astype("f4") for s in ((1, 16, 12, 12), (24, 16, 3, 3), (1, 24, 12, 12)))
    adjoint = plan_input_gradient(x.shape, w, padding=1, algorithm="winograd")
    assert adjoint.algorithm == "winograd"
    result = adjoint(g)
    assert float((conv(x, w, padding=1) * g).sum()) == pytest.approx(float((x * result).sum()), rel=1e-4)


@pytest.mark.parametrize(("m", "layout"), [(4, "NCHW"), (6, "NHWC")])
@pytest.mark.parametrize("name", one_in(3, NAMED))
def test_kernels_for_every_cpu(name: str, m: int, layout: str) -> None:
    """LLVM takes and compiles them for CPUs that are not here."""
    case, target = CASES["odd channels and filters"], NAMED[name]
    x, w, _ = case.arrays()
    shape = x.shape if layout == "NCHW" else (2, 13, 9, 11)
    problem = make_problem(shape, w.shape, x.dtype, w.dtype, has_bias=True, padding=1, layout=layout)
    tiling = Tiling(problem.geometry, AlongAxes((transform(m, 3),) * 2), 2)
    decision = Decision(problem, target, Cut(tiling, Blocks(4, problem.group_filters)))
    for kernel in (decision.into, *(decision.out_of(kept, len(w)) for kept in tiling.kept())):
        assert kernel.name in assembly(kernel, target)


def tiles_against_forbidden_pages(third: int) -> None:
    """Convolve where a byte too much is the end of the process."""
    assert_within_pages(CASES, made, expected, third)


@pytest.mark.parametrize("third", one_in(3, range(3)))
def test_no_byte_beside_the_arrays_is_touched(third: int) -> None:
    """What lies before and behind image and result is forbidden."""
    run_alone("test_winograd", f"tiles_against_forbidden_pages({third})")
