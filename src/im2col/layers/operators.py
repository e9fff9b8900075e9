"""The convolution as a linear operator that never makes its matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine.host import require_memory
from ..errors import DTypeError, named, naming
from ..spec.arguments import checked_shape
from ..spec.arrays import as_array, as_dtype, check_numbers, native
from ..spec.layout import BATCH
from .convolution import convolution
from .input_gradient import conv_input_gradient, plan_input_gradient
from .operation import own_copy
from .plan import Plan
from .sparse_matrix import one_image, scipy_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray
    from scipy.sparse.linalg import LinearOperator

    from ..spec.geometry import Window
    from ..spec.padding import Padding, PaddingMode
    from .plan import TransposedPlan


@named
def conv_operator(
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
    algorithm: str = "auto",
    threads: int | None = None,
) -> LinearOperator:
    """Return the convolution as a linear operator for SciPy's solvers, which makes no matrix.

    Parameters
    ----------
    w : array_like, (n, C/groups, *kernel)
        The filters; the operator keeps a copy of its own.
    image_shape : tuple of int
        The shape of one image, in `layout`; no batch axis.
    stride, padding, dilation, groups, padding_mode, layout, flip
        As for `conv`; constant padding is 0.
    dtype : dtype, optional
        Of the vectors that the operator will be applied to. If left out: w's for floats, but at least float32; float64
        for integers.
    algorithm, threads
        As for `conv`.

    Returns
    -------
    scipy.sparse.linalg.LinearOperator
        Of shape (elements of the result, pixels), over images and results in the order of ``ravel``. ``A @ x`` is
        `conv`, ``A.H @ y`` is `conv_input_gradient`; the columns of a matrix are convolved as one batch. Its dtype is
        the one that `conv` gives for an image of `dtype`. Vectors of a lesser dtype are converted, those of a greater
        one give a greater result, as with a matrix. It can be pickled, and applied by several threads at once.

    Raises
    ------
    ShapeError, LayoutError, GeometryError, ArgumentError, DTypeError
        If an argument does not fit.
    MissingExtraError
        If SciPy is not installed.
    MemoryBudgetError
        If its copies of the weights, or the arrays and the workspace of a product, would not fit the available memory.

    See Also
    --------
    conv_matrix : the same map as a sparse matrix.

    Examples
    --------
    A blurred signal is deblurred by least squares:

    >>> import numpy as np
    >>> from im2col import conv_operator
    >>> from scipy.sparse.linalg import lsqr
    >>> a = conv_operator(np.array([[[1, 2, 1]]]) / 4, (5,), padding=1)
    >>> blurred = a @ np.array([0, 0, 4, 0, 8])
    >>> blurred
    array([0., 1., 2., 3., 4.])
    >>> lsqr(a, blurred)[0].round(6) + 0.0
    array([0., 0., 4., 0., 8.])
    """
    sparse = scipy_of()
    filters, shape = own_copy("w", w), checked_shape("image_shape", image_shape)
    check_numbers("w", filters.dtype)
    if dtype is not None:
        vectors = native(as_dtype("dtype", dtype))
    elif filters.dtype.kind in "biu":
        vectors = np.dtype(np.float64)
    else:
        vectors = np.result_type(filters.dtype, np.float32)
    options: dict[str, Any] = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "padding_mode": padding_mode,
        "flip": flip,
    }
    problem = one_image(shape, filters, vectors, layout=layout, **options)
    options |= {"algorithm": algorithm, "threads": threads}
    linear = _Linear(
        filters, problem.x_shape, problem.output_shape, problem.layout.axes, vectors, problem.dtype, options
    )
    linear.prepared(False, vectors)
    return sparse.linalg.LinearOperator(
        (math.prod(linear.output_shape), math.prod(shape)),
        linear.forward,
        linear.adjoint,
        linear.forward_columns,
        problem.dtype,
        linear.adjoint_columns,
    )


@dataclass(frozen=True)
class _Linear:
    """`conv` and its adjoint over flat vectors, and over matrices of vectors as columns."""

    w: NDArray[Any]
    image_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    layout: str
    x_dtype: np.dtype[Any]
    y_dtype: np.dtype[Any]
    options: dict[str, Any]
    plans: dict[tuple[bool, np.dtype[Any]], Plan | TransposedPlan] = field(default_factory=dict)

    def prepared(self, adjoint: bool, dtype: np.dtype[Any]) -> Plan | TransposedPlan:
        """Return the plan for one vector of a dtype; two threads may make it twice, and either will do."""
        plan = self.plans.get((adjoint, dtype))
        if plan is None:
            if adjoint:
                plan = plan_input_gradient(
                    self.image_shape, self.w, grad_dtype=dtype, layout=self.layout, **self.options
                )
            else:
                work = convolution(self.image_shape, dtype, self.w, None, layout=self.layout, **self.options)
                plan = Plan(work.operation, work.weights, None)
            self.plans[adjoint, dtype] = plan
        return plan

    @naming("conv_operator")
    def forward(self, x: ArrayLike) -> NDArray[Any]:
        """Return conv(x) for a vector."""
        vector = _at_least(self.x_dtype, "x", x)
        return self.prepared(False, vector.dtype)(vector.reshape(self.image_shape)).reshape(-1)

    @naming("conv_operator")
    def adjoint(self, y: ArrayLike) -> NDArray[Any]:
        """Return the gradient of conv in the image, for a vector."""
        vector = _at_least(self.y_dtype, "y", y)
        return self.prepared(True, vector.dtype)(vector.reshape(self.output_shape)).reshape(-1)

    @naming("conv_operator")
    def forward_columns(self, x: ArrayLike) -> NDArray[Any]:
        """Return conv(x) for each column of a matrix."""
        columns = _at_least(self.x_dtype, "x", x)
        shape = (columns.shape[1], *self.image_shape)
        batch = BATCH + self.layout
        work = convolution(shape, columns.dtype, self.w, None, layout=batch, **self.options)
        return _columns(work.run((columns.T.reshape(shape),), None))

    @naming("conv_operator")
    def adjoint_columns(self, y: ArrayLike) -> NDArray[Any]:
        """Return the gradient of conv in the image, for each column of a matrix."""
        columns = _at_least(self.y_dtype, "y", y)
        count = columns.shape[1]
        grads, images = columns.T.reshape(count, *self.output_shape), (count, *self.image_shape)
        batch = BATCH + self.layout
        return _columns(conv_input_gradient(grads, self.w, images, layout=batch, **self.options))


def _at_least(dtype: np.dtype[Any], name: str, value: ArrayLike) -> NDArray[Any]:
    """Return a vector or a matrix in a dtype, or in a greater one if it has that."""
    array = as_array(name, value)
    try:
        common = np.result_type(array.dtype, dtype)
    except TypeError as cause:
        raise DTypeError(
            f"{name} has dtype {array.dtype}, which has no common dtype with the operator's {dtype}; convert it first"
        ) from cause
    if array.dtype != common:
        require_memory(array.size * common.itemsize, f"pass {common}", "{} converted to {}", name, common)
    return array.astype(common, copy=False)


def _columns(batch: NDArray[Any]) -> NDArray[Any]:
    """Return a batch as the columns of a matrix, one for each of its members."""
    return batch.reshape(len(batch), math.prod(batch.shape[1:])).T
