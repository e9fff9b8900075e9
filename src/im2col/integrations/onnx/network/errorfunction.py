"""The error function, which NumPy lacks."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

_END = 6.0
"""From here on 1 - erf(x) is below the last bit of 1."""


def erf(x: Array) -> Array:
    """Return the error function of every element, in the dtype of `x`, to within its rounding near 1.

    As 1 - erfc(z) with erfc(z) = t·exp(-z² + p(t)), t = 2 / (2 + z), z = abs(x): the polynomial p is the one that meets
    Python's `math.erfc` at Chebyshev's points (W. H. Press et al., "Numerical Recipes", 6.2.2).
    """
    z = np.minimum(np.absolute(x, dtype=np.float64), _END)
    t = 2 / (2 + z)
    place = (t - 0.625) / 0.375  # t is from 0.25 to 1
    coefficients = _coefficients(26 if x.dtype == np.float64 else 12)
    result = np.full_like(place, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        result *= place
        result += c
    result -= z * z
    result = 1 - t * np.exp(result, out=result)
    return np.copysign(result, x).astype(x.dtype)


@cache
def _coefficients(degree: int) -> list[float]:
    """Return those of p, the constant one first, of a place from -1 to 1."""

    def exact(place: Array) -> Array:
        t = place * 0.375 + 0.625
        z = 2 / t - 2
        return np.array([math.log(math.erfc(a) / b) + a * a for a, b in zip(z.tolist(), t.tolist(), strict=True)])

    chebyshev: Any = np.polynomial.chebyshev
    found: list[float] = chebyshev.cheb2poly(chebyshev.chebinterpolate(exact, degree)).tolist()
    return found
