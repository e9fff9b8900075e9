"""`col2im` of windows that share no pixel: copies into zeros have the bits of sums, and are few."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from im2col import col2im, im2col, memory
from im2col.engine import compiler, scatter
from im2col.engine.sequence import SEQUENCE
from im2col.matrix import apart, regions, way_back
from im2col.matrix.fold import Fold

from .kit.outcomes import require

if TYPE_CHECKING:
    from collections.abc import Iterator

require("llvmlite")
Array = np.ndarray[Any, Any]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Remember nothing from before, and nothing of this."""
    memory.clear()
    yield
    memory.clear()


WINDOWS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "a pair of taps": ((2, 23), (2,), {"stride": 4}),
    "pairs, odd strides": ((2, 23), (4,), {"stride": 5}),
    "pairs and one": ((3, 38), (5,), {"stride": 7}),
    "pairs side by side": ((1, 24), (3,), {"stride": 3}),
    "taps cut off before": ((2, 22), (2,), {"stride": 3, "padding": ((1, 0),)}),
    "taps cut off after": ((2, 21), (4,), {"stride": 5, "padding": ((0, 3),)}),
    "padding without taps": ((2, 22), (2,), {"stride": 3, "padding": ((0, 1),)}),
    "as many entries as pixels, some cut off": ((2, 6), (2,), {"stride": 3, "padding": ((2, 0),)}),
    "no padding, every pixel": ((2, 4, 6), (2, 3), {"stride": (2, 3)}),
    "two axes": ((2, 9, 17), (1, 2), {"stride": (4, 4)}),
    "three axes": ((9, 11, 12), (3, 3, 1), {"stride": (4, 5, 3)}),
    "one position": ((2, 2, 30), (2, 1), {"stride": (1, 3)}),
    "dilated": ((2, 31), (2,), {"stride": 5, "dilation": 2}),
    "between other taps": ((2, 22), (2,), {"stride": 2, "dilation": 3}),
    "channels last": ((2, 25, 3), (2,), {"stride": 4, "layout": "NWC"}),
}


def defined(matrix: Array, shape: tuple[int, ...], kernel: tuple[int, ...], options: dict[str, Any]) -> Array:
    """Return the image by its definition, entry by entry: each is added to 0."""
    k, last = len(kernel), options.get("layout") == "NWC"
    stride, dilation = (np.broadcast_to(options.get(word, 1), k).tolist() for word in ("stride", "dilation"))
    pads = options.get("padding", ((0, 0),) * k)
    canonical = (shape[0], shape[-1], *shape[1:-1]) if last else (1, *(() if len(shape) > k else (1,)), *shape)
    batch, channels, *space = canonical
    sides = zip(space, pads, kernel, stride, dilation, strict=True)
    output = [(n + sum(pad) - d * (taps - 1) - 1) // s + 1 for n, pad, taps, s, d in sides]
    image = np.zeros(canonical, matrix.dtype)
    by_columns = options.get("orientation") == "columns"
    places = itertools.product(*map(range, (batch, channels, *kernel, *output)))
    for n, c, *place in places:
        taps, stops = place[:k], place[k:]
        row, column = np.ravel_multi_index((c, *taps), (channels, *kernel)), np.ravel_multi_index(stops, output)
        entry = matrix.reshape(batch, *matrix.shape[-2:])[n][(row, column) if by_columns else (column, row)]
        pixel = [o * s + t * d - pad[0] for o, s, t, d, pad in zip(stops, stride, taps, dilation, pads, strict=True)]
        if all(0 <= i < m for i, m in zip(pixel, space, strict=True)):
            image[(n, c, *pixel)] += entry
    return image.transpose(0, *range(2, 2 + k), 1).reshape(shape) if last else image.reshape(shape)


def matrix_of(name: str, orientation: Any, dtype: str) -> Array:
    """Return numbers, some of them -0.0, infinite or NaN, in the shape that `im2col` has."""
    shape, kernel, options = WINDOWS[name]
    rng = np.random.default_rng(len(name))
    of_zeros = im2col(np.zeros(shape, dtype), kernel, orientation=orientation, **options)
    values = rng.standard_normal(of_zeros.shape)
    if dtype != "int64":
        values[rng.random(values.shape) < 0.4] = -0.0
        values[rng.random(values.shape) < 0.1] = -np.inf
        values[rng.random(values.shape) < 0.1] = np.nan
    return (8 * values).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128", "int64"])
@pytest.mark.parametrize("orientation", ["rows", "columns"])
@pytest.mark.parametrize("name", WINDOWS)
def test_copies_are_the_sum(name: str, orientation: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the sign of zero, into new images and others, from matrices of any strides, and without a warning."""
    shape, kernel, options = WINDOWS[name]
    options = {**options, "orientation": orientation}
    matrix = matrix_of(name, orientation, dtype)
    expected = defined(matrix, shape, kernel, options)
    monkeypatch.setattr(way_back, "copies_pay", lambda *given: scatter.cycles_apart(*given[:3]) is not None)
    monkeypatch.setattr(Fold, "run", lambda *_: pytest.fail("summed"))
    for given in (matrix, np.asfortranarray(matrix), np.stack([matrix] * 2, -1)[..., 0]):
        with np.errstate(all="raise"):
            for _ in range(3):
                found = col2im(given, shape, kernel, **options)
                assert found.dtype == expected.dtype
                assert found.tobytes() == expected.tobytes()
            for room in (
                np.full(shape, 7, dtype),
                np.full((*shape, 2), 7, dtype)[..., 0],
                np.full(shape[::-1], 7, dtype).T,
            ):
                assert col2im(given, shape, kernel, out=room, **options) is room
                assert room.tobytes() == expected.tobytes()


def test_signalling_nans_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the engine."""
    monkeypatch.setattr(way_back, "copies_pay", lambda *_: True)
    matrix = np.full((5, 2), 0x7FA00000, np.uint32).view(np.float32)
    with np.errstate(all="raise"):
        image = col2im(matrix, (20,), (2,), stride=4)
    assert np.isnan(image.reshape(5, 4)[:, :2]).all()
    assert not image.reshape(5, 4)[:, 2:].any()


@pytest.mark.parametrize(
    ("name", "shape", "kernel", "stride"),
    [
        ("few pixels have a window", (400_000,), (2,), (4,)),
        ("most lines have none", (2, 13, 40_000), (1, 2), (4, 4)),
        ("one position along an axis", (2, 2, 300_000), (2, 1), (1, 3)),
    ],
)
def test_large_images_are_copied(
    name: str, shape: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In few steps of NumPy, and given back as they were."""
    assert compiler.load(SEQUENCE) is not None
    k, copies = len(kernel), list[object]()
    channels = shape[: len(shape) - k] or (1,)
    windows = np.lib.stride_tricks.sliding_window_view(
        np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(*channels, *shape[-k:]),
        kernel,
        tuple(range(1, 1 + k)),
    )[(slice(None), *(slice(None, None, step) for step in stride))]
    matrix = windows.transpose(*range(1, 1 + k), 0, *range(1 + k, 1 + 2 * k)).reshape(
        -1, channels[0] * int(np.prod(kernel))
    )
    every = regions.regions

    def counted(*given: Any) -> Iterator[regions.Region]:
        for region in every(*given):
            copies.append(region)
            yield region

    monkeypatch.setattr(apart, "regions", counted)
    image = col2im(matrix, shape, kernel, stride=stride, threads=1)
    assert 1 <= len(copies) <= 16, name
    pixels = np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)
    np.testing.assert_array_equal(image[image != 0], np.sort(matrix.reshape(-1)))
    np.testing.assert_array_equal(image[image != 0], pixels[image != 0])


@pytest.mark.parametrize(
    ("shape", "kernel", "stride"),
    [((400_000,), (2,), (1,)), ((400_000,), (17,), (40,)), ((400_000,), (400,), (400,)), ((40,), (2,), (4,))],
)
def test_other_images_are_summed(shape: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...]) -> None:
    """Where windows share pixels, where copies would be many, or dense, and small ones."""
    positions = (shape[0] - kernel[0]) // stride[0] + 1
    image = np.empty((1, 1, *shape), np.float32)
    matrix = np.empty((positions, *kernel), np.float32).T[None, None]
    assert not apart.copies_pay(image, matrix, [scatter.Axis(stride[0], 1, 0)], 1)
