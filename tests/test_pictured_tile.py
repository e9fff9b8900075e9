"""The picture of a register tile: its cells, and what is lit."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import numpy as np
import pytest

from im2col.pictures.highlight import highlight
from im2col.pictures.svg import draw
from im2col.pictures.tile import tile_scene

from .kit.outcomes import require


@pytest.mark.parametrize("tile", [(6, 2, 8), (14, 2, 16), (1, 1, 4), (28, 1, 16)])
def test_a_tile_is_pixels_times_weights(tile: tuple[int, int, int]) -> None:
    """MR pixels, NV vectors of VL weights above NV blocks of sums; one pixel meets all of them."""
    positions, vectors, lanes = tile
    scene = tile_scene(*tile)
    (panel,) = scene.panels
    shapes = [(plane.what, plane.shape) for plane in panel.planes]
    weights, sums = [("weight", (1, lanes))] * vectors, [("output", (positions, lanes))] * vectors
    assert shapes == [*weights, ("pixel", (positions, 1)), *sums]
    names = [np.asarray(plane.text).ravel().tolist() for plane in panel.planes[:vectors]]
    assert [name for each in names for name in each] == [f"w{f}" for f in range(vectors * lanes)]
    lit = [int(highlight(scene.layer, plane, scene.selection).level.any(axis=1).sum()) for plane in panel.planes]
    assert lit == [0] * vectors + [1] * (1 + vectors)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_it_is_drawn_in_every_language(lang: str) -> None:
    """Its numbers stand in the words; all cells lie within the picture."""
    require("PIL.Image")
    root = ET.fromstring(draw(tile_scene(14, 2, 16), lang=lang))  # noqa: S314 (we have just written it)
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert any("MR = 14" in str(text) for text in texts)
    assert texts.count("y31,13") == 1
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    for element in root.iter():
        if element.tag.endswith("rect") and "x" in element.attrib:
            x, y, w, h = (float(element.attrib[name]) for name in ("x", "y", "width", "height"))
            assert 0 <= x < x + w <= width
            assert 0 <= y < y + h <= height
