"""Tensors as arrays, and back: the same memory under another name."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ...errors import DTypeError
from ...importing import importing
from ...spec.arrays import as_array
from ...spec.foreign import tensor_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

_CHANNELS_LAST = {2: torch.channels_last, 3: torch.channels_last_3d}
"""The memory format of batches with the channels innermost, by the number of spatial axes."""
_SPATIAL = "ABEFGIJKLMOPQRSTUVXYZDHW"
"""Letters of spatial axes: the last k of them are the k axes that the library takes by default."""


def array_of(tensor: Tensor) -> Array:
    """Return a CPU tensor's memory as an array; of bfloat16, as ml_dtypes' bfloat16.

    Raises
    ------
    DTypeError
        If NumPy has no such numbers, or the tensor holds none.
    """
    try:
        # Forced, it lets go of the history; it copies what is conjugated or negated when it is read.
        array: Array = tensor.numpy(force=True)
    except TypeError as cause:  # which costs less than to ask first
        if tensor.layout != torch.strided:
            raise DTypeError(f"a tensor has the layout {tensor.layout}; pass a dense one") from cause
        return as_array("a tensor", tensor.detach())
    return array


def numpy_dtype(dtype: torch.dtype) -> np.dtype[Any]:
    """Return the dtype that arrays of a tensor have.

    Raises
    ------
    DTypeError
        If NumPy has none.
    """
    name = str(dtype).removeprefix("torch.")
    try:
        return np.dtype(name)
    except TypeError:
        with importing:
            import ml_dtypes
    try:
        found: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
    except AttributeError as cause:
        raise DTypeError(f"there are no arrays of {dtype}; convert the tensor first") from cause
    return found


def torch_dtype(dtype: np.dtype[Any]) -> torch.dtype:
    """Return the dtype that tensors of an array have."""
    return getattr(torch, dtype.name)


def has_channels_last(image: Tensor, spatial: int) -> bool:
    """Whether a batch of images lies in memory with its channels innermost, and not in the order of its axes, too.

    One volume has as many axes as a batch of images: for torch, what lies innermost is its depth then.
    """
    if image.is_contiguous() or image.ndim != spatial + 2:
        return False
    memory_format = _CHANNELS_LAST.get(spatial)
    return memory_format is not None and image.is_contiguous(memory_format=memory_format)


def turned(array: Array, last: bool) -> Array:
    """Return an image with torch's order of axes as one whose axes are those of its layout."""
    return array.transpose((0, *range(2, array.ndim), 1)) if last else array


@lru_cache
def layout_of(ndim: int, spatial: int, last: bool = False) -> str:
    """Return the layout of images of so many axes, as the library's functions take it."""
    letters = _SPATIAL[-spatial:]
    return f"N{letters}C" if last else f"{'N' * (ndim - spatial - 1)}C{letters}"


def view_of(tensor: Tensor, last: bool) -> Array:
    """Return an image as an array whose axes are those of its layout."""
    return turned(array_of(tensor), last)


def image_of(array: Array, last: bool) -> Tensor:
    """Return a result of a layout as a tensor with torch's order of axes."""
    return tensor_of(array.transpose((0, array.ndim - 1, *range(1, array.ndim - 1))) if last else array)


def empty_image(like: Tensor, spatial: int, shape: list[Any], dtype: torch.dtype) -> Tensor:
    """Return an empty image as the library would return it for an image `like`: in its memory format."""
    memory_format = _CHANNELS_LAST[spatial] if has_channels_last(like, spatial) else torch.contiguous_format
    return torch.empty(shape, dtype=dtype, device=like.device, memory_format=memory_format)
