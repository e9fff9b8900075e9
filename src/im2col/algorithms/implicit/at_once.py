"""A layer and the packing of its weights as one call from Python."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...engine import gather, scratch
from ...engine.copies import Copies
from .packing import room_for_bias, room_for_weights, values_by_place, weights_by_place
from .work import BIAS, GIVEN_BIAS, GIVEN_WEIGHTS, WEIGHTS, one_task

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...engine.sequence import Steps
    from ...spec.problem import Problem
    from .view import GroupShape
    from .work import Calls, Tables

    Array = NDArray[Any]

_CLEARED = 64 << 10
"""Bytes of packed weights up to which all of them are cleared for the sake of blocks that filters do not fill."""

_IMAGES = 4
"""How many of the image there must be room for in the second level, that blocks of filters are packed one by one: it is
read again for each of them."""


class AtOnce:
    """A layer's calls behind the copies that pack its weights and its bias: ``run(x, out, w, bias)``.

    Parameters
    ----------
    steps : Steps
    weights, offsets : ndarray
        Like those that are packed.
    cleared : bool
        Whether some filters of a block are not there, and stand as zeros.
    any_threads : bool
        Whether the number of threads makes no difference.
    """

    def __init__(self, steps: Steps, weights: Array, offsets: Array, cleared: bool, any_threads: bool) -> None:
        self._run, self._steps = steps.run_ids, steps
        self._weights, self._dtype, self._offsets, self._sums = len(weights), weights.dtype, len(offsets), offsets.dtype
        self._room = np.zeros if cleared else np.empty if weights.nbytes < _CLEARED else scratch.empty
        self.any_threads = any_threads

    def __call__(self, x: Array, out: Array, w: Array, bias: Array | None) -> None:
        """Overwrite `out`."""
        weights = self._room(self._weights, self._dtype)
        if bias is None:
            self._run(id(weights), id(weights), id(w), id(w), id(x), id(out))
        else:
            offsets = np.zeros(self._offsets, self._sums)
            self._run(id(weights), id(offsets), id(w), id(bias), id(x), id(out))


def at_once(
    problem: Problem, tables: Tables, group: GroupShape, calls: Calls, w: Array, bias: Array | None
) -> AtOnce | None:
    """Return how a layer is run in one call, or None where it is not.

    Parameters
    ----------
    problem : Problem
    tables : Tables
    group : GroupShape
        As it is packed.
    calls : Calls
        They read the image in place, and weights that are packed as they are.
    w, bias : ndarray
        Like those that will be given.

    Raises
    ------
    EngineError
        If a kernel cannot be compiled, after the engine's warning.
    """
    places = tables.places
    weights = np.empty(room_for_weights(places), w.dtype)
    if len(calls.tasks) > 1 or gather.worthy_threads(weights.nbytes, calls.threads) > 1:
        return None
    any_threads = one_task(problem.flops) and gather.worthy_threads(weights.nbytes, 2) == 1
    cleared = any(each.packed[-1] > each.split[2] for each in places)
    if cleared and weights.nbytes >= _CLEARED:
        return None
    flipped = np.flip(w, tuple(range(2, w.ndim))) if problem.flip else w
    copies, made = Copies(), []
    offsets = np.empty(0)
    if bias is not None:
        offsets = np.empty(room_for_bias(places), bias.dtype)
        for to, source in values_by_place(places, group, offsets, bias):
            made.append(copies.add((BIAS, offsets, to), (GIVEN_BIAS, bias, source)))
    moves = [(to, source) for _, to, source in weights_by_place(places, group, weights, flipped)]
    image = problem.batch * problem.channels * math.prod(problem.geometry.spatial_shape) * w.itemsize
    level = calls.target.caches[1]
    if group.groups == 1 and not cleared and image * _IMAGES < level < weights.nbytes:
        # Weights outweigh the image: a block is packed just before it is used, and the caches hold it until then.
        blocks, sizes = [], []
        for to, source in moves:
            sizes.append(to[0, 0].nbytes)
            for each in source[0]:
                blocks.append(Copies())
                made.append(blocks[-1].add((WEIGHTS, to, to[0, 0]), (GIVEN_WEIGHTS, w, each)))
        steps = calls.block_by_block(copies, blocks, sizes) if all(made) else None
        weights = np.empty(max(sizes) // w.itemsize, w.dtype)
    else:
        made += [copies.add((WEIGHTS, weights, to), (GIVEN_WEIGHTS, w, source)) for to, source in moves]
        steps = calls.behind(copies) if all(made) else None
    return AtOnce(steps, weights, offsets, cleared, any_threads) if steps else None
