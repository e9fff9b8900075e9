"""The column matrix and the way back: `im2col`, `patches`, `col2im`, and the other factor, `weight_matrix`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..engine import gather
from ..engine.host import require_memory
from ..engine.threads import resolve_threads
from ..errors import ArgumentError, ShapeError, named
from ..spec.arrays import as_array, check_output, constant, native
from ..spec.geometry import integer
from ..spec.padding import check_mode
from .fold import fold, sum_dtype, workspace_bytes
from .frame import ORIENTATIONS, TAP_ORDERS, Orientation, TapOrder, check_choice, resolve_frame
from .shapes import checked_shape

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ..spec.geometry import Window
    from ..spec.padding import Padding, PaddingMode


@named
def im2col(
    x: ArrayLike,
    kernel_size: Window,
    *,
    stride: Window = 1,
    padding: Padding = 0,
    dilation: Window = 1,
    padding_mode: PaddingMode = "constant",
    padding_value: ArrayLike = 0,
    layout: str | None = None,
    orientation: Orientation = "rows",
    tap_order: TapOrder = "channel-first",
    out: NDArray[Any] | None = None,
    threads: int | None = None,
) -> NDArray[Any]:
    """Return the column matrix of an image: every patch, flattened.

    Parameters
    ----------
    x : array_like
        The image: k spatial axes, or (C, *spatial), or (N, C, *spatial), or as `layout` says. Any numeric dtype, any
        memory order.
    kernel_size : int or tuple of int
        Taps along each spatial axis. Its length is k; an int means k = 2, or the spatial axes of `layout`.
    stride, dilation : int or tuple of int
        Pixels between neighbouring positions, and between neighbouring taps.
    padding : int, tuple or str
        Pixels around the image: an int; one entry an axis, each an int or a (before, after) pair; or ``"valid"``,
        ``"same"`` (ceil(size / stride) positions, the odd pixel after), ``"same_lower"`` (the odd pixel before),
        ``"full"`` (every window that touches the image), ``"causal"`` (all before), ``"multiple"`` (the fewest pixels
        after with which no pixel is left over: with stride = kernel, up to a multiple of it).
    padding_mode : str or tuple of str
        ``"constant"``, ``"edge"``, ``"reflect"``, ``"symmetric"`` or ``"wrap"``, as in ``np.pad``; or one for each
        spatial axis: ``("constant", "wrap")`` for panoramas.
    padding_value : scalar, or sequence of one for each channel
        The constant, a value of x's dtype.
    layout : str, optional
        The axes of `x`, such as ``"NHWC"``.
    orientation : {"rows", "columns"}
        ``"rows"``: a patch is a row, (positions, taps). ``"columns"``: a patch is a column, (taps, positions).
    tap_order : {"channel-first", "channel-last"}
        A patch is flattened as (C, *kernel), or as (*kernel, C).
    out : ndarray, optional
        Where to write; the result's shape and dtype, any strides, no memory shared with `x`.
    threads : int, optional
        How many threads may work; see `set_threads`.

    Returns
    -------
    ndarray
        A new array (or `out`) of x's dtype in native byte order: (positions, taps), or (taps, positions), with the
        batch axis before them where x has one. Positions are in row-major order of the output.

    Raises
    ------
    GeometryError, LayoutError, ArgumentError, DTypeError, OutputError
        If an argument does not fit; nothing has been written then.
    MemoryBudgetError
        If the matrix would not fit the available memory.

    See Also
    --------
    patches : the same entries as a view that copies nothing.
    col2im : the adjoint.

    Notes
    -----
    - torch: ``unfold(x, k)`` is ``im2col(x, k, orientation="columns")``, for two spatial axes and zero padding.
    - MATLAB: ``im2col(A, [m n], 'sliding')`` is ``im2col(A.T, (n, m), orientation="columns")``, because MATLAB flattens
      column by column; ``'distinct'`` adds ``stride=(n, m), padding="multiple"``.
    - TensorFlow: ``tf.image.extract_patches(x, [1, m, n, 1], …)`` is ``im2col(x, (m, n), layout="NHWC",
      tap_order="channel-last")`` with its positions as two axes.

    Examples
    --------
    >>> import numpy as np
    >>> from im2col import im2col
    >>> im2col(np.arange(9).reshape(3, 3), 2)
    array([[0, 1, 3, 4],
           [1, 2, 4, 5],
           [3, 4, 6, 7],
           [4, 5, 7, 8]])
    """
    image = as_array("x", x)
    frame = resolve_frame(image.shape, kernel_size, stride, padding, dilation, layout, orientation, tap_order)
    shape, dtype = frame.matrix_shape, native(image.dtype)
    mode = check_mode(padding_mode, frame.geometry)
    fill = constant(padding_value, dtype, frame.value_channels)
    workers = resolve_threads(threads)
    if out is None:
        size = math.prod(shape) * dtype.itemsize + frame.padded_bytes(dtype.itemsize)
        way_out = "use conv, which never makes it whole, or patches, a view that copies nothing"
        require_memory(size, way_out, "the column matrix {} of {}", shape, dtype)
        out = np.empty(shape, dtype)
    else:
        out = check_output(out, shape, dtype, [image])
        size, padded = frame.padded_bytes(dtype.itemsize), frame.geometry.padded_shape
        require_memory(size, "use less padding", "the padded image {} of {}", padded, dtype)
    source = frame.patches(frame.padded(image, mode, fill, workers))
    gather.copy(frame.split(out), source, workers)
    return out


@named
def patches(
    x: ArrayLike,
    kernel_size: Window,
    *,
    stride: Window = 1,
    padding: Padding = 0,
    dilation: Window = 1,
    padding_mode: PaddingMode = "constant",
    padding_value: ArrayLike = 0,
    layout: str | None = None,
    orientation: Orientation = "rows",
    tap_order: TapOrder = "channel-first",
    copy: Literal[False] | None = None,
) -> NDArray[Any]:
    """Return the column matrix before flattening, as a view of the image that copies nothing.

    Parameters
    ----------
    x, kernel_size, stride, padding, dilation, padding_mode, padding_value, layout, orientation, tap_order
        As for `im2col`.
    copy : None or False
        None: the image is copied where padding must enlarge it. False: raise instead.

    Returns
    -------
    ndarray
        A read-only strided view of `x`, in x's dtype and byte order; of its padded copy, in native byte order, where
        there is padding: (N, *output, C, *kernel), or (N, *output, *kernel, C) channel-last; ``orientation="columns"``
        puts the tap axes before the output axes. The axes N and C are left out where x lacks them.

    Raises
    ------
    GeometryError, LayoutError, ArgumentError, DTypeError
        If an argument does not fit, or padding needs a copy that `copy` refuses.
    MemoryBudgetError
        If the padded copy would not fit the available memory.

    See Also
    --------
    im2col : the same entries as a matrix of its own.

    Notes
    -----
    With kernel, stride and dilation per axis, ``patches(x, …)[..., o, …, t]`` is ``x_padded[o·stride + t·dilation]``.
    With none of them, and no channels, it equals ``np.lib.stride_tricks.sliding_window_view(x, kernel_size)``.

    Examples
    --------
    >>> import numpy as np
    >>> from im2col import patches
    >>> x = np.arange(16).reshape(4, 4)
    >>> p = patches(x, 3)
    >>> p.shape, np.shares_memory(p, x)
    ((2, 2, 3, 3), True)
    """
    if copy is not None and copy is not False:
        raise ArgumentError(f"copy must be None (copy where padding forces it) or False (never), got {copy!r}")
    image = as_array("x", x)
    frame = resolve_frame(image.shape, kernel_size, stride, padding, dilation, layout, orientation, tap_order)
    mode = check_mode(padding_mode, frame.geometry)
    fill = constant(padding_value, native(image.dtype), frame.value_channels)
    if frame.geometry.is_padded:
        if copy is False:
            raise ArgumentError(
                f"padding {frame.geometry.padding} needs a padded copy of the image but copy=False; pad the image "
                "first, or pass copy=None"
            )
        size, padded = frame.padded_bytes(image.itemsize), frame.geometry.padded_shape
        require_memory(size, "use less padding", "the padded image {} of {}", padded, image.dtype)
    view = frame.patches(frame.padded(image, mode, fill))
    return view.reshape(frame.patches_shape, copy=False)


@named
def col2im(
    columns: ArrayLike,
    image_shape: tuple[int, ...],
    kernel_size: Window,
    *,
    stride: Window = 1,
    padding: Padding = 0,
    dilation: Window = 1,
    padding_mode: PaddingMode = "constant",
    layout: str | None = None,
    orientation: Orientation = "rows",
    tap_order: TapOrder = "channel-first",
    reduce: Literal["sum", "mean"] = "sum",
    out: NDArray[Any] | None = None,
    threads: int | None = None,
) -> NDArray[Any]:
    """Put patches back into an image: the adjoint of `im2col`, or its inverse on covered pixels.

    Parameters
    ----------
    columns : array_like
        A column matrix as `im2col` gives it with the same arguments.
    image_shape : tuple of int
        The image's shape, in `layout`.
    kernel_size, stride, padding, dilation, padding_mode, layout, orientation, tap_order
        As for `im2col`. Entries that lie in constant padding are dropped; with another mode each is added to the pixel
        that it was copied from.
    reduce : {"sum", "mean"}
        ``"sum"``: each pixel is the sum of its copies. ``"mean"``: their mean, so that
        ``col2im(im2col(x, …), x.shape, …, reduce="mean")`` is `x` on every covered pixel.
    out : ndarray, optional
        Where to write; the result's shape and dtype, any strides, no memory shared with `columns`.
    threads : int, optional
        How many threads may work; see `set_threads`. The result does not depend on it.

    Returns
    -------
    ndarray
        A new array (or `out`) of shape `image_shape`; 0 where no window covers a pixel. Sums of booleans and of small
        integers have the dtype of ``np.sum``; all else keeps the dtype of `columns`. Integer sums wrap as NumPy's do,
        integer means are exact (rounded down where the copies differ), float16 and bfloat16 accumulate in float32.

    Raises
    ------
    ShapeError
        If `columns` does not have the shape that `im2col` would give.
    GeometryError, LayoutError, ArgumentError, DTypeError, OutputError
        If another argument does not fit; nothing has been written then.
    MemoryBudgetError
        If the image would not fit the available memory.

    See Also
    --------
    overlap_count : how many copies each pixel has.

    Notes
    -----
    For all x and y, ``(im2col(x, …) * y).sum() == (x * col2im(y, x.shape, …)).sum()``: the definition of the adjoint.
    torch's ``fold(y, size, k)`` is ``col2im(y, (N, C, *size), k, orientation="columns")``. MATLAB's
    ``col2im(B, [m n], size, 'distinct')`` is ``col2im(B, size[::-1], (n, m), stride=(n, m), orientation="columns").T``.

    Examples
    --------
    >>> import numpy as np
    >>> from im2col import col2im, im2col
    >>> x = np.arange(9).reshape(3, 3)
    >>> col2im(im2col(x, 2), x.shape, 2)
    array([[ 0,  2,  2],
           [ 6, 16, 10],
           [ 6, 14,  8]])
    >>> col2im(im2col(x, 2), x.shape, 2, reduce="mean")
    array([[0, 1, 2],
           [3, 4, 5],
           [6, 7, 8]])
    """
    matrix = as_array("columns", columns)
    shape = checked_shape(image_shape)
    frame = resolve_frame(shape, kernel_size, stride, padding, dilation, layout, orientation, tap_order)
    if matrix.shape != frame.matrix_shape:
        raise ShapeError(
            f"columns has shape {matrix.shape} but an image {shape} with these windows has the column matrix "
            f"{frame.matrix_shape} ({orientation}, {tap_order}); check image_shape, orientation and the window"
        )
    check_choice("reduce", reduce, ("sum", "mean"))
    mode = check_mode(padding_mode, frame.geometry)
    workers = resolve_threads(threads)
    dtype = native(matrix.dtype)
    planes = frame.batch * frame.channels
    workspace = workspace_bytes(planes, frame.geometry, dtype, mode, reduce)
    if reduce == "sum" and dtype.kind in "biu":
        dtype = sum_dtype(dtype)
    if out is None:
        require_memory(
            workspace + math.prod(shape) * dtype.itemsize, "fold it in parts", "the image {} of {}", shape, dtype
        )
        out = np.empty(shape, dtype)
    else:
        out = check_output(out, shape, dtype, [matrix])
        require_memory(workspace, "fold it in parts", "the sums for the image {} of {}", shape, dtype)
    fold(frame.layout.to_canonical(out), frame.canonical(matrix), frame.geometry, mode, reduce, workers)
    return out


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
    size = n * groups * channels * math.prod(kernel) * filters.itemsize
    require_memory(2 * size, "multiply group by group, as conv does", "the matrix of {} filters", n)
    spread = np.zeros((groups, n // groups, groups, channels, *kernel), native(filters.dtype))
    for g in range(groups):
        spread[g, :, g] = filters[g * (n // groups) : (g + 1) * (n // groups)]
    whole = spread.reshape(n, groups * channels, *kernel)
    if tap_order == "channel-last":
        whole = np.moveaxis(whole, 1, -1)
    matrix = whole.reshape(n, groups * channels * math.prod(kernel))
    return np.ascontiguousarray(matrix if orientation == "columns" else matrix.T)
