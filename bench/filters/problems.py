"""Images and kernels, and what is asked of every contestant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

KINDS = ("box", "gaussian", "unsharp", "random")
"""Of equal weights, of rank 1, the middle without its surroundings, which is of rank 2, and of full rank."""
_TOLERANCE = 1e-5
"""Of the greatest result."""


@dataclass(frozen=True)
class Problem:
    """One filter of one image, padded with zeros to the same size; `answer` is the right result.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    kernel : ndarray of float32, (size, size)
        Of an odd size; it is not flipped.
    along : ndarray of float32, (size,), or None
        Of a kernel of rank 1: its column, and its row.
    image, out : ndarray of float32, (side, side)
    answer : ndarray of float64, (side, side)
    threads : int
    """

    kind: str
    kernel: Array
    along: Array | None
    image: Array
    out: Array
    answer: NDArray[np.float64]
    threads: int

    @property
    def name(self) -> str:
        """The kernel and the image."""
        return name_of(self.kind, len(self.kernel), len(self.image))

    def complaint(self, result: Array) -> str | None:
        """Return what is wrong with a result, if anything."""
        off = float(np.abs(result - self.answer).max() / np.abs(self.answer).max())
        return None if off <= _TOLERANCE else f"off by {off:.1e} of the greatest result"


def name_of(kind: str, size: int, side: int) -> str:
    """Return what tables call a problem.

    Examples
    --------
    >>> name_of("gaussian", 15, 1024)
    'gaussian 15×15, 1024²'
    """
    return f"{kind} {size}×{size}, {side}²"


def make_problem(kind: str, size: int, side: int, threads: int) -> Problem:
    """Return a problem, whose answer is summed up in float64: along one axis and then the other, or by frequencies."""
    rng = np.random.default_rng(0)
    image = rng.random((side, side), np.float32)
    bell = np.exp(-0.5 * ((np.arange(size) - size // 2) / (size / 6)) ** 2) if kind != "box" else np.ones(size)
    along = (bell / bell.sum()).astype(np.float32)
    delta = np.zeros(size, np.float32)
    delta[size // 2] = 1
    kernel = rng.standard_normal((size, size), np.float32) if kind == "random" else np.outer(along, along)
    if kind == "unsharp":
        kernel = 2 * np.outer(delta, delta) - kernel
    if kind == "random":
        answer = _by_frequencies(image, kernel)
    else:
        soft = _passes(image, along)
        answer = 2 * image.astype(float) - soft if kind == "unsharp" else soft
    out = np.empty_like(image)
    return Problem(kind, kernel, along if kind in ("box", "gaussian") else None, image, out, answer, threads)


def _passes(image: Array, along: Array) -> NDArray[np.float64]:
    """Return an image filtered along each axis with the same weights, tap by tap."""
    found, size = image.astype(float), len(along)
    for axis in (0, 1):
        pads = [(0, 0), (0, 0)]
        pads[axis] = (size // 2, size // 2)
        padded = np.pad(found, pads)
        found = np.zeros_like(found)
        for i, weight in enumerate(along.astype(float)):
            found += weight * (padded[i : i + len(image)] if axis == 0 else padded[:, i : i + image.shape[1]])
    return found


def _by_frequencies(image: Array, kernel: Array) -> NDArray[np.float64]:
    """Return an image filtered by NumPy's Fourier transforms."""
    size = len(kernel)
    shape = [n + size - 1 for n in image.shape]
    spectrum = np.fft.rfft2(image, shape) * np.fft.rfft2(kernel[::-1, ::-1], shape)
    first = size // 2
    whole: NDArray[np.float64] = np.fft.irfft2(spectrum, shape)
    return whole[first : first + image.shape[0], first : first + image.shape[1]]


def names(kinds: Sequence[str], sizes: Sequence[int], sides: Sequence[int]) -> list[tuple[str, int, int]]:
    """Return what problems are made of, the smaller images first."""
    return [(kind, size, side) for side in sides for kind in kinds for size in sizes]
