"""The matrix products of a block of tiles: one for each element of a tile, as groups of one convolution of 1×1 taps."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from ...memory import lazy
from ...spec.problem import make_problem
from ..implicit.decide import BestTile, candidates
from ..implicit.tiles.filters import FilterShape
from ..implicit.work import Calls

if TYPE_CHECKING:
    import numpy as np

    from ...engine.target import Target
    from ..implicit.decide import Decision
    from ..implicit.tables import Tables
    from ..implicit.view import GroupShape


class Product:
    """Tiles times transformed filters: (tiles, groups, channels of a group) to (tiles, groups, filters of a group).

    Parameters
    ----------
    tiles : int
    groups, channels, filters : int
        Groups, an element of a tile being one; channels and filters of a group.
    steps : (int, int)
        Bytes from one tile to the next, of what is read and of what is written.
    dtype : dtype
    target : Target
    shape : FilterShape, optional
        The engine's tile, if it is that of another block, whose packed weights this one reads; else the best one.
    """

    def __init__(
        self,
        tiles: int,
        groups: int,
        channels: int,
        filters: int,
        steps: tuple[int, int],
        dtype: np.dtype[Any],
        target: Target,
        shape: FilterShape | None = None,
    ) -> None:
        shapes = (1, tiles, groups * channels), (groups * filters, channels, 1)
        problem = make_problem(*shapes, dtype, dtype, groups=groups, layout="NWC")
        read, written = ((0, dtype.itemsize, step) for step in steps)
        problem = dataclasses.replace(problem, strides=read, out_strides=written)
        # Tiles of filters sum each position's taps in their order, however many positions there are.
        [(made, cycles)] = [pair for pair in candidates(problem, target, (FilterShape,)) if pair[0].copy is None]
        if shape is not None:
            cycles = shape.cycles(made.view, made.group, target)
            made = made._replace(tile=BestTile(shape, cycles))
        # Its weights are not from afar: all tiles of a block pass over an element's before the next one's.
        made = made._replace(target=target._replace(caches=(target.caches[0], 1 << 40, 1 << 40)))
        self.problem, self.target, self.decision, self.cycles = problem, target, made, cycles

    @property
    def shape(self) -> FilterShape:
        """The engine's tile."""
        shape: Any = self.decision.tile.shape
        found: FilterShape = shape
        return found

    @property
    def group(self) -> GroupShape:
        """Groups, channels and filters as they are packed."""
        return self.decision.packed_group

    @lazy
    def tables(self) -> Tables:
        """Return what its kernels are called with."""
        decision: Decision = self.decision
        return decision.tables(decision.view)

    @lazy
    def calls(self) -> Calls:
        """Return its calls, in one task."""
        return Calls(self.tables, self.target, 1, 1, self.problem.flops)
