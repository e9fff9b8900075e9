"""The arrays of a picture: from a shape, a photograph, a file, or a kernel's name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError
from ..files import open_npy
from ..photo.kernels import find_kernel
from ..photo.scaled import photo_image
from ..pictures.samples import sample_image, sample_weights
from ..spec.layout import parse, resolve
from .options import parse_shape

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read_image(
    *, shape: str | None, image: str | None, array: str | None, large: bool, default: tuple[int, ...]
) -> NDArray[Any]:
    """Return the image that the user named.

    Parameters
    ----------
    shape : str or None
        Of a sample image.
    image : str or None
        The path of a photograph.
    array : str or None
        The path of a .npy file.
    large : bool
        As for `read_photo`.
    default : tuple of int
        The shape of the sample where nothing is named.

    Raises
    ------
    ArgumentError
        If several are named, or the shape is none.
    FileError, MissingExtraError, MemoryBudgetError
        If a file cannot be read, or the image would not fit the memory.
    """
    if sum(source is not None for source in (shape, image, array)) > 1:
        raise ArgumentError("name one image: --shape, --image or --array")
    if image is not None:
        return photo_image(image, large=large)
    if array is not None:
        return open_npy(array)
    return sample_image(default if shape is None else _sample_shape("--shape", shape))


def read_filters(
    kernel: str | None, x: NDArray[Any], *, layout: str | None, groups: int | None, default: int
) -> tuple[NDArray[Any], int]:
    """Return the weights that the user named, and the groups they go with.

    Parameters
    ----------
    kernel : str or None
        A shape of sample weights, such as ``4,3,3,3``; the name of a kernel; or the path of a .npy file.
    x : ndarray
        The image.
    layout : str or None
        Its axes.
    groups : int or None
        A kernel that has a name is applied to each channel by itself unless this says otherwise; then each group has
        one filter, which reads all of its channels with that kernel.
    default : int
        Where none is named: about how many filters of sample weights, 3 wide, which fit the image.

    Returns
    -------
    weights : ndarray, (n, C/groups, *kernel), or a plain kernel
    groups : int

    Raises
    ------
    ArgumentError, LayoutError
        If it is none of these, or the image has other axes.
    FileError
        If a file cannot be read.
    """
    given = 1 if groups is None else groups
    if kernel is None:
        spatial = max(min(x.ndim, 2), x.ndim - 2) if layout is None else len(parse(layout).spatial)
        channels = _group_channels(x, layout, spatial, given)
        filters = -(-default // max(given, 1)) * given
        return sample_weights((max(filters, 1), channels, *(3,) * spatial)), given
    if re.fullmatch(r"[\d,x×-]*\d[\d,x×-]*", kernel):
        return sample_weights(_sample_shape("--kernel", kernel)), given
    if kernel.lower().endswith(".npy"):
        return open_npy(kernel), given
    named = find_kernel(kernel)
    # Without a divisor the weights are integers, and read as such.
    weights = named.weights.astype(np.int64) if named.divisor == 1 else named.weights / named.divisor
    if groups is None:
        given = resolve(layout, x.ndim, weights.ndim).size("C", x.shape)
    channels = _group_channels(x, layout, weights.ndim, given)
    return np.broadcast_to(weights, (max(given, 1), channels, *weights.shape)), given


def _group_channels(x: NDArray[Any], layout: str | None, spatial: int, groups: int) -> int:
    """Return the channels that a filter reads; groups that do not divide them are refused where they are used."""
    return max(resolve(layout, x.ndim, spatial).size("C", x.shape) // max(groups, 1), 1)


def _sample_shape(name: str, text: str) -> tuple[int, ...]:
    shape = parse_shape(name, text)
    if min(shape) < 1:
        raise ArgumentError(f"{name} must be at least 1 along each axis; got {text!r}")
    return shape
