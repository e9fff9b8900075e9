"""The Chinese words of the site: ``make docs`` judges them, ``make translations`` writes their files anew.

For each page of docs/translations/pages.txt a file beside it holds every paragraph with its Chinese. A paragraph
without any is missing; one whose English has changed is marked ``fuzzy`` when the files are written, and missing, too.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

FOLDER = Path(__file__).parents[1] / "docs/translations"
KEPT = FOLDER / "zh_CN/LC_MESSAGES"


def read(path: Path) -> Catalog:
    """Return what a file of paragraphs holds, nothing if there is none."""
    if not path.exists():
        return Catalog(locale="zh_CN")
    with path.open("rb") as file:
        return read_po(file, locale="zh_CN")


def has_words(paragraph: str) -> bool:
    """Return whether there is more to a paragraph than code, as in most cells of some tables."""
    return bool(re.search(r"\w", re.sub(r"(`+).+?\1", "", paragraph)))


def missing(template: Path, kept: Path) -> list[str]:
    """Return the paragraphs of a page that have no Chinese, and the Chinese that belongs to no paragraph.

    Parameters
    ----------
    template : Path
        What Sphinx's builder ``gettext`` made of the page.
    kept : Path
        The page's file, which need not exist.

    Returns
    -------
    list of str
        In English.
    """
    wanted, told = ({each.id: each for each in read(path) if has_words(each.id)} for path in (template, kept))
    untold = [each for each in wanted if each not in told or told[each].fuzzy or not told[each].string]
    return untold + [each for each in told if each not in wanted]


def update(template: Path, kept: Path) -> None:
    """Write a page's file anew: new paragraphs are added, changed ones marked, those that are gone left out."""
    catalog = read(kept)
    catalog.update(read(template))
    slim = Catalog(locale="zh_CN")
    for message in catalog:
        if has_words(message.id):
            slim.add(message.id, message.string, flags=message.flags, previous_id=message.previous_id)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with kept.open("wb") as file:
        write_po(file, slim, width=120, omit_header=True, include_previous=True)


def main(folder: Path, write: bool) -> int:
    """Judge every page, after its file was written anew if that is wanted; return how many paragraphs are missing."""
    count = 0
    for page in (FOLDER / "pages.txt").read_text("utf-8").split():
        template, kept = folder / f"{page}.pot", KEPT / f"{page}.po"
        if write:
            update(template, kept)
        for each in missing(template, kept):
            sys.stdout.write(f"{kept.name}: not translated: {each}\n")
            count += 1
    return count


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), "--write" in sys.argv) > 0)
