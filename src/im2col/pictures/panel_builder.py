"""What every panel is built with: planes of cells from their coordinates, and axes that hide what is too long."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..importing import importing
from ..memory import lazy
from .labels import letter, short
from .plane import Axis, Plane, axis
from .text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from .labels import Labels
    from .pictured_layer import PicturedLayer
    from .plane import Mode, Selection
    from .separable import Factors
    from .winograd import Tiles

    Steps = dict[str, tuple[int, int, int]]

LONGEST_AXIS = 48
"""Rows or columns of a table that are shown whole."""
MOST_READERS = 9
"""Positions or tiles that read a selected pixel and are kept in sight."""
MOST_PLANES = 8
"""Channels, slices, images or filters that are shown whole."""
MOST_TERMS = 12
"""Products that a formula lists whole."""


@dataclass
class PanelBuilder:
    """Makes the panels of one scene.

    Parameters
    ----------
    layer : PicturedLayer
    selection : Selection
        What elision must not hide.
    labels : {"values", "letters"}
    """

    layer: PicturedLayer
    selection: Selection
    labels: Labels = "values"
    _computed: dict[str, NDArray[Any]] = field(default_factory=dict)

    def cell(self, what: str, **coordinates: int) -> str:
        """Return the label of one cell by its coordinates."""
        one = Axis(1, (0,), "")
        steps = {name: (at, 0, 0) for name, at in coordinates.items()}
        return str(np.asarray(self.plane(what, (0, 0), (), one, one, steps).text)[0, 0])

    @lazy
    def tiles(self) -> Tiles:
        """The layer's tiles, in chapters that are drawn only where it has some."""
        with importing:
            from .winograd import Tiles

        return Tiles(self.layer)

    @lazy
    def factors(self) -> Factors:
        """The kernel's factors, in chapters that are drawn only where it has some."""
        with importing:
            from .separable import Factors

        return Factors(self.layer)

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
            _coloured(np.where(blank, 0, values)),
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
        if what == "tile-entry":
            return self.tiles.pixel(c["tile"], c["element"])
        return self.factors.pixel(c["place"], c["down"]) if what == "factor-entry" else None

    def _values(self, what: str, c: dict[str, NDArray[np.int64]]) -> Any:
        layer = self.layer
        pixel = self._pixels_of(what, c)
        if what in {"pixel", "tile-pixel", "entry"}:
            return layer.pixels[c["image"], pixel]
        if what.startswith(("tile-", "factor-")):
            with np.errstate(over="ignore", invalid="ignore"):
                return (self.tiles if what.startswith("tile-") else self.factors).value(what, c)
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
        if what == "tile-result":
            return np.broadcast_to(self.tiles.position(c["tile"], c["result"]) < 0, shape)
        pixel = self._pixels_of(what, c)
        if pixel is None:
            return np.zeros(shape, bool)
        beyond = pixel < 0  # a tile may reach beyond the padding
        return np.broadcast_to(beyond | self.layer.is_padding(np.where(beyond, 0, pixel)), shape)

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
        found = self._pixels_of(what, {name: np.array(at) for name, at in cell.items()})
        if found is not None and found >= 0 and what not in {"address", "entry-address", "count"}:
            channel, *padded = (int(a) for a in np.unravel_index(found, layer.padded_shape))
            axes = [int(source[at]) for source, at in zip(layer.axis_sources, padded, strict=True)]
            if any(a >= n for a, n in zip(axes, g.spatial_shape, strict=True)):
                return ""
            count = layer.counts[tuple(axes)]
            if what in {"sum", "mean"} and count == 0:
                return ""
            number = layer.channel_numbers[channel]
            name = letter("x", (cell["image"], number, *axes), (layer.batch, layer.channels, *g.spatial_shape))
            return f"{count}·{name}" if what == "sum" else name
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

    # Axes.

    def positions(self, unit: str, limit: int = LONGEST_AXIS) -> Axis:
        """Return the positions as an axis of a table."""
        return axis(self.layer.positions, unit, limit, [self.selection.position, *self._readers()])

    def _readers(self) -> list[int]:
        """Return the positions that read the selected pixel, if they are few."""
        pixel = self.selection.pixel
        return [] if pixel is None else few(self.layer.readers(pixel), self.layer.geometry.output_shape)

    def taps(self, unit: str) -> Axis:
        """Return all taps as an axis of a table, in sight those whose products the formula lists."""
        return axis(self.layer.taps, unit, LONGEST_AXIS, [self.selection.tap, *self._listed()])

    def _listed(self) -> list[int]:
        """Return the taps that the formula lists; of one group, they are the axis's ends."""
        if self.selection.filter is None or self.layer.groups == 1:
            return []
        read = np.flatnonzero(self.layer.reads(self.selection.filter))
        return [int(read[i]) for i in axis(len(read), "terms", MOST_TERMS).shown]

    def kernel_taps(self, unit: str, chosen: int | None) -> Axis:
        """Return one channel's taps as an axis of a table."""
        return axis(self.layer.geometry.taps, unit, LONGEST_AXIS, [chosen])

    def filter_axis(self, unit: str, limit: int) -> Axis:
        """Return the filters as an axis."""
        return axis(self.layer.filters, unit, limit, [self.selection.filter])

    def channel_axis(self) -> Axis:
        """Return the channels as an axis of planes."""
        return axis(self.layer.channels, "channels", MOST_PLANES, [self.chosen_channel()])

    def chosen_channel(self) -> int | None:
        """Return the channel of the selected pixel or tap, or the first that the selected filter reads."""
        if self.selection.pixel is not None:
            return self.selection.pixel // math.prod(self.layer.padded_shape[1:])
        if self.selection.tap is not None:
            return int(self.layer.tap_channels[self.selection.tap])
        return None if self.selection.filter is None else self.layer.first_channel(self.selection.filter)

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


def few(readers: Sequence[NDArray[np.int64]], shape: tuple[int, ...]) -> list[int]:
    """Return positions or tiles by their numbers, of which each axis's are given; none where they are many."""
    axes = [np.unique(found) for found in readers]
    if not 0 < math.prod(map(len, axes)) <= MOST_READERS:
        return []
    return [int(n) for n in np.ravel_multi_index(np.meshgrid(*axes, indexing="ij"), shape).reshape(-1)]


def _coloured(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return values as colours tell them: complex ones by their modulus, what is beyond float64 as infinite."""
    with np.errstate(over="ignore"):
        return (np.abs(values) if np.iscomplexobj(values) else values).astype(np.float64)
