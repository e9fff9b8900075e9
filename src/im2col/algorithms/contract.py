"""What an algorithm is given and what it must do: the contract of every file in this folder."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, NoReturn, Protocol, TypeVar, runtime_checkable

from ..engine import compiler
from ..importing import importing
from ..memory import recalled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from ..engine.compiler import Kernel
    from ..engine.target import Target
    from ..spec.problem import Problem

    Runner = Callable[[NDArray[Any], NDArray[Any]], None]
    """``run(x, out)``: canonical views (N, C, *spatial) and (N, filters, *output), any strides; overwrites `out`."""

    GradientRunner = Callable[[NDArray[Any], NDArray[Any], NDArray[Any]], None]
    """``run(x, grad, out)``: canonical views (N, C, *spatial), (N, filters, *output) and (filters, channels/groups,
    *kernel), any strides; overwrites `out`."""

R = TypeVar("R", covariant=True)  # noqa: PLC0105 (a runner, of either kind)

ONLY_BY_NAME = 1
"""The rank of an algorithm that can, but that ``algorithm="auto"`` never takes."""

_FIX_SUMS = ("implicit", "reference", "separable")
"""Names of those whose sums take the taps in one order for chunks of all sizes, where a problem asks for that."""


def _nothing(*_: Any) -> NoReturn:
    raise RuntimeError("an offer of rank 0 has nothing to prepare")


def at_most(rank: int) -> Callable[[object, Problem], int]:
    """Return the method of algorithms that offer no problem a greater rank than this."""
    return lambda _self, _problem: rank


def never(self: object, problem: Problem) -> bool:  # noqa: ARG001 (a method of algorithms that run no kernels)
    """Return that an algorithm compiles nothing."""
    return False


class Offer(NamedTuple, Generic[R]):
    """What an algorithm would do for a problem, on one CPU: all that it decided.

    Parameters
    ----------
    rank : int
        0 if it cannot solve it, `ONLY_BY_NAME` if it should only when it is asked for; ``algorithm="auto"`` takes the
        greatest above that.
    reason : str
        Why, for people: a clause that ``print(plan)`` shows.
    workspace_bytes : int
        Allocated while it runs, packed weights included, arguments and result excluded.
    prepare : callable
        For a convolution ``prepare(w, bias, scales)``, for the gradient of its weights ``prepare()``. It returns a
        function that runs it, safe to call from several threads at once. Its result must not depend on the number of
        threads. `w`, (filters, channels/groups, *kernel), is the user's: it is not written to nor kept by reference;
        `bias`, (filters,) or None, is in the accumulator's dtype; `scales`, float32 (filters,) or None, are what sums
        are multiplied with before they are rounded, where ``problem.zero_point`` says that they are requantised.
        Raises `EngineError` if the engine fails over the kernels of this very problem; what it returns never does.
    kernels : callable, optional
        ``kernels()`` returns the kernels of the engine that it runs, each once; None if it runs none.
    target : Target, optional
        The CPU that they are for.
    shared_bytes : int
        Of `workspace_bytes`, what all that is prepared from this offer has in common.
    stage : callable, optional
        Of a convolution: ``stage(x, out, w)`` returns it as a `Stage` of a call that is about these views, or None
        where there is more to do; w is (groups, filters of a group, channels of a group, *kernel).
    at_once : callable, optional
        Of a gradient: ``at_once(x, grad, out)`` returns `prepare` and its runner as one function, or None where there
        is more to do; see `AtOnce`.
    cycles : float
        Of one image by its model, where it has one: of offers of one rank, the one with the fewest is taken.
    way : str
        With which parameters, for people: no two offers of an algorithm for a problem have the same.
    others : callable, optional
        ``others()`` yields offers with other parameters, those with the fewest cycles first: tuning compares some.
    """

    rank: int
    reason: str
    workspace_bytes: int = 0
    prepare: Callable[..., R] = _nothing
    kernels: Callable[[], tuple[Kernel, ...]] | None = None
    target: Target | None = None
    shared_bytes: int = 0
    stage: Callable[..., Stage | None] | None = None
    at_once: Callable[..., AtOnce | None] | None = None
    cycles: float = math.inf
    way: str = ""
    others: Callable[[], Iterator[Offer[R]]] | None = None


class AtOnce(Protocol):
    """An operation that is one call of the engine, weights packed on the way: ``run(out, *arrays)``.

    For all arrays that have the dtypes and strides of those that it was made for.
    """

    @property
    def any_threads(self) -> bool:
        """Whether the number of threads makes no difference to it."""
        ...

    def __call__(self, out: NDArray[Any], *arrays: Any) -> None:
        """Overwrite `out`."""
        ...


class Stage(Protocol):
    """A convolution that is a part of a call."""

    def with_others(
        self,
        stages: Sequence[Any],
        arrays: Sequence[NDArray[Any]],
        bias: NDArray[Any] | None,
        scales: NDArray[Any] | None = None,
    ) -> AtOnce | None:
        """Return the call of all stages, this one among them: ``run(out, x, w, bias)``; None where it is not one.

        Parameters
        ----------
        stages : sequence of Stage
            In order, of one class.
        arrays : sequence of ndarray
            Image, result and weights of the call: what the stages' views are views of, and like those to come.
        bias : ndarray or None
            In the accumulator's dtype.
        scales : ndarray or None
            As for `Offer.prepare`, of the only stage; those of all calls to come.
        """
        ...


class Algorithm(Protocol[R]):
    """One way to compute a convolution, or the gradient of its weights.

    A file of this folder, or of the folder ``weight_gradient``, that defines ``ALGORITHM``, an object with these
    members, is found by the registry. There a problem is the forward convolution whose `w_dtype` is that of the
    gradient of its result.
    """

    name: str

    def best_rank(self, problem: Problem) -> int:
        """Return the greatest rank that it may offer, at a glance: who cannot pass what is found is not asked."""
        ...

    def __hash__(self) -> int:
        """Return its hash: what it offers is remembered."""
        ...

    def compiles(self, problem: Problem) -> bool:
        """Return whether it would run kernels of the engine, and so wants to know the CPU."""
        ...

    def offer(self, problem: Problem, target: Target | None, threads: int) -> Offer[R]:
        """Return what it would do.

        Parameters
        ----------
        problem : Problem
        target : Target or None
            The CPU that kernels are for; None where there is no engine.
        threads : int
            How many may work.
        """
        ...


def offer_of(algorithm: Algorithm[R], problem: Problem, threads: int) -> Offer[R]:
    """Return what an algorithm offers for a problem on this CPU; it is remembered for problems that are alike."""
    if problem.fixes_sums and algorithm.name not in _FIX_SUMS:
        return Offer(0, "its sums take the taps in another order in chunks than in the whole")
    target = compiler.usable_target() if algorithm.compiles(problem) else None
    # Phases are alike, and calls whose arguments `memoized` cannot tell. Reasons may quote the engine's condition.
    key = algorithm, problem, target, threads, compiler.condition()
    return recalled(key, partial(algorithm.offer, problem, target, threads))


def refusal_of(kernels: Callable[[], tuple[Kernel, ...]], target: Target) -> Offer[Any] | None:
    """Return the offer of an algorithm whose kernels, or the one that runs a list of them, do not compile, or None."""
    with importing:
        from ..engine.sequence import SEQUENCE

    refused = compiler.refusal(lambda: (SEQUENCE, *kernels()), target)
    return None if refused is None else Offer(0, f"the engine cannot compile its kernel ({refused})")


@runtime_checkable
class Banded(Protocol):
    """A runner that can also run band by band, so that several may take turns at what the caches hold."""

    def bands(self, x: NDArray[Any], out: NDArray[Any], count: int) -> list[Callable[[], None]] | None:
        """Return a function for each of `count` bands of the map, in order; None where it cannot for these arrays."""
        ...


@runtime_checkable
class Immediate(Protocol):
    """A runner that is one call of the engine for some arrays."""

    def at_once(self, x: NDArray[Any], out: NDArray[Any]) -> Callable[[int, int], None] | None:
        """Return a function of the identities, ``id(x)`` and ``id(out)``, of arrays with the strides of these.

        It is used no longer than the runner; None where there is more to do.
        """
        ...
