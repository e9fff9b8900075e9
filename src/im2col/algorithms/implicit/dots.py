"""Dot-product instructions: which problems they serve, and how weights and sums are arranged for them.

Such an instruction multiplies several neighbouring channels in each lane and adds the products up. To the tile it is a
convolution with fewer channels, each of 4 bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...engine import gather, scratch
from ...engine.compiler import Kernel
from ...importing import importing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...engine.target import Target
    from ...spec.problem import Problem


class Dot(NamedTuple):
    """A dot product of neighbouring channels.

    Parameters
    ----------
    name : str
        As `Numbers.dot` calls it.
    channels : int
        How many numbers a lane holds.
    dtype : dtype
        Of the pixels as the kernels read them.
    offset : int
        What is added to a pixel before: int8 becomes uint8, and zero points are subtracted where there is room.
    zero : int
        The pixel, after that, which contributes nothing. Where it is not 0, padding is made of it, and its share is
        taken off the bias.
    """

    name: str
    channels: int
    dtype: np.dtype[Any]
    offset: int = 0
    zero: int = 0

    @property
    def weights(self) -> np.dtype[Any]:
        """Of the weights as the instruction multiplies them."""
        return np.dtype(np.int8) if self.dtype == np.uint8 else self.dtype


def dot_of(problem: Problem, target: Target) -> Dot | None:
    """Return the dot product that a problem can use on a CPU, or None."""
    x, w, sums = problem.x_dtype, problem.w_dtype, problem.accumulator
    if x == w and x.name == "bfloat16" and sums == np.float32:
        dot = Dot("b2", 2, x)
    elif sums.kind in "iu" and sums.itemsize == 4 and _is_short(x) and _is_short(w):
        dot = _integer_dot(problem, target)
    else:
        return None
    alone = problem.groups == 1 or problem.group_channels % dot.channels == 0
    return dot if alone and target.has_dot(dot.name) else None


def _integer_dot(problem: Problem, target: Target) -> Dot:
    x, w, point = problem.x_dtype, problem.w_dtype, problem.x_zero_point
    whole = problem.groups == 1 or problem.group_channels % 4 == 0
    of_bytes = "u1i7" if problem.small_weights and target.has_dot("u1i7") else "u1i1"
    if x.itemsize == w.itemsize == 1 and w != np.uint8 and whole and target.has_dot(of_bytes):
        shift = 128 if x == np.int8 else 0
        return Dot(of_bytes, 4, np.dtype(np.uint8), shift, point + shift)
    return Dot("i2", 2, np.dtype(np.int16), -point)


def _is_short(dtype: np.dtype[Any]) -> bool:
    """Whether 16 bits hold every number of a dtype, with its sign."""
    return (dtype.kind in "bi" and dtype.itemsize <= 2) or dtype == np.uint8


def interleaved(w: NDArray[Any], dot: Dot, threads: int) -> NDArray[Any]:
    """Return weights (filters, channels, *kernel) with neighbouring channels side by side.

    Returns
    -------
    ndarray, (filters, ceil(channels / dot.channels), *kernel) or (…, dot.channels)
        Of 4-byte numbers, in which missing channels are 0: a view of the weights where their channels lie side by side.
        Or, where no channel is missing, a view of weights that are not as wide yet as the instruction wants them.
    """
    filters, channels, *kernel = w.shape
    if w.dtype.itemsize < dot.dtype.itemsize and channels % dot.channels == 0:
        pairs = w.reshape(filters, channels // dot.channels, dot.channels, *kernel, copy=False)
        return np.moveaxis(pairs, 2, -1)
    blocks = -(-channels // dot.channels)
    narrow = dot.weights
    last = w.transpose(0, *range(2, w.ndim), 1)
    if w.dtype == narrow and channels % dot.channels == 0 and last.strides[-1] == w.itemsize:
        return _channels_second(last.view(np.int32))
    filled = scratch.empty((filters, *kernel, blocks * dot.channels), narrow)
    filled[..., channels:] = 0
    gather.copy(filled[..., :channels], last, threads)
    return _channels_second(filled.view(np.int32))


def _channels_second(w: NDArray[Any]) -> NDArray[Any]:
    return w.transpose(0, w.ndim - 1, *range(1, w.ndim - 1))


def corrected(bias: NDArray[Any] | None, w: NDArray[Any], dot: Dot, dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """Return the bias less what every filter makes of pixels that should contribute nothing.

    Parameters
    ----------
    bias : ndarray, (filters,), or None
    w : ndarray, (filters, channels, *kernel)
    dot : Dot
    dtype : dtype
        Of the sums, which wrap.
    """
    if dot.zero == 0:
        return bias
    # The sums wrap as int32 does, and so may this.
    share = w.reshape(len(w), -1).sum(axis=1, dtype=np.int32) * np.int32(-dot.zero)
    total: NDArray[Any] = share if bias is None else share + bias
    return total.astype(dtype)


def share_of(zero: int, lanes: int) -> Kernel:
    """Return the kernel that takes off a packed bias what packed filters of bytes make of pixels that are `zero`.

    It is a step that sums: bias, packed weights, and a job, which has `SHARE_JOB`'s words.
    """
    return Kernel("share_of_zero", _share_of, (zero, lanes), 3)


SHARE_JOB = ["blocks", "taps", "filters"]
"""How many; `filters` are those of a block, as packed."""


def _share_of(name: str, _target: Target, zero: int, lanes: int) -> str:
    with importing:
        from ...engine.builder import Builder  # a kernel that is kept is not written again

    b = Builder(name, "*bias *weights *job")
    blocks, taps, filters = (b.entry(b["*job"], b.constant(i)) for i in range(len(SHARE_JOB)))
    kind = b.vector(b.integer(4), lanes)
    with b.loop(blocks) as block, b.loop(filters, step=lanes) as first:
        here = b.mul(b.add(b.mul(block, filters), first), 4)
        start = b.at(b["*weights"], b.mul(b.add(b.mul(b.mul(block, taps), filters), first), 4))
        with b.accumulate(b.constant(0), taps, [b.zero(kind)]) as state:
            weights = b.load(b.at(start, b.mul(b.mul(state.index, filters), 4)), kind)
            state.values[:] = [b.sum("i4", state.values[0], b.sum_of_bytes(weights))]
        at = b.at(b["*bias"], here)
        share = b.multiply_add(state.values[0], b.numbers(-zero, kind), b.load(at, kind), fused=False)
        b.store(share, at)
    return b.finish()
