"""From a model's graph to what runs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from .folding import fold_constants
from .fusing import fuse
from .program import Program

if TYPE_CHECKING:
    from pathlib import Path

    from .graph import Graph


def prepare(graph: Graph, folder: Path | None) -> Program:
    """Return a graph as it runs: what is known is computed, what can be one step is one.

    Parameters
    ----------
    graph : Graph
        Is changed.
    folder : Path or None
        Where the model's external data lie.
    """
    fold_constants(graph, folder)
    fuse(graph)
    return Program(graph, partial(prepare, folder=folder))
