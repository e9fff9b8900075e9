"""What a call costs in Python does not grow with its arrays: lines of the package, counted as they run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import im2col
from im2col import memory
from im2col.engine import gather
from im2col.layers import sparse_matrix

from .kit.outcomes import require
from .kit.selection import one_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

PACKAGE = str(Path(im2col.__file__).parent)
COPYING = ("edge", "reflect", "symmetric", "wrap")
SHAPES = {1: (60,), 2: (12, 24), 3: (5, 6, 12)}


@pytest.fixture(autouse=True)
def _whatever_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small arrays be copied as large ones are."""
    for threshold in ("_WORTH_A_CALL", "_WORTH_LOADING"):
        monkeypatch.setattr(gather, threshold, 0)


def steps(call: Callable[[], object]) -> int:
    """Return how many lines of the package a call runs through in this thread, each turn of a loop counted."""
    count = 0

    def line(_frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        count += event == "line"
        return line

    def entered(frame: FrameType, _event: str, _: object) -> Any:
        return line if frame.f_code.co_filename.startswith(PACKAGE) else None

    before = sys.gettrace()
    sys.settrace(entered)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def numbers(shape: tuple[int, ...], dtype: str = "f4") -> np.ndarray[Any, Any]:
    """Return small numbers."""
    return (np.arange(np.prod(shape)) % 13).reshape(shape).astype(dtype)


def transforms(image: np.ndarray[Any, Any], k: int, padding: Any, mode: str) -> dict[str, Callable[[], object]]:
    """Return calls of the transforms."""
    kernel = (3,) * k
    options: dict[str, Any] = {"padding": padding, "padding_mode": mode}
    columns = im2col.im2col(image, kernel, **options)
    whole = columns.astype(np.int64)
    return {
        "im2col": lambda: im2col.im2col(image, kernel, threads=1, **options),
        "im2col, columns": lambda: im2col.im2col(image, kernel, orientation="columns", threads=1, **options),
        "patches": lambda: im2col.patches(image, kernel, **options),
        "col2im": lambda: im2col.col2im(columns, image.shape, kernel, threads=1, **options),
        "col2im, mean": lambda: im2col.col2im(columns, image.shape, kernel, reduce="mean", threads=1, **options),
        "col2im, mean of int64": lambda: im2col.col2im(whole, image.shape, kernel, reduce="mean", threads=1, **options),
        "overlap_count": lambda: im2col.overlap_count(image.shape, kernel, **options),
        "output_shape": lambda: im2col.output_shape(image.shape, kernel, padding=padding),
    }


def layers(image: np.ndarray[Any, Any], k: int, padding: Any, mode: str) -> dict[str, Callable[[], object]]:
    """Return calls of the convolutions and their family."""
    kernel, c = (3,) * k, image.shape[1]
    w, own = numbers((4, c, *kernel)), numbers((c, 1, *kernel))
    options: dict[str, Any] = {"padding": padding, "padding_mode": mode, "threads": 1}
    grad = np.ones_like(im2col.conv(image, w, **options))
    plan = im2col.plan(image.shape, w, **options)
    halves = image.astype(np.float16), w.astype(np.float16)
    bytes_ = image.astype(np.uint8), w.astype(np.int8)
    last = np.moveaxis(image, 1, -1)
    layout = f"N{'DHW'[-k:]}C"
    return {
        "conv": lambda: im2col.conv(image, w, **options),
        "conv, explicit": lambda: im2col.conv(image, w, algorithm="explicit", **options),
        "conv, float16": lambda: im2col.conv(*halves, **options),
        "conv, bytes": lambda: im2col.conv(*bytes_, **options),
        "conv, depthwise": lambda: im2col.conv(image, own, groups=c, **options),
        "conv, channels last": lambda: im2col.conv(last, w, layout=layout, **options),
        "conv, stride": lambda: im2col.conv(image, w, stride=2, **options),
        "a plan": lambda: plan(image),
        "conv_input_gradient": lambda: im2col.conv_input_gradient(grad, w, image.shape, **options),
        "conv_weight_gradient": lambda: im2col.conv_weight_gradient(image, grad, kernel, **options),
        "conv_weight_gradient, explicit": lambda: im2col.conv_weight_gradient(
            image, grad, kernel, algorithm="explicit", **options
        ),
        "conv_transpose": lambda: im2col.conv_transpose(image, numbers((c, 2, *kernel)), stride=2, threads=1),
        "weight_matrix": lambda: im2col.weight_matrix(w),
    }


def matrices(image: np.ndarray[Any, Any], k: int, padding: Any, mode: str) -> dict[str, Callable[[], object]]:
    """Return calls of what needs SciPy: for one image."""
    require("scipy")
    w, one = numbers((4, image.shape[1], *(3,) * k)), image[0]
    options: dict[str, Any] = {"padding": padding, "padding_mode": mode}
    operator = im2col.conv_operator(w, one.shape, threads=1, **options)
    return {
        "conv_matrix": lambda: im2col.conv_matrix(w, one.shape, **options),
        "conv_operator": lambda: operator @ one.reshape(-1),
    }


def grown(make: Any, k: int, mode: str, axis: int = 0, pad: int = 1, far: bool = False) -> dict[str, tuple[int, int]]:
    """Return the calls that take far more steps for eight times as large an image than for a small one.

    The axis that grows is one of (N, *spatial); with `far`, its padding grows along.
    """
    memory.clear()  # full of what other tests remembered, it would be measured in between, line by line
    found: list[dict[str, int]] = []
    for times in (1, 8):
        shape = [2, *SHAPES[k]]
        shape[axis] *= times
        pads = [(1, 1)] * k
        if axis:
            pads[axis - 1] = (pad * (times if far else 1),) * 2
        calls = make(numbers((shape[0], 3, *shape[1:])), k, tuple(pads), mode)
        for call in calls.values():
            call()  # decides, and loads kernels
            call()  # looks whether calls of its kind are one of the engine
        found.append({name: steps(call) for name, call in calls.items()})
    few, many = found
    assert min(few.values()) > 10
    # Blocks of bounded size may be some more, and a border is doubled once more or thrice.
    return {name: (few[name], many[name]) for name in few if many[name] > 2 * few[name] + 50}


@pytest.mark.parametrize(
    ("k", "axis", "mode"),
    [
        *((k, axis, mode) for k, axis in [(1, 1), (2, 1)] for mode in ("constant", *COPYING)),
        *((k, axis, "reflect") for k, axis in [(2, 2), (3, 1), (3, 3)]),
    ],
)
def test_steps_of_transforms_do_not_grow(k: int, axis: int, mode: str) -> None:
    """With an axis of the image, and with its padding."""
    assert grown(transforms, k, mode, axis) == {}
    assert grown(transforms, k, mode, axis, 70, far=True) == {}


@pytest.mark.parametrize(("k", "axis"), one_in(2, [(1, 1), (2, 1), (2, 2)]))
@pytest.mark.parametrize("mode", ["constant", "reflect"])
def test_steps_of_layers_do_not_grow(k: int, axis: int, mode: str) -> None:
    """With an axis of the image, and with its padding."""
    assert grown(layers, k, mode, axis) == {}
    if mode != "constant":  # the engine skips taps in padding of zeros, and has a tile for each kind of border
        assert grown(layers, k, mode, axis, 70, far=True) == {}


@pytest.mark.parametrize(("k", "axis"), [(1, 1), (2, 1)])
@pytest.mark.parametrize("mode", ["constant", *COPYING])
def test_steps_of_matrices_do_not_grow(k: int, axis: int, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an axis of the image, and with its padding."""
    monkeypatch.setattr(sparse_matrix, "_BLOCK", 1 << 24)
    assert grown(matrices, k, mode, axis) == {}
    # Padding of fewer pixels is read where the image lies, and needs fewer steps still.
    assert grown(matrices, k, mode, axis, 70, far=True) == {}


@pytest.mark.parametrize("mode", ["constant", "reflect"])
def test_steps_do_not_grow_with_the_batch(mode: str) -> None:
    """Copies of many small images are made together."""
    blocks = {"col2im", "col2im, mean"}  # of 512 KiB, whose images are folded one by one
    for make in (transforms, layers):
        assert grown(make, 1, mode).keys() <= blocks


def test_the_count_notices_a_loop() -> None:
    """Each turn counts, in a comprehension too."""
    geometry = im2col.window_geometry((300,), 3)
    long = im2col.window_geometry((300,), 103)
    assert steps(lambda: long.positions_inside(0)) - steps(lambda: geometry.positions_inside(0)) >= 100
