"""Layers that are computed in chunks: a part of an image gives the bits that the whole has there."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from im2col import ArgumentError, conv, conv_transpose, plan
from im2col.algorithms import tuning
from im2col.algorithms.implicit.decide import candidates
from im2col.algorithms.implicit.numbers import stored_as
from im2col.algorithms.implicit.packing import split_evenly
from im2col.algorithms.implicit.tiles.channel_lanes import ChannelShape
from im2col.algorithms.implicit.tiles.filters import FilterShape
from im2col.algorithms.implicit.tiles.position_tile import by_lines
from im2col.algorithms.implicit.tiles.positions import PositionShape
from im2col.algorithms.implicit.tiles.windows import WindowShape
from im2col.algorithms.separable.passes import decide
from im2col.engine.target import NAMED

from .fuzz import FAMILY, draw
from .kit.layers import BROAD, LAYERS, Case, last, problem_of
from .kit.outcomes import raises_exactly
from .kit.selection import one_in
from .kit.strategies import PADDING_MODES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

CASES = {
    "dense": Case((29, 45), (3, 3), padding=1, channels=24, filters=20),
    "dense, in parts": Case((9, 21), (3, 3), padding=1, channels=600, filters=40),
    "dense, dilated": Case((33, 37), (3, 2), padding=2, dilation=(2, 3), channels=7, filters=9, bias=True),
    "colours": Case((41, 80), (3, 3), padding=1, channels=3, filters=8, activation="silu"),
    "image 3×3": Case((70, 211), (3, 3), padding=1),
    "image 15×15": Case((60, 300), (15, 15), padding=7),
    "image 5×1": Case((60, 90), (5, 1), padding=2, filters=3),
    "image, dilated": Case((60, 120), (3, 3), padding=3, dilation=3),
    "image, stride 2": Case((61, 121), (5, 5), padding=2, stride=2),
    "a bank of filters": Case((50, 90), (7, 7), padding=3, filters=9),
    "depthwise": Case((37, 41), (3, 3), padding=1, groups=19),
    "depthwise, long windows": Case((37, 41), (9, 9), padding=4, groups=16, dtype="float64"),
    "grouped": Case((21, 35), (3, 3), padding=1, groups=16, channels=4, filters=4),
    "halves": Case((31, 33), (3, 3), padding=1, channels=5, filters=7, dtype="float16"),
    "1×1": Case((30, 40), (1, 1), channels=70, filters=33),
    "1-d": Case((900,), (9,), padding=4, channels=3, filters=5, stride=2),
    "3-d": Case((9, 11, 40), (3, 3, 1), padding=((1, 1), (1, 2), (0, 0)), channels=4, filters=6),
}


def parts(rng: np.random.Generator, sizes: Sequence[int], count: int) -> list[tuple[slice, ...]]:
    """Return some boxes of a map, of which the first is a single position."""
    found = []
    for i in range(count):
        starts = [int(rng.integers(n)) for n in sizes]
        most = 1 if i == 0 else 40
        found.append(
            tuple(slice(a, int(rng.integers(a, min(n, a + most))) + 1) for a, n in zip(starts, sizes, strict=True))
        )
    return found


def padded(case: Case, x: Array) -> Array:
    """Return the image with its padding, by NumPy, axes in canonical order."""
    order = [case.axes.index(letter) for letter in ("N" if "N" in case.axes else "") + "C" if letter in case.axes]
    spatial = [i for i in range(len(case.axes)) if i not in order]
    moved = x.transpose(*order, *spatial)
    pads = [(0, 0)] * len(order) + list(case.window.padding)
    found: Array = np.pad(moved, pads, mode=case.mode)  # type: ignore[call-overload]  # one of NumPy's names
    return found


def in_layout(case: Case, canonical: Array) -> Array:
    """Return an array of canonical axes in the case's layout, as a view."""
    now = [*("N" if "N" in case.axes else ""), *("C" if "C" in case.axes else "")]
    now += [letter for letter in case.axes if letter not in now]
    return canonical.transpose([now.index(letter) for letter in case.axes])


def judge_chunks(case: Case, count: int = 5) -> None:
    """Compute parts of a layer's map from the pixels under them; they are those of the whole, to the bit."""
    x, w, bias = case.arrays()
    options = {**case.options, "threads": case.threads, "chunked": True}
    whole = conv(x, w, bias, **options)
    rng, window = np.random.default_rng(case.seed), case.window
    maps = padded(replace(case, padding=0, mode="constant"), whole)
    image = padded(case, x)
    lead, k = image.ndim - len(case.kernel), len(case.kernel)
    first = (slice(None),) * lead
    for box in parts(rng, maps.shape[lead:], count):
        under = tuple(
            slice(b.start * s, (b.stop - 1) * s + d * (n - 1) + 1)
            for b, s, d, n in zip(box, window.stride, window.dilation, window.kernel_size, strict=True)
        )
        chunk = in_layout(case, image[(*first, *under)])
        chunk = np.ascontiguousarray(chunk) if rng.random() < 0.7 else chunk
        got = conv(chunk, w, bias, **options | {"padding": (0,) * k, "padding_mode": "constant"})
        want = in_layout(case, maps[(*first, *box)])
        assert got.tobytes() == want.tobytes(), f"{case}, {box}"
    np.testing.assert_allclose(
        whole.astype(float), conv(x, w, bias, **options | {"chunked": False}).astype(float), rtol=2e-2, atol=1e-2
    )


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("channels", ["first", "last"])
def test_chunks_have_the_bits_of_the_whole(channels: str, name: str) -> None:
    """Of every kind of tile: single positions, narrow and wide boxes, from arrays of other strides, too."""
    judge_chunks(last(CASES[name]) if channels == "last" else CASES[name])


@pytest.mark.parametrize("mode", PADDING_MODES)
def test_chunks_of_each_padding_mode(mode: str) -> None:
    """What pads the whole is a part of a chunk."""
    judge_chunks(replace(CASES["dense"], mode=mode, seed=3))
    judge_chunks(replace(CASES["image 3×3"], mode=mode, seed=4))


@pytest.mark.parametrize("number", one_in(10, range(60)))
def test_chunks_of_any_layer(number: int) -> None:
    """Layers drawn at random."""
    case = draw(11, number * FAMILY)
    judge_chunks(replace(case, value=0, x_order="C", w_dtype=None))


SEPARABLE: dict[str, tuple[Case, int]] = {
    "gaussian 31×31": (Case((140, 210), (31, 31), padding=15), 1),
    "gaussian 15×15, doubles": (Case((90, 160), (15, 15), padding=7, dtype="float64"), 1),
    "stride, dilation": (Case((120, 170), (15, 13), padding=9, stride=(1, 2), dilation=(2, 1), bias=True), 1),
    "rank 2, filters": (Case((80, 150), (21, 21), padding=10, filters=2), 2),
    "channels": (Case((70, 130), (17, 17), padding=8, channels=3, activation="relu"), 1),
}
"""Layers with kernels of a rank, which two passes compute."""


def of_rank(w: Array, rank: int) -> Array:
    """Return kernels of a rank, of real weights, in the place of others."""
    rng = np.random.default_rng(3)
    down, across = (rng.random((*w.shape[:2], rank, n)) for n in w.shape[2:])
    found: Array = np.einsum("fcry,fcrx->fcyx", down, across).astype(w.dtype)
    return found


@pytest.mark.parametrize("mode", ["constant", "reflect"])
@pytest.mark.parametrize("name", SEPARABLE)
def test_chunks_of_two_passes(name: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a chunk's size is, passes compute it as they compute the whole; and as precisely as plain sums."""
    case, rank = SEPARABLE[name]
    case = replace(case, mode=mode)
    x, w, bias = case.arrays()
    w = of_rank(w, rank)
    monkeypatch.setattr(Case, "arrays", lambda _: (x, w, bias))
    judge_chunks(case, 3)
    options = {**case.options, "threads": case.threads}
    assert plan(x.shape, w, bias, x_dtype=x.dtype, chunked=True, **options).algorithm == "separable"
    got = conv(x, w, bias, chunked=True, **options).astype(float)
    exact = conv(x.astype(float), w.astype(float), bias, algorithm="explicit", **options)
    plain = conv(x, w, bias, algorithm="implicit", **options).astype(float)
    if x.dtype == np.float32:
        error, of_plain = (np.sqrt(((each - exact) ** 2).mean()) for each in (got, plain))
        assert error <= 2 * of_plain
    else:
        np.testing.assert_allclose(got, exact, rtol=1e-13, atol=1e-13 * np.abs(exact).max())


@pytest.mark.parametrize("rank", [1, 2])
def test_chunks_of_two_passes_with_what_is_not_finite(rank: int) -> None:
    """NaN and infinities reach the outputs whose windows cover them, no others; of chunks they have the same bits."""
    rng = np.random.default_rng(8)
    x, w = rng.standard_normal((1, 1, 90, 140), np.float32), of_rank(np.ones((1, 1, 15, 15), np.float32), rank)
    x[0, 0, 3, 5], x[0, 0, 40, 77], x[0, 0, 89, 139], x[0, 0, 60, 20] = np.nan, np.inf, np.nan, -np.inf
    whole = conv(x, w, chunked=True)
    assert plan(x.shape, w, chunked=True).algorithm == "separable"
    np.testing.assert_array_equal(np.isfinite(whole), np.isfinite(conv(x, w, algorithm="implicit")))
    for top, left in ((0, 0), (33, 60), (75, 125)):
        part = conv(np.ascontiguousarray(x[..., top : top + 25, left : left + 40]), w, chunked=True)
        _, _, height, width = part.shape
        assert part.tobytes() == whole[..., top : top + height, left : left + width].tobytes()


@pytest.mark.parametrize("cpu", one_in(4, sorted(NAMED)))
def test_passes_of_chunks_of_any_size(cpu: str) -> None:
    """A map of a single position has them, and one that no memory holds; with one order of sums."""
    target = NAMED[cpu]
    for kernel, steps, (channels, filters), axes, rank in itertools.product(
        ((15, 15), (2, 31)), (((1, 1), (1, 1)), ((2, 3), (3, 2))), ((1, 1), (3, 1), (1, 2)), ("first", "last"), (1, 2)
    ):
        for size in ((1, 1), (5, 40), (1 << 20, 1 << 20)):
            case = Case((1, 1), kernel, stride=steps[0], dilation=steps[1], channels=channels, filters=filters)
            window = zip(size, *steps, kernel, strict=True)
            spatial = tuple((n - 1) * s + d * (k - 1) + 1 for n, s, d, k in window)
            case = replace(case, spatial=spatial)
            problem = problem_of(last(case) if axes == "last" else case, "float32")
            found = decide(replace(problem, chunked=True, kernel_rank=rank), target)
            assert found is not None, problem
            orders = {
                each.tile.shape.order(each.view, each.group, target)
                for strip in found.strips
                for each in (strip.down, strip.across)
            }
            assert orders == {((1,), ()), ((0, 1) if channels * rank > 1 else (1,), ())}


def test_groups_of_chunks_take_no_passes() -> None:
    """Some of them may be a chunk, of another rank; sums of boxes follow from where lines begin."""
    w = of_rank(np.ones((4, 1, 15, 15), np.float32), 1)
    assert plan((1, 4, 80, 90), w, groups=4, chunked=True).algorithm == "implicit"
    message = "algorithm 'separable' cannot solve this: some of the groups may be a chunk, of another rank than all"
    with raises_exactly(ArgumentError, f"plan: {message}; use algorithm='auto'"):
        plan((1, 4, 80, 90), w, groups=4, chunked=True, algorithm="separable")
    one = replace(problem_of(Case((90, 140), (15, 15)), "float32"), chunked=True, kernel_rank=1)
    assert {name for name, _ in tuning.candidates(one, "auto", 1)} == {"separable"}
    boxes = np.full((1, 1, 15, 15), 1 / 225, np.float32)
    assert "passes" in str(plan((1, 1, 400, 500), boxes, chunked=True))


def test_rows_of_any_pitch() -> None:
    """Rows 4 KB apart share a set of the cache, and would be read a few at a time."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 1, 30, 1100), np.float32), rng.standard_normal((1, 1, 15, 15), np.float32)
    part = conv(np.ascontiguousarray(x[..., :1024]), w, chunked=True)
    np.testing.assert_array_equal(part, conv(x, w, chunked=True)[..., :1010])


def test_without_it_chunks_have_other_bits() -> None:
    """The judge sees what it is about: a tile at the border takes taps in another order, on any CPU of some layer."""
    others = 0
    for case in (CASES["dense"], CASES["dense, in parts"], CASES["image 3×3"], CASES["depthwise"]):
        x, w, _ = case.arrays()
        options: Any = {"groups": case.groups, "algorithm": "implicit"}
        whole, inside = conv(x, w, padding=1, **options), conv(padded(case, x), w, **options)
        np.testing.assert_allclose(whole, inside, rtol=1e-3, atol=1e-3)
        others += whole.tobytes() != inside.tobytes()
    assert others


@pytest.mark.parametrize("target", sorted(NAMED))
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("part", range(6))
def test_every_chunk_has_a_tile_in_the_order_of_all(part: int, dtype: str, target: str) -> None:
    """Whatever the size, on every CPU: decided, not compiled. Sizes of an axis with a third of those of another."""
    cpu = NAMED[target]
    for case in [*LAYERS.values(), *map(last, LAYERS.values()), *BROAD[::20]][part % 2 :: 2]:
        orders = set()
        sizes: list[Sequence[int]] = [(1, 2, 3, 5, 8, 17, 40, 41)[i % 3 :: 3] for i in range(len(case.kernel))]
        for output in itertools.product(*sizes):
            if sum(each.index(n) for each, n in zip(sizes, output, strict=True)) % 3 != part // 2:
                continue
            window = zip(output, case.window.stride, case.window.dilation, case.kernel, strict=True)
            spatial = tuple((n - 1) * s + d * (k - 1) + 1 for n, s, d, k in window)
            problem = replace(problem_of(replace(case, spatial=spatial, padding=0), dtype), chunked=True)
            if stored_as(problem, cpu) is None or not problem.fixes_sums:
                continue
            found = candidates(problem, cpu)
            assert found, f"{case}, {output}"
            orders |= {(made.dot, made.tile.shape.order(made.view, made.group, cpu)) for made, _ in found}
        assert len(orders) <= 1, f"{case}: {orders}"


@pytest.mark.parametrize("kernel", [(2, 1), (2, 2), (3, 2), (5, 1), (5, 2)])
@pytest.mark.parametrize("dilation", [1, 2])
def test_tiles_that_go_by_lines_and_columns_have_no_order(dilation: int, kernel: tuple[int, int]) -> None:
    """Some filters line by line, others column by column; nor those that go by lines where no tile of small maps does.

    With a single column both are one order.
    """
    cpu, case = NAMED["avx512"], Case((21, 64), kernel, channels=2, filters=5, dilation=(1, dilation))
    (made, _), *_ = candidates(replace(problem_of(case, "float32"), chunked=True), cpu)
    view, group, mixed = made.view, made.group, 0
    for tile in PositionShape.candidates(view, group, cpu, None):
        fixed = kernel, 1, tile.shuffled, tile.rows, tile.vectors
        ways = {by_lines(*fixed, width, cpu.vector_registers) for width, _ in split_evenly(5, tile.filters)}
        alone = True in ways and not tile.shuffled and dilation > 1
        assert (tile.order(view, group, cpu) is None) == (kernel[1] > 1 and (len(ways) > 1 or alone))
        mixed += len(ways) > 1
    assert mixed


SOLID = Case((5, 12, 40), (2, 3, 2), channels=4, filters=3)
DEPTHWISE = last(Case((12, 40), (2, 3), groups=33))
GROUPED = last(Case((12, 40), (2, 3), channels=16, filters=16, groups=16))


@pytest.mark.parametrize(
    ("kind", "case", "expected"),
    [
        (PositionShape, SOLID, {(1, 0, 2, 3), (1, 0, 3, 2)}),
        (FilterShape, SOLID, {(1, 2, 3, 0)}),
        (FilterShape, last(SOLID), {(1, 2, 3, 0)}),
        (ChannelShape, DEPTHWISE, {(1, 2)}),
        (WindowShape, DEPTHWISE, {(1, 2)}),
        (WindowShape, GROUPED, {(1, 0, 2)}),
    ],
)
def test_orders_are_those_of_the_loops(kind: Any, case: Case, expected: set[tuple[int, ...]]) -> None:
    """The channels are 0, the window's axes 1 and so on, the outermost loop first; one tap has no loop."""
    cpu = NAMED["avx2"]
    (made, _), *_ = candidates(replace(problem_of(case, "float32"), chunked=True), cpu)
    orders = set()
    for tile in kind.candidates(made.view, made.group, cpu, None):
        axes, parts = tile.order(made.view, made.group, cpu)
        assert parts == ()
        if kind is PositionShape:
            lines = by_lines(
                (case.kernel[-2], case.kernel[-1]), 1, tile.shuffled, tile.rows, tile.vectors, tile.filters, 16
            )
            assert axes == ((1, 0, 2, 3) if lines else (1, 0, 3, 2))
        orders.add(axes)
    assert orders == expected


TRANSPOSED = [
    ((5, 40), (3, 3), (2, 2), (1, 1)),
    ((17, 30), (4, 2), (2, 3), (1, 2)),
    ((60,), (2,), (3,), (1,)),
    ((6, 5, 9), (3, 1, 2), (2, 1, 3), (1, 1, 1)),
]


@pytest.mark.parametrize("layout", ["first", "last"])
@pytest.mark.parametrize(("spatial", "kernel", "stride", "dilation"), TRANSPOSED)
def test_chunks_of_a_transpose(
    spatial: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...], layout: str
) -> None:
    """From the elements that reach a part of the result."""
    rng, k = np.random.default_rng(7), len(spatial)
    x = rng.standard_normal((2, 12, *spatial)).astype(np.float32)
    w, bias = rng.standard_normal((12, 5, *kernel)).astype(np.float32), rng.standard_normal(5).astype(np.float32)
    to = (0, *range(2, k + 2), 1) if layout == "last" else range(k + 2)
    axes = "N" + "DHW"[-k:] + "C" if layout == "last" else "NC" + "DHW"[-k:]
    options: Any = {"stride": stride, "dilation": dilation, "layout": axes, "chunked": True}

    def run(elements: Array, **more: Any) -> Array:
        result = conv_transpose(np.ascontiguousarray(elements.transpose(*to)), w, bias, **options, **more)
        return np.moveaxis(result, -1, 1) if layout == "last" else result

    whole = run(x)
    np.testing.assert_allclose(whole, run(x.astype(float)), rtol=1e-4, atol=1e-4)
    for box in parts(rng, whole.shape[2:], 6):
        fields = list(zip(box, stride, kernel, dilation, spatial, strict=True))
        spans = [d * (n - 1) + 1 for _, _, n, d, _ in fields]
        stops = [min(size, (b.stop - 1) // s + 1) for b, s, _, _, size in fields]
        firsts = [
            min(max(0, -(-(b.start - span + 1) // s)), stop - 1, b.start // s)
            for (b, s, *_), span, stop in zip(fields, spans, stops, strict=True)
        ]
        more = [max(0, b.stop - (e - 1) * s - n) for b, s, n, e in zip(box, stride, spans, stops, strict=True)]
        part = x[(slice(None), slice(None), *map(slice, firsts, stops))]
        got = run(part, output_padding=tuple(more))
        here = (slice(b.start - f * s, b.stop - f * s) for b, f, s in zip(box, firsts, stride, strict=True))
        want = whole[(slice(None), slice(None), *box)]
        assert np.array_equal(got[(slice(None), slice(None), *here)].view(np.int32), want.view(np.int32)), box


def test_many_phases_of_chunks_are_no_product() -> None:
    """Whether a transpose with many phases is one product follows its size: in chunks it never is."""
    x, w = np.ones((1, 8, 9, 9), np.float32), np.ones((8, 3, 6, 6), np.float32)
    np.testing.assert_array_equal(conv_transpose(x, w, stride=6, chunked=True), conv_transpose(x, w, stride=6))


def test_what_cannot_says_so() -> None:
    """Other algorithms of floats, and numbers that the engine has no kernels for; integers are exact by any."""
    x, w = np.ones((1, 4, 9, 9), np.float32), np.ones((4, 4, 3, 3), np.float32)
    for name in ("explicit", "fft", "winograd"):
        message = (
            f"conv: algorithm '{name}' cannot solve this: its sums take the taps in another order in chunks than in "
            "the whole; use algorithm='auto'"
        )
        with raises_exactly(ArgumentError, message):
            conv(x, w, algorithm=name, chunked=True)
    with pytest.raises(ArgumentError, match="no algorithm suits this"):
        conv(x.astype(complex), w, chunked=True)
    assert plan(x.shape, w, chunked=True).algorithm == "implicit"
    np.testing.assert_array_equal(conv(x, w, chunked=True, algorithm="reference"), conv(x, w))
    whole = plan((1, 4, 9, 9), w.astype(np.int64), chunked=True, algorithm="explicit")
    np.testing.assert_array_equal(whole(x.astype(np.int64)), conv(x, w).astype(np.int64))
    with raises_exactly(ArgumentError, "conv: chunked must be True or False, got 'yes'"):
        conv(x, w, chunked="yes")  # type: ignore[arg-type]  # that is the test
