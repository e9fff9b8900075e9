"""The column matrix of tensors, and the way back, with the arguments of ``torch.nn.functional``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ...errors import ShapeError, named
from .arguments import check_axes, check_tensor, per_axis, remembered
from .columns import FOLD, UNFOLD
from .operators import is_plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    Window = int | Sequence[int]


@named
def unfold(
    input: Tensor,  # noqa: A002 (torch's name)
    kernel_size: Window,
    dilation: Window = 1,
    padding: Window = 0,
    stride: Window = 1,
) -> Tensor:
    """Return the column matrix of a tensor, as ``torch.nn.functional.unfold`` does, over any number of axes.

    Parameters
    ----------
    input : Tensor, (N, C, *spatial) or (C, *spatial)
        On the CPU, of any dtype that NumPy or ml_dtypes has.
    kernel_size : int or tuple of int
        Its length is the number of spatial axes; an int means two.
    dilation, padding, stride : int or tuple of int

    Returns
    -------
    Tensor, (N, C·taps, positions) or (C·taps, positions)

    Raises
    ------
    Im2colError
        If an argument does not fit, or the tensor is not on the CPU.

    Examples
    --------
    >>> import torch
    >>> from im2col.integrations.torch import unfold
    >>> unfold(torch.arange(9).view(1, 3, 3), 2)
    tensor([[0, 1, 3, 4],
            [1, 2, 4, 5],
            [3, 4, 6, 7],
            [4, 5, 7, 8]])
    """
    plain = is_plain(input)
    if not plain:
        check_tensor("input", input)
    window = remembered(plain, _window, kernel_size, 2, dilation, padding, stride)
    check_axes("input", input, len(window[0]))
    return UNFOLD.direct(input, window) if plain else UNFOLD.overload(input, *window)


@named
def fold(
    input: Tensor,  # noqa: A002 (torch's name)
    output_size: Window,
    kernel_size: Window,
    dilation: Window = 1,
    padding: Window = 0,
    stride: Window = 1,
) -> Tensor:
    """Add patches up to an image, as ``torch.nn.functional.fold`` does, over any number of axes.

    Parameters
    ----------
    input : Tensor, (N, C·taps, positions) or (C·taps, positions)
        On the CPU, of any dtype that NumPy or ml_dtypes has.
    output_size : int or tuple of int
        The image's spatial axes.
    kernel_size : int or tuple of int
        Its length is the number of spatial axes; an int means as many as `output_size` has, or two.
    dilation, padding, stride : int or tuple of int

    Returns
    -------
    Tensor, (N, C, *output_size) or (C, *output_size)
        Of the dtype that `im2col.col2im` gives: sums of small integers are int64.

    Raises
    ------
    Im2colError
        If an argument does not fit, or the tensor is not on the CPU.

    Examples
    --------
    >>> import torch
    >>> from im2col.integrations.torch import fold
    >>> fold(torch.ones(4, 4), 3, 2)
    tensor([[[1., 2., 1.],
             [2., 4., 2.],
             [1., 2., 1.]]])
    """
    plain = is_plain(input)
    if not plain:
        check_tensor("input", input)
    axes = len(output_size) if isinstance(output_size, (tuple, list)) else 2
    window = remembered(plain, _window, kernel_size, axes, dilation, padding, stride)
    size = per_axis("output_size", output_size, len(window[0]), 0)
    taps = math.prod(window[0])
    if input.ndim not in (2, 3) or input.shape[-2] % taps:
        raise ShapeError(
            f"input must be (C·{taps}, positions) or (N, C·{taps}, positions) for kernels {tuple(window[0])}, got a "
            f"tensor of shape {tuple(input.shape)}"
        )
    shape = (*input.shape[:-2], input.shape[-2] // taps, *size)
    return FOLD.direct(input, (shape, *window)) if plain else FOLD.overload(input, shape, *window)


def _window(kernel_size: Any, axes: int, dilation: Any, padding: Any, stride: Any) -> tuple[Any, ...]:
    """Return the window of a column matrix as its operators take it; an int of a kernel means so many axes."""
    spatial = len(kernel_size) if isinstance(kernel_size, (tuple, list)) else axes
    pixels = per_axis("padding", padding, spatial, 0)
    pairs = tuple(each for p in pixels for each in (p, p))
    window = per_axis("stride", stride, spatial), pairs, per_axis("dilation", dilation, spatial)
    return per_axis("kernel_size", kernel_size, spatial), *window
