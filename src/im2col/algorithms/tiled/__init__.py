"""Convolution in tiles: im2col with larger, strided patches, transformed so that fewer products are enough.

The image is cut into tiles that overlap (`tiling`), each of which is transformed into some elements (`into_tiles`), and
so are the filters. Of each element the tiles are a matrix, and so are the filters: their `product` is one of the
engine's tiles. What comes out is transformed back, finished and stored (`out_of_tiles`). A block of tiles passes all
three steps while the caches hold it (`prepared`).

What the elements are, a `transform` knows: the algorithms `winograd` and `fft` are families of them. `decide` chooses
the transform, how large tiles and blocks are.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from ...importing import importing
from ..contract import ONLY_BY_NAME, Offer, offer_of, refusal_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...engine.target import Target
    from ...spec.problem import Problem
    from ..contract import Runner
    from .decide import Decision
    from .transform import Family

RANK = 20
"""Of the view, too: the one with fewer cycles is taken."""


class Tiled(ABC):
    """An algorithm of tiles, through the engine, whose transforms are of one family: stride 1, floats."""

    name: str

    @abstractmethod
    def family(self) -> Family:
        """Return the transforms."""

    def best_rank(self, problem: Problem) -> int:
        """Return that of the view, where filters are prepared once and there is enough to multiply."""
        if not problem.prepared or problem.dtype.kind != "f":
            return ONLY_BY_NAME
        with importing:
            from .decide import obstacle, worthwhile

        return RANK if worthwhile(problem) and obstacle(problem, self.family()) is None else ONLY_BY_NAME

    def compiles(self, problem: Problem) -> bool:
        """Return whether there are transforms for it."""
        with importing:
            from .decide import obstacle

        return obstacle(problem, self.family()) is None

    def offer(self, problem: Problem, target: Target | None, threads: int) -> Offer[Runner]:
        """Return the tiles with the fewest cycles, and what they take."""
        with importing:
            from ...engine.compiler import failure
            from ..implicit import ALGORITHM as DIRECT
            from .decide import admitted, decide, obstacle, possible

        family = self.family()
        why_not = obstacle(problem, family)
        if why_not is not None:
            return Offer(0, why_not)
        if target is None:
            return Offer(0, f"the engine cannot be used ({failure()})")
        if not admitted(problem, family):
            return Offer(
                0,
                f"no transform for kernels of {problem.geometry.kernel_size} and {problem.group_channels} channels "
                f"is as exact as the precision {problem.precision!r}; 'fast' admits some",
            )
        if not possible(problem, family):
            return Offer(0, f"tiles for kernels of {problem.geometry.kernel_size} take more code than is compiled")
        direct = offer_of(DIRECT, dataclasses.replace(problem, batch=1), threads)
        if direct.rank == 0:
            return Offer(0, f"what is not finite has to be computed directly, but {direct.reason}")
        decision, cycles = decide(problem, family, target, threads)
        offer = self._offered(problem, decision, cycles, direct, threads)
        others = partial(self._others, problem, target, direct, threads)
        return offer._replace(others=others) if offer.rank else offer

    def _others(self, problem: Problem, target: Target, direct: Offer[Runner], threads: int) -> Iterator[Offer[Runner]]:
        """Yield offers of tiles of other sizes."""
        with importing:
            from .decide import decisions

        for decision, cycles in islice(decisions(problem, self.family(), target, threads), 1, None):
            yield self._offered(problem, decision, cycles, direct, threads)

    def _offered(
        self, problem: Problem, decision: Decision, cycles: float, direct: Offer[Runner], threads: int
    ) -> Offer[Runner]:
        """Return what was decided as an offer."""
        with importing:
            from .prepared import DecidedTiles, PreparedTiles

        layer = DecidedTiles(problem, decision, threads, direct)
        refused = refusal_of(layer.kernels, decision.target)
        if refused is not None:
            return refused
        return Offer(
            self.best_rank(problem),
            f"{decision.reason}; {cycles:.3g} cycles an image by the model",
            layer.workspace_bytes,
            partial(PreparedTiles, layer),
            layer.kernels,
            decision.target,
            cycles=cycles,
            way=decision.way,
        )
