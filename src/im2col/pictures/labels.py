"""Numbers and letters, short enough for a cell; the page's `labels.js` writes the same."""

from __future__ import annotations

import sys
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

Labels = Literal["values", "letters"]
"""What cells show: numbers, or the letters that papers write."""
LABELS = get_args(Labels)

_DIGITS = 3
_LONGEST_INTEGER = 100_000
"""From here on integers are rounded to three digits."""
_ROUNDED = Context(prec=_DIGITS, rounding=ROUND_HALF_UP)


def short(value: Any) -> str:
    """Return a number in at most about seven characters.

    Parameters
    ----------
    value : scalar
        Of any dtype that images have.

    Returns
    -------
    str
        Integers below 100,000 whole; fractions with three significant digits, ties away from zero as JavaScript rounds
        them; what is greater or smaller with an exponent. The minus sign is the typographic one.

    Examples
    --------
    >>> [short(v) for v in (True, -12, 0.25, 2 / 3, 1234.5, 1e-7, 123456789, 1.5 - 2j, float("nan"))]
    ['1', '−12', '0.25', '0.667', '1235', '1e−7', '1.23e8', '1.5−2i', 'NaN']
    """
    if isinstance(value, complex | np.complexfloating):
        imaginary = _real(value.imag)
        return f"{_real(value.real)}{'' if imaginary[0] == '−' else '+'}{imaginary}i"
    if isinstance(value, bool | int | np.bool_ | np.integer):
        return _integer(int(value))
    return _real(value)


def _integer(value: int) -> str:
    return str(value).replace("-", "−") if abs(value) < _LONGEST_INTEGER else _rounded(Decimal(value))


def _real(number: Any) -> str:
    if isinstance(number, np.longdouble) and np.isfinite(number) and abs(number) > sys.float_info.max:
        return _rounded(Decimal(str(number)))
    value = float(number)
    if value != value:  # noqa: PLR0124 (NaN is the number that differs from itself)
        return "NaN"
    if abs(value) == float("inf"):
        return "∞" if value > 0 else "−∞"
    if value == int(value) and abs(value) < _LONGEST_INTEGER:
        return _integer(int(value))
    return _rounded(Decimal(value))


def _rounded(value: Decimal) -> str:
    sign, magnitude = "−" if value < 0 else "", abs(value)
    rounded = _ROUNDED.plus(magnitude)
    exponent = rounded.adjusted()
    if -_DIGITS <= exponent < 5:  # 0.00123 to 99999
        decimals = max(0, _DIGITS - 1 - exponent)
        text = f"{magnitude.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP):f}"
        return sign + (text.rstrip("0").rstrip(".") if "." in text else text)
    digits = f"{rounded.scaleb(-exponent):f}"
    return f"{sign}{digits.rstrip('0').rstrip('.') if '.' in digits else digits}e{exponent}".replace("-", "−")


def letter(name: str, index: Sequence[int], shape: Sequence[int]) -> str:
    """Return the letter of an array's element, as papers write it.

    Parameters
    ----------
    name : str
        The array's letter.
    index, shape : sequence of int
        Axes of length 1 are left out unless all are; indices are separated where one may have two digits.

    Examples
    --------
    >>> letter("x", (0, 1, 2), (1, 4, 4)), letter("x", (2, 1, 11), (3, 4, 12))
    ('x12', 'x2,1,11')
    """
    kept = [str(i) for i, n in zip(index, shape, strict=True) if n > 1] or ["0"]
    return name + ("," if max(shape) > 10 else "").join(kept)
