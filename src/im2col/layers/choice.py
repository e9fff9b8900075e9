"""Which algorithm computes a problem: the one that the user names, or the one whose offer ranks first."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ..algorithms import find, gradient_registry, registry
from ..algorithms.contract import ONLY_BY_NAME
from ..engine import compiler
from ..errors import ArgumentError, shown
from ..memory import recalled
from ..spec.arguments import word

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..algorithms.contract import Algorithm, Offer
    from ..spec.problem import Problem


class Choice(NamedTuple):
    """A problem and the offer that was taken: all that is known before the arrays."""

    problem: Problem
    algorithm: str
    offer: Offer[Any]


def choose(problem: Problem, requested: str, threads: int, *, gradient: bool = False) -> Choice:
    """Take an offer for a convolution, or for the gradient of its weights.

    Parameters
    ----------
    problem : Problem
    requested : str
        The algorithm's name, or ``"auto"``.
    threads : int
    gradient : bool

    Raises
    ------
    ArgumentError
        If the name is unknown, or the algorithm cannot solve the problem.
    """
    name, algorithm = word(requested), None
    if name == "auto":
        return _best(problem, _algorithms(gradient), threads)
    # No other is asked nor loaded: whoever names an algorithm without the engine does not load it.
    if name is not None:
        algorithm = find(name, gradient=gradient) or _algorithms(gradient).get(name)
    if algorithm is None:
        names = tuple(_algorithms(gradient))
        raise ArgumentError(f"algorithm must be 'auto' or one of {names}, got {shown(requested)}")
    offer = _offer(algorithm, problem, threads)
    if offer.rank == 0:
        raise ArgumentError(f"algorithm {name!r} cannot solve this: {offer.reason}; use algorithm='auto'")
    return Choice(problem, algorithm.name, offer)


def _algorithms(gradient: bool) -> Mapping[str, Algorithm[Any]]:
    return gradient_registry() if gradient else registry()


def _offer(algorithm: Algorithm[Any], problem: Problem, threads: int) -> Offer[Any]:
    target = compiler.usable_target() if algorithm.compiles(problem) else None
    # Once for problems that are alike: phases, and calls whose arguments `memoized` cannot tell. Reasons may quote the
    # engine's condition.
    key = algorithm, problem, target, threads, compiler.condition()
    return recalled(key, partial(algorithm.offer, problem, target, threads))


def _best(problem: Problem, algorithms: Mapping[str, Algorithm[Any]], threads: int) -> Choice:
    best: Choice | None = None
    asked = {}
    for each in sorted(algorithms.values(), key=lambda each: -each.best_rank):
        if best is not None and best.offer.rank >= each.best_rank:
            break  # neither this one nor any behind it ranks higher
        asked[each.name] = offer = _offer(each, problem, threads)
        if best is None or offer.rank > best.offer.rank:
            best = Choice(problem, each.name, offer)
    if best is None or best.offer.rank <= ONLY_BY_NAME:
        why = "; ".join(f"{name}: {_said(asked[name])}" for name in sorted(asked))
        raise ArgumentError(f"no algorithm suits this ({why}); raise workspace_limit, or name an algorithm")
    return best


def offers(problem: Problem, threads: int, *, gradient: bool = False) -> dict[str, Offer[Any]]:
    """Return what each algorithm offers for a problem."""
    return {name: _offer(each, problem, threads) for name, each in _algorithms(gradient).items()}


def offer_lines(choice: Choice, threads: int, *, gradient: bool = False) -> list[str]:
    """Return a line for each algorithm: whether it was taken, and what it says."""
    found = offers(choice.problem, threads, gradient=gradient)
    return [f"  {'→' if name == choice.algorithm else ' '} {name:<10} {_said(each)}" for name, each in found.items()]


def _said(offer: Offer[Any]) -> str:
    """Return what an algorithm says of a problem, for people."""
    return offer.reason if offer.rank else f"cannot: {offer.reason}"
