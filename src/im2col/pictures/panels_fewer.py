"""The panels of the chapters on fewer multiplications: Winograd's tiles, and kernels as a column times a row."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .panel_builder import LONGEST_AXIS, few
from .panels import ONE, make_panel, padded_panel, pictures_panel, table_panel, window_axes, window_steps
from .plane import Axis, axis
from .scene import Panel
from .text import Text

if TYPE_CHECKING:
    from collections.abc import Callable

    from .panel_builder import PanelBuilder, Steps

MOST_STOPS = 24
"""Rows of a thin matrix that are shown whole."""


def make_fewer_panel(builder: PanelBuilder, kind: str) -> Panel:
    """Return a panel by its name in these chapters, whose other panels are those of `panels.py`.

    Parameters
    ----------
    builder : PanelBuilder
        Of the scene.
    kind : str
    """
    return _PANELS[kind](builder) if kind in _PANELS else make_panel(builder, kind)


# --- tiles: the image cut with larger windows, transformed, multiplied value by value, transformed back


def _numbered(b: PanelBuilder, name: str) -> Axis:
    """Return an axis of tables over tiles, points and taps, by its coordinate; "" is one line without numbers."""
    tiles, s = b.tiles, b.selection
    if name == "tile":
        chosen = [] if s.pixel is None else few(tiles.readers(s.pixel), tiles.counts)
        return axis(
            tiles.count, "rows", LONGEST_AXIS, [*chosen, None if s.position is None else tiles.tile_of(s.position)]
        )
    lengths = {"": 1, "element": tiles.size, "point": tiles.size, "result": tiles.results, "weight": b.layer.taps}
    return axis(lengths[name], "columns", LONGEST_AXIS, [s.tap if name == "weight" else None])


def _tiles(b: PanelBuilder, kind: str, what: str, across: str) -> Panel:
    """Return a table with a row for each tile."""
    down, channel = ("tile", _numbered(b, "tile")), {"channel": (0, 0, 0)} if across == "element" else {}
    return table_panel(b, kind, what, down, (across, _numbered(b, across)), per_image=True, bases=lambda _: channel)


def _transform(b: PanelBuilder, kind: str, down: str, across: str) -> Panel:
    """Return numbers that are the same for all tiles."""
    return table_panel(b, kind, kind, (down, _numbered(b, down)), (across, _numbered(b, across)), per_image=False)


def _flat_kernel(b: PanelBuilder) -> Panel:
    across = ("tap", b.taps("columns"))
    return table_panel(b, "flat-kernel", "weight", ("filter", ONE), across, per_image=False)


# --- factors: a kernel as a column times a row, and the two passes


def _factor(b: PanelBuilder, kind: str, what: str, side: int) -> Panel:
    """Return the column (side 0) or the row (side 1) of the kernel."""
    rows, columns = window_axes(b, 1)
    if side == 0:
        return _alone(b, kind, what, (rows, ONE), {"down": (0, 1, 0)})
    return _alone(b, kind, what, (ONE, columns), {"across": (0, 0, 1)})


def _rest(b: PanelBuilder) -> Panel:
    steps: Steps = {"tap": window_steps(b, 0), "filter": (0, 0, 0)}
    return _alone(b, "kernel-rest", "factor-rest", window_axes(b, 1), steps)


def _alone(b: PanelBuilder, kind: str, what: str, sides: tuple[Axis, Axis], steps: Steps) -> Panel:
    """Return a panel of one grid."""
    size = Text("size", {"shape": " × ".join(str(side.length) for side in sides)})
    return Panel(kind, Text(f"panel.{kind}"), size, ONE, ONE, (b.plane(what, (0, 0), (), *sides, steps),))


def _pass(b: PanelBuilder, kind: str, what: str, down: str, across: str) -> Panel:
    """Return a thin matrix, or the column or the row of the kernel that it is multiplied by."""
    height, width = b.layer.geometry.kernel_size
    tap, at = b.selection.tap, b.selection.position
    taps = (None, None) if tap is None else divmod(tap, width)
    axes = {
        "": ONE,
        "position": b.positions("rows", MOST_STOPS),
        "place": axis(
            math.prod(b.factors.middle), "rows", MOST_STOPS, [] if at is None else map(int, b.factors.places(at))
        ),
        "down": axis(height, "columns", LONGEST_AXIS, [taps[0]]),
        "across": axis(width, "columns", LONGEST_AXIS, [taps[1]]),
    }
    is_matrix = across != ""
    channel: Steps = {"channel": (0, 0, 0)} if what == "factor-entry" else {}
    return table_panel(
        b, kind, what, (down, axes[down]), (across, axes[across]), per_image=is_matrix, bases=lambda _: channel
    )


def _middle(b: PanelBuilder) -> Panel:
    def steps(_: int, image: int, _slice: int) -> Steps:
        return {"place": (0, b.factors.middle[1], 1), "image": (image, 0, 0)}

    return pictures_panel(b, "middle", "factor-middle", ONE, b.factors.middle, steps, lambda _: {})


def _pair(b: PanelBuilder) -> Panel:
    def steps(_: int, image: int, _slice: int) -> Steps:
        return {"position": (0, shape[1], 1), "filter": (0, 0, 0), "image": (image, 0, 0)}

    shape = b.layer.geometry.output_shape
    kind = "maps" if b.factors.rank <= 1 else "pair"
    return pictures_panel(b, kind, "factor-output", ONE, shape, steps, lambda _: {})


_PANELS: dict[str, Callable[[PanelBuilder], Panel]] = {
    "tiled-image": lambda b: padded_panel(b, "tile-pixel"),
    "tiles": lambda b: _tiles(b, "tiles", "tile-entry", "element"),
    "tile-values": lambda b: _tiles(b, "tile-values", "tile-value", "point"),
    "tile-products": lambda b: _tiles(b, "tile-products", "tile-product", "point"),
    "tile-results": lambda b: _tiles(b, "tile-results", "tile-result", "result"),
    "tile-kernel": lambda b: _transform(b, "tile-kernel", "", "point"),
    "tile-of-pixels": lambda b: _transform(b, "tile-of-pixels", "element", "point"),
    "tile-of-weights": lambda b: _transform(b, "tile-of-weights", "weight", "point"),
    "tile-of-products": lambda b: _transform(b, "tile-of-products", "point", "result"),
    "flat-kernel": _flat_kernel,
    "kernel-column": lambda b: _factor(b, "kernel-column", "factor-column", 0),
    "kernel-row": lambda b: _factor(b, "kernel-row", "factor-row", 1),
    "kernel-rest": _rest,
    "pixel-columns": lambda b: _pass(b, "pixel-columns", "factor-entry", "place", "down"),
    "middle-rows": lambda b: _pass(b, "middle-rows", "factor-middle-entry", "position", "across"),
    "flat-column": lambda b: _pass(b, "flat-column", "factor-column", "down", ""),
    "flat-row": lambda b: _pass(b, "flat-row", "factor-row", "across", ""),
    "middle": _middle,
    "pair": _pair,
}
"""The panels by their names in the chapters."""
