"""Notebooks: what objects show of themselves, and the notebooks in examples/, run and exported."""

from __future__ import annotations

import itertools
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import im2col
from im2col import cost, illustrate, plan, plan_transpose
from im2col.pictures.colours import CHANNELS, INK, PAPER, channel_band, channel_tint, darkened, value_colour
from im2col.pictures.notebook import figure_html
from im2col.summary import Summary, Table

from .kit.outcomes import require
from .kit.processes import HANG_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).parents[1]
NOTEBOOKS = sorted((REPOSITORY / "examples").glob("*.ipynb"))
X = np.random.default_rng(0).integers(0, 10, (2, 5, 6))
W = np.random.default_rng(1).integers(-2, 3, (3, 2, 3, 2))
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
    headers = " algorithm how, or why not" * said.count("how, or why not")
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
    assert [path.name for path in NOTEBOOKS if f"](../examples/{path.name})" not in page] == []


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
