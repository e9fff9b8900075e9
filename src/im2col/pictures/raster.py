"""SVG as pixels: PNG by resvg, GIF by Pillow, set in the bundled font, so that every machine draws the same."""

from __future__ import annotations

from collections import Counter
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import MissingExtraError
from ..importing import importing
from .metrics import font_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from numpy.typing import NDArray

_FAMILY = "im2col Sans"
_COLOURS, _EXACT = 256, 128
"""A GIF's colours, and how many of them are colours of the frames as they are, if not all can be."""


def svg_to_png(svg: str, *, scale: float = 2.0, background: str | None = "white") -> bytes:
    """Return an SVG document as a PNG file, its text in the bundled font whatever font it asks for.

    Parameters
    ----------
    svg : str
        As `svg.draw` writes it.
    scale : float
        Pixels for each unit of the document.
    background : str or None
        The paper's colour, as CSS writes it; None leaves it transparent.

    Raises
    ------
    MissingExtraError
        If resvg is not installed.
    """
    resvg = _resvg()
    with font_path() as path:
        drawn = resvg.svg_to_bytes(
            svg_string=svg,
            background=background,
            zoom=scale,
            skip_system_fonts=True,
            font_files=[str(path)],
            font_family=_FAMILY,
            # resvg tries its serif font after all families of the document. Where it has none, it draws no text and
            # says nothing.
            serif_family=_FAMILY,
        )
    return bytes(drawn)


def frames_to_gif(frames: Sequence[str], milliseconds: int, *, scale: float = 1.0) -> bytes:
    """Return SVG documents as an animated GIF that repeats for ever.

    Parameters
    ----------
    frames : sequence of str
        At least one. Smaller ones get white paper around them. Equal ones in a row become one that rests as long.
    milliseconds : int
        For each frame; a GIF counts in hundredths of a second.
    scale : float
        Pixels for each unit of the documents.

    Raises
    ------
    MissingExtraError
        If resvg or Pillow is not installed.
    """
    pngs = [svg_to_png(frame, scale=scale) for frame in frames]
    try:
        with importing:
            from PIL import Image
    except ImportError as cause:
        raise MissingExtraError("this needs Pillow; install it with pip install 'im2col[draw]'") from cause
    pictures = [Image.open(BytesIO(png)).convert("RGB") for png in pngs]
    width, height = (max(p.size[side] for p in pictures) for side in (0, 1))
    sheets = []
    for picture in pictures:
        sheet = Image.new("RGB", (width, height), "white")
        sheet.paste(picture)
        sheets.append(sheet)
    # One palette for all frames: colours that are chosen anew for each would flicker.
    colours, numbers = _palette(sheets)
    paletted = []
    for sheet in sheets:
        frame = Image.fromarray(numbers[_packed(np.asarray(sheet))])
        frame.putpalette(colours.tobytes())
        paletted.append(frame)
    file = BytesIO()
    first, *rest = paletted
    options: dict[str, Any] = {"duration": milliseconds, "loop": 0, "optimize": False, "disposal": 1}
    options["palette"] = colours.tobytes()  # or Pillow would write it again for each frame
    first.save(file, "GIF", save_all=True, append_images=rest, **options)
    return file.getvalue()


def _palette(sheets: Sequence[Any]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return at most 256 colours for all frames, and for each packed colour of a frame the number of the nearest one.

    The paper and the grounds of cells stay exactly what they are; only edges of letters and heat maps are rounded.
    Pillow's own matching of a palette is coarse: it makes white paper grey.
    """
    with importing:
        from PIL import Image

    area: Counter[tuple[int, int, int]] = Counter()
    for sheet in sheets:
        for count, colour in sheet.getcolors(sheet.width * sheet.height):
            # In the frame that shows most of it, so that what appears late counts as much as what stays.
            area[colour] = max(area[colour], count)
    found = np.array(sorted(area, key=lambda colour: (-area[colour], colour)), np.uint8)
    colours = found
    if len(found) > _COLOURS:
        rest = Image.fromarray(found[None, _EXACT:]).quantize(_COLOURS - _EXACT, Image.Quantize.MEDIANCUT)
        medians = np.array(rest.getpalette(), np.uint8).reshape(-1, 3)
        colours = np.unique(np.concatenate([found[:_EXACT], medians]), axis=0)
    numbers = np.zeros(1 << 24, np.uint8)
    for some in np.array_split(found, -(-len(found) // 4096)):  # a heat map has many
        distance = np.square(some[:, None].astype(np.int32) - colours).sum(-1)
        numbers[_packed(some)] = distance.argmin(1)
    return colours, numbers


def _packed(colours: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return each colour as one number."""
    wide = colours.astype(np.int32)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def _resvg() -> ModuleType:
    try:
        with importing:
            import resvg_py
    except ImportError as cause:
        raise MissingExtraError("this needs resvg; install it with pip install 'im2col[draw]'") from cause
    found: ModuleType = resvg_py
    return found
