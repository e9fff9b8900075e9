"""The panels that chapters are made of. A new figure is a new list of them, in `chapters/`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .labels import letter, short
from .scene import Axis, Panel, Plane, Text, axis

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from .illustration import Labels
    from .layer import Layer
    from .scene import Mode, Selection

    Steps = dict[str, tuple[int, int, int]]

LONGEST_AXIS = 48
"""Rows or columns of a table that are shown whole."""
MOST_PLANES = 8
"""Channels, slices, images or filters that are shown whole."""
MOST_PATCHES = 12
MOST_DIGITS, MOST_HEAT = 2_500, 100_000
"""Cells of a panel that show digits; cells of a plane that show colours."""


@dataclass
class Builder:
    """Makes the panels of one scene.

    Parameters
    ----------
    layer : Layer
    selection : Selection
        What elision must not hide.
    labels : {"values", "letters"}
    """

    layer: Layer
    selection: Selection
    labels: Labels = "values"
    _computed: dict[str, NDArray[Any]] = field(default_factory=dict)

    def panel(self, kind: str) -> Panel:
        """Return a panel by its name in the chapters."""
        return _PANELS[kind](self)

    def cell(self, what: str, **coordinates: int) -> str:
        """Return the label of one cell by its coordinates."""
        one = Axis(1, (0,), "")
        steps = {name: (at, 0, 0) for name, at in coordinates.items()}
        return str(np.asarray(self.plane(what, (0, 0), (), one, one, steps).text)[0, 0])

    # Values and labels, by coordinates.

    def plane(
        self,
        what: str,
        place: tuple[int, int],
        label: tuple[Text, ...],
        rows: Axis,
        columns: Axis,
        steps: Steps,
        mode: Mode = "digits",
        headers: tuple[str, str] = ("", ""),
    ) -> Plane:
        """Return a plane whose cells have these coordinates; `headers` names those that number its rows and columns."""
        shape = len(rows.shown), len(columns.shown)
        empty = np.zeros(shape, bool)
        bare = Plane(place, what, label, rows, columns, mode, steps, None, None, empty - 1, empty, empty)
        if mode == "block":
            nothing = np.zeros((0, 0), bool)
            return Plane(place, what, label, rows, columns, mode, steps, None, None, nothing - 1, nothing, nothing)
        c = {name: coordinate for name in steps if (coordinate := bare.coordinate(name)) is not None}
        numbers = {"rows": rows.shown, "columns": columns.shown}
        values = np.broadcast_to(self._values(what, c), shape)
        blank = self._blank(what, c, shape)
        return Plane(
            place,
            what,
            label,
            rows,
            columns,
            mode,
            steps,
            self._text(what, c, values, blank) if mode == "digits" else None,
            np.where(blank, 0, np.abs(values) if np.iscomplexobj(values) else values).astype(np.float64),
            self._channel(c, shape),
            self._padding(what, c, shape),
            blank,
            *(
                tuple(str(i + 1) for i in numbers[side]) if name else ()
                for side, name in zip(("rows", "columns"), headers, strict=True)
            ),
        )

    def _pixels_of(self, what: str, c: dict[str, NDArray[np.int64]]) -> NDArray[np.int64] | None:
        """Return the pixel that each cell shows, where it shows one."""
        if "pixel" in c:
            return c["pixel"]
        if what.startswith("entry"):
            return np.asarray(self.layer.position_pixels[c["position"]] + self.layer.tap_pixels[c["tap"]])
        return None

    def _values(self, what: str, c: dict[str, NDArray[np.int64]]) -> Any:
        layer = self.layer
        pixel = self._pixels_of(what, c)
        if what in {"pixel", "entry"}:
            return layer.pixels[c["image"], pixel]
        if what == "weight":
            return layer.flat_weights[c["tap"], c["filter"]]
        if what == "output":
            return layer.maps[c["image"], c["filter"], c["position"]]
        if what == "partial":
            filter_ = int(c["filter"].flat[0])
            found = self._kept(f"partial {filter_}", lambda: layer.partials(filter_))
            return found[c["image"], c["channel"] - layer.first_channel(filter_), c["position"]]
        if what == "stop":
            return c["position"] + 1
        if what == "position-offset":
            return layer.position_addresses[c["position"]]
        if what == "tap-offset":
            return layer.tap_addresses[c["tap"]]
        if what == "entry-address":
            return layer.position_addresses[c["position"]] + layer.tap_addresses[c["tap"]]
        channel, *axes = np.unravel_index(np.asarray(pixel), layer.padded_shape)
        if what == "address":
            return sum(a * s for a, s in zip((channel, *axes), layer.address_strides, strict=True))
        inside = tuple(a - before for a, (before, _) in zip(axes, layer.geometry.padding, strict=True))
        if what == "count":
            return layer.counts[inside]
        reduce: Any = what
        folded = self._kept(what, lambda: layer.folded(reduce))
        return folded[(c["image"], channel, *inside)]

    def _kept(self, name: str, compute: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        if name not in self._computed:
            self._computed[name] = compute()
        return self._computed[name]

    def _blank(self, what: str, c: dict[str, NDArray[np.int64]], shape: tuple[int, int]) -> NDArray[np.bool_]:
        if what != "weight" or self.layer.groups == 1:
            return np.zeros(shape, bool)
        reads = np.stack([self.layer.reads(f) for f in range(self.layer.filters)])
        return np.asarray(np.broadcast_to(~reads[c["filter"], c["tap"]], shape))

    def _padding(self, what: str, c: dict[str, NDArray[np.int64]], shape: tuple[int, int]) -> NDArray[np.bool_]:
        pixel = self._pixels_of(what, c)
        return np.zeros(shape, bool) if pixel is None else np.broadcast_to(self.layer.is_padding(pixel), shape)

    def _channel(self, c: dict[str, NDArray[np.int64]], shape: tuple[int, int]) -> NDArray[np.int64]:
        layer = self.layer
        if "pixel" in c:
            channel = c["pixel"] // math.prod(layer.padded_shape[1:])
        elif "tap" in c:
            channel = layer.tap_channels[c["tap"]]
        elif "channel" in c:
            channel = c["channel"]
        else:
            return np.full(shape, -1)
        return np.broadcast_to(np.array(layer.channel_numbers)[channel], shape)

    def _text(
        self, what: str, c: dict[str, NDArray[np.int64]], values: NDArray[Any], blank: NDArray[np.bool_]
    ) -> NDArray[Any]:
        text = np.empty(values.shape, object)
        letters = self.labels == "letters"
        for at in np.ndindex(values.shape):
            cell = {name: int(np.broadcast_to(v, values.shape)[at]) for name, v in c.items()} if letters else {}
            text[at] = "" if blank[at] else (letters and self._letter(what, cell)) or short(values[at])
        return text

    def _letter(self, what: str, cell: dict[str, int]) -> str:
        """Return a cell's letter, or "" where it shows a number all the same."""
        layer, g = self.layer, self.layer.geometry
        pixel = cell.get("pixel")
        if what == "entry":
            pixel = int(layer.position_pixels[cell["position"]] + layer.tap_pixels[cell["tap"]])
        if what in {"pixel", "entry", "sum", "mean"} and pixel is not None:
            channel, *axes = (int(a) for a in layer.coordinates(np.array(pixel)))
            if any(not 0 <= a < n for a, n in zip(axes, g.spatial_shape, strict=True)):
                return ""
            number = layer.channel_numbers[channel] if self._whole else channel
            name = letter("x", (cell["image"], number, *axes), (layer.batch, layer.channels, *g.spatial_shape))
            return f"{layer.counts[tuple(axes)]}·{name}" if what == "sum" else name
        if what == "weight":
            channel = int(layer.tap_channels[cell["tap"]]) - layer.first_channel(cell["filter"])
            kernel = cell["tap"] % g.taps if layer.tap_order == "channel-first" else cell["tap"] // layer.channels
            axes = [int(a) for a in np.unravel_index(kernel, g.kernel_size)]
            shape = (layer.filters, layer.group_channels, *g.kernel_size)
            return letter("w", (cell["filter"], channel, *axes), shape)
        if what in {"output", "partial"}:
            axes = [int(a) for a in np.unravel_index(cell["position"], g.output_shape)]
            if what == "output":
                return letter(
                    "y", (cell["image"], cell["filter"], *axes), (layer.batch, layer.filters, *g.output_shape)
                )
            shape = (layer.batch, layer.filters, layer.channels, *g.output_shape)
            return letter("z", (cell["image"], cell["filter"], cell["channel"], *axes), shape)
        return ""

    @property
    def _whole(self) -> bool:
        return self.layer.channels > 1

    # Axes.

    def positions(self, unit: str, limit: int = LONGEST_AXIS) -> Axis:
        """Return the positions as an axis of a table."""
        return axis(self.layer.positions, unit, limit, [self.selection.position])

    def taps(self, count: int, unit: str, chosen: int | None) -> Axis:
        """Return taps as an axis of a table."""
        return axis(count, unit, LONGEST_AXIS, [chosen])

    def filter_axis(self, unit: str, limit: int) -> Axis:
        """Return the filters as an axis."""
        return axis(self.layer.filters, unit, limit, [self.selection.filter])

    def channel_axis(self) -> Axis:
        """Return the channels as an axis of planes."""
        chosen: list[int | None] = []
        if self.selection.pixel is not None:
            chosen = [self.selection.pixel // math.prod(self.layer.padded_shape[1:])]
        elif self.selection.tap is not None:
            chosen = [int(self.layer.tap_channels[self.selection.tap])]
        elif self.selection.filter is not None:
            chosen = [self.layer.first_channel(self.selection.filter)]
        return axis(self.layer.channels, "channels", MOST_PLANES, chosen)

    def label(self, **numbers: int) -> tuple[Text, ...]:
        """Return the words of a plane's label: those parts of which there are several."""
        counts = {
            "image": self.layer.batch,
            "channel": max(self.layer.channels, 1 + max(self.layer.channel_numbers)),
            "filter": max(self.layer.filters, 1 + max(self.layer.filter_numbers)),
        }
        names = {"channel": self.layer.channel_numbers, "filter": self.layer.filter_numbers}
        return tuple(
            Text(f"plane.{name}", {"number": (names[name][i] if name in names else i) + 1})
            for name, i in numbers.items()
            if counts.get(name, 2) > 1
        )

    def window_pixels(self) -> list[int | None]:
        """Return the last coordinates of the selected window's pixels, in the padded image."""
        if self.selection.position is None:
            return [None if self.selection.pixel is None else self.selection.pixel % self.layer.padded_shape[-1]]
        start = int(self.layer.position_pixels[self.selection.position])
        found = start + self.layer.tap_pixels[:: self.layer.channels if self.layer.tap_order != "channel-first" else 1]
        return [int(p) for p in np.unique(found % self.layer.padded_shape[-1])]


# --- pictures: one plane for each channel (or filter), image and slice


def _pictures(
    b: Builder,
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
    b : Builder
    kind, what : str
    lines : Axis
        Of channels or filters: a row of planes each.
    shape : tuple of int
        Of one picture, one to three axes; slices lie side by side, and so do images.
    steps : callable
        ``steps(line, image, slice)``: a plane's coordinates.
    label : callable
        ``label(line)``: what names the line.
    offset : int
        Of the picture's last axis in the padded image, for what elision must not hide.
    """
    depth = shape[0] if len(shape) == 3 else 1
    height, width = (1, *shape)[-2:]
    images = axis(b.layer.batch * depth, "slices" if depth > 1 else "images", MOST_PLANES, [b.selection.image * depth])
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
        Text("size", {"shape": " × ".join(map(str, _counted(b, lines, shape)))}),
        lines,
        images,
        tuple(
            b.plane(
                what,
                (line, column),
                b.label(**label(line), image=column // depth, **({"slice": column % depth} if depth > 1 else {})),
                rows,
                columns,
                steps(line, column // depth, column % depth),
                mode,
            )
            for line in lines.shown
            for column in images.shown
        ),
    )


def _counted(b: Builder, lines: Axis, shape: tuple[int, ...]) -> tuple[int, ...]:
    leading = (b.layer.batch, lines.length) if b.layer.batch > 1 else (lines.length,) if lines.length > 1 else ()
    return (*leading, *shape)


def _image(b: Builder, kind: str, what: str, *, padded: bool) -> Panel:
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

    return _pictures(b, kind, what, b.channel_axis(), shape, steps, lambda channel: {"channel": channel}, before[-1])


def _maps(b: Builder) -> Panel:
    width = b.layer.geometry.output_shape[-1]
    plane = math.prod((1, *b.layer.geometry.output_shape)[-2:])

    def steps(filter_: int, image: int, slice_: int) -> Steps:
        return {"position": (slice_ * plane, width, 1), "filter": (filter_, 0, 0), "image": (image, 0, 0)}

    lines = b.filter_axis("filters", MOST_PLANES)
    return _pictures(b, "maps", "output", lines, b.layer.geometry.output_shape, steps, lambda f: {"filter": f})


def _partials(b: Builder) -> Panel:
    filter_ = b.selection.filter or 0
    width = b.layer.geometry.output_shape[-1]
    plane = math.prod((1, *b.layer.geometry.output_shape)[-2:])
    first = b.layer.first_channel(filter_)

    def steps(line: int, image: int, slice_: int) -> Steps:
        here = {"channel": (first + line, 0, 0), "filter": (filter_, 0, 0)}
        return {"position": (slice_ * plane, width, 1), **here, "image": (image, 0, 0)}

    lines = axis(b.layer.group_channels, "channels", MOST_PLANES)
    shape = b.layer.geometry.output_shape
    return _pictures(b, "partials", "partial", lines, shape, steps, lambda line: {"channel": first + line})


def _stops(b: Builder) -> Panel:
    width = b.layer.geometry.output_shape[-1]
    plane = math.prod((1, *b.layer.geometry.output_shape)[-2:])

    def steps(_: int, image: int, slice_: int) -> Steps:
        return {"position": (slice_ * plane, width, 1), "image": (image, 0, 0)}

    lines = Axis(1, (0,), "rows")
    return _pictures(b, "stops", "stop", lines, b.layer.geometry.output_shape, steps, lambda _: {})


# --- small windows: patches and filters, their slices one below the other


def _window_steps(b: Builder, channel: int) -> tuple[int, int, int]:
    """Return the tap of a window's cell; rows run through all axes but the last."""
    width, taps = b.layer.geometry.kernel_size[-1], b.layer.geometry.taps
    if b.layer.tap_order == "channel-first":
        return (channel * taps, width, 1)
    return (channel, width * b.layer.channels, b.layer.channels)


def _window_axes(b: Builder) -> tuple[Axis, Axis]:
    kernel = b.layer.geometry.kernel_size
    return axis(math.prod(kernel[:-1]), "rows", LONGEST_AXIS), axis(kernel[-1], "columns", LONGEST_AXIS)


def _filters(b: Builder) -> Panel:
    layer = b.layer
    lines, across = b.filter_axis("filters", MOST_PLANES), axis(layer.group_channels, "channels", MOST_PLANES)
    rows, columns = _window_axes(b)
    planes = []
    for f in lines.shown:
        for c in across.shown:
            channel = layer.first_channel(f) + c
            steps = {"tap": _window_steps(b, channel), "filter": (f, 0, 0)}
            planes.append(b.plane("weight", (f, c), b.label(filter=f, channel=channel), rows, columns, steps))
    leading = [n for n in (layer.filters, layer.group_channels) if n > 1]
    kind = "kernel" if layer.filters == layer.channels == 1 else "filters"
    size = " × ".join(map(str, (*leading, *layer.geometry.kernel_size)))
    return Panel("filters", Text(f"panel.{kind}"), Text("size", {"shape": size}), lines, across, tuple(planes))


def _patches(b: Builder) -> Panel:
    layer = b.layer
    shape = layer.geometry.output_shape
    down, width = math.prod(shape[:-1]), shape[-1]
    at = b.selection.position
    images = b.selection.image
    lines = axis(down, "patches", MOST_PATCHES, [None if at is None else at // width])
    across = axis(width, "patches", MOST_PATCHES, [None if at is None else at % width])
    if len(lines.shown) * len(across.shown) * layer.geometry.taps > MOST_DIGITS:
        lines = axis(down, "patches", 0, [None if at is None else at // width]) if down > 6 else lines
        across = axis(width, "patches", 0, [None if at is None else at % width]) if width > 6 else across
    rows, columns = _window_axes(b)
    planes = [
        b.plane(
            "entry",
            (y, x),
            (Text("plane.patch", {"number": y * width + x + 1}),),
            rows,
            columns,
            {"position": (y * width + x, 0, 0), "tap": _window_steps(b, 0), "image": (images, 0, 0)},
        )
        for y in lines.shown
        for x in across.shown
    ]
    size = Text("size", {"shape": " × ".join(map(str, (*shape, *layer.geometry.kernel_size)))})
    return Panel("patches", Text("panel.patches"), size, lines, across, tuple(planes))


def _patch(b: Builder) -> Panel:
    layer = b.layer
    position = b.selection.position or 0
    lines, across = b.channel_axis(), Axis(1, (0,), "images")
    rows, columns = _window_axes(b)
    planes = []
    for channel in lines.shown:
        steps = {"position": (position, 0, 0), "tap": _window_steps(b, channel), "image": (b.selection.image, 0, 0)}
        planes.append(b.plane("entry", (channel, 0), b.label(channel=channel), rows, columns, steps))
    size = " × ".join(map(str, ((layer.channels,) if layer.channels > 1 else ()) + layer.geometry.kernel_size))
    title = Text("panel.patch", {"number": position + 1})
    return Panel("patch", title, Text("size", {"shape": size}), lines, across, tuple(planes))


# --- tables: the column matrix, the weights, the product


def _table(
    b: Builder,
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
    beside = axis(parts, "channels", MOST_PLANES)
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


def _matrix(b: Builder, kind: str = "matrix", what: str = "entry") -> Panel:
    down, across = ("position", b.positions("rows")), ("tap", b.taps(b.layer.taps, "columns", b.selection.tap))
    return _table(b, kind, what, down, across, per_image=what == "entry")


def _matrices(b: Builder) -> Panel:
    """Return each channel's column matrix, one beside the other."""
    layer = b.layer
    first = layer.tap_order == "channel-first"

    def bases(channel: int) -> Steps:
        return {"tap": (channel * layer.geometry.taps, 0, 1) if first else (channel, 0, layer.channels)}

    down, across = ("position", b.positions("rows")), ("tap", b.taps(layer.geometry.taps, "columns", None))
    return _table(b, "matrices", "entry", down, across, per_image=True, parts=layer.channels, bases=bases)


def _weights(b: Builder) -> Panel:
    down = ("tap", b.taps(b.layer.taps, "rows", b.selection.tap))
    return _table(b, "weights", "weight", down, ("filter", b.filter_axis("columns", LONGEST_AXIS)), per_image=False)


def _product(b: Builder) -> Panel:
    across = ("filter", b.filter_axis("columns", LONGEST_AXIS))
    return _table(b, "product", "output", ("position", b.positions("rows")), across, per_image=True)


_ONE = Axis(1, (0,), "columns")


def _position_offsets(b: Builder) -> Panel:
    down = ("position", b.positions("rows"))
    return _table(b, "position-offsets", "position-offset", down, ("", _ONE), per_image=False)


def _tap_offsets(b: Builder) -> Panel:
    across = ("tap", b.taps(b.layer.taps, "columns", b.selection.tap))
    return _table(b, "tap-offsets", "tap-offset", ("", _ONE), across, per_image=False)


_PANELS: dict[str, Callable[[Builder], Panel]] = {
    "image": lambda b: _image(b, "padded" if b.layer.geometry.is_padded else "image", "pixel", padded=True),
    "bare-image": lambda b: _image(b, "image", "pixel", padded=False),
    "memory": lambda b: _image(b, "memory", "address", padded=True),
    "sums": lambda b: _image(b, "sums", "sum", padded=False),
    "counts": lambda b: _image(b, "counts", "count", padded=False),
    "means": lambda b: _image(b, "means", "mean", padded=False),
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
