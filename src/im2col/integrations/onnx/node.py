"""What an operator is told beside its inputs, and the attributes that windows share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import ArgumentError, GeometryError, ShapeError, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from onnx import NodeProto

AUTO_PAD = {"SAME_UPPER": "same", "SAME_LOWER": "same_lower", "VALID": "valid"}
"""Padding by name, there and here."""


class Node(NamedTuple):
    """Where an operator stands in its model.

    Parameters
    ----------
    version : int
        Of the operator: the opset that last changed it, up to the model's.
    outputs : int
        How many the model asks for.
    """

    version: int
    outputs: int


def label(node: NodeProto) -> str:
    """Return what errors call a node: its operator and its name, or its first output's where it has none."""
    where = repr(node.name) if node.name else f"with output {next(iter(node.output), '')!r}"
    return f"{node.op_type} (node {where})"


def window(
    axes: int,
    *,
    auto_pad: str = "NOTSET",
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Return the attributes of a window as this library's arguments.

    Parameters
    ----------
    axes : int
        Spatial axes.
    auto_pad, pads, strides, dilations
        As ONNX has them: `pads` are those before all axes, then those after.

    Returns
    -------
    dict
        `padding`, `stride` and `dilation`.

    Raises
    ------
    ArgumentError, GeometryError
        If there is not one number for each axis, or padding is told twice.

    Examples
    --------
    >>> window(2, pads=[0, 1, 2, 3], strides=[1, 2])
    {'padding': ((0, 2), (1, 3)), 'stride': (1, 2), 'dilation': (1, 1)}
    """
    for name, values, count, least in (
        ("strides", strides, axes, 1),
        ("dilations", dilations, axes, 1),
        ("pads", pads, 2 * axes, 0),
    ):
        if values is not None and (len(values) != count or min(values) < least):
            raise GeometryError(
                f"{name} must be {count} integers of at least {least} for {axes} spatial axes, got {shown(values)}"
            )
    pads = pads or [0] * (2 * axes)
    if auto_pad == "NOTSET":
        padding: Any = tuple(zip(pads[:axes], pads[axes:], strict=True))
    elif auto_pad not in AUTO_PAD:
        raise ArgumentError(f"auto_pad must be one of {('NOTSET', *AUTO_PAD)}, got {shown(auto_pad)}")
    elif any(pads):
        raise ArgumentError(f"auto_pad {auto_pad!r} and pads {pads} both say what the padding is; set one of them")
    else:
        padding = AUTO_PAD[auto_pad]
    return {"padding": padding, "stride": tuple(strides or [1] * axes), "dilation": tuple(dilations or [1] * axes)}


def check_filters(
    x: NDArray[Any], w: NDArray[Any], channels: int, group: int, kernel_shape: Sequence[int] | None
) -> int:
    """Return how many spatial axes image and filters have, which must fit each other.

    Parameters
    ----------
    x, w : ndarray
    channels : int
        Of the image, as `w` and `group` tell.
    group : int
    kernel_shape : sequence of int, optional
        That of `w`, told once more.

    Raises
    ------
    ShapeError
        If ranks, channels, groups or kernel differ.
    """
    if x.ndim < 3 or w.ndim != x.ndim:
        raise ShapeError(
            f"X must be (N, C, *spatial) and W (filters, channels, *kernel) of as many axes, at least 3; got {x.shape} "
            f"and {w.shape}"
        )
    if group < 1 or w.shape[0] % group or x.shape[1] != channels:
        raise ShapeError(f"X of shape {x.shape} and W of shape {w.shape} do not fit each other with group {group}")
    if kernel_shape is not None and tuple(kernel_shape) != w.shape[2:]:
        raise ShapeError(f"kernel_shape is {list(kernel_shape)} but W has shape {w.shape}")
    return x.ndim - 2
