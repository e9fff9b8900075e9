"""Pictures side by side, each with its caption: one PNG file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import named
from ..files import replacing
from .libraries import pillow

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import NDArray

COLUMNS = 4
_MARGIN, _GAP = 28, 22
_HEAD, _CAPTION = 70, 46
_ICON = 30
_PAPER, _INK, _FAINT, _LINE = (255, 255, 255), (32, 36, 44), (112, 118, 128), (214, 218, 224)
_POSITIVE, _NEGATIVE = np.array((22, 110, 160)), np.array((222, 110, 30))


@dataclass(frozen=True, eq=False)
class Tile:
    """A picture and its caption.

    Parameters
    ----------
    picture : ndarray, (H, W, 3), uint8
    name, remark : str
        The caption's two lines.
    weights : ndarray, (kh, kw), optional
        The kernel that made it, drawn beside the caption.
    """

    picture: NDArray[np.uint8]
    name: str
    remark: str
    weights: NDArray[np.float64] | None = None


@named
def write_contact_sheet(
    path: str | os.PathLike[str], title: str, remark: str, tiles: Sequence[Tile], *, force: bool = False
) -> None:
    """Write a sheet of pictures as a PNG file, whole or not at all.

    Parameters
    ----------
    path : path-like
        Where to.
    title, remark : str
        The two lines at the head.
    tiles : sequence of Tile
        In reading order. All are drawn at the size of the last; a greater picture is scaled down.
    force : bool
        Replace a file that exists.

    Raises
    ------
    FileError
        If the file cannot be written.
    MissingExtraError
        If Pillow is not installed.
    """
    pil = pillow()
    from PIL import ImageDraw, ImageFont

    height, width = tiles[-1].picture.shape[:2]
    rows = -(-len(tiles) // COLUMNS)
    sheet = pil.Image.new(
        "RGB",
        (
            2 * _MARGIN + COLUMNS * width + (COLUMNS - 1) * _GAP,
            _MARGIN + _HEAD + rows * (height + _CAPTION) + (rows - 1) * _GAP + _MARGIN // 2,
        ),
        _PAPER,
    )
    draw = ImageDraw.Draw(sheet)
    large, medium, small = (ImageFont.load_default(size) for size in (26, 16, 13))
    draw.text((_MARGIN, _MARGIN), title, _INK, large, anchor="lt")
    draw.text((_MARGIN, _MARGIN + 36), remark, _FAINT, small, anchor="lt")
    for i, tile in enumerate(tiles):
        left = _MARGIN + i % COLUMNS * (width + _GAP)
        top = _MARGIN + _HEAD + i // COLUMNS * (height + _CAPTION + _GAP)
        picture = pil.Image.fromarray(tile.picture)
        if picture.size != (width, height):
            picture = picture.resize((width, height), pil.Image.Resampling.LANCZOS)
        sheet.paste(picture, (left, top))
        below, text = top + height + 9, left
        if tile.weights is not None:
            _draw_kernel(draw, left, below, tile.weights)
            text += _ICON + 11
        draw.text((text, below), tile.name, _INK, medium, anchor="lt")
        draw.text((text, below + _ICON - 2), tile.remark, _FAINT, small, anchor="ls")
    with replacing(path, force=force) as file:
        sheet.save(file, "PNG", optimize=True)


def _draw_kernel(draw: Any, left: int, top: int, weights: NDArray[np.float64]) -> None:
    """Draw a kernel as a grid: positive weights in one colour, negative ones in another, the stronger the fuller."""
    cell = _ICON // max(weights.shape)
    greatest = np.abs(weights).max()
    for (y, x), weight in np.ndenumerate(weights):
        hue = _POSITIVE if weight > 0 else _NEGATIVE
        # Square roots keep the small weights of a wide kernel visible.
        strength = np.sqrt(abs(weight) / greatest)
        colour = tuple(int(c) for c in np.rint(255 + (hue - 255) * strength))
        corner = (left + x * cell, top + y * cell)
        draw.rectangle((*corner, corner[0] + cell, corner[1] + cell), colour, _LINE)
