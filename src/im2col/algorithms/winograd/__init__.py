"""Winograd's algorithm: tiles of an image and filters are evaluated at some points, and multiplied point by point.

The transforms are those of `cook_toom`, of exact fractions, `along_axes`; all the rest is `tiled`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...importing import importing
from ..tiled import Tiled

if TYPE_CHECKING:
    from ..tiled.transform import Family


class Winograd(Tiled):
    """Tiles, through the engine: windows of 3 or 5 taps along an axis, stride 1, floats."""

    name = "winograd"

    def family(self) -> Family:
        """Return F(m, r) along each axis."""
        with importing:
            from .along_axes import FAMILY

        return FAMILY


ALGORITHM = Winograd()
