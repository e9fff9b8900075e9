"""What a contestant is, and how the files that hold them are found."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from enum import IntEnum
from importlib import metadata
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType

    from numpy.typing import NDArray

ProblemT = TypeVar("ProblemT")


class WrongResultError(Exception):
    """A contestant computed something else than the oracle."""


class Role(IntEnum):
    """Why a contestant takes part; tables show them in this order."""

    LIMIT = 0
    OURS = 1
    PEER = 2


@dataclass(frozen=True)
class Contestant(Generic[ProblemT]):
    """One way to solve a contest's problems; each file of contestants defines one as ``CONTESTANT``.

    Parameters
    ----------
    name : str
        As the tables call it.
    distribution : str
        The installed package that it needs, as pip calls it.
    prepare : callable
        Takes a problem and returns the call to be timed, which returns its result; None where the library does not
        offer this. It imports its library itself, so that a contestant whose library is missing can still be listed.
    role : Role
        A limit only moves the bytes of the problem, so it is not compared with the oracle's result.
    """

    name: str
    distribution: str
    prepare: Callable[[ProblemT], Callable[[], NDArray[Any]] | None]
    role: Role = Role.PEER

    @property
    def version(self) -> str | None:
        """The installed version of the contestant's library; None where it is not installed."""
        try:
            return metadata.version(self.distribution)
        except metadata.PackageNotFoundError:
            return None


def discover(package: ModuleType) -> list[Any]:
    """Return the contestants of a package, one a module, in the order of their roles and names.

    Parameters
    ----------
    package : module
        Each of its modules defines ``CONTESTANT``.

    Returns
    -------
    list of Contestant
        Of whichever kind the package's are.
    """
    modules = [importlib.import_module(f"{package.__name__}.{m.name}") for m in pkgutil.iter_modules(package.__path__)]
    return sorted((module.CONTESTANT for module in modules), key=lambda c: (c.role, c.name.lower()))


def versions(contestants: Iterable[Contestant[Any]]) -> str:
    """Return one line about the contestants' packages: what is installed of each."""
    return ", ".join(dict.fromkeys(f"{c.distribution} {c.version or 'not installed'}" for c in contestants))
