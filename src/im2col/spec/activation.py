"""Activations by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from ..errors import ArgumentError, DTypeError, shown
from .arguments import is_a, plain, word
from .arrays import own

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

ActivationName = Literal["relu", "relu6", "leaky_relu", "sigmoid", "silu", "hardswish"]
ActivationArgument = ActivationName | tuple[Literal["leaky_relu"], float]


class Activation(NamedTuple):
    """An activation by name; `slope` belongs to ``leaky_relu`` alone."""

    name: str
    slope: float = 0.0

    @property
    def temporaries(self) -> int:
        """How many arrays of its argument's size it allocates at once, at most."""
        return _FUNCTIONS[self.name].temporaries

    def __str__(self) -> str:
        return f"{self.name}({self.slope:g})" if self.name == "leaky_relu" else self.name

    def __call__(self, a: NDArray[Any]) -> NDArray[Any]:
        """Return the activation of every element, in the dtype of `a`."""
        return _FUNCTIONS[self.name].apply(a, self.slope)


class _Function(NamedTuple):
    apply: Callable[[NDArray[Any], float], NDArray[Any]]
    temporaries: int


def _leaky_relu(a: NDArray[Any], slope: float) -> NDArray[Any]:
    return np.where(a >= 0, a, a * a.dtype.type(slope))


def _sigmoid(a: NDArray[Any], _slope: float = 0.0) -> NDArray[Any]:
    decay: NDArray[Any] = np.exp(-np.abs(a))  # at most 1: no overflow on either side
    sigmoid: NDArray[Any] = np.where(a >= 0, 1, decay) / (1 + decay)
    return sigmoid


_FUNCTIONS = {
    "relu": _Function(lambda a, _: np.maximum(a, 0), 1),
    "relu6": _Function(lambda a, _: np.clip(a, 0, 6), 1),
    "leaky_relu": _Function(_leaky_relu, 3),
    "sigmoid": _Function(_sigmoid, 4),
    "silu": _Function(lambda a, _: a * _sigmoid(a), 4),
    "hardswish": _Function(lambda a, _: a * (np.clip(a + 3, 0, 6) / 6), 3),
}


def _is_real(value: Any) -> bool:
    """Whether a value is a number that a float holds, be it rounded."""
    if is_a(value, np.generic):
        value = own(np.asarray(value)).item()
    if is_a(value, bool) or not is_a(value, (int, float, np.floating)):
        return False
    try:
        float(value)  # type: ignore[arg-type]  # a number
    except OverflowError:
        return False
    return True


def check_activation(activation: object, dtype: np.dtype[Any]) -> Activation | None:
    """Return the activation that a user's argument means.

    Parameters
    ----------
    activation : None, str, or ("leaky_relu", slope)
        The user's argument.
    dtype : dtype
        The convolution's result.

    Raises
    ------
    ArgumentError
        If the name is unknown, or ``leaky_relu`` comes without its slope.
    DTypeError
        If the activation is not defined for the dtype.
    """
    if activation is None:
        return None
    # A pair is leaky_relu with its slope, and leaky_relu is a pair.
    pair = plain(activation) if is_a(activation, tuple) else ()
    name, slope = pair if len(pair) == 2 else (activation, None)
    name = word(name)
    known = name in _FUNCTIONS and (name == "leaky_relu") == (slope is not None)
    if not known or (slope is not None and not _is_real(slope)):
        raise ArgumentError(
            "activation must be None, 'relu', 'relu6', ('leaky_relu', slope), 'sigmoid', 'silu' or 'hardswish', got "
            f"{shown(activation)}"
        )
    instead = "apply a function of your own to the result"
    if dtype.kind == "c":
        raise DTypeError(f"activation {name!r} is not defined for results of {dtype}; {instead}")
    if dtype.kind in "biu" and name not in ("relu", "relu6"):
        raise DTypeError(
            f"activation {name!r} is not defined for results of {dtype}; pass dtype=np.float32, or {instead}"
        )
    # -0.0 equals 0.0, so what is remembered could be either's.
    return Activation(str(name), 0.0 if slope is None else float(slope) + 0.0)
