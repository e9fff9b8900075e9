"""Pools of tensors, with the arguments of ``torch.nn.functional`` in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import Im2colError
from ...spec.arguments import flag
from .arguments import check_axes, check_tensor, per_axis, remembered
from .operators import is_plain
from .pools import AVERAGE_POOL, MAX_POOL, MAX_POOL_INDICES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from .operators import Operator

    Window = int | Sequence[int]


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
    window = kernel_size, stride, padding, dilation, ceil_mode
    return _max_pool("max_pool1d", 1, input, return_indices, *window)


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
    window = kernel_size, stride, padding, dilation, ceil_mode
    return _max_pool("max_pool2d", 2, input, return_indices, *window)


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
    window = kernel_size, stride, padding, dilation, ceil_mode
    return _max_pool("max_pool3d", 3, input, return_indices, *window)


def _max_pool(name: str, spatial: int, x: Tensor, return_indices: bool, *window: Any) -> Tensor | tuple[Tensor, Tensor]:
    greatest = _pool(name, MAX_POOL, _max_window, spatial, x, *window)
    return (greatest, _pool(name, MAX_POOL_INDICES, _max_window, spatial, x, *window)) if return_indices else greatest


def _pool(
    name: str, operator: Operator, make: Callable[..., tuple[Any, ...]], spatial: int, x: Tensor, *window: Any
) -> Tensor:
    plain = is_plain(x)
    try:
        if not (plain and spatial < x.ndim < spatial + 3):
            check_tensor("input", x)
            check_axes("input", x, spatial)
        made = remembered(plain, make, spatial, *window)
        return operator.direct(x, made) if plain else operator.overload(x, *made)
    except Im2colError as error:
        error.name_operation(name)
        raise


def _max_window(
    spatial: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any
) -> tuple[Any, ...]:
    """Return the window of maxima as their operators take it."""
    common = _common(spatial, kernel_size, stride, padding)
    return *common, per_axis("dilation", dilation, spatial), flag("ceil_mode", ceil_mode)


def _average_window(
    spatial: int, kernel_size: Any, stride: Any, padding: Any, ceil_mode: Any, count_include_pad: Any
) -> tuple[Any, ...]:
    """Return the window of means as their operator takes it."""
    flags = flag("ceil_mode", ceil_mode), flag("count_include_pad", count_include_pad)
    return *_common(spatial, kernel_size, stride, padding), *flags


def _common(spatial: int, kernel_size: Any, stride: Any, padding: Any) -> tuple[Any, ...]:
    kernel = per_axis("kernel_size", kernel_size, spatial)
    steps = (
        kernel
        if stride is None or (isinstance(stride, (list, tuple)) and not stride)
        else per_axis("stride", stride, spatial)
    )
    return kernel, steps, per_axis("padding", padding, spatial, 0)


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
    window = kernel_size, stride, padding, ceil_mode, count_include_pad
    return _pool("avg_pool1d", AVERAGE_POOL, _average_window, 1, input, *window)


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
    window = kernel_size, stride, padding, ceil_mode, count_include_pad
    return _pool("avg_pool2d", AVERAGE_POOL, _average_window, 2, input, *window)


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
    window = kernel_size, stride, padding, ceil_mode, count_include_pad
    return _pool("avg_pool3d", AVERAGE_POOL, _average_window, 3, input, *window)
