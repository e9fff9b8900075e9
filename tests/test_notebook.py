"""Notebooks: what objects show of themselves, the explorer as a widget in a real browser, and the examples, run."""

from __future__ import annotations

import itertools
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import im2col
from im2col import ArgumentError, MissingExtraError, cost, illustrate, plan, plan_transpose
from im2col.pictures.colours import CHANNELS, INK, PAPER, channel_band, channel_tint, darkened, value_colour
from im2col.pictures.notebook import figure_html
from im2col.summary import Summary, Table

from .kit.outcomes import raises_exactly, require
from .kit.processes import HANG_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY = Path(__file__).parents[1]
NOTEBOOKS = sorted((REPOSITORY / "examples").glob("*.ipynb"))
X = np.random.default_rng(0).integers(0, 10, (2, 5, 6))
W = np.random.default_rng(1).integers(-2, 3, (3, 2, 3, 2))
CELL = {"image": 0, "position": 0, "tap": None, "filter": 0, "pixel": None}
HOSTILE = "<img src=x onerror=alert(1)></table><script>alert(2)</script>&amp;\ud800"


class Read(HTMLParser):
    """The tags of a piece of HTML, its cells, and the scope of its headers; what is open at the end was not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.open: list[str] = []
        self.cells: list[str] = []
        self.scopes: list[str | None] = []
        self.rows = 0
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.rows += tag == "tr"
        if tag == "br":
            self.cells[-1] += " "
        elif tag != "img":
            self.open.append(tag)
        if tag in {"td", "th", "p"}:
            self.cells.append("")
        if tag == "th":
            self.scopes.append(dict(attrs).get("scope"))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.cells and self.open and self.open[-1] in {"td", "th", "p"}:
            self.cells[-1] += data


# --- what objects show


def words(text: str) -> list[str]:
    """Return the words of a text, in the order of the alphabet: how they are set does not matter."""
    return sorted(re.findall(r"[\w.()\[\]+×:'-]+", text))


@pytest.mark.parametrize("made", ["plan", "transposed", "product", "gradient", "measured", "cost", "costs", "none"])
def test_html_says_what_print_says(made: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every word once, in tables whose every cell has a header."""
    monkeypatch.setenv("IM2COL_CACHE_DIR", str(tmp_path))
    image, w = (1, 4, 9, 8), np.ones((4, 4, 3, 3), np.float32)
    makers: dict[str, Callable[[], Any]] = {
        "plan": lambda: plan(image, w, padding=1),
        "transposed": lambda: plan_transpose(image, w, stride=2, algorithm="reference"),
        "product": lambda: plan_transpose((1, 64, 8, 8), np.ones((64, 8, 2, 2), np.float32), stride=3),
        "gradient": lambda: im2col.plan_weight_gradient(image, 3, 4, x_dtype=np.float32),
        "measured": lambda: plan(image, w, tune=True),
        "cost": lambda: cost(image, w.shape),
        "costs": lambda: cost([{"x_shape": image, "w_shape": w.shape}, {"x_shape": image, "w_shape": w.shape}]),
        "none": lambda: cost([]),
    }
    found = makers[made]()
    read = Read(found._repr_html_())
    assert read.open == []
    said = " ".join(read.cells)
    headers = " algorithm how, or why not" * said.count("how, or why not") + " 2 layers" * (made == "costs")
    headers += " 0 layers" * (made == "none")
    assert words(said.replace("→ ", "")) == words(str(found).replace("→ ", "") + " " + headers)
    assert set(read.scopes) <= {"row", "col"}
    if made == "measured":
        assert "ms," in said
    assert len(found._repr_html_()) < 9000


def test_what_was_chosen_is_marked() -> None:
    """For those who see it, and for those who hear it."""
    made = plan((1, 4, 9, 8), np.ones((4, 4, 3, 3)), algorithm="explicit")
    assert '<tr aria-current="true"><th scope="row">→ explicit</th>' in made._repr_html_()
    assert made._repr_html_().count("aria-current=") == 1


def test_a_name_can_do_nothing() -> None:
    """Names of layers and of a model's nodes are text, whatever they hold."""
    shown: list[Any] = [
        cost((1, 1, 4, 4), (1, 1, 2, 2), name=HOSTILE),
        cost([{"x_shape": (4, 4), "w_shape": (1, 1, 2, 2), "name": HOSTILE}]),
    ]
    for each in shown:
        read = Read(each._repr_html_())
        assert read.tags.isdisjoint({"img", "script"})
        assert any("<img src=x onerror=alert(1)></table><script>" in cell for cell in read.cells)
        each._repr_html_().encode()
    table = Table(
        (HOSTILE, HOSTILE), ((HOSTILE, HOSTILE),), HOSTILE, 0, (HOSTILE, HOSTILE), (1,), ((HOSTILE, HOSTILE),)
    )
    read = Read(Summary(HOSTILE, ((HOSTILE, HOSTILE),), (table,)).html())
    assert read.tags.isdisjoint({"img", "script"})
    assert len(read.cells) == 3 + 7 + 2


def test_networks_show_themselves() -> None:
    """Their steps in a table, of which a long one is cut; hostile names are text."""
    onnx = require("onnx")
    from im2col.integrations.onnx import load

    hostile = HOSTILE.removesuffix("\ud800")
    helper, names = onnx.helper, [hostile, *(f"y{i}" for i in range(150))]
    nodes = [helper.make_node("Sin", [a], [b], name=f"{hostile}{b}") for a, b in itertools.pairwise(names)]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, hostile, [value(hostile, 1, [2, 3])], [value(names[-1], 1, [2, 3])])
    net = load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))
    read = Read(net._repr_html_())
    assert read.tags.isdisjoint({"img", "script"})
    assert read.open == []
    assert f"{len(net) - 100} more, which print shows" in read.cells
    assert any(hostile in cell for cell in read.cells)
    assert read.rows == 2 + 1 + 100 + 1


def test_a_figure_has_a_dark_colour_for_each_of_its_own() -> None:
    """The picture stays as it is; what is dark on light becomes light on dark."""

    def light(colour: str) -> float:
        return sum(share * int(colour[i : i + 2], 16) for share, i in ((0.2126, 1), (0.7152, 3), (0.0722, 5)))

    pictures = [
        illustrate(X, W, padding=1),
        illustrate(X, W, padding=1, colours="values"),
        illustrate(X, W, step="all", chapter="matmul"),
        illustrate(np.zeros((1, 400, 300), np.uint8), np.ones((1, 1, 3, 3)), chapter="slide"),
    ]
    for picture in pictures:
        shown, svg = picture._repr_html_(), picture._repr_svg_()
        assert shown.endswith(f"</style>{svg}</div>")
        style = shown.partition("<style>")[2].partition("</style>")[0]
        used = set(re.findall(r'(?:fill|stroke)="(#\w+)"', svg))
        assert used == set(re.findall(r'"(#\w+)"', style))
        assert len(shown) < len(svg) + 9000
        rules = dict(re.findall(r'fill="(#\w+)"\]\{fill:(#\w+)\}', style))
        assert light(rules[PAPER]) < 40
        assert light(rules[INK]) > 200
        grounds = [colour for colour in rules if light(colour) > 110]
        assert all(light(rules[colour]) < 120 for colour in grounds)
    tints = [c(i) for c in (channel_tint, channel_band) for i in range(len(CHANNELS))]
    assert len(set(map(darkened, tints))) == len(tints)
    assert darkened(value_colour(0, 1)) == darkened(PAPER)
    assert darkened(value_colour(-2, 4)) != darkened(value_colour(2, 4))


def test_a_figure_is_dark_where_the_notebook_is(browser: Any) -> None:
    """By the notebook's own word first, by the system's wish where it says nothing."""
    shown = figure_html(illustrate(X, W)._repr_svg_())
    dark, white = "rgb(22, 26, 34)", "rgb(255, 255, 255)"
    page = browser.new_page()
    cases = {
        "": (white, dark),
        'data-jp-theme-light="true"': (white, white),
        'data-jp-theme-light="false"': (dark, dark),
        'class="vscode-dark"': (dark, dark),
        'class="vscode-light"': (white, white),
        'class="vscode-high-contrast vscode-high-contrast-light"': (white, white),
        'class="vscode-high-contrast"': (dark, dark),
        'data-theme="dark"': (dark, dark),
    }
    for attributes, expected in cases.items():
        page.set_content(f"<body {attributes}>{shown}")
        paper = page.locator("svg > rect").first
        for scheme, colour in zip(("light", "dark"), expected, strict=True):
            page.emulate_media(color_scheme=scheme)
            assert paper.evaluate("(node) => getComputedStyle(node).fill") == colour, (attributes, scheme)
    page.close()


# --- the explorer as a widget


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where anywidget is missing."""
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "im2col.pictures.notebook.explorer", raising=False)
    with raises_exactly(
        MissingExtraError, "live: this needs anywidget; install it with pip install 'im2col[notebook]'"
    ):
        illustrate(X, W).live()


def test_traits_are_checked() -> None:
    """What is no chapter and no selection is refused, and the trait stays as it is."""
    require("anywidget")
    explorer = illustrate(X, W, filter=2).live()
    assert explorer.selection == {**CELL, "filter": 2}
    explorer.selection = {"position": np.int64(4)}
    assert explorer.selection == {**CELL, "filter": 2, "position": 4}
    explorer.chapter = "matmul"
    names = ", ".join(f"'{name}'" for name in illustrate_chapters())
    refused: list[tuple[str, object, str]] = [
        ("chapter", "end", f"chapter must be one of ({names}), got 'end'"),
        ("selection", {"place": 1}, "a selection has image, position, tap, filter, pixel, not 'place'; leave it out"),
        ("selection", {"position": -1}, "position must be at least 0, got -1"),
        ("selection", {"tap": 0.5}, "tap must be an integer or None, got 0.5"),
        ("selection", {"image": None}, "image must be an integer, got None"),
    ]
    for name, value, message in refused:
        with raises_exactly(ArgumentError, f"Explorer: {message}"):
            setattr(explorer, name, value)
    assert (explorer.chapter, explorer.selection["position"]) == ("matmul", 4)
    with pytest.raises(require("traitlets").TraitError):
        explorer.selection = 3


def illustrate_chapters() -> tuple[str, ...]:
    """Return the names of the chapters."""
    from im2col.pictures.story import chapters

    return tuple(chapters())


def test_a_page_that_holds_no_numbers_is_no_widget_either() -> None:
    """The page's own error, before there is a widget."""
    require("anywidget")
    with pytest.raises(ArgumentError, match=r"\Alive: the explorer computes with real numbers but x is complex128;"):
        illustrate(X * 1j, W).live()


def test_an_exported_explorer_is_the_picture() -> None:
    """Where nobody runs the widget there is the figure."""
    require("anywidget")
    picture = illustrate(X, W)
    data, _ = picture.live()._repr_mimebundle_()
    assert data["text/html"] == picture._repr_html_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["text/plain"] == "<Explorer 'matmul-channels'>"


MODEL = """
// The model of a widget, as front ends have it: state by name, changes that are saved, and who is told of changes.
window.makeModel = (state, save) => {
  const listeners = {}, changed = {};
  return {
    get: (name) => state[name],
    set(name, value) {
      const isSame = JSON.stringify(state[name]) === JSON.stringify(value);
      state[name] = value;
      if (isSame) return;
      changed[name] = value;
      this.tell(name);
    },
    save_changes() {
      if (Object.keys(changed).length) save({ ...changed });
      for (const name of Object.keys(changed)) delete changed[name];
    },
    on: (event, listener) => (listeners[event] ??= []).push(listener),
    off: (event, listener) => (listeners[event] = (listeners[event] ?? []).filter((one) => one !== listener)),
    tell: (name) => (listeners[`change:${name}`] ?? []).forEach((listener) => listener()),
    receive(update) { // from Python: nothing is sent back
      Object.assign(state, update);
      Object.keys(update).forEach((name) => this.tell(name));
    },
    count: () => Object.values(listeners).flat().length,
  };
};
window.show = async (id) => {
  const { default: widget } = await import(URL.createObjectURL(new Blob([esm], { type: "text/javascript" })));
  const el = document.getElementById(id);
  window.ends[id] = await widget.render({ model, el });
};
window.ends = {};
"""


class Notebook:
    """A page with the widget's own module, and Python's own widget, joined by the messages of the widgets' protocol."""

    def __init__(self, browser: Any, explorer: Any) -> None:
        base_comm = require("comm.base_comm")
        notebook = self

        class Comm(base_comm.BaseComm):  # type: ignore[misc, name-defined]
            """What Python says goes to the page."""

            def publish_msg(self, msg_type: str, data: Any = None, **_: Any) -> None:
                if msg_type == "comm_msg" and data["method"] == "update":
                    notebook.sent.append(data["state"])
                    notebook.page.evaluate("(state) => model.receive(state)", data["state"])

        self.explorer = explorer
        self.sent: list[dict[str, Any]] = []
        self.saved: list[dict[str, Any]] = []
        self.wrong: list[str] = []
        self.page = browser.new_page()
        self.page.set_viewport_size({"width": 1200, "height": 900})
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda m: self.wrong.append(m.text) if m.type in {"error", "warning"} else None)
        self.page.on("request", lambda request: self.asked(request.url))
        self.page.set_content("<body><div id=first></div><div id=second></div>")
        self.page.expose_function("toPython", self.save)
        state = {name: value for name, value in explorer.get_state().items() if isinstance(value, (str, dict))}
        explorer.comm = Comm()
        self.page.evaluate(MODEL)
        self.page.evaluate(
            "([esm, state]) => { window.esm = esm; window.model = makeModel(state, toPython); }", [state["_esm"], state]
        )

    def asked(self, url: str) -> None:
        """Take note of what is asked of the network."""
        if not url.startswith(("about:", "blob:", "data:")):
            self.wrong.append(url)

    def save(self, state: dict[str, Any]) -> None:
        """Hand the page's changes to Python, as the kernel does."""
        self.saved.append(state)
        message = {"content": {"data": {"method": "update", "state": state, "buffer_paths": []}}, "buffers": []}
        self.explorer._handle_msg(message)

    def show(self, place: str = "first") -> Any:
        """Show the widget, and return its frame when it listens."""
        self.page.evaluate("(place) => show(place)", place)
        frame = self.page.frame_locator(f"#{place} iframe")
        frame.locator("[data-ready]").wait_for()
        return frame

    def wait(self, condition: Callable[[], bool]) -> None:
        """Let the page's messages arrive."""
        for _ in range(400):
            if condition():
                return
            self.page.wait_for_timeout(25)
        raise AssertionError("nothing came")


@pytest.fixture
def notebook(browser: Any) -> Iterator[Callable[[Any], Notebook]]:
    """Return what opens a page with a widget; nothing may go wrong in it."""
    require("anywidget")
    made: list[Notebook] = []

    def open_(explorer: Any) -> Notebook:
        made.append(Notebook(browser, explorer))
        return made[-1]

    yield open_
    for each in made:
        assert each.wrong == []
        each.page.close()


def heading(frame: Any) -> str:
    """Return which chapter is seen."""
    return str(frame.locator(".chapters [aria-current] .word").inner_text())


def test_a_click_changes_the_trait(notebook: Callable[[Any], Notebook]) -> None:
    """A pinned cell, a chapter, the scrubber: what is seen is what Python reads."""
    there = notebook(illustrate(X, W, chapter="matmul-channels").live())
    frame, explorer = there.show(), there.explorer
    seen: list[Any] = []
    explorer.observe(lambda change: seen.append(change["new"]), "selection")
    frame.locator(".panel.weights .plane rect[width]").nth(0).wait_for()
    rows = frame.locator(".panel.maps .plane").nth(2).locator("[role=row]:has([role=gridcell])")
    rows.nth(1).locator("[role=gridcell] rect").nth(3).click()
    there.wait(lambda: explorer.selection == {**CELL, "position": 8, "filter": 2})
    weights = frame.locator(".panel.weights .plane [role=row]:has([role=gridcell])")
    weights.nth(4).locator("[role=gridcell] rect").nth(1).click()
    there.wait(lambda: explorer.selection == {**CELL, "position": None, "tap": 4, "filter": 1})
    there.saved.clear()
    frame.locator(".chapters button").nth(3).click()
    there.wait(lambda: explorer.chapter == "matmul")
    there.page.wait_for_timeout(150)
    (saved,) = there.saved  # another chapter pins no tap any more: both traits change at once, and nothing comes back
    assert saved == {"chapter": "matmul", "selection": {**CELL, "position": 8, "filter": 2}}
    assert heading(frame) == "Product"
    frame.locator(".scrubber").fill("2")
    there.wait(lambda: explorer.selection["position"] == 2)
    assert seen[-1] == explorer.selection
    assert there.sent == []  # what comes from the page is not sent back to it
    frame.locator(".panel [role=gridcell] rect").nth(5).hover()
    there.page.wait_for_timeout(150)
    assert explorer.selection["position"] == 2  # to point is not to select


def test_a_trait_changes_the_page(notebook: Callable[[Any], Notebook]) -> None:
    """Before it is shown and after; what there is not goes back to what there is."""
    explorer = illustrate(X, W, chapter="matmul-channels").live()
    there = notebook(explorer)
    explorer.chapter, explorer.selection = "concat", {"position": 4, "filter": 1}
    frame = there.show()
    counter = frame.locator(".count")
    there.wait(lambda: counter.inner_text() == "5 / 15")
    current = frame.locator(".chapters [aria-current]")
    there.wait(lambda: str(current.get_attribute("aria-label")).startswith("6 "))
    assert (explorer.chapter, explorer.selection) == ("concat", {**CELL, "position": 4, "filter": 1})
    there.saved.clear()
    explorer.chapter = "matmul-channels"
    explorer.selection = {"tap": 7}
    message = frame.locator(".message")
    there.wait(lambda: message.inner_text().startswith("filter 2, channel 2, row 1, column 2"))
    there.page.wait_for_timeout(150)
    assert there.saved == []  # what the page met in between is no answer
    explorer.selection = {"filter": None, "pixel": 31}
    there.wait(lambda: message.inner_text().startswith("pixel row 1, column 2, channel 2"))
    explorer.selection = {"pixel": 10**6}
    there.wait(lambda: explorer.selection["pixel"] == 31)
    explorer.selection = {"position": 10**6, "filter": 2}
    there.wait(lambda: explorer.selection == {**CELL, "position": 14, "filter": 2})
    assert counter.inner_text() == "15 / 15"
    explorer.selection = {"position": 0}
    there.wait(lambda: counter.inner_text() == "1 / 15")
    assert explorer.selection["filter"] == 2


def test_two_views_are_one(notebook: Callable[[Any], Notebook]) -> None:
    """What is selected in one output is selected in the other; a closed one is forgotten."""
    there = notebook(illustrate(X, W, chapter="matmul-channels").live())
    first, second = there.show("first"), there.show("second")
    first.locator(".scrubber").fill("6")
    there.wait(lambda: second.locator(".count").inner_text() == "7 / 15")
    second.locator(".scrubber").fill("9")
    there.wait(lambda: first.locator(".count").inner_text() == "10 / 15")
    there.wait(lambda: there.explorer.selection["position"] == 9)
    assert there.page.evaluate("model.count()") == 4
    there.page.evaluate("document.body.append(document.getElementById('first'))")  # a frame that is moved begins anew
    first.locator("[data-ready]").wait_for()
    there.wait(lambda: first.locator(".count").inner_text() == "10 / 15")
    first.locator(".scrubber").fill("11")
    there.wait(lambda: there.explorer.selection["position"] == 11)
    there.page.evaluate("ends.first(); ends.second()")
    assert there.page.evaluate("model.count()") == 0


def test_a_frame_is_as_high_as_its_page_and_as_dark(notebook: Callable[[Any], Notebook]) -> None:
    """Nothing is cut off; the notebook's theme is its own, now and later; no address is written and none is offered."""
    there = notebook(illustrate(X, W, chapter="matmul-channels").live())
    there.page.emulate_media(color_scheme="dark")
    frame = there.show()
    height = "(id) => document.querySelector('#first iframe').clientHeight"
    content = frame.locator("#im2col")
    there.wait(lambda: abs(there.page.evaluate(height, "first") - content.bounding_box()["height"]) <= 1)
    root = frame.locator("html")
    there.wait(lambda: root.get_attribute("data-theme") == "light")  # black text on this page, whatever the system is
    there.page.evaluate("document.body.style.color = '#eee'")
    there.wait(lambda: root.get_attribute("data-theme") == "dark")
    frame.locator(".export > button").click()
    assert frame.locator(".menu button").count() == 3
    assert there.page.evaluate("window.location.href") == "about:blank"


def test_a_frame_reaches_nothing_around_it(notebook: Callable[[Any], Notebook]) -> None:
    """It runs in a sandbox, and does not listen to others than the page around it."""
    there = notebook(illustrate(X, W, chapter="matmul-channels").live())
    frame = there.show()
    reached = "() => { try { return parent.document.title + '!'; } catch { return 'refused'; } }"
    assert frame.locator("#im2col").evaluate(reached) == "refused"
    frame.locator("#im2col").evaluate("() => window.postMessage({ im2col: { chapter: 'slide' } }, '*')")
    there.page.evaluate("window.postMessage({ im2col: { chapter: 'slide', selection: {} } }, '*')")
    there.page.wait_for_timeout(150)
    assert there.explorer.chapter == "matmul-channels"
    assert str(frame.locator(".chapters [aria-current]").get_attribute("aria-label")).startswith("8 ")


# --- the notebooks in examples/


def source(cell: Any) -> str:
    """Return what stands in a cell."""
    return "".join(cell["source"])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_kept_without_outputs(path: Path) -> None:
    """Nothing of a run is kept, nor of the machine that it ran on; each begins with a title and words."""
    text = path.read_text("utf-8")
    notebook = json.loads(text)
    assert text == json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert all(cell["metadata"] == {} for cell in notebook["cells"])
    assert notebook["metadata"] == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert notebook["cells"][0]["cell_type"] == "markdown"
    assert source(notebook["cells"][0]).startswith("# ")


def test_there_are_notebooks() -> None:
    """The page on notebooks names each of them."""
    page = (REPOSITORY / "docs/notebooks.md").read_text("utf-8")
    assert {path.stem for path in NOTEBOOKS} == {"first-steps", "live-explorer", "reading-a-plan"}
    assert [path.name for path in NOTEBOOKS if f"`examples/{path.name}`" not in page] == []


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def executed(request: pytest.FixtureRequest) -> Any:
    """Run a notebook in a kernel of its own, cell by cell; an error in a cell is one here."""
    nbformat, nbclient = require("nbformat"), require("nbclient")
    for name in ("ipykernel", "anywidget", "llvmlite"):
        require(name)
    notebook = nbformat.read(request.param, 4)
    resources = {"metadata": {"path": str(REPOSITORY)}}
    client = nbclient.NotebookClient(
        notebook, timeout=HANG_SECONDS, startup_timeout=HANG_SECONDS, kernel_name="python3", resources=resources
    )
    return request.param.stem, client.execute()


def shown(notebook: Any) -> list[Any]:
    """Return what the cells show, by type."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", ()))
    return [output["data"] for output in outputs if "data" in output]


def test_notebooks_run(executed: tuple[str, Any]) -> None:
    """Each shows what it says that it shows."""
    name, notebook = executed
    html = [data["text/html"] for data in shown(notebook) if "text/html" in data]
    assert not [
        output for cell in notebook.cells for output in cell.get("outputs", ()) if output.get("name") == "stderr"
    ]
    if name == "first-steps":
        assert [text.count("<svg") for text in html] == [1, 1]
    elif name == "reading-a-plan":
        assert len(html) == 6
        assert all("im2col-summary" in text for text in html)
        assert "measured" in html[-1]
    else:
        assert len(html) == 2
        assert any("application/vnd.jupyter.widget-view+json" in data for data in shown(notebook))


def test_notebooks_can_be_exported(executed: tuple[str, Any], browser: Any) -> None:
    """Without the widgets' state the explorer is its picture; nothing that a reader sees is missing."""
    exporter = require("nbconvert").HTMLExporter(embed_images=True)
    _, notebook = executed
    notebook = notebook.copy()
    notebook.metadata = {key: value for key, value in notebook.metadata.items() if key != "widgets"}
    body, _ = exporter.from_notebook_node(notebook)
    pictures = sum("<svg" in data.get("text/html", "") for data in shown(notebook))
    page = browser.new_page()
    page.route("**/*", lambda route: route.abort())  # the template asks the network for what draws formulas
    page.set_content(body)
    assert page.locator(".im2col-figure svg").count() == pictures
    assert all(
        box["height"] > 100 for box in (each.bounding_box() for each in page.locator(".im2col-figure svg").all())
    )
    page.close()
