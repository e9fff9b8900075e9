"""The gallery: its programs run, their own checks hold, and each draws a figure of which nothing is cut off."""

from __future__ import annotations

import ast
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from .kit.outcomes import require

REPOSITORY = Path(__file__).parents[1]
GALLERY = REPOSITORY / "examples/gallery"
SCRIPTS = sorted(path.relative_to(GALLERY) for path in GALLERY.rglob("*.py"))


def imported(script: Path) -> set[str]:
    """Return the modules that a script imports, without those of Python itself."""
    nodes = list(ast.walk(ast.parse((GALLERY / script).read_text("utf-8"))))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name for name in names if name.split(".")[0] not in sys.stdlib_module_names}


@pytest.mark.whole
@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive:UserWarning")
@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_each_program_draws_one_figure(script: Path) -> None:
    """It has titles, which the site gives to those who do not see it, and all of it lies within its borders."""
    for name in ("llvmlite", "matplotlib", *sorted(imported(script))):
        require(name)
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.close("all")
    try:
        runpy.run_path(str(GALLERY / script))
        (number,) = plt.get_fignums()
        figure = plt.figure(number)
        figure.canvas.draw()
        pixels = np.asarray(figure.canvas.buffer_rgba())
        assert len(np.unique(pixels.reshape(-1, 4), axis=0)) > 20
        assert any(axes.get_title() for axes in figure.axes)
        drawn, whole = figure.get_tightbbox(), figure.bbox_inches
        assert drawn.x0 >= 0
        assert drawn.y0 >= 0
        assert drawn.x1 <= whole.width
        assert drawn.y1 <= whole.height
    finally:
        plt.close("all")


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_each_program_checks_its_result(script: Path) -> None:
    """It is short, begins with a title, uses the library, and says with `assert` what is right."""
    text = (GALLERY / script).read_text("utf-8")
    tree = ast.parse(text)
    title, line = (ast.get_docstring(tree) or "").splitlines()[:2]
    assert line == "=" * len(title)
    assert any(isinstance(node, ast.Assert) for node in ast.walk(tree))
    assert "im2col" in imported(script)
    assert 25 <= text.count("\n") <= 70


def test_the_site_lists_every_program() -> None:
    """There are twenty and more, each in a group that docs/conf.py names and that has a heading."""
    tree = ast.parse((REPOSITORY / "docs/conf.py").read_text("utf-8"))
    (groups,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "GROUPS"
    )
    assert len(SCRIPTS) >= 20
    assert {path.parent.as_posix() for path in SCRIPTS} == set(groups)
    for group in groups:
        title, line, *_ = (GALLERY / group / "GALLERY_HEADER.rst").read_text("utf-8").splitlines()
        assert line == "-" * len(title)
