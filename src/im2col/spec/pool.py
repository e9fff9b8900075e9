"""What one pooling is: windows over an image, what becomes of each, and over how many pixels a mean is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .geometry import Geometry

Reduction = Literal["maximum", "place", "mean", "sum", "root"]
"""What becomes of a window: its greatest pixel, or where that lies; the pixels' mean or sum; the root of the sum of
their squares."""
COMPARED = "maximum", "place"
"""Those that compare pixels, and do not add them: looked at twice, a pixel changes nothing."""


class Pool(NamedTuple):
    """Windows over images of a kind, and what becomes of each.

    Parameters
    ----------
    reduction : Reduction
    geometry : Geometry
        The windows; what a last one sticks out, with `ceil_mode`, is padding behind the image here.
    ends : tuple of int
        Where the padding ends along each axis that the user asked for, counted from the image's first pixel.
    counts_padding : bool
        Whether a mean is over the padding, too, of zeros.
    """

    reduction: Reduction
    geometry: Geometry
    ends: tuple[int, ...]
    counts_padding: bool = False

    def counts(self, axis: int) -> NDArray[np.int64]:
        """Return by how many taps of an axis a mean is divided, at each position.

        The counts of a window are the product of those of its axes.
        """
        g = self.geometry
        positions = np.arange(g.output_shape[axis])
        if not self.counts_padding:
            inside = g.taps_inside(axis, positions)
            return inside[:, 1] - inside[:, 0]
        first = positions * g.stride[axis] - g.padding[axis][0]
        taps = -((first - self.ends[axis]) // g.dilation[axis])
        return np.clip(taps, 0, g.kernel_size[axis])


def divisors(pool: Pool, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return by what the sum of each window is divided, of a window's shape."""
    product: NDArray[Any] = np.ones((), dtype)
    for axis in range(pool.geometry.ndim):
        product = np.multiply.outer(product, pool.counts(axis).astype(dtype))
    return product
