"""The site: its reference is complete, its translations are whole, and its pages can be used by everyone.

``make docs`` judges words, names and links, and fails at any warning. What is tested of built pages needs that it ran.
"""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import im2col
from im2col.pictures.text import dictionary

from .kit.outcomes import require
from .kit.site import SITE, Quiet, served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY = Path(__file__).parents[1]
DOCUMENTS = REPOSITORY / "docs"

INTEGRATIONS = ["dask", "jax", "keras", "onnx", "torch", "xarray"]

KINDS = {
    "home": "index.html",
    "article": "article.html",
    "first steps": "start.html",
    "tutorial": "tutorial.html",
    "guide": "photographs.html",
    "wide tables": "precision.html",
    "long lines": "reading-plans.html",
    "table": "dtypes.html",
    "listing": "reference/index.html",
    "function": "reference/generated/im2col.conv.html",
    "class": "reference/generated/im2col.Plan.html",
    "command line": "reference/command-line.html",
    "long text": "performance.html",
    "pairs of calls": "coming-from/scipy.html",
    "list of calls": "coming-from/index.html",
    "gallery": "gallery/index.html",
    "program": "gallery/networks/digits.html",
    "search": "search.html?q=stride",
    "home, in Chinese": "zh/index.html",
    "article, in Chinese": "zh/article.html",
    "first steps, in Chinese": "zh/start.html",
    "pairs of calls, in Chinese": "zh/coming-from/torch.html",
    "guide, in Chinese": "zh/reading-plans.html",
    "gallery, in Chinese": "zh/gallery/index.html",
    "program, in Chinese": "zh/gallery/grids/life.html",
    "guide that is not translated": "zh/photographs.html",
}
"""A page of each kind."""


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    """Serve the site as any static host does; see `missing` for when it has not been built."""
    with served() as address:
        yield address


@pytest.fixture
def visit(browser: Any, host: str) -> Iterator[Callable[..., Any]]:
    """Return a function that opens a page of the site, in a window and a colour scheme, and lets it ask nobody else."""
    contexts = []

    def open_page(path: str, width: int = 1280, scheme: str = "light") -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.elsewhere = []
        page.on("request", lambda request: page.elsewhere.append(request.url) if host not in request.url else None)
        page.on("pageerror", lambda error: page.elsewhere.append(str(error)))
        page.goto(host + path)
        return page

    yield open_page
    for context in contexts:
        context.close()


def listed() -> set[str]:
    """Return every name that a page of the reference lists."""
    names = set()
    for page in (DOCUMENTS / "reference").glob("*.md"):
        for module, block in re.findall(
            r"```\{eval-rst\}\n(?:\.\. currentmodule:: (\w+)\n\n)?\.\. autosummary::\n(.+?)```",
            page.read_text("utf-8"),
            re.DOTALL,
        ):
            prefix = f"{module}." if module else ""
            names |= {prefix + name for name in re.findall(r"^   ~?([\w.]+)$", block, re.MULTILINE)}
    return names


def test_the_reference_lists_every_public_name() -> None:
    """Those of the package and of its integrations, and no other."""
    public = {f"im2col.{name}" for name in im2col.__all__}
    for name in INTEGRATIONS:
        require({"keras": "numpy"}.get(name, name))
        module = importlib.import_module(f"im2col.integrations.{name}")
        public |= {f"{module.__name__}.{each}" for each in getattr(module, "__all__", ["load_keras"])}
    assert listed() == public


def test_every_integration_is_in_the_reference() -> None:
    """What `INTEGRATIONS` lists is what there is."""
    folder = Path(im2col.__path__[0]) / "integrations"
    found = {path.stem for path in folder.iterdir() if path.stem.isidentifier() and not path.stem.startswith("__")}
    assert sorted(found) == INTEGRATIONS


def test_every_command_is_in_the_reference(host: str) -> None:
    """The page of the command line, which typer writes, has a section for each command."""
    del host  # the site is built
    require("typer")
    from im2col.cli.commands import app

    page = (SITE / "reference/command-line.html").read_text("utf-8")
    names = {str(command.name or getattr(command.callback, "__name__", "")) for command in app.registered_commands}
    assert {"filter", "matrix"} <= names
    assert {name for name in names if f'id="im2col-{name}"' not in page} == set()


@pytest.mark.parametrize("language", ["", "zh/"])
def test_every_program_of_the_gallery_is_a_page(host: str, language: str) -> None:
    """The gallery leads to it, and it has its picture, with words for who does not see it."""
    del host  # the site is built
    gallery = SITE / language / "gallery"
    index = (gallery / "index.html").read_text("utf-8")
    for script in (REPOSITORY / "examples/gallery").glob("*/*.py"):
        name = f"{script.parent.name}/{script.stem}"
        assert f'href="{name}.html"' in index
        page = (gallery / f"{name}.html").read_text("utf-8")
        assert re.search(rf'<img src="[^"]*sphx_glr_{script.stem}_001.png"[^>]* alt="[^"]+"', page)


def test_every_page_stands_in_a_table_of_contents() -> None:
    """Sphinx warns of a page that it cannot reach; here the same is seen without Sphinx."""
    told = "\n".join(path.read_text("utf-8") for path in DOCUMENTS.rglob("*.md"))
    trees = "\n".join(re.findall(r"```\{toctree\}\n(.+?)```", told, re.DOTALL)).split()
    pages = {path.stem for path in DOCUMENTS.glob("*.md")} - {"index"}
    assert {page for page in pages if page not in trees and f"../{page}" not in trees} == set()


def test_translated_pages_are_those_that_are_listed() -> None:
    """A page has Chinese words if docs/translations/pages.txt names it, and only then; ``make docs`` judges them."""
    pages = (DOCUMENTS / "translations/pages.txt").read_text("utf-8").split()
    folder = DOCUMENTS / "translations/zh_CN/LC_MESSAGES"
    kept = sorted(str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.po"))
    assert pages == sorted(pages) == kept
    for page in pages:
        assert "#, fuzzy" not in (folder / f"{page}.po").read_text("utf-8")


def test_the_first_steps_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every example of docs/start.md gives what it prints, and writes the files that it says."""
    for name in ("llvmlite", "PIL.Image"):
        require(name)
    monkeypatch.chdir(tmp_path)
    page = str(DOCUMENTS / "start.md")
    failed, tried = doctest.testfile(page, module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0
    assert tried > 30
    assert {path.name for path in tmp_path.iterdir()} == {"sharp.png", "matmul.svg", "explorer.html"}


@pytest.mark.parametrize(("name", "lang"), [("first-slide", "en"), ("first-slide.zh_CN", "zh")])
def test_the_first_figure_of_the_first_steps(tmp_path: Path, name: str, lang: str) -> None:
    """It shows the image and the kernel that the page begins with."""
    names: dict[str, Any] = {}
    for example in doctest.DocTestParser().get_examples((DOCUMENTS / "start.md").read_text("utf-8")):
        if "kernel" in names:
            break
        exec(example.source, names)  # noqa: S102 (our own page)
    picture = im2col.illustrate(names["image"], names["kernel"], chapter="slide", step="all", lang=lang)
    drawn = picture.save(tmp_path / f"{name}.svg")
    assert drawn.read_text("utf-8") == (DOCUMENTS / "figures" / drawn.name).read_text("utf-8")


def run_article() -> tuple[doctest.TestResults, dict[str, Any]]:
    """Run every example of docs/article.md; return how many there are, and what they leave."""
    require("llvmlite")
    page = DOCUMENTS / "article.md"
    test = doctest.DocTestParser().get_doctest(page.read_text("utf-8"), {}, page.name, str(page), 0)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    return runner.run(test, clear_globs=False), test.globs


def test_the_article_runs() -> None:
    """Every example gives what it prints, the answers of the exercises too."""
    result, _ = run_article()
    assert result.failed == 0
    assert result.attempted > 70


def test_the_article_computes_what_its_explorers_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same pixels and the same weights."""
    require("sphinx")
    monkeypatch.syspath_prepend(DOCUMENTS)
    shown = importlib.import_module("explorers")
    _, names = run_article()
    np.testing.assert_array_equal(names["channels"], shown.IMAGE)
    np.testing.assert_array_equal(names["filters"], shown.FILTERS)


def test_the_first_page_runs() -> None:
    """Its ten lines are right, and print a plan."""
    require("llvmlite")
    code = re.findall(r"```python\n(.+?)```", (DOCUMENTS / "index.md").read_text("utf-8"), re.DOTALL)
    assert len(code) == 1
    exec(compile(code[0], "docs/index.md", "exec"), {})  # noqa: S102 (our own page)


@pytest.mark.wide
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_axe_violations_and_nothing_is_cut_off(visit: Callable[..., Any], kind: str, scheme: str) -> None:
    """On a phone and on a desk; the page is as wide as the window, asks no other host, and runs without an error."""
    axe = require("axe_playwright_python.sync_playwright").Axe()
    for width in (1280, 390):
        page = visit(KINDS[kind], width=width, scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        found = axe.run(page).response["violations"]
        assert [(each["id"], [node["html"][:160] for node in each["nodes"][:2]]) for each in found] == []
        assert page.elsewhere == []


@pytest.mark.wide
@pytest.mark.parametrize("width", [1000, 1280])
@pytest.mark.parametrize("path", ["how-to.html", "zh/how-to.html"])
def test_the_header_is_one_line(visit: Callable[..., Any], path: str, width: int) -> None:
    """All names stand beside each other, none below a word that opens more; and the search beside them."""
    names = visit(path, width=width).locator(".navbar-header-items__center li, .navbar-header-items__end .navbar-item")
    boxes = names.evaluate_all("(all) => all.map((each) => each.getBoundingClientRect())")
    assert len(boxes) == 7 + 3
    assert max(box["top"] for box in boxes) < min(box["bottom"] for box in boxes)


@pytest.mark.wide
@pytest.mark.parametrize("path", ["coming-from/numpy.html", "zh/coming-from/opencv.html"])
def test_both_calls_are_seen_on_a_phone(visit: Callable[..., Any], path: str) -> None:
    """No table of theirs and ours has to be moved aside to see ours."""
    tables = visit(path, width=390).locator("article table")
    assert tables.count() > 2
    rights = tables.evaluate_all("(all) => all.map((each) => each.getBoundingClientRect().right)")
    assert max(rights) <= 390


@pytest.mark.wide
@pytest.mark.parametrize(
    ("path", "words", "page"),
    [
        ("", "conv_input_gradient", "im2col.conv_input_gradient"),
        ("", "column matrix", "First steps"),
        ("", "reconstruct_from_patches_2d", "From scikit-image"),
        ("", "conv_general_dilated_patches", "From JAX"),
        ("", "nlfilter", "From MATLAB"),
        ("zh/", "列矩阵", "入门"),
        ("zh/", "filter2D", "从 OpenCV 转来"),
        ("zh/", "核", "入门"),
        ("zh/", "矩阵卷", ""),
        ("zh/", "conv_input_gradient", "im2col.conv_input_gradient"),
    ],
)
def test_the_search_finds(visit: Callable[..., Any], path: str, words: str, page: str) -> None:
    """In both languages, names and words; of Chinese any phrase, which no dictionary has to know."""
    opened = visit(f"{path}search.html?q={words}")
    opened.wait_for_selector("#search-results .search-summary, #search-results p.search-summary")
    found = opened.locator("#search-results li").all_inner_texts()
    assert (not page and not found) or any(page.lower() in each.lower() for each in found), found


@pytest.mark.wide
def test_a_page_leads_to_itself_in_the_other_language(visit: Callable[..., Any]) -> None:
    """And back; a page that is not translated says so, and is marked as English."""
    page = visit("photographs.html")
    page.locator("a.language:visible").first.click()
    page.wait_for_url("**/zh/photographs.html")
    page.wait_for_selector(".untranslated")
    assert page.locator("article [lang=en] h1").count() == 1
    page.locator("a.language:visible").first.click()
    page.wait_for_url(lambda url: url.endswith("/photographs.html") and "/zh/" not in url)
    assert visit("zh/start.html").locator(".untranslated").count() == 0


STEPS = [
    *("slide", "decompose", "matrix", "matmul", "channels", "concat", "filters", "matmul-channels"),
    *("padding-stride", "slide", "fold", "view"),
]
"""The chapters of the article, in its order."""


@pytest.mark.wide
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize(("path", "lang"), [("article.html", "en"), ("zh/article.html", "zh")])
def test_the_explorers_of_the_article(visit: Callable[..., Any], path: str, lang: str, width: int) -> None:
    """Each opens at its step when it comes near, in the page's language and as dark as the page, as high as it needs.

    Nothing is cut off, everyone can use it, and all of them are one file that is sent once.
    """
    axe = require("axe_playwright_python.base").AXE_SCRIPT
    Quiet.sent.clear()
    page = visit(path, width=width, scheme="dark")
    frames = page.locator("figure.explorer iframe")
    assert frames.count() == len(STEPS)
    assert frames.last.evaluate("(frame) => frame.contentDocument.URL") == "about:blank"  # not asked for yet
    for i, chapter in enumerate(STEPS):
        frames.nth(i).scroll_into_view_if_needed()
        inside = frames.nth(i).content_frame
        inside.locator("[data-ready]").wait_for()
        assert inside.locator(".heading").inner_text() == dictionary(lang)[f"chapter.{chapter}"]
        assert inside.locator("html").get_attribute("lang") == lang
        assert inside.locator("html").get_attribute("data-theme") == "dark"
        assert inside.locator(".count").inner_text() == ("2 / 4" if i == 9 else "5 / 9")
        assert inside.locator("button:visible, select:visible, input:visible").count() == 3  # the player's
        told = inside.locator("html").evaluate(
            """(root) => {
              const bar = root.querySelector(".bar").getBoundingClientRect();
              return [root.scrollWidth - root.clientWidth, root.clientHeight - bar.bottom];
            }"""
        )
        assert told[0] == 0
        assert 0 <= told[1] <= 40
        inside.locator("html").evaluate("(_, source) => window.eval(source)", axe)
        found = inside.locator("html").evaluate("async () => (await axe.run()).violations.map((each) => each.id)")
        assert found == [], chapter
    titles = frames.evaluate_all("(all) => all.map((frame) => frame.title)")
    assert len(set(titles)) == len(STEPS)
    page.evaluate("document.documentElement.dataset.theme = 'light'")
    frames.first.content_frame.locator("html[data-theme=light]").wait_for()
    assert [each for each in Quiet.sent if "explorer" in each] == [f"/{path.replace('article', 'explorer')}"]
    assert page.elsewhere == []


@pytest.mark.wide
def test_the_article_without_scripts(browser: Any, host: str) -> None:
    """Each explorer is a picture that the library drew."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{host}article.html")
    pictures = page.locator("figure.explorer > img")
    assert pictures.count() == len(STEPS)
    for i in range(len(STEPS)):
        pictures.nth(i).scroll_into_view_if_needed()
        assert page.locator("figure.explorer iframe").nth(i).is_hidden()
        assert pictures.nth(i).get_attribute("alt")
    page.wait_for_load_state("networkidle")
    sources = [each.get_attribute("src") for each in pictures.all()]
    assert [source for source in sources if not (SITE / str(source)).read_text("utf-8").startswith("<svg")] == []
    context.close()
