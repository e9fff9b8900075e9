"""Modules with the state of torch's own, and a model's convolutions exchanged for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from .conv_functions import conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d

if TYPE_CHECKING:
    from torch import Tensor


class _Convolves:
    """What a subclass of one of torch's convolutions does otherwise: its `convolve` is a function of this library.

    Arguments, parameters, their names and initial values are torch's.
    """

    convolve: Any

    def _conv_forward(self: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        options = self.stride, self.padding, self.dilation, self.groups
        return self.convolve(x, weight, bias, *options, padding_mode=self.padding_mode)


class Conv1d(_Convolves, torch.nn.Conv1d):  # type: ignore[misc]  # torch has no types here
    """``torch.nn.Conv1d``, computed by `im2col.integrations.torch.conv1d`; states of the one load into the other."""

    convolve = staticmethod(conv1d)


class Conv2d(_Convolves, torch.nn.Conv2d):  # type: ignore[misc]  # as above
    """``torch.nn.Conv2d``, computed by `im2col.integrations.torch.conv2d`; states of the one load into the other.

    Examples
    --------
    >>> import torch
    >>> from im2col.integrations.torch import Conv2d
    >>> theirs, ours = torch.nn.Conv2d(3, 8, 3, padding=1), Conv2d(3, 8, 3, padding=1)
    >>> ours.load_state_dict(theirs.state_dict())
    <All keys matched successfully>
    """

    convolve = staticmethod(conv2d)


class Conv3d(_Convolves, torch.nn.Conv3d):  # type: ignore[misc]  # as above
    """``torch.nn.Conv3d``, computed by `im2col.integrations.torch.conv3d`; states of the one load into the other."""

    convolve = staticmethod(conv3d)


class _Transposes:
    """As `_Convolves`, for transposed convolutions."""

    convolve: Any

    def forward(self: Any, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Return the result, with the spatial axes `output_size` if they are given."""
        window = self.stride, self.padding, self.kernel_size, len(self.kernel_size), self.dilation
        more = self._output_padding(x, output_size, *window)
        options = self.stride, self.padding, tuple(more), self.groups, self.dilation
        return self.convolve(x, self.weight, self.bias, *options)


class ConvTranspose1d(_Transposes, torch.nn.ConvTranspose1d):  # type: ignore[misc]  # as above
    """``torch.nn.ConvTranspose1d``, computed by `im2col.integrations.torch.conv_transpose1d`."""

    convolve = staticmethod(conv_transpose1d)


class ConvTranspose2d(_Transposes, torch.nn.ConvTranspose2d):  # type: ignore[misc]  # as above
    """``torch.nn.ConvTranspose2d``, computed by `im2col.integrations.torch.conv_transpose2d`."""

    convolve = staticmethod(conv_transpose2d)


class ConvTranspose3d(_Transposes, torch.nn.ConvTranspose3d):  # type: ignore[misc]  # as above
    """``torch.nn.ConvTranspose3d``, computed by `im2col.integrations.torch.conv_transpose3d`."""

    convolve = staticmethod(conv_transpose3d)


_OURS = {ours.__mro__[2]: ours for ours in (Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)}


def replace_convs(model: torch.nn.Module) -> torch.nn.Module:
    """Let a model compute its convolutions, and transposed ones, by this library.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place. Its modules of torch's own classes become modules of this library's, each itself: parameters,
        hooks, optimizers that know them, and what else refers to a module stay as they are. Subclasses of somebody
        else are left alone.

    Returns
    -------
    torch.nn.Module
        `model`.

    Raises
    ------
    DTypeError
        If it is no module.

    Examples
    --------
    >>> import torch
    >>> from im2col.integrations.torch import replace_convs
    >>> replace_convs(torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU()))[0]
    Conv2d(1, 4, kernel_size=(3, 3), stride=(1, 1))
    """
    for module in model.modules():
        ours = _OURS.get(type(module))
        if ours is not None:
            module.__class__ = ours
    return model
