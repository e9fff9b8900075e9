"""A figure as SVG: literal colours, no scripts, no references to anything outside; the standard library writes it."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np

from .arrange import CELL_TEXT, SMALL_TEXT, PlacedPlane, Word, arrange
from .colours import CHANNELS, FAINT, INK, LINE, PADDING, PAPER, channel_band, channel_tint, heat, mix, value_colour
from .highlight import FOCUS, highlight
from .metrics import FONT_FAMILY
from .text import dictionary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .arrange import Box, Figure
    from .highlight import Light
    from .illustration import Colours
    from .scene import Scene

STEP_SECONDS = 0.8
"""How long an animation rests on each step."""


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
    figure = arrange(scene, dictionary("draw", lang))
    root = _document(figure, lang)
    for placed in figure.panels:
        for plane in placed.planes:
            _draw_plane(root, plane, colours, filled)
            _draw_light(root, plane, highlight(scene.layer, plane.plane, scene.selection))
    return _text(root)


def animate(frames: Sequence[Scene], *, lang: str, colours: Colours = "channels") -> str:
    """Return scenes that differ in their selection only as one SVG document that steps through them for ever.

    Parameters
    ----------
    frames : sequence of Scene
        Of the same chapter; nothing in them is elided.
    lang, colours
        As for `draw`.
    """
    words = dictionary("draw", lang)
    figures = [arrange(scene, words) for scene in frames]
    tallest = max(figures, key=lambda figure: figure.height)
    root = _document(tallest, lang, with_words=False)
    common = set(tallest.words)
    for figure in figures:
        common &= set(figure.words)
    for word in tallest.words:
        if word in common:
            _write(root, word)
    outputs: list[tuple[ET.Element, int]] = []
    for placed in tallest.panels:
        for plane in placed.planes:
            outputs += _draw_plane(root, plane, colours, None)
    for text, position in outputs:
        _timed(text, position, len(frames), to_the_end=True)
    for i, figure in enumerate(figures):
        step = ET.SubElement(root, "g", {"visibility": "hidden"})
        _timed(step, i, len(frames))
        for word in figure.words:
            if word not in common:
                _write(step, word)
        for placed in figure.panels:
            for plane in placed.planes:
                _draw_light(step, plane, highlight(figure.scene.layer, plane.plane, figure.scene.selection))
    return _text(root)


def _timed(element: ET.Element, step: int, steps: int, *, to_the_end: bool = False) -> None:
    """Show an element during one step of the animation, or from it on."""
    values = ["hidden"] * steps
    values[step:] = ["visible"] * (steps - step) if to_the_end else ["visible", *values[step + 1 :]]
    ET.SubElement(
        element,
        "animate",
        {
            "attributeName": "visibility",
            "calcMode": "discrete",
            "dur": f"{_number(steps * STEP_SECONDS)}s",
            "repeatCount": "indefinite",
            "values": ";".join(values),
        },
    )


def _document(figure: Figure, lang: str, *, with_words: bool = True) -> ET.Element:
    width, height = _number(figure.width), _number(figure.height)
    root = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "xml:lang": lang,
            "width": width,
            "height": height,
            "viewBox": f"0 0 {width} {height}",
            "role": "img",
            "aria-labelledby": "im2col-title im2col-description",
            "font-family": FONT_FAMILY,
            "style": "font-variant-numeric: tabular-nums",
        },
    )
    ET.SubElement(root, "title", {"id": "im2col-title"}).text = figure.title
    ET.SubElement(root, "desc", {"id": "im2col-description"}).text = figure.description
    _patterns(root, figure)
    ET.SubElement(root, "rect", {"width": width, "height": height, "fill": PAPER})
    for placed in figure.panels:
        for word in placed.words:
            _write(root, word)
    if with_words:
        for word in figure.words:
            _write(root, word)
    return root


def _patterns(root: ET.Element, figure: Figure) -> None:
    """Define the hatching of padding, and the stripes of channels whose colours come again."""
    definitions = ET.SubElement(root, "defs")
    _stripes(definitions, "padding", PADDING, LINE, 6)
    seen = {int(c) for placed in figure.panels for p in placed.planes for c in np.unique(p.plane.channel)}
    for channel in sorted(c for c in seen if c >= len(CHANNELS)):
        distance = 4 + 2 * (channel // len(CHANNELS))
        _stripes(definitions, f"tint-{channel}", channel_tint(channel), channel_band(channel), distance)
        _stripes(definitions, f"band-{channel}", channel_band(channel), channel_tint(channel), distance)


def _stripes(definitions: ET.Element, name: str, ground: str, line: str, distance: int) -> None:
    size = str(distance)
    turned = {"patternUnits": "userSpaceOnUse", "patternTransform": "rotate(45)", "width": size, "height": size}
    pattern = ET.SubElement(definitions, "pattern", {"id": f"im2col-{name}", **turned})
    ET.SubElement(pattern, "rect", {"width": size, "height": size, "fill": ground})
    ET.SubElement(pattern, "rect", {"width": "1.2", "height": size, "fill": line})


def _fill(channel: int, *, band: bool) -> str:
    if channel >= len(CHANNELS):
        return f"url(#im2col-{'band' if band else 'tint'}-{channel})"
    return channel_band(channel) if band else channel_tint(channel)


def _draw_plane(
    parent: ET.Element, placed: PlacedPlane, colours: Colours, filled: int | None
) -> list[tuple[ET.Element, int]]:
    """Draw a plane; return the texts of its outputs with their positions."""
    plane = placed.plane
    group = ET.SubElement(parent, "g")
    if placed.band is not None:
        own = plane.channel[0, 0] if plane.channel.size and (plane.channel == plane.channel[0, 0]).all() else -1
        _rectangle(group, placed.band, fill=_fill(int(own), band=True))
    if plane.mode == "digits":
        outputs = _draw_cells(group, placed, colours, filled)
    else:
        outputs = []
        if plane.mode == "heat":
            _draw_heat(group, placed, colours)
        _rectangle(group, placed.cells, fill="none" if plane.mode == "heat" else mix(LINE, 0.3), stroke=FAINT)
    for word in placed.words:
        _write(group, word)
    return outputs


def _draw_cells(
    group: ET.Element, placed: PlacedPlane, colours: Colours, filled: int | None
) -> list[tuple[ET.Element, int]]:
    plane, outputs = placed.plane, []
    values = np.zeros(plane.shape) if plane.values is None else plane.values
    largest = float(np.abs(values[np.isfinite(values)]).max(initial=0))
    text = np.asarray(plane.text)
    position = plane.coordinate("position") if plane.what == "output" else None
    padded = []
    for row, column in np.ndindex(plane.shape):
        at = (row, column)
        x, y = placed.lefts[column], placed.tops[row]
        if plane.padding[at]:
            fill = "url(#im2col-padding)"
            padded.append((x, y))
        elif plane.blank[at]:
            fill = PAPER
        elif colours == "values":
            fill = value_colour(float(values[at]), largest)
        else:
            fill = _fill(int(plane.channel[at]), band=False)
        cell = {"x": _number(x), "y": _number(y)}
        size = {"width": _number(placed.cell_width), "height": _number(placed.cell_height)}
        ET.SubElement(group, "rect", {**cell, **size, "fill": fill, "stroke": LINE})
        if text[at] and not (position is not None and filled is not None and position[at] > filled):
            word = Word(str(text[at]), x + placed.cell_width / 2, y + placed.cell_height / 2 + 4.3, CELL_TEXT, "middle")
            element = _write(group, word)
            if position is not None:
                outputs.append((element, int(position[at])))
    for x, y in padded:  # above the lines of the neighbours
        inner = {"x": _number(x + 0.5), "y": _number(y + 0.5)}
        size = {"width": _number(placed.cell_width - 1), "height": _number(placed.cell_height - 1)}
        ET.SubElement(group, "rect", {**inner, **size, "fill": "none", "stroke": FAINT, "stroke-dasharray": "3 2.5"})
    return outputs


def _draw_heat(group: ET.Element, placed: PlacedPlane, colours: Colours) -> None:
    from PIL import Image

    plane = placed.plane
    values = np.zeros(plane.shape) if plane.values is None else plane.values
    pixels = heat(values, int(plane.channel[0, 0]), by_value=colours == "values")
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


def _draw_light(parent: ET.Element, placed: PlacedPlane, light: Light) -> None:
    """Draw the outline around lit cells, a second one around the cell that is pointed at, and the order's numbers."""
    if not light.level.any():
        return
    group = ET.SubElement(parent, "g", {"fill": "none", "stroke": INK, "stroke-width": "2", "stroke-linecap": "square"})
    ET.SubElement(group, "path", {"d": _outline(placed, light.level > 0)})
    for row, column in np.argwhere(light.level == FOCUS).tolist():
        inset = 3.0 if placed.cell_width > 10 else 0.0
        box = {
            "x": _number(placed.lefts[column] + inset),
            "y": _number(placed.tops[row] + inset),
            "width": _number(placed.cell_width - 2 * inset),
            "height": _number(placed.cell_height - 2 * inset),
        }
        ET.SubElement(group, "rect", {**box, "stroke-width": "1.2"})
    if placed.plane.mode != "digits":
        return
    for row, column in np.argwhere(light.order > 0).tolist():
        number = str(light.order[row, column])
        _write(parent, Word(number, placed.lefts[column] + 2.5, placed.tops[row] + 8, SMALL_TEXT - 0.5, faint=True))


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


def _write(parent: ET.Element, word: Word) -> ET.Element:
    attributes = {"x": _number(word.x), "y": _number(word.y), "font-size": _number(word.size)}
    attributes["fill"] = FAINT if word.faint else INK
    if word.anchor != "start":
        attributes["text-anchor"] = word.anchor
    if word.bold:
        attributes["font-weight"] = "600"
    if not word.upright:
        attributes["transform"] = f"rotate(90 {_number(word.x)} {_number(word.y)})"
        attributes["dy"] = "3.5"
    element = ET.SubElement(parent, "text", attributes)
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
    return ET.tostring(root, encoding="unicode") + "\n"
