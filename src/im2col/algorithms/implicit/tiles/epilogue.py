"""What happens to a vector of sums on its way from the registers to the result."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from ....engine.builder import Builder
    from ....engine.numbers import Value
    from ....engine.target import Target
    from ....spec.problem import Problem


class Epilogue(NamedTuple):
    """The end of a tile. The bias is where the sums start.

    Parameters
    ----------
    accumulator : str
        Of the sums, as `Builder.number` calls it, with the letter u for integers without a sign.
    result : str
        What is stored: as the accumulator, or ``f2`` or ``b2`` (bfloat16) after float32 sums.
    bias : bool
        Whether there is one.
    activation : str or None
        By name.
    slope : float
        Of ``leaky_relu``.
    zero_point : int or None
        For integer sums that are requantised: scaled, rounded to integers, ties to even, and moved by this; what does
        not fit the result is its least or greatest value.
    """

    accumulator: str
    result: str
    bias: bool = False
    activation: str | None = None
    slope: float = 0.0
    zero_point: int | None = None

    @classmethod
    def of_floats(cls, problem: Problem) -> Self:
        """Return that of sums of a float dtype, which is the result's."""
        name = f"f{problem.dtype.itemsize}"
        return cls(name, name, problem.has_bias, *activation_of(problem))


def activation_of(problem: Problem) -> tuple[str | None, float]:
    """Return the name of a problem's activation, None if it has none, and its slope."""
    return (problem.activation.name, problem.activation.slope) if problem.activation else (None, 0.0)


def finish(b: Builder, target: Target, epilogue: Epilogue, sums: Value, scale: Value | None = None) -> Value:
    """Return what is stored of a vector of sums, which `scale` belongs to if they are requantised."""
    fused = target.has_fma
    if epilogue.zero_point is not None:
        return _requantised(b, epilogue, sums, scale)
    if epilogue.activation is not None:
        sums = _activate(b, epilogue, sums, fused)
    if epilogue.result == epilogue.accumulator:
        return sums
    return b.round_half(sums) if epilogue.result == "f2" else b.round_bfloat(sums)


def scale_vectors(b: Builder, epilogue: Epilogue, scales: Value, lanes: int, vectors: int) -> list[Value | None]:
    """Return the factors of neighbouring filters or channels, a vector each; None where nothing is requantised."""
    if epilogue.zero_point is None:
        return [None] * vectors
    kind = b.vector(b.number("f4"), lanes)
    return [b.load(b.at(scales, b.constant(v * lanes * 4)), kind) for v in range(vectors)]


def narrow(b: Builder, epilogue: Epilogue, value: Value) -> Value:
    """Return a finished vector in the size in which it is stored: where it was requantised, it had the sums' size."""
    return value if epilogue.zero_point is None else b.narrowed(value, b.bytes_of(epilogue.result))


def _requantised(b: Builder, epilogue: Epilogue, sums: Value, scale: Value) -> Value:
    """Return sums as integers of the result's range, in the sums' own size: ONNX's QLinearConv."""
    real = b.times(b.to_float(epilogue.accumulator, sums), scale)
    signed, point = epilogue.result[0] == "i", epilogue.zero_point or 0
    low, high = (-128, 127) if signed else (0, 255)
    least = 0 if epilogue.activation == "relu" else low - point
    bounded = b.minimum("f", b.maximum("f", real, b.numbers(least, real.type)), b.numbers(high - point, real.type))
    return b.rounded_integer(bounded, point)


def _activate(b: Builder, epilogue: Epilogue, a: Value, fused: bool) -> Value:
    kind, name = a.type, epilogue.accumulator
    zero = b.numbers(0, kind)
    if epilogue.activation == "relu":
        return b.maximum(name, a, zero)
    if epilogue.activation == "relu6":
        return b.minimum(name, b.maximum(name, a, zero), b.numbers(6, kind))
    if epilogue.activation == "leaky_relu":
        return b.select_at_least(a, zero, a, b.times(a, b.numbers(epilogue.slope, kind)))
    if epilogue.activation == "hardswish":
        shifted = b.plus(a, b.numbers(3, kind))
        gate = b.minimum(name, b.maximum(name, shifted, zero), b.numbers(6, kind))
        return b.times(a, b.times(gate, b.numbers(1 / 6, kind)))
    sigmoid = _sigmoid(b, a, fused)
    return sigmoid if epilogue.activation == "sigmoid" else b.times(a, sigmoid)


def _sigmoid(b: Builder, a: Value, fused: bool) -> Value:
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
