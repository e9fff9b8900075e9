"""Which thread has which tiles of a layer."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from im2col.algorithms.tiled.decide import decide
from im2col.algorithms.tiled.tiling import shared, tiles_of
from im2col.algorithms.winograd.along_axes import FAMILY
from im2col.engine.target import NAMED
from im2col.spec.problem import make_problem

Box = tuple[slice, ...]


def test_boxes_are_neighbours_in_tasks_of_about_as_many_tiles() -> None:
    """All boxes, once and in order; none is alone where one is most of the work."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        sizes = rng.integers(1, 9, rng.integers(1, 12))
        boxes: list[Box] = [(slice(0, int(n)),) for n in sizes]
        for threads in range(1, 7):
            tasks = shared(boxes, threads)
            assert [box for task in tasks for box in task] == boxes
            assert 1 <= len(tasks) <= threads
            assert all(tasks)
            assert max(sum(map(tiles_of, task)) for task in tasks) <= sizes.sum() / threads + sizes.max()


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("channels", [(16, 64), (64, 64), (128, 128), (24, 96)])
def test_two_threads_have_the_same_work(channels: tuple[int, int], layout: str) -> None:
    """Of maps that networks have, no thread is given a sixth more tiles than the other."""
    c, f = channels
    for side, target in itertools.product((27, 28, 54, 55, 56, 112), ("avx2", "avx512")):
        shape = (1, c, side, side) if layout == "NCHW" else (1, side, side, c)
        problem = make_problem(
            shape, (f, c, 3, 3), np.dtype("f4"), np.dtype("f4"), padding=1, layout=layout, prepared=True
        )
        found, _ = decide(problem, FAMILY, NAMED[target], 2)
        first, second = (sum(map(tiles_of, task)) for task in shared(found.boxes, 2))
        assert max(first, second) * 2 <= 1.15 * found.tiles
