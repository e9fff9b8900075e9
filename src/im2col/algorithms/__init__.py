"""One file an algorithm, one contract, and this registry, which finds them.

For a problem it takes the algorithm that the user names, or the one whose offer ranks first.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ArgumentError, shown
from ..importing import importing
from ..spec.arguments import word
from .contract import ONLY_BY_NAME, offer_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..spec.problem import Problem
    from ..summary import Table
    from .contract import Algorithm, GradientRunner, Offer, Runner
    from .verdicts import Measured, Verdict

_GRADIENT = f"{__name__}.weight_gradient"


@cache
def registry() -> Mapping[str, Algorithm[Runner]]:
    """Return every algorithm by its name, in alphabetical order.

    Returns
    -------
    mapping of str to Algorithm
        The ``ALGORITHM`` of each module of this package that has one.
    """
    return _found(__name__)


@cache
def gradient_registry() -> Mapping[str, Algorithm[GradientRunner]]:
    """Return every algorithm for the weights' gradient by its name, in alphabetical order.

    Returns
    -------
    mapping of str to Algorithm
        The ``ALGORITHM`` of each module of the package ``weight_gradient`` that has one.
    """
    return _found(_GRADIENT)


def find(name: str, *, gradient: bool = False) -> Algorithm[Any] | None:
    """Return the algorithm that stands in a file of its own name, without loading any other; None if there is none."""
    package = _GRADIENT if gradient else __name__
    try:
        with importing:
            found = getattr(import_module(f"{package}.{name}"), "ALGORITHM", None) if name.isidentifier() else None
    except ModuleNotFoundError:
        return None
    return found if found is not None and found.name == name else None


def _found(package: str) -> Mapping[str, Any]:
    with importing:
        import pkgutil  # takes a millisecond to import

        modules = [
            import_module(f"{package}.{info.name}") for info in pkgutil.iter_modules(import_module(package).__path__)
        ]
    found = [module.ALGORITHM for module in modules if hasattr(module, "ALGORITHM")]
    return MappingProxyType({a.name: a for a in sorted(found, key=lambda a: a.name)})


class Choice(NamedTuple):
    """A problem and the offer that was taken: all that is known before the arrays.

    `measured` is the verdict that it was taken by, if it was by one.
    """

    problem: Problem
    algorithm: str
    offer: Offer[Any]
    measured: Verdict = ()


def choose(problem: Problem, requested: str, threads: int, *, gradient: bool = False, tuned: bool = False) -> Choice:
    """Take an offer for a convolution, or for the gradient of its weights.

    Parameters
    ----------
    problem : Problem
    requested : str
        The algorithm's name, or ``"auto"``.
    threads : int
    gradient : bool
    tuned : bool
        Whether to take what was the fastest when a convolution was measured, if it was.

    Raises
    ------
    ArgumentError
        If the name is unknown, or the algorithm cannot solve the problem.
    """
    name, algorithm = word(requested), None
    if tuned and name is not None:
        with importing:
            from .verdicts import verdict  # which few plans need

        found = verdict(problem, name, threads) or ()
        offer = _measured_offer(problem, found[0], threads) if found else None
        if offer is not None:
            return Choice(problem, found[0].algorithm, offer, found)
    if name == "auto":
        return _best(problem, _algorithms(gradient), threads)
    # No other is asked nor loaded: whoever names an algorithm without the engine does not load it.
    if name is not None:
        algorithm = find(name, gradient=gradient) or _algorithms(gradient).get(name)
    if algorithm is None:
        names = tuple(_algorithms(gradient))
        raise ArgumentError(f"algorithm must be 'auto' or one of {names}, got {shown(requested)}")
    offer = offer_of(algorithm, problem, threads)
    if offer.rank == 0:
        raise ArgumentError(f"algorithm {name!r} cannot solve this: {offer.reason}; use algorithm='auto'")
    return Choice(problem, algorithm.name, offer)


def _measured_offer(problem: Problem, best: Measured, threads: int) -> Offer[Any] | None:
    """Return the offer that was measured, or None where there is none like it any more."""
    algorithm = registry().get(best.algorithm)
    offer = None if algorithm is None else offer_of(algorithm, problem, threads)
    if offer is None or offer.rank == 0 or offer.way == best.way:
        return offer if offer is not None and offer.rank else None
    others = offer.others() if offer.others is not None else ()
    return next((each for each in others if each.way == best.way and each.rank), None)


def _algorithms(gradient: bool) -> Mapping[str, Algorithm[Any]]:
    return gradient_registry() if gradient else registry()


def _best(problem: Problem, algorithms: Mapping[str, Algorithm[Any]], threads: int) -> Choice:
    best: Choice | None = None
    asked = {}
    most = {each: each.best_rank(problem) for each in algorithms.values()}
    for each in sorted(most, key=lambda each: -most[each]):
        if best is not None and best.offer.rank > most[each]:
            break  # neither this one nor any behind it ranks as high
        asked[each.name] = offer = offer_of(each, problem, threads)
        if best is None or (offer.rank, -offer.cycles) > (best.offer.rank, -best.offer.cycles):
            best = Choice(problem, each.name, offer)
    if best is None or best.offer.rank <= ONLY_BY_NAME:
        why = "; ".join(f"{name}: {_said(asked[name])}" for name in sorted(asked))
        raise ArgumentError(f"no algorithm suits this ({why}); raise workspace_limit, or name an algorithm")
    return best


def offers(problem: Problem, threads: int, *, gradient: bool = False) -> dict[str, Offer[Any]]:
    """Return what each algorithm offers for a problem."""
    return {name: offer_of(each, problem, threads) for name, each in _algorithms(gradient).items()}


def offer_table(choice: Choice, threads: int, *, title: str = "", gradient: bool = False) -> Table:
    """Return a row for each algorithm, and which was taken; and those that were measured."""
    with importing:
        from ..summary import Table

    found = offers(choice.problem, threads, gradient=gradient)
    return Table(
        ("algorithm", "how, or why not"),
        tuple((name, _said(each)) for name, each in found.items()),
        title,
        list(found).index(choice.algorithm),
        facts=(("measured", *map(str, choice.measured)),) if choice.measured else (),
    )


def _said(offer: Offer[Any]) -> str:
    """Return what an algorithm says of a problem, for people."""
    return offer.reason if offer.rank else f"cannot: {offer.reason}"
