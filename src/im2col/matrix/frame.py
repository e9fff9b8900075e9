"""How an image's axes and its column matrix's axes belong together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ..engine import gather
from ..errors import ArgumentError, GeometryError
from ..spec import layout as layouts
from ..spec.geometry import is_sequence, plain
from ..spec.memo import memoized
from ..spec.padding import pad_image, resolve_geometry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..spec.geometry import Geometry
    from ..spec.layout import Layout
    from ..spec.padding import Mode

Orientation = Literal["rows", "columns"]
TapOrder = Literal["channel-first", "channel-last"]

ORIENTATIONS = get_args(Orientation)
TAP_ORDERS = get_args(TapOrder)


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise `ArgumentError` unless `value` is one of the words in `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise ArgumentError(f"{name} must be {' or '.join(map(repr, choices))}, got {value!r}")


@dataclass(frozen=True)
class Frame:
    """How an image's axes and a column matrix's axes belong together.

    Inside, arrays have canonical axes: images (N, C, *spatial), patches (N, C, *kernel, *output).
    """

    layout: Layout
    geometry: Geometry
    batch: int
    channels: int
    orientation: Orientation
    tap_order: TapOrder

    @property
    def value_channels(self) -> int | None:
        """For how many channels there may be padding values; None without an axis for them."""
        return self.channels if self.layout.has_channels else None

    def padded_bytes(self, itemsize: int) -> int:
        """Bytes of the padded copy of the image; 0 where there is no padding."""
        g = self.geometry
        return self.batch * self.channels * math.prod(g.padded_shape) * itemsize if g.is_padded else 0

    def padded(self, image: NDArray[Any], mode: Mode, value: NDArray[Any], threads: int = 1) -> NDArray[Any]:
        """Return the padded image with canonical axes: a view of the image, or a copy where there is padding.

        The copy's memory order suits the matrix: channels last where the channels of a tap are to lie side by side.
        """
        view = self.layout.to_canonical(image)
        if not self.geometry.is_padded:
            return view
        pairs = ((0, 0), (0, 0), *self.geometry.padding)
        copy = partial(gather.copy, threads=threads)
        if self.orientation == "rows" and self.tap_order == "channel-last":
            modes = mode if isinstance(mode, str) else (*mode, "constant")
            last = pad_image(np.moveaxis(view, 1, -1), (*pairs[1:], (0, 0)), modes, value, copy)
            return np.moveaxis(last, -1, 1)
        if value.ndim:  # one for each channel
            value = value.reshape(-1, *[1] * self.geometry.ndim)
        return pad_image(view, pairs, mode, value, copy)

    @cached_property
    def _order(self) -> tuple[int, ...]:
        """The canonical patch axes in the order of the matrix."""
        k = self.geometry.ndim
        kernel, output = tuple(range(2, 2 + k)), tuple(range(2 + k, 2 + 2 * k))
        taps = (1, *kernel) if self.tap_order == "channel-first" else (*kernel, 1)
        return (0, *output, *taps) if self.orientation == "rows" else (0, *taps, *output)

    @cached_property
    def _split_shape(self) -> tuple[int, ...]:
        canonical = (self.batch, self.channels, *self.geometry.kernel_size, *self.geometry.output_shape)
        return tuple(canonical[axis] for axis in self._order)

    @cached_property
    def matrix_shape(self) -> tuple[int, ...]:
        """Shape of the column matrix, with the batch axis where the image has one."""
        taps = self.channels * self.geometry.taps
        positions = self.geometry.positions
        shape = (positions, taps) if self.orientation == "rows" else (taps, positions)
        return (self.batch, *shape) if self.layout.has_batch else shape

    @property
    def patches_shape(self) -> tuple[int, ...]:
        """Shape of `patches`: the matrix before flattening, without the axes that the image lacks."""
        return tuple(
            n
            for axis, n in zip(self._order, self._split_shape, strict=True)
            if axis > 1 or (axis == 0 and self.layout.has_batch) or (axis == 1 and self.layout.has_channels)
        )

    def split(self, matrix: NDArray[Any]) -> NDArray[Any]:
        """Return a view of a column matrix with its axes unflattened, in the order of the matrix."""
        return matrix.reshape(self._split_shape, copy=False)

    def canonical(self, matrix: NDArray[Any]) -> NDArray[Any]:
        """Return a view of a column matrix as (N, C, *kernel, *output)."""
        return self.split(matrix).transpose(np.argsort(self._order))

    def patches(self, padded: NDArray[Any]) -> NDArray[Any]:
        """Return a read-only view of the padded image in the axes of `split`."""
        return patch_view(padded, self.geometry).transpose(self._order)


def patch_view(padded: NDArray[Any], geometry: Geometry) -> NDArray[Any]:
    """Return every patch of a padded image as a read-only view: the column matrix, unflattened.

    Parameters
    ----------
    padded : ndarray, (N, C, *geometry.padded_shape)
        Any strides.
    geometry : Geometry

    Returns
    -------
    ndarray, (N, C, *kernel, *output)
        A view: entry (n, c, *t, *o) is ``padded[n, c, o·stride + t·dilation]``.
    """
    lead, pixel = padded.strides[:2], padded.strides[2:]
    return np.lib.stride_tricks.as_strided(
        padded,
        (*padded.shape[:2], *geometry.kernel_size, *geometry.output_shape),
        (*lead, *geometry.tap_strides(pixel), *geometry.position_strides(pixel)),
        writeable=False,
    )


@memoized
def resolve_frame(
    image_shape: tuple[int, ...],
    kernel_size: object,
    stride: object,
    padding: object,
    dilation: object,
    layout: str | None,
    orientation: Orientation = "rows",
    tap_order: TapOrder = "channel-first",
) -> Frame:
    """Validate a transform's arguments, all but the arrays.

    Parameters
    ----------
    image_shape, kernel_size, stride, padding, dilation, layout, orientation, tap_order
        As for `im2col`.

    Returns
    -------
    Frame

    Raises
    ------
    GeometryError, LayoutError, ArgumentError
        If an argument does not fit.
    """
    check_choice("orientation", orientation, ORIENTATIONS)
    check_choice("tap_order", tap_order, TAP_ORDERS)
    if is_sequence(kernel_size):
        k = len(plain(kernel_size))
        if k == 0:
            raise GeometryError(f"kernel_size must have an entry for each spatial axis, got {kernel_size!r}")
    else:
        k = 2 if layout is None else len(layouts.parse(layout).spatial)
    axes = layouts.resolve(layout, len(image_shape), k)
    geometry = resolve_geometry(axes.spatial, axes.spatial_shape(image_shape), kernel_size, stride, padding, dilation)
    batch, channels = axes.size(layouts.BATCH, image_shape), axes.size(layouts.CHANNEL, image_shape)
    return Frame(axes, geometry, batch, channels, orientation, tap_order)
