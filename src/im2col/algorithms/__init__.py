"""One file an algorithm, one contract, and this registry, which finds them."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .contract import Algorithm


@cache
def registry() -> Mapping[str, Algorithm]:
    """Return every algorithm by its name, in alphabetical order.

    Returns
    -------
    mapping of str to Algorithm
        The ``ALGORITHM`` of each module of this package that has one.
    """
    import pkgutil  # takes a millisecond to import

    modules = (import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__))
    found = [module.ALGORITHM for module in modules if hasattr(module, "ALGORITHM")]
    return MappingProxyType({a.name: a for a in sorted(found, key=lambda a: a.name)})
