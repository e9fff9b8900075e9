"""The plan of the gradient of a convolution's weights: chosen, prepared once, run many times."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from ..algorithms import gradient_registry
from ..engine.host import format_bytes
from ..errors import Im2colError, naming
from ..spec.memo import lazy
from .planning import Frozen, kernels_of, operand, result_array, taken, verdict_lines

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ..algorithms.contract import GradientAlgorithm, GradientRunner
    from ..engine.compiler import Kernel
    from ..spec.problem import Problem


class GradientChoice(NamedTuple):
    """The gradient of a convolution's weights and how it will be computed."""

    problem: Problem
    requested: str
    algorithm: GradientAlgorithm
    threads: int
    workspace_bytes: int


def choose_gradient(problem: Problem, requested: str, threads: int) -> GradientChoice:
    """Take the algorithm that the user names, or the one that suits the problem best.

    Raises
    ------
    ArgumentError
        If the name is unknown, or the algorithm cannot solve the problem.
    """
    algorithm = taken(problem, requested, gradient_registry())
    return GradientChoice(problem, requested, algorithm, threads, algorithm.workspace_bytes(problem, threads))


class WeightGradientPlan(Frozen):
    """The gradient of a convolution's weights, prepared once and run many times: ``dw = plan(x, grad)``.

    Made by `im2col.plan_weight_gradient`. Immutable; equal and hashable by what it was made from; picklable; safe to
    call from several threads at once.

    Attributes
    ----------
    made_by : str
        The public function that made it, which errors name and `print` begins with.
    algorithm : str
        The algorithm that runs.
    threads : int
        How many threads may work.
    workspace_bytes : int
        Bytes allocated beyond the arguments and the result.
    """

    algorithm: str
    threads: int
    workspace_bytes: int
    _choice: GradientChoice

    def __init__(self, choice: GradientChoice) -> None:
        vars(self).update(
            algorithm=choice.algorithm.name,
            threads=choice.threads,
            workspace_bytes=choice.workspace_bytes,
            _choice=choice,
        )

    @property
    def flops(self) -> int:
        """Operations of one call: two for each product, padded taps included."""
        return self._choice.problem.flops

    @property
    def bytes_moved(self) -> int:
        """Bytes that any algorithm must move: image and gradient read once, result written once."""
        p = self._choice.problem
        weights = p.filters * p.group_taps * p.dtype.itemsize
        return math.prod(p.x_shape) * p.x_dtype.itemsize + math.prod(p.output_shape) * p.w_dtype.itemsize + weights

    @lazy
    def _run(self) -> GradientRunner:
        c = self._choice
        run = c.algorithm.prepare(c.problem, c.threads)
        if run is None:  # the engine has failed over this plan's kernels: now the choice is another one
            another = WeightGradientPlan(choose_gradient(c.problem, c.requested, c.threads))
            vars(self).update(vars(another))
            run = another._run
        return run

    def prepare(self) -> None:
        """Compile what has to be compiled, now instead of in the first call."""
        with naming(self.made_by):
            _ = self._run

    def __call__(self, x: ArrayLike, grad: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Return the gradient for one image, or one batch.

        Parameters
        ----------
        x, grad : array_like
            The image and the gradient of the convolution's result, of the shapes and dtypes that the plan was made for.
        out : ndarray, optional
            Where to write; the result's shape and dtype, any strides, no memory shared with the arguments.

        Returns
        -------
        ndarray, (filters, channels/groups, *kernel)
            A new array, or `out`.

        Raises
        ------
        ShapeError, DTypeError, OutputError
            If an array does not fit the plan; nothing has been written then.
        MemoryBudgetError
            If the result would not fit the available memory.
        """
        p = self._choice.problem
        shape = (p.filters, p.group_channels, *p.geometry.kernel_size)
        try:
            image = operand("x", x, p.x_shape, p.x_dtype)
            gradient = operand("grad", grad, p.output_shape, p.w_dtype)
            out = result_array(out, shape, p.dtype, self.workspace_bytes, [image, gradient])
        except Im2colError as error:  # as `naming` does, which would take its time in each call
            error.operation = error.operation or self.made_by
            raise
        self._run(p.layout.to_canonical(image), p.layout.to_canonical(gradient), out)
        return out

    def _kernels(self) -> tuple[Kernel, ...]:
        return kernels_of(self._choice.algorithm, self._choice.problem)

    @lazy
    def _key(self) -> tuple[object, ...]:
        return (self._choice.problem, self._choice.requested, self.threads)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored_gradient, (self.made_by, self._choice.problem, self._choice.requested, self.threads)

    def __repr__(self) -> str:
        p = self._choice.problem
        return (
            f"<im2col.WeightGradientPlan {p.x_shape}, {p.output_shape} → kernel {p.geometry.kernel_size}, "
            f"{self.algorithm}, threads {self.threads}>"
        )

    def __str__(self) -> str:
        p, g = self._choice.problem, self._choice.problem.geometry
        shape = (p.filters, p.group_channels, *g.kernel_size)
        pads = f", padding {g.padding} ({p.padding_mode})" if g.is_padded else ""
        lines = [
            f"{self.made_by} {p.layout.axes} {p.x_shape}, {p.output_shape} → {shape}",
            f"  window     kernel {g.kernel_size}, stride {g.stride}, dilation {g.dilation}{pads}",
            f"  layer      {p.channels} channels, {p.filters} filters, groups {p.groups}{', kernels flipped' * p.flip}",
            f"  dtypes     {p.x_dtype} × {p.w_dtype} → {p.dtype}, sums in {p.accumulator}",
            f"  sum        over {p.batch} × {g.positions} positions",
            f"  cost       {p.flops / 1e9:.4g} GFLOP, {format_bytes(self.bytes_moved)} moved at least",
            f"  workspace  {format_bytes(self.workspace_bytes)}",
            f"  threads    {self.threads}",
        ]
        found = {a.name: a.suitability(p) for a in gradient_registry().values()}
        return "\n".join([*lines, *verdict_lines(found, self.algorithm)])


def _restored_gradient(made_by: str | None, problem: Problem, requested: str, threads: int) -> WeightGradientPlan:
    with naming(made_by):
        return WeightGradientPlan(choose_gradient(problem, requested, threads)).handed_out(made_by)
