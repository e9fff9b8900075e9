"""A scene in a terminal, through rich: tables of box lines, brackets around what is selected, colours where there are.

Nothing is told by colour alone: what is lit stands in brackets, the selected cell in angle brackets, padding behind a
dot, channels are named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ArgumentError, GeometryError, MissingExtraError, shown
from ..importing import importing
from ..spec.arguments import integer, word
from .text import Text, dictionary

if TYPE_CHECKING:
    from typing import TextIO

    from .scene import Scene
    from .terminal_blocks import Block
    from .terminal_table import Look

NARROWEST = 40
"""Columns that a picture needs."""
_WIDEST_TEXT = 100
_SIGN_GAP = 2


def show_scene(scene: Scene, lang: str, *, file: TextIO | None = None, width: int | None = None) -> None:
    """Draw a scene in a terminal.

    Parameters
    ----------
    scene : Scene
    lang : str
        The language; English where the file's encoding cannot hold it.
    file : text file, optional
        ``sys.stdout`` if left out. Where it is no terminal the picture is plain text; ``NO_COLOR`` takes the colours.
    width : int, optional
        Columns; the terminal's if left out. What is wider goes to the next line, and tables leave columns out. Below
        40 there is one line that says so.

    Raises
    ------
    MissingExtraError
        If rich is not installed.
    ArgumentError
        If there is no such language, `file` takes no text, or `width` is no integer of at least 1.
    """
    try:
        with importing:
            from rich.console import Console
            from rich.text import Text as RichText

            from .terminal_blocks import Characters
            from .terminal_table import Look
    except ImportError as cause:
        raise MissingExtraError(
            "pictures in a terminal need rich; install it with pip install 'im2col[draw]'"
        ) from cause
    words = dictionary(lang)
    width = _checked(file, width)
    console = Console(
        file=file, width=width, highlight=False, markup=False, emoji=False, soft_wrap=True, force_jupyter=False
    )
    characters = Characters.of(word(console.encoding) or "ascii")  # a file of somebody's own may say anything
    words = dictionary(characters.language(lang, words))
    # With 16 colours the tints would all be white.
    colours = not console.no_color and console.color_system in {"256", "truecolor"}
    look = Look(characters, words, colours, scene.layer, scene.selection)
    if console.width < NARROWEST:
        block: Block = [[(look.say(Text("terminal.narrow", {"needed": NARROWEST, "width": console.width})), "")]]
    else:
        block = _scene_block(scene, look, console.width)
    for line in block:
        text = RichText()
        for part, style in line:
            text.append(part, style or None)
        text.rstrip()
        console.print(text)


def _checked(file: object, width: object) -> int | None:
    """Return the width; raise `ArgumentError` where nothing can be printed."""
    columns = None
    if width is not None:
        try:
            columns = integer("width", width, 1, "an integer or None")
        except GeometryError as cause:  # the window's word for a wrong number
            raise ArgumentError(str(cause)) from None
    if file is not None:
        try:
            file.write("")  # type: ignore[attr-defined]  # that is tried
        except Exception as cause:
            raise ArgumentError(
                f"file must be open for writing text, such as open(path, 'w') or io.StringIO(), got {shown(file)}"
            ) from cause
    return columns


def _scene_block(scene: Scene, look: Look, width: int) -> Block:
    """Return the whole picture."""
    with importing:
        from .figure import told

    adapt = look.characters.adapt
    block = _paragraph(look.say(scene.title), width, "bold")
    block += _paragraph(look.say(scene.caption), width, "")
    block += _paragraph(look.say(scene.counter), width, "dim")
    block += [[], *_panels(scene, look, width)]
    message = adapt(told(scene, look.words))
    if message:
        block += [[], *_paragraph(message, width, "bold")]
    signs = {
        "lit": "[ ]",
        "marked": look.characters.cross,
        "focus": " ".join(look.characters.focus),
        "padding": look.characters.padding + "0",
    }
    found = {name: sign for name, sign in signs.items() if name in look.seen}
    lit = " ".join(found.pop(name) for name in ("lit", "marked") if name in found)
    legend = "   ".join(
        f"{sign} {adapt(look.words[f'terminal.{name}'])}" for name, sign in {"lit": lit, **found}.items() if sign
    )
    return [*block, *_paragraph(legend, width, "dim")]


def _paragraph(text: str, width: int, style: str) -> Block:
    with importing:
        from .terminal_blocks import wrapped

    return [[(line, style)] for line in wrapped(text, min(width, _WIDEST_TEXT))]


def _panels(scene: Scene, look: Look, width: int) -> Block:
    """Return the panels, side by side as far as they fit; a sign goes to the next line with the panel that follows."""
    with importing:
        from .terminal_blocks import beside, block_width, lowered
        from .terminal_planes import panel_block

    rows: list[list[Block]] = []
    used = 0
    sign: Block = []
    for part in scene.parts:
        if isinstance(part, str):
            sign = [[(look.characters.adapt(part), "bold")]]
            continue
        before = block_width(sign) + _SIGN_GAP if sign else 0
        panel = panel_block(part, look, width - before)
        fits = bool(rows) and used + _SIGN_GAP + before + block_width(panel) <= width
        if fits:
            used += _SIGN_GAP
        else:
            rows.append([])
            used = 0
        height = min(len(rows[-1][-1]), len(panel)) if rows[-1] else len(panel)
        rows[-1] += [lowered(sign, height // 2)] if sign else []
        rows[-1].append(panel)
        used += before + block_width(panel)
        sign = []
    block: Block = []
    for row in rows:
        block += [[], *beside(row, _SIGN_GAP)] if block else beside(row, _SIGN_GAP)
    return block
