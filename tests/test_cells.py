"""Examples that readers run in their browsers: what a cell shows, and whole pages in a real Pyodide.

``make docs`` builds the site that is visited here, and npm brings Pyodide: see `tests/kit/pyodide.py`.
"""

from __future__ import annotations

import doctest
import email
import importlib
import json
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import im2col

from .kit.no_engine import CORE
from .kit.outcomes import require
from .kit.pyodide import make_pyodide, part
from .kit.site import SITE, served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DOCUMENTS = Path(__file__).parents[1] / "docs"
WITHOUT_PILLOW = ("from PIL", "illustrate(")
"""What a cell says that npm's Pyodide cannot run."""
TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}
IDLE = "() => ![...document.querySelectorAll('.cell-run')].some((each) => /Stop|停止/.test(each.textContent))"


def address() -> str:
    """Return where the pages of the site look for Pyodide."""
    found = re.search(r'^cells_python = "(https://.+/)"$', (DOCUMENTS / "conf.py").read_text("utf-8"), re.MULTILINE)
    assert found
    return found[1]


def blocks(page: str) -> list[list[doctest.Example]]:
    """Return the examples of a page that are cells, block after block."""
    text = (DOCUMENTS / f"{page}.md").read_text("utf-8")
    if page == "notebooks":
        text = text[text.index("\n## In the browser") :]
    found = re.findall(r"```python\n(.+?)```", text, re.DOTALL)
    return [doctest.DocTestParser().get_examples(block) for block in found]


@pytest.fixture
def run_cell(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[bool, list[tuple[str, str]]]]:
    """Return a function that runs a cell here, and returns whether it ran and what it showed."""
    monkeypatch.syspath_prepend(DOCUMENTS / "_static")
    module = importlib.import_module("cells_run")

    def run(code: str, names: dict[str, Any] | None = None) -> tuple[bool, list[tuple[str, str]]]:
        shown: list[tuple[str, str]] = []
        done = module.run_cell(code, "<1>", {} if names is None else names, lambda *part: shown.append(part))
        return done, shown

    return run


def test_a_cell_shows_what_a_prompt_shows(run_cell: Callable[..., Any]) -> None:
    """What is printed, on both streams, and each statement's value that is not None, in order; the names stay."""
    names: dict[str, Any] = {}
    code = "import sys\na = 2\na\nNone\nprint('b', file=sys.stderr)\nfor i in range(2):\n    i\n'é'"
    done, shown = run_cell(code, names)
    assert done
    assert [kind for kind, _ in shown] == ["text"] * len(shown)
    assert "".join(text for _, text in shown) == "2\nb\n'é'\n"
    assert names["a"] == 2


def test_a_cell_shows_pictures(run_cell: Callable[..., Any]) -> None:
    """HTML where a value has it, PNG otherwise; each with what was printed before it."""
    picture = require("PIL.Image").fromarray(np.zeros((2, 3), np.uint8))
    figure = im2col.illustrate(np.ones((3, 3)), np.ones((2, 2)))
    done, shown = run_cell("print(1)\nfigure\npicture", {"figure": figure, "picture": picture})
    assert done
    assert shown[-2] == ("html", figure._repr_html_())
    kind, text = shown[-1]
    assert kind == "html"
    assert re.fullmatch(r'<img src="data:image/png;base64,iVBOR[\w+/=]+" alt="&lt;PIL.+size=3x2.*&gt;">', text)


def test_a_value_without_a_picture_of_its_own_is_told(run_cell: Callable[..., Any]) -> None:
    """What gives None for HTML, or for PNG, has none, as in notebooks: the next way is taken."""
    code = """class Value:
    def _repr_html_(self):
        return None
    def _repr_png_(self):
        return b"png" if self.drawn else None
    def __repr__(self):
        return "a <value>"

value = Value()
Value.drawn = False
value
Value.drawn = True
value"""
    done, shown = run_cell(code)
    assert done
    picture = '<img src="data:image/png;base64,cG5n" alt="a &lt;value&gt;">'
    assert shown == [("text", "a <value>\n"), ("html", picture)]


@pytest.mark.parametrize("code", ["for i in range(10**5):\n    print(i)", "'0' * 10**6", "print('0' * 10**6)"])
def test_a_cell_shows_no_more_than_a_page_can(run_cell: Callable[..., Any], code: str) -> None:
    """However much is printed, or a value's representation has; what is cut off is told once."""
    done, shown = run_cell(f"{code}\nprint('after')")
    assert done
    text = "".join(text for _, text in shown)
    note = "\n… no more than 30000 characters are shown\n"
    assert text.endswith(note)
    assert len(text) == 30_000 + len(note)
    done, shown = run_cell("print('0' * 29_999)")  # and the end of the line
    assert "".join(text for _, text in shown) == "0" * 29_999 + "\n"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (
            "print(1)\nx = 1 / 0\nprint(2)",
            'Traceback [^"]+  File "<1>", line 2, in <module>\n    x = 1 / 0\n.*ZeroDivisionError: division by zero\n',
        ),
        ("x = (", '  File "<1>", line 1\n    x = \\(\n.*SyntaxError: .+\n'),
        ("raise SystemExit(3)", "Traceback .+\nSystemExit: 3\n"),
        ("import im2col\nim2col.output_shape((2, 2), 3)", "Traceback .+im2col.errors.\\w+: output_shape: .+\n"),
    ],
    ids=["statement", "syntax", "exit", "refusal"],
)
def test_an_error_ends_a_cell(run_cell: Callable[..., Any], code: str, told: str) -> None:
    """It is shown as text, from the cell's own line on, and nothing after it runs."""
    done, shown = run_cell(code)
    assert not done
    kind, text = shown[-1]
    assert kind == "error"
    assert re.fullmatch(told, text, re.DOTALL)
    assert "cells_run" not in text
    assert "2\n" not in [text for kind, text in shown if kind == "text"]


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    """Serve the site as any static host does; see `missing` for when it has not been built."""
    with served() as site:
        yield site


def test_the_wheel_of_the_site(host: str) -> None:
    """All of the sources and their data, for every Python that has NumPy; llvmlite is not for browsers."""
    del host  # the site is built
    requirements = require("packaging.requirements")
    sources = Path(im2col.__path__[0])
    for language in ("", "zh"):
        (file,) = (SITE / language / "_static").glob("*.whl")
        assert file.name == f"im2col-{im2col.__version__}-py3-none-any.whl"
        with zipfile.ZipFile(file) as wheel:
            told = {name.rpartition("/")[2]: name for name in wheel.namelist() if ".dist-info/" in name}
            packed = {name: wheel.read(name) for name in wheel.namelist() if name not in told.values()}
            metadata, kind = (email.message_from_bytes(wheel.read(told[name])) for name in ("METADATA", "WHEEL"))
        assert kind["Root-Is-Purelib"] == "true"
        found = [requirements.Requirement(each) for each in metadata.get_all("Requires-Dist", [])]
        browser = {"sys_platform": "emscripten", "extra": ""}
        wanted = {each.name for each in found if not each.marker or each.marker.evaluate(browser)}
        assert wanted == {"numpy", "threadpoolctl"}
        files = [path for path in sources.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        assert packed.keys() >= {f"im2col/{path.relative_to(sources)}" for path in files if path.suffix == ".py"}
        assert all(
            packed[name] == (sources.parent / name).read_bytes() for name in packed if name.startswith("im2col/")
        )
        assert "im2col/data/im2col-sans.otf" in packed


@pytest.fixture
def visit(browser: Any, host: str) -> Iterator[Callable[..., Any]]:
    """Return a function that opens a page whose Pyodide is a folder, or cannot be reached; and notes other requests."""
    contexts = []

    def open_page(path: str, pyodide: Path | None = None, **window: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | window)
        contexts.append(context)
        asked: list[str] = []

        def answer(route: Any) -> None:
            url = route.request.url
            asked.append(url)
            file = pyodide / url.removeprefix(address()) if pyodide and url.startswith(address()) else None
            if file is None:
                route.abort()
            elif file.exists():
                headers = {"Access-Control-Allow-Origin": "*", "Content-Type": TYPES.get(file.suffix, "text/plain")}
                route.fulfill(path=file, headers=headers)
            else:
                route.fulfill(status=404)

        context.route(lambda url: not url.startswith(host), answer)
        page = context.new_page()
        page.asked = asked
        page.goto(host + path)
        return page

    yield open_page
    for context in contexts:
        context.close()


def press(page: Any, number: int, code: str | None = None) -> tuple[str, str]:
    """Press a cell's button, with other code in it if it is open; return what it shows, and what is said beside it."""
    box = page.locator(".cell-box").nth(number)
    if code is not None:
        box.locator("textarea").fill(code)
    box.locator("button").click()
    page.wait_for_function(IDLE)
    parts = box.locator(".cell-output > *").all_text_contents()
    return "".join(parts), box.locator(".cell-status").inner_text()


def violations(page: Any) -> list[Any]:
    """Return what axe says of a page."""
    axe = require("axe_playwright_python.sync_playwright").Axe()
    return [(each["id"], each["nodes"][0]["html"][:200]) for each in axe.run(page).response["violations"]]


@pytest.mark.parametrize("language", ["", "zh/"])
def test_where_pyodide_cannot_be_reached(visit: Callable[..., Any], language: str) -> None:
    """A page asks for nothing before a press; then it says what it missed, in its language, and is as it was."""
    page = visit(f"{language}start.html")
    page.wait_for_load_state("networkidle")
    boxes = page.locator(".cell-box")
    assert boxes.count() == len(blocks("start"))
    assert page.asked == []
    for _ in range(2):  # and once more, should the reader try again
        shown, told = press(page, 1)
        assert f"{address()}pyodide.mjs" in shown
        assert told.startswith("无法从" if language else "Python could not be loaded from")
        assert address() in told
    assert set(page.asked) == {f"{address()}pyodide.mjs"}
    assert boxes.nth(1).locator("button").inner_text() == ("运行" if language else "Run")
    assert violations(page) == []


def test_cells_are_used_by_keys(visit: Callable[..., Any]) -> None:
    """Tab leads to the button and, once it is pressed, to the code above it; Shift+Enter there is a press, too."""
    page = visit("start.html")
    first = page.locator(".cell-box").first
    first.locator("button").focus()
    page.keyboard.press("Enter")
    page.wait_for_function(IDLE)
    page.keyboard.press("Shift+Tab")
    assert first.locator("textarea").evaluate("(editor) => editor === document.activeElement")
    asked = len(page.asked)
    page.keyboard.press("End")
    page.keyboard.press("Shift+Enter")
    page.wait_for_function(IDLE)
    assert len(page.asked) == asked + 1
    code = "".join(example.source for example in blocks("start")[0]).strip()
    assert first.locator("textarea").input_value().strip() == code


@pytest.fixture(scope="module")
def pyodide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a Pyodide whose NumPy is npm's."""
    folder = tmp_path_factory.mktemp("pyodide") / "full"
    make_pyodide(folder)
    return folder


def press_in_turn(page: Any, name: str) -> None:
    """Press all cells of a page: each gives what the page prints, or says that it needs Pillow."""
    checker = doctest.OutputChecker()
    examples = blocks(name)
    assert page.locator(".cell-box").count() == len(examples)
    for i, block in enumerate(examples):
        shown, told = press(page, i)
        if any(word in example.source for example in block for word in WITHOUT_PILLOW):
            assert "Pillow" in shown or "'PIL'" in shown or "'pillow'" in shown, (i, shown)
            continue
        wanted = "".join(example.want for example in block)
        assert checker.check_output(wanted, shown, doctest.NORMALIZE_WHITESPACE), (i, shown)
        assert bool(told) == (not shown)


def test_the_tutorial_in_pyodide(visit: Callable[..., Any], pyodide: Path) -> None:
    """A network is trained in the browser, with the answers that the page has."""
    press_in_turn(visit("tutorial.html", pyodide), "tutorial")


def test_the_first_steps_in_pyodide(visit: Callable[..., Any], pyodide: Path) -> None:
    """A press runs the cells above first, once, and shows nothing of them; what is changed runs, and can be stopped."""
    page = visit("start.html", pyodide, color_scheme="dark", viewport={"width": 390, "height": 844})
    shown, told = press(page, 2)
    assert (shown.strip(), told) == ("array([ 0, -8,  0, -8, 32, -8])", "")
    assert page.locator(".cell-output > *").count() == 1
    press_in_turn(page, "start")
    shown, _ = press(page, 2, "columns = im2col(image, 3) + 1\nconv2d(image, kernel, stride=0)")
    assert re.search(r'File "<3>", line 2, in <module>.+GeometryError: conv2d: stride must be', shown, re.DOTALL)
    shown, _ = press(page, 2, "int(columns.min())")
    assert shown == "2\n"
    drawn = im2col.illustrate(np.arange(20).reshape(4, 5), np.ones((3, 3)), chapter="matmul", step=4)._repr_html_()
    table = "from im2col import cost\ncost((3, 32, 32), (8, 3, 3, 3))\n"
    figure = f"class Figure:\n    def _repr_html_(self):\n        return {drawn!r}\n\nprint('drawn')\nFigure()"
    press(page, 2, table + figure)
    box = page.locator(".cell-box").nth(2)
    assert box.locator(".cell-html table th").count() > 3
    picture = box.locator(".cell-html svg")
    assert picture.bounding_box()["width"] > 100
    assert box.locator("pre").inner_text().strip() == "drawn"
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert violations(page) == []
    shown, _ = press(page, 2, CORE)
    cause = "ModuleNotFoundError: No module named 'llvmlite'"
    refusal = f"plan: algorithm 'implicit' cannot solve this: the engine cannot be used ({cause}); use algorithm='auto'"
    assert shown.splitlines() == [cause, refusal]  # the one warning of a process was the first cell's
    box.locator("textarea").fill("while True:\n    print('more')")
    box.locator("button").click()
    page.wait_for_function("() => /no more than/.test(document.querySelectorAll('.cell-output')[2].textContent)")
    _, told = press(page, 2)
    assert told.startswith("Stopped.")


def test_the_pyodide_of_the_site_up_to_numpy(visit: Callable[..., Any]) -> None:
    """The one that pages name starts, and asks its own server, and nobody else, for what npm does not have."""
    folder = part("pyodide-named")
    version = json.loads((folder / "package.json").read_text("utf-8"))["version"]
    assert address() == f"https://cdn.jsdelivr.net/pyodide/v{version}/full/"
    page = visit("notebooks.html", folder)
    shown, told = press(page, 0)
    assert "No module named 'numpy'" in shown
    assert told.startswith("Python could not be loaded from")
    files = [url.removeprefix(address()) for url in page.asked]
    assert {re.split(r"-\d", name)[0] for name in files if name.endswith(".whl")} == {
        "numpy",
        "pillow",
        "threadpoolctl",
    }
    assert not [name for name in files if "://" in name]
