"""The transpose of a convolution, as convolutions: one for each phase of the stride.

The transpose sends element o of its operand, times tap t, to pixel o·s + t·d - p of its result. Seen from a pixel i,
the taps that reach it are those with t·d ≡ i + p (mod s): a class of pixels, a *phase*, that share every s-th tap or
so. Over one phase the transpose is an ordinary convolution of stride 1 with the flipped part of the kernel, and its
result is every s-th pixel. No product with an inserted zero is ever made, and no column matrix.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from .geometry import Geometry, Pairs
from .problem import Problem

if TYPE_CHECKING:
    import numpy as np

    from .activation import Activation
    from .layout import Layout


class Phase(NamedTuple):
    """Pixels of the result that the same taps reach.

    Parameters
    ----------
    pixels : tuple of slice
        Of the result's spatial axes.
    seen : tuple of slice
        The part of the operand's spatial axes that these pixels depend on.
    taps : tuple of slice
        Of the kernel's axes.
    problem : Problem or None
        The convolution of the seen part with the flipped taps that gives the pixels; None where no tap reaches them.
    """

    pixels: tuple[slice, ...]
    seen: tuple[slice, ...]
    taps: tuple[slice, ...]
    problem: Problem | None


class _AxisPhase(NamedTuple):
    """One axis of a phase; `window` is None where no tap reaches the pixels, else size, taps, dilation and padding."""

    pixels: slice
    seen: slice
    taps: slice
    window: tuple[int, int, int, tuple[int, int]] | None


def axis_phases(n: int, size: int, kernel: int, stride: int, dilation: int, before: int) -> list[_AxisPhase]:
    """Return the phases of one axis.

    Parameters
    ----------
    n, size : int
        Pixels of the result, and elements of the operand.
    kernel, stride, dilation, before : int
        Of the convolution that is transposed; `before` is its padding before the axis.

    Examples
    --------
    >>> [(p.pixels, p.taps) for p in axis_phases(6, 3, 3, stride=2, dilation=1, before=1)]
    [(slice(1, 6, 2), slice(0, 3, 2)), (slice(0, 6, 2), slice(1, 3, 2))]
    """
    step = stride // math.gcd(stride, dilation)
    phases = []
    for rest in range(stride):
        first = (rest - before) % stride
        if first >= n:
            continue
        pixels, count = slice(first, n, stride), -(-(n - first) // stride)
        tap = next((t for t in range(min(step, kernel)) if (t * dilation - rest) % stride == 0), None)
        nothing = _AxisPhase(pixels, slice(0, 0), slice(0, 0), None)
        if tap is None:
            phases.append(nothing)
            continue
        taps, spacing = slice(tap, kernel, step), dilation * step // stride
        number = len(range(kernel)[taps])
        # The window of pixel m of the phase starts at element start + m; the padding may be negative, which cuts.
        start = (first + before - tap * dilation) // stride - (number - 1) * spacing
        stop = start + count - 1 + (number - 1) * spacing + 1
        low, high = max(0, start), min(size, stop)
        if low >= high:
            phases.append(nothing)
            continue
        window = (high - low, number, spacing, (low - start, stop - high))
        phases.append(_AxisPhase(pixels, slice(low, high), taps, window))
    return phases


@dataclass(frozen=True)
class Transposed:
    """A transposed convolution, validated: all that may be known before the arrays.

    Parameters
    ----------
    layout : Layout
        Of operand and result.
    spatial_shape, image : tuple of int
        Spatial axes of the operand, and of the result.
    kernel_size, stride, dilation, before : tuple of int
        Of the convolution that is transposed; its padding before each axis.
    batch, filters, channels, groups : int
        Filters are the operand's channels, channels the result's.
    x_dtype, w_dtype, dtype : dtype
        Of the operand, the weights and the result.
    activation : Activation or None
    has_bias : bool
    workspace_limit : int
    operation : str
        What errors name.
    """

    layout: Layout
    spatial_shape: tuple[int, ...]
    image: tuple[int, ...]
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    before: tuple[int, ...]
    batch: int
    filters: int
    channels: int
    groups: int
    x_dtype: np.dtype[Any]
    w_dtype: np.dtype[Any]
    dtype: np.dtype[Any]
    activation: Activation | None
    has_bias: bool
    workspace_limit: int
    operation: str = field(default="conv_transpose", compare=False)

    @cached_property
    def phases(self) -> tuple[Phase, ...]:
        """Every phase; together they cover the result, each pixel once."""
        axes = zip(
            self.image, self.spatial_shape, self.kernel_size, self.stride, self.dilation, self.before, strict=True
        )
        return tuple(self._phase(axes) for axes in itertools.product(*(axis_phases(*axis) for axis in axes)))

    def _phase(self, axes: tuple[_AxisPhase, ...]) -> Phase:
        pixels, seen, taps = (tuple(getattr(axis, name) for axis in axes) for name in ("pixels", "seen", "taps"))
        windows = [axis.window for axis in axes if axis.window is not None]
        if len(windows) < len(axes):
            return Phase(pixels, seen, taps, None)
        sizes, kernel, dilation, pads = zip(*windows, strict=True)
        problem = Problem(
            layout=self.layout,
            geometry=Geometry(sizes, kernel, (1,) * len(axes), pads, dilation, self.operation, self.layout.spatial),
            batch=self.batch,
            channels=self.filters,
            filters=self.channels,
            groups=self.groups,
            x_dtype=self.x_dtype,
            w_dtype=self.w_dtype,
            dtype=self.dtype,
            padding_mode="constant",
            padding_bytes=bytes(self.x_dtype.itemsize),
            activation=self.activation,
            flip=True,
            has_bias=self.has_bias,
            workspace_limit=self.workspace_limit,
            strides=self._strides(self.filters, self.spatial_shape, self.x_dtype, (1,) * len(axes)),
            out_strides=self._strides(self.channels, self.image, self.dtype, self.stride),
            operation=self.operation,
        )
        return Phase(pixels, seen, taps, problem)

    def _strides(
        self, channels: int, spatial: tuple[int, ...], dtype: np.dtype[Any], steps: tuple[int, ...]
    ) -> tuple[int, ...]:
        """Return the strides, with canonical axes, of every so many pixels of a dense array."""
        dense = self.layout.strides(self.batch, channels, spatial, dtype.itemsize)
        return tuple(stride * step for stride, step in zip(dense, (1, 1, *steps), strict=True))

    @cached_property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of the operand, in its layout."""
        return self.layout.from_canonical_shape(self.batch, self.filters, self.spatial_shape)

    @cached_property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the result, in its layout."""
        return self.layout.from_canonical_shape(self.batch, self.channels, self.image)

    @property
    def flops(self) -> int:
        """Two for each product of an element of the operand with a tap, whether its pixel is in the result or not."""
        taps = math.prod(self.kernel_size) * (self.channels // self.groups if self.groups else 0)
        return 2 * self.batch * self.filters * math.prod(self.spatial_shape) * taps

    @property
    def pads(self) -> Pairs:
        """The padding of the convolution that is transposed, as its result's shape tells."""
        pairs = []
        for n, size, k, s, d, before in zip(
            self.image, self.spatial_shape, self.kernel_size, self.stride, self.dilation, self.before, strict=True
        ):
            pairs.append((before, (size - 1) * s + d * (k - 1) + 1 - before - n))
        return tuple(pairs)
