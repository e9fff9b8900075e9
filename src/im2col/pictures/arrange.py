"""Where everything stands: a scene in a language becomes boxes, in pixels."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from .metrics import text_width
from .scene import Panel
from .text import say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .scene import Axis, Plane, Scene

CELL_HEIGHT, NARROWEST = 26.0, 26.0
CELL_TEXT, SMALL_TEXT, LABEL_TEXT, NOTE_TEXT, HEADING_TEXT = 12.0, 8.0, 11.5, 13.0, 20.0
MARGIN, WIDEST = 28.0, 1240.0
"""Around the figure; a row of panels is broken before it grows wider."""
_LEAST = 620.0
_SIGN, _PLANE_GAP, _PANEL_GAP, _LINE = 44.0, 12.0, 26.0, 19.0
_GAP_BAND = 22.0
_PICTURE, _BLOCK = 224.0, 150.0
"""Longest side of a heat map and of a block."""


class Box(NamedTuple):
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float


class Word(NamedTuple):
    """A line of text.

    Parameters
    ----------
    text : str
    x, y : float
        The baseline's start, middle or end.
    size : float
    anchor : {"start", "middle", "end"}
    faint, bold, upright : bool
        Grey; bold; read downwards where not upright.
    """

    text: str
    x: float
    y: float
    size: float
    anchor: str = "start"
    faint: bool = False
    bold: bool = False
    upright: bool = True


@dataclass(frozen=True, eq=False)
class PlacedPlane:
    """A plane with its place.

    Parameters
    ----------
    plane : Plane
    cells : Box
        The grid without headers.
    lefts, tops : tuple of float
        Of the shown columns and rows; empty for a block.
    cell_width, cell_height : float
    band : Box or None
        The header band, where the plane has a label.
    words : tuple of Word
        Its label, headers, gaps, and the dimensions of a block.
    """

    plane: Plane
    cells: Box
    lefts: tuple[float, ...]
    tops: tuple[float, ...]
    cell_width: float
    cell_height: float
    band: Box | None
    words: tuple[Word, ...]


@dataclass(frozen=True, eq=False)
class PlacedPanel:
    """A panel with its place.

    Parameters
    ----------
    panel : Panel
    box : Box
    planes : tuple of PlacedPlane
    words : tuple of Word
        Its title and size, and the gaps between planes.
    """

    panel: Panel
    box: Box
    planes: tuple[PlacedPlane, ...]
    words: tuple[Word, ...]


@dataclass(frozen=True, eq=False)
class Figure:
    """A scene with the places of all its parts.

    Parameters
    ----------
    scene : Scene
    width, height : float
    panels : tuple of PlacedPanel
    words : tuple of Word
        Title, caption, counter, signs, and what the selection says.
    title, description : str
        For those who do not see the picture.
    """

    scene: Scene
    width: float
    height: float
    panels: tuple[PlacedPanel, ...]
    words: tuple[Word, ...]
    title: str
    description: str


def arrange(scene: Scene, words: Mapping[str, str]) -> Figure:
    """Return the places of a scene's parts.

    Parameters
    ----------
    scene : Scene
    words : mapping of str to str
        The language's dictionary.
    """
    panels = [_measure(part, words) if isinstance(part, Panel) else part for part in scene.parts]
    rows = _broken(panels)
    width = max(_LEAST, *(sum(_width(part) for part in row) for row in rows))
    title, caption, counter = (say(words, text) for text in (scene.title, scene.caption, scene.counter))
    message, formula = say(words, scene.message), formula_text(scene, words)

    lines: list[Word] = []
    y = MARGIN + HEADING_TEXT
    for line in wrapped(title, HEADING_TEXT, width):
        lines.append(Word(line, MARGIN, y, HEADING_TEXT, bold=True))
        y += 1.4 * HEADING_TEXT
    for text, faint in ((caption, False), (counter, True)):
        for line in wrapped(text, NOTE_TEXT, width):
            lines.append(Word(line, MARGIN, y, NOTE_TEXT, faint=faint))
            y += _LINE
    placed = []
    for row in rows:
        tallest = max(part.box.height for part in row if isinstance(part, PlacedPanel))
        x = MARGIN
        for part in row:
            if isinstance(part, PlacedPanel):
                placed.append(_moved(part, x, y + (tallest - part.box.height) / 2))
            else:
                lines.append(Word(part, x + _SIGN / 2, y + tallest / 2 + 8, 22, "middle", faint=True))
            x += _width(part)
        y += tallest + _PANEL_GAP
    for text, bold in ((message, True), (formula, False)):
        for line in wrapped(text, NOTE_TEXT, width):
            lines.append(Word(line, MARGIN, y, NOTE_TEXT, bold=bold))
            y += _LINE
    description = " ".join(part for part in (caption, counter, message, formula) if part)
    return Figure(scene, width + 2 * MARGIN, y - _LINE + MARGIN, tuple(placed), tuple(lines), title, description)


def formula_text(scene: Scene, words: Mapping[str, str]) -> str:
    """Return a scene's formula as one line, such as ``12 = 5×2 + 3×(−1)``; "" where there is none."""
    formula = scene.formula
    if formula is None:
        return ""
    between = " + " if formula.result else ", "
    terms = [f"{_factor(a)}×{_factor(b)}" for a, b in formula.terms]
    if formula.gap is not None:
        after, count = formula.gap
        terms.insert(after, "⋯ " + words["gap.terms"].format(count=f"{count:,}"))
    return (f"{formula.result} = " if formula.result else "") + between.join(terms)


def _factor(label: str) -> str:
    return f"({label})" if label.startswith("−") or "+" in label else label


def wrapped(text: str, size: float, width: float) -> list[str]:
    """Return a text in lines no wider than `width`: broken at spaces, and between Chinese characters."""
    lines, line = [], ""
    for piece in _pieces(text):
        if line and text_width((line + piece).rstrip(), size) > width:
            lines.append(line.rstrip())
            line = piece.lstrip()
        else:
            line += piece
    return [*lines, line.rstrip()] if line.strip() else lines


_NOT_FIRST = "，。、；：）」》！？,.;:)%×"
"""No line begins with these."""


def _pieces(text: str) -> list[str]:
    """Return the parts between which a line may break."""
    pieces: list[str] = []
    for before, character in pairwise(" " + text):
        wide = "\u2e80" <= character <= "\uffef" or "\u2e80" <= before <= "\uffef"
        starts = before == " " or (wide and character not in _NOT_FIRST and character != " ")
        if starts or not pieces:
            pieces.append(character)
        else:
            pieces[-1] += character
    return pieces


def _width(part: PlacedPanel | str) -> float:
    return part.box.width if isinstance(part, PlacedPanel) else _SIGN


def _broken(parts: Sequence[PlacedPanel | str]) -> list[list[PlacedPanel | str]]:
    """Return rows of parts: a sign goes to the next row with the panel that follows it."""
    rows: list[list[PlacedPanel | str]] = [[]]
    for i, part in enumerate(parts):
        group = 0.0 if isinstance(part, PlacedPanel) and i else _width(part)
        if isinstance(part, str):
            group = _SIGN + _width(parts[i + 1])
        if rows[-1] and sum(map(_width, rows[-1])) + group > WIDEST:
            rows.append([])
        rows[-1].append(part)
    return rows


def _moved(panel: PlacedPanel, dx: float, dy: float) -> PlacedPanel:
    def box(b: Box) -> Box:
        return Box(b.x + dx, b.y + dy, b.width, b.height)

    def moved(words: tuple[Word, ...]) -> tuple[Word, ...]:
        return tuple(word._replace(x=word.x + dx, y=word.y + dy) for word in words)

    planes = tuple(
        PlacedPlane(
            p.plane,
            box(p.cells),
            tuple(x + dx for x in p.lefts),
            tuple(y + dy for y in p.tops),
            p.cell_width,
            p.cell_height,
            None if p.band is None else box(p.band),
            moved(p.words),
        )
        for p in panel.planes
    )
    return PlacedPanel(panel.panel, box(panel.box), planes, moved(panel.words))


def _measure(panel: Panel, words: Mapping[str, str]) -> PlacedPanel:
    """Return a panel that stands at the origin."""
    title, size = say(words, panel.title), say(words, panel.size)
    title_width, size_width = text_width(title, NOTE_TEXT) * 1.08, text_width(size, LABEL_TEXT)
    longest = max(
        (text_width(str(label), CELL_TEXT) for p in panel.planes if p.text is not None for label in p.text.flat),
        default=0.0,
    )
    cell_width = max(NARROWEST, longest + 10)
    planes = [_place(plane, cell_width, words) for plane in panel.planes]
    across = sorted({p.plane.place[1] for p in planes})
    down = sorted({p.plane.place[0] for p in planes})
    widths = [max(_extent(p)[0] for p in planes if p.plane.place[1] == column) for column in across]
    heights = [max(_extent(p)[1] for p in planes if p.plane.place[0] == row) for row in down]
    notes: list[Word] = []
    head = 1.6 * NOTE_TEXT
    total = sum(heights) + _PLANE_GAP * (len(down) - 1) + _between(panel.rows)
    lefts = _starts(widths, panel.columns, 0.0)
    tops = _starts(heights, panel.rows, head)
    for after, count in panel.columns.gaps:
        x = lefts[after] + widths[after] + (_PLANE_GAP + _GAP_BAND) / 2 + 4
        notes.append(_gap(panel.columns, count, words, x, head + total / 2, upright=False))
    for after, count in panel.rows.gaps:
        notes.append(
            _gap(panel.rows, count, words, 0.0, tops[after] + heights[after] + _PLANE_GAP / 2 + 15, upright=True)
        )
    placed = []
    for p in planes:
        row, column = down.index(p.plane.place[0]), across.index(p.plane.place[1])
        placed.append(_moved(PlacedPanel(panel, Box(0, 0, 0, 0), (p,), ()), lefts[column], tops[row]).planes[0])
    gap_width = max((text_width(word.text, word.size) for word in notes if word.upright), default=0.0)
    inner = max(lefts[-1] + widths[-1], gap_width)
    one_line = title_width + 8 + size_width <= max(inner, 150.0)
    if one_line:
        width = max(inner, title_width + 8 + size_width)
        titles = (Word(title, 0, 12, NOTE_TEXT, bold=True), Word(size, title_width + 8, 12, LABEL_TEXT, faint=True))
        shift = 0.0
    else:
        width = max(inner, title_width, size_width)
        titles = (Word(title, 0, 12, NOTE_TEXT, bold=True), Word(size, 0, 27, LABEL_TEXT, faint=True))
        shift = 16.0
    whole = PlacedPanel(panel, Box(0, 0, width, head + total + shift), tuple(placed), tuple(notes))
    shifted = _moved(whole, 0, shift)
    return PlacedPanel(panel, whole.box, shifted.planes, (*titles, *shifted.words))


def _between(axis: Axis) -> float:
    return _GAP_BAND * len(axis.gaps)


def _starts(sizes: Sequence[float], axis: Axis, start: float) -> list[float]:
    """Return where planes begin along an axis, with room for its gaps."""
    gaps, starts = dict(axis.gaps), []
    for i, size in enumerate(sizes):
        starts.append(start)
        start += size + _PLANE_GAP + (_GAP_BAND if i in gaps else 0)
    return starts


def _extent(p: PlacedPlane) -> tuple[float, float]:
    """Return a plane's width and height with its headers."""
    label = max((text_width(w.text, w.size) for w in p.words if w.upright and w.anchor == "start"), default=0.0)
    return max(p.cells.x + p.cells.width, label + 8 if p.band is not None else label), p.cells.y + p.cells.height


def _gap(axis: Axis, count: int, words: Mapping[str, str], x: float, y: float, *, upright: bool) -> Word:
    text = "⋯ " + words[f"gap.{axis.unit}"].format(count=f"{count:,}")
    return Word(text, x, y, SMALL_TEXT + 2, "start" if upright else "middle", faint=True, upright=upright)


def _place(plane: Plane, cell_width: float, words: Mapping[str, str]) -> PlacedPlane:
    """Return a plane that stands at the origin, below its header band and beside its headers."""
    label = " · ".join(say(words, text) for text in plane.label)
    top, notes = (20.0 if label else 0.0), []
    if plane.mode == "digits":
        width, height = cell_width, CELL_HEIGHT
    else:
        longest = _PICTURE if plane.mode == "heat" else _BLOCK
        width = height = longest / max(plane.rows.length, plane.columns.length)
    head = 15.0 if plane.column_headers else 0.0
    left = 8 + max(text_width(h, SMALL_TEXT) for h in plane.row_headers) if plane.row_headers else 0.0
    lefts = _cells(plane.columns, width, left, _column_gap(plane, words))
    tops = _cells(plane.rows, height, top + head, _GAP_BAND)
    if plane.mode == "block":
        size = f"{plane.rows.length:,} × {plane.columns.length:,}"
        # A thin block is drawn thick enough to be seen, and as wide as its dimensions in words.
        cells = Box(
            left,
            top + head,
            max(plane.columns.length * width, text_width(size, LABEL_TEXT) + 12),
            max(plane.rows.length * height, CELL_HEIGHT),
        )
        notes.append(Word(size, cells.x + cells.width / 2, cells.y + cells.height / 2 + 4, LABEL_TEXT, "middle"))
        lefts, tops = (), ()
    else:
        cells = Box(left, top + head, lefts[-1] + width - left, tops[-1] + height - top - head)
    band = Box(0.0, 0.0, max(cells.x + cells.width, text_width(label, LABEL_TEXT) + 8), 17.0) if label else None
    if label:
        notes.append(Word(label, 4, 12.5, LABEL_TEXT))
    for x, header in zip(lefts, plane.column_headers, strict=False):
        notes.append(Word(header, x + width / 2, top + 11, SMALL_TEXT, "middle", faint=True))
    for y, header in zip(tops, plane.row_headers, strict=False):
        notes.append(Word(header, left - 4, y + height / 2 + 3, SMALL_TEXT, "end", faint=True))
    for after, count in plane.rows.gaps:
        y = tops[after] + height + 15
        notes.append(_gap(plane.rows, count, words, left, y, upright=True))
    for after, count in plane.columns.gaps:
        x = lefts[after] + width + _column_gap(plane, words) / 2 + 3
        upright = len(tops) * height < _GAP_LENGTH
        y = cells.y + cells.height / 2 + (4 if upright else 0)
        word = _gap(plane.columns, count, words, x, y, upright=upright)
        notes.append(word._replace(anchor="middle", x=x - 3 if upright else x))
    return PlacedPlane(plane, cells, lefts, tops, width, height, band, tuple(notes))


_GAP_LENGTH = 120.0
"""Height of a plane beside which "⋯ 3,012 columns" fits when it is read downwards."""


def _column_gap(plane: Plane, words: Mapping[str, str]) -> float:
    """Return the width of the band that stands for columns left out: wide where its text cannot be turned."""
    if not plane.columns.gaps or len(plane.rows.shown) * CELL_HEIGHT >= _GAP_LENGTH:
        return _GAP_BAND
    count = max(count for _, count in plane.columns.gaps)
    return text_width(_gap(plane.columns, count, words, 0, 0, upright=True).text, SMALL_TEXT + 2) + 8


def _cells(axis: Axis, size: float, start: float, gap: float) -> tuple[float, ...]:
    """Return where the shown rows or columns begin."""
    gaps, starts = dict(axis.gaps), []
    for i in range(len(axis.shown)):
        starts.append(start)
        start += size + (gap if i in gaps else 0)
    return tuple(starts)
