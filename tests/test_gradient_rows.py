"""The weights' gradient by tiles that walk rows of the map: each tile and edge; pages; bits; what is chosen."""

from __future__ import annotations

import itertools
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import im2col
from im2col import conv_weight_gradient
from im2col.algorithms.weight_gradient import row_shapes, rows
from im2col.algorithms.weight_gradient.decide import decide_gradient
from im2col.algorithms.weight_gradient.prepared import DecidedRows, PreparedRows
from im2col.algorithms.weight_gradient.row_shapes import RowShape, candidates, pieces, segments
from im2col.algorithms.weight_gradient.rows import RowDecision, decide_rows
from im2col.engine import compiler
from im2col.engine.target import NAMED
from im2col.spec.geometry import Geometry
from im2col.spec.problem import make_problem

from .kit.layers import Case, last, problem_of
from .kit.memory import PAGE, against_forbidden_pages, in_room
from .kit.outcomes import require
from .kit.processes import run_alone
from .kit.strategies import numbers
from .kit.targets import planning_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from im2col.engine.target import Target
    from im2col.spec.problem import Problem

    Array = NDArray[Any]

CASES = {
    "a head": Case((9, 37), (3, 3), padding=1, channels=21, filters=3),
    "one filter, 1×1": Case((11, 13), (1, 1), channels=37, filters=1, batch=2),
    "stride 2": Case((12, 39), (3, 3), stride=2, padding=1, channels=18, filters=2),
    "stride 3 along rows": Case((7, 67), (2, 2), stride=(1, 3), channels=5, filters=4),
    "dilated": Case((9, 40), (3, 3), dilation=(2, 9), padding=((2, 1), (9, 7)), channels=4, filters=2),
    "long rows of the window": Case((5, 50), (2, 11), padding=((0, 1), (5, 5)), channels=3, filters=5),
    "padding alone at the ends": Case((4, 5), (3, 3), padding=4, dilation=(1, 2), channels=3, filters=2),
    "depthwise": Case((8, 35), (3, 3), padding=1, groups=21),
    "grouped": Case((8, 20), (3, 3), padding=1, groups=3, channels=5, filters=2),
    "two of each a group": Case((5, 19), (1, 2), groups=3, channels=2, filters=2),
    "three axes": Case((3, 5, 18), (2, 3, 3), padding=1, channels=3, filters=2, batch=2),
    "one axis": Case((75,), (5,), stride=2, padding=2, channels=6, filters=2, batch=3),
}


def targets() -> list[Target]:
    """Return the CPU that is here, and an older one whose instructions it has."""
    here = compiler.usable_target()
    assert here is not None
    older = [NAMED["avx2"]] if here.vector_bytes > NAMED["avx2"].vector_bytes else []
    return [here, *older]


def asked(case: Case, dtype: str = "float32") -> Problem:
    """Return the problem of a case, as the gradient of its weights is asked for."""
    return problem_of(case, dtype, gradient=True)


def operands(problem: Problem) -> tuple[Array, Array]:
    """Return an image and a gradient of small integers, in the problem's layout."""
    return numbers(problem.x_shape, problem.x_dtype, 0), numbers(problem.output_shape, problem.x_dtype, 1)


def right(problem: Problem, x: Array, grad: Array) -> Array:
    """Return the gradient of the weights, tap by tap, from an image that is padded with zeros."""
    p, g = problem, problem.geometry
    image = np.pad(p.layout.to_canonical(x).astype(np.float64), ((0, 0), (0, 0), *g.padding))
    grads = p.layout.to_canonical(grad).astype(np.float64)
    grouped = image.reshape(p.batch, p.groups, p.group_channels, *image.shape[2:])
    maps = grads.reshape(p.batch, p.groups, p.group_filters, -1)
    result = np.empty((p.groups, p.group_filters, p.group_channels, *g.kernel_size))
    for tap in np.ndindex(*g.kernel_size):
        seen: list[Any] = [
            slice(t * d, t * d + s * n, s) for t, d, s, n in zip(tap, g.dilation, g.stride, g.output_shape, strict=True)
        ]
        pixels = grouped[(..., *seen)].reshape(p.batch, p.groups, p.group_channels, -1)
        result[(..., *tap)] = np.einsum("ngfp,ngcp->gfc", maps, pixels)
    return result.reshape(p.filters, p.group_channels, *g.kernel_size)


def run(decision: RowDecision, x: Array, grad: Array, threads: int = 1) -> Array:
    """Return what a decision computes, into a result that held NaN, or ones."""
    p = decision.problem
    junk = np.nan if p.dtype.kind == "f" else 1
    out = np.full((p.filters, p.group_channels, *p.geometry.kernel_size), junk, p.dtype)
    PreparedRows(DecidedRows(decision, threads))(p.layout.to_canonical(x), p.layout.to_canonical(grad), out)
    return out


def decided(problem: Problem, target: Target) -> RowDecision:
    """Return the decision that there must be."""
    decision = decide_rows(problem, target)
    assert decision is not None
    return decision


def some(decision: RowDecision, most: int) -> Iterator[RowDecision]:
    """Yield the decision with some of the tiles that there are, with lanes of each kind and of each length."""
    found: dict[tuple[bool, int], list[RowShape]] = {}
    for _, shape in candidates(decision.view, decision.group, 1, decision.paired, decision.target):
        found.setdefault((shape.summed, shape.lanes), []).append(shape)
    for shapes in found.values():
        for shape in shapes[:: -(-len(shapes) // most)]:
            yield decision._replace(shape=shape)


@pytest.fixture(autouse=True)
def _engine() -> None:
    """Ask for what kernels are written with."""
    require("llvmlite")


@pytest.mark.parametrize("layout", ["first", "last"])
@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("first", [0, 1])
def test_every_tile(first: int, name: str, older: bool, layout: str) -> None:
    """Whichever tile is taken, of those that fit the registers: each weight is its sum, exactly."""
    case = CASES[name]
    problem = asked(case if layout == "first" else last(case))
    x, grad = operands(problem)
    expected = right(problem, x, grad)
    for decision in itertools.islice(some(decided(problem, targets()[-1 if older else 0]), 2), first, None, 2):
        np.testing.assert_array_equal(run(decision, x, grad), expected, err_msg=str(decision.shape))


@given(data=st.data())
def test_segments_cut_a_row(data: st.DataObject) -> None:
    """Step by step and tap by tap, a mask holds the pixels that are there, and all elements where all may be read."""
    kernel, dilation, stride = (data.draw(st.integers(1, most)) for most in (9, 6, 4))
    before, after = (data.draw(st.integers(0, 12)) for _ in range(2))
    span = dilation * (kernel - 1) + 1
    n = data.draw(st.integers(max(1, span - before - after), 90))
    g = Geometry((n,), (kernel,), (stride,), ((before, after),), (dilation,))
    shape = RowShape(
        data.draw(st.sampled_from([4, 8, 16])), data.draw(st.booleans()), 1, 1, data.draw(st.integers(1, 9))
    )
    step, elements = (shape.lanes, shape.lanes * stride) if shape.summed else (1, 1)
    (out,) = g.output_shape
    taps: list[int] = []
    for first, count in pieces(kernel, shape.taps):
        taps += range(first, first + count)
        found = segments(g, shape, first, count)
        if sum(steps for steps, _ in found) != -(-out // step):  # too many for a kernel
            assert len(found) > 32
            continue
        assert all(segment.single == (steps == 1) for steps, segment in found)
        each = [segment for steps, segment in found for _ in range(steps)]
        for i, segment in enumerate(each):
            assert segment.positions == min(step, out - i * step)
            for tap, seen in zip(range(first, first + count), segment.seen, strict=True):
                start = i * step * stride + tap * dilation - before
                if segment.positions == step and 0 <= start <= n - elements:
                    assert seen == (1 << elements) - 1
                else:
                    there = [0 <= start + lane * stride < n for lane in range(segment.positions)]
                    assert seen == sum(1 << lane * stride for lane, inside in enumerate(there) if inside)
    assert taps == list(range(kernel))


@pytest.mark.parametrize("layout", ["first", "last"])
@pytest.mark.parametrize("columns", [1, 7, 8, 15, 16, 17, 31, 33, 64])
def test_every_length_of_a_row(columns: int, layout: str) -> None:
    """Rows that fill their vectors, and rows that do not, with windows over both borders."""
    case = Case((3, columns), (3, 3), padding=1, channels=3, filters=2)
    problem = asked(case if layout == "first" else last(case))
    x, grad = operands(problem)
    result = conv_weight_gradient(x, grad, 3, padding=1, layout=problem.layout.axes, algorithm="implicit")
    np.testing.assert_array_equal(result, right(problem, x, grad))
    for decision in some(decided(problem, targets()[0]), 1):
        np.testing.assert_array_equal(run(decision, x, grad), right(problem, x, grad))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(
    ("x_dtype", "grad_dtype", "mode"),
    [
        ("float32", "float32", "reflect"),
        ("float32", "float32", "constant"),
        ("float16", "float16", "constant"),
        ("float16", "float32", "edge"),
        ("int64", "uint64", "wrap"),
        ("float32", "int8", "constant"),
    ],
)
def test_copies(x_dtype: str, grad_dtype: str, mode: str, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Padding that is no zero, and numbers that are not the sums' own, are read from a copy of some images."""
    case = Case((9, 37), (3, 3), padding=((1, 2), (2, 1)), channels=5, filters=2, batch=3, layout=layout)
    x_shape = case.x_shape
    options: Any = {"padding": case.padding, "padding_mode": mode, "layout": layout}
    value = 3 if mode == "constant" and x_dtype == "float32" else 0
    problem = make_problem(
        x_shape, (2, 5, 3, 3), np.dtype(x_dtype), np.dtype(grad_dtype), padding_value=value, **options
    )
    x, grad = numbers(x_shape, np.dtype(x_dtype), 0), numbers(problem.output_shape, np.dtype(grad_dtype), 1)
    keywords: Any = {"mode": mode} | ({"constant_values": value} if mode == "constant" else {})
    canonical = np.pad(problem.layout.to_canonical(x), ((0, 0), (0, 0), (1, 2), (2, 1)), **keywords)
    padded = np.ascontiguousarray(canonical if layout == "NCHW" else np.moveaxis(canonical, 1, -1))
    alone = make_problem(padded.shape, (2, 5, 3, 3), np.dtype(x_dtype), np.dtype(grad_dtype), layout=layout)
    expected = right(alone, padded, grad).astype(problem.dtype)
    for most in (1 << 20, 1):
        monkeypatch.setattr(rows, "COPY_BYTES", most)
        decision = decided(problem, targets()[0])
        assert decision.images == (3 if most > 1 or not decision.copied else 1)
        np.testing.assert_array_equal(run(decision, x, grad), expected, strict=True)


@pytest.mark.parametrize("dtype", ["float64", "int16", "int32", "uint64"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_numbers_of_every_kind(dtype: str, layout: str) -> None:
    """Floats of both sizes, and integers over the whole of their range, which wrap around."""
    kind = np.dtype(dtype)
    problem = asked(replace(CASES["a head"], layout=layout), dtype)
    x, grad = operands(problem)
    expected = right(problem, x, grad).astype(np.int64).astype(kind)
    if kind.kind in "iu":
        # 2ⁿ⁻¹ more at each pixel is as much more, or nothing, of a sum of odd or even gradients, modulo 2ⁿ.
        half = np.array(1 << (8 * kind.itemsize - 1), np.uint64).astype(kind)
        x ^= half
        ones = right(problem, np.ones_like(x), grad).astype(np.int64) % 2
        expected ^= np.where(ones != 0, half, np.zeros_like(half))
    np.testing.assert_array_equal(run(decided(problem, targets()[0]), x, grad), expected, strict=True)


@pytest.mark.parametrize("layout", ["first", "last"])
@pytest.mark.parametrize("name", ["a head", "grouped", "depthwise", "three axes", "one axis"])
def test_bands_and_boxes(name: str, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums in many small bands, and some images at a time, that are added up: the same, on any number of threads."""
    case = replace(CASES[name], batch=3)
    problem = asked(case if layout == "first" else last(case))
    x, grad = operands(problem)
    whole = decided(problem, targets()[0])
    monkeypatch.setattr(row_shapes, "MOST_TERMS", 4)
    decision = whole._replace(images=2)
    expected = right(problem, x, grad)
    for threads in (1, 2, 5):
        np.testing.assert_array_equal(run(decision, x, grad, threads), expected)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_long_sums_keep_their_digits(layout: str) -> None:
    """A sum of 2²⁰ equal numbers, none of which a float holds exactly, errs as one of some thousand does."""
    shape = {"N": 1, "C": 16, "H": 1024, "W": 1024}
    x = np.full([shape[axis] for axis in layout], 0.1, np.float32)
    grad = np.ones([shape[axis] if axis != "C" else 1 for axis in layout], np.float32)
    result = conv_weight_gradient(x, grad, 1, layout=layout, algorithm="implicit")
    exact = 2.0**20 * float(np.float32(0.1))
    # A band's terms, and as many bands as there are then.
    bound = (row_shapes.MOST_TERMS + 2**20 / row_shapes.MOST_TERMS) * np.finfo(np.float32).eps / 2 * exact
    assert np.abs(result - exact).max() <= bound


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("layout", ["first", "last"])
@pytest.mark.parametrize("name", ["a head", "stride 2", "dilated", "depthwise"])
def test_pixels_do_not_leak(name: str, layout: str, bad: float) -> None:
    """A pixel that is no number reaches the weights that meet it and no other, from the corners too."""
    case = CASES[name]
    problem = asked(case if layout == "first" else last(case))
    x, grad = operands(problem)
    grad = np.abs(grad) + 1
    clean = right(problem, x, grad)
    height, width = case.spatial
    for row, column in ((0, 0), (height - 1, width - 1), (height // 2, width - 2)):
        dirty, only = x.copy(), np.zeros_like(x)
        for array, value in ((dirty, bad), (only, 1)):
            problem.layout.to_canonical(array)[0, 1, row, column] = value
        reached = right(problem, only, grad) != 0
        for decision in some(decided(problem, targets()[0]), 1):
            result = run(decision, dirty, grad)
            assert not np.isfinite(result[reached]).any()
            np.testing.assert_array_equal(result[~reached], clean[~reached])


def gradients_against_forbidden_pages() -> None:
    """Compute gradients where a byte too much is the end of the process."""
    rooms = [against_forbidden_pages(16 * PAGE) for _ in range(3)]
    for side, name, turned in itertools.product((0, 1), CASES, (False, True)):
        case = replace(CASES[name], batch=1)
        problem = asked(last(case) if turned else case)
        sys.stdout.write(f"{'before the end' if side == 0 else 'after the start'} of a page: {name}, {turned}\n")
        sys.stdout.flush()
        x, grad = operands(problem)
        expected = right(problem, x, grad).astype(np.float32)
        x, grad, out = (in_room(pair[side], a) for pair, a in zip(rooms, (x, grad, expected), strict=True))
        for decision in some(decided(problem, targets()[0]), 1):
            out[...] = np.nan
            to_canonical = problem.layout.to_canonical
            PreparedRows(DecidedRows(decision, 1))(to_canonical(x), to_canonical(grad), out)
            assert out.tobytes() == expected.tobytes()
    sys.stdout.write("every byte in its place\n")


@pytest.mark.skipif(os.name != "posix", reason="mprotect is POSIX")
def test_no_page_beside_an_array_is_touched() -> None:
    """No tile reads or writes a byte beside image, gradient or result, not even one that it then ignores."""
    run_alone("test_gradient_rows", "gradients_against_forbidden_pages()")


@pytest.mark.parametrize("target", ["avx512", "avx2"])
def test_heads_take_no_lanes_for_filters(target: str) -> None:
    """Of one to four filters, in both layouts, and depthwise; many filters of channels first keep the lanes."""
    for filters, layout in itertools.product((1, 2, 3, 4), ("NCHW", "NHWC")):
        case = Case((28, 28), (3, 3), padding=1, channels=64, filters=filters, layout=layout)
        problem = asked(case)
        assert decided(problem, NAMED[target]).cycles < decide_gradient(problem, NAMED[target]).cycles
    many = asked(Case((14, 14), (3, 3), padding=1, channels=64, filters=256))
    found = decide_rows(many, NAMED[target])
    assert found is None or found.cycles > decide_gradient(many, NAMED[target]).cycles


def test_a_plan_tells_the_tile() -> None:
    """What lies along the lanes, and how many of all the others."""
    with planning_for(NAMED["avx512"]):
        plans = [im2col.plan_weight_gradient(shape, 1, 3, padding=1, layout=layout) for shape, layout in SHAPES]
    for plan, words in zip(
        plans, ("positions along the lanes, 1 filters × ", "channels along the lanes, 1 filters × 3 taps"), strict=True
    ):
        assert words in str(plan)


SHAPES = (((1, 64, 28, 28), "NCHW"), ((1, 28, 28, 64), "NHWC"))
