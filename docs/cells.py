"""Cells: examples of pages that readers run and change in their own browsers, with nothing but a static host.

What the page does stands in `_static/cells.js`, and what Python does there in `_static/cells_run.py`. The library comes
from the site itself, as a wheel that is built with it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import im2col

if TYPE_CHECKING:
    from sphinx.application import Sphinx

WHEEL = f"im2col-{im2col.__version__}-py3-none-any.whl"
"""Browsers need no other build: all of the library is Python."""

PLACES = {
    "start": "article",
    "tutorial": "article",
    "notebooks": "#in-the-browser-pyodide-and-jupyterlite",
}
"""Pages with cells, and below what their examples are cells."""


def add_cells(app: Sphinx, page: str, _: str, __: dict[str, Any], ___: object) -> None:
    """Give a page with cells the script that makes them, and what it has to know."""
    if page in PLACES:
        told = {"python": app.config.cells_python, "wheel": WHEEL, "within": PLACES[page]}
        app.add_js_file("cells.js", defer="defer", **{f"data-{name}": value for name, value in told.items()})


def build_wheel(app: Sphinx, failure: Exception | None) -> None:
    """Build the wheel into the site, beside the scripts."""
    if failure is None and app.builder.name == "html":
        folder = Path(app.outdir) / "_static"
        command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
        root = Path(__file__).parents[1]
        subprocess.run(command, cwd=root, capture_output=True, check=True)  # noqa: S603 (this interpreter)


def setup(app: Sphinx) -> None:
    """Connect the cells to Sphinx."""
    app.add_config_value("cells_python", None, "html", str)
    app.connect("html-page-context", add_cells)
    app.connect("build-finished", build_wheel)
