"""Tiles of images: cut as windows are, and put together so that no seam is seen."""

from __future__ import annotations

import math
import pickle
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import im2col
from im2col import Tile, blend_tiles, conv, iter_tiles, patches
from im2col.errors import ArgumentError, DTypeError, GeometryError, OutputError, ShapeError

from .kit.layers import dtype_of
from .kit.nasty import hostile
from .kit.outcomes import raises_exactly, require
from .kit.strategies import PADDING_MODES

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[Any]

LAYOUTS = {
    "HW": (13, 17),
    "HWC": (13, 17, 2),
    "CHW": (2, 13, 17),
    "NCHW": (2, 3, 13, 17),
    "W": (19,),
    "NDHWC": (2, 5, 6, 7, 2),
}


def image(layout: str) -> Array:
    """Return whole numbers, whose sums are exact."""
    return np.random.default_rng(len(layout)).integers(-9, 10, LAYOUTS[layout]).astype(float)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("mode", PADDING_MODES)
def test_tiles_are_windows(layout: str, mode: Any) -> None:
    """Those of `patches` with a stride, padded up to a whole number of them."""
    x, spatial = image(layout), len(layout.replace("N", "").replace("C", ""))
    size = (4, 5, 3)[:spatial]
    options: dict[str, Any] = {"layout": layout, "padding_mode": mode}
    whole = patches(x, size, stride=tuple(s - 1 for s in size), padding="multiple", tap_order="channel-last", **options)
    tiles = list(iter_tiles(x, size, overlap=1, **options))
    lead = layout.startswith("N")
    assert [tile.place for tile in tiles] == list(np.ndindex(whole.shape[lead : lead + spatial]))
    for tile in tiles:
        expected = whole[(slice(None),) * lead + tile.place]
        pixels = tile.pixels if layout != "CHW" else np.moveaxis(tile.pixels, 0, -1)
        pixels = np.moveaxis(pixels, 1, -1) if layout == "NCHW" else pixels
        np.testing.assert_array_equal(pixels, expected)


def test_tiles_within_the_image_are_views() -> None:
    """Nothing is copied, and nobody writes to the image through them."""
    x = np.zeros((9, 9))
    tiles = list(iter_tiles(x, 5, overlap=1))
    assert len(tiles) == 4
    assert all(np.shares_memory(tile.pixels, x) for tile in tiles)
    with pytest.raises(ValueError, match="read-only"):
        tiles[0].pixels[0, 0] = 1
    assert x.flags.writeable


@given(st.data())
def test_what_is_cut_is_put_together(data: st.DataObject) -> None:
    """The same numbers, to within their rounding, for any tiles; where none overlap, the same bits."""
    layout = data.draw(st.sampled_from(sorted(LAYOUTS)))
    x, spatial = image(layout), len(layout.replace("N", "").replace("C", ""))
    size = tuple(data.draw(st.integers(1, 20)) for _ in range(spatial))
    overlap = tuple(data.draw(st.integers(0, s - 1)) for s in size)
    margin = tuple(data.draw(st.integers(0, o // 2)) for o in overlap)
    tiles = list(iter_tiles(x, size, overlap=overlap, layout=layout))
    results = [(tiles[i], tiles[i].pixels) for i in np.random.default_rng(1).permutation(len(tiles))]
    result = blend_tiles(results, margin=margin)
    np.testing.assert_allclose(result, x, rtol=0, atol=1e-12)
    if all(2 * m == o for m, o in zip(margin, overlap, strict=True)):
        np.testing.assert_array_equal(result, x)


@pytest.mark.parametrize("layout", ["HWC", "NCHW", "CHW"])
@pytest.mark.parametrize(("size", "overlap"), [(6, 2), ((8, 7), (4, 3)), ((7, 40), (2, 6))])
def test_a_neighbourhood_sees_no_seam(layout: str, size: Any, overlap: Any) -> None:
    """A convolution of tiles, less a margin of what it lacks, is that of the whole."""
    x = image(layout)
    channels = x.shape[layout.index("C")]
    w = np.random.default_rng(1).integers(-9, 10, (4, channels, 3, 3)).astype(float)
    options: dict[str, Any] = {"padding": 1, "layout": layout}
    tiles = iter_tiles(x, size, overlap=overlap, padding_mode="constant", layout=layout)
    result = blend_tiles(((tile, conv(tile.pixels, w, **options)) for tile in tiles), margin=1)
    np.testing.assert_allclose(result, conv(x, w, **options), rtol=0, atol=1e-10)


def test_weights_rise_and_fall_evenly() -> None:
    """Of two tiles with results 0 and 1 the second fades in."""
    tiles = list(iter_tiles(np.zeros(12), (8,), overlap=4))
    result = blend_tiles((tile, np.full(8, tile.place[0])) for tile in tiles)
    np.testing.assert_allclose(result, [0, 0, 0, 0, 1 / 8, 3 / 8, 5 / 8, 7 / 8, 1, 1, 1, 1], rtol=1e-15)
    result = blend_tiles(((tile, np.full(8, tile.place[0])) for tile in tiles), margin=1)
    np.testing.assert_allclose(result, [0, 0, 0, 0, 0, 1 / 4, 3 / 4, 1, 1, 1, 1, 1], rtol=1e-15)


FACTORS: dict[str, tuple[Callable[[Array], Array], Fraction]] = {
    "twice": (lambda x: x.repeat(2, 0).repeat(2, 1), Fraction(2)),
    "half": (lambda x: x[::2, ::2], Fraction(1, 2)),
    "three halves": (lambda x: x.repeat(3, 0).repeat(3, 1)[::2, ::2], Fraction(3, 2)),
}


@pytest.mark.parametrize("name", FACTORS)
@pytest.mark.parametrize("shape", [(24, 17), (5, 9)])
def test_results_may_be_longer_or_shorter(name: str, shape: tuple[int, int]) -> None:
    """By a factor, as are all steps between tiles."""
    scaled, factor = FACTORS[name]
    x = np.random.default_rng(0).integers(0, 99, shape).astype(float)
    result = blend_tiles((tile, scaled(tile.pixels)) for tile in iter_tiles(x, 8, overlap=4))
    rows, columns = (math.ceil(n * factor) for n in shape)
    assert result.shape == (rows, columns)
    np.testing.assert_allclose(result, scaled(np.pad(x, 8))[int(8 * factor) :, int(8 * factor) :][:rows, :columns])


@pytest.mark.parametrize(
    ("given_as", "dtype"),
    [
        ("uint8", "float32"),
        ("int64", "float64"),
        ("bool", "float32"),
        ("float16", "float16"),
        ("complex64", "complex64"),
    ],
)
def test_dtypes_and_outputs(given_as: str, dtype: str) -> None:
    """Floats keep theirs, integers become what holds them; `out` is filled whole, and returned."""
    x = np.ones((5, 6), dtype_of(given_as))
    results = [(tile, tile.pixels) for tile in iter_tiles(x, 4, overlap=2)]
    result = blend_tiles(results)
    assert result.dtype == dtype_of(dtype)
    np.testing.assert_array_equal(result, x.astype(dtype_of(dtype)))
    out = np.full((6, 5), 7, dtype_of(dtype)).T
    assert blend_tiles(results, out=out) is out
    np.testing.assert_array_equal(out, x.astype(dtype_of(dtype)))
    with pytest.raises(OutputError, match=r"^blend_tiles: out "):
        blend_tiles(results, out=out[1:])


def test_what_is_no_number_stays_in_its_tile() -> None:
    """Where windows cover it."""
    x = np.zeros((10, 10))
    x[9, 9] = np.nan
    result = blend_tiles((tile, tile.pixels) for tile in iter_tiles(x, 6, overlap=2))
    np.testing.assert_array_equal(np.isnan(result), np.isnan(x))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("margin", [1, 2])
def test_what_margins_hold_is_seen_nowhere(wrong: float, margin: int) -> None:
    """Not even what is no number times 0; the borders of the image have no margin."""

    def framed(pixels: Array) -> Array:
        whole = np.full(pixels.shape, wrong)
        whole[margin:-margin, margin:-margin] = pixels[margin:-margin, margin:-margin]
        return whole

    x = np.arange(144.0).reshape(12, 12)
    result = blend_tiles(((tile, framed(tile.pixels)) for tile in iter_tiles(x, 8, overlap=4)), margin=margin)
    inside = (slice(margin, -margin),) * 2
    np.testing.assert_allclose(result[inside], x[inside], rtol=1e-14)
    assert not np.isfinite(result[0]).any()


def test_the_middle_of_margins() -> None:
    """Of shorter results an odd overlap may be all margin: its middle is half of each, all else as it is."""
    x = np.arange(60.0)
    tiles = iter_tiles(x, (16,), overlap=10)
    result = blend_tiles(((tile, tile.pixels[::2] + tile.place[0] % 2) for tile in tiles), margin=5)
    expected = x[::2].copy()
    expected[5:27:3] += 0.5
    for first in range(6, 28, 6):
        expected[first : first + 2] += 1
    np.testing.assert_array_equal(result, expected)


def test_an_image_is_not_its_own_output() -> None:
    """Tiles to come would be read from what was written; in another process there is no image to look at."""
    x = np.ones((8, 8))
    for size in (4, 20):  # views of it, and a copy
        with pytest.raises(OutputError, match=r"^blend_tiles: out shares memory with an input"):
            blend_tiles(((tile, tile.pixels * 2) for tile in iter_tiles(x, size, overlap=2)), out=x)
    np.testing.assert_array_equal(x, 1)
    tiles = pickle.loads(pickle.dumps(list(iter_tiles(x, 4, overlap=2))))  # noqa: S301 (our own)
    assert tiles[0].grid.image is None
    np.testing.assert_allclose(blend_tiles((tile, tile.pixels) for tile in tiles), x, rtol=1e-15)


PHOTO = np.zeros((8, 8))
TILES = list(iter_tiles(PHOTO, 4, overlap=2))
WHOLE = [(tile, tile.pixels) for tile in TILES]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: blend_tiles([]), ArgumentError, "results is empty; pass (tile, result) for every tile of iter_tiles"),
        (
            lambda: blend_tiles(WHOLE[:4] + WHOLE[5:]),
            ArgumentError,
            "1 of 9 tiles are missing, the first of them at (1, 1); pass a result for every tile of iter_tiles",
        ),
        (lambda: blend_tiles(WHOLE + WHOLE[2:3]), ArgumentError, "the tile at (0, 2) came twice; pass each once"),
        (
            lambda: blend_tiles([*WHOLE[:1], *((t, t.pixels) for t in iter_tiles(np.zeros((9, 9)), 4, overlap=2))]),
            ArgumentError,
            "the tiles are of several images; blend those of one call of iter_tiles",
        ),
        (
            lambda: blend_tiles([(tile, tile.pixels[:, : 4 - i]) for i, tile in enumerate(TILES)]),
            ShapeError,
            "all results must have the shape of the first, (4, 4), got (4, 3); blend tiles of one size",
        ),
        (
            lambda: blend_tiles([(tile, tile.pixels[:3]) for tile in TILES]),
            ShapeError,
            "results of shape (3, 4) of tiles of (4, 4) pixels (2, 2) apart would lie (3/2, 2) apart; choose a size "
            "and an overlap that make that whole numbers",
        ),
        (
            lambda: blend_tiles([(tile, tile.pixels[0]) for tile in TILES]),
            ShapeError,
            "results must have the axes 'HW' of the image, got one of shape (4,); keep the axes that a function drops, "
            "as in result[None]",
        ),
        (
            lambda: blend_tiles(WHOLE, margin=(1, 2)),
            GeometryError,
            "margin must be at most half of the overlap, (2, 2), got (1, 2); let tiles overlap more",
        ),
        (
            lambda: blend_tiles([(PHOTO, PHOTO)]),  # type: ignore[list-item]  # that is tried
            ArgumentError,
            None,
        ),
        (lambda: blend_tiles([(TILES[0], np.array(["a"]))]), DTypeError, None),
        (lambda: blend_tiles(hostile(object, "__getitem__")()), ArgumentError, None),
        (lambda: blend_tiles(hostile(object, "__iter__")()), ArgumentError, None),
        (lambda: blend_tiles(PHOTO.view(hostile(np.ndarray, "__getitem__"))), ArgumentError, None),
        (lambda: blend_tiles(require("scipy.sparse").dia_array(PHOTO)), ArgumentError, None),
    ],
)
def test_what_cannot_be_blended(call: Callable[[], object], error: type[Exception], message: str | None) -> None:
    """Is told, and nothing that has holes is returned."""
    if message is None:
        with pytest.raises(error, match=r"^blend_tiles: "):
            call()
    else:
        with raises_exactly(error, f"blend_tiles: {message}"):
            call()


@pytest.mark.parametrize(
    "changed",
    [
        *({"place": place} for place in (None, (0,), (-1, 0), (0, 3), (0.0, 0), (True, 0), [0, 0], PHOTO)),
        *({"grid": grid} for grid in (None, 5, PHOTO)),
    ],
    ids=repr,
)
def test_tiles_that_nobody_cut(changed: dict[str, Any]) -> None:
    """A place that counts from the end would be another tile's."""
    message = "blend_tiles: results have a Tile that iter_tiles did not make; pass those that it gives"
    with raises_exactly(ArgumentError, message):
        blend_tiles([(TILES[0]._replace(**changed), PHOTO[:4, :4])])


@pytest.mark.parametrize("hook", ["__len__", "__getitem__", "__iter__", "__eq__", "__repr__"])
def test_pairs_are_what_they_hold(hook: str) -> None:
    """Whatever they say of themselves, and whatever a tile says."""
    pair, tile = hostile(tuple, hook), hostile(Tile, hook)
    results: Any = [pair((tile(each.pixels, pair(each.place), each.grid), each.pixels + 1)) for each in TILES]
    np.testing.assert_array_equal(blend_tiles(results), PHOTO + 1)
    results = [pair((PHOTO,))]
    with pytest.raises(ArgumentError, match=r"^blend_tiles: results must be pairs of a Tile and an array, got "):
        blend_tiles(results)


def test_errors_of_results_are_their_own() -> None:
    """A function of the tiles that fails is the user's, who may wait for its error."""

    def fails(pixels: Array) -> Array:
        raise BlockingIOError(f"{pixels.shape}")

    with pytest.raises(BlockingIOError, match=r"\(4, 4\)"):
        blend_tiles((tile, fails(tile.pixels)) for tile in TILES)
    with pytest.raises(GeometryError, match=r"^conv: stride "):
        blend_tiles((tile, conv(tile.pixels, PHOTO[None, None], stride=0)) for tile in TILES)


def test_what_cannot_be_cut() -> None:
    """Is told before the first tile is asked for."""
    message = "iter_tiles: overlap must be less than the size of a tile, (4, 4), got (4, 0); use larger tiles"
    with raises_exactly(GeometryError, message):
        iter_tiles(PHOTO, 4, overlap=(4, 0))
    with pytest.raises(im2col.LayoutError, match=r"^iter_tiles: the image \(32, 32, 3\) may have its channels first"):
        iter_tiles(np.zeros((32, 32, 3)), 4)
    with pytest.raises(GeometryError, match=r"^iter_tiles: axis H of the image is empty"):
        iter_tiles(np.zeros((0, 5)), 4)
