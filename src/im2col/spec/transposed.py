"""The transpose of a convolution, as convolutions: one for each phase of the stride.

The transpose sends element o of its operand, times tap t, to pixel o·s + t·d - p of its result. Seen from a pixel i,
the taps that reach it are those with t·d ≡ i + p (mod s): a class of pixels, a *phase*, that share every s-th tap or
so. Over one phase the transpose is an ordinary convolution of stride 1 with the flipped part of the kernel, and its
result is every s-th pixel. No product with an inserted zero is ever made, and no column matrix.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ArgumentError, GeometryError, ShapeError, shown
from ..memory import lazy
from . import layout as layouts
from .activation import check_activation
from .arguments import check_choice, checked_shape, flag, integer, per_axis, word
from .arrays import native
from .geometry import Geometry, Pairs
from .padding import explicit_padding
from .problem import PRECISIONS, WORKSPACE_LIMIT, Problem, result_dtype

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import DTypeLike

    from .activation import Activation
    from .layout import Layout
    from .problem import Precision


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
    problem : Problem
        The convolution of the seen part with the flipped taps that gives the pixels.
    """

    pixels: tuple[slice, ...]
    seen: tuple[slice, ...]
    taps: tuple[slice, ...]
    problem: Problem


class _AxisPhase(NamedTuple):
    """One axis of a phase; `window` is the part's size, its taps, dilation and padding."""

    pixels: slice
    seen: slice
    taps: slice
    window: tuple[int, int, int, tuple[int, int]]


def axis_phases(n: int, size: int, kernel: int, stride: int, dilation: int, before: int) -> list[_AxisPhase]:
    """Return the phases of one axis that some tap reaches; there are no more of them than taps.

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
    common = math.gcd(stride, dilation)
    step = stride // common
    # The first tap of each phase, of which those behind it repeat the phases, and its first pixel: found from the taps,
    # or from the pixels where those are fewer.
    starts = [(tap, (tap * dilation - before) % stride) for tap in range(min(step, kernel, n))]
    if n < min(step, kernel):
        way_back = pow(dilation // common, -1, step)
        whole = [(pixel, *divmod(pixel + before, common)) for pixel in range(n)]
        starts = sorted((number * way_back % step, pixel) for pixel, number, rest in whole if not rest)
    phases = []
    for tap, first in starts:
        if first >= n or tap >= kernel:
            continue
        pixels, count = slice(first, n, stride), -(-(n - first) // stride)
        taps, spacing = slice(tap, kernel, step), dilation * step // stride
        number = len(range(kernel)[taps])
        # The window of pixel m of the phase starts at element start + m; the padding may be negative, which cuts.
        start = (first + before - tap * dilation) // stride - (number - 1) * spacing
        stop = start + count - 1 + (number - 1) * spacing + 1
        low, high = max(0, start), min(size, stop)
        if low < high:
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
    precision : str
    prepared : bool
    chunked : bool
        As of `Problem`.
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
    precision: Precision = "native"
    prepared: bool = False
    chunked: bool = False

    @lazy
    def phases(self) -> tuple[Phase, ...]:
        """Every phase that a tap reaches; no pixel is in two of them."""
        axes = zip(
            self.image, self.spatial_shape, self.kernel_size, self.stride, self.dilation, self.before, strict=True
        )
        return tuple(self._phase(axes) for axes in itertools.product(*(axis_phases(*axis) for axis in axes)))

    @lazy
    def covers(self) -> bool:
        """Whether every pixel of the result is in a phase."""
        pixels = sum(
            math.prod(len(range(n)[s]) for n, s in zip(self.image, p.pixels, strict=True)) for p in self.phases
        )
        return pixels == math.prod(self.image)

    def _phase(self, axes: tuple[_AxisPhase, ...]) -> Phase:
        pixels, seen, taps = (tuple(getattr(axis, name) for axis in axes) for name in ("pixels", "seen", "taps"))
        sizes, kernel, dilation, pads = zip(*(axis.window for axis in axes), strict=True)
        problem = Problem(
            layout=self.layout,
            geometry=Geometry(sizes, kernel, (1,) * len(axes), pads, dilation, self.layout.spatial),
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
            precision=self.precision,
            prepared=self.prepared,
            chunked=self.chunked,
        )
        return Phase(pixels, seen, taps, problem)

    def _strides(
        self, channels: int, spatial: tuple[int, ...], dtype: np.dtype[Any], steps: tuple[int, ...]
    ) -> tuple[int, ...]:
        """Return the strides, with canonical axes, of every so many pixels of a dense array."""
        dense = self.layout.strides(self.batch, channels, spatial, dtype.itemsize)
        return tuple(stride * step for stride, step in zip(dense, (1, 1, *steps), strict=True))

    @lazy
    def x_shape(self) -> tuple[int, ...]:
        """Shape of the operand, in its layout."""
        return self.layout.from_canonical_shape(self.batch, self.filters, self.spatial_shape)

    @lazy
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the result, in its layout."""
        return self.layout.from_canonical_shape(self.batch, self.channels, self.image)

    @property
    def flops(self) -> int:
        """Two for each product of an element of the operand with a tap, whether its pixel is in the result or not."""
        taps = math.prod(self.kernel_size) * (self.channels // self.groups)
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


def make_transposed(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    x_dtype: np.dtype[Any],
    w_dtype: np.dtype[Any],
    *,
    stride: object = 1,
    padding: object = 0,
    output_padding: object = 0,
    output_size: object = None,
    dilation: object = 1,
    groups: int = 1,
    layout: str | None = None,
    activation: object = None,
    dtype: DTypeLike | None = None,
    precision: object = "native",
    workspace_limit: int = WORKSPACE_LIMIT,
    has_bias: bool = False,
    prepared: bool = False,
    chunked: bool = False,
) -> Transposed:
    """Validate the arguments of a transposed convolution, all but the arrays' values.

    Parameters
    ----------
    x_shape, w_shape : tuple of int
        Of the image, in `layout`, and of the weights (F, C/groups, *kernel).
    x_dtype, w_dtype : dtype
    stride, padding, output_padding, output_size, dilation, groups, layout, activation, dtype, precision, chunked
        As for `conv_transpose`, and workspace_limit too.
    has_bias, prepared : bool
        As for `make_problem`.

    Raises
    ------
    ShapeError, LayoutError, GeometryError, ArgumentError, DTypeError
        If an argument does not fit.
    """
    x_shape, w_shape = checked_shape("the shape of x", x_shape), checked_shape("the shape of w", w_shape)
    if len(w_shape) < 3:
        raise ShapeError(
            f"w must be (filters, channels/groups, *kernel), got shape {w_shape}; a plain kernel goes as w[None, None]"
        )
    k = len(w_shape) - 2
    groups = integer("groups", groups, minimum=1)
    axes = layouts.resolve(layout, len(x_shape), k)
    filters, channels = w_shape[0], w_shape[1] * groups
    _check_channels(x_shape, w_shape, axes, groups)
    sizes = axes.spatial_shape(x_shape)
    for axis, n in zip(axes.spatial, sizes, strict=True):
        if n == 0:
            raise GeometryError(f"axis {axis} of x has no elements to spread; pass at least one along each axis")
    kernel = per_axis("kernel_size", w_shape[2:], k, minimum=1)
    strides, dilations = (per_axis(n, v, k, minimum=1) for n, v in (("stride", stride), ("dilation", dilation)))
    extra = per_axis("output_padding", output_padding, k, minimum=0)
    for axis, e, s, d in zip(axes.spatial, extra, strides, dilations, strict=True):
        if e >= max(s, d):
            raise GeometryError(
                f"output_padding {e} along axis {axis} must be less than the stride ({s}) or the dilation ({d}); pad "
                "the result instead"
            )
    wanted = None if output_size is None else per_axis("output_size", output_size, k, minimum=1)
    before, image = _extent(axes.spatial, sizes, kernel, strides, dilations, padding, extra, wanted)
    result = result_dtype(x_dtype, w_dtype, dtype)
    return Transposed(
        layout=axes,
        spatial_shape=sizes,
        image=image,
        kernel_size=kernel,
        stride=strides,
        dilation=dilations,
        before=before,
        batch=axes.size(layouts.BATCH, x_shape),
        filters=filters,
        channels=channels,
        groups=groups,
        x_dtype=native(x_dtype),
        w_dtype=native(w_dtype),
        dtype=result,
        activation=check_activation(activation, result),
        has_bias=has_bias,
        workspace_limit=integer("workspace_limit", workspace_limit, minimum=1),
        precision=check_choice("precision", precision, PRECISIONS),
        prepared=prepared,
        chunked=flag("chunked", chunked),
    )


def _check_channels(x_shape: tuple[int, ...], w_shape: tuple[int, ...], axes: layouts.Layout, groups: int) -> None:
    filters, channels = w_shape[0], axes.size(layouts.CHANNEL, x_shape)
    if filters % groups:
        raise ShapeError(
            f"{filters} filters do not divide into groups={groups}; the first axis of w must be a multiple of groups"
        )
    if channels != filters:
        hint = "pass w of shape (channels of x, channels of the result/groups, *kernel)"
        last = axes.channels_last
        if last is not None and x_shape[-1] == filters:
            hint = f"the last axis would fit: pass layout={last.axes!r} if the channels come last"
        raise ShapeError(
            f"the image {x_shape} has {channels} channels in layout {axes.axes!r} but the weights {w_shape} take "
            f"{filters}; {hint}"
        )
    if not axes.has_channels and w_shape[1] * groups != 1:
        raise ShapeError(
            f"the weights {w_shape} give {w_shape[1] * groups} output maps but layout {axes.axes!r} has no channel "
            "axis for them; pass the image with a channel axis"
        )


def _extent(
    axes: str,
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    padding: object,
    extra: tuple[int, ...],
    wanted: tuple[int, ...] | None,
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the padding before each axis and the pixels of the result along it."""
    k = len(axes)
    whole = [(n - 1) * s + d * (t - 1) + 1 for n, t, s, d in zip(sizes, kernel, stride, dilation, strict=True)]
    name = word(padding)
    if name in ("same", "same_lower"):
        image = wanted or tuple(n * s for n, s in zip(sizes, stride, strict=True))
        total = [max(0, w + e - n) for w, e, n in zip(whole, extra, image, strict=True)]
        return tuple(t // 2 if name == "same" else t - t // 2 for t in total), image
    if name not in (None, "valid"):
        raise ArgumentError(
            f"padding must be an integer, one entry per axis, 'valid', 'same' or 'same_lower'; got {shown(padding)}"
        )
    pads = ((0, 0),) * k if name is not None else explicit_padding(padding, k)
    least = [w - before - after for w, (before, after) in zip(whole, pads, strict=True)]
    if wanted is None:
        image = tuple(n + e for n, e in zip(least, extra, strict=True))
    else:
        if any(extra):
            raise ArgumentError(
                f"output_size {wanted} and output_padding {extra} both say how large the result is; pass one of them"
            )
        for axis, n, low, s in zip(axes, wanted, least, stride, strict=True):
            if not low <= n < low + s:
                raise GeometryError(
                    f"output_size {n} along axis {axis} is out of reach: with this window it is from {low} to "
                    f"{low + s - 1}; change the padding, or pass padding='same' to have it set"
                )
        image = wanted
    for axis, n in zip(axes, image, strict=True):
        if n < 1:
            raise GeometryError(f"the result would have {n} pixels along axis {axis}; lower the padding {pads}")
    return tuple(before for before, _ in pads), image
