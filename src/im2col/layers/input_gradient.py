"""The gradient of a convolution's image: its adjoint in `x`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ..engine import compiler
from ..engine.threads import resolve_threads
from ..errors import ShapeError, named
from ..memory import memoized
from ..spec.arguments import checked_shape, flag
from ..spec.arrays import as_array, as_dtype, native, same_kind
from ..spec.problem import WORKSPACE_LIMIT, keywords, make_problem, refuse_unknown
from ..spec.transposed import Transposed
from .again import run_once
from .operation import Work, own_copy
from .phases import Folding, Transpose
from .plan import TransposedPlan

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from ..spec.geometry import Window
    from ..spec.padding import Padding, PaddingMode
    from ..spec.problem import Precision, Problem


_FOLDED_BYTES = 256 << 10
"""Of padded images that are computed and folded together: they stay in the second level of cache."""


@same_kind
def conv_input_gradient(
    grad: ArrayLike,
    w: ArrayLike,
    image_shape: tuple[int, ...],
    *,
    stride: Window = 1,
    padding: Padding = 0,
    dilation: Window = 1,
    groups: int = 1,
    padding_mode: PaddingMode = "constant",
    layout: str | None = None,
    flip: bool = False,
    dtype: DTypeLike | None = None,
    precision: Precision = "native",
    algorithm: str = "auto",
    workspace_limit: int = WORKSPACE_LIMIT,
    out: NDArray[Any] | None = None,
    threads: int | None = None,
) -> NDArray[Any]:
    """Return the gradient of a convolution's image: the adjoint of `conv` in `x`.

    Parameters
    ----------
    grad : array_like
        The gradient of the convolution's result: of that result's shape.
    w : array_like, (n, C/groups, *kernel)
        The filters that the convolution used. Complex filters are conjugated.
    image_shape : tuple of int
        ``x.shape``, in `layout`.
    stride, padding, dilation, groups, padding_mode, layout, flip
        What the convolution used. The gradient of a pixel in the padding is added to the pixel that it was copied from;
        in constant padding it is dropped.
    dtype, precision, algorithm, workspace_limit, threads
        As for `conv`.
    out : ndarray, optional
        Where to write; the result's shape and dtype, any strides, no memory shared with `grad` or `w`.

    Returns
    -------
    ndarray
        A new array (or `out`) of shape `image_shape`.

    Raises
    ------
    ShapeError, LayoutError, GeometryError, ArgumentError, DTypeError, OutputError
        If an argument does not fit; nothing has been written then.
    MemoryBudgetError
        If the result would not fit the available memory.

    See Also
    --------
    conv_transpose : the same map as a layer, with a bias and a result of your own size.
    plan_input_gradient : the same, prepared once and run many times.

    Notes
    -----
    ``vdot(grad, conv(x, w)) == vdot(conv_input_gradient(grad, w, x.shape), x)`` for every x and grad: the definition of
    the adjoint. In matrices: ``col2im(Wᴴ · G)``; here no column matrix is made.

    Examples
    --------
    >>> import numpy as np
    >>> from im2col import conv_input_gradient
    >>> conv_input_gradient(np.ones((2, 2), int), np.array([[[[1, 2], [3, 4]]]]), (3, 3))
    array([[ 1,  3,  2],
           [ 4, 10,  6],
           [ 3,  7,  4]])
    """
    options = locals()  # every argument, by its name
    arrays = options.pop("grad"), options.pop("w"), None, options.pop("out")
    return run_once("conv_input_gradient", *arrays, options, checked)


@named
def plan_input_gradient(
    image_shape: tuple[int, ...], w: ArrayLike, *, grad_dtype: DTypeLike | None = None, **options: Any
) -> TransposedPlan:
    """Prepare the gradient of a convolution's image once, to run it many times.

    Parameters
    ----------
    image_shape : tuple of int
        ``x.shape``, in `layout`.
    w : array_like, (n, C/groups, *kernel)
        The filters; the plan keeps a copy of its own.
    grad_dtype : dtype, optional
        Of the gradient of the convolution's result; the weights' dtype if left out.
    **options
        Every other keyword of `conv_input_gradient` but `out`.

    Returns
    -------
    TransposedPlan
        Call it as ``plan(grad, out=None)``; ``print`` tells what each phase of the stride does.

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
    >>> p = im2col.plan_input_gradient((1, 3, 8, 8), np.ones((4, 3, 3, 3)), padding=1)
    >>> p(np.ones((1, 4, 8, 8))).shape
    (1, 3, 8, 8)
    """
    refuse_unknown("plan_input_gradient", options, keywords(conv_input_gradient) - {"out"})
    filters = own_copy("w", w)
    dtype = filters.dtype if grad_dtype is None else as_dtype("grad_dtype", grad_dtype)
    work = _work(image_shape, dtype, filters, prepared=True, **options)
    return TransposedPlan(work.operation, work.weights, "plan_input_gradient")


def checked(
    _: str, grad: ArrayLike, w: ArrayLike, _bias: None, options: dict[str, Any]
) -> tuple[Work, tuple[NDArray[Any]]]:
    """Return the gradient of an image with its weights, and its operand."""
    gradient, filters = as_array("grad", grad), as_array("w", w)
    work = _work(grad_dtype=gradient.dtype, w=filters, **options)
    wanted = work.operation.inputs[0].shape
    if gradient.shape != wanted:
        raise ShapeError(
            f"grad has shape {gradient.shape} but the convolution of an image {options['image_shape']} gives {wanted}; "
            "pass the gradient of that result, and what the convolution was given"
        )
    return work, (gradient,)


def _work(
    image_shape: tuple[int, ...],
    grad_dtype: np.dtype[Any],
    w: NDArray[Any],
    *,
    algorithm: str = "auto",
    threads: int | None = None,
    **options: Any,
) -> Work:
    """Return the gradient of an image and its weights, all arguments checked."""
    filters = w if w.dtype.isnative else w.astype(native(w.dtype))
    shape, workers = checked_shape("image_shape", image_shape), resolve_threads(threads)
    given = (shape, filters.shape, grad_dtype, filters.dtype, algorithm, workers, compiler.condition())
    return Work(_decided(*given, **options), (filters, None), (filters,))


@memoized
def _decided(
    image_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    grad_dtype: np.dtype[Any],
    w_dtype: np.dtype[Any],
    algorithm: str,
    threads: int,
    engine_condition: str | None,  # noqa: ARG001 (the choice depends on it, so it is a part of what is remembered)
    flip: bool = False,
    **options: Any,
) -> Transpose:
    """Validate the arguments, all but the arrays' values, and choose the algorithms."""
    p = make_problem(image_shape, w_shape, grad_dtype, w_dtype, names=("grad", "w"), **options)
    return Transpose.decided(*transposed_of(p), True, flag("flip", flip), algorithm, threads)


def transposed_of(p: Problem) -> tuple[Transposed, Folding | None]:
    """Return the transpose of a convolution, and how its result is folded where padding copies pixels.

    Parameters
    ----------
    p : Problem
        The convolution, with the dtype of its result's gradient as `x_dtype`.
    """
    g = p.geometry
    folding, together = None, 1
    if p.padding_mode != "constant" and g.is_padded:
        folding = Folding(g, p.padding_mode, p.batch, p.dtype)
        together = max(1, _FOLDED_BYTES // max(1, p.channels * math.prod(g.padded_shape) * p.accumulator.itemsize))
    transposed = Transposed(
        layout=p.layout,
        spatial_shape=g.output_shape,
        image=g.padded_shape if folding else g.spatial_shape,
        kernel_size=g.kernel_size,
        stride=g.stride,
        dilation=g.dilation,
        before=(0,) * g.ndim if folding else tuple(before for before, _ in g.padding),
        batch=min(p.batch, together) if folding else p.batch,
        filters=p.filters,
        channels=p.channels,
        groups=p.groups,
        x_dtype=p.x_dtype,
        w_dtype=p.w_dtype,
        dtype=p.accumulator if folding else p.dtype,
        activation=None,
        has_bias=False,
        workspace_limit=p.workspace_limit,
        precision=p.precision,
        prepared=p.prepared,
    )
    return transposed, folding
