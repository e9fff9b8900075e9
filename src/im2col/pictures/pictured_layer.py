"""What is drawn: one convolution's arrays and its index map, as numbered pixels, positions, taps and filters.

Pixels of one padded image are numbered in the order (channel, *axes), positions in row-major order of the output, taps
in the order in which a patch is flattened. Entry (position, tap) of the column matrix shows pixel
``position_pixels[position] + tap_pixels[tap]``: both tables are the geometry's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..engine.host import require_memory
from ..errors import ArgumentError, ShapeError, shown
from ..layers.convolution import convolution
from ..matrix.frame import ORIENTATIONS, Orientation, weight_matrix
from ..matrix.overlap import overlap
from ..memory import lazy
from ..spec.arguments import check_choice
from ..spec.arrays import as_array, native, sum_dtype
from ..spec.layout import TAP_ORDERS, TapOrder
from ..spec.padded import pad_image, source_index
from ..spec.problem import make_problem
from ..spec.strides import row_major

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ..spec.geometry import Geometry, Window
    from ..spec.padding import Padding, PaddingMode

MOST_AXES = 3
_FEW_OPERATIONS = 1 << 21
"""Up to here the explicit product is done long before a kernel would be compiled, and no row of the matrix, 32 MiB at
most, passes the workspace limit."""


@dataclass(frozen=True, eq=False)
class PicturedLayer:
    """One convolution, with all that a picture of it shows.

    Parameters
    ----------
    image : ndarray, (N, C, *spatial)
    weights : ndarray, (n, C/groups, *kernel)
    geometry : Geometry
        Of one to three axes.
    groups : int
    padding_mode : str
    padding_value : ndarray, shape ()
        Of the image's dtype.
    orientation, tap_order : str
        As for `im2col`.
    memory : str
        The axes of one image in memory, outermost first, such as ``"CHW"``: where addresses count.
    channel_numbers, filter_numbers : tuple of int
        What the channels and the filters are called; a layer of one channel keeps the channel's name.
    """

    image: NDArray[Any]
    weights: NDArray[Any]
    geometry: Geometry
    groups: int
    padding_mode: str
    padding_value: NDArray[Any]
    orientation: Orientation
    tap_order: TapOrder
    memory: str
    channel_numbers: tuple[int, ...]
    filter_numbers: tuple[int, ...]

    @property
    def batch(self) -> int:
        """Images."""
        return int(self.image.shape[0])

    @property
    def channels(self) -> int:
        """Input channels."""
        return int(self.image.shape[1])

    @property
    def filters(self) -> int:
        """Filters, and so output maps."""
        return int(self.weights.shape[0])

    @property
    def group_channels(self) -> int:
        """Channels that one filter reads."""
        return int(self.weights.shape[1])

    @property
    def positions(self) -> int:
        """Stops of the window."""
        return self.geometry.positions

    @property
    def taps(self) -> int:
        """Taps of all channels: the length of a flattened patch."""
        return self.channels * self.geometry.taps

    def one(self, channel: int, filter_: int) -> PicturedLayer:
        """Return the layer of one channel and one kernel: the article's first steps.

        Parameters
        ----------
        channel, filter_ : int
            Where the filter does not read that channel (groups), the first that it reads is taken.
        """
        first = self.first_channel(filter_)
        if not first <= channel < first + self.group_channels:
            channel = first
        return replace(
            self,
            image=self.image[:, channel : channel + 1],
            weights=self.weights[filter_ : filter_ + 1, channel - first : channel - first + 1],
            groups=1,
            channel_numbers=(self.channel_numbers[channel],),
            filter_numbers=(self.filter_numbers[filter_],),
        )

    def first_channel(self, filter_: int) -> int:
        """Return the first channel that a filter reads."""
        return filter_ // (self.filters // self.groups) * self.group_channels

    # The index map, in pixels.

    @lazy
    def _inside(self) -> Geometry:
        return self.geometry.unpadded()

    @property
    def padded_shape(self) -> tuple[int, ...]:
        """Of one padded image: (C, *spatial)."""
        return (self.channels, *self.geometry.padded_shape)

    @lazy
    def position_pixels(self) -> NDArray[np.int64]:
        """The first pixel of each position's window, in the first channel; shape (positions,)."""
        return self._inside.position_offsets(row_major(self.padded_shape)[1:])

    @lazy
    def tap_pixels(self) -> NDArray[np.int64]:
        """How far each tap's pixel lies from there; shape (taps,), in the order of the taps."""
        return self._over_taps(row_major(self.padded_shape))

    @lazy
    def tap_channels(self) -> NDArray[np.int64]:
        """The channel of each tap; shape (taps,)."""
        return self._over_taps((1, *(0,) * self.geometry.ndim))

    def _over_taps(self, strides: tuple[int, ...]) -> NDArray[np.int64]:
        channels = np.arange(self.channels) * strides[0]
        kernel = self._inside.tap_offsets(strides[1:])
        first = self.tap_order == "channel-first"
        return np.add.outer(channels, kernel).reshape(-1) if first else np.add.outer(kernel, channels).reshape(-1)

    @lazy
    def address_strides(self) -> tuple[int, ...]:
        """Steps through memory, in elements, of a padded image's channels and spatial axes."""
        axes = [axis for axis in self.memory if axis != "C"]
        sizes = dict(zip(axes, self.geometry.padded_shape, strict=True)) | {"C": self.channels}
        order = self.memory if "C" in self.memory else "C" + self.memory
        strides = dict(zip(order, row_major([sizes[axis] for axis in order]), strict=True))
        return (strides["C"], *(strides[axis] for axis in axes))

    @lazy
    def position_addresses(self) -> NDArray[np.int64]:
        """Where each position starts in memory: the row offsets of the implicit GEMM."""
        return self._inside.position_offsets(self.address_strides[1:])

    @lazy
    def tap_addresses(self) -> NDArray[np.int64]:
        """How far each tap lies from there: its column offsets."""
        return self._over_taps(self.address_strides)

    def coordinates(self, pixels: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        """Return the channel and the coordinates of pixels; coordinates count from the image without its padding."""
        channel, *axes = np.unravel_index(pixels, self.padded_shape)
        return (channel, *(a - before for a, (before, _) in zip(axes, self.geometry.padding, strict=True)))

    def is_padding(self, pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which pixels lie in the padding."""
        _, *axes = self.coordinates(pixels)
        outside = np.zeros(np.shape(pixels), bool)
        for coordinate, n in zip(axes, self.geometry.spatial_shape, strict=True):
            outside |= (coordinate < 0) | (coordinate >= n)
        return outside

    @lazy
    def axis_sources(self) -> list[NDArray[np.int64]]:
        """For each axis, which pixel each padded coordinate shows; where it shows the constant, a number of its own."""
        found = []
        for n, (before, after) in zip(self.geometry.spatial_shape, self.geometry.padding, strict=True):
            source = source_index(n, before, after, self.padding_mode)
            found.append(np.where(source < 0, n + np.arange(len(source)), source))
        return found

    @lazy
    def sources(self) -> NDArray[np.int64]:
        """A number for each pixel, the same for a pixel and its copies in the padding; shape (pixels,)."""
        total = np.arange(self.channels)
        for source in self.axis_sources:
            total = np.add.outer(total * (1 + source.max(initial=0)), source)
        return np.asarray(total.reshape(-1))

    def readers(self, pixel: int) -> list[NDArray[np.int64]]:
        """Return, for each axis, the stops at which a tap reads a pixel or a copy of it: as often as it does."""
        _, *axes = np.unravel_index(pixel, self.padded_shape)
        found, g = [], self.geometry
        for i, (at, source) in enumerate(zip(axes, self.axis_sources, strict=True)):
            stops, taps = np.arange(g.output_shape[i]) * g.stride[i], np.arange(g.kernel_size[i]) * g.dilation[i]
            found.append(np.nonzero(source[np.add.outer(stops, taps)] == source[at])[0])
        return found

    def reads(self, filter_: int) -> NDArray[np.bool_]:
        """Return which taps a filter reads; shape (taps,)."""
        first = self.first_channel(filter_)
        return (self.tap_channels >= first) & (self.tap_channels < first + self.group_channels)

    # The arrays, by those numbers.

    @lazy
    def pixels(self) -> NDArray[Any]:
        """Values of the padded images; shape (N, pixels)."""
        pairs = ((0, 0), (0, 0), *self.geometry.padding)
        return pad_image(self.image, pairs, self.padding_mode, self.padding_value).reshape(self.batch, -1)

    @lazy
    def flat_weights(self) -> NDArray[Any]:
        """Weights by tap and filter, 0 where a filter does not read a channel; shape (taps, n)."""
        return weight_matrix(self.weights, tap_order=self.tap_order, groups=self.groups)

    def _convolved(self, image: NDArray[Any], weights: NDArray[Any], groups: int) -> NDArray[Any]:
        g = self.geometry
        operations = 2 * len(image) * g.positions * weights.size
        work = convolution(
            image.shape,
            image.dtype,
            weights,
            None,
            stride=g.stride,
            padding=g.padding,
            dilation=g.dilation,
            groups=groups,
            padding_mode=self.padding_mode,
            padding_value=self.padding_value.item(),
            algorithm="explicit" if operations <= _FEW_OPERATIONS else "auto",
        )
        result = work.run((image,), None)
        return result.reshape(*result.shape[:2], -1)

    @lazy
    def maps(self) -> NDArray[Any]:
        """The layer's result; shape (N, n, positions)."""
        return self._convolved(self.image, self.weights, self.groups)

    def partials(self, filter_: int) -> NDArray[Any]:
        """Return what each channel adds to one filter's map; shape (N, C/groups, positions)."""
        first = self.first_channel(filter_)
        read = self.image[:, first : first + self.group_channels]
        return self._convolved(read, self.weights[filter_][:, None], self.group_channels)

    @lazy
    def counts(self) -> NDArray[np.int64]:
        """How often each pixel of a channel is copied into the matrix; shape (*spatial)."""
        return overlap(self.geometry, self.padding_mode)

    def folded(self, reduce: Literal["sum", "mean"]) -> NDArray[Any]:
        """Return `col2im` of the column matrix, which is not made: all copies of a pixel are alike.

        Parameters
        ----------
        reduce : {"sum", "mean"}

        Returns
        -------
        ndarray, (N, C, *spatial)
        """
        read = self.counts > 0
        if reduce == "mean":
            return np.asarray(np.where(read, self.image, self.image.dtype.type(0)))
        dtype = sum_dtype(self.image.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(np.where(read, self.image.astype(dtype) * self.counts.astype(dtype), dtype.type(0)))


def make_pictured_layer(
    x: ArrayLike,
    w: ArrayLike,
    *,
    stride: Window = 1,
    padding: Padding = 0,
    dilation: Window = 1,
    groups: int = 1,
    padding_mode: PaddingMode = "constant",
    padding_value: complex = 0,
    layout: str | None = None,
    orientation: Orientation = "rows",
    tap_order: TapOrder = "channel-first",
) -> PicturedLayer:
    """Validate what is to be drawn.

    Parameters
    ----------
    x, w, stride, padding, dilation, groups, padding_mode, padding_value, layout
        As for `conv`; a plain kernel of one or two axes goes with a plain image.
    orientation, tap_order
        As for `im2col`.

    Raises
    ------
    ShapeError, LayoutError, GeometryError, ArgumentError, DTypeError
        If an argument does not fit, there is nothing to draw, or there are more than three spatial axes.
    """
    orientation = check_choice("orientation", orientation, ORIENTATIONS)
    tap_order = check_choice("tap_order", tap_order, TAP_ORDERS)
    image, weights = as_array("x", x), as_array("w", w)
    if weights.ndim in (1, 2) and weights.ndim == image.ndim:
        weights = weights[None, None]
    problem = make_problem(
        image.shape,
        weights.shape,
        image.dtype,
        weights.dtype,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        padding_mode=padding_mode,
        padding_value=padding_value,
        layout=layout,
    )
    if problem.geometry.ndim > MOST_AXES:
        raise ShapeError(
            f"pictures have one to three spatial axes, w of shape {weights.shape} has {problem.geometry.ndim}; draw a "
            "slice, as in x[..., 0]"
        )
    if np.ndim(problem.padding_value):
        raise ArgumentError(
            "pictures show one padding_value for all channels, got one for each; pad x first with np.pad, channel by "
            "channel"
        )
    if not isinstance(problem.padding_mode, str):
        raise ArgumentError(
            f"pictures show one padding_mode for all axes, got {shown(padding_mode)}; pad x first with np.pad, axis "
            "by axis"
        )
    if not (problem.batch and problem.channels and problem.filters):
        raise ShapeError(
            f"there is nothing to draw: x of shape {image.shape} has {problem.batch} images of {problem.channels} "
            f"channels and w of shape {weights.shape} has {problem.filters} filters; pass at least one of each"
        )
    axes, pixels = problem.layout, math.prod((problem.batch, problem.channels, *problem.geometry.padded_shape))
    size = pixels * max(problem.x_dtype.itemsize, 8)  # of the pixels, or of their numbers
    require_memory(size, "use less padding", "the padded image {} of {}", problem.geometry.padded_shape, image.dtype)
    return PicturedLayer(
        image=axes.to_canonical(image).astype(native(image.dtype), copy=False),
        weights=weights,
        geometry=problem.geometry,
        groups=problem.groups,
        padding_mode=problem.padding_mode,
        padding_value=np.asarray(problem.padding_value),
        orientation=orientation,
        tap_order=tap_order,
        memory=axes.axes.replace("N", ""),
        channel_numbers=tuple(range(problem.channels)),
        filter_numbers=tuple(range(problem.filters)),
    )
