"""The panels that chapters are made of. A new figure is a new list of them, in `chapters/`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .panel_builder import LONGEST_AXIS, MOST_PLANES
from .panel_kinds import (
    MOST_DIGITS,
    ONE,
    SHORTEST_AXIS,
    image_panel,
    padded_panel,
    pictures_panel,
    table_panel,
    window_axes,
    window_steps,
)
from .panels_fewer import FEWER
from .plane import Axis, axis
from .scene import Panel
from .text import Text

if TYPE_CHECKING:
    from collections.abc import Callable

    from .panel_builder import PanelBuilder, Steps

MOST_PATCHES = 12
"""Rows or columns of patches that are shown whole."""


def make_panel(builder: PanelBuilder, kind: str) -> Panel:
    """Return a panel by its name in the chapters.

    Parameters
    ----------
    builder : PanelBuilder
        Of the scene.
    kind : str
    """
    return _PANELS[kind](builder)


# --- pictures of the output's shape


def _maps(b: PanelBuilder) -> Panel:
    width = b.layer.geometry.output_shape[-1]
    plane = math.prod((1, *b.layer.geometry.output_shape)[-2:])

    def steps(filter_: int, image: int, slice_: int) -> Steps:
        return {"position": (slice_ * plane, width, 1), "filter": (filter_, 0, 0), "image": (image, 0, 0)}

    lines = b.filter_axis("filters", MOST_PLANES)
    return pictures_panel(b, "maps", "output", lines, b.layer.geometry.output_shape, steps, lambda f: {"filter": f})


def _partials(b: PanelBuilder) -> Panel:
    filter_ = b.selection.filter or 0
    width = b.layer.geometry.output_shape[-1]
    plane = math.prod((1, *b.layer.geometry.output_shape)[-2:])
    first = b.layer.first_channel(filter_)

    def steps(line: int, image: int, slice_: int) -> Steps:
        here = {"channel": (first + line, 0, 0), "filter": (filter_, 0, 0)}
        return {"position": (slice_ * plane, width, 1), **here, "image": (image, 0, 0)}

    lines = axis(b.layer.group_channels, "channels", MOST_PLANES)
    shape = b.layer.geometry.output_shape
    return pictures_panel(b, "partials", "partial", lines, shape, steps, lambda line: {"channel": first + line})


def _stops(b: PanelBuilder) -> Panel:
    width = b.layer.geometry.output_shape[-1]
    plane = math.prod((1, *b.layer.geometry.output_shape)[-2:])

    def steps(_: int, _image: int, slice_: int) -> Steps:
        return {"position": (slice_ * plane, width, 1)}  # the same in every image

    lines = Axis(1, (0,), "rows")
    return pictures_panel(b, "stops", "stop", lines, b.layer.geometry.output_shape, steps, lambda _: {})


# --- small windows: patches and filters, their slices one below the other


def _filters(b: PanelBuilder) -> Panel:
    layer = b.layer
    channel_ = b.chosen_channel()
    own = None if channel_ is None else channel_ % layer.group_channels
    lines, across = b.filter_axis("filters", MOST_PLANES), axis(layer.group_channels, "channels", MOST_PLANES, [own])
    rows, columns = window_axes(b, len(lines.shown) * len(across.shown))
    planes = []
    for f in lines.shown:
        for c in across.shown:
            channel = layer.first_channel(f) + c
            steps = {"tap": window_steps(b, channel), "filter": (f, 0, 0)}
            planes.append(b.plane("weight", (f, c), b.label(filter=f, channel=channel), rows, columns, steps))
    leading = [n for n in (layer.filters, layer.group_channels) if n > 1]
    kind = "kernel" if layer.filters == layer.channels == 1 else "filters"
    size = " × ".join(map(str, (*leading, *layer.geometry.kernel_size)))
    return Panel("filters", Text(f"panel.{kind}"), Text("size", {"shape": size}), lines, across, tuple(planes))


def _patches(b: PanelBuilder) -> Panel:
    layer = b.layer
    shape = layer.geometry.output_shape
    down, width = math.prod(shape[:-1]), shape[-1]
    at = b.selection.position
    images = b.selection.image
    lines = axis(down, "patch-rows", MOST_PATCHES, [None if at is None else at // width])
    across = axis(width, "patches", MOST_PATCHES, [None if at is None else at % width])
    if len(lines.shown) * len(across.shown) * layer.geometry.taps > MOST_DIGITS:
        lines = axis(down, "patch-rows", SHORTEST_AXIS, [None if at is None else at // width])
        across = axis(width, "patches", SHORTEST_AXIS, [None if at is None else at % width])
    rows, columns = window_axes(b, len(lines.shown) * len(across.shown))
    planes = [
        b.plane(
            "entry",
            (y, x),
            (Text("plane.patch", {"number": y * width + x + 1}),),
            rows,
            columns,
            {"position": (y * width + x, 0, 0), "tap": window_steps(b, 0), "image": (images, 0, 0)},
        )
        for y in lines.shown
        for x in across.shown
    ]
    size = Text("size", {"shape": " × ".join(map(str, (*shape, *layer.geometry.kernel_size)))})
    return Panel("patches", Text("panel.patches"), size, lines, across, tuple(planes))


def _patch(b: PanelBuilder) -> Panel:
    layer = b.layer
    position = b.selection.position or 0
    lines, across = b.channel_axis(), Axis(1, (0,), "images")
    rows, columns = window_axes(b, len(lines.shown))
    planes = []
    for channel in lines.shown:
        steps = {"position": (position, 0, 0), "tap": window_steps(b, channel), "image": (b.selection.image, 0, 0)}
        planes.append(b.plane("entry", (channel, 0), b.label(channel=channel), rows, columns, steps))
    size = " × ".join(map(str, ((layer.channels,) if layer.channels > 1 else ()) + layer.geometry.kernel_size))
    title = Text("panel.patch", {"number": position + 1})
    return Panel("patch", title, Text("size", {"shape": size}), lines, across, tuple(planes))


# --- tables: the column matrix, the weights, the product


def _matrix(b: PanelBuilder, kind: str = "matrix", what: str = "entry") -> Panel:
    down, across = ("position", b.positions("rows")), ("tap", b.taps(b.layer.taps, "columns", b.selection.tap))
    return table_panel(b, kind, what, down, across, per_image=what == "entry")


def _matrices(b: PanelBuilder) -> Panel:
    """Return each channel's column matrix, one beside the other."""
    layer = b.layer
    first = layer.tap_order == "channel-first"

    def bases(channel: int) -> Steps:
        return {"tap": (channel * layer.geometry.taps, 0, 1) if first else (channel, 0, layer.channels)}

    tap, taps = b.selection.tap, layer.geometry.taps
    own = None if tap is None else tap % taps if first else tap // layer.channels
    down, across = ("position", b.positions("rows")), ("tap", b.taps(taps, "columns", own))
    return table_panel(b, "matrices", "entry", down, across, per_image=True, parts=layer.channels, bases=bases)


def _weights(b: PanelBuilder) -> Panel:
    down = ("tap", b.taps(b.layer.taps, "rows", b.selection.tap))
    return table_panel(
        b, "weights", "weight", down, ("filter", b.filter_axis("columns", LONGEST_AXIS)), per_image=False
    )


def _product(b: PanelBuilder) -> Panel:
    across = ("filter", b.filter_axis("columns", LONGEST_AXIS))
    return table_panel(b, "product", "output", ("position", b.positions("rows")), across, per_image=True)


def _position_offsets(b: PanelBuilder) -> Panel:
    down = ("position", b.positions("rows"))
    return table_panel(b, "position-offsets", "position-offset", down, ("", ONE), per_image=False)


def _tap_offsets(b: PanelBuilder) -> Panel:
    across = ("tap", b.taps(b.layer.taps, "columns", b.selection.tap))
    return table_panel(b, "tap-offsets", "tap-offset", ("", ONE), across, per_image=False)


_PANELS: dict[str, Callable[[PanelBuilder], Panel]] = {
    "image": lambda b: padded_panel(b, "pixel"),
    "bare-image": lambda b: image_panel(b, "image", "pixel", padded=False),
    "memory": lambda b: image_panel(b, "memory", "address", padded=True),
    "sums": lambda b: image_panel(b, "sums", "sum", padded=False),
    "counts": lambda b: image_panel(b, "counts", "count", padded=False),
    "means": lambda b: image_panel(b, "means", "mean", padded=False),
    "filters": _filters,
    "patches": _patches,
    "patch": _patch,
    "matrix": _matrix,
    "matrices": _matrices,
    "addresses": lambda b: _matrix(b, "addresses", "entry-address"),
    "position-offsets": _position_offsets,
    "tap-offsets": _tap_offsets,
    "weights": _weights,
    "product": _product,
    "partials": _partials,
    "maps": _maps,
    "stops": _stops,
    **FEWER,
}
"""The panels by their names in the chapters."""
