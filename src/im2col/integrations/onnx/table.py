"""The operators by their names in the standard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .convolutions import convolve, convolve_causally, convolve_integers, convolve_quantized, fold, transpose
from .deformed import convolve_deformed
from .normalization import normalize
from .pools import (
    pool_greatest,
    pool_greatest_of_all,
    pool_mean,
    pool_mean_of_all,
    pool_norm,
    pool_norm_of_all,
    unpool,
)
from .resize import resize, upsample
from .softmax import log_share, share

if TYPE_CHECKING:
    from collections.abc import Callable

OPERATORS: dict[str, Callable[..., Any]] = {
    "AveragePool": pool_mean,
    "BatchNormalization": normalize,
    "CausalConvWithState": convolve_causally,
    "Col2Im": fold,
    "Conv": convolve,
    "ConvInteger": convolve_integers,
    "ConvTranspose": transpose,
    "DeformConv": convolve_deformed,
    "GlobalAveragePool": pool_mean_of_all,
    "GlobalLpPool": pool_norm_of_all,
    "GlobalMaxPool": pool_greatest_of_all,
    "LogSoftmax": log_share,
    "LpPool": pool_norm,
    "MaxPool": pool_greatest,
    "MaxUnpool": unpool,
    "QLinearConv": convolve_quantized,
    "Resize": resize,
    "Softmax": share,
    "Upsample": upsample,
}
"""What computes each: a function of a `Node`, the inputs in order, None for those left out, and attributes by name."""
