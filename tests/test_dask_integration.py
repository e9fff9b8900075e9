"""Dask arrays: whatever the chunks, the bits that the whole has in memory; and nothing is computed unasked."""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import im2col
from im2col import ArgumentError, DTypeError, GeometryError, ShapeError
from im2col.spec.cuts import channel_cuts, spread_cuts, window_cuts

from .kit.dask_arrays import chunked, same
from .kit.outcomes import raises_exactly, require
from .kit.strategies import PADDING_MODES, fewer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]

PAGE = Path(__file__).parents[1] / "docs/dask.md"


@pytest.fixture(scope="module")
def dask() -> Iterator[Any]:
    """Return im2col's functions of dask arrays; dask computes in this thread."""
    require("dask.array")
    import dask as library

    from im2col.integrations import dask as functions

    with library.config.set(scheduler="synchronous"):
        yield functions


class Drawn(NamedTuple):
    """An image, its chunks, and windows over it."""

    x: Array
    chunks: tuple[tuple[int, ...], ...]
    kernel: tuple[int, ...]
    window: dict[str, Any]
    mode: str
    groups: int
    seed: int


@st.composite
def images(draw: Any) -> Drawn:
    """Draw small images, chunks of one pixel and more, and windows that often span several of them."""
    k = draw(st.integers(1, 2))
    spatial = "HW"[-k:]
    each = st.tuples(*[st.integers(1, (40, 13)[k - 1])] * k)
    numbers = {
        "stride": draw(st.tuples(*[st.integers(1, 3)] * k)),
        "dilation": draw(st.tuples(*[st.integers(1, 2)] * k)),
        "padding": draw(st.tuples(*[st.tuples(st.integers(0, 5), st.integers(0, 5))] * k)),
        "layout": draw(st.sampled_from([f"NC{spatial}", f"N{spatial}C", f"C{spatial}", spatial])),
    }
    plain = "C" not in numbers["layout"]
    sizes = dict(zip(spatial, draw(each), strict=True))
    groups = 1 if plain else draw(st.sampled_from([1, 1, 2, 5]))
    sizes |= {"N": draw(st.integers(1, 3)), "C": groups * draw(st.integers(1, 2))}
    seed = draw(st.integers(0, 1000))
    rng, shape = np.random.default_rng(seed), tuple(sizes[letter] for letter in numbers["layout"])
    x = (rng.standard_normal(shape) * 50).astype(draw(st.sampled_from(["f4", "f8", "f2", "u1"])))
    if x.dtype.kind == "f" and draw(st.booleans()):
        x.reshape(-1)[int(rng.integers(x.size))] = draw(st.sampled_from([np.nan, np.inf]))
    chunks = []
    for n in shape:
        most = draw(st.sampled_from([1, 2, 3, 5, n]))
        found: list[int] = []
        while sum(found) < n:
            found.append(int(rng.integers(1, min(most, n - sum(found)) + 1)))
        chunks.append(tuple(found))
    kernel = draw(st.tuples(*[st.sampled_from([1, 2, 3, 5])] * k))
    return Drawn(x, tuple(chunks), kernel, numbers, draw(st.sampled_from(PADDING_MODES)), groups, seed)


def judge(lazy: Callable[[], Any], expected: Callable[[], Array]) -> None:
    """Assert that two calls give the same, or the same kind of error."""
    try:
        result = expected()
    except GeometryError:
        with pytest.raises(GeometryError):
            lazy()
        return
    same(lazy(), result)


@fewer(2)
@given(drawn=images(), filters=st.integers(1, 3), bias=st.booleans())
def test_convolutions(dask: Any, drawn: Drawn, filters: int, bias: bool) -> None:
    """Of every padding mode, with groups, also where they or the batch are cut."""
    x, rng = drawn.x, np.random.default_rng(drawn.seed)
    channels = x.shape[drawn.window["layout"].index("C")] if "C" in drawn.window["layout"] else 1
    count = drawn.groups * (filters if "C" in drawn.window["layout"] else 1)
    w = rng.standard_normal((count, channels // drawn.groups, *drawn.kernel)).astype(np.float32)
    terms = rng.standard_normal(len(w)).astype(np.float32) if bias else None
    options = {**drawn.window, "groups": drawn.groups, "padding_mode": drawn.mode}
    judge(
        lambda: dask.conv(chunked(x, drawn.chunks), w, terms, **options),
        lambda: im2col.conv(x, w, terms, chunked=True, **options),
    )


@fewer(2)
@given(drawn=images(), filters=st.integers(1, 3), extra=st.integers(0, 1))
def test_transposes(dask: Any, drawn: Drawn, filters: int, extra: int) -> None:
    """Also where the stride is longer than the kernel, and pixels follow that nothing reaches."""
    x, rng, window = drawn.x, np.random.default_rng(drawn.seed), dict(drawn.window)
    channels = x.shape[window["layout"].index("C")] if "C" in window["layout"] else 1
    w = rng.standard_normal((channels, filters if "C" in window["layout"] else 1, *drawn.kernel)).astype(np.float32)
    window["padding"] = tuple((min(a, 2), min(b, 2)) for a, b in window["padding"])
    steps = zip(window["stride"], window["dilation"], strict=True)
    options = {**window, "groups": drawn.groups, "output_padding": tuple(extra * (max(each) - 1) for each in steps)}
    judge(
        lambda: dask.conv_transpose(chunked(x, drawn.chunks), w, **options),
        lambda: im2col.conv_transpose(x, w, chunked=True, **options),
    )


@fewer(2)
@given(drawn=images(), ceil_mode=st.booleans(), counted=st.booleans())
def test_pools(dask: Any, drawn: Drawn, ceil_mode: bool, counted: bool) -> None:
    """Also of single windows, and of windows that stick out."""
    options = {**drawn.window, "ceil_mode": ceil_mode}
    x, lazy = drawn.x, chunked(drawn.x, drawn.chunks)
    judge(lambda: dask.max_pool(lazy, drawn.kernel, **options), lambda: im2col.max_pool(x, drawn.kernel, **options))
    options["count_include_pad"] = counted
    judge(
        lambda: dask.average_pool(lazy, drawn.kernel, **options),
        lambda: im2col.average_pool(x, drawn.kernel, **options),
    )


@fewer(2)
@given(drawn=images(), orientation=st.sampled_from(["rows", "columns"]), last=st.booleans())
def test_patches(dask: Any, drawn: Drawn, orientation: str, last: bool) -> None:
    """In every order of the axes."""
    order = {"orientation": orientation, "tap_order": "channel-last" if last else "channel-first"}
    options = {**drawn.window, **order, "padding_mode": drawn.mode}
    x, lazy = drawn.x, chunked(drawn.x, drawn.chunks)
    judge(lambda: dask.patches(lazy, drawn.kernel, **options), lambda: im2col.patches(x, drawn.kernel, **options))


def test_a_large_image_of_prime_sizes(dask: Any) -> None:
    """Of several tiles a chunk, with NaN at the corners of chunks, a filter longer than a chunk, and threads."""
    rng = np.random.default_rng(1)
    x, w = rng.standard_normal((997, 1009)).astype(np.float32), rng.standard_normal((1, 1, 31, 17)).astype(np.float32)
    x[[255, 256, 511], [299, 300, 600]] = np.nan
    lazy = dask.conv(chunked(x, ((256, 256, 485), (300, 300, 7, 402))), w, padding="same", padding_mode="reflect")
    same(lazy, im2col.conv(x, w, padding="same", padding_mode="reflect", chunked=True))
    assert lazy.chunks == ((256, 256, 485), (300, 300, 7, 402))
    assert lazy.compute(scheduler="threads", num_workers=3).tobytes() == lazy.compute().tobytes()


def test_channels_are_cut_where_they_are_apart(dask: Any) -> None:
    """Of depthwise layers and of pools; all of them make a block otherwise."""
    x = np.ones((1, 7, 8, 9), np.float32)
    lazy = chunked(x, (1, 2, 8, 9))
    assert dask.conv(lazy, np.ones((7, 1, 3, 3), np.float32), groups=7).chunks[1] == (2, 2, 3)
    assert dask.conv(lazy, np.ones((4, 7, 3, 3), np.float32)).chunks[1] == (4,)
    assert dask.max_pool(lazy, 3).chunks[1] == (2, 2, 2, 1)


@pytest.mark.parametrize("value", [3.5, np.arange(3.0)])
def test_a_constant_pads(dask: Any, value: Any) -> None:
    """One for all channels, or one for each, which then are one block."""
    x, w = np.random.default_rng(0).standard_normal((3, 9, 9)), np.ones((3, 1, 3, 3))
    options: Any = {"padding": 2, "padding_value": value}
    same(dask.conv(chunked(x, (2, 4, 3)), w, groups=3, **options), im2col.conv(x, w, groups=3, chunked=True, **options))
    same(dask.patches(chunked(x, (2, 4, 3)), 3, **options), im2col.patches(x, 3, **options))


def test_integers_and_other_algorithms(dask: Any) -> None:
    """Integers are exact by any; complex numbers are summed by BLAS, and other algorithms by name, within rounding."""
    rng = np.random.default_rng(2)
    x, w = rng.integers(0, 255, (3, 40, 41)).astype(np.uint8), rng.integers(-99, 99, (5, 3, 3, 3)).astype(np.int8)
    zero: Any = {"x_zero_point": 7, "w_zero_point": np.arange(5, dtype=np.int8), "padding": 1}
    same(dask.conv(chunked(x, (2, 9, 13)), w, **zero), im2col.conv(x, w, **zero))
    floats, filters = x.astype(np.float32), w.astype(np.float32)
    for numbers, more in ((floats + 1j * floats, {}), (floats, {"algorithm": "explicit"})):
        found = dask.conv(chunked(numbers, (3, 20, 13)), filters, **more).compute()
        np.testing.assert_allclose(found, im2col.conv(numbers, filters), rtol=1e-5, atol=2e-2)


class Watched:
    """An array that counts what is read of it, and fails at one place."""

    def __init__(self, x: Array, fails: bool = False) -> None:
        self.x, self.shape, self.dtype, self.ndim, self.read, self.fails = x, x.shape, x.dtype, x.ndim, 0, fails

    def __getitem__(self, index: Any) -> Array:
        found: Array = self.x[index]
        self.read += found.size > 0  # dask looks at an empty part, to know of which class they are
        if self.fails and index[-1].start == 20:
            raise OSError("the disk is gone")
        return found


def test_nothing_is_read_before_it_is_asked_for(dask: Any) -> None:
    """And every chunk is read once; a part of the result reads what it needs."""
    source = Watched(np.ones((50, 50), np.float32))
    y = dask.conv(chunked(source, (10, 10)), np.ones((1, 1, 5, 5), np.float32), padding=2)  # type: ignore[arg-type]  # like one
    y = dask.max_pool(y, 3, stride=1)
    assert source.read == 0
    y.compute()
    assert source.read == 25
    y[:2, :2].compute()
    assert source.read == 25 + 9


def test_a_source_that_fails(dask: Any) -> None:
    """Its own error comes out."""
    source: Any = Watched(np.ones((50, 50), np.float32), fails=True)
    y = dask.conv(chunked(source, (10, 10)), np.ones((1, 1, 3, 3), np.float32))
    with pytest.raises(OSError, match="the disk is gone"):
        y.compute()


def test_graphs_grow_with_the_chunks(dask: Any) -> None:
    """A task for each chunk, one for each of the parts of its eight neighbours; the weights are in the graph once."""
    w = np.ones((1, 1, 3, 3), np.float32)

    def tasks(n: int) -> int:
        x = require("dask.array").zeros((10 * n, 10 * n), chunks=10, dtype=np.float32)
        return len(dask.conv(x, w, padding=1).__dask_graph__()) - n * n

    assert tasks(30) - tasks(29) <= 10 * (30**2 - 29**2)
    assert tasks(1) == 2


def test_masks_are_not_lost(dask: Any) -> None:
    """What lies under one would be summed: masked arrays are refused, also those that dask takes for others."""
    arrays, w = require("dask.array"), np.ones((1, 1, 3, 3))
    x = arrays.ma.masked_less(chunked(np.arange(81.0).reshape(9, 9), 4), 40)
    message = "{}: x has masked chunks, whose masks would be lost; fill them first, as in dask.array.ma.filled(x, 0)"
    for name, size in (("conv", w), ("max_pool", 2), ("patches", 2)):
        with raises_exactly(DTypeError, message.format(name)):
            getattr(dask, name)(x, size)
    filled = np.where(np.arange(81.0) < 40, 0, np.arange(81.0)).reshape(9, 9)
    np.testing.assert_array_equal(dask.conv(arrays.ma.filled(x, 0), w).compute(), im2col.conv(filled, w))
    hidden = chunked(filled, 4).map_blocks(np.ma.masked_less, 40, meta=np.empty((0, 0)))
    with pytest.raises(DTypeError, match=r"^conv: chunk is a masked array, whose mask would be lost"):
        dask.conv(hidden, w).compute()


def test_chunks_of_others(dask: Any) -> None:
    """Are told by their class; an array of xarray over dask by what it holds."""
    units = require("pint").UnitRegistry()
    x = chunked(np.ones((9, 9)), 4)
    message = "max_pool: x has chunks of Quantity, and not of NumPy's arrays; turn each into one with x.map_blocks"
    with raises_exactly(DTypeError, message):
        dask.max_pool(x.map_blocks(lambda chunk: units.Quantity(chunk, "m")), 2)
    named = require("xarray").DataArray(x, dims=("y", "x"))
    with pytest.raises(ArgumentError, match=r"^max_pool: x must be a dask array, got .*; pass x.data$"):
        dask.max_pool(named, 2)
    assert dask.max_pool(named.data, 2).shape == (4, 4)


def test_what_is_wrong_is_said_at_once(dask: Any) -> None:
    """Before anything is computed, in the words of the functions of arrays."""
    w, x = np.ones((1, 1, 3, 3)), chunked(np.ones((9, 9)), 4)
    with raises_exactly(
        ArgumentError, "conv: x must be a dask array, got 'x'; pass NumPy arrays to im2col's own functions"
    ):
        dask.conv("x", w)
    with pytest.raises(ShapeError, match=r"^max_pool: x has chunks of unknown sizes, .* call x.compute_chunk_sizes"):
        dask.max_pool(x[x.sum(axis=1) > 0], 2)
    with raises_exactly(
        ShapeError, "patches: x of shape (0, 9) has no pixels; compute it, and pass it to im2col's own function"
    ):
        dask.patches(x[:0], 2)
    with pytest.raises(GeometryError, match=r"^conv: the kernel spans 10 pixels"):
        dask.conv(x, np.ones((1, 1, 10, 10)))
    with pytest.raises(TypeError, match="unexpected keyword argument 'out'"):
        dask.conv(x, w, out=None)
    with pytest.raises(AttributeError, match="has no attribute 'lp_pool'"):
        _ = dask.lp_pool


def test_the_page_runs(dask: Any) -> None:
    """Every example gives what it prints."""
    assert dask
    failed, tried = doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0
    assert tried > 5


@pytest.mark.wide
def test_a_cluster_that_loses_a_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The demonstration, on a smaller image: a process is killed on the way, and every pixel is right."""
    for name in ("distributed", "zarr"):
        require(name)
    from examples import cluster_demo

    source, target = tmp_path / "image.zarr", tmp_path / "filtered.zarr"
    cluster_demo.make_image(source, 3001, 500)
    peaks = cluster_demo.filtered(source, target, 2, "600MB", kill=True)
    assert len(peaks) == 3
    assert max(peaks.values()) < 600e6
    assert cluster_demo.differences(source, target) == 0
    assert "killed process" in capsys.readouterr().out


def shown(cut: Any, image: Array, chunks: tuple[int, ...]) -> Array:
    """Return the block of a cut of a line of pixels."""
    edges = np.cumsum((0, *chunks))
    block = np.full(cut.size, -1)
    for part in cut.parts:
        chunk = image[edges[part.chunk] : edges[part.chunk + 1]]
        block[part.place] = (chunk if part.taken is None else chunk[part.taken])[part.index]
    return block


@pytest.mark.parametrize("mode", PADDING_MODES)
def test_cuts_of_windows(mode: Any) -> None:
    """Blocks and their padding are the padded line from the first window of a chunk to its last; it needs no dask."""
    rng = np.random.default_rng(4)
    for _ in range(300):
        chunks = tuple(int(n) for n in rng.integers(1, 6, rng.integers(1, 6)))
        n, span, stride = sum(chunks), int(rng.integers(1, 9)), int(rng.integers(1, 4))
        before, after = (int(each) for each in rng.integers(0, 5, 2))
        if n + before + after < span:
            continue
        count = (n + before + after - span) // stride + 1
        image = np.arange(n) + 10
        padded = np.pad(image, (before, after), mode=mode, **({"constant_values": -1} if mode == "constant" else {}))
        cuts = window_cuts(chunks, span, stride, before, count, mode)
        assert sum(cut.length for cut in cuts) == count
        first = 0
        for cut in cuts:
            block = np.pad(shown(cut, image, chunks), cut.pads, constant_values=-1)
            exact = padded[first * stride : (first + cut.length - 1) * stride + span]
            assert block[: len(exact)].tolist() == exact.tolist()
            assert (len(block) - span) // stride + 1 == cut.length
            assert mode != "constant" or cut.first == max(0, first * stride - before)
            first += cut.length
        # Middles of windows lie in their chunks, where no padding is, and no position has been moved.
        middles = np.arange(count) * stride - before + (span - 1) // 2
        inside = np.histogram(np.clip(middles, 0, n - 1), np.cumsum((0, *chunks)))[0]
        if mode == "constant" and before == after == 0:
            assert [cut.length for cut in cuts] == [each for each in inside.tolist() if each]


def test_cuts_of_transposes() -> None:
    """A block's elements are those that reach its pixels, and what is cut off is the rest; it needs no dask."""
    rng = np.random.default_rng(5)
    for _ in range(300):
        chunks = tuple(int(n) for n in rng.integers(1, 6, rng.integers(1, 6)))
        n, span, stride, before = sum(chunks), *(int(each) for each in rng.integers(1, 6, 2)), int(rng.integers(0, 3))
        count = (n - 1) * stride + span - before - int(rng.integers(0, 2))
        if count < 1:
            continue
        low = before
        for cut in spread_cuts(chunks, span, stride, before, count):
            high = low + cut.length
            reaching = [i for i in range(n) if i * stride < high and i * stride + span > low]
            elements = (shown(cut, np.arange(n), chunks)).tolist()
            assert set(reaching) <= set(elements)
            assert elements == list(range(cut.first, cut.first + cut.size))
            assert len(elements) <= max(1, len(reaching) + 1)
            assert cut.pads[0] == low - cut.first * stride >= 0
            assert cut.pads[1] == (cut.first + cut.size - 1) * stride + span - high
            low = high
        assert low == before + count


def test_cuts_of_channels() -> None:
    """Two channels or more, where they are apart; it needs no dask."""
    assert [(cut.first, cut.size) for cut in channel_cuts((1, 1, 3, 2, 1), 8, apart=True)] == [(0, 2), (2, 3), (5, 3)]
    assert [(cut.length, cut.size) for cut in channel_cuts((1, 4), 7, apart=False)] == [(7, 5)]
