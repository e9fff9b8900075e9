"""The chart: a panel for each kind of case, a line for each algorithm."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from .contest import Speed

_COLOURS = {
    "implicit": "#0072B2",
    "explicit": "#94a3b8",
    "winograd": "#D55E00",
    "fft": "#009E73",
    "separable": "#CC79A7",
}
_COLUMNS = 3
_TICKS = (2, 5, 10, 20, 50, 100, 200, 500, 1000)


def draw(found: list[Speed], path: Path) -> None:
    """Draw speeds into an SVG file; the same measurements give the same bytes.

    Parameters
    ----------
    found : list of Speed
    path : Path
        Its folder is made.
    """
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    kinds = list(dict.fromkeys(speed.case.kind for speed in found))
    names = [name for name in _COLOURS if any(speed.algorithm == name for speed in found)]
    lines = -(-len(kinds) // _COLUMNS)
    path.parent.mkdir(parents=True, exist_ok=True)
    style = {"svg.hashsalt": "im2col", "font.size": 8, "axes.spines.top": False, "axes.spines.right": False}
    with mpl.rc_context(style):
        figure, grid = pyplot.subplots(
            lines, _COLUMNS, figsize=(7.2, 2.1 * lines + 0.5), layout="constrained", squeeze=False
        )
        for panel, kind in zip(grid.flat, kinds, strict=False):
            panel.set_title(kind, fontsize=8)
            for name in names:
                own = [speed for speed in found if speed.case.kind == kind and speed.algorithm == name]
                sizes = [speed.case.kernel for speed in own]
                panel.plot(sizes, [speed.nominal for speed in own], color=_COLOURS[name], label=name, linewidth=1.2)
                taken = [(speed.case.kernel, speed.nominal) for speed in own if speed.chosen]
                if taken:
                    panel.plot(*zip(*taken, strict=True), "o", color=_COLOURS[name], markersize=3)
            panel.set_yscale("log")
            low, high = panel.get_ylim()
            panel.set_yticks([tick for tick in _TICKS if low <= tick <= high])
            panel.yaxis.set_major_formatter("{x:g}")
            panel.minorticks_off()
            panel.set_xlabel("kernel, taps along an axis")
        for panel in grid.flat[len(kinds) :]:
            panel.set_visible(False)
        for line in grid:
            line[0].set_ylabel("nominal GFLOP/s")
        handles = [pyplot.Line2D([], [], color=_COLOURS[name], label=name) for name in names]
        handles.append(pyplot.Line2D([], [], color="black", marker="o", linestyle="", markersize=3, label="the choice"))
        figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False)
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)
