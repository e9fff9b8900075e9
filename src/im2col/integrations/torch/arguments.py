"""What users pass in torch's manner, and an operator's arguments: a tuple with one value for each axis."""

from __future__ import annotations

import marshal
import operator
from typing import TYPE_CHECKING, Any

import torch

from ...errors import ArgumentError, DTypeError, ShapeError, shown
from ...memory import NOTHING, keep, recall, told_apart
from ...spec.foreign import has_tangent

if TYPE_CHECKING:
    from collections.abc import Callable

_INTEGERS = (int, torch.SymInt)


def per_axis(name: str, value: Any, count: int, least: int = 1) -> tuple[Any, ...]:
    """Return an argument of a window as one value for each spatial axis.

    Raises
    ------
    ArgumentError
    """
    given = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    values = tuple(map(_integer, given if len(given) > 1 else given * count))
    if len(values) != count or any(v is None or v < least for v in values):
        raise ArgumentError(
            f"{name} must be an integer of at least {least}, or {count} of them, one for each axis; got {shown(value)}"
        )
    return values


def _integer(value: Any) -> Any:
    """Return what Python can use as an index, but a bool, as an int or as a symbol of torch; None for all else."""
    if isinstance(value, _INTEGERS):
        return None if isinstance(value, bool) else value
    try:
        return None if isinstance(value, torch.Tensor) else operator.index(value)
    except Exception:  # no index, or one that fails
        return None


def padding_of(padding: Any, kernel_size: Any, stride: Any, dilation: Any) -> tuple[Any, ...]:
    """Return padding as (before, after) pairs of all spatial axes, one after the other.

    Raises
    ------
    ArgumentError
    """
    count = len(stride)
    if not isinstance(padding, str):
        return tuple(pixels for p in per_axis("padding", padding, count, 0) for pixels in (p, p))
    if padding == "valid":
        return (0,) * (2 * count)
    if padding == "same":
        if any(s != 1 for s in stride):
            raise ArgumentError(f"padding='same' needs a stride of 1, got {stride}; pass the pixels to pad by")
        whole = [d * (k - 1) for k, d in zip(kernel_size, dilation, strict=True)]
        return tuple(pixels for p in whole for pixels in (p // 2, p - p // 2))
    raise ArgumentError(f"padding must be pixels, 'valid' or 'same', got {shown(padding)}")


def remembered(plain: bool, make: Callable[..., tuple[Any, ...]], *arguments: Any) -> tuple[Any, ...]:
    """Return what a pure function makes of arguments: of a plain call, from memory where they were met before.

    What `marshal` writes tells plain arguments apart from all others. What it writes as mere bytes, such as NumPy's
    integers, may equal another's, and is not kept.
    """
    if not plain:  # what is traced stays out of memory
        return make(*arguments)
    try:
        key = make, marshal.dumps(arguments, 2)
    except ValueError:  # of an object's, which are none
        return make(*arguments)
    known: Any = recall(key)
    if known is not NOTHING:
        return known  # type: ignore[no-any-return]  # what was kept below
    made = make(*arguments)
    return made if told_apart(arguments) is None else keep(key, made)


def check_axes(name: str, tensor: Any, spatial: int) -> None:
    """Refuse a tensor that is neither one image with channels nor a batch of them.

    Raises
    ------
    ShapeError
    """
    if tensor.ndim not in (spatial + 1, spatial + 2):
        axes = ", ".join("DHW"[-spatial:]) if spatial <= 3 else f"{spatial} spatial axes"
        raise ShapeError(f"{name} must be (C, {axes}) or (N, C, {axes}), got a tensor of shape {tuple(tensor.shape)}")


def check_tensor(name: str, tensor: Any) -> None:
    """Refuse what is no tensor in the memory of a CPU, and one that is differentiated forward.

    Raises
    ------
    DTypeError, ArgumentError
    """
    if not isinstance(tensor, torch.Tensor):
        raise DTypeError(f"{name} must be a tensor of torch, got {type(tensor).__name__}; arrays go to im2col's own")
    if tensor.device.type not in ("cpu", "meta"):
        raise DTypeError(
            f"{name} is on the device {str(tensor.device)!r}, but the kernels run on CPUs; pass {name}.cpu(), or use "
            "torch's own function there"
        )
    if has_tangent(tensor):
        raise ArgumentError(
            f"{name} has a tangent, but there are gradients in reverse mode alone; use torch's own function"
        )
