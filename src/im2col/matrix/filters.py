"""The other factor of the product: `weight_matrix`, the filters side by side."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine.host import require_memory
from ..errors import ShapeError, named
from ..spec.arrays import as_array, native
from ..spec.geometry import integer
from .frame import ORIENTATIONS, TAP_ORDERS, Orientation, TapOrder, check_choice

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@named
def weight_matrix(
    w: ArrayLike,
    *,
    tap_order: TapOrder = "channel-first",
    orientation: Orientation = "rows",
    groups: int = 1,
) -> NDArray[Any]:
    """Return the filters side by side, flattened as the patches are.

    Parameters
    ----------
    w : array_like, (n, C/groups, *kernel)
        The filters.
    tap_order : {"channel-first", "channel-last"}
        As for `im2col`.
    orientation : {"rows", "columns"}
        ``"rows"``: a filter is a column, (taps, n), for ``im2col(x, …) @ matrix``. ``"columns"``: a filter is a row,
        (n, taps), for ``matrix @ im2col(x, …, orientation="columns")``.
    groups : int
        With more than one group the matrix holds zeros where a filter does not read a channel, so that the same product
        is the grouped layer: C·prod(kernel) taps. (One group alone is a slice of the columns times the
        `weight_matrix` of its own filters.)

    Returns
    -------
    ndarray
        A new array of w's dtype in native byte order, C-contiguous.

    Raises
    ------
    ShapeError
        If `w` has no kernel axes, or its filters do not divide among the groups.
    ArgumentError, DTypeError
        If another argument does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from im2col import im2col, weight_matrix
    >>> x, w = np.ones((3, 5, 5)), np.ones((4, 3, 2, 2))
    >>> (im2col(x, 2) @ weight_matrix(w)).shape
    (16, 4)
    """
    filters = as_array("w", w)
    check_choice("tap_order", tap_order, TAP_ORDERS)
    check_choice("orientation", orientation, ORIENTATIONS)
    groups = integer("groups", groups, minimum=1)
    if filters.ndim < 3 or filters.shape[0] % groups:
        raise ShapeError(
            f"w must be (filters, channels/groups, *kernel) with filters divisible by groups={groups}, got shape "
            f"{filters.shape}"
        )
    n, channels = filters.shape[:2]
    kernel = filters.shape[2:]
    taps = math.prod(kernel)
    size = n * groups * channels * taps * filters.itemsize
    require_memory(size, "multiply group by group, as conv does", "the matrix of {} filters", n)
    shape = (groups * channels * taps, n) if orientation == "rows" else (n, groups * channels * taps)
    matrix = np.zeros(shape, native(filters.dtype))
    rows = matrix if orientation == "columns" else matrix.T
    if tap_order == "channel-first":
        whole = rows.reshape(groups, n // groups, groups, channels, *kernel, copy=False)
    else:
        last = rows.reshape(groups, n // groups, *kernel, groups, channels, copy=False)
        whole = np.moveaxis(last, (-2, -1), (2, 3))
    own = np.einsum("gfgc...->gfc...", whole)  # a view: of each group's filters, the taps of its channels
    own[...] = filters.reshape(groups, n // groups, channels, *kernel, copy=False)
    return matrix
