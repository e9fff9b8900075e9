"""What an algorithm is given and what it must do: the contract of every file in this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..engine.compiler import Kernel
    from ..spec.problem import Problem

    Runner = Callable[[NDArray[Any], NDArray[Any]], None]
    """``run(x, out)``: canonical views (N, C, *spatial) and (N, filters, *output), any strides; overwrites `out`."""

    GradientRunner = Callable[[NDArray[Any], NDArray[Any], NDArray[Any]], None]
    """``run(x, grad, out)``: canonical views (N, C, *spatial), (N, filters, *output) and (filters, channels/groups,
    *kernel), any strides; overwrites `out`."""

ONLY_BY_NAME = 1


class Suitability(NamedTuple):
    """What an algorithm says of a problem.

    Parameters
    ----------
    rank : int
        0 if it cannot solve it, `ONLY_BY_NAME` if it should only when it is asked for; ``algorithm="auto"`` takes the
        greatest above that.
    reason : str
        Why, for people: a clause that ``print(plan)`` shows.
    """

    rank: int
    reason: str


class Algorithm(Protocol):
    """One way to compute a convolution.

    A file of this folder that defines ``ALGORITHM``, an object with these members, is found by the registry.
    """

    name: str

    def suitability(self, problem: Problem) -> Suitability:
        """Return whether the algorithm can solve the problem, and how well.

        It is asked once for problems that are alike, and again when the engine has failed.
        """
        ...

    def workspace_bytes(self, problem: Problem, threads: int) -> int:
        """Return the bytes allocated while it runs, packed weights included, image and result excluded."""
        ...

    def prepare(
        self,
        problem: Problem,
        w: NDArray[Any],
        bias: NDArray[Any] | None,
        threads: int,
        scales: NDArray[Any] | None = None,
    ) -> Runner | None:
        """Return a function that runs it, safe to call from several threads at once; or None.

        None means that the engine has failed meanwhile, over the kernels of this very problem: `suitability` says from
        then on that the algorithm cannot, and the plan takes another one. The function itself never fails for such a
        reason.

        Parameters
        ----------
        problem : Problem
        w : ndarray, (filters, channels/groups, *kernel)
            Not to be kept by reference nor written to: it is the user's.
        bias : ndarray, (filters,), or None
            In the accumulator's dtype.
        threads : int
            How many threads may work. The result must not depend on it.
        scales : ndarray of float32, (filters,), or None
            What sums are multiplied with before they are rounded, where ``problem.zero_point`` says that they are
            requantised.
        """
        ...


class GradientAlgorithm(Protocol):
    """One way to compute the gradient of a convolution's weights.

    A file of the folder ``weight_gradient`` that defines ``ALGORITHM``, an object with these members, is found by the
    registry. A problem is the forward convolution whose `w_dtype` is that of the gradient of its result.
    """

    name: str

    def suitability(self, problem: Problem) -> Suitability:
        """Return whether the algorithm can solve the problem, and how well; see `Algorithm`."""
        ...

    def workspace_bytes(self, problem: Problem, threads: int) -> int:
        """Return the bytes allocated while it runs, arguments and result excluded."""
        ...

    def prepare(self, problem: Problem, threads: int) -> GradientRunner | None:
        """Return a function that runs it, safe to call from several threads at once; or None, as in `Algorithm`."""
        ...


@runtime_checkable
class Compiled(Protocol):
    """What an algorithm that runs the engine's kernels has besides, so that a plan can show them."""

    def kernels(self, problem: Problem) -> tuple[Kernel, ...]:
        """Return the kernels that compute the problem, each once, in the order of their calls."""
        ...


@runtime_checkable
class Banded(Protocol):
    """A runner that can also run band by band, so that several may take turns at what the caches hold."""

    def bands(self, x: NDArray[Any], out: NDArray[Any], count: int) -> list[Callable[[], None]] | None:
        """Return a function for each of `count` bands of the map, in order; None where it cannot for these arrays."""
        ...
