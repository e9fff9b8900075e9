"""What happens to a vector of sums on its way from the registers to the result."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self

from ....engine.exponential import sigmoid

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
    gate = sigmoid(b, a, fused)
    return gate if epilogue.activation == "sigmoid" else b.times(a, gate)
