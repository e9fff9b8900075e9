"""Batch normalisation: of a model at inference, or in training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ArgumentError, ShapeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .node import Node

    Array = NDArray[Any]


@np.errstate(all="ignore")  # what is infinite, or has no root, gives what floats give
def normalize(
    node: Node,
    x: Array,
    scale: Array,
    bias: Array,
    mean: Array,
    var: Array,
    *,
    epsilon: float,
    momentum: float,
    spatial: int = 1,
    is_test: int | None = None,
    training_mode: int | None = None,
) -> Array | tuple[Array, ...]:
    """BatchNormalization: channel by channel, or number by number where `spatial` is 0, as before opset 9.

    Opset 6 says `is_test`, opsets from 14 on `training_mode`; between them a model trains if it asks for more than one
    output.
    """
    training = node.outputs > 1
    if is_test is not None:
        training = not is_test
    elif training_mode is not None:
        training = bool(training_mode)
    if node.outputs > 1 and not training:
        raise ArgumentError(f"{node.outputs} outputs are for training; at inference there is one")
    if x.ndim == 0:
        raise ShapeError("X must be (N, C, *spatial), or (N,) of one channel; got shape ()")
    numbers = x if x.ndim > 1 else x[:, None]
    shape = numbers.shape[1:2] if spatial else numbers.shape[1:]
    for name, values in (("scale", scale), ("B", bias), ("mean", mean), ("var", var)):
        if values.shape != shape:
            raise ShapeError(f"{name} must have shape {shape} for X of shape {x.shape}, got {values.shape}")
    broadcast = (*shape, *[1] * (numbers.ndim - 1 - len(shape)))
    precise = np.result_type(x.dtype, np.float32)
    used_mean, used_var = mean, var
    if training:
        others = tuple(axis for axis in range(numbers.ndim) if not 1 <= axis <= len(shape))
        if not all(numbers.shape[axis] for axis in others):
            raise ShapeError(f"X of shape {x.shape} has no numbers to take the statistics of")
        used_mean = numbers.mean(axis=others, dtype=precise)
        used_var = numbers.astype(precise, copy=False).var(axis=others)
    factor = scale.astype(precise) / np.sqrt(used_var.astype(precise) + precise.type(epsilon))
    result = np.subtract(numbers, used_mean.astype(precise).reshape(broadcast), dtype=precise)
    result *= factor.reshape(broadcast)
    result += bias.astype(precise).reshape(broadcast)
    y = result.astype(x.dtype, copy=False).reshape(x.shape)
    if not training:
        return y
    running = [
        (old.astype(precise) * momentum + new * (1 - momentum)).astype(old.dtype)
        for old, new in ((mean, used_mean), (var, used_var))
    ]
    saved = [] if training_mode else [used_mean.astype(mean.dtype), used_var.astype(var.dtype)]
    return (y, *running, *saved)[: node.outputs]
