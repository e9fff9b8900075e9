"""Judge the links of a built site: every file, page and anchor that a page of it names is there."""

from __future__ import annotations

import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """What one page names, and what can be named in it.

    Parameters
    ----------
    path : Path
        The page's file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors = {""}
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, _: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take a tag's links and its name."""
        given = {name: value or "" for name, value in attrs}
        self.links |= {given[name] for name in ("href", "src") if name in given}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}


def broken(folder: Path) -> list[str]:
    """Return the links of the pages in a folder that lead nowhere, or out of the folder to another file.

    Parameters
    ----------
    folder : Path
        What ``make site`` left.

    Returns
    -------
    list of str
        The page and the link.
    """
    folder = folder.resolve()
    page = cache(Page)
    found = []
    pages = (path for path in folder.rglob("*.html") if "_static" not in path.parts)  # the theme keeps a template there
    for path in sorted(pages):
        for link in sorted(page(path).links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            inside = target.is_file() and target.is_relative_to(folder)
            # The fragment of an explorer is its state.
            is_explorer = inside and target.suffix == ".html" and "im2col-data" in page(target).anchors
            anchored = (
                is_explorer or target.suffix != ".html" or not inside or unquote(parts.fragment) in page(target).anchors
            )
            if not inside or not anchored:
                found.append(f"{path.relative_to(folder)}: {link}")
    return found


if __name__ == "__main__":
    lost = broken(Path(sys.argv[1]))
    sys.stdout.writelines(f"{each}: leads nowhere\n" for each in lost)
    sys.exit(len(lost) > 0)
