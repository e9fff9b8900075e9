"""Convolution in the frequency domain: tiles of an image and filters become spectra, multiplied frequency by frequency.

The spectra of tiles are made and unmade by `passes` over their axes, whose lines are `butterflies`; `spectra` knows
what there is of them. All the rest is `tiled`.

There lanes are channels. Filters that share none, of images say, have one kernel for all (`plane_kernel`), in which
lanes are columns: `planes` decides how a map is cut into tiles, `prepared_planes` runs them.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from ...importing import importing
from ..contract import ONLY_BY_NAME, Offer, offer_of, refusal_of
from ..tiled import RANK, Tiled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...engine.target import Target
    from ...spec.problem import Problem
    from ..contract import Runner
    from ..tiled.transform import Family
    from .planes import DecidedPlanes


_FEWEST_TERMS = 100
"""Of a filter of single channels: the rms error of spectra of large tiles is that of plain sums times at most 20, over
the root of how many terms they have; measured for many kinds of pixels and kernels (docs/decisions.md)."""


class Fourier(Tiled):
    """Tiles, through the engine, stride 1, floats: windows of up to 16 taps along an axis, or of single channels."""

    name = "fft"

    def family(self) -> Family:
        """Return spectra of tiles of several sizes."""
        with importing:
            from .spectra import FAMILY

        return FAMILY

    def best_rank(self, problem: Problem) -> int:
        """Return that of the view for filters of single channels, too."""
        return RANK if _is_of_planes(problem) else super().best_rank(problem)

    def compiles(self, problem: Problem) -> bool:
        """Return whether there are transforms for it."""
        return _is_of_planes(problem) or super().compiles(problem)

    def offer(self, problem: Problem, target: Target | None, threads: int) -> Offer[Runner]:
        """Return the tiles with the fewest cycles, and what they take."""
        with importing:
            from ...engine.compiler import failure
            from ..implicit import ALGORITHM as DIRECT

        if not _is_of_planes(problem):
            small = super().offer(problem, target, threads)
            if small.rank or self.family().taps.issuperset(problem.geometry.kernel_size) or not _has_planes(problem):
                return small
            larger = f"larger ones of single channels have, with {_FEWEST_TERMS} weights that are not 0"
            return Offer(0, f"{small.reason}; {larger}, where the precision is not 'strict'")
        if target is None:
            return Offer(0, f"the engine cannot be used ({failure()})")
        direct = offer_of(DIRECT, dataclasses.replace(problem, batch=1), threads)
        if direct.rank == 0:
            return Offer(0, f"what is not finite has to be computed directly, but {direct.reason}")
        offer = next(_of_planes(problem, target, direct, threads), None)
        if offer is None:
            return self._of_small_kernels(problem, target, threads)
        return offer._replace(others=partial(_others, problem, target, direct, threads)) if offer.rank else offer

    def _of_small_kernels(self, problem: Problem, target: Target, threads: int) -> Offer[Runner]:
        """Return an offer of tiles whose lanes are channels, for a single one."""
        with importing:
            from .planes import SIZES

        offer, g = super().offer(problem, target, threads), problem.geometry
        if offer.rank:
            return offer._replace(rank=ONLY_BY_NAME)
        pixels = f"no tiles of up to {SIZES[-1]}×{SIZES[-1]} pixels"
        return Offer(0, f"{pixels} are for kernels of {g.kernel_size} and maps of {g.output_shape}")


def _is_of_planes(problem: Problem) -> bool:
    """Whether spectra of large tiles are for a problem, and known to be exact enough: sums have so many terms."""
    terms = problem.kernel_terms
    return terms is not None and terms >= _FEWEST_TERMS and problem.precision != "strict" and _has_planes(problem)


def _has_planes(problem: Problem) -> bool:
    """Whether filters are of single channels, and of two axes."""
    if problem.group_channels != 1 or problem.geometry.ndim != 2:
        return False
    with importing:
        from ..tiled.decide import unsuited

    return unsuited(problem) is None


def _of_planes(problem: Problem, target: Target, direct: Offer[Runner], threads: int) -> Iterator[Offer[Runner]]:
    """Yield offers of pairs of tiles of each size, those with the fewest cycles first."""
    with importing:
        from .planes import decisions

    for decided, cycles in decisions(problem, target):
        yield _offered(decided, cycles, direct, threads)


def _others(problem: Problem, target: Target, direct: Offer[Runner], threads: int) -> Iterator[Offer[Runner]]:
    """Yield all but the first."""
    return islice(_of_planes(problem, target, direct, threads), 1, None)


def _offered(decided: DecidedPlanes, cycles: float, direct: Offer[Runner], threads: int) -> Offer[Runner]:
    """Return what was decided as an offer."""
    with importing:
        from .prepared_planes import PreparedPlanes, ThreadedPlanes

    layer = ThreadedPlanes(decided, threads, direct)
    refused = refusal_of(layer.kernels, decided.target)
    if refused is not None:
        return refused
    return Offer(
        RANK,
        f"{decided.way}; {cycles:.3g} cycles an image by the model",
        layer.workspace_bytes,
        partial(PreparedPlanes, layer),
        layer.kernels,
        decided.target,
        cycles=cycles,
        way=decided.way,
    )


ALGORITHM = Fourier()
