"""Weights and bias as the kernels read them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...engine import gather

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .program import Program


class Packed(NamedTuple):
    """Packed weights and bias, and where each part of the filters starts, in bytes."""

    weights: NDArray[Any]
    bias: NDArray[Any]
    weights_at: tuple[int, ...]
    bias_at: tuple[int, ...]


def pack(prog: Program, w: NDArray[Any], bias: NDArray[Any] | None, threads: int) -> Packed:
    """Arrange weights and bias as the kernels read them, block by block.

    Parameters
    ----------
    prog : Program
    w : ndarray, (filters, channels of a group, *kernel)
    bias : ndarray, (filters,), or None
    threads : int
    """
    groups, channels, filters = prog.packing
    dtype = prog.arrangement.dtype
    kernel = prog.op.geometry.kernel_size
    terms = channels * math.prod(kernel)
    source = w.reshape(groups, filters, channels, *kernel)
    total = groups * sum(p.blocks * p.packed for p in prog.parts)
    weights, offsets = np.zeros(total * terms, dtype), np.zeros(total, dtype)
    weights_at, bias_at = [], []
    first = 0
    for part in prog.parts:
        last = first + groups * part.blocks * part.packed
        weights_at.append(first * terms * dtype.itemsize)
        bias_at.append(first * dtype.itemsize)
        taken = slice(part.first, part.first + part.blocks * part.width)
        if bias is not None:
            room = offsets[first:last].reshape(groups, part.blocks, part.packed)
            room[..., : part.width] = bias.reshape(groups, filters)[:, taken].reshape(groups, part.blocks, part.width)
        block = source[:, taken].reshape(groups, part.blocks, part.width, channels, *kernel)
        view = block.transpose(0, 1, *prog.tap_axes, 2)
        room = weights[first * terms : last * terms].reshape(*view.shape[:-1], part.packed)
        with np.errstate(all="ignore"):
            gather.copy(room[..., : part.width], view if view.dtype == dtype else view.astype(dtype), threads)
        first = last
    return Packed(weights, offsets, tuple(weights_at), tuple(bias_at))
