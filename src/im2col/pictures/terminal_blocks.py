"""Blocks of styled lines, and what characters a terminal has: what pictures in a terminal are set from.

A block is a list of lines, a line a list of (text, style) as rich names styles. Widths count columns of the terminal,
of which a Chinese character takes two.
"""

from __future__ import annotations

from itertools import pairwise, zip_longest
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Line = list[tuple[str, str]]
    Block = list[Line]

_ASCII = {
    "−": "-",
    "–": "-",
    "—": "--",
    "×": "x",
    "∗": "*",
    "⊙": ".*",
    "⊗": "(x)",
    "·": "*",
    "÷": "/",
    "→": "->",
    "Σ": "sum",
    "⌊": "floor(",
    "⌋": ")",
    "∞": "inf",
    "⋯": "...",
    "…": "...",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    "，": ", ",
    "：": ": ",
}
"""What stands for characters that an encoding does not have."""
_NOT_FIRST = "，。、；：）」》！？,.;:)%×"
"""No line begins with these."""


class Characters(NamedTuple):
    """The characters that a picture uses where an encoding decides.

    Parameters
    ----------
    encoding : str
    corners : str
        Top left, top right, bottom left, bottom right.
    horizontal, vertical : str
        Of the lines of a box.
    focus : str
        What stands left and right of the selected cell.
    padding : str
        What stands before a pixel of the padding.
    shades : str
        From the least to the greatest value.
    half : str
        A block that fills the upper half; "" where there is none.
    cross : str
        What marks a pixel in a picture.
    """

    encoding: str
    corners: str
    horizontal: str
    vertical: str
    focus: str
    padding: str
    shades: str
    half: str
    cross: str

    @classmethod
    def of(cls, encoding: str) -> Characters:
        """Return the characters for an encoding; those of ASCII where there is nothing better."""

        def best(wanted: str, plain: str) -> str:
            return wanted if _holds(encoding, wanted) else plain

        corners, horizontal, vertical = ("┌┐└┘", "─", "│") if _holds(encoding, "┌┐└┘─│") else ("++++", "-", "|")
        return cls(
            encoding,
            corners,
            horizontal,
            vertical,
            best("«»", "<>"),
            best("·", ":"),
            best(" ░▒▓█", " .:-=+*#%@"),
            best("▀", ""),
            best("×", "x"),
        )

    def adapt(self, text: str) -> str:
        """Return a text in characters that the encoding has."""
        if _holds(self.encoding, text):
            return text
        return "".join(c if _holds(self.encoding, c) else _ASCII.get(c, "?") for c in text)

    def language(self, lang: str, words: Mapping[str, str]) -> str:
        """Return the language that can be written: English, which ASCII holds, where `lang` cannot."""
        return lang if _holds(self.encoding, words["language"]) else "en"


def _holds(encoding: str, text: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def line_width(line: Line) -> int:
    """Return how many columns a line takes."""
    return sum(cell_len(text) for text, _ in line)


def block_width(block: Block) -> int:
    """Return how many columns a block takes."""
    return max(map(line_width, block), default=0)


def right(text: str, width: int) -> str:
    """Return a text at the right end of a field."""
    return " " * (width - cell_len(text)) + text


def left(text: str, width: int) -> str:
    """Return a text at the left end of a field."""
    return text + " " * (width - cell_len(text))


def filled(line: Line, width: int) -> Line:
    """Return a line with spaces up to a width."""
    missing = width - line_width(line)
    return [*line, (" " * missing, "")] if missing > 0 else line


def beside(blocks: Sequence[Block], gap: int) -> Block:
    """Return blocks side by side, their tops on a line."""
    widths = [block_width(block) for block in blocks]
    lines: Block = []
    for row in zip_longest(*blocks, fillvalue=[]):
        line: Line = []
        for i, (part, width) in enumerate(zip(row, widths, strict=True)):
            line += filled(part, width + (gap if i < len(widths) - 1 else 0))
        lines.append(line)
    return lines


def lowered(block: Block, lines: int) -> Block:
    """Return a block with empty lines above it."""
    return [*([] for _ in range(lines)), *block]


def flowing(blocks: Sequence[Block], width: int, gap: int) -> list[list[Block]]:
    """Return blocks in rows that are no wider than a width, where the blocks are not."""
    rows: list[list[Block]] = []
    used = 0
    for block in blocks:
        here = block_width(block)
        if rows and used + gap + here <= width:
            rows[-1].append(block)
            used += gap + here
        else:
            rows.append([block])
            used = here
    return rows


def wrapped(text: str, width: int) -> list[str]:
    """Return a text in lines no wider than `width`: broken at spaces, between Chinese characters, or where it must be.

    Examples
    --------
    >>> wrapped("dot products of two vectors", 12)
    ['dot products', 'of two', 'vectors']
    >>> wrapped("两个展平向量的点积。", 12)
    ['两个展平向量', '的点积。']
    """
    lines, line = list[str](), ""
    for piece in _pieces(text):
        if line and cell_len((line + piece).rstrip()) > width:
            lines.append(line.rstrip())
            line = piece.lstrip()
        else:
            line += piece
        while cell_len(line.rstrip()) > width:
            cut = next(i for i in range(len(line), 0, -1) if cell_len(line[:i]) <= width)
            lines.append(line[:cut])
            line = line[cut:]
    return [*lines, line.rstrip()] if line.strip() else lines


def _pieces(text: str) -> list[str]:
    """Return the parts between which a line may break."""
    pieces: list[str] = []
    for before, character in pairwise(" " + text):
        wide = cell_len(character) > 1 or cell_len(before) > 1
        starts = before == " " or (wide and character not in _NOT_FIRST and character != " ")
        if starts or not pieces:
            pieces.append(character)
        else:
            pieces[-1] += character
    return pieces
