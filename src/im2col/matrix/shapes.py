"""What a window makes of an image's shape: how often it stops, and how often each pixel is read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..engine.host import require_memory
from ..errors import named
from ..spec.arguments import checked_shape
from ..spec.padding import check_mode
from .frame import resolve_frame
from .overlap import counting_bytes, overlap

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..spec.geometry import Window
    from ..spec.padding import Padding, PaddingMode


@named
def overlap_count(
    image_shape: tuple[int, ...],
    kernel_size: Window,
    *,
    stride: Window = 1,
    padding: Padding = 0,
    dilation: Window = 1,
    padding_mode: PaddingMode = "constant",
    layout: str | None = None,
) -> NDArray[np.int64]:
    """Return how often each pixel stands in the column matrix of one channel.

    Parameters
    ----------
    image_shape : tuple of int
        The image's shape, in `layout`.
    kernel_size, stride, padding, dilation, padding_mode, layout
        As for `im2col`.

    Returns
    -------
    ndarray of int64
        A new array over the spatial axes of the image: ``col2im`` of a matrix of ones.

    Raises
    ------
    GeometryError, LayoutError, ArgumentError
        If an argument does not fit.
    MemoryBudgetError
        If the counts would not fit the available memory.

    Examples
    --------
    >>> from im2col import overlap_count
    >>> overlap_count((4, 4), 3)
    array([[1, 2, 2, 1],
           [2, 4, 4, 2],
           [2, 4, 4, 2],
           [1, 2, 2, 1]])
    """
    frame = resolve_frame(checked_shape("image_shape", image_shape), kernel_size, stride, padding, dilation, layout)
    mode = check_mode(padding_mode, frame.layout, frame.geometry)
    g = frame.geometry
    size, along = 8 * math.prod(g.spatial_shape), counting_bytes(g)
    if size >= along:
        way_out = "ask for one axis at a time"
        require_memory(size, way_out, "the counts {} of int64", g.spatial_shape, beside=along)
    else:
        require_memory(
            along, "use less padding", "the counts along the padded axes {} of int64", g.padded_shape, beside=size
        )
    return overlap(frame.geometry, mode)


@named
def output_shape(
    image_shape: tuple[int, ...],
    kernel_size: Window,
    *,
    stride: Window = 1,
    padding: Padding = 0,
    dilation: Window = 1,
    layout: str | None = None,
) -> tuple[int, ...]:
    """Return how often the window stops along each spatial axis.

    Parameters
    ----------
    image_shape : tuple of int
        The image's shape, in `layout`.
    kernel_size, stride, padding, dilation, layout
        As for `im2col`.

    Returns
    -------
    tuple of int
        Over the spatial axes: ``floor((n + padding - dilation·(k-1) - 1) / stride) + 1`` each; see `Geometry`.

    Raises
    ------
    GeometryError, LayoutError, ArgumentError
        If an argument does not fit.

    Examples
    --------
    >>> from im2col import output_shape
    >>> output_shape((1, 3, 224, 224), 7, stride=2, padding=3)
    (112, 112)
    """
    frame = resolve_frame(checked_shape("image_shape", image_shape), kernel_size, stride, padding, dilation, layout)
    return frame.geometry.output_shape
