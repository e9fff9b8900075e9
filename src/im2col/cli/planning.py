"""Plans of shapes alone, for a command that shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine.host import require_memory
from ..errors import ArgumentError, ShapeError
from ..layers.costs import OPERATIONS
from ..layers.input_gradient import plan_input_gradient
from ..layers.plan import plan
from ..layers.transpose import plan_transpose
from ..layers.weight_gradient import plan_weight_gradient
from ..spec.arguments import check_choice

if TYPE_CHECKING:
    from ..layers.plan import Plan, TransposedPlan, WeightGradientPlan


def plan_of(
    operation: str,
    image_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    dtype: np.dtype[Any],
    *,
    padding_mode: str,
    **options: Any,
) -> Plan | TransposedPlan | WeightGradientPlan:
    """Return the plan of an operation on arrays of these shapes, with weights of zeros.

    Parameters
    ----------
    operation : str
        One of `OPERATIONS`.
    image_shape, weight_shape : tuple of int
        Of the first two arguments of `conv` or `conv_transpose`; of the convolution whose gradient it is.
    dtype : dtype
        Of all arrays.
    padding_mode : str
        Which a transposed convolution does not have.
    **options
        Every other keyword of the plan.

    Raises
    ------
    Im2colError
        If an argument does not fit.
    """
    check_choice("operation", operation, OPERATIONS)
    if len(weight_shape) < 3:
        raise ShapeError(
            f"WEIGHT_SHAPE must be filters, channels/groups and the kernel, such as 64,3,7,7; got {weight_shape}"
        )
    if operation == "conv_weight_gradient":
        filters, kernel = weight_shape[0], weight_shape[2:]
        options["padding_mode"] = padding_mode
        return plan_weight_gradient(image_shape, filters, kernel, x_dtype=dtype, **options)
    size = int(np.prod(weight_shape)) * dtype.itemsize
    require_memory(size, "plan a smaller layer", "weights {} of {}", weight_shape, dtype)
    weights = np.zeros(weight_shape, dtype)
    if operation == "conv_transpose":
        if padding_mode != "constant":
            raise ArgumentError("--padding-mode does not go with conv_transpose; leave it out")
        return plan_transpose(image_shape, weights, **options)
    make = plan if operation == "conv" else plan_input_gradient
    return make(image_shape, weights, padding_mode=padding_mode, **options)
