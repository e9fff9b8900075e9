"""Minimal filtering, exactly: how m outputs of a filter of r taps are computed with m + r - 1 products.

A window of T = m + r - 1 pixels and a filter of r taps are each evaluated, as polynomials are, at T points; values are
multiplied point by point; what is between the products and the m outputs is linear again:
``y = A · ((G · g) ⊙ (B · d))`` (A. L. Toom, "The complexity of a scheme of functional elements", 1963; S. Winograd,
"Arithmetic Complexity of Computations", 1980; for layers: A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural
Networks", CVPR 2016). The matrices are made of fractions, so that the identity is one of whole numbers.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Matrix = tuple[tuple[Fraction, ...], ...]

POINTS = {
    3: ("0", "1", "-1"),
    4: ("3/8", "-3/8", "5/4", "-5/4"),
    5: ("0", "2/3", "-2/3", "3/2", "-3/2"),
    6: ("1/4", "-1/4", "7/8", "-7/8", "7/4", "-7/4"),
    7: ("0", "1/2", "-1/2", "1", "-1", "2", "-2"),
}
"""By their number, m + r - 2: all points but the infinite one, each beside its negative; see docs/decisions.md."""


class Transform(NamedTuple):
    """F(m, r): m outputs of a filter of r taps, along one axis.

    Parameters
    ----------
    m, r : int
    image : tuple of tuple of Fraction, (T, T)
        B of the formula above: of the window's pixels.
    weights : tuple of tuple of Fraction, (T, r)
        G: of the filter's taps.
    result : tuple of tuple of Fraction, (m, T)
        A: of the products.
    """

    m: int
    r: int
    image: Matrix
    weights: Matrix
    result: Matrix

    @property
    def size(self) -> int:
        """T: pixels of a window, and products."""
        return self.m + self.r - 1

    @property
    def mixes(self) -> bool:
        """Whether a result may see pixels outside its window, and cancel them: one does not cancel infinity.

        With 0 among the points and two results it does not: neither needs the products that see a pixel too many.
        """
        return any(
            product and value and not first <= pixel < first + self.r
            for first, row in enumerate(self.result)
            for product, values in zip(row, self.image, strict=True)
            for pixel, value in enumerate(values)
        )

    @property
    def error(self) -> float:
        """How much rounding grows along this axis: rms error over that of a plain sum of products.

        The product of two axes' is that of a layer of many channels and random pixels, to within a tenth
        (`python -m bench rounding`): products round independently, by as much as the matrices' rows make of them.
        """
        a, g, b = (as_array(each) ** 2 for each in (self.result, self.weights, self.image))
        return math.sqrt(float((a * (g.sum(1) * b.sum(1))).sum(1).mean())) / self.r


@cache
def transform(m: int, r: int) -> Transform:
    """Return F(m, r); the identity for one output of one tap.

    Examples
    --------
    >>> f = transform(2, 3)
    >>> [[str(v) for v in row] for row in f.image]
    [['-1', '0', '1', '0'], ['0', '1', '1', '0'], ['0', '-1', '1', '0'], ['0', '-1', '0', '1']]
    """
    one, zero = Fraction(1), Fraction(0)
    if m == r == 1:
        return Transform(1, 1, ((one,),), ((one,),), ((one,),))
    points = [Fraction(p) for p in POINTS[m + r - 2]]
    image, weights = [], []
    for p in points:
        others = [q for q in points if q != p]
        # Lagrange's polynomial of the point: it is 0 at all others, and this at the point itself.
        scale = math.prod((p - q for q in others), start=one)
        image.append((*_from_roots(others), zero))
        weights.append(tuple(p**i / scale for i in range(r)))
    image.append(_from_roots(points))
    weights.append((zero,) * (r - 1) + (one,))
    result = [(*(p**i for p in points), one if i == m - 1 else zero) for i in range(m)]
    return Transform(m, r, tuple(image), tuple(weights), tuple(result))


def _from_roots(roots: Sequence[Fraction]) -> tuple[Fraction, ...]:
    """Return the coefficients of the polynomial with these roots, the constant one first, the last one 1."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted, scaled = [Fraction(0), *coefficients], [-root * c for c in coefficients] + [Fraction(0)]
        coefficients = [a + b for a, b in zip(shifted, scaled, strict=True)]
    return tuple(coefficients)


def as_array(matrix: Matrix) -> NDArray[np.float64]:
    """Return a matrix of fractions in float64."""
    return np.array([[float(value) for value in row] for row in matrix])
