"""Make the font that PNG and GIF pictures are set in: a subset of Noto Sans CJK SC, for the words of the dictionaries.

    python tools/subset_font.py /usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc

Run it after a change of ``src/im2col/pictures/text/*.json``; it needs fontTools (``pip install fonttools``) and
Debian's ``fonts-noto-cjk``, or the same file from elsewhere. The result is the same each time.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from fontTools import subset
from fontTools.pens.t2CharStringPen import T2CharStringPen
from fontTools.ttLib import TTCollection, TTFont

PACKAGE = Path(__file__).parents[1] / "src/im2col"
TARGET = PACKAGE / "data/im2col-sans.otf"
FAMILY, FACE = "im2col Sans", "Noto Sans CJK SC"
SIGNS = "×·÷⊙⊗−±→←↑↓⇒ΣΔ∑∈∞≤≥≈…⋯–—′″“”‘’°⁴■□●○▲▼◀▶，。、；：（）「」《》！？"
ALIASES = {"∗": "*"}
"""Signs that the source lacks, and what stands for them."""
BRACKETS = {"⌊": ("¶", 1), "⌋": ("§", -1)}
"""Signs that are drawn here, each in the place of one that pictures do not use, with the direction of its foot."""


def wanted() -> set[str]:
    """Return the characters of labels and dictionaries: ASCII, Latin letters, Greek letters, signs, and all words."""
    characters = {chr(i) for i in (*range(0x20, 0x7F), *range(0xA0, 0x100), *range(0x3B1, 0x3CA))} | set(SIGNS)
    for path in sorted((PACKAGE / "pictures/text").glob("*.json")):
        characters |= set("".join(json.loads(path.read_text("utf-8")).values()))
    return characters - set("\n\t")


def draw_bracket(font: TTFont, name: str, direction: int) -> None:
    """Replace a glyph by a floor bracket, as wide as the square bracket: a stem with a foot."""
    strings = font["CFF "].cff[0].CharStrings
    _, sector = strings.getItemAndSelector(name)
    private = font["CFF "].cff[0].FDArray[sector].Private
    width, stem, foot, top, bottom = 340, 66, 150, 800, -180
    left = 110 if direction > 0 else width - 110 - stem
    inner, outer = (left + stem, left + stem + foot) if direction > 0 else (left, left - foot)
    back = left if direction > 0 else left + stem
    pen = T2CharStringPen(width - private.nominalWidthX, None)
    pen.moveTo((back, bottom))
    for point in ((outer, bottom), (outer, bottom + stem), (inner, bottom + stem), (inner, top), (back, top)):
        pen.lineTo(point)
    pen.closePath()
    drawn = pen.getCharString(private, strings[name].globalSubrs)
    strings[name].program, strings[name].bytecode = drawn.program, None
    font["hmtx"][name] = (width, min(back, outer))


def main(source: str) -> None:
    """Write the subset, and say what the source lacks."""
    (font,) = (f for f in TTCollection(source).fonts if f["name"].getDebugName(1) == FACE)
    characters = (wanted() | {spare for spare, _ in BRACKETS.values()}) - {*ALIASES, *BRACKETS}
    missing = sorted(c for c in characters if ord(c) not in font.getBestCmap())
    options = subset.Options()
    options.layout_features, options.hinting, options.notdef_outline = [], False, True
    options.name_IDs, options.drop_tables = (
        [0, 1, 2, 4, 6, 13, 14],
        [*options.drop_tables, "vhea", "vmtx", "VORG", "BASE"],
    )
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=[ord(c) for c in characters])
    subsetter.subset(font)
    for number, text in ((1, FAMILY), (2, "Regular"), (4, FAMILY), (6, FAMILY.replace(" ", ""))):
        font["name"].setName(text, number, 3, 1, 0x409)
    for table in (t.cmap for t in font["cmap"].tables if t.isUnicode()):
        for sign, plain in ALIASES.items():
            table[ord(sign)] = table[ord(plain)]
        for sign, (spare, _) in BRACKETS.items():
            table[ord(sign)] = table.pop(ord(spare))
    for sign, (_, direction) in BRACKETS.items():
        draw_bracket(font, font.getBestCmap()[ord(sign)], direction)
    top = font["CFF "].cff
    top.fontNames = [FAMILY.replace(" ", "")]
    font["head"].modified = font["head"].created
    font.recalcTimestamp = False
    font.save(TARGET)
    sys.stdout.write(f"{TARGET.name}: {len(characters) - len(missing)} characters, {TARGET.stat().st_size} bytes\n")
    if missing:
        sys.stdout.write(f"missing in the source: {' '.join(missing)}\n")


if __name__ == "__main__":
    main(sys.argv[1])
