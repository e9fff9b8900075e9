"""Scenes by chapter: which panels, what the caption says in numbers, and the sum behind a selected cell."""

from __future__ import annotations

import json
import math
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from ..errors import ArgumentError, shown
from ..importing import importing
from ..spec.arguments import word
from .highlight import tap_ranks
from .labels import short
from .panel_builder import MOST_TERMS, PanelBuilder
from .panels import make_panel
from .plane import NOTHING, Axis, axis
from .scene import Formula, Panel, Scene
from .text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .labels import Labels
    from .pictured_layer import PicturedLayer
    from .plane import Selection
    from .separable import Factors
    from .winograd import Tiles

SIGNS = ("→", "∗", "×", "⊙", "⊗", "=", "+", "÷", "Σ")


class Chapter(NamedTuple):
    """One step of the story: a JSON file in `chapters/`, which the page reads too.

    Parameters
    ----------
    number : int
        Its place, from 1.
    scope : {"channel", "layer"}
        Whether one channel and one kernel are drawn or the whole layer.
    parts : tuple of str
        Names of panels of `panels.py`, and of the signs between them.
    needs : {"tiles", "factors"} or None
        What not every layer has: tiles of `winograd.py`, factors of `separable.py`.
    otherwise : tuple of str
        The parts where a layer lacks it; the caption says why.
    """

    number: int
    scope: Literal["channel", "layer"]
    parts: tuple[str, ...]
    needs: Literal["tiles", "factors"] | None
    otherwise: tuple[str, ...]


@cache
def chapters() -> Mapping[str, Chapter]:
    """Return the chapters by name, in their order."""
    found = {}
    for entry in (files("im2col.pictures") / "chapters").iterdir():
        if entry.name.endswith(".json"):
            written = json.loads(entry.read_text("utf-8"))
            needs, otherwise = written.get("needs"), tuple(written.get("otherwise", ()))
            chapter = Chapter(written["number"], written["scope"], tuple(written["parts"]), needs, otherwise)
            found[entry.name.removesuffix(".json")] = chapter
    return MappingProxyType(dict(sorted(found.items(), key=lambda item: item[1].number)))


def make_scene(
    layer: PicturedLayer,
    chapter: str,
    selection: Selection = NOTHING,
    *,
    channel: int = 0,
    labels: Labels = "values",
) -> Scene:
    """Return the scene of a chapter.

    Parameters
    ----------
    layer : PicturedLayer
        The whole layer.
    chapter : str
        A name out of `chapters`.
    selection : Selection
        Its filter is one of the whole layer; its tap and its pixel are those of the layer that is drawn, which has one
        channel in the chapters of that scope.
    channel : int
        The channel that is drawn there.
    labels : {"values", "letters"}

    Raises
    ------
    ArgumentError
        If there is no such chapter.
    """
    name = word(chapter)
    if name is None or name not in chapters():
        raise ArgumentError(f"chapter must be one of {tuple(chapters())}, got {shown(chapter)}")
    chapter, plan = name, chapters()[name]
    if plan.scope == "channel":
        layer = layer.one(channel, selection.filter or 0)
        selection = selection._replace(filter=None if selection.filter is None else 0)
    builder = PanelBuilder(layer, selection, labels)
    special = _special(layer, plan)
    names = list(plan.otherwise if plan.needs and not special else plan.parts)
    for at in [i for i, name in enumerate(names) if name == "×" and layer.orientation == "columns"]:
        names[at - 1], names[at + 1] = names[at + 1], names[at - 1]  # the weights stand on the left then
    make = make_panel
    if plan.needs:
        with importing:
            from .panels_fewer import make_fewer_panel as make
    parts: list[Panel | str] = [name if name in SIGNS else make(builder, name) for name in names]
    # A picture without digits is read through its patch.
    first = parts[0]
    if (
        isinstance(first, Panel)
        and first.planes[0].mode != "digits"
        and "patch" not in names
        and "image" in names
        and selection.position is not None
    ):
        parts[1:1] = ["→", make_panel(builder, "patch")]
    has_weights = "filters" in names or "weights" in names
    return Scene(
        chapter=chapter,
        layer=layer,
        selection=selection,
        steps=layer.positions,
        parts=tuple(parts),
        title=Text(f"chapter.{chapter}"),
        caption=_caption(layer, chapter, plan, special),
        counter=_counter(layer, special),
        message=_message(builder, special, has_weights=has_weights),
        formula=_formula(builder) if has_weights else None,
    )


def _special(layer: PicturedLayer, plan: Chapter) -> Tiles | Factors | None:
    """Return what a chapter needs of a layer, where it has that."""
    if plan.needs == "tiles":
        with importing:
            from .winograd import tiles_of

        return tiles_of(layer)
    if plan.needs == "factors":
        with importing:
            from .separable import factors_of

        return factors_of(layer)
    return None


def _times(sizes: Sequence[int]) -> str:
    return " × ".join(map(str, sizes))


def _caption(layer: PicturedLayer, chapter: str, plan: Chapter, special: Tiles | Factors | None) -> Text:
    if special is not None:
        return Text(f"caption.{chapter}{special.variant}", _numbers(layer) | special.numbers())
    return Text(f"without.{plan.needs}" if plan.needs else f"caption.{chapter}", _numbers(layer))


def _numbers(layer: PicturedLayer) -> dict[str, object]:
    """Return what captions may say."""
    g = layer.geometry
    turned = layer.orientation == "columns"

    def sides(*pair: int) -> str:
        return _times(pair[::-1] if turned else pair)

    matrix, weights = sides(layer.positions, layer.taps), sides(layer.taps, layer.filters)
    product = sides(layer.positions, layer.filters)
    left, right = (weights, matrix) if turned else (matrix, weights)
    row, column = Text("word.row"), Text("word.column")
    beside = Text("word.below" if turned else "word.beside")
    stops = [
        f"⌊({n} + {a + b} − {d}·({k}−1) − 1) / {s}⌋ + 1 = {o}"
        for n, (a, b), d, k, s, o in zip(
            g.spatial_shape, g.padding, g.dilation, g.kernel_size, g.stride, g.output_shape, strict=True
        )
    ]
    return {
        "positions": layer.positions,
        "taps": layer.taps,
        "group_taps": layer.group_channels * g.taps,
        "channels": layer.channels,
        "group_channels": layer.group_channels,
        "filters": layer.filters,
        "kernel": _times(g.kernel_size),
        "output": _times(g.output_shape),
        "matrix": matrix,
        "weights": weights,
        "product_shape": f"({left}) · ({right}) = ({product})",
        "line": column if turned else row,
        "result_line": row if turned else column,
        "beside": beside,
        "spatial": _times(g.spatial_shape),
        "padded": _times(g.padded_shape),
        "span": _times(g.span),
        "stride": _times(g.stride),
        "dilation": _times(g.dilation),
        "stops": "; ".join(dict.fromkeys(stops)),
    }


def _counter(layer: PicturedLayer, special: Tiles | Factors | None) -> Text:
    if special is not None:
        plain = layer.positions * layer.taps
        return Text(
            "counter.saved", {"plain": plain, "few": special.products, "ratio": short(special.products / plain)}
        )
    pixels = layer.channels * math.prod(layer.geometry.spatial_shape)
    cells = layer.positions * layer.taps
    return Text("counter", {"pixels": pixels, "cells": cells, "ratio": short(cells / pixels) if pixels else "–"})


def _place(coordinates: Sequence[int]) -> Text:
    """Return coordinates in words, counted from 1."""
    return Text(
        f"place.{len(coordinates)}", dict(zip("zyx"[-len(coordinates) :], (c + 1 for c in coordinates), strict=True))
    )


def _message(b: PanelBuilder, special: Tiles | Factors | None, *, has_weights: bool) -> Text | None:
    layer, s, g = b.layer, b.selection, b.layer.geometry
    if s.pixel is not None:
        count = special.copies(s.pixel) if special is not None else math.prod(map(len, layer.readers(s.pixel)))
        channel, *axes = (int(a) for a in layer.coordinates(np.array(s.pixel)))
        value = short(layer.pixels[s.image, s.pixel])
        if layer.is_padding(np.array(s.pixel)):
            return Text("say.padding", {"value": value, "count": count})
        number = layer.channel_numbers[channel] + 1
        return Text("say.pixel", {"place": _place(axes), "channel": number, "value": value, "count": count})
    if s.position is not None:
        place = _place([int(a) for a in np.unravel_index(s.position, g.output_shape)])
        if s.filter is not None and has_weights:
            return Text("say.output", {"place": place, "filter": layer.filter_numbers[s.filter] + 1})
        if special is not None:
            return special.told(s.position, place)
        return Text("say.position", {"number": s.position + 1, "place": place})
    if s.tap is not None:
        kernel = s.tap % g.taps if layer.tap_order == "channel-first" else s.tap // layer.channels
        tap: dict[str, object] = {
            "place": _place([int(a) for a in np.unravel_index(kernel, g.kernel_size)]),
            "channel": layer.channel_numbers[int(layer.tap_channels[s.tap])] + 1,
            "count": layer.positions,
        }
        if s.filter is not None and has_weights:
            weight = short(layer.flat_weights[s.tap, s.filter])
            return Text("say.weight", {**tap, "filter": layer.filter_numbers[s.filter] + 1, "weight": weight})
        return Text("say.tap", {**tap, "number": s.tap + 1})
    return None


def _shown_terms(count: int) -> Axis:
    return axis(count, "terms", MOST_TERMS)


def _gap(terms: Axis) -> tuple[int, int] | None:
    return (terms.gaps[0][0] + 1, terms.gaps[0][1]) if terms.gaps else None


def _formula(b: PanelBuilder) -> Formula | None:
    """Return the sum behind the selected output cell, or the products of the selected filter element."""
    s, layer = b.selection, b.layer
    if s.filter is None:
        return None
    if s.position is not None:
        taps = np.flatnonzero(tap_ranks(layer, s.filter))
        terms = _shown_terms(len(taps))
        pairs = [_factors(b, s.position, int(taps[i]), s.filter) for i in terms.shown]
        return Formula(b.cell("output", position=s.position, filter=s.filter, image=s.image), tuple(pairs), _gap(terms))
    if s.tap is not None and layer.reads(s.filter)[s.tap]:
        terms = _shown_terms(layer.positions)
        return Formula("", tuple(_factors(b, p, s.tap, s.filter) for p in terms.shown), _gap(terms))
    return None


def _factors(b: PanelBuilder, position: int, tap: int, filter_: int) -> tuple[str, str]:
    pixel = b.cell("entry", position=position, tap=tap, image=b.selection.image)
    return pixel, b.cell("weight", tap=tap, filter=filter_)
