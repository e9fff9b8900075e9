"""QONNX's Im2Col in onnx's evaluator: plain loops of what QONNX documents, the layer that it is for, errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import im2col
from im2col import GeometryError, ShapeError

from .kit.outcomes import raises_exactly, require

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

CASES: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((1, 5, 6, 3), {"kernel_size": [3, 2], "stride": [1, 2]}),
    ((1, 4, 4, 2), {"kernel_size": [2, 2], "stride": [2, 1], "pad_amount": [1, 0, 2, 3], "pad_value": -1}),
    ((1, 7, 9, 1), {"kernel_size": [3, 3], "stride": [1, 1], "dilations": [2, 3], "depthwise": 1}),
    ((1, 1, 8, 4), {"kernel_size": [1, 3], "stride": [1, 2], "pad_amount": [0, 1, 0, 1], "depthwise": 1}),
    ((2, 4, 5, 2), {"kernel_size": [2, 3], "stride": [1, 1], "pad_amount": [1, 1, 1, 1], "pad_value": 7}),
]


def evaluated(x: Array, attributes: dict[str, Any]) -> Array:
    """Run a model of the one node."""
    onnx = require("onnx")
    from onnx.reference import ReferenceEvaluator

    from im2col.integrations.onnx import OPS

    domain = "qonnx.custom_op.general"
    node = onnx.helper.make_node("Im2Col", ["x"], ["y"], domain=domain, input_shape=str(x.shape), **attributes)
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ("x", "y")]
    graph = onnx.helper.make_graph([node], "net", ends[:1], ends[1:])
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid(domain, 1)]
    model = onnx.helper.make_model(graph, opset_imports=opsets)
    (y,) = ReferenceEvaluator(model, new_ops=OPS).run(None, {"x": x})
    found: Array = y
    return found


@pytest.mark.parametrize(("shape", "attributes"), CASES)
def test_plain_loops(shape: tuple[int, ...], attributes: dict[str, Any]) -> None:
    """Each number of the output, by its image, position and (ky, kx, c)."""
    x = np.random.default_rng(0).integers(-9, 9, shape).astype(np.float32)
    top, left, bottom, right = attributes.get("pad_amount", [0, 0, 0, 0])
    (kh, kw), (sh, sw) = attributes["kernel_size"], attributes["stride"]
    dh, dw = attributes.get("dilations", [1, 1])
    images, height, width, channels = shape
    rows = range(-top, height + bottom - dh * (kh - 1), sh)
    across = range(-left, width + right - dw * (kw - 1), sw)
    expected = [
        [
            [
                [
                    x[n, i + ky * dh, j + kx * dw, c]
                    if 0 <= i + ky * dh < height and 0 <= j + kx * dw < width
                    else attributes.get("pad_value", 0)
                    for ky in range(kh)
                    for kx in range(kw)
                    for c in range(channels)
                ]
                for j in across
            ]
            for i in rows
        ]
        for n in range(images)
    ]
    found = evaluated(x, attributes)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array(expected, np.float32))


def test_with_a_product_it_is_the_layer() -> None:
    """The lowered convolution: Im2Col, then a MatMul with the filters flattened channel-last."""
    rng = np.random.default_rng(1)
    x, w = (rng.integers(-9, 9, shape).astype(np.float32) for shape in ((1, 6, 7, 3), (4, 3, 3, 3)))
    columns = evaluated(x, {"kernel_size": [3, 3], "stride": [1, 1], "pad_amount": [1, 1, 1, 1]})
    product = columns @ im2col.weight_matrix(w, tap_order="channel-last")
    np.testing.assert_array_equal(product, im2col.conv(x, w, padding=1, layout="NHWC"))


def test_errors_name_the_node() -> None:
    """Ranks, counts, windows that do not fit."""
    node = "Im2Col (node with output 'y'): "
    x, good = np.ones((1, 4, 4, 2), np.float32), {"kernel_size": [2, 2], "stride": [1, 1]}
    with raises_exactly(
        ShapeError, f"{node}the image must be (N, H, W, C), got shape (4, 4); put a Transpose before it"
    ):
        evaluated(x[0, :, :, 0], good)
    with raises_exactly(GeometryError, f"{node}pad_amount must be 4 integers, got [1, 1]"):
        evaluated(x, good | {"pad_amount": [1, 1]})
    with raises_exactly(
        GeometryError,
        f"{node}the kernel spans 5 pixels (size 5, dilation 1) but axis H of the padded image has 4; pad by at least 1 "
        "on each side or use a smaller kernel",
    ):
        evaluated(x, good | {"kernel_size": [5, 2]})
