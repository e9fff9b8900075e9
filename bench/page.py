"""How long the explorer takes for one step of its scrubber: script and layout, chapter by chapter, in Chromium."""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from im2col import illustrate
from im2col.pictures.story import chapters

if TYPE_CHECKING:
    import argparse

HELP = "Time one step of the explorer's scrubber at 224 × 224 × 3, in headless Chromium."
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
_STEPS = """(count) => {
  const scrubber = document.querySelector(".scrubber"), times = [];
  for (let i = 0; i < count; i++) {
    scrubber.value = 20000 + 37 * i;
    const start = performance.now();
    scrubber.dispatchEvent(new Event("input", {bubbles: true}));
    document.querySelector(".stage").getBoundingClientRect();  // the layout is a part of the step
    times.push(performance.now() - start);
  }
  return times;
}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--steps", type=int, default=200, help="steps of each chapter")


def run(options: argparse.Namespace) -> None:
    """Print the median and the slowest twentieth of each chapter's steps, in milliseconds."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sys.exit("bench: this needs Playwright (pip install playwright) and Chromium")
    rng = np.random.default_rng(0)
    x, w = rng.integers(0, 256, (3, 224, 224), np.uint8), rng.integers(-2, 3, (4, 3, 3, 3))
    print(f"{'chapter':<16} {'median ms':>10} {'95 % ms':>10}")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_ARGUMENTS)
        for chapter in chapters():
            path = illustrate(x, w, padding=1, chapter=chapter).save(Path(folder) / f"{chapter}.html")
            page = browser.new_page(viewport={"width": 1400, "height": 900})
            page.goto(path.as_uri())
            page.wait_for_selector("[data-ready]")
            times = sorted(page.evaluate(_STEPS, options.steps))
            print(f"{chapter:<16} {statistics.median(times):>10.1f} {times[int(0.95 * len(times))]:>10.1f}")
            page.close()
        browser.close()
