"""How many bytes tables take, while they are made too, before there are any: at most, and not far from it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .borders import inside, pieces_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...spec.geometry import Geometry
    from .borders import Run
    from .view import View

_WORD = 8
_ROW = 3 * _WORD
_SPAN = 2 * _WORD
_MAPPED_SPAN = 4 * _WORD
"""With what it is made of."""
_RUN_BYTES = 6 << 10
"""Of a run's job and of the objects around its tables."""


def row_tables_bytes(view: View, runs: Iterable[Run]) -> int:
    """Return the bytes of the tables of `row_tables` for all runs, with what is needed to make them."""
    g = view.geometry
    lead, classes, spans, span = math.prod(g.output_shape[:-1]), _classes(g), _rows_seen(g), _SPAN
    if view.maps:
        spans, span = math.prod(g.kernel_size[:-1]), _MAPPED_SPAN
    total, most = 0, 0
    for run in runs:
        pieces, rest = pieces_of(run, lead)
        held = lead * (pieces + rest) * _ROW
        total += held + classes * len(run.segments) * (spans + 1) * span + _RUN_BYTES
        most = max(most, held)
    return total + most + 8 * lead * _WORD


def ragged_bytes(g: Geometry, borders: Iterable[tuple[int, int]], size: int) -> int:
    """Return the bytes of the tables of `ragged_runs`, with what is needed to make them."""
    lead, classes = math.prod(g.output_shape[:-1]), _classes(g)
    tiles = sum((stop - first) // size + (stop - first) % size for first, stop in borders)
    if not tiles:
        return 0
    window = classes * _rows_seen(g) + math.prod(g.kernel_size[:-1])
    made = lead * tiles * _ROW + (classes + 2 * size + 1) * tiles * _SPAN + (window + 2 * classes) * _WORD
    return 3 * made + 4 * lead * _WORD + 2 * _RUN_BYTES


def _rows_seen(g: Geometry) -> int:
    """Return how many rows of a window meet the image at most."""
    seen = (min(k, -(-n // d)) for k, n, d in zip(g.kernel_size, g.spatial_shape, g.dilation, strict=True))
    return math.prod(list(seen)[:-1])


def _classes(g: Geometry) -> int:
    """Return of how many kinds the rows of the map are at most: those at a border, and those away from it."""
    kinds = 1
    for axis, stops in enumerate(g.output_shape[:-1]):
        first, stop = inside(g, axis)
        kinds *= min(stops, stops - (stop - first) + 1)
    return kinds
