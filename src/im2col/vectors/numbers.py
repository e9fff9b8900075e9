"""The numbers of hardware: integers of a few bits, some of them behind the point."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ..errors import ArgumentError, DTypeError, shown
from ..spec.arguments import word

if TYPE_CHECKING:
    from numpy.typing import NDArray

Rounding = Literal["half-even", "half-up", "floor"]
ROUNDINGS = get_args(Rounding)
MOST_BITS = 48
"""Of an accumulator."""
_WORDS = re.compile(r"(?P<u>u?)int(?P<bits>\d{1,2})|(?P<U>U?)Q(?P<whole>\d{1,2})\.(?P<fraction>\d{1,2})")


@dataclass(frozen=True)
class Number:
    """An integer of `bits` bits that stands for itself divided by ``2**fraction``.

    Parameters
    ----------
    name : str
        Such as ``"int8"`` or ``"Q0.7"``.
    bits : int
        In all, the sign's among them.
    fraction : int
        How many of them stand behind the point.
    signed : bool
        Two's complement; else there is no sign.

    Examples
    --------
    >>> number = parse_number("number", "Q0.7", 16)
    >>> number.bits, number.fraction, number.least, number.greatest
    (8, 7, -128, 127)
    """

    name: str
    bits: int
    fraction: int = 0
    signed: bool = True

    @property
    def least(self) -> int:
        """The least integer."""
        return -(1 << self.bits - 1) if self.signed else 0

    @property
    def greatest(self) -> int:
        """The greatest integer."""
        return (1 << self.bits - self.signed) - 1

    def __str__(self) -> str:
        form = "two's complement" if self.signed else "without a sign"
        value = f"value = integer / {1 << self.fraction}" if self.fraction else "value = integer"
        return f"{self.name}: {self.bits} bits, {form}, {self.least} to {self.greatest}; {value}"

    @property
    def dtype(self) -> np.dtype[Any]:
        """The least of NumPy's that holds them: int8, say."""
        size = next(size for size in (8, 16, 32, 64) if size >= self.bits)
        return np.dtype(f"{'' if self.signed else 'u'}int{size}")


def parse_number(argument: str, text: object, most: int) -> Number:
    """Return the numbers that a user names.

    Parameters
    ----------
    argument : str
        What an error names.
    text : str
        ``int8``, ``uint8``, any other number of bits; or ``Qm.n``: a sign, m bits before the point and n behind it,
        1 + m + n in all. ``UQm.n`` has no sign. (Some count the sign among the m; here it is one bit more.)
    most : int
        Bits that are allowed.

    Raises
    ------
    ArgumentError
        If it is none of these.
    """
    found = _WORDS.fullmatch(word(text) or "")
    if found is not None:
        signed = not (found["u"] or found["U"])
        fraction = int(found["fraction"] or 0)
        bits = int(found["bits"]) if found["bits"] else signed + int(found["whole"]) + fraction
        if 1 <= bits <= most:
            return Number(found[0], bits, fraction, signed)
    raise ArgumentError(
        f"{argument} must be such as int8, uint4, Q3.4 (a sign, 3 bits before the point, 4 behind it) or UQ4.4, of at "
        f"most {most} bits, got {shown(text)}"
    )


def number_of(argument: str, what: str, dtype: np.dtype[Any], text: str | None, most: int) -> Number:
    """Return the numbers that a user names, or those that an array of small integers has.

    Raises
    ------
    ArgumentError
        As `parse_number`.
    DTypeError
        If nothing is named, and the array's dtype does not say it; or for complex numbers.
    """
    if dtype.kind == "c":
        raise DTypeError(f"{what} has dtype {dtype}, which no integers stand for; convert it first")
    if text is not None:
        return parse_number(argument, text, most)
    if dtype.kind in "iu" and 8 * dtype.itemsize <= most:
        return parse_number(argument, dtype.name, most)
    raise DTypeError(
        f"{what} has dtype {dtype}; say which numbers the hardware has, as in {argument}='int8' or {argument}='Q0.7'"
    )


def quantized(values: NDArray[Any], number: Number, rounding: Rounding) -> tuple[NDArray[np.int64], int]:
    """Return the integers that stand for values, and how many values were beyond them.

    Parameters
    ----------
    values : ndarray of bool, integers or floats
        Without NaN.
    number : Number
    rounding : {"half-even", "half-up", "floor"}
        For what lies between two of them.

    Returns
    -------
    ndarray of int64
        Values beyond the least and the greatest are these.
    int
    """
    if values.dtype.kind in "biu":
        if values.dtype == np.uint64:  # beyond the greatest by any amount is beyond it
            values = np.minimum(values, np.iinfo(np.int64).max)
        rounded: NDArray[Any] = _raised(values.astype(np.int64), number.fraction)
    else:
        with np.errstate(over="ignore"):
            rounded = _whole(np.ldexp(values.astype(np.float64), number.fraction), rounding)
    return _saturated(rounded, number)


def requantized(
    sums: NDArray[np.int64], fraction: int, number: Number, rounding: Rounding
) -> tuple[NDArray[np.int64], int]:
    """Return sums of products as an accumulator hands them on, and how many were beyond its numbers.

    Parameters
    ----------
    sums : ndarray of int64
        Each stands for itself divided by ``2**fraction``.
    fraction : int
    number : Number
        What they become.
    rounding : {"half-even", "half-up", "floor"}
        Of the bits that fall away.
    """
    shift = fraction - number.fraction
    if shift <= 0:
        return _saturated(_raised(sums, -shift), number)
    whole = sums >> shift
    rest = sums - (whole << shift)
    half = 1 << shift - 1
    if rounding == "half-up":
        whole += rest >= half
    elif rounding == "half-even":
        whole += (rest > half) | ((rest == half) & (whole & 1 == 1))
    return _saturated(whole, number)


def _whole(scaled: NDArray[np.float64], rounding: Rounding) -> NDArray[np.float64]:
    if rounding == "half-even":
        return np.rint(scaled)
    whole = np.floor(scaled)
    if rounding == "half-up":
        with np.errstate(invalid="ignore"):  # infinite ones
            whole += scaled - whole >= 0.5
    return whole


def _raised(values: NDArray[np.int64], shift: int) -> NDArray[np.int64]:
    """Return ``values << shift``, or what is as much out of range where that leaves 64 bits."""
    most = 1 << 62 - shift
    return np.clip(values, -most, most) << shift


def _saturated(values: NDArray[Any], number: Number) -> tuple[NDArray[np.int64], int]:
    kept = np.clip(values, number.least, number.greatest)
    return kept.astype(np.int64), int(np.count_nonzero(kept != values))
