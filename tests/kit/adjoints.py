"""Transposed convolutions and gradients by every algorithm, and the layers that all of them meet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import strategies as st

from im2col import ArgumentError

from .convolutions import stored

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from .memory import Array

ALGORITHMS = ("auto", "implicit", "explicit", "reference")

FLOAT, INT = np.dtype(float), np.dtype(np.int64)


def by(algorithm: str, function: Callable[..., Array], *arguments: Any, **options: Any) -> Array:
    """Return what an algorithm gives, or "auto" where it says that it cannot."""
    try:
        return function(*arguments, algorithm=algorithm, **options)
    except ArgumentError as refusal:
        if f"algorithm {algorithm!r} cannot solve this: " not in str(refusal):
            raise
        return function(*arguments, **options)


def check_every_algorithm(
    function: Callable[..., Array], expected: NDArray[np.object_], dtype: np.dtype[Any], *arguments: Any, **options: Any
) -> None:
    """Assert that every algorithm, with one thread and with two, gives these sums exactly, in this dtype."""
    right = stored(expected, dtype)
    for algorithm in ALGORITHMS:
        for threads in (1, 2):
            result = by(algorithm, function, *arguments, threads=threads, **options)
            np.testing.assert_array_equal(result, right, strict=True, err_msg=algorithm)


LAYERS: dict[str, tuple[int, int, tuple[int, int], int, tuple[int, int], dict[str, int]]] = {
    "3×3": (2, 40, (13, 11), 33, (3, 3), {"stride": 1, "dilation": 1, "groups": 1}),
    "doubling": (1, 70, (9, 8), 20, (4, 4), {"stride": 2, "dilation": 1, "groups": 1}),
    "depthwise": (2, 64, (7, 9), 1, (3, 3), {"stride": 2, "dilation": 1, "groups": 64}),
    "grouped": (3, 6, (12, 37), 5, (5, 3), {"stride": 3, "dilation": 2, "groups": 3}),
    "mixing": (1, 130, (10, 6), 17, (1, 1), {"stride": 1, "dilation": 1, "groups": 1}),
    "sparse": (1, 17, (5, 6), 9, (2, 2), {"stride": 4, "dilation": 3, "groups": 1}),
    "one map": (1, 1, (30, 31), 1, (7, 5), {"stride": 1, "dilation": 1, "groups": 1}),
}
"""Batch, filters, positions, channels of a group, kernel and window of convolutions."""

LAYER_DTYPES = tuple(map(np.dtype, ("f4", "f2", "i1", "c8")))


def narrowed(sums: Array, dtype: np.dtype[Any]) -> Array:
    """Return exact sums in a dtype: integers modulo their width, all else rounded once."""
    if dtype.kind in "iu":
        return sums.astype(np.int64).astype(dtype)
    return sums.astype(np.complex64 if dtype.kind == "c" else np.float32).astype(dtype)


def check_refused(
    function: Callable[..., Array], good: dict[str, Any], error: type[Exception], match: str, wrong: dict[str, Any]
) -> None:
    """Assert that a good call with some wrong arguments raises in the function's name, and writes nothing to `out`."""
    arguments = good | {"out": np.full_like(good["out"], 7)} | wrong
    with pytest.raises(error, match=rf"(?s)\A{function.__name__}: .*(?:{match})") as caught:
        function(**arguments)
    assert type(caught.value) is error
    np.testing.assert_array_equal(arguments["out"], 7)


TORCH_MODES = {"constant": "constant", "edge": "replicate", "reflect": "reflect", "wrap": "circular"}
"""Padding modes that torch has, by its names."""

KINDS = st.sampled_from([(INT, INT), (np.dtype(complex), np.dtype(complex)), (INT, np.dtype(complex))])
