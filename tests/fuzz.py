"""Random layers through the view: how one is drawn, how it is judged, and a script that judges thousands.

``python -m tests.fuzz --cases 20000 --seed 1`` uses every CPU. A case that fails is printed with the command that runs
it alone. Compiling kernels takes most of the time, so cases come in families: what a kernel is specialised for is drawn
once for several cases, and what it meets at run time for each.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import sys
import time
import traceback
from dataclasses import dataclass, replace
from itertools import starmap
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from im2col import conv
from im2col.engine.host import usable_cpus

from .oracles import Window, activated, layer_sums
from .strategies import MEMORY_ORDERS, PADDING_MODES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
FAMILY = 8
"""Cases that share what kernels are specialised for."""
LAYOUTS = {
    1: ("NCW", "NWC", "CW", "WC", "W", "NW", "CWN", "WNC"),
    2: ("NCHW", "NHWC", "CHW", "HWC", "HW", "NHW", "CHWN", "HCW", "NCWH", "HWCN"),
    3: ("NCDHW", "NDHWC", "CDHW", "DHWC", "DHW", "CDHWN", "DCHNW"),
    4: ("NCABDE", "NABDEC"),
}
MOST = {1: 150, 2: 50, 3: 14, 4: 5}
"""Pixels of the last axis, by number of axes; fewer of the others, which kernels are not specialised for."""
OUT_ORDERS = (*sorted(MEMORY_ORDERS.keys() - {"read-only", "swapped"}), "within")
X_ORDERS = (*sorted(MEMORY_ORDERS), "within", "broadcast")


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


def result_dtype(x: np.dtype[Any], w: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype that the rules give the result."""
    eight_bits = {np.dtype(code) for code in "?bB"}
    return np.dtype(np.int32) if {x, w} <= eight_bits else np.result_type(x, w)


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


# Drawing


def pick(rng: np.random.Generator, values: Sequence[Any]) -> Any:
    """Return one of the values; one that stands there twice comes twice as often."""
    return values[int(rng.integers(len(values)))]


def draw_family(rng: np.random.Generator) -> Case:
    """Draw what kernels are specialised for: dtypes, layout, window, channels and filters, activation."""
    ndim = pick(rng, [1, 2, 2, 2, 2, 3, 3, 4])
    kind = pick(
        rng, ["few", "few", "few", "dense", "dense", "depthwise", "depthwise", "grouped", "one by one", "image"]
    )
    layout = pick(rng, LAYOUTS[ndim])
    groups, channels, filters = {
        "few": (1, pick(rng, [1, 2, 3]), pick(rng, [1, 2, 3, 5, 8, 13, 17])),
        "dense": (1, pick(rng, [4, 7, 16, 17]), pick(rng, [1, 6, 16, 23, 31, 33, 48, 64, 65])),
        "depthwise": (pick(rng, [2, 3, 8, 16, 17, 33, 40, 67]), 1, pick(rng, [1, 1, 1, 2, 3])),
        "grouped": (pick(rng, [2, 3, 5]), pick(rng, [1, 2, 4, 5]), pick(rng, [1, 2, 3, 4, 8, 17])),
        "one by one": (pick(rng, [1, 1, 2]), pick(rng, [1, 5, 16, 40]), pick(rng, [1, 3, 16, 40, 70])),
        "image": (1, 1, 1),
    }[kind]
    if "C" not in layout:
        groups = channels = filters = 1
    most = pick(rng, [MOST[ndim], 8])
    kernels = {1: [1, 2, 3, 5, 9], 2: [1, 2, 3, 3, 3, 5], 3: [1, 2, 3], 4: [1, 2]}[ndim]
    if kind == "image":
        kernels = {1: [3, 21, 31], 2: [3, 5, 7, 11, 15], 3: [3], 4: [2]}[ndim]
    kernel = tuple(1 if kind == "one by one" else pick(rng, kernels) for _ in range(ndim))
    strides, dilations = [1, 1, 1, 2, 3, 4, 5], [1, 1, 1, 2, 3, 30]
    integer = rng.random() < 0.25
    dtypes = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool"]
    dtype = pick(rng, dtypes if integer else ["float32"] * 5 + ["float64", "float64", "float16", "bfloat16"])
    mixed = {"uint8": ["int8"], "float32": ["float16", "float64"], "int32": ["int8"], "float16": ["int8"]}
    return Case(
        spatial=tuple(int(rng.integers(1, most, endpoint=True)) for _ in range(ndim)),
        kernel=kernel,
        stride=tuple(pick(rng, strides) for _ in range(ndim)),
        dilation=tuple(1 if k == 1 else pick(rng, dilations) for k in kernel),
        padding=tuple(_pair(rng) if rng.random() < 0.6 else (0, 0) for _ in range(ndim)),
        groups=groups,
        channels=channels,
        filters=filters,
        layout=layout,
        dtype=dtype,
        w_dtype=pick(rng, mixed[dtype]) if dtype in mixed and rng.random() < 0.15 else None,
        bias=bool(rng.random() < 0.5),
        activation=pick(
            rng,
            [None, None, None, "relu", "relu6"]
            + ([] if integer else [("leaky_relu", 0.1), "sigmoid", "silu", "hardswish"]),
        ),
    )


def draw_member(rng: np.random.Generator, family: Case) -> Case:
    """Draw what a family's kernels meet: rows of the image, batch, padding mode, memory, threads, values."""
    last = family.spatial[-1]
    most = min(MOST[len(family.spatial)], 24)
    return fitted(
        replace(
            family,
            spatial=(*(int(rng.integers(1, most, endpoint=True)) for _ in family.spatial[1:]), last),
            batch=pick(rng, [1, 1, 2, 3]),
            mode=pick(rng, ["constant"] * 8 + list(PADDING_MODES[1:])),
            value=pick(rng, [0, 0, 0, 1]),
            flip=bool(rng.random() < 0.2),
            threads=pick(rng, [1, 2, 3, 5]),
            x_order=pick(rng, X_ORDERS) if rng.random() < 0.5 else "C",
            out_order=pick(rng, OUT_ORDERS) if rng.random() < 0.5 else None,
            seed=int(rng.integers(1 << 30)),
        )
    )


def _pair(rng: np.random.Generator) -> tuple[int, int]:
    return int(rng.integers(0, 5)), int(rng.integers(0, 5))


def fitted(case: Case) -> Case:
    """Return the case with an image just large enough for the window, where it was too small."""
    w = case.window
    pairs = zip(case.spatial, w.kernel_size, w.dilation, w.padding, strict=True)
    return replace(case, spatial=tuple(max(n, d * (k - 1) + 1 - sum(pads), 1) for n, k, d, pads in pairs))


def draw(seed: int, number: int) -> Case:
    """Return one case of a seed."""
    family = draw_family(np.random.default_rng((seed, 0, number // FAMILY)))
    return draw_member(np.random.default_rng((seed, 1, number)), family)


# The script


def complaint(seed: int, number: int) -> str | None:
    """Judge one case; return how to see its failure again, or None."""
    case = draw(seed, number)
    try:
        judge(case)
    except Exception:
        return f"python -m tests.fuzz --seed {seed} --only {number}\n{case}\n{traceback.format_exc(limit=-3)}"
    return None


def batches(seed: int, cases: int) -> Iterator[list[tuple[int, int]]]:
    """Yield families of cases: one process compiles what they share."""
    for first in range(0, cases, FAMILY):
        yield [(seed, number) for number in range(first, min(first + FAMILY, cases))]


def complaints(batch: list[tuple[int, int]]) -> list[str]:
    """Judge a family of cases."""
    return [words for words in starmap(complaint, batch) if words]


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge cases in as many processes as there are CPUs; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, metavar="NUMBER", help="run one case, here")
    parser.add_argument("--processes", type=int, default=usable_cpus())
    given = parser.parse_args(arguments)
    if given.only is not None:
        words = complaint(given.seed, given.only)
        sys.stdout.write(f"{words or 'right'}\n")
        return 1 if words else 0
    start, done, failed = time.perf_counter(), 0, 0
    context = multiprocessing.get_context("spawn")
    with context.Pool(given.processes, maxtasksperchild=100) as pool:
        for found in pool.imap_unordered(complaints, batches(given.seed, given.cases)):
            done += 1
            failed += len(found)
            for each in found:
                sys.stdout.write(each + "\n")
            if found or done % 50 == 0:
                sys.stdout.write(f"{min(done * FAMILY, given.cases)} cases, {failed} failed, ")
                sys.stdout.write(f"{time.perf_counter() - start:.0f} s\n")
                sys.stdout.flush()
    sys.stdout.write(f"{given.cases} cases, seed {given.seed}: {failed} failed, {time.perf_counter() - start:.0f} s\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
