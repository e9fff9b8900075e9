"""What a contestant is, and how the files that hold them are found."""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import IntEnum
from importlib import metadata
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType

    from numpy.typing import NDArray

ProblemT = TypeVar("ProblemT")
Layout = Literal["NCHW", "NHWC"]
"""Where the channels stand, before or behind the spatial axes, however many these are."""


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


class Work(Protocol):
    """What is asked of every contestant, a row of the tables; hashable, and it travels to other processes."""

    @property
    def name(self) -> str:
        """As the tables call it."""

    @property
    def kind(self) -> str:
        """The class by which results are summed up."""

    @property
    def words(self) -> tuple[str, ...]:
        """What the patterns of the command are compared with."""

    @property
    def flops(self) -> int:
        """Operations in name."""

    @property
    def packed_bytes(self) -> int:
        """Bytes of the packed weights and of the padded image."""

    def miniature(self) -> Any:
        """Return work of the same kind whose memory is no help to this one."""


class JudgedProblem(Protocol):
    """What a contestant with a process of its own is given."""

    @property
    def out(self) -> NDArray[Any]:
        """Where the result belongs, if the library can write where it is told."""

    def complaint(self, result: NDArray[Any], right: NDArray[np.float64]) -> str | None:
        """Return what is wrong with a result, if anything."""


WorkT = TypeVar("WorkT", bound=Work)
JudgedT = TypeVar("JudgedT", bound=JudgedProblem)


@dataclass(frozen=True)
class SeatedContestant(Contestant[JudgedT], ABC, Generic[WorkT, JudgedT]):
    """A contestant with a process of its own, in which it makes its problems; see `Contestant` for other parameters.

    Parameters
    ----------
    layout : {"NCHW", "NHWC"}
        Of the images that it is given and that it returns.
    is_one_shot : bool
        Whether the weights come with every call; else they are prepared beforehand.
    """

    layout: Layout = "NCHW"
    is_one_shot: bool = False

    @property
    @abstractmethod
    def is_compared(self) -> bool:
        """Whether it is one of ours that are set beside the best peer, or one of the peers that may be the best."""

    @abstractmethod
    def give(self, work: WorkT, threads: int) -> JudgedT:
        """Return the problem that it is given, the same numbers in every process."""

    def copied_bytes(self, problem: JudgedT) -> int:  # noqa: ARG002 (for those that copy)
        """Return how much of what its library keeps is a copy of the problem, which is not counted as its memory."""
        return 0


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


def checked_calls(
    contestants: Iterable[Contestant[ProblemT]],
    problem: ProblemT,
    name: str,
    complaint: Callable[[Contestant[ProblemT], Callable[[], NDArray[Any]]], str | None],
) -> dict[str, Callable[[], NDArray[Any]]]:
    """Return the calls of contestants that offer a problem, each run once and found right.

    Parameters
    ----------
    contestants : iterable of Contestant
        All installed.
    problem
        What they are given.
    name : str
        As an error calls the problem.
    complaint : callable
        Takes a contestant and its call, and returns what is wrong with the result, if anything.

    Returns
    -------
    dict of str to callable
        By the contestants' names.

    Raises
    ------
    WrongResultError
        If there is a complaint.
    """
    calls = {}
    for contestant in contestants:
        call = contestant.prepare(problem)
        if call is None:
            continue
        wrong = complaint(contestant, call)
        if wrong:
            raise WrongResultError(f"{contestant.name}: wrong result of {name}: {wrong}")
        calls[contestant.name] = call
    return calls


def difference(result: NDArray[Any], right: NDArray[Any]) -> str | None:
    """Return where a result, of any shape, is not exactly the right one, if anywhere."""
    if result.size != right.size:
        return f"{result.size} elements instead of {right.size}"
    wrong = np.count_nonzero(result.reshape(right.shape) != right)
    return f"{wrong} of {right.size} elements differ from the oracle's" if wrong else None


def versions(contestants: Iterable[Contestant[Any]]) -> str:
    """Return one line about the contestants' packages: what is installed of each."""
    return ", ".join(dict.fromkeys(f"{c.distribution} {c.version or 'not installed'}" for c in contestants))
