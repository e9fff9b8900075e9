"""What is pooled: windows over an image, how many pixels are in each, and how the taps of an axis are joined."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...spec.geometry import Geometry

Reduction = Literal["maximum", "place", "mean", "sum", "root"]
"""What becomes of a window: its greatest pixel, or where that lies; the pixels' mean or sum; the root of the sum of
their squares."""
Term = tuple[int, int]
"""Which rows a pass reads, those that were given (0) or those of the first pass (1), and how many taps behind."""
Passes = tuple[tuple[Term, ...], ...]

_AT_ONCE = 6
"""Taps up to which a second pass saves nothing, as it stores what the first one has made and loads it again."""


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

    @property
    def has_greatest(self) -> bool:
        """Whether windows are compared, and not summed: a pixel may be looked at twice then."""
        return self.reduction in ("maximum", "place")

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


def passes(taps: int, *, twice: bool) -> Passes:
    """Return how the taps of an axis are joined: at once, or in windows of about their root that are joined then.

    Parameters
    ----------
    taps : int
    twice : bool
        Whether a tap may be joined twice, which changes no maximum.

    Returns
    -------
    tuple of tuple of Term
        One pass or two: what is joined, in order.

    Examples
    --------
    >>> passes(3, twice=True)
    (((0, 0), (0, 1), (0, 2)),)
    >>> passes(8, twice=True)[1], passes(8, twice=False)[1]
    (((1, 0), (1, 3), (1, 5)), ((1, 0), (1, 3), (0, 6), (0, 7)))
    """
    if taps <= _AT_ONCE:
        return (tuple((0, t) for t in range(taps)),)
    ways = []
    for width in range(2, 2 * math.isqrt(taps) + 1):
        whole, rest = divmod(taps, width)
        last = [(1, i * width) for i in range(whole)]
        if rest:
            last += [(1, taps - width)] if twice else [(0, whole * width + i) for i in range(rest)]
        ways.append((tuple((0, t) for t in range(width)), tuple(last)))
    return min(ways, key=lambda way: len(way[0]) + len(way[1]))


def lowest(dtype: np.dtype[Any]) -> Any:
    """Return what no number of a dtype is less than, as a number of it."""
    if dtype.kind in "biu":
        return dtype.type(False) if dtype.kind == "b" else np.iinfo(dtype).min
    return np.array(-np.inf).astype(dtype)[()]
