"""Panels and planes as blocks of lines: tables of digits, pictures of half blocks, outlines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.cells import cell_len

from .colours import heat
from .highlight import highlight
from .terminal_blocks import beside, block_width, flowing, left, lowered, wrapped
from .terminal_table import FOCUS_STYLE, boxed, cell_texts, fitting, table_block

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from .plane import Axis, Plane
    from .scene import Panel
    from .terminal_blocks import Block, Line
    from .terminal_table import Look

PLANE_GAP = 2
WIDEST_PICTURE, TALLEST_PICTURE = 48, 64
"""Of a plane without digits: columns, and half lines."""


def panel_block(panel: Panel, look: Look, width: int) -> Block:
    """Return a panel in at most so many columns.

    Parameters
    ----------
    panel : Panel
    look : Look
    width : int
    """
    body = _body(panel, look, width)
    title, size = look.say(panel.title), look.say(panel.size)
    if cell_len(title) + 2 + cell_len(size) <= min(width, max(block_width(body), 24)):
        return [[(title, "bold"), ("  " + size, "dim")], *body]
    titles: Block = [[(line, "bold")] for line in wrapped(title, width)]
    return [*titles, *([(line, "dim")] for line in wrapped(size, width)), *body]


def _body(panel: Panel, look: Look, width: int) -> Block:
    # Planes that number nothing get cells of one width, so that pictures of the same size look so.
    cell = max(
        (
            cell_len(t)
            for plane in panel.planes
            if not plane.column_headers
            for row in cell_texts(plane, look)
            for t in row
        ),
        default=1,
    )
    block: Block = []
    gaps = dict(panel.rows.gaps)
    for i, line in enumerate(panel.rows.shown):
        row = {plane.place[1]: plane for plane in panel.planes if plane.place[0] == line}
        blocks = {at: _labelled(plane, look, width, cell) for at, plane in row.items()}
        shown = panel.columns
        if shown.unit == "patches":  # which lie as in the image, so a row of them is not broken
            shown = _fitting_planes(shown, blocks, look, width)
        parts = []
        after = dict(shown.gaps)
        for j, at in enumerate(shown.shown):
            parts.append(blocks[at])
            if j in after:
                middle = len(blocks[at]) // 2
                parts.append(lowered([[(look.gap(shown.unit, after[j]), "dim")]], middle))
        for some in flowing(parts, width, PLANE_GAP):
            block += beside(some, PLANE_GAP)
        if i in gaps:
            block.append([(look.gap(panel.rows.unit, gaps[i]), "dim")])
    return block


def _fitting_planes(axis: Axis, blocks: Mapping[int, Block], look: Look, width: int) -> Axis:
    """Return the columns of planes that fit side by side: the outer ones and the selected one before others."""
    chosen = look.selection.position
    across = look.layer.geometry.output_shape[-1]

    def total(kept: Sequence[int]) -> int:
        shown = axis._replace(shown=tuple(axis.shown[i] for i in kept))
        widths = [block_width(blocks[at]) for at in shown.shown]
        widths += [cell_len(look.gap(axis.unit, count)) for _, count in shown.gaps]
        return sum(widths) + PLANE_GAP * (len(widths) - 1)

    lit = [i for i, at in enumerate(axis.shown) if chosen is not None and at == chosen % across]
    return fitting(axis, (), lit, total, width)


def _labelled(plane: Plane, look: Look, width: int, cell: int) -> Block:
    """Return a plane below its label."""
    if plane.mode == "block":
        block = _outline(plane, look, width)
    elif plane.mode == "heat":
        block = _picture(plane, look, width)
    else:
        block = table_block(plane, look, width, cell)
    names = [look.say(text) for text in plane.label]
    joined = look.characters.adapt(look.words["terminal.comma"]).join(names)
    names = [joined] if cell_len(joined) <= block_width(block) else names
    channels = np.unique(plane.channel)
    style = look.band_style(int(channels[0])) if len(channels) == 1 else "dim"
    return [*([(line, style)] for name in names for line in wrapped(name, width)), *block]


def _outline(plane: Plane, look: Look, width: int) -> Block:
    """Return a plane that is too large for a picture: a box with its dimensions."""
    sides = look.characters.adapt(f" {plane.rows.length:,} × {plane.columns.length:,} ")
    inner = min(max(cell_len(sides), 16), width - 2)
    edge = (look.characters.vertical, "dim")
    lines = []
    for text in ("", sides.strip(), ""):
        before = (inner - cell_len(text)) // 2
        lines.append([edge, (left(" " * before + text, inner), ""), edge])
    return boxed(lines, look, inner)


# --- pictures


def _picture(plane: Plane, look: Look, width: int) -> Block:
    """Return a plane as a picture: two pixels in each character where there are colours, else shades."""
    height, across = plane.shape
    scale = min(1.0, min(WIDEST_PICTURE, width - 2) / across, TALLEST_PICTURE / height)
    columns, rows = max(1, int(across * scale)), max(1, int(height * scale))
    lines = -(-rows // 2)
    values = np.asarray(plane.values)
    channel = int(plane.channel.flat[0])
    marked = _reduced(highlight(look.layer, plane, look.selection).level > 0, lines, columns, any_=True) > 0
    if marked.any():
        look.seen.add("marked")
    edge = (look.characters.vertical, "dim")
    if look.colours and look.characters.half:
        colours = _reduced(heat(values, channel, by_value=False), rows, columns).astype(int)
        block = [_half_blocks(colours[2 * i : 2 * i + 2], marked[i], look) for i in range(lines)]
    else:
        shares = _reduced(_shares(values), lines, columns)
        shades = look.characters.shades
        # A tiny bit less than the next shade, so that a mean of equal values does not depend on its rounding.
        indices = np.minimum((shares * len(shades) + 1e-9).astype(int), len(shades) - 1)
        block = [
            [
                (look.characters.cross, "bold reverse") if cross else (shades[index], "")
                for index, cross in zip(row, crosses, strict=True)
            ]
            for row, crosses in zip(indices, marked, strict=True)
        ]
    return boxed([[edge, *line, edge] for line in block], look, columns)


def _shares(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how light each value is, from 0 to 1 over the finite ones; NaN in the middle, infinities at the ends."""
    numbers = values[np.isfinite(values)]
    # Halves, whose difference is finite whatever the values.
    low, high = (float(end / 2) for end in ((numbers.min(), numbers.max()) if numbers.size else (0.0, 0.0)))
    shares = np.clip((values / 2 - low) / ((high - low) or 1.0), 0, 1)
    return np.where(np.isnan(values), 0.5, shares)


def _half_blocks(colours: NDArray[np.int64], marked: NDArray[np.bool_], look: Look) -> Line:
    """Return one or two lines of pixels, shape (1 or 2, columns, 3), as one line of characters."""
    line: Line = []
    for column, cross in enumerate(marked):
        if cross:
            line.append((look.characters.cross, FOCUS_STYLE))
            continue
        above, *below = ("#{:02x}{:02x}{:02x}".format(*rgb) for rgb in colours[:, column])
        line.append((look.characters.half, f"{above} on {below[0]}" if below else above))
    return line


def _reduced(values: NDArray[np.generic], rows: int, columns: int, *, any_: bool = False) -> NDArray[np.float64]:
    """Return means over rectangles (or whether anything in them is true), shape (rows, columns, …)."""
    result = values.astype(np.float64)
    for axis, parts in ((0, rows), (1, columns)):
        length = result.shape[axis]
        starts = np.arange(parts) * length // parts
        sizes = np.diff([*starts, length]).reshape([-1 if i == axis else 1 for i in range(result.ndim)])
        result = np.add.reduceat(result, starts, axis=axis) / (1 if any_ else sizes)
    return result
