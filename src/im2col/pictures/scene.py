"""A scene: what a picture shows, as plain data. It knows no pixels on screen, no colours and no language.

A scene is a row of panels with signs between them. A panel is an arrangement of planes, a plane is a grid of cells.
Every cell has coordinates: its pixel, position, tap, filter, image and channel, as far as it has them, each an affine
function of its row and column. What belongs together is found by comparing coordinates (`highlight.py`), so links need
no table.

docs/scene.schema.json describes `Scene.to_json`'s result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ..spec.strides import row_major
from .highlight import highlight

if TYPE_CHECKING:
    from .pictured_layer import PicturedLayer
    from .plane import Axis, Plane, Selection
    from .text import Text

SCHEMA = 1


@dataclass(frozen=True, eq=False)
class Panel:
    """An arrangement of planes that has a name.

    Parameters
    ----------
    kind : str
        Its name in the chapters.
    title, size : Text
    rows, columns : Axis
        Of planes.
    planes : tuple of Plane
        Of the shown places, row by row.
    """

    kind: str
    title: Text
    size: Text
    rows: Axis
    columns: Axis
    planes: tuple[Plane, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "kind": self.kind,
            "title": self.title.to_json(),
            "size": self.size.to_json(),
            "rows": self.rows._asdict() | {"shown": list(self.rows.shown)},
            "columns": self.columns._asdict() | {"shown": list(self.columns.shown)},
            "planes": [plane.to_json() for plane in self.planes],
        }


class Formula(NamedTuple):
    """A sum of products, in the order of the flattened patch.

    Parameters
    ----------
    result : str
        The sum, or "" for products that are not summed.
    terms : tuple of (str, str)
        The factors of each product, those that are shown.
    gap : (int, int) or None
        After how many terms some are left out, and how many.
    """

    result: str
    terms: tuple[tuple[str, str], ...]
    gap: tuple[int, int] | None


@dataclass(frozen=True, eq=False)
class Scene:
    """What one picture shows.

    Parameters
    ----------
    chapter : str
    layer : PicturedLayer
        The convolution that is drawn, one channel and one kernel of it in the article's first steps.
    selection : Selection
        What is highlighted.
    steps : int
        Positions that the selection can step through.
    parts : tuple of Panel and str
        Panels, and the signs between them.
    title, caption, counter : Text
        The chapter's name, what it says in numbers, and the price.
    message : Text or None
        What the selection shows, in words.
    formula : Formula or None
        The sum behind the selected output cell, or the products of the selected filter element.
    """

    chapter: str
    layer: PicturedLayer
    selection: Selection
    steps: int
    parts: tuple[Panel | str, ...]
    title: Text
    caption: Text
    counter: Text
    message: Text | None
    formula: Formula | None

    @property
    def panels(self) -> tuple[Panel, ...]:
        """The parts without the signs."""
        return tuple(part for part in self.parts if isinstance(part, Panel))

    def to_json(self) -> dict[str, Any]:
        """Return the scene as plain data, which ``json.dumps`` takes.

        Returns
        -------
        dict
            As docs/scene.schema.json says. Links follow from coordinates: the matrix entry (position, tap) shows the
            pixel ``index_map["positions"][…] + index_map["taps"][…]``, both given as shapes and strides.
        """
        layer, g = self.layer, self.layer.geometry
        pixel_strides = row_major(layer.padded_shape)
        lit = []
        for panel in self.panels:
            for plane in panel.planes:
                light = highlight(layer, plane, self.selection)
                lit.append({"level": light.level.tolist(), "order": light.order.tolist()})
        tap_strides = [pixel_strides[0], *g.tap_strides(pixel_strides[1:])]
        tap_shape = [layer.channels, *g.kernel_size]
        if layer.tap_order == "channel-last":
            tap_strides, tap_shape = [*tap_strides[1:], tap_strides[0]], [*tap_shape[1:], tap_shape[0]]
        return {
            "schema": SCHEMA,
            "chapter": self.chapter,
            "layer": {
                "batch": layer.batch,
                "channels": layer.channels,
                "filters": layer.filters,
                "groups": layer.groups,
                "spatial_shape": list(g.spatial_shape),
                "kernel_size": list(g.kernel_size),
                "stride": list(g.stride),
                "padding": [list(pair) for pair in g.padding],
                "dilation": list(g.dilation),
                "padding_mode": layer.padding_mode,
                "output_shape": list(g.output_shape),
                "orientation": layer.orientation,
                "tap_order": layer.tap_order,
                "memory": layer.memory,
            },
            "index_map": {
                "positions": {
                    "shape": list(g.output_shape),
                    "strides": list(g.position_strides(pixel_strides[1:])),
                },
                "taps": {"shape": tap_shape, "strides": tap_strides},
            },
            "selection": self.selection._asdict(),
            "steps": self.steps,
            "parts": [part if isinstance(part, str) else part.to_json() for part in self.parts],
            "lit": lit,
            "title": self.title.to_json(),
            "caption": self.caption.to_json(),
            "counter": self.counter.to_json(),
            "message": None if self.message is None else self.message.to_json(),
            "formula": None
            if self.formula is None
            else {
                "result": self.formula.result,
                "terms": [list(term) for term in self.formula.terms],
                "gap": None if self.formula.gap is None else list(self.formula.gap),
            },
        }
