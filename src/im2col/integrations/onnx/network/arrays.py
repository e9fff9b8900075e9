"""The operators of ONNX that move, join and cut arrays. What a view can show is a view."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import numpy_helper

from ....engine.gather import copy
from ....engine.host import require_memory
from ....engine.threads import resolve_threads
from ....errors import ArgumentError, ShapeError, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ..node import Node

    Array = NDArray[Any]


def axis_of(axis: int, axes: int) -> int:
    """Return an axis counted from the first one.

    Raises
    ------
    ArgumentError
        If there is no such axis.
    """
    if not -axes <= axis < max(axes, 1):
        raise ArgumentError(f"axis {axis} is none of an array of {axes} axes")
    return axis % axes if axes else 0


def axes_of(values: Sequence[int] | Array, axes: int) -> tuple[int, ...]:
    """Return axes counted from the first one, each once.

    Raises
    ------
    ArgumentError
        If one is told twice, or there is no such axis.
    """
    found = tuple(axis_of(int(each), axes) for each in values)
    if len(set(found)) < len(found):
        raise ArgumentError(f"axes {shown(list(map(int, values)))} name an axis twice")
    return found


def _fits(shape: Sequence[int], dtype: np.dtype[Any]) -> None:
    """Refuse a result that would not fit the memory, or that has a negative length."""
    if min(shape, default=0) < 0:
        raise ShapeError(f"the result would have the shape {shown(list(shape))}")
    require_memory(math.prod(shape) * dtype.itemsize, "use a smaller input", "a result of shape {}", tuple(shape))


def reshape(_: Node, x: Array, shape: Array, *, allowzero: int = 0) -> Array:
    """Reshape."""
    wanted = [int(n) for n in shape]
    if not allowzero:
        if any(n == 0 and place >= x.ndim for place, n in enumerate(wanted)):
            raise ShapeError(f"the shape {wanted} keeps an axis that the input of shape {x.shape} has not")
        wanted = [n or x.shape[place] for place, n in enumerate(wanted)]
    if min(wanted, default=0) < -1 or wanted.count(-1) > 1:
        raise ShapeError(f"the shape {wanted} may have -1 once, and nothing below")
    known = math.prod(n for n in wanted if n != -1)
    if -1 in wanted:
        if not known or x.size % known:
            raise ShapeError(f"an input of shape {x.shape} has no shape {wanted}")
        wanted[wanted.index(-1)] = x.size // known
    elif known != x.size:
        raise ShapeError(f"an input of shape {x.shape} has no shape {wanted}")
    return _reshaped(x, tuple(wanted))


def _reshaped(x: Array, shape: tuple[int, ...]) -> Array:
    """Return an array in another shape: its last axes stay outside in memory, if they are and keep their lengths.

    Channels that lie last there, and are parted or joined, still do.
    """
    if x.flags.c_contiguous or not x.size:
        return _viewed(x, shape)
    pairs = zip(reversed(x.shape[1:]), reversed(shape[1:]), strict=False)
    tail = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    parts, whole = x.ndim - tail, len(shape) - tail
    outside = [x.strides[axis] for axis in range(parts, x.ndim) if x.shape[axis] > 1]
    inside = [x.strides[axis] for axis in range(1, parts) if x.shape[axis] > 1]
    if x.shape[0] != shape[0] or not outside or not inside or min(outside) < max(inside):
        return _viewed(x, shape)
    moved = x.transpose(0, *range(parts, x.ndim), *range(1, parts))
    changed = _viewed(moved, (shape[0], *shape[whole:], *shape[1:whole]))
    return changed.transpose(0, *range(1 + tail, changed.ndim), *range(1, 1 + tail))


def _viewed(x: Array, shape: tuple[int, ...]) -> Array:
    """Return an array in another shape: a view, or where there is none, of a copy that lies in order."""
    try:
        return x.reshape(shape, copy=False)
    except ValueError:
        dense = np.empty(x.shape, x.dtype)
        copy(dense, x, resolve_threads(None))
        return dense.reshape(shape)


def transpose(_: Node, x: Array, *, perm: Sequence[int] | None = None) -> Array:
    """Transpose."""
    if perm is not None and sorted(perm) != list(range(x.ndim)):
        raise ArgumentError(f"perm must name each of the {x.ndim} axes of the input once, got {shown(list(perm))}")
    return x.transpose(perm)


def flatten(_: Node, x: Array, *, axis: int) -> Array:
    """Flatten."""
    if not -x.ndim <= axis <= x.ndim:
        raise ArgumentError(f"axis {axis} is none of an array of {x.ndim} axes")
    axis += x.ndim * (axis < 0)
    return _viewed(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


def squeeze(_: Node, x: Array, axes: Array | Sequence[int] | None = None) -> Array:
    """Squeeze."""
    chosen = tuple(a for a, n in enumerate(x.shape) if n == 1) if axes is None else axes_of(np.atleast_1d(axes), x.ndim)
    if any(x.shape[axis] != 1 for axis in chosen):
        raise ShapeError(f"axes {list(chosen)} of an input of shape {x.shape} are not all of length 1")
    return x.squeeze(chosen)


def unsqueeze(_: Node, x: Array, axes: Array | Sequence[int]) -> Array:
    """Unsqueeze."""
    axes = np.atleast_1d(axes)
    return np.expand_dims(x, axes_of(axes, x.ndim + len(axes)))


def joined(inputs: Sequence[Array], axis: int) -> tuple[int, tuple[int, ...]]:
    """Return the axis along which a Concat joins its inputs, from the first one on, and the shape of its result."""
    first = inputs[0].shape
    axis = axis_of(axis, len(first))
    shapes = {x.shape[:axis] + x.shape[axis + 1 :] for x in inputs}
    if len(shapes) > 1 or any(x.ndim != len(first) for x in inputs) or not first:
        raise ShapeError(f"inputs of shapes {[x.shape for x in inputs]} cannot be joined along axis {axis}")
    return axis, (*first[:axis], sum(x.shape[axis] for x in inputs), *first[axis + 1 :])


def split(
    node: Node,
    x: Array,
    parts: Array | None = None,
    *,
    axis: int,
    split: Sequence[int] | None = None,
    num_outputs: int | None = None,
) -> tuple[Array, ...]:
    """Split: into equal parts where none are told, the last one smaller."""
    axis = axis_of(axis, x.ndim)
    length = x.shape[axis]
    told = parts if parts is not None else split
    if told is not None:
        lengths = [int(n) for n in told]
    else:
        if num_outputs is not None and num_outputs != node.outputs:
            raise ArgumentError(f"num_outputs is {num_outputs}, but the model asks for {node.outputs} outputs")
        each = -(-length // node.outputs)
        lengths = [max(0, min(each, length - part * each)) for part in range(node.outputs)]
    if sum(lengths) != length or min(lengths) < 0 or len(lengths) != node.outputs:
        raise ShapeError(f"axis {axis} of length {length} cannot be split into {node.outputs} parts of {lengths}")
    ends = np.cumsum(lengths).tolist()
    before = (slice(None),) * axis
    return tuple(x[(*before, slice(end - n, end))] for n, end in zip(lengths, ends, strict=True))


def cut(
    _: Node,
    x: Array,
    starts: Any,
    ends: Any,
    axes: Any = None,
    steps: Any = None,
) -> Array:
    """Slice: what is told beside `x` were attributes before opset 10."""
    starts, ends = [int(n) for n in starts], [int(n) for n in ends]
    chosen = axes_of(range(len(starts)) if axes is None else axes, x.ndim)
    strides = [1] * len(starts) if steps is None else [int(n) for n in steps]
    if not len(starts) == len(ends) == len(chosen) == len(strides):
        raise ShapeError(
            f"starts, ends, axes and steps must be as many; got {len(starts)}, {len(ends)}, {len(chosen)} and "
            f"{len(strides)}"
        )
    if 0 in strides:
        raise ArgumentError("steps must not be 0")
    window = [slice(None)] * x.ndim
    for axis, start, end, step in zip(chosen, starts, ends, strides, strict=True):
        n = x.shape[axis]
        first = start + n if start < 0 else start
        last = end + n if end < 0 else end
        if step > 0:
            window[axis] = slice(min(max(first, 0), n), min(max(last, 0), n), step)
        else:
            last = min(max(last, -1), n - 1)
            window[axis] = slice(min(max(first, 0), n - 1), None if last < 0 else last, step)
            if not n:
                window[axis] = slice(0, 0)
    return x[tuple(window)]


def shape(_: Node, x: Array, *, start: int = 0, end: int | None = None) -> Array:
    """Shape."""
    return np.array(x.shape[start:end], np.int64)


def size(_: Node, x: Array) -> Array:
    """Size."""
    return np.array(x.size, np.int64)


def gather(_: Node, x: Array, indices: Array, *, axis: int) -> Array:
    """Gather."""
    axis = axis_of(axis, x.ndim)
    n = x.shape[axis] if x.ndim else 0
    if indices.size and not -n <= indices.min() <= indices.max() < n:
        raise ArgumentError(f"indices from {indices.min()} to {indices.max()} leave axis {axis} of length {n}")
    _fits((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]), x.dtype)
    found: Array = np.asarray(x.take(indices, axis))
    return found


def expand(_: Node, x: Array, shape: Array) -> Array:
    """Expand."""
    wanted = [int(n) for n in shape]
    try:
        return np.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(wanted)))
    except ValueError:
        raise ShapeError(f"an input of shape {x.shape} cannot be expanded to {wanted}") from None


def tile(_: Node, x: Array, repeats: Array) -> Array:
    """Tile."""
    counts = [int(n) for n in repeats]
    if len(counts) != x.ndim:
        raise ShapeError(f"repeats must have one number for each axis of an input of shape {x.shape}, got {counts}")
    _fits([n * count for n, count in zip(x.shape, counts, strict=True)], x.dtype)
    return np.tile(x, counts)


def fill(_: Node, shape: Array, *, value: Any = None) -> Array:
    """ConstantOfShape."""
    one = np.zeros(1, np.float32) if value is None else numpy_helper.to_array(value)
    wanted = tuple(int(n) for n in shape)
    if one.size != 1:
        raise ShapeError(f"value must be one number, got shape {one.shape}")
    _fits(wanted, one.dtype)
    return np.full(wanted, one.reshape(()), one.dtype)


def count(_: Node, start: Array, limit: Array, delta: Array, *, stash_type: int = 1) -> Array:  # noqa: ARG001 (of halves)
    """Range."""
    if start.size != 1 or limit.size != 1 or delta.size != 1 or not delta:
        raise ArgumentError("start, limit and delta must be one number each, and delta not 0")
    first, last, step = start.item(), limit.item(), delta.item()
    steps = max(0, math.ceil((last - first) / step))
    _fits([steps], start.dtype)
    found: Array = (first + np.arange(steps) * step).astype(start.dtype)
    return found


def pad(
    _: Node,
    x: Array,
    pads: Any,
    value: Any = None,
    axes: Array | None = None,
    *,
    mode: str,
) -> Array:
    """Pad: what is told beside `x` were attributes before opset 11. Negative pads cut off."""
    chosen = axes_of(range(x.ndim) if axes is None else axes, x.ndim)
    told = [int(n) for n in pads]
    if len(told) != 2 * len(chosen):
        raise ShapeError(f"pads must have two numbers for each of {len(chosen)} axes, got {shown(told)}")
    around = [(0, 0)] * x.ndim
    for place, axis in enumerate(chosen):
        around[axis] = told[place], told[place + len(chosen)]
    _fits([n + a + b for n, (a, b) in zip(x.shape, around, strict=True)], x.dtype)
    inner = tuple(slice(max(0, -a), n - max(0, -b)) for n, (a, b) in zip(x.shape, around, strict=True))
    x = x[inner]
    more = [(max(0, a), max(0, b)) for a, b in around]
    if mode == "constant":
        filled = 0 if value is None else np.asarray(value).reshape(-1)[0]
        return np.pad(x, more, constant_values=filled)
    if mode not in ("reflect", "edge", "wrap"):
        raise ArgumentError(f"mode must be 'constant', 'reflect', 'edge' or 'wrap', got {shown(mode)}")
    if any(sum(each) and not n for n, each in zip(x.shape, more, strict=True)):
        raise ShapeError(f"an input of shape {x.shape} has nothing that could be repeated around it")
    repeat: Any = np.pad
    repeated: Array = repeat(x, more, mode=mode)
    return repeated


def identity(_: Node, x: Array) -> Array:
    """Identity."""
    return x


def depth_to_space(_: Node, x: Array, *, blocksize: int, mode: str = "DCR") -> Array:
    """DepthToSpace."""
    if x.ndim != 4 or blocksize < 1 or x.shape[1] % blocksize**2:
        raise ShapeError(f"an input of shape {x.shape} has no channels for blocks of {blocksize} x {blocksize}")
    n, c, h, w = x.shape
    parts = (blocksize, blocksize, c // blocksize**2) if mode == "DCR" else (c // blocksize**2, blocksize, blocksize)
    order = (0, 3, 4, 1, 5, 2) if mode == "DCR" else (0, 1, 4, 2, 5, 3)
    blocks = x.reshape(n, *parts, h, w).transpose(order)
    return _viewed(blocks, (n, c // blocksize**2, h * blocksize, w * blocksize))


def space_to_depth(_: Node, x: Array, *, blocksize: int, mode: str = "DCR") -> Array:
    """SpaceToDepth."""
    if x.ndim != 4 or blocksize < 1 or x.shape[2] % blocksize or x.shape[3] % blocksize:
        raise ShapeError(f"an input of shape {x.shape} is not made of blocks of {blocksize} x {blocksize}")
    n, c, h, w = x.shape
    blocks = x.reshape(n, c, h // blocksize, blocksize, w // blocksize, blocksize)
    blocks = blocks.transpose((0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4))
    return _viewed(blocks, (n, c * blocksize**2, h // blocksize, w // blocksize))


VIEWS: dict[str, Callable[..., Any]] = {
    "DepthToSpace": depth_to_space,
    "Expand": expand,
    "Flatten": flatten,
    "Identity": identity,
    "Reshape": reshape,
    "Slice": cut,
    "SpaceToDepth": space_to_depth,
    "Split": split,
    "Squeeze": squeeze,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
"""What may show its first input."""

ARRAYS: dict[str, Callable[..., Any]] = {
    "ConstantOfShape": fill,
    "Gather": gather,
    "Pad": pad,
    "Range": count,
    "Shape": shape,
    "Size": size,
    "Tile": tile,
}
"""What makes arrays of its own."""
