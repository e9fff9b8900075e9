"""The exponential of vectors, and what is made of it, in the words of a `Builder`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .builder import Builder
    from .numbers import Value


def sigmoid(b: Builder, a: Value, fused: bool) -> Value:
    """Return 1 / (1 + exp(-a)), from an exponential of what is never positive: no overflow on either side."""
    kind = a.type
    one = b.numbers(1, kind)
    # A square: what is smaller than every normal number ends gradually, and at zero.
    root = _exp(b, b.times(b.negated_magnitude(a), b.numbers(0.5, kind)), fused)
    decay = b.times(root, root)
    return b.over(b.select_at_least(a, b.numbers(0, kind), one, decay), b.plus(one, decay))


_TERMS = {"float": 7, "double": 13}
"""Terms of the exponential's series on [-ln 2 / 2, ln 2 / 2], for a remainder below the type's last bit."""
_LEAST = {"float": -87.0, "double": -708.0}
"""Where the exponential meets the smallest normal number."""
_LOG2 = {"float": (0.693145751953125, 1.428606765330187e-06), "double": (0.6931471803691238, 1.9082149292705877e-10)}
"""ln 2 in two parts, of which the first has so few bits that its small multiples are exact (W. J. Cody, W. Waite,
"Software Manual for the Elementary Functions", 1980)."""


def _exp(b: Builder, a: Value, fused: bool) -> Value:
    """Return exp(a) for a <= 0: 2ⁿ · exp(r) with n the nearest integer of a / ln 2, and the rest r by its series."""
    kind, word = a.type, str(a.type.element)
    a = b.maximum("f", a, b.numbers(_LEAST[word], kind))
    n, power = b.nearest(b.times(a, b.numbers(1.4426950408889634, kind)))
    high, low = _LOG2[word]
    rest = b.multiply_add(n, b.numbers(-high, kind), a, fused)
    rest = b.multiply_add(n, b.numbers(-low, kind), rest, fused)
    factor = 1.0
    coefficients = []
    for i in range(_TERMS[word] + 1):
        coefficients.append(factor)
        factor /= i + 1
    result = b.numbers(coefficients[-1], kind)
    for c in reversed(coefficients[:-1]):
        result = b.multiply_add(result, rest, b.numbers(c, kind), fused)
    return b.times(result, power)
