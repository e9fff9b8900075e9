"""SVG as pixels: PNG by resvg, GIF by Pillow, set in the bundled font, so that every machine draws the same."""

from __future__ import annotations

from importlib.resources import as_file, files
from io import BytesIO
from typing import TYPE_CHECKING, Any

from ..errors import MissingExtraError
from .metrics import FONT_FAMILY, FONT_FILE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

_FAMILY = "im2col Sans"
_COLOURS = 128


def svg_to_png(svg: str, *, scale: float = 2.0) -> bytes:
    """Return an SVG document as a PNG file.

    Parameters
    ----------
    svg : str
        As `svg.draw` writes it.
    scale : float
        Pixels for each unit of the document.

    Raises
    ------
    MissingExtraError
        If resvg is not installed.
    """
    resvg = _resvg()
    with as_file(files("im2col") / "data" / FONT_FILE) as path:
        # A family that resvg does not find draws no text and says nothing, so the document names the one that is there.
        drawn = resvg.svg_to_bytes(
            svg_string=svg.replace(_attribute(FONT_FAMILY), _attribute(_FAMILY)),
            zoom=scale,
            skip_system_fonts=True,
            font_files=[str(path)],
            font_family=_FAMILY,
        )
    return bytes(drawn)


def _attribute(family: str) -> str:
    return 'font-family="' + family.replace('"', "&quot;") + '"'


def frames_to_gif(frames: Sequence[str], milliseconds: int, *, scale: float = 1.0) -> bytes:
    """Return SVG documents as an animated GIF that repeats for ever.

    Parameters
    ----------
    frames : sequence of str
        Smaller ones get white paper around them.
    milliseconds : int
        For each frame.
    scale : float
        Pixels for each unit of the documents.

    Raises
    ------
    MissingExtraError
        If resvg or Pillow is not installed.
    """
    pngs = [svg_to_png(frame, scale=scale) for frame in frames]
    try:
        from PIL import Image
    except ImportError as cause:
        raise MissingExtraError("illustrate: this needs Pillow; install it with pip install 'im2col[draw]'") from cause
    pictures = [Image.open(BytesIO(png)).convert("RGB") for png in pngs]
    width, height = (max(p.size[side] for p in pictures) for side in (0, 1))
    # One palette for all frames: colours that are chosen anew for each would flicker.
    strip = Image.new("RGB", (width, height * min(len(pictures), 8)), "white")
    for i, picture in enumerate(pictures[:8]):
        strip.paste(picture, (0, i * height))
    palette = strip.quantize(_COLOURS, Image.Quantize.MEDIANCUT)
    paletted = []
    for picture in pictures:
        sheet = Image.new("RGB", (width, height), "white")
        sheet.paste(picture)
        paletted.append(sheet.quantize(palette=palette, dither=Image.Dither.NONE))
    file = BytesIO()
    first, *rest = paletted
    options: dict[str, Any] = {"duration": milliseconds, "loop": 0, "optimize": False, "disposal": 1}
    first.save(file, "GIF", save_all=True, append_images=rest, **options)
    return file.getvalue()


def _resvg() -> ModuleType:
    try:
        import resvg_py
    except ImportError as cause:
        raise MissingExtraError("illustrate: this needs resvg; install it with pip install 'im2col[draw]'") from cause
    found: ModuleType = resvg_py
    return found
