"""The page's scenes: what it shows equals what the library computes, cell by cell, in a real browser."""

from __future__ import annotations

import itertools
import json
import math
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

import im2col.pictures
from im2col.pictures.colours import heat
from im2col.pictures.labels import letter, short
from im2col.pictures.page.modules import inline_modules
from im2col.pictures.pictured_layer import make_pictured_layer
from im2col.pictures.plane import NOTHING, Selection
from im2col.pictures.story import chapters, make_scene
from im2col.pictures.text import Text, dictionary, languages, say
from im2col.spec.geometry import Geometry
from im2col.spec.padded import source_index

from .kit.strategies import PADDING_MODES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from im2col.pictures.pictured_layer import PicturedLayer
    from im2col.pictures.scene import Scene

    Array = NDArray[Any]

PICTURES = Path(im2col.pictures.__file__).parent
PAGE = PICTURES / "page"
CHAPTERS = tuple(chapters())
GROUPED = ("concat", "filters", "matmul-channels", "view")
FEWER = tuple(name for name, chapter in chapters().items() if chapter.needs)
NAMES = (
    "drawHeat, valueColour, short, letter, sourceIndex, "
    "Geometry, makeLayer, makeScene, sceneToJson, panelsOf, highlight, say"
)


@pytest.fixture(scope="module")
def page(browser: Any) -> Iterator[Any]:
    """Open a blank page that has the modules' functions as globals."""
    page = browser.new_page()
    script = inline_modules(PAGE, "colours.js", "layer.js", "scene_json.js", "story.js", "texts.js")
    page.evaluate(f"""() => {{ "use strict"; {script}; Object.assign(window, {{ {NAMES} }}); }}""")
    plans = {path.stem: json.loads(path.read_text("utf-8")) for path in (PICTURES / "chapters").glob("*.json")}
    page.evaluate("(plans) => { window.plans = plans; }", plans)
    # Numbers that JSON does not have come as strings.
    page.evaluate("() => { window.layerOf = ([d, x, w]) => makeLayer(d, Float64Array.from(x), Float64Array.from(w)); }")
    yield page
    page.close()


def of_page(page: Any, function: str, argument: object) -> Any:
    """Return what a JavaScript function makes of an argument; both travel as JSON."""
    return json.loads(page.evaluate(f"(text) => JSON.stringify(({function})(JSON.parse(text)))", json.dumps(argument)))


def data_of(layer: PicturedLayer) -> list[Any]:
    """Return a layer as the page's data has it: its description, and its arrays in C order."""
    g = layer.geometry
    description = {
        "batch": layer.batch,
        "channels": layer.channels,
        "filters": layer.filters,
        "groups": layer.groups,
        "spatial_shape": g.spatial_shape,
        "kernel_size": g.kernel_size,
        "stride": g.stride,
        "padding": g.padding,
        "dilation": g.dilation,
        "padding_mode": layer.padding_mode,
        "padding_value": layer.padding_value.item(),
        "orientation": layer.orientation,
        "tap_order": layer.tap_order,
        "memory": layer.memory,
    }
    arrays = ([numeral(v) for v in array.ravel().tolist()] for array in (layer.image, layer.weights))
    return [description, *arrays]


def numeral(value: float) -> float | str:
    """Return a number for JSON: what JSON lacks as JavaScript reads it from a string."""
    return value if math.isfinite(value) else str(value).replace("inf", "Infinity")


# --- numbers and letters


def test_numbers_are_as_short_as_in_python(page: Any) -> None:
    """Thousands of numbers of all magnitudes, ties among them, read alike in both languages."""
    rng = random.Random(1)  # noqa: S311 (no secrets)
    values: list[float] = [0.125, 1.125, -2.5, 1e-7, 123456.5, 99999.5, 99949.5, 9.995, 0.0009995, 1234.5, 1235.5]
    values += [0, -0.0, 99_999, 100_000, -100_000, 123_456_789, 2**53, 5e-324, 1.7976931348623157e308, 1 / 3]
    values += [rng.uniform(-1, 1) * 10.0 ** rng.randint(-12, 12) for _ in range(3000)]
    values += [rng.choice([-1, 1]) * rng.randint(0, 10 ** rng.randint(1, 15)) for _ in range(2000)]
    values += [rng.randint(-(2**20), 2**20) / 2.0 ** rng.randint(0, 24) for _ in range(2000)]
    values += [n + 0.5 for n in range(990, 1010)] + [(n + 0.5) / 8 for n in range(800)]
    found = of_page(page, "(values) => values.map(short)", values)
    assert found == [short(v) for v in values]
    assert page.evaluate("[NaN, Infinity, -Infinity].map(short)") == [short(float(v)) for v in ("nan", "inf", "-inf")]


def test_letters_are_those_of_python(page: Any) -> None:
    """Axes of length 1 are left out, and indices separated where one may have two digits."""
    cases = [
        ["x", [0, 1, 2], [1, 4, 4]],
        ["x", [2, 1, 11], [3, 4, 12]],
        ["x", [0, 0], [1, 1]],
        ["w", [1, 0, 2], [2, 1, 10]],
        ["y", [0, 10], [1, 11]],
    ]
    found = of_page(page, "(cases) => cases.map((c) => letter(...c))", cases)
    assert found == [letter(*case) for case in cases]  # type: ignore[arg-type]  # lists of three


def test_texts_say_the_same(page: Any) -> None:
    """Numbers get their separators, texts within texts are said first, nothing says nothing."""
    layer = make_pictured_layer(np.zeros((1, 300, 300)), np.zeros((7, 1, 3, 3)))
    for lang in languages():
        words = dict(dictionary(lang))
        scenes = [make_scene(layer, chapter, Selection(0, 12_345, None, 2)) for chapter in CHAPTERS]
        texts = [text for scene in scenes for text in (scene.title, scene.caption, scene.counter, scene.message)]
        texts += [None, Text("gap.rows", {"count": 1_234_567}), Text("gap.rows", {"count": 0})]
        found = of_page(
            page,
            "([words, texts]) => texts.map((text) => say(words, text))",
            [words, [text and text.to_json() for text in texts]],
        )
        assert found == [say(words, text) for text in texts]


# --- geometry


@pytest.mark.parametrize("mode", PADDING_MODES)
def test_padding_shows_the_same_pixels(page: Any, mode: str) -> None:
    """As np.pad pads, however long the padding is."""
    cases = list(itertools.product(range(1, 6), range(14), (0, 1, 5, 13)))
    found = of_page(page, f"(cases) => cases.map((c) => [...sourceIndex(...c, '{mode}')])", cases)
    assert found == [source_index(*case, mode).tolist() for case in cases]


def test_which_windows_are_valid(page: Any) -> None:
    """The page allows just those windows that the library makes a geometry of."""
    rng = random.Random(2)  # noqa: S311 (no secrets)
    cases = [
        [[rng.randint(0, 5)], [rng.randint(0, 4)], [rng.randint(0, 2)], [[0, rng.randint(-1, 2)]], [rng.randint(0, 2)]]
        for _ in range(300)
    ] + [[[3, 3], [2], [1], [[0, 0]], [1]], [[], [], [], [], []]]

    def shape(case: list[Any]) -> list[int] | None:
        try:
            spatial_shape, kernel_size, stride, padding, dilation = (tuple(v) for v in case)
            return list(Geometry(spatial_shape, kernel_size, stride, padding, dilation).output_shape)
        except im2col.GeometryError:
            return None

    function = """(cases) => cases.map((c) => {
        if (c.some((values) => values.length !== c[0].length)) return null;  // the page has one for each axis
        const g = new Geometry(...c);
        return g.isValid ? g.outputShape : null;
    })"""
    assert of_page(page, function, cases) == [shape(case) for case in cases]


# --- scenes


class Case(NamedTuple):
    """What a layer is made of, and what to look at."""

    x: Array
    w: Array
    options: dict[str, Any]
    chapters: tuple[str, ...] = CHAPTERS
    labels: tuple[str, ...] = ("values",)


def whole(shape: tuple[int, ...], seed: int) -> Array:
    """Return small integers as float64, in which the page computes."""
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(np.float64)


def dyadic(shape: tuple[int, ...], seed: int) -> Array:
    """Return fractions whose sums are exact in any order, ties of the third digit among them."""
    return np.random.default_rng(seed).integers(-4000, 4000, shape) / 64.0


SPECIAL = np.array([[0.125, 1.125, -2.5, 1e-7], [123456.5, 99999.5, 2.0**40, 1 / 1024], [0, -0.0, 12345, 9.995]])
SINGLE = np.array([[0.1, 0.7, 0.3], [1.3, 1, 0.4]], np.float32)
STRANGE = np.array([[np.nan, np.inf, -np.inf, 1], [0, -1, 2, 3]])

CASES: dict[str, Case] = {
    "article": Case(whole((4, 4), 1), whole((3, 3), 2), {"padding": 0}, labels=("values", "letters")),
    "1-d": Case(
        whole((2, 9), 3), whole((3, 2, 3), 4), {"stride": 2, "padding": ((2, 1),)}, labels=("values", "letters")
    ),
    "1-d long": Case(whole((1, 300), 5), whole((2, 1, 5), 6), {"stride": 2, "padding": ((3, 0),), "dilation": 3}),
    "1-d wide kernel": Case(whole((2, 140), 7), whole((2, 2, 60), 8), {"tap_order": "channel-last"}),
    "2-d groups": Case(
        whole((2, 4, 5, 6), 9),
        whole((6, 2, 2, 3), 10),
        {"groups": 2, "stride": (2, 1), "padding": ((1, 0), (0, 2)), "padding_value": -0.5},
        labels=("values", "letters"),
    ),
    "2-d depthwise": Case(
        whole((3, 6, 6), 11), whole((6, 1, 3, 2), 12), {"groups": 3, "dilation": (1, 2), "tap_order": "channel-last"}
    ),
    "columns": Case(
        whole((2, 2, 4, 5), 13),
        whole((3, 2, 2, 2), 14),
        {"orientation": "columns", "padding": 1, "padding_mode": "edge"},
        labels=("values", "letters"),
    ),
    "columns, channel-last": Case(
        whole((2, 3, 5, 4), 15),
        whole((4, 3, 3, 2), 16),
        {"orientation": "columns", "tap_order": "channel-last", "padding": ((2, 0), (0, 1)), "padding_mode": "wrap"},
        labels=("values", "letters"),
    ),
    "3-d": Case(
        whole((2, 4, 3, 5), 17),
        whole((2, 2, 2, 2, 2), 18),
        {"stride": (1, 2, 2), "padding": ((1, 0), (0, 2), (1, 1)), "padding_mode": "symmetric"},
        labels=("values", "letters"),
    ),
    "3-d batch": Case(
        whole((3, 2, 5, 3, 3), 19),
        whole((2, 1, 2, 2, 1), 20),
        {"groups": 2, "dilation": (2, 1, 1), "orientation": "columns", "tap_order": "channel-last"},
    ),
    "reflect": Case(
        whole((5, 5), 21),
        whole((2, 2), 22),
        {"padding": 3, "padding_mode": "reflect", "stride": 3},
        labels=("letters", "values"),
    ),
    "channels last in memory": Case(
        whole((5, 4, 3), 23), whole((2, 3, 2, 2), 24), {"layout": "HWC", "padding": ((1, 0), (0, 1))}
    ),
    "pixels that nothing reads": Case(
        whole((7, 8), 25), whole((2, 2), 26), {"stride": 3}, labels=("letters", "values")
    ),
    "fractions": Case(dyadic((2, 6, 6), 27), dyadic((3, 2, 3, 3), 28), {"padding": 1, "padding_value": 0.125}),
    "special": Case(SPECIAL, np.array([[1.0, 0.5], [0.25, 2]]), {"padding": 1}),
    "no numbers": Case(STRANGE, np.array([[1.0, 2]]), {}),
    "many channels": Case(whole((11, 4, 4), 29), whole((12, 11, 2, 2), 30), {}, labels=("values", "letters")),
    "many filters": Case(whole((1, 7, 60), 31), whole((70, 1, 1, 2), 32), {"stride": (2, 3)}),
    "many images": Case(whole((10, 1, 3, 4), 33), whole((1, 1, 2, 2), 34), {"orientation": "columns"}),
    "many patches": Case(whole((30, 9), 35), whole((4, 5), 36), {}),
    "great patches": Case(whole((17, 18), 37), whole((8, 9), 38), {}, chapters=("decompose", "matrix", "slide")),
    "a line of great patches": Case(whole((14, 15), 47), whole((9, 9), 48), {}, chapters=("decompose",)),
    "colours": Case(
        whole((2, 54, 49), 39), whole((2, 2, 3, 3), 40), {"padding": 1}, chapters=("channels", "fold", "slide", "view")
    ),
    "blocks": Case(whole((330, 310), 41), whole((3, 3), 42), {}, chapters=("padding-stride", "matmul")),
    "groups of many taps": Case(whole((8, 4, 4), 61), whole((8, 2, 3, 3), 62), {"groups": 4}, chapters=GROUPED),
    "groups of channels last": Case(
        whole((8, 4, 4), 63), whole((8, 1, 3, 3), 64), {"groups": 8, "tap_order": "channel-last"}, chapters=GROUPED
    ),
    "tiles in a batch of groups": Case(
        whole((2, 4, 5, 4), 49),
        whole((4, 2, 3, 3), 50),
        {"groups": 2, "padding": ((1, 0), (0, 2)), "padding_mode": "edge", "orientation": "columns"},
        chapters=FEWER,
        labels=("values", "letters"),
    ),
    "tiles of a signal": Case(
        dyadic((1, 120), 51), dyadic((1, 1, 3), 52), {"padding": ((1, 0),), "padding_value": 2}, chapters=FEWER
    ),
    "tiles of two axes of three": Case(whole((5, 4, 6), 53)[None], whole((1, 1, 3, 1, 3), 54), {}, chapters=FEWER),
    "tiles of three axes": Case(whole((4, 5, 4), 55)[None], whole((1, 1, 3, 3, 3), 56), {}, chapters=FEWER),
    "factors": Case(
        whole((1, 9, 30), 57),
        np.multiply.outer([1.0, 3, -2, 0.5], [0.1, 0.7, -0.3])[None, None],
        {"stride": (2, 1), "dilation": (1, 3), "padding": 1, "padding_mode": "wrap", "orientation": "columns"},
        chapters=("factors", "two-passes"),
        labels=("values", "letters"),
    ),
    "factors of float32": Case(
        whole((12, 11), 58),
        np.multiply.outer(SINGLE[0], SINGLE[1]).astype(float),
        {},
        chapters=("factors", "two-passes"),
    ),
    "no weight": Case(whole((4, 5), 59), np.zeros((2, 3)), {}, chapters=FEWER),
    "infinite weights": Case(whole((4, 5), 60), np.array([[1, np.inf], [np.nan, 0]]), {}, chapters=FEWER),
    "empty": Case(whole((1, 0, 3), 43), whole((1, 1, 2, 2), 44), {"padding": ((2, 1), 0)}),
}


def selections(layer: PicturedLayer, drawn: PicturedLayer) -> list[Selection]:
    """Return what can be looked at: nothing, and each kind of cell at the start, inside and at the end.

    Parameters
    ----------
    layer : PicturedLayer
        The whole layer, whose filters are counted.
    drawn : PicturedLayer
        The layer whose taps and pixels are counted.
    """
    image, filter_ = layer.batch - 1, layer.filters - 1
    position, tap, pixel = drawn.positions - 1, drawn.taps - 1, math.prod(drawn.padded_shape) - 1
    return [
        NOTHING,
        Selection(0, 0, None, 0),
        Selection(image, position, None, filter_),
        Selection(image, position // 2, None, filter_ // 2),
        Selection(0, position // 3, tap // 2, filter_),
        Selection(image, position // 2),
        Selection(0, position // 3, 0),
        Selection(0, None, tap),
        Selection(image, None, tap // 2),
        Selection(image, None, tap // 2, filter_),
        Selection(0, None, 0, 0),
        Selection(0, None, None, filter_),
        Selection(image, None, None, None, pixel // 2),
        Selection(0, None, None, None, pixel),
        Selection(0, None, None, None, pixel // 3),
    ]


def requests(case: Case, layer: PicturedLayer) -> list[dict[str, Any]]:
    """Return every scene to be compared, as the arguments of `make_scene`."""
    found = []
    for chapter in case.chapters:
        scope = chapters()[chapter].scope
        for i, selection in enumerate(selections(layer, layer if scope == "layer" else layer.one(0, 0))):
            channel, labels = i % layer.channels, case.labels[i % len(case.labels)]
            found.append({"chapter": chapter, "selection": selection._asdict(), "channel": channel, "labels": labels})
    great = math.prod(layer.geometry.padded_shape) > 1000
    return found[:: 4 if great else 1]


MAKE = """([data, requests]) => {
    const layer = layerOf(data);
    return requests.map(({ chapter, selection, channel, labels }) =>
        sceneToJson(makeScene(layer, plans, chapter, selection, { channel, labels })));
}"""


def compare(ours: Any, theirs: Any) -> None:
    """Assert that two scenes are equal; values for colours up to the rounding of sums."""
    for part, other in zip(ours["parts"], theirs["parts"], strict=True):
        if isinstance(part, str):
            continue
        for plane, its in zip(part["planes"], other["planes"], strict=True):
            mine, found = plane.pop("values"), its.pop("values")
            assert (mine is None) == (found is None)
            if mine is not None:
                mine, found = (np.array(v, np.float64) for v in (mine, found))
                np.testing.assert_allclose(found, mine, rtol=1e-12, atol=0)
    assert theirs == ours


def plain(scene: Scene) -> Any:
    """Return a scene as it is after a journey through JSON."""
    return json.loads(json.dumps(scene.to_json(), allow_nan=False))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_the_page_shows_what_the_library_computes(page: Any, name: str) -> None:
    """Every chapter, every kind of selection, every cell: coordinates, labels, values, highlights and sentences."""
    case = CASES[name]
    layer = make_pictured_layer(case.x, case.w, **case.options)
    wanted = requests(case, layer)
    found = of_page(page, MAKE, [data_of(layer), wanted])
    for request, theirs in zip(wanted, found, strict=True):
        options = {**request, "selection": Selection(**request["selection"])}
        ours = plain(make_scene(layer, **options))
        try:
            compare(ours, theirs)
        except AssertionError as difference:
            raise AssertionError(f"{name}: {request}") from difference


@pytest.mark.parametrize("channel", [-1, 1])
def test_heat_maps_have_the_colours_of_python(page: Any, channel: int) -> None:
    """An infinity is as full as the fullest number, NaN is grey, and neither takes the others' colours."""
    pictures: list[list[float]] = [[0, 1, 2, 3], [0, 1, 2, math.inf], [-4, 1, math.nan, 3]]
    pictures += [[-math.inf, -2, 1, math.inf], [math.inf, -math.inf, 0, math.nan], [5, 2, -math.inf, math.nan]]
    pictures += [[math.nan] * 4, [math.inf, -math.inf] * 2, [-math.inf, 0, 0, math.nan], [math.inf, -1, -2, -3]]
    function = """([pictures, channel]) => pictures.map((values) => {
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [2, 2];
        drawHeat(canvas, Float64Array.from(values), 2, 2, channel, () => false);
        return [...canvas.getContext("2d").getImageData(0, 0, 2, 2).data];
    })"""
    found = of_page(page, function, [[[numeral(v) for v in picture] for picture in pictures], channel])
    for picture, data in zip(pictures, found, strict=True):
        wanted = heat(np.array(picture, np.float64).reshape(2, 2), channel, by_value=False)
        shown = np.array(data).reshape(2, 2, 4)
        assert np.abs(shown[..., :3] - wanted.astype(int)).max() <= 1, picture  # halves are rounded another way
        assert (shown[..., 3] == 255).all()


def test_infinities_are_no_zeros(page: Any) -> None:
    """A cell's infinity has the fullest colour of its sign, where no number says how full, too."""
    for largest in (0, 3):
        colours = page.evaluate(f"[-Infinity, -3, 0, 3, Infinity].map((v) => valueColour(v, {largest}))")
        assert [c.count(" 62.0%") + c.count(" 42.0%") for c in colours] == [
            2,
            *((2, 0, 2) if largest else (0, 0, 0)),
            2,
        ]
        assert ["#0072B2" in colours[0], "#E69F00" in colours[4]] == [True, True]


def test_turning_a_layer_shares_what_was_computed(page: Any) -> None:
    """Another orientation and order of the taps are those of Python; what does not depend on them is kept."""
    x, w = whole((3, 60, 50), 1), whole((2, 3, 2, 2), 2)
    layers = [
        make_pictured_layer(x, w, orientation=orientation, tap_order=order)
        for orientation in ("rows", "columns")
        for order in ("channel-first", "channel-last")
    ]
    function = """([data, arrangements, chapter]) => {
        const layer = layerOf(data);
        const first = makeScene(layer, plans, chapter).parts[0].planes[0].values();
        return arrangements.map(([orientation, order]) => {
            const scene = makeScene(layer.arranged(orientation, order), plans, chapter);
            return [sceneToJson(scene), scene.parts[0].planes[0].values() === first, [...first]];
        });
    }"""
    for chapter in ("channels", "slide"):
        wanted = [[layer.orientation, layer.tap_order] for layer in layers]
        for layer, (theirs, shared, values) in zip(
            layers, of_page(page, function, [data_of(layers[0]), wanted, chapter]), strict=True
        ):
            ours = plain(make_scene(layer, chapter))
            assert shared
            assert values == x[0].ravel().tolist()
            compare(ours, theirs)


def test_cells_are_found_by_their_coordinates(page: Any) -> None:
    """A plane finds the cells that have a coordinate just as a search through its cells does."""
    layer = make_pictured_layer(whole((2, 2, 8, 9), 1), whole((3, 2, 3, 2), 2), tap_order="channel-last", padding=1)
    function = """(data) => {
        let compared = 0;
        for (const chapter in plans) {
            const planes = panelsOf(makeScene(layerOf(data), plans, chapter)).flatMap((panel) => panel.planes);
            const named = planes.flatMap((plane) => Object.keys(plane.coordinates).map((name) => [plane, name]));
            for (const [plane, name] of named) for (let value = -2; value < 150; value++) {
                const searched = plane.cells().filter(([r, c]) => plane.at(r, c)[name] === value);
                const found = plane.cellsWith(name, value);
                if (JSON.stringify(found) !== JSON.stringify(searched)) return [chapter, plane.what, name, value];
                compared++;
            }
        }
        return compared;
    }"""
    assert of_page(page, function, data_of(layer)) > 1000


# --- the modules in one file


def written(folder: Path, **modules: str) -> Path:
    """Write modules by their names, which have no ending here, and return their folder."""
    for name, text in modules.items():
        (folder / f"{name}.js").write_text(text, "utf-8")
    return folder


def test_modules_follow_those_that_they_import(tmp_path: Path) -> None:
    """Each stands once, behind its imports, without import lines and the word export."""
    folder = written(
        tmp_path,
        a='// @ts-check\nimport { two, Three } from "./c.js";\nimport { one } from "./b.js";\n\nconst four = 4;\n',
        b='import { two } from "./c.js";\nexport const one = 1;\n',
        c="export function two() {\n  const one = 1;\n}\nexport class Three {}\n",
        d="export async function five() {}\n",
    )
    whole_text = "function two() {\n  const one = 1;\n}\nclass Three {}\n\nconst one = 1;\n\nconst four = 4;\n"
    assert inline_modules(folder, "a.js") == whole_text
    assert inline_modules(folder) == whole_text + "\nasync function five() {}\n"


@pytest.mark.parametrize(
    "line",
    [
        'import { a as b } from "./b.js";',
        'import a from "./b.js";',
        'import * as a from "./b.js";',
        'import "./b.js";',
        'import { a } from "b";',
        "  import { a } from './b.js';",
        "  const b = await import('./b.js');",
        "export default function a() {}",
        "export { a };",
        'export * from "./b.js";',
        "export var a = 1;",
        "const { a } = window;",
        "let [a] = [1];",
    ],
)
def test_modules_of_other_forms_are_refused(tmp_path: Path, line: str) -> None:
    """What concatenation would not do is no module of the page."""
    folder = written(tmp_path, a=f"const first = 1;\n{line}\n", b="export const a = 1;\n")
    with pytest.raises(
        ValueError, match=r"\Aa\.js: .* is no form of import, export or declaration that is known here\Z"
    ):
        inline_modules(folder)


def test_modules_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    """A name that is declared twice, an import of what is not exported, and a circle."""
    (tmp_path / "1").mkdir()
    twice = written(tmp_path / "1", a="const one = 1;\n", b="export function one() {}\n")
    with pytest.raises(ValueError, match=r"\Ab\.js: one is declared in a\.js too\Z"):
        inline_modules(twice)
    (tmp_path / "2").mkdir()
    absent = written(tmp_path / "2", a='import { one } from "./b.js";\n', b="const one = 1;\n")
    with pytest.raises(ValueError, match=r"\Aa\.js imports one, which b\.js does not export\Z"):
        inline_modules(absent)
    (tmp_path / "3").mkdir()
    circle = written(
        tmp_path / "3",
        a='import { b } from "./b.js";\nexport const a = 1;\n',
        b='import { a } from "./a.js";\nexport const b = 1;\n',
    )
    with pytest.raises(ValueError, match=r"\Aa\.js imports itself, by way of a\.js, b\.js\Z"):
        inline_modules(circle)
