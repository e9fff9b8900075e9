"""Softmax and its logarithm: along one axis, or over all axes from one on, as before opset 13."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ArgumentError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .node import Node

    Array = NDArray[Any]


def share(node: Node, x: Array, *, axis: int) -> Array:
    """Softmax."""
    below = _below_the_greatest(node, x, axis)
    shares: Array = np.exp(below)
    shares /= shares.sum(1, keepdims=True)
    return shares.reshape(x.shape)


def log_share(node: Node, x: Array, *, axis: int) -> Array:
    """LogSoftmax."""
    below = _below_the_greatest(node, x, axis)
    below -= np.log(np.exp(below).sum(1, keepdims=True))
    return below.reshape(x.shape)


def _below_the_greatest(node: Node, x: Array, axis: int) -> Array:
    """Return (before, along, after) the axis, less the greatest along it; before opset 13 the axes behind it are in it.

    In the dtype of the input, as the standard's expansion into other operators has it.
    """
    if not -x.ndim <= axis < x.ndim:
        raise ArgumentError(f"axis must be an axis of the input, which has {x.ndim}; got {axis}")
    first = axis % x.ndim
    last = x.ndim if node.version < 13 else first + 1
    parts = (x.shape[:first], x.shape[first:last], x.shape[last:])
    lines = x.reshape([math.prod(part) for part in parts])
    if not lines.size:
        return lines.copy()
    with np.errstate(invalid="ignore"):  # of inf - inf
        below: Array = lines - lines.max(1, keepdims=True)
    return below
