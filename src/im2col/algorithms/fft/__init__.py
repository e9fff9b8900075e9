"""Convolution in the frequency domain: tiles of an image and filters become spectra, multiplied frequency by frequency.

The spectra of tiles are made and unmade by `passes` over their axes, whose lines are `butterflies`; `spectra` knows
what there is of them. All the rest is `tiled`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...importing import importing
from ..tiled import Tiled

if TYPE_CHECKING:
    from ..tiled.transform import Family


class Fourier(Tiled):
    """Tiles, through the engine: windows of up to 16 taps along an axis, stride 1, floats."""

    name = "fft"

    def family(self) -> Family:
        """Return spectra of tiles of several sizes."""
        with importing:
            from .spectra import FAMILY

        return FAMILY


ALGORITHM = Fourier()
