"""The tutorial, the guides and the explanations: their code gives what they print, and what they show was made so."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import im2col
from im2col.engine.target import NAMED, host

from .kit.outcomes import require
from .kit.targets import planning_for

DOCUMENTS = Path(__file__).parents[1] / "docs"

GUIDES: dict[str, tuple[int, set[str]]] = {
    "tutorial": (35, {"learnt-filter.svg"}),
    "layers": (30, set()),
    "training": (25, set()),
    "quantising": (20, set()),
    "choosing": (18, set()),
    "reading-plans": (8, set()),
    "missing-pixels": (22, set()),
    "drawing": (14, {"matmul.svg", "letters.svg", "matmul-zh.svg", "slide.svg"}),
    "teaching": (18, {"class.html"}),
    "precision": (14, set()),
    "memory": (12, set()),
    "threads": (12, set()),
}
"""Of each page: how many examples it has at least, and which files they write."""

MACHINES = [("zen3", "16"), ("sse2", "1"), ("avx2", "3")]
"""CPUs that larger ones can play, and how many threads: a page is not about the machine that it was written on."""

MEASURED = re.compile(r"(.+?) {2,}(float\d+) +(?:normal|after ReLU|alternating) +(\d+) +\S+ +(\S+) +(\S+)")
"""A line of what `python -m bench rounding` printed: way, dtype, channels, rms ÷ plain sums, greatest ÷ result."""


def page(name: str) -> str:
    """Return the words of a page."""
    return (DOCUMENTS / f"{name}.md").read_text("utf-8")


@pytest.mark.parametrize("name", GUIDES)
def test_a_page_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copied into a fresh Python, from top to bottom, in an empty folder."""
    require("llvmlite")
    monkeypatch.chdir(tmp_path)
    least, files = GUIDES[name]
    failed, tried = doctest.testfile(
        str(DOCUMENTS / f"{name}.md"), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE
    )
    assert failed == 0
    assert tried >= least
    assert {path.name for path in tmp_path.iterdir()} == files
    if name == "tutorial":
        drawn, shown = (folder / "learnt-filter.svg" for folder in (tmp_path, DOCUMENTS / "figures"))
        assert drawn.read_text("utf-8") == shown.read_text("utf-8"), "copy what the page's code writes"


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", GUIDES)
def test_a_page_runs_on_other_machines(
    name: str, machine: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a page says of workspaces, plans and errors is so for CPUs of other tiles, caches and numbers of threads."""
    require("llvmlite")
    cpu, threads = machine
    if host().is_arm or host().vector_bytes < NAMED[cpu].vector_bytes:
        pytest.skip("this CPU is not that one")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IM2COL_NUM_THREADS", threads)
    with planning_for(NAMED[cpu]._replace(triple=host().triple)):
        failed, _ = doctest.testfile(
            str(DOCUMENTS / f"{name}.md"), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE
        )
    assert failed == 0


def test_the_plan_that_is_read_is_a_plan() -> None:
    """But for what depends on the CPU: the workspace, and how each algorithm would run."""
    require("llvmlite")
    shown = re.findall(r"```text\n(.+?)```", page("reading-plans"), re.DOTALL)
    assert len(shown) == 1
    w = np.ones((64, 64, 3, 3), np.float32)
    printed = im2col.plan((1, 64, 56, 56), w, w[:, 0, 0, 0], padding=1, activation="relu", threads=1)

    def parts(text: str) -> tuple[list[str], list[str]]:
        lines = text.splitlines()
        head, algorithms = lines[:8], lines[8:]
        return [line for line in head if "workspace" not in line], [line.strip(" →").split()[0] for line in algorithms]

    assert parts(shown[0]) == parts(str(printed))


def test_the_errors_are_those_that_were_measured() -> None:
    """Each row of the page's tables is what the file holds, from least to greatest."""
    lines = (DOCUMENTS / "performance/zen3-rounding.txt").read_text("utf-8").splitlines()
    measured = [found.groups() for found in map(MEASURED.fullmatch, lines) if found]
    assert len(measured) > 1000

    def extent(rows: list[tuple[str, ...]]) -> str:
        ratios = sorted((row[3] for row in rows), key=float)
        return f"{ratios[0]} to {ratios[-1]}"

    ways = re.findall(r"^\| (\S.+?) \| ([\d, ]+) \| (.+?) \| (.+?) \| (\S+) \|$", page("precision"), re.MULTILINE)
    assert len(ways) == 8
    for way, channels, *ratios, greatest in ways:
        rows = [row for row in measured if row[0] == way and row[2] in channels.split(", ")]
        by_dtype = {dtype: [row for row in rows if row[1] == dtype] for dtype in ("float32", "float64")}
        assert ratios == [extent(each) for each in by_dtype.values()], way
        assert greatest == max((row[4] for row in by_dtype["float32"]), key=float), way
    passes = re.findall(r'^\| `"(\w+)"` \| (.+? to .+?) \| (.+?) \| (.+?) \|$', page("precision"), re.MULTILINE)
    assert [precision for precision, *_ in passes] == ["strict", "native", "fast"]
    for precision, *ratios in passes:
        for kernel, ratio in zip(("gaussian", "unsharp", "product of normal numbers"), ratios, strict=True):
            rows = [row for row in measured if row[0].startswith(f"{kernel}, {precision}: ")]
            assert ratio == extent(rows), (precision, kernel)


@pytest.mark.wide
def test_addresses_open_what_the_page_says(browser: Any, tmp_path: Path) -> None:
    """Each address of the guide for teachers brings the explorer to the chapter, shapes and cell that it names."""
    addresses = re.findall(r"^class\.html#(\S+)$", page("teaching"), re.MULTILINE)
    assert len(addresses) == 4
    x, w = np.arange(36).reshape(1, 6, 6), np.ones((1, 1, 3, 3), int)
    explorer = im2col.illustrate(x, w, chapter="slide").save(tmp_path / "class.html").as_uri()
    for address in addresses:
        parts = dict(part.split("=") for part in address.split("&"))
        context = browser.new_context()
        opened = context.new_page()
        opened.goto(f"{explorer}#{address}")
        opened.wait_for_selector("[data-ready]")
        opened.get_by_role("button", name="导出" if parts.get("lang") == "zh" else "Export").click()
        opened.get_by_role("menuitem").nth(2).click()  # the link, which says what is on the page
        opened.wait_for_function("location.hash.includes('&order=')")
        told = dict(part.split("=") for part in opened.evaluate("location.hash")[1:].split("&"))
        assert {name: told[name] for name in parts} == parts
        context.close()
