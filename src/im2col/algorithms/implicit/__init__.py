"""The column matrix as a view: a microkernel multiplies through it, and no matrix is made.

A problem becomes a decision (`decide`: which `tiles`, and whether an image is read from a copy), the decision tables
(`borders`, `packing`, `tables`), and these with the weights a function (`work`, `prepared`).
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from ...importing import importing
from ..contract import Offer, at_most, refusal_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...engine.target import Target
    from ...spec.problem import Problem
    from ..contract import Runner
    from .decide import Decision

_PIXELS_A_PRODUCT = 8
"""Copied pixels for each product from which on most of a copy is made in vain."""

_RANK = 20


class Implicit:
    """The view, through the engine: real numbers for which it has a tile."""

    name = "implicit"
    best_rank = at_most(_RANK)

    def compiles(self, problem: Problem) -> bool:
        """Return whether there is a kernel for its numbers, and something to multiply."""
        with importing:
            from .numbers import impossible

        return impossible(problem) is None

    def offer(self, problem: Problem, target: Target | None, threads: int) -> Offer[Runner]:
        """Return the tile with the fewest cycles, and what it takes."""
        # These take milliseconds to import, and wait for the first problem.
        with importing:
            from .decide import decide
            from .numbers import obstacle

        why_not = obstacle(problem, target)
        if why_not is not None or target is None:
            return Offer(0, str(why_not))
        offer = _offered(problem, decide(problem, target), threads)
        return offer._replace(others=partial(_others, problem, target, threads, offer.way)) if offer.rank else offer


def _offered(problem: Problem, decision: Decision, threads: int) -> Offer[Runner]:
    """Return what was decided as an offer."""
    with importing:
        from .prepared import DecidedLayer, PreparedLayer

    rank, reason, copy, target = _RANK, decision.reason, decision.copy, decision.target
    if copy and math.prod(copy.shape) * problem.batch > _PIXELS_A_PRODUCT * max(1, problem.flops // 2):
        rank, reason = 5, f"the view, but it would copy an image ({copy.why}) of which little is read"
    layer = DecidedLayer(problem, decision, threads)
    refused = refusal_of(layer.kernels, target)
    if refused is not None:
        return refused
    # Tables for several copies at a time are others than for dense arrays.
    several = copy is not None and copy.images(problem.batch) > 1
    shared = decision.making_bytes(problem.w_dtype) + (decision.table_bytes if several else 0)
    nbytes = decision.workspace_bytes + layer.more_copied_bytes + shared
    return Offer(
        rank,
        reason,
        nbytes,
        partial(PreparedLayer, layer),
        layer.kernels,
        target,
        shared,
        layer.stage,
        cycles=decision.cycles,
        way=decision.way,
    )


def _others(problem: Problem, target: Target, threads: int, taken: str) -> Iterator[Offer[Runner]]:
    """Yield offers of all other tiles, and of other ways to read the pixels."""
    with importing:
        from .decide import candidates, every_tile

    for made, cycles in every_tile(candidates(problem, target)):
        if made.way != taken:
            yield _offered(problem, made._replace(cycles=cycles), threads)


ALGORITHM = Implicit()
