"""The chapters on fewer multiplications: what is drawn multiplies to the convolution; what has no tiles is told so."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import im2col
from im2col import illustrate
from im2col.photo.kernels import KERNELS
from im2col.pictures.highlight import FOCUS, LIT, highlight
from im2col.pictures.panel_builder import LONGEST_AXIS
from im2col.pictures.pictured_layer import make_pictured_layer
from im2col.pictures.plane import NOTHING, Selection
from im2col.pictures.separable import Factors, factors_of
from im2col.pictures.story import chapters, make_scene
from im2col.pictures.text import dictionary, languages, say

from .kit.strategies import ORIENTATIONS, PADDING_MODES, fewer, numbers, seeds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from im2col.pictures.pictured_layer import PicturedLayer
    from im2col.pictures.plane import Plane
    from im2col.pictures.scene import Scene

    Array = NDArray[Any]

TILES = ("tiles", "tile-kernel", "tile-products", "tile-results")
FACTORS = ("factors", "two-passes")
SIGNED = np.array([[1, 2, 1], [0, 0, 0], [-1, -2, -1]])


def planes(layer: PicturedLayer, *names: str, **options: Any) -> dict[str, list[Plane]]:
    """Return the planes of some chapters by their panel's kind."""
    scenes = [make_scene(layer, name, **options) for name in names]
    return {panel.kind: list(panel.planes) for scene in scenes for panel in scene.panels}


def drawn(planes_: list[Plane], image: int = 0) -> Array:
    """Return the values of a panel's plane as a matrix whose rows are tiles or positions, as the library has them."""
    values = planes_[image if len(planes_) > 1 else 0].values
    assert values is not None
    return values


# --- tiles


@st.composite
def tiled_layers(draw: st.DrawFn) -> tuple[PicturedLayer, Array]:
    """Draw a layer that has tiles, and its padded image: two images, two channels, 1 to 3 axes of 3 taps or 1."""
    kernel = draw(st.lists(st.sampled_from([3, 1]), min_size=1, max_size=3).filter(lambda k: 3 in k and k.count(3) < 3))
    shape = [draw(st.integers(k, k + 2)) for k in kernel]
    padding = [(draw(st.integers(0, 1)), draw(st.integers(0, 1))) for _ in kernel]
    along = [(n + sum(pair), k) for n, pair, k in zip(shape, padding, kernel, strict=True)]
    # Of more tiles a table shows the first and the last.
    assume(math.prod(-(-(n - k + 1) // (2 if k == 3 else 1)) for n, k in along) <= LONGEST_AXIS)
    x = numbers((2, 2, *shape), np.dtype(np.int64), draw(seeds()))
    w = numbers((2, 2, *kernel), np.dtype(np.int64), draw(seeds()))
    mode: Any = draw(st.sampled_from(PADDING_MODES))
    options: dict[str, Any] = {"padding_mode": mode, "orientation": draw(st.sampled_from(ORIENTATIONS))}
    layer = make_pictured_layer(x, w, padding=tuple(padding), **options)
    return layer, np.pad(x, [(0, 0), (0, 0), *padding], mode=mode)


def tiles_by_loops(padded: Array, kernel: tuple[int, ...], output: tuple[int, ...]) -> tuple[Array, list[list[Any]]]:
    """Return the tiles of one padded plane, one a row, and the index of each of their results; None beyond it."""
    block = [2 if k == 3 else 1 for k in kernel]
    rows, places = [], []
    for tile in np.ndindex(*(-(-n // m) for n, m in zip(output, block, strict=True))):
        corner = [t * m for t, m in zip(tile, block, strict=True)]
        row = []
        for inside in np.ndindex(*(m + k - 1 for m, k in zip(block, kernel, strict=True))):
            at = tuple(c + i for c, i in zip(corner, inside, strict=True))
            row.append(padded[at] if all(a < n for a, n in zip(at, padded.shape, strict=True)) else 0)
        rows.append(row)
        results = [tuple(c + i for c, i in zip(corner, inside, strict=True)) for inside in np.ndindex(*block)]
        places.append([r if all(a < n for a, n in zip(r, output, strict=True)) else None for r in results])
    return np.array(rows, float), places


@fewer(2)
@given(tiled_layers())
def test_tiles_multiply_to_the_convolution(case: tuple[PicturedLayer, Array]) -> None:
    """Each drawn table is the product of those before it, and the results are the convolution, tile by tile."""
    layer, padded = case
    one = layer.one(1, 0)
    kernel, output = layer.geometry.kernel_size, layer.geometry.output_shape
    windows = np.lib.stride_tricks.sliding_window_view(padded[:, 1], kernel, tuple(range(1, 1 + len(kernel))))
    maps = (windows * layer.weights[0, 1]).sum(tuple(range(-len(kernel), 0)))
    found = planes(layer, *TILES, channel=1)
    turned = layer.orientation == "columns"
    for image in range(2):
        here = {kind: drawn(p, image).T if turned and kind != "maps" else drawn(p, image) for kind, p in found.items()}
        tiles, places = tiles_by_loops(padded[image, 1], kernel, output)
        np.testing.assert_array_equal(here["tiles"], tiles)
        np.testing.assert_array_equal(here["tile-values"], here["tiles"] @ here["tile-of-pixels"])
        np.testing.assert_array_equal(here["tile-kernel"], here["flat-kernel"] @ here["tile-of-weights"])
        np.testing.assert_array_equal(here["tile-products"], here["tile-values"] * here["tile-kernel"])
        np.testing.assert_array_equal(here["tile-results"], here["tile-products"] @ here["tile-of-products"])
        beyond = found["tile-results"][image].padding
        for t, r in np.ndindex(*here["tile-results"].shape):
            place = places[t][r]
            assert (beyond.T if turned else beyond)[t, r] == (place is None)
            if place is not None:
                assert here["tile-results"][t, r] == maps[image][place]
    assert one.weights.size == here["flat-kernel"].size


def test_the_transforms_are_those_of_the_algorithm() -> None:
    """F(2, 3) of one axis, as the paper has it but for signs; of two axes all pairs of its numbers."""
    flat = planes(make_pictured_layer(np.arange(6), [1, 2, 3]), *TILES)
    np.testing.assert_array_equal(
        drawn(flat["tile-of-pixels"]).T, [[-1, 0, 1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]]
    )
    np.testing.assert_array_equal(
        drawn(flat["tile-of-weights"]).T, [[-1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]
    )
    np.testing.assert_array_equal(drawn(flat["tile-of-products"]).T, [[1, 1, 1, 0], [0, 1, -1, 1]])
    square = planes(make_pictured_layer(np.ones((5, 5)), SIGNED), *TILES)
    for kind in ("tile-of-pixels", "tile-of-weights", "tile-of-products"):
        one, both = drawn(flat[kind]), drawn(square[kind])
        for (i, j), (k, n) in [((a, b), (c, d)) for a, b in np.ndindex(*one.shape) for c, d in np.ndindex(*one.shape)]:
            assert both[i * one.shape[0] + k, j * one.shape[1] + n] == one[i, j] * one[k, n]


def test_what_a_tile_is_not_multiplied_by_does_not_spread() -> None:
    """An infinite pixel reaches only the outputs whose window covers it."""
    x = np.arange(8.0)
    x[7] = np.inf
    results = drawn(planes(make_pictured_layer(x, [1.0, 2, 3]), "tile-results")["tile-results"])
    assert np.isfinite(results.reshape(-1)[:5]).all()
    assert not np.isfinite(results[2, 1])


def lit(scene: Scene, kind: str) -> tuple[Array, Array]:
    """Return the levels and the numbers of the first plane of a panel."""
    (panel,) = (panel for panel in scene.panels if panel.kind == kind)
    light = highlight(scene.layer, panel.planes[0], scene.selection)
    return light.level, light.order


def test_an_output_lights_its_tile() -> None:
    """The larger window in the image, the tile's row everywhere, the result, and what made it of the products."""
    layer = make_pictured_layer(np.arange(49).reshape(7, 7), SIGNED)
    selection = Selection(0, 11, None, 0)  # row 2, column 1: the second result of the first tile of the second row
    scenes = {name: make_scene(layer, name, selection) for name in TILES}
    level, order = lit(scenes["tiles"], "image")
    expected = np.zeros((7, 7), int)
    expected[2:6, 0:4] = np.arange(1, 17).reshape(4, 4)
    np.testing.assert_array_equal(order, expected)
    np.testing.assert_array_equal(level, LIT * (expected > 0))
    level, order = lit(scenes["tiles"], "tiles")
    assert [level[t].tolist() for t in range(9)] == [[LIT * (t == 3)] * 16 for t in range(9)]
    np.testing.assert_array_equal(order[3], range(1, 17))
    for name, kind in (("tiles", "tile-values"), ("tile-products", "tile-products")):
        assert lit(scenes[name], kind)[0].any(1).tolist() == [t == 3 for t in range(9)]
    level, _ = lit(scenes["tile-results"], "tile-results")
    assert level[3].tolist() == [LIT, FOCUS, LIT, LIT]
    assert level.any(1).sum() == 1
    assert lit(scenes["tile-results"], "tile-of-products")[0].any(0).tolist() == [False, True, False, False]
    assert lit(scenes["tile-products"], "tile-kernel")[0].all()
    assert not lit(scenes["tiles"], "tile-of-pixels")[0].any()
    assert say(dictionary("en"), scenes["tiles"].message) == "tile 4: output row 3, column 2"


def test_a_pixel_lights_its_copies_in_the_tiles() -> None:
    """All tiles that hold it, its copies in the padding too; a tap what is made of it."""
    layer = make_pictured_layer(np.arange(30).reshape(5, 6), SIGNED, padding=1, padding_mode="edge")
    selection = Selection(pixel=int(np.ravel_multi_index((0, 0, 4), layer.padded_shape)))
    scene = make_scene(layer, "tiles", selection)
    level, order = lit(scene, "tiles")
    values = drawn(planes(layer, "tiles")["tiles"])
    tiles, _ = tiles_by_loops(np.pad(np.arange(1, 31).reshape(5, 6), 1, mode="edge"), (3, 3), (5, 6))
    np.testing.assert_array_equal(level, LIT * (tiles == 4))  # the fourth pixel of the first row
    assert values.shape == level.shape
    assert not order.any()
    assert not lit(scene, "tile-values")[0].any()
    scene = make_scene(layer, "tile-kernel", Selection(tap=0))
    assert lit(scene, "tile-of-weights")[0].any(1).tolist() == [True] + [False] * 8
    points = np.kron([1, 1, 1, 0], [1, 1, 1, 0])  # the last point, infinity, sees the last taps alone
    np.testing.assert_array_equal(lit(scene, "tile-kernel")[0][0], LIT * points)


def test_tiles_that_are_looked_at_stay_in_sight() -> None:
    """Of many tiles those of the position, and those that hold the pixel."""
    layer = make_pictured_layer(np.zeros((40, 40)), SIGNED)
    for selection, tiles in (
        (Selection(0, 38 * 21 + 5), {10 * 19 + 2}),
        (Selection(pixel=40 * 20 + 21), {180, 181, 199}),
    ):
        (plane,) = planes(layer, "tiles", selection=selection)["tiles"]
        assert tiles | {0, 360} <= set(plane.rows.shown)
        assert len(plane.rows.shown) < 20


@pytest.mark.parametrize(
    ("kernel", "options"),
    [((5, 5), {}), ((3, 3), {"stride": 2}), ((3, 3), {"dilation": 2}), ((1, 1), {}), ((3, 2), {})],
)
def test_layers_without_tiles_say_so(kernel: tuple[int, int], options: dict[str, Any]) -> None:
    """Their windows stay as they are; the caption names what tiles take."""
    layer = make_pictured_layer(np.ones((9, 9)), np.ones(kernel), **options)
    for name in TILES:
        scene = make_scene(layer, name, Selection(0, 1, None, 0))
        assert [p if isinstance(p, str) else p.kind for p in scene.parts] == list(chapters()[name].otherwise)
        for lang in languages():
            assert " × ".join(map(str, kernel)) in say(dictionary(lang), scene.caption)
        assert scene.counter.key == "counter"


def test_the_caption_counts() -> None:
    """Products of a tile and of the whole output, and the results that lie beyond it."""
    words = dictionary("en")
    scenes = {name: make_scene(make_pictured_layer(np.ones((7, 6)), SIGNED), name) for name in TILES}
    assert "4 × 4 pixels holds all that 2 × 2 outputs read" in say(words, scenes["tiles"].caption)
    assert "here it makes 6 tiles" in say(words, scenes["tiles"].caption)
    products = say(words, scenes["tile-products"].caption)
    assert "16 products for 4 outputs instead of 36, 2.25 times fewer" in products
    assert "4 results lie beyond the output" in say(words, scenes["tile-results"].caption)
    assert say(words, scenes["tiles"].counter) == "180 products → 96, 0.533×"
    even = make_scene(make_pictured_layer(np.ones((4, 4)), SIGNED), "tile-results")
    assert "The tiles fit the output." in say(words, even.caption)


# --- factors


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_every_kernel_is_its_pairs(name: str) -> None:
    """Their sum is the kernel, there are as many as its rank, and what the first leaves is drawn."""
    weights = KERNELS[name].weights / KERNELS[name].divisor
    if weights.ndim != 2 or min(weights.shape) < 2:
        pytest.skip("one axis")
    layer = make_pictured_layer(np.ones((9, 9)), weights)
    factors = Factors(layer)
    assert factors.rank == np.linalg.matrix_rank(weights)
    whole = sum(np.multiply.outer(pair.column, pair.row) for pair in factors.pairs)
    np.testing.assert_allclose(whole, weights, rtol=0, atol=1e-15 * np.abs(weights).max())
    found = planes(layer, "factors")
    made = drawn(found["kernel-column"]) * drawn(found["kernel-row"]) + drawn(found["kernel-rest"])
    np.testing.assert_allclose(made, weights, rtol=0, atol=1e-15 * np.abs(weights).max())
    assert drawn(found["kernel-rest"]).any() == (factors.rank > 1)


def test_factors_of_whole_numbers_are_whole() -> None:
    """A column of the kernel, and a row that makes the kernel of it, without any rounding."""
    found = planes(make_pictured_layer(np.ones((5, 5)), SIGNED), "factors")
    assert drawn(found["kernel-column"]).tolist() == [[2], [0], [-2]]
    assert drawn(found["kernel-row"]).tolist() == [[0.5, 1, 0.5]]
    assert not drawn(found["kernel-rest"]).any()
    zero = make_scene(make_pictured_layer(np.ones((5, 5)), np.zeros((2, 2))), "factors")
    assert zero.caption.key == "caption.factors"
    assert zero.caption.values["rank"] == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128], ids=str)
def test_rounded_factors_have_rank_1(dtype: Any) -> None:
    """A product of two vectors, rounded to the dtype, is one pair; a third of it more is not."""
    rng = np.random.default_rng(0)
    column, row = rng.standard_normal((2, 5)).astype(dtype)
    kernel = np.multiply.outer(column, row)
    assert kernel.dtype == dtype
    assert Factors(make_pictured_layer(np.ones((6, 6)), kernel)).rank == 1
    kernel[2, 3] *= 1.25
    assert Factors(make_pictured_layer(np.ones((6, 6)), kernel)).rank == 2


@fewer(2)
@given(
    st.tuples(st.integers(2, 4), st.integers(2, 4)),
    st.tuples(st.integers(1, 2), st.integers(1, 3)),
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
    st.sampled_from(PADDING_MODES),
    st.sampled_from(ORIENTATIONS),
    seeds(),
)
def test_two_passes_make_the_convolution(
    kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int], mode: Any, orientation: Any, seed: int
) -> None:
    """Each drawn matrix times its vector is what follows; where the kernel is one pair, that is the output."""
    x = numbers((2, 1, 8, 9), np.dtype(np.int64), seed)
    w = np.multiply.outer(np.arange(1, kernel[0] + 1), np.array([2, -1, 2, 0])[: kernel[1]])
    options: dict[str, Any] = {
        "stride": stride,
        "dilation": dilation,
        "padding": ((1, 0), (2, 1)),
        "padding_mode": mode,
    }
    layer = make_pictured_layer(x, w[None, None], orientation=orientation, **options)
    turned = orientation == "columns"
    scene = make_scene(layer, "two-passes")
    found = {panel.kind: panel for panel in scene.panels}
    maps = im2col.conv(x, w[None, None], **options)
    padded = np.pad(x[:, 0], [(0, 0), (1, 0), (2, 1)], mode=mode)
    for image in range(2):
        here = {
            kind: drawn(list(p.planes), image).T
            if turned and kind not in {"image", "middle", "maps"}
            else drawn(list(p.planes), image)
            for kind, p in found.items()
        }
        middle = here["middle"]
        taps = np.arange(kernel[0]) * dilation[0]
        columns = [padded[image, y * stride[0] + taps, x_] for y, x_ in np.ndindex(*middle.shape)]
        shown = list(
            found["pixel-columns"].planes[image].columns.shown
            if turned
            else found["pixel-columns"].planes[image].rows.shown
        )
        np.testing.assert_array_equal(here["pixel-columns"], np.array(columns)[shown])
        np.testing.assert_array_equal((here["pixel-columns"] @ here["flat-column"])[:, 0], middle.reshape(-1)[shown])
        shown = list(
            found["middle-rows"].planes[image].columns.shown
            if turned
            else found["middle-rows"].planes[image].rows.shown
        )
        result = here["maps"].reshape(-1)
        np.testing.assert_array_equal((here["middle-rows"] @ here["flat-row"])[:, 0], result[shown])
        np.testing.assert_array_equal(result, maps[image, 0].reshape(-1))


def test_of_several_pairs_the_first_is_drawn() -> None:
    """Its result is not the output and is not called so; the results of all pairs sum to the output."""
    x, w = np.arange(36).reshape(6, 6) % 7, np.array([[1, 2, 3], [4, 5, 6], [7, 8, 10]])
    layer = make_pictured_layer(x, w)
    scene = make_scene(layer, "two-passes")
    (pair,) = (panel for panel in scene.panels if panel.kind == "pair")
    assert "rank 3" in say(dictionary("en"), scene.caption)
    assert say(dictionary("en"), scene.counter) == "144 products → 360, 2.5×"
    parts = [np.multiply.outer(one.column, one.row) for one in Factors(layer).pairs]
    maps = [im2col.conv2d(x.astype(float), part) for part in parts]
    np.testing.assert_allclose(drawn(list(pair.planes)), maps[0])
    np.testing.assert_allclose(sum(maps), im2col.conv2d(x, w), atol=1e-12)


def test_an_output_lights_both_passes() -> None:
    """The window, its columns, what they make, its row of that, and the output; a tap one element of each vector."""
    layer = make_pictured_layer(np.arange(56).reshape(7, 8), SIGNED, stride=(1, 2))
    scene = make_scene(layer, "two-passes", Selection(0, 4, None, 0))  # row 1, column 1
    assert lit(scene, "pixel-columns")[0].any(1).tolist() == [False] * 4 + [True] * 3 + [False] * 3
    level, _ = lit(scene, "middle")
    assert np.argwhere(level).tolist() == [[1, 2], [1, 3], [1, 4]]
    level, order = lit(scene, "middle-rows")
    assert level.any(1).tolist() == [p == 4 for p in range(15)]
    assert order[4].tolist() == [1, 2, 3]
    assert np.argwhere(lit(scene, "maps")[0] == FOCUS).tolist() == [[1, 1]]
    scene = make_scene(layer, "two-passes", Selection(tap=5))
    assert lit(scene, "flat-column")[0][:, 0].tolist() == [0, LIT, 0]
    assert lit(scene, "flat-row")[0][:, 0].tolist() == [0, 0, LIT]
    assert lit(scene, "pixel-columns")[0].any(0).tolist() == [False, True, False]
    scene = make_scene(layer, "factors", Selection(tap=5))
    assert np.argwhere(lit(scene, "kernel-rest")[0]).tolist() == [[1, 2]]
    pixel = make_scene(layer, "two-passes", Selection(pixel=8))
    assert drawn_values(pixel, "pixel-columns")[lit(pixel, "pixel-columns")[0] > 0].tolist() == [8.0]


def drawn_values(scene: Scene, kind: str) -> Array:
    """Return the values of the first plane of a panel."""
    (panel,) = (panel for panel in scene.panels if panel.kind == kind)
    return drawn(list(panel.planes))


@pytest.mark.parametrize("shape", [(3,), (3, 1), (1, 3), (2, 2, 2)])
def test_kernels_that_stay_whole_say_so(shape: tuple[int, ...]) -> None:
    """Those of one axis, of three, and of infinite numbers."""
    layer = make_pictured_layer(np.ones((1, 1, *(4,) * len(shape))), np.ones((1, 1, *shape)))
    broken = make_pictured_layer(np.ones((4, 4)), np.array([[1, np.inf], [0, 1]]))
    for one in (layer, broken):
        assert factors_of(one) is None
        for name in FACTORS:
            scene = make_scene(one, name, NOTHING)
            assert [p if isinstance(p, str) else p.kind for p in scene.parts] == list(chapters()[name].otherwise)
            assert scene.caption.key == "without.factors"


@pytest.mark.parametrize("chapter", [*TILES, *FACTORS])
def test_large_images_take_few_numbers(chapter: str) -> None:
    """Only what is shown is computed."""
    x = np.zeros((1, 3000, 3000), np.float32)
    picture = illustrate(x, np.ones((1, 1, 3, 3), np.float32), chapter=chapter, step=4_000_000)
    planes_ = [plane for panel in picture.scene.panels for plane in panel.planes]
    assert sum(plane.values.size for plane in planes_ if plane.values is not None) < 5000
    assert picture._repr_svg_().startswith("<svg")


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float16, np.longdouble, np.complex64], ids=str)
def test_every_kind_of_number(dtype: Any) -> None:
    """Tables are made in float64, or in what is wider."""
    x, w = np.arange(30).reshape(5, 6).astype(dtype), np.array([[1, 0, 1], [0, 1, 1], [1, 1, 0]]).astype(dtype)
    layer = make_pictured_layer(x, w)
    results = drawn(planes(layer, "tile-results")["tile-results"])
    assert results[0, 0] == np.abs((x[:3, :3].astype(complex) * w.astype(complex)).sum())
    for name in FACTORS:
        make_scene(layer, name).to_json()


def test_great_numbers_overflow_in_silence() -> None:
    """To infinity, as products do, or to no number where infinities meet."""
    x, w = np.full((5, 5), 1e308), np.full((3, 3), 1e308)
    assert not np.isfinite(drawn(planes(make_pictured_layer(x, w), "tile-results")["tile-results"])[0]).any()
    found = planes(make_pictured_layer(x, w), *FACTORS)
    assert np.isinf(drawn(found["maps"])).all()
    assert not drawn(found["kernel-rest"]).any()
