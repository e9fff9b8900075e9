"""Every call of a layer takes at most the memory that it asked the budget for: a budget a little short refuses it."""

from __future__ import annotations

import gc
import itertools
import math
import tracemalloc
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import im2col
from im2col import (
    MemoryBudgetError,
    conv,
    conv_bias_gradient,
    conv_input_gradient,
    conv_matrix,
    conv_operator,
    conv_transpose,
    conv_weight_gradient,
    cost,
    plan,
)
from im2col.engine import host, scratch

from .kit.budget import peak_of
from .kit.outcomes import require
from .kit.selection import one_in
from .kit.strategies import MEMORY_ORDERS
from .kit.targets import forget_choices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Window = dict[str, Any]

SLACK = 200 << 10
"""Bytes of Python's own objects, and of what is too small to ask for."""

SHAPES: dict[str, tuple[tuple[int, ...], tuple[int, ...], Window]] = {
    "1-d": ((1, 2, 1 << 18), (3, 2, 9), {"padding": 4}),
    "1-d, channels last": ((1, 1 << 17, 4), (4, 4, 5), {"padding": 2, "layout": "NWC"}),
    "long kernel": ((1, 1, 1 << 16), (1, 1, 2001), {"padding": "same"}),
    "tall": ((1, 1, 1 << 17, 2), (2, 1, 3, 2), {"padding": "same"}),
    "tall, channels last": ((1, 1 << 15, 2, 8), (8, 8, 3, 2), {"padding": "same", "layout": "NHWC"}),
    "flat": ((1, 1, 2, 1 << 17), (3, 1, 2, 3), {"padding": "same"}),
    "batch": ((2, 8, 128, 128), (16, 8, 3, 3), {"padding": 1}),
    "depthwise": ((1, 128, 128, 32), (32, 1, 3, 3), {"padding": 1, "layout": "NHWC", "groups": 32}),
    "reflected": ((1, 2, 1 << 17), (2, 2, 9), {"padding": 4, "padding_mode": "reflect"}),
    "3-d": ((1, 2, 32, 64, 64), (4, 2, 3, 3, 3), {"padding": 1}),
    "4-d": ((1, 2, 20, 20, 20, 20), (2, 2, 3, 3, 3, 3), {"padding": 1}),
    "strided": ((1, 4, 256, 256), (4, 4, 3, 3), {"padding": 1, "stride": 2}),
    "many weights": ((1, 128, 8, 8), (256, 128, 3, 3), {"padding": 1}),
}
DTYPES = ("f4", "f2", "i1")


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Ask the budget for every byte, and plan every layer anew."""
    require("llvmlite")
    monkeypatch.setattr(host, "_ALWAYS_FITS", 0)
    yield monkeypatch
    forget_choices()


def peak(call: Callable[[], Any]) -> int:
    """Return the bytes that a call takes at a time, its result among them, where nothing is remembered."""
    gc.collect()
    scratch.clear()
    forget_choices()
    return peak_of(call)


def refuses_less(call: Callable[[], Any], patch: pytest.MonkeyPatch) -> None:
    """Assert that a call which takes so many bytes is refused where a few less are available, and takes no more."""
    patch.setattr(host, "available_memory", lambda: 1 << 60)
    call()  # kernels are loaded, and modules
    available = int(0.95 * peak(call)) - SLACK
    if available <= SLACK:
        return
    patch.setattr(host, "available_memory", lambda: available - tracemalloc.get_traced_memory()[0])
    refused: list[MemoryBudgetError] = []

    def attempt() -> None:
        try:
            call()
        except MemoryBudgetError as error:
            refused.append(error)

    assert peak(attempt) <= available
    assert refused


def calls_of(name: str, dtype: str) -> dict[str, Callable[[], Any]]:
    """Return calls of a layer, by what they are."""
    x_shape, w_shape, o = SHAPES[name]
    random = np.random.default_rng(0)
    x, w = ((9 * random.standard_normal(shape)).astype(dtype) for shape in (x_shape, w_shape))
    grad = np.ones(conv(x, w, **o).shape, x.dtype)
    spread = {key: value for key, value in o.items() if key in ("stride", "layout", "groups")}
    one = {key: value for key, value in o.items() if key != "layout"}
    if "layout" in o:
        one["layout"] = o["layout"][1:]
    strided, swapped = MEMORY_ORDERS["F"](x), x.astype(x.dtype.newbyteorder())
    calls: dict[str, Callable[[], Any]] = {
        "conv, in F order": lambda: conv(strided, w, **o),
        "conv, bytes swapped": lambda: conv(swapped, w, **o),
        "conv_weight_gradient, in F order": lambda: conv_weight_gradient(strided, grad, w_shape[2:], **o),
        "conv_bias_gradient": lambda: conv_bias_gradient(grad, layout=o.get("layout", "NCABDE"[: x.ndim])),
        "cost": lambda: cost(x_shape, w_shape, **{k: v for k, v in o.items() if k != "padding_mode"}),
    }
    for name_of in ("implicit", "explicit"):
        by: Window = {"algorithm": name_of}
        calls |= {
            f"conv, {name_of}": partial(conv, x, w, **by, **o),
            f"plan, {name_of}": partial(_planned, x, w, by | o),
            f"conv_transpose, {name_of}": partial(conv_transpose, grad, w, **by, **spread),
            f"conv_input_gradient, {name_of}": partial(conv_input_gradient, grad, w, x_shape, **by, **o),
            f"conv_weight_gradient, {name_of}": partial(conv_weight_gradient, x, grad, w_shape[2:], **by, **o),
        }
    if x_shape[0] == 1 and dtype != "f2":
        vector = np.zeros(x.size, x.dtype)
        calls["conv_operator"] = lambda: conv_operator(w, x_shape[1:], **one).matvec(vector)
        calls["conv_matrix"] = lambda: conv_matrix(w, x_shape[1:], **one)
    return calls


def _planned(x: Array, w: Array, options: Window) -> Array:
    return plan(x.shape, w, x_dtype=x.dtype, **options)(x)


@pytest.mark.parametrize("part", one_in(2, range(4)))
@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("name", ["1-d, channels last", "4-d"])
def test_what_is_taken_was_asked_for(name: str, threads: str, part: int, alone: pytest.MonkeyPatch) -> None:
    """Whatever the shape: matrices, copies, packed weights, tables and results. Every fourth call is one part."""
    require("scipy")
    alone.setenv("IM2COL_NUM_THREADS", threads)
    for call in list(calls_of(name, "f4").values())[part::4]:
        refuses_less(call, alone)


@pytest.mark.wide
@pytest.mark.parametrize(("name", "dtype"), list(zip(SHAPES, itertools.cycle(DTYPES), strict=False)))
def test_what_is_taken_was_asked_for_in_every_dtype(name: str, dtype: str, alone: pytest.MonkeyPatch) -> None:
    """The same, for every shape."""
    require("scipy")
    for call in calls_of(name, dtype).values():
        refuses_less(call, alone)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("name", one_in(2, SHAPES))
def test_workspace_bytes_count_tables(name: str) -> None:
    """A plan is made and run within what it says, and says at most twice as much as it takes, and a little."""
    x_shape, w_shape, o = SHAPES[name]
    x, w = np.ones(x_shape, np.float32), np.ones(w_shape, np.float32)
    made: list[im2col.Plan] = []

    def run() -> None:
        made.append(plan(x_shape, w, algorithm="implicit", threads=1, **o))
        made[0](x, out)

    out = conv(x, w, algorithm="implicit", **o)
    run()  # kernels are loaded, and modules
    made.clear()
    taken = peak(run) - w.nbytes
    said = made[0].workspace_bytes
    assert taken - SLACK <= said <= 2 * taken + SLACK
    table = {key: value for key, value in o.items() if key != "padding_mode"}
    if table == o:
        assert cost(x_shape, w_shape, threads=1, **table).workspace_bytes["implicit"] == said


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(("channels", "sides", "kernel"), one_in(2, [(21, 16, 32), (1, 64, 64)]))
def test_phases_that_are_alike_share_their_tables(channels: int, sides: int, kernel: int) -> None:
    """Thousands of them are not told, nor taken, as many times."""
    w = np.ones((channels, channels, kernel, kernel), np.float32)
    x = np.ones((1, channels, sides, sides), np.float32)
    out = conv_transpose(x, w, stride=kernel + 1)
    made: list[im2col.TransposedPlan] = []

    def run() -> None:
        made.append(im2col.plan_transpose(x.shape, w, stride=kernel + 1, threads=1))
        made[0](x, out)

    run()  # kernels are loaded, and modules
    made.clear()
    taken = peak(run) - w.nbytes
    assert len(made[0]._operation.choices) == kernel**2
    assert taken - SLACK <= made[0].workspace_bytes <= 2 * taken


def test_tables_of_a_volume() -> None:
    """They are a part of what a plan says: here several megabytes, where nothing else is needed."""
    require("llvmlite")
    said = plan(
        (1, 1, 32, 256, 256), np.ones((3, 1, 1, 1, 3), np.float32), padding=(0, 0, 1), threads=1
    ).workspace_bytes
    assert said > 256 << 10


@pytest.mark.parametrize("make", [plan, im2col.plan_input_gradient, im2col.plan_transpose, conv_operator])
def test_the_copy_of_the_weights_is_asked_for(make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan keeps its own, and says how large it would be before there is one."""
    monkeypatch.setattr(host, "available_memory", lambda: 1 << 20)
    w = np.broadcast_to(np.float32(1), (1024, 1024, 3, 3))
    arguments = (w, (1024, 8, 8)) if make is conv_operator else ((1, 1024, 8, 8), w)
    with pytest.raises(MemoryBudgetError) as caught:
        make(*arguments)
    assert str(caught.value) == (
        f"{make.__name__}: the copy of w (1024, 1024, 3, 3) would take 36.0 MiB but 1.0 MiB are available; call the "
        "function itself, which keeps no copy"
    )


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("layout", ["NWC", "NCW"])
def test_a_folded_gradient_lies_as_the_image_does(layout: str) -> None:
    """The padded gradient is walked by the kernels that were chosen for the layout, without a dense copy."""
    w = np.ones((5, 8, 2), np.int64)
    shape = (1, 1 << 16, 8) if layout == "NWC" else (1, 8, 1 << 16)
    options: Window = {"padding": 9, "padding_mode": "reflect", "stride": 2, "layout": layout}
    grad = conv(np.ones(shape, np.int64), w, **options)
    said = im2col.plan_input_gradient(shape, w, grad_dtype=np.int64, threads=1, **options).workspace_bytes

    def run() -> None:
        conv_input_gradient(grad, w, shape, threads=1, **options)

    run()  # kernels are loaded, and modules
    taken = peak(run)
    assert taken <= 8 * math.prod(shape) + said + SLACK
