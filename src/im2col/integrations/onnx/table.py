"""The operators by their names in the standard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .convolutions import convolve, convolve_causally, convolve_integers, convolve_quantized, fold, transpose
from .deformed import convolve_deformed
from .normalization import normalize
from .resize import resize, upsample

if TYPE_CHECKING:
    from collections.abc import Callable

OPERATORS: dict[str, Callable[..., Any]] = {
    "BatchNormalization": normalize,
    "CausalConvWithState": convolve_causally,
    "Col2Im": fold,
    "Conv": convolve,
    "ConvInteger": convolve_integers,
    "ConvTranspose": transpose,
    "DeformConv": convolve_deformed,
    "QLinearConv": convolve_quantized,
    "Resize": resize,
    "Upsample": upsample,
}
"""What computes each: a function of a `Node`, the inputs in order, None for those left out, and attributes by name."""
