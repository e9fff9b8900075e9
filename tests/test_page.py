"""The explorer in a real browser: what lights up, what keys and controls do, what can be taken away, for everybody."""

from __future__ import annotations

import base64
import itertools
import json
import re
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from im2col import ArgumentError, conv2d, illustrate
from im2col.pictures.page import page_html
from im2col.pictures.pictured_layer import make_pictured_layer
from im2col.pictures.plane import Selection
from im2col.pictures.story import chapters
from im2col.pictures.text import dictionary, languages

from .kit.outcomes import raises_exactly, require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

CHAPTERS = tuple(chapters())
MOST_BYTES = 100_000
X = np.random.default_rng(0).integers(0, 10, (2, 5, 6))
W = np.random.default_rng(1).integers(-2, 3, (3, 2, 3, 2))


IS_HEADING = "(text) => document.querySelector('.heading').textContent === text"
CATCH_COPIES = """Object.defineProperty(navigator, "clipboard", {
  value: {writeText: async (text) => { window.copied = text; }},
})"""


@pytest.fixture
def explore(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Return what opens the explorer of a layer; no test may leave an error or a request behind."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000}, accept_downloads=True)
    wrong: list[str] = []

    def explore(
        x: Any = X, w: Any = W, *, fragment: str = "", media: dict[str, str] | None = None, **options: Any
    ) -> Any:
        path = illustrate(x, w, **options).save(tmp_path / "page.html", force=True)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type in {"error", "warning"} else None)
        page.on("request", lambda request: wrong.append(request.url) if _is_outside(request.url) else None)
        page.emulate_media(**(media or {}))
        page.goto(path.as_uri() + fragment)
        page.wait_for_selector("[data-ready]")
        return page

    yield explore
    context.close()
    assert wrong == []


def _is_outside(url: str) -> bool:
    return not url.startswith(("file:", "data:", "blob:"))


def cell(page: Any, panel: str, plane: int, row: int, column: int) -> Any:
    """Return the rectangle of a cell."""
    views = page.locator(f".panel.{panel} .plane").nth(plane)
    return views.locator("[role=row]:has([role=gridcell])").nth(row).locator("[role=gridcell] rect").nth(column)


def labels(page: Any, panel: str, plane: int = 0) -> list[list[str]]:
    """Return the texts of a plane's cells, row by row."""
    rows: list[list[str]] = (
        page.locator(f".panel.{panel} .plane")
        .nth(plane)
        .evaluate(
            """(plane) => [...plane.querySelectorAll("[role=row]:has([role=gridcell])")].map((row) =>
          [...row.querySelectorAll("[role=gridcell] .label")].map((text) => text.textContent))"""
        )
    )
    return rows


def numbers(page: Any, panel: str, plane: int = 0) -> NDArray[np.int64]:
    """Return the numbers in a plane's cells."""
    return np.array([[int(text.replace("−", "-")) for text in row] for row in labels(page, panel, plane)])


def orders(page: Any, panel: str, plane: int = 0) -> dict[tuple[int, int], int]:
    """Return the small numbers in a plane's cells, by row and column."""
    found: list[list[int]] = (
        page.locator(f".panel.{panel} .plane")
        .nth(plane)
        .evaluate(
            """(plane) => {
          const svg = plane.querySelector("svg"), box = (node) => node.getBoundingClientRect();
          const rows = [...svg.querySelectorAll("[role=row]:has([role=gridcell])")]
            .map((row) => [...row.querySelectorAll("[role=gridcell] rect")].map(box));
          return [...svg.querySelectorAll(".order")].map((text) => {
            const at = box(text), x = at.left + 1, y = (at.top + at.bottom) / 2;
            const r = rows.findIndex((row) => y >= row[0].top && y <= row[0].bottom);
            return [r, rows[r].findIndex((cell) => x >= cell.left && x <= cell.right), +text.textContent];
          });
        }"""
        )
    )
    return {(row, column): number for row, column, number in found}


def outlined(page: Any, panel: str, plane: int = 0) -> set[tuple[int, int]]:
    """Return the cells inside the outline of a plane: those whose middle has an odd number of edges above it."""
    found: list[list[int]] = (
        page.locator(f".panel.{panel} .plane")
        .nth(plane)
        .evaluate(
            """(plane) => {
          const path = (plane.querySelector(".lit").getAttribute("d") ?? "").split("M").slice(1);
          const edges = path.map((edge) => edge.match(/^([\\d.]+) ([\\d.]+)H([\\d.]+)/)).filter(Boolean);
          const flat = edges.map((edge) => edge.slice(1).map(Number));
          const isInside = (rect) => {
            const [x, y, w, h] = ["x", "y", "width", "height"].map((name) => +rect.getAttribute(name));
            const middle = [x + w / 2, y + h / 2];
            return flat.filter(([l, t, r]) => l <= middle[0] && r >= middle[0] && t < middle[1]).length % 2 === 1;
          };
          const rows = [...plane.querySelectorAll("[role=row]:has([role=gridcell])")]
            .map((row) => [...row.querySelectorAll("[role=gridcell] rect")]);
          return rows.flatMap((row, r) => row.flatMap((rect, c) => (isInside(rect) ? [[r, c]] : [])));
        }"""
        )
    )
    return {(row, column) for row, column in found}


def said(page: Any) -> str:
    """Return what the selection says, and its formula."""
    return f"{page.inner_text('.message')} {page.inner_text('.formula')}".strip()


# --- the file


def test_the_file_is_small_and_alone() -> None:
    """Less than 100 KB beside the arrays; nothing in it leads out; twice the same."""
    layer = make_pictured_layer(X, W)
    arguments: dict[str, Any] = {"chapter": "matmul", "selection": Selection(0, 0, None, 0), "lang": "en"}
    page = page_html(layer, **arguments)
    data = json.loads(page.partition('id="im2col-data">')[2].partition("</script>")[0])
    arrays = len(data["image"]["base64"]) + len(data["weights"]["base64"])
    assert len(page.encode()) - arrays < MOST_BYTES
    assert page == page_html(layer, **arguments)
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)|@import""", page)
    assert set(re.findall(r"url\(([^)]*)\)", page.partition("<script")[0])) <= {
        '"#hatch"',
        *(f'"#stripe-{i}"' for i in range(6)),
    }
    packed = re.findall(r'atob\("([^"]*)"\)', page)
    script = zlib.decompress(base64.b64decode(packed[0])).decode()
    outside = set(re.findall(r"https?://[^\s\"'`]+", page + script))
    assert outside == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\b(?:fetch|import)\(|XMLHttpRequest|WebSocket", script)
    assert data["image"]["dtype"] == "uint8"
    assert set(data["languages"]) == set(languages())


def test_a_photo_stays_as_small_as_itself() -> None:
    """The column matrix is not in the page."""
    photo = np.random.default_rng(0).integers(0, 256, (3, 224, 224), np.uint8)
    page = page_html(
        make_pictured_layer(photo, W.repeat(2, 1)[:, :3]), chapter="slide", selection=Selection(), lang="en"
    )
    assert len(page) < MOST_BYTES + 4 / 3 * 1.01 * photo.nbytes


def test_what_a_page_cannot_hold() -> None:
    """Complex numbers, and integers beyond a double's."""
    with raises_exactly(
        ArgumentError,
        "the explorer computes with real numbers but x is complex128; save .svg, or pass x.real",
    ):
        page_html(make_pictured_layer(X * 1j, W), chapter="slide", selection=Selection(), lang="en")
    with raises_exactly(
        ArgumentError,
        "the explorer's numbers are exact up to 2**53 but w of int64 holds 9007199254740992; save .svg, or "
        "scale it down",
    ):
        page_html(make_pictured_layer(X, np.full_like(W, 1 << 53)), chapter="slide", selection=Selection(), lang="en")
    with np.errstate(over="ignore"):
        great = np.longdouble(np.finfo(np.float64).max) * 2
    if np.isfinite(great):  # where a long double has more exponents than a double
        with pytest.raises(ArgumentError, match=r"^the explorer's numbers end at 1\.8e308 but x of "):
            page_html(make_pictured_layer(X * great, W), chapter="slide", selection=Selection(), lang="en")


def test_words_cannot_end_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence may hold any characters."""
    words = {**dictionary("en"), "title": "</script><script>alert(1)</script>"}
    monkeypatch.setattr("im2col.pictures.page.dictionary", lambda *_: words)
    page = page_html(make_pictured_layer(X, W), chapter="slide", selection=Selection(), lang="en")
    assert "<script>alert" not in page


# --- linked highlighting


def patch_pixels(position: int, width: int = 5) -> list[tuple[int, int]]:
    """Return the pixels (row, column) under a window of 3 × 2 at a position, in flattening order, by plain loops."""
    top, left = divmod(position, width)
    return [(top + i, left + j) for i in range(3) for j in range(2)]


def test_an_output_cell(explore: Callable[..., Any]) -> None:
    """It lights its patch in each channel, its row, its filter's column, and the formula in flattening order."""
    page = explore(chapter="matmul-channels")
    cell(page, "maps", 2, 1, 3).hover()  # filter 3, position 8
    position = 1 * 5 + 3
    assert outlined(page, "matrix") == {(position, tap) for tap in range(12)}
    assert orders(page, "matrix") == {(position, tap): tap + 1 for tap in range(12)}
    assert outlined(page, "weights") == {(tap, 2) for tap in range(12)}
    assert outlined(page, "product") == {(position, 2)}
    assert [outlined(page, "maps", plane) for plane in range(3)] == [set(), set(), {(1, 3)}]
    pixels = [int(X[c][at]) for c in range(2) for at in patch_pixels(position)]
    result = sum(p * v for p, v in zip(pixels, W[2].reshape(-1).tolist(), strict=True))
    terms = " + ".join(f"{p}×{v}" if v >= 0 else f"{p}×({v})" for p, v in zip(pixels, W[2].reshape(-1), strict=True))
    assert said(page) == f"output row 2, column 4, filter 3 {result} = {terms}".replace("-", "−")
    page.get_by_role("button", name="Channels", exact=False).first.click()
    cell(page, "maps", 2, 1, 3).hover()
    for channel in range(2):
        expected = {at: 6 * channel + i + 1 for i, at in enumerate(patch_pixels(position))}
        assert orders(page, "image", channel) == expected
        assert outlined(page, "image", channel) == set(expected)


def test_a_matrix_row_and_a_column(explore: Callable[..., Any]) -> None:
    """A row lights its patch and its pixel in all maps; a column its tap, and the strided sub-grid that it reads."""
    page = explore(chapter="matmul-channels", stride=2)
    header = page.locator(".panel.matrix [role=rowheader]").nth(4).bounding_box()  # of row 5
    page.mouse.move(header["x"] + 2, header["y"] + header["height"] / 2)
    assert outlined(page, "matrix") == {(4, tap) for tap in range(12)}
    assert [outlined(page, "maps", plane) for plane in range(3)] == [{(1, 1)}] * 3
    assert said(page) == "patch 5: output row 2, column 2"
    box = page.locator(".panel.matrix svg").bounding_box()
    first = cell(page, "matrix", 0, 0, 7).bounding_box()
    page.mouse.move(first["x"] + 10, box["y"] + 5)  # the header of tap 8
    assert outlined(page, "matrix") == {(position, 7) for position in range(6)}
    assert said(page) == "tap 8 (channel 2, row 1, column 2): one pixel of every patch, 6 in all"
    page = explore(chapter="concat", stride=2)
    box = page.locator(".panel.matrix svg").bounding_box()
    page.mouse.move(cell(page, "matrix", 0, 0, 7).bounding_box()["x"] + 10, box["y"] + 5)
    assert outlined(page, "image", 0) == set()
    assert outlined(page, "image", 1) == {(2 * y, 2 * x + 1) for y in range(2) for x in range(3)}


def test_a_pixel_and_a_filter_element(explore: Callable[..., Any]) -> None:
    """A pixel lights every copy of it; a filter element its column and its products."""
    page = explore(chapter="concat")
    cell(page, "image", 1, 2, 3).hover()
    copies = {(p, 6 + tap) for p in range(15) for tap, at in enumerate(patch_pixels(p)) if at == (2, 3)}
    assert len(copies) == 6
    assert outlined(page, "matrix") == copies
    assert said(page) == f"pixel row 3, column 4, channel 2: {X[1, 2, 3]}, copied 6×"
    page = explore(chapter="matmul-channels")
    cell(page, "weights", 0, 8, 1).hover()
    assert outlined(page, "matrix") == {(p, 8) for p in range(15)}
    assert outlined(page, "weights") == {(8, 1)}
    weight = int(W[1].reshape(-1)[8])
    assert said(page).startswith(f"filter 2, channel 2, row 2, column 1: the weight {weight} meets".replace("-", "−"))
    assert f"{X[1, 1, 0]}×" in said(page)


def test_headers_have_the_focus_too(explore: Callable[..., Any]) -> None:
    """From the first row the focus moves up to a column's header, from the first column left to a row's."""
    page = explore(chapter="matmul-channels")
    page.locator(".panel.matrix [role=grid]").focus()
    for key in ("ArrowRight", "ArrowUp", "ArrowRight", "ArrowUp"):
        page.keyboard.press(key)
    assert outlined(page, "matrix") == {(position, 2) for position in range(15)}
    active = page.locator(".panel.matrix [role=grid]").get_attribute("aria-activedescendant")
    assert page.locator(f"#{active}").get_attribute("role") == "columnheader"
    for key in ("ArrowDown", "ArrowDown", "ArrowLeft", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    assert outlined(page, "matrix") == {(1, tap) for tap in range(12)}
    assert [outlined(page, "maps", plane) for plane in range(3)] == [{(0, 1)}] * 3
    active = page.locator(".panel.matrix [role=grid]").get_attribute("aria-activedescendant")
    assert page.locator(f"#{active}").get_attribute("role") == "rowheader"


def test_pointing_at_a_product(explore: Callable[..., Any]) -> None:
    """A product of the formula has its channel's tint, and lights its two factors."""
    page = explore(chapter="matmul-channels", step=3, filter=1)
    terms = page.locator(".formula .term")
    assert [term.split()[1] for term in terms.evaluate_all("(all) => all.map((one) => one.className)")] == (
        ["tint-0"] * 6 + ["tint-1"] * 6
    )
    terms.nth(7).hover()
    assert page.locator(".formula .pointed").all_text_contents() == [terms.nth(7).text_content()]
    for panel, at in (("matrix", (3, 7)), ("weights", (7, 1))):
        point, its_cell = (
            page.locator(f".panel.{panel} .point").bounding_box(),
            cell(page, panel, 0, *at).bounding_box(),
        )
        assert its_cell["x"] < point["x"] < its_cell["x"] + its_cell["width"]
        assert its_cell["y"] < point["y"] < its_cell["y"] + its_cell["height"]
    page.mouse.move(5, 5)
    assert page.locator(".formula .pointed").count() == 0


SOBEL = np.array([[1, 2, 1], [0, 0, 0], [-1, -2, -1]])


def test_pointing_at_tiles_and_factors(explore: Callable[..., Any]) -> None:
    """Each cell means a pixel, a position or a tap of the layer, and lights what belongs to that."""
    page = explore(np.arange(35).reshape(5, 7), SOBEL, chapter="tiles")
    pointed = {  # (chapter, panel, row, column): what is said, another panel, and what is lit there
        ("tiles", "tiles", 1, 5): ("pixel row 2, column 4, channel 1: 10, copied 2×", "tiles", {(0, 7), (1, 5)}),
        ("tiles", "tiles", 5, 15): ("tile 6: output row 3, column 5", "tiles", {(5, i) for i in range(16)}),
        ("tiles", "tile-values", 3, 2): (
            "tile 4: output row 3, column 1",
            "image",
            {(y, x) for y in (2, 3, 4) for x in range(4)},
        ),
        ("tiles", "image", 4, 6): ("pixel row 5, column 7, channel 1: 34, copied 1×", "tiles", {(5, 10)}),
        ("tile-kernel", "tile-of-weights", 8, 0): (
            "filter 1, channel 1, row 3, column 3: the weight −1 meets 15 pixels",
            "tile-kernel",
            {(0, 4 * y + x) for y in (1, 2, 3) for x in (1, 2, 3)},
        ),
        ("tile-products", "tile-products", 2, 0): (
            "tile 3: output row 1, column 5",
            "tile-values",
            {(2, i) for i in range(16)},
        ),
        ("tile-results", "tile-results", 0, 3): ("tile 1: output row 2, column 2", "maps", {(1, 1)}),
        ("tile-results", "tile-results", 2, 1): ("tile 3: output row 1, column 5", "maps", {(0, 4)}),
        ("factors", "kernel-column", 2, 0): (
            "filter 1, channel 1, row 3, column 2: the weight −2 meets 15 pixels",
            "kernel-rest",
            {(2, 1)},
        ),
        ("factors", "kernel-row", 0, 2): (
            "filter 1, channel 1, row 1, column 3: the weight 1 meets 15 pixels",
            "kernel-rest",
            {(0, 2)},
        ),
        ("two-passes", "pixel-columns", 0, 1): ("pixel row 2, column 1, channel 1: 7, copied 2×", "image", {(1, 0)}),
        ("two-passes", "middle", 1, 6): ("patch 10: output row 2, column 5", "maps", {(1, 4)}),
        ("two-passes", "middle-rows", 3, 0): ("patch 4: output row 1, column 4", "middle", {(0, 3), (0, 4), (0, 5)}),
        ("two-passes", "maps", 2, 0): ("patch 11: output row 3, column 1", "middle-rows", {(10, i) for i in range(3)}),
    }
    for (chapter, panel, row, column), (message, other, expected) in pointed.items():
        page.evaluate("(name) => { location.hash = `chapter=${name}`; }", chapter)
        page.wait_for_function(IS_HEADING, arg=dictionary("en")[f"chapter.{chapter}"])
        cell(page, panel, 0, row, column).hover()
        assert page.inner_text(".message") == message, (chapter, panel)
        assert outlined(page, other) == expected, (chapter, panel)
        page.mouse.move(5, 5)
    page.evaluate("location.hash = 'chapter=tiles'")
    page.wait_for_function(IS_HEADING, arg=dictionary("en")["chapter.tiles"])
    cell(page, "image", 0, 2, 3).dblclick()
    page.locator(".editor").fill("90")
    page.keyboard.press("Enter")
    assert numbers(page, "tiles")[0, 11] == 90


def test_click_pins_and_escape_clears(explore: Callable[..., Any]) -> None:
    """What is pinned stays when the pointer leaves; Enter pins too; hover alone does not last."""
    page = explore(chapter="matmul-channels")
    start = said(page)
    cell(page, "weights", 0, 3, 0).hover()
    assert said(page) != start
    page.mouse.move(5, 5)
    assert said(page) == start
    cell(page, "weights", 0, 3, 0).click()
    pinned = said(page)
    cell(page, "maps", 1, 0, 0).hover()
    assert said(page) == pinned
    page.keyboard.press("Escape")
    page.mouse.move(5, 5)
    assert said(page) == start
    page.locator(".panel.weights [role=grid]").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    focused = said(page)
    page.locator(".panel.matrix [role=grid]").focus()
    assert said(page) == focused
    assert focused.startswith("filter 1, channel 1, row 3, column 1: the weight")


def test_touch_is_the_same(browser: Any, tmp_path: Path) -> None:
    """A tap on a cell pins it."""
    path = illustrate(X, W, chapter="matmul-channels").save(tmp_path / "touch.html")
    context = browser.new_context(has_touch=True, viewport={"width": 900, "height": 900})
    page = context.new_page()
    page.goto(path.as_uri())
    page.wait_for_selector("[data-ready]")
    cell(page, "product", 0, 4, 2).tap()
    assert page.inner_text(".message") == "output row 1, column 5, filter 3"
    context.close()


# --- what moves


def test_the_scrubber(explore: Callable[..., Any]) -> None:
    """It runs over all positions; every panel follows."""
    page = explore(chapter="matrix")
    scrubber = page.locator(".scrubber")
    assert (scrubber.get_attribute("min"), scrubber.get_attribute("max")) == ("0", "14")
    for position in (14, 0, 7):
        scrubber.fill(str(position))
        assert outlined(page, "matrix") == {(position, tap) for tap in range(6)}
        assert numbers(page, "patch").reshape(-1).tolist() == [int(X[0][at]) for at in patch_pixels(position)]
        assert page.inner_text(".count") == f"{position + 1} / 15"


def test_playing(explore: Callable[..., Any]) -> None:
    """It plays from where it is, faster if asked, pauses under the pointer, stops at the end, and never by itself."""
    page = explore(chapter="slide", media={"reduced_motion": "reduce"})
    page.wait_for_timeout(300)
    assert page.inner_text(".count") == "1 / 15"
    page.select_option(".speed", "2")
    assert page.locator(".speed option").all_inner_texts() == ["0.25×", "0.5×", "1×", "2×", "4×"]
    page.locator(".play").click()
    page.wait_for_function("parseInt(document.querySelector('.count').textContent) >= 3")
    page.locator(".stage").hover(position={"x": 1, "y": 1})
    held = page.inner_text(".count")
    page.wait_for_timeout(600)
    assert page.inner_text(".count") == held
    page.mouse.move(5, 5)
    page.wait_for_function(f"document.querySelector('.count').textContent !== '{held}'")
    page.locator(".play").click()
    stopped = page.inner_text(".count")
    page.wait_for_timeout(500)
    assert page.inner_text(".count") == stopped
    page.locator(".scrubber").fill("13")
    page.locator(".play").click()
    page.wait_for_function("document.querySelector('.play').getAttribute('aria-label') === 'Play'")
    assert page.inner_text(".count") == "15 / 15"


def test_keys(explore: Callable[..., Any]) -> None:
    """Each key of the list; none while the focus is elsewhere."""
    page = explore(chapter="matmul-channels")

    def at() -> tuple[str, str]:
        return page.inner_text(".count").split()[0], re.sub(r".*filter (\d).*", r"\1", page.inner_text(".message"))

    page.keyboard.press("ArrowRight")
    assert at() == ("1", "1")  # the explorer has no focus yet
    page.locator(".panel.maps [role=grid]").focus()
    for key, expected in {
        "ArrowRight": ("2", "1"),
        "ArrowDown": ("7", "1"),
        "PageDown": ("7", "2"),
        "End": ("15", "2"),
        "ArrowUp": ("10", "2"),
        "ArrowLeft": ("9", "2"),
        "PageUp": ("9", "1"),
        "Home": ("1", "1"),
    }.items():
        page.keyboard.press(key)
        assert at() == expected, key
    page.keyboard.press("Space")
    assert page.locator(".play").get_attribute("aria-label") == "Pause"
    page.keyboard.press("Space")
    for key, name in {"]": "Padding and stride", "[": "The whole layer is one product"}.items():
        page.keyboard.press(key)
        assert page.inner_text(".heading") == name
    page.locator(".panel.maps [role=grid]").focus()
    page.keyboard.press("l")
    assert page.locator("html").get_attribute("lang") == "zh"
    page.keyboard.press("L")
    for theme in ("dark", "light"):  # the other one than the system's comes first
        page.keyboard.press("d")
        assert page.locator("html").get_attribute("data-theme") == theme
    page.keyboard.press("e")
    assert page.locator(".menu").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator(".menu").is_visible()
    page.keyboard.press("?")
    assert page.locator("dialog").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("dialog").is_visible()
    page.locator(".stepper input").first.focus()
    page.keyboard.press("l")
    assert page.locator("html").get_attribute("lang") == "en"  # a letter in a field is a letter


def test_one_tab_stop_a_panel(explore: Callable[..., Any]) -> None:
    """Each panel is one stop; the focus moves inside it, and the grid names the cell that has it."""
    page = explore(chapter="matmul-channels")
    page.locator(".panel.matrix [role=grid]").focus()
    for kind in ("weights", "product", "maps"):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('.panel').className") == f"panel {kind}"
    page.locator(".panel.matrix [role=grid]").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    active = page.locator(".panel.matrix [role=grid]").get_attribute("aria-activedescendant")
    assert page.locator(f"#{active}").text_content() == str(X[0, 0, 2])
    page.wait_for_function("document.querySelector('.live').textContent.startsWith('patch 2')")
    assert page.locator(".live").get_attribute("aria-live") == "polite"


def test_pictures_fit_the_page(explore: Callable[..., Any]) -> None:
    """Small ones are enlarged; those that fit in one row are drawn in one; none is cut that could be read smaller."""
    page = explore(X[0], W[0, 0], chapter="slide")
    width = "(rect) => rect.getBoundingClientRect().width / rect.getAttribute('width')"
    assert cell(page, "image", 0, 0, 0).evaluate(width) > 1.2
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_function(f"({width})(document.querySelector('.panel.image rect')) <= 1.01")
    page = explore(chapter="matmul-channels")
    tops = "(all) => all.map((one) => one.getBoundingClientRect().top)"
    assert len({round(top) for top in page.locator(".panel").evaluate_all(tops)}) <= 2
    page = explore(X.astype(float) / 7, W, chapter="matmul-channels")
    page.set_viewport_size({"width": 700, "height": 800})
    page.wait_for_function("document.querySelector('.panel.matrix .planes').scrollWidth <= 680")
    assert page.locator(".panel.matrix [role=grid]").evaluate("(grid) => grid.scrollWidth <= grid.clientWidth")


def test_the_focus_follows_the_cursor(explore: Callable[..., Any]) -> None:
    """In an output the active cell is the one that the keys moved to, and Enter pins that one."""
    page = explore(chapter="matmul-channels")
    grid = page.locator(".panel.maps [role=grid]")
    grid.focus()
    for key in ("ArrowRight", "ArrowRight", "PageDown"):
        page.keyboard.press(key)
    active = grid.get_attribute("aria-activedescendant")
    assert page.locator(f"#{active}").text_content() == labels(page, "maps", 1)[0][2]
    page.keyboard.press("Enter")
    assert page.inner_text(".message") == "output row 1, column 3, filter 2"
    assert page.inner_text(".count").startswith("3 ")


def test_copies_in_the_padding(explore: Callable[..., Any]) -> None:
    """Under a mode that copies pixels into the padding, those are copies too, and their number is the fold's."""
    page = explore(np.arange(16).reshape(4, 4), np.ones((3, 3), int), chapter="fold", padding=1, padding_mode="wrap")
    cell(page, "sums", 0, 1, 1).hover()
    assert "copied 9×" in said(page)
    assert numbers(page, "counts")[1, 1] == 9
    assert len(outlined(page, "matrix")) == 9


def test_the_menu_and_the_focus(explore: Callable[..., Any]) -> None:
    """The menu closes when it is left, and the keys go on working after each of its entries."""
    page = explore(chapter="slide")
    page.evaluate(CATCH_COPIES)
    button = page.get_by_role("button", name="Export")
    button.click()
    assert button.get_attribute("aria-expanded") == "true"
    page.locator(".caption").click()
    assert not page.locator(".menu").is_visible()
    button.focus()
    page.keyboard.press("e")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_function("window.copied")
    page.keyboard.press("ArrowRight")
    assert page.inner_text(".count").startswith("2 ")


# --- what can be chosen


def test_orders_and_looks(explore: Callable[..., Any]) -> None:
    """Rows and columns, channel first and last, letters, colours: the matrix is NumPy's in each order."""
    page = explore(chapter="matmul-channels")
    windows = np.lib.stride_tricks.sliding_window_view(X, (3, 2), axis=(1, 2))  # (C, oy, ox, ky, kx)
    first = windows.transpose(1, 2, 0, 3, 4).reshape(15, 12)
    last = windows.transpose(1, 2, 3, 4, 0).reshape(15, 12)
    for taps, orientation in itertools.product(("first", "last"), ("row", "column")):
        page.locator(".choice").nth(1).get_by_role("button", name=taps, exact=True).click()
        page.locator(".choice").nth(0).get_by_role("button", name=orientation, exact=True).click()
        expected = first if taps == "first" else last
        np.testing.assert_array_equal(numbers(page, "matrix"), expected if orientation == "row" else expected.T)
        product = numbers(page, "product")
        np.testing.assert_array_equal(product if orientation == "row" else product.T, first @ W.reshape(3, 12).T)
    page.locator(".choice").nth(2).get_by_role("button", name="letters").click()
    assert labels(page, "product")[0][:2] == ["y000", "y001"]
    page.locator(".choice").nth(3).get_by_role("button", name="value").click()
    assert page.locator(".panel.matrix .c0").count() == 0
    page.locator(".choice").nth(3).get_by_role("button", name="channel").click()
    assert page.locator(".panel.matrix .c0").count() == 90


def test_shapes(explore: Callable[..., Any]) -> None:
    """Numbers go as far as something can be drawn; the outputs are those of the library's own convolution."""
    page = explore(X[0], W[0, 0], chapter="slide")
    stepper = page.locator(".fields .field").nth(0).locator(".stepper").nth(0)  # the image's height
    while stepper.locator(".less").is_enabled():
        stepper.locator(".less").click()
    assert stepper.locator("input").input_value() == "3"  # the kernel's height
    stepper.locator("input").fill("2")
    stepper.locator("input").press("Enter")
    assert stepper.locator("input").input_value() == "3"
    stepper.locator("input").fill("7")
    stepper.locator("input").press("Enter")
    for field, value in ((4, "2"), (5, "1"), (6, "1"), (7, "2")):  # stride, padding before and after, dilation
        for i in range(2):
            entry = page.locator(".fields .field").nth(field).locator("input").nth(i)
            entry.fill(value)
            entry.press("Enter")
    image = numbers(page, "padded")[1:-1, 1:-1]
    kernel = numbers(page, "filters")
    np.testing.assert_array_equal(numbers(page, "maps"), conv2d(image, kernel, stride=2, padding=1, dilation=2))
    page.get_by_label("Padding mode").select_option("reflect")
    mode: Any = "reflect"
    expected = conv2d(image, kernel, stride=2, padding=1, dilation=2, padding_mode=mode)
    np.testing.assert_array_equal(numbers(page, "maps"), expected)
    page.get_by_role("button", name="Start again").click()
    np.testing.assert_array_equal(numbers(page, "image"), X[0])


def test_presets(explore: Callable[..., Any]) -> None:
    """Kernels to choose from do what their names say."""
    page = explore(X[0], np.ones((3, 3), int), chapter="slide")
    image, weights = page.get_by_label("Image values"), page.get_by_label("Kernel values")
    weights.select_option("identity")
    np.testing.assert_array_equal(numbers(page, "maps"), X[0][1:-1, 1:-1])
    image.select_option("ramp")
    np.testing.assert_array_equal(numbers(page, "image"), np.arange(30).reshape(5, 6))
    weights.select_option("sobel")
    np.testing.assert_array_equal(numbers(page, "filters"), [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    weights.select_option("laplace")
    assert numbers(page, "filters").sum() == 0
    weights.select_option("sharpen")
    assert numbers(page, "filters").sum() == 1


def test_editing(explore: Callable[..., Any]) -> None:
    """A pixel and a weight can be changed; what is no number changes nothing."""
    page = explore(X[0], W[0, 0], chapter="slide", padding=1)
    x, w = X[0].copy(), W[0, 0].copy()
    cell(page, "padded", 0, 2, 3).dblclick()
    page.keyboard.type("−7")
    page.keyboard.press("Enter")
    x[1, 2] = -7
    np.testing.assert_array_equal(numbers(page, "maps"), conv2d(x, w, padding=1))
    page.keyboard.press("Escape")
    page.locator(".panel.filters [role=grid]").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("F2")
    page.keyboard.type("3")
    page.keyboard.press("Enter")
    assert (np.flatnonzero((numbers(page, "filters") != w).reshape(-1)).tolist()) in ([0], [1])
    w = numbers(page, "filters")
    np.testing.assert_array_equal(numbers(page, "maps"), conv2d(x, w, padding=1))
    cell(page, "padded", 0, 2, 3).dblclick()
    page.keyboard.type("x")
    page.keyboard.press("Enter")
    assert page.inner_text(".notice") == dictionary("en")["page.edit.wrong"]
    np.testing.assert_array_equal(numbers(page, "maps"), conv2d(x, w, padding=1))
    cell(page, "padded", 0, 0, 0).dblclick()
    assert page.locator(".editor").count() == 0  # padding is no value of the image


def test_a_dropped_image(explore: Callable[..., Any]) -> None:
    """Its pixels are the image, channel by channel; a large one is scaled down; what is no image is refused."""
    page = explore(X, W, chapter="channels")
    drop = """async ([width, height, type]) => {
      const canvas = new OffscreenCanvas(width, height), context = canvas.getContext("2d");
      context.fillStyle = "rgb(10, 20, 30)";
      context.fillRect(0, 0, width, height);
      const bytes = type === "image/png" ? await canvas.convertToBlob() : new Blob(["no image"]);
      const transfer = new DataTransfer();
      transfer.items.add(new File([bytes], "a.png", {type}));
      const event = new DragEvent("drop", {bubbles: true, cancelable: true, dataTransfer: transfer});
      document.querySelector(".stage").dispatchEvent(event);
    }"""
    page.evaluate(drop, [7, 5, "image/png"])
    page.wait_for_function("document.querySelectorAll('.panel.image .plane').length === 3")
    for channel in range(3):
        assert (numbers(page, "image", channel) == 10 * (channel + 1)).all()
    page.evaluate(drop, [448, 100, "image/png"])
    page.wait_for_function("document.querySelector('.panel.image .size').textContent === '3 × 50 × 224'")
    assert page.locator(".panel.image canvas").count() == 3
    page.evaluate(drop, [5, 5, "text/plain"])
    page.wait_for_function("document.querySelector('.notice').textContent.includes('no picture')")


def test_great_shapes(explore: Callable[..., Any]) -> None:
    """A photo is a canvas, its matrix the first rows, the last and the selection; gaps say how much is hidden."""
    x = np.arange(3 * 224 * 224, dtype=np.int64).reshape(3, 224, 224) % 251
    page = explore(x, W.repeat(2, 1)[:, :3], chapter="matmul-channels", step=30_000)
    assert page.locator(".panel.maps canvas").count() == 3
    headers = page.locator(".panel.matrix .header.end").all_text_contents()
    assert headers == ["1", "2", "3", "30000", "30001", "30002", "49505", "49506"]
    assert page.locator(".panel.matrix .gap").all_text_contents() == ["⋯ 29,996 rows", "⋯ 19,502 rows"]
    top, left = divmod(30_000, 223)
    assert numbers(page, "matrix")[4].tolist() == x[:, top : top + 3, left : left + 2].reshape(-1).tolist()
    page = explore(x, W.repeat(2, 1)[:, :3], chapter="slide", step=30_000)
    before = page.locator(".panel :is(figcaption, .label)").all_text_contents()
    page.locator(".panel.image svg").hover(position={"x": 100, "y": 100})
    assert "copied" in said(page)
    after = page.locator(".panel :is(figcaption, .label)").all_text_contents()
    assert after == before  # the patch stays: nothing jumps under the pointer
    page = explore(np.zeros((400, 300), np.uint8), W[0, 0], chapter="slide")
    assert page.locator(".panel.image .size").last.text_content() == "400 × 300"


def test_more_channels_than_colours(explore: Callable[..., Any]) -> None:
    """Their colours come again with a pattern, and many are elided."""
    page = explore(np.ones((8, 3, 3), int), np.ones((1, 8, 2, 2), int), chapter="channels")
    assert page.locator(".panel.image .plane").nth(6).locator("rect.again").count() == 9
    assert "stripe-0" in page.locator(".panel.image rect.again").first.evaluate("(node) => getComputedStyle(node).fill")
    page = explore(np.ones((70, 3, 3), int), np.ones((1, 70, 2, 2), int), chapter="channels")
    assert page.locator(".panel.image .note").all_text_contents() == ["⋯ 65 channels"]


def places(page: Any, panel: str) -> list[list[float]]:
    """Return where each plane of a panel begins: left and top."""
    found: list[list[float]] = page.locator(f".panel.{panel} .plane").evaluate_all(
        "(planes) => planes.map((plane) => plane.getBoundingClientRect()).map((box) => [box.left, box.top])"
    )
    return found


def test_folded_planes_and_tables(explore: Callable[..., Any]) -> None:
    """A tall column of pictures is folded, with a new row after what is left out; tables stay below each other."""
    page = explore(np.ones((70, 9, 9), int), np.ones((1, 70, 3, 3), int), chapter="channels", padding=1)
    planes = places(page, "padded")
    assert len({round(top) for _, top in planes}) < len(planes) == 5
    assert planes[3][0] == planes[0][0]
    assert planes[3][1] > max(top for _, top in planes[:3])
    page = explore(np.ones((8, 4, 4), int), np.ones((1, 8, 3, 3), int), chapter="concat", orientation="columns")
    planes = places(page, "matrices")
    assert len({left for left, _ in planes}) == 1
    assert len({top for _, top in planes}) == 8


# --- what can be taken away


def test_the_address(explore: Callable[..., Any]) -> None:
    """Shape, window, presets, chapter, selection and language come back from the address; values are never in it."""
    page = explore(X * 1000 + 123, W, chapter="slide")
    page.locator(".fields .field").nth(5).locator("input").nth(1).fill("2")
    page.keyboard.press("Enter")
    page.locator(".fields .field").nth(0).locator(".more").nth(0).click()  # another shape has values of its own
    page.get_by_label("Image values").select_option("ramp")
    page.locator(".chapters button").nth(7).click()
    page.locator(".choice").nth(1).get_by_role("button", name="last").click()
    page.get_by_role("button", name="Language").click()
    cell(page, "weights", 0, 4, 2).click()
    page.wait_for_function("location.hash.includes('pin=,4,2,')")
    fragment = unquote(page.evaluate("location.hash"))
    assert "123" not in fragment
    assert "padding=0:0,2:0" in fragment
    again = explore(X * 1000 + 123, W, chapter="slide", fragment=fragment)
    for one in (".heading", ".message", ".count", ".caption"):
        assert again.inner_text(one) == page.inner_text(one)
    for panel in ("matrix", "weights", "product"):
        assert labels(again, panel) == labels(page, panel)
    assert again.locator("html").get_attribute("lang") == "zh"


@pytest.mark.parametrize(
    "fragment",
    [
        "#x=1,2,1000000000,6&w=3,2,3,2&stride=1,1&padding=0:0,0:0&dilation=1,1",
        "#x=1,2,-5,6&w=3,2,3,2&stride=0,1&padding=0:0,0:0&dilation=1,1",
        "#x=NaN&w=&at=1e9,-1,x&chapter=<script>&lang=__proto__&image=constructor",
        "#pin=99,99,99,99&at=0,99,99&channel=7",
        "#%%%",
        "#x=1,2,5,6&w=3,2,3,2&stride=1,1&padding=1000000000:1000000000,1:1&dilation=1,1",
        "#x=1,1000000,1,1&w=1,1000000,1,1&stride=1,1&padding=0:0,0:0&dilation=1,1",
        "#x=1,2,5,6&w=1000000,2,3,2&stride=1,1&padding=0:0,0:0&dilation=1,1",
        "#at=-3,0,0&pin=0,,0,",
    ],
)
def test_a_hostile_address(explore: Callable[..., Any], fragment: str) -> None:
    """What cannot be drawn is left as it was."""
    page = explore(chapter="matmul-channels", fragment=fragment)
    assert page.inner_text(".heading") == "The whole layer is one product"
    assert numbers(page, "matrix").shape == (15, 12)


def test_exports(explore: Callable[..., Any], tmp_path: Path) -> None:
    """The picture has literal colours and all its numbers; the code runs and agrees; the link is the address."""
    page = explore(chapter="matmul-channels", padding=1, media={"color_scheme": "dark"})

    def export(name: str) -> Path:
        page.get_by_role("button", name="Export").click()
        with page.expect_download() as download:
            page.get_by_role("menuitem", name=name).click()
        path: Path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        return path

    svg = export("Picture as SVG").read_text("utf-8")
    root = ET.fromstring(svg)  # noqa: S314 (written by our own page)
    texts = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert page.inner_text(".heading") in texts
    assert page.inner_text(".message") in texts
    formula = page.inner_text(".formula")
    assert formula in "".join(f"{text} " for text in texts)
    description = root.findtext("{http://www.w3.org/2000/svg}desc", "")
    assert description.endswith(f". {page.inner_text('.message')}: {formula}")
    assert "var(" not in svg
    assert "color-mix" not in svg
    assert "class=" not in svg
    name = re.search(r'id="(im2col-[0-9a-f]{8})-hatch"', svg)
    assert name is not None  # a page that holds several pictures may hide one
    assert set(re.findall(r"url\(#([^)]*)\)", svg)) == {f"{name[1]}-hatch"}
    assert all(found.startswith(name[1]) for found in re.findall(r' id="([^"]*)"', svg))
    assert set(re.findall(r'fill="([^"]+)"', svg)) >= {"#ffffff", "#1f2430", "none"}
    for panel in ("matrix", "weights", "product"):
        for text in itertools.chain(*labels(page, panel)):
            assert text in texts
    from PIL import Image

    with Image.open(export("Picture as PNG")) as image:
        pixels = np.asarray(image.convert("L"))
    assert pixels[0, 0] == 255
    assert (pixels < 90).sum() > 5_000
    page.evaluate(CATCH_COPIES)
    page.get_by_role("button", name="Export").click()
    page.get_by_role("menuitem", name="Copy NumPy code").click()
    page.wait_for_function("window.copied")
    code = page.evaluate("window.copied")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 0
    assert code.count("assert") == 2
    shown = [int(text.replace("−", "-")) for plane in range(3) for row in labels(page, "maps", plane) for text in row]
    assert f"assert np.allclose(y.ravel(), {shown}" in code
    page.get_by_role("button", name="Export").click()
    page.get_by_role("menuitem", name="Copy link").click()
    page.wait_for_function("window.copied.startsWith('file:')")
    assert "chapter=matmul-channels" in page.evaluate("window.copied")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1.5])
def test_padding_values_that_json_does_not_know(explore: Callable[..., Any], value: float) -> None:
    """They pad all the same, and the code writes them as Python does."""
    x, w = X[0].astype(float), np.zeros((2, 2))
    page = explore(x, w, chapter="slide", padding=1, padding_value=value)
    corner = labels(page, "padded")[0][0]
    assert corner == {"nan": "NaN", "inf": "∞", "-inf": "−∞", "-1.5": "−1.5"}[str(value)]
    page.evaluate(CATCH_COPIES)
    page.get_by_role("button", name="Export").click()
    page.get_by_role("menuitem", name="Copy NumPy code").click()
    page.wait_for_function("window.copied")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", page.evaluate("window.copied")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("turned", "taps"), list(itertools.product(["rows", "columns"], ["channel-first", "channel-last"]))
)
def test_the_code_of_every_order(explore: Callable[..., Any], turned: Any, taps: Any) -> None:
    """Groups, padding modes and one axis too."""
    options: dict[str, Any] = {"orientation": turned, "tap_order": taps, "padding_mode": "wrap", "padding": 2}
    x, w = X.reshape(2, 30), W.reshape(3, 2, 6)[:2, :1]
    page = explore(x, w, chapter="slide", groups=2, stride=3, step=4, filter=1, **options)
    page.evaluate(CATCH_COPIES)
    page.get_by_role("button", name="Export").click()
    page.get_by_role("menuitem", name="Copy NumPy code").click()
    page.wait_for_function("window.copied")
    done = subprocess.run(
        [sys.executable, "-c", page.evaluate("window.copied")], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


def test_the_picture_alone(explore: Callable[..., Any]) -> None:
    """``part=picture`` leaves out what a page around tells, but for those who cannot see; the address keeps it."""
    page = explore(chapter="matmul", fragment="#part=picture&at=0,4,0")
    for one in (".tools", ".chapters", ".caption", ".counter", ".choices", "aside"):
        assert page.locator(one).first.is_hidden()
    assert page.locator(".panel").count() == 4
    assert page.inner_text(".count") == "5 / 15"
    assert page.locator("h1").bounding_box()["height"] == 1
    assert page.inner_text(".heading") == dictionary("en")["chapter.matmul"]
    page.locator(".panel [role=grid]").first.focus()
    page.keyboard.press("End")
    page.wait_for_function("location.hash.includes('at=0,14,0')")
    assert "part=picture" in page.evaluate("location.hash")
    whole = explore(chapter="matmul", fragment="#part=whole")
    assert whole.locator("aside").is_visible()
    whole.wait_for_function("location.hash.includes('at=0,0,0')")
    assert "part" not in whole.evaluate("location.hash")


# --- for all


@pytest.mark.parametrize(("lang", "theme"), list(itertools.product(languages(), ["light", "dark"])))
def test_no_axe_violations(explore: Callable[..., Any], lang: str, theme: str) -> None:
    """In each language and theme, in every chapter; with the menu and the help open; with a photo."""
    axe = require("axe_playwright_python.sync_playwright").Axe()

    def check(what: str) -> None:
        found = axe.run(page)
        wrong = [(v["id"], [node["html"][:160] for node in v["nodes"][:2]]) for v in found.response["violations"]]
        assert wrong == [], what

    page = explore(lang=lang, media={"color_scheme": theme}, chapter="slide", padding=1)
    for chapter in CHAPTERS:
        page.evaluate("(name) => { location.hash = `chapter=${name}`; }", chapter)
        page.wait_for_function(IS_HEADING, arg=dictionary(lang)[f"chapter.{chapter}"])
        check(chapter)
    page.locator(".panel [role=grid]").first.focus()
    page.keyboard.press("e")
    check("menu")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    check("help")
    photo = np.random.default_rng(0).integers(0, 256, (3, 60, 60), np.uint8)
    page = explore(photo, W.repeat(2, 1)[:, :3], lang=lang, media={"color_scheme": theme}, chapter="channels")
    check("photo")


@pytest.mark.parametrize("lang", languages())
@pytest.mark.parametrize("width", [1280, 900, 390])
def test_no_words_overflow(explore: Callable[..., Any], lang: str, width: int) -> None:
    """No control is cut off, and the page is no wider than the window."""
    page = explore(X, W, lang=lang, chapter="slide")
    page.set_viewport_size({"width": width, "height": 900})
    for chapter in CHAPTERS:
        page.evaluate("(name) => { location.hash = `chapter=${name}`; }", chapter)
        page.wait_for_function(IS_HEADING, arg=dictionary(lang)[f"chapter.{chapter}"])
        wrong = page.evaluate(
            """() => [...document.querySelectorAll("button, select, p, h1, h2, label, .field, .choice, .band")]
              .filter((node) => node.offsetParent && node.scrollWidth > node.clientWidth + 1 && !node.matches(".live"))
              .map((node) => node.outerHTML.slice(0, 120))"""
        )
        assert wrong == [], chapter
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_languages_change_everything(explore: Callable[..., Any]) -> None:
    """No English word is left in Chinese."""
    page = explore(chapter="channels", lang="zh")
    assert page.title() == dictionary("zh")["title"]
    text = page.inner_text("#im2col")
    assert set(re.findall(r"[A-Za-z]{2,}", text)) <= {"English", "Sobel"}
