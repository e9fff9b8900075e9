"""One file an algorithm, one contract, and this registry, which finds them."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..importing import importing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .contract import Algorithm, GradientRunner, Runner

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
