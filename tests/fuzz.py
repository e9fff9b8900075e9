"""Random layers through the view: how one is drawn, how it is judged, and a script that judges thousands.

``python -m tests.fuzz --cases 20000 --seed 1`` uses every CPU. A case that fails is printed with the command that runs
it alone. Compiling kernels takes most of the time, so cases come in families: what a kernel is specialised for is drawn
once for several cases, and what it meets at run time for each. With ``--arguments`` a case is a public call with one to
three of its arguments replaced by what nobody should pass, out of `tests/kit/nasty.py`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
import traceback
from dataclasses import replace
from itertools import starmap
from typing import TYPE_CHECKING, Any

import numpy as np

from im2col.engine.host import usable_cpus

from .kit.calls import draw_case, judge_case
from .kit.layers import Case, judge
from .kit.strategies import MEMORY_ORDERS, PADDING_MODES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

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


def complaint(seed: int, number: int, arguments: bool = False) -> str | None:
    """Judge one case; return how to see its failure again, or None."""
    case = draw_case(np.random.default_rng((seed, 2, number))) if arguments else draw(seed, number)
    try:
        judge(case) if isinstance(case, Case) else judge_case(case)
    except Exception:
        again = f"python -m tests.fuzz --seed {seed} --only {number}{' --arguments' * arguments}"
        return f"{again}\n{case}\n{traceback.format_exc(limit=-3)}"
    return None


def batches(seed: int, cases: int, arguments: bool = False) -> Iterator[list[tuple[int, int, bool]]]:
    """Yield families of cases: one process compiles what they share."""
    for first in range(0, cases, FAMILY):
        yield [(seed, number, arguments) for number in range(first, min(first + FAMILY, cases))]


def complaints(batch: list[tuple[int, int, bool]]) -> list[str]:
    """Judge a family of cases."""
    return [words for words in starmap(complaint, batch) if words]


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge cases in as many processes as there are CPUs; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, metavar="NUMBER", help="run one case, here")
    parser.add_argument("--arguments", action="store_true", help="replace arguments, instead of drawing layers")
    parser.add_argument("--processes", type=int, default=usable_cpus())
    given = parser.parse_args(arguments)
    if given.only is not None:
        words = complaint(given.seed, given.only, given.arguments)
        sys.stdout.write(f"{words or 'right'}\n")
        return 1 if words else 0
    start, done, failed = time.perf_counter(), 0, 0
    context = multiprocessing.get_context("spawn")
    with context.Pool(given.processes, maxtasksperchild=100) as pool:
        for found in pool.imap_unordered(complaints, batches(given.seed, given.cases, given.arguments)):
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
