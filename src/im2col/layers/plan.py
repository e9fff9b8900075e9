"""Plan: an operation prepared once and run many times; it explains itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar

import numpy as np

from ..engine import compiler
from ..errors import ArgumentError, Im2colError, named, naming
from ..importing import importing
from ..memory import lazy
from ..spec.arguments import flag
from ..spec.arrays import as_dtype, in_kind
from ..spec.problem import keywords, refuse_unknown
from .convolution import conv, convolution
from .operation import own_copy

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from ..engine.compiler import Kernel
    from ..engine.target import Target
    from .operation import Operation, Weights

    Array = NDArray[Any]

P = TypeVar("P", bound="BasePlan")


class _Known(NamedTuple):
    """The kind of arrays that a plan was called with last.

    Parameters
    ----------
    kind : (shape, strides, dtype), or None
        Of the operand, which was checked; None before there was one.
    strides : tuple of int
        Of the result.
    run : callable or None
        See `Operation.at_once`.
    """

    kind: tuple[tuple[int, ...], tuple[int, ...], np.dtype[Any]] | None = None
    strides: tuple[int, ...] = ()
    run: Callable[[int, int], None] | None = None


class BasePlan:
    """What every plan is: equal and hashable by what it was made from, never changed, and open to be looked into."""

    made_by: str | None
    algorithm: str
    threads: int
    workspace_bytes: int
    _operation: Operation
    _weights: Weights
    _prepared: Any

    def __init__(self, operation: Operation, weights: Weights, made_by: str | None) -> None:
        with naming(made_by):
            operation.require_call()  # tables for arrays that no call could have would be as large
            operation, prepared = operation.prepared(weights)
        vars(self).update(  # which asks no __setattr__
            made_by=made_by,
            algorithm=operation.algorithm,
            threads=operation.threads,
            workspace_bytes=operation.workspace_bytes,
            _operation=operation,
            _weights=weights,
            _prepared=prepared,
        )

    @property
    def flops(self) -> int:
        """Operations of one call: two for each product, padded taps included."""
        return self._operation.flops

    @property
    def bytes_moved(self) -> int:
        """Bytes that any algorithm must move: everything read once, the result written once."""
        return self._operation.bytes_moved

    @property
    def y_shape(self) -> tuple[int, ...]:
        """Shape of the result, in its layout."""
        return self._operation.output_shape

    def _called(self, values: tuple[Any, ...], out: Any) -> Any:
        """Run a call on arrays of any kind, and return the result in that of the first."""
        try:
            if type(values[0]) is np.ndarray:
                return self._checked(*values, out=out)
            names = [each.name for each in self._operation.inputs]
            return in_kind(self._checked, names, values, {"out": out})
        except Im2colError as error:  # as `naming` does, which would take its time in each call
            error.name_operation(self.made_by)
            raise

    def _checked(self, *values: Any, out: Array | None) -> Array:
        """Check the arrays of a call, and run it."""
        operation = self._operation
        arrays = [each.checked(value) for value, each in zip(values, operation.inputs, strict=True)]
        result = operation.result(out, arrays)  # the weights are the plan's own: no result can overwrite them
        operation.run(self._prepared, arrays, result)
        return result if out is None else out

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
        return "\n".join(kernel.ir(target) for kernel, target in self._kernels())

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
        return "\n".join(compiler.assembly(kernel, target) for kernel, target in self._kernels())

    def _kernels(self) -> list[tuple[Kernel, Target]]:
        """Return the kernels that the plan runs, each once, and the CPU that they are for."""
        found: dict[tuple[Kernel, Target], None] = {}
        for problem, algorithm, offer, _ in self._operation.choices:
            if offer.kernels is None or offer.target is None:
                way_out = "make it with algorithm='implicit'"
                if problem.accumulator.kind == "c":
                    way_out = "the engine has none for complex numbers"
                raise ArgumentError(f"this plan runs algorithm {algorithm!r}, which has no kernels to show; {way_out}")
            found |= dict.fromkeys((kernel, offer.target) for kernel in offer.kernels())
        return list(found)

    @lazy
    def _key(self) -> tuple[object, ...]:
        """Return what the plan was made from."""
        with importing:
            import hashlib  # takes longer to import than small programs need it

        arrays = [np.ascontiguousarray(each) for each in self._weights if each is not None]
        digest = hashlib.sha256(b"".join(each.tobytes() for each in arrays)).digest()
        return (self._operation.spec, *(each.shape for each in arrays), digest)

    def __eq__(self, other: object) -> bool:
        return self._key == other._key if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a plan cannot be changed: {name!r} cannot be set; make another plan")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a plan cannot be changed: {name!r} cannot be deleted")

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), type(self._operation), self._operation.spec, self._weights, self.made_by)

    def __repr__(self) -> str:
        return f"<im2col.{type(self).__name__} {self._operation.signature}, {self.algorithm}, threads {self.threads}>"

    def __str__(self) -> str:
        return self._operation.summary(f"{self.made_by}").text()

    def _repr_html_(self) -> str:
        return self._operation.summary(f"{self.made_by}").html()


def _restored(kind: type[P], what: type[Operation], spec: tuple[Any, ...], weights: Weights, made_by: str | None) -> P:
    """Make a plan again from what it was made of; the best algorithm may be another one here and now."""
    with naming(made_by):
        return kind(what.decided(*spec), weights, made_by)


class _OneOperand(BasePlan):
    """A plan of what takes one array, beside its weights."""

    _known = _Known()

    def __call__(self, x: ArrayLike, out: Array | None = None) -> Array:
        """Run one image, or one batch, through it.

        Parameters
        ----------
        x : array_like
            Of the shape and dtype that the plan was made for: an image, or the gradient of a convolution's result.
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
        known = self._known
        kind = (x.shape, x.strides, x.dtype) if type(x) is np.ndarray else None
        if known.run is not None and kind == known.kind:
            try:
                result = self._operation.result(out, (x,))  # type: ignore[arg-type]  # its type is a part of the kind
            except Im2colError as error:
                error.name_operation(self.made_by)
                raise
            if result.strides == known.strides:
                known.run(id(x), id(result))
                return result if out is None else out
        result = self._called((x,), out)
        if kind is not None and type(result) is np.ndarray and (kind, result.strides) != known[:2]:
            run = self._operation.at_once(self._prepared, (x,), result)  # type: ignore[arg-type]  # as above
            vars(self)["_known"] = _Known(kind, result.strides, run)
        return result


class Plan(_OneOperand):
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
        Bytes allocated beyond image and result, at most: the weights as the algorithm wants them, tables, copies.
    """


@named
def plan(
    x_shape: tuple[int, ...],
    w: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    x_dtype: DTypeLike | None = None,
    tune: bool = False,
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
    tune : bool
        Measure the best few algorithms and ways to run them, by the model, and take the fastest: it takes about a
        second, or as long as some calls. What was measured is kept in the cache folder, for this layer on this CPU.
        Results are as exact as the precision asks; their last bits may be those of another algorithm on the next
        machine.
    **options
        Every other keyword of `conv` but `out`: stride, padding, dilation, groups, padding_mode, padding_value, layout,
        activation, flip, dtype, precision, chunked, x_zero_point, w_zero_point, algorithm, workspace_limit, threads.

    Returns
    -------
    Plan
        Call it as ``plan(x, out=None)``; ``print`` tells what was chosen and why, `Plan.ir` and `Plan.assembly` show
        the kernels that it runs.

    Raises
    ------
    ShapeError, LayoutError, GeometryError, ArgumentError, DTypeError
        If an argument does not fit.
    MemoryBudgetError
        If its copy of the weights, or the arrays and the workspace of a call, would not fit the available memory.

    Examples
    --------
    >>> import numpy as np
    >>> import im2col
    >>> p = im2col.plan((1, 3, 8, 8), np.ones((4, 3, 3, 3)), padding=1, threads=1)
    >>> p(np.ones((1, 3, 8, 8))).shape, p.algorithm
    ((1, 4, 8, 8), 'implicit')
    """
    refuse_unknown("plan", options, keywords(conv) - {"out"})
    filters = own_copy("w", w)
    dtype = filters.dtype if x_dtype is None else as_dtype("x_dtype", x_dtype)
    work = convolution(x_shape, dtype, filters, bias, prepared=True, **options)
    operation = work.operation.tuned(work.weights) if flag("tune", tune) else work.operation
    return Plan(operation, work.weights, "plan")


class TransposedPlan(_OneOperand):
    """A transposed convolution, or an image's gradient, prepared once and run many times: ``y = plan(x)``.

    Made by `im2col.plan_transpose` and `im2col.plan_input_gradient`. Immutable; equal and hashable by what it was made
    from; picklable; safe to call from several threads at once.

    Attributes
    ----------
    made_by : str
        The public function that made it, which errors name and `print` begins with.
    algorithm : str
        The algorithm that runs; several, joined by ``+``, where the phases of the stride get different ones.
    threads : int
        How many threads may work.
    workspace_bytes : int
        Bytes allocated beyond operand and result, at most: the weights as the algorithms want them, tables, columns.
    """

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of the operand."""
        return self._operation.inputs[0].shape


class WeightGradientPlan(BasePlan):
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
        Bytes allocated beyond the arguments and the result, at most: tables and copies.
    """

    def __call__(self, x: ArrayLike, grad: ArrayLike, out: Array | None = None) -> Array:
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
        result: Array = self._called((x, grad), out)
        return result
