"""Static pictures: what stands in the SVG, that nothing overlaps or is cut off, animations, files, notebooks."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

import im2col
from im2col import ArgumentError, FileError, MissingExtraError, illustrate
from im2col.cli import main
from im2col.pictures.colours import CHANNELS, channel_band, channel_tint, heat, mix, value_colour
from im2col.pictures.figure import formula_text, make_figure, wrapped
from im2col.pictures.metrics import text_width
from im2col.pictures.scene import Formula
from im2col.pictures.story import chapters
from im2col.pictures.text import dictionary, languages, say

from .kit.outcomes import raises_exactly

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from im2col.pictures.place import PlacedPanel


CHAPTERS = tuple(chapters())
SVG = "{http://www.w3.org/2000/svg}"


def integers(shape: tuple[int, ...], low: int, high: int) -> NDArray[np.int64]:
    """Return integers that are always the same."""
    return np.random.default_rng(len(shape)).integers(low, high, shape)


SHAPES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "plain": (integers((6, 6), 0, 10), integers((3, 3), -2, 3), {}),
    "layer": (integers((3, 5, 5), 0, 10), integers((2, 3, 3, 3), -2, 3), {"padding": 1, "stride": 2}),
    "batch": (integers((2, 2, 4, 4), -9, 10), integers((3, 2, 2, 2), -2, 3), {"orientation": "columns"}),
    "groups": (integers((4, 9), 0, 10), integers((2, 2, 3), -2, 3), {"groups": 2, "tap_order": "channel-last"}),
    "volume": (integers((2, 3, 4, 4), 0, 10), integers((3, 2, 2, 2, 2), -2, 3), {"padding_mode": "wrap", "padding": 1}),
    "signal": (integers((300,), -999, 999) / 7, [0.25, -1.5, 1e-6], {"dilation": 3}),
    "complex": (integers((4, 4), 0, 10) * (1 - 0.25j), integers((2, 2), -2, 3), {"padding": 1}),
    "letters": (np.ones((2, 12, 4)), np.ones((2, 2, 3, 2)), {"labels": "letters"}),
    "great": (integers((3, 64, 80), 0, 256), integers((12, 3, 3, 3), -2, 3), {"padding": "same", "colours": "values"}),
    "channels": (integers((70, 3, 3), 0, 10), integers((20, 70, 2, 2), -2, 3), {"filter": 9}),
    "block": (np.zeros((1, 400, 300), np.uint8), integers((1, 1, 3, 3), -2, 3), {"stride": 2}),
    "one": ([5], [3], {}),
}


class Box(NamedTuple):
    """What a text covers: left, top, right, bottom."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box) -> bool:
        """Whether two texts would be written over each other, by more than half a pixel."""
        across = min(self.right, other.right) - max(self.left, other.left)
        return across > 0.5 and min(self.bottom, other.bottom) - max(self.top, other.top) > 0.5


def drawn(name: str, chapter: str, lang: str, **more: Any) -> im2col.Illustration:
    """Return a picture of one of the shapes."""
    x, w, options = SHAPES[name]
    return illustrate(x, w, chapter=chapter, lang=lang, **{**options, **more})


def parsed(svg: str) -> ET.Element:
    """Return the root of an SVG document, by a parser that trusts nothing about how it was written."""
    return ET.fromstring(svg)  # noqa: S314 (written by this library)


def texts(root: ET.Element) -> Iterator[tuple[str, Box]]:
    """Yield every text with the box that it covers in the bundled font, digits as high as they are."""
    for element in root.iter(f"{SVG}text"):
        text, size = element.text or "", float(element.get("font-size", "0"))
        x, y, width = float(element.get("x", "0")), float(element.get("y", "0")), text_width(text, size)
        start = {"middle": width / 2, "end": width}.get(element.get("text-anchor", "start"), 0.0)
        if element.get("transform"):
            half = size / 2
            yield text, Box(x - half, y - start, x + half, y - start + width)
        else:
            yield text, Box(x - start, y - 0.74 * size, x - start + width, y + 0.05 * size)


@pytest.mark.parametrize("lang", languages())
@pytest.mark.parametrize("chapter", CHAPTERS)
@pytest.mark.parametrize("name", SHAPES)
def test_nothing_overlaps_and_nothing_is_cut_off(name: str, chapter: str, lang: str) -> None:
    """No two texts meet, and all stand inside the picture, in every chapter, shape and language."""
    root = parsed(drawn(name, chapter, lang)._repr_svg_())
    width, height = float(root.get("width", "0")), float(root.get("height", "0"))
    found = sorted(texts(root), key=lambda item: item[1].left)
    for i, (text, box) in enumerate(found):
        assert box.left >= 0, text
        assert box.top >= 0, text
        assert box.right <= width, text
        assert box.bottom <= height, text
        for other, against in found[i + 1 :]:
            if against.left >= box.right:
                break  # and so are all that follow
            assert not box.overlaps(against), (text, other)


@pytest.mark.parametrize("chapter", CHAPTERS)
@pytest.mark.parametrize("lang", languages())
def test_nothing_overlaps_in_a_browser(browser: Any, chapter: str, lang: str) -> None:
    """The same with the fonts that a reader's machine has: boxes as Chromium measures them."""
    page = browser.new_page()
    for name in SHAPES:
        page.set_content(f"<body style='margin:0'>{drawn(name, chapter, lang)._repr_svg_()}</body>")
        wrong = page.evaluate(
            """() => {
              const svg = document.querySelector("svg"), frame = svg.getBoundingClientRect(), found = [];
              const boxes = [...svg.querySelectorAll("text")].map(text => {
                const b = text.getBoundingClientRect(), size = +text.getAttribute("font-size");
                const upright = !text.getAttribute("transform"), spare = upright ? (b.height - 0.78 * size) / 2 : 0;
                return {text: text.textContent, l: b.left, r: b.right, t: b.top + spare, b: b.bottom - spare};
              }).sort((a, b) => a.l - b.l);
              boxes.forEach((a, i) => {
                if (a.l < frame.left || a.r > frame.right || a.t < frame.top || a.b > frame.bottom) {
                  found.push(["outside", a.text]);
                }
                for (let j = i + 1; j < boxes.length && boxes[j].l < a.r; j++) {
                  const b = boxes[j];
                  if (a.r - b.l > 1 && Math.min(a.b, b.b) - Math.max(a.t, b.t) > 1) found.push([a.text, b.text]);
                }
              });
              return found;
            }"""
        )
        assert wrong == [], name
    page.close()


@pytest.mark.parametrize("chapter", CHAPTERS)
@pytest.mark.parametrize("name", SHAPES)
def test_the_document(name: str, chapter: str) -> None:
    """It is the same twice, says what it is, has literal colours, refers to nothing outside, and holds all labels."""
    picture = drawn(name, chapter, "en")
    svg = picture._repr_svg_()
    assert svg == drawn(name, chapter, "en")._repr_svg_()
    root = parsed(svg)
    assert root.get("role") == "img"
    title, description = root[0], root[1]
    assert (title.tag, description.tag) == (f"{SVG}title", f"{SVG}desc")
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    words = dictionary("en")
    assert title.text == words[f"chapter.{chapter}"]
    assert (description.text or "").count("{") == 0
    assert "var(" not in svg
    assert "<script" not in svg
    assert svg.count("http") == svg.count("http://www.w3.org/2000/svg") == 1
    written = sorted(text for text, _ in texts(root))
    for panel in picture.scene.panels:
        for plane in panel.planes:
            if plane.text is not None:
                for label in filter(None, plane.text.flat):
                    assert label in written
                    written.remove(label)


def test_pictures_beside_each_other() -> None:
    """In one notebook each is labelled by its own title; what has the same id is the same."""
    pages = [parsed(drawn("layer", chapter, "en")._repr_svg_()) for chapter in CHAPTERS]
    labels = [page.get("aria-labelledby") for page in pages]
    assert len(set(labels)) == len(CHAPTERS)


def ids_of(picture: ET.Element) -> set[str]:
    """Return the ids of an SVG document, having shown that it defines whatever it refers to, once."""
    ids = [element.get("id", "") for element in picture.iter() if "id" in element.attrib]
    text = ET.tostring(picture, "unicode")
    used = {part.partition(")")[0] for part in text.split("url(#")[1:]} | set(
        picture.get("aria-labelledby", "").split()
    )
    assert used <= set(ids)
    assert len(set(ids)) == len(ids)
    return set(ids)


def test_a_picture_needs_no_other() -> None:
    """Pages hide pictures: no two that differ, in a value or a colour, share an id; the same has the same bytes."""
    changed = integers((5, 5), 0, 10)
    changed[2, 2] += 1
    calls: list[tuple[Any, dict[str, Any]]] = [
        *((integers((5, 5), 0, 10), {"chapter": chapter, "step": None}) for chapter in CHAPTERS),
        (changed, {}),
        *((changed, {"colours": colours}) for colours in ("values", "channels")),
        *((changed, {"lang": "zh", "step": step}) for step in (0, 1, None)),
    ]
    made = [illustrate(x, integers((3, 3), -2, 3), padding=1, **given)._repr_svg_() for x, given in calls]
    assert made[-4] == made[-6]  # "channels" is what is drawn where nothing is said
    different = sorted(set(made))
    assert len(different) == len(calls) - 1
    ids = [ids_of(parsed(text)) for text in different]
    assert len(set[str]().union(*ids)) == sum(map(len, ids))
    assert sum("padding" in name for each in ids for name in each) == len(different)


def test_a_pattern_that_is_hidden_leaves_its_ground() -> None:
    """The same picture twice has the same ids, and the first may be hidden."""
    fills = {element.get("fill", "") for element in parsed(drawn("layer", "channels", "en")._repr_svg_()).iter()}
    patterns = {fill for fill in fills if "url" in fill}
    assert patterns
    assert all(fill.endswith("-padding) #f3f4f6") for fill in patterns)
    striped = drawn("channels", "channels", "en")._repr_svg_()
    assert f"-tint-69) {channel_tint(69)}" in striped
    assert f"-band-69) {channel_band(69)}" in striped


def test_animations_define_what_they_use(tmp_path: Path) -> None:
    """In all frames."""
    path = tmp_path / "a.svg"
    drawn("layer", "channels", "en", step="all").save(path)
    assert any("padding" in name for name in ids_of(parsed(path.read_text("utf-8"))))


def test_colours_and_marks() -> None:
    """Channels have their tints, padding its hatching and its dashes, a lit patch its outline and its numbers."""
    svg = drawn("layer", "channels", "en", step=4)._repr_svg_()
    for channel in range(3):
        assert channel_tint(channel) in svg
        assert channel_band(channel) in svg
    assert '-padding) #f3f4f6"' in svg
    assert 'stroke-dasharray="3 2.5"' in svg
    root = parsed(svg)
    numbers = [e.text for e in root.iter(f"{SVG}text") if e.get("font-size") == "8"]
    assert numbers == [str(i) for i in range(1, 28)] * 2  # the image's pixels, and the filter's weights
    outlines = [e for e in root.iter(f"{SVG}g") if e.get("stroke-width") == "2"]
    assert len(outlines) == 3 + 3 + 3 + 1  # channels, kernels, partial results, and the output
    assert drawn("layer", "channels", "en", step=None)._repr_svg_().count('stroke-width="2"') == 0
    striped = drawn("channels", "channels", "en")._repr_svg_()
    assert "-tint-69)" in striped  # colours that come again have a pattern


def test_values_as_colours() -> None:
    """Blue below zero, white at zero, orange above, the fuller the larger; NaN is grey."""
    assert value_colour(0, 9) == "#ffffff"
    assert value_colour(9, 9) == mix("#E69F00", 0.75)
    assert value_colour(-4.5, 9) == mix("#0072B2", 0.375)
    assert value_colour(float("nan"), 9) == "#c9ced8"
    assert value_colour(float("inf"), 9) == value_colour(9, 9)
    assert value_colour(1, 0) == "#ffffff"
    assert value_colour(float("inf"), 0) == mix("#E69F00", 0.75)  # full where no number is, too
    assert value_colour(float("-inf"), 0) == mix("#0072B2", 0.75)
    svg = drawn("plain", "slide", "en", colours="values")._repr_svg_()
    assert channel_tint(0) not in svg
    assert value_colour(9, 9) in svg


def test_heat_maps() -> None:
    """An image goes from dark to light in its channel's hue; results go from blue through white to orange."""
    values = np.array([[0.0, 1.0, 2.0]])
    image = heat(values, 1, by_value=False)
    assert image.shape == (1, 3, 3)
    assert (np.diff(image.astype(int).sum(axis=2)) > 0).all()
    result = heat(np.array([[-2.0, 0.0, 2.0]]), -1, by_value=False)
    assert result[0, 1].tolist() == [255, 255, 255]
    assert result[0, 0, 2] > result[0, 0, 0]
    assert result[0, 2, 0] > result[0, 2, 2]
    assert heat(np.array([[np.nan, np.inf, -np.inf]]), -1, by_value=True).shape == (1, 3, 3)
    one = heat(np.array([[1.0, 2.0, np.inf, np.nan]]), 0, by_value=False)
    assert (one[0, :2] == heat(np.array([[1.0, 2.0]]), 0, by_value=False)[0]).all()  # one infinity erases nothing
    assert one[0, 3].tolist() == [0xC9, 0xCE, 0xD8]
    assert len(set(CHANNELS)) == 6


@pytest.mark.parametrize("others", [[], [0.0], [2.0], [-2.0], [-3.0, 2.0], [np.nan]])
@pytest.mark.parametrize(("channel", "by_value"), [(-1, False), (-1, True), (0, True)])
def test_infinities_are_no_zeros(others: list[float], channel: int, *, by_value: bool) -> None:
    """An infinity has the fullest colour of its sign, whatever else is there, if only zeros or nothing."""
    picture = heat(np.array([[np.inf, -np.inf, *others]]), channel, by_value=by_value)[0].tolist()
    full = heat(np.array([[9.0, -9.0]]), channel, by_value=by_value)[0].tolist()
    assert picture[:2] == full
    assert full[0][0] > full[0][2]  # orange
    assert full[1][0] < full[1][2]  # blue


def test_infinite_results_have_colours() -> None:
    """A product of infinities alone is not drawn as one of zeros."""
    svg = illustrate([[np.inf, 1.0], [2.0, 3.0]], [[-1, 0], [0, 1]], chapter="slide", colours="values")._repr_svg_()
    output = parsed(svg).findall(f"{SVG}g")[2]
    assert [e.get("fill") for e in output.findall(f"{SVG}rect")] == [mix("#0072B2", 0.75)]


def test_an_image_without_pixels() -> None:
    """An axis of length 0 has nothing but its padding; the picture of it is empty, and drawn."""
    for chapter in CHAPTERS:
        for shape, padding in (((1, 0, 3), ((2, 1), 0)), ((1, 3, 0), (0, (2, 1)))):
            picture = illustrate(np.ones(shape), np.ones((1, 1, 2, 2)), padding=padding, chapter=chapter)
            assert parsed(picture._repr_svg_()).get("role") == "img"
            picture.show(file=io.StringIO(), width=100)


# --- where planes stand


def placed(kind: str, x: Any, w: Any, **options: Any) -> PlacedPanel:
    """Return a panel with its place."""
    figure = make_figure(illustrate(x, w, **options).scene, dictionary("en"))
    (panel,) = (panel for panel in figure.panels if panel.panel.kind == kind)
    return panel


@pytest.mark.parametrize("orientation", ["rows", "columns"])
def test_tables_stay_where_they_are(orientation: Any) -> None:
    """The channels' matrices make one, side by side or one below the other, however tall that is."""
    x, w = np.ones((8, 4, 4), int), np.ones((1, 8, 3, 3), int)
    planes = placed("matrices", x, w, chapter="concat", orientation=orientation).planes
    across, down = ({plane.cells[side] for plane in planes} for side in (0, 1))
    assert (len(across), len(down)) == ((8, 1) if orientation == "rows" else (1, 8))


def test_a_gap_begins_a_new_row() -> None:
    """Where a column of pictures is folded, what is left out stands between the rows around it."""
    panel = placed("padded", np.ones((70, 9, 9), int), np.ones((1, 70, 3, 3), int), chapter="channels", padding=1)
    where = {plane.plane.place[0]: (plane.cells.x, plane.cells.y) for plane in panel.planes}
    assert sorted(where) == [0, 1, 2, 68, 69]
    assert len({y for _, y in where.values()}) < 5  # it is folded
    assert where[68][1] > max(where[i][1] for i in (0, 1, 2))
    assert where[68][0] == where[0][0]
    (note,) = (word for word in panel.words if word.text.startswith("⋯"))
    last = max((plane for plane in panel.planes if plane.plane.place[0] < 3), key=lambda plane: plane.plane.place)
    first = next(plane for plane in panel.planes if plane.plane.place[0] == 68)
    assert last.cells.y + last.cells.height < note.y < first.cells.y
    assert note.x == last.cells.x


@pytest.mark.parametrize("orientation", ["rows", "columns"])
def test_a_wide_panel_is_drawn_smaller(orientation: Any) -> None:
    """No wider than a figure, nothing is cut off, and its title keeps its size."""
    x, w = np.full((1, 49, 1), 1234), np.ones((1, 1, 2, 1), int)
    panel = placed("matrix", x, w, chapter="matmul-channels", orientation=orientation)
    title = next(word for word in panel.words if word.text == "column matrix")
    (plane,) = panel.planes
    scale = plane.cell_height / 30
    assert (scale < 1) == (orientation == "columns")
    assert title.size == 13
    assert {word.size for word in plane.words} == {8 * scale}
    assert all(word.y > title.y for word in plane.words)
    assert panel.box.width <= 1240
    root = parsed(illustrate(x, w, chapter="matmul-channels", orientation=orientation)._repr_svg_())
    assert float(root.get("width", "0")) <= 1240 + 2 * 28
    sizes = [float(e.get("font-size", "0")) for e in root.iter(f"{SVG}text") if e.text == "1234"]
    assert sizes == pytest.approx([12 * scale] * 96, abs=0.01)
    found = sorted(texts(root), key=lambda item: item[1].left)
    for i, (text, box) in enumerate(found):
        for other, against in found[i + 1 :]:
            assert not box.overlaps(against), (text, other)


# --- text


def test_lines_break_where_they_may() -> None:
    """At spaces, and between Chinese characters but before no closing mark; nothing is lost."""
    english = "Each patch is flattened into a row of nine numbers."
    lines = wrapped(english, 13, 120)
    assert " ".join(lines) == english
    assert len(lines) > 2
    assert all(text_width(line, 13) <= 120 for line in lines)
    chinese = "卷积核共停留 16 次；每次把它覆盖的 9 个像素与权重相乘再求和，即两个展平向量的点积。"
    lines = wrapped(chinese, 13, 120)
    assert "".join(lines).replace(" ", "") == chinese.replace(" ", "")
    assert all(line[0] not in "，。；" for line in lines)
    assert wrapped("", 13, 100) == []


def test_formulas() -> None:
    """Negative factors stand in brackets, what is left out is counted, products of a weight are not summed."""
    words = dictionary("en")
    scene = drawn("plain", "matmul", "en").scene

    def formula(*values: Any) -> str:
        object.__setattr__(scene, "formula", Formula(*values))
        return formula_text(scene, words)

    assert formula("12", (("5", "−2"), ("1+2i", "3")), None) == "12 = 5×(−2) + (1+2i)×3"
    assert formula("1", (("1", "1"), ("2", "2")), (1, 1200)) == "1 = 1×1 + ⋯ 1,200 terms + 2×2"
    assert formula("−1−3i", (("1−1i", "1−2i"),), None) == "−1−3i = (1−1i)×(1−2i)"
    assert formula("", (("1", "3"), ("2", "3")), None) == "1×3, 2×3"
    object.__setattr__(scene, "formula", None)
    assert formula_text(scene, words) == ""


# --- animations and files


def test_the_animated_svg() -> None:
    """Each step has its outline, its sentence and its formula, one at a time; outputs appear as they are computed."""
    picture = drawn("plain", "slide", "en", step="all")
    root = parsed(picture._repr_svg_())
    steps = picture.scene.steps
    assert steps == 16
    shown: dict[str, list[int]] = {}
    for element in root:
        animation = element.find(f"{SVG}animate")
        if animation is not None:
            assert animation.get("dur") == "12.8s"
            assert animation.get("repeatCount") == "indefinite"
            times = [round(float(t) * steps) for t in animation.get("keyTimes", "").split(";")]
            values = animation.get("values", "").split(";")
            assert element.get("visibility") == values[0]
            frames = [values[max(i for i, t in enumerate(times) if t <= step)] for step in range(steps)]
            key = "".join(element.itertext()) or "outline"
            shown.setdefault(key, []).extend(step for step in range(steps) if frames[step] == "visible")
    for step in range(steps):
        assert shown[f"output row {step // 4 + 1}, column {step % 4 + 1}, filter 1"] == [step]
    outputs: list[int] = [int(v) for v in np.asarray(picture.scene.panels[-1].planes[0].values).flat]
    for value in set(outputs):  # each from its step on; the first one is there all the time
        starts = [i for i, other in enumerate(outputs) if other == value and i > 0]
        expected = [step for start in starts for step in range(start, steps)]
        assert sorted(shown.get(str(value).replace("-", "−"), [])) == sorted(expected)


def test_what_is_said_to_those_who_do_not_see_it() -> None:
    """The selection and its sum are one sentence; an animation tells how many steps there are, the first and last."""
    x, w = np.arange(9).reshape(3, 3), np.array([[1, 0], [0, 2]])
    for lang, colon, steps in (
        ("en", ": ", " 4 steps; the first is {}; the last is {}."),
        ("zh", "：", " 共 4 步；第一步是{}；最后一步是{}。"),
    ):
        words = dictionary(lang)
        told = []
        for step in (0, 3):
            picture = illustrate(x, w, chapter="slide", step=step, lang=lang)
            message = parsed(picture._repr_svg_())[1].text or ""
            said = say(words, picture.scene.message) + colon + formula_text(picture.scene, words)
            assert message.endswith(" " + said)
            told.append(said)
        description = parsed(illustrate(x, w, chapter="slide", step="all", lang=lang)._repr_svg_())[1].text or ""
        assert description.endswith(steps.format(*told))
        assert description.startswith(say(words, picture.scene.caption))


def test_an_animation_of_what_changes_shape(tmp_path: Path) -> None:
    """Where rows are left out around the selection, each frame shows its own."""
    x = np.arange(64).reshape(8, 8)
    picture = illustrate(x, np.ones((2, 2), int), chapter="matrix", step="all")
    root = parsed(picture.save(tmp_path / "a.svg").read_text("utf-8"))
    assert {"⋯ 43 rows", "⋯ 42 rows", "⋯ 20 rows"} <= {text for text, _ in texts(root)}
    kinds = [element.get("class") or element.tag for element in root if element.tag in {f"{SVG}g", f"{SVG}text"}]
    assert kinds == sorted(kinds, key=[f"{SVG}g", f"{SVG}text", "light"].index)  # no plane covers an outline


def test_the_gif(tmp_path: Path) -> None:
    """One frame for each position, in a loop; outputs fill up; twice the same bytes."""
    picture = illustrate([[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[1, 0], [0, -1]], chapter="slide")
    path = picture.save(tmp_path / "slide.gif")
    with Image.open(path) as gif:
        frames: int = gif.n_frames  # type: ignore[attr-defined]  # a GIF has them
        assert frames == 4
        assert gif.info["loop"] == 0
        ink = []
        for i in range(frames):
            gif.seek(i)
            ink.append(int((np.asarray(gif.convert("L")) < 128).sum()))
            assert gif.info["duration"] == 800
    assert ink == sorted(ink)
    assert path.read_bytes() == picture.save(tmp_path / "again.gif").read_bytes()


@pytest.mark.parametrize("lang", languages())
def test_the_png(tmp_path: Path, lang: str) -> None:
    """Twice the size of the SVG, white paper, with ink where the title stands, in Chinese too."""
    picture = drawn("layer", "matmul-channels", lang)
    figure = make_figure(picture.scene, dictionary(lang))
    with Image.open(picture.save(tmp_path / "a.png")) as image:
        pixels = np.asarray(image.convert("L"))
    assert pixels.shape[::-1] == (pytest.approx(2 * figure.width, abs=2), pytest.approx(2 * figure.height, abs=2))
    assert pixels[0, 0] == 255
    heading = pixels[2 * 28 : 2 * 54, 2 * 28 : 2 * 200]
    assert (heading < 100).sum() > 500


def test_files(tmp_path: Path) -> None:
    """Each ending is its format; no file is replaced unasked, and nothing is left of one that failed."""
    picture = drawn("plain", "matmul", "en")
    path = picture.save(tmp_path / "a.svg")
    assert path == tmp_path / "a.svg"
    assert path.read_text("utf-8") == picture._repr_svg_()
    with raises_exactly(
        FileError,
        f"illustrate: cannot write '{path}': it exists already; name another file, or pass force (--force) to replace "
        "it",
    ):
        picture.save(path)
    picture.save(path, force=True)
    with raises_exactly(
        FileError,
        "illustrate: the ending '.pdf' of 'a.pdf' means no picture that is written here; use one of .svg, .png, .gif, "
        ".html, as in a.svg",
    ):
        picture.save("a.pdf")
    with pytest.raises(FileError, match=r"as in picture\.svg$"):
        picture.save("")
    with raises_exactly(
        ArgumentError,
        "illustrate: the animation would have 5,120 steps but at most 64 are drawn; use a smaller image or a greater "
        "stride, or save one step, or the explorer as .html",
    ):
        drawn("great", "slide", "en").save(tmp_path / "a.gif")
    with pytest.raises(FileError, match=r"^illustrate: cannot write '.*a\\x00\.svg': .*null"):
        picture.save(f"{tmp_path}/a\0.svg")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.svg"]


def test_missing_extras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PNG and GIF need resvg; the error says how to get it, and no file is begun."""
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'im2col\[draw\]'"):
        drawn("plain", "matmul", "en").save(tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_show_and_repr() -> None:
    """A terminal gets the same labels."""
    file = io.StringIO()
    picture = drawn("plain", "matmul", "en")
    picture.show(file=file, width=120)
    text = file.getvalue()
    assert "Matrix times flattened kernel" in text
    assert picture.scene.formula is not None
    assert picture.scene.formula.result in text
    assert repr(picture) == "<Illustration 'matmul' of (1, 1, 6, 6) by (1, 1, 3, 3)>"


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("slide", "draw slide --step all --shape 5,5 --kernel 3,3"),
        ("tiles", "draw tiles --shape 6,6 --kernel 3,3 --step 5"),
        ("tile-products", "draw tile-products --shape 6,6 --kernel 3,3 --step 5"),
        ("two-passes", "draw two-passes --shape 6,6 --kernel sobel-x --step 5"),
        ("matmul-channels", "draw matmul-channels --shape 3,4,4 --kernel 2,3,2,2 --step 4"),
        ("matmul-channels.zh_CN", "draw matmul-channels --shape 3,4,4 --kernel 2,3,2,2 --step 4 --lang zh"),
        ("letters", "draw matmul --shape 4,4 --kernel 3,3 --step 2 --labels letters"),
    ],
)
def test_the_figures_in_the_documentation(tmp_path: Path, name: str, command: str) -> None:
    """They are what the library draws today."""
    path = tmp_path / f"{name}.svg"
    assert main([*command.split(), "-o", str(path)]) == 0
    figure = Path(__file__).parents[1] / "docs/figures" / path.name
    assert path.read_text("utf-8") == figure.read_text("utf-8"), f"im2col {command} -o docs/figures/{path.name} --force"
