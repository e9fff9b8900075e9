"""The chart: each layer's best direct peer and this library's plan, side by side, class by class."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from ..rounds import Round
    from .layers import Layer

_OURS, _PEER, _LINE = "#c2410c", "#94a3b8", "#475569"


def draw(r: Round[Layer], path: Path) -> None:
    """Draw a round into an SVG file; the same measurements give the same bytes.

    Parameters
    ----------
    r : Round
    path : Path
        Its folder is made.
    """
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    speed = attrgetter("best_speed")
    kinds = r.kinds()
    # A bar for each layer, and room between classes.
    places, start = {}, 0
    for layers in kinds.values():
        places.update({layer: start + i for i, layer in enumerate(layers)})
        start += len(layers) + 1
    ours = [max(speed(r.cells[layer][plan]) for plan in r.ours) for layer in places]
    bests = [r.best_peer(layer, speed) for layer in places]
    path.parent.mkdir(parents=True, exist_ok=True)
    style = {"svg.hashsalt": "im2col", "font.size": 8, "axes.spines.top": False, "axes.spines.right": False}
    with mpl.rc_context(style):
        figure, axes = pyplot.subplots(figsize=(6.4, 0.16 * start + 0.8), layout="constrained")
        for side, speeds, colour, label in (
            (0.2, [speed(m) if m else 0 for m in bests], _PEER, "best direct peer"),
            (-0.2, ours, _OURS, "im2col, a plan in the better layout"),
        ):
            axes.barh([y + side for y in places.values()], speeds, 0.4, color=colour, label=label)
        if r.peak:
            axes.axvline(r.peak, color=_LINE, linewidth=0.8, linestyle="--", label="FMA peak")
        axes.set_yticks(list(places.values()), [layer.name for layer in places])
        axes.tick_params(axis="y", length=0, labelsize=6)
        beside = axes.get_yaxis_transform()
        for kind, layers in kinds.items():
            axes.text(1, places[layers[0]] - 0.5, f" {kind}", transform=beside, va="top", weight="bold")
        axes.set_ylim(start - 0.5, -1)
        axes.set_xlabel(f"GFLOP/s, nominal; float32, threads: {r.threads}")
        figure.legend(loc="outside upper center", ncols=3, frameon=False)
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)
