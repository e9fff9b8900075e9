"""The panels that chapters are made of. A new figure is a new list of them, in `chapters/`."""

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
MOST_PATCHES = 12
"""Rows or columns of patches that are shown whole."""
MOST_DIGITS, MOST_HEAT = 2_500, 100_000
"""Cells of a panel that show digits; cells of a plane that show colours."""
ONE = Axis(1, (0,), "columns")
"""An axis of one, without numbers."""


def make_panel(builder: PanelBuilder, kind: str) -> Panel:
    """Return a panel by its name in the chapters.

    Parameters
    ----------
    builder : PanelBuilder
        Of the scene.
    kind : str
    """
    return _PANELS[kind](builder)


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


def _matrix(b: PanelBuilder, kind: str = "matrix", what: str = "entry") -> Panel:
    down, across = ("position", b.positions("rows")), ("tap", b.taps("columns"))
    return table_panel(b, kind, what, down, across, per_image=what == "entry")


def _matrices(b: PanelBuilder) -> Panel:
    """Return each channel's column matrix, one beside the other."""
    layer = b.layer
    first = layer.tap_order == "channel-first"

    def bases(channel: int) -> Steps:
        return {"tap": (channel * layer.geometry.taps, 0, 1) if first else (channel, 0, layer.channels)}

    tap = b.selection.tap
    own = None if tap is None else tap % layer.geometry.taps if first else tap // layer.channels
    down, across = ("position", b.positions("rows")), ("tap", b.kernel_taps("columns", own))
    return table_panel(b, "matrices", "entry", down, across, per_image=True, parts=layer.channels, bases=bases)


def _weights(b: PanelBuilder) -> Panel:
    down = ("tap", b.taps("rows"))
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
    across = ("tap", b.taps("columns"))
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
}
"""The panels by their names in the chapters."""
