"""The main job: a bank of filters over a photograph, by every algorithm, checked against NumPy alone."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import dataclass
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .algorithms import registry
from .contact_sheet import Tile, write_contact_sheet
from .costs import cost
from .engine.host import format_bytes
from .errors import PhotoError
from .image_files import read_photo
from .kernels import KERNELS
from .plans import plan
from .transform import im2col, weight_matrix

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from numpy.typing import NDArray

    from .costs import Cost
    from .kernels import Kernel

STRIDE, PADDING, SIZE = 2, 2, 5
"""Of the layer: every named kernel fits 5 × 5 taps."""
_CROP = 24
"""Side of what the plain loops convolve."""
_REPEAT_SECONDS = 0.3


@dataclass(frozen=True)
class Way:
    """How one way to compute the layer went.

    Parameters
    ----------
    name : str
        The algorithm, and what it convolved.
    seconds : float
        The best of several runs.
    planned_bytes : int or None
        The workspace that the plan foresaw.
    measured_bytes : int
        The most that was allocated at once while it ran, the result included.
    difference : float
        The greatest from NumPy's result.
    tolerance : float
        How great it may be.
    """

    name: str
    seconds: float
    planned_bytes: int | None
    measured_bytes: int
    difference: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the difference is within the tolerance; a NaN is not."""
        return self.difference <= self.tolerance


@dataclass(frozen=True)
class Report:
    """What the demo found.

    Parameters
    ----------
    photo : str
        What was convolved.
    kernels : tuple of str
        The names of the bank.
    cost : Cost
        Of the layer.
    ways : tuple of Way
        One an algorithm, then the whole matrix, then NumPy's own.
    sheet : Path
        The contact sheet.
    """

    photo: str
    kernels: tuple[str, ...]
    cost: Cost
    ways: tuple[Way, ...]
    sheet: Path

    @property
    def passed(self) -> bool:
        """Whether every way agrees with NumPy."""
        return all(way.passed for way in self.ways)

    def __str__(self) -> str:
        positions, taps = self.cost.matrix_shape
        maps, height, width = self.cost.output_shape
        rows = [("way", "time", "planned", "measured", "difference", "")]
        rows += [
            (
                way.name,
                f"{way.seconds * 1e3:.1f} ms",
                "" if way.planned_bytes is None else format_bytes(way.planned_bytes),
                format_bytes(way.measured_bytes),
                f"{way.difference:.1e}",
                "ok" if way.passed else f"WRONG: more than {way.tolerance:.1e}",
            )
            for way in self.ways
        ]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        table = [
            "  ".join(
                [row[0].ljust(widths[0]), *(v.rjust(w) for v, w in zip(row[1:-1], widths[1:-1], strict=True)), row[-1]]
            )
            for row in rows
        ]
        return "\n".join(
            (
                f"photograph     {self.photo}",
                f"layer          {len(self.kernels)} kernels × 3 channels = {maps} filters of 3 × {SIZE} × {SIZE}, "
                f"stride {STRIDE}, padding {PADDING}",
                f"               {', '.join(self.kernels)}",
                f"output         {maps} maps of {width} × {height}",
                f"column matrix  {positions} positions × {taps} taps, {format_bytes(self.cost.matrix_bytes)} of float32; "
                f"each pixel {self.cost.duplication:.3g} times",
                f"work           {self.cost.flops / 1e9:.3g} GFLOP",
                "",
                *(line.rstrip() for line in table),
                "",
                "time: the best of several runs; planned: workspace beside the result; measured: with the result.",
                "difference: the greatest from NumPy's sliding_window_view and einsum in float64, of values up to "
                f"{255 * 8}.",
                f"tolerance: {self.ways[0].tolerance:.1e}, what {taps} float32 products and sums can lose.",
                "",
                f"contact sheet  {self.sheet}",
            )
        )
