"""Arrays of dask, made of those in memory, and compared with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .outcomes import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


def chunked(x: Array, chunks: Any) -> Any:
    """Return an array as a dask array."""
    return require("dask.array").from_array(x, chunks=chunks)


def same(lazy: Any, expected: Array) -> None:
    """Assert that a dask array says what it is, and is this array to the bit."""
    assert (lazy.shape, lazy.dtype, lazy._meta.dtype) == (expected.shape, expected.dtype, expected.dtype)
    assert tuple(map(sum, lazy.chunks)) == expected.shape
    result = lazy.compute()
    assert (result.shape, result.dtype) == (expected.shape, expected.dtype)
    assert result.tobytes() == np.ascontiguousarray(expected).tobytes()
