"""Rows of tiles in the implicit GEMM: which tiles there are, and which taps each of their positions sees."""

from __future__ import annotations

import itertools

from hypothesis import example, given
from hypothesis import strategies as st

from im2col.algorithms.implicit.borders import tile_runs

from .kit.oracles import Window
from .kit.strategies import geometry, windows


def seen(window: Window, column: int, size: int) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """Return the taps of a tile by the positions that see the image through them, tap by tap."""
    masks: dict[int, list[int]] = {}
    for tap in range(window.kernel_size[-1]):
        stops = window.stops[-1][column : column + size]
        mask = sum(1 << m for m, stop in enumerate(stops) if 0 <= stop[tap] < window.spatial_shape[-1])
        if mask:
            masks.setdefault(mask, []).append(tap)
    return tuple((mask, tuple(taps)) for mask, taps in masks.items())


@example(Window((3,), (2,), (1,), ((8, 8),), (8,)), 1)  # tiles of one tap, of none, and of the other
@given(windows(), st.integers(1, 5))
def test_runs_of_tiles(window: Window, most: int) -> None:
    """They cover a row from its start to its end, say what each tile sees, and gather all neighbours that are alike."""
    column, runs = 0, tile_runs(geometry(window), most)
    for run in runs:
        assert run.column == column
        assert 1 <= run.positions <= most
        assert run.tiles >= 1
        for _ in range(run.tiles):
            assert tuple(each[:2] for each in run.segments) == seen(window, column, run.positions)
            column += run.positions
    assert column == window.output_shape[-1]
    assert all(a[1:3] != b[1:3] for a, b in itertools.pairwise(runs))
