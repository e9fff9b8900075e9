"""Where the parts of a panel stand: cells, headers, gaps and labels become boxes and words, in pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from .metrics import text_width
from .text import say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .plane import Axis, Plane
    from .scene import Panel

CELL_HEIGHT, NARROWEST = 30.0, 30.0
BASELINE = 22.0
"""Of a cell's digits, from its top: the order's small number stands above them."""
CELL_TEXT, SMALL_TEXT, LABEL_TEXT, NOTE_TEXT = 12.0, 8.0, 11.5, 13.0
HEADER = 15.0
"""Height of the numbers above a table."""
_PLANE_GAP, _GAP_BAND = 12.0, 22.0
_BOLD = 1.16
"""How much wider bold letters are."""
_TITLE = 150.0
"""A title and its size stand on one line up to this width, however narrow the panel is."""
_PICTURE, _SMALL_PICTURE, _BLOCK, _FEW = 224.0, 144.0, 150.0, 3
"""Longest side of a heat map, of one among more than a few, and of a block."""
_TALLEST = 780.0
"""Height of one column of planes."""
WIDEST, SIGN, _SMALLEST = 1240.0, 44.0, 0.5
"""A row of panels, a sign before a panel; a panel that is wider than both is drawn smaller, down to half its size."""


class Box(NamedTuple):
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float

    def moved(self, dx: float, dy: float) -> Box:
        """Return the rectangle elsewhere."""
        return self._replace(x=self.x + dx, y=self.y + dy)


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
    scale : float
        How large everything in it is, 1 unless its panel were too wide.
    """

    plane: Plane
    cells: Box
    lefts: tuple[float, ...]
    tops: tuple[float, ...]
    cell_width: float
    cell_height: float
    band: Box | None
    words: tuple[Word, ...]
    scale: float = 1.0


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


def moved_panel(panel: PlacedPanel, dx: float, dy: float) -> PlacedPanel:
    """Return a panel that stands elsewhere."""
    planes = tuple(moved_plane(plane, dx, dy) for plane in panel.planes)
    return PlacedPanel(panel.panel, panel.box.moved(dx, dy), planes, _moved_words(panel.words, dx, dy))


def moved_plane(plane: PlacedPlane, dx: float, dy: float) -> PlacedPlane:
    """Return a plane that stands elsewhere."""
    return replace(
        plane,
        cells=plane.cells.moved(dx, dy),
        lefts=tuple(x + dx for x in plane.lefts),
        tops=tuple(y + dy for y in plane.tops),
        band=None if plane.band is None else plane.band.moved(dx, dy),
        words=_moved_words(plane.words, dx, dy),
    )


def _moved_words(words: tuple[Word, ...], dx: float, dy: float) -> tuple[Word, ...]:
    return tuple(word._replace(x=word.x + dx, y=word.y + dy) for word in words)


def place_panel(panel: Panel, words: Mapping[str, str]) -> PlacedPanel:
    """Return a panel that stands at the origin.

    Parameters
    ----------
    panel : Panel
    words : mapping of str to str
        The language's dictionary.
    """
    longest = max(
        (text_width(str(label), CELL_TEXT) for p in panel.planes if p.text is not None for label in p.text.flat),
        default=0.0,
    )
    cell_width = max(NARROWEST, longest + 10)
    picture = _PICTURE if len(panel.planes) <= _FEW else _SMALL_PICTURE
    planes = [_place(plane, cell_width, picture, words) for plane in panel.planes]
    grid = _grid(planes)
    widths = [max(_extent(p)[0] for p, at in zip(planes, grid, strict=True) if at[1] == i) for i in _counted(grid, 1)]
    heights = [max(_extent(p)[1] for p, at in zip(planes, grid, strict=True) if at[0] == i) for i in _counted(grid, 0)]
    lines: dict[int, tuple[int, int]] = {}
    for p, at in zip(planes, grid, strict=True):
        lines.setdefault(p.plane.place[0], at)
    # A gap between rows of planes takes a band below the row that it follows.
    below = {lines[panel.rows.shown[after]]: count for after, count in panel.rows.gaps}
    beside = dict(panel.columns.gaps)
    lefts = _starts(widths, set(beside), 0.0)
    tops = _starts(heights, {row for row, _ in below}, 0.0)
    bottom = tops[-1] + heights[-1] + (_GAP_BAND if any(row == len(tops) - 1 for row, _ in below) else 0)
    notes = [
        _gap(panel.rows, count, words, lefts[column], tops[row] + heights[row] + 16, upright=True)
        for (row, column), count in below.items()
    ]
    width = max([lefts[-1] + widths[-1], *(word.x + text_width(word.text, word.size) for word in notes)])
    for after, count in beside.items():
        x = lefts[after] + widths[after] + (_PLANE_GAP + _GAP_BAND) / 2
        notes.append(_gap(panel.columns, count, words, x, (tops[0] + bottom) / 2, upright=False))
    placed = tuple(moved_plane(p, lefts[at[1]], tops[at[0]]) for p, at in zip(planes, grid, strict=True))
    return _titled(_fitted(PlacedPanel(panel, Box(0, 0, width, bottom), placed, tuple(notes))), words)


def _fitted(panel: PlacedPanel) -> PlacedPanel:
    """Return a panel in which everything is smaller where it were wider than a figure."""
    room = WIDEST - SIGN
    scale = max(_SMALLEST, room / panel.box.width) if panel.box.width > room else 1.0

    def box(whole: Box) -> Box:
        return Box(*(side * scale for side in whole))

    def smaller(words: tuple[Word, ...]) -> tuple[Word, ...]:
        return tuple(w._replace(x=w.x * scale, y=w.y * scale, size=w.size * scale) for w in words)

    planes = tuple(
        PlacedPlane(
            plane.plane,
            box(plane.cells),
            tuple(x * scale for x in plane.lefts),
            tuple(y * scale for y in plane.tops),
            plane.cell_width * scale,
            plane.cell_height * scale,
            None if plane.band is None else box(plane.band),
            smaller(plane.words),
            scale,
        )
        for plane in panel.planes
    )
    return PlacedPanel(panel.panel, box(panel.box), planes, smaller(panel.words))


def _titled(panel: PlacedPanel, words: Mapping[str, str]) -> PlacedPanel:
    """Return a panel with its title and its size above it: on one line, or on two where that were too wide."""
    title, size = say(words, panel.panel.title), say(words, panel.panel.size)
    title_width, size_width = text_width(title, NOTE_TEXT) * _BOLD, text_width(size, LABEL_TEXT)
    both = title_width + 8 + size_width
    one_line = both <= max(panel.box.width, _TITLE)
    heading = Word(title, 0, 12, NOTE_TEXT, bold=True)
    shift = 1.6 * NOTE_TEXT
    if one_line:
        titles = (heading, Word(size, title_width + 8, 12, LABEL_TEXT, faint=True))
    else:
        titles, shift = (heading, Word(size, 0, 27, LABEL_TEXT, faint=True)), shift + 16.0
    width = max(panel.box.width, both if one_line else max(title_width, size_width))
    lower = moved_panel(panel, 0, shift)
    return PlacedPanel(panel.panel, Box(0, 0, width, panel.box.height + shift), lower.planes, (*titles, *lower.words))


def _grid(planes: Sequence[PlacedPlane]) -> list[tuple[int, int]]:
    """Return the row and column of each plane: its place, or several beside each other where one column is too tall.

    Tables with headers stay where they are: they make one matrix.
    """
    across = sorted({p.plane.place[1] for p in planes})
    down = sorted({p.plane.place[0] for p in planes})
    grid = [(down.index(p.plane.place[0]), across.index(p.plane.place[1])) for p in planes]
    if len(across) > 1 or any(p.plane.row_headers or p.plane.column_headers for p in planes):
        return grid
    columns = 1
    tallest = max(_extent(p)[1] for p in planes) + _PLANE_GAP
    while (1 + grid[-1][0]) * tallest > _TALLEST and columns < len(planes):
        columns += 1
        grid = _folded(planes, columns)
    return grid


def _folded(planes: Sequence[PlacedPlane], columns: int) -> list[tuple[int, int]]:
    """Return planes of one column in several; a new row begins after each gap."""
    row, column, before = 0, -1, planes[0].plane.place[0]
    grid = []
    for p in planes:
        here = p.plane.place[0]
        row, column = (row + 1, 0) if column == columns - 1 or here > before + 1 else (row, column + 1)
        grid.append((row, column))
        before = here
    return grid


def _counted(grid: Sequence[tuple[int, int]], side: int) -> range:
    return range(1 + max(at[side] for at in grid))


def _starts(sizes: Sequence[float], gaps: set[int], start: float) -> list[float]:
    """Return where planes begin along an axis, with room for its gaps."""
    starts = []
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


def _place(plane: Plane, cell_width: float, picture: float, words: Mapping[str, str]) -> PlacedPlane:
    """Return a plane that stands at the origin, below its header band and beside its headers."""
    label = " · ".join(say(words, text) for text in plane.label)
    top, notes = (20.0 if label else 0.0), []
    if plane.mode == "digits":
        width, height = cell_width, CELL_HEIGHT
    else:
        longest = picture if plane.mode == "heat" else _BLOCK
        width = height = longest / max(plane.rows.length, plane.columns.length)
    head = HEADER if plane.column_headers else 0.0
    left = 11 + max(text_width(h, SMALL_TEXT) for h in plane.row_headers) if plane.row_headers else 0.0
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
        right, bottom = (lefts[-1] + width if lefts else left), (tops[-1] + height if tops else top + head)
        cells = Box(left, top + head, right - left, bottom - top - head)
    band = Box(0.0, 0.0, max(cells.x + cells.width, text_width(label, LABEL_TEXT) + 8), 17.0) if label else None
    if label:
        notes.append(Word(label, 4, 12.5, LABEL_TEXT))
    for x, header in zip(lefts, plane.column_headers, strict=False):
        notes.append(Word(header, x + width / 2, top + 11, SMALL_TEXT, "middle", faint=True))
    for y, header in zip(tops, plane.row_headers, strict=False):
        notes.append(Word(header, left - 7, y + height / 2 + 3, SMALL_TEXT, "end", faint=True))
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
