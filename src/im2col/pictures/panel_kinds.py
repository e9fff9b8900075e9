"""The kinds of panels: pictures, small windows and tables. `panels.py` lists those that chapters are made of."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .panel_builder import LONGEST_AXIS, MOST_PLANES
from .plane import Axis, axis
from .scene import Panel
from .text import Text

if TYPE_CHECKING:
    from collections.abc import Callable

    from .panel_builder import PanelBuilder, Steps
    from .plane import Mode

SHORTEST_AXIS = 6
"""Rows, columns or patches that are shown whole where there would be too many cells."""
MOST_DIGITS, MOST_HEAT = 2_500, 100_000
"""Cells of a panel that show digits; cells of a plane that show colours."""
ONE = Axis(1, (0,), "columns")
"""An axis of one, without numbers."""


# --- pictures: one plane for each channel (or filter), image and slice


def pictures_panel(
    b: PanelBuilder,
    kind: str,
    what: str,
    lines: Axis,
    shape: tuple[int, ...],
    steps: Callable[[int, int, int], Steps],
    label: Callable[[int], dict[str, int]],
    offset: int = 0,
) -> Panel:
    """Return a panel of pictures.

    Parameters
    ----------
    b : PanelBuilder
    kind, what : str
    lines : Axis
        Of channels or filters: a row of planes each.
    shape : tuple of int
        Of one picture, one to three axes; slices lie side by side, and so do images.
    steps : callable
        ``steps(line, image, slice)``: a plane's coordinates; without an image's, it is drawn once for all.
    label : callable
        ``label(line)``: what names the line.
    offset : int
        Of the picture's last axis in the padded image, for what elision must not hide.
    """
    depth = shape[0] if len(shape) == 3 else 1
    height, width = (1, *shape)[-2:]
    batch = b.layer.batch if "image" in steps(0, 0, 0) else 1
    images = axis(batch * depth, "slices" if depth > 1 else "images", MOST_PLANES, [b.selection.image * depth])
    cells, planes = height * width, len(lines.shown) * len(images.shown)
    if len(shape) == 1:
        chosen = (
            [None if p is None else p - offset for p in b.window_pixels()]
            if "pixel" in steps(0, 0, 0)
            else [b.selection.position]
        )
        columns = axis(width, "columns", LONGEST_AXIS, [p for p in chosen if p is not None and 0 <= p < width])
        mode: Mode = "digits"
    else:
        columns = Axis(width, tuple(range(width)), "columns")
        mode = "digits" if cells * planes <= MOST_DIGITS else "heat" if cells <= MOST_HEAT else "block"
    rows = Axis(height, tuple(range(height)), "rows")
    return Panel(
        kind,
        Text(f"panel.{kind}"),
        Text("size", {"shape": " × ".join(map(str, _counted(batch, lines, shape)))}),
        lines,
        images,
        tuple(
            b.plane(
                what,
                (line, column),
                b.label(
                    **label(line),
                    **({"image": column // depth} if batch > 1 else {}),
                    **({"slice": column % depth} if depth > 1 else {}),
                ),
                rows,
                columns,
                steps(line, column // depth, column % depth),
                mode,
            )
            for line in lines.shown
            for column in images.shown
        ),
    )


def _counted(batch: int, lines: Axis, shape: tuple[int, ...]) -> tuple[int, ...]:
    leading = (batch, lines.length) if batch > 1 else (lines.length,) if lines.length > 1 else ()
    return (*leading, *shape)


def padded_panel(b: PanelBuilder, what: str) -> Panel:
    """Return the padded image."""
    return image_panel(b, "padded" if b.layer.geometry.is_padded else "image", what, padded=True)


def image_panel(b: PanelBuilder, kind: str, what: str, *, padded: bool) -> Panel:
    """Return the image, or sums over it, channel by channel."""
    g = b.layer.geometry
    shape = g.padded_shape if padded else g.spatial_shape
    before = [0 if padded else pair[0] for pair in g.padding]
    height, width = (1, *g.padded_shape)[-2:]
    plane = math.prod(g.padded_shape)
    corner = (1, *before)[-2:]

    def steps(channel: int, image: int, slice_: int) -> Steps:
        top = slice_ + before[0] if g.ndim == 3 else 0
        inside = (corner[0] if g.ndim > 1 else 0) * width + corner[1]
        return {"pixel": (channel * plane + top * height * width + inside, width, 1), "image": (image, 0, 0)}

    return pictures_panel(
        b, kind, what, b.channel_axis(), shape, steps, lambda channel: {"channel": channel}, before[-1]
    )


# --- small windows: their rows run through all axes but the last


def window_steps(b: PanelBuilder, channel: int) -> tuple[int, int, int]:
    """Return the tap of a window's cell; rows run through all axes but the last."""
    width, taps = b.layer.geometry.kernel_size[-1], b.layer.geometry.taps
    if b.layer.tap_order == "channel-first":
        return (channel * taps, width, 1)
    return (channel, width * b.layer.channels, b.layer.channels)


def window_axes(b: PanelBuilder, windows: int) -> tuple[Axis, Axis]:
    """Return the rows and columns of each of so many windows."""
    kernel = b.layer.geometry.kernel_size
    limit = LONGEST_AXIS if windows * b.layer.geometry.taps <= MOST_DIGITS else SHORTEST_AXIS
    return axis(math.prod(kernel[:-1]), "rows", limit), axis(kernel[-1], "columns", limit)


# --- tables


def table_panel(
    b: PanelBuilder,
    kind: str,
    what: str,
    down: tuple[str, Axis],
    across: tuple[str, Axis],
    *,
    per_image: bool,
    label: tuple[Text, ...] = (),
    parts: int = 1,
    bases: Callable[[int], Steps] = lambda _: {},
) -> Panel:
    """Return a panel of tables whose rows and columns have a coordinate each.

    A side without a coordinate is named "". With ``orientation="columns"`` they change places. `parts` tables stand
    beside each other (below each other under that orientation), their coordinates given by `bases`; a table for each
    image stands below (beside) them.
    """
    turned = b.layer.orientation == "columns"
    images = axis(b.layer.batch if per_image else 1, "images", MOST_PLANES, [b.selection.image])
    beside = axis(parts, "channels", MOST_PLANES, [b.chosen_channel() if parts > 1 else None])
    planes = []
    for image in images.shown:
        for part in beside.shown:
            steps: Steps = {down[0]: (0, 1, 0), across[0]: (0, 0, 1), **bases(part)}
            steps.pop("", None)
            if turned:
                steps = {name: (base, right, below) for name, (base, below, right) in steps.items()}
            if per_image:
                steps["image"] = (image, 0, 0)
            names = b.label(image=image) if per_image else ()
            names = (*names, *b.label(channel=part)) if parts > 1 else names
            (rows_name, rows), (columns_name, columns) = (across, down) if turned else (down, across)
            planes.append(
                b.plane(
                    what,
                    (part, image) if turned else (image, part),
                    (*label, *names),
                    rows._replace(unit="rows"),
                    columns._replace(unit="columns"),
                    steps,
                    headers=(rows_name, columns_name),
                )
            )
    if turned:
        planes.sort(key=lambda plane: plane.place)
    sides = (down[1].length, across[1].length * parts)
    shape = (*((b.layer.batch,) if per_image and b.layer.batch > 1 else ()), *(sides[::-1] if turned else sides))
    size = Text("size", {"shape": " × ".join(map(str, shape))})
    arrangement = (beside, images) if turned else (images, beside)
    return Panel(kind, Text(f"panel.{kind}"), size, *arrangement, tuple(planes))
