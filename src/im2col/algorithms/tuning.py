"""Measuring what the model only weighs: the offers with the fewest cycles run in turns, and the fastest is kept."""

from __future__ import annotations

import time
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine.compiler import EngineError
from ..engine.host import require_memory
from . import choose, offers
from .contract import ONLY_BY_NAME
from .verdicts import Measured, keep_verdict, verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from ..spec.problem import Problem
    from .contract import Offer
    from .verdicts import Verdict

    Weights = tuple[NDArray[Any] | None, ...]

_OTHERS = 3
"""Ways of an algorithm that are measured, beside its best by the model."""
_WITHIN = 1.5
"""Times the cycles of an algorithm's best: what has more is not measured; and seconds, of what is not measured on."""
_FIRST, _MOST = 3, 100
"""Calls of each offer before those that are slow leave, and of those that stay, at most."""
_SECONDS = 0.1
"""Of calls of each offer that stays."""
_EXACT = 1e-6
"""Seconds: a clock that tells less shows no difference between small layers."""
_NOISE = 1.02
"""Times as fast as the model's choice another offer has to be."""


def tune(problem: Problem, requested: str, threads: int, weights: Weights) -> Verdict:
    """Measure a problem's offers, if that has not been done on this CPU, and keep what was found.

    Parameters
    ----------
    problem : Problem
    requested : str
        The algorithm whose ways are compared, or ``"auto"``: those of all that are not for those alone who name them.
    threads : int
    weights : tuple
        What offers are prepared with: speed depends on their values where an algorithm looks at them.

    Returns
    -------
    tuple of Measured
        The one to take first, the others by their times.

    Raises
    ------
    ArgumentError
        If the name is unknown, or the algorithm cannot solve the problem.
    MemoryBudgetError
        If the offers' workspaces would not fit the available memory.
    """
    found = verdict(problem, requested, threads)
    if found is None:
        found = measured(problem, list(candidates(problem, requested, threads)), threads, weights)
        keep_verdict(problem, requested, threads, found)
    return found


def candidates(problem: Problem, requested: str, threads: int) -> Iterator[tuple[str, Offer[Any]]]:
    """Yield what is worth measuring: the model's choice first, then other algorithms, then other ways of them all."""
    chosen = choose(problem, requested, threads)
    best = {chosen.algorithm: chosen.offer}
    if requested == "auto" and not problem.fixes_sums:  # or chunks of another size might be measured otherwise
        best |= {name: each for name, each in offers(problem, threads).items() if each.rank > ONLY_BY_NAME}
    yield from best.items()
    for name, offer in best.items():
        yield from ((name, each) for each in islice(_close(offer), _OTHERS))


def _close(offer: Offer[Any]) -> Iterator[Offer[Any]]:
    """Yield the other ways of an offer that are about as fast by the model, but for those that the engine refuses."""
    for each in offer.others() if offer.others is not None else ():
        if each.rank > ONLY_BY_NAME:
            if each.cycles > _WITHIN * offer.cycles:
                return
            yield each


def measured(problem: Problem, found: list[tuple[str, Offer[Any]]], threads: int, weights: Weights) -> Verdict:
    """Run offers in turns, on images of ones, and return them by the seconds of their fastest calls.

    The first of them stays the first where no other is faster beyond the clock's noise. What the engine refuses is left
    out.
    """
    p = problem
    nbytes = sum(offer.workspace_bytes for _, offer in found) + p.output_bytes
    require_memory(nbytes, "make the plan without tune", "the workspaces of {} ways to run {}", len(found), p.x_shape)
    view = p.layout.to_canonical
    x, out = view(np.ones(p.x_shape, p.x_dtype)), view(np.empty(p.output_shape, p.dtype))
    calls: dict[int, Callable[[], None]] = {}
    for i, (_, offer) in enumerate(found):
        try:
            calls[i] = partial(offer.prepare(*weights), x, out)
        except EngineError:
            continue
        calls[i]()
    seconds = _in_turns(calls, _clock(threads))
    order = sorted(seconds, key=lambda i: seconds[i])
    if 0 in seconds and seconds[0] <= _NOISE * seconds[order[0]]:
        order.sort(key=bool)
    return tuple(Measured(found[i][0], found[i][1].way, found[i][1].cycles, seconds[i]) for i in order)


def _clock(threads: int) -> Callable[[], float]:
    """Return what tells seconds: one thread's own clock, if it is exact, stands while the machine does other work."""
    exact = time.get_clock_info("thread_time").resolution <= _EXACT
    return time.thread_time if threads == 1 and exact else time.perf_counter


def _in_turns(calls: dict[int, Callable[[], None]], clock: Callable[[], float]) -> dict[int, float]:
    """Return the seconds of each one's fastest call; what else the machine does meets all of them alike."""
    least, total, running = dict.fromkeys(calls, float("inf")), dict.fromkeys(calls, 0.0), list(calls)
    for turn in range(_MOST):
        for i in running:
            start = clock()
            calls[i]()
            elapsed = clock() - start
            least[i], total[i] = min(least[i], elapsed), total[i] + elapsed
        if turn + 1 >= _FIRST:
            limit = _WITHIN * min(least.values())
            running = [i for i in running if total[i] < _SECONDS and least[i] <= limit]
    return least
