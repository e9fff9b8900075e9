"""Plan: choose an algorithm, prepare the weights, run many times, explain itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .algorithms import registry
from .algorithms.contract import ONLY_BY_NAME
from .arrays import as_array, as_dtype, check_output, native
from .engine.host import format_bytes, require_memory
from .engine.threads import resolve_threads
from .errors import ArgumentError, DTypeError, ShapeError
from .problem import Options, make_problem, refuse_unknown

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from .algorithms.contract import Runner
    from .problem import Problem


class Plan:
    """A convolution prepared once and run many times: ``y = plan(x)``.

    Made by `im2col.plan`. Immutable; equal and hashable by what it was made from; picklable; safe to call from several
    threads at once.

    Attributes
    ----------
    algorithm : str
        The algorithm that runs.
    threads : int
        How many threads may work.
    workspace_bytes : int
        Bytes allocated beyond image and result, the weights as the algorithm wants them included.
    """

    def __init__(
        self, problem: Problem, w: NDArray[Any], bias: NDArray[Any] | None, algorithm: str, threads: int | None
    ) -> None:
        choice = _choose(problem, algorithm)
        self._problem = problem
        self._requested = algorithm
        self._reasons = choice.reasons
        self._w = w
        self._bias = bias
        self.algorithm = choice.name
        self.threads = resolve_threads(problem.operation, threads)
        self.workspace_bytes = registry()[choice.name].workspace_bytes(problem, self.threads)
        self._sealed = True

    @property
    def flops(self) -> int:
        """Operations of one call: two for each product, padded taps included."""
        return self._problem.flops

    @property
    def bytes_moved(self) -> int:
        """Bytes that any algorithm must move: image and weight read once, result written once."""
        return self._problem.bytes_moved

    @cached_property
    def _run(self) -> Runner:
        """What the algorithm made of the weights, when it was first needed: after all checks."""
        return registry()[self.algorithm].prepare(self._problem, self._w, self._bias, self.threads)

    def __call__(self, x: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Convolve one image, or one batch.

        Parameters
        ----------
        x : array_like
            Of the shape and dtype that the plan was made for.
        out : ndarray, optional
            Where to write; the result's shape and dtype, any strides, no memory shared with `x`.

        Returns
        -------
        ndarray
            A new array, or `out`.

        Raises
        ------
        ShapeError, DTypeError, OutputError
            If an array does not fit the plan; nothing has been written then.
        MemoryBudgetError
            If the result would not fit the available memory.
        """
        p = self._problem
        image = as_array(p.operation, "x", x)
        if image.shape != self._x_shape:
            raise ShapeError(
                f"{p.operation}: x has shape {image.shape} but the plan was made for {self._x_shape}; make a plan for "
                "each shape"
            )
        if native(image.dtype) != p.x_dtype:
            raise DTypeError(
                f"{p.operation}: x has dtype {image.dtype} but the plan was made for {p.x_dtype}; convert x, or make "
                f"the plan with x_dtype={str(image.dtype)!r}"
            )
        return self._into(image, out)

    def prepare(self) -> None:
        """Arrange the weights as the algorithm wants them, now instead of in the first call.

        Raises
        ------
        MemoryBudgetError
            If the workspace would not fit the available memory.
        """
        p = self._problem
        way_out = "lower workspace_limit, or convolve the image in parts"
        require_memory(p.operation, self.workspace_bytes, way_out, "the workspace for {}", p.output_shape)
        _ = self._run

    def _into(self, image: NDArray[Any], out: NDArray[Any] | None) -> NDArray[Any]:
        p = self._problem
        shape = p.output_shape
        if out is None:
            size = self.workspace_bytes + math.prod(shape) * p.dtype.itemsize
            way_out = "convolve the image in parts"
            require_memory(p.operation, size, way_out, "the result {} of {} with its workspace", shape, p.dtype)
            out = np.empty(shape, p.dtype)
        else:
            out = check_output(p.operation, out, shape, p.dtype, [image, self._w])
            way_out = "lower workspace_limit, or convolve the image in parts"
            require_memory(p.operation, self.workspace_bytes, way_out, "the workspace for {}", shape)
        self._run(p.layout.to_canonical(image), p.layout.to_canonical(out))
        return out

    @property
    def _x_shape(self) -> tuple[int, ...]:
        p = self._problem
        return p.layout.from_canonical_shape(p.batch, p.channels, p.geometry.spatial_shape)

    @cached_property
    def _key(self) -> tuple[object, ...]:
        import hashlib

        arrays = [self._w] if self._bias is None else [self._w, self._bias]
        digest = hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).digest()
        return (self._problem, self._requested, self.threads, self._w.shape, digest)

    def __eq__(self, other: object) -> bool:
        return self._key == other._key if isinstance(other, Plan) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key)

    def __setattr__(self, name: str, value: object) -> None:
        if getattr(self, "_sealed", False):
            raise AttributeError(f"a plan cannot be changed: {name!r} cannot be set; make another plan")
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a plan cannot be changed: {name!r} cannot be deleted")

    def __reduce__(self) -> tuple[Any, ...]:
        return Plan, (self._problem, self._w, self._bias, self._requested, self.threads)

    def __repr__(self) -> str:
        return f"<im2col.Plan {self._x_shape} → {self._problem.output_shape}, {self.algorithm}, threads {self.threads}>"

    def __str__(self) -> str:
        p, g = self._problem, self._problem.geometry
        pads = f", padding {g.padding} ({p.padding_mode})" if g.is_padded else ""
        dtypes = f"{p.x_dtype} × {p.w_dtype} → {p.dtype}, sums in {p.accumulator}"
        tail = [str(part) for part in ("bias" * p.has_bias, p.activation) if part]
        lines = [
            f"{p.operation} {p.layout.axes} {self._x_shape} → {p.output_shape}",
            f"  window     kernel {g.kernel_size}, stride {g.stride}, dilation {g.dilation}{pads}",
            f"  layer      {p.channels} channels, {p.filters} filters, groups {p.groups}{', kernels flipped' * p.flip}"
            + (f", then {', '.join(tail)}" if tail else ""),
            f"  dtypes     {dtypes}",
            f"  matrix     {g.positions} positions × {p.group_taps} taps a group",
            f"  cost       {p.flops / 1e9:.4g} GFLOP, {format_bytes(p.bytes_moved)} moved at least",
            f"  workspace  {format_bytes(self.workspace_bytes)} (limit for matrix blocks "
            f"{format_bytes(p.workspace_limit)})",
            f"  threads    {self.threads}",
        ]
        for name, reason in self._reasons.items():
            lines.append(f"  {'→' if name == self.algorithm else ' '} {name:<10} {reason}")
        return "\n".join(lines)


@dataclass(frozen=True)
class _Choice:
    name: str
    reasons: dict[str, str]


def _choose(problem: Problem, algorithm: str) -> _Choice:
    """Take the algorithm that the user names, or the one that suits the problem best."""
    verdicts = {name: a.suitability(problem) for name, a in registry().items()}
    reasons = {name: v.reason if v.rank else f"cannot: {v.reason}" for name, v in verdicts.items()}
    if algorithm == "auto":
        best = max(verdicts, key=lambda name: verdicts[name].rank)
        if verdicts[best].rank <= ONLY_BY_NAME:
            why = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
            raise ArgumentError(
                f"{problem.operation}: no algorithm suits this ({why}); raise workspace_limit, or name an algorithm"
            )
        return _Choice(best, reasons)
    if not isinstance(algorithm, str) or algorithm not in verdicts:
        raise ArgumentError(
            f"{problem.operation}: algorithm must be 'auto' or one of {tuple(verdicts)}, got {algorithm!r}"
        )
    if verdicts[algorithm].rank == 0:
        raise ArgumentError(
            f"{problem.operation}: algorithm {algorithm!r} cannot solve this: {verdicts[algorithm].reason}; "
            "use algorithm='auto'"
        )
    return _Choice(algorithm, reasons)


def make_plan(
    operation: str,
    x_shape: tuple[int, ...],
    x_dtype: np.dtype[Any],
    w: ArrayLike,
    bias: ArrayLike | None,
    *,
    algorithm: str = "auto",
    threads: int | None = None,
    **options: Any,
) -> Plan:
    """Make a plan whose errors name `operation`; see `plan` for the arguments."""
    filters = as_array(operation, "w", w)
    filters = filters.astype(native(filters.dtype), copy=False)
    problem = make_problem(
        operation, x_shape, filters.shape, x_dtype, filters.dtype, has_bias=bias is not None, **options
    )
    offsets = None if bias is None else _checked_bias(bias, problem)
    return Plan(problem, filters, offsets, algorithm, threads)


def _checked_bias(bias: ArrayLike, problem: Problem) -> NDArray[Any]:
    """Return the bias in the accumulator's dtype."""
    array = as_array(problem.operation, "bias", bias)
    if array.shape != (problem.filters,):
        raise ShapeError(
            f"{problem.operation}: bias has shape {array.shape} but {problem.filters} filters need one value each, "
            f"({problem.filters},)"
        )
    accumulator = problem.accumulator
    both_integers = array.dtype.kind in "biu" and accumulator.kind in "iu"
    if not (both_integers or np.can_cast(array.dtype, accumulator, "same_kind")):
        raise DTypeError(
            f"{problem.operation}: bias of {array.dtype} cannot be added to sums of {accumulator}; convert the bias, "
            f"or pass dtype={str(np.result_type(array.dtype, accumulator))!r}"
        )
    with np.errstate(all="ignore"):
        return array.astype(accumulator)


def plan(
    x_shape: tuple[int, ...],
    w: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    x_dtype: DTypeLike | None = None,
    **options: Any,
) -> Plan:
    """Prepare a convolution once, to run it many times.

    Parameters
    ----------
    x_shape : tuple of int
        Shape of the image, in `layout`.
    w : array_like, (n, C/groups, *kernel)
        The filters; the plan keeps a copy of its own.
    bias : array_like, (n,), optional
        Added to each output map.
    x_dtype : dtype, optional
        Of the image; the weights' dtype if left out.
    **options
        Every other keyword of `conv` but `out`: stride, padding, dilation, groups, padding_mode, padding_value, layout,
        activation, flip, dtype, algorithm, workspace_limit, threads.

    Returns
    -------
    Plan
        Call it as ``plan(x, out=None)``; ``print`` tells what was chosen and why.

    Raises
    ------
    ShapeError, LayoutError, GeometryError, ArgumentError, DTypeError
        If an argument does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> import im2col
    >>> p = im2col.plan((1, 3, 8, 8), np.ones((4, 3, 3, 3)), padding=1, threads=1)
    >>> p(np.ones((1, 3, 8, 8))).shape, p.algorithm
    ((1, 4, 8, 8), 'explicit')
    """
    refuse_unknown("plan", options, Options.__annotations__.keys() - {"out"})
    filters = np.array(as_array("plan", "w", w))
    dtype = filters.dtype if x_dtype is None else as_dtype("plan", "x_dtype", x_dtype)
    prepared = make_plan("plan", x_shape, dtype, filters, bias, **options)
    prepared.prepare()
    return prepared
