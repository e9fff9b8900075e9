"""The column matrix and the way back: `im2col`, `patches`, `col2im`."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from ..engine.host import array_bytes
from ..errors import ArgumentError, MemoryBudgetError, format_bytes, shown
from ..spec.arrays import as_array, native, same_kind
from ..spec.padding import check_mode
from .frame import resolve_frame
from .way import fill_value, remembered, require_padded, way_of
from .way_back import way_back_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ..spec.geometry import Window
    from ..spec.layout import TapOrder
    from ..spec.padding import Padding, PaddingMode
    from .fold import Reduction
    from .frame import Orientation


@same_kind
def im2col(
    x: ArrayLike,
    kernel_size: Window,
    *,
    stride: Window = 1,
    padding: Padding = 0,
    dilation: Window = 1,
    padding_mode: PaddingMode = "constant",
    padding_value: complex | NDArray[Any] = 0,
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
        The image: k spatial axes, or (C, *spatial), or (N, C, *spatial), or as `layout` says, which an array with its
        channels last needs: what may be a photograph, of shape (300, 400, 3), is refused without ``layout="HWC"`` or
        ``"CHW"``. Any numeric dtype (docs/dtypes.md), any memory order; objects, such as fractions, are copied.
    kernel_size : int or tuple of int
        Taps along each spatial axis. Its length is k; an int means k = 2, or the spatial axes of `layout`, or the one
        axis of a signal.
    stride, dilation : int or tuple of int
        Pixels between neighbouring positions, and between neighbouring taps.
    padding : int, tuple or str
        Pixels around the image: an int; one entry an axis, each an int or a (before, after) pair; or ``"valid"``,
        ``"same"`` (ceil(size / stride) positions, the odd pixel after), ``"same_lower"`` (the odd pixel before),
        ``"full"`` (every window that touches the image), ``"causal"`` (all before), ``"multiple"`` (the fewest pixels
        after with which no pixel is left over: with stride = kernel, up to a multiple of it).
    padding_mode : str or mapping of str to str
        ``"constant"``, ``"edge"``, ``"reflect"``, ``"symmetric"`` or ``"wrap"``, as in ``np.pad``, for all spatial
        axes. Or the modes of some axes by their letters, all others being constant: ``{"W": "wrap"}`` for panoramas,
        which go round in width only. The letters are those of `layout`; by default W for one axis, HW for two, DHW for
        three. A constant axis is padded last: corners show the constant.
    padding_value : scalar, or ndarray of shape (C,)
        The constant, a value of x's dtype; or one for each channel, as in ``np.array((124, 116, 104))`` for the mean
        colour.
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
    image = as_array("x", x, objects=True)
    options = kernel_size, stride, padding, dilation, layout, orientation, tap_order, padding_mode, padding_value
    way = remembered(im2col, image, options, threads, partial(way_of, image, *options, threads))
    matrix = way.matrix(image, out)
    way.fill(matrix, image)
    return matrix if out is None else out


@same_kind
def patches(
    x: ArrayLike,
    kernel_size: Window,
    *,
    stride: Window = 1,
    padding: Padding = 0,
    dilation: Window = 1,
    padding_mode: PaddingMode = "constant",
    padding_value: complex | NDArray[Any] = 0,
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
        If the padded copy would not fit the available memory, or NumPy describes no array as large as the view.

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
        raise ArgumentError(f"copy must be None (copy where padding forces it) or False (never), got {shown(copy)}")
    image = as_array("x", x, objects=True)
    frame = resolve_frame(image.shape, kernel_size, stride, padding, dilation, layout, orientation, tap_order)
    mode = check_mode(padding_mode, frame.layout, frame.geometry)
    fill = fill_value(padding_value, native(image.dtype), frame)
    if frame.geometry.is_padded and copy is False:
        raise ArgumentError(
            f"padding {frame.geometry.padding} needs a padded copy of the image but copy=False; pad the image "
            "first, or pass copy=None"
        )
    require_padded(frame, native(image.dtype))
    nbytes = array_bytes(frame.patches_shape, image.itemsize)
    if nbytes > sys.maxsize:
        raise MemoryBudgetError(
            f"the view {frame.patches_shape} of {image.dtype} would show {format_bytes(nbytes)}, more than NumPy "
            "describes; pass a part of the image"
        )
    view = frame.patches(frame.padded(image, mode, fill))
    return view.reshape(frame.patches_shape, copy=False)


@same_kind
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
    reduce: Reduction = "sum",
    tap_weights: ArrayLike | None = None,
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
    tap_weights : array_like, optional
        A real weight for each tap, such as a window over frames: broadcast to `kernel_size`, or to (C, *kernel_size).
        Sums are of weight times copy; means are divided by the sum of the weights, and are 0 where that is 0.
    out : ndarray, optional
        Where to write; the result's shape and dtype, any strides, no memory shared with `columns`.
    threads : int, optional
        How many threads may work; see `set_threads`. The result does not depend on it.

    Returns
    -------
    ndarray
        A new array (or `out`) of shape `image_shape`; 0 where no window covers a pixel. Sums of booleans and of small
        integers (also ml_dtypes') have the dtype of ``np.sum``; all else keeps that of `columns`. Integer sums wrap as
        NumPy's do, integer means are exact (rounded down where the copies differ), floats of at most 16 bits accumulate
        in float32.

    Raises
    ------
    ShapeError
        If `columns` does not have the shape that `im2col` would give, or `tap_weights` does not fit the kernel.
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

    Overlap-add of audio frames with a window, as in an inverse short-time Fourier transform, is
    ``col2im(frames, (n,), (k,), stride=(hop,), tap_weights=window, reduce="mean")``: each sample is the mean of its
    frames, weighted by the window. Where the frames were multiplied by the window before they were transformed, the
    classic division by the sum of its squares is ``col2im(frames, …, tap_weights=window)`` over
    ``col2im(np.broadcast_to(window**2, frames.shape), …)``, wherever that is not 0.

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
    weights = None if tap_weights is None else as_array("tap_weights", tap_weights)
    window = kernel_size, stride, padding, dilation, layout, orientation, tap_order, padding_mode, reduce
    # Plain numbers are told apart faster than tuples of them.
    shape = (*image_shape, "axes") if type(image_shape) is tuple else (image_shape,)
    options = (*shape, *window) if weights is None else (*shape, *window, weights.shape, weights.dtype)
    make = partial(way_back_of, matrix, weights, image_shape, *window, threads)
    way = remembered(col2im, matrix, options, threads, make)
    image = way.image(matrix, weights, out)
    way.fill(image, matrix, weights)
    return image if out is None else out
