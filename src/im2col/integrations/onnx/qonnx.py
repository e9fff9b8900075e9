"""QONNX's operator of windows, `Im2Col`, which lowered models of FINN and of other makers of hardware contain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onnx.reference.op_run import OpRun

from ...errors import GeometryError, Im2colError, ShapeError, shown
from ...matrix.shapes import output_shape
from ...matrix.transform import im2col
from .node import label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]


class Im2Col(OpRun):  # type: ignore[misc]  # the class of a library without types
    """Im2Col: the column matrix of images (N, H, W, C), as (N, rows of positions, positions of a row, taps).

    A tap is (ky, kx, c), the channel fastest. Attributes are `stride`, `kernel_size`, `pad_amount` (top, left, bottom,
    right), `pad_value` and `dilations`; `input_shape` is told once more, and `depthwise` tells hardware how to walk
    through the matrix, which is the same.
    """

    op_domain = "qonnx.custom_op.general"

    def _run(
        self,
        x: Array,
        *,
        kernel_size: Sequence[int] = (),
        stride: Sequence[int] = (),
        pad_amount: Sequence[int] = (0, 0, 0, 0),
        pad_value: int = 0,
        dilations: Sequence[int] = (1, 1),
        input_shape: str = "",  # noqa: ARG002 (the image's own is known)
        depthwise: int = 0,  # noqa: ARG002 (changes no number)
    ) -> tuple[Array]:
        try:
            return (_columns(x, kernel_size, stride, pad_amount, pad_value, dilations),)
        except Im2colError as error:  # which may name a function of this library that the operator called
            named = type(error)(error.message)
            named.name_operation(label(self.onnx_node))
            raise named from error


def _columns(
    x: Array,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    pads: Sequence[int],
    value: int,
    dilations: Sequence[int],
) -> Array:
    if x.ndim != 4:
        raise ShapeError(f"the image must be (N, H, W, C), got shape {x.shape}; put a Transpose before it")
    given = {"kernel_size": kernel_size, "stride": stride, "pad_amount": pads, "dilations": dilations}
    for name, values in given.items():
        count = 4 if name == "pad_amount" else 2
        if len(values) != count:
            raise GeometryError(f"{name} must be {count} integers, got {shown(list(values))}")
    top, left, bottom, right = pads
    window: dict[str, Any] = {
        "stride": tuple(stride),
        "padding": ((top, bottom), (left, right)),
        "dilation": tuple(dilations),
        "layout": "NHWC",
    }
    columns = im2col(x, tuple(kernel_size), **window, padding_value=value, tap_order="channel-last")
    return columns.reshape(len(x), *output_shape(x.shape, tuple(kernel_size), **window), columns.shape[-1])
