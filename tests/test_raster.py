"""PNG and GIF: text leaves ink in every language, colours and times survive, and widths have room for other fonts."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageFont

from im2col import MissingExtraError
from im2col.pictures import metrics
from im2col.pictures.metrics import FONT_FAMILY, font, font_path, missing_glyphs, text_width
from im2col.pictures.raster import frames_to_gif, svg_to_png
from im2col.pictures.text import dictionary, languages

from .kit.outcomes import raises_exactly, require

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

FAMILIES = [FONT_FAMILY, "sans-serif", "system-ui", "serif", "monospace", "No Such Font", None]
SENTENCES = [
    "The column matrix has one row for each window of the image.",
    "−12",
    "1 + 2 = 3",
    "[−1, 0]",
    "{x} ≤ 5°",
    "",
]


@pytest.fixture(autouse=True)
def fresh_font() -> Iterator[None]:
    """Let no test see the font that an earlier one has loaded."""
    yield
    for cached in (metrics.font, metrics._advance):
        cached.cache_clear()


def document(body: str = "", width: int = 100, height: int = 40) -> str:
    """Return an SVG document without paper."""
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">{body}</svg>'


def text(words: str, family: str | None = FONT_FAMILY) -> str:
    """Return an SVG document that shows words."""
    asked = "" if family is None else f"font-family='{family}'"
    return document(f'<text x="4" y="30" font-size="24" {asked}>{words}</text>')


def field(colour: str) -> str:
    """Return an SVG document of one colour."""
    return document(f'<rect width="100" height="40" fill="{colour}"/>')


def pixels(png: bytes) -> NDArray[np.uint8]:
    """Return a picture's pixels, (H, W, 4)."""
    return np.asarray(Image.open(BytesIO(png)).convert("RGBA"))


def ink(png: bytes) -> int:
    """Return how many pixels of a picture are dark and not transparent."""
    found = pixels(png)
    return int(((found[..., :3].max(-1) < 128) & (found[..., 3] > 128)).sum())


def played(gif: bytes) -> list[tuple[int, NDArray[np.uint8]]]:
    """Return how long each frame of a GIF rests, in milliseconds, and its pixels, (H, W, 3)."""
    frames = []
    with Image.open(BytesIO(gif)) as image:
        for i in range(getattr(image, "n_frames", 1)):
            image.seek(i)
            frames.append((int(image.info["duration"]), np.asarray(image.convert("RGB"))))
    return frames


@pytest.mark.parametrize("words", ["Hi 12", "列矩阵", "−⌊∑⌋"])
@pytest.mark.parametrize("family", FAMILIES)
def test_text_leaves_the_same_ink_whatever_font_it_asks_for(words: str, family: str | None) -> None:
    """A family that resvg does not find would draw nothing, and say nothing."""
    drawn = svg_to_png(text(words, family))
    assert ink(drawn) > 100
    assert drawn == svg_to_png(text(words, None))


def test_each_character_has_its_own_glyph() -> None:
    """Ink alone would also be the box that stands for what a font lacks."""
    assert len({svg_to_png(text(character)) for character in "列矩阵Ж"}) == 4


@pytest.mark.parametrize("lang", languages())
def test_the_font_has_every_character_of_the_dictionaries(lang: str) -> None:
    """If this fails, run tools/subset_font.py."""
    assert missing_glyphs("".join(dictionary(lang).values())) == set()


def test_a_missing_glyph_is_detected() -> None:
    """What is no dictionary's word is missing; white space and the signs of labels are not."""
    assert missing_glyphs("Ж列\U0001f600 a\n") == {"Ж", "\U0001f600"}
    assert missing_glyphs("") == set()
    assert missing_glyphs("×·÷−±→←↑↓⇒∗ΣΔ∑∈∞≤≥≈…⋯–—′″°²³¹⌊⌋▶■□●○▲▼◀αβγω，。、；：（）「」《》！？“”‘’é") == set()


@pytest.mark.parametrize(("scale", "size"), [(1.0, (100, 40)), (1.5, (150, 60)), (2.0, (200, 80)), (0.5, (50, 20))])
def test_the_size_follows_the_scale(scale: float, size: tuple[int, int]) -> None:
    """Two pixels for each unit unless another scale is asked for."""
    png = svg_to_png(text("a"), scale=scale)
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert Image.open(BytesIO(png)).size == size
    if scale == 2:
        assert png == svg_to_png(text("a"))


def test_the_paper() -> None:
    """It is white unless another colour is asked for, or none."""
    for background, corner in [("white", [255] * 4), ("#0000ff", [0, 0, 255, 255]), (None, [0] * 4)]:
        assert pixels(svg_to_png(document(), background=background))[0, 0].tolist() == corner
    assert svg_to_png(document()) == svg_to_png(document(), background="white")


def test_a_gif_has_its_frames_for_their_time_and_for_ever() -> None:
    """The same frames are the same bytes."""
    frames = [field(colour) for colour in ("#ff0000", "#00ff00", "#0000ff")]
    gif = frames_to_gif(frames, 700)
    with Image.open(BytesIO(gif)) as image:
        assert image.info["loop"] == 0
        assert image.size == (100, 40)
    found = played(gif)
    assert [duration for duration, _ in found] == [700] * 3
    assert [frame[9, 9].tolist() for _, frame in found] == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    assert gif == frames_to_gif(frames, 700)


def test_equal_frames_in_a_row_keep_their_time() -> None:
    """They may become one frame, but it rests as long."""
    red, blue = field("red"), field("blue")
    found = played(frames_to_gif([red, red, red, blue, red], 500))
    assert [duration for duration, _ in found] == [1500, 500, 500]
    assert [duration for duration, _ in played(frames_to_gif([red, red], 500))] == [1000]


def test_paper_is_white_and_grounds_are_exact_in_a_gif() -> None:
    """Also with more colours than a GIF has, and in frames that come late."""
    steps = "".join(
        f'<rect x="{i % 100}" y="{i // 100}" width="1" height="1" fill="#{i * 7:06x}"/>' for i in range(900)
    )
    first = document(steps)
    late = [document(f'<rect y="20" width="40" height="20" fill="{c}"/>') for c in ("#123456", "#fedcba")]
    assert len(np.unique(pixels(svg_to_png(first, scale=1)).reshape(-1, 4), axis=0)) > 256
    found = [frame for _, frame in played(frames_to_gif([first, *[text(str(i)) for i in range(9)], *late], 100))]
    assert len(found) == 12
    assert all(frame[39, 99].tolist() == [255, 255, 255] for frame in found)
    assert [frame[30, 20].tolist() for frame in found[-2:]] == [[0x12, 0x34, 0x56], [0xFE, 0xDC, 0xBA]]


def test_all_frames_share_one_palette() -> None:
    """No frame has a table of colours of its own, or they would flicker."""
    gif = frames_to_gif([text("1"), text("2"), field("red")], 100)
    at = 13 + 3 * (2 << (gif[10] & 7))  # after the header and the table for all
    own = []
    while gif[at : at + 1] != b";":
        if gif[at] == 0x21:  # an extension: its kind, then its blocks
            at += 2
        else:  # a frame: its place, its flags, a byte for the codes, then its blocks
            own.append(bool(gif[at + 9] & 0x80))
            at += 11 + 3 * own[-1] * (2 << (gif[at + 9] & 7))
        while gif[at]:
            at += 1 + gif[at]
        at += 1
    assert own == [False] * 3


def test_a_smaller_frame_stands_on_white_paper() -> None:
    """Frames of a story differ in size; so does transparent paper from white."""
    ((_, first), (_, second)) = played(frames_to_gif([document("", 80, 30), field("red")], 100, scale=0.5))
    assert first.shape == second.shape == (20, 50, 3)
    assert (first == 255).all()


@pytest.mark.wide
@pytest.mark.parametrize("words", [*SENTENCES, *dictionary("en").values()])
def test_a_text_is_never_wider_than_text_width_says(words: str) -> None:
    """Neither in the bundled font nor in DejaVu Sans, as matplotlib has it."""
    folder = Path(require("matplotlib").get_data_path()) / "fonts/ttf"
    wide = ImageFont.truetype(str(folder / "DejaVuSans.ttf"), 1000, layout_engine=ImageFont.Layout.BASIC)
    for line in words.splitlines():
        assert text_width(line, 1000) >= font().getlength(line)
        assert text_width(line, 1000) >= wide.getlength(line)


@pytest.mark.wide
def test_every_character_has_room() -> None:
    """For each character below the arrows, in both fonts, as above."""
    folder = Path(require("matplotlib").get_data_path()) / "fonts/ttf"
    wide = ImageFont.truetype(str(folder / "DejaVuSans.ttf"), 1000, layout_engine=ImageFont.Layout.BASIC)
    for character in map(chr, (*range(0x20, 0x7F), *range(0xA1, 0x100), *range(0x3B1, 0x3CA), *map(ord, "−×·…⌊⌋∗"))):
        assert text_width(character, 1000) >= max(font().getlength(character), wide.getlength(character)), character


def test_widths_grow_with_the_size_and_add_up() -> None:
    """There is no kerning, Chinese is an em wide, and digits are as wide as each other."""
    assert text_width("列矩阵", 10) == 30
    assert text_width("abc", 20) == pytest.approx(2 * text_width("abc", 10))
    assert text_width("abc", 10) == pytest.approx(text_width("a", 10) + text_width("bc", 10))
    assert len({text_width(digit, 10) for digit in "0123456789"}) == 1


def test_the_font_is_small_and_named_as_its_licence_wants() -> None:
    """A changed font must not be called Source."""
    with font_path() as path:
        assert path.stat().st_size < 150_000
    assert font().getname() == ("im2col Sans", "Regular")


@pytest.mark.parametrize(("package", "name"), [("PIL", "Pillow"), ("resvg_py", "resvg")])
def test_a_missing_extra_says_how_to_get_it(package: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its whole message, wherever the package is needed."""
    metrics.font.cache_clear()
    metrics._advance.cache_clear()
    monkeypatch.setitem(sys.modules, package, None)
    needs: dict[str, list[Any]] = {
        "PIL": [lambda: text_width("a", 9), lambda: missing_glyphs("a"), lambda: frames_to_gif([field("red")], 100)],
        "resvg_py": [lambda: svg_to_png(field("red")), lambda: frames_to_gif([field("red")], 100)],
    }
    for call in needs[package]:
        with raises_exactly(MissingExtraError, f"this needs {name}; install it with pip install 'im2col[draw]'"):
            call()


def test_importing_needs_no_extra() -> None:
    """Pillow and resvg are imported when something is drawn, not before."""
    code = "import sys, im2col.pictures.raster; print({'PIL', 'resvg_py'} & {*sys.modules})"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
