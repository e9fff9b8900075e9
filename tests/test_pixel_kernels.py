"""Pixels to planes and sums to pixels: kernels and NumPy, against loops that convert a plane at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from im2col.photo import pixel_kernels
from im2col.photo.pixel_kernels import as_pixels, as_planes

from .kit.photographs import RNG

WIDTHS = (1, 7, 8, 9, 16, 37)


@pytest.fixture(params=[True, False], ids=["engine", "NumPy"])
def _engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test with the kernels, and without."""
    if not request.param:
        monkeypatch.setattr(pixel_kernels, "load", lambda _: None)


@pytest.mark.usefixtures("_engine")
@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("pixel", ["u1", "u2"])
@pytest.mark.parametrize("number", ["f4", "f8"])
def test_pixels_become_planes(count: int, pixel: str, number: str) -> None:
    """Within larger arrays, of which no other number is written."""
    for width in WIDTHS:
        pixels = RNG.integers(0, np.iinfo(pixel).max + 1, (5, width, count)).astype(pixel)
        room = np.full((count, 7, width + 3), -1, number)
        expected = room.copy()
        for plane in range(count):
            expected[plane, 1:6, 2 : 2 + width] = pixels[:, :, plane]
        as_planes(pixels, room[:, 1:6, 2 : 2 + width])
        np.testing.assert_array_equal(room, expected)


@pytest.mark.usefixtures("_engine")
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("pixel", ["u1", "u2"])
@pytest.mark.parametrize("number", ["f4", "f8"])
@pytest.mark.parametrize(("divisor", "signed"), [(1, False), (1, True), (3, False), (16, True)])
def test_sums_become_pixels(count: int, pixel: str, number: str, divisor: int, signed: bool) -> None:
    """Halves go to the even neighbour, what is beyond the range to its end; rows below and above are not written."""
    greatest = int(np.iinfo(pixel).max)
    offset = (greatest + 1) // 2 if signed else 0
    for width in WIDTHS:
        halves = RNG.integers(-9, 3 * greatest * divisor, (count, 5, width))
        sums: Any = (halves / 2).astype(number)
        room = np.full((7, width, count), 7, pixel)
        expected = room.copy()
        quotients = (sums / np.dtype(number).type(divisor)).astype("f4") + np.float32(offset)
        expected[1:6] = np.moveaxis(np.clip(np.rint(quotients), 0, greatest), 0, -1)
        as_pixels(sums, room[1:6], divisor=divisor, offset=offset, maximum=greatest)
        np.testing.assert_array_equal(room, expected)
