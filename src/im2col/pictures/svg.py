"""A figure as SVG: literal colours, no scripts, no references to anything outside; the standard library writes it."""

from __future__ import annotations

import itertools
from base64 import b64encode
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET
from zlib import crc32

import numpy as np

from ..importing import importing
from .colours import CHANNELS, FAINT, INK, LINE, PADDING, PAPER, channel_band, channel_tint, heat, mix, value_colour
from .figure import make_figure, told
from .highlight import FOCUS, highlight
from .metrics import FONT_FAMILY
from .place import BASELINE, CELL_TEXT, HEADER, SMALL_TEXT, Box, PlacedPlane, Word
from .text import Text, dictionary, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from .colours import Colours
    from .figure import Figure
    from .highlight import Light
    from .scene import Scene

SMALL, MANY, LEAST_FRAME = 3.0, 400, 13.0
"""Cells smaller than this get a frame of at least that size, or are filled where they are many."""
STEP_SECONDS = 0.8
"""How long an animation rests on each step."""
_REFERENCE = "url(#"


def draw(scene: Scene, *, lang: str, colours: Colours = "channels", filled: int | None = None) -> str:
    """Return a scene as an SVG document.

    Parameters
    ----------
    scene : Scene
    lang : str
        The language of its words.
    colours : {"channels", "values"}
        What the background of a cell shows.
    filled : int, optional
        Outputs of later positions are left empty, as in the frames of an animation.
    """
    figure = make_figure(scene, dictionary(lang))
    root = _document(figure, lang, (figure.width, figure.height))
    root.extend(_elements(figure, colours, filled))
    return _text(root)


def animate(frames: Sequence[Scene], *, lang: str, colours: Colours = "channels") -> str:
    """Return scenes as one SVG document that steps through them for ever.

    What stands in every frame is drawn once; everything else is shown during the frames that have it.

    Parameters
    ----------
    frames : sequence of Scene
    lang, colours
        As for `draw`.
    """
    words = dictionary(lang)
    figures = [make_figure(scene, words) for scene in frames]
    size = max(f.width for f in figures), max(f.height for f in figures)
    root = _document(replace(figures[0], description=_described(frames, words)), lang, size)
    found: dict[str, tuple[ET.Element, set[int]]] = {}
    outlines: dict[str, tuple[ET.Element, set[int]]] = {}  # above all else: a plane may appear later than an outline
    for i, figure in enumerate(figures):
        for element in _elements(figure, colours, figure.scene.selection.position):
            layer = outlines if element.get("class") == "light" else found
            layer.setdefault(ET.tostring(element, "unicode"), (element, set()))[1].add(i)
    for element, present in itertools.chain(
        sorted(found.values(), key=lambda item: item[0].tag != "g"), outlines.values()
    ):
        root.append(element)
        if len(present) < len(figures):
            _show_during(element, [i in present for i in range(len(figures))])
    return _text(root)


def _described(frames: Sequence[Scene], words: Mapping[str, str]) -> str:
    """Return what an animation shows, for those who do not see it: how many steps, the first and the last."""
    first, last = (told(frames[i], words) for i in (0, -1))
    steps = Text("draw.steps", {"steps": len(frames), "first": first, "last": last})
    return " ".join(say(words, text) for text in (frames[0].caption, frames[0].counter, steps))


def _show_during(element: ET.Element, shown: Sequence[bool]) -> None:
    """Make an element visible in some frames of an animation."""
    changes = [i for i in range(len(shown)) if i == 0 or shown[i] != shown[i - 1]]
    element.set("visibility", "visible" if shown[0] else "hidden")
    ET.SubElement(
        element,
        "animate",
        {
            "attributeName": "visibility",
            "calcMode": "discrete",
            "dur": f"{_number(len(shown) * STEP_SECONDS)}s",
            "repeatCount": "indefinite",
            "keyTimes": ";".join(f"{i / len(shown):.6g}" for i in changes),
            "values": ";".join("visible" if shown[i] else "hidden" for i in changes),
        },
    )


def _elements(figure: Figure, colours: Colours, filled: int | None) -> Iterator[ET.Element]:
    """Yield what stands in a figure, from the ground up: planes, words, outputs that may come later, outlines."""
    planes = [plane for panel in figure.panels for plane in panel.planes]
    for plane in planes:
        yield _draw_plane(plane, colours)
    for word in itertools.chain(figure.words, *(panel.words for panel in figure.panels)):
        yield _word(word)
    for plane in planes:
        yield from _draw_outputs(plane, filled)
    for plane in planes:
        light = highlight(figure.scene.layer, plane.plane, figure.scene.selection)
        if light.level.any():
            yield _draw_light(plane, light)


def _document(figure: Figure, lang: str, size: tuple[float, float]) -> ET.Element:
    width, height = map(_number, size)
    root = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "xml:lang": lang,
            "width": width,
            "height": height,
            "viewBox": f"0 0 {width} {height}",
            "role": "img",
            "aria-labelledby": "title description",
            "font-family": FONT_FAMILY,
            "style": "font-variant-numeric: tabular-nums",
        },
    )
    ET.SubElement(root, "title", {"id": "title"}).text = figure.title
    ET.SubElement(root, "desc", {"id": "description"}).text = figure.description
    _patterns(root, figure)
    ET.SubElement(root, "rect", {"width": width, "height": height, "fill": PAPER})
    return root


def _patterns(root: ET.Element, figure: Figure) -> None:
    """Define the hatching of padding, and the stripes of channels whose colours come again."""
    definitions = ET.SubElement(root, "defs")
    _stripes(definitions, "padding", PADDING, LINE, 6)
    seen = {c for placed in figure.panels for p in placed.planes for c in p.plane.channel.reshape(-1).tolist()}
    for channel in sorted(c for c in seen if c >= len(CHANNELS)):
        distance = 4 + 2 * (channel // len(CHANNELS))
        _stripes(definitions, f"tint-{channel}", channel_tint(channel), channel_band(channel), distance)
        _stripes(definitions, f"band-{channel}", channel_band(channel), channel_tint(channel), distance)


def _stripes(definitions: ET.Element, name: str, ground: str, line: str, distance: int) -> None:
    size = str(distance)
    turned = {"patternUnits": "userSpaceOnUse", "patternTransform": "rotate(45)", "width": size, "height": size}
    pattern = ET.SubElement(definitions, "pattern", {"id": name, **turned})
    ET.SubElement(pattern, "rect", {"width": size, "height": size, "fill": ground})
    ET.SubElement(pattern, "rect", {"width": "1.2", "height": size, "fill": line})


def _fill(channel: int, *, band: bool) -> str:
    if channel >= len(CHANNELS):
        return _pattern(f"{'band' if band else 'tint'}-{channel}", _colour(channel, band=band))
    return _colour(channel, band=band)


def _colour(channel: int, *, band: bool) -> str:
    return channel_band(channel) if band else channel_tint(channel)


def _pattern(name: str, ground: str) -> str:
    """Return a fill by a pattern; its ground alone where the same picture, which stands before it, is hidden."""
    return f"{_REFERENCE}{name}) {ground}"


def _draw_plane(placed: PlacedPlane, colours: Colours) -> ET.Element:
    plane = placed.plane
    group = ET.Element("g")
    if placed.band is not None:
        own = plane.channel[0, 0] if plane.channel.size and (plane.channel == plane.channel[0, 0]).all() else -1
        _rectangle(group, placed.band, fill=_fill(int(own), band=True))
    if plane.mode == "digits":
        _draw_cells(group, placed, colours)
    else:
        if plane.mode == "heat":
            _draw_heat(group, placed, colours)
        _rectangle(group, placed.cells, fill="none" if plane.mode == "heat" else mix(LINE, 0.3), stroke=FAINT)
    _draw_header_bands(group, placed)
    group.extend(map(_word, placed.words))
    if plane.what != "output":
        group.extend(element for element, _ in _labels(placed))
    return group


def _draw_outputs(placed: PlacedPlane, filled: int | None) -> Iterator[ET.Element]:
    """Yield the labels of outputs up to a position."""
    if placed.plane.what == "output":
        for element, position in _labels(placed):
            if filled is None or position <= filled:
                yield element


def _labels(placed: PlacedPlane) -> Iterator[tuple[ET.Element, int]]:
    """Yield the text of every cell, with its position in the output where it has one."""
    plane = placed.plane
    if plane.text is None:
        return
    position = plane.coordinate("position")
    size, below = CELL_TEXT * placed.scale, BASELINE * placed.scale
    for row, column in np.ndindex(plane.shape):
        label = str(plane.text[row, column])
        if label:
            x, y = placed.lefts[column] + placed.cell_width / 2, placed.tops[row] + below
            yield _word(Word(label, x, y, size, "middle")), -1 if position is None else int(position[row, column])


def _draw_header_bands(group: ET.Element, placed: PlacedPlane) -> None:
    """Put the channel's colour behind the numbers of a table's rows or columns, where each has one channel."""
    channel, cells, scale = placed.plane.channel, placed.cells, placed.scale
    if placed.plane.column_headers and (channel >= 0).all() and (channel == channel[:1]).all():
        for x, own in zip(placed.lefts, channel[0], strict=True):
            band = Box(x + 0.5, cells.y - (HEADER - 1) * scale, placed.cell_width - 1, (HEADER - 3) * scale)
            _rectangle(group, band, fill=_fill(int(own), band=True))
    elif placed.plane.row_headers and (channel >= 0).all() and (channel == channel[:, :1]).all():
        for y, own in zip(placed.tops, channel[:, 0], strict=True):
            band = Box(cells.x - 4 * scale, y + 0.5, 3 * scale, placed.cell_height - 1)
            _rectangle(group, band, fill=_fill(int(own), band=True))


def _draw_cells(group: ET.Element, placed: PlacedPlane, colours: Colours) -> None:
    plane = placed.plane
    values = np.zeros(plane.shape) if plane.values is None else plane.values
    largest = float(np.abs(values[np.isfinite(values)]).max(initial=0))
    size = {"width": _number(placed.cell_width), "height": _number(placed.cell_height)}
    inner = {"width": _number(placed.cell_width - 1), "height": _number(placed.cell_height - 1)}
    padded = []
    for row, column in np.ndindex(plane.shape):
        at = (row, column)
        x, y = placed.lefts[column], placed.tops[row]
        if plane.padding[at]:
            fill = _pattern("padding", PADDING)
            padded.append({"x": _number(x + 0.5), "y": _number(y + 0.5), **inner})
        elif plane.blank[at]:
            fill = PAPER
        elif colours == "values":
            fill = value_colour(float(values[at]), largest)
        else:
            fill = _fill(int(plane.channel[at]), band=False)
        ET.SubElement(group, "rect", {"x": _number(x), "y": _number(y), **size, "fill": fill, "stroke": LINE})
    for dashed in padded:  # above the lines of the neighbours
        ET.SubElement(group, "rect", {**dashed, "fill": "none", "stroke": FAINT, "stroke-dasharray": "3 2.5"})


def _draw_heat(group: ET.Element, placed: PlacedPlane, colours: Colours) -> None:
    with importing:
        from PIL import Image

    plane = placed.plane
    values = np.zeros(plane.shape) if plane.values is None else plane.values
    own = int(plane.channel[0, 0]) if plane.what in {"pixel", "tile-pixel", "mean"} else -1
    pixels = heat(values, own, by_value=colours == "values")
    pixels[plane.padding] = 235
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    ET.SubElement(
        group,
        "image",
        {
            **_position(placed.cells),
            "href": "data:image/png;base64," + b64encode(file.getvalue()).decode(),
            "preserveAspectRatio": "none",
            "style": "image-rendering: pixelated",
        },
    )


def _draw_light(placed: PlacedPlane, light: Light) -> ET.Element:
    """Draw the outline around lit cells, a second one around the cell that is pointed at, and the order's numbers."""
    group = ET.Element("g", {"class": "light"})
    lit = light.level > 0
    small = placed.plane.mode == "heat" and placed.cell_width < SMALL
    if small and lit.sum() >= MANY:
        ET.SubElement(group, "path", {"d": _spots(placed, lit), "fill": INK, "fill-opacity": "0.55"})
        return group
    path = _frame(placed, lit) if small else _outline(placed, lit)
    if placed.plane.mode == "heat":
        ET.SubElement(group, "path", {"d": path, "fill": "none", "stroke": PAPER, "stroke-width": "5"})
    lines = ET.SubElement(group, "g", {"fill": "none", "stroke": INK, "stroke-width": "2", "stroke-linecap": "square"})
    ET.SubElement(lines, "path", {"d": path})
    scale = placed.scale
    inset = 3.0 * scale if placed.plane.mode == "digits" else 0.0
    for row, column in [] if small else np.argwhere(light.level == FOCUS).tolist():
        width, height = placed.cell_width - 2 * inset, placed.cell_height - 2 * inset
        box = Box(placed.lefts[column] + inset, placed.tops[row] + inset, width, height)
        _rectangle(lines, box, **{"stroke-width": "1.2"})
    if placed.plane.mode == "digits":
        for row, column in np.argwhere(light.order > 0).tolist():
            x, y = placed.lefts[column] + 3 * scale, placed.tops[row] + 9 * scale
            group.append(_word(Word(str(light.order[row, column]), x, y, SMALL_TEXT * scale, faint=True)))
    return group


def _spots(placed: PlacedPlane, lit: NDArray[np.bool_]) -> str:
    """Return every lit pixel, where they are too many and too small for edges."""
    size = _number(placed.cell_width)
    return "".join(
        f"M{_number(placed.lefts[c])} {_number(placed.tops[r])}h{size}v{size}h-{size}z" for r, c in np.argwhere(lit)
    )


def _frame(placed: PlacedPlane, lit: NDArray[np.bool_]) -> str:
    """Return a frame around pixels that are too small to be seen, wide enough to be found."""
    sides = []
    for starts, along in ((placed.lefts, lit.any(axis=0)), (placed.tops, lit.any(axis=1))):
        found = np.flatnonzero(along)
        first, last = starts[found[0]], starts[found[-1]] + placed.cell_width
        extra = max(0.0, LEAST_FRAME - (last - first)) / 2
        sides.append((first - extra, last + extra))
    (left, right), (top, bottom) = sides
    return f"M{_number(left)} {_number(top)}H{_number(right)}V{_number(bottom)}H{_number(left)}Z"


def _outline(placed: PlacedPlane, lit: NDArray[np.bool_]) -> str:
    """Return the edges between lit cells and others, and at gaps."""
    path = []
    rows, columns = lit.shape
    row_gaps = {after for after, _ in placed.plane.rows.gaps}
    column_gaps = {after for after, _ in placed.plane.columns.gaps}
    for r, c in np.argwhere(lit).tolist():
        left, top = placed.lefts[c], placed.tops[r]
        right, bottom = left + placed.cell_width, top + placed.cell_height
        if r == 0 or r - 1 in row_gaps or not lit[r - 1, c]:
            path.append(f"M{_number(left)} {_number(top)}H{_number(right)}")
        if r == rows - 1 or r in row_gaps or not lit[r + 1, c]:
            path.append(f"M{_number(left)} {_number(bottom)}H{_number(right)}")
        if c == 0 or c - 1 in column_gaps or not lit[r, c - 1]:
            path.append(f"M{_number(left)} {_number(top)}V{_number(bottom)}")
        if c == columns - 1 or c in column_gaps or not lit[r, c + 1]:
            path.append(f"M{_number(right)} {_number(top)}V{_number(bottom)}")
    return "".join(path)


def _word(word: Word) -> ET.Element:
    attributes = {"x": _number(word.x), "y": _number(word.y), "font-size": _number(word.size)}
    attributes["fill"] = FAINT if word.faint else INK
    if word.anchor != "start":
        attributes["text-anchor"] = word.anchor
    if word.bold:
        attributes["font-weight"] = "600"
    if not word.upright:
        attributes["transform"] = f"rotate(90 {_number(word.x)} {_number(word.y)})"
        attributes["dy"] = "3.5"
    element = ET.Element("text", attributes)
    element.text = word.text
    return element


def _rectangle(parent: ET.Element, box: Box, **attributes: Any) -> None:
    ET.SubElement(parent, "rect", {**_position(box), **attributes})


def _position(box: Box) -> dict[str, str]:
    return {name: _number(value) for name, value in box._asdict().items()}


def _number(value: float) -> str:
    """Return a coordinate with at most two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _text(root: ET.Element) -> str:
    """Return a document whose ids are its own: a page may hold many, and hide the one that defines an id first."""
    name = f"im2col-{crc32(ET.tostring(root)):08x}"
    for element in root.iter():
        if "id" in element.attrib:
            element.set("id", f"{name}-{element.get('id')}")
        fill = element.get("fill", "")
        if fill.startswith(_REFERENCE):
            element.set("fill", fill.replace(_REFERENCE, f"{_REFERENCE}{name}-", 1))
    root.set("aria-labelledby", " ".join(f"{name}-{part}" for part in root.get("aria-labelledby", "").split()))
    return ET.tostring(root, encoding="unicode") + "\n"
