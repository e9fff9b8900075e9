"""The named kernels, and kernels from files."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, DTypeError, named
from ..files import open_npy
from ..spec.arrays import as_array

if TYPE_CHECKING:
    import os

    from numpy.typing import ArrayLike, NDArray

_GREATEST_SUM = 1e30
"""Of the weights' magnitudes: any more, and the sum over 16-bit samples would come near the end of float32."""


@dataclass(frozen=True, eq=False)
class ImageKernel:
    """A plain kernel with its name: the pixels under it are multiplied by `weights`, summed, and divided by `divisor`.

    Parameters
    ----------
    name : str
        What ``--kernel`` calls it; the path of a kernel from a file.
    meaning : str
        What it does, in one line.
    weights : ndarray, (kh, kw), float64
        Not flipped: the first weight meets the first pixel.
    divisor : int
        The named kernels are integers with a divisor, so that their sums are exact.
    """

    name: str
    meaning: str
    weights: NDArray[np.float64]
    divisor: int = 1

    @property
    def sums_to_zero(self) -> bool:
        """Whether even areas give 0, and so half of what the kernel finds is negative."""
        return float(self.weights.sum()) == 0.0


def _named(*kernels: tuple[str, str, ArrayLike, int]) -> MappingProxyType[str, ImageKernel]:
    table = {}
    for name, meaning, weights, divisor in kernels:
        array = np.array(weights, np.float64)
        array.setflags(write=False)
        table[name] = ImageKernel(name, meaning, array, divisor)
    return MappingProxyType(table)


_BINOMIAL = np.outer((1, 4, 6, 4, 1), (1, 4, 6, 4, 1))
_CENTRE = np.pad([[1]], 2)

KERNELS = _named(
    ("identity", "the photograph as it is", np.pad([[1]], 1), 1),
    ("blur", "the mean of 5 × 5 pixels", np.ones((5, 5)), 25),
    ("gaussian", "a soft blur, weighted by closeness (binomial, 5 × 5)", _BINOMIAL, 256),
    ("motion", "a blur along the falling diagonal, as if the camera had moved", np.eye(5), 5),
    ("sharpen", "each pixel against its four neighbours", [[0, -1, 0], [-1, 5, -1], [0, -1, 0]], 1),
    ("unsharp", "sharper by what the gaussian blur takes away", 2 * 256 * _CENTRE - _BINOMIAL, 256),
    ("emboss", "a relief, lit from above on the left", [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], 1),
    ("sobel-x", "brighter to the right: vertical edges", [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], 1),
    ("sobel-y", "brighter below: horizontal edges", [[-1, -2, -1], [0, 0, 0], [1, 2, 1]], 1),
    ("laplacian", "the second derivative: fine lines and noise", [[0, 1, 0], [1, -4, 1], [0, 1, 0]], 1),
    ("outline", "each pixel against all eight neighbours: edges", [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]], 1),
    (
        "log",
        "the Laplacian of a gaussian: bright blobs and lines, less noise",
        [[0, 0, -1, 0, 0], [0, -1, -2, -1, 0], [-1, -2, 16, -2, -1], [0, -1, -2, -1, 0], [0, 0, -1, 0, 0]],
        4,
    ),
)
"""The named kernels, in the order in which tables and pictures show them."""


@named
def find_kernel(name: str) -> ImageKernel:
    """Return a kernel by its name, or from a .npy file.

    Parameters
    ----------
    name : str
        A key of `KERNELS`, or the path of a file that ends in ``.npy``.

    Raises
    ------
    ArgumentError
        If it is neither.
    FileError, DTypeError
        As `read_kernel`.

    Examples
    --------
    >>> find_kernel("sobel-x").weights
    array([[-1.,  0.,  1.],
           [-2.,  0.,  2.],
           [-1.,  0.,  1.]])
    """
    if name in KERNELS:
        return KERNELS[name]
    if name.lower().endswith(".npy"):
        return read_kernel(name)
    close = difflib.get_close_matches(name.lower(), KERNELS, n=2)
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"the names are {', '.join(KERNELS)}"
    raise ArgumentError(f"kernel must be a name or a .npy file, got {name!r}; {hint}")


@named
def read_kernel(path: str | os.PathLike[str]) -> ImageKernel:
    """Read a kernel from a .npy file, without pickle.

    Parameters
    ----------
    path : path-like
        A 2-d array of finite numbers.

    Returns
    -------
    ImageKernel

    Raises
    ------
    FileError
        If the file cannot be read or is no .npy file.
    ArgumentError, DTypeError
        If the array is no kernel.
    """
    return as_kernel(open_npy(path), name=str(Path(path)))


def as_kernel(weights: Any, name: str = "kernel") -> ImageKernel:
    """Return an array as a kernel.

    Parameters
    ----------
    weights : array_like, (kh, kw)
        Finite real numbers.
    name : str
        What errors and `ImageKernel.name` call it.

    Raises
    ------
    ArgumentError
        If it has not 2 axes, is empty, or holds a NaN, an infinity or a number beyond all use.
    DTypeError
        If its dtype is not a real number.
    """
    array = as_array(name, weights)
    if array.dtype.kind == "c":
        raise DTypeError(f"{name} has dtype {array.dtype} but a photograph needs real weights; pass its .real")
    if array.ndim != 2 or array.size == 0:
        raise ArgumentError(
            f"{name} must have 2 axes, (height, width), and at least one weight; got shape {array.shape}"
        )
    own = array.astype(np.float64)
    # One test for NaN, infinity and overflow: a comparison with NaN is false.
    if not np.abs(own).sum() <= _GREATEST_SUM:
        raise ArgumentError(
            f"{name} must hold finite numbers whose magnitudes sum to at most {_GREATEST_SUM:g}; got values from "
            f"{own.min()} to {own.max()}"
        )
    own.setflags(write=False)
    return ImageKernel(name, "a kernel of your own", own)


def in_whole_numbers(kernel: ImageKernel, limit: int) -> ImageKernel:
    """Return a kernel whose weights are whole numbers over a divisor, such as a mean of 25 pixels, as just that.

    Parameters
    ----------
    kernel : ImageKernel
    limit : int
        Which neither the divisor nor the whole numbers' magnitudes, taken together, may pass.

    Returns
    -------
    ImageKernel
        The same one where there is no such divisor: each weight must be the float64 that is nearest to its fraction.

    Examples
    --------
    >>> whole = in_whole_numbers(as_kernel([[1 / 6, 2 / 3, 1 / 6]]), 1000)
    >>> whole.weights, whole.divisor
    (array([[1., 4., 1.]]), 6)
    """
    if kernel.divisor != 1:
        return kernel
    divisor = 1
    while True:
        whole = np.rint(kernel.weights * divisor)
        if np.abs(whole).sum() > limit:
            return kernel
        off = kernel.weights[whole / divisor != kernel.weights]
        if not off.size:
            return replace(kernel, weights=whole, divisor=divisor)
        # The divisor grows: were that of the fraction a part of it already, the weight would not be off.
        fraction = Fraction(float(off[0])).limit_denominator(limit)
        divisor = math.lcm(divisor, fraction.denominator)
        if float(fraction) != off[0] or divisor > limit:
            return kernel
