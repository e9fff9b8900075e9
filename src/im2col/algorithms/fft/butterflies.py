"""Fourier transforms of a few real numbers, written as straight lines of instructions.

A spectrum of n real numbers is n real numbers too, in the order of FFTW's half-complex arrays: at k the real part of
frequency k, at n - k its imaginary part. Exponents are positive, ``X[k] = Σ x[j] exp(2πijk / n)``, as no sign has to be
turned then. Each way back is the transpose of the way there: the same butterflies, from the last to the first.

Even sizes are halved (J. W. Cooley, J. W. Tukey, "An Algorithm for the Machine Calculation of Complex Fourier Series",
1965); real numbers need one half of each spectrum, as the other one mirrors it. A twiddle factor takes six instructions
where products and sums are fused: the larger of sine and cosine is taken out (E. Linzer, E. Feig, "Implementation of
Efficient FFT Algorithms on Fused Multiply-Add Architectures", IEEE Trans. Signal Processing, 1993). Odd sizes that are
left are what the definition says, the symmetry of cosine and sine apart.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...engine.builder import Builder
    from ...engine.numbers import Value


def spectrum(b: Builder, x: list[Value], fused: bool) -> list[Value]:
    """Return the spectrum of real numbers, or of vectors of them.

    Parameters
    ----------
    b : Builder
    x : list of Value
    fused : bool
        Whether a product and a sum are rounded once.
    """
    n, half = len(x), len(x) // 2
    if n % 2:
        return _odd(b, x, fused)
    even, odd = spectrum(b, x[::2], fused), spectrum(b, x[1::2], fused)
    found: list[Value] = [None] * n
    found[0], found[half] = b.plus(even[0], odd[0]), b.minus(even[0], odd[0])
    for k in range(1, (half + 1) // 2):
        (er, ei), (re, im) = (even[k], even[half - k]), (odd[k], odd[half - k])
        # exp(iα) · (re + i · im) is `large` times what is left where sine or cosine is taken out.
        cosine, sine = _cosine_and_sine(k, n)
        if 8 * k <= n:
            large, ratio = cosine, sine / cosine
            re, im = _plus(b, re, -ratio, im, fused), _plus(b, im, ratio, re, fused)
        else:
            large, ratio = sine, cosine / sine
            re, im = _minus(b, ratio, re, im, fused), _plus(b, re, ratio, im, fused)
        found[k], found[half - k] = _plus(b, er, large, re, fused), _plus(b, er, -large, re, fused)
        found[n - k] = _plus(b, ei, large, im, fused)
        found[half + k] = _minus(b, large, im, ei, fused)
    if half % 2 == 0:
        found[half // 2], found[n - half // 2] = even[half // 2], odd[half // 2]
    return found


def transposed(b: Builder, x: list[Value], fused: bool) -> list[Value]:
    """Return the transpose of `spectrum`: ``x[0] + Σ x[k] cos(2πjk / n) + x[n - k] sin(2πjk / n)`` for each j."""
    n, half = len(x), len(x) // 2
    if n % 2:
        return _odd_transposed(b, x, fused)
    even: list[Value] = [None] * half
    odd: list[Value] = [None] * half
    even[0], odd[0] = b.plus(x[0], x[half]), b.minus(x[0], x[half])
    for k in range(1, (half + 1) // 2):
        even[k], re = b.plus(x[k], x[half - k]), b.minus(x[k], x[half - k])
        even[half - k], im = b.minus(x[n - k], x[half + k]), b.plus(x[n - k], x[half + k])
        cosine, sine = _cosine_and_sine(k, n)
        odd[k] = _plus(b, _times(b, cosine, re), sine, im, fused)
        odd[half - k] = _plus(b, _times(b, cosine, im), -sine, re, fused)
    if half % 2 == 0:
        even[half // 2], odd[half // 2] = x[half // 2], x[n - half // 2]
    found: list[Value] = [None] * n
    found[::2], found[1::2] = transposed(b, even, fused), transposed(b, odd, fused)
    return found


def both_spectra(b: Builder, re: list[Value], im: list[Value], fused: bool) -> tuple[list[Value], list[Value]]:
    """Return the spectrum of complex numbers, frequency after frequency: real parts, and imaginary ones."""
    n, a, c = len(re), spectrum(b, re, fused), spectrum(b, im, fused)
    re, im = list(a), list(c)
    for k in range(1, (n + 1) // 2):
        re[k], re[n - k] = b.minus(a[k], c[n - k]), b.plus(a[k], c[n - k])
        im[k], im[n - k] = b.plus(c[k], a[n - k]), b.minus(c[k], a[n - k])
    return re, im


def both_transposed(b: Builder, re: list[Value], im: list[Value], fused: bool) -> tuple[list[Value], list[Value]]:
    """Return the transpose of `both_spectra`."""
    n, a, c = len(re), list(re), list(im)
    for k in range(1, (n + 1) // 2):
        a[k], c[n - k] = b.plus(re[k], re[n - k]), b.minus(re[n - k], re[k])
        c[k], a[n - k] = b.plus(im[k], im[n - k]), b.minus(im[k], im[n - k])
    return transposed(b, a, fused), transposed(b, c, fused)


@cache
def instructions(n: int) -> tuple[int, int]:
    """Return how many instructions `spectrum` writes, and its transpose."""
    half = n // 2
    if n % 2:
        return (half * (2 * half + 3),) * 2
    pairs, (there, back) = (half - 1) // 2, instructions(half)
    return 2 * there + 2 + 6 * pairs, 2 * back + 2 + 8 * pairs


def _odd(b: Builder, x: list[Value], fused: bool) -> list[Value]:
    n, half = len(x), len(x) // 2
    sums = [b.plus(x[j], x[n - j]) for j in range(1, half + 1)]
    differences = [b.minus(x[j], x[n - j]) for j in range(1, half + 1)]
    found = list(x)
    for each in sums:
        found[0] = b.plus(found[0], each)
    for k in range(1, half + 1):
        angles = [2 * math.pi * j * k / n for j in range(1, half + 1)]
        found[k] = _sum(b, x[0], [math.cos(a) for a in angles], sums, fused)
        found[n - k] = _sum(b, None, [math.sin(a) for a in angles], differences, fused)
    return found


def _odd_transposed(b: Builder, x: list[Value], fused: bool) -> list[Value]:
    n, half = len(x), len(x) // 2
    found = list(x)
    for k in range(1, half + 1):
        found[0] = b.plus(found[0], x[k])
    for j in range(1, half + 1):
        angles = [2 * math.pi * j * k / n for k in range(1, half + 1)]
        re = _sum(b, x[0], [math.cos(a) for a in angles], x[1 : half + 1], fused)
        im = _sum(b, None, [math.sin(a) for a in angles], x[:half:-1], fused)
        found[j], found[n - j] = b.plus(re, im), b.minus(re, im)
    return found


def _sum(b: Builder, total: Value | None, factors: list[float], values: list[Value], fused: bool) -> Value:
    for factor, value in zip(factors, values, strict=True):
        total = _times(b, factor, value) if total is None else _plus(b, total, factor, value, fused)
    return total


def _times(b: Builder, factor: float, value: Value) -> Value:
    return b.times(value, b.numbers(factor, value.type))


def _plus(b: Builder, total: Value, factor: float, value: Value, fused: bool) -> Value:
    """Return total + factor · value."""
    if abs(factor) == 1:
        return b.plus(total, value) if factor > 0 else b.minus(total, value)
    return b.multiply_add(value, b.numbers(factor, value.type), total, fused)


def _minus(b: Builder, factor: float, value: Value, other: Value, fused: bool) -> Value:
    """Return factor · value - other."""
    return b.multiply_add(value, b.numbers(factor, value.type), b.negated(other), fused)


def _cosine_and_sine(k: int, n: int) -> tuple[float, float]:
    """Return those of k of n parts of a circle; they are the same number at an eighth."""
    angle = 2 * math.pi * k / n
    return (math.sqrt(0.5),) * 2 if 8 * k == n else (math.cos(angle), math.sin(angle))
