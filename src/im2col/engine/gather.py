"""Strided copies: image → matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def copy(dst: NDArray[Any], src: NDArray[Any], threads: int) -> None:
    """Copy a strided array into another of the same shape and dtype."""
    np.copyto(dst, src)


def add(dst: NDArray[Any], src: NDArray[Any], threads: int) -> None:
    dst += src
