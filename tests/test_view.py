"""The view that tiles walk: axes that are one are merged, steps are told in elements, layouts give the order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from im2col.algorithms.implicit.view import Copy, memory_order, view_of
from im2col.spec.geometry import Geometry

from .kit.layers import Case, problem_of

PLANES = Geometry((4, 5, 6), (1, 1, 1), (1, 1, 1), ((0, 0),) * 3, (1, 1, 1))
X, Y = (480, 480, 120, 24, 4), (960, 960, 240, 48, 8)
"""Steps in bytes of dense arrays (N, 1, 4, 5, 6), of 4 and of 8 bytes an element."""


def test_axes_that_are_one_are_merged() -> None:
    """A window of one pixel that neither skips nor pads walks a dense volume as one long row."""
    view = view_of(PLANES, 4, X, 8, Y)
    assert (view.geometry.spatial_shape, view.geometry.output_shape) == ((120,), (120,))
    assert (view.pixel, view.out_position, view.spread) == ((4,), (8,), 1)
    assert (view.image, view.channel, view.out_image, view.out_filter) == (480, 480, 960, 960)


@pytest.mark.parametrize(
    ("changed", "x", "y", "spatial_shape"),
    [
        ({"kernel_size": (1, 1, 2)}, X, Y, (4, 5, 6)),
        ({"kernel_size": (1, 3, 1)}, X, Y, (4, 30)),
        ({"stride": (1, 1, 2)}, X, Y, (4, 5, 6)),
        ({"stride": (1, 2, 1)}, X, Y, (4, 5, 6)),
        ({"stride": (2, 1, 1)}, X, Y, (4, 30)),
        ({"padding": ((0, 0), (0, 0), (0, 1))}, X, Y, (4, 5, 6)),
        ({"padding": ((0, 0), (1, 0), (0, 0))}, X, Y, (4, 5, 6)),
        ({"padding": ((1, 0), (0, 0), (0, 0))}, X, Y, (4, 30)),
        ({}, (480, 480, 120, 28, 4), Y, (4, 5, 6)),
        ({}, X, (960, 960, 240, 56, 8), (4, 5, 6)),
        ({}, (480, 480, 124, 24, 4), Y, (4, 30)),
    ],
)
def test_axes_that_are_not_one_stay(
    changed: dict[str, Any], x: tuple[int, ...], y: tuple[int, ...], spatial_shape: tuple[int, ...]
) -> None:
    """Where the window reaches over a row's end, pads it, or skips pixels, or where a row has a gap behind it."""
    view = view_of(replace(PLANES, **changed), 4, x, 8, y)
    assert view.geometry.spatial_shape == spatial_shape
    assert len(view.pixel) == len(view.out_position) == len(spatial_shape)


@pytest.mark.parametrize(("kernel", "ndim"), [((1, 1, 1), 1), ((2, 1, 1), 3), ((1, 2, 1), 3), ((3, 1, 1), 3)])
def test_axes_of_several_taps_stay_where_sums_have_one_order(kernel: tuple[int, ...], ndim: int) -> None:
    """Tiles of fewer axes would take the taps in another order than those of a chunk whose axes are not one."""
    view = view_of(replace(PLANES, kernel_size=kernel), 4, X, 8, Y, fixed=True)
    assert view.geometry.ndim == ndim


def test_a_merged_dilation_counts_pixels() -> None:
    """Rows that are two apart are two rows' pixels apart."""
    tall = Geometry((5, 6), (2, 1), (1, 1), ((0, 0), (0, 0)), (2, 1))
    view = view_of(tall, 4, (120, 120, 24, 4), 4, (72, 72, 24, 4))
    assert (view.geometry.spatial_shape, view.geometry.dilation, view.geometry.output_shape) == ((30,), (12,), (18,))


@pytest.mark.parametrize(
    ("step", "size", "spread"), [(1, 1, 1), (4, 4, 1), (24, 8, 3), (-4, 4, 0), (0, 4, 0), (6, 4, 0), (2, 4, 0)]
)
def test_steps_of_the_result(step: int, size: int, spread: int) -> None:
    """Whole elements onwards; 0 for backwards, on the spot, and between elements."""
    row = Geometry((9,), (3,), (1,), ((0, 0),), (1,))
    assert view_of(row, 4, (36, 36, 4), size, (99, 99, step)).spread == spread


@pytest.mark.parametrize(
    ("layout", "order"),
    [
        ("NCHW", (0, 1, 2, 3)),
        ("NHWC", (0, 2, 3, 1)),
        ("CHWN", (0, 1, 2, 3)),
        ("HCW", (0, 2, 1, 3)),
        ("HW", (0, 1, 2, 3)),
        ("NW", (0, 1, 2)),
    ],
)
def test_the_order_of_axes_in_memory(layout: str, order: tuple[int, ...]) -> None:
    """The batch first, channels that are not there second."""
    sizes = (5, 7)[: sum(axis not in "NC" for axis in layout)]
    assert memory_order(problem_of(Case(sizes, (1,) * len(sizes), layout=layout), "float32")) == order


@pytest.mark.parametrize(
    ("nbytes", "batch", "expected"), [(1, 9, 9), (1000, 999, 256), (65537, 9, 3), (1 << 30, 9, 1), (64, 1, 1)]
)
def test_small_images_are_copied_together(nbytes: int, batch: int, expected: int) -> None:
    """As many as 256 KB hold in whole lines of the cache, but no more than there are, and one at least."""
    copy = Copy((nbytes,), (1,), nbytes, np.dtype(np.uint8), (), 0, 0, "", (), np.dtype(np.uint8))
    assert copy.pitch % 64 == 0 <= copy.pitch - nbytes < 64
    assert copy.images(batch) == expected
