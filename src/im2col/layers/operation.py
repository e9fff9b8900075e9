"""An operation that was decided, and its one run: what all of the family share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from ..engine.compiler import EngineError
from ..engine.host import array_bytes, require_memory
from ..errors import DTypeError, ShapeError
from ..memory import lazy
from ..spec.arrays import as_array, check_output, is_registered, native

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from ..algorithms import Choice
    from ..algorithms.contract import AtOnce
    from ..summary import Summary

    Array = NDArray[Any]
    Weights = tuple[Array | None, ...]

_WAY_OUT = "lower workspace_limit, or work on fewer images at a time"


class Input(NamedTuple):
    """What an operation takes."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def checked(self, value: ArrayLike) -> Array:
        """Return what a plan is called with as an array of the shape and dtype that it was made for.

        Raises
        ------
        ShapeError, DTypeError
            If it has another one.
        """
        name, shape, dtype = self
        array = as_array(name, value)
        if array.shape != shape:
            raise ShapeError(
                f"{name} has shape {array.shape} but the plan was made for {shape}; make a plan for each shape"
            )
        if array.dtype is not dtype and native(array.dtype) != dtype:
            raise DTypeError(
                f"{name} has dtype {array.dtype} but the plan was made for {dtype}; convert {name}, or make "
                f"the plan with {name}_dtype={str(array.dtype)!r}"
            )
        return array


@dataclass(frozen=True, eq=False)
class Operation(ABC):
    """An operation that was decided: which arrays it takes and gives, and by which algorithms; no array yet.

    Parameters
    ----------
    spec : tuple
        What it was decided from, all hashable: the arguments of `decided`.
    threads : int
    choices : tuple of Choice
        One for each stage.
    inputs : tuple of Input
    output_shape : tuple of int
    dtype : dtype
        Of the result.
    workspace_bytes : int
        Allocated beyond the arrays and the result, at most.
    """

    spec: tuple[Any, ...]
    threads: int
    choices: tuple[Choice, ...]
    inputs: tuple[Input, ...]
    output_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    workspace_bytes: int

    @classmethod
    @abstractmethod
    def decided(cls, *spec: Any) -> Self:
        """Return the operation, with an algorithm chosen for each stage."""

    @property
    @abstractmethod
    def flops(self) -> int:
        """Operations of one call: two for each product, padded taps included."""

    @property
    @abstractmethod
    def bytes_moved(self) -> int:
        """Bytes that any algorithm must move: everything read once, the result written once."""

    @abstractmethod
    def prepare(self, weights: Weights) -> Any:
        """Return what `run` needs, the weights as the algorithms want them.

        Raises
        ------
        EngineError
            If the engine fails over its kernels.
        """

    @abstractmethod
    def run(self, prepared: Any, arrays: Sequence[Array], out: Array) -> None:
        """Overwrite `out`."""

    def at_once(self, prepared: Any, arrays: Sequence[Array], out: Array) -> Callable[..., None] | None:  # noqa: ARG002 (for those who can)
        """Return `run` as one call of the engine, for arrays like these by their identities; None where it is not."""
        return None

    def one_call(self, arrays: Sequence[Array], weights: Weights, out: Array) -> AtOnce | None:  # noqa: ARG002 (as above)
        """Return `prepare` and `run` as one call of the engine, for arrays like these; None where it is not."""
        return None

    def tuned(self, weights: Weights) -> Self:  # noqa: ARG002 (as above)
        """Return it by the algorithm that is the fastest here, measured with these weights; itself where it cannot."""
        return self

    @property
    def signature(self) -> str:
        """What it takes and gives, in shapes."""
        return f"{', '.join(str(each.shape) for each in self.inputs)} → {self.output_shape}"

    @abstractmethod
    def summary(self, name: str) -> Summary:
        """Return what a plan tells of it, under its maker's name: the signature, the window, the costs, the choices."""

    @property
    def algorithm(self) -> str:
        """The algorithm; several, joined by ``+``, where stages get different ones."""
        return "+".join(dict.fromkeys(choice.algorithm for choice in self.choices)) or "none"

    def result(self, out: Array | None, inputs: Sequence[Array]) -> Array:
        """Return where the result goes, a plain array, after a look at the memory that it and its workspace take.

        Raises
        ------
        OutputError, MemoryBudgetError
        """
        shape, dtype = self.output_shape, self.dtype
        if out is not None:
            checked = check_output(out, shape, dtype, inputs)
            require_memory(self.workspace_bytes, _WAY_OUT, "the workspace for {}", shape)
            return checked
        require_memory(self._whole_bytes, _WAY_OUT, "the result {} of {} with its workspace", shape, dtype)
        return np.empty(shape, dtype)

    @lazy
    def _whole_bytes(self) -> int:
        """Return the bytes of the result and of the workspace."""
        return self.workspace_bytes + array_bytes(self.output_shape, self.dtype.itemsize)

    def require_call(self) -> None:
        """Look at the memory that the arrays of a call, its result and its workspace take.

        Raises
        ------
        MemoryBudgetError
            If there could be no call.
        """
        self.require_workspace()
        for shape, dtype in (*((each.shape, each.dtype) for each in self.inputs), (self.output_shape, self.dtype)):
            require_memory(array_bytes(shape, dtype.itemsize), _WAY_OUT, "an array {} of {}", shape, dtype)

    def require_workspace(self) -> None:
        """Look at the memory that is taken beside the arrays and the result.

        Raises
        ------
        MemoryBudgetError
            If it would not fit the available memory.
        """
        require_memory(self.workspace_bytes, _WAY_OUT, "the workspace for {}", self.output_shape)

    def prepared(self, weights: Weights) -> tuple[Self, Any]:
        """Return an operation that really runs here, and what it needs to: this one, or with other algorithms."""
        try:
            return self, self.prepare(weights)
        except EngineError:
            pass  # from now on no algorithm that needs these kernels is offered
        other = self.decided(*self.spec)
        other.require_workspace()
        return other.prepared(weights)


class Work(NamedTuple):
    """An operation and its weights, before anything is prepared.

    Parameters
    ----------
    operation : Operation
    weights : tuple of (ndarray or None)
    given : tuple of ndarray
        Weights as the user gave them, which no result may overwrite.
    by_weights : bool
        Whether it was decided by the weights' values.
    """

    operation: Operation
    weights: Weights = ()
    given: tuple[Array, ...] = ()
    by_weights: bool = False

    def run(self, arrays: Sequence[Array], out: Array | None) -> Array:
        """Run it once, on arrays of its shapes and dtypes."""
        result = self.operation.result(out, [*arrays, *self.given])
        operation, prepared = self.operation.prepared(self.weights)
        operation.run(prepared, arrays, result)
        return result if out is None else out


def own_copy(name: str, value: ArrayLike) -> NDArray[Any]:
    """Return a copy of an array that a plan keeps, after a look at the memory.

    Raises
    ------
    MemoryBudgetError
        If it would not fit the available memory.
    """
    array = as_array(name, value)
    require_memory(
        array.nbytes, "call the function itself, which keeps no copy", "the copy of {} {}", name, array.shape
    )
    return np.array(array)


def checked_bias(bias: ArrayLike, maps: int, accumulator: np.dtype[Any], *, fixed: bool = False) -> NDArray[Any]:
    """Return a bias with one value for each output map in the accumulator's dtype, which may be fixed.

    Raises
    ------
    ShapeError, DTypeError
        If it has another shape, or numbers that the accumulator does not hold.
    """
    array = as_array("bias", bias)
    if array.shape != (maps,):
        raise ShapeError(f"bias has shape {array.shape} but {maps} output maps need one value each, ({maps},)")
    both_integers = array.dtype.kind in "biu" and accumulator.kind in "iu"
    if not (both_integers or np.can_cast(array.dtype, accumulator, "same_kind")):
        way_out = f"convert it first, as in bias.astype(np.{accumulator})"
        if not (fixed or is_registered(array.dtype)):
            way_out = f"convert the bias, or pass dtype={str(np.result_type(array.dtype, accumulator))!r}"
        raise DTypeError(f"bias of {array.dtype} cannot be added to sums of {accumulator}; {way_out}")
    with np.errstate(all="ignore"):
        return array.astype(accumulator)
