"""A first call compiles little, whatever the layer's shape: what is counted is instructions of the kernels' IR."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import im2col
from im2col import conv, conv_input_gradient, conv_transpose, conv_weight_gradient
from im2col.algorithms.implicit import ragged
from im2col.algorithms.implicit.decide import decide
from im2col.algorithms.weight_gradient.decide import decide_gradient, tables_of
from im2col.algorithms.weight_gradient.rows import decide_rows
from im2col.engine import compiler
from im2col.engine.boxes import boxes
from im2col.engine.target import NAMED, host
from im2col.layers.input_gradient import transposed_of
from im2col.layers.product import product_of
from im2col.spec.problem import make_problem

from .kit.convolutions import bits
from .kit.extreme import Extreme, exact, extremes
from .kit.outcomes import missing, require
from .kit.selection import one_in
from .kit.targets import forget_choices, planning_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from im2col.engine.compiler import Kernel
    from im2col.engine.target import Target
    from im2col.spec.problem import Problem

MOST = 13_000
"""Lines of IR of all kernels of a call. Straight code of so many takes half a second to compile, on one core of a Zen 5
0.04 ms a line; loops take twice as long, and their kernels are shorter."""
TARGETS = ("avx512", "avx2", "neon", "sse2")


@pytest.fixture(autouse=True)
def _engine() -> None:
    """Ask for what kernels are written with."""
    require("llvmlite")


def forward_kernels(problems: Iterable[Problem], target: Target) -> dict[Kernel, None]:
    """Return the kernels of convolutions, each once."""
    found: dict[Kernel, None] = {}
    for problem in problems:
        decision = decide(problem, target)
        found |= dict.fromkeys(decision.tables(decision.view).kernels)
    return found


def gradient_kernels(problem: Problem, target: Target) -> dict[Kernel, None]:
    """Return the kernels of a weights' gradient as it is taken: what begins sums, and what goes on with them."""
    decision, rows = decide_gradient(problem, target), decide_rows(problem, target)
    parts = len(list(itertools.islice(boxes((problem.batch, *problem.geometry.output_shape), decision.box), 2)))
    packed = dict.fromkeys(
        kernel for adds in (False, True)[:parts] for kernel in tables_of(decision, decision.box, adds=adds).kernels
    )
    if rows is None or rows.cycles >= decision.cycles:
        return packed
    return dict.fromkeys(rows.tables(1, adds=False).kernels)


def lines(kernels: Iterable[Kernel], target: Target) -> int:
    """Return the lines of IR of kernels."""
    return sum(kernel.ir(target).count("\n") for kernel in kernels)


def check(layer: Extreme, target: Target, dtype: str) -> None:
    """Assert that a convolution and both gradients have short kernels."""
    kind = np.dtype(dtype)
    problem = make_problem(layer.x, layer.w, kind, kind, **layer.options)
    transposed, _ = transposed_of(problem)
    product = product_of(transposed, "auto")
    stages = [product.problem] if product else [phase.problem for phase in transposed.phases]
    assert lines(forward_kernels([problem], target), target) <= MOST, layer
    assert lines(gradient_kernels(problem, target), target) <= MOST, layer
    assert lines(forward_kernels(stages, target), target) <= MOST, layer


@pytest.mark.parametrize("seed", one_in(2, range(4)))
@pytest.mark.parametrize("target", TARGETS)
def test_extreme_layers(target: str, seed: int) -> None:
    """Windows beyond the image, long kernels, large dilations and strides: each kind, in float32 or float64."""
    number = 10 * TARGETS.index(target) + seed
    for layer in itertools.islice(extremes(number), 3):
        check(layer, NAMED[target], ("float32", "float64")[seed % 2])


@pytest.mark.wide
@pytest.mark.parametrize("part", range(10))
def test_two_hundred_extreme_layers(part: int) -> None:
    """The same, many more: twenty a test, for five CPUs in turn."""
    target = ("avx512", "zen4", "avx2", "neon", "sse2")[part % 5]
    dtypes = itertools.cycle(("float32", "float64", "int8"))
    for layer, dtype in zip(itertools.islice(extremes(1000 + part), 20), dtypes, strict=False):
        check(layer, NAMED[target], dtype)


LONG: dict[str, Extreme] = {
    name: Extreme(x, w, {"stride": (1,) * k, "dilation": (1,) * k, "groups": 1, "padding": padding, "layout": layout})
    for name, k, x, w, padding, layout in (
        ("64 by 64 over 8 by 8", 2, (1, 1, 8, 8), (1, 1, 64, 64), "full", "NCHW"),
        ("256 by 256 over 8 by 8", 2, (1, 1, 8, 8), (1, 1, 256, 256), "full", "NCHW"),
        ("1001 taps, channels last", 1, (1, 16000, 8), (8, 8, 1001), "same", "NWC"),
        ("4001 taps", 1, (1, 16000, 1), (1, 1, 4001), "same", "NWC"),
        ("a window of 1001 rows", 2, (1, 2, 4000, 3), (3, 2, 1001, 1), "same", "NCHW"),
        ("few filters", 2, (1, 3, 60, 60), (3, 3, 31, 31), ((0, 0), (0, 0)), "NCHW"),
        ("a cube in a cube", 3, (1, 9, 9, 9, 2), (5, 2, 14, 14, 14), "full", "NDHWC"),
    )
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", LONG)
def test_long_windows(name: str, target: str) -> None:
    """Impulse responses, template matching, heads of networks."""
    check(LONG[name], NAMED[target], "float32")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("channels", "filters", "side", "kernel", "stride"),
    [(1, 37, 21, (22, 22), 4), (1, 37, 17, (11, 7), 3), (1, 37, 52, (19, 19), 2), (64, 64, 17, (19, 19), 2)],
)
def test_phases_that_differ(
    channels: int, filters: int, side: int, kernel: tuple[int, int], stride: int, target: str
) -> None:
    """Every phase of a transpose may have kernels of its own; all of them together are short."""
    shape = tuple((side - 1) * stride + k for k in kernel)
    kind = np.dtype(np.float32)
    problem = make_problem((1, filters, *shape), (channels, filters, *kernel), kind, kind, stride=(stride, stride))
    transposed, _ = transposed_of(problem)
    assert product_of(transposed, "auto") is None
    assert lines(forward_kernels([phase.problem for phase in transposed.phases], NAMED[target]), NAMED[target]) <= MOST


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Kernel]]:
    """Give the kernels that this process loads, as if it had loaded none before."""
    found: list[Kernel] = []
    link = compiler._link

    def noted(kernel: Kernel, code: bytes, target: Target) -> Callable[..., None]:
        found.append(kernel)
        return link(kernel, code, target)

    compiler._reset()
    forget_choices()
    monkeypatch.setattr(compiler, "_link", noted)
    yield found
    forget_choices()


def calls_of(layer: Extreme) -> dict[str, Callable[[], Any]]:
    """Return the public calls of a layer, by their names."""
    ones = np.ones(layer.x, np.float32), np.ones(layer.w, np.float32)
    o = layer.options
    shape = (1, len(ones[1]), *layer.output) if o["layout"][1] == "C" else (1, *layer.output, len(ones[1]))
    grad = np.ones(shape, np.float32)
    without = {key: value for key, value in o.items() if key != "padding"}
    return {
        "conv": lambda: conv(*ones, **o),
        "plan": lambda: im2col.plan(layer.x, ones[1], **o),
        "conv_input_gradient": lambda: conv_input_gradient(grad, ones[1], layer.x, **o),
        "conv_weight_gradient": lambda: conv_weight_gradient(ones[0], grad, layer.w[2:], **o),
        "conv_transpose": lambda: conv_transpose(grad, ones[1], **without),
    }


@pytest.mark.parametrize("call", ["conv", "plan", "conv_input_gradient", "conv_weight_gradient", "conv_transpose"])
@pytest.mark.parametrize("name", ["64 by 64 over 8 by 8", "a window of 1001 rows", "few filters"])
def test_all_kernels_of_a_first_call(name: str, call: str, loaded: list[Kernel]) -> None:
    """Those of a public call, together: of the copies, the product and the sums."""
    calls_of(LONG[name])[call]()
    assert loaded
    assert lines(loaded, host()) <= MOST


def small(count: int) -> list[Extreme]:
    """Return layers that an oracle computes in no time."""
    taken = (layer for layer in extremes(7, 0.2) if layer.products < 1 << 20 and math.prod(layer.w[2:]) < 1500)
    return list(itertools.islice(taken, count))


def agrees(layer: Extreme) -> None:
    """Assert that the engine computes what the definition says, in small integers."""
    random = np.random.default_rng(len(layer.x))
    x, w = (random.integers(-3, 4, shape).astype(np.float32) for shape in (layer.x, layer.w))
    result = conv(x, w, algorithm="implicit", **layer.options)
    np.testing.assert_array_equal(result, exact(layer, x, w), err_msg=str(layer))


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("target", ["host", "avx2"])
def test_ragged_borders_compute_the_same(target: str, first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every border is cut as those of windows longer than the image are: against sums over slices of a padded image."""
    monkeypatch.setattr(ragged, "_MOST_STEPS", -1)
    cpu = host() if target == "host" else NAMED["avx2"]
    if cpu.vector_bytes > host().vector_bytes or cpu.triple.split("-")[0] != host().triple.split("-")[0]:
        missing("this machine is no such CPU")
    with planning_for(cpu):
        for layer in small(10)[first::2]:
            agrees(layer)


def test_ragged_borders_of_depthwise_layers() -> None:
    """Impulse responses, one for each of many channels, that lie along the lanes."""
    options: dict[str, Any] = {"stride": (1,), "dilation": (1,), "groups": 24, "padding": "same", "layout": "NWC"}
    layer, kind = Extreme((1, 160, 24), (24, 1, 201), options), np.dtype(np.float32)
    kernels = forward_kernels([make_problem(layer.x, layer.w, kind, kind, **options)], NAMED["avx512"])
    assert {kernel.parameters[0].ragged for kernel in kernels} == {True}
    agrees(layer)


@pytest.mark.wide
def test_extreme_layers_compute_the_same() -> None:
    """As they come, many."""
    for layer in small(60):
        agrees(layer)


@pytest.mark.parametrize("layout", ["NWC", "NCW"])
def test_ragged_borders_do_not_depend_on_threads(layout: str) -> None:
    """Nor on the images beside."""
    random = np.random.default_rng(3)
    x = random.standard_normal((3, 700, 8) if layout == "NWC" else (3, 8, 700)).astype(np.float32)
    w = random.standard_normal((12, 8, 501)).astype(np.float32)
    whole = conv(x, w, padding="same", layout=layout, threads=1, algorithm="implicit")
    assert bits(conv(x, w, padding="same", layout=layout, threads=3, algorithm="implicit")) == bits(whole)
    assert bits(conv(x[1:2], w, padding="same", layout=layout, threads=2, algorithm="implicit")) == bits(whole[1:2])
