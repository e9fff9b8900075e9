"""Pools of tensors, with the arguments of ``torch.nn.functional`` in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from ...errors import named
from .arguments import check_axes, check_tensor, per_axis
from .pools import AVERAGE_POOL, MAX_POOL, MAX_POOL_WITH_INDICES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    Window = int | Sequence[int]


@named
def max_pool1d(
    input: Tensor,  # noqa: A002 (torch's name)
    kernel_size: Window,
    stride: Window | None = None,
    padding: Window = 0,
    dilation: Window = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Return the greatest pixel of each window, as ``torch.nn.functional.max_pool1d`` does.

    Parameters
    ----------
    input : Tensor, (N, C, W) or (C, W)
        On the CPU, of any real dtype that NumPy or ml_dtypes has.
    kernel_size : int or tuple of int
    stride : int or tuple of int, optional
        `kernel_size` if left out.
    padding, dilation : int or tuple of int
    ceil_mode : bool
        Whether a last window may stick out, so that no pixel is left over.
    return_indices : bool
        Whether to return where the greatest pixels lie, too, within the spatial axes.

    Returns
    -------
    Tensor, or (Tensor, Tensor of int64)
        In the memory format of `input`, of its dtype.

    Raises
    ------
    Im2colError
        If an argument does not fit, or the tensor is not on the CPU.

    Examples
    --------
    >>> import torch
    >>> from im2col.integrations.torch import max_pool1d
    >>> max_pool1d(torch.ones(1, 2, 6), 2).shape
    torch.Size([1, 2, 3])
    """
    return _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@named
def max_pool2d(
    input: Tensor,  # noqa: A002 (torch's name)
    kernel_size: Window,
    stride: Window | None = None,
    padding: Window = 0,
    dilation: Window = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Return the greatest pixel of each window, as ``torch.nn.functional.max_pool2d`` does.

    Parameters
    ----------
    input : Tensor, (N, C, H, W) or (C, H, W)
        On the CPU, of any real dtype that NumPy or ml_dtypes has.
    kernel_size : int or tuple of int
    stride : int or tuple of int, optional
        `kernel_size` if left out.
    padding, dilation : int or tuple of int
    ceil_mode : bool
        Whether a last window may stick out, so that no pixel is left over.
    return_indices : bool
        Whether to return where the greatest pixels lie, too, within the spatial axes.

    Returns
    -------
    Tensor, or (Tensor, Tensor of int64)
        In the memory format of `input`, of its dtype.

    Raises
    ------
    Im2colError
        If an argument does not fit, or the tensor is not on the CPU.

    Examples
    --------
    >>> import torch
    >>> from im2col.integrations.torch import max_pool2d
    >>> max_pool2d(torch.ones(1, 2, 6, 6), 2).shape
    torch.Size([1, 2, 3, 3])
    """
    return _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@named
def max_pool3d(
    input: Tensor,  # noqa: A002 (torch's name)
    kernel_size: Window,
    stride: Window | None = None,
    padding: Window = 0,
    dilation: Window = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Return the greatest pixel of each window, as ``torch.nn.functional.max_pool3d`` does.

    Parameters
    ----------
    input : Tensor, (N, C, D, H, W) or (C, D, H, W)
        On the CPU, of any real dtype that NumPy or ml_dtypes has.
    kernel_size : int or tuple of int
    stride : int or tuple of int, optional
        `kernel_size` if left out.
    padding, dilation : int or tuple of int
    ceil_mode : bool
        Whether a last window may stick out, so that no pixel is left over.
    return_indices : bool
        Whether to return where the greatest pixels lie, too, within the spatial axes.

    Returns
    -------
    Tensor, or (Tensor, Tensor of int64)
        In the memory format of `input`, of its dtype.

    Raises
    ------
    Im2colError
        If an argument does not fit, or the tensor is not on the CPU.

    Examples
    --------
    >>> import torch
    >>> from im2col.integrations.torch import max_pool3d
    >>> max_pool3d(torch.ones(1, 2, 6, 6, 6), 2).shape
    torch.Size([1, 2, 3, 3, 3])
    """
    return _max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _max_pool(
    spatial: int,
    x: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
) -> Tensor | tuple[Tensor, Tensor]:
    window = _pool_window(spatial, x, kernel_size, stride, padding)
    options = *window, per_axis("dilation", dilation, spatial), bool(ceil_mode)
    if return_indices:
        greatest, indices = MAX_POOL_WITH_INDICES(x, *options)
        return greatest, indices
    if torch.is_grad_enabled() and x.requires_grad:  # which needs the indices
        return MAX_POOL_WITH_INDICES(x, *options)[0]
    return MAX_POOL(x, *options)


def _pool_window(spatial: int, x: Tensor, kernel_size: Any, stride: Any, padding: Any) -> tuple[Any, ...]:
    """Return the part of a window that all pools have as their operators take it, after a look at the image."""
    check_tensor("input", x)
    check_axes("input", x, spatial)
    kernel = per_axis("kernel_size", kernel_size, spatial)
    steps = kernel if stride is None or stride == [] else per_axis("stride", stride, spatial)
    return kernel, steps, per_axis("padding", padding, spatial, 0)


@named
def avg_pool1d(
    input: Tensor,  # noqa: A002 (torch's name)
    kernel_size: Window,
    stride: Window | None = None,
    padding: Window = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Return the mean of each window, as ``torch.nn.functional.avg_pool1d`` does.

    Parameters
    ----------
    input : Tensor, (N, C, W) or (C, W)
        On the CPU, of any dtype that NumPy or ml_dtypes has.
    kernel_size : int or tuple of int
    stride : int or tuple of int, optional
        `kernel_size` if left out.
    padding : int or tuple of int
    ceil_mode : bool
        Whether a last window may stick out, so that no pixel is left over.
    count_include_pad : bool
        Whether a mean is over the padding, too.

    Returns
    -------
    Tensor
        In the memory format of `input`, of the dtype that `im2col.average_pool` gives: of integers, float64.

    Raises
    ------
    Im2colError
        If an argument does not fit, or the tensor is not on the CPU.

    Examples
    --------
    >>> import torch
    >>> from im2col.integrations.torch import avg_pool1d
    >>> avg_pool1d(torch.ones(1, 2, 6), 2).shape
    torch.Size([1, 2, 3])
    """
    window = _pool_window(1, input, kernel_size, stride, padding)
    return AVERAGE_POOL(input, *window, bool(ceil_mode), bool(count_include_pad))


@named
def avg_pool2d(
    input: Tensor,  # noqa: A002 (torch's name)
    kernel_size: Window,
    stride: Window | None = None,
    padding: Window = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Return the mean of each window, as ``torch.nn.functional.avg_pool2d`` does.

    Parameters
    ----------
    input : Tensor, (N, C, H, W) or (C, H, W)
        On the CPU, of any dtype that NumPy or ml_dtypes has.
    kernel_size : int or tuple of int
    stride : int or tuple of int, optional
        `kernel_size` if left out.
    padding : int or tuple of int
    ceil_mode : bool
        Whether a last window may stick out, so that no pixel is left over.
    count_include_pad : bool
        Whether a mean is over the padding, too.

    Returns
    -------
    Tensor
        In the memory format of `input`, of the dtype that `im2col.average_pool` gives: of integers, float64.

    Raises
    ------
    Im2colError
        If an argument does not fit, or the tensor is not on the CPU.

    Examples
    --------
    >>> import torch
    >>> from im2col.integrations.torch import avg_pool2d
    >>> avg_pool2d(torch.ones(1, 2, 6, 6), 2).shape
    torch.Size([1, 2, 3, 3])
    """
    window = _pool_window(2, input, kernel_size, stride, padding)
    return AVERAGE_POOL(input, *window, bool(ceil_mode), bool(count_include_pad))


@named
def avg_pool3d(
    input: Tensor,  # noqa: A002 (torch's name)
    kernel_size: Window,
    stride: Window | None = None,
    padding: Window = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Return the mean of each window, as ``torch.nn.functional.avg_pool3d`` does.

    Parameters
    ----------
    input : Tensor, (N, C, D, H, W) or (C, D, H, W)
        On the CPU, of any dtype that NumPy or ml_dtypes has.
    kernel_size : int or tuple of int
    stride : int or tuple of int, optional
        `kernel_size` if left out.
    padding : int or tuple of int
    ceil_mode : bool
        Whether a last window may stick out, so that no pixel is left over.
    count_include_pad : bool
        Whether a mean is over the padding, too.

    Returns
    -------
    Tensor
        In the memory format of `input`, of the dtype that `im2col.average_pool` gives: of integers, float64.

    Raises
    ------
    Im2colError
        If an argument does not fit, or the tensor is not on the CPU.

    Examples
    --------
    >>> import torch
    >>> from im2col.integrations.torch import avg_pool3d
    >>> avg_pool3d(torch.ones(1, 2, 6, 6, 6), 2).shape
    torch.Size([1, 2, 3, 3, 3])
    """
    window = _pool_window(3, input, kernel_size, stride, padding)
    return AVERAGE_POOL(input, *window, bool(ceil_mode), bool(count_include_pad))
