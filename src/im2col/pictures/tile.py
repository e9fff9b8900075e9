"""The register tile of a microkernel: MR positions down, NV vectors of VL filters across."""

from __future__ import annotations

import numpy as np

from .panel_builder import PanelBuilder
from .pictured_layer import make_pictured_layer
from .plane import Axis, Selection
from .scene import Panel, Scene
from .text import Text


def tile_scene(positions: int, vectors: int, lanes: int) -> Scene:
    """Return what a tile does at one tap: pixels on the left times weights above, added to the sums between them.

    That is a layer of one tap, MR pixels and NV × VL filters. The second pixel is looked at, which meets all weights.

    Parameters
    ----------
    positions : int
        MR.
    vectors : int
        NV.
    lanes : int
        VL.
    """
    filters = vectors * lanes
    layer = make_pictured_layer(np.zeros((1, positions)), np.zeros((filters, 1, 1)))
    selection = Selection(position=min(1, positions - 1))
    builder = PanelBuilder(layer, selection, "letters")
    one = Axis(1, (0,), "rows")
    down = Axis(positions, tuple(range(positions)), "rows")
    across = Axis(lanes, tuple(range(lanes)), "columns")
    weights, sums = [], []
    for v in range(vectors):
        filter_ = {"filter": (v * lanes, 0, 1)}
        label = (Text("tile.vector", {"number": v + 1}),)
        weights.append(builder.plane("weight", (0, 1 + v), label, one, across, {"tap": (0, 0, 0), **filter_}))
        steps = {"image": (0, 0, 0), "position": (0, 1, 0), **filter_}
        sums.append(builder.plane("output", (1, 1 + v), (), down, across, steps))
    pixels = builder.plane("pixel", (1, 0), (), down, one, {"image": (0, 0, 0), "pixel": (0, 1, 0)})
    shape = f"{positions} × {vectors} × {lanes}"
    panel = Panel(
        kind="tile",
        title=Text("tile.panel"),
        size=Text("size", {"shape": shape}),
        rows=Axis(2, (0, 1), "rows"),
        columns=Axis(1 + vectors, tuple(range(1 + vectors)), "columns"),
        planes=(*weights, pixels, *sums),
    )
    numbers = {"positions": positions, "vectors": vectors, "lanes": lanes, "filters": filters}
    return Scene(
        chapter="tile",
        layer=layer,
        selection=selection,
        steps=positions,
        parts=(panel,),
        title=Text("tile.title"),
        caption=Text("tile.caption", {**numbers, "products": positions * filters, "sums": positions * vectors}),
        counter=Text("tile.counter", numbers),
        message=Text("tile.told"),
        formula=None,
    )
