"""Scaling and shifting, channel by channel or as a whole: what a normalisation is once a model is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ....errors import ShapeError
from ..order import channels_last, order_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]

AFFINE = "Affine"
"""What steps of this kind are called; it is no operator of ONNX."""
_BLOCK = 1 << 14
"""Elements that are worked on at once: they stay in the cache from the product to the activation."""


def scale_and_shift(x: Array, *, out: Array, scale: Array, shift: Array, relu: bool) -> None:
    """Write x · scale + shift, and no less than 0 if `relu`.

    Parameters
    ----------
    x : ndarray, (N, C, *spatial) or (N,)
    out : ndarray
        Of the shape of `x`, or `x` itself.
    scale, shift : ndarray, (C,) or (1,)
    relu : bool

    Raises
    ------
    ShapeError
        If `x` has another number of channels.
    """
    channels = x.shape[1] if x.ndim > 1 else 1
    if scale.size not in (1, channels):
        raise ShapeError(f"there are numbers for {scale.size} channels, but the input has shape {x.shape}")
    for part, result, factor, term in _blocks(x, out, scale, shift):
        np.multiply(part, factor, out=result, casting="unsafe")
        np.add(result, term, out=result, casting="unsafe")
        if relu:
            np.maximum(result, 0, out=result)


def _blocks(x: Array, out: Array, scale: Array, shift: Array) -> Iterator[tuple[Array, Array, Array, Array]]:
    """Yield parts of an image and of its result, with the numbers that go with them."""
    order = order_of(x)
    lying, result = (x, out) if order is None else (x.transpose(order), out.transpose(order))
    known = scale.size == 1 or order is None or order == channels_last(x.ndim)
    if not (x.size and known and lying.flags.c_contiguous and result.flags.c_contiguous):
        shape = (-1, *[1] * (x.ndim - 2)) if x.ndim > 1 else (-1,) * x.ndim
        yield x, out, scale.reshape(shape), shift.reshape(shape)
        return
    if scale.size == 1:
        lines, results, factors, terms = lying.reshape(-1, 1), result.reshape(-1, 1), scale[None], shift[None]
    elif order is not None:
        shape = (-1, scale.size)
        lines, results, factors, terms = lying.reshape(shape), result.reshape(shape), scale[None], shift[None]
    else:
        shape = (len(x) * scale.size, -1)
        factors, terms = (np.tile(each, len(x))[:, None] for each in (scale, shift))
        lines, results = lying.reshape(shape), result.reshape(shape)
    step = max(1, _BLOCK // lines.shape[1])
    for first in range(0, len(lines), step):
        rows = slice(first, first + step)
        own = rows if len(factors) > 1 else slice(None)
        yield lines[rows], results[rows], factors[own], terms[own]
