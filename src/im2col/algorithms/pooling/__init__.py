"""Pooling: the greatest pixel of each window, where it lies, the pixels' mean, or a norm of them.

What is pooled is a `Pool` of `windows`. The engine pools row by row (`rows` cuts images into tasks, `row_kernel` is what
runs them), and whole images (`whole`, `whole_kernel`); NumPy does what it has no kernel for (`plain`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .windows import Pool


def pool(what: Pool, x: NDArray[Any], out: NDArray[Any], threads: int) -> None:
    """Pool an image (N, C, *spatial) of any strides into `out`, of any strides."""
    plain.pool_plainly(what, x, out)


def workspace_bytes(what: Pool, planes: int, itemsize: int) -> int:
    """Return the bytes that a call takes beside image and result, at most."""
    return plain.workspace_bytes(what, planes, itemsize)
