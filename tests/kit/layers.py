"""Layers as data, and how a convolution through the view is judged."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from im2col import conv, plan
from im2col.algorithms.implicit.tiles.filters import FilterShape
from im2col.engine.target import host
from im2col.spec.problem import Problem, make_problem

from .convolutions import result_dtype
from .memory import PAGE, Array, against_forbidden_pages, in_room
from .oracles import Window, activated, layer_sums
from .strategies import BFLOAT16, MEMORY_ORDERS
from .targets import planning_for, with_kinds, without_whole_windows

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Case:
    """A layer, and where its arrays lie. `layout` of any axes; sizes are those of one group."""

    spatial: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...] | int = 1
    padding: tuple[tuple[int, int], ...] | int = 0
    dilation: tuple[int, ...] | int = 1
    batch: int = 1
    groups: int = 1
    channels: int = 1
    filters: int = 1
    layout: str | None = None
    dtype: str = "float32"
    w_dtype: str | None = None
    mode: str = "constant"
    value: float = 0
    flip: bool = False
    bias: bool = False
    activation: Any = None
    threads: int = 1
    x_order: str = "C"
    out_order: str | None = None
    seed: int = 0

    @property
    def axes(self) -> str:
        """The layout's letters."""
        return self.layout or "NC" + {1: "W", 2: "HW", 3: "DHW"}[len(self.spatial)]

    @property
    def window(self) -> Window:
        """The window, in plain numbers."""
        each = len(self.spatial)
        stride, dilation = ((v,) * each if isinstance(v, int) else v for v in (self.stride, self.dilation))
        padding = ((self.padding, self.padding),) * each if isinstance(self.padding, int) else self.padding
        return Window(self.spatial, self.kernel, stride, padding, dilation)

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of the image."""
        sizes = dict(zip((a for a in self.axes if a not in "NC"), self.spatial, strict=True))
        sizes |= {"N": self.batch, "C": self.groups * self.channels}
        return tuple(sizes[a] for a in self.axes)

    @property
    def options(self) -> dict[str, Any]:
        """What `im2col.conv` is called with, besides arrays, threads and algorithm."""
        window = self.window
        return {
            "stride": window.stride,
            "padding": window.padding,
            "dilation": window.dilation,
            "groups": self.groups,
            "layout": self.axes,
            "padding_mode": self.mode,
            "padding_value": self.value,
            "flip": self.flip,
            "activation": self.activation,
        }

    def arrays(self) -> tuple[Array, Array, Array | None]:
        """Return image, filters and bias: normal floats, integers of the whole range."""
        rng = np.random.default_rng(self.seed)
        x = anything(rng, self.x_shape, dtype_of(self.dtype))
        if self.x_order == "broadcast" and x.size:
            x = np.broadcast_to(x[:1], x.shape)
        elif self.x_order == "within":
            x = within(x)[1]
        elif self.x_order != "broadcast":
            x = MEMORY_ORDERS[self.x_order](x)
        w_dtype = dtype_of(self.w_dtype or self.dtype)
        w = anything(rng, (self.groups * self.filters, self.channels, *self.kernel), w_dtype)
        bias = anything(rng, (len(w),), w_dtype) if self.bias else None
        return x, w, bias


def dtype_of(name: str) -> np.dtype[Any]:
    """Return a dtype by its name, bfloat16 among them."""
    return BFLOAT16 if name == "bfloat16" else np.dtype(name)


def anything(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return normal floats, or integers of the whole range of a dtype, its ends among them."""
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        values = rng.integers(info.min, info.max, shape, dtype, endpoint=True)
        return np.where(rng.random(shape) < 0.1, rng.choice(np.array([info.min, info.max], dtype), shape), values)
    return rng.standard_normal(shape).astype(dtype)


def within(x: Array) -> tuple[Array, Array]:
    """Return a larger array of ones, and the view in its midst that now equals `x`."""
    whole = np.ones([n + 5 for n in x.shape], x.dtype)
    view = whole[tuple(slice(2, 2 + n) for n in x.shape)]
    view[...] = x
    return whole, view


def expected(case: Case, x: Array, w: Array, bias: Array | None) -> tuple[Array, Array]:
    """Return what a case's result must be, and by how much each of its floats may differ from that.

    A sum of n products, in any order, is within (n + 2)·ε·Σ|x·w| of the exact one. No activation is steeper than 3/2,
    and computing it costs a few roundings more; the store rounds once.
    """
    sums, sizes = layer_sums(
        x, w, bias, case.axes, case.window, groups=case.groups, mode=case.mode, value=case.value, flip=case.flip
    )
    dtype = result_dtype(*(a.dtype.newbyteorder("=") for a in (x, w)))
    name, slope = case.activation if isinstance(case.activation, tuple) else (case.activation, 0.0)
    if dtype.kind in "iu":
        return activated(sums.astype(dtype), name), np.zeros(sums.shape)
    terms = case.channels * math.prod(case.kernel) + 1
    short = dtype.itemsize == 2
    epsilon = float(np.finfo(np.float32 if short else dtype).eps)
    stored = 2.0**-8 if dtype == BFLOAT16 else float(np.finfo(dtype).eps) if short else 0.0
    result = activated(sums, name, slope)
    bound = 1.5 * (terms + 2) * epsilon * sizes + (stored + 8 * epsilon) * np.abs(result).astype(float)
    smallest = 2.0**-24 if dtype == np.float16 else 1e-37
    return result, bound + smallest


def assert_within(result: Array, exact: Array, bound: Array) -> None:
    """Assert that no element differs from the exact one by more than its bound."""
    assert result.shape == exact.shape
    if result.dtype.kind in "iu":
        np.testing.assert_array_equal(result, exact, strict=True)
        return
    wide = result.astype(exact.dtype)
    with np.errstate(all="ignore"):
        wrong = ~(np.abs(wide - exact) <= bound)
    if wrong.any():
        first = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise AssertionError(
            f"{np.count_nonzero(wrong)} of {wrong.size} wrong, the first at {first}: {wide[first]} instead of "
            f"{exact[first]} ± {bound[first]:.3g}"
        )


def judge(case: Case, algorithm: str = "implicit") -> Array:
    """Convolve one case and judge the result; return it.

    An `out` is filled with NaN before, or with the largest integer, and what lies around it must not change.
    """
    x, w, bias = case.arrays()
    exact, bound = expected(case, x, w, bias)
    dtype = result_dtype(*(a.dtype.newbyteorder("=") for a in (x, w)))
    out = whole = None
    if case.out_order is not None:
        junk = np.full(exact.shape, np.iinfo(dtype).max if dtype.kind in "iu" else np.nan, dtype)
        whole, out = within(junk) if case.out_order == "within" else (None, MEMORY_ORDERS[case.out_order](junk))
    result = conv(x, w, bias, algorithm=algorithm, threads=case.threads, out=out, **case.options)
    assert out is None or result is out
    assert result.dtype == dtype
    assert_within(result, exact, bound)
    if whole is not None:
        written = np.zeros(whole.shape, bool)
        within_it = tuple(slice(2, 2 + n) for n in exact.shape)
        written[within_it] = True
        assert (whole[~written] == 1).all(), "something beside the result was written"
    return result


def assert_same_bits(case: Case) -> None:
    """Assert that threads, the batch, a plan, and where the arrays lie change no bit of a result."""
    case = replace(case, batch=3 if "N" in case.axes else 1, threads=1, x_order="C", out_order=None)
    x, w, bias = case.arrays()
    once = conv(x, w, bias, algorithm="implicit", threads=1, **case.options)
    for threads in (2, 3, 5):
        assert conv(x, w, bias, algorithm="implicit", threads=threads, **case.options).tobytes() == once.tobytes()
    prepared = plan(case.x_shape, w, bias, x_dtype=x.dtype, algorithm="implicit", threads=2, **case.options)
    assert prepared(x).tobytes() == once.tobytes()
    assert prepared(x, within(once)[1]).tobytes() == once.tobytes()
    assert prepared(within(x)[1]).tobytes() == once.tobytes()
    if "N" in case.axes:
        axis = case.axes.index("N")
        for n in range(3):
            alone = conv(x.take([n], axis), w, bias, algorithm="implicit", threads=1 + n, **case.options)
            assert alone.tobytes() == once.take([n], axis).tobytes()


LAYERS = {
    "dense": Case((14, 13), (3, 3), padding=1, channels=32, filters=48),
    "dense, many filters": Case((5, 6), (3, 3), channels=9, filters=200),
    "dense 5×5": Case((9, 11), (5, 5), padding=2, channels=16, filters=24),
    "1×1": Case((13, 11), (1, 1), channels=64, filters=40),
    "1×1, stride 2": Case((13, 11), (1, 1), stride=2, channels=24, filters=40),
    "1×1, many channels": Case((4, 4), (1, 1), channels=1100, filters=10),
    "1×1, one pixel": Case((1, 1), (1, 1), channels=70, filters=130),
    "whole image": Case((7, 7), (7, 7), channels=20, filters=33),
    **{f"stride {s}": Case((23, 29), (3, 3), stride=(s, s), padding=1, channels=8, filters=16) for s in range(2, 6)},
    "stride 1 by 4": Case((9, 31), (2, 3), stride=(1, 4), channels=3, filters=5),
    "stride beyond the kernel": Case((29, 31), (2, 2), stride=(7, 5), channels=3, filters=5),
    "dilated": Case((23, 21), (3, 3), dilation=(2, 3), padding=3, channels=16, filters=16),
    "dilated by 12": Case((33, 33), (3, 3), dilation=(12, 12), padding=12, channels=16, filters=17),
    "dilated and strided": Case((30, 31), (3, 2), dilation=(3, 5), stride=(2, 3), padding=4, channels=5, filters=9),
    "dilated beyond the image": Case((4, 5), (3, 3), dilation=(9, 11), padding=12, channels=3, filters=6),
    "padding only between the taps": Case((3, 3), (2, 2), dilation=(40, 40), padding=40, channels=2, filters=4),
    "stem 7×7": Case((40, 44), (7, 7), stride=2, padding=3, channels=3, filters=64),
    "stem 3×3": Case((33, 31), (3, 3), stride=2, padding=1, channels=3, filters=32),
    "patches 4×4": Case((32, 36), (4, 4), stride=4, channels=3, filters=96),
    **{f"image {k}×{k}": Case((40, 70), (k, k), padding=k // 2) for k in (1, 2, 3, 5, 7, 11, 15, 31)},
    "image 1×31": Case((9, 100), (1, 31), padding=((0, 0), (15, 15))),
    "image 31×1": Case((50, 70), (31, 1), padding=((15, 15), (0, 0))),
    "image, five filters": Case((31, 47), (3, 3), padding=1, filters=5),
    "image, stride 3": Case((31, 97), (3, 3), stride=3, padding=1),
    "one row": Case((1, 70), (1, 3), padding=((0, 0), (1, 1)), channels=2, filters=3),
    "one column": Case((70, 1), (3, 1), padding=((1, 1), (0, 0)), channels=2, filters=3),
    "depthwise": Case((14, 15), (3, 3), padding=1, groups=33),
    "depthwise, stride 2": Case((15, 14), (3, 3), stride=2, padding=1, groups=40),
    "depthwise 5×5": Case((14, 15), (5, 5), padding=2, groups=17),
    "depthwise 7×7": Case((9, 30), (7, 7), padding=3, groups=5),
    "depthwise, a narrow map": Case((9, 5), (3, 3), stride=3, padding=((1, 0), (0, 0)), groups=70),
    "depthwise 1×1": Case((9, 8), (1, 1), groups=19),
    "depthwise, dilated": Case((14, 15), (3, 3), dilation=(2, 2), padding=2, groups=16),
    "depthwise with multiplier": Case((9, 10), (3, 3), padding=1, groups=11, filters=2),
    "depthwise with a large multiplier": Case((9, 10), (3, 3), padding=1, groups=3, filters=20),
    "two groups": Case((9, 10), (3, 3), padding=1, groups=2, channels=16, filters=24),
    "grouped, four channels a group": Case((9, 10), (3, 3), padding=1, groups=8, channels=4, filters=4),
    "grouped, two channels a group": Case((8, 7), (2, 3), stride=2, padding=1, groups=9, channels=2, filters=2),
    "grouped, eight channels a group": Case((6, 11), (3, 3), padding=1, groups=5, channels=8, filters=8),
    "grouped, sixteen filters a group": Case((7, 6), (3, 3), padding=1, groups=3, channels=5, filters=16),
    "grouped, one filter a group": Case((9, 10), (3, 3), padding=1, groups=6, channels=3, filters=1),
    "grouped 1×1": Case((9, 10), (1, 1), groups=5, channels=7, filters=11),
    "1-d": Case((100,), (3,), padding=1, channels=16, filters=20),
    "1-d, long kernel": Case((300,), (80,), stride=4, channels=1, filters=17),
    "1-d, causal": Case((50,), (2,), padding=((8, 0),), dilation=(8,), channels=16, filters=16),
    "1-d, depthwise": Case((60,), (9,), padding=4, groups=21),
    "3-d": Case((5, 8, 9), (3, 3, 3), padding=1, channels=8, filters=16),
    "3-d, strided": Case(
        (7, 8, 9), (3, 2, 3), stride=(2, 1, 2), padding=((1, 0), (1, 2), (0, 1)), channels=3, filters=9
    ),
    "3-d, depthwise": Case((5, 8, 9), (3, 3, 3), padding=1, groups=10),
    "3-d, one channel": Case((5, 8, 40), (3, 3, 3), padding=1),
    "3-d, 1×1×1": Case((5, 4, 7), (1, 1, 1), channels=10, filters=20),
    "4-d": Case((3, 4, 5, 6), (2, 2, 2, 2), padding=1, channels=3, filters=5, layout="NCABDE"),
    "prime channels": Case((5, 7), (3, 3), padding=1, channels=37, filters=41),
    "prime channels 1×1": Case((5, 7), (1, 1), channels=37, filters=41),
    "padding larger than the kernel": Case((6, 5), (2, 3), padding=((7, 4), (6, 9)), channels=3, filters=7),
    "padding on one side": Case((8, 9), (3, 3), padding=((2, 0), (0, 2)), channels=5, filters=8),
    "nothing but padding": Case((1, 1), (1, 1), stride=3, padding=1, channels=3, filters=4),
    "bias and relu": Case((9, 8), (3, 3), padding=1, channels=8, filters=20, bias=True, activation="relu"),
    "batch": Case((7, 9), (3, 3), padding=1, batch=3, channels=6, filters=9),
}
"""By name; in NCHW and its kin."""


def last(case: Case) -> Case:
    """Return a case with its channels last."""
    return replace(case, layout=case.axes.replace("C", "") + "C")


BESIDE = {
    **{name: LAYERS[name] for name in LAYERS if name not in {"1×1, many channels", "image 31×31", "1-d, long kernel"}},
    **{
        f"{name} of {dtype}": replace(LAYERS[name], dtype=dtype)
        for name in (
            "dense",
            "stem 3×3",
            "image 5×5",
            "image, stride 3",
            "depthwise",
            "1×1",
            "stride 4",
            "1-d",
            "grouped, four channels a group",
        )
        for dtype in ("float64", "float16", "bfloat16", "int16", "int8")
    },
    **{
        f"{name}, {mode}": replace(LAYERS[name], mode=mode)
        for mode in ("reflect", "wrap")
        for name in ("dense", "image 3×3", "image 5×5", "image 15×15", "stem 3×3", "depthwise", "depthwise 7×7", "1-d")
    },
}


def convolve_against_forbidden_pages(names: Iterable[str] | None = None) -> None:
    """Convolve where a byte too much is the end of the process; what is being convolved stands on stdout."""
    size = 64 * PAGE
    rooms = [against_forbidden_pages(size) for _ in range(4)]
    for name in BESIDE if names is None else names:
        for case in (BESIDE[name], replace(last(BESIDE[name]), threads=2)):
            case = replace(case, bias=True)  # noqa: PLW2901
            arrays = case.arrays()
            exact, bound = expected(case, *arrays)
            for side, where in enumerate(("before the end", "after the start")):
                sys.stdout.write(f"{where} of a page: {case}\n")
                sys.stdout.flush()
                x, w, bias = (in_room(pair[side], a) for pair, a in zip(rooms, arrays, strict=False) if a is not None)
                out = in_room(rooms[3][side], np.zeros(exact.shape, result_dtype(x.dtype, w.dtype)))
                for _ in range(3):  # a call that comes again may be one call of the engine, the packing included
                    assert_within(conv(x, w, bias, algorithm="implicit", out=out, **case.options), exact, bound)
    sys.stdout.write("every byte in its place\n")


def convolve_against_forbidden_pages_row_by_row(third: int) -> None:
    """Convolve a third of all depthwise layers so, by tiles that loop over the rows of a window."""
    with without_whole_windows():
        convolve_against_forbidden_pages([name for name in LAYERS if "depthwise" in name][third::3])


def convolve_against_forbidden_pages_in_parts() -> None:
    """Convolve layers so, part by part of their taps, as if the second level of cache held a few weights."""
    with with_kinds(FilterShape), planning_for(host()._replace(caches=(4 << 10, 1 << 10, 1 << 20))):
        convolve_against_forbidden_pages(("dense", "1×1", "stride 3", "dense of float64"))


# Layers of real networks and the kinds that they leave out; what they are called does not matter.
BROAD = (
    *(Case((n, n), (3, 3), padding=1, channels=c, filters=c) for n, c in ((56, 64), (28, 128), (14, 256), (7, 512))),
    *(Case((n, n), (3, 3), stride=2, padding=1, channels=c, filters=2 * c) for n, c in ((56, 64), (14, 256))),
    *(Case((n, n), (1, 1), channels=c, filters=f) for n, c, f in ((56, 64, 256), (14, 1024, 256), (7, 160, 960))),
    Case((1, 1), (1, 1), channels=512, filters=1000),
    Case((28, 28), (1, 1), stride=2, channels=256, filters=512),
    Case((224, 224), (7, 7), stride=2, padding=3, channels=3, filters=64),
    Case((224, 224), (3, 3), padding=1, channels=3, filters=64),
    Case((224, 224), (16, 16), stride=16, channels=3, filters=768),
    Case((33, 33), (3, 3), dilation=(6, 6), padding=6, channels=64, filters=64),
    *(Case((512, 512), (k, k), padding=k // 2) for k in (3, 5, 7, 11, 31)),
    Case((300, 300), (3, 3), stride=2, padding=1, filters=5),
    Case((300, 300), (3, 3), stride=3, channels=3, filters=8),
    Case((112, 112), (3, 3), padding=1, groups=32),
    Case((56, 56), (3, 3), stride=2, padding=1, groups=144),
    Case((14, 14), (5, 5), padding=2, groups=480),
    Case((14, 14), (7, 7), padding=3, groups=96),
    Case((14, 14), (3, 3), padding=1, groups=20, filters=2),
    Case((56, 56), (3, 3), padding=1, groups=32, channels=4, filters=4),
    *(Case((n, n), (3, 3), padding=1, groups=32, channels=c, filters=c) for n, c in ((28, 8), (14, 16))),
    Case((28, 28), (3, 3), stride=2, padding=1, groups=32, channels=8, filters=8),
    Case((28, 28), (3, 3), padding=1, groups=8, channels=24, filters=24),
    Case((16000,), (80,), stride=4, channels=1, filters=64),
    Case((500,), (3,), padding=1, channels=256, filters=256),
    Case((16, 56, 56), (3, 3, 3), padding=1, channels=16, filters=32),
    Case((5, 7), (3, 3), padding=1, channels=37, filters=41),
)
"""A layer of every class, in NCHW and its kin."""


def problem_of(case: Case, dtype: str, *, gradient: bool = False) -> Problem:
    """Return the problem of a case, as `im2col.conv` would make it, or `im2col.conv_weight_gradient`."""
    kind = dtype_of(dtype)
    w_shape = (case.groups * case.filters, case.channels, *case.kernel)
    options = case.options | {"layout": case.axes, "activation": None if gradient else "relu"}
    return make_problem(case.x_shape, w_shape, kind, kind, has_bias=not gradient, **options)
