"""Plan: choose an algorithm, prepare the weights, run many times, explain itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..algorithms import registry
from ..engine import compiler
from ..engine.host import format_bytes
from ..engine.threads import resolve_threads
from ..errors import Im2colError, named, naming
from ..spec.arrays import as_array, as_dtype, native
from ..spec.memo import lazy, memoized
from ..spec.problem import Options, make_problem, refuse_unknown
from ..spec.quantization import are_zero, centred, check_bytes, zero_point
from .planning import (
    Frozen,
    checked_bias,
    digest,
    kernels_of,
    operand,
    require_workspace,
    result_array,
    taken,
    verdict_lines,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from ..algorithms.contract import Algorithm, Runner, Suitability
    from ..engine.compiler import Kernel
    from ..spec.problem import Problem


class Plan(Frozen):
    """A convolution prepared once and run many times: ``y = plan(x)``.

    Made by `im2col.plan`. Immutable; equal and hashable by what it was made from; picklable; safe to call from several
    threads at once.

    Attributes
    ----------
    made_by : str
        The public function that made it, which errors name and `print` begins with.
    algorithm : str
        The algorithm that runs.
    threads : int
        How many threads may work.
    workspace_bytes : int
        Bytes allocated beyond image and result, the weights as the algorithm wants them included.
    """

    algorithm: str
    threads: int
    workspace_bytes: int
    _problem: Problem
    _requested: str
    _algorithm: Algorithm
    _w: NDArray[Any]
    _bias: NDArray[Any] | None
    _scales: NDArray[Any] | None
    _given: NDArray[Any]

    def __init__(
        self,
        choice: Choice,
        w: NDArray[Any],
        bias: NDArray[Any] | None,
        scales: NDArray[Any] | None = None,
        given: NDArray[Any] | None = None,
    ) -> None:
        vars(self).update(  # which asks no __setattr__
            algorithm=choice.algorithm.name,
            threads=choice.threads,
            workspace_bytes=choice.workspace_bytes,
            _problem=choice.problem,
            _requested=choice.requested,
            _algorithm=choice.algorithm,
            _w=w,
            _bias=bias,
            _scales=scales,
            _given=w if given is None else given,  # what no result may overwrite
        )

    @property
    def flops(self) -> int:
        """Operations of one call: two for each product, padded taps included."""
        return self._problem.flops

    @property
    def bytes_moved(self) -> int:
        """Bytes that any algorithm must move: image and weight read once, result written once."""
        return self._problem.bytes_moved

    @lazy
    def _run(self) -> Runner:
        """Return what the algorithm made of the weights, when it is first needed: after all checks."""
        run = self._algorithm.prepare(self._problem, self._w, self._bias, self.threads, self._scales)
        if run is None:
            # The engine has failed over this plan's kernels. Now that the algorithms know, the choice is another one.
            another = _restored(*self.__reduce__()[1])
            vars(self).update(vars(another))
            run = another._run
        return run

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
        try:
            return self._into(operand("x", x, p.x_shape, p.x_dtype), out)
        except Im2colError as error:  # as `naming` does, which would take its time in each call
            error.operation = error.operation or self.made_by
            raise

    def prepare(self) -> None:
        """Arrange the weights as the algorithm wants them, now instead of in the first call.

        Raises
        ------
        MemoryBudgetError
            If the workspace would not fit the available memory.
        """
        with naming(self.made_by):
            require_workspace(self.workspace_bytes, self._problem.output_shape)
            _ = self._run

    def _kernels(self) -> tuple[Kernel, ...]:
        return kernels_of(self._algorithm, self._problem)

    def _into(self, image: NDArray[Any], out: NDArray[Any] | None) -> NDArray[Any]:
        p = self._problem
        out = result_array(out, p.output_shape, p.dtype, self.workspace_bytes, [image, self._given])
        self._run(p.layout.to_canonical(image), p.layout.to_canonical(out))
        return out

    @lazy
    def _key(self) -> tuple[object, ...]:
        return (self._problem, self._requested, self.threads, self._w.shape, digest(self._w, self._bias, self._scales))

    def __reduce__(self) -> tuple[Any, ...]:
        made_of = (self._problem, self._requested, self.threads, self._w, self._bias, self._scales)
        return _restored, (self.made_by, *made_of)

    def __repr__(self) -> str:
        p = self._problem
        return f"<im2col.Plan {p.x_shape} → {p.output_shape}, {self.algorithm}, threads {self.threads}>"

    def __str__(self) -> str:
        p, g = self._problem, self._problem.geometry
        pads = f", padding {g.padding} ({p.padding_mode})" if g.is_padded else ""
        dtypes = f"{p.x_dtype} × {p.w_dtype} → {p.dtype}, sums in {p.accumulator}"
        tail = [str(part) for part in ("bias" * p.has_bias, p.activation) if part]
        lines = [
            f"{self.made_by} {p.layout.axes} {p.x_shape} → {p.output_shape}",
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
        return "\n".join([*lines, *verdict_lines(verdicts(p), self.algorithm)])


class Choice(NamedTuple):
    """A convolution and how it will be computed: all that can be known before the weights."""

    problem: Problem
    requested: str
    algorithm: Algorithm
    threads: int
    workspace_bytes: int


@memoized
def decide(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    x_dtype: np.dtype[Any],
    w_dtype: np.dtype[Any],
    has_bias: bool,
    algorithm: str,
    threads: int,
    engine_failure: str | None,  # noqa: ARG001 (algorithms may ask for it, so it is a part of what is remembered)
    **options: Any,
) -> Choice:
    """Validate a convolution's arguments, all but the arrays' values, and choose the algorithm."""
    problem = make_problem(x_shape, w_shape, x_dtype, w_dtype, has_bias=has_bias, **options)
    return choose(problem, algorithm, threads)


def choose(problem: Problem, requested: str, threads: int) -> Choice:
    """Take the algorithm that the user names, or the one that suits the problem best."""
    algorithm = taken(problem, requested, registry())
    return Choice(problem, requested, algorithm, threads, algorithm.workspace_bytes(problem, threads))


def verdicts(problem: Problem) -> dict[str, Suitability]:
    """Return what each algorithm says of a problem."""
    return {name: algorithm.suitability(problem) for name, algorithm in registry().items()}


def _restored(
    made_by: str | None,
    problem: Problem,
    requested: str,
    threads: int,
    w: NDArray[Any],
    bias: NDArray[Any] | None,
    scales: NDArray[Any] | None,
) -> Plan:
    """Make a plan again from what it was made of; the best algorithm may be another one here and now."""
    with naming(made_by):
        return Plan(choose(problem, requested, threads), w, bias, scales).handed_out(made_by)


def make_plan(
    x_shape: tuple[int, ...],
    x_dtype: np.dtype[Any],
    w: ArrayLike,
    bias: ArrayLike | None,
    *,
    algorithm: str = "auto",
    threads: int | None = None,
    x_zero_point: object = 0,
    w_zero_point: object = 0,
    scales: NDArray[Any] | None = None,
    **options: Any,
) -> Plan:
    """Make a plan that is not prepared; see `plan` for the arguments, `quantization.factors` for `scales`."""
    filters = as_array("w", w)
    filters = filters.astype(native(filters.dtype), copy=False)
    given = filters
    count = len(filters) if filters.ndim else 0
    if scales is not None or not are_zero(count, x_zero_point, w_zero_point):
        check_bytes("x_zero_point and w_zero_point belong to", x_dtype, filters.dtype)
        options["x_zero_point"] = zero_point("x_zero_point", x_zero_point, x_dtype)
        filters = centred(filters, w_zero_point)
        options["dtype"] = np.dtype(np.int32) if options.get("dtype") is None else options["dtype"]
    choice = decide(
        x_shape,
        filters.shape,
        x_dtype,
        filters.dtype,
        bias is not None,
        algorithm,
        resolve_threads(threads),
        compiler.failure(),
        **options,
    )
    p = choice.problem
    return Plan(choice, filters, checked_bias(bias, p.filters, p.accumulator), scales, given)


@named
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
        activation, flip, dtype, x_zero_point, w_zero_point, algorithm, workspace_limit, threads.

    Returns
    -------
    Plan
        Call it as ``plan(x, out=None)``; ``print`` tells what was chosen and why, `Plan.ir` and `Plan.assembly` show
        the kernels that it runs.

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
    ((1, 4, 8, 8), 'implicit')
    """
    refuse_unknown("plan", options, Options.__annotations__.keys() - {"out"})
    filters = np.array(as_array("w", w))
    dtype = filters.dtype if x_dtype is None else as_dtype("x_dtype", x_dtype)
    return make_plan(x_shape, dtype, filters, bias, **options).handed_out("plan")
