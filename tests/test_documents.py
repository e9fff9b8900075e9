"""The pages: their code runs as printed, their links lead somewhere, their tables and figures are what code gives."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

from . import journeys
from .kit.outcomes import require
from .kit.rooms import ORDER

REPOSITORY = Path(__file__).parents[1]
PAGES = sorted(
    path.relative_to(REPOSITORY)
    for path in (*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md"), *REPOSITORY.glob("docs/coming-from/*.md"))
)


@pytest.mark.every
@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    """Every link within the repository names a file that exists."""
    path = REPOSITORY / page
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text("utf-8"))
    assert [link for link in links if "://" not in link and not (path.parent / link).exists()] == []


def test_the_page_on_how_a_layer_runs_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every example gives what it prints, and the figure of the tile is what the library draws."""
    for name in ("llvmlite", "PIL.Image"):
        require(name)
    monkeypatch.chdir(REPOSITORY)
    failed, tried = doctest.testfile(
        str(journeys.PAGE), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE
    )
    assert failed == 0
    assert tried > 40


def test_the_page_on_fewer_multiplications_runs() -> None:
    """Every example gives what it prints: each algorithm is spelled out, and agrees with the convolution."""
    require("llvmlite")
    page = str(REPOSITORY / "docs/fewer-multiplications.md")
    failed, tried = doctest.testfile(page, module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0
    assert tried > 25


def test_the_page_on_photographs_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder with a file of the name that it uses."""
    np, tifffile = require("numpy"), require("tifffile")
    tifffile.imwrite(tmp_path / "scan.tif", np.zeros((200, 300), np.uint8), photometric="minisblack")
    page = str(REPOSITORY / "docs/photographs.md")
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testfile(page, module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0
    assert tried == 7
    assert sorted(path.name for path in tmp_path.iterdir()) == ["resumed.png", "scan.tif", "soft.png"]
    assert (tmp_path / "resumed.png").read_bytes() == (tmp_path / "soft.png").read_bytes()


def test_the_page_on_notebooks_runs() -> None:
    """Every example gives what it prints; the widget is Python's end of it."""
    for name in ("llvmlite", "anywidget"):
        require(name)
    page = str(REPOSITORY / "docs/notebooks.md")
    failed, tried = doctest.testfile(page, module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0
    assert tried == 20


def test_the_journeys_are_as_told() -> None:
    """Calls and files are as many as the page says; ``python -m tests.journeys`` writes them anew."""
    for name in ("llvmlite", "PIL.Image"):
        require(name)
    found = journeys.counts()
    assert journeys.table(found) == journeys.recorded()
    assert found["`conv2d`, third call"].calls <= 25


def test_the_house_is_as_told() -> None:
    """The map at the page's end names every room, from the ground up."""
    found = re.search(r"^src/im2col/\n(.+?)```", journeys.PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert found
    rooms = re.findall(r"(?<=\s)\w+", " ".join(line[:26] for line in found[1].splitlines()))
    assert tuple(rooms) == ORDER


def test_every_promise_is_held() -> None:
    """Each row of the page on promises names tests, and every test that it names exists."""
    rows = [line for line in (REPOSITORY / "docs/promises.md").read_text("utf-8").splitlines() if line.startswith("| ")]
    promises = [row for row in rows if not row.startswith("| promise")]
    assert len(promises) > 25
    assert [row for row in promises if not re.search(r"`test_\w+\.py", row)] == []
    named = re.findall(r"`(test_\w+\.py)(?:::(\w+))?`", "\n".join(promises))
    lost = [
        (file, test)
        for file, test in named
        if f"def {test}(" * bool(test) not in (REPOSITORY / "tests" / file).read_text("utf-8")
    ]
    assert lost == []


def test_the_page_on_speed_shows_what_was_printed() -> None:
    """Each table of a CPU stands in the file of that CPU that its section links to, which is what a command printed."""
    page = (REPOSITORY / "docs/performance.md").read_text("utf-8")
    shown = 0
    for section in page.split("\n## ")[1:]:
        files = re.findall(r"\]\((performance/[^)]+\.txt)\)", section)
        printed = "\n".join((REPOSITORY / "docs" / file).read_text("utf-8") for file in files)
        for language, block in re.findall(r"^```(\w*)\n(.+?)\n```$", section, re.DOTALL | re.MULTILINE):
            assert language or block in printed
            shown += not language
    assert shown > 6
