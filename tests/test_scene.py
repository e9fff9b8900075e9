"""Scenes: cells show what plain loops compute, selections light what belongs together, and all of it is plain data."""

from __future__ import annotations

import itertools
import json
import math
import re
import string
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import im2col
from im2col import ArgumentError, ShapeError, illustrate
from im2col.pictures.highlight import FOCUS, LIT, highlight
from im2col.pictures.labels import letter, short
from im2col.pictures.panel_builder import PanelBuilder
from im2col.pictures.panels import make_panel
from im2col.pictures.pictured_layer import make_pictured_layer
from im2col.pictures.plane import NOTHING, Plane, Selection, axis
from im2col.pictures.story import SIGNS, chapters, make_scene
from im2col.pictures.text import Text, dictionary, languages, say

from .kit import oracles
from .kit.outcomes import raises_exactly
from .kit.strategies import ORIENTATIONS, PADDING_MODES, TAP_ORDERS, fewer, numbers, seeds, windows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from im2col.pictures.pictured_layer import PicturedLayer
    from im2col.pictures.scene import Panel, Scene

    Array = NDArray[Any]

CHAPTERS = tuple(chapters())
LAYER_CHAPTERS = tuple(name for name, chapter in chapters().items() if chapter.scope == "layer")
AXES = "ABDE"
SCHEMA = json.loads((Path(__file__).parents[1] / "docs/scene.schema.json").read_text())


def scene_of(layer: PicturedLayer, chapter: str, selection: Selection = NOTHING, **options: Any) -> Scene:
    """Return the scene of a chapter."""
    return make_scene(layer, chapter, selection, **options)


def panel_of(scene: Scene, kind: str) -> Panel:
    """Return the panel of that kind."""
    (found,) = (panel for panel in scene.panels if panel.kind == kind)
    return found


def cells(plane: Plane) -> list[tuple[dict[str, int], float, str]]:
    """Return the coordinates, the value and the label of every shown cell, by plain loops over its steps."""
    assert plane.values is not None
    assert plane.text is not None
    found = []
    for i, row in enumerate(plane.rows.shown):
        for j, column in enumerate(plane.columns.shown):
            at = {name: base + row * down + column * right for name, (base, down, right) in plane.coordinates.items()}
            found.append((at, float(plane.values[i, j]), str(plane.text[i, j])))
    return found


class Case:
    """A small layer with its definition as plain loops."""

    def __init__(
        self, window: oracles.Window, groups: int, mode: str, orientation: str, tap_order: str, seed: int
    ) -> None:
        k = len(window.spatial_shape)
        self.window, self.groups, self.mode, self.tap_order = window, groups, mode, tap_order
        self.layout = "NC" + AXES[:k]
        self.x = numbers((2, 2, *window.spatial_shape), np.dtype(np.int64), seed)
        self.w = numbers((4, 2 // groups, *window.kernel_size), np.dtype(np.int64), seed + 1)
        options: dict[str, Any] = {"padding_mode": mode, "orientation": orientation, "tap_order": tap_order}
        self.layer = make_pictured_layer(
            self.x,
            self.w,
            stride=window.stride,
            padding=window.padding,
            dilation=window.dilation,
            groups=groups,
            **options,
        )

    @property
    def padded(self) -> Array:
        """The padded images."""
        mode: Any = self.mode
        return np.pad(self.x, ((0, 0), (0, 0), *self.window.padding), mode=mode)

    @property
    def matrix(self) -> Array:
        """The column matrices, (N, positions, taps)."""
        return oracles.im2col(self.x, self.layout, self.window, mode=self.mode, tap_order=self.tap_order)

    @property
    def weights(self) -> Array:
        """The filters flattened, (taps, n), zero where a filter does not read a channel."""
        n, read = self.w.shape[:2]
        whole = np.zeros((n, 2, *self.window.kernel_size), np.int64)
        for f in range(n):
            first = f // (n // self.groups) * read
            whole[f, first : first + read] = self.w[f]
        ordered = whole if self.tap_order == "channel-first" else np.moveaxis(whole, 1, -1)
        return ordered.reshape(n, -1).T


@st.composite
def layers(draw: st.DrawFn) -> Case:
    """Draw a layer of two images, two channels, four filters."""
    window = draw(windows(draw(st.integers(1, 3))))
    return Case(
        window,
        draw(st.sampled_from([1, 2])),
        draw(st.sampled_from(PADDING_MODES)),
        draw(st.sampled_from(ORIENTATIONS)),
        draw(st.sampled_from(TAP_ORDERS)),
        draw(seeds()),
    )


# --- what cells show


@fewer(2)
@given(layers())
def test_the_matrix_the_weights_and_the_product(case: Case) -> None:
    """Each table's cells are those of the plain matrices, and the maps hold the product."""
    scene = scene_of(case.layer, "matmul-channels")
    product = case.matrix @ case.weights
    expected: dict[str, Any] = {
        "matrix": lambda at: case.matrix[at["image"], at["position"], at["tap"]],
        "weights": lambda at: case.weights[at["tap"], at["filter"]],
        "product": lambda at: product[at["image"], at["position"], at["filter"]],
        "maps": lambda at: product[at["image"], at["position"], at["filter"]],
    }
    assert {panel.kind for panel in scene.panels} == set(expected)
    for panel in scene.panels:
        for plane in panel.planes:
            if plane.mode == "digits":
                for (at, value, text), blank in zip(cells(plane), plane.blank.flat, strict=True):
                    assert value == expected[panel.kind](at)
                    assert text == ("" if blank else short(int(value)))
    # The product's sides fit in either orientation.
    left, right, result = (panel.planes[0] for panel in scene.panels[:3])
    assert left.columns.length == right.rows.length
    assert (left.rows.length, right.columns.length) == (result.rows.length, result.columns.length)


@fewer(4)
@given(layers())
def test_patches_partial_sums_and_side_by_side(case: Case) -> None:
    """Patches are rows of the matrix, partial sums add up to the map, the channels' matrices make the whole one."""
    n, taps = len(case.w), case.weights.shape[0]
    for filter_ in (0, n - 1):
        scene = scene_of(case.layer, "channels", Selection(1, 0, None, filter_))
        sums: dict[tuple[int, int], float] = {}
        for plane in panel_of(scene, "partials").planes:
            for at, value, _ in cells(plane):
                here = (at["image"], at["position"])
                sums[here] = sums.get(here, 0) + value
        for (image, position), total in sums.items():
            assert total == case.matrix[image, position] @ case.weights[:, filter_]
    scene = scene_of(case.layer, "concat")
    shown = {
        (at["image"], at["position"], at["tap"]): value
        for plane in panel_of(scene, "matrices").planes
        for at, value, _ in cells(plane)
    }
    assert {tap for _, _, tap in shown} == set(range(taps))
    for (image, position, tap), value in shown.items():
        assert value == case.matrix[image, position, tap]
    one = case.layer.one(1, n - 1)
    decomposed = scene_of(case.layer, "decompose", Selection(0, 0, None, n - 1), channel=1)
    assert decomposed.layer.channel_numbers == one.channel_numbers
    kernel = math.prod(case.window.kernel_size)
    whole = oracles.im2col(case.x, case.layout, case.window, mode=case.mode)
    for plane in panel_of(decomposed, "patches").planes:
        for at, value, _ in cells(plane):
            assert value == whole[0, at["position"], one.channel_numbers[0] * kernel + at["tap"]]


@fewer(2)
@given(layers())
def test_the_way_back(case: Case) -> None:
    """Sums, counts and means are those of the plain loops."""
    scene = scene_of(case.layer, "fold")
    columns = oracles.im2col(case.x, case.layout, case.window, mode=case.mode)
    sums = oracles.col2im(columns, case.x.shape, case.layout, case.window, mode=case.mode)
    counts = oracles.overlap_count(case.window, case.mode)
    starts = [before for before, _ in case.window.padding]
    padded = (2, *(n + a + b for n, (a, b) in zip(case.window.spatial_shape, case.window.padding, strict=True)))
    for kind in ("sums", "counts", "means"):
        for plane in panel_of(scene, kind).planes:
            for at, value, _ in cells(plane):
                channel, *axes = np.unravel_index(at["pixel"], padded)
                here = tuple(int(a) - start for a, start in zip(axes, starts, strict=True))
                count = counts[here]
                wanted = {
                    "sums": sums[(at["image"], channel, *here)],
                    "counts": count,
                    "means": case.x[(at["image"], channel, *here)] if count else 0,
                }
                assert value == wanted[kind]


@fewer(2)
@given(layers(), st.sampled_from(["", "first", "last"]))
def test_addresses_find_the_entries_in_memory(case: Case, memory: str) -> None:
    """The padded image, flattened in its own layout, has each entry of the matrix at the address that is shown."""
    layout = {"": case.layout, "first": case.layout, "last": "N" + case.layout[2:] + "C"}[memory]
    x = case.x if memory != "last" else np.moveaxis(case.x, 1, -1)
    options: Any = {"padding_mode": case.mode, "tap_order": case.tap_order, "layout": layout}
    window: Any = {"stride": case.window.stride, "padding": case.window.padding, "dilation": case.window.dilation}
    layer = make_pictured_layer(x, case.w, groups=case.groups, **window, **options)
    scene = scene_of(layer, "view")
    flat = (np.moveaxis(case.padded, 1, -1) if memory == "last" else case.padded)[0].reshape(-1)
    rows = {
        at["position"]: value for plane in panel_of(scene, "position-offsets").planes for at, value, _ in cells(plane)
    }
    taps = {at["tap"]: value for plane in panel_of(scene, "tap-offsets").planes for at, value, _ in cells(plane)}
    for at, address, _ in cells(panel_of(scene, "addresses").planes[0]):
        assert flat[int(address)] == case.matrix[0, at["position"], at["tap"]]
        assert address == rows[at["position"]] + taps[at["tap"]]
    for plane in panel_of(scene, "memory").planes:
        for at, address, _ in cells(plane):
            assert flat[int(address)] == case.padded[0].reshape(-1)[at["pixel"]]


def test_the_image_and_its_padding() -> None:
    """The padded image with its padding marked; stops are numbered in row-major order."""
    x = np.arange(1, 7).reshape(2, 3)
    scene = scene_of(make_pictured_layer(x, np.ones((2, 2), int), padding=((1, 0), (0, 2))), "padding-stride")
    assert [panel.kind for panel in scene.panels] == ["image", "padded", "stops"]
    bare, padded, stops = (panel.planes[0] for panel in scene.panels)
    assert bare.text is not None
    assert bare.text.tolist() == [["1", "2", "3"], ["4", "5", "6"]]
    assert padded.text is not None
    assert padded.text.tolist() == [["0"] * 5, ["1", "2", "3", "0", "0"], ["4", "5", "6", "0", "0"]]
    np.testing.assert_array_equal(
        padded.padding, np.pad(np.zeros((2, 3), bool), ((1, 0), (0, 2)), constant_values=True)
    )
    assert stops.text is not None
    assert stops.text.tolist() == [["1", "2", "3", "4"], ["5", "6", "7", "8"]]
    assert "⌊(2 + 1 − 1·(2−1) − 1) / 1⌋ + 1 = 2" in say(dictionary("en"), scene.caption)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float16, np.float64, np.complex64], ids=str)
def test_every_kind_of_number(dtype: Any) -> None:
    """Labels are the values' short forms, whatever the dtype."""
    x, w = np.arange(12).reshape(3, 4).astype(dtype), np.array([[1, 0], [1, 1]]).astype(dtype)
    for chapter in CHAPTERS:
        scene = scene_of(make_pictured_layer(x, w), chapter, Selection(0, 1, None, 0))
        json.dumps(scene.to_json(), allow_nan=False)
    text = panel_of(scene_of(make_pictured_layer(x, w), "slide"), "image").planes[0].text
    assert text is not None
    assert text.tolist() == [[short(v) for v in row] for row in x]


def test_letters() -> None:
    """Elements are named by their indices, from 0, without axes of length 1; padding and counts stay numbers."""
    layer = make_pictured_layer(np.ones((1, 1, 2, 2)), np.ones((2, 1, 2, 2)), padding=((0, 1), 0))
    texts = {
        panel.kind: [plane.text.tolist() for plane in panel.planes if plane.text is not None]
        for chapter in ("matmul-channels", "fold", "channels")
        for panel in scene_of(layer, chapter, labels="letters").panels
    }
    assert texts["matrix"] == [[["x00", "x01", "x10", "x11"], ["x10", "x11", "0", "0"]]]
    assert texts["weights"] == [[["w000", "w100"], ["w001", "w101"], ["w010", "w110"], ["w011", "w111"]]]
    assert texts["product"] == [[["y00", "y10"], ["y01", "y11"]]]
    assert texts["sums"] == [[["1·x00", "1·x01"], ["2·x10", "2·x11"]]]
    assert texts["means"] == [[["x00", "x01"], ["x10", "x11"]]]
    assert texts["counts"] == [[["1", "1"], ["2", "2"]]]
    assert texts["partials"] == [[["z00"], ["z01"]]]
    assert letter("x", (0, 0), (1, 1)) == "x0"


@fewer(2)
@given(layers())
def test_letters_of_copies(case: Case) -> None:
    """A copy in the padding has its pixel's letter; a constant is a number, and so is the sum of no copies."""
    shape = case.x.shape
    names = np.array([letter("x", at, shape) for at in np.ndindex(shape)], object)
    numbered = np.arange(case.x.size).reshape(shape)
    matrix = oracles.im2col(numbered, case.layout, case.window, mode=case.mode, value=-1, tap_order=case.tap_order)
    counts = oracles.overlap_count(case.window, case.mode)
    scene = scene_of(case.layer, "fold", labels="letters")
    for plane in panel_of(scene, "matrix").planes:
        for at, _, text in cells(plane):
            pixel = matrix[at["image"], at["position"], at["tap"]]
            assert text == (names[pixel] if pixel >= 0 else "0")
    for kind, times in (("sums", True), ("means", False)):
        for plane in panel_of(scene, kind).planes:
            channel = int(plane.coordinates["pixel"][0] // case.padded[0, 0].size)
            here, image = counts.reshape(-1, *counts.shape[-1:]), plane.coordinates["image"][0]
            rows = names.reshape(2, 2, -1, counts.shape[-1])[image, channel]
            if counts.ndim == 3:  # a slice
                depth = plane.place[1] % counts.shape[0]
                part = slice(depth * counts.shape[1], (depth + 1) * counts.shape[1])
                here, rows = here[part], rows[part]
            wanted = [
                [("" if not times else f"{n}·") + name if n else "0" for n, name in zip(*line, strict=True)]
                for line in zip(here, rows, strict=True)
            ]
            assert plane.text is not None
            assert plane.text.tolist() == wanted


def test_what_nothing_copied_is_zero() -> None:
    """The way back leaves pixels that no window reads at 0, whatever the labels, and the caption says so."""
    layer = make_pictured_layer(np.full((3, 3), np.inf), np.ones((1, 2)), stride=(2, 3))
    for labels in ("values", "letters"):
        for kind in ("sums", "means"):
            text = panel_of(scene_of(layer, "fold", labels=labels), kind).planes[0].text
            assert text is not None
            read = [False, False, True]
            assert [[cell == "0" for cell in row] for row in text] == [read, [True] * 3, read]
    scene = scene_of(layer, "fold")
    assert "wherever a pixel was copied" in say(dictionary("en"), scene.caption)
    assert "凡是复制过的像素" in say(dictionary("zh"), scene.caption)


@pytest.mark.parametrize("chapter", ["concat", "filters"])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_what_stands_below_is_not_called_beside(chapter: str, lang: str) -> None:
    """The words follow the orientation, and the title holds in both."""
    words = dictionary(lang)
    beside, below = words["word.beside"], words["word.below"]
    for orientation, word, other in (("rows", beside, below), ("columns", below, beside)):
        options: Any = {"orientation": orientation}
        layer = make_pictured_layer(np.ones((2, 3, 3), int), np.ones((3, 2, 2, 2), int), **options)
        scene = scene_of(layer, chapter)
        assert word in say(words, scene.caption)
        assert other not in say(words, scene.caption)
        for either in (beside, below, "side", "并排"):
            assert either not in say(words, scene.title)
        for panel in scene.panels:
            if panel.kind == "matrices":
                assert (len(panel.rows.shown), len(panel.columns.shown)) == ((1, 2) if word == beside else (2, 1))


def test_stops_are_drawn_once() -> None:
    """They are the same in every image of a batch, and the selected one is lit whichever image is looked at."""
    layer = make_pictured_layer(np.ones((3, 1, 4, 4), int), np.ones((1, 1, 3, 3), int))
    panel = panel_of(scene_of(layer, "padding-stride", Selection(2, 1)), "stops")
    (plane,) = panel.planes
    assert say(dictionary("en"), panel.size) == "2 × 2"
    assert plane.label == ()
    assert np.argwhere(highlight(layer, plane, Selection(2, 1)).level > 0).tolist() == [[0, 1]]


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float32, np.complex64], ids=str)
def test_the_way_back_in_every_dtype(dtype: Any) -> None:
    """Sums and means have the values and the dtypes of the matrix's own way back."""
    x = np.arange(2 * 5 * 6).reshape(1, 2, 5, 6).astype(dtype)
    layer = make_pictured_layer(x, np.ones((1, 2, 2, 3), dtype), stride=2, padding=1, padding_mode="reflect")
    options: Any = {"stride": 2, "padding": 1, "padding_mode": "reflect"}
    columns = im2col.im2col(x, (2, 3), **options)
    for reduce in ("sum", "mean"):
        wanted = im2col.col2im(columns, x.shape, (2, 3), reduce=reduce, **options)
        found = layer.folded(reduce)
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)


# --- what is lit


@fewer(2)
@given(layers(), st.data())
def test_selections_light_what_belongs_together(case: Case, data: st.DataObject) -> None:
    """Every rule of the linked highlighting, on every cell that is shown, against plain loops over the entries."""
    positions, taps = case.matrix.shape[1:]
    draw = data.draw
    position, tap = st.integers(0, positions - 1), st.integers(0, taps - 1)
    filter_, pixel = st.integers(0, 3), st.integers(0, case.padded[0].size - 1)
    none = st.none()
    kinds: list[Any] = [(position, none, filter_, none), (position, none, none, none), (none, tap, none, none)]
    kinds += [(none, tap, filter_, none), (none, none, none, pixel)]
    selection = Selection(draw(st.integers(0, 1)), *draw(st.one_of([st.tuples(*kind) for kind in kinds])))
    # The pixel of each entry: the matrix of an image that holds its own pixel numbers.
    own = np.arange(case.padded[0].size).reshape(1, *case.padded.shape[1:])
    inside = oracles.Window(
        case.padded.shape[2:], case.window.kernel_size, case.window.stride, ((0, 0),) * own.ndim, case.window.dilation
    )
    inside = oracles.Window(*(v[: len(case.window.stride)] for v in vars(inside).values()))
    pixel_of = oracles.im2col(own, case.layout, inside, tap_order=case.tap_order)[0]
    # The pixel that each padded pixel is a copy of; under a constant, padding is a copy of nothing.
    mode: Any = case.mode
    plain = np.arange(case.x[0].size).reshape(case.x[0].shape)
    pads = ((0, 0), *case.window.padding)
    copy_of = np.pad(plain, pads, mode=mode) if mode != "constant" else np.pad(plain, pads, constant_values=-1)
    copy_of = np.where(copy_of < 0, -1 - np.arange(copy_of.size).reshape(copy_of.shape), copy_of).reshape(-1)
    reads = case_reads(case, selection.filter)
    for chapter in ("channels", "concat", "matmul-channels", "fold"):
        scene = scene_of(case.layer, chapter, selection)
        for plane in (plane for panel in scene.panels for plane in panel.planes):
            level, order = highlight(scene.layer, plane, selection)
            for (at, _, _), lit, number in zip(cells(plane), level.flat, order.flat, strict=True):
                if at.get("image", selection.image) != selection.image:
                    assert (int(lit), int(number)) == (0, 0)
                else:
                    expected = expected_light(at, plane, selection, pixel_of, copy_of, reads)
                    assert (int(lit), int(number)) == expected, (chapter, plane.what, at, selection)


def case_reads(case: Case, filter_: int | None) -> list[bool]:
    """Return which taps a filter reads; all of them for none."""
    taps = case.weights.shape[0]
    kernel = math.prod(case.window.kernel_size)
    channel_of = [t // kernel if case.tap_order == "channel-first" else t % 2 for t in range(taps)]
    return [filter_ is None or case.groups == 1 or c == filter_ // 2 for c in channel_of]


def expected_light(
    at: dict[str, int], plane: Plane, s: Selection, pixel_of: Array, copy_of: Array, reads: list[bool]
) -> tuple[int, int]:
    """Return a cell's level and its number in the flattened patch, by the rules in words."""
    ranks = [sum(reads[: t + 1]) if reads[t] else 0 for t in range(len(reads))]
    if plane.what in {"pixel", "sum", "count", "mean"}:
        if s.pixel is not None:
            if at["pixel"] == s.pixel:
                return FOCUS, 0
            return (LIT if copy_of[at["pixel"]] == copy_of[s.pixel] else 0), 0
        if s.position is not None:
            here = [t for t in range(len(reads)) if reads[t] and pixel_of[s.position, t] == at["pixel"]]
            return (LIT, ranks[here[0]]) if here else (0, 0)
        return (LIT if at["pixel"] in pixel_of[:, s.tap] else 0), 0
    if plane.what == "entry":
        if s.pixel is not None:
            return (LIT if copy_of[pixel_of[at["position"], at["tap"]]] == copy_of[s.pixel] else 0), 0
        if s.position is not None:
            lit = at["position"] == s.position and reads[at["tap"]]
            return (LIT, ranks[at["tap"]]) if lit else (0, 0)
        return (LIT if at["tap"] == s.tap else 0), 0
    if s.pixel is not None:
        return 0, 0
    if plane.what == "weight":
        blank = plane.blank[plane.rows.shown.index(row_of(plane, at)), plane.columns.shown.index(column_of(plane, at))]
        if blank:
            return 0, 0
        if s.position is not None:
            lit = s.filter is not None and at["filter"] == s.filter and reads[at["tap"]]
            return (LIT, ranks[at["tap"]]) if lit else (0, 0)
        if at["tap"] != s.tap or (s.filter is not None and at["filter"] != s.filter):
            return 0, 0
        return (LIT if s.filter is None else FOCUS), 0
    same = s.filter is None or at["filter"] == s.filter
    if s.position is not None:
        return ((FOCUS if s.filter is not None else LIT) if same and at["position"] == s.position else 0), 0
    return (LIT if s.filter is not None and same else 0), 0


def row_of(plane: Plane, at: dict[str, int]) -> int:
    """Return the row of a cell by its coordinates, by search."""
    return cell_of(plane, at)[0]


def column_of(plane: Plane, at: dict[str, int]) -> int:
    """Return the column of a cell by its coordinates, by search."""
    return cell_of(plane, at)[1]


def cell_of(plane: Plane, at: dict[str, int]) -> tuple[int, int]:
    """Return where a plane shows these coordinates."""
    for row, column in itertools.product(plane.rows.shown, plane.columns.shown):
        if at == {name: b + row * d + column * r for name, (b, d, r) in plane.coordinates.items()}:
            return row, column
    raise AssertionError(at)


@pytest.mark.parametrize("tap_order", TAP_ORDERS)
def test_a_group_is_numbered_by_itself(tap_order: Any) -> None:
    """A filter of the second group lights its own channels only, and numbers their taps from 1."""
    x, w = np.arange(16).reshape(4, 4), np.ones((2, 2, 2), int)
    layer = make_pictured_layer(x, w, groups=2, tap_order=tap_order)
    scene = scene_of(layer, "channels", Selection(0, 1, None, 1))
    orders = [highlight(layer, plane, scene.selection).order.tolist() for plane in panel_of(scene, "image").planes]
    first, second = ([0, 1, 2, 0], [0, 3, 4, 0]) if tap_order == "channel-first" else ([0, 1, 3, 0], [0, 2, 4, 0])
    assert orders == [[[0] * 4], [[0] * 4], [first], [second]]


@fewer(2)
@given(layers())
def test_filters_and_patches_of_the_layer(case: Case) -> None:
    """Each weight stands in its own kernel, and each cell of the selected patch is the matrix's."""
    position = case.matrix.shape[1] - 1
    scene = scene_of(case.layer, "filters", Selection(1, position, None, 3))
    for plane, kernel in zip(panel_of(scene, "filters").planes, case.w.reshape(-1, *case.w.shape[2:]), strict=True):
        assert plane.values is not None
        np.testing.assert_array_equal(plane.values.reshape(kernel.shape), kernel)
        for at, value, _ in cells(plane):
            assert value == case.weights[at["tap"], at["filter"]]
    patch = make_panel(PanelBuilder(case.layer, Selection(1, position)), "patch")
    assert len(patch.planes) == 2
    for plane in patch.planes:
        for at, value, _ in cells(plane):
            assert value == case.matrix[1, position, at["tap"]]


def test_a_cell_that_is_pointed_at() -> None:
    """A position with a tap marks that entry, its pixel and its weight."""
    layer = make_pictured_layer(np.arange(9).reshape(3, 3), np.ones((2, 2), int))
    selection = Selection(0, 3, 2, 0)
    scene = scene_of(layer, "matmul", selection)
    marked = {}
    for panel in scene.panels:
        level = highlight(scene.layer, panel.planes[0], selection).level
        marked[panel.kind] = np.argwhere(level == FOCUS).tolist()
    assert marked == {"matrix": [[3, 2]], "weights": [[2, 0]], "product": [[3, 0]], "maps": [[1, 1]]}
    image = panel_of(scene_of(layer, "slide", selection), "image").planes[0]
    assert np.argwhere(highlight(scene.layer, image, selection).level == FOCUS).tolist() == [[2, 1]]


@fewer(2)
@given(layers(), st.integers(0, 3))
def test_the_formula_sums_to_its_result(case: Case, filter_: int) -> None:
    """Its terms, in the order of the flattened patch, are the patch's and the filter's; their sum is the output."""
    position = case.matrix.shape[1] - 1
    scene = scene_of(case.layer, "matmul-channels", Selection(1, position, None, filter_))
    reads = case_reads(case, filter_)
    pairs = [
        (short(int(a)), short(int(b)))
        for a, b, read in zip(case.matrix[1, position], case.weights[:, filter_], reads, strict=True)
        if read
    ]
    formula = scene.formula
    assert formula is not None
    assert formula.result == short(int(case.matrix[1, position] @ case.weights[:, filter_]))
    if formula.gap is None:
        assert list(formula.terms) == pairs
    else:
        after, hidden = formula.gap
        assert list(formula.terms) == [*pairs[:after], *pairs[after + hidden :]]


def test_products_of_a_filter_element() -> None:
    """A weight shows what it meets, without a sum."""
    layer = make_pictured_layer(np.arange(1, 5), [2, -3])
    scene = scene_of(layer, "matmul", Selection(0, None, 1, 0))
    assert scene.formula is not None
    assert scene.formula == ("", (("2", "−3"), ("3", "−3"), ("4", "−3")), None)
    words = dictionary("en")
    assert say(words, scene.message) == "filter 1, channel 1, column 2: the weight −3 meets 3 pixels"


def test_messages() -> None:
    """What each selection says, in both languages."""
    x, w = np.arange(9).reshape(3, 3), np.ones((2, 2), int)
    layer = make_pictured_layer(x, w, padding=1)
    said = {}
    for lang in ("en", "zh"):
        words = dictionary(lang)
        for name, selection in {
            "output": Selection(0, 5, None, 0),
            "row": Selection(0, 5),
            "tap": Selection(0, None, 3),
            "pixel": Selection(pixel=12),
            "padding": Selection(pixel=0),
        }.items():
            said[lang, name] = say(words, scene_of(layer, "matmul", selection).message)
    assert said["en", "output"] == "output row 2, column 2, filter 1"
    assert said["en", "row"] == "patch 6: output row 2, column 2"
    assert said["en", "tap"] == "tap 4 (channel 1, row 2, column 2): one pixel of every patch, 16 in all"
    assert said["en", "pixel"] == "pixel row 2, column 2, channel 1: 4, copied 4×"
    assert said["en", "padding"] == "padding: 0, copied 1×"
    assert said["zh", "output"] == "输出第 2 行第 2 列，滤波器 1"
    assert say(dictionary("en"), scene_of(layer, "slide").counter) == "9 pixels → 64 matrix cells, 7.11×"


@fewer(2)
@given(layers(), st.data())
def test_the_copies_of_a_pixel_are_counted(case: Case, data: st.DataObject) -> None:
    """The message counts what stands in the matrix of the pixels' own numbers, copies in the padding included."""
    channel = data.draw(st.integers(0, 1))
    at = tuple(data.draw(st.integers(0, n - 1)) for n in case.window.spatial_shape)
    numbered = np.arange(case.x[0].size).reshape(1, *case.x.shape[1:])
    matrix = oracles.im2col(numbered, case.layout, case.window, mode=case.mode, value=-1)
    padded = tuple(a + before for a, (before, _) in zip(at, case.window.padding, strict=True))
    pixel = int(np.ravel_multi_index((channel, *padded), case.padded.shape[1:]))
    scene = scene_of(case.layer, "concat", Selection(pixel=pixel))
    assert scene.message is not None
    assert scene.message.values["count"] == (matrix == numbered[(0, channel, *at)]).sum()


def test_copies_are_kept_in_sight() -> None:
    """A pixel's rows are not elided, nor a tap's column and channel."""
    layer = make_pictured_layer(np.arange(10 * 400).reshape(10, 20, 20), np.ones((1, 10, 3, 3), int))
    scene = scene_of(layer, "concat", Selection(pixel=7 * 400 + 10 * 20 + 10))
    rows = panel_of(scene, "matrix").planes[0].rows.shown
    assert {8 * 18 + 8, 9 * 18 + 9, 10 * 18 + 10} <= set(rows)
    assert 7 in panel_of(scene, "matrices").columns.shown
    scene = scene_of(layer, "concat", Selection(tap=5 * 9 + 4))
    assert 5 in panel_of(scene, "matrices").columns.shown
    assert 5 in panel_of(scene_of(layer, "filters", Selection(tap=5 * 9 + 4)), "filters").columns.shown
    wide = make_pictured_layer(np.ones((1, 60, 60), int), np.ones((1, 1, 50, 50), int))
    scene = scene_of(wide, "concat", Selection(tap=1234))
    assert 1234 in panel_of(scene, "matrices").planes[0].columns.shown


@pytest.mark.parametrize("tap_order", ["channel-first", "channel-last"])
@pytest.mark.parametrize("orientation", ["rows", "columns"])
@pytest.mark.parametrize("members", [1, 3])
def test_what_a_group_multiplies_is_kept_in_sight(members: int, orientation: Any, tap_order: Any) -> None:
    """Each product that the formula lists is lit in both matrices, whichever group the filter is of."""
    channels = 12
    x = np.arange(channels * 25).reshape(channels, 5, 5)
    w = -1 - np.arange(channels * members * 9).reshape(channels, members, 3, 3)
    layer = make_pictured_layer(x, w, groups=channels // members, orientation=orientation, tap_order=tap_order)
    for filter_ in range(channels):
        s = Selection(0, 4, None, filter_)
        scene = scene_of(layer, "matmul-channels", s)
        assert scene.formula is not None
        for kind, side in (("matrix", 0), ("weights", 1)):
            plane = panel_of(scene, kind).planes[0]
            assert plane.text is not None
            lit = plane.text[highlight(layer, plane, s).level > 0].tolist()
            assert {term[side] for term in scene.formula.terms} <= set(lit)
        first = filter_ // members * members
        for i in (0, 1, 2, -2, -1):  # by plain indices: of no group's pixels and weights is a number the same
            c, ky, kx = sorted(
                np.ndindex(members, 3, 3), key=lambda t: t if tap_order == "channel-first" else (*t[1:], t[0])
            )[i]
            assert scene.formula.terms[i] == (str(x[first + c, 1 + ky, 1 + kx]), f"−{-w[filter_, c, ky, kx]}")


def test_windows_are_elided_where_there_are_too_many_cells() -> None:
    """Filters and patches of 2,500 cells show them all, more of them the ends of each window."""
    layer = make_pictured_layer(np.ones((8, 48, 48), int), np.ones((8, 8, 40, 40), int))
    for chapter, kind in (("filters", "filters"), ("decompose", "patches"), ("matrix", "patch")):
        panel = panel_of(scene_of(layer, chapter, Selection(0, 3, None, 0)), kind)
        assert sum(plane.rows.length >= len(plane.rows.shown) for plane in panel.planes)
        assert sum(len(p.rows.shown) * len(p.columns.shown) for p in panel.planes) <= 2_500, kind


# --- elision


@given(st.integers(0, 400), st.integers(0, 60), st.lists(st.none() | st.integers(0, 399)))
def test_axes_keep_the_ends_and_the_chosen(length: int, limit: int, chosen: list[int | None]) -> None:
    """The first three, the last two, the selection and its neighbours; gaps count what is hidden, at least two."""
    chosen = [c for c in chosen if c is None or c < length]
    shown = axis(length, "rows", limit, chosen).shown
    assert list(shown) == sorted({*shown})
    if length <= limit:
        assert shown == tuple(range(length))
    for one in [*range(min(3, length)), *range(max(0, length - 2), length), *(c for c in chosen if c is not None)]:
        assert one in shown
    for one in (c for c in chosen if c is not None):
        assert {max(0, one - 1), min(length - 1, one + 1)} <= set(shown)
    gaps = axis(length, "rows", limit, chosen).gaps
    assert len(shown) + sum(count for _, count in gaps) == length
    assert all(count >= 2 for _, count in gaps)
    assert [shown[i + 1] - shown[i] - 1 for i, _ in gaps] == [count for _, count in gaps]


def test_great_shapes() -> None:
    """Digits, then colours, then blocks; tables keep their ends and the selection."""
    x = np.arange(3 * 224 * 224, dtype=np.int64).reshape(3, 224, 224) % 251
    layer = make_pictured_layer(x, np.ones((64, 3, 3, 3), int), padding=1)
    scene = scene_of(layer, "matmul-channels", Selection(0, 30_000, None, 40))
    matrix, maps = panel_of(scene, "matrix").planes[0], panel_of(scene, "maps")
    assert matrix.rows.shown == (0, 1, 2, 29_999, 30_000, 30_001, 50_174, 50_175)
    assert matrix.rows.length == 224 * 224
    assert matrix.mode == "digits"
    assert [plane.place[0] for plane in maps.planes] == [0, 1, 2, 39, 40, 41, 62, 63]
    assert {plane.mode for plane in maps.planes} == {"heat"}
    channels = scene_of(layer, "channels", Selection(0, 30_000, None, 40))
    patch = panel_of(channels, "patch")  # a picture without digits is read through its patch
    assert [plane.mode for plane in patch.planes] == ["digits"] * 3
    wide = make_pictured_layer(np.zeros((400, 400), np.uint8), np.ones((3, 3), int))
    scene = scene_of(wide, "slide")
    assert panel_of(scene, "image").planes[0].mode == "block"
    assert panel_of(scene, "image").planes[0].values is None
    json.dumps(scene.to_json())


def test_a_long_signal_shows_its_window() -> None:
    """One axis is elided around the window's pixels."""
    scene = scene_of(make_pictured_layer(np.arange(500), [1, 0, 2]), "slide", Selection(0, 250, None, 0))
    shown = panel_of(scene, "image").planes[0].columns.shown
    assert shown == (0, 1, 2, 249, 250, 251, 252, 253, 498, 499)


# --- plain data


@pytest.mark.parametrize("chapter", CHAPTERS)
@pytest.mark.parametrize(
    "selection",
    [
        Selection(),
        Selection(0, 1, None, 1),
        Selection(0, 1),
        Selection(0, None, 2),
        Selection(0, None, 2, 0),
        Selection(pixel=7),
    ],
)
def test_json_follows_the_schema(chapter: str, selection: Selection) -> None:
    """The document is valid, and its index map gives each entry's pixel."""
    x, w = np.arange(40).reshape(1, 2, 4, 5), np.arange(16).reshape(2, 2, 2, 2) - 7
    for tap_order in TAP_ORDERS:
        options: Any = {"tap_order": tap_order}
        scene = scene_of(make_pictured_layer(x, w, padding=1, dilation=2, **options), chapter, selection)
        document = json.loads(json.dumps(scene.to_json(), allow_nan=False))
        jsonschema.validate(document, SCHEMA)
        offsets = []
        for part in ("positions", "taps"):
            shape, strides = document["index_map"][part]["shape"], document["index_map"][part]["strides"]
            offsets.append([sum(map(math.prod, zip(at, strides, strict=True))) for at in np.ndindex(*shape)])
        expected = scene.layer.position_pixels[:, None] + scene.layer.tap_pixels
        assert [[p + t for t in offsets[1]] for p in offsets[0]] == expected.tolist()
        planes = [plane for part in document["parts"] if isinstance(part, dict) for plane in part["planes"]]
        assert len(document["lit"]) == len(planes)
        for plane, lit in zip(planes, document["lit"], strict=True):
            assert np.shape(lit["level"]) == (len(plane["rows"]["shown"]), len(plane["columns"]["shown"]))


def test_the_schema_refuses_what_it_does_not_know() -> None:
    """It is strict: a missing member and an unknown one are errors."""
    document = scene_of(make_pictured_layer(np.arange(4), [1, 2]), "matmul").to_json()
    for broken in ({**document, "more": 1}, {k: v for k, v in document.items() if k != "parts"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, SCHEMA)


def test_numbers_without_a_place_in_json() -> None:
    """NaN and the infinities become strings."""
    scene = scene_of(make_pictured_layer(np.array([np.nan, np.inf, 1.0]), np.array([1.0])), "slide")
    (image, *_), *_ = (part["planes"] for part in scene.to_json()["parts"] if isinstance(part, dict))
    assert image["values"] == [["nan", "inf", 1.0]]
    assert image["text"] == [["NaN", "∞", "1"]]


# --- labels, words, chapters


@given(st.floats(-1.79e308, 1.79e308) | st.integers(-(10**18), 10**18))
def test_short_numbers_are_close(value: float) -> None:
    """Three significant digits: half a unit in the third; never long."""
    text = short(value)
    assert len(text) <= 10
    assert abs(float(text.replace("−", "-")) - value) <= 0.005000001 * abs(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (99_999, "99999"),
        (100_000, "1e5"),
        (0.125, "0.125"),
        (1.125, "1.13"),
        (-1.125, "−1.13"),
        (999.7, "1000"),
        (0.00123, "0.00123"),
        (0.000999, "9.99e−4"),
        (123_456.7, "1.23e5"),
        (float("inf"), "∞"),
        (float("-inf"), "−∞"),
        (float("nan"), "NaN"),
        (1 - 2j, "1−2i"),
        (np.complex64(0.5 + 1j), "0.5+1i"),
        (complex(0, float("nan")), "0+NaNi"),
        (np.bool_(1), "1"),
        (np.float16(0.1), "0.1"),
    ],
)
def test_short_numbers(value: Any, text: str) -> None:
    """Ties away from zero, exponents where digits would not do."""
    assert short(value) == text


def test_numbers_beyond_float64() -> None:
    """Where a long double has more exponents than a double, its digits are shown, without a warning."""
    if np.finfo(np.longdouble).maxexp == np.finfo(np.float64).maxexp:
        pytest.skip("a long double is a double here")
    great = np.longdouble("1.2345e400")
    assert [short(great), short(-great), short(np.longdouble(0.125)), short(np.longdouble("inf"))] == [
        "1.23e400",
        "−1.23e400",
        "0.125",
        "∞",
    ]
    assert short(np.clongdouble(great)) == "1.23e400+0i"
    layer = make_pictured_layer(np.array([great, 1]), np.ones(1, np.longdouble))
    plane = panel_of(scene_of(layer, "slide"), "image").planes[0]
    assert plane.text is not None
    assert plane.text.tolist() == [["1.23e400", "1"]]
    assert np.asarray(plane.values).tolist() == [[np.inf, 1]]


def placeholders(text: str) -> set[str]:
    """Return the names in a text's braces."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_the_languages_say_the_same_things() -> None:
    """Equal keys in equal order, and the same numbers in each sentence."""
    assert {"en", "zh"} <= set(languages())
    english = dictionary("en")
    for lang in languages():
        words = dictionary(lang)
        assert list(words) == list(english)
        for key, text in words.items():
            assert text.strip()
            assert placeholders(text) == placeholders(english[key]), key
            if lang == "zh" and key.startswith(("chapter.", "caption.", "panel.")):
                assert re.search("[\u4e00-\u9fff]", text), key


def test_every_chapter_is_made_of_known_parts() -> None:
    """Seventeen of them, numbered in the order of the story; each has its words."""
    assert CHAPTERS == (
        "slide",
        "decompose",
        "matrix",
        "matmul",
        "channels",
        "concat",
        "filters",
        "matmul-channels",
        "padding-stride",
        "fold",
        "view",
        "tiles",
        "tile-kernel",
        "tile-products",
        "tile-results",
        "factors",
        "two-passes",
    )
    assert [chapter.number for chapter in chapters().values()] == list(range(1, 18))
    for name, chapter in chapters().items():
        assert {f"chapter.{name}", f"caption.{name}"} <= set(dictionary("en"))
        assert bool(chapter.otherwise) == (chapter.needs is not None)
        for parts in (chapter.parts, chapter.otherwise):
            assert all(part in SIGNS or re.fullmatch("[a-z-]+", part) for part in parts)
            assert not any(a in SIGNS and b in SIGNS for a, b in itertools.pairwise(parts))


def test_texts_of_texts() -> None:
    """A value that is a text is said in the same language; numbers get separators."""
    words = {"outer": "<{inner}> {n}", "inner": "[{n}]"}
    assert say(words, Text("outer", {"inner": Text("inner", {"n": 1234}), "n": "x"})) == "<[1,234]> x"
    assert say(words, None) == ""
    assert Text("outer", {"inner": Text("inner")}).to_json() == {
        "key": "outer",
        "values": {"inner": {"key": "inner", "values": {}}},
    }


# --- what is refused


def test_wrong_arguments() -> None:
    """Each error names the operation, the rule, the values and the way out."""
    x, w = np.ones((2, 4, 4)), np.ones((3, 2, 2, 2))
    with raises_exactly(ArgumentError, f"illustrate: chapter must be one of {CHAPTERS}, got 'nope'"):
        illustrate(x, w, chapter="nope")
    with raises_exactly(ArgumentError, "illustrate: lang must be one of ('en', 'zh'), got 'fr'"):
        illustrate(x, w, lang="fr")
    with raises_exactly(
        ArgumentError, "illustrate: filter counts from 0 and there are 3 here, so it must be below 3; got 3"
    ):
        illustrate(x, w, filter=3)
    with raises_exactly(
        ArgumentError, "illustrate: step counts from 0 and there are 9 here, so it must be below 9; got 9"
    ):
        illustrate(x, w, step=9)
    with raises_exactly(ArgumentError, "illustrate: step must be an integer, \"all\" or None, got 'some'"):
        illustrate(x, w, step="some")  # type: ignore[arg-type]  # that is tried
    with raises_exactly(ArgumentError, "illustrate: step must be at least 0, got -1"):
        illustrate(x, w, step=-1)
    with raises_exactly(ArgumentError, 'illustrate: step must be an integer, "all" or None, got array([1, 2])'):
        illustrate(x, w, step=np.array([1, 2]))  # type: ignore[arg-type]  # that is tried
    with raises_exactly(ArgumentError, f"illustrate: chapter must be one of {CHAPTERS}, got ['matmul']"):
        illustrate(x, w, chapter=["matmul"])  # type: ignore[arg-type]  # that is tried
    with raises_exactly(ArgumentError, "illustrate: lang must be one of ('en', 'zh'), got []"):
        illustrate(x, w, lang=[])  # type: ignore[arg-type]  # that is tried
    with raises_exactly(ArgumentError, "illustrate: labels must be 'values' or 'letters', got 'words'"):
        illustrate(x, w, labels="words")  # type: ignore[arg-type]  # that is tried
    with raises_exactly(
        ShapeError,
        "illustrate: there is nothing to draw: x of shape (0, 2, 4, 4) has 0 images of 2 channels and w of shape "
        "(3, 2, 2, 2) has 3 filters; pass at least one of each",
    ):
        illustrate(np.ones((0, 2, 4, 4)), w)
    with raises_exactly(
        ShapeError,
        "illustrate: pictures have one to three spatial axes, w of shape (1, 1, 1, 1, 1, 1) has 4; draw a slice, as in "
        "x[..., 0]",
    ):
        illustrate(np.ones((1, 1, 1, 1, 1, 1)), np.ones((1, 1, 1, 1, 1, 1)))
    with pytest.raises(im2col.GeometryError, match=r"^illustrate: the kernel spans 5 pixels"):
        illustrate(x, np.ones((1, 2, 5, 5)))


def test_the_package_ships_its_data() -> None:
    """Chapters and dictionaries are found as a package's resources."""
    names = {entry.name for entry in (files("im2col.pictures") / "chapters").iterdir()}
    assert {f"{name}.json" for name in CHAPTERS} <= names
