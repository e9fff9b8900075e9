"""Convolution by every algorithm, and its sums as Python numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from im2col import ArgumentError, conv, conv2d
from im2col.algorithms import registry
from im2col.algorithms.tiled import Tiled

from .oracles import Window, python_numbers, source
from .outcomes import raises_exactly
from .strategies import BFLOAT16, DTYPES

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from .memory import Array

ALGORITHMS = tuple(registry())

OF_ANY_WINDOW = tuple(name for name, each in registry().items() if name != "separable" and not isinstance(each, Tiled))
"""Those that real numbers of every kind, windows of every size, stride and dilation may ask for."""

INTEGERS = tuple(d for d in DTYPES if d.kind in "biu")


def conv_by(algorithm: str, *arguments: Any, **options: Any) -> Array:
    """Return what an algorithm of the registry gives, or "auto" where it says that it cannot."""
    try:
        return conv(*arguments, algorithm=algorithm, **options)
    except ArgumentError as refusal:
        if f"algorithm {algorithm!r} cannot solve this: " not in str(refusal):
            raise
        return conv(*arguments, **options)


def result_dtype(x: np.dtype[Any], w: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype that the rules give the result."""
    eight_bits = {np.dtype(code) for code in "?bB"}
    return np.dtype(np.int32) if {x, w} <= eight_bits else np.result_type(x, w)


def promotes(x: np.dtype[Any], w: np.dtype[Any]) -> bool:
    """Whether NumPy has a common dtype: bfloat16's own package promotes it with few others."""
    others = {x, w} - {BFLOAT16}
    return BFLOAT16 not in (x, w) or all(d.kind in "bc" or d.itemsize == 1 or d.char in "fdg" for d in others)


def stored(sums: NDArray[np.object_], dtype: np.dtype[Any]) -> Array:
    """Return sums of Python numbers in a dtype: integers modulo their width, all else rounded once."""
    if dtype.kind in "iu":
        size = 1 << (8 * dtype.itemsize)
        low = -(size // 2) if dtype.kind == "i" else 0
        sums = np.reshape(np.array([(v - low) % size + low for v in sums.ravel().tolist()], np.object_), sums.shape)
    return sums.astype(np.float32).astype(dtype) if dtype == BFLOAT16 else sums.astype(dtype)


def layer(
    x: Array,
    w: Array,
    window: Window,
    layout: str,
    *,
    bias: Array | None = None,
    groups: int = 1,
    mode: str = "constant",
    value: complex = 0,
    flip: bool = False,
) -> NDArray[np.object_]:
    """Return a layer's sums in the image's layout as Python numbers: the definition, as plain loops."""
    image, filters = python_numbers(x), python_numbers(w)
    stops, spatial = window.stops, [axis for axis in layout if axis not in "NC"]
    sizes = dict(zip(layout, x.shape, strict=True)) | dict(zip(spatial, window.output_shape, strict=True))
    sums = np.empty([len(w) if axis == "C" else sizes[axis] for axis in layout], object)
    for index in np.ndindex(*sums.shape):
        at = dict(zip(layout, index, strict=True))
        f = at.get("C", 0)
        sums[index] = 0 if bias is None else python_numbers(bias)[f]
        for c, *tap in np.ndindex(*w.shape[1:]):
            pixel: dict[str, int | None] = at | {"C": f // (len(w) // groups) * w.shape[1] + c}
            for axis, steps, size, t in zip(spatial, stops, window.spatial_shape, tap, strict=True):
                pixel[axis] = source(steps[at[axis]][t], size, mode)
            where = tuple(pixel[axis] for axis in layout)
            if flip:
                tap = [k - 1 - t for t, k in zip(tap, window.kernel_size, strict=True)]  # noqa: PLW2901
            sums[index] += (value if None in where else image[where]) * filters[(f, c, *tap)]
    return sums


OUTPUTS: dict[str, Callable[[tuple[int, ...]], Array]] = {
    "contiguous": np.empty,
    "Fortran": lambda shape: np.empty(shape, order="F"),
    "strided": lambda shape: np.full([3 * n for n in shape], 0.5)[(slice(1, None, 3),) * len(shape)],
    "backwards": lambda shape: np.empty(shape)[..., ::-1, ::-1],
    "rotated": lambda shape: np.moveaxis(np.empty((*shape[1:], shape[0])), -1, 0),
}

X, W = np.ones((1, 2, 5, 5)), np.ones((3, 2, 3, 3))


def check_refused(error: type[Exception], message: str, wrong: dict[str, Any]) -> None:
    """Assert that a good call of conv2d with some wrong arguments raises, and writes nothing to `out`."""
    arguments = {"x": X, "w": W, "out": np.full((1, 3, 3, 3), 7.0)} | wrong
    with raises_exactly(error, message):
        conv2d(**arguments)
    if isinstance(arguments["out"], np.ndarray):
        np.testing.assert_array_equal(arguments["out"], 7)


def bits(a: Array) -> bytes:
    """Return the bytes of an array, without those that an 80-bit float leaves unused."""
    used = 10 if a.dtype == np.longdouble else a.itemsize
    return a[..., None].view(np.uint8)[..., :used].tobytes()
