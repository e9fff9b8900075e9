"""The site: how Sphinx builds the pages of this folder, in English and, with ``-D language=zh_CN``, in Chinese."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import im2col

sys.path.insert(0, str(Path(__file__).parent))
import cells
from chinese_search import SearchChinese
from explorers import Explorer, explorer

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HERE = Path(__file__).parent

project = "im2col"
author = "the im2col developers"
copyright = "2026, the im2col developers"  # noqa: A001 (Sphinx's name)
version = release = im2col.__version__

extensions = [
    *("myst_parser", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx_design"),
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["reference/generated/commands.md", "performance", "figures"]
nitpicky = True
nitpick_ignore_regex = [("py:obj", ".*")]
"""Names in single backticks: a link where they are public; arguments and names of other libraries are none."""
templates_path = ["_templates"]
highlight_language = "none"

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4

default_role = "py:obj"
autodoc_typehints = "none"  # docstrings say more than types do
autodoc_member_order = "groupwise"
autodoc_mock_imports = ["torch", "jax", "onnx", "dask", "xarray", "im2col.integrations.torch.operators"]
"""Whoever builds the site needs none of them; no class of `operators` can be made of a mock."""
numpydoc_show_class_members = False  # the template of a class lists them with their docstrings

GROUPS = ("photographs", "patches", "grids", "signals", "networks")
"""Of the gallery, in its order: folders of examples/gallery."""
sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "gallery",  # what a first build writes there, the next reads: scripts run once for all languages
    "filename_pattern": "",  # all of them
    "subsection_order": [f"../examples/gallery/{group}" for group in GROUPS],
    "within_subsection_order": "FileNameSortKey",
    "nested_sections": False,
    "abort_on_example_error": True,
    "capture_repr": (),
    "image_srcset": ["2x"],
    "thumbnail_size": (400, 260),
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
    "min_reported_time": float("inf"),
    "reset_modules": ("matplotlib",),
}

language = "en"
locale_dirs = ["translations", "translations/theme"]  # the pages', and what the theme has no Chinese for
gettext_compact = False
TRANSLATED = (HERE / "translations/pages.txt").read_text("utf-8").split()
"""The pages that are told in Chinese, each whole; all others are in English there, below a line that says so."""

html_theme = "pydata_sphinx_theme"
html_title = "im2col"
html_static_path = ["_static"]
html_favicon = "_static/icon.svg"
html_css_files = ["site.css"]
cells_python = "https://cdn.jsdelivr.net/pyodide/v314.0.7/full/"
"""Where readers' browsers take Pyodide and its NumPy from, once a cell is run; a folder of the site would do, too."""
html_copy_source = False
html_show_sphinx = False
html_sidebars: dict[str, list[str]] = {"index": [], "article": [], "start": [], "tutorial": []}
html_theme_options = {
    "logo": {"text": "im2col"},
    "navbar_align": "left",  # seven names and the search fit one line
    "navbar_end": ["language.html", "theme-switcher.html"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "header_links_before_dropdown": 7,  # so none is hidden below a word that the theme does not translate
    "navigation_depth": 1,  # deeper ones have toggles, to which the theme gives no name
    "navigation_with_keys": False,
}


def write_commands(_: Sphinx) -> None:
    """Write what the command line says of itself, for reference/command-line.md to include."""
    command = [sys.executable, "-m", "typer", "im2col.cli.commands", "utils", "docs", "--name", "im2col"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 (this interpreter)
    file = HERE / "reference/generated/commands.md"
    file.parent.mkdir(exist_ok=True)
    file.write_text(told.split("\n", 1)[1], "utf-8")


def escape_stars(_: Sphinx, __: str, ___: str, ____: object, _____: object, lines: list[str]) -> None:
    """Keep the star of a shape such as (N, C, *kernel) from opening an emphasis."""
    for i, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            parts = re.split("(`+.*?`+)", line)
            parts[::2] = [re.sub(r"(?<=[ (])\*(?=\w+[,)])", r"\\*", part) for part in parts[::2]]
            lines[i] = "".join(parts)


def link_to_root(_: Sphinx, __: str, source: list[str]) -> None:
    """Let links to the files of the root that are pages of the site, too, lead to these."""
    for name in ("CONTRIBUTING", "CHANGELOG"):
        source[0] = source[0].replace(f"](../{name}.md", f"]({name.lower()}.md")


def add_languages(app: Sphinx, page: str, _: str, context: dict[str, Any], __: object) -> None:
    """Give templates the page in the other language, and say so where a page is not translated."""
    other = "" if app.config.language == "en" else "../"
    root = "../" * page.count("/")
    context["twin"] = f"{root}zh/{page}.html" if not other else f"{root}../{page}.html"
    context["is_english"] = not other
    told = page in TRANSLATED or page not in app.env.all_docs
    if other and not told:
        context["body"] = (
            f'<p class="untranslated">这一页还没有中文版，以下是英文原文。</p>\n<div lang="en">{context["body"]}</div>'
        )


def setup(app: Sphinx) -> None:
    """Connect what this file adds to Sphinx."""
    app.connect("builder-inited", write_commands)
    app.connect("autodoc-process-docstring", escape_stars, priority=0)
    app.connect("source-read", link_to_root)
    app.add_search_language(SearchChinese)
    app.connect("html-page-context", add_languages)
    app.add_node(explorer, html=(explorer.visit, explorer.depart))
    app.add_directive("explorer", Explorer)
    cells.setup(app)
