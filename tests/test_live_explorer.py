"""The explorer as a widget: Python's traits at one end, the widget's module in a real browser at the other."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from im2col import ArgumentError, MissingExtraError, illustrate
from im2col.pictures.story import chapters

from .kit.outcomes import raises_exactly, require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

X = np.random.default_rng(0).integers(0, 10, (2, 5, 6))
W = np.random.default_rng(1).integers(-2, 3, (3, 2, 3, 2))
CELL = {"image": 0, "position": 0, "tap": None, "filter": 0, "pixel": None}


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
    names = ", ".join(f"'{name}'" for name in chapters())
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


def test_traits_are_checked_where_notifications_are_held() -> None:
    """As at any other time: nothing wrong is kept or told, what came before it is, and what is left out stays."""
    require("anywidget")
    explorer = illustrate(X, W, filter=2).live()
    told: list[tuple[str, object]] = []
    explorer.observe(lambda change: told.append((change["name"], change["new"])), ["chapter", "selection"])
    for name, wrong in [("selection", {"place": 1}), ("selection", {"position": -1}), ("chapter", "end")]:
        with pytest.raises(ArgumentError), explorer.hold_trait_notifications():
            setattr(explorer, name, wrong)
        with pytest.raises(ArgumentError):
            explorer.set_trait(name, wrong)
    assert (explorer.chapter, explorer.selection, told) == ("matmul-channels", {**CELL, "filter": 2}, [])
    with explorer.hold_trait_notifications():
        explorer.selection = {"filter": 1}
        explorer.selection = {"position": 4}
        explorer.chapter = "matmul"
        with pytest.raises(ArgumentError):
            explorer.selection = {"tap": 0.5}
    assert told == [("selection", {**CELL, "filter": 1, "position": 4}), ("chapter", "matmul")]
    with pytest.raises(require("traitlets").TraitError), explorer.hold_trait_notifications():
        explorer.selection = 3
    assert explorer.selection == {**CELL, "filter": 1, "position": 4}


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

        class Comm(base_comm.BaseComm):  # type: ignore[misc, name-defined]  # comm has no types here
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
