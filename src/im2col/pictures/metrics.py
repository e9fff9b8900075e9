"""How wide a text is: in the font that ships with the package, with room for readers' fonts, which are wider."""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

from ..errors import MissingExtraError
from ..importing import importing

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

FONT_FAMILY = 'system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif'
"""What SVG asks for; PNG and GIF are set in the bundled font."""
FONT_FILE = "im2col-sans.otf"
SAFETY = 1.22
"""DejaVu Sans, the widest of usual system fonts, sets sentences 1.09, digits and brackets 1.15 times as wide."""
_EM = 1000
_WIDER = {
    **dict.fromkeys("+−=<>~^#¬∗", 838),
    **dict.fromkeys("{}", 637),
    **dict.fromkeys("«»", 612),
    **dict.fromkeys("|¦", 337),
    **dict.fromkeys("!¡", 401),
    **dict.fromkeys(" \xa0", 318),
    "°": 500,
    "ª": 472,
    "®": 1000,
}
"""What DejaVu Sans sets wider than `SAFETY` allows, in thousandths of the size: the sign of "−4" above all."""
_WIDE = "\u2e80"
"""From here on characters are Chinese: an em wide in every font."""


def text_width(text: str, size: float) -> float:
    """Return the width of a text in pixels, in the widest font that is expected.

    No character is narrower than in the bundled font or in DejaVu Sans; Chinese is as wide as in every font.

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
    0.0
    """
    return sum(map(_advance, text)) * size / _EM


@cache
def _advance(character: str) -> float:
    """Return a character's width in thousandths of the font's size."""
    if character >= _WIDE:
        return float(_EM)
    return max(SAFETY * float(font().getlength(character)), _WIDER.get(character, 0))


def font_path() -> AbstractContextManager[Path]:
    """Return a context in which the bundled font is a file, even where the package is an archive."""
    return as_file(files("im2col") / "data" / FONT_FILE)


@cache
def font() -> Any:
    """Return the bundled font, 1000 pixels large, as Pillow has it.

    Raises
    ------
    MissingExtraError
        If Pillow is not installed.
    """
    try:
        with importing:
            from PIL import ImageFont
    except ImportError as cause:
        raise MissingExtraError("this needs Pillow; install it with pip install 'im2col[draw]'") from cause
    with font_path() as path:
        # The basic layout knows no kerning and gives the same widths on every machine.
        return ImageFont.truetype(path, _EM, layout_engine=ImageFont.Layout.BASIC)


def missing_glyphs(text: str) -> set[str]:
    """Return the characters of a text that the bundled font cannot draw.

    Parameters
    ----------
    text : str

    Raises
    ------
    MissingExtraError
        If Pillow is not installed.

    Examples
    --------
    >>> sorted(missing_glyphs("列 A ∑ Ж"))
    ['Ж']
    """
    box = font().getmask("\uffff")  # what the font draws for what it does not have
    return {c for c in set(text) if not c.isspace() and _same(font().getmask(c), box)}


def _same(a: Any, b: Any) -> bool:
    return bool(a.size == b.size and bytes(a) == bytes(b))
