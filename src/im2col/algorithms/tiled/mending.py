"""What is not finite, computed again: a transform carries it to results whose windows do not see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..contract import Runner


def mend(wrong: NDArray[np.bool_], direct: Runner, x: NDArray[Any], out: NDArray[Any]) -> None:
    """Compute some results directly: what is not finite stays where the definition has it.

    Parameters
    ----------
    wrong : ndarray of bool
        Which of `out`; it broadcasts.
    direct : callable
        Of one image.
    x, out : ndarray
        Views as a `Runner` takes them.
    """
    for n in np.flatnonzero(wrong.any(axis=tuple(range(1, wrong.ndim)))):
        right = np.empty((1, *out.shape[1:]), out.dtype)
        direct(x[n : n + 1], right)
        np.copyto(out[n], right[0], where=wrong[n])
