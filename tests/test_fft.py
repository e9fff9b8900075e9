"""Convolution by spectra of tiles: exact butterflies, results within derived bounds, precision as promised."""

from __future__ import annotations

import itertools
import math
from functools import partial
from typing import Any

import numpy as np
import pytest

from im2col import ArgumentError, conv, plan, plan_input_gradient
from im2col.algorithms import registry
from im2col.algorithms.fft.butterflies import both_spectra, both_transposed, instructions, spectrum, transposed
from im2col.algorithms.fft.passes import elements
from im2col.algorithms.fft.spectra import FAMILY, SIZES, Spectra
from im2col.algorithms.tiled.cycles import Blocks
from im2col.algorithms.tiled.decide import Cut, Decision, admitted
from im2col.algorithms.tiled.prepared import PreparedTiles
from im2col.algorithms.tiled.tiling import Tiling
from im2col.engine.target import NAMED, host
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
    convolving,
    judged,
    lines_of,
    planned,
    spectral_bound,
)

FLOAT = np.dtype("f4")
LENGTHS = sorted({1, 2, 3, 4, 5, 6, 7, 9, 14, 15, 18, *SIZES})


def numbers(n: int, seed: int) -> list[Any]:
    """Return some numbers with a type."""
    return [Typed(v) for v in np.random.default_rng(seed).standard_normal(n)]


@pytest.mark.parametrize("n", LENGTHS)
def test_spectra_are_those_of_the_definition(n: int) -> None:
    """By NumPy, whose exponents are negative; in as many instructions as the model counts."""
    b: Any = Counting()
    x = numbers(n, n)
    found = np.array(spectrum(b, x, True))
    exact = np.conj(np.fft.rfft(x))
    half = (n - 1) // 2
    np.testing.assert_allclose(found[: n // 2 + 1], exact.real, rtol=0, atol=1e-14 * n)
    np.testing.assert_allclose(found[: n // 2 : -1], exact.imag[1 : half + 1], rtol=0, atol=1e-14 * n)
    assert b.count == instructions(n)[0]


@pytest.mark.parametrize("n", LENGTHS)
def test_the_way_back_is_the_transpose(n: int) -> None:
    """Of the matrix that the way there is, column by column."""
    b: Any = Counting()
    there = np.array([spectrum(b, [Typed(v) for v in row], True) for row in np.eye(n)]).T
    b.count = 0
    x = numbers(n, n)
    np.testing.assert_allclose(transposed(b, x, True), there.T @ np.array(x), rtol=0, atol=1e-14 * n)
    assert b.count == instructions(n)[1]


@pytest.mark.parametrize("n", LENGTHS)
def test_spectra_of_complex_numbers(n: int) -> None:
    """The definition's, and there and back is n times what there was."""
    b: Any = Counting()
    re, im = numbers(n, 1), numbers(n, 2)
    found = both_spectra(b, re, im, True)
    exact = n * np.fft.ifft(np.array(re) + 1j * np.array(im))
    np.testing.assert_allclose(found, (exact.real, exact.imag), rtol=0, atol=1e-14 * n)
    np.testing.assert_allclose(both_transposed(b, *found, True), (n * np.array(re), n * np.array(im)), atol=1e-13 * n)


@pytest.mark.parametrize("sizes", [(8,), (9,), (16, 16), (12, 10), (8, 1), (1, 8), (9, 15), (8, 10, 12)])
def test_as_many_elements_as_numbers_of_a_spectrum(sizes: tuple[int, ...]) -> None:
    """Real frequencies count once, pairs of complex ones three times."""
    mirrored = itertools.product(*map(range, sizes))
    real = sum(all(2 * k % n == 0 for k, n in zip(each, sizes, strict=True)) for each in mirrored)
    count = real + 3 * (math.prod(sizes) - real) // 2
    assert elements(sizes) == count
    tiles = Spectra(sizes, (1,) * len(sizes))
    assert tiles.elements == count
    assert tiles.of_filters(np.ones((2, *tiles.taps))).shape == (2, count)


CASES = {
    "one tile": Case((1, 8, 8, 8), 8, (5, 5), {}),
    "less than a tile": Case((1, 8, 5, 3), 8, (5, 5), {"padding": 2}),
    "odd channels and filters": Case((2, 11, 23, 19), 13, (5, 5), {"padding": 2}),
    "channels last": Case((2, 9, 14, 24), 16, (7, 7), {"padding": 3, "layout": "NHWC"}),
    "channels last, odd": Case((1, 17, 28, 13), 5, (3, 3), {"padding": (2, 0), "layout": "NHWC"}),
    "no batch": Case((16, 12, 12), 16, (4, 4), {"padding": "same", "layout": "CHW"}),
    "groups": Case((1, 24, 20, 21), 12, (5, 5), {"padding": 1, "groups": 3}),
    "groups, channels last": Case((1, 20, 21, 24), 18, (3, 3), {"padding": 1, "groups": 2, "layout": "NHWC"}),
    "uneven padding": Case((1, 8, 9, 9), 8, (9, 9), {"padding": ((0, 6), (5, 4))}),
    "11×11": Case((1, 8, 31, 40), 9, (11, 11), {"padding": 5}),
    "3×7": Case((1, 8, 21, 32), 9, (3, 7), {"padding": 2}),
    "5×1": Case((1, 8, 31, 12), 9, (5, 1), {}),
    "1×16": Case((1, 8, 5, 40), 9, (1, 16), {}),
    "1-d": Case((3, 8, 140), 9, (9,), {"padding": "causal"}),
    "1-d, channels last": Case((2, 61, 8), 8, (6,), {"padding": 2, "layout": "NWC"}),
    "3-d": Case((1, 8, 9, 12, 7), 8, (3, 3, 3), {"padding": 1}),
    "4-d": Case((1, 8, 5, 6, 7, 9), 8, (3, 3, 3, 3), {"padding": 1}),
    "3-d, an axis of one tap": Case((1, 8, 4, 12, 13), 8, (1, 5, 3), {"padding": 1}),
    "flipped": Case((1, 8, 19, 19), 8, (5, 5), {"flip": True}),
    "hardswish": Case((1, 8, 19, 19), 8, (5, 5), {"activation": "hardswish", "padding": 2}),
    "reflected": Case((2, 8, 19, 19), 8, (5, 5), {"padding": 2, "padding_mode": "reflect"}),
    "padded with 3": Case((1, 8, 19, 19), 8, (5, 5), {"padding": 2, "padding_value": 3.0}),
    "float64": Case((1, 5, 19, 19), 6, (5, 5), {"padding": 2}, "float64"),
    "float64, 3-d": Case((1, 5, 9, 8, 7), 6, (3, 3, 3), {"padding": 1}, "float64"),
    "many blocks": Case((3, 64, 60, 58), 64, (5, 5), {"padding": 2}),
    "many blocks, channels last": Case((3, 60, 58, 64), 64, (5, 5), {"padding": 2, "layout": "NHWC"}),
}


def expected(case: Case, tiles: Spectra, x: Any, w: Any, bias: Any) -> tuple[Any, Any]:
    """Return the exact result, and by how much each of it may differ."""
    if "activation" not in case.options:
        return judged(case, partial(spectral_bound, tiles=tiles), x, w, bias)
    options = {name: value for name, value in case.options.items() if name != "activation"}
    exact, limit = judged(case._replace(options=options), partial(spectral_bound, tiles=tiles), x, w, bias)
    # No activation is steeper than 1.5.
    return exact * np.clip(exact + 3, 0, 6) / 6, 1.5 * limit + 4 * np.finfo(case.dtype).eps * np.abs(exact)


@pytest.mark.parametrize("name", one_in(2, CASES))
def test_layers(name: str) -> None:
    """Every result is within what rounding explains; an output full of NaN is overwritten, and nothing beside it."""
    case = CASES[name]
    x, w, bias = case.arrays()
    prepared, tiles = planned(case, "fft")
    exact, limit = expected(case, tiles, x, w, bias)
    whole = np.full([n + 4 for n in exact.shape], np.nan, case.dtype)
    inside = tuple(slice(2, 2 + n) for n in exact.shape)
    for out in (np.full(exact.shape, np.nan, case.dtype), whole[inside]):
        result = prepared(x, out)
        assert result is out
        assert (np.abs(out - exact) <= limit).all(), float((np.abs(out - exact) / limit).max())
    whole[inside] = np.nan
    assert np.isnan(whole).all()


@pytest.mark.parametrize(("shape", "layout"), [((1, 8, 41), "NCW"), ((1, 13, 25, 6), "NHWC")], ids=["NCW", "NHWC"])
@pytest.mark.parametrize("size", one_in(2, [*SIZES, 9, 14]))
def test_tiles_of_all_sizes(size: int, shape: tuple[int, ...], layout: str) -> None:
    """Maps that no tiles fill; numbers of float64 are as near as theirs."""
    taps = (3,) * (len(shape) - 2)
    case = Case(shape, 7, taps, {"layout": layout, "padding": 1}, "float64")
    x, w, bias = case.arrays()
    tiles = Spectra((size,) * len(taps), taps)
    exact, limit = expected(case, tiles, x, w, bias)
    assert (np.abs(convolving(case, tiles, 3)(x) - exact) <= limit).all()


@pytest.mark.parametrize("name", one_in(2, ["many blocks", "many blocks, channels last", "groups", "3-d", "reflected"]))
def test_bits_depend_on_neither_threads_nor_batch_nor_strides(name: str) -> None:
    """Each image by itself, with any threads, from and to arrays that are not dense: the same bits."""
    case = CASES[name]
    x, w, bias = case.arrays()
    prepared = planned(case, "fft")[0]
    whole = prepared(x)
    for threads in (1, 2, 3):
        assert planned(case, "fft", threads=threads)[0](x).tobytes() == whole.tobytes()
    alone = [plan((1, *x.shape[1:]), w, bias, algorithm="fft", **case.options)(x[n : n + 1]) for n in range(len(x))]
    assert np.concatenate(alone).tobytes() == whole.tobytes()
    apart = np.zeros([2 * n for n in x.shape], x.dtype)[(slice(None, None, 2),) * x.ndim]
    apart[...] = x
    out = np.zeros([2 * n for n in whole.shape], x.dtype)[(slice(None, None, -2),) * x.ndim]
    for source, target in ((apart, None), (x, out), (x.astype(">f4"), None)):
        assert prepared(source, target).tobytes() == whole.tobytes()


def test_pieces_of_filters() -> None:
    """Blocks that are multiplied with some filters at a time give the same bits, a last piece that is smaller too."""
    for shape, layout in (((2, 8, 29, 29), "NCHW"), ((2, 29, 29, 8), "NHWC")):
        case, tiles = Case(shape, 75, (5, 5), {"layout": layout}), Spectra((16, 16), (5, 5))
        x, _, _ = case.arrays()
        assert convolving(case, tiles, 3, 32)(x).tobytes() == convolving(case, tiles, 3)(x).tobytes()


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_infinities_stay_in_their_windows(layout: str, wrong: float) -> None:
    """A spectrum carries a pixel to all results of a tile: one that is not finite is in those of its windows alone."""
    rng = np.random.default_rng(3)
    x, w = rng.standard_normal((2, 16, 33, 35)).astype("f4"), rng.standard_normal((16, 16, 5, 5)).astype("f4")
    places = [(0, 3, 0, 0), (1, 5, 11, 13), (1, 15, 32, 34)]
    covered = np.zeros((2, 1, 33, 35), bool)
    for place in places:
        n, _, row, column = place
        x[place] = wrong
        covered[n, :, max(0, row - 2) : row + 3, max(0, column - 2) : column + 3] = True
    view = (0, 1, 2, 3) if layout == "NCHW" else (0, 2, 3, 1)
    prepared = plan(tuple(x.shape[i] for i in view), w, padding=2, layout=layout, algorithm="fft")
    result = prepared(np.ascontiguousarray(x.transpose(view))).transpose(np.argsort(view))
    assert (np.isfinite(result) == ~np.broadcast_to(covered, result.shape)).all()
    exact = conv(np.where(np.isfinite(x), x, 0).astype(float), w.astype(float), padding=2)
    near = 2e-5 * np.abs(exact).max()
    np.testing.assert_allclose(result[np.isfinite(result)], exact[np.isfinite(result)], rtol=0, atol=near)
    np.testing.assert_array_equal(np.isnan(result), np.isnan(conv(x, w, padding=2, algorithm="explicit")))


def test_what_overflows_on_the_way_is_computed_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels whose sums leave float32 in a spectrum, but not in the definition, and weights that do."""
    x, w = np.full((1, 16, 29, 29), 2e38, "f4"), np.zeros((16, 16, 5, 5), "f4")
    x[..., ::2, :] *= -1
    w[:, 0, 2, 2] = 1
    exact = np.repeat(x[:, :1, 2:-2, 2:-2], 16, 1)
    np.testing.assert_array_equal(plan(x.shape, w, algorithm="fft")(x), exact)
    w[3, 0, 2, 2] = np.inf
    np.testing.assert_array_equal(plan(x.shape, w, algorithm="fft")(x), conv(x, w, algorithm="implicit"))
    monkeypatch.setattr(PreparedTiles, "_mend", lambda *_: None)
    w[3, 0, 2, 2] = 1
    assert not np.isfinite(plan(x.shape, w, algorithm="fft")(x)).all(), "nothing overflows"


@pytest.mark.parametrize(("channels", "kernel"), one_in(2, [(2, 3), (5, 3), (32, 7), (2, 5)]))
@pytest.mark.parametrize("third", THIRDS)
def test_precision_is_as_promised(third: int, channels: int, kernel: int) -> None:
    """The rms error against a plain sum's is at most 2, and 2e-5 of the greatest result; none is strict."""
    assert_precise(FAMILY, channels, kernel, third)


def test_what_is_strict_mixes_no_windows() -> None:
    """A frequency sees every pixel of a tile."""
    x, w = np.ones((1, 64, 19, 19), "f4"), np.ones((4, 64, 5, 5), "f4")
    problem = make_problem(x.shape, w.shape, x.dtype, w.dtype, precision="strict")
    assert not admitted(problem, FAMILY)
    why = "no transform for kernels of (5, 5) and 64 channels is as exact as the precision 'strict'; 'fast' admits some"
    with raises_exactly(ArgumentError, f"conv: algorithm 'fft' cannot solve this: {why}; use algorithm='auto'"):
        conv(x, w, algorithm="fft", precision="strict")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"stride": 2}, "windows of a stride or a dilation share no products"),
        ({"kernel": (1, 1)}, "kernels of 2 to 16 taps along an axis have transforms, not of (1, 1)"),
        ({"kernel": (3, 17)}, "kernels of 2 to 16 taps along an axis have transforms, not of (3, 17)"),
        ({"dtype": "int32"}, "tiles are made of float32 or float64 alone, as image, weights and result"),
    ],
)
def test_who_asks_for_spectra_is_told_why_there_are_none(options: dict[str, Any], why: str) -> None:
    """By name, with the rule, the values and the way out."""
    options = dict(options)
    kernel, dtype = options.pop("kernel", (3, 3)), options.pop("dtype", "float32")
    x, w = np.ones((1, 4, 19, 19), dtype), np.ones((4, 4, *kernel), dtype)
    with raises_exactly(ArgumentError, f"conv: algorithm 'fft' cannot solve this: {why}; use algorithm='auto'"):
        conv(x, w, algorithm="fft", **options)


def test_kernels_are_compiled_in_a_second() -> None:
    """What a plan compiles is bounded, whatever the axes: tiles get smaller."""
    for shape, kernel in (
        ((1, 33, 19, 21, 23), (3, 3, 3)),
        ((1, 33, 57, 58), (5, 5)),
        ((1, 33, 57, 58), (16, 16)),
    ):
        assert lines_of("fft", make_problem(shape, (31, shape[1], *kernel), FLOAT, FLOAT, prepared=True)) < 13000


def test_plans_alone_are_made_of_spectra_unasked() -> None:
    """Where the model says so: large windows, many channels, many tiles."""
    x, w = np.ones((1, 64, 56, 56), "f4"), np.ones((64, 64, 7, 7), "f4")
    prepared = plan(x.shape, w, padding=3)
    assert prepared.algorithm == "fft"
    assert "→ fft        tiles of " in str(prepared)
    assert prepared.workspace_bytes < 60e6
    assert plan(x.shape, w, padding=3, precision="strict").algorithm == "implicit"
    assert plan((1, 3, 56, 56), np.ones((4, 3, 7, 7), "f4"), padding=3).algorithm == "implicit"
    assert plan((1, 512, 7, 7), np.ones((512, 512, 7, 7), "f4"), padding=3).algorithm == "implicit"
    assert conv(x, w, padding=3).tobytes() == conv(x, w, padding=3, algorithm="implicit").tobytes()


def test_tiles_of_other_sizes_are_offered_to_tuning() -> None:
    """Each is a way of its own, about in the order of cycles."""
    problem = make_problem((1, 64, 56, 56), (64, 64, 5, 5), FLOAT, FLOAT, padding=2)
    offer = registry()["fft"].offer(problem, host(), 1)
    assert offer.others is not None
    found = [offer, *offer.others()]
    assert [each.way for each in found[:1]] == [offer.reason.split(",")[0]]
    assert len({each.way for each in found}) == len(found) == len([size for size in SIZES if size > 5])
    assert all(a.cycles <= 1.5 * b.cycles for a, b in itertools.pairwise(found))


def test_gradients_by_spectra() -> None:
    """An image's gradient of a 5×5 layer is a 5×5 layer, the adjoint: <conv(x), g> = <x, adjoint(g)>."""
    rng = np.random.default_rng(5)
    x, w, g = (rng.standard_normal(s).astype("f4") for s in ((1, 16, 22, 22), (24, 16, 5, 5), (1, 24, 22, 22)))
    adjoint = plan_input_gradient(x.shape, w, padding=2, algorithm="fft")
    assert adjoint.algorithm == "fft"
    assert float((conv(x, w, padding=2) * g).sum()) == pytest.approx(float((x * adjoint(g)).sum()), rel=1e-4)


@pytest.mark.parametrize(
    ("shape", "size", "layout"), [((2, 11, 13, 9), 12, "NCHW"), ((2, 13, 9, 11), 16, "NHWC")], ids=["12", "16"]
)
@pytest.mark.parametrize("name", one_in(3, NAMED))
def test_kernels_for_every_cpu(name: str, shape: tuple[int, ...], size: int, layout: str) -> None:
    """LLVM takes and compiles them for CPUs that are not here."""
    target = NAMED[name]
    problem = make_problem(shape, (13, 11, 5, 5), FLOAT, FLOAT, has_bias=True, padding=2, layout=layout)
    tiling = Tiling(problem.geometry, Spectra((size,) * 2, (5, 5)), 2)
    decision = Decision(problem, target, Cut(tiling, Blocks(4, problem.group_filters)))
    for kernel in (decision.into, *(decision.out_of(kept, 13) for kept in tiling.kept())):
        assert kernel.name in assembly(kernel, target)


def spectra_against_forbidden_pages(third: int) -> None:
    """Convolve where a byte too much is the end of the process."""
    assert_within_pages(CASES, partial(planned, algorithm="fft"), expected, third)


@pytest.mark.parametrize("third", one_in(3, range(3)))
def test_no_byte_beside_the_arrays_is_touched(third: int) -> None:
    """What lies before and behind image and result is forbidden."""
    run_alone("test_fft", f"spectra_against_forbidden_pages({third})")
