"""How wide a text is: in the font that ships with the package, with room for readers' fonts, which are wider."""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files
from typing import Any

from ..errors import MissingExtraError

FONT_FAMILY = 'system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif'
"""What SVG asks for; PNG and GIF are set in the bundled font."""
FONT_FILE = "im2col-sans.otf"
SAFETY = 1.22
"""DejaVu Sans, the widest of usual system fonts, sets sentences 1.10, digits 1.15, brackets 1.24 times as wide."""
_EM = 1000
_WIDE = "\u2e80"
"""From here on characters are Chinese: an em wide in every font."""


def text_width(text: str, size: float) -> float:
    """Return the width of a text in pixels, in the widest font that is expected.

    Parameters
    ----------
    text : str
    size : float
        Of the font, in pixels.

    Raises
    ------
    MissingExtraError
        If Pillow is not installed.

    Examples
    --------
    >>> text_width("列矩阵", 12)
    36.0
    >>> text_width("", 12)
    0
    """
    return sum(map(_advance, text)) * size / _EM


@cache
def _advance(character: str) -> float:
    """Return a character's width in thousandths of the font's size."""
    return float(_EM) if character >= _WIDE else SAFETY * font().getlength(character)


@cache
def font() -> Any:
    """Return the bundled font, 1000 pixels large, as Pillow has it.

    Raises
    ------
    MissingExtraError
        If Pillow is not installed.
    """
    try:
        from PIL import ImageFont
    except ImportError as cause:
        raise MissingExtraError("illustrate: this needs Pillow; install it with pip install 'im2col[draw]'") from cause
    with as_file(files("im2col") / "data" / FONT_FILE) as path:
        # The basic layout knows no kerning and gives the same widths on every machine.
        return ImageFont.truetype(path, _EM, layout_engine=ImageFont.Layout.BASIC)


def missing_glyphs(text: str) -> set[str]:
    """Return the characters of a text that the bundled font cannot draw.

    Parameters
    ----------
    text : str
    """
    box = font().getmask("\uffff")  # what the font draws for what it does not have
    return {c for c in text if not c.isspace() and _same(font().getmask(c), box)}


def _same(a: Any, b: Any) -> bool:
    return bool(a.size == b.size and bytes(a) == bytes(b))
