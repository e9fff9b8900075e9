"""What all plans share: how they compare, which algorithm they take, how they check what they are given."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NoReturn, Self

import numpy as np

from ..algorithms.contract import ONLY_BY_NAME, Compiled
from ..engine import compiler
from ..engine.host import require_memory
from ..engine.target import host
from ..errors import ArgumentError, DTypeError, ShapeError, naming
from ..spec.arrays import as_array, check_output, native

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeVar

    from numpy.typing import ArrayLike, NDArray

    from ..algorithms.contract import Algorithm, GradientAlgorithm, Suitability
    from ..engine.compiler import Kernel
    from ..spec.problem import Problem

    A = TypeVar("A", Algorithm, GradientAlgorithm)

_WAY_OUT = "lower workspace_limit, or work on fewer images at a time"


class Frozen(ABC):
    """What every plan is: equal and hashable by what it was made from, never changed, and open to be looked into."""

    made_by: str | None = None
    """The public function that made it, which errors name; None for one that never leaves a public function."""

    def handed_out(self, made_by: str | None) -> Self:
        """Return the plan, prepared, as a public function gives it to its user."""
        vars(self)["made_by"] = made_by  # which asks no __setattr__
        self.prepare()
        return self

    @abstractmethod
    def prepare(self) -> None:
        """Do now what the first call would do."""

    @naming("Plan.ir")
    def ir(self) -> str:
        """Return LLVM's IR of the kernels that the plan runs, as it is before the optimiser has seen it.

        Returns
        -------
        str
            One kernel after another: a second one where the layer leaves a smaller tile at an edge.

        Raises
        ------
        ArgumentError
            If the plan's algorithm runs no kernels of the engine.

        Examples
        --------
        >>> import numpy as np
        >>> import im2col
        >>> p = im2col.plan((1, 8, 14, 14), np.ones((16, 8, 3, 3), np.float32))
        >>> "define void @" in p.ir()
        True
        """
        return "\n".join(kernel.ir(host()) for kernel in self._kernels())

    @naming("Plan.assembly")
    def assembly(self) -> str:
        """Return the assembly of the kernels that the plan runs, for this machine's CPU.

        Returns
        -------
        str
            One kernel after another, in the order of `ir`.

        Raises
        ------
        ArgumentError
            If the plan's algorithm runs no kernels of the engine.

        Examples
        --------
        >>> import numpy as np
        >>> import im2col
        >>> p = im2col.plan((1, 8, 14, 14), np.ones((16, 8, 3, 3), np.float32))
        >>> ".globl" in p.assembly()
        True
        """
        return "\n".join(compiler.assembly(kernel, host()) for kernel in self._kernels())

    @abstractmethod
    def _kernels(self) -> tuple[Kernel, ...]:
        """Return the kernels that the plan runs, each once."""

    @property
    @abstractmethod
    def _key(self) -> tuple[object, ...]:
        """What the plan was made from."""

    def __eq__(self, other: object) -> bool:
        return self._key == other._key if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a plan cannot be changed: {name!r} cannot be set; make another plan")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a plan cannot be changed: {name!r} cannot be deleted")


def kernels_of(algorithm: Algorithm | GradientAlgorithm, problem: Problem) -> tuple[Kernel, ...]:
    """Return the kernels of the engine that an algorithm runs for a problem, each once.

    Raises
    ------
    ArgumentError
        If it runs none.
    """
    if not isinstance(algorithm, Compiled):
        raise ArgumentError(
            f"this plan runs algorithm {algorithm.name!r}, which has no kernels to show; make it with "
            "algorithm='implicit'"
        )
    return algorithm.kernels(problem)


def taken(problem: Problem, requested: str, algorithms: Mapping[str, A]) -> A:
    """Return the algorithm of a registry that the user names, or the one that suits the problem best.

    Raises
    ------
    ArgumentError
        If the name is unknown, or the algorithm cannot solve the problem.
    """
    if requested == "auto":
        found = {name: algorithm.suitability(problem) for name, algorithm in algorithms.items()}
        name = max(found, key=lambda name: found[name].rank)
        if found[name].rank <= ONLY_BY_NAME:
            why = "; ".join(f"{name}: {reason}" for name, reason in _reasons(found).items())
            raise ArgumentError(f"no algorithm suits this ({why}); raise workspace_limit, or name an algorithm")
        return algorithms[name]
    if not isinstance(requested, str) or requested not in algorithms:
        raise ArgumentError(f"algorithm must be 'auto' or one of {tuple(algorithms)}, got {requested!r}")
    # No other is asked: whoever names an algorithm without the engine does not load it.
    verdict = algorithms[requested].suitability(problem)
    if verdict.rank == 0:
        raise ArgumentError(f"algorithm {requested!r} cannot solve this: {verdict.reason}; use algorithm='auto'")
    return algorithms[requested]


def verdict_lines(verdicts: dict[str, Suitability], taken: str) -> list[str]:
    """Return a line for each algorithm: whether it was taken, and what it says."""
    return [f"  {'→' if n == taken else ' '} {n:<10} {reason}" for n, reason in _reasons(verdicts).items()]


def _reasons(verdicts: dict[str, Suitability]) -> dict[str, str]:
    """Return what each algorithm says of a problem, for people."""
    return {name: v.reason if v.rank else f"cannot: {v.reason}" for name, v in verdicts.items()}


def operand(name: str, value: ArrayLike, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return what a plan is called with as an array of the shape and dtype that it was made for.

    Raises
    ------
    ShapeError, DTypeError
        If it has another one.
    """
    array = as_array(name, value)
    if array.shape != shape:
        raise ShapeError(
            f"{name} has shape {array.shape} but the plan was made for {shape}; make a plan for each shape"
        )
    if array.dtype is not dtype and native(array.dtype) != dtype:
        raise DTypeError(
            f"{name} has dtype {array.dtype} but the plan was made for {dtype}; convert {name}, or make the plan with "
            f"{name}_dtype={str(array.dtype)!r}"
        )
    return array


def result_array(
    out: NDArray[Any] | None,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    workspace: int,
    inputs: list[NDArray[Any]],
) -> NDArray[Any]:
    """Return where a result goes, after a look at the memory that it and its workspace take.

    Raises
    ------
    OutputError, MemoryBudgetError
    """
    if out is None:
        size = workspace + math.prod(shape) * dtype.itemsize
        require_memory(size, _WAY_OUT, "the result {} of {} with its workspace", shape, dtype)
        return np.empty(shape, dtype)
    checked = check_output(out, shape, dtype, inputs)
    require_workspace(workspace, shape)
    return checked


def require_workspace(workspace: int, shape: tuple[int, ...]) -> None:
    """Look at the memory that a plan takes beside its arguments and its result, of this shape.

    Raises
    ------
    MemoryBudgetError
        If it would not fit the available memory.
    """
    require_memory(workspace, _WAY_OUT, "the workspace for {}", shape)


def digest(*arrays: NDArray[Any] | None) -> bytes:
    """Return a few bytes that stand for the values of arrays."""
    import hashlib

    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays if a is not None)).digest()


def checked_bias(bias: ArrayLike | None, maps: int, accumulator: np.dtype[Any]) -> NDArray[Any] | None:
    """Return a bias with one value for each output map in the accumulator's dtype; None for none.

    Raises
    ------
    ShapeError, DTypeError
        If it has another shape, or numbers that the accumulator does not hold.
    """
    if bias is None:
        return None
    array = as_array("bias", bias)
    if array.shape != (maps,):
        raise ShapeError(f"bias has shape {array.shape} but {maps} output maps need one value each, ({maps},)")
    both_integers = array.dtype.kind in "biu" and accumulator.kind in "iu"
    if not (both_integers or np.can_cast(array.dtype, accumulator, "same_kind")):
        raise DTypeError(
            f"bias of {array.dtype} cannot be added to sums of {accumulator}; convert the bias, or pass "
            f"dtype={str(np.result_type(array.dtype, accumulator))!r}"
        )
    with np.errstate(all="ignore"):
        return array.astype(accumulator)
