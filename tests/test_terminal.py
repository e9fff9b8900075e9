"""Pictures in a terminal: whole outputs, every width, no colours, few characters, and Chinese."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from rich.cells import cell_len

from im2col import ArgumentError, MissingExtraError
from im2col.pictures.pictured_layer import make_pictured_layer
from im2col.pictures.plane import NOTHING, Selection
from im2col.pictures.samples import sample_image, sample_weights
from im2col.pictures.story import chapters, make_scene
from im2col.pictures.terminal import show_scene
from im2col.pictures.terminal_blocks import Characters, wrapped
from im2col.pictures.text import dictionary

from .kit.outcomes import raises_exactly
from .kit.processes import HANG_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from im2col.pictures.scene import Scene

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(autouse=True)
def _no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what the machine says of its terminal out of the tests."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLORTERM", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def scene(chapter: str, x: Any = (1, 1, 4, 4), w: Any = (1, 1, 2, 2), **options: Any) -> Scene:
    """Return a scene of samples, or of arrays; the second position and the first filter are selected."""
    x, w = (make(a) if isinstance(a, tuple) else a for make, a in ((sample_image, x), (sample_weights, w)))
    choices = {name: options.pop(name) for name in ("labels", "channel") if name in options}
    selection = options.pop("selection", Selection(position=1, filter=0))
    return make_scene(make_pictured_layer(x, w, **options), chapter, selection, **choices)


class Terminal(io.StringIO):
    """A file that is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def picture_of(text: str) -> str:
    """Return a picture without its title, caption and counter, which other tests read in the dictionary."""
    return "\n" + text.partition("\n\n")[2]


def shown(picture: Scene, lang: str = "en", width: int = 80, file: io.StringIO | None = None) -> str:
    """Return what is printed."""
    file = file or io.StringIO()
    show_scene(picture, lang, file=file, width=width)
    return file.getvalue()


def encoded(picture: Scene, encoding: str, lang: str = "en", width: int = 80) -> str:
    """Return what is printed to a file that takes this encoding and raises for other characters."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding, errors="strict")
    show_scene(picture, lang, file=file, width=width)
    file.flush()
    return raw.getvalue().decode(encoding)


# --- whole outputs


def test_a_product() -> None:
    """A product of tables: numbered rows and columns, brackets around a row, the selected cell in angle brackets."""
    assert (
        picture_of(shown(scene("matmul"), width=90))
        == """
column matrix  9 × 4     weight matrix  4 × 1     product  9 × 1     output  3 × 3
    1 2 3 4                ┌────┐                   ┌────┐           ┌──────────┐
  ┌─────────┐            1 │[−1]│                 1 │ 27 │           │ 27«30»22 │
1 │ 4 6 3 8 │         ×  2 │[ 2]│              =  2 │«30»│        →  │ 26 23 25 │
2 │[6 7 8 7]│            3 │[ 1]│                 3 │ 22 │           │ 16 12  9 │
3 │ 7 4 7 7 │            4 │[ 2]│                 4 │ 26 │           └──────────┘
4 │ 3 8 3 5 │              └────┘                 5 │ 23 │
5 │ 8 7 5 6 │                                     6 │ 25 │
6 │ 7 7 6 6 │                                     7 │ 16 │
7 │ 3 5 3 3 │                                     8 │ 12 │
8 │ 5 6 3 1 │                                     9 │  9 │
9 │ 6 6 1 1 │                                       └────┘
  └─────────┘

output row 1, column 2, filter 1: 30 = 6×(−1) + 7×2 + 8×1 + 7×2
[ ] highlighted   « » selected
"""
    )


def test_padding_and_an_encoding_without_box_lines() -> None:
    """ASCII: other lines, other signs, a hyphen for the minus sign and no question mark anywhere."""
    assert (
        picture_of(encoded(scene("slide", w=-sample_weights((1, 1, 2, 2)), padding=1, stride=3), "ascii"))
        == """
padded image  6 x 6       kernel  2 x 2     output  2 x 2
+-------------------+     +-------+         +---------+
| :0 :0 :0[:0 :0]:0 |  *  |[ 1 -2]|      =  |  -8<-15>|
| :0  4  6[ 7  4]:0 |     |[-1 -2]|         | -12  -9 |
| :0  3  8  7  7 :0 |     +-------+         +---------+
| :0  3  5  6  6 :0 |
| :0  3  3  1  1 :0 |
| :0 :0 :0 :0 :0 :0 |
+-------------------+

output row 1, column 2, filter 1: -15 = 0x1 + 0x(-2) + 7x(-1) + 4x(-2)
[ ] highlighted   < > selected   :0 padding
"""
    )


def test_columns_and_chinese() -> None:
    """Patches as columns, channel-last, in Chinese."""
    assert (
        picture_of(
            shown(scene("matrix", (1, 2, 4, 4), (1, 2, 2, 2), orientation="columns", tap_order="channel-last"), "zh")
        )
        == """
图像  4 × 4     第 2 块  2 × 2     列矩阵  4 × 9
┌─────────┐     ┌─────┐                1 2 3 4 5 6 7 8 9
│ 4[6 7]4 │  →  │[6 7]│         →    ┌───────────────────┐
│ 3[8 7]7 │     │[8 7]│            1 │ 4[6]7 3 8 7 3 5 6 │
│ 3 5 6 6 │     └─────┘            2 │ 6[7]4 8 7 7 5 6 6 │
│ 3 3 1 1 │                        3 │ 3[8]7 3 5 6 3 3 1 │
└─────────┘                        4 │ 8[7]7 5 6 6 3 1 1 │
                                     └───────────────────┘

第 2 块：输出第 1 行第 2 列
[ ] 高亮
"""
    )


def test_a_narrow_terminal() -> None:
    """What has no room goes below; columns are left out, and counted."""
    assert (
        picture_of(shown(scene("matrix", (1, 1, 9, 9), (1, 1, 5, 5), stride=2), width=40))
        == """
image  9 × 9              patch 2  5 × 5
┌───────────────────┐     ┌───────────┐
│ 2 3[5 4 5 7 5]6 3 │     │[5 4 5 7 5]│
│ 1 4[7 8 8 6 6]6 6 │     │[7 8 8 6 6]│
│ 3 4[8 7 8 8 6]5 7 │  →  │[8 7 8 8 6]│
│ 3 4[6 9 6 9 8]6 5 │     │[6 9 6 9 8]│
│ 4 6[6 7 8 7 8]6 6 │     │[6 7 8 7 8]│
│ 2 5 6 6 8 7 6 6 5 │     └───────────┘
│ 3 4 5 7 4 7 4 6 1 │
│ 3 2 3 2 5 3 3 1 2 │
│ 3 1 1 1 0 2 1 1 2 │
└───────────────────┘

   column matrix  9 × 25
       1 2 3 4 5 6 7 8 9 10 11 12   25
     ┌─────────────────────────────────┐
   1 │ 2 3 5 4 5 1 4 7 8  8  3  4 ⋯  8 │
   2 │[5 4 5 7 5 7 8 8 6  6  8  7 ⋯  8]│
   3 │ 5 7 5 6 3 8 6 6 6  6  8  8 ⋯  6 │
   4 │ 3 4 8 7 8 3 4 6 9  6  4  6 ⋯  4 │
→  5 │ 8 7 8 8 6 6 9 6 9  8  6  7 ⋯  4 │
   6 │ 8 8 6 5 7 6 9 8 6  5  8  7 ⋯  1 │
   7 │ 4 6 6 7 8 2 5 6 6  8  3  4 ⋯  0 │
   8 │ 6 7 8 7 8 6 6 8 7  6  5  7 ⋯  1 │
   9 │ 8 7 8 6 6 8 7 6 6  5  4  7 ⋯  2 │
     └─────────────────────────────────┘
   ⋯ 12 columns

patch 2: output row 1, column 2
[ ] highlighted
"""
    )


def test_channels_and_groups() -> None:
    """Channels are named beside their rows; what a filter does not read is empty."""
    assert (
        picture_of(shown(scene("filters", (1, 4, 5, 5), (2, 2, 2, 2), groups=2), width=60))
        == """
filters  2 × 2 × 2 × 2     weight matrix  16 × 2
filter 1   filter 1                        1  2
channel 1  channel 2                    ┌───────┐
┌───────┐  ┌───────┐       channel 1  1 │[ 0]   │
│[ 0 −1]│  │[−1  0]│                  2 │[−1]   │
│[ 1  2]│  │[−2 −2]│                  3 │[ 1]   │
└───────┘  └───────┘    →             4 │[ 2]   │
filter 2   filter 2        channel 2  5 │[−1]   │
channel 3  channel 4                  6 │[ 0]   │
┌───────┐  ┌───────┐                  7 │[−2]   │
│  0  0 │  │  0  1 │                  8 │[−2]   │
│  2  1 │  │  1 −1 │       channel 3  9 │     0 │
└───────┘  └───────┘                 10 │     0 │
                                     11 │     2 │
                                     12 │     1 │
                           channel 4 13 │     0 │
                                     14 │     1 │
                                     15 │     1 │
                                     16 │    −1 │
                                        └───────┘

output row 1, column 2, filter 1: −11 = 5×0 + 6×(−1) + 6×1 +
8×2 + 5×(−1) + 1×0 + 5×(−2) + 6×(−2)
[ ] highlighted
"""
    )


def test_channels_above_columns() -> None:
    """Channels are named above their columns, with their numbers alone where there is no room."""
    assert (
        picture_of(shown(scene("concat", (1, 2, 3, 3), (1, 2, 2, 2), selection=NOTHING), width=80))
        == """
image  2 × 3 × 3     column matrices by channel       column matrix  4 × 8
channel 1            4 × 8                                c1      c2
┌───────┐            channel 1      channel 2             1 2 3 4 5 6 7 8
│ 4 7 5 │                1 2 3 4        1 2 3 4         ┌─────────────────┐
│ 3 6 7 │              ┌─────────┐    ┌─────────┐  →  1 │ 4 7 3 6 3 2 9 7 │
│ 1 4 2 │         →  1 │ 4 7 3 6 │  1 │ 3 2 9 7 │     2 │ 7 5 6 7 2 3 7 0 │
└───────┘            2 │ 7 5 6 7 │  2 │ 2 3 7 0 │     3 │ 3 6 1 4 9 7 7 6 │
channel 2            3 │ 3 6 1 4 │  3 │ 9 7 7 6 │     4 │ 6 7 4 2 7 0 6 3 │
┌───────┐            4 │ 6 7 4 2 │  4 │ 7 0 6 3 │       └─────────────────┘
│ 3 2 3 │              └─────────┘    └─────────┘
│ 9 7 0 │
│ 7 6 3 │
└───────┘
"""
    )


def test_interleaved_channels_above_columns() -> None:
    """One form of the name for all: the letter only where every column has room for it."""
    w = np.array([1, -1, 1, 1, -1, -1, 1, 1]).reshape(1, 2, 2, 2)
    for factor, names in ((1, "    1  2  1  2 1 2 1 2\n"), (10, "    c1 c2  c1  c2  c1 c2 c1 c2\n")):
        picture = scene("filters", (1, 2, 3, 3), w * factor, orientation="columns", tap_order="channel-last")
        assert names in picture_of(shown(picture))


def test_patches_with_gaps() -> None:
    """Patches keep their places; those that are left out are counted."""
    assert (
        picture_of(shown(scene("decompose", (1, 1, 15, 2), (1, 1, 2, 2), selection=Selection(position=6)), width=60))
        == """
image  15 × 2     patches  14 × 1 × 2 × 2
┌─────┐           1
│ 4 5 │           ┌─────┐
│ 5 5 │           │ 4 5 │
│ 4 7 │           │ 5 5 │
│ 6 8 │           └─────┘
│ 6 6 │           2
│ 6 9 │           ┌─────┐
│[8 8]│           │ 5 5 │
│[5 6]│        →  │ 4 7 │
│ 6 8 │           └─────┘
│ 5 4 │           3
│ 6 5 │           ┌─────┐
│ 4 5 │           │ 4 7 │
│ 1 2 │           │ 6 8 │
│ 3 2 │           └─────┘
│ 0 1 │           ⋯ 2 rows of patches
└─────┘           6
                  ┌─────┐
                  │ 6 9 │
                  │ 8 8 │
                  └─────┘
                  7
                  ┌─────┐
                  │[8 8]│
                  │[5 6]│
                  └─────┘
                  8
                  ┌─────┐
                  │ 5 6 │
                  │ 6 8 │
                  └─────┘
                  ⋯ 4 rows of patches
                  13
                  ┌─────┐
                  │ 1 2 │
                  │ 3 2 │
                  └─────┘
                  14
                  ┌─────┐
                  │ 3 2 │
                  │ 0 1 │
                  └─────┘

patch 7: output row 7, column 1
[ ] highlighted
"""
    )


def test_letters() -> None:
    """Letters instead of numbers."""
    assert (
        picture_of(shown(scene("slide", (3, 3), (2, 2), labels="letters"), width=60))
        == """
image  3 × 3        kernel  2 × 2     output  2 × 2
┌─────────────┐     ┌─────────┐       ┌─────────┐
│ x00[x01 x02]│  ∗  │[w00 w01]│    =  │ y00«y01»│
│ x10[x11 x12]│     │[w10 w11]│       │ y10 y11 │
│ x20 x21 x22 │     └─────────┘       └─────────┘
└─────────────┘

output row 1, column 2, filter 1: y01 = x01×w00 + x02×w01 +
x11×w10 + x12×w11
[ ] highlighted   « » selected
"""
    )


def test_a_selected_tap() -> None:
    """A column of the matrix, and products that are not summed."""
    assert (
        picture_of(shown(scene("matmul", (3, 3), (2, 2), selection=Selection(tap=1, filter=0)), width=70))
        == """
column matrix  4 × 4     weight matrix  4 × 1     product  4 × 1
    1 2 3 4                ┌────┐                   ┌────┐
  ┌─────────┐            1 │ −1 │                 1 │[25]│
1 │ 4[7]3 6 │         ×  2 │« 2»│              =  2 │[23]│
2 │ 7[5]6 7 │            3 │  1 │                 3 │[18]│
3 │ 3[6]1 4 │            4 │  2 │                 4 │[16]│
4 │ 6[7]4 2 │              └────┘                   └────┘
  └─────────┘

   output  2 × 2
   ┌───────┐
→  │[25 23]│
   │[18 16]│
   └───────┘

filter 1, channel 1, row 1, column 2: the weight 2 meets 4 pixels:
7×2, 5×2, 6×2, 7×2
[ ] highlighted   « » selected
"""
    )


def test_a_block() -> None:
    """What is too large for a picture is an outline; a long kernel is elided."""
    assert (
        picture_of(shown(scene("slide", (1, 1, 400, 400), (1, 1, 60, 3)), width=80))
        == """
image  400 × 400       patch 2  60 × 3     kernel  60 × 3     output  341 × 398
┌────────────────┐     ┌───────────┐       ┌───────────┐      ┌────────────────┐
│                │     │[  1  1  0]│       │[ −2  0  2]│      │                │
│   400 × 400    │  →  │[  2  1  2]│       │[ −1  1  0]│   =  │   341 × 398    │
│                │     │[  2  1  0]│    ∗  │[ −2 −2  1]│      │                │
└────────────────┘     │ ⋯ 55 rows │       │ ⋯ 55 rows │      └────────────────┘
                       │[  1  3  2]│       │[  2 −2  0]│
                       │[  2  1  4]│       │[  1  2 −2]│
                       └───────────┘       └───────────┘

output row 1, column 2, filter 1: −21 = 1×(−2) + 1×0 + 0×2 + ⋯ 175 terms + 1×2 +
4×(−2)
[ ] highlighted
"""
    )


# --- what holds for every picture

LAYERS: tuple[tuple[Any, Any, dict[str, Any]], ...] = (
    ((1, 1, 4, 4), (1, 1, 2, 2), {}),
    ((2, 3, 6, 7), (4, 3, 3, 2), {"padding": ((1, 0), (2, 1)), "stride": (2, 1), "dilation": (1, 2)}),
    ((1, 4, 5, 5), (4, 2, 3, 3), {"groups": 2, "orientation": "columns", "padding": "same"}),
    ((2, 4, 5, 5), (2, 4, 3, 3), {"tap_order": "channel-last", "padding_mode": "reflect", "padding": 1}),
    ((1, 2, 30), (3, 2, 5), {"padding": 2, "dilation": 2}),
    ((1, 2, 3, 4, 5), (2, 2, 2, 2, 2), {"padding": 1}),
    ((1, 3, 60, 90), (2, 3, 7, 7), {}),
    ((1, 1, 2, 60), (1, 1, 1, 50), {"padding": 3}),
    ((1, 1, 320, 330), (1, 1, 3, 3), {}),
    ((1, 40, 3, 3), (60, 40, 2, 2), {}),
)


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("chapter", list(chapters()))
@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize(("x", "w", "options"), LAYERS)
def test_no_line_is_wider_than_the_terminal(
    x: tuple[int, ...], w: tuple[int, ...], options: dict[str, Any], lang: str, chapter: str, width: int
) -> None:
    """Every chapter of every kind of layer, with and without a selection, in both languages and without box lines."""
    for selection in (NOTHING, Selection(position=1, filter=0), Selection(tap=1, filter=0), Selection(pixel=3)):
        picture = scene(chapter, x, w, selection=selection, **options)
        lines = shown(picture, lang, width).splitlines()
        assert max(map(cell_len, lines)) <= width
        assert not any(line.endswith(" ") for line in lines)
    lines = encoded(picture, "ascii", width=width).splitlines()
    assert max(map(len, lines)) <= width
    assert "?" not in "".join(lines)


def cells_of(line: str) -> list[str]:
    """Return what stands in each column of the terminal; a wide character is followed by an empty one."""
    return [cell for character in line for cell in ([character, ""] if cell_len(character) == 2 else [character])]


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("orientation", ["rows", "columns"])
def test_the_lines_of_a_table_are_aligned(lang: str, orientation: str) -> None:
    """Every box has its corners and its sides in the same columns, of which a Chinese character takes two."""
    picture = scene("matmul-channels", (1, 2, 4, 4), (2, 2, 2, 2), orientation=orientation, padding=1)
    lines = [cells_of(line) for line in shown(picture, lang, 120).splitlines()]
    boxes = 0
    for top, line in enumerate(lines):
        for left in (i for i, cell in enumerate(line) if cell == "┌"):
            right = line.index("┐", left)
            bottom = next(i for i in range(top, len(lines)) if lines[i][left] == "└")
            assert lines[bottom][left : right + 1] == ["└", *"─" * (right - left - 1), "┘"]
            assert {lines[i][side] for i in range(top + 1, bottom) for side in (left, right)} == {"│"}
            boxes += 1
    assert boxes == 5


def test_the_words_are_the_dictionarys() -> None:
    """Title, caption and counter stand above the picture."""
    for lang in ("en", "zh"):
        words = dictionary(lang)
        head = shown(scene("slide"), lang, 100).partition("\n\n")[0]
        assert head.startswith(words["chapter.slide"] + "\n")
        assert head.endswith(words["counter"].format(pixels=16, cells=36, ratio="2.25"))


def test_both_languages_have_the_words_of_terminals() -> None:
    """The same keys with the same braces."""
    found = []
    for lang in ("en", "zh"):
        words = json.loads((files("im2col.pictures.text") / f"{lang}.json").read_text("utf-8"))
        found.append({k: sorted(re.findall(r"{\w+}", v)) for k, v in words.items() if k.startswith("terminal.")})
    assert found[0] == found[1]
    assert len(found[0]) == 5


def test_it_is_the_same_every_time() -> None:
    """Two prints are equal."""
    picture = scene("matmul-channels", (1, 3, 60, 90), (2, 3, 7, 7))
    assert shown(picture) == shown(picture)


@pytest.mark.parametrize(
    ("lang", "line"),
    [
        ("en", "a picture needs at least 40 columns; here are 39\n"),
        ("zh", "显示图形至少需要 40 列宽，当前只有 39 列\n"),
    ],
)
def test_a_terminal_that_is_too_narrow(lang: str, line: str) -> None:
    """One line says what is needed."""
    assert shown(scene("slide"), lang, 39) == line


# --- colours


def test_colours_change_no_character(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal with colours, one with 16, and one where they are not wanted show the same text."""
    picture = scene("matmul-channels", (1, 2, 4, 4), (2, 2, 2, 2), padding=1)
    plain = shown(picture)
    assert "\x1b" not in plain
    monkeypatch.setenv("COLORTERM", "truecolor")
    full = shown(picture, file=Terminal())
    monkeypatch.setenv("COLORTERM", "")
    monkeypatch.setenv("TERM", "xterm-16color")
    few = shown(picture, file=Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    none = shown(picture, file=Terminal())
    for text in (full, few, none):
        assert ESCAPE.sub("", text) == plain
    assert "48;2;" in full
    assert "\x1b[1;7m" in none  # lit cells are bold and reversed
    for text in (few, none):
        assert set(re.findall(r"\x1b\[([0-9;]*)m", text)) <= {"0", "1", "2", "7", "1;7", "1;4;7"}


def test_a_large_image_is_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half blocks in two colours each on a terminal; shades without colours; a cross where pixels are lit."""
    x = np.zeros((1, 1, 64, 96))
    x[..., 32:, 48:] = 1
    picture = scene("slide", x, (1, 1, 3, 3), selection=Selection(position=50 * 94 + 80, filter=0))
    lines = shown(picture, width=60).splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("┌"))
    dark, light = "│" + " " * 48 + "│", "│" + " " * 24 + "█" * 24 + "│"
    body = [line[:50] for line in lines[first + 1 : first + 17]]
    assert body[:8] == [dark] * 8
    assert body[8:12] == [light] * 4
    assert body[12:14] == ["│" + " " * 24 + "█" * 16 + "××" + "█" * 6 + "│"] * 2
    assert body[14:] == [light] * 2
    assert lines[first + 17][:50] == "└" + "─" * 48 + "┘"
    assert lines[-1] == "[ ] × highlighted"
    monkeypatch.setenv("COLORTERM", "truecolor")
    coloured = ESCAPE.sub("", shown(picture, width=60, file=Terminal())).splitlines()
    assert coloured[first + 1][:50] == "│" + "▀" * 48 + "│"
    assert coloured[first + 13][:50] == "│" + "▀" * 40 + "××" + "▀" * 6 + "│"


def test_numbers_that_are_not_finite_have_a_place() -> None:
    """NaN and the infinities in digits and in pictures, without a warning."""
    x = np.full((1, 1, 64, 64), np.nan)
    x[0, 0, 0, :2] = np.inf, -np.inf
    assert "▒" in shown(scene("slide", x, np.ones((1, 1, 2, 2)), selection=NOTHING))
    assert "│  −∞ NaN │" in shown(scene("decompose", x[..., :2, 1:4], np.ones((1, 1, 2, 2)), selection=NOTHING))


def test_one_infinity_leaves_a_picture_its_shades() -> None:
    """The finite values range from dark to light; infinities are at the ends, NaN is in the middle."""
    x = np.zeros((1, 1, 64, 96))
    x[..., 48:] = 1
    w = np.ones((1, 1, 2, 2))
    plain = shown(scene("slide", x, w, selection=NOTHING), width=60).splitlines()
    first = next(i for i, line in enumerate(plain) if line.startswith("┌"))
    x[..., :32, :24], x[..., :32, -24:], x[..., 32:, :24] = np.inf, -np.inf, np.nan
    lines = shown(scene("slide", x, w, selection=NOTHING), width=60).splitlines()
    assert plain[first + 1][:50] == "│" + " " * 24 + "█" * 24 + "│"
    assert lines[first + 1][:50] == "│" + "█" * 12 + " " * 12 + "█" * 12 + " " * 12 + "│"
    assert lines[first + 16][:50] == "│" + "▒" * 12 + " " * 12 + "█" * 24 + "│"
    x[:] = np.linspace(-1.7, 1.7, 96) * 1e308  # whose range is no float64
    wide = shown(scene("padding-stride", x, w, selection=NOTHING), width=60).splitlines()
    first = next(i for i, line in enumerate(wide) if line.startswith("┌"))
    assert (wide[first + 1][1], wide[first + 1][48]) == (" ", "█")


# --- characters


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437", "cp1252", "gbk", "utf-8"])
def test_every_encoding_gets_what_it_has(encoding: str) -> None:
    """Nothing raises and no sign becomes a question mark; Chinese is English where it cannot be written."""
    picture = scene("slide", w=-sample_weights((1, 1, 2, 2)), padding=1)
    text = encoded(picture, encoding)
    assert "?" not in text
    assert re.search("[−-]2", text)
    translated = encoded(picture, encoding, "zh")
    assert (translated == text) is (encoding not in {"gbk", "utf-8"})
    assert "?" not in translated


def test_unknown_characters() -> None:
    """An encoding that Python does not know is taken as ASCII; a character without a stand-in is a question mark."""
    characters = Characters.of("klingon")
    assert characters.corners == "++++"
    assert Characters.of("ascii").adapt("1 − 2 ★") == "1 - 2 ?"


def test_wrapping() -> None:
    """At spaces; between Chinese characters but not before their commas; inside a word that is too long."""
    assert wrapped("", 10) == []
    assert wrapped("one two three", 7) == ["one two", "three"]
    assert wrapped("卷积核，滑动。", 6) == ["卷积", "核，滑", "动。"]
    assert wrapped("abcdefghij kl", 4) == ["abcd", "efgh", "ij", "kl"]


# --- errors


def test_an_unknown_language() -> None:
    """The languages are named."""
    with raises_exactly(ArgumentError, "lang must be one of ('en', 'zh'), got 'tlh'"):
        shown(scene("slide"), "tlh")


@pytest.mark.parametrize("width", ["x", 0, -3, 1.5, True])
def test_a_width_that_is_none(width: Any) -> None:
    """It is an integer of at least 1."""
    with pytest.raises(ArgumentError, match=r"^width must be (an integer or None|at least 1), got "):
        shown(scene("slide"), width=width)


def test_a_file_that_takes_no_text(tmp_path: Path) -> None:
    """Neither is a file of bytes, nor one that is open for reading, nor a path."""
    path = tmp_path / "a.txt"
    path.write_text("")
    with path.open() as reading:
        for file in (io.BytesIO(), reading, path, 3):
            with pytest.raises(ArgumentError, match=r"^file must be open for writing text, such as open\(path"):
                show_scene(scene("slide"), "en", file=file)  # type: ignore[arg-type]  # that is tried


def test_rich_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how to install it."""
    monkeypatch.setitem(sys.modules, "rich.console", None)
    line = "pictures in a terminal need rich; install it with pip install 'im2col[draw]'"
    with raises_exactly(MissingExtraError, line):
        shown(scene("slide"))


def test_rich_is_imported_when_something_is_shown() -> None:
    """Not before."""
    code = "import sys, im2col.pictures.terminal; print('rich' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=True,
        env=dict(os.environ),
    )
    assert done.stdout == "False\n"
