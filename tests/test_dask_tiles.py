"""Tiles of dask arrays: for any chunks, the bits that `blend_tiles` gives in memory; nothing is computed unasked."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import im2col
from im2col import ArgumentError, DTypeError, GeometryError, ShapeError, blend_tiles, iter_tiles
from im2col.matrix.blending import Weights

from .kit.dask_arrays import chunked, same
from .kit.outcomes import raises_exactly, require
from .kit.strategies import PADDING_MODES, fewer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]


@pytest.fixture(scope="module")
def map_tiles() -> Iterator[Any]:
    """Return the function; dask computes in this thread."""
    require("dask.array")
    import dask as library

    from im2col.integrations.dask import map_tiles as function

    with library.config.set(scheduler="synchronous"):
        yield function


def scaled(layout: str, factor: int, channels: int) -> Callable[[Array], Array]:
    """Return a function of each pixel by itself, which makes tiles longer and adds channels."""

    def function(pixels: Array) -> Array:
        result = pixels * 3 + 1
        for i, letter in enumerate(layout):
            result = result.repeat({"N": 1, "C": channels}.get(letter, factor), i)
        return result

    return function


@fewer(2)
@given(data=st.data())
def test_any_chunks(map_tiles: Any, data: st.DataObject) -> None:
    """Of one pixel and more, of every layout, dtype and padding mode; larger results with more channels, margins."""
    layout = data.draw(st.sampled_from(["HW", "CHW", "HWC", "NCHW", "NHWC", "W"]))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    shape = tuple(data.draw(st.integers(1, 3 if letter in "NC" else 30)) for letter in layout)
    x = (rng.standard_normal(shape) * 50).astype(data.draw(st.sampled_from(["f4", "f8", "f2", "u1", "i8"])))
    chunks = []
    for n in shape:
        most = data.draw(st.sampled_from([1, 3, 8, n]))
        found: list[int] = []
        while sum(found) < n:
            found.append(int(rng.integers(1, min(most, n - sum(found)) + 1)))
        chunks.append(tuple(found))
    k = len(set(layout) - {"N", "C"})
    size = data.draw(st.tuples(*[st.integers(1, 12)] * k))
    overlap = tuple(data.draw(st.integers(0, s - 1)) for s in size)
    margin = tuple(data.draw(st.integers(0, o // 2)) for o in overlap)
    options: Any = {"overlap": overlap, "padding_mode": data.draw(st.sampled_from(PADDING_MODES)), "layout": layout}
    function = scaled(layout, data.draw(st.integers(1, 2)), data.draw(st.integers(1, 2)))
    tiles = iter_tiles(x, size, **options)
    expected = blend_tiles(((tile, function(tile.pixels)) for tile in tiles), margin=margin)
    same(map_tiles(function, chunked(x, tuple(chunks)), size, margin=margin, **options), expected)


def test_one_line(map_tiles: Any) -> None:
    """Of tiles that are longer than chunks, by hand: each fades into the next over two pixels."""
    x = np.zeros(10)
    found = map_tiles(lambda pixels: np.full(4, pixels[0]), chunked(np.arange(10.0), 3), (4,), overlap=2)
    weights = np.array([0.25, 0.75])
    expected = [0, 0, *(weights * 2 + weights[::-1] * 0), *(weights * 4 + weights[::-1] * 2)]
    expected += [*(weights * 6 + weights[::-1] * 4), 6, 6]
    np.testing.assert_allclose(found.compute(), expected, rtol=1e-15)
    assert found.shape == x.shape


@pytest.mark.parametrize("margin", [0.0, 1.0, 2.5])
def test_weights_of_some_are_those_of_all(margin: float) -> None:
    """To the bit, wherever they begin and end."""
    for size, step, count in ((8, 3, 9), (7, 7, 4), (9, 1, 12), (5, 4, 1)):
        along = Weights(size, step, count, min(margin, (size - step) / 2))
        every = along.between(0, count)
        for first in range(count):
            for stop in range(first + 1, count + 1):
                some = along.between(first, stop)
                assert [each.tobytes() for each in some] == [each.tobytes() for each in every[first:stop]]


def test_a_neighbourhood_sees_no_seam(map_tiles: Any) -> None:
    """A convolution of tiles, less a margin of what it lacks, is that of the whole: exact, as the numbers are whole."""
    rng = np.random.default_rng(1)
    x, w = rng.integers(-9, 10, (2, 3, 50, 60)).astype(float), rng.integers(-9, 10, (4, 3, 3, 3)).astype(float)
    y = map_tiles(
        lambda pixels: im2col.conv(pixels, w, padding=1, threads=1),
        chunked(x, (1, 2, 17, 23)),
        16,
        overlap=2,
        margin=1,
        padding_mode="constant",
    )
    np.testing.assert_array_equal(y.compute(), im2col.conv(x, w, padding=1))
    assert y.chunks[0] == (1, 1)


def test_each_tile_is_computed_once(map_tiles: Any) -> None:
    """And none before the result is asked for, but one of zeros, unless its shape is told; a part asks for few."""
    calls: list[int] = []

    def function(pixels: Array) -> Array:
        calls.append(pixels.shape[0])
        assert not pixels.flags.writeable
        return pixels

    x = chunked(np.ones((60, 60), np.float32), 20)
    y = map_tiles(function, x, 10, overlap=2, like=np.empty((10, 10), np.float32))
    assert calls == []
    y.compute()
    assert len(calls) == 8 * 8
    y[:5, :5].compute()
    assert len(calls) <= 8 * 8 + 9


def test_a_tile_of_zeros_tells_the_shape(map_tiles: Any) -> None:
    """Where nobody tells it: of all channels, and the images of a chunk."""
    seen: list[Array] = []

    def function(pixels: Array) -> Array:
        seen.append(pixels)
        return pixels.astype("f4")

    y = map_tiles(function, chunked(np.ones((4, 3, 9, 9)), (2, 1, 4, 4)), 5)
    (pixels,) = seen
    np.testing.assert_array_equal(pixels, np.zeros((2, 3, 5, 5)))
    assert pixels.dtype == np.float64
    assert y.dtype == np.float32


def test_graphs_grow_with_the_chunks(map_tiles: Any) -> None:
    """And not with the tiles."""

    def tasks(n: int, size: int) -> int:
        x = require("dask.array").zeros((40 * n, 40 * n), chunks=40, dtype=np.float32)
        return len(map_tiles(lambda pixels: pixels, x, size, overlap=2).__dask_graph__()) - n * n

    assert tasks(12, 10) - tasks(11, 10) <= 20 * (12**2 - 11**2)
    assert tasks(12, 5) <= tasks(12, 10) * 1.2


def test_threads(map_tiles: Any) -> None:
    """Several at once give the same."""
    names: set[str] = set()

    def function(pixels: Array) -> Array:
        names.add(threading.current_thread().name)
        return np.sqrt(pixels)

    x = np.random.default_rng(0).random((64, 64))
    y = map_tiles(function, chunked(x, 16), 12, overlap=4)
    expected = blend_tiles((tile, np.sqrt(tile.pixels)) for tile in iter_tiles(x, 12, overlap=4))
    assert y.compute(scheduler="threads", num_workers=4).tobytes() == expected.tobytes()
    assert names


def test_a_network(map_tiles: Any) -> None:
    """Of the ONNX integration: tiles of the batches of chunks, larger results, the numbers of memory."""
    onnx = require("onnx")
    from im2col.integrations.onnx import load

    make = onnx.helper
    w = np.random.default_rng(0).standard_normal((4, 2, 3, 3)).astype(np.float32)
    nodes = [
        make.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        make.make_node("DepthToSpace", ["c"], ["y"], blocksize=2),
    ]
    value = make.make_tensor_value_info
    graph = make.make_graph(
        nodes,
        "upscale",
        [value("x", 1, ["n", 2, "h", "w"])],
        [value("y", 1, None)],
        [onnx.numpy_helper.from_array(w, "w")],
    )
    network = load(make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=10))
    x = np.random.default_rng(1).standard_normal((2, 2, 40, 50)).astype(np.float32)
    options: Any = {"overlap": 4, "padding_mode": "constant"}
    y = map_tiles(network, chunked(x, (1, 2, 16, 50)), 16, margin=1, **options)
    expected = blend_tiles(((tile, network(tile.pixels)) for tile in iter_tiles(x, 16, **options)), margin=1)
    assert y.shape == (2, 1, 80, 100)
    np.testing.assert_allclose(y.compute(scheduler="threads"), expected, rtol=1e-5, atol=1e-5)


def test_what_is_wrong_is_said(map_tiles: Any) -> None:
    """At once where it can be; what a function does otherwise than it told is an error of the computation."""
    x = chunked(np.ones((2, 20, 20)), (1, 8, 8))

    def same(pixels: Array) -> Array:
        return pixels

    with raises_exactly(ArgumentError, "map_tiles: function must be one of a tile's pixels, got 3"):
        map_tiles(3, x, 8)
    with raises_exactly(
        ArgumentError, "map_tiles: x must be a dask array, got 'x'; pass NumPy arrays to im2col's own functions"
    ):
        map_tiles(same, "x", 8)
    with pytest.raises(DTypeError, match=r"^map_tiles: x has dtype <U3, which is not a number"):
        map_tiles(same, x.astype("U3"), 8)
    with raises_exactly(
        GeometryError, "map_tiles: overlap must be less than the size of a tile, (8, 8), got (8, 8); use larger tiles"
    ):
        map_tiles(same, x, 8, overlap=8)
    with raises_exactly(
        GeometryError,
        "map_tiles: margin must be at most half of the overlap, (2, 2), got (2, 2); let tiles overlap more",
    ):
        map_tiles(same, x, 8, overlap=2, margin=2)
    with pytest.raises(
        ShapeError, match=r"^map_tiles: results must have the axes 'CHW' of the image, got one of shape"
    ):
        map_tiles(lambda pixels: pixels[0], x, 8)
    with raises_exactly(
        ShapeError,
        "map_tiles: a result of shape (1, 8, 8) has not as many images as its tile of shape (2, 8, 8); return one for "
        "each",
    ):
        map_tiles(lambda pixels: pixels[:1], chunked(np.ones((2, 9, 9)), 9), 8, layout="NHW")
    with pytest.raises(DTypeError, match=r"^map_tiles: result has dtype <U1, which is not a number"):
        map_tiles(lambda pixels: np.full(pixels.shape, "a"), x, 8)
    with pytest.raises(DTypeError, match=r"^map_tiles: like has dtype <U1, which is not a number"):
        map_tiles(same, x, 8, like="a")
    for function in (lambda pixels: pixels[:0], lambda pixels: pixels[:, :0]):
        with pytest.raises(ShapeError, match=r"has no numbers; return an array without axes of length 0$"):
            map_tiles(function, x, 8)
    with pytest.raises(ValueError, match="read-only"):
        map_tiles(lambda pixels: np.add(pixels, 1, out=pixels), x, 8)
    y = map_tiles(same, x, 8, like=np.empty((1, 8, 8)))
    with raises_exactly(
        ShapeError, "map_tiles: a result has shape (2, 8, 8), but (1, 8, 8) was expected; pass like= of its shape"
    ):
        y.compute()
    y = map_tiles(same, x, 8, like=np.empty((2, 8, 8), np.float32))
    with raises_exactly(
        DTypeError, "map_tiles: a result has dtype float64, but float32 was expected; pass like= of its dtype"
    ):
        y.compute()
