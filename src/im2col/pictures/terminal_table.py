"""A plane of digits as lines: a table in a box, brackets around what is lit, and columns left out for want of room."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from rich.cells import cell_len

from .colours import CHANNELS, INK, PAPER, channel_band, channel_tint
from .highlight import FOCUS, LIT, highlight
from .terminal_blocks import left, right
from .text import Text, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from .pictured_layer import PicturedLayer
    from .plane import Axis, Plane, Selection
    from .terminal_blocks import Block, Characters, Line

_YELLOW = "#F0E442"
"""The colour of Okabe and Ito that no channel has."""
FOCUS_STYLE = f"bold underline {INK} on {_YELLOW}"


@dataclass
class Look:
    """How a picture looks in one terminal.

    Parameters
    ----------
    characters : Characters
    words : mapping of str to str
        The dictionary.
    colours : bool
        Whether there are enough for channels and values.
    layer : PicturedLayer
    selection : Selection
    seen : set of str
        Which signs were used, for the legend.
    """

    characters: Characters
    words: Mapping[str, str]
    colours: bool
    layer: PicturedLayer
    selection: Selection
    seen: set[str] = field(default_factory=set)

    def say(self, text: Text | None) -> str:
        """Return a text in the language and in characters that the terminal has."""
        return self.characters.adapt(say(self.words, text))

    def gap(self, unit: str, count: int) -> str:
        """Return what stands where something is left out."""
        return self.characters.adapt("⋯ ") + self.say(Text(f"gap.{unit}", {"count": count}))

    def cell_style(self, channel: int, level: int, *, padding: bool) -> str:
        """Return the style of a cell."""
        coloured = self.colours and channel >= 0
        if level == FOCUS:
            return FOCUS_STYLE if self.colours else "bold underline reverse"
        if level == LIT:
            colour = CHANNELS[channel % len(CHANNELS)]
            return f"bold {PAPER if colour == CHANNELS[0] else INK} on {colour}" if coloured else "bold reverse"
        if padding:
            return "dim"
        return f"{INK} on {channel_tint(channel)}" if coloured else ""

    def band_style(self, channel: int) -> str:
        """Return the style of what names a channel."""
        return f"{INK} on {channel_band(channel)}" if self.colours and channel >= 0 else "dim"


def boxed(lines: Block, look: Look, width: int, indent: int = 0) -> Block:
    """Return lines in a box of so many columns inside; each line but those of the box has its indent already."""
    c = look.characters
    space = " " * indent
    top, bottom = (f"{space}{c.corners[i]}{c.horizontal * width}{c.corners[i + 1]}" for i in (0, 2))
    return [[(top, "dim")], *lines, [(bottom, "dim")]]


def fitting(
    axis: Axis, focus: Iterable[int], lit: Iterable[int], total: Callable[[Sequence[int]], int], width: int
) -> Axis:
    """Return as much of an axis as fits: what is selected first, then the ends, then what is near either.

    Parameters
    ----------
    axis : Axis
    focus, lit : iterable of int
        Indices into what the axis shows.
    total : callable
        The width of what is kept, by ascending indices.
    width : int
        That is available.
    """
    count = len(axis.shown)
    if total(range(count)) <= width:
        return axis
    focused, chosen, ends = set(focus), set(lit), {0, count - 1}
    anchors = focused | chosen | ends

    def rank(i: int) -> tuple[int, int, int]:
        kind = 0 if i in focused else 1 if i in ends else 2 if i in chosen else 3
        return kind, min(abs(i - a) for a in anchors) if kind == 3 else 0, i

    kept: list[int] = []
    for i in sorted(range(count), key=rank):
        tried = sorted([*kept, i])
        if not kept or total(tried) <= width:
            kept = tried
    return axis._replace(shown=tuple(axis.shown[i] for i in kept))


def cell_texts(plane: Plane, look: Look) -> list[list[str]]:
    """Return the labels of the shown cells as they are printed, a list for each row; empty without digits."""
    mark, adapt = look.characters.padding, look.characters.adapt
    return [
        [(mark if padding else "") + adapt(str(text)) for text, padding in zip(texts, paddings, strict=True)]
        for texts, paddings in zip(plane.text if plane.text is not None else (), plane.padding, strict=False)
    ]


@dataclass
class _Table:
    """A table while it is set."""

    plane: Plane
    look: Look
    texts: list[list[str]]
    level: NDArray[np.int64]
    widths: list[int]
    items: list[int | None]
    """Columns in their order, None for what is left out."""

    def cells(self, row: int) -> Line:
        """Return a row with its marks: neighbours that are lit share one pair of brackets."""
        gap = self.look.characters.adapt("⋯")
        levels = [0 if item is None else int(self.level[row, item]) for item in self.items]
        for i in range(1, len(levels) - 1):
            if self.items[i] is None and levels[i - 1] == levels[i + 1] == LIT:
                levels[i] = LIT
        cells = []
        for item, level in zip(self.items, levels, strict=True):
            if item is None:
                cells.append((gap, "dim"))
                continue
            channel, padding = int(self.plane.channel[row, item]), bool(self.plane.padding[row, item])
            style = "" if self.plane.blank[row, item] else self.look.cell_style(channel, level, padding=padding)
            cells.append((right(self.texts[row][item], self.widths[item]), style))
            if level:
                self.look.seen.add("focus" if level == FOCUS else "lit")
            if padding:
                self.look.seen.add("padding")
        line = [self._mark(0, levels[0])]
        for i, cell in enumerate(cells):
            following = levels[i + 1] if i + 1 < len(levels) else 0
            mark, style = self._mark(levels[i], following)
            same = i + 1 < len(cells) and cells[i + 1][1] == cell[1] and mark == " "
            line += [cell, (mark, cell[1] if same else style)]
        return line

    def _mark(self, before: int, after: int) -> tuple[str, str]:
        """Return what stands between two cells."""
        opening, closing = self.look.characters.focus[0], self.look.characters.focus[1]
        if FOCUS in {before, after}:
            return opening if after == FOCUS else closing, "bold"
        return ("[" if after > before else "]" if before > after else " "), "bold" if before != after else ""

    def width_of(self, item: int | None) -> int:
        """Return the width of a column."""
        return cell_len(self.look.characters.adapt("⋯")) if item is None else self.widths[item]

    @property
    def inner(self) -> int:
        """The width between the lines of the box."""
        return sum(map(self.width_of, self.items)) + len(self.items) + 1

    def header(self, indent: int) -> Line:
        """Return the numbers of the columns."""
        line: Line = [(" " * (indent + 1), "")]
        by_columns = _by_columns(self.plane.channel)
        before = None
        for item in self.items:
            if item is None:
                line.append((" " * (1 + self.width_of(None)), ""))
                before = None
                continue
            channel = int(self.plane.channel[0, item]) if by_columns else -1
            number, style = right(self.plane.column_headers[item], self.widths[item]), self.look.band_style(channel)
            line += [(" ", style if channel == before else ""), (number, style)]
            before = channel
        return line

    def band(self, indent: int) -> Line:
        """Return the names of the channels above the columns."""
        line: Line = [(" " * (indent + 1), "")]
        channels = [None if item is None else int(self.plane.channel[0, item]) for item in self.items]
        runs: list[tuple[int | None, int]] = []
        start = 0
        for channel, run in groupby(channels):
            stop = start + len(list(run))
            runs.append((channel, sum(map(self.width_of, self.items[start:stop])) + stop - start - 1))
            start = stop
        letters = all(channel is None or len(f"c{channel + 1}") <= width for channel, width in runs)
        for channel, width in runs:
            name = "" if channel is None else _channel_name(channel, self.look, width, letters=letters)
            style = "" if channel is None else self.look.band_style(channel)
            line += [(" ", ""), (left(name, width), style)]
        return line


def _by_columns(channel: NDArray[np.int64]) -> bool:
    """Say whether each column belongs to one channel."""
    return bool((channel == channel[:1]).all())


def _channel_name(channel: int, look: Look, width: int, *, letters: bool = True) -> str:
    """Return a channel's name, with a letter or nothing for the word where that has no room."""
    full = look.say(Text("plane.channel", {"number": channel + 1}))
    short = f"c{channel + 1}" if letters else right(str(channel + 1), width)
    return full if cell_len(full) <= width else short


def table_block(plane: Plane, look: Look, width: int, cell: int) -> Block:
    """Return a plane as a table of digits.

    Parameters
    ----------
    plane : Plane
    look : Look
    width : int
        That is available; columns are left out where they would take more.
    cell : int
        The least width of a cell of a plane whose columns have no numbers.
    """
    rows, columns = plane.shape
    if not rows * columns:  # an image without pixels
        return [[(look.characters.adapt(f"{rows} × {columns}"), "dim")]]
    texts, level = cell_texts(plane, look), highlight(look.layer, plane, look.selection).level
    by_columns = _by_columns(plane.channel)
    several = len(np.unique(plane.channel)) > 1
    widths = [max(map(cell_len, column)) for column in zip(*texts, strict=True)]
    if plane.column_headers:
        widths = [max(pair) for pair in zip(widths, map(len, plane.column_headers), strict=True)]
    else:
        widths = [max(cell, w) for w in widths]
    if several and by_columns:
        widths = [max(w, len(str(c + 1))) for w, c in zip(widths, plane.channel[0], strict=True)]
    table = _Table(plane, look, texts, level, widths, list(range(columns)))

    names = [""] * rows
    if several and not by_columns:
        for r in range(rows):
            if r == 0 or plane.channel[r, 0] != plane.channel[r - 1, 0]:
                names[r] = _channel_name(int(plane.channel[r, 0]), look, width // 4)
    name_width, header_width = max(map(cell_len, names)), max(map(len, plane.row_headers), default=0)
    indent = sum(w + 1 for w in (name_width, header_width) if w)

    def total(kept: Sequence[int]) -> int:
        shown = plane.columns._replace(shown=tuple(plane.columns.shown[i] for i in kept))
        gaps = len(shown.gaps)
        return sum(widths[i] for i in kept) + gaps * table.width_of(None) + len(kept) + gaps + 1

    lit, focus = (np.flatnonzero((level == which).any(axis=0)).tolist() for which in (LIT, FOCUS))
    axis = fitting(plane.columns, focus, lit, total, width - indent - 2)
    gaps = dict(axis.gaps)
    table.items = []
    index = {at: i for i, at in enumerate(plane.columns.shown)}
    for i, at in enumerate(axis.shown):
        table.items.append(index[at])
        if i in gaps:
            table.items.append(None)

    row_gaps = dict(plane.rows.gaps)
    notes = {after: look.gap("rows", count) for after, count in row_gaps.items()}
    _widen(table, min(max((cell_len(note) + 2 for note in notes.values()), default=0), width - indent - 2))
    block: Block = []
    edge = (look.characters.vertical, "dim")
    for r in range(rows):
        line: Line = [(left(names[r], name_width), look.band_style(int(plane.channel[r, 0])))] if name_width else []
        line += [(" ", "")] if name_width else []
        line += [(right(plane.row_headers[r], header_width) + " ", "dim")] if header_width else []
        block.append([*line, edge, *table.cells(r), edge])
        if r in notes:
            note = " " + notes[r] if cell_len(notes[r]) < table.inner else look.characters.adapt("⋯")
            block.append([(" " * indent, ""), edge, (left(note, table.inner), "dim"), edge])
    block = boxed(block, look, table.inner, indent)
    heads = [table.band(indent)] if several and by_columns else []
    heads += [table.header(indent)] if plane.column_headers and columns > 1 else []
    return [*heads, *block, *_column_notes(axis, look, indent + table.inner + 2, width)]


def _widen(table: _Table, inner: int) -> None:
    """Make a table's columns wider until a line of so many characters fits."""
    shown = [item for item in table.items if item is not None]
    i = 0
    while table.inner < inner:
        table.widths[shown[i % len(shown)]] += 1
        i += 1


def _column_notes(axis: Axis, look: Look, table_width: int, width: int) -> Block:
    """Return how many columns are left out, below the table."""
    notes = [look.gap("columns", count) for _, count in axis.gaps]
    if not notes:
        return []
    room = min(width, max(table_width, *map(cell_len, notes)))
    lines = [notes[0]]
    for note in notes[1:]:
        joined = f"{lines[-1]}  {note}"
        lines[-1:] = [joined] if cell_len(joined) <= room else [lines[-1], note]
    return [[(line, "dim")] for line in lines]
