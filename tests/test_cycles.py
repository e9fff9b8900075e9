"""The model by which tiles are compared: what it must tell apart, on named CPUs."""

from __future__ import annotations

import numpy as np
import pytest

from im2col import conv1d
from im2col.algorithms.implicit.decide import decide
from im2col.algorithms.implicit.tiles import cycles
from im2col.algorithms.implicit.tiles.filters import FilterShape
from im2col.engine.target import NAMED
from im2col.spec.problem import make_problem


def _tile(filters: int, taps: int, target: str) -> FilterShape:
    """Return the tile for a signal whose channels lie side by side."""
    dtype = np.dtype(np.float32)
    problem = make_problem((1, 4000, 1), (filters, 1, taps), dtype, dtype, stride=5, layout="NWC")
    shape = decide(problem, NAMED[target]).tile.shape
    assert isinstance(shape, FilterShape)
    return shape


@pytest.mark.parametrize("target", ["avx512", "zen4", "avx2", "zen3"])
@pytest.mark.parametrize("filters", [512, 1024, 1536])
def test_few_positions_where_results_meet_in_few_sets(target: str, filters: int) -> None:
    """Positions of the result that lie whole pages, or halves of them, apart: each gets many filters at a time."""
    tile = _tile(filters, 10, target)
    assert tile.positions <= 6
    assert tile.vectors >= 3


@pytest.mark.parametrize("target", ["avx512", "avx2"])
def test_many_taps_hide_where_results_lie(target: str) -> None:
    """A tile of hundreds of taps has time to store."""
    assert _tile(512, 500, target).positions > _tile(512, 10, target).positions


def test_few_taps_write_many_filters_at_a_time() -> None:
    """Each visit to a position costs, which hundreds of products pay for and sixteen do not."""
    dtype, tiles = np.dtype(np.float32), []
    for channels in (16, 256):
        problem = make_problem((1, 55, 55, channels), (64, channels, 1, 1), dtype, dtype, layout="NHWC")
        tiles.append(decide(problem, NAMED["avx512"]).tile.shape)
    few, many = tiles
    assert isinstance(few, FilterShape)
    assert isinstance(many, FilterShape)
    assert few.vectors > many.vectors


def test_lines_that_meet() -> None:
    """By hand: 64 sets of 12 lines, as Zen 5 has; 4 KB are one set, 2 KB two, and 30 lines half of all."""
    zen5 = NAMED["avx512"]._replace(caches=(48 << 10, 1 << 20, 8 << 20))
    found = [cycles.colliding(step, 6, zen5) / cycles.colliding(4096, 6, zen5) for step in (4096, 2048, 1920, 64)]
    assert found[0] == 1
    assert 0 < found[1] < 0.5
    assert found[2:] == [0, 0]


@pytest.mark.parametrize("filters", [512, 1024])
def test_results_that_meet_in_few_sets(filters: int) -> None:
    """Small integers: every sum is exact."""
    random = np.random.default_rng(filters)
    x = random.integers(-4, 5, (2, 203, 1)).astype(np.float32)
    w = random.integers(-4, 5, (filters, 1, 10)).astype(np.float32)
    out = np.full((2, 39, filters), np.nan, np.float32)
    conv1d(x, w, stride=5, layout="NWC", out=out)
    windows = np.stack([x[:, i * 5 : i * 5 + 10, 0] for i in range(39)], axis=1)
    np.testing.assert_array_equal(out, windows @ w[:, 0].T)
