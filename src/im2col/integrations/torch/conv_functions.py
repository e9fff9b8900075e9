"""Convolutions of tensors, with the arguments of ``torch.nn.functional`` in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import ArgumentError, Im2colError, ShapeError, naming, shown
from .arguments import check_axes, check_tensor, padding_of, per_axis, remembered
from .convolutions import CONV, MODES, TRANSPOSE
from .operators import is_plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    Window = int | Sequence[int]


def conv1d(
    input: Tensor,  # noqa: A002 (torch's name)
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Window = 1,
    padding: Window | str = 0,
    dilation: Window = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
) -> Tensor:
    """Convolve tensors along one spatial axis, as ``torch.nn.functional.conv1d`` does.

    Parameters
    ----------
    input : Tensor, (N, C, W) or (C, W)
        On the CPU, of any dtype that NumPy or ml_dtypes has.
    weight : Tensor, (n, C/groups, k)
    bias : Tensor, (n,), optional
    stride, dilation : int or tuple of int
    padding : int, tuple of int, ``"valid"`` or ``"same"``
    groups : int
    padding_mode : str
        ``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``, as for ``torch.nn.Conv1d``.

    Returns
    -------
    Tensor
        In the memory format of `input`, of the dtype that `im2col.conv` gives: small integers grow to int32.

    Raises
    ------
    Im2colError
        If an argument does not fit, or a tensor is not on the CPU.

    Examples
    --------
    >>> import torch
    >>> from im2col.integrations.torch import conv1d
    >>> conv1d(torch.ones(1, 2, 5), torch.ones(3, 2, 3), padding=1).shape
    torch.Size([1, 3, 5])
    """
    return _conv(1, input, weight, bias, stride, padding, dilation, groups, padding_mode)


def conv2d(
    input: Tensor,  # noqa: A002 (torch's name)
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Window = 1,
    padding: Window | str = 0,
    dilation: Window = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
) -> Tensor:
    """Convolve tensors along two spatial axes, as ``torch.nn.functional.conv2d`` does.

    Parameters
    ----------
    input : Tensor, (N, C, H, W) or (C, H, W)
        On the CPU, of any dtype that NumPy or ml_dtypes has.
    weight : Tensor, (n, C/groups, kh, kw)
    bias : Tensor, (n,), optional
    stride, dilation : int or tuple of int
    padding : int, tuple of int, ``"valid"`` or ``"same"``
    groups : int
    padding_mode : str
        ``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``, as for ``torch.nn.Conv2d``.

    Returns
    -------
    Tensor
        In the memory format of `input`, of the dtype that `im2col.conv` gives: small integers grow to int32.

    Raises
    ------
    Im2colError
        If an argument does not fit, or a tensor is not on the CPU.

    Examples
    --------
    >>> import torch
    >>> from im2col.integrations.torch import conv2d
    >>> conv2d(torch.ones(1, 2, 5, 5), torch.ones(3, 2, 3, 3), padding=1).shape
    torch.Size([1, 3, 5, 5])
    """
    return _conv(2, input, weight, bias, stride, padding, dilation, groups, padding_mode)


def conv3d(
    input: Tensor,  # noqa: A002 (torch's name)
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Window = 1,
    padding: Window | str = 0,
    dilation: Window = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
) -> Tensor:
    """Convolve tensors along three spatial axes, as ``torch.nn.functional.conv3d`` does.

    Parameters
    ----------
    input : Tensor, (N, C, D, H, W) or (C, D, H, W)
        On the CPU, of any dtype that NumPy or ml_dtypes has.
    weight : Tensor, (n, C/groups, kd, kh, kw)
    bias : Tensor, (n,), optional
    stride, dilation : int or tuple of int
    padding : int, tuple of int, ``"valid"`` or ``"same"``
    groups : int
    padding_mode : str
        ``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``, as for ``torch.nn.Conv3d``.

    Returns
    -------
    Tensor
        In the memory format of `input`, of the dtype that `im2col.conv` gives: small integers grow to int32.

    Raises
    ------
    Im2colError
        If an argument does not fit, or a tensor is not on the CPU.

    Examples
    --------
    >>> import torch
    >>> from im2col.integrations.torch import conv3d
    >>> conv3d(torch.ones(1, 2, 5, 5, 5), torch.ones(3, 2, 3, 3, 3), padding=1).shape
    torch.Size([1, 3, 5, 5, 5])
    """
    return _conv(3, input, weight, bias, stride, padding, dilation, groups, padding_mode)


def _conv(
    spatial: int,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    padding_mode: Any,
) -> Tensor:
    plain = is_plain(x, weight) if bias is None else is_plain(x, weight, bias)
    try:
        if not (plain and weight.ndim == spatial + 2 and spatial < x.ndim < spatial + 3):
            _check_operands(spatial, x, weight, bias)
        # Of the kernel, nothing but padding by name needs to know.
        kernel_size = tuple(weight.shape[2:]) if isinstance(padding, str) else (1,) * spatial
        window = remembered(plain, _conv_window, kernel_size, stride, padding, dilation, groups, padding_mode)
        return CONV.direct(x, weight, bias, window) if plain else CONV.overload(x, weight, bias, *window)
    except Im2colError as error:
        error.name_operation(f"conv{spatial}d")
        raise


def _check_operands(spatial: int, x: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """Refuse operands of other axes, and those that are no tensors on the CPU."""
    check_tensor("input", x)
    check_tensor("weight", weight)
    if bias is not None:
        check_tensor("bias", bias)
    check_axes("input", x, spatial)
    if weight.ndim != spatial + 2:
        raise ShapeError(
            f"weight must have {spatial + 2} axes, two and one for each of the kernel, got a tensor of shape "
            f"{tuple(weight.shape)}"
        )


def _conv_window(
    kernel_size: tuple[Any, ...], stride: Any, padding: Any, dilation: Any, groups: Any, padding_mode: Any
) -> tuple[Any, ...]:
    """Return the window of a convolution as its operator takes it."""
    spatial = len(kernel_size)
    steps, spread = per_axis("stride", stride, spatial), per_axis("dilation", dilation, spatial)
    if not (isinstance(padding_mode, str) and padding_mode in MODES):
        raise ArgumentError(f"padding_mode must be one of {tuple(MODES)}, got {shown(padding_mode)}")
    (count,) = per_axis("groups", groups, 1)
    return steps, padding_of(padding, kernel_size, steps, spread), spread, count, padding_mode


def conv_transpose1d(
    input: Tensor,  # noqa: A002 (torch's name)
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Window = 1,
    padding: Window = 0,
    output_padding: Window = 0,
    groups: int = 1,
    dilation: Window = 1,
) -> Tensor:
    """Apply the transpose of a convolution along one spatial axis, as ``torch.nn.functional.conv_transpose1d`` does.

    Parameters
    ----------
    input : Tensor, (N, F, W) or (F, W)
        On the CPU, of any dtype that NumPy or ml_dtypes has.
    weight : Tensor, (F, C/groups, k)
    bias : Tensor, (C,), optional
    stride, padding, output_padding, dilation : int or tuple of int
    groups : int

    Returns
    -------
    Tensor
        In the memory format of `input`, of the dtype that `im2col.conv_transpose` gives.

    Raises
    ------
    Im2colError
        If an argument does not fit, or a tensor is not on the CPU.

    Examples
    --------
    >>> import torch
    >>> from im2col.integrations.torch import conv_transpose1d
    >>> conv_transpose1d(torch.ones(1, 2, 5), torch.ones(2, 3, 2), stride=2).shape
    torch.Size([1, 3, 10])
    """
    return _conv_transpose(1, input, weight, bias, stride, padding, output_padding, dilation, groups)


def conv_transpose2d(
    input: Tensor,  # noqa: A002 (torch's name)
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Window = 1,
    padding: Window = 0,
    output_padding: Window = 0,
    groups: int = 1,
    dilation: Window = 1,
) -> Tensor:
    """Apply the transpose of a convolution along two spatial axes, as ``torch.nn.functional.conv_transpose2d`` does.

    Parameters
    ----------
    input : Tensor, (N, F, H, W) or (F, H, W)
        On the CPU, of any dtype that NumPy or ml_dtypes has.
    weight : Tensor, (F, C/groups, kh, kw)
    bias : Tensor, (C,), optional
    stride, padding, output_padding, dilation : int or tuple of int
    groups : int

    Returns
    -------
    Tensor
        In the memory format of `input`, of the dtype that `im2col.conv_transpose` gives.

    Raises
    ------
    Im2colError
        If an argument does not fit, or a tensor is not on the CPU.

    Examples
    --------
    >>> import torch
    >>> from im2col.integrations.torch import conv_transpose2d
    >>> conv_transpose2d(torch.ones(1, 2, 5, 5), torch.ones(2, 3, 2, 2), stride=2).shape
    torch.Size([1, 3, 10, 10])
    """
    return _conv_transpose(2, input, weight, bias, stride, padding, output_padding, dilation, groups)


def conv_transpose3d(
    input: Tensor,  # noqa: A002 (torch's name)
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Window = 1,
    padding: Window = 0,
    output_padding: Window = 0,
    groups: int = 1,
    dilation: Window = 1,
) -> Tensor:
    """Apply the transpose of a convolution along three spatial axes, as ``torch.nn.functional.conv_transpose3d`` does.

    Parameters
    ----------
    input : Tensor, (N, F, D, H, W) or (F, D, H, W)
        On the CPU, of any dtype that NumPy or ml_dtypes has.
    weight : Tensor, (F, C/groups, kd, kh, kw)
    bias : Tensor, (C,), optional
    stride, padding, output_padding, dilation : int or tuple of int
    groups : int

    Returns
    -------
    Tensor
        In the memory format of `input`, of the dtype that `im2col.conv_transpose` gives.

    Raises
    ------
    Im2colError
        If an argument does not fit, or a tensor is not on the CPU.

    Examples
    --------
    >>> import torch
    >>> from im2col.integrations.torch import conv_transpose3d
    >>> conv_transpose3d(torch.ones(1, 2, 5, 5, 5), torch.ones(2, 3, 2, 2, 2), stride=2).shape
    torch.Size([1, 3, 10, 10, 10])
    """
    return _conv_transpose(3, input, weight, bias, stride, padding, output_padding, dilation, groups)


def _conv_transpose(spatial: int, x: Tensor, weight: Tensor, bias: Tensor | None, *arguments: Any) -> Tensor:
    with naming(f"conv_transpose{spatial}d"):
        _check_operands(spatial, x, weight, bias)
        plain = is_plain(x, weight) if bias is None else is_plain(x, weight, bias)
        window = remembered(plain, _transpose_window, spatial, *arguments)
        return TRANSPOSE.direct(x, weight, bias, window) if plain else TRANSPOSE.overload(x, weight, bias, *window)


def _transpose_window(
    spatial: int, stride: Any, padding: Any, output_padding: Any, dilation: Any, groups: Any
) -> tuple[Any, ...]:
    """Return the window of a transposed convolution as its operator takes it."""
    return (
        per_axis("stride", stride, spatial),
        per_axis("padding", padding, spatial, 0),
        per_axis("output_padding", output_padding, spatial, 0),
        per_axis("dilation", dilation, spatial),
        *per_axis("groups", groups, 1),
    )
