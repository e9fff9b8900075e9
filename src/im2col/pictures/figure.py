"""Where everything stands: a scene in a language becomes a figure of placed panels and lines of text, in pixels."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from .metrics import text_width
from .place import NOTE_TEXT, SIGN, WIDEST, PlacedPanel, Word, moved_panel, place_panel
from .scene import Panel
from .text import say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .scene import Scene

HEADING_TEXT = 20.0
MARGIN = 28.0
_LEAST = 620.0
_PANEL_GAP, _LINE = 26.0, 19.0


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


def make_figure(scene: Scene, words: Mapping[str, str]) -> Figure:
    """Return the places of a scene's parts.

    Parameters
    ----------
    scene : Scene
    words : mapping of str to str
        The language's dictionary.
    """
    panels = [place_panel(part, words) if isinstance(part, Panel) else part for part in scene.parts]
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
                placed.append(moved_panel(part, x, y + (tallest - part.box.height) / 2))
            else:
                lines.append(Word(part, x + SIGN / 2, y + tallest / 2 + 8, 22, "middle", faint=True))
            x += _width(part)
        y += tallest + _PANEL_GAP
    for text, bold in ((message, True), (formula, False)):
        for line in wrapped(text, NOTE_TEXT, width):
            lines.append(Word(line, MARGIN, y, NOTE_TEXT, bold=bold))
            y += _LINE
    description = " ".join(part for part in (caption, counter, told(scene, words)) if part)
    return Figure(scene, width + 2 * MARGIN, y - _LINE + MARGIN, tuple(placed), tuple(lines), title, description)


def told(scene: Scene, words: Mapping[str, str]) -> str:
    """Return what a selection says, and its formula, as one sentence; "" where nothing is selected."""
    message, formula = say(words, scene.message), formula_text(scene, words)
    return words["draw.told"].format(message=message, formula=formula) if formula else message


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
    return f"({label})" if label.startswith("−") or label.endswith("i") else label


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
    return part.box.width if isinstance(part, PlacedPanel) else SIGN


def _broken(parts: Sequence[PlacedPanel | str]) -> list[list[PlacedPanel | str]]:
    """Return rows of parts: a sign goes to the next row with the panel that follows it."""
    rows: list[list[PlacedPanel | str]] = [[]]
    for i, part in enumerate(parts):
        group = 0.0 if isinstance(part, PlacedPanel) and i else _width(part)
        if isinstance(part, str):
            group = SIGN + _width(parts[i + 1])
        if rows[-1] and sum(map(_width, rows[-1])) + group > WIDEST:
            rows.append([])
        rows[-1].append(part)
    return rows
