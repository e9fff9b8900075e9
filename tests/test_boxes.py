"""Boxes as sums of windows that double: every size, no pixel outside a window, the same bits wherever a window lies."""

from __future__ import annotations

import itertools
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from im2col import conv2d, plan
from im2col.algorithms.separable.box_sums import kept, links
from im2col.algorithms.separable.boxes import DecidedBoxes, are_boxes, decide, square_of_sums
from im2col.algorithms.separable.factors import PIXELS, unit
from im2col.algorithms.separable.prepared import PreparedPasses
from im2col.engine.compiler import assembly
from im2col.engine.target import NAMED, host
from im2col.spec.problem import make_problem

from .kit.memory import PAGE, against_forbidden_pages, in_room
from .kit.processes import run_alone
from .kit.selection import one_in

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from im2col.algorithms.separable.boxes import Boxes
    from im2col.engine.target import Target
    from im2col.spec.problem import Problem

    Array = NDArray[Any]


def box(kernel: tuple[int, int], *weights: float, dtype: str = "float32") -> Array:
    """Return filters whose weights are all equal."""
    return np.array(weights, dtype).reshape(-1, 1, 1, 1) * np.ones((1, *kernel), dtype)


def image(*shape: int, dtype: str = "float32", seed: int = 0) -> Array:
    """Return pixels of both signs."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def problem_of(shape: tuple[int, ...], w: Array, **options: Any) -> Problem:
    """Return the problem of boxes that somebody has looked at."""
    return make_problem(shape, w.shape, w.dtype, w.dtype, kernel_rank=1, equal_weights=True, **options)


def decided(problem: Problem, target: Target | None = None) -> Boxes:
    """Return how boxes are summed, which they are."""
    found = decide(problem, target or host())
    assert found is not None
    return found


def summed(
    x: Array, w: Array, bias: Array | None = None, threads: int = 1, target: Target | None = None, **options: Any
) -> Array:
    """Return sums of boxes, whatever the model says of passes, in an array that was full of NaN."""
    problem = problem_of(x.shape, w, has_bias=bias is not None, **options)
    out = np.full(problem.output_shape, np.nan, w.dtype)
    canonical = problem.layout.to_canonical
    prepared = PreparedPasses(DecidedBoxes(problem, decided(problem, target), threads), w, bias)
    prepared(canonical(x), canonical(out))
    return out


def windows(x: Array, kernel: tuple[int, int], pads: tuple[tuple[int, int], tuple[int, int]]) -> Array:
    """Return the windows of the last two axes of an image that zeros pad, in wide numbers."""
    padded = np.pad(x.astype(np.longdouble), [(0, 0)] * (x.ndim - 2) + list(pads))
    return np.lib.stride_tricks.sliding_window_view(padded, kernel, (-2, -1))


def assert_sums(result: Array, x: Array, w: Any, kernel: tuple[int, int], pads: Any) -> None:
    """Assert that results are a box's sums but for rounding: each pixel passes at most so many sums and products."""
    seen = windows(x, kernel, pads)
    steps = len(links(kernel[0])) + len(links(kernel[1])) + 2
    limit = steps * np.finfo(x.dtype).eps * abs(w) * np.abs(seen).sum((-2, -1))
    off = np.abs(result - w * seen.sum((-2, -1)))
    assert result.shape == off.shape
    assert (off <= limit).all(), (kernel, x.shape, float((off - limit).max()))


# Sums.


def test_links_double_windows_and_add_taps() -> None:
    """Each link's windows lie side by side, both are there, and what is kept reaches as far back as a window does."""
    for taps in range(1, 300):
        width = 1
        for earlier, later in links(taps):
            assert earlier == width
            assert later in (1, width)
            width += later
        assert width == taps
        assert sum(later for _, later in links(taps)) == taps - 1
        assert len(links(taps)) <= 2 * np.log2(taps)
        assert taps - 1 <= kept(taps, 8) <= 2 * taps + 8


@pytest.mark.parametrize("size", one_in(3, range(2, 71)))
def test_kernels_of_all_sizes(size: int) -> None:
    """Along either axis, on maps of one result, of odd ones, and of more than a vector; padded and not."""
    kernel = size, 72 - size
    for places, padded in (((1, 1), 0), ((size, 71 - size), 1), ((19, 26), 1), ((71 - size, size), 0)):
        pads = [(min(k - 1, n) // 2 * padded, (k - 1) // 2 * padded) for k, n in zip(kernel, places, strict=True)]
        shape = [n + k - 1 - sum(pair) for n, k, pair in zip(places, kernel, pads, strict=True)]
        x = image(*shape)
        result = summed(x, box(kernel, 0.7), padding=tuple(pads))
        assert_sums(result, x, np.float32(0.7), kernel, pads)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kernel", [(3, 3), (15, 15), (4, 63), (31, 2)])
@pytest.mark.parametrize("first", [1, 2])
def test_maps_of_all_sizes(first: int, kernel: tuple[int, int], dtype: str) -> None:
    """Every height with some width and the other way round, without padding and with as much as a window takes."""
    full = tuple((k - 1, k - 1) for k in kernel)
    for n in range(first, 71, 2):
        for shape, pads in (((n, 71 - n), full), ((71 - n + kernel[0], n + kernel[1]), ((0, 0), (0, 0)))):
            x = image(*shape, dtype=dtype)
            result = summed(x, box(kernel, -1.3, dtype=dtype), padding=pads)
            assert_sums(result, x, float(np.array(-1.3, dtype)), kernel, pads)


def test_a_peer() -> None:
    """SciPy's `uniform_filter` in float64, on a photograph's size."""
    ndimage = pytest.importorskip("scipy.ndimage")
    x = image(300, 411)
    for size in (5, 15, 31, 63):
        exact = ndimage.uniform_filter(x.astype(float), size, mode="constant")
        result = conv2d(x, box((size, size), 1 / size**2)[0, 0], padding="same")
        np.testing.assert_allclose(result, exact, rtol=0, atol=1e-6)


def test_whole_pixels_stay_exact() -> None:
    """Whole weights, and powers of two: sums of whole pixels are those of the definition, to the bit."""
    x = np.random.default_rng(1).integers(-255, 256, (70, 83)).astype("f4")
    for size, weight in itertools.product((3, 15, 31), (1.0, -3.0, 2.0**-8, 7.0)):
        exact = weight * windows(x, (size, size), ((0, 0), (0, 0))).sum((-2, -1))
        np.testing.assert_array_equal(summed(x, box((size, size), weight)), exact)


def test_sums_do_not_overflow_where_the_definition_does_not() -> None:
    """Pixels near the end of the range, of which a mean is finite; and weights at both of its ends."""
    x, size = np.full((70, 70), 3e38, "f4"), (15, 15)
    np.testing.assert_allclose(summed(x, box(size, 1 / 225)), x[14:, 14:], rtol=1e-5)
    small = np.full((70, 70), 1e-38, "f4")
    np.testing.assert_allclose(summed(small, box(size, 3e37)), np.full((56, 56), 225 * 0.3), rtol=1e-5)
    assert not summed(x, box(size, 0.0)).any()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kernel", [(3, 15), (15, 3), (31, 63)])
def test_infinities_stay_in_their_windows(kernel: tuple[int, int], wrong: float) -> None:
    """What is not finite is in the results whose windows cover it, and in no other."""
    pads = tuple((k // 2, k // 2) for k in kernel)
    for row, column in itertools.product((0, 7, 40, 89), (0, 8, 50, 94)):
        x = image(90, 95)
        x[row, column] = wrong
        result = summed(x, box(kernel, 0.3), padding=pads)
        covered = np.zeros(x.shape, bool)
        rows, columns = (
            slice(max(0, n - before), n + before + 1) for n, (before, _) in zip((row, column), pads, strict=True)
        )
        covered[rows, columns] = True
        np.testing.assert_array_equal(np.isfinite(result), ~covered)


# Bits.


@pytest.mark.parametrize("kernel", [(3, 3), (15, 15), (31, 8)])
def test_bits_depend_on_the_window_alone(kernel: tuple[int, int]) -> None:
    """A window's sum has the same bits wherever it lies, so a mean of equal pixels is the same everywhere."""
    x, w = image(120, 130), box(kernel, 0.3)
    whole = summed(x, w)
    for row, column in ((0, 1), (1, 0), (5, 3), (8, 16), (13, 7)):
        np.testing.assert_array_equal(summed(np.ascontiguousarray(x[row:, column:]), w), whole[row:, column:])
    assert len(np.unique(summed(np.full((90, 91), 0.1, "f4"), w))) == 1


def test_bits_depend_on_neither_threads_nor_batch_nor_strips() -> None:
    """Many planes and one, cut into strips and rows or not: the same bits."""
    x, w = image(2, 3, 200, 410), box((15, 21), 0.3, -0.1, 0.7)
    options: dict[str, Any] = {"groups": 3, "padding": (7, 10)}
    whole = summed(x, w, **options)
    this = host()
    small = this._replace(caches=(*this.caches[:2], 64 << 10))
    assert len(decided(problem_of(x.shape, w, **options), small).strips) > 2
    assert len(decided(problem_of(x.shape, w, **options)).strips) == 1
    for threads, target in itertools.product((1, 2, 3, 16), (this, small)):
        assert summed(x, w, threads=threads, target=target, **options).tobytes() == whole.tobytes()
    alone = [
        summed(x[n, c], w[c : c + 1], threads=threads, padding=(7, 10))
        for (n, c), threads in zip(np.ndindex(2, 3), (1, 2, 3, 5, 9, 1), strict=True)
    ]
    assert np.stack(alone).tobytes() == whole.tobytes()


def test_arrays_that_are_not_dense() -> None:
    """Images and results of any strides and byte order: the same bits."""
    x, w = image(301, 320), box((31, 31), 0.3)  # so large that no CPU makes passes instead
    prepared = plan(x.shape, w, algorithm="separable")
    whole = prepared(x)
    assert whole.tobytes() == summed(x, w).tobytes()
    apart, wide = np.zeros((602, 640), "f4")[::2, ::2], np.zeros((304, 330), "f4")[1:302, 5:325]
    apart[...] = wide[...] = x
    backwards = np.ascontiguousarray(x[::-1])[::-1]
    out = np.full((550, 590), np.nan, "f4")
    for source, target in (
        (apart, None),
        (wide, out[:271, 3:293]),
        (backwards, out[::2, ::-2][:271, :290]),
        (np.asfortranarray(x), None),
        (x.astype(">f4"), None),
    ):
        assert prepared(source, target).tobytes() == whole.tobytes()


# Layers.


def test_layers() -> None:
    """Filters of groups, with bias, activation and flip; layouts; padding that is not of zeros, or is very wide."""
    w, bias = box((5, 6), 0.3, -0.2, 1.5, 0.25), np.array([0.5, -1.0, 2.0, 0.0], "f4")
    x = image(2, 2, 40, 43)
    seen = windows(x, (5, 6), ((4, 1), (0, 5))).sum((-2, -1))
    exact = seen[:, [0, 0, 1, 1]] * w[:, 0, :1, :1] + bias[:, None, None]
    pads = ((4, 1), (0, 5))
    got = summed(x, w, bias, groups=2, padding=pads, flip=True)
    np.testing.assert_allclose(got, exact.astype(float), rtol=1e-5, atol=1e-5)
    relu = summed(x, w, bias, groups=2, padding=pads, activation="relu")
    np.testing.assert_array_equal(relu, np.maximum(got, 0))
    rows = np.ascontiguousarray(x.transpose(0, 2, 1, 3))
    turned = summed(rows, w, bias, groups=2, padding=pads, layout="NHCW")
    np.testing.assert_array_equal(turned, got.transpose(0, 2, 1, 3))
    last = np.ascontiguousarray(x[:, :1].transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(
        summed(last, w[:1], bias[:1], padding=pads, layout="NHWC")[..., 0],
        got[:, 0],
    )


@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric", "wrap"])
def test_padding_modes(mode: Any) -> None:
    """A padded copy has the bits of an image that was padded before; so have a constant, and very many zeros."""
    x, w = image(40, 41), box((5, 7), 0.3)
    before = summed(np.pad(x, 3, mode), w)
    assert summed(x, w, padding=3, padding_mode=mode).tobytes() == before.tobytes()
    constant = summed(np.pad(x, 3, constant_values=2), w)
    assert summed(x, w, padding=3, padding_value=2.0).tobytes() == constant.tobytes()
    problem = problem_of(x.shape, w, padding=9)
    assert decided(problem).copied
    np.testing.assert_array_equal(summed(x, w, padding=9), summed(np.pad(x, 9), w))


def test_what_is_no_box_is_not_summed_up() -> None:
    """Strides, dilations and several channels of a filter take other ways; so do weights that differ at all."""
    w = box((5, 5), 0.3)
    for options in ({"stride": 2}, {"dilation": (1, 2)}):
        assert decide(problem_of((40, 40), w, **options), host()) is None
    shared = np.repeat(w, 2, axis=1)
    assert decide(problem_of((2, 40, 40), shared), host()) is None
    assert decide(make_problem((40, 40), w.shape, w.dtype, w.dtype, kernel_rank=1), host()) is None
    other = w.copy()
    other[0, 0, 4, 4] = np.nextafter(w[0, 0, 4, 4], 1)
    assert are_boxes(w, "strict")
    assert not are_boxes(other, "fast")
    assert "boxes: sums" not in str(plan((1, 1, 300, 300), other))


def test_plans_and_calls_take_them() -> None:
    """What is printed, and that a call of a large image has the bits of a plan."""
    x, w = image(1, 1, 400, 401), box((15, 15), 1 / 225)
    prepared = plan(x.shape, w, padding=7)
    assert "  → separable  boxes: sums of windows that double, 12 sums a position instead of 225" in str(prepared)
    whole = prepared(x)
    for _ in range(3):
        assert conv2d(x, w, padding=7).tobytes() == whole.tobytes()
    gauss = np.outer(*[np.exp(-(np.linspace(-2, 2, 15) ** 2))] * 2).astype("f4")[None, None]
    for each in (gauss, w, gauss, w):
        exact = conv2d(x.astype(float), each.astype(float), padding=7, algorithm="implicit")
        np.testing.assert_allclose(conv2d(x, each, padding=7), exact, rtol=0, atol=1e-5 * np.abs(exact).max())


# Rounding.


def plain(x: Array, weight: Any, kernel: tuple[int, int]) -> Array:
    """Return a box's products with an image in its dtype, summed one after another."""
    rows, columns = (n - k + 1 for n, k in zip(x.shape, kernel, strict=True))
    total = np.zeros((rows, columns), x.dtype)
    for i, j in np.ndindex(*kernel):
        total += x[i : i + rows, j : j + columns] * weight
    return total


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_precision_is_as_promised(dtype: str) -> None:
    """What "strict" admits rounds no more than plain sums, for all pixels; and the prediction is near."""
    rng = np.random.default_rng(3)
    pixels = (
        rng.standard_normal((120, 120)),
        np.maximum(rng.standard_normal((120, 120)), 0),
        rng.random((120, 120)) * (1 - 2 * (np.indices((120, 120)).sum(0) % 2)),
    )
    for kernel, weight in (((3, 3), 0.25), ((5, 9), 0.3), ((15, 15), 0.3), ((31, 31), 0.3)):
        w = box(kernel, weight, dtype=dtype)
        assert are_boxes(w, "strict")
        for each, law in zip(pixels, PIXELS, strict=True):
            x = each.astype(dtype)
            exact = w[0, 0, 0, 0].astype(np.longdouble) * windows(x, kernel, ((0, 0), (0, 0))).sum((-2, -1))
            mine, others = (
                float(np.sqrt(np.mean(np.square(way - exact))))
                for way in (summed(x, w), plain(x, w[0, 0, 0, 0], kernel))
            )
            assert mine <= 1.05 * others, (kernel, mine / others)
            sums, last = square_of_sums(kernel, *law)
            predicted = unit(w[0, 0]) * weight * np.sqrt(sums + (weight != 0.25) * last)
            assert 0.6 * predicted <= mine <= 1.5 * predicted, (kernel, mine / predicted)


def test_the_smallest_boxes_are_not_strict() -> None:
    """Roundings of few sums and a product are about those of the products; with a power of two there are fewer."""
    for kernel, weight, strict in (
        ((2, 2), 0.3, False),
        ((3, 3), 0.3, False),
        ((3, 3), 0.25, True),
        ((5, 5), 0.3, True),
    ):
        assert are_boxes(box(kernel, weight), "strict") is strict
        assert are_boxes(box(kernel, weight), "native")


# Machines.


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_kernels_for_every_cpu(dtype: str, name: str) -> None:
    """LLVM takes and compiles them for CPUs that are not here."""
    problem = problem_of((40, 41), box((5, 31), 1, dtype=dtype), activation="sigmoid")
    (kernel,) = DecidedBoxes(problem, decided(problem, NAMED[name]), 1).kernels()
    assert kernel.name in assembly(kernel, NAMED[name])


def boxes_against_forbidden_pages() -> None:
    """Sum where a byte too much is the end of the process."""
    rooms = [against_forbidden_pages(20 * PAGE) for _ in range(2)]
    for side, kernel, (rows, columns), pad in itertools.product(
        (0, 1), ((3, 3), (15, 9), (2, 33)), ((33, 40), (41, 37), (34, 100)), (0, 1)
    ):
        x, w = image(rows, columns), box(kernel, 0.3)
        pads = tuple((pad * (k // 2), pad * (k // 2)) for k in kernel)
        problem = problem_of(x.shape, w, padding=pads)
        prepared = PreparedPasses(DecidedBoxes(problem, decided(problem), 1), w, None)
        source = in_room(rooms[0][side], x)
        out = in_room(rooms[1][side], np.zeros(problem.output_shape, "f4"))
        prepared(problem.layout.to_canonical(source), problem.layout.to_canonical(out))
        assert_sums(out, x, np.float32(0.3), kernel, pads)
    sys.stdout.write("every byte in its place\n")


def test_no_byte_beside_the_arrays_is_touched() -> None:
    """What lies before and behind image and result is forbidden."""
    run_alone("test_boxes", "boxes_against_forbidden_pages()")
