"""Windows far greater than a photograph, and what of them matters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..spec.geometry import Geometry
from ..spec.padded import modes_along

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..spec.padded import Mode


def within_reach(filters: NDArray[Any], geometry: Geometry, mode: Mode) -> tuple[NDArray[Any], Geometry]:
    """Return filters without the taps that are beyond the photograph wherever the window stands.

    All such taps on one side see the same: the edge, or the constant. One tap with the sum of their weights sees it for
    them, so that no kernel needs more rows and columns than twice those of the photograph.

    Parameters
    ----------
    filters : ndarray, (n, 1, kh, kw)
    geometry : Geometry
        Of the window on the photograph.
    mode : str or tuple of str
        The padding mode. In those that show the photograph again and again nothing is beyond it.

    Returns
    -------
    filters : ndarray, (n, 1, at most kh, at most kw)
    geometry : Geometry
        Which gives the same result with them.

    Examples
    --------
    >>> geometry = Geometry((1, 2), (1, 7), (1, 1), ((0, 0), (3, 3)), (1, 1), "HW")
    >>> filters, geometry = within_reach(np.arange(7.0).reshape(1, 1, 1, 7), geometry, "edge")
    >>> filters.ravel(), geometry.padding[1]
    (array([ 3.,  3., 15.]), (1, 1))
    """
    modes, sizes, pads = modes_along(mode, 2), list(geometry.kernel_size), list(geometry.padding)
    for i, (pixels, stops) in enumerate(zip(geometry.spatial_shape, geometry.output_shape, strict=True)):
        if modes[i] not in {"edge", "constant"}:
            continue
        outside = int(modes[i] == "constant")  # the outermost pixel is the edge, but not the constant
        taps = np.moveaxis(filters, i - 2, 0)
        dilation, (before, after) = geometry.dilation[i], pads[i]
        # The last tap that is at the first pixel, or before it, even when the window stands at its last stop.
        first = max((before - (stops - 1) * geometry.stride[i] - outside) // dilation, 0)
        first = min(first, len(taps) - 1)
        taps = np.concatenate([taps[: first + 1].sum(axis=0, keepdims=True), taps[first + 1 :]])
        before -= first * dilation
        # The first tap that is at the last pixel, or behind it, even at the first stop.
        last = min(-(-(pixels - 1 + outside + before) // dilation), len(taps) - 1)
        after -= (len(taps) - 1 - last) * dilation
        taps = np.concatenate([taps[:last], taps[last:].sum(axis=0, keepdims=True)])
        filters, sizes[i], pads[i] = np.moveaxis(taps, 0, i - 2), len(taps), (before, after)
    window = Geometry(geometry.spatial_shape, tuple(sizes), geometry.stride, tuple(pads), geometry.dilation, "HW")
    return filters, window
