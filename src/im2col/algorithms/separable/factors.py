"""Kernels as sums of products of a column and a row, and how much rounding that adds.

A kernel of kh × kw weights is a matrix. If it is the product of a column with a row, its rank is 1, and the convolution
is one along the one axis behind one along the other: kh + kw products a position instead of kh · kw. A kernel of rank r
is a sum of r such products, of which the singular value decomposition has the fewest terms (C. Eckart, G. Young, "The
approximation of one matrix by another of lower rank", 1936; for filters: S. Treitel, J. L. Shanks, "The design of
multistage separable planar filters", 1971).

Rows that are multiples of one another share their row exactly: so whole numbers stay whole.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...engine.blas import single_threaded_blas
from ...memory import recalled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]

PIXELS = (0.0, 1.0, 1), (0.4, 0.34, 1), (0.5, 0.08, -1)
"""Mean and variance of the pixels for which rounding is predicted, and by what a pixel's mean is multiplied from one to
its neighbours: normal ones, normal ones after a ReLU, and even ones with the signs of a chessboard."""
_ROUNDING = 0.196
"""The rms of a rounding, of the rms of what is rounded, in units of the dtype's last bit at 1: the error is even over a
bit, and the numbers' logarithms are even over a power of two."""
_MOST_GROWTH = {"strict": 1.0, "native": 1.6, "fast": 1.6}
"""How many times the rms error of plain sums is predicted at most; where twice as much is promised, less, for doubt."""
_FAST = 3e-6
"""The rms error that "fast" admits beside, of the rms of the results of normal pixels: so errors stay below 2e-5 of the
greatest result."""
_WHOLE = {4: 1 << 16, 8: 1 << 24}
"""By the bytes of a weight: up to how many times their common unit a kernel's magnitudes sum to if its weights are
whole numbers, whose sums with whole pixels are exact."""
_MIDDLE = 300
"""Powers of two, up to which a weight's square, and that of its rounding, are far from both ends of float64."""
_MOST_BITS = 1000
"""Of whole multiples, which float64 has up to 1023 bits of."""


class Factors(NamedTuple):
    """Filters as sums of products: ``w[f, c] = sum over q of outer(down[f, c, q], across[f, c, q])``, almost.

    Parameters
    ----------
    down : ndarray, (filters, channels of a group, rank, kh)
        In the weights' dtype, and scaled by a power of two so that magnitudes sum to at most 1: no sum overflows that
        would not have by itself.
    across : ndarray, (filters, channels of a group, rank, kw)
    """

    down: Array
    across: Array


class _Pair(NamedTuple):
    """A kernel's factors, (rank, kh) and (rank, kw), in its dtype."""

    down: Array
    across: Array


def kernel_rank(w: Array, precision: str) -> int | None:
    """Return the greatest rank of the kernels of filters, to within the rounding that a precision admits.

    Parameters
    ----------
    w : ndarray of float32 or float64, (filters, channels of a group, kh, kw)
    precision : str

    Returns
    -------
    int or None
        The greatest rank that there is, min(kh, kw), where a kernel has none that saves products; None where some
        weight is not finite.
    """
    if not np.isfinite(w).all():
        return None
    sizes: tuple[int, int] = w.shape[2:]
    greatest = 0
    for kernel in _different(w):
        greatest = max(greatest, len(_pair_of(kernel, precision).down))
        if greatest > most_worthwhile(*sizes):
            return min(sizes)
    return greatest


def most_worthwhile(kh: int, kw: int) -> int:
    """Return up to which rank pairs of passes make fewer products than the kernel has.

    Examples
    --------
    >>> most_worthwhile(3, 3), most_worthwhile(5, 5), most_worthwhile(15, 15)
    (1, 2, 7)
    """
    most: int = (kh * kw - 1) // (kh + kw)
    return most


def factors(w: Array, precision: str, rank: int) -> Factors:
    """Return the factors of filters, filled up with zeros to a rank."""
    filters, channels, kh, kw = w.shape
    found = Factors(*(np.zeros((filters * channels, rank, k), w.dtype) for k in (kh, kw)))
    for number, kernel in enumerate(w.reshape(-1, kh, kw)):
        for whole, part in zip(found, _pair_of(kernel, precision), strict=True):
            whole[number, : len(part)] = part
    return Factors(*(each.reshape(filters, channels, rank, -1) for each in found))


def _different(w: Array) -> Iterator[Array]:
    """Yield each kernel of filters once."""
    seen = set()
    for kernel in w.reshape(-1, *w.shape[2:]):
        key = kernel.tobytes()
        if key not in seen:
            seen.add(key)
            yield kernel


def _pair_of(kernel: Array, precision: str) -> _Pair:
    """Return the fewest factors of a kernel whose rounding a precision admits; they are remembered."""
    key = "factors", kernel.tobytes(), kernel.shape, kernel.dtype.str, precision
    return recalled(key, partial(_found_alone, kernel, precision))


def _found_alone(kernel: Array, precision: str) -> _Pair:
    # Threads may not decide any bit; what overflows is found to be wrong.
    with single_threaded_blas(), np.errstate(all="ignore"):
        return _found(kernel, precision)


def in_middle_range(kernel: Array) -> tuple[Array, int]:
    """Return a kernel times a power of two, and that power, with which squares of its weights are in float64's range.

    Examples
    --------
    >>> in_middle_range(np.array([[2.0**700, -(2.0**699)]]))
    (array([[ 0.5 , -0.25]]), -701)
    """
    power = -int(np.frexp(np.abs(kernel).max(initial=0))[1])
    return (kernel, 0) if abs(power) <= _MIDDLE else (np.ldexp(kernel, power), power)


def _found(kernel: Array, precision: str) -> _Pair:
    """Return factors of a kernel of any magnitude: those of a multiple, if no bit is lost on the way there and back."""
    middle, power = in_middle_range(kernel)
    if power == 0:
        return _fewest(kernel, precision)
    if not np.array_equal(np.ldexp(middle, -power), kernel):
        return _rows_alone(kernel)
    down, scaled = _fewest(middle, precision)
    across = np.ldexp(scaled, -power)
    kept = np.array_equal(np.ldexp(across, power), scaled)
    return _Pair(down, across) if kept else _rows_alone(kernel)


def _fewest(kernel: Array, precision: str) -> _Pair:
    wide = kernel.astype(np.float64)
    left, values, _ = np.linalg.svd(wide, full_matrices=False)
    rest = np.append(np.cumsum(values[::-1] ** 2)[::-1], 0)  # what is missing of the square, with so many terms
    least = int(np.argmax(rest <= admitted(kernel, precision)[0]))  # no other factors miss less
    rounds = precision == "fast" or not _is_whole(kernel)
    for rank in range(max(1, least), most_worthwhile(*kernel.shape) + 1):
        turned = _exact(kernel.T, rank)
        ways = [_exact(kernel, rank), turned and _scaled(*turned[::-1], kernel.dtype)]
        if rounds:
            ways.append(_nearest(kernel, left[:, :rank] * np.sqrt(values[:rank])))
        for pair in ways:
            if pair is not None and admits(kernel, *pair, precision):
                return pair
    return _rows_alone(kernel)


def _rows_alone(kernel: Array) -> _Pair:
    """Return the factors that every kernel has: each row by itself, or each column, so that sums stay as they are."""
    if kernel.shape[0] <= kernel.shape[1]:
        return _Pair(np.eye(len(kernel), dtype=kernel.dtype), kernel)
    return _scaled(kernel.T, np.eye(kernel.shape[1]), kernel.dtype)


def _is_whole(kernel: Array) -> bool:
    """Whether sums of a kernel's weights and whole pixels may be exact."""
    numbers = np.abs(kernel[kernel != 0].astype(np.float64))
    if not numbers.size:
        return True
    mantissas, exponents = np.frexp(numbers)
    integers = np.ldexp(mantissas, 53).astype(np.int64)
    last_bits = np.log2(integers & -integers).astype(int) + exponents - 53
    return float(numbers.sum()) <= math.ldexp(_WHOLE[kernel.itemsize], int(last_bits.min()))


def _exact(kernel: Array, most: int) -> _Pair | None:
    """Return a kernel's factors with one row for all rows that are multiples of one another, exactly.

    None where there are more than so many of them.
    """
    wide = kernel.astype(np.float64)
    down: list[Array] = []
    across: list[Array] = []
    left = np.flatnonzero(wide.any(axis=1))
    while left.size:
        if len(down) == most:
            return None
        first, column = wide[left[0]], np.zeros(len(kernel))
        pivot = int(np.argmax(np.abs(first)))
        with np.errstate(all="ignore"):
            alike = (wide[left] * first[pivot] == wide[left, pivot, None] * first).all(axis=1)
        column[left[alike]] = _whole_multiples(wide[left[alike], pivot])
        row = first / column[left[0]]
        if not (np.outer(column[left[alike]], row) == wide[left[alike]]).all():
            return None  # they only seemed to be
        down.append(column)
        across.append(row)
        left = left[~alike]
    if not down:
        down, across = [np.zeros(len(kernel))], [np.zeros(kernel.shape[1])]
    return _scaled(np.array(down), np.array(across), kernel.dtype)


def _whole_multiples(numbers: Array) -> list[float]:
    """Return numbers, of which none is 0, as the whole multiples of their greatest common unit.

    As they are where floats do not hold those.
    """
    exact = [Fraction(float(number)) for number in numbers]
    below = math.lcm(*(number.denominator for number in exact))
    integers = [int(number * below) for number in exact]
    unit = math.gcd(*integers)
    if (max(map(abs, integers)) // unit).bit_length() > _MOST_BITS:
        return [float(number) for number in numbers]
    return [float(number // unit) for number in integers]


def _nearest(kernel: Array, left: Array) -> _Pair:
    """Return a kernel's nearest factors, of left singular vectors, times the roots of their values: (kh, rank)."""
    down, across = _scaled(left.T, np.zeros((left.shape[1], kernel.shape[1])), kernel.dtype)
    wide, inverse = down.astype(np.float64), np.linalg.pinv(down.T.astype(np.float64))
    # Twice: what is missing behind the first time is known to more bits.
    rows = inverse @ kernel.astype(np.float64)
    rows = rows + inverse @ _missing(kernel, wide, rows)
    return _Pair(down, rows.astype(across.dtype))


def _missing(kernel: Array, down: Array, across: Array) -> Array:
    """Return what factors miss of a kernel: in numbers that are wider than its own, where there are any."""
    missing: Array = kernel.astype(np.longdouble) - (down.T[:, :, None] * across.astype(np.longdouble)).sum(axis=1)
    return missing.astype(np.float64)


def _scaled(down: Array, across: Array, dtype: np.dtype[Any]) -> _Pair:
    """Return factors in a dtype, the first ones with magnitudes that sum to at most 1: by powers of two, exactly.

    They sum to more where the others would not be finite else.
    """
    down, across = down.astype(np.float64), across.astype(np.float64)
    _, exponents = np.frexp(np.abs(down).sum(axis=1, keepdims=True))
    _, reached = np.frexp(np.abs(across).max(axis=1, keepdims=True))
    exponents = np.minimum(exponents, np.finfo(dtype).maxexp - 1 - reached)
    return _Pair(np.ldexp(down, -exponents).astype(dtype), np.ldexp(across, exponents).astype(dtype))


def admits(kernel: Array, down: Array, across: Array, precision: str) -> bool:
    """Whether a precision admits a kernel's factors: by the rms error that is predicted, of that of plain sums."""
    missing = _missing(kernel, down, across)
    for (mean, variance, sign), most in zip(PIXELS, admitted(kernel, precision), strict=True):
        first, second = _signed(down, sign), _signed(across, sign)
        of_factors = variance * (missing**2).sum() + (mean * _signed(_signed(missing, sign).T, sign).sum()) ** 2
        if not unit(kernel) ** 2 * _square_of_passes(first, second, mean, variance) + of_factors <= most:  # NaN, too
            return False
    return True


def admitted(kernel: Array, precision: str) -> list[float]:
    """Return the greatest square of an rms error that a precision admits, for each kind of pixels."""
    most = []
    for mean, variance, sign in PIXELS:
        wide = _signed(_signed(kernel, sign).T, sign).T
        plain = float(_square_of_rounding(wide.reshape(1, -1), mean, variance).sum()) * unit(kernel) ** 2
        fast = _FAST**2 * variance * float((wide**2).sum()) if precision == "fast" else 0.0
        most.append(max(_MOST_GROWTH[precision] ** 2 * plain, fast))
    return most


def _signed(rows: Array, sign: int) -> Array:
    """Return rows in float64, each number of which is multiplied by a sign from one to the next."""
    return rows.astype(np.float64) * np.cumprod(np.full(rows.shape[-1], float(sign)))


def unit(kernel: Array) -> float:
    """Return the rms of a rounding, of the rms of what is rounded, in a kernel's dtype."""
    return _ROUNDING * float(np.finfo(kernel.dtype).eps)


def _square_of_rounding(weights: Array, mean: float, variance: float) -> Array:
    """Return the squares of the rms errors of plain sums with some rows of weights, in units of a rounding.

    Each product is added in one step, whose rounding is of the sum until then. The first is rounded itself, unless the
    weight is a power of two; what is multiplied by 0 adds none.
    """
    sums = variance * np.cumsum(weights**2, axis=1) + (mean * np.cumsum(weights, axis=1)) ** 2
    first = np.cumsum(weights != 0, axis=1) == 1
    exact = (weights == 0) | (first & (np.abs(np.frexp(weights)[0]) == 0.5))
    rounded: Array = np.where(exact, 0, sums).sum(axis=1)
    return rounded


def _square_of_passes(down: Array, across: Array, mean: float, variance: float) -> float:
    """Return the square of the rms error of passes, in units of a rounding: of all columns' sums, and of theirs."""
    columns = _square_of_rounding(down, mean, variance)
    carried = float((columns * (across**2).sum(axis=1)).sum())
    # After the last product of each term: the part of the kernel that is there by then, column by column.
    there = np.cumsum(down[:, :, None] * across[:, None, :], axis=0)
    squares = (there**2).sum(axis=1)
    before = np.vstack([np.zeros((1, across.shape[1])), squares[:-1]])
    parts = before.sum(axis=1, keepdims=True) + np.cumsum(squares - before, axis=1)
    sums = np.cumsum(down.sum(axis=1, keepdims=True) * across).reshape(across.shape)
    second = variance * parts + (mean * sums) ** 2
    first = (np.cumsum(across != 0) == 1).reshape(across.shape)
    exact = (across == 0) | (first & (np.abs(np.frexp(across)[0]) == 0.5))
    return carried + float(np.where(exact, 0, second).sum())
